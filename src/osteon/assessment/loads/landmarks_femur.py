r"""Landmarks of a femur from its outline: head, neck, shaft, lesser trochanter and knee, in any orientation.

Everything is read from the head: the shell just outside it cuts the neck, far shells cut the shaft alone. Nothing rests on how
the leg or the image lies; only which side of the plane of neck and shaft is behind needs the side of the body.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy import ndimage

from osteon.assessment.loads.base import Point, number
from osteon.assessment.loads.landmarks_head import Sphere, checked_head, find_head, surface_points
from osteon.assessment.loads.nodes import outline_without_specks
from osteon.errors import InputError
from osteon.space.anatomy import Anatomy, Structure
from osteon.space.volume import Array, Volume, Window

BIN_MM = 2.0  # of profiles along the shaft


@dataclass(frozen=True, eq=False)
class Shaft:
    """The shaft below the lesser trochanter.

    Parameters
    ----------
    point_mm, axis : ndarray (3,)
        A point of its axis and its direction towards the hip, LPS.
    lesser_trochanter_mm : float
        Level of the lower end of the lesser trochanter below the centre of the head, along the axis [mm].
    end_mm : float
        Level of the lower end of what is outlined, along the axis [mm].
    rest_mm : float
        Root mean square distance of the sections' centres from the axis [mm].
    doubts : tuple of str
        What weakens it.
    """

    point_mm: Array
    axis: Array
    lesser_trochanter_mm: float
    end_mm: float
    rest_mm: float
    doubts: tuple[str, ...] = ()

    def at(self, head_mm: Array, level_mm: float) -> Array:
        """Return the point of the axis at a level below the head's centre."""
        below = float((head_mm - self.point_mm) @ self.axis) - level_mm
        return np.asarray(self.point_mm + below * self.axis)


@dataclass(frozen=True, eq=False)
class Femur:
    """Landmarks of a femur.

    ``medial`` and ``posterior`` are unit vectors square to the shaft; the knee is None where it is cut off.
    """

    head: Sphere
    neck_mm: Array
    neck_shaft_deg: float
    shaft: Shaft
    medial: Array
    posterior: Array
    knee_mm: Array | None
    doubts: tuple[str, ...]


def point(mm: Array) -> Point:
    """Return an array of three as a point."""
    x, y, z = (float(v) for v in mm)
    return (x, y, z)


def unit(vector: Array) -> Array:
    """Return a vector at length 1."""
    return np.asarray(vector / np.linalg.norm(vector))


def angle_deg(one: Array, other: Array) -> float:
    """Return the angle between two directions [degrees]."""
    return float(np.degrees(np.arccos(np.clip(unit(one) @ unit(other), -1.0, 1.0))))


def bone_points(mask: Volume) -> Array:
    """Return the centres of a mask's voxels (n, 3), LPS mm."""
    box = mask.box()
    if box is None:
        return np.zeros((0, 3))
    return mask.grid.to_mm(np.argwhere(mask.part(box)) + np.array([s.start for s in box]))


def neck_of(head: Sphere, bone: Array, toward_mm: Array) -> Array:
    """Return the middle of the neck (3,): of the bone in a thin shell just outside the head, near the way to a place, LPS mm.

    Raises
    ------
    InputError
        If no bone leaves the head.
    """
    away = bone - head.centre_mm
    distance = np.linalg.norm(away, axis=1)
    low, high = number("femur_neck_from"), number("femur_neck_to")
    use = (distance >= low * head.radius_mm) & (distance <= high * head.radius_mm)
    if use.sum() < 10:
        raise InputError(
            "No neck leaves the femoral head.",
            "Without it neither the plane of the load nor its inner side is known.",
            "Check the outline, or give the direction of the load by hand (--axis).",
        )
    directions = away[use] / distance[use, None]
    middle = unit(toward_mm - head.centre_mm)  # not the mean: rests of the socket may be outlined with the head
    for _ in range(4):
        near = directions[directions @ middle > np.cos(np.radians(50.0))]
        middle = unit(near.mean(0)) if len(near) else middle
    return np.asarray(head.centre_mm + 0.5 * (low + high) * head.radius_mm * middle)


def shaft_of(head: Sphere, bone: Array, name: str, voxel_mm: float) -> Shaft:
    """Return the axis of the shaft below the lesser trochanter, from the middles of its sections.

    Raises
    ------
    InputError
        If what is outlined ends too near below the head; says how much is needed.
    """
    distance = np.linalg.norm(bone - head.centre_mm, axis=1)
    begins, reach = number("femur_shaft_from") * head.radius_mm, float(np.quantile(distance, 0.9995))
    if reach < begins + 15.0:
        raise InputError(
            _too_short(name, f"reaches no further than {reach:.0f} mm from the centre of the head"), WHY_SHORT, DO_SHORT
        )
    edges = np.arange(begins, min(reach - 1.0, begins + 120.0), max(BIN_MM, voxel_mm))
    shell = np.digitize(distance, edges)
    counts = np.bincount(shell, minlength=len(edges) + 1)[1:-1]
    some = counts > 0
    sums = [np.bincount(shell, bone[:, a], minlength=len(edges) + 1)[1:-1][some] / counts[some] for a in range(3)]
    middle, axis, _ = _line(np.column_stack(sums))
    axis = axis if (head.centre_mm - middle) @ axis > 0 else -axis
    for _ in range(3):
        level = (head.centre_mm - bone) @ axis
        levels, area, centres = sections(bone, level, voxel_mm)
        end = full_end(levels, area)
        outermost = _outermost(bone, level, levels, middle, axis)
        trochanter, doubts = _lesser_trochanter(levels, outermost, head.radius_mm, end)
        use = (levels >= trochanter + 5.0) & (levels <= min(trochanter + 105.0, end - 3.0)) & (area > 0)
        if use.sum() < 5:
            raise InputError(_too_short(name, f"ends {end - trochanter:.0f} mm below the lesser trochanter"), WHY_SHORT, DO_SHORT)
        middle, turned, rest = _line(centres[use])
        axis = turned if turned @ axis > 0 else -turned
    return Shaft(middle, axis, trochanter, end, rest, doubts)


WHY_SHORT = "Where the bone is cut is where the model is clamped: so near the trochanter the clamp carries what the bone should."
DO_SHORT = (
    "Use a scan that holds more of the shaft; or ask for bending or torsion of the shaft (shaft-bending, shaft-torsion) "
    "where that is where the lesion lies."
)


def _too_short(name: str, how: str) -> str:
    least = number("femur_least_below_lesser_trochanter_mm")
    return f"The {name} in this image {how}; the stance needs at least {least:.0f} mm of shaft below the lesser trochanter."


def _line(centres: Array) -> tuple[Array, Array, float]:
    """Return middle, direction and root mean square rest of the line through points, without the farthest tenth."""
    keep = np.ones(len(centres), bool)
    for _ in range(2):
        middle = centres[keep].mean(0)
        axis = np.linalg.svd(centres[keep] - middle, full_matrices=False)[2][0]
        away = centres - middle
        rest = np.linalg.norm(away - np.outer(away @ axis, axis), axis=1)
        keep = rest <= max(float(np.quantile(rest, 0.9)), 1e-6)
    return middle, axis, float(np.sqrt(np.mean(rest[keep] ** 2)))


def sections(points: Array, level: Array, voxel_mm: float) -> tuple[Array, Array, Array]:
    """Return level [mm], number of voxels, and centre (n, 3) of slices square to an axis.

    Each voxel is shared between the two slices next to it, and slices are no thinner than voxels, so that a thick image slice
    leaves no gap and no doubled slice.
    """
    step = max(BIN_MM, voxel_mm)
    low = float(level.min())
    at = (level - low) / step
    first = np.floor(at).astype(int)
    share = at - first
    count = np.zeros(int(first.max()) + 2)
    sums = np.zeros((3, len(count)))
    for which, weight in ((first, 1.0 - share), (first + 1, share)):
        count += np.bincount(which, weight, minlength=len(count))
        for axis in range(3):
            sums[axis] += np.bincount(which, weight * points[:, axis], minlength=len(count))
    return low + np.arange(len(count)) * step, count, (sums / np.maximum(count, 1e-9)).T


def full_end(levels: Array, area: Array) -> float:
    """Return the last level with a full section: an oblique cut or a rounded end leaves parts of sections beyond it [mm]."""
    smooth, beside = ndimage.uniform_filter1d(area, 3, mode="nearest"), max(int(20.0 / (levels[1] - levels[0])), 3)
    for last in range(len(levels) - 1, 0, -1):
        if smooth[last] >= number("shaft_full_section") * np.median(area[max(last - beside, 0) : last + 1]):
            return float(levels[last])
    return float(levels[-1])


def _outermost(bone: Array, level: Array, levels: Array, middle: Array, axis: Array) -> Array:
    """Return how far the outermost voxels of each slice lie from the shaft's axis [mm], the 98th percentile."""
    away = bone - middle
    distance = np.linalg.norm(away - np.outer(away @ axis, axis), axis=1)
    step = levels[1] - levels[0]
    which = np.clip(np.round((level - levels[0]) / step).astype(int), 0, len(levels) - 1)
    order = np.argsort(which, kind="stable")
    groups = np.split(distance[order], np.searchsorted(which[order], np.arange(1, len(levels))))
    return np.array([np.quantile(g, 0.98) if len(g) else 0.0 for g in groups])


def _lesser_trochanter(levels: Array, outermost: Array, radius_mm: float, end_mm: float) -> tuple[float, tuple[str, ...]]:
    """Return the level at which, from below, the bone first stands out beyond its shaft: the lower end of the trochanter."""
    smooth = ndimage.median_filter(outermost, 3, mode="nearest")
    low, high = number("femur_trochanter_from") * radius_mm, number("femur_trochanter_to") * radius_mm
    for at in np.flatnonzero((levels >= low) & (levels <= min(high, end_mm - 10.0)))[::-1]:
        below = (levels > levels[at] + 5.0) & (levels <= min(levels[at] + 45.0, end_mm - 1.0))
        if below.sum() >= 2 and smooth[at] > number("femur_flare") * np.median(smooth[below]):
            return float(levels[at]), ()
    usual = number("femur_trochanter_usual") * radius_mm
    return usual, (f"No lesser trochanter stands out; its lower end is taken {usual:.0f} mm below the centre of the head.",)


def knee_of(head: Sphere, shaft: Shaft, bone: Array, voxel_mm: float, is_cut: bool) -> Array | None:
    """Return the middle of the condyles (3,), LPS mm; None where the image does not hold them whole."""
    level = (head.centre_mm - bone) @ shaft.axis
    levels, area, _ = sections(bone, level, voxel_mm)
    narrow = area[(levels > shaft.lesser_trochanter_mm) & (levels < levels[-1] - 60.0)]
    wide = area[levels > levels[-1] - 60.0]
    if is_cut or len(narrow) < 20 or levels[-1] < number("femur_whole_least_mm"):
        return None
    if wide.max() < number("femur_condyle_flare") * np.quantile(narrow, 0.1):
        return None
    return np.asarray(bone[level > level.max() - number("femur_condyle_slab_mm")].mean(0))


def _is_cut(mask: Volume, imaged: Volume, head: Sphere, shaft: Shaft) -> bool:
    """Tell whether the lower end of the outline lies at the border of what was imaged."""
    box = mask.box()
    assert box is not None
    window = cast(Window, tuple(slice(s.start, s.stop) for s in box))
    inside = mask.part(window).astype(bool)
    wide = [(int(s.start > 0), int(s.stop < n)) for s, n in zip(box, mask.grid.shape, strict=True)]
    around = cast(
        Window, tuple(slice(s.start - low, s.stop + high) for s, (low, high) in zip(box, wide, strict=True))
    )  # within the image
    seen = np.pad(imaged.part(around).astype(bool), [(1 - low, 1 - high) for low, high in wide])
    unseen = ndimage.binary_dilation(~seen)[1:-1, 1:-1, 1:-1] & inside
    places = mask.grid.to_mm(np.argwhere(unseen) + np.array([s.start for s in window]))
    level = (head.centre_mm - places) @ shaft.axis
    return bool((level > shaft.end_mm - 10.0).sum() > 10)


def femur_of(anatomy: Anatomy, bone: Structure, head_mm: Point | None = None) -> Femur:
    """Find the landmarks of a femur.

    Parameters
    ----------
    anatomy : Anatomy
        Holds its outline.
    bone : Structure
        The femur, left or right.
    head_mm : tuple of float, optional
        Centre of the head by hand, LPS mm.

    Raises
    ------
    InputError
        If there is no head in the image, it is no head by its size, the shaft is cut too short, or neck and shaft are at no angle
        of a femur; says what to give by hand.
    NotOutlinedError
        If the femur is not outlined.
    """
    mask = outline_without_specks(anatomy.mask(bone))
    points, normals = surface_points(mask, anatomy.imaged)
    voxel = max(mask.spacing_mm)
    head = find_head(points, normals, voxel, head_mm)
    head = checked_head(head, bone.name, by_hand=head_mm is not None)
    inside = bone_points(mask)
    shaft = shaft_of(head, inside, bone.name, voxel)
    least = number("femur_least_below_lesser_trochanter_mm")
    if shaft.end_mm - shaft.lesser_trochanter_mm < least:
        said = f"ends {shaft.end_mm - shaft.lesser_trochanter_mm:.0f} mm below the lesser trochanter"
        raise InputError(_too_short(bone.name, said), WHY_SHORT, DO_SHORT)
    neck = neck_of(head, inside, shaft.at(head.centre_mm, 0.5 * shaft.lesser_trochanter_mm))
    to_head = unit(head.centre_mm - neck)
    medial = unit(to_head - (to_head @ shaft.axis) * shaft.axis)
    behind = np.cross(shaft.axis, medial) * (1.0 if bone.side != "left" else -1.0)
    knee = knee_of(head, shaft, inside, voxel, _is_cut(mask, anatomy.imaged, head, shaft))
    return Femur(
        head, neck, 180.0 - angle_deg(to_head, shaft.axis), shaft, medial, behind, knee,
        (*shaft.doubts, *_side_doubts(bone, shaft.axis, behind)),
    )  # fmt: skip


def _side_doubts(bone: Structure, axis: Array, behind: Array) -> tuple[str, ...]:
    """Return a doubt where the leg stands upright in the image and yet its back lies in front."""
    if axis[2] > 0.7 and behind[1] < -0.2:
        return (f"By its shape this is no {bone.name} as the image lies: check the side, or the image's orientation.",)
    return ()
