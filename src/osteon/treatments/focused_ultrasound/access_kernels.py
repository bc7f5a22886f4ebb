"""Loops of the search for an acoustic window: the map of what sound meets, rays from the focus to the array, local normals."""

import math

import numpy as np
from numba import njit

# What a place is to sound; a map of numbers refers to these by a table.
OUTSIDE, SOFT, LESION, OWN, OWN_SOFT, BONE, GAS, LUNG, BOWEL, IMPLANT, CEMENT, SCAR, UNSEEN, NERVE, ORGAN = range(15)
# How the ray of a part of the array ends.
FREE, BY_GAS, BY_LUNG, BY_BOWEL, BY_BONE, BY_OWN, BY_IMPLANT, BY_CEMENT, BY_SCAR, BY_FOLD, UNKNOWN, BY_SKIN, INSIDE = range(13)
# Why an array cannot stand where a pose wants it.
STANDS, TOO_DEEP, IN_PATIENT, AXIS_UNKNOWN = range(4)
MOST_MET = 16  # structures noted on one ray
SMALL_MM = 3.0  # a step back that needs no new look
STEP_BACK_MM = 20.0  # of an array whose face has not come out of the skin yet


@njit(cache=True)
def pool(hu, body, seen, factors, limits, out):
    """Write what a CT and the outline of the body tell of each coarse voxel.

    ``limits``: air, dense, metal [HU]. Gas or metal in any voxel is gas or metal in the whole; else the larger part counts.
    """
    air, dense, metal = limits
    fz, fy, fx = factors
    nz, ny, nx = hu.shape
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                count = unseen = inside = gas = hard = hardest = 0
                for k in range(z * fz, min(z * fz + fz, nz)):
                    for j in range(y * fy, min(y * fy + fy, ny)):
                        for i in range(x * fx, min(x * fx + fx, nx)):
                            count += 1
                            if not seen[k, j, i]:
                                unseen += 1
                            elif body[k, j, i]:
                                inside += 1
                                value = hu[k, j, i]
                                gas += value < air
                                hard += value > dense
                                hardest += value >= metal
                if 2 * unseen >= count:
                    out[z, y, x] = UNSEEN
                elif 2 * (inside + unseen) < count:
                    out[z, y, x] = OUTSIDE
                elif hardest > 0:
                    out[z, y, x] = IMPLANT
                elif gas > 0:
                    out[z, y, x] = GAS
                elif 2 * hard >= count:
                    out[z, y, x] = BONE
                else:
                    out[z, y, x] = SOFT


@njit(cache=True)
def count_mask(mask, start, factors, counts):
    """Count the voxels of a mask, whose first voxel is number ``start`` of the window, in every coarse voxel."""
    for z in range(mask.shape[0]):
        for y in range(mask.shape[1]):
            for x in range(mask.shape[2]):
                if mask[z, y, x]:
                    counts[(z + start[0]) // factors[0], (y + start[1]) // factors[1], (x + start[2]) // factors[2]] += 1


@njit(cache=True)
def _stop_of(kind):
    """Return how a ray ends in a kind of place, FREE where it goes on."""
    if kind == LUNG:
        return BY_LUNG
    if kind == BOWEL:
        return BY_BOWEL
    if kind == IMPLANT:
        return BY_IMPLANT
    if kind == CEMENT:
        return BY_CEMENT
    if kind == SCAR:
        return BY_SCAR
    return FREE


@njit(cache=True)
def _note(place, t, met, met_mm, many):
    """Note the first place of a structure on a ray; return how many are noted."""
    for m in range(many):
        if met[m] == place:
            return many
    if many == met.size:
        return many
    met[many], met_mm[many] = place, t
    return many + 1


@njit(cache=True)
def _outward(places, kinds, start, way, reach, limits, met, met_mm):
    """Walk one ray from the focus to the array.

    Return how it ends, where it leaves the skin, where it last meets own bone and how much of that it crosses [mm], and how many
    structures it noted in ``met``.

    ``start`` and ``way`` (per mm) in index space x, y, z. ``reach``: distance to the array. NaN where there is no such place.
    """
    many = 0
    step, rough, other_most, own_most = limits[0], limits[1], limits[2], limits[3]
    nz, ny, nx = places.shape
    status, skin, meets, other, own, gas, fold = FREE, math.nan, math.nan, 0.0, 0.0, 0.0, 0.0
    x0, y0, z0, t = start[0] + 0.5, start[1] + 0.5, start[2] + 0.5, -step
    while t < reach:
        t += step if math.isnan(skin) else 2.0 * step  # thin folds do not count, so coupling is walked in longer steps
        x, y, z = x0 + t * way[0], y0 + t * way[1], z0 + t * way[2]
        within = 0.0 <= x < nx and 0.0 <= y < ny and 0.0 <= z < nz
        if not within and not math.isnan(skin):
            break
        place = places[int(z), int(y), int(x)] if within else UNSEEN
        kind = kinds[place]
        if kind == UNSEEN:
            if math.isnan(skin):  # what is blocked stays so, whatever lies beyond
                if gas > rough and status == FREE:
                    status = BY_GAS
                return (UNKNOWN if status == FREE else status), skin, meets, own, many
            continue
        if kind == OUTSIDE:
            if math.isnan(skin):
                skin = t - 0.5 * step
                if gas > rough and status == FREE:
                    status = BY_GAS
            gas = 0.0
            continue
        if not math.isnan(skin):
            fold += 2.0 * step
            if fold > rough and status == FREE:
                status = BY_FOLD
            continue
        if kind == GAS:
            gas += step
            continue
        status = BY_GAS if gas > 0 and status == FREE else status
        gas = 0.0
        if kind == OWN:
            own += step
            meets = t
            if own > own_most and status == FREE:
                status = BY_OWN
        elif kind == BONE:
            other += step
            if other > other_most and status == FREE:
                status = BY_BONE
        elif status == FREE:
            status = _stop_of(kind)
        if kind in (NERVE, ORGAN):
            many = _note(place, t, met, met_mm, many)
    if math.isnan(skin) and status == FREE:
        status = INSIDE
    return status, skin, meets, own, many


@njit(cache=True)
def _inward(places, kinds, start, way, limits, met, met_mm):
    """Follow one ray behind the focus until gas or lung.

    Return how far behind it own bone begins [mm], NaN where none is near, and how many structures it noted.
    """
    many = 0
    step, far, look = limits[0], limits[4], limits[5]
    nz, ny, nx = places.shape
    meets = math.nan
    x0, y0, z0 = start[0] + 0.5, start[1] + 0.5, start[2] + 0.5
    for n in range(1, int(far / step) + 1):
        t = n * step
        x, y, z = x0 - t * way[0], y0 - t * way[1], z0 - t * way[2]
        if not (0.0 <= x < nx and 0.0 <= y < ny and 0.0 <= z < nz):
            break
        place = places[int(z), int(y), int(x)]
        kind = kinds[place]
        if kind == OWN and math.isnan(meets) and t <= look:
            meets = t
        if kind in (NERVE, ORGAN, BOWEL, LUNG, GAS):
            many = _note(place, t, met, met_mm, many)
        if kind in (OUTSIDE, UNSEEN, GAS, LUNG, IMPLANT):
            break
    return meets, many


@njit(cache=True)
def look(
    places, kinds, inverse, foci, of_focus, outward, array, reach, limits,
    status, skin, meets, crossed, figures, ends, near, far, hits,
):  # fmt: skip
    """Look along every pose (focus and direction outward) from the focus to every part of the array.

    ``array``: parts (n, 3) [mm] in the frame of the device. ``reach``: preferred, least and largest distance of its vertex to the
    focus, coupling layer. ``limits``: step, rough edge, other bone, own bone, far field, look behind the focus for bone.
    Filled in: ``status``, ``skin``, ``meets``, ``crossed`` (poses, parts); ``figures`` (poses, 2): distance of the vertex, depth
    of the skin on the axis; ``ends``; ``near``, ``far`` (poses, 256) [mm] and ``hits`` (2, poses, 256): how many rays cross a
    structure.
    """
    preferred, _, most, gap = reach
    start, way = np.zeros(3), np.zeros(3)
    met, met_mm = np.zeros(MOST_MET, np.int64), np.zeros(MOST_MET)
    for p in range(outward.shape[0]):
        f = foci[of_focus[p]]
        u = outward[p]
        for a in range(3):
            start[a] = inverse[a, 0] * f[0] + inverse[a, 1] * f[1] + inverse[a, 2] * f[2] + inverse[a, 3]
            way[a] = inverse[a, 0] * u[0] + inverse[a, 1] * u[1] + inverse[a, 2] * u[2]
        _, axis_mm, _, _, _ = _outward(places, kinds, start, way, most + limits[0], limits, met, met_mm)
        figures[p, 1] = axis_mm
        e1, e2 = _across(u)
        distance = preferred
        if not math.isnan(axis_mm):
            distance = min(max(preferred, axis_mm + gap), most)
        lacking = 0.0
        for _turn in range(4):
            near[p, :] = np.inf
            hits[0, p, :] = 0
            rows = (status[p], skin[p], meets[p], crossed[p], near[p], hits[0, p])
            lacking = _rays(places, kinds, inverse, start, (e1, e2, u), array, distance, gap, limits, rows, met, met_mm)
            if lacking <= 1e-6 or distance >= most:
                break
            moved = min(lacking, most - distance)
            distance += moved
            if moved == lacking and lacking <= SMALL_MM:  # the rays hardly turn
                lacking = 0.0
                break
        figures[p, 0] = distance
        _behind(places, kinds, start, inverse, (e1, e2, u), array, distance, limits, p, status, meets, far, hits, met, met_mm)
        ends[p] = STANDS
        if lacking > 1e-6:
            ends[p] = IN_PATIENT if axis_mm + gap <= most else TOO_DEEP
        if math.isnan(axis_mm):
            for a in range(3):
                way[a] = inverse[a, 0] * u[0] + inverse[a, 1] * u[1] + inverse[a, 2] * u[2]
            ends[p] = AXIS_UNKNOWN if _leaves(places, kinds, start, way, most, limits[0]) else TOO_DEEP


@njit(cache=True)
def _turn_to(part, distance, axes, inverse, way):
    """Write the direction (per mm, index space) from the focus to a part of the array into ``way``; return how far it is [mm]."""
    e1, e2, u = axes
    wx, wy, wz = part[0], part[1], distance - part[2]
    length = math.sqrt(wx * wx + wy * wy + wz * wz)
    for a in range(3):
        way[a] = 0.0
        for b in range(3):
            way[a] += inverse[a, b] * (wx * e1[b] + wy * e2[b] + wz * u[b]) / length
    return length


@njit(cache=True)
def _rays(places, kinds, inverse, start, axes, array, distance, gap, limits, rows, met, met_mm):
    """Walk to every part of an array at a distance; return how many mm its face lacks to be clear of the skin."""
    status, skin, meets, crossed, near, hits = rows
    way = np.zeros(3)
    lacking = 0.0
    for r in range(array.shape[0]):
        length = _turn_to(array[r], distance, axes, inverse, way)
        status[r], skin[r], meets[r], crossed[r], many = _outward(places, kinds, start, way, length, limits, met, met_mm)
        if not math.isnan(skin[r]):
            lacking = max(lacking, skin[r] + gap - length)
        elif status[r] != UNKNOWN and not _leaves(places, kinds, start, way, length, limits[0]):
            lacking = max(lacking, STEP_BACK_MM)
        if status[r] == FREE:  # a part that is blocked is switched off
            _commit(met, met_mm, many, near, hits)
    return lacking


@njit(cache=True)
def _leaves(places, kinds, start, way, reach, step):
    """Tell whether a ray comes to where nothing is imaged, within reach."""
    nz, ny, nx = places.shape
    for n in range(int(reach / step) + 2):
        t = n * step
        x, y, z = start[0] + 0.5 + t * way[0], start[1] + 0.5 + t * way[1], start[2] + 0.5 + t * way[2]
        if not (0.0 <= x < nx and 0.0 <= y < ny and 0.0 <= z < nz) or kinds[places[int(z), int(y), int(x)]] == UNSEEN:
            return True
    return False


@njit(cache=True)
def _behind(places, kinds, start, inverse, axes, array, distance, limits, p, status, meets, far, hits, met, met_mm):
    """Follow the free rays of a pose behind its focus."""
    way = np.zeros(3)
    far[p, :] = np.inf
    hits[1, p, :] = 0
    for r in range(array.shape[0]):
        if status[p, r] != FREE:
            continue
        _turn_to(array[r], distance, axes, inverse, way)
        begins, many = _inward(places, kinds, start, way, limits, met, met_mm)
        if math.isnan(meets[p, r]):
            meets[p, r] = -begins
        _commit(met, met_mm, many, far[p], hits[1, p])


@njit(cache=True)
def _commit(met, met_mm, many, nearest, hits):
    """Add what one ray met to the nearest distances and the counts of its pose."""
    for m in range(many):
        nearest[met[m]] = min(nearest[met[m]], met_mm[m])
        hits[met[m]] += 1


@njit(cache=True)
def _across(u):
    """Return the x and y axis of a device whose beam runs against ``u``, as ``beam.ArrayPose`` has them without roll."""
    up = np.zeros(3)
    up[2 if abs(u[2]) < 0.9 else 0] = 1.0
    e1 = up - (up * u).sum() * u
    e1 /= math.sqrt((e1 * e1).sum())
    return e1, np.cross(-u, e1)


@njit(cache=True)
def ball_normals(places, flags, index, offsets, vectors):
    """Return for voxels (n, 3; x, y, z) the unit vector away from what is flagged inside a ball round each."""
    nz, ny, nx = places.shape
    out = np.zeros((index.shape[0], 3))
    for n in range(index.shape[0]):
        sx = sy = sz = 0.0
        for m in range(offsets.shape[0]):
            i = min(max(index[n, 0] + offsets[m, 0], 0), nx - 1)
            j = min(max(index[n, 1] + offsets[m, 1], 0), ny - 1)
            k = min(max(index[n, 2] + offsets[m, 2], 0), nz - 1)
            if flags[places[k, j, i]]:
                sx -= vectors[m, 0]
                sy -= vectors[m, 1]
                sz -= vectors[m, 2]
        size = math.sqrt(sx * sx + sy * sy + sz * sz)
        if size > 0:
            out[n, 0], out[n, 1], out[n, 2] = sx / size, sy / size, sz / size
    return out
