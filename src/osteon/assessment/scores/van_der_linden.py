"""Van der Linden's criteria for the femur: axial involvement over 30 mm, circumferential over half."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osteon.assessment.measure_base import family
from osteon.assessment.results import ScoreItem, ScoreResult
from osteon.assessment.scores.base import not_applicable, not_told, numbers, span, state_of, table, total
from osteon.facts import Fact, Known, State
from osteon.space.anatomy import Structure


def score(facts: Mapping[str, Fact], bone: Structure | None, region: str) -> ScoreResult:  # noqa: ARG001 (one shape for all)
    """Return how many of van der Linden's two criteria are met.

    Parameters
    ----------
    facts : mapping of str to Fact
        Reads fracture, axial_cortical_mm and circumferential_cortical_fraction.
    bone : Structure or None
        The bone that holds the lesion.
    region : str
        Zone; not used.

    Returns
    -------
    ScoreResult
        0 to 2; an interval where a measure is open; not applicable outside the femur and where a fracture is already there.
    """
    source = table("van_der_linden")
    quotes = tuple(q for row in source["criteria"].values() for q in row["quotes"])
    if bone is None:
        return not_told(source, "cannot tell: name the bone")
    if family(bone) != "femur":
        return not_applicable(source, f"the criteria are of the femur, this is the {bone.name}", quotes)
    if state_of(facts, "fracture") == Known("present"):
        return not_applicable(source, "already fractured: there is no risk left to judge (register X04)", quotes)
    items = tuple(_item(name, row, state_of(facts, name)) for name, row in source["criteria"].items())
    least, most = sum(i.low for i in items), sum(i.high for i in items)
    action = source["action"]["met" if least >= 1 else "none" if most == 0 else "open"]
    return ScoreResult(source["id"], source["name"], total(items), items, action, source["accuracy"], quotes)


def _item(name: str, row: Mapping[str, Any], state: State) -> ScoreItem:
    told = numbers(state)
    limit = float(row["above"])
    low, high = (0, 1) if told is None else (int(told[0] > limit), int(told[1] > limit))
    unit = "" if row["unit"] == "1" else f" {row['unit']}"
    shown = "not measured" if told is None else span(round(told[0], 2), round(told[1], 2)) + unit
    verdict = {(0, 0): "not met", (1, 1): f"met ({row['rate']})", (0, 1): "open"}[low, high]
    return ScoreItem(row["text"], state, low, high, f"{shown} against {limit:g}{unit}: {verdict}", (name,))
