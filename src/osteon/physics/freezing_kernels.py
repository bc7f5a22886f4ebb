"""One superstep (RKL2) of the enthalpy equation on a box with a halo of one voxel, and what is sampled after it.

Arrays are float32 of shape (z + 2, y + 2, x + 2). The halo holds what lies beyond: conductivity 0 (no heat passes) or ``FIXED``
(a wall at its temperature, half a voxel away). The material of a voxel is a row of the tables, whose nodes rise in temperature.
Sums are gathered per plane and added in order, so results do not depend on the number of threads.
"""

import numpy as np
from numba import njit, prange

FIXED = np.float32(1e12)  # conductivity of a halo voxel that is a wall: the harmonic mean is then twice that of its neighbour
TWO = np.float32(2.0)
PERFUSION, WALLS, LINES = range(3)  # channels of the energy account


@njit(inline="always")
def _node(v, m, j, e0):
    """The node below an enthalpy, searched from a guess: neighbours lie close."""
    while j > 0 and v < e0[m, j]:
        j -= 1
    last = e0.shape[1] - 2
    while j < last and v >= e0[m, j + 1]:
        j += 1
    return j


@njit(cache=True, fastmath=True, parallel=True, error_model="numpy")
def thermal(e, change, material, row_material, warm, t0, e0, k0, dt, dk, temperature, conductivity, cold):
    """Temperature and conductivity of every voxel from its enthalpy [J/m3], ``e`` (float64) plus ``change``.

    A row of one material that is all above freezing is one straight line; ``cold`` marks the rows that are not.
    """
    nz, ny, nx = e.shape
    for z in prange(1, nz - 1):
        for y in range(1, ny - 1):
            same = row_material[z, y]
            if same >= 0:
                j = warm[same]
                low, t_low, k_low, slope, slope_k = e0[same, j], t0[same, j], k0[same, j], dt[same, j], dk[same, j]
                below = 0
                for x in range(1, nx - 1):
                    over = np.float32(e[z, y, x] + change[z, y, x]) - low
                    temperature[z, y, x] = t_low + over * slope
                    conductivity[z, y, x] = k_low + over * slope_k
                    below += over < np.float32(0.0)
                cold[z, y] = below > 0
                if below == 0:
                    continue
            j = e0.shape[1] - 2
            for x in range(1, nx - 1):
                m, v = material[z, y, x], np.float32(e[z, y, x] + change[z, y, x])
                j = _node(v, m, j, e0)
                over = v - e0[m, j]
                temperature[z, y, x] = t0[m, j] + over * dt[m, j]
                conductivity[z, y, x] = k0[m, j] + over * dk[m, j]


@njit(cache=True, fastmath=True, parallel=True, error_model="numpy")
def divergence(t, k, w, arterial, per_h2, out, plane_sums):
    """Heat gained per volume [W/m3] from the neighbours and from blood; per plane, what blood gave [W/m3]."""
    nz, ny, nx = t.shape
    for z in prange(1, nz - 1):
        total = 0.0
        for y in range(1, ny - 1):
            row = np.float32(0.0)
            for x in range(1, nx - 1):
                a, v = k[z, y, x], t[z, y, x]
                f = a * k[z - 1, y, x] / (a + k[z - 1, y, x]) * (t[z - 1, y, x] - v)
                f += a * k[z + 1, y, x] / (a + k[z + 1, y, x]) * (t[z + 1, y, x] - v)
                f += a * k[z, y - 1, x] / (a + k[z, y - 1, x]) * (t[z, y - 1, x] - v)
                f += a * k[z, y + 1, x] / (a + k[z, y + 1, x]) * (t[z, y + 1, x] - v)
                f += a * k[z, y, x - 1] / (a + k[z, y, x - 1]) * (t[z, y, x - 1] - v)
                f += a * k[z, y, x + 1] / (a + k[z, y, x + 1]) * (t[z, y, x + 1] - v)
                blood = w[z, y, x] * (arterial - v)
                out[z, y, x] = TWO * per_h2 * f + blood
                row += blood
            total += row
        plane_sums[z] = total


@njit(cache=True, error_model="numpy")
def walls(t, k, h):
    """Heat that enters through the six sides of the box [W]; sides with a halo of no conductivity give none."""
    nz, ny, nx = t.shape
    total = 0.0
    for z in range(1, nz - 1):
        for y in range(1, ny - 1):
            for x, beyond in ((1, 0), (nx - 2, nx - 1)):
                a, b = k[z, y, x], k[z, y, beyond]
                total += TWO * a * b / (a + b) * (t[z, y, beyond] - t[z, y, x])
        for x in range(1, nx - 1):
            for y, beyond in ((1, 0), (ny - 2, ny - 1)):
                a, b = k[z, y, x], k[z, beyond, x]
                total += TWO * a * b / (a + b) * (t[z, beyond, x] - t[z, y, x])
    for y in range(1, ny - 1):
        for x in range(1, nx - 1):
            for z, beyond in ((1, 0), (nz - 2, nz - 1)):
                a, b = k[z, y, x], k[beyond, y, x]
                total += TWO * a * b / (a + b) * (t[beyond, y, x] - t[z, y, x])
    return total * h


@njit(cache=True, error_model="numpy")
def lines(t, k, index, weight, length, log_ratio, film, medium, most, per_volume, out, heat, wall):
    """Add what the segments of the probes give to the tissue [W/m3]; per segment the heat given [W] and the wall's temperature.

    Heat per length = (medium - mean) / (film + log_ratio / k), held between -most and most; ``film`` and ``log_ratio`` per 2 pi.
    """
    total = 0.0
    flat_t, flat_k, flat_out = t.reshape(-1), k.reshape(-1), out.reshape(-1)
    for s in range(index.shape[0]):
        mean, conductivity = 0.0, 0.0
        for n in range(index.shape[1]):
            mean += weight[s, n] * flat_t[index[s, n]]
            conductivity += weight[s, n] * flat_k[index[s, n]]
        inner = log_ratio[s] / conductivity
        given = min(max((medium[s] - mean) / (film[s] + inner), -most[s]), most[s])
        heat[s], wall[s] = given * length[s], mean + given * inner
        total += heat[s]
        if given != 0.0:
            density = heat[s] * per_volume
            for n in range(index.shape[1]):
                flat_out[index[s, n]] += np.float32(density * weight[s, n])
    return total


@njit(cache=True, fastmath=True, parallel=True, error_model="numpy")
def combine(newest, before, rate, rate_start, mu, nu, now, first, out):
    """One stage of RKL2 for the change since the start: out = mu newest + nu before + now rate + first rate_start."""
    nz, ny, nx = newest.shape
    for z in prange(1, nz - 1):
        for y in range(1, ny - 1):
            for x in range(1, nx - 1):
                out[z, y, x] = (
                    mu * newest[z, y, x] + nu * before[z, y, x] + now * rate[z, y, x] + first * rate_start[z, y, x]
                )  # fmt: skip


@njit(cache=True, fastmath=True, parallel=True, error_model="numpy")
def fastest_rate(e, k, w, material, row_material, cold, warm_steepest, e0, steepest, per_h2, line_rate):
    """Bound on the largest eigenvalue [1/s] (Gershgorin) with the steepest slope of temperature that a voxel is near."""
    nz, ny, nx = k.shape
    highest = np.zeros(nz, np.float32)
    four = np.float32(4.0) * per_h2
    for z in prange(1, nz - 1):
        most = np.float32(0.0)
        for y in range(1, ny - 1):
            same = row_material[z, y]
            if same >= 0 and not cold[z, y]:
                row = np.float32(0.0)
                for x in range(1, nx - 1):
                    a = k[z, y, x]
                    f = a * k[z - 1, y, x] / (a + k[z - 1, y, x]) + a * k[z + 1, y, x] / (a + k[z + 1, y, x])
                    f += a * k[z, y - 1, x] / (a + k[z, y - 1, x]) + a * k[z, y + 1, x] / (a + k[z, y + 1, x])
                    f += a * k[z, y, x - 1] / (a + k[z, y, x - 1]) + a * k[z, y, x + 1] / (a + k[z, y, x + 1])
                    row = max(row, four * f + w[z, y, x] + line_rate[z, y, x])
                most = max(most, row * warm_steepest[same])
                continue
            j = e0.shape[1] - 2
            for x in range(1, nx - 1):
                m = material[z, y, x]
                j = _node(np.float32(e[z, y, x]), m, j, e0)
                a = k[z, y, x]
                f = a * k[z - 1, y, x] / (a + k[z - 1, y, x]) + a * k[z + 1, y, x] / (a + k[z + 1, y, x])
                f += a * k[z, y - 1, x] / (a + k[z, y - 1, x]) + a * k[z, y + 1, x] / (a + k[z, y + 1, x])
                f += a * k[z, y, x - 1] / (a + k[z, y, x - 1]) + a * k[z, y, x + 1] / (a + k[z, y, x + 1])
                most = max(most, steepest[m, j] * (four * f + w[z, y, x] + line_rate[z, y, x]))
        highest[z] = most
    return highest.max()


@njit(cache=True, fastmath=True, parallel=True, error_model="numpy")
def sample(t, last, w0, material, row_material, starts, stasis, lowest, highest, w, counts, levels, extremes):
    """Lowest and highest temperature so far; blood stops where it is frozen and, below ``stasis``, for good; counts of ice.

    Per plane ``extremes`` holds the largest change since ``last`` (which becomes ``t``) and the lowest temperature so far.
    """
    nz, ny, nx = t.shape
    level_0, level_1, level_2 = levels[0], levels[1], levels[2]
    none = np.float32(0.0)
    for z in prange(1, nz - 1):
        n_0, n_1, n_2 = 0, 0, 0
        moved, least = none, np.float32(1e9)
        for y in range(1, ny - 1):
            same = row_material[z, y]
            begins = starts[max(same, 0)]
            for x in range(1, nx - 1):
                v = t[z, y, x]
                low = min(lowest[z, y, x], v)
                lowest[z, y, x] = low
                highest[z, y, x] = max(highest[z, y, x], v)
                moved = max(moved, abs(v - last[z, y, x]))
                last[z, y, x] = v
                least = min(least, low)
                w[z, y, x] = w0[z, y, x] if (v > begins) & (low > stasis) else none
                n_0 += v <= level_0
                n_1 += v <= level_1
                n_2 += v <= level_2
            if same < 0:
                for x in range(1, nx - 1):
                    flows = t[z, y, x] > starts[material[z, y, x]] and lowest[z, y, x] > stasis
                    w[z, y, x] = w0[z, y, x] if flows else none
        counts[z, 0], counts[z, 1], counts[z, 2] = n_0, n_1, n_2
        extremes[z, 0], extremes[z, 1] = moved, least
