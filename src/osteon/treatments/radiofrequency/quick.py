"""A coarse prediction for searching: one run on coarse voxels to the longest time, every shorter time read off it."""

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
from osteon.treatments.base import Effect, Ended, NeedlePose, Setting, Trace
from osteon.treatments.heat import PAIR, as_left, damage_values, place_of, watched
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


class _Recorder:
    """Notes temperature, peak and dose whenever the generator looks and a sample is due."""

    def __init__(self, start_c: Array) -> None:
        self.last_s, self.last = 0.0, start_c
        self.times_s: list[float] = []
        self.temperature_c: list[Array] = []
        self.peak_c: list[Array] = []
        self.cem43_min: list[Array] = []

    def __call__(self, time_s: float, temperature_c: Array) -> None:
        """Take a sample where ``SAMPLE_S`` have passed."""
        if time_s >= self.last_s + SAMPLE_S - 1e-6:
            self.note(time_s, temperature_c)

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
    if key not in runs:
        runs[key] = _run(treatment, anatomy, *key)
        if len(runs) > KEPT:
            runs.popitem(last=False)
    run = runs[key]
    at = min(int(np.searchsorted(np.array(run.samples.times_s), seconds - 1e-6)), len(run.samples.times_s) - 1)
    if at not in run.effects:
        run.effects[at] = _read(run, at)
    title = simulation.title_of(treatment.device(setting.device), controls, seconds)
    instruments = simulation.instruments_of(treatment, setting)
    return replace(run.effects[at], title=f"{title} (coarse)", instruments=instruments)


def _coarse(anatomy: Anatomy, frequency_hz: float) -> _Coarse:
    found = _COARSE.setdefault(anatomy, {})
    if frequency_hz not in found:
        matrix = anatomy.grid.matrix[:3, :3]
        axes = matrix / np.linalg.norm(matrix, axis=0)
        along = anatomy.grid.corners_mm() @ np.linalg.inv(axes).T
        whole = anatomy.on(Grid.box(along.min(axis=0), along.max(axis=0), SPACING_MM, axes))
        found[frequency_hz] = _Coarse(whole, *as_left(properties_map(whole, frequency_hz), whole))
    return found[frequency_hz]


def _cropped(coarse: _Coarse, centre_mm: Array) -> tuple[TissueMap, dict[str, Array], Array | None]:
    """Return tissue and watched outlines in a box round the zone, and its temperature where it is not 37 °C."""
    whole, grid = coarse.tissue, coarse.anatomy.grid
    centre = np.rint(grid.to_index(centre_mm)).astype(int)
    half = round(HALF_BOX_MM / SPACING_MM)
    low = np.clip(centre - half, 0, np.array(grid.shape) - 2)
    high = np.clip(centre + half + 1, low + 2, grid.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high))
    matrix = grid.matrix
    matrix[:3, 3] = grid.to_mm(low.astype(float))
    fields = {name: np.ascontiguousarray(getattr(whole, name)[box]) for name in (*FIELDS, "labels")}
    tissue = replace(whole, grid=Grid.of(fields["labels"].shape, matrix), **fields)  # type: ignore[arg-type]
    watch = {name: np.ascontiguousarray(mask[box]) for name, mask in watched(coarse.anatomy).items()}
    start = None if coarse.start_c is None else np.ascontiguousarray(coarse.start_c[box])
    return tissue, {name: mask for name, mask in watch.items() if mask.any()}, start


def _run(treatment: _Radiofrequency, anatomy: Anatomy, name: str, pose: NeedlePose, held: tuple[tuple[str, float], ...]) -> _Run:
    constants, device = Constants(), treatment.device(name)
    coarse = _coarse(anatomy, float(device["frequency"]["value"]))
    centre = np.array(pose.tip_mm) - treatment.needle(name).active_offset_mm * np.array(pose.direction)
    tissue, watch, start_c = _cropped(coarse, centre)
    circuit = simulation.circuit_of(tissue, device, pose, dict(held), constants, name, step_s=STEP_S, least_s=LEAST_S)
    simulation.in_the_body(circuit, tissue)
    materials, longest = simulation.materials_of(tissue, constants), float(device["time_s"]["high"])
    recorder = _Recorder(np.full(tissue.grid.shape, 37.0, np.float32) if start_c is None else start_c)
    result = simulation.heat_tissue(
        circuit, materials, longest, watch=watch, initial_c=start_c, cooling_s=0.0, pairs=(), seen=recorder, dose_every_s=DOSE_S
    )
    recorder.note(longest, result.temperature_c)
    return _Run(circuit, tissue, materials, constants, recorder, result, watch, {})


def _read(run: _Run, at: int) -> Effect:
    """Read one sample off a run and let it cool."""
    necrosis = damage.constants("cem43")["necrosis"].number
    off_s, heated, grid = run.samples.times_s[at], run.samples.cem43_min[at], run.tissue.grid
    still = np.where(heated >= necrosis, np.float32(0.0), run.materials.perfusion)
    cooled = bioheat.heat(
        SPACING_MM, replace(run.materials, perfusion=still), [bioheat.Stage(COOLING_S)], watch=run.watch,
        initial_c=run.samples.temperature_c[at], dose_every_s=DOSE_S, trace_every_s=DOSE_S,
        coagulation=bioheat.Coagulation("arrhenius", PAIR),
    )  # fmt: skip
    dose = heated + cooled.cem43_min
    traces = {}
    for name, (times, values) in run.result.traces.items():
        until, after = times <= off_s + 1e-6, cooled.traces[name]
        place = place_of(grid, cooled.hottest[name][1])
        joined = np.append(times[until], off_s + after[0][1:]), np.append(values[until], after[1][1:])
        traces[f"hottest:{name}"] = Trace(*joined, "degC", place)
    noted = run.circuit.traces
    power = [w for t, w in zip(noted.time_s, noted.power_w) if t < off_s]
    ended = simulation.ending(run.circuit, run.result)
    return Effect(
        title="",
        state={
            Field.TEMPERATURE_C: Volume(np.maximum(run.samples.peak_c[at], cooled.peak_c), grid),
            Field.PRESENT_C: Volume(np.asarray(cooled.temperature_c, np.float32), grid),
            Field.CEM43_MIN: Volume(np.asarray(dose, np.float32), grid),
            Field.DEAD: Volume(dose >= necrosis, grid),
        },
        traces=traces,
        used={**run.tissue.used, **run.used.used, **damage_values()},
        ended=Ended(ended.how, WHY, None, ended.energy_balance, ended.steps),
        measures={
            "zone_cm3": float((dose >= necrosis).sum()) * grid.voxel_mm3 * 1e-3,
            "generator_w": max(power, default=0.0),
            "net_power_w": float(np.mean(power)) if power else 0.0,
            "field_solutions": float(len(run.circuit.solved_s)),
        },
    )
