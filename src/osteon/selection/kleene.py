"""Three-valued logic (Kleene) over facts: true, false, unknown; and not applicable, which drops out.

A comparison over an interval or a set is true only if it is true on all of it, false only if false on all of it, else unknown.
A comparison over a fact that is not applicable is ``not_applicable``: it is left out of ``and`` and ``or`` (neutral), ``not``
keeps it, and a whole expression of such parts is not applicable: then an exclusion does not hold, a requirement is skipped, and a
caution or a support is silent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from osteon.facts import FactType, Interval, Known, NotApplicable, OneOf, Scalar, State, Unknown
from osteon.selection.verdicts import Truth

UNKNOWN = Unknown()
Literal = bool | float | int | str | frozenset[str] | tuple[bool | float | int | str, ...]


def conjunction(truths: Iterable[Truth]) -> Truth:
    """Return the Kleene ``and``: false if any is false, else unknown if any is unknown, else true."""
    seen = set(truths) - {"not_applicable"}
    if not seen:
        return "not_applicable"
    return "false" if "false" in seen else "unknown" if "unknown" in seen else "true"


def disjunction(truths: Iterable[Truth]) -> Truth:
    """Return the Kleene ``or``: true if any is true, else unknown if any is unknown, else false."""
    seen = set(truths) - {"not_applicable"}
    if not seen:
        return "not_applicable"
    return "true" if "true" in seen else "unknown" if "unknown" in seen else "false"


def negation(truth: Truth) -> Truth:
    """Return the Kleene ``not``: unknown stays unknown, not applicable stays so."""
    swapped: dict[Truth, Truth] = {"true": "false", "false": "true"}
    return swapped.get(truth, truth)


@dataclass(frozen=True)
class Constant:
    """Always true or always false."""

    value: bool


@dataclass(frozen=True)
class Atom:
    """One comparison of one fact with a literal.

    ``operator`` is one of ``< <= > >= == != in "not in" has known``; ``has`` asks whether a set holds the literal, ``known``
    whether the fact is told at all: it is true or unknown, never false.
    """

    fact: str
    operator: str
    literal: Literal

    def holds(self, value: object) -> bool:
        """Tell whether the comparison holds for one value of the fact."""
        return _OPERATORS[self.operator](value, self.literal)


@dataclass(frozen=True)
class Not:
    """Negation."""

    part: Expression


@dataclass(frozen=True)
class Both:
    """``and`` over its parts."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True)
class Either:
    """``or`` over its parts."""

    parts: tuple[Expression, ...]


Expression = Constant | Atom | Not | Both | Either

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda v, x: bool(v < x),
    "<=": lambda v, x: bool(v <= x),
    ">": lambda v, x: bool(v > x),
    ">=": lambda v, x: bool(v >= x),
    "==": lambda v, x: bool(v == x),
    "!=": lambda v, x: bool(v != x),
    "in": lambda v, x: v in x,
    "not in": lambda v, x: v not in x,
    "has": lambda v, x: x in v,
    "known": lambda _, __: True,
}


def atoms(expression: Expression) -> Iterator[Atom]:
    """Yield every comparison in an expression."""
    match expression:
        case Atom():
            yield expression
        case Not(part):
            yield from atoms(part)
        case Both(parts) | Either(parts):
            for each in parts:
                yield from atoms(each)


def names(expression: Expression) -> tuple[str, ...]:
    """Return the facts an expression reads, in order of appearance."""
    return tuple(dict.fromkeys(a.fact for a in atoms(expression)))


def as_value(kind: FactType, value: object) -> object:
    """Return a value as comparisons want it: a set-typed fact as a frozenset, whether told as text, list or set."""
    if kind.type != "set":
        return value
    if isinstance(value, str):
        return frozenset(w.strip() for w in value.split(",") if w.strip() and w.strip() != "none")
    return frozenset(value) if isinstance(value, (set, frozenset, list, tuple)) else frozenset((value,))


def told(kind: FactType, state: State) -> tuple[object, ...] | None:
    """Return the values that a state leaves open as a finite list, or None for an interval or an unknown."""
    match state:
        case Known(value):
            return (as_value(kind, value),)
        case OneOf(values):
            return tuple(as_value(kind, v) for v in values)
    return None


def evaluate(expression: Expression, states: Mapping[str, State], vocabulary: Mapping[str, FactType]) -> Truth:
    """Return what an expression comes to; a fact that is not given is unknown.

    Parameters
    ----------
    expression : Expression
        From ``parse``.
    states : mapping of str to State
        What is known of each fact.
    vocabulary : mapping of str to FactType
        The vocabulary that the expression was parsed with.
    """
    match expression:
        case Constant(value):
            return "true" if value else "false"
        case Atom(fact):
            return _atom(expression, states.get(fact, Unknown()), vocabulary[fact])
        case Not(part):
            return negation(evaluate(part, states, vocabulary))
        case Both(parts):
            return conjunction(evaluate(p, states, vocabulary) for p in parts)
        case Either(parts):
            return disjunction(evaluate(p, states, vocabulary) for p in parts)


def _atom(atom: Atom, state: State, kind: FactType) -> Truth:
    if isinstance(state, Known):
        return "true" if atom.holds(as_value(kind, state.value)) else "false"
    match state:
        case NotApplicable():
            return "not_applicable"
        case Unknown():
            return "unknown"
        case Interval(low, high):
            values: Iterable[object] = samples(low, high, (atom,))
        case _:
            values = told(kind, state) or ()
    found = {atom.holds(v) for v in values}
    return "unknown" if len(found) != 1 else "true" if found.pop() else "false"


class Truths:
    """What expressions come to for one set of states; each distinct expression is judged once.

    Parameters
    ----------
    states : mapping of str to State
        What is known of each fact.
    vocabulary : mapping of str to FactType
        That the expressions were parsed with.
    """

    def __init__(self, states: Mapping[str, State], vocabulary: Mapping[str, FactType]) -> None:
        self.states, self.vocabulary = states, vocabulary
        self._found: dict[int, tuple[Expression, Truth]] = {}
        self._before: Truths | None = None
        self._told = ""

    def of(self, expression: Expression) -> Truth:
        """Return what ``evaluate`` returns."""
        found = self._found.get(id(expression))
        if found is not None:
            return found[1]
        if self._before is not None and self._told not in reads(expression):
            return self._before.of(expression)
        truth = self._of(expression)
        self._found[id(expression)] = (expression, truth)
        return truth

    def _of(self, expression: Expression) -> Truth:
        if isinstance(expression, Atom):
            return _atom(expression, self.states.get(expression.fact, UNKNOWN), self.vocabulary[expression.fact])
        if isinstance(expression, Both):
            return self._joined(expression.parts, "false", "true")
        if isinstance(expression, Either):
            return self._joined(expression.parts, "true", "false")
        if isinstance(expression, Not):
            return negation(self.of(expression.part))
        return "true" if expression.value else "false"

    def _joined(self, parts: Iterable[Expression], decisive: Truth, otherwise: Truth) -> Truth:
        result: Truth = "not_applicable"
        for part in parts:
            truth = self.of(part)
            if truth == decisive:
                return decisive
            if truth == "unknown" or (truth == otherwise and result == "not_applicable"):
                result = truth
        return result

    def told(self, fact: str, value: Scalar) -> Truths:
        """Return the truths if one fact were known; whatever does not read it is not judged again."""
        after = Truths({**self.states, fact: Known(value)}, self.vocabulary)
        after._before, after._told = self, fact
        return after


_READS: dict[int, tuple[Expression, frozenset[str]]] = {}


def reads(expression: Expression) -> frozenset[str]:
    """Return the facts that an expression reads."""
    found = _READS.get(id(expression))
    if found is None:
        found = _READS[id(expression)] = (expression, frozenset(names(expression)))
    return found[1]


def samples(low: float, high: float, comparisons: Iterable[Atom]) -> list[float]:
    """Return numbers that meet every different outcome of some comparisons on [low, high]: ends, thresholds, and between them."""
    marks = {float(x) for a in comparisons for x in _numbers(a.literal) if low < x < high}
    corners = sorted({low, high, *marks})
    return sorted({*corners, *((a + b) / 2 for a, b in pairwise(corners))})


def _numbers(literal: Literal) -> list[float]:
    several = literal if isinstance(literal, (tuple, frozenset)) else (literal,)
    return [float(x) for x in several if isinstance(x, (int, float)) and not isinstance(x, bool)]


def cells(kind: FactType, state: State, comparisons: tuple[Atom, ...]) -> list[object]:
    """Return one value for each way in which some comparisons of one fact can come out together.

    Parameters
    ----------
    kind : FactType
        The fact's type and domain.
    state : State
        What is known; only values it leaves open are used.
    comparisons : tuple of Atom
        All over this fact.
    """
    if isinstance(state, NotApplicable):
        return []
    values: Iterable[object]
    if isinstance(state, Interval):
        values = samples(state.low, state.high, comparisons)
    else:
        values = told(kind, state) or _domain(kind, comparisons)
    found: dict[tuple[bool, ...], object] = {}
    for value in values:
        found.setdefault(tuple(a.holds(value) for a in comparisons), value)
    return list(found.values())


def _domain(kind: FactType, comparisons: tuple[Atom, ...]) -> list[object]:
    match kind.type:
        case "bool":
            return [True, False]
        case "number":
            low, high = (float(x) for x in kind.domain)
            return list(samples(low, high, comparisons))
        case "choice":
            return list(kind.domain)
        case "set":
            subsets = [frozenset[object]()]
            for member in kind.domain:
                subsets += [s | {member} for s in subsets]
            return list(subsets)
    said = {x for a in comparisons for x in (a.literal if isinstance(a.literal, (tuple, frozenset)) else (a.literal,))}
    return [*sorted(str(x) for x in said), "\0 something else"]


_INTERNED: dict[Expression, Expression] = {}


def interned(expression: Expression) -> Expression:
    """Return the one object that stands for all equal expressions, so that each is judged once."""
    match expression:
        case Not(part):
            expression = Not(interned(part))
        case Both(parts):
            expression = Both(tuple(interned(p) for p in parts))
        case Either(parts):
            expression = Either(tuple(interned(p) for p in parts))
    return _INTERNED.setdefault(expression, expression)
