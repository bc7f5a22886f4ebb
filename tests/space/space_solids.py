"""Grids in any patient axes and exact solids on them."""

import numpy as np
from hypothesis import strategies as st

from osteon.space.volume import Grid, Volume

SPACING = st.tuples(*[st.floats(0.8, 3.0)] * 3)
ORDERS = st.permutations([0, 1, 2])
FLIPS = st.tuples(*[st.booleans()] * 3)


def grid_of(spacing, order=(0, 1, 2), flips=(False,) * 3, rotation=None, half=24.0):
    """A grid round the origin: axes permuted, mirrored and turned."""
    axes = np.eye(3)[:, list(order)] * np.where(flips, -1.0, 1.0)
    if rotation is not None:
        axes = rotation @ axes
    steps = np.asarray(spacing)
    count = np.ceil(2 * half / steps).astype(int) + 1
    affine = np.eye(4)
    affine[:3, :3] = axes * steps
    affine[:3, 3] = -affine[:3, :3] @ ((count - 1) / 2)
    return Grid.of((int(count[2]), int(count[1]), int(count[0])), affine)


def ball(grid, centre, radius):
    places = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    return Volume(np.linalg.norm(places - np.asarray(centre), axis=-1) <= radius, grid)
