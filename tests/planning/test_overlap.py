"""Several positions: the cover, the pull-back, the sum that is judged, and a whole plan of a lesion longer than one zone."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from osteon.assessment.assess import assess
from osteon.assessment.results import RequiredStructure
from osteon.case import phantom
from osteon.case.model import Case, Lesion, Study
from osteon.evidence.value import Band
from osteon.pathway import Journey
from osteon.planning.build import plan
from osteon.planning.cover import Zone, candidates, cover, distances, in_order, stations
from osteon.planning.maps import build_maps
from osteon.planning.overlap import search_overlap, simulate_overlap
from osteon.planning.plan import Plan, PlanRequest, Step
from osteon.planning.search import Scene, assess_effect, search_settings
from osteon.planning.session import moves, session_of, steps_of, with_sessions
from osteon.planning.target import boxed, define_target, planning_box
from osteon.planning.trajectory import drillable, refusal
from osteon.report.html import write_report
from osteon.selection.select import select
from osteon.space.anatomy import Anatomy, Field, structure
from osteon.space.volume import Grid, Volume
from osteon.treatments.base import Effect, Ended, NeedlePose, Setting, Trace
from osteon.treatments.microwave import simulation
from osteon.treatments.microwave import treatment as microwave
from osteon.treatments.microwave.quick import quick
from planning.scene import block

LESION, NERVE, HIP = structure("lesion"), structure("sciatic_nerve_right"), structure("hip_right")
STRAIGHT = NeedlePose((0.0, -80.0, 0.0), (0.0, 0.0, 0.0))


# --- the cover


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_rod_is_covered_by_as_many_balls_as_its_length_asks_for(count):
    radius = 10.0
    length = 0.9 * count * 2 * radius
    rod = np.stack([np.zeros(400), np.linspace(-length / 2, length / 2, 400), np.zeros(400)], axis=1)
    offered = [(0, NeedlePose((0.0, -200.0, 0.0), (0.0, float(y), 0.0))) for y in np.arange(-60.0, 61.0)]
    away = distances(offered, rod, Zone(radius, radius, 0.0))
    chosen, part = cover(away, [0] * len(offered), count)
    assert part >= 0.97
    assert len(set(chosen)) == count
    assert count == 1 or cover(away, [0] * len(offered), count - 1)[1] < 0.97


def test_between_equal_covers_the_one_with_fewer_punctures_is_chosen():
    rod = np.stack([np.zeros(200), np.linspace(-20, 20, 200), np.zeros(200)], axis=1)
    same = [(0, NeedlePose((0.0, -200.0, 0.0), (0.0, y, 0.0))) for y in (-10.0, 10.0)]
    others = [(i + 1, NeedlePose((0.1 * i, -200.0, 0.0), (0.0, y, 0.0))) for i, y in enumerate((-10.0, 10.0))]
    offered = others + same
    chosen, _ = cover(distances(offered, rod, Zone(10.5, 10.5, 0.0)), [w for w, _ in offered], 2)
    assert {offered[c][0] for c in chosen} == {0}


def test_pull_back_offers_one_way_at_several_depths_only_where_it_may_be_done():
    rod = np.stack([np.zeros(200), np.linspace(-40, 40, 200), np.zeros(200)], axis=1)
    zone = Zone(12.0, 12.0, 8.0)
    assert candidates([STRAIGHT], rod, zone, pull_back=False) == [(0, STRAIGHT)]
    offered = candidates([STRAIGHT], rod, zone, pull_back=True)
    assert len(offered) > 10
    assert {p.entry_mm for _, p in offered} == {STRAIGHT.entry_mm}
    middles = np.array([p.tip_mm[1] for _, p in offered]) - zone.behind_tip_mm
    assert middles.min() >= -40.0 - 1e-6
    assert middles.max() <= 40.0 + 1e-6


def test_stations_lie_along_the_longest_axis_and_inside():
    rod = np.stack([np.zeros(200), np.zeros(200), np.linspace(-40, 40, 200)], axis=1)
    found = stations(rod, Zone(15.0, 10.0, 0.0))
    assert (np.diff(found[:, 2]) > 0).all()
    assert np.abs(found[:, 2]).max() < 40.0
    assert len(stations(rod / 8.0, Zone(15.0, 10.0, 0.0))) == 1


def test_on_one_way_the_deepest_comes_first():
    shallow, deep = (NeedlePose(STRAIGHT.entry_mm, (0.0, y, 0.0)) for y in (-20.0, 20.0))
    other = NeedlePose((0.0, -80.0, 60.0), (0.0, 0.0, 60.0))
    order = in_order([(0, shallow), (1, other), (0, deep)])
    assert order.index(deep) == order.index(shallow) - 1


# --- the search, with a zone that is known


class Balls:
    """A ball of heat round the tip, its radius growing to 12 mm; beside it the nerve gets a dose that adds up."""

    name = "balls"
    most_positions = 4

    def __init__(self, can_pull_back=True, nerve_dose=0.0):
        self.can_pull_back = can_pull_back
        self.nerve_dose = nerve_dose

    def settings(self, anatomy, target, goal, device, poses=()):
        for pose in poses:
            for time in (60.0, 120.0, 240.0):
                yield Setting(device, (pose,), (("power_w", 50.0), ("time_s", time)))

    def quick(self, anatomy, setting):
        time, grid = setting.control("time_s"), anatomy.grid
        at = grid.to_mm(np.stack(np.indices(grid.shape), axis=-1))
        zone = np.linalg.norm(at - np.array(setting.poses[0].tip_mm), axis=-1) <= 6.0 + time / 40.0
        dose = np.where(zone, 1e4, 0.0)
        if anatomy.has(NERVE):
            dose = np.where(anatomy.mask(NERVE).array, self.nerve_dose, dose)
        state = {
            Field.CEM43_MIN: Volume(dose.astype(np.float32), grid),
            Field.TEMPERATURE_C: Volume(np.where(zone, 70.0, 37.0).astype(np.float32), grid),
            Field.DEAD: Volume(dose >= 240, grid),
        }
        trace = {f"hottest:{NERVE.id}": Trace(np.array([0.0, time]), np.array([37.0, 37.5]), "degC")}
        return Effect("balls", state, trace, {}, Ended("time", energy_balance=1e-6, steps=3), {"cooling_s": 90.0})

    def simulate(self, anatomy, setting, draw, observe=None):
        return self.quick(anatomy, setting)


def rod_scene(nerve=False, half=32.0):
    """Return the block with a lesion along the needle: a rod of radius 6 mm."""
    full = block(bone=False, nerve_at=(30.0, 0.0) if nerve else None)
    at = full.grid.to_mm(np.stack(np.indices(full.grid.shape), axis=-1))
    rod = (np.hypot(at[..., 0], at[..., 2]) <= 6.0) & (np.abs(at[..., 1]) <= half)
    full = full.with_mask(LESION, Volume(rod, full.grid))
    box = boxed(full, planning_box(full, LESION, 2.0))
    required = (RequiredStructure(NERVE.id, "outlined", ""),) if nerve else ()
    return Scene.of(box, full, required, box.mask("lesion"))


def searched(treatment, scene):
    choices = search_settings(treatment, "d", "palliation", scene, [STRAIGHT])
    return choices, search_overlap(treatment, "d", "palliation", scene, choices, lambda point: [STRAIGHT])


def test_a_rod_along_the_needle_is_covered_by_pulling_back():
    scene, treatment = rod_scene(), Balls()
    choices, applied = searched(treatment, scene)
    assert choices[0].coverage < 0.5
    assert applied.last.coverage >= 0.97
    poses = [c.setting.poses[0] for c in applied.choices]
    assert {p.entry_mm for p in poses} == {STRAIGHT.entry_mm}
    assert all(a.length_mm > b.length_mm for a, b in pairwise(poses))
    done = simulate_overlap(treatment, scene, applied)
    assert done.last.coverage >= 0.97
    steps = steps_of(treatment, done)
    assert [s.wait_s for s in steps] == [90.0] * (len(steps) - 1) + [0.0]
    words = moves([s.setting for s in steps])
    assert len(words) == len(steps)
    assert all("pull back by" in w for w in words[1:])


def test_where_it_may_not_be_pulled_back_one_way_gives_one_position():
    assert searched(Balls(can_pull_back=False), rod_scene())[1] is None


def test_a_target_that_one_zone_covers_is_left_to_one_position():
    scene = rod_scene(half=8.0)
    choices, applied = searched(Balls(), scene)
    assert choices[0].coverage >= 0.97
    assert applied is None


def test_positions_are_judged_on_the_sum_of_their_doses():
    scene = rod_scene(nerve=True)
    limit = next(k.limit for w in scene.watched for k in w.limits if w.structure == NERVE and k.quantity == "cem43_min")
    alone = Balls(nerve_dose=0.6 * limit)
    setting = Setting("d", (STRAIGHT,), (("power_w", 50.0), ("time_s", 60.0)))
    effect = alone.quick(scene.box, setting)
    assert assess_effect(scene, setting, effect).breaches == 0
    assert assess_effect(scene, setting, effect, former=[effect]).breaches > 0
    assert searched(alone, scene)[1] is None  # a second position would break the limit
    assert searched(Balls(nerve_dose=0.1 * limit), scene)[1] is not None


def test_the_search_is_the_same_every_time():
    first, second = (searched(Balls(), rod_scene())[1] for _ in range(2))
    assert [c.setting for c in first.choices] == [c.setting for c in second.choices]


def test_a_mass_larger_than_one_zone_is_taken_whole_where_that_is_asked():
    scene = rod_scene()
    narrow = define_target(scene.box, LESION, None, "palliation", Silent())
    whole = define_target(scene.box, LESION, None, "palliation", Silent(), whole=True)
    assert narrow.goal == "interface_palliation"
    assert whole.goal == "palliation"
    assert whole.mask.array[scene.box.mask(LESION).array].all()


class Silent:
    name = "silent"

    def target(self, anatomy, goal, lesion):
        return None


# --- what microwave does in tissue that it treated before


def warm_patient():
    grid = Grid.box(np.full(3, -40.0), np.full(3, 40.0), 2.5)
    solid = Volume(np.ones(grid.shape, bool), grid)
    ct = Volume(np.full(grid.shape, 50.0, np.float32), grid)
    return Anatomy(solid, ct, {structure("body"): solid})


def test_a_second_application_starts_warm_without_flow_where_dead():
    cold = warm_patient()
    device = microwave.Microwave()
    pose = NeedlePose((0.0, -40.0, 0.0), (0.0, 15.0, 0.0))
    setting = Setting("eco-100a1-14g", (pose,), (("power_w", 60.0), ("time_s", 120.0)))
    first = quick(device, cold, setting)
    after = cold.with_(first)
    assert after.state[Field.PRESENT_C].array.max() > 42.0
    assert after.state[Field.PRESENT_C].array.min() == pytest.approx(37.0, abs=0.1)
    tissue = simulation.properties_map(after, 2.45e9)
    left, start = simulation.as_left(tissue, after)
    dead = after.state[Field.DEAD].array
    assert dead.any()
    assert (left.perfusion[dead] == 0).all()
    assert (left.perfusion[~dead] == tissue.perfusion[~dead]).all()
    source = simulation.Source(left, device.device("eco-100a1-14g"), pose, 60.0, simulation.Constants())
    assert source.sink is not None
    assert start is not None
    again = quick(device, after, setting)
    gain = again.state[Field.TEMPERATURE_C].array - first.state[Field.TEMPERATURE_C].array
    assert gain.min() > -1.0  # a warmer start is nowhere clearly cooler
    assert again.measures["zone_cm3"] > first.measures["zone_cm3"]


# --- a whole plan


def long_lesion(goal="cure", length=60.0, spacing=3.0, lesion_mm=25.0):
    """Return the femur phantom with its lesion of 25 mm drawn out along the shaft."""
    made = phantom.build("femur", lesion_mm=lesion_mm, spacing_mm=spacing)
    grid = made.image.grid
    at = grid.to_mm(np.stack(np.indices(grid.shape), axis=-1)) - np.array(made.lesion_centre_mm)
    beyond = np.maximum(np.abs(at[..., 2]) - (length - lesion_mm) / 2, 0.0)
    inside = at[..., 0] ** 2 + at[..., 1] ** 2 + beyond**2 <= (lesion_mm / 2) ** 2
    for each, mask in made.masks.items():
        inside &= ~mask.array if each.kind in ("nerve", "vessel", "skin") else True
    hu = np.where(inside & ~made.masks[LESION].array, 40.0, made.image.array).astype(np.float32)
    masks = {s: m for s, m in made.masks.items() if s != LESION}
    study = Study("ct1", "CT", None, Volume(hu, grid), Volume(np.ones(grid.shape, bool), grid), "HFS")
    lesion = Lesion("L1", made.lesion_bone, {}, Volume(inside, grid), goal)
    absent = frozenset(structure(a) for a in made.absent)
    return Case(Path("phantom"), "PHANTOM", {}, (lesion,), (study,), masks, absent)


@pytest.fixture(scope="module")
def planned():
    """Return the case, one plan with one position and one with several; the settings searched are few, to be quick."""
    assessment = assess(long_lesion())
    verdicts = select(assessment, "strict")
    request = PlanRequest(treatments=("microwave",), spacing_mm=3.0, anyway=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(microwave, "POWERS_W", (60.0,))
        patch.setattr(microwave, "OFFSETS_MM", (0.0,))
        patch.setattr(microwave, "TIMES_S", (180.0, 360.0, 600.0))
        (several,) = plan(assessment, verdicts, request)
        patch.setattr(microwave.Microwave, "most_positions", 1)
        (single,) = plan(assessment, verdicts, request)
    return assessment, verdicts, request, single, several


def test_a_long_lesion_is_covered_by_several_positions_and_not_by_one(planned):
    *_, single, several = planned
    assert len(single.steps) == 1
    assert 2 <= len(several.steps) <= 4
    assert single.measures["coverage"].best < 0.97 <= several.measures["coverage"].best
    assert several.measures["probes"].best == 1.0
    assert several.measures["positions"].best == len(several.steps)
    power_on = sum(s.setting.control("time_s") for s in several.steps)
    waits = sum(s.wait_s for s in several.steps)
    assert several.measures["minutes"].best == pytest.approx((power_on + waits) / 60.0)
    assert waits > 0
    assert not any(f.level == "breach" and f.unit != "mm" for f in several.findings)


def test_every_position_keeps_the_hard_limits(planned):
    assessment, *_, several = planned
    full, device = assessment.lesions[0].anatomy, microwave.Microwave()
    bone = assessment.case.lesions[0].bone
    for step in several.steps:
        access = device.needle(step.setting.device)
        (pose,) = step.setting.poses
        maps = build_maps(full, np.array(pose.tip_mm), access.max_depth_mm, drillable(full, access, bone), LESION)
        assert refusal(full, maps, pose, access, (several.prescription["patient_position"],)) == ""


def test_energy_balances_at_every_position_and_dose_adds_up(planned):
    *_, several = planned
    for step in several.steps:
        assert step.effect.ended.energy_balance <= 1e-3
    dose = sum(s.effect.state[Field.CEM43_MIN].array for s in several.steps)
    assert np.allclose(several.after.state[Field.CEM43_MIN].array, dose)
    hottest = np.maximum.reduce([s.effect.state[Field.TEMPERATURE_C].array for s in several.steps])
    assert (several.after.state[Field.TEMPERATURE_C].array == hottest).all()
    dead = np.logical_or.reduce([s.effect.state[Field.DEAD].array for s in several.steps])
    assert (several.after.state[Field.DEAD].array == dead).all()


def test_the_report_tells_every_position(planned, tmp_path):
    assessment, verdicts, request, _, several = planned
    journey = Journey(assessment.case, assessment, verdicts, (several,), request)
    page = " ".join(write_report(journey, tmp_path).read_text(encoding="utf-8").split())  # any kind of space
    sheet = page[page.index("Procedure sheet ·") :]
    for i in range(1, len(several.steps) + 1):
        assert f"Position {i}:" in sheet
        assert f"Position {i} of the needle" in sheet
    assert "wait after: 2 min" in sheet
    assert several.prescription["order_of_positions"][1].startswith("position 2: ")
    assert len(list(tmp_path.glob("*_needle*.mrk.json"))) == len(several.steps)
    assert json.loads((tmp_path / "journey.json").read_text())["plans"][0]["prescription"]["positions"] == len(several.steps)


@pytest.mark.slow
@pytest.mark.parametrize("goal", ["cure", "palliation"])
def test_a_whole_plan_is_the_same_every_time(goal):
    request = PlanRequest(treatments=("microwave",), spacing_mm=2.5, anyway=True)
    plans = []
    for _ in range(2):
        assessment = assess(long_lesion(goal, spacing=2.5))
        plans.append(plan(assessment, select(assessment, "strict"), request)[0])
    assert [s.setting for s in plans[0].steps] == [s.setting for s in plans[1].steps]
    assert plans[0].measures == plans[1].measures
    assert plans[0].goal == goal  # taken whole, not only its interface
    assert plans[0].measures["coverage"].best >= 0.97


# --- several lesions in one session


def lesion_plan(lesion, position, minutes=10.0, treatment="microwave", planned=True):
    setting = Setting("d", (STRAIGHT,), (("time_s", minutes * 60),))
    step = Step(treatment, setting, Effect("x", {}, {}, {}, Ended("time")))
    return Plan(
        treatment, lesion, "cure", (step,) if planned else (), (), {"minutes": Band.of(minutes)}, Ended("time"),
        prescription={"patient_position": position},
    )  # fmt: skip


def test_a_session_groups_lesions_by_position_and_says_when_the_patient_is_turned():
    plans = [lesion_plan("L1", "prone"), lesion_plan("L2", "supine", 5.0), lesion_plan("L3", "prone", 8.0)]
    session = session_of(plans)
    assert session["lesions"] == ["L1", "L3", "L2"]
    assert session["minutes"] == 23.0
    assert "turned 1 time (prone for L1, L3; supine for L2)" in session["turn_patient"]
    assert session_of(plans[::2])["turn_patient"] == ""
    assert json.loads(json.dumps(session)) == session


def test_only_plans_of_one_treatment_with_steps_share_a_session():
    plans = [lesion_plan("L1", "prone"), lesion_plan("L2", "prone", planned=False), lesion_plan("L2", "prone", treatment="other")]
    assert with_sessions(plans) == plans
    both = with_sessions([*plans, lesion_plan("L3", "any", 4.0)])
    assert both[0].prescription["session"]["lesions"] == ["L1", "L3"]
    assert both[3].prescription["session"]["minutes"] == 14.0
    assert "each lesion was simulated by itself" in both[0].assumptions[-1]
    assert both[1].prescription == plans[1].prescription
    assert "session" not in both[2].prescription
