"""Flat cuts through a patient, laid out as radiologists look at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from osteon.errors import ImageError
from osteon.space.anatomy import Anatomy, Structure
from osteon.space.volume import Volume
from osteon.treatments.base import NeedlePose

Array = np.ndarray[Any, np.dtype[Any]]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Plane:
    """A square cut.

    Parameters
    ----------
    name : str
        For the caption, for example "axial".
    centre_mm : tuple of float
        LPS place of the middle of the picture.
    right, down : tuple of float
        Unit vectors (LPS) along the picture's columns and rows.
    half_mm : float
        Half the side of the picture.
    pixels : int
        Samples along a side.
    """

    name: str
    centre_mm: Triple
    right: Triple
    down: Triple
    half_mm: float
    pixels: int = 360

    @property
    def normal(self) -> Array:
        """Unit vector away from the viewer."""
        return np.cross(self.right, self.down)

    @property
    def step_mm(self) -> float:
        """Side of one sample [mm]."""
        return 2 * self.half_mm / self.pixels

    @property
    def letters(self) -> tuple[str, str, str, str]:
        """Patient directions at the left, right, top and bottom edge of the picture."""
        right, down = np.asarray(self.right), np.asarray(self.down)
        return letter(-right), letter(right), letter(-down), letter(down)

    def points_mm(self) -> Array:
        """Return the LPS places of all samples (pixels, pixels, 3)."""
        along = (np.arange(self.pixels) + 0.5) * self.step_mm - self.half_mm
        offset = along[None, :, None] * np.asarray(self.right) + along[:, None, None] * np.asarray(self.down)
        return np.asarray(np.asarray(self.centre_mm) + offset)

    def project(self, mm: Array) -> Array:
        """Map LPS points (..., 3) to picture coordinates (..., 2) in samples from the top left corner, and drop the depth."""
        offset = np.asarray(mm, float) - np.asarray(self.centre_mm)
        flat = np.stack([offset @ np.asarray(self.right), offset @ np.asarray(self.down)], -1)
        return np.asarray((flat + self.half_mm) / self.step_mm)

    def depth_mm(self, mm: Array) -> Array:
        """Return how far LPS points (..., 3) lie behind (+) or before (-) the plane [mm]."""
        return np.asarray((np.asarray(mm, float) - np.asarray(self.centre_mm)) @ self.normal)


def letter(direction: Array) -> str:
    """Return a direction in letters, largest part first: L, R, A, P, S, I, or two of them where oblique."""
    names = (("L", "R"), ("P", "A"), ("S", "I"))
    parts = sorted(
        ((abs(float(c)), -i, names[i][0] if c > 0 else names[i][1]) for i, c in enumerate(np.asarray(direction))), reverse=True
    )
    return "".join(name for size, _, name in parts if size > 0.38)


def standard_planes(centre_mm: Array, half_mm: float, pixels: int = 360) -> tuple[Plane, Plane, Plane]:
    """Return axial, coronal and sagittal cuts in radiological display.

    The patient's right is on the left of the axial and coronal pictures, anterior is up on the axial and left on the sagittal
    picture, superior is up on the coronal and sagittal pictures.
    """
    x, y, z = (float(v) for v in centre_mm)
    centre = (x, y, z)
    return (
        Plane("axial", centre, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), half_mm, pixels),
        Plane("coronal", centre, (1.0, 0.0, 0.0), (0.0, 0.0, -1.0), half_mm, pixels),
        Plane("sagittal", centre, (0.0, 1.0, 0.0), (0.0, 0.0, -1.0), half_mm, pixels),
    )


def needle_planes(pose: NeedlePose, across_mm: Array, eye_half_mm: float = 45.0, pixels: int = 360) -> tuple[Plane, Plane, Plane]:
    """Return two cuts that hold the needle, entry at the top, and the cut across it seen along the shaft from the entry, head up.

    Parameters
    ----------
    pose : NeedlePose
        Entry and tip.
    across_mm : array of float
        LPS point through which the cross-section goes (its nearest point on the shaft is used).
    eye_half_mm : float
        Half the side of the cross-section.
    """
    direction = np.asarray(pose.direction)
    first = np.array([1.0, 0, 0]) - direction[0] * direction
    if np.linalg.norm(first) < 0.35:
        first = np.array([0, 1.0, 0]) - direction[1] * direction
    first /= np.linalg.norm(first)
    second = np.cross(direction, first)
    if second[np.argmax(np.abs(second))] < 0:
        second = -second  # left, posterior or superior to the right of the picture
    entry, tip = np.asarray(pose.entry_mm), np.asarray(pose.tip_mm)
    beyond = 40.0
    half = max(60.0, (pose.length_mm + beyond + 12.0) / 2)
    middle = tip + direction * (beyond - half)
    foot = entry + direction * float((np.asarray(across_mm, float) - entry) @ direction)
    eye_down = np.cross(direction, first)  # right x down looks along the needle, so the viewer stands at the entry
    upright = -eye_down[2] if abs(eye_down[2]) > 0.35 else eye_down[1]
    eye_right, eye_down = (first, eye_down) if upright >= 0 else (-first, -eye_down)  # head up, or else front up
    return (
        Plane("along the needle", _triple(middle), _triple(first), _triple(direction), half, pixels),
        Plane("needle, turned 90°", _triple(middle), _triple(second), _triple(direction), half, pixels),
        Plane("across the needle", _triple(foot), _triple(eye_right), _triple(eye_down), eye_half_mm, pixels),
    )


def _triple(values: Array) -> Triple:
    return float(values[0]), float(values[1]), float(values[2])


def cut(volume: Volume, plane: Plane, order: int = 1, fill: float = np.nan) -> Array:
    """Return a volume on a plane (pixels, pixels), float32; ``fill`` outside the image.

    The volume is brought to canonical axes first, so that the same patient stored in another order gives the same picture.
    """
    near = _near(volume, plane)
    if near is None:
        return np.full((plane.pixels, plane.pixels), fill, np.float32)
    canonical = near.canonical()
    grid = canonical.grid
    right, down = np.asarray(plane.right), np.asarray(plane.down)
    first = np.asarray(plane.centre_mm) + (0.5 * plane.step_mm - plane.half_mm) * (right + down)
    start = grid.to_index(first)  # a plane is affine in the index: one corner and two steps give every place
    across = grid.to_index(first + plane.step_mm * right) - start
    along = grid.to_index(first + plane.step_mm * down) - start
    rows, columns = np.arange(plane.pixels)[:, None], np.arange(plane.pixels)[None, :]
    index = [start[k] + along[k] * rows + across[k] * columns for k in range(3)]
    inside = np.ones((plane.pixels, plane.pixels), bool)
    for place, size in zip(index, grid.shape, strict=True):
        inside &= (place >= -0.5) & (place < size - 0.5)
    values = ndimage.map_coordinates(canonical.array.astype(np.float32), index, order=order, mode="nearest")
    return np.where(inside, values, np.float32(fill)).astype(np.float32)


def _near(volume: Volume, plane: Plane) -> Volume | None:
    """Return the part of a volume round a plane, or None where the plane passes it by."""
    reach = max(volume.spacing_mm) * 2
    offsets = [a * np.asarray(plane.right) + b * np.asarray(plane.down) for a in (-1, 1) for b in (-1, 1)]
    corners = np.asarray(plane.centre_mm) + plane.half_mm * np.array(offsets)
    try:
        return volume.crop(corners.min(0) - reach, corners.max(0) + reach)
    except ImageError:
        return None


def centre_of(mask: Volume) -> Array:
    """Return the LPS place of the voxel of a mask that lies nearest to its centroid.

    Raises
    ------
    ImageError
        If the mask is empty.
    """
    index = np.argwhere(mask.array)
    if not len(index):
        raise ImageError("The outline is empty.", "A picture needs something to be centred on.", "Outline the lesion.")
    if len(index) > 200_000:
        index = index[:: len(index) // 100_000]
    places = mask.grid.to_mm(index)
    distance = ((places - places.mean(0)) ** 2).sum(1)
    nearest = places[np.round(distance, 3) <= np.round(distance.min(), 3)]
    return np.asarray(nearest[np.lexsort(nearest.T)[0]])


def extent_mm(mask: Volume) -> float:
    """Return the largest half extent of a mask along the patient's axes [mm]."""
    index = np.argwhere(mask.array)
    places = mask.grid.to_mm(np.stack([index.min(0), index.max(0)]))
    return float(np.abs(places[1] - places[0]).max() / 2)


def within(anatomy: Anatomy, which: Structure, plane: Plane) -> Array | None:
    """Return the outline of a structure on a plane as numbers 0 to 1, or None where it does not meet the picture."""
    near = _near(anatomy.masks[which], plane)
    if near is None or not near.array.any():
        return None
    values = cut(near, plane, fill=0.0)
    return values if bool((values >= 0.5).any()) else None
