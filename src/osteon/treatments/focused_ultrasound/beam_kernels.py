"""Loops over the cells of a beam and the voxels of a patient; what they compute is told in ``beam``."""

import numpy as np
from numba import njit

CORNERS = 8


@njit(cache=True)
def vote(index, step, kinds, found, known):
    """Fill the medium of each cell, and whether the image reaches there.

    ``step``: rows z, y, x of the patient's index; columns x, y, z of the beam's and the offset.
    """
    last = np.array([index.shape[0] - 1, index.shape[1] - 1, index.shape[2] - 1])
    base, part = np.empty(3, np.int64), np.empty(3, np.float32)
    labels, score = np.empty(CORNERS, np.uint8), np.empty(CORNERS, np.float32)
    one = np.float32(1.0)
    for k in range(found.shape[0]):
        for y in range(found.shape[1]):
            for x in range(found.shape[2]):
                inside = True
                for a in range(3):
                    place = step[a, 0] * x + step[a, 1] * y + (step[a, 2] * k + step[a, 3])
                    inside &= (place >= -0.5) & (place < last[a] + 0.5)
                    place = min(max(place, 0.0), float(last[a]))
                    base[a] = min(int(place), max(last[a] - 1, 0))
                    part[a] = np.float32(place - base[a])
                known[k, y, x] = inside
                mixed = False
                for c in range(CORNERS):
                    labels[c] = index[
                        min(base[0] + (c >> 2), last[0]), min(base[1] + ((c >> 1) & 1), last[1]), min(base[2] + (c & 1), last[2])
                    ]
                    mixed |= labels[c] != labels[0]
                winner = 0
                if mixed:
                    score[:] = 0
                    for voter in range(CORNERS):
                        weight = part[0] if voter >> 2 else one - part[0]
                        weight = np.float32(weight * (part[1] if (voter >> 1) & 1 else one - part[1]))
                        weight = np.float32(weight * (part[2] if voter & 1 else one - part[2]))
                        for c in range(CORNERS):
                            alike = 1e3 * (kinds[labels[c]] == kinds[labels[voter]]) + (labels[c] == labels[voter])
                            score[c] = np.float32(np.float64(score[c]) + np.float64(weight) * alike)
                    for c in range(1, CORNERS):
                        if score[c] > score[winner]:
                            winner = c
                found[k, y, x] = labels[winner]


@njit(cache=True)
def nearest(field, step, start, out):
    """Fill the value of the nearest cell at evenly spaced points, 0 outside."""
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                out[z, y, x] = 0
                k = step[0, 0] * z + step[0, 1] * y + step[0, 2] * x + start[0]
                j = step[1, 0] * z + step[1, 1] * y + step[1, 2] * x + start[1]
                i = step[2, 0] * z + step[2, 1] * y + step[2, 2] * x + start[2]
                if 0 <= k <= field.shape[0] - 1 and 0 <= j <= field.shape[1] - 1 and 0 <= i <= field.shape[2] - 1:
                    out[z, y, x] = field[int(np.floor(k + 0.5)), int(np.floor(j + 0.5)), int(np.floor(i + 0.5))]
