"""Phantoms: plausible tissue, a lesion of the size that was asked for, everything near it outlined, the same every time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from osteon.case.phantom import JUDGED, RECIPES, build
from osteon.errors import InputError
from osteon.space.anatomy import structure, structures


@pytest.fixture(scope="module", params=list(RECIPES))
def phantom(request):
    return build(request.param)


def test_lesion_has_the_size_that_was_asked_for(phantom):
    """A ball of 25 mm: 8.18 ml, 25 mm along each axis."""
    mask = phantom.masks[structure("lesion")].array
    assert mask.sum() / 1000 == pytest.approx(4 / 3 * np.pi * 12.5**3 / 1000, rel=0.02)
    extent = np.ptp(np.argwhere(mask), axis=0) + 1
    assert np.abs(extent - 25).max() <= 1


def test_lesion_is_soft_tissue_in_bone_that_has_breached_towards_the_entry(phantom):
    lesion = phantom.masks[structure("lesion")].array
    bone = phantom.masks[phantom.lesion_bone].array
    core = ndimage.binary_erosion(lesion, iterations=2)
    assert float(phantom.image.array[core].mean()) == pytest.approx(40, abs=8)
    assert 0.75 < (lesion & bone).sum() / lesion.sum() < 1.0
    beyond = phantom.image.grid.to_mm(np.argwhere(lesion & ~bone)) - np.array(phantom.lesion_centre_mm)
    assert (beyond @ np.array(phantom.approach) > 0).mean() > 0.9


def test_without_breach_a_shell_of_bone_stays(phantom):
    whole = build(phantom.name, breach=False, spacing_mm=1.0)
    lesion = whole.masks[structure("lesion")].array
    outside = ~whole.masks[whole.lesion_bone].array
    assert lesion.any()
    assert not (lesion & ndimage.binary_dilation(outside, iterations=1)).any()


def test_hu_of_tissues_are_those_of_a_ct(phantom):
    def middle(name: str) -> float:
        mask = ndimage.binary_erosion(phantom.masks[structure(name)].array, iterations=2)
        return float(np.median(phantom.image.array[mask]))

    assert middle("muscle") == pytest.approx(54, abs=8)
    assert middle("fat") == pytest.approx(-100, abs=8)
    assert float(np.percentile(phantom.image.array[phantom.masks[phantom.lesion_bone].array], 99)) > 700
    air = phantom.image.array[~phantom.masks[structure("body")].array]
    assert float(np.median(air)) == pytest.approx(-1000, abs=10)


def test_noise_is_that_of_a_scanner(phantom):
    fat = ndimage.binary_erosion(phantom.masks[structure("fat")].array, iterations=3)
    assert 12 < float(phantom.image.array[fat].std()) < 22


def test_skin_is_on_the_side_of_entry(phantom):
    """A ray from the lesion along the approach leaves the body through skin before it leaves the field."""
    start, step = np.array(phantom.lesion_centre_mm), np.array(phantom.approach)
    at = start + np.arange(0, 220, 0.5)[:, None] * step
    skin = phantom.masks[structure("skin")].sample(at, fill=0.0)
    inside = phantom.image.grid.contains(at)
    first = int(np.argmax(skin > 0))
    assert skin.max() > 0
    assert inside[: first + 4].all()
    body = phantom.masks[structure("body")].sample(at, fill=0.0)
    assert body[: first + 1].min() > 0
    assert body[first + 8] == 0


def test_every_structure_that_limits_ask_for_is_outlined_or_absent(phantom):
    named = {k.id for k in phantom.masks} | set(phantom.absent)
    sides = (None, "right") if phantom.lesion_bone.side else (None, "left", "right")
    missing = [s.id for s in structures().values() if s.kind in JUDGED and s.side in sides and s.id not in named]
    assert missing == []
    assert not {k.id for k in phantom.masks} & set(phantom.absent)


@pytest.mark.parametrize(
    ("name", "critical", "low", "high"),
    [("femur", "sciatic_nerve_right", 12, 30), ("vertebra", "spinal_cord", 4, 12), ("ilium", "hip_joint_right", 8, 16)],
)
def test_the_critical_structure_lies_where_the_case_needs_it(name, critical, low, high):
    made = build(name)
    lesion = made.masks[structure("lesion")].array
    away = ndimage.distance_transform_edt(~lesion)
    assert low < float(away[made.masks[structure(critical)].array].min()) < high


def test_the_same_arguments_give_the_same_phantom():
    one, two, other = build("femur", spacing_mm=2.0), build("femur", spacing_mm=2.0), build("femur", spacing_mm=2.0, seed=1)
    assert one.image.digest() == two.image.digest() != other.image.digest()


@pytest.mark.parametrize("spacing", [0.8, 2.0])
def test_another_spacing_is_the_same_anatomy(spacing):
    coarse, fine = build("vertebra", spacing_mm=3.0), build("vertebra", spacing_mm=spacing)
    for name in ("vertebra_L3", "lesion", "aorta", "spinal_cord"):
        one, two = coarse.masks[structure(name)], fine.masks[structure(name)]
        volumes = [m.array.sum() * m.grid.voxel_mm3 for m in (one, two)]
        assert volumes[0] == pytest.approx(volumes[1], rel=0.12)


@pytest.mark.parametrize("lesion_mm", [5.0, 40.0, 60.0])
@pytest.mark.parametrize("name", list(RECIPES))
def test_small_and_large_lesions(name, lesion_mm):
    made = build(name, lesion_mm=lesion_mm, spacing_mm=2.0)
    lesion = made.masks[structure("lesion")].array
    assert lesion.any()
    for key, mask in made.masks.items():
        if key.kind in ("nerve", "cord", "vessel", "bowel", "joint", "skin"):
            assert not (lesion & mask.array).any(), key.id


def test_unknown_names_and_sizes_are_refused():
    with pytest.raises(InputError, match="no phantom 'skull'"):
        build("skull")
    with pytest.raises(InputError, match="90 mm"):
        build("femur", lesion_mm=90)
