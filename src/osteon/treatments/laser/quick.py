"""A coarse prediction for searching: one run to the longest time on 2.5 mm voxels, every shorter time read off it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from osteon.physics import bioheat, damage
from osteon.space.anatomy import Anatomy, Field
from osteon.space.volume import Array, Grid, Volume
from osteon.tissue.bone import TissueMap, properties_map
from osteon.tissue.properties import Constants
from osteon.treatments import heat as thermal
from osteon.treatments.base import Effect, Ended, NeedlePose, Setting, Trace
from osteon.treatments.laser import fibre
from osteon.treatments.laser import simulation as fine

if TYPE_CHECKING:
    from osteon.treatments.laser.treatment import Laser

SPACING_MM, HALF_BOX_MM, SAMPLE_S, COOLING_S, DOSE_S, KEPT = 2.5, 35.0, 30.0, 60.0, 10.0, 64
WHY = "Coarse: 2.5 mm voxels and 60 s of cooling."


@dataclass(frozen=True, eq=False)
class _Whole:
    """An anatomy on coarse voxels, its tissue and its optics by wavelength."""

    anatomy: Anatomy
    tissue: TissueMap
    start_c: Array | None
    constants: Constants
    optics: dict[float, fibre.Optics] = field(default_factory=dict)


@dataclass(eq=False)
class _Log:
    """What a run had reached at every sample."""

    every_s: float
    times_s: list[float] = field(default_factory=list)
    now_c: list[Array] = field(default_factory=list)
    peak_c: list[Array] = field(default_factory=list)
    cem43_min: list[Array] = field(default_factory=list)

    def __call__(self, time_s: float, temperature_c: Array) -> None:
        """Take a sample; the dose of a straight line between two is exact."""
        now = np.array(temperature_c, np.float32)
        dose = np.zeros_like(now) if not self.times_s else self.cem43_min[-1].copy()
        peak = now if not self.times_s else np.maximum(now, self.peak_c[-1])
        if self.times_s:
            warm = np.maximum(now, self.now_c[-1]) >= 39.0
            if warm.any():
                dose[warm] += damage.cem43(np.array([self.times_s[-1], time_s]), np.stack([self.now_c[-1][warm], now[warm]]))
        for listed, value in ((self.now_c, now), (self.peak_c, peak), (self.cem43_min, dose)):
            listed.append(value)
        self.times_s.append(time_s)


@dataclass(frozen=True, eq=False)
class _Run:
    """One fibre in one place at one power."""

    grid: Grid
    log: _Log
    result: bioheat.HeatResult
    source: fine.LightSource
    materials: bioheat.Materials
    watch: dict[str, Array]
    whole: _Whole
    effects: dict[int, Effect] = field(default_factory=dict)


_WHOLE: WeakKeyDictionary[Anatomy, _Whole] = WeakKeyDictionary()
_RUNS: WeakKeyDictionary[Anatomy, OrderedDict[tuple[str, NeedlePose, float], _Run]] = WeakKeyDictionary()


def quick(treatment: Laser, anatomy: Anatomy, setting: Setting) -> Effect:
    """Return a coarse prediction; settings that differ only in time share one run (remembered as long as the anatomy lives).

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
    run = runs[key]
    at = min(int(np.searchsorted(np.array(run.log.times_s), seconds - 1e-6)), len(run.log.times_s) - 1)
    if at not in run.effects:
        run.effects[at] = _read(run, power, at)
    title = f"laser {power:g} W, {seconds / 60:.3g} min (coarse)"
    return replace(run.effects[at], title=title, instruments=fine.instruments_of(treatment, setting))


def _coarse(anatomy: Anatomy) -> _Whole:
    found = _WHOLE.get(anatomy)
    if found is None:
        matrix = anatomy.grid.matrix[:3, :3]
        axes = matrix / np.linalg.norm(matrix, axis=0)
        along = anatomy.grid.corners_mm() @ np.linalg.inv(axes).T
        whole = anatomy.on(Grid.box(along.min(axis=0), along.max(axis=0), SPACING_MM, axes))
        tissue, start_c = thermal.as_left(properties_map(whole, fine.ANY_BAND_HZ), whole)
        found = _WHOLE[anatomy] = _Whole(whole, tissue, start_c, Constants())
    return found


def _run(treatment: Laser, whole: _Whole, name: str, pose: NeedlePose, power: float) -> _Run:
    device = fine.drawn(treatment.device(name), whole.constants, name)
    wavelength = float(device["wavelength_nm"]["value"])
    if wavelength not in whole.optics:
        whole.optics[wavelength] = fibre.optics(whole.tissue, whole.anatomy, wavelength, whole.constants)
    grid = whole.anatomy.grid
    centre = np.array(pose.tip_mm) - treatment.needle(name).active_offset_mm * np.array(pose.direction)
    box, small = around(grid, centre)
    optics = whole.optics[wavelength]
    cut = replace(
        optics,
        absorption_per_m=piece(optics.absorption_per_m, box),
        reduced_scattering_per_m=piece(optics.reduced_scattering_per_m, box),
        outside=piece(optics.outside, box),
        opaque=piece(optics.opaque, box),
    )
    source = fine.LightSource(small, cut, device, pose, power)
    of_whole = thermal.materials_of(whole.tissue, whole.constants)
    materials = replace(
        of_whole,
        conductivity=piece(of_whole.conductivity, box),
        heat_capacity=piece(of_whole.heat_capacity, box),
        perfusion=piece(of_whole.perfusion, box),
        vaporisation_heat=piece(of_whole.vaporisation_heat, box),
    )
    watch = {k: piece(mask, box) for k, mask in thermal.watched(whole.anatomy).items()}
    watch = {k: mask for k, mask in watch.items() if mask.any()}
    start = None if whole.start_c is None else piece(whole.start_c, box)
    log = _Log(SAMPLE_S)
    longest = float(treatment.device(name)["time_s"]["high"])
    result = bioheat.heat(
        SPACING_MM, materials, [bioheat.Stage(longest, source, refresh_s=SAMPLE_S)], watch=watch, initial_c=start,
        dose_every_s=DOSE_S, trace_every_s=DOSE_S, probe=log, probe_every_s=SAMPLE_S,
    )  # fmt: skip
    return _Run(small, log, result, source, materials, watch, whole)


def piece(array: Array, box: tuple[slice, ...]) -> Array:
    """Return a copy of what lies in a box."""
    return np.ascontiguousarray(array[box])


def around(grid: Grid, centre_mm: Array) -> tuple[tuple[slice, ...], Grid]:
    """Return the box of ``HALF_BOX_MM`` round a place, as slices and as a grid."""
    centre = np.rint(grid.to_index(centre_mm)).astype(int)
    half = round(HALF_BOX_MM / SPACING_MM)
    low = np.clip(centre - half, 0, np.array(grid.shape) - 2)
    high = np.clip(centre + half + 1, low + 2, grid.shape)
    matrix = grid.matrix
    matrix[:3, 3] = grid.to_mm(low.astype(float))
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high)), Grid.of(tuple((high - low).tolist()), matrix)


def _read(run: _Run, power: float, at: int) -> Effect:
    """Read one sample off a run, and let it cool."""
    necrosis = damage.constants("cem43")["necrosis"].number
    off_s, heated = run.log.times_s[at], run.log.cem43_min[at]
    stopped = replace(run.materials, perfusion=np.where(heated >= necrosis, np.float32(0.0), run.materials.perfusion))
    cooled = bioheat.heat(
        SPACING_MM, stopped, [bioheat.Stage(COOLING_S)], watch=run.watch, initial_c=run.log.now_c[at], dose_every_s=DOSE_S,
        trace_every_s=DOSE_S,
    )  # fmt: skip
    dose = heated + cooled.cem43_min
    dead = dose >= necrosis
    traces = {}
    for name, (times, values) in run.result.traces.items():
        until, after = times <= off_s + 1e-6, cooled.traces[name]
        place = thermal.place_of(run.grid, cooled.hottest[name][1])
        joined = np.append(times[until], off_s + after[0][1:]), np.append(values[until], after[1][1:])
        traces[f"hottest:{name}"] = Trace(*joined, "degC", place)
    fields = {
        Field.TEMPERATURE_C: np.maximum(run.log.peak_c[at], cooled.peak_c),
        Field.PRESENT_C: np.asarray(cooled.temperature_c, np.float32),
        Field.CEM43_MIN: np.asarray(dose, np.float32),
        Field.DEAD: dead,
    }
    ended = run.result.ended
    return Effect(
        title="",
        state={name: Volume(values, run.grid) for name, values in fields.items()},
        traces=traces,
        used={**fine.without_dielectric(run.whole.tissue), **run.whole.constants.used, **thermal.damage_values()},
        ended=Ended(ended.how, WHY, None, ended.energy_balance, ended.steps),
        measures={
            "zone_cm3": float(dead.sum()) * run.grid.voxel_mm3 * 1e-3,
            "generator_w": power,
            "emitted_w": run.source.emitted_w,
            "net_power_w": run.source.mean_absorbed_w(off_s),
        },
    )
