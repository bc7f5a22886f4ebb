"""Loops of collapse.py: how near the elastic stress of each element comes to its caps.

Displacements are flat, laid out (z, y, component, x), as in elasticity_kernels.py.
"""

import math

from numba import njit, prange

HUGE = 1e30  # stands for infinite where the loop must stay finite


@njit(cache=True, error_model="numpy")
def _extremes(zz, yy, xx, zy, zx, yx):
    """Largest and smallest principal value of a symmetric tensor."""
    mean = (zz + yy + xx) / 3.0
    a, b, c = zz - mean, yy - mean, xx - mean
    j2 = 0.5 * (a * a + b * b + c * c) + zy * zy + zx * zx + yx * yx
    if j2 <= 0.0:
        return mean, mean
    radius = math.sqrt(j2 / 3.0)
    j3 = a * (b * c - yx * yx) - zy * (zy * c - yx * zx) + zx * (zy * yx - b * zx)
    ratio = 0.5 * j3 / (radius * radius * radius)
    angle = math.acos(min(1.0, max(-1.0, ratio))) / 3.0
    return mean + 2.0 * radius * math.cos(angle), mean + 2.0 * radius * math.cos(angle + 2.0 * math.pi / 3.0)


@njit(cache=True, error_model="numpy", parallel=True)
def tresca(stress, out):
    """Largest minus smallest principal value of (n, 6) in the order zz, yy, xx, zy, zx, yx."""
    for i in prange(stress.shape[0]):
        s = stress[i]
        high, low = _extremes(s[0], s[1], s[2], s[3], s[4], s[5])
        out[i] = high - low


@njit(cache=True, error_model="numpy", parallel=True)
def utilisation(e, u, h, first_lame, shear, tresca_cap, tension_cap, n, out, energy):
    """Larger of (s1 - s3) over its cap and s1 over its cap, of the elastic stress e D eps at the centre; 0 where no element is.

    ``first_lame`` and ``shear`` are those of modulus 1. A cap of 0 gives HUGE, an infinite one 0. ``energy`` becomes twice the
    elastic energy density at the centre over the modulus.
    """
    wide = n[2] + 1
    sy, sz = 3 * wide, 3 * wide * (n[1] + 1)
    for k in prange(n[0]):
        for j in range(n[1]):
            for i in range(n[2]):
                modulus = e[k, j, i]
                if not modulus > 0.0:
                    out[k, j, i], energy[k, j, i] = 0.0, 0.0
                    continue
                o, f = k * sz + j * sy + i, 0.25 / h
                gzz = gzy = gzx = gyz = gyy = gyx = gxz = gxy = gxx = 0.0
                for corner in range(8):
                    z, y, x = corner >> 2, (corner >> 1) & 1, corner & 1
                    p = o + z * sz + y * sy + x
                    a, b, c = f * u[p], f * u[p + wide], f * u[p + 2 * wide]
                    gzz += a if z else -a
                    gzy += a if y else -a
                    gzx += a if x else -a
                    gyz += b if z else -b
                    gyy += b if y else -b
                    gyx += b if x else -b
                    gxz += c if z else -c
                    gxy += c if y else -c
                    gxx += c if x else -c
                trace, g = gzz + gyy + gxx, 2.0 * shear
                spread, sheared = first_lame * trace, (gzy + gyz) ** 2 + (gzx + gxz) ** 2 + (gyx + gxy) ** 2
                energy[k, j, i] = spread * trace + g * (gzz * gzz + gyy * gyy + gxx * gxx) + shear * sheared
                high, low = _extremes(
                    spread + g * gzz, spread + g * gyy, spread + g * gxx,
                    shear * (gzy + gyz), shear * (gzx + gxz), shear * (gyx + gxy),
                )  # fmt: skip
                tresca, tension = modulus * (high - low), modulus * max(high, 0.0)
                used = 0.0
                if tresca > 0.0:
                    used = tresca / tresca_cap[k, j, i] if tresca_cap[k, j, i] > 0.0 else HUGE
                if tension > 0.0:
                    used = max(used, tension / tension_cap[k, j, i] if tension_cap[k, j, i] > 0.0 else HUGE)
                out[k, j, i] = used
