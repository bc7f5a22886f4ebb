"""What the lesion has done to the cortex, and whether it has left the bone.

Each fact is read from one ``Cortex``, those of the shaft of a long bone from its unrolled cortex. With contrast agent there are
several readings, and the answer holds every one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from osteon.assessment.cortex import NO_BONE, Cortex, cortex_readings
from osteon.assessment.cortex_map_measures import Measured
from osteon.assessment.cortex_map_scene import MapReading, map_readings
from osteon.assessment.measure_base import WIDENED, Scene, cut, family, threshold, thresholds
from osteon.facts import Fact, Interval, Known, NotApplicable, OneOf, Origin, State, Unknown, possible, vocabulary
from osteon.space.paths import distance_to
from osteon.space.volume import Array, Volume
from osteon.tissue.properties import most_added_hu

Reading = tuple[State, tuple[Origin, ...]]


def cortex_contact(scene: Scene) -> Fact:
    """Say whether the lesion leaves the cortex alone, touches it, or has breached it.

    A hole that blur alone could open in voxels of this size leaves open whether it is one, and so do slices too far apart.
    """

    def read(cortex: Cortex) -> Reading:
        coarse = cortex.voxel_mm > threshold("cortex_slices_mm")
        if cortex.is_breached or cortex.maybe_breached:
            sure = cortex.is_breached and cortex.resolved
            small = f" (open: in voxels of {cortex.voxel_mm:.3g} mm blur alone could open as much)"
            doubt = _doubt(cortex) if cortex.is_breached else small
            place = scene.at(_middle(cortex, cortex.gone & cortex.reaches_out), f"breach{doubt}")
            return Known("breached") if sure else OneOf(("contact", "breached")), (place,)
        if cortex.area_mm2[cortex.touched].sum() > 0:
            said = f"contact (open: voxels of {cortex.voxel_mm:.3g} mm may hide a breach)" if coarse else "contact"
            place = scene.at(_middle(cortex, cortex.touched), said)
            return OneOf(("contact", "breached")) if coarse else Known("contact"), (place,)
        return Known("none"), ()

    return _answer(scene, "cortex_contact", read)


def cortex_loss_mm2(scene: Scene) -> Fact:
    """Measure the area of the bone's surface under which the cortex is gone [mm²].

    An interval from where nothing is left to where a shell thinner than the image resolves may be left.
    """

    def read(cortex: Cortex) -> Reading:
        thin = cortex.losing(threshold("gone_loss_fraction"))
        if not thin.any():
            return Known(0.0), ()
        least = float(cortex.area_mm2[cortex.gone].sum()) if cortex.resolved and cortex.is_breached else 0.0
        state = _span([least, float(cortex.area_mm2[thin].sum())], 1)
        return state, (scene.at(_middle(cortex, thin), f"middle of the loss{_doubt(cortex)}"),)

    return _answer(scene, "cortex_loss_mm2", read, measured=True)


def cortical_thickness_fraction(scene: Scene) -> Fact:
    """Measure the largest part of the cortical thickness that is destroyed.

    In long bones from the unrolled cortex, over ``breach_least_mm2``; elsewhere the 95th percentile over the cortex touched, half
    a voxel against the reference thickness either way. A breach is 1.
    """

    def read(cortex: Cortex) -> Reading:
        if cortex.is_breached:
            whole = Known(1.0) if cortex.resolved else Interval(0.0, 1.0)
            return whole, (scene.at(_middle(cortex, cortex.gone & cortex.reaches_out), f"breach{_doubt(cortex)}"),)
        if not cortex.touched.any():
            return Known(0.0), ()
        most = float(np.percentile(cortex.lost[cortex.touched], 95))
        doubt = 0.5 * cortex.voxel_mm / cortex.reference_mm
        state = Interval(round(max(most - doubt, 0.0), 2), round(min(most + doubt, 1.0), 2))
        place = scene.at(_middle(cortex, cortex.touched), f"reference thickness {cortex.reference_mm:.1f} mm")
        return state, (place,)

    def unrolled(cortex: Cortex, made: MapReading) -> Reading:
        return read(cortex) if cortex.is_breached else _told(scene, made, made.read.thickness, 2)

    return _answer(scene, "cortical_thickness_fraction", read, measured=True, unrolled=unrolled)


def axial_cortical_mm(scene: Scene) -> Fact:
    """Measure how far involved cortex extends along the axis of a long bone [mm].

    From the unrolled cortex: the longest run at one angle with less than two thirds of the thickness, along the surface. Where a
    bone cannot be unrolled, the extent of its surface points, over the spread of ``involved_loss_fraction``.
    """
    name = "axial_cortical_mm"
    elsewhere = _no_long_bone(scene, name)

    def read(cortex: Cortex) -> Reading:
        along = cortex.points @ bone_axis(scene)[0]
        extents = [float(np.ptp(along[bad])) if bad.any() else 0.0 for bad in _over_spread(cortex)]
        extents += [] if cortex.resolved else [0.0]
        if not cortex.involved.any():
            return _span(extents, 1), ()
        ends = np.flatnonzero(cortex.involved)
        low, high = ends[np.argmin(along[ends])], ends[np.argmax(along[ends])]
        places = scene.at(cortex.points[low], "one end"), scene.at(cortex.points[high], "other end")
        return _span(extents, 1), places

    def unrolled(_: Cortex, made: MapReading) -> Reading:
        state, places = _told(scene, made, made.read.along_mm, 1)
        cells = np.argwhere(made.read.along_mm.cells)
        if not len(cells):
            return state, places
        ends = made.found.points_mm[tuple(cells[0])], made.found.points_mm[tuple(cells[-1])]
        said = places[0].where.partition(": axial slice")[0]
        return state, (scene.at(ends[0], f"one end, {said}"), scene.at(ends[1], f"other end, {said}"))

    return elsewhere or _answer(scene, name, read, measured=True, unrolled=unrolled)


def circumferential_cortical_fraction(scene: Scene) -> Fact:
    """Measure the largest part of the circumference of a long bone whose cortex is involved.

    From the unrolled cortex: the share of one slice with less than half of the thickness. Where a bone cannot be unrolled, the
    share of the surface in slabs across its axis, over the spread of ``involved_loss_fraction``.
    """
    name = "circumferential_cortical_fraction"
    elsewhere = _no_long_bone(scene, name)

    def read(cortex: Cortex) -> Reading:
        along = cortex.points @ bone_axis(scene)[0]
        slab = np.floor((along - along.min()) / max(threshold("slab_mm"), cortex.voxel_mm)).astype(int)
        whole = np.maximum(np.bincount(slab, cortex.area_mm2), 1e-9)
        parts = [np.bincount(slab, cortex.area_mm2 * bad, minlength=len(whole)) / whole for bad in _over_spread(cortex)]
        state = _span([float(part.max()) for part in parts] + ([] if cortex.resolved else [0.0]), 3)
        worst = (slab == int(np.argmax(parts[0]))) & _over_spread(cortex)[0]
        return state, (scene.at(cortex.points[worst].mean(0), "worst slab"),) if worst.any() else ()

    def unrolled(_: Cortex, made: MapReading) -> Reading:
        return _told(scene, made, made.read.around, 3)

    return elsewhere or _answer(scene, name, read, measured=True, unrolled=unrolled)


def lesion_diameter_fraction(scene: Scene) -> Fact:
    """Measure the width of the lesion over that of a long bone, in the worst of many projections across its axis.

    As a film would show it. Needs the unrolled cortex: there is no other way to it.
    """
    name = "lesion_diameter_fraction"
    elsewhere = _no_long_bone(scene, name)
    if elsewhere:
        return elsewhere
    made = map_readings(scene)
    if isinstance(made, str):
        return scene.fact(name, Unknown(made))
    state, places = _told(scene, made[0], made[0].read.diameter, 2)
    return scene.fact(name, state, *places)


def _told(scene: Scene, made: MapReading, one: Measured, digits: int) -> Reading:
    """Return one measure of the unrolled cortex; open upwards where the lesion reaches the end of what is seen of the bone."""
    high = one.high
    if made.found.open_ended:
        high = 1.0 if one.high <= 1.0 and digits > 1 else float(vocabulary()["axial_cortical_mm"].domain[1])
    state = _span([one.low, high], digits)
    if not one.cells.any():
        return state, ()
    doubt = "" if made.found.resolved else "; open: the image shows no cortex on part of the healthy surface"
    said = f"unrolled, best {one.best:.{digits}f}, {one.where}, against {made.found.reference}{doubt}"
    return state, (scene.at(made.found.points_mm[one.cells].mean(0), said),)


def _answer(
    scene: Scene,
    name: str,
    read: Callable[[Cortex], Reading],
    measured: bool = False,
    unrolled: Callable[[Cortex, MapReading], Reading] | None = None,
) -> Fact:
    """Return what every reading of the cortex leaves open; a measured figure is refused where voxels are too long for it.

    Where the cortex can be unrolled and ``unrolled`` says how to read it there, that is what counts.
    """
    readings = cortex_readings(scene)
    if isinstance(readings, str):
        return scene.fact(name, Unknown(readings))
    longest = readings[0].voxel_mm
    if measured and longest > threshold("cortex_slices_mm"):
        most = threshold("cortex_slices_mm")
        why = f"cannot tell: voxels of {longest:.3g} mm do not measure a cortex; needs a CT with slices of at most {most:g} mm"
        return scene.fact(name, Unknown(why))
    maps = map_readings(scene) if unrolled and scene.is_long_bone else "no long bone"
    if unrolled is None or isinstance(maps, str):
        told = [read(cortex) for cortex in readings]
    else:
        told = [unrolled(cortex, made) for cortex, made in zip(readings, maps, strict=True)]
    state = _widest(name, [one for one, _ in told])
    origins = next((places for _, places in told if places), ())
    if unrolled is not None and scene.is_long_bone and isinstance(maps, str):
        origins = tuple(replace(origin, where=f"{origin.where}; from the surface, not unrolled: {maps}") for origin in origins)
    if readings[0].left_out > 0:
        label = f"without the {100 * readings[0].left_out:.0f} % of the cortex there that lie in streaks of metal"
        seen = origins or (scene.at(scene.centre_mm, "whole lesion"),)
        origins = tuple(replace(origin, where=f"{origin.where}; {label}") for origin in seen)
    if scene.contrast:
        label = f"{WIDENED} over 0 to {most_added_hu():.0f} HU of enhancement"
        seen = origins or (scene.at(scene.centre_mm, "whole lesion"),)
        origins = tuple(replace(origin, where=f"{origin.where}; {label}") for origin in seen)
    return scene.fact(name, state, *origins)


def _widest(name: str, states: list[State]) -> State:
    """Return the state that leaves open whatever one of several leaves open."""
    if all(state == states[0] for state in states):
        return states[0]
    values = {value for state in states for value in possible(state)}
    kind = vocabulary()[name]
    if kind.type == "number":
        numbers = [float(value) for value in values]
        return Interval(min(numbers), max(numbers))
    return OneOf(tuple(value for value in kind.domain if value in values))


def _no_long_bone(scene: Scene, name: str) -> Fact | None:
    if scene.bone is None:
        return scene.fact(name, Unknown("cannot tell: name the bone"))
    return None if scene.is_long_bone else scene.fact(name, NotApplicable(f"the {scene.bone.name} is no long bone"))


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

    Computed once per scene.

    Raises
    ------
    ValueError
        If the bone is not outlined.
    """
    if scene.near_bone is None:
        raise ValueError("the bone is not outlined")
    known: tuple[Array, Array] | None = scene.__dict__.get("_axis")
    if known is None:
        places = scene.near_bone.grid.to_mm(np.argwhere(scene.near_bone.array))
        middle = places.mean(0)
        _, vectors = np.linalg.eigh(np.cov((places - middle).T))
        axis = vectors[:, -1]
        known = scene.__dict__["_axis"] = np.asarray(axis * (1.0 if axis[2] >= 0 else -1.0)), middle
    return known


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
