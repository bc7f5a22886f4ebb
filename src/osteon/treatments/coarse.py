"""What coarse predictions for searching share: the coarse grid, the box round a zone, samples of a run, what is read off them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from osteon.physics import bioheat, damage
from osteon.space.anatomy import Anatomy, Field
from osteon.space.volume import Array, Grid, Volume
from osteon.tissue.bone import FIELDS, TissueMap
from osteon.treatments.base import Trace
from osteon.treatments.heat import place_of, watched

Box = tuple[slice, ...]
Made = TypeVar("Made")


def once(kept: OrderedDict[Any, Made], key: Hashable, make: Callable[[], Made], most: int) -> Made:
    """Return what was made under a key, made now where it was not; beyond ``most`` the oldest is forgotten."""
    if key not in kept:
        kept[key] = make()
        if len(kept) > most:
            kept.popitem(last=False)
    return kept[key]


def extent(grid: Grid) -> tuple[Array, Array, Array]:
    """Return the directions of a grid as columns, and its lowest and highest corner along them [mm]."""
    matrix = grid.matrix[:3, :3]
    axes = matrix / np.linalg.norm(matrix, axis=0)
    along = grid.corners_mm() @ np.linalg.inv(axes).T
    return axes, along.min(axis=0), along.max(axis=0)


def on_coarse_voxels(anatomy: Anatomy, spacing_mm: float) -> Anatomy:
    """Return an anatomy on cubic voxels along its own axes."""
    axes, low, high = extent(anatomy.grid)
    return anatomy.on(Grid.box(low, high, spacing_mm, axes))


def around(grid: Grid, centre_mm: Array, half: int) -> tuple[Box, Grid]:
    """Return the box of ``half`` voxels to either side of a place, no larger than the grid, as slices and as a grid."""
    centre = np.rint(grid.to_index(centre_mm)).astype(int)
    low = np.clip(centre - half, 0, np.array(grid.shape) - 2)
    high = np.clip(centre + half + 1, low + 2, grid.shape)
    matrix = grid.matrix
    matrix[:3, 3] = grid.to_mm(low.astype(float))
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high)), Grid.of(tuple((high - low).tolist()), matrix)


def piece(array: Array, box: Box) -> Array:
    """Return a copy of what lies in a box."""
    return np.ascontiguousarray(array[box])


def piece_of(tissue: TissueMap, box: Box, small: Grid) -> TissueMap:
    """Return what of a tissue map lies in a box."""
    fields: dict[str, Any] = {name: piece(getattr(tissue, name), box) for name in (*FIELDS, "labels")}
    return replace(tissue, grid=small, **fields)


def watched_in(anatomy: Anatomy, box: Box) -> dict[str, Array]:
    """Return the outlines of critical structures in a box, without those that do not reach it."""
    found = {name: piece(mask, box) for name, mask in watched(anatomy).items()}
    return {name: mask for name, mask in found.items() if mask.any()}


class Samples:
    """Temperature, peak and dose of one run at several times.

    Parameters
    ----------
    start_c : array, shape (z, y, x)
        Temperature at time 0 [°C].
    """

    def __init__(self, start_c: Array) -> None:
        self.last_s, self.last = 0.0, start_c
        self.times_s: list[float] = []
        self.temperature_c: list[Array] = []
        self.peak_c: list[Array] = []
        self.cem43_min: list[Array] = []

    def note(self, time_s: float, temperature_c: Array) -> None:
        """Add the dose since the last sample, a straight line in time assumed."""
        peak = np.maximum(temperature_c, self.peak_c[-1] if self.peak_c else self.last)
        dose = self.cem43_min[-1].copy() if self.cem43_min else np.zeros_like(self.last)
        warm = np.maximum(temperature_c, self.last) >= 39.0
        if warm.any():
            pair = np.stack([self.last[warm], temperature_c[warm]])
            dose[warm] += damage.cem43(np.array([self.last_s, time_s]), pair).astype(np.float32)
        self.times_s.append(time_s)
        self.temperature_c.append(np.array(temperature_c, np.float32))
        self.peak_c.append(peak)
        self.cem43_min.append(dose)
        self.last_s, self.last = time_s, self.temperature_c[-1]

    def at(self, seconds: float) -> int:
        """Return the first sample not before a time, else the last."""
        return min(int(np.searchsorted(np.array(self.times_s), seconds - 1e-6)), len(self.times_s) - 1)

    def dead(self, at: int) -> Array:
        """Return where CEM43 has reached necrosis at a sample, bool."""
        return np.asarray(self.cem43_min[at] >= damage.constants("cem43")["necrosis"].number)


def read_off(
    samples: Samples, at: int, result: bioheat.HeatResult, cooled: bioheat.HeatResult, grid: Grid
) -> tuple[dict[Field, Volume], dict[str, Trace], float]:
    """Return what a treatment that stops at a sample leaves: its state, ``hottest:<structure>``, and its zone [cm³].

    Parameters
    ----------
    samples : Samples
        Of the run to the longest time.
    at : int
        Which sample.
    result, cooled : HeatResult
        That run, and the cooling from the sample on.
    grid : Grid
        Of both.
    """
    off_s, dose = samples.times_s[at], samples.cem43_min[at] + cooled.cem43_min
    dead = dose >= damage.constants("cem43")["necrosis"].number
    state = {
        Field.TEMPERATURE_C: Volume(np.maximum(samples.peak_c[at], cooled.peak_c), grid),
        Field.PRESENT_C: Volume(np.asarray(cooled.temperature_c, np.float32), grid),
        Field.CEM43_MIN: Volume(np.asarray(dose, np.float32), grid),
        Field.DEAD: Volume(dead, grid),
    }
    traces = {}
    for name, (times, values) in result.traces.items():
        until, after = times <= off_s + 1e-6, cooled.traces[name]
        joined = np.append(times[until], off_s + after[0][1:]), np.append(values[until], after[1][1:])
        traces[f"hottest:{name}"] = Trace(*joined, "degC", place_of(grid, cooled.hottest[name][1]))
    return state, traces, float(dead.sum()) * grid.voxel_mm3 * 1e-3
