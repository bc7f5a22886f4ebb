r"""Virtual thermocouples: what a probe would read, late and not quite where it was meant to be.

.. math:: \tau\,\dot T_s = T(x + \delta) - T_s, \qquad \delta \sim N(0, \sigma^2)\ \text{per axis}

Between two samples the temperature is a straight line; the lag is then exact. The displacement is drawn once per probe from a
seed: the same seed, name and place give the same reading.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from zlib import crc32

import numpy as np

from osteon.errors import InputError
from osteon.evidence.value import Value, values_in
from osteon.space.shapes import Samples
from osteon.space.volume import Grid

Array = np.ndarray[Any, np.dtype[Any]]


@cache
def constants() -> Mapping[str, Value]:
    """Return the cited constants of ``sensors.yaml``: ``time_constant_s`` and ``position_error_mm``."""
    return values_in("osteon.physics", "sensors.yaml")


@dataclass(frozen=True)
class Thermocouple:
    """One probe.

    Parameters
    ----------
    name : str
        What it is called in traces.
    place_mm : tuple of float
        Where it is meant to be (LPS mm).
    time_constant_s : float or None
        τ [s], at least 0; None: the constant of ``sensors.yaml``.
    position_error_mm : float or None
        σ per axis [mm], at least 0; None: the constant of ``sensors.yaml``.
    """

    name: str
    place_mm: tuple[float, float, float]
    time_constant_s: float | None = None
    position_error_mm: float | None = None

    @property
    def tau_s(self) -> float:
        """τ [s]."""
        return constants()["time_constant_s"].number if self.time_constant_s is None else self.time_constant_s

    @property
    def sigma_mm(self) -> float:
        """σ per axis [mm]."""
        return constants()["position_error_mm"].number if self.position_error_mm is None else self.position_error_mm

    def drawn_mm(self, seed: int | None) -> tuple[float, float, float]:
        """Return where it really is (LPS mm); ``seed`` None: where it is meant to be."""
        if seed is None:
            return self.place_mm
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(crc32(self.name.encode()),)))
        x, y, z = np.add(self.place_mm, rng.normal(0.0, 1.0, 3) * self.sigma_mm)
        return float(x), float(y), float(z)


@dataclass(frozen=True, eq=False)
class Reading:
    """What one probe told.

    Parameters
    ----------
    times_s : ndarray, shape (n,)
        Of the samples.
    read_c : ndarray, shape (n,)
        What it shows [°C].
    there_c : ndarray, shape (n,)
        The temperature where it really is [°C].
    place_mm : tuple of float
        Where it really is (LPS mm).
    meant_mm : tuple of float
        Where it is meant to be (LPS mm).
    slope_k_mm : ndarray, shape (n,)
        How steep the temperature is where it lies [K/mm]: times σ, what its position error is worth.
    """

    times_s: Samples
    read_c: Samples
    there_c: Samples
    place_mm: tuple[float, float, float]
    meant_mm: tuple[float, float, float]
    slope_k_mm: Samples


class Sensors:
    """Thermocouples on a grid; give it to ``bioheat.heat`` as ``probe``, then ask for ``readings``.

    Parameters
    ----------
    grid : Grid
        Of the field.
    thermocouples : sequence of Thermocouple
        Names must differ.
    seed : int or None
        For the position errors; None: every probe is where it is meant to be.

    Raises
    ------
    InputError
        If two share a name, a constant cannot be used, or one lies outside the grid.
    """

    def __init__(self, grid: Grid, thermocouples: Sequence[Thermocouple], seed: int | None = None) -> None:
        self.thermocouples = tuple(thermocouples)
        names = [t.name for t in self.thermocouples]
        if len(set(names)) != len(names):
            raise InputError(
                f"The thermocouples are called {names}.",
                "Readings are told apart by name.",
                "Give every thermocouple a name of its own.",
            )
        self.places_mm = tuple(_checked(t).drawn_mm(seed) for t in self.thermocouples)
        self._corners = [_corners(grid, t, place) for t, place in zip(self.thermocouples, self.places_mm)]
        self._shape = grid.shape
        self._times: list[float] = []
        self._there: list[list[float]] = []
        self._read: list[list[float]] = []
        self._slope: list[list[float]] = []

    def __call__(self, time_s: float, temperature_c: Array) -> None:
        """Take the temperature [°C] of the field at ``time_s``; every probe begins at the temperature of its place.

        Raises
        ------
        InputError
            If the field is not on the grid, or time does not rise.
        """
        if temperature_c.shape != self._shape or (self._times and time_s <= self._times[-1]):
            raise InputError(
                f"A field of shape {temperature_c.shape} at {time_s:g} s was given after {self._times[-1:]} s.",
                f"The thermocouples lie on a grid of shape {self._shape}, and time goes forward.",
                "Give fields of that grid in rising order of time.",
            )
        flat = temperature_c.reshape(-1)
        there = [float(weight @ flat[index]) for index, weight, _ in self._corners]
        if self._times:
            dt = time_s - self._times[-1]
            read = [
                lagged(shown, before, now, dt, t.tau_s)
                for t, shown, before, now in zip(self.thermocouples, self._read[-1], self._there[-1], there)
            ]
        else:
            read = list(there)
        self._times.append(float(time_s))
        self._there.append(there)
        self._read.append(read)
        self._slope.append([float(np.linalg.norm(rises @ flat[index])) for index, _, rises in self._corners])

    @property
    def readings(self) -> dict[str, Reading]:
        """Return what each probe told so far, by name."""
        times = np.array(self._times)
        read, there, slope = (np.array(rows).reshape(times.size, -1) for rows in (self._read, self._there, self._slope))
        return {
            t.name: Reading(times, read[:, i], there[:, i], self.places_mm[i], t.place_mm, slope[:, i])
            for i, t in enumerate(self.thermocouples)
        }


def read(
    grid: Grid, times_s: Array, temperature_c: Array, thermocouples: Sequence[Thermocouple], seed: int | None = None
) -> dict[str, Reading]:
    """Return what thermocouples would have read of a series that is already there.

    Parameters
    ----------
    grid : Grid
        Of the series.
    times_s : ndarray, shape (n,)
        Rising [s].
    temperature_c : ndarray, shape (n, z, y, x)
        [°C].
    thermocouples, seed
        As ``Sensors``.

    Raises
    ------
    InputError
        As ``Sensors``.
    """
    sensors = Sensors(grid, thermocouples, seed)
    for time, field in zip(times_s, temperature_c, strict=True):
        sensors(float(time), field)
    return sensors.readings


def lagged(shown_c: float, before_c: float, now_c: float, seconds: float, tau_s: float) -> float:
    r"""Return what a first-order probe shows after a straight line from ``before_c`` to ``now_c``, exactly.

    .. math:: T_s = T_1 - s\tau + (T_{s0} - T_0 + s\tau)\,e^{-\Delta t/\tau}, \qquad s = (T_1 - T_0)/\Delta t

    Examples
    --------
    >>> round(lagged(37.0, 60.0, 60.0, 0.5, 0.5), 3)  # a step: 63 % after one time constant
    51.539
    """
    if tau_s <= 0.0:
        return now_c
    slope = (now_c - before_c) / seconds
    return now_c - slope * tau_s + (shown_c - before_c + slope * tau_s) * math.exp(-seconds / tau_s)


def _checked(t: Thermocouple) -> Thermocouple:
    if not (math.isfinite(t.tau_s) and t.tau_s >= 0 and math.isfinite(t.sigma_mm) and t.sigma_mm >= 0):
        raise InputError(
            f"The thermocouple {t.name!r} has a time constant of {t.tau_s} s and a position error of {t.sigma_mm} mm.",
            "Neither can be negative.",
            "Give both as numbers of at least 0.",
        )
    return t


def _corners(grid: Grid, t: Thermocouple, place_mm: tuple[float, float, float]) -> tuple[Array, Array, Array]:
    """Return flat indices, weights and weights of the slopes along z, y, x [1/mm] of the eight voxels round a place."""
    at = np.asarray(grid.to_index(np.array(place_mm)), float)
    last = np.array(grid.shape) - 1.0
    if (at < -1e-9).any() or (at > last + 1e-9).any():
        raise InputError(
            f"The thermocouple {t.name!r} lies at {tuple(round(v, 1) for v in place_mm)} mm, outside the grid.",
            "A temperature outside the computed box is not known.",
            "Move it inside, or compute a larger box.",
        )
    low = np.clip(np.floor(at), 0, np.maximum(last - 1, 0)).astype(int)
    part = np.clip(at - low, 0.0, 1.0)
    steps = np.array(list(np.ndindex(2, 2, 2)))
    index = np.minimum(low + steps, last.astype(int))
    each = np.where(steps == 1, part, 1.0 - part)
    rises = np.stack([np.prod(np.where(np.arange(3) == a, 2 * steps - 1, each), axis=1) / grid.spacing_mm[a] for a in range(3)])
    return np.ravel_multi_index(tuple(index.T), grid.shape), np.prod(each, axis=1), rises
