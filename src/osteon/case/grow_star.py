r"""A smooth closed surface round a point: what lies inside is like the lesion, what lies outside like the healthy bone.

One threshold cannot separate a lesion from thin bone: many voxels of either look like the other. Here each voxel only votes, by
the logarithm of how much more likely its value is in the lesion than in the bone around, and a surface

.. math:: r(d) = \exp \sum_k a_k Y_k(d)

(spherical harmonics, in 2-D a Fourier series) is found that gathers most votes and bends little. Arrays of any dimension and a
step per axis, as in ``grow_core``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy import ndimage, optimize
from scipy.special import factorial, lpmv

from osteon.space.volume import Array

DIRECTIONS_2D, DIRECTIONS_3D, STARTS, BINS, BINS_BELOW = 96, 200, 6, 100, 20
"""How finely directions, first radii and grey values are sampled; finer gives the same surface to a voxel."""


@dataclass(frozen=True)
class SurfaceRecipe:
    """The numbers that the surface goes by, in the caller's units of length and grey value.

    Parameters
    ----------
    blur : float
        Standard deviation of the Gaussian before voting, in voxels.
    spread_least, spread_most : float
        Limits of the lesion's own deviation.
    drift : float
        The lesion's value stays within this of the seed's while it is learnt.
    bend : float
        Weight of bending against votes.
    vote_most : float
        One voxel's largest vote.
    vote_shift : float
        Added to every vote; negative favours the smaller surface.
    vote_outside : float
        The vote of what bone does not enclose.
    around : float
        Healthy bone is learnt within this distance of the surface.
    order : int
        Of the harmonics.
    turns : int
        How often values, centre and surface are found anew.
    size_weight : float
        Weight of a radius that the user gave.
    doubt : float
        Votes are shifted by this much, up and down, to see what the surface does.
    """

    blur: float
    spread_least: float
    spread_most: float
    drift: float
    bend: float
    vote_most: float
    vote_shift: float
    vote_outside: float
    around: float
    order: int
    turns: int
    size_weight: float
    doubt: float


@dataclass(frozen=True, eq=False)
class Surface:
    """The surface that was found.

    Parameters
    ----------
    inside : array of bool
        What it holds, the part that bone does not enclose included.
    votes : array of float
        Each voxel's vote.
    radius : float
        Of the ball as large as its enclosed part.
    change : float
        How many times larger the enclosed part is when votes are shifted up than when they are shifted down.
    contrast : float
        Mean vote of the enclosed layer just outside, with the sign changed: large where the edge is clear.
    """

    inside: Array
    votes: Array
    radius: float
    change: float
    contrast: float


def find_surface(
    image: Array,
    seed: Sequence[float],
    step: Sequence[float],
    within: Array,
    ball: Array,
    most: float,
    recipe: SurfaceRecipe,
    size: float | None = None,
) -> Surface:
    """Return the surface round the lesion that holds the seed.

    Parameters
    ----------
    image : array of float, shape (z, y, x) or (y, x)
        Values.
    seed : sequence of float
        Fractional index.
    step : sequence of float
        Length of a voxel along each axis.
    within : array of bool
        What bone encloses.
    ball : array of bool
        The neighbourhood of the seed that the lesion's value is learnt from.
    most : float
        Largest radius.
    recipe : SurfaceRecipe
        What to go by.
    size : float, optional
        The radius that the user expects; it pulls, it does not force.

    Returns
    -------
    Surface
        Found in any case; ``change`` and ``contrast`` tell how far to rely on it.
    """
    calm = ndimage.gaussian_filter(image, recipe.blur)
    first = float(np.median(calm[ball]))
    own, spread = first, _spread(calm[ball], first, recipe)
    healthy = within & ~ndimage.binary_dilation(ball, iterations=max(round(4 * recipe.blur), 2))
    centre = np.asarray(seed, float)
    least = max(1.5 * float(min(step)), 0.04 * most)
    for _ in range(recipe.turns):
        votes = _votes(calm, own, spread, calm[healthy], first, within, recipe)
        fitted = _Fit(votes, centre, step, (least, most), recipe, size)
        inside = fitted.mask(fitted.solve())
        part = inside & within
        if not part.any():
            break
        middle = np.array(ndimage.center_of_mass(part))
        own = float(np.clip(np.median(calm[part]), first - recipe.drift, first + recipe.drift))
        spread = _spread(calm[part], own, recipe)
        outer = within & ~ndimage.binary_dilation(inside)
        near = outer & (ndimage.distance_transform_edt(~inside, sampling=step) <= recipe.around)
        healthy = near if near.sum() >= 50 else outer
        if inside[tuple(np.rint(middle).astype(int))]:
            centre = middle
    return _judged(fitted, inside, within, votes)


def _spread(values: Array, middle: float, recipe: SurfaceRecipe) -> float:
    deviation = 1.4826 * float(np.median(np.abs(values - middle)))
    return float(np.clip(deviation, recipe.spread_least, recipe.spread_most))


def _votes(calm: Array, own: float, spread: float, healthy: Array, first: float, within: Array, recipe: SurfaceRecipe) -> Array:
    """Return log p(value | lesion) - log p(value | healthy bone), limited; the lesion is normal, the bone what it is."""
    width = recipe.spread_least / 2.5
    edges = first + width * np.arange(-BINS_BELOW, BINS - BINS_BELOW + 1)
    middles = edges[:-1] + width / 2
    lesion = np.exp(-0.5 * ((middles - own) / spread) ** 2)
    lesion = 0.95 * lesion / lesion.sum() + 0.05 / BINS
    counts, _ = np.histogram(np.clip(healthy, edges[0], edges[-1] - 1e-3 * width), edges)
    bone = ndimage.gaussian_filter1d(counts.astype(float), 1.5, mode="nearest") + 1e-3 * max(len(healthy), 1) / BINS
    table = np.clip(np.log(lesion / (bone / bone.sum())) + recipe.vote_shift, -recipe.vote_most, recipe.vote_most)
    votes = np.interp(calm, middles, table).astype(np.float32)
    votes[~within] = recipe.vote_outside
    return cast(Array, votes)


class _Fit:
    """The votes along rays from one centre, and the surface through them."""

    def __init__(
        self,
        votes: Array,
        centre: Array,
        step: Sequence[float],
        limits: tuple[float, float],
        recipe: SurfaceRecipe,
        size: float | None,
    ) -> None:
        self.shape, self.centre, self.step, self.recipe, self.size = votes.shape, centre, np.asarray(step), recipe, size
        self.least, self.most, self.space = *limits, votes.ndim
        self.dr = max(0.5 * float(min(step)), limits[1] / 80)
        directions = _directions(self.space)
        self.basis, degree = _harmonics(directions, recipe.order)
        self.bending = recipe.bend * (degree * (degree + 1.0) if self.space == 3 else degree**2)
        radii = np.arange(self.dr / 2, self.most, self.dr)
        places = centre[:, None, None] + directions.T[:, :, None] * radii / self.step[:, None, None]
        sampled = ndimage.map_coordinates(votes, places, order=1, mode="constant", cval=recipe.vote_outside)
        self.slope = -sampled * radii ** (self.space - 1)
        self.energy = np.concatenate([np.zeros((len(directions), 1)), np.cumsum(self.slope * self.dr, axis=1)], axis=1)
        self.rows = np.arange(len(directions))

    def _cost(self, a: Array) -> tuple[float, Array]:
        """Return votes lost, bending and distance from the given size, with the gradient."""
        radius = np.exp(np.clip(self.basis @ a, np.log(self.dr), np.log(self.most - self.dr)))
        place = radius / self.dr
        low = np.clip(place.astype(int), 0, self.slope.shape[1] - 1)
        part = place - low
        cost = float((self.energy[self.rows, low] * (1 - part) + self.energy[self.rows, low + 1] * part).mean())
        gradient = ((self.slope[self.rows, low] * radius)[:, None] * self.basis).mean(axis=0)
        scale = float(np.exp(self.space * a[0]))
        bent = scale * float((self.bending * a**2).sum())
        gradient += 2 * scale * self.bending * a
        gradient[0] += self.space * bent
        if self.size is not None:
            weight, off = self.recipe.size_weight * self.size**self.space, float(a[0] - np.log(self.size))
            bent += weight * off**2
            gradient[0] += 2 * weight * off
        return cost + bent, gradient

    def solve(self) -> Array:
        """Return the coefficients of the best surface from several first radii."""
        bounds = [(np.log(0.7 * self.least), np.log(0.95 * self.most))] + [(-0.8, 0.8)] * (self.basis.shape[1] - 1)
        best, lowest = np.zeros(self.basis.shape[1]), np.inf
        for radius in np.geomspace(self.least, 0.8 * self.most, STARTS):
            start = np.zeros(self.basis.shape[1])
            start[0] = np.log(radius)
            cost = cast(Callable[..., tuple[float, Array]], self._cost)
            found = optimize.minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60})
            if found.fun < lowest:
                best, lowest = found.x, float(found.fun)
        return best

    def shifted(self, votes: Array, by: float) -> Array:
        """Return what the surface would hold if every vote were shifted."""
        limits = (self.least, self.most)
        return self.mask(_Fit(votes + by, self.centre, self.step.tolist(), limits, self.recipe, self.size).solve())

    def mask(self, a: Array) -> Array:
        """Return the voxels inside the surface."""
        reach = 1.15 * float(np.exp(self.basis @ a).max()) + float(self.step.max())
        low = np.maximum(np.floor(self.centre - reach / self.step), 0).astype(int)
        high = np.minimum(np.ceil(self.centre + reach / self.step) + 1, self.shape).astype(int)
        axes = [(np.arange(i, j) - c) * s for i, j, c, s in zip(low, high, self.centre, self.step, strict=True)]
        away = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        distance = np.linalg.norm(away, axis=-1)
        candidates = distance <= reach
        unit = away[candidates] / np.maximum(distance[candidates], 1e-9)[:, None]
        basis, _ = _harmonics(unit, self.recipe.order)
        out = np.zeros(self.shape, bool)
        part = np.zeros(distance.shape, bool)
        part[candidates] = distance[candidates] <= np.exp(basis @ a)
        out[tuple(slice(int(i), int(j)) for i, j in zip(low, high, strict=True))] = part
        return out


def _judged(fitted: _Fit, inside: Array, within: Array, votes: Array) -> Surface:
    """Return the surface with how much it moves when votes are shifted, and how unlike it the layer just outside is."""
    recipe, space = fitted.recipe, votes.ndim
    less, more = (float((fitted.shifted(votes, by) & within).sum()) for by in (-recipe.doubt, recipe.doubt))
    layer = ndimage.binary_dilation(inside, iterations=2) & ~inside & within
    contrast = -float(votes[layer].mean()) if layer.any() else recipe.vote_most
    volume = float((inside & within).sum()) * float(np.prod(fitted.step))
    radius = (3 * volume / (4 * np.pi)) ** (1 / 3) if space == 3 else (volume / np.pi) ** 0.5
    return Surface(inside, votes, radius, max(more / max(less, 1.0), less / max(more, 1.0)), contrast)


def _directions(space: int) -> Array:
    """Return unit vectors spread evenly: on the circle, or on the sphere along a spiral of the golden angle."""
    if space == 2:
        angle = 2 * np.pi * np.arange(DIRECTIONS_2D) / DIRECTIONS_2D
        return np.stack([np.sin(angle), np.cos(angle)], axis=1)
    number = np.arange(DIRECTIONS_3D) + 0.5
    z, turn = 1 - 2 * number / DIRECTIONS_3D, np.pi * (1 + 5**0.5) * number
    flat = np.sqrt(1 - z**2)
    return np.stack([z, flat * np.sin(turn), flat * np.cos(turn)], axis=1)


def _harmonics(directions: Array, order: int) -> tuple[Array, Array]:
    """Return the real harmonics at unit vectors, mean square 1, one column each, and the degree of each."""
    columns, degrees = [np.ones(len(directions))], [0]
    if directions.shape[1] == 2:
        angle = np.arctan2(directions[:, 0], directions[:, 1])
        for degree in range(1, order + 1):
            columns += [np.sqrt(2) * np.cos(degree * angle), np.sqrt(2) * np.sin(degree * angle)]
            degrees += [degree, degree]
        return np.stack(columns, axis=1), np.array(degrees)
    azimuth = np.arctan2(directions[:, 1], directions[:, 2])
    for degree in range(1, order + 1):
        for m in range(degree + 1):
            norm = np.sqrt((2 * degree + 1) * factorial(degree - m) / factorial(degree + m))
            value = norm * lpmv(m, degree, directions[:, 0])
            parts = [value] if m == 0 else [np.sqrt(2) * value * np.cos(m * azimuth), np.sqrt(2) * value * np.sin(m * azimuth)]
            columns += parts
            degrees += [degree] * len(parts)
    return np.stack(columns, axis=1), np.array(degrees)
