"""Growing a region from one point inside bone: what is enclosed by bone, what is like the seed, where growth would leak out.

Arrays of any dimension and a step per axis; the unit of length is the caller's (mm for CT, pixels for pictures without scale).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import cast

import numpy as np
from scipy import ndimage

from osteon.case.grow_star import Surface, SurfaceRecipe, find_surface
from osteon.space.volume import Array


@dataclass(frozen=True)
class Recipe:
    """The numbers that growing goes by, all in the caller's units of length and grey value.

    Parameters
    ----------
    seed_ball, smooth : float
        Radius of the neighbourhood that is learnt from; standard deviation of the Gaussian.
    clamp_above, clamp_below : float
        Values farther from the seed's than these count as that far.
    band_least, band_most, band_deviations : float
        Half width of the first band: ``band_deviations`` standard deviations of the seed's neighbourhood, within these limits.
    ray_reach, enclosed_least : float
        A place is enclosed where bone is met within ``ray_reach`` in this part of all directions.
    most_reach : float
        Growth ends at this distance from the seed.
    tendril : float
        Radius of the final opening, at least.
    neck_part : float
        Necks narrower than this part of the largest ball that fits in and holds the seed are cut.
    cut_most : float
        Where more than this part of the surface is cut, bone is gone on most sides: its remains are bridged straight.
    surface : SurfaceRecipe
        What the smooth surface round the lesion goes by.
    margin : float
        What a band of values adds lies within this part of the radius of that surface.
    wall : float
        Values above this are bone even where the lesion is as bright.
    """

    seed_ball: float
    smooth: float
    clamp_above: float
    clamp_below: float
    band_least: float
    band_most: float
    band_deviations: float
    ray_reach: float
    enclosed_least: float
    most_reach: float
    tendril: float
    neck_part: float
    cut_most: float
    surface: SurfaceRecipe
    margin: float
    wall: float = float("inf")


@dataclass(frozen=True, eq=False)
class Growth:
    """A grown region and what was found on the way.

    Parameters
    ----------
    inside : array of bool
        The cleaned region.
    envelope : array of bool
        What is enclosed by bone.
    escaped : array of bool
        What growth without the guard would have added outside the envelope.
    middle, low, high : float
        The seed's value and the band that was grown in.
    enclosed_at_seed : float
        Part of all directions in which bone is met from the seed.
    cut_area : float
        Area over which the region meets lesion-like tissue outside the envelope, in the square of the caller's unit.
    escape_depth : float
        How far growth without the guard got out of the envelope.
    bridged : bool
        The bone is gone round the seed; the envelope was bridged straight between what remains of it.
    change : float
        How many times larger the surface is with votes shifted up than down: 1 where the edge is sharp.
    contrast : float
        How unlike the lesion what lies just outside is; see ``Surface``.
    agreement : float
        Dice between the surface and growth in a band of values alone.
    """

    inside: Array
    envelope: Array
    escaped: Array
    middle: float
    low: float
    high: float
    enclosed_at_seed: float
    cut_area: float = 0.0
    escape_depth: float = 0.0
    bridged: bool = False
    change: float = 1.0
    contrast: float = 0.0
    agreement: float = 1.0


def enclosed_fraction(dense: Array, step: Sequence[float], reach: float) -> Array:
    r"""Return for each voxel the part of all lattice directions in which something dense is met within a distance.

    .. math:: e(x) = \frac{1}{N} \sum_{d} \big[ \exists\, 0 < s \le R: x + s\,d \in D \big]

    over the 26 (in 2-D 8) directions to the neighbours. Inside a closed shell e = 1; on a plane that closes a hole in a wide flat
    wall e = 1/2; far outside e = 0. Nothing is met beyond the edge of the array.

    Parameters
    ----------
    dense : array of bool, shape (z, y, x) or (y, x)
        The wall.
    step : sequence of float
        Length of a voxel along each axis.
    reach : float
        R, in the unit of ``step``.

    Returns
    -------
    array of float32
        Between 0 and 1.

    Examples
    --------
    >>> wall = np.ones((5, 5), bool); wall[1:-1, 1:-1] = False
    >>> float(enclosed_fraction(wall, (1, 1), 4)[2, 2])
    1.0
    """
    total = np.zeros(dense.shape, np.float32)
    directions = [d for d in product((-1, 0, 1), repeat=dense.ndim) if any(d)]
    for direction in directions:
        length = float(np.linalg.norm([d * s for d, s in zip(direction, step, strict=True)]))
        count = max(int(reach / length), 1)
        met, done = _shifted(dense, direction, 1), 1
        while done < count:
            more = min(done, count - done)
            met = met | _shifted(met, direction, more)
            done += more
        total += met
    return cast(Array, total / np.float32(len(directions)))


def _shifted(array: Array, direction: Sequence[int], by: int) -> Array:
    """Return ``array`` read ``by`` steps along a direction; False beyond the edge."""
    out = np.zeros_like(array)
    to: list[slice] = []
    source: list[slice] = []
    for d, n in zip(direction, array.shape, strict=True):
        move = d * by
        if abs(move) >= n:
            return out
        to.append(slice(max(-move, 0), n - max(move, 0)))
        source.append(slice(max(move, 0), n + min(move, 0)))
    out[tuple(to)] = array[tuple(source)]
    return out


def distance_from(seed: Sequence[float], shape: tuple[int, ...], step: Sequence[float]) -> Array:
    """Return the distance of every voxel from a fractional index."""
    axes = [((np.arange(n) - s) * h) ** 2 for n, s, h in zip(shape, seed, step, strict=True)]
    total = np.zeros(shape, np.float32)
    for axis, squares in enumerate(axes):
        total += squares.astype(np.float32).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return cast(Array, np.sqrt(total))


def grow_region(
    image: Array,
    seed: Sequence[float],
    step: Sequence[float],
    recipe: Recipe,
    bone: Array | None = None,
    size: float | None = None,
) -> Growth:
    """Grow from a seed within what bone encloses.

    A band of values is grown first; it tells what bone encloses. Then a smooth surface is found between what is like the seed and
    what is like the bone around, and the band adds what lies close to that surface.

    Parameters
    ----------
    image : array of float
        Values; bone is brighter.
    seed : sequence of float
        Fractional index.
    step : sequence of float
        Length of a voxel along each axis.
    recipe : Recipe
        What to go by.
    bone : array of bool, optional
        An outline of the bone; it then belongs to the envelope, and nothing far from it does.
    size : float, optional
        The radius that the user expects.

    Returns
    -------
    Growth
        ``inside`` is empty where the seed is not enclosed.
    """
    from_seed = distance_from(seed, image.shape, step)
    band = _band(image, from_seed, step, recipe, bone, bridge=False)
    bridged = not (band.inside.any() and _escape(band, step)[1] <= recipe.cut_most * _surface(band.inside, step))
    if bridged:
        band = _band(image, from_seed, step, recipe, bone, bridge=True)
    at = tuple(int(np.clip(round(s), 0, n - 1)) for s, n in zip(seed, image.shape, strict=True))
    told = (band.middle, band.low, band.high, float(band.enclosed[at]))
    ball = from_seed <= max(recipe.seed_ball, 1.01 * max(step))
    if not (ball & band.envelope).any():
        return Growth(np.zeros_like(band.inside), band.envelope, np.zeros_like(band.inside), *told, bridged=bridged)
    near = ball & band.envelope
    surface = find_surface(image, seed, step, band.envelope, near, recipe.most_reach, recipe.surface, size)
    inside = _piece_at(_joined(band, surface, step, recipe), ball)
    if not inside.any():  # the surface left the seed: what the band holds, with an agreement that says so
        inside = band.inside
    escapes = [_escape(each, step) for each in (replace(band, inside=inside), band)]  # the surface may stop short of a breach
    escaped, area, depth = max(escapes, key=lambda escape: escape[1])
    smooth = surface.inside & band.envelope
    agreement = 2 * float((smooth & band.inside).sum()) / max(float(smooth.sum() + band.inside.sum()), 1.0)
    return Growth(inside, band.envelope, escaped, *told, area, depth, bridged, surface.change, surface.contrast, agreement)


@dataclass(frozen=True, eq=False)
class _Band:
    """What grew in a band of values, where bone encloses, and what is alike anywhere."""

    inside: Array
    envelope: Array
    enclosed: Array
    alike: Array
    middle: float
    low: float
    high: float


def _band(image: Array, from_seed: Array, step: Sequence[float], recipe: Recipe, bone: Array | None, bridge: bool) -> _Band:
    ball = from_seed <= max(recipe.seed_ball, 1.01 * max(step))
    middle = float(np.median(image[ball]))
    spread = 1.4826 * float(np.median(np.abs(image[ball] - middle)))
    half = float(np.clip(recipe.band_deviations * spread, recipe.band_least, recipe.band_most))
    clamped = np.clip(image, middle - recipe.clamp_below, middle + recipe.clamp_above)
    calm = ndimage.gaussian_filter(clamped, [recipe.smooth / s for s in step], mode="nearest", truncate=2.5)
    near = from_seed <= recipe.most_reach
    reached = from_seed <= recipe.ray_reach
    low, high = middle - half, middle + half
    for turn in (0, 1):  # the second time between lesion and what was found to border on it
        dense = calm > min(high, recipe.wall)
        envelope, enclosed = _envelope(dense, step, recipe, bone)
        if bridge:
            envelope |= _hull(dense & reached)
        alike = near & (calm > low) & (calm < high)
        inside = _piece_at(alike & envelope, ball)
        if turn == 0:
            low, high = _band_between(calm, inside, envelope, low, high, step, recipe)
    inside = _to_the_edge(image, _cleaned(inside, from_seed, step, recipe), envelope, recipe.clamp_above)
    return _Band(inside, envelope, enclosed, alike, middle, low, high)


def _joined(band: _Band, surface: Surface, step: Sequence[float], recipe: Recipe) -> Array:
    """Return what the surface holds of the envelope, and what the band adds close to it."""
    smooth = surface.inside & band.envelope
    away = ndimage.distance_transform_edt(~surface.inside, sampling=step)
    return cast(Array, smooth | (band.inside & (away <= recipe.margin * surface.radius)))


def _faces(inside: Array, other: Array | None, step: Sequence[float]) -> float:
    """Return the area of the faces between a region and another one, or everything where there is none."""
    area = 0.0
    for axis, length in enumerate(step):
        low, high = ((slice(None),) * axis + (part,) for part in (slice(None, -1), slice(1, None)))
        if other is None:
            faces = inside[low] != inside[high]
        else:
            faces = (inside[low] & other[high]) | (other[low] & inside[high])
        area += float(faces.sum()) * float(np.prod(step)) / length
    return area


def _surface(inside: Array, step: Sequence[float]) -> float:
    return _faces(inside, None, step)


def _escape(band: _Band, step: Sequence[float]) -> tuple[Array, float, float]:
    """Return what growth would add outside the envelope, over which area the region touches it, and how far out it gets."""
    inside, alike, envelope = band.inside, band.alike, band.envelope
    nothing = np.zeros_like(inside)
    if not inside.any():
        return nothing, 0.0, 0.0
    beyond = alike & ~envelope & ~inside
    pieces, count = ndimage.label(beyond)
    touching = ndimage.binary_dilation(inside) & beyond
    reached = np.zeros(count + 1, bool)
    reached[np.unique(pieces[touching])] = True
    reached[0] = False
    escaped = cast(Array, reached[pieces])
    if not escaped.any():
        return nothing, 0.0, 0.0
    area = _faces(inside, escaped, step)
    depth = float(ndimage.distance_transform_edt(~(envelope | inside), sampling=step)[escaped].max())
    return escaped, area, depth


def _hull(dense: Array) -> Array:
    """Return the convex hull of the larger pieces of what is dense."""
    from scipy.spatial import ConvexHull, QhullError

    pieces, count = ndimage.label(dense)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    out = np.zeros(dense.shape, bool)
    points = np.argwhere((sizes >= max(0.1 * sizes.max(), 1))[pieces])
    try:
        hull = ConvexHull(points)
    except (QhullError, ValueError):  # too few points, or all in one plane
        return out
    low, high = points.min(0), points.max(0) + 1
    box = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1)
    flat = box.reshape(-1, dense.ndim).astype(np.float32)
    within = np.ones(len(flat), bool)
    for normal in np.unique(np.round(hull.equations, 9), axis=0).astype(np.float32):
        within &= flat @ normal[:-1] + normal[-1] <= 1e-3
    out[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))] = within.reshape(box.shape[:-1])
    return out


def _envelope(dense: Array, step: Sequence[float], recipe: Recipe, bone: Array | None) -> tuple[Array, Array]:
    """Return what bone encloses, dense bone itself included, and the fraction that decided it."""
    walls = dense if bone is None else dense | bone
    fraction = enclosed_fraction(walls, step, recipe.ray_reach)
    calm = ndimage.gaussian_filter(fraction, 0.7, mode="nearest")
    envelope = dense | (calm >= recipe.enclosed_least)
    if bone is not None:
        away = ndimage.distance_transform_edt(~bone, sampling=step)
        envelope = bone | (envelope & (away <= 2 * recipe.seed_ball))
    return envelope, fraction


def _piece_at(allowed: Array, start: Array) -> Array:
    """Return the connected pieces (by faces) that hold a start voxel; of several the one that holds most of them."""
    pieces, _ = ndimage.label(allowed)
    counts = np.bincount(pieces[start & allowed], minlength=2)
    counts[0] = 0
    if counts.max() == 0:
        return np.zeros(allowed.shape, bool)
    return cast(Array, pieces == int(np.argmax(counts)))


def _band_between(
    calm: Array, inside: Array, envelope: Array, low: float, high: float, step: Sequence[float], recipe: Recipe
) -> tuple[float, float]:
    """Return the band whose edges lie half way between the lesion and what borders on it above and below."""
    if not inside.any():
        return low, high
    away = ndimage.distance_transform_edt(~inside, sampling=step)
    border = calm[(away > 0) & (away <= 2 * recipe.seed_ball) & envelope]
    own = float(np.median(calm[inside]))
    above, below = border[border > high], border[border < low]
    if len(above) > 20:
        high = (own + float(np.median(above))) / 2
    if len(below) > 20:
        low = (own + float(np.median(below))) / 2
    return low, high


def _to_the_edge(image: Array, inside: Array, envelope: Array, least: float) -> Array:
    """Add the outermost layer where its values are nearer to the region's own than to those of what lies beyond.

    A threshold low enough to hold trabeculae back stops short of dense cortex, whose blur reaches a voxel into the lesion.
    """
    if not inside.any():
        return inside
    grown = ndimage.binary_dilation(inside)
    beyond = ~grown & envelope
    weight = ndimage.gaussian_filter(beyond.astype(np.float32), 1.2, mode="constant", truncate=2.0)
    sums = ndimage.gaussian_filter(np.where(beyond, image, 0).astype(np.float32), 1.2, mode="constant", truncate=2.0)
    outside = sums / np.maximum(weight, 1e-3)
    own = float(np.median(image[inside]))
    dense = outside - own > least
    add = grown & ~inside & envelope & (weight > 0.02) & dense & (np.abs(image - own) < np.abs(image - outside))
    return cast(Array, ndimage.binary_fill_holes(inside | add))


def _cleaned(inside: Array, from_seed: Array, step: Sequence[float], recipe: Recipe) -> Array:
    """Cut threads and necks, keep the piece at the seed, fill holes, smooth the surface over one voxel.

    A neck is narrower than ``neck_part`` of the largest ball that fits into the region and holds the seed.
    """
    if not inside.any():
        return inside
    depth = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=step)[(slice(1, -1),) * inside.ndim]
    holds_seed = inside & (from_seed <= np.maximum(depth, 1.01 * max(step)))
    if not holds_seed.any():
        return np.zeros_like(inside)
    largest = float(depth[holds_seed].max())
    radius = min(max(recipe.tendril + 0.5 * min(step), recipe.neck_part * largest), 0.6 * largest)
    core = _piece_at(depth > radius, holds_seed & (depth > radius))
    opened = inside & (ndimage.distance_transform_edt(~core, sampling=step) <= radius + 0.1 * min(step))
    filled = ndimage.binary_fill_holes(opened)
    smooth = ndimage.gaussian_filter(filled.astype(np.float32), 0.7, mode="nearest") >= 0.5
    return _piece_at(smooth, core & smooth)
