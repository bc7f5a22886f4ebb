"""Rigidity per slice: exact sections first, then convergence, an oblique axis, and the ratio to healthy bone."""

import numpy as np
import pytest

from osteon.assessment.rigidity import against, bone_axis, healed, limits, rigidity
from osteon.errors import ImageError, InputError, MissingError
from osteon.space.volume import Volume

GPA = 1e9
NU = 0.3


def field(h, half, centre, axis, inside, length=30.0, affine=None):
    """Modulus on a grid of step h: ``inside(r)`` gives E [Pa] at the distance r [mm] from an axis through ``centre``."""
    n = int(np.ceil(2 * half / h)) + 1
    matrix = np.eye(4)
    matrix[:3, :3] *= h
    matrix[:3, 3] = -half
    volume = Volume.of(np.zeros((n, n, n)), matrix if affine is None else affine)
    points = volume.grid.to_mm(np.stack(np.meshgrid(*(np.arange(n),) * 3, indexing="ij"), -1)) - np.asarray(centre, float)
    d = np.asarray(axis, float) / np.linalg.norm(axis)
    s = points @ d
    r = np.linalg.norm(points - s[..., None] * d, axis=-1)
    return volume.with_array(np.where(np.abs(s) <= length / 2, inside(r), 0.0))


def tube(outer, inner=0.0, e=17 * GPA):
    return lambda r: np.where((r <= outer) & (r >= inner), e, 0.0)


def exact(outer, inner=0.0, e=17 * GPA):
    a = np.pi * (outer**2 - inner**2) * 1e-6
    i = np.pi * (outer**4 - inner**4) / 4 * 1e-12
    return e * a, e * i, e / (2 * (1 + NU)) * 2 * i


def middle(found):
    """Means over the middle half of the length: (EA, mean EI, GJ)."""
    k = (found.level > 0.25) & (found.level < 0.75)
    ei = (found.ei_least_n_m2[k] + found.ei_most_n_m2[k]) / 2
    return found.ea_n[k].mean(), ei.mean(), found.gj_n_m2[k].mean()


def errors(found, truth):
    return [abs(a / b - 1) for a, b in zip(middle(found), truth, strict=True)]


OFF = (0.37, -0.21, 0.13)  # between voxels: no symmetry helps


@pytest.mark.parametrize(("outer", "inner"), [(10.0, 0.0), (14.0, 10.0)])
@pytest.mark.parametrize(("h", "most"), [(1.0, (0.02, 0.03)), (0.5, (0.01, 0.015))])
def test_solid_cylinder_and_tube_along_the_grid(outer, inner, h, most):
    found = rigidity(field(h, 17.0, OFF, (0, 0, 1), tube(outer, inner)), (0, 0, 1))
    ea, ei, gj = errors(found, exact(outer, inner))
    assert not found.oblique
    assert ea <= most[0]
    assert ei <= most[1]
    assert gj <= most[1]


COARSE = pytest.mark.xfail(reason="set 0.1 voxel beforehand; 0.133 measured: the lattice's own centroid lies there", strict=True)


@pytest.mark.parametrize(
    ("outer", "inner", "h"), [(10.0, 0.0, 1.0), pytest.param(14.0, 10.0, 1.0, marks=COARSE), (10.0, 0.0, 0.5), (14.0, 10.0, 0.5)]
)
def test_centroid_lies_on_the_axis_within_a_tenth_of_a_voxel(outer, inner, h):
    found = rigidity(field(h, 17.0, OFF, (0, 0, 1), tube(outer, inner)), (0, 0, 1))
    assert found.centroid_mm[:, :2] == pytest.approx(np.broadcast_to(OFF[:2], (len(found.along_mm), 2)), abs=0.1 * h)


def test_centroid_is_that_of_the_voxels():
    bone = field(1.0, 17.0, OFF, (0, 0, 1), tube(14.0, 10.0))
    points = bone.grid.to_mm(np.argwhere(bone.array > 0))
    assert rigidity(bone, (0, 0, 1)).centroid_mm.mean(axis=0) == pytest.approx(points.mean(axis=0), abs=1e-9)


def test_error_of_the_tube_falls_with_the_voxel():
    """Lattice counting has no smooth order: over eight shifts the root mean square falls at least with the voxel edge."""
    rng, sizes, rms = np.random.default_rng(7), (2.0, 1.0, 0.5), []
    for h in sizes:
        n = int(32 / h) + 1
        x = np.arange(n) * h - 16
        shifts = rng.uniform(-h / 2, h / 2, (8, 2))
        got = []
        for shift in shifts:
            r = np.hypot(x[None, :] - shift[0], x[:, None] - shift[1])
            e = np.broadcast_to(tube(14.0, 10.0)(r), (6, n, n))
            got.append(errors(rigidity(Volume.of(e, np.diag([h, h, h, 1.0])), (0, 0, 1)), exact(14.0, 10.0)))
        rms.append(np.sqrt((np.array(got) ** 2).mean(axis=0)))
    slopes = [np.polyfit(np.log(sizes), np.log(column), 1)[0] for column in np.array(rms).T]
    assert min(slopes) >= 1.0


def test_bar_of_two_materials_is_exact():
    """A bar 8 x 12 mm, 2 and 6 GPa side by side: EA and centroid exact; EI exact for voxel centres, and to 1/n² for the bar."""
    n_u, n_v = 12, 8
    e = np.zeros((10, n_v, n_u))
    e[:, :, :6], e[:, :, 6:] = 2 * GPA, 6 * GPA
    found = rigidity(Volume.of(e, np.eye(4)), (0, 0, 1), start_mm=np.zeros(3))
    assert found.ea_n == pytest.approx(8 * (6 * 2 + 6 * 6) * GPA * 1e-6, rel=1e-12)
    centroid = (2 * 6 * 3.0 + 6 * 6 * 9.0) / (2 * 6 + 6 * 6)
    assert found.centroid_mm[:, 0] == pytest.approx(centroid - 0.5, rel=1e-12)
    about_u = (2 + 6) * GPA * 6 * 8**3 / 12 * 1e-12
    steiner = sum(m * (8 * 6**3 / 12 + 48 * (c - centroid) ** 2) for m, c in ((2, 3.0), (6, 9.0))) * GPA * 1e-12
    area_term = 8 * 6 * (2 + 6) * GPA / 12 * 1e-12  # the square of the voxel edge over 12, times EA
    assert found.ei_least_n_m2 == pytest.approx(about_u - area_term, rel=1e-12)
    assert found.ei_most_n_m2 == pytest.approx(steiner - area_term, rel=1e-12)
    assert found.ei_least_n_m2 == pytest.approx(about_u, rel=1 / 8**2 + 1e-9)


def test_principal_axes_do_not_depend_on_the_turn_of_the_section():
    x = np.arange(81) * 0.5 - 20.0
    turned = []
    for angle in (0.0, 0.4, 1.1):
        u = x[None, :] * np.cos(angle) + x[:, None] * np.sin(angle)
        v = -x[None, :] * np.sin(angle) + x[:, None] * np.cos(angle)
        e = np.where((u / 14) ** 2 + (v / 7) ** 2 <= 1, GPA, 0.0)
        found = rigidity(Volume.of(np.broadcast_to(e, (4, 81, 81)), np.diag([0.5, 0.5, 1.0, 1.0])), (0, 0, 1))
        turned.append((found.ei_least_n_m2[0], found.ei_most_n_m2[0]))
    truth = np.pi / 4 * 14 * 7 * np.array([7.0**2, 14.0**2]) * GPA * 1e-12
    for pair in turned:
        assert pair == pytest.approx(truth, rel=0.02)


@pytest.mark.parametrize(("outer", "inner"), [(10.0, 0.0), (14.0, 10.0)])
@pytest.mark.parametrize("axis", [(1.0, 2.0, 3.0), (0.3, -0.4, 1.0), (1.0, 1.0, 1.0)])
def test_oblique_axis_gives_the_same_bone(outer, inner, axis):
    found = rigidity(field(1.0, 24.0, OFF, axis, tube(outer, inner), length=36.0), axis)
    ea, ei, gj = errors(found, exact(outer, inner))
    assert found.oblique
    assert ea <= 0.02
    assert ei <= 0.03
    assert gj <= 0.03


def test_oblique_axis_on_voxels_that_are_not_cubes():
    affine = np.diag([0.8, 0.8, 2.0, 1.0])
    affine[:3, 3] = (-24, -24, -60)
    n = 61
    volume = Volume.of(np.zeros((n, n, n)), affine)
    d = np.array([0.5, 0.2, 1.0]) / np.linalg.norm([0.5, 0.2, 1.0])
    p = volume.grid.to_mm(np.stack(np.meshgrid(*(np.arange(n),) * 3, indexing="ij"), -1))
    r = np.linalg.norm(p - (p @ d)[..., None] * d, axis=-1)
    bone = volume.with_array(np.where((np.abs(p @ d) <= 20) & (r <= 12), 17 * GPA, 0.0))
    ea, ei, gj = errors(rigidity(bone, d), exact(12.0))
    assert ea <= 0.03
    assert ei <= 0.04
    assert gj <= 0.04


def test_any_axis_of_the_grid_and_its_reverse_agree():
    bone = field(1.0, 17.0, OFF, (0, 0, 1), tube(10.0, 6.0))
    standing = rigidity(bone, (0, 0, 1))
    lying = rigidity(Volume.of(np.transpose(bone.array, (1, 2, 0)).copy(), bone.grid.matrix), (0, 1, 0))
    assert lying.ea_n.sum() == pytest.approx(standing.ea_n.sum(), rel=1e-12)
    down = rigidity(bone, (0, 0, -1))
    assert down.ei_least_n_m2[::-1] == pytest.approx(standing.ei_least_n_m2, rel=1e-9)
    assert down.along_mm[::-1] == pytest.approx(-standing.along_mm)


def holed():
    bone = field(1.0, 24.0, (0, 0, 0), (0, 0, 1), tube(14.0, 10.0), length=46.0)
    p = bone.grid.to_mm(np.stack(np.meshgrid(*(np.arange(s) for s in bone.grid.shape), indexing="ij"), -1))
    lesion = bone.with_array((np.abs(p[..., 2] - 5.0) <= 4) & (p[..., 0] > 0) & (bone.array > 0))
    return bone, lesion, bone.with_array(np.where(lesion.array, 7.5e6, bone.array))


def test_half_the_wall_lost_halves_ea_and_is_flagged_where_it_lies():
    bone, lesion, ill = holed()
    whole = rigidity(bone, (0, 0, 1), start_mm=np.zeros(3))
    ratio = against(rigidity(ill, (0, 0, 1), start_mm=np.zeros(3)), whole, same_bone=True)
    # columns x > 0 of an odd grid: half the wall less half of the middle column
    kept = (bone.array[24][:, :25] > 0).sum() / (bone.array[24] > 0).sum()
    assert ratio.least["ea_n"][0] == pytest.approx(kept, abs=1e-3)
    assert abs(ratio.least["ea_n"][1] - 5.0) <= 4.0
    assert set(ratio.flagged) == {"ea_n", "ei_least_n_m2", "gj_n_m2"}
    again = against(rigidity(healed(ill, lesion, 17 * GPA), (0, 0, 1), start_mm=np.zeros(3)), whole, same_bone=True)
    assert again.least["ea_n"][0] == pytest.approx(1.0, rel=1e-9)
    assert again.flagged == ()


def test_another_bone_is_compared_at_its_level_and_not_trusted_unseen():
    bone, _, ill = holed()
    longer = field(1.0, 24.0, (0, 0, 0), (0, 0, 1), tube(14.0, 10.0), length=40.0)
    ratio = against(rigidity(ill, (0, 0, 1)), rigidity(longer, (0, 0, 1)))
    assert "ea_n" in ratio.flagged
    assert any("Cannot tell" in n for n in ratio.notes)
    assert not any(
        "Cannot tell" in n for n in against(rigidity(ill, (0, 0, 1)), rigidity(bone, (0, 0, 1)), reference_looked_at=True).notes
    )


def test_a_fall_of_a_third_is_not_flagged_and_one_of_two_fifths_is():
    bone = field(1.0, 17.0, (0, 0, 0), (0, 0, 1), tube(10.0))
    whole = rigidity(bone, (0, 0, 1))
    fall = limits()["fall_flagged"].number
    for factor, flags in ((1 - (fall - 1) / 100, False), (1 - (fall + 1) / 100, True)):
        ratio = against(rigidity(bone.with_array(bone.array * factor), (0, 0, 1)), whole, same_bone=True)
        assert bool(ratio.flagged) is flags


def test_axis_of_a_long_bone_is_found_and_of_a_ball_is_not():
    axis = np.array([0.3, -0.4, 1.0]) / np.linalg.norm([0.3, -0.4, 1.0])
    bone = field(1.0, 24.0, OFF, axis, tube(6.0), length=40.0)
    centre, found = bone_axis(bone.with_array(bone.array > 0))
    assert found @ axis > np.cos(np.radians(1.0))
    assert np.linalg.norm(np.cross(centre - OFF, axis)) < 0.2
    ball = bone.with_array(
        np.linalg.norm(bone.grid.to_mm(np.argwhere(np.ones(bone.grid.shape))), axis=1).reshape(bone.grid.shape) < 15
    )
    with pytest.raises(InputError, match="none stands out"):
        bone_axis(ball)


@pytest.mark.parametrize(
    ("array", "axis", "error"),
    [
        (np.full((4, 4, 4), -1.0), (0, 0, 1), ImageError),
        (np.full((4, 4, 4), np.nan), (0, 0, 1), ImageError),
        (np.zeros((4, 4, 4)), (0, 0, 1), MissingError),
        (np.ones((4, 4, 4)), (0, 0, 0), InputError),
    ],
)
def test_what_cannot_be_sliced_is_refused(array, axis, error):
    with pytest.raises(error):
        rigidity(Volume.of(array, np.eye(4)), axis)


def test_a_sheared_grid_is_refused():
    affine = np.eye(4)
    affine[0, 2] = 0.3
    with pytest.raises(ImageError, match="right angles"):
        rigidity(Volume.of(np.ones((4, 4, 4)), affine), (0, 0, 1))


@pytest.mark.xfail(
    reason="2, 3 and 3 % set beforehand; 2.7, 5.4, 5.4 measured: the voxels themselves hold 2.5 and 5.3 less", strict=True
)
def test_a_thin_oblique_bone_of_four_voxels_radius():
    axis = (1.0, 2.0, 3.0)
    ea, ei, gj = errors(rigidity(field(1.0, 24.0, OFF, axis, tube(4.0), length=36.0), axis), exact(4.0))
    assert ea <= 0.02
    assert ei <= 0.03
    assert gj <= 0.03


@pytest.mark.parametrize("axis", [(1.0, 2.0, 3.0), (1.0, 1.0, 1.0), (0.05, 0.0, 1.0)])
def test_turning_keeps_what_the_voxels_hold(axis):
    """Sums over all slices against sums over voxels; an interpolated grid would add 4 % to the second moment.

    0.5 % was set after a look at one axis of an earlier, interpolating version, which then failed it on another axis.
    """
    d = np.asarray(axis) / np.linalg.norm(axis)
    bone = field(1.0, 24.0, OFF, axis, tube(4.0), length=36.0)
    points = bone.grid.to_mm(np.argwhere(bone.array > 0)) - np.array(OFF)
    off_axis = (points**2).sum(axis=1) - (points @ d) ** 2
    found = rigidity(bone, axis)
    assert found.ea_n.sum() == pytest.approx(17 * GPA * len(points) * 1e-6, rel=0.005)
    assert found.gj_n_m2.sum() * 2 * (1 + NU) == pytest.approx(17 * GPA * off_axis.sum() * 1e-12, rel=0.005)
