"""Distances in millimetres, straight paths through the patient, and the skin that was really imaged.

Everything here takes grids of any direction and spacing, as long as their axes are at right angles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import edt
import numpy as np
from scipy import ndimage

from osteon.errors import ImageError, NotOutlinedError
from osteon.space.gaps import Point as Point
from osteon.space.gaps import edge_distance as edge_distance
from osteon.space.gaps import gap_mm as gap_mm
from osteon.space.gaps import refuse_shear
from osteon.space.volume import Array, CompactMask, Grid, Volume


def distance_to(mask: Volume) -> Volume:
    """Return the distance of every voxel centre to the nearest voxel centre of a mask.

    Parameters
    ----------
    mask : Volume of bool
        On a grid with axes at right angles; spacing may differ along z, y, x.

    Returns
    -------
    Volume of float32
        Millimetres, 0 inside, infinite everywhere where the mask is empty.

    Raises
    ------
    ImageError
        If the axes of the grid are not at right angles: the distance transform would be wrong without notice.
    """
    refuse_shear(mask.grid)
    inside = mask.array
    if not inside.any():
        return mask.with_array(np.full(mask.grid.shape, np.inf, np.float32))
    outside = np.ascontiguousarray(~inside.astype(bool, copy=False))
    found = edt.edt(outside, anisotropy=mask.spacing_mm, black_border=False, parallel=1)
    return mask.with_array(found.astype(np.float32, copy=False))


def signed_distance(mask: Volume) -> Volume:
    """Return the distance to the boundary of a mask, negative inside.

    The boundary lies half the smallest voxel edge from the outermost voxel centres: exact for faces of isotropic voxels, else
    within half the largest voxel edge. The edge of the image is no boundary.

    Parameters
    ----------
    mask : Volume of bool
        On a grid with axes at right angles.

    Returns
    -------
    Volume of float32
        Millimetres; +inf everywhere for an empty mask, -inf for one that fills the grid.

    Raises
    ------
    ImageError
        If the axes of the grid are not at right angles.
    """
    half = min(mask.spacing_mm) / 2.0
    inside = mask.array.astype(bool)
    outer = distance_to(mask).array
    inner = distance_to(mask.with_array(~inside)).array
    return mask.with_array(np.where(inside, half - inner, outer - half).astype(np.float32))


def clearance(distances: Volume, start_mm: Sequence[float], end_mm: Sequence[float], step_mm: float = 0.75) -> float:
    """Return the least value of a distance map along one segment; see ``clearances``."""
    return float(clearances(distances, np.asarray([start_mm], float), np.asarray([end_mm], float), step_mm)[0])


def clearances(distances: Volume, start_mm: Array, end_mm: Array, step_mm: float = 0.75) -> Array:
    """Return the least value of a distance map along segments.

    Parameters
    ----------
    distances : Volume of float32
        From ``distance_to`` or ``signed_distance`` [mm].
    start_mm, end_mm : array (n, 3)
        Ends in LPS mm.
    step_mm : float
        Largest distance between samples (trilinear).

    Returns
    -------
    array (n,)
        Millimetres. A sample outside the grid counts as 0: what is not imaged is not free.

    Raises
    ------
    ImageError
        If the step is not positive.
    """
    start, end, counts, _ = _segments(distances.grid, start_mm, end_mm, step_mm)
    values = np.ascontiguousarray(distances.array, np.float32)
    from osteon.space import paths_kernels  # the compiler is loaded by whoever walks through an image

    return cast(Array, paths_kernels.least_values(values, start, end, counts))


def crossing(mask: Volume, start_mm: Array, end_mm: Array, step_mm: float = 0.5) -> Array:
    """Return how many millimetres of each segment lie inside a mask.

    Parameters
    ----------
    mask : Volume of bool
        What is crossed; outside the grid nothing is.
    start_mm, end_mm : array (n, 3)
        Ends in LPS mm.
    step_mm : float
        Largest sampling step; the error per border crossed is at most half of it.

    Returns
    -------
    array (n,)
        Millimetres inside.

    Raises
    ------
    ImageError
        If the step is not positive.
    """
    start, end, counts, length = _segments(mask.grid, start_mm, end_mm, step_mm)
    inside = np.ascontiguousarray(mask.array.astype(bool)).view(np.uint8)
    from osteon.space import paths_kernels

    return cast(Array, paths_kernels.lengths_inside(inside, start, end, counts, length))


def first_entry(mask: Volume, start_mm: Sequence[float], direction: Sequence[float], step_mm: float = 0.5) -> Point | None:
    """Return where a ray first enters a mask, to a hundredth of the step; None where it leaves the grid without.

    Parameters
    ----------
    mask : Volume of bool
        What is looked for; a ray that starts inside has entered at its start.
    start_mm : (3,)
        Start in LPS mm; may lie outside the grid.
    direction : (3,)
        Any length but zero, LPS.
    step_mm : float
        Walking step; a wall thinner than this may be missed.

    Returns
    -------
    tuple or None
        LPS mm.

    Raises
    ------
    ImageError
        If the direction is zero or the step not positive.
    """
    points, unit, step = _walk(mask.grid, start_mm, direction, step_mm)
    inside = mask.sample(points, fill=0.0) > 0.5
    if not inside.any():
        return None
    hit = int(np.argmax(inside))
    low, high = (0.0, 0.0) if hit == 0 else (-step, 0.0)
    while high - low > step / 100:
        middle = (low + high) / 2
        if bool(mask.sample((points[hit] + middle * unit)[None], fill=0.0)[0] > 0.5):
            high = middle
        else:
            low = middle
    x, y, z = points[hit] + high * unit
    return float(x), float(y), float(z)


def leaves_imaged(
    body: Volume, imaged: Volume, start_mm: Sequence[float], direction: Sequence[float], step_mm: float = 1.0
) -> bool:
    """Tell whether a ray from inside the body leaves the imaged region before it meets imaged air outside the body.

    Parameters
    ----------
    body, imaged : Volume of bool
        On one grid; the body holds its own gas (filled).
    start_mm, direction : (3,)
        From where and whither, LPS.
    step_mm : float
        Walking step.

    Returns
    -------
    bool
        True: the skin in this direction is not imaged, so nothing may enter from there.

    Raises
    ------
    ImageError
        If the direction is zero or the step not positive.
    """
    points, _, _ = _walk(body.grid, start_mm, direction, step_mm)
    seen = imaged.sample(points, fill=0.0) > 0.5
    air = seen & ~(body.sample(points, fill=0.0) > 0.5)
    first_air = int(np.argmax(air)) if air.any() else len(points)
    return bool((~seen[:first_air]).any()) or first_air == len(points)


def skin(body: Volume, imaged: Volume) -> Volume:
    """Return the outermost voxels of the body that are really imaged skin.

    A body voxel is skin where a face neighbour is imaged and not body. At the border of the image, or next to padding, the
    body goes on unseen: those voxels are not skin.

    Parameters
    ----------
    body, imaged : Volume of bool
        On one grid.

    Returns
    -------
    Volume of bool
        One voxel thick.
    """
    box = body.box()
    if box is None:
        return CompactMask(np.zeros((0, 0, 0), bool), body.grid, (0, 0, 0))
    z, y, x = (slice(max(s.start - 1, 0), min(s.stop + 1, n)) for s, n in zip(box, body.grid.shape, strict=True))
    inside = body.part((z, y, x)).astype(bool, copy=False)
    air = imaged.part((z, y, x)).astype(bool, copy=False) & ~inside
    beside = np.zeros(air.shape, bool)
    for axis in range(3):
        there, here = np.moveaxis(beside, axis, 0), np.moveaxis(air, axis, 0)
        there[1:] |= here[:-1]
        there[:-1] |= here[1:]
    return CompactMask(inside & beside, body.grid, (z.start, y.start, x.start))


def unseen_edge(mask: Volume, imaged: Volume) -> Volume:
    """Return the voxels of a mask where it may go on unseen: at the border of the grid or next to what is not imaged.

    Parameters
    ----------
    mask, imaged : Volume of bool
        On one grid.

    Returns
    -------
    Volume of bool
        Empty where the mask lies whole within the image.
    """
    box = mask.box()
    if box is None:
        return CompactMask(np.zeros((0, 0, 0), bool), mask.grid, (0, 0, 0))
    shape = mask.grid.shape
    z, y, x = (slice(max(s.start - 1, 0), min(s.stop + 1, n)) for s, n in zip(box, shape, strict=True))
    seen = imaged.part((z, y, x)).astype(bool, copy=False)
    unseen = np.zeros(seen.shape, bool)
    for axis, (window, count) in enumerate(zip((z, y, x), shape, strict=True)):
        faces = np.moveaxis(unseen, axis, 0)
        faces[0] |= window.start == 0
        faces[-1] |= window.stop == count
    if not seen.all():
        unseen |= ndimage.binary_dilation(~seen, ndimage.generate_binary_structure(3, 1))
    return CompactMask(mask.part((z, y, x)).astype(bool) & unseen, mask.grid, (z.start, y.start, x.start))


def surface_points(mask: Volume, step_mm: float = 2.0) -> tuple[Array, Array]:
    """Return points on the surface of a mask, about ``step_mm`` apart, with outward normals.

    The surface is open where the mask touches the border of the grid: there it is cut, not bounded.

    Parameters
    ----------
    mask : Volume of bool
        Not empty.
    step_mm : float
        One point is kept per cube of this edge.

    Returns
    -------
    points, normals : array (n, 3)
        LPS mm, unit vectors.

    Raises
    ------
    NotOutlinedError
        If the mask is empty.
    """
    from osteon.space.mesh import isosurface, normals_from_gradient

    vertices, _ = isosurface(mask, close=False)
    if len(vertices) == 0:
        raise NotOutlinedError(
            "The outline is empty or fills the whole grid.",
            "It has no surface to sample.",
            "Outline the structure, or crop less.",
        )
    normals = normals_from_gradient(mask, vertices)
    cell = np.floor((vertices - vertices.min(0)) / step_mm).astype(np.int64)
    _, first = np.unique(cell, axis=0, return_index=True)
    keep = np.sort(first)
    return vertices[keep], normals[keep]


def _segments(grid: Grid, start_mm: Array, end_mm: Array, step_mm: float) -> tuple[Array, Array, Array, Array]:
    _refuse_step(step_mm)
    first, last = np.atleast_2d(np.asarray(start_mm, float)), np.atleast_2d(np.asarray(end_mm, float))
    first, last = np.broadcast_arrays(first, last)
    length = np.linalg.norm(last - first, axis=1)
    counts = np.maximum(np.ceil(length / step_mm).astype(np.int64), 1)
    return np.ascontiguousarray(grid.to_index(first)), np.ascontiguousarray(grid.to_index(last)), counts, length


def _walk(grid: Grid, start_mm: Sequence[float], direction: Sequence[float], step_mm: float) -> tuple[Array, Array, float]:
    _refuse_step(step_mm)
    start, way = np.asarray(start_mm, float), np.asarray(direction, float)
    norm = float(np.linalg.norm(way))
    if norm < 1e-12:
        raise ImageError(
            f"The direction {list(direction)} has no length.", "A ray needs a direction.", "Give a vector that is not zero."
        )
    unit = way / norm
    farthest = float(np.linalg.norm(grid.corners_mm() - start, axis=1).max()) + max(grid.spacing_mm)
    count = int(np.ceil(farthest / step_mm)) + 1
    return start + np.arange(count)[:, None] * step_mm * unit, unit, step_mm


def _refuse_step(step_mm: float) -> None:
    if not step_mm > 0:
        raise ImageError(f"The step is {step_mm} mm.", "A path is sampled in steps.", "Give a positive step in mm.")
