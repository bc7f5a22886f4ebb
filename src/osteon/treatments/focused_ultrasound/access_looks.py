"""What an array sees from many poses at once: rays from focus to face, angles at skin and bone, structures in the beam."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from osteon.physics.acoustic_sources import spiral_centres
from osteon.space.anatomy import Anatomy, Structure
from osteon.space.volume import Array
from osteon.tissue.acoustics_rows import acoustic_row
from osteon.treatments.focused_ultrasound import access_kernels as kernels
from osteon.treatments.focused_ultrasound import transducer
from osteon.treatments.focused_ultrasound.access_scene import CRITICAL, NAMES, Scene, build_scene, number, tables
from osteon.treatments.focused_ultrasound.beam import ArrayPose

Triple = tuple[float, float, float]
PARTS = 96  # of the array's face, of equal area
STEP = 0.6  # of a cell, along a ray
NORMAL_MM = 8.0  # ball over which the direction of skin and bone is taken
ENDS = {
    kernels.STANDS: "", kernels.TOO_DEEP: "the target is deeper than the array reaches",
    kernels.IN_PATIENT: "the array would stand inside the patient", kernels.AXIS_UNKNOWN: "the skin is not imaged there",
}  # fmt: skip


@dataclass(frozen=True)
class Crossed:
    """A critical structure in the beam: its name, the share of the whole array whose free rays cross it, and how near [mm]."""

    name: str
    share: float
    nearest_mm: float


@dataclass(frozen=True)
class Look:
    """What one pose of an array sees.

    Parameters
    ----------
    focus : str
        What is aimed at: the middle of the lesion, its cortex, or as the caller named it.
    focus_mm : tuple of float
        LPS.
    pose : ArrayPose
        Where the array stands.
    distance_mm : float
        From its vertex to the focus.
    entry_mm : tuple of float or None
        Where the axis meets the skin; None where it meets none within reach.
    depth_mm : float
        From there to the focus; not a number where there is none.
    visible, unknown : float
        Shares of the array's area that see the focus, and that look through what is not imaged.
    lost : mapping of str to float
        Shares that do not, by what stops them.
    skin_incidence_deg : float
        Of the axis; not a number where there is no entry.
    own_bone_mm : float
        Solid bone of the target that free rays cross before the focus, on average.
    bone_share : float
        Share whose free rays meet the bone of the target, up to ``behind_cortex_mm`` behind the focus.
    bone_incidence_deg, beyond_critical : float
        Of those rays: mean angle to the normal of the bone, and share beyond the critical angle of longitudinal waves.
    near, far : tuple of Crossed
        Critical structures between skin and focus, and behind the focus, the nearest first.
    end : str
        Why the array cannot stand so; empty where it can.
    """

    focus: str
    focus_mm: Triple
    pose: ArrayPose
    distance_mm: float
    entry_mm: Triple | None
    depth_mm: float
    visible: float
    unknown: float
    lost: Mapping[str, float]
    skin_incidence_deg: float
    own_bone_mm: float
    bone_share: float
    bone_incidence_deg: float
    beyond_critical: float
    near: tuple[Crossed, ...]
    far: tuple[Crossed, ...]
    end: str


@dataclass(frozen=True, eq=False)
class Looks:
    """Many poses: focus, kind of focus, directions outward, and what the kernel and the angles made of them."""

    foci: Array
    names: tuple[str, ...]
    of_focus: Array
    outward: Array
    status: Array
    figures: Array
    ends: Array
    near: Array
    far: Array
    hits: Array
    entry_mm: Array
    entry_normals: Array
    skin_deg: Array
    bone_deg: Array
    own_mm: Array

    @property
    def visible(self) -> Array:
        """Share of the array of each pose that sees the focus."""
        return np.asarray((self.status == kernels.FREE).mean(axis=1))

    @property
    def unknown(self) -> Array:
        """Share of the array of each pose that looks through what is not imaged."""
        return np.asarray((self.status == kernels.UNKNOWN).mean(axis=1))


def reach_of(device: str) -> tuple[float, float, float]:
    """Return the preferred, least and largest distance [mm] from the vertex of an array to a focus that it can make.

    Preferred is the radius of curvature, where no steering is needed; an array that is focused by phases alone has its least.

    Raises
    ------
    InputError
        If there is no such array.
    """
    entry = transducer.device(device)
    radius, steering = float(entry["curvature_mm"]["value"]), float(entry["steering_mm"]["value"])
    told = tables()["focal_depth_mm"].get(device, {"low": radius - steering, "high": radius + steering})
    low, high = float(told["low"]), float(told["high"])
    return (radius if low <= radius <= high else low), low, high


def array_parts(device: str, count: int = PARTS) -> Array:
    """Return places on the face of an array that stand for equal areas, (count, 3) [mm] in the frame of the device.

    Raises
    ------
    InputError
        If there is no such array.
    """
    entry = transducer.device(device)
    radius, aperture, opening = (float(entry[k]["value"]) * 1e-3 for k in ("curvature_mm", "aperture_mm", "opening_mm"))
    return 1e3 * spiral_centres(count, radius, aperture, opening)


def critical_angle_deg() -> float:
    """Return the angle to the normal of bone beyond which no longitudinal wave enters: arcsin of muscle's speed over cortex's."""
    return math.degrees(math.asin(acoustic_row("muscle").speed_l.number / acoustic_row("cortical_bone").speed_l.number))


def skin_critical_deg() -> float:
    """Return the angle to the normal of the skin beyond which sound from water is turned back whole."""
    return math.degrees(math.asin(acoustic_row("liquid_water").speed_l.number / acoustic_row("skin").speed_l.number))


def scene_of(anatomy: Anatomy, target: Structure, names: Sequence[str], bone: Structure | None = None) -> Scene:
    """Return what sound meets within the reach of some arrays; errors as ``access_scene.build_scene``."""
    reach = 0.0
    for name in names:
        most = reach_of(name)[2]
        parts = array_parts(name, 16)
        reach = max(reach, math.hypot(most, float(np.abs(parts[:, :2]).max())))
    return build_scene(anatomy, target, reach, bone)


def look(scene: Scene, device: str, foci: Array, names: tuple[str, ...], of_focus: Array, outward: Array, parts: int) -> Looks:
    """Run the kernel over poses, then take the angles at skin and bone from local normals."""
    preferred, least, most = reach_of(device)
    face = array_parts(device, parts)
    count = len(outward)
    inverse = np.linalg.inv(scene.grid.matrix)[:3].copy()
    status = np.zeros((count, parts), np.uint8)
    skin, meets, crossed = (np.zeros((count, parts), np.float32) for _ in range(3))
    figures, ends = np.zeros((count, 2)), np.zeros(count, np.uint8)
    near, far = (np.full((count, 256), np.inf, np.float32) for _ in range(2))
    hits = np.zeros((2, count, 256), np.int32)
    limits = tuple(number(k) for k in ("rough_skin_mm", "other_bone_mm", "own_bone_mm", "far_field_mm", "behind_cortex_mm"))
    kernels.look(
        scene.places, scene.kinds, inverse, np.asarray(foci, float), of_focus.astype(np.int64), np.asarray(outward, float), face,
        (preferred, least, most, number("coupling_mm")), (STEP * scene.spacing_mm, *limits),
        status, skin, meets, crossed, figures, ends, near, far, hits,
    )  # fmt: skip
    ways = ray_directions(outward, face, figures[:, 0])
    body = np.ones(16, bool)
    body[[kernels.OUTSIDE, kernels.UNSEEN]] = False
    free = status == kernels.FREE
    angles = np.full((count, parts), np.nan)
    at = foci[of_focus][:, None] + ways * skin[..., None]
    angles[free] = _angles(scene, at[free], ways[free], body)
    status[free & (angles > skin_critical_deg())] = kernels.BY_SKIN
    entry = foci[of_focus] + outward * figures[:, 1:2]
    axis_deg, normals = np.full(count, np.nan), np.zeros((count, 3))
    known = np.isfinite(figures[:, 1])
    normals[known] = _normals(scene, entry[known], body)
    axis_deg[known] = _degrees(normals[known], outward[known])
    bone = np.zeros(16, bool)
    bone[[kernels.OWN, kernels.OWN_SOFT, kernels.LESION]] = True
    bone_deg = np.full((count, parts), np.nan)
    hit = (status == kernels.FREE) & np.isfinite(meets)
    at = foci[of_focus][:, None] + ways * meets[..., None]
    bone_deg[hit] = _angles(scene, at[hit], ways[hit], bone)
    free = status == kernels.FREE
    own_mm = (crossed * free).sum(1) / np.maximum(free.sum(1), 1)
    return Looks(
        foci, names, of_focus, outward, status, figures, ends, near, far, hits, entry, normals, axis_deg, bone_deg, own_mm
    )


def ray_directions(outward: Array, face_mm: Array, distance_mm: Array) -> Array:
    """Return unit vectors (poses, parts, 3) from the focus to the parts of arrays whose beams run against ``outward``."""
    up = np.where(np.abs(outward[:, 2:]) < 0.9, np.array([[0.0, 0, 1]]), np.array([[1.0, 0, 0]]))
    x = up - (up * outward).sum(1, keepdims=True) * outward
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = np.cross(-outward, x)
    along = distance_mm[:, None] - face_mm[None, :, 2]
    ways = face_mm[None, :, :1] * x[:, None] + face_mm[None, :, 1:2] * y[:, None] + along[..., None] * outward[:, None]
    return np.asarray(ways / np.linalg.norm(ways, axis=2, keepdims=True))


def _normals(scene: Scene, points_mm: Array, kinds: Array) -> Array:
    """Return outward unit vectors of what is of some kinds, at points on its surface."""
    if len(points_mm) == 0:
        return np.zeros((0, 3))
    index = np.clip(np.rint(scene.grid.to_index(points_mm)).astype(np.int64), 0, np.array(scene.places.shape) - 1)
    _, rows, columns = scene.places.shape
    flat, back = np.unique((index[:, 0] * rows + index[:, 1]) * columns + index[:, 2], return_inverse=True)
    voxels = np.stack([flat % columns, flat // columns % rows, flat // (rows * columns)], axis=1)
    reach = np.ceil(NORMAL_MM / np.array(scene.grid.spacing_mm)).astype(int)
    around = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), -1).reshape(-1, 3)[:, ::-1]
    vectors = around @ scene.grid.matrix[:3, :3].T
    inside = np.linalg.norm(vectors, axis=1) <= NORMAL_MM
    flags = kinds[scene.kinds]
    found = kernels.ball_normals(scene.places, flags, voxels, np.ascontiguousarray(around[inside]), vectors[inside])
    return cast(Array, found[back.ravel()])


def _degrees(one: Array, other: Array) -> Array:
    return np.asarray(np.degrees(np.arccos(np.clip((one * other).sum(-1), -1.0, 1.0))))


def _angles(scene: Scene, points_mm: Array, ways: Array, kinds: Array) -> Array:
    return _degrees(_normals(scene, points_mm, kinds), ways)


def one_look(scene: Scene, looks: Looks, pose: int) -> Look:
    """Return one of many poses in words and numbers."""
    status, focus = looks.status[pose], looks.foci[looks.of_focus[pose]]
    lost = {NAMES[code]: float((status == code).mean()) for code in NAMES if code != kernels.UNKNOWN and (status == code).any()}
    angles = looks.bone_deg[pose][status == kernels.FREE]
    met = angles[np.isfinite(angles)]
    distance, depth = (float(v) for v in looks.figures[pose])
    entry = looks.entry_mm[pose]
    return Look(
        focus=looks.names[looks.of_focus[pose]],
        focus_mm=triple(focus),
        pose=ArrayPose.aimed(triple(focus), triple(-looks.outward[pose]), distance),
        distance_mm=distance,
        entry_mm=triple(entry) if np.isfinite(entry).all() else None,
        depth_mm=depth,
        visible=float(looks.visible[pose]),
        unknown=float(looks.unknown[pose]),
        lost=dict(sorted(lost.items(), key=lambda item: -item[1])),
        skin_incidence_deg=float(looks.skin_deg[pose]),
        own_bone_mm=float(looks.own_mm[pose]),
        bone_share=len(met) / len(status),
        bone_incidence_deg=float(met.mean()) if len(met) else math.nan,
        beyond_critical=float((met > critical_angle_deg()).mean()) if len(met) else 0.0,
        near=_crossed(scene, looks.near[pose], looks.hits[0, pose], len(status)),
        far=_crossed(scene, looks.far[pose], looks.hits[1, pose], len(status)),
        end=ENDS[int(looks.ends[pose])],
    )


def _crossed(scene: Scene, nearest: Array, hits: Array, parts: int) -> tuple[Crossed, ...]:
    found = [
        Crossed(scene.name(int(place)), int(hits[place]) / parts, float(nearest[place]))
        for place in np.flatnonzero(hits)
        if scene.kinds[place] in CRITICAL
    ]
    return tuple(sorted(found, key=lambda c: (c.nearest_mm, c.name)))


def triple(values: Array) -> Triple:
    """Return three numbers as a tuple."""
    x, y, z = (float(v) for v in values)
    return x, y, z
