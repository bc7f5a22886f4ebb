"""A coarse prediction for searching: one run to the longest time on 2.5 mm voxels, every shorter time read off it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from osteon.physics import bioheat
from osteon.space.anatomy import Anatomy
from osteon.space.volume import Array, Grid
from osteon.tissue.bone import TissueMap, properties_map
from osteon.tissue.properties import Constants
from osteon.treatments import heat as thermal
from osteon.treatments.base import Effect, Ended, NeedlePose, Setting
from osteon.treatments.coarse import Samples, around, on_coarse_voxels, once, piece, piece_of, read_off, watched_in
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


@dataclass(frozen=True, eq=False)
class _Run:
    """One fibre in one place at one power."""

    grid: Grid
    log: Samples
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
    run = once(runs, key, lambda: _run(treatment, _coarse(anatomy), *key), KEPT)
    at = run.log.at(seconds)
    if at not in run.effects:
        run.effects[at] = _read(run, power, at)
    title = f"laser {power:g} W, {seconds / 60:.3g} min (coarse)"
    return replace(run.effects[at], title=title, instruments=treatment.instruments(setting))


def _coarse(anatomy: Anatomy) -> _Whole:
    found = _WHOLE.get(anatomy)
    if found is None:
        whole = on_coarse_voxels(anatomy, SPACING_MM)
        tissue, start_c = thermal.as_left(properties_map(whole, fine.ANY_BAND_HZ), whole)
        found = _WHOLE[anatomy] = _Whole(whole, tissue, start_c, Constants())
    return found


def _run(treatment: Laser, whole: _Whole, name: str, pose: NeedlePose, power: float) -> _Run:
    device = fine.drawn(treatment.device(name), whole.constants, name)
    wavelength = float(device["wavelength_nm"]["value"])
    if wavelength not in whole.optics:
        whole.optics[wavelength] = fibre.optics(whole.tissue, whole.anatomy, wavelength, whole.constants)
    centre = np.array(pose.tip_mm) - treatment.needle(name).active_offset_mm * np.array(pose.direction)
    box, small = around(whole.anatomy.grid, centre, round(HALF_BOX_MM / SPACING_MM))
    optics = whole.optics[wavelength]
    cut = replace(
        optics,
        absorption_per_m=piece(optics.absorption_per_m, box),
        reduced_scattering_per_m=piece(optics.reduced_scattering_per_m, box),
        outside=piece(optics.outside, box),
        opaque=piece(optics.opaque, box),
    )
    source = fine.LightSource(small, cut, device, pose, power)
    materials = thermal.materials_of(piece_of(whole.tissue, box, small), whole.constants)
    watch, start = watched_in(whole.anatomy, box), None if whole.start_c is None else piece(whole.start_c, box)
    log = Samples(np.full(small.shape, 37.0, np.float32) if start is None else start)

    def sampled(time_s: float, temperature_c: Array) -> None:
        if time_s > 0:
            log.note(time_s, temperature_c)

    longest = float(treatment.device(name)["time_s"]["high"])
    result = bioheat.heat(
        SPACING_MM, materials, [bioheat.Stage(longest, source, refresh_s=SAMPLE_S)], watch=watch, initial_c=start,
        dose_every_s=DOSE_S, trace_every_s=DOSE_S, probe=sampled, probe_every_s=SAMPLE_S,
    )  # fmt: skip
    return _Run(small, log, result, source, materials, watch, whole)


def _read(run: _Run, power: float, at: int) -> Effect:
    """Read one sample off a run, and let it cool."""
    off_s = run.log.times_s[at]
    stopped = replace(run.materials, perfusion=np.where(run.log.dead(at), np.float32(0.0), run.materials.perfusion))
    cooled = bioheat.heat(
        SPACING_MM, stopped, [bioheat.Stage(COOLING_S)], watch=run.watch, initial_c=run.log.temperature_c[at],
        dose_every_s=DOSE_S, trace_every_s=DOSE_S,
    )  # fmt: skip
    state, traces, zone_cm3 = read_off(run.log, at, run.result, cooled, run.grid)
    ended = run.result.ended
    return Effect(
        title="",
        state=state,
        traces=traces,
        used={**fine.without_dielectric(run.whole.tissue), **run.whole.constants.used, **thermal.damage_values()},
        ended=Ended(ended.how, WHY, None, ended.energy_balance, ended.steps),
        measures={
            "zone_cm3": zone_cm3,
            "generator_w": power,
            "emitted_w": run.source.emitted_w,
            "net_power_w": run.source.mean_absorbed_w(off_s),
        },
    )
