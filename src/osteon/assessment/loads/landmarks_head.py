"""The head of a femur from its outline: the sphere that most of the surface lies on, in any orientation.

Each point of the surface votes inwards along its normal for a centre, at every radius a head may have; the best centres are
fitted by least squares and judged by the share of their best half under which the surface lies on them. A shaft covers a band, a
condyle a part; a head covers a whole half and more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from osteon.assessment.loads.base import Point, number
from osteon.errors import InputError
from osteon.space.volume import Array, Volume, Window

CELL_MM, STEP_MM = 3.0, 1.5  # of the votes for a centre and a radius
MOST_POINTS = 12000  # of the surface that vote


@dataclass(frozen=True, eq=False)
class Sphere:
    """A sphere fitted to the surface.

    Parameters
    ----------
    centre_mm : ndarray (3,)
        LPS mm.
    radius_mm : float
        Radius [mm].
    covered : float
        Share of its best half under which the surface lies on it: about 1 on a head, 0.6 on a shaft, which covers a band.
    rest_mm : float
        Root mean square distance of those points from it [mm].
    """

    centre_mm: Array
    radius_mm: float
    covered: float
    rest_mm: float


def surface_points(mask: Volume, imaged: Volume) -> tuple[Array, Array]:
    """Return points on the surface of a mask and the outward normals there, each (n, 3), LPS.

    Points are the middles of voxel faces between inside and outside; a face at the border of what was imaged is no surface.
    """
    box = mask.box()
    if box is None:
        return np.zeros((0, 3)), np.zeros((0, 3))
    window = cast(
        Window, tuple(slice(max(s.start - 6, 0), min(s.stop + 6, n)) for s, n in zip(box, mask.grid.shape, strict=True))
    )
    inside, seen = mask.part(window).astype(bool), imaged.part(window).astype(bool)
    spacing = mask.spacing_mm
    smooth = ndimage.gaussian_filter(inside.astype(np.float32), [max(1.5 / s, 0.7) for s in spacing], mode="nearest")
    slope = np.stack(np.gradient(smooth), -1)
    places, slopes = [], []
    for axis in range(3):
        low = tuple(slice(0, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        index = np.argwhere((inside[low] != inside[high]) & seen[low] & seen[high])
        places.append(index + 0.5 * np.eye(3)[axis])
        z, y, x = index.T
        slopes.append(0.5 * (slope[low][z, y, x] + slope[high][z, y, x]))
    index, along = np.concatenate(places), np.concatenate(slopes)
    normals = -along[:, ::-1] @ np.linalg.inv(mask.grid.matrix[:3, :3])
    length = np.linalg.norm(normals, axis=1)
    good = length > 1e-6
    return mask.grid.to_mm(index[good] + np.array([s.start for s in window])), normals[good] / length[good, None]


def find_head(points: Array, normals: Array, voxel_mm: float, given: Point | None = None) -> Sphere | None:
    """Return the largest sphere of which the surface covers a half, else the best; None where there are no points.

    Parameters
    ----------
    points, normals : ndarray (n, 3)
        From ``surface_points``.
    voxel_mm : float
        Largest edge of a voxel [mm].
    given : tuple of float, optional
        Centre given by hand; then only the radius is looked for.
    """
    if len(points) < 50:
        return None
    if given is not None:
        centre = np.asarray(given, float)
        return _judged(centre, _usual_radius(points, normals, centre), points, normals, voxel_mm)
    spheres = [_refined(centre, radius, points, normals, voxel_mm) for centre, radius in _candidates(points, normals)]
    whole = [s for s in spheres if s.covered >= number("femur_head_covered")]
    if whole:
        return max(whole, key=lambda s: s.radius_mm)  # a bump of the bone is a sphere too; the head is the largest
    return max(spheres, key=lambda s: s.covered) if spheres else None


def _has_size_of_head(radius_mm: float) -> bool:
    return number("femur_head_least_mm") <= radius_mm <= number("femur_head_most_mm")


def _candidates(points: Array, normals: Array) -> list[tuple[Array, float]]:
    """Return the centres and radii with most votes: each point votes one radius inwards along its normal."""
    step = max(1, len(points) // MOST_POINTS)
    p, n = points[::step], normals[::step]
    low = p.min(0) - CELL_MM
    shape = np.ceil((p.max(0) + CELL_MM - low) / CELL_MM).astype(int) + 1
    found: list[tuple[float, Array, float]] = []
    for radius in np.arange(number("femur_head_search_least_mm"), number("femur_head_search_most_mm") + 0.1, STEP_MM):
        index = np.floor((p - radius * n - low) / CELL_MM).astype(int)
        index = index[((index >= 0) & (index < shape)).all(1)]
        votes = np.bincount(np.ravel_multi_index(index.T, shape), minlength=int(np.prod(shape))).reshape(shape)
        near = ndimage.uniform_filter(votes.astype(float), 3, mode="constant") / radius**2
        for _ in range(2):
            at = np.unravel_index(int(near.argmax()), near.shape)
            found.append((float(near[at]), low + (np.array(at) + 0.5) * CELL_MM, float(radius)))
            near[tuple(slice(max(a - 4, 0), a + 5) for a in at)] = 0.0
    found.sort(key=lambda f: -f[0])
    likely = [(centre, radius) for _, centre, radius in found if _has_size_of_head(radius)]
    return likely[:12] + [(centre, radius) for _, centre, radius in found if not _has_size_of_head(radius)][:4]


def _refined(centre: Array, radius: float, points: Array, normals: Array, voxel_mm: float) -> Sphere:
    """Fit a sphere by least squares to the points near it whose normals point away from its centre."""
    for within in (5.0, 4.0, 3.0, 2.0, 2.0, 1.5, 1.5, 1.5, 1.5):
        use = _on(centre, radius, points, normals, max(within, 0.7 * voxel_mm))
        if use.sum() < 50:
            break
        away = points[use] - centre
        distance = np.linalg.norm(away, axis=1)
        system = np.column_stack([-away / distance[:, None], -np.ones(len(distance))])
        step, *_ = np.linalg.lstsq(system, radius - distance, rcond=None)
        centre, radius = centre + step[:3], float(np.clip(radius + step[3], 5.0, 60.0))
    return _judged(centre, radius, points, normals, voxel_mm)


def _on(centre: Array, radius: float, points: Array, normals: Array, within_mm: float) -> Array:
    away = points - centre
    distance = np.maximum(np.linalg.norm(away, axis=1), 1e-9)
    aligned = np.einsum("ij,ij->i", away, normals) / distance
    return np.asarray((np.abs(distance - radius) <= within_mm) & (aligned > number("femur_head_aligned")))


def _usual_radius(points: Array, normals: Array, centre: Array) -> float:
    """Return the most frequent distance from a centre among points whose normals point away from it [mm]."""
    away = points - centre
    distance = np.maximum(np.linalg.norm(away, axis=1), 1e-9)
    least, most = number("femur_head_search_least_mm"), number("femur_head_search_most_mm")
    keep = (
        (np.einsum("ij,ij->i", away, normals) / distance > number("femur_head_aligned")) & (distance > least) & (distance < most)
    )
    if keep.sum() < 20:
        return 0.0
    counts, edges = np.histogram(distance[keep], bins=np.arange(least, most + 0.5, 0.5))
    mode = edges[int(ndimage.uniform_filter1d((counts / (edges[:-1] + 0.25) ** 2).astype(float), 4).argmax())] + 0.25
    return float(np.median(distance[keep & (np.abs(distance - mode) <= 2.0)]))


def _judged(centre: Array, radius: float, points: Array, normals: Array, voxel_mm: float) -> Sphere:
    use = _on(centre, radius, points, normals, max(1.5, 0.7 * voxel_mm))
    if use.sum() < 20:
        return Sphere(centre, radius, 0.0, 0.0)
    away = points[use] - centre
    distance = np.linalg.norm(away, axis=1)
    count = 300
    turn, height = np.pi * (1.0 + 5.0**0.5) * np.arange(count), 1.0 - 2.0 * (np.arange(count) + 0.5) / count
    width = np.sqrt(1.0 - height**2)
    spread = np.column_stack([width * np.cos(turn), width * np.sin(turn), height])
    reach = 0.5 * 4.0 / count**0.5 + 0.5 * voxel_mm / max(radius, 1.0)  # half the distance of directions, and of points
    gap, _ = cKDTree(away / distance[:, None]).query(spread)
    halves = (spread @ spread.T) > 0.0
    covered = float((halves @ (gap <= reach).astype(float) / halves.sum(1)).max())
    return Sphere(centre, radius, covered, float(np.sqrt(np.mean((distance - radius) ** 2))))


def checked_head(head: Sphere | None, name: str, *, by_hand: bool) -> Sphere:
    """Return a head that can be one.

    Raises
    ------
    InputError
        If there is none, or it has no size of a femoral head.
    """
    covered = 0.0 if head is None else head.covered
    least_covered = number("femur_head_covered_by_hand") if by_hand else number("femur_head_covered")
    if head is None or covered < least_covered:
        where = "round the centre that was given" if by_hand else "in this image"
        raise InputError(
            f"No femoral head is found {where} on the {name}: the best sphere has {100 * covered:.0f} % "
            f"of a half on its surface, a head {100 * least_covered:.0f} % or more.",
            "The stance presses on the head; a bone without one cannot be loaded so.",
            "Check the outline and the voxel size, and give the centre of the head (--head) where the image holds it; else ask "
            "for bending or torsion of the shaft (shaft-bending, shaft-torsion).",
        )
    low, high = number("femur_head_least_mm"), number("femur_head_most_mm")
    if not _has_size_of_head(head.radius_mm):
        raise InputError(
            f"No femoral head is found on the {name}: the largest sphere on its surface has a radius of {head.radius_mm:.1f} mm, "
            f"heads have {low:.0f} to {high:.0f} mm.",
            "What was found is something else, and the load would press on the wrong place.",
            "Check the outline and the voxel size, and give the centre of the head (--head) where the image holds it; else ask "
            "for bending or torsion of the shaft (shaft-bending, shaft-torsion).",
        )
    return head
