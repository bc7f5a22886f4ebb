"""Minimal sets of missing facts, held against trying everything."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.facts import FactType, Interval, Known, NotApplicable, Unknown
from osteon.selection.implicants import Implicants, leave_needs
from osteon.selection.kleene import atoms, conjunction, disjunction, evaluate, parse

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


def left(exclusions, requirements, states):
    """Tell whether the status is no longer "needs", straight from the algebra; and whether it is open."""
    e = disjunction([evaluate(x, states, WORDS) for x in exclusions])
    r = conjunction([evaluate(x, states, WORDS) for x in requirements])
    closed = e == "true" or r == "false"
    return closed or (e != "unknown" and r != "unknown"), not closed and e != "unknown" and r != "unknown"


def by_brute_force(exclusions, requirements, engine):
    """Try every partial assignment of the open facts; keep the minimal ones that leave "needs"."""
    facts = [f for f in engine.comparisons if not isinstance(engine.states.get(f, Unknown()), (Known, NotApplicable))]
    choices = [[None, *range(len(engine.values(f)))] for f in facts]
    good = []
    for picks in product(*choices):
        term = frozenset((f, p) for f, p in zip(facts, picks) if p is not None)
        states = {**engine.states, **{f: Known(engine.values(f)[p]) for f, p in term}}
        leaves, opens = left(exclusions, requirements, states)
        if leaves:
            good.append((term, opens))
    return {t: o for t, o in good if not any(other < t for other, _ in good)}


@settings(max_examples=150, deadline=None)
@given(st.lists(EXPRESSIONS, max_size=3), st.lists(EXPRESSIONS, max_size=3), st.data())
def test_minimal_and_complete_on_random_small_rule_sets(excluded, required, data):
    exclusions = [parse(t, WORDS, "t") for t in excluded]
    requirements = [parse(t, WORDS, "t") for t in required]
    comparisons = {}
    for atom in (a for e in [*exclusions, *requirements] for a in atoms(e)):
        comparisons.setdefault(atom.fact, {})[atom] = None
    states = {n: data.draw(st.sampled_from(options)) for n, options in STARTS.items()}
    engine = Implicants(states, WORDS, {f: tuple(c) for f, c in comparisons.items()})
    if left(exclusions, requirements, states)[0]:
        return
    every, opening = leave_needs(exclusions, requirements, engine)
    expected = by_brute_force(exclusions, requirements, engine)
    assert len(every) == len(set(every))
    assert set(every) == set(expected)
    assert set(opening) == {t for t, opens in expected.items() if opens}
    assert not engine.cut


def test_platelets_and_inr_by_hand():
    exclusions = [parse("x < 10 or y > 5", WORDS, "t")]
    engine = Implicants(
        {}, WORDS, {"x": tuple(atoms(parse("x < 10", WORDS, "t"))), "y": tuple(atoms(parse("y > 5", WORDS, "t")))}
    )
    every, opening = leave_needs(exclusions, [], engine)
    assert {tuple(sorted(f for f, _ in t)) for t in every} == {("x",), ("y",), ("x", "y")}
    assert [sorted(f for f, _ in t) for t in opening] == [["x", "y"]]


def test_beyond_the_largest_number_of_terms_the_shortest_are_kept_and_it_says_so():
    names = [f"f{i:02}" for i in range(24)]
    words = {n: FactType(n, "bool", None, (), "?", "lesion") for n in names}
    pairs = [parse(f"{a} or {b}", words, "t") for a, b in zip(names[::2], names[1::2])]
    engine = Implicants({}, words, {a.fact: (a,) for p in pairs for a in atoms(p)}, most=100)
    _, opening = leave_needs([], pairs, engine)
    assert engine.cut
    assert len(opening) == 100
    for term in opening:
        told = {f: Known(engine.values(f)[i]) for f, i in term}
        assert all(evaluate(p, told, words) == "true" for p in pairs)
