"""Potential round electrodes: power, symmetry, rotation, bipolar, absurd input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.errors import InputError
from osteon.physics.lines import Line
from osteon.physics.potential import potential

H, SHAPE = 1e-3, (37, 41, 45)
ROD = Line((0.0181, 0.0203, 0.014), (0.0181, 0.0203, 0.030), 7.5e-4)


def tissue(seed=0, contrast=500.0, shape=SHAPE):
    """Random voxels between 1 and 1/contrast S/m."""
    return np.exp(-np.random.default_rng(seed).uniform(0, np.log(contrast), shape))


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6])
@pytest.mark.parametrize("boundary", ["dirichlet", "robin"])
def test_power_balances_whatever_the_tolerance(tolerance, boundary):
    found = potential(tissue(), H, [(ROD, 30.0)], boundary=boundary, tolerance=tolerance)
    assert found.balance < 1e-6
    assert found.power_w > 0
    assert (found.outside_w > 0) == (boundary == "robin")


def test_power_balances_from_a_warm_start():
    cold = potential(tissue(), H, [(ROD, 30.0)])
    warm = potential(tissue() * 1.05, H, [(ROD, 60.0)], start=cold.phi_v, tolerance=1e-4)
    assert warm.balance < 1e-6


def test_bipolar_without_ground_has_no_net_current():
    other = Line((0.0181, 0.0263, 0.014), (0.0181, 0.0263, 0.030), 7.5e-4)
    found = potential(np.full(SHAPE, 0.4), H, [(ROD, 10.0), (other, -10.0)], boundary="neumann")
    assert abs(found.current_a.sum()) < 1e-6 * found.current_a[0]
    assert found.resistance_ohm == pytest.approx(20.0 / found.current_a[0], rel=1e-5)
    assert found.balance < 1e-6


def test_everything_is_linear_in_the_voltage():
    one, ten = (potential(tissue(3, 10.0), H, [(ROD, v)]) for v in (1.0, 10.0))
    assert ten.current_a[0] == pytest.approx(10 * one.current_a[0], rel=1e-9)
    assert ten.power_w == pytest.approx(100 * one.power_w, rel=1e-9)
    assert ten.resistance_ohm == pytest.approx(one.resistance_ohm, rel=1e-9)


@settings(max_examples=6, deadline=None)
@given(st.permutations([0, 1, 2]), st.tuples(*[st.booleans()] * 3))
def test_turning_tissue_and_electrode_together_changes_nothing(order, flips):
    sigma = tissue(1, 20.0)
    found = potential(sigma, H, [(ROD, 10.0)], tolerance=1e-9)
    ends = [np.array(p) for p in (ROD.start_m, ROD.end_m)]
    for axis, flip in enumerate(flips):
        if flip:
            sigma = np.flip(sigma, axis)
            for p in ends:
                p[axis] = (SHAPE[axis] - 1) * H - p[axis]
    turned = np.ascontiguousarray(sigma.transpose(order))
    line = Line(*(tuple(float(p[i]) for i in order) for p in ends), ROD.radius_m)
    again = potential(turned, H, [(line, 10.0)], tolerance=1e-9)
    assert again.current_a[0] == pytest.approx(found.current_a[0], rel=1e-6)
    assert again.power_w == pytest.approx(found.power_w, rel=1e-6)


def test_two_swapped_electrodes_have_one_mutual_conductance():
    other = Line((0.010, 0.0300, 0.020), (0.025, 0.0300, 0.020), 5e-4)
    sigma = tissue(2, 50.0)
    a = potential(sigma, H, [(ROD, 1.0), (other, 0.0)], tolerance=1e-9).current_a[1]
    b = potential(sigma, H, [(ROD, 0.0), (other, 1.0)], tolerance=1e-9).current_a[0]
    assert a == pytest.approx(b, rel=1e-6)
    assert a < 0


def test_metal_in_the_field_draws_current():
    sigma = np.full(SHAPE, 0.3)
    plain = potential(sigma, H, [(ROD, 10.0)])
    sigma[10:27, 26:28, 10:35] = 3e4
    beside = potential(sigma, H, [(ROD, 10.0)])
    assert beside.solved.how == "converged"
    assert beside.resistance_ohm < plain.resistance_ohm
    assert beside.balance < 1e-6
    inside = beside.phi_v[12:25, 26:28, 12:33]
    assert np.ptp(inside) < 0.01 * inside.mean()


def test_no_voltage_does_nothing():
    found = potential(np.full(SHAPE, 0.3), H, [(ROD, 0.0)])
    assert found.solved.how == "nothing"
    assert not found.heat_w_m3.any()
    assert not found.current_a.any()


def test_equal_voltages_without_ground_carry_nothing():
    found = potential(np.full(SHAPE, 0.3), H, [(ROD, 5.0)], boundary="neumann")
    assert found.current_a[0] == pytest.approx(0.0, abs=1e-9)
    assert found.power_w == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("electrodes", [[], [(ROD, np.nan)], [(Line((0.5, 0, 0), (0.6, 0, 0), 1e-3), 1.0)]])
def test_unusable_electrodes_are_refused(electrodes):
    with pytest.raises(InputError):
        potential(np.full(SHAPE, 0.3), H, electrodes)


def test_twenty_probes_in_one_voxel_and_a_probe_in_air_end_with_numbers():
    found = potential(np.full(SHAPE, 0.3), H, [(ROD, float(v)) for v in range(20)])
    assert found.solved.how == "converged"
    assert found.balance < 1e-6
    air = potential(np.zeros(SHAPE), H, [(ROD, 10.0)])
    assert (air.solved.how, air.power_w, air.resistance_ohm) == ("nothing", 0.0, np.inf)
