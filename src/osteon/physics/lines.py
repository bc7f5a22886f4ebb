r"""Thin straight conductors, probe walls and coolant tubes in a voxel grid, without ever painting them into voxels.

A line exchanges with the field per length :math:`q = g\,(v - \bar u)`. A Gaussian of standard deviation w both spreads the source
and averages the field (:math:`\bar u = W u`, source :math:`W^T q`), and the logarithm puts back what the Gaussian smears out:

.. math:: g = \frac{2\pi k}{\ln(r_\mathrm{eff} / a)}, \qquad r_\mathrm{eff} = 2 e^{-\gamma/2} w = 1.4986\,w

for an endless line in a continuum. Two corrections make the figure hold on a lattice and for short lines: the 7-point operator is
softer than the continuum by :math:`h^2 k^4/12`, which shortens :math:`\ln r_\mathrm{eff}` by :math:`h^2 S_4/(24 w^2)`
(:math:`S_4` by the direction of the line); and near an end the line reaches to one side only, so that a line much shorter than
its radius is a sphere. The matrix A + Wᵀ diag(g ds) W stays symmetric and positive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from osteon.errors import InputError

Array = np.ndarray[Any, np.dtype[Any]]
Point = tuple[float, float, float]
REACH = 2.0 * math.exp(-np.euler_gamma / 2.0)  # r_eff / w of an endless line: 1.4986
WIDTH_VOXELS = 0.8  # smallest w over the voxel edge: 0.8 and 1.2 give the same field (thermal reference, section 3)
WIDTH_RADII = 1.25 / REACH  # smallest w over the radius: r_eff stays above it
CUT = 4.0  # the Gaussian is cut beyond so many standard deviations


@dataclass(frozen=True)
class Line:
    """A thin straight conductor, probe wall or coolant tube.

    Parameters
    ----------
    start_m, end_m : tuple of float
        (z, y, x) in metres from the centre of voxel [0, 0, 0].
    radius_m : float or tuple of float
        Radius [m]; several: at equally spaced points from start to end, straight between them.
    """

    start_m: Point
    end_m: Point
    radius_m: float | tuple[float, ...]

    @property
    def length_m(self) -> float:
        """Length [m]."""
        return math.dist(self.start_m, self.end_m)

    @property
    def widest_m(self) -> float:
        """Largest radius [m]."""
        return float(np.max(self.radius_m))


@dataclass(frozen=True, eq=False)
class Weights:
    """A line on a grid: one row per segment; rows sum to 1.

    Parameters
    ----------
    index : ndarray of int32, shape (segments, n)
        Flat voxel indices.
    weight : ndarray, shape (segments, n)
        Share of each voxel.
    length_m : ndarray, shape (segments,)
        Length of each segment.
    r_eff_m : ndarray, shape (segments,)
        Distance from the axis at which an endless line has the averaged field, with both corrections [m].
    centre_m : ndarray, shape (segments, 3)
        Middle of each segment (z, y, x).
    radius_m : ndarray, shape (segments,)
        Radius of the line there.
    """

    index: Array
    weight: Array
    length_m: Array
    r_eff_m: Array
    centre_m: Array
    radius_m: Array


def width_m(line: Line, spacing_m: float) -> float:
    """Return the standard deviation w of a line's Gaussian on voxels of that edge [m]."""
    return max(WIDTH_VOXELS * spacing_m, WIDTH_RADII * line.widest_m)


def weights(line: Line, shape: tuple[int, ...], spacing_m: float) -> Weights:
    """Return how a line exchanges with the voxels of a grid; what of it lies outside the grid is left out.

    Parameters
    ----------
    line : Line
        The line.
    shape : tuple of int
        Of the grid (z, y, x).
    spacing_m : float
        Voxel edge [m].

    Returns
    -------
    Weights
        One row per segment of at most half a voxel.

    Raises
    ------
    InputError
        If the line has no length or radius, or lies wholly outside the grid.

    Examples
    --------
    >>> rows = weights(Line((0.01, 0.01, 0.005), (0.01, 0.01, 0.015), 0.0005), (21, 21, 21), 0.001)
    >>> len(rows.length_m), round(float(rows.weight[0].sum()), 12)
    (20, 1.0)
    """
    _check(line, spacing_m)
    start, end = np.asarray(line.start_m, float), np.asarray(line.end_m, float)
    count = max(1, math.ceil(2.0 * line.length_m / spacing_m - 1e-9))
    share = (np.arange(count) + 0.5) / count
    centre = start + share[:, None] * (end - start)
    edge = (np.asarray(shape, float) - 0.5) * spacing_m
    inside = np.all((centre > -0.5 * spacing_m) & (centre < edge), axis=1)
    if not inside.any():
        raise InputError(
            f"The line from {_mm(line.start_m)} to {_mm(line.end_m)} mm lies outside the grid of "
            f"{' x '.join(f'{n * spacing_m * 1e3:.4g}' for n in shape)} mm.",
            "A probe outside the grid acts on nothing.",
            "Move the probe into the body, or take a larger grid.",
        )
    points = np.atleast_1d(np.asarray(line.radius_m, float))
    radius = np.interp(share, np.linspace(0.0, 1.0, len(points)), points) if len(points) > 1 else np.full(count, points[0])
    width = width_m(line, spacing_m)
    reach = _reach(share * line.length_m, line.length_m, radius, width, (end - start) / line.length_m, spacing_m)
    index, weight = _gaussian(centre[inside], width, shape, spacing_m)
    length = np.full(int(inside.sum()), line.length_m / count)
    return Weights(index, weight, length, reach[inside], centre[inside], radius[inside])


def log_conductance(
    coefficient_at_segments: Array | float,
    weights: Weights,
    radius_m: Array | float | None = None,
    film: Array | float | None = None,
) -> Array:
    r"""Return the conductance per length between a line and the averaged field of each segment.

    .. math:: g = \left(\frac{1}{2\pi a h} + \frac{\ln(r_\mathrm{eff}/a)}{2\pi k}\right)^{-1}

    Parameters
    ----------
    coefficient_at_segments : float or ndarray, shape (segments,)
        σ [S/m] or k [W/m/K] of the surroundings (``average`` gives it from a field).
    weights : Weights
        Of the line.
    radius_m : float or ndarray or None
        a [m]; None: the radius of the line.
    film : float or ndarray or None
        h of a wall film [W/m²/K]; None: none.

    Returns
    -------
    ndarray, shape (segments,)
        g [S/m or W/m/K].
    """
    radius = weights.radius_m if radius_m is None else np.broadcast_to(np.asarray(radius_m, float), weights.length_m.shape)
    k = np.broadcast_to(np.asarray(coefficient_at_segments, float), weights.length_m.shape)
    with np.errstate(divide="ignore"):
        resistance = np.log(weights.r_eff_m / radius) / (2.0 * math.pi * k)
        if film is not None:
            resistance = resistance + 1.0 / (2.0 * math.pi * radius * np.asarray(film, float))
    return np.asarray(1.0 / resistance)


def over_step(conductance: Array, capacity: Array, width: float, step_s: float) -> Array:
    r"""Return the mean conductance over a step: the Gaussian's own heat capacity, 4πw²ρc per length, follows while it gives heat.

    .. math:: \bar g = g\,\frac{1 - e^{-x}}{x}, \qquad x = \frac{g\,\Delta t}{4 \pi w^2 \rho c}

    Parameters
    ----------
    conductance : ndarray, shape (segments,)
        g at the start of the step [W/m/K].
    capacity : ndarray, shape (segments,)
        ρc of the surroundings [J/m³/K].
    width : float
        w [m].
    step_s : float
        Δt [s].

    Returns
    -------
    ndarray, shape (segments,)
        [W/m/K].
    """
    x = conductance * step_s / (4.0 * math.pi * width**2 * capacity)
    return np.asarray(conductance * -np.expm1(-x) / x)


def average(field: Array, weights: Weights) -> Array:
    """Return the field (z, y, x) averaged round each segment: W u."""
    values: Array = np.asarray(field).reshape(-1)[weights.index].astype(np.float64)
    return np.asarray(np.einsum("sn,sn->s", values, weights.weight))


def spread(per_segment: Array, weights: Weights, shape: tuple[int, ...], spacing_m: float) -> Array:
    """Return what each segment gives off (W, A, ...) as a density per m³ on the grid: Wᵀ q / h³."""
    given = weights.weight * np.asarray(per_segment, float)[:, None]
    total = np.bincount(weights.index.reshape(-1), given.reshape(-1), minlength=math.prod(shape))
    return np.asarray(total.reshape(shape) / spacing_m**3)


def deposit(density: Array, per_segment: Array, weights: Weights, spacing_m: float) -> None:
    """Add what each segment gives off to a contiguous float32 density per m³, in place: ``spread``, at the line's voxels only."""
    given = (weights.weight * (per_segment / spacing_m**3)[:, None]).astype(np.float32)
    np.add.at(density.reshape(-1), weights.index.reshape(-1), given.reshape(-1))


def _check(line: Line, spacing_m: float) -> None:
    numbers = np.concatenate([np.atleast_1d(np.asarray(a, float)) for a in (line.start_m, line.end_m, line.radius_m)])
    if not np.isfinite(numbers).all() or line.length_m <= 0.0 or float(np.min(line.radius_m)) <= 0.0 or not spacing_m > 0.0:
        raise InputError(
            f"The line from {_mm(line.start_m)} to {_mm(line.end_m)} mm with radius {line.radius_m} m on voxels of {spacing_m} m "
            "has no length or no thickness.",
            "Its conductance per length is then not defined.",
            "Give two different points and a radius above 0.",
        )


def _mm(point: Point) -> str:
    return "(" + ", ".join(f"{1e3 * v:.4g}" for v in point) + ")"


def _reach(at: Array, length: float, radius: Array, width: float, along: Array, spacing_m: float) -> Array:
    """Effective radius per segment: what a uniform line of this length has at its wall, less what Gaussian and lattice have."""
    sides = (at, length - at)
    wall = sum(np.arcsinh(s / radius) for s in sides)
    smeared = sum(_erf_integral(s / (2.0 * width)) for s in sides)
    soft = 0.375 * float(np.sum((1.0 - along**2) ** 2)) * (spacing_m / width) ** 2 / 24.0
    softness = soft * 0.5 * sum(special.erf(s / (2.0 * width)) for s in sides)
    return np.asarray(radius * np.exp(0.5 * (wall - smeared) - softness))


def _erf_integral(x: Array) -> Array:
    """Integral of erf(t)/t from 0 to x, x >= 0: a series below 3, the logarithm (error 1e-6) above."""
    low = np.minimum(x, 3.0)
    term, total = low.copy(), low.copy()
    for n in range(1, 60):
        term = term * (-(low**2) / n)
        total = total + term / (2 * n + 1) ** 2
    series = total * 2.0 / math.sqrt(math.pi)
    logarithm = np.log(np.maximum(x, 3.0)) + np.euler_gamma / 2.0 + math.log(2.0)
    return np.asarray(np.where(x < 3.0, series, logarithm))


def _gaussian(centre: Array, width: float, shape: tuple[int, ...], spacing_m: float) -> tuple[Array, Array]:
    """Indices and weights of a cut Gaussian round each point; voxels beyond the grid get weight 0."""
    half = math.ceil(CUT * width / spacing_m)
    steps = np.arange(-half, half + 1)
    place, share = [], []
    for axis in range(3):
        at = np.rint(centre[:, axis] / spacing_m).astype(np.int64)[:, None] + steps
        value = np.exp(-0.5 * ((at * spacing_m - centre[:, axis, None]) / width) ** 2)
        value[(at < 0) | (at >= shape[axis])] = 0.0
        place.append(np.clip(at, 0, shape[axis] - 1))
        share.append(value / value.sum(axis=1, keepdims=True))
    index = (place[0][:, :, None, None] * shape[1] + place[1][:, None, :, None]) * shape[2] + place[2][:, None, None, :]
    weight = share[0][:, :, None, None] * share[1][:, None, :, None] * share[2][:, None, None, :]
    return index.reshape(len(centre), -1).astype(np.int32), weight.reshape(len(centre), -1)
