r"""Sources of ultrasound: bowls, discs and arrays of elements as weighted points, and their field by the Rayleigh sum.

.. math:: p(r) = -\frac{i k\rho c}{2\pi}\int v\,\frac{e^{ikd}}{d}\,dA

(time goes as :math:`e^{-i\omega t}`). Rayleigh's integral is exact for a flat source in a rigid baffle; for a shallow bowl,
wide beside the wavelength, it holds to a few tenths of a percent (O'Neil 1949). The frame of a device: vertex at the origin,
z along the beam, in metres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from osteon.errors import InputError
from osteon.physics.acoustic_layers import HIGHEST_HZ, Medium

Array = np.ndarray[Any, np.dtype[Any]]
GOLDEN_RAD = math.pi * (3.0 - math.sqrt(5.0))


@dataclass(frozen=True, eq=False)
class Source:
    """A radiating surface cut into points.

    Parameters
    ----------
    points_m : ndarray, shape (n, 3)
        (x, y, z) of the middle of each piece.
    areas_m2 : ndarray, shape (n,)
        Its area.
    element : ndarray of int, shape (n,)
        To which element of the device it belongs, counted from 0.

    Raises
    ------
    InputError
        If shapes differ or a number is not finite.
    """

    points_m: Array
    areas_m2: Array
    element: Array

    def __post_init__(self) -> None:
        n = len(self.points_m)
        alike = self.points_m.shape == (n, 3) and self.areas_m2.shape == (n,) and self.element.shape == (n,)
        if not (n and alike and np.isfinite(self.points_m).all() and np.isfinite(self.areas_m2).all()):
            raise InputError(
                f"A source has points of shape {self.points_m.shape}, areas of shape {self.areas_m2.shape}, or not all finite.",
                "Each piece needs a place and an area.",
                "Build sources with bowl, disc or array of osteon.physics.acoustic_sources.",
            )

    @property
    def elements(self) -> int:
        """How many elements the device has."""
        return int(self.element.max()) + 1

    @property
    def element_areas_m2(self) -> Array:
        """Area of each element, shape (elements,)."""
        return np.bincount(self.element, self.areas_m2, self.elements)

    @property
    def centres_m(self) -> Array:
        """Middle of each element, shape (elements, 3)."""
        sums = [np.bincount(self.element, self.areas_m2 * self.points_m[:, i], self.elements) for i in range(3)]
        return np.stack(sums, axis=1) / self.element_areas_m2[:, None]


def _cells(edges: Array, radii: Array, ring_areas: Array, step_m: float) -> tuple[Array, Array, Array]:
    """Return ring number, angle and area of cells about ``step_m`` wide, ring by ring; rings are turned against each other."""
    ring, angle, area = [], [], []
    for i in range(len(edges) - 1):
        count = max(6, math.ceil(2 * math.pi * float(radii[i]) / step_m))
        ring.append(np.full(count, i))
        angle.append(2 * math.pi * (np.arange(count) + 0.5) / count + i * GOLDEN_RAD)
        area.append(np.full(count, ring_areas[i] / count))
    return np.concatenate(ring), np.concatenate(angle), np.concatenate(area)


def bowl(radius_m: float, aperture_m: float, step_m: float, hole_m: float = 0.0) -> Source:
    """Return a spherical bowl of one element; its centre of curvature is at (0, 0, radius).

    Parameters
    ----------
    radius_m : float
        Radius of curvature.
    aperture_m : float
        Diameter of the rim, at most twice the radius.
    step_m : float
        Size of a cell; an eighth of the wavelength gives the axis within 0.1 % a few wavelengths away.
    hole_m : float
        Diameter of a central opening.

    Raises
    ------
    InputError
        If a length is not positive or the rim does not lie on the sphere.
    """
    _check(radius_m=radius_m, aperture_m=aperture_m, step_m=step_m)
    if not (0 <= hole_m < aperture_m <= 2 * radius_m):
        raise InputError(
            f"A bowl of radius {radius_m:g} m has an aperture of {aperture_m:g} m and an opening of {hole_m:g} m.",
            "The rim must lie on the sphere, and the opening inside the rim.",
            "Give diameters: opening below aperture, aperture at most twice the radius.",
        )
    begin, end = math.asin(hole_m / 2 / radius_m), math.asin(aperture_m / 2 / radius_m)
    edges = np.linspace(begin, end, max(1, math.ceil(radius_m * (end - begin) / step_m)) + 1)
    middle = (edges[:-1] + edges[1:]) / 2
    areas = 2 * math.pi * radius_m**2 * (np.cos(edges[:-1]) - np.cos(edges[1:]))
    ring, angle, area = _cells(edges, radius_m * np.sin(middle), areas, step_m)
    theta = middle[ring]
    points = radius_m * np.stack(
        [np.sin(theta) * np.cos(angle), np.sin(theta) * np.sin(angle), 2 * np.sin(theta / 2) ** 2], axis=1
    )
    return Source(points, area, np.zeros(len(area), int))


def disc(diameter_m: float, step_m: float) -> Source:
    """Return a flat disc of one element at z = 0; ``step_m`` as for ``bowl``, half of it a wavelength from the face.

    Raises
    ------
    InputError
        If a length is not positive.
    """
    _check(diameter_m=diameter_m, step_m=step_m)
    points, area = _disc_points(diameter_m / 2, step_m)
    return Source(points, area, np.zeros(len(area), int))


def _disc_points(radius_m: float, step_m: float) -> tuple[Array, Array]:
    """Return points (n, 3) and areas of a disc at z = 0."""
    edges = np.linspace(0, radius_m, max(1, math.ceil(radius_m / step_m)) + 1)
    middle = (edges[:-1] + edges[1:]) / 2
    ring, angle, area = _cells(edges, middle, math.pi * (edges[1:] ** 2 - edges[:-1] ** 2), step_m)
    r = middle[ring]
    return np.stack([r * np.cos(angle), r * np.sin(angle), np.zeros(len(r))], axis=1), area


def array(centres_m: Array, normals: Array, element_radius_m: float, step_m: float) -> Source:
    """Return an array of flat round elements.

    Parameters
    ----------
    centres_m : ndarray, shape (n, 3)
        Middle of each element.
    normals : ndarray, shape (n, 3)
        Where each one looks; any length above 0.
    element_radius_m : float
        Radius of each.
    step_m : float
        Size of a cell.

    Raises
    ------
    InputError
        If shapes differ, a length is not positive, or a direction has none.
    """
    _check(element_radius_m=element_radius_m, step_m=step_m)
    centres, normals = np.asarray(centres_m, float), np.asarray(normals, float)
    length = np.linalg.norm(normals, axis=-1)
    if centres.ndim != 2 or centres.shape[1] != 3 or centres.shape != normals.shape or not (length > 0).all():
        raise InputError(
            f"An array has centres of shape {centres.shape} and directions of shape {normals.shape}.",
            "Each element needs a place and a direction of three numbers.",
            "Give both as (n, 3) in metres; directions must not be zero.",
        )
    w = normals / length[:, None]
    helper = np.where(np.abs(w[:, :1]) < 0.9, np.array([[1.0, 0, 0]]), np.array([[0, 1.0, 0]]))
    u = np.cross(w, helper)
    u /= np.linalg.norm(u, axis=1)[:, None]
    v = np.cross(w, u)
    local, area = _disc_points(element_radius_m, step_m)
    points = centres[:, None] + local[None, :, :1] * u[:, None] + local[None, :, 1:2] * v[:, None]
    n = len(centres)
    return Source(points.reshape(-1, 3), np.tile(area, n), np.repeat(np.arange(n), len(area)))


def spiral_centres(count: int, radius_m: float, aperture_m: float, hole_m: float = 0.0) -> Array:
    """Return places of elements on a spherical cap along a golden spiral of equal areas, shape (count, 3).

    What stands in for an element list that nobody published: deterministic, no two elements alike, no rings.

    Parameters
    ----------
    count : int
        Elements.
    radius_m, aperture_m, hole_m : float
        As for ``bowl``; the rim is where the outermost centre comes to lie within half a share of area.

    Raises
    ------
    InputError
        If there is no element, or the rim does not lie on the sphere.
    """
    _check(count=count, radius_m=radius_m, aperture_m=aperture_m)
    if not (0 <= hole_m < aperture_m <= 2 * radius_m):
        raise InputError(
            f"A cap of radius {radius_m:g} m has an aperture of {aperture_m:g} m and an opening of {hole_m:g} m.",
            "The rim must lie on the sphere, and the opening inside the rim.",
            "Give diameters: opening below aperture, aperture at most twice the radius.",
        )
    top, bottom = (1 - math.sqrt(1 - (d / 2 / radius_m) ** 2) for d in (hole_m, aperture_m))
    order = np.arange(count)
    rise = top + (bottom - top) * (order + 0.5) / count  # 1 - cos(theta): equal steps are equal areas
    across = np.sqrt(rise * (2 - rise))
    turn = order * GOLDEN_RAD
    return radius_m * np.stack([across * np.cos(turn), across * np.sin(turn), rise], axis=1)


def focus_drive(source: Source, focus_m: Array, frequency_hz: float, speed_m_s: float, on: Array | None = None) -> Array:
    """Return the drive that lets all elements arrive together at a point, by time of flight.

    Parameters
    ----------
    source : Source
        The device.
    focus_m : ndarray, shape (3,)
        Where.
    frequency_hz, speed_m_s : float
        Frequency, and speed of sound on the way.
    on : ndarray of bool, shape (elements,), optional
        Elements that may radiate; the others are switched off.

    Returns
    -------
    ndarray of complex, shape (elements,)
        Of amplitude 1; 0 where switched off.

    Raises
    ------
    InputError
        If the point is not finite, a number is not positive, or no element is left.
    """
    _check(frequency_hz=frequency_hz, speed_m_s=speed_m_s)
    focus = np.asarray(focus_m, float)
    if focus.shape != (3,) or not np.isfinite(focus).all():
        raise InputError(
            f"The focus is {focus_m!r}.", "A beam needs one point.", "Give x, y, z in metres in the frame of the device."
        )
    distance = np.linalg.norm(source.centres_m - focus, axis=1)
    drive = np.exp(-2j * math.pi * np.mod(distance * frequency_hz / speed_m_s, 1.0))
    if on is None:
        return np.asarray(drive)
    if not np.asarray(on).any():
        raise InputError(
            "No element of the array sees the target.",
            "All are blocked, so that there is nothing to radiate.",
            "Move or turn the device, or choose another way in.",
        )
    return np.asarray(np.where(on, drive, 0.0))


def field(
    source: Source,
    velocity_m_s: Array | complex,
    targets_m: Array,
    frequency_hz: float,
    *,
    density_kg_m3: float,
    speed_m_s: float,
    attenuation_np_m: float = 0.0,
) -> Array:
    r"""Return the pressure [Pa] of a source in uniform fluid by the Rayleigh sum.

    .. math:: p(r) = -\frac{i k\rho c}{2\pi}\sum_s v_s A_s\frac{e^{ikd}}{d}

    Parameters
    ----------
    source : Source
        Points with areas.
    velocity_m_s : complex or ndarray of complex, shape (elements,)
        Normal velocity of each element; p0 / (rho c) for a face pressure p0.
    targets_m : ndarray, shape (..., 3)
        Where; none on the source.
    frequency_hz : float
        Frequency.
    density_kg_m3, speed_m_s, attenuation_np_m : float
        Of the fluid, attenuation at the frequency.

    Returns
    -------
    ndarray of complex
        Shape of the targets without the last axis.

    Raises
    ------
    InputError
        If shapes do not fit, a number is not finite or positive, the frequency is absurd, or a target lies on the source.

    Examples
    --------
    >>> at = np.array([[0.0, 0.0, 0.064]])
    >>> p = field(bowl(0.064, 0.064, 4e-4), 0.04, at, 5e5, density_kg_m3=1000.0, speed_m_s=1500.0)
    >>> round(float(abs(p[0])) / 1e3, 0)
    1077.0
    """
    _check(frequency_hz=frequency_hz, density_kg_m3=density_kg_m3, speed_m_s=speed_m_s)
    velocity = (
        np.broadcast_to(np.asarray(velocity_m_s, complex), (source.elements,)) if np.ndim(velocity_m_s) == 0 else velocity_m_s
    )
    velocity, targets = np.asarray(velocity, complex), np.asarray(targets_m, float)
    fits = velocity.shape == (source.elements,) and targets.shape[-1:] == (3,)
    if not (fits and np.isfinite(velocity).all() and np.isfinite(targets).all()) or not 0 <= attenuation_np_m < math.inf:
        raise InputError(
            f"Velocities of shape {velocity.shape} for {source.elements} elements, targets of shape {targets.shape}, "
            f"attenuation {attenuation_np_m:g} Np/m: they do not fit, or not all are finite.",
            "Each element needs one velocity, and each target three coordinates.",
            "Give one number for all elements or one for each; targets as (..., 3) in metres.",
        )
    from osteon.physics.acoustic_kernels import rayleigh

    k = 2 * math.pi * frequency_hz / speed_m_s
    weight = velocity[source.element] * source.areas_m2
    live = weight != 0
    points = np.ascontiguousarray(source.points_m[live].T)
    parts = (np.ascontiguousarray(weight.real[live]), np.ascontiguousarray(weight.imag[live]))
    summed = rayleigh(np.ascontiguousarray(targets.reshape(-1, 3)), points, *parts, k, float(attenuation_np_m))
    pressure = -1j * k * density_kg_m3 * speed_m_s / (2 * math.pi) * (summed[:, 0] + 1j * summed[:, 1])
    if not np.isfinite(pressure).all():
        raise InputError(
            "A target lies on the source.",
            "The pressure of a point source has no value at itself.",
            "Keep targets at least one cell away from the source.",
        )
    return np.asarray(pressure.reshape(targets.shape[:-1]))


def plane_power_w(plane_pa: Array, medium: Medium, frequency_hz: float, spacing_m: float) -> float:
    r"""Return the power [W] that a plane of pressure carries on, :math:`\sum |\hat p|^2 \mathrm{Re} k_z / 2\omega\rho`.

    Parameters
    ----------
    plane_pa : ndarray of complex, shape (y, x)
        Waves that all run one way.
    medium : Medium
        Round it.
    frequency_hz, spacing_m : float
        Frequency and distance of the columns.
    """
    ky, kx = (2 * math.pi * np.fft.fftfreq(n, spacing_m) for n in plane_pa.shape)
    k = 2 * math.pi * frequency_hz / medium.speed_m_s
    k_z = np.sqrt(np.maximum(k**2 - ky[:, None] ** 2 - kx**2, 0.0))
    spectrum = np.abs(np.fft.fft2(plane_pa)) ** 2
    return float((spectrum * k_z).sum() / (4 * math.pi * frequency_hz * medium.density_kg_m3) * spacing_m**2 / plane_pa.size)


def _check(**numbers: float) -> None:
    """Refuse what is not finite and above 0, and an absurd frequency."""
    for name, number in numbers.items():
        if not (math.isfinite(number) and number > 0):
            raise InputError(
                f"{name} is {number:g}.",
                "A source needs lengths, speeds and a frequency above 0.",
                f"Give a finite {name} above 0.",
            )
    if numbers.get("frequency_hz", 1.0) > HIGHEST_HZ:
        raise InputError(
            f"The frequency is {numbers['frequency_hz']:g} Hz.",
            "Tissue is no continuum above 100 MHz.",
            "Give the frequency in Hz, for example 1e6.",
        )
