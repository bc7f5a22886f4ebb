"""Rules judged for one lesion: how each comes out, and the status that follows.

The status algebra, per treatment, lesion and policy::

    scope rule true                              -> outside_scope
    any exclusion true                           -> excluded
    any requirement false                        -> not_indicated
    any exclusion or requirement unknown         -> needs
    any caution true                             -> candidate_with_cautions
    any caution unknown                          -> candidate_unchecked
    else                                         -> candidate

A mitigable exclusion becomes a caution only where its mitigation is planned and the policy is "mitigated". What is not said to be
planned counts as not planned: a plan is a decision, not a finding. Variants of a row (a schedule, an approach, a drug) and what
speaks for it change no status.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from osteon.errors import InputError
from osteon.facts import State, Unknown, vocabulary
from osteon.selection.kleene import Atom, Expression, Truths, atoms, cells
from osteon.selection.parse import parse
from osteon.selection.policies import DEFAULT, Site
from osteon.selection.rules import EVERYWHERE, Rule, guideline, read_rules
from osteon.selection.verdicts import RuleKind, Status, Truth
from osteon.treatments.base import Treatment
from osteon.treatments.rows import sheet

POLICIES = ("strict", "mitigated")
STATUSES: tuple[Status, ...] = (
    "candidate",
    "candidate_unchecked",
    "candidate_with_cautions",
    "needs",
    "not_indicated",
    "excluded",
    "outside_scope",
)
"""The weakest first: the rule that weighs most gives the status."""
WEIGHTS = {
    ("outside_scope", "true"): 6,
    ("excluded", "true"): 5,
    ("requirement", "false"): 4,
    ("outside_scope", "unknown"): 3,
    ("excluded", "unknown"): 3,
    ("requirement", "unknown"): 3,
    ("caution", "true"): 2,
    ("caution", "unknown"): 1,
}
"""What a rule that came out so gives, as a place in ``STATUSES``; every other: 0."""
MOST_WEIGHT = {"outside_scope": 6, "excluded": 5, "requirement": 4, "caution": 2}


@dataclass(frozen=True)
class RuleBook:
    """The rules of one treatment, and every comparison they make of each fact; ``ids``: of the rule objects, in their order."""

    rules: tuple[Rule, ...]
    comparisons: Mapping[str, tuple[Atom, ...]]
    readers: Mapping[str, tuple[int, ...]]
    mitigable: tuple[int, ...] = ()
    ids: tuple[int, ...] = ()
    _values: dict[str, list[object]] = field(default_factory=dict, compare=False, repr=False)

    def values(self, fact: str, state: State) -> list[object]:
        """Return one value per way in which the comparisons of a fact come out, of those that a state leaves open."""
        if type(state) is not Unknown:
            return cells(vocabulary()[fact], state, self.comparisons[fact])
        if fact not in self._values:
            self._values[fact] = cells(vocabulary()[fact], state, self.comparisons[fact])
        return self._values[fact]

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> RuleBook:
        """Return the book of some rules; ``readers``: the places of those that read a fact; ``mitigable``: of the mitigable."""
        listed = tuple(rules)
        readers: dict[str, dict[int, None]] = {}
        for place, rule in enumerate(listed):
            for fact in (*rule.facts, *rule.planning):
                readers.setdefault(fact, {})[place] = None
        whole = comparisons_of(e for rule in listed for e in expressions_of(rule))
        planned = tuple(place for place, rule in enumerate(listed) if rule.mitigations)
        return cls(listed, whole, {fact: tuple(places) for fact, places in readers.items()}, planned, tuple(map(id, listed)))


@dataclass(frozen=True)
class Judged:
    """One rule as it came out: ``kind`` and ``truth`` after mitigation, ``planned`` where a mitigation answered it."""

    rule: Rule
    kind: RuleKind
    truth: Truth
    planned: bool = False

    @property
    def weight(self) -> int:
        """The place in ``STATUSES`` of the status that it gives by itself."""
        return WEIGHTS.get((self.rule.then if self.kind == "exclusion" else self.kind, self.truth), 0)


def expressions_of(rule: Rule) -> tuple[Expression, ...]:
    """Return what a rule reads: its condition and those of its mitigations."""
    return (rule.when, *(m.when for m in rule.mitigations))


def comparisons_of(expressions: Iterable[Expression]) -> dict[str, tuple[Atom, ...]]:
    """Return every comparison that some expressions make of each fact."""
    found: dict[str, dict[Atom, None]] = {}
    for expression in expressions:
        for atom in atoms(expression):
            found.setdefault(atom.fact, {})[atom] = None
    return {fact: tuple(seen) for fact, seen in found.items()}


@cache
def book(which: Treatment, site: Site = DEFAULT) -> RuleBook:
    """Return the rules that hold for a treatment: those of scope, for every treatment, the patient's refusal, then its own.

    Raises
    ------
    InputError
        If they cannot be read, or two of them have one id.
    """
    own = read_rules(which.rules, f"{which.name}/rules.yaml", site)
    refused = sheet(which).refused_as
    shared = (*guideline(EVERYWHERE, site), *((refusal(refused),) if refused else ()))
    twice = {r.id for r in shared} & {r.id for r in own}
    if twice:
        raise InputError(
            f"{which.name}/rules.yaml: the ids {sorted(twice)} belong to rules that hold for every treatment.",
            "One of two rules of the same name would be lost.",
            "Give the treatment's rules other ids.",
        )
    return RuleBook.of((*shared, *own))


@cache
def refusal(what: str) -> Rule:
    """Return the rule that a patient who refuses a kind of treatment does not get it.

    Raises
    ------
    InputError
        If the fact ``refused`` has no such member.
    """
    where = "refusal"
    return Rule(
        id=f"REFUSED-{what.upper().replace('_', '-')}",
        kind="exclusion",
        when=parse(f"'{what}' in refused", vocabulary(), where),
        then="excluded",
        because=f"The patient refuses {what.replace('_', ' ')}: the patient's wish decides.",
        source=("osteon-proposal",),
        source_class="proposal",
        valid_from=None,
        supersedes=(),
        conflicts=(),
        mitigations=(),
        examples=(),
        file=where,
    )


def judge(rule: Rule, states: Mapping[str, State] | Truths, policy: str) -> Judged:
    """Return how one rule comes out under a policy."""
    truths = states if isinstance(states, Truths) else Truths(states, vocabulary())
    truth = truths.of(rule.when)
    if rule.mitigations and truth in ("true", "unknown"):
        planned = is_planned(rule, truths)
        if planned and rule.kind == "caution":
            return Judged(rule, "caution", "false", planned=True)
        if planned and policy == "mitigated" and truth == "true":  # what is not known cannot be held to be mitigated
            return Judged(rule, "caution", truth, planned=True)
    return Judged(rule, rule.kind, truth)


def is_planned(rule: Rule, truths: Truths) -> bool:
    """Tell whether a mitigation of a rule is planned."""
    return any(truths.of(m.when) == "true" for m in rule.mitigations)


def status_of(judged: Iterable[Judged]) -> Status:
    """Return the status that follows from rules as they came out: the algebra at the head of this file."""
    return STATUSES[max((j.weight for j in judged), default=0)]


def most_weight(rule: Rule) -> int:
    """Return the place in ``STATUSES`` of the strongest status that a rule can give."""
    return MOST_WEIGHT.get(rule.then if rule.kind == "exclusion" else rule.kind, 0)
