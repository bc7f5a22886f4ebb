"""Loads for which no threshold is validated: the hip bone in single-leg stance, and flat or curved bones along their length.

Only the change against the same bone healed, or against the other side, is told.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from osteon.assessment.loads.base import Builder, LoadCase, Placed, Point, Pose, Quantity, Variation, Voxels, number, turned
from osteon.assessment.loads.landmarks_pelvis import HipBone, find_hip_bone
from osteon.assessment.loads.landmarks_vertebra import BACK, UP, frame
from osteon.assessment.loads.nodes import frame_of, lines_of
from osteon.errors import InputError
from osteon.physics.elasticity import Support, nodes_of
from osteon.space.anatomy import Anatomy
from osteon.space.volume import Array

MM = 1e-3
NO_THRESHOLD = "No threshold is validated for this load: only the relative change is told."
WHY = "A load along a wrong line gives the stiffness of another bone."
SACRAL = ("sacro-iliac joint, upper end", "sacro-iliac joint, lower end")


class PelvisStance(Builder):
    """The head of the femur presses into the roof of the acetabulum; the hip bone is held at the sacrum and at the symphysis.

    One hip bone alone is in the model, not the ring of the pelvis.
    """

    name: ClassVar[str] = "pelvis-stance"
    title: ClassVar[str] = "single-leg stance on the hip bone"
    families: ClassVar[tuple[str, ...]] = ("hip",)
    quantity: ClassVar[Quantity] = "force"
    absolute: ClassVar[bool] = False
    sources: ClassVar[tuple[str, ...]] = ("osteon-proposal",)

    def pose(self, anatomy: Anatomy, case: LoadCase) -> Pose:
        """Find the frame of the load: the force runs upwards and inwards through the middle of the hip joint, along -z.

        Raises
        ------
        InputError
            If the joints are not found or do not lie as those of a hip bone do.
        NotOutlinedError
            If the hip bone or the sacrum is not outlined.
        """
        found = find_hip_bone(anatomy, case)
        if case.axis is not None:
            down = _direction(case.axis)
        else:
            inwards = np.sin(np.radians(number("pelvis_inwards_deg"))) * (1.0 if case.bone.side == "right" else -1.0)
            down = -np.array([inwards, 0.0, np.sqrt(1.0 - inwards**2)])
        _plausible(found, case)
        marks = {
            "acetabulum": found.acetabulum_mm, "sacro-iliac joint": found.sacral_mm,
            SACRAL[0]: found.sacral_ends_mm[0], SACRAL[1]: found.sacral_ends_mm[1],
        }  # fmt: skip
        if found.symphysis_mm is not None:
            marks["pubic symphysis"] = found.symphysis_mm
        reach = number("pelvis_drawn_mm")
        lines = (("force of the femoral head", _point(found.acetabulum_mm + reach * down), _point(found.acetabulum_mm)),)
        doubts = (f"The acetabulum was told by the {found.told_by}.",) if found.told_by == "hollow of the hip bone" else ()
        by_hand = case.axis is not None or case.head_mm is not None
        told = {k: _point(v) for k, v in marks.items()}
        return Pose(frame(down, BACK), told, lines, by_hand=by_hand, doubts=(*found.doubts, *doubts))

    def place(self, voxels: Voxels, pose: Pose, variation: Variation = Variation()) -> Placed:  # noqa: B008 (frozen)
        """Hold the surface towards the sacrum and the symphysis, and move the roof of the acetabulum.

        Raises
        ------
        InputError
            If the roof is not there, or there is nothing to hold.
        """
        axes = frame_of(voxels)
        middle = np.asarray(pose.landmarks["acetabulum"]) @ axes
        roof = _roof(voxels, middle, turned(np.eye(3), variation.tilt_deg)[:, 2])
        upper, lower = (np.asarray(pose.landmarks[k]) @ axes for k in SACRAL)
        held = _round_line(voxels, upper, lower, number("pelvis_joint_mm")) & ~roof
        if not held.any():
            raise InputError("No bone lies at the joint with the sacrum.", "Nothing would hold the bone.", "Check the outlines.")
        shape = (*(n + 1 for n in voxels.bone.shape), 3)
        mask, given = np.zeros(shape, bool), np.zeros(shape)
        mask[nodes_of(held)] = True
        symphysis = pose.landmarks.get("pubic symphysis")
        if symphysis is not None:
            at = np.asarray(symphysis) @ axes
            mask[..., 2] |= nodes_of(_round_line(voxels, at, at, number("pelvis_symphysis_mm")))
        moved = nodes_of(roof) & ~mask.any(-1)
        mask[..., 0] |= moved
        given[..., 0] = np.where(moved, -1.0, 0.0)
        length = float(abs((middle - np.asarray(pose.landmarks["sacro-iliac joint"]) @ axes)[2]))
        area = float(roof.any(0).sum() * voxels.edge_mm**2)
        return Placed(
            added=(), support=Support(mask, given), quantity=self.quantity, length_mm=length,
            most=number("pelvis_strain_end") * length * MM,
            area_note=f"through the roof of the acetabulum, {area / 100:.1f} cm² across the force",
            notes=(
                "One hip bone alone, not the ring of the pelvis: held where it faces the sacrum"
                + (", and sideways at the pubic symphysis." if symphysis is not None else "; the pubic symphysis is free."),
                "Joint contact only; muscles and ligaments are not in the model.",
                NO_THRESHOLD,
            ),
        )  # fmt: skip


class RelativeCompression(Builder):
    """A bone pressed along its length between two clamped ends."""

    name: ClassVar[str] = "relative-compression"
    title: ClassVar[str] = "compression along the bone, relative only"
    families: ClassVar[tuple[str, ...]] = ("scapula", "sternum", "sacrum", "rib", "clavicle", "other_bone")
    quantity: ClassVar[Quantity] = "force"
    absolute: ClassVar[bool] = False
    sources: ClassVar[tuple[str, ...]] = ("osteon-proposal",)

    def pose(self, anatomy: Anatomy, case: LoadCase) -> Pose:
        """Find the frame of the load: z along the bone, nearest to superior.

        Raises
        ------
        InputError
            If the outline is empty, or the axis that was given has no direction.
        NotOutlinedError
            If the bone is not outlined.
        """
        mask = anatomy.mask(case.bone)
        box = mask.box()
        if box is None:
            raise InputError(
                f"The outline of the {case.bone.name} is empty.",
                "There is no bone to load.",
                "Outline it, or name another label.",
            )
        points = mask.grid.to_mm(np.argwhere(mask.part(box)) + np.array([s.start for s in box]))
        centre, doubts = points.mean(0), []
        spread, directions = np.linalg.eigh(np.cov((points - centre).T) + 1e-9 * np.eye(3))
        axis = _direction(case.axis) if case.axis is not None else _upwards(directions[:, 2])
        if case.axis is None and spread[2] < number("relative_axis_stands_out") * spread[1]:
            doubts.append("The bone is about as wide as it is long: its axis is uncertain. Give one (--axis X,Y,Z, LPS).")
        along = points @ axis
        low, high = float(along.min()), float(along.max())
        cut = number("relative_cut_share") * (high - low)
        ends = (low + cut, high - cut)
        if _reaches(anatomy, case, axis, (ends[0] + number("relative_clamp_mm"), ends[1] - number("relative_clamp_mm"))):
            doubts.append("The lesion reaches into a clamped end, where it changes little.")
        marks = {
            f"{name} end": _point(centre + (end - centre @ axis) * axis)
            for name, end in zip(("held", "moved"), ends, strict=True)
        }
        lines = (("axis of the load", marks["held end"], marks["moved end"]),)
        return Pose(frame(axis, BACK), marks, lines, ends, by_hand=case.axis is not None, doubts=tuple(doubts))

    def place(self, voxels: Voxels, pose: Pose, variation: Variation = Variation()) -> Placed:  # noqa: B008 (frozen)
        """Clamp both cut ends and move the upper one towards the lower.

        Raises
        ------
        InputError
            If the clamps leave no bone between them.
        """
        levels = np.flatnonzero(voxels.bone.any((1, 2)))
        deep = max(1, round(number("relative_clamp_mm") / voxels.edge_mm))
        if len(levels) < 3 * deep:
            whole, clamp = len(levels) * voxels.edge_mm, deep * voxels.edge_mm
            raise InputError(
                f"The bone is {whole:.0f} mm long along the load, each clamp {clamp:.0f} mm.",
                "Too little bone is left between the clamps.",
                "Give the long axis of the bone (--axis X,Y,Z, LPS), or use smaller cubes.",
            )
        ends = np.zeros((2, *voxels.bone.shape), bool)
        ends[0, levels[0] : levels[0] + deep] = voxels.bone[levels[0] : levels[0] + deep]
        ends[1, levels[-1] + 1 - deep : levels[-1] + 1] = voxels.bone[levels[-1] + 1 - deep : levels[-1] + 1]
        held, moved = nodes_of(ends[0]), nodes_of(ends[1])
        shape = (*held.shape, 3)
        mask, given = np.zeros(shape, bool), np.zeros(shape)
        mask[held | moved] = True
        across = -turned(np.eye(3), variation.tilt_deg)[::-1, 2]  # z, y, x
        given[moved] = across
        length = float((len(levels) - 2 * deep) * voxels.edge_mm)
        return Placed(
            added=(), support=Support(mask, given), quantity=self.quantity, length_mm=length,
            most=number("relative_strain_end") * length * MM,
            area_note=f"through its upper end, clamped {deep * voxels.edge_mm:.0f} mm deep",
            notes=("Both cut ends are clamped; the upper one is moved along the axis.", NO_THRESHOLD),
        )  # fmt: skip


def _direction(axis: Point) -> Array:
    """Return the unit vector of an axis given by hand."""
    found = np.asarray(axis, float)
    if found.shape != (3,) or not np.isfinite(found).all() or np.linalg.norm(found) < 1e-6:
        raise InputError(f"The axis {axis} has no direction.", WHY, "Give three numbers that are not all 0 (--axis X,Y,Z, LPS).")
    return np.asarray(found / np.linalg.norm(found))


def _upwards(axis: Array) -> Array:
    """Return an axis pointing up; one that lies flat points to the left, else to the back."""
    for towards in (UP, np.array([1.0, 0.0, 0.0]), BACK):
        if abs(axis @ towards) > 0.1:
            return axis if axis @ towards > 0 else -axis
    return axis


def _point(mm: Array) -> Point:
    return float(mm[0]), float(mm[1]), float(mm[2])


def _plausible(found: HipBone, case: LoadCase) -> None:
    """Refuse joints that do not lie as those of a hip bone do."""
    away = found.sacral_mm - found.acetabulum_mm
    distance = float(np.linalg.norm(away))
    least, most = number("pelvis_joints_least_mm"), number("pelvis_joints_most_mm")
    by_hand = "Check the outlines of hip bone, femur and sacrum, or give the middle of the head and the axis (--head, --axis)."
    if not least <= distance <= most:
        raise InputError(
            f"The hip joint and the sacro-iliac joint of the {case.bone.name} lie {distance:.0f} mm apart; "
            f"{least:.0f} to {most:.0f} mm are plausible.", WHY, by_hand,
        )  # fmt: skip
    inwards = away[0] if case.bone.side == "right" else -away[0]
    if case.axis is None and (away[2] <= 0 or inwards <= 0):
        raise InputError(
            f"The sacro-iliac joint of the {case.bone.name} was found {away[2]:.0f} mm above and {inwards:.0f} mm inwards of the "
            "hip joint; both are positive in a patient.", WHY, by_hand,
        )  # fmt: skip


def _roof(voxels: Voxels, middle: Array, down: Array) -> Array:
    """Return the cubes of the joint surface that the head presses on: what looks from its middle against z meet first."""
    reach, half = number("pelvis_reach_mm"), number("pelvis_roof_deg")
    step = voxels.edge_mm / 2
    count = int(np.ceil(4 * np.pi * (reach / voxels.edge_mm) ** 2))
    height = 1 - 2 * (np.arange(count) + 0.5) / count
    turn = np.pi * (1 + 5**0.5) * np.arange(count)
    wide = np.sqrt(1 - height**2)
    looks = np.column_stack([wide * np.cos(turn), wide * np.sin(turn), height])
    looks = looks[looks @ -down >= np.cos(np.radians(half))]
    low = np.array([line[0] for line in lines_of(voxels)])
    away = np.arange(step, reach, step)
    index = np.round((middle + looks[:, None] * away[:, None] - low) / voxels.edge_mm).astype(int)
    inside = ((index >= 0) & (index < np.array(voxels.bone.shape[::-1]))).all(-1)
    clipped = np.clip(index, 0, np.array(voxels.bone.shape[::-1]) - 1)
    hit = voxels.bone[clipped[..., 2], clipped[..., 1], clipped[..., 0]] & inside
    met = hit.any(1)
    if met.mean() < number("pelvis_roof_share"):
        raise InputError(
            f"Bone lies within {reach:.0f} mm of the middle of the hip joint on {100 * met.mean():.0f} % of its roof.",
            "There is too little roof for the head to press on.",
            "Check the outline (a roof that a lesion has taken belongs to it), or give the middle of the head (--head).",
        )
    first = clipped[np.flatnonzero(met), np.argmax(hit[met], axis=1)]
    out = np.zeros(voxels.bone.shape, bool)
    out[first[:, 2], first[:, 1], first[:, 0]] = True
    return out


def _round_line(voxels: Voxels, start: Array, end: Array, within_mm: float) -> Array:
    """Return the cubes of bone within a distance of a line from one point to another."""
    x, y, z = lines_of(voxels)
    index = np.argwhere(voxels.bone)
    places = np.column_stack([x[index[:, 2]], y[index[:, 1]], z[index[:, 0]]])
    along = end - start
    share = np.clip((places - start) @ along / max(float(along @ along), 1e-9), 0.0, 1.0)
    near = np.linalg.norm(places - start - share[:, None] * along, axis=1) <= within_mm
    out = np.zeros(voxels.bone.shape, bool)
    out[tuple(index[near].T)] = True
    return out


def _reaches(anatomy: Anatomy, case: LoadCase, axis: Array, between: tuple[float, float]) -> bool:
    """Tell whether the lesion lies beyond the free part of the bone."""
    if not anatomy.has(case.lesion):
        return False
    lesion = anatomy.mask(case.lesion)
    box = lesion.box()
    assert box is not None
    along = lesion.grid.to_mm(np.argwhere(lesion.part(box)) + np.array([s.start for s in box])) @ axis
    return bool(along.min() < between[0] or along.max() > between[1])
