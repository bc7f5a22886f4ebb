import numpy as np
import pytest

from osteon.assessment.results import RequiredStructure
from osteon.planning.offer import larger_device
from osteon.planning.search import Scene, search_settings, simulate_best
from osteon.planning.target import boxed, planning_box
from osteon.space.anatomy import Field, structure
from osteon.treatments.base import Effect, Ended, NeedlePose, Setting, Trace
from planning.scene import block

NERVE = structure("sciatic_nerve_right")
POSE = NeedlePose((0.0, -80.0, 0.0), (0.0, 0.0, 0.0))


class Growing:
    """A zone whose radius grows with time; the nerve warms by a tenth of a degree per second in the full run only."""

    name = "growing"

    def __init__(self, quick_is_blind):
        self.quick_is_blind = quick_is_blind
        self.quick_runs = 0

    def settings(self, anatomy, target, goal, device, poses=()):
        for pose in poses:
            for time in (30.0, 60.0, 90.0, 120.0, 240.0, 480.0):
                yield Setting(device, (pose,), (("power_w", 50.0), ("time_s", time)))

    def effect(self, anatomy, setting, heats_nerve):
        time = setting.control("time_s")
        at = anatomy.grid.to_mm(np.stack(np.indices(anatomy.grid.shape), axis=-1))
        zone = np.linalg.norm(at, axis=-1) <= 4.0 + time / 10.0
        nerve = anatomy.mask(NERVE).array
        peak = 37.0 + (0.1 * time if heats_nerve else 0.0)
        state = {
            Field.CEM43_MIN: anatomy.imaged.with_array(np.where(zone & ~nerve, 1e4, 0.0).astype(np.float32)),
            Field.TEMPERATURE_C: anatomy.imaged.with_array(np.where(nerve, peak, 37.0).astype(np.float32)),
        }
        times = np.linspace(0, time, 200)
        traces = {f"hottest:{NERVE.id}": Trace(times, 37.0 + (peak - 37.0) * times / time, "°C")}
        return Effect("growing", state, traces, {}, Ended("time"))

    def quick(self, anatomy, setting):
        self.quick_runs += 1
        return self.effect(anatomy, setting, not self.quick_is_blind)

    def simulate(self, anatomy, setting, draw, observe=None):
        return self.effect(anatomy, setting, True)


@pytest.fixture
def scene():
    full = block(nerve_at=(30.0, 0.0))
    box = boxed(full, planning_box(full, structure("lesion"), 2.0))
    required = (RequiredStructure(NERVE.id, "outlined", ""),)
    return Scene.of(box, full, required, box.mask("lesion"))


def test_no_breach_goes_before_coverage_and_longer_times_are_not_tried_after_a_breach(scene):
    treatment = Growing(quick_is_blind=False)  # 45 °C are reached after 80 s
    choices = search_settings(treatment, "d", "palliation", scene, [POSE])
    assert choices[0].breaches == 0
    assert choices[0].setting.control("time_s") <= 80.0
    assert all(c.breaches for c in choices if c.setting.control("time_s") > 80.0)
    assert max(c.setting.control("time_s") for c in choices) < 240.0


def test_a_breach_that_only_the_full_run_sees_shortens_the_time_to_before_the_limit(scene):
    treatment = Growing(quick_is_blind=True)
    choices = search_settings(treatment, "d", "palliation", scene, [POSE])
    assert choices[0].setting.control("time_s") > 80.0  # covers 12 mm; the quick run sees nothing wrong with it
    best, tried = simulate_best(treatment, scene, choices)
    assert best.breaches == 0
    assert 60.0 <= best.setting.control("time_s") <= 80.0
    assert len(tried) >= 2
    assert "1 limits of temperature or dose broken" in tried[0]


def test_stand_off_does_not_count_as_a_breach_of_heat(scene):
    choices = search_settings(Growing(quick_is_blind=True), "d", "palliation", scene, [POSE])
    assert choices[0].breaches == 0


def test_a_pose_that_breaks_a_hard_limit_is_not_offered(scene):
    treatment = Growing(quick_is_blind=True)
    assert search_settings(treatment, "d", "palliation", scene, [POSE], allowed=lambda pose: False) == []
    assert treatment.quick_runs == 0


class TwoSizes(Growing):
    """A small device and two larger ones; nothing warms but the zone."""

    reach = {"small": 5.0, "large": 30.0, "largest": 40.0}

    def __init__(self):
        super().__init__(quick_is_blind=True)

    def settings(self, anatomy, target, goal, device, poses=()):
        for pose in poses:
            for time in (60.0, 120.0):
                yield Setting(device, (pose,), (("time_s", time),))

    def quick(self, anatomy, setting):
        at = anatomy.grid.to_mm(np.stack(np.indices(anatomy.grid.shape), axis=-1))
        zone = np.linalg.norm(at, axis=-1) <= self.reach[setting.device] * setting.control("time_s") / 120.0
        state = {Field.CEM43_MIN: anatomy.imaged.with_array(np.where(zone, 1e4, 0.0).astype(np.float32))}
        return Effect("sized", state, {}, {}, Ended("time"))


def test_where_the_first_device_is_too_small_the_one_with_the_largest_zone_is_named(scene):
    treatment = TwoSizes()
    small = search_settings(treatment, "small", "palliation", scene, [POSE])[0]
    assert small.coverage < 0.2
    assert larger_device(treatment, "palliation", scene, small, ["large", "largest"]) in ("large", "largest")  # both cover all
    assert larger_device(treatment, "palliation", scene, small, []) is None
    large = search_settings(treatment, "large", "palliation", scene, [POSE])[0]
    assert larger_device(treatment, "palliation", scene, large, ["small"]) is None
