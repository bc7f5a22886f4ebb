"""Figures that may be open: bounds of a state, sums, comparisons in three values, and words for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from osteon.facts import Interval, Known, NotApplicable, OneOf, State, Unknown
from osteon.ledgers.rows import Truth

NEAR = 1e-9  # slack of comparisons, relative: rounding, never a clinical difference
SAME = 1e-12  # ends of an interval nearer than this, relative, are one number


def bounds(state: State) -> tuple[float, float] | None:
    """Return the least and greatest number that a state allows; None where it tells none."""
    match state:
        case Known(value) if not isinstance(value, (str, bool)):
            return float(value), float(value)
        case Interval(low, high):
            return float(low), float(high)
        case OneOf(values) if values and not any(isinstance(v, (str, bool)) for v in values):
            return min(float(v) for v in values), max(float(v) for v in values)
    return None


def between(low: float, high: float) -> State:
    """Return the state of a number between two ends; known where they are equal."""
    return Known(float(low)) if abs(high - low) <= SAME * max(1.0, abs(high)) else Interval(float(low), float(high))


def add(states: Iterable[State], why: str) -> State:
    """Return the sum of some states: an interval where one is open, unknown (for the reason ``why``) where one tells nothing."""
    low = high = 0.0
    for state in states:
        ends = bounds(state)
        if ends is None:
            return Unknown(state.why if isinstance(state, Unknown) and state != Unknown() else why)
        low, high = low + ends[0], high + ends[1]
    return between(low, high)


def times(state: State, factor: float) -> State:
    """Return a state multiplied by a number that is not negative."""
    ends = bounds(state)
    return state if ends is None else between(ends[0] * factor, ends[1] * factor)


def at_least(state: State, limit: float) -> Truth:
    """Tell whether a number is at least ``limit``; equal counts."""
    ends = bounds(state)
    if ends is None:
        return "unknown"
    slack = NEAR * max(1.0, abs(limit))
    return "true" if ends[0] >= limit - slack else "false" if ends[1] < limit - slack else "unknown"


def at_most(state: State, limit: float) -> Truth:
    """Tell whether a number is at most ``limit``; equal counts."""
    ends = bounds(state)
    if ends is None:
        return "unknown"
    slack = NEAR * max(1.0, abs(limit))
    return "true" if ends[1] <= limit + slack else "false" if ends[0] > limit + slack else "unknown"


def all_of(truths: Iterable[Truth]) -> Truth:
    """Return Kleene's "and"."""
    listed = list(truths)
    return "false" if "false" in listed else "unknown" if "unknown" in listed else "true"


def any_of(truths: Iterable[Truth]) -> Truth:
    """Return Kleene's "or"."""
    listed = list(truths)
    return "true" if "true" in listed else "unknown" if "unknown" in listed else "false"


def truth_of(state: State) -> Truth:
    """Return a yes-or-no state as truth."""
    if isinstance(state, Known) and isinstance(state.value, bool):
        return "true" if state.value else "false"
    return "unknown"


def said(state: State, unit: str = "", digits: int = 1) -> str:
    """Return a state in words with its unit: "28.0 Gy", "23.3 to 30.0 Gy", or why it cannot be told."""
    match state:
        case Unknown(why):
            return f"cannot tell: {why}" if why != Unknown().why else "cannot tell: not entered"
        case NotApplicable(why):
            return f"not applicable: {why}"
    ends = bounds(state)
    tail = f" {unit}" if unit else ""
    if ends is None:
        return f"{getattr(state, 'value', None) or ' or '.join(map(str, getattr(state, 'values', ())))}{tail}"
    low, high = (f"{v:.{digits}f}" for v in ends)
    return f"{low}{tail}" if low == high else f"{low} to {high}{tail}"


def plain(value: float) -> str:
    """Return a number without superfluous zeros, never with an exponent below a million."""
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 1000 and float(value).is_integer() else f"{value:.6g}"


def shown(state: State, unit: str = "") -> str:
    """Return a state in words with the digits it was written with."""
    ends = bounds(state)
    if ends is None:
        return said(state, unit)
    low, high = (plain(v) for v in ends)
    tail = f" {unit}" if unit else ""
    return f"{low}{tail}" if low == high else f"{low} to {high}{tail}"


def days_from(earlier: date | None, later: date | None, slack: Sequence[int] = (0, 0)) -> State:
    """Return the days from one date to another; ``slack``: how much earlier and later the first may have been over."""
    if earlier is None or later is None:
        return Unknown("needs the dates")
    days = (later - earlier).days
    return between(float(days - slack[1]), float(days - slack[0]))
