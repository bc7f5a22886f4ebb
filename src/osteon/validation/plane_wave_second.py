r"""Plane waves through flat layers coded a second time: eigenvectors of the equation of motion, and a recursion.

The state :math:`(u_x, u_z, \sigma_{xz}, \sigma_{zz})` of a solid obeys :math:`d/dz\,y = N y`, N straight from Hooke and Newton;
numpy finds its four waves (Stroh 1962). From the last half-space upward the surface impedance (stress = Z u) is carried through
each layer by reflection coefficients, so that only decaying exponentials occur (Rokhlin & Wang, JASA 2002;112:822). It shares no
formula with ``osteon.physics.acoustic_layers`` but the complex wavenumber.
"""

from __future__ import annotations

import cmath
import math

import numpy as np

from osteon.physics.acoustic_layers import Array, Medium, Stack


def _motion(medium: Medium, omega: float, xi: float) -> Array:
    """Return N of a solid (4 x 4) or, for (u_z, s_zz), of a fluid (2 x 2)."""
    rho = medium.density_kg_m3
    whole = rho * (omega / medium.wavenumber(omega / (2 * math.pi))) ** 2  # lambda + 2 mu
    if not medium.solid:  # s_zz = -p; rho w^2 u_x = i xi p
        return np.array([[0, 1 / whole - xi**2 / (rho * omega**2)], [-rho * omega**2, 0]], complex)
    mu = rho * (omega / medium.shear_wavenumber(omega / (2 * math.pi))) ** 2
    lam = whole - 2 * mu
    i_xi = 1j * xi
    stiff = whole - lam**2 / whole  # s_xx = stiff e_xx + (lam / whole) s_zz
    return np.array(
        [
            [0, -i_xi, 1 / mu, 0],
            [-i_xi * lam / whole, 0, 0, 1 / whole],
            [-rho * omega**2 + xi**2 * stiff, 0, 0, -i_xi * lam / whole],
            [0, -rho * omega**2, -i_xi, 0],
        ]
    )


def _split(medium: Medium, omega: float, xi: float) -> tuple[Array, Array, Array, Array]:
    """Return states and growth rates of the waves that go or decay down, and of those that go or decay up."""
    matrix = _motion(medium, omega, xi)
    half = len(matrix) // 2
    size = np.ones(len(matrix))
    size[half:] = 1.0 / (medium.density_kg_m3 * omega * medium.speed_m_s)  # comparable rows for the eigensolver
    rate, vector = np.linalg.eig(size[:, None] * matrix / size[None, :])
    vector = vector / size[:, None]
    power = np.array(
        [(-(v[half:] * np.conj(-1j * omega * v[:half])).sum()).real / max(np.abs(v[half:] * omega * v[:half]).sum(), 1e-300)
         for v in vector.T]
    )  # fmt: skip
    decays = -rate.real / np.abs(rate)
    order = np.argsort(np.where(np.abs(decays) > 1e-9, decays, power))  # least: up; most: down
    up, down = order[:half], order[half:]
    return vector[:, down], rate[down], vector[:, up], rate[up]


def _through(medium: Medium, thickness_m: float, omega: float, xi: float, below: Array) -> tuple[Array, Array]:
    """Return the surface impedance on top of a layer, and what takes the displacement of its top to that of its bottom."""
    down, rate_down, up, rate_up = _split(medium, omega, xi)
    half = len(down) // 2
    back = -np.linalg.solve(up[half:] - below @ up[:half], down[half:] - below @ down[:half])
    fall, rise = np.diag(np.exp(rate_down * thickness_m)), np.diag(np.exp(-rate_up * thickness_m))
    round_trip = rise @ back @ fall
    top = down[:half] + up[:half] @ round_trip
    impedance = (down[half:] + up[half:] @ round_trip) @ np.linalg.inv(top)
    bottom = (down[:half] + up[:half] @ back) @ fall @ np.linalg.inv(top)
    return impedance, bottom


def _met(impedance: Array, above: Medium) -> tuple[Array, Array]:
    """Return the impedance as the medium above meets it, and what gives the displacement below from that above."""
    if len(impedance) == 2 and not above.solid:  # no shear stress at a fluid: the solid slides
        slide = -impedance[0, 1] / impedance[0, 0]
        return np.array([[impedance[1, 1] + impedance[1, 0] * slide]]), np.array([[slide], [1.0]])
    if len(impedance) == 1 and above.solid:
        return np.array([[0, 0], [0, impedance[0, 0]]]), np.array([[0.0, 1.0]])
    return impedance, np.eye(len(impedance), dtype=complex)


def respond(stack: Stack, xi: float) -> tuple[complex, float, Array]:
    """Return the reflected pressure, the share of power that goes on below the last face, and the share each layer takes.

    Parameters
    ----------
    stack : Stack
        Half-spaces, layers, frequency; the first half-space without loss.
    xi : float
        Transverse wavenumber [1/m], below that of the first medium.

    Returns
    -------
    tuple
        Complex, float, ndarray of one number a layer.
    """
    omega = 2 * math.pi * stack.frequency_hz
    down, _, _, _ = _split(stack.last, omega, xi)
    half = len(down) // 2
    impedance = down[half:] @ np.linalg.inv(down[:half])
    impedances, carriers = [impedance], []  # on top of each medium from the last upward; top to bottom, and across the face below
    for layer in reversed(stack.layers):
        met, across = _met(impedance, layer.medium)
        impedance, bottom = _through(layer.medium, layer.thickness_m, omega, xi, met)
        impedances.append(impedance)
        carriers.append((bottom, across))
    met, across = _met(impedance, stack.first)
    first = stack.first.density_kg_m3 * omega**2
    k_z = cmath.sqrt(stack.first.wavenumber(stack.frequency_hz) ** 2 - xi**2)
    # pressure 1 + R = -Z u_z and u_z = i k_z (1 - R) / (rho w^2)
    z = -met[0, 0] * 1j * k_z / first
    reflected = (z - 1) / (z + 1)
    moved = across @ np.array([1j * k_z * (1 - reflected) / first])
    flows = [_flow(impedances[-1] @ moved, moved, omega)]
    lower = []
    for place, (bottom, across) in enumerate(reversed(carriers)):
        moved = across @ (bottom @ moved)
        lower.append(_flow(impedances[-2 - place] @ moved, moved, omega))
    incident = 0.5 * k_z.real / (stack.first.density_kg_m3 * omega)
    passing = np.array(flows + lower) / incident
    return complex(reflected), float(passing[-1]), -np.diff(passing)


def _flow(stress: Array, moved: Array, omega: float) -> float:
    """Return the power through a face [W/m²]."""
    return float(-0.5 * (stress * np.conj(-1j * omega * moved)).sum().real)
