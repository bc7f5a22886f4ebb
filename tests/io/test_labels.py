"""Outlines: TotalSegmentator's names out of the box, what is unmapped is told, what lies elsewhere is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from osteon.errors import ImageError, MissingError
from osteon.io import images, labels
from osteon.space.anatomy import structure, structures
from osteon.space.volume import Grid, Volume

GRID = Grid.of((4, 5, 6), np.diag([2.0, 2.0, 2.0, 1.0]))


def label_map(**places: int) -> Volume:
    array = np.zeros(GRID.shape, np.uint8)
    for index, value in enumerate(places.values()):
        array[1, 1, index] = value
    return Volume(array, GRID)


def test_every_class_of_totalsegmentator_has_a_structure():
    table = labels.totalsegmentator()
    assert sorted(table) == list(range(1, 118))
    for name, key in table.values():
        assert key in structures(), name


def test_names_follow_totalsegmentator_class_details():
    """README of TotalSegmentator v2, table of class details: 29 vertebrae_L3, 78 hip_right, 79 spinal_cord, 92 rib_left_1."""
    table = labels.totalsegmentator()
    assert table[29] == ("vertebrae_L3", "vertebra_L3")
    assert table[78] == ("hip_right", "hip_right")
    assert table[79] == ("spinal_cord", "spinal_cord")
    assert table[92] == ("rib_left_1", "rib_1_left")
    assert table[68] == ("iliac_vena_right", "iliac_vein_right")


def test_lung_lobes_are_joined_and_strange_numbers_told(tmp_path: Path):
    file = images.write_nifti(label_map(a=10, b=11, c=78, d=200), tmp_path / "l.nii.gz")
    found = labels.read(file, GRID)
    assert int(found.masks[structure("lung_left")].array.sum()) == 2
    assert set(found.masks) == {structure("lung_left"), structure("hip_right")}
    assert found.unmapped == ("200",)


def test_given_names_override_numbers(tmp_path: Path):
    file = images.write_nifti(label_map(a=1, b=2), tmp_path / "l.nii.gz")
    found = labels.read(file, GRID, names={1: "sciatic_nerve_right", 2: "moon"})
    assert set(found.masks) == {structure("sciatic_nerve_right")}
    assert found.unmapped == ("2 (moon)",)


def test_folder_of_masks(tmp_path: Path):
    mask = Volume(label_map(a=1).array > 0, GRID)
    for name in ("vertebrae_L3", "sciatic_nerve_right", "unicorn"):
        images.write_nifti(mask, tmp_path / f"{name}.nii.gz")
    images.write_nifti(Volume(np.zeros(GRID.shape, bool), GRID), tmp_path / "aorta.nii.gz")
    found = labels.read(tmp_path, GRID)
    assert set(found.masks) == {structure("vertebra_L3"), structure("sciatic_nerve_right")}
    assert found.unmapped == ("unicorn.nii.gz",)
    assert any("aorta" in n and "unknown" in n for n in found.notes)


def test_another_grid_is_taken_to_the_nearest_voxel(tmp_path: Path):
    fine = Grid.of((8, 10, 12), np.array([[1, 0, 0, -0.5], [0, 1, 0, -0.5], [0, 0, 1, -0.5], [0, 0, 0, 1.0]]))
    array = np.zeros(fine.shape, np.uint8)
    array[2:6, 2:6, 2:6] = 78
    found = labels.read(images.write_nifti(Volume(array, fine), tmp_path / "l.nii.gz"), GRID)
    mask = found.masks[structure("hip_right")].array
    assert mask.shape == GRID.shape
    assert int(mask.sum()) == 8
    assert any("another grid" in n for n in found.notes)


def test_labels_that_lie_elsewhere_are_refused(tmp_path: Path):
    away = np.diag([2.0, 2.0, 2.0, 1.0])
    away[2, 3] = 500.0
    file = images.write_nifti(Volume.of(label_map(a=78).array, away), tmp_path / "l.nii.gz")
    with pytest.raises(ImageError, match="do not meet"):
        labels.read(file, GRID)


def test_labels_of_a_part_say_so(tmp_path: Path):
    part = Volume.of(label_map(a=78).array[:2], np.diag([2.0, 2.0, 2.0, 1.0]))
    found = labels.read(images.write_nifti(part, tmp_path / "l.nii.gz"), GRID)
    assert any("beyond that nothing is drawn: unknown" in n for n in found.notes)


def test_interpolated_labels_are_refused(tmp_path: Path):
    file = images.write_nifti(Volume(np.full(GRID.shape, 1.5, np.float32), GRID), tmp_path / "l.nii.gz")
    with pytest.raises(ImageError, match="not whole"):
        labels.read(file, GRID)


def test_empty_outlines_are_refused(tmp_path: Path):
    file = images.write_nifti(Volume(np.zeros(GRID.shape, np.uint8), GRID), tmp_path / "l.nii.gz")
    with pytest.raises(ImageError, match="is empty"):
        labels.read(file, GRID)
    with pytest.raises(ImageError, match="is empty"):
        labels.read_mask(file, GRID)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(MissingError):
        labels.read(tmp_path / "nothing", GRID)


@pytest.mark.real
def test_real_pelvis_ct_has_61_labels_by_name(real):
    folder = real("pelvis_ct")
    image = images.read(folder / "example_ct.nii.gz").volume
    file = folder / "example_seg_fast_force_split.nii.gz"
    numbers = set(np.unique(read_numbers(file))) - {0}
    assert len(numbers) == 61
    assert all(int(n) in labels.totalsegmentator() for n in numbers)
    found = labels.read(file, image.grid)
    assert found.unmapped == ()
    assert {"vertebra_L3", "hip_right", "spinal_cord", "femur_left", "iliopsoas_right"} <= {k.id for k in found.masks}
    metal = image.array > 2000
    assert int((metal & found.masks[structure("femur_left")].array).sum()) == int(metal.sum()) == 529


def read_numbers(file: Path) -> np.ndarray:
    from osteon.io.nifti import read_volume

    return read_volume(file, integer=True).array


@pytest.mark.real
def test_real_pelvis_ct_las_labels_lie_on_the_liver(real):
    """Known answer of the data's README: mean HU 89 under "liver" with the affines, -75 in raw array order."""
    folder = real("pelvis_ct")
    image = images.read(folder / "example_ct_dicom").volume
    found = labels.read(folder / "example_seg_dicom.nii.gz", image.grid)
    assert len(found.masks) == 31
    liver = found.masks[structure("liver")].array
    assert float(image.array[liver].mean()) == pytest.approx(89.0, abs=0.5)


@pytest.mark.real
def test_real_pelvis_ct_crop_with_the_wrong_affine_has_another_shape(real):
    """The crop keeps the affine of the whole; labels of the crop do not cover the whole, and that is said."""
    folder = real("pelvis_ct")
    image = images.read(folder / "example_ct.nii.gz").volume
    found = labels.read(folder / "example_seg.nii.gz", image.grid)
    assert any("beyond that nothing is drawn: unknown" in n for n in found.notes)
