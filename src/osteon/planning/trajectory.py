"""Ways in for a needle: every candidate from skin to target, hard limits, and what is left as a Pareto set.

Baegert et al. 2007, doi 10.3109/10929080701312000: admissible skin zones and quasi-exhaustive search. Never one weighted number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from osteon.planning import trajectory_kernels as kernels
from osteon.planning.geometry import number
from osteon.planning.maps import PathMaps, body_of, build_maps
from osteon.planning.plan import Path, PathSearch
from osteon.space.anatomy import Anatomy, Structure, structure
from osteon.space.volume import Array, Grid
from osteon.treatments.base import NeedleAccess, NeedlePose

# Which way is down [LPS]: x to the left, y to the back.
DOWN = {
    "supine": (0.0, 1.0, 0.0),
    "prone": (0.0, -1.0, 0.0),
    "left_decubitus": (1.0, 0.0, 0.0),
    "right_decubitus": (-1.0, 0.0, 0.0),
}
SCANNED = {"P": "prone", "S": "supine", "DL": "left_decubitus", "DR": "right_decubitus"}  # the end of DICOM's Patient Position
STEP_MM = 0.75
NORMAL_MM = 12.0  # ball over which the direction of the skin is taken
RESOLUTION = np.array([1.0, 1.0, 2.0, 2.5, 2.5, 1.0])  # finer differences of an objective are not told apart
OBJECTIVES = ("length_mm", "clearance_mm", "bone_mm", "skin_incidence_deg", "cortex_incidence_deg", "off_axis_mm")
REASONS = {
    kernels.LENGTH: "longer than the needle",
    kernels.NOT_IMAGED_SKIN: "skin not imaged",
    kernels.SKIN_INCIDENCE: "too slanting at the skin",
    kernels.TABLE: "from the side of the table",
    kernels.BORE: "handle outside the gantry bore",
    kernels.STRUCTURE: "too close to a critical structure or through it",
    kernels.BONE: "through a bone that may not be drilled",
    kernels.AIR: "leaves the body on the way",
    kernels.CORTEX_INCIDENCE: "too slanting at the cortex",
    kernels.NOT_IMAGED: "through tissue that was not imaged",
}


def positions_from(chart: str | None, scanned: str) -> tuple[tuple[str, ...], bool]:
    """Return the positions that may be used, the preferred first, and whether the chart fixes it.

    Parameters
    ----------
    chart : str or None
        ``patient_position`` of the chart: it alone is used where it is known.
    scanned : str
        DICOM's Patient Position, for example "HFS"; it is preferred where the chart is silent.
    """
    if chart in DOWN:
        return (str(chart),), True
    first = SCANNED.get(scanned[2:], "") if len(scanned) in (3, 4) else ""
    rest = [name for name in ("prone", "supine", "left_decubitus", "right_decubitus") if name != first]
    return ((first, *rest) if first else tuple(rest)), False


def aim_points(grid: Grid, mask: Array, count: int = 7) -> Array:
    """Return points to aim at: the middle of a mask (moved into it where it lies outside), then points towards its ends.

    Returns
    -------
    ndarray (at most ``count``, 3)
        LPS mm, the middle first.
    """
    places = grid.to_mm(np.argwhere(mask))
    middle = places.mean(axis=0)
    middle = places[np.argmin(((places - middle) ** 2).sum(1))]
    spread = places - places.mean(axis=0)
    _, axes = np.linalg.eigh(spread.T @ spread)
    found = [middle]
    for axis in axes.T[::-1]:
        along = spread @ axis
        for end in (0.35 * along.max(), 0.35 * along.min()):
            wanted = middle + end * axis
            place = places[np.argmin(((places - wanted) ** 2).sum(1))]
            if min(float(np.linalg.norm(place - f)) for f in found) > 2.0:
                found.append(place)
    return np.array(found[:count])


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Entries (skin), their normals, whether the skin there was not imaged, and the points aimed at."""

    entries: Array
    unseen: Array
    normals: Array
    aims: Array


def search_paths(
    anatomy: Anatomy,
    lesion: Structure,
    access: NeedleAccess,
    bone: Structure | None = None,
    positions: Sequence[str] = tuple(DOWN),
    aims: Array | None = None,
    candidates: int = 40_000,
    maps: PathMaps | None = None,
) -> PathSearch:
    """Try every way from skin to target, keep what no hard limit forbids, and return the non-dominated ones.

    Each candidate is counted once, at the first hard limit that it breaks: length, skin imaged, incidence at the skin, table,
    bore, then along the needle structures, bone, air, and incidence at the cortex. A structure that is not outlined cannot be
    cleared; the search goes on without it and ``limits.judge`` says "cannot tell".

    Parameters
    ----------
    anatomy : Anatomy
        On the full grid of the image: skin and structures must be there, not only the surroundings of the lesion.
    lesion : Structure
        What is aimed at; must be outlined.
    access : NeedleAccess
        What the device needs.
    bone : Structure, optional
        The bone that holds the lesion, for ``drills_bone = ("target",)``.
    positions : sequence of str
        Admissible positions of the patient, the preferred first.
    aims : ndarray (m, 3), optional
        Points [LPS mm] where the middle of the active zone is to lie; by default chosen inside the lesion.
    candidates : int
        About how many to try.
    maps : PathMaps, optional
        Maps that were built before.

    Returns
    -------
    PathSearch
        ``pose.tip_mm`` of each path is the point aimed at, where the middle of the active zone is to lie; length and clearance
        count the tip beyond it (``access.active_offset_mm``).

    Raises
    ------
    NotOutlinedError
        If the lesion, or both body and image, are missing.
    """
    mask = anatomy.mask(lesion)
    points = aim_points(mask.grid, mask.array) if aims is None else np.atleast_2d(np.asarray(aims, float))
    if maps is None:
        maps = build_maps(anatomy, points[0], access.max_depth_mm, drillable(anatomy, access, bone), lesion)
    tried = _candidates(maps, points, candidates, access.max_depth_mm)
    count = len(tried.entries) * len(points)
    if count == 0:
        return PathSearch(0, 0, (), None, "no way in: no skin within the needle's length of the target was imaged", {})
    code, figures, possible = _walk(anatomy, maps, tried, access, positions)
    cortex = _cortex_incidence(maps, tried, code, figures, access.max_incidence_deg)
    kept = np.flatnonzero(code == kernels.OK)
    rejected = {REASONS[k]: int((code == k).sum()) for k in REASONS if (code == k).any()}
    if len(kept) == 0:
        worst = max(rejected, key=lambda k: rejected[k])
        why = f"no way in: all {count} candidates break a hard limit, most of them: {worst}"
        return PathSearch(count, 0, (), None, why, rejected)
    objectives = _objectives(figures[kept], cortex[kept], points, kept % len(points))
    chosen = kept[pareto(objectives, scale=True)]
    rows = objectives[np.searchsorted(kept, chosen)]
    nearest = _nearest(maps, tried, chosen, access)
    paths = tuple(
        _path(tried, int(c), row, figures[c], positions, int(possible[c]), name)
        for c, row, name in zip(chosen, rows, nearest, strict=True)
    )
    order, why = recommend(paths, positions)
    return PathSearch(count, len(kept), tuple(paths[i] for i in order), 0, why, rejected)


def refusal(anatomy: Anatomy, maps: PathMaps, pose: NeedlePose, access: NeedleAccess, positions: Sequence[str]) -> str:
    """Return the hard limit that one pose breaks, with its tip where it is; empty where it breaks none.

    A treatment may push the tip beyond the point that the search aimed at, so what it offers is looked at again.
    """
    entry, tip = np.array([pose.entry_mm]), np.array([pose.tip_mm])
    inverse = np.linalg.inv(maps.grid.matrix)[:3].copy()
    normals = kernels.inward_normals(entry, maps.place != kernels.AIRY, inverse, maps.grid.matrix[:3, :3].copy(), NORMAL_MM)
    tried = _Candidates(entry, np.zeros(1, bool), normals, tip)
    code, figures, _ = _walk(anatomy, maps, tried, replace(access, active_offset_mm=0.0), positions)
    _cortex_incidence(maps, tried, code, figures, access.max_incidence_deg)
    return REASONS.get(int(code[0]), "")


def drillable(anatomy: Anatomy, access: NeedleAccess, bone: Structure | None) -> frozenset[Structure]:
    """Return the bones that the device may cross here."""
    if "*" in access.drills_bone:
        return frozenset(s for s in anatomy.masks if s.kind == "bone")
    named = {structure(name) for name in access.drills_bone if name != "target"}
    return frozenset(named | ({bone} if bone is not None and "target" in access.drills_bone else set()))


def _candidates(maps: PathMaps, points: Array, wanted: int, reach_mm: float) -> _Candidates:
    place = maps.place
    edges = np.where(maps.touches_edge, kernels.UNSEEN, kernels.BODY)
    padded = np.pad(place, 1, constant_values=kernels.BODY)
    for axis in range(3):
        for end in (0, 1):
            face = [slice(None)] * 3
            face[axis] = slice(-1, None) if end else slice(0, 1)
            padded[tuple(face)] = edges[axis, end]
    core = tuple(slice(1, -1) for _ in range(3))
    inside = place == kernels.BODY
    airy, unseen = np.zeros_like(inside), np.zeros_like(inside)
    for axis in range(3):
        for shift in (-1, 1):
            beside = np.roll(padded, shift, axis)[core]
            airy |= beside == kernels.AIRY
            unseen |= beside == kernels.UNSEEN
    index = np.argwhere(inside & (airy | unseen))
    entries = maps.grid.to_mm(index)
    near = np.linalg.norm(entries - points.mean(axis=0), axis=1) <= reach_mm + 10.0
    index, entries = index[near], entries[near]
    keep = max(1, wanted // len(points))
    if (
        len(entries) > keep
    ):  # scattered, not every n-th: a step in even rhythm with the rows of voxels would leave out whole faces
        chosen = np.sort(np.random.default_rng(0).permutation(len(entries))[:keep])
        index, entries = index[chosen], entries[chosen]
    lacking = unseen[tuple(index.T)] & ~airy[tuple(index.T)]
    inverse = np.linalg.inv(maps.grid.matrix)[:3]
    normals = kernels.inward_normals(entries, place != kernels.AIRY, inverse, maps.grid.matrix[:3, :3].copy(), NORMAL_MM)
    return _Candidates(entries, lacking, normals, points)


def _walk(
    anatomy: Anatomy, maps: PathMaps, tried: _Candidates, access: NeedleAccess, positions: Sequence[str]
) -> tuple[Array, Array, Array]:
    body = body_of(anatomy)
    sample = body.grid.to_mm(np.argwhere(body.array[::3, ::3, ::3]) * 3.0)
    downs = np.array([DOWN[p] for p in positions])
    tables = (sample @ downs.T).max(axis=0)
    centre = 0.5 * (sample.min(axis=0) + sample.max(axis=0))
    limits = (
        access.active_offset_mm, access.max_depth_mm, float(np.cos(np.deg2rad(access.max_incidence_deg))), STEP_MM,
        0.5 * access.shaft_diameter_mm, access.max_depth_mm, number("handle_mm"), number("table_clearance_mm"),
        number("bore_radius_mm"), number("forbidden_bone_mm"), number("skin_air_gap_mm"),
    )  # fmt: skip
    inverse = np.linalg.inv(maps.grid.matrix)[:3].copy()
    bore_axes = np.eye(3)[:2].copy()
    code, figures, possible = kernels.walk_paths(
        tried.entries, tried.unseen, tried.normals, tried.aims, inverse, maps.margin, maps.clear, maps.bone, maps.place,
        downs, tables, centre, bore_axes, tuple(float(v) for v in limits),
    )  # fmt: skip
    return code, figures, possible


def _cortex_incidence(maps: PathMaps, tried: _Candidates, code: Array, figures: Array, most_deg: float) -> Array:
    """Return the angle to the normal of the bone where each path first meets it [deg], 0 without bone; mark the slanting."""
    angles = np.zeros(len(code), np.float32)
    kept = np.flatnonzero((code == kernels.OK) & (figures[:, 4] >= 0))
    if len(kept) == 0:
        return angles
    starts, aims = tried.entries[kept // len(tried.aims)], tried.aims[kept % len(tried.aims)]
    ways = (aims - starts) / np.linalg.norm(aims - starts, axis=1, keepdims=True)
    meets = starts + ways * figures[kept, 4:5]
    inverse = np.linalg.inv(maps.grid.matrix)[:3].copy()
    solid = (maps.bone == kernels.ALLOWED) | (maps.bone == kernels.LESION)
    normals = kernels.inward_normals(meets.astype(float), solid, inverse, maps.grid.matrix[:3, :3].copy(), 8.0)
    cosine = np.clip((normals * ways).sum(axis=1), -1.0, 1.0)
    angles[kept] = np.rad2deg(np.arccos(cosine))
    code[kept[angles[kept] > most_deg]] = kernels.CORTEX_INCIDENCE
    return angles


def _objectives(figures: Array, cortex: Array, points: Array, aim: Array) -> Array:
    off_axis = np.linalg.norm(points - points[0], axis=1)[aim]
    skin = np.rad2deg(np.arccos(np.clip(figures[:, 3], -1.0, 1.0)))
    clearance = np.minimum(figures[:, 1], number("clearance_counted_mm"))
    return np.stack([figures[:, 0], clearance, figures[:, 2], skin, cortex, off_axis], axis=1).astype(float)


def pareto(objectives: Array, scale: bool = False) -> Array:
    """Return the indices of the rows that no other row dominates, ascending; of equal rows the first.

    Parameters
    ----------
    objectives : ndarray (n, 6)
        In the order of ``OBJECTIVES``; clearance is to be large, all others small.
    scale : bool
        Round to ``RESOLUTION`` first: smaller differences are not told apart.
    """
    costs = objectives * np.array([1, -1, 1, 1, 1, 1])
    if scale:
        costs = np.round(costs / RESOLUTION)
    unique, first = np.unique(costs, axis=0, return_index=True)
    order = np.argsort(unique.sum(axis=1), kind="stable")
    keep = kernels.non_dominated(np.ascontiguousarray(unique[order]))
    return np.sort(first[order[keep]])


def _nearest(maps: PathMaps, tried: _Candidates, chosen: Array, access: NeedleAccess) -> list[str]:
    """Name the critical structure nearest to each path."""
    if not maps.critical:
        return [""] * len(chosen)
    starts, aims = tried.entries[chosen // len(tried.aims)], tried.aims[chosen % len(tried.aims)]
    ways = aims - starts
    sizes = np.linalg.norm(ways, axis=1, keepdims=True)
    tips = aims + ways / sizes * access.active_offset_mm
    points = starts[:, None] + (tips - starts)[:, None] * np.linspace(0, 1, 60)[None, :, None]
    gaps = ndimage.map_coordinates(maps.clear, np.moveaxis(maps.grid.to_index(points), -1, 0), order=1, mode="nearest")
    closest = points[np.arange(len(points)), gaps.argmin(axis=1)]
    border = (maps.which > 0) & (ndimage.minimum_filter(maps.which, size=3) != maps.which)
    index = np.argwhere(border if border.any() else maps.which > 0)
    found = cKDTree(maps.grid.to_mm(index)).query(closest)[1]
    return [maps.critical[int(k) - 1].id for k in maps.which[tuple(index[found].T)]]


def _path(
    tried: _Candidates, candidate: int, row: Array, figures: Array, positions: Sequence[str], possible: int, nearest: str
) -> Path:
    entry, aim = tried.entries[candidate // len(tried.aims)], tried.aims[candidate % len(tried.aims)]
    pose = NeedlePose((float(entry[0]), float(entry[1]), float(entry[2])), (float(aim[0]), float(aim[1]), float(aim[2])))
    cortex = None
    if figures[4] >= 0:
        x, y, z = (float(e + d * figures[4]) for e, d in zip(pose.entry_mm, pose.direction, strict=True))
        cortex = (x, y, z)
    objectives = {name: float(v) for name, v in zip(OBJECTIVES, row, strict=True)}
    named = next(p for i, p in enumerate(positions) if possible >> i & 1)
    return Path(pose, objectives, cortex, nearest, named)


def recommend(paths: Sequence[Path], positions: Sequence[str]) -> tuple[list[int], str]:
    """Put paths in the order in which they are to be tried, by a fixed order of questions, and say why the first is first.

    The questions, one after the other, never added up: (1) is 1 cm kept from every critical structure, else how much; (2) are
    skin and cortex met within 30 degrees; (3) does the middle of the zone lie in the middle of the target (steps of 5 mm);
    (4) how much bone is crossed (steps of 10 mm); (5) how long is the way (steps of 10 mm); (6) can the patient lie as preferred.
    """
    enough, good = number("clearance_enough_mm"), number("incidence_good_deg")

    def rank(i: int) -> tuple[float, ...]:
        o = paths[i].objectives
        slant = max(o["skin_incidence_deg"], o["cortex_incidence_deg"])
        return (
            round(max(enough - o["clearance_mm"], 0.0)), np.ceil(max(slant - good, 0.0) / 10.0), np.ceil(o["off_axis_mm"] / 5.0),
            np.ceil(o["bone_mm"] / 10.0), np.floor(o["length_mm"] / 10.0), float(list(positions).index(paths[i].position)),
            slant, o["length_mm"], *paths[i].pose.entry_mm,
        )  # fmt: skip

    order = sorted(range(len(paths)), key=rank)
    best = paths[order[0]].objectives
    keeps = best["clearance_mm"] >= enough
    gap = f"{best['clearance_mm']:.0f} mm" + (" or more" if best["clearance_mm"] >= number("clearance_counted_mm") else "")
    near = f" from the nearest outlined structure ({paths[order[0]].nearest})" if paths[order[0]].nearest else ""
    why = (
        f"of {len(paths)} paths that none betters in every respect: patient {paths[order[0]].position.replace('_', ' ')}; keeps "
        f"{gap}{near}{'' if keeps else f', the most that can be had here, less than {enough:.0f} mm'}; meets the skin at "
        f"{best['skin_incidence_deg']:.0f}° and the cortex at {best['cortex_incidence_deg']:.0f}° from the perpendicular; "
        f"{best['length_mm']:.0f} mm long, {best['bone_mm']:.0f} mm of it in bone"
    )
    return order, why
