"""Write masks as a DICOM SEG with highdicom; nothing of a name, a birth date or an original UID unless it is asked for."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from osteon.errors import ImageError
from osteon.io.dicom_objects import ImageUids, new_uid
from osteon.io.dicom_write import write_dicom
from osteon.io.rtstruct_write import grid_of, names_of, slices_of
from osteon.space.anatomy import Structure
from osteon.space.volume import Array, Volume

_NO_DAY = "19000101"  # Content Date must not be empty; this one says plainly that it is none
_SIDES = {"left": ("7771000", "Left"), "right": ("24028007", "Right")}


def write_seg(
    path: Path,
    masks: Mapping[Structure | str, Volume],
    *,
    kind: Literal["BINARY", "LABELMAP"] = "BINARY",
    references: ImageUids | None = None,
    keep_uids: bool = False,
    salt: bytes = b"",
    patient: str = "anonymous",
    day: date | None = None,
    label: str = "osteon",
    keep: Collection[str] = (),
) -> Path:
    """Write masks as a DICOM SEG.

    Parameters
    ----------
    path : Path
        The file to write; seen whole or not at all.
    masks : mapping of Structure or str to Volume of bool
        All on one grid; none empty. They may overlap in BINARY.
    kind : {"BINARY", "LABELMAP"}
        LABELMAP is smaller, but many readers do not know it yet.
    references : ImageUids or None
        The image they were drawn on. None: the frames refer to an image of their own that does not exist.
    keep_uids : bool
        Write the UIDs of ``references`` as they are; otherwise those of ``deidentify.clean`` with ``salt``.
    salt : bytes
        See ``write_rtstruct``.
    patient : str
        Pseudonym, written as name and id; birth date and sex stay empty.
    day : datetime.date or None
        Content date; 1900-01-01 if None.
    label : str
        Series description.
    keep : collection of str
        See ``write_rtstruct``.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ImageError
        If there is no mask, one is empty, they lie on different grids, or overlap in a LABELMAP.
    InputError
        If ``patient``, ``label`` or a name given as text looks like a person's name or a UID.
    OsteonError
        If the file cannot be written.
    """
    grid_of(masks)
    arrays = [m.array.astype(bool) for m in masks.values()]
    if kind == "LABELMAP" and (np.sum(arrays, axis=0) > 1).any():
        raise ImageError("The outlines overlap.", "One label map would lose a part of one.", "Write them as BINARY.")
    digest, uids = names_of(masks, references, keep_uids, salt, patient, label, kind)
    axis, instances = slices_of(next(iter(masks.values())).grid, uids)
    turned = [_turned(m, axis, instances) for m in masks.values()]
    sources = _sources(turned[0][0], turned[0][1], uids, digest, patient)
    data = _built([t[0].array for t in turned], list(masks), sources, kind, digest, label)
    data.ContentDate, data.ContentTime = (day.strftime("%Y%m%d") if day else _NO_DAY), "000000"
    for name in ("SeriesDate", "SeriesTime", "InstanceCreationDate", "InstanceCreationTime", "ContributingEquipmentSequence"):
        if name in data:
            delattr(data, name)
    for element in data.iterall():  # highdicom draws this one at random; equal input shall give equal bytes
        if element.keyword == "DimensionOrganizationUID":
            element.value = new_uid(digest, "dimensions")
    data.PatientIdentityRemoved, data.DeidentificationMethod = "YES", "written without name, birth date and sex"
    texts = (label, *(str(key)[:64] for key in masks))
    return write_dicom(path, data, pseudonym=patient, texts=texts, keep=keep, keep_dates=day is not None, keep_uids=keep_uids)


def _turned(mask: Volume, axis: int, instances: Mapping[int, str]) -> tuple[Volume, dict[int, str]]:
    """Return the mask with the slice axis first and right-handed, and the instances under their new slice numbers."""
    order = [axis, *(a for a in range(3) if a != axis)]
    array = np.transpose(mask.array.astype(bool), order)
    affine = mask.grid.matrix[:, [2 - order[2], 2 - order[1], 2 - order[0], 3]]
    count = len(array)
    if np.linalg.det(affine[:3, :3]) < 0:
        affine[:3, 3] += affine[:3, 2] * (count - 1)
        affine[:3, 2] *= -1
        return Volume.of(array[::-1], affine), {count - 1 - k: v for k, v in instances.items()}
    return Volume.of(array, affine), dict(instances)


def _sources(mask: Volume, instances: Mapping[int, str], uids: ImageUids, digest: str, patient: str) -> list[Any]:
    """Return headers of the slices that the frames refer to, as highdicom asks for."""
    matrix = mask.grid.matrix
    dz, dy, dx = mask.spacing_mm
    sop_class = uids.sop_class or "1.2.840.10008.5.1.4.1.1.2"
    out = []
    for index in range(mask.array.shape[0]):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data: Any = FileDataset("", {}, file_meta=meta)
        data.SOPClassUID, data.SOPInstanceUID = sop_class, instances.get(index) or new_uid(digest, f"slice {index}")
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = uids.study, uids.series, uids.frame
        data.PatientID = data.PatientName = patient
        data.PatientBirthDate = data.PatientSex = data.StudyID = data.AccessionNumber = data.ReferringPhysicianName = ""
        data.StudyDate = data.StudyTime = data.PositionReferenceIndicator = ""
        data.Rows, data.Columns = mask.array.shape[1:]
        data.ImageOrientationPatient = [_ds(v) for v in (*(matrix[:3, 0] / dx), *(matrix[:3, 1] / dy))]
        data.ImagePositionPatient = [_ds(v) for v in mask.grid.to_mm(np.array([index, 0.0, 0.0]))]
        data.PixelSpacing, data.SliceThickness, data.SpacingBetweenSlices = [_ds(dy), _ds(dx)], _ds(dz), _ds(dz)
        data.Modality, data.InstanceNumber = "CT", index + 1
        out.append(data)
    return out


def _built(arrays: list[Array], keys: list[Structure | str], sources: list[Any], kind: str, digest: str, label: str) -> Any:
    import highdicom as hd

    pixels: Array
    if kind == "LABELMAP":
        pixels = np.zeros(arrays[0].shape, np.uint8)
        for number, array in enumerate(arrays, 1):
            pixels[array] = number
    else:
        pixels = np.stack(arrays, axis=-1).astype(np.uint8)
    with warnings.catch_warnings():  # highdicom warns of plain person names
        warnings.simplefilter("ignore")
        return hd.seg.Segmentation(
            source_images=sources,
            pixel_array=pixels,
            segmentation_type=kind,
            segment_descriptions=[_description(n, key) for n, key in enumerate(keys, 1)],
            series_instance_uid=new_uid(digest, "own series"),
            series_number=1,
            sop_instance_uid=new_uid(digest, "seg"),
            instance_number=1,
            manufacturer="osteon",
            manufacturer_model_name="osteon",
            software_versions="osteon",
            device_serial_number="0",
            content_label="OSTEON",
            series_description=label,
            omit_empty_frames=True,
        )


def _description(number: int, key: Structure | str) -> Any:
    import highdicom as hd

    altered = isinstance(key, Structure) and key.kind == "lesion"
    category = (
        ("49755003", "SCT", "Morphologically Altered Structure") if altered else ("123037004", "SCT", "Anatomical Structure")
    )
    kind = ("85756007", "SCT", "Tissue")
    if isinstance(key, Structure):
        kind = (key.code, "SCT", key.meaning) if key.code else (key.id.removesuffix(f"_{key.side}"), "99OSTEON", key.name[:64])
    out: Any = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=str(key)[:64],
        segmented_property_category=hd.sr.CodedConcept(*category),
        segmented_property_type=hd.sr.CodedConcept(*kind),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name="osteon", family=hd.sr.CodedConcept("123109", "DCM", "Manual Processing"), version="1"
        ),
    )
    if isinstance(key, Structure) and key.side:
        side = Dataset()
        side.CodeValue, side.CodingSchemeDesignator, side.CodeMeaning = _SIDES[key.side][0], "SCT", _SIDES[key.side][1]
        out.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = Sequence([side])
    return out


def _ds(value: float) -> str:
    return f"{float(value) + 0.0:.10g}"
