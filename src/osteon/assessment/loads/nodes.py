"""Where the nodes of cubes lie in the frame of the load; and a bone without specks."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from osteon.assessment.loads.base import Voxels, number
from osteon.space.volume import Array, CompactMask, Volume


def frame_of(voxels: Voxels) -> Array:
    """Return the directions of the cubes' x, y and z as columns, LPS."""
    matrix = voxels.grid.matrix[:3, :3]
    return np.asarray(matrix / np.linalg.norm(matrix, axis=0))


def lines_of(voxels: Voxels) -> tuple[Array, Array, Array]:
    """Return the coordinates of cube centres along the frame's x, y and z [mm, LPS dot axis], one vector each."""
    start = voxels.grid.matrix[:3, 3] @ frame_of(voxels)
    z, y, x = voxels.bone.shape
    edge = voxels.edge_mm
    return start[0] + edge * np.arange(x), start[1] + edge * np.arange(y), start[2] + edge * np.arange(z)


def node_lines(voxels: Voxels) -> tuple[Array, Array, Array]:
    """Return the coordinates of nodes along the frame's x, y and z [mm], one vector each."""
    half = voxels.edge_mm / 2.0
    x, y, z = (np.append(line - half, line[-1] + half) for line in lines_of(voxels))
    return x, y, z


def without_specks(bone: Array) -> Array:
    """Return a bone without its pieces that are small beside the largest: an outline's specks are no end of it."""
    labels, count = ndimage.label(bone, np.ones((3, 3, 3), bool))
    if count < 2:
        return bone
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= number("shaft_piece_least") * sizes.max())[labels] & bone)


def outline_without_specks(mask: Volume) -> Volume:
    """Return an outline without its specks, on the same grid."""
    box = mask.box()
    if box is None:
        return mask
    z, y, x = (s.start for s in box)
    return CompactMask(without_specks(mask.part(box).astype(bool)), mask.grid, (z, y, x))
