"""The cortex as it should be where the lesion is: its thickness at each angle, as healthy slices nearby show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from osteon.assessment.cortex_map_rays import Rays, limit
from osteon.assessment.measure_base import threshold
from osteon.errors import InputError, MissingError
from osteon.space.volume import Array

Reference = Literal["healthy slices", "opposite bone"]


@dataclass(frozen=True, eq=False)
class Expected:
    """The cortex as it should be here.

    Parameters
    ----------
    thickness_mm : ndarray (n, m)
        Its thickness.
    peak_hu : float
        Median of its greatest HU.
    shift_mm : float
        How far outside the outline its outer edge shows.
    unseen : float
        Part of the cells looked at that show no cortex.
    reference : {"healthy slices", "opposite bone"}
        Where it was read.
    notes : tuple of str
        What weakens it.
    """

    thickness_mm: Array
    peak_hu: float
    shift_mm: float
    unseen: float
    reference: Reference
    notes: tuple[str, ...] = ()


def portion(values: Array) -> Array:
    """Return for each step along the last axis which part of it lies above 0, for values that run straight between samples."""
    a, b = values[..., :-1], values[..., 1:]
    high = np.maximum(a, b)
    return np.asarray(np.where(np.minimum(a, b) > 0, 1.0, np.where(high > 0, high / np.maximum(np.abs(a - b), 1e-9), 0.0)))


def half_height(peak_hu: float, added_hu: float) -> float:
    """Return the HU at which cortex begins, where contrast agent has added this much to soft tissue."""
    soft, least = threshold("cortex_soft_hu") + added_hu, threshold("cortex_least_hu") + added_hu
    return max((peak_hu + soft) / 2, least)


def first_run(cast: Rays, cut_hu: float) -> tuple[Array, Array]:
    """Return the thickness of the outermost dense run on each ray (n, m) [mm], and its outer radius (n, m)."""
    dense = portion(cast.profile - cut_hu)
    middle = (cast.radius_mm[:-1] + cast.radius_mm[1:]) / 2
    dense = np.where(middle <= cast.outer_mm[..., None] + cast.voxel_across_mm, dense, 0.0)[..., ::-1]
    started = np.cumsum(dense > 0, -1) > 0
    ended = np.cumsum(started & (dense <= 0), -1) > 0
    run = np.where(started & ~ended, dense, 0.0)
    first = np.argmax(dense > 0, -1)
    edge = middle[::-1][first] - cast.step_mm / 2 + np.take_along_axis(dense, first[..., None], -1)[..., 0] * cast.step_mm
    return run.sum(-1) * cast.step_mm, np.where(started.any(-1), edge, np.nan)


def touched_slices(cast: Rays) -> Array:
    """Return in which slices the lesion lies in the bone (n,)."""
    return np.asarray(((cast.depth_mm < 0) & (cast.radius_mm <= cast.outer_mm[..., None] + cast.voxel_across_mm)).any((1, 2)))


def healthy_slices(cast: Rays, added_hu: float = 0.0, even: bool = True) -> Expected:
    """Return the cortex as the same angles of healthy slices nearby have it.

    Parameters
    ----------
    cast : Rays
        Of this bone.
    added_hu : float
        What contrast agent may have added to healthy soft tissue.
    even : bool
        Refuse slices that disagree with each other; not needed where they are compared level by level.

    Raises
    ------
    MissingError
        If too little healthy shaft lies near.
    InputError
        If its cortex is not denser than soft tissue, or differs too much from slice to slice.
    """
    along, inside = cast.frame.along_mm, touched_slices(cast)
    ends = along[inside] if inside.any() else np.zeros(0)
    away = np.abs(along[:, None] - ends[None]).min(1, initial=np.inf)
    far = np.where(np.isfinite(away), away, threshold("healthy_beyond_mm") + 1e-6)
    near = (far > threshold("healthy_beyond_mm")) & (far <= threshold("healthy_beyond_mm") + limit("healthy_within_mm"))
    good = near[:, None] & ~cast.unknown & cast.tube
    rows = good.mean(1) >= limit("tube_least_fraction")
    length = float(rows.sum()) * cast.slice_mm
    if length < limit("healthy_least_mm"):
        raise MissingError(
            f"{length:.1f} mm of healthy shaft lie within {limit('healthy_within_mm'):g} mm of the lesion.",
            "What its cortex should be cannot be read from fewer than " + f"{limit('healthy_least_mm'):g} mm.",
            "Take a CT that shows more of the shaft, or outline more of the bone.",
        )
    return _expected(cast, good & rows[:, None], added_hu, even)


def _expected(cast: Rays, good: Array, added_hu: float, even: bool) -> Expected:
    window = (cast.radius_mm <= cast.outer_mm[..., None] + cast.voxel_across_mm) & (
        cast.radius_mm >= cast.outer_mm[..., None] / 3
    )
    peak = float(np.median(np.where(window, cast.profile, -np.inf).max(-1)[good]))
    thickness, edge = first_run(cast, half_height(peak, added_hu))
    usual = np.nanmedian(np.where(good, thickness, np.nan), axis=0) if good.any(0).all() else _filled(thickness, good)
    if float(np.median(usual)) < cast.step_mm:
        raise InputError(
            f"The healthy cortex peaks at {peak:.0f} HU and shows {float(np.median(usual)):.2f} mm of thickness.",
            "A cortex that the image does not resolve cannot be seen to be lost.",
            "Take a CT with thinner slices.",
        )
    if even:
        _refuse_uneven(np.where(good, thickness, np.nan)[:, good.sum(0) >= 3], float(np.median(usual)))
    shift = float(np.nanmedian(np.where(good, edge - cast.outer_mm, np.nan)))
    shift = float(np.clip(shift, -cast.voxel_across_mm, cast.voxel_across_mm))
    unseen = float((thickness < cast.step_mm)[good].mean())
    usual = np.maximum(usual, cast.step_mm)
    return Expected(np.broadcast_to(usual, cast.outer_mm.shape).copy(), peak, shift, unseen, "healthy slices")


def _refuse_uneven(thickness: Array, usual: float) -> None:
    """Refuse slices that disagree about the thickness at one angle: a neck, a head or a flare is no shaft."""
    if thickness.shape[1] == 0:
        return
    low, high = np.nanpercentile(thickness, [25, 75], axis=0)
    apart = float(np.median(high - low)) / usual
    if apart > limit("even_most_fraction"):
        raise InputError(
            f"The cortex of the slices beside the lesion differs by {100 * apart:.0f} % of its thickness at the same angle.",
            "Their median is no reference: this is not the shaft.",
            "Read the involvement from the slices, or compare with the opposite bone.",
        )


def _filled(thickness: Array, good: Array) -> Array:
    """Return the median of each angle, taken from its neighbours where it has none."""
    seen = np.flatnonzero(good.any(0))
    middle = np.array([np.median(thickness[good[:, j], j]) for j in seen])
    count = good.shape[1]
    return np.asarray(np.interp(np.arange(count), seen, middle, period=count))
