"""Which parts of the acetabulum the lesion holds, and how much healthy bone is left round it or in a vertebra.

Walls, roof and rim are found by direction from the centre of the femoral head, in a shell of bone round the joint. The patient's
axes stand for those of the pelvis: a tilted pelvis shifts the borders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from osteon.assessment.measure_base import Scene, cut, family, window_of
from osteon.assessment.measure_vertebra import OTHER, shifted
from osteon.assessment.measure_vertebra_frame import number, numbers
from osteon.case.fracture import cut_edges
from osteon.facts import Fact, Interval, Known, NotApplicable, Origin, State, Unknown
from osteon.space.anatomy import structure
from osteon.space.volume import Array, Volume

RADIUS_MM, MISFIT_MM = (15.0, 36.0), 4.0
"""Radii that the joint of an adult hip can have, and the largest misfit of a sphere to it."""


@dataclass(frozen=True, eq=False)
class Held:
    """A region of bone and what the lesion holds of it.

    Parameters
    ----------
    region, smaller, lesion, larger : ndarray of bool (z, y, x)
        The region; the lesion with its surface one voxel inwards, as outlined, one voxel outwards.
    other : ndarray of bool
        Other lesions.
    volume : Volume
        Gives the grid of all of them.
    """

    region: Array
    smaller: Array
    lesion: Array
    larger: Array
    other: Array
    volume: Volume

    def share(self, part: Array) -> tuple[float, float, float]:
        """Return the share of a part of the region in the lesion: least, as outlined, most."""
        whole = max(float(part.sum()), 1.0)
        least, middle, most = (float((part & each).sum()) / whole for each in (self.smaller, self.lesion, self.larger))
        return least, middle, most

    def ml(self, part: Array) -> float:
        """Return the volume of a part [ml]."""
        return float(part.sum()) * self.volume.grid.voxel_mm3 / 1000


@dataclass(frozen=True, eq=False)
class Acetabulum:
    """The acetabulum of the lesion's hip bone.

    Parameters
    ----------
    centre_mm : ndarray (3,)
        Of the femoral head, LPS.
    radius_mm : float
        Of the joint.
    held : Held
        Bone round it within ``stock_reach_mm``.
    shell : ndarray of bool
        Of that, what lies within ``shell_mm`` of the joint.
    parts : dict of str to ndarray of bool
        medial wall, roof, lateral rim; anterior column, posterior column.
    """

    centre_mm: Array
    radius_mm: float
    held: Held
    shell: Array
    parts: dict[str, Array]


def acetabulum(scene: Scene) -> Acetabulum | str:
    """Return the acetabulum of the hip bone that holds the lesion, or what is needed to find it; found once per scene."""
    known: Acetabulum | str | None = scene.__dict__.get("_acetabulum")
    if known is None:
        known = scene.__dict__["_acetabulum"] = _acetabulum(scene)
    return known


def _acetabulum(scene: Scene) -> Acetabulum | str:
    assert scene.bone is not None
    joint = structure(f"hip_joint_{scene.bone.side}")
    if not scene.anatomy.has(scene.bone):
        return f"outline the {scene.bone.name}"
    if not scene.anatomy.has(joint):
        return f"outline the {scene.bone.side} femur or the {joint.name}"
    mask = scene.anatomy.mask(joint)
    window = window_of(mask, 0.0)
    gap = cut(mask, window)
    points = gap.grid.to_mm(np.argwhere(gap.array))
    if cut_edges(mask, scene.anatomy.imaged):
        return f"needs an image that holds all of the {joint.name}"
    centre, radius, misfit = sphere(points)
    if not RADIUS_MM[0] <= radius <= RADIUS_MM[1] or misfit > MISFIT_MM:
        return f"no sphere fits the {joint.name} (radius {radius:.0f} mm, misfit {misfit:.1f} mm): look at its outline"
    reach = radius + number("stock_reach_mm")
    low, high = (scene.grid.to_index(centre + sign * reach * np.ones(3)) for sign in (-1, 1))
    z, y, x = (
        slice(int(np.clip(np.floor(a), 0, n)), int(np.clip(np.ceil(b) + 1, 0, n)))
        for a, b, n in zip(np.minimum(low, high), np.maximum(low, high), scene.grid.shape, strict=True)
    )
    near = cut(scene.anatomy.mask(scene.bone), (z, y, x))
    bone = np.argwhere(near.array)
    away = near.grid.to_mm(bone) - centre
    length = np.linalg.norm(away, axis=1)

    def kept(some: Array) -> Array:
        out = np.zeros(near.grid.shape, bool)
        out[tuple(bone[some].T)] = True
        return out

    shell = length <= radius + number("shell_mm")
    unit = away / np.maximum(length, 1e-9)[:, None]
    out, back, up = unit[:, 0] * (1.0 if scene.bone.side == "left" else -1.0), unit[:, 1], unit[:, 2]
    rim = out > np.sin(np.radians(number("rim_from_deg")))
    roof = ~rim & (up > np.cos(np.radians(number("roof_half_angle_deg"))))
    wall = ~rim & ~roof & (-out > np.cos(np.radians(number("wall_half_angle_deg"))))
    parts = {
        "medial wall": kept(shell & wall), "roof": kept(shell & roof), "lateral rim": kept(shell & rim),
        "anterior column": kept(shell & (back < -0.5)), "posterior column": kept(shell & (back > 0.5)),
    }  # fmt: skip
    return Acetabulum(centre, radius, _held(scene, near, kept(length <= reach), (z, y, x)), kept(shell), parts)


def sphere(points: Array) -> tuple[Array, float, float]:
    """Return centre, radius and root mean square misfit of the sphere through points (n, 3) [mm], by linear least squares."""
    middle = points.mean(axis=0)
    p = points - middle
    solved = np.linalg.lstsq(np.column_stack([2 * p, np.ones(len(p))]), (p**2).sum(axis=1), rcond=None)[0]
    radius = float(np.sqrt(max(float(solved[3] + solved[:3] @ solved[:3]), 0.0)))
    misfit = np.linalg.norm(p - solved[:3], axis=1) - radius
    return middle + solved[:3], radius, float(np.sqrt((misfit**2).mean()))


def _held(scene: Scene, near: Volume, region: Array, window: tuple[slice, slice, slice]) -> Held:
    lesion = scene.lesion.part(window).astype(bool, copy=False)
    other = np.zeros_like(lesion)
    if scene.anatomy.has(OTHER):
        other = scene.anatomy.mask(OTHER).part(window).astype(bool, copy=False)
    edge, step = float(scene.grid.voxel_mm3 ** (1 / 3)), near.spacing_mm
    smaller, larger = (shifted(lesion, sign * edge, step) for sign in (-1, 1))
    return Held(region, smaller, lesion, larger, other, near)


def acetabular_medial_wall_destroyed(scene: Scene) -> Fact | None:
    """Say whether the lesion holds the medial wall: a hint for Harrington's groups."""
    return _part(scene, "acetabular_medial_wall_destroyed", "medial wall")


def acetabular_roof_destroyed(scene: Scene) -> Fact | None:
    """Say whether the lesion holds the roof: a hint for Harrington's groups."""
    return _part(scene, "acetabular_roof_destroyed", "roof")


def acetabular_lateral_rim_destroyed(scene: Scene) -> Fact | None:
    """Say whether the lesion holds the lateral rim: a hint for Harrington's groups."""
    return _part(scene, "acetabular_lateral_rim_destroyed", "lateral rim")


def _part(scene: Scene, name: str, part: str) -> Fact | None:
    """Return a hint of one part: not touched, destroyed, or a question; None outside the hip bone."""
    if scene.bone is None or family(scene.bone) != "hip":
        return None
    found = acetabulum(scene)
    if isinstance(found, str):
        return scene.fact(name, Unknown(f"not told by this image: {found}"))
    region = found.parts[part]
    if not region.any():
        return scene.fact(name, Unknown(f"not told by this image: no bone was found at the {part}; look at the outline"))
    least, middle, most = found.held.share(region)
    other = float((region & found.held.other).sum()) / float(region.sum())
    if most <= 0 and other > 0:
        why = f"cannot tell: another lesion holds {100 * other:.0f} % of the {part} of the acetabulum"
        return scene.fact(name, Unknown(f"{why}; look at it and state `{name}`"))
    if most <= 0:
        return scene.fact(
            name, Known(False), scene.at(found.centre_mm, f"the lesion does not reach the {part} ({_columns(found)})")
        )
    place = scene.at(
        found.held.volume.grid.to_mm(np.argwhere(region & found.held.larger).mean(axis=0)),
        f"the lesion holds {100 * middle:.0f} % of the {part} of {found.held.ml(region):.0f} ml ({_columns(found)})",
    )
    spread = numbers()["wall_destroyed_share"]
    if least > getattr(spread.spread, "high", spread.number):
        return scene.fact(name, Known(True), place)
    why = f"cannot tell: the lesion holds {100 * middle:.0f} % of the {part} of the acetabulum; look at it and state `{name}`"
    return Fact(name, Unknown(why), None, (place,))


def _columns(found: Acetabulum) -> str:
    touched = [name for name in ("anterior column", "posterior column") if found.held.share(found.parts[name])[1] > 0]
    return f"touches the {' and the '.join(touched)}" if touched else "touches neither column"


def bone_stock_ml(scene: Scene) -> Fact:
    """Measure the volume of bone without lesion round the acetabulum, or in the vertebra [ml]."""
    return _stock(scene, "bone_stock_ml", as_share=False)


def bone_stock_fraction(scene: Scene) -> Fact:
    """Measure the share of bone without lesion round the acetabulum, or in the vertebra."""
    return _stock(scene, "bone_stock_fraction", as_share=True)


def _stock(scene: Scene, name: str, as_share: bool) -> Fact:
    """Return what no lesion holds of the bone; the interval moves the lesion's surface by one voxel. Density is not looked at."""
    if scene.bone is None:
        return scene.fact(name, Unknown("cannot tell: name the bone"))
    kind = family(scene.bone)
    if kind != "hip" and not kind.startswith("vertebra"):
        return scene.fact(
            name, NotApplicable(f"bone stock is told of the acetabulum and of vertebrae, not of the {scene.bone.name}")
        )
    found = _of_hip(scene) if kind == "hip" else _of_vertebra(scene)
    if isinstance(found, str):
        return scene.fact(name, Unknown(f"cannot tell: {found}"))
    held, where = found
    whole = held.ml(held.region)
    left = [held.ml(held.region & ~(lesion | held.other)) for lesion in (held.larger, held.lesion, held.smaller)]
    low, high = (round(v / whole, 3) if as_share else round(v, 1) for v in (left[0], left[2]))
    state: State = Known(low) if low == high else Interval(low, high)
    place: Origin = scene.at(
        held.volume.grid.to_mm(np.argwhere(held.region).mean(axis=0)),
        f"{left[1]:.1f} of {whole:.1f} ml ({100 * left[1] / whole:.0f} %) {where} hold no lesion; its density was not looked at",
    )
    return scene.fact(name, state, place)


def _of_hip(scene: Scene) -> tuple[Held, str] | str:
    found = acetabulum(scene)
    if isinstance(found, str):
        return found
    return found.held, f"of the hip bone within {number('stock_reach_mm'):.0f} mm of the acetabulum"


def _of_vertebra(scene: Scene) -> tuple[Held, str] | str:
    assert scene.bone is not None
    if not scene.anatomy.has(scene.bone):
        return f"outline the {scene.bone.name}"
    mask = scene.anatomy.mask(scene.bone)
    if cut_edges(mask, scene.anatomy.imaged):
        return f"the {scene.bone.name} goes on beyond the image; needs an image that holds all of it"
    known: Held | None = scene.__dict__.get("_vertebra_held")
    if known is None:
        window = window_of(mask, 3 * max(scene.grid.spacing_mm))
        near = cut(mask, window)
        known = scene.__dict__["_vertebra_held"] = _held(scene, near, near.array.astype(bool, copy=False), window)
    return known, f"of the {scene.bone.name}"
