r"""From a mask of points to smooth surfaces, and the share of each cell behind them: one geometry for grids of any spacing.

A plane that is smoothed by a Gaussian of width :math:`\sigma` reads :math:`\Phi(d/\sigma)` at the distance d. So the mask,
smoothed over one point, gives back :math:`d = \sigma\,\Phi^{-1}` of what it reads: a distance that is nearly linear across the
surface, without the stairs of the mask. A cell that the surface cuts is taken as cut by a plane (Scardovelli & Zaleski, J Comput
Phys 2000;164:228).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import ndimage, special

from osteon.physics.acoustic_layers import Array

FARTHEST = 1e-6  # of the smoothed mask: distances beyond 4.75 points are not told apart


def signed_distance(mask: Array, spacing_m: float) -> Array:
    """Return how deep each point lies within a mask.

    Parameters
    ----------
    mask : ndarray of bool, shape (z, y, x)
        At points; beyond its edges the outermost go on.
    spacing_m : float
        From point to point.

    Returns
    -------
    ndarray of float32, shape (z, y, x)
        Distance [m], positive inside, right near the surface and cut off at 4.75 points.
    """
    smooth = ndimage.gaussian_filter(mask.astype(np.float32), 1.0, mode="nearest", truncate=5.0)
    return np.asarray(spacing_m * special.ndtri(np.clip(smooth, FARTHEST, 1 - FARTHEST)), np.float32)


def share_inside(distance_m: Array, at: Sequence[Array], cells: Sequence[Array], edge_m: float) -> Array:
    """Return the share of each cell that lies inside.

    Parameters
    ----------
    distance_m : ndarray, shape (z, y, x)
        As from ``signed_distance``.
    at : sequence of three ndarray
        Where its points lie along each axis [m], evenly spaced.
    cells : sequence of three ndarray
        Where the middles of the cells lie [m].
    edge_m : float
        Edge of a cell.

    Returns
    -------
    ndarray of float32
        One number for each cell.
    """
    weights = [_hats(source, target) for source, target in zip(at, cells, strict=True)]
    depth = _at_cells(distance_m, weights)
    share = (depth > 0).astype(np.float32)
    near = np.abs(depth) < math.sqrt(3) * edge_m  # twice the farthest corner: distances are not exact
    slopes = np.gradient(distance_m, *(axis[1] - axis[0] for axis in at))
    normal = np.stack([_at_cells(slope, weights)[near] for slope in slopes], axis=-1).astype(float)
    steep = np.maximum(np.linalg.norm(normal, axis=-1), 1e-6)
    share[near] = cut_share(depth[near] / steep / edge_m, normal / steep[:, None])
    return share


def cut_share(distance: Array, normal: Array) -> Array:
    """Return the share of a unit cube on the inner side of a plane.

    Parameters
    ----------
    distance : ndarray, shape (n,)
        From the plane to the middle of the cube, in edges; positive if the middle lies inside.
    normal : ndarray, shape (n, 3)
        Of the plane, of length 1.

    Examples
    --------
    >>> cut_share(np.array([0.0, 0.25]), np.array([[0.6, 0.0, 0.8], [0.0, 0.0, 1.0]])).round(3).tolist()
    [0.5, 0.75]
    """
    a, b, c = np.maximum(np.abs(normal), 1e-3).T  # a smaller part of the normal changes nothing, but divides
    depth = np.clip(distance + (a + b + c) / 2, 0.0, a + b + c)
    corners = ((0.0 * a, 1), (a, -1), (b, -1), (c, -1), (a + b, 1), (a + c, 1), (b + c, 1))
    volume = sum(sign * np.maximum(depth - corner, 0.0) ** 3 for corner, sign in corners) / (6 * a * b * c)
    return np.asarray(np.clip(volume, 0.0, 1.0))


def _hats(source: Array, target: Array) -> Array:
    """Return the weights (target, source) of linear interpolation; beyond the ends the outermost value goes on."""
    step, inside = source[1] - source[0], np.clip(target, source[0], source[-1])
    return np.asarray(np.clip(1 - np.abs(inside[:, None] - source[None, :]) / step, 0, None), np.float32)


def _at_cells(field: Array, weights: Sequence[Array]) -> Array:
    """Return a field between its points, axis by axis."""
    for axis, weight in enumerate(weights):
        field = np.moveaxis(np.tensordot(weight, field, axes=(1, axis)), 0, axis)
    return field
