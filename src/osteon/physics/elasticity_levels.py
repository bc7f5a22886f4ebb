"""The multigrid cycle of elasticity.py: cubes of the mean modulus of eight, trilinear transfers, Chebyshev-Jacobi smoothing.

A support that does not lie on the coarse grid is not lost: a coarse node is fixed where a fixed node coincides with it, and every
other fixed node hands its own stiffness, as a spring to the ground, to the coarse nodes it is interpolated from. Without that, a
plane on an odd layer leaves the coarse model loose, and the run ends in nonsense.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numba
import numpy as np

from osteon.physics import elasticity_band_kernels as band_kernels
from osteon.physics import elasticity_kernels as kernels
from osteon.physics import elasticity_stiffness_kernels as stiffness_kernels

Array = np.ndarray[Any, np.dtype[Any]]
COARSEST = 2200  # unknowns solved directly: eight elements along each axis
ALONE = 3 * 24**3  # unknowns below which handing a loop to a second thread (6 µs) costs more than it does
DEGREE = 3  # Chebyshev steps before and after
SPAN = 10.0  # largest over smallest eigenvalue that the smoother damps
SHIFT = 1e-9  # added to the coarsest diagonal, relative: an almost loose corner cannot stop the factorisation
CORNERS = [(z, y, x) for z in (0, 1) for y in (0, 1) for x in (0, 1)]


@contextmanager
def few_threads(unknowns: int) -> Iterator[None]:
    """Work on one thread where the model is small."""
    threads = numba.get_num_threads()
    if unknowns < ALONE:
        numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(threads)


@lru_cache(maxsize=8)
def element_stiffness(poisson: float) -> Array:
    """Return the stiffness of a cube of edge 1 and modulus 1, 24 x 24, corner by corner, each z, y, x (8 Gauss points)."""
    elastic = elasticity_matrix(poisson)
    stiffness = np.zeros((24, 24))
    signs = 2.0 * np.array(CORNERS) - 1.0
    for point in signs / np.sqrt(3.0):
        terms = 0.5 * (1.0 + signs * point)
        gradient = np.stack([signs[:, a] * np.delete(terms, a, 1).prod(1) for a in range(3)], 1)
        b = np.zeros((6, 24))
        for node, (dz, dy, dx) in enumerate(gradient):
            at = 3 * node
            b[0, at], b[1, at + 1], b[2, at + 2] = dz, dy, dx
            b[3, at], b[3, at + 1] = dy, dz
            b[4, at], b[4, at + 2] = dx, dz
            b[5, at + 1], b[5, at + 2] = dx, dy
        stiffness += b.T @ elastic @ b / 8.0
    return stiffness


def elasticity_matrix(poisson: float) -> Array:
    """Return stress over strain for modulus 1, 6 x 6, in the order zz, yy, xx, zy, zx, yx."""
    shear = 0.5 / (1.0 + poisson)
    matrix = np.diag([2.0 * shear] * 3 + [shear] * 3)
    matrix[:3, :3] += poisson / ((1.0 + poisson) * (1.0 - 2.0 * poisson))
    return matrix


@lru_cache(maxsize=8)
def mode_blocks(poisson: float) -> Array:
    """Return the stiffness as eight 3 x 3 blocks of sums and differences (kernels)."""
    bits = np.array([4 * z + 2 * y + x for z, y, x in CORNERS])
    signs = np.array([[(-1) ** bin(mode & ~int(corner)).count("1") for corner in bits] for mode in range(8)], float)
    transform = np.zeros((24, 24))
    for c in range(3):
        transform[8 * c : 8 * c + 8, c::3] = signs
    full = transform @ element_stiffness(poisson) @ transform.T / 64.0
    blocks = np.zeros((8, 3, 3))
    for mode in range(8):
        places = [mode, 8 + (mode ^ 6), 16 + (mode ^ 5)]
        blocks[mode] = full[np.ix_(places, places)]
    return blocks


@lru_cache(maxsize=8)
def mode_constants(poisson: float) -> Array:
    """Return the eight numbers that equal axes leave of the blocks, as elasticity_stiffness_kernels.py takes them.

    Stretch, and its variation across: what each mode feels beyond their sum, and the sum; bending: itself and its partner; shear,
    and its variation.
    """
    b = mode_blocks(poisson)
    stretch, varied = b[4, 0, 1], b[3, 0, 1]
    bending, shear = b[0, 1, 1:], [b[1, 0, 0], b[1, 1, 1]]
    return np.array([b[4, 0, 0] - stretch, stretch, b[3, 0, 0] - varied, varied, *bending, *shear])


def largest_eigenvalue(poisson: float) -> float:
    """Return that of D^-1 K for one element; none of the assembled model is larger."""
    stiffness = element_stiffness(poisson)
    return float(np.linalg.eigvalsh(stiffness).max() / stiffness[0, 0])


@dataclass(eq=False)
class Level:
    """One grid of the cycle."""

    n: Array
    modulus: Array
    rows: Array
    spans: Array
    inverse: Array
    u: Array
    f: Array
    d: Array
    q: Array
    spring: Array | None = None
    direct: Any = None


def ends_of(modulus: Array) -> tuple[Array, Array]:
    """Return where the elements of each row along x lie, and where their nodes do (kernels)."""
    rows = np.zeros((*modulus.shape[:2], 2), np.int64)
    kernels.row_ends(modulus, rows)
    spans = np.zeros((modulus.shape[0] + 1, 3 * (modulus.shape[1] + 1), 2), np.int64)
    kernels.node_spans(rows, modulus.shape[2] + 1, spans)
    return rows, spans


class Cycle:
    """A V cycle as preconditioner, float32."""

    def __init__(self, modulus: Array, fixed: Array, poisson: float) -> None:
        """Build the levels; ``modulus`` over its largest, ``fixed`` bool of shape (z, y, 3, x)."""
        self.constants = mode_constants(poisson).astype(np.float32)
        self.poisson = poisson
        high = 1.02 * largest_eigenvalue(poisson)  # the float32 operator may lie a little above
        self.middle, self.half = 0.5 * high * (1.0 + 1.0 / SPAN), 0.5 * high * (1.0 - 1.0 / SPAN)
        self.levels: list[Level] = []
        spring: Array | None = None
        unit = float(element_stiffness(poisson)[0, 0])
        while True:
            own = np.zeros(fixed.shape, np.float32)
            kernels.diagonal(modulus, np.float32(unit), own)
            self.levels.append(self._level(modulus, fixed, own, spring))
            if fixed.size <= COARSEST or max(modulus.shape) <= 2:
                self._factorise(self.levels[-1], fixed)
                return
            modulus, fixed, spring = self._coarser(self.levels[-1], fixed, own)

    def _level(self, modulus: Array, fixed: Array, own: Array, spring: Array | None) -> Level:
        """Make one level; the diagonal is turned into its inverse, 0 where nothing moves."""
        total = own if spring is None else own + spring
        inverse = np.zeros(fixed.shape, np.float32)
        np.divide(1.0, total, out=inverse, where=(own > 0.0) & ~fixed)
        rows, spans = ends_of(modulus)
        n = np.array(modulus.shape, np.int64)
        u, f, d, q = (np.zeros(fixed.size, np.float32) for _ in range(4))
        flat = None if spring is None or not spring.any() else spring.reshape(-1)
        return Level(n, modulus, rows, spans, inverse.reshape(-1), u, f, d, q, flat)

    def _coarser(self, level: Level, fixed: Array, own: Array) -> tuple[Array, Array, Array]:
        """Return modulus (times the edge, which doubles), fixed nodes and springs of the next level."""
        m = (level.n + 1) // 2
        modulus = np.zeros(m, np.float32)
        kernels.coarsen(level.modulus, modulus)
        modulus *= np.float32(2.0)
        shape = (int(m[0]) + 1, int(m[1]) + 1, 3, int(m[2]) + 1)
        coarse = np.zeros(shape, bool)
        there = fixed[::2, ::2, :, ::2]
        coarse[: there.shape[0], : there.shape[1], :, : there.shape[3]] = there
        held = np.where(fixed, own, 0.0 if level.spring is None else level.spring.reshape(fixed.shape)).astype(np.float32)
        spring = np.zeros(coarse.size, np.float32)
        kernels.restrict(held.reshape(-1), spring, level.spans, ends_of(modulus)[1], level.n, m)
        return modulus, coarse, spring.reshape(shape)

    def _factorise(self, level: Level, fixed: Array) -> None:
        """Factorise the coarsest operator in float64, as a band: the longest axis counts slowest."""
        place = np.arange(fixed.size).reshape(fixed.shape)
        longest = np.argsort([-fixed.shape[0], -fixed.shape[1], -fixed.shape[3]], kind="stable")
        order = place.transpose(0, 1, 3, 2).transpose(*longest, 3).reshape(-1)
        free = order[level.inverse[order] > 0.0]
        of = np.full(fixed.size, -1)
        of[free] = np.arange(len(free))
        z, y, x = np.nonzero(level.modulus)
        index = of[np.concatenate([place[z + a, y + b, :, x + c] for a, b, c in CORNERS], axis=1)]
        lowest = np.where(index < 0, len(free), index).min(1, initial=len(free))
        band = np.zeros((len(free), max(1, 1 + int((index.max(1, initial=-1) - lowest).max(initial=0)))))
        band_kernels.assemble(band, index, level.modulus[z, y, x].astype(float), element_stiffness(self.poisson))
        extra = SHIFT * band[:, 0]
        band[:, 0] += extra if level.spring is None else extra + level.spring[free]
        band_kernels.factorise(band)
        level.direct = (free, band)

    def run(self, at: int = 0) -> Array:
        """Return the answer of one V cycle to the right-hand side ``levels[at].f``."""
        here = self.levels[at]
        if here.direct is not None:
            free, band = here.direct
            answer = here.f[free].astype(np.float64)
            band_kernels.substitute(band, answer)
            here.u[:] = 0.0
            here.u[free] = answer
            return here.u
        below = self.levels[at + 1]
        self._smooth(here, from_zero=True)
        self._operate(here)
        kernels.defect(here.q, here.f, here.inverse, here.spans)
        kernels.restrict(here.q, below.f, here.spans, below.spans, here.n, below.n)
        with few_threads(below.u.size):
            self.run(at + 1)
        kernels.prolong(here.u, below.u, here.inverse, here.spans, here.n, below.n)
        self._smooth(here, from_zero=False)
        return here.u

    def _operate(self, level: Level) -> None:
        stiffness_kernels.apply(level.u, level.q, level.modulus.reshape(-1), level.rows, level.spans, self.constants, level.n)
        if level.spring is not None:
            kernels.add_springs(level.q, level.u, level.spring, level.spans)

    def _smooth(self, level: Level, *, from_zero: bool) -> None:
        """Chebyshev polynomial in D^-1 K, the same before and after: the cycle stays symmetric."""
        sigma = self.middle / self.half
        rho = 1.0 / sigma
        first, f32 = 1.0 / self.middle, np.float32
        if from_zero:
            kernels.start_smoothing(level.u, level.d, level.f, level.inverse, f32(first), level.spans)
        else:
            self._operate(level)
            kernels.smooth(level.u, level.d, level.q, level.f, level.inverse, f32(0.0), f32(first), level.spans)
        for _ in range(DEGREE - 1):
            following = 1.0 / (2.0 * sigma - rho)
            self._operate(level)
            keep, scale = f32(following * rho), f32(2.0 * following / self.half)
            kernels.smooth(level.u, level.d, level.q, level.f, level.inverse, keep, scale, level.spans)
            rho = following
