"""What the page shows of the run behind a plan: cold as well as heat, devices not verified, criteria that disagree, traces."""

import re
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import fake_journey as fake

from osteon.evidence.value import Band, Fixed, Value
from osteon.planning.plan import Finding
from osteon.report import run_content, words
from osteon.report.figures import COLD_C, Overlay, legend
from osteon.report.graphs import Line, run_course, time_course
from osteon.report.html import render
from osteon.report.plan_content import courses, is_cold
from osteon.space.anatomy import Field
from osteon.space.volume import Volume
from osteon.treatments.base import Ended, Setting, Trace
from osteon.treatments.catalog import entries, treatment
from osteon.treatments.needles import device_values

NERVE = "sciatic_nerve_right"
TIMES = np.linspace(0, 1860, 94)
DISAGREE = "The cold criteria disagree: 10.0 cm³ by −40 °C reached, 47.7 cm³ by 0 °C reached (visible ice); the edges lie apart."
SIMULATED = ("focused_ultrasound", "radiofrequency_monopolar", "radiofrequency_bipolar", "microwave", "cryoablation", "laser")


def frozen(base):
    """Return the made-up plan as one that freezes."""
    (step,) = base.steps
    warm = step.effect.state[Field.TEMPERATURE_C]
    lowest = Volume((37 - (warm.array - 37) * 1.6).astype(np.float32), warm.grid)
    traces = {
        f"coldest:{NERVE}": Trace(TIMES, 37 - 33 * np.sin(np.pi * TIMES / 2400), "degC"),
        "ice_cm3": Trace(TIMES, 0.02 * TIMES, "cm^3"), "below_-20c_cm3": Trace(TIMES, 0.01 * TIMES, "cm^3"),
        "zone_cm3": Trace(TIMES, 0.005 * TIMES, "cm^3"),
        "wall_c:1": Trace(TIMES, 37 - 0.08 * TIMES, "degC"), "wall_c:2": Trace(TIMES, 37 - 0.07 * TIMES, "degC"),
        "probe_power_w:1": Trace(TIMES, np.full(94, 22.0), "W"),
    }  # fmt: skip
    effect = replace(
        step.effect, title="cryoablation 10-8-10 min", state={Field.FROZEN_MIN_C: lowest}, traces=traces,
        used={"lethal_cold": Value(-40.0, "degC", Fixed(), "li-2022")}, ended=Ended("time", "", None, 1e-4, 100),
        measures={"visible_ice_cm3": 47.7, "zone_ice_0c_cm3": 47.7, "zone_cold_40c_cm3": 10.0, "zone_cold_40c_long_mm": 45.5,
                  "zone_cold_40c_short_mm": 20.0, "criteria_cold_disagree_long_mm": 12.4},
        assumptions=("Dead is what reached -40 °C.", DISAGREE),
    )  # fmt: skip
    setting = replace(step.setting, device="generic-2.4mm", controls=(("time_s", 600.0), ("thaw_s", 480.0), ("freezes", 2.0)))
    cold = Finding(
        "nerve-lowest-temperature",
        NERVE,
        Band.of(4.0),
        "°C",
        0.0,
        "warning",
        "nerve: 4 °C, limit 0",
        (-86.0, 46.0, -200.0),
        1680.0,
    )
    findings = tuple(cold if f.structure == NERVE else f for f in base.findings)
    steps = (replace(step, treatment="cryoablation", setting=setting, effect=effect),)
    return replace(base, treatment="cryoablation", steps=steps, findings=findings, after=None)


@cache
def cold_page():
    journey = fake.journey()
    return " ".join(render(replace(journey, plans=tuple(frozen(p) for p in journey.plans))).split())


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_a_page_about_cold_shows_ice_and_both_isotherms_with_a_legend():
    page = cold_page()
    assert COLD_C == (0.0, -20.0, -40.0)
    for level in ("0", "−20", "−40"):
        assert f"{level} °C, lowest reached" in page
    assert "edge of the ice that is seen" in page
    assert "Shaded from 0 °C (dark) to −80 °C (light)" in page
    assert "CEM43 240 min: edge" not in page
    assert '<th scope="col">Coldest</th>' in page
    assert '<th scope="col">Hottest</th>' not in page
    assert "The ice that is seen is larger than what is dead" in page


def test_the_procedure_sheet_stops_below_the_limit_of_cold_and_names_the_alarm():
    sheet = text_of(cold_page()[cold_page().index("Procedure sheet ·") :])
    assert "Below 0 °C (alarm at 10 °C) : right sciatic nerve" in sheet
    assert "Each freeze 10 min" in sheet
    assert "10-8-10 min (freeze, passive thaw, freeze)" in sheet
    assert "Device not verified: generic argon cryoprobe" in sheet
    assert "Cryoprobe" in text_of(cold_page())
    assert "Antenna" not in sheet


def test_where_criteria_disagree_the_page_says_so_beside_the_table():
    page = text_of(cold_page())
    assert "The zone by every criterion: cryoablation 10-8-10 min" in page
    assert DISAGREE in page
    assert page.count("The cold criteria disagree") == 1  # with the table, not again among the assumptions
    assert "Dead is what reached -40 °C." in page
    (table,) = run_content.criteria_of(frozen(fake.plan()))
    assert [r.counted for r in table.rows] == [False, True]


@pytest.mark.parametrize("name", SIMULATED)
def test_every_device_with_a_number_nobody_read_is_stamped(name):
    base = fake.plan()
    for device, entry in treatment(name).devices.items():
        steps = (replace(base.steps[0], treatment=name, setting=replace(base.steps[0].setting, device=device)),)
        stamps = run_content.device_stamps(replace(base, treatment=name, steps=steps))
        doubtful = sum(not v.verified for v in device_values(entry).values())
        assert bool(stamps) == bool(doubtful), device
        if doubtful:
            assert stamps[0].startswith(f"Device not verified: {entry['title']}. {doubtful} of its ")


def test_a_device_in_no_list_is_stamped_and_a_verified_one_is_not(monkeypatch):
    (stamp,) = run_content.device_stamps(fake.plan())
    assert "is in no list of devices" in stamp or "not read in a source" in stamp
    read = {"title": "t", "gauge": {"value": 17, "unit": "1", "spread": "fixed", "source": "cha-2009", "verified": True}}
    monkeypatch.setattr(run_content, "entry_of", lambda step: read)
    assert run_content.device_stamps(fake.plan()) == []


@pytest.mark.parametrize("name", SIMULATED)
def test_what_a_run_tells_is_told_in_words(name):
    assert name in entries()
    for key in words.RUN_MEASURES:
        told = words.named(key)
        assert told.label[0].isupper() or told.label.startswith("pH"), key
        assert "_" not in told.label
        if key.endswith(("_w", "_j", "_c", "_cm3", "_ma", "_s")):
            assert told.unit, key
    for kind in words.TRACES:
        assert words.TRACES[kind]


def test_the_course_of_a_cold_structure_falls_towards_its_limit():
    pictures, _, _ = courses(frozen(fake.plan()))
    assert any("Coldest point of the right sciatic nerve" in p.alt for p in pictures)
    picture = time_course(
        Trace(TIMES, np.linspace(37, -12, 94), "degC"), "nerve", 0.0, cold=True, spans_s=[(0, 600), (1080, 1680)]
    )
    assert "at least −12" in picture.alt
    assert picture.svg.count(">freeze<") == 2
    assert is_cold(Finding("x", NERVE, None, "°C", 0.0, "unknown", ""))
    assert not is_cold(Finding("x", NERVE, None, "°C", 45.0, "unknown", ""))


def test_lines_of_one_chart_are_told_apart_by_dash_and_named_with_their_range():
    lines = [Line(Trace(TIMES, (i + 1) * 0.01 * TIMES, "cm^3"), f"line {i}") for i in range(3)]
    picture = run_course(lines, "Volume", "cm³", [(0, 600), (1080, 1680)])
    assert len(set(re.findall(r'stroke-dasharray="([^"]+)"', picture.svg))) >= 2
    for i in range(3):
        assert f"line {i}: 0 to" in picture.svg
    assert "cm³" in picture.alt


def test_a_chart_of_power_on_ends_with_power_off():
    picture = run_course([Line(Trace(TIMES, 83 - 0.01 * TIMES, "ohm"), "")], "Impedance", "Ω", [(0, 720)])
    assert "power off" in picture.svg
    assert "Impedance (Ω)" in picture.svg


def test_the_legend_of_cold_has_three_different_lines():
    swatches = [e.swatch for e in legend((), Overlay(lowest_c=fake.effect(fake.anatomy()).state[Field.TEMPERATURE_C]))]
    assert len(swatches) == len(set(swatches)) == 3


@pytest.mark.parametrize(
    ("controls", "spans"),
    [
        ((("power_w", 50.0), ("time_s", 480.0)), [(0.0, 480.0)]),
        ((("time_s", 600.0), ("thaw_s", 480.0), ("freezes", 2.0)), [(0.0, 600.0), (1080.0, 1680.0)]),
        ((), []),
    ],
)
def test_when_the_device_works(controls, spans):
    step = fake.plan().steps[0]
    assert run_content.spans_of(replace(step, setting=Setting("d", step.setting.poses, controls))) == spans
