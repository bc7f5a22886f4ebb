"""A small array and made-up patients of a few voxels for tests of sonications."""

import numpy as np

from osteon.physics import acoustic_sources
from osteon.space.volume import Grid
from osteon.tissue.acoustics import AcousticMap
from osteon.tissue.bone import CODE
from osteon.treatments.focused_ultrasound.beam import ArrayPose
from osteon.treatments.focused_ultrasound.transducer import Transducer

F, RADIUS_M = 5e5, 0.06
ROWS = {"air": (1.2, 343, 0, 0.0), "muscle": (994, 1500, 0, 0.006), "bone": (1850, 2800, 1550, 50), "lesion": (1060, 1560, 0, 4)}


def small_array():
    centres = acoustic_sources.spiral_centres(40, RADIUS_M, 0.05)
    source = acoustic_sources.array(centres, np.array([0, 0, RADIUS_M]) - centres, 3e-3, 1500 / F / 8)
    return Transducer("test", source, F, RADIUS_M, 200.0, True)


def scene(label, spacing=1.5):
    """Return a map whose voxels are given by name; x, y, z from 0 in steps of ``spacing`` mm."""
    grid = Grid.box(np.zeros(3), spacing * (np.array(label.shape)[::-1] - 1), spacing)
    codes, columns = np.zeros(label.shape, np.uint8), np.zeros((4, *label.shape), np.float32)
    for name, row in ROWS.items():
        codes[label == name] = CODE[name]
        columns[:, label == name] = np.array(row, np.float32)[:, None]
    density, speed, shear, loss = columns
    share = (loss > 0).astype(np.float32)
    fields = (density, speed, shear, loss, 3 * loss * (shear > 0), share, share * (shear > 0))
    return AcousticMap(grid, F, "mixture", *fields, codes, {}, {}, {}, ())


def block(n=44):
    return np.full((n, n, n), "muscle", dtype="<U6")


def aimed(focus, axis, distance=1e3 * RADIUS_M, roll=0.0):
    return ArrayPose.aimed(tuple(float(v) for v in focus), axis, distance, roll)


MIDDLE = (33.0, 33.0, 33.0)


def ball():
    """Return water to sound, 56 mm wide, in air: between it and the array's rim there is room for the coupling fluid."""
    label = np.full((44, 44, 44), "air", dtype="<U6")
    z, y, x = np.indices(label.shape) * 1.5
    label[(x - 33) ** 2 + (y - 33) ** 2 + (z - 33) ** 2 < 28**2] = "muscle"
    return label
