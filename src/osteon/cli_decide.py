"""The command that records what a board decided, lists it, and judges it again by the rules of its time."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from osteon.errors import InputError

if TYPE_CHECKING:
    from osteon.case.decisions import Decision
    from osteon.pathway import Journey
    from osteon.selection.deciding import Again

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
SCHEMA = "osteon-decisions/1"
NONE = "none"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(decide)


def decide(
    case: Annotated[Path, typer.Argument(metavar="CASE", help="Folder with case.yaml, or the file itself.")],
    lesion: Annotated[str, typer.Argument(help="Id of the lesion, for example L1.")] = "",
    option: Annotated[str, typer.Option(help="Treatment chosen; several with commas; or none.")] = "",
    present: Annotated[str, typer.Option(help="Specialties at the table, with commas.")] = "",
    wish: Annotated[str, typer.Option(help="The patient's wish.")] = "",
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    on: Annotated[str, typer.Option("--date", help="Day of the decision, YYYY-MM-DD; default: today.")] = "",
    policy: Annotated[str, typer.Option(help="strict or mitigated.")] = "strict",
    undo: Annotated[bool, typer.Option("--undo", help="Withdraw the decision that stands; it stays on record.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the decisions.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Judge them again by the rules of their time; exit code 1 if not alike.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Record what the board decided for a lesion: option, who was there, wish, reason, rules departed from. No status changes."""
    from osteon.cli import _folder

    folder = _folder(case)
    if list_ or check:
        _check(folder, as_json) if check else _list(folder, as_json)
        return
    if not lesion:
        raise InputError(
            "No lesion was named.",
            "A decision is made for one lesion.",
            "Name it: osteon decide CASE L1 --option ..., or use --list.",
        )
    today = date.today()
    made = _withdrawn(folder, lesion, reason, _date(on, today), today) if undo else None
    if made is None:
        options, there = _options(option), tuple(p.strip() for p in present.split(",") if p.strip())
        made = _record(folder, lesion, options, there, wish, reason, _date(on, today), today, policy)
    if as_json:
        print(json.dumps(_tree(made), ensure_ascii=False, indent=2))
        return
    print("\n".join(_lines([made], [made])))


def _date(given: str, today: date) -> date:
    if not given:
        return today
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise InputError(
            f"The date {given!r} is none.", "When it was decided tells which decision stands.", "Give it as --date=YYYY-MM-DD."
        ) from None


def _options(given: str) -> tuple[str, ...]:
    from osteon.treatments.names import rows_named

    names = [name.strip() for name in given.split(",") if name.strip()]
    if not names:
        raise InputError(
            "No option was named.",
            "A decision says what was chosen, also where nothing was.",
            "Give --option NAME, or --option none.",
        )
    if NONE in names:
        if len(names) > 1:
            raise InputError(
                f"The options {given!r} are none and something.", "It cannot be both.", "Give either none or treatments."
            )
        return ()
    found: list[str] = []
    for name in names:
        rows = rows_named(name)
        if len(rows) > 1:
            raise InputError(
                f"{name!r} means several treatments.",
                "Each has rules of its own; what was departed from depends on which was chosen.",
                f"Choose among: {', '.join(rows)}.",
            )
        found += [row for row in rows if row not in found]
    return tuple(found)


def _record(
    folder: Path,
    lesion: str,
    options: tuple[str, ...],
    present: tuple[str, ...],
    wish: str,
    reason: str,
    on: date,
    today: date,
    policy: str,
) -> Decision:
    from osteon.case import decisions
    from osteon.selection.deciding import check_present, departures
    from osteon.selection.judging import POLICIES
    from osteon.selection.snapshot import installed, keep

    check_present(present)
    if policy not in POLICIES:
        raise InputError(
            f"There is no policy {policy!r}.", "What is departed from depends on it.", f"Use one of: {', '.join(POLICIES)}."
        )
    entry = decisions.Decision(0, lesion, on, reason, options, present, wish, policy=policy)
    decisions.check(folder, entry, today)
    result = _judged(folder, policy)
    ids = [each.lesion_id for each in result.assessment.lesions]
    if lesion not in ids:
        raise InputError(
            f"The case holds no lesion {lesion!r}.", "A decision for no lesion would be lost.", f"Use one of: {', '.join(ids)}."
        )
    verdicts = [result.verdicts.of(lesion, name, policy) for name in options]
    whole = decisions.Decision(
        number=0,
        lesion=lesion,
        date=on,
        reason=reason,
        options=options,
        present=present,
        wish=wish,
        departs=tuple(d for verdict in verdicts for d in departures(verdict)),
        status={v.treatment: v.status for v in verdicts} or None,
        policy=policy,
        site={name: choice for name, choice, _ in result.verdicts.site},
        rules=installed().digest,
        snapshot=keep(folder),
        case=_case_digest(result),
    )
    return decisions.append(folder, whole, today)


def _withdrawn(folder: Path, lesion: str, reason: str, on: date, today: date) -> Decision:
    from osteon.case import decisions

    stands = decisions.standing(decisions.read(folder)).get(lesion)
    if stands is None:
        raise InputError(f"No decision stands for {lesion}.", "There is nothing to withdraw.", "See `osteon decide CASE --list`.")
    return decisions.append(folder, decisions.Decision(0, lesion, on, reason, withdraws=stands.number), today)


def _judged(folder: Path, policy: str) -> Journey:
    from osteon.cli import _travel
    from osteon.planning.plan import PlanRequest

    return _travel(folder, PlanRequest(policy=policy), quiet=True, with_plans=False)


def _case_digest(result: Journey) -> str:
    import hashlib

    from osteon.cache import canonical_json

    return hashlib.sha256(canonical_json(dict(result.case.digests)).encode()).hexdigest()


def _shown(folder: Path) -> tuple[Decision, ...]:
    from osteon.case.decisions import read, washed
    from osteon.io.identity import identity_of

    return washed(read(folder), identity_of([folder]))


def _list(folder: Path, as_json: bool) -> None:
    from osteon.case.decisions import standing

    found = _shown(folder)
    stands = standing(found)
    if as_json:
        numbers = sorted(d.number for d in stands.values())
        tree = {"schema": SCHEMA, "standing": numbers, "decisions": [_tree(d) for d in found]}
        print(json.dumps(tree, ensure_ascii=False, indent=2))
        return
    print("\n".join(_lines(found, stands.values())) if found else "No decision is on record.")


def _check(folder: Path, as_json: bool) -> None:
    from osteon.selection.deciding import judge_again

    found = [d for d in _shown(folder) if d.options and not d.withdraws]
    result = _judged(folder, "strict") if found else None
    digest = _case_digest(result) if result else ""
    again = [judge_again(folder, d, result.assessment, digest) for d in found] if result else []
    if as_json:
        print(json.dumps({"schema": SCHEMA, "checked": [_again(a) for a in again]}, ensure_ascii=False, indent=2))
    else:
        for each in again:
            print("\n".join(_again_lines(each)))
        print(f"{sum(a.same for a in again)} of {len(again)} decisions come out again as recorded.")
    raise typer.Exit(0 if all(a.same for a in again) else 1)


def _again(again: Again) -> dict[str, Any]:
    return {
        "number": again.decision.number,
        "lesion": again.decision.lesion,
        "recorded": again.decision.status,
        "again": again.status,
        "same": again.same,
        "why": again.why,
        "rules_changed": again.rules_changed,
        "case_changed": again.case_changed,
    }


def _again_lines(again: Again) -> Iterable[str]:
    told = "comes out again" if again.same else "does not come out again" if again.status is not None else again.why
    yield f"{again.decision.number}  {again.decision.date}  {again.decision.lesion}: {told}"
    for name, status in (again.status or {}).items():
        was = (again.decision.status or {}).get(name, "not recorded")
        yield f"   {name}: {status}" + ("" if status == was else f", recorded was {was}")
    yield f"   the case's files are {'others than' if again.case_changed else 'the same as'} then"
    yield f"   the installed rules are {'others than' if again.rules_changed else 'the same as'} then"
    if again.why and again.status is not None:
        yield f"   {again.why}"


def _tree(decision: Decision) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(decision), "date": decision.date.isoformat()}


def _lines(found: Iterable[Decision], stands: Iterable[Decision]) -> Iterable[str]:
    standing = {d.number for d in stands}
    for d in found:
        if d.withdraws:
            yield f"{d.number}  {d.date}  {d.lesion}: decision {d.withdraws} is withdrawn. {d.reason}"
            continue
        chosen = (
            ", ".join(f"{name} ({(d.status or {}).get(name, 'status not recorded')})" for name in d.options) or "no treatment"
        )
        yield f"{d.number}  {d.date}  {d.lesion}: {chosen}{'' if d.number in standing else '  [no longer stands]'}"
        yield f"   present: {', '.join(d.present).replace('_', ' ') or 'not recorded'}"
        yield f"   the patient's wish: {d.wish or 'not recorded'}"
        yield f"   reason: {d.reason}"
        for each in d.departs:
            yield f"   departs from {each.treatment} {each.rule} ({each.kind}): {each.text}"
        yield f"   rules {d.rules[:12]}, policy {d.policy}"
