"""A gantry tilt taken out: slices that slide sideways from one to the next are shifted back within their own planes.

Nothing is interpolated across slices, so slice planes stay where they were and contours drawn on them still fit.
"""

from __future__ import annotations

import numpy as np

from osteon.space.volume import Array

LEAST_SHIFT = 0.02
"""Shift over the whole stack, in pixels, below which nothing is moved."""
SQUARE_COSINE = 0.01
"""Two axes count as perpendicular up to this cosine."""


def is_sheared(affine: Array) -> bool:
    """Tell whether the axes of an affine are not at right angles (cosine above 0.01)."""
    return bool(np.abs(_cosines(affine) - np.eye(3)).max() > SQUARE_COSINE)


def slice_axis(affine: Array) -> int | None:
    """Return the index axis (0 = x, 1 = y, 2 = z) that leans while the other two are perpendicular; None if there is none."""
    cosines = np.abs(_cosines(affine))
    for axis in (2, 1, 0):
        others = [a for a in range(3) if a != axis]
        if cosines[others[0], others[1]] <= SQUARE_COSINE:
            return axis
    return None


def lean_degrees(affine: Array) -> float:
    """Return the angle between the step from slice to slice and the slices' normal [degrees]."""
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    cosine = abs(float(normal @ affine[:3, 2])) / float(np.linalg.norm(normal) * np.linalg.norm(affine[:3, 2]))
    return float(np.degrees(np.arccos(min(cosine, 1.0))))


def straighten(array: Array, imaged: Array, affine: Array, fill: float) -> tuple[Array, Array, Array]:
    """Resample a stack whose slices slide sideways onto a grid with right angles.

    Parameters
    ----------
    array : ndarray, shape (z, y, x)
        Numbers are interpolated linearly along rows and columns; whole numbers and bool take the nearest pixel.
    imaged : ndarray of bool, shape (z, y, x)
        A voxel of the result is imaged where every pixel that it is made of was.
    affine : ndarray, shape (4, 4)
        Index (x, y, z) to mm; x and y perpendicular, z leaning.
    fill : float
        Value where nothing was imaged.

    Returns
    -------
    tuple of ndarray
        Array (wider where slices slid), imaged, affine.
    """
    slices = array.shape[0]
    size = np.linalg.norm(affine[:3, :2], axis=0)
    shift = [float(affine[:3, 2] @ affine[:3, a] / size[a] ** 2) for a in range(2)]  # pixels per slice along x, y
    shift = [s if abs(s) * (slices - 1) > LEAST_SHIFT else 0.0 for s in shift]
    low = [int(np.floor(min(0.0, s * (slices - 1)) + 1e-6)) for s in shift]
    high = [int(np.ceil(max(0.0, s * (slices - 1)) - 1e-6)) for s in shift]
    shape = (slices, array.shape[1] + high[1] - low[1], array.shape[2] + high[0] - low[0])
    out = np.full(shape, fill, array.dtype)
    seen = np.zeros(shape, bool)
    for k in range(slices):
        plane, known = array[k], imaged[k]
        for axis in (1, 0):  # of the plane: columns, then rows
            s = shift[1 - axis]
            plane, known = _slide(plane, known, axis, low[1 - axis], shape[1 + axis], s * k)
        out[k] = np.where(known, plane, np.asarray(fill, array.dtype))
        seen[k] = known
    straight = affine.copy()
    straight[:3, 2] -= shift[0] * affine[:3, 0] + shift[1] * affine[:3, 1]
    straight[:3, 3] += low[0] * affine[:3, 0] + low[1] * affine[:3, 1]
    return out, seen, straight


def _slide(plane: Array, known: Array, axis: int, low: int, count: int, shift: float) -> tuple[Array, Array]:
    """Return a plane read at ``index + low - shift`` along one axis, and where both neighbours are known."""
    place = np.arange(count) + low - shift
    whole = not np.issubdtype(plane.dtype, np.floating)
    if whole:
        place = np.rint(place)
    first = np.floor(place + 1e-6).astype(int)
    part = np.clip(place - first, 0.0, 1.0)
    part[part < 1e-5] = 0.0
    second = np.where(part > 0, first + 1, first)
    size = plane.shape[axis]
    inside = (first >= 0) & (second < size)
    first, second = np.clip(first, 0, size - 1), np.clip(second, 0, size - 1)
    broad = [1, 1]
    broad[axis] = count
    good = np.take(known, first, axis) & np.take(known, second, axis) & inside.reshape(broad)
    if whole:
        return np.take(plane, first, axis), good
    weight = part.astype(np.float32).reshape(broad)
    return np.take(plane, first, axis) * (1 - weight) + np.take(plane, second, axis) * weight, good


def _cosines(affine: Array) -> Array:
    directions = affine[:3, :3] / np.maximum(np.linalg.norm(affine[:3, :3], axis=0), 1e-12)
    return np.asarray(directions.T @ directions)
