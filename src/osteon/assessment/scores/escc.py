"""ESCC, the grade of epidural spinal cord compression, as read on MR."""

from __future__ import annotations

from collections.abc import Mapping

from osteon.assessment.results import ScoreResult
from osteon.assessment.scores.base import choices, not_applicable, not_told, one_of, state_of, table
from osteon.assessment.scores.sins import spinal
from osteon.facts import Fact
from osteon.space.anatomy import Structure


def score(facts: Mapping[str, Fact], bone: Structure | None, region: str) -> ScoreResult:  # noqa: ARG001 (one shape for all)
    """Return the grade of epidural spinal cord compression.

    Parameters
    ----------
    facts : mapping of str to Fact
        Reads escc_grade.
    bone : Structure or None
        The bone that holds the lesion.
    region : str
        Zone; not used.

    Returns
    -------
    ScoreResult
        0, 1a, 1b, 1c, 2 or 3, or those that are left; unknown where no MR was read; not applicable outside the spine.
    """
    source = table("escc")
    keys = tuple(source["source"])
    if bone is None:
        return not_told(source, "cannot tell: name the bone")
    if not spinal(bone):
        return not_applicable(source, f"the {bone.name} does not belong to the spine", keys)
    left = choices(state_of(facts, "escc_grade"), tuple(source["grades"]))
    if len(left) == len(source["grades"]):
        return not_told(source, "cannot tell: needs an MR of the spine, read for its ESCC grade")
    kinds = [kind for kind in ("low", "contested", "high") if set(source[kind]) & set(left)]
    said = "; or ".join(f"{g}: {source['grades'][g]}" for g in left)
    action = f"{said}. " + "; or ".join(source["action"][kind] for kind in kinds) + "."
    return ScoreResult(source["id"], source["name"], one_of(left), (), action, source["accuracy"], keys)
