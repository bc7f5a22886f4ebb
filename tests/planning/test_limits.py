from dataclasses import replace

import numpy as np
import pytest

from osteon.assessment.results import RequiredStructure
from osteon.planning.fields import edge_temperature
from osteon.planning.limits import judge, watch
from osteon.planning.target import boxed, define_target, planning_box
from osteon.space.anatomy import Field, structure
from osteon.space.volume import Volume
from osteon.tissue.tolerance import limits_for
from osteon.treatments.base import Effect, Ended, Trace
from planning.scene import block

LESION, NERVE = structure("lesion"), structure("sciatic_nerve_right")
OUTLINED = (RequiredStructure(NERVE.id, "outlined", "outlined"),)
MISSING = (RequiredStructure(NERVE.id, "not_outlined", "cannot tell: outline the right sciatic nerve"),)


class Plain:
    name = "plain"

    def target(self, anatomy, goal, lesion):
        return None


def scene(nerve_at=(30.0, 0.0)):
    full = block(nerve_at=nerve_at)
    box = boxed(full, planning_box(full, LESION, 2.0))
    return full, box, define_target(box, LESION, None, "cure", Plain()).mask


def effect(box, temperature, dose, traces=None):
    state = {Field.TEMPERATURE_C: Volume(temperature, box.grid), Field.CEM43_MIN: Volume(dose, box.grid)}
    return Effect("test", state, traces or {}, {}, Ended("time"))


def heated(box, at_nerve_c, dose=0.0):
    temperature = np.full(box.grid.shape, 37.0, np.float32)
    cem = np.zeros(box.grid.shape, np.float32)
    where = tuple(np.argwhere(box.mask(NERVE).array)[len(np.argwhere(box.mask(NERVE).array)) // 2])
    temperature[where], cem[where] = at_nerve_c, dose
    return effect(box, temperature, cem), box.grid.to_mm(np.array(where, float))


@pytest.mark.parametrize(("degrees", "level"), [(42.9, "ok"), (44.0, "warning"), (46.0, "breach")])
def test_nerve_limit_of_seed_1_45_degrees(degrees, level):
    full, box, target = scene()
    run, place = heated(box, degrees)
    found = {f.limit_id: f for f in judge([run], box, OUTLINED, target, full) if f.structure == NERVE.id}
    finding = found["nerve-peak-temperature"]
    assert finding.level == level
    assert finding.value.best == pytest.approx(degrees, abs=1e-3)
    assert finding.place_mm == pytest.approx(tuple(place))
    assert "[001 «" in finding.source


def test_stand_off_is_measured_from_the_edge_of_the_target():
    full, box, target = scene(nerve_at=(40.0, 0.0))  # nerve surface 36 mm, target radius 12 + 10: 14 mm
    found = {f.limit_id: f for f in judge([heated(box, 37.0)[0]], box, OUTLINED, target, full)}
    assert found["nerve-stand-off"].value.best == pytest.approx(14.0, abs=2.5)
    assert found["nerve-stand-off"].level == "ok"
    full, box, target = scene(nerve_at=(30.0, 0.0))  # 26 - 22 = 4 mm
    found = {f.limit_id: f for f in judge([heated(box, 37.0)[0]], box, OUTLINED, target, full)}
    assert found["nerve-stand-off"].level == "breach"


def test_law_a_required_structure_that_is_not_outlined_is_never_ok():
    full, box, target = scene(nerve_at=None)
    cold = effect(box, np.full(box.grid.shape, 37.0, np.float32), np.zeros(box.grid.shape, np.float32))
    found = [f for f in judge([cold], box, MISSING, target, full) if f.structure == NERVE.id]
    assert len(found) == sum(k.quantity != "lowest_temperature_c" for k in limits_for(NERVE))  # nothing was frozen
    assert {f.level for f in found} == {"unknown"}
    assert {f.text for f in found} == {"cannot tell: outline the right sciatic nerve"}
    assert all(f.value is None for f in found)


def test_declared_absent_is_not_judged():
    full, box, target = scene(nerve_at=None)
    cold = effect(box, np.full(box.grid.shape, 37.0, np.float32), np.zeros(box.grid.shape, np.float32))
    listed = (RequiredStructure(NERVE.id, "absent", "declared absent"),)
    assert not [f for f in judge([cold], box, listed, target, full) if f.structure == NERVE.id]


def test_heat_at_the_edge_of_the_box_makes_a_cut_structure_unknown_but_a_breach_stays_a_breach():
    full, box, target = scene()  # the nerve runs through the box and beyond
    warm = np.full(box.grid.shape, 39.0, np.float32)
    none = np.zeros(box.grid.shape, np.float32)
    assert edge_temperature(warm, box) == pytest.approx(39.0)
    found = {f.limit_id: f for f in judge([effect(box, warm, none)], box, OUTLINED, target, full)}
    assert found["nerve-peak-temperature"].level == "unknown"
    assert "larger field" in found["nerve-peak-temperature"].text
    hot = np.where(box.mask(NERVE).array, 50.0, warm).astype(np.float32)
    found = {f.limit_id: f for f in judge([effect(box, hot, none)], box, OUTLINED, target, full)}
    assert found["nerve-peak-temperature"].level == "breach"


def test_structure_far_from_a_cold_edge_is_ok_and_says_why():
    full, box, target = scene(nerve_at=(75.0, 75.0))  # outside the box
    assert NERVE not in box.masks
    cold = effect(box, np.full(box.grid.shape, 37.0, np.float32), np.zeros(box.grid.shape, np.float32))
    found = {f.limit_id: f for f in judge([cold], box, OUTLINED, target, full)}
    assert found["nerve-peak-temperature"].level == "ok"
    assert "outside the planning box" in found["nerve-peak-temperature"].text


def test_a_field_that_is_not_a_number_is_unknown():
    full, box, target = scene()
    run, _ = heated(box, np.nan)
    found = {f.limit_id: f for f in judge([run], box, OUTLINED, target, full)}
    assert found["nerve-peak-temperature"].level == "unknown"


def test_a_dose_that_was_not_computed_is_unknown():
    full, box, target = scene()
    run, _ = heated(box, 40.0)
    run = replace(run, state={Field.TEMPERATURE_C: run.state[Field.TEMPERATURE_C]})
    found = {f.limit_id: f for f in judge([run], box, OUTLINED, target, full) if f.structure == NERVE.id}
    assert found["nerve-dose"].level == "unknown"


def test_the_moment_comes_from_the_trace():
    full, box, target = scene()
    run, _ = heated(box, 50.0)
    trace = Trace(np.array([0.0, 60.0, 120.0]), np.array([37.0, 46.0, 50.0]), "°C")
    run = replace(run, traces={f"hottest:{NERVE.id}": trace})
    found = {f.limit_id: f for f in judge([run], box, OUTLINED, target, full)}
    assert found["nerve-peak-temperature"].time_s == 60.0


def test_doses_of_two_applications_add_up():
    full, box, target = scene()
    run, _ = heated(box, 42.0, dose=25.0)
    found = {f.limit_id: f for f in judge([run, run], box, OUTLINED, target, full)}
    assert found["nerve-dose"].value.best == pytest.approx(50.0)
    assert found["nerve-dose"].level == "breach"


def test_an_outline_carried_over_is_judged_that_much_nearer():
    """A nerve whose place is uncertain by 6 mm: 6 mm less stand-off, and the heat 6 mm beside it counts as its own."""
    full, box, target = scene((30.0, 0.0))
    wrong = replace(full, error_mm={NERVE: 6.0}, drawn_on={NERVE: "mr1"})
    sure, unsure = (watch(boxed(a, box.grid), a, OUTLINED, target)[0] for a in (full, wrong))
    if np.isfinite(sure.stand_off_mm):
        assert unsure.stand_off_mm == pytest.approx(max(sure.stand_off_mm - 6.0, 0.0))
    temperature = np.full(box.grid.shape, 37.0, np.float32)
    places = box.grid.to_mm(np.stack(np.indices(box.grid.shape), axis=-1))
    temperature[(np.hypot(places[..., 0] - 22.0, places[..., 1]) < 1.5) & ~target.array] = 60.0  # 4 mm beside the nerve
    hot = effect(box, temperature, np.zeros(box.grid.shape, np.float32))
    peak = {
        name: next(f for f in judge([hot], box, OUTLINED, target, a) if f.structure == NERVE.id and f.unit == "°C")
        for name, a in (("sure", full), ("unsure", wrong))
    }
    assert peak["sure"].value.best < 40.0
    assert peak["unsure"].value.best == pytest.approx(60.0)
    assert "6.0 mm that its outline may be wrong" in peak["unsure"].text
