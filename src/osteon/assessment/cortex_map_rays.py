"""Rays from the middle of a shaft outwards, slice by slice across its axis: where they lie and what the image shows there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
from scipy import ndimage

from osteon.assessment.cortex import without_canal
from osteon.assessment.measure_base import threshold
from osteon.assessment.rigidity import bone_axis
from osteon.errors import MissingError
from osteon.evidence.value import Value, values_in
from osteon.space.paths import distance_to
from osteon.space.volume import Array, Volume

Side = Literal["left", "right"]
ROUNDS, COARSE_MM, NEAR_MM, BLUR_VOXELS = 4, 2.0, 45.0, 0.8


@cache
def limits() -> Mapping[str, Value]:
    """Return the numbers of ``cortex_map.yaml``."""
    return values_in("osteon.assessment", "cortex_map.yaml")


def limit(name: str) -> float:
    """Return one number of ``cortex_map.yaml``, in the unit that it has there."""
    return limits()[name].number


@dataclass(frozen=True, eq=False)
class Frame:
    """Slices across a shaft and directions round it.

    Parameters
    ----------
    start_mm, axis : ndarray (3,)
        A point of the axis (LPS mm) and its unit vector, towards the head.
    ahead, aside : ndarray (3,)
        Unit vectors across the axis: to the front (theta 0) and to the middle of the body (theta 90 degrees).
    directions : tuple of str
        What lies at theta 0, 90, 180 and 270 degrees.
    along_mm : ndarray (n,)
        Places of the slices on the axis.
    theta_rad : ndarray (m,)
        Angles.
    centres_mm : ndarray (n, 3)
        Middle of the filled contour in each slice, LPS mm, smoothed along the axis.
    """

    start_mm: Array
    axis: Array
    ahead: Array
    aside: Array
    directions: tuple[str, str, str, str]
    along_mm: Array
    theta_rad: Array
    centres_mm: Array

    @property
    def outward(self) -> Array:
        """Unit vector of each angle (m, 3)."""
        return np.asarray(np.cos(self.theta_rad)[:, None] * self.ahead + np.sin(self.theta_rad)[:, None] * self.aside)

    def points(self, radius_mm: Array) -> Array:
        """Return the LPS places (n, m, k, 3) of radii (k,) on every ray."""
        out = self.outward[:, None, :] * np.asarray(radius_mm)[:, None]
        return np.asarray(self.centres_mm[:, None, None, :] + out[None])


@dataclass(frozen=True, eq=False)
class Rays:
    """What lies along each ray.

    Parameters
    ----------
    frame : Frame
        Where they are.
    radius_mm : ndarray (k,)
        Distance from the middle.
    profile : ndarray (n, m, k)
        HU.
    depth_mm : ndarray (n, m, k)
        Signed distance to the lesion's outline: negative inside.
    outer_mm : ndarray (n, m)
        Outer radius of the filled bone.
    unknown : ndarray (n, m) of bool
        Not imaged, cut by the border of the image, or spoilt by metal.
    tube : ndarray (n, m) of bool
        Whether the ray leaves the bone once.
    voxel_along_mm, voxel_across_mm : float
        Extent of a voxel along the axis and, at most, across it.
    """

    frame: Frame
    radius_mm: Array
    profile: Array
    depth_mm: Array
    outer_mm: Array
    unknown: Array
    tube: Array
    voxel_along_mm: float
    voxel_across_mm: float

    @property
    def step_mm(self) -> float:
        """Distance of two radii."""
        return float(self.radius_mm[1] - self.radius_mm[0])

    @property
    def slice_mm(self) -> float:
        """Distance of two slices."""
        return float(self.frame.along_mm[1] - self.frame.along_mm[0])

    @property
    def voxel_mm(self) -> float:
        """Largest extent of a voxel."""
        return max(self.voxel_along_mm, self.voxel_across_mm)


def names_round(axis: Array, side: Side | None) -> tuple[Array, Array, tuple[str, str, str, str]]:
    """Return the directions at theta 0 and 90 degrees and the names of the four; as the limb lies in the scanner.

    Theta 0 is in front. From there it runs to the middle of the body, so that a right and a left bone read alike; where no side
    is known it runs to the patient's left. A bone that points forwards has its upper side at theta 0.
    """
    front = np.array([0.0, -1.0, 0.0]) if abs(axis[1]) < 0.8 else np.array([0.0, 0.0, 1.0])
    first, third = ("anterior", "posterior") if abs(axis[1]) < 0.8 else ("superior", "inferior")
    ahead = front - axis * (front @ axis)
    ahead = ahead / np.linalg.norm(ahead)
    aside = np.cross(axis, ahead)
    to_left = 1.0 if aside[0] >= 0 else -1.0
    wanted = -1.0 if side == "left" else 1.0  # the middle of the body lies to the right of a left bone
    aside = aside * to_left * wanted
    if side is None:
        return ahead, aside, (first, "left", third, "right")
    return ahead, aside, (first, "medial", third, "lateral")


def rays(
    image: Volume,
    bone: Volume,
    lesion: Volume,
    side: Side | None,
    imaged: Array | None = None,
    unreliable: Array | None = None,
    about_mm: Array | None = None,
) -> Rays:
    """Cast rays from the middle of a shaft round a lesion.

    Parameters
    ----------
    image, bone, lesion : Volume
        HU, outline of the bone with what the lesion replaced, outline of the lesion: one grid.
    side : {"left", "right", None}
        Of the body.
    imaged, unreliable : ndarray of bool (z, y, x), optional
        Where there is an image, and where metal spoils it.
    about_mm : ndarray (p, 3), optional
        Places between which the bone is looked at, instead of the lesion's, LPS mm.

    Raises
    ------
    MissingError
        If bone or lesion have no voxels here.
    InputError
        If no axis of the bone stands out.
    ImageError
        If the axes of the grid are not at right angles.
    """
    if not bone.array.any() or (about_mm is None and not lesion.array.any()):
        raise MissingError(
            f"{int(bone.array.sum())} voxels of bone and {int(lesion.array.sum())} of lesion lie here.",
            "There is nothing to unroll.",
            "Outline the bone, with what the lesion replaced, and the lesion.",
        )
    solid = _blurred(bone)
    held = lesion.grid.to_mm(np.argwhere(lesion.array)) if about_mm is None else np.asarray(about_mm, float)
    frame = _frame(bone, solid, held, side)
    edges = bone.grid.matrix[:3, :3]
    across = np.linalg.norm(frame.outward @ edges, axis=1)
    least = min(bone.spacing_mm)
    step = float(np.clip(least / 4, 0.15, 0.4))
    radius = np.arange(step / 2, _reach(bone, frame) + 3 * float(across.max()), step)
    points = frame.points(radius)
    index = np.moveaxis(bone.grid.to_index(points), -1, 0)
    outer, tube = _outer(ndimage.map_coordinates(solid, index, order=1, mode="nearest"), radius)
    seen = _seen(bone, points, index, imaged, unreliable)
    zone = (radius <= outer[..., None] + float(across.max())) & (radius >= outer[..., None] / 2)
    return Rays(
        frame=frame,
        radius_mm=radius,
        profile=ndimage.map_coordinates(image.array.astype(np.float32, copy=False), index, order=1, mode="nearest"),
        depth_mm=ndimage.map_coordinates(_signed(lesion), index, order=1, mode="nearest"),
        outer_mm=outer,
        unknown=np.asarray((zone & ~seen).any(-1)),
        tube=tube,
        voxel_along_mm=float(np.linalg.norm(frame.axis @ edges)),
        voxel_across_mm=float(across.max()),
    )


def _seen(bone: Volume, points: Array, index: Array, imaged: Array | None, unreliable: Array | None) -> Array:
    """Return at which places there is an image that metal does not spoil."""
    seen = bone.grid.contains(points)
    known = np.ones(bone.grid.shape, bool) if imaged is None else imaged.astype(bool)
    known = known if unreliable is None else known & ~unreliable
    if not known.all():
        seen &= ndimage.map_coordinates(known.astype(np.uint8), index, order=0, mode="nearest") > 0
    return np.asarray(seen)


def _blurred(bone: Volume) -> Array:
    """Return the filled bone as numbers, its steps smoothed by less than a voxel."""
    filled = without_canal(bone.array, long_bone=True)
    sigma = BLUR_VOXELS * min(bone.spacing_mm) / np.array(bone.spacing_mm)
    return np.asarray(ndimage.gaussian_filter(filled.astype(np.float32), sigma, mode="nearest"))


def _signed(mask: Volume) -> Array:
    """Return the distance to a mask's surface [mm], negative inside; a surface lies half way between voxel centres."""
    if not mask.array.any():
        return np.full(mask.grid.shape, np.float32(1e3))
    half = min(mask.spacing_mm) / 2
    outside = distance_to(mask).array
    inside = distance_to(mask.with_array(~mask.array)).array
    return np.asarray(np.where(mask.array, half - inside, outside - half), np.float32)


def _frame(bone: Volume, solid: Array, held: Array, side: Side | None) -> Frame:
    """Return the slices: the principal axis of the bone, turned until it runs through the middles of its sections."""
    _, axis = bone_axis(bone)
    start = np.asarray(held.mean(0))
    for _ in range(ROUNDS):
        coarse = _slices(start, axis, np.arange(-NEAR_MM, NEAR_MM + 1e-9, COARSE_MM), side)
        centres, whole = _middles(bone, solid, coarse)
        if whole.sum() < 5:
            break
        places = centres[whole]
        start = places.mean(0)
        turned = np.linalg.svd(places - start)[2][0]
        axis = turned if turned @ axis > 0 else -turned
    along = (held - start) @ axis
    margin = threshold("healthy_beyond_mm") + limit("healthy_within_mm")
    step = float(np.clip(min(bone.spacing_mm) / 2, 0.3, 1.0))
    low, high = float(along.min()) - margin, float(along.max()) + margin
    bounds = (bone.grid.to_mm(np.argwhere(bone.array)) - start) @ axis
    low, high = max(low, float(bounds.min())), min(high, float(bounds.max()))
    fine = _slices(start, axis, np.arange(low, high + step / 2, step), side)
    coarse = _slices(start, axis, np.arange(low, high + COARSE_MM / 2, COARSE_MM), side)
    centres, whole = _middles(bone, solid, coarse)
    if whole.sum() < 5:
        return fine
    offset = centres - coarse.centres_mm
    order = 2 if whole.sum() > 10 else 1
    bow = [np.polyval(np.polyfit(coarse.along_mm[whole], offset[whole, i], order), fine.along_mm) for i in range(3)]
    return replace(fine, centres_mm=fine.centres_mm + np.stack(bow, -1))


def _slices(start: Array, axis: Array, along: Array, side: Side | None) -> Frame:
    ahead, aside, names = names_round(axis, side)
    theta = np.radians(np.arange(0.0, 360.0, limit("theta_step_deg")))
    return Frame(start, axis, ahead, aside, names, along, theta, start + along[:, None] * axis)


def _reach(bone: Volume, frame: Frame) -> float:
    """Return how far the bone reaches from its axis within the slices [mm]."""
    away = bone.grid.to_mm(np.argwhere(bone.array)) - frame.start_mm
    along = away @ frame.axis
    here = (along >= frame.along_mm[0]) & (along <= frame.along_mm[-1])
    bow = np.abs(frame.centres_mm - frame.start_mm - frame.along_mm[:, None] * frame.axis).max()
    return float(np.linalg.norm(away - along[:, None] * frame.axis, axis=1)[here].max(initial=5.0) + bow)


def _middles(bone: Volume, solid: Array, frame: Frame) -> tuple[Array, Array]:
    """Return the middle of the filled bone in each slice, and which slices hold it whole."""
    reach, step = _reach(bone, frame) + 2.0, max(min(bone.spacing_mm), 1.0)
    grid = np.arange(-reach, reach + step, step)
    u, v = np.meshgrid(grid, grid, indexing="ij")
    plane = u[..., None] * frame.ahead + v[..., None] * frame.aside
    points = frame.centres_mm[:, None, None, :] + plane[None]
    held = ndimage.map_coordinates(solid, np.moveaxis(bone.grid.to_index(points), -1, 0), order=1, mode="nearest")
    whole = ~((held >= 0.5) & ~bone.grid.contains(points)).any((1, 2))
    weight = np.clip(2 * held - 0.5, 0, 1)
    total = weight.sum((1, 2))
    if whole.any():
        whole &= total > 0.25 * np.median(total[whole])
    shift = np.stack([(weight * w).sum((1, 2)) for w in (u, v)], -1) / np.maximum(total, 1e-9)[:, None]
    return frame.centres_mm + shift[:, :1] * frame.ahead + shift[:, 1:] * frame.aside, whole


def _outer(solid: Array, radius: Array) -> tuple[Array, Array]:
    """Return where each ray leaves the bone for the last time, between samples, and whether it leaves it only once."""
    inside = solid >= 0.5
    last = inside.shape[-1] - 1 - np.argmax(inside[..., ::-1], axis=-1)
    last = np.clip(np.where(inside.any(-1), last, 0), 0, len(radius) - 2)
    here = np.take_along_axis(solid, last[..., None], -1)[..., 0]
    after = np.take_along_axis(solid, last[..., None] + 1, -1)[..., 0]
    part = np.clip((here - 0.5) / np.maximum(here - after, 1e-6), 0, 1)
    outer = radius[last] + part * (radius[1] - radius[0])
    tube = inside.sum(-1) >= limit("star_least_fraction") * (last + 1)
    return np.asarray(outer), np.asarray(tube & inside.any(-1))
