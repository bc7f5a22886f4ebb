"""ODI, EQ-5D and FACT-P: from the answers of a questionnaire to its numbers, by the rules of the instrument."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from osteon.assessment.scores.base import numbers, span, table
from osteon.assessment.scores.outcomes_base import Outcome, chosen
from osteon.errors import InputError
from osteon.facts import Interval, Known, NotApplicable, State, Unknown

Answers = Mapping[str, State]


def odi(answers: Answers) -> Outcome:
    """Return the Oswestry Disability Index [%].

    ``100 points / (5 sections answered)``: a section without an answer is left out, as the instrument has it.

    Parameters
    ----------
    answers : mapping of str to State
        0 to 5 per section; an interval where two boxes were ticked; missing, unknown or not applicable where none was.

    Returns
    -------
    Outcome
        0 to 100; an interval where an answer is one; unknown where no section was answered.

    Raises
    ------
    InputError
        If a section is none of the instrument's, or an answer lies outside 0 to 5.

    Examples
    --------
    >>> odi({"pain": Known(2), "walking": Known(3)}).state
    Known(value=50.0)
    """
    source = table("outcomes_quality")["odi"]
    told = _told(answers, source["sections"], 0, source["most"], source["title"])
    keys = tuple(source["source"])
    if not told:
        why = "cannot tell: no section of the questionnaire was answered"
        return Outcome("odi", Unknown(why), why, keys)
    low, high = (100.0 * sum(pair[i] for pair in told.values()) / (source["most"] * len(told)) for i in (0, 1))
    bands = [b["text"] for b in source["bands"] if b["percent"][0] < high and low <= b["percent"][1]] or ["minimal disability"]
    bands = bands if low != high else [next(b["text"] for b in source["bands"] if low <= b["percent"][1])]
    count = f"{len(told)} of {len(source['sections'])} sections answered"
    return Outcome("odi", _number(low, high), f"{span(round(low, 1), round(high, 1))} %: {' or '.join(bands)}; {count}", keys)


def eq5d_profile(answers: Answers, version: str = "5l") -> Outcome:
    """Return the health state of EQ-5D as five digits, in the order mobility, self-care, usual activities, pain, anxiety.

    Parameters
    ----------
    answers : mapping of str to State
        1 (no problems) to 3 or 5 per dimension.
    version : {"3l", "5l"}
        Which questionnaire.

    Returns
    -------
    Outcome
        Five digits; unknown where a dimension was not answered by one level.

    Raises
    ------
    InputError
        If a dimension or level is none of the version's, or there is no such version.
    """
    source = table("outcomes_quality")["eq5d"]
    row = source["versions"][chosen(version, tuple(source["versions"]), "version of EQ-5D")]
    told = _told(answers, source["dimensions"], 1, row["levels"], f"{source['title']} {version.upper()}")
    open_ones = [d for d in source["dimensions"] if d not in told or told[d][0] != told[d][1]]
    name, keys = f"eq5d-{version}", tuple(row["source"])
    if open_ones:
        why = f"cannot tell: not answered by one level: {', '.join(open_ones)}"
        return Outcome(name, Unknown(why), why, keys)
    digits = "".join(f"{told[d][0]:g}" for d in source["dimensions"])
    return Outcome(name, Known(digits), f"health state {digits}", keys)


def eq5d_index(answers: Answers, value_set: str, version: str = "3l") -> Outcome:
    """Return the value of a health state by a named value set: 1 is full health, 0 as bad as death.

    Parameters
    ----------
    answers : mapping of str to State
        As for ``eq5d_profile``; open dimensions widen the interval.
    value_set : {"uk-tto-1997"}
        Whose values; there is none without a country.
    version : {"3l", "5l"}
        Which questionnaire was answered.

    Returns
    -------
    Outcome
        The index, or its interval; not applicable where the set belongs to another version.

    Raises
    ------
    InputError
        If there is no such value set or version, or an answer lies outside it.
    """
    source = table("outcomes_quality")["eq5d"]
    row = source["value_sets"][chosen(value_set, tuple(source["value_sets"]), "value set of EQ-5D")]
    levels = source["versions"][chosen(version, tuple(source["versions"]), "version of EQ-5D")]["levels"]
    told = _told(answers, source["dimensions"], 1, levels, f"{source['title']} {version.upper()}")
    keys = tuple(row["source"])
    if row["version"] != version:
        why = f"the value set {row['title']} is of EQ-5D-{row['version'].upper()}; a mapped value would need its own table"
        return Outcome(value_set, NotApplicable(why), why, keys)
    if not told:
        return Outcome(value_set, Unknown("cannot tell: no dimension was answered"), "no dimension was answered", keys)
    spans = [told.get(d, (1.0, float(levels))) for d in source["dimensions"]]
    values = [_value(row, source["dimensions"], case) for case in product(*(range(int(a), int(b) + 1) for a, b in spans))]
    low, high = round(min(values), 3), round(max(values), 3)
    return Outcome(value_set, _number(low, high), f"{span(low, high)} by {row['title']}", keys)


def fact_p(answers: Answers) -> Mapping[str, Outcome]:
    """Return subscales and totals of FACT-P, higher being better.

    A subscale is prorated, ``sum x items / answered``, where more than half of its items are answered; a total needs its
    subscales, and the general part at least 80 % of its items.

    Parameters
    ----------
    answers : mapping of str to State
        0 to 4 per item, by the ids of the form (GP1, ..., BL5).

    Returns
    -------
    mapping of str to Outcome
        PWB, SWB, EWB, FWB, PCS, FACT-G, FACT-P and TOI; unknown where too few items are answered.

    Raises
    ------
    InputError
        If an item is none of the form's, or an answer lies outside 0 to 4.
    """
    source = table("outcomes_quality")["fact_p"]
    every = [item for row in source["subscales"].values() for item in row["items"]]
    told = _told(answers, every, 0, source["most"], source["title"])
    keys = tuple(source["source"])
    scales: dict[str, tuple[float, float] | None] = {}
    for name, row in source["subscales"].items():
        scales[name] = _subscale(row, told, source)
    general = [item for name in source["general"] for item in source["subscales"][name]["items"]]
    enough = sum(item in told for item in general) >= source["general_answered_from"] * len(general)
    for name, parts in source["totals"].items():
        pairs = [scales[part] for part in parts]
        known = [p for p in pairs if p is not None]
        needs_general = set(source["general"]) <= set(parts)
        complete = len(known) == len(parts) and (enough or not needs_general)
        scales[name] = (sum(p[0] for p in known), sum(p[1] for p in known)) if complete else None
    why = "cannot tell: too few items are answered"
    return {
        name: Outcome(name, Unknown(why), why, keys)
        if pair is None
        else Outcome(name, _number(*pair), f"{span(round(pair[0], 1), round(pair[1], 1))}, higher is better", keys)
        for name, pair in scales.items()
    }


def _subscale(
    row: Mapping[str, Any], told: Mapping[str, tuple[float, float]], source: Mapping[str, Any]
) -> tuple[float, float] | None:
    there = [item for item in row["items"] if item in told]
    if len(there) <= source["answered_over"] * len(row["items"]):
        return None
    most = source["most"]
    turned = [(most - told[i][1], most - told[i][0]) if i in row["reversed"] else told[i] for i in there]
    factor = len(row["items"]) / len(there)
    return sum(p[0] for p in turned) * factor, sum(p[1] for p in turned) * factor


def _value(row: Mapping[str, Any], dimensions: list[str], levels: tuple[int, ...]) -> float:
    if all(level == 1 for level in levels):
        return 1.0
    lost = sum(row[d][level - 1] for d, level in zip(dimensions, levels, strict=True))
    return float(1.0 - row["constant"] - lost - (row["any_third"] if 3 in levels else 0.0))


def _told(answers: Answers, among: list[str], least: float, most: float, title: str) -> dict[str, tuple[float, float]]:
    """Return the answers that tell a number, checked against the form."""
    found = {}
    for name, state in answers.items():
        pair = numbers(state)
        if name not in among or (pair is not None and not least <= pair[0] <= pair[1] <= most):
            shown = "" if pair is None else f" = {span(*pair)}"
            raise InputError(
                f"The answer {name!r}{shown} does not belong to {title}.",
                "A wrong item or level would give a number that the instrument does not.",
                f"Answer {least:g} to {most:g} for: {', '.join(among)}.",
            )
        if pair is not None:
            found[name] = pair
    return found


def _number(low: float, high: float) -> State:
    return Known(low) if low == high else Interval(low, high)
