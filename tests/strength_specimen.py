"""Synthetic specimens for the strength command: prisms whose stiffness and failure load are known, written as anybody would."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from osteon.io.images import write_nifti
from osteon.space.volume import Volume

STEP = 2.0
WIDE, DEEP, HIGH = 30.0, 24.0, 26.0
EQUAL = (2500.0 / 2980.0) ** (1 / 1.05)  # g/cm3 of K2HPO4: as stiff as the caps, so that caps and bone are one prism


def affine(step: float = STEP) -> np.ndarray:
    made = np.diag([step, step, step, 1.0])
    made[:3, 3] = (-40.0, -40.0, -20.0)
    return made


def block(density: float = EQUAL, *, room: int = 4, step: float = STEP) -> tuple[np.ndarray, np.ndarray]:
    """Return values [z, y, x] and mask of an elliptical column with its axis along z."""
    shape = (int(HIGH / step) + 2 * room, int(DEEP / step) + 2 * room, int(WIDE / step) + 2 * room)
    z, y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    inside = (x[None, None, :] * step / (WIDE / 2)) ** 2 + (y[None, :, None] * step / (DEEP / 2)) ** 2 <= 1.0
    mask = np.broadcast_to(inside, shape) & (np.abs(z)[:, None, None] * step < HIGH / 2)
    return np.where(mask, density, 0.0).astype(np.float32), mask


def write(folder: Path, values: np.ndarray, mask: np.ndarray, matrix: np.ndarray | None = None) -> tuple[Path, Path]:
    """Write image and mask as NIfTI."""
    matrix = affine() if matrix is None else matrix
    folder.mkdir(parents=True, exist_ok=True)
    image, outline = folder / "image.nii.gz", folder / "mask.nii.gz"
    write_nifti(Volume.of(values.astype(np.float32), matrix), image)
    write_nifti(Volume.of(mask.astype(np.uint8), matrix), outline)
    return image, outline
