"""A thigh as exact solids, in any image axes, as a case."""

from pathlib import Path

import numpy as np

from osteon.case.model import Case, Lesion, Study
from osteon.facts import Fact, Known, vocabulary
from osteon.space.anatomy import structure
from osteon.space.volume import Grid, Volume


def grid_along(order=(0, 1, 2), flips=(False, False, False), rotation=None, spacing=(1.5, 1.5, 2.0)):
    """A grid of 132 x 132 x 120 mm round the origin with permuted, mirrored or turned axes."""
    axes = np.eye(3)
    if rotation is not None:
        axes = rotation @ axes
    steps, extent = np.asarray(spacing), np.array([132.0, 132.0, 120.0])
    count = np.round(extent / steps).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = (axes * steps)[:, list(order)] * np.where(flips, -1.0, 1.0)
    count = count[list(order)]
    affine[:3, 3] = -affine[:3, :3] @ ((count - 1) / 2)
    return Grid.of((int(count[2]), int(count[1]), int(count[0])), affine)


def places(grid):
    return np.moveaxis(grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)


def chart(**values):
    return {name: Fact(name, Known(value), vocabulary()[name].unit) for name, value in values.items()}


def thigh(grid=None, *, sphere=((8.0, 0.0, 0.0), 10.0), nerve=True, modality="CT", noise=0.0, **facts):
    """Thigh of radius 60 mm, femur of radius 14 with 5 mm of cortex along z, nerve 30 mm behind its axis, a lytic ball."""
    grid = grid or grid_along()
    x, y, z = places(grid)
    radius = np.hypot(x, y)
    hu = np.where(radius <= 60, 50.0, -1000.0)
    bone = radius <= 14
    hu[bone] = -20.0
    hu[bone & (radius >= 9)] = 1200.0
    (cx, cy, cz), r = sphere
    lesion = (x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 <= r**2
    hu[lesion] = 40.0
    hu += noise * np.random.default_rng(0).normal(size=hu.shape)
    masks = {
        structure("femur_left"): Volume(bone, grid),
        structure("femoral_vessels_left"): Volume(np.hypot(x + 5, y + 32) <= 4, grid),
    }
    if nerve:
        masks[structure("sciatic_nerve_left")] = Volume(np.hypot(x, y - 30) <= 2, grid)
    study = Study("ct1", modality, None, Volume(hu.astype(np.float32), grid), Volume(np.ones(grid.shape, bool), grid))
    one = Lesion("L1", structure("femur_left"), chart(**facts), Volume(lesion, grid), "palliation", "shaft")
    return Case(Path(), "solid thigh", {}, (one,), (study,), masks)
