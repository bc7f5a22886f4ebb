r"""Plane waves through flat layers of fluids and solids, exactly, at any angle and for evanescent waves too.

Displacement is :math:`u = \nabla\varphi + \nabla\times(\psi\,\hat y)`; time goes as :math:`e^{-i\omega t}`, so that
:math:`k = \omega/c + i\alpha` decays and :math:`k_z = \sqrt{k^2 - \xi^2}` is taken with :math:`\mathrm{Im}\,k_z \ge 0`. In each
layer downgoing waves count from its upper face and upgoing ones from its lower face: every exponential is at most 1 and no
thick or oblique layer overflows (the global matrix of Knopoff 1964; Lowe, IEEE Trans UFFC 1995;42:525). Across a face the normal
displacement and the normal stress go on; between solids the tangential ones too; at a fluid the shear stress vanishes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from osteon.errors import InputError, NumericalError

Array = np.ndarray[Any, np.dtype[Any]]
HIGHEST_HZ = 100e6  # above it no layer of this program is a continuum


@dataclass(frozen=True)
class Medium:
    """What a plane wave meets, at one frequency.

    Parameters
    ----------
    density_kg_m3 : float
        Density.
    speed_m_s : float
        Of the longitudinal wave.
    attenuation_np_m : float
        Amplitude coefficient of it, at the frequency in use.
    shear_speed_m_s : float
        0 for a fluid.
    shear_attenuation_np_m : float
        Amplitude coefficient of the shear wave.

    Raises
    ------
    InputError
        If a number is not finite, not positive where it must be, or the solid would be unstable.
    """

    density_kg_m3: float
    speed_m_s: float
    attenuation_np_m: float = 0.0
    shear_speed_m_s: float = 0.0
    shear_attenuation_np_m: float = 0.0

    def __post_init__(self) -> None:
        numbers = (
            self.density_kg_m3,
            self.speed_m_s,
            self.attenuation_np_m,
            self.shear_speed_m_s,
            self.shear_attenuation_np_m,
        )
        if not all(math.isfinite(x) and x >= 0 for x in numbers) or not (self.density_kg_m3 > 0 and self.speed_m_s > 0):
            raise InputError(
                f"A medium has the numbers {', '.join(f'{x:g}' for x in numbers)}.",
                "Density and speed must be above 0, the others at least 0, and all finite; no wave can be followed otherwise.",
                "Correct density [kg/m3], speed [m/s], attenuation [Np/m], shear speed [m/s] or shear attenuation [Np/m].",
            )
        if self.shear_speed_m_s >= self.speed_m_s * math.sqrt(0.75):
            raise InputError(
                f"A solid has the speeds {self.speed_m_s:g} m/s and, of shear, {self.shear_speed_m_s:g} m/s.",
                "Above 0.866 of the longitudinal speed its bulk modulus would be negative.",
                "Check the two speeds; shear in bone is about half as fast.",
            )

    @property
    def solid(self) -> bool:
        """Whether it carries shear."""
        return self.shear_speed_m_s > 0

    @property
    def as_fluid(self) -> Medium:
        """The same without shear."""
        return Medium(self.density_kg_m3, self.speed_m_s, self.attenuation_np_m)

    def wavenumber(self, frequency_hz: float) -> complex:
        r"""Return :math:`\omega/c + i\alpha` [1/m] of the longitudinal wave."""
        return complex(2 * math.pi * frequency_hz / self.speed_m_s, self.attenuation_np_m)

    def shear_wavenumber(self, frequency_hz: float) -> complex:
        """Return the same of the shear wave; 0 in a fluid."""
        if not self.solid:
            return 0j
        return complex(2 * math.pi * frequency_hz / self.shear_speed_m_s, self.shear_attenuation_np_m)


@dataclass(frozen=True)
class Layer:
    """A flat layer: its medium and its thickness [m]."""

    medium: Medium
    thickness_m: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.thickness_m) and self.thickness_m > 0):
            raise InputError(
                f"A layer is {self.thickness_m:g} m thick.",
                "A layer without thickness is an interface, and one without end a half-space.",
                "Leave the layer out, or give a thickness above 0.",
            )


@dataclass(frozen=True, eq=False)
class Response:
    r"""What a stack answers to a plane wave of unit pressure, per transverse wavenumber (n of them).

    Amplitudes are of :math:`\rho\omega^2` times the potential: of a wave in a fluid, its pressure. Shares are of the incident
    power through the first face; they are NaN where the incident wave is itself evanescent.

    Parameters
    ----------
    transverse_per_m : ndarray, shape (n,)
        Transverse wavenumber.
    reflected : ndarray of complex, shape (n,)
        Pressure reflected into the first medium, at the first face.
    transmitted, transmitted_shear : ndarray of complex, shape (n,)
        Below the last face.
    entering, reflected_share, transmitted_share, transmitted_shear_share : ndarray, shape (n,)
        Shares of power. In a last medium with loss or beyond the critical angle the two last ones do not add up to what goes on:
        longitudinal and shear waves then share power that belongs to neither.
    absorbed_share : ndarray, shape (layers, n)
        What stays in each layer.
    residual : float
        Largest relative residual of the linear solves.
    """

    transverse_per_m: Array
    reflected: Array
    transmitted: Array
    transmitted_shear: Array
    entering: Array
    reflected_share: Array
    transmitted_share: Array
    transmitted_shear_share: Array
    absorbed_share: Array
    residual: float
    stack: Stack
    amplitudes: tuple[Array, ...]

    def state(self, layer: int, depth_m: Array) -> tuple[Array, Array]:
        """Return displacement and stress inside a layer, or below the last face (``layer`` = number of layers).

        Parameters
        ----------
        layer : int
            Counted from 0.
        depth_m : ndarray, shape (m,)
            From its upper face.

        Returns
        -------
        tuple of ndarray
            Displacement (x, z) and stress (xx, xz, zz, yy), shapes (2, n, m) and (4, n, m), for 1 Pa.
        """
        from osteon.physics.acoustic_states import inside

        return inside(self, layer, np.asarray(depth_m, float))

    def heat_w_m3(self, layer: int, depth_m: Array) -> Array:
        """Return the power turned into heat [W/m³] for an incident amplitude of 1 Pa, shape (n, m): stress times strain rate."""
        from osteon.physics.acoustic_states import heat

        return heat(self, layer, np.asarray(depth_m, float))


@dataclass(frozen=True)
class Stack:
    """A first half-space of fluid, layers, and a last half-space.

    Parameters
    ----------
    first : Medium
        A fluid; where the wave comes from.
    layers : sequence of Layer
        In the order the wave meets them; may be empty.
    last : Medium
        Fluid or solid.
    frequency_hz : float
        Frequency.

    Raises
    ------
    InputError
        If the first medium is a solid, or the frequency is not between 0 and 100 MHz.
    """

    first: Medium
    layers: Sequence[Layer]
    last: Medium
    frequency_hz: float

    def __post_init__(self) -> None:
        if self.first.solid:
            raise InputError(
                f"The wave would come from a solid (shear speed {self.first.shear_speed_m_s:g} m/s).",
                "The incident wave here is one of pressure, in a fluid.",
                "Begin the stack with the fluid or soft tissue in front.",
            )
        if not (math.isfinite(self.frequency_hz) and 0 < self.frequency_hz <= HIGHEST_HZ):
            raise InputError(
                f"The frequency is {self.frequency_hz:g} Hz.",
                "Waves need a frequency above 0, and tissue is no continuum above 100 MHz.",
                "Give the frequency in Hz, for example 1e6.",
            )

    @property
    def media(self) -> tuple[Medium, ...]:
        """All media, from first to last."""
        return (self.first, *(layer.medium for layer in self.layers), self.last)

    def transverse_per_m(self, angle_deg: Array) -> Array:
        """Return the transverse wavenumber [1/m] of angles of incidence [deg]."""
        k = 2 * math.pi * self.frequency_hz / self.first.speed_m_s
        return np.asarray(k * np.sin(np.radians(np.asarray(angle_deg, float))))


def vertical(k: complex, xi: Array) -> Array:
    r"""Return :math:`k_z = \sqrt{k^2 - \xi^2}` with Im at least 0 [1/m].

    Parameters
    ----------
    k : complex
        Wavenumber [1/m].
    xi : ndarray
        Transverse wavenumber [1/m].
    """
    root = np.sqrt(k * k - np.asarray(xi, complex) ** 2)
    return np.asarray(np.where(root.imag < 0, -root, root))


def waves(medium: Medium, frequency_hz: float, xi: Array) -> tuple[Array, Array]:
    r"""Return what the waves of a medium carry across a face, and how they go on in depth.

    Parameters
    ----------
    medium : Medium
        Fluid: two waves (longitudinal down, up). Solid: four (longitudinal down, shear down, longitudinal up, shear up).
    frequency_hz : float
        Frequency.
    xi : ndarray, shape (n,)
        Transverse wavenumber [1/m].

    Returns
    -------
    tuple of ndarray
        State, shape (4, waves, n), rows :math:`\rho\omega^2 u_z` [Pa/m], :math:`\rho\omega^2 u_x`, :math:`\sigma_{zz}` [Pa] and
        :math:`\sigma_{xz}` per unit amplitude, and :math:`k_z` [1/m], shape (waves, n), of the down direction.
    """
    l = vertical(medium.wavenumber(frequency_hz), xi)  # noqa: E741
    if not medium.solid:
        one, zero = np.ones_like(l), np.zeros_like(l)
        down, up = np.stack([1j * l, 1j * xi, -one, zero]), np.stack([-1j * l, 1j * xi, -one, zero])
        return np.stack([down, up], axis=1), np.stack([l, l])
    k_s = medium.shear_wavenumber(frequency_hz)
    s = vertical(k_s, xi)
    bent = 1.0 - 2.0 * xi**2 / k_s**2  # cos(2 gamma), gamma the angle of shear
    columns = []
    for sign in (1.0, -1.0):
        columns.append(np.stack([sign * 1j * l, 1j * xi + 0 * l, -bent, -sign * 2 * xi * l / k_s**2]))
        columns.append(np.stack([1j * xi + 0 * s, -sign * 1j * s, -sign * 2 * xi * s / k_s**2, bent]))
    return np.stack(columns, axis=1), np.stack([l, s, l, s])


def solve(stack: Stack, transverse_per_m: Array) -> Response:
    """Return what a stack does to plane waves, exactly.

    Parameters
    ----------
    stack : Stack
        Half-spaces, layers, frequency.
    transverse_per_m : ndarray, shape (n,)
        Transverse wavenumber [1/m]; ``stack.transverse_per_m(angle_deg)`` gives it. Larger than that of the first medium:
        evanescent.

    Returns
    -------
    Response
        Amplitudes and shares of power.

    Raises
    ------
    InputError
        If a wavenumber is not finite or negative.
    NumericalError
        If the equations could not be solved.

    Examples
    --------
    >>> muscle, bone = Medium(1090.0, 1575.0), Medium(1850.0, 2800.0, shear_speed_m_s=1550.0)
    >>> stack = Stack(muscle, (), bone, 1e6)
    >>> found = solve(stack, stack.transverse_per_m(np.array([0.0, 40.0])))
    >>> [round(100 * float(x), 1) for x in found.entering]
    [74.8, 94.5]
    """
    xi = np.asarray(transverse_per_m, float)
    if xi.ndim != 1 or not np.isfinite(xi).all() or (xi < 0).any():
        raise InputError(
            f"The transverse wavenumbers have shape {xi.shape} and the least and largest are not all finite and at least 0.",
            "Each asks for one plane wave.",
            "Give a list of angles from 0 to below 90 degrees, or wavenumbers in 1/m.",
        )
    from osteon.physics.acoustic_states import assemble, shares

    matrix, right, places = assemble(stack, xi)
    try:
        found = np.linalg.solve(matrix, right[..., None])[..., 0]
    except np.linalg.LinAlgError as error:
        raise NumericalError(
            "The equations of the layers are singular at a wavenumber.",
            "A wave that runs along the layers without loss has no finite answer there.",
            "Give the layers their attenuation, or leave that angle out.",
        ) from error
    gap = np.linalg.norm(np.einsum("nij,nj->ni", matrix, found) - right, axis=1) / np.linalg.norm(right, axis=1)
    if not np.isfinite(found).all():
        raise NumericalError(
            "The waves in the layers are not finite.",
            "Neither heat nor pressure can be computed from them.",
            "Check speeds, densities and thicknesses.",
        )
    amplitudes = tuple(found[:, place].T for place in places)
    return shares(stack, xi, amplitudes, float(gap.max(initial=0.0)))
