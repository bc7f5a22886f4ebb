r"""Loads of a femur through its head: stance, stairs, stumbling; joint contact only, no muscles.

A cap of cement sits on the head, a metal plate on the cap, and a pivot right above the head's centre presses the plate down: the
cap may turn and slide sideways. So the force runs along z and through the head's centre, whatever the bone does, as in a joint
without friction. The shaft is held at its lower end. Muscles change strength by 4 % (PMC10068135; strength reference, section 2).

A load axis turned by a small angle keeps the grid: its line is moved sideways so that the moment at the level of the lesion (of
the lesser trochanter where there is none) is that of the turned load; elsewhere it is nearly so.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from osteon.assessment.loads.base import Added, Builder, LoadCase, Placed, Point, Pose, Variation, Voxels, number, settings
from osteon.assessment.loads.landmarks_femur import Femur, angle_deg, femur_of, full_end, point, sections, unit
from osteon.assessment.loads.nodes import frame_of, lines_of, without_specks
from osteon.errors import InputError
from osteon.evidence.value import Value
from osteon.physics.elasticity import Support, nodes_of
from osteon.space.anatomy import Anatomy
from osteon.space.volume import Array

MM, MPA = 1e-3, 1e6
HEAD, POLE, TROCHANTER, END = "head centre", "head pole", "lesser trochanter level", "shaft end"


class FemurStance(Builder):
    """One leg's stance: the force along the mechanical axis, from the centre of the head to the knee."""

    name: ClassVar[str] = "femur-stance"
    title: ClassVar[str] = "Femur, stance"
    families: ClassVar[tuple[str, ...]] = ("femur",)
    margin_mm: ClassVar[float] = 14.0  # cap, plate and what is left over
    sources: ClassVar[tuple[str, ...]] = ("bergmann-2001", "keyak-1998", "osteon-proposal")
    demands: ClassVar[tuple[tuple[str, str], ...]] = (("walking at 4 km/h", "femur_stance_demand"),)  # the greatest first
    demand_note: ClassVar[str] = "Demand: walking at 4 km/h, mean of four patients (Bergmann 2001)."

    @property
    def demand_body_weights(self) -> Value:
        """The greatest force of this activity on the head, in body weights."""
        return settings()[self.demands[0][1]]

    @property
    def demand(self) -> tuple[tuple[str, float, str], ...]:
        """What the activity is, its force on the head in body weights, and the paper; the greatest first."""
        return tuple((words, settings()[key].number, settings()[key].source) for words, key in self.demands)

    def pose(self, anatomy: Anatomy, case: LoadCase) -> Pose:
        """Find head, neck, shaft and knee, and the direction of the load.

        Raises
        ------
        InputError
            If the head or enough of the shaft is not in the image, or the angles are none of a femur; says what to give by hand.
        NotOutlinedError
            If the femur is not outlined.
        """
        found = femur_of(anatomy, case.bone, case.head_mm)
        upwards, how, doubts = _direction(found, case)
        upwards = self.turned_back(upwards, found)
        back = unit(found.posterior - (found.posterior @ upwards) * upwards)
        axes = np.column_stack([np.cross(back, upwards), back, upwards])
        head, radius = found.head.centre_mm, found.head.radius_mm
        _check_imaged(anatomy, head, radius, axes, case.bone.name)
        pole = head + radius * upwards
        end = found.shaft.at(head, found.shaft.end_mm)
        landmarks = {
            HEAD: point(head),
            POLE: point(pole),
            "neck": point(found.neck_mm),
            TROCHANTER: point(found.shaft.at(head, found.shaft.lesser_trochanter_mm)),
            END: point(end),
        }
        lines = [(how, point(pole + 40.0 * upwards), point(pole)), ("neck", point(head), point(found.neck_mm))]
        lines.append(("shaft", landmarks[TROCHANTER], landmarks[END]))
        if found.knee_mm is not None:
            landmarks["knee"] = point(found.knee_mm)
            lines.append(("mechanical axis", point(head), point(found.knee_mm)))
        if case.head_mm is not None:
            doubts += ("The centre of the head was given by hand.",)
        by_hand = case.axis is not None or case.head_mm is not None
        return Pose(axes, landmarks, tuple(lines), None, by_hand, (*found.doubts, *doubts))

    def turned_back(self, upwards: Array, found: Femur) -> Array:
        """Return the axis of this activity from that of the stance."""
        return upwards

    def place(self, voxels: Voxels, pose: Pose, variation: Variation = Variation()) -> Placed:  # noqa: B008 (frozen)
        """Put cap, plate and pivot on the head, and hold the lower end of the shaft.

        Raises
        ------
        InputError
            If the head or the shaft has no cubes to press on or to hold.
        """
        axes = frame_of(voxels)
        head = np.asarray(pose.landmarks[HEAD]) @ axes
        radius = float(np.linalg.norm(np.asarray(pose.landmarks[POLE]) - pose.landmarks[HEAD]))
        held, top = _held(voxels, pose)
        added = _cap(voxels, head, radius, variation.cap_modulus_factor)
        length = float(head[2] - top)
        if length <= radius:
            raise InputError(
                f"The held end of the shaft lies {length:.0f} mm below the head's centre.",
                "There is no bone between load and clamp.",
                "Use a scan that holds more of the shaft, or check the direction of the load.",
            )
        pivot, tilt_note = _pivot(voxels, pose, head, radius, variation.tilt_deg)
        support = _support(voxels, held, added[1].where, pivot)
        notes = (
            "Joint contact only: no muscles.",
            "The cap is pressed at a pivot above the head's centre: it may turn and slide sideways. Held against both, "
            "the femur would be stiffer and stronger.",
            self.demand_note,
            *tilt_note,
            *_lesion_notes(voxels, held, added[0].where),
        )
        area = f"cement cap on the head within {number('femur_cap_deg'):.0f} degrees of the load"
        return Placed(added, support, "force", length, number("femur_most_share") * length * MM, area, notes)


class FemurStair(FemurStance):
    """Stairs: the force leans backwards as well."""

    name: ClassVar[str] = "femur-stair"
    title: ClassVar[str] = "Femur, stairs"
    sources: ClassVar[tuple[str, ...]] = ("bergmann-2001", "heller-2005", "keyak-1998", "osteon-proposal")
    demands: ClassVar[tuple[tuple[str, str], ...]] = (
        ("walking downstairs", "femur_stair_demand"),
        ("walking upstairs", "femur_stair_up_demand"),
    )
    demand_note: ClassVar[str] = (
        "Demand: stairs down 2.60, up 2.51, mean of four patients (Bergmann 2001). How far the force leans backwards is "
        "recalled and not confirmed."
    )

    def turned_back(self, upwards: Array, found: Femur) -> Array:
        """Return the axis turned so that the force has a part that pushes the head backwards."""
        angle = np.radians(number("femur_stair_backward_deg"))
        back = unit(found.posterior - (found.posterior @ upwards) * upwards)
        return np.asarray(np.cos(angle) * upwards - np.sin(angle) * back)


class FemurStumble(FemurStance):
    """Stumbling: the direction of the stance, a far greater force."""

    name: ClassVar[str] = "femur-stumble"
    title: ClassVar[str] = "Femur, stumbling"
    sources: ClassVar[tuple[str, ...]] = ("bergmann-1993", "keyak-1998", "osteon-proposal")
    demands: ClassVar[tuple[tuple[str, str], ...]] = (
        ("stumbling, one patient", "femur_stumble_demand"),
        ("stumbling, another patient", "femur_stumble_other_demand"),
    )
    demand_note: ClassVar[str] = (
        "Demand: 8.7 body weights in one patient who stumbled, 7.2 in another; the direction changes little when the "
        "force is large (Bergmann 1993), so that it is that of the stance."
    )


def _direction(found: Femur, case: LoadCase) -> tuple[Array, str, tuple[str, ...]]:
    """Return the axis from knee to head (3,), what it is called, and its doubts.

    Raises
    ------
    InputError
        If it is implausible.
    """
    shaft, angle = found.shaft.axis, found.neck_shaft_deg
    low, high = number("femur_neck_shaft_least_deg"), number("femur_neck_shaft_most_deg")
    said = f"Neck and shaft of the {case.bone.name} meet at {angle:.0f} degrees; {low:.0f} to {high:.0f} are plausible."
    if case.axis is not None:
        axis = _given(case.axis)
        most, off = number("femur_axis_most_deg"), angle_deg(axis, shaft)
        if off > most:
            raise InputError(
                f"The axis {list(case.axis)} lies at {off:.0f} degrees to the shaft.",
                f"Beyond {most:.0f} degrees it is no stance; the axis points from the knee to the head.",
                "Check its sign and that it is in LPS, x to the left, y to the back, z to the head.",
            )
        return (
            axis,
            "load, given by hand",
            ("The direction of the load was given by hand.", *(() if low <= angle <= high else (said,))),
        )
    away = found.head.centre_mm - found.shaft.point_mm
    offset = float(np.linalg.norm(away - (away @ shaft) * shaft))
    if offset < number("femur_offset_least") * found.head.radius_mm:
        said = (
            f"The head of the {case.bone.name} would lie {offset:.0f} mm beside the shaft's axis; a neck carries it further out."
        )
    if not low <= angle <= high or offset < number("femur_offset_least") * found.head.radius_mm:
        raise InputError(
            said,
            "The direction of the load rests on both, and strength on the direction.",
            "Look at the outline; give the direction from knee to head (--axis), or the centre of the head (--head).",
        )
    if found.knee_mm is not None:
        axis = unit(found.head.centre_mm - found.knee_mm)
        most, off = number("femur_knee_most_deg"), angle_deg(axis, shaft)
        if off > most:
            raise InputError(
                f"The line from knee to head lies at {off:.0f} degrees to the upper shaft; up to {most:.0f} are plausible.",
                "The direction of the load rests on it, and strength on the direction.",
                "Look at the outline of the condyles; give the direction from knee to head (--axis).",
            )
        return axis, "load, along the mechanical axis", ()
    lean = number("femur_axis_to_shaft_deg")
    turn = np.radians(lean)
    spread = settings()["femur_axis_to_shaft_deg"].spread
    least = f"{spread.low:.0f}" if hasattr(spread, "low") else "less"
    doubt = (
        f"The knee is not in the image: the load lies at {lean:.0f} degrees to the shaft in the plane of shaft and neck "
        f"(Keyak, recalled); the mechanical axis may lie at {least}. Give it by hand (--axis) where the knee is known."
    )
    return np.cos(turn) * shaft + np.sin(turn) * found.medial, f"load, {lean:.0f} degrees to the shaft", (doubt,)


def _check_imaged(anatomy: Anatomy, head: Array, radius: float, axes: Array, name: str) -> None:
    """Refuse a head whose loaded part lies outside the image.

    Raises
    ------
    InputError
        If so.
    """
    tilt, turn = np.meshgrid(np.radians(np.linspace(0.0, number("femur_cap_deg"), 6)), np.radians(np.arange(0, 360, 20)))
    ways = np.stack([np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), np.cos(tilt)], -1).reshape(-1, 3) @ axes.T
    seen = anatomy.imaged.sample(head + (radius + 1.0) * ways, order=0, fill=0.0) > 0.5
    if not seen.all():
        raise InputError(
            f"The image ends within the head of the {name}: {100 * (1.0 - seen.mean()):.0f} % of its loaded part was not seen.",
            "The load would press on the cut, not on the bone.",
            "Use a scan that holds the whole head; else ask for bending or torsion of the shaft (shaft-bending, shaft-torsion).",
        )


def _given(axis: Point) -> Array:
    given = np.asarray(axis, float)
    if given.shape != (3,) or not np.isfinite(given).all() or np.linalg.norm(given) < 1e-9:
        raise InputError(f"The axis {axis} has no direction.", "The load runs along it.", "Give three numbers, LPS, not all 0.")
    return unit(given)


def _held(voxels: Voxels, pose: Pose) -> tuple[Array, float]:
    """Return the cubes of the lower end of the shaft that are held, and the height of their upper end on its axis [mm]."""
    upper, lower = np.asarray(pose.landmarks[TROCHANTER]), np.asarray(pose.landmarks[END])
    shaft, axes = unit(upper - lower), frame_of(voxels)
    index = np.argwhere(without_specks(voxels.bone))
    places = voxels.grid.to_mm(index)
    height = places @ shaft
    levels, area, _ = sections(places, float(height.max()) - height, voxels.edge_mm)
    limit = float(height.max()) - full_end(levels, area) + number("femur_fixed_mm")
    chosen = index[height <= limit]
    if len(chosen) < 8 or limit >= float(height.max()):
        raise InputError(
            f"The lower end of the shaft holds {len(chosen)} cubes.",
            "There is nothing to hold the bone by.",
            "Check the outline of the shaft, and the size of the cubes.",
        )
    held = np.zeros(voxels.bone.shape, bool)
    held[tuple(chosen.T)] = True
    on_axis = lower + (limit - float(lower @ shaft)) * shaft
    return held, float(on_axis @ axes[:, 2])


def _cap(voxels: Voxels, head: Array, radius: float, factor: float) -> tuple[Added, Added]:
    """Return the cement cap on the head and the metal plate on it."""
    x, y, z = lines_of(voxels)
    wide = radius * np.sin(np.radians(number("femur_cap_deg")))
    low = head[2] + radius * np.cos(np.radians(number("femur_cap_deg")))
    within = (x[None, :] - head[0]) ** 2 + (y[:, None] - head[1]) ** 2 <= wide**2
    near = within[None] & (z >= low - voxels.edge_mm)[:, None, None]
    highest = z[np.flatnonzero((voxels.bone & near).any((1, 2)))]
    if len(highest) == 0:
        raise InputError(
            "No cube of the bone lies where the cap of the head is to be.",
            "There is nothing to press on.",
            "Check the centre of the head (--head) and the direction of the load (--axis).",
        )
    top = max(float(highest[-1]), float(head[2]) + radius) + number("femur_cap_mm")
    lid = top + number("femur_plate_mm")
    if lid > z[-1] + 0.5 * voxels.edge_mm:
        raise InputError(
            f"The cubes end {lid - z[-1]:.1f} mm below the top of the loading plate.",
            "The load has no plate to enter by.",
            f"Give the model a margin of at least {FemurStance.margin_mm:g} mm.",
        )
    cap = near & ~voxels.bone & (z <= top)[:, None, None]
    plate = within[None] & ((z > top) & (z <= lid))[:, None, None] & ~voxels.bone
    if not plate.any() or not (ndimage.binary_dilation(cap) & voxels.bone).any():
        raise InputError(
            "The cap does not touch the head.", "There is nothing to press on.", "Use smaller cubes, or check the head (--head)."
        )
    return (
        Added("cement cap on the head", cap, number("femur_cap_modulus") * MPA * factor),
        Added("loading plate", plate, number("femur_plate_modulus") * MPA),
    )


def _pivot(
    voxels: Voxels, pose: Pose, head: Array, radius: float, tilt_deg: tuple[float, float]
) -> tuple[Array, tuple[str, ...]]:
    """Return where the pivot stands (x, y) [mm, in the frame], moved sideways for a turned load."""
    if tilt_deg == (0.0, 0.0):
        return head[:2], ()
    if voxels.lesion.any():
        level = float(head[2] - lines_of(voxels)[2][voxels.lesion.any((1, 2))].mean())
    else:
        level = float(head[2] - np.asarray(pose.landmarks[TROCHANTER]) @ frame_of(voxels)[:, 2])
    along = Rotation.from_euler("xy", tilt_deg, degrees=True).as_matrix()[:, 2]
    shift = -level * along[:2] / along[2]
    most = radius * np.sin(np.radians(number("femur_cap_deg"))) - 2.0 * voxels.edge_mm
    asked = float(np.linalg.norm(shift))
    if asked <= most:
        return np.asarray(head[:2] + shift), ()
    note = f"The load axis is turned by less than drawn: its line stays on the cap ({most:.0f} of {asked:.0f} mm)."
    return np.asarray(head[:2] + shift * most / asked), (note,)


def _support(voxels: Voxels, held: Array, plate: Array, pivot: Array) -> Support:
    """Return the held nodes and those of the pivot: one, two or four nodes, whichever middle lies nearest to it."""
    x, y, _ = lines_of(voxels)
    column, row = (_nodes_round(float(p), line, voxels.edge_mm) for p, line in ((pivot[0], x), (pivot[1], y)))
    upper = int(np.flatnonzero(plate.any((1, 2)))[-1]) + 1
    mask = np.repeat(nodes_of(held)[..., None], 3, axis=-1)
    pattern = np.zeros(mask.shape)
    mask[upper, row, column, 0], pattern[upper, row, column, 0] = True, -1.0
    return Support(mask, pattern)


def _nodes_round(place: float, line: Array, edge: float) -> slice:
    """Return the one or two nodes of a line of cubes whose middle lies nearest to a place."""
    halves = round(2.0 * (place - float(line[0])) / edge) + 1  # in half edges from the first node
    return slice(halves // 2, halves // 2 + 1 + halves % 2)


def _lesion_notes(voxels: Voxels, held: Array, cap: Array) -> tuple[str, ...]:
    notes = []
    if (voxels.lesion & held).any():
        notes.append(
            "The lesion reaches into the held end of the shaft: the clamp carries part of it; strength is too high there."
        )
    if (voxels.lesion & ndimage.binary_dilation(cap)).any():
        notes.append("The lesion reaches the surface that the cap presses on.")
    return tuple(notes)
