"""Images from files: NIfTI, NRRD, MetaImage or a DICOM series, always float32 in canonical LPS axes with what was imaged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from osteon.errors import ImageError, MissingError
from osteon.io import metaimage
from osteon.io.dicom_ct import Series, list_series, read_series, write_series
from osteon.io.dicom_pixels import AIR_HU, corner_fill
from osteon.io.dicom_scan import read_header
from osteon.io.nifti import read_volume, write_nifti
from osteon.space.volume import Volume

__all__ = [
    "ImageFile",
    "Series",
    "check_ct",
    "digest_of",
    "list_series",
    "missing",
    "read",
    "write_nifti",
    "write_series",
]

AIR_IN_CT_HU = -200.0


@dataclass(frozen=True, eq=False)
class ImageFile:
    """An image as read from a file or folder.

    Parameters
    ----------
    volume : Volume
        float32, canonical axes (x to the left, y to the back, z to the head).
    imaged : Volume of bool
        False for padding and for values that are not numbers.
    modality : str
        As the DICOM header says; "unknown" for NIfTI.
    date : datetime.date or None
        Of acquisition.
    patient_position : str
        HFS, FFP, ..., or "unknown".
    notes : tuple of str
        What the reader did that one should know.
    contrast : bool or None
        Whether contrast agent was given; None: not stated.
    contrast_agent, phase, kernel : str
        As the header says; empty where not stated.
    kvp : float or None
        Tube voltage [kV].
    slice_spacing_mm, slice_thickness_mm : float or None
        Between slice planes, by their positions; as the header says. None for NIfTI, NRRD and MetaImage.
    """

    volume: Volume
    imaged: Volume
    modality: str = "unknown"
    date: date | None = None
    patient_position: str = "unknown"
    notes: tuple[str, ...] = ()
    contrast: bool | None = None
    contrast_agent: str = ""
    phase: str = ""
    kernel: str = ""
    kvp: float | None = None
    slice_spacing_mm: float | None = None
    slice_thickness_mm: float | None = None


def read(path: Path, *, series: str | None = None, observe: Callable[[float], None] | None = None) -> ImageFile:
    """Read an image.

    Parameters
    ----------
    path : Path
        A NIfTI, NRRD or MetaImage file, a DICOM file or a folder of DICOM files.
    series : str or None
        Which DICOM series, where a folder holds several: UID, number or description, as ``list_series`` gives them.
    observe : callable
        Called with the fraction done, from 0 to 1, while a DICOM series is read.

    Returns
    -------
    ImageFile
        In canonical LPS axes.

    Raises
    ------
    MissingError
        If nothing is there, or a decoder is not installed.
    ImageError
        If it cannot be used; the message says why.
    """
    path = Path(path)
    if not path.exists():
        raise missing(path)
    if path.is_file() and path.name.endswith((".nii", ".nii.gz")):
        return _from_volume(read_volume(path))
    if path.is_file() and path.suffix.lower() in metaimage.ENDINGS:
        return _from_volume(metaimage.read_volume(path))
    if path.is_file():
        _check_dicom(path)
    stack = read_series(path, series, observe)
    told = stack.acquisition
    return ImageFile(
        stack.volume.canonical(),
        stack.imaged.canonical(),
        stack.modality,
        stack.date,
        stack.patient_position,
        stack.notes,
        told.contrast,
        told.contrast_agent,
        told.phase,
        told.kernel,
        told.kvp,
        told.slice_spacing_mm,
        told.slice_thickness_mm,
    )


def _check_dicom(path: Path) -> None:
    """Refuse a file that is no image of a known kind, before the folder round it is searched for slices."""
    if read_header(path) is None:
        raise ImageError(
            f"{path} is no NIfTI, NRRD, MetaImage or DICOM file.",
            "Other pictures hold neither HU nor a place in the patient.",
            "Name the original image: a .nii, .nii.gz, .nrrd, .mha file, or a DICOM folder.",
        )


def _from_volume(given: Volume) -> ImageFile:
    volume = given.canonical()
    array, notes = volume.array, []
    imaged = np.isfinite(array)
    lowest = corner_fill(np.where(imaged, array, np.float32(0)))
    if lowest is not None:
        imaged &= array != lowest
    if not imaged.all():
        notes.append(f"{int((~imaged).sum())} voxels hold padding or no number; they are not imaged")
        least = float(array[imaged].min()) if imaged.any() else 0.0
        fill = AIR_HU if least < AIR_IN_CT_HU else least  # air must not make an MR look like a CT
        array = np.where(imaged, array, np.float32(fill))
    return ImageFile(volume.with_array(array), volume.with_array(imaged), notes=tuple(notes))


def check_ct(volume: Volume, path: Path) -> None:
    """Refuse an image that cannot be a CT in HU.

    Raises
    ------
    ImageError
        If it holds neither air nor fat (as an MR does), or values that no CT has.
    """
    low, high = (float(v) for v in np.percentile(volume.array[:: max(1, volume.array.shape[0] // 40)], [0.1, 99.9]))
    if low > -60 or high < 20 or high > 32767:
        raise ImageError(
            f"{path} is used as CT, but its values run from {low:.0f} to {high:.0f}: no fat, no air.",
            "Bone, fat and tumour are told apart by HU, which an MR or a windowed picture does not hold.",
            "Name the original CT, or give the right `modality`.",
        )


def digest_of(path: Path) -> str:
    """Return the sha256 of a file, or of the names and contents of a folder's files."""
    sha = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        if path.is_dir():
            sha.update(str(file.relative_to(path).as_posix()).encode())
        sha.update(file.read_bytes())
    return sha.hexdigest()


def missing(path: Path, where: str = "") -> MissingError:
    """Return the error for a file that a case names and that is not there."""
    return MissingError(
        f"{where}: there is no file or folder {path}." if where else f"There is no file or folder {path}.",
        "Without it nothing can be judged.",
        "Put it there, or correct the path (relative to case.yaml).",
    )
