"""What a case has, what that allows, and which cheapest next step would decide which treatment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from osteon.assessment.results import Assessment, LesionAssessment
from osteon.case.model import Case
from osteon.data_files import read_data
from osteon.facts import Fact, Unknown, possible, vocabulary
from osteon.selection.verdicts import Verdicts

GROUPS = ("chart", "measured")


@dataclass(frozen=True)
class Holding:
    """One kind of image that the case has, or its chart alone.

    Parameters
    ----------
    modality : str
        CT, MR, PT, NM, XR, other, or none.
    title, allows, lacks : str
        In words: what it is, what it allows, what cannot be told by it.
    ids : tuple of str
        Studies of this kind that are at hand.
    declared : tuple of str
        Those that exist but are not at hand.
    """

    modality: str
    title: str
    allows: str
    lacks: str
    ids: tuple[str, ...] = ()
    declared: tuple[str, ...] = ()


@dataclass(frozen=True)
class NextStep:
    """A step that could tell missing facts of one lesion.

    Parameters
    ----------
    id, title, burden : str
        From ``examinations.yaml``; steps stand in the order of their burden.
    facts : tuple of str
        Open facts that it could tell and that bear on the lesion's treatments.
    excludes : tuple of str
        Treatments that it could exclude by itself.
    opens : tuple of str
        Treatments of which it could tell everything that is missing.
    opens_after : tuple of str
        Treatments of which everything missing would be told with this step and all that stand before it, and not earlier.
    plan : bool
        Whether this step makes a simulated plan possible.
    """

    id: str
    title: str
    burden: str
    facts: tuple[str, ...]
    excludes: tuple[str, ...] = ()
    opens: tuple[str, ...] = ()
    opens_after: tuple[str, ...] = ()
    plan: bool = False


@cache
def examinations() -> Mapping[str, Any]:
    """Return ``examinations.yaml``."""
    loaded: Mapping[str, Any] = read_data("osteon.selection", "examinations.yaml")
    return loaded


def at_hand(case: Case) -> tuple[Holding, ...]:
    """Return the kinds of image that a case has, CT first; the chart alone where it has none.

    Examples
    --------
    >>> from pathlib import Path
    >>> at_hand(Case(Path(), "P", {}, ()))[0].title
    'chart only'
    """
    found = []
    for modality, entry in examinations()["images"].items():
        ids = tuple(s.id for s in case.studies if s.modality == modality)
        declared = tuple(d.id for d in case.declared if d.modality == modality)
        if ids or declared:
            found.append(Holding(modality, entry["title"], entry["allows"], entry["lacks"], ids, declared))
    if not case.studies:
        entry = examinations()["images"]["none"]
        found.append(Holding("none", entry["title"], entry["allows"], entry["lacks"]))
    return tuple(found)


def next_steps(assessment: Assessment, verdicts: Verdicts, lesion_id: str) -> tuple[NextStep, ...]:
    """List the steps that could tell what is missing of a lesion, the least burden first.

    A step opens a treatment when it could tell every fact of one of the sets that can leave it open, and excludes it when it
    could tell one of the sets that can only exclude it. What an examination could tell is a possibility, not a promise.

    Parameters
    ----------
    assessment : Assessment
        The case and what was made of its lesions.
    verdicts : Verdicts
        Under the policy that counts.
    lesion_id : str
        Which lesion.

    Returns
    -------
    tuple of NextStep
        Steps that tell nothing that matters, or nothing beyond the steps before them, are left out.

    Raises
    ------
    KeyError
        If there is no such lesion.
    """
    lesion = assessment.lesion(lesion_id)
    open_ones = [v for v in verdicts.verdicts if v.lesion_id == lesion_id and v.policy == verdicts.policy and v.missing]
    asked = {q.fact for q in verdicts.questions if q.lesion_id in ("", lesion_id)}
    mattering = asked | {fact for v in open_ones for facts in v.missing for fact in facts}
    planned = assessment.case.planning_image is not None and lesion.anatomy.has("lesion")
    told: set[str] = set()
    opened: set[str] = set()
    found = []
    for entry in examinations()["steps"]:
        if not _possible(entry, assessment.case, lesion):
            continue
        can = _tells(entry) & mattering
        makes_plan = entry["id"] in ("ct", "outline_ct") and not planned
        if can <= told and not makes_plan:
            continue
        told |= can
        after = tuple(v.treatment for v in open_ones if v.treatment not in opened and _covers(told, v.opening))
        opened |= set(after)
        found.append(
            NextStep(
                id=entry["id"],
                title=entry["title"],
                burden=entry["burden"],
                facts=tuple(name for name in vocabulary() if name in can),
                excludes=tuple(v.treatment for v in open_ones if _covers(can, [m for m in v.missing if m not in v.opening])),
                opens=tuple(v.treatment for v in open_ones if _covers(can, v.opening)),
                opens_after=after,
                plan=makes_plan,
            )
        )
        planned = planned or makes_plan
    return tuple(found)


def cheapest(steps: Sequence[NextStep]) -> NextStep | None:
    """Return the step to take next: the least burden that opens a treatment by itself; else the first of the list."""
    return next((s for s in steps if s.opens), steps[0] if steps else None)


def _covers(can: set[str], sets: Iterable[Sequence[str]]) -> bool:
    return any(set(facts) <= can for facts in sets)


def _tells(entry: Mapping[str, Any]) -> set[str]:
    """Return the facts that a step could tell, with groups written out."""
    names: set[str] = set()
    for name in entry["tells"]:
        if name in GROUPS:
            names |= {k for k, v in vocabulary().items() if v.measured == (name == "measured")}
        else:
            names.add(name)
    return names - set(entry.get("except", ()))


def _possible(entry: Mapping[str, Any], case: Case, lesion: LesionAssessment) -> bool:
    """Tell whether a step makes sense with the images that the case has."""
    here = {s.modality for s in case.studies}
    known = here | {d.modality for d in case.declared}
    if not set(entry.get("needs", ())) <= here or set(entry.get("lacks", ())) & here:
        return False
    if entry.get("if_contrast") and not _contrast(lesion.facts, case.facts):
        return False
    return not set(entry.get("not_at_hand", ())) & known


def _contrast(*sources: Mapping[str, Fact]) -> bool:
    """Tell whether the CT may have contrast agent, as far as anyone stated it."""
    states = [source["contrast_enhanced"].state for source in sources if "contrast_enhanced" in source]
    return any(True in possible(state) for state in states if not isinstance(state, Unknown))
