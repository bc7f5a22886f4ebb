"""A DICOM series of single slices: sorted by position, checked for gaps, in any orientation; and a plain CT writer."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from osteon.cache import write_atomically
from osteon.errors import ImageError, MissingError
from osteon.space.volume import Array, Volume

HEADER = [
    *("SOPClassUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "Modality", "ImageType", "NumberOfFrames"),
    *("Rows", "Columns", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"),
    *("PatientPosition", "StudyDate", "SeriesDate", "AcquisitionDate"),
]
AIR_HU = -1024.0


@dataclass(frozen=True)
class Slice:
    """The header of one file."""

    path: Path
    header: Any

    @property
    def group(self) -> tuple[object, ...]:
        """What files of one stack share; an empty or repeated UID does not matter."""
        h = self.header
        orientation = tuple(round(float(v), 3) + 0.0 for v in h.get("ImageOrientationPatient") or ())
        spacing = tuple(round(float(v), 4) for v in h.get("PixelSpacing") or ())
        return (
            str(h.get("SeriesInstanceUID") or ""),
            str(h.get("Modality") or ""),
            orientation,
            h.get("Rows"),
            h.get("Columns"),
            spacing,
        )


@dataclass(frozen=True, eq=False)
class Stack:
    """A series as read: array in the file's axes, what was imaged, and what the headers say."""

    volume: Volume
    imaged: Volume
    modality: str
    date: date | None
    patient_position: str
    notes: tuple[str, ...]


def read_series(path: Path, series: str | None = None) -> Stack:
    """Read one series from a folder (or the folder of one file).

    Parameters
    ----------
    path : Path
        Folder; file names and extensions do not matter.
    series : str or None
        SeriesInstanceUID, series number or description where the folder holds several.

    Returns
    -------
    Stack
        HU for CT (rescaled slice by slice).

    Raises
    ------
    MissingError
        If there is no DICOM file.
    ImageError
        If several series are there and none was asked for, slices are missing, doubled, or not a straight stack.
    """
    slices, notes = _scan(path)
    chosen = _choose(slices, path, series)
    chosen, normal, step = _sort(chosen, path)
    array, imaged = _pixels(chosen, path, notes)
    first = chosen[0].header
    row, column = (float(v) for v in first.PixelSpacing)
    along_row, along_column = np.array(first.ImageOrientationPatient, float).reshape(2, 3)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = along_row * column, along_column * row, normal * step
    affine[:3, 3] = np.array(first.ImagePositionPatient, float)
    volume = Volume.of(array, affine)
    return Stack(
        volume,
        Volume(imaged, volume.grid),
        str(first.get("Modality") or "unknown"),
        _date(first),
        str(first.get("PatientPosition") or "unknown"),
        tuple(notes),
    )


def _scan(path: Path) -> tuple[list[Slice], list[str]]:
    folder = path if path.is_dir() else path.parent
    if not folder.is_dir():
        raise MissingError(f"There is no folder {path}.", "The case names it as its image.", "Put the DICOM files there.")
    found, skipped, notes = [], 0, []
    for file in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".") and p.name != "DICOMDIR"):
        try:
            header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=HEADER)
        except Exception:  # anything that is not DICOM is counted and told, never guessed at
            skipped += 1
            continue
        if int(header.get("NumberOfFrames") or 1) > 1:
            raise ImageError(
                f"{file} is a multi-frame DICOM image.",
                "This reader takes one slice per file.",
                "Convert it to single-frame DICOM or NIfTI.",
            )
        if "Rows" not in header or "LOCALIZER" in (header.get("ImageType") or ()):
            skipped += 1
            continue
        found.append(Slice(file, header))
    if not found:
        raise MissingError(
            f"There is no DICOM image in {folder} ({skipped} other files).",
            "Without an image nothing can be judged.",
            "Name the folder that holds the slices.",
        )
    if skipped:
        notes.append(f"{skipped} files beside the series are no images or are localizers; they were left out")
    return found, notes


def _choose(slices: list[Slice], path: Path, series: str | None) -> list[Slice]:
    groups: dict[tuple[object, ...], list[Slice]] = {}
    for item in slices:
        groups.setdefault(item.group, []).append(item)
    if series is not None:
        groups = {k: v for k, v in groups.items() if series in _names(v[0])}
    if len(groups) != 1:
        listed = "; ".join(f"{' / '.join(filter(None, _names(v[0]))) or 'no UID'} ({len(v)} slices)" for v in groups.values())
        asked = "" if series is None else f" that fit {series!r}"
        raise ImageError(
            f"{path} holds {len(groups)} stacks of slices{asked}: {listed or 'none'}.",
            "Mixing series gives an image that no scanner made.",
            "Add `series:` with the UID, number or description of the one that is meant, or put it in a folder of its own.",
        )
    return next(iter(groups.values()))


def _names(item: Slice) -> tuple[str, ...]:
    h = item.header
    return tuple(str(h.get(k) or "") for k in ("SeriesInstanceUID", "SeriesNumber", "SeriesDescription"))


def _sort(slices: list[Slice], path: Path) -> tuple[list[Slice], Array, float]:
    """Sort along the normal and refuse gaps, doubles and stacks that are not straight; return slices, normal and step."""
    for item in slices:
        missing = [k for k in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing") if not item.header.get(k)]
        if missing:
            raise ImageError(
                f"{item.path.name} in {path} has no {', '.join(missing)}.",
                "Without it the slice has no place in the patient.",
                "Export the original series, not secondary captures.",
            )
    directions = np.array(slices[0].header.ImageOrientationPatient, float).reshape(2, 3)
    normal = np.cross(directions[0], directions[1])
    normal /= np.linalg.norm(normal)
    places = np.array([[float(v) for v in s.header.ImagePositionPatient] for s in slices])
    order = np.argsort(places @ normal, kind="stable")
    slices, places = [slices[i] for i in order], places[order]
    if len(slices) < 2:
        raise ImageError(
            f"{path} holds one slice.", "A lesion and a needle path need a volume.", "Name the folder of the whole series."
        )
    steps = np.diff(places @ normal)
    middle = float(np.median(steps))
    bad = np.flatnonzero((np.abs(steps - middle) > max(0.02 * abs(middle), 0.01)) | (steps < 1e-3))
    if bad.size:
        at = int(bad[0])
        what = "lie in the same place" if steps[at] < 1e-3 else f"are {steps[at]:.2f} mm apart where {middle:.2f} mm is usual"
        raise ImageError(
            f"In {path} the slices {slices[at].path.name} and {slices[at + 1].path.name} {what} ({bad.size} such places).",
            "Missing or doubled slices move everything beyond them.",
            "Export the series again completely, without duplicates.",
        )
    step = float((places[-1] - places[0]) @ normal) / (len(slices) - 1)
    drift = np.linalg.norm(places - places[0] - np.outer(np.arange(len(slices)) * step, normal), axis=1).max()
    if drift > max(0.1, 0.02 * step * len(slices)):
        raise ImageError(
            f"The slices in {path} are shifted sideways by up to {drift:.1f} mm: a tilted gantry.",
            "Distances and needle angles would be wrong by that tilt.",
            "Resample the series to a straight grid first.",
        )
    return slices, normal, step


def _pixels(slices: list[Slice], path: Path, notes: list[str]) -> tuple[Array, Array]:
    out: Array | None = None
    imaged: Array | None = None
    unscaled = 0
    for index, item in enumerate(slices):
        data = pydicom.dcmread(item.path)
        try:
            raw = data.pixel_array
        except Exception as error:  # decoders raise whatever they like
            raise ImageError(
                f"The pixels of {item.path.name} in {path} cannot be decoded ({data.file_meta.TransferSyntaxUID.name}): {error}.",
                "One missing slice is a hole in the patient.",
                "Install a decoder (pylibjpeg), or export the series uncompressed.",
            ) from error
        if raw.ndim != 2:
            raise ImageError(
                f"{item.path.name} in {path} is a colour image.", "It holds no HU.", "Name the folder of the original series."
            )
        if out is None or imaged is None:
            out, imaged = np.empty((len(slices), *raw.shape), np.float32), np.ones((len(slices), *raw.shape), bool)
        unscaled += data.get("RescaleSlope") is None
        slope, intercept = float(data.get("RescaleSlope", 1) or 1), float(data.get("RescaleIntercept", 0) or 0)
        out[index] = raw.astype(np.float32) * slope + intercept
        padding = _padding(data, raw)
        if padding is not None:
            imaged[index] = ~padding
            out[index][padding] = AIR_HU
    assert out is not None
    assert imaged is not None
    if unscaled:
        notes.append(f"{unscaled} of {len(slices)} slices have no rescale slope; 1 and 0 were used")
    if not imaged.all():
        notes.append(f"{int((~imaged).sum())} padding voxels are not imaged")
    return out, imaged


def _padding(data: Any, raw: Array) -> Array | None:
    value = data.get("PixelPaddingValue")
    if value is None:
        return None
    bits = 1 << int(data.get("BitsAllocated", 16))
    low = int(value) % bits
    high = int(data.get("PixelPaddingRangeLimit", value)) % bits
    stored = raw.astype(np.int64) % bits
    return np.asarray((stored >= min(low, high)) & (stored <= max(low, high)))


def _date(header: Any) -> date | None:
    for key in ("AcquisitionDate", "SeriesDate", "StudyDate"):
        text = str(header.get(key) or "")
        try:
            return datetime.strptime(text[:8], "%Y%m%d").date()
        except ValueError:
            continue
    return None


def write_series(
    volume: Volume,
    folder: Path,
    *,
    patient: str = "anonymous",
    day: date | None = None,
    patient_position: str = "HFS",
    description: str = "osteon",
) -> Sequence[Path]:
    """Write a volume as a DICOM CT series (CT Image Storage, uncompressed); UIDs follow from the content.

    Parameters
    ----------
    volume : Volume
        HU, rounded to whole numbers.
    folder : Path
        Made where needed.
    patient : str
        Pseudonym, patient id and name.
    day : datetime.date or None
        Study and acquisition date.
    patient_position : str
        HFS, HFP, ...
    description : str
        Series description.

    Returns
    -------
    sequence of Path
        The files, from the first slice to the last.

    Raises
    ------
    ImageError
        If the axes are left-handed; call ``canonical()`` first.
    OsteonError
        If a file cannot be written.
    """
    if np.linalg.det(volume.grid.matrix[:3, :3]) < 0:
        raise ImageError(
            "The volume has left-handed axes.", "DICOM slices would be mirrored.", "Bring it to canonical axes before writing."
        )
    pixels = np.clip(np.rint(volume.array), -32768, 32767).astype("<i2")
    digest = Volume(pixels, volume.grid).digest() + patient + description
    frame = {k: _uid(digest, k) for k in ("study", "series", "frame")}
    paths = []
    for index in range(pixels.shape[0]):
        data = _slice_of(volume, pixels, index, frame, _uid(digest, f"slice {index}"))
        data.PatientID = data.PatientName = patient
        data.PatientPosition, data.SeriesDescription = patient_position, description
        stamp = day.strftime("%Y%m%d") if day else ""
        data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = stamp
        buffer = io.BytesIO()
        data.save_as(buffer, enforce_file_format=True)
        paths.append(folder / f"CT_{index + 1:04d}.dcm")
        write_atomically(paths[-1], buffer.getvalue())
    return paths


def _uid(digest: str, what: str) -> str:
    return f"2.25.{int.from_bytes(hashlib.sha256(f'{digest}{what}'.encode()).digest()[:16], 'big')}"


def _slice_of(volume: Volume, pixels: Array, index: int, frame: dict[str, str], uid: str) -> Any:
    """Return one slice as a CT Image Storage data set."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data: Any = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = CTImageStorage, uid, "CT"
    data.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = frame["study"], frame["series"], frame["frame"]
    data.StudyID, data.SeriesNumber, data.AcquisitionNumber, data.InstanceNumber = "1", 1, 1, index + 1
    data.StudyTime = data.ContentTime = data.AccessionNumber = data.ReferringPhysicianName = ""
    data.PatientBirthDate = data.PatientSex = data.PositionReferenceIndicator = ""
    data.Manufacturer, data.KVP = "osteon", None
    data.PatientIdentityRemoved, data.DeidentificationMethod = "YES", "made by software; no patient"
    matrix = volume.grid.matrix
    dz, dy, dx = volume.spacing_mm
    data.ImageOrientationPatient = [_ds(v) for v in (*(matrix[:3, 0] / dx), *(matrix[:3, 1] / dy))]
    data.ImagePositionPatient = [_ds(v) for v in volume.grid.to_mm(np.array([index, 0.0, 0.0]))]
    data.PixelSpacing, data.SliceThickness = [_ds(dy), _ds(dx)], _ds(dz)
    data.Rows, data.Columns = pixels.shape[1:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = 0, 1, "HU"
    data.WindowCenter, data.WindowWidth = 400, 1800
    data.PixelData = np.ascontiguousarray(pixels[index]).tobytes()
    data["PixelData"].VR = "OW"
    return data


def _ds(value: float) -> str:
    """Return a decimal string of at most 16 characters."""
    return f"{float(value) + 0.0:.10g}"
