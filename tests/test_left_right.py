"""Left is left on the whole way: one patient, stored in many ways, has one journey; his mirror image has the mirrored one."""

from __future__ import annotations

import copy
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from osteon import PlanRequest, journey
from osteon.assessment.assess import assess
from osteon.cache import Cache
from osteon.case.load import load_case
from osteon.facts import Interval, Known, OneOf
from osteon.planning.prescription import needle_lines
from osteon.report.html import render
from osteon.report.journey_json import as_json
from osteon.selection.select import select
from osteon.space.anatomy import structure
from osteon.space.volume import Volume
from osteon.treatments.base import NeedlePose
from turned_patient import (
    LESION_HALF_MM,
    LESION_MM,
    LETTERS,
    PLACES_MM,
    SKIN_MM,
    STEP,
    Patient,
    Seen,
    along,
    drawn,
    mirrored,
    on_grid,
    other_side,
    pictures_of,
    store,
)

REQUEST = PlanRequest(treatments=("microwave",), spacing_mm=4.0, samples=0)
IMAGES = ("LPS", "RAS", "LAI", "RPI", "PIR", "ASR", "LIP", "SLP")
"""Towards which letters columns, rows and slices run: right-handed, as DICOM needs it; four axial, two sagittal, two more."""
OUTLINES = (
    ("RAS", "LAS", "PIR"), ("LAS", "PIR", "LPS"), ("PIR", "LPI", "SAR"), ("LPI", "SAR", "RAS"),
    ("SAR", "IPL", "LAS"), ("IPL", "RSA", "LPI"), ("RSA", "PLS", "IPL"), ("PLS", "RAS", "RSA"),
)  # fmt: skip
"""Label map, body and lesion of each, along other axes than the image; half of them left-handed, as NIfTI allows."""
TILT_DEGREES = 15.0
VOXEL_MM = float(max(STEP))
EXACT = [(kind, k) for k in range(len(IMAGES)) for kind in ("nifti", "dicom")]
NOT_THE_PATIENT = ("/provenance", "/case/digests", "/case/studies", "ct_slice_spacing_mm")
"""File digests, and the distance of slices: sagittal slices of the same voxels lie 4 mm apart, axial ones 5 mm."""


@lru_cache(maxsize=4)  # the reference, asked for by every test, stays; each holds some 200 MB
def made(patient: str, kind: str, k: int, tilt: float, position: str, plans: bool, folder: Path) -> tuple[Any, tuple[str, ...]]:
    """Return the journey of one way to store a patient, and the pictures of its page."""
    which = {"drawn": drawn, "mirrored": mirrored, "unplaced": unplaced}[patient]()
    place = folder / f"{patient}_{kind}_{k}_{tilt:g}_{position}"
    outlines = OUTLINES[k] if (kind, k, tilt) != ("nifti", 0, 0.0) else ("LPS", "LPS", "LPS")
    store(on_grid(which, IMAGES[k], tilt), place, kind, IMAGES[k], outlines=outlines, position=position)
    told = journey(place, REQUEST, cache=Cache(place / "cache"), with_plans=plans)
    page = render(told)
    shutil.rmtree(place)
    return told, tuple(pictures_of(page))


def unplaced() -> Patient:
    """Return the patient whose chart does not say how he is to lie."""
    chart = copy.deepcopy(drawn().chart)
    del chart["facts"]["patient_position"]
    return replace(drawn(), chart=chart)


@pytest.fixture(scope="module")
def way(tmp_path_factory):
    folder = tmp_path_factory.mktemp("turned")

    def of(patient: str = "drawn", kind: str = "nifti", k: int = 0, tilt: float = 0.0, position: str = "HFS", plans: bool = True):
        return made(patient, kind, k, tilt, position, plans, folder)

    return of


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Name every place where two trees differ; energies, sums of millions of terms, may differ in the seventh digit."""
    if any(path.endswith(name) or f"{name}/" in path for name in NOT_THE_PATIENT):
        return
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            yield from differences(one.get(key), other.get(key), f"{path}/{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from differences(a, b, f"{path}/{i}")
    elif path.endswith("energy_balance"):
        if abs(one - other) > 1e-6:
            yield f"{path}: {one} | {other}"
    elif path.rsplit("/", 1)[-1].startswith("energy_"):
        if abs(one - other) > 1e-6 * max(abs(one), abs(other)):
            yield f"{path}: {one} | {other}"
    elif one != other:
        yield f"{path}: {one} | {other}"


def needle_of(told: Any) -> dict[str, Any]:
    return told.plans[0].prescription["needles"][0]


def check_same(way, kind: str, k: int, plans: bool = True) -> None:
    reference, pictures = way(plans=plans)
    told, seen = way(kind=kind, k=k, plans=plans)
    assert list(differences(as_json(reference), as_json(told))) == []
    assert len(pictures) == len(seen) > 5
    assert [i for i, (a, b) in enumerate(zip(pictures, seen, strict=True)) if a != b] == []
    if plans:
        assert reference.plans[0].steps, reference.plans[0].ended
        assert told.plans[0].prescription == reference.plans[0].prescription


def test_another_order_of_axes_gives_the_same_facts_and_pictures(way):
    """Byte for byte: facts, verdicts, every picture of the page."""
    check_same(way, "dicom", 4, plans=False)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "k"), EXACT)
def test_every_order_of_axes_gives_the_same_journey_pictures_and_prescription(way, kind, k):
    """Byte for byte: facts, verdicts, plan with its fields of temperature, every picture of the page."""
    check_same(way, kind, k)


def ends_of(state: Any) -> list[Any]:
    """Return a state as its values, numbers apart from words."""
    match state:
        case Known():
            return [state.value]
        case Interval():
            return [state.low, state.high]
        case OneOf():
            return list(state.values)
    return [type(state).__name__]


TOLERANCE = {"mm": VOXEL_MM, "HU": 30.0}
"""A tilted stack samples other places: one voxel for lengths, noise and blur for HU, 0.1 for shares of the whole."""
PER_CENT = {"ml", "mm²"}
"""Volumes and areas may differ by 10 %."""


def check_facts_near(reference: Any, told: Any) -> None:
    one, other = reference.assessment.lesions[0].facts, told.assessment.lesions[0].facts
    assert set(one) == set(other)
    wrong = []
    for name, fact in one.items():
        if name in NOT_THE_PATIENT:
            continue
        a, b = ends_of(fact.state), ends_of(other[name].state)
        if not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (*a, *b)):
            wrong += [(name, a, b)] if a != b else []
            continue
        for x, y in ((min(a), min(b)), (max(a), max(b))):
            allowed = 0.1 * abs(x) if str(fact.unit) in PER_CENT else TOLERANCE.get(str(fact.unit), 0.1)
            wrong += [(name, a, b)] if abs(x - y) > allowed else []
    assert not wrong, wrong


def check_tilted(way, kind: str, k: int, plans: bool = True) -> None:
    """Facts within a voxel, and pictures that show the patient as he is stored."""
    reference, _ = way(plans=plans)
    told, pictures = way(kind=kind, k=k, tilt=TILT_DEGREES, plans=plans)
    check_facts_near(reference, told)
    check_pictures(pictures, 1.0, on_grid(drawn(), IMAGES[k], TILT_DEGREES))
    if plans:
        check_needle_near(reference, told)


def check_needle_near(reference: Any, told: Any) -> None:
    """The same needle has the same depths, angles and side; the one chosen comes from the same side."""
    one, other = needle_of(reference), needle_of(told)
    assert other["entry_side_of_midline"] == "right"
    assert np.linalg.norm(np.subtract(one["tip_lps_mm"], other["tip_lps_mm"])) <= 2 * REQUEST.spacing_mm + VOXEL_MM
    ways = [np.subtract(n["tip_lps_mm"], n["entry_lps_mm"]) for n in (one, other)]
    cosine = ways[0] @ ways[1] / np.prod([np.linalg.norm(w) for w in ways])
    assert np.rad2deg(np.arccos(min(cosine, 1.0))) <= 15.0
    check_lines_near(one, lines_of(told, one["entry_lps_mm"], one["tip_lps_mm"]))


def lines_of(told: Any, entry_mm: Any, tip_mm: Any) -> dict[str, Any]:
    pose = NeedlePose(tuple(entry_mm), tuple(tip_mm))
    return needle_lines(told.assessment.lesions[0].anatomy, structure("lesion"), structure("hip_right"), pose, None)


def check_lines_near(one: dict[str, Any], again: dict[str, Any]) -> None:
    for name in ("depth_skin_to_target_mm", "depth_skin_to_tip_mm", "mm_in_bone", "entry_from_midline_mm"):
        assert again[name] == pytest.approx(one[name], abs=VOXEL_MM), name
    for name in ("in_plane_text", "craniocaudal_text", "entry_side_of_midline"):
        assert again[name] == one[name], name
    mark, expected = again["landmark"], one["landmark"]
    assert mark["structure"] == expected["structure"] == "hip_right"
    for name in ("cranial_mm", "left_mm", "posterior_mm"):
        assert mark[name] == pytest.approx(expected[name], abs=VOXEL_MM), name


def test_one_needle_is_prescribed_alike_however_the_patient_is_stored(way):
    """Along the lesion as it was drawn: words and angles from the drawing alone, then the same in other stacks."""
    entry, tip = along(SKIN_MM), along(-10.0)
    lines = lines_of(way(plans=False)[0], entry, tip)
    assert lines["entry_side_of_midline"] == "right"
    assert lines["in_plane_text"] == "in the axial plane 46° from the vertical: towards the back and the patient's left"
    assert lines["craniocaudal_text"] == "tip tilted 34° towards the head"
    assert lines["depth_skin_to_target_mm"] == pytest.approx(SKIN_MM - LESION_HALF_MM, abs=VOXEL_MM)
    assert lines["mm_in_bone"] == 0.0
    assert lines_of(way(kind="dicom", k=4, plans=False)[0], entry, tip) == lines
    check_lines_near(lines, lines_of(way(kind="nifti", k=1, tilt=TILT_DEGREES, plans=False)[0], entry, tip))


def test_a_tilted_gantry_gives_the_same_facts_and_pictures_within_a_voxel(way):
    check_tilted(way, "nifti", 1, plans=False)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "k"), EXACT)
def test_every_tilted_stack_gives_the_same_within_a_voxel(way, kind, k):
    check_tilted(way, kind, k)


LINES = {  # what is drawn how: colour and dash pattern of the legend
    "lesion": ("#E69F00", ""), "sciatic_nerve_right": ("#F0E442", "5 2"), "iliac_artery_right": ("#FF7A4D", "1.5 2"),
    "colon": ("#2FD3A0", "7 2 1.5 2"), "hip_joint_right": ("#56B4E9", "10 3"),
}  # fmt: skip
CUTS = {
    "axial": (("R", "L", "A", "P"), ("sciatic_nerve_right",)),
    "coronal": (("R", "L", "S", "I"), ("hip_joint_right",)),
    "sagittal": (("A", "P", "S", "I"), ("colon", "hip_joint_right")),
}


def check_pictures(pictures: tuple[str, ...], side: float, stored: Patient) -> None:
    """Read the three cuts without osteon: letters, scale bar and lines must put everything where the patient has it."""
    flip = np.array([side, 1.0, 1.0])
    lesion_mm = np.array(LESION_MM) * flip
    for name, (edges, others) in CUTS.items():
        (svg,) = [p for p in pictures if f">{name}</text>" in p]
        seen = Seen(svg)
        assert seen.edges() == edges, name
        right, down = (np.array(LETTERS[e], float) for e in (edges[1], edges[3]))
        scale = seen.mm_per_unit()
        middle = seen.middle_of(*LINES["lesion"])
        assert middle is not None
        for other in others:
            line = LINES[other]
            found = seen.middle_of(*line)
            assert found is not None, (name, other)
            drawn_mm = (found - middle) * scale
            true_mm = np.array(PLACES_MM[other]) * flip - lesion_mm
            expected = np.array([true_mm @ right, true_mm @ down])
            far = np.abs(expected) > 12.0  # what the edge of the picture cuts keeps its side, not its middle
            assert far.any()
            assert (np.sign(drawn_mm)[far] == np.sign(expected)[far]).all(), (name, other, drawn_mm, expected)
            assert np.abs(drawn_mm - expected).max() <= 12.0, (name, other, drawn_mm, expected)
        # the cut lies at a voxel's middle, up to half a voxel from the lesion's
        depths = lesion_mm + np.cross(right, down) * np.linspace(-0.5, 0.5, 5)[:, None] * VOXEL_MM
        middles = [outlined_middle(stored.lesion, depth, right, down) for depth in depths]
        check_grey(seen, stored.image, middles, middle, scale, right, down, name)


def outlined_middle(lesion: Volume, place: np.ndarray, right: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Return the middle of the lesion's voxels in a plane: the lesion leans, so the middle moves from plane to plane."""
    steps = np.arange(-40.0, 40.5, 0.5)
    flat = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    inside = flat[lesion.sample(place + flat[:, :1] * right + flat[:, 1:] * down, 0, fill=0.0) > 0.5]
    across, along = (inside.min(0) + inside.max(0)) / 2
    return np.asarray(place + across * right + along * down)


def check_grey(seen, stored: Volume, middles, middle, scale, right, down, name: str) -> None:
    """Hold the grey values against the voxels as stored, at 2000 places; upside down or mirrored they must fit worse.

    ``middles``: in the patient, one for each depth at which the cut may lie; ``middle``: in the picture.
    """
    grey = seen.grey()
    rows, columns = np.random.default_rng(1).integers(8, grey.shape[0] - 8, (2, 2000))
    unit = seen.size / grey.shape[0]
    flat = np.stack([(columns + 0.5) * unit, (rows + 0.5) * unit], -1) - middle
    fits = []
    for turn in ((1, 1), (-1, 1), (1, -1), (-1, -1)):
        offset = flat * scale * np.array(turn)
        places = offset[:, :1] * right + offset[:, 1:] * down
        shown = [np.clip(stored.sample(places + there, fill=-1000.0), -450, 1050) for there in middles]
        fits.append(max(float(np.corrcoef(hu, grey[rows, columns])[0, 1]) for hu in shown))
    assert fits[0] > 0.85, (name, fits)
    assert fits[0] > max(fits[1:]) + 0.1, (name, fits)


def test_the_right_of_the_patient_is_on_the_left_of_the_picture(way):
    """The lesion of the right hip: sketch and three cuts, read by letters, scale bar and grey values alone."""
    _, pictures = way(plans=False)
    check_pictures(pictures, 1.0, on_grid(drawn()))
    check_sketch(pictures, "right")


def check_sketch(pictures: tuple[str, ...], side: str) -> None:
    (sketch,) = [p for p in pictures if "Person seen from the front" in p]
    seen = Seen(sketch)
    letters = {t: x for x, _, t in seen.words if t in ("R", "L")}
    marks = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', sketch)]
    assert letters["R"] < letters["L"]
    assert all((m < 60) == (side == "right") for m in marks)


def check_view(pictures: tuple[str, ...], side: str) -> None:
    (view,) = [p for p in pictures if ">3-D, view" in p]
    assert side in re.findall(r">3-D, view from ([^<]*)<", view)[0]  # the needle comes from the side of the lesion


def test_the_mirror_image_of_the_patient_has_mirrored_facts_and_pictures(way):
    """Side facts, bone, words and pictures change sides; sizes stay."""
    one, _ = way(plans=False)
    other, pictures = way("mirrored", plans=False)
    assert one.assessment.lesions[0].facts["side"].state == Known("right")
    assert other.assessment.lesions[0].facts["side"].state == Known("left")
    assert other.case.lesions[0].bone.id == "hip_left"
    facts = [t.assessment.lesions[0].facts for t in (one, other)]
    for name in ("volume_ml", "size_max_mm", "size_lr_mm", "size_ap_mm", "size_si_mm"):
        np.testing.assert_allclose(ends_of(facts[0][name].state), ends_of(facts[1][name].state), rtol=1e-5, err_msg=name)
    check_pictures(pictures, -1.0, on_grid(mirrored()))
    check_sketch(pictures, "left")


@pytest.mark.slow
def test_the_mirror_image_of_the_patient_has_the_mirrored_prescription(way):
    """The way in may be another of equal rank, but from no other side: entry, words and the view change with the patient."""
    one, seen = way()
    other, pictures = way("mirrored")
    a, b = needle_of(one), needle_of(other)
    assert (a["entry_side_of_midline"], b["entry_side_of_midline"]) == ("right", "left")
    assert a["entry_lps_mm"][0] < 0 < b["entry_lps_mm"][0]
    assert "patient's left" in a["in_plane_text"]
    assert "patient's right" in b["in_plane_text"]
    flipped = np.array(b["tip_lps_mm"]) * [-1, 1, 1]
    assert np.linalg.norm(flipped - a["tip_lps_mm"]) <= 2 * REQUEST.spacing_mm + VOXEL_MM
    assert {f.structure for f in other.plans[0].findings} == {other_side(f.structure) for f in one.plans[0].findings}
    check_view(seen, "right")
    check_view(pictures, "left")


def load_only(folder: Path, **stored: Any) -> Any:
    return assess(load_case(store(on_grid(drawn()), folder, **stored)))


@pytest.mark.parametrize(
    "wrong",
    [("labels",), ("lesion",), ("image", "labels", "body"), ("image", "labels", "body", "lesion")],
    ids=["labels", "lesion", "all but the lesion", "everything"],
)
def test_a_file_whose_signs_are_wrong_stops_everything_where_outlines_name_a_side(tmp_path, wrong):
    """RAS taken for LPS turns the patient by half a circle: the sides then contradict each other, or the right hip lies left."""
    found = load_only(tmp_path, signs_wrong=wrong)
    facts = found.lesions[0].facts
    assert facts["laterality_agrees"].state == Known(False)
    side = facts["side"].state
    if wrong == ("image", "labels", "body", "lesion"):
        assert "hip_right lies at x = " in facts["laterality_agrees"].origins[0].where
    else:
        assert isinstance(side, OneOf)
        assert side.conflict
        assert set(side.values) == {"left", "right"}
    assert select(found, REQUEST.policy).of("L1", "microwave").status == "excluded"


def test_the_same_file_with_right_signs_stops_nothing(tmp_path):
    found = load_only(tmp_path)
    assert found.lesions[0].facts["laterality_agrees"].state == Known(True)
    assert select(found, REQUEST.policy).of("L1", "microwave").status != "excluded"


POSITIONS = {"HFS": ("LPS", "supine"), "FFS": ("LPS", "supine"), "HFP": ("RAS", "prone"), "FFP": ("RAS", "prone")}
"""How a scanner stores each: columns and rows as one looks at the slice from the table's foot, supine or prone."""


@pytest.mark.parametrize("position", POSITIONS)
def test_the_position_on_the_table_moves_no_side(tmp_path, position):
    """Head or feet first, on the back or on the belly: the patient's own right stays right; only the table is elsewhere."""
    axes, _ = POSITIONS[position]
    reference = load_only(tmp_path / "reference")
    found = load_only(tmp_path / "turned", kind="dicom", axes=axes, position=position)
    one, other = reference.lesions[0].facts, found.lesions[0].facts
    assert [n for n in one if n not in NOT_THE_PATIENT and one[n].state != other[n].state] == []
    assert found.case.planning_image.patient_position == position


@pytest.mark.slow
@pytest.mark.parametrize("position", POSITIONS)
def test_the_table_side_of_the_prescription_follows_the_position(way, position):
    """Nothing comes through the table; who is to lie otherwise than in the image is imaged again; head or feet first is one."""
    axes, lies = POSITIONS[position]
    for patient in ("unplaced", "drawn"):  # the chart is silent, or says supine
        told, pictures = way(patient, "dicom", IMAGES.index(axes), position=position)
        prescription = told.plans[0].prescription
        assert prescription["scanned_as"] == position
        if patient == "drawn":
            assert prescription["patient_position"] == "supine"
        warned = any("image again in position" in w for w in prescription["warnings"])
        assert warned == (prescription["patient_position"] != lies)
        needle = needle_of(told)
        assert needle["entry_side_of_midline"] == "right"
        entry, tip = (np.array(needle[n]) for n in ("entry_lps_mm", "tip_lps_mm"))
        shaft = tip + (entry - tip) / np.linalg.norm(entry - tip) * needle["antenna_length_mm"]
        body = on_grid(drawn()).body
        away = np.array(AWAY_FROM_TABLE[prescription["patient_position"]], float)
        assert shaft @ away > (body.grid.to_mm(np.argwhere(body.array)) @ away).min()
        other, seen = way(patient, "dicom", IMAGES.index(axes), position=("FF" if position[0] == "H" else "HF") + position[2])
        assert other.plans[0].prescription == {**prescription, "scanned_as": other.plans[0].prescription["scanned_as"]}
        assert [i for i, (a, b) in enumerate(zip(pictures, seen, strict=True)) if a != b] == []


AWAY_FROM_TABLE = {"supine": (0, -1, 0), "prone": (0, 1, 0), "left_decubitus": (-1, 0, 0), "right_decubitus": (1, 0, 0)}
