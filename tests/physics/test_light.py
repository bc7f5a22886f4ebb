"""Light by diffusion: the point source in endless tissue, an independent solver, and where every watt goes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.linalg import spsolve

from osteon.errors import InputError
from osteon.physics import light

MU_A, MU_S = 50.0, 1000.0  # 1/m; near-infrared tissue is of this order


def cube(n, a=MU_A, s=MU_S):
    return np.full((n, n, n), a), np.full((n, n, n), s)


def radii(n, h):
    along = (np.arange(n) - (n - 1) / 2) * h
    return np.sqrt(along[:, None, None] ** 2 + along[:, None] ** 2 + along**2)


def by_scipy(d, h, source, *, reaction, boundary, start, tolerance):
    """Solve the same finite volumes by a sparse matrix."""
    assert boundary == "neumann"
    n = d.size
    index = np.arange(n).reshape(d.shape)
    matrix = sparse.diags(reaction.ravel()).tolil()
    for axis in range(3):
        i = np.take(index, range(d.shape[axis] - 1), axis).ravel()
        j = np.take(index, range(1, d.shape[axis]), axis).ravel()
        a, b = d.ravel()[i], d.ravel()[j]
        g = np.where(a * b > 0, 2 * a * b / np.maximum(a + b, 1e-300), 0.0) / h**2
        for row, column, sign in ((i, i, 1), (j, j, 1), (i, j, -1), (j, i, -1)):
            matrix += sparse.coo_matrix((sign * g, (row, column)), (n, n))

    class Answer:
        u = spsolve(matrix.tocsc(), source.ravel()).reshape(d.shape)
        iterations, residual = 1, 0.0

    return Answer()


def shells(phi, n, h, r_mm):
    r = radii(n, h)
    ours, exact = [], []
    for radius in r_mm:
        shell = np.abs(r - radius * 1e-3) <= h / 2
        ours.append(phi[shell].mean())
        exact.append(light.point_fluence_w_m2(r[shell], 1.0, MU_A, MU_S).mean())
    return np.array(ours), np.array(exact)


def test_exact_point_source_shell_means_beyond_three_voxels_within_2_percent():
    n, h = 65, 0.5e-3
    a, s = cube(n)
    source = light.deposit(np.full((1, 3), (n // 2) * h), np.ones(1), a.shape, h)
    found = light.fluence(a, s, h, source)
    ours, exact = shells(found.fluence_w_m2, n, h, np.arange(1.5, 8.1, 0.5))
    assert np.abs(ours / exact - 1).max() < 0.02
    assert found.balance < 1e-6
    assert found.emitted_w == pytest.approx(1.0, rel=1e-12)


def test_order_a_source_at_rest_is_nearer_the_truth_on_finer_voxels():
    errors = []
    for n, h in ((33, 1.0e-3), (65, 0.5e-3)):
        a, s = cube(n)
        found = light.fluence(a, s, h, light.deposit(np.full((1, 3), (n // 2) * h), np.ones(1), a.shape, h))
        ours, exact = shells(found.fluence_w_m2, n, h, [4.0, 5.0, 6.0])
        errors.append(np.abs(ours / exact - 1).max())
    assert np.log2(errors[0] / errors[1]) > 1.5


def test_multigrid_gives_what_a_sparse_matrix_gives_with_air_metal_and_contrast():
    rng = np.random.default_rng(5)
    shape = (13, 14, 15)
    a, s = rng.uniform(5.0, 500.0, shape), rng.uniform(100.0, 2000.0, shape)
    air, metal = np.zeros(shape, bool), np.zeros(shape, bool)
    air[:, :, 12:], metal[3:6, 3:6, 3:5] = True, True
    source = light.deposit(np.array([[7e-3, 7.3e-3, 7.7e-3], [2e-3, 8e-3, 9.5e-3]]), np.array([2.0, 3.0]), shape, 1e-3)
    ours = light.fluence(a, s, 1e-3, source, outside=air, opaque=metal)
    other = light.fluence(a, s, 1e-3, source, outside=air, opaque=metal, solve=by_scipy)
    assert np.abs(ours.fluence_w_m2 - other.fluence_w_m2).max() < 1e-5 * other.fluence_w_m2.max()
    assert ours.balance < 1e-6
    assert ours.escaped_w == pytest.approx(other.escaped_w, rel=1e-5)
    assert ours.heat_w_m3[air | metal].max() == 0.0


def test_groenhuis_1983_no_step_of_index_reflects_nothing():
    assert light.internal_reflection(1.0) == pytest.approx(1.0, abs=0.01)
    assert 2.5 < light.internal_reflection(1.4) < 3.5


@settings(max_examples=15, deadline=None)
@given(st.floats(1.0, 300.0), st.floats(200.0, 3000.0), st.tuples(*[st.floats(3.0, 12.0)] * 3))
def test_law_every_watt_is_absorbed_or_escapes_and_none_is_made(a, s, place):
    mu_a, mu_s = cube(16, a, s)
    source = light.deposit(np.array([place]) * 1e-3, np.array([4.0]), mu_a.shape, 1e-3)
    found = light.fluence(mu_a, mu_s, 1e-3, source)
    assert found.emitted_w == pytest.approx(4.0, rel=1e-9)
    assert found.balance < 1e-6
    assert found.heat_w_m3.min() > -1e-6 * found.heat_w_m3.max()


def test_light_in_the_air_is_lost_and_no_light_does_nothing():
    a, s = cube(8)
    air = np.zeros(a.shape, bool)
    air[:4] = True
    source = light.deposit(np.array([[1e-3, 4e-3, 4e-3]]), np.ones(1), a.shape, 1e-3)
    found = light.fluence(a, s, 1e-3, source, outside=air)
    assert found.absorbed_w == pytest.approx(0.0, abs=1e-9)
    assert found.escaped_w == pytest.approx(1.0)
    assert not light.fluence(a, s, 1e-3, np.zeros_like(a)).heat_w_m3.any()


@pytest.mark.parametrize(("a", "s", "q"), [(-1.0, 1e3, 1.0), (50.0, 0.0, 1.0), (50.0, 1e3, -1.0), (np.nan, 1e3, 1.0)])
def test_impossible_optics_are_refused_in_three_parts(a, s, q):
    with pytest.raises(InputError) as error:
        light.fluence(*cube(4, a, s), 1e-3, np.full((4, 4, 4), q))
    assert all((error.value.what, error.value.why, error.value.do))


def test_a_tip_outside_the_box_is_refused():
    with pytest.raises(InputError):
        light.deposit(np.array([[0.0, 0.0, 9.0e-3]]), np.ones(1), (5, 5, 5), 1e-3)
