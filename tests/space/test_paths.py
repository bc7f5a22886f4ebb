"""Distances and paths: exact solids first, then laws that hold for any patient axes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation
from space_solids import FLIPS, ORDERS, SPACING, ball, grid_of

from osteon.errors import ImageError, NotOutlinedError
from osteon.space import paths
from osteon.space.volume import Grid, Volume


def test_distance_to_equals_scipy_on_an_anisotropic_grid():
    mask = np.random.default_rng(1).random((14, 21, 17)) > 0.99
    volume = Volume.of(mask, np.diag([1.0, 2.0, 3.0, 1.0]))
    assert volume.spacing_mm == (3.0, 2.0, 1.0)
    expected = ndimage.distance_transform_edt(~mask, sampling=(3.0, 2.0, 1.0))
    np.testing.assert_allclose(paths.distance_to(volume).array, expected, atol=1e-4)
    assert paths.distance_to(volume).array.dtype == np.float32


def test_distance_to_nothing_is_infinite_and_signed_distance_of_everything_is_minus_infinite():
    empty = Volume.of(np.zeros((3, 4, 5), bool), np.eye(4))
    assert np.isposinf(paths.distance_to(empty).array).all()
    assert np.isposinf(paths.signed_distance(empty).array).all()
    assert np.isneginf(paths.signed_distance(empty.with_array(~empty.array)).array).all()


def test_signed_distance_of_a_plane_is_exact():
    grid = grid_of((1.0, 1.0, 1.0), half=10)
    places = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    half_space = Volume(places[..., 0] < 0.1, grid)  # outermost centre at x = 0, boundary at x = 0.5
    np.testing.assert_allclose(paths.signed_distance(half_space).array, places[..., 0] - 0.5, atol=1e-4)


def test_gap_between_two_balls_is_exact_along_an_axis():
    grid = grid_of((1.0, 1.0, 1.0))
    first, second = ball(grid, (-12, 0, 0), 6), ball(grid, (10, 0, 0), 7)
    gap, here, there = paths.gap_mm(first, second)
    assert gap == pytest.approx(22 - 6 - 7 - 1.0, abs=1e-6)  # voxel centres at -6 and 3; half a voxel belongs to each ball
    assert here == pytest.approx((-6, 0, 0))
    assert there == pytest.approx((3, 0, 0))


def test_gap_is_zero_for_neighbours_and_overlaps_and_none_for_nothing():
    grid = Grid.of((4, 4, 4), np.diag([1.0, 2.0, 3.0, 1.0]))
    one, two, none = (Volume(np.zeros(grid.shape, bool), grid) for _ in range(3))
    one.array[1, 1, 1] = True
    two.array[2, 1, 1] = True
    assert paths.gap_mm(one, two)[0] == 0.0
    assert paths.gap_mm(one, one)[0] == 0.0
    assert paths.gap_mm(one, none) is None


@settings(max_examples=25, deadline=None)
@given(SPACING, ORDERS, FLIPS, st.integers(0, 2**16), st.floats(0, 180))
def test_law_two_balls_are_as_far_apart_in_any_patient_axes(spacing, order, flips, seed, angle):
    axis = np.random.default_rng(seed).normal(size=3)
    turn = Rotation.from_rotvec(np.radians(angle) * axis / np.linalg.norm(axis)).as_matrix()
    grid = grid_of(spacing, order, flips, turn)
    gap, here, there = paths.gap_mm(ball(grid, (-10, 2, 1), 6), ball(grid, (9, -1, -2), 5))
    truth = float(np.linalg.norm(np.array([19, -3, -3])) - 11)
    voxel = max(spacing)
    assert abs(gap - truth) <= voxel
    assert np.linalg.norm(np.array(here) - [-10, 2, 1]) <= 6 + 1e-6
    assert np.linalg.norm(np.array(there) - [9, -1, -2]) <= 5 + 1e-6


@settings(max_examples=25, deadline=None)
@given(SPACING, ORDERS, FLIPS, st.integers(0, 2**16))
def test_law_a_chord_through_a_ball_is_as_long_in_any_patient_axes(spacing, order, flips, seed):
    rng = np.random.default_rng(seed)
    turn = Rotation.random(rng=rng).as_matrix() if hasattr(Rotation, "random") else np.eye(3)
    grid = grid_of(spacing, order, flips, turn)
    solid = ball(grid, (0, 0, 0), 12)
    way = rng.normal(size=3)
    way *= 30 / np.linalg.norm(way)
    offset = np.cross(way, rng.normal(size=3))
    offset *= 5 / np.linalg.norm(offset)
    inside = paths.crossing(solid, (offset - way)[None], (offset + way)[None], 0.25)[0]
    assert abs(inside - 2 * np.sqrt(144 - 25)) <= 2 * max(spacing)
    entry = paths.first_entry(solid, offset - way, way, 0.25)
    assert abs(np.linalg.norm(entry) - 12) <= max(spacing)
    assert paths.first_entry(solid, offset - way, -way, 0.25) is None


@settings(max_examples=15, deadline=None)
@given(ORDERS, FLIPS)
def test_law_clearance_is_the_distance_of_the_line_in_any_patient_axes(order, flips):
    grid = grid_of((1.0, 1.5, 2.0), order, flips)
    distances = paths.signed_distance(ball(grid, (0, 0, 0), 6))
    clear = paths.clearance(distances, (-20, 14, 0), (20, 14, 0), 0.5)
    assert abs(clear - 8) <= 2.0
    assert paths.clearance(distances, (-20, 0, 0), (20, 0, 0)) < -3


def test_clearance_outside_the_image_is_zero_not_free():
    grid = grid_of((2.0, 2.0, 2.0))
    distances = paths.distance_to(ball(grid, (0, 0, 0), 3))
    assert paths.clearance(distances, (20, 0, 0), (40, 0, 0)) == 0.0


def test_many_segments_equal_single_ones():
    grid = grid_of((1.0, 2.0, 3.0))
    distances = paths.distance_to(ball(grid, (3, 2, 1), 5))
    rng = np.random.default_rng(3)
    start, end = rng.uniform(-20, 20, (2, 50, 3))
    many = paths.clearances(distances, start, end, 0.5)
    single = [paths.clearance(distances, s, e, 0.5) for s, e in zip(start, end, strict=True)]
    np.testing.assert_array_equal(many, single)


@settings(max_examples=15, deadline=None)
@given(SPACING, ORDERS, FLIPS, st.integers(0, 2**16))
def test_law_surface_points_lie_on_the_ball_and_normals_point_outward(spacing, order, flips, seed):
    turn = Rotation.from_rotvec(np.random.default_rng(seed).normal(size=3)).as_matrix()
    solid = ball(grid_of(spacing, order, flips, turn), (1, -2, 0.5), 14)
    points, normals = paths.surface_points(solid, 3.0)
    out = points - [1, -2, 0.5]
    radius = np.linalg.norm(out, axis=1)
    assert np.abs(radius - 14).max() <= max(spacing)
    agreement = ((out / radius[:, None]) * normals).sum(1)  # steps of 3 mm voxels turn single normals by up to 45°
    assert agreement.min() > 0.5
    assert agreement.mean() > 0.9
    assert len(points) > 100


def test_surface_is_open_where_the_mask_is_cut():
    grid = grid_of((1.0, 1.0, 1.0), half=10)
    half_space = Volume(grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1))[..., 0] < 0.1, grid)
    points, normals = paths.surface_points(half_space, 2.0)
    assert np.allclose(points[:, 0], 0.5)
    assert np.allclose(normals[:, 0], 1.0, atol=1e-3)


def body_in_air(shape=(8, 20, 20)):
    body = np.zeros(shape, bool)
    body[:, 5:15, 5:] = True  # cut at the last column: the patient's left
    return Volume.of(body, np.diag([2.0, 2.0, 2.0, 1.0]))


def test_skin_at_the_border_of_the_image_is_no_skin():
    body = body_in_air()
    imaged = body.with_array(np.ones(body.grid.shape, bool))
    found = paths.skin(body, imaged).array
    assert found[4, 5, 10]
    assert found[4, 10, 5]
    assert not found[4, 8:12, -1].any()  # cut, not skin
    assert not found[0, 8:12, 8:12].any()  # the lowest slice is no skin either
    assert not (found & ~body.array).any()


def test_skin_next_to_padding_is_no_skin():
    body = body_in_air()
    imaged = np.ones(body.grid.shape, bool)
    imaged[:, :5] = False
    found = paths.skin(body, body.with_array(imaged)).array
    assert not found[4, 5, 8:].any()
    assert found[4, 14, 10]


def test_a_ray_to_the_cut_side_leaves_the_imaged_region_and_others_do_not():
    body = body_in_air()
    imaged = body.with_array(np.ones(body.grid.shape, bool))
    start = body.grid.to_mm(np.array([4.0, 10.0, 10.0]))
    assert paths.leaves_imaged(body, imaged, start, (1, 0, 0))
    assert not paths.leaves_imaged(body, imaged, start, (-1, 0, 0))
    assert not paths.leaves_imaged(body, imaged, start, (0, 1, 0))
    assert paths.leaves_imaged(body, imaged, start, (0, 0, 1))


def test_unseen_edge_names_where_a_mask_may_go_on():
    body = body_in_air()
    ends = paths.unseen_edge(body, body.with_array(np.ones(body.grid.shape, bool))).array
    assert ends[4, 10, -1]
    assert not ends[4, 10, 10]
    assert not ends[4, 5, 10]


def test_edge_distance_counts_faces_and_padding():
    grid = Grid.of((20, 20, 20), np.diag([1.0, 2.0, 3.0, 1.0]))
    mask = Volume(np.zeros(grid.shape, bool), grid)
    mask.array[10, 10, 4] = True
    seen = np.ones(grid.shape, bool)
    assert paths.edge_distance(mask, mask.with_array(seen)) == 4.0
    seen[:, :, :3] = False
    assert paths.edge_distance(mask, mask.with_array(seen)) == pytest.approx(1.0)


def test_refuses_a_sheared_grid_a_zero_direction_and_a_zero_step():
    sheared = np.eye(4)
    sheared[0, 2] = 0.3
    mask = Volume.of(np.ones((4, 4, 4), bool), sheared)
    with pytest.raises(ImageError, match="right angles"):
        paths.distance_to(mask)
    straight = Volume.of(np.ones((4, 4, 4), bool), np.eye(4))
    with pytest.raises(ImageError, match="no length"):
        paths.first_entry(straight, (0, 0, 0), (0, 0, 0))
    with pytest.raises(ImageError, match="step"):
        paths.crossing(straight, np.zeros((1, 3)), np.ones((1, 3)), 0.0)
    with pytest.raises(NotOutlinedError):
        paths.surface_points(straight.with_array(np.zeros((4, 4, 4), bool)))
