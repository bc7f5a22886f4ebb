"""Pictures: where left, right, front and head come to lie; one patient stored in several ways looks the same."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
import fake_journey as fake

from osteon.report.figures import Overlay, grey_of, legend, section
from osteon.report.graphs import margin_histogram, margin_map, pareto, time_course
from osteon.report.planes import cut, letter, needle_planes, standard_planes
from osteon.report.surface import Camera, render, surface_of, tube, view_3d
from osteon.space.anatomy import Anatomy, Field
from osteon.space.volume import Grid, Volume
from osteon.treatments.base import NeedlePose, Trace


def image_with_a_spot(
    at_mm: tuple[float, float, float], affine: np.ndarray, shape: tuple[int, int, int] = (30, 40, 50)
) -> Anatomy:
    volume = Volume.of(np.full(shape, -1000.0, np.float32), affine)
    index = tuple(np.rint(volume.grid.to_index(np.array(at_mm))).astype(int))
    volume.array[index] = 3000.0
    return Anatomy(imaged=volume.with_array(np.ones(shape, bool)), image=volume)


def spot(picture: np.ndarray) -> tuple[float, float]:
    """Return the column and row of the bright spot."""
    rows, columns = np.nonzero(picture > 128)
    return float(columns.mean()), float(rows.mean())


AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
AFFINE[:3, 3] = [-49, -39, -43.5]


def test_the_patients_left_is_on_the_right_of_the_axial_and_coronal_picture() -> None:
    planes = standard_planes(np.zeros(3), 40, 200)
    anatomy = image_with_a_spot((25.0, 1.0, 1.5), AFFINE)
    for plane in planes[:2]:
        assert spot(grey_of(anatomy, plane))[0] > 150
        assert plane.letters[:2] == ("R", "L")


def test_anterior_is_up_in_axial_and_left_in_sagittal_and_superior_is_up() -> None:
    axial, coronal, sagittal = standard_planes(np.zeros(3), 40, 200)
    front = image_with_a_spot((1.0, -25.0, 1.5), AFFINE)
    assert spot(grey_of(front, axial))[1] < 50
    assert spot(grey_of(front, sagittal))[0] < 50
    head = image_with_a_spot((1.0, 1.0, 31.5), AFFINE)
    assert spot(grey_of(head, coronal))[1] < 50
    assert spot(grey_of(head, sagittal))[1] < 50
    assert axial.letters == ("R", "L", "A", "P")
    assert coronal.letters == ("R", "L", "S", "I")
    assert sagittal.letters == ("A", "P", "S", "I")


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_patient_stored_with_a_mirrored_axis_gives_the_same_pictures(axis: int) -> None:
    anatomy = fake.anatomy()
    assert anatomy.image is not None

    def mirrored(volume: Volume) -> Volume:
        matrix = volume.grid.matrix
        count = volume.array.shape[2 - axis]
        matrix[:3, 3] += matrix[:3, axis] * (count - 1)
        matrix[:3, axis] *= -1
        return Volume.of(np.flip(volume.array, 2 - axis), matrix)

    other = Anatomy(
        imaged=mirrored(anatomy.imaged), image=mirrored(anatomy.image), masks={k: mirrored(v) for k, v in anatomy.masks.items()}
    )
    for plane in standard_planes(fake.CENTRE, 60, 160):
        assert section(anatomy, plane).svg == section(other, plane).svg


def test_anisotropic_voxels_keep_a_ball_round() -> None:
    grid = Grid.of((21, 101, 101), np.array([[1, 0, 0, -50], [0, 1, 0, -50], [0, 0, 5, -50], [0, 0, 0, 1.0]]))
    places = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    ball = Volume((1.5 - np.linalg.norm(places, axis=-1) / 40).astype(np.float32), grid)
    for plane in standard_planes(np.zeros(3), 45, 180):
        inside = cut(ball, plane, fill=0.0) > 0.5
        wide, high = inside.any(0).sum() * plane.step_mm, inside.any(1).sum() * plane.step_mm
        assert wide == pytest.approx(80, abs=2.0)
        assert high == pytest.approx(80, abs=2.0)


def test_what_was_not_imaged_is_hatched_and_never_black() -> None:
    anatomy = fake.anatomy()
    imaged = anatomy.imaged.array.copy()
    imaged[:, :, :20] = False
    cut_off = Anatomy(imaged=anatomy.imaged.with_array(imaged), image=anatomy.image, masks=anatomy.masks)
    plane = standard_planes(fake.CENTRE, 60, 120)[0]
    assert set(np.unique(grey_of(cut_off, plane)[:, :30])) == {78, 105}


def test_a_structure_outside_the_picture_is_not_drawn_or_named() -> None:
    axial, _, _ = standard_planes(fake.CENTRE, 25, 160)
    picture = section(fake.anatomy(), axial)
    assert {s.id for s in picture.shown} == {"lesion"}
    assert "sciatic" not in picture.svg
    assert len(legend(picture.shown)) == 1


def test_names_and_scale_stand_in_the_picture() -> None:
    picture = section(fake.anatomy(), standard_planes(fake.CENTRE, 60)[0])
    for name in ("right sciatic nerve", "right common iliac artery", "lesion", "20 mm", "W 1500"):
        assert name in picture.svg
    bar = 20 / (120 / 360)
    assert any(
        abs(float(b) - float(a) - bar) < 0.11
        for a, b in re.findall(r'x1="10" y1="[\d.]+" x2="([\d.]+)"()', picture.svg)
        for a, b in [(10, a)]
    )


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.floats(-100, 100)] * 3), st.tuples(*[st.floats(-100, 100)] * 3))
def test_needle_cuts_hold_the_whole_needle_and_keep_handedness(entry: tuple[float, ...], tip: tuple[float, ...]) -> None:
    pose = NeedlePose((entry[0], entry[1], entry[2]), (tip[0], tip[1], tip[2]))
    if pose.length_mm < 5:
        return
    along, turned, across = needle_planes(pose, np.asarray(tip))
    for plane in (along, turned):
        assert np.abs(plane.depth_mm(np.array([entry, tip]))).max() < 1e-6
        flat = plane.project(np.array([entry, tip]))
        assert ((flat >= 0) & (flat <= plane.pixels)).all()
        assert flat[0, 1] < flat[1, 1]
    for plane in (along, turned, across):
        assert abs(np.dot(plane.right, plane.down)) < 1e-9
    assert np.dot(across.normal, pose.direction) == pytest.approx(1.0)
    assert across.down[2] < 0.351, "the head is never down in the cut across"


def test_letters_name_oblique_directions() -> None:
    assert letter(np.array([1.0, 0, 0])) == "L"
    assert letter(np.array([-0.8, -0.6, 0])) == "RA"
    assert letter(np.array([0, 0, -1.0])) == "I"


def test_isotherms_and_dose_are_drawn_with_their_own_lines() -> None:
    plan = fake.plan()
    assert plan.after is not None
    overlay = Overlay(plan.after.state[Field.TEMPERATURE_C], plan.after.state[Field.CEM43_MIN], (fake.POSE,))
    picture = section(plan.after, needle_planes(fake.POSE, fake.CENTRE)[0], overlay)
    for level in ("43", "45", "50", "60", "100"):
        assert f">{level}</text>" in picture.svg
    told = [e.words for e in legend(picture.shown, overlay)]
    assert any("CEM43 240" in t for t in told)
    assert picture.svg == section(plan.after, needle_planes(fake.POSE, fake.CENTRE)[0], overlay).svg
    last_line = max(picture.svg.rfind("<path"), picture.svg.rfind('stroke-width="2.4"'))  # isotherms, dose, needle
    for level in ("43", "45", "50", "60", "100"):
        assert picture.svg.find(f">{level}</text>") > last_line, "a line would cross the number"


def test_the_nearer_surface_hides_the_farther_one() -> None:
    near = tube(np.array([-20.0, -30, 0]), np.array([20.0, -30, 0]), 6, (255, 0, 0))
    far = tube(np.array([0.0, 30, -20]), np.array([0.0, 30, 20]), 6, (0, 0, 255))
    for order in ([near, far], [far, near]):
        picture = render(order, Camera((0, 0, 0), (0, -1, 0), 40), 80).astype(int)
        middle = picture[20, 20]
        assert middle[0] > 100 > middle[2]
        assert picture[10, 20][2] > 100


def test_the_3d_view_from_the_front_has_the_patients_left_on_the_right() -> None:
    left = tube(np.array([30.0, 0, -5]), np.array([30.0, 0, 5]), 6, (255, 0, 0))
    picture = render([left], Camera((0, 0, 0), (0, -1, 0), 40), 80).astype(int)
    red = picture[..., 0] - picture[..., 2] > 80
    assert np.nonzero(red)[1].mean() > 28


def test_surface_of_a_ball_has_its_area() -> None:
    grid = Grid.of((41, 41, 41), np.diag([1.0, 1, 1, 1]))
    places = np.moveaxis(np.indices(grid.shape), 0, -1)
    made = surface_of(Volume((15 - np.linalg.norm(places - 20.0, axis=-1)).astype(np.float32), grid), 0.0, (1, 2, 3))
    assert made is not None
    corners = made.vertices_mm[made.faces]
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum()
    assert area == pytest.approx(4 * np.pi * 15**2, rel=0.01)


def test_the_3d_view_is_the_same_every_time() -> None:
    anatomy = fake.anatomy()
    views = [view_3d(anatomy, fake.LESION, (fake.POSE,), size=160, half_mm=60) for _ in range(2)]
    assert views[0].svg == views[1].svg
    assert "right sciatic nerve" in views[0].alt


def test_charts_say_their_smallest_and_their_limit() -> None:
    plan = fake.plan()
    assert plan.margin_mm is not None
    assert plan.paths is not None
    smallest = f"{float(np.nanmin(plan.margin_mm.array)):.3g}"
    histogram, by_direction, ways = margin_histogram(plan.margin_mm), margin_map(plan.margin_mm), pareto(plan.paths)
    assert histogram is not None
    assert by_direction is not None
    assert ways is not None
    assert smallest in histogram.alt
    assert smallest in by_direction.alt
    assert "recommended" in ways.svg
    course = time_course(Trace(np.array([0.0, 60.0]), np.array([37.0, 44.0]), "°C"), "right <i>nerve</i>", 45.0)
    assert "limit 45" in course.svg
    assert "<i>" not in course.svg


def test_the_margin_map_puts_front_left_and_head_where_it_says() -> None:
    grid = Grid.of((21, 21, 21), np.array([[1, 0, 0, -10], [0, 1, 0, -10], [0, 0, 1, -10], [0, 0, 0, 1.0]]))
    places = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    shell = np.abs(np.linalg.norm(places, axis=-1) - 8) < 0.6
    for towards, column in (((1, 0, 0), 0.25), ((0, -1, 0), 0.5), ((-1, 0, 0), 0.75)):
        low = shell & (places @ np.array(towards) > 7)
        margin = Volume(np.where(low, -5.0, np.where(shell, 5.0, np.nan)).astype(np.float32), grid)
        picture = margin_map(margin)
        assert picture is not None
        struck = [float(x) for x in re.findall(r'<line x1="([\d.]+)"', picture.svg)]
        assert np.mean(struck) == pytest.approx(40 + 396 * column, abs=20)


def test_a_margin_that_was_never_measured_gives_no_chart() -> None:
    nothing = Volume(np.full((3, 3, 3), np.nan, np.float32), Grid.of((3, 3, 3), np.eye(4)))
    assert margin_histogram(nothing) is None
    assert margin_map(nothing) is None


def test_a_cut_is_what_the_volume_says_at_the_same_places() -> None:
    image = fake.anatomy().image
    assert image is not None
    for plane in (*standard_planes(fake.CENTRE, 80, 60), *needle_planes(fake.POSE, fake.CENTRE, pixels=60)):
        np.testing.assert_allclose(cut(image, plane), image.sample(plane.points_mm()), atol=1e-2)
