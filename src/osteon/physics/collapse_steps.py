"""The fixed point at one factor, and the choice of factors, of collapse.py."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from osteon.physics import collapse_kernels as kernels
from osteon.physics.elasticity import Model, Support
from osteon.physics.elasticity_levels import Cycle, elasticity_matrix, few_threads
from osteon.physics.elasticity_march import BALANCE, Reach, System, march

Array = np.ndarray[Any, np.dtype[Any]]
CHANGE = 0.003  # of the load between solutions, and misfit of the moduli (energy-weighted): below both a factor has settled
AT_ONCE = 0.1  # of CHANGE: a misfit that needs no second solution
DEPTH = 5  # differences that Anderson's mixing combines
RIDGE = 1e-10  # on its normal equations, relative
MOST = 60  # solutions at one factor
LOOSE = 0.1  # of its first residual, to which a solution goes that the next modulus will overtake
LOOSEST, TIGHTEST = 0.03, 0.01  # largest tolerance of such a solution, and smallest one over the tolerance asked
HASTY = 10.0 * BALANCE  # times its tolerance: imbalance of such a solution above which it goes on
FLOOR = 1e-6  # of the largest modulus: no element is reduced below it, so that nothing becomes singular
ITERATIONS = 500  # of the conjugate gradients, per solution
FIRST = 99.0  # percentile of the utilisation that reaches its cap at the first factor
GROWTH = 1.35  # of the factor from one to the next, away from a plateau
NEAR = 5.0  # times the growth of a plateau: below it the steps are as short as the length over which one is looked for
SHARE = 0.1  # of the factor: a plateau is never looked for over less, or the slow rise of a long elastic bar would be one


@dataclass(frozen=True, eq=False)
class Point:
    """One factor of the curve.

    The displacement is flat, in the layout of ``System``, and the modulus is over the largest; ``share`` is that of the yielded
    elements, ``why`` is empty where the factor settled.
    """

    factor: float
    load: float
    displacement: Array
    modulus: Array
    share: float = 0.0
    residual: float = 0.0
    imbalance: float = 0.0
    why: str = ""

    def bare(self) -> Point:
        """Return the point without its fields."""
        return replace(self, displacement=np.zeros(0), modulus=np.zeros(0))


class Settling:
    """The fixed point of modulus and displacement at one factor."""

    def __init__(self, model: Model, caps: tuple[Array, Array], support: Support, kept: Array, tolerance: float) -> None:
        nodes = np.zeros([n + 1 for n in kept.shape], bool)
        for corner in range(8):
            at = tuple(slice(b, n + b) for b, n in zip((corner >> 2, corner >> 1 & 1, corner & 1), kept.shape, strict=True))
            nodes[at] |= kept
        mask = np.asarray(support.mask, bool) & nodes[..., None]
        self.system = System(model, kept, mask)
        self.mask = np.ascontiguousarray(np.moveaxis(mask, 3, 2))
        pattern = self.system.flat(np.where(mask, support.displacement_m, 0.0))
        self.moved = np.flatnonzero(pattern)  # whole vectors are dear where the box is far larger than the model
        self.pattern = pattern[self.moved]
        self.elastic_modulus = self.system.modulus  # over the largest
        self.lowest = np.minimum(self.elastic_modulus, FLOOR)
        self.pascals = np.ascontiguousarray(np.where(kept, model.modulus_pa, 0.0), np.float64)
        self.caps = tuple(np.ascontiguousarray(cap, np.float64) for cap in caps)
        self.able = np.flatnonzero(kept & np.isfinite(np.minimum(*self.caps)))
        self.poisson, self.spacing_m, self.tolerance = model.poisson, float(model.spacing_m), tolerance
        self.direction = np.zeros(0)
        self.solves, self.iterations, self.reached = 0, 0, tolerance

    def begin(self, displacement: Array) -> Point:
        """Return factor 0; the elastic ``displacement`` at factor 1 is the direction of the first guess."""
        self.direction = self.system.flat(displacement)
        return Point(0.0, 0.0, np.zeros(0), self.elastic_modulus)

    def utilisation(self, u: Array) -> tuple[Array, Array]:
        """Return the elastic stress over the caps, and twice the energy density over the modulus."""
        matrix, out, energy = elasticity_matrix(self.poisson), np.zeros(self.pascals.shape), np.zeros(self.pascals.shape)
        first, shear = float(matrix[0, 1]), float(matrix[3, 3])
        kernels.utilisation(self.pascals, u, self.spacing_m, first, shear, *self.caps, self.system.n, out, energy)
        return out, energy

    def elastic(self, displacement: Array) -> tuple[float, Array]:
        """Return the load of the elastic model and its utilisation (float32, infinite at a stressed cap of 0)."""
        u, y = self.system.flat(displacement), np.zeros(self.system.size)
        with few_threads(self.system.size):
            self.system.apply(u, y)
            used = self.utilisation(u)[0]
            load = self._load(y)
        return load, np.where(used < kernels.HUGE, used, np.inf).astype(np.float32)

    def settle(self, factor: float, points: list[Point], guess: Array | None) -> Point:
        """Return the state at a factor.

        Parameters
        ----------
        factor : float
            Of the pattern.
        points : list of Point
            The factors before it; the last two lead the first guess.
        guess : ndarray, shape (z + 1, y + 1, x + 1, 3), or None
            Displacement per factor of a similar model, taken instead.

        Returns
        -------
        Point
            With ``why`` where it did not settle.
        """
        u = self._first(factor, points) if guess is None else factor * self.system.flat(guess)
        u[self.system.held] = 0.0
        u[~self.system.active] = 0.0
        u[self.moved] = factor * self.pattern
        self.direction = np.zeros(0)
        with few_threads(self.system.size):
            return self._settle(factor, u)

    def _settle(self, factor: float, u: Array) -> Point:
        """Solve and reduce in turn until moduli and stresses agree."""
        given, loads = np.zeros(self.system.size), [np.inf]
        given[self.moved] = factor * self.pattern
        highest, lowest = (np.log(m.reshape(-1)[self.able]) for m in (self.elastic_modulus, self.lowest))
        mixing, x = Mixing(lowest, highest), self._wanted(self.utilisation(u)[0])
        b, y = np.zeros(self.system.size), np.zeros(self.system.size)
        for _ in range(MOST):
            modulus = self._take(x)
            residual, imbalance = self._march(u, y, b, given, self._reach, HASTY)
            self.solves += 1
            loads.append(self._load(y))
            used, step, weight, misfit = self._judge(u, x, modulus)
            if _small(misfit, loads):  # what is kept is solved with more care
                residual, imbalance = self._march(u, y, b, given, min(self.reached, self.tolerance), BALANCE)
                loads[-1] = self._load(y)
                used, step, weight, misfit = self._judge(u, x, modulus)
            point = Point(factor, loads[-1], u, modulus, self._share(used), residual, imbalance)
            if _small(misfit, loads) and self._balanced(residual, imbalance):
                return point
            x = mixing.following(x, step, weight, misfit)
        why = (
            f"At factor {factor:.4g} moduli and stresses still differ by {misfit:.1%} of the energy after {MOST} solutions "
            f"(residual {residual:.1e}, imbalance {imbalance:.1e}). Look for elements whose caps are far below their neighbours'."
        )
        return replace(point, why=why)

    def _judge(self, u: Array, x: Array, modulus: Array) -> tuple[Array, Array, Array, float]:
        """Return utilisation, the step of x that the caps ask for, its weight, and the misfit: the step's share of the energy."""
        used, energy = self.utilisation(u)
        step, weight = self._wanted(used) - x, np.exp(x) * energy.reshape(-1)[self.able]
        all_energy = float((modulus * energy).sum())
        misfit = float((weight * np.abs(np.expm1(step))).sum()) / all_energy if all_energy > 0.0 else 0.0
        return used, step, weight, misfit

    def _balanced(self, residual: float, imbalance: float) -> bool:
        return residual <= self.tolerance and imbalance <= BALANCE * self.tolerance

    def _first(self, factor: float, points: list[Point]) -> Array:
        """Return the first guess: along the last two factors, else along the elastic direction."""
        last, before = points[-1], points[-2] if len(points) > 1 else points[-1]
        if not last.displacement.size:
            return factor * self.direction
        if not before.displacement.size:
            return np.asarray(last.displacement * (factor / last.factor))
        ahead = (factor - last.factor) / (last.factor - before.factor)
        return last.displacement + ahead * (last.displacement - before.displacement)

    def _wanted(self, used: Array) -> Array:
        """Return the logarithm of the moduli that bring the elastic stress to its caps, of the elements that can yield."""
        elastic, low = (m.reshape(-1)[self.able] for m in (self.elastic_modulus, self.lowest))
        return np.asarray(np.log(np.maximum(elastic / np.maximum(used.reshape(-1)[self.able], 1.0), low)))

    def _share(self, used: Array) -> float:
        """Return the share of the elements with a finite cap that are at it."""
        return float((used.reshape(-1)[self.able] >= 1.0).mean()) if self.able.size else 0.0

    def _take(self, x: Array) -> Array:
        """Give the system the moduli of these logarithms; return them."""
        system, modulus = self.system, self.elastic_modulus.copy()
        modulus.reshape(-1)[self.able] = np.exp(x)
        system.modulus = modulus
        system.cycle = Cycle(modulus.astype(np.float32), self.mask, self.poisson)
        system.inverse = system.cycle.levels[0].inverse
        return modulus

    def _march(self, u: Array, y: Array, b: Array, given: Array, reach: float | Reach, allowed: float) -> tuple[float, float]:
        """Solve with the present modulus, u in place, y = K u; return true residual and imbalance."""
        iterations, residual, imbalance = march(self.system, u, y, b, given, reach, ITERATIONS, None, allowed)
        self.iterations += iterations
        return residual, imbalance

    def _reach(self, first: float) -> float:
        """Return the tolerance of a solution that the next modulus will overtake, from its first residual."""
        self.reached = max(TIGHTEST * self.tolerance, min(LOOSEST, LOOSE * first))
        return self.reached

    def _load(self, y: Array) -> float:
        """Return the load from y = K u: reactions times pattern."""
        return float((y[self.moved] * self.pattern).sum()) * self.system.unit


def _small(misfit: float, loads: list[float]) -> bool:
    """Tell whether moduli and stresses agree, and the load hardly moved."""
    change = abs(loads[-1] - loads[-2]) / max(abs(loads[-1]), 1e-300)
    return misfit < AT_ONCE * CHANGE or (misfit < CHANGE and change < CHANGE)


class Mixing:
    """Anderson's mixing of a fixed point x = x + step: the combination of the last steps that is smallest, taken once more.

    Anderson, J ACM 1965;12:547; Walker and Ni, SIAM J Numer Anal 2011;49:1715. Only the way to the fixed point changes, not the
    fixed point, which is judged by the misfit of the plain step. Where that grows the past is forgotten and half a step taken.
    """

    def __init__(self, lowest: Array, highest: Array) -> None:
        self.lowest, self.highest = lowest, highest
        self.past: list[tuple[Array, Array]] = []
        self.differences: list[tuple[Array, Array]] = []
        self.misfit = np.inf

    def following(self, x: Array, step: Array, weight: Array, misfit: float) -> Array:
        """Return the next x; ``weight`` is that of an element in the size of a step."""
        grew, self.misfit = misfit > self.misfit, misfit
        if grew:
            self.past, self.differences = [], []
        if self.past:
            before = self.past[0]
            self.differences = [*self.differences, (x - before[0], step - before[1])][-DEPTH:]
        self.past = [(x, step)]
        ahead = x + (0.5 * step if grew else step)
        if self.differences:
            steps = [d[1] for d in self.differences]
            weighted = [weight * s for s in steps]  # sums, not products of matrices: those depend on the number of threads
            matrix = np.array([[float((w * s).sum()) for s in steps] for w in weighted])
            matrix += RIDGE * np.trace(matrix) * np.eye(len(steps)) + 1e-300 * np.eye(len(steps))
            share = np.linalg.solve(matrix, [float((w * step).sum()) for w in weighted])
            for c, (dx, ds) in zip(share, self.differences, strict=True):
                ahead -= c * (dx + ds)
        return np.clip(ahead, self.lowest, self.highest)


class Steps:
    """Which factor comes next, and whether the load stays."""

    def __init__(self, most: float, steps: int, growth: float, over: float, used: Array, leap: float | None) -> None:
        self.most, self.steps, self.growth, self.over = most, steps, growth, over
        high = float(np.percentile(used[np.isfinite(used)], FIRST)) if np.isfinite(used).any() else 0.0
        self.first = min(most, 1.0 / high) if high > 0.0 else most
        self.leap = leap

    def following(self, points: list[Point]) -> float | None:
        """Return the next factor, None at the end."""
        last, left = points[-1], self.steps - len(points) + 1
        if last.factor >= self.most or left <= 0:
            return None
        if left == 1:
            return self.most
        if len(points) == 1:
            return self.first
        if self.leap is not None and last.factor < self.leap:
            before_leap = self.leap - self._length(self.leap)
            return before_leap if last.factor < before_leap else self.leap
        ahead = last.factor * max(GROWTH, (self.most / last.factor) ** (1.0 / left))
        before = points[-2]
        over = self._length(last.factor)
        slope = (last.load - before.load) / (last.factor - before.factor) * over / max(abs(last.load), 1e-300)
        if len(points) > 2 and slope < NEAR * self.growth:
            ahead = min(ahead, last.factor + over)
        return self.most if ahead > self.most * (1.0 - 1e-9) else ahead

    def leaps(self, points: list[Point]) -> bool:
        """Return whether the next factor is the first that another curve leads to."""
        return self.leap is not None and len(points) == 2 and points[-1].factor < self.leap

    def flat(self, points: list[Point]) -> bool:
        """Return whether the load has grown by less than ``growth`` over the last ``over`` of factor, or a tenth of the factor.

        Between the factors the curve is taken as straight; it bends down, so that a plateau is found rather too late.
        """
        from_factor = points[-1].factor - self._length(points[-1].factor)
        if from_factor <= 0.0 or len(points) < 3:
            return False
        load = [p.load for p in points]
        before = float(np.interp(from_factor, [p.factor for p in points], load))
        return load[-1] - before < self.growth * abs(load[-1])

    def _length(self, factor: float) -> float:
        """Return the length of factor over which a plateau is looked for."""
        return max(self.over, SHARE * factor)
