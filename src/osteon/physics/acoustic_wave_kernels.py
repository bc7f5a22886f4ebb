"""Loops of acoustic_wave.py: one half step of velocities, one of stresses, and what the absorbing layer adds to them.

Fields are flat, [z, y, x] with two ghost cells at each end; ``o`` is the place of a row's first cell, a stride the distance to
the next cell along an axis. Normal stresses lie at cell centres, a velocity half a cell up its own axis, a shear stress half a
cell up both of its axes. Every cell is made from old values of other arrays only: results do not depend on the number of threads.
A loop writes one array and reads few: with more the compiler gives up vectorising. Stresses are over an impedance, in m/s.

Losses are of Maxwell's kind: ``a`` s_new = ``b`` s_old + strain rate, ``a`` = compliance / dt + fluidity / 2, ``b`` the same with
minus. A fluid has ``a`` endless (inf) and ``b`` 0 for shear: its shear stress stays 0.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange, uint64

EXACT = {
    "nsz",
    "arcp",
    "contract",
    "reassoc",
}  # but no promise that nothing is endless: 1 / endless is how a fluid carries no shear
ROW = {"cache": True, "fastmath": EXACT, "error_model": "numpy"}
ALL = {**ROW, "parallel": True}
NEAR, FAR = np.float32(9.0 / 8.0), np.float32(1.0 / 24.0)
ZERO, ONE = np.float32(0.0), np.float32(1.0)
TWO, FOUR, THIRD = np.float32(2.0), np.float32(4.0), np.float32(1.0 / 3.0)
TILE, SLAB = 16, 64  # rows and planes a thread takes at once
DEPTH = 12  # cells of an absorbing layer
I1, I2 = np.uint64(1), np.uint64(2)


@njit(**ROW)
def _move(v, step, s, r, q, q_step, t, t_step, o, n):
    """Advance one row of a velocity by the divergence of stress; 1 / (r + r') is the mean buoyancy at the face."""
    for i in range(n):
        p = o + i
        push = NEAR * (s[p + step] - s[p]) - FAR * (s[p + step + step] - s[p - step])
        push += NEAR * (q[p] - q[p - q_step]) - FAR * (q[p + q_step] - q[p - q_step - q_step])
        push += NEAR * (t[p] - t[p - t_step]) - FAR * (t[p + t_step] - t[p - t_step - t_step])
        v[p] += push / (r[p] + r[p + step])


@njit(**ROW)
def _push(v, step, s, r, o, n):
    """Advance one row of a velocity by the gradient of pressure."""
    for i in range(n):
        p = o + i
        v[p] += (NEAR * (s[p + step] - s[p]) - FAR * (s[p + step + step] - s[p - step])) / (r[p] + r[p + step])


@njit(**ROW)
def _squeeze(s, u, u_step, v, v_step, w, a, b, o, n):
    """Advance one row of the pressure of a fluid."""
    for i in range(n):
        p = o + i
        rate = NEAR * (w[p] - w[p - I1]) - FAR * (w[p + I1] - w[p - I2])
        rate += NEAR * (v[p] - v[p - v_step]) - FAR * (v[p + v_step] - v[p - v_step - v_step])
        rate += NEAR * (u[p] - u[p - u_step]) - FAR * (u[p + u_step] - u[p - u_step - u_step])
        s[p] = (b[p] * s[p] + rate) / a[p]


@njit(**ROW)
def _shear(s, u, u_step, v, v_step, a, b, o, n):
    """Advance one row of a shear stress: the compliances of four cells are averaged, so that rigidity is their harmonic mean."""
    for i in range(n):
        p = o + i
        q = p + u_step + v_step
        rate = NEAR * (u[p + u_step] - u[p]) - FAR * (u[p + u_step + u_step] - u[p - u_step])
        rate += NEAR * (v[p + v_step] - v[p]) - FAR * (v[p + v_step + v_step] - v[p - v_step])
        kept = b[p] + b[p + u_step] + b[p + v_step] + b[q]
        s[p] = (kept * s[p] + FOUR * rate) / (a[p] + a[p + u_step] + a[p + v_step] + a[q])


@njit(**ROW)
def _trace(u, u_step, v, v_step, w, out, o, n):
    """Write the rate of volume of one row."""
    for i in range(n):
        p = o + i
        rate = NEAR * (w[p] - w[p - I1]) - FAR * (w[p + I1] - w[p - I2])
        rate += NEAR * (v[p] - v[p - v_step]) - FAR * (v[p + v_step] - v[p - v_step - v_step])
        rate += NEAR * (u[p] - u[p - u_step]) - FAR * (u[p + u_step] - u[p - u_step - u_step])
        out[i] = rate


@njit(**ROW)
def _common(rate, zz, yy, xx, ak, bk, am, bm, o, n):
    """Write over ``rate`` what all three normal stresses gain: new mean stress less what the deviators take of the old one."""
    for i in range(n):
        p = o + i
        mean = THIRD * (zz[p] + yy[p] + xx[p])
        rate[i] = (bk[p] * mean + rate[i]) / ak[p] - (bm[p] * mean + TWO * THIRD * rate[i]) / am[p]


@njit(**ROW)
def _normal(s, v, step, common, am, bm, o, n):
    """Advance one row of a normal stress."""
    for i in range(n):
        p = o + i
        rate = NEAR * (v[p] - v[p - step]) - FAR * (v[p + step] - v[p - step - step])
        s[p] = (bm[p] * s[p] + TWO * rate) / am[p] + common[i]


@njit(**ROW)
def _normals(zz, yy, xx, vz, sz, vy, sy, vx, ak, bk, am, bm, o, n, common):
    """Advance one row of the three normal stresses; ``common`` is a row to work in."""
    _trace(vz, sz, vy, sy, vx, common, o, n)
    _common(common, zz, yy, xx, ak, bk, am, bm, o, n)
    _normal(zz, vz, sz, common, am, bm, o, n)
    _normal(yy, vy, sy, common, am, bm, o, n)
    _normal(xx, vx, I1, common, am, bm, o, n)


@njit(**ROW)
def _remember(f, step, p, psi, q, keep, take, n):
    """Advance the memory of one row of differences from a cell to the next ``step`` away."""
    for i in range(n):
        d = NEAR * (f[p + i + step] - f[p + i]) - FAR * (f[p + i + step + step] - f[p + i - step])
        psi[q + i] = keep * psi[q + i] + take * d


@njit(**ROW)
def _recall(f, step, p, psi, q, profile, first, half, depth, n):
    """Advance the memory of one row at a depth of its layer; ``half``: 0 for what lies at centres, 1 for half a cell up."""
    at = first + 2 * half * DEPTH + depth
    _remember(f, step, p, psi, q, profile[at], profile[at + DEPTH], n)


@njit(**ROW)
def _add(v, step, p, psi, q, r, n):
    for i in range(n):
        v[p + i] += psi[q + i] / (r[p + i] + r[p + i + step])


@njit(**ROW)
def _add_mean(s, p, psi, q, a, n):
    for i in range(n):
        s[p + i] += psi[q + i] / a[p + i]


@njit(**ROW)
def _add_normal(s, p, psi, q, ak, am, own, n):
    """``own``: 4/3 for the layer's own axis, -2/3 for the others."""
    for i in range(n):
        s[p + i] += psi[q + i] * (ONE / ak[p + i] + own / am[p + i])


@njit(**ROW)
def _add_shear(s, u, v, p, psi, q, am, n):
    for i in range(n):
        j = p + i
        s[j] += FOUR * psi[q + i] / (am[j] + am[j + u] + am[j + v] + am[j + u + v])


@njit(**ROW)
def _place(end, z, y, o, nx, ny):
    """Return where a row meets a layer: whether, its depth, place, memory, cells. ``end``: see Ends.table."""
    axis, first = end[0], end[1]
    inner = z - first if axis == 0 else y - first
    if axis == 2:
        return True, 0, o + uint64(first), uint64(end[2] + (z * ny + y) * DEPTH), uint64(DEPTH)
    if inner < 0 or inner >= DEPTH:
        return False, 0, o, uint64(0), uint64(0)
    line = inner * ny + y if axis == 0 else z * DEPTH + inner
    return True, inner, o, uint64(end[2] + line * nx), uint64(nx)


@njit(**ROW)
def _difference(f, p):
    return NEAR * (f[p + I1] - f[p]) - FAR * (f[p + I2] - f[p - I1])


@njit(**ROW)
def _layer_fluid_x(f, shift, to, r, after, o, start, psi, profile, first):
    """Add to one row of a fluid what the layer at one end of x remembers; ``after``: whether two ``r`` divide it."""
    for i in range(DEPTH):
        p, q, c = o + uint64(i), start + uint64(i), first + i
        psi[q] = profile[c] * psi[q] + profile[c + DEPTH] * _difference(f, p - shift)
        to[p] += psi[q] / (r[p] + after * r[p + I1])


@njit(**ROW)
def _layer_move_x(vz, vy, vx, xx, xy, xz, r, sz, sy, o, start, size, psi, profile, first):
    """Add to the velocities of one row what the layer at one end of x remembers: short rows, so cell by cell."""
    for i in range(DEPTH):
        p, q, c = o + uint64(i), start + uint64(i), first + i
        psi[q] = profile[c + 2 * DEPTH] * psi[q] + profile[c + 3 * DEPTH] * _difference(xx, p)
        vx[p] += psi[q] / (r[p] + r[p + I1])
        q += size
        psi[q] = profile[c] * psi[q] + profile[c + DEPTH] * _difference(xz, p - I1)
        vz[p] += psi[q] / (r[p] + r[p + sz])
        q += size
        psi[q] = profile[c] * psi[q] + profile[c + DEPTH] * _difference(xy, p - I1)
        vy[p] += psi[q] / (r[p] + r[p + sy])


@njit(**ROW)
def _layer_strain_x(vz, vy, vx, zz, yy, xx, xz, xy, ak, am, sz, sy, o, start, size, psi, profile, first):
    """Add to the stresses of one row what the layer at one end of x remembers."""
    for i in range(DEPTH):
        p, q, c = o + uint64(i), start + uint64(i), first + i
        psi[q] = profile[c] * psi[q] + profile[c + DEPTH] * _difference(vx, p - I1)
        twice = TWO * psi[q] / am[p]
        common = psi[q] / ak[p] - THIRD * twice
        xx[p] += common + twice
        yy[p] += common
        zz[p] += common
        q += size
        psi[q] = profile[c + 2 * DEPTH] * psi[q] + profile[c + 3 * DEPTH] * _difference(vz, p)
        edge = am[p] + am[p + I1]
        xz[p] += FOUR * psi[q] / (edge + am[p + sz] + am[p + sz + I1])
        q += size
        psi[q] = profile[c + 2 * DEPTH] * psi[q] + profile[c + 3 * DEPTH] * _difference(vy, p)
        xy[p] += FOUR * psi[q] / (edge + am[p + sy] + am[p + sy + I1])


@njit(**ROW)
def _layer_move(va, vb, vc, aa, ab, ac, r, sa, sb, sc, at, size, psi, profile, first):
    """Add to the velocities of one row what the layer at one end of axis a remembers."""
    _, depth, p, q, n = at
    _recall(aa, sa, p, psi, q, profile, first, 1, depth, n)
    _add(va, sa, p, psi, q, r, n)
    _recall(ab, sa, p - sa, psi, q + size, profile, first, 0, depth, n)
    _add(vb, sb, p, psi, q + size, r, n)
    _recall(ac, sa, p - sa, psi, q + size + size, profile, first, 0, depth, n)
    _add(vc, sc, p, psi, q + size + size, r, n)


@njit(**ROW)
def _layer_strain(va, vb, vc, aa, bb, cc, ab, ac, ak, am, sa, sb, sc, at, size, psi, profile, first):
    """Add to the stresses of one row what the layer at one end of axis a remembers."""
    _, depth, p, q, n = at
    _recall(va, sa, p - sa, psi, q, profile, first, 0, depth, n)
    _add_normal(aa, p, psi, q, ak, am, FOUR * THIRD, n)
    _add_normal(bb, p, psi, q, ak, am, -TWO * THIRD, n)
    _add_normal(cc, p, psi, q, ak, am, -TWO * THIRD, n)
    _recall(vb, sa, p, psi, q + size, profile, first, 1, depth, n)
    _add_shear(ab, sa, sb, p, psi, q + size, am, n)
    _recall(vc, sa, p, psi, q + size + size, profile, first, 1, depth, n)
    _add_shear(ac, sa, sc, p, psi, q + size + size, am, n)


@njit(**ROW)
def _tile(k, nz, ny):
    """Return the first plane, planes, first row, rows of a tile."""
    tiles = (ny + TILE - 1) // TILE
    z, y = (k // tiles) * SLAB, (k % tiles) * TILE
    return z, min(SLAB, nz - z), y, min(TILE, ny - y)


@njit(**ROW)
def _tiles(nz, ny):
    return ((ny + TILE - 1) // TILE) * ((nz + SLAB - 1) // SLAB)


@njit(**ROW)
def repeat(f, stride, first, second, sources, factors):
    """Fill the four ghost cells of an axis from ``sources``, times ``factors``; ``first``, ``second``: cells and stride aside."""
    for i in range(first[0]):
        for j in range(second[0]):
            o = i * first[1] + j * second[1]
            for g in range(4):
                f[o + sources[0, g] * stride] = f[o + sources[1, g] * stride] * factors[g]


@njit(**ALL)
def move_solid(vz, vy, vx, zz, yy, xx, yz, xz, xy, r, nz, ny, nx, row, plane, ends, profile, psi):
    """Advance all velocities of a solid by one step. ``ends``: axis, first cell, start and size of a memory, per layer."""
    sy, sz, n = uint64(row), uint64(plane), uint64(nx)
    for k in prange(_tiles(nz, ny)):
        z0, planes, y0, rows = _tile(k, nz, ny)
        for j in range(planes * rows):
            z, y = z0 + j // rows, y0 + j % rows
            o = uint64(z + 2) * sz + uint64(y + 2) * sy + I2
            _move(vz, sz, zz, r, yz, sy, xz, I1, o, n)
            _move(vy, sy, yy, r, yz, sz, xy, I1, o, n)
            _move(vx, I1, xx, r, xz, sz, xy, sy, o, n)
            for e in range(len(ends)):
                at, size, first = _place(ends[e], z, y, o, nx, ny), uint64(ends[e, 3]), 4 * DEPTH * e
                if at[0] and ends[e, 0] == 0:
                    _layer_move(vz, vy, vx, zz, yz, xz, r, sz, sy, I1, at, size, psi, profile, first)
                elif at[0] and ends[e, 0] == 1:
                    _layer_move(vy, vz, vx, yy, yz, xy, r, sy, sz, I1, at, size, psi, profile, first)
                elif at[0]:
                    _layer_move_x(vz, vy, vx, xx, xy, xz, r, sz, sy, at[2], at[3], size, psi, profile, first)


@njit(**ALL)
def strain_solid(vz, vy, vx, zz, yy, xx, yz, xz, xy, ak, bk, am, bm, nz, ny, nx, row, plane, ends, profile, psi):
    """Advance all stresses of a solid by one step."""
    sy, sz, n = uint64(row), uint64(plane), uint64(nx)
    for k in prange(_tiles(nz, ny)):
        common = np.empty(nx, zz.dtype)
        z0, planes, y0, rows = _tile(k, nz, ny)
        for j in range(planes * rows):
            z, y = z0 + j // rows, y0 + j % rows
            o = uint64(z + 2) * sz + uint64(y + 2) * sy + I2
            _normals(zz, yy, xx, vz, sz, vy, sy, vx, ak, bk, am, bm, o, n, common)
            _shear(yz, vy, sz, vz, sy, am, bm, o, n)
            _shear(xz, vx, sz, vz, I1, am, bm, o, n)
            _shear(xy, vx, sy, vy, I1, am, bm, o, n)
            for e in range(len(ends)):
                at, size, first = _place(ends[e], z, y, o, nx, ny), uint64(ends[e, 3]), 4 * DEPTH * e
                if at[0] and ends[e, 0] == 0:
                    _layer_strain(vz, vy, vx, zz, yy, xx, yz, xz, ak, am, sz, sy, I1, at, size, psi, profile, first)
                elif at[0] and ends[e, 0] == 1:
                    _layer_strain(vy, vz, vx, yy, zz, xx, yz, xy, ak, am, sy, sz, I1, at, size, psi, profile, first)
                elif at[0]:
                    _layer_strain_x(vz, vy, vx, zz, yy, xx, xz, xy, ak, am, sz, sy, at[2], at[3], size, psi, profile, first)


@njit(**ALL)
def move_fluid(vz, vy, vx, s, r, nz, ny, nx, row, plane, ends, profile, psi):
    """Advance all velocities of a fluid by one step."""
    sy, sz, n = uint64(row), uint64(plane), uint64(nx)
    for k in prange(_tiles(nz, ny)):
        z0, planes, y0, rows = _tile(k, nz, ny)
        for j in range(planes * rows):
            z, y = z0 + j // rows, y0 + j % rows
            o = uint64(z + 2) * sz + uint64(y + 2) * sy + I2
            _push(vz, sz, s, r, o, n)
            _push(vy, sy, s, r, o, n)
            _push(vx, I1, s, r, o, n)
            for e in range(len(ends)):
                meets, depth, p, q, m = _place(ends[e], z, y, o, nx, ny)
                if meets and ends[e, 0] == 0:
                    _recall(s, sz, p, psi, q, profile, 4 * DEPTH * e, 1, depth, m)
                    _add(vz, sz, p, psi, q, r, m)
                elif meets and ends[e, 0] == 1:
                    _recall(s, sy, p, psi, q, profile, 4 * DEPTH * e, 1, depth, m)
                    _add(vy, sy, p, psi, q, r, m)
                elif meets:
                    _layer_fluid_x(s, uint64(0), vx, r, ONE, p, q, psi, profile, 4 * DEPTH * e + 2 * DEPTH)


@njit(**ALL)
def strain_fluid(vz, vy, vx, s, ak, bk, nz, ny, nx, row, plane, ends, profile, psi):
    """Advance the pressure (with its sign turned) of a fluid by one step."""
    sy, sz, n = uint64(row), uint64(plane), uint64(nx)
    for k in prange(_tiles(nz, ny)):
        z0, planes, y0, rows = _tile(k, nz, ny)
        for j in range(planes * rows):
            z, y = z0 + j // rows, y0 + j % rows
            o = uint64(z + 2) * sz + uint64(y + 2) * sy + I2
            _squeeze(s, vz, sz, vy, sy, vx, ak, bk, o, n)
            for e in range(len(ends)):
                meets, depth, p, q, m = _place(ends[e], z, y, o, nx, ny)
                if meets and ends[e, 0] == 0:
                    _recall(vz, sz, p - sz, psi, q, profile, 4 * DEPTH * e, 0, depth, m)
                elif meets and ends[e, 0] == 1:
                    _recall(vy, sy, p - sy, psi, q, profile, 4 * DEPTH * e, 0, depth, m)
                elif meets:
                    _layer_fluid_x(vx, I1, s, ak, ZERO, p, q, psi, profile, 4 * DEPTH * e)
                if meets and ends[e, 0] < 2:
                    _add_mean(s, p, psi, q, ak, m)
