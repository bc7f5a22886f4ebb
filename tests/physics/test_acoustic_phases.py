"""Time reversal: the Rayleigh sum in one medium, reciprocity through layers and steps, and a sharper focus behind them."""

import numpy as np
import pytest

from osteon.errors import InputError
from osteon.physics import acoustic_sources as sources
from osteon.physics.acoustic_layers import Medium
from osteon.physics.acoustic_phases import reversed_drive, ways
from osteon.physics.acoustic_planner import march

WATER, BONE, SLOW = Medium(1000.0, 1500.0), Medium(1850.0, 2800.0, 46.0), Medium(950.0, 1400.0)
F, H, N, TOP = 5e5, 0.6e-3, 160, 0.012
CORNER = np.array([-N // 2 * H, -N // 2 * H, TOP])
TARGET = (60, N // 2, N // 2 + 4)
AT = CORNER + H * np.array([N // 2 + 4, N // 2, 60])


def array(count=40):
    centres = sources.spiral_centres(count, 0.06, 0.05)
    return sources.array(centres, np.array([0, 0, 0.06]) - centres, 0.5e-3, 0.5e-3)


def forward(source, drive, labels, media):
    x = CORNER[0] + np.arange(N) * H
    at = np.stack([*np.meshgrid(x, x), np.full((N, N), TOP)], axis=-1)
    entry = sources.field(source, drive, at, F, density_kg_m3=1000.0, speed_m_s=1500.0)
    return march(entry, labels, media, F, H).pressure_pa[TARGET]


def test_exact_in_one_medium_each_way_is_the_rayleigh_sum_within_5_percent():
    device, labels = array(), np.zeros((70, N, N), np.uint8)
    found = ways(device, labels, (WATER,), F, H, CORNER, TARGET)
    exact = [sources.field(device, np.eye(40)[e], AT[None], F, density_kg_m3=1000.0, speed_m_s=1500.0)[0] for e in range(40)]
    assert np.abs(found - exact).max() < 0.05 * np.abs(exact).max()
    flight = sources.focus_drive(device, AT, F, 1500.0)
    turned = reversed_drive(found) / flight
    assert np.abs(turned / turned.mean() - 1).max() < 0.1  # the same phases but for one that all share


def stepped():
    labels = np.zeros((70, N, N), np.uint8)
    labels[15:25, :, N // 2 :] = 1  # a slow half
    labels[30:34] = 2
    return labels


def test_the_sum_of_ways_is_the_field_that_is_marched_forward_through_steps_and_bone():
    device, labels, media = array(), stepped(), (WATER, SLOW, BONE)
    found = ways(device, labels, media, F, H, CORNER, TARGET)
    rng = np.random.default_rng(3)
    drive = np.exp(2j * np.pi * rng.random(40))
    together = reversed_drive(found)
    assert abs(forward(device, together, labels, media) - together @ found) < 0.05 * np.abs(found).sum()
    assert abs(forward(device, drive, labels, media) - drive @ found) < 0.05 * np.abs(found).sum()


def test_behind_an_uneven_layer_time_reversal_beats_time_of_flight():
    device, labels, media = array(), stepped(), (WATER, SLOW, BONE)
    by_ways = reversed_drive(ways(device, labels, media, F, H, CORNER, TARGET))
    by_flight = sources.focus_drive(device, AT, F, 1500.0)
    assert abs(forward(device, by_ways, labels, media)) > 1.02 * abs(forward(device, by_flight, labels, media))


def test_what_cannot_be_reversed_is_refused():
    device, labels = array(), np.zeros((70, N, N), np.uint8)
    with pytest.raises(InputError, match="outside voxels"):
        ways(device, labels, (WATER,), F, H, CORNER, (71, 3, 3))
    with pytest.raises(InputError, match="cuts the array"):
        ways(device, labels, (WATER,), F, H, CORNER - [0, 0, 0.01], TARGET)
    with pytest.raises(InputError, match="No element"):
        reversed_drive(np.ones(4, complex), on=np.zeros(4, bool))
