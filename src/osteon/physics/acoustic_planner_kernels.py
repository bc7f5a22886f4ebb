"""Kernels of the planner: normals of voxel faces, where waves go locally, what tilted faces do, heat of cells."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

STEEP = 0.3  # least vertical part of a normal or a direction; below it a face is a wall that planes cannot see
BOUND = 0.8  # of the share of a strip that is taken off


@njit(cache=True, parallel=True)
def face_normals(labels, hardness, plane, columns, width, offsets, weights, out):
    """Write unit normals (x, y, z), z at least 0, of faces between cells ``plane`` - 1 and ``plane`` of columns (flat indices).

    The gradient of the hardness (one number a label): ``offsets`` (n, 3) of cells, z y x, and their ``weights`` (n, 3), x y z.
    """
    nz, ny, nx = labels.shape
    for i in prange(columns.size):
        y, x = columns[i] // width, columns[i] % width
        gx, gy, gz = 0.0, 0.0, 0.0
        for j in range(offsets.shape[0]):
            z, v, u = plane + offsets[j, 0], y + offsets[j, 1], x + offsets[j, 2]
            if z < 0 or z >= nz or v < 0 or v >= ny or u < 0 or u >= nx:
                continue
            w = hardness[labels[z, v, u]]
            gx += w * weights[j, 0]
            gy += w * weights[j, 1]
            gz += w * weights[j, 2]
        size = np.sqrt(gx * gx + gy * gy + gz * gz)
        above, below = hardness[labels[plane - 1, y, x]], hardness[labels[plane, y, x]]
        sign = 1.0 if below >= above else -1.0
        if size < 1e-12 or sign * gz <= 0.0:
            out[i, 0], out[i, 1], out[i, 2] = 0.0, 0.0, 1.0
        else:
            out[i, 0], out[i, 1], out[i, 2] = sign * gx / size, sign * gy / size, sign * gz / size


@njit(cache=True, parallel=True)
def directions(wave, columns, width, spacing, reach, out):
    """Write the mean transverse wavenumbers (x, y) of a field of planes (c, y, x) round columns, from phases of neighbours."""
    count, ny, nx = wave.shape
    for i in prange(columns.size):
        y, x = columns[i] // width, columns[i] % width
        ax, bx, ay, by = 0.0, 0.0, 0.0, 0.0
        for c in range(count):
            for v in range(max(0, y - reach), min(ny, y + reach + 1)):
                for u in range(max(0, x - reach), min(nx, x + reach + 1)):
                    one = wave[c, v, u]
                    if u + 1 < nx and u < x + reach:  # pairs lie evenly on both sides
                        two = wave[c, v, u + 1]
                        ax += one.real * two.real + one.imag * two.imag
                        bx += one.real * two.imag - one.imag * two.real
                    if v + 1 < ny and v < y + reach:
                        two = wave[c, v + 1, u]
                        ay += one.real * two.real + one.imag * two.imag
                        by += one.real * two.imag - one.imag * two.real
        out[i, 0] = np.arctan2(bx, ax) / spacing
        out[i, 1] = np.arctan2(by, ay) / spacing


@njit(cache=True)
def _look(table, o, i, at):
    """Return a coefficient between the entries of its table."""
    j = int(at)
    if j >= table.shape[2] - 1:
        return table[o, i, table.shape[2] - 1]
    part = at - j
    return table[o, i, j] * (1.0 - part) + table[o, i, j + 1] * part


@njit(cache=True, parallel=True)
def tilted(wave, shear, columns, normals, going, going_shear, k_in, k_out, table, step, sign, share, out, meets):
    """Write what faces do to a wave by their true normals.

    ``wave`` (n,) and ``shear`` (n, 2) arrive with wavenumbers ``k_in`` (2: longitudinal, shear, 0 in a fluid), ``k_out`` (2 x
    2: sent back, going on); ``table`` (out, in, xi) with out as ``scatter`` orders them, padded to four and two. ``share``: how
    much more may be sent back than arrives, since a strip of columns is too narrow for it; below 0: strips do not count.
    ``out`` (n, 6): sent back longitudinal, shear x, y, then going on. ``meets`` (n, 2): power and that of it beyond the
    critical angle.
    """
    for i in prange(columns.size):
        n = normals[i]
        for m in range(2):
            k = k_in[m]
            if k <= 0.0:
                continue
            if m == 0:
                kx, ky = going[i, 0], going[i, 1]
            else:
                kx, ky = going_shear[i, 0], going_shear[i, 1]
            level = np.sqrt(kx * kx + ky * ky)
            if level > 0.95 * k:
                kx, ky = kx * 0.95 * k / level, ky * 0.95 * k / level
                level = 0.95 * k
            kz = sign * np.sqrt(k * k - level * level)
            kn = kx * n[0] + ky * n[1] + kz * n[2]
            along = max(sign * kn, 0.05 * k)
            xi = np.sqrt(max(k * k - along * along, 0.0))
            if m == 0:
                power = wave[i].real ** 2 + wave[i].imag ** 2
                meets[i, 0] = power
                if k_out[1, 0] > 0.0 and xi > k_out[1, 0]:
                    meets[i, 1] = power
            # direction of a shear potential: normal x k
            sx, sy, sz = n[1] * kz - n[2] * ky, n[2] * kx - n[0] * kz, n[0] * ky - n[1] * kx
            size = np.sqrt(sx * sx + sy * sy + sz * sz)
            if size > 1e-6 * k:
                sx, sy, sz = sx / size, sy / size, sz / size
            else:
                sx, sy, sz = 0.0, 0.0, 0.0
            if m == 0:
                value = wave[i]
            else:
                value = shear[i, 0] * sx + shear[i, 1] * sy - (kx * shear[i, 0] + ky * shear[i, 1]) / kz * sz
            qx, qy, qz = kx - kn * n[0], ky - kn * n[1], kz - kn * n[2]
            for side in range(2):
                way = -sign if side == 0 else sign
                for kind in range(2):
                    ko = k_out[side, kind]
                    if ko <= 0.0:
                        continue
                    found = _look(table, 2 * side + kind, m, xi / step)
                    if side == 0 and share >= 0.0:
                        if xi >= 0.999 * ko:
                            continue
                        kon = way * np.sqrt(ko * ko - xi * xi)
                        ox, oy, oz = qx + kon * n[0], qy + kon * n[1], qz + kon * n[2]
                        if way * oz <= 0.0:  # it goes on the other way, where this sweep's planes do not look
                            continue
                        oz = way * max(way * oz, STEEP * ko)
                        part = (ox * n[0] + oy * n[1]) / (max(n[2], STEEP) * oz)
                        found *= 1.0 + min(max(part, -BOUND), share)
                    if kind == 0:
                        out[i, 3 * side] += found * value
                    else:
                        out[i, 3 * side + 1] += found * value * sx
                        out[i, 3 * side + 2] += found * value * sy


@njit(cache=True, parallel=True)
def add_wave(wave, hard, labels, total, inner, y0, x0):
    """Add a wave of planes (c, y, x) to the sums, each column its own kind; return the largest square of that.

    ``inner`` is a part of the plane that begins at (y0, x0).
    """
    most = np.float32(0.0)
    kinds = wave.shape[0]
    for y in prange(labels.shape[0]):
        row = np.float32(0.0)
        for x in range(labels.shape[1]):
            own = wave[0, y, x]
            if kinds > 1 and hard[labels[y, x]]:
                own = wave[1, y, x]
            total[y, x] += own
            row = max(row, own.real * own.real + own.imag * own.imag)
        if y0 <= y < y0 + inner.shape[1]:
            for c in range(inner.shape[0]):
                for x in range(inner.shape[2]):
                    inner[c, y - y0, x] += wave[c + 1, y, x0 + x]
        most = max(most, row)
    return most


@njit(cache=True, parallel=True)
def end_old(wave, hard, labels, since, ahead):
    """End each kind of wave in columns of the other kind that it has long left."""
    for y in prange(labels.shape[0]):
        for x in range(labels.shape[1]):
            if since[y, x] > ahead:
                if hard[labels[y, x]]:
                    wave[0, y, x] = 0
                else:
                    for c in range(1, wave.shape[0]):
                        wave[c, y, x] = 0


@njit(cache=True, parallel=True)
def fill_run(planes, down, up, step):
    """Write the spectra inside a run: what came in above and went on, and what came in below."""
    count = planes.shape[0]
    for y in prange(down.shape[0]):
        one = up[y].copy()
        for n in range(count - 1, -1, -1):
            for x in range(one.size):
                one[x] *= step[y, x]
                planes[n, y, x] = one[x]
        one[:] = down[y]
        for n in range(count):
            for x in range(one.size):
                one[x] *= step[y, x]
                planes[n, y, x] += one[x]


@njit(cache=True)
def _square(upper, lower, y, x):
    """Return the sum of the squares at the two faces of a cell."""
    a, b = upper[y, x], lower[y, x]
    return a.real * a.real + a.imag * a.imag + b.real * b.real + b.imag * b.imag


@njit(cache=True, parallel=True)
def cell_power(upper, lower, labels, weight, heat):
    """Add weight x squares of a field at the two faces of the cells of one plane, as the mean across each cell.

    The mean is the middle and a 24th of what the four neighbours of the same medium have more.
    """
    ny, nx = labels.shape
    for y in prange(ny):
        for x in range(nx):
            w = weight[labels[y, x]]
            if w <= 0.0:
                continue
            middle = _square(upper, lower, y, x)
            more = np.float32(0.0)
            if y > 0 and labels[y - 1, x] == labels[y, x]:
                more += _square(upper, lower, y - 1, x) - middle
            if y + 1 < ny and labels[y + 1, x] == labels[y, x]:
                more += _square(upper, lower, y + 1, x) - middle
            if x > 0 and labels[y, x - 1] == labels[y, x]:
                more += _square(upper, lower, y, x - 1) - middle
            if x + 1 < nx and labels[y, x + 1] == labels[y, x]:
                more += _square(upper, lower, y, x + 1) - middle
            heat[y, x] += w * max(middle + more / np.float32(24.0), np.float32(0.0))


@njit(cache=True)
def _at(f, y, x):
    """Return a field with its edge repeated."""
    return f[min(max(y, 0), f.shape[0] - 1), min(max(x, 0), f.shape[1] - 1)]


@njit(cache=True)
def _first(f, y, x, dy, dx):
    """Return the first difference along one axis, fourth order, for a step of 1."""
    return (
        8.0 * (_at(f, y + dy, x + dx) - _at(f, y - dy, x - dx)) - _at(f, y + 2 * dy, x + 2 * dx) + _at(f, y - 2 * dy, x - 2 * dx)
    ) / 12.0


@njit(cache=True)
def _second(f, y, x, dy, dx):
    """Return the second difference along one axis, fourth order."""
    near = _at(f, y + dy, x + dx) + _at(f, y - dy, x - dx)
    far = _at(f, y + 2 * dy, x + 2 * dx) + _at(f, y - 2 * dy, x - 2 * dx)
    return (16.0 * near - far - 30.0 * f[y, x]) / 12.0


@njit(cache=True)
def _mixed(f, y, x):
    """Return the mixed second difference, second order."""
    return 0.25 * (_at(f, y + 1, x + 1) - _at(f, y + 1, x - 1) - _at(f, y - 1, x + 1) + _at(f, y - 1, x - 1))


@njit(cache=True)
def _factors(upper, lower, y, x, k):
    """Return what turns mean and difference of two faces into value and slope between them, for the wave's own k_z."""
    up, low = upper[y, x], lower[y, x]
    power = up.real**2 + up.imag**2 + low.real**2 + low.imag**2
    if power <= 0.0:
        return 1.0, 1.0
    bent = 0.0
    for f in (upper, lower):
        lap = _second(f, y, x, 0, 1) + _second(f, y, x, 1, 0)
        bent -= f[y, x].real * lap.real + f[y, x].imag * lap.imag
    across = min(max(bent / power, 0.0), k * k)
    half = 0.5 * min(np.sqrt(k * k - across), 2.2)
    if half < 1e-3:
        return 1.0, 1.0
    return 1.0 / np.cos(half), half / np.sin(half)


@njit(cache=True)
def solid_heat(upper, lower, labels, k, scale, bulk, rigid, heat, shear):
    r"""Write the heat of solid cells from potentials at their two faces, and what of it shear adds to the longitudinal wave.

    ``upper``, ``lower`` (3, y, x): longitudinal, shear x, y. ``k`` (media, 2) times the cell; ``scale`` = 1/(rho omega^2 h^2);
    ``bulk`` and ``rigid``: omega/2 times minus the imaginary parts of lambda and 2 mu. The vertical shear potential is left out.
    """
    ny, nx = labels.shape
    f = np.zeros((3, 6), np.complex128)  # xx, yy, zz, xy, xz, yz of each potential
    strain = np.zeros(6, np.complex128)
    for y in range(ny):
        for x in range(nx):
            m = labels[y, x]
            if rigid[m] <= 0.0:
                continue
            for p in range(3):
                kp = k[m, 0] if p == 0 else k[m, 1]
                value, slope = _factors(upper[p], lower[p], y, x, kp)
                mid = 0.5 * value * (upper[p, y, x] + lower[p, y, x])
                f[p, 0] = 0.5 * value * (_second(upper[p], y, x, 0, 1) + _second(lower[p], y, x, 0, 1))
                f[p, 1] = 0.5 * value * (_second(upper[p], y, x, 1, 0) + _second(lower[p], y, x, 1, 0))
                f[p, 2] = -kp * kp * mid - f[p, 0] - f[p, 1]
                f[p, 3] = 0.5 * value * (_mixed(upper[p], y, x) + _mixed(lower[p], y, x))
                f[p, 4] = slope * (_first(lower[p], y, x, 0, 1) - _first(upper[p], y, x, 0, 1))
                f[p, 5] = slope * (_first(lower[p], y, x, 1, 0) - _first(upper[p], y, x, 1, 0))
            for part in range(2):
                s = 0.0 if part == 0 else 1.0
                strain[0] = f[0, 0] - s * f[2, 4]
                strain[1] = f[0, 1] + s * f[1, 5]
                strain[2] = f[0, 2] + s * (f[2, 4] - f[1, 5])
                strain[3] = f[0, 3] + 0.5 * s * (f[1, 4] - f[2, 5])
                strain[4] = f[0, 4] + 0.5 * s * (f[2, 0] - f[2, 2] - f[1, 3])
                strain[5] = f[0, 5] + 0.5 * s * (f[1, 2] + f[2, 3] - f[1, 1])
                trace = strain[0] + strain[1] + strain[2]
                square = trace.real**2 + trace.imag**2
                double = 0.0
                for c in range(6):
                    double += (1.0 if c < 3 else 2.0) * (strain[c].real ** 2 + strain[c].imag ** 2)
                found = scale[m] * scale[m] * (bulk[m] * square + rigid[m] * double)
                if part == 0:
                    shear[y, x] = -found
                else:
                    heat[y, x] = found
                    shear[y, x] += found
