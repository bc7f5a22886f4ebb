"""A coarse prediction for searching: the physics of ``simulation`` on voxels of 2.5 mm in a box round the probe."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from osteon.space.anatomy import Anatomy
from osteon.space.volume import Array, Grid
from osteon.treatments.base import Draw, Effect, Setting
from osteon.treatments.coarse import extent, once
from osteon.treatments.cryoablation import simulation

if TYPE_CHECKING:
    from osteon.treatments.cryoablation.treatment import Cryoablation

SPACING_MM, HALF_BOX_MM = 2.5, 45.0
KEPT = 128
WHY = "Coarse: 2.5 mm voxels within 45 mm of the middle of the probes, long time steps."
_EFFECTS: WeakKeyDictionary[Anatomy, OrderedDict[Setting, Effect]] = WeakKeyDictionary()


def quick(treatment: Cryoablation, anatomy: Anatomy, setting: Setting) -> Effect:
    """Return a coarse prediction; the same setting on the same anatomy is computed once.

    Raises
    ------
    SettingError
        If the device cannot do that.
    """
    treatment.check(setting)
    kept = _EFFECTS.setdefault(anatomy, OrderedDict())
    return once(kept, setting, lambda: _predict(treatment, anatomy, setting), KEPT)


def _predict(treatment: Cryoablation, anatomy: Anatomy, setting: Setting) -> Effect:
    back = treatment.needle(setting.device).active_offset_mm
    middle = np.mean([np.array(p.tip_mm) - back * np.array(p.direction) for p in setting.poses], axis=0)
    effect = simulation.simulate(treatment, anatomy.on(_box(anatomy.grid, middle)), setting, Draw.nominal(), coarse=True)
    return replace(effect, title=f"{effect.title} (coarse)", ended=replace(effect.ended, why=WHY))


def _box(grid: Grid, middle_mm: Array) -> Grid:
    """Return a coarse grid along the axes of ``grid``, round a point and no larger than it."""
    axes, lowest, highest = extent(grid)
    centre = np.linalg.inv(axes) @ middle_mm
    low, high = np.maximum(lowest, centre - HALF_BOX_MM), np.minimum(highest, centre + HALF_BOX_MM)
    return Grid.box(low, np.maximum(high, low + 2 * SPACING_MM), SPACING_MM, axes)
