r"""Where sonications go: hexagons of lethal cells over the periosteum, or layers of them through the tumour.

A cell is an ellipsoid along the beam, as wide and as long as the caller simulated it. Circles of width d cover a plane at a
distance of :math:`\tfrac{\sqrt 3}{2} d`; ellipsoids cover space in layers, hexagons of distance :math:`d / \sqrt 2` at steps of
:math:`l / \sqrt 3` along the beam (the largest such prism within the cell). Lattices of several turns and shifts are tried; what
they leave open at the edges gets cells of its own, what adds nothing is left out, and the fewest cells win that cover enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.spatial import cKDTree

from osteon.errors import InputError
from osteon.space.anatomy import Anatomy, Structure
from osteon.space.volume import Array
from osteon.treatments.focused_ultrasound.access_looks import triple
from osteon.treatments.focused_ultrasound.approach_rows import number
from osteon.treatments.focused_ultrasound.bone_face import Face, face_of, periosteum
from osteon.treatments.focused_ultrasound.order import apart
from osteon.treatments.focused_ultrasound.shots import APPROACHES, Aim, ApproachName

POINTS = 4000  # of the target at most, on which coverage is measured
TURNS, SHIFTS, LAYER_SHIFTS = 3, 3, 3
FILLED = 6  # so many of the best lattices are completed at their edges
FILLERS = 600  # places tried for a cell at the edge


@dataclass(frozen=True, eq=False)
class Treated:
    """What cells must cover: places (n, 3) [mm] along u, v and the beam, what each weighs (sum 1), and where spots may lie."""

    places: Array
    weights: Array
    surface: bool


def lattice(
    anatomy: Anatomy,
    target: Structure,
    approach: ApproachName,
    cell_mm: tuple[float, float],
    beam: Sequence[float],
    bone: Structure | None = None,
    *,
    face: Face | None = None,
) -> tuple[Aim, ...]:
    """Return where to sonicate, in the order in which to do it.

    Near-target and direct treat the outer surface of the bone over the lesion, as far as it faces the beam, with a margin;
    trans-soft-tissue treats the lytic part of the lesion.

    Parameters
    ----------
    anatomy : Anatomy
        With a CT.
    target : Structure
        Outlined.
    approach : {"near-target", "direct", "trans-soft-tissue"}
        Any of them, whether it is offered or not (see ``approach.approaches_of``).
    cell_mm : tuple of float
        Width and length along the beam of the cell that one sonication kills, at the surface or in the tumour.
    beam : sequence of float
        The way sound goes, LPS; the same for all.
    bone : Structure, optional
        That holds the target; else ``target_site.touching_most``.
    face : Face, optional
        From ``bone_face.face_of``, where it was built before.

    Returns
    -------
    tuple of Aim
        By order; the sum of ``covers`` is the share of the target that is covered (``coverage``).

    Raises
    ------
    NotOutlinedError, MissingError
        As ``target_site.ct_of``.
    InputError
        If approach, beam or cell make no sense, there is nothing to treat that way, or it would take too many cells.
    """
    width, length = _checked(approach, cell_mm)
    seen = face or face_of(anatomy, target, beam, bone)
    treated = treated_of(seen, approach)
    if len(treated.places) == 0:
        raise InputError(
            f"The {target.name} has nothing to treat with the approach {approach!r} along {tuple(beam)}.",
            "Near-target and direct need a surface of bone that faces the beam, trans-soft-tissue needs soft tumour.",
            "Take another approach or another direction (see osteon.treatments.focused_ultrasound.approach).",
        )
    scale = 2.0 / np.array([width, width, length])
    cells = _fewest(treated, width, length, scale)
    order = apart(cells[:, :2], width)
    spots = seen.to_mm(cells)
    behind = number("behind_cortex_mm") if approach == "near-target" else 0.0
    way = seen.axes[:, 2]
    names = _names(cells)
    covered = np.zeros(len(treated.places), bool)
    aims = []
    for rank, k in enumerate(order):
        new = _covers(treated.places, cells[k : k + 1], scale)[:, 0] & ~covered
        covered |= new
        share = min(float(treated.weights[new].sum()), 1.0)
        focus = triple(spots[k] + behind * way)
        aims.append(Aim(names[k], focus, triple(way), approach, rank, share, triple(spots[k])))
    return tuple(aims)


def coverage(aims: Sequence[Aim]) -> float:
    """Return the share of the target that all cells cover together."""
    return min(math.fsum(aim.covers for aim in aims), 1.0)


def least_step_mm(aims: Sequence[Aim]) -> float:
    """Return the least distance across the beam between successive sonications; infinity where there is only one."""
    ordered = sorted(aims, key=lambda aim: aim.order)
    steps = []
    for one, other in pairwise(ordered):
        way = np.asarray(other.beam)
        step = np.asarray(other.spot_mm) - np.asarray(one.spot_mm)
        steps.append(float(np.linalg.norm(step - (step @ way) * way)))
    return min(steps, default=math.inf)


def treated_of(face: Face, approach: ApproachName) -> Treated:
    """Return what cells of an approach must cover: places on the surface by their area, or of the soft tumour by their volume.

    Of the surface, what has cortex below it: where that is gone nothing takes the sound up, and there is no periosteum left.
    """
    if approach == "trans-soft-tissue":
        index = np.argwhere(face.soft_lesion)
        weights = np.ones(len(index))
    else:
        index, weights = periosteum(face)
        there = over_cortex(face, index)
        index, weights = index[there], weights[there]
    if len(index) > POINTS:
        kept = np.unique(np.linspace(0, len(index) - 1, POINTS).round().astype(int))
        index, weights = index[kept], weights[kept]
    return Treated(face.to_uvw(index), weights / max(float(weights.sum()), 1e-12), approach != "trans-soft-tissue")


def over_cortex(face: Face, index: Array) -> Array:
    """Return below which cells of the surface there is cortex to take sound up: ``there_mm`` of solid within ``gap_mm`` of it."""
    if len(index) == 0:
        return np.zeros(0, bool)
    deep = np.arange(max(1, round(number("gap_mm") / face.step_mm)))
    z = np.minimum(index[:, :1] + deep, face.whole.shape[0] - 1)
    solid = face.solid["middle"][z, index[:, 1:2], index[:, 2:3]]
    return np.asarray(solid.sum(axis=1) * face.step_mm >= number("there_mm"))


def bare_share(face: Face) -> float:
    """Return the share, by area, of the surface over the target under which the cortex is gone."""
    index, areas = periosteum(face)
    if len(index) == 0:
        return 0.0
    return float(areas[~over_cortex(face, index)].sum() / areas.sum())


def _checked(approach: ApproachName, cell_mm: tuple[float, float]) -> tuple[float, float]:
    if approach not in APPROACHES:
        raise InputError(
            f"There is no approach {approach!r}.",
            "Where the focus lies follows from it.",
            f"Use one of: {', '.join(APPROACHES)}.",
        )
    low, high = number("smallest_cell_mm"), number("largest_cell_mm")
    cell = np.asarray(cell_mm, float)
    if cell.shape != (2,) or not (np.isfinite(cell).all() and (low <= cell).all() and (cell <= high).all()):
        raise InputError(
            f"A lethal cell of {cell_mm} mm was given.",
            f"Width and length along the beam decide where sonications go; {low:g} to {high:g} mm are taken.",
            "Give both in mm, as the simulation of one sonication gave them.",
        )
    return float(cell[0]), float(cell[1])


def _covers(places: Array, cells: Array, scale: Array) -> Array:
    """Return which places lie in which cells, shape (places, cells)."""
    a, b = places * scale, cells * scale
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.asarray(squared <= 1 + 1e-9)


def _fewest(treated: Treated, width: float, length: float, scale: Array) -> Array:
    """Return the cells (n, 3) of the lattice that covers enough with the fewest."""
    close = 1 - number("overlap")
    tried = []
    middle = np.average(treated.places, axis=0, weights=treated.weights)
    for shift in _shifts(treated.surface):
        for turn in np.arange(TURNS) * (math.pi / 3 / TURNS):
            made = _surface_cells if treated.surface else _layer_cells
            cells = made(treated.places, middle, width * close, length * close, turn, shift)
            cells = cells[_covers(treated.places, cells, scale).any(axis=0)]
            share = float(treated.weights[_covers(treated.places, cells, scale).any(axis=1)].sum())
            tried.append((len(cells), round(share, 3), cells))
    wanted = number("wanted_share")
    tried.sort(key=lambda one: (max(wanted - one[1], 0.0), one[0]))
    done = [_pruned(treated, _filled(treated, cells, scale), scale) for _, _, cells in tried[:FILLED]]
    enough = [c for c in done if _share(treated, c, scale) >= wanted]
    if enough:
        return min(enough, key=lambda c: (len(c), -round(_share(treated, c, scale), 3)))
    return max(done, key=lambda c: round(_share(treated, c, scale), 3))


def _shifts(surface: bool) -> list[tuple[float, float, float]]:
    across = [(i / SHIFTS, j / SHIFTS) for i in range(SHIFTS) for j in range(SHIFTS)]
    along = [0.0] if surface else [k / LAYER_SHIFTS for k in range(LAYER_SHIFTS)]
    return [(a, b, c) for c in along for a, b in across]


def _hexagons(low: Array, high: Array, middle: Array, pitch: float, turn: float, shift: tuple[float, float, float]) -> Array:
    """Return places (n, 2) of a hexagonal lattice round a middle that reach over a box."""
    one = pitch * np.array([math.cos(turn), math.sin(turn)])
    two = pitch * np.array([math.cos(turn + math.pi / 3), math.sin(turn + math.pi / 3)])
    reach = math.ceil(float(np.linalg.norm(high - low)) / (pitch * math.sqrt(3) / 2)) + 2
    _refuse_many(float(np.prod(high - low)) / pitch**2, pitch)
    i, j = (n.ravel() for n in np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1)))
    found = middle + (i + shift[0])[:, None] * one + (j + shift[1])[:, None] * two
    kept = ((found >= low - pitch / 2) & (found <= high + pitch / 2)).all(axis=1)
    return np.asarray(found[kept])


def _refuse_many(count: float, pitch: float) -> None:
    if count > number("most_cells"):
        raise InputError(
            f"Cells {pitch:.1f} mm apart would need about {count:.0f} sonications.",
            f"More than {number('most_cells'):g} are no session.",
            "Give larger cells (more power or time), or treat a part of the lesion.",
        )


def _surface_cells(places: Array, middle: Array, width: float, _: float, turn: float, shift: tuple[float, float, float]) -> Array:
    """Return cells on the surface at the places of hexagons across the beam: each lies at the depth of the nearest place."""
    across = places[:, :2]
    centres = _hexagons(across.min(0), across.max(0), middle[:2], width * math.sqrt(3) / 2, turn, shift)
    gap = ((centres[:, None] - across[None]) ** 2).sum(2)
    nearest = gap.argmin(axis=1)
    kept = gap.min(axis=1) <= (width / 2) ** 2
    found = np.column_stack([centres, places[nearest, 2]])
    off = gap.min(axis=1) > 1.0  # beside the edge: a spot lies on the surface, not in the air beside it
    found[off] = places[nearest[off]]
    return np.asarray(found[kept])


def _layer_cells(
    places: Array, middle: Array, width: float, length: float, turn: float, shift: tuple[float, float, float]
) -> Array:
    """Return cells in layers along the beam whose middles lie in the tumour."""
    low, high = places.min(0), places.max(0)
    pitch, step = width / math.sqrt(2), length / math.sqrt(3)
    _refuse_many(_steps(high[2] - low[2], step) * float(np.prod(high[:2] - low[:2])) / pitch**2 / 2, pitch)
    flat = _hexagons(low[:2], high[:2], middle[:2], pitch, turn, shift)
    depths = np.arange(middle[2] + (shift[2] - math.ceil((middle[2] - low[2]) / step) - 1) * step, high[2] + step, step)
    found = np.concatenate([np.column_stack([flat, np.full(len(flat), d)]) for d in depths])
    near = cKDTree(places).query(found)[0]
    return np.asarray(found[near <= 1.0 + 2.0 * _cell_edge(places)])


def _steps(extent: float, step: float) -> int:
    """Return how many steps span an extent, at least one."""
    return max(1, math.ceil(extent / step))


def _cell_edge(places: Array) -> float:
    """Return about how far neighbouring places lie apart."""
    extent = np.maximum(places.max(0) - places.min(0), 1e-3)
    return float((np.prod(extent) / len(places)) ** (1 / 3)) / 2


def _share(treated: Treated, cells: Array, scale: Array) -> float:
    return float(treated.weights[_covers(treated.places, cells, scale).any(axis=1)].sum()) if len(cells) else 0.0


def _filled(treated: Treated, cells: Array, scale: Array) -> Array:
    """Return cells with those added that cover most of what is left, until enough is covered."""
    open_ = ~_covers(treated.places, cells, scale).any(axis=1) if len(cells) else np.ones(len(treated.places), bool)
    at = treated.places
    if len(at) > FILLERS:
        at = at[np.unique(np.linspace(0, len(at) - 1, FILLERS).round().astype(int))]
    table = _covers(treated.places, at, scale)
    made = list(cells)
    while treated.weights[open_].sum() > 1 - number("wanted_share") and len(made) <= number("most_cells"):
        gain = np.round((treated.weights * open_) @ table, 9)
        best = int(np.argmax(gain))
        if gain[best] <= 0:
            break
        made.append(at[best])
        open_ &= ~table[:, best]
    return np.array(made)


def _pruned(treated: Treated, cells: Array, scale: Array) -> Array:
    """Return cells without those that can be spared, the one that covers least by itself first."""
    table = _covers(treated.places, cells, scale)
    kept = np.ones(len(cells), bool)
    while kept.sum() > 1:
        times = table[:, kept].sum(axis=1)
        alone = np.round((treated.weights * (times == 1)) @ table, 9)
        alone[~kept] = np.inf
        least = int(np.argmin(alone))
        rest = float(treated.weights[times > 0].sum()) - float(alone[least])
        if alone[least] > 0 and (alone[least] > number("least_gain") or rest < number("wanted_share")):
            break
        kept[least] = False
    return np.asarray(cells[kept])


def _names(cells: Array) -> list[str]:
    """Return a name for each cell, numbered from the array onward, then across the beam."""
    order = np.lexsort((np.round(cells[:, 0], 3), np.round(cells[:, 1], 3), np.round(cells[:, 2], 3)))
    return [f"S-{int(np.flatnonzero(order == k)[0]) + 1:02d}" for k in range(len(cells))]
