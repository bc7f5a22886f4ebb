"""Metal: a rod drawn into a phantom, nothing in a healthy one, and the hip screw of a real pelvis."""

from __future__ import annotations

import numpy as np
import pytest

from osteon.case.metal import find_metal
from osteon.case.phantom import build
from osteon.io import images, labels
from osteon.space.anatomy import structure
from osteon.space.volume import Volume


def with_rod() -> tuple[Volume, np.ndarray, np.ndarray]:
    """A femur with a steel rod in its canal and noisy bands beside it in the same slices."""
    made = build("femur", breach=False, spacing_mm=2.0)
    image = made.image.array.copy()
    zyx = np.indices(image.shape)
    middle = made.image.grid.to_index(np.array([-95.0, 5.0, -450.0]))
    across = np.hypot(zyx[1] - middle[1], zyx[2] - middle[2]) * 2.0
    rod = (across <= 5.0) & (np.abs(zyx[0] - middle[0]) <= 12)
    band = (across > 20) & (across < 40) & (np.abs(zyx[1] - middle[1]) <= 4) & (np.abs(zyx[0] - middle[0]) <= 12)
    muscle = band & (image > -250) & (image < 150)
    image[muscle] += np.random.default_rng(2).normal(0, 180, image.shape)[muscle].astype(np.float32)
    image[rod] = 3071.0
    return made.image.with_array(image), rod, muscle


def test_a_rod_is_found_as_drawn_and_its_streaks_are_marked() -> None:
    image, rod, streaks = with_rod()
    found = find_metal(image)
    assert found.implant is not None
    assert found.unreliable is not None
    assert np.array_equal(found.implant.array, rod)
    assert len(found.boxes_mm) == 1
    assert (found.unreliable.array & rod).sum() == rod.sum()
    assert (found.unreliable.array & streaks).sum() >= 0.8 * streaks.sum()
    far = np.zeros_like(rod)
    far[:12] = True  # slices more than 20 mm above or below the rod
    assert (found.unreliable.array & far).sum() <= 0.02 * far.sum()
    assert "not reliable" in found.notes[0]


@pytest.mark.parametrize("name", ["femur", "vertebra", "ilium"])
def test_dense_bone_is_no_metal(name: str) -> None:
    found = find_metal(build(name, spacing_mm=3.0).image)
    assert found.implant is None
    assert found.unreliable is None


def test_a_speck_is_no_implant() -> None:
    made = build("femur", spacing_mm=2.0)
    image = made.image.array.copy()
    image[40, 45, 40] = 3000.0  # 8 mm³
    assert find_metal(made.image.with_array(image)).implant is None


@pytest.mark.real
def test_real_pelvis_ct_metal_in_the_left_femur_and_not_in_the_right(real) -> None:
    folder = real("pelvis_ct")
    ct = images.read(folder / "example_ct.nii.gz")
    outlined = labels.read(folder / "example_seg_fast_force_split.nii.gz", ct.volume.grid).masks
    found = find_metal(ct.volume, ct.imaged)
    assert found.implant is not None
    assert found.unreliable is not None
    left, right = outlined[structure("femur_left")].array, outlined[structure("femur_right")].array
    assert found.implant.array.sum() == 529  # voxels above 2000 HU, measured on the data page
    assert not (found.implant.array & ~left).any()
    assert not (found.unreliable.array & right).any()
    assert (found.unreliable.array & left).sum() > 0.25 * left.sum()
