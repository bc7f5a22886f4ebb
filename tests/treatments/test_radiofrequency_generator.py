"""The generator as a state machine, without any tissue."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteon.errors import SettingError
from osteon.treatments.radiofrequency.generator import Generator, Program, Reading


def test_constant_power_is_that_power_at_any_resistance():
    generator = Generator(Program("power", 40.0))
    for ohm in (20.0, 100.0, 400.0):
        volts = generator.voltage(Reading(0.0, ohm), 1.0)
        assert volts**2 / ohm == pytest.approx(40.0)


@given(ohm=st.floats(1.0, 1e4), power=st.floats(0.0, 200.0), most=st.floats(0.1, 3.0))
def test_no_limit_is_ever_exceeded(ohm, power, most):
    program = Program("power", power, most_current_a=most, most_voltage_v=150.0)
    volts = Generator(program).voltage(Reading(0.0, ohm), 1.0)
    assert volts <= 150.0 * (1 + 1e-12)
    assert volts / ohm <= most * (1 + 1e-12)
    assert volts**2 / ohm <= power * (1 + 1e-12)


def test_twice_the_lowest_impedance_stops_the_power_for_fifteen_seconds():
    generator = Generator(Program("impedance", 100.0))
    ohms = {0: 100.0, 1: 80.0, 2: 159.0, 3: 161.0}
    given_v = [generator.voltage(Reading(float(t), ohms.get(t, 90.0)), 1.0) for t in range(25)]
    off = [t for t, volts in enumerate(given_v) if volts == 0]
    assert off == list(range(3, 18))
    assert generator.pauses == 1


def test_pulses_follow_the_clock():
    generator = Generator(Program("pulsed", 50.0, on_s=10.0, off_s=5.0))
    on = [generator.voltage(Reading(float(t), 50.0), 1.0) > 0 for t in range(30)]
    assert on == ([True] * 10 + [False] * 5) * 2


@pytest.mark.parametrize("step", [0.25, 1.0, 3.0])
def test_the_controller_reaches_its_temperature_without_swinging(step):
    """A tip that warms by 0.02 K/s/V² and cools with 5 s: explicit control at 40 V/K would go from limit to limit."""
    generator = Generator(
        Program("temperature", 50.0, temperature_c=80.0, most_voltage_v=100.0, proportional_v_k=40.0, integral_v_ks=0.01)
    )
    tip, noted = 37.0, []
    for n in range(int(120 / step)):
        volts = generator.voltage(Reading(n * step, 150.0, tip, 0.02), step)
        for _ in range(50):
            tip += step / 50 * (0.02 * volts**2 - (tip - 37.0) / 5.0)
        noted.append((tip, volts))
    last = noted[len(noted) // 2 :]
    assert max(t for t, _ in noted) < 82.0
    assert min(t for t, _ in last) > 78.0
    volts = [v for _, v in last]
    assert max(volts) - min(volts) < 0.05 * max(volts)


@pytest.mark.parametrize(
    "wrong", [{"power_w": -1.0}, {"rise": 1.0}, {"pause_s": 0.0}, {"most_current_a": 0.0}, {"power_w": math.nan}]
)
def test_an_absurd_program_is_refused(wrong):
    with pytest.raises(SettingError):
        Program(**{"mode": "impedance", "power_w": 10.0, **wrong})


def test_temperature_control_without_temperature_is_refused():
    with pytest.raises(SettingError):
        Program("temperature", 10.0)
