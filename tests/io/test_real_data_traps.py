"""Traps of the shared images that no reader's own test covers: what was measured on the files must come out again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from osteon.io import images, labels, nifti
from osteon.space.anatomy import structure

Real = Callable[[str], Path]
pytestmark = pytest.mark.real


def test_real_pelvis_ct_two_runs_of_one_model_do_not_agree_everywhere(real: Real):
    whole = nifti.read_volume(real("pelvis_ct/example_seg_fast_force_split.nii.gz"), integer=True).array
    again = nifti.read_volume(real("pelvis_ct/example_seg.nii.gz"), integer=True).array
    assert again.shape[0] == 30
    assert float((whole[82:112] == again).mean()) == pytest.approx(0.979, abs=0.001)


def test_real_pelvis_ct_a_threshold_is_not_a_bone_mask(real: Real):
    image = images.read(real("pelvis_ct/example_ct.nii.gz")).volume
    read = labels.read(real("pelvis_ct/example_seg_fast_force_split.nii.gz"), image.grid)
    counted = [mask.array for key, mask in read.masks.items() if key.kind == "bone" or key.id == "costal_cartilage"]
    bone = np.logical_or.reduce(counted)  # one dense voxel lies in cartilage, which the data page counts as labelled bone
    dense = image.array > 300
    assert int(dense.sum()) == 14_401
    assert int((dense & ~bone).sum()) == 209


def test_real_pelvis_ct_a_label_map_in_turned_axes_meets_its_organ(real: Real):
    image = images.read(real("pelvis_ct/example_ct_dicom")).volume
    read = labels.read(next(p for p in real("pelvis_ct").iterdir() if p.name.startswith("example_seg_dicom")), image.grid)
    assert float(image.array[read.masks[structure("liver")].array].mean()) == pytest.approx(89, abs=1)


@pytest.mark.parametrize(("name", "at_half", "above_nothing"), [("1125.png", 152, 301), ("1240.png", 278, 677)])
def test_real_bone_metastases_2d_edges_of_masks_are_grey(real: Real, name: str, at_half: int, above_nothing: int):
    from PIL import Image

    folder = real("bone_metastases_2d")
    assert {p.name for p in (folder / "images").iterdir()} == {p.name for p in (folder / "masks").iterdir()}
    grey = np.asarray(Image.open(folder / "masks" / name).convert("L"))
    assert int((grey > 127).sum()) == at_half
    assert int((grey > 0).sum()) == above_nothing
