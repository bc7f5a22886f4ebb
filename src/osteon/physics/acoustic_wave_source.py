"""What drives a full wave: a field in the first plane of the box, or points inside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from osteon.errors import InputError
from osteon.physics.acoustic_wave_boundary import entry_rate
from osteon.physics.acoustic_wave_march import Frame, Repeats, rule
from osteon.physics.acoustic_wave_media import Media

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Entry:
    """A wave that enters through the first plane of the box, towards +z.

    Parameters
    ----------
    pressure_pa : ndarray of complex, shape (y, x)
        Its pressure at the centres of the first cells; what is reflected comes on top. Its evanescent part is left out.
    frequency_hz : float
        Frequency.
    repeats : tuple of (float or None), y and x
        The transverse wave number [1/m] by which the box repeats, or None where it is open. An axis of one cell repeats.
    """

    pressure_pa: Array
    frequency_hz: float
    repeats: Repeats = (None, None)


@dataclass(frozen=True, eq=False)
class Points:
    """Points that pulsate.

    Parameters
    ----------
    cells : ndarray of int, shape (n, 3)
        Where, in the order z, y, x.
    volume_m3_s : ndarray of complex, shape (n,)
        Rate of volume each pushes out, as an amplitude.
    frequency_hz : float
        Frequency.
    repeats : tuple of (float or None)
        As in ``Entry``.
    """

    cells: Array
    volume_m3_s: Array
    frequency_hz: float
    repeats: Repeats = (None, None)


def rates_of(media: Media, source: Entry | Points, repeats: Repeats) -> tuple[Array, Array, float]:
    """Return the cells that are driven (n, 3), their rates of volume [1/s], and the incident power [W]."""
    h = media.spacing_m
    strength = source.pressure_pa if isinstance(source, Entry) else source.volume_m3_s
    if not np.isfinite(strength).all() or not np.any(strength):
        raise InputError(
            "The source is zero everywhere or holds a value that is no number.",
            "Nothing would enter: no element sees the box, or the field was not computed.",
            "Look at the elements that are switched on, and at the field in the entry plane.",
        )
    if isinstance(source, Points):
        cells = np.asarray(source.cells)
        shape = np.array(media.shape)
        if cells.ndim != 2 or cells.shape != (len(source.volume_m3_s), 3) or (cells < 0).any() or (cells >= shape).any():
            raise InputError(
                f"The points have the shape {cells.shape} in a box of {media.shape} voxels, or lie outside.",
                "A source outside the box radiates nothing into it.",
                "Give one row z, y, x for each rate, inside the box.",
            )
        _refuse_solid(media, cells)
        return cells, np.asarray(source.volume_m3_s, complex) / h**3, math.nan
    pressure = np.asarray(source.pressure_pa, complex)
    if pressure.shape != media.shape[1:]:
        raise InputError(
            f"The wave enters with {pressure.shape} values, the box has {media.shape[1:]} voxels across.",
            "Each voxel of the first plane needs its pressure.",
            "Sample the field on the box's own first plane.",
        )
    cells = np.stack([np.zeros(pressure.size, np.int64), *np.divmod(np.arange(pressure.size), pressure.shape[1])], axis=1)
    _refuse_solid(media, cells)
    for name in ("density_kg_m3", "speed_m_s"):
        plane = getattr(media, name)[0]
        if np.ptp(plane) > rule("uniform_entry") * plane.min():
            raise InputError(
                f"The {name} of the entry plane runs from {plane.min():g} to {plane.max():g}.",
                "How much enters follows from one medium; with several the amplitude would be wrong.",
                "Move the plane towards the source, into one tissue or water.",
            )
    omega = 2 * math.pi * source.frequency_hz
    medium = (omega / float(media.speed_m_s[0].mean()) + 1j * float(media.attenuation_np_m[0].mean()), omega)
    rate = entry_rate(pressure, h, (*medium, float(media.density_kg_m3[0].mean())), repeats)
    return cells, rate.reshape(-1), float(h**3 / 4 * np.sum(rate.conj() * pressure).real)


def _refuse_solid(media: Media, cells: Array) -> None:
    if media.shear_speed_m_s is None:
        return
    inside = media.shear_speed_m_s[tuple(cells.T)] > 0
    if inside.any():
        raise InputError(
            f"{int(inside.sum())} cells of the source lie in a solid, the first at {tuple(int(i) for i in cells[inside][0])}.",
            "Pressure does not describe a wave in a solid.",
            "Move the entry plane or the points into fluid or soft tissue.",
        )


def rim_of(source: Entry | Points, frame: Frame) -> float:
    """Return how much of the wave that enters is cut off at the open sides of its plane, over its largest pressure."""
    if isinstance(source, Points):
        return 0.0
    size = np.abs(np.asarray(source.pressure_pa))
    sides = [np.take(size, (0, -1), axis) for axis in range(2) if frame.open_axes[axis + 1]]
    return max((float(side.max() / size.max()) for side in sides), default=0.0)
