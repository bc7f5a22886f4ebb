"""Mirels' score of impending fracture, for long bones only, with open items as intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osteon.assessment.measure_base import family
from osteon.assessment.results import ScoreItem, ScoreResult
from osteon.assessment.scores.base import (
    choices,
    flags,
    item,
    not_applicable,
    not_told,
    numbers,
    published,
    span,
    state_of,
    table,
    total,
)
from osteon.facts import Fact, Interval, Known, State, Unknown, possible
from osteon.space.anatomy import Structure


def score(facts: Mapping[str, Fact], bone: Structure | None, region: str) -> ScoreResult:
    """Return Mirels' score.

    Parameters
    ----------
    facts : mapping of str to Fact
        Reads long_bone, fracture, pain_vas, pain_functional, lesion_type, cortical_thickness_fraction and
        lesion_diameter_fraction.
    bone : Structure or None
        The bone that holds the lesion.
    region : str
        Zone, for example ``femur.shaft``.

    Returns
    -------
    ScoreResult
        4 to 12 points; an interval where items are open; not applicable outside long bones and where a fracture is already there.
    """
    source = table("mirels")
    long_bone = state_of(facts, "long_bone")
    if isinstance(long_bone, Known) and not long_bone.value:
        name = "bone" if bone is None else bone.name
        return not_applicable(source, f"the {name} is no long bone (register X04)", source["quotes"])
    if bone is None or not isinstance(long_bone, Known):
        return not_told(source, "cannot tell: name the bone")
    fracture = state_of(facts, "fracture")
    if fracture == Known("present"):
        return not_applicable(source, "already fractured: there is no risk left to score (register X04)", source["quotes"])
    items = (
        _site(source["site"], family(bone), region),
        _pain(source["pain"], state_of(facts, "pain_vas"), state_of(facts, "pain_functional")),
        _appearance(source["appearance"], state_of(facts, "lesion_type")),
        _size(source["size"], facts),
    )
    state = total(items)
    low, high = sum(i.low for i in items), sum(i.high for i in items)
    action, quotes = _advice(source, low, high)
    if "present" in possible(fracture) or not isinstance(fracture, Known):
        action += "; only if there is no fracture yet"
    return ScoreResult(source["id"], source["name"], state, items, action, published(source), tuple(quotes))


def _site(rows: Mapping[str, Any], bone: str, region: str) -> ScoreItem:
    if region in rows["peritrochanteric"]["zones"]:
        low = high = int(rows["peritrochanteric"]["points"])
        said = "peritrochanteric"
    elif region in rows["open"]["zones"]:
        low, high = rows["open"]["points"]
        said = f"lower limb; {rows['open']['why']}"
    else:
        limb = next(name for name in ("upper", "lower") if bone in rows[name]["bones"])
        low = high = int(rows[limb]["points"])
        said = f"{limb} limb"
    state: State = Known(region) if low == high else Interval(float(low), float(high))
    return ScoreItem("site", state, low, high, f"{said}: {span(low, high)}", ("bone", "region"))


def _pain(rows: Mapping[str, Any], vas: State, functional: State) -> ScoreItem:
    points: set[int] = set()
    loads = flags(functional)
    if True in loads:
        points.add(int(rows["functional"]))
    if False in loads:
        told = numbers(vas)
        low, high = (0.0, 10.0) if told is None else told
        if low < rows["moderate_from_vas"]:
            points.add(int(rows["mild"]))
        if high >= rows["moderate_from_vas"]:
            points.add(int(rows["moderate"]))
    said = "functional" if loads == (True,) else "not told whether it is functional" if len(loads) == 2 else "not functional"
    if numbers(vas) == (0.0, 0.0) and True not in loads:
        said = "no pain, which has no class: counted as mild"
    state = functional if True in loads and len(loads) == 1 else vas if numbers(vas) is not None else functional
    return item("pain", state, points, said, "pain_vas", "pain_functional")


def _appearance(rows: Mapping[str, Any], kind: State) -> ScoreItem:
    left = choices(kind, ("blastic", "mixed", "lytic"))
    points = [int(rows[c]) for c in left]
    return item("appearance", kind, points, " or ".join(left), "lesion_type")


def _size(rows: Mapping[str, Any], facts: Mapping[str, Fact]) -> ScoreItem:
    """Return the points by either denominator; the worse counts; what is not measured is said and takes nothing off."""
    low = high = 0
    worse: State = Unknown()
    said = []
    for name, label in rows["denominators"].items():
        told = numbers(state_of(facts, name))
        if told is None:
            said.append(f"by {label}: not measured")
            continue
        points = _third(rows, told[0]), _third(rows, told[1])
        said.append(f"by {label} {span(round(told[0], 2), round(told[1], 2))}: {span(*points)}")
        if (points[1], points[0]) > (high, low):
            worse = state_of(facts, name)
        low, high = max(low, points[0]), max(high, points[1])
    if high == 0:
        low, high = int(rows["below_third"]), int(rows["above_two_thirds"])
        worse = state_of(facts, next(iter(rows["denominators"])))
    return item("size", worse, (low, high), "; ".join(said) + "; the worse counts", *rows["denominators"])


def _third(rows: Mapping[str, Any], fraction: float) -> int:
    """Return the points of a fraction: [0, 1/3), [1/3, 2/3], (2/3, 1], compared to nine digits."""
    if fraction < rows["low"] - 1e-9:
        return int(rows["below_third"])
    return int(rows["third_to_two_thirds"] if fraction <= rows["high"] + 1e-9 else rows["above_two_thirds"])


def _advice(source: Mapping[str, Any], low: int, high: int) -> tuple[str, list[str]]:
    """Return what the sources say over an interval of totals, with their keys."""
    bands = [b for b in source["action"] if b["totals"][0] <= high and low <= b["totals"][1]]
    rows = [r for r in source["risk"] if r["totals"][0] <= high and low <= r["totals"][1]]
    risk = f"risk of fracture within 6 months {rows[0]['said']}" + (f" to {rows[-1]['said']}" if len(rows) > 1 else "")
    notes = [source["action_note"]] + ([source["risk_note"]] if high >= 9 else [])
    text = "; or ".join(b["text"] for b in bands)
    keys = [
        *source["quotes"],
        *(k for b in bands for k in b["quotes"]),
        *(r["source"] for r in rows),
        *(r["source"] for r in source["published"]),
    ]
    return f"{text}. {risk}. {'. '.join(notes)}", list(dict.fromkeys(keys))
