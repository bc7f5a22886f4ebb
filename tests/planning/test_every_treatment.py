"""Each simulated treatment plans one small phantom from end to end: ways in, search, simulation, judgement, page."""

import json

import pytest

from osteon import PlanRequest, journey, write_report
from osteon.case.phantom import write
from osteon.planning.build import condition_of
from osteon.space.anatomy import Field
from osteon.treatments.names import rows_named

SPACING_MM = 3.0


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("every") / "case"
    write("femur", folder, lesion_mm=12.0, spacing_mm=SPACING_MM)
    return folder


def planned(case, name, **asked):
    request = PlanRequest(treatments=rows_named(name), spacing_mm=SPACING_MM, **asked)
    return journey(case, request)


def check(result, folder, energy):
    """Hold what must be true of every plan that has steps: judged, traced, balanced, and honest about its device."""
    (plan,) = [p for p in result.plans if p.steps]
    assert plan.paths.recommended is not None
    assert plan.ended.how in ("time", "steady", "limit")
    assert plan.ended.energy_balance <= energy
    assert 0.5 < plan.measures["coverage"].best <= 1.0
    assert {f.structure for f in plan.findings} >= {"sciatic_nerve_right", "femoral_vessels_right", "skin"}
    cold = Field.FROZEN_MIN_C in plan.after.state
    assert any(k.startswith("coldest:" if cold else "hottest:") for k in plan.steps[0].effect.traces)
    page = " ".join(write_report(result, folder).read_text(encoding="utf-8").split())
    assert "Device not verified" in page
    assert "What the device does over time" in page
    assert "The zone by every criterion" in page
    tree = json.loads((folder / "journey.json").read_text(encoding="utf-8"))
    (told,) = [p for p in tree["plans"] if p["steps"]]
    assert told["steps"][0]["effect"]["ended"]["energy_balance"] is not None
    return plan, page


def test_rfa_means_both_kinds_and_the_open_ones_are_planned(case, tmp_path):
    assert rows_named("rfa") == ("radiofrequency_monopolar", "radiofrequency_bipolar")
    result = journey(case, PlanRequest(treatments=("radiofrequency_bipolar",), spacing_mm=SPACING_MM))
    plan, page = check(result, tmp_path, 1e-3)
    assert {"impedance_ohm", "net_power_w", "tip_c"} <= set(plan.steps[0].effect.traces)
    assert "Impedance (Ω)" in page
    assert "Temperature held" in page
    assert "the generator holds this temperature at the tip" in page


@pytest.mark.slow
def test_monopolar_radiofrequency_is_planned_if_no_metal_is_confirmed(case, tmp_path):
    result = planned(case, "radiofrequency_monopolar")
    plan, page = check(result, tmp_path, 1e-3)
    assert plan.condition.startswith("if ")
    assert "Electrode" in page


def test_laser_is_not_indicated_and_planned_only_anyway(case, tmp_path):
    refused = planned(case, "laser")
    assert refused.plans == ()
    assert refused.verdicts.of("L1", "laser").status == "not_indicated"
    plan, page = check(planned(case, "laser", anyway=True), tmp_path, 1e-3)
    assert plan.condition.startswith("ANYWAY: not indicated because")
    assert page.count("ANYWAY: not indicated") >= 3  # beside the comparison, over the plan, on the procedure sheet
    assert "1064" in page
    assert "Power into the tissue (W)" in page


@pytest.mark.slow
def test_cryoablation_is_planned_and_shows_ice_and_lethal_cold(case, tmp_path):
    plan, page = check(planned(case, "cryo"), tmp_path, 1e-3)
    assert {f.limit_id for f in plan.findings if f.structure == "sciatic_nerve_right"} == {
        "nerve-lowest-temperature",
        "nerve-stand-off",
    }
    assert not any(f.unit == "CEM43 min" for f in plan.findings)
    assert "hottest_c" not in plan.measures
    assert plan.measures["coldest_c"].best < -40.0
    freeze = plan.steps[0].setting
    assert plan.measures["minutes"].best == pytest.approx((2 * freeze.control("time_s") + freeze.control("thaw_s")) / 60)
    for said in ("0 °C, lowest reached", "−20 °C, lowest reached", "−40 °C, lowest reached", "Volume by temperature (cm³)"):
        assert said in page
    assert (tmp_path / "plan_L1_cryoablation_lowest_temperature.nii.gz").exists()


@pytest.mark.parametrize("name", ["radiofrequency_monopolar", "radiofrequency_bipolar", "microwave", "cryoablation", "laser"])
def test_what_is_closed_is_planned_only_anyway_whatever_the_treatment(tmp_path, name):
    write("vertebra", tmp_path / "case", spacing_mm=SPACING_MM)
    told = journey(tmp_path / "case", PlanRequest(treatments=(name,)), with_plans=False)
    status = told.verdicts.of("L1", name, "strict").status
    strict, anyway = (condition_of(told.verdicts, "L1", name, PlanRequest(policy="strict", anyway=a)) for a in (False, True))
    if status in ("excluded", "not_indicated"):
        assert strict is None
        assert anyway.startswith(f"ANYWAY: {status.replace('_', ' ')} because")
    else:
        assert status == "needs"
        assert strict == anyway
        assert strict.startswith("if ")
