"""From what a chart says to facts: units, intervals, sets, dated series, what has gone stale."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from osteon.case.units import to_unit
from osteon.case.yaml_lines import Lines
from osteon.errors import CaseFileError
from osteon.facts import Fact, FactType, Interval, Known, NotApplicable, OneOf, Origin, Scalar, State, Unknown, merge, vocabulary

Place = tuple[str | int, ...]
LONGEST_MM = 1000.0
MG_L_PER_MG_DL = 10.0  # 1 mmol/l of mass M [g/mol] is M mg/l, a tenth of that in mg/dl
ALLOWED = {"value", "unit", "date", "source", "min", "max", "one_of", "not_applicable", "unknown"}


def facts_of(given: Mapping[str, Any], scope: str, today: date, lines: Lines, place: Place) -> dict[str, Fact]:
    """Return every fact of a scope; what the chart does not name is unknown.

    Parameters
    ----------
    given : mapping
        Name to entry as written.
    scope : {"patient", "lesion"}
        Which part of the vocabulary.
    today : datetime.date
        Of the chart: from here measurements age.
    lines : Lines
        Where entries stand.
    place : tuple
        Of the ``facts`` mapping in the file.

    Returns
    -------
    dict of str to Fact
        In the order of the vocabulary.

    Raises
    ------
    CaseFileError
        For a value that its fact cannot have.
    UnitError
        For a unit that does not fit.
    """
    found = {}
    for name, kind in vocabulary().items():
        if kind.scope != scope:
            continue
        found[name] = (
            fact_of(kind, given[name], today, lines, (*place, name)) if name in given else Fact(name, Unknown(), kind.unit)
        )
    return found


def fact_of(kind: FactType, given: Any, today: date, lines: Lines, place: Place) -> Fact:
    """Return one fact from its entry in the chart; see ``facts_of``."""
    if isinstance(given, list) and given and all(isinstance(v, dict) for v in given):
        return _newest(kind, [_single(kind, v, today, lines, (*place, i)) for i, v in enumerate(given)], today, lines, place)
    return _aged(kind, _single(kind, given, today, lines, place), today)


def _newest(kind: FactType, series: list[Fact], today: date, lines: Lines, place: Place) -> Fact:
    """Return the newest of a dated series; two values of one day contradict each other."""
    if any(f.date is None for f in series):
        raise CaseFileError(
            f"{lines.at(*place)}: {kind.name} is a list, but not every entry has a `date`.",
            "Of several values the newest counts.",
            "Write [{value: ..., date: 2025-03-01}, ...].",
        )
    last = max(f.date for f in series if f.date is not None)
    newest = merge([f for f in series if f.date == last])
    return _aged(kind, newest, today)


def _aged(kind: FactType, fact: Fact, today: date) -> Fact:
    """Make a fact unknown where it is older than it stays good."""
    if kind.valid_days is None or fact.date is None or isinstance(fact.state, (Unknown, NotApplicable)):
        return fact
    age = (today - fact.date).days
    if age <= kind.valid_days:
        return fact
    why = f"needs a new one: last from {fact.date.isoformat()}, {age} days before the chart, good for {kind.valid_days}"
    return Fact(fact.name, Unknown(why), fact.unit, fact.origins, fact.date)


def _single(kind: FactType, given: Any, today: date, lines: Lines, place: Place) -> Fact:
    where = lines.at(*place)
    entry: dict[str, Any] = given if isinstance(given, dict) else {"value": given}
    extra = sorted(str(k) for k in set(entry) - ALLOWED)
    if extra:
        raise CaseFileError(
            f"{where}: {kind.name} has the unknown key {extra[0]!r}.",
            "What is not understood would silently not count.",
            f"Use {', '.join(sorted(ALLOWED))}.",
        )
    day = _date(entry.get("date"), kind, where, today)
    state = _state(kind, entry, where)
    source = f"{where} ({entry['source']})" if entry.get("source") else where
    return Fact(kind.name, state, kind.unit, (Origin("chart", source, day),), day)


def _date(given: Any, kind: FactType, where: str, today: date) -> date | None:
    if given is None or given == "unknown":
        return None
    if isinstance(given, str):
        try:
            given = date.fromisoformat(given)
        except ValueError:
            given = None
    if isinstance(given, datetime):
        given = given.date()
    if not isinstance(given, date):
        raise CaseFileError(
            f"{where}: the date of {kind.name} is not a day.", "Values age by their date.", "Write it as 2025-03-01."
        )
    if given > today:
        raise CaseFileError(
            f"{where}: {kind.name} is dated {given.isoformat()}, after the chart ({today.isoformat()}).",
            "A chart cannot know the future, so one of the two dates is wrong.",
            "Correct the entry, or the `date` of the case.",
        )
    return given


def _state(kind: FactType, entry: dict[str, Any], where: str) -> State:
    unit = entry.get("unit")

    def one(raw: Any) -> Scalar:
        return value_of(kind, f"{raw} {unit}" if unit is not None and not isinstance(raw, bool) else raw, where)

    shapes = [k for k in ("value", "one_of", "not_applicable", "unknown") if k in entry] + (
        ["min"] if {"min", "max"} & set(entry) else []
    )
    if len(shapes) != 1:
        raise CaseFileError(
            f"{where}: {kind.name} is given as {', '.join(shapes) or 'nothing'}.",
            "It must be one value, or min and max, or one_of.",
            "Keep one of them, or write `unknown`.",
        )
    if "not_applicable" in entry:
        return NotApplicable(str(entry["not_applicable"]))
    if "unknown" in entry:
        return Unknown(str(entry["unknown"]))
    if "one_of" in entry:
        listed = entry["one_of"] if isinstance(entry["one_of"], list) else []
        return _one_of(kind, [one(v) for v in listed], where)
    if shapes == ["min"]:
        return _interval(kind, entry, one, where)
    value = entry["value"]
    if value is None or value == "unknown":
        return Unknown()
    return Known(one(value))


def _one_of(kind: FactType, values: list[Scalar], where: str) -> State:
    if not values:
        raise CaseFileError(
            f"{where}: {kind.name} is one of nothing.",
            "It can then have no value.",
            "List values: one_of: [1, 2], or write `unknown`.",
        )
    distinct = tuple(dict.fromkeys(values))
    return Known(distinct[0]) if len(distinct) == 1 else OneOf(distinct)


def _interval(kind: FactType, entry: dict[str, Any], one: Any, where: str) -> State:
    if kind.type != "number" or not {"min", "max"} <= set(entry):
        raise CaseFileError(
            f"{where}: {kind.name} is given as an interval{'' if kind.type == 'number' else ', but it is no number'}.",
            "An interval needs a number with `min` and `max`.",
            "Give both ends, or use one_of.",
        )
    low, high = float(one(entry["min"])), float(one(entry["max"]))
    if low > high:
        raise CaseFileError(
            f"{where}: {kind.name} runs from {low:g} to {high:g}.",
            "No number lies between.",
            "Swap `min` and `max`, or correct one.",
        )
    return Known(low) if low == high else Interval(low, high)


def value_of(kind: FactType, raw: Any, where: str) -> Scalar:
    """Return one value as its fact wants it.

    Raises
    ------
    CaseFileError
        If it is not in the fact's domain or of another type.
    UnitError
        If the unit does not fit.
    """
    if kind.type == "number":
        number = _number(kind, raw, f"{where}: {kind.name}")
        low, high = (float(v) for v in kind.domain) if kind.domain else (float("-inf"), float("inf"))
        unit = "" if kind.unit in (None, "1") else f" {kind.unit}"
        if not low <= number <= high:
            raise CaseFileError(
                f"{where}: {kind.name} is {raw!r}; it can be {low:g} to {high:g}{unit}.",
                "A value outside is a slip of the pen or of the unit.",
                "Correct it, or write `unknown`.",
            )
        return number
    if kind.type == "bool":
        if isinstance(raw, bool):
            return raw
        raise _wrong(kind, raw, where, "true or false")
    if kind.type == "set":
        members = raw if isinstance(raw, list) else [w.strip() for w in str(raw).split(",") if w.strip() not in ("", "none")]
        strange = [m for m in members if m not in kind.domain]
        if strange:
            raise _wrong(kind, strange[0], where, ", ".join(map(str, kind.domain)))
        return ", ".join(str(d) for d in kind.domain if d in members) or "none"
    if kind.type == "choice" and type(raw) is int:  # a grade that is written without quotation marks
        raw = str(raw)
    if kind.type == "choice" and raw not in kind.domain:
        raise _wrong(kind, raw, where, ", ".join(map(str, kind.domain)))
    if not isinstance(raw, str):
        raise _wrong(kind, raw, where, "a text")
    return raw


def _number(kind: FactType, raw: Any, what: str) -> float:
    """Return a number in the fact's unit; a laboratory value of known molar mass may be given per mole."""
    if kind.molar_mass is not None and isinstance(raw, str) and "mol" in raw:
        return round(to_unit(raw, "mmol/l", what) * kind.molar_mass / MG_L_PER_MG_DL, 12)
    return to_unit(raw, kind.unit, what)


def _wrong(kind: FactType, raw: Any, where: str, choices: str) -> CaseFileError:
    return CaseFileError(
        f"{where}: {kind.name} is {raw!r}; it can be {choices}.",
        f"It answers: {kind.ask}",
        "Choose one of these, or write `unknown`.",
    )


def number_mm(raw: Any, where: str, what: str) -> float:
    """Return a positive length in mm.

    Raises
    ------
    CaseFileError
        If it is not above zero, or larger than a patient.
    UnitError
        If it is no length.
    """
    length = to_unit(raw, "mm", f"{where}: {what}")
    if length <= 0:
        raise CaseFileError(f"{where}: {what} is {raw!r}.", "A length must be above zero.", "Give it in mm.")
    if length > LONGEST_MM:
        raise CaseFileError(
            f"{where}: {what} is {raw!r}, that is {length:g} mm.",
            f"No lesion or nerve is wider than {LONGEST_MM:g} mm.",
            "Correct the number or its unit.",
        )
    return length
