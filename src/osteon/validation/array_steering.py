"""The research array of 256 elements: size of its focus at 1 and 0.5 MHz, and how much heating is left when steered by 1 cm.

Printed beside the table of the paper. The length is judged at -3 dB (10 %, set beforehand; acoustics reference, A9 and section
9). The width has no verdict: the paper's definition of a focus was not read, and its widths fit none of the usual ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from osteon.physics import acoustic_sources
from osteon.physics.acoustic_sources import Array
from osteon.treatments.focused_ultrasound.transducer import Transducer, transducer
from osteon.validation.base import Report, Row

SPEED, DENSITY = 1540.0, 1000.0
LENGTH = 0.1
SOURCE = "PMC3166338, table 2"
PUBLISHED = {  # device: axial mm, lateral mm, Q ratio sideways, along the axis
    "research-256-1mhz": (7.2, 1.6, 0.66 / 1.15, 0.88 / 1.15),
    "research-256-500khz": (14.5, 3.3, 0.16 / 0.20, 0.16 / 0.20),
}
STEER_M = 0.01
LEVELS = {"-3 dB": 10 ** (-3 / 20), "-6 dB": 10 ** (-6 / 20)}


def pressure(array: Transducer, focus_m: Array, targets_m: Array) -> Array:
    """Return the amplitude [Pa] at targets (..., 3) when all elements move by 1 mm/s and focus at a point."""
    drive = 1e-3 * acoustic_sources.focus_drive(array.source, focus_m, array.frequency_hz, SPEED)
    p = acoustic_sources.field(array.source, drive, targets_m, array.frequency_hz, density_kg_m3=DENSITY, speed_m_s=SPEED)
    return np.asarray(np.abs(p))


def width(x: Array, p: Array, level: float) -> float:
    """Return the width of the lobe round the peak above a share of it, by linear interpolation, in the unit of ``x``."""
    top = int(p.argmax())
    bar = level * p[top]
    right = top + int((p[top:] < bar).argmax())
    left = top - int((p[top::-1] < bar).argmax())
    ends = [np.interp(bar, [p[i], p[j]], [x[i], x[j]]) for i, j in ((right, right - 1), (left, left + 1))]
    return float(ends[0] - ends[1])


def brightest(array: Transducer, focus_m: Array) -> tuple[float, Array]:
    """Return the largest amplitude [Pa] within a beam length of a focus, in the plane of the axis and x, and where it is."""
    wave = SPEED / array.frequency_hz
    x, z = np.arange(-1.5, 1.51, 0.125) * wave, np.arange(-6, 6.01, 0.25) * wave
    at = np.stack(
        [focus_m[0] + x[None, :] + 0 * z[:, None], np.zeros((len(z), len(x))), focus_m[2] + z[:, None] + 0 * x], axis=-1
    )
    p = pressure(array, focus_m, at)
    place = np.unravel_index(p.argmax(), p.shape)
    return float(p[place]), np.asarray(at[place])


def rows_of(name: str, mark: str) -> list[Row]:
    """Return the rows of one array; ``mark`` stands behind the names of its rows."""
    array, (axial, lateral, sideways, along) = transducer(name, SPEED), PUBLISHED[name]
    focus = np.array([0.0, 0.0, array.radius_m])
    wave = SPEED / array.frequency_hz
    most, place = brightest(array, focus)
    z, x = np.arange(-10, 10.01, 0.05) * wave, np.arange(-4, 4.01, 0.02) * wave
    on_axis = pressure(array, focus, np.stack([0 * z, 0 * z, focus[2] + z], axis=-1))
    across = pressure(array, focus, np.stack([x, 0 * x, np.full(len(x), place[2])], axis=-1))
    rows = []
    for level, share in LEVELS.items():
        told = "of pressure; the same of heating" if level == "-3 dB" else "of pressure and of heating: half the pressure"
        length, wide = 1e3 * width(z, on_axis, share), 1e3 * width(x, across, share)
        judged = LENGTH * axial if level == "-3 dB" else None
        rows.append(Row(f"axial_mm[{level}]{mark}", length, "mm", told, axial, SOURCE, judged))
        rows.append(Row(f"lateral_mm[{level}]{mark}", wide, "mm", told, lateral, SOURCE))
    moves = (
        ("lateral_1cm", np.array([STEER_M, 0, 0]), sideways), ("axial_1cm", np.array([0, 0, STEER_M]), along),
        ("axial_1cm_nearer", np.array([0, 0, -STEER_M]), along),
    )  # fmt: skip
    for way, shift, published in moves:
        ratio = (brightest(array, focus + shift)[0] / most) ** 2
        rows.append(
            Row(f"q_ratio[{way}]{mark}", ratio, "1", "largest heating steered over unsteered, same drive", published, SOURCE)
        )
    return rows


def run(observe: Callable[[float], None]) -> Report:
    """Return the rows of ``array-steering``.

    Parameters
    ----------
    observe : callable
        Called with the fraction done.
    """
    began = time.perf_counter()
    rows = rows_of("research-256-1mhz", "")
    observe(0.5)
    rows += rows_of("research-256-500khz", " 0.5 MHz")
    assumptions = (
        "Uniform medium of 1540 m/s without loss; the paper's medium was not read.",
        "Elements on a golden spiral; the paper placed them at random and prints no list.",
        "q_ratio[axial_1cm] is 1 cm beyond the centre of curvature; the paper does not say in its table which way.",
    )
    return Report("array-steering", tuple(rows), "done", time.perf_counter() - began, assumptions)
