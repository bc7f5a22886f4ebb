"""Explicit finite-volume steps of the bioheat equation, and what is sampled between them.

State: the enthalpy above the start divided by the heat capacity, ``e`` [K], updated in place. Every face flux is computed once,
going upwards in z, y and x: a voxel needs only neighbours that are not updated yet, and the flux through its lower faces, which
its lower neighbours left behind. So no second copy of the field is read or written, and what leaves one voxel enters the next.
The box is cut into slabs of ``SLAB`` planes whose joints are computed first; a thread takes whole slabs, so results do not depend
on the number of threads.

Three habits carry the speed: arrays are flat and rows are unsigned offsets (a slice costs a reference count, a signed offset a
wrap test), division follows numpy (Python's test for zero stops vectorisation), literals are float32 (a bare ``2.0`` drags loops
to float64). Fields should be ``numerics.fields.placed``.
"""

import numpy as np
from numba import njit, prange, uint64

SLAB = 16
ZERO, ONE, TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)
I0, I1 = np.uint64(0), np.uint64(1)
KNEE, WIDTH, SLOPE, CEILING, DT, COEF, ARTERIAL = range(7)  # places in ``scalars``


@njit(cache=True, fastmath=True, error_model="numpy")
def _temperature(e, latent, o, n, scalars, out, p):
    """Temperature above the start of one row: three straight pieces, the middle one nearly flat by the latent heat."""
    knee, width = scalars[KNEE], scalars[WIDTH]
    above = ZERO  # summed, not compared: sums are vectorised
    for i in range(n):
        v = e[o + i]
        out[p + i] = v
        above += max(v - knee, ZERO)
    if above > ZERO:
        for i in range(n):
            v, heat = e[o + i], latent[o + i]
            flat = knee + (v - knee) * width / (width + heat)
            out[p + i] = max(min(v, flat), v - heat)


@njit(cache=True, fastmath=True, error_model="numpy")
def _conductivity(k, o, theta, p, n, scalars, out, r):
    """Conductivity of one row at its temperature, constant below the start and above the ceiling."""
    slope, ceiling = scalars[SLOPE], scalars[CEILING]
    for i in range(n):
        out[r + i] = k[o + i] * (ONE + slope * min(max(theta[p + i], ZERO), ceiling))


@njit(cache=True, fastmath=True, error_model="numpy")
def _faces(theta, o, k, p, theta_next, o_next, k_next, p_next, n, flux, r):
    """Flux through the upper faces of one row [W/m]: harmonic mean of the conductivities times the difference."""
    for i in range(n):
        a, b = k[p + i], k_next[p_next + i]
        flux[r + i] = TWO * a * b / (a + b) * (theta_next[o_next + i] - theta[o + i])


@njit(cache=True, fastmath=True, error_model="numpy")
def _edge(theta, o, k, p, n, weight, flux):
    """Flux of one row to a layer held at the start temperature; returns its sum."""
    total = ZERO
    for i in range(n):
        f = weight * k[p + i] * theta[o + i]
        flux[i] = f
        total += f
    return total


@njit(cache=True, fastmath=True, error_model="numpy")
def _copy(source, o, target, p, n):
    for i in range(n):
        target[p + i] = source[o + i]


@njit(cache=True, fastmath=True, error_model="numpy")
def _along(theta, o, k, p, n, low, high, flux):
    """Fluxes through the x faces of one row, ``flux[i]`` through the lower face of voxel i; returns what leaves at both ends."""
    for i in range(n - I1):
        a, b = k[p + i], k[p + i + I1]
        flux[i + I1] = TWO * a * b / (a + b) * (theta[o + i + I1] - theta[o + i])
    last = n - I1
    flux[I0] = low * k[p] * theta[o]
    flux[n] = -high * k[p + last] * theta[o + last]
    return flux[I0] - flux[n]


@njit(cache=True, fastmath=True, error_model="numpy")
def _update(e, ic, w, q, o, n, theta, p, up, down, c, north, south, along, scalars):
    """Advance one row by the fluxes through its six faces; returns the heat taken by blood [W/m3, summed]."""
    dt, coef, arterial = scalars[DT], scalars[COEF], scalars[ARTERIAL]
    taken = ZERO
    for i in range(n):
        total = up[c + i] - down[c + i] + north[i] - south[i] + along[i + I1] - along[i]
        blood = w[o + i] * (theta[p + i] - arterial)
        taken += blood
        e[o + i] += ic[o + i] * (coef * total + dt * (q[o + i] - blood))
    return taken


@njit(cache=True, fastmath=True, error_model="numpy")
def _interior(e, k, ic, w, q, o, sy, sz, n, here, up, down, c, north, south, along, scalars):
    """Upper fluxes and update of one row in one pass: what most rows of constant tissue take."""
    dt, coef, arterial = scalars[DT], scalars[COEF], scalars[ARTERIAL]
    taken = ZERO
    for i in range(n):
        t, a, b, d = here[i], k[o + i], k[o + sz + i], k[o + sy + i]
        f = TWO * a * b / (a + b) * (e[o + sz + i] - t)
        g = TWO * a * d / (a + d) * (e[o + sy + i] - t)
        total = f - down[c + i] + g - south[i] + along[i + I1] - along[i]
        up[c + i] = f
        north[i] = g
        blood = w[o + i] * (t - arterial)
        taken += blood
        e[o + i] = t + ic[o + i] * (coef * total + dt * (q[o + i] - blood))
    return taken


@njit(cache=True, fastmath=True, error_model="numpy")
def _pennes_slab(e, k, ic, w, q, sy, sz, box, z0, z1, edges, scalars, down, up, top, sums):
    y0, y1, x0, n = box[2], box[3], uint64(box[4]), uint64(box[5] - box[4])
    here, along = np.empty(n, np.float32), np.empty(n + I1, np.float32)
    south, north = np.empty(n, np.float32), np.empty(n, np.float32)
    for z in range(z0, z1):
        for y in range(y0, y1):
            c = uint64(y) * sy + x0
            o = uint64(z) * sz + c
            _copy(e, o, here, I0, n)  # a second name for the updated row would stop vectorisation
            if y == y0:
                sums[1] += _edge(here, I0, k, o, n, edges[2], south)
            sums[1] += _along(here, I0, k, o, n, edges[4], edges[5], along)
            if z + 1 < z1 and y + 1 < y1:
                sums[0] += _interior(e, k, ic, w, q, o, sy, sz, n, here, up, down, c, north, south, along, scalars)
            else:
                if z + 1 < z1:
                    _faces(here, I0, k, o, e, o + sz, k, o + sz, n, up, c)
                else:
                    up = top
                if y + 1 < y1:
                    _faces(here, I0, k, o, e, o + sy, k, o + sy, n, north, I0)
                else:
                    sums[1] -= _edge(here, I0, k, o, n, -edges[3], north)
                sums[0] += _update(e, ic, w, q, o, n, here, I0, up, down, c, north, south, along, scalars)
            north, south = south, north
        up, down = down, up


@njit(cache=True, fastmath=True, error_model="numpy")
def _enthalpy_slab(e, k, ic, w, q, latent, sy, sz, box, z0, z1, edges, scalars, down, up, top, plane, sums):
    y0, y1, x0, n = box[2], box[3], uint64(box[4]), uint64(box[5] - box[4])
    above, along = np.empty(n, np.float32), np.empty(n + I1, np.float32)
    south, north = np.empty(n, np.float32), np.empty(n, np.float32)
    k_above, k_here, k_north = np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.float32)
    for y in range(y0, y1):
        c = uint64(y) * sy + x0
        _temperature(e, latent, uint64(z0) * sz + c, n, scalars, plane, c)
    for z in range(z0, z1):
        c = uint64(y0) * sy + x0
        _conductivity(k, uint64(z) * sz + c, plane, c, n, scalars, k_here, I0)
        for y in range(y0, y1):
            c = uint64(y) * sy + x0
            o = uint64(z) * sz + c
            if y == y0:
                sums[1] += _edge(plane, c, k_here, I0, n, edges[2], south)
            if z + 1 < z1:
                _temperature(e, latent, o + sz, n, scalars, above, I0)
                _conductivity(k, o + sz, above, I0, n, scalars, k_above, I0)
                _faces(plane, c, k_here, I0, above, I0, k_above, I0, n, up, c)
            else:
                up = top
            if y + 1 < y1:
                _conductivity(k, o + sy, plane, c + sy, n, scalars, k_north, I0)
                _faces(plane, c, k_here, I0, plane, c + sy, k_north, I0, n, north, I0)
            else:
                sums[1] -= _edge(plane, c, k_here, I0, n, -edges[3], north)
            sums[1] += _along(plane, c, k_here, I0, n, edges[4], edges[5], along)
            sums[0] += _update(e, ic, w, q, o, n, plane, c, up, down, c, north, south, along, scalars)
            _copy(above, I0, plane, c, n)
            north, south = south, north
            k_here, k_north = k_north, k_here
        up, down = down, up


@njit(cache=True, fastmath=True, error_model="numpy")
def _joint(e, k, latent, plain, sy, sz, box, j, joints, edges, scalars, faces, sums):
    """Fluxes between two slabs, or at an end of the box, before anything is updated."""
    y0, y1, x0, n = box[2], box[3], uint64(box[4]), uint64(box[5] - box[4])
    row = np.empty((5, n), np.float32)
    here, k_here, above, k_above, flux = row[0], row[1], row[2], row[3], row[4]
    z = min(box[0] + j * SLAB, box[1])
    inside = z if j == 0 else z - 1
    for y in range(y0, y1):
        c = uint64(y) * sy + x0
        o = uint64(inside) * sz + c
        if plain:
            _copy(e, o, here, I0, n)
            _copy(k, o, k_here, I0, n)
        else:
            _temperature(e, latent, o, n, scalars, here, I0)
            _conductivity(k, o, here, I0, n, scalars, k_here, I0)
        if j == 0:
            sums[1] += _edge(here, I0, k_here, I0, n, edges[0], flux)
        elif j == joints:
            sums[1] -= _edge(here, I0, k_here, I0, n, -edges[1], flux)
        elif plain:
            _faces(here, I0, k_here, I0, e, o + sz, k, o + sz, n, flux, I0)
        else:
            _temperature(e, latent, o + sz, n, scalars, above, I0)
            _conductivity(k, o + sz, above, I0, n, scalars, k_above, I0)
            _faces(here, I0, k_here, I0, above, I0, k_above, I0, n, flux, I0)
        if j < joints:
            _copy(flux, I0, faces[4 * j], c, n)
        if j > 0:
            _copy(flux, I0, faces[4 * j - 2], c, n)


@njit(cache=True, fastmath=True, error_model="numpy", parallel=True)
def pennes_step(e, k, ic, w, q, strides, box, edges, scalars, faces, sums):
    """One step with properties that do not change with temperature.

    All fields flat; ``faces`` (4 slabs, ny nx) scratch; ``sums`` (2 slabs + 1, 2) collects heat to blood and through the edge.
    """
    sy, sz = uint64(strides[0]), uint64(strides[1])
    slabs = (box[1] - box[0] + SLAB - 1) // SLAB
    for j in prange(slabs + 1):
        _joint(e, k, e, True, sy, sz, box, j, slabs, edges, scalars, faces, sums[slabs + j])
    for s in prange(slabs):
        z0 = box[0] + s * SLAB
        z1 = min(z0 + SLAB, box[1])
        _pennes_slab(
            e, k, ic, w, q, sy, sz, box, z0, z1, edges, scalars, faces[4 * s], faces[4 * s + 1], faces[4 * s + 2], sums[s]
        )


@njit(cache=True, fastmath=True, error_model="numpy", parallel=True)
def enthalpy_step(e, k, ic, w, q, latent, strides, box, edges, scalars, faces, sums):
    """One step with the vaporisation plateau and a conductivity that follows temperature; arguments as ``pennes_step``."""
    sy, sz = uint64(strides[0]), uint64(strides[1])
    slabs = (box[1] - box[0] + SLAB - 1) // SLAB
    for j in prange(slabs + 1):
        _joint(e, k, latent, False, sy, sz, box, j, slabs, edges, scalars, faces, sums[slabs + j])
    for s in prange(slabs):
        z0 = box[0] + s * SLAB
        z1 = min(z0 + SLAB, box[1])
        _enthalpy_slab(
            e,
            k,
            ic,
            w,
            q,
            latent,
            sy,
            sz,
            box,
            z0,
            z1,
            edges,
            scalars,
            faces[4 * s],
            faces[4 * s + 1],
            faces[4 * s + 2],
            faces[4 * s + 3],
            sums[s],
        )


@njit(cache=True, error_model="numpy")
def hottest(theta, indices):
    """Return the place in ``indices`` where ``theta`` is highest."""
    best = 0
    for j in range(indices.size):
        if theta[indices[j]] > theta[indices[best]]:
            best = j
    return best


@njit(cache=True, error_model="numpy")
def temperature_of(e, latent, knee, width):
    """Temperature above the start of flat fields."""
    out = np.empty_like(e)
    for i in range(e.size):
        out[i] = max(min(e[i], knee + (e[i] - knee) * width / (width + latent[i])), e[i] - latent[i])
    return out


@njit(cache=True, error_model="numpy")
def fastest_rate(k, ic, w, spacing, strides, shape):
    """Largest decay rate of the explicit operator [1/s]: twice the faces plus perfusion, over the capacity (Gershgorin)."""
    best = 0.0
    nz, ny, nx = shape[0], shape[1], shape[2]
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                o = z * strides[1] + y * strides[0] + x
                a, faces = k[o], 0.0
                faces += 2.0 * a * k[o - 1] / (a + k[o - 1]) if x > 0 else a
                faces += 2.0 * a * k[o + 1] / (a + k[o + 1]) if x + 1 < nx else a
                faces += 2.0 * a * k[o - strides[0]] / (a + k[o - strides[0]]) if y > 0 else a
                faces += 2.0 * a * k[o + strides[0]] / (a + k[o + strides[0]]) if y + 1 < ny else a
                faces += 2.0 * a * k[o - strides[1]] / (a + k[o - strides[1]]) if z > 0 else a
                faces += 2.0 * a * k[o + strides[1]] / (a + k[o + strides[1]]) if z + 1 < nz else a
                best = max(best, (2.0 * faces / spacing**2 + w[o]) * ic[o])
    return best
