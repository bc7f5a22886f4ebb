"""What would change an answer: each claim is true when the case is judged again with it."""

from __future__ import annotations

import re

import pytest
from selection_cases import assessment, fit

from osteon.facts import Known, vocabulary
from osteon.selection.select import select
from osteon.selection.verdicts import OPEN, Status
from osteon.selection.whatif import Change, answers, settings, would_change


def changes(name: str = "microwave", most: int | None = None, **facts: object) -> tuple[Status, tuple[Change, ...]]:
    case = assessment(fit(**facts))
    verdicts = select(case)
    answer = answers(case, verdicts, "L1")[name]
    return answer.status, would_change(answer, verdicts, most)


def test_a_decisive_exclusion_is_told_first_with_its_threshold_and_what_is_now():
    status, found = changes(platelets_e9_l=30)
    assert status == "excluded"
    assert found[0].text == "if platelets ≥ 50 ×10⁹/l (now 30 ×10⁹/l)"
    assert found[0].status in OPEN
    assert found[0].decisive


def test_what_would_shut_an_open_row_is_told():
    status, found = changes(most=30)
    assert status in OPEN
    said = {c.fact: c for c in found}
    assert said["platelets_e9_l"].text == "if platelets < 50 ×10⁹/l (now 214 ×10⁹/l)"
    assert said["platelets_e9_l"].status == "excluded"
    assert said["pain_vas"].status == "not_indicated"


def test_the_other_policy_is_told_where_it_answers_otherwise():
    status, found = changes(distance_critical_mm=6, thermometry_planned=True)
    assert status == "excluded"
    assert any(c.text == "under the policy “mitigated”" and c.status in OPEN for c in found)


def test_two_exclusions_leave_no_single_step():
    status, found = changes(platelets_e9_l=30, systemic_infection=True)
    assert status == "excluded"
    assert not [c for c in found if c.status in OPEN]


def test_an_open_fact_is_told_with_the_values_that_decide():
    status, found = changes(platelets_e9_l=None, most=40)
    assert status == "needs"
    assert {c.text: c.status for c in found}["if platelets < 50 ×10⁹/l"] == "excluded"


def test_a_choice_of_the_site_is_told():
    femur = {
        "bone": "femur_right", "bone_class": "femur", "segment": "metaphysis", "long_bone": True, "spinal": False,
        "mirels_score": 8, "weight_bearing": True, "dominant_load": "bending", "bone_stock_anchor": True, "screw_approach": True,
    }  # fmt: skip
    case = assessment(fit(**femur))
    verdicts = select(case)
    asked = answers(case, verdicts, "L1")
    said = [c for a in asked.values() for c in would_change(a, verdicts) if "site's choice" in c.text]
    assert all(c.fact == "" for c in said)
    assert any("Mirels score of 8" in c.text for c in said)


def test_what_is_outside_the_knowledge_base_is_not_argued_with():
    status, found = changes(age_years=12)
    assert (status, found) == ("outside_scope", ())


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"platelets_e9_l": 30},
        {"pain_vas": 2},
        {"distance_critical_mm": 6},
        {"ecog": 3},
        {"local_infection": True},
        {"inr": None},
    ],
)
def test_every_claim_holds_when_the_case_is_judged_again(facts):
    """A value inside the range that is named, put into the chart, gives the status that is named."""
    case = assessment(fit(**facts))
    verdicts = select(case)
    tried = 0
    for name, answer in answers(case, verdicts, "L1").items():
        for change in would_change(answer, None, most=5):
            value = _value(change)
            if value is None:
                continue
            again = select(assessment(fit(**{**facts, change.fact: Known(value)})), missing=False)
            direct = answer.after(change.fact, value)
            assert direct == change.status, (name, change)
            if not vocabulary()[change.fact].unsettles and change.fact not in DERIVES:
                assert again.of("L1", name).status == change.status, (name, change)
            tried += 1
    assert tried > 5


DERIVES = {
    "bone",
    "primary",
    "region",
    "goal",
    "fracture",
    "pain_vas",
    "lesion_type",
    "ecog",
    "platelets_e9_l",
    "prior_radiotherapy",
}
"""Other facts follow from these, so that the chart changes by more than one step."""


def _value(change: Change) -> object:
    """Return a value that a change names."""
    text = change.text.partition(" (now")[0]
    kind = vocabulary()[change.fact]
    if kind.type == "number":
        number = re.search(r"([<>≤≥=]) (-?[\d.e+]+)", text)
        if number is None:
            ends = re.search(r"(-?[\d.e+]+) to (-?[\d.e+]+)", text)
            return (float(ends[1]) + float(ends[2])) / 2 if ends else None
        edge = float(number[2])
        return {"<": edge - 1e-6, ">": edge + 1e-6}.get(number[1], edge)
    said = text.partition(": ")[2].split(" or ")[0].replace(" ", "_")
    if kind.type == "bool":
        return {"yes": True, "no": False}.get(said)
    return said if kind.type == "choice" and said in kind.domain else None


def test_the_work_is_counted_so_that_a_page_stays_the_same():
    assert settings()["most_tried"] <= 1000
    assert changes(platelets_e9_l=30) == changes(platelets_e9_l=30)


def test_the_lists_name_facts_of_the_vocabulary():
    assert set(settings()["fixed"]) | set(settings()["last"]) <= set(vocabulary())
