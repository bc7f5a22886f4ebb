"""Bending and torsion of a shaft: straight tubes against beam theory first, then the pose, clamps and refusals."""

from dataclasses import replace

import numpy as np
import pytest
from femur_shapes import tube
from load_cases import anatomy_of, cubes, solved

from osteon.assessment.loads.base import LoadCase, Variation
from osteon.assessment.loads.femur import FemurStance
from osteon.assessment.loads.landmarks_femur import angle_deg
from osteon.assessment.loads.long_bone import Bending, Torsion
from osteon.case import phantom
from osteon.errors import InputError, NotOutlinedError
from osteon.space.anatomy import structure
from osteon.space.volume import Volume

E, NU = 17e9, 0.3
FEMUR = structure("femur_right")


def with_ct(anatomy, bone=FEMUR, inside=1000.0, lesion=None):
    values = np.where(anatomy.masks[bone].array, inside, 0.0).astype(np.float32)
    if lesion is not None:
        values[anatomy.masks[structure("lesion")].array] = lesion
    return replace(anatomy, image=Volume(values, anatomy.grid))


def exact(name, outer, inner):
    second = np.pi * (outer**4 - inner**4) / 4 * 1e-12
    return E * second if name == "shaft-bending" else E / (2 * (1 + NU)) * 2 * second


def run(builder, anatomy, edge=1.0, variation=None, bone=FEMUR, **given):
    case = LoadCase(builder.name, bone, **given)
    pose = builder.pose(anatomy, case)
    voxels = cubes(builder, anatomy, case, pose, edge)
    return pose, voxels, *solved(builder, voxels, pose, variation, uniform_pa=E)


STAIRS = pytest.mark.xfail(
    reason="5 % set beforehand; 5.1 % too soft measured: the steps of cubes carry no torsion; 4.7 % along the grid", strict=True
)
OBLIQUE = (0.3, -0.4, 0.86)


@pytest.mark.parametrize(
    ("builder", "axis", "edge"),
    [
        (Bending(), (0.0, 0.0, 1.0), 1.0),
        (Bending(), OBLIQUE, 1.0),
        (Torsion(), (0.0, 0.0, 1.0), 1.0),
        pytest.param(Torsion(), OBLIQUE, 1.0, marks=STAIRS),
        (Torsion(), OBLIQUE, 0.8),
    ],
)
def test_straight_tube_has_the_rigidity_of_beam_theory(builder, axis, edge):
    """EI and GJ of a tube 14 / 8 mm, along the grid and oblique to it: 5 %, set beforehand."""
    pose, _, placed, found, stiffness = run(builder, with_ct(tube(axis=axis, length=120.0, spacing=min(edge, 1.0))), edge)
    assert found.how == "converged"
    assert angle_deg(pose.axes[:, 2], np.asarray(axis)) <= 1.0
    assert stiffness * placed.length_mm * 1e-3 == pytest.approx(exact(builder.name, 14.0, 8.0), rel=0.05)


@pytest.mark.parametrize("builder", [Bending(), Torsion()], ids=lambda b: b.name)
def test_error_falls_with_the_cube(builder):
    anatomy = with_ct(tube(outer=10.0, inner=5.0, length=80.0, spacing=0.5))
    errors = []
    for edge in (2.0, 1.0):
        _, _, placed, _, stiffness = run(builder, anatomy, edge)
        errors.append(abs(stiffness * placed.length_mm * 1e-3 / exact(builder.name, 10.0, 5.0) - 1.0))
    assert errors[1] < errors[0]


def test_pure_bending_has_no_force_and_the_same_moment_at_both_ends():
    """An eccentric hole: no shear by construction, axial force below 2 % of moment over radius (set beforehand)."""
    anatomy = tube(length=120.0, lesion=((14.0, 0.0, 0.0), 9.0))
    case = LoadCase("shaft-bending", FEMUR)
    anatomy = with_ct(anatomy, lesion=10.0)
    pose = Bending().pose(anatomy, case)
    assert angle_deg(pose.axes[:, 0], np.array([1.0, 0.0, 0.0])) < 3.0  # towards the lesion
    voxels = cubes(Bending(), anatomy, case, pose, 1.0)
    from osteon.physics.elasticity import Model, solve

    placed = Bending().place(voxels, pose)
    modulus = np.where(voxels.lesion, 5e6, np.where(voxels.bone, E, 0.0))
    found = solve(Model(modulus, NU, 1e-3), placed.support)
    force = _force_through(modulus, found, 1e-3, voxels.bone.shape[0] // 4)
    moment = 2.0 * found.energy_j
    assert np.abs(force[1:]).max() * 0.014 < 1e-3 * moment
    assert abs(force[0]) * 0.014 < 0.02 * moment


def _force_through(modulus, found, edge, layer):
    """Force [N] (z, y, x) through a layer of cubes, by the mean stress."""
    from osteon.physics.elasticity import Model, element_stress

    stress = element_stress(Model(modulus, NU, edge), found.displacement)[layer]
    return stress[..., [0, 3, 4]].sum((0, 1)) * edge**2


def test_lesion_side_is_in_tension():
    anatomy = with_ct(tube(length=120.0, lesion=((0.0, -14.0, 5.0), 7.0)))
    from osteon.physics.elasticity import Model, element_strain

    pose, voxels, _, found, _ = run(Bending(), anatomy)
    strain = element_strain(Model(np.where(voxels.bone, E, 0.0), NU, 1e-3), found.displacement)[..., 0]
    assert strain[voxels.lesion].mean() > 0.0
    assert angle_deg(pose.axes[:, 0], np.array([0.0, -1.0, 0.0])) < 3.0


def test_central_lesion_bends_about_the_weak_axis_and_says_so():
    anatomy = with_ct(tube(length=100.0, lesion=((0.4, -0.2, 0.0), 12.0)))
    pose = Bending().pose(anatomy, LoadCase("shaft-bending", FEMUR))
    assert any("no side" in d for d in pose.doubts)


def test_part_of_a_long_shaft_and_its_clamps():
    anatomy = with_ct(tube(length=240.0, spacing=2.0, lesion=((14.0, 0.0, 20.0), 8.0)))
    pose, voxels, placed, _, _ = run(Torsion(), anatomy, 2.0)
    assert pose.along_mm == pytest.approx((12.0 - 70.0, 28.0 + 70.0), abs=4.0)
    assert placed.length_mm == pytest.approx(2 * 60.0 + 16.0, abs=6.0)
    held = np.flatnonzero(placed.support.mask.all(-1).any((1, 2)))
    assert len(held) == 10 / 2 + 1
    assert placed.quantity == "moment"
    assert not any("clamp props" in n for n in placed.notes)
    assert placed.most == pytest.approx(0.04 * placed.length_mm / 14.0, rel=0.1)
    assert voxels.bone.any()


def test_lesion_at_the_clamp_is_said():
    anatomy = with_ct(tube(length=100.0, lesion=((14.0, 0.0, 32.0), 6.0)))
    case = LoadCase("shaft-torsion", FEMUR)
    pose = Torsion().pose(anatomy, case)
    placed = Torsion().place(cubes(Torsion(), anatomy, case, pose, 1.0), pose)
    assert any("upper clamp" in n for n in placed.notes)


def test_turned_axis_changes_the_moment_little():
    anatomy = with_ct(tube(length=100.0, spacing=2.0))
    straight = run(Torsion(), anatomy, 2.0)[-1]
    assert run(Torsion(), anatomy, 2.0, Variation((3.0, 0.0)))[-1] == pytest.approx(straight, rel=0.05)


@pytest.mark.parametrize("name", ["tibia_left", "humerus_right", "fibula_left", "radius_right", "ulna_left"])
def test_other_long_bones(name):
    bone = structure(name)
    anatomy = with_ct(tube(outer=9.0, inner=5.0, length=90.0, name=name), bone)
    assert Torsion().pose(anatomy, LoadCase("shaft-torsion", bone)).along_mm is not None


def test_femur_phantom_is_no_stance_and_twists():
    built = phantom.build("femur", spacing_mm=2.0)
    anatomy = anatomy_of(built)
    with pytest.raises(InputError, match="No femoral head") as caught:
        FemurStance().pose(anatomy, LoadCase("femur-stance", FEMUR))
    assert "shaft-torsion" in caught.value.do
    for builder in (Bending(), Torsion()):
        pose, voxels, placed, found, stiffness = run(builder, anatomy, 2.0)
        assert found.how == "converged"
        assert stiffness > 0.0
        assert angle_deg(pose.axes[:, 2], np.array([0.0, 0.0, 1.0])) < 3.0
        assert voxels.lesion.any()
        assert not any("clamp props" in n for n in placed.notes)


# --- refused


def test_short_piece_is_refused():
    anatomy = with_ct(tube(length=50.0))
    case = LoadCase("shaft-torsion", FEMUR)
    pose = Torsion().pose(anatomy, case)
    voxels = cubes(Torsion(), anatomy, case, pose, 1.0)
    with pytest.raises(InputError, match="between clamps") as caught:
        Torsion().place(voxels, pose)
    assert "more of the shaft" in caught.value.do


def test_lump_without_axis_is_refused_and_can_be_given():
    anatomy = with_ct(tube(length=26.0, inner=0.0))
    with pytest.raises(InputError, match="none stands out") as caught:
        Torsion().pose(anatomy, LoadCase("shaft-torsion", FEMUR))
    assert "--axis" in caught.value.do
    assert Torsion().pose(anatomy, LoadCase("shaft-torsion", FEMUR, axis=(0.0, 0.0, 1.0))).by_hand


def test_axis_by_hand_without_direction_is_refused():
    with pytest.raises(InputError, match="no direction"):
        Torsion().pose(tube(), LoadCase("shaft-torsion", FEMUR, axis=(0.0, 0.0, 0.0)))


def test_bone_that_is_not_outlined():
    with pytest.raises(NotOutlinedError):
        Torsion().pose(tube(), LoadCase("shaft-torsion", structure("tibia_left")))
