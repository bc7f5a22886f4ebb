r"""Electrode, tissue and generator together: the heat source that ``bioheat.heat`` asks for once a second.

Between two solutions of :math:`\nabla\cdot(\sigma\nabla\varphi) = 0` the one for 1 V is scaled by the voltage squared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from osteon.evidence.value import Value, values_in
from osteon.physics import lines
from osteon.physics.potential import Potential, potential
from osteon.space.volume import Array, Grid
from osteon.tissue.properties import Constants
from osteon.treatments.base import NeedlePose
from osteon.treatments.radiofrequency.electrode import Electrode, conductors, coolant_line
from osteon.treatments.radiofrequency.generator import Generator, Reading
from osteon.treatments.radiofrequency.metal import Metal, metal_of

# Numerical choices, not properties of tissue or device.
STEP_S = 1.0  # between two looks of the generator
SOONER, RISING = 0.5, 1.2  # of that, where the resistance has risen so far over its lowest: tissue dries within seconds
CHANGE = 0.05  # of the conductivity, the largest where it is heated, after which the potential is solved again
HEATED = 0.02  # "where it is heated": more than this share of the densest heat
LEAST_S = 3.0  # between two solutions, unless tissue dries
DRYING = 0.3  # a change of the conductivity that can only be drying
REACH_MM = 20.0  # beyond the contacts in every direction: the box in which the potential is solved again
TOLERANCE, TOLERANCE_CLOSED = 1e-3, 1e-4  # residual of the potential; with two contacts, whose currents must cancel
LEAST_S_M = 1e-4  # air and whatever does not conduct
METAL_S_M = 100.0  # metal: more than 100 times any tissue is equipotential
SENSOR_MM = 1.0  # the thermocouple averages over the last millimetre


def laws() -> dict[str, Value]:
    """Return the laws of ``laws.yaml``, by name."""
    return values_in("osteon.treatments.radiofrequency", "laws.yaml")


def law(constants: Constants, name: str) -> float:
    """Return one number of ``laws.yaml`` for this run."""
    return constants.of(f"radiofrequency.{name}", laws()[name])


@dataclass(frozen=True)
class Warming:
    """Conductivity with temperature, over its value at 37 °C: rising, then falling as water leaves."""

    slope: float
    drop: float
    drop_from_c: float
    drop_width_c: float

    @classmethod
    def of(cls, constants: Constants) -> Warming:
        """Return the law with the numbers of this run."""
        return cls(*(law(constants, name) for name in ("slope", "drop", "drop_from", "drop_width")))

    def __call__(self, temperature_c: Array) -> Array:
        """Return the ratio to 37 °C, float32."""
        t = np.asarray(temperature_c, np.float32)
        rising = np.float32(1.0) + np.float32(self.slope) * (np.minimum(t, np.float32(self.drop_from_c)) - np.float32(37.0))
        fallen = np.clip((t - np.float32(self.drop_from_c)) / np.float32(self.drop_width_c), 0.0, 1.0)
        ratio = np.maximum(rising, np.float32(0.05))
        return np.asarray(np.where(fallen > 0, ratio * np.float32(self.drop) ** -fallen, ratio), np.float32)


@dataclass
class Traces:
    """What was noted at every look of the generator."""

    time_s: list[float] = field(default_factory=list)
    voltage_v: list[float] = field(default_factory=list)
    current_a: list[float] = field(default_factory=list)
    power_w: list[float] = field(default_factory=list)
    resistance_ohm: list[float] = field(default_factory=list)
    tip_c: list[float] = field(default_factory=list)
    coolant_w: list[float] = field(default_factory=list)


@dataclass(eq=False)
class _Near:
    """The box round the contacts, its wires, and of what it leaves out: resistance [ohm], heat per watt, share in the grid."""

    box: tuple[slice, slice, slice]
    wires: list[tuple[lines.Line, float]]
    series_ohm: float = 0.0
    rest: Array | None = None
    rest_share: float = 0.0


def _moved(point: tuple[float, float, float], by: Array) -> tuple[float, float, float]:
    z, y, x = np.array(point) - by
    return float(z), float(y), float(x)


@dataclass(eq=False)
class Circuit:
    """One electrode in one patient on one generator, as a heat source.

    Parameters
    ----------
    grid : Grid
        Cubic voxels.
    conductivity_s_m : array, shape (z, y, x)
        At 37 °C [S/m].
    thermal : tuple of two arrays
        Heat conductivity [W/m/K] and heat capacity [J/m³/K], for the line that carries coolant.
    electrode, pose : Electrode, NeedlePose
        What lies where.
    generator : Generator
        Decides the voltage.
    warming : Warming
        Conductivity with temperature.
    steady : array of bool or None
        Voxels whose conductivity does not change with temperature (air, metal, cement).
    step_s, least_s : float
        Between two looks of the generator at most, and between two solutions at least [s].
    metal_w_mk : float
        Heat conductivity of the whole cross-section of the electrode along its shaft [W/m/K]; 0: none.
    until_s : float
        When the power goes off [s].
    """

    grid: Grid
    conductivity_s_m: Array
    thermal: tuple[Array, Array]
    electrode: Electrode
    pose: NeedlePose
    generator: Generator
    warming: Warming
    steady: Array | None = None
    step_s: float = STEP_S
    least_s: float = LEAST_S
    metal_w_mk: float = 0.0
    until_s: float = math.inf

    def __post_init__(self) -> None:
        self.h = float(np.mean(self.grid.spacing_mm)) * 1e-3
        shape = self.grid.shape
        self.wires = conductors(self.electrode, self.pose, self.grid)
        tip = self.wires[0][0]
        rows = lines.weights(tip, shape, self.h)
        near = np.linalg.norm(rows.centre_m - np.array(tip.start_m), axis=1) <= max(SENSOR_MM * 1e-3, 0.5 * self.h)
        self._sensor = rows.index[near], rows.weight[near] / near.sum()
        self._near_tip, self._tip_rise = near, 0.0
        self._metal, self._between = self._prepare_metal(), np.zeros(0)  # of that, heat per length and V² round it
        self._prepare_coolant()
        self._share, self._wall = self._to_wall(), 0.0  # of the coupling heat into the coolant; that [W/V²]
        self.traces, self.solved_s, self.worst_balance, self.how = Traces(), list[float](), 0.0, ""
        self.energy_j = {"generator": 0.0, "outside": 0.0, "coolant": 0.0}
        self.elapsed_s, self.next_s, self._lowest_ohm = 0.0, self.step_s, math.inf
        self._phi: Array | None = None
        self._unit: Array = np.zeros(shape, np.float32)
        self._heated: tuple[Array, Array] | None = None
        self.resistance_ohm, self.net_current_a, self._tip_rate = np.nan, np.nan, 0.0
        self._near = self._box_round()
        self._outside = 0.0  # share of the power that heats what lies beyond the grid

    def _box_round(self) -> _Near | None:
        """Return the box round the contacts in which the potential is solved again; None: the whole grid."""
        ends = np.array([point for line, _ in self.wires for point in (line.start_m, line.end_m)]) / self.h
        reach = REACH_MM * 1e-3 / self.h
        low = np.maximum(np.floor(ends.min(axis=0) - reach), 0).astype(int)
        high = np.minimum(np.ceil(ends.max(axis=0) + reach) + 1, self.grid.shape).astype(int)
        low += (high - low) % 2 * (high - low > 2)  # even numbers coarsen best
        if np.prod(high - low) > 0.5 * np.prod(self.grid.shape):
            return None
        shift = low * self.h
        wires = [
            (lines.Line(_moved(line.start_m, shift), _moved(line.end_m, shift), line.radius_m), volts)
            for line, volts in self.wires
        ]
        z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high))
        return _Near((z, y, x), wires)

    def _prepare_metal(self) -> Metal | None:
        """Return the metal of the first contact, which conducts heat along the shaft; None where coolant flows in it."""
        if self.electrode.cooling is not None or not self.metal_w_mk > 0.0:
            return None
        tip = self.wires[0][0]
        area = math.pi * tip.widest_m**2
        return metal_of(tip, self.thermal, self.h, self.step_s, self.metal_w_mk * area)

    def _to_wall(self) -> float:
        r"""Return the share of the heat between wall and averaged field that goes straight into the coolant.

        Current runs radially there, :math:`Q \propto 1/r^2`: in ln r the heat is uniform, half of it flows to either side where
        both are as warm, less by the film: :math:`\tfrac12 R/(R + R_\mathrm{film})`.
        """
        cooling, a = self.electrode.cooling, self.electrode.radius_mm * 1e-3
        if cooling is None:
            return 0.0
        rows = lines.weights(self.wires[0][0], self.grid.shape, self.h)
        k = lines.average(self.thermal[0], rows)
        through_both = lines.log_conductance(k, rows, a, cooling.film_w_m2k)
        return float(np.mean(0.5 * through_both / lines.log_conductance(k, rows, a)))

    def _prepare_coolant(self) -> None:
        line = coolant_line(self.electrode, self.pose, self.grid)
        self._coolant: tuple[lines.Weights, Array] | None = None
        if line is None or self.electrode.cooling is None:
            return
        rows = lines.weights(line, self.grid.shape, self.h)
        k, capacity = (lines.average(a, rows) for a in self.thermal)
        g = lines.log_conductance(k, rows, film=self.electrode.cooling.film_w_m2k)
        self._coolant = rows, lines.over_step(g, capacity, lines.width_m(line, self.h), self.step_s)

    def conductivity(self, temperature_c: Array) -> Array:
        """Return the conductivity at a temperature [S/m]."""
        ratio = self.warming(temperature_c)
        if self.steady is not None:
            ratio[self.steady] = 1.0
        return np.asarray(np.maximum(self.conductivity_s_m * ratio, np.float32(LEAST_S_M)))

    def solve(self, time_s: float, temperature_c: Array) -> None:
        """Solve the potential for 1 V at the present temperature.

        The first time on the whole grid; later, where that saves half of the voxels, on a box round the contacts. What the box
        leaves out stays in series with it, as large as it was at the start, and its heat keeps the pattern of the start.
        """
        sigma = self.conductivity(temperature_c)
        if self._near is None or self._phi is None:
            found = self._potential(sigma, self.wires, None if self._near is not None else self._phi)
            if self._near is not None:
                self._split(sigma, found)
        if self._near is not None:
            found = self._potential(np.ascontiguousarray(sigma[self._near.box]), self._near.wires, self._phi)
        self._phi = found.phi_v
        self._take(found)
        self.solved_s.append(time_s)
        wet = temperature_c < self.warming.drop_from_c  # what is dry may be so dense that it would hide the rest
        densest = self._unit.max(where=wet, initial=0.0)
        where = np.flatnonzero((self._unit > HEATED * densest) if densest > 0 else self._unit > 0)
        self._heated = where, self.warming(temperature_c.reshape(-1)[where])
        if self._metal is not None:
            self._tip_rise = self._of_tip(self._metal.spread @ (self._metal.half * self._between))
        self._tip_rate = float((self._unit.reshape(-1)[self._sensor[0]] / self.thermal[1].reshape(-1)[self._sensor[0]]
                                * self._sensor[1]).sum())  # fmt: skip

    def _potential(self, sigma: Array, wires: list[tuple[lines.Line, float]], start: Array | None) -> Potential:
        boundary: Literal["robin", "neumann"] = "robin" if self.electrode.kind == "monopolar" else "neumann"
        tolerance = TOLERANCE if boundary == "robin" else TOLERANCE_CLOSED
        found = potential(sigma, self.h, wires, boundary=boundary, start=start, tolerance=tolerance, to_wall=self._share)
        self.worst_balance = max(self.worst_balance, abs(found.balance))
        if found.solved.how != "converged":
            self.how = found.solved.how
        return found

    def _split(self, sigma: Array, whole: Potential) -> None:
        """Keep of the whole grid what the box leaves out: its resistance, and where its heat goes."""
        assert self._near is not None
        if self.electrode.kind == "bipolar":  # the box is closed: all of the current stays in it
            return
        part = self._potential(np.ascontiguousarray(sigma[self._near.box]), self._near.wires, None)
        self._phi = part.phi_v
        rest = np.asarray(whole.heat_w_m3, np.float32)
        rest[self._near.box] = 0.0
        watt = float(rest.sum(dtype=np.float64)) * self.h**3
        self._near.series_ohm = whole.resistance_ohm - part.resistance_ohm
        self._near.rest, self._near.rest_share = rest / np.float32(watt), watt / (watt + whole.outside_w)

    def _take(self, found: Potential) -> None:
        """Take resistance and heat per V² of a solution; what the box leaves out is added."""
        heat = np.asarray(found.heat_w_m3, np.float32)
        if self._metal is not None:
            between = found.coupling_w[0] / self._metal.rows.length_m[: len(found.coupling_w[0])]
            self._between = np.zeros(len(self._metal.half))
            self._between[: len(between)] = between
        self.net_current_a = float(np.sum(found.current_a))
        near = self._near
        if near is None:
            self.resistance_ohm, self._unit = found.resistance_ohm, heat
            self._outside, self._wall = found.outside_w * found.resistance_ohm, found.wall_w
            return
        self.resistance_ohm = found.resistance_ohm + near.series_ohm
        scale = (found.resistance_ohm / self.resistance_ohm) ** 2
        self._between = self._between * scale
        beyond = max(1.0 / self.resistance_ohm - scale * (found.power_w + found.wall_w), 0.0)
        self._unit = (
            np.zeros(self.grid.shape, np.float32) if near.rest is None else near.rest * np.float32(beyond * near.rest_share)
        )
        self._unit[near.box] = heat * np.float32(scale)
        self._wall = scale * found.wall_w
        self._outside = beyond * (1.0 - near.rest_share) * self.resistance_ohm if near.rest is not None else 0.0

    def matters(self, time_s: float, temperature_c: Array) -> bool:
        """Tell whether the conductivity has changed enough for another solution."""
        if self._heated is None:
            return True
        if self.generator.waits(time_s):  # nothing flows, nothing to know
            return False
        where, then = self._heated
        now = self.warming(temperature_c.reshape(-1)[where])
        change = float(np.abs(now / then - 1.0).max())
        return change > (DRYING if time_s - self.solved_s[-1] < self.least_s - 1e-6 else CHANGE)

    def tip_c(self, temperature_c: Array) -> float:
        """Return what the thermocouple at the tip reads without voltage [°C]: the metal there, or the tissue round it."""
        if self._metal is not None:
            return self._of_tip(self._metal.spread @ lines.average(temperature_c, self._metal.rows))
        return float((temperature_c.reshape(-1)[self._sensor[0]] * self._sensor[1]).sum())

    def _of_tip(self, per_segment: Array) -> float:
        return float(per_segment[: len(self._near_tip)][self._near_tip].mean())

    def _look(self, time_s: float) -> float:
        """Return the time to the next look of the generator [s]: shorter where the resistance rises."""
        self._lowest_ohm = min(self._lowest_ohm, self.resistance_ohm)
        rising = self.resistance_ohm > RISING * self._lowest_ohm and not self.generator.waits(time_s)
        return min(SOONER * self.step_s if rising else self.step_s, self.until_s - time_s)

    def __call__(self, time_s: float, temperature_c: Array) -> Array:
        """Return the heating less what the coolant takes [W/m³], for the next step."""
        if self.matters(time_s, temperature_c):
            self.solve(time_s, temperature_c)
        tip, step = self.tip_c(temperature_c), self._look(time_s)
        volts = self.generator.voltage(Reading(time_s, self.resistance_ohm, tip, self._tip_rate, self._tip_rise), step)
        tip += self._tip_rise * volts * volts
        power = volts * volts / self.resistance_ohm
        density = self._unit * np.float32(volts * volts)
        taken = self._wall * volts * volts
        if self._coolant is not None and self.electrode.cooling is not None:
            rows, g = self._coolant
            per_segment = g * rows.length_m * (lines.average(temperature_c, rows) - self.electrode.cooling.coolant_c)
            taken += float(per_segment.sum())
            lines.deposit(density, -per_segment, rows, self.h)
        if self._metal is not None:
            rows = self._metal.rows
            _, gives = self._metal.wall(lines.average(temperature_c, rows), self._between * volts * volts)
            lines.deposit(density, gives, rows, self.h)
        note = self.traces
        for name, value in (("time_s", time_s), ("voltage_v", volts), ("current_a", volts / self.resistance_ohm),
                            ("power_w", power), ("resistance_ohm", self.resistance_ohm), ("tip_c", tip),
                            ("coolant_w", taken)):  # fmt: skip
            getattr(note, name).append(value)
        self.energy_j["generator"] += power * step
        self.energy_j["outside"] += self._outside * power * step
        self.energy_j["coolant"] += taken * step
        self.elapsed_s, self.next_s = self.elapsed_s + step, step
        return density
