"""An image and where it lies: array and affine together, in patient LPS millimetres."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy import ndimage

from osteon.errors import ImageError

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Grid:
    """A lattice of voxel centres.

    Parameters
    ----------
    shape : tuple of int
        Number of voxels along z, y, x: slices, rows, columns.
    affine : tuple of tuple of float
        4 x 4, maps (column x, row y, slice z, 1) to LPS mm. Note the order: an array is indexed ``[z, y, x]``.
    """

    shape: tuple[int, int, int]
    affine: tuple[tuple[float, float, float, float], ...]

    @classmethod
    def of(cls, shape: tuple[int, ...], affine: Array) -> Grid:
        """Build a grid from a shape (z, y, x) and a 4 x 4 array."""
        matrix = np.asarray(affine, dtype=float)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
            raise ImageError(
                f"The affine {matrix.tolist()} is not an invertible 4 x 4 matrix.",
                "Without it no voxel has a place in the patient.",
                "Export the image again, or name the right header file.",
            )
        if len(shape) != 3 or min(shape) < 1:
            raise ImageError(f"The image has shape {shape}.", "osteon works on 3-D images.", "Give one 3-D volume.")
        rows = tuple(cast(tuple[float, float, float, float], tuple(float(v) for v in row)) for row in matrix)
        return cls((int(shape[0]), int(shape[1]), int(shape[2])), rows)

    @classmethod
    def box(cls, low_mm: Array, high_mm: Array, spacing_mm: float, axes: Array | None = None) -> Grid:
        """Return an isotropic grid that covers a box; ``axes`` (3 x 3, columns = x, y, z directions) tilts it.

        ``low_mm`` and ``high_mm`` are then coordinates along those axes.
        """
        rotation = np.eye(3) if axes is None else np.asarray(axes, dtype=float)
        low, high = np.asarray(low_mm, float), np.asarray(high_mm, float)
        count = np.maximum(np.ceil((high - low) / spacing_mm - 1e-9).astype(int) + 1, 1)
        affine = np.eye(4)
        affine[:3, :3] = rotation * spacing_mm
        affine[:3, 3] = rotation @ low
        return cls.of((int(count[2]), int(count[1]), int(count[0])), affine)

    @property
    def matrix(self) -> Array:
        """The affine as a 4 x 4 array."""
        return np.array(self.affine, dtype=float)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along z, y, x in mm, the order of the array."""
        x, y, z = np.linalg.norm(self.matrix[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel [mm³]."""
        return float(abs(np.linalg.det(self.matrix[:3, :3])))

    def to_mm(self, zyx: Array) -> Array:
        """Map indices (..., 3) in array order z, y, x to LPS mm (..., 3) in x, y, z."""
        matrix = self.matrix
        return cast(Array, np.asarray(zyx, float)[..., ::-1] @ matrix[:3, :3].T + matrix[:3, 3])

    def to_index(self, mm: Array) -> Array:
        """Map LPS mm (..., 3) to fractional indices (..., 3) in array order z, y, x."""
        matrix = self.matrix
        inverse = np.linalg.inv(matrix[:3, :3])
        return cast(Array, ((np.asarray(mm, float) - matrix[:3, 3]) @ inverse.T)[..., ::-1])

    def contains(self, mm: Array) -> Array:
        """Tell for LPS points (..., 3) whether they fall into a voxel of the grid."""
        index = self.to_index(mm)
        upper = np.array(self.shape) - 0.5
        return cast(Array, ((index >= -0.5) & (index < upper)).all(axis=-1))

    def corners_mm(self) -> Array:
        """Return the eight outer corner voxel centres (8, 3) in LPS mm."""
        z, y, x = (np.array([0, n - 1]) for n in self.shape)
        return self.to_mm(np.stack(np.meshgrid(z, y, x, indexing="ij"), axis=-1).reshape(-1, 3))

    def same_as(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Tell whether two grids have the same voxels in the same places."""
        return self.shape == other.shape and bool(np.abs(self.corners_mm() - other.corners_mm()).max() <= tolerance_mm)


@dataclass(frozen=True, eq=False)
class Volume:
    """An array ``[z, y, x]`` with its affine (index x, y, z to LPS mm). Masks are volumes of bool."""

    array: Array
    grid: Grid

    def __post_init__(self) -> None:
        if self.array.shape != self.grid.shape:
            raise ImageError(
                f"The array has shape {self.array.shape}, its grid {self.grid.shape}.",
                "Array and affine must belong together.",
                "Build the volume from the file that holds both.",
            )

    @classmethod
    def of(cls, array: Array, affine: Array) -> Volume:
        """Build a volume from an array (z, y, x) and a 4 x 4 affine."""
        return cls(array, Grid.of(array.shape, affine))

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along z, y, x [mm]."""
        return self.grid.spacing_mm

    def with_array(self, array: Array) -> Volume:
        """Return another array on the same grid."""
        return Volume(array, self.grid)

    def digest(self) -> str:
        """Return the sha256 of array, type and affine."""
        sha = hashlib.sha256(repr((self.array.dtype.str, self.grid.shape, self.grid.affine)).encode())
        sha.update(np.ascontiguousarray(self.array).tobytes())
        return sha.hexdigest()

    def canonical(self) -> Volume:
        """Return the same voxels with axes permuted and flipped to lie nearest to x = left, y = posterior, z = superior."""
        directions = self.grid.matrix[:3, :3] / np.linalg.norm(self.grid.matrix[:3, :3], axis=0)
        order = _best_axes(directions)  # order[p] = index axis (x, y, z) that lies nearest to patient axis p
        array = np.transpose(self.array, [2 - order[2], 2 - order[1], 2 - order[0]])
        affine = self.grid.matrix[:, [*order, 3]]
        for axis in range(3):
            if affine[axis, axis] < 0:
                count = array.shape[2 - axis]
                array = np.flip(array, axis=2 - axis)
                affine[:3, 3] += affine[:3, axis] * (count - 1)
                affine[:3, axis] *= -1
        return Volume.of(np.ascontiguousarray(array), affine)

    def crop(self, low_mm: Array, high_mm: Array) -> Volume:
        """Return the voxels whose centres lie in a box of index space that covers the LPS box ``low_mm``..``high_mm``.

        Raises
        ------
        ImageError
            If the box lies outside the image.
        """
        low, high = np.asarray(low_mm, float), np.asarray(high_mm, float)
        box = np.stack(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), -1).reshape(-1, 3)
        index = self.grid.to_index(box)
        start = np.clip(np.floor(index.min(0)).astype(int), 0, self.array.shape)
        stop = np.clip(np.ceil(index.max(0)).astype(int) + 1, 0, self.array.shape)
        if (stop <= start).any():
            raise ImageError(
                f"The box {low.tolist()} to {high.tolist()} mm lies outside the image.",
                "There is nothing to look at there.",
                "Check that lesion and image belong to the same study.",
            )
        affine = self.grid.matrix
        affine[:3, 3] = self.grid.to_mm(start.astype(float))
        window = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
        return Volume.of(self.array[window], affine)

    def resample(self, grid: Grid, order: int = 1, fill: float = 0.0) -> Volume:
        """Return the volume on another grid; masks stay bool (nearest neighbour), numbers are interpolated in float32.

        Parameters
        ----------
        grid : Grid
            The target lattice, any direction and spacing. No low-pass is applied.
        order : int
            Spline order, 0 or 1; masks use 0.
        fill : float
            Value outside this volume's voxels.
        """
        if grid == self.grid:
            return self
        is_mask = self.array.dtype == bool
        whole = np.issubdtype(self.array.dtype, np.integer) or is_mask
        step = np.linalg.inv(self.grid.matrix) @ grid.matrix  # index xyz -> index xyz
        flip = np.eye(3)[::-1]
        matrix, offset = flip @ step[:3, :3] @ flip, step[:3, 3][::-1]
        source = self.array.astype(np.uint8) if is_mask else self.array if whole else self.array.astype(np.float32)
        padded = np.pad(source, 1, mode="edge")  # a voxel is half a step wider than its centre
        out = ndimage.affine_transform(
            padded, matrix, offset + 1.0, output_shape=grid.shape, order=0 if whole else order, mode="constant", cval=fill
        )
        inside = _inside(self.grid, grid)
        if not whole or fill != 0:
            out = np.where(inside, out, np.asarray(fill, out.dtype))
        else:
            out = out * inside
        return Volume(out.astype(bool) if is_mask else out, grid)

    def sample(self, mm: Array, order: int = 1, fill: float = np.nan) -> Array:
        """Return the values at LPS points (..., 3); ``fill`` outside the image."""
        points = np.asarray(mm, float)
        index = np.moveaxis(self.grid.to_index(points.reshape(-1, 3)), -1, 0)
        order = 0 if self.array.dtype == bool else order
        values = ndimage.map_coordinates(self.array.astype(np.float32), index, order=order, mode="nearest")
        values = values.reshape(points.shape[:-1])
        return cast(Array, np.where(self.grid.contains(points), values, fill))

    def isotropic(self, spacing_mm: float, fill: float = 0.0) -> Volume:
        """Return the volume on an isotropic grid along its own axes."""
        canonical = self.canonical()
        directions = canonical.grid.matrix[:3, :3] / np.linalg.norm(canonical.grid.matrix[:3, :3], axis=0)
        along = canonical.grid.corners_mm() @ np.linalg.inv(directions).T
        grid = Grid.box(along.min(0), along.max(0), spacing_mm, directions)
        return canonical.resample(grid, fill=fill)


def _inside(source: Grid, target: Grid) -> Array:
    """Tell for every voxel of ``target`` whether its centre falls into a voxel of ``source``."""
    step = np.linalg.inv(source.matrix) @ target.matrix
    z, y, x = (np.arange(n, dtype=np.float64) for n in target.shape)
    keep = np.ones(target.shape, bool)
    for axis in range(3):  # source index axis x, y, z
        index = (
            step[axis, 0] * x[None, None, :] + step[axis, 1] * y[None, :, None] + step[axis, 2] * z[:, None, None] + step[axis, 3]
        )
        keep &= (index >= -0.5 - 1e-6) & (index < source.shape[2 - axis] - 0.5 + 1e-6)
    return keep


def _best_axes(directions: Array) -> list[int]:
    """Return for each patient axis the index axis nearest to it, each used once."""
    from itertools import permutations

    def agreement(order: Iterable[int]) -> float:
        order = tuple(order)
        return float(sum(abs(directions[axis, order[axis]]) for axis in range(3)))

    return list(max(permutations(range(3)), key=agreement))
