"""What each sonication must kill: its share of the places that are treated, and what of them it does kill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from osteon.physics import damage
from osteon.space.volume import Array
from osteon.treatments.focused_ultrasound.bone_face import Face
from osteon.treatments.focused_ultrasound.lattice import treated_of
from osteon.treatments.focused_ultrasound.session_response import Response, Traces
from osteon.treatments.focused_ultrasound.shots import Aim, ApproachName

MOST_PLACES = 40  # of one sonication, for its power
SHARE_OF_CELL = 1.0  # of a cell's half width: how far from its spot places are its own


def treated_places(face: Face, approach: ApproachName) -> tuple[Array, Array]:
    """Return the places that an approach treats, LPS (n, 3), and what share of the whole each stands for."""
    treated = treated_of(face, approach)
    if len(treated.places) == 0:
        return np.zeros((0, 3)), np.zeros(0)
    return face.to_mm(treated.places), treated.weights


def rise_at(traces: Traces, places_mm: Array) -> Array:
    """Return the rise per watt [K/W] at places, (times, n), from the voxel that holds each; 0 where none was kept."""
    index = np.rint(traces.grid.to_index(np.atleast_2d(places_mm))).astype(int)
    inside = ((index >= 0) & (index < np.array(traces.grid.shape))).all(axis=1)
    flat = np.ravel_multi_index(tuple(np.clip(index, 0, np.array(traces.grid.shape) - 1).T), traces.grid.shape)
    order = np.argsort(traces.voxels, kind="stable")
    held = traces.voxels[order]
    at = np.clip(np.searchsorted(held, flat), 0, max(len(held) - 1, 0))
    found = inside & (held[at] == flat) if len(held) else np.zeros(len(flat), bool)
    out = np.zeros((traces.rise_k_w.shape[0], len(flat)), np.float32)
    out[:, found] = traces.rise_k_w[:, order[at[found]]]
    return out


def dead_at(response: Response, places_mm: Array, power_w: float) -> Array:
    """Return which places one sonication kills by itself (CEM43 of necrosis), bool (n,); ``FINE_MM`` is how sharply."""
    dose = response.dose_min(rise_at(response.box, places_mm), power_w)
    return np.asarray(dose >= damage.constants("cem43")["necrosis"].number)


def shares(aims: Sequence[Aim], places_mm: Array, half_width_mm: float) -> dict[str, Array]:
    """Return what each sonication must kill, by id: its spot first, then places of which it is the nearest, (n, 3) LPS.

    Parameters
    ----------
    aims : sequence of Aim
        Of one plan.
    places_mm : ndarray (n, 3)
        All that are treated.
    half_width_mm : float
        Of the cell that the lattice was made with.
    """
    spots = np.array([a.spot_mm for a in aims])
    gap, nearest = cKDTree(spots).query(places_mm)
    found: dict[str, Array] = {}
    for i, aim in enumerate(aims):
        mine = places_mm[(nearest == i) & (gap <= SHARE_OF_CELL * half_width_mm)]
        if len(mine) > MOST_PLACES:
            mine = mine[np.unique(np.linspace(0, len(mine) - 1, MOST_PLACES).round().astype(int))]
        found[aim.id] = np.concatenate([spots[i][None], mine])
    return found


def targeted(response: Response, places_mm: Array) -> Response:
    """Return a response whose target points are these places; what it did to them is read from its fine box."""
    return replace(response, targets=rise_at(response.box, places_mm))


def covered(responses: Sequence[Response], powers_w: Mapping[str, float], places_mm: Array, weights: Array) -> float:
    """Return the share of what is treated that some sonication kills by itself, in the fine boxes; heat does not add up here."""
    dead = np.zeros(len(places_mm), bool)
    for response in responses:
        if powers_w.get(response.aim.id, 0.0) > 0:
            dead |= dead_at(response, places_mm, powers_w[response.aim.id])
    return float(weights[dead].sum()) if len(dead) else 0.0
