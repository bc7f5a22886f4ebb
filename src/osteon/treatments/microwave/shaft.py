r"""The cooled shaft as a sink of heat: a line with coolant from a little behind the slot on, never painted into voxels.

Its wall has the conductance per length :math:`2\pi k/\ln(r_{outer}/r_{inner})`; the coolant is held near body temperature.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from osteon.physics.bioheat_sink import Sink
from osteon.physics.lines import Line
from osteon.space.volume import Grid
from osteon.tissue.properties import Constants
from osteon.treatments.base import NeedlePose

COOLANT_C = 37.0  # said in the assumptions of every run


def cooled(device: Mapping[str, Any]) -> bool:
    """Tell whether coolant flows in the shaft."""
    return bool(device["cooled"]["value"])


def sink_of(device: Mapping[str, Any], pose: NeedlePose, grid: Grid, constants: Constants) -> Sink | None:
    """Return the cooled shaft; None where the device is not cooled or its shaft does not reach the grid.

    Parameters
    ----------
    device : mapping
        Entry of ``devices.yaml`` with the numbers of this run.
    pose : NeedlePose
        Where the needle lies.
    grid : Grid
        Voxels, cubic.
    constants : Constants
        The numbers of this run.
    """
    if not cooled(device):
        return None
    geometry = device["geometry"]
    inner, outer = (float(geometry[name]["value"]) for name in ("outer_conductor_radius", "sheath_radius"))
    start = float(geometry["slot_from"]["value"]) + float(geometry["slot_length"]["value"]) + constants("coolant", "behind_slot")
    end = min(pose.length_mm, float(device["usable_length_mm"]["value"]))
    voxel = float(np.mean(grid.spacing_mm))
    heights = np.arange(start, end, 0.25 * voxel)
    index = grid.to_index(np.asarray(pose.tip_mm) - heights[:, None] * np.asarray(pose.direction))
    if not ((index > -0.25) & (index < np.array(grid.shape) - 0.75)).all(axis=1).any():
        return None
    ends = grid.to_index(np.asarray(pose.tip_mm) - np.array([start, end])[:, None] * np.asarray(pose.direction)) * voxel * 1e-3
    first, last = ((float(z), float(y), float(x)) for z, y, x in ends)
    film = constants("coolant", "wall_conductivity") / (np.log(outer / inner) * outer * 1e-3)
    return Sink(Line(first, last, outer * 1e-3), float(film), COOLANT_C)
