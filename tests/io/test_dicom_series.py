"""What hospitals send: compressed, several series, lost and doubled slices, tilt, padding, enhanced, no names, no UIDs."""

from __future__ import annotations

import shutil
import sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from dicom_made import base, change, jpeg2000, write_enhanced, write_slices

from osteon.errors import ImageError, MissingError, OsteonError
from osteon.io import dicom_pixels, images
from osteon.space.volume import Volume


def sample(seed: int = 0, shape: tuple[int, int, int] = (6, 20, 24)) -> Volume:
    random = np.random.default_rng(seed)
    affine = np.diag([1.5, 0.75, 2.5, 1.0])
    affine[:3, 3] = (-40.0, 12.5, -300.0)
    return Volume.of(random.integers(-1000, 1500, shape).astype(np.float32), affine)


def same(found: images.ImageFile, volume: Volume) -> None:
    np.testing.assert_array_equal(found.volume.array, volume.array)
    assert found.volume.grid.same_as(volume.grid, 1e-3)


# --- compressed


@pytest.mark.parametrize("syntax", [pydicom.uid.RLELossless, pydicom.uid.JPEGLSLossless])
def test_compressed_by_pydicom_is_read_exactly(tmp_path: Path, syntax):
    if syntax == pydicom.uid.JPEGLSLossless:
        pytest.importorskip("jpeg_ls")
    folder = change(write_slices(sample(), tmp_path / "s"), lambda i, d: d.compress(syntax, generate_instance_uid=False))
    same(images.read(folder), sample())


def test_jpeg_2000_lossless_is_read_exactly(tmp_path: Path):
    folder = change(write_slices(sample(), tmp_path / "s"), lambda i, d: jpeg2000(d))
    assert pydicom.dcmread(next(folder.iterdir())).file_meta.TransferSyntaxUID == pydicom.uid.JPEG2000Lossless
    same(images.read(folder), sample())


def jpeg_lossless(folder: Path) -> Path:
    sitk = pytest.importorskip("SimpleITK")

    def compress(index, data):
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.SetUseCompression(True)
        writer.SetCompressor("JPEG")
        writer.SetFileName(str(folder.parent / "made.dcm"))
        writer.Execute(sitk.GetImageFromArray(data.pixel_array.astype(np.uint16)))
        made = pydicom.dcmread(folder.parent / "made.dcm")
        data.PixelData = made.PixelData
        data["PixelData"].is_undefined_length = True
        data.file_meta.TransferSyntaxUID = made.file_meta.TransferSyntaxUID

    return change(folder, compress)


def test_jpeg_lossless_is_read_exactly_through_simpleitk(tmp_path: Path):
    folder = jpeg_lossless(write_slices(sample(), tmp_path / "s"))
    assert pydicom.dcmread(next(folder.iterdir())).file_meta.TransferSyntaxUID == pydicom.uid.JPEGLosslessSV1
    same(images.read(folder), sample())


def test_a_missing_decoder_is_named_with_what_to_install(tmp_path: Path, monkeypatch):
    folder = change(write_slices(sample(), tmp_path / "s"), lambda i, d: jpeg2000(d))
    monkeypatch.setattr(dicom_pixels, "get_decoder", lambda syntax: SimpleNamespace(is_available=False))
    with pytest.raises(MissingError, match=r"compressed as JPEG 2000.*no decoder") as caught:
        images.read(folder)
    assert "Install pillow" in caught.value.do
    lossless = jpeg_lossless(write_slices(sample(), tmp_path / "t"))
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(MissingError, match="JPEG Lossless") as caught:
        images.read(lossless)
    assert "SimpleITK" in caught.value.do


# --- which series


def test_series_are_listed_and_one_is_asked_for(tmp_path: Path):
    write_slices(sample(), tmp_path / "s", SeriesInstanceUID="1.1", SeriesNumber=3, SeriesDescription="bone")
    write_slices(sample(1), tmp_path / "s", prefix="b", SeriesInstanceUID="1.2", SeriesNumber=4, SeriesDescription="soft")
    listed = images.list_series(tmp_path / "s")
    assert [(s.ask_for, s.number, s.description, s.slices, s.modality) for s in listed] == [
        ("1.1", "3", "bone", 6, "CT"),
        ("1.2", "4", "soft", 6, "CT"),
    ]
    with pytest.raises(ImageError, match=r"2 stacks of slices: 1.1 / 3 / bone \(6 slices\); 1.2 / 4 / soft"):
        images.read(tmp_path / "s")
    for ask in ("1.2", "4", "soft"):
        same(images.read(tmp_path / "s", series=ask), sample(1))
    with pytest.raises(ImageError, match=r"0 stacks of slices that fit 'lung'. It holds: 1.1 / 3 / bone"):
        images.read(tmp_path / "s", series="lung")
    same(images.read(tmp_path / "s" / "b003"), sample(1))


def test_colliding_or_empty_uids_do_not_mix_series(tmp_path: Path):
    for uid in ("", "1.1"):
        folder = tmp_path / f"s{uid}"
        write_slices(sample(), folder, SeriesInstanceUID=uid, SeriesNumber=3, SOPInstanceUID="1")
        write_slices(sample(1), folder, prefix="b", SeriesInstanceUID=uid, SeriesNumber=4, SOPInstanceUID="1")
        with pytest.raises(ImageError, match="2 stacks"):
            images.read(folder)
        same(images.read(folder, series="4"), sample(1))


def test_phases_within_one_series_are_told_apart_by_acquisition_number(tmp_path: Path):
    write_slices(sample(), tmp_path / "s", AcquisitionNumber=1)
    write_slices(sample(1), tmp_path / "s", prefix="b", AcquisitionNumber=2)
    with pytest.raises(ImageError, match=r"acquisition 1 \(6 slices\).*acquisition 2 \(6 slices\)"):
        images.read(tmp_path / "s")
    same(images.read(tmp_path / "s", series="acquisition 2"), sample(1))
    assert [s.ask_for for s in images.list_series(tmp_path / "s")] == [
        "1.2.3.4 / acquisition 1",
        "1.2.3.4 / acquisition 2",
    ]


def test_two_patients_in_one_folder_are_never_joined(tmp_path: Path):
    write_slices(sample(), tmp_path / "s")
    write_slices(sample(1), tmp_path / "s", prefix="b", PatientID="q")
    with pytest.raises(ImageError, match="2 stacks of slices that fit '7' of 2 patients"):
        images.read(tmp_path / "s", series="7")


# --- what else lies in the folder


def test_objects_that_are_no_slices_are_left_out_and_told(tmp_path: Path):
    folder = write_slices(sample(), tmp_path / "s")
    for modality, storage in (("RTSTRUCT", "1.2.840.10008.5.1.4.1.1.481.3"), ("SEG", "1.2.840.10008.5.1.4.1.1.66.4")):
        data = base("9." + modality[:1].replace("R", "1").replace("S", "2"), storage, modality)
        data.Rows = data.Columns = 4
        data.NumberOfFrames = 2
        data.save_as(folder / modality, enforce_file_format=True)
    scout = pydicom.dcmread(folder / "001")
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout.save_as(folder / "scout")
    (folder / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICMnonsense")
    (folder / "readme.txt").write_text("hello")
    (folder / "empty").write_bytes(b"")
    (folder / "DICOMDIR").write_bytes(b"no")
    found = images.read(folder)
    same(found, sample())
    said = " ".join(found.notes)
    for word in ("1 RTSTRUCT", "1 SEG", "1 localizer", "empty, readme.txt"):
        assert word in said
    assert "DICOMDIR" not in said


def test_films_alone_are_refused_with_what_to_do(tmp_path: Path):
    data = base("8.1", "1.2.840.10008.5.1.4.1.1.1.1", "DX")
    data.Rows = data.Columns = 4
    data.save_as(tmp_path / "film", enforce_file_format=True)
    with pytest.raises(ImageError, match=r"1 film .*no slices") as caught:
        images.read(tmp_path)
    assert "get a CT" in caught.value.do


@pytest.mark.parametrize("keep", [0.99, 0.6, 0.3, 300, 200])
def test_a_truncated_file_is_named(tmp_path: Path, keep):
    folder = write_slices(sample(), tmp_path / "s")
    content = (folder / "003").read_bytes()
    (folder / "003").write_bytes(content[: keep if keep > 1 else int(keep * len(content))])
    with pytest.raises(ImageError, match="003") as caught:
        images.read(folder)
    assert "again" in caught.value.do


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ImagePositionPatient", ["1", "2"]),
        ("ImageOrientationPatient", ["1", "0", "0", "1", "0", "0"]),
        ("ImageOrientationPatient", ["0", "0", "0", "0", "0", "0"]),
        ("PixelSpacing", ["0", "1"]),
        ("PixelSpacing", ["-1", "1"]),
        ("RescaleSlope", "0"),
        ("Rows", 0),
        ("Rows", 60000),
        ("BitsAllocated", 13),
        ("SamplesPerPixel", 3),
    ],
)
def test_a_malformed_header_is_named_in_three_parts(tmp_path: Path, key, value):
    folder = write_slices(sample(), tmp_path / "s")
    data = pydicom.dcmread(folder / "002")
    setattr(data, key, value)
    data.save_as(folder / "002")
    with pytest.raises(OsteonError) as caught:
        images.read(folder)
    assert caught.value.what
    assert caught.value.why
    assert caught.value.do


# --- slices


def test_several_missing_slices_are_counted(tmp_path: Path):
    folder = write_slices(sample(shape=(9, 20, 24)), tmp_path / "s")
    (folder / "004").unlink()
    (folder / "005").unlink()
    with pytest.raises(ImageError, match=r"003 and 006 are 7.50 mm apart where 2.50 mm is usual \(2 slices missing"):
        images.read(folder)


def test_rescale_in_some_slices_only_is_refused(tmp_path: Path):
    folder = write_slices(sample(), tmp_path / "s")
    data = pydicom.dcmread(folder / "004")
    del data.RescaleSlope
    data.save_as(folder / "004")
    with pytest.raises(ImageError, match=r"1 of 6 slices .* no rescale slope \(004"):
        images.read(folder)


def test_padding_range_is_not_imaged(tmp_path: Path):
    array = sample().array.copy()
    array[2, :3], array[3, :2] = -1500, -1400

    def pad(index, data):
        data.add_new("PixelPaddingValue", "US", 548)
        data.add_new("PixelPaddingRangeLimit", "US", 648)

    found = images.read(change(write_slices(sample().with_array(array), tmp_path / "s"), pad))
    np.testing.assert_array_equal(found.imaged.array, array > -1400)
    assert (found.volume.array[~found.imaged.array] == -1024).all()


def test_corners_filled_without_a_padding_value_are_not_imaged(tmp_path: Path):
    array = sample().array.copy()
    array[:, :2, :8] = -2000
    found = images.read(write_slices(sample().with_array(array), tmp_path / "s"))
    np.testing.assert_array_equal(found.imaged.array, array > -2000)


def test_progress_runs_to_one(tmp_path: Path):
    seen: list[float] = []
    images.read(write_slices(sample(), tmp_path / "s"), observe=seen.append)
    np.testing.assert_allclose(seen, np.arange(1, 7) / 6)


def test_file_without_preamble_or_mark_is_read(tmp_path: Path):
    folder = write_slices(sample(), tmp_path / "s")
    for file in folder.iterdir():
        data = pydicom.dcmread(file)
        data.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        pydicom.dcmwrite(file, pydicom.Dataset(data), implicit_vr=True, little_endian=True)
        assert file.read_bytes()[:2] == b"\x08\x00"
    same(images.read(folder), sample())


# --- what the header tells


def test_the_header_tells_how_it_was_taken(tmp_path: Path):
    told = {"ContrastBolusAgent": "Iomeron 350", "ConvolutionKernel": "B70f", "KVP": "120", "SliceThickness": "4"}
    found = images.read(
        write_slices(sample(), tmp_path / "s", SeriesDescription="Abdomen portal-venous", AcquisitionDate="20250304", **told)
    )
    assert (found.contrast, found.contrast_agent, found.phase) == (True, "Iomeron 350", "portal venous")
    assert (found.kernel, found.kvp, found.slice_spacing_mm, found.slice_thickness_mm) == ("B70f", 120.0, 2.5, 4.0)
    assert (found.date, found.patient_position, found.modality) == (date(2025, 3, 4), "HFS", "CT")
    assert any("4 mm thick and 2.5 mm apart" in note for note in found.notes)


@pytest.mark.parametrize(
    ("tags", "contrast"),
    [
        ({}, None),
        ({"ContrastBolusAgent": ""}, None),
        ({"ContrastBolusAgent": "NONE"}, False),
        ({"SeriesDescription": "Pelvis native 3.0 B60"}, False),
        ({"SeriesDescription": "CT without contrast"}, False),
        ({"SeriesDescription": "arterial phase"}, True),
        ({"SeriesDescription": "Becken +C"}, True),
        ({"ContrastBolusVolume": "80"}, True),
        ({"SeriesDescription": "native", "ContrastBolusAgent": "Ultravist"}, True),
    ],
)
def test_contrast_agent_is_read_or_left_unsaid(tmp_path: Path, tags, contrast):
    assert images.read(write_slices(sample(), tmp_path / "s", **tags)).contrast is contrast


def test_pet_says_that_it_is_no_suv(tmp_path: Path):
    folder = write_slices(sample(), tmp_path / "s", Units="BQML")
    change(folder, lambda i, d: setattr(d, "Modality", "PT"))
    assert any("BQML" in note for note in images.read(folder).notes)


# --- enhanced


def test_enhanced_ct_is_read_frame_by_frame(tmp_path: Path):
    even = sample().with_array(np.rint(sample().array / 2) * 2)
    found = images.read(write_enhanced(even, tmp_path / "s" / "one"))
    same(found, even)
    assert (found.kernel, found.kvp, found.slice_thickness_mm, found.slice_spacing_mm) == ("B60f", 120.0, 5.0, 2.5)


def test_enhanced_mr_with_two_echoes_is_two_stacks(tmp_path: Path):
    even = sample().with_array(np.rint(np.abs(sample().array) / 2) * 2)
    file = write_enhanced(even, tmp_path / "s" / "one", "MR", (4.0, 8.0))
    with pytest.raises(ImageError, match=r"echo time 4.0 \(6 slices\).*echo time 8.0"):
        images.read(file)
    found = images.read(file, series="echo time 8.0")
    same(found, even.with_array(even.array + 8))
    assert found.modality == "MR"


def test_enhanced_with_too_few_groups_or_frames_is_refused(tmp_path: Path):
    file = write_enhanced(sample(), tmp_path / "s" / "one")
    data = pydicom.dcmread(file)
    data.NumberOfFrames = 7
    data.save_as(file)
    with pytest.raises(ImageError, match="says it has 7 frames and holds the places of 6"):
        images.read(file)
    data.NumberOfFrames = 6
    data.PixelData = data.PixelData[:2000]
    data.save_as(file)
    with pytest.raises(ImageError, match="cannot be decoded"):
        images.read(file)


def test_multi_frame_without_places_is_refused(tmp_path: Path):
    folder = write_slices(sample(), tmp_path / "s")
    data = pydicom.dcmread(folder / "001")
    data.NumberOfFrames = 3
    data.save_as(folder / "001")
    with pytest.raises(ImageError, match="without a place for each frame"):
        images.read(folder)


@pytest.mark.real
def test_real_toy_enhanced_and_single_frame_ct_agree(real):
    root = real("dicom_seg")
    multi = [p for p in root.rglob("*") if p.is_file() and p.suffix == ".dcm" and is_enhanced(p)]
    assert multi, "the page of the data names multi-frame CT here"
    for file in multi:
        assert images.read(file).volume.array.size > 0


def is_enhanced(path: Path) -> bool:
    data = pydicom.dcmread(path, stop_before_pixels=True, force=True)
    return "PerFrameFunctionalGroupsSequence" in data and data.get("Modality") in ("CT", "MR")


@pytest.mark.real
def test_real_ct_3slice_spacing_is_by_position_not_by_thickness(real):
    found = images.read(real("dicom_seg/data/segmentations/ct-3slice"))
    assert found.volume.spacing_mm == pytest.approx((1.0, 0.811, 0.811), abs=1e-3)
    assert (found.slice_thickness_mm, found.slice_spacing_mm) == (1.25, 1.0)


@pytest.mark.slow
def test_a_large_series_stays_within_memory(tmp_path: Path):
    import tracemalloc

    volume = sample(shape=(100, 512, 512))
    folder = write_slices(volume, tmp_path / "s")
    tracemalloc.start()
    images.read(folder)
    assert tracemalloc.get_traced_memory()[1] <= 3.5 * volume.array.nbytes
    shutil.rmtree(folder)
