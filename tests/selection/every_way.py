"""Minimal sets by trying every combination of values, "still open" among them: slow, and shares nothing with the code.

The three-valued logic is written again here, over arrays with one axis per open fact; place 0 of an axis is the fact as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise

import numpy as np

from osteon.facts import Known, NotApplicable, OneOf, State, Unknown, vocabulary
from osteon.selection.kleene import Atom, Both, Constant, Either, Expression, Not

FALSE, OPEN, TRUE, SILENT = range(4)
Truth = np.ndarray


class Ways:
    """Every combination of values of some open facts; ``options``: the values tried of each."""

    def __init__(self, states: Mapping[str, State], options: Mapping[str, Sequence[object]]) -> None:
        self.states, self.options, self.axes = states, options, list(options)

    def of(self, expression: Expression) -> Truth:
        """Return what an expression comes to under every combination, over the axes that it reads (others have length 1)."""
        match expression:
            case Constant(value):
                return np.full([1] * len(self.axes), TRUE if value else FALSE, np.uint8)
            case Atom(fact):
                if fact in self.options:
                    shape = [1] * len(self.axes)
                    shape[self.axes.index(fact)] = -1
                    told = [self.now(expression), *(TRUE if expression.holds(v) else FALSE for v in self.options[fact])]
                    return np.array(told, np.uint8).reshape(shape)
                return np.full([1] * len(self.axes), self.now(expression), np.uint8)
            case Not(part):
                return np.array([TRUE, OPEN, FALSE, SILENT], np.uint8)[self.of(part)]
            case Both(parts):
                return self.joined(parts, np.minimum, TRUE)
            case Either(parts):
                return self.joined(parts, np.maximum, FALSE)

    def joined(self, parts: Sequence[Expression], least: np.ufunc, neutral: int) -> Truth:
        """Return the least (or most) of some truths; what is silent drops out."""
        found, silent = np.full(1, neutral, np.uint8), np.full(1, True)
        for part in map(self.of, parts):
            found = least(found, np.where(part == SILENT, neutral, part))
            silent = silent & (part == SILENT)
        return np.where(silent, SILENT, found).astype(np.uint8)

    def now(self, atom: Atom) -> int:
        """Return what a comparison comes to with the fact as it is."""
        state = self.states.get(atom.fact, Unknown())
        if isinstance(state, NotApplicable):
            return SILENT
        if isinstance(state, Unknown):
            return OPEN
        seen = {bool(atom.holds(v)) for v in options_of(atom.fact, state, [atom])}
        return OPEN if len(seen) == 2 else TRUE if seen.pop() else FALSE


def options_of(fact: str, state: State, comparisons: Sequence[Atom]) -> list[object]:
    """Return the values that a state leaves open, as finely as the comparisons can tell them apart."""
    kind = vocabulary()[fact]

    def member(value: object) -> object:
        return frozenset(w for w in str(value).split(", ") if w != "none") if kind.type == "set" else value

    match state:
        case Known(value):
            return [member(value)]
        case OneOf(several):
            return [member(v) for v in several]
    marks = [a.literal for a in comparisons]
    if kind.type == "number":
        low, high = (state.low, state.high) if hasattr(state, "low") else (float(kind.domain[0]), float(kind.domain[1]))
        said = [x for m in marks for x in (m if isinstance(m, tuple) else (m,)) if not isinstance(x, bool)]
        inside = sorted({low, high, *(float(x) for x in said if low < float(x) < high)})
        return sorted({*inside, *((a + b) / 2 for a, b in pairwise(inside))})
    if kind.type == "set":
        members = sorted({m for m in marks if isinstance(m, str)} or {str(kind.domain[0])})
        return [frozenset(c) for n in range(len(members) + 1) for c in combinations(members, n)]
    if kind.type == "text":
        said = [x for m in marks for x in (m if isinstance(m, tuple) else (m,)) if isinstance(x, str)]
        return [*sorted(set(said)), "something else"]
    return list(kind.domain) if kind.type == "choice" else [True, False]


def apart(fact: str, state: State, comparisons: Sequence[Atom]) -> list[object]:
    """Return one value per way in which the comparisons come out."""
    found: dict[tuple[bool, ...], object] = {}
    for value in options_of(fact, state, comparisons):
        found.setdefault(tuple(bool(a.holds(value)) for a in comparisons), value)
    return list(found.values())


def minimal_sets(closed: Truth, opened: Truth, axes: Sequence[str]) -> tuple[set[frozenset[str]], set[frozenset[str]]]:
    """Return the minimal sets of facts of which some values close, and of which some values open."""
    found: tuple[set[frozenset[str]], set[frozenset[str]]] = (set(), set())
    for count in range(len(axes) + 1):
        for chosen in combinations(axes, count):
            here = tuple(slice(None) if a in chosen else 0 for a in axes)
            for into, holds in zip(found, (closed, opened)):
                if holds[here].any() and not any(s <= set(chosen) for s in into):
                    into.add(frozenset(chosen))
    return found
