"""What follows from the case itself, without looking at a voxel."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np

from osteon.assessment.measure_base import threshold
from osteon.assessment.results import ScoreResult
from osteon.assessment.scores.base import numbers, one_of, table
from osteon.assessment.scores.noms import classes_of
from osteon.case.model import Case
from osteon.facts import Fact, Interval, Known, NotApplicable, OneOf, Origin, State, Unknown, merge, possible, vocabulary
from osteon.space.anatomy import Structure
from osteon.space.volume import Volume

SPINE = ("vertebra", "sacrum")
SACRAL = re.compile(r"S[1-5]")
EARLIER = (
    "radiotherapy_dose_gy", "radiotherapy_fractions", "radiotherapy_technique", "radiotherapy_days_ago", "radiotherapy_site",
    "radiotherapy_response",
)  # fmt: skip
ASKED_OF = (Origin("inferred", "sex and age"),)
SCORED = {
    "mirels": "mirels_score",
    "sins": "sins_score",
    "katagiri": "katagiri_score",
    "harrington_acetabulum": "harrington_group",
}
"""Scores whose total is a fact."""
PLANNED = tuple(name for name in vocabulary() if name.endswith("_planned"))
"""What is not said to be planned counts as not planned."""
UNPAIRED = ("vertebra", "sacrum", "sternum", "skull")
TRUNK = ("hip", "femur", "rib", "scapula", "clavicle")
"""Bones of a pair that keep their side however the patient lies; forearms and shins can be crossed."""


def derived(case: Case, facts: Mapping[str, Fact]) -> list[Fact]:
    """Return what follows from the case itself: imaging, agreement of sides, kind of bone, implants, refusals."""
    found = _imaging(case)
    side = facts["side"].state if "side" in facts else Unknown()
    agrees: State = Unknown("the side of the lesion is not known: state it")
    crossed = exchanged(case.masks)
    if crossed:
        agrees = Known(False)
    elif isinstance(side, Known):
        agrees = Known(True)
    elif isinstance(side, NotApplicable):
        agrees = side
    elif isinstance(side, OneOf) and side.conflict:
        agrees = Known(False)
    elif isinstance(side, Unknown) and _bone(facts).startswith(UNPAIRED):
        agrees = NotApplicable(f"{_bone(facts)} lies in the midline and no side is named")
    seen = Origin("image", crossed) if crossed else Origin("inferred", "fact side")
    found.append(Fact("laterality_agrees", agrees, origins=(seen,)))
    bone = facts["bone"].state if "bone" in facts else Unknown()
    if isinstance(bone, Known):
        spinal = str(bone.value).startswith(SPINE)
        found.append(Fact("spinal", Known(spinal), origins=(Origin("inferred", f"bone {bone.value}"),)))
        found += _place(str(bone.value), facts)
    return [*found, *_patient(facts)]


def _bone(facts: Mapping[str, Fact]) -> str:
    return str(facts["bone"].value or "") if "bone" in facts else ""


def _imaging(case: Case) -> list[Fact]:
    """Return whether there is cross-sectional imaging that is not too old; an undated image counts, a caution says so."""
    sections = [s for s in case.studies if s.modality in ("CT", "MR", "PT")]
    if not sections:
        return []
    most = threshold("planning_ct_valid_days")
    ages = {s.id: None if case.date is None or s.date is None else (case.date - s.date).days for s in sections}
    good = [s for s in sections if (age := ages[s.id]) is None or age <= most]
    newest = (good or sorted(sections, key=lambda s: ages[s.id] or 0))[0]
    state: State = Known(True)
    if not good:
        state = Unknown(
            f"needs a new one: the newest image ({newest.id}, {newest.modality}) is {ages[newest.id]} days older than the chart, "
            f"good for {most:g}"
        )
    where = Origin("inferred", f"study {newest.id} ({newest.modality})", newest.date)
    return [Fact("cross_sectional_imaging", state, origins=(where,), date=newest.date)]


def _place(bone: str, facts: Mapping[str, Fact]) -> list[Fact]:
    """Return the class of bone, its level and the segment, as far as the bone's name and the region tell them."""
    origin = (Origin("inferred", f"bone {bone}"),)
    family, _, rest = bone.partition("_")
    classes = vocabulary()["bone_class"].domain
    found = [Fact("bone_class", Known(family if family in classes else "other"), origins=origin)]
    region = facts["region"].state if "region" in facts else Unknown()
    told = str(region.value) if isinstance(region, Known) else ""
    if family == "vertebra" and rest in vocabulary()["vertebral_level"].domain:
        found.append(Fact("vertebral_level", Known(rest), origins=origin))
    elif family == "sacrum":
        levels = tuple(dict.fromkeys(SACRAL.findall(told))) or ("S1", "S2", "S3", "S4", "S5")
        state: State = Known(levels[0]) if len(levels) == 1 else OneOf(levels)
        found.append(Fact("vertebral_level", state, origins=origin))
    else:
        why = NotApplicable(f"{bone} is no vertebra")
        found += [Fact(name, why, origins=origin) for name in ("vertebral_level", "vertebral_part")]
    words = told.lower().replace("-", " ").replace("_", " ").split()
    named = [s for s in vocabulary()["segment"].domain if s != "other" and s in words]
    if len(named) == 1:
        found.append(Fact("segment", Known(named[0]), origins=(Origin("inferred", f"region {told}"),)))
    return found


def _patient(facts: Mapping[str, Fact]) -> list[Fact]:
    """Return what follows from the patient's facts: no new weakness, an implant, no refusal on record, an earlier irradiation."""

    def known(name: str) -> object:
        return facts[name].value if name in facts else None

    found = []
    age = numbers(facts["age_years"].state) if "age_years" in facts else None
    if known("sex") == "male" or (age is not None and age[0] >= threshold("no_pregnancy_from_age")):
        found.append(Fact("pregnant", NotApplicable("a man" if known("sex") == "male" else "beyond the age"), origins=ASKED_OF))
    if known("sensation_intact") is True:
        said = (Origin("inferred", "sensation and strength below the lesion are intact"),)
        found.append(Fact("new_weakness", Known(False), origins=said))
    found += _counted(facts)
    if known("implant_near") is True:
        found.append(Fact("metal_implant", Known(True), origins=(Origin("inferred", "a metal implant near the lesion"),)))
    if known("metal_implant") is False:
        found.append(Fact("implant_near", Known(False), origins=(Origin("inferred", "no metal implant in the body"),)))
    if known("prior_radiotherapy") is False:
        why = NotApplicable("the lesion was not irradiated before")
        found += [Fact(n, why, origins=(Origin("inferred", "no earlier irradiation"),)) for n in EARLIER]
    if known("fracture") in ("none", "impending"):
        found.append(Fact("fracture_displaced", NotApplicable("there is no fracture"), origins=(Origin("inferred", "fracture"),)))
    for name in PLANNED:
        if name not in facts or isinstance(facts[name].state, Unknown):
            found.append(Fact(name, Known(False), origins=(Origin("assumed", "not said to be planned: a plan is a decision"),)))
    if "refused" not in facts or isinstance(facts["refused"].state, Unknown):
        found.append(Fact("refused", Known("none"), origins=(Origin("assumed", "no refusal is on record: ask the patient"),)))
    return found


def _counted(facts: Mapping[str, Fact]) -> list[Fact]:
    """Return what counts tell of each other: metastases in all are at least those in bone; no background opioid is 0 mg of it."""
    found = []
    bone = numbers(facts["bone_lesions_total"].state) if "bone_lesions_total" in facts else None
    if bone is not None and bone[0] > 0:
        most = float(vocabulary()["oligometastatic_count"].domain[1])
        said = (Origin("inferred", f"{bone[0]:g} or more bone lesions"),)
        found.append(Fact("oligometastatic_count", Interval(bone[0], most), origins=said))
    opioid = facts["background_opioid"].value if "background_opioid" in facts else None
    if isinstance(opioid, str) and opioid.strip().lower() == "none":
        said = (Origin("inferred", "no background opioid"),)
        found.append(Fact("background_opioid_mg_day", Known(0.0), origins=said))
        found.append(Fact("background_opioid_long_acting", Known(False), origins=said))
    return found


def radiosensitivity(facts: Mapping[str, Fact], lists: str) -> Fact:
    """Return how sensitive the tumour is to conventional irradiation, by one published list or by both.

    Parameters
    ----------
    facts : mapping of str to Fact
        Reads primary and small_cell_lung.
    lists : str
        Id of a list in ``scores/noms.yaml``, or "both": then every class that one of them names is left open.
    """
    source = table("noms")
    primary = facts["primary"].state if "primary" in facts else Unknown()
    small = facts["small_cell_lung"].state if "small_cell_lung" in facts else Unknown()
    rows = [row for name, row in source["sensitivity"].items() if lists in ("both", name)]
    found = [c for organ in possible(primary) for row in rows for c in classes_of(source, row, str(organ), small)]
    if not found:
        return Fact("radiosensitivity", Unknown("cannot tell: name the primary tumour"))
    return Fact("radiosensitivity", one_of(found), origins=(Origin("inferred", f"primary, list: {lists}"),))


def scored(facts: Mapping[str, Fact], scores: Iterable[ScoreResult]) -> list[Fact]:
    """Return the totals of scores as facts that rules read; a total that the chart states stays beside it.

    Parameters
    ----------
    facts : mapping of str to Fact
        Of the lesion; a chart may state a total.
    scores : iterable of ScoreResult
        As computed from the facts.
    """
    found = []
    for score in scores:
        name = SCORED.get(score.id)
        if name is None:
            continue
        state, given = score.state, facts.get(name)
        mine = Fact(name, state, origins=(Origin("inferred", score.name),))
        if isinstance(state, Unknown):
            continue
        if given is None or isinstance(given.state, Unknown):
            found.append(mine)
        elif not _within(given.state, state):
            found.append(merge([given, mine]))
    return found


def _within(state: State, wide: State) -> bool:
    """Tell whether a stated total lies in what the items leave open."""
    match state, wide:
        case Known(value), Interval(low, high) if not isinstance(value, str):
            return low <= float(value) <= high
        case Interval(a, b), Interval(low, high):
            return low <= a and b <= high
        case Known(value), OneOf(values):
            return value in values
    return state == wide


def exchanged(masks: Mapping[Structure, Volume]) -> str:
    """Say which bones of a pair lie the wrong way round, empty where none do.

    An image and outlines that are turned together, as where LPS is taken for RAS, contradict no name of each other; only the
    patient's own right and left tell it. Bones of the trunk alone are asked: vessels, nerves and organs cross the midline.

    Parameters
    ----------
    masks : mapping of Structure to Volume of bool
        Outlines in LPS axes.
    """
    bones = {s.id: m for s, m in masks.items() if s.kind == "bone" and s.side and s.id.startswith(TRUNK)}
    places = {name: x for name, mask in bones.items() if (x := _middle_x_mm(mask)) is not None}
    for name, right in sorted(places.items()):
        left = places.get(name.removesuffix("right") + "left") if name.endswith("_right") else None
        if left is not None and right > left:
            return (
                f"{name} lies at x = {right:.0f} mm, further to the left than {name.removesuffix('right')}left at {left:.0f} mm: "
                "image and outlines are turned, or the names are exchanged"
            )
    return ""


def _middle_x_mm(mask: Volume) -> float | None:
    box = mask.box()
    return None if box is None else float(mask.grid.to_mm(np.array([(s.start + s.stop - 1) / 2 for s in box]))[0])
