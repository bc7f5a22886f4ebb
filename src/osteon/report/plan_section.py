"""Everything that the page says about one plan that is shown in full."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.assessment.results import LesionAssessment
from osteon.errors import ImageError
from osteon.planning.plan import TARGET, UNCOVERED, Plan
from osteon.report import operator_content, plan_content, run_content, ultrasound_section, ultrasound_sheet, words
from osteon.report.figures import Entry, Overlay, Picture, legend, section
from osteon.report.graphs import margin_histogram, margin_map
from osteon.report.planes import centre_of, extent_mm, needle_planes, standard_planes
from osteon.report.prescription_files import field_of, poses_of, stems
from osteon.selection.verdicts import Verdict
from osteon.space.anatomy import Anatomy, Field

if TYPE_CHECKING:
    from osteon.pathway import Journey


def plan_in_full(
    journey: Journey, assessed: LesionAssessment, plan: Plan, facts: Mapping[str, Any], place: str, side: str
) -> dict[str, Any]:
    """Return everything that the page says about a plan shown in full.

    Parameters
    ----------
    journey : Journey
        What the path gave.
    assessed : LesionAssessment
        Of the plan's lesion.
    plan : Plan
        Which; without steps most of it says that there is nothing.
    facts : mapping
        By name, for the procedure sheet.
    place, side : str
        Where the lesion is, in words.
    """
    verdict = _verdict(journey, plan)
    pictures, entries, why_none = _plan_pictures(assessed.anatomy, plan)
    graphs, cool, without = plan_content.courses(plan)
    histogram, by_direction = (
        (margin_histogram(plan.margin_mm), margin_map(plan.margin_mm)) if plan.margin_mm is not None else (None, None)
    )
    values = plan_content.values_of(plan)
    runs, undrawn = run_content.run_courses(plan)
    return {
        "plan": plan,
        "ultrasound": ultrasound_section.section_of(plan, assessed.anatomy),
        "sonications": ultrasound_sheet.sheet_of(plan, _files(journey, plan)),
        "surface": ultrasound_section.treats_surface(plan),
        "uncovered": ultrasound_section.uncovered_of(plan),
        "title": plan_content.heading(plan),
        "standing": plan_content.standing(plan),
        "tone": "quiet" if plan.study else words.TONE[plan.standing],
        "prescription": operator_content.prescription_of(plan),
        "judged": plan_content.judged(plan.findings),
        "cuts": pictures,
        "legend": entries,
        "why_none": why_none,
        "histogram": histogram,
        "map": by_direction,
        "stamps": run_content.device_stamps(plan),
        "dead": run_content.counted_as_dead(plan),
        "froze": any(Field.FROZEN_MIN_C in s.effect.state for s in plan.steps),
        "criteria": run_content.criteria_of(plan),
        "assumed": [text for text in run_content.assumed_of(plan) if text not in plan.assumptions],
        "runs": runs,
        "undrawn": undrawn,
        "courses": graphs,
        "cool": cool,
        "without_course": without,
        "sheet": operator_content.procedure_sheet(plan, facts, verdict, place, side),
        "values": values,
        "unverified": sum(not v.verified for v in values),
        "figures": plan_content.figures_of(plan),
        "grid": plan_content.grid_words(plan),
        "sampled": max((m.n for m in plan.measures.values()), default=0),
    }


def _files(journey: Journey, plan: Plan) -> list[str]:
    """Return the names of the sonication files of a plan."""
    named = zip(journey.plans, stems(journey.plans), strict=True)
    return next((ultrasound_sheet.names_of(each, stem) for each, stem in named if each is plan), [])


def _verdict(journey: Journey, plan: Plan) -> Verdict | None:
    try:
        return journey.verdicts.of(plan.lesion_id, plan.treatment)
    except KeyError:
        return None


def _plan_pictures(whole: Anatomy, plan: Plan) -> tuple[list[Picture], list[Entry], str]:
    """Return the cuts along and across the needle (or through the target) with isotherms and dose."""
    anatomy = _drawable(whole, plan)
    needles = tuple(poses_of(plan))
    temperature = field_of(plan, Field.TEMPERATURE_C)
    overlay = Overlay(temperature, field_of(plan, Field.CEM43_MIN), needles, field_of(plan, Field.FROZEN_MIN_C))
    named = [s for s in anatomy.masks if s.id in ("target", "lesion") and anatomy.masks[s].array.any()]
    if ultrasound_section.treats_surface(plan):  # the cuts go through what is meant, which may lie beside the lesion
        named.sort(key=lambda s: s != TARGET)
    mask = anatomy.masks[named[0]] if named else None
    if mask is None:
        return [], [], "No picture: neither target nor lesion is outlined on the planning grid."
    try:
        centre = centre_of(mask)
    except ImageError:
        return [], [], "No picture: the target is empty."
    planes = (
        needle_planes(needles[0], centre) if needles else standard_planes(centre, float(np.clip(extent_mm(mask) + 35, 50, 110)))
    )
    cuts = [section(anatomy, plane, overlay) for plane in planes]
    return cuts, legend(tuple(s for cut in cuts for s in cut.shown), overlay), ""


def _drawable(whole: Anatomy, plan: Plan) -> Anatomy:
    """Return the whole image with the plan's target and what stays uncovered laid over it, each on its own grid."""
    planned = [a for a in (plan.before, plan.after) if a is not None]
    extra = {s: mask for a in planned for s, mask in a.masks.items() if s in (TARGET, UNCOVERED)}
    return replace(whole, masks={**whole.masks, **extra})
