"""Voxel elasticity: exact fields, beams, order, a sparse matrix as oracle, supports off the coarse grid, loose pieces."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from scipy import sparse
from scipy.linalg import solveh_banded
from scipy.sparse import linalg

from osteon.errors import InputError
from osteon.physics import elasticity_band_kernels as band_kernels
from osteon.physics import elasticity_levels as levels
from osteon.physics import elasticity_stiffness_kernels as stiffness_kernels
from osteon.physics.elasticity import Model, Support, element_strain, element_stress, solve
from osteon.physics.elasticity_levels import CORNERS, elasticity_matrix, element_stiffness, mode_blocks, mode_constants

H = 1e-3


@pytest.fixture(autouse=True, params=[300, levels.COARSEST], ids=["deep", "as shipped"])
def coarsest(request, monkeypatch):
    """The small models of these tests would be solved directly as shipped: every test runs down a deep cycle as well."""
    monkeypatch.setattr(levels, "COARSEST", request.param)


def nodes(shape):
    return tuple(n + 1 for n in shape)


def coordinates(shape, h=H):
    return h * np.stack(np.meshgrid(*(np.arange(n + 1.0) for n in shape), indexing="ij"), -1)


def nothing(shape):
    return np.zeros((*nodes(shape), 3), bool), np.zeros((*nodes(shape), 3))


def plates(shape, low, high, move, *, clamped=False):
    """Plates on the node planes low and high: no friction and one corner pinned, or clamped."""
    mask, given = nothing(shape)
    mask[[low, high], ..., 0] = True
    given[high, ..., 0] = move
    if clamped:
        mask[[low, high]] = True
    else:
        mask[low, 0, 0] = True
        mask[low, 0, -1, 1] = True
    return mask, given


def matrix(model):
    """The stiffness as a sparse matrix over nodes, assembled another way."""
    e = model.modulus_pa
    z, y, x = np.nonzero(e)
    place = np.arange(3 * np.prod(nodes(e.shape))).reshape(*nodes(e.shape), 3)
    index = np.concatenate([place[z + a, y + b, x + c] for a, b, c in CORNERS], axis=1)
    values = (e[z, y, x] * model.spacing_m)[:, None, None] * element_stiffness(model.poisson)
    rows, columns = np.repeat(index, 24, 1).ravel(), np.tile(index, (1, 24)).ravel()
    return sparse.csr_matrix((values.ravel(), (rows, columns)), (place.size, place.size))


def direct(model, mask, given, forces=None):
    k = matrix(model)
    used = k.diagonal() > 0
    fixed = mask.ravel()
    u = np.where(fixed, given.ravel(), 0.0)
    b = -k @ u + (0 if forces is None else forces.ravel())
    free = np.flatnonzero(used & ~fixed)
    u[free] = linalg.spsolve(k[free][:, free].tocsc(), b[free])
    return u.reshape(mask.shape)


def blob(shape, seed, contrast=1e3, empty=0.25):
    rng = np.random.default_rng(seed)
    e = 1e9 * contrast ** -rng.random(shape)
    e[rng.random(shape) < empty] = 0.0
    return e


# ---- the element


def test_the_element_has_six_rigid_motions_and_the_stress_of_its_strain():
    k = element_stiffness(0.3)
    values = np.linalg.eigvalsh(k)
    assert (np.abs(values[:6]) < 1e-12).all()
    assert values[6] > 1e-3
    assert np.allclose(k, k.T, atol=1e-15)
    assert np.allclose(np.diag(k), k[0, 0])
    # a cube under uniaxial strain: energy 1/2 C_zzzz e^2
    u = np.array([[z, 0.0, 0.0] for z, _, _ in CORNERS]).ravel()
    assert u @ k @ u == pytest.approx(elasticity_matrix(0.3)[0, 0], rel=1e-13)


@pytest.mark.parametrize("poisson", [0.0, 0.3, 0.45, -0.2])
def test_the_eight_blocks_are_the_whole_element(poisson):
    bits = [4 * z + 2 * y + x for z, y, x in CORNERS]
    signs = np.array([[np.prod([1 if (c & b) else -1 for b in (1, 2, 4) if mode & b]) for c in bits] for mode in range(8)])
    transform = np.zeros((24, 24))
    for c in range(3):
        transform[8 * c : 8 * c + 8, c::3] = signs
    full = np.zeros((24, 24))
    for mode, block in enumerate(mode_blocks(poisson)):
        places = [mode, 8 + (mode ^ 6), 16 + (mode ^ 5)]
        full[np.ix_(places, places)] = block
    assert np.abs(transform.T @ full @ transform - element_stiffness(poisson)).max() < 1e-14


@pytest.mark.parametrize("poisson", [0.0, 0.3, 0.45, -0.2])
def test_eight_numbers_are_the_eight_blocks(poisson):
    stretch, stretches, varied, varieds, bent, bents, sheared, warped = mode_constants(poisson)
    blocks = np.zeros((8, 3, 3))
    blocks[4], blocks[3] = stretches + stretch * np.eye(3), varieds + varied * np.eye(3)
    for mode, straight in ((0, 0), (5, 2), (6, 1)):
        pair = np.delete(np.arange(3), straight)
        blocks[mode][np.ix_(pair, pair)] = [[bent, bents], [bents, bent]]
    for mode, alone in ((1, 1), (2, 2), (7, 0)):
        blocks[mode], blocks[mode, alone], blocks[mode, :, alone] = sheared, 0.0, 0.0
        blocks[mode, alone, alone] = warped
    assert np.abs(blocks - mode_blocks(poisson)).max() < 1e-15


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 1), (9, 40, 5), (5, 7, 64), (3, 2, 191), (2, 3, 192), (6, 3, 500)])
def test_forces_without_a_matrix_equal_the_matrix(shape):
    """Rows of any length in tiles, with holes, slanted ends and gaps; tolerance a few roundings of either precision."""
    rng = np.random.default_rng(sum(shape))
    e = np.where(rng.random(shape) < 0.3, 0.0, rng.random(shape))
    if shape[1] > 2:
        e[:, shape[1] // 2] = 0.0
        e[0, : shape[1] // 2, : shape[2] // 3] = 0.0
        e[-1, 0, shape[2] // 2 :] = 0.0
    e = e.astype(np.float32).astype(float)
    model = Model(e, 0.3, 1.0)
    touched = (matrix(model).diagonal() > 0).reshape(*nodes(shape), 3)
    u = np.where(touched, rng.standard_normal(touched.shape), 0.0).astype(np.float32).astype(float)
    exact = (matrix(model) @ u.ravel()).reshape(u.shape)
    rows, spans = levels.ends_of(e.astype(np.float32))
    for kind, allowed in ((np.float64, 1e-13), (np.float32, 3e-6)):
        flat = np.ascontiguousarray(np.moveaxis(u, 3, 2), kind).reshape(-1)
        y = np.zeros_like(flat)
        for _ in range(2):  # what the first has left behind must not count
            constants = levels.mode_constants(0.3).astype(kind)
            stiffness_kernels.apply(flat, y, e.astype(kind).reshape(-1), rows, spans, constants, np.array(shape))
        found = np.moveaxis(y.reshape(*nodes(shape)[:2], 3, shape[2] + 1), 2, 3)
        assert np.abs(found - exact).max() <= allowed * max(np.abs(exact).max(), 1e-3)


@pytest.mark.parametrize(("count", "wide"), [(1, 1), (1, 4), (40, 1), (7, 7), (90, 13)])
def test_the_band_is_solved_as_by_lapack(count, wide):
    rng = np.random.default_rng(count + wide)
    band = np.where(rng.random((count, wide)) < 0.4, 0.0, rng.standard_normal((count, wide)))
    band[:, 0] = 2.0 * wide + rng.random(count)
    right = rng.standard_normal(count)
    exact = solveh_banded(np.ascontiguousarray(band[:, : min(wide, count)].T), right, lower=True)
    band_kernels.factorise(band)
    band_kernels.substitute(band, right)
    assert np.abs(right - exact).max() < 1e-13


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_long_bone_has_a_narrow_band_along_any_axis(axis):
    """The longest axis counts slowest: the band is a little wider than a slice of the two short ones, 3 x 3 nodes here."""
    shape = [2, 2, 2]
    shape[axis] = 40
    fixed = np.zeros([shape[0] + 1, shape[1] + 1, 3, shape[2] + 1], bool)
    cycle = levels.Cycle(np.ones(shape, np.float32), fixed, 0.3)
    assert cycle.levels[-1].direct[1].shape[1] <= 2 * 27


# ---- exact fields


@pytest.mark.parametrize(
    ("shape", "seed"), [((7, 9, 11), 1), ((8, 8, 8), 2), ((5, 17, 6), 3), ((13, 10, 7), 4), ((23, 18, 21), 5)]
)
def test_patch_any_linear_displacement_on_any_boundary_gives_its_stress(shape, seed):
    rng = np.random.default_rng(seed)
    e = np.where(rng.random(shape) < 0.04, 0.0, 17e9)
    model = Model(e, 0.3, H)
    gradient = 1e-3 * rng.standard_normal((3, 3))
    exact = coordinates(shape) @ gradient.T + 1e-5 * rng.standard_normal(3)
    around = np.zeros(nodes(shape), int)
    for z, y, x in CORNERS:
        around[z : z + shape[0], y : y + shape[1], x : x + shape[2]] += e > 0
    mask = np.broadcast_to((around < 8)[..., None], (*nodes(shape), 3)).copy()
    assert (~mask).sum() > 100
    found = solve(model, Support(mask, np.where(mask, exact, 0.0)), tolerance=1e-9)
    assert found.how == "converged"
    g = gradient
    strain = np.array([g[0, 0], g[1, 1], g[2, 2], g[0, 1] + g[1, 0], g[0, 2] + g[2, 0], g[1, 2] + g[2, 1]])
    stress = 17e9 * elasticity_matrix(0.3) @ strain
    error = np.abs(element_stress(model, found.displacement)[found.kept] - stress).max() / np.abs(stress).max()
    assert error < 1e-6
    assert np.abs(element_strain(model, found.displacement)[found.kept] - strain).max() < 1e-6 * np.abs(strain).max()


@pytest.mark.parametrize("shape", [(8, 8, 8), (11, 7, 5), (20, 9, 13), (33, 18, 22)])
def test_prism_under_compression_is_exact(shape):
    mask, given = plates(shape, 0, -1, -1e-2 * shape[0] * H)
    found = solve(Model(np.full(shape, 1e9), 0.3, H), Support(mask, given), tolerance=1e-9)
    force = -1e-2 * 1e9 * shape[1] * shape[2] * H * H
    assert found.how == "converged"
    assert found.reaction_n[0] == pytest.approx(force, rel=1e-7)
    assert abs(found.reaction_n[1]) + abs(found.reaction_n[2]) < 1e-6 * abs(force)
    assert found.energy_j == pytest.approx(0.5 * force * given.min(), rel=1e-7)
    spread = found.displacement[..., 1]
    assert spread[3, -1, 2] - spread[3, 0, 2] == pytest.approx(0.3 * 1e-2 * shape[1] * H, rel=1e-6)
    assert found.imbalance < 1e-7


@pytest.mark.parametrize("parts", [(1.0, 1e-1), (1.0, 1e-5)])
def test_bar_of_two_materials_in_series_and_side_by_side(parts):
    shape, a, b = (16, 6, 7), *(1e10 * p for p in parts)
    mask, given = plates(shape, 0, -1, -1e-4)
    area, length = 42 * H * H, 16 * H
    series = np.full(shape, a)
    series[9:] = b
    found = solve(Model(series, 0.0, H), Support(mask, given), tolerance=1e-9)
    assert found.how == "converged"
    assert found.reaction_n[0] == pytest.approx(-1e-4 * area / (9 * H / a + 7 * H / b), rel=1e-6)
    beside = np.full(shape, a)
    beside[:, :, 3:] = b
    found = solve(Model(beside, 0.0, H), Support(mask, given), tolerance=1e-9)
    assert found.reaction_n[0] == pytest.approx(-1e-4 / length * 6 * H * H * (3 * a + 4 * b), rel=1e-6)


@pytest.mark.parametrize("stiff_end", [0, -1])
@pytest.mark.parametrize("contrast", [1e5, 1e7])
def test_a_stiff_plate_does_not_hide_the_forces_of_soft_bone(stiff_end, contrast):
    """The residual counts in forces of the plate, 1e5 times those of the bone: equilibrium has to be asked as well."""
    shape = (20, 8, 8)
    e = np.full(shape, 200e9 / contrast)
    e[slice(0, 4) if stiff_end == 0 else slice(-4, None)] = 200e9
    mask, given = plates(shape, 0, -1, -1e-4)
    found = solve(Model(e, 0.0, H), Support(mask, given))
    exact = -1e-4 * 64 * H / (4 / 200e9 + 16 * contrast / 200e9)
    assert found.how == "converged", found.why
    assert found.reaction_n[0] == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize(("across", "allowed"), [(4, 0.05), (8, 0.02), (16, 0.012)])
def test_cantilever_against_timoshenko(across, allowed):
    """Tip deflection P L³/3EI + P L/κGA, κ = 10(1 + ν)/(12 + 11ν): Cowper, J Appl Mech 1966;33:335."""
    shape, edge, e, v = (10 * across, across, across), 8e-3, 1e9, 0.3
    h = edge / across
    mask, given = nothing(shape)
    mask[0] = True
    weight = np.ones(across + 1)
    weight[[0, -1]] = 0.5
    forces = np.zeros(given.shape)
    forces[-1, ..., 2] = 10.0 * np.outer(weight, weight) / across**2
    found = solve(Model(np.full(shape, e), v, h), Support(mask, given), forces=forces)
    length, kappa = 10 * edge, 10 * (1 + v) / (12 + 11 * v)
    exact = 10.0 * length**3 / (3 * e * edge**4 / 12) + 10.0 * length / (kappa * e / (2 * (1 + v)) * edge**2)
    assert found.how == "converged"
    assert found.displacement[-1, across // 2, across // 2, 2] == pytest.approx(exact, rel=allowed)
    assert found.reaction_n[2] == pytest.approx(-10.0, rel=1e-5)  # nothing was moved: all supports
    assert found.imbalance < 1e-5


def test_order_two_on_a_smooth_solution():
    from order import assert_order

    lame, shear = 0.3 / (1.3 * 0.4), 0.5 / 1.3
    a, k = np.array([1.0, -0.6, 0.8]), np.array([2.1, 3.0, -1.7])
    errors, sizes = [], (8, 16, 32)
    for n in sizes:
        h = 1.0 / n
        phase = coordinates((n, n, n), h) @ k + 0.4
        exact = np.cos(phase)[..., None] * a
        body = (shear * (k @ k) * a + (lame + shear) * (a @ k) * k) * np.cos(phase)[..., None]
        mask = np.ones(exact.shape, bool)
        mask[1:-1, 1:-1, 1:-1] = False
        forces = np.where(mask, 0.0, body * h**3)
        found = solve(Model(np.ones((n, n, n)), 0.3, h), Support(mask, np.where(mask, exact, 0.0)), forces=forces, tolerance=1e-9)
        assert found.how == "converged"
        errors.append(float(np.sqrt(((found.displacement - exact) ** 2).mean())))
    assert_order(errors, [1.0 / n for n in sizes], 2.0, 0.2)


# ---- a sparse matrix as oracle


@pytest.mark.parametrize(
    ("shape", "seed"),
    [((9, 7, 5), 0), ((8, 12, 10), 1), ((3, 14, 9), 2), ((1, 1, 9), 3), ((11, 1, 6), 4), ((13, 13, 2), 5), ((21, 13, 15), 6)],
)
def test_any_size_with_holes_equals_a_direct_solution(shape, seed):
    model = Model(blob(shape, seed), 0.3, H)
    mask, given = plates(shape, 0, -1, -1e-5, clamped=True)
    found = solve(model, Support(mask, given), tolerance=1e-10)
    assert found.how == "converged", found.why
    kept = Model(np.where(found.kept, model.modulus_pa, 0.0), 0.3, H)
    used = matrix(kept).diagonal().reshape(mask.shape) > 0
    exact = direct(kept, mask & used, given)
    assert np.abs(found.displacement - exact)[used].max() < 1e-7 * np.abs(exact).max()
    k_u = (matrix(kept) @ exact.ravel()).reshape(exact.shape)
    assert found.reaction_n[0] == pytest.approx(k_u[-1, ..., 0].sum(), rel=1e-7)
    assert found.energy_j == pytest.approx(0.5 * float((exact * k_u).sum()), rel=1e-7)


@pytest.mark.parametrize("soft", [2e6, 2e4])
def test_metal_in_bone_contrast_1e5_equals_a_direct_solution(soft):
    """A screw of 200 GPa askew through material 1e5 (1e7) times softer."""
    shape = (14, 11, 13)
    e = np.full(shape, soft)
    for t in np.linspace(0, 1, 60):
        e[int(2 + 9 * t), int(3 + 5 * t), int(11 * t) : int(11 * t) + 2] = 200e9
    model = Model(e, 0.3, H)
    mask, given = plates(shape, 0, -1, -1e-5, clamped=True)
    found = solve(model, Support(mask, given), tolerance=1e-9)
    exact = direct(model, mask, given)
    assert found.how == "converged", found.why
    assert found.reaction_n[0] == pytest.approx((matrix(model) @ exact.ravel()).reshape(exact.shape)[-1, ..., 0].sum(), rel=1e-5)
    assert np.abs(found.displacement - exact).max() < 1e-5 * np.abs(exact).max()


# ---- supports off the coarse grid


def steps(shape, low, high, e, *, clamped):
    mask, given = plates(shape, low, high, -1e-5, clamped=clamped)
    if not clamped:  # the pins must lie on an element
        solid = np.argwhere(e[low] > 0)
        mask[low, ..., 1:] = False
        y, x = solid[0]
        mask[low, y, x] = True
        mask[low, y, solid[solid[:, 0] == y][-1][1] + 1, 1] = True
    return solve(Model(e, 0.3, H), Support(mask, given))


@pytest.mark.parametrize("clamped", [True, False])
def test_planes_off_the_coarse_grid_cost_hardly_more_and_change_nothing(clamped):
    shape = (32, 12, 12)
    reference, counts = None, []
    for low in (0, 1, 2, 3, 4, 5, 6, 7):
        e = np.zeros(shape)
        e[low : low + 24] = 1e9
        found = steps(shape, low, low + 24, e, clamped=clamped)
        assert found.how == "converged", (low, found.why)
        reference = found.reaction_n[0] if reference is None else reference
        assert found.reaction_n[0] == pytest.approx(reference, rel=1e-5)
        counts.append(found.iterations)
    assert max(counts) <= 2 * min(counts), counts


@pytest.mark.parametrize("low", [1, 2, 3, 5, 7])
def test_planes_inside_the_bone_equal_a_direct_solution(low):
    """A potted end: elements on both sides of the fixed plane."""
    shape = (17, 9, 10)
    model = Model(blob(shape, 7, contrast=30, empty=0.05), 0.3, H)
    mask, given = plates(shape, low, 14, -1e-5, clamped=True)
    found = solve(model, Support(mask, given), tolerance=1e-9)
    kept = Model(np.where(found.kept, model.modulus_pa, 0.0), 0.3, H)
    used = matrix(kept).diagonal().reshape(mask.shape) > 0
    exact = direct(kept, mask & used, given)
    assert found.how == "converged", found.why
    assert found.iterations <= 40
    assert np.abs(found.displacement - exact)[used].max() < 1e-6 * np.abs(exact).max()


def test_supports_at_odd_nodes_only():
    """Not one fixed node coincides with a coarse one: an injected coarse model would be loose."""
    shape = (16, 16, 16)
    mask, given = nothing(shape)
    mask[1:2, 1::2, 1::2] = True
    mask[15, 1::2, 1::2] = True
    given[15, ..., 0] = -1e-5
    model = Model(np.full(shape, 1e9), 0.3, H)
    found = solve(model, Support(mask, given), tolerance=1e-8)
    assert found.how == "converged", found.why
    assert found.iterations <= 40
    assert np.abs(found.displacement - direct(model, mask, given * mask)).max() < 1e-6 * 1e-5


# ---- loose pieces


def bar():
    e = np.zeros((12, 10, 10))
    e[:, :5, :5] = 1e9
    return e


def test_islands_are_dropped_and_named():
    e = bar()
    mask, given = plates(e.shape, 0, -1, -1e-5, clamped=True)
    alone = solve(Model(e, 0.3, H), Support(mask, given))
    e[4:7, 7:9, 7:9] = 5e9
    e[9, 9, 0] = 5e9
    found = solve(Model(e, 0.3, H), Support(mask, given))
    assert [(i.voxels, i.how) for i in found.dropped] == [(12, "floating"), (1, "floating")]
    assert found.dropped[0].place[0] == 5
    assert found.dropped[1].place == (9, 9, 0)
    assert found.reaction_n[0] == pytest.approx(alone.reaction_n[0], rel=1e-6)
    assert not found.displacement[5, 8, 8].any()
    assert not found.kept[4:7, 7:9, 7:9].any()
    assert alone.dropped == ()


def test_pieces_that_hang_by_a_corner_or_an_edge_are_hinges():
    e = bar()
    e[5:7, 5:7, 5:7] = 1e9  # an edge in common with the bar
    mask, given = plates(e.shape, 0, -1, -1e-5, clamped=True)
    found = solve(Model(e, 0.3, H), Support(mask, given))
    assert found.how == "converged"
    assert [(i.voxels, i.how) for i in found.dropped] == [(8, "hinged")]


def test_a_loaded_island_is_unconstrained_and_no_number():
    e = bar()
    e[4:7, 7:9, 7:9] = 5e9
    mask, given = nothing(e.shape)
    mask[0] = True
    forces = np.zeros(given.shape)
    forces[5, 8, 8, 0] = 1.0
    found = solve(Model(e, 0.3, H), Support(mask, given), forces=forces)
    assert found.how == "unconstrained"
    assert np.isnan(found.displacement).all()
    assert np.isnan(found.reaction_n).all()
    assert "12 elements" in found.why


@pytest.mark.parametrize("fixed", ["plates only", "three nodes in a line", "one node", "nothing"])
def test_too_few_supports_are_unconstrained(fixed):
    e = np.full((8, 6, 6), 1e9)
    mask, given = nothing(e.shape)
    if fixed == "plates only":
        mask[[0, -1], ..., 0] = True
        given[-1, ..., 0] = -1e-5
    elif fixed == "three nodes in a line":
        mask[[0, 4, 8], 2, 2] = True
    elif fixed == "one node":
        mask[0, 0, 0] = True
    given[mask] += 1e-6
    assert solve(Model(e, 0.3, H), Support(mask, given)).how == "unconstrained"


def test_a_cut_bone_gives_no_load():
    """The upper half rides on the plate that moves it: no force crosses the gap, and none may be given."""
    e = np.full((12, 5, 5), 1e9)
    e[6] = 0.0
    mask, given = plates(e.shape, 0, -1, -1e-5)
    found = solve(Model(e, 0.3, H), Support(mask, given))
    assert found.how == "unconstrained"
    assert [(i.voxels, i.how) for i in found.dropped] == [(125, "riding")]
    mask, given = plates(e.shape, 0, -1, -1e-5, clamped=True)
    both = solve(Model(e, 0.3, H), Support(mask, given))
    assert both.how == "converged"
    assert abs(both.reaction_n[0]) < 1e-9


def test_a_piece_that_both_plates_squeeze_and_that_can_slide_is_unconstrained():
    e = bar()
    e[:, 8:, 8:] = 1e9
    mask, given = plates(e.shape, 0, -1, -1e-5)
    mask[0, 5, 0, 1:] = True
    mask[..., 1:][:, 6:, 6:] = False
    mask[0, 0, 5, 1] = True
    found = solve(Model(e, 0.3, H), Support(mask, given))
    assert found.how == "unconstrained"
    assert "48 elements" in found.why


def test_a_crumb_on_a_sliding_plate_rides_and_changes_nothing():
    e = bar()
    mask, given = plates(e.shape, 0, -1, -1e-5)
    mask[0, 0, 5, 1] = True
    alone = solve(Model(e, 0.3, H), Support(mask, given))
    e[-2:, 8, 8] = 1e9
    e[0, 7, 7] = 1e9
    found = solve(Model(e, 0.3, H), Support(mask, given))
    assert found.how == "converged", found.why
    assert [(i.voxels, i.how) for i in found.dropped] == [(2, "riding"), (1, "riding")]
    assert found.reaction_n == pytest.approx(alone.reaction_n, rel=1e-6, abs=1e-9)


def test_supports_that_all_move_as_one_strain_nothing():
    e = blob((14, 9, 9), 2, contrast=1e3, empty=0.1)
    mask, given = plates(e.shape, 0, -1, 0.0, clamped=True)
    given[mask] = np.broadcast_to([1e-3, -2e-3, 5e-4], given.shape)[mask]
    found = solve(Model(e, 0.3, H), Support(mask, given))
    assert found.how == "converged", found.why
    assert np.abs(element_strain(Model(np.where(found.kept, e, 0.0), 0.3, H), found.displacement)).max() < 1e-6
    assert np.abs(found.reaction_n).max() < 1e-6 * 1e9 * H * 1e-3


# ---- how it ends


def porous(n=36):
    e = blob((n, n, n), 3, contrast=50, empty=0.3)
    return Model(e, 0.3, H), Support(*plates(e.shape, 0, -1, -1e-5, clamped=True))


def test_the_residual_is_the_true_one_and_a_short_run_is_stalled():
    model, support = porous(16)
    seen = []
    short = solve(model, support, most=3, observe=lambda i, r: seen.append((i, r)))
    assert short.how == "stalled"
    assert "true residual" in short.why
    assert [i for i, _ in seen] == [1, 2, 3]
    kept = Model(np.where(short.kept, model.modulus_pa, 0.0), 0.3, H)
    k = matrix(kept)
    free = (k.diagonal() > 0) & ~support.mask.ravel()
    lifted = (k @ np.where(support.mask, support.displacement_m, 0.0).ravel())[free]
    rest = (k @ short.displacement.ravel())[free]
    assert short.residual == pytest.approx(np.linalg.norm(rest) / np.linalg.norm(lifted), rel=1e-6)


def test_a_start_near_the_answer_saves_iterations():
    model, support = porous()
    cold = solve(model, support)
    weaker = Model(model.modulus_pa * np.where(np.arange(36) == 12, 0.9, 1.0)[:, None, None], 0.3, H)
    again, warm = solve(weaker, support), solve(weaker, support, start=cold.displacement)
    assert cold.how == again.how == warm.how == "converged"
    assert warm.iterations < again.iterations
    assert warm.reaction_n[0] == pytest.approx(again.reaction_n[0], rel=1e-4)
    assert solve(model, support, start=cold.displacement).iterations == 0


def test_force_and_displacement_scale_with_load_and_modulus():
    model, support = porous(12)
    one = solve(model, support, tolerance=1e-8)
    two = solve(Model(model.modulus_pa * 1e-6, 0.3, H), Support(support.mask, support.displacement_m * 1e4), tolerance=1e-8)
    assert two.reaction_n[0] == pytest.approx(1e-2 * one.reaction_n[0], rel=1e-6)


def test_the_same_with_any_number_of_threads():
    model, support = porous()
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = solve(model, support)
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        many = solve(model, support)
    finally:
        numba.set_num_threads(before)
    assert (one.displacement == many.displacement).all()


@pytest.mark.parametrize("wrong", ["shape", "nan", "negative", "poisson", "spacing", "force", "no load", "nan given"])
def test_what_cannot_be_solved_is_refused(wrong):
    e = bar()
    mask, given = plates(e.shape, 0, -1, -1e-5, clamped=True)
    forces, poisson, h = None, 0.3, H
    if wrong == "shape":
        mask = mask[:-1]
    elif wrong == "nan":
        e[0, 0, 0] = np.nan
    elif wrong == "negative":
        e[0, 0, 0] = -1.0
    elif wrong == "poisson":
        poisson = 0.5
    elif wrong == "spacing":
        h = 0.0
    elif wrong == "force":
        forces = np.zeros(given.shape)
        forces[5, 9, 9, 0] = 1.0
    elif wrong == "no load":
        given[:] = 0.0
    elif wrong == "nan given":
        given[-1, 0, 0, 0] = np.nan
    with pytest.raises(InputError):
        solve(Model(e, poisson, h), Support(mask, given), forces=forces)
