"""A coarse prediction for searching: one field, one run to the longest time, every shorter time read off it.

The physics is that of ``simulation`` on voxels of 2.5 mm; the field is solved at 37 °C and once more after two minutes.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from osteon.physics import bioheat
from osteon.space.anatomy import Anatomy
from osteon.space.volume import Array, Grid
from osteon.tissue.bone import TissueMap, properties_map
from osteon.tissue.properties import Constants
from osteon.treatments import heat
from osteon.treatments.base import Effect, Ended, NeedlePose, Setting
from osteon.treatments.coarse import Samples, around, on_coarse_voxels, once, piece, piece_of, read_off, watched_in
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
    run = once(runs, key, lambda: _run(treatment, _coarse(anatomy), *key), KEPT)
    return replace(_effect(run, power, seconds), instruments=treatment.instruments(setting))


def _coarse(anatomy: Anatomy) -> _Coarse:
    found = _COARSE.get(anatomy)
    if found is None:
        found = _COARSE[anatomy] = _Coarse(on_coarse_voxels(anatomy, SPACING_MM), {}, OrderedDict())
    return found


def _cropped(coarse: _Coarse, frequency_hz: float, centre_mm: Array) -> tuple[TissueMap, dict[str, Array], Array | None]:
    """Return tissue and watched outlines in a box round the zone, and its temperature where it is not 37 °C."""
    if frequency_hz not in coarse.tissue:
        coarse.tissue[frequency_hz] = heat.as_left(properties_map(coarse.anatomy, frequency_hz), coarse.anatomy)
    whole, start_c = coarse.tissue[frequency_hz]
    box, small = around(coarse.anatomy.grid, centre_mm, round(HALF_BOX_MM / SPACING_MM))
    start = None if start_c is None else piece(start_c, box)
    return piece_of(whole, box, small), watched_in(coarse.anatomy, box), start


class _Sampler(Samples):
    """A source that is solved again once, and takes a sample whenever the solver asks for it."""

    def __init__(self, heating: Array, source: Source, start_c: Array | None) -> None:
        super().__init__(np.full(heating.shape, 37.0, np.float32) if start_c is None else start_c)
        self.heating, self.source = heating, source

    def __call__(self, time_s: float, temperature_c: Array) -> Array:
        """Return the source."""
        if time_s > 0:
            self.note(time_s, temperature_c)
        if abs(time_s - SOLVED_AGAIN_S) < 1e-6:
            self.heating = self.source.heating(time_s, temperature_c)
        return self.heating


def _place(treatment: Microwave, coarse: _Coarse, device_name: str, pose: NeedlePose) -> _Placed:
    def placed() -> _Placed:
        constants = Constants()
        device = drawn(treatment.device(device_name), constants, device_name)
        back = treatment.needle(device_name).active_offset_mm
        centre = np.array(pose.tip_mm) - back * np.array(pose.direction)
        tissue, watch, start_c = _cropped(coarse, float(device["frequency"]["value"]), centre)
        source = Source(tissue, device, pose, 1.0, constants)
        return _Placed(source, watch, source.heating(0.0), start_c)

    return once(coarse.placed, (device_name, pose), placed, KEPT)


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
    at = run.samples.at(seconds)
    if at not in run.effects:
        run.effects[at] = _read(run, power, at)
    return replace(run.effects[at], title=f"microwave {power:g} W, {seconds / 60:.3g} min (coarse)")


def _read(run: _Run, power: float, at: int) -> Effect:
    off_s = run.samples.times_s[at]
    cooled = _heat(run.source, bioheat.Stage(COOLING_S), run.watch, run.samples.temperature_c[at], run.samples.dead(at))
    state, traces, zone_cm3 = read_off(run.samples, at, run.result, cooled, run.grid)
    return Effect(
        title="",
        state=state,
        traces=traces,
        used={**run.source.tissue.used, **run.source.constants.used, **heat.damage_values()},
        ended=Ended(run.result.ended.how, WHY, None, run.result.ended.energy_balance, run.result.ended.steps),
        measures={
            "zone_cm3": zone_cm3,
            "generator_w": power,
            "incident_w": run.source.incident_w,
            "net_power_w": run.source.mean("placed", off_s) * run.source.incident_w,
            "reflected_fraction": run.source.mean("reflected", off_s),
        },
    )
