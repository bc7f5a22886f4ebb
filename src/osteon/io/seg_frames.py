"""The frames of a DICOM SEG: where each lies, the lattice that all of them share, and their unpacked pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from osteon.errors import ImageError
from osteon.io.dicom_objects import axes_of, numbers
from osteon.space.volume import Array, Grid

Kind = Literal["BINARY", "FRACTIONAL", "LABELMAP"]
MOST_SLICES = 4096


@dataclass(frozen=True, eq=False)
class Frames:
    """Place and segment of every frame."""

    shape: tuple[int, int]
    axes: Array
    spacing: Array
    places: Array
    numbers: tuple[int, ...]
    step: float | None
    thickness: float | None

    @classmethod
    def of(cls, data: Any, kind: Kind, path: Path) -> Frames:
        count = int(data.get("NumberOfFrames") or 1)
        items = list(data.get("PerFrameFunctionalGroupsSequence") or ())
        shared = (data.get("SharedFunctionalGroupsSequence") or [None])[0]
        if count < 1 or len(items) != count:
            raise ImageError(
                f"{path} announces {count} frames and describes {len(items)}.",
                "A frame without description has no place in the patient.",
                "Export the segmentation again.",
            )
        axes, spacing, places, segments = [], [], [], []
        step = thickness = None
        for item in items:
            measures = _group(item, shared, "PixelMeasuresSequence", path)
            axes.append(axes_of(_group(item, shared, "PlaneOrientationSequence", path).get("ImageOrientationPatient"), path))
            spacing.append(numbers(measures.get("PixelSpacing"), 2, path, "PixelSpacing"))
            position = _group(item, shared, "PlanePositionSequence", path).get("ImagePositionPatient")
            places.append(numbers(position, 3, path, "ImagePositionPatient"))
            step = step or abs(float(measures.get("SpacingBetweenSlices") or 0)) or None
            thickness = thickness or float(measures.get("SliceThickness") or 0) or None
            if kind != "LABELMAP":
                segments.append(int(_group(item, shared, "SegmentIdentificationSequence", path).ReferencedSegmentNumber))
        if np.ptp(axes, axis=0).max() > 1e-3 or np.ptp(spacing, axis=0).max() > 1e-3 or np.min(spacing) <= 0:
            raise ImageError(
                f"The frames of {path} have different directions or pixel sizes.",
                "They do not lie on one lattice.",
                "Export one segmentation per image series.",
            )
        return cls((int(data.Rows), int(data.Columns)), axes[0], spacing[0], np.array(places), tuple(segments), step, thickness)


def _group(item: Any, shared: Any, name: str, path: Path) -> Any:
    for place in (item, shared):
        found = None if place is None else place.get(name)
        if found:
            return found[0]
    raise ImageError(
        f"A frame of {path} has no {name}.", "It has no place in the patient or no meaning.", "Export the segmentation again."
    )


def lattice(frames: Frames, path: Path) -> tuple[Grid, Array, list[str]]:
    """Return the grid that all frames lie on, the slice of every frame, and notes."""
    notes: list[str] = []
    along = frames.places @ frames.axes[:, 2]
    sideways = frames.places - np.outer(along, frames.axes[:, 2])
    if np.ptp(sideways, axis=0).max() > 0.5 * float(frames.spacing.min()):
        raise ImageError(
            f"The frames of {path} are shifted sideways by up to {np.ptp(sideways, axis=0).max():.2f} mm.",
            "They do not lie on one straight lattice (tiles, or a tilted gantry).",
            "Export the segmentation of the straightened series.",
        )
    distinct = np.unique(np.round(along, 3))
    gaps = np.diff(distinct)
    tried = [s for s in (frames.step, float(gaps.min()) if gaps.size else None, frames.thickness) if s]
    step = next((s for s in tried if not gaps.size or _whole((distinct - distinct[0]) / s)), None)
    if step is None:
        raise ImageError(
            f"The frames of {path} lie {np.unique(gaps.round(3)).tolist()} mm apart, which no slice spacing explains.",
            "Slices between them would be guessed.",
            "Export the segmentation on the image's own slices.",
        )
    if frames.step and abs(step - frames.step) > 0.01 * step:
        notes.append(f"SpacingBetweenSlices says {frames.step} mm, the positions {step:.3f} mm; positions were used")
    count = round(float(distinct[-1] - distinct[0]) / step) + 1
    if count > MOST_SLICES or not (0 < frames.shape[0] <= 2**15 and 0 < frames.shape[1] <= 2**15):
        raise ImageError(
            f"{path} spans {count} slices of {frames.shape[0]} x {frames.shape[1]}.",
            "No scanner makes that many; the positions are damaged.",
            "Export the segmentation again.",
        )
    if count > len(distinct):
        notes.append(f"{count - len(distinct)} of {count} slices have no frame; they are background")
    first = int(np.argmin(along))
    affine = np.eye(4)
    affine[:3, :3] = frames.axes * np.array([frames.spacing[1], frames.spacing[0], step])
    affine[:3, 3] = frames.places[first]
    return Grid.of((count, *frames.shape), affine), np.rint((along - along[first]) / step).astype(int), notes


def _whole(steps: Array) -> bool:
    return bool(np.abs(steps - np.rint(steps)).max() <= 0.1) and len(np.unique(np.rint(steps))) == len(steps)


def decoded(data: Any, frames: Frames, path: Path) -> Iterator[Array]:
    """Yield the frames one after the other, unpacked."""
    count, size = len(frames.places), frames.shape[0] * frames.shape[1]
    packed = int(data.BitsAllocated) == 1
    if "PixelData" not in data:
        raise ImageError(f"{path} has no pixels.", "It draws nothing.", "Export the segmentation again; it may be cut short.")
    if packed and not data.file_meta.TransferSyntaxUID.is_compressed:
        raw = np.frombuffer(data.PixelData, np.uint8)
        needed, padded = -(-count * size // 8), count * -(-size // 8)
        if raw.size < needed:
            raise ImageError(
                f"{path} holds {raw.size} bytes of pixels where {count} frames need {needed}.",
                "The last slices would be lost.",
                "Export the segmentation again; it was cut short.",
            )
        stride = (
            8 * -(-size // 8) if raw.size // 2 == -(-padded // 2) and padded - needed > 1 else size
        )  # old writers pad every frame
        for index in range(count):
            start = index * stride
            bits = np.unpackbits(raw[start // 8 : -(-(start + size) // 8)], bitorder="little")
            yield bits[start % 8 : start % 8 + size].reshape(frames.shape)
        return
    pixels = np.asarray(data.pixel_array)
    if pixels.size != count * size:
        raise ImageError(
            f"{path} holds {pixels.size} pixels where {count} frames need {count * size}.",
            "Slices would be lost.",
            "Export the segmentation again.",
        )
    yield from pixels.reshape(count, *frames.shape)
