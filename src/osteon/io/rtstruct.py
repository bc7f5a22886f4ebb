"""RT Structure Sets: contours to masks on the grid of an image.

**The fill rule.** A voxel belongs to a structure if its *centre* lies inside an odd number of the polygons that are drawn on
its plane (crossing number; XOR over the contours of a plane). So a contour inside another is a hole, a contour inside the hole
is an island, a keyhole contour (outer and inner ring joined by a bridge) leaves its hole empty, and two contours side by side
are both filled. A centre exactly on an edge belongs to the polygon on the side of growing column and row index, so that
polygons that share an edge share no voxel. Contours given twice are read once.

**Planes.** Positions decide, references confirm: every contour goes to the slice nearest to it, within half a slice. Where the
file refers to the slices of the image that is at hand, that is said (`matched_by` = "instance"); else the series, then the
frame of reference must agree, and the notes say that the reader fell back. Another frame of reference is refused.
Where nothing is drawn on a plane, the structure there is "not drawn", which is not "absent": see `drawn_extent_mm`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydicom.dataelem import RawDataElement

from osteon.errors import ImageError
from osteon.io.contours import OutsideError, place
from osteon.io.dicom_objects import ImageUids, open_object, reading
from osteon.space.volume import Array, Volume

Match = Literal["instance", "series", "frame", "position"]
CLOSED = {"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"}
CONTOUR_DATA = 0x30060050
_WHY = "The outlines decide what is treated and what is spared."


@dataclass(frozen=True, eq=False)
class RtStruct:
    """Structures as read.

    Parameters
    ----------
    structures : dict of str to Volume of bool
        Region name to mask, on the grid of the image.
    drawn_extent_mm : dict of str to (low, high)
        First and last drawn plane, mm along ``normal`` (for axial images: LPS z). Beyond it the structure is not drawn: unknown.
    drawn : dict of str to tuple of bool
        For every slice of the image along ``axis`` whether a contour stands for it.
    axis : dict of str to int
        Array axis (0 z, 1 y, 2 x) across which the planes were drawn.
    matched_by : {"instance", "series", "frame", "position"}
        How outlines and image were found to belong together.
    notes : tuple of str
        What the reader did that one should know.
    skipped : dict of str to str
        Regions without a mask, and why.
    references : (int, int)
        How many of the contours' image references are slices of this image, and how many there are.
    """

    structures: dict[str, Volume]
    drawn_extent_mm: dict[str, tuple[float, float]]
    drawn: dict[str, tuple[bool, ...]]
    axis: dict[str, int]
    matched_by: Match
    notes: tuple[str, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    references: tuple[int, int] = (0, 0)

    def drawn_where(self, name: str) -> Volume:
        """Return where a structure was drawn at all: the planes between its first and last contour that hold one."""
        mask = self.structures[name]
        shape = [1, 1, 1]
        shape[self.axis[name]] = -1
        planes = np.array(self.drawn[name], bool).reshape(shape)
        return mask.with_array(np.broadcast_to(planes, mask.array.shape).copy())


@dataclass(frozen=True, eq=False)
class Region:
    """One region of interest as the file holds it: closed contours in LPS mm."""

    number: int
    name: str
    contours: tuple[Array, ...]
    references: tuple[str, ...]
    frame: str
    skipped: tuple[str, ...]


def read_rtstruct(
    path: Path, image: Volume, image_uids: ImageUids | None = None, *, regions: Sequence[str] | None = None
) -> RtStruct:
    """Read an RT Structure Set onto the grid of an image; the fill rule stands at the head of this module.

    Parameters
    ----------
    path : Path
        The RTSTRUCT file.
    image : Volume
        Any direction; contours must be drawn in planes along two of its axes.
    image_uids : ImageUids or None
        UIDs of that image, from ``dicom_objects.image_uids``; None (for NIfTI) leaves only the positions to check.
    regions : sequence of str or None
        Names to read; all if None.

    Returns
    -------
    RtStruct
        Masks by region name.

    Raises
    ------
    MissingError
        If there is no such file.
    ImageError
        If it is no RTSTRUCT, is damaged, has no closed contour or none in the image, belongs to another frame of reference, was
        drawn across the axes of the image, or lacks a region that was asked for.
    """
    path = Path(path)
    found, series, notes = read_regions(path)
    found = _asked(found, regions, path)
    matched_by, references, said = _match(found, series, image_uids, path)
    notes += said
    out = RtStruct({}, {}, {}, {}, matched_by, references=references)
    skipped: dict[str, str] = {}
    for region in found:
        if not region.contours:
            skipped[region.name] = "; ".join(region.skipped) or "it has no contour"
            continue
        notes += [f"{region.name}: {text}" for text in region.skipped]
        try:
            placed = place(region.contours, image.grid, f"{region.name!r} in {path}")
        except OutsideError as outside:
            skipped[region.name] = str(outside)
            continue
        out.structures[region.name] = Volume(placed.mask, image.grid)
        out.drawn_extent_mm[region.name] = placed.extent_mm
        out.drawn[region.name] = placed.drawn
        out.axis[region.name] = placed.axis
        notes += [f"{region.name}: {text}" for text in placed.notes]
    if not out.structures:
        listed = "; ".join(f"{k}: {v}" for k, v in skipped.items()) or "it names no region"
        raise ImageError(
            f"{path} has no structure that can be drawn on this image ({listed}).",
            "An empty outline would read as 'nothing is here'.",
            "Name the structure set that was drawn on this image, with closed contours.",
        )
    notes += [f"{name} has no mask: {why}" for name, why in skipped.items()]
    return RtStruct(out.structures, out.drawn_extent_mm, out.drawn, out.axis, matched_by, tuple(notes), skipped, references)


def read_regions(path: Path) -> tuple[list[Region], tuple[str, ...], list[str]]:
    """Return the regions of an RTSTRUCT with their contours in LPS mm, the series it refers to, and notes.

    Raises
    ------
    MissingError
        If there is no such file.
    ImageError
        If it is no RTSTRUCT, is damaged, or has coordinates that are not numbers.
    """
    data = open_object(path, "RTSTRUCT", _WHY)
    with reading(path, "RTSTRUCT"):
        if not data.get("StructureSetROISequence") or not data.get("ROIContourSequence"):
            raise ImageError(
                f"{path} holds no {'contours' if data.get('StructureSetROISequence') else 'regions of interest'}.",
                "An empty structure set would read as 'nothing is here'.",
                "Export it again with its contours; the file may be cut short.",
            )
        names, frames, notes = _names(data)
        items: dict[int, list[Any]] = {}
        for item in data.ROIContourSequence:
            items.setdefault(int(item.ReferencedROINumber), []).extend(item.get("ContourSequence") or ())
        strange = sorted(set(items) - set(names))
        if strange:
            notes.append(f"contours of region numbers {strange} belong to no named region; they were left out")
        found = [_region(n, name, frames[n], items.get(n, []), path) for n, name in names.items()]
        return found, _series_of(data), notes


def _names(data: Any) -> tuple[dict[int, str], dict[int, str], list[str]]:
    names: dict[int, str] = {}
    frames: dict[int, str] = {}
    notes = []
    for item in data.StructureSetROISequence:
        number = int(item.ROINumber)
        name = str(item.get("ROIName") or "").strip() or f"ROI {number}"
        if name in names.values():
            notes.append(f"two regions are named {name!r}; region number {number} was called {name!r} ({number})")
            name = f"{name} ({number})"
        if number in names:
            notes.append(f"region number {number} is given twice; {name!r} was left out")
            continue
        names[number], frames[number] = name, str(item.get("ReferencedFrameOfReferenceUID") or "")
    return names, frames, notes


def _series_of(data: Any) -> tuple[str, ...]:
    return tuple(
        str(series.SeriesInstanceUID)
        for frame in data.get("ReferencedFrameOfReferenceSequence") or ()
        for study in frame.get("RTReferencedStudySequence") or ()
        for series in study.get("RTReferencedSeriesSequence") or ()
        if series.get("SeriesInstanceUID")
    )


def _region(number: int, name: str, frame: str, items: Iterable[Any], path: Path) -> Region:
    contours: list[Array] = []
    references: list[str] = []
    other: dict[str, int] = {}
    for item in items:
        kind = str(item.get("ContourGeometricType") or "CLOSED_PLANAR").strip().upper()
        if kind not in CLOSED:
            other[f"of type {kind}, which encloses no area"] = other.get(f"of type {kind}, which encloses no area", 0) + 1
            continue
        points = _points(item, name, path)
        if len(points) < 3:
            other["with fewer than three points"] = other.get("with fewer than three points", 0) + 1
            continue
        contours.append(points)
        references += [str(r.get("ReferencedSOPInstanceUID") or "") for r in item.get("ContourImageSequence") or ()]
    skipped = tuple(f"{count} contours {what} were left out" for what, count in other.items())
    return Region(number, name, tuple(contours), tuple(references), frame, skipped)


def _points(item: Any, name: str, path: Path) -> Array:
    raw = item.get_item(CONTOUR_DATA)
    value = None if raw is None else raw.value
    if isinstance(raw, RawDataElement) and isinstance(value, bytes):
        parts: Iterable[Any] = value.strip(b" \0").split(b"\\") if value.strip(b" \0") else ()
    else:
        parts = item.get("ContourData") or ()
    try:
        flat = np.array([float(v) for v in parts], float)
    except ValueError:
        flat = np.array([np.nan])
    said = item.get("NumberOfContourPoints")
    if not np.isfinite(flat).all():
        raise ImageError(
            f"A contour of {name!r} in {path} has coordinates that are not numbers.",
            "The outline would have a gap there, or lie anywhere.",
            "Export the structure set again.",
        )
    if flat.size % 3 or (said is not None and flat.size // 3 < int(said)):
        raise ImageError(
            f"A contour of {name!r} in {path} holds {flat.size} coordinates where {said} points of three are announced.",
            "The outline is cut short there.",
            "Export the structure set again.",
        )
    return flat.reshape(-1, 3)


def _asked(found: list[Region], regions: Sequence[str] | None, path: Path) -> list[Region]:
    if regions is None:
        return found
    by_name = {r.name: r for r in found}
    missing = [name for name in regions if name not in by_name]
    if missing:
        raise ImageError(
            f"{path} has no region {', '.join(map(repr, missing))}; it has {', '.join(map(repr, by_name)) or 'none'}.",
            "The case counts on that outline.",
            "Use the name as the structure set writes it.",
        )
    return [by_name[name] for name in regions]


def _match(
    found: list[Region], series: tuple[str, ...], uids: ImageUids | None, path: Path
) -> tuple[Match, tuple[int, int], list[str]]:
    """Tell how outlines and image belong together; refuse another frame of reference."""
    references = [r for region in found for r in region.references if r]
    if uids is None:
        return "position", (0, len(references)), ["the image has no UIDs to compare; outlines were placed by position alone"]
    known = sum(r in uids.instances for r in references)
    count = (known, len(references))
    frames = {r.frame for r in found if r.frame}
    if references and known == len(references):
        return "instance", count, []
    told = f"{known} of {len(references)} image references of {path.name} are slices of this image"
    if uids.frame and frames and uids.frame not in frames:
        raise ImageError(
            f"{path} was drawn in the frame of reference {', '.join(sorted(frames))}, the image has {uids.frame} ({told}).",
            "The same coordinates are another place there.",
            "Name the image that it was drawn on, or register the two first.",
        )
    if uids.series and uids.series in series:
        return "series", count, [f"{told}; the series agrees, contours were placed by the nearest slice within half a slice"]
    if uids.frame and uids.frame in frames:
        other = " and the outlines name another series (CT, MR and PET may share one frame)" if series else ""
        return (
            "frame",
            count,
            [f"{told}{other}; the frame of reference agrees, contours were placed by the nearest slice within half a slice"],
        )
    return "position", count, [f"{told}, and neither names a frame of reference; contours were placed by position alone"]
