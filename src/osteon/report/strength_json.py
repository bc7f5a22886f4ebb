"""A strength as JSON values (``osteon-strength/1``): every number, no field."""

from __future__ import annotations

import math
from typing import Any

from osteon.assessment.fracture_hint import FractureState
from osteon.assessment.rigidity import RigidityRatio
from osteon.assessment.strength_results import LINEAR_WARNING, WARNING, Run, Strength
from osteon.evidence.value import Band
from osteon.tissue.calibration import Calibration

SCHEMA = "osteon-strength/1"


def as_numbers(strength: Strength) -> dict[str, Any]:
    """Return one strength as JSON values.

    Parameters
    ----------
    strength : Strength
        Of any status; what was not computed is null.

    Returns
    -------
    dict
        Loads in N under ``linear_load_n`` and ``failure_load_n``; for a moment those are null and ``failure_moment_n_m``,
        ``linear_moment_n_m`` and ``stiffness_n_m_per_degree`` hold it. ``calibration`` has slope and intercept in g/cm3.
    """
    run, is_force = strength.now, strength.quantity == "force"
    force, moment = (run, None) if is_force else (None, run)
    return {
        "schema": SCHEMA,
        "bone": strength.case.bone.id,
        "load_case": strength.case.name,
        "status": strength.status,
        "why": strength.why,
        "ended": strength.ended,
        "stiffness_n_per_mm": _number(force.stiffness if force else None),
        "linear_load_n": _number(force.linear_load if force else None),
        "failure_load_n": _band(strength.failure if is_force else None),
        "failure_load_at_least_n": _number(force.at_least if force else None),
        "failure_displacement_mm": _number(force.failure_at if force else None),
        "failure_moment_n_m": _band(None if is_force else strength.failure),
        "failure_moment_at_least_n_m": _number(moment.at_least if moment else None),
        "linear_moment_n_m": _number(moment.linear_load if moment else None),
        "stiffness_n_m_per_degree": _number(moment.stiffness if moment else None),
        "failure_angle_degree": _number(moment.failure_at if moment else None),
        "nodes": run.nodes if run else None,
        "elements": run.elements if run else None,
        "cg_residual": _number(run.cg_residual if run else None),
        "reaction_imbalance": _number(run.reaction_imbalance if run else None),
        "solves": run.solves if run else None,
        "voxel_mm": _number(strength.voxel_mm) if strength.voxel_mm else None,
        "calibration": _calibration(strength.calibration),
        "calibration_others": [_calibration(each) for each in strength.calibration_others],
        "law": strength.law,
        "linear_by": run.linear_by if run else "",
        "body_weights": _band(strength.body_weights),
        "demand_body_weights": [{"what": w, "body_weights": _number(v), "source": s} for w, v, s in strength.demand],
        "ratio_of": strength.ratio_of,
        "ratio_healed": _band(strength.ratio_healed),
        "ratio_opposite": _band(strength.ratio_opposite),
        "healed": _band(strength.failure_healed),
        "opposite": _band(strength.failure_opposite),
        "opposite_why": strength.opposite_why,
        "curve": None if run is None else [[_number(a), _number(b)] for a, b in run.curve],
        "bone_volume_cm3": _number(run.volume_cm3) if run else None,
        "share_yielded": _number(run.share_yielded) if run else None,
        "dropped": list(run.dropped) if run else [],
        "rigidity": _rigidity(strength.rigidity_ratio),
        "pose": _pose(strength),
        "load_enters": strength.enters,
        "fracture": _fracture(strength.fracture),
        "band_from": list(strength.band_from),
        "most_matters": [{"what": w, "share_of_variance": _number(v)} for w, v in strength.most_matters],
        "assumptions": [
            {"what": a.what, "value": a.value, "source": a.source, "verified": a.verified} for a in strength.assumptions
        ],
        "warnings": warnings_of(strength),
    }


def warnings_of(strength: Strength) -> list[str]:
    """Return what a reader must know beside the numbers, in the order of weight."""
    run: Run | None = strength.now
    said = [WARNING, *([LINEAR_WARNING] if run is not None and run.linear_load is not None else [])]
    said += [run.why] if run is not None and run.why else []
    said += [*strength.notes, *strength.law_notes]
    said += list(strength.calibration.notes) if strength.calibration is not None else []
    return list(dict.fromkeys(s for s in said if s))


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _band(band: Band | None) -> dict[str, float | None] | None:
    return None if band is None else {"best": _number(band.best), "low": _number(band.low), "high": _number(band.high)}


def _calibration(found: Calibration | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "method": found.method,
        "kind": found.kind,
        "slope": found.slope,
        "intercept": found.intercept,
        "curvature": found.curvature,
        "residuals": [float(r) for r in found.residuals],
        "band": list(found.band),
        "energy_kev": found.energy_kev,
    }


def _rigidity(ratio: RigidityRatio | None) -> dict[str, Any] | None:
    if ratio is None:
        return None
    return {
        "least": {name: {"ratio": _number(v), "along_mm": _number(at)} for name, (v, at) in ratio.least.items()},
        "flagged": list(ratio.flagged),
        "fall_percent": ratio.fall_percent,
    }


def _fracture(found: FractureState | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "status": found.status,
        "sentence": found.sentence,
        "fragments": [{"name": each.name, "volume_ml": _number(each.volume_ml)} for each in found.fragments],
        "displacement_mm": _number(found.displacement_mm),
        "gap_mm": _number(found.gap_mm),
        "angulation_degree": _number(found.angulation_deg),
        "gap_to_load_degree": _number(found.angle_deg),
    }


def _pose(strength: Strength) -> dict[str, Any] | None:
    pose = strength.pose
    if pose is None:
        return None
    return {
        "load_axis": [float(v) for v in pose.axes[:, 2]],
        "by_hand": pose.by_hand,
        "landmarks_mm": {name: [float(v) for v in point] for name, point in pose.landmarks.items()},
        "doubts": list(pose.doubts),
    }
