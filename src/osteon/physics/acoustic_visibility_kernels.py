"""Kernel of the rays from an array to its focus: every voxel on the way, in order (Amanatides & Woo, Eurographics 1987:3)."""

from __future__ import annotations

import numpy as np
from numba import njit

CLEAR, BLOCKED, UNKNOWN = 0, 1, 2  # of a ray
PASSES, COUPLING, BLOCKS, DOUBTFUL, UNSEEN, BONE = 0, 1, 2, 3, 4, 5  # of a label
OUTSIDE = -1  # the image ends here
NOTHING = -2
STANDS_IN = -3  # the element lies in the body


@njit(cache=True)
def cosine_at(labels, kinds, at, z, y, x, u, to_m, radius_m, reach):
    """Return the cosine between a ray and the inward normal of bone at a point, from where the bone within a ball lies.

    ``at`` counts from the corner of the first voxel, ``to_m`` maps indices z, y, x to metres; ``u`` is the ray in
    indices, and ``reach`` voxels along each axis hold the ball.
    """
    wx, wy, wz = to_m[0] @ u, to_m[1] @ u, to_m[2] @ u
    sx, sy, sz = 0.0, 0.0, 0.0
    for i in range(max(z - reach[0], 0), min(z + reach[0] + 1, labels.shape[0])):
        for j in range(max(y - reach[1], 0), min(y + reach[1] + 1, labels.shape[1])):
            for k in range(max(x - reach[2], 0), min(x + reach[2] + 1, labels.shape[2])):
                if kinds[labels[i, j, k]] != BONE:
                    continue
                a, b, c = i + 0.5 - at[0], j + 0.5 - at[1], k + 0.5 - at[2]
                dx = to_m[0, 0] * a + to_m[0, 1] * b + to_m[0, 2] * c
                dy = to_m[1, 0] * a + to_m[1, 1] * b + to_m[1, 2] * c
                dz = to_m[2, 0] * a + to_m[2, 1] * b + to_m[2, 2] * c
                weight = 1.0 - (dx * dx + dy * dy + dz * dz) / (radius_m * radius_m)
                if weight > 0.0:
                    sx, sy, sz = sx + weight * dx, sy + weight * dy, sz + weight * dz
    length = np.sqrt(sx * sx + sy * sy + sz * sz) * np.sqrt(wx * wx + wy * wy + wz * wz)
    if length == 0.0:
        return np.nan
    return min(max((wx * sx + wy * sy + wz * sz) / length, 0.0), 1.0)


@njit(cache=True)
def in_body(labels, kinds, at):
    """Return whether a point lies in a voxel of the body: imaged, and no coupling."""
    z, y, x = int(np.floor(at[0])), int(np.floor(at[1])), int(np.floor(at[2]))
    if not (0 <= z < labels.shape[0] and 0 <= y < labels.shape[1] and 0 <= x < labels.shape[2]):
        return False
    kind = kinds[labels[z, y, x]]
    return kind != COUPLING and kind != UNSEEN


@njit(cache=True)
def clipped(start, way, shape):
    """Return where on a ray, 0 at its start and 1 at its end, it enters and leaves the voxels; it misses if not in that order."""
    first, last = 0.0, 1.0
    for axis in range(3):
        if way[axis] != 0.0:
            one, two = -start[axis] / way[axis], (shape[axis] - start[axis]) / way[axis]
            first, last = max(first, min(one, two)), min(last, max(one, two))
        elif not 0.0 <= start[axis] < shape[axis]:
            last = -1.0
    return first, last


@njit(cache=True)
def set_out(start, way, first, shape, voxel, step, following, each):
    """Fill the first voxel of a ray, its steps, where it meets the next face along each axis, and how far faces lie apart."""
    for axis in range(3):
        at = start[axis] + first * way[axis]
        voxel[axis] = min(max(int(np.floor(at)), 0), shape[axis] - 1)
        if way[axis] < 0.0 and at == np.floor(at) and at > 0.0:  # on a face, going down: the voxel below
            voxel[axis] = min(int(at) - 1, shape[axis] - 1)
        step[axis] = 1 if way[axis] > 0.0 else -1
        face = voxel[axis] + (1 if way[axis] > 0.0 else 0)
        following[axis] = (face - start[axis]) / way[axis] if way[axis] != 0.0 else np.inf
        each[axis] = abs(1.0 / way[axis]) if way[axis] != 0.0 else np.inf


@njit(cache=True)
def follow(labels, kinds, start, u, t, last, length, to_m, radius_m, reach, gap_m, inside, voxel, step, following, each):
    """Follow one ray voxel by voxel; see ``trace`` for what is returned."""
    state, code, stop, skin, cosine = CLEAR, NOTHING, np.nan, np.nan, np.nan
    pending = OUTSIDE if t > 0.0 else NOTHING  # no image yet, and no coupling after it
    begun, bone, gap = False, False, 0.0
    while t < last:
        label = labels[voxel[0], voxel[1], voxel[2]]
        kind = kinds[label]
        axis = 1 if following[1] < following[0] else 0
        axis = 2 if following[2] < following[axis] else axis
        leave = min(following[axis], last)
        if not begun:
            if inside and kind != BONE:  # deeper than the stairs of the skin
                return BLOCKED, STANDS_IN, 0.0, 0.0, cosine
            if kind == COUPLING:
                pending = NOTHING
            elif kind == UNSEEN:
                pending = label
            else:
                begun, skin = True, t * length
                if pending != NOTHING:  # what lies before is body, not coupling
                    state, code, stop = UNKNOWN, OUTSIDE, t * length
        gap = gap + (leave - t) * length if kind == COUPLING else 0.0
        if kind == BLOCKS or (kind == COUPLING and begun and gap > gap_m):
            return BLOCKED, label, leave * length - gap if kind == COUPLING else t * length, skin, cosine
        if (kind == DOUBTFUL or (kind == UNSEEN and begun)) and state == CLEAR:
            state, code, stop = UNKNOWN, label, t * length
        if kind == BONE and not bone:
            bone = True
            if t == 0.0:
                cosine = 2.0
            elif not (code == OUTSIDE and stop == t * length):  # the edge of the image is no face
                cosine = cosine_at(labels, kinds, start + t * u, voxel[0], voxel[1], voxel[2], u, to_m, radius_m, reach)
        t = following[axis]
        following[axis] += each[axis]
        voxel[axis] += step[axis]
        if voxel[axis] < 0 or voxel[axis] >= labels.shape[axis]:
            break
    if not begun and pending != NOTHING:
        return UNKNOWN, OUTSIDE, length, skin, cosine
    return state, code, stop, skin, cosine


@njit(cache=True)
def trace(labels, kinds, starts, end, to_m, radius_m, reach, gap_m):
    """Follow rays from ``starts`` (n, 3) to ``end`` (3,), indices z, y, x that count from the corner of the first voxel.

    Returns state, label that decided it, distance [m] to it, distance to the first voxel that is not coupling, and the cosine of
    incidence at the first bone (NaN where there is none; 2 where the ray begins in bone).
    """
    n = starts.shape[0]
    state, code = np.zeros(n, np.uint8), np.full(n, NOTHING, np.int64)
    stop, skin, cosine = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    shape = np.array([labels.shape[0], labels.shape[1], labels.shape[2]])
    voxel, step = np.empty(3, np.int64), np.empty(3, np.int64)
    following, each = np.empty(3), np.empty(3)
    coupled = (kinds == COUPLING).any()
    for ray in range(n):
        start = starts[ray]
        u = end - start
        along = np.array([to_m[0] @ u, to_m[1] @ u, to_m[2] @ u])
        length = np.sqrt((along * along).sum())
        t, last = clipped(start, u, shape)
        if t >= last:
            state[ray], code[ray], stop[ray] = UNKNOWN, OUTSIDE, 0.0
            continue
        inside = coupled and in_body(labels, kinds, start) and in_body(labels, kinds, start - gap_m / length * u)
        set_out(start, u, t, shape, voxel, step, following, each)
        state[ray], code[ray], stop[ray], skin[ray], cosine[ray] = follow(
            labels, kinds, start, u, t, last, length, to_m, radius_m, reach, gap_m, inside, voxel, step, following, each
        )
    return state, code, stop, skin, cosine
