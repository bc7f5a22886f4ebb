"""A plate of bone in water, the full wave beside the exact flat layer: what it absorbs and passes, as compression and as shear.

Tolerances were set before the first run: 3 points of the incident power at 12 points per wavelength (the issue), 1 % for the
balance of power, 1e-2 (-40 dB) for what the absorbing layers send back, 20 % of its own theory for the error of the speed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

from osteon.physics.acoustic_layers import Layer, Medium, Stack
from osteon.physics.acoustic_layers import solve as exact_layers
from osteon.physics.acoustic_wave import Entry, Wave, solve
from osteon.physics.acoustic_wave_media import Media
from osteon.validation.base import Report, Row

WATER = Medium(1000.0, 1500.0)
CORTICAL = Medium(
    1850.0, 2800.0, 46.04, 1550.0, 138.1
)  # ITRUSST's cortical bone at 500 kHz with BabelBrain's shear: 4 and 12 dB/cm
FREQUENCY_HZ, PLATE_M, MARGIN_M = 0.5e6, 6.5e-3, 8e-3
ANGLES_DEG, POINTS = (0.0, 20.0, 40.0), (8, 10, 12)
JUDGED, SHARE, BALANCE, REFLECTED, SPEED = 12, 3.0, 1.0, 1e-2, 0.2
EXACT = "exact flat layer (acoustic_layers)"


def plate(points: int, angle_deg: float, bone: Medium | None) -> tuple[Wave, slice, float]:
    """Return the wave at a plate (None: water all through), where the plate lies, and the transverse wave number [1/m]."""
    h = WATER.speed_m_s / (FREQUENCY_HZ * points)
    before, inside = round(MARGIN_M / h), round(PLATE_M / h)
    part, shape = slice(before, before + inside), (2 * before + inside, 1, 1)
    names = ("density_kg_m3", "speed_m_s", "attenuation_np_m", "shear_speed_m_s", "shear_attenuation_np_m")
    fields = {name: np.full(shape, getattr(WATER, name)) for name in names}
    for name in names:
        fields[name][part] = getattr(bone or WATER, name)
    xi = 2 * math.pi * FREQUENCY_HZ / WATER.speed_m_s * math.sin(math.radians(angle_deg))
    entry = Entry(np.full((1, 1), 1e5 + 0j), FREQUENCY_HZ, (None, xi))
    return solve(Media(**fields, spacing_m=h), entry, settled=1e-3, most_periods=150), part, xi


def rows_of(points: int, angle_deg: float, bone: Medium) -> list[Row]:
    """Return what one plate absorbs and passes."""
    wave, part, xi = plate(points, angle_deg, bone)
    h, tolerance = wave.frame.spacing, SHARE if points == JUDGED else None
    stack = Stack(WATER, (Layer(bone, (part.stop - part.start) * h),), WATER, FREQUENCY_HZ)
    exact = exact_layers(stack, np.array([xi]))
    absorbed = 100 * float(wave.heat_w_m3[part].sum()) * h**3 / wave.incident_w
    passed = 100 * float(wave.through(0)[part.stop + 2].sum()) * h**2 / wave.incident_w
    shear = 100 * float(wave.shear_w_m3[part].sum()) * h**3 / wave.incident_w
    name = f"{'solid' if bone.solid else 'fluid'}, {angle_deg:g} deg, {points} points"
    share = "of the incident power"
    rows = [
        Row(f"{name}: absorbed", absorbed, "%", share, 100 * float(exact.absorbed_share[0, 0]), EXACT, tolerance),
        Row(f"{name}: passed", passed, "%", share, 100 * float(exact.transmitted_share[0]), EXACT, tolerance),
        Row(
            f"{name}: balance",
            100 * wave.imbalance,
            "%",
            "enters less absorbed less leaves, over enters",
            0.0,
            "conservation",
            BALANCE,
        ),
    ]
    if bone.solid:
        rows.append(Row(f"{name}: absorbed as shear", shear, "%", share + "; all of it less what compression alone loses"))
    return rows


def water_rows(points: int, angle_deg: float) -> list[Row]:
    """Return the speed of a plane wave in water and what the absorbing layers send back."""
    wave, _, _ = plate(points, angle_deg, None)
    p, h = wave.pressure_pa[6:-6, 0, 0].astype(complex), wave.frame.spacing
    size, k = np.abs(p), 2 * math.pi * FREQUENCY_HZ / WATER.speed_m_s
    back = float((size.max() - size.min()) / (size.max() + size.min()))
    name = f"water, {angle_deg:g} deg, {points} points"
    rows = [Row(f"{name}: sent back", back, "1", "of the amplitude, from the standing wave", 0.0, "no reflection", REFLECTED)]
    if angle_deg == 0.0:
        turns = float(np.polyfit(np.arange(len(p)) * h, np.unwrap(np.angle(p)), 1)[0])
        theory = 100 * 3 / 640 * (k * h) ** 4
        source = "3 (kh)^4 / 640, the leading error of the difference"
        rows.append(Row(f"{name}: error of the speed", 100 * (turns / k - 1), "%", "too slow", theory, source, SPEED * theory))
    return rows


def run(observe: Callable[[float], None]) -> Report:
    """Return the rows of ``slab``.

    Parameters
    ----------
    observe : callable
        Called with the fraction done.
    """
    began, rows = time.perf_counter(), []
    for i, angle in enumerate(ANGLES_DEG):
        for points in POINTS:
            rows += water_rows(points, angle) + rows_of(points, angle, CORTICAL)
        rows += rows_of(JUDGED, angle, CORTICAL.as_fluid)
        observe((i + 1) / len(ANGLES_DEG))
    assumptions = (
        "Attenuation counts as absorption here: all of it turns into heat. In bone a part is scattered instead.",
        "The plate's faces lie between voxels; where they do not, acoustic_wave_media.blend averages by volume.",
    )
    return Report("slab", tuple(rows), "done", time.perf_counter() - began, assumptions)
