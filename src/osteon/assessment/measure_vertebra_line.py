"""How neighbouring vertebral bodies stand to each other, and whether the posterior wall stands back into the canal.

A CT is taken lying: what it shows may be worse under load, and it cannot tell what is new. So a shift that is seen is told, and
the absence of one tells nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from osteon.assessment.measure_base import Scene
from osteon.assessment.measure_vertebra import read_of_body, spine
from osteon.assessment.measure_vertebra_frame import MIDDLE_OF_CANAL, STEP_MM, Body, neighbours, number
from osteon.facts import Fact, Interval, Known, Origin, State, Unknown
from osteon.space.volume import Array

END = (0.1, 0.3)
"""Part of a body's height, from an end plate, in which its rear corner is read: rounded edges left out."""
LYING = "a CT is taken lying: instability under load is not excluded"


@dataclass(frozen=True)
class Shift:
    """How the upper of two neighbouring bodies stands on the lower.

    Parameters
    ----------
    upper, lower : str
        Their names.
    back_mm, left_mm : float
        Shift of the upper body along the mean end plate, to the back and to the patient's left [mm].
    error_mm : float
        One voxel.
    place_mm : ndarray (3,)
        Between the two, LPS mm.
    """

    upper: str
    lower: str
    back_mm: float
    left_mm: float
    error_mm: float
    place_mm: Array

    @property
    def most_mm(self) -> float:
        """The greater of the two shifts."""
        return max(abs(self.back_mm), abs(self.left_mm))

    def __str__(self) -> str:
        along = "behind" if self.back_mm > 0 else "in front of"
        side = "left" if self.left_mm > 0 else "right"
        return (
            f"{self.upper} stands {abs(self.back_mm):.1f} mm {along} and {abs(self.left_mm):.1f} mm {side} of {self.lower} "
            f"(one voxel {self.error_mm:.1f} mm)"
        )


@dataclass(frozen=True)
class Bend:
    """Angles between two end plates [deg]: kyphotic (lower in front) and scoliotic (lower on the patient's right) positive."""

    kyphosis_deg: float
    scoliosis_deg: float
    error_deg: float


def rear_rows(body: Body) -> tuple[Array, Array]:
    """Return the slices of a body and the row of its rear in each: 90th percentile over the middle of the canal's width."""
    _, _, columns = np.nonzero(body.canal)
    centre, half = (columns.max() + columns.min()) / 2, MIDDLE_OF_CANAL * (columns.max() - columns.min()) / 2
    near = body.body[:, :, round(centre - half) : round(centre + half) + 1]
    slices = np.flatnonzero(near.any(axis=(1, 2)))
    rows = near.shape[1] - 1 - np.argmax(near[slices][:, ::-1], axis=1)
    return slices, np.array([np.percentile(r[near[z].any(axis=0)], 90) + 0.5 for z, r in zip(slices, rows, strict=True)])


def corner(body: Body, end: int) -> Array:
    """Return the middle of the rear edge of a body near its lower (0) or upper (1) end plate, LPS mm."""
    low, high = (int(v) for v in np.flatnonzero(body.body.any(axis=(1, 2)))[[0, -1]])
    part = (END[0], END[1]) if end == 0 else (1 - END[1], 1 - END[0])
    first, last = (low + round(each * (high - low)) for each in part)
    slices, rows = rear_rows(body)
    inside = (slices >= first) & (slices <= last)
    row = float(rows[inside].max()) if inside.any() else float(rows.max())
    front = int(np.flatnonzero(body.foot.any(axis=1))[0])
    level = body.body[first : last + 1, front : front + max(int(0.7 * (row - front)), 1)]
    width = np.nonzero(level.any(axis=1) & body.foot[front : front + level.shape[1]].any(axis=0))[1]
    middle = (float(np.percentile(width, 2)) + float(np.percentile(width, 98))) / 2
    return np.asarray(body.grid.to_mm(np.array([(first + last) / 2, row, middle])))


def shift(upper: Body, lower: Body) -> Shift:
    """Return how far the upper of two neighbouring bodies is shifted along the mean of the end plates between them."""
    up = upper.plates[0] + lower.plates[1]
    up /= np.linalg.norm(up)
    back = upper.axes[:, 1] + lower.axes[:, 1]
    back -= (back @ up) * up
    back /= np.linalg.norm(back)
    one, other = corner(upper, 0), corner(lower, 1)
    apart = one - other
    name, under = (each.bone.name.removesuffix(" vertebra") for each in (upper, lower))
    error = max(upper.longest_mm, lower.longest_mm)
    return Shift(name, under, float(apart @ back), float(apart @ np.cross(back, up)), error, (one + other) / 2)


def bend(frame: Body, upper: Array, lower: Array) -> Bend:
    """Return the angle between two end plates, given by their normals (LPS, to the head), as seen in the frame of a body."""
    left, back, up = frame.axes.T

    def lean(normal: Array, side: Array) -> float:
        return float(np.degrees(np.arctan2(normal @ side, normal @ up)))

    right, far_left, front, rear = frame.extent
    depth = min(far_left - right, rear - front) * STEP_MM
    error = float(np.degrees(np.arctan(frame.voxel_mm / depth)))
    return Bend(lean(lower, back) - lean(upper, back), lean(lower, left) - lean(upper, left), error)


def wedge(body: Body) -> Bend:
    """Return the angle between a body's own end plates."""
    return bend(body, body.plates[1], body.plates[0])


def retropulsion(own: Body, below: Body, above: Body) -> tuple[float, Array]:
    """Return how far the back of a body stands behind the line of its neighbours' rear edges [mm], and where (LPS mm).

    Negative where it stands in front of the line all along.
    """
    start, end = corner(below, 1), corner(above, 0)
    slices, rows = rear_rows(own)
    middle = float(np.nonzero(own.canal)[2].mean())
    places = own.grid.to_mm(np.column_stack([slices, rows, np.full(len(slices), middle)]))
    _, back, up = own.axes.T
    along = ((places - start) @ up) / float((end - start) @ up)
    behind = (places - start) @ back - along * float((end - start) @ back)
    most = int(np.argmax(behind))
    return float(behind[most]), places[most]


def retropulsion_mm(scene: Scene) -> Fact:
    """Measure how far the posterior wall stands behind the line of its neighbours' rear edges [mm], one voxel either way."""

    def read(own: Body) -> tuple[State, tuple[Origin, ...]]:
        below, above = spine(scene).below, spine(scene).above
        if not isinstance(below, Body) or not isinstance(above, Body):
            return Unknown(f"cannot tell: {_wanted(scene)}"), ()
        most, place = retropulsion(own, below, above)
        low, high = (round(max(most + sign * own.longest_mm, 0.0), 1) for sign in (-1, 1))
        lies = "behind" if most > number("retropulsion_least_mm") else "on or in front of"
        said = f"{abs(most):.1f} mm {lies} the line from {below.bone.name} to {above.bone.name}"
        return (Known(0.0) if high <= 0 else Interval(low, high)), (scene.at(place, said),)

    return read_of_body(scene, "retropulsion_mm", read)


def spinal_alignment(scene: Scene) -> Fact | None:
    """Say what of the spine's alignment shows lying: a shift that is seen, or an angle that asks whether it is new.

    Never "normal": lying does not exclude instability. None outside the spine, so that the chart alone speaks there.
    """
    name = "spinal_alignment"
    if scene.bone is None or not scene.bone.id.startswith("vertebra"):
        return None
    found = spine(scene)
    if isinstance(found.own, str):
        return scene.fact(name, Unknown(f"not told by this image ({found.own.removeprefix('cannot tell: ')}); {LYING}"))
    own = found.own
    pairs = [shift(own, found.below)] if isinstance(found.below, Body) else []
    pairs += [shift(found.above, own)] if isinstance(found.above, Body) else []
    if not pairs:
        return scene.fact(name, Unknown(f"not told by this image: {_wanted(scene)}; {LYING}"))
    worst = max(pairs, key=lambda each: each.most_mm)
    places = tuple(scene.at(each.place_mm, str(each)) for each in pairs)
    turned, said = _turned(own, found.beside)
    places = (*places, scene.at(own.centre_mm, said))
    if worst.most_mm - worst.error_mm > number("translation_mm"):
        return Fact(name, Known("subluxation"), None, places)
    limit = number("translation_mm")
    if worst.most_mm > limit or turned:
        why = f"{worst}; {said}; whether that is new, and how it stands under load, cannot be seen here: state `spinal_alignment`"
        return Fact(name, Unknown(f"cannot tell: {why}"), None, places)
    rest = "" if len(pairs) == 2 else f"; {_wanted(scene)}"
    return Fact(name, Unknown(f"not told by this image: no shift over {limit:g} mm seen{rest}; {LYING}"), None, places)


def _turned(own: Body, beside: tuple[Body, ...]) -> tuple[bool, str]:
    """Tell whether the body is wedged against its neighbours by more than may be, and say by how much."""
    mine, others = wedge(own), [wedge(each) for each in beside]
    more = mine.kyphosis_deg - float(np.mean([each.kyphosis_deg for each in others]))
    aside = mine.scoliosis_deg - float(np.mean([each.scoliosis_deg for each in others]))
    said = (
        f"end plates of the {own.bone.name}: {more:+.0f}° of kyphosis and {abs(aside):.0f}° from the front against its "
        f"neighbours (one voxel {mine.error_deg:.0f}°)"
    )
    return max(more, abs(aside)) > number("deformity_deg") + mine.error_deg, said


def _wanted(scene: Scene) -> str:
    """Say which neighbours must be outlined, or that there is none to compare with."""
    assert scene.bone is not None
    found = spine(scene)
    asked = [
        each.removeprefix("cannot tell: ")
        for key, each in zip(neighbours(scene.bone), (found.below, found.above), strict=True)
        if key is not None and isinstance(each, str)
    ]
    none = f"the {scene.bone.name} lacks a neighbour whose body could be compared; look at the images"
    return "; ".join(asked) or none
