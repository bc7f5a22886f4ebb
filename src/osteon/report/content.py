"""What stands on the page about patient, lesions and treatments: shapes turned into plain rows. No number is computed here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from osteon.assessment.results import LesionAssessment, RequiredStructure, ScoreItem, ScoreResult
from osteon.case.model import Case, Lesion
from osteon.errors import OsteonError
from osteon.facts import Fact, Interval, Known, NotApplicable, OneOf, Unknown, vocabulary
from osteon.report import words
from osteon.selection.explain import POLICY_WORDS, STATUS_ORDER, STATUS_WORDS, label, outside
from osteon.selection.next_steps import NextStep, at_hand, cheapest, next_steps
from osteon.selection.verdicts import Flag
from osteon.selection.views import shared

if TYPE_CHECKING:
    from osteon.pathway import Journey

KEY_FACTS = (
    "pain_vas", "size_max_mm", "volume_ml", "lesion_type", "mean_hu", "cortex_contact", "cortex_loss_mm2", "axial_cortical_mm",
    "circumferential_cortical_fraction", "depth_from_skin_mm", "fracture", "soft_tissue_component",
)  # fmt: skip
MOST_NAMED = 5
"""Treatments named in a sentence; the others are counted."""


@dataclass(frozen=True)
class Row:
    """A label and its value, with what stands beside it."""

    label: str
    value: str
    note: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Alarm:
    """One red flag, up or not to be told, with every lesion that it is about."""

    where: str
    text: str
    call: str
    quotes: tuple[str, ...] = ()
    urgent: bool = False


def policy_words(policy: str) -> str:
    """Return a policy in words, or its bare name."""
    return POLICY_WORDS.get(policy, policy)


def treatment_title(name: str) -> str:
    """Return a treatment as a clinician reads it."""
    from osteon.treatments.catalog import treatment

    try:
        return treatment(name).title
    except (OsteonError, ImportError, AttributeError):
        return words.sentence(name)


def treatment_words(name: str) -> str:
    """Return a treatment as it stands inside a sentence: without its capital, unless that begins an abbreviation."""
    title = treatment_title(name)
    return title[:1].lower() + title[1:] if title[1:2].islower() or title[1:2] == " " else title


def facts_of(lesion: LesionAssessment, patient: Mapping[str, Fact]) -> dict[str, Fact]:
    """Return the facts of a lesion over those of the patient."""
    return {**patient, **lesion.facts}


def alarms(journey: Journey, truth: str = "true") -> list[Alarm]:
    """Return the red flags that are up, or with ``truth`` "unknown" those that cannot be told, the urgent first."""
    found: dict[tuple[str, str], list[Flag]] = {}
    for flag in journey.verdicts.flags:
        if flag.truth == truth:
            found.setdefault((flag.text, flag.call), []).append(flag)
    alarm = [
        Alarm(_where([f.lesion_id for f in flags]), text.removeprefix("Cannot tell: "), call, flags[0].quotes, flags[0].urgent)
        for (text, call), flags in found.items()
    ]
    return sorted(alarm, key=lambda a: not a.urgent)


def _where(lesions: list[str]) -> str:
    return f"Lesion {lesions[0]}" if len(lesions) == 1 else f"Lesions {words.joined(lesions)}"


def place_in_words(lesion: Lesion | None, assessed: LesionAssessment) -> str:
    """Return bone, side and region of a lesion in words."""
    bone = lesion.bone.name if lesion is not None and lesion.bone is not None else "bone not given"
    side = assessed.facts.get("side")
    if (
        lesion is not None
        and lesion.bone is not None
        and lesion.bone.side is None
        and side is not None
        and side.value in ("left", "right")
    ):
        bone = f"{bone}, {side.value} side"
    region = assessed.region.rpartition(".")[2].replace("_", " ")
    return f"{bone} ({region})" if region and region not in bone else bone


def question_and_answer(journey: Journey, assessed: LesionAssessment) -> tuple[str, str]:
    """Return the question of treatment and its answer, one sentence each."""
    facts = facts_of(assessed, journey.case.facts)
    goal = facts.get("goal")
    wanted = goal.value if goal is not None and isinstance(goal.value, str) else None
    size = facts.get("size_max_mm")
    big = f" of {words.state(size.state, size.unit)}" if size is not None and isinstance(size.state, (Known, Interval)) else ""
    aim = (
        f"with the goal of {words.GOALS.get(wanted, wanted.replace('_', ' '))}"
        if wanted
        else "for a goal that the chart does not give"
    )
    lesion = next((x for x in journey.case.lesions if x.id == assessed.lesion_id), None)
    place = place_in_words(lesion, assessed)
    asked = (
        f"Can the lesion{big} in the {place} be treated {aim}, and how?"
        if lesion and lesion.bone
        else f"Can the lesion{big} be treated {aim}, and how?"
    )
    groups: dict[str, list[str]] = {}
    for verdict in journey.verdicts.verdicts:
        if verdict.lesion_id == assessed.lesion_id and verdict.policy == journey.verdicts.policy:
            groups.setdefault(verdict.status, []).append(treatment_words(verdict.treatment))
    parts = [f"{words.sentence(STATUS_WORDS[s])}: {_named(groups[s], s)}." for s in STATUS_ORDER if s in groups]
    unknown = [words.structure_name(r.structure) for r in assessed.required if not r.known]
    asks = [label(q.fact) for q in journey.verdicts.questions if q.lesion_id in (assessed.lesion_id, "")][:3]
    answer = " ".join(parts) or "No treatment was judged."
    beyond = outside(v for v in journey.verdicts.verdicts if v.lesion_id == assessed.lesion_id)
    if beyond:
        return asked, f"{beyond} {answer} What was measured stands below."
    agree = facts.get("laterality_agrees")
    if agree is not None and agree.value is False:
        answer = f"The sides contradict each other: nothing local is done before the side is confirmed. {answer}"
    if asks:
        answer += f" First to be known: {words.joined(asks)}."
    if unknown and journey.case.studies:
        answer += f" Cannot be judged until outlined: {words.joined(unknown)}."
    return asked, answer


def _named(titles: list[str], status: str) -> str:
    """Return some treatments by their short names; many, or what is not open, by number."""
    short = [re.split(r"[:(]", title)[0].strip() for title in titles]
    if len(titles) > 2 and not status.startswith("candidate"):
        return f"{len(titles)} treatments"
    more = f" and {len(titles) - MOST_NAMED} more" if len(titles) > MOST_NAMED else ""
    return "; ".join(short[:MOST_NAMED]) + more


def score_total(score: ScoreResult) -> str:
    """Return a score's total in words."""
    return words.state(score.state, "1")


def points(low: int, high: int) -> str:
    """Return the points of one item, open or not."""
    return str(low) if low == high else f"{low} to {high} (open)"


def read_from(item: ScoreItem, facts: Mapping[str, Fact]) -> str:
    """Return where an item of a score was read: the origins of the known facts behind it; else why it cannot be told."""
    there = [facts[n] for n in item.facts if n in facts]
    told = [where for fact in there if not isinstance(fact.state, Unknown) and (where := words.origin(fact))]
    open_ones = [fact.state.why for fact in there if isinstance(fact.state, Unknown) and fact.state != Unknown()]
    return "; ".join(dict.fromkeys(told or open_ones)) or ("not given" if item.facts else "")


def required_row(required: RequiredStructure) -> Row:
    """Return one structure that must be judged; what is not known reads "cannot tell", never "ok"."""
    name = words.structure_name(required.structure)
    if required.status == "absent":
        return Row(name, "stated absent", required.text, "quiet")
    if required.known and required.distance_mm is not None:
        return Row(name, words.number(required.distance_mm, "mm"), required.text, "plain")
    if required.known:
        return Row(name, "distance not measured", required.text, "open")
    state = words.STRUCTURE_STATUS[required.status]
    said = required.text if "cannot tell" in required.text else f"cannot tell: outline the {name}"
    return Row(name, state, said, "open")


def contradictions(journey: Journey) -> list[Row]:
    """Return what origins contradict each other about: whose, what they say, and where each stands."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for lesion in journey.assessment.lesions:
        for fact in facts_of(lesion, journey.case.facts).values():
            if isinstance(fact.state, OneOf) and fact.state.conflict:
                said = words.state(fact.state, fact.unit).partition(" (")[0]
                found.setdefault((words.sentence(label(fact.name)), said, words.origin(fact)), []).append(lesion.lesion_id)
    every = len(journey.assessment.lesions)
    return [Row(name, said, where, "" if len(ids) == every else _where(ids)) for (name, said, where), ids in found.items()]


def fact_rows(facts: Mapping[str, Fact]) -> list[Row]:
    """Return the facts of a lesion in the order of the vocabulary, with where each was read; unknown ones last."""
    order = {name: i for i, name in enumerate(vocabulary())}
    listed = sorted(facts.values(), key=lambda f: (order.get(f.name, len(order)), f.name))
    known = [f for f in listed if type(f.state).__name__ not in ("Unknown", "NotApplicable")]
    return [
        Row(words.sentence(label(f.name)), words.state(f.state, f.unit), words.origin(f), "care" if _assumed(f) else "")
        for f in known
    ]


DOSES = ("dose_max_gy", "dose_d0_03ml_gy", "dose_d0_1ml_gy", "dose_d2ml_gy", "dose_mean_gy", "dose_min_gy")
"""Columns of the table of earlier doses."""


def dose_rows(case: Case, facts: Mapping[str, Fact]) -> list[tuple[str, list[str], str]]:
    """Return what an earlier irradiation gave to the lesion and to each outlined structure: name, columns, or why none."""
    if not case.organ_doses and not any(isinstance(facts[n].state, (Known, Interval)) for n in DOSES if n in facts):
        return []
    listed = [("this lesion", facts), *((key.name, case.organ_doses[key]) for key in sorted(case.organ_doses))]
    rows: list[tuple[str, list[str], str]] = []
    for name, told in listed:
        states = [told[n].state for n in DOSES if n in told]
        whys = {s.why for s in states if isinstance(s, Unknown)}
        if len(whys) == 1 and all(isinstance(s, Unknown) for s in states):
            rows.append((name, [], whys.pop()))
        else:
            rows.append((name, ["-" if isinstance(s, NotApplicable) else words.state(s, "Gy") for s in states], ""))
    return rows


def unknown_facts(facts: Mapping[str, Fact]) -> list[str]:
    """Return the names of facts that are not known, in words."""
    return [label(f.name) for f in facts.values() if type(f.state).__name__ == "Unknown"]


def _assumed(fact: Fact) -> bool:
    return any(o.kind in ("assumed", "synthetic") for o in fact.origins)


def assumed_facts(facts: Mapping[str, Fact]) -> list[Row]:
    """Return the facts that were assumed or are synthetic; ``tone`` "quiet": what nobody said is planned or refused."""
    return [
        Row(words.sentence(label(f.name)), words.state(f.state, f.unit), words.origin(f), "quiet" if _unsaid(f) else "care")
        for f in facts.values()
        if _assumed(f)
    ]


def _unsaid(fact: Fact) -> bool:
    return fact.name == "refused" or (fact.name.endswith("_planned") and fact.value is False)


def holdings(case: Case) -> list[Row]:
    """Return what images the case has and what they allow; nothing where it has CT alone, which allows everything."""
    if case.studies and not case.declared and all(s.modality == "CT" for s in case.studies):
        return []
    rows = []
    for held in at_hand(case):
        names = [*held.ids, *(f"{d}, not at hand" for d in held.declared)]
        rows.append(
            Row(
                words.sentence(held.title),
                words.joined(names),
                f"{words.sentence(held.allows)}. {words.sentence(held.lacks)}."
                if held.lacks
                else f"{words.sentence(held.allows)}.",
            )
        )
    return rows


@dataclass(frozen=True)
class StepRow:
    """One step that could tell what is missing, in words."""

    title: str
    burden: str
    tells: str
    does: str
    first: bool


def steps_of(journey: Journey, lesion_id: str) -> list[StepRow]:
    """Return the steps that could tell what is missing of a lesion, the least burden first."""
    steps = next_steps(journey.assessment, journey.verdicts, lesion_id)
    first = cheapest(steps)
    return [
        StepRow(s.title, s.burden, words.joined([label(f) for f in s.facts]) or "nothing by itself", step_does(s), s is first)
        for s in steps
    ]


STEP_NAMES = 4
"""Treatments that a step names before it counts."""


def step_does(step: NextStep) -> str:
    """Return what a step could do for which treatments."""

    def titles(names: tuple[str, ...]) -> str:
        said = [treatment_words(n) for n in names[:STEP_NAMES]]
        return words.joined(said if len(names) <= STEP_NAMES else [*said, f"{len(names) - STEP_NAMES} more"])

    told = []
    if step.opens:
        told.append(f"could tell all that is missing for {titles(step.opens)}")
    elif step.opens_after:
        told.append(f"with the steps above, could tell all that is missing for {titles(step.opens_after)}")
    if step.excludes:
        told.append(f"could exclude {titles(step.excludes)}")
    if step.plan:
        told.append("makes a simulated plan possible")
    return words.sentence("; ".join(told)) + "." if told else "One fact of several that are missing."


def questions_of(journey: Journey, lesion_id: str) -> list[dict[str, Any]]:
    """Return the questions of a lesion and those of the patient, the one that changes most answers first."""
    return [
        {
            "ask": q.ask,
            "fact": label(q.fact),
            "changes": q.changes,
            "treatments": words.joined([treatment_words(t) for t in q.treatments]),
        }
        for q in journey.verdicts.questions
        if q.lesion_id in (lesion_id, "")
    ]


@dataclass(frozen=True)
class SharedRows:
    """What several lesions of one patient share, in words."""

    facts: tuple[Row, ...]
    notes: tuple[str, ...]


def shared_of(journey: Journey) -> SharedRows | None:
    """Return what the lesions of a patient share; None where there are fewer than two."""
    found = shared(journey.assessment, journey.verdicts)
    if found is None:
        return None
    rows = tuple(
        Row(words.sentence(label(b.fact.name)), words.state(b.fact.state, b.fact.unit), f"{words.joined(list(b.lesions))}", "")
        for b in found.bound
    )
    notes = []
    if found.painful:
        notes.append(f"The pain on examination comes from {words.joined(list(found.painful))}.")
    if found.unclear:
        notes.append(f"Cannot tell whether these are painful: {words.joined(list(found.unclear))}. Examine and note it.")
    for name, ids in found.sessions:
        notes.append(f"{treatment_title(name)} is open at {words.joined(list(ids))}: one session may do.")
    if found.irradiated:
        fields = words.joined(list(found.irradiated))
        notes.append(f"Irradiated before: {fields}. Earlier and new doses add up in every organ that two fields share.")
    notes.append("Blood, anaesthesia, opioids and systemic treatment are one patient's: what one lesion costs counts for all.")
    return SharedRows(rows, tuple(notes))
