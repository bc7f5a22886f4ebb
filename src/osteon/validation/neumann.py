"""Freezing against closed forms: Neumann's plane front, and a whole cryoablation's account of energy."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import erf, erfc

from osteon.case.phantom import build
from osteon.physics.freezing import STAGES, FreezeResult, FreezeStage, FreezingMaterials, freeze
from osteon.physics.freezing_tables import sharp_table
from osteon.space.anatomy import Anatomy
from osteon.space.volume import Volume
from osteon.treatments.base import Draw, Effect, NeedlePose, Setting
from osteon.treatments.cryoablation.treatment import Cryoablation
from osteon.validation.base import Report, Row

Array = np.ndarray[Any, np.dtype[Any]]
K_SOLID, K_LIQUID, C_SOLID, C_LIQUID, LATENT = 2.0, 0.5, 1.8e6, 3.6e6, 250.5e6  # thermal reference T1, SI
WALL_C, START_C, FREEZES_C, SECONDS = -120.0, 37.0, -0.5, 600.0
LENGTH_MM = 100.0
CASE_MM, ENTRY_MM = 3.0, 60.0  # voxels of the whole case; from the lesion's centre out to where its probe enters
SOURCE = "Neumann, closed form"


def similarity() -> float:
    """Return lambda of Neumann's solution for the constants above."""
    a_s, a_l = K_SOLID / C_SOLID, K_LIQUID / C_LIQUID

    def defect(x: float) -> float:
        into = K_SOLID * (FREEZES_C - WALL_C) * math.exp(-x * x) / (math.sqrt(math.pi * a_s) * erf(x))
        out = (
            K_LIQUID
            * (START_C - FREEZES_C)
            * math.exp(-x * x * a_s / a_l)
            / (math.sqrt(math.pi * a_l) * erfc(x * math.sqrt(a_s / a_l)))
        )
        return float(into - out - LATENT * x * math.sqrt(a_s))

    return float(brentq(defect, 0.01, 3.0, xtol=1e-12))


def exact_mm(level_c: float) -> float:
    """Return where the solid has a temperature at the end [mm]; the front at the freezing point."""
    x, a_s = similarity(), K_SOLID / C_SOLID
    share = (level_c - WALL_C) / (FREEZES_C - WALL_C) * erf(x)
    at = brentq(lambda z: erf(z) - share, 0.0, x + 1e-9, xtol=1e-12) if level_c < FREEZES_C else x
    return float(2.0 * math.sqrt(a_s * SECONDS) * at * 1e3)


def plane(spacing_mm: float, super_stages: int = STAGES) -> tuple[Array, Array, FreezeResult]:
    """Return depth [mm], temperature [°C] and run of a bar whose end is held at -120 °C."""
    shape = (1, 1, round(LENGTH_MM / spacing_mm))
    table = sharp_table(K_SOLID, C_SOLID, K_LIQUID, C_LIQUID, LATENT, FREEZES_C)
    materials = FreezingMaterials([table], np.zeros(shape, np.uint8), np.zeros(shape, np.float32))
    sides = (None, None, None, None, WALL_C, None)
    result = freeze(spacing_mm, materials, [FreezeStage("freeze", SECONDS)], sides_c=sides, super_stages=super_stages)
    return (np.arange(shape[2]) + 0.5) * spacing_mm, result.temperature_c[0, 0].astype(float), result


def whole_case() -> Effect:
    """Return a 10-8-10 min cryoablation of the iliac phantom: one 2.4 mm probe through the lesion, blood flow, 3 mm voxels."""
    made = build("ilium", spacing_mm=CASE_MM)
    inside = Volume(np.ones(made.image.grid.shape, bool), made.image.grid)
    anatomy = Anatomy(imaged=inside, image=made.image, masks=dict(made.masks))
    cryo, device = Cryoablation(), "generic-2.4mm"
    beyond = cryo.needle(device).active_offset_mm
    centre, way = np.array(made.lesion_centre_mm), np.array(made.approach)
    entry, tip = (_point(centre + by * way) for by in (ENTRY_MM, -beyond))
    controls = (("time_s", 600.0), ("thaw_s", 480.0), ("freezes", 2.0))
    return cryo.simulate(anatomy, Setting(device, (NeedlePose(entry, tip),), controls), Draw.nominal())


def _point(at: Array) -> tuple[float, float, float]:
    return float(at[0]), float(at[1]), float(at[2])


def run(observe: Callable[[float], None] = lambda _: None) -> Report:
    """Run the reference case ``neumann``."""
    began = time.perf_counter()
    depth, temperature, result = plane(1.0)
    _, explicit, _ = plane(1.0, 1)
    observe(0.5)

    def found(level: float) -> float:
        return float(np.interp(level, temperature, depth))

    case = whole_case()
    assert case.ended.energy_balance is not None
    observe(1.0)
    rows = (
        Row("lambda", similarity(), "1", "root of Neumann's equation", 0.473085, "thermal reference T1", 1e-5),
        Row("front_mm", found(FREEZES_C), "mm", "first crossing of -0.5 °C at 600 s, 1 mm", exact_mm(FREEZES_C), SOURCE, 1.0),
        Row("minus20_mm", found(-20.0), "mm", "depth of -20 °C at 600 s, 1 mm voxels", exact_mm(-20.0), SOURCE, 0.5),
        Row("minus40_mm", found(-40.0), "mm", "depth of -40 °C at 600 s, 1 mm voxels", exact_mm(-40.0), SOURCE, 0.5),
        Row("energy_balance", result.ended.energy_balance, "1", "defect over the heat moved", 0.0, "conservation", 1e-4),
        Row("superstep_error_k", float(np.abs(temperature - explicit).max()), "K",
            f"largest difference from the explicit scheme at 600 s, {STAGES} stages", 0.0, "explicit scheme", 0.2),
        Row("evaluations", float(result.ended.evaluations), "1", "evaluations of the right-hand side"),
        Row("case_energy_balance", case.ended.energy_balance, "1",
            "10-8-10 min and an active thaw in the iliac phantom, with blood flow: defect over the heat moved", 0.0,
            "conservation", 1e-3),
        Row("case_ice_cm3", case.measures["visible_ice_cm3"], "cm^3", "the same case: what reached 0 °C"),
        Row("case_zone_cm3", case.measures["zone_cm3"], "cm^3", "the same case: what reached -40 °C"),
    )  # fmt: skip
    return Report("neumann", rows, seconds=time.perf_counter() - began,
                  assumptions=("the wall lies half a voxel before the first centre",))  # fmt: skip
