r"""A beam on a hollow cylinder of a viscoelastic solid in a fluid, exactly, order by order in the angle round it.

Each plane wave of the beam is :math:`e^{i\mathbf{k}\cdot\mathbf{r}} = \sum_n i^n J_n(kr)\, e^{in(\theta-\theta_j)}`. Outside
there is also :math:`s_n H^{(1)}_n`, in the solid two cylinder functions for each potential :math:`\varphi` and :math:`\psi`, and
inside :math:`d_n J_n`. At both faces radial displacement and stress go on and shear stress vanishes: six equations an order
(Faran, J Acoust Soc Am 1951;23:405, with a hollow). Orders do not share power over a full turn: what the solid absorbs is what
enters a circle round it, summed over orders.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import hankel1, hankel2, jv

from osteon.physics.acoustic_layers import Layer, Stack
from osteon.physics.acoustic_layers import solve as exact_layers
from osteon.validation.curved_shell_models import REPEAT_M, Scene

Array = np.ndarray[Any, np.dtype[Any]]
BEYOND = 24  # orders beyond the size of the cylinder in wavelengths over 2 pi: what they hold is below rounding
RADII = 24  # Gauss points through the shell


@dataclass(frozen=True)
class Shares:
    """Shares of the beam's power: what bone absorbs, what of it by compression alone, what crosses the hollow; the residual."""

    absorbed: float
    longitudinal: float
    crosses: float = math.nan
    residual: float = 0.0


def _incident(scene: Scene, orders: Array) -> tuple[Array, float]:
    """Return the beam's amplitude of each order [Pa], round the axis, and its power for each metre along it [W/m]."""
    vectors, sizes = (part[..., 0, :] for part in scene.waves())
    z_0, x_0 = scene.met()
    begins = sizes * np.exp(1j * (vectors[0] * (scene.radius_m - z_0) - vectors[2] * x_0))  # at the cylinder's axis
    direction = np.arctan2(vectors[2], vectors[0])
    found = (1j ** (orders % 4)) * (np.exp(-1j * np.outer(orders, direction)) @ begins)
    tilt = math.radians(scene.beam.tilt_deg)
    forward = vectors[0] * math.cos(tilt) + vectors[2] * math.sin(tilt)
    power = 0.5 * REPEAT_M * float(np.sum(np.abs(sizes) ** 2 * forward))  # Parseval over one repeat of the beam
    return found, power / (2 * math.pi * scene.frequency_hz * scene.outside.density_kg_m3)


def _solid(scene: Scene, n: int, r: Array) -> tuple[Array, Array]:
    """Return what four waves in the solid carry at radii: radial displacement, its stress and the shear stress, and compression.

    Shapes (3, 4, radii) and (4, radii). Each wave is 1 where it is largest.
    """
    bone, omega = scene.bone, 2 * math.pi * scene.frequency_hz
    k_l, k_s = bone.wavenumber(scene.frequency_hz), bone.shear_wavenumber(scene.frequency_hz)
    rigid, whole = bone.density_kg_m3 * omega**2 / k_s**2, bone.density_kg_m3 * omega**2 / k_l**2
    outer, inner = scene.radius_m, scene.radius_m - scene.thickness_m
    columns, squeezed = [], []
    for k in (k_l, k_s):
        for function, largest in ((jv, outer), (hankel1, inner)):
            scale = np.abs(function(n, k * np.array([largest, outer]))).max()
            value = function(n, k * r) / scale
            slope = k * (function(n - 1, k * r) - function(n + 1, k * r)) / (2 * scale)
            bends = slope / r - value / r**2
            if k is k_l:
                normal = -whole * k**2 * value + 2 * rigid * (n**2 / r**2 * value - slope / r)
                columns.append(np.stack([slope, normal, 2j * n * rigid * bends]))
                squeezed.append(-(k**2) * value)
            else:
                shear = rigid * ((k**2 - 2 * n**2 / r**2) * value + 2 * slope / r)
                columns.append(np.stack([1j * n / r * value, 2j * n * rigid * bends, shear]))
                squeezed.append(np.zeros_like(value))
    return np.stack(columns, axis=1), np.stack(squeezed)


def cylinder(scene: Scene, returns: bool = True) -> Shares:
    """Return what a whole cylinder absorbs of a beam that is endless along y.

    Parameters
    ----------
    scene : Scene
        Its shell has a radius; its box plays no part.
    returns : bool
        Whether what crosses the hollow meets the far wall; False: it is taken out at the axis (then :math:`d_n H^{(2)}_n`
        inside, but for orders that do not reach so far in).
    """
    omega, k = 2 * math.pi * scene.frequency_hz, 2 * math.pi * scene.frequency_hz / scene.outside.speed_m_s
    outer, inner = scene.radius_m, scene.radius_m - scene.thickness_m
    most = math.ceil(k * outer) + BEYOND
    orders = np.arange(-most, most + 1)
    falls, incident = _incident(scene, orders)
    heavy = scene.outside.density_kg_m3 * omega**2
    nodes, weights = np.polynomial.legendre.leggauss(RADII)
    radii = 0.5 * (outer + inner) + 0.5 * (outer - inner) * nodes
    bone = scene.bone
    whole = bone.density_kg_m3 * omega**2 / bone.wavenumber(scene.frequency_hz) ** 2
    absorbed, crosses, compression, residual = 0.0, 0.0, 0.0, 0.0
    for n, b in zip(orders.tolist(), falls, strict=True):
        faces, _ = _solid(scene, n, np.array([outer, inner]))
        stays = jv if returns or abs(n) >= k * inner else hankel2
        into, leaves, within = (
            _fluid(function, n, k, r, heavy) for function, r in ((jv, outer), (hankel1, outer), (stays, inner))
        )
        matrix, right = np.zeros((6, 6), complex), np.zeros(6, complex)
        matrix[:3, :4], matrix[3:, :4] = faces[:, :, 0], faces[:, :, 1]
        matrix[:2, 4], matrix[3:5, 5] = -leaves, -within
        right[:2] = b * into
        rows = np.abs(matrix).max(axis=1)
        columns = np.abs(matrix / rows[:, None]).max(axis=0)
        found = np.linalg.solve(matrix / rows[:, None] / columns, right / rows) / columns
        left, whole_right = (float(np.abs(part / rows).max()) for part in (matrix @ found - right, right))
        residual = max(residual, left / whole_right if whole_right > 0 else 0.0)
        absorbed += _inward(b * into + found[4] * leaves, omega, outer)
        crosses += _inward(found[5] * within, omega, inner)
        squeezed = np.abs(found[:4] @ _solid(scene, n, radii)[1]) ** 2
        compression += math.pi * omega * abs(whole.imag) * 0.5 * (outer - inner) * float(np.sum(weights * squeezed * radii))
    return Shares((absorbed - crosses) / incident, compression / incident, crosses / incident, residual)


def _inward(wave: Array, omega: float, r: float) -> float:
    """Return the power through a circle towards its centre [W/m], of radial displacement [m] and stress [Pa]."""
    return math.pi * r * float(np.real(wave[1] * np.conj(-1j * omega * wave[0])))


def _fluid(function: Any, n: int, k: float, r: float, heavy: float) -> Array:
    """Return radial displacement [m] and radial stress [Pa] of a wave of pressure, scaled to about 1."""
    scale = 1.0 if function is jv else function(n, k * r)
    slope = k * (function(n - 1, k * r) - function(n + 1, k * r)) / 2
    return np.array([slope / heavy, -function(n, k * r)]) / scale


def plate(scene: Scene) -> Shares:
    """Return what a flat plate absorbs of a beam, plane wave by plane wave.

    Parameters
    ----------
    scene : Scene
        Its shell is flat.
    """
    vectors, sizes = scene.waves()
    stack = Stack(scene.outside, (Layer(scene.bone, scene.thickness_m),), scene.outside, scene.frequency_hz)
    found = exact_layers(stack, np.hypot(vectors[1], vectors[2]).ravel())
    tilt = math.radians(scene.beam.tilt_deg)
    carried = (np.abs(sizes) ** 2 * (vectors[0] * math.cos(tilt) + vectors[2] * math.sin(tilt))).ravel()
    going = carried > 0
    share = float(np.average(found.absorbed_share[0][going], weights=carried[going]))
    return Shares(share, math.nan, residual=found.residual)
