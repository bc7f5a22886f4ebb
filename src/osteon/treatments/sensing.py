"""What is read while a run of heat or cold goes: virtual thermocouples, cell death, and the zone by every criterion."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError
from osteon.evidence.value import Value
from osteon.physics import sensors
from osteon.physics.cell_death import CellDeath
from osteon.physics.sensors import Sensors, Thermocouple
from osteon.space.anatomy import Anatomy
from osteon.space.volume import Array, Grid
from osteon.treatments import zones
from osteon.treatments.base import NeedlePose, Trace
from osteon.treatments.zone_table import Table

if TYPE_CHECKING:
    from osteon.physics.bioheat import HeatResult
    from osteon.physics.freezing import FreezeResult
    from osteon.tissue.properties import Constants

Place = tuple[str, tuple[float, float, float]]
# Numerical choices: between two readings of thermocouples, and two steps of cell death [s].
READ_S, DEATH_S = 2.0, 20.0
MOST = 16
OFF = "Cannot tell what thermocouple {} reads: it lies outside the computed box; place it nearer to the lesion."
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,30}")


def thermocouples_of(texts: Iterable[str]) -> tuple[Place, ...]:
    """Read thermocouples as the command line gives them, ``NAME=x,y,z`` in LPS mm.

    Parameters
    ----------
    texts : iterable of str
        One for each thermocouple.

    Returns
    -------
    tuple of (name, (x, y, z))
        As ``Anatomy.thermocouples`` holds them.

    Raises
    ------
    InputError
        If one is not a name and three numbers, a name comes twice, or there are more than ``MOST``.

    Examples
    --------
    >>> thermocouples_of(["nerve=12,-3.5,40"])
    (('nerve', (12.0, -3.5, 40.0)),)
    """
    found: dict[str, tuple[float, float, float]] = {}
    for text in texts:
        name, _, numbers = text.partition("=")
        try:
            x, y, z = (float(n) for n in numbers.split(","))
        except ValueError:
            x = y = z = np.nan
        if not NAME.fullmatch(name.strip()) or not np.isfinite([x, y, z]).all() or name.strip() in found:
            raise InputError(
                f"The thermocouple {text!r} is not a new name with a place.",
                "What it reads is shown under its name, at its place.",
                "Give NAME=x,y,z: letters, digits, - and _ (each name once), and LPS mm, for example nerve=12,-3.5,40.",
            )
        found[name.strip()] = (x, y, z)
    if len(found) > MOST:
        raise InputError(
            f"{len(found)} thermocouples were given.", "Each is read and drawn by itself.", f"Give at most {MOST} of them."
        )
    return tuple(found.items())


def _within(grid: Grid, place_mm: tuple[float, float, float]) -> bool:
    """Tell whether a place lies between voxel centres of a grid."""
    index = np.asarray(grid.to_index(np.array(place_mm)))
    return bool(((index >= 0) & (index <= np.array(grid.shape) - 1)).all())


def sensor_traces(sensors: Sensors) -> dict[str, Trace]:
    """Return ``sensor:<name>`` [°C]: what each thermocouple showed, and where it really was (LPS mm).

    Parameters
    ----------
    sensors : Sensors
        After the run that it was the ``probe`` of.
    """
    return {
        f"sensor:{name}": Trace(reading.times_s, reading.read_c, "degC", reading.place_mm)
        for name, reading in sensors.readings.items()
    }


@dataclass(frozen=True, eq=False)
class Told:
    """What was read of one run, in the shapes of ``Effect``.

    Parameters
    ----------
    traces : mapping of str to Trace
        ``sensor:<name>``.
    measures : mapping of str to float
        Zones by criterion; highest and lowest reading of each thermocouple and what its position error is worth.
    used : mapping of str to Value
        Levels of the criteria, constants of the thermocouples.
    assumptions : tuple of str
        A sentence each; where the criteria disagree, that too.
    """

    traces: Mapping[str, Trace]
    measures: Mapping[str, float]
    used: Mapping[str, Value]
    assumptions: tuple[str, ...]


class Follow:
    """Thermocouples and, for heat, cell death of one run; give it to a solver as ``probe``, then ask ``heat`` or ``cold``.

    Parameters
    ----------
    anatomy : Anatomy
        ``thermocouples`` that lie off its grid read nothing, and that is said.
    constants : Constants
        The numbers of this run.
    seed : int or None
        Of the draw: where each thermocouple really lies; None: where it is meant to be.
    cell_death : bool
        Whether viability is followed.
    """

    def __init__(self, anatomy: Anatomy, constants: Constants, seed: int | None = None, cell_death: bool = True) -> None:
        self.grid: Grid = anatomy.grid
        self.used: dict[str, Value] = {}
        self._death = CellDeath() if cell_death else None
        self._next_s = 0.0
        self._waiting: tuple[float, Array] | None = None
        self._sensors: Sensors | None = None
        self._off: tuple[str, ...] = ()
        if anatomy.thermocouples:
            self._place(anatomy, constants, seed)

    def _place(self, anatomy: Anatomy, constants: Constants, seed: int | None) -> None:
        self.used = {f"thermocouple.{name}": value for name, value in sensors.constants().items()}
        tau, sigma = (constants.of(name, value) for name, value in self.used.items())
        probes = [Thermocouple(name, place, tau, sigma) for name, place in anatomy.thermocouples]
        on = [probe for probe in probes if _within(self.grid, probe.drawn_mm(seed))]
        self._sensors = Sensors(self.grid, on, seed) if on else None
        self._off = tuple(OFF.format(probe.name) for probe in probes if probe not in on)

    @property
    def every_s(self) -> float:
        """How often it wants to be asked [s]: what a solver takes as ``probe_every_s``."""
        return READ_S if self._sensors is not None else DEATH_S

    def __call__(self, time_s: float, temperature_c: Array) -> None:
        """Take the temperature [°C] of the field at ``time_s``."""
        if self._sensors is not None:
            self._sensors(time_s, temperature_c)
        if self._death is not None:
            self._waiting = (time_s, temperature_c)
            if time_s >= self._next_s - 1e-6:
                self._step()
                self._next_s = time_s + DEATH_S

    def _step(self) -> None:
        if self._death is not None and self._waiting is not None:
            self._death(*self._waiting)
            self._waiting = None

    def heat(self, result: HeatResult, pose: NeedlePose | None = None) -> Told:
        """Return what was read of a run of heat."""
        self._step()
        viability = self._death.viability if self._death is not None and self._death.last_s is not None else None
        return self._told(zones.of_heat(result, self.grid, pose, viability))

    def cold(self, result: FreezeResult, pose: NeedlePose | None = None) -> Told:
        """Return what was read of a run of cold."""
        return self._told(zones.of_cold(result, self.grid, pose))

    def _told(self, table: Table) -> Told:
        traces: dict[str, Trace] = {}
        measures, said = dict(table.measures()), []
        if self._sensors is not None:
            traces = sensor_traces(self._sensors)
            sigmas = {t.name: t.sigma_mm for t in self._sensors.thermocouples}
            for name, reading in self._sensors.readings.items():
                measures[f"sensor_{name}_highest_c"] = float(reading.read_c.max())
                measures[f"sensor_{name}_lowest_c"] = float(reading.read_c.min())
                measures[f"sensor_{name}_position_error_k"] = sigmas[name] * float(reading.slope_k_mm.max())
            said.append(
                "Thermocouples follow the tissue with a time constant and conduct no heat; their position error is told for the "
                "steepest moment."
            )
        return Told(traces, measures, {**table.used, **self.used}, (*said, *self._off, *table.says))
