"""Where zones must lie to cover a target that is longer than one: a set cover with ellipsoids on the ways in.

Greedy first, then every choice exchanged in turn while that betters the cover; the count is not proven to be the least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from osteon.planning.measures import zone_of, zone_size
from osteon.planning.search import Choice, Scene
from osteon.space.volume import Array
from osteon.treatments.base import NeedlePose

MOST_STATIONS = 7
STEP_MM = 5.0  # between zones along one way
MOST_EXCHANGES = 20
OVERLAP = 0.85  # of the half axes of a zone, so that neighbouring zones overlap and none is wanted to its very edge
NEW_ENTRY, SPREAD = 0.02, 0.1  # what another puncture, and an uneven spread of positions, count against coverage


@dataclass(frozen=True)
class Zone:
    """One zone as an ellipsoid round the shaft: half length, half width, and its middle behind the tip [mm]."""

    half_length_mm: float
    half_width_mm: float
    behind_tip_mm: float


def zone_from(choice: Choice, scene: Scene) -> Zone | None:
    """Return the zone of one position as an ellipsoid; None where there is none or it has several needles."""
    zone = zone_of([choice.effect], scene.box.grid)
    if len(choice.setting.poses) != 1 or not zone.array.any():
        return None
    pose = choice.setting.poses[0]
    length, width = zone_size(zone, np.array(pose.direction))
    middle = zone.grid.to_mm(np.argwhere(zone.array)).mean(axis=0)
    behind = float((np.array(pose.tip_mm) - middle) @ np.array(pose.direction))
    return Zone(OVERLAP * length / 2.0, OVERLAP * width / 2.0, behind)


def stations(target: Array, zone: Zone) -> Array:
    """Return points along the longest axis of a target where the middle of a zone may lie, from one end to the other.

    Parameters
    ----------
    target : ndarray (n, 3)
        Places of the target [LPS mm].
    zone : Zone
        Its ends are left out by half a zone's width.

    Returns
    -------
    ndarray (at most ``MOST_STATIONS``, 3)
        LPS mm.
    """
    middle = target.mean(axis=0)
    spread = target - middle
    _, axes = np.linalg.eigh(spread.T @ spread)
    axis = axes[:, 2] * (1.0 if axes[np.argmax(np.abs(axes[:, 2])), 2] > 0 else -1.0)
    along = spread @ axis
    low, high = float(along.min()) + 0.7 * zone.half_width_mm, float(along.max()) - 0.7 * zone.half_width_mm
    if high <= low:
        return np.array([middle])
    count = int(np.clip(np.ceil((high - low) / (0.5 * zone.half_width_mm)) + 1, 2, MOST_STATIONS))
    # a bent target: the middle of the slab, not a point on a straight line
    wide = (high - low) / (count - 1)
    return np.array([target[np.abs(along - t) <= max(0.5 * wide, 2.0)].mean(axis=0) for t in np.linspace(low, high, count)])


def candidates(ways: Sequence[NeedlePose], target: Array, zone: Zone, pull_back: bool) -> list[tuple[int, NeedlePose]]:
    """Return where the needle may be used: on each way as it is, and drawn back or pushed on while its zone stays on the target.

    Parameters
    ----------
    ways : sequence of NeedlePose
        With the tip where the treatment would have it.
    target : ndarray (n, 3)
        Places of the target [LPS mm].
    zone : Zone
        Of one position.
    pull_back : bool
        Whether one way may be used at several depths.

    Returns
    -------
    list of (int, NeedlePose)
        Number of the way, and the pose.
    """
    found: list[tuple[int, NeedlePose]] = []
    for number, way in enumerate(ways):
        found.append((number, way))
        if not pull_back:
            continue
        direction, entry = np.array(way.direction), np.array(way.entry_mm)
        along = (target - entry) @ direction
        near = np.linalg.norm(target - entry - along[:, None] * direction, axis=1) <= zone.half_width_mm
        if not near.any():
            continue
        low, high = along[near].min() + zone.behind_tip_mm, along[near].max() + zone.behind_tip_mm
        shifts = np.arange(np.ceil((low - way.length_mm) / STEP_MM), np.floor((high - way.length_mm) / STEP_MM) + 1)
        for depth in (way.length_mm + STEP_MM * float(k) for k in shifts if k != 0):
            if depth > 1.0:
                x, y, z = entry + depth * direction
                found.append((number, NeedlePose(way.entry_mm, (float(x), float(y), float(z)))))
    return found


def distances(offered: Sequence[tuple[int, NeedlePose]], target: Array, zone: Zone) -> Array:
    """Return how far each place of the target lies from the middle of each zone, in half axes (candidates, places)."""
    rows = []
    for _, pose in offered:
        direction = np.array(pose.direction)
        offset = target - (np.array(pose.tip_mm) - zone.behind_tip_mm * direction)
        along = offset @ direction
        across = np.sqrt(np.maximum((offset**2).sum(axis=1) - along**2, 0.0))
        rows.append(np.hypot(along / zone.half_length_mm, across / zone.half_width_mm))
    return np.array(rows, np.float32)


def cover(away: Array, ways: Sequence[int], count: int) -> tuple[list[int], float]:
    """Choose ``count`` candidates that cover the target: greedily, then exchanged one by one while that betters them.

    Counted are the part of the target inside a zone, less a little for another puncture and for an uneven spread.

    Parameters
    ----------
    away : ndarray (candidates, places)
        From ``distances``.
    ways : sequence of int
        Number of the way of each candidate.
    count : int
        How many.

    Returns
    -------
    list of int, float
        Which, and the part of the target that they cover.
    """
    numbers = np.asarray(ways)
    sets = [_choose(away, numbers, np.arange(len(away)), count)]
    if count > 1:  # exchanging one at a time never leaves two ways for one
        sets.extend(_choose(away, numbers, np.flatnonzero(numbers == w), count) for w in np.unique(numbers))
    chosen = max(sets, key=lambda each: round(_worth(away, numbers, each), 6))
    return chosen, float((away[chosen].min(axis=0) <= 1.0).mean())


def _worth(away: Array, ways: Array, chosen: Sequence[int]) -> float:
    nearest = away[list(chosen)].min(axis=0)
    return float((nearest <= 1.0).mean() - SPREAD * nearest.mean() - NEW_ENTRY * len(set(ways[list(chosen)])))


def _choose(away: Array, ways: Array, among: Array, count: int) -> list[int]:
    """Choose greedily among some candidates, then exchange one by one while that is worth more."""

    def best(rest: Sequence[int]) -> int:
        nearest = np.minimum(away[among], away[list(rest)].min(axis=0)) if rest else away[among]
        used = set(ways[list(rest)])
        punctures = np.array([len(used | {w}) for w in ways[among]], float)
        value = (nearest <= 1.0).mean(axis=1) - SPREAD * nearest.mean(axis=1) - NEW_ENTRY * punctures
        return int(among[np.argmax(np.round(value, 6))])

    chosen: list[int] = []
    for _ in range(count):
        chosen.append(best(chosen))
    for _ in range(MOST_EXCHANGES):
        before = list(chosen)
        for i in range(count):
            rest = chosen[:i] + chosen[i + 1 :]
            other = [*chosen[:i], best(rest), *chosen[i + 1 :]]
            if _worth(away, ways, other) > _worth(away, ways, chosen) + 1e-6:
                chosen = other
        if chosen == before:
            break
    return chosen


def in_order(poses: Sequence[tuple[int, NeedlePose]]) -> list[NeedlePose]:
    """Return poses in order of use: way by way, on one way the deepest first, so that the needle is only drawn back."""
    tips = np.array([p.tip_mm for _, p in poses])
    spread = tips - tips.mean(axis=0)
    axis = np.linalg.svd(spread)[2][0]
    axis = axis * (1.0 if axis[int(np.argmax(np.abs(axis)))] > 0 else -1.0)
    places = {w: min(float(t @ axis) for (v, _), t in zip(poses, spread, strict=True) if v == w) for w, _ in poses}
    return [p for _, p in sorted(poses, key=lambda each: (places[each[0]], each[0], -each[1].length_mm))]


def parts_of(target: Array, grid_places: Array, poses: Sequence[NeedlePose], zone: Zone) -> list[Array]:
    """Divide a target among positions: each place goes to the zone whose middle is nearest, in half axes.

    Parameters
    ----------
    target : ndarray of bool (z, y, x)
        The target.
    grid_places : ndarray (n, 3)
        Where its voxels lie [LPS mm], in the order of ``argwhere``.
    poses, zone
        The positions.
    """
    owner = distances([(0, p) for p in poses], grid_places, zone).argmin(axis=0)
    parts = []
    for i in range(len(poses)):
        part = np.zeros(target.shape, bool)
        part[target] = owner == i
        parts.append(part)
    return parts
