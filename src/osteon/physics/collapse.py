r"""The load at which a voxel model gives way, by reducing the modulus where a cap on the stress is reached.

.. math:: \sum_e E_e\,h\,K_0(\nu)\,u = 0,\qquad u = \lambda\,u_D \text{ on the supports},\qquad
          E_e = E_{0,e}\,\min\!\left(1,\ \frac{Y_c}{\sigma_1 - \sigma_3},\ \frac{Y_t}{\sigma_1}\right)

with the principal values of the ELASTIC stress :math:`E_0 D \varepsilon` at the element centre. All stress of an element is
scaled by one number, so that both caps hold at once. For each factor :math:`\lambda` this is a fixed point, found on the solver
of elasticity.py; Anderson's mixing only shortens the way to it. Strength reference, section 5.

What it is not: this is deformation theory, a nonlinear elasticity that knows only the present strain. It holds while the load
rises (monotonic), and knows no unloading, no softening, no crack and no contact. Poisson's ratio stays what it is, so a yielding
element still changes its volume, and one that is squeezed from all sides bears more than its cap in each direction. The state at
one factor does not depend on the factors before it: the curve may be coarse without a loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from osteon.errors import InputError
from osteon.physics import collapse_kernels as kernels
from osteon.physics.collapse_steps import CHANGE, Point, Settling, Steps
from osteon.physics.elasticity import Model, Solved, Support, element_stress, solve

Array = np.ndarray[Any, np.dtype[Any]]
Ended = Literal["plateau", "limit", "not_converged", "unconstrained", "stalled", "refused"]
Observe = Callable[[float, float], None]
LINEAR = 1e-6  # tolerance of the linear solution: its stiffness is a result of its own
PLATEAU_SHARE = 0.1  # of the largest factor, over which a plateau is looked for where the caller names no length


@dataclass(frozen=True, eq=False)
class Caps:
    """Stress that an element can bear.

    Parameters
    ----------
    compression_pa : ndarray, shape (z, y, x)
        Cap on the Tresca stress s1 - s3 [Pa]; infinite where nothing yields, 0 in a void. Not read where no element is.
    tension_pa : ndarray, same shape
        Cap on the largest principal stress s1 [Pa]; infinite where there is none.
    """

    compression_pa: Array
    tension_pa: Array


@dataclass(frozen=True, eq=False)
class Linear:
    """The elastic model at factor 1.

    Parameters
    ----------
    linear : float
        Load per factor, in the caller's units; NaN if not solved.
    utilisation : ndarray of float32, shape (z, y, x)
        The larger of (s1 - s3) and s1 over their caps; infinite where a cap of 0 is stressed.
    solved : Solved
        The solution of elasticity.py, and how it ended.
    """

    linear: float
    utilisation: Array
    solved: Solved


@dataclass(frozen=True, eq=False)
class Curve:
    """Load over factor, and the state at failure.

    Parameters
    ----------
    factor, load : ndarray, shape (n,)
        Multiples of the support's given displacement, rising from 0, and the load there: the sum over the supported nodes of
        reaction times given displacement per factor 1 (N for a pattern in metres per metre, N m for one in metres per radian).
    linear : float
        Load per factor of the elastic model.
    failure, failure_factor : float or None
        Load and factor of the plateau, or of the last factor; None where neither was reached, or nothing yielded on the way: then
        the last load is one that is borne, not one of failure.
    ended : {"plateau", "limit", "not_converged", "unconstrained", "stalled", "refused"}
        "limit": the last factor came before a plateau. "not_converged": a fixed point did not settle. "unconstrained" and
        "stalled": as in elasticity.py. "refused": nothing in the model can yield.
    why : str
        What to know about the end.
    share_yielded : ndarray, shape (n,)
        Share of the elements with a finite cap that are at it.
    modulus_pa : ndarray of float32, shape (z, y, x)
        Secant modulus at failure (with ``failure`` None: at the last factor settled, else the elastic one) [Pa].
    stress_pa : ndarray of float32, shape (z, y, x, 6)
        Stress there [Pa], in the order zz, yy, xx, zy, zx, yx.
    utilisation : ndarray of float32, shape (z, y, x)
        Of the elastic model at factor 1 (``Linear``).
    displacement : ndarray, shape (z + 1, y + 1, x + 1, 3)
        Of the nodes there [m].
    linear_solved : Solved
        The elastic solution at factor 1.
    steps, solves, cg_iterations : int
        Factors settled, systems solved and conjugate gradient iterations of all, the elastic solution included.
    worst_residual, worst_imbalance : float
        Largest true residual and defect of equilibrium of the last solutions of all factors.
    """

    factor: Array
    load: Array
    linear: float
    failure: float | None
    failure_factor: float | None
    ended: Ended
    why: str
    share_yielded: Array
    modulus_pa: Array
    stress_pa: Array
    utilisation: Array
    displacement: Array
    linear_solved: Solved
    steps: int
    solves: int
    cg_iterations: int
    worst_residual: float
    worst_imbalance: float


def linear(
    model: Model, caps: Caps, support: Support, *, tolerance: float = LINEAR, start: Array | None = None
) -> Linear:  # fmt: skip
    """Solve the elastic model once, at factor 1.

    Parameters
    ----------
    model : Model
        The cubes.
    caps : Caps
        What they can bear.
    support : Support
        Displacement per factor 1.
    tolerance : float
        Of the true residual.
    start : ndarray, shape (z + 1, y + 1, x + 1, 3), or None
        First guess [m].

    Returns
    -------
    Linear
        Load per factor and utilisation. A linear load over-rates weak models: screening only.

    Raises
    ------
    InputError
        If the caps do not fit the model or are no numbers; else as ``elasticity.solve``.
    """
    _check(model, caps)
    solved = solve(model, support, start=start, tolerance=tolerance)
    if solved.how == "unconstrained":
        return Linear(np.nan, np.zeros(model.modulus_pa.shape, np.float32), solved)
    settling = Settling(model, (caps.compression_pa, caps.tension_pa), support, solved.kept, tolerance)
    load, used = settling.elastic(solved.displacement)
    return Linear(load if solved.how == "converged" else np.nan, used, solved)


def collapse(
    model: Model, caps: Caps, support: Support, *, most_factor: float, steps: int = 12, plateau_growth: float = 0.01,
    plateau_over: float | None = None, start: Curve | None = None, tolerance: float = 1e-4, observe: Observe | None = None,
) -> Curve:  # fmt: skip
    """Raise the factor until the load stays, and return the curve and the state at failure.

    Parameters
    ----------
    model : Model
        The cubes.
    caps : Caps
        What they can bear.
    support : Support
        Displacement per factor 1; all of it is scaled together.
    most_factor : float
        Where the curve ends at the latest.
    steps : int
        Largest number of factors after 0.
    plateau_growth, plateau_over : float
        A plateau: the load has grown by less than this share over this length of factor (None: a tenth of ``most_factor``), or
        over a tenth of the factor where that is longer. The failure load is the largest one then.
    start : Curve or None
        Curve of a similar model on the same grid (other moduli or caps): its displacements are the first guess, and the curve
        leaps to its failure.
    tolerance : float
        Of the true residual at each factor.
    observe : callable or None
        Called with each factor and its load.

    Returns
    -------
    Curve
        The curve, and how it ended.

    Raises
    ------
    InputError
        If the caps do not fit the model or are no numbers, or a number is out of range; else as ``elasticity.solve``.

    Examples
    --------
    >>> mask, given = np.zeros((3, 3, 3, 3), bool), np.zeros((3, 3, 3, 3))
    >>> mask[[0, -1], ..., 0], mask[0, 0, 0], mask[0, 0, -1, 1], given[-1, ..., 0] = True, True, True, -1.0
    >>> cubes = Model(np.full((2, 2, 2), 1e9), 0.3, 1e-3)
    >>> caps = Caps(np.full((2, 2, 2), 5e6), np.full((2, 2, 2), np.inf))
    >>> found = collapse(cubes, caps, Support(mask, given), most_factor=1e-4)
    >>> found.ended, round(found.failure, 3)
    ('plateau', 20.0)
    """
    over = PLATEAU_SHARE * most_factor if plateau_over is None else plateau_over
    _check_numbers(most_factor, steps, plateau_growth, over, tolerance)
    before = None if start is None or start.linear_solved.how == "unconstrained" else start.linear_solved.displacement
    elastic = linear(model, caps, support, tolerance=min(tolerance, LINEAR), start=before)
    solid = elastic.solved.kept
    if elastic.solved.how != "converged":
        return _ended(model, elastic, elastic.solved.how, elastic.solved.why)
    able = solid & (np.isfinite(caps.compression_pa) | np.isfinite(caps.tension_pa))
    if not able.any():
        why = (
            "No element has a finite cap: nothing can yield, and there is no failure load. Give caps where the material has them."
        )
        return _ended(model, elastic, "refused", why)
    settling = Settling(model, (caps.compression_pa, caps.tension_pa), support, solid, tolerance)
    plan = Steps(most_factor, steps, plateau_growth, over, elastic.utilisation[able], _leap(start, most_factor))
    return _follow(model, elastic, settling, plan, start, observe)


def tresca(stress_pa: Array) -> Array:
    """Return the Tresca stress s1 - s3.

    Parameters
    ----------
    stress_pa : ndarray, shape (..., 6)
        Stress [Pa], in the order zz, yy, xx, zy, zx, yx.

    Returns
    -------
    ndarray, shape (...)
        Largest minus smallest principal stress [Pa].

    Raises
    ------
    InputError
        If the last axis does not hold six components.

    Examples
    --------
    >>> tresca(np.array([-3e6, 1e6, 0.0, 0.0, 0.0, 0.0])).round().item()
    4000000.0
    """
    stress = np.ascontiguousarray(stress_pa, np.float64)
    if stress.shape[-1:] != (6,):
        raise InputError(
            f"The stress has shape {stress.shape}.",
            "A stress has six components.",
            "Give them along the last axis: zz yy xx zy zx yx.",
        )
    out = np.zeros(stress.size // 6)
    kernels.tresca(stress.reshape(-1, 6), out)
    return out.reshape(stress.shape[:-1])


def _follow(
    model: Model, elastic: Linear, settling: Settling, plan: Steps, start: Curve | None, observe: Observe | None
) -> Curve:  # fmt: skip
    """Settle one factor after the other."""
    points = [settling.begin(elastic.solved.displacement)]
    while (factor := plan.following(points)) is not None:
        guess = start.displacement / start.factor[-1] if start is not None and plan.leaps(points) else None
        point = settling.settle(factor, points, guess)
        if point.why:
            return _curve(model, elastic, points, settling, ("not_converged", point.why))
        points = [*(p.bare() for p in points[:-1]), points[-1], point]
        if observe is not None:
            observe(point.factor, point.load)
        if plan.flat(points):
            return _curve(model, elastic, points, settling, ("plateau", ""))
    return _curve(model, elastic, points, settling, ("limit", ""))


def _leap(start: Curve | None, most: float) -> float | None:
    """Return the factor to leap to."""
    return None if start is None or start.failure_factor is None else min(start.failure_factor, most)


def _curve(
    model: Model, elastic: Linear, points: list[Point], settling: Settling, end: tuple[Ended, str]
) -> Curve:  # fmt: skip
    """Return the curve with the state at its last factor; at factor 0 the state is that of the elastic model at factor 1."""
    factor, load = (np.array([getattr(p, name) for p in points]) for name in ("factor", "load"))
    ended, why = end
    best = None
    if ended in ("plateau", "limit"):  # the last factor, unless a load before it was larger by more than it is known to
        best = int(np.argmax(load)) if load.max() > (1.0 + CHANGE) * load[-1] else len(load) - 1
    last, solved = points[-1], elastic.solved
    if not last.factor:
        return replace(_ended(model, elastic, ended, why), solves=settling.solves, cg_iterations=settling.iterations)
    if ended == "limit" and not any(p.share for p in points):
        best, why = None, "Nothing yielded up to the last factor: the load there is elastic, and more could be borne."
    displacement = settling.system.nodes(last.displacement)
    modulus = last.modulus * float(model.modulus_pa[solved.kept].max())
    return Curve(
        factor=factor, load=load, linear=elastic.linear, failure=None if best is None else float(load[best]),
        failure_factor=None if best is None else float(factor[best]), ended=ended, why=why,
        share_yielded=np.array([p.share for p in points]), modulus_pa=modulus.astype(np.float32),
        stress_pa=element_stress(Model(modulus, model.poisson, model.spacing_m), displacement), utilisation=elastic.utilisation,
        displacement=displacement, linear_solved=solved, steps=len(points) - 1, solves=settling.solves + 1,
        cg_iterations=settling.iterations + solved.iterations, worst_residual=max(solved.residual, *(p.residual for p in points)),
        worst_imbalance=max(solved.imbalance, *(p.imbalance for p in points)),
    )  # fmt: skip


def _ended(model: Model, elastic: Linear, ended: Ended, why: str) -> Curve:
    """Return a curve of nothing but the elastic solution."""
    solved, nothing = elastic.solved, np.zeros(1)
    return Curve(
        factor=nothing, load=nothing, linear=elastic.linear, failure=None, failure_factor=None, ended=ended, why=why,
        share_yielded=nothing, modulus_pa=model.modulus_pa.astype(np.float32),
        stress_pa=element_stress(model, solved.displacement), utilisation=elastic.utilisation, displacement=solved.displacement,
        linear_solved=solved, steps=0, solves=1, cg_iterations=solved.iterations, worst_residual=solved.residual,
        worst_imbalance=solved.imbalance,
    )  # fmt: skip


def _check(model: Model, caps: Caps) -> None:
    """Refuse caps that do not fit the model."""
    solid = np.asarray(model.modulus_pa) > 0.0
    for name, cap in (("compression", caps.compression_pa), ("tension", caps.tension_pa)):
        if cap.shape != solid.shape:
            raise InputError(
                f"The {name} cap has shape {cap.shape}, the modulus {solid.shape}.",
                "Elements would be given the strength of others.",
                "Give one cap per element.",
            )
        wrong = solid & ~(cap >= 0.0)
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise InputError(
                f"{int(wrong.sum())} elements have a {name} cap that is negative or no number, the first at z, y, x {place}.",
                "The failure load would be no number or a wrong one.",
                "Give pascals: 0 for a void, infinity where nothing yields.",
            )


def _check_numbers(most: float, steps: int, growth: float, over: float, tolerance: float) -> None:
    """Refuse numbers out of range."""
    given = {"most_factor": most, "plateau_growth": growth, "plateau_over": over, "tolerance": tolerance}
    for name, value in given.items():
        if not (value > 0.0 and np.isfinite(value)):
            raise InputError(
                f"{name} is {value}.", "The curve could not be followed.", f"Give {name} as a finite number above 0."
            )
    if steps < 3:
        raise InputError(f"steps is {steps}.", "A plateau needs three factors to be seen.", "Give at least 3.")
