r"""Exact fields of the ITRUSST benchmarks: flat layers by a Hankel sum, concentric shells by spherical waves about their centre.

Both take the media as fluids and the source as Rayleigh's sum of points. Behind flat layers the spectrum of the source is
multiplied by the transmission of the global matrix. Behind shells the source is a sum of spherical waves, and each order l
goes inward through the shells; what leaves through the far side of the sphere, which the benchmark does not have, is left out:
inside stands :math:`2 t_l j_l(kr)`, with :math:`t_l` from inward waves alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from osteon.physics.acoustic_layers import Array, Medium, Stack, solve, vertical
from osteon.physics.acoustic_sources import Source, field

WAVENUMBERS = 6000
REACH_M = 0.25  # of the Hankel sum: how far from the axis the entry plane is known


def behind_layers(
    source: Source, velocity_m_s: float, entry_m: float, first_m: float, stack: Stack, rho_m: Array, z_m: Array
) -> Array:
    """Return the pressure [Pa] of a source on the z axis behind flat layers, shape (z, rho).

    Parameters
    ----------
    source : Source
        Symmetric about the axis.
    velocity_m_s : float
        Of its face.
    entry_m, first_m : float
        A plane in front of the layers where the sum is taken, and their first face.
    stack : Stack
        The layers.
    rho_m, z_m : ndarray
        Distance from the axis, and depth below the last face's origin of z.
    """
    first, frequency = stack.first, stack.frequency_hz
    r = np.linspace(0, REACH_M, 5001)
    at = np.stack([r, 0 * r, 0 * r + entry_m], axis=-1)
    p = field(source, velocity_m_s, at, frequency, density_kg_m3=first.density_kg_m3, speed_m_s=first.speed_m_s)
    p = p * np.cos(np.clip((r / REACH_M - 0.6) / 0.4, 0, 1) * math.pi / 2) ** 2  # far sidelobes fade out
    xi = np.linspace(0, 1.2 * 2 * math.pi * frequency / first.speed_m_s, WAVENUMBERS)
    weight = np.gradient(r) * r
    weight[-1] /= 2
    spectrum = np.concatenate([special.j0(part[:, None] * r) @ (weight * p) for part in np.array_split(xi, 20)])
    found = solve(stack, xi)
    last = first_m + sum(layer.thickness_m for layer in stack.layers)
    spectrum = spectrum * np.exp(1j * vertical(first.wavenumber(frequency), xi) * (first_m - entry_m)) * found.transmitted
    k_z = vertical(stack.last.wavenumber(frequency), xi)
    onward = np.exp(1j * k_z * (np.asarray(z_m)[:, None] - last)) * spectrum * xi * np.gradient(xi)
    return np.asarray(onward @ special.j0(xi[:, None] * np.asarray(rho_m)))


def _radial(order: Array, x: complex) -> tuple[Array, Array, Array, Array]:
    """Return the spherical Bessel functions j and y of all orders at x, and their derivatives."""
    j, y = special.spherical_jn(order, x), special.spherical_yn(order, x)
    return j, y, special.spherical_jn(order, x, derivative=True), special.spherical_yn(order, x, derivative=True)


def behind_shells(
    source: Source,
    velocity_m_s: float,
    centre_m: float,
    radii_m: Sequence[float],
    media: Sequence[Medium],
    frequency_hz: float,
    rho_m: Array,
    z_m: Array,
) -> Array:
    """Return the pressure [Pa] of a source on the z axis inside concentric shells, shape (z, rho).

    Parameters
    ----------
    source : Source
        Symmetric about the axis, in the first medium.
    velocity_m_s : float
        Of its face.
    centre_m : float
        Of the shells, on the axis.
    radii_m : sequence of float
        Of the faces between media, from outside inward.
    media : sequence of Medium
        One more than radii; all taken as fluids.
    frequency_hz : float
        Frequency.
    rho_m, z_m : ndarray
        Where; inside the last face.
    """
    first = media[0]
    k = [medium.wavenumber(frequency_hz) for medium in media]
    order = np.arange(int(0.97 * k[0].real * min(radii_m)))  # orders that reach the last face at all
    relative = source.points_m - [0.0, 0.0, centre_m]
    r_s = np.linalg.norm(relative, axis=1)
    weight = source.areas_m2 * velocity_m_s * -1j * k[0] * first.density_kg_m3 * first.speed_m_s / (2 * math.pi)
    at = np.zeros(len(order), complex)  # a_l of a_l j_l(k r) P_l
    before_h, h = np.zeros_like(r_s, complex), -1j * np.exp(1j * k[0].real * r_s) / (k[0].real * r_s)  # h_0; by recurrence upward
    cosine_s = relative[:, 2] / r_s
    before_p, legendre = np.zeros_like(r_s), np.ones_like(r_s)
    for n in order:
        at[n] = 1j * k[0] * (2 * n + 1) * ((h * legendre) @ weight)
        above = (2 * n + 1) / (k[0].real * r_s) * h - before_h if n else h * (1 / (k[0].real * r_s) - 1j)
        before_h, h = h, above
        before_p, legendre = legendre, ((2 * n + 1) * cosine_s * legendre - n * before_p) / (n + 1)
    inward = _pass(order, k, [m.density_kg_m3 for m in media], radii_m) * at / 2
    z, rho = np.meshgrid(np.asarray(z_m) - centre_m, np.asarray(rho_m), indexing="ij")
    r = np.hypot(z, rho)
    cosine = np.where(r > 0, z / np.where(r > 0, r, 1.0), 1.0)
    found, before, polynomial = np.zeros(r.shape, complex), np.zeros(r.shape), np.ones(r.shape)
    for n, one in zip(order, inward, strict=True):
        found += 2 * one * special.spherical_jn(int(n), k[-1] * r.astype(complex)) * polynomial
        before, polynomial = polynomial, ((2 * n + 1) * cosine * polynomial - n * before) / (n + 1)
    return found


def _pass(order: Array, k: Sequence[complex], rho: Sequence[float], radii_m: Sequence[float]) -> Array:
    """Return the inward wave j - i y in the last medium for such a wave of 1 in the first, order by order.

    The shells between carry j and y, which stay apart where a wave tunnels; each is 1 on the face where it is largest.
    """
    n = len(radii_m)
    matrix, right = np.zeros((len(order), 2 * n, 2 * n), complex), np.zeros((len(order), 2 * n), complex)
    for face, a in enumerate(radii_m):
        for side, medium in ((1, face), (-1, face + 1)):
            j, y, dj, dy = _radial(order, k[medium] * a)
            slope = k[medium] / rho[medium]
            for row, (one, other) in enumerate(((j, y), (dj * slope, dy * slope))):
                at = matrix[:, 2 * face + row]
                if medium == 0:  # outward, column 0; the inward wave comes from outside
                    at[:, 0] += side * (one + 1j * other)
                    right[:, 2 * face + row] -= side * (one - 1j * other)
                elif medium == n:
                    at[:, 2 * n - 1] += side * (one - 1j * other)
                else:
                    at[:, 2 * medium - 1] += side * one / _radial(order, k[medium] * radii_m[medium - 1])[0]
                    at[:, 2 * medium] += side * other / _radial(order, k[medium] * radii_m[medium])[1]
    rows = np.abs(matrix).max(axis=2)
    return np.asarray(np.linalg.solve(matrix / rows[..., None], (right / rows)[..., None])[:, 2 * n - 1, 0])
