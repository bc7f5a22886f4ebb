"""A small made-up plan of focused ultrasound on the patient of ``fake_journey``: numbers of the shapes a real one has."""

from __future__ import annotations

import math
from dataclasses import replace

import fake_journey as fake
import numpy as np

from osteon.evidence.value import Band, LogNormal, Uniform, Value
from osteon.planning.plan import TARGET, Finding, Plan, Step
from osteon.space.anatomy import Anatomy, Field, structure
from osteon.space.volume import Grid, Volume
from osteon.treatments.base import Effect, Ended, Setting, Trace
from osteon.treatments.focused_ultrasound.access import Look, SkinMap, Window
from osteon.treatments.focused_ultrasound.approach import Approach, Cortex, Nearby
from osteon.treatments.focused_ultrasound.bands import Influence, Samples
from osteon.treatments.focused_ultrasound.beam import ArrayPose
from osteon.treatments.focused_ultrasound.export import as_document
from osteon.treatments.focused_ultrasound.scheme import Cut, Scheme, Way
from osteon.treatments.focused_ultrasound.session import Session
from osteon.treatments.focused_ultrasound.session_power import Bound, Dosed
from osteon.treatments.focused_ultrasound.shots import Aim, Shot

DEVICE = "exablate-body-208"
BEAM = (1.0, 0.0, 0.0)  # from the patient's right
FACE_X = -110.0  # of the ball of bone, nearest to the array
MIDDLE = (FACE_X, 10.0, -200.0)
OFFSETS = ((0.0, 0.0), (7.0, 3.0), (-7.0, 4.0), (0.0, -8.0))
IDS = tuple(f"D-{i}" for i in range(1, 5))
WHY_NOT = "61 W would give 47.1 °C at the right sciatic nerve, which passes 45 °C (nerve-45c); 52 W at most"


def spot(dy, dz):
    """Return a place on the ball of bone."""
    return (-78.0 - math.sqrt(32.0**2 - dy**2 - dz**2), 10.0 + dy, -200.0 + dz)


AIMS = tuple(Aim(name, spot(*o), BEAM, "direct", i, 0.24, spot(*o)) for i, (name, o) in enumerate(zip(IDS, OFFSETS, strict=True)))


def bounds(near_w=52.0):
    return (
        Bound("nerve-45c", "sciatic_nerve_right", near_w, 41.0, 45.0, "°C", (-100.0, 40.0, -200.0)),
        Bound("near-field-necrosis", "near_field", near_w + 9, 4.0, 240.0, "CEM43 min"),
        Bound("device-power", "", 96.0, 40.0, 96.0, "W"),
    )


def dosed():
    good, bad = Ended("converged", "38 W reach the goal."), Ended("limit", WHY_NOT)
    return (
        Dosed(AIMS[0], 38.0, 52.0, bounds(), good),
        Dosed(AIMS[1], 41.0, 60.0, bounds(60.0), good),
        Dosed(AIMS[2], 44.0, 44.0, bounds(44.0), Ended("converged", "44 W reach the spot and not all round it."), whole=False),
        Dosed(AIMS[3], 61.0, 52.0, bounds(), bad),
    )


SHOTS = (
    Shot(AIMS[0], 11.0, 30.0, 90.0, test=True, notes=("look where it grows warm",)),
    Shot(AIMS[0], 38.0, 30.0, 90.0),
    Shot(AIMS[1], 41.0, 30.0, 90.0),
    Shot(AIMS[2], 44.0, 30.0, 125.0),
)


def pose(aim=AIMS[0]):
    return ArrayPose.aimed(aim.focus_mm, BEAM, 160.0)


def look():
    return Look(
        "cortex", AIMS[0].focus_mm, pose(), 160.0, (-152.0, 10.0, -200.0), 42.0, 0.98, 0.0, {}, 4.0, 0.0, 1.0, 14.0, 0.02,
        (), (), "",
    )  # fmt: skip


def window(verdict="window"):
    rng = np.random.default_rng(0)
    ways = rng.normal(size=(500, 3))
    ways /= np.linalg.norm(ways, axis=1)[:, None]
    seen = np.clip(-ways[:, 0] * 1.4, 0, 1)
    skin = SkinMap(fake.CENTRE + 62 * ways, ways, seen if verdict == "window" else 0.3 * seen, np.zeros(500, bool))
    if verdict == "window":
        return Window(
            verdict, DEVICE, look(), {}, ("98 % of the array sees the cortex, 42 mm deep, from the right",), skin, 2300, {}, ()
        )
    why = ("at most 30 % of the array sees the target, 70 % are needed", "stopped by gas (61 % of all rays)")
    return Window(verdict, DEVICE, None, {}, why, skin, 2300, {"in the patient": 40}, ("not outlined and so not avoided: lung",))


CORTEX = Cortex(0.93, 0.91, 0.97, 2.4, 0.0, 900, ("intact",))


def ways():
    found = []
    for name, answer, reason, need, width, length, count in (
        ("near-target", "offered", f"{CORTEX.in_words}; the focus lies behind", 62.0, 11.0, 6.0, 3),
        ("direct", "offered", f"{CORTEX.in_words}; the focus lies on the surface of the cortex", 38.0, 8.0, 5.0, 4),
        ("trans-soft-tissue", "not offered", f"{CORTEX.in_words}; needed is destroyed", 0.0, 0.0, 0.0, 0),
    ):
        approach = Approach(
            name, answer, reason, CORTEX, 10.0 if name == "near-target" else 0.0, (Nearby("right sciatic nerve", 7.2),), (),
            "FUS-07", ("[001 «suitable for patients with intact or partially present bone cortex»]",),
        )  # fmt: skip
        if need == 0:
            none = Ended("refused", "nothing to treat that way")
            found.append(Way(approach, None, None, 0.0, (0.0, 0.0), 0, 0.0, 0.0, 0.93, none))
            continue
        aim = replace(AIMS[0], approach=name)
        gone = need <= 52
        ended = Ended("converged" if gone else "limit", f"{need:g} W reach the goal." if gone else WHY_NOT)
        one = Dosed(aim, need, 52.0, bounds(), ended)
        found.append(Way(approach, aim, one, 0.9 * 52, (width, length), count, 0.97, need * 30 * count, 0.93, ended))
    return tuple(found)


def state(grid):
    """Return the highest temperature and the dose that it makes: a warm ball round each place that is treated."""
    places = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    warm = np.full(grid.shape, 37.0)
    for aim in AIMS[:3]:
        squared = ((places - np.asarray(aim.spot_mm)) ** 2).sum(-1)
        warm = np.maximum(warm, 37 + 38 * np.exp(-squared / (2 * 4.5**2)))
    dose = 0.5 * np.where(warm >= 43, 0.5, 0.25) ** (43 - np.clip(warm, 37, 60))
    return {
        Field.TEMPERATURE_C: Volume(warm.astype(np.float32), grid),
        Field.CEM43_MIN: Volume(dose.astype(np.float32), grid),
    }


def cut(axis):
    depth, across = np.arange(120.0, 195.0, 0.5), np.arange(-35.0, 35.1, 0.5)
    d, a = np.meshgrid(depth - 160.0, across, indexing="ij")
    width = 2.0 + 0.35 * np.abs(d)
    amplitude = 4e6 / np.maximum(width / 2.0, 1.0) * np.exp(-((a / width) ** 2))
    solid = (d + a**2 / 64 > 0) & (d + a**2 / 64 < 5)
    heat = amplitude**2 / 3.2e6 * np.where(solid, 60.0, 6.0) * np.where(d > 5, 0.02, 1.0)
    return Cut(pose(), axis, depth, across, amplitude, heat, solid, (160.0, 0.0), 0.6)


MUSCLE = Value(5.0, "Np/m", LogNormal(1.3), fake.paper_id(), True)


def samples():
    rng = np.random.default_rng(3)
    values = {
        "acoustics.muscle.attenuation": MUSCLE,
        "focus_error_z_mm": Value(0.0, "mm", Uniform(-3.0, 3.0), "[003 «at least 1 cm away from normal critical structures»]"),
    }
    drawn = np.stack([5 * np.exp(0.25 * rng.normal(size=20)), rng.uniform(-3, 3, 20)], 1)
    outcomes = {"needed_w": 38 + 3 * (drawn[:, 0] - 5), "near_field_c": 44 + drawn[:, 1]}
    return Samples(values, drawn, {"needed_w": 38.0, "near_field_c": 44.0}, outcomes)


def session(grid):
    times = np.linspace(0, 500, 60)
    traces = {"hottest:sciatic_nerve_right": Trace(times, 37 + 4 * np.sin(times / 60) ** 2, "°C", (-86.0, 46.0, -200.0))}
    measures = {
        "sonications": 3.0, "acoustic_energy_j": 4020.0, "absorbed_energy_j": 2900.0, "lowest_power_w": 38.0,
        "highest_power_w": 44.0, "minutes": 8.6, "longest_wait_s": 125.0, "test_power_w": 11.0, "test_rise_k": 8.0,
        "reached_in_run": 3.0, "near_field_c": 42.2, "voxel_mm": 1.5,
    }  # fmt: skip
    ended = Ended("limit", f"1 of 4 sonications cannot be given: D-4: {WHY_NOT}.", None, 0.003, 4100)
    return Session(
        DEVICE, "cem43", SHOTS, dosed(), dict.fromkeys(IDS[:3], (8.0, 5.0)), state(grid), (), (), ended, measures, (), {}, traces
    )


def scheme(box=None, **changes):
    made = Scheme(
        DEVICE, window(), ways(), 1, "direct: the cortex allows it and it needs the least energy", box,
        box.masks[TARGET] if box is not None else None, np.array([a.spot_mm for a in AIMS]),
        session(box.grid) if box is not None else None, {a.id: pose(a) for a in AIMS}, {IDS[3]: WHY_NOT}, (cut(0), cut(1)),
        IDS[0], samples(), {"needed_w": (Influence("acoustics.muscle.attenuation", 0.81, 1, MUSCLE),)},
        {"sound": 0.62, "response": 0.5, "session": 1.5}, "with care", ("The beam meets bone beyond 20 degrees in places.",),
        ("The array itself moves from place to place.",), Ended("limit", "1 of 4 sonications cannot be given."),
    )  # fmt: skip
    return replace(made, **changes)


def box_of(whole: Anatomy) -> Anatomy:
    grid = Grid.box(np.array([-156.0, -40.0, -250.0]), np.array([-60.0, 60.0, -150.0]), 2.0)
    target = np.linalg.norm(grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1)) - np.asarray(MIDDLE), axis=-1) < 13
    made = whole.on(grid)
    bone = made.masks[structure("hip_right")].array
    return made.with_mask(TARGET, Volume(target & bone, grid))


def prescription():
    return {
        "device": "Body array", "approach": "direct", "approach_reason": "the cortex allows it and it needs the least energy",
        "approach_rule": "FUS-07-DIRECT", "approach_source": [], "left_out": {IDS[3]: WHY_NOT},
        "array": {"vertex_mm": list(pose().vertex_mm), "axis": list(BEAM), "roll_deg": 0.0, "of": "D-1"},
        "array_from": "right", "patient_side": "the right side of the patient lies towards the array",
        "sonications": as_document(SHOTS, DEVICE, 1e6), "test_power_w": 11.0, "test_rise_k": 8.0,
        "afterwards": ["Cement afterwards: weight-bearing bone, needs its own plan."],
    }  # fmt: skip


def plan(study="", verdict="window", **changes):
    """Return a plan with a session; or, of another verdict, one without a window. ``changes`` are of its scheme."""
    whole = fake.anatomy()
    if verdict != "window":
        none = scheme(
            None, window=window(verdict), ways=(), chosen=None, why="no window", cuts=(), shown="", sampled=None, influences={},
            left_out={}, poses={}, face_mm=np.zeros((0, 3)), ended=Ended("refused", "no window"),
        )  # fmt: skip
        return Plan(
            "focused_ultrasound", "L1", "palliation", (), (), {},
            Ended("refused", f"{verdict}: {none.window.reasons[0]}"), detail=none, study=study,
        )  # fmt: skip
    box = box_of(whole)
    made = scheme(box, **changes)
    effect = made.session.effect()
    controls = (("time_s", 30.0), ("power_w", 44.0), ("sonications", 3.0))
    used = {"acoustics.muscle.attenuation": MUSCLE}
    effect = Effect(effect.title, effect.state, effect.traces, used, effect.ended, effect.measures, effect.assumptions)
    near = Finding("near-field-necrosis", "near_field", Band(4.0, 2.0, 9.0, 20), "CEM43 min", 240.0, "ok", "near field: 4 of 240")
    nerve = Finding("nerve-45c", "sciatic_nerve_right", Band.of(41.0), "°C", 45.0, "ok", "41 °C", (-100.0, 40.0, -200.0), 400.0)
    measures = {k: Band.of(v) for k, v in effect.measures.items()}
    measures |= {"coverage": Band(0.74, 0.6, 0.8, 20), "needed_w": Band(38.0, 30.0, 49.0, 20), "min_margin_mm": Band.of(-14.0)}
    return Plan(
        "focused_ultrasound", "L1", "palliation", (Step("focused_ultrasound", Setting(DEVICE, (), controls), effect),),
        (near, nerve), measures, made.ended, before=box, after=box.with_(effect), prescription=prescription(),
        uncovered=(f"D-4 is left out: {WHY_NOT}", "0.4 cm³ at the lower edge"), assumptions=made.notes, detail=made, study=study,
    )  # fmt: skip


def journey(*plans):
    """Return the made-up journey with these plans."""
    return replace(fake.journey(), plans=plans)
