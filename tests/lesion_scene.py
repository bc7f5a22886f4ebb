"""Scenes for approaches and lattices of sonications: a flat bone with a lesion behind its cortex, and phantoms with a hole."""

from __future__ import annotations

import numpy as np

from osteon.case.phantom import Phantom, build
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Grid, Volume

LESION, HIP, NERVE = structure("lesion"), structure("hip_right"), structure("sciatic_nerve_right")
EXABLATE = "exablate-body-208"
BEAM = (0.0, -1.0, 0.0)  # from the back of the flat scene
FACE_MM, CORTEX_MM, LESION_MM = 10.0, 4.0, 10.0  # y of the bone's surface, its cortex, the lesion's radius


def plate(hole=None, spacing=1.0, masks=None, imaged=None, affine=None, slices=1, hu=None, sclerotic=False):
    """A flat bone, -20 < y < 10, with 4 mm of cortex on either side and a flat lesion right behind the rear one.

    ``hole(p)`` tells where cortex is gone, ``masks`` maps structures to functions of place, ``slices`` thickens voxels along z.
    """
    grid = Grid.box(np.array([-33.5, -30.5, -33.5]), np.array([33.5, 40.5, 33.5]), spacing)
    p = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    x, y, z = np.moveaxis(p, -1, 0)
    p = np.stack([x, y, z])
    bone = (y > -20) & (y < FACE_MM)
    values = np.full(grid.shape, 50.0, np.float32)
    values[bone] = -60.0
    shell = bone & ((y > FACE_MM - CORTEX_MM) | (y < -16))
    values[shell] = 1400.0
    lesion = (np.hypot(x, z) < LESION_MM) & (y < FACE_MM - CORTEX_MM) & (y > -8)
    values[lesion] = 1400.0 if sclerotic else 40.0
    if hole is not None:
        values[shell & (y > 0) & hole(p)] = 40.0
    if hu is not None:
        hu(p, values)
    seen = np.ones(grid.shape, bool) if imaged is None else imaged(p)
    drawn = {LESION: lesion, HIP: bone, **{k: f(p) for k, f in (masks or {}).items()}}
    matrix = grid.matrix if affine is None else affine @ grid.matrix
    step = np.diag([1.0, 1.0, slices, 1.0])
    lattice = Grid.of(values[::slices].shape, matrix @ step)
    return Anatomy(
        Volume(seen[::slices], lattice), Volume(values[::slices], lattice),
        {k: Volume(v[::slices], lattice) for k, v in drawn.items()},
        absent=frozenset({structure("colon"), structure("lung_right"), NERVE} - set(drawn)),
    )  # fmt: skip


def opened(phantom: Phantom) -> Volume:
    """Return the CT of a phantom whose cortex over the whole lesion is gone, towards the side of entry."""
    grid, hu = phantom.image.grid, phantom.image.array.copy()
    away = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1)) - np.array(phantom.lesion_centre_mm)
    way = np.array(phantom.approach)
    along = away @ way
    across = np.linalg.norm(away - along[..., None] * way, axis=-1)
    hu[(along > -3) & (along < 40) & (across < 25) & (hu > 100)] = 40.0
    return Volume(hu, grid)


def patient(name: str, cortex: str, spacing: float = 2.0) -> tuple[Anatomy, tuple[float, float, float]]:
    """Return a phantom as an anatomy, its cortex "intact", "partial" or "destroyed", and the beam straight in."""
    made = build(name, spacing_mm=spacing, breach=cortex != "intact")
    image = opened(made) if cortex == "destroyed" else made.image
    seen = Volume(np.ones(image.array.shape, bool), image.grid)
    absent = frozenset(structure(name) for name in made.absent)
    x, y, z = made.approach
    return Anatomy(seen, image, dict(made.masks), absent=absent), (-x, -y, -z)


def turned(degrees: tuple[float, float, float] = (30.0, 20.0, 50.0)) -> np.ndarray:
    """Return a turn about three axes and a shift, as a 4 x 4 matrix."""
    turn = np.eye(4)
    for (a, b), angle in zip(((0, 1), (1, 2), (0, 2)), np.radians(degrees), strict=True):
        one = np.eye(4)
        one[a, a] = one[b, b] = np.cos(angle)
        one[a, b], one[b, a] = -np.sin(angle), np.sin(angle)
        turn = one @ turn
    turn[:3, 3] = (12.0, -40.0, 300.0)
    return turn
