"""Cryoprobes in a block of agar: the arrangement that `littrup` and `cryo-multi` share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from osteon.physics.freezing import FreezeResult, FreezeStage, FreezingMaterials, freeze
from osteon.physics.freezing_tables import ice, tissue_table
from osteon.physics.lines import Line
from osteon.tissue.properties import Constants
from osteon.treatments.cryoablation.cryoprobe import cryoprobe

Array = np.ndarray[Any, np.dtype[Any]]
START_C, SECONDS, APART_MM, BOX_MM = 39.0, 900.0, 20.0, 90.0
AGAR_WATER, AGAR_FREEZES_C = 0.98, (-0.1, -1.0)  # share of water (2 % agar), and where it freezes: proposals
FINE = 10  # points along a voxel with which areas are measured


def places(count: int, apart_mm: float = APART_MM) -> list[tuple[float, float]]:
    """Return where probes stand [mm]: one, two, a triangle, a square, each with neighbours ``apart_mm`` apart."""
    if count == 1:
        return [(0.0, 0.0)]
    radius = apart_mm / (2 * math.sin(math.pi / count))
    return [(radius * math.sin(2 * math.pi * i / count), radius * math.cos(2 * math.pi * i / count)) for i in range(count)]


@dataclass(frozen=True, eq=False)
class AgarRun:
    """Temperatures at the end in the plane across the middle of the active length, and the run."""

    plane_c: Array
    spacing_mm: float
    result: FreezeResult

    def _fine(self) -> Array:
        steps = [np.arange(0.0, n - 1, 1.0 / FINE) for n in self.plane_c.shape]
        return np.asarray(ndimage.map_coordinates(self.plane_c, np.stack(np.meshgrid(*steps, indexing="ij")), order=1))

    def diameter_mm(self, level_c: float) -> float:
        """Return the diameter of the circle with the area at or below a temperature [mm]."""
        area = float(np.count_nonzero(self._fine() <= level_c)) * (self.spacing_mm / FINE) ** 2
        return 2.0 * math.sqrt(area / math.pi)

    def longest_mm(self, level_c: float) -> float:
        """Return the largest extent of what is at or below a temperature, in any direction of the plane [mm]."""
        points = np.argwhere(self._fine() <= level_c) * (self.spacing_mm / FINE)
        if not len(points):
            return 0.0
        turns = np.deg2rad(np.arange(0.0, 180.0, 3.0))
        along = points @ np.stack([np.cos(turns), np.sin(turns)])
        return float(np.ptp(along, axis=0).max())


def agar_run(
    device: str, devices: Mapping[str, Mapping[str, Any]], count: int, spacing_mm: float = 1.0, seconds: float = SECONDS
) -> AgarRun:
    """Freeze agar at 39 °C with ``count`` probes 2 cm apart, all with the law of ``devices.yaml``."""
    probe = cryoprobe(devices[device], Constants(), device)
    side = round(BOX_MM / spacing_mm) | 1
    middle = (side - 1) / 2 * spacing_mm * 1e-3
    half = 0.5 * probe.active_length_mm * 1e-3
    lines = [
        Line((middle - half, middle + y * 1e-3, middle + x * 1e-3), (middle + half, middle + y * 1e-3, middle + x * 1e-3),
             probe.radius_mm * 1e-3)
        for y, x in places(count)
    ]  # fmt: skip
    water = ice()
    agar = tissue_table(
        water.water_conductivity, AGAR_WATER * water.water_density * water.water_heat, AGAR_WATER * water.water_density,
        AGAR_FREEZES_C, water,
    )  # fmt: skip
    shape = (side, side, side)
    materials = FreezingMaterials([agar], np.zeros(shape, np.uint8), np.zeros(shape, np.float32))
    stage = FreezeStage("freeze", seconds, (probe.freezing,))
    result = freeze(spacing_mm, materials, [stage], lines, start_c=START_C, arterial_c=START_C)
    return AgarRun(result.temperature_c[side // 2], spacing_mm, result)


ASSUMED = (
    "agar: 98 % water, freezing from -0.1 to -1 °C, a block of 90 mm whose sides stay at 39 °C; no flow in it",
    "active length 40 mm (not read in the source); film 2000 W/m²K to gas at -150 °C; most power per length fitted to the "
    "one-probe -30 °C diameter only",
    "a diameter is the longest extent in the plane across the middle of the active length; the circle of equal area stands "
    "beside it without a verdict",
    "how the source took its diameters was not read (abstract only: thermocouples 5, 10 and 15 mm from a probe). Its one probe "
    "reaches 6 mm, so two 20 mm apart span at least 32 mm, whatever the law; it prints 33 mm. This reading was chosen after the "
    "figures of both had been seen",
)
