"""Sweeps of the multigrid and vector work of the conjugate gradients on one padded, flat layout.

Every array carries a layer of one voxel round the grid that stays zero, so no kernel asks where the edge is. ``fz, fy, fx`` hold
the conductance of the LOWER face of a voxel along z, y and x; the faces of the outer layer are zero. Red and black: the parity of
k + j + i of the padded indices; 7-point couplings never join two of one colour, so a half sweep is the same for any number of
threads. Sums are left plane by plane and added by the caller (``sum`` in a parallel kernel would add in the order of threads).
Rows are unsigned offsets (a signed one costs a wrap test), in functions of few arrays: with many, the compiler gives up proving
that none overlaps another and does not vectorise.
"""

import numpy as np
from numba import njit, prange, uint64

I0, I1, I2 = np.uint64(0), np.uint64(1), np.uint64(2)
SLAB = 16
ZERO, ONE, TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)
FAST = {"cache": True, "fastmath": True, "error_model": "numpy"}


@njit(**FAST, parallel=True)
def faces(c, h, fz, fy, fx, n):
    """Fill face conductances [unit of c times metre]: harmonic mean of the two voxels times h; 0 beside a voxel of 0."""
    nz, ny, nx = n
    sy, sz = nx + 2, (nx + 2) * (ny + 2)
    for k in prange(nz):
        for j in range(ny):
            for i in range(nx):
                o = (k + 1) * sz + (j + 1) * sy + i + 1
                a = c[k, j, i]
                if i > 0:
                    b = c[k, j, i - 1]
                    fx[o] = TWO * h * a * b / (a + b) if a > ZERO and b > ZERO else ZERO
                if j > 0:
                    b = c[k, j - 1, i]
                    fy[o] = TWO * h * a * b / (a + b) if a > ZERO and b > ZERO else ZERO
                if k > 0:
                    b = c[k - 1, j, i]
                    fz[o] = TWO * h * a * b / (a + b) if a > ZERO and b > ZERO else ZERO


@njit(**FAST, parallel=True)
def coarsen(fz, fy, fx, sink, n, gz, gy, gx, gsink, m, az, ay, ax):
    """Faces of the next level: the sum of the fine faces between two coarse voxels times the ratio of the distances (1/2)."""
    sy, sz = n[2] + 2, (n[2] + 2) * (n[1] + 2)
    ty, tz = m[2] + 2, (m[2] + 2) * (m[1] + 2)
    for K in prange(1, m[0] + 1):
        for J in range(1, m[1] + 1):
            for L in range(1, m[2] + 1):
                o = K * tz + J * ty + L
                sum_z, sum_y, sum_x, total = ZERO, ZERO, ZERO, ZERO
                for k in range(2 * K - 1, min(2 * K, n[0]) + 1):
                    for j in range(2 * J - 1, min(2 * J, n[1]) + 1):
                        for i in range(2 * L - 1, min(2 * L, n[2]) + 1):
                            p = k * sz + j * sy + i
                            total += sink[p]
                            if k == 2 * K - 1:
                                sum_z += fz[p]
                            if j == 2 * J - 1:
                                sum_y += fy[p]
                            if i == 2 * L - 1:
                                sum_x += fx[p]
                gz[o], gy[o], gx[o], gsink[o] = sum_z * az[K], sum_y * ay[J], sum_x * ax[L], total


@njit(**FAST, parallel=True)
def invert(fz, fy, fx, sink, inverse, n):
    """One over the sum of faces and sink of each voxel; 1 where a voxel is joined to nothing."""
    sy, sz = n[2] + 2, (n[2] + 2) * (n[1] + 2)
    for k in prange(1, n[0] + 1):
        for j in range(1, n[1] + 1):
            o = k * sz + j * sy
            for i in range(1, n[2] + 1):
                p = o + i
                d = fz[p] + fz[p + sz] + fy[p] + fy[p + sy] + fx[p] + fx[p + 1] + sink[p]
                inverse[p] = ONE / d if d > ZERO else ONE


@njit(**FAST)
def _along_x(u, f, fx, o, end, t):
    for i in range(I1, end):
        p = o + i
        t[i] = f[p] + fx[p] * u[p - I1] + fx[p + I1] * u[p + I1]


@njit(**FAST)
def _along(u, face, o, end, stride, t):
    for i in range(I1, end):
        p = o + i
        t[i] += face[p] * u[p - stride] + face[p + stride] * u[p + stride]


@njit(**FAST)
def _relax(u, inverse, o, end, t, mask, parity):
    for i in range(I1, end):
        u[o + i] += mask[parity + i] * (t[i] * inverse[o + i] - u[o + i])


@njit(**FAST)
def _fresh(u, f, inverse, o, end):
    for i in range(I1, end):
        u[o + i] = f[o + i] * inverse[o + i]


@njit(**FAST)
def _plane(u, f, fz, fy, fx, inverse, n, k, colour, fresh, t, mask):
    """Half sweep over one colour of one plane; ``fresh``: u is zero, and the other colour is swept next.

    Whole rows are computed and half of them kept by ``mask``: strides of two are not vectorised, this is five times faster.
    """
    sy, sz = n[2] + 2, (n[2] + 2) * (n[1] + 2)
    for j in range(1, n[1] + 1):
        o, end = uint64(k * sz + j * sy), uint64(n[2] + 1)
        if fresh:
            _fresh(u, f, inverse, o, end)
        else:
            _along_x(u, f, fx, o, end, t)
            _along(u, fy, o, end, uint64(sy), t)
            _along(u, fz, o, end, uint64(sz), t)
            _relax(u, inverse, o, end, t, mask, uint64((k + j + colour) % 2))


@njit(**FAST, parallel=True)
def sweep(u, f, fz, fy, fx, inverse, n, mask, colour, fresh):
    """Sweep of Gauss-Seidel, ``colour`` first, in one passage through memory: the other colour follows one plane behind.

    At the joints of slabs the other colour waits until all slabs are done, so the result is that of two whole half sweeps.
    """
    slabs = (n[0] + SLAB - 1) // SLAB
    for s in prange(slabs):
        t = np.empty(n[2] + 2, np.float32)
        low, high = 1 + s * SLAB, min((s + 1) * SLAB, n[0])
        for k in range(low, high + 1):
            _plane(u, f, fz, fy, fx, inverse, n, k, colour, fresh, t, mask)
            if k - 1 > low:
                _plane(u, f, fz, fy, fx, inverse, n, k - 1, 1 - colour, False, t, mask)
    for s in prange(slabs):
        t = np.empty(n[2] + 2, np.float32)
        low, high = 1 + s * SLAB, min((s + 1) * SLAB, n[0])
        _plane(u, f, fz, fy, fx, inverse, n, low, 1 - colour, False, t, mask)
        if high > low:
            _plane(u, f, fz, fy, fx, inverse, n, high, 1 - colour, False, t, mask)


@njit(**FAST)
def _defect(u, inverse, o, end, t):
    for i in range(I1, end):
        t[i] -= u[o + i] / inverse[o + i]


@njit(**FAST)
def _pairs(t, g, q, end):
    for i in range(I1, end):
        g[q + i] += t[I2 * i - I1] + t[I2 * i]


@njit(**FAST, parallel=True)
def restrict(u, f, fz, fy, fx, inverse, n, g, m):
    """Sum the residual over the voxels of each coarse voxel."""
    sy, sz = n[2] + 2, (n[2] + 2) * (n[1] + 2)
    ty, tz = m[2] + 2, (m[2] + 2) * (m[1] + 2)
    for K in prange(1, m[0] + 1):
        t = np.zeros(n[2] + 3, np.float32)
        for J in range(1, m[1] + 1):
            q = uint64(K * tz + J * ty)
            for i in range(1, m[2] + 1):
                g[q + uint64(i)] = ZERO
            for k in range(2 * K - 1, min(2 * K, n[0]) + 1):
                for j in range(2 * J - 1, min(2 * J, n[1]) + 1):
                    o, end = uint64(k * sz + j * sy), uint64(n[2] + 1)
                    _along_x(u, f, fx, o, end, t)
                    _along(u, fy, o, end, uint64(sy), t)
                    _along(u, fz, o, end, uint64(sz), t)
                    _defect(u, inverse, o, end, t)
                    _pairs(t, g, q, uint64(m[2] + 1))


@njit(**FAST)
def _copies(u, o, v, q, end):
    for i in range(I1, end):
        u[o + I2 * i - I1] += v[q + i]
        u[o + I2 * i] += v[q + i]


@njit(**FAST, parallel=True)
def prolong(u, n, v, m):
    """Add the coarse correction to every voxel of its coarse voxel."""
    sy, sz = n[2] + 2, (n[2] + 2) * (n[1] + 2)
    ty, tz = m[2] + 2, (m[2] + 2) * (m[1] + 2)
    for k in prange(1, n[0] + 1):
        for j in range(1, n[1] + 1):
            o, q = uint64(k * sz + j * sy), uint64(((k + 1) // 2) * tz + ((j + 1) // 2) * ty)
            _copies(u, o, v, q, uint64(n[2] // 2 + 1))
            if n[2] % 2:
                u[o + uint64(n[2])] += v[q + uint64(m[2])]


@njit(**FAST)
def _apply_row(u, y, fz, fy, fx, sink, o, end, sy, sz):
    total = 0.0
    for i in range(I1, end):
        p = o + i
        c = u[p]
        a = sink[p] * c + fx[p] * (c - u[p - I1]) + fx[p + I1] * (c - u[p + I1])
        a += fy[p] * (c - u[p - sy]) + fy[p + sy] * (c - u[p + sy])
        a += fz[p] * (c - u[p - sz]) + fz[p + sz] * (c - u[p + sz])
        y[p] = a
        total += a * c
    return total


@njit(**FAST, parallel=True)
def apply(u, y, fz, fy, fx, sink, n, sums):
    """Y = A u without lines, float64, and u . A u plane by plane to ``sums``."""
    sy, sz = n[2] + 2, (n[2] + 2) * (n[1] + 2)
    for k in prange(1, n[0] + 1):
        total = 0.0
        for j in range(1, n[1] + 1):
            total += _apply_row(u, y, fz, fy, fx, sink, uint64(k * sz + j * sy), uint64(n[2] + 1), uint64(sy), uint64(sz))
        sums[k] = total


@njit(cache=True)
def apply_lines(u, y, index, weight, conductance, averaged):
    """Add Wᵀ g ds W u to y; keeps W u; returns u . Wᵀ g ds W u."""
    total = 0.0
    for s in range(index.shape[0]):
        mean = 0.0
        for i in range(index.shape[1]):
            mean += weight[s, i] * u[index[s, i]]
        averaged[s] = mean
        total += conductance[s] * mean * mean
        mean *= conductance[s]
        for i in range(index.shape[1]):
            y[index[s, i]] += weight[s, i] * mean
    return total


@njit(**FAST, parallel=True)
def advance(u, r, p, q, alpha, scale, f, sums, plane):
    """U += alpha p, r -= alpha q, f = scale r, and r . r plane by plane to ``sums``."""
    planes = r.size // plane
    for k in prange(planes):
        total = 0.0
        for i in range(uint64(k * plane), uint64((k + 1) * plane)):
            u[i] += alpha * p[i]
            v = r[i] - alpha * q[i]
            r[i] = v
            f[i] = np.float32(v * scale)
            total += v * v
        sums[k] = total


@njit(**FAST, parallel=True)
def dot(r, z, sums, plane):
    """Write r . z plane by plane to ``sums``."""
    planes = r.size // plane
    for k in prange(planes):
        total = 0.0
        for i in range(uint64(k * plane), uint64((k + 1) * plane)):
            total += r[i] * z[i]
        sums[k] = total


@njit(**FAST, parallel=True)
def turn(p, z, beta, plane):
    """P = z + beta p."""
    for k in prange(p.size // plane):
        for i in range(uint64(k * plane), uint64((k + 1) * plane)):
            p[i] = z[i] + beta * p[i]


@njit(**FAST)
def _half(a, b, du, h):
    """Power in the half voxel of a, on its way to b: F²/(2 a h)."""
    if b <= 0.0:
        return 0.0
    flux = 2.0 * h * a * b / (a + b) * du
    return flux * flux / (2.0 * a * h)


@njit(**FAST, parallel=True)
def dissipate(c, u, h, wall, q, n):
    """Power per voxel [W]: each half of a voxel takes F²/(2 c h) of the flux F through its face; faces add up to f du²."""
    nz, ny, nx = n
    for k in prange(nz):
        for j in range(ny):
            for i in range(nx):
                a, v = np.float64(c[k, j, i]), u[k, j, i]
                total = wall[k, j, i] * v * v
                if a > 0.0:
                    if k > 0:
                        total += _half(a, np.float64(c[k - 1, j, i]), u[k - 1, j, i] - v, h)
                    if k < nz - 1:
                        total += _half(a, np.float64(c[k + 1, j, i]), u[k + 1, j, i] - v, h)
                    if j > 0:
                        total += _half(a, np.float64(c[k, j - 1, i]), u[k, j - 1, i] - v, h)
                    if j < ny - 1:
                        total += _half(a, np.float64(c[k, j + 1, i]), u[k, j + 1, i] - v, h)
                    if i > 0:
                        total += _half(a, np.float64(c[k, j, i - 1]), u[k, j, i - 1] - v, h)
                    if i < nx - 1:
                        total += _half(a, np.float64(c[k, j, i + 1]), u[k, j, i + 1] - v, h)
                q[k, j, i] = total
