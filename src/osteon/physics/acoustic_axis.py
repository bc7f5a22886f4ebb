"""Exact amplitudes on the axis of a bowl and a disc. O'Neil, J Acoust Soc Am 1949;21:516."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def bowl_axis_pa(z_m: Array, radius_m: float, aperture_m: float, face_pa: float, frequency_hz: float, speed_m_s: float) -> Array:
    r"""Return the amplitude on the axis of a bowl.

    .. math:: |p| = p_0\frac{2}{|1 - z/R|}\left|\sin\frac{k(B - z)}{2}\right|,\qquad B = \sqrt{(z - h)^2 + a^2}

    Parameters
    ----------
    z_m : ndarray
        From the vertex.
    radius_m, aperture_m : float
        Radius of curvature R and diameter 2a; h is the depth of the bowl.
    face_pa : float
        :math:`p_0 = \rho c v`.
    frequency_hz, speed_m_s : float
        Give k.

    Returns
    -------
    ndarray
        [Pa]; at z = R its limit :math:`p_0 k h`.

    Examples
    --------
    >>> round(float(bowl_axis_pa(np.array([0.064]), 0.064, 0.064, 60e3, 5e5, 1500.0)[0]) / 1e3, 1)
    1077.5
    """
    z, k, a = np.asarray(z_m, float), 2 * math.pi * frequency_hz / speed_m_s, aperture_m / 2
    h = radius_m - math.sqrt(radius_m**2 - a**2)
    b = np.sqrt((z - h) ** 2 + a**2)
    away = 1.0 - z / radius_m
    near = np.abs(away) < 1e-7
    beside = 2 * face_pa / np.abs(np.where(near, 1.0, away)) * np.abs(np.sin(k * (b - z) / 2))
    return np.asarray(np.where(near, face_pa * k * h, beside))


def disc_axis_pa(z_m: Array, diameter_m: float, face_pa: float, frequency_hz: float, speed_m_s: float) -> Array:
    r"""Return the amplitude [Pa] on the axis of a disc, :math:`2p_0|\sin\frac k2(\sqrt{z^2 + a^2} - z)|`.

    Parameters
    ----------
    z_m : ndarray
        From the disc.
    diameter_m, face_pa, frequency_hz, speed_m_s : float
        As for ``bowl_axis_pa``.

    Examples
    --------
    >>> round(float(disc_axis_pa(np.array([0.06]), 0.02, 60e3, 5e5, 1500.0)[0]) / 1e3, 1)
    91.5
    """
    z, k = np.asarray(z_m, float), 2 * math.pi * frequency_hz / speed_m_s
    return np.asarray(2 * face_pa * np.abs(np.sin(k / 2 * (np.sqrt(z**2 + (diameter_m / 2) ** 2) - z))))
