"""Loops of elasticity.py: transfers between grids, the smoother, vectors of the conjugate gradients.

Displacements are flat, laid out (z, y, component, x): along x every loop is contiguous.

A bone fills a small part of its box: loops over nodes run along ``spans`` (``node_spans``), in each plane of nodes the first
place and one past the last of each row of each component. Beyond them a vector is 0 and stays 0.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange, uint64

FAST = {"cache": True, "fastmath": True, "error_model": "numpy"}
I1 = np.uint64(1)


@njit(**FAST, parallel=True)
def start_smoothing(u, d, f, inverse, scale, spans):
    """First step of the Chebyshev smoother from zero."""
    for k in prange(spans.shape[0]):
        for row in range(spans.shape[1]):
            for i in range(uint64(spans[k, row, 0]), uint64(spans[k, row, 1])):
                d[i] = scale * inverse[i] * f[i]
                u[i] = d[i]


@njit(**FAST, parallel=True)
def smooth(u, d, q, f, inverse, keep, scale, spans):
    """D = keep d + scale D^-1 (f - q), u += d."""
    for k in prange(spans.shape[0]):
        for row in range(spans.shape[1]):
            for i in range(uint64(spans[k, row, 0]), uint64(spans[k, row, 1])):
                t = keep * d[i] + scale * inverse[i] * (f[i] - q[i])
                d[i] = t
                u[i] += t


@njit(**FAST, parallel=True)
def defect(q, f, inverse, spans):
    """Q = f - q where free, 0 elsewhere."""
    for k in prange(spans.shape[0]):
        for row in range(spans.shape[1]):
            for i in range(uint64(spans[k, row, 0]), uint64(spans[k, row, 1])):
                q[i] = f[i] - q[i] if inverse[i] > 0.0 else q[i] * 0


@njit(**FAST, parallel=True)
def add_springs(q, u, spring, spans):
    """Q += spring u."""
    for k in prange(spans.shape[0]):
        for row in range(spans.shape[1]):
            for i in range(uint64(spans[k, row, 0]), uint64(spans[k, row, 1])):
                q[i] += spring[i] * u[i]


@njit(**FAST, parallel=True)
def advance(u, r, p, q, inverse, alpha, scale, f, sums, spans):
    """U += alpha p, r -= alpha q where free, f = scale r, and r . r plane by plane to ``sums``."""
    for k in prange(spans.shape[0]):
        total = 0.0
        for row in range(spans.shape[1]):
            for i in range(uint64(spans[k, row, 0]), uint64(spans[k, row, 1])):
                u[i] += alpha * p[i]
                v = r[i] - alpha * q[i] if inverse[i] > 0.0 else 0.0
                r[i] = v
                f[i] = np.float32(v * scale)
                total += v * v
        sums[k] = total


@njit(**FAST, parallel=True)
def dot(a, b, sums, spans):
    """Write a . b plane by plane to ``sums``."""
    for k in prange(spans.shape[0]):
        total = 0.0
        for row in range(spans.shape[1]):
            for i in range(uint64(spans[k, row, 0]), uint64(spans[k, row, 1])):
                total += a[i] * b[i]
        sums[k] = total


@njit(**FAST, parallel=True)
def turn(p, z, beta, spans):
    """P = z + beta p."""
    for k in prange(spans.shape[0]):
        for row in range(spans.shape[1]):
            for i in range(uint64(spans[k, row, 0]), uint64(spans[k, row, 1])):
                p[i] = z[i] + beta * p[i]


@njit(**FAST)
def _gather(t, q, at, o, weight, n):
    for i in range(uint64(0), n):
        t[at + i] += weight * q[o + i]


@njit(**FAST)
def _thin(f, at, t, o, n):
    half = np.float32(0.5)
    for i in range(uint64(0), n):
        w = o + uint64(2) * i
        f[at + i] = t[w + I1] + half * (t[w] + t[w + uint64(2)])


@njit(**FAST, parallel=True)
def restrict(q, f, spans, coarse_spans, n, m):
    """F = transposed trilinear interpolation of q, from nodes of n to nodes of m elements."""
    wide, coarse = n[2] + 1, m[2] + 1
    half, one = np.float32(0.5), np.float32(1.0)
    for K in prange(m[0] + 1):
        t = np.zeros(2 * coarse + 2, np.float32)
        for J in range(m[1] + 1):
            for c in range(3):
                at = ((K * (m[1] + 1) + J) * 3 + c) * coarse
                start, stop = coarse_spans[K, 3 * J + c, 0] - at, coarse_spans[K, 3 * J + c, 1] - at
                t[2 * start : 2 * stop + 1] = 0.0
                for k in range(max(2 * K - 1, 0), min(2 * K + 1, n[0]) + 1):
                    for j in range(max(2 * J - 1, 0), min(2 * J + 1, n[1]) + 1):
                        w = (one if k == 2 * K else half) * (one if j == 2 * J else half)
                        o = ((k * (n[1] + 1) + j) * 3 + c) * wide
                        low = max(spans[k, 3 * j + c, 0] - o, 2 * start - 1)
                        high = min(spans[k, 3 * j + c, 1] - o, 2 * stop)
                        if low < high:
                            _gather(t, q, uint64(low + 1), uint64(o + low), w, uint64(high - low))
                if start < stop:
                    _thin(f, uint64(at + start), t, uint64(2 * start), uint64(stop - start))


@njit(**FAST)
def _double(w, at, t, o, n):
    half = np.float32(0.5)
    for i in range(uint64(0), n):
        w[at + uint64(2) * i] = t[o + i]
        w[at + uint64(2) * i + I1] = half * (t[o + i] + t[o + i + I1])


@njit(**FAST)
def _add_free(u, at, w, o, inverse, n):
    for i in range(uint64(0), n):
        u[at + i] += w[o + i] if inverse[at + i] > 0.0 else np.float32(0.0)


@njit(**FAST, parallel=True)
def prolong(u, v, inverse, spans, n, m):
    """Add the trilinear interpolation of v where free."""
    wide, coarse = n[2] + 1, m[2] + 1
    half, one = np.float32(0.5), np.float32(1.0)
    for k in prange(n[0] + 1):
        t, w = np.zeros(coarse + 1, np.float32), np.zeros(2 * coarse + 2, np.float32)
        for j in range(n[1] + 1):
            for c in range(3):
                at = ((k * (n[1] + 1) + j) * 3 + c) * wide
                start, stop = spans[k, 3 * j + c, 0] - at, spans[k, 3 * j + c, 1] - at
                if start >= stop:
                    continue
                first, last = start // 2, stop // 2 + 1
                t[first:last] = 0.0
                for K in range(k // 2, (k + 1) // 2 + 1):
                    for J in range(j // 2, (j + 1) // 2 + 1):
                        share = (half if k % 2 else one) * (half if j % 2 else one)
                        o = ((K * (m[1] + 1) + J) * 3 + c) * coarse
                        _gather(t, v, uint64(first), uint64(o + first), share, uint64(last - first))
                _double(w, uint64(2 * first), t, uint64(first), uint64(last - first))
                _add_free(u, uint64(at + start), w, uint64(start), inverse, uint64(stop - start))


@njit(cache=True, error_model="numpy")
def row_ends(e, rows):
    """First and one past the last element with stiffness of each row along x; 0, 0 where there is none."""
    for k in range(e.shape[0]):
        for j in range(e.shape[1]):
            low, high = e.shape[2], 0
            for i in range(e.shape[2]):
                if e[k, j, i] > 0.0:
                    low, high = min(low, i), i + 1
            rows[k, j, 0], rows[k, j, 1] = min(low, high), high


@njit(cache=True, error_model="numpy")
def node_spans(rows, wide, spans):
    """First place and one past the last of each row of nodes, component by component; the same twice where no element touches."""
    for k in range(spans.shape[0]):
        for j in range(spans.shape[1] // 3):
            low, high = wide, 0
            for a in range(max(k - 1, 0), min(k + 1, rows.shape[0])):
                for b in range(max(j - 1, 0), min(j + 1, rows.shape[1])):
                    if rows[a, b, 1] > rows[a, b, 0]:
                        low, high = min(low, rows[a, b, 0]), max(high, rows[a, b, 1] + 1)
            for c in range(3):
                at = (k * spans.shape[1] + 3 * j + c) * wide
                spans[k, 3 * j + c, 0], spans[k, 3 * j + c, 1] = at + min(low, high), at + high


@njit(cache=True, error_model="numpy")
def coarsen(e, c):
    """Mean of eight children; those outside count as empty."""
    for k in range(e.shape[0]):
        for j in range(e.shape[1]):
            for i in range(e.shape[2]):
                c[k // 2, j // 2, i // 2] += np.float32(0.125) * e[k, j, i]


@njit(cache=True, error_model="numpy")
def diagonal(e, scale, d):
    """Diagonal of K on the nodes: the sum of the moduli round each, times that of one element."""
    n0, n1, n2 = e.shape
    for k in range(n0):
        for j in range(n1):
            for i in range(n2):
                v = scale * e[k, j, i]
                if v > 0.0:
                    for corner in range(8):
                        for c in range(3):
                            d[k + (corner >> 2), j + ((corner >> 1) & 1), c, i + (corner & 1)] += v


@njit(cache=True, error_model="numpy", parallel=True)
def centre_strain(e, u, h, out):
    """Strain at the element centres, zz yy xx zy zx yx, shears as engineering shears; u of shape (z, y, x, 3)."""
    for k in prange(e.shape[0]):
        grad = np.zeros((3, 3))
        for j in range(e.shape[1]):
            for i in range(e.shape[2]):
                if e[k, j, i] > 0.0:
                    grad[:] = 0.0
                    for corner in range(8):
                        z, y, x = corner >> 2, (corner >> 1) & 1, corner & 1
                        for c in range(3):
                            v = u[k + z, j + y, i + x, c] * (0.25 / h)
                            grad[c, 0] += v if z else -v
                            grad[c, 1] += v if y else -v
                            grad[c, 2] += v if x else -v
                    out[k, j, i, 0], out[k, j, i, 1], out[k, j, i, 2] = grad[0, 0], grad[1, 1], grad[2, 2]
                    out[k, j, i, 3] = grad[0, 1] + grad[1, 0]
                    out[k, j, i, 4] = grad[0, 2] + grad[2, 0]
                    out[k, j, i, 5] = grad[1, 2] + grad[2, 1]
