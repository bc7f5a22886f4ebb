"""Thermal dose against closed forms."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
from scipy import constants as nature
from scipy.constants import R as GAS_CONSTANT
from scipy.constants import zero_Celsius as ZERO_CELSIUS

from osteon.physics import damage
from osteon.physics.bioheat import Coagulation, Materials, Stage, heat
from osteon.validation.base import Report, Row


def ramp(low_c: float, high_c: float, seconds: float) -> float:
    """Return CEM43 [min] of a straight rise within one branch: R^(43 - T) integrated by hand."""
    r: float = 0.5 if low_c >= 43 else 0.25
    slope = (high_c - low_c) / (seconds / 60)
    return float(r ** (43 - high_c) - r ** (43 - low_c)) / (-math.log(r) * slope)


def constant_rows() -> list[Row]:
    """Return how long it takes to 240 min at a constant temperature."""
    rows = []
    for temperature, seconds in ((50.0, 112.5), (55.0, 3.515625), (60.0, 0.10986328125)):
        dose = float(damage.cem43(np.array([0.0, 1.0]), np.array([temperature, temperature])))
        rows.append(Row(f"240 min at {temperature:g} °C", 240 / dose, "s", "time to CEM43 240", seconds,
                        "240 min x 60 x 0.5^(T - 43): 112, 3.5 and 0.11 s", 1e-6 * seconds))  # fmt: skip
    return rows


def ramp_rows() -> list[Row]:
    """Return straight rises in each branch and across both."""
    above, below = ramp(43, 53, 600), ramp(39, 43, 600)
    across = np.array([37.0, 53.0])  # 16 K in 960 s: 2 K without dose, then both branches
    cases = (("43 to 53 °C in 600 s", np.array([43.0, 53.0]), 600.0, above),
             ("39 to 43 °C in 600 s", np.array([39.0, 43.0]), 600.0, below),
             ("37 to 53 °C in 960 s", across, 960.0, ramp(39, 43, 240) + above))  # fmt: skip
    return [
        Row(name, float(damage.cem43(np.array([0.0, seconds]), temperatures)), "min", "one straight line", exact, "closed form",
            1e-9 * exact)
        for name, temperatures, seconds, exact in cases
    ]  # fmt: skip


def marched_row() -> Row:
    """Return the dose that a march accumulates in an insulated block heated evenly from 37 to 53 °C."""
    shape, capacity, seconds = (6, 6, 6), 3.6e6, 960.0
    tissue = Materials(
        np.full(shape, 0.5, np.float32),
        np.full(shape, capacity, np.float32),
        np.zeros(shape, np.float32),
        np.zeros(shape, np.float32),
    )
    source = np.full(shape, 16.0 * capacity / seconds, np.float32)
    result = heat(1.0, tissue, [Stage(seconds, source)], boundary="insulated", coagulation=Coagulation("never"))
    exact = ramp(39, 43, 240) + ramp(43, 53, 600)
    return Row("insulated block, 37 to 53 °C", float(result.cem43_min.mean()), "min", "accumulated by the march", exact,
               "closed form", 1e-3 * exact)  # fmt: skip


def eyring_one_minute_c(entropy: float, enthalpy: float) -> float:
    """Return where (kB T/h) exp(S/R - H/(R T)) changes half in one minute [°C], by bisection of the law as published."""
    low, high = 300.0, 400.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        rate = nature.k * middle / nature.h * math.exp(entropy / GAS_CONSTANT - enthalpy / (GAS_CONSTANT * middle))
        low, high = (low, middle) if 60.0 * rate > math.log(2.0) else (middle, high)
    return float(middle - ZERO_CELSIUS)


def arrhenius_rows() -> list[Row]:
    """Return the one-minute temperature of each shipped pair."""
    published = {
        "liver": 50.1,
        "skin": 54.0,
        "bone_beside_cement": 53.3,
        "fat": 95.4,
        "liver_whitening": eyring_one_minute_c(553.5, 2.768e5),
    }
    return [
        Row(f"Omega {pair.threshold.number:.2g} in 1 min, {name}", damage.one_minute_temperature(pair), "degC",
            "E / (R ln(60 A / Omega))", published[name], pair.frequency_factor.source, 0.05)
        for name, pair in damage.arrhenius_pairs().items()
    ]  # fmt: skip


def run(observe: Callable[[float], None] = lambda _: None) -> Report:
    """Run the reference case ``cem43``."""
    began = time.perf_counter()
    rows = [*constant_rows(), *ramp_rows(), marched_row(), *arrhenius_rows()]
    observe(1.0)
    return Report("cem43", tuple(rows), seconds=time.perf_counter() - began, assumptions=("straight lines between samples",))
