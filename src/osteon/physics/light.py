r"""Light in tissue by the diffusion approximation, on a voxel grid.

.. math:: -\nabla\cdot(D\,\nabla\varphi) + \mu_a\,\varphi = S, \qquad D = \frac{1}{3(\mu_a + \mu_s')}

The fluence rate :math:`\varphi` [W/m²] is what heats: :math:`Q = \mu_a\varphi`. At an edge light leaves by Marshak's condition
:math:`-D\,\partial_n\varphi = \varphi / (2A)`, A = 1 where the same tissue goes on (the edge of the box), larger towards air,
from which a part is reflected back (Groenhuis 1983). The law fails within one transport length of a source, and where absorption
is not small beside scattering. Ishimaru, Wave Propagation and Scattering in Random Media, 1978; Jacques, Phys Med Biol
2013;58:R37.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from osteon.errors import InputError, NumericalError
from osteon.space.shapes import ScalarField

Array = np.ndarray[Any, np.dtype[Any]]
TOLERANCE = 1e-8  # of the linear solve: what was absorbed then balances to 1e-6 of what was emitted
HELD_PER_M = 1.0  # keeps the equation of a voxel without light solvable; no light reaches it


class Solved(Protocol):
    """What a linear solver answers (``physics.multigrid.Solved``)."""

    @property
    def u(self) -> Array:
        """The solution."""
        ...

    @property
    def iterations(self) -> int:
        """Steps done."""
        ...

    @property
    def residual(self) -> float:
        """Relative residual."""
        ...


Solve = Callable[..., Solved]


@dataclass(frozen=True, eq=False)
class Light:
    """Where the light of a source goes.

    Parameters
    ----------
    fluence_w_m2 : ndarray
        Fluence rate, shape (z, y, x).
    heat_w_m3 : ndarray
        What is absorbed.
    emitted_w, absorbed_w, escaped_w : float
        Put in; turned into heat; gone through the edge of the box, into air, or into what was given as ``outside``.
    balance : float
        abs(emitted - absorbed - escaped) / emitted.
    iterations : int
        Of the linear solver.
    residual : float
        Its relative residual.
    """

    fluence_w_m2: ScalarField
    heat_w_m3: ScalarField
    emitted_w: float
    absorbed_w: float
    escaped_w: float
    balance: float
    iterations: int
    residual: float


def diffusion_m(absorption_per_m: Array, reduced_scattering_per_m: Array) -> Array:
    r"""Return :math:`D = 1 / (3(\mu_a + \mu_s'))` [m]."""
    return np.asarray(1.0 / (3.0 * (absorption_per_m + reduced_scattering_per_m)))


def effective_attenuation_per_m(absorption_per_m: float, reduced_scattering_per_m: float) -> float:
    r"""Return :math:`\mu_{eff} = \sqrt{3\mu_a(\mu_a + \mu_s')}` [1/m].

    Examples
    --------
    >>> round(effective_attenuation_per_m(50.0, 1000.0), 1)
    396.9
    """
    return math.sqrt(3.0 * absorption_per_m * (absorption_per_m + reduced_scattering_per_m))


def point_fluence_w_m2(distance_m: Array, watt: float, absorption_per_m: float, reduced_scattering_per_m: float) -> Array:
    r"""Return the exact fluence rate of a point source in endless tissue, :math:`P e^{-\mu_{eff} r} / (4\pi D r)`."""
    mu = effective_attenuation_per_m(absorption_per_m, reduced_scattering_per_m)
    d = 1.0 / (3.0 * (absorption_per_m + reduced_scattering_per_m))
    return np.asarray(watt * np.exp(-mu * distance_m) / (4.0 * math.pi * d * distance_m))


def internal_reflection(refractive_index: float) -> float:
    r"""Return A of Marshak's condition towards air, :math:`(1 + r) / (1 - r)`, by Groenhuis' fit of r.

    Parameters
    ----------
    refractive_index : float
        Of tissue over air, 1 to 1.6; 1 gives A = 1 within 0.5 %.
    """
    n = refractive_index
    r = -1.440 / n**2 + 0.710 / n + 0.668 + 0.0636 * n
    return (1.0 + r) / (1.0 - r)


def deposit(points_m: Array, watts: Array, shape: tuple[int, ...], spacing_m: float) -> Array:
    """Return the density [W/m³] of point sources, each shared among its eight neighbours by trilinear weights.

    Parameters
    ----------
    points_m : ndarray, shape (n, 3)
        (z, y, x) in metres from the centre of voxel [0, 0, 0].
    watts : ndarray, shape (n,)
        Power of each; the sum over the grid is exactly theirs.
    shape : tuple of int
        Of the grid.
    spacing_m : float
        Voxel edge [m].

    Raises
    ------
    InputError
        If a point lies outside the grid.
    """
    at = np.asarray(points_m, float) / spacing_m
    if not np.isfinite(at).all() or (at < 0).any() or (at > np.array(shape) - 1.0).any():
        raise InputError(
            f"A light source lies outside the grid of {' x '.join(map(str, shape))} voxels of {spacing_m * 1e3:g} mm.",
            "Light that starts outside the box cannot be followed.",
            "Place the whole tip inside the anatomy, or take a larger box.",
        )
    low = np.minimum(np.floor(at).astype(int), np.array(shape) - 2)
    part = at - low
    density = np.zeros(shape)
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(np.array(corner) == 1, part, 1.0 - part), axis=1)
        index = low + np.array(corner)
        np.add.at(density, (index[:, 0], index[:, 1], index[:, 2]), weight * watts)
    return density / spacing_m**3


def fluence(
    absorption_per_m: Array,
    reduced_scattering_per_m: Array,
    spacing_m: float,
    source_w_m3: Array,
    *,
    outside: Array | None = None,
    opaque: Array | None = None,
    refractive_index: float = 1.4,
    start: Array | None = None,
    tolerance: float = TOLERANCE,
    solve: Solve | None = None,
) -> Light:
    r"""Solve the diffusion equation of light by finite volumes with harmonic faces.

    .. math:: -\nabla\cdot(D\,\nabla\varphi) + \mu_a\,\varphi = S

    Marshak's condition enters as a loss of the voxels at the edge, so the sum of the equations is the balance of power, exactly.

    Parameters
    ----------
    absorption_per_m, reduced_scattering_per_m : ndarray, shape (z, y, x)
        Absorption (at least 0) and reduced scattering (above 0) [1/m].
    spacing_m : float
        Voxel edge [m].
    source_w_m3 : ndarray
        S [W/m³], see ``deposit``.
    outside : ndarray of bool, optional
        Air: light that leaves tissue there, or starts there, is lost, less what the surface reflects back.
    opaque : ndarray of bool, optional
        Metal: neither lets light pass nor takes any.
    refractive_index : float
        Of tissue over air.
    start : ndarray, optional
        A first guess [W/m²].
    tolerance : float
        Relative residual of the solve.
    solve : callable, optional
        Another linear solver with the signature of ``physics.multigrid.solve``.

    Returns
    -------
    Light
        Fluence rate, heat, and where the power went.

    Raises
    ------
    InputError
        If a shape, a coefficient or the source cannot be used.
    NumericalError
        If the fluence is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> shape = (25, 25, 25)
    >>> mu_a, mu_s = np.full(shape, 50.0), np.full(shape, 1000.0)
    >>> one = deposit(np.full((1, 3), 12e-3), np.ones(1), shape, 1e-3)
    >>> light = fluence(mu_a, mu_s, 1e-3, one)
    >>> bool(light.balance < 1e-6), bool(light.escaped_w < 0.05)
    (True, True)
    """
    shape = _check(absorption_per_m, reduced_scattering_per_m, spacing_m, source_w_m3)
    h = spacing_m
    inside = np.ones(shape, bool)
    for mask in (outside, opaque):
        if mask is not None:
            inside &= ~mask
    lost = float(source_w_m3[~inside].sum(dtype=np.float64)) * h**3
    source = np.where(inside, source_w_m3, 0.0)
    d = np.where(inside, diffusion_m(absorption_per_m, reduced_scattering_per_m), 0.0)
    taken = np.where(inside, absorption_per_m, 0.0).astype(np.float32).astype(float)  # as the solver keeps it
    leak = np.where(inside, _leak_per_m(d, inside, outside, h, internal_reflection(refractive_index)), HELD_PER_M)
    if solve is None:
        from osteon.physics import multigrid

        solve = multigrid.solve
    solved = solve(d, h, source, reaction=taken + leak, boundary="neumann", start=start, tolerance=tolerance)
    phi = np.asarray(solved.u, float)
    if not np.isfinite(phi).all():
        raise NumericalError(
            "The light has no finite fluence.",
            "Heat cannot be computed from it.",
            "Check the optical properties; report the case if they are plausible.",
        )
    volume = h**3
    heat = taken * phi
    emitted = float(source_w_m3.sum(dtype=np.float64)) * volume
    absorbed, escaped = float(heat.sum()) * volume, float((leak * phi).sum()) * volume + lost
    gap = abs(emitted - absorbed - escaped) / emitted if emitted > 0 else 0.0
    return Light(phi, heat, emitted, absorbed, escaped, gap, int(solved.iterations), float(solved.residual))


def _leak_per_m(d: Array, inside: Array, outside: Array | None, h: float, a_air: float) -> Array:
    """Loss per volume and fluence [1/m] through faces at the edge of the box (A = 1) and towards air (A of air)."""
    leak, half = np.zeros(d.shape), np.where(inside, 0.5 * h / np.where(inside, d, 1.0), 0.0)
    for axis in range(3):
        for end in (0, -1):
            face = tuple(end if i == axis else slice(None) for i in range(3))
            leak[face] += np.where(inside[face], 1.0 / (half[face] + 2.0) / h, 0.0)
        if outside is None:
            continue
        for step in (1, -1):
            beside = np.roll(outside, step, axis)
            edge = tuple((0 if step == 1 else -1) if i == axis else slice(None) for i in range(3))
            beside[edge] = False
            leak += np.where(inside & beside, 1.0 / (half + 2.0 * a_air) / h, 0.0)
    return leak


def _check(absorption: Array, scattering: Array, spacing_m: float, source: Array) -> tuple[int, ...]:
    shape = absorption.shape
    if len(shape) != 3 or scattering.shape != shape or source.shape != shape or min(shape) < 2 or not spacing_m > 0:
        raise InputError(
            f"Absorption {absorption.shape}, scattering {scattering.shape}, source {source.shape} at {spacing_m} m do not fit.",
            "Every voxel needs its optical properties, and its size is needed.",
            "Give arrays of one shape (z, y, x), at least 2 voxels a side, and a positive spacing.",
        )
    numbers = (absorption, scattering, source)
    if not all(np.isfinite(a).all() for a in numbers) or absorption.min() < 0 or scattering.min() <= 0 or source.min() < 0:
        raise InputError(
            f"Absorption from {absorption.min()} 1/m, scattering from {scattering.min()} 1/m, source from {source.min()} W/m3, "
            "or not finite.",
            "Light is neither made by tissue nor spread without scattering.",
            "Give finite absorption and source of at least 0 and scattering above 0.",
        )
    return tuple(int(n) for n in shape)
