"""Virtual thermocouples: lag against its exact solution, places drawn from a seed, fields read where the probe really is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.errors import InputError
from osteon.evidence.value import Uniform
from osteon.physics import bioheat
from osteon.physics.sensors import Sensors, Thermocouple, constants, lagged, read
from osteon.space.volume import Grid

GRID = Grid.box(np.array([-10.0, -10.0, -10.0]), np.array([10.0, 10.0, 10.0]), 1.0)


def linear_field():
    """Return T = 40 + 0.5 x + 0.25 y - 0.1 z (LPS mm) on the grid."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in GRID.shape], indexing="ij"), -1).reshape(-1, 3)
    x, y, z = np.asarray(GRID.to_mm(index.astype(float))).T
    return (40 + 0.5 * x + 0.25 * y - 0.1 * z).reshape(GRID.shape)


def test_exact_ramp_lags_by_one_time_constant():
    times = np.linspace(0.0, 20.0, 41)
    rate, tau = 2.0, 1.5
    field = np.broadcast_to((37.0 + rate * times)[:, None, None, None], (times.size, *GRID.shape))
    probe = read(GRID, times, field, [Thermocouple("a", (0.3, 0.2, 0.1), tau, 0.0)])["a"]
    exact = 37.0 + rate * (times - tau * (1 - np.exp(-times / tau)))
    assert np.abs(probe.read_c - exact).max() < 1e-9


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.floats(-9.0, 9.0)] * 3))
def test_a_linear_field_is_read_exactly_between_voxels(place):
    x, y, z = place
    probe = read(GRID, np.array([0.0]), linear_field()[None], [Thermocouple("a", place)])["a"]
    assert probe.read_c[0] == pytest.approx(40 + 0.5 * x + 0.25 * y - 0.1 * z, abs=1e-9)


def test_places_come_from_the_seed_and_have_the_stated_scatter():
    probe = Thermocouple("tip", (1.0, 2.0, 3.0), position_error_mm=1.5)
    assert probe.drawn_mm(7) == probe.drawn_mm(7)
    assert probe.drawn_mm(7) != probe.drawn_mm(8)
    assert probe.drawn_mm(None) == probe.place_mm
    off = np.array([probe.drawn_mm(seed) for seed in range(2000)]) - probe.place_mm
    assert off.std(axis=0) == pytest.approx(1.5, rel=0.06)  # 2000 draws: standard error 1.6 %
    assert np.abs(off.mean(axis=0)).max() < 0.12
    other = Thermocouple("base", (1.0, 2.0, 3.0), position_error_mm=1.5)
    assert other.drawn_mm(7) != probe.drawn_mm(7)


def test_what_was_not_read_in_a_source_says_so_and_has_a_spread():
    for value in constants().values():
        assert not value.verified
        assert getattr(value.spread, "gsd", 2.0) >= 2.0
    assert isinstance(constants()["position_error_mm"].spread, Uniform)


def test_probes_in_a_run_of_heat_read_less_than_is_there_while_it_warms():
    shape = GRID.shape
    materials = bioheat.Materials(*(np.full(shape, v, np.float32) for v in (0.5, 3.8e6, 0.0, 0.0)))
    source = np.zeros(shape, np.float32)
    source[8:13, 8:13, 8:13] = 4e6
    sensors = Sensors(GRID, [Thermocouple("slow", (0, 0, 0), 5.0, 0.0), Thermocouple("at once", (0, 0, 0), 0.0, 0.0)])
    result = bioheat.heat(1.0, materials, [bioheat.Stage(30.0, source)], probe=sensors, probe_every_s=1.0)
    slow, fast = sensors.readings["slow"], sensors.readings["at once"]
    assert np.array_equal(fast.read_c, fast.there_c)
    assert (slow.read_c[1:] < slow.there_c[1:]).all()
    assert fast.read_c[-1] == pytest.approx(float(result.temperature_c[10, 10, 10]), abs=1e-4)
    assert slow.times_s[-1] == pytest.approx(30.0)


@pytest.mark.parametrize(
    "wrong",
    [
        [Thermocouple("a", (0, 0, 99.0))],
        [Thermocouple("a", (0, 0, 0)), Thermocouple("a", (1, 0, 0))],
        [Thermocouple("a", (0, 0, 0), time_constant_s=-1.0)],
        [Thermocouple("a", (0, 0, 0), position_error_mm=float("nan"))],
    ],
)
def test_impossible_probes_are_refused_in_three_parts(wrong):
    with pytest.raises(InputError) as error:
        Sensors(GRID, wrong)
    assert all((error.value.what, error.value.why, error.value.do))


def test_time_that_goes_back_is_refused():
    sensors = Sensors(GRID, [Thermocouple("a", (0, 0, 0))])
    sensors(1.0, linear_field())
    with pytest.raises(InputError):
        sensors(0.5, linear_field())


@settings(max_examples=50, deadline=None)
@given(st.floats(20, 100), st.floats(20, 100), st.floats(0.01, 100.0), st.floats(0.0, 50.0))
def test_law_what_is_shown_stays_between_what_was_shown_and_what_is_there(shown, there, seconds, tau):
    now = lagged(shown, there, there, seconds, tau)
    assert min(shown, there) - 1e-9 <= now <= max(shown, there) + 1e-9
