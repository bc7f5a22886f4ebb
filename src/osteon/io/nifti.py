"""NIfTI files: read in any orientation, written so that equal volumes give equal bytes."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np

from osteon.cache import write_atomically
from osteon.errors import ImageError, MissingError
from osteon.space.volume import Array, Grid, Volume

FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
"""NIfTI's world is RAS, ours is LPS."""


def read_volume(path: Path, *, integer: bool = False) -> Volume:
    """Read a 3-D NIfTI file in its own axes.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``.
    integer : bool
        Keep whole numbers as int32 (label maps); otherwise float32.

    Returns
    -------
    Volume
        With affine to LPS mm, not yet canonical; voxels that the file marks as not a number stay so.

    Raises
    ------
    MissingError
        If there is no such file.
    ImageError
        If it is damaged, not 3-D, has no usable affine, two that contradict each other, or labels that are not whole.
    """
    image = _open(path)
    shape = tuple(n for i, n in enumerate(image.shape) if i < 3 or n > 1)
    if len(shape) != 3:
        raise ImageError(
            f"{path} has shape {image.shape}, not three dimensions.",
            "osteon works on one 3-D image at a time; a series of volumes has no single value per place.",
            "Extract the one volume that is meant and name that file.",
        )
    grid = Grid.of((shape[2], shape[1], shape[0]), FLIP @ _affine(image, path))
    try:
        if integer:
            raw = np.asarray(image.dataobj).reshape(shape)
            array = np.rint(raw).astype(np.int32)
            if not np.array_equal(array, raw):
                raise ImageError(
                    f"{path} is used as a label map but holds values that are not whole, for example {_odd(raw):g}.",
                    "A label is a name; an interpolated label names a structure that is not there.",
                    "Export the label map again with nearest-neighbour interpolation, or name the right file.",
                )
        else:
            array = image.get_fdata(dtype=np.float32, caching="unchanged").reshape(shape)
    except (OSError, EOFError, ValueError) as error:
        raise _damaged(path, error) from error
    return Volume(np.ascontiguousarray(array.transpose(2, 1, 0)), grid)


def _odd(raw: Array) -> float:
    return float(raw[raw != np.rint(raw)].flat[0])


def _damaged(path: Path, error: Exception) -> ImageError:
    return ImageError(
        f"{path} cannot be read as NIfTI: {error}.", "Without the image nothing can be judged.", "Export or copy the file again."
    )


def _open(path: Path) -> Any:
    if not path.is_file():
        raise MissingError(
            f"There is no file {path}.", "The case names it.", "Put it there, or correct the path (relative to case.yaml)."
        )
    try:
        return nib.load(path)
    except Exception as error:  # nibabel raises its own classes, OSError, EOFError and zlib's, depending on where a file breaks
        raise _damaged(path, error) from error


def _affine(image: Any, path: Path) -> Array:
    """Return the RAS affine, refusing none, not-a-number, contradicting or sheared ones."""
    affine = np.asarray(image.affine, float)
    if not np.isfinite(affine).all():
        raise ImageError(
            f"{path} has an affine with values that are not numbers: {affine.tolist()}.",
            "Without it no voxel has a place in the patient.",
            "Export the image again.",
        )
    header = image.header
    if hasattr(header, "get_sform"):
        sform, s_code = header.get_sform(coded=True)
        qform, q_code = header.get_qform(coded=True)
        if s_code == 0 and q_code == 0:
            raise ImageError(
                f"{path} has neither sform nor qform (both codes are 0).",
                "Left and right, and the place in the patient, would be guesses.",
                "Export it again from DICOM, or set the sform from a trusted source.",
            )
        if s_code and q_code and not _same_place(sform, qform, image.shape):
            raise ImageError(
                f"{path} has an sform and a qform that disagree: {sform.round(3).tolist()} and {qform.round(3).tolist()}.",
                "Two programs would put the lesion in two places.",
                "Decide which is right and remove the other (set its code to 0).",
            )
    directions = affine[:3, :3] / np.maximum(np.linalg.norm(affine[:3, :3], axis=0), 1e-12)
    skew = float(np.abs(directions.T @ directions - np.eye(3)).max())
    if skew > 0.01:
        raise ImageError(
            f"{path} has axes that are not at right angles (cosine {skew:.3f}): a gantry tilt.",
            "Distances and needle angles would be wrong by that tilt.",
            "Resample the image to a straight grid first.",
        )
    return affine


def _same_place(one: Any, other: Any, shape: tuple[int, ...]) -> bool:
    corners = np.array([[i, j, k, 1] for i in (0, shape[0] - 1) for j in (0, shape[1] - 1) for k in (0, shape[2] - 1)], float)
    if one is None or other is None or not (np.isfinite(one).all() and np.isfinite(other).all()):
        return False
    gap = float(np.linalg.norm((corners @ (np.asarray(one) - np.asarray(other)).T)[:, :3], axis=1).max())
    voxel = float(np.linalg.norm(np.asarray(one)[:3, :3], axis=0).min())
    return gap <= 0.25 * voxel


def write_nifti(volume: Volume, path: Path, *, dtype: Any = None) -> Path:
    """Write a volume; the file is seen whole or not at all, and equal volumes give equal bytes.

    Parameters
    ----------
    volume : Volume
        Bool is written as uint8.
    path : Path
        ``.nii`` or ``.nii.gz``.
    dtype : numpy dtype
        Of the file; the array's own if None.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ImageError
        If the name does not end in .nii or .nii.gz.
    OsteonError
        If it cannot be written.
    """
    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise ImageError(
            f"{path.name} does not end in .nii or .nii.gz.", "Other programs would not know the format.", "Choose such a name."
        )
    array = volume.array
    kind = np.dtype(dtype) if dtype is not None else np.dtype(np.uint8) if array.dtype == bool else array.dtype
    if kind == np.float64:
        kind = np.dtype(np.float32)
    if kind == np.int64:
        kind = np.dtype(np.int32)
    affine = FLIP @ volume.grid.matrix
    image: Any = nib.Nifti1Image(np.asfortranarray(array.transpose(2, 1, 0).astype(kind)), affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    image.header.set_xyzt_units("mm")
    data = cast(bytes, image.to_bytes())
    if path.name.endswith(".gz"):
        data = gzip.compress(data, compresslevel=3, mtime=0)
    write_atomically(path, data)
    return path
