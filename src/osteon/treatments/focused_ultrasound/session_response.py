r"""What one watt of one sonication does to the temperature: linear in the power as long as properties stay as they are.

.. math:: T(x, t) = 37 + P\,r(x, t), \qquad \rho c\,\partial_t r = \nabla\cdot(k\nabla r) - W r + q_1

q₁ is the heat of one watt from ``sonicate``. Conductivity, perfusion and sound do not change with temperature here, and nothing
boils: that is what makes powers cheap to find. The run of the whole session lets conductivity, blood and water change.
Twice per sonication: on voxels of ``FINE_MM`` in a box round the place, and on the patient's voxels along the beam.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import ndimage

from osteon.errors import OsteonError
from osteon.evidence.value import Value
from osteon.jobs import Done, Executor, Serial
from osteon.physics import bioheat, damage
from osteon.space.volume import Array, Grid
from osteon.tissue.bone import CODE, FIELDS, TissueMap
from osteon.treatments.focused_ultrasound.beam import ArrayPose, on_patient
from osteon.treatments.focused_ultrasound.session_setup import NEAR_FIELD, Setup, nearest
from osteon.treatments.focused_ultrasound.shots import Aim
from osteon.treatments.focused_ultrasound.sonication import sonicate
from osteon.treatments.heat import cubic_spacing_mm

BODY_C = 37.0
# Numerical choices, not properties of tissue.
FINE_MM, HALF_BOX_MM = 0.5, 17.0
SAMPLE_S = 2.0  # between two samples of a response; the dose of a straight line between them is exact
REFERENCE_W = 50.0  # at which a response is run before it is divided: the solver's rim of 0.01 K is then some 1e-4 of it
WARM = 0.1  # voxels of the box that reach this share of its hottest are kept
SMALL_K = 0.05  # a structure's voxels that gain less than this at REFERENCE_W are dropped
MOST_KEPT = 64


@dataclass(frozen=True, eq=False)
class Traces:
    """Rise per watt of some voxels.

    Parameters
    ----------
    voxels : ndarray of int, shape (n,)
        Flat indices on ``grid``.
    rise_k_w : ndarray of float32, shape (times, n)
        [K/W].
    grid : Grid
        On which they count.
    """

    voxels: Array
    rise_k_w: Array
    grid: Grid

    @property
    def top(self) -> float:
        """Largest rise [K/W]; 0 where there is no voxel."""
        return float(self.rise_k_w.max(initial=0.0))

    def hottest(self, most: int) -> Traces:
        """Return those voxels that grow warmest, ``most`` at most."""
        if self.rise_k_w.shape[1] <= most:
            return self
        kept = np.sort(np.argsort(-self.rise_k_w.max(axis=0), kind="stable")[:most])
        return Traces(self.voxels[kept], self.rise_k_w[:, kept], self.grid)

    def place_mm(self, column: int) -> tuple[float, float, float]:
        """Return where one voxel lies (LPS mm)."""
        x, y, z = self.grid.to_mm(np.array(np.unravel_index(int(self.voxels[column]), self.grid.shape), float))
        return float(x), float(y), float(z)


@dataclass(frozen=True, eq=False)
class Response:
    """Rise of temperature per watt of sound that leaves the array, on for ``on_s``, then off for ``tail_s``.

    Parameters
    ----------
    aim : Aim
        Place and direction.
    pose : ArrayPose
        Where the array stands.
    on_s, tail_s : float
        Seconds with sound, and after it.
    times_s : ndarray, shape (times,)
        Of the samples, 0 first; the end of ``on_s`` is one of them.
    targets : ndarray of float32, shape (times, points)
        At the points that must be reached [K/W].
    box : Traces
        Voxels of ``FINE_MM`` round the place that grow warm.
    near : mapping of str to Traces
        Structures in that box, their hottest voxels.
    beam : mapping of str to Traces
        Structures on the patient's voxels, all that gain anything; and ``near_field``, its hottest.
    heat : (slices, ndarray)
        Heat of one watt on the patient's voxels [W/m³], and where these lie.
    entry_w, absorbed_w, outside_w : float
        Of one watt: through the entry plane, turned into heat, and of that beyond the image.
    energy_balance : float
        The larger defect of the two heat runs.
    trust : str
        How far the planner of sound believes itself.
    sentences, notes : tuple of str
        Why; and what was assumed.
    used : mapping of str to Value
        Constants of sound.
    """

    aim: Aim
    pose: ArrayPose
    on_s: float
    tail_s: float
    times_s: Array
    targets: Array
    box: Traces
    near: Mapping[str, Traces]
    beam: Mapping[str, Traces]
    heat: tuple[tuple[slice, slice, slice], Array]
    entry_w: float
    absorbed_w: float
    outside_w: float
    energy_balance: float
    trust: str
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    used: Mapping[str, Value] = field(default_factory=dict)

    def dose_min(self, rise_k_w: Array, power_w: float) -> Array:
        """Return CEM43 [min] of traces (times, n) of this response at a power."""
        if rise_k_w.shape[1] == 0:
            return np.zeros(0)
        return damage.cem43(self.times_s, BODY_C + power_w * rise_k_w)

    def reached_w(self, least_dose_min: float, most_w: float) -> float:
        """Return the least power at which every target point has that dose [W]; infinite where ``most_w`` does not do it."""
        return bisect(lambda w: float(self.dose_min(self.targets, w).min()) >= least_dose_min, most_w)


def bisect(holds: Any, most: float, steps: int = 40) -> float:
    """Return the least number in (0, most] for which a rising yes-or-no question is answered yes; infinite where none is."""
    if not holds(most):
        return math.inf
    low, high = 0.0, most
    for _ in range(steps):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


@dataclass(frozen=True, eq=False)
class _Task:
    setup: Setup
    aim: Aim
    pose: ArrayPose
    targets_mm: Array
    on_s: float
    tail_s: float
    on: Array | None = None


def respond_all(
    setup: Setup, aims: Sequence[Aim], on_s: float, tail_s: float, *, poses: Mapping[str, ArrayPose] | None = None,
    targets_mm: Mapping[str, Array] | None = None, executor: Executor | None = None, done: Done | None = None,
    failed: dict[str, str] | None = None, on: Mapping[str, Array] | None = None,
) -> list[Response]:  # fmt: skip
    """Return the response to each aim, from memory where it was computed before with this setup.

    Parameters
    ----------
    setup : Setup
        Patient and array.
    aims : sequence of Aim
        Places.
    on_s, tail_s : float
        Seconds with sound, and after it.
    poses : mapping of str to ArrayPose, optional
        Where the array stands, by id of the aim; else its unsteered focus lies at the focus.
    targets_mm : mapping of str to ndarray (n, 3), optional
        Points that must be reached, by id; else the spot of the aim.
    executor : Executor, optional
        Runs those that are missing; in this process unless given.
    done : callable, optional
        Called with how many of those that are missing are done.
    failed : dict, optional
        Filled with the aims that cannot be computed and why, by id, instead of an error.
    on : mapping of str to ndarray of bool, optional
        Elements that may radiate, by id; else all whose way is free of gas and lung.

    Returns
    -------
    list of Response
        In the order of the aims, without those that failed.

    Raises
    ------
    InputError, SettingError
        As ``sonicate``.
    """
    tasks, keys = [], []
    for aim in aims:
        pose = (poses or {}).get(aim.id) or pose_of(setup, aim)
        points = np.atleast_2d(np.asarray((targets_mm or {}).get(aim.id, aim.spot_mm), float))
        live = (on or {}).get(aim.id)
        keys.append((aim.focus_mm, aim.spot_mm, pose, points.tobytes(), on_s, tail_s, None if live is None else live.tobytes()))
        tasks.append(_Task(setup.bare(), aim, pose, points, on_s, tail_s, live))
    missing = list(OrderedDict((k, t) for k, t in zip(keys, tasks, strict=True) if k not in setup.kept).items())
    work = _respond if failed is None else _respond_or_why
    made = (executor or Serial()).map(work, [t for _, t in missing], [t.aim.id for _, t in missing], done)
    for (key, task), found in zip(missing, made, strict=True):
        if isinstance(found, Response):
            setup.kept[key] = found
        elif failed is not None:
            failed[task.aim.id] = found
    return [replace(setup.kept[k], aim=aim) for k, aim in zip(keys, aims, strict=True) if k in setup.kept]


def _respond_or_why(task: _Task) -> Response | str:
    try:
        return _respond(task)
    except OsteonError as error:
        return error.what


def pose_of(setup: Setup, aim: Aim) -> ArrayPose:
    """Return the pose whose unsteered focus lies at the focus of an aim."""
    return ArrayPose.aimed(aim.focus_mm, aim.beam, 1e3 * setup.device.radius_m)


def _respond(task: _Task) -> Response:
    """Return one response: sound, then heat twice."""
    setup, aim = task.setup, task.aim
    live = dict(setup.options) if task.on is None else {**setup.options, "on": task.on}
    sound = sonicate(setup.sound, setup.device, task.pose, aim.focus_mm, 1.0, media=setup.media, **live)
    small = box_grid(setup.tissue.grid, np.asarray(aim.spot_mm, float), FINE_MM)
    fine, _, _ = on_patient(sound.beam_heat_w_m3.array, sound.beam, small)
    inner = sampled(setup.tissue, small)
    whole = _Recorder(None)
    first = _march(inner, fine.array, task, whole)
    times = knots(task.on_s, task.tail_s)
    rise = whole.rise(times)
    near = {name: _cut(Traces(at, rise[:, at], small).hottest(MOST_KEPT)) for name, at in setup.watched_on(small).items()}
    index = small.to_index(task.targets_mm).T
    at_targets = np.stack([ndimage.map_coordinates(r.reshape(small.shape), index, order=1, mode="nearest") for r in rise])
    warm = np.flatnonzero(rise.max(axis=0) >= WARM * rise.max())
    flat = np.concatenate([*setup.watch.values(), setup.front]) if setup.watch else setup.front
    along = _Recorder(flat)
    second = _march(setup.tissue, sound.heat_w_m3.array, task, along)
    beam, start, risen = {}, 0, along.rise(times)
    for name, at in setup.watch.items():
        beam[name] = _cut(Traces(at, risen[:, start : start + len(at)], setup.tissue.grid))
        start += len(at)
    beam[NEAR_FIELD] = _cut(Traces(setup.front, risen[:, start:], setup.tissue.grid).hottest(MOST_KEPT))
    return Response(
        aim, task.pose, task.on_s, task.tail_s, times, at_targets.astype(np.float32),
        Traces(warm, rise[:, warm], small), near, beam, _packed(sound.heat_w_m3.array),
        sound.entry_w, sound.absorbed_w, sound.outside_w, max(first.ended.energy_balance, second.ended.energy_balance),
        sound.trust.believe, sound.trust.sentences, sound.notes, dict(sound.used),
    )  # fmt: skip


class _Recorder:
    """Keeps the rise per watt at some voxels, or all, whenever the solver calls."""

    def __init__(self, voxels: Array | None) -> None:
        self.voxels = voxels
        self.seconds: list[float] = []
        self.values: list[Array] = []

    def __call__(self, time_s: float, temperature_c: Array) -> None:
        flat = temperature_c.ravel() if self.voxels is None else temperature_c.ravel()[self.voxels]
        self.seconds.append(time_s)
        self.values.append((flat - np.float32(BODY_C)) / np.float32(REFERENCE_W))

    def rise(self, at_s: Array) -> Array:
        return between(np.array(self.seconds), np.stack(self.values), at_s)


def _march(tissue: TissueMap, heat_w_m3: Array, task: _Task, probe: _Recorder) -> bioheat.HeatResult:
    every = float(knots(task.on_s, task.tail_s)[1])
    stages = [bioheat.Stage(task.on_s, heat_w_m3 * np.float32(REFERENCE_W)), bioheat.Stage(task.tail_s)]
    return bioheat.heat(
        cubic_spacing_mm(tissue.grid), linear(tissue), stages, coagulation=bioheat.Coagulation("never"), dose_every_s=every,
        trace_every_s=task.on_s, probe=probe, probe_every_s=every,
    )  # fmt: skip


def knots(on_s: float, tail_s: float) -> Array:
    """Return the times of the samples of a response: evenly to the end of ``on_s``, and on as evenly to the end of the tail."""
    every = on_s / math.ceil(on_s / SAMPLE_S)
    after = on_s + tail_s * (1 + np.arange(max(1, math.ceil(tail_s / every)))) / max(1, math.ceil(tail_s / every))
    return np.concatenate([np.linspace(0.0, on_s, round(on_s / every) + 1), after])


def between(times_s: Array, values: Array, at_s: Array) -> Array:
    """Return values (times, n) at other times by straight lines, float32."""
    after = np.clip(np.searchsorted(times_s, at_s, side="left"), 1, len(times_s) - 1)
    share = ((at_s - times_s[after - 1]) / (times_s[after] - times_s[after - 1])).astype(np.float32)
    out = np.empty((len(at_s), *values.shape[1:]), np.float32)
    for i, (k, part) in enumerate(zip(after.tolist(), share.tolist(), strict=True)):  # time by time: whole blocks cost memory
        np.subtract(values[k], values[k - 1], out=out[i])
        out[i] *= np.float32(part)
        out[i] += values[k - 1]
    return out


def linear(tissue: TissueMap) -> bioheat.Materials:
    """Return properties that do not change: temperature is then linear in the power."""
    none = np.zeros(tissue.grid.shape, np.float32)
    return bioheat.Materials(tissue.conductivity, tissue.heat_capacity, tissue.perfusion, none)


def box_grid(grid: Grid, centre_mm: Array, fine_mm: float) -> Grid:
    """Return the fine box round a place, along the axes of a grid."""
    axes = grid.matrix[:3, :3] / np.linalg.norm(grid.matrix[:3, :3], axis=0)
    middle = np.linalg.solve(axes, centre_mm)
    return Grid.box(middle - HALF_BOX_MM, middle + HALF_BOX_MM, fine_mm, axes)


def sampled(tissue: TissueMap, small: Grid) -> TissueMap:
    """Return a tissue map on a finer grid along the same axes, voxel by voxel as it was; a film of air keeps its conductance."""
    at = nearest(tissue.grid, small)
    fields: dict[str, Any] = {name: getattr(tissue, name)[at].copy() for name in FIELDS}
    labels = tissue.labels[at]
    fields["conductivity"][labels == CODE["air"]] *= small.spacing_mm[0] / tissue.grid.spacing_mm[0]
    return replace(tissue, grid=small, labels=labels, **fields)


def _cut(traces: Traces) -> Traces:
    kept = np.flatnonzero(traces.rise_k_w.max(axis=0, initial=0.0) * REFERENCE_W >= SMALL_K)
    return Traces(traces.voxels[kept], np.ascontiguousarray(traces.rise_k_w[:, kept]), traces.grid)


def _packed(heat: Array) -> tuple[tuple[slice, slice, slice], Array]:
    """Return the box that holds heat, and what is in it."""
    where = ndimage.find_objects((heat > 0).astype(np.uint8))
    box = where[0] if where else (slice(0, 1),) * 3
    z, y, x = box
    return (z, y, x), np.ascontiguousarray(heat[box])


def cell_of(response: Response, power_w: float) -> tuple[float, float]:
    """Return how wide and how long one sonication kills: where CEM43 reaches necrosis (240 min), in the piece at its hottest.

    Parameters
    ----------
    response : Response
        Of one watt.
    power_w : float
        Acoustic power [W].

    Returns
    -------
    lateral_mm, axial_mm : float
        The lesser extent across the beam and that along it, in steps of ``FINE_MM``; 0, 0 where nothing dies.
    """
    dose = response.dose_min(response.box.rise_k_w, power_w)
    dead = dose >= damage.constants("cem43")["necrosis"].number
    if not dead.any():
        return 0.0, 0.0
    grid = response.box.grid
    space = np.zeros(grid.shape, bool)
    space.ravel()[response.box.voxels[dead]] = True
    hottest = int(response.box.voxels[int(response.box.rise_k_w.max(axis=0).argmax())])
    return extent_of(space, hottest, grid, response.pose)


def extent_of(dead: Array, hottest: int, grid: Grid, pose: ArrayPose) -> tuple[float, float]:
    """Return how wide and how long the dead piece at the hottest voxel is, across and along the beam [mm]; else 0, 0."""
    pieces, _ = ndimage.label(dead)
    mine = int(pieces.ravel()[hottest])
    if not mine:
        return 0.0, 0.0
    x, y, z = np.ptp(grid.to_mm(np.argwhere(pieces == mine)) @ pose.axes, axis=0) + grid.spacing_mm[0]
    return float(min(x, y)), float(z)
