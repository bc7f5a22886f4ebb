"""Outlines of every kind of file in a case: RTSTRUCT, SEG, folders; names asked or decided; what was not drawn is unknown."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "io"))

from dicom_made import write_slices

from osteon.assessment.assess import assess
from osteon.case.load import load_case
from osteon.case.model import Case
from osteon.errors import CaseFileError, ImageError, MissingError
from osteon.facts import Known, Unknown
from osteon.io import images
from osteon.io.dicom_objects import image_uids
from osteon.io.rtstruct_write import write_rtstruct
from osteon.io.seg_write import write_seg
from osteon.space.anatomy import Anatomy, structure
from osteon.space.drawn import open_ends, planes
from osteon.space.volume import Volume

HEAD = "schema: osteon-case/1\npatient: p\ndate: 2025-03-03\nstudies:\n  - {id: ct1, modality: CT, file: ct}\n"
LESION = "lesions:\n  - id: L1\n    bone: vertebra\n    level: L3\n    side: midline\n"
BALL = "    outline: {sphere_mm: {center: [0, 0, -40], diameter: 20 mm}}\n"
MIDDLE = (0.0, 0.0, -40.0)


@pytest.fixture(scope="module")
def ct(tmp_path_factory) -> tuple[Path, Volume]:
    """A body of water with air round it, 32 slices of 3 mm, as DICOM."""
    affine = np.diag([4.0, 4.0, 3.0, 1.0])
    affine[:3, 3] = (-62.0, -62.0, -86.5)
    image = Volume.of(np.zeros((32, 32, 32), np.float32), affine)
    far = np.linalg.norm(places(image)[..., :2], axis=-1)
    image = image.with_array(np.where(far < 50, 40.0, -1000.0).astype(np.float32))
    folder = tmp_path_factory.mktemp("case")
    write_slices(image, folder / "ct")
    return folder / "ct", image


def places(image: Volume) -> np.ndarray:
    return image.grid.to_mm(np.stack(np.meshgrid(*(np.arange(n) for n in image.grid.shape), indexing="ij"), -1))


def ball(image: Volume, centre=MIDDLE, radius=10.0) -> Volume:
    return image.with_array(np.linalg.norm(places(image) - centre, axis=-1) <= radius)


def rod(image: Volume, x=0.0, y=30.0, slices=slice(None)) -> Volume:
    inside = np.hypot(places(image)[..., 0] - x, places(image)[..., 1] - y) < 6
    out = np.zeros(inside.shape, bool)
    out[slices] = inside[slices]
    return image.with_array(out)


def made(tmp_path: Path, ct: tuple[Path, Volume], text: str) -> Path:
    (tmp_path / "ct").symlink_to(ct[0])
    (tmp_path / "case.yaml").write_text(HEAD + text, encoding="utf-8")
    return tmp_path


def rtstruct(tmp_path: Path, ct: tuple[Path, Volume], masks: dict) -> Path:
    return write_rtstruct(tmp_path / "outlines", masks, references=image_uids(ct[0]), keep_uids=True)  # no ending: content counts


def notes_of(case: Case) -> str:
    return "; ".join(case.studies[0].notes)


# --- one entry, every kind of file


@pytest.mark.parametrize("kind", ["RTSTRUCT", "BINARY", "LABELMAP", "folder", "NRRD"])
def test_the_same_outlines_from_every_kind_of_file(tmp_path: Path, ct, kind):
    masks = {"Spinal-Cord": rod(ct[1]), "Lung-Left": ball(ct[1], (30, 0, -40), 8)}
    if kind == "RTSTRUCT":
        rtstruct(tmp_path, ct, masks)
    elif kind in ("BINARY", "LABELMAP"):
        write_seg(tmp_path / "outlines", masks, kind=kind, references=image_uids(ct[0]), keep_uids=True)
    else:
        import SimpleITK

        (tmp_path / "outlines").mkdir()
        for (name, mask), ending in zip(masks.items(), (".nii.gz", ".nrrd") if kind == "folder" else (".mha", ".nhdr")):
            images.write_nifti(mask, tmp_path / "a.nii.gz", dtype=np.uint8)
            target = tmp_path / "outlines" / f"{name}{ending}"
            SimpleITK.WriteImage(SimpleITK.ReadImage(str(tmp_path / "a.nii.gz")), str(target))
    case = load_case(made(tmp_path, ct, "labels: [{file: outlines}]\n" + LESION + BALL))
    assert set(case.masks) == {structure("spinal_cord"), structure("lung_left")}
    np.testing.assert_array_equal(case.masks[structure("spinal_cord")].array, masks["Spinal-Cord"].array)
    np.testing.assert_array_equal(case.masks[structure("lung_left")].array, masks["Lung-Left"].array)
    assert case.questions == ()


def test_fractional_seg_is_cut_at_one_half(tmp_path: Path, ct):
    import pydicom

    path = write_seg(tmp_path / "outlines", {"spinal_cord": rod(ct[1])}, references=image_uids(ct[0]), keep_uids=True)
    data = pydicom.dcmread(path)
    bits = np.asarray(data.pixel_array)
    data.SegmentationType, data.SegmentationFractionalType, data.MaximumFractionalValue = "FRACTIONAL", "PROBABILITY", 200
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit = 7
    data.PixelData = np.where(bits > 0, 101, 99).astype(np.uint8).tobytes()
    data.save_as(path)
    case = load_case(made(tmp_path, ct, "labels: [{file: outlines}]\n" + LESION + BALL))
    np.testing.assert_array_equal(case.masks[structure("spinal_cord")].array, rod(ct[1]).array)
    assert "cut at one half" in notes_of(case)


# --- names


def test_an_unsure_name_is_asked_and_stays_unknown_until_it_is_answered(tmp_path: Path, ct):
    rtstruct(tmp_path, ct, {"lung": ball(ct[1], (30, 0, -40), 8), "PTV 3": ball(ct[1]), "Spinal-Cord": rod(ct[1])})
    folder = made(tmp_path, ct, "labels:\n  - {file: outlines}\n" + LESION + BALL)
    case = load_case(folder)
    assert set(case.masks) == {structure("spinal_cord")}
    (asked,) = case.questions
    assert (asked.file, asked.name, asked.choices) == ("outlines", "lung", ("lung_left", "lung_right"))
    assert "Which side is 'lung'?" in asked.text
    assert "answers: {'lung': lung_left}" in asked.text
    assert "PTV 3 (a planning volume, no anatomy)" in notes_of(case)
    text = (folder / "case.yaml").read_text().replace("{file: outlines}", "{file: outlines, answers: {'lung': lung_left}}")
    (folder / "case.yaml").write_text(text)
    case = load_case(folder)
    assert structure("lung_left") in case.masks
    assert case.questions == ()


@pytest.mark.parametrize(
    ("answers", "tells"), [("{'lnug': lung_left}", "no outline named 'lnug'"), ("{'lung': lunge_left}", "lunge_left")]
)
def test_an_answer_to_no_question_or_of_no_structure_is_refused(tmp_path: Path, ct, answers, tells):
    rtstruct(tmp_path, ct, {"lung": ball(ct[1])})
    with pytest.raises(CaseFileError, match=tells) as caught:
        load_case(made(tmp_path, ct, f"labels:\n  - file: outlines\n    answers: {answers}\n" + LESION + BALL))
    assert "case.yaml:8" in caught.value.what


# --- one region of a file


@pytest.mark.parametrize("kind", ["RTSTRUCT", "SEG"])
def test_a_region_by_name_for_a_lesion_and_a_structure(tmp_path: Path, ct, kind):
    masks = {"GTV-1": ball(ct[1]), "N. ischiadicus re": rod(ct[1])}
    write = write_rtstruct if kind == "RTSTRUCT" else write_seg
    write(tmp_path / "outlines", masks, references=image_uids(ct[0]), keep_uids=True)
    text = "structures:\n  sciatic_nerve_right: {file: outlines, roi: N. ischiadicus re}\n" + LESION
    case = load_case(made(tmp_path, ct, text + "    outline: {file: outlines, roi: GTV-1}\n"))
    np.testing.assert_array_equal(case.lesions[0].mask.array, masks["GTV-1"].array)
    np.testing.assert_array_equal(case.masks[structure("sciatic_nerve_right")].array, masks["N. ischiadicus re"].array)


def test_a_segment_by_number(tmp_path: Path, ct):
    masks = {"a": rod(ct[1]), "b": ball(ct[1])}
    write_seg(tmp_path / "outlines", masks, references=image_uids(ct[0]), keep_uids=True)
    case = load_case(made(tmp_path, ct, LESION + "    outline: {file: outlines, label: 2}\n"))
    np.testing.assert_array_equal(case.lesions[0].mask.array, masks["b"].array)


@pytest.mark.parametrize(
    ("kind", "entry", "tells", "do"),
    [
        ("RTSTRUCT", "roi: GTV1", "no region 'GTV1'; it has 'GTV-1', 'Cord'", "roi: GTV-1"),
        ("SEG", "roi: cordd", "no region 'cordd'; it has 'GTV-1', 'Cord'", "roi: Cord"),
        ("RTSTRUCT", "label: 1", "`label: 1` names no region", "`roi:`"),
        ("SEG", "label: 7", "no segment 7; there are [1, 2]", "number of the file"),
        ("SEG", "", "holds 2 regions: 'GTV-1', 'Cord'", "Give `roi:`"),
        ("NIfTI", "roi: GTV-1", "is a label map: it has no region 'GTV-1'", "Give `label:`"),
        ("text", "roi: GTV-1", "no label map (NIfTI, NRRD, MetaImage), no RTSTRUCT and no DICOM SEG", "under `studies`"),
        ("folder", "roi: GTV-1", "is a folder, where one outline is meant", "under `labels`"),
    ],
)
def test_a_region_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path, ct, kind, entry, tells, do):
    masks = {"GTV-1": ball(ct[1]), "Cord": rod(ct[1])}
    file = tmp_path / ("outlines.nii.gz" if kind == "NIfTI" else "outlines")
    if kind in ("RTSTRUCT", "SEG"):
        (write_rtstruct if kind == "RTSTRUCT" else write_seg)(file, masks)
    elif kind == "NIfTI":
        images.write_nifti(masks["GTV-1"], file, dtype=np.uint8)
    elif kind == "folder":
        file.mkdir()
    else:
        file.write_text("Dear colleague")
    outline = f"    outline: {{file: {file.name}{', ' + entry if entry else ''}}}\n"
    with pytest.raises(ImageError) as caught:
        load_case(made(tmp_path, ct, LESION + outline))
    assert tells in caught.value.what
    assert "lesion L1" in caught.value.what
    assert caught.value.why
    assert do in caught.value.do


def test_a_folder_with_an_rtstruct_names_the_file(tmp_path: Path, ct):
    rtstruct(tmp_path, ct, {"Cord": rod(ct[1])})
    (tmp_path / "all").mkdir()
    (tmp_path / "outlines").rename(tmp_path / "all" / "RS.1.dcm")
    with pytest.raises(MissingError) as caught:
        load_case(made(tmp_path, ct, "labels: [{file: all}]\n" + LESION + BALL))
    assert "Name the file itself: RS.1.dcm" in caught.value.do


def test_a_region_that_stands_for_the_lesion(tmp_path: Path, ct):
    rtstruct(tmp_path, ct, {"GTV-1": ball(ct[1]), "Spinal-Cord": rod(ct[1])})
    labels = "labels: [{file: outlines}]\n"
    folder = made(tmp_path, ct, labels + LESION)
    case = load_case(folder)
    assert case.lesions[0].mask is not None
    assert "'GTV-1' was taken for the outline of lesion L1, the only one without an outline" in notes_of(case)
    assert structure("lesion") not in case.masks
    second = LESION.replace("lesions:\n", "").replace("L1", "L2").replace("L3", "L4")
    (folder / "case.yaml").write_text(HEAD + labels + LESION + second)
    case = load_case(folder)
    assert all(lesion.mask is None for lesion in case.lesions)
    assert "the lesions L1, L2 have none" in case.questions[0].text
    assert "roi: GTV-1" in case.questions[0].text
    (folder / "case.yaml").write_text(HEAD + labels + LESION + "    outline: {file: outlines, roi: GTV-1}\n")
    assert load_case(folder).questions == ()


# --- what was not drawn


@pytest.mark.parametrize("kind", ["RTSTRUCT", "SEG", "NIfTI"])
def test_beyond_what_was_drawn_a_cord_is_unknown(tmp_path: Path, ct, kind):
    """Slices 12 to 20 are drawn (z = -50.5 to -26.5 mm); the lesion's middle slice is 5 (z = -71.5)."""
    cord = rod(ct[1], slices=slice(12, 21))
    file = "outlines.nii.gz" if kind == "NIfTI" else "outlines"
    if kind == "NIfTI":
        part = Volume.of(cord.array[12:21].astype(np.uint8) * 79, np.array(cord.grid.matrix))
        affine = cord.grid.matrix
        affine[:3, 3] = cord.grid.to_mm(np.array([12.0, 0, 0]))
        images.write_nifti(Volume.of(part.array, affine), tmp_path / file, dtype=np.uint8)
    else:
        (write_rtstruct if kind == "RTSTRUCT" else write_seg)(
            tmp_path / file, {"Spinal-Cord": cord}, references=image_uids(ct[0]), keep_uids=True
        )
    outline = "    outline: {sphere_mm: {center: [0, 0, -71.5], diameter: 12 mm}}\n"
    case = load_case(made(tmp_path, ct, f"labels: [{{file: {file}}}]\n" + LESION + outline))
    key = structure("spinal_cord")
    np.testing.assert_array_equal(np.flatnonzero(case.drawn[key].array.any(axis=(1, 2))), np.arange(12, 21))
    lesion = assess(case).lesions[0]
    state = lesion.facts["distance_cord_mm"].state
    assert isinstance(state, Unknown)
    assert "is drawn only from z = -50 to -26 mm; draw it on to z = -86 mm; it may come nearer than the" in state.why
    judged = next(r for r in lesion.required if r.structure == "spinal_cord")
    assert judged.status == "cut"
    assert judged.text.startswith("cannot tell: the spinal cord")


def test_a_cord_drawn_round_the_lesion_is_known(tmp_path: Path, ct):
    rtstruct(tmp_path, ct, {"Spinal-Cord": rod(ct[1], slices=slice(4, 28))})
    case = load_case(made(tmp_path, ct, "labels: [{file: outlines}]\n" + LESION + BALL))
    lesion = assess(case).lesions[0]
    assert isinstance(lesion.facts["distance_cord_mm"].state, Known)


def test_the_end_of_a_drawn_body_is_no_skin(tmp_path: Path, ct):
    """The body is drawn on slices 10 to 20 only; its flat ends lie 5 mm from the lesion, its skin 40 mm."""
    rows = (np.arange(32) >= 10) & (np.arange(32) <= 20)
    body = ct[1].with_array((ct[1].array > -500) & rows[:, None, None])
    rtstruct(tmp_path, ct, {"External": body})
    case = load_case(made(tmp_path, ct, "labels: [{file: outlines}]\n" + LESION + BALL))
    assert structure("body") in case.drawn
    facts = assess(case).lesions[0].facts
    for name in ("distance_skin_mm", "depth_from_skin_mm"):
        state = facts[name].state
        low = state.value if isinstance(state, Known) else state.low
        assert low == pytest.approx(40.0, abs=5.0), name


def test_a_rounded_outline_is_closed_and_a_cut_one_open(ct):
    image = ct[1]
    every = planes(image.grid, 0, [True] * 32)
    whole = ball(image, radius=14.0)
    rows = whole.array.any(axis=(1, 2))
    drawn = planes(image.grid, 0, rows)
    lung, cord = structure("lung_left"), structure("spinal_cord")
    assert open_ends(lung, whole, drawn).box() is None
    assert open_ends(cord, whole, drawn).box() is not None
    assert open_ends(cord, whole, every).box() is None
    half = np.array(rows)
    half[int(np.flatnonzero(rows).mean()) :] = False
    cut = whole.with_array(whole.array & half[:, None, None])
    ends = open_ends(lung, cut, planes(image.grid, 0, half))
    assert np.flatnonzero(ends.array.any(axis=(1, 2))).tolist() == [int(np.flatnonzero(half)[-1])]
    seen = image.with_array(np.broadcast_to(half[:, None, None], image.array.shape))
    assert open_ends(lung, cut, planes(image.grid, 0, half), seen).box() is None  # what was not imaged is no matter of drawing


def test_where_it_was_drawn_costs_no_memory_and_survives(ct):
    image = ct[1]
    drawn = planes(image.grid, 0, [k > 3 for k in range(32)])
    assert drawn.array.strides[1:] == (0, 0)
    back = pickle.loads(pickle.dumps(drawn))
    np.testing.assert_array_equal(back.array, drawn.array)
    key = structure("spinal_cord")
    anatomy = Anatomy(image.with_array(image.array > -2000), image, {key: rod(image)}, drawn={key: drawn})
    from osteon.space.volume import Grid

    fine = Grid.box(np.array([-10.0, 20, -86]), np.array([10.0, 40, -60]), 1.0)
    moved = anatomy.on(fine).drawn[key]
    z = fine.to_mm(np.argwhere(moved.array))[:, 2]
    assert z.min() == pytest.approx(-86.5 + 4 * 3 - 1.5, abs=1.0)


# --- on another study


def test_outlines_on_a_study_that_is_not_aligned_stay_unknown(tmp_path: Path, ct):
    """Noise has no place on the CT: the nerve stays unknown and the lesion has no outline, both with the reason."""
    image = ct[1]
    noise = image.with_array(np.random.default_rng(1).uniform(0, 900, image.array.shape).astype(np.float32))
    write_slices(noise, tmp_path / "mr", "MR")
    write_rtstruct(tmp_path / "outlines", {"Spinal-Cord": rod(image), "GTV": ball(image)}, references=image_uids(tmp_path / "mr"))
    folder = made(tmp_path, ct, "  - {id: mr1, modality: MR, file: mr}\nlabels: [{file: outlines, study: mr1}]\n" + LESION)
    (folder / "case.yaml").write_text(
        (folder / "case.yaml").read_text() + "    outline: {file: outlines, roi: GTV, study: mr1}\n", encoding="utf-8"
    )
    case = load_case(folder)
    assert not case.alignments[0].accepted
    assert structure("spinal_cord") not in case.masks
    assert "outlined on mr1, stays unknown: " in notes_of(case)
    assert case.lesions[0].mask is None
    lesion = assess(case).lesions[0]
    assert "outlined on mr1, which is not aligned" in lesion.facts["volume_ml"].state.why
    assert lesion.facts["volume_ml"].state.why.startswith("cannot tell: ")


def test_carried_over_with_its_error_or_said_why_not(ct):
    from osteon.case.align import Alignment
    from osteon.case.carried import carried_over
    from osteon.case.model import Study
    from osteon.case.places import Places

    image = ct[1]
    imaged = image.with_array(np.ones(image.array.shape, bool))
    planning, mr = Study("ct1", "CT", None, image, imaged), Study("mr1", "MR", None, image, imaged)
    shift = np.eye(4)
    shift[:3, 3] = (8.0, 0.0, 6.0)
    places = Places(Path(), (planning, mr), planning)
    told = carried_over(ball(image), mr, places)
    assert told == "mr1 is aligned to nothing, because there is no planning CT"
    moved = Alignment("mr1", True, None, "moved", "images", shift, 2.5)
    carried = carried_over(ball(image), mr, Places(Path(), (planning, mr), planning, {}, {"mr1": moved}))
    assert not isinstance(carried, str)
    np.testing.assert_array_equal(carried[0].array, ball(image, (8.0, 0.0, -34.0)).array)
    assert carried[1] >= 2.5
    shift[0, 3] = 900.0
    away = Alignment("mr1", True, None, "moved", "images", shift, 2.5)
    outside = carried_over(ball(image), mr, Places(Path(), (planning, mr), planning, {}, {"mr1": away}))
    assert isinstance(outside, str)
    assert "outside the planning CT" in outside
