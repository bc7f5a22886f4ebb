"""Harrington's groups of acetabular destruction; where walls are not told, the groups that are left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from osteon.assessment.measure_base import family
from osteon.assessment.results import ScoreItem, ScoreResult
from osteon.assessment.scores.base import flags, not_applicable, not_told, one_of, state_of, table, worded
from osteon.facts import Fact, Unknown
from osteon.space.anatomy import Structure

ZONES = ("hip.acetabulum", "hip.whole", "")


def score(facts: Mapping[str, Fact], bone: Structure | None, region: str) -> ScoreResult:
    """Return Harrington's group.

    Parameters
    ----------
    facts : mapping of str to Fact
        Reads acetabular_medial_wall_destroyed, acetabular_roof_destroyed, acetabular_lateral_rim_destroyed, acetabular_collapse.
    bone : Structure or None
        The bone that holds the lesion.
    region : str
        Zone; outside the acetabulum the groups apply only where the chart says that a wall is destroyed.

    Returns
    -------
    ScoreResult
        I, II, III or IV; a set where walls are not told or a defect is named by no group; not applicable elsewhere.
    """
    source = table("harrington_acetabulum")
    keys = (*source["quotes"], *source["source"])
    if bone is None:
        return not_told(source, "cannot tell: name the bone")
    states = {name: state_of(facts, name) for name in source["walls"]}
    destroyed = any(flags(state) == (True,) for state in states.values())
    if family(bone) != "hip" or (region not in ZONES and not destroyed):
        return not_applicable(source, f"the lesion does not lie in the acetabulum ({bone.name})", keys)
    answers = {name: flags(state) for name, state in states.items()}
    found: list[str] = []
    for walls in product(*answers.values()):
        found += _group(source["groups"], walls)
    order = [g for g in ("I", "II", "III", "IV") if g in found]
    missing = [words for name, words in source["walls"].items() if len(answers[name]) == 2]
    none_told = len(missing) == len(answers)
    state = one_of(order, "cannot tell: say which walls of the acetabulum are destroyed" if none_told else "")
    items = tuple(
        ScoreItem(
            words,
            states[name],
            int(min(answers[name])),
            int(max(answers[name])),
            worded(answers[name], "yes", "no", "not told"),
            (name,),
        )
        for name, words in source["walls"].items()
    )
    action = "; or ".join(dict.fromkeys(source["action"][g] for g in order)) + "."
    if isinstance(state, Unknown):
        action = f"{state.why}. {action}"
    return ScoreResult(source["id"], source["name"], state, items, action, source["accuracy"], (*keys, *source["action_quotes"]))


def _group(rows: Sequence[Mapping[str, Any]], walls: Sequence[bool]) -> list[str]:
    """Return the group of one defect by the first row that fits; two where no group names it."""
    for row in rows:
        if all(wanted is None or wanted == there for wanted, there in zip(row["when"], walls, strict=True)):
            return list(row["group"])
    raise AssertionError(f"no row for {walls}")  # the last two rows and the first cover every defect
