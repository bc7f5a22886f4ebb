"""Order and intervals between treatments: what must come first, what goes together, how long to wait (``combinations.yaml``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from osteon.data_files import read_data
from osteon.errors import InputError
from osteon.facts import Interval, OneOf, State, Unknown, vocabulary
from osteon.selection.kleene import Expression, evaluate, names
from osteon.selection.parse import parse
from osteon.selection.rules import CLASSES
from osteon.selection.verdicts import OPEN, POSSIBLE, Status, Truth, Verdicts
from osteon.treatments.catalog import ENTRIES, entries

SIDES = ("first", "then", "beside")
KEYS = {"id", *SIDES, "when", "text", "interval", "source", "class", "extract", "conflicts"}


@dataclass(frozen=True)
class Order:
    """One entry of ``combinations.yaml``.

    Parameters
    ----------
    id : str
        For example "COMB-REWARM".
    sides : mapping of str to tuple of str
        ``first``, ``then``, ``beside``: rows, one of which must be open on each side.
    when : Expression
        When it applies.
    text, interval : str
        What to do; how long to wait, as the source states it, or "".
    source, extract, conflicts : tuple of str
        Quotation keys and ids of papers; ids of the extraction; ids of the decision register.
    """

    id: str
    sides: Mapping[str, tuple[str, ...]]
    when: Expression
    text: str
    interval: str
    source: tuple[str, ...]
    source_class: str
    extract: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Combination:
    """An order or interval that bears on the rows of one lesion.

    Parameters
    ----------
    truth : {"true", "unknown"}
        Whether it applies; where it cannot be told, ``unknown`` names the facts to ask for.
    rows : mapping of str to tuple of str
        ``first``, ``then``, ``beside``: the rows of the lesion that it is about.
    firm : bool
        Whether each side has a row that is open; False where one still needs facts.
    """

    id: str
    lesion_id: str
    truth: Truth
    rows: Mapping[str, tuple[str, ...]]
    text: str
    firm: bool
    interval: str = ""
    unknown: tuple[str, ...] = ()
    quotes: tuple[str, ...] = ()
    source_class: str = "seed"
    extract: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()


@cache
def orders() -> tuple[Order, ...]:
    """Return ``combinations.yaml``.

    Raises
    ------
    InputError
        If an entry has an unknown key, row, fact or class of source, or lacks its words or source.
    """
    whole = read_data("osteon.selection", "combinations.yaml")
    groups = {str(name): rows_of(rows, f"group {name}") for name, rows in whole["groups"].items()}
    return tuple(_order(entry, groups) for entry in whole["entries"])


def combinations(verdicts: Verdicts, lesion_id: str, states: Mapping[str, State]) -> tuple[Combination, ...]:
    """Return the orders and intervals that bear on the rows of a lesion, in the order of the file.

    Parameters
    ----------
    verdicts : Verdicts
        Under the policy that counts.
    lesion_id : str
        Which lesion.
    states : mapping of str to State
        What is known of patient and lesion.

    Returns
    -------
    tuple of Combination
        What is known not to apply is left out.
    """
    status = statuses(verdicts, lesion_id)
    found = []
    for order in orders():
        rows = {side: tuple(n for n in named if status.get(n) in POSSIBLE) for side, named in order.sides.items()}
        truth = evaluate(order.when, states, vocabulary())
        if not all(rows.values()) or truth not in ("true", "unknown"):
            continue
        found.append(
            Combination(
                id=order.id,
                lesion_id=lesion_id,
                truth=truth,
                rows=rows,
                text=order.text,
                firm=all(any(status[n] in OPEN for n in each) for each in rows.values()),
                interval=order.interval,
                unknown=open_facts(order.when, states) if truth == "unknown" else (),
                quotes=order.source,
                source_class=order.source_class,
                extract=order.extract,
                conflicts=order.conflicts,
            )
        )
    return tuple(found)


def statuses(verdicts: Verdicts, lesion_id: str) -> dict[str, Status]:
    """Return the status of every row of a lesion under the policy that counts."""
    return {v.treatment: v.status for v in verdicts.verdicts if (v.lesion_id, v.policy) == (lesion_id, verdicts.policy)}


def open_facts(when: Expression, states: Mapping[str, State]) -> tuple[str, ...]:
    """Return the facts of an expression that are not known, or not known exactly."""
    return tuple(n for n in names(when) if isinstance(states.get(n, Unknown()), (Unknown, Interval, OneOf)))


def rows_of(named: Sequence[str], where: str) -> tuple[str, ...]:
    """Return names of rows, checked against the catalogue.

    Raises
    ------
    InputError
        If the catalogue has none of that name.
    """
    wrong = sorted(set(named) - {e.name for e in ENTRIES} - set(entries()))
    if wrong:
        raise InputError(
            f"{where} names the treatments {wrong}, which the catalogue lacks.",
            "An entry about a row that is not there would never be shown.",
            "Use the names of `osteon list treatments`.",
        )
    return tuple(named)


def check_entry(entry: Mapping[str, Any], keys: Iterable[str], needed: Iterable[str], file: str) -> None:
    """Refuse an entry with unknown keys, without words or source, or of an unknown class of source.

    Raises
    ------
    InputError
        Naming the entry.
    """
    wrong = sorted(set(entry) - set(keys))
    absent = [k for k in needed if not entry.get(k)]
    if wrong or absent or entry.get("class", "seed") not in CLASSES:
        raise InputError(
            f"{file}: entry {entry.get('id', '(no id)')}: unknown keys {wrong}, missing {absent}, class {entry.get('class')}.",
            "What stands beside a treatment on the page must have words and a source.",
            f"Use the keys {', '.join(sorted(keys))}; classes: {', '.join(CLASSES)}.",
        )


def sources(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the sources of an entry, white space made one blank."""
    listed = entry["source"] if isinstance(entry["source"], list) else [entry["source"]]
    return tuple(" ".join(str(s).split()) for s in listed)


def _order(entry: Mapping[str, Any], groups: Mapping[str, tuple[str, ...]]) -> Order:
    check_entry(entry, KEYS, ("id", "text", "source", "class"), "combinations.yaml")
    where = f"combinations.yaml: entry {entry['id']}"
    sides = {}
    for side in (s for s in SIDES if s in entry):
        named = entry[side]
        sides[side] = rows_of(named, where) if isinstance(named, list) else groups.get(named) or rows_of([named], where)
    return Order(
        id=entry["id"],
        sides=sides,
        when=parse(entry.get("when", True), vocabulary(), where),
        text=" ".join(entry["text"].split()),
        interval=" ".join(str(entry.get("interval", "")).split()),
        source=sources(entry),
        source_class=entry["class"],
        extract=tuple(entry.get("extract", ())),
        conflicts=tuple(entry.get("conflicts", ())),
    )
