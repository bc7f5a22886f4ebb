r"""Steady diffusion on a voxel grid: potential, light, steady heat.

.. math:: -\nabla\cdot(c\,\nabla u) + s\,u + W^T g\,\mathrm{ds}\,(W u - v) = q

Finite volumes with harmonic faces, conjugate gradients in float64, one V(2,2) cycle in float32 as preconditioner: red-black
Gauss-Seidel, sums down, copies up, coarse faces half the sum of the fine ones (thermal reference, section 7). A last layer of odd
number forms thinner coarse voxels, so any size coarsens. The smoother sees the lines (lines.py) through their row sums, which
bound them from above; the operator has them in full. The true residual decides, and the result is scaled so that the error is
orthogonal to it in energy: power balances to rounding, at any tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numba
import numpy as np

from osteon.errors import InputError
from osteon.physics import multigrid_kernels as kernels
from osteon.physics.lines import Weights
from osteon.space.shapes import ScalarField

Array = np.ndarray[Any, np.dtype[Any]]
Boundary = Literal["dirichlet", "neumann", "robin"]
Exchange = tuple[Weights, Array, Array]  # a line's weights, conductance per metre and value, per segment
SMALLEST_PIVOT = 1e-5  # over the largest: below it the coarsest operator counts as singular
COARSEST = 64  # unknowns solved directly
ALONE = 40**3  # unknowns below which waiting for a second thread costs more than it does
RESTARTS = 5  # recursion and true residual drift apart at high contrast; so often CG begins anew
SIDES = tuple((axis, side) for axis in range(3) for side in (0, -1))


@dataclass(frozen=True, eq=False)
class Solved:
    """A solution and how it ended.

    Parameters
    ----------
    u : ndarray of float64, shape (z, y, x)
        The field.
    iterations : int
        Of the conjugate gradients.
    residual : float
        True residual over the right-hand side, 2-norms.
    how : {"converged", "not_converged", "nothing"}
        ``nothing``: no source and no value, the field is zero.
    """

    u: Array
    iterations: int
    residual: float
    how: Literal["converged", "not_converged", "nothing"]


def solve(
    coefficient: ScalarField, spacing_m: float, right_hand_side: ScalarField | None, *, reaction: ScalarField | None = None,
    lines: Sequence[Exchange] = (), boundary: Boundary = "dirichlet", start: ScalarField | None = None, tolerance: float = 1e-6,
    most: int = 100, exchange: float | None = None,
) -> Solved:  # fmt: skip
    r"""Solve :math:`-\nabla\cdot(c\nabla u) + s u + W^T g\,ds\,(W u - v) = q` on cubic voxels.

    Parameters
    ----------
    coefficient : ndarray, shape (z, y, x)
        c per voxel (σ [S/m], k [W/m/K], D [m]), at least 0; a voxel of 0 lets nothing through.
    spacing_m : float
        Voxel edge [m].
    right_hand_side : ndarray, shape (z, y, x), or None
        q per volume; None: 0.
    reaction : ndarray, shape (z, y, x), or None
        s per volume, at least 0.
    lines : sequence of (Weights, conductance, value)
        Per segment: conductance per metre (``lines.log_conductance``) and the value held on the line.
    boundary : {"dirichlet", "neumann", "robin"}
        u = 0 on the outer faces; no flux; flux = ``exchange`` times u on the face.
    start : ndarray, shape (z, y, x), or None
        First guess; its scale does not matter.
    tolerance : float
        Of the true residual over the right-hand side.
    most : int
        Largest number of iterations; then ``how`` says ``not_converged``.
    exchange : float or None
        Of "robin" [unit of c per metre]; None: open space, u falls as 1/r from the middle of the grid.

    Returns
    -------
    Solved
        The field and how it ended.

    Raises
    ------
    InputError
        If a field has the wrong shape, is negative or not a number, or nothing fixes the level of u.

    Examples
    --------
    >>> one = np.ones((9, 7, 5))
    >>> found = solve(one, 1e-3, one)
    >>> found.how, bool(found.residual < 1e-6)
    ('converged', True)
    """
    _check(coefficient, right_hand_side, reaction, start)
    _check_edges(spacing_m, reaction, lines, boundary, exchange)
    h, shape = float(spacing_m), coefficient.shape
    walls = [wall_conductance(coefficient, h, side, boundary, exchange) for side in SIDES]
    system = System(coefficient, h, reaction, walls, lines)
    b = system.line_source()
    if right_hand_side is not None:
        inner(b, shape)[...] += np.asarray(right_hand_side, np.float64) * h**3
    size = math.sqrt(inner_product(b, b))
    if size == 0.0:
        return Solved(np.zeros(shape), 0, 0.0, "nothing")
    u = np.zeros(b.size)
    if start is not None:
        inner(u, shape)[...] = start
    iterations, residual = 0, math.inf
    for _ in range(RESTARTS):
        r = b.copy()
        if iterations or start is not None:
            residual = system.rescale(u, b, r) / size
            if residual <= tolerance or iterations >= most:
                break
        iterations += _conjugate_gradients(system, u, r, tolerance * size, most - iterations)
    else:
        residual = system.rescale(u, b, b.copy()) / size
    how: Literal["converged", "not_converged"] = "converged" if residual <= tolerance else "not_converged"
    return Solved(np.ascontiguousarray(inner(u, shape)), iterations, residual, how)


def inner_product(a: Array, b: Array) -> float:
    """Return a . b in one order, whatever the number of threads."""
    return float(np.einsum("i,i", a, b))


def wall_conductance(c: Array, h: float, side: tuple[int, int], boundary: Boundary, exchange: float | None) -> Array:
    """Return the conductance from the voxels of one outer layer to zero beyond the face [unit of c times metre], 2-D."""
    axis, end = side
    layer = np.asarray(np.take(c, end, axis), np.float64)
    if boundary == "neumann":
        return np.zeros(layer.shape)
    half = 2.0 * h * layer
    if boundary == "dirichlet":
        return np.asarray(half)
    if exchange is None:
        off = [0.5 * h * c.shape[axis]] + [h * (np.arange(n) - 0.5 * (n - 1)) for i, n in enumerate(c.shape) if i != axis]
        film = layer * off[0] / (off[0] ** 2 + off[1][:, None] ** 2 + off[2][None, :] ** 2) * h**2
    else:
        film = np.full(layer.shape, float(exchange) * h**2)
    total = half + film
    return np.asarray(np.where(total > 0.0, half * film / np.where(total > 0.0, total, 1.0), 0.0))


def inner(flat: Array, shape: tuple[int, ...]) -> Array:
    """Return the grid inside the zero layer, a view."""
    padded: Array = flat.reshape(tuple(n + 2 for n in shape))
    return padded[1:-1, 1:-1, 1:-1]


class System:
    """The operator, and the levels of its preconditioner."""

    def __init__(self, c: Array, h: float, reaction: Array | None, walls: Sequence[Array], lines: Sequence[Exchange]) -> None:
        self.shape = c.shape
        self.size = math.prod(n + 2 for n in c.shape)
        self.plane = (c.shape[1] + 2) * (c.shape[2] + 2)
        self.n = np.array(c.shape, np.int64)
        fz, fy, fx, self.sink = (np.zeros(self.size, np.float32) for _ in range(4))
        kernels.faces(np.ascontiguousarray(c, np.float32), np.float32(h), fz, fy, fx, self.n)
        self.faces = (fz, fy, fx)
        grid = inner(self.sink, c.shape)
        if reaction is not None:
            grid[...] = np.asarray(reaction, np.float64) * h**3
        for side, wall in zip(SIDES, walls, strict=True):
            grid[layer(side)] += wall
        self._join(lines)
        lumped = np.bincount(self.index.reshape(-1), (self.weight * self.conductance[:, None]).reshape(-1), minlength=self.size)
        smoothed = self.sink if not lines else (self.sink + lumped).astype(np.float32)
        self.levels = build(self.faces, smoothed, list(walls), self.n)
        self.sums = np.zeros(self.size // self.plane)
        self.averaged = np.zeros(len(self.conductance))

    def _join(self, lines: Sequence[Exchange]) -> None:
        """Lay all segments of all lines into one table of padded indices, as wide as the widest."""
        most = max((w.index.shape[1] for w, _, _ in lines), default=1)
        count = sum(len(w.length_m) for w, _, _ in lines)
        self.index, self.weight = np.zeros((count, most), np.int64), np.zeros((count, most))
        self.conductance, self.value = np.zeros(count), np.zeros(count)
        at = 0
        for rows, conductance, value in lines:
            n, wide = rows.index.shape
            z, y, x = np.unravel_index(rows.index, self.shape)
            self.index[at : at + n, :wide] = (z + 1) * self.plane + (y + 1) * (self.shape[2] + 2) + x + 1
            self.weight[at : at + n, :wide] = rows.weight
            self.conductance[at : at + n] = np.asarray(conductance) * rows.length_m
            self.value[at : at + n] = value
            at += n

    def line_source(self) -> Array:
        """Return Wᵀ g ds v on the padded grid."""
        given = self.weight * (self.conductance * self.value)[:, None]
        return np.bincount(self.index.reshape(-1), given.reshape(-1), minlength=self.size).astype(np.float64)

    def apply(self, u: Array, y: Array) -> float:
        """Write A u to y; return u . A u."""
        self.sums[:] = 0.0
        kernels.apply(u, y, *self.faces, self.sink, self.n, self.sums)
        return float(self.sums.sum()) + float(kernels.apply_lines(u, y, self.index, self.weight, self.conductance, self.averaged))

    def rescale(self, u: Array, b: Array, r: Array) -> float:
        """Scale u to the least error in energy and write b - A u to r; return its norm."""
        energy = self.apply(u, r)
        scale = inner_product(u, b) / energy if energy > 0.0 else 0.0
        u *= scale
        r *= -scale
        r += b
        return math.sqrt(inner_product(r, r))

    def precondition(self) -> Array:
        """Return one V cycle applied to what lies in the right-hand side of the finest level."""
        cycle(self.levels, 0)
        return self.levels[0].u


@dataclass(eq=False)
class Level:
    """One grid of the cycle; ``direct`` (the inverse operator) only on the coarsest."""

    n: Array
    faces: tuple[Array, Array, Array]
    inverse: Array
    mask: Array
    u: Array
    f: Array
    direct: Array | None = None


def layer(side: tuple[int, int]) -> tuple[slice | int, ...]:
    """Return the index of one outer layer of a 3-D array."""
    return tuple(side[1] if axis == side[0] else slice(None) for axis in range(3))


def build(faces: tuple[Array, Array, Array], sink: Array, walls: list[Array], n: Array) -> list[Level]:
    """Return the levels from fine to coarse."""
    levels: list[Level] = []
    widths = [np.ones(int(count)) for count in n]
    while True:
        inverse, mask = np.ones(sink.size, np.float32), (np.arange(n[2] + 3) % 2).astype(np.float32)
        kernels.invert(*faces, sink, inverse, n)
        levels.append(Level(n, faces, inverse, mask, np.zeros(sink.size, np.float32), np.zeros(sink.size, np.float32)))
        if math.prod(n.tolist()) <= COARSEST:
            levels[-1].direct = _direct(faces, sink, n)
            return levels
        m = (n + 1) // 2
        coarse = [np.add.reduceat(w, np.arange(0, len(w), 2)) for w in widths]
        ratios = [_ratio(w, v) for w, v in zip(widths, coarse, strict=True)]
        size = math.prod((m + 2).tolist())
        made = tuple(np.zeros(size, np.float32) for _ in range(4))
        kernels.coarsen(*faces, sink, n, *made, m, *ratios)
        grid, next_walls = inner(made[3], tuple(m.tolist())), []
        for side, wall in zip(SIDES, walls, strict=True):
            total = wall
            for axis in range(2):
                total = np.add.reduceat(total, np.arange(0, total.shape[axis], 2), axis=axis)
            ratio = widths[side[0]][side[1]] / coarse[side[0]][side[1]]
            grid[layer(side)] += (ratio - 1.0) * total
            next_walls.append(ratio * total)
        faces, sink, walls, n, widths = (made[0], made[1], made[2]), made[3], next_walls, m, coarse


def _ratio(fine: Array, coarse: Array) -> Array:
    """Distance of fine over coarse neighbours at each lower coarse face, in padded places: 1/2, more beside a thin last layer."""
    out = np.zeros(len(coarse) + 2, np.float32)
    for k in range(1, len(coarse)):
        out[k + 1] = (fine[2 * k - 1] + fine[2 * k]) / (coarse[k - 1] + coarse[k])
    return out


def _direct(faces: tuple[Array, Array, Array], sink: Array, n: Array) -> Array:
    """Inverse of the coarsest operator, float64; the pseudo-inverse where islands without a sink make it singular."""
    shape = tuple(n.tolist())
    place = np.arange(math.prod(shape)).reshape(shape)
    matrix = np.diag(inner(sink, shape).astype(np.float64).reshape(-1))
    for axis in range(3):
        face = inner(faces[axis], shape).astype(np.float64)
        upper, lower = (np.take(place, range(*s), axis).reshape(-1) for s in ((1, shape[axis]), (0, shape[axis] - 1)))
        joined = np.take(face, range(1, shape[axis]), axis).reshape(-1)
        for a, b, sign in ((upper, upper, 1.0), (lower, lower, 1.0), (upper, lower, -1.0), (lower, upper, -1.0)):
            np.add.at(matrix, (a, b), sign * joined)
    try:
        pivots = np.diag(np.linalg.cholesky(matrix))
    except np.linalg.LinAlgError:
        pivots = np.zeros(1)
    if pivots.min() > SMALLEST_PIVOT * pivots.max():
        inverse = np.linalg.inv(matrix)
        return np.asarray(0.5 * (inverse + inverse.T))
    return np.asarray(np.linalg.pinv(matrix, rcond=1e-13, hermitian=True))


def cycle(levels: list[Level], at: int) -> None:
    """One V(2,2) cycle from zero on the right-hand side of the level: symmetric, red-black down, black-red up."""
    here = levels[at]
    shape = tuple(here.n.tolist())
    if here.direct is not None:
        inner(here.u, shape)[...] = (here.direct @ inner(here.f, shape).reshape(-1).astype(np.float64)).reshape(shape)
        return
    below, args = levels[at + 1], (here.u, here.f, *here.faces, here.inverse, here.n)
    kernels.sweep(*args, here.mask, 0, True)
    kernels.sweep(*args, here.mask, 0, False)
    kernels.restrict(*args, below.f, below.n)
    threads = numba.get_num_threads()
    if below.u.size < ALONE:
        numba.set_num_threads(1)
    try:
        cycle(levels, at + 1)
    finally:
        numba.set_num_threads(threads)
    kernels.prolong(here.u, here.n, below.u, below.n)
    kernels.sweep(*args, here.mask, 1, False)
    kernels.sweep(*args, here.mask, 1, False)


def _conjugate_gradients(system: System, u: Array, r: Array, goal: float, most: int) -> int:
    """Conjugate gradients from the residual r until its recursion is below 0.9 of the goal; u in place; returns their number."""
    size = math.sqrt(inner_product(r, r))
    fine, q, p = system.levels[0].f, np.zeros(r.size), np.zeros(r.size)  # the outer layer stays 0
    plane, sums = system.plane, system.sums
    scale, before = 1.0 / size, 1.0
    np.multiply(r, scale, out=fine, casting="same_kind")
    for iteration in range(most):
        z = system.precondition()
        kernels.dot(r, z, sums, plane)
        now = float(sums.sum())
        kernels.turn(p, z, now / before if iteration else 0.0, plane)
        energy = system.apply(p, q)
        if not energy > 0.0 or not math.isfinite(energy):
            return iteration + 1
        kernels.advance(u, r, p, q, now / energy, scale, fine, sums, plane)
        before = now
        if float(sums.sum()) <= (0.9 * goal) ** 2:
            return iteration + 1
    return most


def _check(c: Array, rhs: Array | None, reaction: Array | None, start: Array | None) -> None:
    """Raise where a field cannot be used."""
    for name, field in (("coefficient", c), ("right-hand side", rhs), ("reaction", reaction), ("first guess", start)):
        if field is None:
            continue
        if field.shape != c.shape or not np.isfinite(field).all() or (name in ("coefficient", "reaction") and field.min() < 0.0):
            raise InputError(
                f"The {name} has shape {field.shape}, values {float(field.min()):.4g} to {float(field.max()):.4g}.",
                f"The solver needs finite numbers of shape {c.shape}, for coefficient and reaction not below 0.",
                "Check the property maps that were handed over.",
            )


def _check_edges(h: float, reaction: Array | None, lines: Sequence[Exchange], boundary: str, exchange: float | None) -> None:
    """Raise where lines or outer faces cannot be used, or nothing holds the field."""
    for _, conductance, value in lines:
        if not np.isfinite(conductance).all() or not np.isfinite(value).all() or float(np.min(conductance)) < 0.0:
            raise InputError(
                f"A line has a conductance of {float(np.min(conductance)):.4g} and values up to {float(np.max(value)):.4g}.",
                "A line exchanges by finite numbers, its conductance not below 0.",
                "Check the radius of the line and the property of the tissue round it.",
            )
    bad_exchange = exchange is not None and not (math.isfinite(exchange) and exchange >= 0.0)
    if boundary not in ("dirichlet", "neumann", "robin") or bad_exchange or not h > 0.0:
        raise InputError(
            f"Boundary {boundary!r} with exchange {exchange} on voxels of {h} m.",
            "Outer faces are held at 0, closed, or exchange by a number not below 0.",
            "Use dirichlet, neumann or robin, and a voxel edge above 0.",
        )
    closed = boundary == "neumann" or (boundary == "robin" and exchange == 0.0)
    loose = not any(float(np.max(g)) > 0.0 for _, g, _ in lines)
    if closed and loose and (reaction is None or not float(reaction.max()) > 0.0):
        raise InputError(
            "No outer face, line or reaction holds the field anywhere.",
            "Its level is then not defined.",
            "Hold the outer faces (dirichlet or robin), or give a line or a reaction.",
        )
