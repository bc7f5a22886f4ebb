"""Metal in a CT: where it lies, and where its streaks make HU unreliable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from osteon.case.grow import threshold
from osteon.space.paths import distance_to
from osteon.space.volume import Array, Volume, box_of

ENOUGH = 500
"""Voxels of soft tissue away from metal that tell how much it usually varies."""


@dataclass(frozen=True, eq=False)
class Metal:
    """Metal as found.

    Parameters
    ----------
    implant : Volume of bool or None
        The metal; None where none was found. Hollow or thin metal may be missed.
    unreliable : Volume of bool or None
        Metal, its bloom and its streaks: no HU there may be used.
    boxes_mm : tuple
        Low and high corner of each piece, LPS mm, largest first.
    notes : tuple of str
        What a reader must know.
    """

    implant: Volume | None
    unreliable: Volume | None
    boxes_mm: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...] = ()
    notes: tuple[str, ...] = ()


def find_metal(image: Volume, imaged: Volume | None = None) -> Metal:
    """Find metal and the region whose HU it spoils.

    Metal is every connected cluster that is denser than bone can be, with what is nearly as dense and connected to it. Unreliable
    is what lies within its bloom, and in its slices and near it what varies far more than soft tissue does elsewhere.

    Parameters
    ----------
    image : Volume
        CT in HU.
    imaged : Volume of bool, optional
        Where there is image information.

    Returns
    -------
    Metal
        Without implant where there is none.

    Raises
    ------
    ImageError
        If there is metal and the axes of the grid are not at right angles.

    Examples
    --------
    >>> from osteon.case.phantom import build
    >>> find_metal(build("femur", spacing_mm=4.0).image).implant is None
    True
    """
    import cc3d

    seen = None if imaged is None else imaged.array
    dense = image.array > threshold("metal_grown_above_hu")
    dense = dense if seen is None else dense & seen
    window = box_of(dense)
    if window is None:
        return Metal(None, None)
    solid, hu = np.ascontiguousarray(dense[window]), image.array[window]
    pieces, count = cc3d.connected_components(solid, connectivity=26, return_N=True)
    sizes = np.bincount(pieces[solid], minlength=count + 1) * image.grid.voxel_mm3
    certain = np.zeros(count + 1, bool)
    certain[pieces[solid & (hu > threshold("metal_above_hu"))]] = True
    kept = [int(i) for i in np.argsort(-sizes, kind="stable") if certain[i] and sizes[i] >= threshold("metal_least_mm3")]
    if not kept:
        return Metal(None, None)
    chosen = np.zeros(count + 1, bool)
    chosen[kept] = True
    metal = np.zeros(image.grid.shape, bool)
    metal[window] = chosen[pieces]
    first = np.array([s.start for s in window])
    boxes = tuple(_box(image, np.argwhere(pieces == i) + first) for i in kept)
    spoilt = metal.copy()
    slices = _slices_near(metal, image.spacing_mm[0])
    spoilt[slices] |= _unreliable_near(image, metal, seen, slices)
    ml, around = metal.sum() * image.grid.voxel_mm3 / 1e3, spoilt.sum() * image.grid.voxel_mm3 / 1e3
    notes = (
        f"metal: {ml:.1f} ml in {len(kept)} piece{'s' if len(kept) > 1 else ''}; HU are not reliable in {around:.0f} ml round it",
    )
    return Metal(image.with_array(metal), image.with_array(spoilt), boxes, notes)


def _unreliable_near(image: Volume, metal: Array, seen: Array | None, slices: slice) -> Array:
    """Return what ``_unreliable`` finds in some slices, looked for on every second or third voxel where they are fine."""
    _, rows, columns = (max(round(threshold("streak_step_mm") / step), 1) for step in image.spacing_mm)
    part = image.array[slices, ::rows, ::columns]
    affine = image.grid.matrix
    affine[:3, :2] *= np.array([columns, rows])
    coarse = Volume.of(part, affine)  # only its spacing is used
    held = metal[slices]
    held = np.logical_or.reduceat(held, np.arange(0, held.shape[1], rows), axis=1)
    held = np.logical_or.reduceat(held, np.arange(0, held.shape[2], columns), axis=2)
    known = np.ones(part.shape, bool) if seen is None else seen[slices, ::rows, ::columns]
    found = _unreliable(coarse, held, known).repeat(rows, axis=1).repeat(columns, axis=2)
    return found[:, : metal.shape[1], : metal.shape[2]]


def _box(image: Volume, index: Array) -> tuple[tuple[float, ...], tuple[float, ...]]:
    corners = image.grid.to_mm(np.stack([index.min(0), index.max(0)]))
    return tuple(float(v) for v in corners.min(0)), tuple(float(v) for v in corners.max(0))


def _slices_near(metal: Array, thickness_mm: float) -> slice:
    """Return the slices in which streaks are looked for."""
    found = np.flatnonzero(metal.any(axis=(1, 2)))
    wide = int(np.ceil(threshold("streak_reach_mm") / thickness_mm))
    return slice(max(int(found[0]) - wide, 0), int(found[-1]) + wide + 1)


def _unreliable(image: Volume, metal: Array, seen: Array) -> Array:
    """Return metal with its bloom, and streaks: where the local scatter of soft tissue is far above that away from metal."""
    away = distance_to(image.with_array(metal)).array
    bloom = away <= threshold("metal_blooming_mm")
    near = away <= threshold("streak_reach_mm")
    body = _body(image, seen)
    soft = body & (image.array > threshold("soft_low_hu")) & (image.array < threshold("soft_high_hu"))
    scatter = _scatter(image.array, soft)
    calm = scatter[soft & ~near]
    if len(calm) >= ENOUGH:
        limit = float(np.percentile(calm, threshold("streak_percentile")))
        wild = near & soft & (scatter > limit)
        wild = ndimage.uniform_filter(wild.astype(np.float32), 3) > 1 / 3  # scattered single voxels are chance
    else:  # nothing to compare with
        wild = soft & (away <= threshold("streak_reach_mm") / 2)
    black: Array = near & body & (image.array <= threshold("soft_low_hu"))
    wild = ndimage.binary_closing(wild | black, structure=np.ones((3, 3, 3)))  # the brightest and darkest voxels of a streak too
    spoilt: Array = (bloom | (wild & body) | black) & seen
    return spoilt


def _body(image: Volume, seen: Array) -> Array:
    """Return the body roughly: what is no air, with enclosed gas and streaks."""
    dense = (image.array > threshold("body_above_hu")) & seen
    opened = ndimage.binary_opening(dense, structure=np.ones((1, 3, 3)))
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in opened])
    inner: Array = ndimage.binary_erosion(filled, structure=np.ones((1, 3, 3)), border_value=1)
    return inner


def _scatter(values: Array, soft: Array) -> Array:
    """Return the standard deviation of soft tissue among the 5 x 5 neighbours in a slice."""
    size = (1, 5, 5)
    weight = ndimage.uniform_filter(soft.astype(np.float32), size)
    held = np.where(soft, values, 0).astype(np.float32)
    mean = ndimage.uniform_filter(held, size) / np.maximum(weight, 1e-3)
    square = ndimage.uniform_filter(held * held, size) / np.maximum(weight, 1e-3)
    out: Array = np.sqrt(np.maximum(square - mean * mean, 0)) * (weight > 0.3)
    return out
