"""Triangles to pixels with a depth buffer."""

import math

import numpy as np
from numba import njit


@njit(cache=True)
def rasterise(places, normals, faces, depth, shade):
    """Fill ``depth`` (larger is nearer) and ``shade`` (interpolated normals) from triangles in picture coordinates.

    ``places``: (n, 3) float32, x and y in pixels and depth; ``normals``: (n, 3) float32; ``faces``: (m, 3) int32;
    ``depth``: (rows, columns) float32, -inf where nothing is; ``shade``: (rows, columns, 3) float32.
    """
    rows, columns = depth.shape
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, bx, by, cx, cy = places[a, 0], places[a, 1], places[b, 0], places[b, 1], places[c, 0], places[c, 1]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(area) < 1e-9:
            continue
        x0 = max(0, math.floor(min(ax, bx, cx)))
        x1 = min(columns - 1, math.ceil(max(ax, bx, cx)))
        y0 = max(0, math.floor(min(ay, by, cy)))
        y1 = min(rows - 1, math.ceil(max(ay, by, cy)))
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                px, py = x + 0.5, y + 0.5
                u = ((bx - px) * (cy - py) - (cx - px) * (by - py)) / area
                v = ((cx - px) * (ay - py) - (ax - px) * (cy - py)) / area
                w = 1.0 - u - v
                if u < -1e-6 or v < -1e-6 or w < -1e-6:
                    continue
                z = np.float32(u * places[a, 2] + v * places[b, 2] + w * places[c, 2])
                if z > depth[y, x]:
                    depth[y, x] = z
                    for k in range(3):
                        shade[y, x, k] = u * normals[a, k] + v * normals[b, k] + w * normals[c, k]
