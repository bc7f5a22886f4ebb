"""The march of elasticity.py: conjugate gradients over the multigrid cycle, judged by the true residual and the equilibrium."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.physics import elasticity_kernels as kernels
from osteon.physics import elasticity_stiffness_kernels as stiffness_kernels
from osteon.physics.elasticity_levels import Cycle, mode_constants

if TYPE_CHECKING:
    from osteon.physics.elasticity import Model

Array = np.ndarray[Any, np.dtype[Any]]
Observe = Callable[[int, float], None]
Reach = Callable[[float], float]
RESTARTS = 6  # recursion and true residual drift apart at high contrast; so often CG begins anew
BALANCE = 10.0  # times the tolerance: imbalance of the reactions above which a small residual is not believed
UNSETTLED = 0.1  # times the share of the energy that the last step has changed: counts like an imbalance
NO_FORCE = 1e-7  # of the forces that would move the supports alone: reactions below it are none


class System:
    """The stiffness over ``unit`` [N/m], and its preconditioner. Flat vectors are laid out (z, y, component, x)."""

    def __init__(self, model: Model, kept: Array, mask: Array) -> None:
        modulus = np.where(kept, model.modulus_pa, 0.0).astype(np.float64)
        largest = float(modulus.max())
        self.unit = largest * model.spacing_m
        self.modulus = np.ascontiguousarray(modulus / largest)
        self.shape = tuple(mask.shape[:3])
        self.size = mask.size
        self.n = np.array(kept.shape, np.int64)
        fixed = np.ascontiguousarray(np.moveaxis(mask, 3, 2))
        self.fixed = fixed.reshape(-1)
        self.held = np.flatnonzero(self.fixed)
        self.cycle = Cycle(self.modulus.astype(np.float32), fixed, model.poisson)
        self.inverse = self.cycle.levels[0].inverse  # 0 where nothing moves
        self.active = (self.inverse > 0.0) | self.fixed
        self.rows, self.spans = self.cycle.levels[0].rows, self.cycle.levels[0].spans
        self.constants = mode_constants(model.poisson)
        self.sums = np.zeros(self.shape[0])
        self.floor = (0.0, 0.0)

    def flat(self, nodes: Array) -> Array:
        """Return (z, y, x, 3) as a flat vector, a copy."""
        return np.array(np.moveaxis(np.asarray(nodes, np.float64), 3, 2), order="C").reshape(-1)

    def nodes(self, flat: Array) -> Array:
        """Return a flat vector as (z, y, x, 3)."""
        nz, ny, nx = self.shape
        return np.ascontiguousarray(np.moveaxis(flat.reshape(nz, ny, 3, nx), 2, 3))

    def apply(self, u: Array, y: Array) -> None:
        """Write K u to y, supports included."""
        stiffness_kernels.apply(u, y, self.modulus.reshape(-1), self.rows, self.spans, self.constants, self.n)

    def imbalance(self, u: Array, y: Array, b: Array) -> float:
        """Return the defect of equilibrium, y = K u: of the forces' sum over their magnitudes, or of their work, the larger.

        Where all supports move as one there are no reactions but rounding: ``floor`` [force, work] stands in for them.
        """
        at = np.flatnonzero(self.fixed | (b != 0.0)) if b.any() else self.held
        pull = b[at]
        outer = np.where(self.fixed[at], y[at], pull)  # what the outside does: reactions y - b and forces b
        size = max(float(np.abs(outer - pull).sum() + np.abs(pull).sum()), self.floor[0])
        rest = max(abs(float(outer[at // self.shape[2] % 3 == c].sum())) for c in range(3))
        twice_energy = self.dot(u, y)
        work = abs(twice_energy - float((u[at] * outer).sum())) / max(abs(twice_energy), self.floor[1], 1e-300)
        return max(rest / size if size > 0.0 else 0.0, work)

    def dot(self, a: Array, b: Array) -> float:
        """Return a . b, plane by plane: in one order, whatever the number of threads."""
        kernels.dot(a, b, self.sums, self.spans)
        return float(self.sums.sum())


def march(
    system: System, u: Array, y: Array, b: Array, given: Array, tolerance: float | Reach, most: int, observe: Observe | None,
    allowed: float = BALANCE,
) -> tuple[int, float, float]:  # fmt: skip
    """Run conjugate gradients until the true residual is small; u in place, y becomes K u.

    The tolerance may be told by the first residual. ``allowed`` times it is the imbalance above which a small residual is not
    believed. Return iterations, residual and imbalance.
    """
    r = np.zeros(system.size)
    system.apply(given, r)
    least = NO_FORCE * float(np.abs(r).sum())
    system.floor = (least, least * float(np.abs(given).max()))
    kernels.defect(r, b, system.inverse, system.spans)
    size = math.sqrt(system.dot(r, r))
    iterations, before, wanted, goal, step = 0, math.inf, math.inf, math.inf, 0.0
    for tries in range(RESTARTS + 1):
        system.apply(u, y)
        imbalance = system.imbalance(u, y, b)
        if size == 0.0:  # the supports alone decide
            return 0, 0.0, imbalance
        r[:] = y
        kernels.defect(r, b, system.inverse, system.spans)
        residual = math.sqrt(system.dot(r, r)) / size
        if not tries:
            wanted = goal = tolerance(residual) if callable(tolerance) else tolerance
        unsettled = UNSETTLED * step / max(abs(system.dot(u, y)), system.floor[1], 1e-300)
        balance = allowed * wanted / max(imbalance, unsettled, 1e-300)
        if (residual <= wanted and balance >= 1.0) or iterations >= most or not residual < before or tries == RESTARTS:
            break
        if residual <= goal:  # a stiff plate hides the forces of soft bone in its residual; their equilibrium does not
            goal *= min(0.3, max(0.01, 0.5 * balance))
        before = residual if iterations else math.inf
        count, step = _conjugate_gradients(system, u, r, goal * size, size, (iterations, most), observe)
        iterations += count
    return iterations, residual, imbalance


def _conjugate_gradients(
    system: System, u: Array, r: Array, goal: float, size: float, done: tuple[int, int], observe: Observe | None
) -> tuple[int, float]:
    """Conjugate gradients until the recursion is below 0.9 of the goal; u and r in place.

    Return their number and twice the energy that the last one has changed (0 where one alone sufficed: the cycle was exact).
    """
    fine = system.cycle.levels[0]
    p, q = np.zeros(system.size), np.zeros(system.size)
    norm = math.sqrt(system.dot(r, r))
    scale, before, count, step = 1.0 / norm, 0.0, 0, 0.0
    fine.f[:] = r * scale
    while done[0] + count < done[1]:
        z = system.cycle.run()
        rz = system.dot(r, z)
        if not rz > 0.0:
            break
        kernels.turn(p, z, 0.0 if count == 0 else rz / before, system.spans)
        before = rz
        system.apply(p, q)
        curvature = system.dot(p, q)
        if not curvature > 0.0:
            break
        kernels.advance(u, r, p, q, system.inverse, rz / curvature, scale, fine.f, system.sums, system.spans)
        norm, count, step = math.sqrt(float(system.sums.sum())), count + 1, (rz / curvature) * rz
        if observe is not None:
            observe(done[0] + count, norm / size)
        if norm <= 0.9 * goal or not math.isfinite(norm):
            break
        # float32 must hold the residual: begin the scale anew where it has become small
        if norm * scale < 1e-3:
            fine.f *= np.float32(1.0 / (norm * scale))
            scale = 1.0 / norm
    return count, step if count > 1 else 0.0
