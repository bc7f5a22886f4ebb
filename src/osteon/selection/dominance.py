"""Options that another open option covers, each with its reason, and the head-to-head evidence there is (``dominance.yaml``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from osteon.data_files import read_data
from osteon.facts import State, vocabulary
from osteon.selection.combine import check_entry, rows_of, sources, statuses
from osteon.selection.kleene import Expression, evaluate
from osteon.selection.parse import parse
from osteon.selection.verdicts import OPEN, Verdicts

KEYS = {"id", "dominated", "by", "when", "because", "comparative", "source", "class", "extract", "conflicts"}
COMPARED = {"between", "text", "source", "class", "conflicts"}
NO_EVIDENCE = "No head-to-head evidence"


@dataclass(frozen=True)
class Covered:
    """An open option that other open options cover: faded with the reason, never hidden.

    Parameters
    ----------
    treatment : str
        The row that is faded.
    by : tuple of str
        Open rows that cover it.
    because : str
        Why, and at what cost.
    comparative : bool
        Whether the source compares them in patients.
    """

    id: str
    treatment: str
    by: tuple[str, ...]
    because: str
    comparative: bool
    quotes: tuple[str, ...]
    source_class: str
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Compared:
    """Head-to-head evidence between open rows of a lesion: which, and what was found."""

    one: tuple[str, ...]
    other: tuple[str, ...]
    text: str
    quotes: tuple[str, ...]
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Entry:
    id: str
    dominated: tuple[str, ...]
    by: tuple[str, ...]
    when: Expression
    because: str
    comparative: bool
    source: tuple[str, ...]
    source_class: str
    conflicts: tuple[str, ...]


def covered(verdicts: Verdicts, lesion_id: str, states: Mapping[str, State]) -> tuple[Covered, ...]:
    """Return the open rows of a lesion that other open rows cover; where it cannot be told, none is.

    Parameters
    ----------
    verdicts : Verdicts
        Under the policy that counts.
    lesion_id : str
        Which lesion.
    states : mapping of str to State
        What is known of patient and lesion.
    """
    status = statuses(verdicts, lesion_id)
    found = []
    for entry in entries_of():
        by = tuple(n for n in entry.by if status.get(n) in OPEN)
        faded = [n for n in entry.dominated if status.get(n) in OPEN]
        if by and faded and evaluate(entry.when, states, vocabulary()) == "true":
            found += [
                Covered(entry.id, n, by, entry.because, entry.comparative, entry.source, entry.source_class, entry.conflicts)
                for n in faded
            ]
    return tuple(found)


def compared(verdicts: Verdicts, lesion_id: str) -> tuple[Compared, ...]:
    """Return the head-to-head evidence between rows of a lesion that are open; empty: there is none."""
    status = statuses(verdicts, lesion_id)
    found = []
    for entry in comparisons():
        one, other = (tuple(n for n in side if status.get(n) in OPEN) for side in (entry.one, entry.other))
        if one and other:
            found.append(Compared(one, other, entry.text, entry.quotes, entry.conflicts))
    return tuple(found)


@cache
def entries_of() -> tuple[_Entry, ...]:
    """Return the entries of ``dominance.yaml``.

    Raises
    ------
    InputError
        If one has an unknown key, row, fact or class of source, or lacks its words or source.
    """
    return tuple(_entry(e) for e in _whole()["entries"])


@cache
def comparisons() -> tuple[Compared, ...]:
    """Return the head-to-head evidence of ``dominance.yaml``.

    Raises
    ------
    InputError
        If an entry has an unknown key or row, or lacks its words or source.
    """
    found = []
    for entry in _whole()["compared"]:
        check_entry(entry, COMPARED, ("between", "text", "source"), "dominance.yaml")
        one, other = (rows_of(side, "dominance.yaml: compared") for side in entry["between"])
        found.append(Compared(one, other, " ".join(entry["text"].split()), sources(entry), tuple(entry.get("conflicts", ()))))
    return tuple(found)


@cache
def _whole() -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = read_data("osteon.selection", "dominance.yaml")
    return loaded


def _entry(entry: Mapping[str, Any]) -> _Entry:
    check_entry(entry, KEYS, ("id", "dominated", "by", "because", "source", "class"), "dominance.yaml")
    where = f"dominance.yaml: entry {entry['id']}"
    return _Entry(
        id=entry["id"],
        dominated=rows_of(entry["dominated"], where),
        by=rows_of(entry["by"], where),
        when=parse(entry.get("when", True), vocabulary(), where),
        because=" ".join(entry["because"].split()),
        comparative=bool(entry.get("comparative", False)),
        source=sources(entry),
        source_class=entry["class"],
        conflicts=tuple(entry.get("conflicts", ())),
    )
