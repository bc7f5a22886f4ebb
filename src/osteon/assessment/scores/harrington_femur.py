"""Harrington's four risk factors for a pathological fracture of the femur."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osteon.assessment.measure_base import family
from osteon.assessment.results import ScoreItem, ScoreResult
from osteon.assessment.scores.base import flags, not_applicable, not_told, numbers, span, state_of, table, total, truth, worded
from osteon.facts import Fact, Known
from osteon.space.anatomy import Structure


def score(facts: Mapping[str, Fact], bone: Structure | None, region: str) -> ScoreResult:  # noqa: ARG001 (one shape for all)
    """Return how many of Harrington's four factors are met.

    Parameters
    ----------
    facts : mapping of str to Fact
        Reads fracture, circumferential_cortical_fraction, size_max_mm, lesser_trochanter_avulsed,
        stress_pain_after_radiotherapy, pain_functional and prior_radiotherapy.
    bone : Structure or None
        The bone that holds the lesion.
    region : str
        Zone; not used.

    Returns
    -------
    ScoreResult
        0 to 4; an interval where a factor is open; not applicable outside the femur and where a fracture is already there.
    """
    source = table("harrington_femur")
    keys = (*source["quotes"], *source["source"])
    if bone is None:
        return not_told(source, "cannot tell: name the bone")
    if family(bone) != "femur":
        return not_applicable(source, f"the factors are of the femur, this is the {bone.name}", keys)
    if state_of(facts, "fracture") == Known("present"):
        return not_applicable(source, "already fractured: there is no risk left to judge (register X04)", keys)
    items = tuple(_item(name, row, facts) for name, row in source["criteria"].items())
    least, most = sum(i.low for i in items), sum(i.high for i in items)
    action = source["action"]["met" if least >= 1 else "none" if most == 0 else "open"]
    return ScoreResult(source["id"], source["name"], total(items), items, action, source["accuracy"], keys)


def _item(name: str, row: Mapping[str, Any], facts: Mapping[str, Fact]) -> ScoreItem:
    state = state_of(facts, name)
    if "above" in row:
        met = truth(state, lambda v: v > row["above"])
        told = numbers(state)
        unit = "" if row["unit"] == "1" else f" {row['unit']}"
        said = "not measured" if told is None else f"{span(*(round(v, 2) for v in told))}{unit}"
    else:
        met = flags(state)
        if len(met) == 2 and any(flags(state_of(facts, need)) == (False,) for need in row.get("needs", ())):
            met = (False,)  # without irradiation, or without pain on loading, it cannot be there
        said = worded(met, "yes", "no", "not told")
    verdict = worded(met, "met", "not met", "open")
    return ScoreItem(row["text"], state, int(min(met)), int(max(met)), f"{said}: {verdict}", (name, *row.get("needs", ())))
