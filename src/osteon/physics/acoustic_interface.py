"""One interface between a fluid and a fluid or solid, in closed form: what is reflected, what enters, what as shear."""

from __future__ import annotations

import math

import numpy as np

from osteon.errors import InputError
from osteon.physics.acoustic_layers import Array, Medium, Stack, vertical


def fluid_on_solid(first: Medium, second: Medium, frequency_hz: float, transverse_per_m: Array) -> tuple[Array, Array, Array]:
    r"""Return the coefficients of one interface in closed form: reflected, longitudinal and shear amplitude.

    .. math:: R = \frac{Z - Z_1}{Z + Z_1}, \qquad Z = Z_l\cos^2 2\gamma + Z_s\sin^2 2\gamma

    with :math:`Z_i = \rho_i\omega/k_{z,i}`; a fluid has :math:`Z = Z_l`. Brekhovskikh, Waves in Layered Media, 1960.

    Parameters
    ----------
    first, second : Medium
        The first a fluid.
    frequency_hz : float
        Frequency.
    transverse_per_m : ndarray, shape (n,)
        Transverse wavenumber [1/m].

    Returns
    -------
    tuple of ndarray
        Complex, shape (n,): pressure reflected; pressure of the longitudinal wave that goes on (:math:`\rho\omega^2\varphi`);
        the same of the shear wave (:math:`\rho\omega^2\psi`).

    Raises
    ------
    InputError
        If the first medium is a solid.
    """
    if first.solid:
        raise InputError(
            "The first medium of an interface is a solid.",
            "This formula is for a wave that comes from a fluid.",
            "Swap the media, or solve the stack with osteon.physics.acoustic_layers.solve.",
        )
    xi = np.asarray(transverse_per_m, float)
    omega = 2 * math.pi * frequency_hz
    z_1 = first.density_kg_m3 * omega / vertical(first.wavenumber(frequency_hz), xi)
    z_l = second.density_kg_m3 * omega / vertical(second.wavenumber(frequency_hz), xi)
    if not second.solid:
        reflected = (z_l - z_1) / (z_l + z_1)
        return reflected, 1.0 + reflected, np.zeros_like(reflected)
    k_s = second.shear_wavenumber(frequency_hz)
    k_sz = vertical(k_s, xi)
    z_s = second.density_kg_m3 * omega / k_sz
    cosine, sine = 1.0 - 2.0 * (xi / k_s) ** 2, 2.0 * xi * k_sz / k_s**2  # of twice the angle of shear
    whole = z_l * cosine**2 + z_s * sine**2
    reflected = (whole - z_1) / (whole + z_1)
    velocity = 2.0 / (whole + z_1)  # normal velocity of the face, for 1 Pa
    return reflected, velocity * z_l * cosine, velocity * z_s * sine


def energy_in(first: Medium, second: Medium, frequency_hz: float, angle_deg: Array) -> tuple[Array, Array]:
    r"""Return the share of energy that enters a half-space, and how much of it goes as shear.

    .. math:: 1 - |R|^2, \qquad \frac{\mathrm{Re}(Z_s\sin^2 2\gamma)}{\mathrm{Re}(Z_l\cos^2 2\gamma + Z_s\sin^2 2\gamma)}

    Parameters
    ----------
    first, second : Medium
        The first a fluid.
    frequency_hz : float
        Frequency; without attenuation it has no influence.
    angle_deg : ndarray, shape (n,)
        Angle of incidence, 0 to below 90.

    Returns
    -------
    tuple of ndarray
        Both between 0 and 1, shape (n,); the share of shear is NaN where nothing enters.

    Raises
    ------
    InputError
        If an angle lies outside 0 to 90 degrees or the first medium is a solid.

    Examples
    --------
    >>> muscle, bone = Medium(1090.0, 1575.0), Medium(1850.0, 2800.0, shear_speed_m_s=1550.0)
    >>> enters, shear = energy_in(muscle, bone, 1e6, np.array([20.0]))
    >>> round(100 * float(enters[0]), 1), round(100 * float(shear[0]), 1)
    (77.5, 23.9)
    """
    angle = np.asarray(angle_deg, float)
    if not (np.isfinite(angle).all() and (angle >= 0).all() and (angle < 90).all()):
        raise InputError(
            f"The angles of incidence run from {np.min(angle):g} to {np.max(angle):g} degrees.",
            "At 90 degrees a wave runs along the face and enters nothing; beyond it there is none.",
            "Give angles from 0 to below 90 degrees.",
        )
    xi = Stack(first, (), second, frequency_hz).transverse_per_m(angle)
    reflected, _, _ = fluid_on_solid(first, second, frequency_hz, xi)
    enters = 1.0 - np.abs(reflected) ** 2
    if not second.solid:
        return enters, np.where(enters > 0, 0.0, np.nan)
    k_s = second.shear_wavenumber(frequency_hz)
    k_sz = vertical(k_s, xi)
    omega_rho = 2 * math.pi * frequency_hz * second.density_kg_m3
    by_length = (omega_rho / vertical(second.wavenumber(frequency_hz), xi) * (1.0 - 2.0 * (xi / k_s) ** 2) ** 2).real
    by_shear = (omega_rho / k_sz * (2.0 * xi * k_sz / k_s**2) ** 2).real
    whole = by_length + by_shear
    return enters, np.where(whole > 0, by_shear / np.where(whole > 0, whole, 1.0), np.nan)
