"""The rule base has no findings; and a fault of each kind, put in on purpose, is found with its line."""

from __future__ import annotations

import pytest

from osteon.selection.book_check import check
from osteon.selection.snapshot import FACTS, LIMITS, POLICIES, REGISTER, Snapshot, installed

BASE = {path: text for path, text in installed().files.items() if path in (FACTS, LIMITS, POLICIES, REGISTER)}
SCOPE = "selection/guidelines/scope.yaml"
ROW = "treatments/alpha/rules.yaml"
HEAD = """title: Alpha
family: ablation
rules:
"""
RULE = """  - id: {id}
    kind: {kind}
    when: {when}
    because: words
    source: qiu-2019
    class: seed
    examples:
      - {{facts: {{{yes}}}, is: true}}
      - {{facts: {{{no}}}, is: false}}
"""
PAIN = RULE.format(id="R-1", kind="requirement", when="pain_vas >= 4", yes="pain_vas: 4", no="pain_vas: 3")
OPEN_TO_NOBODY = {"treatments/laser/rules.yaml"}
"""Rows that say why they are not offered for a metastasis."""


def findings(row, head=HEAD, **more):
    files = {**BASE, SCOPE: installed().files[SCOPE], ROW: head + row, **more}
    return check(Snapshot(files))


def only(found, kind):
    wrong = [f for f in found if not f.note]
    assert [f.kind for f in wrong] == [kind], found
    return wrong[0]


def test_the_installed_rule_base_has_no_findings():
    found = [f for f in check() if not f.note]
    assert found == [], "\n".join(f"{f.file}:{f.line} {f.kind}: {f.rule} {f.text}" for f in found)


def test_only_rows_that_say_so_are_open_to_nobody():
    assert {f.file for f in check() if f.kind == "contradiction"} <= OPEN_TO_NOBODY


def test_a_good_row_has_none():
    assert findings(PAIN) == ()


def rule(**change):
    told = {"id": "R-2", "kind": "caution", "when": "ecog > 1", "yes": "ecog: 2", "no": "ecog: 1", **change}
    return RULE.format(**told)


@pytest.mark.parametrize(
    ("row", "kind", "line", "words"),
    [
        (PAIN.replace("pain_vas >= 4", "pain_vaz >= 4"), "form", 6, "no fact 'pain_vaz'"),
        (PAIN.replace("class: seed", "class: sead"), "form", 4, "sead"),
        (PAIN.replace("    because: words\n", ""), "form", 4, "because"),
        (PAIN + rule(id="R-1"), "form", 13, "line 4 already"),
        (PAIN.replace("    kind:", "   kind:"), "form", 5, "no YAML"),
        (PAIN.replace("class: seed", "class: seed\n    class: seed"), "form", 10, "twice"),
        (PAIN + "  - include: nothing\n", "form", 13, "no shared rules"),
        (PAIN + "  - word\n", "form", 13, "no rule"),
        (PAIN.replace("pain_vas: 4}", "pain_vas: 3}"), "example", 10, "false, expected true"),
        (PAIN.replace("pain_vas: 4}", "pain_vas: 14}"), "example", 11, "pain_vas is 14"),
        (PAIN.replace("      - {facts: {pain_vas: 3}, is: false}\n", ""), "no example", 4, "comes to false"),
        (PAIN.replace("qiu-2019", "nobody-2019"), "source", 4, "neither"),
        (PAIN.replace("qiu-2019", '"[004 «words that stand nowhere»]"'), "source", 4, "index"),
        (PAIN + rule(when="ecog > 1 and ecog < 1").replace("is: true", "is: false"), "never true", 13, "true"),
        (PAIN + rule(when="ecog > 1 or ecog < 2").replace("is: false", "is: true"), "never false", 13, "false"),
        (PAIN + rule(when="false").replace("is: true", "is: false"), "never true", 13, "constant"),
        (
            PAIN + rule(kind="exclusion", when="pain_vas >= 3", yes="pain_vas: 3", no="pain_vas: 2"),
            "contradiction",
            4,
            "R-1 and R-2",
        ),
        (PAIN + rule(kind="requirement", when="not pain_vas < 4", yes="pain_vas: 4", no="pain_vas: 3"), "duplicate", 13, "R-1"),
    ],
)
def test_a_fault_is_found_with_its_line(row, kind, line, words):
    found = only(findings(row), kind)
    assert (found.file, found.line) == (ROW, line)
    assert words in found.text


def test_a_contradiction_over_three_rules_names_exactly_these():
    row = (
        PAIN
        + rule(id="R-2", kind="requirement", when="ecog < 2 or pain_vas < 4", yes="ecog: 1", no="ecog: 2, pain_vas: 5")
        + rule(id="R-3", kind="exclusion", when="ecog < 2", yes="ecog: 1", no="ecog: 2")
        + rule(id="R-4", kind="requirement", when="spinal", yes="spinal: true", no="spinal: false")
    )
    assert "R-1 and R-2 and R-3 leave" in only(findings(row), "contradiction").text


def test_a_rule_that_only_acts_where_others_have_decided_is_a_note():
    found = findings(PAIN + rule(when="pain_vas < 3", yes="pain_vas: 2", no="pain_vas: 3"))
    assert [(f.kind, f.rule, f.note) for f in found] == [("idle", "R-2", True)]


def test_asking_for_a_fact_is_no_fault():
    asked = "  - {id: R-2, kind: requirement, when: known(ecog), because: w, source: qiu-2019, class: seed, examples: "
    assert findings(PAIN + asked + "[{facts: {ecog: 1}, is: true}]}\n") == ()


@pytest.mark.parametrize(
    ("head", "line", "kind", "words"),
    [
        ("colour: red\n", 1, "form", "colour"),
        ("planned_as: pain_vas\n", 1, "form", "planned_as"),
        ("refused_as: everything\n", 1, "form", "refused_as"),
        ("outcomes: [{id: O-1, text: t}]\n", 1, "form", "O-1"),
        ("outcomes: [{id: O-1, text: t, source: nobody}]\n", 1, "source", "nobody"),
        ("outcomes:\n  - {id: O-1, text: t, source: qiu-2019, count: 3, of: 2}\n", 2, "number", "3 of 2"),
        ("outcomes:\n  - {id: O-1, text: t, source: qiu-2019, count: 8, of: 26, percent: 28}\n", 2, "number", "30.8 %"),
        ("parameters:\n  - {id: P-1, text: t, source: qiu-2019, low: 3, high: 2}\n", 2, "number", "above high"),
        ("profile: {speed: {text: t}}\n", 1, "form", "speed"),
        ("outcomes: many\n", 1, "form", "outcomes"),
    ],
)
def test_what_is_stated_beside_the_rules_is_checked(head, line, kind, words):
    found = only(findings(PAIN, head + HEAD), kind)
    assert found.line == line
    assert words in found.text + found.rule


def test_a_percentage_that_no_count_gives_passes_where_the_conflict_is_named():
    stated = "outcomes: [{id: O-1, text: t, source: qiu-2019, count: 8, of: 26, percent: 28, conflicts: [X11]}]\n"
    assert findings(PAIN, stated + HEAD) == ()


def test_shared_rules_that_no_row_includes_and_a_broken_vocabulary_are_found():
    shared = {"selection/guidelines/beta.yaml": "\n".join(line[2:] for line in PAIN.splitlines()) + "\n"}
    assert only(findings(PAIN, **shared), "unused").file == "selection/guidelines/beta.yaml"
    broken = findings(PAIN, **{FACTS: "a: {b\n"})
    assert [(f.file, f.kind) for f in broken] == [(FACTS, "form")]
