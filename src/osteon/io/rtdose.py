"""RT Dose: the dose of an earlier irradiation in Gy on its own grid, and what an organ received."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from osteon.errors import ImageError
from osteon.facts import Fact, Known, NotApplicable, Origin, State, Unknown
from osteon.io.dicom_objects import ImageUids, axes_of, numbers, open_object, reading
from osteon.space.volume import Array, Volume

HOT_VOLUMES_ML = (0.03, 0.1, 2.0)  # the volumes in which dose reports state the hottest dose
NAMES = ("dose_max_gy", "dose_mean_gy", "dose_min_gy", *(f"dose_d{f'{v:g}'.replace('.', '_')}ml_gy" for v in HOT_VOLUMES_ML))
"""Facts of an organ's dose."""
_WHY = "An earlier dose decides what a nerve, cord or bowel may still bear."


@dataclass(frozen=True, eq=False)
class Dose:
    """A dose distribution.

    Parameters
    ----------
    volume : Volume of float32
        Gy, slices in growing order along the normal.
    kind : str
        DoseType: PHYSICAL or EFFECTIVE.
    summation : str
        DoseSummationType: PLAN, FRACTION, BEAM, ...; only PLAN and MULTI_PLAN are the whole treatment.
    frame_of_reference : str
        UID, empty where the file has none.
    notes : tuple of str
        What the reader did that one should know.
    """

    volume: Volume
    kind: str
    summation: str
    frame_of_reference: str
    notes: tuple[str, ...]


def read_dose(path: Path, image_uids: ImageUids | None = None) -> Dose:
    """Read an RTDOSE.

    Parameters
    ----------
    path : Path
        The file.
    image_uids : ImageUids or None
        Of the image that the dose is to be laid over, to check the frame of reference.

    Returns
    -------
    Dose
        In Gy on its own grid.

    Raises
    ------
    MissingError
        If there is no such file.
    ImageError
        If it is no RTDOSE, is damaged, its unit is not Gy, it is an error dose, has no scaling or no slice positions, or
        belongs to another frame of reference.
    """
    path = Path(path)
    data = open_object(path, "RTDOSE", _WHY)
    with reading(path, "RTDOSE"):
        unit, kind = str(data.get("DoseUnits") or "").upper(), str(data.get("DoseType") or "unknown").upper()
        if unit != "GY" or kind == "ERROR":
            raise ImageError(
                f"{path} has the dose unit {unit or 'none'} and the type {kind}.",
                "A relative or error dose says nothing about what tissue received.",
                "Export the dose in Gy (DoseUnits GY, DoseType PHYSICAL or EFFECTIVE).",
            )
        frame = str(data.get("FrameOfReferenceUID") or "")
        if image_uids is not None and frame and image_uids.frame and frame != image_uids.frame:
            raise ImageError(
                f"{path} has the frame of reference {frame}, the image {image_uids.frame}.",
                "The same coordinates are another place there.",
                "Name the planning CT of that irradiation, or register the two first.",
            )
        scale = float(
            numbers([data.DoseGridScaling] if data.get("DoseGridScaling") is not None else [], 1, path, "DoseGridScaling")[0]
        )
        if scale <= 0:
            raise ImageError(f"DoseGridScaling in {path} is {scale}.", "Every dose would be wrong.", "Export the dose again.")
        array = np.asarray(data.pixel_array)
        array = (array[None] if array.ndim == 2 else array).astype(np.float32) * np.float32(scale)
        summation = str(data.get("DoseSummationType") or "unknown").upper()
        notes = [] if summation in ("PLAN", "MULTI_PLAN") else [f"the dose is of type {summation}: not the whole treatment"]
        if kind == "EFFECTIVE":
            notes.append("effective dose: weighted for biology, not the dose in the tissue")
        volume, said = _placed(array, data, path)
        return Dose(volume, kind, summation, frame, (*notes, *said))


def _placed(array: Array, data: Any, path: Path) -> tuple[Volume, list[str]]:
    axes = axes_of(data.get("ImageOrientationPatient"), path)
    place = numbers(data.get("ImagePositionPatient"), 3, path, "ImagePositionPatient")
    spacing = numbers(data.get("PixelSpacing"), 2, path, "PixelSpacing")
    offsets = numbers(data.get("GridFrameOffsetVector"), len(array), path, "GridFrameOffsetVector")
    if len(offsets) < 2 or (spacing <= 0).any():
        raise ImageError(
            f"{path} holds {len(offsets)} dose plane with pixels of {spacing.tolist()} mm.",
            "What an organ received needs a volume.",
            "Export the dose as one 3-D grid.",
        )
    notes = []
    if abs(offsets[0]) > 1e-3:  # the standard's other form: patient z of each plane, axial grids only
        if abs(offsets[0] - place[2]) > 0.01 or abs(abs(axes[2, 2]) - 1) > 1e-3:
            raise ImageError(
                f"GridFrameOffsetVector in {path} begins with {offsets[0]}, neither 0 nor the z of the first plane ({place[2]}).",
                "The dose would lie at another height.",
                "Export the dose again.",
            )
        offsets = (offsets - offsets[0]) * float(np.sign(axes[2, 2]))
        notes.append("frame offsets are given as patient z")
    order = np.argsort(offsets)
    offsets, array = offsets[order], array[order]
    gaps = np.diff(offsets)
    step = float(gaps.min())
    if step <= 1e-3:
        raise ImageError(f"Two dose planes of {path} lie in one place.", "One of them is wrong.", "Export the dose again.")
    if float(np.ptp(gaps)) > 0.01 * step:
        array, offsets, step = _evenly(array, offsets, step)
        notes.append(f"dose planes lie {gaps.min():.2f} to {gaps.max():.2f} mm apart; interpolated to {step:.2f} mm")
    affine = np.eye(4)
    affine[:3, :3] = axes * np.array([spacing[1], spacing[0], step])
    affine[:3, 3] = place + axes[:, 2] * offsets[0]
    return Volume.of(array, affine), notes


def _evenly(array: Array, offsets: Array, step: float) -> tuple[Array, Array, float]:
    count = int(np.ceil((offsets[-1] - offsets[0]) / step - 1e-6)) + 1
    if count > 4096:
        raise ImageError(
            f"The dose planes are between {step:.3f} and {np.diff(offsets).max():.1f} mm apart.",
            "No common lattice of sensible size holds them.",
            "Export the dose on an even grid.",
        )
    at = np.linspace(offsets[0], offsets[-1], count)
    above = np.clip(np.searchsorted(offsets, at), 1, len(offsets) - 1)
    share = ((at - offsets[above - 1]) / (offsets[above] - offsets[above - 1])).astype(np.float32)[:, None, None]
    return array[above - 1] * (1 - share) + array[above] * share, at, float(at[1] - at[0])


def organ_dose(dose: Dose | Sequence[Dose], mask: Volume, organ: str) -> dict[str, Fact]:
    r"""Return what an organ received: greatest, mean and least dose, and the least dose of its hottest millilitres.

    .. math:: D_{v} = \max\{d : V(D \ge d) \ge v\}

    The dose is interpolated at the voxel centres of the mask; a voxel counts with its whole volume.

    Parameters
    ----------
    dose : Dose or sequence of Dose
        In Gy; several are added voxel by voxel, as they stand.
    mask : Volume of bool
        The organ, on any grid in the same frame of reference.
    organ : str
        Its name, for origins and reasons.

    Returns
    -------
    dict of str to Fact
        ``dose_max_gy``, ``dose_mean_gy``, ``dose_min_gy``, ``dose_d0_03ml_gy``, ``dose_d0_1ml_gy``, ``dose_d2ml_gy``. Unknown
        where a part of the organ lies outside the dose grid: what it received there is not known.

    Raises
    ------
    ImageError
        If the mask is empty.
    """
    doses = [dose] if isinstance(dose, Dose) else list(dose)
    box = mask.box()
    if box is None:
        raise ImageError(
            f"The outline of {organ} is empty.", "An organ without voxels has no dose.", "Draw it, or give its outline file."
        )
    points = mask.grid.to_mm(np.argwhere(mask.part(box)) + [s.start for s in box])
    within = np.ones(len(points), bool)
    for each in doses:
        index = each.volume.grid.to_index(points)  # trilinear needs centres on both sides
        within &= ((index >= -1e-6) & (index <= np.array(each.volume.array.shape) - 1 + 1e-6)).all(axis=1)
    origin = (Origin("image", f"RT dose at the outline of {organ}"),)
    ml = mask.grid.voxel_mm3 / 1000.0
    names = list(NAMES)
    if not within.all():
        share = 100.0 * float((~within).mean())
        why = f"{share:.1f} % of {organ} lies outside the dose grid: export the dose over the whole organ"
        return {name: Fact(name, Unknown(why), "Gy", origin) for name in names}
    total: Array = np.sum([each.volume.sample(points).astype(np.float64) for each in doses], axis=0)
    values = np.sort(total)[::-1]
    states: list[State] = [Known(float(values[0])), Known(float(values.mean())), Known(float(values[-1]))]
    states += [_hottest(values, volume, ml, organ) for volume in HOT_VOLUMES_ML]
    return {name: Fact(name, state, "Gy", origin) for name, state in zip(names, states, strict=True)}


def _hottest(values: Array, volume_ml: float, voxel_ml: float, organ: str) -> State:
    """Return the dose that the hottest ``volume_ml`` receive at least; ``values`` sorted from high to low."""
    needed = int(np.ceil(volume_ml / voxel_ml - 1e-9))
    if needed > len(values):
        return NotApplicable(f"{organ} holds {len(values) * voxel_ml:.2f} ml, less than {volume_ml:g} ml")
    return Known(float(values[max(needed, 1) - 1]))
