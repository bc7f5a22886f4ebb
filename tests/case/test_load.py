"""From a folder to a Case: the form of case.yaml, errors with their lines, facts with origin and age, outlines in place."""

from __future__ import annotations

import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from osteon.case.load import load_case
from osteon.case.phantom import build, write
from osteon.case.schema import json_schema
from osteon.errors import CaseFileError, ImageError, MissingError, OsteonError, UnitError
from osteon.facts import Interval, Known, NotApplicable, OneOf, Unknown
from osteon.io import images
from osteon.space.anatomy import structure


@pytest.fixture(scope="module")
def femur(tmp_path_factory) -> Path:
    return write("femur", tmp_path_factory.mktemp("femur"), spacing_mm=3.0).parent


@pytest.fixture
def edit(femur: Path):
    """Load the phantom's case after a change to its tree or its text."""

    def run(change=None, text=None):
        file = femur / "case.yaml"
        before = file.read_text(encoding="utf-8")
        try:
            if change is not None:
                tree = yaml.safe_load(before)
                change(tree)
                file.write_text(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), encoding="utf-8")
            if text is not None:
                file.write_text(text(before), encoding="utf-8")
            return load_case(femur)
        finally:
            file.write_text(before, encoding="utf-8")

    return run


def set_(place: str, value: Any):
    """Return a change that sets one entry; the place is written with dots."""

    def change(tree):
        *parents, last = place.split(".")
        for part in parents:
            tree = tree[int(part)] if part.isdigit() else tree.setdefault(part, {})
        tree[last] = value

    return change


@pytest.mark.parametrize("name", ["femur", "vertebra", "ilium"])
@pytest.mark.parametrize("dicom", [False, True])
def test_phantom_comes_back_as_it_was_built(tmp_path: Path, name: str, dicom: bool):
    made = build(name, spacing_mm=2.0)
    case = load_case(write(name, tmp_path, dicom=dicom, per_structure=dicom, spacing_mm=2.0).parent)
    image = case.planning_image
    assert image is not None
    np.testing.assert_array_equal(image.volume.array, made.image.array)
    assert image.volume.grid.same_as(made.image.grid, 1e-3)
    lesion = case.lesions[0]
    assert lesion.bone == made.lesion_bone
    assert lesion.mask is not None
    np.testing.assert_array_equal(lesion.mask.array, made.masks[structure("lesion")].array)
    assert set(case.masks) == set(made.masks) - {structure("lesion")}
    for key, mask in case.masks.items():
        expected = made.masks[key].array
        if key == made.lesion_bone or dicom:
            np.testing.assert_array_equal(mask.array, expected)
    assert {s.id for s in case.absent} == set(made.absent)
    assert any("PHANTOM" in s for s in case.stamps)
    assert lesion.goal == "palliation"
    assert lesion.facts["pain_vas"].value == 7
    assert case.facts["platelets_e9_l"].state == Known(214.0)
    assert set(case.digests) >= {"case.yaml", "lesion.nii.gz", "ct" if dicom else "ct.nii.gz"}


@pytest.mark.parametrize("flips", [(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)])
def test_phantom_in_eight_mirrored_or_permuted_files_is_the_same_case(femur: Path, tmp_path: Path, flips):
    order = (1, 2, 0) if sum(flips) % 2 else (0, 1, 2)
    reference = load_case(femur)
    for name in ("ct", "lesion", "labels", "body"):
        source = images.read(femur / f"{name}.nii.gz").volume
        array = np.transpose(source.array, [2 - order[2], 2 - order[1], 2 - order[0]])
        affine = source.grid.matrix[:, [*order, 3]]
        for axis, flip in enumerate(flips):
            if flip:
                affine[:3, 3] += affine[:3, axis] * (array.shape[2 - axis] - 1)
                affine[:3, axis] *= -1
                array = np.flip(array, axis=2 - axis)
        images.write_nifti(type(source).of(np.ascontiguousarray(array), affine), tmp_path / f"{name}.nii.gz")
    (tmp_path / "case.yaml").write_text((femur / "case.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    case = load_case(tmp_path)
    np.testing.assert_array_equal(case.studies[0].volume.array, reference.studies[0].volume.array)
    for key, mask in reference.masks.items():
        np.testing.assert_array_equal(case.masks[key].array, mask.array)
    np.testing.assert_array_equal(case.lesions[0].mask.array, reference.lesions[0].mask.array)


def test_schema_describes_the_phantoms_case(femur: Path):
    jsonschema = pytest.importorskip("jsonschema")
    tree = yaml.safe_load((femur / "case.yaml").read_text(encoding="utf-8"))
    plain = yaml.safe_load(yaml.safe_dump(tree).replace("!!timestamp", ""))

    def dates(value):
        if isinstance(value, dict):
            return {str(k): dates(v) for k, v in value.items()}
        if isinstance(value, list):
            return [dates(v) for v in value]
        return value.isoformat() if isinstance(value, date) else value

    schema = json_schema()
    jsonschema.validate(dates(plain), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**dates(plain), "moon": 1}, schema)


# --- errors point at their line


def line_of(text: str, word: str) -> int:
    return next(i for i, row in enumerate(text.splitlines(), start=1) if word in row)


@pytest.mark.parametrize(
    ("old", "new", "word", "tells"),
    [
        ("  age_years: 63", "  age_yeers: 63", "age_yeers", "is 'age_years' meant"),
        ("    bone: femur_right", "    bonne: femur_right", "bonne", "is 'bone' meant"),
        ("  sex: female", "  sex: femal", "femal", "it can be female, male, other"),
        ("  age_years: 63", "  age_years: 630", "630", "it can be 0 to 120"),
        ("80 week", "80 kg", "80 kg", "no quantity in week"),
        ("    bone: femur_right", "    bone: femur_rihgt", "rihgt", "'femur_right' meant"),
        ("      fracture: none", "      fracture: none\n      fracture: present", "present", "stands here again"),
        ("  pregnant: false", "  pregnant: perhaps", "perhaps", "true or false"),
        ("    region: shaft", "   region: shaft", "   region: shaft", "not YAML"),
        ("absent: [table", "absent: [tabel", "tabel", "no structure 'tabel'"),
    ],
)
def test_errors_name_file_and_line(femur: Path, edit, old: str, new: str, word: str, tells: str):
    text = (femur / "case.yaml").read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(OsteonError) as caught:
        edit(text=lambda t: t.replace(old, new, 1))
    assert tells in caught.value.what
    line = line_of(text.replace(old, new, 1), word)
    assert f"case.yaml:{line}" in caught.value.what


def test_schema_line_must_be_first(edit):
    with pytest.raises(CaseFileError, match="not `schema: osteon-case/1`"):
        edit(text=lambda t: t.replace("osteon-case/1", "osteon-case/9"))
    with pytest.raises(CaseFileError, match="first entry"):
        edit(text=lambda t: "moon: 1\n" + t)


def test_no_case_file(tmp_path: Path):
    with pytest.raises(MissingError, match=r"no .*case\.yaml"):
        load_case(tmp_path)


# --- facts


@pytest.mark.parametrize(
    ("entry", "state"),
    [
        ("35 mm", Known(35.0)),
        ({"value": 3.5, "unit": "cm"}, Known(35.0)),
        ({"min": 20, "max": 30}, Interval(20.0, 30.0)),
        ({"min": 2, "max": "3", "unit": "cm"}, Interval(20.0, 30.0)),
        ({"one_of": [20, 30], "unit": "mm"}, OneOf((20.0, 30.0))),
        ("unknown", Unknown()),
        ({"not_applicable": "no lesion left"}, NotApplicable("no lesion left")),
    ],
)
def test_ways_to_write_a_quantity(edit, entry, state):
    assert edit(set_("lesions.0.facts.size_max_mm", entry)).lesions[0].facts["size_max_mm"].state == state


def test_a_fact_that_is_not_named_is_unknown_not_zero(edit):
    case = edit(lambda t: t["facts"].pop("inr"))
    assert case.facts["inr"].state == Unknown("not given")


def test_a_set_is_kept_in_the_order_of_the_vocabulary(edit):
    assert edit(set_("facts.anaesthesia", ["local", "general"])).facts["anaesthesia"].value == "general, local"
    assert edit(set_("facts.anaesthesia", [])).facts["anaesthesia"].value == "none"


def test_newest_of_a_series_decides(edit):
    series = [
        {"value": 80, "date": date(2025, 3, 1)},
        {"value": 120, "date": date(2025, 3, 8)},
        {"value": 60, "date": date(2025, 1, 1)},
    ]
    fact = edit(set_("facts.platelets_e9_l", series)).facts["platelets_e9_l"]
    assert (fact.value, fact.date) == (120.0, date(2025, 3, 8))


def test_two_values_of_one_day_contradict_each_other(edit):
    series = [{"value": 80, "date": date(2025, 3, 8)}, {"value": 120, "date": date(2025, 3, 8)}]
    assert edit(set_("facts.platelets_e9_l", series)).facts["platelets_e9_l"].state == OneOf((80.0, 120.0), conflict=True)


@pytest.mark.parametrize(("day", "good"), [(date(2025, 2, 8), True), (date(2025, 2, 7), False)])
def test_a_value_goes_stale_after_thirty_days(edit, day, good):
    """facts.yaml: platelets stay good for 30 days; the chart is of 2025-03-10."""
    state = edit(set_("facts.platelets_e9_l", {"value": 214, "date": day})).facts["platelets_e9_l"].state
    if good:
        assert state == Known(214.0)
    else:
        assert isinstance(state, Unknown)
        assert state.why.startswith("needs a new one: last from 2025-02-07")


def test_a_date_after_the_chart_is_refused(edit):
    with pytest.raises(CaseFileError, match="after the chart"):
        edit(set_("facts.inr", {"value": 1.1, "date": date(2025, 4, 1)}))


@pytest.mark.parametrize(
    "entry", [{"min": 5}, {"min": 9, "max": 3}, {"value": 3, "min": 1, "max": 4}, {"one_of": []}, {"walue": 3}]
)
def test_malformed_quantities_are_refused(edit, entry):
    with pytest.raises(CaseFileError, match=r"case.yaml:\d+: size_max_mm"):
        edit(set_("lesions.0.facts.size_max_mm", entry))


def test_wrong_unit_is_refused(edit):
    with pytest.raises(UnitError, match="35 kg"):
        edit(set_("lesions.0.facts.size_max_mm", "35 kg"))


def test_every_fact_tells_its_line(femur: Path):
    case, text = load_case(femur), (femur / "case.yaml").read_text(encoding="utf-8")
    assert case.facts["ecog"].origins[0].where == f"case.yaml:{line_of(text, 'ecog')}"
    assert case.facts["ecog"].origins[0].kind == "chart"


# --- sides and places


def test_side_against_the_bones_name_is_refused(edit):
    with pytest.raises(CaseFileError, match="the bone is femur_right, but the side is left"):
        edit(set_("lesions.0.side", "left"))


def test_bone_may_be_joined_from_name_and_side(edit):
    assert edit(set_("lesions.0.bone", "femur")).lesions[0].bone == structure("femur_right")


def test_level_makes_the_vertebra(tmp_path: Path):
    file = write("vertebra", tmp_path, spacing_mm=3.0)
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("bone: vertebra_L3", "bone: vertebra\n    level: L3"), encoding="utf-8")
    assert load_case(tmp_path).lesions[0].bone == structure("vertebra_L3")
    file.write_text(text.replace("bone: vertebra_L3", "bone: vertebra_L3\n    level: L4"), encoding="utf-8")
    with pytest.raises(CaseFileError, match="the level is L4"):
        load_case(tmp_path)
    file.write_text(text.replace("side: right", "side: left"), encoding="utf-8")
    state = load_case(tmp_path).lesions[0].facts["side"].state
    assert state == OneOf(("left", "right"), conflict=True)


def test_outline_in_another_bone_is_a_conflict(tmp_path: Path):
    file = write("ilium", tmp_path, spacing_mm=3.0)
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("bone: hip_right", "bone: femur_right"), encoding="utf-8")
    assert load_case(tmp_path).lesions[0].facts["bone"].state == OneOf(("femur_right", "hip_right"), conflict=True)


def test_bone_must_be_a_bone(edit):
    with pytest.raises(CaseFileError, match="aorta is no bone"):
        edit(set_("lesions.0.bone", "aorta"))


# --- outlines


def test_nerve_as_a_line_in_lps_and_in_ras(edit):
    def change(coordinates, sign):
        def run(tree):
            points = [[sign * -85, sign * 46, -520], [sign * -83, sign * 47, -380]]
            tree["structures"]["tibial_nerve_right"] = {"polyline_mm": points, "radius": "4 mm", "coordinates": coordinates}
            tree["absent"].remove("tibial_nerve_right")

        return run

    one, two = edit(change("LPS", 1)), edit(change("RAS", -1))
    key = structure("tibial_nerve_right")
    mask = one.masks[key]
    np.testing.assert_array_equal(mask.array, two.masks[key].array)
    assert key in one.approximate
    volume = mask.array.sum() * mask.grid.voxel_mm3
    assert volume == pytest.approx(np.pi * 4**2 * 140 + 4 / 3 * np.pi * 4**3, rel=0.15)


def test_lesion_as_a_ball(edit):
    case = edit(set_("lesions.0.outline", {"sphere_mm": {"center": [-98, 4, -450], "diameter": "2 cm"}}))
    mask = case.lesions[0].mask
    assert mask.array.sum() * mask.grid.voxel_mm3 == pytest.approx(4 / 3 * np.pi * 10**3, rel=0.1)


@pytest.mark.parametrize(
    "outline",
    [
        {"sphere_mm": {"center": [0, 0, 900], "diameter": 25}},
        {"polyline_mm": [[0, 0, 900], [0, 0, 950]], "radius": 3},
    ],
)
def test_outline_outside_the_image_is_refused(edit, outline):
    with pytest.raises(CaseFileError, match="lies outside the image"):
        edit(set_("lesions.0.outline", outline))


def test_empty_lesion_is_refused(femur: Path, edit):
    grid = images.read(femur / "ct.nii.gz").volume
    images.write_nifti(grid.with_array(np.zeros(grid.array.shape, bool)), femur / "empty.nii.gz")
    with pytest.raises(ImageError, match=r"case.yaml:\d+: lesion L1: .*is empty") as caught:
        edit(set_("lesions.0.outline", {"file": "empty.nii.gz"}))
    assert caught.value.do


def test_outline_needs_one_shape(edit):
    with pytest.raises(CaseFileError, match="exactly one of"):
        edit(set_("lesions.0.outline", {"approximate": True}))
    with pytest.raises(CaseFileError, match="belong together"):
        edit(set_("lesions.0.outline", {"polyline_mm": [[0, 0, 0], [0, 0, 1]]}))


def test_absent_and_outlined_is_refused(edit):
    with pytest.raises(CaseFileError, match="declared absent, but it is outlined"):
        edit(lambda t: t["absent"].append("sciatic_nerve_right"))


def test_missing_file_names_the_line(edit):
    with pytest.raises(MissingError, match=r"case.yaml:\d+: there is no file"):
        edit(set_("studies.0.file", "gone.nii.gz"))


def test_absolute_paths_are_refused(femur: Path, edit):
    with pytest.raises(CaseFileError, match="absolute path"):
        edit(set_("studies.0.file", str(femur / "ct.nii.gz")))


def test_a_file_that_changed_since_its_digest_was_noted_is_refused(femur: Path, edit):
    good = images.digest_of(femur / "lesion.nii.gz")
    assert edit(set_("digests", {"lesion.nii.gz": good})).digests["lesion.nii.gz"] == good
    with pytest.raises(CaseFileError, match="has changed"):
        edit(set_("digests", {"lesion.nii.gz": "0" * 64}))


def test_an_mr_is_not_taken_for_a_ct(femur: Path, edit):
    grid = images.read(femur / "ct.nii.gz").volume
    images.write_nifti(grid.with_array(np.abs(grid.array)), femur / "mr.nii.gz")
    with pytest.raises(ImageError, match="no fat, no air"):
        edit(set_("studies.0.file", "mr.nii.gz"))


def test_several_lesions_and_a_timeline(edit):
    def change(tree):
        second = {
            **tree["lesions"][0],
            "id": "L2",
            "goal": "cure",
            "outline": {"sphere_mm": {"center": [-95, 5, -500], "diameter": 12}},
        }
        tree["lesions"].append(second)
        tree["timeline"] = [{"date": date(2024, 11, 5), "treatment": "radiotherapy", "site": "L1", "details": {"dose_gy": 8}}]

    case = edit(change)
    assert [(x.id, x.goal) for x in case.lesions] == [("L1", "palliation"), ("L2", "cure")]
    assert case.timeline[0].details == {"dose_gy": 8}
    with pytest.raises(CaseFileError, match="lesion id 'L1'"):
        edit(lambda t: t["lesions"].append(t["lesions"][0]))


def test_loading_counts_files_once(tmp_path: Path):
    """A phantom at 1 mm loads in seconds; the time is printed, not asserted."""
    folder = write("ilium", tmp_path).parent
    begin = time.perf_counter()
    case = load_case(folder)
    print(f"load_case of the ilium at 1 mm: {time.perf_counter() - begin:.2f} s")
    assert len(case.digests) == 5
