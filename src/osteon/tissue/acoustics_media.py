"""A map of sound cut into few media, for a planner that propagates each medium of a slab and selects per voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from osteon.errors import InputError
from osteon.space.shapes import Labels
from osteon.space.volume import Array
from osteon.tissue.acoustics import MIXED, AcousticMap
from osteon.tissue.bone import LABELS

COLUMNS = ("density", "speed_l", "speed_s", "attenuation_l_np_m", "attenuation_s_np_m", "absorption_share", "absorption_share_s")
MOST_STEPS = 100


@dataclass(frozen=True, eq=False)
class AcousticMedia:
    """A map as few media.

    Parameters
    ----------
    index : array of uint8, shape (z, y, x)
        Which medium a voxel is.
    names : tuple of str
        Of each medium: its label; fluid and solid bone and lesion with the number of their step.
    table : array, shape (n, 7)
        In the order of ``COLUMNS``, SI.
    voxels : tuple of int
        How many voxels each has.
    """

    index: Labels
    names: tuple[str, ...]
    table: Array
    voxels: tuple[int, ...]


def acoustic_media(sound: AcousticMap, bone_steps: int = 8) -> AcousticMedia:
    """Return a map cut into few media.

    Every label is one medium; bone and lesion, which vary voxel by voxel, are cut into equal steps of impedance, each for
    itself, fluid and solid apart: tumour and bone of one impedance absorb differently. The speed of a medium is one over the
    mean slowness of its voxels, so that travel time is kept; its share is that of the summed coefficients, so that what is
    absorbed is kept; all else is the mean.

    Parameters
    ----------
    sound : AcousticMap
        The map.
    bone_steps : int
        Steps of impedance in fluid and in solid bone, 1 to 100.

    Returns
    -------
    AcousticMedia
        Only media that occur.

    Raises
    ------
    InputError
        If ``bone_steps`` is not between 1 and 100.
    """
    if not 1 <= bone_steps <= MOST_STEPS:
        raise InputError(
            f"Bone was to be cut into {bone_steps} steps.",
            "Each step is a medium that is propagated through every slab with bone in it.",
            f"Give between 1 and {MOST_STEPS} steps; 8 is usual.",
        )
    key = sound.label.astype(np.int32)
    names = dict(enumerate(LABELS))
    impedance = sound.density * sound.speed_l
    for label in MIXED:
        for kind, solid in (("fluid", False), ("solid", True)):
            where = sound.is_label(label) & (sound.solid == solid)
            if where.any():
                base = max(names) + 1
                key[where] = base + _steps(impedance[where], bone_steps)
                names |= {base + i: f"{kind} {label} {i + 1}" for i in range(bone_steps)}
    found, index, counts = np.unique(key, return_inverse=True, return_counts=True)
    flat = index.ravel()
    table = np.stack([_means(_summed(sound, column), flat, counts, column.startswith("speed")) for column in COLUMNS], axis=1)
    np.divide(table[:, 5:], table[:, 3:5], out=table[:, 5:], where=table[:, 3:5] > 0)
    return AcousticMedia(
        index.reshape(key.shape).astype(np.uint8), tuple(names[int(k)] for k in found), table, tuple(int(c) for c in counts)
    )


def _summed(sound: AcousticMap, column: str) -> Array:
    """Return a field of the map, for a share what it takes of the attenuation."""
    lost = {"absorption_share": sound.attenuation_l_np_m, "absorption_share_s": sound.attenuation_s_np_m}.get(column)
    field: Array = getattr(sound, column)
    return field if lost is None else field * lost


def _steps(values: Array, steps: int) -> Array:
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.zeros(values.shape, np.int32)
    return np.minimum((values - low) / (high - low) * steps, steps - 1).astype(np.int32)


def _means(values: Array, index: Array, counts: Array, slowness: bool) -> Array:
    given = values.ravel().astype(np.float64)
    if not slowness:
        return np.bincount(index, weights=given, minlength=counts.size) / counts
    slow = np.divide(1.0, given, out=np.zeros_like(given), where=given > 0)
    total = np.bincount(index, weights=slow, minlength=counts.size)
    return np.divide(counts, total, out=np.zeros(counts.size), where=total > 0)
