"""RT Structure Sets: the fill rule by hand, exact round trips, independent masks of real patients, and what must be refused."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Polygon
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from osteon.errors import ImageError, MissingError, OsteonError
from osteon.io import images
from osteon.io.contours import fill, trace
from osteon.io.dicom_objects import ImageUids, image_uids
from osteon.io.rtstruct import read_rtstruct
from osteon.io.rtstruct_write import write_rtstruct
from osteon.space.anatomy import structure
from osteon.space.paths import distance_to
from osteon.space.volume import Volume

SHAPE = (6, 20, 24)


def grid_volume(turn_deg: float = 0.0, shape=SHAPE) -> Volume:
    affine = np.diag([0.9, 1.1, 2.5, 1.0])
    turn = np.deg2rad(turn_deg)
    affine[:3, :3] = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]]) @ affine[:3, :3]
    affine[:3, 3] = (-20.0, 30.0, -100.0)
    return Volume.of(np.zeros(shape, np.float32), affine)


def write(path: Path, rois: dict, image: Volume, frame: str = "1.9", series: str = "1.8", **changes) -> Path:
    """Write an RTSTRUCT by hand; rois: name to list of (slice, points (row, column)) or ready contour items."""
    full = image.with_array(np.ones(image.array.shape, bool))
    data = pydicom.dcmread(
        write_rtstruct(path, {"x": full}, references=ImageUids("1.7", series, frame, {"1.1": (0, 0, 0)}), keep_uids=True)
    )
    data.StructureSetROISequence, data.ROIContourSequence = Sequence(), Sequence()
    for number, (name, contours) in enumerate(rois.items(), 1):
        roi, contour_item = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name.split("#")[0], frame
        contour_item.ReferencedROINumber, contour_item.ContourSequence = number, Sequence()
        for contour in contours:
            if not isinstance(contour, Dataset):
                at, points = contour
                contour = item(image.grid.to_mm(np.insert(np.asarray(points, float), 0, at, axis=1)))
            contour_item.ContourSequence.append(contour)
        data.StructureSetROISequence.append(roi)
        data.ROIContourSequence.append(contour_item)
    for key, value in changes.items():
        setattr(data, key, value)
    data.save_as(path, enforce_file_format=True)
    return path


def item(points_mm, kind: str = "CLOSED_PLANAR", count: int | None = None, data=None) -> Dataset:
    out = Dataset()
    out.ContourGeometricType, out.NumberOfContourPoints = kind, len(points_mm) if count is None else count
    out.ContourData = [f"{v:.6f}" for v in np.ravel(points_mm)] if data is None else data
    return out


def square(low: float, high: float, low2: float | None = None, high2: float | None = None) -> list:
    low2, high2 = (low if low2 is None else low2), (high if high2 is None else high2)
    return [[low, low2], [low, high2], [high, high2], [high, low2]]


# --- the rule


def test_centre_inside_polygon_by_hand():
    """Centres on the low edges belong to the polygon, those on the high edges to its neighbour."""
    filled = fill([np.array(square(1, 3))], (5, 5))
    assert np.argwhere(filled).tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]
    left, right = fill([np.array(square(0, 4, 0, 2))], (5, 5)), fill([np.array(square(0, 4, 2, 4))], (5, 5))
    assert not (left & right).any()
    np.testing.assert_array_equal(left | right, fill([np.array(square(0, 4))], (5, 5)))


def test_hole_island_and_neighbour_by_xor():
    outer, hole, island, other = square(0.5, 15.5), square(3.5, 12.5), square(6.5, 9.5), square(1.5, 4.5, 17.5, 20.5)
    filled = fill([np.array(p) for p in (outer, hole, island, other)], (18, 22))
    assert filled.sum() == 15**2 - 9**2 + 3**2 + 3**2
    assert filled[8, 8]
    assert not filled[5, 5]
    assert filled[2, 18]


def test_keyhole_leaves_its_hole_empty():
    outer, inner = square(0.5, 10.5), square(3.5, 6.5)
    keyhole = [*outer, outer[0], *inner[::-1], inner[-1], outer[0]]
    assert fill([np.array(keyhole)], (12, 12)).sum() == 10**2 - 3**2


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), points=st.integers(3, 12))
def test_fill_is_matplotlibs_even_odd_rule_for_points_off_the_edges(seed, points):
    polygon = np.random.default_rng(seed).uniform(-3, 23, (points, 2))
    rows, columns = np.mgrid[0:20, 0:21]
    centres = np.column_stack([rows.ravel(), columns.ravel()]).astype(float)
    closed = np.vstack([polygon, polygon[:1]])
    expected = Polygon(closed).contains_points(centres).reshape(20, 21)
    np.testing.assert_array_equal(fill([polygon], (20, 21)), expected)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.05, 0.95))
def test_trace_and_fill_give_any_plane_back(seed, share):
    plane = np.random.default_rng(seed).random((17, 13)) < share
    np.testing.assert_array_equal(fill(trace(plane), plane.shape), plane)


# --- reading


@pytest.mark.parametrize("turn", [0, 12, 40])
def test_round_trip_is_exact_oblique_images_included(tmp_path: Path, turn):
    image = grid_volume(turn)
    random = np.random.default_rng(turn)
    masks = {
        structure("lesion"): image.with_array(random.random(SHAPE) > 0.6),
        "free text": image.with_array(random.random(SHAPE) > 0.3),
    }
    found = read_rtstruct(write_rtstruct(tmp_path / "r", masks), image)
    assert list(found.structures) == ["lesion", "free text"]
    for key, mask in masks.items():
        np.testing.assert_array_equal(found.structures[str(key)].array, mask.array)
    assert found.matched_by == "position"


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_planes_along_any_axis_of_the_canonical_image(tmp_path: Path, axis):
    """A sagittal or coronal series is turned by canonical(); its contours stay in its own slices."""
    image = grid_volume()
    mask = image.with_array(np.random.default_rng(axis).random(SHAPE) > 0.4)
    places = np.zeros((SHAPE[axis], 3))
    places[:, axis] = np.arange(SHAPE[axis])
    uids = ImageUids("1.1", "1.2", "1.3", {f"1.4.{k}": tuple(p) for k, p in enumerate(image.grid.to_mm(places))})
    found = read_rtstruct(write_rtstruct(tmp_path / "r", {"a": mask}, references=uids, keep_uids=True), image, uids)
    np.testing.assert_array_equal(found.structures["a"].array, mask.array)
    assert found.axis["a"] == axis
    assert found.matched_by == "instance"


def test_not_drawn_is_told_from_absent(tmp_path: Path):
    image = grid_volume()
    found = read_rtstruct(
        write(tmp_path / "r", {"cord": [(1, square(2, 5)), (2, square(2, 5)), (4, square(2, 5))]}, image), image
    )
    assert found.drawn["cord"] == (False, True, True, False, True, False)
    assert found.drawn_extent_mm["cord"] == pytest.approx((-97.5, -90.0))
    assert found.drawn_where("cord").array[:, 0, 0].tolist() == [False, True, True, False, True, False]
    assert any("1 slices between" in n for n in found.notes)


def test_every_second_slice_drawn_stands_for_its_neighbours_and_says_so(tmp_path: Path):
    image = grid_volume()
    found = read_rtstruct(write(tmp_path / "r", {"a": [(0, square(2, 5)), (2, square(2, 5)), (4, square(2, 5))]}, image), image)
    assert found.structures["a"].array.any(axis=(1, 2)).all()
    assert any("each contour stands" in n for n in found.notes)


def test_contours_of_a_finer_image_are_not_xored_together(tmp_path: Path):
    image = grid_volume()
    contours = [(k / 3, square(2.5, 5.5)) for k in range(14)]  # the last lies at 4.33, beyond half a slice of slice 5
    found = read_rtstruct(write(tmp_path / "r", {"a": contours}, image), image)
    assert found.structures["a"].array.sum(axis=(1, 2)).tolist() == [9, 9, 9, 9, 9, 0]
    assert any("share a slice" in n for n in found.notes)


def test_contours_given_twice_do_not_vanish(tmp_path: Path):
    image = grid_volume()
    twice = [(2, square(2.5, 5.5)), (2, square(2.5, 5.5)[::-1])]
    found = read_rtstruct(write(tmp_path / "r", {"a": twice}, image), image)
    assert found.structures["a"].array.sum() == 9
    assert any("twice" in n for n in found.notes)


def test_xor_holes_are_counted(tmp_path: Path):
    image = grid_volume()
    found = read_rtstruct(write(tmp_path / "r", {"a": [(2, square(1.5, 8.5)), (2, square(3.5, 5.5))]}, image), image)
    assert found.structures["a"].array.sum() == 49 - 4
    assert any("4 voxels lie in an even number" in n for n in found.notes)


def test_other_types_names_and_outside_regions_are_said(tmp_path: Path):
    image = grid_volume()
    point = item([[0, 0, 0]], "POINT")
    line = item([[0, 0, 0], [1, 1, 1], [2, 2, 2]], "OPEN_NONPLANAR")
    far = item(np.array([[0, 0, 900], [9, 0, 900], [9, 9, 900]], float))
    rois = {
        "a": [(2, square(1.5, 8.5)), point],
        "a#2": [(3, square(1.5, 8.5))],
        "marker": [point],
        "line": [line],
        "far": [far],
        "none": [],
    }
    found = read_rtstruct(write(tmp_path / "r", rois, image), image)
    assert set(found.structures) == {"a", "a (2)"}
    assert set(found.skipped) == {"marker", "line", "far", "none"}
    assert "POINT" in found.skipped["marker"]
    assert "hold no voxel" in found.skipped["far"]
    assert set(read_rtstruct(tmp_path / "r", image, regions=["a"]).structures) == {"a"}
    with pytest.raises(ImageError, match="'nerve'"):
        read_rtstruct(tmp_path / "r", image, regions=["nerve"])


def test_references_series_then_frame_then_refused(tmp_path: Path):
    image = grid_volume()
    path = write(tmp_path / "r", {"a": [(2, square(1.5, 8.5))]}, image)

    def found(**k):
        return read_rtstruct(path, image, ImageUids(**{"study": "1", "series": "1.8", "frame": "1.9", "instances": {}, **k}))

    assert found().matched_by == "series"
    other = found(series="5.5")
    assert other.matched_by == "frame"
    assert "another series" in other.notes[0]
    with pytest.raises(ImageError, match="frame of reference"):
        found(frame="6.6", series="5.5")


@pytest.mark.parametrize(
    ("contours", "word"),
    [
        ([item([[0, 0, 0]] * 3, data=["nan", "0", "0", "1", "1", "1", "2", "2", "2"])], "not numbers"),
        ([item([[0, 0, 0]] * 3, data=["inf", "0", "0", "1", "1", "1", "2", "2", "2"])], "not numbers"),
        ([item([[0, 0, 0]] * 4, data=["1", "2", "3", "4"])], "announced"),
        ([item([[0, 0, -95], [9, 0, -95], [9, 9, -95]], count=99)], "announced"),
        ([item([[0, 0, 0]], "POINT")], "POINT"),
        ([item([[0, 0, 0], [1, 1, 0], [2, 0, 0]], "OPEN_PLANAR")], "OPEN_PLANAR"),
        ([item([[0, 0, 900], [9, 0, 900], [9, 9, 900]])], "hold no voxel"),
        ([item([[1e30, 0, -95], [9e30, 0, -95], [9, 9e30, -95]])], "hold no voxel"),
        ([item([[-20, 30, -100], [-10, 44, -90], [-15, 50, -95], [-12, 33, -88]])], "not drawn in planes"),
        ([], "no contour"),
    ],
)
def test_refused_in_three_parts(tmp_path: Path, contours, word):
    image = grid_volume()
    with pytest.raises(ImageError, match=word) as caught:
        read_rtstruct(write(tmp_path / "r", {"a": contours}, image), image)
    assert caught.value.why
    assert caught.value.do


def test_wrong_files(tmp_path: Path):
    image = grid_volume()
    (tmp_path / "text").write_text("no DICOM " * 40)
    with pytest.raises(ImageError):
        read_rtstruct(tmp_path / "text", image)
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(ImageError):
        read_rtstruct(tmp_path / "empty", image)
    with pytest.raises(MissingError):
        read_rtstruct(tmp_path / "nothing", image)
    path = write(tmp_path / "r", {"a": [(2, square(1.5, 8.5))]}, image, Modality="SEG")
    with pytest.raises(ImageError, match="modality SEG"):
        read_rtstruct(path, image)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_files_never_end_in_a_bare_exception(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz")
    image = grid_volume()
    raw = bytearray(write(folder / "r", {"a": [(2, square(1.5, 8.5)), (3, square(2, 5))]}, image).read_bytes())
    for at in data.draw(st.lists(st.integers(132, len(raw) - 1), max_size=6)):
        raw[at] = data.draw(st.integers(0, 255))
    (folder / "f").write_bytes(bytes(raw[: data.draw(st.integers(0, len(raw)))]) if data.draw(st.booleans()) else bytes(raw))
    try:
        found = read_rtstruct(folder / "f", image)
    except OsteonError:  # its constructor refuses an empty part
        return
    assert found.structures


# --- writing


def test_nothing_that_identifies_is_written_unless_asked(tmp_path: Path):
    image = grid_volume()
    uids = ImageUids("1.2.826.1", "1.2.826.2", "1.2.826.3", {"1.2.826.4": (-20.0, 30.0, -100.0)})
    mask = {"a": image.with_array(np.random.default_rng(1).random(SHAPE) > 0.5)}
    path = write_rtstruct(tmp_path / "r", mask, references=uids)
    for uid in (b"1.2.826.1\0", b"1.2.826.2", b"1.2.826.3", b"1.2.826.4"):
        assert uid not in path.read_bytes()
    data = pydicom.dcmread(path)
    assert (data.PatientName, data.PatientBirthDate, data.StudyDate) == ("anonymous", "", "")
    assert read_rtstruct(path, image, uids.pseudonymous()).references[0] > 0
    assert write_rtstruct(tmp_path / "s", mask, references=uids, salt=b"x" * 32).read_bytes() != path.read_bytes()
    assert write_rtstruct(tmp_path / "t", mask, references=uids).read_bytes() == path.read_bytes()
    assert b"1.2.826.4" in write_rtstruct(tmp_path / "u", mask, references=uids, keep_uids=True).read_bytes()


def test_writer_refuses_nothing_empty_and_mixed_grids(tmp_path: Path):
    image = grid_volume()
    full = image.with_array(np.ones(SHAPE, bool))
    for masks in ({}, {"a": image.with_array(np.zeros(SHAPE, bool))}, {"a": full, "b": full.isotropic(2.0)}):
        with pytest.raises(ImageError):
            write_rtstruct(tmp_path / "r", masks)
    assert not (tmp_path / "r").exists()


# --- real patients

VOLUMES_ML = {"CT": (116.5, 343.4), "MR_T1": (116.5, 343.4), "PET": (117.6, 345.2)}


@pytest.mark.real
@pytest.mark.parametrize("modality", ["CT", "MR_T1", "PET"])
@pytest.mark.parametrize(("patient", "contours"), [("STS_018", 23), ("STS_036", 39)])
def test_real_sarcoma_against_the_independent_mask(real, patient, contours, modality):
    folder = real("sarcoma") / "dicom" / patient / modality
    volume = images.read(folder / "image").volume
    found = read_rtstruct(folder / "mask" / "RS.dcm", volume, image_uids(folder / "image"))
    (mask,) = found.structures.values()
    reference = images.read(real("sarcoma") / "nifti" / patient / f"{modality}_mask.nii.gz").volume
    assert reference.grid.same_as(volume.grid, 0.05)
    truth = reference.array > 0.5
    assert 2 * (truth & mask.array).sum() / (truth.sum() + mask.array.sum()) >= 0.999
    expected = VOLUMES_ML[modality][patient == "STS_036"]
    assert mask.array.sum() * mask.grid.voxel_mm3 / 1000 == pytest.approx(expected, abs=0.051)
    assert found.matched_by == "series"
    assert found.references == (0, contours)
    assert f"0 of {contours} image references" in found.notes[0]


@pytest.mark.real
def test_real_sarcoma_ct_outline_on_the_mr_grid_falls_back_to_the_frame(real):
    folder = real("sarcoma") / "dicom" / "STS_018"
    mr = images.read(folder / "MR_T1" / "image").volume
    found = read_rtstruct(folder / "CT" / "mask" / "RS.dcm", mr, image_uids(folder / "MR_T1" / "image"))
    assert found.matched_by == "frame"
    assert "another series" in found.notes[0]
    (mask,) = found.structures.values()
    assert mask.array.sum() * mask.grid.voxel_mm3 / 1000 == pytest.approx(116.5, rel=0.01)


@pytest.mark.real
def test_real_sarcoma_a_plane_with_two_contours(real):
    folder = real("sarcoma") / "dicom" / "STS_036" / "CT"
    volume = images.read(folder / "image").volume
    found = read_rtstruct(folder / "mask" / "RS.dcm", volume)
    assert sum(found.drawn["GTV_Mass_CT"]) == 36
    assert found.matched_by == "position"


@pytest.mark.real
def test_real_lung_cord_volume_distance_and_what_is_not_drawn(real, tmp_path: Path):
    with tarfile.open(real("lung_rtstruct") / "LUNG1-001_ct_rtstruct.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    base = tmp_path / "ct_images_seg_nsclc" / "LUNG1-001"
    volume = images.read(base / "image").volume
    uids = image_uids(base / "image")
    found = read_rtstruct(base / "mask_rtstruct" / "1-1.dcm", volume, uids)
    assert found.matched_by == "instance"
    assert found.references == (358, 358)
    assert list(found.structures) == ["GTV-1", "Spinal-Cord", "Lung-Left", "Lung-Right"]
    assert {k: sum(v) for k, v in found.drawn.items()} == {"GTV-1": 21, "Spinal-Cord": 84, "Lung-Left": 88, "Lung-Right": 86}
    cord = found.structures["Spinal-Cord"]
    polygons_ml = shoelace_ml(base / "mask_rtstruct" / "1-1.dcm", "Spinal-Cord", 3.0)
    assert cord.array.sum() * cord.grid.voxel_mm3 / 1000 == pytest.approx(polygons_ml, rel=0.01)
    gap = distance_to(cord).array[found.structures["GTV-1"].array].min()
    assert gap == pytest.approx(brute_force_mm(cord, found.structures["GTV-1"]), abs=1e-3)
    assert sum(any(v[k] for v in found.drawn.values()) for k in range(134)) == 89
    assert not found.drawn_where("Spinal-Cord").array[0].any()


def shoelace_ml(path: Path, name: str, thickness_mm: float) -> float:
    """The volume of a structure without holes by the areas of its polygons."""
    data = pydicom.dcmread(path)
    number = next(r.ROINumber for r in data.StructureSetROISequence if r.ROIName == name)
    area = 0.0
    for contour in next(r for r in data.ROIContourSequence if r.ReferencedROINumber == number).ContourSequence:
        x, y, _ = np.array(contour.ContourData, float).reshape(-1, 3).T
        area += abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2
    return area * thickness_mm / 1000


def brute_force_mm(one: Volume, two: Volume) -> float:
    from scipy.spatial import cKDTree

    return float(cKDTree(one.grid.to_mm(np.argwhere(one.array))).query(two.grid.to_mm(np.argwhere(two.array)))[0].min())
