"""The thresholds of a CT study of long bones, beside those that were made for films."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osteon.assessment.results import ScoreItem, ScoreResult
from osteon.assessment.scores import mirels
from osteon.assessment.scores.base import from_ct, not_applicable, not_told, numbers, one_of, span, state_of, table
from osteon.facts import Fact, Known, State, Unknown
from osteon.space.anatomy import Structure


def score(facts: Mapping[str, Fact], bone: Structure | None, region: str) -> ScoreResult:
    """Return whether the one independent criterion of the study is met, with the others beside it; they are not added up.

    Parameters
    ----------
    facts : mapping of str to Fact
        Reads long_bone, fracture, circumferential_cortical_fraction, axial_cortical_mm, cortical_thickness_fraction, and what
        Mirels' score reads.
    bone : Structure or None
        The bone that holds the lesion.
    region : str
        Zone, for Mirels' score.

    Returns
    -------
    ScoreResult
        "met" or "not met"; both where it is open; not applicable outside long bones and where a fracture is already there.
    """
    source = table("ct_involvement")
    keys = tuple(source["source"])
    long_bone = state_of(facts, "long_bone")
    if isinstance(long_bone, Known) and not long_bone.value:
        return not_applicable(source, f"the {'bone' if bone is None else bone.name} is no long bone", keys)
    if bone is None or not isinstance(long_bone, Known):
        return not_told(source, "cannot tell: name the bone")
    if state_of(facts, "fracture") == Known("present"):
        return not_applicable(source, "already fractured: there is no risk left to judge (register X04)", keys)
    states = {name: state_of(facts, name) for name in source["criteria"]}
    states["mirels_score"] = mirels.score(facts, bone, region).state
    items = tuple(_item(name, source, state, facts) for name, state in states.items())
    first = items[list(states).index(source["decides"])]
    left = [word for met, word in ((1, "met"), (0, "not met")) if first.low <= met <= first.high]
    told = not isinstance(states[source["decides"]], Unknown)
    state = one_of(left) if told else Unknown("cannot tell: measure how much of the circumference is involved")
    action = source["action"]["open" if len(left) > 1 else "met" if left == ["met"] else "none"]
    return ScoreResult(source["id"], source["name"], state, items, action, source["accuracy"], keys)


def _item(name: str, source: Mapping[str, Any], state: State, facts: Mapping[str, Fact]) -> ScoreItem:
    row, told = source["criteria"][name], numbers(state)
    limit = float(row["from"])
    unit = "" if row["unit"] == "1" else f" {row['unit']}"
    if told is None:
        return ScoreItem(row["text"], state, 0, 1, f"not measured against at least {limit:g}{unit}: open", (name,))
    low, high = (int(end >= limit - 1e-9) for end in told)
    verdict = {(0, 0): "not met", (1, 1): f"met ({row['said']})", (0, 1): f"open ({row['said']})"}[low, high]
    shown = span(round(told[0], 2), round(told[1], 2)) + unit
    where = "" if name == "mirels_score" else f"; {source['instrument']['ct' if from_ct(facts, name) else 'other']}"
    return ScoreItem(row["text"], state, low, high, f"{shown} against at least {limit:g}{unit}: {verdict}{where}", (name,))
