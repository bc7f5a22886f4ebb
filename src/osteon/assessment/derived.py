"""What follows from the case itself, without looking at a voxel."""

from __future__ import annotations

from collections.abc import Mapping

from osteon.case.model import Case
from osteon.facts import Fact, Known, NotApplicable, OneOf, Origin, State, Unknown

SPINE = ("vertebra", "sacrum")


def derived(case: Case, facts: Mapping[str, Fact]) -> list[Fact]:
    """Return what follows from the case itself: cross-sectional imaging, whether the sides agree, whether it is the spine."""
    found = []
    sections = [s for s in case.studies if s.modality in ("CT", "MR", "PT")]
    if sections:
        where = Origin("inferred", f"study {sections[0].id} ({sections[0].modality})", sections[0].date)
        found.append(Fact("cross_sectional_imaging", Known(True), origins=(where,), date=sections[0].date))
    side = facts["side"].state if "side" in facts else Unknown()
    agrees: State = Unknown("the side of the lesion is not known: state it")
    if isinstance(side, Known):
        agrees = Known(True)
    elif isinstance(side, NotApplicable):
        agrees = side
    elif isinstance(side, OneOf) and side.conflict:
        agrees = Known(False)
    found.append(Fact("laterality_agrees", agrees, origins=(Origin("inferred", "fact side"),)))
    bone = facts["bone"].state if "bone" in facts else Unknown()
    if isinstance(bone, Known):
        spinal = str(bone.value).startswith(SPINE)
        found.append(Fact("spinal", Known(spinal), origins=(Origin("inferred", f"bone {bone.value}"),)))
    return found
