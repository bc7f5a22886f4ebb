"""Thin lines in a voxel grid: the exact effective radius, weights, ends."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad

from osteon.errors import InputError
from osteon.physics import lines
from osteon.physics.lines import Line, average, deposit, log_conductance, over_step, spread, weights

SHAPE, H = (41, 37, 43), 1e-3
ROD = Line((0.0203, 0.0187, 0.008), (0.0203, 0.0187, 0.034), 0.0004)


def test_effective_radius_of_a_gaussian_line_is_1_4986_widths():
    assert pytest.approx(1.4986, abs=5e-5) == lines.REACH


@pytest.mark.parametrize("x", [0.01, 0.7, 2.9, 3.1, 8.0])
def test_integral_of_erf_over_its_argument(x):
    exact = quad(lambda t: math.erf(t) / t, 0, x)[0]
    assert float(lines._erf_integral(np.array([x]))[0]) == pytest.approx(exact, abs=2e-6)


def test_middle_of_a_long_line_has_the_endless_radius_less_the_lattice():
    long = weights(Line((0.02, 0.018, -1.0), (0.02, 0.018, 1.0), 0.0004), SHAPE, H)
    width = 0.8e-3
    softness = 0.75 * (H / width) ** 2 / 24
    assert long.r_eff_m == pytest.approx(lines.REACH * width * math.exp(-softness), rel=1e-4)


def test_a_line_much_shorter_than_its_radius_is_a_sphere():
    a, k, tiny = 2e-3, 0.5, 1e-6
    rows = weights(Line((0.02, 0.02, 0.02), (0.02, 0.02, 0.02 + tiny), a), SHAPE, H)
    width = lines.WIDTH_RADII * a
    smeared = 1 / (4 * math.pi * k * math.sqrt(math.pi) * width)  # self potential of a Gaussian point, averaged by it
    softness = H**2 / 12 * 0.75 / (8 * math.pi**1.5 * width**3) / k
    exact = 1 / (4 * math.pi * k * a) - smeared - softness
    assert 1 / float(log_conductance(k, rows)[0] * tiny) == pytest.approx(exact, rel=1e-3)


def test_rows_sum_to_one_and_lengths_to_the_line():
    rows = weights(ROD, SHAPE, H)
    assert rows.weight.sum(axis=1) == pytest.approx(1.0, abs=1e-12)
    assert rows.length_m.sum() == pytest.approx(ROD.length_m)
    assert (rows.r_eff_m > rows.radius_m).all()
    assert rows.index.min() >= 0
    assert rows.index.max() < np.prod(SHAPE)


def test_average_of_a_linear_field_is_its_value_at_the_segment():
    z, y, x = np.indices(SHAPE) * H
    rows = weights(ROD, SHAPE, H)
    exact = rows.centre_m @ np.array([3.0, -2.0, 5.0])
    assert average(3 * z - 2 * y + 5 * x, rows) == pytest.approx(exact, abs=2e-6)


def test_what_is_spread_adds_up():
    rows = weights(ROD, SHAPE, H)
    given = np.linspace(0, 2, len(rows.length_m))
    assert spread(given, rows, SHAPE, H).sum() * H**3 == pytest.approx(given.sum())


def test_part_outside_the_grid_is_left_out_and_a_line_outside_is_refused():
    rows = weights(Line((0.02, 0.02, 0.02), (0.02, 0.02, 0.1), 0.0004), SHAPE, H)
    assert rows.length_m.sum() == pytest.approx(0.0225, abs=5.1e-4)
    assert rows.centre_m[:, 2].max() < 0.0425
    with pytest.raises(InputError, match="outside the grid"):
        weights(Line((0.02, 0.02, 0.2), (0.02, 0.02, 0.3), 0.0004), SHAPE, H)


@pytest.mark.parametrize(
    "bad",
    [
        Line((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 1e-3),
        Line((0.0, 0.0, 0.0), (0.0, 0.0, 0.01), 0.0),
        Line((0.0, 0.0, math.nan), (0.0, 0.0, 0.01), 1e-3),
        Line((0.0, 0.0, 0.0), (0.0, 0.0, 0.01), (1e-3, -1e-3)),
    ],
)
def test_lines_without_length_or_thickness_are_refused(bad):
    with pytest.raises(InputError, match="no length or no thickness"):
        weights(bad, SHAPE, H)


def test_film_adds_its_resistance_and_no_conductivity_lets_nothing_through():
    rows = weights(ROD, SHAPE, H)
    bare, wet = log_conductance(0.5, rows), log_conductance(0.5, rows, film=1000.0)
    assert 1 / wet - 1 / bare == pytest.approx(1 / (2 * math.pi * 0.0004 * 1000.0))
    assert (log_conductance(0.0, rows) == 0.0).all()


def test_radius_along_the_line_is_straight_between_its_points():
    rows = weights(Line((0.02, 0.018, 0.01), (0.02, 0.018, 0.03), (1e-3, 2e-3)), SHAPE, H)
    assert rows.radius_m == pytest.approx(1e-3 + (rows.centre_m[:, 2] - 0.01) / 0.02 * 1e-3)


def test_deposit_adds_what_spread_gives():
    rows = weights(ROD, SHAPE, H)
    given = np.linspace(1.0, 2.0, len(rows.length_m))
    density = np.full(SHAPE, 5.0, np.float32)
    deposit(density, given, rows, H)
    assert density == pytest.approx(5.0 + spread(given, rows, SHAPE, H), rel=1e-5)
    deposit(density, -given, rows, H)
    assert (np.abs(density - 5.0) <= 1e-6 * spread(given, rows, SHAPE, H).max()).all()


def test_conductance_over_a_step_is_the_mean_while_the_gaussian_cools():
    g, capacity, width, step = np.array([2.0, 30.0]), np.array([3.6e6, 1.8e6]), 8e-4, 1.0
    per_length = 4 * math.pi * width**2 * capacity
    mean = [quad(lambda t, a=a, c=c: a * math.exp(-a * t / c), 0, step)[0] / step for a, c in zip(g, per_length)]
    assert over_step(g, capacity, width, step) == pytest.approx(mean, rel=1e-9)
    assert over_step(g, capacity, width, 1e-6) == pytest.approx(g, rel=1e-5)
