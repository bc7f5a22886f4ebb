"""DICOM SEG: the answers of dcmqi's own reader tests, exact round trips, second readers, and what must be refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.errors import ImageError, MissingError, OsteonError
from osteon.io.dicom_objects import ImageUids, image_uids
from osteon.io.seg import read_seg
from osteon.io.seg_write import write_seg
from osteon.io.structure_names import resolve
from osteon.space.anatomy import structure
from osteon.space.volume import Volume

SHAPE = (6, 17, 13)  # 221 bits a frame: not byte-aligned


def volume(turn_deg: float = 17.0, shape: tuple[int, int, int] = SHAPE) -> Volume:
    affine = np.diag([0.9, 1.1, 2.5, 1.0])
    turn = np.deg2rad(turn_deg)
    affine[:3, :3] = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]]) @ affine[:3, :3]
    affine[:3, 3] = (-20.0, 30.0, -100.0)
    return Volume.of(np.zeros(shape, bool), affine)


def slice_of_frames(data, mask: Volume) -> list[int]:
    """The slice of every frame by its position; writers order frames as they like."""
    places = [f.PlanePositionSequence[0].ImagePositionPatient for f in data.PerFrameFunctionalGroupsSequence]
    return np.rint(mask.grid.to_index(np.array(places, float))[:, 0]).astype(int).tolist()


def masks(seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> dict:
    random, grid = np.random.default_rng(seed), volume(shape=shape)
    found = {k: random.random(shape) > 0.6 for k in ("lesion", "kidney_left", "sciatic_nerve_left")}
    found["kidney_left"][:2] = False
    found["sciatic_nerve_left"][3] = False
    return {structure(k): grid.with_array(v) for k, v in found.items()}


# --- round trips


def test_round_trip_of_overlapping_oblique_sparse_segments(tmp_path: Path):
    written = masks()
    found = read_seg(write_seg(tmp_path / "x", written))
    assert found.kind == "BINARY"
    for segment, (key, mask) in zip(found.segments, written.items(), strict=True):
        np.testing.assert_array_equal(segment.on(mask.grid).array, mask.array)
        assert segment.frames == mask.array.any(axis=(1, 2)).sum()
        assert resolve(segment.label, side=segment.side) == key
        if key.code:
            assert segment.code[:2] == (key.code, "SCT")
        assert segment.side == key.side
    arrays = [m.array for m in written.values()]
    expected = {(i + 1, j + 1): int((arrays[i] & arrays[j]).sum()) for i in range(3) for j in range(i + 1, 3)}
    assert found.overlaps == expected
    with pytest.raises(ImageError, match="overlap"):
        found.label_map()


def test_round_trip_of_a_label_map(tmp_path: Path):
    one, two = list(masks().values())[:2]
    written = {"a": one, "b": two.with_array(two.array & ~one.array)}
    found = read_seg(write_seg(tmp_path / "x", written, kind="LABELMAP"))
    assert found.kind == "LABELMAP"
    for segment, mask in zip(found.segments, written.values(), strict=True):
        np.testing.assert_array_equal(segment.on(mask.grid).array, mask.array)
    labels = found.label_map().resample(one.grid).array
    np.testing.assert_array_equal(labels, written["a"].array + 2 * written["b"].array)
    with pytest.raises(ImageError, match="overlap"):
        write_seg(tmp_path / "y", {"a": one, "b": two}, kind="LABELMAP")


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_frames_lie_in_the_slices_of_the_image_referred_to(tmp_path: Path, axis):
    mask = masks()[structure("lesion")]
    places = np.zeros((SHAPE[axis], 3))
    places[:, axis] = np.arange(SHAPE[axis])
    uids = ImageUids("1.1", "1.2", "1.3", {f"1.4.{k}": tuple(p) for k, p in enumerate(mask.grid.to_mm(places))})
    found = read_seg(write_seg(tmp_path / "x", {"a": mask}, references=uids, keep_uids=True), uids)
    np.testing.assert_array_equal(found.segments[0].on(mask.grid).array, mask.array)
    assert found.references == (SHAPE[axis], SHAPE[axis])
    assert found.grid.shape[0] == SHAPE[axis]


def test_fractional_frames_become_fractions_cut_at_one_half(tmp_path: Path):
    data = pydicom.dcmread(write_seg(tmp_path / "x", {"a": volume().with_array(np.ones(SHAPE, bool))}))
    stored = np.random.default_rng(3).integers(0, 201, SHAPE).astype(np.uint8)
    data.SegmentationType, data.SegmentationFractionalType, data.MaximumFractionalValue = "FRACTIONAL", "OCCUPANCY", 200
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelData = 7, stored[slice_of_frames(data, volume())].tobytes()
    data.save_as(tmp_path / "y")
    found = read_seg(tmp_path / "y")
    np.testing.assert_allclose(found.segments[0].fraction.resample(volume().grid).array, stored / 200, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found.segments[0].on(volume().grid).array, stored >= 100)
    assert any("occupancy" in n for n in found.notes)


def test_frames_padded_to_bytes_by_old_writers(tmp_path: Path):
    mask = masks()[structure("lesion")]
    data = pydicom.dcmread(write_seg(tmp_path / "x", {"a": mask}))
    frames = b"".join(np.packbits(f.ravel(), bitorder="little").tobytes() for f in mask.array[slice_of_frames(data, mask)])
    data.PixelData = frames + b"\0" * (len(frames) % 2)
    data.save_as(tmp_path / "y")
    np.testing.assert_array_equal(read_seg(tmp_path / "y").segments[0].on(mask.grid).array, mask.array)


# --- second readers


def test_highdicom_and_simpleitk_read_what_we_write(tmp_path: Path):
    written = masks()
    path = write_seg(tmp_path / "x.dcm", written)
    peer = hd.seg.segread(path).get_volume(combine_segments=False)
    for number, mask in enumerate(written.values()):
        points = mask.grid.to_mm(np.argwhere(mask.array))
        index = np.rint(peer.map_reference_to_indices(points)).astype(int)
        assert peer.array[index[:, 0], index[:, 1], index[:, 2], number].all()
        assert peer.array[..., number].sum() == mask.array.sum()
    written = masks(shape=(6, 16, 13))  # SimpleITK 2.5 misreads frames that do not end on a byte; highdicom and dcmqi do not
    write_seg(path, written)
    frames = sitk.GetArrayFromImage(sitk.ReadImage(path)) > 0
    counts = [n for m in written.values() for n in m.array.sum(axis=(1, 2)).tolist() if n]
    assert sorted(frames.sum(axis=(1, 2)).tolist()) == sorted(counts)


DCMQI = shutil.which("segimage2itkimage", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


@pytest.mark.skipif(DCMQI is None, reason="dcmqi is not installed")
def test_dcmqi_reads_what_we_write(tmp_path: Path):
    written = masks()
    path = write_seg(tmp_path / "x.dcm", written)
    command = [str(DCMQI), "--inputDICOM", path, "--outputDirectory", tmp_path, "-t", "nrrd", "--prefix", "p"]
    subprocess.run(command, check=True, capture_output=True)
    for number, mask in enumerate(written.values(), 1):
        image = sitk.ReadImage(tmp_path / f"p-{number}.nrrd")
        affine = np.eye(4)
        affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
        affine[:3, 3] = image.GetOrigin()
        peer = Volume.of(sitk.GetArrayFromImage(image) > 0, affine)
        np.testing.assert_array_equal(peer.resample(mask.grid).array, mask.array)


def test_frames_in_any_order_are_the_same_segments(tmp_path: Path):
    written = masks()
    data = pydicom.dcmread(write_seg(tmp_path / "x", written))
    order = np.random.default_rng(5).permutation(int(data.NumberOfFrames))
    data.PixelData = np.packbits(data.pixel_array[order].ravel(), bitorder="little").tobytes() + b"\0" * 2
    data.PerFrameFunctionalGroupsSequence = [data.PerFrameFunctionalGroupsSequence[int(k)] for k in order]
    data.save_as(tmp_path / "y")
    for segment, mask in zip(read_seg(tmp_path / "y").segments, written.values(), strict=True):
        np.testing.assert_array_equal(segment.on(mask.grid).array, mask.array)


# --- identity


def test_nothing_that_identifies_is_written_unless_asked(tmp_path: Path):
    uids = ImageUids("1.2.826.1", "1.2.826.2", "1.2.826.3", {"1.2.826.4": tuple(volume().grid.to_mm(np.zeros(3)))})
    path = write_seg(tmp_path / "x", masks(), references=uids)
    assert b"1.2.826.1\0" not in path.read_bytes()
    for uid in (b"1.2.826.2", b"1.2.826.3", b"1.2.826.4"):
        assert uid not in path.read_bytes()
    data = pydicom.dcmread(path)
    assert (str(data.PatientName), data.PatientBirthDate, data.StudyDate, data.ContentDate) == ("anonymous", "", "", "19000101")
    assert write_seg(tmp_path / "y", masks(), references=uids).read_bytes() == path.read_bytes()
    assert b"1.2.826.4" in write_seg(tmp_path / "z", masks(), references=uids, keep_uids=True).read_bytes()


# --- dcmqi's own answers


def seg_folder(real) -> Path:
    return real("dicom_seg") / "data" / "segmentations"


def nrrd(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(path))


@pytest.mark.real
def test_real_dicom_seg_liver_voxels_and_references(real):
    found = read_seg(seg_folder(real) / "liver.dcm", image_uids(seg_folder(real) / "ct-3slice"))
    assert found.segments[0].mask.array.sum(axis=(1, 2)).tolist() == [36233, 35645, 35220]
    assert found.references == (3, 3)
    assert found.grid.spacing_mm[0] == pytest.approx(1.0)  # thickness in the images is 1.25
    np.testing.assert_array_equal(found.segments[0].mask.array, nrrd(seg_folder(real) / "liver_seg.nrrd") > 0)
    assert resolve(found.segments[0].label, code=found.segments[0].code[:2]) == structure("liver")


@pytest.mark.real
def test_real_dicom_seg_partial_overlaps_keep_their_layers(real):
    found = read_seg(seg_folder(real) / "partial_overlaps.dcm")
    assert found.overlaps == {(1, 2): 3017, (1, 3): 95, (2, 3): 50}
    assert [s.frames for s in found.segments] == [1, 1, 3, 1, 1]
    assert [s.label for s in found.segments] == ["GREEN", "ORANGE", "PURPLE", "LIGHT_BLUE", "DARK_BLUE"]
    with pytest.raises(ImageError, match="overlap"):
        found.label_map()
    truth = [nrrd(seg_folder(real) / f"partial_overlaps-{k}.nrrd") for k in (1, 2, 3)]
    union = np.any([t > 0 for t in truth], axis=0)
    np.testing.assert_array_equal(np.any([s.mask.array for s in found.segments], axis=0), union)
    assert sum(int((t > 0).sum()) for t in truth) == sum(int(s.mask.array.sum()) for s in found.segments)


@pytest.mark.real
@pytest.mark.parametrize(("name", "voxels"), [("23x38x3", [4, 314, 4]), ("24x38x3", [0, 315, 0])])
def test_real_dicom_seg_bits_across_frame_borders(real, name, voxels):
    folder = seg_folder(real) / name
    found = read_seg(folder / "seg" / "label.seg", image_uids(folder / "image"))
    assert found.segments[0].mask.array.sum(axis=(1, 2)).tolist() == voxels
    np.testing.assert_array_equal(found.segments[0].mask.array, nrrd(folder / "nrrd" / "label.nrrd") > 0)
    assert found.references == (3, 3)


@pytest.mark.real
@pytest.mark.parametrize("name", ["noppv", "ppv5"])
def test_real_dicom_seg_labelmap_missing_slice_is_background(real, name):
    found = read_seg(seg_folder(real) / f"sparse-labelmap-{name}.dcm")
    assert found.kind == "LABELMAP"
    assert [(s.number, s.label) for s in found.segments] == [(1, "Liver")]
    assert found.segments[0].mask.array.sum(axis=(1, 2)).tolist() == [315, 0, 315]
    assert any("1 of 3 slices have no frame" in n for n in found.notes)
    truth = nrrd(seg_folder(real) / f"sparse_labelmap_{name}_seg.nrrd")
    np.testing.assert_array_equal(found.segments[0].mask.array, truth == 1)


@pytest.mark.real
def test_real_dicom_seg_sr_example_volume_without_its_images(real):
    path = real("dicom_seg") / "data" / "sr-example" / "seg.dcm"
    found = read_seg(path, ImageUids("1", "2", "", {}))
    mask = found.segments[0].mask
    assert mask.array.sum() == 795
    assert mask.array.sum() * mask.grid.voxel_mm3 / 1000 == pytest.approx(33.5824, abs=5e-5)
    assert found.references[0] == 0
    assert any(n.startswith("0 of ") for n in found.notes)
    assert resolve(found.segments[0].label, code=found.segments[0].code[:2]) is None


@pytest.mark.real
def test_real_dicom_seg_frames_lie_on_the_ct_although_its_files_run_downwards(real):
    from osteon.io import images

    ct = images.read(seg_folder(real) / "ct-3slice").volume
    found = read_seg(seg_folder(real) / "liver.dcm")
    assert found.grid.same_as(ct.grid, 0.01)
    mask = found.segments[0].on(ct.grid).array
    lung = [float((ct.array[way][mask] < -200).mean()) for way in (np.s_[:], np.s_[::-1], np.s_[:, ::-1], np.s_[:, :, ::-1])]
    assert lung[0] < 0.01
    assert lung[0] < min(lung[1:])  # any mirrored placement takes in more lung


# --- refused


def damaged(tmp_path: Path, **changes) -> Path:
    data = pydicom.dcmread(write_seg(tmp_path / "x", masks()))
    for key, value in changes.items():
        if value is None:
            delattr(data, key)
        elif callable(value):
            value(data)
        else:
            setattr(data, key, value)
    data.save_as(tmp_path / "y")
    return tmp_path / "y"


def move_first(data) -> None:
    data.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient = [500, 0, 0]


def drop_position(data) -> None:
    del data.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence


def spread(data) -> None:
    for k, frame in enumerate(data.PerFrameFunctionalGroupsSequence):
        normal = np.cross(
            *np.array(data.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(
                2, 3
            )
        )
        frame.PlanePositionSequence[0].ImagePositionPatient = [f"{v:.8f}" for v in normal * 1.37**k]


def stranger(data) -> None:
    data.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber = 77


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"PixelData": b"\0" * 10}, "holds 10 bytes"),
        ({"PixelData": None}, "no pixels"),
        ({"SegmentSequence": None}, "names no segment"),
        ({"SegmentationType": "GUESS"}, "segmentation type"),
        ({"NumberOfFrames": 3}, "announces 3 frames"),
        ({"PerFrameFunctionalGroupsSequence": None}, "describes 0"),
        ({"change": move_first}, "sideways"),
        ({"change": drop_position}, "no PlanePositionSequence"),
        ({"change": spread}, "no slice spacing explains"),
        ({"change": stranger}, "does not name"),
        ({"Modality": "MR"}, "modality MR"),
    ],
)
def test_refused_in_three_parts(tmp_path: Path, changes, word):
    with pytest.raises(ImageError, match=word) as caught:
        read_seg(damaged(tmp_path, **changes))
    assert caught.value.why
    assert caught.value.do


def test_other_frame_of_reference_no_file_and_no_segment(tmp_path: Path):
    path = write_seg(tmp_path / "x", masks())
    with pytest.raises(ImageError, match="frame of reference"):
        read_seg(path, ImageUids("1", "2", "3", {}))
    with pytest.raises(MissingError):
        read_seg(tmp_path / "nothing")
    with pytest.raises(ImageError, match="no segment 9"):
        read_seg(path).segment(9)
    assert read_seg(path).segment(2).label == "kidney_left"


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damaged_files_never_end_in_a_bare_exception(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz")
    raw = bytearray(write_seg(folder / "x", {"a": masks()[structure("lesion")]}).read_bytes())
    for at in data.draw(st.lists(st.integers(132, len(raw) - 1), max_size=6)):
        raw[at] = data.draw(st.integers(0, 255))
    (folder / "f").write_bytes(bytes(raw[: data.draw(st.integers(0, len(raw)))]) if data.draw(st.booleans()) else bytes(raw))
    try:
        found = read_seg(folder / "f")
    except OsteonError:  # its constructor refuses an empty part
        return
    assert found.segments
