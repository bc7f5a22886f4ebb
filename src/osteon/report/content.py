"""What stands on the page about patient, lesions and treatments: shapes turned into plain rows. No number is computed here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from osteon.assessment.results import LesionAssessment, RequiredStructure, ScoreItem, ScoreResult
from osteon.case.model import Case, Lesion
from osteon.errors import OsteonError
from osteon.facts import Fact, Interval, Known, NotApplicable, Unknown, vocabulary
from osteon.report import words
from osteon.selection.explain import POLICY_WORDS, STATUS_ORDER, STATUS_WORDS, label, outside
from osteon.selection.next_steps import NextStep, at_hand, cheapest, next_steps
from osteon.selection.verdicts import Reason, Verdict

if TYPE_CHECKING:
    from osteon.pathway import Journey

# Red flags: a fact and the value that raises it, what it means, and whom to call.
ACT_NOW: tuple[tuple[str, object, str, str], ...] = (
    (
        "sensation_intact",
        False,
        "Sensation or strength below the lesion is not intact: nerve or cord compression until shown otherwise",
        "Call the spine surgeon and the radiation oncologist on call now.",
    ),
    (
        "fracture",
        "present",
        "There is a fracture at the lesion",
        "Call the orthopaedic or spine surgeon before any other treatment.",
    ),
    (
        "fracture",
        "impending",
        "A fracture is impending",
        "Call the orthopaedic or spine surgeon today; ask whether the patient may load the bone.",
    ),
    (
        "systemic_infection",
        True,
        "There is an uncontrolled systemic infection",
        "Call the physician on call: the infection is treated first.",
    ),
    (
        "local_infection",
        True,
        "There is an infection at the lesion",
        "Call the orthopaedic surgeon and the infectious-disease physician on call.",
    ),
)
KEY_FACTS = (
    "pain_vas", "size_max_mm", "volume_ml", "lesion_type", "mean_hu", "cortex_contact", "cortex_loss_mm2", "axial_cortical_mm",
    "circumferential_cortical_fraction", "depth_from_skin_mm", "fracture", "soft_tissue_component",
)  # fmt: skip
NOT_ASKED = "Serum calcium raises no alarm in this version; check for hypercalcaemia separately."


@dataclass(frozen=True)
class Row:
    """A label and its value, with what stands beside it."""

    label: str
    value: str
    note: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Alarm:
    """One red flag."""

    where: str
    text: str
    call: str
    origin: str


@dataclass(frozen=True)
class Group:
    """Some reasons under one heading."""

    heading: str
    tone: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class TreatmentRow:
    """One treatment for one lesion under the policy asked for, with its status under the others."""

    title: str
    status: str
    tone: str
    others: tuple[Row, ...]
    groups: tuple[Group, ...]
    quiet: int
    missing: tuple[str, ...]
    verdict: Verdict


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


def facts_of(lesion: LesionAssessment, patient: Mapping[str, Fact]) -> dict[str, Fact]:
    """Return the facts of a lesion over those of the patient."""
    return {**patient, **lesion.facts}


def alarms(journey: Journey) -> list[Alarm]:
    """Return the red flags of the case; an unknown fact raises none, it stands among the questions."""
    found: list[Alarm] = []
    for lesion in journey.assessment.lesions:
        facts = facts_of(lesion, journey.case.facts)
        for name, value, said, call in ACT_NOW:
            fact = facts.get(name)
            if fact is not None and fact.state == Known(value):  # type: ignore[arg-type]
                scope = vocabulary()[name].scope if name in vocabulary() else "lesion"
                where = "Patient" if scope == "patient" else f"Lesion {lesion.lesion_id}"
                found.append(Alarm(where, said, call, words.origin(fact)))
    return list(dict.fromkeys(found))


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
            groups.setdefault(verdict.status, []).append(treatment_title(verdict.treatment).lower())
    parts = [f"{words.joined(groups[s])}: {STATUS_WORDS[s]}" for s in STATUS_ORDER if s in groups]
    unknown = [words.structure_name(r.structure) for r in assessed.required if not r.known]
    asks = [label(q.fact) for q in journey.verdicts.questions if q.lesion_id in (assessed.lesion_id, "")][:3]
    answer = (words.sentence("; ".join(parts)) if parts else "No treatment was judged") + "."
    beyond = outside(v for v in journey.verdicts.verdicts if v.lesion_id == assessed.lesion_id)
    if beyond:
        return asked, f"{beyond} {answer} What was measured stands below."
    if asks:
        answer += f" First to be known: {words.joined(asks)}."
    if unknown:
        answer += f" Cannot be judged until outlined: {words.joined(unknown)}."
    return asked, answer


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
    """Return the facts that were assumed or are synthetic."""
    return [
        Row(words.sentence(label(f.name)), words.state(f.state, f.unit), words.origin(f)) for f in facts.values() if _assumed(f)
    ]


def groups_of(verdict: Verdict) -> tuple[Group, ...]:
    """Return the reasons that bear on a verdict, the decisive first."""

    def pick(*wanted: tuple[str, str]) -> tuple[Reason, ...]:
        return tuple(r for r in verdict.reasons if (r.kind, r.truth) in wanted)

    found = (
        Group("Excluded because", "stop", pick(("exclusion", "true"))),
        Group("Not met", "stop", pick(("requirement", "false"))),
        Group("Cannot tell", "open", pick(("exclusion", "unknown"), ("requirement", "unknown"))),
        Group("Caution", "care", pick(("caution", "true"))),
        Group("To check", "open", pick(("caution", "unknown"))),
        Group("Speaks for it", "good", pick(("support", "true"))),
    )
    if verdict.status == "outside_scope":  # what else would be asked of a metastasis is not asked here
        return found[:1]
    return tuple(g for g in found if g.reasons)


def treatment_rows(journey: Journey, lesion_id: str) -> list[tuple[str, str, list[TreatmentRow]]]:
    """Return every treatment of a lesion, grouped by status under the policy asked for: (words, tone, rows)."""
    main = journey.verdicts.policy
    listed = [v for v in journey.verdicts.verdicts if v.lesion_id == lesion_id]
    rows: dict[str, list[TreatmentRow]] = {}
    for verdict in (v for v in listed if v.policy == main):
        others = tuple(
            Row(v.policy, STATUS_WORDS[v.status], "", words.STATUS_TONE[v.status])
            for v in listed
            if v.treatment == verdict.treatment and v.policy != main
        )
        groups = groups_of(verdict)
        quiet = len(verdict.reasons) - sum(len(g.reasons) for g in groups)
        missing = tuple(words.joined([label(f) for f in facts]) for facts in verdict.missing)
        rows.setdefault(verdict.status, []).append(
            TreatmentRow(
                treatment_title(verdict.treatment),
                STATUS_WORDS[verdict.status],
                words.STATUS_TONE[verdict.status],
                others,
                groups,
                quiet,
                missing,
                verdict,
            )
        )
    return [(STATUS_WORDS[s], words.STATUS_TONE[s], rows[s]) for s in STATUS_ORDER if s in rows]


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


def step_does(step: NextStep) -> str:
    """Return what a step could do for which treatments."""

    def titles(names: tuple[str, ...]) -> str:
        return words.joined([treatment_title(n).lower() for n in names])

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
            "treatments": words.joined([treatment_title(t).lower() for t in q.treatments]),
        }
        for q in journey.verdicts.questions
        if q.lesion_id in (lesion_id, "")
    ]
