"""A coarse prediction for searching: one field, one run to the longest time, every shorter time read off it.

The physics is that of ``simulation`` on voxels of 2.5 mm; the field is solved at 37 °C and once more after two minutes.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from osteon.physics import bioheat, damage
from osteon.space.anatomy import Anatomy, Field
from osteon.space.volume import Array, Grid, Volume
from osteon.tissue.bone import FIELDS, TissueMap, properties_map
from osteon.tissue.properties import Constants
from osteon.treatments import heat
from osteon.treatments.base import Effect, Ended, NeedlePose, Setting, Trace
from osteon.treatments.microwave import simulation
from osteon.treatments.microwave.source import Source, drawn

if TYPE_CHECKING:
    from osteon.treatments.microwave.treatment import Microwave

SPACING_MM, HALF_BOX_MM = 2.5, 42.0
SAMPLE_S, DOSE_S = 30.0, 10.0
KEPT = 64
WHY = "Coarse: 2.5 mm voxels, the field solved twice only (at the start and after 2 min), 60 s of cooling."
COOLING_S, SOLVED_AGAIN_S = 60.0, 120.0


@dataclass(frozen=True, eq=False)
class _Placed:
    """A needle in its box: tissue, structures and heating per watt that the generator shows."""

    source: Source
    watch: dict[str, Array]
    heating_per_watt: Array
    start_c: Array | None


@dataclass(frozen=True, eq=False)
class _Coarse:
    """An anatomy on coarse voxels: the whole of it, its tissue per frequency, and needles placed in it."""

    anatomy: Anatomy
    tissue: dict[float, tuple[TissueMap, Array | None]]
    placed: OrderedDict[tuple[str, NeedlePose], _Placed]


@dataclass(frozen=True, eq=False)
class _Run:
    """One run: what was sampled at every time, traces of structures, and the effects already read off it."""

    grid: Grid
    samples: _Sampler
    result: bioheat.HeatResult
    source: Source
    watch: dict[str, Array]
    effects: dict[int, Effect]


_COARSE: WeakKeyDictionary[Anatomy, _Coarse] = WeakKeyDictionary()
_RUNS: WeakKeyDictionary[Anatomy, OrderedDict[tuple[str, NeedlePose, float], _Run]] = WeakKeyDictionary()


def quick(treatment: Microwave, anatomy: Anatomy, setting: Setting) -> Effect:
    """Return a coarse prediction; settings that differ only in time share one run.

    Parameters
    ----------
    treatment : Microwave
        Whose devices to use.
    anatomy : Anatomy
        With a CT; runs are remembered as long as it lives.
    setting : Setting
        One pose, ``power_w`` and ``time_s``.

    Raises
    ------
    SettingError
        If the device cannot do that.
    """
    power, seconds = treatment.check(setting)
    key = (setting.device, setting.poses[0], power)
    runs = _RUNS.setdefault(anatomy, OrderedDict())
    if key not in runs:
        runs[key] = _run(treatment, _coarse(anatomy), *key)
        if len(runs) > KEPT:
            runs.popitem(last=False)
    return replace(_effect(runs[key], power, seconds), instruments=simulation.instruments_of(treatment, setting))


def _coarse(anatomy: Anatomy) -> _Coarse:
    found = _COARSE.get(anatomy)
    if found is None:
        matrix = anatomy.grid.matrix[:3, :3]
        axes = matrix / np.linalg.norm(matrix, axis=0)
        along = anatomy.grid.corners_mm() @ np.linalg.inv(axes).T
        grid = Grid.box(along.min(axis=0), along.max(axis=0), SPACING_MM, axes)
        found = _COARSE[anatomy] = _Coarse(anatomy.on(grid), {}, OrderedDict())
    return found


def _cropped(coarse: _Coarse, frequency_hz: float, centre_mm: Array) -> tuple[TissueMap, dict[str, Array], Array | None]:
    """Return tissue and watched outlines in a box round the zone, and its temperature where it is not 37 °C."""
    if frequency_hz not in coarse.tissue:
        coarse.tissue[frequency_hz] = heat.as_left(properties_map(coarse.anatomy, frequency_hz), coarse.anatomy)
    (whole, start_c), grid = coarse.tissue[frequency_hz], coarse.anatomy.grid
    centre = np.rint(grid.to_index(centre_mm)).astype(int)
    half = round(HALF_BOX_MM / SPACING_MM)
    low = np.clip(centre - half, 0, np.array(grid.shape) - 2)
    high = np.clip(centre + half + 1, low + 2, grid.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high))
    matrix = grid.matrix
    matrix[:3, 3] = grid.to_mm(low.astype(float))
    fields = {name: np.ascontiguousarray(getattr(whole, name)[box]) for name in (*FIELDS, "labels")}
    small = Grid.of(fields["labels"].shape, matrix)
    tissue = TissueMap(
        grid=small, frequency_hz=frequency_hz, used=whole.used, assumptions=whole.assumptions,
        clamped_voxels=whole.clamped_voxels, metal_voxels=whole.metal_voxels, not_imaged_voxels=whole.not_imaged_voxels, **fields,
    )  # fmt: skip
    watch = {name: np.ascontiguousarray(mask[box]) for name, mask in heat.watched(coarse.anatomy).items()}
    start = None if start_c is None else np.ascontiguousarray(start_c[box])
    return tissue, {name: mask for name, mask in watch.items() if mask.any()}, start


@dataclass(eq=False)
class _Sampler:
    """A source that is solved again once, and notes peak temperature and dose whenever the solver asks for it."""

    heating: Array
    source: Source
    start_c: Array | None = None

    def __post_init__(self) -> None:
        self.last_s = 0.0
        self.last = np.full(self.heating.shape, 37.0, np.float32) if self.start_c is None else self.start_c
        self.times_s: list[float] = []
        self.temperature_c: list[Array] = []
        self.peak_c: list[Array] = []
        self.cem43_min: list[Array] = []

    def __call__(self, time_s: float, temperature_c: Array) -> Array:
        """Return the source."""
        if time_s > 0:
            self.note(time_s, temperature_c)
        if abs(time_s - SOLVED_AGAIN_S) < 1e-6:
            self.heating = self.source.heating(time_s, temperature_c)
        return self.heating

    def note(self, time_s: float, temperature_c: Array) -> None:
        """Add the dose since the last sample, a straight line in time assumed."""
        peak = np.maximum(temperature_c, self.peak_c[-1] if self.peak_c else self.last)
        dose = self.cem43_min[-1].copy() if self.cem43_min else np.zeros_like(self.last)
        warm = np.maximum(temperature_c, self.last) >= 39.0
        if warm.any():
            pair = np.stack([self.last[warm], temperature_c[warm]])
            dose[warm] += damage.cem43(np.array([self.last_s, time_s]), pair).astype(np.float32)
        self.times_s.append(time_s)
        self.temperature_c.append(np.array(temperature_c, np.float32))
        self.peak_c.append(peak)
        self.cem43_min.append(dose)
        self.last_s, self.last = time_s, self.temperature_c[-1]


def _place(treatment: Microwave, coarse: _Coarse, device_name: str, pose: NeedlePose) -> _Placed:
    key = (device_name, pose)
    if key not in coarse.placed:
        constants = Constants()
        device = drawn(treatment.device(device_name), constants, device_name)
        back = treatment.needle(device_name).active_offset_mm
        centre = np.array(pose.tip_mm) - back * np.array(pose.direction)
        tissue, watch, start_c = _cropped(coarse, float(device["frequency"]["value"]), centre)
        source = Source(tissue, device, pose, 1.0, constants)
        coarse.placed[key] = _Placed(source, watch, source.heating(0.0), start_c)
        if len(coarse.placed) > KEPT:
            coarse.placed.popitem(last=False)
    return coarse.placed[key]


def _run(treatment: Microwave, coarse: _Coarse, device_name: str, pose: NeedlePose, power: float) -> _Run:
    placed = _place(treatment, coarse, device_name, pose)
    source = placed.source.at_power(power)
    sampler = _Sampler(placed.heating_per_watt * np.float32(power), source, placed.start_c)
    longest = float(treatment.device(device_name)["time_s"]["high"])
    result = _heat(source, bioheat.Stage(longest, sampler, refresh_s=SAMPLE_S), placed.watch, placed.start_c)
    sampler.note(longest, result.temperature_c)
    return _Run(source.tissue.grid, sampler, result, source, placed.watch, {})


def _heat(
    source: Source, stage: bioheat.Stage, watch: dict[str, Array], initial_c: Array | None = None, dead: Array | None = None
) -> bioheat.HeatResult:
    return simulation.march(source, [stage], dead, watch=watch, initial_c=initial_c, dose_every_s=DOSE_S, trace_every_s=DOSE_S)


def _effect(run: _Run, power: float, seconds: float) -> Effect:
    """Read one time off a run, the first sample not before it (rounded up to 30 s), and let it cool."""
    at = min(int(np.searchsorted(np.array(run.samples.times_s), seconds - 1e-6)), len(run.samples.times_s) - 1)
    if at not in run.effects:
        run.effects[at] = _read(run, power, at)
    return replace(run.effects[at], title=f"microwave {power:g} W, {seconds / 60:.3g} min (coarse)")


def _read(run: _Run, power: float, at: int) -> Effect:
    necrosis = damage.constants("cem43")["necrosis"].number
    off_s, heated = run.samples.times_s[at], run.samples.cem43_min[at]
    cooled = _heat(run.source, bioheat.Stage(COOLING_S), run.watch, run.samples.temperature_c[at], heated >= necrosis)
    dose = heated + cooled.cem43_min
    dead = dose >= necrosis
    traces = {}
    for name, (times, values) in run.result.traces.items():
        until, after = times <= off_s + 1e-6, cooled.traces[name]
        trace_times = np.append(times[until], off_s + after[0][1:])
        place = heat.place_of(run.grid, cooled.hottest[name][1])
        traces[f"hottest:{name}"] = Trace(trace_times, np.append(values[until], after[1][1:]), "degC", place)
    return Effect(
        title="",
        state={
            Field.TEMPERATURE_C: Volume(np.maximum(run.samples.peak_c[at], cooled.peak_c), run.grid),
            Field.PRESENT_C: Volume(np.asarray(cooled.temperature_c, np.float32), run.grid),
            Field.CEM43_MIN: Volume(np.asarray(dose, np.float32), run.grid),
            Field.DEAD: Volume(dead, run.grid),
        },
        traces=traces,
        used={**run.source.tissue.used, **run.source.constants.used, **heat.damage_values()},
        ended=Ended(run.result.ended.how, WHY, None, run.result.ended.energy_balance, run.result.ended.steps),
        measures={
            "zone_cm3": float(dead.sum()) * run.grid.voxel_mm3 * 1e-3,
            "generator_w": power,
            "incident_w": run.source.incident_w,
            "net_power_w": run.source.mean("placed", off_s) * run.source.incident_w,
            "reflected_fraction": run.source.mean("reflected", off_s),
        },
    )
