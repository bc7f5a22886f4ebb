"""A coarse prediction for searching: one run on coarse voxels to the longest time, every shorter time read off it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from osteon.physics import bioheat
from osteon.space.anatomy import Anatomy
from osteon.space.volume import Array
from osteon.tissue.bone import TissueMap, properties_map
from osteon.tissue.properties import Constants
from osteon.treatments.base import Effect, Ended, NeedlePose, Setting
from osteon.treatments.coarse import Samples, around, on_coarse_voxels, once, piece, piece_of, read_off, watched_in
from osteon.treatments.heat import PAIR, as_left, damage_values, materials_of
from osteon.treatments.radiofrequency import simulation
from osteon.treatments.radiofrequency.circuit import Circuit

if TYPE_CHECKING:
    from osteon.treatments.radiofrequency.treatment import _Radiofrequency

SPACING_MM, HALF_BOX_MM = 2.0, 30.0
STEP_S, LEAST_S, SAMPLE_S, DOSE_S, COOLING_S = 3.0, 12.0, 30.0, 10.0, 60.0
KEPT = 64
WHY = "Coarse: 2 mm voxels, the potential solved every 12 s at most, 60 s of cooling."

Key = tuple[str, NeedlePose, tuple[tuple[str, float], ...]]


@dataclass(frozen=True, eq=False)
class _Coarse:
    """An anatomy on coarse voxels: the whole of it, and its tissue with the temperature that was left."""

    anatomy: Anatomy
    tissue: TissueMap
    start_c: Array | None


@dataclass(frozen=True, eq=False)
class _Run:
    """One run: what was sampled, and the effects already read off it."""

    circuit: Circuit
    tissue: TissueMap
    materials: bioheat.Materials
    used: Constants
    samples: _Recorder
    result: bioheat.HeatResult
    watch: dict[str, Array]
    effects: dict[int, Effect]


_COARSE: WeakKeyDictionary[Anatomy, dict[float, _Coarse]] = WeakKeyDictionary()
_RUNS: WeakKeyDictionary[Anatomy, OrderedDict[Key, _Run]] = WeakKeyDictionary()


class _Recorder(Samples):
    """Samples taken whenever the generator looks and one is due."""

    def __call__(self, time_s: float, temperature_c: Array) -> None:
        """Take a sample where ``SAMPLE_S`` have passed."""
        if time_s >= self.last_s + SAMPLE_S - 1e-6:
            self.note(time_s, temperature_c)


def quick(treatment: _Radiofrequency, anatomy: Anatomy, setting: Setting) -> Effect:
    """Return a coarse prediction; settings that differ only in time share one run.

    Parameters
    ----------
    treatment : Treatment
        Whose devices to use.
    anatomy : Anatomy
        With a CT; runs are remembered as long as it lives.
    setting : Setting
        One pose and the device's controls.

    Raises
    ------
    SettingError
        If the device cannot do that.
    """
    controls, seconds = treatment.check(setting)
    rest = tuple(sorted((k, v) for k, v in controls.items() if k != "time_s"))
    key = (setting.device, setting.poses[0], rest)
    runs = _RUNS.setdefault(anatomy, OrderedDict())
    run = once(runs, key, lambda: _run(treatment, anatomy, *key), KEPT)
    at = run.samples.at(seconds)
    if at not in run.effects:
        run.effects[at] = _read(run, at)
    title = simulation.title_of(treatment.device(setting.device), controls, seconds)
    return replace(run.effects[at], title=f"{title} (coarse)", instruments=treatment.instruments(setting))


def _coarse(anatomy: Anatomy, frequency_hz: float) -> _Coarse:
    found = _COARSE.setdefault(anatomy, {})
    if frequency_hz not in found:
        whole = on_coarse_voxels(anatomy, SPACING_MM)
        found[frequency_hz] = _Coarse(whole, *as_left(properties_map(whole, frequency_hz), whole))
    return found[frequency_hz]


def _run(treatment: _Radiofrequency, anatomy: Anatomy, name: str, pose: NeedlePose, held: tuple[tuple[str, float], ...]) -> _Run:
    constants, device = Constants(), treatment.device(name)
    coarse = _coarse(anatomy, float(device["frequency"]["value"]))
    centre = np.array(pose.tip_mm) - treatment.needle(name).active_offset_mm * np.array(pose.direction)
    box, small = around(coarse.anatomy.grid, centre, round(HALF_BOX_MM / SPACING_MM))
    tissue, watch = piece_of(coarse.tissue, box, small), watched_in(coarse.anatomy, box)
    start_c = None if coarse.start_c is None else piece(coarse.start_c, box)
    circuit = simulation.circuit_of(tissue, device, pose, dict(held), constants, name, step_s=STEP_S, least_s=LEAST_S)
    simulation.in_the_body(circuit, tissue)
    materials, longest = materials_of(tissue, constants), float(device["time_s"]["high"])
    recorder = _Recorder(np.full(tissue.grid.shape, 37.0, np.float32) if start_c is None else start_c)
    result = simulation.heat_tissue(
        circuit, materials, longest, watch=watch, initial_c=start_c, cooling_s=0.0, pairs=(), seen=recorder, dose_every_s=DOSE_S
    )
    recorder.note(longest, result.temperature_c)
    return _Run(circuit, tissue, materials, constants, recorder, result, watch, {})


def _read(run: _Run, at: int) -> Effect:
    """Read one sample off a run and let it cool."""
    off_s, grid = run.samples.times_s[at], run.tissue.grid
    still = np.where(run.samples.dead(at), np.float32(0.0), run.materials.perfusion)
    cooled = bioheat.heat(
        SPACING_MM, replace(run.materials, perfusion=still), [bioheat.Stage(COOLING_S)], watch=run.watch,
        initial_c=run.samples.temperature_c[at], dose_every_s=DOSE_S, trace_every_s=DOSE_S,
        coagulation=bioheat.Coagulation("arrhenius", PAIR),
    )  # fmt: skip
    state, traces, zone_cm3 = read_off(run.samples, at, run.result, cooled, grid)
    noted = run.circuit.traces
    power = [w for t, w in zip(noted.time_s, noted.power_w) if t < off_s]
    ended = simulation.ending(run.circuit, run.result)
    return Effect(
        title="",
        state=state,
        traces=traces,
        used={**run.tissue.used, **run.used.used, **damage_values()},
        ended=Ended(ended.how, WHY, None, ended.energy_balance, ended.steps),
        measures={
            "zone_cm3": zone_cm3,
            "generator_w": max(power, default=0.0),
            "net_power_w": float(np.mean(power)) if power else 0.0,
            "field_solutions": float(len(run.circuit.solved_s)),
        },
    )
