r"""Steps in time of the full wave, made exact at its one frequency.

A leapfrog step turns :math:`e^{-i\omega t}` into :math:`e^{-i\omega_d t}`, :math:`\omega_d = \frac{2}{\Delta t} \sin
\frac{\omega\Delta t}{2}`. With densities times :math:`\omega/\omega_d` and compliances likewise, and with the loss of a Maxwell
solid (compliance and fluidity in series, no memory variable) chosen so that the *step's* modulus is the medium's at
:math:`\omega`, steady state holds no error of time at all: neither of phase nor of attenuation. What is left is that of space.
"""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from osteon.errors import InputError
from osteon.evidence.value import values_in
from osteon.physics import acoustic_wave_kernels as kernels
from osteon.physics.acoustic_wave_boundary import FAR, NEAR, Repeat, ends_of
from osteon.physics.acoustic_wave_media import Media, in_parts, moduli

Array = np.ndarray[Any, np.dtype[Any]]
PHASES = 8  # samples of a period that its Fourier sum takes: a multiple of the steps between them makes a period
LINE, PAGE = 64, 4096  # bytes of a cache line and of a memory page
FLUID, SOLID = ("vz", "vy", "vx", "s"), ("vz", "vy", "vx", "zz", "yy", "xx", "yz", "xz", "xy")
Repeats = tuple[float | None, float | None]


def rule(name: str) -> float:
    """Return a number of acoustic_wave.yaml."""
    return values_in("osteon.physics", "acoustic_wave.yaml")[name].number


def of_step(angle: float) -> tuple[float, float]:
    r"""Return :math:`\omega/\omega_d` and the cosine of half the angle that a wave turns in one step."""
    return angle / (2 * math.sin(angle / 2)), math.cos(angle / 2)


def _placed(size: int, dtype: Any, place: int) -> Array:
    """Return zeros that begin on a cache line, at a part of the page of their own (see numerics/fields.py)."""
    raw = np.empty(size * np.dtype(dtype).itemsize + 2 * PAGE, np.uint8)
    start = -int(raw.ctypes.data) % PAGE + (place * 9 * LINE) % PAGE
    field: Array = raw[start : start + size * np.dtype(dtype).itemsize].view(dtype)
    field[:] = 0  # written here, not by calloc: NumPy asks for large pages only where it allocates without zeros
    return field


class Frame:
    """A box with its layers: how many cells, where they lie, how long a step is."""

    def __init__(self, media: Media, frequency_hz: float, repeats: Repeats, courant_share: float | None = None) -> None:
        self.spacing, self.frequency, self.inner = media.spacing_m, frequency_hz, media.shape
        self.layer = kernels.DEPTH
        self.open_axes = (True, repeats[0] is None, repeats[1] is None)
        self.cells = tuple(n + 2 * self.layer * o for n, o in zip(media.shape, self.open_axes, strict=True))
        self.row = -(-(self.cells[2] + 4) // 16) * 16
        self.row += 16 * (self.row % 32 == 0)  # a power of two would put all rows into the same places of the cache
        self.plane = self.row * (self.cells[1] + 4)
        self.size = self.plane * (self.cells[0] + 4)
        self.solid = media.solid
        self.dtype: Any = np.complex64 if any(repeats) else np.float32
        turns = [None if k is None else np.exp(1j * k * n * self.spacing) for k, n in zip(repeats, media.shape[1:], strict=True)]
        self.turns: tuple[complex | None, ...] = (None, *turns)
        self.ghosts = Repeat(self.cells, (self.plane, self.row, 1), self.turns, self.dtype)
        moving = 1 + sum(n > 1 or bool(k) for n, k in zip(media.shape[1:], repeats, strict=True))
        fastest = self._fastest(media)
        longest = self.spacing / (fastest * (NEAR + FAR) * math.sqrt(moving))
        share = rule("courant_share") if courant_share is None else courant_share
        self.steps = PHASES * math.ceil(1.0 / (frequency_hz * longest * share * PHASES))
        self.step = 1.0 / (frequency_hz * self.steps)
        self.courant = self.step / longest
        self.fastest = fastest

    def _fastest(self, media: Media) -> float:
        """Return the largest speed [m/s] that the real maps allow: a stiff voxel, and the light faces it moves."""
        density = np.asarray(media.density_kg_m3, np.float32)
        moved = 1 / density
        for axis in range(3):
            padded = np.pad(density, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
            low, high = (
                padded[tuple(slice(s, s + n) if a == axis else slice(None) for a in range(3))] for s, n in self._sides(axis)
            )
            moved = np.maximum(moved, 1 / (density + low) + 1 / (density + high))  # mean of the buoyancies of two faces
        parts = in_parts(media)
        return math.sqrt(max(float((np.abs(moduli(part, self.frequency)[2]) * moved[p]).max()) for p, part in parts))

    def _sides(self, axis: int) -> tuple[tuple[int, int], tuple[int, int]]:
        return (0, self.inner[axis]), (2, self.inner[axis])

    @property
    def bytes(self) -> int:
        """Memory of a run [bytes], Fourier sums and the layers' memories included; what the caller holds is not."""
        fields, sums, coefficients = (9, 6, 5) if self.solid else (4, 1, 3)
        item = np.dtype(self.dtype).itemsize
        faces = sum(math.prod(self.cells) // n for n, o in zip(self.cells, self.open_axes, strict=True) if o)
        layers = 2 * self.layer * faces * item * (6 if self.solid else 2)
        return int(layers + self.size * (fields * item + sums * 8 + coefficients * 4 + 2 * item))

    def check_memory(self) -> None:
        """Refuse what does not fit.

        Raises
        ------
        InputError
            If the run needs more than the allowed share of the machine's memory.
        """
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if self.bytes > rule("memory_share") * there:
            raise InputError(
                f"A box of {' x '.join(map(str, self.cells))} cells needs {self.bytes / 2**30:.1f} GiB; this machine has "
                f"{there / 2**30:.1f} GiB.",
                "The machine would swap, or the program end without a word.",
                "Crop the box closer to the bone, lower the frequency, or take the planner.",
            )

    def view(self, flat: Array) -> Array:
        """Return a flat field as (z, y, x) with its ghosts and what pads its rows."""
        return flat.reshape(self.cells[0] + 4, self.cells[1] + 4, self.row)

    def padded(self, field: Array, dtype: Any) -> Array:
        """Return a field of the inner box carried through layers and ghosts, flat."""
        for axis, opened in enumerate(self.open_axes):
            width = [(0, 0)] * 3
            width[axis] = (2 + self.layer * opened,) * 2
            field = np.pad(field, width, mode="edge" if opened else "wrap")
        rows = np.pad(field, [(0, 0), (0, 0), (0, self.row - field.shape[2])], mode="edge")
        return np.ascontiguousarray(rows, dtype).reshape(-1)

    def inside(self) -> tuple[slice, ...]:
        """Return where the inner box lies within a padded field."""
        return tuple(slice(2 + self.layer * o, 2 + self.layer * o + n) for o, n in zip(self.open_axes, self.inner, strict=True))

    def place_of(self, index: Array) -> Array:
        """Return flat places of cells (n, 3) of the inner box."""
        start = [s.start for s in self.inside()]
        z, y, x = (index[:, a] + start[a] for a in range(3))
        return np.asarray(z * self.plane + y * self.row + x, np.int64)


class March:
    """Fields, coefficients and layers of one run."""

    def __init__(self, media: Media, frame: Frame) -> None:
        self.frame = frame
        self.impedance = float(np.median(media.density_kg_m3)) * float(np.median(media.speed_m_s))
        self.names = SOLID if frame.solid else FLUID
        self.fields = {name: _placed(frame.size, frame.dtype, i) for i, name in enumerate(self.names)}
        self.slower, self.half = of_step(2 * math.pi * frame.frequency * frame.step)
        sets = self._coefficients(media)
        places = range(len(self.names), len(self.names) + len(sets))
        self.coefficients = [_placed(frame.size, np.float32, place) for place in places]
        for field, values in zip(self.coefficients, sets, strict=True):
            field[:] = frame.padded(values, np.float32)
        damping = (frame.step, frame.spacing, frame.fastest, frame.frequency, rule("layer_reflection"))
        self.ends = ends_of(frame.cells, frame.open_axes, (frame.dtype, 3 if frame.solid else 1), damping)
        self.time = 0  # steps done

    def _coefficients(self, media: Media) -> list[Array]:
        """Return the weight of faces and the kernels' a and b of compression and, in a solid, of shear; float32, inner box."""
        frame, omega = self.frame, 2 * math.pi * self.frame.frequency
        sets = [np.empty(media.shape, np.float32) for _ in range(5 if frame.solid else 3)]
        for planes, part in in_parts(media):
            bulk, rigid, _ = moduli(part, frame.frequency)
            sets[0][planes] = part.density_kg_m3 * self.slower * frame.spacing / (2 * frame.step * self.impedance)
            sets[1][planes], sets[2][planes] = self._pair(1 / bulk, omega)
            if frame.solid:
                fluid = rigid == 0
                a, b = self._pair(1 / np.where(fluid, 1.0, rigid), omega)
                sets[3][planes], sets[4][planes] = np.where(fluid, np.inf, a), np.where(fluid, 0.0, b)
        return sets

    def _pair(self, compliance: Array, omega: float) -> tuple[Array, Array]:
        """Return the kernels' a and b of a complex compliance [1/Pa]."""
        unit = self.impedance * self.frame.spacing
        elastic = unit * compliance.real * self.slower / self.frame.step
        fluid = unit * np.maximum(compliance.imag, 0.0) * omega / self.half / 2
        return elastic + fluid, elastic - fluid

    def repeat(self, names: tuple[str, ...]) -> None:
        """Fill the ghosts of fields along the axes that repeat."""
        for name in names:
            self.frame.ghosts.fill(self.fields[name])

    def advance(self, places: Array, rates: Array) -> None:
        """Advance all fields by one step; ``rates`` [1/s] of volume enter at flat ``places``."""
        frame, fields, ends = self.frame, self.fields.values(), self.ends
        size = (*frame.cells, frame.row, frame.plane, ends.table, ends.profile)
        move, strain = (kernels.move_solid, kernels.strain_solid) if frame.solid else (kernels.move_fluid, kernels.strain_fluid)
        move(*fields, self.coefficients[0], *size, ends.move)
        self.repeat(self.names[:3])
        strain(*fields, *self.coefficients[1:], *size, ends.strain)
        if rates.size:
            gained = (-frame.spacing * rates / self.coefficients[1][places]).astype(frame.dtype)
            for name in self.names[3 : 6 if frame.solid else 4]:
                self.fields[name][places] += gained
        self.repeat(self.names[3:])
        self.time += 1
