"""The figures by which plans are compared: coverage, margin, zone, and what stays uncovered, named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from scipy import ndimage

from osteon.evidence.value import Band
from osteon.planning.fields import killed_by_cold, lethal_cold_c, total
from osteon.planning.geometry import number
from osteon.planning.limits import strain
from osteon.planning.maps import critical_structures, distance_mm
from osteon.planning.plan import Finding
from osteon.space.anatomy import Anatomy, Field, Structure
from osteon.space.paths import signed_distance
from osteon.space.volume import Array, Grid, Volume
from osteon.tissue.tolerance import limits_for, only_informs
from osteon.treatments.base import Effect, Setting


def zone_of(effects: Sequence[Effect], grid: Grid) -> Volume:
    """Return where nothing is left alive: a lethal dose or lethal cold, and what the needles themselves fill."""
    return Volume(lethal(effects, grid) | filled(effects, grid), grid)


def lethal(effects: Sequence[Effect], grid: Grid) -> Array:
    """Return where the dose is lethal: CEM43 of 240 min and more, or cold of which the effect says that it kills."""
    return cast(Array, (total(effects, grid, Field.CEM43_MIN) >= number("lethal_cem43_min")) | killed_by_cold(effects, grid))


def zone_assumed(effects: Sequence[Effect]) -> tuple[str, ...]:
    """Say what counts as dead in these effects: a dose, a temperature, or both."""
    froze = [Field.FROZEN_MIN_C in effect.state for effect in effects]
    cold = lethal_cold_c(effects)
    said = []
    if not all(froze):
        said.append(f"the zone is where CEM43 reaches {number('lethal_cem43_min'):g} min")
    if any(froze):
        said.append(
            "the zone is what the run calls dead"
            if cold is None
            else f"the zone is where tissue fell to {cold:g} °C; the ice that is seen (0 °C) is larger"
        )
    return tuple(said)


def filled(effects: Sequence[Effect], grid: Grid) -> Array:
    """Return the voxels that a needle of these effects touches: steel, and no tissue that could be missed."""
    out = np.zeros(grid.shape, bool)
    for pose, radius_mm in (needle for effect in effects for needle in effect.instruments):
        entry, tip = np.array(pose.entry_mm), np.array(pose.tip_mm)
        along = np.linspace(0.0, 1.0, max(2, int(np.ceil(pose.length_mm / 0.25)) + 1))[:, None]
        line = grid.to_index(entry + along * (tip - entry))
        reach = int(np.ceil(radius_mm / min(grid.spacing_mm))) + 1
        around = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
        near = np.unique((np.rint(line).astype(int)[:, None] + around).reshape(-1, 3), axis=0)
        near = near[((near >= 0) & (near < np.array(grid.shape))).all(axis=1)]
        away = grid.to_mm(near) - entry
        on_axis = np.clip(away @ np.array(pose.direction), 0.0, pose.length_mm)
        off_axis = np.linalg.norm(away - on_axis[:, None] * np.array(pose.direction), axis=1)
        out[tuple(near[off_axis <= radius_mm + 0.5 * min(grid.spacing_mm)].T)] = True
    return out


def margin_map(lesion: Volume, zone: Volume) -> Volume:
    """Return the signed distance from the lesion's surface to the edge of the zone.

    Parameters
    ----------
    lesion, zone : Volume of bool
        On one isotropic grid.

    Returns
    -------
    Volume of float32
        Millimetres on the surface voxels of the lesion: positive where the zone reaches beyond it, negative where it stays
        uncovered; NaN elsewhere. Minus infinity where there is no zone at all.
    """
    surface = lesion.array & ~ndimage.binary_erosion(lesion.array)
    # the surface lies half a voxel beyond the centre of a surface voxel
    reach = -signed_distance(zone).array - 0.5 * lesion.grid.spacing_mm[0]
    return lesion.with_array(np.where(surface, reach, np.nan).astype(np.float32))


def measure(
    effects: Sequence[Effect], box: Anatomy, lesion: Structure, target: Volume, settings: Sequence[Setting]
) -> tuple[dict[str, float], Volume]:
    """Return the figures of a plan by name with unit, and the margin map.

    Parameters
    ----------
    effects : sequence of Effect
        In order of application.
    box : Anatomy
        On the planning grid, before treatment.
    lesion : Structure
        The lesion.
    target : Volume of bool
        What is meant to be treated.
    settings : sequence of Setting
        What is dialled in.
    """
    grid, cm3 = box.grid, box.grid.voxel_mm3 / 1000.0
    dead = lethal(effects, grid)
    zone = Volume(dead | filled(effects, grid), grid)
    mass = box.mask(lesion)
    margin = margin_map(mass, zone)
    here = margin.array[np.isfinite(margin.array)]
    found = {
        "coverage": _part(zone.array, target.array),
        "lesion_coverage": _part(zone.array, mass.array),
        "min_margin_mm": float(here.min()) if here.size else -np.inf,
        "median_margin_mm": float(np.median(here)) if here.size else -np.inf,
        "target_cm3": float(target.array.sum() * cm3),
        "zone_cm3": float(dead.sum() * cm3),
        "beyond_target_cm3": float((dead & ~target.array).sum() * cm3),
        "uncovered_cm3": float((target.array & ~zone.array).sum() * cm3),
        "probes": float(sum(max(1, len(s.poses)) for s in settings)),
    }
    if any(Field.FROZEN_MIN_C in e.state for e in effects):
        found["coldest_c"] = float(total(effects, grid, Field.FROZEN_MIN_C).min())
    if not all(Field.FROZEN_MIN_C in e.state for e in effects):  # no limit is kept for bone that was frozen
        found["hottest_c"] = float(total(effects, grid, Field.TEMPERATURE_C).max())
        found["collateral_bone_cm3"] = _collateral(effects, box, target) * cm3
    times = [seconds_of(s) for s in settings]
    if any(t is not None for t in times):
        found["minutes"] = sum(t or 0.0 for t in times) / 60.0
    powers = [dict(s.controls)["power_w"] for s in settings if "power_w" in dict(s.controls)]
    if powers:
        found["power_w"] = max(powers)
    poses = [p for s in settings for p in s.poses]
    if poses and dead.any():
        found["zone_along_mm"], found["zone_across_mm"] = zone_size(Volume(dead, grid), np.array(poses[0].direction))
    return found, margin


def seconds_of(setting: Setting) -> float | None:
    """Return how long a setting takes [s], with its repeated freezes and the thaws between them; None where it has no time."""
    controls = dict(setting.controls)
    if "time_s" not in controls:
        return None
    times = controls.get("freezes", 1.0)
    return times * controls["time_s"] + (times - 1.0) * controls.get("thaw_s", 0.0)


def _part(zone: Array, of: Array) -> float:
    return float((zone & of).sum() / of.sum()) if of.any() else 0.0


def _collateral(effects: Sequence[Effect], box: Anatomy, target: Volume) -> float:
    bones = list(box.of_kind("bone"))
    bars = [k.limit for s in bones for k in limits_for(s) if k.quantity == "cem43_min"]
    if not bars:
        return 0.0
    return float((box.union(bones) & ~target.array & (total(effects, box.grid, Field.CEM43_MIN) >= min(bars))).sum())


def zone_size(zone: Volume, direction: Array) -> tuple[float, float]:
    """Return the extent of a zone along a direction and its greatest width across it [mm]."""
    shell = zone.array & ~ndimage.binary_erosion(zone.array)
    places = zone.grid.to_mm(np.argwhere(shell))
    unit = direction / np.linalg.norm(direction)
    one = np.cross(unit, np.eye(3)[int(np.argmin(np.abs(unit)))])
    one /= np.linalg.norm(one)
    two = np.cross(unit, one)
    voxel = zone.grid.spacing_mm[0]
    angles = np.deg2rad(np.arange(0, 180, 10))
    across = places @ (np.cos(angles)[:, None] * one + np.sin(angles)[:, None] * two).T
    along = places @ unit
    return float(np.ptp(along) + voxel), float(np.ptp(across, axis=0).max() + voxel)


def bands(figures: dict[str, float], samples: Sequence[dict[str, float]] = ()) -> dict[str, Band]:
    """Return each figure with its 5th to 95th percentile over samples of the same figures."""
    found = {}
    for name, best in figures.items():
        values = [s[name] for s in samples if name in s and np.isfinite(s[name])]
        if not values or not np.isfinite(best):
            found[name] = Band.of(best)
            continue
        low, high = np.percentile(values, [5, 95])
        found[name] = Band(best, float(low), float(high), len(values))
    return found


def name_uncovered(zone: Volume, target: Volume, lesion: Volume, box: Anatomy) -> tuple[str, ...]:
    """Say in words what of the target stays uncovered: how much, on which side, next to what."""
    missed = target.array & ~zone.array
    labels, count = ndimage.label(missed)
    if count == 0:
        return ()
    sizes = np.bincount(labels.ravel())[1:] * target.grid.voxel_mm3 / 1000.0
    middle = target.grid.to_mm(np.argwhere(lesion.array)).mean(axis=0)
    texts = []
    for part in np.argsort(-sizes)[:3]:
        if sizes[part] < 0.05:
            break
        piece = labels == part + 1
        centre = target.grid.to_mm(np.argwhere(piece)).mean(axis=0)
        share = float((piece & lesion.array).sum() * target.grid.voxel_mm3 / 1000.0)
        near = _neighbour(piece, box)
        texts.append(
            f"{sizes[part]:.2g} cm³ of the target stays uncovered {side_in_words(centre - middle)} of the middle of the lesion "
            f"(LPS {centre[0]:.0f}, {centre[1]:.0f}, {centre[2]:.0f} mm)"
            f"{f', {share:.2g} cm³ of it lesion' if share >= 0.05 else ', none of it lesion'}{near}"
        )
    return tuple(texts)


def _neighbour(piece: Array, box: Anatomy) -> str:
    away = distance_mm(piece, box.grid.spacing_mm)
    gaps = [(float(away[box.masks[s].array].min()), s.name) for s in critical_structures(box) if box.masks[s].array.any()]
    if not gaps:
        return ""
    gap, name = min(gaps)
    return f", {gap:.0f} mm from the {name}"


def side_in_words(offset_mm: Array) -> str:
    """Return an LPS offset in words, for example "posterior and left"."""
    names = (("right", "left"), ("anterior", "posterior"), ("inferior", "superior"))
    size = float(np.abs(offset_mm).max())
    if size < 1.0:
        return "all round"
    words = [names[a][int(offset_mm[a] > 0)] for a in np.argsort(-np.abs(offset_mm)) if abs(offset_mm[a]) > 0.5 * size]
    return " and ".join(words)


def worst(findings: Sequence[Finding]) -> Finding | None:
    """Return the finding that stands worst: breach, then the nearest to its limit among what can be told.

    Limits that cannot be breached, because they are there for information, come after all that can.
    """
    order = {"breach": 0, "warning": 1, "ok": 2}
    told = [f for f in findings if f.value is not None and f.level in order]
    return min(told, key=lambda f: (only_informs(f.limit_id), order[f.level], -strain(f)), default=None)
