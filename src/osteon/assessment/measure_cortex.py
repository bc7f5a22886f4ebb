"""What the lesion has done to the cortex, and whether it has left the bone.

The cortex is looked for along the inward normal of the bone's surface. It is what is denser than half way between soft tissue and
the median peak of the healthy cortex nearby (half-maximum threshold); its thickness is compared with the healthy median.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from osteon.assessment.measure_base import NO_CT, Scene, cut, family, threshold, thresholds
from osteon.facts import Fact, Interval, Known, NotApplicable, OneOf, State, Unknown
from osteon.space.mesh import normals_from_gradient, surface_of
from osteon.space.paths import distance_to
from osteon.space.volume import Array, Volume

FEW = 30
NO_BONE = "cannot tell: outline the bone"


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


def cortex_of(scene: Scene) -> Cortex | str:
    """Return the cortex near the lesion, or why it cannot be told; computed once per scene."""
    known = scene.__dict__.get("_cortex")
    if known is None:
        known = scene.__dict__["_cortex"] = _look(scene)
    return known


def _look(scene: Scene) -> Cortex | str:
    bone, image = scene.near_bone, scene.near_image
    if image is None:
        return NO_CT
    if bone is None or scene.bone is None:
        return NO_BONE if scene.bone is None else f"cannot tell: outline the {scene.bone.name}"
    outline = bone.with_array(_without_canal(bone.array, bool(scene.is_long_bone)))
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
    if healthy.sum() < FEW:
        return "cannot tell: no healthy cortex near the lesion to compare with; outline the whole bone"
    soft = threshold("cortex_soft_hu")
    edge = max((float(np.median(profile[healthy].max(1))) + soft) / 2, threshold("cortex_least_hu"))
    thickness = _first_run(profile > edge) * step
    reference = float(np.median(thickness[healthy]))
    if reference < step:
        return "cannot tell: the cortex of this bone is not resolved by the image; needs a CT with thinner slices"
    lost = np.clip(1 - thickness / reference, 0, 1)
    touched = in_lesion[:, depths <= reference + voxel].any(1)
    reaches = in_lesion[:, depths <= voxel].any(1)
    zone = depths <= reference + voxel
    blank = (lost >= threshold("gone_loss_fraction")) & (profile[:, zone].max(1) < threshold("cortex_least_hu"))
    unseen = float(areas[healthy & blank].sum() / max(areas[healthy].sum(), 1e-9))
    return Cortex(vertices, areas, lost, blank, touched, reaches, reference, voxel, unseen)


def _first_run(dense: Array) -> Array:
    """Return for each row the length of its first run of true values."""
    started = np.cumsum(dense, axis=1) > 0
    ended = np.cumsum(started & ~dense, axis=1) > 0
    return np.asarray((dense & ~ended).sum(1), float)


def _without_canal(inside: Array, long_bone: bool) -> Array:
    """Fill what the outline encloses, so that only its outer surface is left; in long bones also a canal open at the ends."""
    filled = ndimage.binary_fill_holes(inside)
    if long_bone:
        for axis in range(3):
            for part, whole in zip(np.moveaxis(inside, axis, 0), np.moveaxis(filled, axis, 0), strict=True):
                whole |= ndimage.binary_fill_holes(part)
    return np.asarray(filled)


def cortex_contact(scene: Scene) -> Fact:
    """Say whether the lesion leaves the cortex alone, touches it, or has breached it."""
    cortex = cortex_of(scene)
    if isinstance(cortex, str):
        return scene.fact("cortex_contact", Unknown(cortex))
    if cortex.is_breached:
        state: State = Known("breached") if cortex.resolved else OneOf(("contact", "breached"))
        place = _middle(cortex, cortex.gone & cortex.reaches_out)
        return scene.fact("cortex_contact", state, scene.at(place, f"breach{_doubt(cortex)}"))
    if cortex.area_mm2[cortex.touched].sum() > 0:
        return scene.fact("cortex_contact", Known("contact"), scene.at(_middle(cortex, cortex.touched), "contact"))
    return scene.fact("cortex_contact", Known("none"))


def cortex_loss_mm2(scene: Scene) -> Fact:
    """Measure the area of the bone's surface under which the cortex is gone [mm²].

    An interval from where nothing is left to where a shell thinner than the image resolves may be left.
    """
    cortex = cortex_of(scene)
    if isinstance(cortex, str):
        return scene.fact("cortex_loss_mm2", Unknown(cortex))
    thin = cortex.losing(threshold("gone_loss_fraction"))
    if not thin.any():
        return scene.fact("cortex_loss_mm2", Known(0.0))
    least = float(cortex.area_mm2[cortex.gone].sum()) if cortex.resolved and cortex.is_breached else 0.0
    state = _span([least, float(cortex.area_mm2[thin].sum())], 1)
    return scene.fact("cortex_loss_mm2", state, scene.at(_middle(cortex, thin), f"middle of the loss{_doubt(cortex)}"))


def cortical_thickness_fraction(scene: Scene) -> Fact:
    """Measure the largest part of the cortical thickness that is destroyed (95th percentile over the cortex touched).

    A breach is 1. Otherwise an interval of half a voxel against the reference thickness either way.
    """
    name = "cortical_thickness_fraction"
    cortex = cortex_of(scene)
    if isinstance(cortex, str):
        return scene.fact(name, Unknown(cortex))
    if cortex.is_breached:
        whole = Known(1.0) if cortex.resolved else Interval(0.0, 1.0)
        return scene.fact(name, whole, scene.at(_middle(cortex, cortex.gone & cortex.reaches_out), f"breach{_doubt(cortex)}"))
    if not cortex.touched.any():
        return scene.fact(name, Known(0.0))
    most = float(np.percentile(cortex.lost[cortex.touched], 95))
    doubt = 0.5 * cortex.voxel_mm / cortex.reference_mm
    state = Interval(round(max(most - doubt, 0.0), 2), round(min(most + doubt, 1.0), 2))
    return scene.fact(name, state, scene.at(_middle(cortex, cortex.touched), f"reference thickness {cortex.reference_mm:.1f} mm"))


def axial_cortical_mm(scene: Scene) -> Fact:
    """Measure how far involved cortex extends along the axis of a long bone [mm].

    An interval over the spread of ``involved_loss_fraction``.
    """
    name = "axial_cortical_mm"
    cortex = _of_long_bone(scene, name)
    if isinstance(cortex, Fact):
        return cortex
    along = cortex.points @ bone_axis(scene)[0]
    extents = [float(np.ptp(along[bad])) if bad.any() else 0.0 for bad in _over_spread(cortex)]
    extents += [] if cortex.resolved else [0.0]
    if not cortex.involved.any():
        return scene.fact(name, _span(extents, 1))
    ends = np.flatnonzero(cortex.involved)
    low, high = ends[np.argmin(along[ends])], ends[np.argmax(along[ends])]
    return scene.fact(
        name, _span(extents, 1), scene.at(cortex.points[low], "one end"), scene.at(cortex.points[high], "other end")
    )


def circumferential_cortical_fraction(scene: Scene) -> Fact:
    """Measure the largest part of the circumference of a long bone whose cortex is involved, over slabs across its axis.

    An interval over the spread of ``involved_loss_fraction``.
    """
    name = "circumferential_cortical_fraction"
    cortex = _of_long_bone(scene, name)
    if isinstance(cortex, Fact):
        return cortex
    along = cortex.points @ bone_axis(scene)[0]
    slab = np.floor((along - along.min()) / max(threshold("slab_mm"), cortex.voxel_mm)).astype(int)
    whole = np.maximum(np.bincount(slab, cortex.area_mm2), 1e-9)
    parts = [np.bincount(slab, cortex.area_mm2 * bad, minlength=len(whole)) / whole for bad in _over_spread(cortex)]
    state = _span([float(part.max()) for part in parts] + ([] if cortex.resolved else [0.0]), 3)
    worst = (slab == int(np.argmax(parts[0]))) & _over_spread(cortex)[0]
    return scene.fact(name, state, *([scene.at(cortex.points[worst].mean(0), "worst slab")] if worst.any() else []))


def _doubt(cortex: Cortex) -> str:
    if cortex.resolved:
        return ""
    return f" (open: the image shows no cortex on {100 * cortex.unseen:.0f} % of the healthy surface; needs thinner slices)"


def _over_spread(cortex: Cortex) -> list[Array]:
    """Return where the cortex is involved at the low, middle and high end of the threshold's spread."""
    value = thresholds()["involved_loss_fraction"]
    ends = (getattr(value.spread, "low", value.number), value.number, getattr(value.spread, "high", value.number))
    return [cortex.losing(end) for end in ends]


def _span(values: list[float], digits: int) -> State:
    low, high = round(min(values), digits), round(max(values), digits)
    return Known(low) if low == high else Interval(low, high)


def bone_axis(scene: Scene) -> tuple[Array, Array]:
    """Return the unit vector (LPS) along the bone near the lesion, and a point on it: the first principal axis of its voxels.

    Raises
    ------
    ValueError
        If the bone is not outlined.
    """
    if scene.near_bone is None:
        raise ValueError("the bone is not outlined")
    places = scene.near_bone.grid.to_mm(np.argwhere(scene.near_bone.array))
    middle = places.mean(0)
    _, vectors = np.linalg.eigh(np.cov((places - middle).T))
    axis = vectors[:, -1]
    return np.asarray(axis * (1.0 if axis[2] >= 0 else -1.0)), middle


def _of_long_bone(scene: Scene, name: str) -> Cortex | Fact:
    if scene.bone is None:
        return scene.fact(name, Unknown("cannot tell: name the bone"))
    if not scene.is_long_bone:
        return scene.fact(name, NotApplicable(f"the {scene.bone.name} is no long bone"))
    cortex = cortex_of(scene)
    return scene.fact(name, Unknown(cortex)) if isinstance(cortex, str) else cortex


def soft_tissue_component(scene: Scene) -> Fact:
    """Say whether the lesion goes beyond the bone by more than ``soft_tissue_beyond_mm`` (at least 1.5 voxels)."""
    name = "soft_tissue_component"
    if scene.near_bone is None or scene.bone is None:
        return scene.fact(name, Unknown(NO_BONE if scene.bone is None else f"cannot tell: outline the {scene.bone.name}"))
    if not scene.near_bone.array.any():
        return scene.fact(name, Unknown("cannot tell: the lesion does not lie near the outlined bone"))
    beyond = max(threshold("soft_tissue_beyond_mm"), 1.5 * max(scene.grid.spacing_mm))
    outside = scene.near_lesion.array & (distance_to(scene.near_bone).array > beyond)
    millilitres = float(outside.sum()) * scene.grid.voxel_mm3 / 1000
    if millilitres < threshold("soft_tissue_least_ml"):
        return scene.fact(name, Known(False))
    place = scene.near_lesion.grid.to_mm(np.argwhere(outside).mean(0))
    return scene.fact(name, Known(True), scene.at(place, f"{millilitres:.1f} ml more than {beyond:.0f} mm outside the bone"))


def posterior_wall_involved(scene: Scene) -> Fact:
    """Say whether the lesion comes within ``posterior_wall_mm`` (at least a voxel) of the back of the vertebral body.

    The back of the body is the surface of the vertebra in front of the canal, over the canal's width; needs the canal's outline.
    """
    name = "posterior_wall_involved"
    if scene.bone is None:
        return scene.fact(name, Unknown("cannot tell: name the bone"))
    if not family(scene.bone).startswith("vertebra"):
        return scene.fact(name, NotApplicable(f"the {scene.bone.name} has no posterior wall"))
    if scene.near_bone is None:
        return scene.fact(name, Unknown(f"cannot tell: outline the {scene.bone.name}"))
    if not scene.anatomy.has("spinal_cord"):
        return scene.fact(name, Unknown("cannot tell: outline the spinal cord or canal"))
    wall = posterior_wall(scene.near_bone, cut(scene.anatomy.mask("spinal_cord"), scene.window))
    if not wall.array.any():
        return scene.fact(name, Unknown("cannot tell: outline the spinal cord or canal at this level"))
    distance = np.where(scene.near_lesion.array, distance_to(wall).array, np.inf)
    nearest = np.unravel_index(int(np.argmin(distance)), distance.shape)
    place = scene.near_lesion.grid.to_mm(np.array(nearest, float))
    state: State = Known(bool(distance[nearest] <= max(threshold("posterior_wall_mm"), max(scene.grid.spacing_mm))))
    return scene.fact(name, state, scene.at(place, f"{distance[nearest]:.0f} mm from the posterior wall"))


def posterior_wall(vertebra: Volume, canal: Volume) -> Volume:
    """Return the rearmost voxels of a vertebra that lie in front of the canal, over the canal's width; canonical axes."""
    wall = np.zeros(vertebra.grid.shape, bool)
    for z in np.flatnonzero(canal.array.any(axis=(1, 2)) & vertebra.array.any(axis=(1, 2))):
        rows, columns = np.nonzero(canal.array[z])
        front = int(rows.min())
        part = vertebra.array[z, : front + 1, columns.min() : columns.max() + 1]
        rear = part.shape[0] - 1 - np.argmax(part[::-1], axis=0)
        kept = np.flatnonzero(part.any(axis=0))
        wall[z, rear[kept], columns.min() + kept] = True
    return vertebra.with_array(wall)


def _middle(cortex: Cortex, where: Array) -> Array:
    weights = cortex.area_mm2[where]
    return np.asarray((cortex.points[where] * weights[:, None]).sum(0) / max(weights.sum(), 1e-9))
