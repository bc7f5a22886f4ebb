r"""A line that takes heat for ever from a liquid that freezes: cylindrical solidification in closed form.

.. math:: T_s = T_f + \frac{q}{4\pi k_s}\left(E_1(\lambda^2) - E_1(r^2/4 a_s t)\right), \qquad r_f = 2\lambda\sqrt{a_s t}

(Carslaw & Jaeger, Conduction of Heat in Solids, 11.6; the exponential integral). The probe is given by its power, so the line
coupling and the front are tested together.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from scipy.special import exp1

from osteon.physics.freezing import Drive, FreezeResult, FreezeStage, FreezingMaterials, freeze
from osteon.physics.freezing_tables import sharp_table
from osteon.physics.lines import Line
from osteon.validation.base import Report, Row
from osteon.validation.neumann import C_LIQUID, C_SOLID, FREEZES_C, K_LIQUID, K_SOLID, LATENT, START_C

POWER_W_M, SECONDS, SPACING_MM = 400.0, 600.0, 1.0
SIDE_MM, HEIGHT = 91, 5  # sides far from what changes; the line goes through all of the insulated height


def similarity() -> float:
    """Return lambda of the cylindrical solution for the constants above."""
    a_s, a_l = K_SOLID / C_SOLID, K_LIQUID / C_LIQUID
    ratio = a_s / a_l

    def defect(x: float) -> float:
        x2 = x * x
        into = POWER_W_M / (4 * math.pi) * math.exp(-x2)
        out = K_LIQUID * (START_C - FREEZES_C) / exp1(x2 * ratio) * math.exp(-x2 * ratio)
        return float(into - out - LATENT * a_s * x2)

    return float(brentq(defect, 1e-3, 3.0, xtol=1e-12))


def exact_mm(level_c: float) -> float:
    """Return the radius of a temperature of the solid at the end [mm]; the front at the freezing point."""
    x, a_s = similarity(), K_SOLID / C_SOLID

    def temperature(z: float) -> float:
        return float(FREEZES_C + POWER_W_M / (4 * math.pi * K_SOLID) * (exp1(x * x) - exp1(z * z)))

    at = x if level_c >= FREEZES_C else brentq(lambda z: temperature(z) - level_c, 1e-6, x)
    return float(2e3 * math.sqrt(a_s * SECONDS) * at)


def numerical() -> FreezeResult:
    """Return the run on voxels of 1 mm."""
    shape = (HEIGHT, SIDE_MM, SIDE_MM)
    table = sharp_table(K_SOLID, C_SOLID, K_LIQUID, C_LIQUID, LATENT, FREEZES_C)
    materials = FreezingMaterials([table], np.zeros(shape, np.uint8), np.zeros(shape, np.float32))
    middle, h = (SIDE_MM // 2) * 1e-3, SPACING_MM * 1e-3
    line = Line((-0.5 * h, middle, middle), ((HEIGHT - 0.5) * h, middle, middle), 0.5e-3)
    sides = (None, None, START_C, START_C, START_C, START_C)
    drive = Drive(-270.0, 1e9, POWER_W_M)  # a film so thin that only the power limits it
    return freeze(SPACING_MM, materials, [FreezeStage("freeze", SECONDS, (drive,))], [line], sides_c=sides)


def run(observe: Callable[[float], None] = lambda _: None) -> Report:
    """Run the reference case ``line-sink``."""
    began = time.perf_counter()
    result = numerical()
    observe(1.0)
    row = result.temperature_c[HEIGHT // 2, SIDE_MM // 2, SIDE_MM // 2 :].astype(float)
    radius = np.arange(len(row)) * SPACING_MM

    def found(level: float) -> float:
        return float(np.interp(level, row, radius))

    rows = (
        Row("front_mm", found(FREEZES_C), "mm", "first crossing of -0.5 °C along x at 600 s, 1 mm voxels", exact_mm(FREEZES_C),
            "Carslaw & Jaeger, exponential integral", 1.0),
        Row("minus20_mm", found(-20.0), "mm", "radius of -20 °C along x", exact_mm(-20.0), "Carslaw & Jaeger", 0.5),
        Row("power_w_m", float(-result.power_w[-1].sum()) / (HEIGHT * SPACING_MM * 1e-3), "W/m", "taken by the line", POWER_W_M,
            "as asked", 1e-3 * POWER_W_M),
        Row("energy_balance", result.ended.energy_balance, "1", "defect over the heat moved", 0.0, "conservation", 1e-4),
    )  # fmt: skip
    return Report("line-sink", rows, seconds=time.perf_counter() - began)
