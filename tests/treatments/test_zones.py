"""Zones by every criterion: sizes of known shapes, published thresholds, and disagreement that is said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.errors import InputError
from osteon.physics import bioheat, damage
from osteon.physics.cell_death import CellDeath
from osteon.space.volume import Grid
from osteon.treatments import zones
from osteon.treatments.base import NeedlePose

GRID = Grid.box(np.array([-20.0, -20.0, -20.0]), np.array([20.0, 20.0, 20.0]), 1.0)
POSE = NeedlePose((0.0, 0.0, 60.0), (0.0, 0.0, 0.0))


def places():
    index = np.stack(np.meshgrid(*[np.arange(n) for n in GRID.shape], indexing="ij"), -1).reshape(-1, 3)
    return np.asarray(GRID.to_mm(index.astype(float)))


def spheroid(long_mm, short_mm, edge, slope):
    """Return a field that is ``edge`` on a spheroid along z and falls by ``slope`` per mm of radius."""
    x, y, z = places().T
    q = np.sqrt((x**2 + y**2) / (short_mm / 2) ** 2 + z**2 / (long_mm / 2) ** 2)
    return (edge + slope * (1 - q) * short_mm / 2).reshape(GRID.shape).astype(np.float32)


@pytest.mark.parametrize(("long_mm", "short_mm"), [(24.0, 16.0), (17.3, 17.3), (10.5, 21.1)])
def test_axes_and_volume_of_a_spheroid(long_mm, short_mm):
    peak = spheroid(long_mm, short_mm, 60.0, 3.0)
    zone = {z.name: z for z in zones.criteria(GRID, peak_c=peak, pose=POSE).zones}["peak_60c"]
    assert zone.long_mm == pytest.approx(long_mm, abs=0.5)
    assert zone.short_mm == pytest.approx(short_mm, abs=0.5)
    assert zone.volume_cm3 == pytest.approx(np.pi / 6 * long_mm * short_mm**2 * 1e-3, rel=0.05)
    assert not zone.at_edge


def test_without_a_needle_the_long_axis_is_found():
    peak = spheroid(24.0, 12.0, 60.0, 3.0)
    zone = {z.name: z for z in zones.criteria(GRID, peak_c=peak).zones}["peak_60c"]
    assert (zone.long_mm, zone.short_mm) == pytest.approx((24.0, 12.0), abs=0.6)


def test_two_spheres_lie_apart_by_the_difference_of_their_radii():
    peak = spheroid(20.0, 20.0, 60.0, 5.0)  # 5 K per mm: 50 °C lies 2 mm further out, everywhere
    table = zones.criteria(GRID, peak_c=peak, pose=POSE)
    (spread,) = table.spreads
    assert (spread.smallest, spread.largest) == ("peak_60c", "peak_50c")
    assert spread.short_mm == pytest.approx(4.0, abs=0.3)
    assert spread.most_mm == pytest.approx(2.0, abs=1.0)
    assert spread.mean_mm == pytest.approx(2.0, abs=1.0)
    assert "disagree" in table.says[0]
    assert table.measures()["criteria_heat_disagree_short_mm"] == spread.short_mm


def test_cold_is_measured_downwards_and_never_compared_with_heat():
    lowest = -spheroid(30.0, 30.0, 0.0, 8.0)  # 0 °C at a radius of 15 mm, colder inside
    table = zones.criteria(GRID, lowest_c=lowest, peak_c=np.full(GRID.shape, 37.0), pose=POSE)
    rows = {z.name: z for z in table.zones}
    assert rows["ice_0c"].short_mm == pytest.approx(30.0, abs=0.4)
    assert rows["cold_20c"].short_mm == pytest.approx(25.0, abs=0.4)
    assert rows["cold_40c"].short_mm == pytest.approx(20.0, abs=0.4)
    assert [s.family for s in table.spreads] == ["cold"]


def test_a_zone_that_nothing_reached_is_zero_and_one_at_the_edge_says_so():
    table = zones.criteria(GRID, peak_c=np.full(GRID.shape, 52.0))
    rows = {z.name: z for z in table.zones}
    assert rows["peak_60c"].volume_cm3 == rows["peak_60c"].long_mm == 0.0
    assert rows["peak_50c"].at_edge
    assert any("edge of the computed box" in line for line in table.says)


def test_a_heated_cube_by_every_criterion_with_its_one_minute_temperature():
    shape = GRID.shape
    materials = bioheat.Materials(*(np.full(shape, v, np.float32) for v in (0.5, 3.8e6, 2.0e3, 0.0)))
    source = np.zeros(shape, np.float32)
    source[18:23, 18:23, 18:23] = 6e7
    death = CellDeath()
    result = bioheat.heat(
        1.0, materials, [bioheat.Stage(120.0, source), bioheat.Stage(60.0)], pairs=list(damage.arrhenius_pairs()), probe=death
    )
    table = zones.of_heat(result, GRID, POSE, death.viability)
    rows = {z.name: z for z in table.zones}
    assert rows["arrhenius_liver"].one_minute_c == pytest.approx(50.1, abs=0.05)
    assert rows["arrhenius_fat"].one_minute_c == pytest.approx(95.4, abs=0.05)
    assert "50.1 °C" in rows["arrhenius_liver"].title
    assert rows["cem43_80"].volume_cm3 >= rows["cem43_240"].volume_cm3 > 0
    assert rows["peak_50c"].volume_cm3 >= rows["peak_55c"].volume_cm3 >= rows["peak_60c"].volume_cm3
    assert rows["arrhenius_fat"].volume_cm3 < rows["arrhenius_liver"].volume_cm3
    assert table.spreads[0].most_mm > 0
    assert set(table.used) == {f"criterion.{name}" for name in rows}


def test_published_thresholds_of_cem43_by_tissue():
    found = damage.cem43_thresholds()
    assert found["soft tissue, necrosis"].number == 240
    assert found["soft tissue, no necrosis"].number == 80
    assert found["bone"].number == 16
    assert all(value.unit == "min" for value in found.values())


@settings(max_examples=20, deadline=None)
@given(st.floats(1.0, 15.0))
def test_law_a_hotter_field_has_no_smaller_zone_by_any_criterion(more):
    peak = spheroid(20.0, 14.0, 50.0, 3.0)
    cool, hot = (zones.criteria(GRID, peak_c=p, pose=POSE).zones for p in (peak, peak + np.float32(more)))
    assert all(b.volume_cm3 >= a.volume_cm3 and b.long_mm >= a.long_mm - 1e-9 for a, b in zip(cool, hot))


@pytest.mark.parametrize("fields", [{}, {"peak_c": np.zeros((3, 3, 3))}])
def test_no_field_or_another_grid_is_refused_in_three_parts(fields):
    with pytest.raises(InputError) as error:
        zones.criteria(GRID, **fields)
    assert all((error.value.what, error.value.why, error.value.do))
