"""A scheme of focused ultrasound as planning takes it: step, limits, prescription, what was assumed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from osteon.evidence.value import Band
from osteon.jobs import Executor
from osteon.space.anatomy import Anatomy, Structure
from osteon.tissue.tolerance import limits
from osteon.treatments.base import Asked, Ended, Proposal, Setting
from osteon.treatments.focused_ultrasound.access import in_words
from osteon.treatments.focused_ultrasound.approach_rows import number
from osteon.treatments.focused_ultrasound.export import as_document
from osteon.treatments.focused_ultrasound.planned import plan_scheme
from osteon.treatments.focused_ultrasound.scheme import Scheme
from osteon.treatments.focused_ultrasound.session import Session
from osteon.treatments.focused_ultrasound.session_setup import NEAR_FIELD
from osteon.treatments.focused_ultrasound.transducer import devices

FIGURES = (
    "sonications", "acoustic_energy_j", "absorbed_energy_j", "lowest_power_w", "highest_power_w", "longest_wait_s",
    "test_power_w", "test_rise_k", "near_field_c", "cells_coverage",
)  # fmt: skip
MOVING = "moving target"


def propose(
    anatomy: Anatomy, lesion: Structure, bone: Structure | None, asked: Asked, executor: Executor,
    observe: Callable[[str, float], None],
) -> Proposal:  # fmt: skip
    """Plan focused ultrasound and return it as planning takes it; arguments and errors as ``Treatment.propose``."""
    scheme = plan_scheme(
        anatomy, lesion, bone, device=asked.device, approach=asked.approach, spacing_mm=asked.spacing_mm, samples=asked.samples,
        seed=asked.seed, executor=executor, observe=observe,
    )  # fmt: skip
    return proposal_of(scheme, asked)


def proposal_of(scheme: Scheme, asked: Asked) -> Proposal:
    """Return a scheme as planning takes it.

    Parameters
    ----------
    scheme : Scheme
        From ``plan_scheme``.
    asked : Asked
        What was asked for.
    """
    notes = (*scheme.window.notes, *scheme.notes)
    moving = next((n.partition(": ")[2] for n in notes if n.startswith(MOVING)), "")
    condition = f"if the target does not move with breathing ({moving})" if moving else ""
    session, way = scheme.session, scheme.way
    if session is None or way is None or not any(not s.test for s in session.shots):
        ended = scheme.ended if scheme.ended.how != "converged" else Ended("refused", scheme.why)
        assumed = () if session is not None else tuple(dict.fromkeys(notes))
        return Proposal(
            scheme.device, (), ended, scheme.box, scheme.target, assumptions=assumed, condition=condition, detail=scheme
        )
    seconds = 60.0 * session.measures["minutes"]
    controls = (
        ("time_s", seconds), ("power_w", session.measures["highest_power_w"]), ("sonications", session.measures["sonications"]),
    )  # fmt: skip
    setting = Setting(scheme.device, (), controls)
    known = {k.id for k in limits()}
    worst = {(h.structure, h.limit_id): h.value for h in session.held if h.value is not None and h.limit_id in known}
    extra = tuple((NEAR_FIELD, h.limit_id, h.value, h.limit, h.unit, h.text) for h in session.held if h.structure == NEAR_FIELD)
    return Proposal(
        scheme.device, ((setting, session.effect(), 0.0),), scheme.ended, scheme.box, scheme.target, _target_text(scheme),
        tuple(f"{name} is left out: {why}" for name, why in scheme.left_out.items()), worst, extra, _measures(scheme, session),
        _prescription(scheme, session), _assumed(scheme, asked), condition, _draws(scheme), scheme,
    )  # fmt: skip


def _target_text(scheme: Scheme) -> str:
    assert scheme.way is not None  # the caller asked
    if scheme.way.approach.name == "trans-soft-tissue":
        return (
            "the lytic part of the lesion, where the focus lies in tumour "
            "[001 «focusing the ultrasound beam inside the osteolytic bone tumor»]"
        )
    return (
        f"the outer surface of the bone over the lesion that faces the beam, with {number('margin_mm'):g} mm beside it: the "
        "periosteum [001 «causing denervation of the periosteum»]"
    )


def _measures(scheme: Scheme, session: Session) -> dict[str, Band]:
    assert scheme.way is not None  # the caller asked
    found = {name: Band.of(session.measures[name]) for name in FIGURES if name in session.measures}
    found["probes"] = Band.of(0.0)
    found["cell_width_mm"], found["cell_length_mm"] = (Band.of(v) for v in scheme.way.cell_mm)
    if scheme.sampled is not None:
        found |= {f"one_{name}": scheme.sampled.band(name) for name in scheme.sampled.nominal}
    return found


def _draws(scheme: Scheme) -> int:
    return 0 if scheme.sampled is None else len(scheme.sampled.drawn)


def _prescription(scheme: Scheme, session: Session) -> dict[str, object]:
    assert scheme.way is not None  # the caller asked
    middle = scheme.poses[scheme.shown]
    array: dict[str, Any] = {
        "vertex_mm": [float(v) for v in middle.vertex_mm], "axis": [float(v) for v in middle.axis],
        "roll_deg": float(middle.roll_deg), "of": scheme.shown,
    }  # fmt: skip
    side = in_words(-np.asarray(middle.axis))
    frequency = float(devices()[scheme.device]["frequency"]["value"])
    return {
        "device": str(devices()[scheme.device]["title"]),
        "approach": scheme.way.approach.name,
        "approach_reason": scheme.way.approach.reason,
        "approach_rule": scheme.way.approach.rule,
        "approach_source": list(scheme.way.approach.source),
        "array": array,
        "array_from": side,
        "patient_side": f"the {side} side of the patient lies towards the array",
        "sonications": as_document(session.shots, scheme.device, frequency),
        "test_power_w": session.measures["test_power_w"],
        "test_rise_k": session.measures["test_rise_k"],
        "left_out": dict(scheme.left_out),
    }


def _assumed(scheme: Scheme, asked: Asked) -> tuple[str, ...]:
    coarser = (
        f"the session was computed on voxels of {scheme.grids_mm['session']:g} mm, not of the {asked.spacing_mm:g} mm asked for: "
        "sound needs the whole way from the skin"
        if scheme.grids_mm["session"] > asked.spacing_mm + 1e-9
        else ""
    )
    return tuple(dict.fromkeys(t for t in (coarser, f"approach: {scheme.why}", *scheme.window.notes, *scheme.notes) if t))
