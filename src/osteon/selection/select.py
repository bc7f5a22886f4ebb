"""Which treatment may be done to which lesion: every one a status, with cited reasons and what is missing.

How a rule comes out, and which status follows: ``judging.py``; minimal sets of missing facts: ``missing.py``; what to ask next:
``asking.py``; what comes before every treatment: ``red_flags.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from osteon.assessment.derived import derived, radiosensitivity
from osteon.assessment.results import Assessment, LesionAssessment
from osteon.errors import InputError, MissingError
from osteon.facts import Fact, NotApplicable, State, Unknown, merge, vocabulary
from osteon.selection.answer import Answer, Bench
from osteon.selection.asking import questions
from osteon.selection.judging import POLICIES, Judged, book
from osteon.selection.missing import mattering
from osteon.selection.policies import DEFAULT, Site
from osteon.selection.red_flags import flags_of
from osteon.selection.rules import Rule, states_of
from osteon.selection.verdicts import POSSIBLE, Flag, Reason, Verdict, Verdicts
from osteon.space.anatomy import structure
from osteon.treatments.base import Treatment
from osteon.treatments.catalog import entries, treatment
from osteon.treatments.rows import sheet

MOST_WORDED = 20_000
"""Reasons that are kept in words: about 15 for every rule."""
_WORDED: dict[tuple[object, ...], tuple[Rule, Reason]] = {}


def select(
    assessment: Assessment,
    policy: str = "strict",
    site: Site = DEFAULT,
    *,
    missing: bool = True,
    policies: Sequence[str] = POLICIES,
) -> Verdicts:
    """Judge every treatment of the catalogue for every lesion under every policy of distance.

    Parameters
    ----------
    assessment : Assessment
        Facts and anatomy per lesion.
    policy : {"strict", "mitigated"}
        The policy of distance: the one that ``Verdicts.of`` gives unasked and that the questions are counted by.
    site : Site
        What the site has decided where the sources leave it open.
    missing : bool
        False: status and reasons only, without minimal sets and questions, as a cohort needs them.
    policies : sequence of str
        Those that are judged; the one of ``policy`` must be among them.

    Returns
    -------
    Verdicts
        One verdict per lesion, treatment and policy; the red flags; and the questions in the order of how many verdicts they
        could change.

    Raises
    ------
    InputError
        If there is no such policy, or a treatment's rules cannot be read.
    """
    if policy not in POLICIES or policy not in policies:
        raise InputError(
            f"There is no policy of distance {policy!r}.",
            "The policy decides whether less than 10 mm to a nerve excludes a treatment.",
            f"Use one of: {', '.join(POLICIES)}.",
        )
    answers: list[Answer] = []
    flags: list[Flag] = []
    names = tuple(entries())
    for lesion in assessment.lesions:
        base = base_facts(assessment, lesion, site)
        plain = Bench.of(states_of(base), imaged(base))
        flags += flags_of(lesion.lesion_id, plain.truths, site)
        benches: dict[tuple[Fact, ...], tuple[Bench, frozenset[str]]] = {(): (plain, only_read(base))}
        for name in names:
            which = treatment(name)
            found = tuple(site_facts(lesion, which))
            if found not in benches:
                facts = joined(base, found)
                benches[found] = (Bench.of(states_of(facts), imaged(facts)), only_read(facts))
            bench, read = benches[found]
            answers += [Answer.to(lesion.lesion_id, name, p, book(which, site), bench, read, missing) for p in policies]
    beside = {p: [a for a in answers if a.policy == p] for p in policies}
    writer = _Writer(beside, flags)
    asked = questions(beside[policy], flags) if missing else ()
    return Verdicts(tuple(writer.verdict(a) for a in answers), asked, policy, tuple(flags), site.listed())


def facts_for(assessment: Assessment, lesion: LesionAssessment, which: Treatment, site: Site = DEFAULT) -> dict[str, Fact]:
    """Return the facts that a treatment is judged by: patient, lesion, what follows from them, and what it finds at the site.

    Raises
    ------
    InputError
        If the treatment tells a fact that the vocabulary lacks.
    """
    return joined(base_facts(assessment, lesion, site), site_facts(lesion, which))


def base_facts(assessment: Assessment, lesion: LesionAssessment, site: Site = DEFAULT) -> dict[str, Fact]:
    """Return the facts that every treatment of a lesion is judged by: patient, lesion, and what follows from them."""
    facts = dict(assessment.case.facts)
    facts.update({n: f for n, f in lesion.facts.items() if n not in facts or not isinstance(f.state, Unknown)})
    facts.update({f.name: f for f in derived(assessment.case, facts) if isinstance(_state(facts, f.name), Unknown)})
    if isinstance(_state(facts, "radiosensitivity"), Unknown):
        facts["radiosensitivity"] = radiosensitivity(facts, str(site.of("radiosensitivity_list")))
    return facts


def site_facts(lesion: LesionAssessment, which: Treatment) -> list[Fact]:
    """Return what a treatment finds at the site; nothing where what it would need is not outlined.

    Raises
    ------
    InputError
        If the treatment tells a fact that the vocabulary lacks.
    """
    try:
        found = which.site_facts(lesion.anatomy, structure("lesion"))
    except MissingError:  # its facts stay unknown, and unknown is never safe
        return []
    for fact in found:
        if fact.name not in vocabulary():
            raise InputError(
                f"The treatment {which.name!r} tells a fact {fact.name!r} that facts.yaml lacks.",
                "A fact outside the vocabulary is read by no rule.",
                "Add it to facts.yaml, with its type, domain and question.",
            )
    return found


def joined(facts: Mapping[str, Fact], found: Iterable[Fact]) -> dict[str, Fact]:
    """Return facts with those found at the site; where both tell one, they are merged."""
    whole = dict(facts)
    for fact in found:
        told = not isinstance(_state(whole, fact.name), Unknown)
        whole[fact.name] = merge([whole[fact.name], fact]) if told else fact
    return whole


def only_read(facts: Mapping[str, Fact]) -> frozenset[str]:
    """Return the names of facts that are known from the image and from nowhere else."""
    told = (f for f in facts.values() if f.origins and not isinstance(f.state, (Unknown, NotApplicable)))
    return frozenset(f.name for f in told if all(origin.kind == "image" for origin in f.origins))


def imaged(facts: Mapping[str, Fact]) -> frozenset[str]:
    """Return the names of facts that were read from the image, alone or beside the chart."""
    return frozenset(f.name for f in facts.values() if any(origin.kind == "image" for origin in f.origins))


def _state(facts: Mapping[str, Fact], name: str) -> State:
    return facts[name].state if name in facts else Unknown()


class _Writer:
    """Writes verdicts; a reason that several treatments share is worded once."""

    def __init__(self, beside: Mapping[str, Sequence[Answer]], flags: Sequence[Flag]) -> None:
        self.held = {f.lesion_id for f in flags if f.truth == "true" and f.holds}
        self.scope = {name: kind.scope for name, kind in vocabulary().items()}
        self.reasons: dict[int, tuple[Answer, dict[int, Reason]]] = {}
        self.shared: dict[int, tuple[Answer, tuple[Reason, ...], tuple[Reason, ...]]] = {}
        self.counts: dict[tuple[str, str, tuple[str, ...]], int] = {}
        self.bits = {name: 1 << i for i, name in enumerate(self.scope)}
        self.patient = sum(bit for name, bit in self.bits.items() if self.scope[name] == "patient")
        self.sets = {policy: self._sets(answers) for policy, answers in beside.items()}

    def _sets(self, answers: Sequence[Answer]) -> dict[str, dict[int, int]]:
        """Return by lesion, for each minimal set as the bits of a number, which answers have it, as the bits of another."""
        found: dict[str, dict[int, int]] = {}
        for place, answer in enumerate(answers):
            here = found.setdefault(answer.lesion_id, {})
            for facts, _ in answer.sets:
                mask = self.mask(facts)
                here[mask] = here.get(mask, 0) | 1 << place
        return found

    def mask(self, facts: Iterable[str]) -> int:
        """Return facts as the bits of a number."""
        return sum(self.bits[name] for name in facts)

    def verdict(self, answer: Answer) -> Verdict:
        """Return the verdict of one answer."""
        ranked = sorted(answer.sets, key=lambda s: (-self.changes(answer, s[0]), not s[1], len(s[0]), s[0]))
        reasons, variants = self.reasons_of(answer)
        waits = answer.lesion_id in self.held and answer.status in POSSIBLE
        return Verdict(
            lesion_id=answer.lesion_id,
            treatment=answer.treatment,
            policy=answer.policy,
            status=answer.status,
            reasons=reasons,
            missing=tuple(facts for facts, _ in ranked),
            opening=tuple(facts for facts, opens in ranked if opens),
            variants=variants,
            on_hold=waits and sheet(treatment(answer.treatment)).elective,
        )

    def changes(self, answer: Answer, facts: tuple[str, ...]) -> int:
        """Return how many treatments of how many lesions knowing some facts could settle."""
        key = (answer.policy, answer.lesion_id, facts)
        if key not in self.counts:
            here = self.mask(facts)
            settled = 0
            for lesion, sets in self.sets[answer.policy].items():
                others = ~here if lesion == answer.lesion_id else ~(here & self.patient)
                for mask, who in sets.items():
                    if not mask & others:
                        settled |= who
            self.counts[key] = settled.bit_count()
        return self.counts[key]

    def reasons_of(self, answer: Answer) -> tuple[tuple[Reason, ...], tuple[Reason, ...]]:
        """Return the reasons of an answer and its variants; the same for both policies where every rule came out the same."""
        found = self.shared.get(id(answer.judged))
        if found is None or found[0].bench is not answer.bench:
            whole = self.all(answer)
            reasons = tuple([r for r in whole if r.kind != "variant"])
            found = answer, reasons, tuple([r for r in whole if r.kind == "variant"])
            self.shared[id(answer.judged)] = found
        return found[1:]

    def all(self, answer: Answer) -> list[Reason]:
        """Return every rule and how it came out, in words; what another treatment shared is looked up."""
        _, known = self.reasons.setdefault(id(answer.bench), (answer, {}))
        try:
            return list(map(known.__getitem__, map(id, answer.judged)))
        except KeyError:
            for judged in answer.judged:
                if id(judged) not in known:
                    known[id(judged)] = _reason(judged, answer)
            return list(map(known.__getitem__, map(id, answer.judged)))


def _reason(judged: Judged, answer: Answer) -> Reason:
    """Return one rule and how it came out, in words; lesions of which the same is known share it."""
    rule, bench, truth = judged.rule, answer.bench, judged.truth
    unknown: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    if truth == "unknown":
        unknown = mattering(rule.when, bench.truths, lambda: bench.cubes(answer.book))
        said = tuple([bench.asked(f) + bench.label(rule, f) for f in unknown])
    elif truth != "not_applicable":
        said = tuple([words + bench.label(rule, f) for f in rule.facts if (words := bench.words(f))])
    planned: tuple[str, ...] = ()
    if judged.planned:
        planned = tuple([m.text for m in rule.mitigations if bench.truths.of(m.when) == "true"])
    key = (id(rule), judged.kind, truth, unknown, said, planned)
    found = _WORDED.get(key)
    if found is None or found[0] is not rule:
        if len(_WORDED) >= MOST_WORDED:
            _WORDED.clear()
        found = _WORDED[key] = (rule, _worded(judged, unknown, said, planned))
    return found[1]


def _worded(judged: Judged, unknown: tuple[str, ...], said: tuple[str, ...], planned: tuple[str, ...]) -> Reason:
    rule = judged.rule
    text = rule.because
    if rule.kind in ("caution", "support") and rule.then:
        text += f" {rule.then}"
    if rule.kind == "variant" and rule.then:
        text = f"{rule.then}: {text}"
    if judged.truth == "unknown":
        text += " Cannot tell: " + " ".join(said)
    elif said:
        text += f" Here: {', '.join(said)}."
    if judged.planned:
        text += " Planned: " + ", ".join(planned) + "."
    return Reason(
        rule_id=rule.id,
        kind=judged.kind,
        truth=judged.truth,
        text=text,
        quotes=rule.source,
        facts=rule.facts,
        unknown=unknown,
        mitigations=tuple([m.text for m in rule.mitigations]),
        conflicts=rule.conflicts,
        source_class=rule.source_class,
    )
