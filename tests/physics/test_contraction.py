"""A zone is measured after the tissue has contracted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteon.physics.contraction import kept, laws
from osteon.validation.rfa_case import zone_mm


def test_the_published_shares_are_met_and_nothing_contracts_up_to_50_degrees():
    shares = 1.0 - kept(np.array([20.0, 50.0, 60.0, 65.0, 75.0, 85.0, 95.0, 120.0]))
    assert shares == pytest.approx([0.0, 0.0, 0.123, 0.138, 0.166, 0.192, 0.217, 0.217])
    assert all(value.source == "rossmann-2014" for value in laws().values())


@given(st.floats(-50, 500), st.floats(0, 200))
def test_hotter_never_contracts_less(cold, more):
    assert kept(np.array([cold + more])) <= kept(np.array([cold]))


def test_a_ball_of_one_temperature_shrinks_by_that_share_in_every_direction():
    axis = np.arange(-20, 21.0)
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    inside = 12.0 - np.sqrt(z**2 + y**2 + x**2)
    before = zone_mm(inside, 0.0, 1.0)
    after = zone_mm(inside, 0.0, 1.0, kept(np.full(inside.shape, 75.0)))
    assert after[0] == pytest.approx(0.834 * before[0], rel=1e-6)
    assert after[1] == pytest.approx(0.834 * before[1], rel=1e-6)
    assert after[2] == pytest.approx(0.834**3 * before[2], rel=1e-6)
