"""The command that answers one question about one treatment: why, why not, what is missing, what would change it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from osteon.pathway import Journey
    from osteon.selection.verdicts import Verdict

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
SCHEMA = "osteon-why/1"
DECISIVE: dict[str, tuple[str, ...]] = {
    "excluded": ("On hold:", "Excluded:"),
    "outside_scope": ("Excluded:",),
    "not_indicated": ("On hold:", "Not met:"),
    "needs": ("On hold:", "To decide:"),
    "candidate_with_cautions": ("On hold:", "Caution:"),
    "candidate_unchecked": ("On hold:", "To check:"),
    "candidate": ("On hold:", "For it:"),
}
"""How the lines begin that answer the question; what else bears on the row is told after them."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(why)


def why(
    case: Annotated[Path, typer.Argument(metavar="CASE", help="Folder with case.yaml, or the file itself.")],
    asked: Annotated[
        list[str], typer.Argument(metavar="[LESION] TREATMENT", help="A lesion's id (default: every one), then a treatment.")
    ],
    policy: Annotated[str, typer.Option(help="Policy of distance: strict or mitigated.")] = "strict",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Tell why, or why not, a treatment; what is missing; what would change it. Short names do: rfa, mwa, fus, pop, sbrt."""
    from osteon.cli import _folder, _travel
    from osteon.errors import InputError
    from osteon.planning.plan import PlanRequest
    from osteon.treatments.names import rows_named

    if len(asked) > 2:
        raise InputError(
            f"{len(asked)} words stand after the case: {' '.join(asked)}.",
            "One question is about one treatment of one lesion, or of all.",
            "Write `osteon why CASE TREATMENT` or `osteon why CASE LESION TREATMENT`; names of two words take an underscore.",
        )
    names = rows_named(asked[-1])
    journey = _travel(_folder(case), PlanRequest(policy=policy), quiet, with_plans=False)
    ids = [lesion.lesion_id for lesion in journey.assessment.lesions]
    if len(asked) == 2 and asked[0] not in ids:
        raise InputError(
            f"There is no lesion {asked[0]!r} in this case.",
            "A reason for another lesion would be told.",
            f"Use one of: {', '.join(ids) or 'none; the case has no lesion'}.",
        )
    chosen = [v for i in ([asked[0]] if len(asked) == 2 else ids) for n in names if (v := _verdict(journey, i, n)) is not None]
    if as_json:
        print(json.dumps(_tree(journey, chosen), ensure_ascii=False, indent=2))
        return
    for line in _lines(journey, chosen):
        print(line)


def _verdict(journey: Journey, lesion_id: str, name: str) -> Verdict | None:
    try:
        return journey.verdicts.of(lesion_id, name)
    except KeyError:
        return None


def _changes(journey: Journey, verdict: Verdict) -> list[str]:
    from osteon.selection.whatif import answers, would_change

    asked = answers(journey.assessment, journey.verdicts, verdict.lesion_id)
    return [c.said for c in would_change(asked[verdict.treatment], journey.verdicts, most=6)]


def _beside(journey: Journey, verdict: Verdict) -> list[str]:
    """Return what bears on a row from its neighbours: by what it is covered, what comes first, what waits."""
    from osteon.report.content import treatment_words
    from osteon.selection.combine import combinations
    from osteon.selection.dominance import covered
    from osteon.selection.whatif import states_at

    lesion, name = verdict.lesion_id, verdict.treatment
    states = states_at(journey.assessment, journey.verdicts, lesion)
    lines = [
        f"Covered by {' or '.join(treatment_words(n) for n in each.by)}: {each.because} {' '.join(each.quotes)}"
        for each in covered(journey.verdicts, lesion, states)
        if each.treatment == name
    ]
    for order in combinations(journey.verdicts, lesion, states):
        if any(name in rows for rows in order.rows.values()):
            doubt = " (cannot tell whether it applies)" if order.truth == "unknown" else ""
            lines.append(f"Order: {order.text}{doubt} {' '.join(order.quotes)}")
    return lines


def _lines(journey: Journey, chosen: Iterable[Verdict]) -> Iterable[str]:
    from osteon.selection.explain import why as reasons

    first = True
    for verdict in chosen:
        if not first:
            yield ""
        first = False
        head, *rest = reasons(verdict)
        yield head
        decisive = [line for line in rest if line.startswith(DECISIVE[verdict.status])]
        yield from (f"  {line}" for line in decisive)
        changes = _changes(journey, verdict)
        yield from (f"  Would be {said}." for said in changes)
        if not changes and verdict.status in ("excluded", "not_indicated"):
            yield "  No single step would change it."
        yield from (f"  {line}" for line in _beside(journey, verdict))
        yield from (f"  {line}" for line in rest if line not in decisive)
    if first:
        yield "This case has no lesion that a treatment was judged for."


def _tree(journey: Journey, chosen: Iterable[Verdict]) -> dict[str, Any]:
    from osteon.report.journey_json import _plain
    from osteon.selection.explain import one_line

    return {
        "schema": SCHEMA,
        "patient": journey.case.patient,
        "answers": [
            {**_plain(v), "line": one_line(v), "would_change": _changes(journey, v), "beside": _beside(journey, v)}
            for v in chosen
        ],
    }
