"""Cases whose expected statuses were written from the papers before the rules were run: agreement, flags, refusals, coverage."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from case_files import IDS, REGISTER, changed, differences, expected, fired, firing, judged, loaded, read

from osteon.assessment.assess import assess
from osteon.case.load import load_case
from osteon.errors import OsteonError
from osteon.selection.judging import book
from osteon.selection.select import select
from osteon.treatments.catalog import ENTRIES, entries, treatment

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("ahmed_2019_case_*"))
SOUND = [name for name in IDS if not read(name).get("error")]


def register() -> list[dict]:
    """Return the published disagreements."""
    return yaml.safe_load(REGISTER.read_text(encoding="utf-8"))


def test_there_are_forty_and_more_and_each_answers_for_every_row_of_every_lesion():
    assert len(IDS) >= 40
    rows = {e.name for e in ENTRIES}
    for name in SOUND:
        listed = {}
        for lesion, row, _ in expected(name):
            listed.setdefault(lesion, []).append(row)
        assert set(listed) == {lesion["id"] for lesion in read(name)["case"]["lesions"]}, name
        for lesion, found in listed.items():
            assert sorted(found) == sorted(rows), (name, lesion)


@pytest.mark.parametrize("name", SOUND)
def test_the_rules_say_what_was_expected_or_the_disagreement_is_published(name):
    published = {(case, row["treatment"]): row for row in register() for case in row["cases"] if case.partition(" ")[0] == name}
    found = {(f"{d.case} {d.lesion}", d.treatment): d for d in differences(name)}
    assert set(found) == set(published)
    for key, row in published.items():
        assert (found[key].expected, found[key].got) == (row["expected"], row["got"])
        assert row["right"] in ("rules", "author", "open")
        assert row["why"]


@pytest.mark.parametrize("name", SOUND)
def test_red_flags_are_up_where_the_case_says_and_hold_what_can_wait(name):
    verdicts = judged(name)
    up = [f for f in verdicts.flags if f.truth == "true"]
    assert set(read(name).get("red_flags") or ()) <= {fact for flag in up for fact in flag.facts}
    held = {flag.lesion_id for flag in up if flag.holds}
    assert {v.lesion_id for v in verdicts.verdicts if v.on_hold} <= held
    for lesion in held:
        assert any(v.on_hold for v in verdicts.verdicts if v.lesion_id == lesion)


@pytest.mark.parametrize("name", [n for n in IDS if read(n).get("error")])
def test_an_absurd_chart_is_refused_with_the_place(name):
    with pytest.raises(OsteonError, match=read(name)["error"]):
        judged(name)


def test_every_exclusion_and_caution_fires_at_least_once(capsys):
    seen = set()
    for name in SOUND:
        seen |= fired(judged(name))
    for folder in EXAMPLES:
        seen |= fired(select(assess(load_case(folder)), missing=False))
    for entry in firing():
        found = fired(select(loaded(changed(entry)), missing=False))
        assert set(entry["fires"]) <= found, entry
        seen |= found
    rules = {r.id for name in entries() for r in book(treatment(name)).rules if r.kind in ("exclusion", "caution")}
    with capsys.disabled():
        print(f"\nexclusions and cautions that fired: {len(rules & seen)} of {len(rules)}")
    assert rules - seen == set()
