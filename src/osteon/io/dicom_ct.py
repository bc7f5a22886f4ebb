"""A DICOM series as one volume, in any orientation, tilted or not; and a plain CT writer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from osteon.errors import ImageError
from osteon.io import dicom_pixels, dicom_stack
from osteon.io.acquisition import Acquisition, acquisition_of
from osteon.io.dicom_pixels import AIR_HU
from osteon.io.dicom_scan import Plane, scan, text
from osteon.io.dicom_write import write_dicom
from osteon.io.tilt import is_sheared, lean_degrees, straighten
from osteon.space.volume import Array, Volume

__all__ = ["AIR_HU", "Series", "Stack", "list_series", "read_series", "write_series"]

LEAST_LEAN_DEGREES = 0.1


@dataclass(frozen=True, eq=False)
class Stack:
    """A series as read: array in the file's axes, what was imaged, and what the headers say."""

    volume: Volume
    imaged: Volume
    modality: str
    date: date | None
    patient_position: str
    notes: tuple[str, ...]
    acquisition: Acquisition = field(default_factory=Acquisition)


@dataclass(frozen=True)
class Series:
    """One stack of slices in a folder.

    Parameters
    ----------
    ask_for : str
        What to give as ``series`` to read this one; empty where nothing tells it from the others.
    modality, uid, number, description : str
        As the header says.
    part : str
        What tells it from other stacks of the same series: "echo time 4.6"; else empty.
    slices, rows, columns : int
        Its size.
    date : datetime.date or None
        Of acquisition.
    """

    ask_for: str
    modality: str
    uid: str
    number: str
    description: str
    part: str
    slices: int
    rows: int
    columns: int
    date: date | None


def list_series(path: Path) -> tuple[Series, ...]:
    """List the stacks of slices in a folder, without reading pixels.

    Parameters
    ----------
    path : Path
        Folder of DICOM files.

    Returns
    -------
    tuple of Series
        In the order of their file names.

    Raises
    ------
    MissingError
        If there is no DICOM image.
    ImageError
        If a file is damaged.
    """
    groups = dicom_stack.groups_of(scan(Path(path)).planes)
    names = [name for g in groups for name in g.names]
    listed = []
    for group in groups:
        first = group.planes[0]
        own = next((name for name in group.names if names.count(name) == 1), "")
        told = (first.text(k) for k in ("Modality", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription"))
        modality, uid, number, description = told
        size = (len(group.planes), first.rows, first.columns)
        listed.append(Series(own, modality, uid, number, description, group.label, *size, _date(first.header)))
    return tuple(listed)


def read_series(path: Path, series: str | None = None, observe: Callable[[float], None] | None = None) -> Stack:
    """Read one series from a folder (or the series of one file).

    Parameters
    ----------
    path : Path
        Folder, or one file in it; file names and extensions do not matter.
    series : str or None
        SeriesInstanceUID, series number or description where the folder holds several.
    observe : callable
        Called with the fraction done, from 0 to 1.

    Returns
    -------
    Stack
        HU for CT (rescaled slice by slice), on a grid with right angles.

    Raises
    ------
    MissingError
        If there is no DICOM file, or no decoder for it.
    ImageError
        If several series are there and none was asked for, slices are missing or contradict each other, or a file is damaged.
    """
    found = scan(path)
    notes = list(found.notes)
    group = dicom_stack.choose(dicom_stack.groups_of(found.planes), path, series)
    ordered = dicom_stack.order(group.planes, path)
    first = ordered.planes[0]
    modality = first.text("Modality") or "unknown"
    _drop_doubles(ordered.doubles, path, modality, notes)
    array, imaged = dicom_pixels.load(ordered.planes, path, modality, notes, observe)
    affine = ordered.affine
    told = acquisition_of(first, ordered.affine, notes)
    if modality == "PT":
        notes.append(f"PET values are in {first.text('Units') or 'unknown units'}, as the header says; no SUV was computed")
    if is_sheared(affine) or lean_degrees(affine) > LEAST_LEAN_DEGREES:
        lean = lean_degrees(affine)
        array, imaged, affine = straighten(array, imaged, affine, AIR_HU if modality == "CT" else 0.0)
        notes.append(
            f"gantry tilt of {lean:.1f}°: slices were shifted within their planes onto a grid with right angles "
            "(linear along rows and columns, nothing across slices)"
        )
    volume = Volume.of(array, affine)
    position = first.text("PatientPosition") or "unknown"
    return Stack(volume, Volume(imaged, volume.grid), modality, _date(first.header), position, tuple(notes), told)


def _drop_doubles(doubles: Sequence[tuple[Plane, Plane]], path: Path, modality: str, notes: list[str]) -> None:
    """Note slices that are there twice with equal values; refuse two different ones in one place."""
    for kept, other in doubles:
        same = (kept.rows, kept.columns) == (other.rows, other.columns)
        pair = [dicom_pixels.load([plane], path, modality, [])[0] for plane in (kept, other)] if same else []
        if not same or not np.array_equal(pair[0], pair[1]):
            raise ImageError(
                f"In {path} the slices {kept.name} and {other.name} lie in the same place and differ "
                f"({len(doubles)} such places), and nothing in their headers tells them apart.",
                "Either could be the patient; two series may be mixed.",
                "Put the series that is meant in a folder of its own, or export it again.",
            )
    if doubles:
        names = ", ".join(other.name for _, other in doubles[:3]) + (" and others" if len(doubles) > 3 else "")
        notes.append(f"{len(doubles)} slices are there twice with equal pixels; the copies were left out: {names}")


def _date(header: Any) -> date | None:
    for key in ("AcquisitionDate", "AcquisitionDateTime", "SeriesDate", "StudyDate"):
        try:
            return datetime.strptime(text(header, key)[:8], "%Y%m%d").date()
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
    keep: Collection[str] = (),
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
    keep : collection of str
        Attributes (DICOM keywords) that may tell who the patient is because it was asked for, for example PatientName.

    Returns
    -------
    sequence of Path
        The files, from the first slice to the last.

    Raises
    ------
    ImageError
        If the axes are left-handed; call ``canonical()`` first.
    InputError
        If ``patient`` or ``description`` looks like a person's name or a UID.
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
        file = folder / f"CT_{index + 1:04d}.dcm"
        paths.append(write_dicom(file, data, pseudonym=patient, texts=(description,), keep=keep, keep_dates=day is not None))
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
