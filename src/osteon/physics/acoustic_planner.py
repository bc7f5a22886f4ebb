r"""The fast planner of ultrasound: an angular spectrum that marches plane by plane through voxels, with echoes.

From plane to plane the whole field is propagated once for every medium of the slab between, and each column takes the one it
lies in (phase shift plus interpolation, Gazdag & Sguazzero 1984). Where a column changes its medium, the field goes through
the coefficients of that interface in k-space, angle by angle:

.. math:: R = \frac{\rho_2 k_{z,1} - \rho_1 k_{z,2}}{\rho_2 k_{z,1} + \rho_1 k_{z,2}},\qquad T = 1 + R

What is reflected waits at its plane and sets out on the next sweep, upward and downward in turn, until a sweep adds next to
nothing. On flat level layers the sum of sweeps is the exact answer. Angles count from z, not from the face's own normal: on a
curved or tilted shell the first passage is good and the echoes are not (``osteon validate itrusst --case BM5``), and
``Marched.stairs`` says how much power meets such faces. Planes are the faces of voxels: cell k lies between planes k and k +
1. Media are taken as fluids here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import fft

from osteon.errors import InputError, NumericalError
from osteon.physics.acoustic_layers import Medium, vertical

Array = np.ndarray[Any, np.dtype[Any]]
MOST_SWEEPS = 15
ENOUGH = 1e-3  # a sweep that adds less than this share of the peak is the last
LEVEL = 0.99  # a face that meets less than this share of the plane's power is no level one
COARSEST = 2.2  # voxels a wavelength: below it the grid does not carry the wave


@dataclass(frozen=True, eq=False)
class Marched:
    """The field of the planner.

    Parameters
    ----------
    pressure_pa : ndarray of complex64, shape (z + 1, y, x)
        On the planes between cells; plane 0 is the entry.
    sweeps : int
        Made.
    last_added : float
        Largest pressure that the last sweep added, as a share of the peak.
    ended : str
        ``converged``, or ``stopped after n sweeps``.
    stairs : float
        Share of the power at interfaces that meets no level face, but one that rises or falls within its plane.
    beyond_critical : float
        Share of the power at interfaces to a faster medium that arrives beyond its critical angle (counted from z).
    points_per_wavelength : float
        Voxels in the shortest wavelength.
    """

    pressure_pa: Array
    sweeps: int
    last_added: float
    ended: str
    stairs: float
    beyond_critical: float
    points_per_wavelength: float


class _Spectra:
    """Propagators and coefficients on the grid of transverse wavenumbers, made when first asked for."""

    def __init__(self, media: Sequence[Medium], frequency_hz: float, shape: tuple[int, int], spacing_m: float) -> None:
        ky, kx = (2 * math.pi * np.fft.fftfreq(n, spacing_m) for n in shape)
        self.kx, self.ky = kx[None, :], ky[:, None]
        self.xi = np.hypot(self.kx, self.ky)
        self.media, self.frequency_hz, self.step_m = media, frequency_hz, spacing_m
        self._kept: dict[tuple[str | int, ...], Array] = {}
        self._k_z = [vertical(medium.wavenumber(frequency_hz), self.xi) for medium in media]

    def step(self, medium: int) -> Array:
        """Return the propagator over one cell."""
        key: tuple[str | int, ...] = ("step", medium)
        if key not in self._kept:
            self._kept[key] = np.exp(1j * self._k_z[medium] * self.step_m).astype(np.complex64)
        return self._kept[key]

    def reflection(self, upper: int, lower: int) -> Array:
        """Return R of a wave that comes from ``upper``."""
        key: tuple[str | int, ...] = ("reflection", upper, lower)
        if key not in self._kept:
            first = self.media[lower].density_kg_m3 * self._k_z[upper]
            second = self.media[upper].density_kg_m3 * self._k_z[lower]
            self._kept[key] = ((first - second) / (first + second)).astype(np.complex64)
        return self._kept[key]


@dataclass(frozen=True, eq=False)
class _Face:
    """Columns of one plane at which one medium follows on another."""

    upper: int
    lower: int
    columns: Array  # flat indices


def march(
    entry_pa: Array,
    labels: Array,
    media: Sequence[Medium],
    frequency_hz: float,
    spacing_m: float,
    *,
    most_sweeps: int = MOST_SWEEPS,
    enough: float = ENOUGH,
    rim: float = 0.1,
) -> Marched:
    """Propagate a plane of pressure through labelled voxels.

    Parameters
    ----------
    entry_pa : ndarray of complex, shape (y, x)
        On the upper face of the first cells, going down (along z).
    labels : ndarray of int, shape (z, y, x)
        Which medium fills each cell.
    media : sequence of Medium
        At the frequency; solids are taken as fluids.
    frequency_hz : float
        Frequency.
    spacing_m : float
        Edge of a cell.
    most_sweeps : int
        At most so many sweeps; 1 is downward only.
    enough : float
        A sweep that adds less than this share of the peak is the last.
    rim : float
        Share of the grid, at each edge, over which the field is faded; what is not faded comes back in on the other side.

    Returns
    -------
    Marched
        Pressure on every plane, and how far to believe it.

    Raises
    ------
    InputError
        If shapes or labels do not fit, something is not finite, or the grid is too coarse for the frequency.
    NumericalError
        If the field is not finite.
    """
    present, ppw = _check(entry_pa, labels, media, frequency_hz, spacing_m)
    shape = (labels.shape[1], labels.shape[2])
    spectra = _Spectra([m.as_fluid for m in media], frequency_hz, shape, spacing_m)
    faces = _faces(labels)
    fade = np.outer(_fade(shape[0], rim), _fade(shape[1], rim)).astype(np.complex64)
    total = np.zeros((len(labels) + 1, *shape), np.complex64)
    waiting: dict[int, Array] = {0: np.asarray(entry_pa, np.complex64)}
    trust = _Trust(media)
    added, sweeps, peak = 1.0, 0, 0.0
    while sweeps < most_sweeps and waiting and (sweeps < 2 or added >= enough):
        down = sweeps % 2 == 0
        waiting, most = _sweep(total, waiting, labels, present, spectra, faces, fade, down, trust if sweeps == 0 else None)
        sweeps += 1
        peak = max(_largest(plane) for plane in total)
        added = most / peak if peak > 0 else 0.0
    if not np.isfinite(peak):
        raise NumericalError("The marched field is not finite.", "Nothing can be planned on it.", "Check media and entry plane.")
    ended = "converged" if added < enough or not waiting else f"stopped after {sweeps} sweeps"
    return Marched(total, sweeps, added, ended, *trust.shares(), ppw)


class _Trust:
    """Where the first sweep meets interfaces: shares of power that the planner carries badly."""

    def __init__(self, media: Sequence[Medium]) -> None:
        self.media, self.all, self.stairs, self.fast, self.beyond = media, 0.0, 0.0, 0.0, 0.0

    def meet(self, face: _Face, wave: Array, spectra: _Spectra, spectrum: Array) -> None:
        """Note the power that arrives at a face."""
        power, whole = (float((np.abs(part) ** 2).sum()) for part in (wave.ravel()[face.columns], wave))
        self.all += power
        self.stairs += power if power < LEVEL * whole else 0.0
        first, second = self.media[face.upper], self.media[face.lower]
        if second.speed_m_s > first.speed_m_s:
            limit = 2 * math.pi * spectra.frequency_hz / second.speed_m_s  # the largest transverse wavenumber that still goes on
            weight = np.abs(spectrum) ** 2
            self.fast += power
            self.beyond += power * float(weight[spectra.xi > limit].sum() / max(float(weight.sum()), 1e-300))

    def shares(self) -> tuple[float, float]:
        """Return the share at faces that are not level and the share beyond the critical angle."""
        return self.stairs / max(self.all, 1e-300), self.beyond / max(self.fast, 1e-300)


def _sweep(
    total: Array,
    waiting: dict[int, Array],
    labels: Array,
    present: list[Array],
    spectra: _Spectra,
    faces: dict[int, list[_Face]],
    fade: Array,
    down: bool,
    trust: _Trust | None,
) -> tuple[dict[int, Array], float]:
    """March once through all planes; return what is reflected, by plane, and the largest pressure that was added."""
    count = len(labels)
    echo: dict[int, Array] = {}
    start = min(waiting) if down else max(waiting)
    wave, most = np.zeros(total.shape[1:], np.complex64), 0.0
    for plane in range(start, count + 1) if down else range(start, -1, -1):
        if plane in waiting:
            wave = wave + waiting[plane]
        total[plane] += wave
        most = max(most, _largest(wave))
        cell, after = (plane, plane + 1) if down else (plane - 1, plane - 1)
        if not 0 <= cell < count:
            break
        spectrum = fft.fft2(wave * fade, overwrite_x=True)
        wave = _across(spectrum, labels[cell], present[cell], spectra)
        turned: list[tuple[Array, Array]] = []
        for face in faces.get(after, ()):
            upper, lower = (face.upper, face.lower) if down else (face.lower, face.upper)
            back = fft.ifft2(spectrum * spectra.step(upper) * spectra.reflection(upper, lower)).ravel()[face.columns]
            if trust is not None:
                trust.meet(face, wave, spectra, spectrum)
            turned.append((face.columns, back))
        for columns, back in turned:
            wave.ravel()[columns] += back
            echo.setdefault(after, np.zeros(wave.shape, np.complex64)).ravel()[columns] += back
    return echo, most


def _across(spectrum: Array, cell: Array, present: Array, spectra: _Spectra) -> Array:
    """Return the field one cell further: of each column, as its own medium carries it."""
    wave: Array = fft.ifft2(spectrum * spectra.step(int(present[0])), overwrite_x=True)
    for medium in present[1:]:
        np.copyto(wave, fft.ifft2(spectrum * spectra.step(int(medium)), overwrite_x=True), where=cell == medium)
    return wave


def _largest(wave: Array) -> float:
    """Return the largest amplitude of a plane."""
    return math.sqrt(float((wave.real**2 + wave.imag**2).max()))


def _faces(labels: Array) -> dict[int, list[_Face]]:
    """Return, by plane, the faces between media."""
    found: dict[int, list[_Face]] = {}
    cell, column = np.nonzero((labels[1:] != labels[:-1]).reshape(len(labels) - 1, -1))
    flat = labels.reshape(len(labels), -1)
    keys = np.column_stack([cell + 1, flat[cell, column], flat[cell + 1, column]])
    if not len(keys):
        return found
    kinds, which = np.unique(keys, axis=0, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    for kind, columns in zip(kinds.tolist(), np.split(column[order], np.cumsum(np.bincount(which.ravel()))[:-1]), strict=True):
        found.setdefault(kind[0], []).append(_Face(kind[1], kind[2], columns))
    return found


def _fade(count: int, rim: float) -> Array:
    """Return weights along an axis that fall to 0.7 within the rim, at every plane again."""
    edge = max(1, round(rim * count))
    weight = np.ones(count)
    ramp = 1.0 - 0.3 * np.cos(np.linspace(0, math.pi / 2, edge, endpoint=False)) ** 2
    weight[:edge], weight[count - edge :] = ramp, ramp[::-1]
    return weight


def _check(
    entry: Array, labels: Array, media: Sequence[Medium], frequency_hz: float, spacing_m: float
) -> tuple[list[Array], float]:
    """Refuse what cannot be marched; return the media of each plane of cells and the points in the shortest wavelength."""
    if labels.ndim != 3 or entry.shape != labels.shape[1:] or labels.dtype.kind not in "ui" or not np.isfinite(entry).all():
        raise InputError(
            f"Labels {labels.shape} of kind {labels.dtype}, entry plane {entry.shape}: they do not fit or are not finite.",
            "Each column of voxels needs its pressure, and each voxel one medium.",
            "Give whole-number labels (z, y, x) and a finite plane (y, x).",
        )
    if labels.size == 0 or int(labels.min()) < 0 or int(labels.max()) >= len(media):
        raise InputError(
            f"The labels run to {labels.max(initial=0)}, but there are {len(media)} media.",
            "A voxel without medium stops the wave.",
            "Give a medium for every label.",
        )
    if not (math.isfinite(frequency_hz) and math.isfinite(spacing_m) and frequency_hz > 0 and spacing_m > 0):
        raise InputError(f"Frequency {frequency_hz:g} Hz on voxels of {spacing_m:g} m.", "Both must be above 0.", "Correct them.")
    present = [np.flatnonzero(np.bincount(cell.ravel())) for cell in labels]
    used = [media[i] for i in set(np.concatenate(present).tolist())]
    ppw = min(m.speed_m_s for m in used) / frequency_hz / spacing_m
    if ppw < COARSEST:
        raise InputError(
            f"Voxels of {spacing_m * 1e3:g} mm hold {ppw:.2g} to a wavelength at {frequency_hz:g} Hz.",
            "A wave needs more than two points; the planner asks for 2.2.",
            f"Resample to at most {spacing_m * ppw / COARSEST * 1e3:.3g} mm, or lower the frequency.",
        )
    return present, ppw
