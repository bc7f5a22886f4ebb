r"""Linear elasticity of voxels: one cube of eight nodes an element, no matrix.

.. math:: \sum_e E_e\,h\,K_0(\nu)\,u = f,\qquad u = u_D \text{ on the supports}

Conjugate gradients in float64 over one multigrid cycle in float32 (elasticity_levels.py). The true residual and the equilibrium
of all reactions judge the end, never the recursion. Strength reference, section 4; van Rietbergen et al., J Biomech
1995;28:69 (voxels element by element); Adams et al., J Comput Phys 2003;188:593 (Chebyshev smoothing).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from osteon.errors import InputError
from osteon.physics import elasticity_kernels as kernels
from osteon.physics.elasticity_bodies import Bodies, Island, find_bodies
from osteon.physics.elasticity_checks import check
from osteon.physics.elasticity_levels import elasticity_matrix, few_threads
from osteon.physics.elasticity_march import BALANCE, Observe, System, march

Array = np.ndarray[Any, np.dtype[Any]]
How = Literal["converged", "stalled", "unconstrained"]
COMPONENTS = ("zz", "yy", "xx", "zy", "zx", "yx")


@dataclass(frozen=True, eq=False)
class Model:
    """Cubes of isotropic material.

    Parameters
    ----------
    modulus_pa : ndarray, shape (z, y, x)
        Young's modulus [Pa]; 0: no element.
    poisson : float
        Poisson's ratio, above -1 and below 0.5. Near 0.5 these elements are too stiff.
    spacing_m : float
        Edge of a voxel [m].
    """

    modulus_pa: Array
    poisson: float
    spacing_m: float


@dataclass(frozen=True, eq=False)
class Support:
    """Where the displacement of nodes is given.

    Parameters
    ----------
    mask : ndarray of bool, shape (z + 1, y + 1, x + 1, 3)
        Which displacement is prescribed, in the order z, y, x. Nodes without an element are passed over.
    displacement_m : ndarray, same shape
        The displacement there [m]; not read elsewhere.
    """

    mask: Array
    displacement_m: Array


@dataclass(frozen=True, eq=False)
class Solved:
    """A displacement and how it ended.

    Parameters
    ----------
    displacement : ndarray of float64, shape (z + 1, y + 1, x + 1, 3)
        In the order z, y, x [m]; 0 at nodes of no element that took part, NaN everywhere when unconstrained.
    iterations : int
        Of the conjugate gradients.
    residual : float
        True residual over the right-hand side that the supports and forces make, 2-norms.
    reaction_n : tuple of float
        Force of the supports on the model [N] per axis z, y, x, over the nodes that were moved (if none was: over all supports).
    imbalance : float
        The larger of: sum of all reactions and forces over that of their magnitudes; rest of their work over the work.
    energy_j : float
        Elastic energy [J].
    how : {"converged", "stalled", "unconstrained"}
        "stalled": residual or imbalance too large, the numbers must not be used. "unconstrained": rigid motions are left.
    why : str
        What to know about an end that is not "converged"; else empty.
    dropped : tuple of Island
        Pieces that no support holds and nothing loads, largest first.
    kept : ndarray of bool, shape (z, y, x)
        The elements that took part.
    """

    displacement: Array
    iterations: int
    residual: float
    reaction_n: tuple[float, float, float]
    imbalance: float
    energy_j: float
    how: How
    why: str
    dropped: tuple[Island, ...]
    kept: Array


def solve(
    model: Model, support: Support, *, forces: Array | None = None, start: Array | None = None, tolerance: float = 1e-6,
    most: int = 500, observe: Observe | None = None,
) -> Solved:  # fmt: skip
    """Solve the equilibrium of a voxel model.

    Parameters
    ----------
    model : Model
        The cubes.
    support : Support
        Prescribed displacements.
    forces : ndarray, shape (z + 1, y + 1, x + 1, 3), or None
        Forces on the nodes [N].
    start : ndarray, shape (z + 1, y + 1, x + 1, 3), or None
        First guess [m], for instance the result of a similar model.
    tolerance : float
        Of the true residual over the right-hand side.
    most : int
        Largest number of iterations; then ``how`` says "stalled".
    observe : callable or None
        Called with the number of iterations and the relative residual of the recursion.

    Returns
    -------
    Solved
        The displacement and how it ended.

    Raises
    ------
    InputError
        If an array has the wrong shape or is no number, a modulus is negative, a force pulls at a node without element, or
        nothing loads the model.

    Examples
    --------
    >>> mask, given = np.zeros((3, 3, 3, 3), bool), np.zeros((3, 3, 3, 3))
    >>> mask[0], mask[-1], given[-1, ..., 0] = True, True, -1e-6
    >>> found = solve(Model(np.full((2, 2, 2), 1e9), 0.3, 1e-3), Support(mask, given))
    >>> found.how, found.reaction_n[0] < 0.0
    ('converged', True)
    """
    check(model, support, forces, start, tolerance)
    solid = model.modulus_pa > 0.0
    mask = np.asarray(support.mask, bool) & nodes_of(solid)[..., None]
    pull = np.zeros(mask.shape, bool) if forces is None else np.asarray(forces) != 0.0
    if (pull & ~nodes_of(solid)[..., None]).any():
        raise InputError(
            f"{int((pull & ~nodes_of(solid)[..., None]).any(-1).sum())} loaded nodes have no element.",
            "A force on nothing would be lost, and the result would belong to a smaller load.",
            "Move the forces to nodes of elements.",
        )
    given = np.where(mask, support.displacement_m, 0.0)
    bodies = find_bodies(solid, mask, given, pull)
    moves = bool(given.any())
    mask &= nodes_of(bodies.kept)[..., None]
    given[~mask] = 0.0
    if bodies.loose or (moves and not given.any() and not pull.any()):
        return _unconstrained(mask.shape, bodies)
    if not moves and not pull.any():
        raise InputError(
            "No support moves an element and no force pulls at one.",
            "The answer would be zero everywhere, which says nothing about the model.",
            "Check where the moved plate lies, and its displacement.",
        )
    system = System(model, bodies.kept, mask)
    b = np.zeros(system.size) if forces is None else system.flat(forces) / system.unit
    u = system.flat(given)
    if start is not None:
        u = np.where(system.fixed, u, np.where(system.active, system.flat(start), 0.0))
    with few_threads(system.size):
        y = np.zeros(system.size)
        end = march(system, u, y, b, system.flat(given), float(tolerance), most, observe)
        return _conclude(system, u, y, b, bodies, given, end, tolerance)


def nodes_of(elements: Array) -> Array:
    """Return the nodes of elements: bool, one longer than ``elements`` along each axis."""
    nodes = np.zeros([n + 1 for n in elements.shape], bool)
    ends = (slice(0, -1), slice(1, None))
    for z in ends:
        for y in ends:
            for x in ends:
                nodes[z, y, x] |= elements
    return nodes


def _conclude(
    system: System, u: Array, y: Array, b: Array, bodies: Bodies, given: Array, end: tuple[int, float, float], tolerance: float
) -> Solved:
    """Return the result with reactions, equilibrium and energy, and judge it; y = K u."""
    iterations, residual, imbalance = end
    energy = 0.5 * system.dot(u, y) * system.unit
    y -= b
    reaction = system.nodes(np.where(system.fixed, y, 0.0)) * system.unit
    moved = (given != 0.0).any(-1)
    total = reaction[moved].sum(0) if moved.any() else reaction.sum((0, 1, 2))
    limit = BALANCE * tolerance
    good = residual <= tolerance and imbalance <= limit and math.isfinite(energy)
    ends = (
        f"true residual {residual:.2e} (asked {tolerance:.0e}), imbalance of the reactions {imbalance:.2e} (at most {limit:.0e})"
    )
    why = "" if good else f"Not solved after {iterations} iterations: {ends}. Ask for more, or look for what is almost loose."
    how: How = "converged" if good else "stalled"
    axes = (float(total[0]), float(total[1]), float(total[2]))
    return Solved(system.nodes(u), iterations, residual, axes, imbalance, energy, how, why, bodies.dropped, bodies.kept)


def _unconstrained(shape: tuple[int, ...], bodies: Bodies) -> Solved:
    """Return the named end of a model that can move as a whole."""
    nan = math.nan
    loose = bodies.loose or "the moved support touches only pieces that move freely with it"
    why = f"Rigid motions are left: {loose}. Fix more nodes, or take the loose piece out."
    return Solved(np.full(shape, nan), 0, nan, (nan, nan, nan), nan, nan, "unconstrained", why, bodies.dropped, bodies.kept)


def element_strain(model: Model, displacement: Array) -> Array:
    """Return the strain at the element centres.

    Parameters
    ----------
    model : Model
        The cubes.
    displacement : ndarray, shape (z + 1, y + 1, x + 1, 3)
        Of the nodes [m].

    Returns
    -------
    ndarray of float32, shape (z, y, x, 6)
        zz, yy, xx, zy, zx, yx [1]; shears as engineering shears, 0 where no element is.

    Raises
    ------
    InputError
        If the displacement has the wrong shape.
    """
    expected = (*(n + 1 for n in model.modulus_pa.shape), 3)
    if displacement.shape != expected:
        raise InputError(
            f"The displacement has shape {displacement.shape}, the nodes have {expected}.",
            "Strain would be read at the wrong nodes.",
            "Give the displacement of the same model.",
        )
    out = np.zeros((*model.modulus_pa.shape, 6), np.float32)
    nodes = np.ascontiguousarray(displacement, np.float64)
    kernels.centre_strain(np.ascontiguousarray(model.modulus_pa, np.float64), nodes, float(model.spacing_m), out)
    return out


def element_stress(model: Model, displacement: Array) -> Array:
    """Return the stress at the element centres.

    Parameters
    ----------
    model : Model
        The cubes.
    displacement : ndarray, shape (z + 1, y + 1, x + 1, 3)
        Of the nodes [m].

    Returns
    -------
    ndarray of float32, shape (z, y, x, 6)
        zz, yy, xx, zy, zx, yx [Pa]; 0 where no element is.

    Raises
    ------
    InputError
        If the displacement has the wrong shape.
    """
    stress = element_strain(model, displacement) @ elasticity_matrix(model.poisson).astype(np.float32)
    stress *= np.asarray(model.modulus_pa, np.float32)[..., None]
    return np.asarray(stress, np.float32)
