"""Left is left: one asymmetric phantom, eight orientations, DICOM and NIfTI, tilted or not, gives the same patient."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_made import write_slices

from osteon.assessment.assess import assess
from osteon.case.load import load_case
from osteon.io import images
from osteon.space.volume import Volume

SPACING_MM = 3.0
RADIUS_MM = 12.0
LESION_MM = np.array([60.0, 20.0, -480.0])
ORIENTATIONS = [((0, 1, 2), f) for f in product((False, True), repeat=2)] + [
    ((2, 0, 1), (False, False)),
    ((0, 2, 1), (True, False)),
    ((1, 2, 0), (False, True)),
    ((1, 0, 2), (True, True)),
]
"""Which patient axis each file axis follows, and whether columns and rows are flipped; slices make it right-handed."""
TILT_DEGREES = (0.0, 15.0)


def phantom_at(mm: np.ndarray) -> np.ndarray:
    """HU at places (..., 3): a body, a bone on the left with a hole in it, a marker to the front right near the head.

    Edges are ramps 6 mm wide, so that a shift of a fraction of a voxel interpolates the same thing.
    """
    x, y, _ = np.moveaxis(mm, -1, 0)
    body = soft(100.0 - np.hypot(x, (y - 10) * 1.2))
    bone = soft(25.0 - np.hypot(x - 60, y - 20))
    hole = soft(RADIUS_MM - np.linalg.norm(mm - LESION_MM, axis=-1))
    marker = soft(12.0 - np.linalg.norm(mm - np.array([-50.0, -30.0, -440.0]), axis=-1))
    return -1000.0 + 1040.0 * body + (660.0 - 640.0 * hole) * bone + 400.0 * marker


def soft(inside_mm: np.ndarray) -> np.ndarray:
    return np.clip(inside_mm / 6.0 + 0.5, 0.0, 1.0)


def stack(order: tuple[int, ...], flips: tuple[bool, bool], tilt_degrees: float) -> Volume:
    """The phantom on a grid whose axes follow the patient's in some order; a tilt slides slices along their columns."""
    axes = np.eye(3)[:, list(order)]
    for axis, flip in enumerate(flips):
        axes[:, axis] *= -1 if flip else 1
    if np.linalg.det(axes) < 0:
        axes[:, 2] *= -1
    turn = np.deg2rad(tilt_degrees)
    affine = np.eye(4)
    affine[:3, :3] = axes * SPACING_MM
    affine[:3, 2] += axes[:, 1] * SPACING_MM * np.tan(turn)
    extent = np.array([240.0, 210.0, 150.0])[list(order)]
    count = np.ceil(extent / SPACING_MM).astype(int)
    affine[:3, 3] = np.array([0.0, 10.0, -480.0]) - affine[:3, :3] @ ((count - 1) / 2)
    grid = Volume.of(np.zeros(tuple(count[::-1]), np.float32), affine).grid
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1)
    return Volume(np.rint(phantom_at(grid.to_mm(index))).astype(np.float32), grid)


def write(volume: Volume, folder: Path, kind: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "dicom":
        write_slices(volume, folder / "ct")
        return "ct"
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.grid.matrix
    image = nib.Nifti1Image(volume.array.transpose(2, 1, 0), affine)
    image.set_sform(affine, code=1)
    image.set_qform(None, code=0)  # a qform cannot hold a shear
    nib.save(image, folder / "ct.nii.gz")
    return "ct.nii.gz"


@pytest.mark.parametrize("tilt", TILT_DEGREES)
@pytest.mark.parametrize("kind", ["dicom", "nifti"])
@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS)
def test_every_voxel_is_the_phantom_at_its_place(tmp_path: Path, order, flips, kind, tilt):
    """Linear interpolation of a 6 mm ramp at 3 mm spacing errs by less than a tenth of its height; nothing is mirrored."""
    volume = stack(order, flips, tilt)
    found = images.read(tmp_path / write(volume, tmp_path, kind))
    directions = found.volume.grid.matrix[:3, :3] / SPACING_MM
    assert (np.diag(directions) > 0.9).all()
    index = np.stack(np.meshgrid(*(np.arange(n) for n in found.volume.grid.shape), indexing="ij"), -1)
    expected = phantom_at(found.volume.grid.to_mm(index))
    error = np.abs(found.volume.array - expected)[found.imaged.array]
    assert error.mean() < 5.0
    assert error.max() < (260.0 if tilt else 1.0)
    assert found.imaged.array.sum() >= (0.9 if tilt else 1.0) * volume.array.size
    for place, value in (((60, 20, -480), 60.0), ((60, 20, -500), 700.0), ((-50, -30, -440), 440.0), ((-60, 20, -480), 40.0)):
        assert float(found.volume.sample(np.array(place, float))) == pytest.approx(value, abs=60.0)


def case_of(folder: Path, volume: Volume, kind: str) -> Path:
    name = write(volume, folder, kind)
    x, y, z = LESION_MM
    (folder / "case.yaml").write_text(
        f"""schema: osteon-case/1
patient: asymmetric
date: 2025-03-03
studies:
  - {{id: ct1, modality: CT, file: {name}, contrast: false}}
structures:
  femur_left: {{sphere_mm: {{center: [60, 20, -480], diameter: 50 mm}}}}
lesions:
  - id: L1
    bone: femur_left
    outline: {{sphere_mm: {{center: [{x}, {y}, {z}], diameter: {2 * RADIUS_MM} mm}}}}
""",
        encoding="utf-8",
    )
    return folder


MEASURED = ("volume_ml", "size_max_mm", "size_lr_mm", "size_ap_mm", "size_si_mm", "mean_hu", "depth_from_skin_mm")


def facts_of(folder: Path, volume: Volume, kind: str) -> dict[str, object]:
    lesion = assess(load_case(case_of(folder, volume, kind))).lesions[0]
    said: dict[str, object] = {
        n: lesion.facts[n].value for n in ("side", "bone", "long_bone", "lesion_type", "contrast_enhanced")
    }
    for name in MEASURED:
        state = lesion.facts[name].state
        ends = (state.value,) * 2 if hasattr(state, "value") else (state.low, state.high) if hasattr(state, "low") else None
        said[name] = ends
    return said


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> dict[str, object]:
    return facts_of(tmp_path_factory.mktemp("reference"), stack((0, 1, 2), (False, False), 0.0), "dicom")


@pytest.mark.parametrize("tilt", TILT_DEGREES)
@pytest.mark.parametrize("kind", ["dicom", "nifti"])
@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS)
def test_facts_are_the_same_in_every_orientation(tmp_path: Path, reference, order, flips, kind, tilt):
    """One voxel for lengths, 10 % for the volume, the ramp's blur for HU; words must be equal."""
    found = facts_of(tmp_path, stack(order, flips, tilt), kind)
    assert reference["side"] == "left"
    for name in ("side", "bone", "long_bone", "lesion_type", "contrast_enhanced"):
        assert found[name] == reference[name], name
    for name in MEASURED:
        assert (found[name] is None) == (reference[name] is None), name
        if reference[name] is not None:
            scale = 0.1 * reference[name][1] if name == "volume_ml" else 30.0 if name == "mean_hu" else SPACING_MM
            np.testing.assert_allclose(found[name], reference[name], atol=scale, rtol=0, err_msg=name)
