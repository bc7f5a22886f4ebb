"""End plates of a vertebral body that stands along z: planes fitted to the ends of its columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy import ndimage

from osteon.assessment.loads.base import number
from osteon.space.volume import Array


@dataclass(frozen=True, eq=False)
class Plates:
    """The end plates of a body whose axis is z.

    Parameters
    ----------
    upper, lower : array (3,)
        Plane z = a x + b y + c as (a, b, c) in the coordinates along the axes [mm].
    middle : array (2,)
        x, y of the middle of the footprint [mm].
    footprint : ndarray of bool (y, x)
        Columns of the body.
    top, bottom : ndarray (y, x)
        Ends of each column along z [mm]; not a number outside the footprint.
    error_mm : float
        Root mean square distance of the end plates from their planes.
    """

    upper: Array
    lower: Array
    middle: Array
    footprint: Array
    top: Array
    bottom: Array
    error_mm: float

    def normals(self) -> tuple[Array, Array]:
        """Return the unit normals of the upper and the lower plate, both upwards."""
        found = [np.array([-p[0], -p[1], 1.0]) for p in (self.upper, self.lower)]
        return found[0] / np.linalg.norm(found[0]), found[1] / np.linalg.norm(found[1])

    def middles(self) -> tuple[Array, Array]:
        """Return the middles of the upper and the lower plate, coordinates along the axes [mm]."""
        at = np.array([*self.middle, 1.0])
        return np.array([*self.middle, self.upper @ at]), np.array([*self.middle, self.lower @ at])


def column_plates(inside: Array, x: Array, y: Array, z: Array) -> Plates | None:
    """Fit the end plates of a body whose axis is z.

    Parameters
    ----------
    inside : ndarray of float (z, y, x)
        Share of each cube that the body fills.
    x, y, z : ndarray
        Coordinates of the cubes [mm].

    Returns
    -------
    Plates or None
        None where the body has fewer columns than a plane needs.
    """
    solid = inside > 0.5
    if not solid.any():
        return None
    step = float(z[1] - z[0])
    top, bottom = _ends(inside, solid, z, step)
    length = np.where(solid.any(0), top - bottom, 0.0)
    long = length > number("vertebra_column_share") * np.median(length[length > 0])
    wide = max(1, round(number("vertebra_opening_share") * np.sqrt(long.sum() / np.pi)))
    disc = np.hypot(*np.mgrid[-wide : wide + 1, -wide : wide + 1]) <= wide
    opened = largest(ndimage.binary_opening(np.pad(long, wide), disc))
    footprint = ndimage.binary_dilation(opened, disc)[wide:-wide, wide:-wide] & long  # its corners given back
    footprint = ndimage.binary_fill_holes(footprint) & solid.any(0)
    rim = number("vertebra_rim_share") * np.sqrt(footprint.sum() / np.pi)
    inner = ndimage.distance_transform_edt(np.pad(footprint, 1))[1:-1, 1:-1] > max(rim, 1.0)
    if inner.sum() < 12:
        return None
    yy, xx = np.meshgrid(y, x, indexing="ij")
    even = max(number("vertebra_even_share") * float(np.median(length[inner])), 2 * step)
    upper, e1 = _plane(xx[inner], yy[inner], top[inner], even)
    lower, e2 = _plane(xx[inner], yy[inner], bottom[inner], even)
    middle = np.array([xx[footprint].mean(), yy[footprint].mean()])
    nan = np.where(footprint, 0.0, np.nan)
    return Plates(upper, lower, middle, footprint, top + nan, bottom + nan, float(np.hypot(e1, e2) / np.sqrt(2)))


def _ends(inside: Array, solid: Array, z: Array, step: float) -> tuple[Array, Array]:
    """Return the ends of each column along z [mm], between the centres of cubes by what they hold."""
    found: list[Array] = []
    for flip in (False, True):
        part, full = (inside[::-1], solid[::-1]) if flip else (inside, solid)
        last = len(z) - 1 - np.argmax(full[::-1], axis=0)
        beyond = np.minimum(last + 1, len(z) - 1)
        a = np.take_along_axis(part, last[None], 0)[0]
        b = np.where(beyond > last, np.take_along_axis(part, beyond[None], 0)[0], 0.0)
        share = np.clip((a - 0.5) / np.maximum(a - b, 1e-6), 0.0, 1.0)
        found.append(z[0] + step * (last + share) if not flip else z[-1] - step * (last + share))
    return found[0], found[1]


def _plane(x: Array, y: Array, z: Array, even_mm: float) -> tuple[Array, float]:
    """Fit a plane to an end plate that may be hollow or broken through; return (a, b, c) and the distance of what lies near it.

    Planes through three places each, and that of least squares, are judged by squares that stop at ``even_mm``; the best is
    fitted again to what lies near it.
    """
    design = np.column_stack([x, y, np.ones(len(x))])
    tries = [np.linalg.lstsq(design, z, rcond=None)[0]]
    rng = np.random.default_rng(np.random.SeedSequence(0))
    for _ in range(int(number("vertebra_plane_tries"))):
        three = rng.choice(len(z), 3, replace=False)
        if abs(np.linalg.det(design[three])) > len(z) / 4:  # not in one line: an eighth of the plate between them
            tries.append(np.linalg.solve(design[three], z[three]))
    costs = [float(np.minimum((z - design @ each) ** 2, even_mm**2).sum()) for each in tries]
    found = tries[int(np.argmin(costs))]
    for _ in range(8):
        before, keep = found, np.abs(z - design @ found) <= even_mm
        found = np.linalg.lstsq(design[keep], z[keep], rcond=None)[0]
        if np.allclose(before, found):
            break
    return found, float(np.sqrt(np.mean((z[keep] - design[keep] @ found) ** 2)))


def largest(mask: Array) -> Array:
    """Return the largest piece of a mask."""
    pieces, count = ndimage.label(mask)
    if count < 2:
        return mask
    return cast(Array, pieces == int(np.argmax(np.bincount(pieces.reshape(-1))[1:])) + 1)
