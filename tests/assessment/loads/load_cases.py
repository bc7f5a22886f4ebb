"""Bones as cubes and their stiffness, for the tests of load cases."""

import numpy as np
from scipy.spatial.transform import Rotation

from osteon.assessment.loads.base import Variation
from osteon.assessment.strength_voxels import voxels_of
from osteon.case.phantom_vertebra import _vertebra
from osteon.physics.elasticity import Model, solve
from osteon.space.anatomy import Anatomy
from osteon.space.volume import Grid, Volume
from osteon.tissue.calibration import not_calibrated

STIFFEST_PA, EXPONENT, SOFTEST_PA = 1.0e10, 2.0, 1.0e6  # a simple map for tests: E = 10 GPa rho^2 of ash density in g/cm3


def anatomy_of(phantom):
    """Return a phantom as an anatomy."""
    seen = phantom.image.with_array(np.ones(phantom.image.grid.shape, bool))
    return Anatomy(imaged=seen, image=phantom.image, masks=phantom.masks)


def only(bone, mask, image=None):
    """Return an anatomy that holds one outline."""
    return Anatomy(imaged=mask.with_array(np.ones(mask.grid.shape, bool)), image=image, masks={bone: mask})


def moved(volume, turn, by=(0.0, 0.0, 0.0)):
    """Return the same voxels on a grid that is turned and shifted in space: nothing is interpolated."""
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn, by
    return Volume(volume.array, Grid.of(volume.grid.shape, affine @ volume.grid.matrix))


def resampled(volume, turn, centre, spacing_mm):
    """Return a copy of an image or outline that turns with the patient, on cubes along LPS."""
    here = moved(volume, turn, np.asarray(centre) - turn @ np.asarray(centre))
    number = here.with_array(here.array.astype(np.float32))
    corners = here.grid.corners_mm()
    grid = Grid.box(corners.min(0), corners.max(0), spacing_mm)
    out = number.resample(grid, fill=float(number.array.min()))
    return out.with_array(out.array >= 0.5) if volume.is_mask else out


def cubes(builder, anatomy, case, pose, edge_mm):
    """Return the bone as cubes; density from HU as they stand."""
    return voxels_of(anatomy, case, pose, not_calibrated(False), edge_mm, builder.margin_mm)


def solved(builder, voxels, pose, variation=None, uniform_pa=None):
    """Return what was placed, the solution, and the stiffness [N/m or N m/rad]."""
    placed = builder.place(voxels, pose, variation or Variation())
    density = np.maximum(voxels.density.values_g_cm3, 0.0)
    mapped = np.maximum(STIFFEST_PA * density**EXPONENT, SOFTEST_PA)
    modulus = np.where(voxels.bone, mapped if uniform_pa is None else uniform_pa, 0.0)
    for each in placed.added:
        assert not (each.where & voxels.bone).any()
        modulus[each.where] = each.modulus_pa
    found = solve(Model(modulus, 0.3, voxels.edge_mm * 1e-3), placed.support)
    return placed, found, 2.0 * found.energy_j  # the supports alone do work on it


def drawn_vertebra(warp=None, spacing_mm=(1.0, 1.0, 1.0), way=(0, 0, 0), keep=None):
    """Return the phantom's vertebra about the origin, warped in its own frame and turned, on any voxels, and its turn.

    ``warp`` maps the place asked for to the place of the unwarped vertebra; ``keep`` tells which places stay.
    """
    turn = Rotation.from_euler("xyz", way, degrees=True).as_matrix()
    low, high, step = np.array([-62.0, -40.0, -52.0]), np.array([62.0, 82.0, 52.0]), np.asarray(spacing_mm)
    x, y, z = np.ceil((high - low) / step).astype(int) + 1
    affine = np.diag([*step, 1.0])
    affine[:3, 3] = low
    grid = Grid.of((z, y, x), affine)
    middle = np.array([0.0, 20.0, 0.0])
    places = (grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1)) - middle) @ turn + middle
    at = np.moveaxis(places, -1, 0).astype(np.float32)
    inside = _vertebra(0.0)(*(at if warp is None else warp(*at))) < 0
    return Volume(inside if keep is None else inside & keep(*at), grid), turn
