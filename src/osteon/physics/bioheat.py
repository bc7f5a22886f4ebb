r"""Heat in tissue with blood flow, vaporisation and damage, on a voxel grid.

.. math:: \partial_t H = \nabla\cdot(k(T)\,\nabla T) - W\,(T - T_a)\,[\text{not coagulated}] + Q

H is the enthalpy, so the heat of vaporisation is taken up exactly and cannot be jumped over. It is kept as a deviation from the
start: float32 then resolves microkelvins. Pennes, J Appl Physiol 1948;1:93.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from osteon.errors import InputError
from osteon.physics import bioheat_kernels as kernels
from osteon.physics import damage
from osteon.physics.bioheat_checks import check, checked_source, watched_indices
from osteon.physics.bioheat_march import March
from osteon.physics.bioheat_sink import Sink as Sink
from osteon.space.shapes import Mask, Samples, ScalarField

Array = np.ndarray[Any, np.dtype[Any]]
Source = Array | Callable[[float, Array], Array] | None
Boundary = Literal["fixed", "insulated"]
Criterion = Literal["arrhenius", "cem43", "never"]
Observe = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Materials:
    """Thermal properties per voxel, each float32 of shape (z, y, x).

    Parameters
    ----------
    conductivity : ndarray
        k at the start temperature [W/m/K], above 0.
    heat_capacity : ndarray
        ρc [J/m³/K], above 0.
    perfusion : ndarray
        W = w ρ_b c_b [W/m³/K].
    vaporisation_heat : ndarray
        Taken up over ``vaporisation_c`` [J/m³]; 0: none.
    conductivity_slope : float
        Relative change of k per kelvin above the start [1/K]; none below it, and none above the end of vaporisation.
    vaporisation_c : tuple of float
        Where vaporisation begins and ends [°C].
    steam_leaves : bool
        Where the last water has boiled, its heat of vaporisation leaves for good (``energy_steam_j``) and is not given back when
        the voxel cools; else the steam stays and condenses in place. The temperature is the same at that moment.
    """

    conductivity: Array
    heat_capacity: Array
    perfusion: Array
    vaporisation_heat: Array
    conductivity_slope: float = 0.0
    vaporisation_c: tuple[float, float] = (90.0, 100.0)
    steam_leaves: bool = False


@dataclass
class Stage:
    """A span of time with one source.

    Parameters
    ----------
    duration_s : float
        Length [s].
    source : None, ndarray or callable
        Heat per volume [W/m³], shape (z, y, x); a callable gets the seconds since this stage began and the temperature [°C].
    refresh_s : float or callable
        A callable source is asked again after so long [s]; a callable is asked for that after every answer of the source.
    same_is_unchanged : bool
        Whether a callable that returns the same array object again means: as before. It must then never write into it.
    """

    duration_s: float
    source: Source = None
    refresh_s: float | Callable[[], float] = math.inf
    same_is_unchanged: bool = False


@dataclass(frozen=True)
class Coagulation:
    """When blood stops: the dead fraction of an Arrhenius pair, or CEM43.

    Parameters
    ----------
    criterion : {"arrhenius", "cem43", "never"}
        Which dose decides.
    pair : str
        Arrhenius pair of ``tissue/data/damage.yaml``.
    threshold : float or None
        Ω (default: the pair's own, 1 for most, dead fraction 63 %) or CEM43 [min] (default the cited limit of necrosis, 240).
    """

    criterion: Criterion = "arrhenius"
    pair: str = "liver"
    threshold: float | None = None


class Snapshot(NamedTuple):
    """The run at one moment: dose up to then, so one run answers a search over treatment time."""

    time_s: float
    packed: Array  # np.packbits of CEM43 >= necrosis; ``mask`` unpacks
    hottest: dict[str, float]  # highest so far per watched mask [°C]

    def mask(self, shape: tuple[int, ...]) -> Array:
        """Return where CEM43 has reached necrosis (240 min), bool of ``shape``."""
        return np.unpackbits(self.packed, count=math.prod(shape)).astype(bool).reshape(shape)


@dataclass(frozen=True)
class Ending:
    """How the run ended: ``time`` (all stages done) or ``not_converged`` (the field holds no numbers any more).

    ``energy_balance`` is abs(in - stored - out - perfusion - steam - sink) over what was put in (or, without source, moved).
    """

    how: Literal["time", "not_converged"]
    why: str
    energy_balance: float
    steps: int


@dataclass(frozen=True, eq=False)
class HeatResult:
    """What heat did.

    Parameters
    ----------
    temperature_c, peak_c : ndarray
        At the end, and the highest at any dose sample [°C].
    cem43_min : ndarray
        Dose [min], held at 1e15 (float32 overflows at 3e38; no limit lies beyond 1e12).
    omega : dict of str to ndarray
        Arrhenius integral per pair [1], held at 1000 (dead fraction 1). Counted above 39 °C only.
    coagulated : ndarray of bool
        Where perfusion stopped.
    traces : dict of str to (times_s, values_c)
        Hottest voxel of each watched mask over time.
    hottest : dict of str to (value_c, flat_index, time_s)
        The highest of all, where and when.
    energy_in_j, energy_stored_j, energy_out_j, energy_perfusion_j : float
        From the fluxes actually applied: source, enthalpy gained, through the boundary, to blood [J].
    ended : Ending
        How it ended.
    snapshots : list of Snapshot
        Where ``snapshot_every_s`` was given.
    energy_steam_j : float
        Carried away by steam [J]; 0 unless ``Materials.steam_leaves``.
    energy_sink_j : float
        Taken by the coolant of a ``Sink`` [J].
    """

    temperature_c: ScalarField
    peak_c: ScalarField
    cem43_min: ScalarField
    omega: dict[str, ScalarField]
    coagulated: Mask
    traces: dict[str, tuple[Samples, Samples]]
    hottest: dict[str, tuple[float, int, float]]
    energy_in_j: float
    energy_stored_j: float
    energy_out_j: float
    energy_perfusion_j: float
    ended: Ending
    snapshots: list[Snapshot] = field(default_factory=list)
    energy_steam_j: float = 0.0
    energy_sink_j: float = 0.0


def heat(
    spacing_mm: float,
    materials: Materials,
    stages: Sequence[Stage],
    *,
    start_c: float = 37.0,
    arterial_c: float = 37.0,
    boundary: Boundary = "fixed",
    watch: Mapping[str, Array] | None = None,
    coagulation: Coagulation = Coagulation(),
    pairs: Sequence[str] = (),
    initial_c: Array | None = None,
    dose_every_s: float = 0.5,
    trace_every_s: float = 1.0,
    snapshot_every_s: float | None = None,
    observe: Observe | None = None,
    probe: Callable[[float, Array], None] | None = None,
    probe_every_s: float = 2.0,
    sink: Sink | None = None,
) -> HeatResult:
    r"""March the bioheat equation through stages by explicit finite volumes with harmonic face conductivities.

    Step: 0.9 of the largest stable one, from the actual face conductances, capacities, perfusion and slope of every voxel. Voxels
    more than a rim away from any change above 0.01 K are not touched; what a source puts there (less than 1 mK in all) is not
    counted as input.

    Parameters
    ----------
    spacing_mm : float
        Edge of the cubic voxels [mm].
    materials : Materials
        Properties.
    stages : sequence of Stage
        In order; a cool-down is a stage without source.
    start_c, arterial_c : float
        Temperature of the tissue at time 0 and beyond the edge, and of the blood [°C].
    boundary : {"fixed", "insulated"}
        A layer beyond the edge held at ``start_c``, or no heat through the edge.
    watch : mapping of str to ndarray of bool, optional
        Structures whose hottest voxel is followed.
    coagulation : Coagulation
        When perfusion stops.
    pairs : sequence of str
        Arrhenius pairs to accumulate besides that of ``coagulation``.
    initial_c : ndarray, optional
        Temperature at time 0 where it is not ``start_c`` [°C].
    dose_every_s, trace_every_s : float
        Time between dose samples (never finer than the step), and between points of a trace [s].
    snapshot_every_s : float, optional
        Time between snapshots [s].
    observe : callable, optional
        Called with the fraction done.
    probe : callable, optional
        Called with the seconds since time 0 and the temperature [°C], at time 0, then at the first dose sample not before each
        ``probe_every_s``, and at the end: for sensors and for damage that this march does not know.
    probe_every_s : float
        Time between two calls of ``probe`` [s].
    sink : Sink, optional
        A tube with coolant; it stays to the end of the last stage.

    Returns
    -------
    HeatResult
        Fields, traces, energies, and how it ended.

    Raises
    ------
    InputError
        If a shape, spacing, property, source or time cannot be used.
    """
    shape = check(spacing_mm, materials, stages, start_c, arterial_c, boundary, initial_c)
    for name, value in (
        ("dose_every_s", dose_every_s),
        ("trace_every_s", trace_every_s),
        ("snapshot_every_s", snapshot_every_s),
        ("probe_every_s", probe_every_s),
    ):
        if value is not None and not value > 0:
            raise InputError(f"{name} is {value}.", "Time must pass between two samples.", "Give a positive number of seconds.")
    names = list(dict.fromkeys([*((coagulation.pair,) if coagulation.criterion == "arrhenius" else ()), *pairs]))
    march = March(
        spacing_mm * 1e-3, materials.conductivity, materials.heat_capacity, materials.perfusion, materials.vaporisation_heat,
        float(materials.conductivity_slope), materials.vaporisation_c, float(start_c), float(arterial_c), initial_c,
        boundary == "fixed", [damage.arrhenius(name) for name in names], _law(coagulation, names), damage.caps(), sink,
    )  # fmt: skip
    march.steam_leaves = materials.steam_leaves
    total = sum(s.duration_s for s in stages)
    log = _Log(march, watched_indices(watch or {}, shape), trace_every_s, total, observe, probe, probe_every_s)
    began = 0.0
    for stage in stages:
        if not _run_stage(march, stage, began, dose_every_s, snapshot_every_s, log):
            break
        began += stage.duration_s
    return _result(march, names, log)


def _run_stage(
    march: March, stage: Stage, began_s: float, dose_every_s: float, snapshot_every_s: float | None, log: _Log
) -> bool:
    """Run one stage; False where the field broke down."""
    done, asked, tiny = 0.0, -math.inf, 1e-9 * max(stage.duration_s, 1.0)
    held: object = march  # no source yet
    refresh = math.inf
    while done < stage.duration_s - tiny:
        if done == 0.0 or done >= asked + refresh - tiny:
            density = stage.source(done, march.temperature_c()) if callable(stage.source) else stage.source
            if not (stage.same_is_unchanged and density is held):
                march.set_source(checked_source(density, march.shape), stage.duration_s - done)
            held, asked = density, done
            if callable(stage.source):
                refresh = stage.refresh_s() if callable(stage.refresh_s) else stage.refresh_s
        stop = min(stage.duration_s, asked + refresh)
        if snapshot_every_s is not None:
            stop = min(stop, (math.floor((began_s + done + tiny) / snapshot_every_s) + 1) * snapshot_every_s - began_s)
        march.advance(stop - done, dose_every_s, lambda passed, at=began_s + done: log.sampled(at + passed))
        done = stop
        if not march.finite():
            return False
        if snapshot_every_s is not None:
            cycles = (began_s + done) / snapshot_every_s
            if abs(cycles - round(cycles)) * snapshot_every_s < 10 * tiny:
                log.snapshot(began_s + done)
    return True


class _Log:
    """Traces, hottest points and snapshots of a run."""

    def __init__(
        self,
        march: March,
        watch: Mapping[str, Array],
        every_s: float,
        total_s: float,
        observe: Observe | None,
        probe: Callable[[float, Array], None] | None = None,
        probe_every_s: float = math.inf,
    ) -> None:
        self.probe, self.probe_every_s, self.next_probe_s = probe, probe_every_s, 0.0
        self.march, self.watch, self.every_s, self.total_s, self.observe = march, watch, every_s, total_s, observe
        self.necrosis = damage.constants("cem43")["necrosis"].number
        self.traces: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in watch}
        self.hottest: dict[str, tuple[float, int, float]] = {}
        self.snapshots: list[Snapshot] = []
        self.next_s = 0.0
        self.sampled(0.0)

    def sampled(self, time_s: float) -> None:
        record = time_s >= self.next_s - 1e-6 or time_s >= self.total_s - 1e-6
        for name, indices in self.watch.items():
            index = int(indices[kernels.hottest(self.march.before, indices)])
            value = float(self.march.before[index]) + self.march.start
            if name not in self.hottest or value > self.hottest[name][0]:
                self.hottest[name] = (value, index, time_s)
            if record:
                self.traces[name][0].append(time_s)
                self.traces[name][1].append(value)
        while record and self.next_s <= time_s + 1e-6:
            self.next_s += self.every_s
        if self.probe is not None and (time_s >= self.next_probe_s - 1e-6 or time_s >= self.total_s - 1e-6):
            self.probe(time_s, self.march.temperature_c())
            self.next_probe_s = (math.floor(time_s / self.probe_every_s + 1e-9) + 1) * self.probe_every_s
        if self.observe is not None and self.total_s > 0:
            self.observe(min(time_s / self.total_s, 1.0))

    def snapshot(self, time_s: float) -> None:
        packed = np.packbits(self.march.cem >= self.necrosis)
        self.snapshots.append(Snapshot(time_s, packed, {name: found[0] for name, found in self.hottest.items()}))


def _result(march: March, names: Sequence[str], log: _Log) -> HeatResult:
    energy, stored, fine = march.energy, march.energy_stored(), march.finite()
    moved = max(abs(energy["in"]), abs(energy["out"]), abs(energy["perfusion"]), abs(stored))
    gap = abs(energy["in"] - stored - energy["out"] - energy["perfusion"] - energy["steam"] - energy["sink"])
    why = (
        "All stages were run." if fine else "The field holds no temperatures any more: the source or a property is out of range."
    )
    ended = Ending("time" if fine else "not_converged", why, gap / moved if moved > 0 else 0.0, march.steps)
    shape = march.shape
    return HeatResult(
        march.temperature_c(), march.peak.reshape(shape), march.cem.reshape(shape),
        {name: march.omega[i].reshape(shape) for i, name in enumerate(names)}, march.coagulated.reshape(shape),
        {name: (np.array(times), np.array(values)) for name, (times, values) in log.traces.items()}, dict(log.hottest),
        energy["in"], stored, energy["out"], energy["perfusion"], ended, log.snapshots, energy["steam"],
        energy["sink"],
    )  # fmt: skip


def _law(coagulation: Coagulation, names: Sequence[str]) -> tuple[int, float]:
    if coagulation.criterion == "never":
        return -1, math.inf
    if coagulation.threshold is not None and not coagulation.threshold > 0:
        raise InputError(
            f"Coagulation is set to a dose of {coagulation.threshold}.",
            "Tissue without any dose would be dead from the start.",
            "Give a positive dose, or the criterion 'never'.",
        )
    if coagulation.criterion == "cem43":
        return -2, coagulation.threshold or damage.constants("cem43")["necrosis"].number
    return names.index(coagulation.pair), coagulation.threshold or damage.arrhenius(coagulation.pair).threshold.number
