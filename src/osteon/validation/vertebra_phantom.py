"""The phantom vertebra with its body squeezed, its neighbour moved, or its lesion put elsewhere: shapes whose truth is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from osteon.assessment.measure_base import Scene
from osteon.case import phantom_vertebra as recipe
from osteon.case.phantom import build
from osteon.space.anatomy import Anatomy, Structure, structure
from osteon.space.volume import Array, Grid, Volume

L2, L3, L4, LESION, CORD = (structure(n) for n in ("vertebra_L2", "vertebra_L3", "vertebra_L4", "lesion", "spinal_cord"))
KEPT = (L2, L3, L4, CORD, LESION)
MIDDLE_MM = np.array([0.0, 0.0, recipe.CENTRE_Z])
PITCH_MM, HALF_HEIGHT_MM, HALF_WIDTH_MM, HALF_DEPTH_MM = (
    recipe.PITCH_MM, recipe.HALF_HEIGHT_MM, recipe.HALF_WIDTH_MM, recipe.HALF_DEPTH_MM
)  # fmt: skip
FIELD_MM = (-65.0, -40.0, recipe.FIELD[0][2]), (65.0, 88.0, recipe.FIELD[1][2])
"""What is kept of the phantom's field: room for its vertebrae turned by some 20 degrees."""
WAIST = 0.07
"""The phantom's body is narrower by this part half way up."""
BODY_ML = np.pi * HALF_WIDTH_MM * HALF_DEPTH_MM * 2 * HALF_HEIGHT_MM * (1 - 4 * WAIST / 3 + 8 * WAIST**2 / 15) / 1000
"""Volume of the phantom's body without the roots of its pedicles [ml]: the integral of its elliptic sections."""
Factor = Callable[[Array, Array], Array]


@dataclass(frozen=True, eq=False)
class Made:
    """Outlines on one grid."""

    grid: Grid
    masks: Mapping[Structure, Volume]

    def with_mask(self, key: Structure, array: Array) -> Made:
        """Return the same with one outline replaced."""
        return replace(self, masks={**self.masks, key: Volume(array, self.grid)})

    def without(self, *keys: Structure) -> Made:
        """Return the same without some outlines."""
        return replace(self, masks={k: v for k, v in self.masks.items() if k not in keys})

    @property
    def places(self) -> tuple[Array, Array, Array]:
        """Coordinates x, y, z of every voxel, LPS mm, each of the grid's shape."""
        x, y, z = np.moveaxis(self.grid.to_mm(np.moveaxis(np.indices(self.grid.shape), 0, -1)), -1, 0)
        return x, y, z

    def scene(self, bone: Structure = L3) -> Scene:
        """Return the scene of the lesion in a bone; without an image."""
        return Scene(Anatomy(Volume(np.ones(self.grid.shape, bool), self.grid), None, self.masks), bone, "", "CT")


@cache
def made(spacing_mm: float = 1.0) -> Made:
    """Return the phantom's three vertebrae, canal content and lesion, in the field round them."""
    phantom = build("vertebra", spacing_mm=spacing_mm)
    low, high = FIELD_MM
    masks = {key: phantom.masks[key].crop(np.array(low), np.array(high)) for key in KEPT}
    return Made(masks[L3].grid, masks)


def squeezed(shape: Made, factor: Factor, bone: Structure = L3) -> Made:
    """Return the shape with the height of a bone multiplied, place by place, about its middle.

    Parameters
    ----------
    shape : Made
        What to change.
    factor : callable
        Of x and y [mm]: what part of the height is left there.
    bone : Structure
        Which.
    """
    middle = MIDDLE_MM[2] + {L2: 1, L3: 0, L4: -1}[bone] * PITCH_MM
    x, y, z = shape.places
    source = middle + (z - middle) / factor(x, y)
    return shape.with_mask(bone, _sampled(shape.masks[bone], np.stack([x, y, source], axis=-1)))


def moved(shape: Made, bones: tuple[Structure, ...], turn_deg: Array, by_mm: Array, about_mm: Array) -> Made:
    """Return the shape with some outlines turned about x, y, z through a point [deg], then shifted [mm]."""
    turn = Rotation.from_euler("xyz", turn_deg, degrees=True)
    places = np.stack(shape.places, axis=-1)
    source = turn.inv().apply((places - about_mm - by_mm).reshape(-1, 3)).reshape(places.shape) + about_mm
    for bone in bones:
        shape = shape.with_mask(bone, _sampled(shape.masks[bone], source))
    return shape


def ball(shape: Made, centre_mm: tuple[float, float, float], radius_mm: float) -> Array:
    """Return a ball as an array of bool."""
    x, y, z = shape.places
    a, b, c = centre_mm
    return np.asarray((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 <= radius_mm**2)


def with_lesion(shape: Made, *balls: tuple[tuple[float, float, float], float]) -> Made:
    """Return the shape with its lesion made of balls (centre, radius) instead; the bone keeps its outline."""
    lesion = np.zeros(shape.grid.shape, bool)
    for centre, radius in balls:
        lesion |= ball(shape, centre, radius)
    return shape.with_mask(LESION, lesion)


def at(x: float, y: float, z: float) -> tuple[float, float, float]:
    """Return a place by its offset from the middle of the third lumbar body [mm]."""
    return x, y, float(MIDDLE_MM[2]) + z


def uniform(left: float) -> Factor:
    """Return the factor of a body whose height is left by a part everywhere."""
    return lambda x, _: np.full(x.shape, left)


def anterior_wedge(left: float) -> Factor:
    """Return the factor of a body whose front edge is left by a part, and whose back is whole."""
    return lambda _, y: 1.0 - (1.0 - left) * np.clip((HALF_DEPTH_MM - y) / (2 * HALF_DEPTH_MM), 0, 1)


def right_wedge(left: float) -> Factor:
    """Return the factor of a body whose right edge is left by a part, and whose left edge is whole."""
    return lambda x, _: 1.0 - (1.0 - left) * np.clip((HALF_WIDTH_MM - x) / (2 * HALF_WIDTH_MM), 0, 1)


def dented(left: float, width_mm: float = 8.0) -> Factor:
    """Return the factor of a body whose middle is left by a part (a dent in both end plates)."""
    return lambda x, y: 1.0 - (1.0 - left) * np.exp(-(x**2 + y**2) / (2 * width_mm**2))


def _sampled(mask: Volume, places_mm: Array) -> Array:
    """Return a mask sampled at LPS places, at the half of its trilinear value."""
    index = np.moveaxis(mask.grid.to_index(places_mm), -1, 0)
    return np.asarray(ndimage.map_coordinates(mask.array.astype(np.float32), index, order=1, mode="constant", cval=0.0) >= 0.5)
