"""DICOM data sets made for tests: slices in any place, compressed, enhanced."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage

from osteon.space.volume import Volume

STORAGE = {"CT": CTImageStorage, "MR": MRImageStorage}


def base(uid: str, storage: str, modality: str) -> Any:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = storage, uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data: Any = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = storage, uid, modality
    data.StudyInstanceUID, data.SeriesInstanceUID, data.SeriesNumber = "1.2.3", "1.2.3.4", 7
    data.PatientID, data.PatientPosition, data.SeriesDescription = "p", "HFS", "made"
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    return data


def text(values: Iterable[float]) -> list[str]:
    return [f"{float(v) + 0.0:.10g}" for v in values]


def geometry(volume: Volume) -> tuple[list[str], list[str]]:
    matrix = volume.grid.matrix
    size = np.linalg.norm(matrix[:3, :2], axis=0)
    return text([*(matrix[:3, 0] / size[0]), *(matrix[:3, 1] / size[1])]), text([size[1], size[0]])


def place(volume: Volume, k: int) -> list[str]:
    matrix = volume.grid.matrix
    return text(matrix[:3, 3] + k * matrix[:3, 2])


def write_slices(volume: Volume, folder: Path, modality: str = "CT", prefix: str = "", **tags: Any) -> Path:
    """Write slices whose positions follow the affine's third column, leaning or not; stored = value + 2048."""
    folder.mkdir(parents=True, exist_ok=True)
    orientation, spacing = geometry(volume)
    for k in range(volume.array.shape[0]):
        data = base(f"1.2.3.4.{k + 1}", STORAGE[modality], modality)
        data.ImageOrientationPatient, data.PixelSpacing, data.ImagePositionPatient = orientation, spacing, place(volume, k)
        data.Rows, data.Columns = volume.array.shape[1:]
        data.RescaleSlope, data.RescaleIntercept = 1, -2048
        data.PixelData = (np.rint(volume.array[k]) + 2048).astype("<u2").tobytes()
        for key, value in tags.items():
            setattr(data, key, value)
        data.save_as(folder / f"{prefix}{k + 1:03d}", enforce_file_format=True)
    return folder


def change(folder: Path, what: Callable[[int, Any], None]) -> Path:
    for index, file in enumerate(sorted(folder.iterdir())):
        data = pydicom.dcmread(file)
        what(index, data)
        data.save_as(file)
    return folder


def jpeg2000(data: Any) -> None:
    buffer = io.BytesIO()
    Image.fromarray(data.pixel_array.astype(np.uint16)).save(buffer, format="JPEG2000", irreversible=False, no_jp2=True)
    data.PixelData = encapsulate([buffer.getvalue()])
    data["PixelData"].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless


def write_enhanced(volume: Volume, file: Path, modality: str = "CT", echoes: tuple[float, ...] = ()) -> Path:
    """Write one enhanced file; slices are stored from the last to the first, each with its own slope."""
    orientation, spacing = geometry(volume)
    storage = EnhancedCTImageStorage if modality == "CT" else EnhancedMRImageStorage
    data = base("1.2.3.9", storage, modality)
    shared = Dataset()
    shared.PlaneOrientationSequence = Sequence([Dataset()])
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = orientation
    shared.PixelMeasuresSequence = Sequence([Dataset()])
    shared.PixelMeasuresSequence[0].PixelSpacing, shared.PixelMeasuresSequence[0].SliceThickness = spacing, "5"
    if modality == "CT":
        shared.CTReconstructionSequence, shared.CTXRayDetailsSequence = Sequence([Dataset()]), Sequence([Dataset()])
        shared.CTReconstructionSequence[0].ConvolutionKernel = "B60f"
        shared.CTXRayDetailsSequence[0].KVP = 120.0
    groups, pixels = [], []
    for echo in echoes or (0.0,):
        for k in reversed(range(volume.array.shape[0])):
            group = Dataset()
            group.PlanePositionSequence = Sequence([Dataset()])
            group.PlanePositionSequence[0].ImagePositionPatient = place(volume, k)
            group.PixelValueTransformationSequence = Sequence([Dataset()])
            transform = group.PixelValueTransformationSequence[0]
            transform.RescaleSlope, transform.RescaleIntercept = str(1 + k % 2), "-2048"
            if echoes:
                group.MREchoSequence = Sequence([Dataset()])
                group.MREchoSequence[0].EffectiveEchoTime = echo
            groups.append(group)
            pixels.append(np.rint((volume.array[k] + echo + 2048) / (1 + k % 2)).astype("<u2"))
    data.SharedFunctionalGroupsSequence, data.PerFrameFunctionalGroupsSequence = Sequence([shared]), Sequence(groups)
    data.NumberOfFrames, (data.Rows, data.Columns) = len(groups), volume.array.shape[1:]
    data.PixelData = np.stack(pixels).tobytes()
    file.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(file, enforce_file_format=True)
    return file
