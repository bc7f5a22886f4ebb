"""One treatment judged for one lesion under one policy, and what its questions need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import cast

from osteon.facts import Known, NotApplicable, Scalar, State, Unknown, vocabulary
from osteon.selection.explain import question, state_words
from osteon.selection.judging import STATUSES, Judged, RuleBook, is_planned, judge, most_weight, status_of
from osteon.selection.kleene import UNKNOWN, Truths
from osteon.selection.missing import Cubes, missing_sets
from osteon.selection.rules import Rule
from osteon.selection.verdicts import Status

ON_CT = "film threshold on a CT length: not validated"
"""As in ``assessment/scores/van_der_linden.yaml``."""
Sets = tuple[tuple[tuple[str, ...], bool], ...]


@dataclass
class Bench:
    """What is known of one lesion, and every rule judged by it once, however many treatments share it.

    ``imaged`` are the facts that were read on its CT, alone or beside the chart.
    """

    truths: Truths
    imaged: frozenset[str] = frozenset()
    _judged: dict[tuple[int, str], Judged] = field(default_factory=dict)
    _by_id: dict[str, dict[int, Judged]] = field(default_factory=dict)
    _after: dict[tuple[str, object], Bench] = field(default_factory=dict)
    _whole: dict[int, tuple[RuleBook, tuple[Judged, ...]]] = field(default_factory=dict)
    _sets: dict[tuple[int, tuple[int, ...]], tuple[tuple[Judged, ...], Sets, bool]] = field(default_factory=dict)
    _words: dict[str, str] = field(default_factory=dict)
    _asked: dict[str, str] = field(default_factory=dict)
    _cubes: dict[int, tuple[RuleBook, Cubes]] = field(default_factory=dict)
    _status: dict[int, tuple[tuple[Judged, ...], Status]] = field(default_factory=dict)

    @classmethod
    def of(cls, states: Mapping[str, State], imaged: frozenset[str] = frozenset()) -> Bench:
        """Return the bench of some states."""
        return cls(Truths(states, vocabulary()), imaged)

    def judge(self, rule: Rule, policy: str) -> Judged:
        """Return how one rule comes out."""
        key = (id(rule), policy if rule.mitigations else "")
        found = self._judged.get(key)  # what is kept holds its rule, so that no other rule has its id
        if found is None:
            found = self._judged[key] = judge(rule, self.truths, policy)
        return found

    def judged(self, book: RuleBook, policy: str) -> tuple[Judged, ...]:
        """Return how every rule of a book comes out; the same tuple where that is the same under both policies."""
        other = self._whole.get(id(book))
        if other is None or other[0] is not book:
            found = self._all(book, policy)
            self._whole[id(book)] = (book, found)
            return found
        anew = [self.judge(book.rules[place], policy) for place in book.mitigable]
        if all(each == other[1][place] for each, place in zip(anew, book.mitigable, strict=True)):
            return other[1]
        listed = list(other[1])
        for each, place in zip(anew, book.mitigable, strict=True):
            listed[place] = each
        return tuple(listed)

    def _all(self, book: RuleBook, policy: str) -> tuple[Judged, ...]:
        """Return how every rule comes out; rules that other books shared are looked up, not judged."""
        known = self._by_id.setdefault(policy, {})
        try:
            return tuple(map(known.__getitem__, book.ids))
        except KeyError:
            for rule in book.rules:
                if id(rule) not in known:
                    known[id(rule)] = self.judge(rule, policy)
            return tuple(map(known.__getitem__, book.ids))

    def sets(self, answer: Answer) -> tuple[Sets, bool]:
        """Return the minimal sets of an answer and whether they were cut; the same where every rule came out the same."""
        key = (id(answer.judged), answer.answered)
        if key not in self._sets:
            found = answer.with_sets()
            self._sets[key] = (answer.judged, found.sets, found.cut)
        return self._sets[key][1:]

    def words(self, fact: str) -> str:
        """Return what is known of a fact in words; "" where nothing is."""
        if fact not in self._words:
            state = self.truths.states.get(fact, UNKNOWN)
            self._words[fact] = "" if isinstance(state, (Unknown, NotApplicable)) else state_words(fact, state)
        return self._words[fact]

    def label(self, rule: Rule, fact: str) -> str:
        """Return what stands behind a number read on CT that a rule compares with a threshold of plain films; else ""."""
        return f" ({ON_CT})" if fact in rule.film and fact in self.imaged and self.words(fact) else ""

    @cached_property
    def raised(self) -> Mapping[str, str]:
        """Facts of which the image says that it cannot tell them and only the chart can, with why: a gap in the bone, say."""
        known, found = vocabulary(), {}
        for name, state in self.truths.states.items():
            if isinstance(state, Unknown) and state.why.startswith("cannot tell:") and name in known and not known[name].measured:
                found[name] = state.why
        return found

    def after(self, fact: str, value: object) -> Bench:
        """Return the bench if one fact were known."""
        key = (fact, value)
        if key not in self._after:
            self._after[key] = Bench(self.truths.told(fact, cast(Scalar, value)), self.imaged - {fact})
        return self._after[key]

    def cubes(self, book: RuleBook) -> Cubes:
        """Return the ways to settle the expressions of a book."""
        found = self._cubes.get(id(book))
        if found is None or found[0] is not book:
            found = self._cubes[id(book)] = (book, Cubes(self.truths, book.comparisons, values=book.values))
        return found[1]

    def status(self, judged: tuple[Judged, ...]) -> Status:
        """Return the status that follows, worked out once for both policies where every rule came out the same."""
        found = self._status.get(id(judged))
        if found is None:
            found = self._status[id(judged)] = (judged, status_of(judged))
        return found[1]

    def asked(self, fact: str) -> str:
        """Return what to do about an open fact, in words."""
        if fact not in self._asked:
            self._asked[fact] = question(fact, self.truths.states.get(fact, UNKNOWN)).removeprefix("cannot tell: ")
        return self._asked[fact]


@dataclass(frozen=True)
class Answer:
    """One treatment and lesion under one policy, with what the questions need.

    Parameters
    ----------
    sets : tuple of (facts, whether they can leave the treatment open)
        Minimal sets of missing facts, where the status is "needs".
    read : frozenset of str
        Facts that only the image tells.
    cut : bool
        Whether there are more sets than are listed.
    """

    lesion_id: str
    treatment: str
    policy: str
    book: RuleBook
    states: Mapping[str, State]
    judged: tuple[Judged, ...]
    status: Status
    sets: Sets = ()
    read: frozenset[str] = frozenset()
    cut: bool = False
    bench: Bench = field(default_factory=lambda: Bench.of({}), compare=False)

    @classmethod
    def to(
        cls,
        lesion_id: str,
        name: str,
        policy: str,
        rules: RuleBook,
        states: Mapping[str, State] | Bench,
        read: frozenset[str] = frozenset(),
        missing: bool = True,
    ) -> Answer:
        """Judge every rule; where the status is "needs", find the minimal sets of missing facts (if ``missing``)."""
        bench = states if isinstance(states, Bench) else Bench.of(states)
        judged = bench.judged(rules, policy)
        answer = cls(lesion_id, name, policy, rules, bench.truths.states, judged, bench.status(judged), read=read, bench=bench)
        if not missing or answer.status != "needs":
            return answer
        sets, cut = bench.sets(answer)
        return replace(answer, sets=sets, cut=cut)

    @cached_property
    def answered(self) -> tuple[int, ...]:
        """Exclusions, by place, that cannot be told but whose mitigation is planned: whatever comes out, they exclude nothing."""
        if self.policy != "mitigated":
            return ()
        open_ones = [p for p in self.book.mitigable if (self.judged[p].kind, self.judged[p].truth) == ("exclusion", "unknown")]
        return tuple([place for place in open_ones if is_planned(self.book.rules[place], self.bench.truths)])

    def with_sets(self) -> Answer:
        """Return the answer with the sets of facts that could take the status out of "needs"."""
        cubes = self.bench.cubes(self.book)
        answered = [self.book.rules[place].when for place in self.answered]
        exclusions = [j.rule.when for i, j in enumerate(self.judged) if j.kind == "exclusion" and i not in self.answered]
        requirements = [j.rule.when for j in self.judged if j.kind == "requirement"]
        closing, opening = missing_sets(exclusions, requirements, cubes, answered)
        order = _order()

        def listed(facts: frozenset[str]) -> tuple[str, ...]:
            return tuple(sorted(facts, key=order.__getitem__))

        opens = {listed(facts) for facts in opening}
        whole = sorted(opens | {listed(facts) for facts in closing}, key=lambda s: (len(s), s))
        return replace(self, sets=tuple((facts, facts in opens) for facts in whole), cut=cubes.cut)

    @cached_property
    def _decisive(self) -> tuple[int, frozenset[int]]:
        """The weight that gives the status, and the places of the rules that have it."""
        most = max((j.weight for j in self.judged), default=0)
        return most, frozenset(i for i, j in enumerate(self.judged) if j.weight == most)

    def _rest(self, readers: tuple[int, ...]) -> int:
        """Return the weight of the rules that do not read a fact."""
        most, places = self._decisive
        if not places.issubset(readers):
            return most
        return max((j.weight for i, j in enumerate(self.judged) if i not in readers), default=0)

    def after(self, fact: str, value: object) -> Status:
        """Return the status if one fact were known."""
        readers = self.book.readers.get(fact, ())
        if not readers:
            return self.status
        bench, rules = self.bench.after(fact, value), self.book.rules
        return STATUSES[max(self._rest(readers), *(bench.judge(rules[place], self.policy).weight for place in readers))]

    def could_change(self, fact: str) -> bool:
        """Tell whether knowing one fact could change the status."""
        if self.could_unsettle(fact):
            return True
        readers = self.book.readers.get(fact, ())
        state = self.states.get(fact, Unknown())
        if fact not in self.book.comparisons or isinstance(state, (Known, NotApplicable)):
            return False
        if self._rest(readers) >= max((most_weight(self.book.rules[place]) for place in readers), default=0):
            return False  # whatever they come to, another rule weighs as much
        return any(self.after(fact, value) != self.status for value in self.book.values(fact, state))

    def could_unsettle(self, fact: str) -> bool:
        """Tell whether a "yes" could change the status by taking away what was read from the image."""
        unsettles = vocabulary()[fact].unsettles
        shaken = self.read.intersection(unsettles) if unsettles else ()
        if not shaken or isinstance(self.states.get(fact, Unknown()), (Known, NotApplicable)):
            return False
        bench = Bench.of({**self.states, **{name: Unknown() for name in shaken}})
        return status_of(bench.judge(rule, self.policy) for rule in self.book.rules) != self.status


@cache
def _order() -> Mapping[str, int]:
    return {name: i for i, name in enumerate(vocabulary())}
