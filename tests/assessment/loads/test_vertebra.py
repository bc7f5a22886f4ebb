"""Compression and flexion of a vertebra: exact blocks, the phantom turned every way, a lone body, and what must be refused."""

from dataclasses import replace

import numpy as np
import pytest
from load_cases import anatomy_of, cubes, drawn_vertebra, moved, only, resampled, solved
from scipy.spatial.transform import Rotation

from osteon.assessment.loads.base import LoadCase, Pose, Variation, Voxels, settings
from osteon.assessment.loads.landmarks_vertebra import find_vertebra
from osteon.assessment.loads.vertebra import VertebraCompression, VertebraFlexion
from osteon.case.phantom import build
from osteon.errors import InputError, NotOutlinedError
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Grid, Volume
from osteon.tissue.bone_density import Density

L3 = structure("vertebra_L3")
CASE = LoadCase("vertebra-compression", L3)
COMPRESSION, FLEXION = VertebraCompression(), VertebraFlexion()
CAP_PA = settings()["vertebra_cap_modulus"].number * 1e6
CAP_MM = settings()["vertebra_cap_mm"].number
AXIS_DEG, STIFFNESS = 1.0, 0.03  # set before anything was computed
MIDDLE = np.array([0.0, 10.0, -120.0])
WAYS = [(20, 20, 0), (30, -20, 15), (0, 0, 90), (-35, 10, 170)]


def angle(one, other):
    return float(np.degrees(np.arccos(np.clip(np.asarray(one) @ np.asarray(other), -1, 1))))


def cropped(anatomy, low, high):
    """Return an anatomy whose image ends there."""
    image = anatomy.image.crop(low, high)
    masks = {k: v.crop(low, high) for k, v in anatomy.masks.items()}
    return Anatomy(image.with_array(np.ones(image.grid.shape, bool)), image, masks)


@pytest.fixture(scope="module")
def phantom():
    return build("vertebra")


@pytest.fixture(scope="module")
def anatomy(phantom):
    whole = anatomy_of(phantom)
    few = {k: whole.masks[k] for k in (L3, structure("spinal_cord"))}
    return cropped(replace(whole, masks=few), (-60, -30, -160), (60, 85, -80))


@pytest.fixture(scope="module")
def lone(anatomy):
    """The body without its arch."""
    mask = anatomy.mask(L3)
    y = mask.grid.to_mm(np.moveaxis(np.indices(mask.grid.shape), 0, -1))[..., 1]
    return Volume(mask.array & (y < 17.5), mask.grid)


def box(size_mm, edge_mm, room=18.0):
    """Return a block as cubes, and its pose."""
    count = np.round(np.array(size_mm) / edge_mm).astype(int)
    pad = int(np.ceil(room / edge_mm))
    bone = np.pad(np.ones(count[::-1], bool), pad)
    grid = Grid.box(np.zeros(3), (np.array(bone.shape[::-1]) - 1) * edge_mm, edge_mm)
    middle, half = (np.array(bone.shape[::-1]) - 1) * edge_mm / 2, np.array(size_mm) / 2
    marks = {
        "upper end plate": tuple(middle + half * [0, 0, 1]),
        "lower end plate": tuple(middle - half * [0, 0, 1]),
        "posterior wall": tuple(middle + half * [0, 1, 0]),
    }
    none = np.zeros(bone.shape, bool)
    density = Density("ash", np.where(bone, 0.3, 0.0))
    return Voxels(grid, bone, none, none, none.astype(np.float32), density), Pose(np.eye(3), marks)


def test_block_of_the_caps_own_material_is_a_bar():
    voxels, pose = box((40, 30, 26), 2.0)
    placed, found, stiffness = solved(COMPRESSION, voxels, pose, uniform_pa=CAP_PA)
    assert found.how == "converged"
    exact = CAP_PA * 0.040 * 0.030 / (0.026 + 2 * CAP_MM * 1e-3)
    assert stiffness == pytest.approx(exact, rel=1e-5)
    assert -found.reaction_n[0] == pytest.approx(exact, rel=1e-5)
    assert placed.length_mm == pytest.approx(26.0, abs=1e-6)
    assert placed.most == pytest.approx(0.019 * 0.026, rel=1e-6)


def test_block_between_caps_slides_without_friction_and_without_spurious_reactions():
    voxels, pose = box((32, 28, 24), 2.0)
    placed, found, stiffness = solved(COMPRESSION, voxels, pose, uniform_pa=4e8)
    mask = placed.support.mask.copy()
    pins = np.argwhere(mask[..., 1:].any(-1))
    assert mask[..., 1:].sum() == 3
    assert len(pins) == 2
    mask[..., 1:] = False  # other pins, and the same energy: they bear nothing
    held = np.argwhere(mask[: mask.shape[0] // 2, ..., 0])
    mask[tuple(held[0])][1:] = True
    mask[tuple(held[5])][1] = True
    other = replace(placed, support=replace(placed.support, mask=mask))
    again = solved(type("Again", (), {"place": lambda *_: other})(), voxels, pose, uniform_pa=4e8)
    assert again[2] == pytest.approx(stiffness, rel=1e-5)
    assert found.imbalance < 1e-4


def test_flexion_of_a_block_is_compression_with_bending():
    """A bar whose end turns about its back: E A / L (1 + 1/3); it is 2 e deep, its radius of gyration e over root 3."""
    voxels, pose = box((30, 32, 28), 2.0)
    _, found, stiffness = solved(FLEXION, voxels, pose, uniform_pa=CAP_PA)
    assert found.how == "converged"
    exact = CAP_PA * 0.030 * 0.032 / (0.028 + 2 * CAP_MM * 1e-3) * 4 / 3
    assert stiffness == pytest.approx(exact, rel=0.02)


def test_phantom_has_the_body_that_was_drawn(anatomy):
    found = find_vertebra(anatomy.mask(L3), anatomy.mask("spinal_cord"))
    assert angle(found.axes[:, 2], (0, 0, 1)) < AXIS_DEG
    assert angle(found.axes[:, 1], (0, 1, 0)) < 3.0
    assert found.height_mm == pytest.approx(30.0, abs=1.5)
    assert found.width_mm == pytest.approx(46.0, abs=2.0)
    assert found.depth_mm == pytest.approx(34.0, abs=2.0)
    assert np.abs((found.upper_mm + found.lower_mm) / 2 - (0.0, 0.0, -120.0)).max() < 1.5
    assert not found.isolated
    assert found.doubts == ()


@pytest.mark.parametrize("way", WAYS)
def test_phantom_turned_in_space_has_the_same_axis(anatomy, way):
    turn = Rotation.from_euler("xyz", way, degrees=True).as_matrix()
    found = find_vertebra(moved(anatomy.mask(L3), turn))  # by the hole of its canal
    assert angle(found.axes[:, 2], turn[:, 2]) < AXIS_DEG
    assert angle(found.axes[:, 1], turn[:, 1]) < 3.0
    assert found.height_mm == pytest.approx(30.0, abs=1.5)


@pytest.mark.parametrize("spacing_mm", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("way", [(0, 0, 0), (20, 20, 0), (90, 0, 0), (0, 90, 0), (45, 45, 45)])
def test_a_lone_body_is_found_in_any_direction_and_voxel_size(lone, way, spacing_mm):
    turn = Rotation.from_euler("xyz", way, degrees=True).as_matrix()
    found = find_vertebra(resampled(lone, turn, MIDDLE, spacing_mm))
    assert found.isolated
    assert min(angle(found.axes[:, 2], turn[:, 2]), angle(found.axes[:, 2], -turn[:, 2])) < AXIS_DEG * max(1.0, spacing_mm - 1.0)
    outline = resampled(lone, np.eye(3), MIDDLE, spacing_mm)  # whole slices: 30 mm drawn are 29, 30 and 27 mm high
    layers = spacing_mm * int(outline.array.any((1, 2)).sum())
    assert found.height_mm == pytest.approx(layers if 90 in way or not any(way) else 30.0, abs=1.0 + spacing_mm / 2)


def test_a_lone_body_on_its_side_is_taken_as_a_specimen_and_says_so(lone):
    turn = Rotation.from_euler("x", 90, degrees=True).as_matrix()
    pose = COMPRESSION.pose(only(L3, resampled(lone, turn, MIDDLE, 1.0)), CASE)
    assert any("specimen" in d for d in pose.doubts)


def test_tiny_voxels_of_a_large_image_are_thinned_and_change_nothing(lone):
    coarse = find_vertebra(lone)
    grid = Grid.box(np.array([-26.0, -20.0, -138.0]), np.array([26.0, 20.0, -102.0]), 0.35)
    number = lone.with_array(lone.array.astype(np.float32)).resample(grid)
    fine = find_vertebra(number.with_array(number.array >= 0.5))
    assert angle(fine.axes[:, 2], coarse.axes[:, 2]) < AXIS_DEG
    assert fine.height_mm == pytest.approx(coarse.height_mm, abs=0.7)


def scaled(a, b, c):
    return lambda x, y, z: (x / a, y / b, z / c)


def hollow(deep):
    """End plates that sink in by ``deep`` mm."""

    def warp(x, y, z):
        rest = 1 - deep / 15 * (1 - np.clip((x / 23) ** 2 + (y / 17) ** 2, 0, 1))
        return x, y, np.where(y < 17.5, z / rest, z)

    return warp


def broken(front):
    """The upper plate sinks to a part of the height in front."""

    def warp(x, y, z):
        drop = 30 * (1 - front) * (1 - np.clip((y + 17) / 34, 0, 1))
        return x, y, np.where(z > -15, -15 + (z + 15) * 30 / (30 - drop), z)

    return warp


@pytest.mark.parametrize(
    ("shape", "height_mm"),
    [
        ({"warp": scaled(0.65, 0.85, 0.75), "way": (10, -5, 0)}, 22.5),
        ({"warp": scaled(0.55, 0.55, 0.6), "way": (30, 10, 0)}, 18.0),
        ({"warp": scaled(0.45, 0.45, 0.45)}, 13.5),
        ({"warp": hollow(4.0), "way": (10, 10, 0)}, None),
        ({"spacing_mm": (0.7, 0.7, 3.0), "way": (20, 10, 5)}, 30.0),
        ({"keep": lambda x, y, z: (abs(x) > 12) | (y < 30), "way": (5, 5, 0)}, 30.0),
        ({"keep": lambda x, y, z: y < 27, "way": (20, 20, 20)}, 30.0),
    ],
    ids=[
        "thoracic",
        "upper thoracic",
        "cervical",
        "hollow plates",
        "oblique slices of 3 mm",
        "laminectomy",
        "stumps of pedicles",
    ],
)
def test_vertebrae_of_other_shapes_have_the_axis_that_was_drawn(shape, height_mm):
    mask, turn = drawn_vertebra(**shape)
    found = find_vertebra(mask)
    assert angle(found.axes[:, 2], turn[:, 2]) < AXIS_DEG
    if height_mm is not None:
        assert found.height_mm == pytest.approx(height_mm, abs=1.5)


@pytest.mark.parametrize("front", [0.8, 0.6])
def test_the_axis_of_a_wedged_body_halves_the_angle_of_its_plates(front):
    mask, turn = drawn_vertebra(broken(front))
    found = find_vertebra(mask)
    wedge = np.degrees(np.arctan(30 * (1 - front) / 34))
    assert angle(*found.normals) == pytest.approx(wedge, abs=AXIS_DEG)
    assert angle(found.axes[:, 2], turn[:, 2]) == pytest.approx(wedge / 2, abs=AXIS_DEG)


def test_a_body_as_flat_as_its_arch_is_thick_is_refused_not_guessed():
    mask, _ = drawn_vertebra(lambda x, y, z: (x, y, np.where(y < 18, z / 0.25, z)))
    for case in (CASE, replace(CASE, axis=(0.0, 0.0, 1.0))):
        with pytest.raises(InputError, match=r"--axis|behind its arch"):
            COMPRESSION.pose(only(L3, mask), case)


def test_a_hole_through_the_plate_is_not_filled_with_cement():
    voxels, pose = box((40, 36, 30), 2.0)
    bone = voxels.bone.copy()
    z, y, x = (np.flatnonzero(bone.any(axis)) for axis in ((1, 2), (0, 2), (0, 1)))
    bone[z[-8] :, y[6] : y[12], x[6] : x[12]] = False  # 16 mm deep from the upper plate
    placed = COMPRESSION.place(replace(voxels, bone=bone), pose)
    cement = placed.added[0].where[: z[-1] + 1, y[0] : y[-1] + 1, x[0] : x[-1] + 1]
    deepest = np.flatnonzero(cement[z[0] :].any((1, 2)))[0] + z[0]
    assert (z[-1] - deepest + 1) * 2.0 <= 8.0


def test_phantom_between_caps_is_in_equilibrium_and_only_its_body_is_pressed(anatomy):
    pose = COMPRESSION.pose(anatomy, CASE)
    voxels = cubes(COMPRESSION, anatomy, CASE, pose, 2.0)
    placed, found, stiffness = solved(COMPRESSION, voxels, pose)
    assert found.how == "converged"
    assert found.dropped == ()
    assert -found.reaction_n[0] == pytest.approx(stiffness, rel=1e-4)
    where = placed.added[0].where
    places = voxels.grid.to_mm(np.argwhere(where)) @ pose.axes
    wall = np.array(pose.landmarks["posterior wall"]) @ pose.axes
    assert places[:, 1].max() <= wall[1] + voxels.edge_mm
    upper = np.array(pose.landmarks["upper end plate"]) @ pose.axes
    assert places[:, 2].max() - upper[2] >= CAP_MM - voxels.edge_mm
    heights = voxels.grid.to_mm(np.argwhere(voxels.bone)) @ pose.axes
    assert heights[:, 2].min() < (np.array(pose.landmarks["lower end plate"]) @ pose.axes)[2] - 3.0  # facets hang below, free
    assert not placed.support.mask[..., 1:].any(axis=(0, 1, 2)).all() or placed.support.mask[..., 1:].sum() == 3


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["body", "whole"])
def test_a_turned_copy_is_as_stiff(anatomy, lone, whole):
    """The voxels turned with the patient, nothing interpolated, its canal told by the hole; cubes of 1 mm as models have them."""
    turn = Rotation.from_euler("xy", (20, 20), degrees=True).as_matrix()
    own = replace(anatomy, masks=anatomy.masks if whole else {L3: lone})
    copy = Anatomy(moved(own.imaged, turn), moved(own.image, turn), {L3: moved(own.mask(L3), turn)})
    found = []
    for each in (own, copy):
        pose = COMPRESSION.pose(each, CASE)
        found.append(solved(COMPRESSION, cubes(COMPRESSION, each, CASE, pose, 1.0), pose)[2])
    assert found[1] == pytest.approx(found[0], rel=STIFFNESS)


@pytest.mark.slow
def test_a_copy_resampled_at_20_degrees_about_two_axes_has_the_same_axis_and_shape(anatomy):
    """Uniform bone: the shape alone. A density law over a cortex of one voxel loses more by the second interpolation."""
    turn = Rotation.from_euler("xy", (20, 20), degrees=True).as_matrix()
    image = resampled(anatomy.image, turn, MIDDLE, 1.0)
    masks = {k: resampled(v, turn, MIDDLE, 1.0) for k, v in anatomy.masks.items()}
    copy = Anatomy(image.with_array(np.ones(image.grid.shape, bool)), image, masks)
    found = []
    for each in (anatomy, copy):
        pose = COMPRESSION.pose(each, CASE)
        found.append(solved(COMPRESSION, cubes(COMPRESSION, each, CASE, pose, 1.5), pose, uniform_pa=5e8)[2])
    assert angle(pose.axes[:, 2], turn[:, 2]) < AXIS_DEG
    assert found[1] == pytest.approx(found[0], rel=STIFFNESS)


@pytest.mark.parametrize("tilt", [(2.0, 0.0), (0.0, 2.0)])
def test_two_degrees_of_tilt_change_stiffness_by_a_few_percent_at_most(anatomy, lone, tilt):
    body = replace(anatomy, masks={L3: lone})
    pose = COMPRESSION.pose(body, CASE)
    voxels = cubes(COMPRESSION, body, CASE, pose, 1.0)
    straight, tilted = (solved(COMPRESSION, voxels, pose, variation=v)[2] for v in (None, Variation(tilt_deg=tilt)))
    assert tilted != straight
    assert tilted == pytest.approx(straight, rel=0.05)


def test_a_steep_tilt_has_its_caps_within_the_margin_and_says_so(anatomy, lone):
    body = replace(anatomy, masks={L3: lone})
    pose = COMPRESSION.pose(body, CASE)
    voxels = cubes(COMPRESSION, body, CASE, pose, 2.0)
    placed, found, _ = solved(COMPRESSION, voxels, pose, variation=Variation(tilt_deg=(8.0, -8.0)))
    assert found.how == "converged"
    assert any("turned" in n for n in placed.notes)


def test_caps_of_half_the_modulus_make_it_softer_by_less_than_a_third(anatomy):
    pose = COMPRESSION.pose(anatomy, CASE)
    voxels = cubes(COMPRESSION, anatomy, CASE, pose, 2.0)
    stiff, soft = (solved(COMPRESSION, voxels, pose, variation=Variation(cap_modulus_factor=f))[2] for f in (1.0, 0.5))
    assert 2 / 3 < soft / stiff < 1.0


def test_flexion_presses_the_front(anatomy):
    pose = FLEXION.pose(anatomy, CASE)
    voxels = cubes(FLEXION, anatomy, CASE, pose, 2.0)
    placed, found, stiffness = solved(FLEXION, voxels, pose)
    assert found.how == "converged"
    assert stiffness > 0
    given = np.where(placed.support.mask[..., 0], placed.support.displacement_m[..., 0], np.nan)
    used = placed.support.mask[..., 0].any((0, 2))
    rows = -np.nanmin(given[:, used], axis=(0, 2))
    assert rows.max() == pytest.approx(2.0, abs=0.2)
    assert rows[-1] == pytest.approx(0.0, abs=0.15)
    assert placed.quantity == "force"


@pytest.mark.parametrize(("low_z", "high_z"), [(-180.0, -112.0), (-121.0, -60.0), (-133.5, -60.0)])
def test_a_body_without_an_end_plate_in_the_image_is_refused(anatomy, low_z, high_z):
    short = cropped(anatomy, (-90, -95, low_z), (90, 105, high_z))
    with pytest.raises(InputError, match="edge of the image cuts the body") as caught:
        COMPRESSION.pose(short, CASE)
    assert caught.value.what
    assert caught.value.do


def test_places_that_were_not_imaged_count_as_the_edge_of_the_image(anatomy):
    seen = anatomy.imaged.array.copy()
    seen[anatomy.grid.to_mm(np.stack(np.indices(seen.shape), -1))[..., 2] > -107.0] = False
    with pytest.raises(InputError, match="edge of the image cuts the body"):
        COMPRESSION.pose(replace(anatomy, imaged=anatomy.imaged.with_array(seen)), CASE)


def test_a_cut_through_the_spinous_process_is_a_doubt_only(anatomy):
    short = cropped(anatomy, (-90, -95, -180), (90, 62, -60))
    pose = COMPRESSION.pose(short, CASE)
    assert any("outside its body" in d for d in pose.doubts)


def test_a_whole_vertebra_on_its_side_is_refused_unless_the_axis_is_given(anatomy):
    turn = Rotation.from_euler("x", 90, degrees=True).as_matrix()
    mask = moved(anatomy.mask(L3), turn)
    lying = only(L3, mask)
    with pytest.raises(InputError, match="--axis"):
        COMPRESSION.pose(lying, CASE)
    pose = COMPRESSION.pose(lying, replace(CASE, axis=tuple(turn[:, 2])))
    assert pose.by_hand
    assert angle(pose.axes[:, 2], turn[:, 2]) < 1e-3


def test_the_axis_given_by_hand_is_taken_as_it_is_and_doubted_where_it_is_oblique(anatomy):
    axis = (0.0, np.sin(np.radians(30)), np.cos(np.radians(30)))
    pose = COMPRESSION.pose(anatomy, replace(CASE, axis=axis))
    assert angle(pose.axes[:, 2], axis) < 1e-3
    assert any("by hand" in d for d in pose.doubts)
    with pytest.raises(InputError, match="no direction"):
        COMPRESSION.pose(anatomy, replace(CASE, axis=(0.0, 0.0, 0.0)))


def test_what_is_no_vertebra_is_refused(anatomy):
    shaft = build("femur", spacing_mm=2.0)
    with pytest.raises(InputError) as caught:
        COMPRESSION.pose(only(L3, shaft.masks[shaft.lesion_bone]), CASE)
    assert "--axis" in str(caught.value) or "edge of the image" in str(caught.value)
    with pytest.raises(NotOutlinedError):
        COMPRESSION.pose(anatomy, replace(CASE, bone=structure("vertebra_L1")))
    empty = anatomy.mask(L3).with_array(np.zeros(anatomy.grid.shape, bool))
    with pytest.raises(InputError, match="empty"):
        COMPRESSION.pose(only(L3, empty), CASE)
    small = Volume(anatomy.mask(L3).array, Grid.of(anatomy.grid.shape, np.diag([0.1, 0.1, 0.1, 1.0])))
    with pytest.raises(InputError, match="--axis"):
        COMPRESSION.pose(only(L3, small), CASE)


def test_caps_that_do_not_fit_into_the_cubes_are_refused():
    voxels, pose = box((30, 30, 26), 2.0, room=4.0)
    with pytest.raises(InputError, match="wider margin"):
        COMPRESSION.place(voxels, pose)


@pytest.mark.real
def test_real_l3_has_a_plausible_axis_and_solves(request):
    from conftest import shared_path
    from osteon.io import images, labels

    folder = shared_path("data/pelvis_ct")
    image = images.read(folder / "example_ct.nii.gz")
    outlines = labels.read(folder / "example_seg_fast_force_split.nii.gz", image.volume.grid)
    real = Anatomy(image.imaged, image.volume, {k: outlines.masks[k] for k in (L3, structure("spinal_cord"))})
    pose = COMPRESSION.pose(real, CASE)
    assert angle(pose.axes[:, 2], (0, 0, 1)) < 20.0
    voxels = cubes(COMPRESSION, real, CASE, pose, 3.0)
    placed, found, stiffness = solved(COMPRESSION, voxels, pose)
    assert found.how == "converged"
    assert 20.0 < placed.length_mm < 35.0
    assert 1e6 < stiffness < 1e8
    for name in ("vertebra_T12", "vertebra_T11"):
        which = structure(name)
        with pytest.raises(InputError):
            COMPRESSION.pose(replace(real, masks={which: outlines.masks[which]}), replace(CASE, bone=which))
