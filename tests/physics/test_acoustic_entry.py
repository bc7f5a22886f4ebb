"""The entry plane: a disc on its axis, the full sum finely cut, tilted planes, and what is refused.

Tolerance 0.5 % of the largest pressure, set before; the full sum it is held against here is cut into sixteenths of a wavelength.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.errors import InputError
from osteon.physics import acoustic_axis
from osteon.physics import acoustic_entry as entry
from osteon.physics import acoustic_sources as sources
from osteon.physics.acoustic_entry import Plane, entry_plane

F, C, RHO = 1e6, 1500.0, 1000.0
WATER = {"density_kg_m3": RHO, "speed_m_s": C}
TOLERANCE = 0.005
RADIUS = 3.3e-3


def array(cells=4.0, count=24, radius=RADIUS, f=F):
    """A small bowl of round elements."""
    centres = sources.spiral_centres(count, 0.08, 0.06)
    return sources.array(centres, np.array([0, 0, 0.08]) - centres, radius, C / f / cells)


def off(found, source, velocity, plane, f=F, attenuation=0.0, every=7):
    """Return the largest difference from a full sum, at every seventh target, over the largest pressure."""
    at = plane.targets_m.reshape(-1, 3)[::every]
    exact = sources.field(source, velocity, at, f, attenuation_np_m=attenuation, **WATER)
    return np.abs(found.pressure_pa.ravel()[::every] - exact).max() / np.abs(found.pressure_pa).max()


def drive(source, focus=(0.004, 0.0, 0.08), f=F):
    return 0.01 * sources.focus_drive(source, np.array(focus), f, C)


def test_one_round_element_on_its_axis_is_the_disc_in_closed_form():
    one = sources.array(np.zeros((1, 3)), np.array([[0.0, 0.0, 1.0]]), RADIUS, C / F / 8)
    z = np.arange(0.5e-3, 0.08, 0.25e-3)  # from within the near field, where the rule takes over, to far away
    groups = entry._groups(one, np.ones(1, complex))
    ours = np.abs(entry._summed(groups, np.full(1, 0.04 + 0j), np.stack([0 * z, 0 * z, z], 1), 2 * np.pi * F / C, 0.0)) * RHO * F
    exact = acoustic_axis.disc_axis_pa(z, 2 * RADIUS, 0.04 * RHO * C, F, C)
    assert np.abs(ours - exact).max() < TOLERANCE * exact.max()


@pytest.mark.parametrize(("z", "attenuation"), [(0.008, 0.0), (0.03, 0.0), (0.03, 12.0)])
def test_level_planes_near_and_far_are_the_fine_full_sum(z, attenuation):
    source, plane = array(), Plane.level(z, (60, 64), 1e-3)
    velocity = drive(source)
    found = entry_plane(source, velocity, plane, F, attenuation_np_m=attenuation, **WATER)
    assert found.how == "table"
    assert found.error < TOLERANCE
    assert off(found, array(16.0), velocity, plane, attenuation=attenuation) < TOLERANCE


def test_a_plane_tilted_by_30_degrees_is_the_fine_full_sum():
    tilt = math.radians(30.0)
    plane = Plane(
        np.array([-0.03, -0.02, 0.03]), np.array([0.0, 1e-3, 0.0]), 1e-3 * np.array([math.cos(tilt), 0, math.sin(tilt)]), (40, 50)
    )
    source = array()
    velocity = drive(source)
    found = entry_plane(source, velocity, plane, F, **WATER)
    assert found.how == "table"
    assert off(found, array(16.0), velocity, plane, every=3) < TOLERANCE


def test_the_table_converges_with_the_second_order_of_its_step(monkeypatch):
    source = array()
    velocity, plane = drive(source), Plane.level(0.03, (40, 40), 1.5e-3)
    errors = []
    for step in (0.8, 0.4, 0.2):
        monkeypatch.setattr(entry, "STEP", step)
        entry._table.cache_clear()
        errors.append(entry_plane(source, velocity, plane, F, tolerance=1.0, **WATER).error)
    entry._table.cache_clear()
    assert errors[0] / errors[2] > 3.0**2


def test_a_table_that_is_too_coarse_is_noticed_and_gives_way_to_the_full_sum(monkeypatch):
    source = array(8.0)
    velocity, plane = drive(source), Plane.level(0.03, (20, 20), 3e-3)
    monkeypatch.setattr(entry, "STEP", 2.0)
    entry._table.cache_clear()
    found = entry_plane(source, velocity, plane, F, **WATER)
    entry._table.cache_clear()
    assert found.how == "full sum"
    assert off(found, source, velocity, plane) < 1e-12


def test_sources_that_are_no_flat_round_elements_get_the_full_sum():
    plane = Plane.level(0.02, (9, 9), 1e-3)
    for source in (sources.bowl(0.064, 0.03, 5e-4), sources.bowl(0.064, 0.03, 5e-4, hole_m=0.02)):
        found = entry_plane(source, 0.04, plane, 5e5, **WATER)
        assert found.how == "full sum"
        assert off(found, source, 0.04, plane, 5e5) < 1e-12
    whole = sources.disc(0.02, 3e-4)
    inside = np.hypot(*whole.points_m[:, :2].T) > 5e-3  # a ring is alike in both directions, but no disc
    ring = sources.Source(whole.points_m[inside], whole.areas_m2[inside], whole.element[inside])
    assert entry_plane(ring, 0.04, plane, 5e5, **WATER).how == "full sum"


def test_elements_of_two_sizes_have_a_table_each():
    small, large = array(16.0, 12, 2e-3), array(16.0, 12, 4e-3)
    turned = large.points_m * [1, -1, 1]
    both = sources.Source(
        np.concatenate([small.points_m, turned]),
        np.concatenate([small.areas_m2, large.areas_m2]),
        np.concatenate([small.element, large.element + 12]),
    )
    velocity, plane = drive(both), Plane.level(0.02, (40, 40), 1.5e-3)
    found = entry_plane(both, velocity, plane, F, **WATER)
    assert found.how == "table"
    assert off(found, both, velocity, plane) < TOLERANCE


def test_elements_switched_off_add_nothing():
    source = array()
    velocity = drive(source)
    plane = Plane.level(0.02, (30, 30), 2e-3)
    parts = [entry_plane(source, np.where(np.arange(24) % 2 == n, velocity, 0), plane, F, **WATER).pressure_pa for n in (0, 1)]
    whole = entry_plane(source, velocity, plane, F, **WATER).pressure_pa
    np.testing.assert_allclose(sum(parts), whole, atol=1e-9 * np.abs(whole).max())


@settings(max_examples=10, deadline=None)
@given(turn=st.floats(-3.0, 3.0), lean=st.floats(-1.0, 1.0), shift=st.floats(-0.3, 0.3))
def test_a_device_and_its_plane_moved_together_have_the_same_pressure(turn, lean, shift):
    a = np.array([[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]])
    b = np.array([[1, 0, 0], [0, math.cos(lean), -math.sin(lean)], [0, math.sin(lean), math.cos(lean)]])
    r, s = a @ b, np.array([shift, 0.1, -shift])
    source, plane = array(), Plane.level(0.02, (20, 20), 2e-3)
    moved = sources.Source(source.points_m @ r.T + s, source.areas_m2, source.element)
    there = Plane(r @ plane.origin_m + s, r @ plane.along_y_m, r @ plane.along_x_m, plane.shape)
    velocity = drive(source)
    one = entry_plane(source, velocity, plane, F, **WATER)
    two = entry_plane(moved, velocity, there, F, beam=tuple(r[:, 2]), **WATER)
    np.testing.assert_allclose(two.pressure_pa, one.pressure_pa, atol=1e-6 * np.abs(one.pressure_pa).max())


def test_a_level_plane_has_the_axis_at_its_middle_and_tells_its_rim():
    targets = Plane.level(0.05, (4, 6), 1e-3).targets_m
    np.testing.assert_array_equal(targets[2, 3], [0, 0, 0.05])
    np.testing.assert_allclose(targets[3, 3] - targets[2, 3], [0, 1e-3, 0], atol=1e-15)
    np.testing.assert_allclose(targets[2, 4] - targets[2, 3], [1e-3, 0, 0], atol=1e-15)
    source = array()
    wide, narrow = (entry_plane(source, drive(source), Plane.level(0.03, (n, n), 2e-3), F, **WATER).rim for n in (60, 10))
    assert wide < 0.2 < narrow


LEVEL = Plane.level(0.03, (5, 5), 1e-3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"velocity": 0.0}, "elements moves"),
        ({"velocity": np.full(24, np.nan)}, "not all are finite"),
        ({"velocity": np.ones(3)}, "do not fit"),
        ({"plane": Plane.level(-0.01, (5, 5), 1e-3)}, "behind the source"),
        ({"plane": Plane.level(0.003, (5, 5), 1e-3)}, "on its elements"),
        ({"plane": Plane(np.array([0, 0, 0.03]), np.array([0, 1e-3, 0]), np.array([0, 0, 1e-3]), (5, 5))}, "along the beam"),
        ({"frequency": math.nan}, "frequency_hz"),
        ({"frequency": 1e12}, "frequency"),
        ({"attenuation_np_m": -1.0}, "attenuation"),
        ({"tolerance": math.nan}, "tolerance"),
        ({"beam": (0.0, 0.0, 0.0)}, "beam"),
    ],
)
def test_what_cannot_enter_is_refused(change, words):
    given_ = {"velocity": 0.01, "plane": LEVEL, "frequency": F, **change}
    velocity, plane, frequency = (given_.pop(key) for key in ("velocity", "plane", "frequency"))
    with pytest.raises(InputError, match=words):
        entry_plane(array(), velocity, plane, frequency, **given_, **WATER)


@pytest.mark.parametrize(
    "vectors",
    [([0, 0, math.nan], [0, 1, 0], [1, 0, 0]), ([0, 0, 0], [1, 0, 0], [2, 0, 0]), ([0, 0, 0], [0, 0, 0], [1, 0, 0])],
)
def test_what_is_no_plane_is_refused(vectors):
    with pytest.raises(InputError, match="span a plane"):
        Plane(*(np.array(v, float) for v in vectors), (3, 3))
