"""Loads through the head of a femur: landmarks of exact solids in any orientation, what presses and holds, refusals."""

from dataclasses import replace

import numpy as np
import pytest
from femur_shapes import HEAD, KNEE_MM, RADIUS, Right, femur, tube, turned
from load_cases import cubes, solved
from scipy.spatial.transform import Rotation

from osteon.assessment.loads.base import LoadCase, Variation, settings
from osteon.assessment.loads.femur import FemurStair, FemurStance, FemurStumble
from osteon.assessment.loads.landmarks_femur import angle_deg, femur_of
from osteon.errors import InputError, NotOutlinedError
from osteon.space.anatomy import structure
from osteon.space.volume import Volume

TURN = Rotation.from_euler("xyz", (70, 20, -130), degrees=True).as_matrix()
LYING = Rotation.from_euler("xyz", (12, -6, 25), degrees=True).as_matrix()
STANCE = FemurStance()


def with_ct(anatomy, bone, value=800.0):
    return replace(anatomy, image=Volume(np.where(anatomy.masks[bone].array, value, 0.0).astype(np.float32), anatomy.grid))


def stance(bone, **given):
    return LoadCase("femur-stance", bone, **given)


@pytest.mark.parametrize(
    ("side", "turn", "spacing", "flips"),
    [
        ("right", None, (1.5, 1.5, 1.5), (False, False, False)),
        ("left", None, (1.5, 1.5, 1.5), (False, False, False)),
        ("right", TURN, (1.5, 1.5, 1.5), (False, False, False)),
        ("left", TURN, (1.5, 1.5, 1.5), (False, False, False)),
        ("left", LYING, (0.9, 0.9, 3.0), (False, False, False)),
        ("right", None, (1.5, 1.5, 1.5), (True, False, True)),
    ],
)
def test_landmarks_of_an_exact_femur_in_any_orientation(side, turn, spacing, flips):
    shape, by = Right(), (13.0, -40.0, 700.0)
    anatomy, bone = femur(side, turn, spacing, flips, by, shape)
    found = femur_of(anatomy, bone)
    assert np.linalg.norm(found.head.centre_mm - by) <= 1.0
    assert found.head.radius_mm == pytest.approx(RADIUS, abs=0.5)
    assert angle_deg(found.shaft.axis, turned(shape, shape.axis, turn, side)) <= 1.0
    assert angle_deg(found.medial, turned(shape, shape.medial, turn, side)) <= 3.0
    assert found.posterior @ turned(shape, (0, 1, 0), turn, side) > 0.9
    assert found.neck_shaft_deg == pytest.approx(128.0, abs=3.0)
    assert found.knee_mm is None


@pytest.mark.parametrize("head_mm", [19.0, 27.0])
def test_small_and_large_femora(head_mm):
    anatomy, bone = femur(shape=Right(head_mm=head_mm))
    found = femur_of(anatomy, bone)
    assert np.linalg.norm(found.head.centre_mm) <= 1.0
    assert found.head.radius_mm == pytest.approx(head_mm, abs=0.5)


def test_lesser_trochanter_ends_where_it_was_drawn():
    shape = Right()
    anatomy, bone = femur(shape=shape)
    drawn = -(shape.foot[2] - 26.0) + 8.0
    assert femur_of(anatomy, bone).shaft.lesser_trochanter_mm == pytest.approx(drawn, abs=8.0)  # it thins out


def test_whole_femur_is_loaded_along_its_mechanical_axis():
    shape = Right(500.0)
    anatomy, bone = femur(shape=shape, spacing=(2.0, 2.0, 2.0))
    pose = STANCE.pose(anatomy, stance(bone))
    knee = np.array([shape.line[0], shape.line[1] + 5.0, -KNEE_MM])
    assert angle_deg(pose.axes[:, 2], HEAD - knee) <= 2.0
    assert pose.lines[0][0] == "load, along the mechanical axis"
    assert not pose.doubts


@pytest.mark.parametrize("side", ["right", "left"])
def test_proximal_femur_is_loaded_at_the_given_angle_and_says_so(side):
    shape = Right()
    anatomy, bone = femur(side, LYING)
    pose = STANCE.pose(anatomy, stance(bone))
    lean = settings()["femur_axis_to_shaft_deg"].number
    assert angle_deg(pose.axes[:, 2], turned(shape, shape.axis, LYING, side)) == pytest.approx(lean, abs=1.0)
    assert pose.axes[:, 2] @ turned(shape, shape.medial, LYING, side) > 0.0  # the head lies to the inside of the knee
    assert "knee is not in the image" in pose.doubts[0]
    assert np.linalg.det(pose.axes) == pytest.approx(1.0)


def test_left_is_the_mirror_of_right():
    mirror = np.array([-1.0, 1.0, 1.0])
    poses = [STANCE.pose(*_case(side)) for side in ("right", "left")]
    assert angle_deg(poses[0].axes[:, 2] * mirror, poses[1].axes[:, 2]) <= 0.5
    for name, place in poses[0].landmarks.items():
        assert np.asarray(place) * mirror == pytest.approx(poses[1].landmarks[name], abs=1.5)


def _case(side):
    anatomy, bone = femur(side)
    return anatomy, stance(bone)


def test_stair_leans_backwards_and_stumble_is_the_stance():
    for side in ("right", "left"):
        anatomy, bone = femur(side, LYING)
        poses = {b.name: b.pose(anatomy, LoadCase(b.name, bone)) for b in (STANCE, FemurStair(), FemurStumble())}
        stairs, standing = poses["femur-stair"].axes[:, 2], poses["femur-stance"].axes[:, 2]
        assert angle_deg(stairs, standing) == pytest.approx(settings()["femur_stair_backward_deg"].number, abs=1e-6)
        assert -stairs @ turned(Right(), (0, 1, 0), LYING, side) > 0.1  # the force pushes the head backwards
        assert np.allclose(poses["femur-stumble"].axes, poses["femur-stance"].axes)


def test_demands_are_those_of_the_papers():
    demands = [b.demand_body_weights for b in (STANCE, FemurStair(), FemurStumble())]
    assert [d.number for d in demands] == [2.38, 2.60, 8.7]
    assert [d.source for d in demands] == ["bergmann-2001", "bergmann-2001", "bergmann-1993"]
    assert STANCE.demand == (("walking at 4 km/h", 2.38, "bergmann-2001"),)
    assert [d[1] for d in (*FemurStair().demand, *FemurStumble().demand)] == [2.60, 2.51, 8.7, 7.2]


def test_recalled_components_have_the_size_that_was_published():
    """Heller 2005 is recalled; Bergmann 2001 was read: 2.38 and 2.51."""
    assert np.linalg.norm([54.0, 32.8, 229.2]) == pytest.approx(238.0, abs=1.0)
    assert np.linalg.norm([59.3, 60.6, 236.3]) == pytest.approx(251.0, abs=1.0)
    assert np.degrees(np.arctan2(60.6, 236.3)) == pytest.approx(settings()["femur_stair_backward_deg"].number, abs=0.1)


@pytest.fixture(scope="module")
def standing():
    anatomy, bone = femur("right", LYING)
    anatomy = with_ct(anatomy, bone)
    pose = STANCE.pose(anatomy, stance(bone))
    return pose, cubes(STANCE, anatomy, stance(bone), pose, 2.5)


def test_force_is_one_force_along_z_through_the_head(standing):
    pose, voxels = standing
    placed, found, stiffness = solved(STANCE, voxels, pose, uniform_pa=1e10)
    assert found.how == "converged"
    down, *sideways = np.array(found.reaction_n) / stiffness
    assert down == pytest.approx(-1.0, abs=1e-4)
    assert np.abs(sideways).max() < 1e-9
    moved = np.argwhere(placed.support.displacement_m[..., 0] != 0)
    assert 1 <= len(moved) <= 4
    pivot = voxels.grid.to_mm(moved.mean(0) - 0.5) @ pose.axes
    head = np.asarray(pose.landmarks["head centre"]) @ pose.axes
    assert np.abs(pivot[:2] - head[:2]).max() <= 0.25 * voxels.edge_mm + 1e-6
    assert placed.length_mm == pytest.approx(head[2] - pose.axes[:, 2] @ pose.landmarks["shaft end"] - 20.0, abs=3.0)
    assert placed.most == pytest.approx(0.04e-3 * placed.length_mm)


def test_cap_sits_on_the_head_alone_and_the_shaft_is_held_at_its_end(standing):
    pose, voxels = standing
    placed = STANCE.place(voxels, pose)
    head = np.asarray(pose.landmarks["head centre"])
    cap = voxels.grid.to_mm(np.argwhere(placed.added[0].where)) - head
    assert (cap @ pose.axes[:, 2] > 0.6 * RADIUS).all()
    assert (
        np.linalg.norm(cap - np.outer(cap @ pose.axes[:, 2], pose.axes[:, 2]), axis=1).max() < RADIUS * np.sin(np.radians(40)) + 1
    )
    held = np.argwhere(placed.support.mask.all(-1))
    shaft = np.asarray(pose.landmarks["lesser trochanter level"]) - pose.landmarks["shaft end"]
    above = (voxels.grid.to_mm(held - 0.5) - pose.landmarks["shaft end"]) @ shaft / np.linalg.norm(shaft)
    assert above.max() <= 20.0 + 2.0 * voxels.edge_mm
    assert above.max() >= 20.0 - voxels.edge_mm


def test_left_and_right_are_equally_stiff():
    """The cubes of the two lie differently in the bone: 5 %, set beforehand."""
    stiffness = []
    for side in ("right", "left"):
        anatomy, bone = femur(side, spacing=(2.0, 2.0, 2.0))
        anatomy = with_ct(anatomy, bone)
        pose = STANCE.pose(anatomy, stance(bone))
        stiffness.append(solved(STANCE, cubes(STANCE, anatomy, stance(bone), pose, 3.0), pose, uniform_pa=1e10)[2])
    assert stiffness[1] == pytest.approx(stiffness[0], rel=0.05)


def test_turned_load_axis_has_the_moment_of_the_turned_force_at_the_level_that_counts(standing):
    pose, voxels = standing
    head = np.asarray(pose.landmarks["head centre"]) @ pose.axes
    level = head[2] - np.asarray(pose.landmarks["lesser trochanter level"]) @ pose.axes[:, 2]
    for tilt in ((0.0, 4.0), (-5.0, 0.0), (3.0, -3.0)):
        placed = STANCE.place(voxels, pose, Variation(tilt))
        moved = np.argwhere(placed.support.displacement_m[..., 0] != 0)
        pivot = voxels.grid.to_mm(moved.mean(0) - 0.5) @ pose.axes
        along = Rotation.from_euler("xy", tilt, degrees=True).as_matrix()[:, 2]
        through = head - level / along[2] * along  # where the turned force crosses that level
        assert np.abs(pivot[:2] - through[:2]).max() <= 0.25 * voxels.edge_mm + 1e-6


def test_more_of_the_cap_modulus_is_stiffer(standing):
    pose, voxels = standing
    soft, hard = (STANCE.place(voxels, pose, Variation(cap_modulus_factor=f)).added[0].modulus_pa for f in (0.8, 1.2))
    assert hard == pytest.approx(1.5 * soft)


def test_lesion_in_the_held_end_is_said(standing):
    pose, voxels = standing
    low = np.zeros(voxels.bone.shape, bool)
    held = STANCE.place(voxels, pose).support.mask.all(-1)
    low[:] = voxels.bone & held[:-1, :-1, :-1] & held[1:, 1:, 1:]
    assert any("held end" in n for n in STANCE.place(replace(voxels, lesion=low), pose).notes)


def test_specks_of_the_outline_are_no_end_of_the_bone():
    anatomy, bone = femur("right", LYING)
    mask = anatomy.masks[bone]
    plain = STANCE.pose(anatomy, stance(bone))
    dirty = mask.array.copy()
    dirty[:2, :3, :3] = True
    dirty[-2:, -3:, :2] = True
    spotted = with_ct(replace(anatomy, masks={bone: mask.with_array(dirty)}), bone)
    pose = STANCE.pose(spotted, stance(bone))
    assert np.allclose(pose.axes, plain.axes, atol=1e-9)
    held = STANCE.place(cubes(STANCE, spotted, stance(bone), pose, 2.5), pose).support.mask.all(-1)
    assert held.sum() > 500


# --- what is refused


def test_femur_cut_below_its_head_is_refused_with_the_reason():
    for length in (50.0, 90.0):
        anatomy, bone = femur(shape=Right(length), cut=True)
        with pytest.raises(InputError, match="needs at least 50 mm of shaft below the lesser trochanter") as caught:
            STANCE.pose(anatomy, stance(bone))
        assert "bending" in caught.value.do


@pytest.mark.parametrize("top_mm", [-10.0, 4.0, 12.0, 19.0])
def test_head_cut_by_the_image_is_refused(top_mm):
    anatomy, bone = femur(spacing=(2.0, 2.0, 2.0))
    keep = int(np.argmin(np.abs(anatomy.grid.to_mm(np.array([[k, 0, 0] for k in range(anatomy.grid.shape[0])]))[:, 2] - top_mm)))
    mask = Volume.of(anatomy.masks[bone].array[:keep], anatomy.grid.matrix)
    cut = replace(anatomy, imaged=mask.with_array(np.ones(mask.grid.shape, bool)), masks={bone: mask})
    with pytest.raises(
        InputError, match=r"No femoral head|ends within the head|mm from the centre|meet at|beside the shaft"
    ) as caught:
        STANCE.pose(cut, stance(bone))
    assert "--head" in caught.value.do or "shaft-bending" in caught.value.do


def test_shaft_without_head_is_refused_and_told_what_to_ask():
    with pytest.raises(InputError, match="No femoral head is found") as caught:
        STANCE.pose(tube(), stance(structure("femur_right")))
    assert "shaft-bending" in caught.value.do
    assert "--head" in caught.value.do


def test_femur_that_is_not_outlined():
    with pytest.raises(NotOutlinedError):
        STANCE.pose(tube(), stance(structure("femur_left")))


def test_implausible_neck_is_refused_unless_the_axis_is_given():
    anatomy, bone = femur(shape=Right(neck_shaft=92.0))
    with pytest.raises(InputError, match=r"meet at \d+ degrees") as caught:
        STANCE.pose(anatomy, stance(bone))
    assert "--axis" in caught.value.do
    assert "--head" in caught.value.do
    pose = STANCE.pose(anatomy, stance(bone, axis=(0.1, 0.0, 1.0)))
    assert pose.by_hand
    assert angle_deg(pose.axes[:, 2], np.array([0.1, 0.0, 1.0])) < 1e-6
    assert any("meet at" in d for d in pose.doubts)


def test_wrong_unit_of_the_image_is_refused():
    """A femur ten times too small, or twice too large, has no head that can be one."""
    anatomy, bone = femur(shape=Right(), spacing=(2.0, 2.0, 2.0))
    for factor in (0.1, 1.8):
        affine = np.diag([factor, factor, factor, 1.0]) @ anatomy.grid.matrix
        mask = Volume.of(anatomy.masks[bone].array, affine)
        small = replace(anatomy, imaged=mask.with_array(np.ones(mask.grid.shape, bool)), masks={bone: mask})
        with pytest.raises(InputError, match="No femoral head is found") as caught:
            STANCE.pose(small, stance(bone))
        assert "voxel size" in caught.value.do


def test_axis_by_hand_the_wrong_way_round_is_refused():
    anatomy, bone = femur()
    with pytest.raises(InputError, match="degrees to the shaft"):
        STANCE.pose(anatomy, stance(bone, axis=(0.0, 0.0, -1.0)))
    with pytest.raises(InputError, match="no direction"):
        STANCE.pose(anatomy, stance(bone, axis=(0.0, 0.0, 0.0)))


def test_head_by_hand():
    anatomy, bone = femur()
    pose = STANCE.pose(anatomy, stance(bone, head_mm=(0.5, -0.5, 0.5)))
    assert pose.by_hand
    assert pose.landmarks["head centre"] == (0.5, -0.5, 0.5)
    assert np.linalg.norm(np.asarray(pose.landmarks["head pole"]) - (0.5, -0.5, 0.5)) == pytest.approx(RADIUS, abs=1.0)
    with pytest.raises(InputError, match="round the centre that was given"):
        STANCE.pose(anatomy, stance(bone, head_mm=(-38.0, 0.0, -120.0)))


def test_no_room_for_the_plate_is_refused(standing):
    pose, voxels = standing
    top = int(np.flatnonzero(voxels.bone.any((1, 2)))[-1]) + 2
    grid = replace(voxels.grid, shape=(top, *voxels.grid.shape[1:]))
    density = voxels.density.with_values(voxels.density.values_g_cm3[:top], "cut")
    cut = replace(
        voxels, grid=grid, bone=voxels.bone[:top], lesion=voxels.lesion[:top], metal=voxels.metal[:top],
        cement=voxels.cement[:top], density=density,
    )  # fmt: skip
    with pytest.raises(InputError, match="loading plate"):
        STANCE.place(cut, pose)


# --- real


@pytest.mark.real
@pytest.mark.parametrize("side", ["right", "left"])
def test_real_pelvis_upper_femur_is_refused_and_its_head_is_found(side, real):
    from osteon.assessment.loads.landmarks_head import find_head, surface_points
    from osteon.io import images, labels
    from osteon.space.anatomy import Anatomy

    image = images.read(real("pelvis_ct/example_ct.nii.gz"))
    outlines = labels.read(real("pelvis_ct/example_seg_fast_force_split.nii.gz"), image.volume.grid)
    bone = structure(f"femur_{side}")
    anatomy = Anatomy(imaged=image.imaged, image=image.volume, masks={bone: outlines.masks[bone]})
    head = find_head(*surface_points(anatomy.masks[bone], anatomy.imaged), 3.0)
    assert 20.0 <= head.radius_mm <= 28.0
    assert head.covered > 0.95
    with pytest.raises(InputError, match="shaft below the lesser trochanter"):
        STANCE.pose(anatomy, stance(bone))


@pytest.mark.real
def test_real_sarcoma_hip_gives_a_plausible_femur_in_a_bent_leg(real):
    """The left femur, flexed by about 40 degrees: bone above 200 HU, cut from the pelvis round its own head."""
    from scipy import ndimage

    from osteon.io import images
    from osteon.space.anatomy import Anatomy

    image = images.read(real("sarcoma/nifti/STS_036/CT_image.nii.gz")).volume
    labels, _ = ndimage.label(image.array > 200)
    largest = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    solid = np.stack([ndimage.binary_fill_holes(each) for each in largest])
    seen = image.with_array(np.ones(solid.shape, bool))
    hip, radius = np.array([80.0, 32.0, -653.0]), 20.0  # read from the picture; only the cut rests on it
    away = image.grid.to_mm(np.moveaxis(np.indices(solid.shape), 0, -1)) - hip
    distance = np.linalg.norm(away, axis=-1)
    down = image.grid.to_mm(np.argwhere(solid[:12])).mean(0) - hip
    socket = (distance > radius + 0.8) & (distance < radius + 6.0)
    socket &= (away @ down) / np.linalg.norm(down) < 0.45 * np.maximum(distance, 1.0)
    pieces, _ = ndimage.label((solid | (distance < radius)) & ~socket)
    bone = structure("femur_left")
    femur_alone = image.with_array(pieces == np.bincount(pieces[:6][solid[:6]]).argmax())
    found = femur_of(Anatomy(imaged=seen, masks={bone: femur_alone}), bone)
    assert 18.0 <= found.head.radius_mm <= 28.0
    assert 110.0 <= found.neck_shaft_deg <= 145.0
    assert found.medial[0] < -0.8  # of a left leg: to the right
    assert found.posterior[1] > 0.6
    assert 25.0 <= angle_deg(found.shaft.axis, np.array([0.0, 0.0, 1.0])) <= 55.0
    assert 40.0 <= found.shaft.lesser_trochanter_mm <= 75.0
