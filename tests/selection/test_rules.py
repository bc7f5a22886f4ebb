"""Rules: every one tried on its own examples; what cannot be read is refused, with its file."""

from __future__ import annotations

import copy

import pytest
from selection_cases import MICROWAVE

from osteon.errors import InputError
from osteon.evidence.source import cite
from osteon.facts import Interval, Known, NotApplicable, OneOf, Unknown, vocabulary
from osteon.selection.kleene import Constant, evaluate
from osteon.selection.rules import conflicts, failing_examples, guideline, read_rules, state_from, states_of
from osteon.treatments.catalog import entries, treatment

SHARED = ("scope", "needle", "thermal_ablation")
GOOD = {
    "id": "R1",
    "kind": "exclusion",
    "when": "pain_vas < 4",
    "because": "words",
    "source": "qiu-2019",
    "class": "seed",
    "examples": [{"facts": {"pain_vas": 3}, "is": True}],
}


def every_rule():
    return [r for name in SHARED for r in guideline(name)] + [
        r for r in read_rules(MICROWAVE, "microwave/rules.yaml") if not r.file.startswith("guidelines")
    ]


def test_every_example_of_every_rule_comes_out_as_written():
    assert failing_examples(every_rule()) == []


def test_the_rules_of_every_treatment_in_the_catalogue_can_be_read_and_hold_their_examples():
    for name in entries():
        assert failing_examples(read_rules(treatment(name).rules, f"{name}/rules.yaml")) == []


def test_every_rule_shows_both_sides_and_the_unknown_unless_it_cannot():
    for rule in every_rule():
        shown = {expected for _, expected in rule.examples}
        if isinstance(rule.when, Constant):
            assert shown == {"true"}
        elif rule.id in ("ABL-04", "ABL-08-KNOWN", "GATE-5"):
            assert shown == {"true", "unknown"}
        else:
            assert {"true", "false", "unknown"} <= shown, rule.id


def test_every_rule_cites_a_paper_and_every_conflict_is_in_the_register():
    for rule in every_rule():
        assert cite({"source": list(rule.source)}), rule.id
        assert set(rule.conflicts) <= set(conflicts())
    for conflict in conflicts().values():
        assert cite(conflict)
        assert conflict.decision


def test_a_source_of_class_seed_is_one_of_the_five_papers_and_a_proposal_says_so():
    for rule in every_rule():
        papers = {p.seed is not None for p in cite({"source": list(rule.source)})}
        assert papers == {rule.source_class == "seed"}, rule.id


def test_the_matrix_row_of_microwave_is_complete():
    ids = {r.id.split("-")[0] + "-" + r.id.split("-")[1] for r in every_rule() if "-" in r.id}
    ablation = {f"ABL-{n:02}" for n in range(1, 24)} - {"ABL-06", "ABL-12", "ABL-22"}
    microwave = {f"MWA-{n:02}" for n in (1, 3, 4, 5, 8, 10, 11, 12, 13, 14, 15, 16, 18)}
    assert ablation | microwave <= ids


def test_clinical_md_thresholds_at_their_boundaries():
    by_id = {r.id: r for r in every_rule()}

    def truth(rule, **told):
        return evaluate(by_id[rule].when, {n: Known(v) for n, v in told.items()}, vocabulary())

    assert truth("ABL-05", distance_critical_mm=10.0) == "false"
    assert truth("ABL-05", distance_critical_mm=9.99) == "true"
    assert truth("ABL-08", platelets_e9_l=50, inr=1.5, coagulopathy_correctable=False) == "false"
    assert truth("ABL-08", platelets_e9_l=49.9, coagulopathy_correctable=False) == "true"
    assert truth("ABL-08", inr=1.51, coagulopathy_correctable=False) == "true"
    assert truth("MWA-08", size_max_mm=35.0) == "false"
    assert truth("MWA-08", size_max_mm=35.1) == "true"
    assert truth("ABL-09", ecog=3) == "false"
    assert truth("SCOPE-2", age_years=18) == "false"


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "hint"},
        {"class": "rumour"},
        {"then": "perhaps"},
        {"examples": []},
        {"because": ""},
        {"source": None},
        {"when": "pain_vsa < 4"},
        {"when": "pain_vas < 'four'"},
        {"conflicts": ["X99"]},
        {"examples": [{"facts": {"nosuch": 1}, "is": True}]},
        {"examples": [{"facts": {}, "is": "maybe"}]},
        {"colour": "red"},
        {"class": "regulator", "mitigations": [{"when": "thermometry_planned", "text": "t"}]},
        {"kind": "requirement", "mitigations": [{"when": "thermometry_planned", "text": "t"}]},
        {"mitigations": [{"when": "nosuch", "text": "t"}]},
        {"film": ["axial_cortical_mm"]},
    ],
)
def test_a_rule_that_cannot_be_read_is_refused_with_its_file(change):
    with pytest.raises(InputError, match=r"some/rules\.yaml"):
        read_rules([{**GOOD, **change}], "some/rules.yaml")


def test_an_example_that_is_wrong_is_reported():
    wrong = copy.deepcopy(GOOD)
    wrong["examples"][0]["is"] = False
    (line,) = failing_examples(read_rules([wrong], "some/rules.yaml"))
    assert line == "some/rules.yaml: rule R1, example 1: true, expected false"


def test_ids_are_unique_and_an_unknown_include_is_refused():
    with pytest.raises(InputError, match="R1"):
        read_rules([GOOD, GOOD], "some/rules.yaml")
    with pytest.raises(InputError, match="needle"):
        read_rules([{"include": "nosuch"}], "some/rules.yaml")


def test_a_regulator_supersedes_a_seed_and_never_the_other_way_round():
    regulator = {**GOOD, "id": "EMA", "class": "regulator", "supersedes": ["R1"]}
    assert [r.id for r in read_rules([GOOD, regulator], "f")] == ["EMA"]
    strong, weak = {**GOOD, "class": "regulator"}, {**GOOD, "id": "W", "supersedes": ["R1"]}
    with pytest.raises(InputError, match="supersede"):
        read_rules([strong, weak], "f")


def test_examples_are_written_as_states():
    assert state_from({"min": 1, "max": 2}) == Interval(1, 2)
    assert state_from({"one_of": ["a", "b"]}) == OneOf(("a", "b"))
    assert state_from("unknown") == Unknown()
    assert isinstance(state_from("n/a"), NotApplicable)
    assert state_from([]) == Known("none")
    assert state_from(["local"]) == Known("local")
    assert states_of({}) == {}
