"""Where an outline was drawn at all: beyond it a structure is unknown, not absent.

An outline that ends where drawing ended was cut there, unless it closed by itself: near its last point the cross-section of a
rounded body shrinks in proportion to the distance from that point, so the last plane of a body that ends before the next plane
holds at most half of what the plane before it holds. What runs through the body (cord, nerve, vessel, bowel, skin) never closes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from osteon.space.anatomy import Structure
from osteon.space.volume import Array, CompactMask, Grid, Volume, Window

RUNS_ON = frozenset({"cord", "nerve", "vessel", "bowel", "skin", "body"})
"""Kinds that do not end where an outline of them ends."""
CLOSED_SHARE = 0.5
"""Of a rounded end: cross-section of the last plane by that of the plane before it, at most (a paraboloid's; see above)."""


def planes(grid: Grid, axis: int, flags: Sequence[bool]) -> Volume:
    """Return whole planes of a grid as a mask that costs no memory: one flag per plane, read-only.

    Parameters
    ----------
    grid : Grid
        Of the mask.
    axis : int
        Array axis (0 z, 1 y, 2 x) across the planes.
    flags : sequence of bool
        One per plane.

    Returns
    -------
    Volume of bool
        A view; pickled or cached, it becomes a full array.
    """
    shape = [1, 1, 1]
    shape[axis] = -1
    return Volume(np.broadcast_to(np.array(flags, bool).reshape(shape), grid.shape), grid)


def open_ends(key: Structure, mask: Volume, drawn: Volume, imaged: Volume | None = None) -> Volume:
    """Return the voxels of an outline beside which it may go on undrawn.

    Parameters
    ----------
    key : Structure
        What it is: what runs through the body never ends where drawing ended.
    mask, drawn : Volume of bool
        The outline, and where it was drawn; on one grid.
    imaged : Volume of bool or None
        Where there is image information; what was not imaged is no matter of drawing. Everywhere if None.

    Returns
    -------
    Volume of bool
        Empty where the outline is closed by itself, or lies within the part that was drawn.
    """
    box = mask.box()
    if box is None:
        return CompactMask(np.zeros((0, 0, 0), bool), mask.grid, (0, 0, 0))
    ends = np.zeros([s.stop - s.start for s in box], bool)
    for axis in range(3):
        for step in (-1, 1):
            beside = _beside(mask, drawn, imaged, box, axis, step)
            if beside.any() and (key.kind in RUNS_ON or not _closes(mask, box, beside, axis, step)):
                ends |= beside
    return CompactMask(ends, mask.grid, (box[0].start, box[1].start, box[2].start))


def _beside(mask: Volume, drawn: Volume, imaged: Volume | None, box: Window, axis: int, step: int) -> Array:
    """Return the voxels in the box of a mask whose neighbour along an axis was imaged and not drawn."""
    count = mask.grid.shape[axis]
    wanted = np.clip(np.arange(box[axis].start, box[axis].stop) + step, 0, count - 1)
    window = list(box)
    window[axis] = slice(int(wanted.min()), int(wanted.max()) + 1)
    at = (window[0], window[1], window[2])
    take = wanted - wanted.min()
    undrawn = ~np.take(drawn.part(at), take, axis)
    if imaged is not None:
        undrawn &= np.take(imaged.part(at).astype(bool), take, axis)
    edge = 0 if step < 0 else count - 1  # beyond the grid nothing was imaged
    places = np.arange(box[axis].start, box[axis].stop) != edge
    shape = [1, 1, 1]
    shape[axis] = -1
    found: Array = mask.part(box).astype(bool) & undrawn & places.reshape(shape)
    return found


def _closes(mask: Volume, box: Window, beside: Array, axis: int, step: int) -> bool:
    """Tell whether the outline closes by itself before every plane that ends on what was not drawn."""
    others = tuple(a for a in range(3) if a != axis)
    areas = mask.part(box).sum(axis=others)
    for plane in np.flatnonzero(beside.any(axis=others)):
        inner = plane - step
        before = int(areas[inner]) if 0 <= inner < len(areas) else 0
        if int(areas[plane]) > CLOSED_SHARE * before:
            return False
    return True
