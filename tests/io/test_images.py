"""NIfTI and DICOM: every orientation gives the same patient, and what cannot be used is refused in three parts."""

from __future__ import annotations

import shutil
from datetime import date
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.errors import ImageError, MissingError
from osteon.io import images
from osteon.io.nifti import read_volume
from osteon.space.volume import Volume


def sample(seed: int = 0, shape: tuple[int, int, int] = (6, 7, 8)) -> Volume:
    """A small CT-like volume with unequal spacing and no symmetry."""
    random = np.random.default_rng(seed)
    affine = np.diag([1.5, 0.7, 2.5, 1.0])
    affine[:3, 3] = (-40.0, 12.5, -300.0)
    return Volume.of(random.integers(-1000, 1500, shape).astype(np.float32), affine)


def reoriented(volume: Volume, order: tuple[int, ...], flips: tuple[bool, ...]) -> Volume:
    """The same voxels in the same places, stored along other axes."""
    array = np.transpose(volume.array, [2 - order[2], 2 - order[1], 2 - order[0]])
    affine = volume.grid.matrix[:, [*order, 3]]
    for axis, flip in enumerate(flips):
        if flip:
            count = array.shape[2 - axis]
            array = np.flip(array, axis=2 - axis)
            affine[:3, 3] += affine[:3, axis] * (count - 1)
            affine[:3, axis] *= -1
    return Volume.of(np.ascontiguousarray(array), affine)


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("flips", list(product((False, True), repeat=3)))
def test_nifti_in_any_of_48_orientations_is_the_same_patient(tmp_path: Path, order, flips):
    volume = sample()
    file = images.write_nifti(reoriented(volume, order, flips), tmp_path / "a.nii")
    found = images.read(file).volume
    assert found.grid.same_as(volume.grid, 1e-3)
    np.testing.assert_array_equal(found.array, volume.array)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), angle=st.floats(-40, 40))
def test_nifti_round_trip_of_a_tilted_grid_keeps_every_place(tmp_path_factory, seed, angle):
    folder = tmp_path_factory.mktemp("tilt")
    turn = np.deg2rad(angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    volume = sample(seed)
    matrix = volume.grid.matrix
    matrix[:3, :3] = rotation @ matrix[:3, :3]
    tilted = Volume.of(volume.array, matrix)
    back = read_volume(images.write_nifti(tilted, folder / "t.nii.gz"))
    np.testing.assert_allclose(back.grid.corners_mm(), tilted.grid.corners_mm(), atol=1e-3)
    np.testing.assert_array_equal(back.array, tilted.array)


def test_nifti_world_is_ras_ours_is_lps(tmp_path: Path):
    """NIfTI-1 standard: +x right, +y anterior, +z superior in the file's header is mirrored to LPS by the reader."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (10.0, 20.0, 30.0)
    array = np.zeros((4, 5, 6), np.float32)
    array[1, 2, 3] = 100.0
    nib.save(nib.Nifti1Image(array, affine), tmp_path / "a.nii")
    volume = images.read(tmp_path / "a.nii").volume
    place = volume.grid.to_mm(np.argwhere(volume.array == 100.0))[0]
    np.testing.assert_allclose(place, [-12.0, -24.0, 36.0], atol=1e-4)


def test_nifti_scale_slope_is_applied(tmp_path: Path):
    image = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    image.header.set_slope_inter(2.0, -1024.0)
    nib.save(image, tmp_path / "s.nii.gz")
    stored = nib.load(tmp_path / "s.nii.gz")
    expected = np.asarray(stored.dataobj, np.float32)
    found = images.read(tmp_path / "s.nii.gz").volume
    assert float(found.array.max()) == pytest.approx(float(expected.max()))


def test_nifti_equal_volumes_give_equal_bytes(tmp_path: Path):
    one = images.write_nifti(sample(), tmp_path / "one.nii.gz").read_bytes()
    two = images.write_nifti(sample(), tmp_path / "two.nii.gz").read_bytes()
    assert one == two


def write_raw(path: Path, array: np.ndarray, affine: np.ndarray, sform: int = 1, qform: int = 0) -> Path:
    good = np.where(np.isfinite(affine), affine, 1.0)
    image = nib.Nifti1Image(array, good)
    image.set_sform(good, code=sform)
    image.set_qform(None if sform else good, code=qform)
    nib.save(image, path)
    data = bytearray(path.read_bytes())
    data[280:328] = affine[:3].astype("<f4").tobytes()  # srow_x, srow_y, srow_z of the NIfTI-1 header
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize(
    ("array", "affine", "sform", "word"),
    [
        (np.zeros((3, 3, 3, 2), np.float32), np.eye(4), 1, "dimensions"),
        (np.zeros((3, 3, 3), np.float32), np.eye(4), 0, "neither sform nor qform"),
        (np.zeros((3, 3, 3), np.float32), np.diag([np.nan, 1, 1, 1]), 1, "not numbers"),
        (
            np.zeros((3, 3, 3), np.float32),
            np.array([[1, 0.2, 0.3, 0], [0, 1, 0.2, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
            1,
            "askew|right angles",
        ),
    ],
)
def test_nifti_that_has_no_place_is_refused(tmp_path: Path, array, affine, sform, word):
    with pytest.raises(ImageError, match=word) as caught:
        images.read(write_raw(tmp_path / "a.nii", array, affine, sform))
    assert caught.value.why
    assert caught.value.do


def test_nifti_sform_against_qform_is_refused(tmp_path: Path):
    image = nib.Nifti1Image(np.zeros((4, 4, 4), np.float32), np.eye(4))
    moved = np.eye(4)
    moved[0, 3] = 5.0
    image.set_sform(np.eye(4), code=1)
    image.set_qform(moved, code=1)
    nib.save(image, tmp_path / "a.nii")
    with pytest.raises(ImageError, match="sform and a qform that disagree"):
        images.read(tmp_path / "a.nii")


def test_nifti_cut_short_is_refused(tmp_path: Path):
    file = images.write_nifti(sample(), tmp_path / "a.nii.gz")
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(ImageError, match="cannot be read"):
        images.read(file)


def test_not_a_number_and_padding_are_not_imaged(tmp_path: Path):
    volume = sample(shape=(10, 20, 20))
    array = volume.array.copy()
    array[0, 0, 0] = np.nan
    array[:, :5] = -3024.0
    found = images.read(images.write_nifti(volume.with_array(array), tmp_path / "a.nii"))
    np.testing.assert_array_equal(found.imaged.array, np.isfinite(array) & (array > -3000))
    assert np.isfinite(found.volume.array).all()


def test_nothing_there(tmp_path: Path):
    with pytest.raises(MissingError, match="no file or folder"):
        images.read(tmp_path / "nowhere")
    with pytest.raises(MissingError, match="no DICOM image"):
        images.read(tmp_path)


def written(tmp_path: Path, volume: Volume | None = None) -> Path:
    images.write_series(volume or sample(), tmp_path / "s", patient="p", day=date(2025, 3, 3), patient_position="HFP")
    return tmp_path / "s"


def test_dicom_round_trip(tmp_path: Path):
    found = images.read(written(tmp_path))
    np.testing.assert_array_equal(found.volume.array, sample().array)
    assert found.volume.grid.same_as(sample().grid, 1e-3)
    assert (found.modality, found.date, found.patient_position) == ("CT", date(2025, 3, 3), "HFP")
    assert found.imaged.array.all()


@pytest.mark.parametrize(
    ("order", "flips"), [((1, 2, 0), (False, True, False)), ((2, 0, 1), (True, True, False)), ((0, 1, 2), (True, True, False))]
)
def test_dicom_in_other_orientations_is_the_same_patient(tmp_path: Path, order, flips):
    turned = reoriented(sample(), order, flips)
    if np.linalg.det(turned.grid.matrix[:3, :3]) < 0:
        turned = reoriented(turned, (0, 1, 2), (False, False, True))
    found = images.read(written(tmp_path, turned)).volume
    np.testing.assert_array_equal(found.array, sample().array)
    assert found.grid.same_as(sample().grid, 1e-3)


def test_dicom_oblique(tmp_path: Path):
    turn = np.deg2rad(25)
    matrix = sample().grid.matrix
    matrix[:3, :3] = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]]) @ matrix[:3, :3]
    volume = Volume.of(sample().array, matrix)
    found = images.read(written(tmp_path, volume)).volume
    np.testing.assert_allclose(found.grid.corners_mm(), volume.grid.corners_mm(), atol=1e-3)


def test_dicom_is_valid_reproducible_and_carries_no_time(tmp_path: Path):
    one, two = written(tmp_path / "1"), written(tmp_path / "2")
    assert [p.read_bytes() for p in sorted(one.iterdir())] == [p.read_bytes() for p in sorted(two.iterdir())]
    data = pydicom.dcmread(sorted(one.iterdir())[0])
    assert data.SOPClassUID.name == "CT Image Storage"
    assert data.file_meta.TransferSyntaxUID.name == "Explicit VR Little Endian"
    assert len({pydicom.dcmread(p).SOPInstanceUID for p in one.iterdir()}) == 6
    for required in (
        "PatientID",
        "StudyInstanceUID",
        "FrameOfReferenceUID",
        "ImageOrientationPatient",
        "RescaleSlope",
        "ImageType",
    ):
        assert required in data


def change(folder: Path, what) -> Path:
    for index, file in enumerate(sorted(folder.iterdir())):
        data = pydicom.dcmread(file)
        what(index, data)
        data.save_as(file)
    return folder


def test_dicom_sorted_by_place_not_by_name_number_or_uid(tmp_path: Path):
    folder = written(tmp_path)

    def scramble(index, data):
        data.InstanceNumber = 1
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
        data.SliceThickness = "9"

    change(folder, scramble)
    for index, file in enumerate(sorted(folder.iterdir())):
        file.rename(folder / f"{(index * 5) % 7:02d}")
    found = images.read(folder).volume
    np.testing.assert_array_equal(found.array, sample().array)
    assert found.spacing_mm[0] == pytest.approx(2.5)


def test_dicom_rescale_differs_per_slice(tmp_path: Path):
    def rescale(index, data):
        data.RescaleSlope, data.RescaleIntercept = str(index + 1), "-10"

    found = images.read(change(written(tmp_path), rescale)).volume.array
    np.testing.assert_allclose(found, sample().array * np.arange(1, 7)[:, None, None] - 10)


def test_dicom_padding_is_not_imaged(tmp_path: Path):
    array = sample().array.copy()
    array[2, :3] = -2000

    def pad(index, data):
        data.add_new("PixelPaddingValue", "SS", -2000)

    found = images.read(change(written(tmp_path, sample().with_array(array)), pad))
    np.testing.assert_array_equal(found.imaged.array, array != -2000)
    assert float(found.volume.array[2, 0, 0]) == -1024.0


def test_dicom_missing_slice(tmp_path: Path):
    folder = written(tmp_path)
    sorted(folder.iterdir())[3].unlink()
    with pytest.raises(ImageError, match=r"CT_0003.dcm and CT_0005.dcm are 5.00 mm apart where 2.50"):
        images.read(folder)


def test_dicom_double_slice_is_dropped_where_equal_and_refused_where_not(tmp_path: Path):
    folder = written(tmp_path)
    shutil.copy(sorted(folder.iterdir())[3], folder / "again.dcm")
    found = images.read(folder)
    np.testing.assert_array_equal(found.volume.array, sample().array)
    assert any("1 slices are there twice with equal pixels" in note for note in found.notes)
    data = pydicom.dcmread(folder / "again.dcm")
    data.PixelData = bytes(len(data.PixelData))
    data.save_as(folder / "again.dcm")
    with pytest.raises(ImageError, match="lie in the same place and differ"):
        images.read(folder)


def test_dicom_two_series_are_listed_unless_one_is_asked_for(tmp_path: Path):
    folder = written(tmp_path)
    images.write_series(sample(1), tmp_path / "other", patient="p", description="second")
    for file in (tmp_path / "other").iterdir():
        shutil.copy(file, folder / f"b_{file.name}")
    with pytest.raises(ImageError, match=r"2 stacks of slices: .*osteon \(6 slices\); .*second \(6 slices\)"):
        images.read(folder)
    np.testing.assert_array_equal(images.read(folder, series="second").volume.array, sample(1).array)
    with pytest.raises(ImageError, match="0 stacks"):
        images.read(folder, series="third")


def test_dicom_slices_off_the_line_are_refused(tmp_path: Path):
    def jump(index, data):
        x, y, z = data.ImagePositionPatient
        data.ImagePositionPatient = [x, y + (3.0 if index > 2 else 0.0), z]

    with pytest.raises(ImageError, match="do not lie along a line"):
        images.read(change(written(tmp_path), jump))


def test_dicom_one_slice_or_no_position(tmp_path: Path):
    folder = written(tmp_path)

    def forget(index, data):
        if index == 2:
            del data.ImagePositionPatient

    with pytest.raises(ImageError, match="has no ImagePositionPatient"):
        images.read(change(folder, forget))
    for file in sorted(folder.iterdir())[1:]:
        file.unlink()
    with pytest.raises(ImageError, match="one slice"):
        images.read(folder)


def test_ct_is_told_from_mr():
    random = np.random.default_rng(0)
    mr = sample().with_array(random.uniform(0, 800, sample().array.shape).astype(np.float32))
    with pytest.raises(ImageError, match="no fat, no air"):
        images.check_ct(mr, Path("mr.nii"))
    images.check_ct(sample(), Path("ct.nii"))


@pytest.mark.real
def test_real_pelvis_ct_nifti(real):
    image = images.read(real("pelvis_ct") / "example_ct.nii.gz")
    assert image.volume.array.shape == (112, 101, 122)
    assert image.volume.spacing_mm == pytest.approx((3.0, 3.0, 3.0))
    assert (image.volume.array.min(), image.volume.array.max()) == (-1207.0, 3382.0)
    assert int((image.volume.array > 2000).sum()) == 529
    assert int((image.volume.array < -1024).sum()) == 124
    assert image.imaged.array.all()


@pytest.mark.real
def test_real_pelvis_ct_dicom_with_empty_uids_does_not_collapse(real):
    image = images.read(real("pelvis_ct") / "example_ct_dicom")
    assert image.volume.array.shape == (20, 512, 512)
    assert image.volume.spacing_mm == pytest.approx((2.0, 0.9765625, 0.9765625))
    z = image.volume.grid.corners_mm()[:, 2]
    assert (z.min(), z.max()) == pytest.approx((-804.5, -766.5))
    assert image.patient_position == "HFS"


@pytest.mark.real
def test_real_pelvis_ct_mr_is_refused_as_ct(real):
    file = real("pelvis_ct") / "example_mr_sm.nii.gz"
    image = images.read(file)
    assert (image.volume.array.min(), image.volume.array.max()) == (-47.0, 833.0)
    with pytest.raises(ImageError):
        images.check_ct(image.volume, file)
