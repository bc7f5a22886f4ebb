"""How a session of sonications stands against every limit of heat, and how near it comes to what must be spared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from osteon.space.anatomy import structure
from osteon.space.volume import Array, Grid, Volume
from osteon.tissue.tolerance import Limit, limits_for
from osteon.treatments.focused_ultrasound.session_power import judged, name_of
from osteon.treatments.focused_ultrasound.session_run import Course
from osteon.treatments.focused_ultrasound.session_setup import NEAR_FIELD, Setup
from osteon.treatments.focused_ultrasound.shots import Aim

Level = Literal["ok", "warning", "breach", "unknown"]
UNITS = {"peak_temperature_c": "°C", "cem43_min": "CEM43 min", "stand_off_mm": "mm"}


@dataclass(frozen=True)
class Held:
    """One limit at one structure over the whole session.

    Parameters
    ----------
    structure, limit_id : str
        Which.
    value : float or None
        Worst of the session's run and of what was foreseen in the fine boxes, in ``unit``; None: cannot tell.
    limit : float
        Where a breach (or, of a limit for information, a warning) begins.
    unit : str
        °C, CEM43 min or mm.
    level : {"ok", "warning", "breach", "unknown"}
        How it stands.
    distance_mm : float or None
        From the structure to the nearest place that is treated; None where it is not known.
    text : str
        One sentence.
    source : str
        Of the limit.
    """

    structure: str
    limit_id: str
    value: float | None
    limit: float
    unit: str
    level: Level
    distance_mm: float | None
    text: str
    source: str


def judge(setup: Setup, course: Course, aims: Sequence[Aim], target: Volume | None) -> tuple[Held, ...]:
    """Return how every limit of heat and every stand-off stands after a session, worst level first.

    Parameters
    ----------
    setup : Setup
        What is watched.
    course : Course
        After the last sonication.
    aims : sequence of Aim
        Places that are treated.
    target : Volume of bool or None
        What is meant to be treated, on the patient's grid.
    """
    found = []
    grid, spots = setup.tissue.grid, np.array([a.spot_mm for a in aims])
    for name, voxels in setup.watch.items():
        away = _distance(grid, voxels, spots)
        for limit in limits_for(structure(name)):
            if limit.quantity == "lowest_temperature_c":
                continue
            if limit.quantity == "stand_off_mm":
                found.append(_held(name, limit, max(away - 0.5 * grid.spacing_mm[0], 0.0), away))
                continue
            values = course.peak_c if limit.quantity == "peak_temperature_c" else course.cem43_min
            worst = max(float(values.ravel()[voxels].max()), course.foreseen.get((name, limit.id), -math.inf))
            found.append(_held(name, limit, worst, away))
    if len(setup.front):
        worst = max(
            float(course.cem43_min.ravel()[setup.front].max()), course.foreseen.get((NEAR_FIELD, "near-field-necrosis"), 0.0)
        )
        found.append(_held(NEAR_FIELD, judged(NEAR_FIELD)[0], worst, _distance(grid, setup.front, spots)))
    found.append(_bone(setup, course, target))
    order = ("breach", "unknown", "warning", "ok")
    return tuple(sorted(found, key=lambda h: (order.index(h.level), h.structure, h.limit_id)))


def _held(name: str, limit: Limit, value: float, away_mm: float) -> Held:
    unit = UNITS[limit.quantity]
    told = f"{float(f'{value:.3g}'):g}" if abs(value) < 1e5 else "over 100 000"
    text = f"{name_of(name)}: {told} {unit} against {limit.limit:g} ({limit.id}); {away_mm:.3g} mm from the nearest place"
    return Held(name, limit.id, value, limit.limit, unit, limit.level(value), away_mm, text, limit.source)


def _bone(setup: Setup, course: Course, target: Volume | None) -> Held:
    """Judge bone and its marrow outside what is meant to be treated, for information."""
    limit = next(k for k in limits_for(structure("other_bone")) if k.quantity == "cem43_min")
    bone = setup.tissue.is_label("bone")
    if target is None or not target.grid.same_as(setup.tissue.grid):
        text = "cannot tell what happens to bone that is not meant to be treated: give the target on the patient's grid"
        return Held("other_bone", limit.id, None, limit.limit, UNITS["cem43_min"], "unknown", None, text, limit.source)
    outside = bone & ~target.array
    value = float(course.cem43_min[outside].max(initial=0.0))
    volume = float((outside & (course.cem43_min >= limit.limit)).sum()) * setup.tissue.grid.voxel_mm3 * 1e-3
    text = f"bone outside the target: {volume:.2g} cm³ of it pass CEM43 {limit.limit:g} min ({limit.id}, for information)"
    return Held("other_bone", limit.id, value, limit.limit, UNITS["cem43_min"], limit.level(value), None, text, limit.source)


def _distance(grid: Grid, voxels: Array, places_mm: Array) -> float:
    at = grid.to_mm(np.stack(np.unravel_index(voxels, grid.shape), axis=-1).astype(float))
    return min(float(np.linalg.norm(at - place, axis=1).min()) for place in places_mm)
