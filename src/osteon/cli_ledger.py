"""The command that prints dose accounts: what was delivered in all, what is missing, never a dose for the patient."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from osteon.ledgers.rows import Account

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
SCHEMA = "osteon-ledger/1"
HEAD = "Totals for bookkeeping. Research use only, not a medical device; no figure here is a dose for this patient."
NONE = (
    "The timeline holds no radiotherapy, radionuclide, bone-targeted agent or opioid. See docs/ledgers.md for how to enter them."
)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(ledger)


def ledger(
    case: Annotated[Path, typer.Argument(metavar="CASE", help="Folder with case.yaml, or the file itself.")],
    recovery: Annotated[
        str | None, typer.Option(help="Cited policy of recovery between irradiations; default: none credited.")
    ] = None,
    schedules: Annotated[bool, typer.Option("--schedules", help="Add BED and EQD2 of the papers' schedules.")] = False,
    as_json: AsJson = False,
) -> None:
    """Add up what the timeline holds: radiotherapy (BED, EQD2), radionuclides, bone-targeted agents, opioids. Totals only."""
    from osteon.case.load import load_case
    from osteon.case.private import without_identity
    from osteon.cli import _folder
    from osteon.cli_privacy import say_hidden
    from osteon.ledgers.radiotherapy_ledger import schedule_table
    from osteon.report.ledgers_section import accounts_of

    found, hidden = without_identity(load_case(_folder(case)))
    say_hidden(hidden)
    listed = (*accounts_of(found, recovery), *((schedule_table(),) if schedules else ()))
    if as_json:
        print(json.dumps(_tree(found.patient, listed), ensure_ascii=False, indent=2))
        return
    for line in _lines(found.patient, listed):
        print(line)


def _tree(patient: str, accounts: Iterable[Account]) -> dict[str, Any]:
    from osteon.evidence.source import cite, text
    from osteon.report.journey_json import _plain

    listed = list(accounts)
    papers = [{"id": p.id, "text": text(p)} for p in cite(listed)]
    return {"schema": SCHEMA, "patient": patient, "about": HEAD, "ledgers": [_plain(a) for a in listed], "references": papers}


def _lines(patient: str, accounts: Iterable[Account]) -> Iterable[str]:
    from osteon.report.ledgers_section import TRUTH

    yield f"{patient}  {HEAD}"
    listed = list(accounts)
    if not listed:
        yield NONE
    for account in listed:
        yield f"\n{account.title}"
        for row in account.ledger.rows:
            beside = f"  [{row.limit}]" if row.limit not in ("", "-") else ""
            yield f"  {row.what}: {row.amount}{beside}{f'  ({row.note})' if row.note else ''}"
        for check in account.checks:
            yield f"  {TRUTH[check.truth][0]}: {check.text}. {check.why}"
        yield from (f"  missing: {need}" for need in account.needs)
        yield from (f"  note: {note}" for note in account.notes)
        yield f"  sources: {', '.join(account.sources)}"
