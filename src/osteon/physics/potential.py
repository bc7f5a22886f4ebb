r"""The potential round thin electrodes and the heat it leaves, with a power that balances.

.. math:: \nabla\cdot(\sigma\,\nabla\varphi) = 0, \qquad Q = \sigma\,|\nabla\varphi|^2

Electrodes are lines (lines.py), never voxels. What flows from an electrode crosses two resistances in series: the logarithm of
the coupling, then the grid. The power of the first, I²/g, goes back to the voxels by the same Gaussian; the power of the grid is
split between the halves of the voxels on both sides of each face. Their sum is the power of the sources, because the solver
leaves an error orthogonal to the solution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from osteon.errors import InputError
from osteon.physics import multigrid, multigrid_kernels
from osteon.physics.lines import Line, average, log_conductance, spread, weights
from osteon.space.shapes import ScalarField

Array = np.ndarray[Any, np.dtype[Any]]
Electrode = tuple[Line, float]


@dataclass(frozen=True, eq=False)
class Potential:
    """What electrodes at given voltages do.

    Parameters
    ----------
    phi_v : ndarray of float64, shape (z, y, x)
        Potential [V].
    current_a : ndarray, shape (electrodes,)
        Current out of each electrode [A].
    resistance_ohm : float
        Square of the voltage between the extremes (the ground at 0 V counts where the outer faces conduct) over the power.
    heat_w_m3 : ndarray, shape (z, y, x)
        Q [W/m³].
    power_w : float
        Heat in the grid [W].
    outside_w : float
        Heat beyond the outer faces [W]: with "robin" only.
    balance : float
        abs(voltages times currents - heat) over voltages times currents.
    solved : Solved
        How the solver ended.
    wall_w : float
        Heat of the coupling that went into the wall of an electrode instead of the voxels [W].
    coupling_w : tuple of ndarray, shape (segments,)
        Heat between the wall of each electrode and the averaged field round it [W].
    """

    phi_v: Array
    current_a: Array
    resistance_ohm: float
    heat_w_m3: Array
    power_w: float
    outside_w: float
    balance: float
    solved: multigrid.Solved
    wall_w: float = 0.0
    coupling_w: tuple[Array, ...] = ()


def potential(
    conductivity: ScalarField, spacing_m: float, electrodes: Sequence[Electrode], *, boundary: multigrid.Boundary = "dirichlet",
    start: ScalarField | None = None, tolerance: float = 1e-6, most: int = 100, to_wall: float = 0.0,
) -> Potential:  # fmt: skip
    r"""Solve :math:`\nabla\cdot(\sigma\nabla\varphi) = 0` round electrodes held at voltages.

    Parameters
    ----------
    conductivity : ndarray, shape (z, y, x)
        σ [S/m], at least 0.
    spacing_m : float
        Voxel edge [m].
    electrodes : sequence of (Line, volts)
        Bare lengths of metal and what they are held at [V]; tines are lines with one voltage.
    boundary : {"dirichlet", "neumann", "robin"}
        Outer faces at 0 V (ground pads); closed (bipolar: no net current); or open space round the middle of the grid.
    start : ndarray, shape (z, y, x), or None
        First guess [V]; its scale does not matter.
    tolerance : float
        Of the true residual.
    most : int
        Largest number of iterations.
    to_wall : float
        Share of the heat of the coupling that a cooled wall takes (``wall_w``); the rest goes to the voxels.

    Returns
    -------
    Potential
        Field, currents, resistance, heat and balance. Everything is linear in the voltages: currents by s, heat by s².

    Raises
    ------
    InputError
        If an electrode lies outside the grid, a voltage is no number, or the solver's input is unusable.

    Examples
    --------
    >>> rod = Line((0.012, 0.012, 0.008), (0.012, 0.012, 0.016), 0.0005)
    >>> found = potential(np.full((25, 25, 25), 0.5), 0.001, [(rod, 10.0)])
    >>> bool(found.balance < 1e-9), bool(found.current_a[0] > 0)
    (True, True)
    """
    if not electrodes or not all(math.isfinite(volts) for _, volts in electrodes):
        raise InputError(
            f"Electrodes at {[volts for _, volts in electrodes]} V were given.",
            "The potential needs at least one electrode with a voltage that is a number.",
            "Give each electrode its voltage.",
        )
    sigma, shape, h = np.ascontiguousarray(conductivity, np.float32), conductivity.shape, float(spacing_m)
    rows = [weights(line, shape, h) for line, _ in electrodes]
    conductance = [log_conductance(average(sigma, w), w) for w in rows]
    volts = [np.full(len(w.length_m), float(v)) for w, (_, v) in zip(rows, electrodes, strict=True)]
    lines = list(zip(rows, conductance, volts, strict=True))
    if boundary == "neumann" and len({v for _, v in electrodes}) == 1:
        level = np.full(shape, electrodes[0][1])  # nothing can flow
        solved = multigrid.Solved(level, 0, 0.0, "converged")
    else:
        solved = multigrid.solve(sigma, h, None, lines=lines, boundary=boundary, start=start, tolerance=tolerance, most=most)
    heat, outside = grid_heat(sigma, solved.u, h, boundary)
    currents, wall, couplings = np.zeros(len(electrodes)), 0.0, []
    for e, (w, g, v) in enumerate(lines):
        through = g * w.length_m * (v - average(solved.u, w))
        currents[e] = through.sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            coupling = np.where(g > 0.0, through**2 / (g * w.length_m), 0.0)
        heat += spread((1.0 - to_wall) * coupling, w, shape, h)
        wall += to_wall * float(coupling.sum())
        couplings.append(coupling)
    power = float(heat.sum()) * h**3
    fed = float(sum(v * i for (_, v), i in zip(electrodes, currents, strict=True)))
    held = [v for _, v in electrodes] + ([] if boundary == "neumann" else [0.0])
    total = power + outside + wall
    resistance = (max(held) - min(held)) ** 2 / total if total > 0.0 else math.inf
    balance = abs(fed - total) / abs(fed) if fed > 0.0 else 0.0
    return Potential(solved.u, currents, resistance, heat, power, outside, balance, solved, wall, tuple(couplings))


def grid_heat(sigma: Array, phi: Array, h: float, boundary: multigrid.Boundary) -> tuple[Array, float]:
    """Return the heat of the grid [W/m³], and what is left beyond the outer faces [W]."""
    inside, outside = np.zeros(sigma.shape), 0.0
    for side in multigrid.SIDES:
        at = multigrid.layer(side)
        wall = multigrid.wall_conductance(sigma, h, side, boundary, None)
        half = 2.0 * h * sigma[at].astype(np.float64)
        share = np.where(half > 0.0, wall / np.where(half > 0.0, half, 1.0), 0.0)  # of the drop that lies in the half voxel
        inside[at] += wall * share
        outside += float(np.sum(wall * (1.0 - share) * phi[at] ** 2))
    out = np.zeros(sigma.shape)
    multigrid_kernels.dissipate(sigma, phi, h, inside, out, np.array(sigma.shape, np.int64))
    out /= h**3
    return out, outside
