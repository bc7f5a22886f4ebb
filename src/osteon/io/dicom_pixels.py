"""Pixels of DICOM slices: decoded, rescaled slice by slice, padding told apart; what cannot be decoded is named."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.pixels import get_decoder

from osteon.errors import ImageError, MissingError
from osteon.io.dicom_decode import decode_ahead, misfit, processes_for
from osteon.io.dicom_scan import Plane, text
from osteon.space.volume import Array

AIR_HU = -1024.0
FILL_BELOW_HU, FILL_LEAST, FILL_LEAST_VOXELS = -1500.0, 1e-3, 64
"""Scanners fill the corners outside their circle with one value far below air; fewer voxels than this are streaks of metal."""
DECODERS = {
    "1.2.840.10008.1.2.4.50": "pillow",
    "1.2.840.10008.1.2.4.51": "pillow",
    "1.2.840.10008.1.2.4.57": "SimpleITK, or pylibjpeg with pylibjpeg-libjpeg",
    "1.2.840.10008.1.2.4.70": "SimpleITK, or pylibjpeg with pylibjpeg-libjpeg",
    "1.2.840.10008.1.2.4.80": "pyjpegls",
    "1.2.840.10008.1.2.4.81": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pillow",
    "1.2.840.10008.1.2.4.91": "pillow",
    "1.2.840.10008.1.2.4.201": "pylibjpeg with pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.202": "pylibjpeg with pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.203": "pylibjpeg with pylibjpeg-openjpeg",
}
"""Transfer syntax to what decodes it."""
BY_SIMPLEITK = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")


@dataclass(frozen=True, eq=False)
class Decoded:
    """One plane: stored values, and the data set that it came from."""

    raw: Array
    data: Any


def load(
    planes: Sequence[Plane], path: Path, modality: str, notes: list[str], observe: Callable[[float], None] | None = None
) -> tuple[Array, Array]:
    """Read planes into one float32 array.

    Parameters
    ----------
    planes : sequence of Plane
        In order; all of one size.
    path : Path
        Named in errors.
    modality : str
        Decides the value of padding: air in a CT, else 0.
    notes : list of str
        What was found is appended.
    observe : callable
        Called with the fraction done, from 0 to 1.

    Returns
    -------
    tuple of ndarray, shape (z, y, x)
        Rescaled values, and where they are imaged.

    Raises
    ------
    ImageError
        If a file is damaged, is a colour image, or only some slices say how to rescale.
    MissingError
        If the decoder that a compressed file needs is not installed.
    """
    fill = AIR_HU if modality == "CT" else 0.0
    out: Array | None = None
    imaged: Array = np.ones((0, 0, 0), bool)
    unscaled: list[str] = []
    by_file: dict[Path, list[int]] = {}
    for index, plane in enumerate(planes):
        by_file.setdefault(plane.path, []).append(index)
    done = 0
    for places, decoded in _all_decoded(by_file, planes):
        for index, one in zip(places, decoded, strict=False):
            _check(planes[index], one.raw, path)
            if out is None:  # only now is the size in the header known to be true
                out = np.empty((len(planes), *one.raw.shape), np.float32)
                imaged = np.ones(out.shape, bool)
            if not _rescale(planes[index], one, out[index]):
                unscaled.append(planes[index].name)
            padding = _padding(one.data, one.raw)
            if padding is not None and padding.any():
                imaged[index] = ~padding
                out[index][padding] = fill
            done += 1
            if observe is not None:
                observe(done / len(planes))
    if out is None or done != len(planes):
        raise damaged(planes[min(done, len(planes) - 1)].path, "it holds fewer frames than its header says")
    _tell_rescale(unscaled, len(planes), path, modality, notes)
    if modality == "CT":
        lowest = corner_fill(out)
        if lowest is not None:
            corners = out == lowest
            imaged &= ~corners
            out[corners] = fill
    if not imaged.all():
        notes.append(f"{int(imaged.size - np.count_nonzero(imaged))} padding voxels are not imaged")
    return out, imaged


def corner_fill(array: Array) -> float | None:
    """Return the value with which corners outside the scanner's circle are filled, far below air; None if there is none."""
    lowest = float(array.min())
    if lowest > FILL_BELOW_HU:
        return None
    return lowest if np.count_nonzero(array == lowest) > max(FILL_LEAST * array.size, FILL_LEAST_VOXELS) else None


def _all_decoded(by_file: dict[Path, list[int]], planes: Sequence[Plane]) -> Iterator[tuple[list[int], Iterator[Decoded]]]:
    """Return for each file its places and planes; many slices of a slow compression are decoded beside this process."""
    first = next(iter(by_file), None)
    several = 1
    if first is not None and all(plane.frame is None for plane in planes):
        several = processes_for(_syntax(_open(first, header_only=True)), len(by_file))
    ahead = decode_ahead(list(by_file), several) if several > 1 else None
    try:
        for file, places in by_file.items():
            raw = None if ahead is None else next(ahead, None)
            if raw is None:
                yield places, _decode(file, [planes[i].frame for i in places])
            else:
                yield places, iter([Decoded(raw, _open(file, header_only=True))])
    finally:
        if ahead is not None:
            ahead.close()


def _open(file: Path, *, header_only: bool = False) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pydicom.dcmread(file, force=True, stop_before_pixels=header_only)
    except Exception as error:
        raise damaged(file, f"{type(error).__name__}: {error}") from error


def _syntax(data: Any) -> str:
    meta = getattr(data, "file_meta", None)
    return text(meta, "TransferSyntaxUID") if meta is not None else ""


def _decode(file: Path, frames: list[int | None]) -> Iterator[Decoded]:
    data = _open(file)
    meta, syntax = getattr(data, "file_meta", None), _syntax(data)
    if meta is not None and not syntax:
        meta.TransferSyntaxUID = "1.2.840.10008.1.2"
    if syntax in BY_SIMPLEITK and not _available(syntax):
        stack = _through_simpleitk(file, data, syntax)
        for frame in frames:
            yield Decoded(stack[frame or 0], data)
        return
    if syntax in DECODERS and not _available(syntax):
        raise _no_decoder(file, syntax)
    for frame in frames:
        wrong = misfit(data, frame) if syntax in DECODERS else ""
        if wrong:
            raise damaged(file, wrong)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                raw = data.pixel_array if frame is None else pydicom.pixels.pixel_array(data, index=frame)
        except Exception as error:  # decoders raise whatever they like
            raise damaged(file, str(error)) from error
        yield Decoded(raw, data)


def _available(syntax: str) -> bool:
    try:
        return bool(get_decoder(syntax).is_available)
    except (NotImplementedError, KeyError, ValueError):
        return False


def _through_simpleitk(file: Path, data: Any, syntax: str) -> Array:
    """Return the stored values (frame, y, x) of a file that only SimpleITK can decode; it rescales, which is undone."""
    try:
        import SimpleITK
    except ImportError as error:
        raise _no_decoder(file, syntax) from error
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        values = np.asarray(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file))), float)
    except Exception as error:
        raise damaged(file, str(error).strip().splitlines()[-1]) from error
    try:
        slope, intercept = float(data.get("RescaleSlope") or 1), float(data.get("RescaleIntercept") or 0)
    except Exception as error:
        raise damaged(file, f"rescale slope or intercept: {error}") from error
    raw = np.rint((values - intercept) / slope).astype(np.int32)
    return raw if raw.ndim > 2 else raw[None]


def _no_decoder(file: Path, syntax: str) -> MissingError:
    name = pydicom.uid.UID(syntax).name
    return MissingError(
        f"{file} is compressed as {name}, and no decoder for it is installed.",
        "Its pixels cannot be read, and one missing slice is a hole in the patient.",
        f"Install {DECODERS[syntax]} (pip install), or export the series uncompressed.",
    )


def damaged(file: Path, why: str) -> ImageError:
    """Return the error for a file whose pixels cannot be read."""
    return ImageError(
        f"The pixels of {file} cannot be decoded ({' '.join(why.split())[:200]}).",
        "One missing slice is a hole in the patient.",
        "Copy or export this file again; it may be cut short.",
    )


def _check(plane: Plane, raw: Array, path: Path) -> None:
    if raw.ndim != 2:
        raise ImageError(
            f"{plane.name} in {path} is a colour image or holds several frames.",
            "It holds no HU.",
            "Name the folder of the original series.",
        )
    if raw.shape != (plane.rows, plane.columns):
        raise damaged(plane.path, f"{raw.shape[0]} x {raw.shape[1]} pixels where the header says {plane.rows} x {plane.columns}")


def _rescale(plane: Plane, one: Decoded, out: Array) -> bool:
    """Write rescaled values; return whether the file said how."""
    data = one.data
    told = plane.rescale
    if told is None and "ModalityLUTSequence" in data:
        try:
            out[...] = pydicom.pixels.apply_modality_lut(one.raw, data)
        except Exception as error:
            raise damaged(plane.path, f"modality look-up table: {error}") from error
        return True
    if told is None:
        try:
            slope, intercept = data.get("RescaleSlope"), data.get("RescaleIntercept")
            told = None if slope in (None, "") else (float(slope), float(intercept or 0))
        except Exception as error:  # pydicom converts on access and raises what it likes
            raise damaged(plane.path, f"rescale slope or intercept: {error}") from error
    slope, intercept = told or (1.0, 0.0)
    if not (np.isfinite([slope, intercept]).all() and slope != 0):
        raise damaged(plane.path, f"rescale slope {slope:g} and intercept {intercept:g}")
    np.multiply(one.raw, np.float32(slope), out=out, casting="unsafe")
    out += np.float32(intercept)
    return told is not None


def _tell_rescale(unscaled: list[str], count: int, path: Path, modality: str, notes: list[str]) -> None:
    if not unscaled:
        return
    if modality == "CT" and len(unscaled) < count:
        raise ImageError(
            f"{len(unscaled)} of {count} slices in {path} have no rescale slope ({unscaled[0]} first), the others have one.",
            "HU would jump from slice to slice.",
            "Export the series again from the archive.",
        )
    notes.append(f"{len(unscaled)} of {count} slices have no rescale slope; 1 and 0 were used")


def _padding(data: Any, raw: Array) -> Array | None:
    try:
        value = data.get("PixelPaddingValue")
        if value is None:
            return None
        limit = data.get("PixelPaddingRangeLimit")
        bits = 1 << int(data.get("BitsAllocated", 16))
        signed = int(data.get("PixelRepresentation", 0)) == 1
        ends = [int(value) % bits, int(value if limit is None else limit) % bits]
    except Exception:  # a padding value that is no number pads nothing
        return None
    low, high = sorted(v - bits if signed and v >= bits // 2 else v for v in ends)  # exporters mix up US and SS
    return np.asarray((raw >= low) & (raw <= high))
