"""One explicit bioheat step: our two kernels beside NumPy and JAX: `python benchmarks/bench_bioheat.py [sizes]`.

Best of 5; error: largest difference from numpy float64 after one step, over the largest change. B/voxel: compulsory traffic.
"""

from __future__ import annotations

import sys

import numba
import numpy as np
from common import best_of, line

from osteon.numerics.fields import placed
from osteon.physics import bioheat_kernels as kernels

H, START_TO_BOIL, WIDTH, SLOPE, CEILING = 1e-3, 53.0, 10.0, 0.002, 63.0


class Problem:
    """Heterogeneous tissue, the layer beyond the edge at the start temperature."""

    def __init__(self, n: int) -> None:
        rng = np.random.default_rng(0)
        draw = lambda low, high: rng.uniform(low, high, (n, n, n)).astype(np.float32)  # noqa: E731
        self.n, self.dt = n, 0.5
        self.k, self.ic, self.w = draw(0.2, 0.6), (1 / draw(2e6, 4e6)).astype(np.float32), draw(0, 2e4)
        self.q, self.latent, self.e = draw(0, 1e5), draw(150, 400), draw(0, 40)
        self.strides, self.box = np.array([n, n * n]), np.array([0, n, 0, n, 0, n])
        slabs = -(-n // kernels.SLAB)
        self.faces = placed(np.zeros((4 * slabs, n * n), np.float32), 6).reshape(4 * slabs, -1)
        self.sums = np.zeros((2 * slabs + 1, 2))
        fields = (self.e, self.k, self.ic, self.w, self.q, self.latent)
        self.e, self.k, self.ic, self.w, self.q, self.latent = (placed(a, i).reshape(n, n, n) for i, a in enumerate(fields))
        self.edges = np.ones(6, np.float32)
        self.scalars = np.array([START_TO_BOIL, WIDTH, SLOPE, CEILING, self.dt, self.dt / H**2, 0], np.float32)

    def pennes(self, e: np.ndarray) -> None:
        flat = [a.reshape(-1) for a in (e, self.k, self.ic, self.w, self.q)]
        kernels.pennes_step(*flat, self.strides, self.box, self.edges, self.scalars, self.faces, self.sums)

    def enthalpy(self, e: np.ndarray) -> None:
        flat = [a.reshape(-1) for a in (e, self.k, self.ic, self.w, self.q, self.latent)]
        kernels.enthalpy_step(*flat, self.strides, self.box, self.edges, self.scalars, self.faces, self.sums)


def step(xp, e, k, ic, w, q, dt, theta=None):
    """The same step in array language; ``theta`` is e where properties are constant."""
    theta = e if theta is None else theta
    dt_h2 = dt / H**2
    fluxes = []
    for axis in range(3):
        cut = lambda a, s, axis=axis: a[tuple(s if i == axis else slice(None) for i in range(3))]  # noqa: E731
        k0, k1 = cut(k, slice(None, -1)), cut(k, slice(1, None))
        inner = 2 * k0 * k1 / (k0 + k1) * (cut(theta, slice(1, None)) - cut(theta, slice(None, -1)))
        low, high = (cut(k, s) * cut(theta, s) for s in (slice(0, 1), slice(-1, None)))
        along = xp.concatenate([low, inner, -high], axis=axis)
        fluxes.append(cut(along, slice(1, None)) - cut(along, slice(None, -1)))
    return e + ic * (dt_h2 * (fluxes[0] + fluxes[1] + fluxes[2]) + dt * (q - w * theta))


def properties(xp, e, k, latent):
    """Temperature and conductivity from the enthalpy."""
    theta = xp.where(e > START_TO_BOIL, xp.maximum(START_TO_BOIL + (e - START_TO_BOIL) * WIDTH / (WIDTH + latent), e - latent), e)
    return theta, k * (1 + SLOPE * xp.clip(theta, 0, CEILING))


def exact(p: Problem, e: np.ndarray, boiling: bool) -> np.ndarray:
    """One step in float64, slab by slab of what memory allows."""
    wide = [a.astype(np.float64) for a in (e, p.k, p.ic, p.w, p.q)]
    if not boiling:
        return step(np, *wide, p.dt)
    theta, k = properties(np, wide[0], wide[1], p.latent.astype(np.float64))
    return step(np, wide[0], k, *wide[2:], p.dt, theta)


def error(ours: np.ndarray, before: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(ours - truth).max() / np.abs(truth - before).max())


def jax_lines(p: Problem, size: str, truth: np.ndarray, per: float) -> None:
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        print(f"jax: not installed (extra `bench`), no line at {size}")
        return
    arrays = [jnp.asarray(a) for a in (p.e, p.k, p.ic, p.w, p.q)]
    one = jax.jit(lambda *a: step(jnp, *a, p.dt))
    seconds = best_of(lambda: one(*arrays).block_until_ready())
    line(f"jax {jax.__version__} jit, Pennes", size, seconds * per, 24, error(np.asarray(one(*arrays)), p.e, truth))
    twenty = jax.jit(lambda e, *a: jax.lax.fori_loop(0, 20, lambda _, v: step(jnp, v, *a, p.dt), e))
    seconds = best_of(lambda: twenty(*arrays).block_until_ready()) / 20
    line("jax fori_loop(20), Pennes", size, seconds * per, 24, error(np.asarray(one(*arrays)), p.e, truth))


def main(sizes: list[int]) -> None:
    for n in sizes:
        p, size, per = Problem(n), f"{n}^3", 1e9 / n**3
        truth = exact(p, p.e, boiling=False)
        hot = (p.e + 60).astype(np.float32)
        cases = (
            ("osteon Pennes, constant", p.pennes, p.e, truth, 24),
            ("osteon enthalpy, below boiling", p.enthalpy, p.e, exact(p, p.e, True), 24),
            ("osteon enthalpy, every row boiling", p.enthalpy, hot, exact(p, hot, True), 28),
        )
        for threads in sorted({1, numba.config.NUMBA_NUM_THREADS}):
            numba.set_num_threads(threads)
            for name, kernel, start, right, traffic in cases:
                once, e = placed(start, 0).reshape(n, n, n), placed(start, 0).reshape(n, n, n)
                kernel(once)
                line(name, size, best_of(lambda kernel=kernel, e=e: kernel(e)) * per, traffic, error(once, start, right))
        numba.set_num_threads(1)
        seconds = best_of(lambda p=p: step(np, p.e, p.k, p.ic, p.w, p.q, np.float32(p.dt)), 2)
        line(f"numpy {np.__version__} float32, Pennes", size, seconds * per, 24,
             error(step(np, p.e, p.k, p.ic, p.w, p.q, np.float32(p.dt)), p.e, truth), "best of 2")  # fmt: skip
        jax_lines(p, size, truth, per)


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]] or [160, 256])
