r"""What the planner's field turns into heat, cell by cell.

In a fluid :math:`\alpha|p|^2/\rho c`, the mean of the two faces of a cell and across it. In a solid of level layers, from the
strains of both potentials, where longitudinal and shear wave interfere:

.. math:: Q = -\tfrac{\omega}{2}\left(\mathrm{Im}\lambda\,|\mathrm{tr}\,\varepsilon|^2
    + 2\,\mathrm{Im}\mu\;\varepsilon:\varepsilon^*\right)

Where faces lean, the steps of the voxels would be differentiated: a fine grid is smoothed first (a Gaussian changes a wave of one
wavenumber by one factor, whichever way it goes), and on a coarse one each potential heats by itself,
:math:`\alpha_l|\rho\omega^2\varphi|^2/\rho c_l + \alpha_s|\rho\omega^2\psi|^2/\rho c_s`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from osteon.physics import acoustic_planner_kernels as kernels
from osteon.physics.acoustic_layers import Medium
from osteon.physics.acoustic_planner_march import March

Array = np.ndarray[Any, np.dtype[Any]]
COARSE = 5.0  # cells in a shear wavelength: below it strains cannot be told
FINE = 8.0  # where faces lean: below it there is no room to smooth
SMOOTH = 0.125  # of a shear wavelength


def heat_of(run: March, absorption: Sequence[tuple[float, float]] | None) -> tuple[Array, Array]:
    """Return the heat [W/m3] of every cell, and what shear adds to the longitudinal wave.

    Parameters
    ----------
    run : March
        After its sweeps.
    absorption : sequence of (float, float) or None
        Of each medium, of both waves [Np/m]; None: the attenuation.
    """
    media, h = run.media, run.spectra.spacing_m
    if absorption is None:
        absorption = [(m.attenuation_np_m, m.shear_attenuation_np_m) for m in media]
    alpha, alpha_shear = (np.array([pair[i] for pair in absorption], float) for i in (0, 1))
    rho, speed, shear_speed = (
        np.array([getattr(m, n) for m in media]) for n in ("density_kg_m3", "speed_m_s", "shear_speed_m_s")
    )
    fall = np.array([m.attenuation_np_m for m in media]) * h  # from the faces of a cell to its mean
    weight = alpha / (rho * speed) * np.where(fall > 0, np.tanh(fall) / np.where(fall > 0, fall, 1.0), 1.0)
    strains, sigma = _way(run)
    in_fluid = np.where(run.solids & strains, 0.0, weight)
    in_shear = np.where(run.solids, alpha_shear / (rho * np.where(run.solids, shear_speed, 1.0)), 0.0)
    in_fluid, in_shear = ((0.5 * w).astype(np.float32) for w in (in_fluid, in_shear))
    if strains and sigma > 0:
        _smooth(run, sigma)
    heat = run.room.blank("heat", run.labels.shape, np.float32)
    shear = run.room.blank("shear", run.labels.shape, np.float32) if run.solid else np.zeros(run.labels.shape, np.float32)
    losses = _losses(media, absorption, run.frequency_hz)
    scale = 1.0 / (rho * (2 * math.pi * run.frequency_hz) ** 2 * h**2)
    boxed = np.s_[run.box[0] : run.box[1], run.box[2] : run.box[3]]
    for cell, labels in enumerate(run.labels):
        if (in_fluid[run.present[cell]] > 0).any():
            below = _below(run, run.total[cell + 1], cell, slice(0, 1))
            kernels.cell_power(run.total[cell], below, labels, in_fluid, heat[cell])
        if not run.has_solid[cell]:
            continue
        upper, lower = run.inner[cell], run.inner[cell + 1] if sigma > 0 else _below(run, run.inner[cell + 1], cell, slice(0, 3))
        if strains:
            kernels.solid_heat(
                upper, lower, labels[boxed], run.spectra.wavenumbers * h, scale, *losses, heat[cell][boxed], shear[cell][boxed]
            )
            continue
        for part in (1, 2):
            kernels.cell_power(upper[part], lower[part], labels[boxed], in_shear, shear[cell][boxed])
        heat[cell] += shear[cell]
    return heat, shear


def _way(run: March) -> tuple[bool, float]:
    """Return whether strains are taken, and the width of a Gaussian before them [cells]."""
    if not run.solid:
        return False, 0.0
    points = 2 * math.pi / (float(run.spectra.wavenumbers[run.solids, 1].max()) * run.spectra.spacing_m)
    level = all(face.level for faces in run.faces.values() for face in faces if run.hard[face.upper] != run.hard[face.lower])
    if level:
        return points >= COARSE, 0.0
    fine = points >= FINE
    return fine, SMOOTH * points if fine else 0.0


def _smooth(run: March, sigma: float) -> None:
    """Smooth the potentials of solids, and give each wave back what that took."""
    planes = sorted(run.inner)
    volume = np.stack([run.inner[k] for k in planes], axis=1)
    k = run.spectra.wavenumbers[run.solids].max(axis=0) * run.spectra.spacing_m
    axes = [axis for axis in range(3) if volume.shape[1 + axis] > 1]
    for part in range(3):
        gain = math.exp(float(k[min(part, 1)]) ** 2 * sigma**2 / 2)
        volume[part] = ndimage.gaussian_filter(volume[part], sigma, axes=axes) * gain
    for place, plane in enumerate(planes):
        run.inner[plane] = np.ascontiguousarray(volume[:, place])


def _below(run: March, plane: Array, cell: int, parts: slice) -> Array:
    """Return the plane under a layer of cells, on its upper side."""
    faces = run.faces.get(cell + 1, ())
    if not faces:
        return plane
    found = plane.copy()
    flat = found.reshape(-1, plane.shape[-2] * plane.shape[-1])
    for face in faces:
        if parts.stop == 1:
            flat[:, face.columns] = run.above[cell + 1][parts, face.place]
        elif run.hard[face.upper]:
            inside, at = run.boxed(face.columns)
            flat[:, at] = run.above[cell + 1][:, face.place][:, inside]
    return found


def _losses(media: Sequence[Medium], absorption: Sequence[tuple[float, float]], frequency_hz: float) -> tuple[Array, Array]:
    """Return omega/2 times minus the imaginary parts of Lame's lambda and of 2 mu; 0 for fluids."""
    bulk, rigid = np.zeros(len(media)), np.zeros(len(media))
    for i, (medium, (alpha, alpha_shear)) in enumerate(zip(media, absorption, strict=True)):
        if medium.solid:
            square = medium.density_kg_m3 * (2 * math.pi * frequency_hz) ** 2
            mu = square / complex(medium.shear_wavenumber(frequency_hz).real, alpha_shear) ** 2
            lam = square / complex(medium.wavenumber(frequency_hz).real, alpha) ** 2 - 2 * mu
            bulk[i], rigid[i] = (-math.pi * frequency_hz * x for x in (lam.imag, 2 * mu.imag))
    return bulk, rigid
