"""What sound meets round a target, as one coarse lattice of small numbers: cheap to walk through thousands of times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numpy as np
from scipy import ndimage

from osteon.data_files import read_data
from osteon.evidence.value import Value, values_of
from osteon.space.anatomy import Anatomy, Field, Structure
from osteon.space.volume import Array, Grid, Volume, Window, box_of
from osteon.tissue.bone import added_hu, body_mask
from osteon.tissue.properties import Constants
from osteon.treatments.focused_ultrasound import access_kernels as kernels
from osteon.treatments.focused_ultrasound.target_site import ct_of, solid_hu, touching_most

CELL_MM = 2.0  # a cell is at most as wide, or one voxel
DEEPEST_MM = 40.0  # of a target below the surface of its bone
FIRST = 16  # number of the first structure in the map; smaller ones are kinds of place
SCAR_ID = "scar"
NAMES = {
    kernels.BY_GAS: "gas", kernels.BY_LUNG: "lung", kernels.BY_BOWEL: "bowel", kernels.BY_BONE: "other bone",
    kernels.BY_OWN: "the far side of its own bone", kernels.BY_IMPLANT: "metal", kernels.BY_CEMENT: "cement",
    kernels.BY_SCAR: "scar", kernels.BY_FOLD: "a skin fold or another part of the body", kernels.UNKNOWN: "not imaged",
    kernels.BY_SKIN: "too slanting at the skin",
    kernels.INSIDE: "an array inside the patient",
}  # fmt: skip
KIND = {
    "organ": kernels.ORGAN, "lung": kernels.LUNG, "bowel": kernels.BOWEL, "bone": kernels.BONE, "lesion": kernels.LESION,
    "vessel": kernels.SOFT, "muscle": kernels.SOFT, "disc": kernels.SOFT, "joint": kernels.SOFT, "nerve": kernels.NERVE,
    "cord": kernels.NERVE, "implant": kernels.IMPLANT, SCAR_ID: kernels.SCAR,
}  # fmt: skip
ORDER = ("muscle", "organ", "lung", "bowel", "disc", "joint", "bone", "vessel", "nerve", "cord", "implant", SCAR_ID)
ANY = frozenset({"bowel", "nerve", "cord", "implant", SCAR_ID})  # a part of a voxel counts as the whole
KEEPS_GAS = frozenset({"muscle", "organ", "bowel", "disc", "joint", "vessel"})
CRITICAL = (kernels.NERVE, kernels.ORGAN, kernels.BOWEL, kernels.LUNG, kernels.GAS)


@cache
def values() -> Mapping[str, Value]:
    """Return every constant of ``access.yaml`` by name."""
    entries = cast(dict[str, dict[str, Any]], read_data("osteon.treatments.focused_ultrasound", "access.yaml"))
    return values_of({name: e for name, e in entries.items() if "number" in e})


@cache
def tables() -> Mapping[str, Any]:
    """Return what ``access.yaml`` holds beside single numbers: focal depths of devices, bones that move."""
    entries = cast(dict[str, Any], read_data("osteon.treatments.focused_ultrasound", "access.yaml"))
    return {name: e for name, e in entries.items() if "number" not in e}


def number(name: str) -> float:
    """Return the middle of one constant of ``access.yaml``.

    Raises
    ------
    KeyError
        If it has none of that name.
    """
    return values()[name].number


@dataclass(frozen=True, eq=False)
class Scene:
    """What sound meets within reach of a target.

    Parameters
    ----------
    grid : Grid
        Coarse lattice.
    places : ndarray of uint8 (z, y, x)
        Kind of place (``access_kernels``), or the number of a structure from ``FIRST`` on.
    kinds : ndarray of uint8 (256,)
        Kind of each number in ``places``.
    structures : tuple of Structure
        By number, from ``FIRST`` on.
    lesion : ndarray of bool (z, y, x)
        The target.
    bone : Structure or None
        The outlined bone that holds it.
    undrawn_bone : bool
        Whether dense tissue that nobody outlined touches the target.
    """

    grid: Grid
    places: Array
    kinds: Array
    structures: tuple[Structure, ...]
    lesion: Array
    bone: Structure | None
    undrawn_bone: bool

    @property
    def spacing_mm(self) -> float:
        """Least edge of a cell."""
        return min(self.grid.spacing_mm)

    def name(self, place: int) -> str:
        """Return what a number of ``places`` is, in words."""
        return self.structures[place - FIRST].name if place >= FIRST else "gas"

    def of_kind(self, *kinds: int) -> Array:
        """Return where places are of one of some kinds."""
        return cast(Array, np.isin(self.kinds, kinds)[self.places])


def build_scene(anatomy: Anatomy, target: Structure, reach_mm: float, bone: Structure | None = None) -> Scene:
    """Return what sound meets within reach of a target.

    A coarse voxel is gas, bowel, nerve or metal where any part of it is, else what the larger part of it is; a scar reaches a
    little beyond its outline. Tissue denser than bone without an outline is bone that sound must not cross; what has no image is
    unknown.

    Parameters
    ----------
    anatomy : Anatomy
        On the image's own grid, with CT.
    target : Structure
        Outlined.
    reach_mm : float
        How far from the target rays go.
    bone : Structure, optional
        That holds the target; else ``target_site.touching_most``.

    Raises
    ------
    NotOutlinedError, MissingError
        As ``target_site.ct_of``.
    """
    image = ct_of(anatomy, target, "Gas and bone on the way are read from Hounsfield numbers.")
    frame = _frame(anatomy, target, reach_mm)
    places = _from_image(anatomy, image, frame)
    kinds = np.zeros(256, np.uint8)
    kinds[:FIRST] = np.arange(FIRST)
    kinds[FIRST - 1] = kernels.SOFT
    structures, bones = _draw(anatomy, target, frame, places, kinds)
    box, share = frame.share(anatomy.mask(target))
    inside = share >= 0.5 if (share >= 0.5).any() else share > 0
    lesion = np.zeros(places.shape, bool)
    lesion[box] = inside
    margin = number("beside_lesion_mm")
    around = _widened(box, places.shape, margin / np.array(frame.grid.spacing_mm) + 1)
    near = ndimage.distance_transform_edt(~lesion[around], sampling=frame.grid.spacing_mm) <= margin
    if bone is None:
        bone = touching_most({key: _overlap(where, here, around, near) for key, (where, here) in bones.items()})
    undrawn = bone is None and bool((near & (places[around] == kernels.BONE)).any())
    if bone in bones:
        box_of_bone, inside_bone = bones[bone]
        mine = inside_bone & (places[box_of_bone] == FIRST + structures.index(bone))
        dense = frame.mean(image, box_of_bone) > solid_hu(anatomy)
        places[box_of_bone][mine] = kernels.OWN_SOFT
        places[box_of_bone][mine & dense] = kernels.OWN
    blocking = np.isin(kinds[places[box]], (kernels.GAS, kernels.IMPLANT, kernels.CEMENT, kernels.UNSEEN))
    places[box][inside & ~blocking] = kernels.LESION
    return Scene(frame.grid, places, kinds, tuple(structures), lesion, bone, undrawn)


def _overlap(where: Window, inside: Array, around: Window, near: Array) -> int:
    """Return how many voxels two masks share, each given in a window of its own."""
    low = [max(a.start, b.start) for a, b in zip(where, around, strict=True)]
    high = [min(a.stop, b.stop) for a, b in zip(where, around, strict=True)]
    if any(h <= w for w, h in zip(low, high, strict=True)):
        return 0
    one = tuple(slice(w - s.start, h - s.start) for w, h, s in zip(low, high, where, strict=True))
    other = tuple(slice(w - s.start, h - s.start) for w, h, s in zip(low, high, around, strict=True))
    return int((inside[one] & near[other]).sum())


def _widened(box: Window, shape: tuple[int, ...], by: Array) -> Window:
    """Return a window widened by some voxels along each axis, within the grid."""
    more = np.ceil(by).astype(int)
    z, y, x = (slice(max(s.start - int(m), 0), min(s.stop + int(m), n)) for s, m, n in zip(box, more, shape, strict=True))
    return z, y, x


@dataclass(frozen=True)
class _Frame:
    """A window of the image, how many of its voxels make a cell along z, y, x, and the grid of the cells."""

    window: Window
    factors: tuple[int, int, int]
    grid: Grid

    def share(self, mask: Volume) -> tuple[Window, Array]:
        """Return the window of cells that a mask meets (of one cell where none), and its share of each."""
        box = mask.box() or (slice(0, 0),) * 3
        inner = [(max(b.start, w.start), min(b.stop, w.stop)) for b, w in zip(box, self.window, strict=True)]
        if any(stop <= start for start, stop in inner):
            return (slice(0, 1),) * 3, np.zeros((1, 1, 1), np.float32)
        z, y, x = (slice(start, stop) for start, stop in inner)
        offset = [start - w.start for (start, _), w in zip(inner, self.window, strict=True)]
        cells = [
            slice(o // f, -(-(o + stop - start) // f)) for o, (start, stop), f in zip(offset, inner, self.factors, strict=True)
        ]
        counts = np.zeros(tuple(c.stop - c.start for c in cells), np.uint16)
        first = tuple(o - c.start * f for o, c, f in zip(offset, cells, self.factors, strict=True))
        kernels.count_mask(np.ascontiguousarray(mask.part((z, y, x)), bool), first, self.factors, counts)
        return (cells[0], cells[1], cells[2]), counts / np.float32(np.prod(self.factors))

    def mean(self, image: Volume, cells: Window) -> Array:
        """Return the mean Hounsfield number of each cell of a window."""
        low = [w.start + c.start * f for w, c, f in zip(self.window, cells, self.factors, strict=True)]
        high = [min(w.start + c.stop * f, w.stop) for w, c, f in zip(self.window, cells, self.factors, strict=True)]
        z, y, x = (slice(a, b) for a, b in zip(low, high, strict=True))
        part: Array = np.asarray(image.part((z, y, x)), np.float32)
        for axis, factor in enumerate(self.factors):
            edges = np.arange(0, part.shape[axis], factor)
            sizes = np.diff(np.append(edges, part.shape[axis])).reshape([-1 if a == axis else 1 for a in range(3)])
            part = np.add.reduceat(part, edges, axis=axis) / sizes
        return part


def _frame(anatomy: Anatomy, target: Structure, reach_mm: float) -> _Frame:
    grid = anatomy.grid
    spacing = np.array(grid.spacing_mm)
    box = anatomy.mask(target).box()
    assert box is not None  # the caller asked whether it is outlined
    first, last = np.array([s.start for s in box]), np.array([s.stop for s in box])
    factors = np.maximum(np.floor(CELL_MM / spacing + 1e-6).astype(int), 1)
    low = np.clip(np.floor(first - reach_mm / spacing).astype(int), 0, None)
    high = np.minimum(np.ceil(last + reach_mm / spacing).astype(int), grid.shape)
    shape = tuple(int(-(-(b - a) // f)) for a, b, f in zip(low, high, factors, strict=True))
    affine = grid.matrix
    affine[:3, 3] = grid.to_mm(low + (factors - 1) / 2.0)
    affine[:3, :3] = affine[:3, :3] * factors[::-1]
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return _Frame((z, y, x), (int(factors[0]), int(factors[1]), int(factors[2])), Grid.of(shape, affine))


def _from_image(anatomy: Anatomy, image: Volume, frame: _Frame) -> Array:
    constants, window = Constants(), frame.window
    air = constants("hounsfield", "air")
    bodies = anatomy.of_kind("body")
    body = anatomy.masks[bodies[0]].part(window) if bodies else body_mask(anatomy, image.array, air)[window]
    for key in anatomy.of_kind("table"):
        body = body & ~anatomy.masks[key].part(window)
    places = np.zeros(frame.grid.shape, np.uint8)
    limits = (air, number("unlabelled_dense_hu") + added_hu(anatomy, constants), constants("hounsfield", "metal"))
    hu = np.ascontiguousarray(image.part(window), np.float32)
    seen = np.ascontiguousarray(anatomy.imaged.part(window), bool)
    kernels.pool(hu, np.ascontiguousarray(body, bool), seen, frame.factors, limits, places)
    return places


def _draw(
    anatomy: Anatomy, target: Structure, frame: _Frame, places: Array, kinds: Array
) -> tuple[list[Structure], dict[Structure, tuple[Window, Array]]]:
    """Write outlined structures into the map, later kinds over earlier ones; return them by number, and where the bones are."""
    structures: list[Structure] = []
    bones: dict[Structure, tuple[Window, Array]] = {}
    outlined = [key for key in sorted(anatomy.masks) if key != target and anatomy.has(key)]
    for kind in ORDER:
        for key in (k for k in outlined if (SCAR_ID if k.id == SCAR_ID else k.kind) == kind):
            box, share = frame.share(anatomy.masks[key])
            if kind == SCAR_ID:
                box, share = _beside(frame, box, share, number("beside_scar_mm"))
            there = places[box]
            inside = (share > 0 if kind in ANY else share >= 0.5) & (there != kernels.OUTSIDE) & (there != kernels.UNSEEN)
            inside &= (there != kernels.IMPLANT) | (kind == "implant")  # metal shows itself, also in the bone that it is in
            if kind in KEEPS_GAS:
                inside &= there != kernels.GAS
            what = kernels.CEMENT if key.id == "cement" else KIND[kind]
            if what == kernels.SOFT:
                there[inside] = kernels.SOFT
            elif inside.any():
                structures.append(key)
                there[inside] = FIRST + len(structures) - 1
                kinds[FIRST + len(structures) - 1] = what
                if kind == "bone":
                    bones[key] = box, inside
    filled = anatomy.state.get(Field.CEMENT_FRACTION)
    if filled is not None:
        box, share = frame.share(filled.with_array(filled.array > 0.5))
        places[box][(share > 0) & (places[box] != kernels.OUTSIDE)] = kernels.CEMENT
    return structures, bones


def _beside(frame: _Frame, box: Window, share: Array, by_mm: float) -> tuple[Window, Array]:
    """Return a wider window of cells, and which of its cells lie within a distance of those that a mask meets."""
    wide = _widened(box, frame.grid.shape, by_mm / np.array(frame.grid.spacing_mm) + 1)
    met = np.zeros(tuple(s.stop - s.start for s in wide), bool)
    z, y, x = (slice(b.start - w.start, b.stop - w.start) for b, w in zip(box, wide, strict=True))
    met[z, y, x] = share > 0
    away = ndimage.distance_transform_edt(~met, sampling=frame.grid.spacing_mm) if met.any() else np.full(met.shape, np.inf)
    return wide, np.asarray(away <= by_mm)


def cortex_points(scene: Scene, count: int) -> Array:
    """Return places on the outer surface of bone and lesion beside the target, spread as far apart as can be.

    Where the target lies deep in the bone, the surface nearest to it is taken.

    Returns
    -------
    ndarray (at most ``count``, 3)
        LPS mm, the one nearest to the middle of the target first.
    """
    box = box_of(scene.lesion)
    assert box is not None  # a scene is built round an outlined target
    near = _widened(box, scene.lesion.shape, DEEPEST_MM / np.array(scene.grid.spacing_mm))
    own = np.isin(scene.places[near], (kernels.OWN, kernels.OWN_SOFT))
    whole = scene.lesion[near] | own
    surface = whole & ~ndimage.binary_erosion(whole, border_value=1)
    away = ndimage.distance_transform_edt(~scene.lesion[near], sampling=scene.grid.spacing_mm)
    if not surface.any():
        return np.zeros((0, 3))
    least = float(away[surface].min())
    index = np.argwhere(surface & (away <= least + number("beside_lesion_mm")))
    points = scene.grid.to_mm(index + np.array([s.start for s in near]))
    middle = scene.grid.to_mm(np.argwhere(scene.lesion)).mean(axis=0)
    chosen = [int(np.argmin(((points - middle) ** 2).sum(1)))]
    gap = ((points - points[chosen[0]]) ** 2).sum(1)
    while len(chosen) < count and gap.max() > 4.0:
        chosen.append(int(np.argmax(gap)))
        gap = np.minimum(gap, ((points - points[chosen[-1]]) ** 2).sum(1))
    return np.asarray(points[chosen])
