"""What stands beside a failure load: the other side, rigidity slice by slice, demands of daily life, and what was assumed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from osteon.assessment.loads.base import Builder, Placed, Voxels
from osteon.assessment.measure_base import LONG_BONES, family, opposite
from osteon.assessment.rigidity import Rigidity, RigidityRatio, against, bone_axis, rigidity
from osteon.assessment.strength_material import middle_draw
from osteon.assessment.strength_results import Assumed
from osteon.assessment.strength_run import Made, run_bone
from osteon.assessment.strength_voxels import settings, voxels_of
from osteon.errors import OsteonError
from osteon.space.anatomy import structure
from osteon.space.volume import Array, Volume
from osteon.tissue.bone_laws import Law

if TYPE_CHECKING:
    from osteon.assessment.strength import _Work

OTHER_LESION = structure("other_lesion")
LEAST_OVERLAP_ML = 0.05
SHOWN = ("poisson", "tension_ratio", "cement_modulus", "cement_compression", "cement_tension", "metal_modulus", "metal_yield")
WORDS = {
    "poisson": "Poisson's ratio", "tension_ratio": "tensile over compressive strength", "cement_modulus": "modulus of cement",
    "cement_compression": "compressive strength of cement", "cement_tension": "tensile strength of cement",
    "metal_modulus": "modulus of metal, taken as titanium alloy", "metal_yield": "yield of metal, taken as titanium alloy",
}  # fmt: skip


def opposite_of(work: _Work, to_failure: bool) -> tuple[Made | None, str]:
    """Return the run of the bone of the other side, or why there is none.

    It is never taken for healthy in silence: the sentence says whether anybody looked.
    """
    bone = opposite(work.case.bone)
    if bone is None:
        return None, f"the {work.case.bone.name} has no other side"
    if not work.anatomy.has(bone):
        return None, f"cannot tell: outline the {bone.name} for comparison"
    if work.anatomy.has(OTHER_LESION):
        both = work.anatomy.mask(OTHER_LESION).array & work.anatomy.mask(bone).array
        if both.sum() * work.anatomy.grid.voxel_mm3 / 1e3 > LEAST_OVERLAP_ML:
            return None, f"the {bone.name} holds a lesion too: it is no reference"
    case = replace(work.case, bone=bone, axis=None, head_mm=None)
    try:
        pose = work.how.pose(work.anatomy, case)
        voxels = voxels_of(work.anatomy, case, pose, work.calibrated.chosen, work.voxels.edge_mm, work.how.margin_mm)
        bare = replace(voxels, lesion=np.zeros(voxels.bone.shape, bool))
        made = run_bone(bare, work.how, pose, middle_draw(bone), to_failure=to_failure)
    except OsteonError as error:
        return None, f"cannot tell: {error}"
    if not np.isfinite(made.run.stiffness):
        return None, f"cannot tell: {made.run.why}"
    metal = "; it holds metal" if voxels.metal.any() else ""
    return made, f"cannot tell whether the {bone.name} is sound: look for lesions in it first{metal}"


def rigidity_of(work: _Work, now: Made, well: Made | None) -> tuple[Rigidity | None, RigidityRatio | None, tuple[str, ...]]:
    """Return rigidity slice by slice along the shaft (long bones) or the load, and its ratio to the healed bone."""
    try:
        axis = _axis(work, now.voxels)
        found = rigidity(_modulus(now), axis, step_mm=now.voxels.edge_mm)
        if well is None:
            return found, None, ()
        reference = rigidity(_modulus(well), axis, found.start_mm, now.voxels.edge_mm)
        return found, against(found, reference, same_bone=True), ()
    except OsteonError as error:
        return None, None, (f"Rigidity slice by slice: cannot tell: {error}",)


def _modulus(made: Made) -> Volume:
    """Return the modulus of the bone [Pa], without end caps and loose pieces."""
    here = made.voxels.bone & made.linear.solved.kept
    return Volume(np.where(here, made.model.modulus_pa, 0.0), made.voxels.grid)


def _axis(work: _Work, voxels: Voxels) -> Array:
    if family(work.case.bone) in LONG_BONES:
        return bone_axis(Volume(voxels.bone, voxels.grid))[1]
    return np.asarray(work.pose.axes[:, 2])


def demand_of(how: Builder) -> tuple[tuple[str, float, str], ...]:
    """Return what daily loads ask of the bone, in body weights, with their sources; empty where none is published here."""
    return tuple(getattr(how, "demand", ()))


def assumptions(law: Law, placed: Placed) -> tuple[Assumed, ...]:
    """Return the choices behind a run, each with its source."""
    found = [Assumed("law of modulus and strength", f"{law.name} ({law.strength_is})", law.source, law.verified)]
    found += [
        Assumed(WORDS[name], f"{value.number:g} {value.unit}".replace(" 1", ""), value.source, value.verified)
        for name, value in settings().items()
        if name in SHOWN
    ]
    found += [Assumed(each.name, f"{each.modulus_pa / 1e6:g} MPa", "ogo", True) for each in placed.added]
    return tuple(found)
