"""A slab of cortex in muscle before a small array, for tests of sessions of sonications: 60 mm of it, 1.5 mm voxels, 500 kHz."""

import numpy as np

from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Grid, Volume
from osteon.tissue.acoustics import acoustic_map
from osteon.treatments.focused_ultrasound.shots import Aim
from sonication_scene import F, small_array

STEP, N = 1.5, 40
SKIN_MM, CORTEX_MM = 7.5, 30.0  # first planes of body and of bone along z, the way sound goes
BEAM = (0.0, 0.0, 1.0)
QUICK = {"bone_steps": 2, "points_per_wavelength": 2.4, "beyond_mm": 15.0, "most_sweeps": 3}
MIDDLE_MM = 28.5


def anatomy_of(cortex_mm=4.5, nerve_behind_mm=None, nerve_radius_mm=3.0):
    grid = Grid.box(np.zeros(3), np.full(3, STEP * (N - 1)), STEP)
    z, _, x = np.indices(grid.shape) * STEP
    hu = np.where(z < SKIN_MM - 0.1, -1000.0, 55.0).astype(np.float32)
    bone = (z > CORTEX_MM - 0.1) & (z < CORTEX_MM + cortex_mm - 0.1)
    hu[bone] = 1600.0
    masks = {structure("hip_right"): Volume(bone, grid), structure("body"): Volume(hu > -500, grid)}
    if nerve_behind_mm is not None:
        depth = CORTEX_MM + cortex_mm + nerve_behind_mm + nerve_radius_mm
        nerve = (z - depth) ** 2 + (x - MIDDLE_MM) ** 2 < nerve_radius_mm**2
        masks[structure("sciatic_nerve_right")] = Volume(nerve & ~bone, grid)
    whole = Volume(np.ones(grid.shape, bool), grid)
    return Anatomy(whole, Volume(hu, grid), masks, contrast=False)


def aim_at(name="A", x=MIDDLE_MM, y=MIDDLE_MM, focus_behind_mm=0.0, order=0):
    """Aim at the outer surface of the cortex: the face of its first voxels."""
    surface = CORTEX_MM - STEP / 2
    approach = "near-target" if focus_behind_mm else "direct"
    return Aim(name, (x, y, surface + focus_behind_mm), BEAM, approach, order, 1.0, (x, y, surface))


def slab(cortex_mm=4.5, **options):
    anatomy = anatomy_of(cortex_mm, **options)
    return anatomy, acoustic_map(anatomy, F), small_array()
