"""The pigs' femora: the thigh as voxels, extents of regions of known shape, energy, and the case itself."""

import math
from functools import cache

import numpy as np
import pytest

from osteon.space.volume import Grid
from osteon.tissue.properties import Constants
from osteon.validation import swine_femur, swine_femur_models
from osteon.validation.swine_femur_models import Shot, Thigh, anatomy_of, extents, radius_mm, thigh

# set before the first comparison
AREA, POINT_MM, ENERGY, FINER_MM = 0.02, 0.13, 0.01, 0.5
PIG = Thigh(12.0, 4.0, 30.0, 8.0, 2.0, 38.0)


def box(spacing=0.5):
    return Grid.box(np.array([-15.0, -15.0, -20.0]), np.array([15.0, 26.0, 20.0]), spacing)


def places(grid):
    z, y, x = np.indices(grid.shape)
    low = grid.matrix[:3, 3]
    return low[2] + 0.5 * z, low[1] + 0.5 * y, low[0] + 0.5 * x


@cache
def single():
    return swine_femur.sonicated(swine_femur.one(swine_femur.DEVICE, 0.0), Constants())


def test_layers_have_their_thickness():
    anatomy = anatomy_of(PIG)
    hu, spacing = anatomy.image.array, 0.5
    middle = hu[hu.shape[0] // 2]
    cortex, marrow = (middle == 2000).sum() * spacing**2, (middle == -50).sum() * spacing**2
    assert cortex == pytest.approx(math.pi * (12**2 - 8**2), rel=AREA)
    assert marrow == pytest.approx(math.pi * 8**2, rel=AREA)
    ray = middle[:, middle.shape[1] // 2]
    for number, thick in ((-1000.0, 2.0), (-100.0, 8.0)):
        assert (ray == number).sum() * spacing == pytest.approx(thick, abs=spacing)
    above = ray[: np.flatnonzero(ray == 2000)[0]]
    assert (above == 60).sum() * spacing == pytest.approx(30.0 + 2.0, abs=2 * spacing)
    assert radius_mm(anatomy.grid, PIG).min() <= 0.5 * spacing


@pytest.mark.parametrize("radius", [3.0, 5.3, 7.7])
def test_a_ball_about_the_crest_is_as_deep_long_and_wide_as_it_is(radius):
    grid = box()
    z, y, x = places(grid)
    field = -np.sqrt(x**2 + y**2 + z**2).astype(np.float32)  # linear along each ray: interpolation is nearly exact
    depth, length, width, outside = extents(field, -radius, grid, PIG)
    assert depth == pytest.approx(radius, abs=POINT_MM)
    assert length == pytest.approx(2 * radius, abs=2 * POINT_MM)
    assert outside == pytest.approx(radius, abs=POINT_MM)
    # across, the ball meets the round bone where x² + y² = radius² and x² = y (24 - y)
    side = radius**2 / 24
    assert width == pytest.approx(2 * math.sqrt(radius**2 - side**2), abs=4 * POINT_MM)


def test_what_is_nowhere_or_only_in_muscle_or_in_the_far_half_has_no_extent_in_bone():
    grid = box()
    z, y, x = places(grid)
    assert extents(np.zeros(grid.shape, np.float32), 1.0, grid, PIG) == (0.0, 0.0, 0.0, 0.0)
    muscle = (2 - np.sqrt(x**2 + (y + 8) ** 2 + z**2)).astype(np.float32)
    assert extents(muscle, 0.0, grid, PIG)[:3] == (0.0, 0.0, 0.0)
    assert extents(muscle, 0.0, grid, PIG)[3] == pytest.approx(10.0, abs=POINT_MM)
    far = (3 - np.sqrt(x**2 + (y - 24) ** 2 + z**2)).astype(np.float32)
    assert extents(far, 0.0, grid, PIG) == (0.0, 0.0, 0.0, 0.0)


def test_a_sonication_moved_along_the_bone_is_the_same_one():
    heat = np.arange(24.0).reshape(6, 2, 2)
    moved = swine_femur_models._shifted(heat, 2)
    assert np.array_equal(moved[2:], heat[:-2])
    assert not moved[:2].any()
    assert np.array_equal(swine_femur_models._shifted(heat, -1)[:-1], heat[1:])
    assert np.array_equal(swine_femur_models._shifted(heat, 0), heat)


def test_six_places_lie_a_cell_apart_on_whole_voxels():
    cell = single().killed["20W"]
    target = swine_femur.six("any", 0.0, cell)
    along, across = sorted({z for _, z in target.places_mm}), sorted(target.across_mm)
    assert len(set(target.places_mm)) == 6
    assert (len(along), len(across)) == (3, 2)
    assert np.diff(along) == pytest.approx(cell.length_mm["CEM43 240"], abs=0.5)
    assert np.diff(across) == pytest.approx(cell.width_mm["CEM43 240"])
    row = swine_femur.row_of_six("any", 0.0, cell)
    assert sorted(row.places_mm)[0][1] + sorted(row.places_mm)[-1][1] == pytest.approx(0.0, abs=0.5)
    for each in (*target.places_mm, *row.places_mm):
        assert (each[1] / 0.5).is_integer()


def test_400_j_go_into_heat_as_the_sound_says_and_less_heat_is_in_bone_than_came_in():
    run = single()
    in_all = float(run.heard.per_watt[0.0].sum(dtype=float)) * 0.5**3 * 1e-9
    for made in run.killed.values():
        assert made.result.energy_in_j == pytest.approx(400 * in_all, rel=ENERGY)
        assert made.result.ended.energy_balance < 1e-3
    assert 0 < run.heard.bone_share < in_all < run.heard.entry_share <= 1
    assert 0 < run.heard.shear_share < 1
    assert run.heard.ended == "converged"


def test_20_w_for_20_s_reach_deeper_and_farther_than_10_w_for_40_s():
    strong, weak = (single().killed[key] for key in ("20W", "10W"))
    for name in ("depth_mm", "length_mm", "width_mm"):
        for criterion in ("CEM43 240", "55 degC"):
            assert getattr(strong, name)[criterion] > getattr(weak, name)[criterion] > 0
    assert strong.peak_c["cortex"] > weak.peak_c["cortex"]
    assert strong.peak_c["skin"] < 43 < strong.peak_c["marrow"] < strong.peak_c["cortex"]


def test_without_a_draw_the_assumed_numbers_are_those_of_the_file():
    constants = Constants()
    assert thigh(constants) == PIG
    assert all(not value.verified for name, value in constants.used.items() if name != "swine.off_s")


@pytest.mark.slow
def test_the_grid_is_fine_enough_for_half_a_millimetre():
    found = {}
    for spacing in (0.5, 0.4):
        constants = Constants()
        anatomy = anatomy_of(PIG, spacing_mm=spacing)
        sound = swine_femur_models.heard(PIG, anatomy, swine_femur.DEVICE, (0.0,), 0.0, constants)
        made = swine_femur_models.killed(PIG, sound, [Shot(0.0, 0.0, 20.0, 20.0, 90.0)], constants)
        found[spacing] = [getattr(made, name)["CEM43 240"] for name in ("depth_mm", "length_mm", "width_mm")]
    np.testing.assert_allclose(found[0.5], found[0.4], atol=FINER_MM)


@pytest.mark.slow
def test_the_case_names_its_rows_and_judges_depth_and_order():
    report = swine_femur.run(samples=0)
    rows = {row.quantity: row for row in report.rows}
    for name, published in (("depth_mm", (7.3, 4.5)), ("length_mm", (26.7, 21.0))):
        for key, number in zip(("20W", "10W"), published):
            assert rows[f"{name}[{key}]"].reference == number
    judged = {name for name, row in rows.items() if row.passed is not None}
    assert judged == {"depth_mm[20W]", "depth_mm[10W]", "depth_mm: 20W beyond 10W", "length_mm: 20W beyond 10W"}
    assert report.passed
    assert len(report.assumptions) >= 8
    # six sonications reach farther than one, and heat builds up
    for key in ("20W", "10W"):
        assert rows[f"length_mm[{key}]"].value > 2 * rows[f"length_mm[{key}, one sonication]"].value
        assert rows[f"peak_cortex_c[{key}]"].value > rows[f"peak_cortex_c[{key}, one sonication]"].value
