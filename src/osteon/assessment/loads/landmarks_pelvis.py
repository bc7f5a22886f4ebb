"""Landmarks of a hip bone: the middle of its acetabulum, its joint with the sacrum, and the pubic symphysis.

The acetabulum is told by the head of the femur where that is outlined, else by the outline of the joint, else by the hollow of
the hip bone itself. The joint with the sacrum is the surface of the hip bone that lies near the sacrum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from osteon.assessment.loads.base import LoadCase, number
from osteon.assessment.loads.landmarks_head import Sphere, find_head, surface_points
from osteon.assessment.outline import joint_between
from osteon.errors import InputError, NotOutlinedError
from osteon.space.anatomy import Anatomy, Structure, structure
from osteon.space.volume import Array, Volume

MIDLINE_WHY = "A load through the wrong joint gives the stiffness of another bone."


@dataclass(frozen=True, eq=False)
class HipBone:
    """What was found of a hip bone, LPS mm.

    Parameters
    ----------
    acetabulum_mm : array (3,)
        Middle of the hip joint.
    radius_mm : float
        Of the sphere that told it; not a number where it was given by hand.
    told_by : str
        What it was told by, in words.
    sacral_mm : array (3,)
        Middle of the surface towards the sacrum.
    sacral_ends_mm : (array (3,), array (3,))
        Upper and lower end of that surface.
    symphysis_mm : array (3,) or None
        Middle of the surface of the pubic symphysis; None where the image does not hold it.
    doubts : tuple of str
        What weakens it.
    """

    acetabulum_mm: Array
    radius_mm: float
    told_by: str
    sacral_mm: Array
    sacral_ends_mm: tuple[Array, Array]
    symphysis_mm: Array | None
    doubts: tuple[str, ...]


def find_hip_bone(anatomy: Anatomy, case: LoadCase) -> HipBone:
    """Find the joints of a hip bone.

    Raises
    ------
    InputError
        If the acetabulum is not found, or the hip bone and the sacrum do not come near each other.
    NotOutlinedError
        If the hip bone or the sacrum is not outlined.
    """
    bone = anatomy.mask(case.bone)
    if bone.box() is None:
        raise InputError(
            f"The outline of the {case.bone.name} is empty.", "There is no bone to load.", "Outline it, or name another label."
        )
    centre, radius, told_by = _acetabulum(anatomy, case, bone)
    middle, ends = _sacral(anatomy, case.bone, bone)
    symphysis, doubts = _symphysis(anatomy, case.bone, bone)
    return HipBone(centre, radius, told_by, middle, ends, symphysis, doubts)


def _acetabulum(anatomy: Anatomy, case: LoadCase, bone: Volume) -> tuple[Array, float, str]:
    """Return the middle of the hip joint, the radius that told it, and how it was told."""
    if case.head_mm is not None:
        return np.asarray(case.head_mm, float), float("nan"), "given by hand"
    side = case.bone.side or ""
    voxel = max(bone.spacing_mm)
    femur, joint = f"femur_{side}", f"hip_joint_{side}"
    if side and anatomy.has(femur):
        found = find_head(*surface_points(anatomy.mask(femur), anatomy.imaged), voxel)
        if _good(found, number("pelvis_head_covered")):
            assert found is not None
            return found.centre_mm, found.radius_mm, "head of the femur"
    if side and anatomy.has(joint):
        centre, radius = _sphere_through(anatomy.mask(joint))
        if number("pelvis_cup_least_mm") <= radius <= number("pelvis_cup_most_mm"):
            return centre, radius, "outline of the hip joint"
    points, normals = surface_points(bone, anatomy.imaged)
    found = find_head(points, -normals, voxel)  # a hollow: its normals point at its middle
    if _good(found, number("pelvis_cup_covered")):
        assert found is not None
        return found.centre_mm, found.radius_mm, "hollow of the hip bone"
    covered = 0.0 if found is None else found.covered
    raise InputError(
        f"No acetabulum is found on the {case.bone.name}: its best hollow is {100 * covered:.0f} % of a half sphere.",
        MIDLINE_WHY,
        "Outline the femur of that side, or give the middle of its head by hand (--head X,Y,Z, LPS mm).",
    )


def _good(found: Sphere | None, covered: float) -> bool:
    """Tell whether a sphere can be a head or a cup."""
    if found is None or found.covered < covered:
        return False
    return number("pelvis_cup_least_mm") <= found.radius_mm <= number("pelvis_cup_most_mm")


def _sphere_through(mask: Volume) -> tuple[Array, float]:
    """Return middle and radius of the sphere nearest to the voxels of a thin shell, by least squares."""
    points = _points(mask)
    design = np.column_stack([2 * points, np.ones(len(points))])
    found = np.linalg.lstsq(design, (points**2).sum(1), rcond=None)[0]
    centre = found[:3]
    return centre, float(np.sqrt(max(found[3] + centre @ centre, 0.0)))


def _sacral(anatomy: Anatomy, which: Structure, bone: Volume) -> tuple[Array, tuple[Array, Array]]:
    """Return the middle and both ends of the surface of a hip bone towards the sacrum."""
    if not anatomy.has("sacrum"):
        raise NotOutlinedError(
            "The sacrum is not outlined.",
            f"The {which.name} is held where it faces the sacrum, and nothing else tells that place.",
            "Outline the sacrum.",
        )
    points = _facing(bone, anatomy.mask("sacrum"), which)
    middle = np.median(points, axis=0)
    _, directions = np.linalg.eigh(np.cov((points - middle).T))
    long = directions[:, 2] if directions[2, 2] >= 0 else -directions[:, 2]
    along = (points - middle) @ long
    low, high = np.percentile(along, [5, 95])
    return middle, (middle + high * long, middle + low * long)


def _facing(bone: Volume, sacrum: Volume, which: Structure) -> Array:
    """Return the voxels of a hip bone that lie nearest to the sacrum (n, 3), LPS mm."""
    points = _points(bone)
    away = np.asarray(cKDTree(_points(sacrum)).query(points, workers=1)[0])
    nearest, step = float(away.min()), max(bone.spacing_mm)
    if nearest > number("pelvis_gap_most_mm") + step:
        raise InputError(
            f"The {which.name} and the sacrum lie {nearest:.0f} mm apart in their outlines.",
            "The bone is held at its joint with the sacrum; it is not there.",
            "Check the outlines of both bones.",
        )
    return points[away <= nearest + max(number("pelvis_facing_mm"), step)]


def _symphysis(anatomy: Anatomy, which: Structure, bone: Volume) -> tuple[Array | None, tuple[str, ...]]:
    """Return the middle of the surface that the other pubic bone faces; None and a doubt where the image does not hold it."""
    other = structure("hip_left" if which.side == "right" else "hip_right")
    gap = joint_between(bone, anatomy.mask(other)) if anatomy.has(other) else None
    if gap is not None:
        return np.asarray(np.median(_points(gap), axis=0)), ()
    if _cut_medially(anatomy, which, bone):
        return None, ("The edge of the image cuts the bone before the pubic symphysis, which is not held.",)
    points = _points(bone)
    medial = points[:, 0] if which.side == "right" else -points[:, 0]
    lower = points[:, 2] < np.median(points[:, 2])
    tip = points[lower & (medial >= np.percentile(medial[lower], 99))]
    return tip.mean(0), ("The pubic symphysis was told by the innermost part of the lower half of the bone.",)


def _cut_medially(anatomy: Anatomy, which: Structure, bone: Volume) -> bool:
    """Tell whether the edge of what was imaged cuts the lower half of the bone on its inner side."""
    inside = np.asarray(bone.array, bool)
    unseen = np.pad(~np.asarray(anatomy.imaged.array, bool), 1, constant_values=True)
    edge = ndimage.binary_dilation(unseen)[1:-1, 1:-1, 1:-1] & inside
    if not edge.any():
        return False
    points, cut = _points(bone), bone.grid.to_mm(np.argwhere(edge))
    medial = 1.0 if which.side == "right" else -1.0
    inner = medial * cut[:, 0] >= np.percentile(medial * points[:, 0], 95)
    return bool((inner & (cut[:, 2] < np.median(points[:, 2]))).any())


def _points(mask: Volume) -> Array:
    """Return the places of a mask's voxels (n, 3), LPS mm."""
    box = mask.box()
    assert box is not None
    return mask.grid.to_mm(np.argwhere(mask.part(box)) + np.array([s.start for s in box]))
