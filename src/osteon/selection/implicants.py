"""Minimal sets of missing facts: the prime implicants of "the status leaves needs".

Under Kleene logic a status leaves "needs" when an exclusion becomes true, when a requirement becomes false, or when every
exclusion becomes false and every requirement true. Each is a sum of products over assignments "fact = one of the values that the
rules tell apart". Multiplying out with absorption gives exactly the minimal assignments, at any number of facts, without trying
all of them.

Fallback: where a product would exceed ``MOST`` terms, the shortest are kept. Every set listed is still minimal among those kept
and does take the status out of "needs"; the list may then lack some of the longest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from osteon.facts import FactType, State, Unknown
from osteon.selection.kleene import Atom, Both, Constant, Either, Expression, Not, cells, evaluate

Term = frozenset[tuple[str, int]]
MOST = 512
CERTAIN: tuple[Term, ...] = (frozenset(),)


class Implicants:
    """Sums of products over the open values of facts.

    Parameters
    ----------
    states : mapping of str to State
        What is known.
    vocabulary : mapping of str to FactType
        Types and domains.
    comparisons : mapping of str to tuple of Atom
        Every comparison that the rules make of each fact.
    most : int
        The largest number of terms.
    """

    def __init__(
        self,
        states: Mapping[str, State],
        vocabulary: Mapping[str, FactType],
        comparisons: Mapping[str, tuple[Atom, ...]],
        most: int = MOST,
    ) -> None:
        self.states, self.vocabulary, self.comparisons, self.most = states, vocabulary, comparisons, most
        self.cut = False
        self._cells: dict[str, list[object]] = {}

    def values(self, fact: str) -> list[object]:
        """Return one value per way in which the comparisons of a fact can come out."""
        if fact not in self._cells:
            state = self.states.get(fact, Unknown())
            self._cells[fact] = cells(self.vocabulary[fact], state, self.comparisons[fact])
        return self._cells[fact]

    def of(self, expression: Expression, wanted: bool) -> tuple[Term, ...]:
        """Return the minimal assignments that make an expression true (or false); none if it cannot be."""
        truth = evaluate(expression, self.states, self.vocabulary)
        if truth == "not_applicable":
            return ()
        if truth != "unknown":
            return CERTAIN if (truth == "true") is wanted else ()
        match expression:
            case Atom(fact):
                found = [frozenset({(fact, i)}) for i, v in enumerate(self.values(fact)) if expression.holds(v) is wanted]
                return tuple(found)
            case Not(part):
                return self.of(part, not wanted)
            case Both(parts) | Either(parts):
                sums = [self.of(p, wanted) for p in parts if evaluate(p, self.states, self.vocabulary) != "not_applicable"]
                every = isinstance(expression, Both) is wanted
                return self.product(sums) if every else self.absorb(t for s in sums for t in s)
            case Constant(value):
                return CERTAIN if value is wanted else ()

    def product(self, sums: Sequence[Sequence[Term]]) -> tuple[Term, ...]:
        """Return the product of several sums: terms that contradict themselves are dropped, longer ones absorbed."""
        found: tuple[Term, ...] = CERTAIN
        for group in _components(sums):
            here: tuple[Term, ...] = CERTAIN
            for terms in group:
                joined = (a | b for a in here for b in terms)
                here = self.absorb(t for t in joined if len({fact for fact, _ in t}) == len(t))
            found = self.keep([a | b for a in found for b in here])
        return found

    def absorb(self, terms: Iterable[Term]) -> tuple[Term, ...]:
        """Return the terms of which no other is a part, shortest first."""
        kept: list[Term] = []
        for term in sorted(set(terms), key=lambda t: (len(t), sorted(t))):
            if not any(k <= term for k in kept):
                kept.append(term)
        return self.keep(kept)

    def keep(self, terms: list[Term]) -> tuple[Term, ...]:
        """Return the terms, the shortest ``most`` where there are more."""
        if len(terms) > self.most:
            self.cut = True
            terms = sorted(terms, key=lambda t: (len(t), sorted(t)))[: self.most]
        return tuple(terms)


def _components(sums: Sequence[Sequence[Term]]) -> list[list[Sequence[Term]]]:
    """Group sums that share facts; groups that share none can be multiplied without looking for absorption."""
    groups: list[tuple[set[str], list[Sequence[Term]]]] = []
    for terms in sorted(sums, key=len):
        facts = {fact for term in terms for fact, _ in term}
        touching = [g for g in groups if g[0] & facts]
        groups = [g for g in groups if not g[0] & facts]
        groups.append((facts.union(*(g[0] for g in touching)), [s for g in touching for s in g[1]] + [terms]))
    return [group for _, group in groups]


def leave_needs(
    exclusions: Sequence[Expression], requirements: Sequence[Expression], engine: Implicants
) -> tuple[tuple[Term, ...], tuple[Term, ...]]:
    """Return the minimal assignments that take the status out of "needs", and those of them that leave the treatment open.

    Parameters
    ----------
    exclusions, requirements : sequence of Expression
        Of one treatment; parts that are not applicable are left out.
    engine : Implicants
        With what is known.
    """
    told = [e for e in exclusions if evaluate(e, engine.states, engine.vocabulary) != "not_applicable"]
    needed = [r for r in requirements if evaluate(r, engine.states, engine.vocabulary) != "not_applicable"]
    closing = [t for e in told for t in engine.of(e, True)] + [t for r in needed for t in engine.of(r, False)]
    opening = engine.product([*(engine.of(e, False) for e in told), *(engine.of(r, True) for r in needed)])
    # No closing assignment is part of an opening one: it would make a rule true and false at once.
    return (*engine.absorb(closing), *opening), opening
