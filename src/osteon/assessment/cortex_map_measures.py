"""What surgeons read from the unrolled cortex: how far round, how long, how deep and how wide, each with an interval.

The interval is that of a surface which may lie wrong (``cortex_map.yaml``): an outline by a voxel, an edge that the image shows
at half its height by half a voxel. More loss: every place takes the least that is left within a voxel of it, and loses half a
voxel of depth, or a whole one where the outline alone says how deep the lesion is. Less loss: the most that is left within half a
voxel, and as much depth more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from osteon.assessment.cortex_map import CortexMap
from osteon.assessment.cortex_map_rays import limit
from osteon.assessment.measure_base import threshold
from osteon.space.volume import Array


@dataclass(frozen=True, eq=False)
class Measured:
    """One measure of the map.

    Parameters
    ----------
    best, low, high : float
        The figure and its interval.
    cells : ndarray (n, m) of bool
        The places that it was read from.
    where : str
        Which they are, in words.
    """

    best: float
    low: float
    high: float
    cells: Array
    where: str


@dataclass(frozen=True, eq=False)
class Involvement:
    """Everything that is read from one map.

    Parameters
    ----------
    around, around_through : Measured
        Largest part of the circumference with less than half of the thickness, and with none; 0 to 1.
    along_mm, along_through_mm : Measured
        Longest run along the surface with less than two thirds of the thickness, and with none [mm].
    thickness : Measured
        Greatest part of the thickness that is lost over an area that counts; 0 to 1.
    diameter : Measured
        Width of the lesion over that of the bone in the worst projection; 0 to 1.
    breach_mm2 : float
        Area that is breached.
    """

    around: Measured
    around_through: Measured
    along_mm: Measured
    along_through_mm: Measured
    thickness: Measured
    diameter: Measured
    breach_mm2: float


def involvement(found: CortexMap) -> Involvement:
    """Read every measure from a map.

    Parameters
    ----------
    found : CortexMap
        The unrolled cortex.
    """
    less, more = shifted(found)
    most, least = limit("around_below"), limit("along_below")
    thin = [found.below(most), *(grid < most for grid in (less, more))]
    seen = [found.below(least), *(grid < least for grid in (less, more))]
    through = [found.breach, _worn(found, found.breach & found.blank), more <= 0]
    return Involvement(
        around=_around(found, thin),
        around_through=_around(found, through),
        along_mm=_along(found, seen),
        along_through_mm=_along(found, through),
        thickness=_thickness(found, (less, more)),
        diameter=_diameter(found),
        breach_mm2=float((found.arc_mm * found.slice_mm)[found.breach].sum()),
    )


def shifted(found: CortexMap) -> tuple[Array, Array]:
    """Return what is left (n, m) if surfaces lie wrong so that less is lost, and so that more is; 1 where no lesion lies.

    What is unknown at the lesion counts as whole in the first and as lost in the second.
    """
    blind = found.unknown & found.lesion
    left = np.where(found.lesion & ~found.unknown, found.intact, 1.0)
    depth = np.maximum(found.outer_mm - found.inner_mm, 1e-6)
    half, whole = limit("image_shift_voxels"), limit("outline_shift_voxels")
    taken = left < 1.0
    less = np.where(taken, ndimage.maximum_filter(left, _foot(found, half), mode=["nearest", "wrap"]), 1.0)
    less = np.where(taken, np.minimum(less + np.where(found.by_outline, whole, half) * found.voxel_across_mm / depth, 1.0), 1.0)
    wide = ndimage.minimum_filter(np.where(blind, 0.0, left), _foot(found, whole), mode=["nearest", "wrap"])
    near = ndimage.maximum_filter(found.lesion, _foot(found, whole), mode=["nearest", "wrap"])
    deeper = np.where(found.by_outline, whole, half) * found.voxel_across_mm / depth
    more = np.where(near, np.maximum(wide - deeper, 0.0), 1.0)
    if not found.resolved:
        less = np.ones_like(less)
    return np.asarray(less), np.asarray(np.where(near & (wide >= 1.0) & ~found.lesion, 1.0, more))


def _foot(found: CortexMap, voxels: float) -> tuple[int, int]:
    """Return how many cells along and round a shift of so many voxels reaches into, odd."""
    arc = float(np.median(found.arc_mm))
    up = int(np.ceil(voxels * found.voxel_along_mm / found.slice_mm - 1e-6))
    aside = int(np.ceil(voxels * found.voxel_across_mm / arc - 1e-6))
    return 2 * up + 1, 2 * aside + 1


def _worn(found: CortexMap, cells: Array) -> Array:
    """Return what is left of some cells if their edge lies half a voxel too far out; nothing where no cortex is resolved."""
    if not found.resolved:
        return np.zeros_like(cells)
    return np.asarray(ndimage.minimum_filter(cells, _foot(found, limit("image_shift_voxels")), mode=["nearest", "wrap"]))


def _around(found: CortexMap, cells: list[Array]) -> Measured:
    whole = found.arc_mm.sum(1)
    parts = [(found.arc_mm * one).sum(1) / whole for one in cells]
    ties = np.flatnonzero(parts[0] >= parts[0].max() - 1e-9)
    at = int(ties[len(ties) // 2])
    read = np.zeros_like(cells[0])
    read[at] = cells[0][at]
    best, low, high = (float(part.max()) for part in parts)
    return Measured(best, min(low, best), max(high, best), read, f"slice {found.along_mm[at]:.1f} mm along the axis")


def _along(found: CortexMap, cells: list[Array]) -> Measured:
    runs = [_longest(found, one) for one in cells]
    best, read, where = runs[0]
    return Measured(best, min(runs[1][0], best), max(runs[2][0], best), read, where)


def _longest(found: CortexMap, cells: Array) -> tuple[float, Array, str]:
    """Return the longest run along the surface at one angle and its neighbours [mm], its cells, and where it is."""
    wide = cells | np.roll(cells, 1, 1) | np.roll(cells, -1, 1)
    steps = _path_mm(found)
    gap = max(round(limit("along_gap_mm") / found.slice_mm), 0)
    best, left, read, at = 0.0, 1.0, np.zeros_like(cells), 0
    for j in np.flatnonzero(wide.any(0)):
        rows = np.flatnonzero(wide[:, j])
        for part in np.split(rows, np.flatnonzero(np.diff(rows) > gap + 1) + 1):
            length = float(steps[part[0] : part[-1] + 1, j].sum())
            thin = float(found.intact[part[0] : part[-1] + 1, j].mean())
            tie = length > best - 1e-3 * found.slice_mm and thin < left
            if length > best + 1e-3 * found.slice_mm or tie:
                best, left, at = max(length, best), thin, int(j)
                read = np.zeros_like(cells)
                read[part[0] : part[-1] + 1, j] = True
    angle = np.degrees(found.theta_rad[at])
    return best, read, f"{angle:.0f} degrees from {found.directions[0]} towards {found.directions[1]}"


def _path_mm(found: CortexMap) -> Array:
    """Return the length of the outer surface that each cell stands for along the bone (n, m) [mm].

    Smoothed over three voxels: the steps of an outline are no path.
    """
    size = 2 * round(1.5 * found.voxel_along_mm / found.slice_mm) + 1
    smooth = ndimage.uniform_filter1d(found.points_mm, size, axis=0, mode="nearest")
    slopes = np.gradient(smooth, found.slice_mm, axis=0)
    return np.asarray(np.maximum(np.linalg.norm(slopes, axis=-1), 1.0) * found.slice_mm)


def _thickness(found: CortexMap, moved: tuple[Array, Array]) -> Measured:
    """Return the greatest loss over patches of the least area that counts; smaller places are taken for noise."""
    lost = np.where(found.lesion & ~found.unknown, 1 - found.intact, 0.0)
    best = _reached(found, lost)
    low, high = (_reached(found, 1 - grid) for grid in moved)
    read = (lost >= 0.95 * best) & (lost > 0)
    reference = float(np.median(found.outer_mm - found.inner_mm))
    return Measured(best, min(low, best), max(high, best), read, f"expected thickness {reference:.1f} mm")


def _reached(found: CortexMap, lost: Array) -> float:
    """Return the greatest loss that half of a patch of the least area that counts reaches; one ray alone tells nothing."""
    edge = float(np.sqrt(threshold("breach_least_mm2")))
    size = [2 * round(edge / step / 2) + 1 for step in (found.slice_mm, float(np.median(found.arc_mm)))]
    wrapped = np.pad(np.pad(lost, ((0, 0), (size[1], size[1])), mode="wrap"), ((size[0], size[0]), (0, 0)), mode="edge")
    return float(ndimage.median_filter(wrapped, size).max())


def _diameter(found: CortexMap) -> Measured:
    """Return the width of the lesion over that of the bone in the worst of many projections across the axis."""
    held = np.isfinite(found.lesion_to_mm)
    rows = np.flatnonzero(held.any(1))
    if not len(rows):
        return Measured(0.0, 0.0, 0.0, held, "the lesion does not lie in the bone")
    near = np.nan_to_num(found.lesion_from_mm[rows])
    far = np.nan_to_num(found.lesion_to_mm[rows])
    turned = float(found.theta_rad[1] - found.theta_rad[0]) / 2  # a ray stands for half the angle to the next on either side
    best, bone, at, angle = 0.0, 1.0, int(rows[0]), 0.0
    for turn in np.arange(int(limit("projections"))) * np.pi / limit("projections"):
        along = np.cos(found.theta_rad - turn)
        ends = np.stack([r * np.cos(found.theta_rad - turn + side) for r in (near, far) for side in (-turned, turned)])
        high = np.where(held[rows], ends.max(0), -np.inf).max(1)
        low = np.where(held[rows], ends.min(0), np.inf).min(1)
        edge = found.outer_mm[rows] * along
        width = edge.max(1) - edge.min(1)
        part = (high - low) / width
        if part.max() > best:
            k = int(np.argmax(part))
            best, bone, at, angle = float(part[k]), float(width[k]), int(rows[k]), float(np.degrees(turn))
    read = np.zeros_like(held)
    read[at] = held[at]
    slack = 2 * limit("outline_shift_voxels") * found.voxel_across_mm / bone
    where = f"slice {found.along_mm[at]:.1f} mm along the axis, width at {angle:.0f} degrees, bone {bone:.1f} mm wide"
    return Measured(min(best, 1.0), max(best - slack, 0.0), min(best + slack, 1.0), read, where)
