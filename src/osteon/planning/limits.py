"""The plan judges itself: every limit at every structure that must be judged. Unknown is never ok."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from osteon.assessment.results import RequiredStructure
from osteon.evidence.value import Band
from osteon.planning.fields import BASELINE_C, edge_temperature, total
from osteon.planning.geometry import number
from osteon.planning.plan import LARGER, Finding, Level
from osteon.space.anatomy import Anatomy, Field, Structure, structure
from osteon.space.drawn import open_ends
from osteon.space.paths import gap_mm
from osteon.space.volume import Array, Grid, Volume
from osteon.tissue.tolerance import Limit, limits_for
from osteon.treatments.base import Effect, Trace

JUDGED = ("nerve", "cord", "vessel", "bowel", "joint", "organ", "lung", "skin")
QUANTITIES = {
    "peak_temperature_c": Field.TEMPERATURE_C,
    "cem43_min": Field.CEM43_MIN,
    "lowest_temperature_c": Field.FROZEN_MIN_C,
}
UNITS = {"peak_temperature_c": "°C", "cem43_min": "CEM43 min", "stand_off_mm": "mm", "lowest_temperature_c": "°C"}


@dataclass(frozen=True, eq=False)
class Watch:
    """One structure to be judged, ready for many judgements on one grid.

    Parameters
    ----------
    structure : Structure
        Which.
    limits : tuple of Limit
        Its limits.
    known : bool
        Whether it can be judged at all.
    text : str
        Why not, and the next thing to do.
    inside, beyond : ndarray of int
        Flat indices of its voxels on the grid; those of them outside the target.
    cut : bool
        Whether part of it lies outside the box or the image.
    stand_off_mm : float
        Least distance from the target; infinite where it has no voxel in the image.
    place_mm : tuple or None
        Where that is.
    undrawn : ndarray of int
        Flat indices of the voxels on the grid where it may go on, because nobody drew it there.
    undrawn_mm : float
        Least distance of those from the target; infinite where there are none.
    error_mm : float
        How far the outline may lie from the truth because it was carried over from another study [mm]; what lies within that of
        it is judged as if it were it.
    """

    structure: Structure
    limits: tuple[Limit, ...]
    known: bool
    text: str
    inside: Array
    beyond: Array
    cut: bool
    stand_off_mm: float = np.inf
    place_mm: tuple[float, float, float] | None = None
    undrawn: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    undrawn_mm: float = np.inf
    error_mm: float = 0.0


def watch(box: Anatomy, full: Anatomy, required: Iterable[RequiredStructure], target: Volume) -> list[Watch]:
    """List the structures to be judged on the grid of ``box``.

    These are all required ones, known or not, and every other outlined one that has limits and reaches into the box.

    Parameters
    ----------
    box, full : Anatomy
        On the planning grid and on the image's own.
    required : iterable of RequiredStructure
        From the assessment.
    target : Volume of bool
        On the grid of ``box``.
    """
    listed = {structure(r.structure): r for r in required}
    others = [s for s in box.masks if s not in listed and s.kind in (*JUDGED, "bone") and limits_for(s)]
    edges = (
        cKDTree(box.grid.to_mm(np.argwhere(target.array & ~ndimage.binary_erosion(target.array)))) if target.array.any() else None
    )
    found = []
    for each in [*listed, *sorted(others)]:
        entry = listed.get(each)
        if entry is not None and entry.status == "absent":
            continue
        mask = full.masks.get(each)
        if (entry is not None and entry.status not in ("outlined", "cut")) or (mask is None and each.kind != "skin"):
            text = entry.text if entry is not None and "cannot tell" in entry.text else f"cannot tell: outline the {each.name}"
            none = np.zeros(0, np.int64)
            found.append(Watch(each, limits_for(each), False, text, none, none, True))
            continue
        found.append(_ready(each, box, full, target, edges, entry is not None and entry.status == "cut"))
    return found


def _ready(each: Structure, box: Anatomy, full: Anatomy, target: Volume, edges: cKDTree | None, cut: bool) -> Watch:
    here = _voxels(each, box, full)
    error = full.error_mm.get(each, 0.0)
    inside = np.flatnonzero(here)
    wide = _widened(here, box.grid, error)
    beyond = np.flatnonzero(wide & ~target.array)
    outline = full.masks.get(each)
    away, where = np.inf, None
    if outline is not None and edges is not None and any(k.quantity == "stand_off_mm" for k in limits_for(each)):
        index = (
            np.argwhere(outline.array & ~ndimage.binary_erosion(outline.array))
            if len(inside)
            else np.argwhere(outline.array)[::9]
        )
        places = full.grid.to_mm(index)
        gaps = edges.query(places)[0]
        nearest = int(np.argmin(gaps))
        wrong = 0.5 * box.grid.spacing_mm[0] + full.gap_error_mm(structure("lesion"), each)
        away, where = max(float(gaps[nearest]) - wrong, 0.0), _point(places[nearest])
        if len(inside) and bool((here & target.array).any()):
            away = 0.0
    outside = outline is None or float(outline.array.sum()) * full.grid.voxel_mm3 > 1.02 * len(inside) * box.grid.voxel_mm3
    undrawn, undrawn_mm = _undrawn(each, box, full, target)
    cut = cut or outside or bool(len(undrawn))
    every = inside if wide is here else np.flatnonzero(wide)
    return Watch(each, limits_for(each), True, "", every, beyond, cut, away, where, undrawn, undrawn_mm, error)


def _widened(mask: Array, grid: Grid, by_mm: float) -> Array:
    """Return a mask with everything within a distance of it; the mask itself where there is nothing to add."""
    if by_mm <= 0 or not mask.any():
        return mask
    return cast(Array, ndimage.distance_transform_edt(~mask, sampling=grid.spacing_mm) <= by_mm)


def _undrawn(each: Structure, box: Anatomy, full: Anatomy, target: Volume) -> tuple[Array, float]:
    """Return where in the box a structure may go on undrawn, and how far that is from the target [mm]."""
    nowhere = (np.zeros(0, np.int64), np.inf)
    if each not in full.drawn or each not in box.drawn or not full.has(each):
        return nowhere
    if open_ends(each, full.mask(each), full.drawn[each], full.imaged).box() is None:
        return nowhere
    beyond = box.imaged.array & ~box.drawn[each].array
    gap = gap_mm(target, target.with_array(beyond))
    return np.flatnonzero(beyond), np.inf if gap is None else gap[0]


def _voxels(each: Structure, box: Anatomy, full: Anatomy) -> Array:
    """Return where a structure is in the box; a thin one keeps every voxel that it touches; skin may come from the body."""
    out = np.zeros(box.grid.shape, bool)
    if each in box.masks:
        out |= box.masks[each].array
    if each in full.masks:
        low, high = box.grid.corners_mm().min(0), box.grid.corners_mm().max(0)
        part = full.masks[each].crop(low, high)
        index = np.rint(box.grid.to_index(part.grid.to_mm(np.argwhere(part.array)))).astype(int)
        ok = ((index >= 0) & (index < np.array(box.grid.shape))).all(axis=1)
        out[tuple(index[ok].T)] = True
    elif each.kind == "skin":
        out |= _skin(box)
    return out


def _skin(box: Anatomy) -> Array:
    body = box.mask(structure("body")).array
    turns = max(1, round(number("skin_shell_mm") / box.grid.spacing_mm[0]))
    air = ~body & box.imaged.array
    return cast(Array, body & ndimage.binary_dilation(air, iterations=turns))


def _figure(value: float) -> str:
    """Return a number as a reader can take it in; doses run to 10¹² and mean only "far beyond"."""
    return f"{float(f'{value:.3g}'):g}" if abs(value) < 1e5 else "over 100 000"


def _point(mm: Array) -> tuple[float, float, float]:
    return float(mm[0]), float(mm[1]), float(mm[2])


def strain(finding: Finding) -> float:
    """Return how far a finding stands from rest towards its limit: 0 at rest, 1 at the limit, more beyond it.

    Temperatures are counted from that of the body, so that heat and cold go by one rule and 0 °C is nothing special; a distance
    is the limit over what there is of it.

    Raises
    ------
    ValueError
        If the finding has no value: what is not known must not be ranked.
    """
    if finding.value is None:
        raise ValueError(f"{finding.limit_id} at {finding.structure} has no value to rank; say 'cannot tell' instead")
    value = finding.value.best
    if finding.unit == UNITS["stand_off_mm"]:
        return finding.limit / max(value, 1e-6)
    rest = BASELINE_C if finding.unit == UNITS["peak_temperature_c"] else 0.0
    allowed = finding.limit - rest
    return (value - rest) / (allowed if abs(allowed) > 1e-6 else 1e-6)


def judge(
    effects: Sequence[Effect],
    box: Anatomy,
    required: Iterable[RequiredStructure],
    target: Volume,
    full: Anatomy | None = None,
    watched: Sequence[Watch] | None = None,
    fields: Mapping[Field, Array] | None = None,
) -> list[Finding]:
    """Hold what the effects do against every limit of every structure that must be judged.

    Parameters
    ----------
    effects : sequence of Effect
        In order of application; temperatures are the highest reached, doses add up.
    box : Anatomy
        On the planning grid, before treatment.
    required : iterable of RequiredStructure
        What must be judged in this region; one that is not known gives "cannot tell", never ok.
    target : Volume of bool
        What is meant to be treated, on the planning grid.
    full : Anatomy, optional
        On the image's own grid: tells what the box cuts off.
    watched : sequence of Watch, optional
        From ``watch`` on the same grid, to save work.
    fields : mapping of Field to ndarray, optional
        Temperature and dose of the effects from ``total`` on the same grid, to save work.

    Returns
    -------
    list of Finding
        One per structure and limit.
    """
    watched = watch(box, full or box, required, target) if watched is None else watched
    given = fields or {}
    fields = {name: given[name] if name in given else total(effects, box.grid, name) for name in QUANTITIES.values()}
    edge = edge_temperature(fields[Field.TEMPERATURE_C], box)
    cold_edge = edge_temperature(fields[Field.FROZEN_MIN_C], box, coldest=True)
    found = []
    for each in watched:
        trace = _trace(effects, each.structure)
        if not each.limits and each.structure.kind not in ("bone", "muscle", "fat"):
            text = each.text or f"cannot tell: no limit is kept for the {each.structure.name}"
            found.append(Finding("no-limit", each.structure.id, None, "", 0.0, "unknown", text))
        for limit in (k for k in each.limits if _concerns(k, effects)):
            if not each.known:
                unit = UNITS[limit.quantity]
                found.append(
                    Finding(limit.id, each.structure.id, None, unit, limit.limit, "unknown", each.text, source=limit.source)
                )
            elif limit.quantity == "stand_off_mm":
                found.append(_stand_off(each, limit))
            elif not any(QUANTITIES[limit.quantity] in e.state for e in effects):
                found.extend(_not_computed(each, limit, effects))
            elif limit.quantity == "lowest_temperature_c":
                around = min(cold_edge, float(fields[Field.FROZEN_MIN_C].ravel()[each.undrawn].min(initial=np.inf)))
                cold = _trace(effects, each.structure, "coldest")
                found.append(_worst(each, limit, fields[Field.FROZEN_MIN_C], around, box.grid, cold))
            else:
                around = max(edge, float(fields[Field.TEMPERATURE_C].ravel()[each.undrawn].max(initial=-np.inf)))
                found.append(_worst(each, limit, fields[QUANTITIES[limit.quantity]], around, box.grid, trace))
    return found


def _concerns(limit: Limit, effects: Sequence[Effect]) -> bool:
    """Tell whether a limit has to do with what these effects do: one of cold with freezing, one of heat with anything else."""
    froze = [Field.FROZEN_MIN_C in e.state for e in effects]
    if limit.quantity == "lowest_temperature_c":
        return any(froze)
    return limit.quantity == "stand_off_mm" or not froze or not all(froze)


def _not_computed(each: Watch, limit: Limit, effects: Sequence[Effect]) -> list[Finding]:
    """Answer for a field that no effect wrote: nothing where nothing was heated or frozen, else "cannot tell"."""
    if not any(name in e.state for e in effects for name in QUANTITIES.values()):
        return []
    text = f"cannot tell: the simulation gave no {UNITS[limit.quantity]} for the {each.structure.name}; use a model that does"
    unit = UNITS[limit.quantity]
    return [Finding(limit.id, each.structure.id, None, unit, limit.limit, "unknown", text, source=limit.source)]


def _stand_off(each: Watch, limit: Limit) -> Finding:
    if not np.isfinite(each.stand_off_mm):
        text = f"cannot tell: the outline of the {each.structure.name} has no voxel in this image"
        return Finding(limit.id, each.structure.id, None, "mm", limit.limit, "unknown", text, source=limit.source)
    level = limit.level(each.stand_off_mm)
    if level != "breach" and limit.level(min(each.undrawn_mm, each.stand_off_mm)) != level:
        text = f"cannot tell: the {each.structure.name} is not drawn {each.undrawn_mm:.3g} mm from the target; draw it on"
        return Finding(limit.id, each.structure.id, None, "mm", limit.limit, "unknown", text, source=limit.source)
    text = f"{each.structure.name}: {each.stand_off_mm:.3g} mm from the edge of the target; the sources keep {limit.limit:g} mm"
    text += _with_error(each)
    return Finding(
        limit.id, each.structure.id, Band.of(each.stand_off_mm), "mm", limit.limit, level, text, each.place_mm, None, limit.source
    )


def _with_error(each: Watch) -> str:
    return f"; judged with the {each.error_mm:.1f} mm that its outline may be wrong" if each.error_mm > 0 else ""


def _worst(each: Watch, limit: Limit, values: Array, edge: float, grid: Grid, trace: Trace | None) -> Finding:
    """Judge the hottest or coldest voxel of a structure; where that reaches the edge of what is seen, more of it is unknown."""
    name, unit = each.structure.name, UNITS[limit.quantity]
    up = -1.0 if limit.side == "below" else 1.0  # which way is worse
    voxels = each.beyond if limit.applies == "outside_target" else each.inside
    heated = up * (edge - BASELINE_C) > number("edge_temperature_c") - BASELINE_C
    place, when = None, None
    rest = 0.0 if limit.quantity == "cem43_min" else BASELINE_C
    if len(voxels):
        hot = int(voxels[np.argmax(up * values.ravel()[voxels])])
        value = float(values.ravel()[hot])
        place = _point(grid.to_mm(np.array(np.unravel_index(hot, grid.shape), float)))
        where = " outside the target" if limit.applies == "outside_target" else ""
        text = f"{name}: {_figure(value)} {unit}{where}, limit {limit.limit:g}"
    elif each.cut:
        value = rest if limit.quantity == "cem43_min" else up * max(up * edge, up * rest)
        text = f"{name}: outside the planning box, whose edge stays at {edge:.3g} °C"
    else:
        value, text = rest, f"{name}: all of it inside the target"
    if not np.isfinite(value):
        text = f"cannot tell: the simulation gave no number at the {name}; repeat it with a smaller step"
        return Finding(limit.id, each.structure.id, None, unit, limit.limit, "unknown", text, place, source=limit.source)
    text += _with_error(each)
    level: Level = limit.level(value)
    if each.cut and heated and (level != "breach" or not len(voxels)):
        seen, do = ("drawn of it", "draw it on") if len(each.undrawn) else ("seen", LARGER)
        text = f"cannot tell: {edge:.3g} °C reaches the edge of what is {seen}, and the {name} goes on beyond it; {do}"
        band = Band.of(value) if len(voxels) else None
        return Finding(limit.id, each.structure.id, band, unit, limit.limit, "unknown", text, place, source=limit.source)
    if trace is not None and limit.quantity != "cem43_min":
        crossed = np.flatnonzero(trace.values >= limit.limit if up > 0 else trace.values < limit.limit)
        when = float(trace.times_s[crossed[0] if len(crossed) else int(np.argmax(up * trace.values))])
        text += f", first {'above' if up > 0 else 'below'} it after {when:.0f} s" if len(crossed) else ""
        if up < 0 and value < BASELINE_C - 1.0 and int(np.argmin(trace.values)) == len(trace.values) - 1:
            text += "; still falling when the run ended"
    return Finding(limit.id, each.structure.id, Band.of(value), unit, limit.limit, level, text, place, when, limit.source)


def _trace(effects: Sequence[Effect], each: Structure, which: str = "hottest") -> Trace | None:
    found = [e.traces[f"{which}:{each.id}"] for e in effects if f"{which}:{each.id}" in e.traces]
    up = 1.0 if which == "hottest" else -1.0
    return max(found, key=lambda t: float(np.max(up * t.values, initial=-np.inf))) if found else None
