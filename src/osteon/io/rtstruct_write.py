"""Write masks as an RT Structure Set that the reader of ``rtstruct.py`` turns into the same masks again.

Nothing of a name, a birth date or an original UID is written unless it is asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

from osteon.errors import ImageError
from osteon.io.contours import trace
from osteon.io.dicom_objects import ImageUids, new_uid
from osteon.io.dicom_write import write_dicom
from osteon.space.anatomy import Structure
from osteon.space.volume import Array, Grid, Volume

_TYPES = {"lesion": "GTV", "body": "EXTERNAL", "implant": "SUPPORT", "table": "SUPPORT"}
_COLOURS = ((220, 60, 60), (60, 120, 220), (60, 170, 90), (230, 160, 30), (150, 90, 200), (40, 180, 190))


def write_rtstruct(
    path: Path,
    masks: Mapping[Structure | str, Volume],
    *,
    references: ImageUids | None = None,
    keep_uids: bool = False,
    salt: bytes = b"",
    patient: str = "anonymous",
    day: date | None = None,
    label: str = "osteon",
    keep: Collection[str] = (),
) -> Path:
    """Write masks as an RTSTRUCT.

    Parameters
    ----------
    path : Path
        The file to write; seen whole or not at all.
    masks : mapping of Structure or str to Volume of bool
        All on one grid; none empty.
    references : ImageUids or None
        The image they were drawn on. None: the contours refer to an image of their own that does not exist.
    keep_uids : bool
        Write the UIDs of ``references`` as they are. Otherwise those are written that ``deidentify.clean`` gives the images with
        ``salt``: objects written with one salt refer to one another.
    salt : bytes
        See ``keep_uids`` and ``deidentify.read_salt``; an empty one does not keep others from recognising UIDs that they know.
    patient : str
        Pseudonym, written as name and id; birth date and sex stay empty.
    day : datetime.date or None
        Structure set date; empty if None.
    label : str
        Structure set label, at most 16 characters.
    keep : collection of str
        Attributes (DICOM keywords) that may tell who the patient is because it was asked for, for example PatientName.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ImageError
        If there is no mask, one is empty, or they lie on different grids.
    InputError
        If ``patient``, ``label`` or a name given as text looks like a person's name or a UID.
    OsteonError
        If the file cannot be written.

    Notes
    -----
    Contours run between voxel centres (``contours.trace``), so another reader with another fill rule differs by less than one
    voxel at the border.
    """
    grid = grid_of(masks)
    digest, uids = names_of(masks, references, keep_uids, salt, patient, label)
    data = _header(digest, uids, patient, day, label)
    axis, instances = slices_of(grid, uids)
    data.ReferencedFrameOfReferenceSequence = Sequence([_frame(uids)])
    data.StructureSetROISequence, data.ROIContourSequence, data.RTROIObservationsSequence = Sequence(), Sequence(), Sequence()
    for number, (key, mask) in enumerate(masks.items(), 1):
        data.StructureSetROISequence.append(_roi(number, key, uids))
        data.ROIContourSequence.append(_contours(number, mask, axis, instances, uids))
        data.RTROIObservationsSequence.append(_observation(number, key))
    texts = (label[:16], *(str(key)[:64] for key in masks))
    return write_dicom(path, data, pseudonym=patient, texts=texts, keep=keep, keep_dates=day is not None, keep_uids=keep_uids)


def names_of(
    masks: Mapping[Structure | str, Volume], references: ImageUids | None, keep_uids: bool, salt: bytes, *said: str
) -> tuple[str, ImageUids]:
    """Return what new UIDs of an object are made from, and the UIDs of the image it refers to, which may not exist.

    Parameters
    ----------
    masks, references, keep_uids, salt
        See ``write_rtstruct``.
    *said : str
        What else makes the object another one: patient, label, kind.
    """
    uids = (references if keep_uids else references.pseudonymous(salt)) if references else None
    digest = "".join(f"{k}{v.digest()}" for k, v in masks.items()) + "".join(said) + (uids.series if uids else "")
    return digest, uids or ImageUids(new_uid(digest, "study"), new_uid(digest, "series"), new_uid(digest, "frame"), {})


def grid_of(masks: Mapping[Structure | str, Volume]) -> Grid:
    """Return the grid that all masks share.

    Raises
    ------
    ImageError
        If there is no mask, one is empty, or they lie on different grids.
    """
    for key, mask in masks.items():
        if not mask.array.any():
            raise ImageError(
                f"The outline of {key} is empty.",
                "An empty outline would read as 'not there'.",
                "Leave it out, or draw it first.",
            )
    grids = [m.grid for m in masks.values()]
    if not grids or not all(g.same_as(grids[0]) for g in grids):
        raise ImageError(
            f"{len(grids)} outlines on {len(set(grids))} grids were given.",
            "One file needs at least one outline, and all on one image.",
            "Resample them to the image that they belong to.",
        )
    return grids[0]


def slices_of(grid: Grid, uids: ImageUids) -> tuple[int, dict[int, str]]:
    """Return the array axis across the slices of the referred image, and the SOPInstanceUID of every slice that it has."""
    places = np.array(list(uids.instances.values()), float).reshape(-1, 3)
    axis = 0
    if len(places) > 1:
        directions = grid.matrix[:3, :3] / np.linalg.norm(grid.matrix[:3, :3], axis=0)
        axis = 2 - int(np.argmax(np.abs(np.ptp(places @ directions, axis=0))))
    found = {}
    for uid, place in uids.instances.items():
        index = float(grid.to_index(np.array(place))[axis])
        if abs(index - round(index)) <= 0.25 and 0 <= round(index) < grid.shape[axis]:
            found[round(index)] = uid
    return axis, found


def _header(digest: str, uids: ImageUids, patient: str, day: date | None, label: str) -> Any:
    meta = FileMetaDataset()
    uid = new_uid(digest, "rtstruct")
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = RTStructureSetStorage, uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data: Any = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = RTStructureSetStorage, uid, "RTSTRUCT"
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = (
        uids.study,
        new_uid(digest, "own series"),
        uids.frame,
    )
    data.PatientID = data.PatientName = patient
    data.PatientBirthDate = data.PatientSex = data.StudyID = data.AccessionNumber = data.ReferringPhysicianName = ""
    data.StudyDate = data.StudyTime = data.OperatorsName = data.PositionReferenceIndicator = data.StructureSetTime = ""
    data.SeriesNumber, data.Manufacturer = None, "osteon"
    data.PatientIdentityRemoved, data.DeidentificationMethod = "YES", "written without name, birth date and sex"
    data.StructureSetLabel, data.StructureSetDate = label[:16], day.strftime("%Y%m%d") if day else ""
    data.ApprovalStatus = "UNAPPROVED"
    return data


def _frame(uids: ImageUids) -> Dataset:
    images = Sequence([_reference(uid, uids) for uid in uids.instances])
    frame, study, series = Dataset(), Dataset(), Dataset()
    frame.FrameOfReferenceUID = uids.frame
    if images:
        series.SeriesInstanceUID, series.ContourImageSequence = uids.series, images
        study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", uids.study
        study.RTReferencedSeriesSequence = Sequence([series])
        frame.RTReferencedStudySequence = Sequence([study])
    return frame


def _reference(uid: str, uids: ImageUids) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = uids.sop_class, uid
    return item


def _roi(number: int, key: Structure | str, uids: ImageUids) -> Dataset:
    item = Dataset()
    item.ROINumber, item.ReferencedFrameOfReferenceUID = number, uids.frame
    item.ROIName, item.ROIGenerationAlgorithm = str(key)[:64], ""
    return item


def _observation(number: int, key: Structure | str) -> Dataset:
    item = Dataset()
    item.ObservationNumber = item.ReferencedROINumber = number
    item.RTROIInterpretedType = _TYPES.get(key.kind, "ORGAN") if isinstance(key, Structure) else ""
    item.ROIInterpreter = ""
    if isinstance(key, Structure) and key.code:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = key.code, "SCT", key.meaning
        item.RTROIIdentificationCodeSequence = Sequence([code])
    return item


def _contours(number: int, mask: Volume, axis: int, instances: Mapping[int, str], uids: ImageUids) -> Dataset:
    item = Dataset()
    item.ReferencedROINumber, item.ROIDisplayColor = number, list(_COLOURS[(number - 1) % len(_COLOURS)])
    item.ContourSequence = Sequence()
    planes = np.moveaxis(mask.array.astype(bool), axis, 0)
    for index in np.flatnonzero(planes.any(axis=(1, 2))):
        for polygon in trace(planes[index]):
            points = mask.grid.to_mm(np.insert(polygon, axis, index, axis=1))
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(points)
            contour.ContourData = _decimal(points)
            if int(index) in instances:
                contour.ContourImageSequence = Sequence([_reference(instances[int(index)], uids)])
            item.ContourSequence.append(contour)
    return item


def _decimal(points: Array) -> list[str]:
    """Return coordinates as decimal strings of at most 16 characters, to 1e-5 mm."""
    return [f"{v + 0.0:.5f}".rstrip("0").rstrip(".") for v in np.round(points, 5).ravel()]
