"""The regions of a DICOM outline object, RTSTRUCT or SEG, as masks on the grid of an image, with where each was drawn.

An RTSTRUCT says for every region on which planes it has contours; where it has none, the region is not drawn there. A SEG leaves
out frames without a voxel, so that a missing frame of one segment says nothing: its segments count as drawn from the first to
the last slice that any of them has.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from osteon.errors import ImageError, MissingError
from osteon.io.dicom_objects import ImageUids
from osteon.io.rtstruct import read_regions, read_rtstruct
from osteon.io.seg import Segment, Segmentation, read_seg
from osteon.space.drawn import planes
from osteon.space.volume import Grid, Volume

Uids = Callable[[], ImageUids | None]
OBJECTS = ("RTSTRUCT", "SEG")
LATTICES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
"""Ends of names of files that hold a plain array; some DICOM exports lack the preamble, so the rest is looked into."""


@dataclass(frozen=True, eq=False)
class NamedMask:
    """One region of a file.

    Parameters
    ----------
    name : str
        As the file writes it.
    mask : Volume of bool
        On the grid of the image; not empty.
    drawn : Volume of bool or None
        Where it was drawn at all; None: on the whole image.
    notes : tuple of str
        What the reader did that one should know.
    code : (value, scheme) or None
        Of a segment's property type.
    side : {"left", "right", None}
        Where the file says it beside the name.
    """

    name: str
    mask: Volume
    drawn: Volume | None = None
    notes: tuple[str, ...] = ()
    code: tuple[str, str] | None = None
    side: Literal["left", "right"] | None = None


def object_kind(path: Path) -> str | None:
    """Return RTSTRUCT or SEG where a file is one by its content, whatever its name; None for anything else."""
    import pydicom

    try:
        with path.open("rb") as file:
            start = file.read(132)
        if start[128:] != b"DICM" and path.name.lower().endswith(LATTICES):
            return None
        data = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Modality"], force=True)
        found = str(data.get("Modality") or "")
    except Exception:  # whatever it is, it is no DICOM object; its own reader says what is wrong
        return None
    return found if found in OBJECTS else None


def named_masks(path: Path, kind: str, grid: Grid, uids: Uids | None) -> tuple[list[NamedMask], tuple[str, ...]]:
    """Return every region of an RTSTRUCT or SEG that has a voxel on a grid, and notes.

    Parameters
    ----------
    path : Path
        The file.
    kind : str
        From ``object_kind``.
    grid : Grid
        Of the image that they were drawn on.
    uids : callable or None
        Returns the UIDs of that image.

    Raises
    ------
    ImageError
        If it is damaged, belongs to another image, or nothing of it lies in the image.
    """
    known, notes = _known(path, uids)
    if kind == "RTSTRUCT":
        found, said = _regions(path, grid, known, None)
    else:
        seg = read_seg(path, known)
        found, said = _segments(seg, seg.segments, grid), seg.notes
        if not found:
            raise _elsewhere(path, [_label(s, seg) for s in seg.segments])
    return found, (*notes, *(f"{path.name}: {text}" for text in said))


def one_mask(path: Path, kind: str, grid: Grid, uids: Uids | None, *, roi: str | None, number: int | None) -> NamedMask:
    """Return one region of an RTSTRUCT by name, or one segment of a SEG by label or number; the only one where none is named.

    Raises
    ------
    ImageError
        If there is none of that name or number, several and none is named, or it has no voxel on the grid.
    """
    known, notes = _known(path, uids)
    if kind == "RTSTRUCT":
        if number is not None:
            raise ImageError(
                f"{path} is an RTSTRUCT: `label: {number}` names no region.",
                "Its regions have names; their numbers are the file's own business.",
                "Give `roi:` with the name of the region.",
            )
        name = _asked(roi, [region.name for region in read_regions(path)[0]], path)
        found, said = _regions(path, grid, known, [name])
    else:
        seg = read_seg(path, known)
        by_name = {_label(s, seg): s for s in seg.segments}
        chosen = by_name[_asked(roi, list(by_name), path)] if number is None else seg.segment(number)
        found, said = _segments(seg, [chosen], grid), seg.notes
        if not found:
            raise _elsewhere(path, [_label(chosen, seg)])
    return replace(found[0], notes=(*notes, *(f"{path.name}: {text}" for text in said)))


def _known(path: Path, uids: Uids | None) -> tuple[ImageUids | None, tuple[str, ...]]:
    """Return the UIDs of the image; without them where its slices have none that could be referred to."""
    if uids is None:
        return None, ()
    try:
        return uids(), ()
    except MissingError:
        return None, (f"{path.name}: the image's slices cannot be referred to one by one; outlines were placed by position",)


def _regions(
    path: Path, grid: Grid, known: ImageUids | None, names: Sequence[str] | None
) -> tuple[list[NamedMask], Sequence[str]]:
    array: Any = np.broadcast_to(np.float32(0), grid.shape)  # the reader looks at the grid only
    read = read_rtstruct(path, Volume(array, grid), known, regions=names)
    found = []
    for name, mask in read.structures.items():
        drawn = None if all(read.drawn[name]) else planes(grid, read.axis[name], read.drawn[name])
        found.append(NamedMask(name, mask.compact(), drawn))
    return found, read.notes


def _asked(roi: str | None, names: Sequence[str], path: Path) -> str:
    """Return the name that was asked for, or the only one."""
    if roi in names:
        return str(roi)
    there = ", ".join(repr(n) for n in names) or "none"
    if roi is None:
        if len(names) == 1:
            return names[0]
        raise ImageError(
            f"{path} holds {len(names)} regions: {there}.",
            "Which of them is meant would be guessed.",
            "Give `roi:` with one of these names.",
        )
    close = difflib.get_close_matches(roi.lower(), [n.lower() for n in names], n=1, cutoff=0.5)
    part = [n for n in names if roi.lower() in n.lower()]
    near = next((n for n in names if close and n.lower() == close[0]), part[0] if len(part) == 1 else None)
    raise ImageError(
        f"{path} has no region {roi!r}; it has {there}.",
        "The case counts on that outline.",
        f"Write `roi: {near}` if that is meant." if near else "Use the name as the file writes it.",
    )


def _elsewhere(path: Path, names: Sequence[str]) -> ImageError:
    return ImageError(
        f"{path}: {', '.join(map(repr, names))} has no voxel on this image.",
        "An empty outline would read as 'nothing is here'.",
        "Name the image that it was drawn on with `study:`, or another region; the file may hold it without contours.",
    )


def _segments(seg: Segmentation, chosen: Sequence[Segment], grid: Grid) -> list[NamedMask]:
    """Return the segments that have a voxel on a grid."""
    covered: Volume | None = Volume(np.broadcast_to(np.True_, seg.grid.shape), seg.grid).resample(grid)
    if covered is not None and covered.array.all():
        covered = None
    found = []
    for each in chosen:
        mask = each.on(grid).compact() if each.frames else None
        if mask is not None and mask.box() is not None:
            code = None if each.code is None else each.code[:2]
            found.append(NamedMask(_label(each, seg), mask, covered, (), code, each.side))
    return found


def _label(segment: Segment, seg: Segmentation) -> str:
    """Return a segment's label; with its number where it has none or shares it."""
    if not segment.label:
        return f"segment {segment.number}"
    shared = sum(s.label == segment.label for s in seg.segments) > 1
    return f"{segment.label} ({segment.number})" if shared else segment.label
