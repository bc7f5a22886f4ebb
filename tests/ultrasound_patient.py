"""A made-up patient small enough to plan focused ultrasound on in seconds: a block of muscle, a plate of bone, a lesion in it."""

import numpy as np

from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Grid, Volume

STEP = 2.0
HALF = (46.0, 46.0, 40.0)  # of the block along x, y, z
PLATE_MM, DEPTH_MM = 6.0, 30.0  # of bone, and how far below the front of the block it begins
LESION = structure("lesion")
BONE = structure("hip_right")
DEVICE = "research-256-500khz"
QUICK = {"bone_steps": 2, "points_per_wavelength": 2.4, "most_sweeps": 1}


def patient(cortex=1.0, nerve_behind_mm=None, gas=False, radius_mm=7.0, outline_nerve=True):
    """Return the anatomy; sound comes from low y.

    Parameters
    ----------
    cortex : float
        Share of the plate over the lesion that is left: 1, 0 or between.
    nerve_behind_mm : float, optional
        From the back of the plate to a nerve along x.
    gas : bool
        Whether the lesion lies in a shell of gas.
    """
    grid = Grid.box(-np.array(HALF) - 10, np.array(HALF) + 10, STEP)
    z, y, x = np.indices(grid.shape)
    place = grid.to_mm(np.stack([z, y, x], -1).reshape(-1, 3)).reshape(*grid.shape, 3)
    px, py, pz = np.moveaxis(place, -1, 0)
    body = (abs(px) <= HALF[0]) & (abs(py) <= HALF[1]) & (abs(pz) <= HALF[2])
    front = -HALF[1] + DEPTH_MM
    plate = (py >= front) & (py < front + PLATE_MM) & (abs(px) <= 24) & (abs(pz) <= 24)
    lesion = (px**2 + (py - front - PLATE_MM / 2) ** 2 + pz**2 <= radius_mm**2) & (py >= front)
    hu = np.where(body, 55.0, -1000.0).astype(np.float32)
    hu[plate] = 1500.0
    gone = lesion & (px <= radius_mm * (1 - 2 * cortex)) if cortex < 1 else np.zeros_like(lesion)
    hu[gone] = 45.0
    if cortex == 0:  # and round it, so that no slanting ray meets any
        hu[plate & (px**2 + pz**2 <= (radius_mm + 12) ** 2)] = 45.0
    masks = {structure("body"): body, BONE: plate | lesion, LESION: lesion}
    if nerve_behind_mm is not None:
        nerve = (py - front - PLATE_MM - nerve_behind_mm - 2) ** 2 + pz**2 <= 9
        if outline_nerve:
            masks[structure("sciatic_nerve_right")] = nerve & body & ~plate & ~lesion
    if gas:
        away = np.sqrt(px**2 + (py - front) ** 2 + pz**2)
        hu[(away > 17) & (away < 22) & ~plate & body] = -900.0
    whole = Volume(np.ones(grid.shape, bool), grid)
    absent = frozenset() if nerve_behind_mm is not None else frozenset({structure("sciatic_nerve_right")})
    return Anatomy(whole, Volume(hu, grid), {k: Volume(v, grid) for k, v in masks.items()}, absent, contrast=False)
