"""What the image shows by itself, once per case: metal, what it spoils, body and skin, bone that nobody outlined, gaps in bone.

Everything here is approximate. Nothing found is decided: a piece of bone gets a name only where the chart names the bone of the
lesion that lies in it, and a gap is something to be looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from osteon.assessment.measure_base import threshold, window_of
from osteon.assessment.outline import body_of
from osteon.case.bones import BoneCandidate, FoundBones, find_bones
from osteon.case.fracture import CutBone, PossibleFracture, cut_bones, possible_fractures
from osteon.case.metal import find_metal
from osteon.case.model import Case, Study
from osteon.errors import ImageError
from osteon.space.anatomy import Structure, smooth_resample, structure
from osteon.space.paths import distance_to, skin
from osteon.space.volume import Array, CompactMask, Grid, Volume, union_of

BODY, SKIN, IMPLANT, OTHER_BONE = (structure(name) for name in ("body", "skin", "implant", "other_bone"))
Masks = Mapping[Structure, Volume]


@dataclass(frozen=True)
class NamedPiece:
    """A piece of bone that was taken for the bone of a lesion, or was not because chart and image disagree.

    Parameters
    ----------
    bone : Structure
        As the chart names it.
    piece : str
        Id of the piece, as ``osteon outline --bones`` shows it.
    side : str
        Where the piece lies: left, right, midline or unknown.
    taken : bool
        Whether it became the outline of the bone.
    why : str
        What a reader must know.
    """

    bone: Structure
    piece: str
    side: str
    taken: bool
    why: str

    @property
    def on_the_other_side(self) -> bool:
        """Whether the image shows it on the other side than the chart says."""
        return self.bone.side is not None and self.side in ("left", "right") and self.side != self.bone.side


@dataclass(frozen=True, eq=False)
class Found:
    """What was found, to be laid beside what was outlined.

    Parameters
    ----------
    masks : mapping of Structure to Volume of bool
        On the grid of the planning image; what is outlined stays, but an implant gets the metal that its outline lacks.
    approximate : frozenset of Structure
        All that was found.
    unreliable : Volume of bool or None
        Where metal spoils the HU; None where there is no metal.
    pieces : mapping of str to NamedPiece
        By lesion id, where a piece of bone holds it.
    gaps : mapping of Structure to tuple of PossibleFracture
        In the bones that hold a lesion or lie near one.
    cut : tuple of CutBone
        Bones that go on beyond the image.
    notes : tuple of str
        What a reader must know.
    """

    masks: Masks = field(default_factory=dict)
    approximate: frozenset[Structure] = frozenset()
    unreliable: Volume | None = None
    pieces: Mapping[str, NamedPiece] = field(default_factory=dict)
    gaps: Mapping[Structure, tuple[PossibleFracture, ...]] = field(default_factory=dict)
    cut: tuple[CutBone, ...] = ()
    notes: tuple[str, ...] = ()


def find(case: Case, study: Study, masks: Masks) -> Found:
    """Look for what nobody outlined.

    Parameters
    ----------
    case : Case
        For its lesions, and for what is declared absent.
    study : Study
        The planning image, in canonical axes.
    masks : mapping of Structure to Volume of bool
        What is outlined, in the same axes, without lesions.

    Returns
    -------
    Found
        Without a CT only what follows from outlines: skin of an outlined body, and cut bones.

    Raises
    ------
    ImageError
        If the axes of the planning image are not at right angles.
    """
    image, imaged = study.volume, study.imaged
    made: dict[Structure, Volume] = {}
    notes: list[str] = []
    rough: set[Structure] = set()
    unreliable: Volume | None = None
    pieces: dict[str, NamedPiece] = {}
    if study.modality == "CT":
        if BODY not in masks:
            made[BODY] = body_of(image, imaged)
            rough.add(BODY)
        unreliable = _metal(case, study, masks, made, notes)
        pieces = _bones(case, study, masks, made, notes)
        rough.update(made)
    body = masks.get(BODY, made.get(BODY))
    if SKIN not in masks and body is not None:
        made[SKIN] = skin(body, imaged).compact()
        rough.update({SKIN} if BODY in rough | case.approximate else ())
    every = {**masks, **made}
    gaps = _gaps(case, study, every, rough) if study.modality == "CT" else {}
    cut = cut_bones({key: mask for key, mask in every.items() if key != OTHER_BONE}, imaged)
    return Found(made, frozenset(rough), unreliable, pieces, gaps, cut, tuple(notes))


def _metal(case: Case, study: Study, masks: Masks, made: dict[Structure, Volume], notes: list[str]) -> Volume | None:
    """Add the metal that is not outlined; return where HU are spoiled."""
    found = find_metal(study.volume, study.imaged)
    if found.implant is None or found.unreliable is None:
        return None
    missing = _pieces_beyond(found.implant.compact(), [mask for key, mask in masks.items() if key.kind == "implant"])
    if missing is not None:
        made[IMPLANT] = union_of([masks[IMPLANT], missing]) if IMPLANT in masks else missing
        if IMPLANT in masks:
            notes.append("metal was found beside the outlined implant and is added to it, approximately")
        if IMPLANT in case.absent:
            notes.append("an implant is declared absent, but the CT shows metal: the metal is kept; look at it")
    notes += found.notes
    return found.unreliable.compact()


def _pieces_beyond(metal: Volume, outlined: list[Volume]) -> Volume | None:
    """Return the connected pieces of metal that no outline touches; None where there are none."""
    import cc3d

    box = metal.box()
    assert box is not None  # metal that was found is not empty
    pieces, count = cc3d.connected_components(np.ascontiguousarray(metal.part(box)), connectivity=26, return_N=True)
    beyond = np.ones(count + 1, bool)
    beyond[0] = False
    for mask in outlined:
        beyond[pieces[mask.part(box)]] = False
    return _placed(beyond[pieces], metal.grid, tuple(s.start for s in box)) if beyond.any() else None


def _bones(case: Case, study: Study, masks: Masks, made: dict[Structure, Volume], notes: list[str]) -> dict[str, NamedPiece]:
    """Add bone found by threshold where no bone is outlined by name and a lesion is; return which piece holds which lesion."""
    lesions = [(lesion, lesion.mask.canonical()) for lesion in case.lesions if lesion.mask is not None]
    if not lesions or any(key.kind == "bone" and key != OTHER_BONE for key in masks):
        return {}
    try:
        found = find_bones(study.volume, study.imaged, union_of([mask for _, mask in lesions]))
    except ImageError as error:
        notes.append(f"no bone was found by threshold: {error.what}")
        return {}
    held = {lesion.id: _piece_of(mask, found) for lesion, mask in lesions}
    named: dict[str, NamedPiece] = {}
    for lesion, _ in lesions:
        piece = held[lesion.id]
        if piece is None:
            notes.append(f"lesion {lesion.id}: no dense piece of bone holds it; outline the bone")
        elif lesion.bone is not None:
            claims = {other.bone for other, _ in lesions if held[other.id] is piece and other.bone is not None}
            named[lesion.id] = _judged(lesion.bone, piece, claims)
            notes.append(f"lesion {lesion.id}: {named[lesion.id].why}")
    grid = study.volume.grid
    taken = {
        each.bone: {n.piece for n in named.values() if n.taken and n.bone == each.bone} for each in named.values() if each.taken
    }
    for bone, ids in taken.items():
        made[bone] = union_of([_onto(b.mask, grid) for b in found.bones if b.id in ids])
    rest = [b.mask for b in found.bones if not any(b.id in ids for ids in taken.values())]
    if rest and OTHER_BONE not in masks:
        made[OTHER_BONE] = _onto(union_of(rest), grid)
        notes.append(
            f"unlabelled bone: {len(rest)} other dense piece{'s' if len(rest) > 1 else ''} found by threshold "
            "are kept clear of needles; which bones they are, nobody said"
        )
    return named


def _piece_of(lesion: Volume, found: FoundBones) -> BoneCandidate | None:
    """Return the piece that shares most with a lesion and its rim; None where none comes near."""
    grid = found.body.grid
    near = _onto(lesion, grid, margin_mm=threshold("piece_near_mm"))
    box = near.box()
    if box is None:
        return None
    rim = near.part(box)
    shared = [(int((b.mask.part(box) & rim).sum()), b) for b in found.bones]
    best = max(shared, key=lambda pair: pair[0], default=(0, None))
    return best[1] if best[0] > 0 else None


def _judged(bone: Structure, piece: BoneCandidate, claims: set[Structure]) -> NamedPiece:
    """Say whether a piece may stand for the bone that the chart names."""
    rough = NamedPiece(bone, piece.id, piece.side, False, "")
    if rough.on_the_other_side:
        why = (
            f"the chart says {bone.name}, but the bone round the outline lies on the {piece.side}: it is not taken for that bone"
        )
    elif bone.side is not None and piece.side == "midline":
        why = f"the piece of bone that holds it reaches over the midline and is more than the {bone.name}: outline the bone"
    elif len(claims) > 1:
        names = " and ".join(sorted(key.name for key in claims))
        why = f"one piece of bone holds lesions of {names}: outline the bones"
    else:
        side = "; its side could not be checked, the image shows no whole trunk" if bone.side and piece.side == "unknown" else ""
        metal = "; metal touches it, and streaks distort its outline" if piece.holds_metal else ""
        why = (
            f"{bone.name} found by threshold, drawn by nobody ({piece.id}, {piece.volume_ml:.0f} ml): it may hold parts of its "
            f"neighbours, or lack thin or destroyed bone; look at its outline{metal}{side}"
        )
        return NamedPiece(bone, piece.id, piece.side, True, why)
    return NamedPiece(bone, piece.id, piece.side, False, why)


def _onto(mask: Volume, grid: Grid, margin_mm: float = 0.0) -> CompactMask:
    """Return a mask on another grid, smooth where that is finer, and widened by a margin; only its own window is computed."""
    box = mask.box()
    if box is None:
        return CompactMask(np.zeros((0, 0, 0), bool), grid, (0, 0, 0))
    corners = np.array([[s.start - 1 for s in box], [s.stop for s in box]], float)
    source = mask.crop(*(mask.grid.to_mm(corner) for corner in corners))
    index = grid.to_index(source.grid.corners_mm())
    wide = 2 + np.ceil(margin_mm / np.array(grid.spacing_mm)).astype(int)
    low = np.clip(np.floor(index.min(0)).astype(int) - wide, 0, grid.shape)
    high = np.clip(np.ceil(index.max(0)).astype(int) + wide + 1, low, grid.shape)
    if (high <= low).any():
        return CompactMask(np.zeros((0, 0, 0), bool), grid, (0, 0, 0))
    affine = grid.matrix
    affine[:3, 3] = grid.to_mm(low.astype(float))
    shape = tuple(int(n) for n in high - low)
    local = smooth_resample(source, Grid.of(shape, affine))
    inside = local.array if margin_mm <= 0 else distance_to(local).array <= margin_mm
    return _placed(inside, grid, tuple(int(v) for v in low))


def _placed(inside: Array, grid: Grid, start: tuple[int, ...]) -> CompactMask:
    z, y, x = start
    return CompactMask(inside, grid, (z, y, x))


def _gaps(case: Case, study: Study, masks: Masks, rough: set[Structure]) -> dict[Structure, tuple[PossibleFracture, ...]]:
    """Look for gaps in every outlined bone that holds a lesion or lies near one."""
    near: set[Structure] = set()
    for lesion in case.lesions:
        if lesion.mask is None:
            continue
        window = window_of(lesion.mask.canonical(), threshold("fracture_near_mm"))
        near |= {key for key, mask in masks.items() if key.kind == "bone" and key != OTHER_BONE and mask.part(window).any()}
    found = {key: possible_fractures(study.volume, masks[key], split=key in rough) for key in sorted(near)}
    return {key: gaps for key, gaps in found.items() if gaps}
