r"""What voxels are to a wave of one frequency, and mixtures of it inside a voxel.

Time goes as :math:`e^{-i\omega t}` and :math:`k = \omega/c + i\alpha`, so that :math:`M = \rho\omega^2/k_l^2`,
:math:`\mu = \rho\omega^2/k_s^2`, :math:`K = M - \tfrac43\mu` are complex numbers with an imaginary part of at most 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from osteon.errors import InputError
from osteon.physics.acoustic_layers import HIGHEST_HZ

Array = np.ndarray[Any, np.dtype[Any]]
PLANES = 16  # worked out at once
PASSIVE = 1e-6  # of the modulus: a gain below it is rounding


@dataclass(frozen=True, eq=False)
class Media:
    """Voxels of fluid and solid, their attenuation at the frequency in use.

    Parameters
    ----------
    density_kg_m3, speed_m_s, attenuation_np_m : ndarray, shape (z, y, x)
        Density, longitudinal speed, and amplitude coefficient. All of it
        counts as heat; where a part is scattered, multiply the heat by the absorbed share afterwards, or give absorption alone.
    spacing_m : float
        Edge of a voxel.
    shear_speed_m_s, shear_attenuation_np_m : ndarray, shape (z, y, x), or None
        0 in a fluid; None: all is fluid, which takes less memory and time.
    """

    density_kg_m3: Array
    speed_m_s: Array
    attenuation_np_m: Array
    spacing_m: float
    shear_speed_m_s: Array | None = None
    shear_attenuation_np_m: Array | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        nz, ny, nx = self.density_kg_m3.shape
        return nz, ny, nx

    @property
    def solid(self) -> bool:
        """Whether any voxel carries shear."""
        return self.shear_speed_m_s is not None and bool((self.shear_speed_m_s > 0).any())

    def fields(self) -> dict[str, Array]:
        """Return the fields that are given, by name."""
        names = ("density_kg_m3", "speed_m_s", "attenuation_np_m", "shear_speed_m_s", "shear_attenuation_np_m")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


def check_frequency(frequency_hz: float) -> None:
    """Check a frequency.

    Raises
    ------
    InputError
        If it is not above 0 and at most 100 MHz.
    """
    if not (math.isfinite(frequency_hz) and 0 < frequency_hz <= HIGHEST_HZ):
        raise InputError(
            f"The frequency is {frequency_hz:g} Hz.",
            "Waves need a frequency above 0, and tissue is no continuum above 100 MHz.",
            "Give the frequency in Hz, for example 1e6.",
        )


def check_media(media: Media, frequency_hz: float) -> None:
    """Check that voxels can carry a wave of this frequency.

    Raises
    ------
    InputError
        If the frequency is absurd, shapes differ, a number is not finite or has the wrong sign, or a solid gives or stores energy
        that it does not have: shear faster than 0.866 of the longitudinal speed, shear attenuated so much more that compression
        alone would gain.
    """
    check_frequency(frequency_hz)
    if not (math.isfinite(media.spacing_m) and media.spacing_m > 0):
        raise InputError(f"The voxels have an edge of {media.spacing_m:g} m.", "No step fits in it.", "Give the edge in metres.")
    for name, values in media.fields().items():
        if values.ndim != 3 or values.shape != media.density_kg_m3.shape or not values.size:
            raise InputError(
                f"{name} has the shape {values.shape}, the density {media.density_kg_m3.shape}.",
                "Each voxel needs every property.",
                "Give arrays [z, y, x] of one shape with at least one voxel.",
            )
        low = name in ("density_kg_m3", "speed_m_s")
        bad = ~np.isfinite(values) | (values < 0) | (low & (values <= 0))
        if bad.any():
            at = tuple(int(i) for i in np.argwhere(bad)[0])
            raise InputError(
                f"{int(bad.sum())} voxels have an unusable {name}; the first is {values[at]:g} at {at}.",
                "One such voxel spreads over the whole field within a few steps.",
                "Look at how the image became tissue there; density and speed must be above 0, the others at least 0.",
            )
    if media.shear_speed_m_s is not None:
        _check_solid(media, frequency_hz)


def _check_solid(media: Media, frequency_hz: float) -> None:
    shear = np.asarray(media.shear_speed_m_s)
    ratio = shear / media.speed_m_s
    if (ratio >= math.sqrt(0.75)).any():
        at = tuple(int(i) for i in np.argwhere(ratio >= math.sqrt(0.75))[0])
        raise InputError(
            f"The voxel {at} has the speeds {media.speed_m_s[at]:g} m/s and, of shear, {shear[at]:g} m/s.",
            "Above 0.866 of the longitudinal speed its bulk modulus would be negative.",
            "Check the two speeds; shear in bone is about half as fast.",
        )
    for planes, part in in_parts(media):
        bulk, _, whole = moduli(part, frequency_hz)
        gains = bulk.imag > PASSIVE * np.abs(whole)
        if gains.any():
            z, y, x = (int(i) for i in np.argwhere(gains)[0])
            at = (planes.start + z, y, x)
            lost = 0.0 if media.shear_attenuation_np_m is None else float(media.shear_attenuation_np_m[at])
            raise InputError(
                f"The voxel {at} attenuates shear by {lost:g} Np/m, longitudinal waves by only {media.attenuation_np_m[at]:g}.",
                "A longitudinal wave shears too: such a solid would gain energy when it is compressed, and the field would grow.",
                f"Lower the shear attenuation or raise the other, to at least {_least_attenuation(media, at):.3g} Np/m here.",
            )


def _least_attenuation(media: Media, at: tuple[int, ...]) -> float:
    """Return the longitudinal attenuation [Np/m] that the shear of a voxel alone would bring."""
    c_s, c_l = np.asarray(media.shear_speed_m_s)[at], media.speed_m_s[at]
    return float(4 / 3 * np.asarray(media.shear_attenuation_np_m)[at] * (c_s / c_l) ** 3)


def moduli(media: Media, frequency_hz: float) -> tuple[Array, Array, Array]:
    """Return the bulk, shear and longitudinal modulus [Pa] at a frequency, complex, each of shape (z, y, x)."""
    omega = 2 * math.pi * frequency_hz
    density = np.asarray(media.density_kg_m3, float)
    whole = density * omega**2 / (omega / np.asarray(media.speed_m_s, float) + 1j * media.attenuation_np_m) ** 2
    rigid = np.zeros_like(whole)
    if media.shear_speed_m_s is not None:
        solid = media.shear_speed_m_s > 0
        lost = 0.0 if media.shear_attenuation_np_m is None else media.shear_attenuation_np_m[solid]
        rigid[solid] = density[solid] * omega**2 / (omega / media.shear_speed_m_s[solid].astype(float) + 1j * lost) ** 2
    return whole - 4 / 3 * rigid, rigid, whole


def in_parts(media: Media) -> Iterator[tuple[slice, Media]]:
    """Yield some planes of a medium after the other, and where they lie: moduli are four times as wide as what they come from."""
    for z in range(0, media.shape[0], PLANES):
        planes = slice(z, min(z + PLANES, media.shape[0]))
        yield planes, Media(**{name: field[planes] for name, field in media.fields().items()}, spacing_m=media.spacing_m)


def blend(parts: Sequence[tuple[Array, Media]], frequency_hz: float) -> Media:
    r"""Return voxels that are mixtures: arithmetic density, harmonic bulk modulus, harmonic shear modulus of what is solid.

    A voxel carries shear if at least half of it is solid. Without any shear in it, a thin slipping film would lie on the bone: at
    an oblique angle the solver then passed 15 points too much through a plate of 6.5 mm (at 13 points per wavelength).

    Parameters
    ----------
    parts : sequence of (ndarray, Media)
        Share of the volume, shape (z, y, x), and what fills it; the shares of a voxel add up to 1.
    frequency_hz : float
        Frequency of the attenuations.

    Raises
    ------
    InputError
        If shares do not add up to 1.
    """
    shares = np.sum([np.asarray(share, float) for share, _ in parts], axis=0)
    if not np.allclose(shares, 1.0, atol=1e-6):
        raise InputError(
            f"The shares of a voxel add up to between {shares.min():g} and {shares.max():g}.",
            "A voxel holds neither more nor less than itself.",
            "Divide the shares by their sum.",
        )
    first = parts[0][1]
    density, share_solid = np.zeros(first.shape), np.zeros(first.shape)
    soft, yielding = np.zeros(first.shape, complex), np.zeros(first.shape, complex)
    for share, media in parts:
        bulk, rigid, _ = moduli(media, frequency_hz)
        density += share * media.density_kg_m3
        soft += share / bulk
        share_solid += np.where(rigid == 0, 0.0, share)
        yielding += np.where(rigid == 0, 0.0, share / np.where(rigid == 0, 1.0, rigid))
    fluid = share_solid < 0.5
    rigid = np.where(fluid, 0.0, share_solid / np.where(fluid, 1.0, yielding))
    omega = 2 * math.pi * frequency_hz
    k_l = omega * np.sqrt(density / (1.0 / soft + 4 / 3 * rigid))
    k_s = omega * np.sqrt(density / np.where(fluid, 1.0, rigid))
    return Media(
        density, omega / k_l.real, np.maximum(k_l.imag, 0.0), first.spacing_m,
        np.where(fluid, 0.0, omega / k_s.real), np.where(fluid, 0.0, np.maximum(k_s.imag, 0.0)),
    )  # fmt: skip
