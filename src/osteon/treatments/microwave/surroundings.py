"""The tissue of a voxel grid round the axis of a needle, averaged over the angle: what the field of the antenna is solved in."""

from __future__ import annotations

from itertools import product
from typing import Any, cast

import numpy as np
from scipy import sparse

from osteon.space.volume import Grid
from osteon.treatments.base import NeedlePose
from osteon.treatments.microwave.antenna import Medium

Array = np.ndarray[Any, np.dtype[Any]]


class Surroundings:
    """Rings round a needle and their share in each voxel; made once per needle, then every average is one sparse product.

    The field lies in planes through the axis, so it is tangential to interfaces between sectors: the plain mean is the right one.

    Parameters
    ----------
    grid : Grid
        Voxels; outside the grid its nearest voxel holds.
    pose : NeedlePose
        Where the needle lies; it has a length.
    r_max_mm : float
        Largest radius.
    z_range_mm : (float, float)
        Heights behind the tip, negative ahead of it.
    step_mm : float
        Cell size.
    angles : int
        Samples round the axis.
    r_min_mm : float
        Where the first ring begins: the surface of the needle, within which there is no tissue.
    """

    def __init__(
        self,
        grid: Grid,
        pose: NeedlePose,
        r_max_mm: float,
        z_range_mm: tuple[float, float],
        step_mm: float = 1.0,
        angles: int = 24,
        r_min_mm: float = 0.0,
    ) -> None:
        backward = -np.asarray(pose.direction)
        helper = np.eye(3)[int(np.argmin(np.abs(backward)))]
        first = np.cross(backward, helper) / np.linalg.norm(np.cross(backward, helper))
        second = np.cross(backward, first)
        self.r_mm = np.arange(r_min_mm + 0.5 * step_mm, r_max_mm, step_mm)
        self.z_mm = np.arange(z_range_mm[0] + 0.5 * step_mm, z_range_mm[1], step_mm)
        phi = (np.arange(angles) + 0.5) * 2 * np.pi / angles
        ray = np.cos(phi)[:, None] * first + np.sin(phi)[:, None] * second
        across = self.r_mm[None, :, None, None] * ray[None, None, :, :]
        points = np.asarray(pose.tip_mm) + self.z_mm[:, None, None, None] * backward + across
        self.shape = (self.z_mm.size, self.r_mm.size)
        self.matrix = _means(grid.to_index(points.reshape(-1, 3)), grid.shape, angles)

    def mean(self, array: Array) -> Array:
        """Return the mean of a voxel field over each ring, (heights, radii)."""
        return cast(Array, (self.matrix @ array.reshape(-1)).reshape(self.shape).astype(np.float64))

    def medium(self, permittivity: Array, conductivity: Array) -> Medium:
        """Return the averaged tissue; conductivity in S/m."""
        return Medium(self.r_mm, self.z_mm, self.mean(permittivity), self.mean(conductivity))

    def part(self, rings: Array) -> tuple[Array, Any]:
        """Return the voxels (flat indices) that some rings (heights, radii, bool) lie in, and the averaging over these only."""
        rows = self.matrix[np.flatnonzero(rings.reshape(-1))]
        voxels = np.unique(rows.indices)
        return voxels, rows[:, voxels]


def _means(index: Array, shape: tuple[int, ...], angles: int) -> Any:
    """Return the matrix (points / angles, voxels) that interpolates linearly at points z y x and averages ``angles`` of them."""
    last = np.array(shape) - 1
    held = np.clip(index, 0.0, last)
    low = np.minimum(held.astype(np.int64), np.maximum(last - 1, 0))
    part = (held - low).astype(np.float32)
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    rows = np.repeat(np.arange(len(index) // angles, dtype=np.int32), angles)
    columns, weights = [], []
    for corner in product((0, 1), repeat=3):
        step = np.array(corner)
        columns.append((np.minimum(low + step, last) @ strides).astype(np.int32))
        weights.append(np.where(step, part, 1 - part).prod(axis=1))
    size = (len(index) // angles, int(np.prod(shape)))
    whole = sparse.coo_matrix((np.concatenate(weights) / angles, (np.tile(rows, 8), np.concatenate(columns))), shape=size)
    matrix = whole.tocsr()
    matrix.eliminate_zeros()
    return matrix
