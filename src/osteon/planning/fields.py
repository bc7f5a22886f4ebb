"""What several applications leave on one grid: the hottest and coldest temperatures, doses added up, what is dead of cold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import ndimage

from osteon.space.anatomy import Anatomy, Field, structure
from osteon.space.volume import Array, Grid
from osteon.treatments.base import Effect

BASELINE_C = 37.0
LETHAL_COLD = "lethal_cold"  # in ``Effect.used``


def total(effects: Sequence[Effect], grid: Grid, field: Field) -> Array:
    """Return a field over several applications on one grid: the hottest or the coldest temperature, the sum of doses."""
    fill = BASELINE_C if field in (Field.TEMPERATURE_C, Field.FROZEN_MIN_C) else 0.0
    out: Array = np.full(grid.shape, fill, np.float32)
    for effect in effects:
        if field not in effect.state:
            continue
        volume = effect.state[field]
        values = volume.array if volume.grid == grid else volume.resample(grid, fill=fill).array
        if field is Field.FROZEN_MIN_C:
            out = np.minimum(out, values)
        else:
            out = np.maximum(out, values) if field is Field.TEMPERATURE_C else out + values
    return out


def killed_by_cold(effects: Sequence[Effect], grid: Grid) -> Array:
    """Return where effects that freeze leave nothing alive, bool: at or below the ``LETHAL_COLD`` that each of them uses."""
    dead: Array = np.zeros(grid.shape, bool)
    for effect in effects:
        if Field.FROZEN_MIN_C not in effect.state:
            continue
        level = lethal_cold_c([effect])
        if level is None:  # it names no temperature: what it says is dead
            dead |= total([effect], grid, Field.DEAD) >= 0.5
        else:
            dead |= total([effect], grid, Field.FROZEN_MIN_C) <= level
    return dead


def lethal_cold_c(effects: Iterable[Effect]) -> float | None:
    """Return the lowest temperature that effects which freeze use as lethal [°C]; None where none names one."""
    named = [e.used[LETHAL_COLD].number for e in effects if Field.FROZEN_MIN_C in e.state and LETHAL_COLD in e.used]
    return min(named, default=None)


def edge_temperature(temperature: Array, box: Anatomy, coldest: bool = False) -> float:
    """Return the highest (or lowest) temperature in the body at the edge of what is seen: faces of the box, image borders."""
    edge = np.zeros(box.grid.shape, bool)
    for axis in range(3):
        face: list[slice | int] = [slice(None)] * 3
        for end in (0, -1):
            face[axis] = end
            edge[tuple(face)] = True
    if not box.imaged.array.all():
        edge |= ndimage.binary_dilation(~box.imaged.array)
    body = box.masks.get(structure("body"))
    edge &= body.array | ~box.imaged.array if body is not None else True
    if not edge.any():
        return BASELINE_C
    return float(temperature[edge].min() if coldest else temperature[edge].max())
