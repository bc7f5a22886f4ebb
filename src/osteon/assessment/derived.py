"""What follows from the case itself, without looking at a voxel."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from osteon.case.model import Case
from osteon.facts import Fact, Known, NotApplicable, OneOf, Origin, State, Unknown
from osteon.space.anatomy import Structure
from osteon.space.volume import Volume

SPINE = ("vertebra", "sacrum")
TRUNK = ("hip", "femur", "rib", "scapula", "clavicle")
"""Bones of a pair that keep their side however the patient lies; forearms and shins can be crossed."""


def derived(case: Case, facts: Mapping[str, Fact]) -> list[Fact]:
    """Return what follows from the case itself: cross-sectional imaging, whether the sides agree, whether it is the spine."""
    found = []
    sections = [s for s in case.studies if s.modality in ("CT", "MR", "PT")]
    if sections:
        where = Origin("inferred", f"study {sections[0].id} ({sections[0].modality})", sections[0].date)
        found.append(Fact("cross_sectional_imaging", Known(True), origins=(where,), date=sections[0].date))
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
    seen = Origin("image", crossed) if crossed else Origin("inferred", "fact side")
    found.append(Fact("laterality_agrees", agrees, origins=(seen,)))
    bone = facts["bone"].state if "bone" in facts else Unknown()
    if isinstance(bone, Known):
        spinal = str(bone.value).startswith(SPINE)
        found.append(Fact("spinal", Known(spinal), origins=(Origin("inferred", f"bone {bone.value}"),)))
    return found


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
