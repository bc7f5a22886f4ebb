"""Polygons to voxels by the crossing number, and voxels back to polygons that this rule fills to the same voxels.

The rule itself, and why, stands at the head of ``rtstruct.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from skimage import measure

from osteon.errors import ImageError
from osteon.space.volume import Array, Grid

SAME_PLANE_MM = 0.05  # contours of one plane are written with the same number of digits
TIE_DIGITS = 5  # index coordinates are rounded to 1e-5 voxel, so that a centre on an edge does not depend on noise
MOST_SLICES_PER_CONTOUR = 3  # a contour stands for its neighbours only where every second or third slice was drawn


class OutsideError(Exception):
    """No contour of a region holds a voxel of the image; the reader turns it into a note or an ImageError."""


@dataclass(frozen=True, eq=False)
class Placed:
    """A region on a grid: mask, the array axis across its planes, first and last drawn plane, which slices, and notes."""

    mask: Array
    axis: int
    extent_mm: tuple[float, float]
    drawn: tuple[bool, ...]
    notes: tuple[str, ...]


def fill(polygons: Sequence[Array], shape: tuple[int, int]) -> Array:
    r"""Return the pixels whose centres lie inside an odd number of polygons.

    A pixel (r, c) is inside where the edges that cross its row at or left of it are odd in number,

    .. math:: \left|\{e : y_0 \le r < y_1,\; x_e(r) \le c\}\right| \bmod 2 = 1 ,

    counted over the edges of all polygons together, which is the XOR of the single polygons.

    Parameters
    ----------
    polygons : sequence of array (n, 2)
        Vertices (row, column) in index units; closed from the last to the first.
    shape : (int, int)
        Rows and columns of the plane.

    Returns
    -------
    array of bool (rows, columns)
        The filled pixels.

    References
    ----------
    Shimrat M. Algorithm 112: position of point relative to polygon. Commun ACM 1962;5(8):434.

    Examples
    --------
    >>> fill([np.array([[-0.5, -0.5], [-0.5, 1.5], [0.5, 1.5], [0.5, -0.5]])], (2, 3)).astype(int)
    array([[1, 1, 0],
           [0, 0, 0]])
    """
    rows, columns = shape
    crossings = np.zeros((rows, columns + 1), np.int32)
    if not polygons:
        return np.zeros(shape, bool)
    start = np.concatenate(polygons)
    end = np.concatenate([np.roll(p, -1, axis=0) for p in polygons])
    upward = start[:, 0] <= end[:, 0]
    low, high = np.where(upward[:, None], start, end), np.where(upward[:, None], end, start)
    first = np.clip(np.ceil(low[:, 0]), 0, rows).astype(np.int64)
    last = np.clip(np.ceil(high[:, 0]), 0, rows).astype(np.int64)  # half open: the upper end belongs to the next edge
    count = np.maximum(last - first, 0)
    edge = np.repeat(np.arange(len(start)), count)
    row = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    share = (row - low[edge, 0]) / (high[edge, 0] - low[edge, 0])
    x = np.round(low[edge, 1] + share * (high[edge, 1] - low[edge, 1]), TIE_DIGITS)
    np.add.at(crossings, (row, np.clip(np.ceil(x), 0, columns).astype(np.int64)), 1)
    return cast(Array, np.cumsum(crossings[:, :columns], axis=1) % 2 == 1)


def place(contours: Sequence[Array], grid: Grid, name: str) -> Placed:
    """Fill contours on the slices of a grid.

    Parameters
    ----------
    contours : sequence of array (n, 3)
        Closed polygons in LPS mm.
    grid : Grid
        Of the image; its slices may run along any of its axes.
    name : str
        For messages.

    Raises
    ------
    ImageError
        If a contour does not lie in a plane along two axes of the grid.
    OutsideError
        If no voxel of the grid is inside.
    """
    index = [grid.to_index(c) for c in contours]
    axis = _plane_axis(index, grid, name)
    count, step = grid.shape[axis], grid.spacing_mm[axis]
    other = [a for a in range(3) if a != axis]
    at, members = _planes([float(c[:, axis].mean()) for c in index], SAME_PLANE_MM / step)
    reach, notes = _reach(at, step)
    mask = np.zeros((count, grid.shape[other[0]], grid.shape[other[1]]), bool)
    drawn = np.zeros(count, bool)
    double = repeated = 0
    for plane, indices in zip(at, members, strict=True):
        near = np.arange(max(0, int(np.ceil(plane - reach - 1e-3))), min(count, int(np.floor(plane + reach + 1e-3)) + 1))
        near = near[[int(np.argmin(np.abs(at - k))) == int(np.argmin(np.abs(at - plane))) for k in near]]
        if not near.size:
            continue
        polygons = _unique([np.round(index[i][:, other], TIE_DIGITS) for i in indices])
        repeated += len(indices) - len(polygons)
        filled = fill(polygons, mask.shape[1:])
        double += _twice(polygons, filled)
        mask[near], drawn[near] = filled, True
    if not mask.any():
        points = np.concatenate(list(contours))
        raise OutsideError(
            f"its contours at {_span(points)} mm (LPS) hold no voxel centre of the image at {_span(grid.corners_mm())} mm"
        )
    notes += _said(index, at, drawn, grid, axis, repeated, double)
    slices = np.flatnonzero(drawn)
    return Placed(
        np.ascontiguousarray(np.moveaxis(mask, 0, axis)),
        axis,
        _extent_mm(grid, axis, int(slices[0]), int(slices[-1])),
        tuple(bool(d) for d in drawn),
        tuple(notes),
    )


def trace(mask: Array) -> list[Array]:
    """Return closed polygons round the pixels of a plane, holes included; ``fill`` gives back the same pixels.

    The polygons run half way between the centres inside and outside, so no centre lies on an edge and the XOR of the polygons is
    the mask, whatever its shape. Corners are cut: a polygon's area is a little less than the area of its pixels.

    Parameters
    ----------
    mask : array of bool (rows, columns)
        The pixels.

    Returns
    -------
    list of array (n, 2)
        Vertices (row, column), the first not repeated at the end.
    """
    padded = np.pad(mask.astype(np.float32), 1)
    return [contour[:-1] - 1.0 for contour in measure.find_contours(padded, 0.5)]


def _plane_axis(index: Sequence[Array], grid: Grid, name: str) -> int:
    """Return the array axis across which all contours are flat."""
    off = np.zeros(3)
    for contour in index:
        off = np.maximum(off, np.abs(contour - contour.mean(0)).max(0))
    off_mm = off * grid.spacing_mm
    axis = int(np.argmin(off_mm))
    if off[axis] > 0.5:
        raise ImageError(
            f"The contours of {name} are not drawn in planes of this image: they leave its slices by {off_mm[axis]:.1f} mm.",
            "They were drawn on an image of another orientation, and filling them on these slices would give another shape.",
            "Give the image that they were drawn on; the mask can be resampled afterwards.",
        )
    return axis


def _planes(at: Sequence[float], tolerance: float) -> tuple[Array, list[list[int]]]:
    """Join contours of one plane: the place of every plane in index units, and which contours lie on it."""
    order = sorted(range(len(at)), key=lambda i: at[i])
    members: list[list[int]] = []
    for i in order:
        if members and at[i] - at[members[-1][0]] <= tolerance:
            members[-1].append(i)
        else:
            members.append([i])
    return np.array([float(np.mean([at[i] for i in group])) for group in members]), [sorted(group) for group in members]


def _reach(planes: Array, step_mm: float) -> tuple[float, list[str]]:
    """Return how many slices away a contour still counts: half a slice, more where only every second or third was drawn."""
    gaps = np.diff(planes)
    usual = float(np.median(gaps)) if gaps.size >= 2 else 1.0
    if not 1.5 < usual <= MOST_SLICES_PER_CONTOUR + 0.1:
        return 0.5, []
    text = f"drawn every {usual * step_mm:.2f} mm on slices of {step_mm:.2f} mm; each contour stands for the slices nearest to it"
    return usual / 2, [text]


def _unique(polygons: Sequence[Array]) -> list[Array]:
    """Drop contours that are given twice: XOR would let both vanish."""
    found: dict[bytes, Array] = {}
    for polygon in polygons:
        found.setdefault((polygon[np.lexsort(polygon.T)] + 0.0).tobytes(), polygon)
    return list(found.values())


def _twice(polygons: Sequence[Array], filled: Array) -> int:
    """Count the pixels that lie in a polygon and yet outside by XOR."""
    if len(polygons) < 2:
        return 0
    any_of = np.zeros(filled.shape, bool)
    for polygon in polygons:
        any_of |= fill([polygon], cast(tuple[int, int], filled.shape))
    return int((any_of & ~filled).sum())


def _said(index: Sequence[Array], planes: Array, drawn: Array, grid: Grid, axis: int, repeated: int, double: int) -> list[str]:
    notes = []
    step = grid.spacing_mm[axis]
    offset = np.abs(planes - np.rint(planes))
    if offset.max() * step > SAME_PLANE_MM and offset.max() > 0.1:
        notes.append(f"planes lie up to {offset.max() * step:.2f} mm beside the slices; each went to the nearest")
    outside = int(((planes < -0.5) | (planes > grid.shape[axis] - 0.5)).sum())
    if outside:
        notes.append(f"{outside} of {len(planes)} planes lie outside the image and were left out")
    lost = len(planes) - outside - len(np.unique(np.rint(planes[(planes >= -0.5) & (planes <= grid.shape[axis] - 0.5)])))
    if lost > 0:
        notes.append(f"{lost} planes share a slice with another one; the nearest to the slice counts")
    other = [a for a in range(3) if a != axis]
    upper = np.array([grid.shape[a] for a in other]) - 0.5
    if any((c[:, other] < -0.51).any() or (c[:, other] > upper + 0.01).any() for c in index):
        notes.append("contours leave the image sideways and are cut at its edge")
    if repeated:
        notes.append(f"{repeated} contours are given twice and were read once")
    if double:
        notes.append(f"{double} voxels lie in an even number of contours of their plane and are holes by the XOR rule")
    slices = np.flatnonzero(drawn)
    holes = int((~drawn[slices[0] : slices[-1] + 1]).sum()) if slices.size else 0
    if holes:
        notes.append(f"{holes} slices between the first and the last contour hold none; there it is not drawn")
    return notes


def _extent_mm(grid: Grid, axis: int, first: int, last: int) -> tuple[float, float]:
    """Return the place of two slices along the patient axis nearest to their normal [mm, LPS for straight images]."""
    others = [grid.matrix[:3, 2 - a] for a in range(3) if a != axis]
    normal = np.cross(others[0], others[1])
    normal /= np.linalg.norm(normal)
    normal *= np.sign(normal[int(np.argmax(np.abs(normal)))])
    ends = np.zeros((2, 3))
    ends[:, axis] = first, last
    low, high = sorted(float(v) for v in grid.to_mm(ends) @ normal)
    return low, high


def _span(points: Array) -> str:
    return " x ".join(f"{a:.1f}..{b:.1f}" for a, b in zip(points.min(0), points.max(0), strict=True))
