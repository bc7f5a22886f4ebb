"""Thermocouples of a run as traces: as the user gives them, through every treatment, and what the criteria say beside them."""

from dataclasses import replace

import numpy as np
import pytest

from osteon import cache
from osteon.errors import InputError
from osteon.physics import damage
from osteon.physics.sensors import Sensors, Thermocouple
from osteon.planning.plan import PlanRequest
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Grid, Volume
from osteon.tissue.properties import Constants
from osteon.treatments.base import Draw, NeedlePose
from osteon.treatments.catalog import treatment
from osteon.treatments.sensing import Follow, sensor_traces, thermocouples_of


def test_what_a_probe_showed_is_a_trace_at_the_place_where_it_was():
    grid = Grid.box(np.zeros(3), np.full(3, 10.0), 1.0)
    sensors = Sensors(grid, [Thermocouple("nerve", (5.0, 5.0, 5.0), 0.0, 1.0)], seed=3)
    for time in (0.0, 1.0, 2.0):
        sensors(time, np.full(grid.shape, 37.0 + time))
    trace = sensor_traces(sensors)["sensor:nerve"]
    assert trace.values == pytest.approx([37.0, 38.0, 39.0])
    assert trace.unit == "degC"
    assert trace.place_mm == sensors.places_mm[0] != (5.0, 5.0, 5.0)


def test_what_the_user_gives_is_read_and_what_is_no_place_is_refused():
    assert thermocouples_of(["nerve=1,-2.5,3", " tip-2 = 0, 0, 0"]) == (("nerve", (1.0, -2.5, 3.0)), ("tip-2", (0.0, 0.0, 0.0)))
    assert thermocouples_of([]) == ()
    for wrong in (["nerve"], ["nerve=1,2"], ["=1,2,3"], ["a=1,2,nan"], ["a=1,2,3", "a=4,5,6"], ["2=1,2,3"], ["a/b=1,2,3"]):
        with pytest.raises(InputError) as error:
            thermocouples_of(wrong)
        assert all((error.value.what, error.value.why, error.value.do))
    with pytest.raises(InputError):
        thermocouples_of([f"t{i}=0,0,0" for i in range(17)])


def test_thermocouples_and_devices_enter_the_key_of_a_plan():
    plain, asked = PlanRequest(), PlanRequest(thermocouples=(("nerve", (1.0, 2.0, 3.0)),))
    keys = {cache.key("plan", {"request": each}) for each in (plain, asked, PlanRequest(device="a"))}
    assert len(keys) == 3


def test_the_slope_tells_what_a_position_error_is_worth():
    grid = Grid.box(np.zeros(3), np.full(3, 10.0), 2.0)
    z, y, x = (grid.spacing_mm[a] * i for a, i in enumerate(np.indices(grid.shape)))
    sensors = Sensors(grid, [Thermocouple("a", (4.3, 5.1, 2.2), 0.0, 0.0)])
    sensors(0.0, (37.0 + 3.0 * x - 4.0 * y + 12.0 * z).astype(np.float32))
    assert sensors.readings["a"].slope_k_mm == pytest.approx([13.0], rel=1e-5)


def patient() -> Anatomy:
    grid = Grid.box(np.full(3, -37.5), np.full(3, 37.5), 2.5)
    mm = grid.to_mm(np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1))
    lesion = np.linalg.norm(mm, axis=-1) <= 12.0
    return Anatomy(
        imaged=Volume(np.ones(grid.shape, bool), grid),
        image=Volume(np.full(grid.shape, 50.0, np.float32), grid),
        masks={structure("lesion"): Volume(lesion, grid)},
        thermocouples=(("near", (6.0, 0.0, 0.0)), ("away", (0.0, 300.0, 0.0))),
    )


@pytest.mark.parametrize("name", ["microwave", "radiofrequency_monopolar", "radiofrequency_bipolar", "laser", "cryoablation"])
def test_every_treatment_reads_thermocouples_and_tells_the_zone_by_every_criterion(name):
    made, anatomy = treatment(name), patient()
    pose = NeedlePose((0.0, -100.0, 0.0), (0.0, 15.0, 0.0))
    setting = next(iter(made.settings(anatomy, structure("lesion"), "palliation", next(iter(made.devices)), [pose])))
    shortest = float(made.devices[setting.device]["time_s"]["low"])
    times = {"time_s": max(30.0, shortest if name == "cryoablation" else 0.0), "freezes": 1.0}
    setting = replace(setting, poses=(pose,), controls=tuple((k, times.get(k, v)) for k, v in setting.controls))
    effect = made.simulate(anatomy, setting, Draw.nominal())
    trace = effect.traces["sensor:near"]
    assert trace.place_mm == (6.0, 0.0, 0.0)
    assert (np.diff(trace.times_s) > 0).all()
    assert trace.values[0] == pytest.approx(37.0, abs=0.01)
    extreme, side = (trace.values.min(), "lowest") if name == "cryoablation" else (trace.values.max(), "highest")
    assert abs(extreme - 37.0) > 1.0
    assert effect.measures[f"sensor_near_{side}_c"] == pytest.approx(extreme)
    assert effect.measures["sensor_near_position_error_k"] > 0
    assert "thermocouple.time_constant_s" in effect.used
    assert "sensor:away" not in effect.traces
    assert any("cannot tell what thermocouple away" in text.lower() for text in effect.assumptions)
    family = "cold" if name == "cryoablation" else "heat"
    wanted = [c for c in damage.criteria().values() if (c.side == "cold") == (family == "cold") and not c.pair]
    assert all(f"zone_{c.name}_cm3" in effect.measures for c in wanted)
    assert any(f"{family} criteria" in text for text in effect.assumptions)


def test_a_draw_displaces_the_thermocouple_and_the_same_draw_the_same_way():
    places = [Follow(patient(), Constants(Draw(seed)), seed)._sensors.places_mm for seed in (1, 1, 2)]
    assert places[0] == places[1] != places[2]
    assert Follow(patient(), Constants())._sensors.places_mm == ((6.0, 0.0, 0.0),)


def test_without_thermocouples_nothing_is_read_and_cell_death_is_asked_for_seldom():
    follow = Follow(replace(patient(), thermocouples=()), Constants())
    assert follow.every_s == 20.0
    assert Follow(patient(), Constants()).every_s == 2.0
    assert not follow.used


def test_cell_death_of_every_20_s_is_that_of_every_2_s():
    anatomy = patient()
    often, seldom = (Follow(replace(anatomy, thermocouples=t), Constants()) for t in (anatomy.thermocouples, ()))
    seldom._next_s = 0.0
    from osteon.physics.cell_death import CellDeath

    exact = CellDeath()
    distance = np.linalg.norm(np.indices(anatomy.grid.shape) - 15.0, axis=0)
    for time in np.arange(0.0, 601.0, 2.0):
        field = (37.0 + 60.0 * np.exp(-((distance / 4.0) ** 2)) * (1 - np.exp(-time / 60.0))).astype(np.float32)
        exact(time, field)
        often(time, field)
        if time % 20.0 == 0:
            seldom(time, field)
    for follow in (often, seldom):
        follow._step()
        assert follow._death.viability == pytest.approx(exact.viability, abs=0.005)
