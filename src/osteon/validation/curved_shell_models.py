r"""A shell of bone in water and a beam on it: voxels, the wave that enters, and the angle at which it meets the bone.

The shell is a cylinder along y, or a flat plate where its radius is endless. Places count from the apex of the outer face, x
across, z down into the bone. The beam has the width of a Gaussian where its axis meets the outer face; it is kept as plane waves,

.. math:: p = p_0 \sum_j a_j e^{i\mathbf{k}_j\cdot(\mathbf{r} - \mathbf{r}_0)},\qquad a_j \propto e^{-|\mathbf{q}_j|^2 w^2/4},

with :math:`\mathbf{q}` the part of the wave vector across the beam, so that it satisfies the wave equation exactly, and exact
solutions may take it apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from osteon.physics.acoustic_layers import Medium
from osteon.physics.acoustic_wave import Entry
from osteon.physics.acoustic_wave_media import Media, blend

Array = np.ndarray[Any, np.dtype[Any]]
Range = tuple[float, float]
WATER = Medium(1000.0, 1500.0)
CORTICAL = Medium(
    1850.0, 2800.0, 46.04, 1550.0, 138.1
)  # as validation/slab.py: ITRUSST's cortical bone at 500 kHz with BabelBrain's shear, 4 and 12 dB/cm
NAMES = ("density_kg_m3", "speed_m_s", "attenuation_np_m", "shear_speed_m_s", "shear_attenuation_np_m")
PRESSURE_PA = 1e5
REPEAT_M = 0.25  # the plane waves of a beam lie so close that it comes back only so far aside: more than two radii
WIDEST = 7.0  # across the beam, plane waves up to this number over its radius: the amplitudes that are left out are below 1e-5
PARTS = 8  # of a voxel along each axis, to find how much of it is bone


@dataclass(frozen=True)
class Beam:
    """A beam of Gaussian width.

    Parameters
    ----------
    radius_m : float
        At which the pressure is 1/e, where the axis meets the face.
    place_deg : float
        Where that is: the angle of the shell's normal there to the z axis (on a flat plate: 0).
    tilt_deg : float
        Of the axis to the z axis, towards +x. Angle of incidence of the axis: place + tilt.
    """

    radius_m: float
    place_deg: float
    tilt_deg: float = 0.0


@dataclass(frozen=True)
class Scene:
    """A shell, a beam, and the box of voxels.

    Parameters
    ----------
    points : float
        Voxels in a wavelength in water.
    beam : Beam
        The beam.
    radius_m, thickness_m : float
        Of the outer face (``inf``: flat), and of the shell.
    z_m, x_m : tuple of float
        Ends of the box from the apex of the outer face.
    half_y_m : float
        Half of the box along y, and the beam is then narrow along y too; 0: one cell that repeats, and a beam endless along y.
    frequency_hz : float
        Frequency.
    outside, bone : Medium
        What the shell is in, inside and out, and what it is of.
    """

    points: float
    beam: Beam
    radius_m: float
    thickness_m: float
    z_m: Range
    x_m: Range
    half_y_m: float = 0.0
    frequency_hz: float = 0.5e6
    outside: Medium = WATER
    bone: Medium = CORTICAL

    @property
    def spacing_m(self) -> float:
        """Edge of a voxel."""
        return self.outside.speed_m_s / (self.frequency_hz * self.points)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        h = self.spacing_m
        return (
            round((self.z_m[1] - self.z_m[0]) / h),
            max(1, 2 * round(self.half_y_m / h)),
            round((self.x_m[1] - self.x_m[0]) / h),
        )

    def centres(self) -> tuple[Array, Array, Array]:
        """Return z, y, x of the voxels' centres [m]."""
        nz, ny, nx = self.shape
        h = self.spacing_m
        z, x = (start + (np.arange(n) + 0.5) * h for start, n in ((self.z_m[0], nz), (self.x_m[0], nx)))
        return z, (np.arange(ny) - 0.5 * (ny - 1)) * h, x

    def inside(self, z: Array, x: Array) -> Array:
        """Return whether places lie in the bone."""
        if math.isinf(self.radius_m):
            return np.asarray((z >= 0) & (z < self.thickness_m) & np.isfinite(x))
        r = np.hypot(x, z - self.radius_m)
        return np.asarray((r <= self.radius_m) & (r > self.radius_m - self.thickness_m))

    def labels(self) -> Array:
        """Return 1 where a voxel's centre lies in bone, else 0; shape (z, y, x)."""
        z, y, x = self.centres()
        flat = self.inside(z[:, None], x[None, :]).astype(np.int16)
        return np.ascontiguousarray(np.broadcast_to(flat[:, None, :], (len(z), len(y), len(x))))

    def shares(self) -> Array:
        """Return how much of each voxel is bone, shape (z, 1, x)."""
        z, _, x = self.centres()
        aside = ((np.arange(PARTS) + 0.5) / PARTS - 0.5) * self.spacing_m
        fine = self.inside((z[:, None] + aside).reshape(-1, 1), (x[:, None] + aside).reshape(1, -1))
        return np.asarray(fine.reshape(len(z), PARTS, len(x), PARTS).mean(axis=(1, 3))[:, None, :])

    def media(self) -> tuple[Medium, Medium]:
        """Return what the labels mean."""
        return self.outside, self.bone

    def voxels(self, blended: bool = True) -> Media:
        """Return the box for the full wave: each voxel a mixture by volume, or, if not ``blended``, by its centre."""
        nz, ny, nx = self.shape
        labels = self.labels()[:, :1, :]
        if blended:
            share = self.shares()
            kinds = [
                Media(**{name: np.full((nz, 1, nx), getattr(medium, name)) for name in NAMES}, spacing_m=self.spacing_m)
                for medium in self.media()
            ]
            found = blend([(1 - share, kinds[0]), (share, kinds[1])], self.frequency_hz).fields()
        else:
            found = {name: np.array([getattr(medium, name) for medium in self.media()])[labels] for name in NAMES}
        wide = {name: np.ascontiguousarray(np.broadcast_to(field, (nz, ny, nx))) for name, field in found.items()}
        return Media(**wide, spacing_m=self.spacing_m)

    def waves(self) -> tuple[Array, Array]:
        """Return the plane waves of the beam: wave vectors (z, y, x) [1/m], shape (3, m, n), and amplitudes [Pa], shape (m, n).

        m differ along y (1 if the beam is endless), n in the plane of z and x.
        """
        k = 2 * math.pi * self.frequency_hz / self.outside.speed_m_s
        apart, w = 2 * math.pi / REPEAT_M, self.beam.radius_m
        many = math.floor(min(WIDEST / w, k) / apart)
        across = apart * np.arange(-many, many + 1)
        along = across if self.half_y_m > 0 else np.zeros(1)
        q_y, q = np.meshgrid(along, across, indexing="ij")
        forward, tilt = np.sqrt(np.maximum(k**2 - q**2 - q_y**2, 0.0)), math.radians(self.beam.tilt_deg)
        vectors = np.stack(
            [forward * math.cos(tilt) - q * math.sin(tilt), q_y, forward * math.sin(tilt) + q * math.cos(tilt)],
        )
        sizes = np.exp(-(q**2 + q_y**2) * w**2 / 4)
        scale = PRESSURE_PA / sizes.sum()
        return vectors, scale * np.where((forward > 0) & (vectors[0] > 0), sizes, 0.0)  # what comes from below never enters

    def met(self) -> tuple[float, float]:
        """Return z and x of the point where the beam's axis meets the outer face."""
        if math.isinf(self.radius_m):
            return 0.0, 0.0
        place = math.radians(self.beam.place_deg)
        return self.radius_m * (1 - math.cos(place)), self.radius_m * math.sin(place)

    def field(self, z: Array, x: Array, y: Array) -> tuple[Array, Array]:
        """Return the beam without bone, at n points of the plane of z and x and m of y.

        Pressure [Pa], shape (m, n), and its gradient (z, y, x) [Pa/m], shape (3, m, n).
        """
        vectors, sizes = self.waves()
        z_0, x_0 = self.met()
        sums = np.zeros((4, len(sizes), z.size), complex)
        for i, (k_z, k_y, k_x) in enumerate(np.moveaxis(vectors, 1, 0)):
            turns = np.exp(1j * (np.outer(k_z, z - z_0) + np.outer(k_x, x - x_0)))
            sums[:, i] = np.stack([sizes[i], 1j * k_z * sizes[i], 1j * k_y * sizes[i], 1j * k_x * sizes[i]]) @ turns
        found = np.exp(1j * np.outer(y, vectors[1, :, 0])) @ sums
        return found[0], found[1:]

    def entering(self, z_m: float) -> Array:
        """Return the pressure of the beam on the voxels' columns at a depth [Pa], shape (y, x)."""
        _, y, x = self.centres()
        return self.field(np.full(x.size, z_m), x, y)[0]

    def entry(self) -> Entry:
        """Return the beam as the full wave takes it: at the centres of the first voxels."""
        return Entry(self.entering(self.z_m[0] + self.spacing_m / 2), self.frequency_hz)

    def incident_w(self) -> float:
        """Return the power that enters through the first face of the box [W], from pressure and velocity there."""
        _, y, x = self.centres()
        pressure, gradient = self.field(np.full(x.size, self.z_m[0]), x, y)
        return float(_intensity(pressure, gradient[0], self).sum()) * self.spacing_m**2


def _intensity(pressure: Array, gradient: Array, scene: Scene) -> Array:
    """Return the intensity [W/m²] along the direction of a gradient of pressure [Pa/m]."""
    omega = 2 * math.pi * scene.frequency_hz
    return np.asarray(0.5 * np.real(pressure * np.conj(gradient / (1j * omega * scene.outside.density_kg_m3))))


def incidence_deg(scene: Scene) -> tuple[float, float]:
    """Return mean and spread (standard deviation) of the angle at which the beam meets the outer face [deg], by power.

    At each point of the face within the box the angle is that of the beam's intensity there to the normal; its weight is the
    power that arrives. Where the intensity leaves the face (the far side) nothing counts.

    Parameters
    ----------
    scene : Scene
        Shell and beam.
    """
    _, y, x = scene.centres()
    if math.isinf(scene.radius_m):
        place = np.linspace(x[0], x[-1], 721)
        z, normal = np.zeros_like(place), np.stack([-np.ones_like(place), np.zeros_like(place)])
    else:
        turn = np.radians(np.linspace(-90.0, 90.0, 721))
        place, z = scene.radius_m * np.sin(turn), scene.radius_m * (1 - np.cos(turn))
        inside = (place > scene.x_m[0]) & (place < scene.x_m[1]) & (z < scene.z_m[1])
        place, z, normal = place[inside], z[inside], np.stack([-np.cos(turn), np.sin(turn)])[:, inside]
    pressure, gradient = scene.field(z, place, y)
    flow = np.stack([_intensity(pressure, part, scene) for part in gradient])
    arrives = -(flow[0] * normal[0] + flow[2] * normal[1])
    weight = np.where(arrives > 0, arrives, 0.0)
    angle = np.degrees(np.arccos(np.clip(arrives / np.maximum(np.linalg.norm(flow, axis=0), 1e-300), -1, 1)))
    mean = float(np.average(angle, weights=weight))
    return mean, math.sqrt(float(np.average((angle - mean) ** 2, weights=weight)))
