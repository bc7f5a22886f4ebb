"""What every score shares: facts as intervals of points, and their sum."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Any

from osteon.assessment.results import ScoreItem, ScoreResult
from osteon.data_files import read_data
from osteon.facts import Fact, Interval, Known, NotApplicable, OneOf, State, Unknown
from osteon.space.anatomy import Structure

Score = Callable[[Mapping[str, Fact], Structure | None, str], ScoreResult]


@cache
def table(name: str) -> Mapping[str, Any]:
    """Return the YAML of a score."""
    loaded: Mapping[str, Any] = read_data("osteon.assessment.scores", f"{name}.yaml")
    return loaded


def state_of(facts: Mapping[str, Fact], name: str) -> State:
    """Return what is known of a fact; not given is unknown."""
    return facts[name].state if name in facts else Unknown()


def numbers(state: State) -> tuple[float, float] | None:
    """Return the least and greatest number that a state allows; None where it tells none."""
    match state:
        case Known(value) if not isinstance(value, str):
            return float(value), float(value)
        case Interval(low, high):
            return low, high
        case OneOf(values) if values and not any(isinstance(v, str) for v in values):
            return min(float(v) for v in values), max(float(v) for v in values)
    return None


def choices(state: State, among: Sequence[str]) -> tuple[str, ...]:
    """Return the choices that a state leaves open; all of them where it tells none."""
    match state:
        case Known(value) if value in among:
            return (str(value),)
        case OneOf(values):
            left = tuple(str(v) for v in values if v in among)
            return left or tuple(among)
    return tuple(among)


def flags(state: State) -> tuple[bool, ...]:
    """Return the truth values that a state leaves open."""
    match state:
        case Known(value):
            return (bool(value),)
        case OneOf(values):
            return tuple(sorted({bool(v) for v in values}))
    return (False, True)


def truth(state: State, test: Callable[[float], bool]) -> tuple[bool, ...]:
    """Return the truth values of a monotone test that a number's state leaves open; both where it tells none."""
    told = numbers(state)
    return (False, True) if told is None else tuple(sorted({test(told[0]), test(told[1])}))


def worded(answers: Collection[int], yes: str, no: str, unsettled: str) -> str:
    """Return words for the truth values that are left; bools are integers."""
    left = {bool(a) for a in answers}
    return unsettled if len(left) != 1 else yes if True in left else no


def one_of(values: Sequence[str], why: str = "") -> State:
    """Return the classes that are left as a state: one is known, several are a set; with a reason, all of them are unknown."""
    distinct = tuple(dict.fromkeys(values))
    if why:
        return Unknown(why)
    return Known(distinct[0]) if len(distinct) == 1 else OneOf(distinct)


def item(name: str, state: State, points: Collection[int], text: str, *facts: str) -> ScoreItem:
    """Return an item with its points as an interval, and said in words; ``facts`` are those it was read from."""
    low, high = min(points), max(points)
    return ScoreItem(name, state, low, high, f"{text}: {span(low, high)}", facts)


def total(items: Sequence[ScoreItem]) -> State:
    """Return the sum of the items' intervals; unknown where every item is open."""
    low, high = sum(i.low for i in items), sum(i.high for i in items)
    if low == high:
        return Known(low)
    if all(isinstance(i.state, Unknown) and i.low != i.high for i in items):
        return Unknown("no item is known: " + ", ".join(i.name for i in items))
    return Interval(float(low), float(high))


def bands(rows: Sequence[Mapping[str, Any]], items: Sequence[ScoreItem]) -> str:
    """Return what the sources say over the totals that are left; where bands are open, what would tell, the widest first."""
    low, high = sum(i.low for i in items), sum(i.high for i in items)
    left = [str(row["text"]) for row in rows if row["totals"][0] <= high and low <= row["totals"][1]]
    if len(left) == 1:
        return f"{left[0]}."
    asked = sorted((i for i in items if i.low != i.high), key=lambda i: i.low - i.high)
    said = "Open: every group is still possible" if len(left) == len(rows) else "; or ".join(left)
    return f"{said}. To find out: {', '.join(i.name for i in asked)}."


def not_applicable(source: Mapping[str, Any], why: str, quotes: Sequence[str] = ()) -> ScoreResult:
    """Return a score that has no meaning here, and why."""
    return ScoreResult(source["id"], source["name"], NotApplicable(why), (), "not applicable: " + why, "", tuple(quotes))


def not_told(source: Mapping[str, Any], why: str) -> ScoreResult:
    """Return a score that cannot be told, and what to do."""
    return ScoreResult(source["id"], source["name"], Unknown(why), (), why, "", ())


def from_ct(facts: Mapping[str, Fact], name: str) -> bool:
    """Tell whether a fact was read from the image, which means a CT for what is measured on the cortex."""
    return name in facts and any(origin.kind == "image" for origin in facts[name].origins)


def published(source: Mapping[str, Any]) -> str:
    """Return the published accuracy of a score, one study after the other, from the rows of its YAML."""
    words = {"sensitivity": "sensitivity", "specificity": "specificity", "ppv": "positive predictive value"}
    words["npv"] = "negative predictive value"
    told = []
    for row in source["published"]:
        figures = ", ".join(f"{said} {row[key]:g} %" for key, said in words.items() if key in row)
        told.append(f"{row['text']}: {figures}{'' if row['verified'] else ' (not verified)'}")
    return "; ".join(told)


def span(low: float, high: float) -> str:
    """Return an interval of points in words."""
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
