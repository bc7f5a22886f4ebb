"""Compact masks: what is kept, and that a reader cannot tell one from a mask on its whole grid."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from space_solids import ball, grid_of

from osteon.cache import Cache, decode, encode
from osteon.errors import ImageError
from osteon.space import paths
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import CompactMask, Grid, Volume, box_of, union_of

CROSS = ndimage.generate_binary_structure(3, 1)


SIDES = st.integers(1, 9)


@st.composite
def masks(draw, sides=SIDES):
    """A mask of any size on a leaning or mirrored grid: empty, full, one voxel or scattered, at the borders too."""
    shape = draw(st.tuples(sides, sides, sides))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    array = rng.random(shape) < draw(st.sampled_from([0.0, 0.02, 0.3, 1.0]))
    affine = np.diag([draw(st.sampled_from([-1.5, 0.8])), draw(st.sampled_from([-2.0, 1.0])), 3.0, 1.0])
    affine[:3, 3] = draw(st.sampled_from([0.0, -7.25]))
    if draw(st.booleans()):
        affine = affine[:, [1, 0, 2, 3]]
    return Volume(array, Grid.of(shape, affine))


def windows(shape, rng):
    ends = [sorted(rng.integers(0, n + 1, 2)) for n in shape]
    return tuple(slice(int(a), int(b)) for a, b in ends)


@settings(max_examples=150, deadline=None)
@given(masks(), st.integers(0, 1 << 30))
def test_a_reader_cannot_tell_a_compact_mask_from_a_whole_one(whole, seed):
    rng = np.random.default_rng(seed)
    kept = whole.compact()
    assert kept.is_mask
    assert kept.array.dtype == bool
    np.testing.assert_array_equal(kept.array, whole.array)
    assert kept.digest() == whole.digest()
    assert kept.box() == whole.box() == box_of(whole.array)
    window = windows(whole.grid.shape, rng)
    np.testing.assert_array_equal(kept.part(window), whole.part(window))
    np.testing.assert_array_equal(kept.canonical().array, whole.canonical().array)
    assert kept.canonical().grid == whole.canonical().grid
    target = Grid.of((4, 5, 3), np.diag([1.1, 0.9, 2.3, 1.0]))
    np.testing.assert_array_equal(kept.resample(target).array, whole.resample(target).array)
    points = rng.uniform(-25, 30, (40, 3))
    np.testing.assert_array_equal(kept.sample(points, fill=0.0), whole.sample(points, fill=0.0))
    np.testing.assert_allclose(kept.centre_mm(), whole.centre_mm())
    if whole.box() is not None:
        np.testing.assert_allclose(whole.centre_mm(), whole.grid.to_mm(np.argwhere(whole.array).mean(0)))
    for again in (pickle.loads(pickle.dumps(kept)), replace(kept), replace(kept, array=whole.array)):
        np.testing.assert_array_equal(again.array, whole.array)


@settings(max_examples=60, deadline=None)
@given(masks())
def test_sampling_a_mask_is_that_of_the_nearest_voxel_by_scipy(whole):
    points = np.random.default_rng(1).uniform(-25, 30, (60, 3))
    index = np.moveaxis(whole.grid.to_index(points), -1, 0)
    nearest = ndimage.map_coordinates(whole.array.astype(np.float32), index, order=0, mode="nearest")
    np.testing.assert_array_equal(whole.sample(points, fill=-1.0), np.where(whole.grid.contains(points), nearest, -1.0))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 1 << 30), min_size=1, max_size=4))
def test_a_union_is_the_union(seeds):
    grid = grid_of((1.0, 1.0, 1.0), half=4)
    parts = [Volume(np.random.default_rng(s).random(grid.shape) < 0.01, grid) for s in seeds]
    expected = np.logical_or.reduce([p.array for p in parts])
    mixed = [p.compact() if i % 2 else p for i, p in enumerate(parts)]
    np.testing.assert_array_equal(union_of(mixed).array, expected)
    bones = [structure("femur_left"), structure("femur_right"), structure("hip_left"), structure("hip_right")][: len(parts)]
    anatomy = Anatomy(Volume(np.ones(grid.shape, bool), grid), masks=dict(zip(bones, mixed, strict=True)))
    np.testing.assert_array_equal(anatomy.union(bones), expected)
    assert anatomy.of_kind("bone") == sorted(b for b, p in zip(bones, parts, strict=True) if p.array.any())


def test_a_window_that_leaves_its_grid_and_an_array_of_another_shape_are_refused():
    grid = grid_of((1.0, 1.0, 1.0), half=4)
    with pytest.raises(ImageError, match="does not lie within its grid"):
        CompactMask(np.ones((3, 3, 3), bool), grid, (7, 0, 0))
    with pytest.raises(ImageError, match="has shape"):
        CompactMask(np.ones((3, 3, 3), bool), grid)


def test_seventy_outlines_of_a_large_grid_keep_their_boxes_only():
    """Counted in bytes: on a grid of 200 x 200 x 200 voxels, 70 balls of 17 voxels across take under 1 % of whole arrays."""
    grid = Grid.of((200, 200, 200), np.eye(4))
    solid = np.linalg.norm(np.indices((17, 17, 17)) - 8.0, axis=0) <= 8
    held = 0
    for z, y, x in np.random.default_rng(0).integers(0, 183, (70, 3)):
        array = np.zeros(grid.shape, bool)
        array[z : z + 17, y : y + 17, x : x + 17] = solid
        kept = Volume(array, grid).compact().kept
        held += kept.nbytes
        assert kept.base is None  # not a view that holds the whole array
    assert held == 70 * 17**3
    assert held < 0.01 * 70 * np.prod(grid.shape)


def test_the_cache_keeps_the_box_and_names_what_its_reader_has(tmp_path: Path):
    grid = grid_of((1.0, 1.0, 1.0), half=60)
    drawn, found = ball(grid, (20, 0, 0), 10.0).compact(), ball(grid, (-20, 0, 0), 10.0).compact()
    image = Volume(np.zeros(grid.shape, np.float32), grid)
    given = [image.array, drawn.kept]
    store = Cache(tmp_path)
    for _ in range(2):
        back = store.get_or("stage", "key", lambda: (image, drawn, found), given)
        assert back[0].array is image.array
        np.testing.assert_array_equal(back[1].array, drawn.array)
        np.testing.assert_array_equal(back[2].array, found.array)
    assert store.hits == 1
    assert sum(p.stat().st_size for p in tmp_path.rglob("*.npz")) < 21**3 / 8 + 4000
    other = [np.zeros((2, 2, 2), np.float32), drawn.kept]
    assert store.get_or("stage", "key", lambda: "computed again", other) == "computed again"
    assert store.damaged


def test_encode_without_given_arrays_keeps_them():
    mask = ball(grid_of((1.0, 1.0, 1.0), half=9), (0, 0, 0), 4.0).compact()
    arrays = []
    tree = encode(mask, arrays)
    np.testing.assert_array_equal(decode(tree, arrays).array, mask.array)
    assert sum(a.nbytes for a in arrays) <= 9**3 // 8 + 1


# --- what works on windows gives what the whole grid gives


@settings(max_examples=100, deadline=None)
@given(masks(st.integers(2, 9)), st.integers(0, 1 << 30), st.booleans())
def test_skin_and_unseen_edge_are_those_of_the_whole_grid(whole, seed, padded):
    rng = np.random.default_rng(seed)
    imaged = whole.with_array(rng.random(whole.grid.shape) > 0.1 if padded else np.ones(whole.grid.shape, bool))
    inside, seen = whole.array, imaged.array
    unseen = np.zeros(inside.shape, bool)
    for axis in range(3):
        faces = np.moveaxis(unseen, axis, 0)
        faces[0] = faces[-1] = True
    unseen |= ndimage.binary_dilation(~seen, CROSS)
    for mask in (whole, whole.compact()):
        np.testing.assert_array_equal(paths.unseen_edge(mask, imaged).array, inside & unseen)
        expected = inside & ndimage.binary_dilation(seen & ~inside, CROSS)
        np.testing.assert_array_equal(paths.skin(mask, imaged).array, expected)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 30), st.sampled_from([(1.0, 1.0, 1.0), (3.0, 0.8, 0.8)]), st.floats(0.0005, 0.05), st.booleans())
def test_the_gap_is_that_of_the_two_nearest_of_all_voxels(seed, spacing, share, large):
    rng = np.random.default_rng(seed)
    grid = grid_of(spacing, half=9)
    blob = ndimage.binary_dilation(rng.random(grid.shape) < share / 4, CROSS, iterations=int(rng.integers(1, 4)))
    one = Volume(rng.random(grid.shape) < share, grid)
    other = Volume((~blob if large else blob) & ~ndimage.binary_dilation(one.array, CROSS), grid)
    found = paths.gap_mm(one.compact(), other)
    assert found == paths.gap_mm(one, other.compact())
    if not (one.array.any() and other.array.any()):
        assert found is None
        return
    a, b = (np.argwhere(v.array) * np.array(grid.spacing_mm) for v in (one, other))
    apart = np.linalg.norm(a[:, None] - b[None], axis=-1).min() if len(a) * len(b) < 4_000_000 else None
    if apart is None:
        return
    start, end = (grid.to_index(np.array(p)) for p in found[1:])
    assert np.linalg.norm((start - end) * np.array(grid.spacing_mm)) == pytest.approx(apart, abs=1e-9)
    assert found[0] == pytest.approx(apart * (1 - 1 / np.linalg.norm(start - end)), abs=1e-9)
    assert one.array[tuple(np.rint(start).astype(int))]
    assert other.array[tuple(np.rint(end).astype(int))]
