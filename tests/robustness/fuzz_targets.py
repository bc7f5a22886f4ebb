"""What is spoiled: one kind of file each, with the reader that meets it. Names and recipes decide what a kept seed means."""

from __future__ import annotations

import gzip
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "io")]

from fuzz_spoil import Rng, spoil_bytes, spoil_dicom, spoil_nifti, spoil_yaml

CHART = """schema: osteon-case/1
patient: p1
date: 2025-03-10
stamps: ['made up']
studies:
  - {id: ct1, modality: CT, file: ct.nii.gz, date: 2025-03-03, patient_position: HFS}
labels:
  - file: labels.nii.gz
    names: {1: femur_right, 2: muscle}
structures:
  sciatic_nerve_right: {polyline_mm: [[4, 4, 4], [8, 8, 30]], radius: 4 mm}
absent: [table, implant]
facts:
  age_years: 63
  ecog: {value: 1, date: 2025-03-05}
  platelets_e9_l: [{value: 214000 / µl, date: 2025-03-05}, {value: 180, date: 2025-02-01}]
  anaesthesia: [general, local]
  pregnant: false
  expected_survival_weeks: 80 week
lesions:
  - id: L1
    bone: femur_right
    side: right
    goal: palliation
    outline: {sphere_mm: {center: [10, 10, 20], diameter: 1.2 cm}}
    facts:
      pain_vas: {min: 5, max: 7}
      lesion_type: {one_of: [lytic, mixed]}
      size_max_mm: 25 mm
timeline:
  - {date: 2024-11-05, treatment: radiotherapy, site: L1, details: {dose_gy: 8, fractions: 1}}
"""
OBJECTS_CHART = """schema: osteon-case/1
patient: p2
date: 2025-03-10
studies:
  - {id: ct1, modality: CT, file: ct, date: 2025-03-03, contrast: false}
labels:
  - {file: rs.dcm, study: ct1, answers: {L1: ignore, femur_right: femur_right}}
  - {file: seg.dcm, answers: {L1: ignore}}
  - {file: labels.nrrd, names: {1: muscle}}
structures:
  colon: {file: rs.dcm, roi: femur_right, approximate: true}
  urinary_bladder: {file: seg.dcm, label: 1}
doses:
  - {file: dose.dcm, study: ct1, date: 2024-11-05, note: 'made up'}
lesions:
  - {id: L1, bone: femur_right, outline: {file: rs.dcm, roi: L1}}
  - {id: L2, bone: unknown, outline: {file: seg.dcm, roi: L1, study: ct1}}
"""


# --- good files, made once per process


def _block() -> tuple[Any, Any]:
    from osteon.space.volume import Volume

    array = np.full((10, 12, 8), -100, np.int16)
    array[:, 3:9, 2:6] = 300
    array[:, 0, :] = -1000
    volume = Volume.of(array.astype(np.float32), np.diag([3.0, 2.0, 4.0, 1.0]))
    return volume, volume.with_array(array > 0)


@cache
def good() -> Path:
    """Return the folder of good files, one folder per target."""
    import atexit

    from osteon.io import images, rtstruct_write, seg_write

    folder = Path(tempfile.mkdtemp(prefix="osteon-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    volume, mask = _block()
    for name in ("case", "nifti"):
        images.write_nifti(volume, folder / name / "ct.nii.gz", dtype=np.int16)
        images.write_nifti(mask, folder / name / "labels.nii.gz")
        images.write_nifti(volume, folder / name / "ct.nii", dtype=np.int16)
    (folder / "case" / "ct.nii").unlink()
    (folder / "case" / "case.yaml").write_text(CHART, encoding="utf-8")
    images.write_series(volume.crop(np.array([0, 0, 0.0]), np.array([21, 22, 12.0])), folder / "dicom")
    uids = None
    rtstruct_write.write_rtstruct(_made(folder / "rtstruct") / "object.dcm", {"L1": mask}, references=uids)
    for kind in ("BINARY", "LABELMAP"):
        seg_write.write_seg(_made(folder / f"seg_{kind.lower()}") / "object.dcm", {"L1": mask}, kind=kind, references=uids)
    _dose(_made(folder / "rtdose") / "object.dcm")
    for ending in ("nrrd", "mha"):
        _itk(volume, _made(folder / "metaimage") / f"ct.{ending}")
    _more(folder, volume, mask)
    return folder


def _more(folder: Path, volume: Any, mask: Any) -> None:
    """Write the files of the targets that came later."""
    import pydicom
    from dicom_made import jpeg2000, write_enhanced, write_slices

    from osteon.io import rtstruct_write, seg_write
    from osteon.io.dicom_objects import image_uids

    small = volume.crop(np.array([0, 0, 0.0]), np.array([21, 22, 12.0]))
    write_enhanced(small, folder / "enhanced" / "object.dcm")
    seg_write.write_seg(_made(folder / "seg_fractional") / "object.dcm", {"L1": mask}, kind="FRACTIONAL")
    for codec in ("rle", "jpeg2000", "jpegls"):
        for file in write_slices(small, folder / "compressed" / codec).iterdir():
            data = pydicom.dcmread(file)
            if codec == "jpeg2000":
                jpeg2000(data)
            else:
                data.compress(pydicom.uid.RLELossless if codec == "rle" else pydicom.uid.JPEGLSLossless)
            data.save_as(file)
    case = _made(folder / "case_objects")
    write_slices(volume, case / "ct")
    uids = image_uids(case / "ct")
    drawn = {"L1": mask, "femur_right": mask}
    rtstruct_write.write_rtstruct(case / "rs.dcm", drawn, references=uids)
    seg_write.write_seg(case / "seg.dcm", drawn, references=uids)
    _dose(case / "dose.dcm", str(uids.frame))
    _itk(mask, case / "labels.nrrd")
    (case / "case.yaml").write_text(OBJECTS_CHART, encoding="utf-8")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _itk(volume: Any, path: Path) -> None:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(volume.array.astype(np.int16))
    image.SetSpacing(tuple(reversed(volume.spacing_mm)))
    sitk.WriteImage(image, str(path))


def _dose(path: Path, frame: str = "2.25.8") -> None:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.481.2", "2.25.7"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data: Any = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = meta.MediaStorageSOPClassUID, "2.25.7", "RTDOSE"
    data.FrameOfReferenceUID = frame
    data.DoseUnits, data.DoseType, data.DoseSummationType, data.DoseGridScaling = "GY", "PHYSICAL", "PLAN", 0.001
    data.ImagePositionPatient, data.ImageOrientationPatient, data.PixelSpacing = [0, 0, 0], [1, 0, 0, 0, 1, 0], [2, 3]
    data.Rows, data.Columns, data.NumberOfFrames, data.GridFrameOffsetVector = 6, 5, 3, [0, 4, 8]
    data.FrameIncrementPointer = 0x3004000C
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    data.PixelData = np.arange(90, dtype="<u2").tobytes()
    data["PixelData"].VR = "OW"
    data.save_as(path, enforce_file_format=True)


# --- targets: spoil a copy, then read it


def _read_case(folder: Path, rng: Rng) -> None:
    from osteon.case.load import load_case

    (folder / "case.yaml").write_bytes(spoil_yaml(CHART, rng))
    load_case(folder)


def _read_nifti(folder: Path, rng: Rng) -> None:
    from osteon.io import images, labels

    which = str(rng.choice(["ct.nii", "ct.nii.gz", "labels.nii.gz"]))
    path = folder / which
    data = path.read_bytes()
    if which.endswith("gz") and rng.random() < 0.3:
        path.write_bytes(spoil_bytes(data, rng))
    else:
        plain = gzip.decompress(data) if which.endswith("gz") else data
        spoiled = spoil_nifti(plain, rng) if rng.random() < 0.6 else spoil_bytes(plain, rng)
        path.write_bytes(gzip.compress(spoiled, 1) if which.endswith("gz") else spoiled)
    if which.startswith("ct"):
        images.check_ct(images.read(path).volume, path)
        return
    grid = _block()[0].canonical().grid
    for read in (lambda: labels.read(path, grid, names={1: "femur_right"}), lambda: labels.read_mask(path, grid)):
        read()


def _read_dicom(folder: Path, rng: Rng) -> None:
    from osteon.io import images

    files = sorted(folder.iterdir())
    path = files[int(rng.integers(len(files)))]
    if rng.random() < 0.6:
        spoil_dicom(path, rng)
    else:
        path.write_bytes(spoil_bytes(path.read_bytes(), rng))
    images.check_ct(images.read(folder).volume, folder)


def _object(read: Callable[[Path], object]) -> Callable[[Path, Rng], None]:
    def run(folder: Path, rng: Rng) -> None:
        path = folder / "object.dcm"
        if rng.random() < 0.7:
            spoil_dicom(path, rng)
        else:
            path.write_bytes(spoil_bytes(path.read_bytes(), rng))
        read(path)

    return run


def _rtstruct(path: Path) -> None:
    from osteon.io.rtstruct import read_rtstruct

    read_rtstruct(path, _block()[0])


def _seg(path: Path) -> None:
    from osteon.io.seg import read_seg

    grid = _block()[0].grid
    for segment in read_seg(path).segments:
        segment.on(grid)


def _rtdose(path: Path) -> None:
    from osteon.io.rtdose import read_dose

    read_dose(path)


def _metaimage(folder: Path, rng: Rng) -> None:
    from osteon.io import images

    path = folder / str(rng.choice(["ct.nrrd", "ct.mha"]))
    path.write_bytes(spoil_bytes(path.read_bytes(), rng))
    images.check_ct(images.read(path).volume, path)


def _enhanced(path: Path) -> None:
    from osteon.io import images

    images.check_ct(images.read(path).volume, path)


def _read_compressed(folder: Path, rng: Rng) -> None:
    from osteon.io import images

    codec = folder / str(rng.choice(["rle", "jpeg2000", "jpegls"]))
    files = sorted(codec.iterdir())
    path = files[int(rng.integers(len(files)))]
    if rng.random() < 0.3:
        spoil_dicom(path, rng)
    else:
        data = path.read_bytes()
        head = max(len(data) - int(rng.choice([200, 600, 1500])), 132)  # the pixels lie last; most often they are hit
        path.write_bytes(data[:head] + spoil_bytes(data[head:], rng))
    images.check_ct(images.read(codec).volume, codec)


def _read_case_objects(folder: Path, rng: Rng) -> None:
    from osteon.case.load import load_case

    which = str(rng.choice(["case.yaml", "rs.dcm", "seg.dcm", "dose.dcm", "labels.nrrd"], p=[0.4, 0.2, 0.2, 0.1, 0.1]))
    if which == "case.yaml":
        (folder / which).write_bytes(spoil_yaml(OBJECTS_CHART, rng))
    elif which.endswith("dcm") and rng.random() < 0.7:
        spoil_dicom(folder / which, rng)
    else:
        (folder / which).write_bytes(spoil_bytes((folder / which).read_bytes(), rng))
    load_case(folder)


TARGETS: dict[str, Callable[[Path, Rng], None]] = {
    "case": _read_case,
    "nifti": _read_nifti,
    "dicom": _read_dicom,
    "rtstruct": _object(_rtstruct),
    "seg_binary": _object(_seg),
    "seg_labelmap": _object(_seg),
    "rtdose": _object(_rtdose),
    "metaimage": _metaimage,
    "enhanced": _object(_enhanced),
    "seg_fractional": _object(_seg),
    "compressed": _read_compressed,
    "case_objects": _read_case_objects,
}
