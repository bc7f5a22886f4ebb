"""Kernels of the Rayleigh sum: double precision, one polynomial for sine and cosine so that the loops run in vectors."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

# Taylor in quarter turns round 0: |x| <= pi/4, error below 4e-16
SIN = (-1 / 6, 1 / 120, -1 / 5040, 1 / 362880, -1 / 39916800, 1 / 6227020800, -1 / 1307674368000)
COS = (-1 / 2, 1 / 24, -1 / 720, 1 / 40320, -1 / 3628800, 1 / 479001600, -1 / 87178291200, 1 / 20922789888000)
ONE, TWO, THREE = np.uint64(1), np.uint64(2), np.uint64(3)  # unsigned: no index counts from the end


@njit(cache=True, fastmath={"reassoc", "contract", "nsz", "arcp"})
def _turned(quarters):
    """Return cosine and sine of an angle given in quarter turns."""
    whole = np.floor(quarters + 0.5)
    a = (quarters - whole) * (np.pi / 2)
    b = a * a
    sine = a * (1.0 + b * (SIN[0] + b * (SIN[1] + b * (SIN[2] + b * (SIN[3] + b * (SIN[4] + b * (SIN[5] + b * SIN[6])))))))
    cosine = 1.0 + b * (
        COS[0] + b * (COS[1] + b * (COS[2] + b * (COS[3] + b * (COS[4] + b * (COS[5] + b * (COS[6] + b * COS[7]))))))
    )
    half = whole * 0.5
    odd = 2.0 * (half - np.floor(half))  # 1 in the second and fourth quarter
    fourth = whole * 0.25
    upper = np.floor(4.0 * (fourth - np.floor(fourth)) * 0.5)  # 1 in the third and fourth
    sign = 1.0 - 2.0 * upper
    return sign * (cosine + odd * (-sine - cosine)), sign * (sine + odd * (cosine - sine))


@njit(cache=True, fastmath={"reassoc", "contract", "nsz", "arcp"}, parallel=True)
def rayleigh(targets, sources, real, imag, wavenumber, attenuation):
    """Return the sum over sources of (real + i imag) exp(i k d) / d at each target, shape (targets, 2).

    ``targets`` and ``sources`` are (n, 3) and (3, m); ``attenuation`` in Np/m. ``fastmath`` keeps NaN and infinity, and no phase
    is reassociated: each comes from its own distance, reduced to a quarter turn in double precision.
    """
    quarter = wavenumber * 2.0 / np.pi
    x, y, z = sources[0], sources[1], sources[2]
    found = np.empty((targets.shape[0], 2))
    for t in prange(targets.shape[0]):
        tx, ty, tz = targets[t, 0], targets[t, 1], targets[t, 2]
        re, im = 0.0, 0.0
        for s in range(x.size):
            dx, dy, dz = x[s] - tx, y[s] - ty, z[s] - tz
            d = np.sqrt(dx * dx + dy * dy + dz * dz)
            c, w = _turned(d * quarter)
            over = 1.0 / d
            if attenuation > 0.0:
                over *= np.exp(-attenuation * d)
            re += over * (real[s] * c - imag[s] * w)
            im += over * (real[s] * w + imag[s] * c)
        found[t, 0], found[t, 1] = re, im
    return found


@njit(cache=True, fastmath={"reassoc", "contract", "nsz", "arcp"}, parallel=True)
def discs(targets, place, real, imag, table, steps, wavenumber, attenuation, radius, near):
    """Return the sum of alike round elements at each target, from a table of one; shape (targets, 2).

    ``place`` is (6, n): centre and unit normal. ``table`` is (rows of 1/D, columns of sine, 2): what is left of one element's
    mean of exp(i k s) / s when exp(i k D) / D is taken out, D² = d² + radius² / 2 the mean square distance. ``steps`` are those
    per 1/D and per sine; both begin at 0. Elements nearer than ``near`` are left out.
    """
    quarter = wavenumber * 2.0 / np.pi
    px, py, pz, nx, ny, nz = place[0], place[1], place[2], place[3], place[4], place[5]
    half, nearest = 0.5 * radius * radius, near * near
    per_inverse, per_sine = steps[0], steps[1]
    wide, flat = np.uint64(table.shape[1]), table.ravel()
    last, end = table.shape[0] - 2.0, table.shape[1] - 2.0
    found = np.empty((targets.shape[0], 2))
    for t in prange(targets.shape[0]):
        tx, ty, tz = targets[t, 0], targets[t, 1], targets[t, 2]
        re, im = 0.0, 0.0
        for s in range(px.size):
            dx, dy, dz = tx - px[s], ty - py[s], tz - pz[s]
            square = dx * dx + dy * dy + dz * dz
            along = dx * nx[s] + dy * ny[s] + dz * nz[s]
            over = 1.0 / np.sqrt(square + half)
            distance = (square + half) * over
            u, v = over * per_inverse, per_sine * np.sqrt(max(0.0, 1.0 - along * along / max(square, nearest)))
            i, j = np.uint32(min(u, last)), np.uint32(min(v, end))
            u, v = u - i, v - j
            at = TWO * (np.uint64(i) * wide + np.uint64(j))
            low, high = flat[at], flat[at + ONE]
            low, high = low + v * (flat[at + TWO] - low), high + v * (flat[at + THREE] - high)
            at += TWO * wide
            a, b = flat[at], flat[at + ONE]
            a, b = a + v * (flat[at + TWO] - a), b + v * (flat[at + THREE] - b)
            a, b = low + u * (a - low), high + u * (b - high)
            c, w = _turned(distance * quarter)
            if attenuation > 0.0:
                over *= np.exp(-attenuation * distance)
            over = over if square >= nearest else 0.0
            p, q = real[s] * a - imag[s] * b, real[s] * b + imag[s] * a
            re += over * (p * c - q * w)
            im += over * (p * w + q * c)
        found[t, 0], found[t, 1] = re, im
    return found


@njit(cache=True, fastmath={"reassoc", "contract", "nsz", "arcp"}, parallel=True)
def cut_discs(targets, place, face, shares, real, imag, wavenumber, attenuation, near, found):
    """Add to ``found`` (targets, 2) the sum over the pieces of those round elements that are nearer than ``near``.

    ``place`` is (9, n): centre and two unit vectors across the normal; ``face`` (2, m) the pieces of one face along them,
    ``shares`` (m) their areas.
    """
    quarter = wavenumber * 2.0 / np.pi
    x, y = face[0], face[1]
    for t in prange(targets.shape[0]):
        for e in range(place.shape[1]):
            cx, cy, cz = place[0, e] - targets[t, 0], place[1, e] - targets[t, 1], place[2, e] - targets[t, 2]
            if cx * cx + cy * cy + cz * cz >= near * near:
                continue
            ux, uy, uz, vx, vy, vz = place[3, e], place[4, e], place[5, e], place[6, e], place[7, e], place[8, e]
            re, im = 0.0, 0.0
            for s in range(x.size):
                dx, dy, dz = cx + x[s] * ux + y[s] * vx, cy + x[s] * uy + y[s] * vy, cz + x[s] * uz + y[s] * vz
                d = np.sqrt(dx * dx + dy * dy + dz * dz)
                c, w = _turned(d * quarter)
                over = shares[s] / d
                if attenuation > 0.0:
                    over *= np.exp(-attenuation * d)
                re += over * c
                im += over * w
            found[t, 0] += real[e] * re - imag[e] * im
            found[t, 1] += real[e] * im + imag[e] * re
