"""The box in which a plan is made, and what it means to treat, by goal."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from osteon.errors import ImageError
from osteon.planning.geometry import note, number
from osteon.planning.maps import body_of, distance_mm
from osteon.space.anatomy import Anatomy, Structure, structure
from osteon.space.volume import Array, Grid, Volume
from osteon.treatments.base import Goal, Treatment


@dataclass(frozen=True, eq=False)
class Target:
    """What is to be treated.

    Parameters
    ----------
    mask : Volume of bool
        On the planning grid.
    goal : str
        The goal that was planned for, which may be narrower than the one asked for.
    text : str
        How it was defined, with its source.
    left_out : tuple of str
        What of the lesion is not part of it, named.
    """

    mask: Volume
    goal: Goal
    text: str
    left_out: tuple[str, ...] = ()


def planning_box(anatomy: Anatomy, lesion: Structure, spacing_mm: float) -> Grid:
    """Return the isotropic grid round the lesion, clipped to the image; along the patient's axes.

    Raises
    ------
    ImageError
        If the lesion has no voxel.
    """
    index = np.argwhere(anatomy.mask(lesion).array)
    if len(index) == 0:
        raise ImageError(
            f"The outline of the {lesion.name} is empty.", "There is nothing to aim at.", "Outline the lesion in case.yaml."
        )
    places = anatomy.grid.to_mm(index)
    corners = anatomy.grid.corners_mm()
    margin = number("box_margin_mm")
    low = np.maximum(places.min(0) - margin, corners.min(0))
    high = np.minimum(places.max(0) + margin, corners.max(0))
    count = np.floor((high - low) / spacing_mm + 1e-6)
    return Grid.box(low, low + count * spacing_mm, spacing_mm)


def boxed(anatomy: Anatomy, grid: Grid) -> Anatomy:
    """Return the anatomy on a planning grid, with only those outlines that reach into it, and always a body."""
    corners = grid.corners_mm()
    low, high = corners.min(0) - 2.0 * max(anatomy.grid.spacing_mm), corners.max(0) + 2.0 * max(anatomy.grid.spacing_mm)

    def near(volume: Volume) -> Volume:
        return volume.crop(low, high)

    masks = {s: near(m) for s, m in anatomy.masks.items()}
    masks = {s: m for s, m in masks.items() if m.array.any()}
    body = structure("body")
    approximate = anatomy.approximate
    if body not in masks:
        masks[body] = near(body_of(anatomy))
        approximate = approximate | {body}
    part = replace(
        anatomy,
        imaged=near(anatomy.imaged),
        image=None if anatomy.image is None else near(anatomy.image),
        unreliable=None if anatomy.unreliable is None else near(anatomy.unreliable),
        shown=None,
        masks=masks,
        approximate=approximate,
        state={k: near(v) for k, v in anatomy.state.items()},
        drawn={k: near(v) for k, v in anatomy.drawn.items()},
    )
    return part.on(grid)


def define_target(
    box: Anatomy, lesion: Structure, bone: Structure | None, goal: Goal, treatment: Treatment, whole: bool = False
) -> Target:
    """Return what is to be treated: lesion + 10 mm to cure, + 2 mm to relieve, or the interface of mass and bone.

    Parameters
    ----------
    box : Anatomy
        On the planning grid.
    lesion, bone : Structure
        The lesion and the bone that holds it.
    goal : {"cure", "palliation", "interface_palliation"}
        Palliation of a mass larger than one zone, or abutting a nerve, becomes ``interface_palliation``.
    treatment : Treatment
        Its own ``target`` goes first.
    whole : bool
        Take a mass larger than one zone as a whole: several positions may cover it.
    """
    mass = box.mask(lesion)
    why = ""
    if goal == "palliation":
        why = _too_much(box, mass, whole)
        goal = "interface_palliation" if why else goal
    own = treatment.target(box, goal, lesion)
    if own is not None and own.array.any():
        text = f"as {treatment.name} defines it for {goal.replace('_', ' ')}{why}"
        own = _treatable(box, own if own.grid == box.grid else own.resample(box.grid))
        return Target(own, goal, text, _spared(mass, own, why))
    if goal == "interface_palliation":
        face = _interface(box, mass, bone)
        if face.array.any():
            half = f"{number('interface_half_mm'):.0f} mm"
            text = f"the border of mass and bone, {half} to either side{why}: {note('interface_half_mm')}"
            return Target(face, goal, text, _spared(mass, face, why))
    name = "margin_cure_mm" if goal == "cure" else "margin_palliation_mm"
    grown = grow(mass, number(name))
    target = _treatable(box, mass.with_array(grown))
    lost = float((grown & ~target.array).sum() * mass.grid.voxel_mm3 / 1000.0)
    gone = (f"{lost:.3g} cm³ of the margin lie outside the body or the image and are not counted",) if lost > 0.05 else ()
    return Target(target, goal, f"lesion + {number(name):.0f} mm for {goal.replace('_', ' ')}: {note(name)}", gone)


def grow(mask: Volume, margin_mm: float) -> Array:
    """Return a mask grown by a margin.

    The surface is taken between voxels, where the mask smoothed over one voxel is one half: counting from voxel centres would
    move it by up to half a voxel, 6 % of the volume of a lesion of 24 mm grown by 2 mm.
    """
    voxel = max(mask.grid.spacing_mm)
    away = distance_mm(mask.array, mask.grid.spacing_mm)
    grown: Array = away <= margin_mm
    doubtful = np.argwhere(np.abs(away - margin_mm) <= 1.2 * voxel)
    surface = _surface_points(ndimage.gaussian_filter(mask.array.astype(np.float32), 1.0))
    if len(surface) == 0 or len(doubtful) == 0:
        return grown
    near = cKDTree(mask.grid.to_mm(surface)).query(mask.grid.to_mm(doubtful))[0] <= margin_mm
    grown[tuple(doubtful.T)] = near
    return grown | mask.array


def _surface_points(field: Array) -> Array:
    """Return where a field passes one half along the edges of the lattice, as fractional indices (n, 3)."""
    found = []
    for axis in range(3):
        low = np.moveaxis(field, axis, 0)[:-1] - 0.5
        high = np.moveaxis(field, axis, 0)[1:] - 0.5
        index = np.argwhere((low > 0) != (high > 0))
        a, b = low[tuple(index.T)], high[tuple(index.T)]
        points = index.astype(float)
        points[:, 0] += a / (a - b)
        found.append(np.insert(points[:, 1:], axis, points[:, 0], axis=1))
    return np.concatenate(found)


def _spared(mass: Volume, target: Volume, why: str) -> tuple[str, ...]:
    rest = float((mass.array & ~target.array).sum() * mass.grid.voxel_mm3 / 1000.0)
    share = 100.0 * rest * 1000.0 / (mass.array.sum() * mass.grid.voxel_mm3)
    return (f"{rest:.3g} cm³ of the lesion ({share:.0f} %) are left out on purpose{why}",) if rest > 0.01 else ()


def _treatable(box: Anatomy, mask: Volume) -> Volume:
    body = box.mask(structure("body")).array
    return mask.with_array(mask.array & body & box.imaged.array)


def _too_much(box: Anatomy, mass: Volume, whole: bool) -> str:
    """Return why palliation goes for the interface only, or nothing."""
    places = mass.grid.to_mm(np.argwhere(mass.array))
    extent = float((places.max(0) - places.min(0)).max() + mass.grid.spacing_mm[0])
    if extent > number("large_mass_mm") and not whole:
        return f", because the mass of {extent:.0f} mm is larger than one zone of {number('large_mass_mm'):.0f} mm"
    away = distance_mm(mass.array, mass.spacing_mm)
    for each in box.of_kind("nerve", "cord"):
        gap = float(away[box.mask(each).array].min())
        if gap < number("nerve_abutting_mm"):
            return f", because the mass lies {gap:.0f} mm from the {each.name}"
    return ""


def _interface(box: Anatomy, mass: Volume, bone: Structure | None) -> Volume:
    half = number("interface_half_mm")
    bones = [bone] if bone is not None and box.has(bone) else box.of_kind("bone")
    solid: Array = box.union(bones) & ~mass.array if bones else np.zeros(mass.array.shape, bool)
    if not solid.any():
        return mass.with_array(np.zeros(mass.array.shape, bool))
    near = (distance_mm(solid, mass.spacing_mm) <= half) & (distance_mm(mass.array, mass.spacing_mm) <= half)
    return _treatable(box, mass.with_array(near & (mass.array | solid)))
