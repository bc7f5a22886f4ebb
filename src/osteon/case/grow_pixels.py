"""The grower on a single picture without HU and without scale: only in pixels and grey levels, said by the caller."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from osteon.case.grow import surface_recipe, threshold
from osteon.case.grow_core import Recipe, grow_region
from osteon.errors import ImageError, InputError, UnitError
from osteon.space.volume import Array


@dataclass(frozen=True, eq=False)
class GrownPixels:
    """A region grown in a picture.

    Parameters
    ----------
    mask : array of bool, shape (y, x)
        The region; empty where nothing grew.
    area_pixels : int
        Its area; never mm².
    leak : bool
        Whether growth would have left what bone encloses.
    ended : str
        "grown", or why not.
    edge_unsure : bool
        Slightly other grey levels, or another way of growing, give another region.
    """

    mask: Array
    area_pixels: int
    leak: bool
    ended: str
    edge_unsure: bool = False


def grow_pixels(picture: Array, seed: tuple[float, float], *, units: Literal["pixels"]) -> GrownPixels:
    """Grow a region in one grey picture.

    The same steps as in a CT, with lengths in pixels and contrasts as parts of the difference between the picture's bone and its
    soft tissue (both classes by Otsu's threshold among what is not background).

    Parameters
    ----------
    picture : array, shape (y, x)
        Grey levels; bone is bright.
    seed : tuple of float
        Row and column of a point inside the lesion.
    units : "pixels"
        Must be said: no length in mm comes out of a picture.

    Returns
    -------
    GrownPixels
        A region in pixels.

    Raises
    ------
    UnitError
        If other units are asked for.
    ImageError
        If this is no grey picture, or it has no contrast.
    InputError
        If the seed lies outside.
    """
    if units != "pixels":
        raise UnitError(
            f"A picture was to be grown in with units {units!r}.",
            "A picture has no spacing: every length or volume in mm would be made up.",
            "Say units='pixels', or give the original CT.",
        )
    grey = np.asarray(picture, np.float32)
    if grey.ndim != 2 or min(grey.shape) < 16:
        raise ImageError(
            f"A picture of shape {grey.shape} was given.",
            "One grey level per pixel is needed.",
            "Give one channel, at least 16 x 16.",
        )
    if not all(0 <= s < n for s, n in zip(seed, grey.shape, strict=True)):
        raise InputError(
            f"The seed {seed} lies outside the picture {grey.shape}.", "There is nothing to grow in.", "Correct row, column."
        )
    soft, bone, wall = _classes(grey)
    growth = grow_region(grey, seed, (1.0, 1.0), _recipe(bone - soft, wall))
    inside = growth.inside
    ended = (
        "grown"
        if inside.any()
        else f"nothing grew: bone in {100 * growth.enclosed_at_seed:.0f} % of the directions from the seed"
    )
    leak = growth.cut_area >= threshold("pixel_leak_least") and growth.escape_depth > threshold("pixel_leak_beyond")
    unsure = growth.change > threshold("change_most") or growth.agreement < threshold("agreement_least")
    return GrownPixels(inside, int(inside.sum()), leak or growth.bridged, ended, unsure)


def _classes(grey: Array) -> tuple[float, float, float]:
    """Return the mean grey of soft tissue and of bone, and Otsu's threshold between them."""
    from skimage.filters import threshold_otsu

    lit = grey[grey > grey.min() + 0.05 * np.ptp(grey)]
    if len(lit) < 100 or np.ptp(lit) < 8:
        raise ImageError(
            "The picture has next to no contrast.", "Bone cannot be told from anything else.", "Give another picture."
        )
    wall = float(threshold_otsu(lit))
    return float(lit[lit <= wall].mean()), float(lit[lit > wall].mean()), wall


def _recipe(contrast: float, wall: float) -> Recipe:
    return Recipe(
        seed_ball=threshold("pixel_seed_ball"),
        smooth=threshold("pixel_smooth"),
        clamp_above=threshold("pixel_clamp_above") * contrast,
        clamp_below=threshold("pixel_clamp_below") * contrast,
        band_least=threshold("pixel_band_least") * contrast,
        band_most=threshold("pixel_band_most") * contrast,
        band_deviations=threshold("band_deviations"),
        ray_reach=threshold("pixel_ray_reach"),
        enclosed_least=threshold("enclosed_least"),
        most_reach=threshold("pixel_most_reach"),
        tendril=threshold("pixel_tendril"),
        neck_part=threshold("neck_part"),
        cut_most=threshold("cut_most"),
        surface=replace(
            surface_recipe(),
            spread_least=threshold("pixel_surface_spread_least") * contrast,
            spread_most=threshold("pixel_surface_spread_most") * contrast,
            drift=threshold("pixel_surface_drift") * contrast,
            around=threshold("pixel_surface_around"),
        ),
        margin=threshold("surface_margin"),
        wall=wall,
    )
