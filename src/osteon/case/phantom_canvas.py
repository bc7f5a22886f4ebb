"""Drawing tissue on a CT grid: shapes as signed distances, edges with partial volume, texture, blur and noise."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

import numpy as np
from scipy import ndimage

from osteon.space.volume import Array, Grid, Volume

Point = tuple[float, float, float]
Distance = Callable[[Array, Array, Array], Array]
"""Signed distance [mm] at broadcastable LPS coordinates x, y, z; negative inside."""

Window = tuple[slice, slice, slice]


def capsule(start: Point, end: Point, radius: float) -> Distance:
    """Return the signed distance to a rod with round ends."""
    a, ab = np.array(start, np.float32), np.array(end, np.float32) - np.array(start, np.float32)
    squared = np.float32(max(float(ab @ ab), 1e-6))

    def distance(x: Array, y: Array, z: Array) -> Array:
        px, py, pz = x - a[0], y - a[1], z - a[2]
        along = np.clip((px * ab[0] + py * ab[1] + pz * ab[2]) / squared, 0, 1)
        gap = np.sqrt((px - along * ab[0]) ** 2 + (py - along * ab[1]) ** 2 + (pz - along * ab[2]) ** 2)
        return cast(Array, gap - np.float32(radius))

    return distance


def tube(points: list[Point], radius: float) -> Distance:
    """Return the signed distance to a polyline of rods."""
    return union(*[capsule(a, b, radius) for a, b in pairwise(points)])


def ellipsoid(centre: Point, radii: Point) -> Distance:
    """Return a first-order signed distance to an ellipsoid; an infinite radius makes a cylinder along that axis."""
    c, r = np.array(centre, np.float32), np.array(radii, np.float32)

    def distance(x: Array, y: Array, z: Array) -> Array:
        terms = [((p - ci) / ri) for p, ci, ri in zip((x, y, z), c, r, strict=True) if np.isfinite(ri)]
        finite = [ri for ri in r if np.isfinite(ri)]
        k0 = np.maximum(np.sqrt(sum(t * t for t in terms)), np.float32(1e-3))
        k1 = np.sqrt(sum((t / ri) ** 2 for t, ri in zip(terms, finite, strict=True)))
        return cast(Array, k0 * (k0 - 1) / np.maximum(k1, np.float32(1e-3 / max(finite))))

    return distance


def union(*parts: Distance) -> Distance:
    """Return the distance to the union of shapes."""

    def distance(x: Array, y: Array, z: Array) -> Array:
        out = parts[0](x, y, z)
        for part in parts[1:]:
            out = np.minimum(out, part(x, y, z))
        return out

    return distance


def blend(width: float, *parts: Distance) -> Distance:
    """Return the distance to the union of shapes with corners rounded over ``width`` mm."""

    def distance(x: Array, y: Array, z: Array) -> Array:
        out = parts[0](x, y, z)
        for part in parts[1:]:
            other = part(x, y, z)
            mix = np.maximum(width - np.abs(out - other), 0) / np.float32(width)
            out = np.minimum(out, other) - mix * mix * np.float32(width / 4)
        return out

    return distance


def both(*parts: Distance) -> Distance:
    """Return the distance to the intersection of shapes."""

    def distance(x: Array, y: Array, z: Array) -> Array:
        out = parts[0](x, y, z)
        for part in parts[1:]:
            out = np.maximum(out, part(x, y, z))
        return out

    return distance


def rounded(width: float, *parts: Array) -> Array:
    """Return the larger of several distances with the corners rounded over ``width`` mm."""
    out = parts[0]
    for other in parts[1:]:
        mix = np.maximum(width - np.abs(out - other), 0) / np.float32(width)
        out = np.maximum(out, other) + mix * mix * np.float32(width / 4)
    return out


def grown(part: Distance, by: float) -> Distance:
    """Return a shape grown by some mm, or shrunk where negative."""
    return lambda x, y, z: part(x, y, z) - np.float32(by)


def outside(part: Distance) -> Distance:
    """Return the complement of a shape."""
    return lambda x, y, z: -part(x, y, z)


@dataclass
class Canvas:
    """An image and an exclusive label map that shapes are painted on, later ones over earlier ones.

    Parameters
    ----------
    low, high : tuple of float
        Corner voxel centres of the field, LPS mm.
    spacing : float
        Isotropic voxel size [mm].
    name : str
        Seeds the noise together with ``seed``.
    seed : int
        Of the generator.
    """

    low: Point
    high: Point
    spacing: float
    name: str
    seed: int = 0
    labels: list[str] = field(default_factory=lambda: ["air"])

    def __post_init__(self) -> None:
        self.grid = Grid.box(np.array(self.low), np.array(self.high), self.spacing)
        nz, ny, nx = self.grid.shape
        self.hu = np.full(self.grid.shape, -1000, np.float32)
        self.label = np.zeros(self.grid.shape, np.uint8)
        self.axes = [
            (np.arange(n) * self.spacing + start).astype(np.float32) for n, start in zip((nx, ny, nz), self.low, strict=True)
        ]
        self.random = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(zlib.crc32(self.name.encode()),)))

    def window(self, low: Point, high: Point) -> tuple[Window, tuple[Array, Array, Array]]:
        """Return the slices (z, y, x) of a box and its coordinates x, y, z ready to broadcast."""
        x, y, z = (
            slice(int(np.searchsorted(axis, a)), int(np.searchsorted(axis, b, side="right")))
            for axis, a, b in zip(self.axes, low, high, strict=True)
        )
        coordinates = (self.axes[0][x][None, None, :], self.axes[1][y][None, :, None], self.axes[2][z][:, None, None])
        return (z, y, x), coordinates

    def number(self, name: str) -> int:
        """Return the label number of a structure, a new one where needed."""
        if name not in self.labels:
            self.labels.append(name)
        return self.labels.index(name)

    def paint(
        self,
        name: str | None,
        shape: Distance,
        hu: float | Array,
        box: tuple[Point, Point] | None = None,
        over: tuple[str, ...] | None = None,
    ) -> Window:
        """Paint a shape with partial-volume edges.

        Parameters
        ----------
        name : str or None
            Structure it belongs to; None leaves the labels.
        shape : Distance
            Signed distance.
        hu : float or array
            What it looks like; an array of the window's shape.
        box : tuple of points
            Where to look; the whole field if None.
        over : tuple of str
            Paint only where these structures are now.

        Returns
        -------
        tuple of slice
            The window that was painted.
        """
        low, high = (self.low, self.high) if box is None else box
        window, at = self.window(low, high)
        distance = shape(*at)
        cover = np.clip(np.float32(0.5) - distance / np.float32(self.spacing), 0, 1)
        part = self.hu[window]
        if over is not None:
            allowed = np.isin(self.label[window], [self.number(n) for n in over])
            cover, distance = cover * allowed, np.where(allowed, distance, np.float32(1))
        part += cover * (hu - part)
        if name is not None:
            self.label[window][np.broadcast_to(distance < 0, part.shape)] = self.number(name)
        return window

    def rod(self, name: str, points: list[Point], radius: float, hu: float, over: tuple[str, ...] | None = None) -> None:
        """Paint a nerve, vessel or tube segment by segment, each in its own small window."""
        for start, end in pairwise(points):
            self.paint(name, capsule(start, end, radius), hu, around(start, end, radius + 2 * self.spacing), over)

    def mottle(self, window: Window, deviation: float, grain_mm: float) -> Array:
        """Return filtered noise for a window: trabecular or soft-tissue texture [HU]."""
        shape = self.hu[window].shape
        noise = self.random.standard_normal(shape, dtype=np.float32)
        smooth = ndimage.gaussian_filter(noise, grain_mm / self.spacing, mode="wrap", truncate=2.5)
        return cast(Array, smooth * np.float32(deviation / max(float(smooth.std()), 1e-6)))

    def bone(
        self,
        name: str,
        shape: Distance,
        box: tuple[Point, Point],
        *,
        cortex_mm: float,
        cortex_hu: float,
        inside_hu: float,
        texture_hu: float,
    ) -> None:
        """Paint a bone: a cortical shell round trabecular bone with texture."""
        window, at = self.window(*box)
        distance = shape(*at)

        def stored(*_: Array) -> Array:
            return distance

        self.paint(name, stored, cortex_hu, box)
        inner = inside_hu + self.mottle(window, texture_hu, 0.8) + self.mottle(window, texture_hu / 3, 4.0)
        self.paint(None, grown(stored, -cortex_mm), inner, box)

    def finish(self, noise_hu: float = 17.0, blur_mm: float = 0.55) -> Volume:
        """Return the image as a scanner would show it: blurred by its point spread, with correlated noise of known deviation."""
        image = ndimage.gaussian_filter(self.hu, blur_mm / self.spacing, mode="nearest", truncate=2.5)
        noise = self.random.standard_normal(self.grid.shape, dtype=np.float32)
        noise = ndimage.gaussian_filter(noise, 0.6, mode="wrap", truncate=2.5)
        image += noise * np.float32(noise_hu / float(noise.std()))
        return Volume(np.clip(np.rint(image), -1024, 3071).astype(np.float32), self.grid)


def around(start: Point, end: Point, by: float) -> tuple[Point, Point]:
    """Return the box round two points."""
    low, high = np.minimum(start, end) - by, np.maximum(start, end) + by
    return cast(Point, tuple(float(v) for v in low)), cast(Point, tuple(float(v) for v in high))
