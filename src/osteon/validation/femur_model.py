"""A made-up right proximal femur with a lytic lesion, for timing and pictures: exact solids, a cortex by depth, no patient."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Array, Grid, Volume

HEAD_MM, SHAFT_MM, CORTEX_MM, LENGTH_MM = 23.0, 14.0, 6.0, 190.0
NECK_SHAFT_DEG, ANTEVERSION_DEG = 128.0, 12.0
CORTEX_HU, SPONGE_HU, MARROW_HU, SOFT_HU, LESION_HU = 1450.0, 260.0, -60.0, 50.0, 40.0
LOW, HIGH = (-95.0, -45.0, -LENGTH_MM - 6.0), (40.0, 50.0, 32.0)


def proximal_femur(spacing_mm: float = 1.0, lesion_mm: float = 0.0, lesion_at: str = "neck") -> Anatomy:
    """Return a right proximal femur in soft tissue.

    Parameters
    ----------
    spacing_mm : float
        Edge of the voxels [mm].
    lesion_mm : float
        Diameter of a ball of soft tissue within the bone [mm]; 0: none.
    lesion_at : {"neck", "shaft"}
        Where: in the neck below, or in the lateral cortex 60 mm below the lesser trochanter.

    Returns
    -------
    Anatomy
        With CT, the outline of the bone and, where there is one, of the lesion.
    """
    grid = Grid.box(np.array(LOW), np.array(HIGH), spacing_mm)
    points = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    foot = _foot()
    distance = _distance(points, foot)
    inside = distance <= 0.0
    depth = -distance
    wall = np.where(points[..., 2] < foot[2] - 25.0, CORTEX_MM, 1.5)  # thick in the shaft, a shell above
    wall = ndimage.gaussian_filter1d(wall, 10.0 / spacing_mm, axis=0)
    core = np.where(points[..., 2] < foot[2] - 45.0, MARROW_HU, SPONGE_HU)
    core = ndimage.gaussian_filter1d(core, 10.0 / spacing_mm, axis=0)
    share = np.clip((wall - depth) / spacing_mm + 0.5, 0.0, 1.0)
    image = np.where(inside, core + share * (CORTEX_HU - core), SOFT_HU)
    bone = structure("femur_right")
    masks = {bone: Volume(inside, grid)}
    if lesion_mm > 0.0:
        at = 0.55 * foot if lesion_at == "neck" else np.array([foot[0] - SHAFT_MM + 4.0, foot[1], foot[2] - 80.0])
        lesion = inside & (np.linalg.norm(points - at, axis=-1) <= lesion_mm / 2.0)
        image[lesion] = LESION_HU
        masks[structure("lesion")] = Volume(lesion, grid)
    image = ndimage.gaussian_filter(image, 0.4 / spacing_mm).astype(np.float32)
    seen = Volume(np.ones(grid.shape, bool), grid)
    return Anatomy(imaged=seen, image=Volume(image, grid), masks=masks, contrast=False)


def _foot() -> Array:
    """Return where the neck meets the axis of the shaft [mm from the centre of the head]."""
    across, ante = np.radians(180.0 - NECK_SHAFT_DEG), np.radians(ANTEVERSION_DEG)
    neck = np.array([-np.cos(ante) * np.sin(across), np.sin(ante) * np.sin(across), -np.cos(across)])
    return 50.0 * neck


def _distance(p: Array, foot: Array) -> Array:
    """Return the signed distance to the bone [mm], negative inside; the head's centre is the origin."""
    x, y = foot[:2]
    parts = (
        np.linalg.norm(p, axis=-1) - HEAD_MM,
        _capsule(p, np.zeros(3), foot, 15.5, 17.0),
        _capsule(p, foot + np.array([-4.0, 0.0, 12.0]), foot - np.array([0.0, 0.0, 20.0]), 19.0, 16.0),  # greater trochanter
        _capsule(p, np.array([x, y, foot[2]]), np.array([x, y, -1000.0]), SHAFT_MM, SHAFT_MM),
        _capsule(p, np.array([x + 10, y + 12, foot[2] - 18]), np.array([x + 8, y + 8, foot[2] - 26]), 8.0, 8.0),  # lesser
    )
    return np.asarray(np.maximum(np.minimum.reduce(parts), -p[..., 2] - LENGTH_MM))


def _capsule(p: Array, a: Array, b: Array, start_mm: float, end_mm: float) -> Array:
    t = np.clip(((p - a) @ (b - a)) / float((b - a) @ (b - a)), 0.0, 1.0)
    return np.asarray(np.linalg.norm(p - a - t[..., None] * (b - a), axis=-1) - (start_mm + t * (end_mm - start_mm)))
