"""Volumes and anatomies: places stay where they are, whatever the axes."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from space_solids import ball, grid_of

from osteon.errors import ImageError, InputError, NotOutlinedError
from osteon.space.anatomy import Anatomy, Field, structure
from osteon.space.volume import Grid, Volume

ALL_48 = [(order, flips) for order in permutations(range(3)) for flips in product([False, True], repeat=3)]


def numbered(order, flips, angle=0.0):
    turn = Rotation.from_euler("xyz", [angle, -angle / 2, angle / 3], degrees=True).as_matrix()
    grid = grid_of((1.0, 2.0, 3.0), order, flips, turn, half=9)
    places = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    return Volume((places @ [1.0, 10.0, 100.0]).astype(np.float32), grid)


@pytest.mark.parametrize(("order", "flips"), ALL_48)
@pytest.mark.parametrize("angle", [0.0, 12.0])
def test_canonical_keeps_every_value_in_its_place(order, flips, angle):
    volume = numbered(order, flips, angle)
    straight = volume.canonical()
    assert (np.diag(straight.grid.matrix)[:3] > 0).all()
    assert np.argmax(np.abs(straight.grid.matrix[:3, :3]), axis=0).tolist() == [0, 1, 2]
    places = straight.grid.to_mm(np.moveaxis(np.indices(straight.grid.shape), 0, -1))
    np.testing.assert_allclose(straight.array, places @ [1.0, 10.0, 100.0], atol=1e-2)
    assert straight.grid.voxel_mm3 == pytest.approx(volume.grid.voxel_mm3)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(ALL_48), st.floats(-20, 20))
def test_law_resampling_a_linear_field_is_exact(axes, angle):
    volume = numbered(*axes, angle)
    target = Grid.box(np.full(3, -5.0), np.full(3, 5.0), 1.3)
    found = volume.resample(target, fill=np.nan).array
    expected = target.to_mm(np.moveaxis(np.indices(target.shape), 0, -1)) @ [1.0, 10.0, 100.0]
    known = np.isfinite(found)
    assert known.mean() > 0.9
    inner = np.linalg.norm(target.to_mm(np.moveaxis(np.indices(target.shape), 0, -1)), axis=-1) < 5
    np.testing.assert_allclose(found[inner], expected[inner], atol=0.05)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(ALL_48))
def test_law_index_and_mm_are_inverse(axes):
    grid = grid_of((1.0, 2.0, 3.0), *axes)
    points = np.random.default_rng(0).uniform(-30, 30, (20, 3))
    np.testing.assert_allclose(grid.to_mm(grid.to_index(points)), points, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(ALL_48), st.floats(0, 20))
def test_law_crop_keeps_the_values_in_their_places(axes, angle):
    volume = numbered(*axes, angle)
    part = volume.crop(np.array([-3.0, -2.0, -4.0]), np.array([2.0, 5.0, 1.0]))
    places = part.grid.to_mm(np.moveaxis(np.indices(part.grid.shape), 0, -1))
    np.testing.assert_allclose(part.array, places @ [1.0, 10.0, 100.0], atol=1e-2)
    assert part.grid.contains(np.array([[-3.0, -2.0, -4.0], [2.0, 5.0, 1.0]])).all()


def test_mask_volume_survives_resampling_to_a_tilted_fine_grid():
    solid = ball(grid_of((1.0, 2.0, 3.0)), (0, 0, 0), 14)
    tilted = Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix()
    fine = solid.resample(grid_of((1.0, 1.0, 1.0), rotation=tilted))
    assert fine.array.dtype == bool
    assert fine.array.sum() * fine.grid.voxel_mm3 == pytest.approx(solid.array.sum() * solid.grid.voxel_mm3, rel=0.02)


def test_outside_the_image_is_the_fill_value():
    volume = numbered((0, 1, 2), (False,) * 3)
    assert np.isnan(volume.sample(np.array([[500.0, 0, 0]]))).all()
    far = Grid.box(np.full(3, 200.0), np.full(3, 210.0), 2.0)
    assert (volume.resample(far, fill=-1024).array == -1024).all()
    with pytest.raises(ImageError, match="outside the image"):
        volume.crop(np.full(3, 200.0), np.full(3, 210.0))


def test_anatomy_never_takes_unoutlined_for_free_space():
    grid = grid_of((2.0, 2.0, 2.0))
    anatomy = Anatomy(Volume(np.ones(grid.shape, bool), grid))
    assert not anatomy.has("sciatic_nerve_right")
    with pytest.raises(NotOutlinedError, match="right sciatic nerve"):
        anatomy.mask("sciatic_nerve_right")
    with pytest.raises(InputError):
        anatomy.mask("sciatic")


def test_anatomy_on_another_grid_marks_what_was_not_imaged():
    grid = grid_of((2.0, 2.0, 2.0), half=10)
    lesion = structure("lesion")
    anatomy = Anatomy(Volume(np.ones(grid.shape, bool), grid), masks={lesion: ball(grid, (0, 0, 0), 8)})
    wide = anatomy.on(Grid.box(np.full(3, -20.0), np.full(3, 20.0), 1.0))
    assert wide.imaged.sample(np.array([[15.0, 0, 0]]), fill=0)[0] == 0
    assert wide.imaged.sample(np.array([[5.0, 0, 0]]), fill=0)[0] == 1
    drawn = anatomy.masks[lesion].array.sum() * 8.0
    surface = 4 * np.pi * 8**2
    assert abs(wide.masks[lesion].array.sum() - drawn) <= 0.5 * surface  # ties at one half: at most half a fine voxel all round
    free = anatomy.on(Grid.box(np.full(3, -19.7), np.full(3, 20.0), 1.1))
    assert free.masks[lesion].array.sum() * 1.1**3 == pytest.approx(drawn, rel=0.05)


def test_effects_accumulate_dose_and_join_dead_tissue():
    grid = grid_of((2.0, 2.0, 2.0), half=6)

    class Effect:
        title = "stub"

        def __init__(self, half):
            dead = np.zeros(grid.shape, bool)
            dead[:, :, :3] = half
            dead[:, :, 3:] = not half
            self.state = {Field.DEAD: Volume(dead, grid), Field.CEM43_MIN: Volume(np.full(grid.shape, 5.0, np.float32), grid)}

    before = Anatomy(Volume(np.ones(grid.shape, bool), grid))
    after = before.with_(Effect(True)).with_(Effect(False))
    assert after.state[Field.DEAD].array.all()
    assert (after.state[Field.CEM43_MIN].array == 10).all()
    assert before.state == {}
    assert after.log == ("stub", "stub")
