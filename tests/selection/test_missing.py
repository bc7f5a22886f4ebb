"""Minimal sets of missing facts, held against trying everything; and the facts that matter to a rule that cannot be told."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.facts import FactType, Interval, Known, NotApplicable, Unknown
from osteon.selection.judging import comparisons_of
from osteon.selection.kleene import Truths, conjunction, disjunction, evaluate
from osteon.selection.missing import Cubes, mattering, missing_sets
from osteon.selection.parse import parse

WORDS = {
    **{n: FactType(n, "bool", None, (), "?", "lesion") for n in "abc"},
    **{n: FactType(n, "number", "mm", (0, 100), "?", "lesion") for n in "xy"},
}
LEAVES = st.sampled_from(["a", "b", "c", "x < 10", "x >= 30", "y > 5", "x == 20", "known(y)"])
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds("not ({})".format, inner),
        st.builds("({}) and ({})".format, inner, inner),
        st.builds("({}) or ({})".format, inner, inner),
    ),
    max_leaves=4,
)
STARTS = {
    "a": [Unknown(), Known(True), NotApplicable("-")],
    "x": [Unknown(), Interval(5, 15), Interval(0, 3), Known(20)],
}


def ends(exclusions, requirements, states, words=WORDS):
    """Tell whether the treatment is closed, and whether it is open, straight from the algebra."""
    e = disjunction([evaluate(x, states, words) for x in exclusions])
    r = conjunction([evaluate(x, states, words) for x in requirements])
    closed = e == "true" or r == "false"
    return closed, not closed and e != "unknown" and r != "unknown"


def by_brute_force(exclusions, requirements, cubes, words=WORDS):
    """Try every partial assignment of the open facts; return the minimal sets that can close, and that can open."""
    facts = [f for f in cubes.comparisons if not isinstance(cubes.truths.states.get(f, Unknown()), (Known, NotApplicable))]
    found = ({}, {})
    for size in range(2 ** len(facts)):
        chosen = [f for i, f in enumerate(facts) if size >> i & 1]
        for picks in product(*(cubes.values(f) for f in chosen)):
            states = {**cubes.truths.states, **{f: Known(v) for f, v in zip(chosen, picks)}}
            for into, holds in zip(found, ends(exclusions, requirements, states, words)):
                if holds:
                    into[frozenset(chosen)] = None
    return [{s for s in each if not any(o < s for o in each)} for each in found]


@settings(max_examples=150, deadline=None)
@given(st.lists(EXPRESSIONS, max_size=3), st.lists(EXPRESSIONS, max_size=3), st.data())
def test_no_member_can_be_dropped_and_no_set_is_missing(excluded, required, data):
    exclusions = [parse(t, WORDS, "t") for t in excluded]
    requirements = [parse(t, WORDS, "t") for t in required]
    states = {n: data.draw(st.sampled_from(options)) for n, options in STARTS.items()}
    cubes = Cubes(Truths(states, WORDS), comparisons_of([*exclusions, *requirements]))
    if any(ends(exclusions, requirements, states)):
        return
    closing, opening = missing_sets(exclusions, requirements, cubes)
    expected = by_brute_force(exclusions, requirements, cubes)
    assert [set(closing), set(opening)] == expected
    assert len(closing) == len(set(closing))
    assert len(opening) == len(set(opening))
    assert not cubes.cut


def test_twelve_open_facts_against_trying_everything():
    words = {f"f{i:02}": FactType(f"f{i:02}", "bool", None, (), "?", "lesion") for i in range(12)}
    said = ["f00 or f01 and not f02", "f03 and f04", "f05 and not f00", "f06 or f07 and f01"]
    exclusions = [parse(t, words, "t") for t in said[:2]]
    requirements = [parse(t, words, "t") for t in [*said[2:], "f08 or f09", "known(f10) or f11", "not f03 or f08"]]
    cubes = Cubes(Truths({}, words), comparisons_of([*exclusions, *requirements]))
    closing, opening = missing_sets(exclusions, requirements, cubes)
    expected = by_brute_force(exclusions, requirements, cubes, words)
    assert [set(closing), set(opening)] == expected
    assert len(opening) > 1


def test_platelets_and_inr_by_hand():
    exclusions = [parse("x < 10 or y > 5", WORDS, "t")]
    cubes = Cubes(Truths({}, WORDS), comparisons_of(exclusions))
    closing, opening = missing_sets(exclusions, [], cubes)
    assert {tuple(s) for s in closing} == {("x",), ("y",)}
    assert [sorted(s) for s in opening] == [["x", "y"]]


def test_facts_that_stand_apart_do_not_multiply():
    names = [f"f{i:02}" for i in range(40)]
    words = {n: FactType(n, "number", "mm", (0, 9), "?", "lesion") for n in names}
    requirements = [parse(f"{n} > 2 or {n} == 1", words, "t") for n in names]
    closing, opening = missing_sets([], requirements, Cubes(Truths({}, words), comparisons_of(requirements)))
    assert len(closing) == 40
    assert opening == (frozenset(names),)


def test_beyond_the_largest_number_the_shortest_are_kept_and_it_says_so():
    names = [f"f{i:02}" for i in range(24)]
    words = {n: FactType(n, "bool", None, (), "?", "lesion") for n in names}
    pairs = [parse(f"{a} or {b}", words, "t") for a, b in zip(names[::2], names[1::2])]
    cubes = Cubes(Truths({}, words), comparisons_of(pairs), most=100)
    _, opening = missing_sets([], pairs, cubes)
    assert cubes.cut
    assert len(opening) == 100
    for chosen in opening:
        told = {f: Known(True) for f in chosen}
        assert all(evaluate(p, told, words) == "true" for p in pairs)


@pytest.mark.parametrize(
    ("text", "states", "expected"),
    [
        ("a and (b or c)", {"b": Known(True)}, ("a",)),
        ("a and (b or c)", {}, ("a", "b", "c")),
        ("a or a and b", {}, ("a",)),
        ("(x < 10 or b) and (x >= 10 or c)", {}, ("x", "b", "c")),
    ],
)
def test_what_matters_to_a_rule_that_cannot_be_told(text, states, expected):
    expression = parse(text, WORDS, "t")
    truths = Truths(states, WORDS)
    assert mattering(expression, truths, lambda: Cubes(truths, comparisons_of([expression]))) == expected
