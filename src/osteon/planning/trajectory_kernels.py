"""Loops of the needle-path search: pooling of outlines, walking along candidates, local normals, non-dominated sets."""

import math

import numpy as np
from numba import njit

OK, LENGTH, NOT_IMAGED_SKIN, SKIN_INCIDENCE, TABLE, BORE, STRUCTURE, BONE, AIR, CORTEX_INCIDENCE, NOT_IMAGED, OUTSIDE = range(12)
FREE, ALLOWED, FORBIDDEN, LESION = 0, 1, 2, 3  # classes of bone
AIRY, BODY, UNSEEN = 0, 1, 2  # what is known of a place


@njit(cache=True)
def pool_any(mask, fz, fy, fx, flag, out):
    """Write ``flag`` into every coarse voxel that holds a voxel of ``mask``."""
    nz, ny, nx = mask.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if mask[z, y, x]:
                    out[z // fz, y // fy, x // fx] = flag


@njit(cache=True)
def pool_count(mask, fz, fy, fx, out):
    """Count the voxels of ``mask`` in every coarse voxel."""
    nz, ny, nx = mask.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if mask[z, y, x]:
                    out[z // fz, y // fy, x // fx] += 1


@njit(cache=True)
def inward_normals(points, inside, inverse, axes, radius_mm):
    """Return for points (n, 3) mm the unit vectors towards the centre of what is inside a ball round each."""
    n = points.shape[0]
    out = np.zeros((n, 3))
    nz, ny, nx = inside.shape
    spacing = np.sqrt((axes * axes).sum(axis=0))
    rx, ry, rz = int(radius_mm / spacing[0]) + 1, int(radius_mm / spacing[1]) + 1, int(radius_mm / spacing[2]) + 1
    for i in range(n):
        ix = inverse[0, 0] * points[i, 0] + inverse[0, 1] * points[i, 1] + inverse[0, 2] * points[i, 2] + inverse[0, 3]
        iy = inverse[1, 0] * points[i, 0] + inverse[1, 1] * points[i, 1] + inverse[1, 2] * points[i, 2] + inverse[1, 3]
        iz = inverse[2, 0] * points[i, 0] + inverse[2, 1] * points[i, 1] + inverse[2, 2] * points[i, 2] + inverse[2, 3]
        cx, cy, cz = round(ix), round(iy), round(iz)
        sx = sy = sz = 0.0
        for z in range(cz - rz, cz + rz + 1):
            for y in range(cy - ry, cy + ry + 1):
                for x in range(cx - rx, cx + rx + 1):
                    dx, dy, dz = x - ix, y - iy, z - iz
                    mx = axes[0, 0] * dx + axes[0, 1] * dy + axes[0, 2] * dz
                    my = axes[1, 0] * dx + axes[1, 1] * dy + axes[1, 2] * dz
                    mz = axes[2, 0] * dx + axes[2, 1] * dy + axes[2, 2] * dz
                    if mx * mx + my * my + mz * mz > radius_mm * radius_mm:
                        continue
                    zz, yy, xx = min(max(z, 0), nz - 1), min(max(y, 0), ny - 1), min(max(x, 0), nx - 1)
                    if inside[zz, yy, xx]:
                        sx += mx
                        sy += my
                        sz += mz
        size = math.sqrt(sx * sx + sy * sy + sz * sz)
        if size > 0:
            out[i, 0], out[i, 1], out[i, 2] = sx / size, sy / size, sz / size
    return out


@njit(cache=True)
def _trilinear(volume, x, y, z):
    nz, ny, nx = volume.shape
    x, y, z = min(max(x, 0.0), nx - 1.001), min(max(y, 0.0), ny - 1.001), min(max(z, 0.0), nz - 1.001)
    i, j, k = int(x), int(y), int(z)
    i2, j2, k2 = min(i + 1, nx - 1), min(j + 1, ny - 1), min(k + 1, nz - 1)
    u, v, w = x - i, y - j, z - k
    a = volume[k, j, i] * (1 - u) + volume[k, j, i2] * u
    b = volume[k, j2, i] * (1 - u) + volume[k, j2, i2] * u
    c = volume[k2, j, i] * (1 - u) + volume[k2, j, i2] * u
    d = volume[k2, j2, i] * (1 - u) + volume[k2, j2, i2] * u
    return (a * (1 - v) + b * v) * (1 - w) + (c * (1 - v) + d * v) * w


@njit(cache=True)
def walk_paths(
    entries, unseen_entry, normals, aims, inverse, margin, clear, bone, place, downs, tables, centre, bore_axes, limits
):
    """Walk along every candidate (entry x aim) and apply the hard limits in order; each is counted at the first that it breaks.

    ``limits``: offset, max_length, cos_skin, step, shaft radius, shaft length, handle, table clearance, bore radius,
    forbidden bone, air gap.
    """
    offset, max_length, cos_skin, step, radius, shaft, handle, above, bore, most_forbidden, air_gap = limits
    n, m = entries.shape[0], aims.shape[0]
    code = np.zeros(n * m, np.uint8)
    figures = np.zeros((n * m, 5), np.float32)  # length, clearance, bone mm, cos of skin incidence, depth of the first bone
    positions = np.zeros(n * m, np.uint8)
    nz, ny, nx = margin.shape
    for i in range(n):
        for j in range(m):
            c = i * m + j
            dx, dy, dz = aims[j, 0] - entries[i, 0], aims[j, 1] - entries[i, 1], aims[j, 2] - entries[i, 2]
            aimed = math.sqrt(dx * dx + dy * dy + dz * dz)
            if aimed < 1e-6:
                code[c] = LENGTH
                continue
            dx, dy, dz = dx / aimed, dy / aimed, dz / aimed
            length = aimed + offset
            figures[c, 0] = length
            if length > max_length:
                code[c] = LENGTH
                continue
            if unseen_entry[i]:
                code[c] = NOT_IMAGED_SKIN
                continue
            cosine = dx * normals[i, 0] + dy * normals[i, 1] + dz * normals[i, 2]
            figures[c, 3] = cosine
            if cosine < cos_skin:
                code[c] = SKIN_INCIDENCE
                continue
            behind = shaft - length + handle
            hx, hy, hz = entries[i, 0] - dx * behind, entries[i, 1] - dy * behind, entries[i, 2] - dz * behind
            possible = 0
            for p in range(downs.shape[0]):
                height = downs[p, 0] * hx + downs[p, 1] * hy + downs[p, 2] * hz
                skin = downs[p, 0] * entries[i, 0] + downs[p, 1] * entries[i, 1] + downs[p, 2] * entries[i, 2]
                if max(height, skin) <= tables[p] - above:
                    possible |= 1 << p
            positions[c] = possible
            if possible == 0:
                code[c] = TABLE
                continue
            bx = bore_axes[0, 0] * (hx - centre[0]) + bore_axes[0, 1] * (hy - centre[1]) + bore_axes[0, 2] * (hz - centre[2])
            by = bore_axes[1, 0] * (hx - centre[0]) + bore_axes[1, 1] * (hy - centre[1]) + bore_axes[1, 2] * (hz - centre[2])
            if bx * bx + by * by > bore * bore:
                code[c] = BORE
                continue
            steps = math.ceil(length / step)
            pace = length / steps
            least = 1e9
            nearest = 1e9
            in_bone = in_forbidden = in_air = 0.0
            first = -1.0
            for s in range(steps + 1):
                t = s * pace
                px, py, pz = entries[i, 0] + dx * t, entries[i, 1] + dy * t, entries[i, 2] + dz * t
                x = inverse[0, 0] * px + inverse[0, 1] * py + inverse[0, 2] * pz + inverse[0, 3]
                y = inverse[1, 0] * px + inverse[1, 1] * py + inverse[1, 2] * pz + inverse[1, 3]
                z = inverse[2, 0] * px + inverse[2, 1] * py + inverse[2, 2] * pz + inverse[2, 3]
                if x < -0.5 or y < -0.5 or z < -0.5 or x >= nx - 0.5 or y >= ny - 0.5 or z >= nz - 0.5:
                    code[c] = NOT_IMAGED
                    break
                least = min(least, _trilinear(margin, x, y, z))
                if least < radius:
                    code[c] = STRUCTURE
                    break
                nearest = min(nearest, _trilinear(clear, x, y, z))
                ix, iy, iz = min(int(x + 0.5), nx - 1), min(int(y + 0.5), ny - 1), min(int(z + 0.5), nz - 1)
                seen = place[iz, iy, ix]
                if seen == UNSEEN:
                    code[c] = NOT_IMAGED
                    break
                if seen == AIRY:
                    in_air += pace
                    if in_air > air_gap:
                        code[c] = AIR
                        break
                kind = bone[iz, iy, ix]
                if kind == ALLOWED:
                    in_bone += pace
                    if first < 0:
                        first = t
                elif kind == FORBIDDEN:
                    in_forbidden += pace
                    if in_forbidden > most_forbidden:
                        code[c] = BONE
                        break
            figures[c, 1] = nearest - radius
            figures[c, 2] = in_bone
            figures[c, 4] = first
    return code, figures, positions


@njit(cache=True)
def non_dominated(costs):
    """Return which rows (all objectives to be small) no other row dominates; rows must be sorted by their sum, ascending."""
    n, k = costs.shape
    front = np.empty(n, np.int64)
    size = 0
    keep = np.zeros(n, np.bool_)
    for i in range(n):
        beaten = False
        for f in range(size):
            j = front[f]
            no_worse = True
            better = False
            for o in range(k):
                if costs[j, o] > costs[i, o]:
                    no_worse = False
                    break
                if costs[j, o] < costs[i, o]:
                    better = True
            if no_worse and better:
                beaten = True
                if f > 0:  # whoever beats one often beats the next: keep it in front
                    front[f], front[f - 1] = front[f - 1], front[f]
                break
        if not beaten:
            front[size] = i
            size += 1
            keep[i] = True
    return keep
