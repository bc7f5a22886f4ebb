"""Which facts would settle an answer: minimal sets of open facts, and the facts that matter to a rule that cannot be told.

A cube is one way to settle an expression: for each of some facts the values, of those still possible, that do. The values that
the rules tell apart are numbered; a cube keeps them as the bits of a number. A set of facts can settle an expression if, and
only if, some cube reads no other facts. Rules that share no open fact are worked out apart and their sets joined, so that the
number of facts does not multiply.

Fallback: where one group of rules that share facts has more than ``MOST`` cubes, the shortest are kept. Every set given is then
still sufficient, but a longer one may be lacking; ``Cubes.cut`` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from osteon.facts import State, Unknown
from osteon.selection.kleene import Atom, Both, Constant, Either, Expression, Not, Truths, cells, interned

Cube = Mapping[str, int]
Facts = frozenset[str]
MOST = 512
CERTAIN: tuple[Cube, ...] = ({},)


class Cubes:
    """The ways to settle expressions, given what is known.

    Parameters
    ----------
    truths : Truths
        What every expression comes to now.
    comparisons : mapping of str to tuple of Atom
        Every comparison that is made of each fact.
    most : int
        The largest number of cubes.
    values : callable, optional
        Gives the values of a fact that its comparisons tell apart, where someone has them already.
    """

    def __init__(
        self,
        truths: Truths,
        comparisons: Mapping[str, tuple[Atom, ...]],
        most: int = MOST,
        values: Callable[[str, State], list[object]] | None = None,
    ) -> None:
        self.truths, self.comparisons, self.most, self.cut = truths, comparisons, most, False
        self._cells = values or self._worked_out
        self._values: dict[str, list[object]] = {}
        self._masks: dict[int, int] = {}
        self._found: dict[tuple[int, bool], tuple[Cube, ...]] = {}

    def values(self, fact: str) -> list[object]:
        """Return one value per way in which the comparisons of a fact can come out."""
        if fact not in self._values:
            state: State = self.truths.states.get(fact, Unknown())
            self._values[fact] = self._cells(fact, state)
        return self._values[fact]

    def _worked_out(self, fact: str, state: State) -> list[object]:
        return cells(self.truths.vocabulary[fact], state, self.comparisons[fact])

    def of(self, expression: Expression, wanted: bool) -> tuple[Cube, ...]:
        """Return the cubes that make an expression true (or false); none if it cannot be, an empty one if it is already."""
        key = (id(expression), wanted)
        if key not in self._found:
            self._found[key] = self._of(expression, wanted)
        return self._found[key]

    def _of(self, expression: Expression, wanted: bool) -> tuple[Cube, ...]:
        truth = self.truths.of(expression)
        if truth == "not_applicable":
            return ()
        if truth != "unknown":
            return CERTAIN if (truth == "true") is wanted else ()
        match expression:
            case Atom(fact):
                mask = self._mask(expression)
                mask = mask if wanted else ((1 << len(self.values(fact))) - 1) & ~mask
                return ({fact: mask},) if mask else ()
            case Not(part):
                return self.of(part, not wanted)
            case Both(parts) | Either(parts):
                sums = [self.of(p, wanted) for p in parts if self.truths.of(p) != "not_applicable"]
                every = isinstance(expression, Both) is wanted
                return self.product(sums) if every else self.absorbed([c for s in sums for c in s])
            case Constant(value):
                return CERTAIN if value is wanted else ()

    def _mask(self, atom: Atom) -> int:
        found = self._masks.get(id(atom))
        if found is None:
            found = sum(1 << i for i, v in enumerate(self.values(atom.fact)) if atom.holds(v))
            self._masks[id(atom)] = found
        return found

    def product(self, sums: Sequence[Sequence[Cube]]) -> tuple[Cube, ...]:
        """Return the cubes that settle all of several expressions at once."""
        found: tuple[Cube, ...] = CERTAIN
        for cubes in sorted(sums, key=len):
            found = self.absorbed([c for a in found for b in cubes if (c := _meet(a, b)) is not None])
        return found

    def absorbed(self, cubes: Sequence[Cube]) -> tuple[Cube, ...]:
        """Return the cubes that no other makes superfluous, shortest first."""
        kept: list[Cube] = []
        for cube in sorted(cubes, key=lambda c: (len(c), sorted(c.items()))):
            if not any(_holds(k, cube) for k in kept):
                kept.append(cube)
        if len(kept) > self.most:
            self.cut = True
        return tuple(kept[: self.most])


def _meet(one: Cube, other: Cube) -> Cube | None:
    """Return what settles both, None where they contradict each other."""
    if len(one) < len(other):
        one, other = other, one
    joined = dict(one)
    for fact, mask in other.items():
        both = joined.get(fact, mask) & mask
        if not both:
            return None
        joined[fact] = both
    return joined


def _holds(weak: Cube, strong: Cube) -> bool:
    """Tell whether wherever the second settles, the first does."""
    return all(fact in strong and strong[fact] & ~mask == 0 for fact, mask in weak.items())


def shortest(sets: Iterable[Facts]) -> tuple[Facts, ...]:
    """Return the sets that hold no other."""
    kept: list[Facts] = []
    for each in sorted(set(sets), key=lambda s: (len(s), sorted(s))):
        if not any(k <= each for k in kept):
            kept.append(each)
    return tuple(kept)


def missing_sets(
    exclusions: Sequence[Expression], requirements: Sequence[Expression], cubes: Cubes, answered: Sequence[Expression] = ()
) -> tuple[tuple[Facts, ...], tuple[Facts, ...]]:
    """Return the minimal sets of open facts that can take a treatment out of "needs".

    Parameters
    ----------
    exclusions, requirements : sequence of Expression
        Of one treatment; those that are not applicable are left out.
    cubes : Cubes
        With what is known.
    answered : sequence of Expression
        Exclusions whose mitigation is planned: they have to be told, but do not exclude.

    Returns
    -------
    closing, opening : tuple of frozenset of str
        Sets of which some values exclude the treatment or show that it is not indicated; and sets of which some values leave it
        open. Each is minimal of its kind: no member can be dropped, and there is no other such set (but see ``Cubes.cut``).
    """
    told = [e for e in exclusions if cubes.truths.of(e) != "not_applicable"]
    needed = [r for r in requirements if cubes.truths.of(r) != "not_applicable"]
    closing = shortest(
        frozenset(c) for way in ([cubes.of(e, True) for e in told], [cubes.of(r, False) for r in needed]) for s in way for c in s
    )
    opening: tuple[Facts, ...] = (frozenset(),)
    either = [cubes.absorbed([*cubes.of(e, True), *cubes.of(e, False)]) for e in answered]
    for group in _groups([*(cubes.of(e, False) for e in told), *(cubes.of(r, True) for r in needed), *either]):
        here = shortest(frozenset(c) for c in cubes.product(group))
        opening = shortest(a | b for a in opening for b in here)
        if len(opening) > cubes.most:
            cubes.cut, opening = True, opening[: cubes.most]
    return closing, opening


def _groups(sums: Sequence[Sequence[Cube]]) -> list[list[Sequence[Cube]]]:
    """Group the cubes of expressions that share facts."""
    groups: list[tuple[set[str], list[Sequence[Cube]]]] = []
    for cubes in sums:
        facts = {fact for cube in cubes for fact in cube}
        touching = [g for g in groups if g[0] & facts]
        groups = [g for g in groups if not g[0] & facts]
        groups.append((facts.union(*(g[0] for g in touching)), [s for g in touching for s in g[1]] + [cubes]))
    return [group for _, group in groups]


def mattering(expression: Expression, truths: Truths, cubes: Callable[[], Cubes]) -> tuple[str, ...]:
    """Return the open facts that could settle an expression that cannot be told, in the order in which it reads them.

    Parameters
    ----------
    expression : Expression
        One that is unknown.
    truths : Truths
        What is known.
    cubes : callable
        Gives the cubes; called only where a fact is read more than once, so that it may cancel out.
    """
    if isinstance(expression, Atom):
        return (expression.fact,)
    seen: list[str] = []
    _open_facts(expression, truths, seen)
    if len(set(seen)) == len(seen):
        return tuple(seen)
    ways = cubes()
    named = {fact for wanted in (True, False) for cube in ways.of(interned(expression), wanted) for fact in cube}
    return tuple(fact for fact in dict.fromkeys(seen) if fact in named)


def _open_facts(expression: Expression, truths: Truths, seen: list[str]) -> None:
    if truths.of(expression) != "unknown":
        return
    match expression:
        case Atom(fact):
            seen.append(fact)
        case Not(part):
            _open_facts(part, truths, seen)
        case Both(parts) | Either(parts):
            for part in parts:
                _open_facts(part, truths, seen)
