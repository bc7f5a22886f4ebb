"""The rotationally symmetric pattern of an antenna in a voxel grid, and the tissue of a voxel grid around an axis.

Putting a pattern into voxels keeps its power: what the pattern absorbs is what the voxels absorb, however the needle lies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any, cast

import numpy as np
from scipy import sparse
from scipy.interpolate import PchipInterpolator

from osteon.errors import InputError
from osteon.space.shapes import ScalarField
from osteon.space.volume import Grid, Volume
from osteon.treatments.base import NeedlePose
from osteon.treatments.microwave.antenna import Medium, Pattern
from osteon.treatments.microwave.surroundings import Surroundings

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

    def cell(self, r: Array, z: Array) -> Array:
        """Return the flat index of the cells at r, z; ``values.size`` outside."""
        row = np.floor((z - self.low_z) / self.step_z).astype(np.int32)
        column = (r / self.step_r).astype(np.int32)
        rows, columns = self.values.shape
        inside = (row >= 0) & (row < rows) & (column < columns)
        return np.where(inside, row * np.int32(columns) + column, np.int32(self.values.size))

    def centres(self) -> tuple[Array, Array]:
        """Return the radii and heights of the middles of its cells."""
        rows, columns = self.values.shape
        return (np.arange(columns) + 0.5) * self.step_r, self.low_z + (np.arange(rows) + 0.5) * self.step_z


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


def _blank(r: Array, z: Array) -> _Table:
    """Return the regular table of zeros that covers cells with these edges."""
    rows, columns = int(np.ceil((z[-1] - z[0]) / TABLE_MM)), int(np.ceil(r[-1] / TABLE_MM))
    return _Table(np.zeros((rows, columns)), float(z[0]), float((z[-1] - z[0]) / rows), float(r[-1] / columns))


def heating_table(pattern: Pattern) -> _Table:
    """Return the pattern on a regular table, by smooth monotone interpolation of its cumulated power, so that none is lost."""
    r, z = pattern.r_edges_mm, pattern.z_edges_mm
    blank = _blank(r, z)
    power = pattern.heating * np.pi * np.diff(r**2)[None, :] * np.diff(z)[:, None] * 1e-9
    fine_r, fine_z = np.linspace(0.0, r[-1], blank.values.shape[1] + 1), np.linspace(z[0], z[-1], blank.values.shape[0] + 1)
    for axis, (old, new) in enumerate(((z, fine_z), (r, fine_r))):
        total = np.concatenate([np.zeros_like(power.take([0], axis)), np.cumsum(power, axis)], axis)
        power = np.diff(PchipInterpolator(old, total, axis=axis)(new), axis=axis)
    ring = np.pi * np.diff(fine_r**2)[None, :] * np.diff(fine_z)[:, None] * 1e-9
    return replace(blank, values=power / ring)


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


class Placing:
    """How a pattern on given cells goes into the voxels round a needle; made once, then each pattern is put there quickly.

    Parameters
    ----------
    r_edges_mm, z_edges_mm : arrays
        Edges of the cells of the patterns.
    pose : NeedlePose
        Where the needle lies.
    grid : Grid
        Voxels; may be oblique, anisotropic or mirrored.

    Raises
    ------
    InputError
        If the needle has no length.
    """

    def __init__(self, r_edges_mm: Array, z_edges_mm: Array, pose: NeedlePose, grid: Grid) -> None:
        frame = _frame(pose, grid, r_edges_mm[-1], z_edges_mm[0], z_edges_mm[-1])
        height, radius = frame.height_and_radius()
        blank = _blank(r_edges_mm, z_edges_mm)
        self.grid, cells = grid, blank.values.size
        size = max(grid.spacing_mm)
        ends = (height > z_edges_mm[0] - size) & (height < z_edges_mm[-1] + size)
        near = np.flatnonzero(ends & (radius < SAMPLING[-1][0] * size))
        far = blank.cell(radius, height)
        far.ravel()[near] = cells  # the cell of nothing
        inner, rings = 0.0, []
        for limit, count in SAMPLING:
            mine = near[(radius.ravel()[near] >= inner) & (radius.ravel()[near] < limit * size)]
            rings.append((mine, _samples(blank, frame, mine, count)))
            inner = limit * size
        # what the whole lattice, continued beyond the grid, takes of each cell
        self.taken = np.bincount(far.ravel(), minlength=cells + 1)[:cells].astype(float)
        for _, samples in rings:
            self.taken += np.asarray(samples.sum(axis=0)).ravel()[:cells]
        first = np.maximum(frame.low, 0)
        last = np.maximum(np.minimum(frame.low + np.array(frame.shape), np.array(grid.shape)), first)
        self.box = tuple(slice(int(a), int(c)) for a, c in zip(first, last))
        mine_box = tuple(slice(int(a - b), int(c - b)) for a, b, c in zip(first, frame.low, last))
        self.far = np.ascontiguousarray(far[mine_box]).astype(np.int32)
        place_of = np.full(far.shape, -1, np.int32)
        place_of[mine_box] = np.arange(self.far.size, dtype=np.int32).reshape(self.far.shape)
        places = [place_of.ravel()[mine] for mine, _ in rings]
        self.near = np.concatenate([place[place >= 0] for place in places])
        self.samples = sparse.vstack([samples[place >= 0] for place, (_, samples) in zip(places, rings)]).tocsr()
        self.cell = _cell_of(r_edges_mm, z_edges_mm, radius[mine_box], height[mine_box])
        fine_r, fine_z = blank.centres()
        self.cell_of_table = _cell_of(r_edges_mm, z_edges_mm, fine_r[None, :], fine_z[:, None]).ravel()

    def __call__(self, pattern: Pattern, conductivity: Array | None = None) -> Array:
        """Return the heating [W/m³ per incident watt], float32; see ``place``."""
        table = heating_table(pattern).values.ravel()
        out = np.zeros(self.grid.shape, np.float32)
        total = float(self.taken @ table) * self.grid.voxel_mm3 * 1e-9
        if not self.far.size or total <= 0:
            return out
        table = np.append(table * (pattern.absorbed_fraction / total), 0.0)
        values = table[self.far]
        values.reshape(-1)[self.near] = self.samples @ table
        if conductivity is not None:
            values = _scaled(values, self._assumed(pattern), conductivity[self.box])
        out[self.box] = values
        return out

    def _assumed(self, pattern: Pattern) -> Array:
        """Return the conductivity that the pattern assumed in each voxel; near the axis the mean over the tissue within it."""
        assumed = np.asarray(pattern.conductivity.ravel()[self.cell])
        table = np.append(pattern.conductivity.ravel()[self.cell_of_table], 0.0)
        tissue = self.samples @ (table > 0).astype(float)
        assumed.reshape(-1)[self.near] = (self.samples @ table) / np.where(tissue > 0, tissue, 1.0)
        return assumed


def _cell_of(r_edges: Array, z_edges: Array, r: Array, z: Array) -> Array:
    """Return the flat index of the cells (heights, radii) at r, z, or of the nearest one."""
    rows = np.clip(np.searchsorted(z_edges, z) - 1, 0, z_edges.size - 2)
    columns = np.clip(np.searchsorted(r_edges, r) - 1, 0, r_edges.size - 2)
    return np.asarray(rows * (r_edges.size - 1) + columns, np.int32)


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
    placing = Placing(pattern.r_edges_mm, pattern.z_edges_mm, pose, grid)
    return placing(pattern, None if conductivity is None else conductivity.array)


def _samples(table: _Table, frame: _Frame, voxels: Array, count: int) -> Any:
    """Return the matrix (voxels, cells + 1) that takes the mean of a table over ``count`` cubed points in each voxel."""
    steps = (np.arange(count) + 0.5) / count - 0.5
    columns = []
    for offset in product(steps, repeat=3):
        height, radius = frame.height_and_radius(np.array(offset), voxels)
        columns.append(table.cell(radius, height))
    cells = table.values.size + 1
    rows = np.tile(np.arange(voxels.size, dtype=np.int32), len(columns))
    where = (rows, np.concatenate(columns) if voxels.size else np.empty(0, np.int32))
    weights = np.full(rows.size, 1.0 / count**3)
    return sparse.coo_matrix((weights, where), shape=(voxels.size, cells)).tocsr()


def _scaled(heating: Array, assumed: Array, conductivity: Array) -> Array:
    """Return the heating scaled by local over assumed conductivity, with the same total."""
    new = heating * np.where(assumed > 0, conductivity / np.where(assumed > 0, assumed, 1.0), conductivity > 0)
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

    See ``Surroundings``, which is made once where the same needle is asked again.

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
    _frame(pose, permittivity.grid, 1.0, 0.0, 1.0)  # refuses a needle without length
    around = Surroundings(permittivity.grid, pose, r_max_mm, z_range_mm, step_mm, angles)
    return around.medium(permittivity.array, conductivity.array)
