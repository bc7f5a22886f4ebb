r"""Freezing and thawing of tissue round thin probes on a voxel grid.

.. math:: \partial_t H = \nabla\cdot(k(T)\,\nabla T) + W\,(T_a - T)\,[\text{not frozen}] + \sum_{probes} W_p^T q'

The enthalpy H per volume is the state, so latent heat cannot be jumped over; T(H) and k(H) are tables per material
(``freezing_tables``). Time advances by RKL2 super-time-stepping (Meyer, Balsara, Aslam, J Comput Phys 2014;257:594). A probe is a
line (``lines``) whose heat per length is

.. math:: q' = \mathrm{clip}\left(\frac{T_{gas} - \bar T}{1/(2\pi a h) + \ln(r_{eff}/a)/(2\pi k)},\ -q'_{max},\ q'_{max}\right)

a film h to the gas, and no more than the gas can carry: the film alone fits no published ice ball and its -30 °C together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from osteon.errors import InputError
from osteon.physics.freezing_march import CHANGE_K, LEVELS_C, March
from osteon.physics.freezing_tables import REST_C, FreezingTable
from osteon.physics.lines import Line, weights

Array = np.ndarray[Any, np.dtype[Any]]
Observe = Callable[[float], None]
STAGES = 9  # at most, of a superstep: within 0.2 K of an explicit scheme of fine steps, with ``freezing_march.CHANGE_K``
TRACE_S = 5.0  # between two points of a trace, at most
MOST_PROBES = 25


@dataclass(frozen=True, eq=False)
class FreezingMaterials:
    """What fills the voxels.

    Parameters
    ----------
    tables : sequence of FreezingTable
        Materials, at most 255.
    index : ndarray of integer, shape (z, y, x)
        Row of ``tables``.
    perfusion : ndarray, shape (z, y, x)
        W = w ρ_b c_b [W/m³/K].
    """

    tables: Sequence[FreezingTable]
    index: Array
    perfusion: Array


@dataclass(frozen=True)
class Drive:
    """What one probe does during a stage.

    Parameters
    ----------
    medium_c : float
        Temperature of what flows behind the wall: cold gas, or the heater's limit while thawing [°C].
    film_w_m2k : float
        h between it and the wall [W/m²/K].
    most_w_m : float
        Most heat per length in either direction [W/m]; 0: the probe is off, and takes part in nothing.
    """

    medium_c: float = 37.0
    film_w_m2k: float = 2000.0
    most_w_m: float = 0.0


OFF = Drive()


@dataclass(frozen=True)
class FreezeStage:
    """A span of time in which every probe does one thing.

    Parameters
    ----------
    name : str
        "freeze", "passive thaw", "active thaw" or the like.
    duration_s : float
        Length [s].
    drives : sequence of Drive
        One per probe, or one for all.
    """

    name: str
    duration_s: float
    drives: Sequence[Drive] = (OFF,)


@dataclass(frozen=True)
class FreezeEnding:
    """How a run ended: ``time`` or ``not_converged``; ``energy_balance`` is the defect over the heat moved."""

    how: Literal["time", "not_converged"]
    why: str
    energy_balance: float
    steps: int
    evaluations: int


@dataclass(frozen=True, eq=False)
class FreezeResult:
    """What cold did.

    Parameters
    ----------
    temperature_c, lowest_c, highest_c : ndarray
        At the end, and the extremes of every voxel [°C].
    times_s : ndarray, shape (n,)
        Times of the traces.
    ice_cm3 : dict of float to ndarray
        Volume at or below 0, -20 and -40 °C over time [cm³].
    wall_c, power_w : ndarray, shape (n, probes)
        Coldest wall temperature [°C]; heat given by each probe [W], negative while freezing.
    coldest : dict of str to (times_s, values_c)
        Coldest voxel of each watched mask over time.
    extreme : dict of str to (value_c, flat_index, time_s)
        The coldest of all, where and when.
    energy_stored_j, energy_perfusion_j, energy_walls_j, energy_probes_j : float
        Enthalpy gained, and what blood, the edges of the grid and the probes gave [J].
    at_end_of : list of (name, lowest_c)
        The lowest temperature up to the end of each stage, where asked for.
    ended : FreezeEnding
        How it ended.
    """

    temperature_c: Array
    lowest_c: Array
    highest_c: Array
    times_s: Array
    ice_cm3: dict[float, Array]
    wall_c: Array
    power_w: Array
    coldest: dict[str, tuple[Array, Array]]
    extreme: dict[str, tuple[float, int, float]]
    energy_stored_j: float
    energy_perfusion_j: float
    energy_walls_j: float
    energy_probes_j: float
    ended: FreezeEnding
    at_end_of: list[tuple[str, Array]] = field(default_factory=list)


def freeze(
    spacing_mm: float,
    materials: FreezingMaterials,
    stages: Sequence[FreezeStage],
    probes: Sequence[Line] = (),
    *,
    start_c: float | Array = REST_C,
    arterial_c: float = REST_C,
    sides_c: Sequence[float | None] | None = None,
    stasis_c: float = -20.0,
    watch: Mapping[str, Array] | None = None,
    trace_every_s: float = TRACE_S,
    super_stages: int = STAGES,
    change_k: float = CHANGE_K,
    keep_stages: bool = False,
    observe: Observe | None = None,
    probe: Callable[[float, Array], None] | None = None,
    probe_every_s: float = 5.0,
) -> FreezeResult:
    """March the enthalpy equation through freezes and thaws.

    Parameters
    ----------
    spacing_mm : float
        Edge of the cubic voxels [mm].
    materials : FreezingMaterials
        What fills the voxels.
    stages : sequence of FreezeStage
        In order.
    probes : sequence of Line
        Active lengths of the probes.
    start_c : float or ndarray
        Temperature at time 0 [°C].
    arterial_c : float
        Of the blood [°C].
    sides_c : six of float or None, optional
        Temperature of the sides z-, z+, y-, y+, x-, x+ of the grid; None: insulated. Default: all at ``start_c``, or insulated
        where that is a field.
    stasis_c : float
        Tissue that was colder than this has no blood flow again; warmer frozen tissue has it back when it thaws.
    watch : mapping of str to ndarray of bool, optional
        Structures whose coldest voxel is followed.
    trace_every_s : float
        Longest time between two points of a trace, and longest superstep [s].
    super_stages : int
        Largest number of RKL2 stages, odd, 3 or more; 1: the explicit scheme.
    change_k : float
        By which no voxel should change in one superstep [K]; while one does, supersteps are as short as explicit steps. Larger is
        faster and less exact.
    keep_stages : bool
        Keep the lowest temperature at the end of each stage.
    observe : callable, optional
        Called with the fraction done.
    probe : callable, optional
        Called with the seconds since time 0 and the temperature [°C], at time 0, then after the first superstep not before each
        ``probe_every_s``, and at the end: for sensors. It must not write into the field, nor keep it.
    probe_every_s : float
        Time between two calls of ``probe`` [s]; supersteps may be longer.

    Returns
    -------
    FreezeResult
        Fields, traces, energies, and how it ended.

    Raises
    ------
    InputError
        If a shape, property, probe or time cannot be used.
    """
    shape = _check(spacing_mm, materials, stages, probes, super_stages, min(trace_every_s, change_k), watch or {})
    whole = np.asarray(start_c, np.float32)
    if whole.ndim not in (0, 3) or (whole.ndim == 3 and whole.shape != shape) or not np.isfinite(whole).all():
        raise InputError(
            f"The start temperature has shape {whole.shape} or values that are not finite.",
            "Every voxel needs a temperature to start from.",
            f"Give one number or °C of shape {shape}.",
        )
    sides = tuple(sides_c) if sides_c is not None else (None if whole.ndim else float(whole),) * 6
    rows = [weights(line, shape, spacing_mm * 1e-3) for line in probes]
    radii = [line.widest_m for line in probes]
    rest = float(whole) if whole.ndim == 0 else REST_C
    march = March(
        spacing_mm * 1e-3, materials.index, materials.tables, materials.perfusion, np.broadcast_to(whole, shape), rest,
        float(arterial_c), float(stasis_c), sides, rows, radii, super_stages,
        change_k,
    )  # fmt: skip
    log = _Log(march, watch or {}, len(probes))
    total, began, kept = sum(s.duration_s for s in stages), 0.0, []
    asked = _Probe(march, probe, probe_every_s, total)
    for stage in stages:
        drives = list(stage.drives) * (len(probes) if len(stage.drives) == 1 else 1)
        march.drive([d.medium_c for d in drives], [d.film_w_m2k for d in drives], [d.most_w_m for d in drives])
        done = 0.0
        while done < stage.duration_s * (1 - 1e-12) and march.finite:
            left = stage.duration_s - done
            taken = march.superstep(min(trace_every_s, left))
            done = stage.duration_s if left - taken < 1e-6 else done + taken
            log.note(began + done)
            asked.at(began + done)
            if observe is not None:
                observe(min((began + done) / total, 1.0))
        began += stage.duration_s
        if keep_stages:
            march.store()
            kept.append((stage.name, march.lowest.copy()))
    march.store()
    return _result(march, log, kept)


class _Probe:
    """Whoever wants to see the whole field now and then."""

    def __init__(self, march: March, probe: Callable[[float, Array], None] | None, every_s: float, total_s: float) -> None:
        self.march, self.probe, self.every_s, self.total_s, self.next_s = march, probe, every_s, total_s, 0.0
        self.at(0.0)

    def at(self, time_s: float) -> None:
        if self.probe is not None and (time_s >= self.next_s - 1e-6 or time_s >= self.total_s - 1e-6):
            self.march.store()
            self.probe(time_s, self.march.temperature)
            self.next_s = (math.floor(time_s / self.every_s + 1e-9) + 1) * self.every_s


class _Log:
    """Traces of a run."""

    def __init__(self, march: March, watch: Mapping[str, Array], probes: int) -> None:
        self.march, self.probes = march, probes
        self.where = {name: np.argwhere(mask) for name, mask in watch.items()}
        self.local: dict[str, tuple[Array, Array, Array]] = {}
        self.box = np.full(6, -1, np.int64)
        self.times: list[float] = []
        self.ice: list[Array] = []
        self.wall: list[Array] = []
        self.power: list[Array] = []
        self.coldest: dict[str, list[float]] = {name: [] for name in watch}
        self.extreme: dict[str, tuple[float, int, float]] = {}
        self.note(0.0)

    def note(self, time_s: float) -> None:
        m = self.march
        self.times.append(time_s)
        self.ice.append(m.volumes_m3() * 1e6)
        if m.coupling is not None:
            coldest = np.full(self.probes, np.inf)
            np.minimum.at(coldest, m.coupling.owner, np.nan_to_num(m.coupling.wall, nan=np.inf))
            self.wall.append(coldest)
            self.power.append(np.bincount(m.coupling.owner, m.coupling.heat, self.probes))
        if (self.box != m.box).any():
            self._place()
        for name in self.where:
            value, flat = self._coldest(name)
            self.coldest[name].append(value)
            if name not in self.extreme or value < self.extreme[name][0]:
                self.extreme[name] = (value, flat, time_s)

    def _place(self) -> None:
        """Note which watched voxels lie in the box: the others have not changed."""
        m, low, high = self.march, self.march.box[::2], self.march.box[1::2]
        self.box = m.box.copy()
        for name, index in self.where.items():
            inside = ((index >= low) & (index < high)).all(axis=1)
            at = np.ravel_multi_index(tuple((index[inside] - low + 1).T), m.t.shape) if inside.any() else np.zeros(0, np.int64)
            self.local[name] = (np.asarray(inside), np.asarray(at), m.temperature[tuple(index.T)].astype(float))

    def _coldest(self, name: str) -> tuple[float, int]:
        """Return the coldest of some voxels now."""
        inside, at, values = self.local[name]
        values[inside] = self.march.t.reshape(-1)[at]
        best = int(np.argmin(values))
        return float(values[best]), int(np.ravel_multi_index(tuple(self.where[name][best]), self.march.shape))


def _result(march: March, log: _Log, kept: list[tuple[str, Array]]) -> FreezeResult:
    stored, energy = march.energy_stored(), march.energy
    moved = max(float(np.abs(energy).max()), abs(stored))
    gap = abs(stored - float(energy.sum()))
    times = np.array(log.times)
    why = (
        "All stages were run."
        if march.finite
        else "The field holds no temperatures any more: a property is out of range, or probes fill the same place."
    )
    ended = FreezeEnding(
        "time" if march.finite else "not_converged", why, gap / moved if moved > 0 else 0.0, march.steps, march.evaluations
    )
    ice = np.array(log.ice)
    empty = np.zeros((len(times), 0))
    return FreezeResult(
        march.temperature, march.lowest, march.highest, times, {level: ice[:, i] for i, level in enumerate(LEVELS_C)},
        np.array(log.wall) if log.wall else empty, np.array(log.power) if log.power else empty,
        {name: (times, np.array(values)) for name, values in log.coldest.items()}, dict(log.extreme),
        stored, float(energy[0]), float(energy[1]), float(energy[2]), ended, kept,
    )  # fmt: skip


def _check(
    spacing_mm: float, materials: FreezingMaterials, stages: Sequence[FreezeStage], probes: Sequence[Line], super_stages: int,
    trace_every_s: float, watch: Mapping[str, Array],
) -> tuple[int, ...]:  # fmt: skip
    shape, perfusion = tuple(materials.index.shape), materials.perfusion
    fine = len(shape) == 3 and perfusion.shape == shape and bool(np.isfinite(perfusion).all()) and float(perfusion.min()) >= 0
    count = len(materials.tables)
    if not fine or not 0 < count <= 255 or int(materials.index.min()) < 0 or int(materials.index.max()) >= count:
        raise InputError(
            f"Materials of shape {shape}, perfusion of shape {perfusion.shape} and {count} tables do not make a problem.",
            "Every voxel needs a table, and blood flow of at least 0.",
            "Give arrays of one shape (z, y, x) whose indices lie within at most 255 tables.",
        )
    if not (spacing_mm > 0 and math.isfinite(spacing_mm)) or not trace_every_s > 0 or super_stages < 1 or super_stages % 2 == 0:
        raise InputError(
            f"Spacing {spacing_mm} mm, a trace or a change every {trace_every_s} s or K, {super_stages} stages a superstep.",
            "Time and space must have a size, and RKL2 is stable at an odd number of stages.",
            "Give positive numbers, and 1 (explicit) or an odd number of stages.",
        )
    if len(probes) > MOST_PROBES:
        raise InputError(
            f"{len(probes)} probes were given.", "No system drives so many at once.", f"Give at most {MOST_PROBES} probes."
        )
    for stage in stages:
        drives = list(stage.drives)
        numbers = [n for d in drives for n in (d.medium_c, d.film_w_m2k, d.most_w_m)]
        limits = all(d.film_w_m2k > 0 and d.most_w_m >= 0 and d.medium_c > -273.15 for d in drives)
        if (
            not (0 < stage.duration_s < math.inf)
            or len(drives) not in (1, len(probes))
            or not limits
            or not np.isfinite(numbers).all()
        ):
            raise InputError(
                f"The stage {stage.name!r} lasts {stage.duration_s} s with {drives[:3]} for {len(probes)} probes.",
                "A stage needs time, and each probe a temperature, a film above 0 and a most power of at least 0.",
                "Give one drive for all probes or one for each, with positive numbers.",
            )
    if not stages:
        raise InputError("No stage was given.", "Nothing would happen.", "Give at least one freeze.")
    for name, mask in watch.items():
        if mask.shape != shape or mask.dtype != bool or not mask.any():
            raise InputError(
                f"The watched mask {name!r} has shape {mask.shape}, type {mask.dtype} and {int(np.count_nonzero(mask))} voxels.",
                "The coldest point of a structure that is not on the grid cannot be told.",
                f"Give a non-empty bool mask of shape {shape}, and report structures off the grid as unknown.",
            )
    return shape
