"""DICOM Segmentation objects: BINARY, FRACTIONAL and LABELMAP, every segment a layer of its own.

Frames are placed by their own position, never by their order; slices without a frame are background. Bits of BINARY frames are
unpacked across frame borders, as the standard packs them. Segments may overlap: they are kept apart, never painted over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from osteon.errors import ImageError
from osteon.io.dicom_objects import ImageUids, open_object, reading
from osteon.io.seg_frames import Frames, Kind, decoded, lattice
from osteon.space.volume import Array, Grid, Volume

LABELMAP_CLASS = "1.2.840.10008.5.1.4.1.1.66.7"  # pydicom 3.0 has no name for it
BACKGROUND = ("125040", "DCM")
_WHY = "The outlines decide what is treated and what is spared."
_LATERALITY = {"7771000": "left", "24028007": "right", "G-A101": "left", "G-A100": "right"}


@dataclass(frozen=True, eq=False)
class Segment:
    """One segment.

    Parameters
    ----------
    number : int
        As the file counts; numbers may have gaps.
    label : str
        Free text.
    code : (value, scheme, meaning) or None
        Segmented property type.
    side : {"left", "right", None}
        From the property type's modifier.
    fraction : Volume
        bool, or float32 from 0 to 1 for FRACTIONAL, on the part of the grid that holds the segment's frames.
    grid : Grid
        Of the whole object.
    frames : int
        How many frames the segment has; 0: named, but nothing is drawn.
    """

    number: int
    label: str
    code: tuple[str, str, str] | None
    side: Literal["left", "right"] | None
    fraction: Volume
    grid: Grid
    frames: int

    @property
    def mask(self) -> Volume:
        """Voxels with at least half the full value, on the grid of the object."""
        return self.on(self.grid)

    def on(self, grid: Grid) -> Volume:
        """Return the mask on another grid, by nearest voxel; outside the frames False."""
        cut = self.fraction.array if self.fraction.array.dtype == bool else self.fraction.array >= 0.5
        return self.fraction.with_array(cut).resample(grid)


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A DICOM SEG as read.

    Parameters
    ----------
    kind : {"BINARY", "FRACTIONAL", "LABELMAP"}
        Segmentation type.
    grid : Grid
        Of all frames; slices without a frame are background.
    segments : tuple of Segment
        By number, background left out.
    overlaps : dict of (int, int) to int
        Voxels that two segments share.
    frame_of_reference : str
        UID, empty where the file has none.
    references : (int, int)
        How many of the referred images are slices of the image that was given, and how many there are.
    notes : tuple of str
        What the reader did that one should know.
    """

    kind: Kind
    grid: Grid
    segments: tuple[Segment, ...]
    overlaps: dict[tuple[int, int], int]
    frame_of_reference: str
    references: tuple[int, int]
    notes: tuple[str, ...]

    def segment(self, number: int) -> Segment:
        """Return the segment of a number.

        Raises
        ------
        ImageError
            If there is none.
        """
        for found in self.segments:
            if found.number == number:
                return found
        raise ImageError(
            f"There is no segment {number}; there are {[s.number for s in self.segments]}.",
            "The case counts on that outline.",
            "Use a number of the file; they need not run from 1.",
        )

    def label_map(self) -> Volume:
        """Return one volume of segment numbers.

        Raises
        ------
        ImageError
            If segments overlap: one of them would be lost.
        """
        if self.overlaps:
            pairs = ", ".join(f"{a} and {b}: {n} voxels" for (a, b), n in self.overlaps.items())
            raise ImageError(
                f"Segments overlap ({pairs}).", "One label map would lose a part of one.", "Use the segments one by one."
            )
        out = np.zeros(self.grid.shape, np.uint16)
        for segment in self.segments:
            out[segment.mask.array] = segment.number
        return Volume(out, self.grid)


def read_seg(path: Path, image_uids: ImageUids | None = None) -> Segmentation:
    """Read a DICOM SEG on its own grid; ``Segment.on`` brings a layer onto an image.

    Parameters
    ----------
    path : Path
        The file; its name and extension do not matter.
    image_uids : ImageUids or None
        Of the image that the outlines are for, from ``dicom_objects.image_uids``.

    Returns
    -------
    Segmentation
        References that resolve to nothing are counted and noted, never an error.

    Raises
    ------
    MissingError
        If there is no such file.
    ImageError
        If it is no SEG, is damaged or cut short, its frames have no place or no common lattice, or it belongs to another frame of
        reference than the image.
    """
    path = Path(path)
    data = open_object(path, "SEG", _WHY)
    with reading(path, "SEG"):
        kind = _kind(data, path)
        table = _table(data, path)
        frames = Frames.of(data, kind, path)
        grid, slices, notes = lattice(frames, path)
        layers, said = _layers(data, kind, frames, slices, grid, table, path)
        segments = tuple(
            Segment(number, label, code, side, *layers[number])
            for number, (label, code, side) in sorted(table.items())
            if (code or ("", ""))[:2] != BACKGROUND and not (kind == "LABELMAP" and number == 0)
        )
        frame = str(data.get("FrameOfReferenceUID") or "")
        references, told = _references(data, frame, image_uids, path)
        empty = [s.label or str(s.number) for s in segments if not s.frames or not s.fraction.array.any()]
        if empty:
            notes.append(f"segments without a voxel: {', '.join(empty)}; not drawn is not absent")
        return Segmentation(kind, grid, segments, _overlaps(segments), frame, references, (*notes, *said, *told))


def _kind(data: Any, path: Path) -> Kind:
    kind = str(data.get("SegmentationType") or ("LABELMAP" if data.get("SOPClassUID") == LABELMAP_CLASS else ""))
    if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
        raise ImageError(
            f"{path} has the segmentation type {kind!r}.",
            "Whether its values are bits, fractions or labels is not known.",
            "Export it as BINARY, FRACTIONAL or LABELMAP.",
        )
    return cast(Kind, kind)


_Row = tuple[str, tuple[str, str, str] | None, Literal["left", "right"] | None]


def _table(data: Any, path: Path) -> dict[int, _Row]:
    found: dict[int, _Row] = {}
    for item in data.get("SegmentSequence") or ():
        kind = (item.get("SegmentedPropertyTypeCodeSequence") or [None])[0]
        code = (
            None
            if kind is None
            else (_value(kind), str(kind.get("CodingSchemeDesignator") or ""), str(kind.get("CodeMeaning") or ""))
        )
        modifiers = [] if kind is None else list(kind.get("SegmentedPropertyTypeModifierCodeSequence") or ())
        modifiers += list(item.get("SegmentedPropertyTypeModifierCodeSequence") or ())
        modifiers += list(item.get("AnatomicRegionModifierSequence") or ())
        sides = {_LATERALITY[_value(m)] for m in modifiers if _value(m) in _LATERALITY}
        side = cast(Literal["left", "right"], sides.pop()) if len(sides) == 1 else None
        found[int(item.SegmentNumber)] = (str(item.get("SegmentLabel") or "").strip(), code, side)
    if not found:
        raise ImageError(
            f"{path} names no segment.", "Nobody can tell what its voxels mean.", "Export it with its segment table."
        )
    return found


def _value(code: Any) -> str:
    return str(code.get("CodeValue") or code.get("LongCodeValue") or code.get("URNCodeValue") or "")


_Layer = tuple[Volume, Grid, int]


def _layers(
    data: Any, kind: Kind, frames: Frames, slices: Array, grid: Grid, table: dict[int, _Row], path: Path
) -> tuple[dict[int, _Layer], list[str]]:
    """Return for every segment number its layer on the slices that hold its frames."""
    per_frame = None if kind == "LABELMAP" else np.array(frames.numbers)
    strange = sorted(set(frames.numbers) - set(table))
    if strange:
        raise ImageError(
            f"{path} has frames of the segments {strange}, which its table does not name.",
            "Nobody can tell what they mean.",
            "Export the segmentation with its whole table.",
        )
    window = {n: _window(slices if per_frame is None else slices[per_frame == n]) for n in table}
    kept = np.float32 if kind == "FRACTIONAL" else bool
    arrays = {n: np.zeros((stop - start, *frames.shape), kept) for n, (start, stop) in window.items()}
    seen: set[tuple[int, int]] = set()
    repeated = 0
    full = float(data.get("MaximumFractionalValue") or 255)
    unknown: set[int] = set()
    for index, frame in enumerate(decoded(data, frames, path)):
        at = int(slices[index])
        present = np.unique(frame).tolist() if per_frame is None else [int(per_frame[index])]
        padding = data.get("PixelPaddingValue")
        for number in present:
            if number not in table:
                unknown |= {int(number)} - {0, -1 if padding is None else int(padding)}
                continue
            values = frame == number if per_frame is None else frame / np.float32(full) if kind == "FRACTIONAL" else frame > 0
            repeated += (number, at) in seen
            seen.add((number, at))
            here = arrays[number][at - window[number][0]]
            np.maximum(here, np.clip(values, 0, 1).astype(kept), out=here)
    notes = [f"{repeated} frames are given twice for one segment and slice; they were joined"] if repeated else []
    if unknown:
        notes.append(f"the values {sorted(unknown)} are in no segment; they were left out")
    if kind == "FRACTIONAL":
        notes.append(
            f"fractions are {str(data.get('SegmentationFractionalType') or 'of unstated meaning').lower()}; cut at one half"
        )
    out = {}
    for number, array in arrays.items():
        affine = grid.matrix
        affine[:3, 3] = grid.to_mm(np.array([window[number][0], 0.0, 0.0]))
        out[number] = (Volume.of(array, affine), grid, sum(n == number for n, _ in seen))
    return out, notes


def _window(slices: Array) -> tuple[int, int]:
    return (int(slices.min()), int(slices.max()) + 1) if slices.size else (0, 1)


def _overlaps(segments: Sequence[Segment]) -> dict[tuple[int, int], int]:
    """Count the voxels that two segments share, on the slices that both have."""
    found = {}
    for i, one in enumerate(segments):
        for two in segments[i + 1 :]:
            if not (one.frames and two.frames):
                continue
            starts = [round(float(s.grid.to_index(s.fraction.grid.to_mm(np.zeros(3)))[0])) for s in (one, two)]
            low = max(starts)
            high = min(starts[0] + len(one.fraction.array), starts[1] + len(two.fraction.array))
            if high <= low:
                continue
            a, b = (s.fraction.array[low - start : high - start] for s, start in zip((one, two), starts, strict=True))
            shared = int(np.count_nonzero((a >= 0.5) & (b >= 0.5)))
            if shared:
                found[one.number, two.number] = shared
    return found


def _references(data: Any, frame: str, uids: ImageUids | None, path: Path) -> tuple[tuple[int, int], list[str]]:
    named = {
        str(instance.get("ReferencedSOPInstanceUID") or "")
        for series in data.get("ReferencedSeriesSequence") or ()
        for instance in series.get("ReferencedInstanceSequence") or ()
    }
    for item in data.get("PerFrameFunctionalGroupsSequence") or ():
        for derivation in item.get("DerivationImageSequence") or ():
            named |= {str(s.get("ReferencedSOPInstanceUID") or "") for s in derivation.get("SourceImageSequence") or ()}
    named -= {""}
    if uids is None:
        return (0, len(named)), [f"the image's UIDs were not given; none of {len(named)} image references was checked"]
    known = sum(n in uids.instances for n in named)
    if frame and uids.frame and frame != uids.frame and not known:
        raise ImageError(
            f"{path} was drawn in the frame of reference {frame}, the image has {uids.frame}.",
            "The same coordinates are another place there.",
            "Name the image that it was drawn on, or register the two first.",
        )
    if known == len(named) and named:
        return (known, len(named)), []
    return (known, len(named)), [
        f"{known} of {len(named)} image references are slices of this image; frames were placed by position"
    ]
