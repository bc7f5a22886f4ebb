"""Whether a needle can reach the target at all: a coarse search over straight rays, once for all treatments with a needle.

Planning looks again with many more candidates and every hard limit; here only "yes", "no" or "cannot tell" is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from osteon.facts import Fact, Known, NotApplicable, Origin, State, Unknown
from osteon.space.anatomy import Anatomy, Kind, Structure
from osteon.space.volume import Array
from osteon.tissue.bone import body_mask
from osteon.tissue.properties import Constants

FORBIDDEN: tuple[Kind, ...] = ("nerve", "cord", "vessel", "bowel", "lung")
IN_THE_WAY: Kind = "implant"
"""Avoided where it is, and not missed where it is not."""
FACT = "percutaneous_path"
RAYS = 1000


@dataclass(frozen=True)
class Rays:
    """How many rays ended in which way, and the shortest free one [mm]."""

    free: int
    blocked: int
    too_long: int
    unknown: int
    shortest_mm: float = float("nan")
    entry_mm: tuple[float, float, float] | None = None


def site_facts(anatomy: Anatomy, target: Structure, max_depth_mm: float) -> list[Fact]:
    """Return whether a straight percutaneous path to the target exists.

    Parameters
    ----------
    anatomy : Anatomy
        With a CT; the body outline is found by threshold where it is not given.
    target : Structure
        Outlined in ``anatomy``.
    max_depth_mm : float
        Usable length of the longest device.

    Returns
    -------
    list of Fact
        ``percutaneous_path``: known true, known false, or unknown with the next thing to do.
    """
    if not anatomy.has(target):
        return [_fact(Unknown(f"cannot tell: outline the {target.name}"), "no outline of the target")]
    if anatomy.image is None:
        return [_fact(Unknown("cannot tell: give a CT of the region"), "no image")]
    rays = cast_rays(anatomy, target, max_depth_mm)
    missing = [kind for kind in FORBIDDEN if not anatomy.of_kind(kind) and not any(s.kind == kind for s in anatomy.absent)]
    where = f"{RAYS} straight rays: {rays.free} free, {rays.blocked} blocked, {rays.too_long} too long, {rays.unknown} not imaged"
    if missing:
        where += f"; not outlined and so not avoided: {', '.join(missing)}"
    state: State
    if rays.free:
        where += f"; shortest {rays.shortest_mm:.0f} mm"
        state = Known(True)
    elif rays.unknown:
        state = Unknown("cannot tell: every way that is not blocked leaves the image; give a CT that reaches the skin")
    else:
        state = Known(False)
    return [_fact(state, where, rays.entry_mm)]


def _fact(state: State, where: str, place: tuple[float, float, float] | None = None) -> Fact:
    assert not isinstance(state, NotApplicable)
    return Fact(FACT, state, origins=(Origin("image", where, place_mm=place),))


def cast_rays(anatomy: Anatomy, target: Structure, max_depth_mm: float, count: int = RAYS) -> Rays:
    """Cast rays from the centre of the target over the whole sphere.

    A ray is free where it comes into imaged air without touching a forbidden structure, and blocked where it touches one. Where
    it meets a voxel without image, or leaves the image, before either, nothing can be said.

    Parameters
    ----------
    anatomy : Anatomy
        With a CT.
    target : Structure
        Outlined.
    max_depth_mm : float
        Rays longer than this are too long.
    count : int
        Number of directions, evenly spread.
    """
    how, length, ends = _cast(anatomy, target, max_depth_mm, count)
    out = (how == 1) & (length <= max_depth_mm)
    entry = None
    if out.any():
        best = int(np.flatnonzero(out)[np.argmin(length[out])])
        x, y, z = ends[best]
        entry = (float(x), float(y), float(z))
    return Rays(
        free=int(out.sum()),
        blocked=int((how == 2).sum()),
        too_long=int(((how == 1) & ~out).sum() + (how == 0).sum()),
        unknown=int((how == 3).sum()),
        shortest_mm=float(length[out].min()) if out.any() else float("nan"),
        entry_mm=entry,
    )


@lru_cache(maxsize=4)
def _cast(anatomy: Anatomy, target: Structure, max_depth_mm: float, count: int) -> tuple[Array, Array, Array]:
    """Return per ray what it met first (0 body, 1 air, 2 forbidden, 3 unknown), after how many mm, and where."""
    assert anatomy.image is not None
    body = body_mask(anatomy, anatomy.image.array, Constants()("hounsfield", "air"))
    grid = anatomy.grid
    mask = anatomy.mask(target).array
    code = np.where(body, 0, 1).astype(np.uint8)
    code[~anatomy.imaged.array] = 3
    for kind in (*FORBIDDEN, IN_THE_WAY):
        for key in anatomy.of_kind(kind):
            code[anatomy.masks[key].array & ~mask] = 2
    index = np.argwhere(mask)
    centre = grid.to_mm(index[np.argmin(((index - index.mean(0)) ** 2).sum(1))])
    step = 0.7 * min(grid.spacing_mm)
    distances = np.arange(0.0, max_depth_mm + 100.0, step)
    points = centre + distances[None, :, None] * _sphere(count)[:, None, :]
    at = np.rint(grid.to_index(points)).astype(np.intp)
    inside: Array = np.logical_and.reduce((at >= 0) & (at < np.array(grid.shape)), axis=-1)
    at = np.where(inside[..., None], at, 0)
    met = np.where(inside, code[at[..., 0], at[..., 1], at[..., 2]], 3)
    first: Array = np.argmax(met > 0, axis=1, keepdims=True)[:, 0]
    rays = np.arange(len(met))
    return met[rays, first], distances[first], points[rays, first]


def _sphere(count: int) -> Array:
    """Return unit vectors (count, 3) spread evenly over the sphere (Fibonacci lattice)."""
    k = np.arange(count) + 0.5
    height, turn = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)
