"""Compiled walks along straight segments through a grid; points are fractional indices z, y, x."""

import numpy as np
from numba import njit


@njit(cache=True)
def lengths_inside(mask, start, end, counts, length_mm):
    """Return the millimetres of each segment whose midpoints fall into voxels of the mask."""
    out = np.zeros(start.shape[0])
    for n in range(start.shape[0]):
        steps = counts[n]
        inside = 0
        for s in range(steps):
            f = (s + 0.5) / steps
            z = int(np.floor(start[n, 0] + f * (end[n, 0] - start[n, 0]) + 0.5))
            y = int(np.floor(start[n, 1] + f * (end[n, 1] - start[n, 1]) + 0.5))
            x = int(np.floor(start[n, 2] + f * (end[n, 2] - start[n, 2]) + 0.5))
            if 0 <= z < mask.shape[0] and 0 <= y < mask.shape[1] and 0 <= x < mask.shape[2] and mask[z, y, x]:
                inside += 1
        out[n] = length_mm[n] * inside / steps
    return out


@njit(cache=True)
def least_values(values, start, end, counts):
    """Return the least trilinear value along each segment; 0 where a sample falls outside the grid."""
    nz, ny, nx = values.shape
    out = np.full(start.shape[0], np.inf)
    for n in range(start.shape[0]):
        steps = counts[n]
        for s in range(steps + 1):
            f = s / steps
            z = start[n, 0] + f * (end[n, 0] - start[n, 0])
            y = start[n, 1] + f * (end[n, 1] - start[n, 1])
            x = start[n, 2] + f * (end[n, 2] - start[n, 2])
            if z < -0.5 or y < -0.5 or x < -0.5 or z > nz - 0.5 or y > ny - 0.5 or x > nx - 0.5:
                out[n] = min(out[n], 0.0)
                continue
            z = min(max(z, 0.0), nz - 1.0)
            y = min(max(y, 0.0), ny - 1.0)
            x = min(max(x, 0.0), nx - 1.0)
            z0 = min(int(z), max(nz - 2, 0))
            y0 = min(int(y), max(ny - 2, 0))
            x0 = min(int(x), max(nx - 2, 0))
            z1, y1, x1 = min(z0 + 1, nz - 1), min(y0 + 1, ny - 1), min(x0 + 1, nx - 1)
            c, b, a = z - z0, y - y0, x - x0
            value = (1 - c) * (
                (1 - b) * ((1 - a) * values[z0, y0, x0] + a * values[z0, y0, x1])
                + b * ((1 - a) * values[z0, y1, x0] + a * values[z0, y1, x1])
            ) + c * (
                (1 - b) * ((1 - a) * values[z1, y0, x0] + a * values[z1, y0, x1])
                + b * ((1 - a) * values[z1, y1, x0] + a * values[z1, y1, x1])
            )
            out[n] = min(out[n], value)
    return out
