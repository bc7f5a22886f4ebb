"""Which pieces of a voxel model are held, before anything is solved.

Elements that share a face are one rigid piece. A piece is held when its supports leave no rigid motion; a held piece supports
every piece that shares nodes with it. Pieces that carry nothing are left out and named: those without support and without load,
and those that touch no other piece and whose supports move as one rigid body. Any other piece that can move makes the model
unconstrained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

Array = np.ndarray[Any, np.dtype[Any]]
LOOSE = 1e-9  # smallest over largest eigenvalue of the supports' Gram matrix below which a rigid motion is left
SAME = 1e-12  # of the largest displacement: rest of a rigid motion that is rounding
CORNERS = [(z, y, x) for z in (0, 1) for y in (0, 1) for x in (0, 1)]


@dataclass(frozen=True)
class Island:
    """A piece that took no part.

    Parameters
    ----------
    voxels : int
        Its elements.
    place : tuple of int
        z, y, x of its element nearest to its middle.
    how : {"floating", "hinged", "riding"}
        Joined to nothing; by an edge or a corner only, about which it turns freely; or moved along by a support, free of stress.
    """

    voxels: int
    place: tuple[int, int, int]
    how: str


@dataclass(frozen=True, eq=False)
class Bodies:
    """What is held: the elements that take part, what was left out, and why the model is unconstrained ("" if it is not)."""

    kept: Array
    dropped: tuple[Island, ...]
    loose: str


def find_bodies(solid: Array, fixed: Array, given: Array, loaded: Array) -> Bodies:
    """Sort the pieces of a model.

    Parameters
    ----------
    solid : ndarray of bool, shape (z, y, x)
        Where an element is.
    fixed, loaded : ndarray of bool, shape (z + 1, y + 1, x + 1, 3)
        Prescribed and loaded displacements of the nodes.
    given : ndarray, same shape
        The prescribed displacement.

    Returns
    -------
    Bodies
        Largest dropped piece first.
    """
    labels, count = ndimage.label(solid)
    corners = [slice(0, -1), slice(1, None)]
    sizes = np.bincount(labels.reshape(-1), minlength=count + 1)
    pairs = []  # (node, piece), once each
    shape = fixed.shape[:3]
    nodes = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    other = count > 1
    main = int(np.argmax(sizes[1:])) + 1 if count else 0
    near = np.zeros(shape, bool)
    for z, y, x in CORNERS:
        near[corners[z], corners[y], corners[x]] |= solid & (labels != main) if other else False
    watched = near | fixed.any(-1) | loaded.any(-1)
    for z, y, x in CORNERS:
        at = watched[corners[z], corners[y], corners[x]] & solid
        pairs.append(nodes[corners[z], corners[y], corners[x]][at] * (count + 1) + labels[at])
    joined = np.unique(np.concatenate(pairs)) if count else np.zeros(0, np.int64)
    node, piece = np.divmod(joined, count + 1)
    held = _held(node, piece, count, fixed)
    order = np.argsort(piece, kind="stable")
    bounds = np.searchsorted(piece[order], np.arange(count + 2))
    boxes = ndimage.find_objects(labels) if not held[1:].all() else []
    return _sort(labels, sizes, boxes, held, (node[order], bounds), (fixed, given, loaded))


def _held(node: Array, piece: Array, count: int, fixed: Array) -> Array:
    """Return which pieces no rigid motion is left to, piece by piece until none is added."""
    held = np.zeros(count + 1, bool)
    if not count:
        return held
    place = np.stack(np.unravel_index(node, fixed.shape[:3]), 1).astype(float)
    anchored = fixed.reshape(-1, 3)[node].copy()
    order = np.argsort(piece, kind="stable")
    bounds = np.searchsorted(piece[order], np.arange(count + 2))
    waiting = set(range(1, count + 1))
    queue = [p for p in range(1, count + 1) if anchored[order[bounds[p] : bounds[p + 1]]].any()]
    by_node = np.argsort(node, kind="stable")
    while queue:
        p = queue.pop()
        mine = order[bounds[p] : bounds[p + 1]]
        if p not in waiting or not _rigid(place[mine], anchored[mine]):
            continue
        waiting.discard(p)
        held[p] = True
        first, last = (np.searchsorted(node[by_node], node[mine], side=s) for s in ("left", "right"))
        shared = np.flatnonzero(last - first > 1)
        touched = {int(i) for s in shared for i in by_node[first[s] : last[s]]}
        rows = np.array(sorted(touched), np.int64)
        anchored[rows] = True
        queue += sorted({int(piece[i]) for i in rows} & waiting)
    return held


def _rigid(place: Array, anchored: Array) -> bool:
    """Return whether the anchored displacements at these places leave no rigid motion."""
    if np.count_nonzero(anchored) < 6:
        return False
    motion = _motions(place, anchored)
    values = np.linalg.eigvalsh(motion.T @ motion)
    return bool(values[0] > LOOSE * values[-1])


def _stress_free(place: Array, anchored: Array, given: Array) -> bool:
    """Return whether one rigid motion gives all prescribed displacements."""
    motion, wanted = _motions(place, anchored), given[np.nonzero(anchored)]
    rest = wanted - motion @ np.linalg.lstsq(motion, wanted, rcond=None)[0]
    return bool(np.abs(rest).max() <= SAME * np.abs(wanted).max())


def _motions(place: Array, anchored: Array) -> Array:
    """Return the six rigid motions at the anchored displacements, row by row, arms over the longest."""
    row, axis = np.nonzero(anchored)
    arm = place[row] - place[row].mean(0)
    arm /= max(float(np.abs(arm).max()), 1.0)
    motion = np.zeros((len(row), 6))
    motion[np.arange(len(row)), axis] = 1.0
    for turn in range(3):  # displacement = axis of the turn x arm
        a, b = (turn + 1) % 3, (turn + 2) % 3
        motion[:, 3 + turn] = np.where(axis == b, arm[:, a], 0.0) - np.where(axis == a, arm[:, b], 0.0)
    return motion


def _sort(
    labels: Array, sizes: Array, boxes: list[Any], held: Array, nodes: tuple[Array, Array], fields: tuple[Array, Array, Array]
) -> Bodies:
    """Return what is kept, dropped and loose."""
    count = len(sizes) - 1
    if not count:
        return Bodies(labels > 0, (), "There is no element in the model.")
    of, bounds = nodes
    islands, loose = [], []
    fixed, given, loaded = (f.reshape(-1, 3) for f in fields)
    touch_held = np.zeros(len(fixed), bool)
    pieces_at = np.bincount(of, minlength=len(fixed))
    for p in np.flatnonzero(held).tolist():
        touch_held[of[bounds[p] : bounds[p + 1]]] = True
    for p in (np.flatnonzero(~held[1:]) + 1).tolist():
        mine = of[bounds[p] : bounds[p + 1]]
        own = mine[~touch_held[mine]]
        how = "hinged" if touch_held[mine].any() else "floating"
        if fixed[mine].any() and not (pieces_at[mine] > 1).any() and not loaded[mine].any():
            place = np.stack(np.unravel_index(mine, fields[0].shape[:3]), 1).astype(float)
            how = "riding" if _stress_free(place, fixed[mine], given[mine]) else how
        island = Island(int(sizes[p]), _middle(labels, boxes[p - 1], p), how)
        if how != "riding" and (fixed[own].any() or loaded[own].any()):
            loose.append(
                f"the piece of {island.voxels} elements round z, y, x {island.place} is supported or loaded and can still move"
            )
        else:
            islands.append(island)
    kept = held[labels]
    if not held.any() and not loose:
        loose.append("no support touches an element")
    islands.sort(key=lambda i: (-i.voxels, i.place))
    return Bodies(kept, tuple(islands), "; ".join(loose[:5]))


def _middle(labels: Array, box: Any, p: int) -> tuple[int, int, int]:
    inside = np.argwhere(labels[box] == p)
    nearest = inside[np.argmin(((inside - inside.mean(0)) ** 2).sum(1))]
    z, y, x = (int(n + s.start) for n, s in zip(nearest, box, strict=True))
    return z, y, x
