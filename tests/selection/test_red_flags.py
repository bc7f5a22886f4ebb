"""What comes before every treatment: red flags up, not to be told, and what waits for them."""

from __future__ import annotations

import pytest
from selection_cases import assessment, fit

from osteon.facts import Interval, NotApplicable, OneOf, vocabulary
from osteon.selection.judging import book
from osteon.selection.kleene import Truths, evaluate
from osteon.selection.red_flags import FILE, flags_of
from osteon.selection.rules import failing_examples, guideline
from osteon.selection.select import select
from osteon.treatments.catalog import treatment
from osteon.treatments.rows import sheet

QUIET = {
    "new_weakness": False, "sphincter_loss": False, "sensation_intact": True, "sepsis": False, "calcium_mg_dl": 9.4,
    "fracture_displaced": NotApplicable("no fracture"), "fracture": "none",
}  # fmt: skip
SPINE = {**QUIET, "bone": "vertebra_T10", "side": "midline", "escc_grade": "0", "sins_score": 5}


def up(**change):
    flags = select(assessment(fit(**{**QUIET, **change})), missing=False).flags
    return [f for f in flags if f.truth == "true"]


def test_every_flag_has_examples_for_up_and_down_that_come_out():
    rules = guideline(FILE)
    assert failing_examples(rules) == []
    for rule in rules:
        assert rule.then, rule.id
        assert {"true", "false"} <= {evaluate(rule.when, s, vocabulary()) for s, _ in rule.examples}, rule.id


@pytest.mark.parametrize(
    ("change", "rule", "words"),
    [
        ({**SPINE, "sphincter_loss": True}, "RF-NEURO", "spine surgeon"),
        ({**SPINE, "new_weakness": True}, "RF-NEURO", "spine surgeon"),
        ({**SPINE, "escc_grade": "3"}, "RF-CORD", "radiation oncologist"),
        ({**SPINE, "sins_score": 14}, "RF-UNSTABLE", "spine surgeon"),
        ({"fracture": "present", "fracture_displaced": True}, "RF-DISPLACED", "orthopaedic"),
        ({"calcium_mg_dl": 13.4}, "RF-CALCIUM", "oncologist"),
        ({"sepsis": True}, "RF-SEPSIS", "physician on call"),
        ({"local_infection": True}, "RF-INFECTION", "infectious"),
    ],
)
def test_a_flag_goes_up_and_says_whom_to_call(change, rule, words):
    (flag,) = up(**change)
    assert flag.rule_id == rule
    assert words in flag.call
    assert flag.quotes


def test_nothing_is_up_in_a_quiet_chart():
    assert up() == []
    assert up(**SPINE) == []


def test_what_can_wait_waits_and_its_status_stays():
    quiet = select(assessment(fit(**QUIET)), missing=False)
    loud = select(assessment(fit(**{**QUIET, "sepsis": True})), missing=False)
    assert not any(v.on_hold for v in quiet.verdicts)
    for before, after in zip(quiet.verdicts, loud.verdicts, strict=True):
        if "sepsis" not in book(treatment(after.treatment)).comparisons:
            assert before.status == after.status
        waits = sheet(treatment(after.treatment)).elective and after.status not in ("excluded", "not_indicated", "outside_scope")
        assert after.on_hold == waits
    assert not any(v.on_hold for v in loud.verdicts if v.treatment in ("spine_surgery", "corticosteroids", "analgesic_ladder"))


def test_a_fracture_that_is_not_displaced_calls_the_surgeon_but_holds_nothing():
    answers = select(assessment(fit(**{**QUIET, "fracture": "present", "fracture_displaced": False})), missing=False)
    (flag,) = [f for f in answers.flags if f.truth == "true"]
    assert (flag.rule_id, flag.holds) == ("RF-FRACTURE", False)
    assert not any(v.on_hold for v in answers.verdicts)


def test_of_a_spinal_lesion_unknown_neurological_status_is_asked_first():
    told = {**SPINE, "new_weakness": None, "sphincter_loss": None, "sensation_intact": None, "platelets_e9_l": None}
    asked = [q.fact for q in select(assessment(fit(**told))).questions]
    assert set(asked[:3]) == {"new_weakness", "sphincter_loss", "sensation_intact"}
    limb = select(assessment(fit(**{**told, "bone": "hip_right", "side": "right"})))
    assert limb.questions[0].fact not in ("new_weakness", "sphincter_loss")


def test_a_flag_that_cannot_be_told_says_what_to_ask_and_is_not_up():
    truths = Truths({}, vocabulary())
    assert all(f.truth == "unknown" for f in flags_of("L1", truths))
    told = fit(**{**QUIET, "calcium_mg_dl": Interval(9, 12)})
    (flag,) = [f for f in select(assessment(told), missing=False).flags if f.rule_id == "RF-CALCIUM"]
    assert flag.truth == "unknown"
    assert flag.unknown == ("calcium_mg_dl",)
    assert "calcium" in flag.text
    spinal = {**SPINE, "escc_grade": OneOf(("1c", "2"))}
    (cord,) = [f for f in select(assessment(fit(**spinal)), missing=False).flags if f.rule_id == "RF-CORD"]
    assert cord.urgent
