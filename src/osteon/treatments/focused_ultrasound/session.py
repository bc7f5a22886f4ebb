"""A session of sonications planned on a patient: the power of each, their order and waits, and what all of them do together.

Each aim gets one run of sound and its linear response to one watt; power follows from that. Then the whole session is run once
through the bioheat equation, test sonication first, waiting longer where the near field or a limit asks for it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from osteon.errors import InputError, SettingError
from osteon.evidence.value import Value
from osteon.jobs import Executor
from osteon.physics import damage
from osteon.space.anatomy import Anatomy, Field
from osteon.space.volume import Array, Volume
from osteon.tissue.acoustics import AcousticMap
from osteon.treatments.base import Effect, Ended, Trace
from osteon.treatments.focused_ultrasound import approach_rows, session_rows
from osteon.treatments.focused_ultrasound.beam import ArrayPose
from osteon.treatments.focused_ultrasound.session_held import Held, judge
from osteon.treatments.focused_ultrasound.session_power import Dosed, Goal, check_goal, power_of, trial_power
from osteon.treatments.focused_ultrasound.session_response import BODY_C, Response, cell_of, respond_all
from osteon.treatments.focused_ultrasound.session_rows import number
from osteon.treatments.focused_ultrasound.session_run import Course, Expected, Plane, run, traces_of
from osteon.treatments.focused_ultrasound.session_setup import Setup, prepare
from osteon.treatments.focused_ultrasound.shots import Aim, Shot
from osteon.treatments.focused_ultrasound.transducer import Transducer
from osteon.treatments.heat import damage_values

MOST_TOLD = 3  # sonications that are not given are told one by one up to so many
BELIEF = ("no", "with care", "yes")  # of acoustic_trust, least first
ASSUMED = (
    "Heat is linear in the power: sound itself does not change with temperature, and nothing cavitates.",
    "Powers come from responses with properties of 37 °C; in the run of the session conductivity and boiling follow temperature, "
    "and blood stops in coagulated tissue (Arrhenius, liver constants, counted anew in each sonication).",
    "Skin lies against air of 37 °C, not against cooled coupling fluid: it is judged on the warm side.",
    "Fat, muscle and marrow have no limit of their own in tolerance.yaml: in the near field they may not reach the dose of "
    "necrosis, and the next sonication waits until they are nearly as cool as the body.",
)


@dataclass(frozen=True, eq=False)
class Session:
    """Sonications in order with power, times and waits, what they do, and what the monitor should see.

    Parameters
    ----------
    device : str
        The array.
    goal : {"cem43", "temperature"}
        What counts as reached at the target points.
    shots : tuple of Shot
        As given, the test sonication first; ``off_s`` is the whole wait after each.
    dosed : tuple of Dosed
        Every aim, given or not, with needed and allowed power and what binds.
    cells_mm : mapping of str to (lateral, axial)
        Size of what each sonication kills, by id of its aim.
    state : mapping of Field to Volume
        Highest and last temperature, CEM43, and dead, on the patient's grid.
    held : tuple of Held
        Every limit of heat at every structure.
    expected : tuple of Expected
        For the monitor, one for each shot.
    ended : Ended
        ``converged``: every aim is given and no limit is passed; ``limit``: something binds, ``why`` names it; ``not_converged``.
    measures : mapping of str to float
        Figures with unit; ``reached_in_run``: places with necrosis in the run of the session, on the patient's coarser voxels.
    notes : tuple of str
        What was assumed, what waits were lengthened, what cannot be told.
    used : mapping of str to Value
        Constants.
    traces : mapping of str to Trace
        ``hottest:<structure>`` over the whole session.
    """

    device: str
    goal: Goal
    shots: tuple[Shot, ...]
    dosed: tuple[Dosed, ...]
    cells_mm: Mapping[str, tuple[float, float]]
    state: Mapping[Field, Volume]
    held: tuple[Held, ...]
    expected: tuple[Expected, ...]
    ended: Ended
    measures: Mapping[str, float]
    notes: tuple[str, ...]
    used: Mapping[str, Value] = field(default_factory=dict)
    traces: Mapping[str, Trace] = field(default_factory=dict)

    def effect(self) -> Effect:
        """Return the session as every other treatment answers: fields, traces, constants, how it ended."""
        count = len([s for s in self.shots if not s.test])
        title = f"focused ultrasound, {count} sonications, {self.energy_j:.0f} J of sound"
        return Effect(title, self.state, self.traces, self.used, self.ended, self.measures, self.notes)

    @property
    def energy_j(self) -> float:
        """Acoustic energy of all sonications, the test among them [J]."""
        return sum(s.energy_j for s in self.shots)


def plan_session(
    anatomy: Anatomy, sound: AcousticMap, device: Transducer, aims: Sequence[Aim], *, on_s: float | None = None,
    off_s: float | None = None, goal: Goal = "cem43", poses: Mapping[str, ArrayPose] | None = None,
    targets_mm: Mapping[str, Array] | None = None, target: Volume | None = None, planes: Sequence[Plane] | None = None,
    frame_s: float | None = None, setup: Setup | None = None, responses: Sequence[Response] | None = None, partial: bool = False,
    executor: Executor | None = None, observe: Callable[[float], None] | None = None, **options: Any,
) -> Session:  # fmt: skip
    """Find the power of each sonication and run the whole session.

    Parameters
    ----------
    anatomy : Anatomy
        With CT, on cubic voxels.
    sound : AcousticMap
        Of this anatomy, at the frequency of the array.
    device : Transducer
        The array.
    aims : sequence of Aim
        Places, each with its own id; given by their ``order``.
    on_s, off_s : float, optional
        Seconds with sound, and between two sonications at least; else those of ``session.yaml`` (30 and 90).
    goal : {"cem43", "temperature"}
        CEM43 of necrosis or 55 °C at the target points.
    poses : mapping of str to ArrayPose, optional
        Where the array stands, by id of the aim; else its unsteered focus lies at the focus.
    targets_mm : mapping of str to ndarray (n, 3), optional
        Points that must be reached, by id; else the spot of the aim.
    target : Volume of bool, optional
        What is meant to be treated, on the patient's grid: bone outside it is judged for information.
    planes : sequence of (point, normal), optional
        Planes that are imaged all the time; else two through each focus.
    frame_s : float, optional
        Time of one frame of the monitor.
    setup : Setup, optional
        From ``prepare`` with the same patient and array, for these aims: what it remembers is not computed again.
    responses : sequence of Response, optional
        One for each aim, from ``respond_all`` with this setup and these times: then ``poses`` and ``targets_mm`` are theirs.
    partial : bool
        As for ``power_of``: give the most that is allowed where it reaches the spot of an aim but not all its target points.
    executor : Executor, optional
        Runs the responses, for example ``osteon.jobs.Local(2)``.
    observe : callable, optional
        Called with the fraction done of the session's run.
    **options
        Of ``prepare`` and ``sonicate``, where no setup is given.

    Returns
    -------
    Session
        Also where a limit forbids some or all sonications: then ``ended`` says which and by how much.

    Raises
    ------
    InputError, SettingError
        If aims, times, goal, grids or options cannot be used, or as ``sonicate``.
    """
    on = number("on_s") if on_s is None else on_s
    off = number("off_s") if off_s is None else off_s
    frame = number("frame_s") if frame_s is None else frame_s
    _check(aims, on, off, frame, goal)
    listed = sorted(aims, key=lambda a: a.order)
    ready = prepare(anatomy, sound, device, listed, **options) if setup is None else _same(setup, anatomy, sound, device, options)
    if responses is None:
        responses = respond_all(ready, listed, on, off, poses=poses, targets_mm=targets_mm, executor=executor)
    else:
        responses = _for_these(responses, listed, on, off)
    dosed = [power_of(ready, r, goal, partial) for r in responses]
    pairs = [(r, d) for r, d in zip(responses, dosed, strict=True) if d.given]
    test_w, test_k = trial_power(*pairs[0]) if pairs else (0.0, 0.0)
    course = Course.begin(ready, off, frame)
    run(course, pairs, test_w, on, planes, observe)
    dosed = [replace(d, ended=Ended("limit", course.left_out[d.aim.id])) if d.aim.id in course.left_out else d for d in dosed]
    pairs = [(r, d) for r, d in zip(responses, dosed, strict=True) if d.given]
    held = judge(ready, course, [d.aim for _, d in pairs] or listed, target)
    return Session(
        device.name, goal, tuple(course.shots), tuple(dosed), {r.aim.id: cell_of(r, d.needed_w) for r, d in pairs},
        _state(course), held, tuple(course.expected), _ended(dosed, course, held),
        _measures(course, responses, pairs, test_k), _notes(ready, course, responses, off),
        {**sound.used, **ready.tissue.used, **course.constants.used, **damage_values(), **_used(responses)},
        traces_of(course),
    )  # fmt: skip


def _check(aims: Sequence[Aim], on_s: float, off_s: float, frame_s: float, goal: str) -> None:
    check_goal(goal)
    ids = [a.id for a in aims]
    if not ids or len(set(ids)) < len(ids):
        raise InputError(
            f"{len(ids)} aims with {len(set(ids))} different ids were given.",
            "Powers, waits and frames are told by the id of the aim.",
            "Give at least one aim, each with its own id.",
        )
    for name, value, least, most in (
        ("time on", on_s, 0.0, approach_rows.number("longest_on_s")),
        ("time off", off_s, 0.0, approach_rows.number("longest_off_s")),
        ("time of a frame", frame_s, 0.0, on_s),
    ):
        if not (math.isfinite(value) and least < value <= most):
            raise SettingError(
                f"A {name} of {value:g} s was asked for.",
                f"A session has more than {least:g} and up to {most:g} s of it.",
                "Give seconds in that range, or leave it out.",
            )


def _same(setup: Setup, anatomy: Anatomy, sound: AcousticMap, device: Transducer, options: Mapping[str, Any]) -> Setup:
    if setup.anatomy is anatomy and setup.sound is sound and setup.device is device and not options:
        return setup
    raise InputError(
        f"A setup was given with another patient, map or array, or beside the options {sorted(options)}.",
        "It would be used as it is, and what was given beside it would change nothing.",
        "Give what prepare was called with, and options there.",
    )


def _for_these(responses: Sequence[Response], aims: Sequence[Aim], on_s: float, off_s: float) -> list[Response]:
    found = {r.aim.id: r for r in responses}
    if sorted(found) == sorted(a.id for a in aims) and all((r.on_s, r.tail_s) == (on_s, off_s) for r in responses):
        return [replace(found[a.id], aim=a) for a in aims]
    raise InputError(
        f"{len(responses)} responses were given for {len(aims)} aims, or for other times.",
        "Each power is found on the response to its own aim, over the time that it will be on.",
        "Give respond_all's answer for the same aims, time on and time off, or leave it out.",
    )


def _state(course: Course) -> dict[Field, Volume]:
    grid = course.setup.tissue.grid
    dead = course.cem43_min >= damage.constants("cem43")["necrosis"].number
    return {
        Field.TEMPERATURE_C: Volume(course.peak_c, grid),
        Field.PRESENT_C: Volume(course.temperature_c, grid),
        Field.CEM43_MIN: Volume(course.cem43_min, grid),
        Field.DEAD: Volume(dead, grid),
    }


def _ended(dosed: Sequence[Dosed], course: Course, held: Sequence[Held]) -> Ended:
    balance, steps = course.energy_balance, course.steps
    if not course.finite:
        return Ended("not_converged", "The run of the session holds no temperatures any more.", None, balance, steps)
    out = [d for d in dosed if not d.given]
    passed = [h.text for h in held if h.level == "breach" and course.shots]
    said = [_not_given(out, len(dosed))] if out else []
    said += [f"Passed in this session: {'; '.join(passed)}."] if passed else []
    if said:
        return Ended("limit", " ".join(said), None, balance, steps)
    return Ended("converged", "Every sonication reaches its goal within the limits.", None, balance, steps)


def _not_given(out: Sequence[Dosed], count: int) -> str:
    """Return how many sonications cannot be given: why, where there are few, else how many by what binds."""
    if len(out) <= MOST_TOLD:
        return f"{len(out)} of {count} sonications cannot be given: {'; '.join(f'{d.aim.id}: {d.ended.why}' for d in out)}."
    causes = Counter(_cause(d) for d in out)
    told = ", ".join(f"{n} for {name}" for name, n in causes.most_common())
    return f"{len(out)} of {count} sonications cannot be given: {told}; the list of them says why."


def _cause(dosed: Dosed) -> str:
    if not math.isfinite(dosed.needed_w):
        return "too little sound turned into heat"
    return dosed.binding.id if dosed.needed_w > dosed.allowed_w else "what the sonications before it left"


def _measures(
    course: Course, responses: Sequence[Response], pairs: Sequence[tuple[Response, Dosed]], test_k: float
) -> dict[str, float]:
    treated = [s for s in course.shots if not s.test]
    absorbed = {r.aim.id: r.absorbed_w for r in responses}
    cm3 = course.setup.tissue.grid.voxel_mm3 * 1e-3
    necrosis = damage.constants("cem43")["necrosis"].number
    front = course.peak_c.ravel()[course.setup.front]
    return {
        "sonications": float(len(treated)),
        "acoustic_energy_j": sum(s.energy_j for s in course.shots),
        "absorbed_energy_j": sum(s.energy_j * absorbed[s.aim.id] for s in course.shots),
        "lowest_power_w": min((s.power_w for s in treated), default=0.0),
        "highest_power_w": max((s.power_w for s in treated), default=0.0),
        "minutes": course.seconds / 60.0,
        "longest_wait_s": max((s.off_s for s in course.shots), default=0.0),
        "test_power_w": course.shots[0].power_w if course.shots else 0.0,
        "test_rise_k": test_k,
        "reached_in_run": float(sum(_reached(course, r) for r, _ in pairs)),
        "zone_cm3": float((course.cem43_min >= necrosis).sum()) * cm3,
        "highest_c": float(course.peak_c.max()),
        "near_field_c": float(front.max(initial=BODY_C)),
        "voxel_mm": float(np.mean(course.setup.tissue.grid.spacing_mm)),
        **{f"energy_{name}_j": joule for name, joule in course.energy_j.items()},
    }


def _reached(course: Course, response: Response) -> bool:
    """Tell whether a voxel that touches the spot died in the run of the session, on the patient's voxels."""
    grid = course.setup.tissue.grid
    low = np.clip(np.floor(grid.to_index(np.asarray(response.aim.spot_mm))).astype(int), 0, np.array(grid.shape) - 1)
    z, y, x = low
    around = course.cem43_min[z : z + 2, y : y + 2, x : x + 2]
    return bool(around.max() >= damage.constants("cem43")["necrosis"].number)


def _notes(setup: Setup, course: Course, responses: Sequence[Response], off_s: float) -> tuple[str, ...]:
    spacing, fine = (float(np.mean(grid.spacing_mm)) for grid in (setup.tissue.grid, responses[0].box.grid))
    grids = (
        f"Grids: power and cell of each sonication from voxels of {fine:.3g} mm round its place, near field and the whole "
        f"session from the patient's voxels of {spacing:.3g} mm, which smear a focus that is narrower."
    )
    longer = [f"{s.aim.id} by {s.off_s - off_s:.0f} s" for s in course.shots if s.off_s > off_s + 1e-9]
    waits = (f"The wait is longer than {off_s:.0f} s after {', '.join(longer)}: the near field, or a limit, asked for it.",)
    beyond = [r.aim.id for r in responses if r.outside_w > 0.01 * r.absorbed_w]
    edge = (f"cannot tell where the heat of {', '.join(beyond)} that lies beyond the image goes: image a larger field",)
    told = dict.fromkeys((*_trusted(responses), *(line for r in responses for line in r.notes)))
    return (
        grids,
        *(waits if longer else ()),
        *(edge if beyond else ()),
        *setup.notes,
        *ASSUMED,
        *told,
        *setup.tissue.assumptions,
    )


def _trusted(responses: Sequence[Response]) -> tuple[str, ...]:
    """Return how far the planner of sound believes itself, and why where it does so least."""
    least = min(responses, key=lambda r: BELIEF.index(r.trust))
    alike = sum(r.trust == least.trust for r in responses)
    said = f"Believe the planner of sound: {least.trust}, in {alike} of {len(responses)} sonications; {least.aim.id} among them:"
    return (said, *least.sentences)


def _used(responses: Sequence[Response]) -> dict[str, Value]:
    sounds = {name: value for r in responses for name, value in r.used.items()}
    return {**sounds, **{f"session.{name}": value for name, value in session_rows.values().items()}}
