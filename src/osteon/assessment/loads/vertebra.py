"""Compression and flexion of a vertebra between two caps of cement.

The bone stands between caps of bone cement that fill the space between its end plates and two planes across the axis, over the
body's footprint only. The lower plane is held along the axis, the upper one is moved along it; both slide sideways without
friction, and three further displacements that bear no load keep the bone from drifting (after the source code of Ogo). Arch and
processes stay in the model and are loaded through the pedicles alone.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy import ndimage

from osteon.assessment.loads.base import (
    Added,
    Builder,
    LoadCase,
    Placed,
    Point,
    Pose,
    Quantity,
    Variation,
    Voxels,
    number,
    turned,
)
from osteon.assessment.loads.end_plates import Plates, column_plates
from osteon.assessment.loads.landmarks_vertebra import BY_HAND, OTHER_PART, UP, WHY, Vertebra, find_vertebra
from osteon.assessment.outline import bone_before
from osteon.errors import InputError
from osteon.physics.elasticity import Support
from osteon.space.anatomy import Anatomy, Structure
from osteon.space.volume import Array, Volume

MM = 1e-3
LEFT_OVER_MM = 1.0  # of bone at the edge of the image, a thread that blocks no end plate


class VertebraCompression(Builder):
    """Two parallel caps pressed together."""

    name: ClassVar[str] = "vertebra-compression"
    title: ClassVar[str] = "compression of the vertebra"
    families: ClassVar[tuple[str, ...]] = ("vertebra",)
    quantity: ClassVar[Quantity] = "force"
    margin_mm: ClassVar[float] = 24.0  # room for the caps, turned by 8 degrees both ways too
    by_height: ClassVar[bool] = True
    sources: ClassVar[tuple[str, ...]] = ("ogo", "costa-2019")

    def pose(self, anatomy: Anatomy, case: LoadCase) -> Pose:
        """Find the frame of the load: z from the lower to the upper end plate, y to the back.

        Raises
        ------
        InputError
            If the outline holds no body with two end plates, the body is cut by the edge of the image, or its pose, height or
            width are implausible.
        NotOutlinedError
            If the vertebra is not outlined.
        """
        bone = _before(anatomy, case)
        axis = _by_hand(case)
        canal = anatomy.mask("spinal_cord") if anatomy.has("spinal_cord") else None
        found = find_vertebra(bone, canal, axis)
        cut = _cut(anatomy, bone, found, case.bone)
        return _pose(found, case, (*found.doubts, *_plausible(found, case), *cut))

    def place(self, voxels: Voxels, pose: Pose, variation: Variation = Variation()) -> Placed:  # noqa: B008 (frozen)
        """Put the caps onto the body and hold and move their outer planes.

        Raises
        ------
        InputError
            If no body is found among the cubes, or the caps do not fit into the grid.
        """
        axes = voxels.grid.matrix[:3, :3] / voxels.edge_mm
        low = voxels.grid.matrix[:3, 3] @ axes
        at = tuple(low[i] + voxels.edge_mm * np.arange(n) for i, n in enumerate(voxels.bone.shape[::-1]))
        body = _body(voxels.bone, at, pose, axes)
        plates = column_plates(body.astype(np.float32), *at)
        if plates is None:
            raise InputError("No vertebral body with two end plates was found among the cubes.", WHY, BY_HAND)
        caps = _caps(voxels, plates, at, variation)
        upper, lower = plates.middles()
        height = float(upper[2] - lower[2])
        back = float(at[1][np.flatnonzero(plates.footprint.any(1))[-1]]) + voxels.edge_mm / 2
        support, area_mm2 = self._support(caps, at, (float(plates.middle[1]), back))
        modulus = number("vertebra_cap_modulus") * 1e6 * variation.cap_modulus_factor
        return Placed(
            added=(Added("caps of bone cement", caps[0] | caps[1], modulus),), support=support, quantity=self.quantity,
            length_mm=height, most=number("vertebra_strain_end") * height * MM,
            area_note=f"through a cap of bone cement on the upper end plate, {area_mm2 / 100:.1f} cm²",
            notes=(*self._notes(), *_tilted(variation)),
        )  # fmt: skip

    def _notes(self) -> tuple[str, ...]:
        return (
            "Lower cap held along the axis, upper cap moved along it, both free to slide sideways.",
            "Arch and processes are in the model and loaded through the pedicles only; facet joints carry nothing.",
            "Caps of bone cement press stiffer and more evenly than discs do.",
        )

    def _pattern(self, y: Array, middle: float, back: float) -> Array:
        """Return the displacement of the upper plane along -z per unit, by the place along y [mm]."""
        return np.ones(len(y))

    def _support(self, caps: tuple[Array, Array], at: tuple[Array, ...], sagittal: tuple[float, float]) -> tuple[Support, float]:
        """Return held and moved nodes and the area of the moved plane [mm2]."""
        upper, lower = caps
        shape = (*(n + 1 for n in upper.shape), 3)
        mask, given = np.zeros(shape, bool), np.zeros(shape)
        held, moved = _face(lower, downwards=True), _face(upper, downwards=False)
        mask[..., 0] = held | moved
        edge = float(at[1][1] - at[1][0])
        y = np.append(at[1] - edge / 2, at[1][-1] + edge / 2)
        given[..., 0] = np.where(moved, -self._pattern(y, *sagittal)[None, :, None], 0.0)
        _pin(mask, held)
        return Support(mask, given), float(upper.any(0).sum() * edge**2)


class VertebraFlexion(VertebraCompression):
    """The upper cap turns forwards about the posterior wall while it presses: an own choice after Yang 2012.

    One unit is 1 m at the middle of the body. The load is the one that does the same work there: the moment about the posterior
    wall over its distance from the middle.
    """

    name: ClassVar[str] = "vertebra-flexion"
    title: ClassVar[str] = "flexion of the vertebra"
    by_height: ClassVar[bool] = False
    sources: ClassVar[tuple[str, ...]] = ("ogo", "yang-2012", "costa-2019")

    def _notes(self) -> tuple[str, ...]:
        return (
            "The upper cap turns forwards about the posterior wall of the body (own choice); displacement is that of the middle.",
            "The load is the moment about the posterior wall over its distance from the middle, in newtons. No part of the body "
            "is pulled, so its plateau lies near that of compression: what differs is where and how early the front gives way.",
            *super()._notes()[1:],
        )

    def _pattern(self, y: Array, middle: float, back: float) -> Array:
        arm = number("vertebra_flexion_pivot") * (back - middle)
        return np.asarray((middle + arm - y) / arm)


def _before(anatomy: Anatomy, case: LoadCase) -> Volume:
    """Return the outline of the bone, with what the lesion took from it."""
    bone = anatomy.mask(case.bone)
    if anatomy.has(case.lesion) and bone.box() is not None:
        return bone_before(bone, anatomy.mask(case.lesion))
    return bone


def _by_hand(case: LoadCase) -> Array | None:
    if case.axis is None:
        return None
    axis = np.asarray(case.axis, float)
    if axis.shape != (3,) or not np.isfinite(axis).all() or np.linalg.norm(axis) < 1e-6:
        raise InputError(
            f"The axis {case.axis} has no direction.", WHY, "Give three numbers that are not all 0 (--axis X,Y,Z, LPS)."
        )
    return axis


def _plausible(found: Vertebra, case: LoadCase) -> tuple[str, ...]:
    """Return doubts about what was found, or refuse it."""
    name, doubts = case.bone.name, []
    checks = (
        ("height", found.height_mm, number("vertebra_height_least_mm"), number("vertebra_height_most_mm")),
        ("width", max(found.width_mm, found.depth_mm), number("vertebra_width_least_mm"), number("vertebra_width_most_mm")),
    )
    for what, value, least, most in checks:
        if not least <= value <= most:
            raise InputError(
                f"The body of {name} has a {what} of {value:.1f} mm; {least:g} to {most:g} mm are plausible.", WHY, BY_HAND
            )
    apart = _angle(*found.normals)
    if apart > number("vertebra_plates_apart_deg"):
        raise InputError(f"The end plates that were found on {name} stand {apart:.0f} degrees apart.", WHY, BY_HAND)
    if apart > number("vertebra_plates_doubt_deg"):
        doubts.append(f"The end plates stand {apart:.0f} degrees apart: a wedged body, or one of them is not the plate.")
    if found.error_mm > number("vertebra_uneven_share") * found.height_mm:
        doubts.append(f"The end plates lie {found.error_mm:.1f} mm from planes: uneven, or broken in.")
    up = found.axes[:, 2]
    tilt = _angle(up, UP)
    if case.axis is None and tilt > number("vertebra_from_superior_deg"):
        if not found.isolated:
            raise InputError(
                f"The axis that was found for {name} lies {tilt:.0f} degrees from the patient's superior.", WHY, BY_HAND
            )
        doubts.append(f"The axis lies {tilt:.0f} degrees from superior: taken as a specimen that lies on its side.")
    if not found.isolated and found.canal_mm is None and tilt <= number("vertebra_from_superior_deg") and found.axes[1, 1] < 0:
        raise InputError(
            f"The body of {name} was found behind its arch.",
            "Of an outline whose ring is not closed the body is the thickest part; here it is another part that was found.",
            OTHER_PART,
        )
    if case.axis is not None:
        away = max(_angle(up, n) for n in found.normals)
        if away > number("vertebra_plates_doubt_deg"):
            doubts.append(f"The axis given by hand lies up to {away:.0f} degrees from across the end plates.")
    return tuple(doubts)


def _angle(one: Array, other: Array) -> float:
    return float(np.degrees(np.arccos(np.clip(one @ other, -1.0, 1.0))))


def _cut(anatomy: Anatomy, bone: Volume, found: Vertebra, which: Structure) -> tuple[str, ...]:
    """Refuse a body that the edge of the image cuts; return a doubt where it cuts the arch."""
    box = bone.box()
    assert box is not None
    part = bone.part(box)
    seen = np.pad(np.asarray(anatomy.imaged.part(box), bool), 1)
    for axis, (s, n) in enumerate(
        zip(box, bone.grid.shape, strict=True)
    ):  # beyond the box lies image, unless the grid ends there
        for inside, end in ((s.start > 0, 0), (s.stop < n, -1)):
            if inside:
                rim = [slice(1, -1)] * 3
                rim[axis] = slice(None, 1) if end == 0 else slice(-1, None)
                there = [slice(b.start, b.stop) for b in box]
                there[axis] = slice(s.start - 1, s.start) if end == 0 else slice(s.stop, s.stop + 1)
                seen[tuple(rim)] = np.asarray(anatomy.imaged.part((there[0], there[1], there[2])), bool)
    at_edge = np.zeros(part.shape, bool)
    for axis in range(3):
        for shift in (-1, 1):
            at_edge |= ~np.roll(seen, shift, axis)[1:-1, 1:-1, 1:-1]
    at_edge &= part
    if not at_edge.any():
        return ()
    points = bone.grid.to_mm(np.argwhere(at_edge) + np.array([s.start for s in box]))
    local = (points - found.wall_mm) @ found.axes
    reach = max(bone.spacing_mm)
    wide = np.abs(local[:, 0]) <= found.width_mm / 2 + reach
    body = wide & (local[:, 1] <= reach / 2) & (np.abs(local[:, 2]) <= found.height_mm / 2 + 3 * reach)
    area = float(body.sum()) * bone.grid.voxel_mm3 / reach
    if area > LEFT_OVER_MM * found.height_mm:
        raise InputError(
            f"The edge of the image cuts the body of {which.name} over {area / 100:.1f} cm².",
            "A cut is no end plate, and what is not in the image bears load too.",
            "Use an image that holds the whole vertebra; say --specimen where it was sawn there.",
        )
    return (f"The edge of the image cuts {which.name} outside its body.",)


def _pose(found: Vertebra, case: LoadCase, doubts: tuple[str, ...]) -> Pose:
    """Return the pose with its landmarks."""
    marks = {
        "upper end plate": found.upper_mm, "lower end plate": found.lower_mm,
        "posterior wall": found.wall_mm, "front of the body": found.front_mm,
    }  # fmt: skip
    if found.canal_mm is not None:
        marks["canal"] = found.canal_mm
    up, reach = found.axes[:, 2], number("vertebra_cap_mm")
    middle = (found.upper_mm + found.lower_mm) / 2
    half = found.height_mm / 2 + reach
    lines = [("axis of the load", _point(middle - half * up), _point(middle + half * up))]
    for name, at, normal in (
        ("upper end plate", found.upper_mm, found.normals[0]),
        ("lower end plate", found.lower_mm, found.normals[1]),
    ):
        across = found.axes[:, 1] - (found.axes[:, 1] @ normal) * normal
        across *= found.depth_mm / 2 / np.linalg.norm(across)
        lines.append((name, _point(at - across), _point(at + across)))
    return Pose(
        found.axes, {k: _point(v) for k, v in marks.items()}, tuple(lines), by_hand=case.axis is not None, doubts=doubts,
    )  # fmt: skip


def _point(mm: Array) -> Point:
    return float(mm[0]), float(mm[1]), float(mm[2])


def _body(bone: Array, at: tuple[Array, ...], pose: Pose, axes: Array) -> Array:
    """Return the cubes of the body: in front of its posterior wall, between the heights where its end plates may lie."""
    upper, lower, wall = (np.asarray(pose.landmarks[k]) @ axes for k in ("upper end plate", "lower end plate", "posterior wall"))
    edge = float(at[1][1] - at[1][0])
    half = (upper[2] - lower[2]) / 2
    front = np.asarray(bone & (at[1] <= wall[1] + edge / 2)[None, :, None])
    middle = (upper[2] + lower[2]) / 2
    front &= (np.abs(at[2] - middle) <= 2 * half + edge)[:, None, None]
    pieces, count = ndimage.label(front)
    if not count:
        return front
    return np.asarray(pieces == int(np.argmax(np.bincount(pieces.reshape(-1))[1:])) + 1)


def _caps(voxels: Voxels, plates: Plates, at: tuple[Array, ...], variation: Variation) -> tuple[Array, Array]:
    """Return the cubes of the upper and the lower cap.

    A turned load axis turns the outer planes of the caps: to first order the same as turning the bone between them.
    """
    x, y, z = at
    edge = voxels.edge_mm
    normal = turned(np.eye(3), variation.tilt_deg)[:, 2]
    xx, yy = np.meshgrid(x - plates.middle[0], y - plates.middle[1], indexing="xy")
    slope = (normal[0] * xx + normal[1] * yy) / normal[2]
    where = plates.footprint
    thick = number("vertebra_cap_mm")
    above = float((plates.top + slope)[where].max()) + thick - slope
    below = float((plates.bottom + slope)[where].min()) - thick - slope
    reach = (z[0] + edge, z[-1] - edge)
    if above[where].max() > reach[1] or below[where].min() < reach[0]:
        raise InputError(
            f"The caps reach from {below[where].min():.0f} to {above[where].max():.0f} mm, the cubes from {reach[0]:.0f} to "
            f"{reach[1]:.0f} mm along the axis.",
            "A cap that is cut off holds nothing.",
            "Build the cubes with a wider margin.",
        )
    height, half = z[:, None, None], edge * (0.5 - 1e-6)
    roof, floor = (p[0] * xx + p[1] * yy + c[2] for p, c in zip((plates.upper, plates.lower), plates.middles(), strict=True))
    deepest = number("vertebra_fill_share") * (roof - floor)  # a hole through the plate is not filled with cement
    upper = where & (height > np.fmax(plates.top, roof - deepest)) & (height < above + half) & ~voxels.bone
    lower = where & (height < np.fmin(plates.bottom, floor + deepest)) & (height > below - half) & ~voxels.bone
    return upper, lower


def _face(cap: Array, *, downwards: bool) -> Array:
    """Return the nodes of the outer face of a cap, column by column."""
    part = cap if downwards else cap[::-1]
    columns = np.argwhere(part.any(0))
    first = np.argmax(part, axis=0)[tuple(columns.T)]
    z = first if downwards else cap.shape[0] - first
    nodes = np.zeros([n + 1 for n in cap.shape], bool)
    for dy in (0, 1):
        for dx in (0, 1):
            nodes[z, columns[:, 0] + dy, columns[:, 1] + dx] = True
    return nodes


def _pin(mask: Array, held: Array) -> None:
    """Fix two nodes of the held face sideways so that the bone cannot drift or turn; they bear nothing."""
    places = np.argwhere(held)
    first = places[np.argmin(((places - places.mean(0)) ** 2).sum(1))]
    away = np.abs(places[:, 2] - first[2]) - np.abs(places[:, 1] - first[1])
    second = places[int(np.argmax(away))]
    mask[(*first, 1)] = mask[(*first, 2)] = mask[(*second, 1)] = True


def _tilted(variation: Variation) -> tuple[str, ...]:
    if variation.tilt_deg == (0.0, 0.0):
        return ()
    return (f"Load axis turned by {variation.tilt_deg[0]:.1f} and {variation.tilt_deg[1]:.1f} degrees.",)
