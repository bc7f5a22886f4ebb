"""What lies in a folder of DICOM files: every image plane with its place, and what was left out and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from osteon.errors import ImageError, MissingError

HEADER = [
    *("SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "ProtocolName", "PatientID"),
    *("Modality", "ImageType", "NumberOfFrames", "Rows", "Columns", "PixelSpacing", "ImagePositionPatient"),
    *("ImageOrientationPatient", "PatientPosition", "StudyDate", "SeriesDate", "AcquisitionDate", "AcquisitionDateTime"),
    *("ContrastBolusAgent", "ContrastBolusAgentSequence", "ContrastBolusVolume", "ConvolutionKernel", "KVP", "SliceThickness"),
    *("AcquisitionNumber", "EchoTime", "TemporalPositionIdentifier", "TriggerTime", "DiffusionBValue", "Units"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "InstanceNumber", "AcquisitionTime"),
]
FILMS = ("CR", "DX", "RG", "MG", "XA", "RF", "PX", "IO")
NOT_IMAGES = ("SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "RTIMAGE", "SR", "PR", "KO", "REG", "RWV", "DOC", "AU", "ECG", "FID", "M3D")
DERIVED_STORAGE = ("1.2.840.10008.5.1.4.1.1.30", "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
DIRECTORY = "1.2.840.10008.1.3.10"
SPLITTERS = (
    ("acquisition", "AcquisitionNumber"),
    ("time point", "TemporalPositionIdentifier"),
    ("echo time", "EchoTime"),
    ("b value", "DiffusionBValue"),
    ("image type", "ImageType"),
    ("trigger time", "TriggerTime"),
    ("acquisition time", "AcquisitionTime"),
)
"""What may tell apart two slices of one series in one place, the most telling first."""


@dataclass(frozen=True, eq=False)
class Plane:
    """One slice: a file, or one frame of a multi-frame file.

    Parameters
    ----------
    path : Path
        The file.
    header : pydicom Dataset
        Without pixels.
    rows, columns : int
        Size in pixels.
    position : tuple of float or None
        Centre of the first pixel, LPS mm.
    orientation : tuple of float or None
        Directions along a row and along a column.
    spacing : tuple of float or None
        Between rows, between columns [mm].
    frame : int or None
        Number within a multi-frame file, from 0.
    rescale : tuple of float or None
        Slope and intercept of a frame; None: read with the pixels.
    marks : dict of str to str
        What may tell this slice from another in the same place.
    """

    path: Path
    header: Any
    rows: int
    columns: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    frame: int | None = None
    rescale: tuple[float, float] | None = None
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """File name, with the frame where there are several."""
        return self.path.name if self.frame is None else f"{self.path.name} frame {self.frame + 1}"

    def text(self, key: str) -> str:
        """Return a header entry as text; empty where it is missing or unreadable."""
        return text(self.header, key)


@dataclass(frozen=True, eq=False)
class Found:
    """What a folder holds: planes with a place, and notes on what was left out."""

    planes: tuple[Plane, ...]
    notes: tuple[str, ...]


def text(header: Any, key: str) -> str:
    """Return a header entry as text without outer blanks; empty where it is missing or cannot be read."""
    try:
        value = header.get(key)
        if value is None:
            return ""
        if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue":
            return "\\".join(str(v) for v in value)
        return str(value).strip()
    except Exception:  # pydicom converts on access and on printing, and raises what it likes on a bad value
        return ""


def numbers(header: Any, key: str, count: int, path: Path) -> tuple[float, ...] | None:
    """Return the numbers of a header entry; None where it is missing or empty.

    Raises
    ------
    ImageError
        If they are not that many finite numbers.
    """
    try:
        value = header.get(key)
        if value is None or (not isinstance(value, (int, float)) and len(value) == 0):
            return None
        found = tuple(float(v) for v in (value if count > 1 else (value,)))
        good = len(found) == count and bool(np.isfinite(found).all())
    except Exception:  # a malformed value
        found, good = (), False
    if not good:
        raise ImageError(
            f"{path} has a malformed {key}: {text(header, key)[:60] or 'unreadable'!r} instead of {count} numbers.",
            "Without it the slice has no size or no place in the patient.",
            "Export the series again from the archive.",
        )
    return found


def scan(path: Path) -> Found:
    """Read the headers of every file below a folder.

    Parameters
    ----------
    path : Path
        Folder, or one file of it.

    Returns
    -------
    Found
        Planes with a place in the patient; notes name what was left out.

    Raises
    ------
    MissingError
        If there is no DICOM image.
    ImageError
        If a file is cut short, or there are only films or images without a place.
    """
    folder = path if path.is_dir() else path.parent
    if not folder.is_dir():
        raise MissingError(f"There is no folder {path}.", "The case names it as its image.", "Put the DICOM files there.")
    left_out: Counter[str] = Counter()
    strange: list[str] = []
    planes: list[Plane] = []
    for file in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")):
        header = read_header(file)
        if header is None:
            if file.name.upper() != "DICOMDIR":
                strange.append(file.name)
            continue
        kind = _not_an_image(header)
        if kind == "DICOMDIR":
            continue
        if kind:
            left_out[kind] += 1
            continue
        planes += _planes(file, header)
    return _sifted(planes, left_out, strange, folder)


def read_header(file: Path) -> Any | None:
    """Return the header of a DICOM file without pixels; None if it is no DICOM.

    Raises
    ------
    ImageError
        If it begins as DICOM and cannot be read to its end.
    """
    try:
        with file.open("rb") as stream:
            start = stream.read(132)
    except OSError as error:
        raise ImageError(
            f"{file} cannot be opened: {error.strerror}.",
            "A slice that is not read is a hole in the patient.",
            "Check its rights.",
        ) from error
    marked = start[128:132] == b"DICM"
    if not marked and start[:2] != b"\x08\x00":  # files of before 1993 have no mark; group 0008 comes first
        return None
    try:
        header: Any = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=HEADER, force=not marked)
        cut = marked and "Rows" not in header and _storage(header) in IMAGE_STORAGE
    except Exception as error:  # whatever a damaged file makes the parser raise
        if not marked:
            return None
        raise _cut_short(file, f"{type(error).__name__}: {error}") from error
    if cut:
        raise _cut_short(file, "it ends before its pixels")
    return header


IMAGE_STORAGE = {
    *("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.4"),
    *("1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.128"),
}


def _storage(header: Any) -> str:
    meta = getattr(header, "file_meta", None)
    return text(meta, "MediaStorageSOPClassUID") if meta is not None else ""


def _cut_short(file: Path, why: str) -> ImageError:
    return ImageError(
        f"{file} is a DICOM file that is damaged or cut short ({why[:160]}).",
        "A slice that is not read is a hole in the patient.",
        "Copy or export this file again.",
    )


def _not_an_image(header: Any) -> str:
    """Return what a file is if it is no slice of a volume, else an empty string."""
    storage = text(header, "SOPClassUID") or _storage(header)
    modality = text(header, "Modality")
    if storage == DIRECTORY:
        return "DICOMDIR"
    if modality in FILMS:
        return f"film ({modality})"
    if modality in NOT_IMAGES or storage.startswith(DERIVED_STORAGE):
        return modality or "derived object"
    if "Rows" not in header or "Columns" not in header:
        return modality or "object without pixels"
    return "localizer" if "LOCALIZER" in text(header, "ImageType").upper().split("\\") else ""


def _planes(file: Path, header: Any) -> list[Plane]:
    if "PerFrameFunctionalGroupsSequence" in header or "SharedFunctionalGroupsSequence" in header:
        from osteon.io.dicom_enhanced import frames

        return frames(file, header)
    count = numbers(header, "NumberOfFrames", 1, file)
    if count is not None and count[0] > 1:
        raise ImageError(
            f"{file} is a multi-frame DICOM image without a place for each frame ({text(header, 'Modality')}).",
            "Its frames cannot be put into the patient.",
            "Export it as enhanced CT or MR, as single slices, or as NIfTI.",
        )
    size = [int((numbers(header, key, 1, file) or (0.0,))[0]) for key in ("Rows", "Columns")]
    if min(size) < 1:
        raise ImageError(
            f"{file} has {size[0]} rows and {size[1]} columns.", "There is no image in it.", "Export this file again."
        )
    spacing = numbers(header, "PixelSpacing", 2, file)
    orientation = numbers(header, "ImageOrientationPatient", 6, file)
    check_geometry(file, orientation, spacing)
    marks = {label: text(header, key) for label, key in SPLITTERS}
    place = numbers(header, "ImagePositionPatient", 3, file)
    return [Plane(file, header, size[0], size[1], place, orientation, spacing, None, None, marks)]


def check_geometry(file: Path, orientation: tuple[float, ...] | None, spacing: tuple[float, ...] | None) -> None:
    """Refuse a pixel size that is not positive, and row and column directions that are not perpendicular units."""
    if spacing is not None and not all(1e-3 < v < 1e3 for v in spacing):
        raise ImageError(
            f"{file} has a PixelSpacing of {spacing[0]:g} x {spacing[1]:g} mm.",
            "Every length and volume would be wrong.",
            "Export the series again from the archive.",
        )
    if orientation is None:
        return
    row, column = np.array(orientation).reshape(2, 3)
    if abs(np.linalg.norm(row) - 1) > 0.01 or abs(np.linalg.norm(column) - 1) > 0.01 or abs(float(row @ column)) > 0.01:
        raise ImageError(
            f"{file} has an ImageOrientationPatient of {list(orientation)}: no two perpendicular directions.",
            "Left and right would be guesses.",
            "Export the series again from the archive.",
        )


def _sifted(planes: list[Plane], left_out: Counter[str], strange: list[str], folder: Path) -> Found:
    """Return the planes that have a place; raise where nothing is left."""
    placed = [p for p in planes if p.position and p.orientation and p.spacing]
    series = {uid for p in placed if (uid := p.text("SeriesInstanceUID"))}
    lost = [p for p in planes if not (p.position and p.orientation and p.spacing)]
    torn = [p for p in lost if not placed or p.text("SeriesInstanceUID") in series]
    if torn:
        item = torn[0]
        named = (
            ("ImagePositionPatient", item.position),
            ("ImageOrientationPatient", item.orientation),
            ("PixelSpacing", item.spacing),
        )
        raise ImageError(
            f"{item.name} in {folder} has no {', '.join(k for k, v in named if not v)}.",
            "Without it the slice has no place in the patient.",
            "Export the original series, not secondary captures or films.",
        )
    if lost:
        left_out["image without a place in the patient"] += len(lost)
    films = sum(n for kind, n in left_out.items() if kind.startswith("film"))
    if not placed and films:
        raise ImageError(
            f"{folder} holds {films} film{'s' if films > 1 else ''} (radiograph) and no slices.",
            "A film has no depth: no distance, no path and no HU can be read from it.",
            "Leave it out of `studies`, write what it shows as facts of the lesion, and get a CT of the region.",
        )
    said = ", ".join(f"{n} {kind}" for kind, n in sorted(left_out.items()))
    if not placed:
        others = ", ".join(filter(None, [said, f"{len(strange)} other files" if strange else ""])) or "no other files"
        raise MissingError(
            f"There is no DICOM image in {folder} ({others}).",
            "Without an image nothing can be judged.",
            "Name the folder that holds the slices.",
        )
    notes = [f"left out beside the slices: {said}"] if said else []
    if strange:
        shown = ", ".join(strange[:5]) + (f" and {len(strange) - 5} more" if len(strange) > 5 else "")
        notes.append(f"left out, no DICOM: {shown}")
    return Found(tuple(placed), tuple(notes))
