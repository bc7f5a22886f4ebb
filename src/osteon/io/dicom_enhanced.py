"""Enhanced multi-frame CT, MR and PET: one file, every frame with its own functional groups."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from osteon.errors import ImageError
from osteon.io.dicom_scan import Plane, check_geometry, numbers, text

MARKS = (
    ("stack", "FrameContentSequence", "StackID"),
    ("time point", "FrameContentSequence", "TemporalPositionIndex"),
    ("acquisition", "FrameContentSequence", "FrameAcquisitionNumber"),
    ("echo time", "MREchoSequence", "EffectiveEchoTime"),
    ("b value", "MRDiffusionSequence", "DiffusionBValue"),
    ("image type", "CTImageFrameTypeSequence", "FrameType"),
    ("image type", "MRImageFrameTypeSequence", "FrameType"),
    ("trigger time", "CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
)
COPIED = (
    ("CTReconstructionSequence", "ConvolutionKernel"),
    ("CTXRayDetailsSequence", "KVP"),
    ("PixelMeasuresSequence", "SliceThickness"),
    ("FrameContentSequence", "FrameAcquisitionDateTime"),
)


def frames(file: Path, header: Any) -> list[Plane]:
    """Return the frames of an enhanced image as planes.

    Parameters
    ----------
    file : Path
        Named in errors.
    header : pydicom Dataset
        Without pixels; what the first frame's groups tell of kernel, kVp, thickness and time is added to it.

    Returns
    -------
    list of Plane
        In the file's order.

    Raises
    ------
    ImageError
        If the number of frames and of their groups differ, or a place is malformed.
    """
    shared = _items(header, "SharedFunctionalGroupsSequence")
    groups = _items(header, "PerFrameFunctionalGroupsSequence")
    count = int((numbers(header, "NumberOfFrames", 1, file) or (1.0,))[0])
    if count < 1 or len(groups) != count:
        raise ImageError(
            f"{file} says it has {count} frames and holds the places of {len(groups)}.",
            "A frame without a place cannot be put into the patient.",
            "Export or copy this file again.",
        )
    common = shared[0] if shared else None
    size = [int((numbers(header, key, 1, file) or (0.0,))[0]) for key in ("Rows", "Columns")]
    if min(size) < 1:
        raise ImageError(
            f"{file} has {size[0]} rows and {size[1]} columns.", "There is no image in it.", "Export this file again."
        )
    for name, key in COPIED:
        found = _entry(groups[0], common, name)
        target = "AcquisitionDateTime" if key == "FrameAcquisitionDateTime" else key
        if found is not None and text(found, key) and not text(header, target):
            with contextlib.suppress(Exception):  # a malformed kernel or voltage stays unsaid
                setattr(header, target, found.get(key))
    return [_frame(file, header, index, group, common, size) for index, group in enumerate(groups)]


def _frame(file: Path, header: Any, index: int, group: Any, common: Any, size: list[int]) -> Plane:
    def entry(name: str, key: str, count: int) -> tuple[float, ...] | None:
        found = _entry(group, common, name)
        return None if found is None else numbers(found, key, count, file)

    orientation = entry("PlaneOrientationSequence", "ImageOrientationPatient", 6)
    spacing = entry("PixelMeasuresSequence", "PixelSpacing", 2)
    check_geometry(file, orientation, spacing)
    slope = entry("PixelValueTransformationSequence", "RescaleSlope", 1)
    intercept = entry("PixelValueTransformationSequence", "RescaleIntercept", 1)
    rescale = None if slope is None else (slope[0], intercept[0] if intercept else 0.0)
    marks: dict[str, str] = {}
    for label, name, key in MARKS:
        found = _entry(group, common, name)
        if found is not None and text(found, key):
            marks[label] = text(found, key)
    place = entry("PlanePositionSequence", "ImagePositionPatient", 3)
    return Plane(file, header, size[0], size[1], place, orientation, spacing, index, rescale, marks)


def _items(header: Any, name: str) -> list[Any]:
    try:
        return list(header.get(name) or ())
    except Exception:  # not a sequence
        return []


def _entry(group: Any, common: Any, name: str) -> Any | None:
    """Return the first item of a functional group: the frame's own, else the shared one."""
    for source in (group, common):
        if source is not None:
            items = _items(source, name)
            if items:
                return items[0]
    return None
