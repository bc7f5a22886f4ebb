"""Whether a fracture is there, must be asked for, or was ruled out; and how two fragments stand to each other and to a load.

On a lytic weight-bearing bone "fracture?" is asked before any strength is shown as a prediction. A fracture that is there changes
the question: displacement, orientation to the load and "stabilise?" take the place of a load at which the bone would break.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from scipy import ndimage

from osteon.assessment.measure_base import cut, family, window_of
from osteon.case.fracture import PossibleFracture, possible_fractures
from osteon.data_files import read_data
from osteon.errors import InputError, NotOutlinedError
from osteon.facts import Fact, Known, State, Unknown, possible
from osteon.space.anatomy import Anatomy, Structure
from osteon.space.volume import Array, Volume

Status = Literal["present", "asked", "none"]
LEAST_GAP, FACING_VOXELS = 10, 1.5
"""Pairs of facing voxels through whose middles a plane is laid, and how many voxels farther apart than the nearest they are."""
NOT_FOR = "no load at which it would break is told; Mirels and van der Linden do not apply"


@dataclass(frozen=True)
class Fragment:
    """A piece of a broken bone.

    Parameters
    ----------
    name : str
        For example "left femur, piece 1 of 2 (towards the head)".
    volume_ml : float
        Its part of the outline [ml].
    middle_mm : tuple of float
        LPS.
    """

    name: str
    volume_ml: float
    middle_mm: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class FractureState:
    """What is known of a fracture of one bone.

    Parameters
    ----------
    status : {"present", "asked", "none"}
        As stated; or it must be stated before strength may be shown as a prediction; or nothing speaks for one.
    sentence : str
        What to show.
    fragments : tuple of Fragment
        Pieces of the outline on either side of a gap; empty where none were told apart.
    gaps : tuple of PossibleFracture
        Gaps seen in the bone: said, never decided.
    displacement_mm : float or None
        Of two fragments: how far their middle lines miss each other across their direction [mm].
    gap_mm : float or None
        Typical width of the gap [mm].
    angulation_deg : float or None
        Angle between the two middle lines [deg].
    angle_deg : float or None
        Angle between the plane of the gap and the load axis [deg]: 90 across the load, so that it closes; 0 along it.
    plane : tuple of (point, normal) or None
        Of the gap, LPS mm.
    error_mm : float
        One voxel.
    """

    status: Status
    sentence: str
    fragments: tuple[Fragment, ...] = ()
    gaps: tuple[PossibleFracture, ...] = ()
    displacement_mm: float | None = None
    gap_mm: float | None = None
    angulation_deg: float | None = None
    angle_deg: float | None = None
    plane: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None
    error_mm: float = 0.0


@cache
def table() -> Mapping[str, Any]:
    """Return ``fracture_hint.yaml``."""
    loaded: Mapping[str, Any] = read_data("osteon.assessment", "fracture_hint.yaml")
    return loaded


def _number(name: str) -> float:
    return float(table()["numbers"][name]["number"])


def fracture_state(anatomy: Anatomy, bone: Structure, facts: Mapping[str, Fact], load_axis: Array | None = None) -> FractureState:
    """Return whether a bone is broken, and where it is in two pieces how they stand to each other and to the load.

    Parameters
    ----------
    anatomy : Anatomy
        With the outline of the bone; without a CT no gap is looked for.
    bone : Structure
        The bone.
    facts : mapping of str to Fact
        Reads fracture, lesion_type and weight_bearing.
    load_axis : array (3,), optional
        Direction of the load, LPS; its length and sign do not matter.

    Raises
    ------
    InputError
        If the load axis has no direction.
    NotOutlinedError
        If the bone is not outlined, or its outline is empty.

    Examples
    --------
    >>> from osteon.facts import Fact, Known
    >>> from osteon.case.phantom import build
    >>> from osteon.space.anatomy import Anatomy
    >>> made = build("femur", spacing_mm=3.0)
    >>> anatomy = Anatomy(made.masks[made.lesion_bone], masks=made.masks)
    >>> fracture_state(anatomy, made.lesion_bone, {"fracture": Fact("fracture", Known("none"))}).status
    'none'
    """
    axis = _unit(load_axis)
    mask = anatomy.mask(bone)
    if mask.box() is None:
        raise NotOutlinedError(
            f"The outline of the {bone.name} is empty.", "No fracture can be looked for in it.", f"Outline the {bone.name}."
        )
    gaps = () if anatomy.image is None else possible_fractures(anatomy.image, mask, split=bone in anatomy.approximate)
    told = facts["fracture"].state if "fracture" in facts else Unknown()
    status = _status(told, facts, bone, bool(gaps))
    error = max(anatomy.grid.spacing_mm)
    if not gaps and status != "present":
        return FractureState(status, _sentence(status, told, bone, gaps, anatomy.image is not None), error_mm=error)
    pieces = _pieces(anatomy, mask)
    base = FractureState(status, "", _named(pieces, bone), gaps, error_mm=error)
    found = _described(base, pieces, axis) if pieces is not None and len(base.fragments) == 2 else base
    said = _sentence(status, told, bone, gaps, anatomy.image is not None)
    return FractureState(**{**found.__dict__, "sentence": " ".join([said, *_words(found, pieces)])})


def weight_bearing(bone: Structure, facts: Mapping[str, Fact]) -> bool:
    """Tell whether a bone bears weight: as the chart says of this place, else by the list of ``fracture_hint.yaml``."""
    state = facts["weight_bearing"].state if "weight_bearing" in facts else Unknown()
    return bool(state.value) if isinstance(state, Known) else family(bone) in table()["weight_bearing"]["families"]


def _status(told: State, facts: Mapping[str, Fact], bone: Structure, gap: bool) -> Status:
    if told == Known("present"):
        return "present"
    if isinstance(told, Known):
        return "none"
    left = possible(told)
    if gap or "present" in left:
        return "asked"
    types = possible(facts["lesion_type"].state) if "lesion_type" in facts else ()
    lytic = not types or bool(set(types) & set(table()["asked_types"]["types"]))
    return "asked" if lytic and weight_bearing(bone, facts) else "none"


def _sentence(status: Status, told: State, bone: Structure, gaps: tuple[PossibleFracture, ...], looked: bool) -> str:
    seen = f"The CT shows {gaps[0].note}." if gaps else ""
    if status == "present":
        return f"The {bone.name} is broken: {NOT_FOR}. The question is whether to stabilise it."
    if status == "asked":
        why = seen or f"The {bone.name} bears weight, and nobody said that it is whole or that its lesion is blastic."
        todo = "Look at the images in three directions and state `fracture` before a strength is predicted."
        return f"Is there a fracture? {why} {todo}"
    if isinstance(told, Known):
        return f"The chart says that there is no fracture. {seen}".strip()
    rest = "no gap was seen, which does not exclude one" if looked else "there is no CT to look for a gap in"
    return f"No fracture was stated and {rest}."


@dataclass(frozen=True, eq=False)
class _Pieces:
    """Fragments on a cut-out of the image: label 1, 2, ... from the head down; between two, middles and widths of the gap."""

    label: Array
    volume: Volume
    middles: Array
    widths: Array

    def mm(self, some: Array) -> Array:
        return self.volume.grid.to_mm(np.argwhere(some))


def _pieces(anatomy: Anatomy, mask: Volume) -> _Pieces | None:
    """Return the large pieces of a bone on either side of a gap; None where it hangs together, or cannot be seen to.

    An outline in pieces is taken as it is. Else dense bone in pieces tells them; marrow and gap look alike, so the plane between
    the facing edges of two pieces parts the outline.
    """
    step = max(mask.spacing_mm)
    window = window_of(mask, 2 * step)
    near = cut(mask, window)
    inside = near.array.astype(bool, copy=False)
    solid = [inside & each for each in _large(inside, near)]
    if len(solid) < 2 and anatomy.image is not None:
        bright = inside & (anatomy.image.part(window) > _number("dense_hu"))
        solid = [bright & each for each in _large(_filled(bright) & inside, near)]
    if len(solid) < 2:
        return None
    label = np.zeros(inside.shape, np.int32)
    if len(solid) > 2:
        for i, each in enumerate(solid, start=1):
            label[each] = i
        return _Pieces(label, near, np.zeros((0, 3)), np.zeros(0))
    middles, widths = _facing(near, solid[0], solid[1], step)
    if len(middles) < LEAST_GAP:
        return None
    centre, normal = _plane(middles, near.grid.to_mm(np.argwhere(solid[0])).mean(axis=0))
    places = np.argwhere(inside)
    beyond = (near.grid.to_mm(places) - centre) @ normal
    half = _gap(near, widths) / 2
    label[tuple(places[beyond > half].T)] = 1
    label[tuple(places[beyond < -half].T)] = 2
    return _Pieces(label, near, middles, widths)


def _large(some: Array, near: Volume) -> list[Array]:
    """Return the connected pieces that hold at least ``least_part`` of the whole, from the head down."""
    label, count = ndimage.label(some)
    sizes = np.bincount(label.ravel(), minlength=count + 1)
    sizes[0] = 0
    large = [i for i in np.flatnonzero(sizes >= _number("least_part") * max(int(sizes.sum()), 1)) if sizes[i] > 0]
    large.sort(key=lambda i: -float(near.grid.to_mm(np.argwhere(label == i)).mean(axis=0)[2]))
    return [label == i for i in large]


def _plane(middles: Array, above: Array) -> tuple[Array, Array]:
    """Return a point and the unit normal of the plane through points, towards a place."""
    centre = middles.mean(axis=0)
    normal = np.linalg.eigh(np.cov((middles - centre).T))[1][:, 0]
    return centre, np.asarray(normal if (above - centre) @ normal > 0 else -normal)


def _gap(near: Volume, widths: Array) -> float:
    """Return the width of a gap from the distances of facing voxels: half a voxel of it is bone [mm]."""
    return max(float(np.median(widths)) - 0.5 * float(near.grid.voxel_mm3 ** (1 / 3)), 0.0)


def _filled(dense: Array) -> Array:
    """Fill what cortex encloses in a slice of any direction: marrow is no gap."""
    out = dense.copy()
    for axis in range(3):
        planes = np.moveaxis(dense, axis, 0)
        out |= np.moveaxis(np.stack([ndimage.binary_fill_holes(plane) for plane in planes]), 0, axis)
    return out


def _named(pieces: _Pieces | None, bone: Structure) -> tuple[Fragment, ...]:
    if pieces is None:
        return ()
    count = int(pieces.label.max())
    found = []
    for i in range(1, count + 1):
        x, y, z = (float(v) for v in pieces.mm(pieces.label == i).mean(axis=0))
        where = " (towards the head)" if i == 1 else " (towards the feet)" if i == count else ""
        millilitres = float((pieces.label == i).sum()) * pieces.volume.grid.voxel_mm3 / 1000
        found.append(Fragment(f"{bone.name}, piece {i} of {count}{where}", millilitres, (x, y, z)))
    return tuple(found)


def _described(state: FractureState, pieces: _Pieces, axis: Array | None) -> FractureState:
    """Return the state with the plane of the gap, and how two fragments stand to each other."""
    centre, normal = _plane(pieces.middles, np.array(state.fragments[0].middle_mm))
    lines = [_line(pieces.mm(pieces.label == i), centre, sign * normal, state.error_mm) for i, sign in ((1, 1.0), (2, -1.0))]
    values = dict(state.__dict__)
    values["plane"] = tuple(float(v) for v in centre), tuple(float(v) for v in normal)
    values["gap_mm"] = _gap(pieces.volume, pieces.widths)
    if axis is not None:
        values["angle_deg"] = float(np.degrees(np.arcsin(min(abs(float(normal @ axis)), 1.0))))
    if lines[0] is not None and lines[1] is not None:
        start, along = lines[0]
        other, against = lines[1]
        mean = along - against
        mean = mean / np.linalg.norm(mean)
        apart = start - other
        values["displacement_mm"] = float(np.linalg.norm(apart - (apart @ mean) * mean))
        values["angulation_deg"] = float(np.degrees(np.arccos(np.clip(-along @ against, -1.0, 1.0))))
    return FractureState(**values)


def _line(points: Array, centre: Array, outwards: Array, error: float) -> tuple[Array, Array] | None:
    """Return where the middle line of a fragment meets the plane of the gap, and its direction away from it."""
    depth = (points - centre) @ outwards
    slab = max(_number("slab_mm"), error)
    start, end = _number("beside_gap_mm") + error, _number("beside_gap_mm") + error + max(_number("line_mm"), 4 * slab)
    bins = np.floor((depth - start) / slab).astype(int)
    count = int((end - start) // slab)
    middles = [points[bins == i].mean(axis=0) for i in range(count) if (bins == i).sum() >= 5]
    depths = [float(depth[bins == i].mean()) for i in range(count) if (bins == i).sum() >= 5]
    if len(middles) < 3:
        return None
    slope, meets = np.polyfit(np.array(depths), np.array(middles), 1)
    return meets, slope / np.linalg.norm(slope)


def _facing(near: Volume, upper: Array, lower: Array, error: float) -> tuple[Array, Array]:
    """Return the middles (n, 3) between voxels of two pieces that face each other over the gap [LPS mm], and how far apart."""
    from scipy.spatial import cKDTree

    rims = [near.grid.to_mm(np.argwhere(mask & ~ndimage.binary_erosion(mask))) for mask in (upper, lower)]
    middles, widths = [], []
    for one, other in (rims, rims[::-1]):
        away, nearest = cKDTree(other).query(one)
        close = away <= float(away.min()) + FACING_VOXELS * error
        middles.append((one[close] + other[nearest[close]]) / 2)
        widths.append(away[close])
    return np.concatenate(middles), np.concatenate(widths)


def _words(state: FractureState, pieces: _Pieces | None) -> list[str]:
    """Return what is said of the fragments."""
    if not state.fragments:
        return ["Its fragments were not told apart: an impacted or hairline fracture shows no gap."] if pieces is None else []
    said = [f"{len(state.fragments)} pieces: {', '.join(f'{each.volume_ml:.1f} ml' for each in state.fragments)}."]
    if state.displacement_mm is not None:
        said.append(
            f"Displaced by {state.displacement_mm:.1f} mm (one voxel {state.error_mm:.1f} mm), "
            f"bent by {state.angulation_deg:.0f}°."
        )
    if state.angle_deg is not None:
        word = "across it: it closes under load" if state.angle_deg >= 60 else "oblique or along it: it shears under load"
        said.append(f"The gap stands at {state.angle_deg:.0f}° to the load, {word}.")
    return said


def _unit(axis: Array | None) -> Array | None:
    if axis is None:
        return None
    given = np.asarray(axis, float)
    length = float(np.linalg.norm(given)) if given.shape == (3,) else 0.0
    if not np.isfinite(length) or length < 1e-9:
        raise InputError(
            f"The load axis {np.asarray(axis).tolist()} has no direction.",
            "The gap's orientation to the load could not be told.",
            "Give three numbers, LPS, not all 0, or no axis.",
        )
    return given / length
