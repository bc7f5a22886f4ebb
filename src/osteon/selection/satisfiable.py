"""Can some expressions hold together? Exact, by trying every way in which the comparisons of each fact can come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from osteon.errors import NumericalError
from osteon.facts import FactType, Known, State, Unknown
from osteon.selection.judging import comparisons_of
from osteon.selection.kleene import Atom, Expression, as_value, cells, evaluate, names

Wanted = tuple[Expression, bool]
MOST = 200_000
"""Partial assignments that are tried before the search gives up, with an error: never with a wrong answer."""


class Solver:
    """Searches for values of facts; what is not applicable is not tried.

    Parameters
    ----------
    vocabulary : mapping of str to FactType
        Types and domains.
    """

    def __init__(self, vocabulary: Mapping[str, FactType]) -> None:
        self.vocabulary = vocabulary
        self._cells: dict[tuple[str, tuple[Atom, ...]], list[State]] = {}
        self.tried = 0

    def together(self, wanted: Sequence[Wanted]) -> dict[str, State] | None:
        """Return values of facts by which every expression comes to what is wanted, or None where there are none.

        Raises
        ------
        NumericalError
            If more than ``MOST`` partial assignments would have to be tried.
        """
        found: dict[str, State] = {}
        self.tried = 0
        for group in _components(wanted):
            comparisons = comparisons_of(e for e, _ in group)
            solved = self._search(list(group), {}, comparisons)
            if solved is None:
                return None
            found |= solved
        return found

    def _search(
        self, open_: list[Wanted], states: dict[str, State], comparisons: Mapping[str, tuple[Atom, ...]]
    ) -> dict[str, State] | None:
        left: list[tuple[int, str, Wanted]] = []
        for expression, value in open_:
            truth = evaluate(expression, states, self.vocabulary)
            if truth == "unknown":
                free = [f for f in names(expression) if f not in states]
                left.append((len(free), free[0], (expression, value)))
            elif (truth == "true") is not value:
                return None
        if not left:
            return states
        fact = min(left, key=lambda x: x[0])[1]
        rest = [wanted for _, _, wanted in left]
        for state in self._values(fact, comparisons[fact]):
            self.tried += 1
            if self.tried > MOST:
                raise NumericalError(
                    f"Whether {len(rest)} rules can hold together was not settled after {MOST:,} trials.",
                    "A contradiction among them could be missed.",
                    "Split the rules, or use fewer facts in one expression.",
                )
            found = self._search(rest, {**states, fact: state}, comparisons)
            if found is not None:
                return found
        return None

    def _values(self, fact: str, comparisons: tuple[Atom, ...]) -> list[State]:
        key = (fact, comparisons)
        if key not in self._cells:
            kind = self.vocabulary[fact]
            self._cells[key] = [Known(_told(as_value(kind, v))) for v in cells(kind, Unknown(), comparisons)]
        return self._cells[key]

    def core(self, wanted: Sequence[Wanted]) -> list[Wanted]:
        """Return a smallest part of contradicting expressions: without any one of them, the others can hold together."""
        kept = list(wanted)
        for each in wanted:
            without = [w for w in kept if w is not each]
            if self.together(without) is None:
                kept = without
        return kept

    def same(self, first: Expression, second: Expression) -> bool:
        """Tell whether two expressions come to the same for all values of facts."""
        if first == second:
            return True
        if set(names(first)) != set(names(second)):
            return False
        return self.together([(first, True), (second, False)]) is None and self.together([(first, False), (second, True)]) is None


def _told(value: object) -> bool | float | int | str:
    return ", ".join(sorted(map(str, value))) or "none" if isinstance(value, frozenset) else value  # type: ignore[return-value]


def _components(wanted: Sequence[Wanted]) -> list[list[Wanted]]:
    """Group expressions that share facts: each group is searched by itself."""
    groups: list[tuple[set[str], list[Wanted]]] = []
    for each in wanted:
        facts = set(names(each[0]))
        touching = [g for g in groups if g[0] & facts]
        groups = [g for g in groups if not g[0] & facts]
        groups.append((facts.union(*(g[0] for g in touching)), [w for g in touching for w in g[1]] + [each]))
    return [group for _, group in groups]
