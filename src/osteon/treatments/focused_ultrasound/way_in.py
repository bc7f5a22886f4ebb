"""From an array to its focus through a patient: where the skin is, which elements see, what stands in the way of an answer."""

from __future__ import annotations

import math

import numpy as np

from osteon.errors import InputError, SettingError
from osteon.space.volume import Array
from osteon.tissue.acoustics import AcousticMap
from osteon.tissue.acoustics_media import COLUMNS
from osteon.tissue.bone import CODE
from osteon.treatments.focused_ultrasound.beam import ArrayPose, Triple
from osteon.treatments.focused_ultrasound.transducer import Transducer

GAS = ("air", "lung")
RAY_STEP_MM = 0.5


def check(sound: AcousticMap, device: Transducer, focus_mm: Triple) -> None:
    """Refuse what cannot be sonicated.

    Raises
    ------
    InputError
        If the map holds no numbers, or the focus lies outside the image.
    SettingError
        If the map holds at another frequency.
    """
    for name in COLUMNS:
        lost = int(np.count_nonzero(~np.isfinite(getattr(sound, name))))
        if lost:
            raise InputError(
                f"{lost} voxels of the map of sound have no number for {name}.",
                "One such voxel spoils the whole field.",
                "Build the map with osteon.tissue.acoustics.acoustic_map, or fill these voxels.",
            )
    if not math.isclose(device.frequency_hz, sound.frequency_hz, rel_tol=1e-6):
        raise SettingError(
            f"The array runs at {device.frequency_hz:g} Hz, the map of sound holds at {sound.frequency_hz:g} Hz.",
            "Attenuation changes with frequency, so heat would come out wrong.",
            "Build the map at the frequency of the drive.",
        )
    if (
        np.shape(focus_mm) != (3,)
        or not np.isfinite(focus_mm).all()
        or not bool(sound.grid.contains(np.asarray(focus_mm, float)))
    ):
        raise InputError(
            f"The focus {focus_mm} mm lies outside the image.",
            "What the sound would meet there is unknown.",
            "Give a point of the image in LPS millimetres, or an image that shows the target.",
        )


def rays(sound: AcousticMap, device: Transducer, pose: ArrayPose, focus_m: Array, rim_m: float) -> tuple[float, Array, int]:
    """Return where tissue begins [m, along the device's z], which elements see the focus, and rays that enter through its end.

    Raises
    ------
    InputError
        If the focus lies beside the array's front, or the array in the patient.
    """
    begin, end = pose.to_mm(device.source.centres_m), pose.to_mm(focus_m)
    if focus_m[2] <= rim_m:
        raise InputError(
            f"The focus lies {1e3 * focus_m[2]:.0f} mm before the vertex, the rim of the array {1e3 * rim_m:.0f} mm.",
            "Sound leaves the array forwards; what lies beside it gets none.",
            "Move the array back, or turn it towards the target.",
        )
    count = max(2, math.ceil(float(np.linalg.norm(begin - end, axis=1).max()) / RAY_STEP_MM))
    share = (np.arange(count) + 0.5) / count
    points = begin[:, None] + share[None, :, None] * (end - begin)[:, None]
    inside = sound.grid.contains(points)
    label = _at(sound, sound.label, points)
    tissue = inside & (label != CODE["air"])
    first = np.where(tissue.any(axis=1), tissue.argmax(axis=1), count - 1)
    _refuse_inside(sound, begin, tissue[:, 0])
    behind = np.arange(count) >= first[:, None]
    blocked = (behind & inside & np.isin(label, [CODE[name] for name in GAS])).any(axis=1)
    unseen = int((~inside[np.arange(len(first)), np.maximum(first - 1, 0)] & tissue.any(axis=1)).sum())
    depth = pose.to_device(points[np.arange(len(first)), first])[:, 2]
    return float(depth.min()), np.asarray(~blocked), unseen


def _at(sound: AcousticMap, field: Array, points_mm: Array) -> Array:
    """Return a field of the map at the nearest voxels."""
    index = np.rint(sound.grid.to_index(points_mm)).astype(np.intp)
    z, y, x = (np.clip(index[..., a], 0, n - 1) for a, n in enumerate(sound.grid.shape))
    return np.asarray(field[z, y, x])


def _refuse_inside(sound: AcousticMap, begin_mm: Array, in_tissue: Array) -> None:
    if not in_tissue.any():
        return
    solid = _at(sound, sound.speed_s, begin_mm[in_tissue]) > 0
    where = "bone" if solid.any() else "the patient"
    raise InputError(
        f"{int(in_tissue.sum())} of {len(begin_mm)} elements of the array lie in {where}.",
        "An array radiates into the fluid that couples it to the skin.",
        "Move the array back along its axis, or choose another way in.",
    )


def entry_depth(skin_m: float, rim_m: float, focus_m: Array, step_m: float, wave_m: float) -> float:
    """Return the depth of the entry plane: two cells before the first tissue, at least a wavelength behind the rim.

    Raises
    ------
    InputError
        If the patient begins before that.
    """
    entry = min(skin_m, float(focus_m[2])) - 2 * step_m
    if entry < rim_m + wave_m:
        raise InputError(
            f"The patient begins {1e3 * skin_m:.1f} mm before the vertex, the array's rim lies at {1e3 * rim_m:.1f} mm.",
            "Between rim and skin there must be a wavelength of coupling fluid, or the beam cannot be handed over.",
            f"Move the array back by at least {1e3 * (rim_m + wave_m - entry):.1f} mm.",
        )
    return entry
