"""An image and where it lies: array and affine together, in patient LPS millimetres."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy import ndimage

from osteon.errors import ImageError

Array = np.ndarray[Any, np.dtype[Any]]
Window = tuple[slice, slice, slice]


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

    def nearest_axes(self) -> list[int]:
        """Return for each patient axis (left, posterior, superior) the index axis (x, y, z) that lies nearest to it."""
        return _best_axes(self.matrix[:3, :3] / np.linalg.norm(self.matrix[:3, :3], axis=0))

    @property
    def is_canonical(self) -> bool:
        """Whether x, y and z run nearest to left, posterior and superior, in that order."""
        return self.nearest_axes() == [0, 1, 2] and bool((np.diag(self.matrix)[:3] > 0).all())

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

    @property
    def is_mask(self) -> bool:
        """Whether the voxels are bool."""
        return bool(self.array.dtype == bool)

    def with_array(self, array: Array) -> Volume:
        """Return another array on the same grid."""
        return Volume(array, self.grid)

    @property
    def kept(self) -> Array:
        """The array that is held in memory."""
        return self.array

    def box(self) -> Window | None:
        """Return the least index window that holds every voxel that is not 0; None where all are."""
        return box_of(self.array)

    def centre_mm(self) -> Array:
        """Return the mean place (3,) of the voxels that are not 0, LPS mm; not a number where all are."""
        box = self.box()
        if box is None:
            return np.full(3, np.nan)
        return self.grid.to_mm(np.argwhere(self.part(box)).mean(axis=0) + np.array([s.start for s in box]))

    def part(self, window: Window) -> Array:
        """Return the array within an index window; it may be a view, so nobody writes to it."""
        return self.array[window]

    def compact(self) -> Volume:
        """Return a mask that keeps no more than its box: for an outline that fills little of a large grid; an image as it is."""
        return CompactMask(self.array, self.grid) if self.is_mask else self

    def digest(self) -> str:
        """Return the sha256 of array, type and affine."""
        sha = hashlib.sha256(repr((self.array.dtype.str, self.grid.shape, self.grid.affine)).encode())
        sha.update(np.ascontiguousarray(self.array).tobytes())
        return sha.hexdigest()

    def canonical(self) -> Volume:
        """Return the same voxels with axes permuted and flipped to lie nearest to x = left, y = posterior, z = superior."""
        order = self.grid.nearest_axes()
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
        z, y, x = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
        return Volume.of(self.part((z, y, x)), affine)

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
        array, is_mask = self.array, self.is_mask
        whole = np.issubdtype(array.dtype, np.integer) or is_mask
        step = np.linalg.inv(self.grid.matrix) @ grid.matrix  # index xyz -> index xyz
        flip = np.eye(3)[::-1]
        matrix, offset = flip @ step[:3, :3] @ flip, step[:3, 3][::-1]
        source = array.astype(np.uint8) if is_mask else array if whole else array.astype(np.float32)
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
        if order == 0 or self.is_mask:
            upper = np.array(self.grid.shape)[:, None] - 1
            values = self._at(np.clip(np.floor(np.nan_to_num(index) + 0.5), 0, upper).astype(np.intp)).astype(np.float32)
        else:
            values = ndimage.map_coordinates(self.array.astype(np.float32, copy=False), index, order=order, mode="nearest")
        values = values.reshape(points.shape[:-1])
        return cast(Array, np.where(self.grid.contains(points), values, fill))

    def _at(self, index: Array) -> Array:
        """Return the values at whole indices (3, n) that lie within the grid."""
        z, y, x = index
        return cast(Array, self.array[z, y, x])

    def isotropic(self, spacing_mm: float, fill: float = 0.0) -> Volume:
        """Return the volume on an isotropic grid along its own axes."""
        canonical = self.canonical()
        directions = canonical.grid.matrix[:3, :3] / np.linalg.norm(canonical.grid.matrix[:3, :3], axis=0)
        along = canonical.grid.corners_mm() @ np.linalg.inv(directions).T
        grid = Grid.box(along.min(0), along.max(0), spacing_mm, directions)
        return canonical.resample(grid, fill=fill)


class CompactMask(Volume):
    """A mask of which only the window that holds its true voxels is kept; a ``Volume`` like any other to whoever reads it.

    ``array`` is made anew at each access and not kept: what is only a part of it is asked for with ``box`` and ``part``.
    A scan of 512 x 512 x 500 voxels with 76 outlines takes 10 GB as full arrays, and 0.3 GB so.

    Parameters
    ----------
    array : ndarray of bool (z, y, x)
        On the whole grid; or with ``start`` only a window of it.
    grid : Grid
        Of the whole.
    start : (z, y, x), optional
        Where the window begins.
    """

    inside: Array
    start: tuple[int, int, int]

    def __init__(self, array: Array, grid: Grid, start: tuple[int, int, int] | None = None) -> None:
        if start is None:
            Volume(array, grid)  # refuses an array of another shape than its grid
        box = box_of(array)
        z, y, x = start or (0, 0, 0)
        if box is None:
            kept, first = np.zeros((0, 0, 0), bool), (0, 0, 0)
        else:
            kept = array[box]
            kept = np.array(kept, bool) if kept.shape != array.shape or array.dtype != bool else array
            first = (z + box[0].start, y + box[1].start, x + box[2].start)
        if any(a < 0 or a + n > m for a, n, m in zip(first, kept.shape, grid.shape, strict=True)):
            raise ImageError(
                f"A mask's window of {kept.shape} voxels at {first} does not lie within its grid of {grid.shape}.",
                "Its voxels would be in the wrong place.",
                "Give window and start in array order z, y, x.",
            )
        for name, value in (("inside", kept), ("start", first), ("grid", grid)):
            object.__setattr__(self, name, value)

    def as_stored(self) -> tuple[str, dict[str, object]]:
        """Return the name under which the cache builds it again, and with what."""
        return f"{__name__}:CompactMask", {"array": self.inside, "grid": self.grid, "start": self.start}

    @property
    def _window(self) -> Window:
        z, y, x = (slice(a, a + n) for a, n in zip(self.start, self.inside.shape, strict=True))
        return z, y, x

    @property
    def array(self) -> Array:
        """The mask on its whole grid, made at each access."""
        out = np.zeros(self.grid.shape, bool)
        out[self._window] = self.inside
        return out

    @property
    def is_mask(self) -> bool:
        """Whether the voxels are bool: yes."""
        return True

    @property
    def kept(self) -> Array:
        """The array that is held in memory: the window."""
        return self.inside

    def box(self) -> Window | None:
        """Return the index window that is kept; None where the mask is empty."""
        return self._window if self.inside.size else None

    def part(self, window: Window) -> Array:
        """Return the mask within an index window (no steps), made from what is kept."""
        if window == self._window:
            return self.inside
        asked = [slice(*s.indices(n)[:2]) for s, n in zip(window, self.grid.shape, strict=True)]
        out = np.zeros([max(s.stop - s.start, 0) for s in asked], bool)
        shared = [(max(s.start, k.start), min(s.stop, k.stop)) for s, k in zip(asked, self._window, strict=True)]
        if all(low < high for low, high in shared):
            there = tuple(slice(low - s.start, high - s.start) for (low, high), s in zip(shared, asked, strict=True))
            here = tuple(slice(low - k, high - k) for (low, high), k in zip(shared, self.start, strict=True))
            out[there] = self.inside[here]
        return out

    def _at(self, index: Array) -> Array:
        """Return the values at whole indices (3, n) that lie within the grid."""
        moved = index - np.array(self.start)[:, None]
        kept = ((moved >= 0) & (moved < np.array(self.inside.shape)[:, None])).all(axis=0)
        z, y, x = moved[:, kept]
        out = np.zeros(index.shape[1], bool)
        out[kept] = self.inside[z, y, x]
        return out

    def canonical(self) -> Volume:
        """Return the same voxels with axes permuted and flipped to lie nearest to x = left, y = posterior, z = superior."""
        return self if self.grid.is_canonical else super().canonical().compact()

    def compact(self) -> Volume:
        """Return this: it is compact."""
        return self


def box_of(array: Array) -> Window | None:
    """Return the least index window that holds every entry of a 3-D array that is not 0; None where all are."""
    found = [slice(0, n) for n in array.shape]
    for axis in range(3):  # slices first: the other axes are then searched within few of them
        places = np.flatnonzero(array[tuple(found)].any(axis=tuple(a for a in range(3) if a != axis)))
        if len(places) == 0:
            return None
        found[axis] = slice(int(places[0]), int(places[-1]) + 1)
    return found[0], found[1], found[2]


def union_of(masks: Sequence[Volume]) -> CompactMask:
    """Return the union of masks (at least one) of one grid."""
    boxes = [box for mask in masks if (box := mask.box()) is not None]
    if not boxes:
        return CompactMask(np.zeros((0, 0, 0), bool), masks[0].grid, (0, 0, 0))
    z, y, x = (slice(min(b[a].start for b in boxes), max(b[a].stop for b in boxes)) for a in range(3))
    joined = np.zeros((z.stop - z.start, y.stop - y.start, x.stop - x.start), bool)
    for mask in masks:
        joined |= mask.part((z, y, x)).astype(bool, copy=False)
    return CompactMask(joined, masks[0].grid, (z.start, y.start, x.start))


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
