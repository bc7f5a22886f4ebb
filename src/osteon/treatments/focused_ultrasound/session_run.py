"""The whole session through the bioheat equation with properties that change: every sonication, every wait, doses added up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from osteon.physics import bioheat, damage
from osteon.space.volume import Array, Grid
from osteon.tissue.properties import Constants
from osteon.treatments.base import Trace
from osteon.treatments.focused_ultrasound.beam import ArrayPose
from osteon.treatments.focused_ultrasound.session_power import Dosed, judged
from osteon.treatments.focused_ultrasound.session_response import BODY_C, Response, Traces, between
from osteon.treatments.focused_ultrasound.session_rows import number
from osteon.treatments.focused_ultrasound.session_setup import Setup
from osteon.treatments.focused_ultrasound.shots import Shot, Triple
from osteon.treatments.heat import DOSE_S, PAIR, cubic_spacing_mm, materials_of, place_of

Plane = tuple[Triple, Triple]  # a point, and the normal
PART = "As much as the limits allow: it reaches its spot, and not all round it."
PROBE_S = 1.0  # between two looks that frames are interpolated from; a numerical choice, never finer than the solver's step


@dataclass(frozen=True, eq=False)
class Expected:
    """What the monitor should see of one sonication: temperature in muscle within the imaging planes.

    Parameters
    ----------
    aim_id : str
        Of the sonication.
    test : bool
        Whether it is the test sonication.
    planes : tuple of (point, normal)
        LPS mm and unit vectors.
    times_s : ndarray, shape (frames,)
        Since sound came on. A frame is one moment: what a scanner averages over its frame is not averaged here.
    voxels : ndarray of int, shape (n,)
        Flat indices on the patient's grid: muscle only. Bone and fat are not measurable by the shift of the proton resonance.
    temperature_c : ndarray of float32, shape (frames, n)
        Expected [°C].
    """

    aim_id: str
    test: bool
    planes: tuple[Plane, ...]
    times_s: Array
    voxels: Array
    temperature_c: Array


@dataclass(eq=False)
class Course:
    """A session as it goes: what was given so far, and what it did. Fields of shape (z, y, x)."""

    setup: Setup
    off_s: float
    frame_s: float
    constants: Constants
    temperature_c: Array
    peak_c: Array
    cem43_min: Array
    coagulated: Array
    seconds: float = 0.0
    steps: int = 0
    energy_j: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("in", "stored", "out", "perfusion", "steam"), 0.0))
    finite: bool = True
    shots: list[Shot] = field(default_factory=list)
    expected: list[Expected] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    watch: dict[str, Array] = field(default_factory=dict)  # outlines, bool
    traces: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    hottest: dict[str, tuple[float, int]] = field(default_factory=dict)  # value and flat index
    foreseen: dict[tuple[str, str], float] = field(default_factory=dict)  # (structure, limit): worst value, fine box included

    @classmethod
    def begin(cls, setup: Setup, off_s: float, frame_s: float) -> Course:
        """Return a session before its first sonication."""
        shape = setup.tissue.grid.shape
        start = np.full(shape, BODY_C, np.float32) if setup.start_c is None else setup.start_c
        none = np.zeros(shape, bool)
        found = cls(setup, off_s, frame_s, Constants(setup.draw), start, start.copy(), np.zeros(shape, np.float32), none)
        for name, voxels in setup.watch.items():
            found.watch[name] = none.copy()
            found.watch[name].ravel()[voxels] = True
        return found

    def give(self, response: Response, shot: Shot, planes: Sequence[Plane] | None) -> None:
        """Give one sonication and the usual time off, and note what the monitor should see."""
        mine = tuple(planes) if planes else planes_of(response.pose, shot.aim.focus_mm)
        voxels = measurable(self.setup, mine, np.asarray(shot.aim.focus_mm))
        times: list[float] = []
        seen: list[Array] = []

        def probe(time_s: float, temperature_c: Array) -> None:
            times.append(time_s)
            seen.append(temperature_c.ravel()[voxels])

        (box, heat), density = response.heat, np.zeros(self.setup.tissue.grid.shape, np.float32)
        density[box] = heat * np.float32(shot.power_w)
        self._march([bioheat.Stage(shot.on_s, density), bioheat.Stage(self.off_s)], probe)
        self.shots.append(shot)
        frames = np.arange(0.0, times[-1] + 1e-6, self.frame_s)
        self.expected.append(
            Expected(shot.aim.id, shot.test, mine, frames, voxels, between(np.array(times), np.stack(seen), frames))
        )

    def wait(self, seconds: float) -> None:
        """Let it cool; the wait counts for the sonication before."""
        self._march([bioheat.Stage(seconds)], None)
        if self.shots:
            self.shots[-1] = replace(self.shots[-1], off_s=self.shots[-1].off_s + seconds)

    def _march(self, stages: list[bioheat.Stage], probe: Callable[[float, Array], None] | None) -> None:
        tissue = self.setup.tissue
        materials = materials_of(tissue, self.constants)
        materials = replace(materials, perfusion=np.where(self.coagulated, np.float32(0), materials.perfusion))
        warm = bool((self.temperature_c != np.float32(BODY_C)).any())
        done = bioheat.heat(
            cubic_spacing_mm(tissue.grid), materials, stages, initial_c=self.temperature_c if warm else None,
            coagulation=bioheat.Coagulation("arrhenius", PAIR), dose_every_s=DOSE_S, watch=self.watch,
            probe=probe, probe_every_s=min(self.frame_s, PROBE_S),
        )  # fmt: skip
        self.temperature_c = np.asarray(done.temperature_c, np.float32)
        self.peak_c = np.maximum(self.peak_c, done.peak_c)
        self.cem43_min = np.minimum(self.cem43_min + done.cem43_min, np.float32(damage.caps()["cem43_min"]))
        self.coagulated = self.coagulated | done.coagulated
        for name, joule in (
            ("in", done.energy_in_j), ("stored", done.energy_stored_j), ("out", done.energy_out_j),
            ("perfusion", done.energy_perfusion_j), ("steam", done.energy_steam_j),
        ):  # fmt: skip
            self.energy_j[name] += joule
        for name, (times, values) in done.traces.items():
            seconds, hottest = self.traces.setdefault(name, ([], []))
            skip = 1 if seconds else 0  # a march begins where the one before it ended
            seconds.extend((self.seconds + times[skip:]).tolist())
            hottest.extend(values[skip:].tolist())
            self.hottest[name] = max(self.hottest.get(name, (-np.inf, 0)), done.hottest[name][:2])
        self.seconds += sum(s.duration_s for s in stages)
        self.steps += done.ended.steps
        self.finite = self.finite and done.ended.how == "time"

    @property
    def energy_balance(self) -> float:
        """Defect of the energy account of all marches, over what was put in."""
        e = self.energy_j
        gap = abs(e["in"] - e["stored"] - e["out"] - e["perfusion"] - e["steam"])
        return gap / e["in"] if e["in"] > 0 else 0.0

    def front_rise_k(self) -> float:
        """Return how much warmer than the body the near field is now [K]."""
        return float(self.temperature_c.ravel()[self.setup.front].max(initial=BODY_C)) - BODY_C

    def foresee(self, response: Response, power_w: float, *, cooled: bool = False) -> dict[tuple[str, str], tuple[float, float]]:
        """Return what a sonication would bring each limit to: (structure, limit id) to (value, limit).

        Its linear response on top of the present temperature, held for as long as it takes (on the warm side), and of the dose so
        far. ``cooled``: as if the tissue had cooled to 37 °C.
        """
        found: dict[tuple[str, str], tuple[float, float]] = {}
        for part in (response.near, response.beam):
            for name, traces in part.items():
                if not len(traces.voxels):
                    continue
                at = self._coarse(traces)
                left = np.zeros(len(at)) if cooled else np.maximum(self.temperature_c.ravel()[at] - BODY_C, 0.0)
                values: dict[str, float] = {}
                for limit in judged(name):
                    if limit.quantity not in values:
                        values[limit.quantity] = self._worst(limit.quantity, response, traces, power_w, left, at)
                    key = (name, limit.id)
                    found[key] = (max(values[limit.quantity], found.get(key, (0.0, 0.0))[0]), limit.limit)
        return found

    def _coarse(self, traces: Traces) -> Array:
        """Return the patient's voxels that hold those of traces."""
        grid = self.setup.tissue.grid
        if traces.grid is grid or traces.grid == grid:
            return traces.voxels
        places = traces.grid.to_mm(np.stack(np.unravel_index(traces.voxels, traces.grid.shape), axis=-1).astype(float))
        index = np.clip(np.rint(grid.to_index(places)).astype(int), 0, np.array(grid.shape) - 1)
        return np.asarray(np.ravel_multi_index(tuple(index.T), grid.shape))

    def _worst(self, quantity: str, response: Response, traces: Traces, power_w: float, left: Array, at: Array) -> float:
        rise = power_w * traces.rise_k_w + left
        if quantity == "peak_temperature_c":
            return BODY_C + float(rise.max())
        return float((self.cem43_min.ravel()[at] + response.dose_min(rise, 1.0)).max())

    def ready(self, response: Response, dosed: Dosed) -> str:
        """Wait until a sonication may begin; return why it may not at all, else nothing."""
        waited = 0.0
        while True:
            over = {k: v for k, v in self.foresee(response, dosed.needed_w).items() if v[0] >= v[1]}
            still = {k: v for k, v in over.items() if self.foresee(response, dosed.needed_w, cooled=True)[k][0] >= v[1]}
            if still:
                (name, limit), (value, most) = next(iter(sorted(still.items())))
                return (
                    f"after what went before it would bring the {name} to {value:.3g} ({limit}: {most:g}), however long one waits"
                )
            warm = self.front_rise_k()
            if not over and warm <= number("near_field_rise_k"):
                self._note(response, dosed)
                return ""
            if waited >= number("longest_wait_s"):
                cause = (
                    f"the near field is still {warm:.1f} K warm" if not over else f"{next(iter(sorted(over)))[0]} is still warm"
                )
                return f"after {waited:.0f} s more {cause}"
            self.wait(number("wait_step_s"))
            waited += number("wait_step_s")

    def _note(self, response: Response, dosed: Dosed) -> None:
        for key, (value, _) in self.foresee(response, dosed.needed_w).items():
            self.foreseen[key] = max(self.foreseen.get(key, 0.0), value)


def planes_of(pose: ArrayPose, focus_mm: Triple) -> tuple[Plane, ...]:
    """Return the planes usually imaged: along the beam (normal: the array's y) and across it, both through the focus."""
    axes = pose.axes
    return (focus_mm, _triple(axes[:, 1])), (focus_mm, _triple(axes[:, 2]))


def _triple(vector: Array) -> Triple:
    return float(vector[0]), float(vector[1]), float(vector[2])


def measurable(setup: Setup, planes: Sequence[Plane], focus_mm: Array) -> Array:
    """Return flat indices of muscle in the planes, not farther from the focus than the field of view."""
    grid: Grid = setup.tissue.grid
    muscle = np.flatnonzero(setup.tissue.is_label("muscle"))
    away = grid.to_mm(np.stack(np.unravel_index(muscle, grid.shape), axis=-1).astype(float)) - focus_mm
    seen = np.zeros(len(muscle), bool)
    for point, normal in planes:
        unit = np.asarray(normal, float) / np.linalg.norm(normal)
        seen |= np.abs((away + focus_mm - np.asarray(point)) @ unit) <= 0.5 * number("slice_mm")
    near = np.linalg.norm(away, axis=1) <= number("field_of_view_mm")
    return np.asarray(muscle[seen & near])


def run(
    course: Course, pairs: Sequence[tuple[Response, Dosed]], test_w: float, on_s: float, planes: Sequence[Plane] | None,
    observe: Callable[[float], None] | None = None,
) -> None:  # fmt: skip
    """Give the test sonication and then each of the others, waiting where the near field or a limit asks for it.

    Parameters
    ----------
    course : Course
        Before its first sonication; changed.
    pairs : sequence of (Response, Dosed)
        In the order of the session; only what can be given.
    test_w : float
        Power of the test sonication, at the first place [W].
    on_s : float
        Seconds with sound.
    planes : sequence of (point, normal) or None
        Imaged planes for all; None: two through each focus.
    observe : callable, optional
        Called with the fraction done.
    """
    for i, (response, dosed) in enumerate(pairs):
        if i == 0:
            note = "Test sonication: shows where the heat appears, and no treatment."
            course.give(response, Shot(dosed.aim, test_w, number("test_on_s"), course.off_s, test=True, notes=(note,)), planes)
        why = course.ready(response, dosed)
        if why:
            course.left_out[dosed.aim.id] = why
        else:
            course.give(
                response, Shot(dosed.aim, dosed.needed_w, on_s, course.off_s, notes=() if dosed.whole else (PART,)), planes
            )
        if observe is not None:
            observe((i + 1) / len(pairs))


def traces_of(course: Course) -> dict[str, Trace]:
    """Return ``hottest:<structure>`` over the whole session, with the place of its highest temperature."""
    grid = course.setup.tissue.grid
    return {
        f"hottest:{name}": Trace(np.array(times), np.array(values), "degC", place_of(grid, course.hottest[name][1]))
        for name, (times, values) in course.traces.items()
    }
