"""Van der Linden's criteria for the femur: axial involvement over 30 mm, circumferential over half; made for plain films."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osteon.assessment.measure_base import family
from osteon.assessment.results import ScoreItem, ScoreResult
from osteon.assessment.scores.base import from_ct, not_applicable, not_told, numbers, published, span, state_of, table, total
from osteon.facts import Fact, Known
from osteon.space.anatomy import Structure


def score(facts: Mapping[str, Fact], bone: Structure | None, region: str) -> ScoreResult:  # noqa: ARG001 (one shape for all)
    """Return how many of van der Linden's two criteria are met, and on which instrument each was measured.

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
    items = tuple(_item(name, source, facts) for name in source["criteria"])
    least, most = sum(i.low for i in items), sum(i.high for i in items)
    action = source["action"]["met" if least >= 1 else "none" if most == 0 else "open"]
    if any(from_ct(facts, name) for name in source["criteria"]):
        action = f"{source['instrument']['ct']}. {action}"
    accuracy = f"{published(source)}; {source['accuracy_note']}"
    keys = (*quotes, *(row["source"] for row in source["published"]))
    return ScoreResult(source["id"], source["name"], total(items), items, action, accuracy, keys)


def _item(name: str, source: Mapping[str, Any], facts: Mapping[str, Fact]) -> ScoreItem:
    row, state = source["criteria"][name], state_of(facts, name)
    told = numbers(state)
    limit = float(row["above"])
    low, high = (0, 1) if told is None else (int(told[0] > limit), int(told[1] > limit))
    unit = "" if row["unit"] == "1" else f" {row['unit']}"
    if told is None:
        return ScoreItem(row["text"], state, low, high, f"not measured against {limit:g}{unit} on films: open", (name,))
    shown = span(round(told[0], 2), round(told[1], 2)) + unit
    verdict = {(0, 0): "not met", (1, 1): f"met ({row['rate']})", (0, 1): "open"}[low, high]
    return ScoreItem(
        row["text"], state, low, high, f"{shown} against {limit:g}{unit}: {verdict}; {_instrument(name, source, facts)}", (name,)
    )


def _instrument(name: str, source: Mapping[str, Any], facts: Mapping[str, Fact]) -> str:
    """Return on what a measure was read, as far as it is said."""
    return str(source["instrument"]["ct" if from_ct(facts, name) else "chart"])
