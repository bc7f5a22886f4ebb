"""The body of a vertebra and its frame: end plates, canal, height by place.

The body is the part of the vertebra in front of the canal. Its axis is the mean of the normals of its two end plates, its back
the direction to the canal. Everything is looked at on a small grid along these axes, so that a tilted vertebra is measured as
an upright one is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from scipy import ndimage

from osteon.assessment.measure_base import cut, window_of
from osteon.assessment.measure_cortex import posterior_wall
from osteon.evidence.value import Value, values_in
from osteon.space.anatomy import Anatomy, Structure, smooth_resample, structure, structures
from osteon.space.volume import Array, Grid, Volume

CORD = structure("spinal_cord")
LEVELS = tuple(f"vertebra_{part}{i}" for part, n in (("C", 7), ("T", 12), ("L", 5)) for i in range(1, n + 1))
NO_BODY = ("vertebra_C1", "vertebra_C2")
"""The atlas has no body and that of the axis carries the dens: neither is compared."""
STEP_MM, MARGIN_MM, TURNS, SETTLED = 1.0, 4.0, 5, 1e-5
"""The frame is found in turns until it moves by less than some tenths of a degree."""
BEHIND_MM, ASIDE_MM = 18.0, 40.0
"""What lies farther behind the canal or aside of it (tips of processes) is not looked at."""
RINGS, SPOKES, RIM_VOXELS, FOOT, MIDDLE_OF_CANAL, OPEN_COLUMN = 10, 32, 1.2, 0.4, 0.7, 0.3
IN_SLICE = np.array([np.zeros((3, 3)), ndimage.generate_binary_structure(2, 1), np.zeros((3, 3))], bool)
"""Of a column: kept from this part of the body's height. Of the canal: half width in which bone in it is wall, not pedicle;
and the most bone, against the body's, that a column through it may hold."""


@cache
def numbers() -> Mapping[str, Value]:
    """Return the numbers of ``vertebra.yaml``, each with unit, spread and source."""
    return values_in("osteon.assessment", "vertebra.yaml")


def number(name: str) -> float:
    """Return one number of ``vertebra.yaml`` in its unit."""
    return numbers()[name].number


@dataclass(frozen=True, eq=False)
class Body:
    """A vertebra in its own frame.

    Parameters
    ----------
    bone : Structure
        Which.
    grid : Grid
        Its small grid, ``STEP_MM`` wide: x to the patient's left, y to the back, z along the body to the head.
    axes : ndarray (3, 3)
        Columns: those directions in LPS.
    whole, body, canal : ndarray of bool (z, y, x)
        The vertebra (without the tips of its processes), its body, and the canal behind it.
    plates : ndarray (2, 3)
        Unit normals (LPS, to the head) of the lower and of the upper end plate.
    wall : tuple of float
        Rear of the body: row = first + second * slice.
    voxel_mm, longest_mm : float
        Extent of a voxel of the image along the body, and its longest edge [mm].
    ring : bool
        Whether the canal was found in the closed ring of the bone; False: from the outline of its content.
    """

    bone: Structure
    grid: Grid
    axes: Array
    whole: Array
    body: Array
    canal: Array
    plates: Array
    wall: tuple[float, float]
    voxel_mm: float
    longest_mm: float
    ring: bool

    @cached_property
    def extent(self) -> tuple[float, float, float, float]:
        """Right, left, front and rear edge in columns and rows of the grid.

        Columns much lower than the body do not count (``foot``); the rear is the wall half way up, so that it
        lies in front of the pedicles. The width is the greatest of the front part, where no process begins.
        """
        foot = self.foot
        wide = foot.sum(axis=1)
        rows = np.flatnonzero(wide >= 0.3 * wide.max())
        first, second = self.wall
        middle = float(np.argwhere(self.body)[:, 0].mean())
        front, rear = int(rows[0]), min(float(rows[-1]), first + second * middle)
        widest = max(range(front, front + max(int(0.6 * (rear - front)), 1)), key=lambda row: int(wide[row]))
        columns = np.flatnonzero(foot[widest])
        return float(columns[0]) - 0.5, float(columns[-1]) + 0.5, front - 0.5, rear + 0.5

    @cached_property
    def column_mm(self) -> tuple[Array, Array]:
        """Height of each column [mm], 0 where there is none, and the place (z) of its middle in voxels; both (y, x)."""
        count = self.body.shape[0]
        some = self.body.any(axis=0)
        low = np.argmax(self.body, axis=0)
        high = count - 1 - np.argmax(self.body[::-1], axis=0)
        return np.where(some, (high - low + 1) * STEP_MM, 0.0), (low + high) / 2.0

    @cached_property
    def foot(self) -> Array:
        """Columns (y, x) that are no lips nor roots of processes: not much lower than the body."""
        height, _ = self.column_mm
        return np.asarray(height >= FOOT * np.percentile(height[height > 0], 90))

    def heights(self, blur_mm: float) -> Array:
        """Return the height by place [mm] (rings x spokes): from the middle outwards, spokes from the left over the back."""
        height, _ = self.column_mm
        width = 2 * max(round(blur_mm / STEP_MM), 0) + 1
        kept = self.foot
        some = ndimage.uniform_filter(kept.astype(float), width)
        mean = ndimage.uniform_filter(np.where(kept, height, 0.0), width) / np.maximum(some, 1e-9)
        return np.asarray(ndimage.map_coordinates(mean, self.places(), order=1, mode="nearest"))

    def places(self) -> Array:
        """Return rows and columns (2, rings, spokes) at which heights are read: relative places, the same in each body."""
        right, left, front, rear = self.extent
        radius = (np.arange(RINGS) + 0.5) / (RINGS - 0.5)
        turn = 2 * np.pi * np.arange(SPOKES) / SPOKES
        deep, wide = (self.within * half for half in ((rear - front) / 2, (left - right) / 2))
        y = (front + rear) / 2 + deep * radius[:, None] * np.sin(turn)
        x = (left + right) / 2 + wide * radius[:, None] * np.cos(turn)
        return np.stack([y, x])

    @property
    def within(self) -> float:
        """Part of the body's half depth and half width in which heights are read; its rim is rounded."""
        right, left, front, rear = self.extent
        half_mm = min(rear - front, left - right) / 2 * STEP_MM
        return min(number("body_reach"), max(1.0 - RIM_VOXELS * self.longest_mm / half_mm, 0.5))

    def place_mm(self, ring: int, spoke: int) -> Array:
        """Return the place half way up the column at a ring and spoke, LPS mm."""
        y, x = self.places()[:, ring, spoke]
        row, column = (int(np.clip(round(float(v)), 0, n - 1)) for v, n in zip((y, x), self.body.shape[1:], strict=True))
        return np.asarray(self.grid.to_mm(np.array([self.column_mm[1][row, column], y, x])))

    @cached_property
    def centre_mm(self) -> Array:
        """Middle of the body, LPS mm."""
        return np.asarray(self.grid.to_mm(np.argwhere(self.body).mean(axis=0)))

    def part(self, mask: Volume) -> Array:
        """Return an outline of the image on this grid."""
        box = self.grid.corners_mm()
        index = mask.grid.to_index(box)
        low = np.clip(np.floor(index.min(0)).astype(int) - 1, 0, mask.grid.shape)
        high = np.clip(np.ceil(index.max(0)).astype(int) + 2, 0, mask.grid.shape)
        if (high <= low).any():
            return np.zeros(self.grid.shape, bool)
        z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        return smooth_resample(cut(mask, (z, y, x)), self.grid).array


def neighbours(bone: Structure) -> tuple[Structure | None, Structure | None]:
    """Return the vertebrae below and above whose bodies may be compared; None where there is none of the kind."""
    at = LEVELS.index(bone.id) if bone.id in LEVELS else -1
    below = LEVELS[at + 1] if 0 <= at < len(LEVELS) - 1 else None
    above = LEVELS[at - 1] if at > 0 and LEVELS[at - 1] not in NO_BODY else None
    known = structures()
    return (known[below] if below else None), (known[above] if above else None)


def body_of_vertebra(anatomy: Anatomy, bone: Structure) -> Body | str:
    """Return a vertebra in its own frame, or why its body cannot be told.

    Parameters
    ----------
    anatomy : Anatomy
        In canonical axes; holds the outline of the vertebra and, where its ring is not closed, of the canal's content.
    bone : Structure
        From C3 to L5.

    Returns
    -------
    Body or str
        A sentence that begins "cannot tell:" and ends with what to do.
    """
    if bone.id not in LEVELS or bone.id in NO_BODY:
        return f"cannot tell: the {bone.name} has no body with two end plates"
    if not anatomy.has(bone):
        return f"cannot tell: outline the {bone.name}"
    mask = anatomy.mask(bone)
    window = window_of(mask, MARGIN_MM)
    near = cut(mask, window)
    cord = cut(anatomy.mask(CORD), window).array if anatomy.has(CORD) else np.zeros(near.grid.shape, bool)
    canal, _ = _canal(near.array, cord, near.spacing_mm)
    open_ring = f"cannot tell: outline the spinal canal at the {bone.name}, or its whole arch: no slice shows it as a closed ring"
    if not canal.any():
        return open_ring
    points, hollow = (_places(near.with_array(a)) for a in (near.array, canal))
    frame = _frame(points, hollow, max(max(near.spacing_mm), number("plate_bin_mm")))
    if isinstance(frame, str):
        return f"cannot tell: {frame} of the {bone.name} were not found; look at its outline"
    axes, plates = frame
    along = points @ axes
    low, high, middle = along.min(0) - MARGIN_MM, along.max(0) + MARGIN_MM, (hollow @ axes).mean(0)
    high[1] = min(high[1], float((hollow @ axes)[:, 1].max()) + BEHIND_MM)
    low[0], high[0] = max(low[0], middle[0] - ASIDE_MM), min(high[0], middle[0] + ASIDE_MM)
    grid = Grid.box(low, high, STEP_MM, axes)
    whole = smooth_resample(near, grid).array
    canal, ring = _canal(whole, np.zeros_like(whole), grid.spacing_mm)
    if not ring:
        canal = smooth_resample(near.with_array(cord), grid).array
    if not canal.any():
        return open_ring
    canal = np.broadcast_to(canal.any(axis=0), whole.shape) & ~whole
    wall = wall_line(whole, canal)
    body = _in_front(whole, canal, wall)
    if not body.any():
        return f"cannot tell: no part of the {bone.name} lies in front of the canal; look at its outline"
    rim = grid.to_mm(np.argwhere(body & ~ndimage.binary_erosion(body)))
    beyond = 1.1 * max(near.spacing_mm)
    if any((anatomy.imaged.sample(rim + sign * beyond * axes[:, 2], order=0, fill=0.0) < 0.5).any() for sign in (-1.0, 1.0)):
        return f"cannot tell: the body of the {bone.name} goes on beyond the image; needs an image that holds all of it"
    voxel = float(np.linalg.norm(near.grid.matrix[:3, :3].T @ axes[:, 2]))
    return Body(bone, grid, axes, whole, body, canal, plates, wall, voxel, max(near.spacing_mm), ring)


def _places(mask: Volume) -> Array:
    """Return places of a mask's voxels about ``STEP_MM`` apart, LPS mm."""
    each = [max(round(STEP_MM / step), 1) for step in mask.spacing_mm]
    return mask.grid.to_mm(np.argwhere(mask.array[:: each[0], :: each[1], :: each[2]]) * np.array(each))


def _canal(bone: Array, cord: Array, spacing_mm: tuple[float, float, float]) -> tuple[Array, bool]:
    """Return the holes that the bone's ring closes slice by slice, or the canal's content where there are none; whether holes.

    A hollow end plate is a ring in some slices too; but under its hole lies bone, under the canal hardly any.
    """
    through = bone.sum(axis=0)
    open_columns = through < OPEN_COLUMN * np.percentile(through[through > 0], 95) if bone.any() else through > 0
    areas, found = ndimage.label(~bone, structure=IN_SLICE)
    closed = np.ones(found + 1, bool)
    closed[0] = False
    for rim in (areas[:, 0], areas[:, -1], areas[:, :, 0], areas[:, :, -1]):
        closed[rim] = False
    holes = closed[areas] & open_columns
    pieces, count = ndimage.label(holes)
    if count:
        sizes = np.bincount(pieces.ravel(), weights=(1.0 + cord).ravel())  # the canal's content, where outlined, tells which
        sizes[0] = 0
        best = pieces == int(np.argmax(sizes))
        if best.any(axis=0).sum() * spacing_mm[1] * spacing_mm[2] >= number("canal_least_mm2"):
            return best, True
    return cord, False


def _frame(points: Array, canal: Array, bin_mm: float) -> tuple[Array, Array] | str:
    """Return the axes (columns: left, back, up) and the end plates' normals (2, 3), found in turns; a word where they are not."""
    axes, plates = np.eye(3), np.zeros((2, 3))
    for _ in range(TURNS):
        at, hollow = points @ axes, canal @ axes
        front = float(np.percentile(hollow[:, 1], 5))
        body = at[at[:, 1] < front]
        if len(body) < 50:
            return "parts in front of the canal"
        found = _plates(body, bin_mm)
        if found is None:
            return "the end plates"
        plates = np.asarray(found @ axes.T)
        up = plates.sum(axis=0) / np.linalg.norm(plates.sum(axis=0))
        back = canal.mean(axis=0) - (body @ axes.T).mean(axis=0)
        back -= (back @ up) * up
        back /= np.linalg.norm(back)
        turned = np.column_stack([np.cross(back, up), back, up])
        settled = np.trace(axes.T @ turned) > 3 - SETTLED
        axes = turned
        if settled:
            break
    return axes, plates


def _plates(body: Array, bin_mm: float) -> Array | None:
    """Return the normals (2, 3) of the lower and upper plane through the ends of a body's columns, in the body's coordinates."""
    cell = np.floor((body[:, :2] - body[:, :2].min(0)) / bin_mm).astype(int)
    wide, deep = cell.max(0) + 1
    flat = cell[:, 1] * wide + cell[:, 0]
    low, high = np.full(wide * deep, np.inf), np.full(wide * deep, -np.inf)
    np.minimum.at(low, flat, body[:, 2])
    np.maximum.at(high, flat, body[:, 2])
    some = np.isfinite(low).reshape(deep, wide)
    thick = np.where(some.ravel(), high - low, 0.0)
    kept = ndimage.binary_erosion(some) & (thick.reshape(deep, wide) >= 0.3 * np.median(thick[some.ravel()]))
    rows, columns = np.nonzero(kept)
    if len(rows) < 12:
        return None
    normals = []
    for ends in (low, high):
        height, inside = ends.reshape(deep, wide)[kept], np.ones(len(rows), bool)
        design = np.column_stack([columns * bin_mm, rows * bin_mm, np.ones(len(rows))])
        slope = np.zeros(3)
        for _ in range(3):
            slope = np.linalg.lstsq(design[inside], height[inside], rcond=None)[0]
            rest = np.abs(height - design @ slope)
            inside = rest <= max(2.0 * float(np.median(rest)), 0.5 * bin_mm)
            if inside.sum() < 8:
                return None
        normal = np.array([-slope[0], -slope[1], 1.0])
        normals.append(normal / np.linalg.norm(normal))
    return np.array(normals)


def wall_line(whole: Array, canal: Array) -> tuple[float, float]:
    """Return the rear of the body as a straight line, row = first + second * slice, through the wall in front of the canal."""
    grid = Grid.of(whole.shape, np.eye(4))
    wall = posterior_wall(Volume(whole, grid), Volume(np.asarray(canal), grid)).array
    slices = np.flatnonzero(wall.any(axis=(1, 2)))
    if not len(slices):
        return -1.0, 0.0
    rows = np.array([np.percentile(np.nonzero(wall[z])[0], 75) for z in slices])
    inside = np.abs(rows - np.median(rows)) <= 6.0 / STEP_MM  # processes above and below the body are no wall
    second, first = np.polyfit(slices[inside], rows[inside], 1) if inside.sum() > 3 else (0.0, float(np.median(rows)))
    return float(first), float(second)


def _in_front(whole: Array, canal: Array, wall: tuple[float, float]) -> Array:
    """Return the largest piece of the vertebra in front of the wall's line, with what stands back from it into the canal."""
    first, second = wall
    if first < 0:
        return np.zeros_like(whole)
    z, y, x = np.ogrid[tuple(slice(n) for n in whole.shape)]
    _, rows, columns = np.nonzero(canal)
    half = MIDDLE_OF_CANAL * (columns.max() - columns.min()) / 2
    into = (np.abs(x - (columns.max() + columns.min()) / 2) <= half) & (y < np.median(rows))
    body: Array = np.asarray(whole & ((y <= first + second * z + 0.5) | into))
    pieces, count = ndimage.label(body)
    if not count:
        return body
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(pieces == int(np.argmax(sizes)))
