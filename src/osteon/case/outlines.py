"""Outlines that a case file draws itself: nerve lines with a radius, balls, and masks from files."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from osteon.case.chart import number_mm
from osteon.case.schema import OutlineModel
from osteon.errors import CaseFileError
from osteon.io import labels
from osteon.io.regions import NamedMask, Uids
from osteon.space.volume import Array, CompactMask, Grid, Volume

SLAB_VOXELS = 2_000_000


def outline_of(model: OutlineModel, folder: Path, grid: Grid, where: str, uids: Uids | None = None) -> NamedMask:
    """Return what an outline entry describes, on the grid of the image that it was drawn on.

    Parameters
    ----------
    model : OutlineModel
        File, part of a file, ball or line.
    folder : Path
        Files are relative to it.
    grid : Grid
        Of that image.
    where : str
        File and line, for messages.
    uids : callable or None
        Returns the UIDs of that image, asked where the file is an RTSTRUCT or SEG.

    Returns
    -------
    NamedMask
        The mask, and where it was drawn at all if that is a part of the image only.

    Raises
    ------
    CaseFileError
        If it lies outside the image or has no voxel.
    OsteonError
        If its file cannot be read.
    """
    if model.file is not None:
        return labels.read_one(folder / model.file, grid, label=model.label, roi=model.roi, uids=uids)
    if model.sphere_mm is not None:
        centre = _lps([model.sphere_mm.center], model.sphere_mm.coordinates)
        mask = ball(grid, centre[0], number_mm(model.sphere_mm.diameter, where, "diameter") / 2)
        points = centre
    else:
        points = _lps(model.polyline_mm or [], model.coordinates)
        mask = line(grid, points, number_mm(model.radius, where, "radius"))
    if mask.box() is None:
        low, high = grid.corners_mm().min(0).round().tolist(), grid.corners_mm().max(0).round().tolist()
        raise CaseFileError(
            f"{where}: the outline round {points[0].round(1).tolist()} mm lies outside the image ({low} to {high} mm, LPS).",
            "Nothing of it can be judged on this image.",
            "Check the coordinates; viewers that show RAS need `coordinates: RAS`.",
        )
    return NamedMask("drawn in the case file", mask)


def _lps(points: Sequence[Sequence[float]], coordinates: str) -> Array:
    flip = [-1.0, -1.0, 1.0] if coordinates == "RAS" else [1.0, 1.0, 1.0]
    return np.array(points, float) * flip


def ball(grid: Grid, centre_mm: Array, radius_mm: float) -> Volume:
    """Return the voxels whose centres lie within a radius of a point."""
    return line(grid, np.array([centre_mm, centre_mm], float), radius_mm, at_least_voxel=False)


def line(grid: Grid, points_mm: Array, radius_mm: float, *, at_least_voxel: bool = True) -> Volume:
    """Return the voxels within a radius of a polyline.

    Parameters
    ----------
    grid : Grid
        Of the mask; any direction.
    points_mm : array (n, 3)
        LPS mm.
    radius_mm : float
        Radius [mm].
    at_least_voxel : bool
        Widen a line thinner than a voxel so that it stays connected.
    """
    if at_least_voxel:
        radius_mm = max(radius_mm, 0.5 * float(np.linalg.norm(grid.spacing_mm)))
    mask = np.zeros(grid.shape, bool)
    for start, end in pairwise(np.asarray(points_mm, float)):
        box = np.array(
            [[a, b] for a, b in zip(np.minimum(start, end) - radius_mm, np.maximum(start, end) + radius_mm, strict=True)]
        )
        corners = grid.to_index(np.stack(np.meshgrid(*box, indexing="ij"), -1).reshape(-1, 3))
        first = np.clip(np.floor(corners.min(0)), 0, grid.shape).astype(int)
        last = np.clip(np.ceil(corners.max(0)) + 1, 0, grid.shape).astype(int)
        if (last <= first).any():
            continue
        slab = max(1, SLAB_VOXELS // int((last[1] - first[1]) * (last[2] - first[2])))
        for z in range(int(first[0]), int(last[0]), slab):  # a wide ball in a large image does not fill the memory
            low, high = np.array([z, first[1], first[2]]), np.array([min(z + slab, last[0]), last[1], last[2]])
            window = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
            index = np.stack(np.meshgrid(*(np.arange(s.start, s.stop) for s in window), indexing="ij"), -1)
            offset = grid.to_mm(index) - start
            axis = end - start
            along = np.clip(offset @ axis / max(float(axis @ axis), 1e-12), 0, 1)
            mask[window] |= np.linalg.norm(offset - along[..., None] * axis, axis=-1) <= radius_mm
    return CompactMask(mask, grid)
