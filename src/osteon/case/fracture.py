"""Bones that the field cuts, and gaps in a bone that may be fractures: said, never decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from osteon.case.grow import threshold
from osteon.space.anatomy import Structure
from osteon.space.paths import distance_to
from osteon.space.volume import Array, Volume

EDGES = (("below", "above"), ("in front", "behind"), ("on the right", "on the left"))


@dataclass(frozen=True)
class CutBone:
    """A bone that goes on beyond what was imaged.

    Parameters
    ----------
    bone : Structure
        Which.
    edges : tuple of str
        Where the image ends in it.
    note : str
        What follows.
    """

    bone: Structure
    edges: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class PossibleFracture:
    """A thin dark gap between two large parts of one bone; a finding to be confirmed, not a diagnosis.

    Parameters
    ----------
    place_mm : tuple of float
        Middle of the gap, LPS mm.
    gap_mm : float
        Typical width [mm].
    area_mm2 : float
        Area over which the parts face each other [mm²].
    parts_ml : tuple of float
        Volumes of the two parts [ml].
    note : str
        What it may be and what to do.
    """

    place_mm: tuple[float, float, float]
    gap_mm: float
    area_mm2: float
    parts_ml: tuple[float, float]
    note: str


def cut_edges(mask: Volume, imaged: Volume | None = None) -> tuple[str, ...]:
    """Return where an outline ends only because the image ends: below, above, in front, ...; empty where it is whole.

    Parameters
    ----------
    mask : Volume of bool
        In canonical axes.
    imaged : Volume of bool, optional
        Where there is image information; its holes and rims are edges too.
    """
    box = mask.box()
    if box is None:
        return ()
    z, y, x = (slice(max(s.start - 1, 0), min(s.stop + 1, n)) for s, n in zip(box, mask.grid.shape, strict=True))
    inside = mask.part((z, y, x)).astype(bool, copy=False)
    seen = np.ones(inside.shape, bool) if imaged is None else imaged.part((z, y, x)).astype(bool, copy=False)
    found = []
    for axis in range(3):
        held, known = np.moveaxis(inside & seen, axis, 0), np.moveaxis(seen, axis, 0)
        before, behind = np.zeros_like(known), np.zeros_like(known)
        before[1:], behind[:-1] = known[:-1], known[1:]
        found += [name for beyond, name in zip((before, behind), EDGES[axis], strict=True) if bool((held & ~beyond).any())]
    return tuple(found)


def cut_bones(masks: Mapping[Structure, Volume], imaged: Volume | None = None) -> tuple[CutBone, ...]:
    """Return the bones that the field cuts, sorted by id.

    Parameters
    ----------
    masks : mapping of Structure to Volume of bool
        Outlines in canonical axes; what is no bone is passed over.
    imaged : Volume of bool, optional
        Where there is image information.

    Returns
    -------
    tuple of CutBone
        Volume, symmetry and load cases of these bones mean nothing.
    """
    found = []
    for key in sorted(k for k in masks if k.kind == "bone"):
        edges = cut_edges(masks[key], imaged)
        if edges:
            note = (
                f"the {key.name} goes on beyond the image ({', '.join(edges)}): its volume, symmetry and strength cannot be told"
            )
            found.append(CutBone(key, edges, note))
    return tuple(found)


def possible_fractures(image: Volume, bone: Volume, *, split: bool = False) -> tuple[PossibleFracture, ...]:
    """Look for thin dark gaps between large parts of one bone.

    Parameters
    ----------
    image : Volume
        CT in HU.
    bone : Volume of bool
        Outline of one bone on the same grid.
    split : bool
        Whether the outline was made without a label map; the gap may then be a joint.

    Returns
    -------
    tuple of PossibleFracture
        Empty where none was seen, which does not exclude one: hairline, impacted and undisplaced fractures are not seen this way.
    """
    box = bone.box()
    if box is None:
        return ()
    window = (
        slice(max(box[0].start - 3, 0), box[0].stop + 3),
        slice(max(box[1].start - 3, 0), box[1].stop + 3),
        slice(max(box[2].start - 3, 0), box[2].stop + 3),
    )
    inside, values = bone.part(window).astype(bool, copy=False), image.part(window)
    gap_mm = threshold("fracture_gap_mm")
    local = Volume(inside, bone.grid.of(inside.shape, bone.grid.matrix))  # only its spacing is used
    dense = inside & (values > threshold("bone_above_hu"))
    dense = inside & _filled(dense)
    pieces, count = ndimage.label(dense)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1) * bone.grid.voxel_mm3
    sizes[0] = 0
    least = threshold("fracture_part") * float(inside.sum()) * bone.grid.voxel_mm3
    large = [int(i) for i in np.argsort(-sizes, kind="stable") if sizes[i] >= least and sizes[i] > 0]
    origin = np.array([s.start for s in window])
    found = []
    for position, first in enumerate(large):
        away_first = distance_to(local.with_array(pieces == first)).array
        for second in large[position + 1 :]:
            one = _between(away_first, pieces == second, pieces == 0, local, gap_mm)
            if one is None:
                continue
            middle, width, area = one
            if area < threshold("fracture_least_mm2"):
                continue
            x, y, z = (float(v) for v in bone.grid.to_mm(middle + origin))
            parts = (float(sizes[first]) / 1e3, float(sizes[second]) / 1e3)
            found.append(PossibleFracture((x, y, z), width, area, parts, _note(x, y, z, width, split)))
    return tuple(found)


def _note(x: float, y: float, z: float, width: float, split: bool) -> str:
    other = ", a joint or a growth plate" if split else " or a growth plate"
    return f"possible fracture at {x:.0f}, {y:.0f}, {z:.0f} mm (LPS), gap about {width:.0f} mm{other}: confirm on the images"


def _filled(dense: Array) -> Array:
    """Fill what cortex encloses in a slice of any direction: marrow is no gap."""
    out = dense.copy()
    for axis in range(3):
        planes = np.moveaxis(dense, axis, 0)
        out |= np.moveaxis(np.stack([ndimage.binary_fill_holes(p) for p in planes]), 0, axis)
    return out


def _between(away: Array, second: Array, empty: Array, bone: Volume, gap_mm: float) -> tuple[Array, float, float] | None:
    """Return middle, width and area of the gap between a part (by its distance) and another; None where they are far apart."""
    step = bone.spacing_mm
    reach = max(gap_mm, 1.5 * max(step))
    away_second = distance_to(bone.with_array(second)).array
    gap = empty & (away + away_second <= reach + max(step)) & (away > 0) & (away_second > 0)
    facing = second & (away <= reach + 0.5 * max(step))
    if not facing.any() or not gap.any():
        return None
    rim = facing & ~ndimage.binary_erosion(second)
    area = float(rim.sum()) * float(np.prod(step)) ** (2 / 3)
    width = float(np.median(away[rim])) - 0.5 * (step[0] * step[1] * step[2]) ** (1 / 3)
    return np.argwhere(gap).mean(axis=0), max(width, 0.0), area
