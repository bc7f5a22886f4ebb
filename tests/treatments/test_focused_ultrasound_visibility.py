"""From a patient and a pose to the elements that see the target: gas, lung, metal, bowel, edge of the image; a turned patient."""

from dataclasses import replace

import numpy as np
import pytest

from osteon.errors import ImageError, InputError, MissingError
from osteon.physics import acoustic_sources
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Grid, Volume
from osteon.tissue.acoustics import acoustic_map
from osteon.tissue.bone import CODE
from osteon.treatments.focused_ultrasound.transducer import transducer
from osteon.treatments.focused_ultrasound.visibility import COUPLING, pose, visible, way_of

ARRAY = transducer("exablate-body-208")
TARGET = np.array([0.0, 0.0, 0.0])
BEAM = (0.0, 1.0, 0.0)  # from the front backwards
H = 2.0
SHADOW = 0.06  # relative, of a ball of gas; set before the first comparison


def patient(turn=None, low=(-80, -70, -80), paint=(), masks=(), imaged=None):
    """A body of muscle from 60 mm before the target on, hip bone round the target, in air; ``paint`` are (where, HU)."""
    grid = Grid.box(np.array(low), np.array([80, 50, 80]), H)
    at = grid.to_mm(np.stack(np.indices(grid.shape), -1))
    body = at[..., 1] > -60
    hip = (np.abs(at) < [60, 20, 60]).all(axis=-1)
    hu = np.where(body, np.where(hip, 1200.0, 50.0), -1000.0).astype(np.float32)
    for where, number in paint:
        hu[where(at)] = number
    if turn is not None:
        grid = Grid.of(grid.shape, turn @ grid.matrix)
    named = {"body": body, "hip_right": hip, **{name: where(at) for name, where in dict(masks).items()}}
    return Anatomy(
        imaged=Volume(np.ones(grid.shape, bool) if imaged is None else imaged(at), grid),
        image=Volume(hu, grid),
        masks={structure(name): Volume(mask, grid) for name, mask in named.items()},
    )


def ball(centre, radius):
    return lambda at: np.linalg.norm(at - centre, axis=-1) < radius


def seen(anatomy, target=TARGET, beam=BEAM, **more):
    way = way_of(anatomy, acoustic_map(anatomy, ARRAY.frequency_hz))
    return visible(way, ARRAY, pose(ARRAY, target, beam), **more)


FREE = seen(patient())


def test_two_lines_from_anatomy_and_pose_to_the_elements():
    assert set(FREE.verdicts) == {"clear"}
    assert FREE.on().all()
    assert FREE.whole == (1.0, 0.0, 0.0)
    focus = np.array([0, 0, ARRAY.radius_m])
    drive = acoustic_sources.focus_drive(ARRAY.source, focus, 1e6, 1500.0, on=FREE.on())
    assert (np.abs(drive) > 0).all()


def test_the_pose_puts_the_focus_on_the_target_and_the_array_in_front():
    place = pose(ARRAY, (10.0, 20.0, 30.0), (1.0, 2.0, 2.0), turn_deg=33.0)
    np.testing.assert_allclose(place @ [0, 0, ARRAY.radius_m, 1], [10, 20, 30, 1], atol=1e-9)
    np.testing.assert_allclose(place[:3, 2], 1e3 * np.array([1, 2, 2]) / 3)
    np.testing.assert_allclose(place[:3, :3].T @ place[:3, :3], 1e6 * np.eye(3), atol=1e-6)
    assert np.linalg.det(place[:3, :3]) > 0
    steered = pose(ARRAY, TARGET, BEAM, focus_m=np.array([0.01, 0, 0.15]))
    np.testing.assert_allclose(steered @ [0.01, 0, 0.15, 1], [0, 0, 0, 1], atol=1e-9)


def test_a_ball_of_gas_takes_its_share_of_the_array():
    found = seen(patient(paint=[(ball((0, -35, 0), 8), -900.0)]))
    mid = np.hypot(*ARRAY.source.points_m[:, :2].T) / 0.16  # sines of the angles that the faces stand at
    half = np.arcsin(8 / 35)
    exact = ARRAY.source.areas_m2[mid < np.sin(half)].sum() / ARRAY.source.areas_m2.sum()
    grown = ARRAY.source.areas_m2[mid < np.sin(np.arcsin((8 + H * np.sqrt(3) / 2) / 35))].sum() / ARRAY.source.areas_m2.sum()
    assert exact * (1 - SHADOW) < found.whole[1] < grown * (1 + SHADOW)
    words = {w.split(" (")[0] for w in found.verdicts}
    assert all(w == "clear" or w.startswith("blocked by gas at ") for w in words)
    assert "clear" in words
    depths = [float(w.split()[4]) for w in words if w != "clear"]
    assert 14 < min(depths) < 20  # the ball begins 17 mm under the skin
    assert 0 < (~found.on()).sum() < 208


@pytest.mark.parametrize(
    ("paint", "masks", "word"),
    [
        ((lambda at: np.abs(at[..., 1] + 40) < 4, 3500.0), {}, "blocked by metal"),
        ((ball((0, -35, 0), 24), -700.0), {"lung_right": ball((0, -35, 0), 24)}, "blocked by lung"),
        ((ball((0, -35, 0), 24), 30.0), {"colon": ball((0, -35, 0), 24)}, "blocked by bowel"),
    ],
)
def test_what_stops_sound_and_what_may(paint, masks, word):
    found = seen(patient(paint=[paint], masks=masks))
    assert all(w.startswith(word) for w in found.verdicts)
    assert not found.on().any()


def test_outlined_bowel_blocks_with_gas_or_without_and_nobody_can_assume_it_away():
    soft = seen(patient(masks={"colon": ball((0, -35, 0), 24)}))
    filled = seen(patient(paint=[(ball((0, -35, 0), 15), -900.0)], masks={"colon": ball((0, -35, 0), 24)}))
    for found in (soft, filled):
        assert not found.on("assumed").any()
        assert found.whole == (0.0, 1.0, 0.0)


def test_bowel_that_nobody_outlined_is_soft_tissue_but_for_its_gas():
    """The same place without outline: clear where it holds none, blocked by gas where it does, never bowel."""
    assert seen(patient(paint=[(ball((0, -35, 0), 24), 30.0)])).on().all()
    found = seen(patient(paint=[(ball((0, -35, 0), 24), -900.0)]))
    assert not found.on().any()
    assert all(w.startswith("blocked by gas") for w in found.verdicts)


def test_what_was_not_imaged_is_never_clear_in_the_body_and_never_matters_in_the_bath():
    inside = seen(patient(imaged=lambda at: ~((at[..., 1] > -50) & (at[..., 1] < -40))))
    assert not inside.on().any()
    assert inside.on("assumed").all()
    assert all(w.startswith("cannot tell: not imaged at 1") for w in inside.verdicts)
    bath = seen(patient(imaged=lambda at: at[..., 1] > -66))
    assert bath.on().all()
    cut = seen(patient(low=(-80, -50, -80)))  # the skin is not in the image
    assert not cut.on().any()
    assert set(cut.verdicts) == {"cannot tell: leaves the image; image the whole way"}


def test_an_outline_a_little_outside_the_skin_hides_no_element():
    anatomy = patient()
    loose = Volume(anatomy.grid.to_mm(np.stack(np.indices(anatomy.grid.shape), -1))[..., 1] > -63, anatomy.grid)
    assert seen(anatomy.with_mask(structure("body"), loose)).on().all()
    looser = Volume(anatomy.grid.to_mm(np.stack(np.indices(anatomy.grid.shape), -1))[..., 1] > -69, anatomy.grid)
    assert not seen(anatomy.with_mask(structure("body"), looser)).on().any()


def test_without_an_outline_of_the_body_its_largest_piece_is_taken():
    anatomy = patient(paint=[(ball((0, -35, 0), 8), -900.0)])
    bare = replace(anatomy, masks={s: m for s, m in anatomy.masks.items() if s.id != "body"})
    np.testing.assert_array_equal(seen(bare).state, seen(anatomy).state)


def test_a_turned_patient_has_the_same_answer():
    gas = [(ball((20, -35, 5), 12), -900.0)]
    one, two = seen(patient(paint=gas)), None
    angle = np.radians(37.0)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    turn[:3, 3] = [31.0, -12.0, 7.0]
    way = way_of(patient(turn, paint=gas), acoustic_map(patient(turn, paint=gas), 1e6))
    two = visible(way, ARRAY, turn @ pose(ARRAY, TARGET, BEAM))
    assert (one.state == two.state).mean() > 0.995
    np.testing.assert_allclose(two.whole, one.whole, atol=5e-3)
    assert 0 < one.whole[1] < 1


def test_the_angle_at_bone_is_that_of_the_cone_and_of_a_tilted_beam():
    straight = FREE.incidence_deg
    assert np.nanmax(straight) < 25  # half the angle of the cone is 22 degrees
    assert FREE.incidence_share(34.2) == 0
    tilted = seen(patient(), beam=(0.0, np.cos(np.radians(25)), np.sin(np.radians(25))))
    assert np.nanmedian(tilted.incidence_deg) == pytest.approx(25, abs=5)
    way = np.array([0, 0, ARRAY.radius_m]) - ARRAY.source.points_m
    place = pose(ARRAY, TARGET, (0.0, np.cos(np.radians(25)), np.sin(np.radians(25))))
    exact = (place[:3, :3] @ way.T)[1] / (1e3 * np.linalg.norm(way, axis=1)) < np.cos(np.radians(34.2))
    area = ARRAY.source.areas_m2
    assert tilted.incidence_share(34.2) == pytest.approx(area[exact].sum() / area.sum(), abs=0.05)


def test_labels_of_the_way_keep_what_they_are_but_for_the_bath_and_solid_lesion():
    anatomy = patient(masks={"lesion": ball((0, 0, 0), 6)})
    sound = acoustic_map(anatomy, 1e6)
    way = way_of(anatomy, sound)
    assert way.array.dtype == np.uint8
    assert ((way.array == COUPLING) == ~anatomy.masks[structure("body")].array).all()
    assert (way.array[ball((0, 0, 0), 5)(anatomy.grid.to_mm(np.stack(np.indices(anatomy.grid.shape), -1)))] == CODE["bone"]).all()


def test_what_cannot_be_answered_is_refused():
    anatomy = patient()
    sound = acoustic_map(anatomy, 1e6)
    with pytest.raises(MissingError):
        way_of(replace(anatomy, image=None), sound)
    with pytest.raises(ImageError):
        way_of(patient(low=(-70, -70, -80)), sound)
    with pytest.raises(InputError):
        pose(ARRAY, TARGET, (0, 0, 0))
    with pytest.raises(InputError, match="flat array"):
        pose(replace(ARRAY, radius_m=np.inf), TARGET, BEAM)
    with pytest.raises(ImageError, match="outside the voxels"):
        seen(anatomy, target=(0, 0, 500))
    way, place = way_of(anatomy, sound), pose(ARRAY, TARGET, BEAM)
    place[1, 3] = 0.0
    with pytest.raises(InputError, match="inside bone"):
        visible(way, ARRAY, place, focus_m=np.array([0, 0, 0.02]))


@pytest.mark.real
def test_real_pelvis_is_open_from_its_side_and_bowel_lies_in_front(real):
    from osteon.io import images, labels

    image = images.read(real("pelvis_ct/example_ct.nii.gz"))
    masks = labels.read(real("pelvis_ct/example_seg_fast_force_split.nii.gz"), image.volume.grid).masks
    anatomy = Anatomy(imaged=image.imaged, image=image.volume, masks=masks, contrast=False)
    hip = masks[structure("hip_right")]
    inside = hip.grid.to_mm(np.argwhere(hip.array))
    target = inside[((inside - hip.centre_mm()) ** 2).sum(axis=1).argmin()]
    side, front = (seen(anatomy, target, beam) for beam in ((1, 0, 0), (0, 1, 0)))
    assert side.on().all()
    assert 0 < front.on("strict").sum() <= front.on("assumed").sum() < 208
    assert any("bowel" in words for words in front.verdicts)
    assert any("blocked by gas" in words for words in front.verdicts)
    with pytest.raises(InputError, match="inside bone"):
        seen(anatomy, target, (-1, 0, 0))  # through the other half of the body, the array would lie in it
