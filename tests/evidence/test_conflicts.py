"""The decision register: exactly the 47 entries of the extraction, each whole."""

from __future__ import annotations

from datetime import date

import pytest

from osteon.evidence.source import cite, quote_keys
from osteon.selection.policies import policies
from osteon.selection.rules import conflicts

EVERY = [f"X{number:02}" for number in range(1, 48)]


def test_the_register_holds_exactly_x01_to_x47_in_order():
    assert list(conflicts()) == EVERY


@pytest.mark.parametrize("name", EVERY)
def test_an_entry_is_whole(name):
    entry = conflicts()[name]
    assert entry.title
    assert entry.decision.endswith(".")
    assert entry.changes.endswith(".")
    assert isinstance(entry.decided, date)
    assert entry.statements
    assert all(len(list(quote_keys(s))) == 1 for s in entry.statements)
    cited = {paper.id for paper in cite(entry)}
    assert set(entry.also) < cited
    assert entry.policy in ("", "strict/mitigated", *policies())


def test_a_policy_that_names_a_conflict_is_named_by_it():
    for name, policy in policies().items():
        for conflict in policy.get("conflicts", ()):
            assert conflicts()[conflict].policy == name
