"""The size of one zone by every criterion, and how far the criteria disagree: for any thermal treatment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.errors import InputError
from osteon.physics import damage
from osteon.space.volume import Array, Grid
from osteon.treatments.base import NeedlePose
from osteon.treatments.zone_table import Spread, Table, Zone

if TYPE_CHECKING:
    from osteon.physics.bioheat import HeatResult
    from osteon.physics.freezing import FreezeResult

RIM = 2  # voxels round the largest zone that take part
TURNS = 18  # directions across the needle over half a turn, whose widths are averaged


def criteria(
    grid: Grid,
    *,
    peak_c: Array | None = None,
    cem43_min: Array | None = None,
    omega: Mapping[str, Array] | None = None,
    viability: Array | None = None,
    lowest_c: Array | None = None,
    pose: NeedlePose | None = None,
) -> Table:
    """Return the zone by every criterion whose field is given, and how far they disagree.

    Parameters
    ----------
    grid : Grid
        Of the fields, with cubic voxels.
    peak_c, lowest_c : ndarray, optional
        Highest and lowest temperature that each voxel reached [°C].
    cem43_min : ndarray, optional
        Dose [min].
    omega : mapping of str to ndarray, optional
        Arrhenius integral per pair.
    viability : ndarray, optional
        1 - D of the three-state law.
    pose : NeedlePose, optional
        The needle, for the axes.

    Returns
    -------
    Table
        In the order of ``damage.criteria()``; a criterion that nothing reached has a zone of 0.

    Raises
    ------
    InputError
        If no field is given or one is not on the grid.
    """
    given: dict[str, Any] = {"peak_c": peak_c, "lowest_c": lowest_c, "cem43_min": cem43_min, "viability": viability}
    fields = {key: value for key, value in given.items() if value is not None}
    fields |= {f"omega:{name}": value for name, value in (omega or {}).items()}
    wrong = {key: value.shape for key, value in fields.items() if value.shape != grid.shape}
    if not fields or wrong:
        raise InputError(
            f"Zones were asked of {sorted(fields) or 'no field'}; not of the grid's shape {grid.shape}: {wrong or 'none'}.",
            "A zone is measured on the field that a criterion looks at.",
            "Give at least one field, each on the grid.",
        )
    asked = [(c, fields[key]) for c in damage.criteria().values() if (key := _key(c)) in fields]
    used = {f"criterion.{c.name}": c.level for c, _ in asked}
    part, grid = _around([_inside(field, c) for c, field in asked], grid)
    listed, masks = [], {}
    for c, field in asked:
        signed = _signed(field[part], c)
        masks[c.name] = signed >= 0.0
        listed.append(_zone(c, signed, masks[c.name], grid, pose))
    spreads = tuple(s for family in ("heat", "cold") if (s := _spread(family, listed, masks, grid)) is not None)
    return Table(tuple(listed), spreads, tuple(_words(listed, spreads)), used)


def of_heat(result: HeatResult, grid: Grid, pose: NeedlePose | None = None, viability: Array | None = None) -> Table:
    """Return ``criteria`` of a ``bioheat.HeatResult``."""
    return criteria(grid, peak_c=result.peak_c, cem43_min=result.cem43_min, omega=result.omega, viability=viability, pose=pose)


def of_cold(result: FreezeResult, grid: Grid, pose: NeedlePose | None = None) -> Table:
    """Return ``criteria`` of a result with ``lowest_c``, as freezing gives."""
    return criteria(grid, lowest_c=result.lowest_c, pose=pose)


def _key(c: damage.Criterion) -> str:
    """Return under which name the field that a criterion looks at is given."""
    return f"omega:{c.pair}" if c.looks_at == "omega" else c.looks_at


def _inside(field: Array, c: damage.Criterion) -> Array:
    return np.asarray(field >= c.level.number if c.side == "hot" else field <= c.level.number)


def _around(masks: list[Array], grid: Grid) -> tuple[tuple[slice, ...], Grid]:
    """Return the part of the grid that holds all of some masks and a rim of ``RIM`` voxels; all of it where none holds any."""
    union = np.logical_or.reduce(masks)
    low, high = [], []
    for axis in range(3):
        held = np.flatnonzero(union.any(axis=tuple(a for a in range(3) if a != axis)))
        low.append(max(int(held[0]) - RIM, 0) if held.size else 0)
        high.append(min(int(held[-1]) + RIM + 1, grid.shape[axis]) if held.size else grid.shape[axis])
    affine = grid.matrix.copy()
    affine[:3, 3] = grid.to_mm(np.array(low, float))
    return tuple(slice(a, b) for a, b in zip(low, high)), Grid.of(tuple(b - a for a, b in zip(low, high)), affine)


def _signed(field: Array, c: damage.Criterion) -> Array:
    """Return a field that is 0 at the edge and rises inwards, smooth between voxels: doses by their logarithm."""
    level = c.level.number
    if c.looks_at in ("cem43_min", "omega"):
        return np.asarray(np.log(np.maximum(field, 1e-6 * level)) - np.log(level), float)
    if c.side == "hot":
        return np.asarray(field, float) - level
    return level - np.asarray(field, float)


def _zone(c: damage.Criterion, signed: Array, mask: Array, grid: Grid, pose: NeedlePose | None) -> Zone:
    family = "cold" if c.side == "cold" else "heat"
    head = (c.name, c.title, family, c.level.number, "" if c.level.unit == "1" else c.level.unit)
    if not mask.any():
        return Zone(*head, 0.0, 0.0, 0.0, c.one_minute_c)
    points = edge_points_mm(signed, mask, grid)
    long_mm, short_mm = axes_mm(points, None if pose is None else np.array(pose.direction))
    faces = any(mask.take(end, axis).any() for axis in range(3) for end in (0, -1))
    return Zone(*head, float(mask.sum()) * grid.voxel_mm3 * 1e-3, long_mm, short_mm, c.one_minute_c, faces)


def edge_points_mm(signed: Array, mask: Array, grid: Grid) -> Array:
    """Return where the field passes zero between neighbouring voxels (LPS mm), and its voxels at the edge of the grid."""
    found = []
    for axis in range(3):
        n = mask.shape[axis]
        low, high = np.arange(n - 1), np.arange(1, n)
        crossing = np.argwhere(mask.take(low, axis) != mask.take(high, axis))
        if crossing.size:
            upper = crossing.copy()
            upper[:, axis] += 1
            a, b = signed[tuple(crossing.T)], signed[tuple(upper.T)]
            at = crossing.astype(float)
            at[:, axis] += a / (a - b)
            found.append(at)
        for end in (0, n - 1):
            face = np.argwhere(mask.take(end, axis))
            if face.size:
                found.append(np.insert(face.astype(float), axis, float(end), axis=1))
    return np.asarray(grid.to_mm(np.concatenate(found)))


def axes_mm(points_mm: Array, along: Array | None) -> tuple[float, float]:
    """Return the extent of points along a direction, and their mean width across it [mm].

    Parameters
    ----------
    points_mm : ndarray, shape (n, 3)
        LPS mm.
    along : ndarray, shape (3,), or None
        Unit vector; None: the direction in which they spread most.
    """
    centred = points_mm - points_mm.mean(axis=0)
    if along is None:
        along = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    along = np.asarray(along, float) / np.linalg.norm(along)
    other = np.eye(3)[int(np.argmin(np.abs(along)))]
    one = np.cross(along, other)
    one /= np.linalg.norm(one)
    two = np.cross(along, one)
    turn = np.arange(TURNS) * np.pi / TURNS
    across = np.outer(one, np.cos(turn)) + np.outer(two, np.sin(turn))
    return float(np.ptp(centred @ along)), float(np.ptp(centred @ across, axis=0).mean())


def _spread(family: str, listed: list[Zone], masks: Mapping[str, Array], grid: Grid) -> Spread | None:
    zones = [zone for zone in listed if zone.family == family]
    if len(zones) < 2 or not any(zone.volume_cm3 for zone in zones):
        return None
    small, large = min(zones, key=lambda z: z.volume_cm3), max(zones, key=lambda z: z.volume_cm3)
    mean, most = between_mm(masks[small.name], masks[large.name], grid)
    longs, shorts = [z.long_mm for z in zones], [z.short_mm for z in zones]
    return Spread(family, max(longs) - min(longs), max(shorts) - min(shorts), mean, most, small.name, large.name)


def between_mm(small: Array, large: Array, grid: Grid) -> tuple[float, float]:
    """Return how far the surface of the larger zone lies outside the smaller one, on average and at most [mm].

    Where the smaller zone is empty: how thick the larger one is at its thickest (half its least width), for both.
    """
    import edt

    if not small.any():
        depth = float(edt.edt(np.ascontiguousarray(np.pad(large, 1)), anisotropy=grid.spacing_mm).max())
        return depth, depth
    beyond = edt.edt(np.ascontiguousarray(~small), anisotropy=grid.spacing_mm)
    inner = large & (
        edt.edt(np.ascontiguousarray(np.pad(large, 1)), anisotropy=grid.spacing_mm)[1:-1, 1:-1, 1:-1]
        <= 1.01 * max(grid.spacing_mm)
    )
    outside = beyond[inner]
    return float(outside.mean()) if outside.size else 0.0, float(beyond[large].max())


def _words(listed: list[Zone], spreads: tuple[Spread, ...]) -> list[str]:
    by_name = {zone.name: zone for zone in listed}
    lines = []
    for s in spreads:
        small, large = by_name[s.smallest], by_name[s.largest]
        if small.volume_cm3 == large.volume_cm3:
            lines.append(f"All {s.family} criteria give the same zone of {large.volume_cm3:.1f} cm³.")
            continue
        lines.append(
            f"The {s.family} criteria disagree: {small.volume_cm3:.1f} cm³ by {small.title}, {large.volume_cm3:.1f} cm³ by "
            f"{large.title}; the edges lie {s.mean_mm:.1f} mm apart on average, {s.most_mm:.1f} mm at most. None of them was "
            "measured in bone."
        )
    lines += [f"The zone by {zone.title} reaches the edge of the computed box." for zone in listed if zone.at_edge]
    return lines
