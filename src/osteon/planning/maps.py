"""What a needle may meet, as maps on one coarse lattice round the target."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import edt
import numpy as np
from scipy import ndimage

from osteon.assessment.outline import body_of as body_from
from osteon.errors import NotOutlinedError
from osteon.planning.geometry import number
from osteon.planning.trajectory_kernels import AIRY, ALLOWED, BODY, FORBIDDEN, LESION, UNSEEN, pool_any, pool_count
from osteon.space.anatomy import Anatomy, Structure, structure
from osteon.space.volume import Array, Grid, Volume

CRITICAL = ("nerve", "cord", "vessel", "bowel", "lung", "organ", "joint", "implant")
COARSE_MM = 2.0


@dataclass(frozen=True, eq=False)
class PathMaps:
    """Everything that a path is judged by.

    Parameters
    ----------
    grid : Grid
        Coarse lattice; every array here lies on it.
    margin : ndarray (z, y, x)
        Least of (distance to a critical structure minus its stand-off) [mm]: a needle of radius r needs at least r.
    clear : ndarray (z, y, x)
        Distance to the nearest critical structure [mm], less the error of an outline that was carried over.
    bone, place : ndarray of uint8 (z, y, x)
        Free, allowed, forbidden bone or lesion; air, body or not imaged.
    image : ndarray (z, y, x) or None
        HU, one voxel in each coarse one.
    critical : tuple of Structure
        The critical structures within reach.
    which : ndarray of uint8 (z, y, x)
        Their number in ``critical`` plus one; 0 elsewhere.
    touches_edge : ndarray of bool (3, 2)
        Whether the lattice ends where the image ends (z, y, x; low, high).
    """

    grid: Grid
    margin: Array
    clear: Array
    bone: Array
    place: Array
    image: Array | None
    critical: tuple[Structure, ...]
    which: Array
    touches_edge: Array


def body_of(anatomy: Anatomy) -> Volume:
    """Return the outline of the body; where it is not outlined, as the assessment finds it in the CT.

    Raises
    ------
    NotOutlinedError
        If there is neither an outline nor an image.
    """
    body = structure("body")
    if anatomy.has(body):
        return anatomy.mask(body)
    if anatomy.image is None:
        raise NotOutlinedError(
            "Neither the body is outlined nor is there an image to take it from.",
            "Without skin there is no way in and no edge for heat.",
            "Give the CT, or outline the body in case.yaml.",
        )
    return body_from(anatomy.image, anatomy.imaged)


def critical_structures(anatomy: Anatomy) -> list[Structure]:
    """Return the outlined structures that a needle must keep away from, sorted by id."""
    return sorted(s for s in anatomy.masks if s.kind in CRITICAL)


def distance_mm(mask: Array, spacing_mm: tuple[float, float, float]) -> Array:
    """Return the distance from every voxel to the nearest voxel of ``mask`` [mm]; infinite where the mask is empty."""
    outside = np.ascontiguousarray(~np.asarray(mask, bool)).view(np.uint8)
    return cast(Array, edt.edt(outside, anisotropy=spacing_mm, black_border=False, parallel=0))


def build_maps(anatomy: Anatomy, centre_mm: Array, reach_mm: float, allowed: Iterable[Structure], lesion: Structure) -> PathMaps:
    """Return the maps within reach of a target.

    Parameters
    ----------
    anatomy : Anatomy
        On the image's own grid.
    centre_mm : ndarray (3,)
        The target's middle.
    reach_mm : float
        Longest needle.
    allowed : iterable of Structure
        Bones that may be drilled.
    lesion : Structure
        The lesion; crossing it is no drilling.
    """
    grid = anatomy.grid
    spacing = np.array(grid.spacing_mm)
    factors = tuple(int(v) for v in np.maximum(np.round(COARSE_MM / spacing + 1e-6), 1))
    middle = grid.to_index(np.asarray(centre_mm, float))
    low = np.clip(np.floor(middle - (reach_mm + 6) / spacing).astype(int), 0, np.array(grid.shape) - 1)
    high = np.clip(np.ceil(middle + (reach_mm + 6) / spacing).astype(int) + 1, low + 1, grid.shape)
    window = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    shape = tuple(int(-(-(b - a) // f)) for a, b, f in zip(low, high, factors, strict=True))
    affine = grid.matrix
    affine[:3, :3] = affine[:3, :3] * np.array(factors[::-1])
    affine[:3, 3] = grid.to_mm(low + (np.array(factors) - 1) / 2.0)
    coarse = Grid.of(shape, affine)
    touches = np.stack([low == 0, high == np.array(grid.shape)], axis=1)

    place = _place(anatomy, window, factors, shape)
    dense = None if anatomy.image is None else anatomy.image.array[window][tuple(slice(f // 2, None, f) for f in factors)]
    image = None if dense is None else np.full(shape, -1024.0, np.float32)
    if image is not None and dense is not None:
        image[tuple(slice(0, n) for n in dense.shape)] = dense
    margin, clear, critical, which = _distances(anatomy, window, factors, coarse)
    bone = _bone(anatomy, window, factors, shape, frozenset(allowed), lesion, image, (which > 0) | (place != BODY))
    return PathMaps(coarse, margin, clear, bone, place, image, critical, which, touches)


def _place(anatomy: Anatomy, window: tuple[slice, ...], factors: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    every = np.zeros(shape, np.uint16)
    pool_count(np.ones(tuple(s.stop - s.start for s in window), bool), *factors, every)
    seen, inside = np.zeros(shape, np.uint16), np.zeros(shape, np.uint16)
    pool_count(np.ascontiguousarray(anatomy.imaged.array[window]), *factors, seen)
    pool_count(np.ascontiguousarray(body_of(anatomy).array[window]), *factors, inside)
    place = np.where(2 * inside >= every, BODY, AIRY).astype(np.uint8)
    place[2 * seen < every] = UNSEEN
    return place


def _distances(
    anatomy: Anatomy, window: tuple[slice, ...], factors: tuple[int, ...], coarse: Grid
) -> tuple[Array, Array, tuple[Structure, ...], Array]:
    """Group the critical structures by stand-off and error of their outline: one distance map per group."""
    groups: dict[tuple[float, float], Array] = {}
    critical: list[Structure] = []
    which = np.zeros(coarse.shape, np.uint8)
    for each in critical_structures(anatomy):
        part = np.ascontiguousarray(anatomy.masks[each].array[window])
        if not part.any():
            continue
        kept = number(f"needle_stand_off_{each.kind}_mm"), anatomy.error_mm.get(each, 0.0)
        pooled = np.zeros(coarse.shape, np.uint8)
        pool_any(part, *factors, 1, pooled)
        group = groups.setdefault(kept, np.zeros(coarse.shape, bool))
        group |= pooled.astype(bool)
        critical.append(each)
        which[pooled > 0] = len(critical)
    margin = np.full(coarse.shape, 1e6, np.float32)
    clear = np.full(coarse.shape, 1e6, np.float32)
    # a pooled voxel reaches half its width beyond its centre
    half = 0.5 * float(np.mean(coarse.spacing_mm))
    for (stand_off, error), mask in groups.items():
        distance = distance_mm(mask, coarse.spacing_mm) - half - error
        np.minimum(margin, distance - stand_off, out=margin)
        np.minimum(clear, distance, out=clear)
    return margin, clear, tuple(critical), which


def _bone(
    anatomy: Anatomy,
    window: tuple[slice, ...],
    factors: tuple[int, ...],
    shape: tuple[int, ...],
    allowed: frozenset[Structure],
    lesion: Structure,
    image: Array | None,
    elsewhere: Array,
) -> Array:
    bone = np.zeros(shape, np.uint8)
    counted = np.zeros(shape, np.uint16)
    others = [s for s in sorted(anatomy.masks) if s.kind == "bone" and s not in allowed]
    for each in [*others, *sorted(allowed)]:
        if each not in anatomy.masks:
            continue
        part = np.ascontiguousarray(anatomy.masks[each].array[window])
        if part.any():
            counted[:] = 0
            pool_count(part, *factors, counted)
            bone[2 * counted >= np.prod(factors)] = ALLOWED if each in allowed else FORBIDDEN
    if image is not None:  # dense, yet in no outline: a bone that nobody drew
        near_bone = ndimage.binary_dilation(bone > 0, iterations=1)
        unlabelled = (image > number("unlabelled_dense_hu")) & ~near_bone & ~elsewhere
        bone[ndimage.binary_opening(unlabelled, structure=np.ones((2, 2, 2)))] = FORBIDDEN
    if lesion in anatomy.masks:
        counted[:] = 0
        pool_count(np.ascontiguousarray(anatomy.masks[lesion].array[window]), *factors, counted)
        bone[2 * counted >= np.prod(factors)] = LESION
    return bone
