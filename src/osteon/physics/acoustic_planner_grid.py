"""What the planner knows of its grid before a wave comes: propagators, faces between media, and their coefficients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from osteon.physics.acoustic_layers import Medium, vertical
from osteon.physics.acoustic_planner_kernels import face_normals
from osteon.physics.acoustic_scatter import scatter

Array = np.ndarray[Any, np.dtype[Any]]
GROUP = 0.05  # media whose speeds differ by less travel together, each with its own phase
TABLE = 2048  # entries of a table of coefficients
REACH = 4  # cells that make a normal


@dataclass(frozen=True, eq=False)
class Face:
    """Columns of one plane at which one medium follows on another."""

    upper: int
    lower: int
    columns: Array  # flat indices
    normals: Array  # (n, 3), x y z, pointing down
    place: slice  # among all columns of the plane that have a face

    @property
    def level(self) -> bool:
        """Whether no normal leans."""
        return bool((self.normals[:, 2] > 1 - 1e-4).all())


class Spectra:
    """Propagators and coefficients on the grid of transverse wavenumbers, made when first asked for."""

    def __init__(self, media: Sequence[Medium], frequency_hz: float, shape: tuple[int, int], spacing_m: float) -> None:
        ky, kx = (2 * math.pi * np.fft.fftfreq(n, spacing_m) for n in shape)
        self.kx, self.ky = kx[None, :], ky[:, None]
        self.xi = np.hypot(self.kx, self.ky)
        self.media, self.frequency_hz, self.spacing_m = list(media), frequency_hz, spacing_m
        self._kept: dict[tuple[Any, ...], Array] = {}
        self.wavenumbers = np.array([[m.wavenumber(frequency_hz).real, m.shear_wavenumber(frequency_hz).real] for m in media])
        self.table_step = 1.02 * float(self.wavenumbers.max()) / (TABLE - 1)
        self._distinct, self._back = np.unique(np.round(self.xi, 3), return_inverse=True)

    def step(self, medium: int, shear: bool = False) -> Array:
        """Return the propagator over one cell."""
        key = ("step", medium, shear)
        if key not in self._kept:
            m = self.media[medium]
            k = m.shear_wavenumber(self.frequency_hz) if shear else m.wavenumber(self.frequency_hz)
            self._kept[key] = np.exp(1j * vertical(k, self.xi) * self.spacing_m).astype(np.complex64)
        return self._kept[key]

    def level(self, upper: int, lower: int, down: bool) -> Array:
        """Return the coefficients of a level face on the grid, shape (out, in, y, x)."""
        key = ("level", upper, lower, down)
        if key not in self._kept:
            found = scatter(self.media[upper], self.media[lower], self.frequency_hz, self._distinct, down=down)
            self._kept[key] = found.astype(np.complex64)[:, :, self._back.reshape(self.xi.shape)]
        return self._kept[key]

    def table(self, upper: int, lower: int, down: bool) -> Array:
        """Return the coefficients in equal steps of the transverse wavenumber, shape (4, 2, n), as ``tilted`` wants them."""
        key = ("table", upper, lower, down)
        if key not in self._kept:
            xi = np.arange(TABLE) * self.table_step
            found = scatter(self.media[upper], self.media[lower], self.frequency_hz, xi, down=down)
            first, second = (upper, lower) if down else (lower, upper)
            wide = np.zeros((4, 2, TABLE), complex)
            rows = [0, 1] if self.media[first].solid else [0]
            rows += [2, 3] if self.media[second].solid else [2]
            wide[rows, : found.shape[1]] = found
            self._kept[key] = wide
        return self._kept[key]

    def sideways(self) -> tuple[Array, Array]:
        """Return the unit vectors z x k on the grid: (x, y) of a shear potential."""
        if ("sideways",) not in self._kept:
            size = np.where(self.xi > 0, self.xi, 1.0)
            self._kept[("sideways",)] = np.stack([-self.ky / size, self.kx / size]).astype(np.float32)
        found = self._kept[("sideways",)]
        return found[0], found[1]

    def screen(self, reference: int) -> Array:
        """Return, per medium, the factor over one cell that a reference leaves out (straight down)."""
        key = ("screen", reference)
        if key not in self._kept:
            k = np.array([m.wavenumber(self.frequency_hz) for m in self.media])
            self._kept[key] = np.exp(1j * (k - k[reference]) * self.spacing_m).astype(np.complex64)
        return self._kept[key]


def groups_of(media: Sequence[Medium], used: Sequence[int]) -> Array:
    """Return the group of each medium: of one kind (fluid, solid) and of nearly one speed."""
    group = np.full(len(media), -1)
    count = 0
    for solid in (False, True):
        kind = sorted((m for m in used if media[m].solid == solid), key=lambda m: media[m].speed_m_s)
        while kind:
            low = media[kind[0]].speed_m_s
            joined = [m for m in kind if media[m].speed_m_s <= low * (1 + 2 * GROUP) and _shear_near(media[m], media[kind[0]])]
            group[joined] = count
            count += 1
            kind = [m for m in kind if m not in joined]
    return group


def _shear_near(one: Medium, other: Medium) -> bool:
    return not one.solid or abs(one.shear_speed_m_s / other.shear_speed_m_s - 1) <= GROUP


def present_in(labels: Array) -> list[Array]:
    """Return the media of each plane of cells."""
    low, high = labels.reshape(len(labels), -1).min(axis=1), labels.reshape(len(labels), -1).max(axis=1)
    return [
        np.array([a]) if a == b else np.flatnonzero(np.bincount(cell.ravel()))
        for a, b, cell in zip(low.tolist(), high.tolist(), labels, strict=True)
    ]


def faces_of(labels: Array, present: list[Array], media: Sequence[Medium]) -> dict[int, list[Face]]:
    """Return, by plane, the faces between media with their normals."""
    found: dict[int, list[Face]] = {}
    hardness = np.array([m.density_kg_m3 * m.speed_m_s for m in media])
    width = labels.shape[2]
    offsets, weights = _ball()
    for plane in range(1, len(labels)):
        above, below = labels[plane - 1], labels[plane]
        if len(present[plane - 1]) == 1 and len(present[plane]) == 1:
            if present[plane - 1][0] == present[plane][0]:
                continue
            every = np.arange(above.size)
            upright = np.broadcast_to(np.array([0.0, 0.0, 1.0]), (above.size, 3))
            found[plane] = [Face(int(present[plane - 1][0]), int(present[plane][0]), every, upright, slice(0, above.size))]
            continue
        columns = np.flatnonzero(above != below)
        if not len(columns):
            continue
        key = above.ravel()[columns].astype(np.int64) * len(media) + below.ravel()[columns]
        order = np.argsort(key, kind="stable")
        columns, key = columns[order], key[order]
        edges = np.flatnonzero(np.diff(key)) + 1
        normals = np.empty((len(columns), 3))
        face_normals(labels, hardness, plane, columns, width, offsets, weights, normals)
        parts = []
        for begin, end in zip([0, *edges.tolist()], [*edges.tolist(), len(columns)], strict=True):
            pair = divmod(int(key[begin]), len(media))
            parts.append(Face(pair[0], pair[1], columns[begin:end], normals[begin:end], slice(begin, end)))
        found[plane] = parts
    return found


def _ball() -> tuple[Array, Array]:
    """Return the cells round a face that make its normal (z y x, counted from the cell below it), and their weights (x y z)."""
    z, y, x = (part.ravel() for part in np.mgrid[-REACH:REACH, -REACH : REACH + 1, -REACH : REACH + 1])
    at = np.stack([x, y, z + 0.5], axis=1)
    square = (at**2).sum(axis=1)
    near = square <= REACH**2
    return np.stack([z, y, x], axis=1)[near], (at * np.exp(-2 * square / REACH**2)[:, None])[near]
