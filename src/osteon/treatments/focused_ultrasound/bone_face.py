"""The target as a beam sees it: lesion, its bone and what is solid on a lattice along the beam, and the faces turned to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from osteon.errors import InputError
from osteon.space.anatomy import Anatomy, Structure
from osteon.space.volume import Array, Grid, Volume
from osteon.tissue.properties import Constants
from osteon.treatments.focused_ultrasound.approach_rows import number
from osteon.treatments.focused_ultrasound.target_site import Threshold, ct_of, solid_hu, touching_most

FINEST_MM, COARSEST_MM, CELLS = 0.75, 2.0, 4.0e6  # edge of a cell of the lattice, and about how many there may be
SHIFT = 0.137  # of a cell: no middle of a cell may lie on the border of two voxels, where rounding would decide
SMOOTH_MM = 2.0  # over which the direction of a surface is taken


@dataclass(frozen=True, eq=False)
class Face:
    """The target on a lattice along the beam: arrays [along the beam, v, u], index 0 on the side that sound comes from.

    Parameters
    ----------
    grid : Grid
        Its index axes x, y, z are u, v and the beam.
    axes : ndarray (3, 3)
        Columns: u, v and the beam, unit vectors in LPS.
    lesion, whole, near : ndarray of bool
        The target; it and its bone; that and what lies within ``outline_mm``, without other bones.
    solid : mapping of str to ndarray of bool
        Bone that is a solid to sound, where its limit in HU is at the low end of its spread, in the middle, or at the high end.
    seen : ndarray of bool
        Where HU can be read: imaged, not metal or cement, and not spoilt by it.
    bone : Structure or None
        The outlined bone that holds the target; None where none touches it.
    """

    grid: Grid
    axes: Array
    lesion: Array
    whole: Array
    near: Array
    solid: Mapping[Threshold, Array]
    seen: Array
    bone: Structure | None

    @property
    def step_mm(self) -> float:
        """Edge of a cell."""
        return self.grid.spacing_mm[0]

    @property
    def soft_lesion(self) -> Array:
        """The lytic part of the target, where a focus can lie in tumour."""
        return self.lesion & ~self.solid["middle"] & self.seen

    def to_uvw(self, index: Array) -> Array:
        """Return places (n, 3) [mm] along u, v and the beam of cells given as [along the beam, v, u]."""
        return np.asarray(index, float)[:, ::-1] * self.step_mm

    def to_mm(self, uvw: Array) -> Array:
        """Return LPS places (n, 3) of places along u, v and the beam."""
        return self.grid.to_mm(np.asarray(uvw, float)[:, ::-1] / self.step_mm)


def beam_axes(grid: Grid, beam: Sequence[float]) -> Array:
    """Return u, v and the beam as columns, right-handed; u lies as near as can be to an axis of the image.

    With the image the axes turn, so that a turned patient gets the same lattice.

    Raises
    ------
    InputError
        If the beam is no direction.
    """
    way = np.asarray(beam, float)
    length = float(np.linalg.norm(way)) if way.shape == (3,) else math.nan
    if not (math.isfinite(length) and length > 0):
        raise InputError(
            f"A beam was to run along {list(beam)}.",
            "Which side of the bone is treated follows from its direction.",
            "Give three finite numbers, not all zero, in LPS: the way sound goes.",
        )
    w = way / length
    directions = grid.matrix[:3, :3] / np.linalg.norm(grid.matrix[:3, :3], axis=0)
    across = np.round(np.abs(directions.T @ w), 6)
    u = directions[:, int(np.argmin(across))]
    u = u - (u @ w) * w
    u /= np.linalg.norm(u)
    return np.stack([u, np.cross(w, u), w], axis=1)


def face_of(anatomy: Anatomy, target: Structure, beam: Sequence[float], bone: Structure | None = None) -> Face:
    """Return the target as a beam sees it.

    Parameters
    ----------
    anatomy : Anatomy
        With a CT.
    target : Structure
        Outlined.
    beam : sequence of float
        The way sound goes, LPS, any length.
    bone : Structure, optional
        That holds the target; else ``target_site.touching_most``.

    Raises
    ------
    NotOutlinedError, MissingError
        As ``target_site.ct_of``.
    InputError
        If the beam is no direction.
    """
    image = ct_of(anatomy, target, "What is left of the cortex is read from Hounsfield numbers.")
    axes = beam_axes(anatomy.grid, beam)
    grid = _lattice_grid(anatomy, target, axes)
    lesion = _cut(anatomy.mask(target), grid)
    bones = {key: _cut(anatomy.masks[key], grid) for key in anatomy.of_kind("bone") if key != target}
    if bone is None:
        around = ndimage.distance_transform_edt(~lesion, sampling=grid.spacing_mm) <= number("margin_mm")
        bone = touching_most({key: int((mask & around).sum()) for key, mask in bones.items()})
    whole = lesion | bones[bone] if bone in bones else lesion.copy()
    near = ndimage.distance_transform_edt(~whole, sampling=grid.spacing_mm) <= number("outline_mm")
    for key, mask in bones.items():
        if key != bone:
            near &= ~mask | lesion
    hu, seen = _readable(anatomy, image, grid)
    ends: tuple[Threshold, ...] = ("low", "middle", "high")
    solid = {end: near & seen & (hu > solid_hu(anatomy, end)) for end in ends}
    return Face(grid, axes, lesion, whole, near, solid, seen, bone)


def _readable(anatomy: Anatomy, image: Volume, grid: Grid) -> tuple[Array, Array]:
    """Return HU on a grid, and where they are those of tissue."""
    part = _crop(image, grid)
    hu = part.resample(grid, fill=np.nan).array
    seen = _cut(anatomy.imaged, grid) & np.isfinite(hu)
    if anatomy.unreliable is not None:
        seen &= ~_cut(anatomy.unreliable, grid)
    metal = part.with_array(part.array >= Constants()("hounsfield", "metal")).resample(grid).array
    for key in anatomy.of_kind("implant"):
        metal |= _cut(anatomy.masks[key], grid)
    if metal.any():  # beside it voxels are mixed, and look like bone
        seen &= ndimage.distance_transform_edt(~metal, sampling=grid.spacing_mm) > number("outline_mm")
    return hu, seen


def _lattice_grid(anatomy: Anatomy, target: Structure, axes: Array) -> Grid:
    mask = anatomy.mask(target)
    box = mask.box()
    assert box is not None  # the caller asked whether it is outlined
    places = anatomy.grid.to_mm(np.argwhere(mask.part(box)) + np.array([s.start for s in box])) @ axes
    reach = number("deepest_mm")
    low, high = places.min(0) - reach, places.max(0) + reach
    step = float(np.clip(min(anatomy.grid.spacing_mm), FINEST_MM, COARSEST_MM))
    step = max(step, float((np.prod(high - low) / CELLS) ** (1 / 3)))
    return Grid.box(low + SHIFT * step, high, step, axes)


def _crop(volume: Volume, grid: Grid) -> Volume:
    corners = grid.corners_mm()
    return volume.crop(corners.min(0), corners.max(0))


def _cut(mask: Volume, grid: Grid) -> Array:
    if mask.box() is None:
        return np.zeros(grid.shape, bool)
    return np.asarray(_crop(mask, grid).resample(grid).array, bool)


def surface_normals(mask: Array, index: Array, step_mm: float) -> Array:
    """Return outward unit vectors (n, 3) along u, v and the beam of a mask's surface at cells; zero where there is none."""
    smooth = ndimage.gaussian_filter(mask.astype(np.float32), SMOOTH_MM / step_mm, mode="nearest")
    found = np.stack([-g[tuple(index.T)] for g in np.gradient(smooth)], axis=1)[:, ::-1]
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(np.where(length > 0, found / np.maximum(length, 1e-12), 0.0))


def first_cells(mask: Array) -> Array:
    """Return the first cell of a mask in each column along the beam, (n, 3) as [along the beam, v, u]."""
    v, u = np.nonzero(mask.any(axis=0))
    return np.stack([mask[:, v, u].argmax(axis=0), v, u], axis=1)


def facing(mask: Array, index: Array, step_mm: float) -> Array:
    """Return the cosine of a surface's normal against the beam at cells, 0 where it is more slanting than ``facing_deg``."""
    cosine = -surface_normals(mask, index, step_mm)[:, 2]
    return np.where(cosine >= math.cos(math.radians(number("facing_deg"))), cosine, 0.0)


def periosteum(face: Face) -> tuple[Array, Array]:
    """Return the outer surface of the bone over the lesion that faces the beam.

    In each column along the beam that passes the lesion, or what lies within ``margin_mm`` of it, the surface is where the bone
    that holds it begins.

    Returns
    -------
    tuple of ndarray
        Cells (n, 3) as [along the beam, v, u], and their areas [mm2].
    """
    margin = ndimage.distance_transform_edt(~face.lesion, sampling=face.grid.spacing_mm) <= number("margin_mm")
    start = first_cells(margin & face.whole)
    if len(start) == 0:
        return start, np.zeros(0)
    columns = face.whole[:, start[:, 1], start[:, 2]]
    above = np.arange(len(columns))[:, None] <= start[:, 0]
    gap = ~columns & above
    last = np.where(gap.any(axis=0), len(columns) - 1 - gap[::-1].argmax(axis=0), -1)
    index = np.stack([last + 1, start[:, 1], start[:, 2]], axis=1)[last >= 0]  # bone up to the lattice's edge: no surface found
    cosine = facing(face.whole, index, face.step_mm)
    kept = cosine > 0
    return index[kept], face.step_mm**2 / cosine[kept]
