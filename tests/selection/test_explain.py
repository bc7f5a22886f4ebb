"""Verdicts in plain clinical English."""

from __future__ import annotations

import pytest
from selection_cases import MICROWAVE, assessment, fit, treatment_of

from osteon.facts import Interval, Known, NotApplicable, OneOf, Unknown, vocabulary
from osteon.selection import select as module
from osteon.selection.explain import STATUS_ORDER, STATUS_WORDS, label, question, state_words, status_words, why
from osteon.selection.select import select
from osteon.treatments.catalog import Entry


@pytest.fixture(autouse=True)
def _microwave(monkeypatch):
    made = treatment_of(MICROWAVE)
    monkeypatch.setattr(module, "entries", lambda: {"microwave": Entry("microwave", "ablation", "-")})
    monkeypatch.setattr(module, "treatment", lambda name: made)


def lines(**changes):
    return why(select(assessment(fit(**changes))).of("L1", "microwave"))


def test_every_status_has_words_and_a_place():
    assert set(STATUS_WORDS) == set(STATUS_ORDER)
    assert status_words("outside_scope") == "outside the knowledge base"


def test_an_exclusion_is_told_first_with_the_figure_the_reason_and_the_key():
    found = lines(platelets_e9_l=40)
    assert found[0] == "Microwave for lesion L1: excluded (policy strict)."
    assert found[1].startswith("Excluded: A coagulation disorder")
    assert "platelets 40 ×10⁹/l" in found[1]
    assert "[004 «international normalized ratio >1.50»]" in found[1]


def test_what_is_missing_is_told_as_what_to_do():
    found = lines(distance_critical_mm=Unknown("cannot tell: outline the right sciatic nerve"), inr=None)
    assert any("outline the right sciatic nerve" in line for line in found)
    assert found[-1] == "To decide: INR and distance to the nearest critical structure."


def test_a_disagreement_of_sources_is_told_with_its_number():
    assert any("sources disagree: X26" in line for line in lines(distance_critical_mm=5))


def test_a_rule_that_does_not_bear_on_the_case_is_left_out():
    assert not any("acemaker" in line for line in lines())


@pytest.mark.parametrize(
    ("fact", "state", "words"),
    [
        ("pain_vas", Known(7), "pain VAS 7"),
        ("platelets_e9_l", Known(214.0), "platelets 214 ×10⁹/l"),
        ("distance_nerve_mm", Known(6.25), "distance to the nearest nerve 6.25 mm"),
        ("local_infection", Known(False), "local infection no"),
        ("lesion_type", OneOf(("lytic", "mixed")), "lesion type lytic or mixed"),
        ("side", OneOf(("left", "right"), conflict=True), "side left or right (the origins contradict each other)"),
        ("age_years", Interval(69, 71), "age between 69 and 71 years"),
        ("posterior_wall_involved", NotApplicable("no vertebra"), "posterior wall involved not applicable (no vertebra)"),
        ("ecog", Unknown("too old"), "ECOG unknown (too old)"),
        ("goal", Known("cure"), "goal cure"),
    ],
)
def test_states_in_words(fact, state, words):
    assert state_words(fact, state) == words


def test_questions_and_labels_of_every_fact():
    for name in vocabulary():
        assert label(name)
        assert "_" not in label(name)
        assert question(name, Unknown()) == vocabulary()[name].ask
    assert question("ecog", Interval(2, 3)).endswith("So far: ECOG between 2 and 3")
