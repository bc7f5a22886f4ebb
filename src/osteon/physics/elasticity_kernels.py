"""Loops of elasticity.py: the stiffness of cubes without a matrix, transfers between grids, the smoother.

Displacements are flat, laid out (z, y, component, x): along x every loop is contiguous. The mirror planes of a cube turn its
24 x 24 stiffness into eight 3 x 3 blocks in the basis of sums and differences of its corners: about 260 operations an element,
not 1152.
Mode t has bit 4 for the difference along z, 2 along y, 1 along x.

A bone fills a small part of its box: loops over nodes run along ``spans`` (``node_spans``), in each plane of nodes the first
place and one past the last of each row of each component. Beyond them a vector is 0 and stays 0.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange, uint64

FAST = {"cache": True, "fastmath": True, "error_model": "numpy"}
SLAB = 4  # element layers a thread takes at once, at most; their number is a multiple of 4, so that two threads get the same
WIDE = np.uint64(128)  # elements along x at once: the scratch then fits the first cache; a constant, else nothing vectorises
I1 = np.uint64(1)
EIGHT = np.uint64(8 * 128)


@njit(**FAST)
def _modes(u, o, sy, sz, m, c, n):
    """Sums and differences of one component over the corners of n elements."""
    for i in range(uint64(0), n):
        p = o + i
        a, b = u[p], u[p + I1]
        s0, d0 = a + b, b - a
        a, b = u[p + sy], u[p + sy + I1]
        s1, d1 = a + b, b - a
        a, b = u[p + sz], u[p + sz + I1]
        s2, d2 = a + b, b - a
        a, b = u[p + sz + sy], u[p + sz + sy + I1]
        s3, d3 = a + b, b - a
        q = c + i
        low, high = s0 + s1, s2 + s3
        m[q] = low + high
        m[q + uint64(4) * WIDE] = high - low
        low, high = d0 + d1, d2 + d3
        m[q + WIDE] = low + high
        m[q + uint64(5) * WIDE] = high - low
        low, high = s1 - s0, s3 - s2
        m[q + uint64(2) * WIDE] = low + high
        m[q + uint64(6) * WIDE] = high - low
        low, high = d1 - d0, d3 - d2
        m[q + uint64(3) * WIDE] = low + high
        m[q + uint64(7) * WIDE] = high - low


@njit(**FAST)
def _block(m, e, at, k, a, b, c, n):
    """One block: three modes that the mirror planes leave coupled, times the modulus."""
    k00, k01, k02, k11, k12, k22 = k[0, 0], k[0, 1], k[0, 2], k[1, 1], k[1, 2], k[2, 2]
    for i in range(uint64(0), n):
        f = e[at + i]
        x, y, z = f * m[a + i], f * m[b + i], f * m[c + i]
        m[a + i] = k00 * x + k01 * y + k02 * z
        m[b + i] = k01 * x + k11 * y + k12 * z
        m[c + i] = k02 * x + k12 * y + k22 * z


@njit(**FAST)
def _corners(m, c, n):
    """Back from modes to corners, in place; corner 4 dz + 2 dy + dx."""
    for i in range(uint64(0), n):
        q = c + i
        g0, g1, g2, g3 = m[q], m[q + WIDE], m[q + uint64(2) * WIDE], m[q + uint64(3) * WIDE]
        g4, g5 = m[q + uint64(4) * WIDE], m[q + uint64(5) * WIDE]
        g6, g7 = m[q + uint64(6) * WIDE], m[q + uint64(7) * WIDE]
        a0, a1, a2, a3 = g0 - g4, g1 - g5, g2 - g6, g3 - g7
        b0, b1, b2, b3 = g0 + g4, g1 + g5, g2 + g6, g3 + g7
        s, d = a0 - a2, a1 - a3
        m[q], m[q + WIDE] = s - d, s + d
        s, d = a0 + a2, a1 + a3
        m[q + uint64(2) * WIDE], m[q + uint64(3) * WIDE] = s - d, s + d
        s, d = b0 - b2, b1 - b3
        m[q + uint64(4) * WIDE], m[q + uint64(5) * WIDE] = s - d, s + d
        s, d = b0 + b2, b1 + b3
        m[q + uint64(6) * WIDE], m[q + uint64(7) * WIDE] = s - d, s + d


@njit(**FAST)
def _add(y, o, m, q, n):
    for i in range(uint64(0), n):
        y[o + i] += m[q + i]


@njit(**FAST)
def _slab(u, y, e, rows, blocks, n, first, last, m):
    """Add the forces of the element layers first to last - 1."""
    sc = uint64(n[2] + 1)
    sy = uint64(3) * sc
    sz = sy * uint64(n[1] + 1)
    for k in range(first, last):
        for j in range(n[1]):
            start, stop = rows[k, j, 0], rows[k, j, 1]
            while start < stop:
                count = uint64(min(stop - start, int(WIDE)))
                o = uint64(k) * sz + uint64(j) * sy + uint64(start)
                at = uint64((k * n[1] + j) * n[2] + start)
                for c in range(3):
                    _modes(u, o + uint64(c) * sc, sy, sz, m, uint64(c) * EIGHT, count)
                for t in range(8):
                    y_mode, x_mode = EIGHT + uint64(t ^ 6) * WIDE, uint64(2) * EIGHT + uint64(t ^ 5) * WIDE
                    _block(m, e, at, blocks[t], uint64(t) * WIDE, y_mode, x_mode, count)
                for c in range(3):
                    q = uint64(c) * EIGHT
                    _corners(m, q, count)
                    for corner in range(8):
                        p = o + uint64(c) * sc + uint64(corner & 1)
                        if corner & 2:
                            p += sy
                        if corner & 4:
                            p += sz
                        _add(y, p, m, q + uint64(corner) * WIDE, count)
                start += int(WIDE)


@njit(**FAST)
def _clear(y, spans, first, last):
    """Empty the node planes first to last - 1."""
    for k in range(first, last):
        for row in range(spans.shape[1]):
            for i in range(uint64(spans[k, row, 0]), uint64(spans[k, row, 1])):
                y[i] = 0.0


@njit(**FAST, parallel=True)
def apply(u, y, e, rows, spans, blocks, n):
    """Y = K u; even slabs first, then odd ones: no two write the same plane, and the order is that of any number of threads."""
    slabs = min(n[0], 4 * ((n[0] + 4 * SLAB - 1) // (4 * SLAB)))
    for half in range(2):
        for s in prange((slabs + 1 - half) // 2):
            first = (2 * s + half) * n[0] // slabs
            last = (2 * s + half + 1) * n[0] // slabs
            m = np.empty(24 * int(WIDE), u.dtype)
            if half == 0:
                _clear(y, spans, first, last + 1)
            else:
                _clear(y, spans, first + 1, last + 1 if last == n[0] else last)
            _slab(u, y, e, rows, blocks, n, first, last, m)


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
        t[at + i + I1] += weight * q[o + i]


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
                            _gather(t, q, uint64(low), uint64(o + low), w, uint64(high - low))
                for i in range(start, stop):
                    f[at + i] = t[2 * i + 1] + half * (t[2 * i] + t[2 * i + 2])


@njit(**FAST, parallel=True)
def prolong(u, v, inverse, spans, n, m):
    """Add the trilinear interpolation of v where free."""
    wide, coarse = n[2] + 1, m[2] + 1
    half, one = np.float32(0.5), np.float32(1.0)
    for k in prange(n[0] + 1):
        t = np.zeros(coarse + 1, np.float32)
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
                        w = (half if k % 2 else one) * (half if j % 2 else one)
                        o = ((K * (m[1] + 1) + J) * 3 + c) * coarse
                        for i in range(first, last):
                            t[i] += w * v[o + i]
                for i in range(start, stop):
                    if inverse[at + i] > 0.0:
                        u[at + i] += t[i // 2] if i % 2 == 0 else half * (t[i // 2] + t[i // 2 + 1])


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
