"""A box of muscle with a block of bone, a ball of tumour and a rod of nerve: distances known by hand."""

import numpy as np

from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Grid, Volume
from osteon.treatments.base import NeedleAccess

ACCESS = NeedleAccess(120.0, "14G", 2.0, "bone needle 11G, 10 cm", 2.39, 100.0)
SKIN_MM = 80.0  # the body is a cube from -80 to 80 mm


def block(spacing=2.0, lesion_at=(0.0, 0.0, 0.0), radius=12.0, nerve_at=None, bone=True, air=12.0):
    """Return an Anatomy: cube of muscle, cube of bone (half edge 25 mm) round a ball; a nerve along z at (x, y)."""
    edge = SKIN_MM + air
    grid = Grid.box(np.full(3, -edge + spacing / 2), np.full(3, edge - spacing / 2), spacing)
    at = grid.to_mm(np.stack(np.indices(grid.shape), axis=-1))
    body = (np.abs(at) < SKIN_MM).all(axis=-1)
    solid = (np.abs(at - np.array(lesion_at)) < 25.0).all(axis=-1)
    lesion = np.linalg.norm(at - np.array(lesion_at), axis=-1) <= radius
    hu = np.where(body, 50.0, -1000.0).astype(np.float32)
    masks = {structure("body"): Volume(body, grid), structure("lesion"): Volume(lesion, grid)}
    if bone:
        masks[structure("hip_right")] = Volume(solid, grid)
        hu[solid & ~lesion] = 900.0
    if nerve_at is not None:
        nerve = np.hypot(at[..., 0] - nerve_at[0], at[..., 1] - nerve_at[1]) <= 4.0
        masks[structure("sciatic_nerve_right")] = Volume(nerve & body, grid)
    return Anatomy(Volume(np.ones(grid.shape, bool), grid), Volume(hu, grid), masks)
