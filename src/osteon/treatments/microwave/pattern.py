"""The rotationally symmetric pattern of an antenna in a voxel grid, and the tissue of a voxel grid around an axis.

Putting a pattern into voxels keeps its power: what the pattern absorbs is what the voxels absorb, however the needle lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy import ndimage
from scipy.interpolate import PchipInterpolator

from osteon.errors import InputError
from osteon.space.shapes import ScalarField
from osteon.space.volume import Grid, Volume
from osteon.treatments.base import NeedlePose
from osteon.treatments.microwave.antenna import Medium, Pattern

Array = np.ndarray[Any, np.dtype[Any]]

# Numerical: step of the regular table [mm]; and (distance from the axis in voxel sizes, samples along each edge of a voxel).
TABLE_MM = 0.1
SAMPLING = ((2.5, 8), (7.0, 3))


@dataclass(frozen=True, eq=False)
class _Table:
    """A quantity on a regular table of heights and radii [mm]."""

    values: Array
    low_z: float
    step_z: float
    step_r: float

    def __call__(self, r: Array, z: Array) -> Array:
        """Return the values at r, z; 0 outside."""
        row = np.floor((z - self.low_z) / self.step_z).astype(np.int32)
        column = (r / self.step_r).astype(np.int32)
        rows, columns = self.values.shape
        inside = (row >= 0) & (row < rows) & (column < columns)
        flat = np.where(inside, row * columns + column, 0)
        return cast(Array, np.where(inside, self.values.ravel()[flat], 0.0))


@dataclass(frozen=True, eq=False)
class _Frame:
    """Voxels of a (possibly extended) lattice round a needle: their distance from the axis and height behind the tip [mm]."""

    low: Array  # first voxel of the box, index z y x in the grid; may lie outside it
    shape: tuple[int, int, int]
    tip_index: Array
    metric: Array  # (3, 3) maps an index step z y x to LPS mm
    backward: Array  # unit vector, LPS, from the tip to the hub

    def height_and_radius(self, offset: Array | None = None, where: Array | None = None) -> tuple[Array, Array]:
        """Return heights and radii of the voxel centres, moved by ``offset`` (index z y x); only of flat indices ``where``."""
        start = self.low - self.tip_index + (0.0 if offset is None else offset)
        gram, along = self.metric.T @ self.metric, self.backward @ self.metric
        if where is None:
            k, j, i = (np.arange(n, dtype=np.float64) + s for n, s in zip(self.shape, start))
            a, b, c = k[:, None, None], j[None, :, None], i[None, None, :]
        else:
            a, b, c = (index + s for index, s in zip(np.unravel_index(where, self.shape), start))
        height = along[0] * a + along[1] * b + along[2] * c
        squared = gram[0, 0] * a * a + gram[1, 1] * b * b + gram[2, 2] * c * c
        squared = squared + 2 * (gram[0, 1] * a * b + gram[0, 2] * a * c + gram[1, 2] * b * c)
        return height, np.sqrt(np.maximum(squared - height * height, 0.0))


def _frame(pose: NeedlePose, grid: Grid, radius: float, low_z: float, high_z: float) -> _Frame:
    """Return the box of lattice voxels that a cylinder round a needle touches."""
    if pose.length_mm < 1e-6:
        raise InputError(
            f"The needle enters at {pose.entry_mm} and ends there.",
            "A needle without length has no direction.",
            "Give an entry and a tip that differ.",
        )
    backward = -np.asarray(pose.direction)
    tip = np.asarray(pose.tip_mm, float)
    metric = grid.matrix[:3, :3][:, ::-1]
    inverse = np.linalg.inv(metric)
    ends = np.stack([grid.to_index(tip + backward * low_z), grid.to_index(tip + backward * high_z)])
    across = np.eye(3) - np.outer(backward, backward)
    reach = radius * np.sqrt(np.einsum("ij,jk,ik->i", inverse, across, inverse))
    low = np.floor(ends.min(axis=0) - reach).astype(int)
    high = np.ceil(ends.max(axis=0) + reach).astype(int)
    size = high - low + 1
    return _Frame(low, (int(size[0]), int(size[1]), int(size[2])), grid.to_index(tip), metric, backward)


def heating_table(pattern: Pattern) -> _Table:
    """Return the pattern on a regular table, by smooth monotone interpolation of its cumulated power, so that none is lost."""
    r, z = pattern.r_edges_mm, pattern.z_edges_mm
    power = pattern.heating * np.pi * np.diff(r**2)[None, :] * np.diff(z)[:, None] * 1e-9
    fine_r = np.linspace(0.0, r[-1], int(np.ceil(r[-1] / TABLE_MM)) + 1)
    fine_z = np.linspace(z[0], z[-1], int(np.ceil((z[-1] - z[0]) / TABLE_MM)) + 1)
    for axis, (old, new) in enumerate(((z, fine_z), (r, fine_r))):
        total = np.concatenate([np.zeros_like(power.take([0], axis)), np.cumsum(power, axis)], axis)
        power = np.diff(PchipInterpolator(old, total, axis=axis)(new), axis=axis)
    ring = np.pi * np.diff(fine_r**2)[None, :] * np.diff(fine_z)[:, None] * 1e-9
    return _Table(power / ring, float(z[0]), float(fine_z[1] - fine_z[0]), float(fine_r[1]))


def zone_centre_mm(pattern: Pattern, radius_mm: float = 8.0) -> float:
    """Return the middle of the stretch along the shaft that is heated by more than half of the most, at a distance from the axis.

    Parameters
    ----------
    pattern : Pattern
        Heating per watt.
    radius_mm : float
        Distance from the axis.

    Returns
    -------
    float
        Height behind the tip [mm]; it is not the slot, since the outer conductor behind the slot radiates too.
    """
    column = pattern.heating[:, int(np.searchsorted(pattern.r_edges_mm, radius_mm)) - 1]
    warm = pattern.z_mm[column > 0.5 * column.max()]
    return float(0.5 * (warm[0] + warm[-1]))


def place(pattern: Pattern, pose: NeedlePose, grid: Grid, conductivity: Volume | None = None) -> ScalarField:
    """Put a pattern into voxels.

    Voxels near the axis are sampled many times within, then all are scaled by one factor so that the lattice, continued
    beyond the grid, absorbs exactly what the pattern absorbs: cropping the grid changes nothing in the voxels that remain.

    Parameters
    ----------
    pattern : Pattern
        Heating per incident watt.
    pose : NeedlePose
        Where the needle lies.
    grid : Grid
        Voxels; may be oblique, anisotropic or mirrored.
    conductivity : Volume, optional
        Local conductivity on ``grid`` [S/m]: the heating is then scaled by it over the average that the pattern assumed
        (first order in the contrast; the power within the grid stays).

    Returns
    -------
    (z, y, x) array of float32
        Heating [W/m³ per incident watt].

    Raises
    ------
    InputError
        If the needle has no length.
    """
    table = heating_table(pattern)
    frame = _frame(pose, grid, pattern.r_edges_mm[-1], pattern.z_edges_mm[0], pattern.z_edges_mm[-1])
    height, radius = frame.height_and_radius()
    values = table(radius, height)
    size = max(grid.spacing_mm)
    ends = (height > pattern.z_edges_mm[0] - size) & (height < pattern.z_edges_mm[-1] + size)
    inner = 0.0
    for limit, count in SAMPLING:
        ring = np.flatnonzero(ends & (radius >= inner) & (radius < limit * size))
        values.ravel()[ring] = _sampled(table, frame, ring, count)
        inner = limit * size
    total = float(values.sum()) * grid.voxel_mm3 * 1e-9
    if total > 0:
        values *= pattern.absorbed_fraction / total
    out = np.zeros(grid.shape)
    first = np.maximum(frame.low, 0)
    last = np.minimum(frame.low + np.array(frame.shape), np.array(grid.shape))
    if (last > first).all():
        mine = tuple(slice(int(a - b), int(c - b)) for a, b, c in zip(first, frame.low, last))
        theirs = tuple(slice(int(a), int(c)) for a, c in zip(first, last))
        out[theirs] = values[mine]
        if conductivity is not None:
            out[theirs] = _scaled(out[theirs], pattern, height[mine], radius[mine], conductivity.array[theirs])
    return out.astype(np.float32)


def _sampled(table: _Table, frame: _Frame, voxels: Array, count: int) -> Array:
    """Return the mean of a table over the given voxels from ``count`` cubed points in each."""
    steps = (np.arange(count) + 0.5) / count - 0.5
    total = np.zeros(voxels.size)
    for dz in steps:
        for dy in steps:
            for dx in steps:
                height, radius = frame.height_and_radius(np.array([dz, dy, dx]), voxels)
                total += table(radius, height)
    return total / count**3


def _scaled(heating: Array, pattern: Pattern, height: Array, radius: Array, conductivity: Array) -> Array:
    """Return the heating scaled by local over assumed conductivity, with the same total."""
    rows = np.clip(np.searchsorted(pattern.z_edges_mm, height) - 1, 0, pattern.z_mm.size - 1)
    columns = np.clip(np.searchsorted(pattern.r_edges_mm, radius) - 1, 0, pattern.r_mm.size - 1)
    assumed = pattern.conductivity[rows, columns]
    new = heating * np.where(assumed > 0, conductivity / np.where(assumed > 0, assumed, 1.0), 1.0)
    total = float(new.sum())
    return cast(Array, new * (float(heating.sum()) / total) if total > 0 else heating)


def place_along_shaft(watt: float, from_mm: float, to_mm: float, pose: NeedlePose, grid: Grid) -> ScalarField:
    """Spread a power evenly along the shaft, for example what the line inside an uncooled shaft gives off.

    Parameters
    ----------
    watt : float
        Power over the whole length.
    from_mm, to_mm : float
        Where it is given off, behind the tip.
    pose : NeedlePose
        Where the needle lies.
    grid : Grid
        Voxels.

    Returns
    -------
    (z, y, x) array of float32
        Heating [W/m³]; what falls outside the grid is not in it.
    """
    count = max(1, int(np.ceil((to_mm - from_mm) / (0.2 * min(grid.spacing_mm)))))
    heights = from_mm + (np.arange(count) + 0.5) * (to_mm - from_mm) / count
    points = np.asarray(pose.tip_mm, float) - heights[:, None] * np.asarray(pose.direction)
    index = np.rint(grid.to_index(points)).astype(int)
    inside = ((index >= 0) & (index < np.array(grid.shape))).all(axis=1)
    out = np.zeros(grid.shape)
    np.add.at(out, tuple(index[inside].T), watt / count / (grid.voxel_mm3 * 1e-9))
    return out.astype(np.float32)


def medium_from(
    permittivity: Volume,
    conductivity: Volume,
    pose: NeedlePose,
    r_max_mm: float = 40.0,
    z_range_mm: tuple[float, float] = (-30.0, 70.0),
    step_mm: float = 1.0,
    angles: int = 24,
) -> Medium:
    """Return the tissue around a needle, averaged over the angle.

    The field lies in planes through the axis, so it is tangential to interfaces between sectors: the plain mean is the right one.

    Parameters
    ----------
    permittivity, conductivity : Volume
        Relative permittivity and conductivity [S/m] of each voxel; outside the grid its nearest voxel holds.
    pose : NeedlePose
        Where the needle lies.
    r_max_mm : float
        Largest radius.
    z_range_mm : (float, float)
        Heights behind the tip, negative ahead of it.
    step_mm : float
        Cell size.
    angles : int
        Samples round the axis.

    Returns
    -------
    Medium
        Cells (heights, radii).

    Raises
    ------
    InputError
        If the needle has no length.
    """
    grid = permittivity.grid
    backward = _frame(pose, grid, 1.0, 0.0, 1.0).backward
    helper = np.eye(3)[int(np.argmin(np.abs(backward)))]
    first = np.cross(backward, helper) / np.linalg.norm(np.cross(backward, helper))
    second = np.cross(backward, first)
    r = np.arange(0.5 * step_mm, r_max_mm, step_mm)
    z = np.arange(z_range_mm[0] + 0.5 * step_mm, z_range_mm[1], step_mm)
    phi = (np.arange(angles) + 0.5) * 2 * np.pi / angles
    ray = np.cos(phi)[:, None] * first + np.sin(phi)[:, None] * second
    points = np.asarray(pose.tip_mm) + z[:, None, None, None] * backward + r[None, :, None, None] * ray[None, None, :, :]
    index = np.moveaxis(grid.to_index(points), -1, 0)

    def averaged(volume: Volume) -> Array:
        sampled = ndimage.map_coordinates(volume.array.astype(np.float32), index, order=1, mode="nearest")
        return cast(Array, sampled.mean(axis=-1).astype(np.float64))

    return Medium(r, z, averaged(permittivity), averaged(conductivity))
