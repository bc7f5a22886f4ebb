"""Rows of ablation: metal and current, watched ice, laser, focused ultrasound by label, policy and cortex (clinical 3.2)."""

from __future__ import annotations

import pytest
from selection_cases import assessment, fit

from osteon.facts import NotApplicable, OneOf
from osteon.selection import select as module
from osteon.selection.policies import Site
from osteon.selection.rules import guideline
from osteon.selection.select import select
from osteon.treatments.catalog import Entry

ROWS = ("microwave", "radiofrequency_monopolar", "radiofrequency_bipolar", "cryoablation", "laser", "focused_ultrasound")
OPEN = ("candidate", "candidate_with_cautions", "candidate_unchecked")
TOLD = {
    "metal_implant": False,
    "bone_class": "hip",
    "mr_compatible": True,
    "mr_visible": True,
    "acoustic_window": True,
    "distance_nerve_mm": 30,
    "distance_joint_mm": 25,
    "distance_vessel_mm": 30,
    "distance_lung_mm": NotApplicable("pelvis"),
    "long_bone": False,
    "spinal": False,
    "refused": "none",
    "cortex_adjacent": "intact",
    "prior_radiotherapy": True,
    "ice_monitoring_planned": False,
    "rewarming_planned": False,
}


@pytest.fixture(autouse=True)
def _only_ablation(monkeypatch):
    monkeypatch.setattr(module, "entries", lambda: {n: Entry(n, "ablation", "-") for n in ROWS})


def verdict(name, policy="strict", site=None, **change):
    told = {**fit(), **TOLD, **change}
    return select(assessment(told), policy, site or Site()).of("L1", name)


def decisive(found, kind, truth="true"):
    return {r.rule_id for r in (*found.reasons, *found.variants) if r.kind == kind and r.truth == truth}


@pytest.mark.parametrize(
    ("fact", "rule", "words"),
    [
        ("metal_implant", "RFA-07-IMPLANT", "metal implant"),
        ("implant_near", "RFA-07-IMPLANT", "metal implant near the lesion yes"),
        ("pacemaker", "RFA-07-PACEMAKER", "pacemaker"),
    ],
)
def test_metal_excludes_monopolar_current_by_name_and_only_cautions_bipolar_current(fact, rule, words):
    found = verdict("radiofrequency_monopolar", **{fact: True})
    assert found.status == "excluded"
    (reason,) = [r for r in found.reasons if r.kind == "exclusion" and r.truth == "true"]
    assert reason.rule_id == rule
    assert words in reason.text.lower()
    assert verdict("radiofrequency_bipolar", **{fact: True}).status == "candidate_with_cautions"
    assert "RFA-07-LABEL" in decisive(verdict("radiofrequency_bipolar", **{fact: True}), "caution")


def test_cold_near_a_structure_is_a_caution_that_watched_ice_answers_while_heat_is_excluded():
    near = {"distance_critical_mm": 7, "ice_monitoring_planned": True}
    assert "CRY-07-DISTANCE" in decisive(verdict("cryoablation", distance_critical_mm=7), "caution")
    assert "CRY-07-DISTANCE" not in decisive(verdict("cryoablation", **near), "caution")
    for heat in ("microwave", "radiofrequency_monopolar", "focused_ultrasound"):
        assert verdict(heat, "mitigated", **near).status == "excluded"


def test_nothing_is_frozen_beside_a_compressed_cord():
    assert verdict("cryoablation", spinal=True, escc_grade="2").status == "excluded"


def test_cement_waits_for_the_thaw_unless_rewarming_is_planned():
    assert "CRY-10-CEMENT" in decisive(verdict("cryoablation", stabilisation_planned=True), "caution")
    warm = verdict("cryoablation", stabilisation_planned=True, rewarming_planned=True)
    assert "CRY-10-CEMENT" not in decisive(warm, "caution")


def test_laser_is_not_indicated_for_a_metastasis_whatever_else_holds():
    assert verdict("laser").status == "not_indicated"
    assert verdict("laser", disease_class="haematological").status == "not_indicated"
    assert verdict("laser", disease_class="primary_bone_tumour").status == "outside_scope"


@pytest.mark.parametrize(
    ("change", "status", "rule"),
    [
        ({}, "candidate_with_cautions", None),
        ({"bone_class": "skull"}, "excluded", "FUS-SKULL"),
        ({"bone_class": "sternum"}, "not_indicated", "FUS-SITE"),
        ({"bone_class": "vertebra", "vertebral_level": "L4", "vertebral_part": "body"}, "excluded", "FUS-BODY"),
        ({"bone_class": "vertebra", "vertebral_level": "L2", "vertebral_part": "posterior_elements"}, "excluded", "FUS-LEVEL"),
        ({"bone_class": "vertebra", "vertebral_level": "L3", "vertebral_part": "posterior_elements"}, OPEN, None),
        ({"distance_joint_mm": 0}, "excluded", "FUS-JOINT"),
        ({"distance_nerve_mm": 9.9}, "excluded", "FUS-NERVE"),
        ({"distance_nerve_mm": 10}, OPEN, None),
        ({"distance_skin_mm": 9.9}, "excluded", "FUS-SKIN"),
        ({"mr_compatible": False}, "excluded", "FUS-MR"),
        ({"mr_visible": False}, "not_indicated", "FUS-VISIBLE"),
        ({"acoustic_window": False}, "excluded", "FUS-PATH"),
        ({"fracture": "impending", "weight_bearing": True}, "excluded", "FUS-STABILISE"),
        ({"pain_vas": 3}, "not_indicated", "FUS-PAIN"),
        ({"pain_refractory": False}, "not_indicated", "FUS-01"),
        ({"pain_refractory": False, "refused": "radiotherapy"}, OPEN, None),
        ({"platelets_e9_l": 20, "percutaneous_path": False}, OPEN, None),
    ],
)
def test_focused_ultrasound_by_label_distance_and_indication(change, status, rule):
    found = verdict("focused_ultrasound", **change)
    assert found.status in ((status,) if isinstance(status, str) else status)
    if rule:
        kind, truth = ("exclusion", "true") if status == "excluded" else ("requirement", "false")
        assert decisive(found, kind, truth) == {rule}


def test_a_site_may_put_focused_ultrasound_first_and_is_told_that_the_label_does_not():
    first = Site.with_choices({"focused_ultrasound_first": True})
    found = verdict("focused_ultrasound", site=first, pain_refractory=False)
    assert found.status == "candidate_with_cautions"
    assert "FUS-01-LABEL" in decisive(found, "caution")
    assert "FUS-01-LABEL" not in decisive(verdict("focused_ultrasound", site=first), "caution")


@pytest.mark.parametrize(
    ("cortex", "suits"),
    [
        ("intact", {"FUS-07-NEAR", "FUS-07-DIRECT"}),
        ("partial", {"FUS-07-NEAR", "FUS-07-DIRECT"}),
        ("destroyed", {"FUS-08"}),
        (OneOf(("partial", "destroyed")), set()),
    ],
)
def test_the_cortex_picks_the_approach_and_changes_no_status(cortex, suits):
    found = verdict("focused_ultrasound", cortex_adjacent=cortex)
    assert decisive(found, "variant") == suits
    assert found.status == "candidate_with_cautions"


def test_focused_ultrasound_takes_over_nothing_of_the_needle():
    needle = {"ABL-07-PATH", "ABL-08", "ABL-08-KNOWN", "ABL-08-CORRECT", "GATE-2", "ABL-10", "BIOPSY"}
    assert needle <= {r.id for r in guideline("needle")}
    assert not needle & {r.rule_id for r in verdict("focused_ultrasound").reasons}
