"""Three approaches to a bone metastasis, proposed by what is left of the cortex over it, as measured along the beam."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from scipy.spatial import cKDTree

from osteon.evidence.value import Uniform
from osteon.space.anatomy import Anatomy, Kind, Structure
from osteon.space.volume import Array
from osteon.treatments.focused_ultrasound.access_looks import array_parts, ray_directions, reach_of
from osteon.treatments.focused_ultrasound.approach_rows import number, rows, values
from osteon.treatments.focused_ultrasound.bone_face import Face, face_of, facing, first_cells, periosteum
from osteon.treatments.focused_ultrasound.shots import APPROACHES, ApproachName
from osteon.treatments.focused_ultrasound.target_site import Threshold, not_outlined

State = Literal["intact", "partial", "destroyed"]
Answer = Literal["offered", "not offered", "cannot tell"]
CRITICAL_KINDS: tuple[Kind, ...] = ("nerve", "cord", "bowel", "lung", "organ")
PLACES, PARTS = 400, 24  # of the face of the lesion, and of the array as seen from each
STEP = 0.5  # of a cell, along a ray


@dataclass(frozen=True)
class Cortex:
    """What is left of the cortex between a lesion and the array.

    Parameters
    ----------
    share : float
        Of the rays of the beam through the face of the lesion, those that cross at least ``there_mm`` of solid bone.
    low, high : float
        The same at the ends of the spreads of HU and ``there_mm``; rays through what is not imaged have no bone, and have it.
    thickness_mm : float
        Median of solid bone on rays that cross some; not a number where none does.
    unseen : float
        Share of rays that run through what is not imaged, or is spoilt by metal.
    rays : int
        How many.
    states : tuple of str
        "intact", "partial", "destroyed": all that the measurement allows.
    why_not : str
        What to do where nothing can be told; empty where something can.
    """

    share: float
    low: float
    high: float
    thickness_mm: float
    unseen: float
    rays: int
    states: tuple[State, ...]
    why_not: str = ""

    @property
    def in_words(self) -> str:
        """What was measured, as a clause."""
        thick = f", {self.thickness_mm:.1f} mm thick where it is there" if math.isfinite(self.thickness_mm) else ""
        band = f"{100 * self.share:.0f} % ({100 * self.low:.0f} to {100 * self.high:.0f})"
        return f"cortex on {band} of the rays to the lesion{thick}: {' or '.join(self.states)}"


@dataclass(frozen=True)
class Nearby:
    """A critical structure near the places where the focus goes: its name and the least distance [mm]."""

    name: str
    distance_mm: float


@dataclass(frozen=True)
class Approach:
    """One of the three ways to treat, whether it is offered, and why.

    Parameters
    ----------
    name : str
        "near-target", "direct" or "trans-soft-tissue".
    answer : {"offered", "not offered", "cannot tell"}
        By the state of the cortex; never a judgement of heat.
    reason : str
        In words; where it cannot be told, it begins with the next thing to do.
    cortex : Cortex
        What was measured, the same for all three.
    behind_mm : float
        Of the focus, behind the surface of the cortex along the beam; not a number where it lies in the tumour.
    near : tuple of Nearby
        Critical structures within ``stand_off_mm`` of a focus, nearest first.
    notes : tuple of str
        What the reader must know.
    rule : str
        Of ``rules.yaml``.
    source : tuple of str
        Quotations.
    """

    name: ApproachName
    answer: Answer
    reason: str
    cortex: Cortex
    behind_mm: float
    near: tuple[Nearby, ...]
    notes: tuple[str, ...]
    rule: str
    source: tuple[str, ...]


def approaches_of(
    anatomy: Anatomy,
    target: Structure,
    beam: Sequence[float],
    device: str,
    bone: Structure | None = None,
    *,
    face: Face | None = None,
) -> tuple[Approach, ...]:
    """Return the three approaches for a beam, each offered, not offered, or not to be told, with the reason.

    Parameters
    ----------
    anatomy : Anatomy
        With a CT.
    target : Structure
        Outlined.
    beam : sequence of float
        The way sound goes, LPS: the axis of the pose that ``access.search_window`` found.
    device : str
        Of ``devices.yaml``: its cone of rays is looked along.
    bone : Structure, optional
        That holds the target; else ``target_site.touching_most``.
    face : Face, optional
        From ``bone_face.face_of``, where it was built before.

    Returns
    -------
    tuple of Approach
        Always three, in the order of ``shots.APPROACHES``; see ``ranked``.

    Raises
    ------
    NotOutlinedError, MissingError
        As ``target_site.ct_of``.
    InputError
        If the beam is no direction, or there is no such array.
    """
    seen = face or face_of(anatomy, target, beam, bone)
    cortex = cortex_over(anatomy, seen, device)
    return tuple(_judge(anatomy, target, seen, name, cortex) for name in APPROACHES)


def ranked(approaches: Sequence[Approach]) -> tuple[Approach, ...]:
    """Return approaches in order of preference: offered first, then the farther from critical structures; else as they stand.

    The source prefers none of those that the cortex allows.
    """
    answers = ("offered", "cannot tell", "not offered")
    far = number("stand_off_mm")
    return tuple(sorted(approaches, key=lambda a: (answers.index(a.answer), -(a.near[0].distance_mm if a.near else far))))


def cortex_over(anatomy: Anatomy, face: Face, device: str) -> Cortex:
    """Return what is left of the cortex between a lesion and an array: solid bone along the rays of its cone.

    Rays leave from the face of the lesion that is turned to the beam, and from half of its thickness behind it: dense bone that
    the outline of the lesion takes in counts. They end where they have left the bone by ``gap_mm``.

    Parameters
    ----------
    anatomy : Anatomy
        With a CT.
    face : Face
        The target as the beam sees it.
    device : str
        Of ``devices.yaml``.
    """
    starts, inside_mm = _starts(face)
    reach, least = number("deepest_mm"), _ends("there_mm")
    solid, unseen = _along(face, starts, inside_mm, device, reach)
    there = {end: solid[end] >= least[end] for end in solid}
    open_ = unseen & ~there["middle"]
    # the low end of the cortex: least bone (high limits), and what is unseen holds none
    low = float((there["high"] & ~unseen).mean())
    high = float((there["low"] | unseen).mean())
    share = float(there["middle"][~open_].mean()) if (~open_).any() else 0.0
    thick = solid["middle"][there["middle"]]
    states = tuple(dict.fromkeys(state_of(s) for s in sorted((low, share, high), reverse=True)))
    return Cortex(
        share, min(low, share), max(high, share), float(np.median(thick)) if len(thick) else math.nan, float(unseen.mean()),
        int(unseen.size), states, _why_not(anatomy, face, states, float(open_.mean())),
    )  # fmt: skip


def state_of(share: float) -> State:
    """Return the state of a cortex by the share of rays that cross it."""
    if share >= number("intact_share"):
        return "intact"
    return "destroyed" if share <= number("destroyed_share") else "partial"


def _why_not(anatomy: Anatomy, face: Face, states: tuple[State, ...], unseen: float) -> str:
    """Return what to do before anything can be told; empty where the measurement stands."""
    if face.bone is None:
        return "outline the bone that holds the lesion"
    widest = max(anatomy.grid.spacing_mm)
    if widest > number("widest_voxel_mm") and states != ("intact",):
        return f"give a CT with slices of at most {number('widest_voxel_mm'):g} mm: these voxels are {widest:.1f} mm wide"
    offered = {tuple(name for name in APPROACHES if state in rows()[name]["cortex"]) for state in states}
    if len(offered) < 2:
        return ""
    if unseen > 0:
        return (
            f"image all of the bone over the lesion: {100 * unseen:.0f} % of the rays pass what is not imaged or spoilt by metal"
        )
    return "look at the cortex on a CT with thinner slices: the measurement leaves it open"


def _ends(name: str) -> dict[Threshold, float]:
    """Return a constant's low end, middle and high end, by which end of the limits it belongs to."""
    value = values()[name]
    spread = value.spread
    low, high = (spread.low, spread.high) if isinstance(spread, Uniform) else (value.number, value.number)
    return {"low": low, "middle": value.number, "high": high}


def _starts(face: Face) -> tuple[Array, Array]:
    """Return places (n, 3) of the lesion's face along u, v and the beam, and how deep rays begin behind them [mm]."""
    index = first_cells(face.lesion)
    towards = facing(face.lesion, index, face.step_mm) > 0
    index = index[towards] if towards.any() else index
    if len(index) > PLACES:
        index = index[np.unique(np.linspace(0, len(index) - 1, PLACES).round().astype(int))]
    thick = face.lesion[:, index[:, 1], index[:, 2]].sum(axis=0) * face.step_mm
    return face.to_uvw(index), thick / 2


def _along(face: Face, starts: Array, inside_mm: Array, device: str, reach_mm: float) -> tuple[dict[Threshold, Array], Array]:
    """Return solid bone [mm] on each ray at each limit, and which rays pass what cannot be seen; shapes (rays,)."""
    away = np.array([[0.0, 0.0, -1.0]])
    distance = np.array([reach_of(device)[0]])
    ways = ray_directions(away, array_parts(device, PARTS), distance)[0]
    step = STEP * face.step_mm
    t = np.arange(-float(inside_mm.max()), reach_mm, step)
    run = max(1, round(number("gap_mm") / step))
    length: dict[Threshold, list[Array]] = {"low": [], "middle": [], "high": []}
    unseen = []
    last = np.array(face.lesion.shape) - 1
    for way in ways:
        at = np.rint((starts[:, None] + t[:, None] * way) / face.step_mm).astype(np.intp)[..., ::-1]
        within = ((at >= 0) & (at <= last)).all(axis=-1) & (t >= -inside_mm[:, None])
        z, y, x = np.moveaxis(np.clip(at, 0, last), -1, 0)
        near = face.near[z, y, x]
        outside = np.cumsum(~near & (t >= 0), axis=1)
        left = np.zeros_like(near)
        left[:, run:] = np.maximum.accumulate(outside[:, run:] - outside[:, :-run] == run, axis=1)
        counts = within & near & ~left
        for end, found in length.items():
            found.append((counts & face.solid[end][z, y, x]).sum(axis=1) * step)
        unseen.append((counts & ~face.seen[z, y, x]).any(axis=1))  # near a bone at the edge of the image, also beyond it
    return {end: np.concatenate(found) for end, found in length.items()}, np.concatenate(unseen)


def _judge(anatomy: Anatomy, target: Structure, face: Face, name: ApproachName, cortex: Cortex) -> Approach:
    row = rows()[name]
    allows = [state in row["cortex"] for state in cortex.states]
    needed = " or ".join(row["cortex"])
    spots = focus_places(face, name)
    notes: list[str] = []
    if cortex.why_not:
        answer, reason = "cannot tell", f"cannot tell: {cortex.why_not}; {cortex.in_words}, needed is {needed}"
    elif not all(allows):
        answer, reason = "not offered", f"{cortex.in_words}; needed is {needed}"
    elif len(spots) == 0:
        what = (
            "the lesion holds no soft tumour" if name == "trans-soft-tissue" else "no surface of the bone over it faces the beam"
        )
        answer, reason = "not offered", f"{what}; {cortex.in_words}"
    else:
        answer, reason = "offered", f"{cortex.in_words}; {row['text']}"
    if missing := not_outlined(anatomy):
        notes.append(f"not outlined, so how near they lie to a focus cannot be told: {missing}")
    deep = _depth_mm(face) if name != "trans-soft-tissue" else 0.0
    if deep > number("deep_mm"):
        notes.append(
            f"the lesion lies {deep:.0f} mm below the surface that faces the beam: look from the other side of the bone too"
        )
    if len(spots):
        blind = 1.0 - float(np.nan_to_num(anatomy.imaged.sample(spots, fill=0.0)).mean())
        if blind > 0:
            notes.append(f"{100 * blind:.0f} % of the places of the focus lie in what is not imaged")
    behind = {"near-target": number("behind_cortex_mm"), "direct": 0.0}.get(name, math.nan)
    return Approach(
        name, cast(Answer, answer), reason, cortex, behind, _nearby(anatomy, target, spots), tuple(notes), str(row["rule"]),
        tuple(row["source"]),
    )  # fmt: skip


def _depth_mm(face: Face) -> float:
    """Return how far below the surface of the bone that faces the beam the lesion begins, the median over columns [mm]."""
    index, _ = periosteum(face)
    over = face.lesion[:, index[:, 1], index[:, 2]]
    hit = over.any(axis=0)
    return float(np.median((over.argmax(axis=0) - index[:, 0])[hit])) * face.step_mm if hit.any() else 0.0


def focus_places(face: Face, name: ApproachName) -> Array:
    """Return where foci of an approach may lie, LPS (n, 3): behind the surface, on it, or throughout the soft tumour."""
    if name == "trans-soft-tissue":
        return face.to_mm(face.to_uvw(np.argwhere(face.soft_lesion)))
    index, _ = periosteum(face)
    behind = number("behind_cortex_mm") if name == "near-target" else 0.0
    return face.to_mm(face.to_uvw(index) + np.array([0.0, 0.0, behind])) if len(index) else np.zeros((0, 3))


def _nearby(anatomy: Anatomy, target: Structure, places_mm: Array) -> tuple[Nearby, ...]:
    """Return critical structures within the stand-off of places, by name and least distance, nearest first."""
    if len(places_mm) == 0:
        return ()
    far = number("stand_off_mm")
    tree = cKDTree(places_mm)
    low, high = places_mm.min(0) - far, places_mm.max(0) + far
    box = np.stack(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), -1).reshape(-1, 3)
    index = anatomy.grid.to_index(box)
    first = np.clip(np.floor(index.min(0)).astype(int), 0, anatomy.grid.shape)
    stop = np.clip(np.ceil(index.max(0)).astype(int) + 1, 0, anatomy.grid.shape)
    z, y, x = (slice(int(a), int(b)) for a, b in zip(first, stop, strict=True))
    found = []
    for key in anatomy.of_kind(*CRITICAL_KINDS):
        cells = np.argwhere(anatomy.masks[key].part((z, y, x))) if key != target else np.zeros((0, 3))
        if len(cells):
            gap = float(tree.query(anatomy.grid.to_mm(cells + first), distance_upper_bound=far)[0].min())
            gap = max(gap - max(anatomy.grid.spacing_mm) / 2, 0.0)  # from the middle of a voxel to its face
            if gap < far:
                found.append(Nearby(key.name, gap))
    return tuple(sorted(found, key=lambda one: (one.distance_mm, one.name)))
