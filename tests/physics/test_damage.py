"""Thermal damage: published numbers, closed forms, laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import constants

from osteon.errors import InputError
from osteon.physics import damage
from osteon.physics.bioheat_dose_kernels import cem43_between
from osteon.validation import cem43 as reference

temperatures = st.floats(30.0, 90.0)


@pytest.mark.parametrize(("temperature", "seconds"), [(50.0, 112.0), (55.0, 3.5), (60.0, 0.11)])
def test_thermal_reference_240_min_in_seconds(temperature, seconds):
    per_second = float(damage.cem43(np.array([0.0, 1.0]), np.array([temperature, temperature])))
    assert 240 / per_second == pytest.approx(seconds, rel=5e-3)


@pytest.mark.parametrize(("name", "one_minute"), [("liver", 50.1), ("skin", 54.0), ("bone_beside_cement", 53.3), ("fat", 95.4)])
def test_thermal_reference_one_minute_temperature(name, one_minute):
    pair = damage.arrhenius(name)
    assert damage.one_minute_temperature(pair) == pytest.approx(one_minute, abs=0.05)
    hold = np.full(2, damage.one_minute_temperature(pair))
    assert float(damage.omega(np.array([0.0, 60.0]), hold, pair)) == pytest.approx(1.0, rel=1e-9)


def test_jacques_1991_half_of_liver_whitens_by_its_eyring_law():
    pair, kelvin = damage.arrhenius("liver_whitening"), np.array([45.0, 55.0, 60.0, 70.0]) + 273.15
    assert pair.threshold.number == pytest.approx(np.log(2.0))
    published = constants.k * kelvin / constants.h * np.exp(553.5 / constants.R - 2.768e5 / (constants.R * kelvin))
    assert pair.rate(kelvin - 273.15) == pytest.approx(published, rel=1e-3)
    assert damage.one_minute_temperature(pair) == pytest.approx(57.80, abs=0.01)
    hold = np.full(2, damage.one_minute_temperature(pair))
    assert float(damage.dead_fraction(damage.omega(np.array([0.0, 60.0]), hold, pair))) == pytest.approx(0.5, rel=1e-9)
    assert "57.8 °C" in damage.criteria()["arrhenius_liver_whitening"].title


def test_only_liver_whitening_has_a_threshold_of_its_own():
    assert {name for name, pair in damage.arrhenius_pairs().items() if pair.threshold.number != 1.0} == {"liver_whitening"}


def test_eriksson_1983_47_c_for_one_minute_is_16():
    assert float(damage.cem43(np.array([0.0, 60.0]), np.array([47.0, 47.0]))) == pytest.approx(16.0)


def test_prostate_pair_is_not_shipped():
    assert "prostate" not in damage.arrhenius_pairs()
    with pytest.raises(InputError):
        damage.arrhenius("prostate")


def test_validate_cem43_passes():
    report = reference.run()
    assert report.passed, [row for row in report.rows if row.passed is False]
    assert all(row.passed for row in report.rows)


def test_exact_at_43_from_both_sides():
    times = np.array([0.0, 60.0])
    assert float(damage.cem43(times, np.array([43.0, 43.0]))) == pytest.approx(1.0)
    assert float(damage.cem43(times, np.array([42.0, 43.0]))) == pytest.approx(0.75 / np.log(4), rel=1e-12)
    assert float(damage.cem43(times, np.array([43.0, 44.0]))) == pytest.approx(1.0 / np.log(2), rel=1e-12)
    assert float(damage.cem43(times, np.array([38.0, 38.999]))) == 0.0


@settings(max_examples=60, deadline=None)
@given(temperatures, temperatures, st.floats(0.1, 600.0))
def test_law_line_equals_its_many_short_pieces(t0, t1, seconds):
    s = np.linspace(0, 1, 4001)
    line = t0 + (t1 - t0) * (s[:-1] + s[1:]) / 2
    rate = np.where(line >= 43, 0.5 ** (43 - line), np.where(line >= 39, 0.25 ** (43 - line), 0.0))
    brute = rate.mean() * seconds / 60
    ours = float(damage.cem43(np.array([0.0, seconds]), np.array([t0, t1])))
    step = 0.25**4 * seconds / 60 / 4000  # the jump at 39 °C within one piece
    assert ours == pytest.approx(brute, rel=1e-4, abs=2 * step + 1e-12)
    assert cem43_between(t0, t1, seconds / 60) == pytest.approx(ours, rel=1e-9, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.lists(temperatures, min_size=3, max_size=8), st.floats(0.0, 5.0))
def test_law_hotter_is_never_less_dose(values, warmer):
    times = np.arange(len(values)) * 7.0
    cool = np.array(values)
    assert damage.cem43(times, cool + warmer) >= damage.cem43(times, cool) * (1 - 1e-12)
    pair = damage.arrhenius("liver")
    assert damage.omega(times, cool + warmer, pair) >= damage.omega(times, cool, pair) * (1 - 1e-12)


@settings(max_examples=40, deadline=None)
@given(temperatures, temperatures, st.floats(0.05, 0.95))
def test_law_cutting_a_line_changes_nothing(t0, t1, part):
    times, cut = np.array([0.0, 100.0]), np.array([0.0, 100.0 * part, 100.0])
    whole = float(damage.cem43(times, np.array([t0, t1])))
    pieces = float(damage.cem43(cut, np.array([t0, t0 + (t1 - t0) * part, t1])))
    assert pieces == pytest.approx(whole, rel=1e-7, abs=1e-9)


def test_three_states_sum_to_one_and_full_life_is_a_trap():
    times, hot = np.array([0.0, 900.0]), np.array([[37.0, 55.0, 70.0], [37.0, 55.0, 70.0]])
    alive, vulnerable, dead = damage.three_state_death(times, hot)
    np.testing.assert_allclose(alive + vulnerable + dead, 1.0, atol=1e-12)
    assert damage.constants("three_state")["alive_start"].number == 0.99
    assert dead[0] < 0.01
    assert (np.diff(dead) > 0).all()
    assert dead[2] > 0.9
    finer = damage.three_state_death(times, hot, longest_step_s=0.05)
    np.testing.assert_allclose(finer[2], dead, atol=1e-6)


def test_lost_samples_are_refused():
    for times, values in (([0.0, 1.0], [40.0, np.nan]), ([0.0, 0.0], [40.0, 40.0]), ([0.0], [40.0])):
        with pytest.raises(InputError) as caught:
            damage.cem43(np.array(times), np.array(values))
        assert caught.value.why
        assert caught.value.do


@pytest.mark.parametrize("hot_c", [150.0, 1100.0, 1200.0, 5000.0])
def test_law_no_heat_is_too_hot_to_count(hot_c: float):
    for start_c in (37.0, hot_c):
        dose = damage.cem43(np.array([0.0, 1e-3]), np.array([start_c, hot_c]))
        assert dose == damage.caps()["cem43_min"]
