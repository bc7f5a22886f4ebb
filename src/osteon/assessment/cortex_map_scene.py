"""The unrolled cortex of a lesion's scene, once for every amount that contrast agent may have added."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from osteon.assessment.cortex import LEVELS_HEALTHY, LEVELS_LESION
from osteon.assessment.cortex_map import CortexMap, unroll
from osteon.assessment.cortex_map_expected import Expected, healthy_slices, touched_slices
from osteon.assessment.cortex_map_measures import Involvement, involvement
from osteon.assessment.cortex_map_opposite import opposite_bone, opposite_rays
from osteon.assessment.cortex_map_rays import Rays, rays
from osteon.assessment.measure_base import NO_CT, Scene
from osteon.errors import InputError, MissingError
from osteon.tissue.properties import most_added_hu


@dataclass(frozen=True, eq=False)
class MapReading:
    """One reading of the unrolled cortex and what was measured on it."""

    found: CortexMap
    read: Involvement


def map_readings(scene: Scene) -> tuple[MapReading, ...] | str:
    """Return the unrolled cortex round the lesion, or why there is none; computed once per scene.

    One reading without contrast agent; with it one for every amount that it may have added, the first for nothing.

    Parameters
    ----------
    scene : Scene
        Of a lesion in a long bone.

    Raises
    ------
    ImageError
        If the axes of the image are not at right angles.
    """
    known = scene.__dict__.get("_cortex_maps")
    if known is None:
        known = scene.__dict__["_cortex_maps"] = _read(scene)
    return known


def _read(scene: Scene) -> tuple[MapReading, ...] | str:
    bone, image = scene.near_bone, scene.near_image
    if not scene.is_long_bone or scene.bone is None:
        return "no long bone"
    if image is None:
        return NO_CT
    if bone is None:
        return f"cannot tell: outline the {scene.bone.name}"
    seen = scene.anatomy.imaged.part(scene.window)
    most = most_added_hu() if scene.contrast else 0.0
    pairs = [(0.0, 0.0)]
    if most:
        pairs = list(product(np.linspace(0, most, LEVELS_HEALTHY).tolist(), np.linspace(0, most, LEVELS_LESION).tolist()))
    try:
        here = rays(image, bone, scene.near_lesion, scene.bone.side, seen, scene.near_unreliable)
        away = opposite_rays(scene, here)
        expected = {healthy: _expected(here, away, healthy) for healthy in dict.fromkeys(pair[0] for pair in pairs)}
        maps = [unroll(here, expected[healthy], lesion) for healthy, lesion in pairs]
    except (InputError, MissingError) as error:
        return f"cannot tell: {error.what} {error.do}"
    return tuple(MapReading(found, involvement(found)) for found in maps)


def _expected(here: Rays, away: Rays | str, added_hu: float) -> Expected:
    """Return the expected cortex of the opposite bone where it serves, else of healthy slices, with the reason."""
    told = away if isinstance(away, str) else opposite_bone(here, away, touched_slices(here), added_hu)
    if not isinstance(told, str):
        return told
    own = healthy_slices(here, added_hu)
    return replace(own, notes=(*own.notes, f"Not from the opposite bone: {told}."))
