"""Kernel of the Rayleigh sum: double precision, one polynomial for sine and cosine so that the loop runs in vectors."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

# Taylor in quarter turns round 0: |x| <= pi/4, error below 4e-16
SIN = (-1 / 6, 1 / 120, -1 / 5040, 1 / 362880, -1 / 39916800, 1 / 6227020800, -1 / 1307674368000)
COS = (-1 / 2, 1 / 24, -1 / 720, 1 / 40320, -1 / 3628800, 1 / 479001600, -1 / 87178291200, 1 / 20922789888000)


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
            turns = d * quarter
            whole = np.floor(turns + 0.5)
            a = (turns - whole) * (np.pi / 2)
            b = a * a
            sine = a * (
                1.0 + b * (SIN[0] + b * (SIN[1] + b * (SIN[2] + b * (SIN[3] + b * (SIN[4] + b * (SIN[5] + b * SIN[6]))))))
            )
            cosine = 1.0 + b * (
                COS[0] + b * (COS[1] + b * (COS[2] + b * (COS[3] + b * (COS[4] + b * (COS[5] + b * (COS[6] + b * COS[7]))))))
            )
            half = whole * 0.5
            odd = 2.0 * (half - np.floor(half))  # 1 in the second and fourth quarter
            fourth = whole * 0.25
            upper = np.floor(4.0 * (fourth - np.floor(fourth)) * 0.5)  # 1 in the third and fourth
            sign = 1.0 - 2.0 * upper
            c = sign * (cosine + odd * (-sine - cosine))
            w = sign * (sine + odd * (cosine - sine))
            over = 1.0 / d
            if attenuation > 0.0:
                over *= np.exp(-attenuation * d)
            re += over * (real[s] * c - imag[s] * w)
            im += over * (real[s] * w + imag[s] * c)
        found[t, 0], found[t, 1] = re, im
    return found
