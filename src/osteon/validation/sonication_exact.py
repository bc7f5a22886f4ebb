r"""What a bowl in uniform absorbing tissue heats, by series and closed forms that share nothing with the planner.

Pressure: Rayleigh's integral over the bowl, its wave :math:`e^{ikd}/d` expanded in spherical waves about the centre of curvature;
the integral over the cap is then closed, and the wavenumber may be complex:

.. math:: p(r,\theta) = \omega\rho v k R^2\sum_n h_n(kR)\,j_n(kr)\,P_n(\cos\theta)\,[P_{n-1}(x) - P_{n+1}(x)]

with x the cosine of the half-angle, and the angle counted from the way back to the vertex. Heat: Pennes' equation in endless
tissue, in the space of wavenumbers, where each wave answers a source that is on for a time t by
:math:`(1 - e^{-\lambda t})/(\rho c\lambda)`, :math:`\lambda = (k_t\kappa^2 + W)/\rho c`: Hankel's transform across by
Gauss-Legendre nodes, a Fourier sum along the axis. No time is stepped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import fft, special

Array = np.ndarray[Any, np.dtype[Any]]
MORE_ORDERS = 40  # beyond |k r|: what is left falls faster than any power
PIECE = 4000  # points at a time


@dataclass(frozen=True)
class Bowl:
    """A bowl in uniform tissue, at one frequency.

    Parameters
    ----------
    radius_m, aperture_m : float
        Radius of curvature and diameter of the rim.
    frequency_hz : float
        Frequency.
    velocity_m_s : float
        Normal velocity of the face.
    density_kg_m3, speed_m_s, attenuation_np_m : float
        Of the tissue, from the face on.
    """

    radius_m: float
    aperture_m: float
    frequency_hz: float
    velocity_m_s: float
    density_kg_m3: float
    speed_m_s: float
    attenuation_np_m: float

    @property
    def wavenumber(self) -> complex:
        """Of the tissue [1/m]."""
        return complex(2 * math.pi * self.frequency_hz / self.speed_m_s, self.attenuation_np_m)

    @property
    def edge(self) -> float:
        """Cosine of the half-angle of the bowl."""
        return math.sqrt(1 - (self.aperture_m / 2 / self.radius_m) ** 2)


def axis_pressure(bowl: Bowl, z_m: Array) -> Array:
    r"""Return the pressure [Pa] on the axis in closed form: O'Neil's with a complex wavenumber, shape of ``z_m``.

    .. math:: p = \frac{\omega\rho v R}{k (R - z)}\left(e^{ikz} - e^{ikB}\right),\qquad B = \sqrt{(z - h)^2 + a^2}

    Parameters
    ----------
    bowl : Bowl
        The source.
    z_m : ndarray
        From the vertex; not at the centre of curvature.
    """
    a, k, rim = bowl.aperture_m / 2, bowl.wavenumber, bowl.radius_m * (1 - bowl.edge)
    far = np.sqrt((z_m - rim) ** 2 + a**2)
    omega = 2 * math.pi * bowl.frequency_hz
    front = omega * bowl.density_kg_m3 * bowl.velocity_m_s * bowl.radius_m / (k * (bowl.radius_m - z_m))
    return np.asarray(front * (np.exp(1j * k * z_m) - np.exp(1j * k * far)))


def pressure(bowl: Bowl, rho_m: Array, z_m: Array) -> Array:
    """Return the pressure [Pa] at distances from the axis and from the vertex, by spherical waves, shape (n,).

    Parameters
    ----------
    bowl : Bowl
        The source.
    rho_m, z_m : ndarray, shape (n,)
        Nearer to the centre of curvature than the bowl.
    """
    k, x = bowl.wavenumber, bowl.edge
    away = z_m - bowl.radius_m
    r = np.maximum(np.hypot(rho_m, away), 1e-9)
    count = int(abs(k) * float(r.max())) + MORE_ORDERS
    n = np.arange(count + 1)
    legendre = special.eval_legendre(np.arange(count + 2), x)
    cap = np.r_[1 - x, legendre[:-2] - legendre[2:]]
    hankel = special.spherical_jn(n, k * bowl.radius_m) + 1j * special.spherical_yn(n, k * bowl.radius_m)
    omega = 2 * math.pi * bowl.frequency_hz
    weight = omega * bowl.density_kg_m3 * bowl.velocity_m_s * k * bowl.radius_m**2 * hankel * cap
    found = np.empty(len(r), complex)
    for begin in range(0, len(r), PIECE):
        piece = slice(begin, begin + PIECE)
        found[piece] = _waves(weight, k * r[piece], -away[piece] / r[piece])
    return found


def _waves(weight: Array, x: Array, cosine: Array) -> Array:
    """Return the sum of weight_n j_n(x) P_n(cosine): j from ratios downward, which is stable for all orders."""
    ratio = np.zeros((len(weight) + 1, len(x)), complex)
    for n in range(len(weight) - 1, 0, -1):
        ratio[n] = 1 / ((2 * n + 1) / x - ratio[n + 1])  # j_n / j_(n-1)
    bessel, second = np.sin(x) / x, np.sin(x) / x**2 - np.cos(x) / x
    second = np.where((np.abs(bessel) > np.abs(second)) | (np.abs(x) < 1), bessel * ratio[1], second)  # never from a zero of j_0
    before, polynomial = np.zeros(len(x)), np.ones(len(x))
    found = weight[0] * bessel
    for n in range(1, len(weight)):
        before, polynomial = polynomial, ((2 * n - 1) * cosine * polynomial - (n - 1) * before) / n
        bessel = second if n == 1 else bessel * ratio[n]
        found = found + weight[n] * bessel * polynomial
    return np.asarray(found)


@dataclass(frozen=True)
class Tissue:
    """Conductivity [W/m/K], heat capacity [J/m³/K], blood flow [W/m³/K] and absorption [Np/m] of uniform tissue."""

    conductivity: float
    capacity: float
    perfusion: float
    absorption_np_m: float


class Pennes:
    """Temperature above start that a bowl makes in endless tissue.

    Parameters
    ----------
    bowl, tissue : Bowl, Tissue
        The source and what it heats.
    across_m, along_m : float
        Heat is followed to this distance from the axis, and before and behind the centre of curvature.
    fineness : float
        Nodes across and along, of what the band of the heat asks for.
    """

    def __init__(self, bowl: Bowl, tissue: Tissue, across_m: float, along_m: float, fineness: float = 1.0) -> None:
        self.tissue = tissue
        sine, k = math.sqrt(1 - bowl.edge**2), abs(bowl.wavenumber)
        band = 2.2 * k * sine  # |p|^2 has twice the transverse wavenumber of the rim, and little beyond
        rho, weight = _gauss(across_m, math.ceil(fineness * (band * across_m / math.pi + 20)))
        self.kappa, self.weight = _gauss(band, math.ceil(fineness * (band * across_m / math.pi * 1.5 + 20)))
        half = math.ceil(fineness * along_m * k * (1 - bowl.edge) * 2) + 20
        z = np.linspace(-along_m, along_m, 2 * half + 1)
        at = np.meshgrid(rho, bowl.radius_m + z)
        p = pressure(bowl, at[0].ravel(), at[1].ravel()).reshape(at[0].shape)
        heat = tissue.absorption_np_m * np.abs(p) ** 2 / (bowl.density_kg_m3 * bowl.speed_m_s)
        hankel = special.j0(np.outer(self.kappa, rho)) * (rho * weight)
        self.first_m, self.step_m = bowl.radius_m - along_m, float(z[1] - z[0])
        count = fft.next_fast_len(2 * len(z))  # zeros between the source and its image
        self.spectrum = fft.fft(hankel @ heat.T, count, axis=1)
        self.along = 2 * math.pi * np.fft.fftfreq(count, self.step_m)
        squares = self.kappa[:, None] ** 2 + self.along**2
        self.rate = (tissue.conductivity * squares + tissue.perfusion) / tissue.capacity
        self.power_w = float(2 * math.pi * (heat @ (rho * weight)).sum() * self.step_m)

    def rise(self, time_s: float, on_s: float, rho_m: Array, z_m: Array) -> Array:
        """Return the temperature above start [K] at points of the tissue.

        Parameters
        ----------
        time_s, on_s : float
            Since the sound went on, and how long it stays on.
        rho_m, z_m : ndarray, shape (n,)
            Distance from the axis, and from the vertex of the bowl [m].
        """
        left = max(time_s - on_s, 0.0)
        answer = (np.exp(-self.rate * left) - np.exp(-self.rate * time_s)) / (self.rate * self.tissue.capacity)
        wave = np.exp(1j * np.outer(self.along, z_m - self.first_m)) / len(self.along)
        line = (self.spectrum * answer) @ wave
        return np.asarray(np.einsum("kn,kn,k->n", special.j0(np.outer(self.kappa, rho_m)), line.real, self.kappa * self.weight))


def _gauss(end: float, count: int) -> tuple[Array, Array]:
    """Return Gauss-Legendre nodes and weights from 0 to ``end``."""
    node, weight = np.polynomial.legendre.leggauss(count)
    return end * (node + 1) / 2, end * weight / 2
