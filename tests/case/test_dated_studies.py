"""Several dated studies in one case: which is planned on, what is carried over and with what error, what an old image means."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "io"))

from test_register import like_mr, motion, other_grid

from osteon.assessment.assess import assess
from osteon.cache import Cache
from osteon.case import align as align_module
from osteon.case import phantom
from osteon.case.load import load_case
from osteon.errors import CaseFileError
from osteon.facts import Interval, Known
from osteon.io.images import write_nifti
from osteon.space.anatomy import structure
from osteon.space.paths import gap_mm
from osteon.space.volume import Volume

NERVE, LESION = structure("sciatic_nerve_right"), structure("lesion")
SPACING = 3.0


def changed(folder: Path, change) -> Path:
    file = folder / "case.yaml"
    tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    change(tree)
    file.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    return folder


def two_studies(folder: Path, *, lesion_too: bool = False) -> Path:
    """A femur whose sciatic nerve is drawn on an MR of another day only, turned by 5 degrees and moved by 14 mm."""
    phantom.write("femur", folder, spacing_mm=SPACING)
    made = phantom.build("femur", spacing_mm=SPACING)
    grid = other_grid(made.image.grid)
    matrix = motion(made.image.grid, 5, (1, 1, 0), (8, -6, 10))
    there = Volume.of(made.image.array, matrix @ made.image.grid.matrix).resample(grid, fill=-1000.0)
    write_nifti(like_mr(there), folder / "mr.nii.gz", dtype=np.float32)
    for key in (NERVE, LESION):
        mask = made.masks[key]
        write_nifti(Volume.of(mask.array, matrix @ mask.grid.matrix).resample(grid), folder / f"{key.id}_mr.nii.gz")

    def edit(tree):
        for entry in tree["labels"]:
            entry["names"] = {k: v for k, v in entry["names"].items() if v != NERVE.id}
        tree["studies"].append({"id": "mr1", "modality": "MR", "file": "mr.nii.gz", "date": "2025-02-20"})
        tree["structures"][NERVE.id] = {"file": f"{NERVE.id}_mr.nii.gz", "study": "mr1"}
        if lesion_too:
            tree["lesions"][0]["outline"] = {"file": "lesion_mr.nii.gz", "study": "mr1"}

    return changed(folder, edit)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return two_studies(tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module")
def loaded(folder):
    said = []
    case = load_case(folder, cache=Cache(folder / ".osteon"), aligning=lambda stage, done: said.append((stage, done)))
    return case, said


def test_progress_names_the_study_and_ends_at_one(loaded):
    _, said = loaded
    assert {stage for stage, _ in said} == {"aligning mr1"}
    assert said[-1][1] == 1.0


def test_outline_of_another_study_is_carried_with_its_error(loaded):
    case, _ = loaded
    assert case.outline_study == {NERVE: "mr1"}
    assert 0.5 <= case.outline_error_mm[NERVE] <= 8.0
    assert NERVE in case.approximate
    assert case.alignments[0].days == -11


def test_distance_to_a_carried_outline_is_an_interval_that_holds_the_true_one(loaded):
    case, _ = loaded
    made = phantom.build("femur", spacing_mm=SPACING)
    true = gap_mm(made.masks[LESION], made.masks[NERVE])[0]
    lesion = assess(case).lesions[0]
    entry = next(r for r in lesion.required if r.structure == NERVE.id)
    error = case.outline_error_mm[NERVE]
    assert f"carried over from mr1, error {error:.1f} mm" in entry.text
    assert abs(entry.distance_mm - true) <= error
    state = lesion.facts["distance_nerve_mm"].state
    nearer = min(true, gap_mm(made.masks[LESION], made.masks[structure("femoral_nerve_right")])[0])
    low, high = (state.low, state.high) if isinstance(state, Interval) else (state.value, state.value)
    assert low - 0.05 <= nearer <= high + 0.05
    assert any("not drawn on the planning CT: right sciatic nerve" in warning for warning in lesion.warnings)
    assert lesion.anatomy.error_mm == {NERVE: error}


def test_a_second_load_reads_the_alignment_and_loads_no_simpleitk(folder, loaded, monkeypatch):
    monkeypatch.setattr(align_module, "register", lambda *a, **k: pytest.fail("registered again"))
    changed(folder, lambda tree: tree["facts"].update(ecog=1))  # another chart, the same images
    again = load_case(folder, cache=Cache(folder / ".osteon"))
    assert np.array_equal(again.alignments[0].transform, loaded[0].alignments[0].transform)
    code = (
        "import sys; from pathlib import Path; from osteon.cache import Cache; from osteon.case.load import load_case\n"
        f"load_case(Path({str(folder)!r}), cache=Cache(Path({str(folder / '.osteon')!r})))\n"
        "print('SimpleITK' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_lesion_and_nerve_of_one_study_keep_their_distance(tmp_path):
    """One motion carries both, so the distance between them has no error; their place on the CT has."""
    case = load_case(two_studies(tmp_path, lesion_too=True))
    lesion = assess(case).lesions[0]
    assert case.lesions[0].outline_study == "mr1"
    assert lesion.anatomy.gap_error_mm(LESION, NERVE) == 0.0
    vessels = structure("femoral_vessels_right")
    assert lesion.anatomy.gap_error_mm(LESION, vessels) == case.lesions[0].outline_error_mm > 0
    made = phantom.build("femur", spacing_mm=SPACING)
    true = gap_mm(made.masks[LESION], made.masks[vessels])[0]
    state = lesion.facts["distance_vessel_mm"].state
    assert isinstance(state, Interval)
    assert state.low <= true <= state.high
    assert any("the lesion was carried over from mr1" in warning for warning in lesion.warnings)


def several(folder: Path, *studies: dict) -> Path:
    """A femur with further CT, each a copy of its CT."""
    phantom.write("femur", folder, spacing_mm=4.0)
    return changed(folder, lambda tree: tree["studies"].extend({"modality": "CT", "file": "ct.nii.gz", **s} for s in studies))


def accepted(planning, study, **more):
    days = (study.date - planning.date).days if study.date and planning.date else None
    return align_module.Alignment(study.id, True, None, "aligned", "images", np.eye(4), 1.0, study.date, days)


IMAGE_DAY = date.fromisoformat(phantom.IMAGE_DATE)


@pytest.mark.parametrize(
    ("days", "words"), [(40, "ct2 is a CT 40 days newer than the planning CT ct1"), (0, "CT of the same day and region as ct1")]
)
def test_another_ct_that_may_be_the_better_one_is_said(tmp_path, monkeypatch, days, words):
    monkeypatch.setattr(align_module, "align_study", accepted)
    day = (IMAGE_DAY + timedelta(days=days)).isoformat()
    case = load_case(several(tmp_path, {"id": "ct2", "date": day}))
    assert case.planning_image.id == "ct1"
    said = assess(case).lesions[0].warnings
    assert any(words in w and "planning: true" in w for w in said), said


def test_an_older_ct_needs_no_word(tmp_path, monkeypatch):
    monkeypatch.setattr(align_module, "align_study", accepted)
    case = load_case(several(tmp_path, {"id": "ct0", "date": "2024-01-01"}))
    assert not any("ct0" in w for w in assess(case).lesions[0].warnings)


def test_planning_true_chooses_everywhere(tmp_path, monkeypatch):
    monkeypatch.setattr(align_module, "align_study", accepted)
    case = load_case(several(tmp_path, {"id": "ct2", "date": "2025-03-04", "planning": True}))
    assert case.planning_image.id == "ct2"
    assert [a.study_id for a in case.alignments] == ["ct1"]
    assert case.facts["contrast_enhanced"].origins == ()  # a header of ct2, which says nothing of it
    assert not any("planning: true" in w for w in assess(case).lesions[0].warnings)


@pytest.mark.parametrize(
    ("studies", "words"),
    [
        (({"id": "mr", "modality": "MR", "planning": True},), "needs a CT that is at hand; study 'mr' is MR"),
        (({"id": "b", "planning": True}, {"id": "c", "planning": True}), "b, c have `planning: true`"),
    ],
)
def test_planning_true_where_it_cannot_be(tmp_path, studies, words):
    with pytest.raises(CaseFileError, match=words):
        load_case(several(tmp_path, *studies))


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ("2024-11-01", "days old (good for 30)"),
        ("2026-01-01", "after the chart"),
        ("unknown", "the planning CT has no date"),
    ],
)
def test_the_age_of_the_planning_ct_is_said(tmp_path, day, words):
    phantom.write("femur", tmp_path, spacing_mm=4.0)
    case = load_case(changed(tmp_path, lambda tree: tree["studies"][0].update(date=day)))
    assert any(words in w for w in assess(case).lesions[0].warnings)


def test_a_fresh_planning_ct_needs_no_word(tmp_path):
    phantom.write("femur", tmp_path, spacing_mm=4.0)
    said = assess(load_case(tmp_path)).lesions[0].warnings
    assert not any("planning CT" in w for w in said), said


def test_a_lesion_drawn_on_a_study_that_does_not_align_stays_unmeasured(tmp_path, monkeypatch):
    def refuse(planning, study, **more):
        return align_module.Alignment(study.id, False, None, "mr1 does not fit")

    monkeypatch.setattr(align_module, "align_study", refuse)
    case = load_case(two_studies(tmp_path, lesion_too=True))
    assert case.lesions[0].mask is None
    assert NERVE not in case.masks
    lesion = assess(case).lesions[0]
    assert not isinstance(lesion.facts["volume_ml"].state, Known)
    assert any("mr1 does not fit" in w for w in lesion.warnings)
