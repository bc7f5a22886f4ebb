r"""Phases of an array by time reversal: one march from the target back to the array gives what every element does there.

By reciprocity the pressure of element e at the target is the field of a point source at the target, marched up through the same
voxels and taken at the element. With B the normal derivative (twice) of that field on the entry plane,

.. math:: p_f = \sum_e v_e G_e,\qquad G_e = -\frac{i k\rho c}{2\pi} A_e \int B(x)\,\frac{e^{ikd_e(x)}}{d_e(x)}\,dA

and the drive :math:`\overline{G_e}/|G_e|` lets all elements arrive together. Fink, IEEE Trans UFFC 1992;39:555.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import fft

from osteon.errors import InputError
from osteon.physics.acoustic_kernels import rayleigh
from osteon.physics.acoustic_layers import Medium, vertical
from osteon.physics.acoustic_planner import MOST_SWEEPS, march
from osteon.physics.acoustic_sources import Source

Array = np.ndarray[Any, np.dtype[Any]]
KEPT, LEFT_OUT = 0.65, 0.9  # of the wavenumber: waves of the point source that run more sideways fade out; they meet no array


def ways(
    source: Source,
    labels: Array,
    media: Sequence[Medium],
    frequency_hz: float,
    spacing_m: float,
    corner_m: Array,
    target: tuple[int, int, int],
    most_sweeps: int = MOST_SWEEPS,
) -> Array:
    """Return the pressure [Pa] that each element makes at a target when it alone moves by 1 m/s.

    Parameters
    ----------
    source : Source
        In the frame of the device. Each element counts with its middle and its area.
    labels : ndarray of int, shape (z, y, x)
        Cells below the entry plane, z along the beam; the first plane of cells of one medium.
    media : sequence of Medium
        At the frequency.
    frequency_hz, spacing_m : float
        Frequency and edge of a cell.
    corner_m : ndarray, shape (3,)
        Where column [0, 0] of the entry plane lies in the frame of the device, (x, y, z); all elements lie above it.
    target : tuple of int
        Plane (1 to the number of cells) and column (y, x).
    most_sweeps : int
        As for the planner.

    Returns
    -------
    ndarray of complex, shape (elements,)

    Raises
    ------
    InputError
        If the target lies outside the voxels, the entry plane cuts the source, or what the planner refuses.
    """
    plane, row, column = target
    shape = labels.shape[1:]
    corner = np.asarray(corner_m, float)
    if labels.ndim != 3 or not (1 <= plane <= len(labels) and 0 <= row < shape[0] and 0 <= column < shape[1]):
        raise InputError(
            f"The target {target} lies outside voxels of shape {labels.shape}.",
            "A beam cannot be focused on what is not there.",
            "Give plane (from 1), row and column inside the voxels.",
        )
    if len(np.unique(labels[0])) != 1 or not (source.centres_m[:, 2] < corner[2]).all():
        raise InputError(
            f"The entry plane at z = {corner[2]:g} m cuts the array or holds {len(np.unique(labels[0]))} media.",
            "Between array and entry plane there must be one medium.",
            "Move the plane below all elements, into the coupling fluid.",
        )
    ky, kx = (2 * math.pi * np.fft.fftfreq(n, spacing_m) for n in shape)
    xi = np.hypot(kx, ky[:, None])
    at = media[int(labels[plane - 1, row, column])]
    k_z = vertical(at.wavenumber(frequency_hz), xi)
    sideways = np.clip((xi / at.wavenumber(frequency_hz).real - KEPT) / (LEFT_OUT - KEPT), 0.0, 1.0)
    kept = np.cos(sideways * math.pi / 2) ** 2
    shift = np.exp(-1j * spacing_m * (kx * column + ky[:, None] * row))
    begin = fft.ifft2(kept * 0.5j / np.where(sideways < 1, k_z, 1.0) * shift) / spacing_m**2  # Weyl's integral
    found = march(begin, labels[:plane][::-1], media, frequency_hz, spacing_m, most_sweeps=most_sweeps)
    first = media[int(labels[0, 0, 0])]
    slope = fft.ifft2(-2j * vertical(first.wavenumber(frequency_hz), xi) * fft.fft2(found.pressure_pa[-1].astype(complex)))
    y, x = np.indices(shape)
    points = np.stack([corner[0] + x.ravel() * spacing_m, corner[1] + y.ravel() * spacing_m, np.full(x.size, corner[2])])
    weight = slope.ravel() * spacing_m**2
    k = 2 * math.pi * frequency_hz / first.speed_m_s
    parts = (np.ascontiguousarray(weight.real), np.ascontiguousarray(weight.imag))
    summed = rayleigh(np.ascontiguousarray(source.centres_m), points, *parts, k, first.attenuation_np_m)
    whole = summed[:, 0] + 1j * summed[:, 1]
    return np.asarray(-1j * k * first.density_kg_m3 * first.speed_m_s / (2 * math.pi) * source.element_areas_m2 * whole)


def reversed_drive(found: Array, on: Array | None = None) -> Array:
    """Return the drive of amplitude 1 that lets elements with the ways ``found`` arrive together; 0 where switched off.

    Parameters
    ----------
    found : ndarray of complex, shape (elements,)
        From ``ways``.
    on : ndarray of bool, optional
        Elements that may radiate.

    Raises
    ------
    InputError
        If no element reaches the target.
    """
    strength = np.abs(found)
    live = strength > 0 if on is None else (strength > 0) & np.asarray(on)
    if not live.any():
        raise InputError(
            "No element of the array reaches the target.",
            "All are switched off or their sound does not arrive.",
            "Move or turn the device, or choose another way in.",
        )
    return np.asarray(np.where(live, np.conj(found) / np.where(strength > 0, strength, 1.0), 0.0))
