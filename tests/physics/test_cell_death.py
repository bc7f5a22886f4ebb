"""Three-state cell death on fields: the same law as on traces, and the cost of a whole run."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.errors import InputError
from osteon.physics import bioheat, damage
from osteon.physics.cell_death import CellDeath, together


def samples(seed, count=40):
    """Return times [s] and temperatures [°C] of 27 voxels that rise and fall."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.5, 4.0, count))
    peak = rng.uniform(38.0, 95.0, (3, 3, 3))
    shape = np.sin(np.linspace(0, np.pi, count))[:, None, None, None]
    return times, (37.0 + (peak - 37.0) * shape).astype(np.float32)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_oneill_2011_field_is_the_trace_of_every_voxel(seed):
    times, temperature = samples(seed)
    field = CellDeath()
    for t, values in zip(times, temperature):
        field(t, values)
    _, _, dead = damage.three_state_death(times, temperature)
    assert np.abs(field.viability - (1 - dead)).max() < 2e-3  # float32 state, steps of 2 s; set beforehand


def test_idle_tissue_is_computed_once_and_is_not_immortal():
    field = CellDeath()
    body = np.full((4, 4, 4), 37.0, np.float32)
    for t in np.arange(0.0, 901.0, 2.0):
        field(t, body)
    times = np.array([0.0, 900.0])
    _, _, dead = damage.three_state_death(times, np.full(2, 37.0))
    assert field.touched == 0
    assert np.abs(field.viability - (1 - float(dead))).max() < 1e-4


@settings(max_examples=25, deadline=None)
@given(st.floats(40.0, 80.0), st.floats(0.5, 10.0))
def test_law_hotter_is_never_more_alive(peak, more):
    field = CellDeath()
    base = np.array([[[peak, peak + more]]], np.float32)
    for t in np.arange(0.0, 121.0, 2.0):
        field(t, base if 10 <= t <= 100 else np.full_like(base, 37.0))
    cooler, hotter = field.viability.ravel()
    assert hotter <= cooler + 1e-6


def test_a_run_of_heat_with_and_without_it():
    shape = (48, 48, 48)
    materials = bioheat.Materials(*(np.full(shape, v, np.float32) for v in (0.5, 3.8e6, 2.0e3, 0.0)))
    source = np.zeros(shape, np.float32)
    source[22:27, 22:27, 22:27] = 8e7
    stages = [bioheat.Stage(120.0, source), bioheat.Stage(60.0)]
    plain = bioheat.heat(1.0, materials, stages, dose_every_s=2.0)
    field, seen = CellDeath(), []
    probed = bioheat.heat(1.0, materials, stages, dose_every_s=2.0, probe=together(field, lambda t, _: seen.append(t)))
    assert np.array_equal(plain.temperature_c, probed.temperature_c)  # to look changes nothing
    assert (seen[0], seen[-1]) == pytest.approx((0.0, 180.0))
    assert 60 <= len(seen) <= 92
    dead = field.dead()
    assert dead[24, 24, 24]
    assert not dead[0, 0, 0]
    assert 0.1 < dead.sum() / max((probed.cem43_min >= 240).sum(), 1) < 10


def test_samples_that_go_back_in_time_are_refused_in_three_parts():
    field = CellDeath()
    with pytest.raises(InputError):
        _ = field.viability
    field(1.0, np.full((2, 2, 2), 37.0))
    with pytest.raises(InputError) as error:
        field(1.0, np.full((2, 2, 2), 37.0))
    assert all((error.value.what, error.value.why, error.value.do))
