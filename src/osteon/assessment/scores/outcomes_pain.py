"""Response of pain to treatment, by named definitions; what is not known leaves a set of responses, never a guess."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from osteon.assessment.scores.base import numbers, one_of, table
from osteon.assessment.scores.outcomes_base import Outcome, chosen
from osteon.errors import InputError
from osteon.facts import Interval, Known, NotApplicable, State

HIGHEST = 10.0
STEP = 1e-6
"""Smaller than any change of a score or dose that is ever recorded: how far beside a threshold is looked."""


def pain_response(
    pain_before: State,
    pain_after: State,
    opioid_before: State,
    opioid_after: State,
    *,
    definition: str = "consensus-2012",
    analgesic_tolerance: float = 0.0,
    dead: bool = False,
) -> Outcome:
    """Return the response of pain at the treated site.

    Parameters
    ----------
    pain_before, pain_after : State
        Worst pain at the site, 0 to 10.
    opioid_before, opioid_after : State
        Oral morphine equivalents [mg/day]; 0 for none, unknown where not recorded.
    definition : {"consensus-2012", "consensus-2002"}
        Which definition; its id stands in the result.
    analgesic_tolerance : {0.0, 0.25}
        Relative rise of analgesics that is not yet an increase; a policy of the site.
    dead : bool
        Whether the patient has died: an event of its own, not a missing value.

    Returns
    -------
    Outcome
        complete_response, partial_response, pain_progression or indeterminate, or the set of those left; not applicable
        after death and where there was no pain.

    Raises
    ------
    InputError
        If there is no such definition or tolerance, or a pain or dose lies outside its scale.

    Examples
    --------
    >>> pain_response(Known(7), Known(4), Known(60), Known(60)).state
    Known(value='partial_response')
    >>> from osteon.facts import Unknown
    >>> pain_response(Known(7), Known(4), Unknown(), Unknown()).state.values
    ('partial_response', 'indeterminate')
    """
    source = table("outcomes_pain")
    row = source["definitions"][chosen(definition, tuple(source["definitions"]), "definition of pain response")]
    chosen(f"{analgesic_tolerance:g}", [f"{v:g}" for v in source["analgesic_tolerance"]["values"]], "analgesic tolerance")
    keys = tuple(row["source"])
    if dead:
        return Outcome(definition, NotApplicable("the patient has died: an event, not a missing value"), "died", keys)
    before, after = _range(pain_before, HIGHEST, "pain"), _range(pain_after, HIGHEST, "pain")
    if before == (0.0, 0.0):
        why = "no pain at the site before treatment: there is nothing that could respond"
        return Outcome(definition, NotApplicable(why), why, keys)
    doses = _range(opioid_before, math.inf, "opioid dose"), _range(opioid_after, math.inf, "opioid dose")
    found = {
        _response(row, free, change, dose, analgesic_tolerance)
        for free, change in _pain_changes(before, after, row)
        for dose in _dose_changes(*doses, row)
    }
    left = [c for c in source["classes"] if c in found]
    missing = [
        name
        for name, state in (
            ("pain before", pain_before),
            ("pain after", pain_after),
            ("opioid dose before", opioid_before),
            ("opioid dose after", opioid_after),
        )
        if numbers(state) is None
    ]
    text = " or ".join(c.replace("_", " ") for c in left) + f" by {row['title']}"
    text += f", analgesic tolerance {analgesic_tolerance:.0%}"
    text += f"; not told: {', '.join(missing)}" if missing else ""
    return Outcome(definition, one_of(left), text, keys)


def _response(row: Mapping[str, Any], free: bool, change: float, dose: float, tolerance: float) -> str:
    """Return the class of one change of pain (points) and of opioids (relative), in the order of the definition."""
    points, fraction = row["points"], row["fraction"]
    increase = dose > tolerance
    if free and not increase:
        return "complete_response"
    if (change <= -points and not increase) or (dose <= -fraction and change <= 0):
        return "partial_response"
    if (change >= points and abs(dose) < fraction) or (dose >= fraction and -1 < change <= row["progression_points"]):
        return "pain_progression"
    return "indeterminate"


def _pain_changes(before: tuple[float, float], after: tuple[float, float], row: Mapping[str, Any]) -> set[tuple[bool, float]]:
    """Return one example of every situation of pain that is possible: (no pain left, change in points)."""
    low, high = max(before[0], STEP), before[1]
    marks = (-float(row["points"]), -1.0, 0.0, float(row["progression_points"]), float(row["points"]))
    found: set[tuple[bool, float]] = set()
    for free, (least, most) in ((True, (after[0], min(after[1], 0.0))), (False, (max(after[0], STEP), after[1]))):
        if least <= most:
            found |= {(free, change) for change in _examples(least - high, most - low, marks)}
    return found


def _dose_changes(before: tuple[float, float], after: tuple[float, float], row: Mapping[str, Any]) -> set[float]:
    """Return one example of every relative change of opioids that is possible; from none to some is infinite."""
    found: set[float] = set()
    if before[0] == 0:
        found |= {0.0} if after[0] == 0 else set()
        found |= {math.inf} if after[1] > 0 else set()
    if before[1] > 0:
        low = max(before[0], STEP)
        least = -1.0 if math.isinf(before[1]) else after[0] / before[1] - 1
        most = math.inf if math.isinf(after[1]) else after[1] / low - 1
        marks = (-float(row["fraction"]), 0.0, float(row["fraction"]))
        found |= set(_examples(least, most, marks))
    return found


def _examples(least: float, most: float, marks: tuple[float, ...]) -> list[float]:
    """Return the ends of an interval, and every mark inside it with what lies just beside."""
    least, most = _snapped(least, marks), _snapped(most, marks)
    beside = [m + side for m in marks for side in (-STEP, 0.0, STEP)]
    return [least, most, *(v for v in beside if least <= v <= most)]


def _snapped(value: float, marks: tuple[float, ...]) -> float:
    """Return a mark where a value misses it by rounding alone, so that 7.2 - 5.2 is two points."""
    return next((m for m in marks if abs(value - m) < STEP / 10), value)


def _range(state: State, most: float, what: str) -> tuple[float, float]:
    told = numbers(state)
    if told is None:
        return 0.0, most
    if told[0] < 0 or told[1] > most or math.isnan(told[0]):
        raise InputError(
            f"The {what} is {told[0]:g} to {told[1]:g}." if told[0] != told[1] else f"The {what} is {told[0]:g}.",
            "A value outside its scale would give a response that nobody had.",
            "Give pain as 0 to 10 (a scale of 100 mm divided by ten), and doses in mg a day, not below 0.",
        )
    return told


def pain_severity(pain: State, cut_points: str = "chow-2008") -> Outcome:
    """Return how severe a pain of 0 to 10 is, by named cut points.

    Parameters
    ----------
    pain : State
        VAS or NRS, 0 to 10.
    cut_points : str
        Which list of cut points; they differ between sources, so the name stands in the result.

    Returns
    -------
    Outcome
        none, mild, moderate or severe, or those that are left.

    Raises
    ------
    InputError
        If there is no such list, or the pain lies outside its scale.
    """
    lists = table("outcomes_pain")["severity"]
    row = lists[chosen(cut_points, tuple(lists), "list of cut points")]
    low, high = _range(pain, HIGHEST, "pain")
    names = [("none", 0.0), *((kind, float(row[kind][1])) for kind in ("mild", "moderate", "severe"))]

    def place(value: float) -> int:
        return next(i for i, (_, most) in enumerate(names) if value <= most)

    left = [names[i][0] for i in range(place(low), place(high) + 1)]
    why = "" if numbers(pain) is not None else "cannot tell: ask for the pain, 0 to 10"
    return Outcome(cut_points, one_of(left, why), why or f"{' or '.join(left)} ({row['title']})", (row["source"],))


def from_millimetres(pain: State) -> State:
    """Return a pain marked on a line of 100 mm as 0 to 10; a numerical rating is already that.

    Raises
    ------
    InputError
        If it lies outside the line.
    """
    told = numbers(pain)
    if told is None:
        return pain
    low, high = _range(Interval(told[0] / HIGHEST, told[1] / HIGHEST), HIGHEST, "pain")
    return Known(low) if low == high else Interval(low, high)
