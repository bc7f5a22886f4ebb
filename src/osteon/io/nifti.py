"""NIfTI files: read in any orientation, written so that equal volumes give equal bytes."""

from __future__ import annotations

import gzip
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np

from osteon.cache import write_atomically
from osteon.errors import ImageError, MissingError
from osteon.io.tilt import is_sheared, slice_axis, straighten
from osteon.space.volume import Array, Grid, Volume

FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
"""NIfTI's world is RAS, ours is LPS."""
MOST_VOXELS = 400_000_000
"""1.6 GB as float32: more than a whole-body CT at 1 mm; beyond it the 4 GB that a case may take would not do."""
DEFLATE_RATIO = 1040
"""gzip cannot shrink anything further than about 1032 to 1."""
VOXEL_MM = (0.01, 100.0)
"""A voxel outside is no body part in mm: most often a header in metres or micrometres, or an empty one."""


def read_volume(path: Path, *, integer: bool = False) -> Volume:
    """Read a 3-D NIfTI file in its own axes.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``.
    integer : bool
        Keep whole numbers, in the file's type or as int32 (label maps); otherwise float32.

    Returns
    -------
    Volume
        With affine to LPS mm, not yet canonical; voxels that the file marks as not a number stay so. Slices that lean
        (a gantry tilt) are shifted within their planes onto a grid with right angles; an image holds no number where they end.

    Raises
    ------
    MissingError
        If there is no such file.
    ImageError
        If it is damaged, not 3-D, has no usable affine, two that contradict each other, or labels that are not whole.
    """
    image = _open(path)
    _check_size(image, path)
    shape = tuple(n for i, n in enumerate(image.shape) if i < 3 or n > 1)
    if len(shape) != 3:
        raise ImageError(
            f"{path} has shape {image.shape}, not three dimensions.",
            "osteon works on one 3-D image at a time; a series of volumes has no single value per place.",
            "Extract the one volume that is meant and name that file.",
        )
    if float(np.prod([float(n) for n in shape])) > MOST_VOXELS:
        raise ImageError(
            f"{path} says it has {' x '.join(map(str, shape))} voxels, more than {MOST_VOXELS:.0e}.",
            "It would not fit into memory.",
            "Crop it to the region of the lesion, or check the size in its header.",
        )
    affine = FLIP @ _affine(image, path)
    grid = Grid.of((shape[2], shape[1], shape[0]), affine)
    try:
        if integer:
            raw = np.asarray(image.dataobj).reshape(shape)
            small = raw.dtype.kind in "iu" and np.can_cast(raw.dtype, np.int32)
            with np.errstate(invalid="ignore"):
                array = raw if small else np.rint(raw).astype(np.int32)
            if not (small or np.array_equal(array, raw)):
                raise ImageError(
                    f"{path} is used as a label map but holds values that are not whole, for example {_odd(raw):g}.",
                    "A label is a name; an interpolated label names a structure that is not there.",
                    "Export the label map again with nearest-neighbour interpolation, or name the right file.",
                )
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                array = image.get_fdata(dtype=np.float32, caching="unchanged").reshape(shape)
    except ImageError:
        raise
    except MemoryError as error:
        raise _too_large(path, tuple(int(n) for n in image.shape), "this machine's memory does not hold it") from error
    except Exception as error:  # zlib's, nibabel's, numpy's own for types such as RGB, depending on where a file breaks
        raise _damaged(path, error) from error
    array = np.ascontiguousarray(array.transpose(2, 1, 0))
    return _straight(array, affine) if is_sheared(affine) else Volume(array, grid)


def _straight(array: Array, affine: Array) -> Volume:
    """Take out a gantry tilt; outside the slices a label map holds 0 and an image what is not a number."""
    axis = slice_axis(affine) or 0
    first = [a for a in range(3) if a != axis]
    back = [2 - axis, *(2 - a for a in reversed(first))]
    turned = np.transpose(array, back)
    whole = np.issubdtype(array.dtype, np.integer)
    known = np.ones(turned.shape, bool)
    out, _, straight = straighten(turned, known, affine[:, [*first, axis, 3]], 0.0 if whole else np.nan)
    return Volume.of(out, straight)


def _odd(raw: Array) -> float:
    return float(raw[(np.rint(raw) != raw) | ~(np.abs(raw) < 2**31)].flat[0])


def _damaged(path: Path, error: Exception) -> ImageError:
    told = " ".join(f"{error}".split())[:200].rstrip("?.") or type(error).__name__
    return ImageError(
        f"{path} cannot be read as NIfTI: {told}.", "Without the image nothing can be judged.", "Export or copy the file again."
    )


def _check_size(image: Any, path: Path) -> None:
    """Refuse a header that promises more than the file can hold, before any of it is read."""
    shape = tuple(int(n) for n in image.shape)
    voxels, on_disk = math.prod(shape), path.stat().st_size
    if not shape or min(shape) < 1:
        raise ImageError(f"{path} has shape {shape}.", "There is no voxel in it.", "Export the image again.")
    promised = voxels * int(np.dtype(image.get_data_dtype()).itemsize)
    possible = on_disk * (DEFLATE_RATIO if path.name.endswith((".gz", ".bz2", ".zst")) else 1)
    if path.name.endswith((".nii", ".nii.gz")) and promised > possible:
        raise _too_large(path, shape, f"{on_disk:,} bytes on disk cannot hold that")
    if voxels > MOST_VOXELS:
        raise _too_large(path, shape, f"osteon reads at most {MOST_VOXELS:,} voxels")


def _too_large(path: Path, shape: tuple[int, ...], why: str) -> ImageError:
    return ImageError(
        f"{path} says it holds {' x '.join(map(str, shape))} voxels; {why}.",
        "A header that promises more than there is belongs to a damaged or cut file; too large an image would fill the memory.",
        "Copy or export the file again; crop it to the region round the lesion if it truly is so large.",
    )


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Collect nibabel's remarks on a header instead of letting it print them."""
    said: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        said.append(record.getMessage())
        return False

    log = logging.getLogger("nibabel.global")
    log.addFilter(keep)
    try:
        yield said
    finally:
        log.removeFilter(keep)


def _open(path: Path) -> Any:
    if not path.is_file():
        raise MissingError(
            f"There is no file {path}.", "The case names it.", "Put it there, or correct the path (relative to case.yaml)."
        )
    try:
        with _listening() as said:
            image = nib.load(path)
    except Exception as error:  # nibabel raises its own classes, OSError, EOFError and zlib's, depending on where a file breaks
        raise _damaged(path, error) from error
    if any("pixdim" in text for text in said):
        raise _damaged(path, ValueError("; ".join(said)))
    return image


def _affine(image: Any, path: Path) -> Array:
    """Return the RAS affine, refusing none, not-a-number and contradicting ones, and three axes askew."""
    affine = np.asarray(image.affine, float)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if np.isfinite(affine).all() and not all(VOXEL_MM[0] <= v <= VOXEL_MM[1] for v in spacing):
        raise ImageError(
            f"{path} has voxels of {' x '.join(f'{v:.3g}' for v in spacing)} mm.",
            "Every length, volume and dose follows from the voxel size; this is none of a patient in mm.",
            "Export the image again; look whether its header is in metres or micrometres, or empty.",
        )
    if not np.isfinite(affine).all():
        raise ImageError(
            f"{path} has an affine with values that are not numbers: {affine.tolist()}.",
            "Without it no voxel has a place in the patient.",
            "Export the image again.",
        )
    header = image.header
    if hasattr(header, "get_sform"):
        try:
            sform, s_code = header.get_sform(coded=True)
            qform, q_code = header.get_qform(coded=True)
        except Exception as error:  # nibabel refuses a quaternion that is none and negative voxel sizes
            raise _damaged(path, error) from error
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
    if slice_axis(affine) is None:
        raise ImageError(
            f"{path} has three axes that are not at right angles to each other: no gantry tilt explains that.",
            "Distances and needle angles would be wrong.",
            "Export the image again from DICOM.",
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
