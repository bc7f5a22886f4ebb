"""Loads without a validated threshold: the hip bone in stance, and bones pressed along their length."""

from dataclasses import replace

import numpy as np
import pytest
from load_cases import anatomy_of, cubes, moved, only, solved
from scipy.spatial.transform import Rotation

from osteon.assessment.loads.base import LoadCase, Variation
from osteon.assessment.loads.relative import PelvisStance, RelativeCompression
from osteon.case.phantom import build
from osteon.case.phantom_ilium import HEAD
from osteon.errors import InputError, NotOutlinedError
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Grid, Volume

RIGHT, LEFT, SACRUM, FEMUR = (structure(n) for n in ("hip_right", "hip_left", "sacrum", "femur_right"))
JOINT, STERNUM = structure("hip_joint_right"), structure("sternum")
CASE = LoadCase("pelvis-stance", RIGHT)
ALONG = LoadCase("relative-compression", STERNUM)
STANCE, COMPRESSION = PelvisStance(), RelativeCompression()
UNIFORM_PA = 1.0e9


@pytest.fixture(scope="module")
def anatomy():
    return anatomy_of(build("ilium", spacing_mm=2.0))


def with_only(anatomy, *which):
    return replace(anatomy, masks={k: anatomy.masks[k] for k in which})


@pytest.mark.parametrize(
    ("others", "within_mm"), [((FEMUR,), 1.5), ((JOINT,), 1.5), ((), 2.0)], ids=["head of the femur", "joint", "hollow"]
)
def test_the_acetabulum_of_the_phantom_lies_at_the_head_that_was_drawn(anatomy, others, within_mm):
    pose = STANCE.pose(with_only(anatomy, RIGHT, SACRUM, *others), CASE)
    assert np.linalg.norm(np.array(pose.landmarks["acetabulum"]) - HEAD) < within_mm
    assert bool(pose.doubts[1:]) == (not others)  # told by the hollow alone: said so


def test_stance_presses_upwards_and_inwards_through_the_joint(anatomy):
    pose = STANCE.pose(with_only(anatomy, RIGHT, SACRUM, FEMUR), CASE)
    force = -pose.axes[:, 2]
    assert force[2] > 0.9
    assert force[0] > 0.2  # to the left: inwards on the right side
    assert np.allclose(pose.axes.T @ pose.axes, np.eye(3))
    assert np.linalg.det(pose.axes) == pytest.approx(1.0)
    assert np.allclose(pose.lines[0][2], pose.landmarks["acetabulum"])


def test_stance_on_the_phantom_is_in_equilibrium_and_held_at_the_sacrum(anatomy):
    few = with_only(anatomy, RIGHT, SACRUM, FEMUR)
    pose = STANCE.pose(few, CASE)
    voxels = cubes(STANCE, few, CASE, pose, 2.5)
    placed, found, stiffness = solved(STANCE, voxels, pose)
    assert found.how == "converged"
    assert stiffness > 0
    assert -found.reaction_n[0] == pytest.approx(stiffness, rel=1e-4)
    held = np.argwhere(placed.support.mask.all(-1)) - 0.5
    places = voxels.grid.to_mm(held)
    sacrum = np.array(pose.landmarks["sacro-iliac joint"])
    assert np.linalg.norm(places - sacrum, axis=1).max() < 40.0
    pressed = voxels.grid.to_mm(np.argwhere(placed.support.displacement_m[..., 0] < 0) - 0.5)
    assert (pressed[:, 2] > HEAD[2]).all()
    assert np.linalg.norm(pressed - HEAD, axis=1).max() < 35.0
    assert not STANCE.absolute
    assert any("No threshold" in n for n in placed.notes)


def test_a_mirrored_patient_has_the_same_stiffness(anatomy):
    few = with_only(anatomy, RIGHT, SACRUM, FEMUR)
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])

    def mirrored(volume):
        return Volume(volume.array, Grid.of(volume.grid.shape, flip @ volume.grid.matrix))

    names = {RIGHT: LEFT, FEMUR: structure("femur_left"), SACRUM: SACRUM}
    other = Anatomy(mirrored(few.imaged), mirrored(few.image), {names[k]: mirrored(v) for k, v in few.masks.items()})
    found = []
    for each, case in ((few, CASE), (other, replace(CASE, bone=LEFT))):
        pose = STANCE.pose(each, case)
        found.append((pose, solved(STANCE, cubes(STANCE, each, case, pose, 2.5), pose)[2]))
    assert found[1][0].axes[0, 2] == pytest.approx(-found[0][0].axes[0, 2], abs=1e-6)
    assert found[1][1] == pytest.approx(found[0][1], rel=0.03)


def test_a_void_above_the_roof_makes_the_hip_bone_softer(anatomy):
    few = with_only(anatomy, RIGHT, SACRUM, FEMUR)
    pose = STANCE.pose(few, CASE)
    voxels = cubes(STANCE, few, CASE, pose, 2.5)
    whole = solved(STANCE, voxels, pose, uniform_pa=UNIFORM_PA)[2]
    places = voxels.grid.to_mm(np.moveaxis(np.indices(voxels.bone.shape), 0, -1))
    void = np.linalg.norm(places - (HEAD[0] + 5, HEAD[1] + 5, HEAD[2] + 48), axis=-1) < 10.0
    modulus = np.where(void, 1e6, UNIFORM_PA)
    assert (void & voxels.bone).sum() > 100
    hollow = solved(STANCE, voxels, pose, uniform_pa=modulus)[2]
    assert 0.3 * whole < hollow < 0.99 * whole


def test_a_tilt_of_the_load_moves_the_pressed_roof(anatomy):
    few = with_only(anatomy, RIGHT, SACRUM, FEMUR)
    pose = STANCE.pose(few, CASE)
    voxels = cubes(STANCE, few, CASE, pose, 2.5)
    straight = STANCE.place(voxels, pose).support.mask
    tilted = STANCE.place(voxels, pose, Variation(tilt_deg=(6.0, -6.0))).support.mask
    assert (straight != tilted).any()


def test_stance_by_hand_takes_head_and_axis_as_given(anatomy):
    case = replace(CASE, head_mm=(-89.0, 1.0, -250.0), axis=(0.0, 0.0, -2.0))
    pose = STANCE.pose(with_only(anatomy, RIGHT, SACRUM), case)
    assert pose.by_hand
    assert pose.landmarks["acetabulum"] == (-89.0, 1.0, -250.0)
    assert np.allclose(pose.axes[:, 2], (0, 0, -1))


def test_stance_is_refused_where_joints_are_not_there(anatomy):
    with pytest.raises(NotOutlinedError, match="sacrum"):
        STANCE.pose(with_only(anatomy, RIGHT, FEMUR), CASE)
    with pytest.raises(NotOutlinedError):
        STANCE.pose(with_only(anatomy, SACRUM, FEMUR), CASE)
    far = moved(anatomy.masks[SACRUM], np.eye(3), (25.0, 0.0, 0.0)).resample(anatomy.grid)
    with pytest.raises(InputError, match="apart"):
        STANCE.pose(replace(anatomy, masks={RIGHT: anatomy.masks[RIGHT], FEMUR: anatomy.masks[FEMUR], SACRUM: far}), CASE)
    with pytest.raises(InputError, match="--head") as caught:  # the middle of a head that lies in the wing
        STANCE.pose(with_only(anatomy, RIGHT, SACRUM), replace(CASE, head_mm=(-55.0, 45.0, -190.0)))
    assert caught.value.why
    high = replace(CASE, head_mm=(-60.0, -10.0, -150.0))
    with pytest.raises(InputError, match="inwards of the"):
        STANCE.pose(with_only(anatomy, RIGHT, SACRUM), high)


def test_a_head_given_in_the_open_finds_no_roof(anatomy):
    few = with_only(anatomy, RIGHT, SACRUM)
    pose = STANCE.pose(few, replace(CASE, head_mm=(-135.0, -40.0, -262.0)))
    voxels = cubes(STANCE, few, CASE, pose, 2.5)
    with pytest.raises(InputError, match="roof"):
        STANCE.place(voxels, pose)


def bar(size_mm, edge_mm, turn=None):
    """Return a block as the outline of a sternum, turned in space, with an image of one value."""
    turn = np.eye(3) if turn is None else turn
    pad = 6
    inside = np.pad(np.ones(np.round(np.array(size_mm[::-1]) / edge_mm).astype(int), bool), pad)
    mask = moved(Volume(inside, Grid.box(np.zeros(3), (np.array(inside.shape[::-1]) - 1.0) * edge_mm, edge_mm)), turn)
    return only(STERNUM, mask, mask.with_array(np.where(inside, 600.0, -100.0).astype(np.float32)))


def test_a_bar_pressed_along_its_length_is_e_a_over_l():
    few = bar((20, 16, 120), 2.0)
    pose = COMPRESSION.pose(few, ALONG)
    assert abs(pose.axes[2, 2]) == pytest.approx(1.0)
    assert pose.doubts == ()
    voxels = cubes(COMPRESSION, few, ALONG, pose, 2.0)
    placed, found, stiffness = solved(COMPRESSION, voxels, pose, uniform_pa=UNIFORM_PA)
    assert found.how == "converged"
    exact = UNIFORM_PA * 0.020 * 0.016 / (placed.length_mm * 1e-3)
    assert stiffness == pytest.approx(exact, rel=0.03)  # its clamped ends stiffen it a little
    assert stiffness >= exact
    assert 90.0 < placed.length_mm < 105.0


def test_a_turned_bar_has_its_own_axis_and_stiffness():
    turn = Rotation.from_euler("xyz", (25, -15, 40), degrees=True).as_matrix()
    few = bar((20, 16, 120), 2.0, turn)
    pose = COMPRESSION.pose(few, ALONG)
    assert np.degrees(np.arccos(min(1.0, abs(pose.axes[:, 2] @ turn[:, 2])))) < 1.0
    voxels = cubes(COMPRESSION, few, ALONG, pose, 2.0)
    placed, _, stiffness = solved(COMPRESSION, voxels, pose, uniform_pa=UNIFORM_PA)
    assert stiffness == pytest.approx(UNIFORM_PA * 0.020 * 0.016 / (placed.length_mm * 1e-3), rel=0.12)  # edges between cubes


def test_a_bone_without_a_long_axis_is_doubted_and_takes_one_by_hand():
    few = bar((40, 16, 44), 2.0)
    assert any("--axis" in d for d in COMPRESSION.pose(few, ALONG).doubts)
    by_hand = COMPRESSION.pose(few, replace(ALONG, axis=(1.0, 0.0, 0.0)))
    assert by_hand.by_hand
    assert np.allclose(by_hand.axes[:, 2], (1, 0, 0))
    with pytest.raises(InputError, match="no direction"):
        COMPRESSION.pose(few, replace(ALONG, axis=(0.0, 0.0, 0.0)))


def test_a_bone_too_short_for_its_clamps_is_refused():
    few = bar((20, 16, 12), 2.0)
    pose = COMPRESSION.pose(few, replace(ALONG, axis=(0.0, 0.0, 1.0)))
    with pytest.raises(InputError, match="clamp"):
        COMPRESSION.place(cubes(COMPRESSION, few, ALONG, pose, 2.0), pose)


def test_a_lesion_in_a_clamped_end_is_named():
    few = bar((20, 16, 120), 2.0)
    mask = few.mask(STERNUM)
    z = np.flatnonzero(mask.array.any((1, 2)))
    end = np.zeros(mask.array.shape, bool)
    end[z[0] : z[0] + 5] = mask.array[z[0] : z[0] + 5]
    ill = few.with_mask(structure("lesion"), mask.with_array(end))
    assert any("clamped end" in d for d in COMPRESSION.pose(ill, ALONG).doubts)


@pytest.mark.real
def test_real_hip_bones_stand_on_both_sides_alike():
    from conftest import shared_path
    from osteon.io import images, labels

    folder = shared_path("data/pelvis_ct")
    image = images.read(folder / "example_ct.nii.gz")
    outlines = labels.read(folder / "example_seg_fast_force_split.nii.gz", image.volume.grid).masks
    keep = {k: outlines[k] for k in (RIGHT, LEFT, SACRUM, FEMUR)}  # the left femur holds metal
    real, found = Anatomy(image.imaged, image.volume, keep), []
    for which in (RIGHT, LEFT):
        case = replace(CASE, bone=which)
        pose = STANCE.pose(real, case)
        voxels = cubes(STANCE, real, case, pose, 3.0)
        placed, solution, stiffness = solved(STANCE, voxels, pose)
        assert solution.how == "converged"
        assert "pubic symphysis" in pose.landmarks
        assert 60.0 < placed.length_mm < 110.0
        found.append(stiffness)
    assert found[1] == pytest.approx(found[0], rel=0.3)
