r"""The edges of the box: a layer that absorbs, the repetition of a box, and the plane the wave comes in through.

The layer is a convolutional perfectly matched layer (Roden and Gedney, Microw Opt Techn Let 2000;27:334; Komatitsch and Martin,
Geophysics 2007;72:SM155): a difference :math:`D` across it becomes :math:`D + \psi`, :math:`\psi \leftarrow b\psi + (b - 1)
\frac{d}{d + a} D`, :math:`b = e^{-(d + a)\Delta t}`. Only the layer's own cells hold a memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from osteon.physics import acoustic_wave_kernels as kernels
from osteon.physics.acoustic_wave_kernels import DEPTH

Array = np.ndarray[Any, np.dtype[Any]]
NEAR, FAR = 9.0 / 8.0, 1.0 / 24.0  # weights of the staggered difference of fourth order
POWER = 3.0  # the damping grows so from the layer's face to its end


@dataclass(frozen=True, eq=False)
class Ends:
    """The layers of a box, as the kernels want them.

    Parameters
    ----------
    table : ndarray of int64, shape (n, 4)
        Axis, first cell, where its memory begins, and how many cells it has.
    profile : ndarray of float32, shape (4 n count,)
        How each damps.
    move, strain : ndarray
        What they remember of stresses and of velocities.
    """

    table: Array
    profile: Array
    move: Array
    strain: Array


def ends_of(
    cells: tuple[int, ...], open_axes: tuple[bool, bool, bool], kind: tuple[Any, int], damping: tuple[float, ...]
) -> Ends:
    """Return the layers of a box.

    Parameters
    ----------
    cells : tuple of int
        Cells along z, y, x, the layers included, the ghosts not.
    open_axes : tuple of bool
        Along which axes waves leave.
    kind : (dtype, int)
        Of the fields, and how many memories a cell has.
    damping : tuple of float
        Time step [s], spacing [m], largest speed [m/s], frequency [Hz], reflection in theory.
    """
    rows, profiles, start = [], [], 0
    for axis in range(3):
        if open_axes[axis]:
            size = math.prod(cells) // cells[axis] * DEPTH
            for upper in (False, True):
                rows.append((axis, cells[axis] - DEPTH if upper else 0, start, size))
                profiles.append(profile(DEPTH, upper, damping))
                start += kind[1] * size
    memory = [np.zeros(start, kind[0]) for _ in range(2)]
    return Ends(np.array(rows, np.int64), np.concatenate(profiles), memory[0], memory[1])


def profile(count: int, upper: bool, damping: tuple[float, ...]) -> Array:
    """Return how a layer damps, 4 count numbers: keep and take at cell centres, then half a cell up (see ``ends_of``)."""
    step, spacing, speed, frequency, reflection = damping
    most = -(POWER + 1) * speed * math.log(reflection) / (2 * count * spacing)
    index = np.arange(count)
    depths = (index + 0.5, index + 1.0) if upper else (count - index - 0.5, count - index - 1.0)
    rows = []
    for depth in depths:
        share = depth / count
        d, shift = most * share**POWER, math.pi * frequency * (1.0 - share)
        keep = np.exp(-(d + shift) * step)
        rows += [keep, np.where(d > 0, d * (keep - 1.0) / np.where(d > 0, d + shift, 1.0), 0.0)]
    return np.ascontiguousarray(rows, np.float32).reshape(-1)


class Repeat:
    """What fills the ghost cells of the axes along which a box repeats itself.

    Parameters
    ----------
    cells : tuple of int
        Cells along z, y, x, the ghosts not counted.
    strides : tuple of int
        From a cell to the next along z, y, x.
    turns : tuple of complex or None
        What a field is multiplied by from one box to the next, per axis; None: this axis does not repeat.
    dtype : dtype
        Of the fields; real fields are never turned.
    """

    def __init__(self, cells: tuple[int, ...], strides: tuple[int, ...], turns: tuple[complex | None, ...], dtype: Any) -> None:
        self.axes = []
        for axis, turn in enumerate(turns):
            if turn is None:
                continue
            n = cells[axis]
            ghosts = np.array([-2, -1, n, n + 1])
            sources = np.array([ghosts + 2, ghosts % n + 2])
            factors = np.array([turn ** int(times) for times in ghosts // n])
            factors = factors if np.issubdtype(dtype, np.complexfloating) else factors.real
            aside = [(cells[other] + 4, strides[other]) for other in range(3) if other != axis]
            self.axes.append((strides[axis], *aside, sources, factors.astype(dtype)))

    def fill(self, field: Array) -> None:
        """Fill the ghosts of a flat field."""
        for axis in self.axes:
            kernels.repeat(field, *axis)


def symbol(k: Array | complex, spacing: float) -> Array:
    """Return what the staggered difference makes of a wave number [1/m]."""
    return np.asarray(2 / spacing * (NEAR * np.sin(np.asarray(k) * spacing / 2) - FAR * np.sin(1.5 * np.asarray(k) * spacing)))


def slope(k: Array | complex, spacing: float) -> Array:
    """Return the derivative of ``symbol`` by the wave number."""
    k = np.asarray(k)
    return np.asarray(NEAR * np.cos(k * spacing / 2) - 3 * FAR * np.cos(1.5 * k * spacing))


def entry_rate(pressure: Array, spacing: float, wave: tuple[complex, float, float], sides: tuple[float | None, ...]) -> Array:
    r"""Return the rate of volume [1/s] to inject in one plane of cells so that a given pressure leaves it towards +z.

    Each plane wave of the spectrum needs :math:`q = 2 P K K' / (\omega\rho h)`, K the grid's own symbol of :math:`k_z`, so that
    the amplitude is right on the grid and not only in the limit; as much leaves towards -z, into the layer. Evanescent waves are
    left out.

    Parameters
    ----------
    pressure : ndarray of complex, shape (y, x)
        Pressure of the wave that enters [Pa].
    spacing : float
        Edge of a voxel [m].
    wave : tuple
        Wave number there [1/m], angular frequency [1/s], density [kg/m³].
    sides : tuple of float or None
        Per axis y, x: the transverse wave number [1/m] by which the box repeats, or None where it is open.
    """
    k, omega, density = wave
    spread = [n if side is not None else 2 * n for n, side in zip(pressure.shape, sides, strict=True)]
    bloch = [0.0 if side is None else side for side in sides]
    places = [np.arange(n) * spacing for n in pressure.shape]
    turn = np.exp(1j * (bloch[0] * places[0][:, None] + bloch[1] * places[1][None, :]))
    spectrum = np.fft.fft2(pressure / turn, spread)
    k_y, k_x = (2 * np.pi * np.fft.fftfreq(n, spacing) + b for n, b in zip(spread, bloch, strict=True))
    across = symbol(k_y, spacing)[:, None] ** 2 + symbol(k_x, spacing)[None, :] ** 2
    travels = across < k.real**2
    k_grid = np.sqrt(np.where(travels, k**2 - across, 1.0))
    k_z = k_grid.copy()
    for _ in range(12):  # Newton: the wave number whose symbol that is
        k_z -= (symbol(k_z, spacing) - k_grid) / slope(k_z, spacing)
    weight = np.where(travels, 2 * k_grid * slope(k_z, spacing) / (omega * density * spacing), 0.0)
    back = np.fft.ifft2(spectrum * weight)[: pressure.shape[0], : pressure.shape[1]]
    return np.asarray(back * turn)
