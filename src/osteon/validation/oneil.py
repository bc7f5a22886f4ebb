"""Bowl and disc on their axis: the Rayleigh sum beside O'Neil's closed forms, within 1 % of the peak (set beforehand)."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from osteon.physics import acoustic_axis
from osteon.physics import acoustic_sources as sources
from osteon.physics.acoustic_sources import Array
from osteon.validation.base import Report, Row

OF_PEAK = 0.01
FACE_PA, SPEED, DENSITY = 60e3, 1500.0, 1000.0
SOURCE = "O'Neil, J Acoust Soc Am 1949;21:516"
PRINTED = "acoustics reference, section 3 and A2"


def _half_length_mm(z_m: Array, p: Array) -> float:
    """Return the length [mm] over which the pressure is above half its peak, by linear interpolation."""
    top = int(p.argmax())
    level = p[top] / 2
    low = top - int((p[: top + 1][::-1] < level).argmax())
    high = top + int((p[top:] < level).argmax())
    left = np.interp(level, p[low : low + 2], z_m[low : low + 2])
    right = np.interp(-level, -p[high - 1 : high + 1], z_m[high - 1 : high + 1])
    return float(right - left) * 1e3


def _axis(source: sources.Source, z_m: Array, frequency_hz: float) -> Array:
    """Return the amplitude [Pa] on the axis."""
    at = np.stack([0 * z_m, 0 * z_m, z_m], axis=-1)
    p = sources.field(source, FACE_PA / (SPEED * DENSITY), at, frequency_hz, density_kg_m3=DENSITY, speed_m_s=SPEED)
    return np.asarray(np.abs(p))


def bowl_rows(radius_m: float, aperture_m: float, frequency_hz: float, printed: bool) -> list[Row]:
    """Return the rows of a bowl."""
    name = f"bowl R {1e3 * radius_m:g} mm, {1e3 * aperture_m:g} mm wide, {1e-6 * frequency_hz:g} MHz"
    z = np.arange(2e-3, 2 * radius_m, 0.25e-3)
    exact = acoustic_axis.bowl_axis_pa(z, radius_m, aperture_m, FACE_PA, frequency_hz, SPEED)
    ours = _axis(sources.bowl(radius_m, aperture_m, SPEED / frequency_hz / 8), z, frequency_hz)
    rows = [
        Row(
            f"{name}: error on axis",
            float(np.abs(ours - exact).max() / exact.max()),
            "1",
            "largest, of the peak",
            0.0,
            SOURCE,
            OF_PEAK,
        ),
        Row(
            f"{name}: peak",
            float(ours.max()),
            "Pa",
            "on the axis, every 0.25 mm",
            float(exact.max()),
            SOURCE,
            OF_PEAK * exact.max(),
        ),
    ]
    if printed:
        centre = float(_axis(sources.bowl(radius_m, aperture_m, SPEED / frequency_hz / 8), np.array([radius_m]), frequency_hz)[0])
        rows += [
            Row(f"{name}: at the centre of curvature", centre, "Pa", "p0 k h", 1077.5e3, PRINTED, OF_PEAK * 1094.4e3),
            Row(f"{name}: -6 dB length", _half_length_mm(z, ours), "mm", "above half the peak", 26.26, PRINTED, 0.26),
        ]
    return rows


def disc_rows(diameter_m: float, frequency_hz: float) -> list[Row]:
    """Return the rows of a disc."""
    z = np.arange(2e-3, 0.15, 0.25e-3)
    exact = acoustic_axis.disc_axis_pa(z, diameter_m, FACE_PA, frequency_hz, SPEED)
    ours = _axis(sources.disc(diameter_m, SPEED / frequency_hz / 16), z, frequency_hz)
    name = f"disc {1e3 * diameter_m:g} mm, {1e-6 * frequency_hz:g} MHz"
    error = float(np.abs(ours - exact).max() / exact.max())
    return [Row(f"{name}: error on axis", error, "1", "largest, of the peak, from 2 mm", 0.0, SOURCE, OF_PEAK)]


def run(observe: Callable[[float], None]) -> Report:
    """Return the rows of ``oneil``.

    Parameters
    ----------
    observe : callable
        Called with the fraction done.
    """
    began = time.perf_counter()
    rows = bowl_rows(0.064, 0.064, 5e5, printed=True)
    observe(0.3)
    rows += bowl_rows(0.14, 0.136, 1.2e6, printed=False)
    observe(0.8)
    rows += disc_rows(0.02, 5e5)
    return Report("oneil", tuple(rows), "done", time.perf_counter() - began, ("Water without loss; faces at 60 kPa.",))
