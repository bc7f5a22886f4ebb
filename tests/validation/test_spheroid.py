"""The reference case ``spheroid`` in part: all twenty poses run in ``make validate``."""

from __future__ import annotations

import pytest

from osteon.validation import spheroid


def test_thermal_reference_t2_number():
    assert pytest.approx(52.382, abs=5e-4) == spheroid.SPHEROID_OHM


def test_three_poses_at_1_mm():
    rows = spheroid.pose_rows(1.0, count=3)
    assert len(rows) == 5
    assert all(row.passed for row in rows)


def test_sphere_has_its_resistance_and_its_heat_falls_with_the_fourth_power():
    rows = spheroid.sphere_rows()
    assert [row.passed for row in rows] == [True] * 3


def test_a_rod_is_not_the_spheroid():
    assert spheroid.cylinder_row().value < 0.95 * spheroid.SPHEROID_OHM


@pytest.mark.slow
def test_one_pose_at_half_a_millimetre():
    assert all(row.passed for row in spheroid.pose_rows(0.5, count=1))
