"""NRRD and MetaImage files, read through SimpleITK, in any orientation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from osteon.errors import ImageError, MissingError
from osteon.io.tilt import is_sheared
from osteon.space.volume import Grid, Volume

ENDINGS = (".nrrd", ".nhdr", ".mha", ".mhd")
LONGEST_HEADER = 65_536
MOST_VOXELS = 600_000_000


def read_volume(path: Path, *, integer: bool = False) -> Volume:
    """Read a 3-D NRRD or MetaImage file in its own axes.

    Parameters
    ----------
    path : Path
        ``.nrrd``, ``.nhdr``, ``.mha`` or ``.mhd``.
    integer : bool
        Keep whole numbers as int32 (label maps); otherwise float32.

    Returns
    -------
    Volume
        With affine to LPS mm, not yet canonical.

    Raises
    ------
    MissingError
        If there is no such file, or SimpleITK is not installed.
    ImageError
        If it is damaged, not 3-D, too large, does not say where it lies, or labels are not whole.
    """
    if not path.is_file():
        raise MissingError(
            f"There is no file {path}.", "The case names it.", "Put it there, or correct the path (relative to case.yaml)."
        )
    _check_header(path)
    _check_place(path)
    reader = _reader(path)
    try:
        image = reader.Execute()
    except Exception as error:  # SimpleITK raises RuntimeError with a page of text
        raise _damaged(path, error) from error
    import SimpleITK

    raw = SimpleITK.GetArrayFromImage(image)
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    grid = Grid.of(raw.shape, affine)
    if is_sheared(affine):
        raise ImageError(
            f"{path} has axes that are not at right angles: a gantry tilt.",
            "Distances and needle angles would be wrong by that tilt.",
            "Name the DICOM series or a NIfTI file of it, which osteon straightens.",
        )
    if not integer:
        return Volume(np.ascontiguousarray(raw, np.float32), grid)
    whole = np.rint(raw).astype(np.int32)
    if not np.array_equal(whole, raw):
        odd = float(raw[raw != np.rint(raw)].flat[0])
        raise ImageError(
            f"{path} is used as a label map but holds values that are not whole, for example {odd:g}.",
            "A label is a name; an interpolated label names a structure that is not there.",
            "Export the label map again with nearest-neighbour interpolation, or name the right file.",
        )
    return Volume(whole, grid)


def _check_header(path: Path) -> None:
    """Refuse a header that is not short lines of text with an end: ITK's parsers crash the process on pixels read as header."""
    with path.open("rb") as stream:
        start = stream.read(LONGEST_HEADER).replace(b"\r\n", b"\n")
    if path.suffix.lower() in (".nrrd", ".nhdr"):
        header, end, _ = start.partition(b"\n\n")
        ended = bool(end) or path.suffix.lower() == ".nhdr"
    else:
        header, end, rest = start.partition(b"ElementDataFile")
        header, ended = header + end + rest.partition(b"\n")[0], bool(end)
    try:
        text = header.decode()
        good = ended and all(len(row) < 2000 and row.replace("\t", " ").isprintable() for row in text.split("\n"))
    except UnicodeDecodeError:
        good = False
    if not good:
        raise _damaged(path, ValueError("its header is not lines of text, or has no end"))


def _reader(path: Path) -> Any:
    """Return a reader that has read the header; refuse what is not one 3-D image of numbers, before its pixels are read."""
    try:
        import SimpleITK
    except ImportError as error:
        raise MissingError(
            f"{path.name} needs SimpleITK, which is not installed.",
            "NRRD and MetaImage are read through it.",
            "Install it (pip install SimpleITK), or export the image as NIfTI.",
        ) from error
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except Exception as error:
        raise _damaged(path, error) from error
    size = reader.GetSize()
    if len(size) != 3 or reader.GetNumberOfComponents() != 1:
        raise ImageError(
            f"{path} has {len(size)} dimensions and {reader.GetNumberOfComponents()} values per voxel, not 3 and 1.",
            "osteon works on one 3-D image at a time.",
            "Extract the one volume that is meant and name that file.",
        )
    if int(np.prod([int(n) for n in size], dtype=object)) > MOST_VOXELS:
        raise ImageError(
            f"{path} says it has {' x '.join(map(str, size))} voxels, more than {MOST_VOXELS:.0e}.",
            "It would not fit into memory.",
            "Crop it to the region of the lesion, or check the size in its header.",
        )
    return reader


def _check_place(path: Path) -> None:
    """Refuse a header that leaves orientation to the reader's guess."""
    with path.open("rb") as stream:
        head = stream.read(65536).decode("latin-1")
    if path.suffix in (".nrrd", ".nhdr"):
        head = head.split("\n\n")[0].split("\r\n\r\n")[0]
        missing = [k for k in ("space", "space directions", "space origin") if not re.search(rf"^{k}\s*:", head, re.M)]
    else:
        head = head.split("ElementDataFile")[0]
        matrix = re.search(r"^(TransformMatrix|Orientation|Rotation)\s*=", head, re.M)
        origin = re.search(r"^(Offset|Position|Origin)\s*=", head, re.M)
        missing = [name for name, found in (("TransformMatrix", matrix), ("Offset", origin)) if not found]
    if missing:
        raise ImageError(
            f"{path} has no {', '.join(missing)} in its header.",
            "Left and right, and the place in the patient, would be guesses.",
            "Export it again from DICOM with orientation and origin.",
        )


def _damaged(path: Path, error: Exception) -> ImageError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "No such file" not in line]  # ITK's stale errno
    return ImageError(
        f"{path} cannot be read: {lines[-1][:200] if lines else type(error).__name__}.",
        "Without the image nothing can be judged.",
        "Export or copy the file again.",
    )
