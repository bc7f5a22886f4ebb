"""The cryoablation treatment: settings, the run on a patient, cold limits, and what the device cannot do."""

import numpy as np
import pytest

from osteon.assessment.results import RequiredStructure
from osteon.errors import OsteonError, SettingError
from osteon.planning.limits import judge
from osteon.planning.measures import lethal
from osteon.space.anatomy import Field
from osteon.space.volume import Volume
from osteon.tissue.tolerance import limits
from osteon.treatments.base import Draw, NeedlePose, Setting
from osteon.treatments.cryoablation.cryoprobe import cycles
from osteon.treatments.cryoablation.simulation import in_words
from osteon.treatments.cryoablation.treatment import Cryoablation
from treatments.test_microwave import LESION, NERVE, patient

CRYO = Cryoablation()
POSE = NeedlePose((0.0, -60.0, 0.0), (0.0, 22.0, 0.0))


def setting(time=600.0, thaw=480.0, freezes=2.0, device="generic-2.4mm", poses=(POSE,)):
    return Setting(device, tuple(poses), (("time_s", time), ("thaw_s", thaw), ("freezes", freezes)))


@pytest.fixture(scope="module")
def run():
    anatomy = patient(3.0)
    return anatomy, CRYO.simulate(anatomy, setting(300.0, 180.0), Draw.nominal())


def test_visible_ice_is_larger_than_what_is_dead(run):
    _, effect = run
    m = effect.measures
    assert m["visible_ice_cm3"] > m["zone_minus20_cm3"] > m["zone_cm3"] > 0.3
    assert m["most_power_w"] == pytest.approx(22.0, rel=1e-3)
    assert effect.ended.how == "time"
    assert effect.ended.energy_balance <= 1e-3
    low = effect.state[Field.FROZEN_MIN_C].array
    assert (effect.state[Field.DEAD].array == (low <= -40.0)).all()
    assert effect.title == "cryoablation 5-3-5 min"


def test_zone_of_the_plan_is_lethal_cold(run):
    anatomy, effect = run
    assert (lethal([effect], anatomy.grid) == effect.state[Field.DEAD].array).all()


def test_a_nerve_in_the_ice_is_a_breach_with_its_time(run):
    anatomy, effect = run
    required = (RequiredStructure(NERVE.id, "outlined", "outlined"),)
    target = Volume(anatomy.mask(LESION).array, anatomy.grid)
    found = {f.limit_id: f for f in judge([effect], anatomy, required, target) if f.structure == NERVE.id}
    assert "nerve-peak-temperature" not in found  # nothing was heated
    cold = found["nerve-lowest-temperature"]
    at_nerve = float(effect.state[Field.FROZEN_MIN_C].array[anatomy.mask(NERVE).array].min())
    assert cold.value.best == pytest.approx(at_nerve, abs=1e-3)
    assert cold.level == ("breach" if at_nerve < 0 else "warning")
    assert None not in (cold.time_s, cold.place_mm)


def test_a_nerve_that_nobody_drew_is_never_ok(run):
    anatomy, effect = run
    required = (RequiredStructure("femoral_nerve_right", "not_outlined", "cannot tell: outline it"),)
    target = Volume(anatomy.mask(LESION).array, anatomy.grid)
    found = [f for f in judge([effect], anatomy, required, target) if f.structure == "femoral_nerve_right"]
    assert "nerve-lowest-temperature" in {f.limit_id for f in found}
    assert {f.level for f in found} == {"unknown"}


def test_cold_limits_of_the_cord_stand_above_the_dogs():
    cord = next(k for k in limits() if k.id == "cord-lowest-temperature")
    assert [cord.level(t) for t in (12.0, 10.0, 9.9, 0.0, -0.1, -8.0)] == ["ok", "ok", "warning", "warning", "breach", "breach"]
    judged = {k.applies_to for k in limits() if k.quantity == "lowest_temperature_c"}
    assert judged == {"nerve", "cord", "vessel", "bowel", "joint", "organ", "lung", "skin"}


def test_cycles_in_words_and_in_stages():
    assert (in_words(600.0, 480.0, 2), in_words(600.0, 300.0, 2)) == ("10-8-10 min", "10-5-10 min")
    from osteon.tissue.properties import Constants
    from osteon.treatments.cryoablation.cryoprobe import cryoprobe

    probe = cryoprobe(CRYO.devices["generic-1.7mm"], Constants(), "generic-1.7mm")
    names = [stage.name for stage in cycles(probe, 600.0, 480.0, 2)]
    assert names == ["freeze 1", "passive thaw 1", "freeze 2", "active thaw"]


def test_settings_offer_freezes_with_eight_minutes_between_and_the_probe_through_the_target():
    offered = list(CRYO.settings(patient(4.0), LESION, "cure", "generic-2.4mm", (POSE,)))
    cycles_offered = {(s.control("time_s"), s.control("thaw_s")) for s in offered}
    assert {(300.0, 480.0), (420.0, 480.0), (600.0, 480.0)} <= cycles_offered
    assert offered[0].poses[0].tip_mm[1] == pytest.approx(22.0, abs=1.5)


def test_quick_is_kept_and_says_that_it_is_coarse():
    anatomy, one = patient(4.0), setting(120.0, 120.0)
    first = CRYO.quick(anatomy, one)
    assert CRYO.quick(anatomy, one) is first
    assert "coarse" in first.title


def test_quick_agrees_with_the_exact_run_within_five_points_of_coverage():
    """Coverage of the lesion by -40 °C as planning judges it, from 2.5 mm and long steps against 2 mm and short ones."""
    anatomy, one = patient(2.0), setting(300.0, 180.0, 1.0)
    lesion = anatomy.mask(LESION).array
    exact, coarse = CRYO.simulate(anatomy, one, Draw.nominal()), CRYO.quick(anatomy, one)
    theirs, ours = (float(lethal([effect], anatomy.grid)[lesion].mean()) for effect in (exact, coarse))
    assert 0.1 < theirs < 0.9
    assert ours == pytest.approx(theirs, abs=0.05)
    for name in ("visible_ice_cm3", "zone_minus20_cm3", "zone_cm3"):
        assert coarse.measures[name] == pytest.approx(exact.measures[name], rel=0.10)
    assert coarse.ended.energy_balance <= 1e-3


def test_every_device_says_what_is_not_verified():
    assert set(CRYO.devices) == {"generic-1.5mm", "generic-1.7mm", "generic-2.4mm"}
    for entry in CRYO.devices.values():
        assert not entry["most_power"]["verified"]
        assert not entry["active_length_mm"]["verified"]


@pytest.mark.parametrize(
    "bad",
    [
        setting(time=-600.0), setting(time=0.0), setting(thaw=-60.0), setting(freezes=0.0),
        setting(time=1e6), setting(thaw=0.0), setting(freezes=1.5), setting(device="laser"),
        setting(poses=()), setting(poses=(POSE, POSE)), setting(poses=(POSE,) * 20),
        Setting("generic-2.4mm", (POSE,), (("time_s", 600.0),)),
        setting(poses=(NeedlePose((0.0, -900.0, 0.0), (0.0, -500.0, 0.0)),)),
    ],
)  # fmt: skip
def test_what_the_device_cannot_do_is_told(bad):
    with pytest.raises(OsteonError) as told:
        CRYO.simulate(patient(6.0), bad, Draw.nominal())
    assert isinstance(told.value, SettingError)


def test_a_probe_in_the_air_is_told():
    pose = NeedlePose((0.0, -100.0, 0.0), (0.0, -60.0, 0.0))
    with pytest.raises(OsteonError) as told:
        CRYO.simulate(patient(4.0), setting(poses=(pose,)), Draw.nominal())
    assert all((told.value.what, told.value.why, told.value.do))


def test_several_probes_make_one_larger_zone():
    anatomy = patient(4.0, bone=False)
    apart = [NeedlePose((x, -60.0, 0.0), (x, 22.0, 0.0)) for x in (-8.0, 8.0)]
    one = CRYO.simulate(anatomy, setting(240.0, 120.0, 1.0), Draw.nominal())
    two = CRYO.simulate(anatomy, setting(240.0, 120.0, 1.0, poses=apart), Draw.nominal())
    assert two.measures["visible_ice_cm3"] > 1.5 * one.measures["visible_ice_cm3"]
    assert len(two.instruments) == 2
    assert np.isfinite(two.traces["wall_c:2"].values).all()
