"""How far two outlines are from each other, and an outline from where the image ends."""

from __future__ import annotations

from typing import cast

import numpy as np
from scipy import ndimage

from osteon.errors import ImageError
from osteon.space.volume import Array, Grid, Volume, Window

Point = tuple[float, float, float]


def gap_mm(one: Volume, other: Volume) -> tuple[float, Point, Point] | None:
    """Return the least distance between the surfaces of two masks, and the voxels where it is.

    Between the two nearest voxel centres, less half a voxel along that line at either end; the error is about half a voxel.

    Parameters
    ----------
    one, other : Volume of bool
        On one grid with axes at right angles.

    Returns
    -------
    tuple or None
        (millimetres, point in ``one``, point in ``other``), LPS; 0 where they touch or overlap; None where one is empty.

    Raises
    ------
    ImageError
        If the axes of the grid are not at right angles.
    """
    from scipy.spatial import cKDTree

    refuse_shear(one.grid)
    if not one.grid.same_as(other.grid):
        raise ImageError(
            "The two outlines lie on different grids.", "Their voxels cannot be compared.", "Resample one to the other's grid."
        )
    if one.box() is None or other.box() is None:
        return None
    overlap = _overlap(one, other)
    if overlap is not None:
        place = _point(one.grid.to_mm(overlap))
        return 0.0, place, place
    spacing = np.array(one.spacing_mm)
    reach = _no_farther(one, other)
    a, b = _shell_places(one, other, reach), _shell_places(other, one, reach)
    few, many = (a, b) if len(a) <= len(b) else (b, a)
    distance, index = cKDTree(few * spacing).query(many * spacing)
    nearest = int(np.argmin(distance))
    pair = (few[index[nearest]], many[nearest])
    start, end = pair if len(a) <= len(b) else (pair[1], pair[0])
    steps = float(np.linalg.norm(end - start))
    millimetres = float(distance[nearest]) * (1.0 - 1.0 / steps)
    return millimetres, _point(one.grid.to_mm(start)), _point(one.grid.to_mm(end))


def edge_distance(mask: Volume, imaged: Volume) -> float:
    """Return how far a mask is from the nearest place that was not imaged, by the faces of the image and by padding [mm].

    Parameters
    ----------
    mask, imaged : Volume of bool
        On one grid with axes at right angles.

    Returns
    -------
    float
        0 where the mask touches the edge or is empty.

    Raises
    ------
    ImageError
        If the axes of the grid are not at right angles.
    """
    box = mask.box()
    if box is None:
        return 0.0
    spacing, shape = mask.spacing_mm, mask.grid.shape
    faces = min(
        min(window.start * step, (count - window.stop) * step) for window, step, count in zip(box, spacing, shape, strict=True)
    )
    padding = imaged.with_array(~imaged.array.astype(bool))
    found = gap_mm(mask, padding) if padding.array.any() else None
    return float(faces if found is None else min(faces, found[0]))


def _overlap(one: Volume, other: Volume) -> Array | None:
    """Return the first voxel that two masks share; None where there is none."""
    first, second = one.box(), other.box()
    if first is None or second is None:
        return None
    z, y, x = (slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(first, second, strict=True))
    if any(s.stop <= s.start for s in (z, y, x)):
        return None
    both = one.part((z, y, x)).astype(bool) & other.part((z, y, x)).astype(bool)
    if not both.any():
        return None
    return cast(Array, np.argwhere(both)[0] + np.array([z.start, y.start, x.start], float))


def _no_farther(one: Volume, other: Volume) -> float:
    """Return the distance of two voxel centres of two masks that are not empty, found among a few: the least is no greater."""
    from scipy.spatial import cKDTree

    spacing = np.array(one.spacing_mm)
    found = []
    for mask in (one, other):
        box = cast(Window, mask.box())
        part = mask.part(box)
        step = max(1, max(part.shape) // 12)
        few = np.argwhere(part[::step, ::step, ::step]) * step
        places = few if len(few) else np.array([np.unravel_index(int(np.argmax(part != 0)), part.shape)])
        found.append((places + np.array([s.start for s in box])) * spacing)
    return float(cKDTree(found[0]).query(found[1])[0].min())


def _shell_places(mask: Volume, other: Volume, reach_mm: float) -> Array:
    """Return the indices (n, 3) of the outermost voxels of a mask that lie within reach of the box of another.

    Where the reach cuts the mask, voxels from its inside are among them; one of its outermost is always nearer to the other.
    """
    own, box = cast(Window, mask.box()), cast(Window, other.box())
    wide = [int(np.ceil(reach_mm / step)) + 1 for step in mask.spacing_mm]
    z, y, x = (slice(max(s.start, t.start - w), min(s.stop, t.stop + w)) for s, t, w in zip(own, box, wide, strict=True))
    return cast(
        Array, np.argwhere(_shell(mask.part((z, y, x)).astype(bool, copy=False))) + np.array([z.start, y.start, x.start], float)
    )


def _shell(inside: Array) -> Array:
    """Return the voxels of a mask that have a face neighbour outside it; the border of the array counts as outside."""
    return cast(Array, inside & ~ndimage.binary_erosion(inside, ndimage.generate_binary_structure(3, 1)))


def _point(mm: Array) -> Point:
    return float(mm[0]), float(mm[1]), float(mm[2])


def refuse_shear(grid: Grid) -> None:
    """Refuse a grid whose axes are not at right angles.

    Raises
    ------
    ImageError
        If they are not: distances along them would be wrong without notice.
    """
    directions = grid.matrix[:3, :3] / np.linalg.norm(grid.matrix[:3, :3], axis=0)
    if np.abs(directions.T @ directions - np.eye(3)).max() > 1e-3:
        raise ImageError(
            "The axes of the image are not at right angles (a tilted gantry?).",
            "Distances computed along its axes would be wrong without notice.",
            "Resample the image to a straight grid first (Volume.resample).",
        )
