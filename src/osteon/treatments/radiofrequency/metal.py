r"""Heat along the metal of an uncooled electrode: a fin that exchanges with the voxels through the same lines as the current.

.. math:: \frac{d}{ds}\Big(k_m A \frac{dT_w}{ds}\Big) = q, \qquad q = \frac{T_w - \bar T}{R} - \tfrac12 P'

:math:`\bar T` is the averaged field, :math:`R = \ln(r_\mathrm{eff}/a)/(2\pi k)`, P' the heat of the current between wall and
averaged field: uniform in ln r, so that half of it would flow to either side. The metal stores no heat; no heat leaves through
its ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from osteon.physics import lines
from osteon.space.volume import Array

BEYOND_MM = 12.0  # of shaft behind the contacts: several times the length over which a fin of this size cools


@dataclass(frozen=True, eq=False)
class Metal:
    """The wall of one electrode on a grid.

    Parameters
    ----------
    rows : Weights
        Its segments, those of the contact first.
    spread : array, shape (segments, segments)
        Temperature of the wall = ``spread`` @ (averaged field + R/2 P').
    conductance : array, shape (segments,)
        1/R, the mean over a step of the generator [W/m/K].
    half : array, shape (segments,)
        R/2 at the start of the step [m K/W].
    """

    rows: lines.Weights
    spread: Array
    conductance: Array
    half: Array

    def wall(self, field_c: Array, heat_w_m: Array) -> tuple[Array, Array]:
        """Return the temperature of the wall [°C] and the heat that each segment gives to its voxels [W].

        Parameters
        ----------
        field_c : array, shape (segments,)
            Averaged field [°C].
        heat_w_m : array, shape (segments,)
            P' [W/m].
        """
        driven = field_c + self.half * heat_w_m
        wall = self.spread @ driven
        return wall, (wall - driven) * self.conductance * self.rows.length_m


def _radii(contact: lines.Line, behind_m: float) -> float | tuple[float, ...]:
    """Return the radius from so far behind the contact to its tip, at equally spaced points where it changes."""
    if isinstance(contact.radius_m, float):
        return contact.radius_m
    points = np.linspace(behind_m + contact.length_m, 0.0, math.ceil((behind_m / contact.length_m + 1.0) * len(contact.radius_m)))
    known = np.linspace(0.0, contact.length_m, len(contact.radius_m))
    return tuple(np.interp(points, known, contact.radius_m).tolist())


def metal_of(contact: lines.Line, thermal: tuple[Array, Array], spacing_m: float, step_s: float, conduction: float) -> Metal:
    """Return the metal behind a contact that begins at the tip.

    Parameters
    ----------
    contact : Line
        The bare part, from the tip on.
    thermal : tuple of two arrays
        Heat conductivity [W/m/K] and heat capacity [J/m³/K] of the voxels.
    spacing_m, step_s : float
        Voxel edge [m]; time between two looks [s].
    conduction : float
        k_m A of the whole cross-section [W m/K]; a bevel has the share of the wall that its cut leaves.
    """
    start, end = np.array(contact.start_m), np.array(contact.end_m)
    segment = contact.length_m / max(1, math.ceil(2.0 * contact.length_m / spacing_m - 1e-9))
    more = math.ceil(BEYOND_MM * 1e-3 / segment)
    along = (end - start) / contact.length_m
    z, y, x = end + more * segment * along
    shape = thermal[0].shape
    shaft = lines.Line((float(z), float(y), float(x)), contact.start_m, _radii(contact, more * segment))
    rows = lines.weights(shaft, shape, spacing_m)
    order = np.argsort(np.linalg.norm(rows.centre_m - start, axis=1), kind="stable")
    rows = lines.Weights(
        *(getattr(rows, name)[order] for name in ("index", "weight", "length_m", "r_eff_m", "centre_m", "radius_m"))
    )
    k, capacity = (lines.average(a, rows) for a in thermal)
    conductance = lines.log_conductance(k, rows)
    slowed = lines.over_step(conductance, capacity, lines.width_m(contact, spacing_m), step_s)
    wall = 2.0 / math.pi * np.arcsin(np.minimum(rows.radius_m / contact.widest_m, 1.0))  # share that a slanted cut leaves
    between = conduction * 0.5 * (wall[1:] + wall[:-1]) / float(rows.length_m[0]) ** 2
    matrix = np.diag(slowed + np.append(between, 0.0) + np.append(0.0, between)) - np.diag(between, 1) - np.diag(between, -1)
    return Metal(rows, np.linalg.solve(matrix, np.diag(slowed)), slowed, 0.5 / conductance)
