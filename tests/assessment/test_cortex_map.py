"""The unrolled cortex: tubes with known lesions, which way round, what is not known, and the opposite bone."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from assessment_cases import grid_along, thigh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from osteon.assessment.assess import assess
from osteon.assessment.cortex_map import cortex_map
from osteon.assessment.cortex_map_measures import involvement
from osteon.assessment.cortex_map_opposite import opposite_bone, opposite_rays
from osteon.assessment.cortex_map_rays import names_round, rays
from osteon.assessment.cortex_map_scene import map_readings
from osteon.assessment.measure_base import Scene
from osteon.errors import InputError, MissingError
from osteon.facts import Interval, Known, NotApplicable, Unknown, possible
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Grid, Volume
from osteon.validation.cortex_map import AXES, INNER, LESIONS, OUTER, ROUND, THICK, WIDE, rows_of, sector, tube

OBLIQUE = "17 and 30 degrees oblique"
FEMUR = structure("femur_left")


@cache
def phantom(index, where="along the grid", voxel_mm=1.0):
    return tube(LESIONS[index], voxel_mm, AXES[where])


@cache
def read(index, where="along the grid", voxel_mm=1.0):
    made = phantom(index, where, voxel_mm)
    found = cortex_map(made.image, made.bone, made.lesion, "left")
    return found, involvement(found)


# --- known truth, with the tolerances of the task


@pytest.mark.parametrize("where", AXES)
@pytest.mark.parametrize("index", [0, 3, 5])
def test_tubes_with_lesions_of_known_angle_length_and_depth(index, where):
    for row in rows_of(LESIONS[index], read(index, where)[1], 1.0, where):
        assert row.passed, (row.quantity, row.value, row.reference)
        assert row.low - 1e-9 <= row.value <= row.high + 1e-9


@pytest.mark.parametrize("turn", [(17.0, 0.0), (0.0, 30.0)])
def test_an_axis_oblique_in_one_plane(turn):
    made = tube(LESIONS[2], 1.0, turn)
    measured = involvement(cortex_map(made.image, made.bone, made.lesion, "right"))
    for row in rows_of(LESIONS[2], measured, 1.0, str(turn)):
        assert row.passed, (row.quantity, row.value, row.reference)


def test_the_axis_is_found_though_the_image_cuts_the_tube_askew():
    found = read(0, OBLIQUE)[0]
    axis = Rotation.from_euler("xy", AXES[OBLIQUE], degrees=True).as_matrix()[:, 2]
    along = found.centres_mm[-1] - found.centres_mm[0]
    assert np.degrees(np.arccos(along @ axis / np.linalg.norm(along))) < 0.5
    assert np.median(found.outer_mm) == pytest.approx(OUTER, abs=0.2)
    assert np.median(found.outer_mm - found.inner_mm) == pytest.approx(OUTER - INNER, abs=0.2)


def test_a_lesion_as_dense_as_cortex_is_measured_by_its_outline():
    made = phantom(2)
    dense = made.image.with_array(np.where(made.lesion.array, np.float32(1200.0), made.image.array))
    found = cortex_map(dense, made.bone, made.lesion, "left")
    measured = involvement(found)
    assert found.by_outline[found.lesion].mean() > 0.5
    assert measured.thickness.best == pytest.approx(
        LESIONS[2].thickness, abs=2 * THICK
    )  # whole voxels: no better than a third of one
    assert measured.thickness.low <= LESIONS[2].thickness <= measured.thickness.high
    assert measured.along_mm.best == pytest.approx(LESIONS[2].along_mm, abs=1.0)


def test_a_hollow_outline_gives_what_a_filled_one_gives():
    hollow = tube(LESIONS[0], 1.0, (0.0, 0.0), hollow=True)
    measured = involvement(cortex_map(hollow.image, hollow.bone, hollow.lesion, "left"))
    filled = read(0)[1]
    assert measured.around.best == pytest.approx(filled.around.best, abs=ROUND)
    assert measured.along_mm.best == pytest.approx(filled.along_mm.best, abs=1.0)


def test_a_gap_of_two_millimetres_does_not_end_a_run_and_a_wider_one_does():
    def pair(gap):
        parts = [sector("one", 40, 90, 10.0, INNER - 2, OUTER) for _ in range(2)]
        shift = 5.0 + gap / 2

        def inside(x, y, z):
            return parts[0].inside(x, y, z - shift) | parts[1].inside(x, y, z + shift)

        made = tube(replace(parts[0], inside=inside), 1.0, (0.0, 0.0))
        return involvement(cortex_map(made.image, made.bone, made.lesion, "left")).along_mm.best

    assert pair(1.5) == pytest.approx(21.5, abs=1.0)
    assert pair(5.0) == pytest.approx(10.0, abs=1.0)


# --- which way round


def test_directions_of_a_left_and_a_right_bone():
    up = np.array([0.0, 0.0, 1.0])
    for side, x in (("left", -1.0), ("right", 1.0)):
        ahead, aside, names = names_round(up, side)
        assert names == ("anterior", "medial", "posterior", "lateral")
        np.testing.assert_allclose(ahead, [0, -1, 0], atol=1e-12)
        np.testing.assert_allclose(
            aside, [x, 0, 0], atol=1e-12
        )  # LPS: left is +x, and the middle lies to the right of a left bone
    assert names_round(up, None)[2] == ("anterior", "left", "posterior", "right")
    assert names_round(np.array([0.0, -1.0, 0.0]), "left")[2][0] == "superior"


@pytest.mark.parametrize(("side", "expected"), [("left", 90.0), ("right", 270.0)])
def test_a_window_on_the_patients_right_is_medial_in_a_left_bone_and_lateral_in_a_right_one(side, expected):
    lesion = sector("window towards -x", 180, 60, 16.0, INNER - 2, OUTER)
    made = tube(lesion, 1.5, (0.0, 0.0))
    found = cortex_map(made.image, made.bone, made.lesion, side)
    angles = found.theta_rad[found.breach.any(0)]
    middle = np.degrees(np.angle(np.exp(1j * angles).mean())) % 360
    assert middle == pytest.approx(expected, abs=3.0)


def test_every_measure_says_from_which_voxels_it_came():
    made, (found, measured) = phantom(0), read(0)
    for one in (measured.around, measured.along_mm, measured.thickness, measured.diameter):
        assert one.cells.any()
        index = found.voxels(one.cells, made.image.grid)
        assert len(index)
    deep = found.voxels(measured.around.cells, made.image.grid)
    assert made.lesion.array[tuple(deep.T)].mean() > 0.8  # the slice where most is gone lies in the lesion
    assert found.voxels(np.zeros_like(found.lesion), made.image.grid).shape == (0, 3)


# --- laws


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 5), st.sampled_from(sorted(AXES)))
def test_law_intervals_hold_the_figure_and_stay_within_what_can_be(index, where):
    found, measured = read(index, where, 1.5)
    for one in (measured.around, measured.around_through, measured.thickness, measured.diameter):
        assert 0 <= one.low <= one.best <= one.high <= 1
    for one in (measured.along_mm, measured.along_through_mm):
        assert 0 <= one.low <= one.best <= one.high <= np.ptp(found.along_mm) + 2 * found.slice_mm
    assert measured.around_through.best <= measured.around.best + 1e-9
    assert measured.along_through_mm.best <= measured.along_mm.best + 1e-9
    assert ((found.intact >= 0) & (found.intact <= 1)).all()


# --- what is not known


def test_what_metal_spoils_is_unknown_and_counts_as_lost_at_most():
    made, (_, clean) = phantom(3), read(3)
    spoilt = np.zeros(made.image.grid.shape, bool)
    centre = np.rint(made.image.grid.to_index(made.lesion.centre_mm())).astype(int)
    spoilt[centre[0] - 3 : centre[0] + 4] = True
    found = cortex_map(made.image, made.bone, made.lesion, "left", unreliable=spoilt)
    assert found.unknown.any()
    assert any("cannot be told" in note for note in found.notes)
    measured = involvement(found)
    assert measured.along_mm.high >= clean.along_mm.best
    assert measured.around.high >= clean.around.best
    assert measured.thickness.high == 1.0


def test_a_lesion_at_the_end_of_the_image_is_open_ended():
    made = phantom(1)
    grid = made.image.grid
    rows = slice(0, round(float(grid.to_index(made.lesion.centre_mm())[0])))

    def part(volume):
        return Volume.of(np.ascontiguousarray(volume.array[rows]), grid.matrix)

    found = cortex_map(part(made.image), part(made.bone), part(made.lesion), "left")
    assert found.open_ended
    assert any("lower bounds" in note for note in found.notes)
    assert not read(1)[0].open_ended


def test_refusals_have_three_parts():
    made = phantom(0)
    empty = made.bone.with_array(np.zeros_like(made.bone.array))
    short = made.bone.with_array(made.bone.array & (np.abs(np.indices(made.bone.array.shape)[0] - 46) < 13))
    soft = made.image.with_array(np.full(made.image.grid.shape, 40.0, np.float32))
    ball = made.bone.with_array(
        np.linalg.norm(made.bone.grid.to_mm(np.argwhere(made.bone.array | True)), axis=1).reshape(made.bone.grid.shape) < 15
    )
    for kind, image, bone, lesion in (
        (MissingError, made.image, empty, made.lesion),
        (MissingError, made.image, made.bone, empty),
        (InputError, soft, made.bone, made.lesion),
        (InputError, made.image, ball, made.lesion),
        ((MissingError, InputError), made.image, short, made.lesion),
    ):
        with pytest.raises(kind) as caught:
            cortex_map(image, bone, lesion, "left")
        assert caught.value.what
        assert caught.value.why
        assert caught.value.do


def test_a_cortex_that_differs_from_slice_to_slice_is_no_reference():
    made = phantom(0)
    grid = made.image.grid
    x, y, z = np.moveaxis(grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)
    flare = (np.hypot(x, y) < OUTER - 1) & (np.sin(z) > 0) & (np.abs(z) > 11)  # 1 and 5 mm by turns
    uneven = made.image.with_array(np.where(flare, np.float32(-60.0), made.image.array))
    with pytest.raises(InputError) as caught:
        cortex_map(uneven, made.bone, made.lesion, "left")
    assert "slices beside the lesion differ" in caught.value.what.replace("differs", "differ")


# --- the opposite bone


@cache
def pair(hole_right=False, thin=1.0):
    """Two tubes side by side, mirrored: a bump of 2 mm in front towards the middle makes them fit only one way."""
    grid = Grid.box(np.array([-70.0, -25, -55]), np.array([70.0, 25, 55]), 1.5)
    x, y, z = np.moveaxis(grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)
    hu = np.full(grid.shape, 40.0, np.float32)
    masks = {}
    for name, middle, inward in (("left", 40.0, -1.0), ("right", -40.0, 1.0)):
        u, v = x - middle, y
        outer = 14 + 2 * np.maximum(np.cos(np.arctan2(v, inward * u) + np.radians(60)), 0)
        radius = np.hypot(u, v)
        hu[radius <= outer] = -60
        hu[(radius <= outer) & (radius >= outer - (5.0 if name == "left" else 5.0 * thin))] = 1200
        masks[structure(f"femur_{name}")] = Volume(radius <= outer, grid)
    lesion = (np.hypot(x - 40, y) <= 20) & (np.hypot(x - 40, y) >= 6) & (x > 44) & (np.abs(z) <= 10)
    lesion &= masks[FEMUR].array
    hu[lesion] = 40
    masks[structure("lesion")] = Volume(lesion, grid)
    if hole_right:
        masks[structure("other_lesion")] = Volume((np.hypot(x + 40, y) <= 8) & (np.abs(z) < 8), grid)
    imaged = Volume(np.ones(grid.shape, bool), grid)
    return Anatomy(imaged, Volume(hu, grid), masks, contrast=False)


def test_the_opposite_bone_is_the_reference_where_it_is_outlined_and_fits():
    scene = Scene(pair(), FEMUR, "", "CT", contrast=False)
    found, measured = map_readings(scene)[0].found, map_readings(scene)[0].read
    assert found.reference == "opposite bone"
    assert any("look for lesions in it" in note for note in found.notes)
    own = cortex_map(scene.near_image, scene.near_bone, scene.near_lesion, "left")
    assert own.reference == "healthy slices"
    assert measured.around.best == pytest.approx(involvement(own).around.best, abs=ROUND)
    assert np.median(found.outer_mm - found.inner_mm) == pytest.approx(np.median(own.outer_mm - own.inner_mm), abs=0.3)


def test_an_opposite_bone_that_cannot_serve_is_said():
    lesioned = map_readings(Scene(pair(hole_right=True), FEMUR, "", "CT", contrast=False))[0].found
    assert lesioned.reference == "healthy slices"
    assert any("a lesion is outlined in the right femur" in note for note in lesioned.notes)
    alone = pair()
    alone = replace(alone, masks={k: v for k, v in alone.masks.items() if k.id != "femur_right"})
    said = map_readings(Scene(alone, FEMUR, "", "CT", contrast=False))[0].found
    assert any("the right femur is not outlined" in note for note in said.notes)
    scene = Scene(pair(), FEMUR, "", "CT", contrast=False)
    here = rays(scene.near_image, scene.near_bone, scene.near_lesion, "left")
    away = opposite_rays(scene, here)
    other = replace(away, outer_mm=away.outer_mm + 4.0)
    touched = (here.depth_mm < 0).any((1, 2))
    assert "does not fit" in opposite_bone(here, other, touched)


# --- facts


def test_facts_of_a_shaft_come_from_the_map_and_say_so():
    found = assess(thigh(grid_along(spacing=(1.0, 1.0, 1.0)))).lesions[0]
    for name in ("axial_cortical_mm", "circumferential_cortical_fraction", "lesion_diameter_fraction"):
        fact = found.facts[name]
        assert isinstance(fact.state, (Known, Interval)), name
        assert all("unrolled, best" in o.where or "one end" in o.where or "other end" in o.where for o in fact.origins), name
        assert all(o.kind == "image" and o.place_mm is not None for o in fact.origins), name
    low, high = possible(found.facts["lesion_diameter_fraction"].state)
    assert high - low == pytest.approx(4 / 28, abs=0.02)  # a voxel either way at both edges
    assert low <= 20 / 28 <= high + WIDE


def test_the_width_of_a_lesion_has_no_meaning_outside_long_bones_and_is_unknown_without_ct():
    case = thigh()
    other = replace(case.lesions[0], bone=structure("hip_left"))
    masks = {**case.masks, structure("hip_left"): case.masks[FEMUR]}
    found = assess(replace(case, lesions=(other,), masks=masks)).lesions[0]
    assert isinstance(found.facts["lesion_diameter_fraction"].state, NotApplicable)
    mr = assess(thigh(modality="MR")).lesions[0]
    assert isinstance(mr.facts["lesion_diameter_fraction"].state, Unknown)


def test_a_lesion_that_touches_no_cortex_takes_none():
    case = thigh(grid_along(spacing=(1.0, 1.0, 1.0)), sphere=((0.0, 0.0, 0.0), 5.0))
    found = assess(case).lesions[0].facts
    assert found["axial_cortical_mm"].state == Known(0.0)
    assert found["cortical_thickness_fraction"].state == Known(0.0)
    assert found["lesion_diameter_fraction"].state.low > 0
