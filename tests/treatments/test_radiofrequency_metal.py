"""Heat along the metal of an uncooled electrode, and what a cooled wall takes of the current's heat."""

import numpy as np
import pytest

from osteon.physics.lines import Line
from osteon.physics.potential import potential
from osteon.treatments.radiofrequency.electrode import Electrode
from osteon.treatments.radiofrequency.metal import metal_of

H = 5e-4
SHAPE = (81, 31, 31)
CONTACT = Line((15 * H, 15 * H, 15 * H), (35 * H, 15 * H, 15 * H), 3.6e-4)


def metal(conduction: float, step_s: float = 1e-6):
    thermal = (np.full(SHAPE, 0.5, np.float32), np.full(SHAPE, 3.7e6, np.float32))
    return metal_of(CONTACT, thermal, H, step_s, conduction)


@pytest.mark.parametrize("conduction", [1e-9, 5e-6, 1e-3])
def test_what_metal_takes_from_hot_tissue_it_gives_to_cold_tissue(conduction):
    one = metal(conduction)
    field = 37.0 + 40.0 * np.exp(-np.arange(len(one.half)) / 7.0)
    wall, gives = one.wall(field, np.zeros(len(field)))
    assert abs(gives.sum()) < 1e-9 * np.abs(gives).sum()
    assert field.min() - 1e-9 <= wall.min() <= wall.max() <= field.max() + 1e-9


def test_in_tissue_of_one_temperature_nothing_flows():
    one = metal(5e-6)
    wall, gives = one.wall(np.full(len(one.half), 60.0), np.zeros(len(one.half)))
    assert wall == pytest.approx(60.0)
    assert np.abs(gives).max() < 1e-9


def test_a_fin_between_hot_and_cold_tissue_follows_the_exponential():
    """A long fin: far from a step of the field the wall approaches it as exp(-s/L)/2, L = sqrt(k A R)."""
    conduction = 5e-6
    one = metal(conduction)
    inner = slice(10, -10)
    field = np.where(np.arange(len(one.half)) < 24, 1.0, 0.0)
    wall, _ = one.wall(field, np.zeros(len(field)))
    length = float(one.rows.length_m[0])
    reach = np.sqrt(conduction * float(np.mean(1.0 / one.conductance[inner])))
    beyond = (np.arange(24, 34) - 23.5) * length
    assert wall[24:34] == pytest.approx(0.5 * np.exp(-beyond / reach), rel=0.05)


def test_without_conduction_the_wall_is_warmer_by_half_the_drop():
    one = metal(1e-15)
    heat = np.full(len(one.half), 200.0)
    wall, gives = one.wall(np.full(len(one.half), 70.0), heat)
    k, ratio = 0.5, one.rows.r_eff_m / one.rows.radius_m
    assert wall == pytest.approx(70.0 + 0.5 * np.log(ratio) / (2 * np.pi * k) * 200.0, rel=1e-6)
    assert np.abs(gives).max() < 1e-6


def test_what_the_wall_takes_is_missing_in_the_voxels_and_nowhere_else():
    sigma = np.full((31, 31, 31), 0.5, np.float32)
    rod = Line((0.010, 0.015, 0.015), (0.020, 0.015, 0.015), 7e-4)
    all_of_it = potential(sigma, 1e-3, [(rod, 10.0)], boundary="robin", tolerance=1e-8)
    less = potential(sigma, 1e-3, [(rod, 10.0)], boundary="robin", tolerance=1e-8, to_wall=0.3)
    assert less.wall_w == pytest.approx(0.3 * float(all_of_it.coupling_w[0].sum()), rel=1e-6)
    assert less.power_w + less.wall_w == pytest.approx(all_of_it.power_w, rel=1e-6)
    assert less.resistance_ohm == pytest.approx(all_of_it.resistance_ohm, rel=1e-6)
    assert less.balance < 1e-6


def test_a_bevel_conducts_as_the_arc_of_wall_that_its_cut_leaves():
    """Half way along the bevel half of the wall is left, as wide a conductor as a circle of a/sqrt(2)."""
    bevelled = Electrode("monopolar", 0.8, ((0.0, 10.0),), bevel_mm=4.0)
    assert bevelled.radius_at(np.array([2.0, 4.0, 9.0])) == pytest.approx([0.8 / np.sqrt(2.0), 0.8, 0.8])
    radii = tuple(1e-3 * bevelled.radius_at(np.linspace(0.0, 10.0, 101)))
    start, end = (15 * H, 15 * H, 15 * H), (35 * H, 15 * H, 15 * H)
    thermal = (np.full(SHAPE, 0.5, np.float32), np.full(SHAPE, 3.7e6, np.float32))
    one = metal_of(Line(start, end, radii), thermal, H, 1e-6, 5e-6)
    behind = np.linalg.norm(one.rows.centre_m - np.array(start), axis=1) * 1e3
    assert one.rows.radius_m * 1e3 == pytest.approx(bevelled.radius_at(behind), abs=0.02)
    field = 37.0 + 40.0 * np.exp(-behind)
    _, gives = one.wall(field, np.zeros(len(field)))
    assert abs(gives.sum()) < 1e-9 * np.abs(gives).sum()
    matrix = np.diag(one.conductance) @ np.linalg.inv(one.spread)
    between = -np.diag(matrix, 1) * float(one.rows.length_m[0]) ** 2
    middle = 0.5 * (behind[1:] + behind[:-1])
    assert np.interp([2.0, 6.0], middle, between) == pytest.approx([0.5 * 5e-6, 5e-6], rel=0.01)


def test_the_arc_of_a_cut_tube_has_the_capacity_that_its_radius_stands_for():
    """Log capacity of an arc by charges on it, against a sin(alpha/2)."""
    for share in (0.25, 0.5, 0.9):
        half = np.arccos(1.0 - 2.0 * share)
        n = 400
        angle = half * np.cos((np.arange(n) + 0.5) * np.pi / n)  # denser towards the edges
        points = np.exp(1j * angle)
        apart = np.abs(points[:, None] - points[None, :])
        width = half * np.abs(np.sin((np.arange(n) + 0.5) * np.pi / n)) * np.pi / n
        apart[np.diag_indices(n)] = width / (2.0 * np.e)  # of a charged element on its own middle
        charge = np.linalg.solve(-np.log(apart), np.ones(n))
        capacity = np.exp(-1.0 / charge.sum())
        assert capacity == pytest.approx(np.sin(half / 2.0), rel=0.01)
