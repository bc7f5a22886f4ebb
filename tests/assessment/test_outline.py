"""The body of a CT, found on the part of the image that holds anything: the same as on all of it."""

from __future__ import annotations

import cc3d
import numpy as np
import pytest
from scipy import ndimage

from osteon.assessment.measure_base import threshold
from osteon.assessment.outline import body_of, bone_before, joint_between
from osteon.case.phantom import build
from osteon.space.anatomy import structure
from osteon.space.paths import distance_to
from osteon.space.volume import CompactMask, Grid, Volume


def body_on_the_whole_image(image: Volume, imaged: Volume) -> np.ndarray:
    """The definition, without windows: the largest piece that is thick, grown back, its gas filled slice by slice."""
    dense = (image.array > threshold("body_above_hu")) & imaged.array
    half = threshold("table_thin_mm") / 2
    core = distance_to(image.with_array(~dense)).array > half
    if not core.any():
        return dense
    pieces = cc3d.connected_components(core, connectivity=6)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    grown = dense & (distance_to(image.with_array(pieces == sizes.argmax())).array <= half + min(image.spacing_mm) / 2)
    filled = np.empty_like(grown)
    for z, flat in enumerate(grown):
        air, _ = ndimage.label(~flat)
        rim = set(np.concatenate([air[0], air[-1], air[:, 0], air[:, -1]]).tolist()) - {0}
        filled[z] = flat | ~np.isin(air, [0, *rim])
    return filled


@pytest.mark.parametrize("moved", [0, 14, -14])
@pytest.mark.parametrize("padded", [False, True])
def test_the_body_is_that_of_the_whole_image(moved: int, padded: bool) -> None:
    """A trunk with gas and a table below; whole within the image, or cut by its left or right side."""
    rng = np.random.default_rng(3)
    grid = Grid.of((12, 50, 60), np.diag([2.0, 1.5, 3.0, 1.0]))
    _, y, x = np.indices(grid.shape)
    hu = np.full(grid.shape, -1000.0, np.float32)
    hu[((x - 30 - moved) / 20) ** 2 + ((y - 22) / 14) ** 2 < 1] = 40
    hu[((x - 28 - moved) / 4) ** 2 + ((y - 20) / 3) ** 2 < 1] = -900
    hu[:, 42:44, 5:55] = 100
    hu += rng.normal(0, 10, grid.shape).astype(np.float32)
    image = Volume(hu, grid)
    imaged = image.with_array(x > 3 if padded else np.ones(grid.shape, bool))
    found = body_of(image, imaged)
    assert isinstance(found, CompactMask)
    expected = body_on_the_whole_image(image, imaged)
    np.testing.assert_array_equal(found.array, expected)
    assert 0.1 < expected.mean() < 0.5
    assert not expected[:, 42:44].any()


def test_air_alone_and_sheets_alone_are_no_body_to_fill() -> None:
    grid = Grid.of((6, 20, 20), np.diag([2.0, 2.0, 2.0, 1.0]))
    air = Volume(np.full(grid.shape, -1000, np.float32), grid)
    everywhere = air.with_array(np.ones(grid.shape, bool))
    assert body_of(air, everywhere).box() is None
    sheet = air.array.copy()
    sheet[:, 10, 2:18] = 50
    assert int(body_of(air.with_array(sheet), everywhere).array.sum()) == 6 * 16


def test_compact_and_whole_outlines_give_the_same_bone_and_joint() -> None:
    grid = Grid.of((20, 24, 26), np.diag([1.5, 1.5, 1.5, 1.0]))
    z, y, x = np.indices(grid.shape)
    bone = Volume((abs(x - 8) < 5) & (abs(y - 12) < 8), grid)
    other = Volume((abs(x - 17) < 3) & (abs(y - 12) < 6), grid)
    lesion = Volume((x - 6) ** 2 + (y - 12) ** 2 + (z - 9) ** 2 < 9, grid)
    eaten = bone.with_array(bone.array & ~lesion.array)
    for compact in (False, True):
        a, b, c = (v.compact() if compact else v for v in (eaten, other, lesion))
        whole = bone_before(a, c)
        assert (whole.array >= eaten.array).all()
        assert whole.array[9, 12, 6]
        assert not (whole.array & ~(eaten.array | lesion.array)).any()
        joint = joint_between(a, b)
        assert joint is not None
        if not compact:
            kept = whole.array, joint.array
    np.testing.assert_array_equal(whole.array, kept[0])
    np.testing.assert_array_equal(joint.array, kept[1])


@pytest.mark.parametrize("name", ["ilium", "femur", "vertebra"])
def test_a_bone_found_by_threshold_gets_back_what_its_lesion_replaced(name: str):
    made = build(name, spacing_mm=2.0)
    lesion, bone = made.masks[structure("lesion")], made.masks[made.lesion_bone]
    found = bone.with_array(bone.array & ~lesion.array)
    whole = bone_before(found, lesion, found=True)
    truth = lesion.array & bone.array
    given = whole.array & lesion.array
    assert given[truth].mean() >= 0.9
    beyond = lesion.array & ~bone.array
    assert not beyond.any() or given[beyond].mean() <= 0.25
