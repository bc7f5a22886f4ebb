"""The lesions of a case: which bone, which side, the outline, and whether chart and image agree."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from osteon.case.carried import carried_over
from osteon.case.chart import facts_of
from osteon.case.model import Lesion, Study
from osteon.case.outline_files import DrawnLesion, Outlines, centre_mm, named, placed
from osteon.case.places import Places
from osteon.case.schema import CaseModel, LesionModel, OutlineModel
from osteon.case.yaml_lines import Lines
from osteon.errors import CaseFileError
from osteon.facts import Fact, Known, Origin, Unknown, merge
from osteon.io import labels
from osteon.space.anatomy import Structure
from osteon.space.volume import Volume

BESIDE_MM = 3.0
"""Closer to the bone's middle than this, a lesion is on neither side."""


def given(model: Any) -> Mapping[str, Any]:
    """Return the entries that a case file gives, without those left out."""
    return {name: getattr(model, name) for name in model.model_fields_set}


def _bone(model: LesionModel, where: str) -> Structure | None:
    """Return the bone: its id, or its plain name joined with side or level."""
    if model.bone == "unknown":
        return None
    name = model.bone
    if model.level and name in ("vertebra", "rib"):
        name = f"{name}_{model.level}"
    if labels.structure_named(name) is None and labels.structure_named(f"{name}_{model.side}") is not None:
        name = f"{name}_{model.side}"
    bone = named(name, where)
    if bone.kind != "bone":
        raise CaseFileError(
            f"{where}: {bone.name} is no bone.",
            "Region, load and what must be judged follow the bone.",
            "Name the bone that holds the lesion.",
        )
    if bone.side and model.side in ("left", "right", "midline") and bone.side != model.side:
        raise CaseFileError(
            f"{where}: the bone is {bone.id}, but the side is {model.side}.",
            "A treatment on the wrong side harms the healthy one.",
            "Look at the image and correct one of the two.",
        )
    if model.level and not bone.id.endswith(f"_{model.level}") and f"_{model.level}_" not in bone.id:
        raise CaseFileError(
            f"{where}: the bone is {bone.id}, but the level is {model.level}.",
            "A needle at the wrong level treats the wrong vertebra.",
            "Look at the image and correct one of the two.",
        )
    return bone


def lesion_outlines(model: CaseModel, places: Places, lines: Lines) -> dict[str, DrawnLesion]:
    """Return the outlines of the lesions that were drawn on the reference study, by lesion id.

    Raises
    ------
    CaseFileError
        If there is no image.
    ImageError
        If an outline cannot be used.
    """
    found = {}
    for i, each in enumerate(model.lesions):
        if each.outline is None:
            continue
        place = lines.at("lesions", i, "outline")
        study = places.drawn_on(each.outline.study, place)
        if study is not places.reference:
            continue
        found[each.id] = _drawn(each, each.outline, study, places, place)
    return found


def carry_lesions(model: CaseModel, places: Places, lines: Lines, found: Outlines) -> None:
    """Add the lesions that were outlined on another study; where it is not aligned, say why the lesion has no outline.

    Raises
    ------
    ImageError
        If an outline cannot be used.
    """
    for i, each in enumerate(model.lesions):
        if each.outline is None:
            continue
        place = lines.at("lesions", i, "outline")
        study = places.drawn_on(each.outline.study, place)
        if study is places.reference:
            continue
        drawn = _drawn(each, each.outline, study, places, place)
        carried = carried_over(drawn.mask, study, places)
        if isinstance(carried, str):
            where = f"the lesion is outlined on {study.id}, which is not aligned to the planning CT ({carried})"
            found.no_outline[each.id] = f"{where}: outline it on that CT"
            found.notes.append(f"{place}: {found.no_outline[each.id]}")
            continue
        mask, error = carried
        note = f"{place}: lesion {each.id} was outlined on {study.id} and carried over, error about {error:.1f} mm"
        found.lesions[each.id] = DrawnLesion(mask, True, error, (*drawn.notes, note), study.id)
        found.notes += found.lesions[each.id].notes


def _drawn(model: LesionModel, outline: OutlineModel, study: Study, places: Places, place: str) -> DrawnLesion:
    part = placed(outline, study, places, place, f"lesion {model.id}: ")
    return DrawnLesion(part.mask, outline.approximate, notes=part.notes)


def lesion_of(
    model: LesionModel,
    index: int,
    today: date,
    outlined: Outlines,
    lines: Lines,
) -> Lesion:
    """Return one lesion with its facts and outline.

    Raises
    ------
    CaseFileError
        If bone, side and level contradict each other.
    ImageError
        If its outline cannot be used.
    """
    bone = _bone(model, lines.at("lesions", index, "bone"))
    facts = facts_of(given(model.facts), "lesion", today, lines, ("lesions", index, "facts"))
    for name, value in (
        ("bone", bone.id if bone else None),
        ("region", model.region),
        ("goal", model.goal),
        ("side", model.side),
    ):
        if value not in (None, "unknown"):
            stated = Fact(name, Known(str(value)), origins=(Origin("chart", lines.at("lesions", index, name)),))
            facts[name] = merge([facts[name], stated])
    if bone is not None and bone.side and facts["side"].value is None and isinstance(facts["side"].state, Unknown):
        facts["side"] = Fact("side", Known(bone.side), origins=(Origin("inferred", f"the bone is {bone.id}"),))
    for name, told in outlined.lesion_doses.get(model.id, {}).items():
        facts[name] = merge([facts[name], told])
    most = facts["dose_max_gy"].value
    if isinstance(most, float) and most > 0 and isinstance(facts["prior_radiotherapy"].state, Unknown):
        asked = f"a dose file gives up to {most:.3g} Gy to this lesion: was that plan delivered? Write prior_radiotherapy"
        facts["prior_radiotherapy"] = Fact("prior_radiotherapy", Unknown(f"cannot tell: {asked}"))
    outline = outlined.lesions.get(model.id)
    if outline is not None:
        _compare_place(facts, outline.mask, bone, outlined.masks, lines.at("lesions", index, "outline"))
    goal = facts["goal"].value
    aim = str(goal) if goal else None
    if outline is None:
        why = outlined.no_outline.get(model.id, "")
        return Lesion(model.id, bone, facts, None, aim, model.region, model.synthetic, no_outline=why)
    drawn = (outline.approximate, outline.error_mm)
    return Lesion(model.id, bone, facts, outline.mask, aim, model.region, model.synthetic, *drawn, outline_study=outline.study)


def _compare_place(
    facts: dict[str, Fact], mask: Volume, bone: Structure | None, masks: Mapping[Structure, Volume], where: str
) -> None:
    """Hold the chart's bone and side against the place of the outline; a contradiction stays visible in the fact."""
    x, y, z = (float(v) for v in centre_mm(mask))
    box = mask.box() or (slice(0, 0), slice(0, 0), slice(0, 0))
    held = mask.part(box)
    touched = {k: int((v.part(box) & held).sum()) for k, v in masks.items() if k.kind == "bone"}
    inside = [k for k, n in touched.items() if n]
    if bone is not None and bone in masks and inside and bone not in inside:
        best = max(inside, key=lambda k: touched[k])
        seen = Fact("bone", Known(best.id), origins=(Origin("image", f"{where}: the outline lies in it", place_mm=(x, y, z)),))
        facts["bone"] = merge([facts["bone"], seen])
    side = _side_seen(x, bone, inside, masks)
    if side is None or facts["side"].value in (None, "midline") or facts["side"].value == side:
        return
    seen = Fact("side", Known(side), origins=(Origin("image", f"{where}: centre at x = {x:.0f} mm", place_mm=(x, y, z)),))
    facts["side"] = merge([facts["side"], seen])


def _side_seen(x: float, bone: Structure | None, inside: list[Structure], masks: Mapping[Structure, Volume]) -> str | None:
    """Return the side on which the outline lies, where bones tell it."""
    sides = {k.side for k in inside if k.side}
    if len(sides) == 1:
        return sides.pop()
    if bone is not None and bone.side is None and bone in masks:
        middle = float(centre_mm(masks[bone])[0])
        return None if abs(x - middle) < BESIDE_MM else "left" if x > middle else "right"
    return None
