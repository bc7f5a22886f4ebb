"""What the commands print on a terminal: the same answers as the page, in lines."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from osteon.facts import Fact, NotApplicable, Unknown
from osteon.pathway import Journey
from osteon.planning.plan import Plan
from osteon.report import words
from osteon.report.content import alarms, holdings, step_does
from osteon.report.strength_section import brief
from osteon.report.ultrasound_section import lines as sound_lines
from osteon.selection.explain import STATUS_ORDER, label, one_line, outside, status_words
from osteon.selection.next_steps import cheapest, next_steps
from osteon.selection.verdicts import Verdict

RESEARCH = "Research use only, not a medical device."

FEW = 12
LONG = 400  # characters of one reason


def _head(journey: Journey, console: Console) -> None:
    console.print(f"[bold]{journey.case.patient}[/]  {RESEARCH}", highlight=False)
    for stamp in journey.case.stamps:
        console.print(f"  ! {stamp}", highlight=False, markup=False)
    for lesion in journey.assessment.lesions:
        beyond = outside(v for v in journey.verdicts.verdicts if v.lesion_id == lesion.lesion_id)
        if beyond:
            console.print(f"  ! {lesion.lesion_id}: {beyond}", highlight=False, markup=False)
    for question in journey.case.questions:
        console.print(f"  ? {question.text}", highlight=False, markup=False)
    for row in holdings(journey.case):
        console.print(f"  has {row.label}{f' ({row.value})' if row.value else ''}: {row.note}", highlight=False, markup=False)


def _facts(facts: Iterable[Fact]) -> Table:
    table = Table("fact", "value", "read from", box=None, pad_edge=False)
    listed = list(facts)
    for fact in (f for f in listed if not (isinstance(f.state, Unknown) and f.state.why == "not given")):
        origin = "; ".join(f"{o.kind}: {o.where}" for o in fact.origins) or "-"
        table.add_row(label(fact.name), words.state(fact.state, fact.unit), origin)
    missing = [label(f.name) for f in listed if f.state == Unknown()]
    if missing:
        shown = missing if len(missing) <= FEW else [*missing[:FEW], f"and {len(missing) - FEW} more"]
        table.add_row("not given", ", ".join(shown), "")
    return table


def print_assessment(journey: Journey) -> None:
    """Print what was measured, scored and what must be judged, lesion by lesion."""
    console = Console()
    _head(journey, console)
    for lesion in journey.assessment.lesions:
        console.print(f"\n[bold]Lesion {lesion.lesion_id}[/] ({lesion.region})")
        console.print(_facts(lesion.facts.values()))
        for score in lesion.scores:
            if not isinstance(score.state, NotApplicable):
                console.print(f"{score.name}: {words.state(score.state)}. {score.action}", markup=False)
        apart = [score.name for score in lesion.scores if isinstance(score.state, NotApplicable)]
        if apart:
            console.print(f"Not applicable here: {', '.join(apart)}.", markup=False)
        for need in lesion.required:
            console.print(f"  must be judged: {need.structure}: {need.status}. {need.text}", markup=False)
        for warning in lesion.warnings:
            console.print(f"  ! {warning}", markup=False)


def _verdict_lines(verdict: Verdict) -> Iterable[str]:
    held = "; on hold, a red flag is up" if verdict.on_hold else ""
    yield f"{verdict.treatment} ({verdict.policy} policy): {status_words(verdict.status)}{held}"
    for reason in verdict.reasons:
        tells = reason.truth in ("true", "unknown") if reason.kind != "requirement" else reason.truth != "true"
        if tells and reason.kind != "support":
            quotes = " ".join(reason.quotes)
            yield f"    {reason.kind}, {reason.truth.replace('_', ' ')}: {reason.text} {quotes}"
    for number, group in enumerate(verdict.missing[:5], 1):
        yield f"    would be decided by ({number}): {', '.join(group)}"


def _print_flags(journey: Journey, console: Console) -> None:
    """Print what comes before every treatment, then what could, and is not known."""
    for alarm in alarms(journey):
        console.print(f"[bold]ACT NOW[/] {alarm.where}: ", end="", highlight=False)
        console.print(f"{alarm.text} {alarm.call}", markup=False, highlight=False)
    for alarm in (a for a in alarms(journey, "unknown") if a.urgent):
        console.print(f"[bold]ASK NOW[/] {alarm.where}: ", end="", highlight=False)
        console.print(f"{alarm.text} If so: {alarm.call}", markup=False, highlight=False)


def _brief(journey: Journey, lesion_id: str, console: Console) -> None:
    """Print one line for each treatment of a lesion, grouped by status, under the policy asked for."""
    table = Table("status", "treatment", "decisive reason", box=None, pad_edge=False)
    listed = [v for v in journey.verdicts.verdicts if (v.lesion_id, v.policy) == (lesion_id, journey.verdicts.policy)]
    for status in STATUS_ORDER:
        for verdict in (v for v in listed if v.status == status):
            held = " (on hold)" if verdict.on_hold else ""
            table.add_row(Text(status_words(status) + held), Text(verdict.treatment), Text(one_line(verdict)))
    console.print(table)


def _print_steps(journey: Journey, lesion_id: str, console: Console) -> None:
    """Print what to do next, the least burden first."""
    steps = next_steps(journey.assessment, journey.verdicts, lesion_id)
    if not steps:
        return
    first = cheapest(steps)
    table = Table("what to do next", "burden", "could tell", "what that could do", box=None, pad_edge=False)
    for step in steps:
        title = f"{step.title} (next)" if step is first else step.title
        table.add_row(title, step.burden, words.joined([label(f) for f in step.facts]), step_does(step))
    console.print(table)


def print_verdicts(journey: Journey, every_reason: bool = False) -> None:
    """Print red flags, each treatment's status with its decisive reason, and the questions that matter most.

    Parameters
    ----------
    journey : Journey
        What the path gave.
    every_reason : bool
        True: every reason of every row, under every policy.
    """
    console = Console()
    _head(journey, console)
    _print_flags(journey, console)
    for lesion in journey.assessment.lesions:
        console.print(f"\n[bold]Lesion {lesion.lesion_id}[/]")
        if every_reason:
            for verdict in (v for v in journey.verdicts.verdicts if v.lesion_id == lesion.lesion_id):
                for line in _verdict_lines(verdict):
                    console.print(f"  {line}", markup=False, highlight=False)
        else:
            _brief(journey, lesion.lesion_id, console)
        _print_steps(journey, lesion.lesion_id, console)
    if journey.verdicts.questions:
        console.print("\n[bold]Ask first[/]")
        for question in journey.verdicts.questions[:8]:
            console.print(f"  {question.ask} (could change {question.changes})", markup=False, highlight=False)
    if not every_reason:
        console.print("\nReasons: --reasons, or `osteon why CASE TREATMENT`.", highlight=False)


def _plan_lines(plan: Plan) -> Iterable[str]:
    head = f"{plan.treatment}, lesion {plan.lesion_id}, goal {plan.goal}: {plan.standing}"
    yield f"{head} ({plan.condition})" if plan.condition else head
    yield from (f"    {said}" for said in _own_lines(plan))
    why = plan.ended.why
    if len(why) > LONG:
        why = f"{why[:LONG].rpartition(';')[0] or why[:LONG]}; and more, see the page"
    yield f"    ended: {plan.ended.how}. {why}"
    for name, band in plan.measures.items():
        yield f"    {name}: {band}"
    yield from dict.fromkeys(f"    {f.level}: {f.text}" for f in plan.findings if f.level != "ok")


def _own_lines(plan: Plan) -> list[str]:
    """Return what only plans of its treatment tell, and that it is no offer where it is a study."""
    told = sound_lines(plan)
    return told or ([f"study, not offered: {plan.study}"] if plan.study else [])


def print_plans(journey: Journey) -> None:
    """Print each plan with what it does and where it does not hold."""
    console = Console()
    _head(journey, console)
    if not journey.plans:
        console.print("No plan: no treatment is open. See `osteon select`; --anyway plans in spite of it.", markup=False)
    for each in journey.plans:
        for line in _plan_lines(each):
            console.print(line, markup=False, highlight=False)


def print_summary(journey: Journey) -> None:
    """Print the few lines that stand on top of the page."""
    console = Console()
    _head(journey, console)
    _print_flags(journey, console)
    for lesion in journey.assessment.lesions:
        listed = [v for v in journey.verdicts.verdicts if (v.lesion_id, v.policy) == (lesion.lesion_id, journey.verdicts.policy)]
        for status in (s for s in STATUS_ORDER if any(v.status == s for v in listed)):
            named = ", ".join(f"{v.treatment}{' (on hold)' if v.on_hold else ''}" for v in listed if v.status == status)
            console.print(f"{lesion.lesion_id} {status_words(status)}: {named}", markup=False, highlight=False)
    for lesion_id, strengths in journey.strengths.items():
        for found in strengths:
            console.print(f"{lesion_id} {brief(found)}", markup=False, highlight=False)
    for each in journey.plans:
        coverage = each.measures.get("coverage")
        share = "" if coverage is None else f", {100 * coverage.best:.0f} % of the target covered"
        study = " (study, not offered)" if each.study else ""
        console.print(f"{each.lesion_id} {each.treatment} plan{study}: {each.standing}{share}", markup=False, highlight=False)
        for line in _own_lines(each):
            console.print(f"    {line}", markup=False, highlight=False)
        for line in dict.fromkeys(f"{f.level}: {f.text}" for f in each.findings if f.level in ("breach", "unknown")):
            console.print(f"    {line}", markup=False, highlight=False)
