r"""Bending and torsion of a shaft between two clamps.

The axis is the line through the middles of the sections near the lesion. What takes part is the lesion and a length beyond it;
the bone may be cut by the image at both ends. In bending the ends turn against each other by :math:`\theta` about an axis square
to the shaft, so that the lesion's side is in tension, with the moment

.. math:: M = \frac{EI\,\theta}{L}

The upper end is free to move sideways, so that no shear force arises and the moment is the same in every section. The axis of
turning runs where no axial force arises either, found on a coarse model whose modulus goes by density squared. In torsion the
lower end is held and the upper end turned about the shaft, :math:`M = GJ\,\theta/L`. Bending about the other axis is not run: the
lesion's side in tension is taken as the worst.

Cubes carry no torsion in the steps of their surface: GJ of a tube 28 mm wide reads 5 % low in cubes of 1 mm; the error goes with
the cube.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.spatial.transform import Rotation

from osteon.assessment.loads.base import Builder, LoadCase, Placed, Point, Pose, Quantity, Variation, Voxels, number
from osteon.assessment.loads.landmarks_femur import bone_points, full_end, point, sections, unit
from osteon.assessment.loads.nodes import lines_of, node_lines, outline_without_specks, without_specks
from osteon.assessment.measure_base import LONG_BONES
from osteon.assessment.rigidity import bone_axis
from osteon.errors import InputError
from osteon.physics.elasticity import Model, Support, nodes_of, solve
from osteon.space.anatomy import Anatomy
from osteon.space.volume import Array, Volume

MM = 1e-3
SQUARED, LEAST, POISSON = 2.0, 1e-2, 0.3  # a modulus by density, where only its shares matter; its least density over the largest
COARSE_MM = 2.0  # cubes of the model that places the axis of bending


@dataclass(frozen=True, eq=False)
class Ends:
    """The two clamps: their cubes, and the heights of their inner faces [mm]."""

    lower: Array
    upper: Array
    low_mm: float
    high_mm: float


class _Shaft(Builder):
    """What bending and torsion share."""

    families: ClassVar[tuple[str, ...]] = LONG_BONES
    quantity: ClassVar[Quantity] = "moment"
    sources: ClassVar[tuple[str, ...]] = ("osteon-proposal",)

    def pose(self, anatomy: Anatomy, case: LoadCase) -> Pose:
        """Find the axis of the shaft near the lesion, and the side on which the lesion lies.

        Raises
        ------
        InputError
            If no axis stands out or too little of the bone is in the image; says what to give by hand.
        NotOutlinedError
            If the bone is not outlined.
        """
        mask = outline_without_specks(anatomy.mask(case.bone))
        bone = bone_points(mask)
        if len(bone) < 50:
            raise InputError(
                f"The outline of the {case.bone.name} holds {len(bone)} voxels.", "It has no axis.", "Outline the bone."
            )
        lesion = bone_points(anatomy.mask(case.lesion)) if anatomy.has(case.lesion) else np.zeros((0, 3))
        about = lesion.mean(0) if len(lesion) else bone.mean(0)
        middle, axis, doubts = _axis(mask, bone, about, case)
        toward, said = _side(bone, lesion, middle, axis)
        low, high = _part(bone, lesion, axis, mask.spacing_mm)
        axes = np.column_stack([toward, np.cross(axis, toward), axis])
        on_axis = middle - (middle @ axis) * axis
        landmarks = {
            "lower end": point(on_axis + low * axis),
            "upper end": point(on_axis + high * axis),
            "axis at the lesion" if len(lesion) else "axis at the middle": point(on_axis + (about @ axis) * axis),
        }
        lines = (
            ("shaft", landmarks["lower end"], landmarks["upper end"]),
            ("side in tension", point(on_axis + about @ axis * axis), point(on_axis + about @ axis * axis + 30.0 * toward)),
        )
        return Pose(axes, landmarks, lines, (low, high), case.axis is not None, (*doubts, *said))

    def place(self, voxels: Voxels, pose: Pose, variation: Variation = Variation()) -> Placed:  # noqa: B008 (frozen)
        """Clamp both ends and turn them against each other.

        A turned load axis turns the axis of rotation; there is no end cap.

        Raises
        ------
        InputError
            If too little bone lies between the clamps.
        """
        ends = _ends(voxels)
        length = ends.high_mm - ends.low_mm
        turn = Rotation.from_euler("xy", variation.tilt_deg, degrees=True).as_matrix()
        centre = self._turning_about(voxels, ends)
        support = self._support(voxels, ends, centre, turn)
        strain = number("shaft_most_strain") * length / max(_reach(voxels, ends, centre), voxels.edge_mm)
        area = f"ends clamped over {number('shaft_clamp_mm'):.0f} mm, {length:.0f} mm apart"
        return Placed((), support, "moment", length, strain, area, (*self._notes(), *_clamp_notes(voxels, ends)))

    def _turning_about(self, voxels: Voxels, ends: Ends) -> Array:
        return _centre(voxels, ends)

    def _support(self, voxels: Voxels, ends: Ends, centre: Array, turn: Array) -> Support:
        raise NotImplementedError

    def _notes(self) -> tuple[str, ...]:
        raise NotImplementedError


class Bending(_Shaft):
    """Pure bending with the lesion's side in tension."""

    name: ClassVar[str] = "shaft-bending"
    title: ClassVar[str] = "Shaft, bending"

    def _turning_about(self, voxels: Voxels, ends: Ends) -> Array:
        return np.array([_neutral(voxels, ends), _centre(voxels, ends)[1]])

    def _support(self, voxels: Voxels, ends: Ends, centre: Array, turn: Array) -> Support:
        mask, pattern = _empty(voxels)
        lower, upper = nodes_of(ends.lower), nodes_of(ends.upper)
        half = 0.5 * turn[:, 1]
        mask[lower] = True
        pattern[lower] = _turned(voxels, lower, half, (centre[0], centre[1], ends.low_mm))
        mask[upper, 0] = True
        pattern[upper, 0] = _turned(voxels, upper, -half, (centre[0], centre[1], ends.high_mm))[:, 0]
        return Support(mask, pattern)

    def _notes(self) -> tuple[str, ...]:
        return (
            "Pure bending: the same moment in every section, the side of the lesion in tension; no axial force, no muscles.",
            "Bending about the axis at right angles is not run.",
        )


class Torsion(_Shaft):
    """Torsion: the lower end held, the upper end turned about the shaft."""

    name: ClassVar[str] = "shaft-torsion"
    title: ClassVar[str] = "Shaft, torsion"

    def _support(self, voxels: Voxels, ends: Ends, centre: Array, turn: Array) -> Support:
        mask, pattern = _empty(voxels)
        lower, upper = nodes_of(ends.lower), nodes_of(ends.upper)
        mask[lower] = True
        mask[upper, 1:] = True
        pattern[upper, 1:] = _turned(voxels, upper, turn[:, 2], (centre[0], centre[1], ends.high_mm))[:, 1:]
        return Support(mask, pattern)

    def _notes(self) -> tuple[str, ...]:
        return (
            "Torsion about the axis of the shaft; the upper end is free along it, no muscles.",
            "Where the wall is open the axis of turning is held in place: real bone may twist more easily.",
        )


def _axis(mask: Volume, bone: Array, about: Array, case: LoadCase) -> tuple[Array, Array, tuple[str, ...]]:
    """Return a point of the axis, its direction (upwards where the image says so), and doubts."""
    doubts: tuple[str, ...] = ()
    by_hand = case.axis is not None
    if case.axis is not None:
        given = np.asarray(case.axis, float)
        if not (np.isfinite(given).all() and np.linalg.norm(given) > 1e-9):
            raise InputError(f"The axis {case.axis} has no direction.", "The ends turn about it.", "Give three numbers, LPS.")
        axis, doubts = unit(given), ("The axis of the shaft was given by hand.",)
    else:
        try:
            _, axis = bone_axis(mask)
        except InputError as reason:
            raise InputError(
                reason.what, "The ends are clamped square to it.", "Give the axis of the shaft (--axis)."
            ) from reason
    near, middle, rest = number("shaft_near_mm"), about, 0.0
    for _ in range(1 if by_hand else 4):
        along = (bone - about) @ axis
        use = np.abs(along) <= near
        _, count, centres = sections(bone[use], along[use], max(mask.spacing_mm))
        whole = centres[count >= 0.3 * np.median(count)]
        inner = whole[2:-2] if len(whole) > 9 else whole  # an oblique cut shifts the last sections
        middle = inner.mean(0)
        turned = np.linalg.svd(inner - middle, full_matrices=False)[2][0]
        away = (inner - middle) - np.outer((inner - middle) @ turned, turned)
        rest = float(np.linalg.norm(away, axis=1).max())
        if not by_hand:
            axis = turned if turned @ axis > 0 else -turned
    most = number("shaft_bowed_mm")
    if rest > most and not by_hand:
        doubts += (f"Near the lesion the bone is no straight shaft: its sections lie up to {rest:.0f} mm off the axis.",)
    return middle, axis, doubts


def _side(bone: Array, lesion: Array, middle: Array, axis: Array) -> tuple[Array, tuple[str, ...]]:
    """Return the direction towards the lesion, square to the axis; where it lies to no side, the section's thinnest one."""
    if len(lesion):
        away = lesion.mean(0) - middle
        away = away - (away @ axis) * axis
        if np.linalg.norm(away) > number("shaft_central_mm"):
            return unit(away), ()
    about = lesion.mean(0) if len(lesion) else middle
    slab = bone[np.abs((bone - about) @ axis) <= 10.0]
    flat = slab - slab.mean(0)
    flat = flat - np.outer(flat @ axis, axis)
    thin = np.linalg.eigh(flat.T @ flat)[1][:, 1]  # the least but one: the least is along the axis itself
    thin = unit(thin - (thin @ axis) * axis)
    largest = int(np.argmax(np.abs(thin)))
    said = "The lesion lies to no side of the axis" if len(lesion) else "There is no lesion"
    return thin * np.sign(thin[largest]), (f"{said}: bending is about the axis of the section's least resistance.",)


def _part(bone: Array, lesion: Array, axis: Array, spacing: tuple[float, float, float]) -> tuple[float, float]:
    """Return from where to where along the axis the bone takes part [mm]: full sections only, round the lesion."""
    along = bone @ axis
    levels, area, _ = sections(bone, along, max(spacing))
    start, end = -full_end(-levels[::-1], area[::-1]), full_end(levels, area)
    if len(lesion):
        beyond = number("shaft_beyond_lesion_mm") + number("shaft_clamp_mm")
        place = lesion @ axis
        start, end = max(start, float(place.min()) - beyond), min(end, float(place.max()) + beyond)
    return start, end


def _ends(voxels: Voxels) -> Ends:
    _, _, z = lines_of(voxels)
    bone = without_specks(voxels.bone)
    some = np.flatnonzero(bone.any((1, 2)))
    if len(some) == 0:
        raise InputError("No cube is bone.", "There is nothing to clamp.", "Check the outline.")
    half, clamp, least = voxels.edge_mm / 2.0, number("shaft_clamp_mm"), number("shaft_least_mm")
    count = max(round(clamp / voxels.edge_mm), 1)
    first, last = int(some[0]) + count, int(some[-1]) + 1 - count
    length = (last - first) * voxels.edge_mm
    if length < least:
        whole = (some[-1] + 1 - some[0]) * voxels.edge_mm
        raise InputError(
            f"{whole:.0f} mm of the bone take part: {max(length, 0.0):.0f} mm between clamps of {clamp:.0f} mm.",
            f"Nearer than {least:.0f} mm the clamps carry what the bone should.",
            "Use a scan that holds more of the shaft.",
        )
    layer = np.arange(len(z))[:, None, None]
    lower, upper = bone & (layer < first), bone & (layer >= last)
    return Ends(lower, upper, float(z[first] - half), float(z[last] - half))


def _weights(voxels: Voxels, ends: Ends) -> Array:
    """Return a modulus without scale for the cubes between the clamps: density squared, metal as the densest bone."""
    _, _, z = lines_of(voxels)
    rho = np.maximum(voxels.density.values_g_cm3, 0.0)
    most = max(float(rho.max()), 1e-9)
    weight = np.where(voxels.bone, np.maximum(rho / most, LEAST) ** SQUARED, 0.0)
    weight[voxels.metal] = 1.0
    return np.asarray(weight[(z > ends.low_mm) & (z < ends.high_mm)])


def _centre(voxels: Voxels, ends: Ends) -> Array:
    """Return the middle (x, y) of the sections between the clamps [mm], each weighted by its compliance in bending."""
    x, y, _ = lines_of(voxels)
    weight = _weights(voxels, ends)
    total = weight.sum((1, 2))
    weight, total = weight[total > 0], total[total > 0]
    x_c, y_c = (weight.sum(1) @ x) / total, (weight.sum(2) @ y) / total
    second = (weight.sum(1) @ x**2) / total - x_c**2 + (weight.sum(2) @ y**2) / total - y_c**2
    compliance = 1.0 / np.maximum(total * second, 1e-12 * float((total * second).max()))
    return np.array([np.average(x_c, weights=compliance), np.average(y_c, weights=compliance)])


def _neutral(voxels: Voxels, ends: Ends) -> float:
    """Return where along x the axis of bending runs so that no axial force arises [mm].

    The axial force is linear in that place: two solutions of a coarse model, one bent about a line beside the bone, one pulled,
    give it.
    """
    weight = _weights(voxels, ends)
    block = max(round(COARSE_MM / voxels.edge_mm), 1)
    padded = np.pad(weight, [(0, 0)] + [(0, -n % block) for n in weight.shape[1:]])
    padded = np.pad(padded, [(0, -weight.shape[0] % block), (0, 0), (0, 0)], mode="edge")
    z, y, x = (n // block for n in padded.shape)
    step = block * voxels.edge_mm * MM
    model = Model(padded.reshape(z, block, y, block, x, block).mean((1, 3, 5)), POISSON, step)
    mask = np.zeros((z + 1, y + 1, x + 1, 3), bool)
    mask[0], mask[-1, ..., 0] = True, True
    forces = []
    for lever in (
        step * np.arange(1, x + 2),
        np.ones(x + 1),
    ):  # from one cube beside the grid, so that every node of the end moves
        given = np.zeros(mask.shape)
        given[-1, ..., 0] = lever
        found = solve(model, Support(mask, given), tolerance=1e-5)
        if found.how != "converged":
            return float(_centre(voxels, ends)[0])
        forces.append(found.reaction_n[0])
    return float(node_lines(voxels)[0][0] + (forces[0] / forces[1] - step) / MM)


def _reach(voxels: Voxels, ends: Ends, centre: Array) -> float:
    """Return the distance of the outermost fibre from the axis, the middle of the sections between the clamps [mm]."""
    x, y, z = lines_of(voxels)
    reach = np.hypot(x[None, :] - centre[0], y[:, None] - centre[1])
    layers = np.flatnonzero((z > ends.low_mm) & (z < ends.high_mm))
    most = [float(reach[voxels.bone[k]].max()) for k in layers if voxels.bone[k].any()]
    return float(np.median(most))


def _empty(voxels: Voxels) -> tuple[Array, Array]:
    shape = (*(n + 1 for n in voxels.bone.shape), 3)
    return np.zeros(shape, bool), np.zeros(shape)


def _turned(voxels: Voxels, nodes: Array, turn: Array, about: Point) -> Array:
    """Return the displacement (n, 3), order z, y, x, of nodes under a small rotation [m per rad]: turn x (place - about)."""
    x, y, z = node_lines(voxels)
    k, j, i = np.nonzero(nodes)
    place = np.column_stack([x[i], y[j], z[k]]) - np.asarray(about)
    return np.asarray(np.cross(turn, place)[:, ::-1] * MM)


def _clamp_notes(voxels: Voxels, ends: Ends) -> tuple[str, ...]:
    """Return a note for each clamp that the lesion comes too near to."""
    if not voxels.lesion.any():
        return ()
    place = lines_of(voxels)[2][voxels.lesion.any((1, 2))]
    least, half = number("shaft_least_from_clamp_mm"), voxels.edge_mm / 2.0
    gaps = (("lower", float(place[0]) - half - ends.low_mm), ("upper", ends.high_mm - float(place[-1]) - half))
    return tuple(
        f"The lesion comes to {gap:.0f} mm of the {which} clamp (at least {least:.0f} asked): the clamp props it up, "
        "strength is too high."
        for which, gap in gaps
        if gap < least
    )
