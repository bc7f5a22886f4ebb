"""The assessment stage: from a case to what is known of each lesion.

Bone outlines follow one convention from here on: the bone that holds a lesion includes what the lesion replaced (holes and dents
of its outline under the lesion), and lesion beyond that is soft tissue. Other lesions are joined under ``other_lesion``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from osteon.assessment.carried import with_errors, with_lesion_errors
from osteon.assessment.cautions import cautions, gap_seen
from osteon.assessment.dated import date_cautions
from osteon.assessment.derived import derived, scored
from osteon.assessment.found import OTHER_BONE, Found, find
from osteon.assessment.measure import LEFT_TO_TREATMENTS, measure
from osteon.assessment.measure_base import Scene, family, threshold
from osteon.assessment.measure_size import side
from osteon.assessment.outline import body_of, bone_before, joints_of
from osteon.assessment.reconcile import join
from osteon.assessment.required import region_of, required
from osteon.assessment.results import Assessment, LesionAssessment, RequiredStructure
from osteon.assessment.scores.catalog import score_all
from osteon.case.model import Case, Lesion, Study
from osteon.facts import Fact, Known, Origin, Unknown, merge, possible, vocabulary
from osteon.space.anatomy import Anatomy, Structure, structure
from osteon.space.volume import CompactMask, Volume, union_of

LESION, OTHER, BODY = structure("lesion"), structure("other_lesion"), structure("body")


def assess(case: Case) -> Assessment:
    """Assess every lesion of a case: its anatomy, facts, scores, and what must be judged near it.

    Parameters
    ----------
    case : Case
        As loaded. Outlines lie on the grid of the planning CT, or without a CT on that of the first study that has it.

    Returns
    -------
    Assessment
        Per lesion. What cannot be told is Unknown and says what to do; nothing missing is taken as absent or safe.

    Raises
    ------
    ImageError
        If the axes of the planning image are not at right angles.
    """
    study = planning_study(case)
    whole, found = _anatomy(case, study)
    said = date_cautions(case)
    lesions = (_assess(case, lesion, study, whole, found) for lesion in case.lesions)
    return Assessment(case, tuple(replace(each, warnings=(*each.warnings, *said)) for each in lesions))


def planning_study(case: Case) -> Study | None:
    """Return the study whose grid carries the outlines: the planning CT, else the first study on the grid of an outline."""
    if case.planning_image is not None:
        return case.planning_image
    drawn = [lesion.mask.grid for lesion in case.lesions if lesion.mask is not None] + [m.grid for m in case.masks.values()]
    return next((s for s in case.studies if not drawn or s.volume.grid.same_as(drawn[0])), None)


def _anatomy(case: Case, study: Study | None) -> tuple[Anatomy, Found]:
    """Return the anatomy that all lesions share, with what the image shows by itself, and that."""
    if study is None:
        return Anatomy(Volume.of(np.zeros((1, 1, 1), bool), np.eye(4)), absent=case.absent), Found()
    straight = _straight(study.volume)
    image = study.volume.canonical() if not straight else study.volume
    imaged = Volume(study.imaged.array.astype(bool, copy=False), study.imaged.grid)
    imaged = imaged if straight else imaged.canonical()
    masks = {key: _canonical(mask, straight) for key, mask in case.masks.items() if key not in (LESION, OTHER)}
    drawn = {key: part if straight else part.canonical() for key, part in case.drawn.items() if key in masks}
    if BODY in drawn and study.modality == "CT":  # beyond what was drawn, the image shows where the body ends
        beyond = body_of(image, imaged)
        masks[BODY] = union_of([masks[BODY], beyond.with_array(beyond.array & ~drawn.pop(BODY).array)])
    straightened = replace(study, volume=image, imaged=imaged)
    found = find(case, straightened, masks)
    masks.update(found.masks)
    joints = joints_of(masks, case.absent)
    masks.update(joints)
    approximate = case.approximate | found.approximate | joints.keys()
    contrast = _contrast(case.facts) if study.modality == "CT" else None
    whole = Anatomy(
        imaged,
        image if study.modality == "CT" else None,  # what is no HU must not be read as HU
        masks,
        case.absent,
        approximate,
        log=case.stamps,
        contrast=contrast,
        unreliable=found.unreliable,
        drawn=drawn,
        shown=None if study.modality == "CT" else image,
    )
    return with_errors(whole, case), found


def _straight(volume: Volume) -> bool:
    return volume.grid.is_canonical


def _canonical(mask: Volume, straight: bool) -> Volume:
    kept = mask if mask.is_mask else mask.with_array(mask.array.astype(bool))
    return (kept if straight else kept.canonical()).compact()


def _assess(case: Case, lesion: Lesion, study: Study | None, whole: Anatomy, found: Found) -> LesionAssessment:
    chart = {**case.facts, **lesion.facts, **_side_of_piece(lesion, found)}
    if lesion.goal is not None and "goal" not in chart:
        chart["goal"] = Fact("goal", Known(lesion.goal), origins=(Origin("chart", f"lesion {lesion.id}"),))
    if lesion.mask is None or study is None or lesion.mask.box() is None:
        return _from_chart(case, lesion, chart, whole)
    straight = _straight(study.volume)
    anatomy, bone, inferred = _with_lesion(case, lesion, whole, straight)
    scene = Scene(anatomy, bone, "", study.modality, contrast=anatomy.contrast)
    region = region_of(bone, _said_region(lesion, chart)) or ""
    if not _said_region(lesion, chart):
        region = _zone(scene, region)
    located = side(scene)
    sides = [str(v) for v in possible(located.state) if v in ("left", "right")] or ["left", "right"]
    if "midline" in possible(located.state) or bone is None or bone.side is None:  # heat in a midline bone reaches both sides
        sides = ["left", "right"]
    judged = required(anatomy, bone, region, sides, scene.gaps)
    scene = replace(scene, region=region, required=judged)
    facts = _joined(chart, measure(scene), scene)
    facts.update(_named(lesion, bone, region, facts, inferred))
    facts.update(_following(case, facts))
    facts.update(gap_seen(scene, facts, found))
    scores = score_all(facts, bone, region)
    facts.update({f.name: f for f in scored(facts, scores)})
    return LesionAssessment(lesion.id, region, anatomy, facts, scores, judged, cautions(scene, facts, found))


def _side_of_piece(lesion: Lesion, found: Found) -> dict[str, Fact]:
    """Return the side as the chart and the piece of bone round the outline give it, where the two contradict each other."""
    piece = found.pieces.get(lesion.id)
    if piece is None or not piece.on_the_other_side:
        return {}
    seen = Fact("side", Known(piece.side), origins=(Origin("image", f"the bone round the outline ({piece.piece})"),))
    said = lesion.facts.get("side", Fact("side", Known(str(piece.bone.side)), origins=(Origin("inferred", piece.bone.id),)))
    return {"side": merge([said, seen])}


def _with_lesion(case: Case, lesion: Lesion, whole: Anatomy, straight: bool) -> tuple[Anatomy, Structure | None, bool]:
    """Return the anatomy with this lesion, its bone, and whether the bone was inferred from the outlines."""
    assert lesion.mask is not None
    mask = _canonical(lesion.mask, straight)
    masks = {**whole.masks, LESION: mask}
    others = [_canonical(o.mask, straight) for o in case.lesions if o.id != lesion.id and o.mask is not None]
    if others:
        masks[OTHER] = _without(union_of(others), mask)
    bone = lesion.bone or _bone_of(whole, mask)
    if bone is not None and bone in masks:
        masks[bone] = bone_before(masks[bone], mask, found=bone in whole.approximate)
    log = (*whole.log, *([lesion.synthetic] if lesion.synthetic else []))
    rough = whole.approximate | {LESION} if lesion.approximate else whole.approximate
    anatomy = replace(whole, masks=masks, log=log, approximate=rough)
    anatomy = with_lesion_errors(anatomy, lesion, (o for o in case.lesions if o.id != lesion.id))
    return anatomy, bone, lesion.bone is None and bone is not None


def _without(one: CompactMask, other: Volume) -> CompactMask:
    z, y, x = one.box() or (slice(0, 0), slice(0, 0), slice(0, 0))
    return CompactMask(one.part((z, y, x)) & ~other.part((z, y, x)), one.grid, (z.start, y.start, x.start))


def _bone_of(anatomy: Anatomy, lesion: Volume) -> Structure | None:
    """Return the outlined bone that shares most with the lesion; None where none does."""
    box = lesion.box()
    if box is None:
        return None
    held = lesion.part(box)
    inside = [(int(anatomy.masks[key].part(box)[held].sum()), key) for key in anatomy.of_kind("bone") if key != OTHER_BONE]
    inside = [pair for pair in inside if pair[0] > 0]
    return max(inside, key=lambda pair: (pair[0], pair[1].id))[1] if inside else None


def _said_region(lesion: Lesion, chart: dict[str, Fact]) -> str | None:
    value = chart["region"].value if "region" in chart else None
    return lesion.region or (str(value) if value is not None else None)


def _zone(scene: Scene, region: str) -> str:
    """Return the zone of a hip bone or femur by the lesion's place against the hip joint; else the whole bone's list."""
    if scene.bone is None or family(scene.bone) not in ("hip", "femur"):
        return region
    joint = structure(f"hip_joint_{scene.bone.side}")
    gap = scene.gap(joint)
    if gap is None:
        return region
    if family(scene.bone) == "femur":
        return "femur.proximal" if gap[0] <= threshold("zone_proximal_femur_mm") else region
    if gap[0] <= threshold("zone_acetabulum_mm"):
        return "hip.acetabulum"
    mask = scene.anatomy.mask(joint)
    middle = mask.centre_mm()
    if scene.centre_mm[2] > middle[2]:
        return "hip.ilium"
    return "hip.pubis" if scene.centre_mm[1] < middle[1] else "hip.ischium"


def _joined(chart: dict[str, Fact], measured: dict[str, Fact], scene: Scene) -> dict[str, Fact]:
    """Return every fact of the vocabulary: chart and image joined, and what nobody told as unknown."""
    step = max(scene.grid.spacing_mm)
    joined = {}
    for name, kind in vocabulary().items():
        given = [source[name] for source in (chart, measured) if name in source]
        if len(given) == 2:
            joined[name] = join(given[0], given[1], step)
        else:
            joined[name] = given[0] if given else Fact(name, Unknown(), kind.unit)
    return joined


def _named(lesion: Lesion, bone: Structure | None, region: str, facts: dict[str, Fact], inferred: bool) -> dict[str, Fact]:
    """Return the facts ``bone`` and ``region`` where the chart has not given them as facts."""
    found = {}
    if bone is not None and facts["bone"].value is None:
        given = Origin("chart", f"lesion {lesion.id}")
        origin = Origin("inferred", "the outline that shares most with the lesion") if inferred else given
        found["bone"] = Fact("bone", Known(bone.id), origins=(origin,))
    if facts["region"].value is None and (lesion.region or region):
        origin = (
            Origin("chart", f"lesion {lesion.id}") if lesion.region else Origin("inferred", "place of the lesion in the bone")
        )
        found["region"] = Fact("region", Known(lesion.region or region.partition(".")[2]), origins=(origin,))
    return found


def _charted(given: Fact | None, name: str, why: str) -> Fact:
    """Return the chart's fact; where it says nothing and an image would tell, what has to be done for that."""
    kind = vocabulary()[name]
    if given is not None and given.state != Unknown():
        return given
    measured = kind.measured and name not in LEFT_TO_TREATMENTS
    return Fact(name, Unknown(why) if measured else Unknown(), kind.unit)


def _from_chart(case: Case, lesion: Lesion, chart: dict[str, Fact], whole: Anatomy) -> LesionAssessment:
    """Return what the chart alone tells: no outline, or no image to read."""
    has_ct = case.planning_image is not None
    outline = "cannot tell: outline the lesion on the planning CT"
    why = outline if has_ct else "cannot tell: needs a CT of the region, with the lesion outlined on it"
    why = f"cannot tell: {lesion.no_outline}" if lesion.no_outline else why
    facts = {name: _charted(chart.get(name), name, why) for name in vocabulary()}
    region = region_of(lesion.bone, _said_region(lesion, chart))
    facts.update(_named(lesion, lesion.bone, region, facts, False))
    if lesion.bone is not None and lesion.bone.side and isinstance(facts["side"].state, Unknown):
        facts["side"] = Fact("side", Known(lesion.bone.side), origins=(Origin("inferred", f"lies in the {lesion.bone.name}"),))
    if lesion.bone is not None and isinstance(facts["long_bone"].state, Unknown):
        long_bone = Scene(whole, lesion.bone, region, "").is_long_bone
        facts["long_bone"] = Fact("long_bone", Known(bool(long_bone)), origins=(Origin("inferred", lesion.bone.name),))
    judged = tuple(RequiredStructure(d, "not_outlined", why) for d in _ids(lesion.bone, region))
    facts.update(_following(case, facts))
    scores = score_all(facts, lesion.bone, region)
    facts.update({f.name: f for f in scored(facts, scores)})
    said = "the lesion is not outlined: nothing was measured" if has_ct else "there is no CT: nothing was measured"
    said = f"nothing was measured: {lesion.no_outline}" if lesion.no_outline else said
    return LesionAssessment(lesion.id, region, whole, facts, scores, judged, (said,))


def _contrast(chart: Mapping[str, Fact]) -> bool | None:
    """Tell whether the CT has contrast agent; where origins contradict each other, it counts as having it."""
    values = possible(chart["contrast_enhanced"].state) if "contrast_enhanced" in chart else ()
    return None if not values else any(bool(v) for v in values)


def _ids(bone: Structure | None, region: str) -> list[str]:
    from osteon.assessment.required import demands

    sides = [bone.side] if bone is not None and bone.side else ["left", "right"]
    return [d.any_of[0] for d in demands(bone, region, sides)]


def _following(case: Case, facts: dict[str, Fact]) -> dict[str, Fact]:
    """Return what follows from the case where the chart leaves it open."""
    return {f.name: f for f in derived(case, facts) if isinstance(facts[f.name].state, Unknown)}
