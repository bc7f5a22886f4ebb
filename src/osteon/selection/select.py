"""Which treatment may be done to which lesion: every one a status, with cited reasons and what is missing.

The status algebra, per treatment, lesion and policy::

    scope rule true                              -> outside_scope
    any exclusion true                           -> excluded
    any requirement false                        -> not_indicated
    any exclusion or requirement unknown         -> needs
    any caution true                             -> candidate_with_cautions
    any caution unknown                          -> candidate_unchecked
    else                                         -> candidate

A mitigable exclusion becomes a caution only where its mitigation is planned and the policy is "mitigated". What is not said to be
planned counts as not planned: a plan is a decision, not a finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import cast

from osteon.assessment.derived import derived
from osteon.assessment.results import Assessment, LesionAssessment
from osteon.errors import InputError, MissingError
from osteon.facts import Fact, Known, NotApplicable, Scalar, State, Unknown, merge, vocabulary
from osteon.selection.explain import question, state_words
from osteon.selection.implicants import Implicants, Term, leave_needs
from osteon.selection.kleene import Atom, atoms, cells, evaluate
from osteon.selection.rules import EVERYWHERE, Rule, guideline, read_rules, states_of
from osteon.selection.verdicts import Question, Reason, RuleKind, Status, Truth, Verdict, Verdicts
from osteon.space.anatomy import structure
from osteon.treatments.base import Treatment
from osteon.treatments.catalog import entries, treatment

POLICIES = ("strict", "mitigated")


@dataclass(frozen=True)
class RuleBook:
    """The rules of one treatment, and every comparison they make of each fact."""

    rules: tuple[Rule, ...]
    comparisons: Mapping[str, tuple[Atom, ...]]

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> RuleBook:
        """Return the book of some rules."""
        listed = tuple(rules)
        found: dict[str, dict[Atom, None]] = {}
        for rule in listed:
            for expression in (rule.when, *(m.when for m in rule.mitigations)):
                for atom in atoms(expression):
                    found.setdefault(atom.fact, {})[atom] = None
        return cls(listed, {fact: tuple(seen) for fact, seen in found.items()})


@dataclass(frozen=True)
class Judged:
    """One rule as it came out: ``kind`` and ``truth`` after mitigation, ``planned`` where a mitigation answered it."""

    rule: Rule
    kind: RuleKind
    truth: Truth
    planned: bool = False


@cache
def book(which: Treatment) -> RuleBook:
    """Return the rules that hold for a treatment: those of scope, for every treatment, then its own."""
    return RuleBook.of((*guideline(EVERYWHERE), *read_rules(which.rules, f"{which.name}/rules.yaml")))


def judge(rule: Rule, states: Mapping[str, State], policy: str) -> Judged:
    """Return how one rule comes out under a policy."""
    words = vocabulary()
    truth = evaluate(rule.when, states, words)
    if rule.mitigations and truth in ("true", "unknown"):
        planned = any(evaluate(m.when, states, words) == "true" for m in rule.mitigations)
        if planned and rule.kind == "caution":
            return Judged(rule, "caution", "false", planned=True)
        if planned and policy == "mitigated" and truth == "true":  # what is not known cannot be held to be mitigated
            return Judged(rule, "caution", truth, planned=True)
    return Judged(rule, rule.kind, truth)


def status_of(judged: Iterable[Judged]) -> Status:
    """Return the status that follows from rules as they came out: the algebra at the head of this file."""
    seen = {(j.rule.then if j.kind == "exclusion" else j.kind, j.truth) for j in judged}
    if ("outside_scope", "true") in seen:
        return "outside_scope"
    if ("excluded", "true") in seen:
        return "excluded"
    if ("requirement", "false") in seen:
        return "not_indicated"
    if seen & {("outside_scope", "unknown"), ("excluded", "unknown"), ("requirement", "unknown")}:
        return "needs"
    if ("caution", "true") in seen:
        return "candidate_with_cautions"
    return "candidate_unchecked" if ("caution", "unknown") in seen else "candidate"


@dataclass(frozen=True)
class Answer:
    """One treatment and lesion under one policy, with what the questions need; ``read``: what only the image tells."""

    lesion_id: str
    treatment: str
    policy: str
    book: RuleBook
    states: Mapping[str, State]
    judged: tuple[Judged, ...]
    status: Status
    sets: tuple[tuple[tuple[str, ...], bool], ...] = ()
    read: frozenset[str] = frozenset()

    @classmethod
    def to(
        cls,
        lesion_id: str,
        name: str,
        policy: str,
        rules: RuleBook,
        states: Mapping[str, State],
        read: frozenset[str] = frozenset(),
    ) -> Answer:
        """Judge every rule; where the status is "needs", find the minimal sets of missing facts."""
        judged = tuple(judge(rule, states, policy) for rule in rules.rules)
        answer = cls(lesion_id, name, policy, rules, states, judged, status_of(judged), read=read)
        return replace(answer, sets=answer._missing()) if answer.status == "needs" else answer

    def _missing(self) -> tuple[tuple[tuple[str, ...], bool], ...]:
        """Return the sets of facts of the minimal assignments, each with whether it can leave the treatment open.

        Of the sets that can, only those are kept that hold no other such set.
        """
        engine = Implicants(self.states, vocabulary(), self.book.comparisons)
        exclusions = [j.rule.when for j in self.judged if j.kind == "exclusion"]
        requirements = [j.rule.when for j in self.judged if j.kind == "requirement"]
        every, opening = leave_needs(exclusions, requirements, engine)
        order = {name: i for i, name in enumerate(vocabulary())}

        def names(term: Term) -> tuple[str, ...]:
            return tuple(sorted((fact for fact, _ in term), key=order.__getitem__))

        opens = {names(t) for t in opening}
        closes = {names(t) for t in every if t not in set(opening)}
        shortest = {s for s in opens if not any(set(o) < set(s) for o in opens)}
        return tuple((facts, facts in shortest) for facts in sorted(shortest | closes, key=lambda s: (len(s), s)))

    def after(self, fact: str, value: object) -> Status:
        """Return the status if one fact were known."""
        states = {**self.states, fact: Known(cast(Scalar, value))}
        return status_of(
            judge(j.rule, states, self.policy) if fact in j.rule.facts or fact in j.rule.planning else j for j in self.judged
        )

    def could_change(self, fact: str) -> bool:
        """Tell whether knowing one fact could change the status."""
        if self.could_unsettle(fact):
            return True
        comparisons = self.book.comparisons.get(fact)
        state = self.states.get(fact, Unknown())
        if comparisons is None or isinstance(state, (Known, NotApplicable)):
            return False
        values = cells(vocabulary()[fact], state, comparisons)
        return any(self.after(fact, value) != self.status for value in values)

    def could_unsettle(self, fact: str) -> bool:
        """Tell whether a "yes" could change the status by taking away what was read from the image."""
        shaken = self.read.intersection(vocabulary()[fact].unsettles)
        if not shaken or isinstance(self.states.get(fact, Unknown()), (Known, NotApplicable)):
            return False
        states = {**self.states, **{name: Unknown() for name in shaken}}
        return status_of(judge(j.rule, states, self.policy) for j in self.judged) != self.status


def select(assessment: Assessment, policy: str = "strict") -> Verdicts:
    """Judge every treatment of the catalogue for every lesion under every site policy.

    Parameters
    ----------
    assessment : Assessment
        Facts and anatomy per lesion.
    policy : {"strict", "mitigated"}
        The site's policy: the one that ``Verdicts.of`` gives unasked and that the questions are counted by.

    Returns
    -------
    Verdicts
        One verdict per lesion, treatment and policy, and the questions in the order of how many verdicts they could change.

    Raises
    ------
    InputError
        If there is no such policy, or a treatment's rules cannot be read.
    """
    if policy not in POLICIES:
        raise InputError(
            f"There is no site policy {policy!r}.",
            "The policy decides whether less than 10 mm to a nerve excludes a treatment.",
            f"Use one of: {', '.join(POLICIES)}.",
        )
    answers = [
        Answer.to(lesion.lesion_id, name, each, book(treatment(name)), states_of(facts), only_read(facts))
        for lesion in assessment.lesions
        for name in entries()
        for facts in [facts_for(assessment, lesion, treatment(name))]
        for each in POLICIES
    ]
    verdicts = tuple(_verdict(a, [b for b in answers if b.policy == a.policy]) for a in answers)
    return Verdicts(verdicts, questions([a for a in answers if a.policy == policy]), policy)


def facts_for(assessment: Assessment, lesion: LesionAssessment, which: Treatment) -> dict[str, Fact]:
    """Return the facts that a treatment is judged by: patient, lesion, what follows from them, and what it finds at the site.

    Raises
    ------
    InputError
        If the treatment tells a fact that the vocabulary lacks.
    """
    facts = dict(assessment.case.facts)
    facts.update({n: f for n, f in lesion.facts.items() if n not in facts or not isinstance(f.state, Unknown)})
    facts.update({f.name: f for f in derived(assessment.case, facts) if isinstance(_state(facts, f.name), Unknown)})
    try:
        found = which.site_facts(lesion.anatomy, structure("lesion"))
    except MissingError:  # what it would need is not outlined: its facts stay unknown, and unknown is never safe
        found = []
    for fact in found:
        if fact.name not in vocabulary():
            raise InputError(
                f"The treatment {which.name!r} tells a fact {fact.name!r} that facts.yaml lacks.",
                "A fact outside the vocabulary is read by no rule.",
                "Add it to facts.yaml, with its type, domain and question.",
            )
        told = not isinstance(_state(facts, fact.name), Unknown)
        facts[fact.name] = merge([facts[fact.name], fact]) if told else fact
    return facts


def only_read(facts: Mapping[str, Fact]) -> frozenset[str]:
    """Return the names of facts that are known from the image and from nowhere else."""
    told = (f for f in facts.values() if f.origins and not isinstance(f.state, (Unknown, NotApplicable)))
    return frozenset(f.name for f in told if all(origin.kind == "image" for origin in f.origins))


def _state(facts: Mapping[str, Fact], name: str) -> State:
    return facts[name].state if name in facts else Unknown()


def _verdict(answer: Answer, beside: Sequence[Answer]) -> Verdict:
    scope = {name: kind.scope for name, kind in vocabulary().items()}

    def changes(facts: tuple[str, ...]) -> int:
        here, patient = set(facts), {f for f in facts if scope[f] == "patient"}
        return sum(any(set(s) <= (here if b.lesion_id == answer.lesion_id else patient) for s, _ in b.sets) for b in beside)

    ranked = sorted(answer.sets, key=lambda s: (-changes(s[0]), not s[1], len(s[0]), s[0]))
    return Verdict(
        lesion_id=answer.lesion_id,
        treatment=answer.treatment,
        policy=answer.policy,
        status=answer.status,
        reasons=tuple(_reason(j, answer) for j in answer.judged),
        missing=tuple(facts for facts, _ in ranked),
        opening=tuple(facts for facts, opens in ranked if opens),
    )


def _reason(judged: Judged, answer: Answer) -> Reason:
    rule, states = judged.rule, answer.states
    unknown = _mattering(rule, answer) if judged.truth == "unknown" else ()
    text = rule.because
    if rule.kind in ("caution", "support") and rule.then:
        text += f" {rule.then}"
    if judged.truth == "unknown":
        text += " Cannot tell: " + " ".join(question(f, states.get(f, Unknown())).removeprefix("cannot tell: ") for f in unknown)
    elif judged.truth in ("true", "false") and rule.facts:
        told = [
            state_words(f, states[f]) for f in rule.facts if f in states and not isinstance(states[f], (Unknown, NotApplicable))
        ]
        text += f" Here: {', '.join(told)}." if told else ""
    if judged.planned:
        text += (
            " Planned: " + ", ".join(m.text for m in rule.mitigations if evaluate(m.when, states, vocabulary()) == "true") + "."
        )
    return Reason(
        rule_id=rule.id,
        kind=judged.kind,
        truth=judged.truth,
        text=text,
        quotes=rule.source,
        facts=rule.facts,
        unknown=unknown,
        mitigations=tuple(m.text for m in rule.mitigations),
        conflicts=rule.conflicts,
        source_class=rule.source_class,
    )


def _mattering(rule: Rule, answer: Answer) -> tuple[str, ...]:
    engine = Implicants(answer.states, vocabulary(), answer.book.comparisons)
    named = {fact for wanted in (True, False) for term in engine.of(rule.when, wanted) for fact, _ in term}
    return tuple(f for f in rule.facts if f in named)


def questions(answers: Sequence[Answer]) -> tuple[Question, ...]:
    """Return the open facts that could change a status, the most powerful first (one-step lookahead over each domain).

    Parameters
    ----------
    answers : sequence of Answer
        All under one policy.

    Returns
    -------
    tuple of Question
        A question about the patient counts over all lesions and has an empty ``lesion_id``. Equal counts: the fact that stands
        in more minimal sets first, then the order of ``facts.yaml``. A fact that changes nothing by itself but stands in a
        minimal set comes last, with ``changes = 0``. What only a person can tell, and the image gives cause to ask, comes first.
    """
    groups: dict[tuple[str, str], list[Answer]] = {}
    weight: dict[tuple[str, str], int] = {}
    raised: dict[tuple[str, str], str] = {}
    for name, kind in vocabulary().items():
        for answer in answers:
            key = (name, "" if kind.scope == "patient" else answer.lesion_id)
            sets = sum(name in facts for facts, _ in answer.sets)
            why = _raised_by_image(answer, name)
            if why:
                raised[key] = why
            if sets or why or answer.could_change(name):
                weight[key] = weight.get(key, 0) + sets
                groups.setdefault(key, []).extend([answer] if answer.could_change(name) else [])
    ranked = sorted(groups, key=lambda k: (k not in raised, -len(groups[k]), -weight[k]))
    return tuple(
        Question(
            fact=name,
            lesion_id=lesion,
            ask=f"{vocabulary()[name].ask} {raised.get((name, lesion), '')}".strip(),
            changes=len(groups[name, lesion]),
            treatments=tuple(sorted({a.treatment for a in groups[name, lesion]})),
        )
        for name, lesion in ranked
    )


def _raised_by_image(answer: Answer, fact: str) -> str:
    """Return why the image gives cause to ask what only the chart can answer, for example a gap in the bone; else ""."""
    state = answer.states.get(fact, Unknown())
    asked = isinstance(state, Unknown) and state.why.startswith("cannot tell:") and not vocabulary()[fact].measured
    return state.why if asked and isinstance(state, Unknown) else ""
