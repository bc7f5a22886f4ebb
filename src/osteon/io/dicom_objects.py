"""What the readers of RTSTRUCT, SEG and RTDOSE share: opening a file, the UIDs of an image, and UIDs that name nobody."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError

from osteon.errors import ImageError, MissingError, OsteonError
from osteon.io import deidentify
from osteon.space.volume import Array

_UID_TAGS = [
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "SeriesNumber"),
    *("SeriesDescription", "ImagePositionPatient", "Rows"),
]


@dataclass(frozen=True)
class ImageUids:
    """The names under which DICOM objects refer to an image.

    Parameters
    ----------
    study, series, frame : str
        StudyInstanceUID, SeriesInstanceUID and FrameOfReferenceUID; empty where the file has none.
    instances : mapping of str to (x, y, z)
        SOPInstanceUID to ImagePositionPatient in LPS mm.
    sop_class : str
        SOPClassUID of the slices.
    """

    study: str
    series: str
    frame: str
    instances: Mapping[str, tuple[float, float, float]]
    sop_class: str = "1.2.840.10008.5.1.4.1.1.2"

    def pseudonymous(self, salt: bytes = b"") -> ImageUids:
        """Return the same image under the UIDs that ``deidentify.clean`` gives it with that salt."""
        return ImageUids(
            deidentify.new_uid(self.study, salt),
            deidentify.new_uid(self.series, salt),
            deidentify.new_uid(self.frame, salt),
            {deidentify.new_uid(k, salt): v for k, v in self.instances.items()},
            self.sop_class,
        )


def image_uids(folder: Path, series: str | None = None) -> ImageUids:
    """Read the UIDs of one image series, single slices per file.

    Parameters
    ----------
    folder : Path
        Where the slices lie; file names do not matter.
    series : str or None
        SeriesInstanceUID, number or description where the folder holds several.

    Returns
    -------
    ImageUids
        Slices whose SOPInstanceUID is empty are left out.

    Raises
    ------
    MissingError
        If there is no DICOM image.
    ImageError
        If several series are there and none, or no fitting one, was asked for.
    """
    groups: dict[str, list[Any]] = {}
    for file in sorted(p for p in Path(folder).rglob("*") if p.is_file() and not p.name.startswith(".")):
        try:
            header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=_UID_TAGS)
            named = [str(header.get(k) or "") for k in ("SeriesInstanceUID", "SeriesNumber", "SeriesDescription")]
            image = "Rows" in header and bool(header.get("ImagePositionPatient"))
        except Exception:  # not DICOM, or damaged: it cannot be referred to
            continue
        if image and (series is None or series in named):
            groups.setdefault(named[0], []).append(header)
    if not groups:
        raise MissingError(
            f"There is no DICOM image{'' if series is None else f' of series {series!r}'} in {folder}.",
            "Without its UIDs nobody can tell whether the outlines were drawn on it.",
            "Name the folder that holds the slices.",
        )
    if len(groups) > 1:
        raise ImageError(
            f"{folder} holds {len(groups)} series: {', '.join(k or 'no UID' for k in groups)}.",
            "Outlines belong to one of them.",
            "Name the series that is meant.",
        )
    slices = next(iter(groups.values()))
    first = slices[0]
    places = {
        str(h.SOPInstanceUID): tuple(float(v) for v in h.ImagePositionPatient)
        for h in slices
        if str(h.get("SOPInstanceUID") or "")
    }
    study, serie, frame = (str(first.get(k) or "") for k in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"))
    return ImageUids(study, serie, frame, places, str(first.get("SOPClassUID") or ""))  # type: ignore[arg-type]


def open_object(path: Path, modality: str, why: str) -> Any:
    """Read a DICOM file of one modality.

    Parameters
    ----------
    path : Path
        The file; a missing preamble is accepted.
    modality : str
        RTSTRUCT, SEG or RTDOSE.
    why : str
        What it is needed for, for the message.

    Raises
    ------
    MissingError
        If there is no such file.
    ImageError
        If it is no DICOM file or of another modality.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"There is no file {path}.", why, "Put it there, or correct the path.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote the file, names included
            try:
                data = pydicom.dcmread(path)
            except InvalidDicomError:
                data = pydicom.dcmread(path, force=True)  # some exports lack the preamble
            found = str(data.get("Modality") or "")
    except Exception as error:
        raise ImageError(
            f"{path} cannot be read as DICOM: {_short(error)}.", why, f"Export the {modality} file again; it may be cut short."
        ) from error
    if found != modality:
        what = f"a DICOM file of modality {found}" if found else "no DICOM object with a modality"
        raise ImageError(f"{path} is {what}, not {modality}.", why, f"Name the {modality} file.")
    return data


@contextmanager
def reading(path: Path, modality: str) -> Iterator[None]:
    """Turn whatever a damaged element makes pydicom raise into an ImageError that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote the file, names included
            yield
    except OsteonError:
        raise
    except Exception as error:  # elements are decoded when touched, and raise whatever they like
        raise ImageError(
            f"{path} is damaged or incomplete ({type(error).__name__}: {_short(error)}).",
            "A part of it that cannot be read may be the part that matters.",
            f"Export the {modality} file again.",
        ) from error


def numbers(values: Any, count: int, path: Path, what: str) -> Array:
    """Return ``count`` finite numbers of an element.

    Raises
    ------
    ImageError
        If there are others, or not that many.
    """
    found = np.asarray([float(v) for v in values], float) if values is not None else np.empty(0)
    if found.size != count or not np.isfinite(found).all():
        raise ImageError(
            f"{what} in {path} is {found.tolist()}, where {count} numbers are needed.",
            "Without it nothing in the file has a place in the patient.",
            "Export the file again.",
        )
    return found


def axes_of(orientation: Any, path: Path) -> Array:
    """Return row direction, column direction and normal as the columns of a 3 x 3 array.

    Raises
    ------
    ImageError
        If they are not at right angles.
    """
    six = numbers(orientation, 6, path, "ImageOrientationPatient").reshape(2, 3)
    length = np.linalg.norm(six, axis=1)
    if (np.abs(length - 1) > 1e-2).any() or abs(float(six[0] @ six[1])) > 1e-2:
        raise ImageError(
            f"ImageOrientationPatient in {path} is {six.ravel().tolist()}: not two directions at right angles.",
            "Left and right would be guessed.",
            "Export the file again.",
        )
    six /= length[:, None]
    return np.column_stack([six[0], six[1], np.cross(six[0], six[1])])


def new_uid(*parts: str) -> str:
    """Return a UID under 2.25 that follows from its parts by sha256; equal parts, equal UID."""
    return f"2.25.{int.from_bytes(hashlib.sha256(chr(0).join(parts).encode()).digest()[:16], 'big')}"


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".") or type(error).__name__
