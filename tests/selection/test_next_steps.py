"""What a case has and which next step would decide what; the lists are checked by hand on small cases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from osteon.case.load import load_case
from osteon.facts import vocabulary
from osteon.pathway import Journey, journey
from osteon.report.html import write_report
from osteon.selection.next_steps import at_hand, cheapest, examinations, next_steps

CHART = """schema: osteon-case/1
patient: P
date: 2026-01-01
studies: {studies}
facts: {{{patient}}}
lesions:
  - id: L1
    bone: hip_right
    goal: palliation
    facts: {{{lesion}}}
"""
FULL_PATIENT = (
    "age_years: 60, ecog: 1, platelets_e9_l: 200, inr: 1.0, systemic_infection: false, organ_failure_severe: false, "
    "anaesthesia: [general, local], pregnant: false, disease_class: metastasis, primary: breast, painful_regions: 1, "
    "mdt_agreed: true, bone_lesions_total: 2, coagulopathy_correctable: true"
)
FULL_LESION = (
    "pain_vas: 7, pain_refractory: true, pain_concordant: true, progression: false, local_infection: false, fracture: none, "
    "weight_bearing: true, histology_known: true, hormone_excess: false, stabilisation_planned: true, sensation_intact: true, "
    "prior_radiotherapy: false, laterality_agrees: true"
)


def walked(folder: Path, studies: str = "[]", patient: str = "", lesion: str = "") -> Journey:
    (folder / "case.yaml").write_text(CHART.format(studies=studies, patient=patient, lesion=lesion))
    return journey(folder, with_plans=False)


def test_the_chart_alone_is_asked_first_and_a_ct_makes_the_plan_possible(tmp_path: Path):
    done = walked(tmp_path)
    assert [h.modality for h in at_hand(done.case)] == ["none"]
    steps = next_steps(done.assessment, done.verdicts, "L1")
    assert [s.id for s in steps][:3] == ["ask", "laboratory", "radiograph"]
    assert cheapest(steps) is steps[0]
    assert [s.id for s in steps if s.plan] == ["ct"]


def test_with_a_full_chart_the_ct_is_the_next_step_and_opens_the_needle(tmp_path: Path):
    done = walked(tmp_path, patient=FULL_PATIENT, lesion=FULL_LESION)
    steps = next_steps(done.assessment, done.verdicts, "L1")
    assert cheapest(steps) is not None
    first = next(step for step in steps if "microwave" in step.opens)
    assert first.id == "ct"
    assert {"distance_critical_mm", "percutaneous_path"} <= set(first.facts)


def test_a_film_that_exists_is_not_asked_for_again(tmp_path: Path):
    done = walked(tmp_path, "[{id: film, modality: XR}]", FULL_PATIENT, FULL_LESION)
    held = at_hand(done.case)
    assert [(h.modality, h.declared) for h in held] == [("XR", ("film",)), ("none", ())]
    assert "Mirels" in held[0].allows
    assert "radiograph" not in [s.id for s in next_steps(done.assessment, done.verdicts, "L1")]


def test_a_pet_that_is_not_at_hand_says_so(tmp_path: Path):
    done = walked(tmp_path, "[{id: pet, modality: PT, date: 2025-12-01}]")
    page = write_report(done, tmp_path / "out")
    text = page.read_text()
    assert "pet, not at hand" in text
    assert "What this case has" in text
    assert "What to do next" in text
    told = json.loads((tmp_path / "out" / "journey.json").read_text())
    assert told["at_hand"][0]["modality"] == "PT"
    assert told["next_steps"]["L1"][0]["id"] == "ask"


def test_a_treatment_is_opened_only_once_along_the_list(tmp_path: Path):
    done = walked(tmp_path)
    after = [t for s in next_steps(done.assessment, done.verdicts, "L1") for t in s.opens_after]
    assert len(after) == len(set(after))


@pytest.mark.parametrize("entry", examinations()["steps"], ids=lambda e: e["id"])
def test_every_step_tells_facts_of_the_vocabulary(entry: dict):
    assert entry["title"]
    assert entry["burden"]
    for name in [*entry["tells"], *entry.get("except", [])]:
        assert name in vocabulary() or name in ("chart", "measured")


def test_every_fact_could_be_told_by_some_step():
    told: set[str] = set()
    for entry in examinations()["steps"]:
        for name in entry["tells"]:
            group = {k for k, v in vocabulary().items() if v.measured == (name == "measured")}
            told |= group - set(entry.get("except", [])) if name in ("chart", "measured") else {name}
    assert set(vocabulary()) <= told


def test_a_radiograph_is_no_volume(tmp_path: Path):
    from osteon.errors import CaseFileError

    (tmp_path / "film.dcm").write_bytes(b"")
    (tmp_path / "case.yaml").write_text(CHART.format(studies="[{id: f, modality: XR, file: film.dcm}]", patient="", lesion=""))
    with pytest.raises(CaseFileError, match="a radiograph is no volume"):
        load_case(tmp_path)
