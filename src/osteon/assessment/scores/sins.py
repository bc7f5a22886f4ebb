"""SINS, the instability score of spinal metastases, with open items as intervals."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from osteon.assessment.results import ScoreItem, ScoreResult
from osteon.assessment.scores.base import (
    bands,
    choices,
    flags,
    item,
    not_applicable,
    not_told,
    numbers,
    span,
    state_of,
    table,
    total,
    worded,
)
from osteon.facts import Fact, Known, State, Unknown
from osteon.space.anatomy import Structure

SACRAL = re.compile(r"\bS ?([1-5])\b", re.IGNORECASE)


def score(facts: Mapping[str, Fact], bone: Structure | None, region: str) -> ScoreResult:  # noqa: ARG001 (one shape for all)
    """Return the Spinal Instability Neoplastic Score.

    Parameters
    ----------
    facts : mapping of str to Fact
        Reads region, pain_vas, pain_mechanical, lesion_type, spinal_alignment, vertebral_collapse_fraction,
        vertebral_body_involved_fraction and posterolateral_involvement.
    bone : Structure or None
        The bone that holds the lesion; its id names the level.
    region : str
        Zone; not used.

    Returns
    -------
    ScoreResult
        0 to 18 points; an interval where items are open; not applicable outside the spine.
    """
    source = table("sins")
    keys = tuple(source["source"])
    if bone is None:
        return not_told(source, "cannot tell: name the bone")
    if not spinal(bone):
        return not_applicable(source, f"the {bone.name} does not belong to the spine", keys)
    items = (
        _location(source["location"], bone, state_of(facts, "region")),
        _pain(source["pain"], state_of(facts, "pain_vas"), state_of(facts, "pain_mechanical")),
        _choice("bone lesion", source["lesion"], facts, "lesion_type"),
        _choice("alignment", source["alignment"], facts, "spinal_alignment"),
        _collapse(source["collapse"], facts),
        _choice("posterolateral involvement", source["posterolateral"], facts, "posterolateral_involvement"),
    )
    said = bands(source["bands"], items)
    return ScoreResult(source["id"], source["name"], total(items), items, said, source["accuracy"], keys)


def spinal(bone: Structure) -> bool:
    """Tell whether a bone belongs to the spine."""
    return bone.id.startswith(("vertebra_", "sacrum"))


def _location(rows: Mapping[str, Any], bone: Structure, region: State) -> ScoreItem:
    level = bone.id.removeprefix("vertebra_")
    named = [level]
    if bone.id == "sacrum":  # one outline holds five levels: the chart's region may name them
        told = str(region.value) if isinstance(region, Known) else ""
        named = [f"S{digit}" for digit in SACRAL.findall(told)] or [f"S{i}" for i in range(1, 6)]
    found = {level: (name, int(row["points"])) for name, row in rows.items() for level in row["levels"]}
    points = [found[each][1] for each in named]
    if bone.id == "sacrum" and isinstance(region, Known) and SACRAL.search(str(region.value)):
        points = [max(points)]  # a lesion over several levels counts by the least stable of them
    kinds = " or ".join(dict.fromkeys(found[each][0] for each in named if found[each][1] in points))
    state: State = Known(level) if bone.id != "sacrum" or len(points) == 1 else Unknown("which sacral level is not said")
    return item("location", state, points, f"{bone.name}, {kinds}", "bone", "region")


def _pain(rows: Mapping[str, Any], vas: State, mechanical: State) -> ScoreItem:
    told, loads = numbers(vas), flags(mechanical)
    low, high = (0.0, 10.0) if told is None else told
    points = {int(rows["mechanical"])} if True in loads else set()
    if low <= 0:
        points.add(int(rows["none"]))
    if False in loads and high > 0:
        points.add(int(rows["occasional"]))
    if told == (0.0, 0.0) and loads != (True,):
        points = {int(rows["none"])}
    said = worded(loads, "mechanical", "not mechanical", "not told whether it is mechanical")
    if told == (0.0, 0.0):
        said = "no pain" if loads != (True,) else "no pain by VAS, yet called mechanical: both count"
    if loads == (True,) and told is None:
        points = {int(rows["mechanical"])}  # pain that is called mechanical is there
    state = mechanical if len(loads) == 1 else vas if told is not None else mechanical
    return item("pain", state, points, said, "pain_mechanical", "pain_vas")


def _choice(name: str, rows: Mapping[str, Any], facts: Mapping[str, Fact], fact: str) -> ScoreItem:
    state = state_of(facts, fact)
    left = choices(state, tuple(rows))
    said = " or ".join(c.replace("_", " ") for c in left) if len(left) < len(rows) else "not told"
    return item(name, state, [int(rows[c]) for c in left], said, fact)


def _collapse(rows: Mapping[str, Any], facts: Mapping[str, Fact]) -> ScoreItem:
    """Return the item of the vertebral body; exactly half of its height is given to neither class, so both count."""
    lost, part = state_of(facts, "vertebral_collapse_fraction"), state_of(facts, "vertebral_body_involved_fraction")
    told, half = numbers(lost), float(rows["half"])
    low, high = (0.0, 1.0) if told is None else told
    points: set[int] = set()
    if high >= half:
        points.add(int(rows["over_half"]))
    if low <= half and high > 0:
        points.add(int(rows["under_half"]))
    if low <= 0:
        involved = numbers(part) or (0.0, 1.0)
        points |= {int(rows["none_but_involved"])} if involved[1] > half else set()
        points |= {int(rows["none"])} if involved[0] <= half else set()
    said = "height lost not told" if told is None else f"{span(round(low * 100), round(high * 100))} % of the height lost"
    if told is not None and low <= half <= high:
        said = f"exactly half is given to neither class, both count; {said}"
    if low <= 0:
        shown = numbers(part)
        said += (
            ", part of the body involved not told" if shown is None else f", {span(*(round(v * 100) for v in shown))} % involved"
        )
    return item("vertebral body", lost, points, said, "vertebral_collapse_fraction", "vertebral_body_involved_fraction")
