"""The cooled shaft as a sink of heat: behind the slot, voxels on the axis are held near body temperature behind the wall.

They get so much heat capacity that they hardly warm, which the end of blood flow in coagulated tissue leaves alone, and the heat
conductivity that gives the wall its conductance per length, 2 pi k / ln(outer / inner radius).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from osteon.space.volume import Array, Grid
from osteon.tissue.bone import TissueMap
from osteon.tissue.properties import Constants
from osteon.treatments.base import NeedlePose

HOLDING = 1e12  # J/m³/K: a numerical choice; a voxel of 1 mm that takes 100 J warms by 0.1 K


def on_axis(grid: Grid, pose: NeedlePose, radius_mm: float, from_mm: float, to_mm: float) -> Array:
    """Return voxels whose centre lies within ``radius_mm`` of the shaft, from ``from_mm`` to ``to_mm`` behind the tip.

    Where voxels are wider than the shaft it is the row of voxels that the axis runs through.
    """
    step = 0.25 * min(grid.spacing_mm)
    backward, tip = -np.array(pose.direction), np.array(pose.tip_mm)
    heights = np.arange(from_mm, to_mm, step)
    index = np.rint(grid.to_index(tip + heights[:, None] * backward)).astype(int)
    through = np.unique(index, axis=0)
    reach = int(np.ceil(radius_mm / min(grid.spacing_mm)))
    shifts = np.array(list(product(range(-reach, reach + 1), repeat=3)))
    near = np.unique((through[:, None, :] + shifts[None, :, :]).reshape(-1, 3), axis=0)
    offset = grid.to_mm(near.astype(float)) - tip
    height = offset @ backward
    away = np.linalg.norm(offset - height[:, None] * backward, axis=1)
    chosen = np.concatenate([through, near[(away <= radius_mm) & (height >= from_mm) & (height <= to_mm)]])
    chosen = chosen[np.logical_and.reduce((chosen >= 0) & (chosen < np.array(grid.shape)), axis=1)]
    mask = np.zeros(grid.shape, bool)
    mask[tuple(chosen.T)] = True
    return mask


def cool(tissue: TissueMap, device: Mapping[str, Any], pose: NeedlePose, constants: Constants) -> tuple[TissueMap, Array | None]:
    """Return the tissue with a cooled shaft in it, and the voxels of that shaft; None where the device is not cooled."""
    if not bool(device["cooled"]["value"]):
        return tissue, None
    geometry = device["geometry"]
    inner, outer = float(geometry["outer_conductor_radius"]["value"]), float(geometry["sheath_radius"]["value"])
    start = float(geometry["slot_from"]["value"]) + float(geometry["slot_length"]["value"]) + constants("coolant", "behind_slot")
    mask = on_axis(tissue.grid, pose, outer, start, min(pose.length_mm, float(device["usable_length_mm"]["value"])))
    if not mask.any():
        return tissue, None
    conductance = 2.0 * np.pi * constants("coolant", "wall_conductivity") / np.log(outer / inner)
    voxel = float(np.mean(tissue.grid.spacing_mm))
    surface_mm = 8.0 * max(outer, 0.5 * voxel)  # outline of the square that the voxels make of the shaft
    conductivity, capacity = tissue.conductivity.copy(), tissue.heat_capacity.copy()
    conductivity[mask] = conductance * 0.5 * voxel / surface_mm
    capacity[mask] = HOLDING
    return replace(tissue, conductivity=conductivity, heat_capacity=capacity), mask
