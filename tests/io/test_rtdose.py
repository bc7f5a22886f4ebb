"""RT dose: in Gy where it lies, in every form of frame offsets; what an organ received; what must be refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from osteon.errors import ImageError, MissingError
from osteon.facts import Known, NotApplicable, Unknown
from osteon.io.dicom_objects import ImageUids
from osteon.io.rtdose import organ_dose, read_dose
from osteon.space.volume import Volume

SHAPE = (5, 6, 7)
STORED = np.arange(np.prod(SHAPE), dtype=np.uint32).reshape(SHAPE) * 1000


def write(path: Path, **changes) -> Path:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.481.2", "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = "1.2.840.10008.5.1.4.1.1.481.2", "1.2.3", "RTDOSE"
    data.FrameOfReferenceUID = "1.9"
    data.Rows, data.Columns, data.NumberOfFrames = SHAPE[1], SHAPE[2], SHAPE[0]
    data.BitsAllocated = data.BitsStored = 32
    data.HighBit, data.PixelRepresentation, data.SamplesPerPixel, data.PhotometricInterpretation = 31, 0, 1, "MONOCHROME2"
    data.ImagePositionPatient, data.ImageOrientationPatient = [-10, 20, -300], [1, 0, 0, 0, 1, 0]
    data.PixelSpacing, data.GridFrameOffsetVector = [2, 3], [0, 2.5, 5, 7.5, 10]
    data.DoseUnits, data.DoseType, data.DoseSummationType, data.DoseGridScaling = "GY", "PHYSICAL", "PLAN", "1e-4"
    data.PixelData = STORED.tobytes()
    data["PixelData"].VR = "OW"
    for key, value in changes.items():
        if value is None:
            delattr(data, key)
        else:
            setattr(data, key, value)
    data.save_as(path, enforce_file_format=True)
    return path


def test_values_and_places(tmp_path: Path):
    dose = read_dose(write(tmp_path / "d"))
    np.testing.assert_allclose(dose.volume.array, STORED * 1e-4, rtol=1e-6)
    np.testing.assert_allclose(dose.volume.grid.to_mm(np.array([2, 3, 4])), [-10 + 12, 20 + 6, -295])
    assert dose.volume.spacing_mm == (2.5, 2.0, 3.0)
    assert (dose.kind, dose.summation, dose.notes) == ("PHYSICAL", "PLAN", ())


def test_offsets_as_patient_z_are_the_same_dose(tmp_path: Path):
    """PS3.3 C.8.8.3.2: a vector that begins with the first plane's z holds patient coordinates."""
    dose = read_dose(write(tmp_path / "d", GridFrameOffsetVector=[-300, -297.5, -295, -292.5, -290]))
    plain = read_dose(write(tmp_path / "e"))
    assert dose.volume.grid.same_as(plain.volume.grid)
    np.testing.assert_array_equal(dose.volume.array, plain.volume.array)


def test_falling_offsets_are_sorted_by_place(tmp_path: Path):
    dose = read_dose(write(tmp_path / "d", GridFrameOffsetVector=[0, -2.5, -5, -7.5, -10]))
    np.testing.assert_allclose(dose.volume.array, STORED[::-1] * 1e-4, rtol=1e-6)
    np.testing.assert_allclose(dose.volume.grid.to_mm(np.zeros(3)), [-10, 20, -310])


def test_uneven_offsets_are_interpolated_and_said(tmp_path: Path):
    offsets = np.array([0, 2.5, 5, 10, 15])
    z_only = np.broadcast_to((offsets * 400).astype(np.uint32)[:, None, None], SHAPE)
    dose = read_dose(write(tmp_path / "d", GridFrameOffsetVector=offsets.tolist(), PixelData=z_only.tobytes()))
    at = dose.volume.grid.to_mm(np.array([[k, 0, 0] for k in range(dose.volume.array.shape[0])]))[:, 2] + 300
    np.testing.assert_allclose(dose.volume.array[:, 0, 0], at * 0.04, atol=1e-4)
    assert "interpolated" in dose.notes[0]


def test_oblique_dose(tmp_path: Path):
    turn = np.deg2rad(20)
    row, column = [1.0, 0.0, 0.0], [0.0, np.cos(turn), np.sin(turn)]
    dose = read_dose(write(tmp_path / "d", ImageOrientationPatient=[*row, *column]))
    normal = np.cross(row, column)
    expected = np.array([-10, 20, -300]) + np.array(row) * 3 + np.array(column) * 4 + normal * 5
    np.testing.assert_allclose(dose.volume.grid.to_mm(np.array([2, 2, 1])), expected, atol=1e-6)


def test_a_part_of_the_treatment_is_said(tmp_path: Path):
    assert "not the whole treatment" in read_dose(write(tmp_path / "d", DoseSummationType="BEAM")).notes[0]
    assert "effective" in read_dose(write(tmp_path / "d", DoseType="EFFECTIVE")).notes[0]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"DoseUnits": "RELATIVE"}, "RELATIVE"),
        ({"DoseUnits": None}, "none"),
        ({"DoseType": "ERROR"}, "ERROR"),
        ({"DoseGridScaling": None}, "DoseGridScaling"),
        ({"DoseGridScaling": "0"}, "DoseGridScaling"),
        ({"GridFrameOffsetVector": None}, "GridFrameOffsetVector"),
        ({"GridFrameOffsetVector": [0, 1]}, "GridFrameOffsetVector"),
        ({"GridFrameOffsetVector": [0, 1, 1, 2, 3]}, "one place"),
        ({"GridFrameOffsetVector": [7, 8, 9, 10, 11]}, "neither 0"),
        ({"PixelData": STORED.tobytes()[:100]}, "damaged"),
        ({"PixelSpacing": [0, 1]}, "pixels"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "right angles"),
        ({"ImagePositionPatient": None}, "ImagePositionPatient"),
        ({"Modality": "CT"}, "modality CT"),
    ],
)
def test_refused_in_three_parts(tmp_path: Path, changes, word):
    with pytest.raises(ImageError, match=word) as caught:
        read_dose(write(tmp_path / "d", **changes))
    assert caught.value.why
    assert caught.value.do


def test_other_frame_or_no_file(tmp_path: Path):
    uids = ImageUids("1", "2", "1.8", {})
    with pytest.raises(ImageError, match="frame of reference"):
        read_dose(write(tmp_path / "d"), uids)
    with pytest.raises(MissingError):
        read_dose(tmp_path / "nothing")


def test_organ_dose_by_hand(tmp_path: Path):
    """A linear dose is interpolated without error; D2ml counts voxels of 0.125 ml by hand."""
    stored = np.broadcast_to(np.arange(7, dtype=np.uint32) * 10000, SHAPE)
    dose = read_dose(
        write(tmp_path / "d", PixelData=stored.tobytes(), PixelSpacing=[5, 5], GridFrameOffsetVector=[0, 5, 10, 15, 20])
    )
    mask = np.zeros(SHAPE, bool)
    mask[1:4, 1:4, 1:5] = True  # 36 voxels of 0.125 ml, doses 1, 2, 3, 4 Gy, nine each
    facts = organ_dose(dose, Volume(mask, dose.volume.grid), "bowel")
    values = {k: f.value for k, f in facts.items()}
    assert values["dose_max_gy"] == pytest.approx(4.0)
    assert values["dose_mean_gy"] == pytest.approx(2.5)
    assert values["dose_min_gy"] == pytest.approx(1.0)
    assert values["dose_d2ml_gy"] == pytest.approx(3.0)  # 16 hottest voxels: nine of 4 Gy, seven of 3 Gy
    assert values["dose_d0_03ml_gy"] == pytest.approx(4.0)
    assert all(f.unit == "Gy" for f in facts.values())
    affine = dose.volume.grid.matrix
    affine[:3, 3] += (2.5, 0, 0)
    half = organ_dose(dose, Volume.of(mask, affine), "bowel")
    assert half["dose_mean_gy"].value == pytest.approx(3.0)


def test_small_organs_and_organs_beyond_the_grid_have_no_number(tmp_path: Path):
    dose = read_dose(write(tmp_path / "d"))
    mask = np.zeros(SHAPE, bool)
    mask[2, 2, 2] = True
    facts = organ_dose(dose, Volume(mask, dose.volume.grid), "nerve")
    assert isinstance(facts["dose_d2ml_gy"].state, NotApplicable)
    assert isinstance(facts["dose_max_gy"].state, Known)
    affine = dose.volume.grid.matrix
    affine[2, 3] += 100
    out = organ_dose(dose, Volume.of(mask, affine), "nerve")
    assert all(isinstance(f.state, Unknown) and "outside the dose grid" in f.state.why for f in out.values())
    with pytest.raises(ImageError, match="empty"):
        organ_dose(dose, Volume(np.zeros(SHAPE, bool), dose.volume.grid), "nerve")
