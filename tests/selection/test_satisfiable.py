"""Whether rules can hold together, held against trying every combination by hand."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteon.errors import NumericalError
from osteon.facts import FactType, Known
from osteon.selection import satisfiable
from osteon.selection.kleene import evaluate
from osteon.selection.parse import parse
from osteon.selection.satisfiable import Solver


def kind(name, type_, domain=()):
    return FactType(name, type_, None, domain, "?", "patient")


WORDS = {
    "a": kind("a", "bool"),
    "b": kind("b", "bool"),
    "n": kind("n", "number", (0, 10)),
    "c": kind("c", "choice", ("x", "y", "z")),
    "s": kind("s", "set", ("p", "q")),
}
EVERY = [
    dict(zip(WORDS, map(Known, values), strict=True))
    for values in product((True, False), (True, False), (0, 2.9, 3, 3.1, 5, 10), ("x", "y", "z"), ("none", "p", "q", "p, q"))
]
ATOMS = ["a", "b", "n < 3", "n <= 3", "n == 3", "n > 5", "c == 'x'", "c in ('x', 'y')", "'p' in s", "s == ()", "true"]


def read(text):
    return parse(text if text != "true" else True, WORDS, "test")


@st.composite
def expressions(draw, depth=3):
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(ATOMS[:-1]))
    if draw(st.booleans()):
        return f"not ({draw(expressions(depth - 1))})"
    joint = draw(st.sampled_from([" and ", " or "]))
    return "(" + joint.join(draw(st.lists(expressions(depth - 1), min_size=2, max_size=3))) + ")"


@pytest.mark.parametrize(
    ("wanted", "can"),
    [
        ([("n > 5", True), ("n < 3", True)], False),
        ([("n > 5", True), ("n < 3", False)], True),
        ([("n <= 3", True), ("n < 3", False)], True),
        ([("n <= 3", True), ("n < 3", False), ("n == 3", False)], False),
        ([("c in ('x', 'y')", False), ("c == 'z'", False)], False),
        ([("'p' in s", True), ("s == ()", True)], False),
        ([("a or b", True), ("a", False), ("b", False)], False),
        ([("known(a)", False)], False),
        ([("known(a)", True)], True),
        ([("true", False)], False),
    ],
)
def test_by_hand(wanted, can):
    found = Solver(WORDS).together([(read(t), v) for t, v in wanted])
    assert (found is not None) is can


@given(st.lists(st.tuples(expressions(), st.booleans()), min_size=1, max_size=4))
def test_the_same_answer_as_trying_everything_and_the_values_found_do_it(texts):
    wanted = [(read(t), v) for t, v in texts]

    def comes_out(states):
        return all((evaluate(e, states, WORDS) == "true") is v for e, v in wanted)

    found = Solver(WORDS).together(wanted)
    assert (found is not None) is any(comes_out(states) for states in EVERY)
    if found is not None:
        assert comes_out({**EVERY[0], **found})


def test_the_core_names_only_what_contradicts():
    wanted = [(read("a"), True), (read("n > 5"), True), (read("b"), True), (read("n < 3"), True)]
    assert [e for e, _ in Solver(WORDS).core(wanted)] == [wanted[1][0], wanted[3][0]]


def test_the_same_is_found_behind_other_words():
    solver = Solver(WORDS)
    assert solver.same(read("not (a and b)"), read("not a or not b"))
    assert solver.same(read("c == 'z'"), read("c not in ('x', 'y')"))
    assert not solver.same(read("n < 3"), read("n <= 3"))
    assert not solver.same(read("a"), read("b"))


def test_giving_up_is_an_error_and_never_an_answer(monkeypatch):
    monkeypatch.setattr(satisfiable, "MOST", 1)
    with pytest.raises(NumericalError, match="not settled"):
        Solver(WORDS).together([(read("a and b and n > 5"), True)])
