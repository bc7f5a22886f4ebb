"""Writing an answer down: one fact into case.yaml, dated, beside what stood there before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from osteon.case.chart import fact_of
from osteon.case.yaml_edit import set_in_case
from osteon.case.yaml_lines import Lines, Place
from osteon.errors import InputError
from osteon.facts import Fact, FactType, vocabulary

SOURCE = "asked"


@dataclass(frozen=True)
class Written:
    """What was written: the fact, whose it is (empty: the patient's), and where it stands in the file."""

    fact: Fact
    lesion_id: str
    place: Place


def understood(kind: FactType, text: str, today: date) -> tuple[Any, Fact]:
    """Return what stands in the file for an answer as a person types it, and the fact that it makes.

    Parameters
    ----------
    kind : FactType
        Which fact.
    text : str
        ``yes``, ``210``, ``3.2 mmol/l``, ``4-6`` (between), ``lytic or mixed`` (one of), ``general, local``, ``n/a: reason``.
    today : datetime.date
        Day of the answer.

    Raises
    ------
    CaseFileError, UnitError, InputError
        If the fact cannot be that.

    Examples
    --------
    >>> understood(vocabulary()["ecog"], "1-2", date(2025, 3, 10))[1].state
    Interval(low=1.0, high=2.0)
    """
    given = _entry(kind, " ".join(text.split()))
    entry = {**given, "date": today, "source": SOURCE}
    return entry, fact_of(kind, entry, today, Lines(Path("answer"), {}), (kind.name,))


def _entry(kind: FactType, text: str) -> Mapping[str, Any]:
    if not text:
        raise InputError(f"There is no answer for {kind.name}.", "An empty answer tells nothing.", f"It can be {_allowed(kind)}.")
    word = text.lower()
    if word.startswith("n/a"):
        return {"not_applicable": text[3:].strip(" :") or "said so"}
    if kind.type == "bool":
        told = {"yes": True, "y": True, "true": True, "no": False, "n": False, "false": False}.get(word)
        if told is None:
            raise InputError(
                f"{kind.name} is {text!r}.", f"It answers: {kind.ask}", "Answer yes or no; leave it empty where nobody knows."
            )
        return {"value": told}
    if kind.type in ("choice", "number") and " or " in word:
        return {"one_of": [_plain(kind, part) for part in text.split(" or ")]}
    if kind.type == "number":
        low, dash, high = text.lstrip("-").partition("-")
        if dash and high.strip():
            return {"min": _plain(kind, low), "max": _plain(kind, high)}
    if kind.type == "set":
        return {"value": [w.strip() for w in text.split(",") if w.strip() and w.strip() != "none"]}
    return {"value": _plain(kind, text)}


def _plain(kind: FactType, text: str) -> Any:
    text = text.strip()
    if kind.type != "number":
        return text
    try:
        return float(text)
    except ValueError:
        return text


def _allowed(kind: FactType) -> str:
    if kind.type == "bool":
        return "yes or no"
    if kind.type == "number":
        unit = "" if kind.unit in (None, "1") else f" {kind.unit}"
        return f"{kind.domain[0]:g} to {kind.domain[1]:g}{unit}" if kind.domain else "a number"
    return ", ".join(str(d) for d in kind.domain) or "a text"


def write_answer(folder: Path, fact: str, lesion_id: str, text: str, today: date | None = None) -> Written:
    """Write one answer into case.yaml; what stood there stays as an older entry.

    Parameters
    ----------
    folder : Path
        With ``case.yaml``.
    fact : str
        Of the vocabulary.
    lesion_id : str
        Whose fact it is; ignored for a fact of the patient.
    text : str
        As typed.
    today : datetime.date, optional
        Day of the answer; default: the chart's date. A later day moves the chart's date, so that older values age.

    Raises
    ------
    InputError
        If there is no such fact or lesion, or the day lies before the chart.
    CaseFileError, UnitError
        If the fact cannot be that.
    """
    file = folder / "case.yaml"
    words = vocabulary()
    if fact not in words:
        raise InputError(
            f"There is no fact {fact!r}.", "What is outside the vocabulary is read by no rule.", "See `osteon ask --json`."
        )
    tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    charted: date = tree["date"]
    day = today or charted
    if day < charted:
        raise InputError(
            f"The answer is dated {day.isoformat()}, before the chart ({charted.isoformat()}).",
            "An older value would stand as the newest.",
            "Give the day on which it was found out, or leave --date out.",
        )
    entry, found = understood(words[fact], text, day)
    place = _place(tree, words[fact], lesion_id)
    if day > charted:
        set_in_case(file, ("date",), day)
    set_in_case(file, place, _beside(_at(tree, place), entry))
    return Written(found, "" if words[fact].scope == "patient" else lesion_id, place)


def _place(tree: Mapping[str, Any], kind: FactType, lesion_id: str) -> Place:
    if kind.scope == "patient":
        return ("facts", kind.name)
    ids = [str(lesion["id"]) for lesion in tree["lesions"]]
    if lesion_id not in ids:
        raise InputError(
            f"There is no lesion {lesion_id!r} in this case.",
            f"{kind.name} is a fact of one lesion.",
            f"Name one with --lesion: {', '.join(ids)}.",
        )
    return ("lesions", ids.index(lesion_id), "facts", kind.name)


def _at(tree: Any, place: Place) -> Any:
    for key in place:
        if isinstance(tree, Mapping) and key not in tree:
            return None
        tree = tree[key]
    return tree


def _beside(before: Any, entry: Mapping[str, Any]) -> Any:
    """Return the new entry, with dated older ones before it; an undated older one is kept in words."""
    if before is None or before == "unknown":
        return dict(entry)
    series = before if isinstance(before, list) and all(isinstance(v, dict) for v in before) else [before]
    dated = [v for v in series if isinstance(v, dict) and v.get("date") not in (None, entry["date"])]
    undated = [v for v in series if v not in dated]
    kept = {**entry, "source": f"{entry['source']}; before: {'; '.join(map(_worded, undated))}"} if undated else dict(entry)
    return [*dated, kept] if dated else kept


def _worded(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
