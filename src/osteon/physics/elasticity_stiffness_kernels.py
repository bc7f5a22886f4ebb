"""The stiffness of cubes without a matrix: y = K u of elasticity_march.py and elasticity_levels.py.

Displacements are flat, laid out (z, y, component, x). The mirror planes of a cube turn its 24 x 24 stiffness into eight 3 x 3
blocks in the basis of sums and differences of its corners, and its equal axes leave eight numbers of them (``mode_constants``):
about 150 operations an element, not 1152. Mode t has bit 4 for the difference along z, 2 along y, 1 along x; z4 is the stretch
along z, z1 with x4 a shear, and of the three means nothing is felt.

Rows of elements are short, and a loop costs as much to begin as 40 elements: rows that follow each other in a layer are laid side
by side into a tile of equal rows (``p`` nodes each, the last element of each row without stiffness), and worked through as one
long row. Sums and differences along z are made while a row of nodes is laid in, those of y and x in the tile.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange, uint64

FAST = {"cache": True, "fastmath": True, "error_model": "numpy"}
SLAB = 4  # element layers a thread takes at once, at most; their number is a multiple of 4, so that two threads get the same
MOST = 384  # nodes of a tile in one plane: its scratch then fits the first cache; a constant, else nothing vectorises
I1, FIRST = np.uint64(1), np.uint64(16)  # FIRST: margin before the first element of a tile, of zeros
R, R2, R3, R4, R8, R16 = (np.uint64(i * (384 + 32)) for i in (1, 2, 3, 4, 8, 16))  # one value of all places of a tile


@njit(**FAST)
def _load(u, o, sz, v, q, n):
    """Lay in one component of a row of nodes: its sum and difference along z."""
    for i in range(uint64(0), n):
        a, b = u[o + i], u[o + sz + i]
        v[q + i] = a + b
        v[q + R + i] = b - a


@njit(**FAST)
def _stiff(e, at, g, q, n):
    for i in range(uint64(0), n):
        g[q + i] = e[at + i]


@njit(**FAST)
def _modes(v, t, p):
    """Sums and differences along x and y, differences along: none, x, y, both."""
    a, b, c, d = v[t], v[t + I1], v[t + p], v[t + p + I1]
    s0, d0, s1, d1 = a + b, b - a, c + d, d - c
    return s0 + s1, d0 + d1, s1 - s0, d1 - d0


@njit(**FAST)
def _corners(m, w, g0, g1, g2, g3):
    """Back from modes along x and y to corners."""
    a, b, s, d = g0 - g2, g1 - g3, g0 + g2, g1 + g3
    m[w], m[w + R], m[w + R2], m[w + R3] = a - b, a + b, s - d, s + d


@njit(**FAST)
def _force(v, p, g, m, k, n):
    """Forces of n elements on their corners: for z, y, x the sum along z, then the difference, four corners each."""
    kd, kn, ke, ko, kb, kc, ks, kw = k[0], k[1], k[2], k[3], k[4], k[5], k[6], k[7]
    for i in range(uint64(0), n):
        f = g[i]
        _, z1, z2, z3 = _modes(v, i, p)
        z4, z5, z6, z7 = _modes(v, i + R, p)
        _, y1, y2, y3 = _modes(v, i + R2, p)
        y4, y5, y6, y7 = _modes(v, i + R3, p)
        _, x1, x2, x3 = _modes(v, i + R4, p)
        x4, x5, x6, x7 = _modes(v, i + R4 + R, p)
        a, b = f * kd, f * kn * (z4 + y2 + x1)
        z4, y2, x1 = a * z4 + b, a * y2 + b, a * x1 + b
        a, b = f * ke, f * ko * (z3 + y5 + x6)
        z3, y5, x6 = a * z3 + b, a * y5 + b, a * x6 + b
        a, b = f * kb, f * kc
        y6, x5 = a * y6 + b * x5, b * y6 + a * x5
        z5, y3 = a * z5 + b * y3, b * z5 + a * y3
        z6, x3 = a * z6 + b * x3, b * z6 + a * x3
        a, b = f * ks, f * kw
        zx, zy, yx = a * (z1 + x4), a * (z2 + y4), a * (y1 + x2)
        zero = f * 0
        w = i + FIRST
        _corners(m, w, zero, zx, zy, z3)
        _corners(m, w + R4, z4, z5, z6, b * z7)
        _corners(m, w + R8, zero, yx, y2, y3)
        _corners(m, w + R8 + R4, zy, y5, y6, b * y7)
        _corners(m, w + R16, zero, x1, yx, x3)
        _corners(m, w + R16 + R4, zx, x5, x6, b * x7)


@njit(**FAST)
def _collect(v, m, n):
    """Forces on the nodes of the lower edge along y: of their element to the right, and of the one to the left."""
    for i in range(uint64(0), n):
        w = i + FIRST
        v[i] = m[w] + m[w + R - I1]
        v[i + R] = m[w + R4] + m[w + R4 + R - I1]
        v[i + R2] = m[w + R8] + m[w + R8 + R - I1]
        v[i + R3] = m[w + R8 + R4] + m[w + R8 + R4 + R - I1]
        v[i + R4] = m[w + R16] + m[w + R16 + R - I1]
        v[i + R4 + R] = m[w + R16 + R4] + m[w + R16 + R4 + R - I1]


@njit(**FAST)
def _join(v, p, m, n):
    """Add those on the nodes of the upper edge."""
    for i in range(uint64(0), n):
        w = i + FIRST + R2
        t = i + p
        v[t] += m[w] + m[w + R - I1]
        v[t + R] += m[w + R4] + m[w + R4 + R - I1]
        v[t + R2] += m[w + R8] + m[w + R8 + R - I1]
        v[t + R3] += m[w + R8 + R4] + m[w + R8 + R4 + R - I1]
        v[t + R4] += m[w + R16] + m[w + R16 + R - I1]
        v[t + R4 + R] += m[w + R16 + R4] + m[w + R16 + R4 + R - I1]


@njit(**FAST)
def _store(y, o, sz, v, q, n):
    """Add one component of a row of nodes to both planes."""
    for i in range(uint64(0), n):
        a, b = v[q + i], v[q + R + i]
        y[o + i] += a - b
        y[o + sz + i] += a + b


@njit(**FAST)
def _tile(u, y, e, k, n, at, o, rows, p, scratch):
    """Add the forces of ``rows`` rows of p - 1 elements; the first has the place ``at``, its first node ``o``."""
    v, m, g = scratch
    sc = uint64(n[2] + 1)
    sy = uint64(3) * sc
    sz = sy * uint64(n[1] + 1)
    count = rows * p
    full = (count + uint64(15)) // uint64(16) * uint64(16)
    for row in range(rows + I1):
        for c in range(uint64(3)):
            _load(u, o + row * sy + c * sc, sz, v, c * R2 + row * p, p)
    for row in range(rows):
        _stiff(e, at + row * uint64(n[2]), g, row * p, p - I1)
        g[row * p + p - I1] = 0.0
    g[count:full] = 0.0
    for c in range(uint64(6)):
        v[c * R + count + p] = 0.0  # read with no stiffness: it must be a number
    _force(v, p, g, m, k, full)
    _collect(v, m, full)
    for c in range(uint64(6)):
        v[c * R + count : c * R + count + p] = 0.0
    _join(v, p, m, count)
    for row in range(rows + I1):
        for c in range(uint64(3)):
            _store(y, o + row * sy + c * sc, sz, v, c * R2 + row * p, p)


@njit(**FAST)
def _clear(y, spans, k):
    """Empty one plane of nodes."""
    for row in range(spans.shape[1]):
        for i in range(uint64(spans[k, row, 0]), uint64(spans[k, row, 1])):
            y[i] = 0.0


@njit(**FAST)
def _slab(u, y, e, rows, spans, k, n, first, last, begin):
    """Add the forces of the element layers first to last - 1; ``begin``: the outer planes of nodes are still to be emptied."""
    m = np.empty(24 * int(R), u.dtype)
    scratch = np.empty(6 * int(R), u.dtype), m, np.empty(int(R), u.dtype)
    for corner in range(24):
        m[corner * int(R) + int(FIRST) - 1] = 0.0
    if begin:
        _clear(y, spans, first)
    for z in range(first, last):
        if begin or z + 1 < last or last == n[0]:
            _clear(y, spans, z + 1)
        j = 0
        while j < n[1]:
            low, high = rows[z, j, 0], rows[z, j, 1]
            top = j + 1
            while low < high and top < n[1] and rows[z, top, 0] < rows[z, top, 1]:
                a, b = min(low, rows[z, top, 0]), max(high, rows[z, top, 1])
                if (top + 2 - j) * (b - a + 1) > MOST:
                    break
                low, high, top = a, b, top + 1
            while low < high:
                p = min(high - low + 1, MOST // 2)
                at = (z * n[1] + j) * n[2] + low
                o = (z * (n[1] + 1) + j) * 3 * (n[2] + 1) + low
                _tile(u, y, e, k, n, uint64(at), uint64(o), uint64(top - j), uint64(p), scratch)
                low += p - 1
            j = top


@njit(**FAST, parallel=True)
def apply(u, y, e, rows, spans, k, n):
    """Y = K u; even slabs first, then odd ones: no two write the same plane, and the order is that of any number of threads."""
    slabs = min(n[0], 4 * ((n[0] + 4 * SLAB - 1) // (4 * SLAB)))
    for half in range(2):
        for s in prange((slabs + 1 - half) // 2):
            first = (2 * s + half) * n[0] // slabs
            last = (2 * s + half + 1) * n[0] // slabs
            _slab(u, y, e, rows, spans, k, n, first, last, half == 0)
