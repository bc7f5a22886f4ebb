"""Multigrid: exact solutions, order, contrast, any size, other solvers as oracle."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, sparse
from scipy.sparse import linalg

from osteon.errors import InputError
from osteon.physics.lines import Line, average, log_conductance, weights
from osteon.physics.multigrid import solve

ODD = (61, 47, 53)


def matrix(c, h, boundary="dirichlet", reaction=None, lines=()):
    """The same operator as a sparse matrix, built face by face in another way."""
    shape, count = c.shape, c.size
    place = np.arange(count).reshape(shape)
    c = np.asarray(c, np.float64)
    diag = np.zeros(shape) if reaction is None else reaction * h**3
    rows, cols, values = [], [], []
    for axis in range(3):
        low, high = (tuple(slice(*s) if a == axis else slice(None) for a in range(3)) for s in ((None, -1), (1, None)))
        a, b = c[low], c[high]
        face = np.divide(2 * h * a * b, a + b, out=np.zeros(a.shape), where=a + b > 0)
        diag[low] += face
        diag[high] += face
        rows += [place[low].ravel(), place[high].ravel()]
        cols += [place[high].ravel(), place[low].ravel()]
        values += [-face.ravel(), -face.ravel()]
        for side in (0, -1):
            at = tuple(side if i == axis else slice(None) for i in range(3))
            diag[at] += 2 * h * c[at] if boundary == "dirichlet" else 0.0
    total = sparse.csr_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(cols))), (count, count))
    total = total + sparse.diags(diag.ravel())
    b = np.zeros(count)
    for w, g, v in lines:
        n = w.index.shape[1]
        rows_of = sparse.csr_matrix((w.weight.ravel(), w.index.ravel(), np.arange(len(g) + 1) * n), (len(g), count))
        total = total + rows_of.T @ sparse.diags(g * w.length_m) @ rows_of
        b += rows_of.T @ (g * w.length_m * v)
    return total.tocsc(), b


def two_tissues(shape, contrast, seed=3, size=3.0):
    """Coherent islands of two values."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), size)
    return np.where(noise > 0, 1.0, 1.0 / contrast)


def electrode(c, h, length=0.012, volts=1.0):
    middle = np.array(c.shape) * h / 2
    w = weights(Line(tuple(middle), tuple(middle + np.array([0.6, 0.0, 0.8]) * length), 5e-4), c.shape, h)
    g = log_conductance(average(c, w), w)
    return w, g, np.full(len(g), volts)


def test_order_two_on_a_manufactured_solution():
    from order import assert_order

    errors, sizes = [], (16, 24, 36)
    for n in sizes:
        x = (np.arange(n) + 0.5) / n
        z, y, x = np.meshgrid(x, x, x, indexing="ij")
        u = np.sin(np.pi * z) * np.sin(np.pi * y) * np.sin(2 * np.pi * x)
        c = 1 + 0.5 * x  # -div(c grad u) = c 6 pi^2 u - 0.5 du/dx
        rhs = c * 6 * np.pi**2 * u - 0.5 * np.sin(np.pi * z) * np.sin(np.pi * y) * 2 * np.pi * np.cos(2 * np.pi * x)
        errors.append(np.abs(solve(c, 1 / n, rhs, tolerance=1e-9).u - u).max())
    assert_order(errors, [1 / n for n in sizes], 2.0, 0.1)


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann"])
@pytest.mark.parametrize("contrast", [1.0, 500.0])
def test_against_a_direct_solver(boundary, contrast):
    c, h = two_tissues((15, 19, 13), contrast), 2e-3
    line = electrode(c, h)
    a, b = matrix(c, h, boundary, lines=[line])
    exact = linalg.spsolve(a, b)
    ours = solve(c, h, None, lines=[line], boundary=boundary, tolerance=1e-10, most=300)
    assert ours.how == "converged"
    assert np.abs(ours.u.ravel() - exact).max() < 1e-5 * np.abs(exact).max()


def test_true_residual_by_another_operator():
    c, h = two_tissues(ODD, 500.0), 1e-3
    line = electrode(c, h)
    a, b = matrix(c, h, lines=[line])
    ours = solve(c, h, None, lines=[line])
    assert ours.how == "converged"
    assert np.linalg.norm(a @ ours.u.ravel() - b) / np.linalg.norm(b) < 1.05e-6
    assert ours.residual <= 1e-6


def test_beside_pyamg():
    pyamg = pytest.importorskip("pyamg")
    c, h = two_tissues((40, 33, 37), 10.0), 1e-3
    line = electrode(c, h)
    a, b = matrix(c, h, lines=[line])
    exact = pyamg.smoothed_aggregation_solver(a.tocsr()).solve(b, tol=1e-9, accel="cg")
    ours = solve(c, h, None, lines=[line], tolerance=1e-8)
    assert np.abs(ours.u.ravel() - exact).max() < 1e-5 * np.abs(exact).max()


def test_iterations_do_not_grow_with_the_grid():
    counts = []
    for n in (24, 48, 96):
        c = np.ones((n, n, n))
        counts.append(solve(c, 1 / n, np.ones((n, n, n))).iterations)
    assert max(counts) <= 10
    assert counts[-1] <= counts[0] + 3


@pytest.mark.parametrize(("name", "most"), [("csf beside marrow", 30), ("metal", 20), ("random islands", 80), ("air", 60)])
def test_contrast_on_odd_sizes(name, most):
    z, y, x = np.indices(ODD)
    c = np.full(ODD, 0.3)
    if name == "csf beside marrow":
        c[(z - 30) ** 2 + (y - 23) ** 2 < 36], c[(z - 30) ** 2 + (y - 31) ** 2 < 25] = 1.7, 1.7 / 500
    elif name == "metal":
        c[20:22, 5:40, 10:12] = 3e4
        c[(z - 20) ** 2 + (y - 10) ** 2 + (x - 30) ** 2 < 30] = 3e4
    elif name == "air":
        c[np.hypot(z - 30, y - 23) > 19] = 0.0
    else:
        c = two_tissues(ODD, 500.0)
    found = solve(c, 1e-3, None, lines=[electrode(c, 1e-3)], most=most)
    assert (found.how, found.iterations <= most) == ("converged", True)


@settings(max_examples=12, deadline=None)
@given(st.tuples(*[st.integers(1, 21)] * 3), st.integers(0, 99), st.sampled_from(["dirichlet", "neumann", "robin"]))
def test_any_size_and_boundary(shape, seed, boundary):
    rng = np.random.default_rng(seed)
    c, reaction, rhs = rng.uniform(0.1, 2, shape), rng.uniform(0, 5, shape), rng.standard_normal(shape)
    found = solve(c, 0.1, rhs, reaction=reaction, boundary=boundary, exchange=1.0 if boundary == "robin" else None)
    assert found.how == "converged"


def test_reaction_alone_and_robin_by_exact_numbers():
    shape = (6, 5, 7)
    uniform = solve(np.ones(shape), 0.1, np.full(shape, 3.0), reaction=np.full(shape, 2.0), boundary="neumann", tolerance=1e-10)
    assert uniform.u == pytest.approx(1.5, rel=1e-7)
    h, beta, c = 0.1, 4.0, 2.0
    slab = solve(np.full((40, 1, 1), c), h, np.ones((40, 1, 1)), boundary="robin", exchange=beta, tolerance=1e-10)
    flux = np.sum(beta * h * h * slab.u[[0, -1]] * (2 * c / h) / (2 * c / h + beta))
    sides = np.sum(4 * beta * h * h * slab.u * (2 * c / h) / (2 * c / h + beta))
    assert flux + sides == pytest.approx(40 * h**3, rel=2e-7)  # conductances are kept in float32: 6e-8 each


def test_symmetric_operator_gives_reciprocal_fields():
    c, h = two_tissues((21, 17, 19), 50.0, size=2.0), 1e-3
    a, b = np.zeros(c.shape), np.zeros(c.shape)
    a[4, 5, 6], b[15, 11, 13] = 1.0, 1.0
    line = [electrode(c, h, volts=0.0, length=0.006)]
    at_b = solve(c, h, a, lines=line, tolerance=1e-10).u[15, 11, 13]
    at_a = solve(c, h, b, lines=line, tolerance=1e-10).u[4, 5, 6]
    assert at_b == pytest.approx(at_a, rel=1e-6)


def test_warm_start_saves_iterations_whatever_its_scale():
    c = two_tissues((48, 48, 48), 20.0)
    line = electrode(c, 1e-3)
    cold = solve(c, 1e-3, None, lines=[line])
    warm = solve(c * 1.02, 1e-3, None, lines=[electrode(c * 1.02, 1e-3)], start=7.0 * cold.u)
    assert warm.iterations < cold.iterations / 2


def test_threads_and_repeats_give_the_same_bits():
    c = two_tissues((50, 45, 47), 30.0)
    line = electrode(c, 1e-3)
    found = []
    try:
        for threads in (1, numba.config.NUMBA_NUM_THREADS, 1):
            numba.set_num_threads(threads)
            found.append(solve(c, 1e-3, None, lines=[line]).u)
    finally:
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_no_source_is_nothing_and_too_few_iterations_are_named():
    c = np.ones((9, 9, 9))
    assert solve(c, 1.0, np.zeros((9, 9, 9))).how == "nothing"
    c = two_tissues((40, 40, 40), 500.0)
    assert solve(c, 1.0, c, most=3).how == "not_converged"


@pytest.mark.parametrize(
    "wrong",
    [
        {"coefficient": -1.0},
        {"coefficient": np.nan},
        {"reaction": -1.0},
        {"start": np.inf},
        {"boundary": "neumann"},
        {"exchange": -1.0, "boundary": "robin"},
        {"spacing": 0.0},
    ],
)
def test_unusable_input_is_refused(wrong):
    one = np.ones((5, 5, 5))
    with pytest.raises(InputError):
        solve(one * wrong.get("coefficient", 1.0), wrong.get("spacing", 1.0), one,
              reaction=one * wrong["reaction"] if "reaction" in wrong else None,
              start=one * wrong["start"] if "start" in wrong else None,
              boundary=wrong.get("boundary", "dirichlet"), exchange=wrong.get("exchange"))  # fmt: skip
