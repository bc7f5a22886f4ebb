"""What a board decided for a lesion, in ``decisions.yaml`` beside ``case.yaml``: entries are added, never rewritten.

A decision changes no status. A later one for the same lesion takes the place of an earlier one; one that withdraws the last makes
the one before it stand again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import date
from pathlib import Path
from typing import Any

from osteon.cache import write_atomically
from osteon.errors import InputError
from osteon.io.identity import Identity

FILE = "decisions.yaml"
FOLDER = "decisions"
"""Holds the rule bases that the decisions were made by, one file per digest."""
HEAD = "# What the board decided, per lesion. Entries are only added; a later one takes the place of an earlier one.\n"
WHY = "A decision that is misread would stand wrongly at the head of the report."


@dataclass(frozen=True)
class Departure:
    """One rule that the chosen option departs from.

    Parameters
    ----------
    treatment, rule : str
        The row and the rule's id.
    kind : {"exclusion", "requirement", "needs", "caution", "unchecked"}
        An exclusion that holds, a requirement that does not, either that cannot be told; a caution that holds, or cannot be told.
    text : str
        The rule in words, as it stood then.
    facts : tuple of str
        What it read; for ``needs`` and ``unchecked`` the facts that are missing.
    """

    treatment: str
    rule: str
    kind: str
    text: str = ""
    facts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decision:
    """One entry of ``decisions.yaml``.

    Parameters
    ----------
    number : int
        Its place in the file, from 1.
    lesion : str
        Id of the lesion.
    date : datetime.date
        When it was decided.
    reason : str
        Why.
    options : tuple of str
        The treatment rows chosen; empty: none of them.
    present : tuple of str
        Specialties at the table.
    wish : str
        The patient's wish, in words.
    departs : tuple of Departure
        The rules departed from, as computed then.
    status : mapping of str to str
        Status of each chosen row then.
    policy : str
        Site policy for near structures.
    site : mapping of str to value
        The site's other policies.
    rules, snapshot : str
        Version of the rule base, and the file that holds it, relative to the case folder.
    case : str
        Digest of the case's files then.
    withdraws : int
        Number of the decision that this entry withdraws; 0: it is a decision itself.
    """

    number: int
    lesion: str
    date: date
    reason: str
    options: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    wish: str = ""
    departs: tuple[Departure, ...] = ()
    status: Mapping[str, str] | None = None
    policy: str = "strict"
    site: Mapping[str, bool | int | float | str] | None = None
    rules: str = ""
    snapshot: str = ""
    case: str = ""
    withdraws: int = 0


def read(folder: Path) -> tuple[Decision, ...]:
    """Return every entry of a case folder's ``decisions.yaml``, in order; none where there is no such file.

    Raises
    ------
    InputError
        If the file cannot be read, or an entry lacks something or holds something else.
    """
    return _read(folder / FILE, _text(folder / FILE))


def standing(decisions: Iterable[Decision]) -> dict[str, Decision]:
    """Return, per lesion, the decision that stands: the last that was neither withdrawn nor followed by another."""
    listed = list(decisions)
    withdrawn = {d.withdraws for d in listed if d.withdraws}
    return {d.lesion: d for d in listed if not d.withdraws and d.number not in withdrawn}


def washed(decisions: Iterable[Decision], identity: Identity) -> tuple[Decision, ...]:
    """Return the decisions with what tells who the patient is taken out of wish and reason, for everything that is shown."""
    return tuple(replace(d, wish=identity.wash(d.wish), reason=identity.wash(d.reason)) for d in decisions)


def append(folder: Path, decision: Decision, today: date) -> Decision:
    """Add one entry at the end of ``decisions.yaml``; what stands there keeps every byte.

    Parameters
    ----------
    folder : Path
        Case folder.
    decision : Decision
        Its ``number`` is given by the place in the file.
    today : datetime.date
        A decision later than this is refused.

    Returns
    -------
    Decision
        With its number.

    Raises
    ------
    InputError
        If the file cannot be read, the date lies ahead, there is no reason, or what it withdraws does not stand.
    OsteonError
        If it cannot be written; the file is then as it was.
    """
    import yaml

    file = folder / FILE
    text = _text(file)
    before = _read(file, text)
    entry = replace(decision, number=len(before) + 1)
    _check(file, entry, before, today)
    kept = {k: v for k, v in asdict(entry).items() if k != "number" and v not in ((), "", 0, None)}
    if not entry.withdraws:
        kept["options"] = list(entry.options)
    else:
        kept.pop("policy", None)
    block = yaml.safe_dump([_plain(kept)], allow_unicode=True, sort_keys=False, width=120)
    new = (text or HEAD) + ("" if not text or text.endswith("\n") else "\n") + block
    if (after := _read(file, new)) != (*before, entry):
        raise InputError(
            f"{FILE}: the entry for {entry.lesion} could not be added as it was given.", WHY, f"Correct {file}: {after[-1:]}"
        )
    write_atomically(file, new.encode("utf-8"))
    return entry


def check(folder: Path, decision: Decision, today: date) -> None:
    """Refuse what could not be added, before anything is computed.

    Raises
    ------
    InputError
        As ``append`` does.
    """
    _check(folder / FILE, decision, read(folder), today)


def _text(file: Path) -> str:
    if not file.exists():
        return ""
    try:
        return file.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file.name} cannot be read ({error}).", WHY, "Give the right to read it, and save it as UTF-8 text."
        ) from error


def _check(file: Path, entry: Decision, before: Sequence[Decision], today: date) -> None:
    if entry.date > today:
        raise InputError(
            f"The decision is dated {entry.date}, later than today ({today}).",
            "What is not yet decided must not stand as decided.",
            "Give the day of the meeting as --date=YYYY-MM-DD.",
        )
    if not entry.reason.strip():
        raise InputError(
            f"The decision for {entry.lesion} has no reason.",
            "Nobody could later tell why it was made.",
            'Give it as --reason "...".',
        )
    last = standing(before).get(entry.lesion)
    if entry.withdraws and (last is None or last.number != entry.withdraws):
        raise InputError(
            f"{file.name}: for {entry.lesion} no decision stands that could be withdrawn.",
            "Withdrawing what does not stand would hide a mistake.",
            "See `osteon decide CASE --list`.",
        )


def _plain(value: Any) -> Any:
    match value:
        case Mapping():
            return {k: _plain(v) for k, v in value.items() if v not in ((), "", None)}
        case tuple() | list():
            return [_plain(v) for v in value]
    return value


def _read(file: Path, text: str) -> tuple[Decision, ...]:
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader) if text.strip() else None
        tree = yaml.safe_load(text) if root is not None else []
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise InputError(f"{file.name}{line} is no YAML ({_one_line(error)}).", WHY, "Correct that line by hand.") from error
    if root is None or tree is None:
        return ()
    if not isinstance(tree, list) or not isinstance(root, yaml.SequenceNode):
        raise InputError(f"{file.name}:1 is no list of decisions.", WHY, "Write each decision as an entry that begins with `- `.")
    lines = [int(node.start_mark.line) + 1 for node in root.value]
    found: list[Decision] = []
    for number, (entry, at) in enumerate(zip(tree, lines, strict=True), 1):
        found.append(_decision(f"{file.name}:{at}", number, entry))
    return tuple(found)


def _one_line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error))[:160]


def _decision(where: str, number: int, entry: Any) -> Decision:
    words = {f.name for f in fields(Decision)} - {"number"}
    wrong = sorted(set(entry) - words) if isinstance(entry, dict) else [str(entry)[:40]]
    if wrong or not {"lesion", "date", "reason"} <= set(entry):
        raise InputError(
            f"{where}: the decision has unknown entries {wrong}, or lacks lesion, date or reason.",
            WHY,
            f"Use: {', '.join(sorted(words))}.",
        )
    for key, kind in (
        ("date", date),
        ("options", list),
        ("present", list),
        ("status", dict),
        ("departs", list),
        ("withdraws", int),
    ):
        if key in entry and (not isinstance(entry[key], kind) or isinstance(entry[key], bool)):
            raise InputError(f"{where}: {key} is {entry[key]!r}.", WHY, f"Write it as osteon does ({kind.__name__}).")
    departs = tuple(_departure(where, each) for each in entry.get("departs", ()))
    kept = {k: str(v) for k, v in entry.items() if k in ("lesion", "reason", "wish", "policy", "rules", "snapshot", "case")}
    return Decision(
        number=number,
        date=entry["date"],
        options=tuple(map(str, entry.get("options", ()))),
        present=tuple(map(str, entry.get("present", ()))),
        departs=departs,
        status=dict(entry["status"]) if entry.get("status") else None,
        site=dict(entry["site"]) if entry.get("site") else None,
        withdraws=int(entry.get("withdraws", 0)),
        **kept,
    )


def _departure(where: str, entry: Any) -> Departure:
    words = [f.name for f in fields(Departure)]
    if not isinstance(entry, dict) or not {"treatment", "rule", "kind"} <= set(entry) <= set(words):
        raise InputError(f"{where}: departs holds {str(entry)[:80]!r}.", WHY, f"Give each {', '.join(words)}.")
    return Departure(
        treatment=str(entry["treatment"]),
        rule=str(entry["rule"]),
        kind=str(entry["kind"]),
        text=str(entry.get("text", "")),
        facts=tuple(map(str, entry.get("facts", ()))),
    )
