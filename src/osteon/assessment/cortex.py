"""The cortex near a lesion, point by point on the bone's surface.

It is looked for along the inward normal of the surface. It is what is denser than half way between soft tissue and the median
peak of the healthy cortex nearby (half-maximum threshold); its thickness is compared with the healthy median. Contrast agent
makes soft tissue denser: then the cortex is read once for every amount that the agent may have added here and there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

import numpy as np
from scipy import ndimage

from osteon.assessment.measure_base import NO_CT, SPOILT, Scene, threshold
from osteon.space.mesh import normals_from_gradient, surface_of
from osteon.space.paths import distance_to
from osteon.space.volume import Array
from osteon.tissue.properties import most_added_hu

FEW = 30
LEVELS_HEALTHY, LEVELS_LESION = 3, 5
NO_BONE = "cannot tell: outline the bone"
NOT_RESOLVED = "cannot tell: the cortex of this bone is not resolved by the image; needs a CT with thinner slices"
HIDDEN = (
    "cannot tell: the CT has contrast agent, and what that may add is as dense as the cortex of this bone as the image shows it; "
    "needs a CT without, or the radiologist's reading"
)


@dataclass(frozen=True, eq=False)
class Cortex:
    """The bone's surface near the lesion, point by point.

    Parameters
    ----------
    points : array (n, 3)
        LPS mm.
    area_mm2 : array (n,)
        Share of the surface.
    lost : array (n,)
        Part of the reference thickness that is gone, 0 to 1.
    blank : array (n,) of bool
        Nothing of the cortex shows here, not even the blurred trace of a shell thinner than a voxel.
    touched : array (n,) of bool
        The lesion lies within the reference cortex (and one voxel) here.
    reaches_out : array (n,) of bool
        The lesion lies within a voxel of the surface here.
    reference_mm : float
        Median thickness of the healthy cortex, as the image shows it.
    voxel_mm : float
        Largest voxel edge.
    unseen : float
        Part of the healthy surface on which the image shows no cortex: how far "gone" can be trusted here.
    left_out : float
        Part of the surface at the lesion that is not here because metal spoils the HU below it.
    """

    points: Array
    area_mm2: Array
    lost: Array
    blank: Array
    touched: Array
    reaches_out: Array
    reference_mm: float
    voxel_mm: float
    unseen: float = 0.0
    left_out: float = 0.0

    @property
    def gone(self) -> Array:
        """Where the lesion has replaced the cortex: too thin to count, and nothing as dense as a thin shell would still show."""
        return np.asarray(self.touched & self.blank)

    @property
    def involved(self) -> Array:
        """Where the lesion has taken at least ``involved_loss_fraction`` of the cortex."""
        return self.losing(threshold("involved_loss_fraction"))

    def losing(self, fraction: float) -> Array:
        """Return where the lesion has taken at least this fraction of the cortex."""
        return np.asarray(self.touched & (self.lost >= fraction))

    @property
    def resolved(self) -> bool:
        """Whether the image shows the healthy cortex well enough to say that some is gone."""
        return self.unseen <= threshold("unseen_cortex_fraction")

    @property
    def breached_mm2(self) -> float:
        """Area over which the cortex is gone and the lesion reaches the surface [mm²]."""
        return float(self.area_mm2[self.gone & self.reaches_out].sum())

    @property
    def is_breached(self) -> bool:
        """Whether that area exceeds ``breach_least_mm2`` and a square of three voxels, which blur alone could open."""
        return self.breached_mm2 >= max(threshold("breach_least_mm2"), (3 * self.voxel_mm) ** 2)

    @property
    def maybe_breached(self) -> bool:
        """Whether the area exceeds ``breach_least_mm2``, but blur alone could open as much in voxels of this size."""
        return self.breached_mm2 >= threshold("breach_least_mm2") and not self.is_breached


@dataclass(frozen=True, eq=False)
class Walk:
    """What the image shows along the inward normal of each point of the surface.

    Parameters
    ----------
    points, area_mm2 : array (n, 3), array (n,)
        The surface.
    depths_mm : array (m,)
        Below the surface, from one voxel outside.
    profile : array (n, m)
        HU.
    in_lesion : array (n, m) of bool
        Whether the lesion lies there.
    healthy : array (n,) of bool
        Far enough from the lesion to be the reference.
    voxel_mm, step_mm : float
        Largest voxel edge; distance between depths.
    left_out : float
        Part of the surface at the lesion that is not here because metal spoils the HU below it.
    """

    points: Array
    area_mm2: Array
    depths_mm: Array
    profile: Array
    in_lesion: Array
    healthy: Array
    voxel_mm: float
    step_mm: float
    left_out: float = 0.0
    _runs: dict[float, Array] = field(default_factory=dict)

    @cached_property
    def peak_hu(self) -> float:
        """Return the median peak of the healthy cortex."""
        return float(np.median(self.profile[self.healthy].max(1)))

    def thickness_mm(self, added_hu: float) -> Array:
        """Return the thickness of the cortex where contrast agent has added this much to soft tissue and nothing to cortex."""
        if added_hu not in self._runs:
            soft, least = threshold("cortex_soft_hu") + added_hu, threshold("cortex_least_hu") + added_hu
            self._runs[added_hu] = _first_run(self.profile > max((self.peak_hu + soft) / 2, least)) * self.step_mm
        return self._runs[added_hu]

    def cortex(self, healthy_hu: float = 0.0, lesion_hu: float = 0.0) -> Cortex | None:
        """Return the cortex if contrast agent has added this much to healthy tissue and to what lies round the lesion.

        None: what the image shows of the healthy cortex is then not denser than soft tissue.
        """
        healthy = self.healthy
        reference = float(np.median(self.thickness_mm(healthy_hu)[healthy]))
        if reference < self.step_mm:
            return None
        thickness = np.where(healthy, self.thickness_mm(healthy_hu), self.thickness_mm(lesion_hu))
        lost = np.clip(1 - thickness / reference, 0, 1)
        zone = self.depths_mm <= reference + self.voxel_mm
        touched = np.asarray(self.in_lesion[:, zone].any(1))
        reaches = np.asarray(self.in_lesion[:, self.depths_mm <= self.voxel_mm].any(1))
        shell = threshold("cortex_least_hu") + np.where(healthy, healthy_hu, lesion_hu)
        blank = (lost >= threshold("gone_loss_fraction")) & (self.profile[:, zone].max(1) < shell)
        unseen = float(self.area_mm2[healthy & blank].sum() / max(self.area_mm2[healthy].sum(), 1e-9))
        return Cortex(self.points, self.area_mm2, lost, blank, touched, reaches, reference, self.voxel_mm, unseen, self.left_out)


def cortex_readings(scene: Scene) -> tuple[Cortex, ...] | str:
    """Return the cortex near the lesion, or why it cannot be told; computed once per scene.

    One reading without contrast agent. With it one for every amount that the agent may have added, to the healthy tissue and to
    what lies round the lesion, from nothing to the most; the first one is that for nothing.
    """
    known = scene.__dict__.get("_cortex")
    if known is None:
        known = scene.__dict__["_cortex"] = _read(scene)
    return known


def _read(scene: Scene) -> tuple[Cortex, ...] | str:
    walk = _walk(scene)
    if isinstance(walk, str):
        return walk
    most = most_added_hu() if scene.contrast else 0.0
    pairs = [(0.0, 0.0)]
    if most:
        pairs = list(product(np.linspace(0, most, LEVELS_HEALTHY).tolist(), np.linspace(0, most, LEVELS_LESION).tolist()))
    found = [walk.cortex(*pair) for pair in pairs]
    read = tuple(cortex for cortex in found if cortex is not None)
    if found[0] is None:
        return NOT_RESOLVED
    return read if len(read) == len(found) else HIDDEN


def _walk(scene: Scene) -> Walk | str:
    bone, image = scene.near_bone, scene.near_image
    if image is None:
        return NO_CT
    if bone is None or scene.bone is None:
        return NO_BONE if scene.bone is None else f"cannot tell: outline the {scene.bone.name}"
    outline = bone.with_array(without_canal(bone.array, bool(scene.is_long_bone)))
    vertices, areas = surface_of(outline)
    if len(vertices) == 0:
        return "cannot tell: the lesion does not lie near the outlined bone"
    voxel = max(bone.spacing_mm)
    normals = normals_from_gradient(outline, vertices)
    step = float(np.clip(min(bone.spacing_mm) / 4, 0.2, 0.5))
    depths = np.arange(-voxel, threshold("cortex_search_mm") + step / 2, step)
    index = bone.grid.to_index(vertices[:, None, :] - depths[None, :, None] * normals[:, None, :])
    walk = np.moveaxis(index, -1, 0)
    profile = ndimage.map_coordinates(image.array.astype(np.float32), walk, order=1, mode="nearest")
    in_lesion = ndimage.map_coordinates(scene.near_lesion.array.astype(np.float32), walk, order=1, mode="constant") >= 0.5
    apart = ndimage.map_coordinates(distance_to(scene.near_lesion).array, bone.grid.to_index(vertices).T, order=1)
    healthy = apart > threshold("healthy_beyond_mm")
    part = 0.0
    if scene.near_unreliable is not None:
        spoilt = ndimage.map_coordinates(scene.near_unreliable.astype(np.uint8), walk, order=0, mode="nearest").any(1)
        judged = in_lesion.any(1)
        part = float(areas[judged & spoilt].sum() / max(areas[judged].sum(), 1e-9))
        if part > threshold("spoilt_most_fraction"):
            return SPOILT.format(100 * part)
        kept = ~spoilt
        vertices, areas, profile, in_lesion, healthy = (a[kept] for a in (vertices, areas, profile, in_lesion, healthy))
    if healthy.sum() < FEW:
        return "cannot tell: no healthy cortex near the lesion to compare with; outline the whole bone"
    return Walk(vertices, areas, depths, profile, in_lesion, np.asarray(healthy), voxel, step, part)


def _first_run(dense: Array) -> Array:
    """Return for each row the length of its first run of true values."""
    started = np.cumsum(dense, axis=1) > 0
    ended = np.cumsum(started & ~dense, axis=1) > 0
    return np.asarray((dense & ~ended).sum(1), float)


def without_canal(inside: Array, long_bone: bool) -> Array:
    """Fill what the outline encloses, so that only its outer surface is left; in long bones also a canal open at the ends."""
    filled = ndimage.binary_fill_holes(inside)
    if long_bone:
        for axis in range(3):
            for part, whole in zip(np.moveaxis(inside, axis, 0), np.moveaxis(filled, axis, 0), strict=True):
                whole |= ndimage.binary_fill_holes(part)
    return np.asarray(filled)
