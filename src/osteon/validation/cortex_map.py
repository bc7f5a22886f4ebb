"""The unrolled cortex on tubes with lesions of known angle, length and depth, along the grid and oblique to it.

Tolerances are those of the task, set before the first run: axial length one voxel, circumferential share 3 points, thickness
fraction 5 points. The diameter fraction had none and takes that of the thickness. Truth is arithmetic: a tube of 14 mm outer
radius and 5 mm of cortex at 1200 HU, marrow at -60, muscle and lesion at 40 HU, partial volume by 24 points a voxel that share no
plane, and a blur of 0.5 mm (one standard deviation). Outlines are whole voxels.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from osteon.assessment.cortex_map import CortexMap, cortex_map
from osteon.assessment.cortex_map_measures import Involvement, involvement
from osteon.space.volume import Array, Grid, Volume
from osteon.validation.base import Report, Row

ROUND, THICK, WIDE = 0.03, 0.05, 0.05
OUTER, INNER, HALF_MM, BLUR_MM = 14.0, 9.0, 46.0, 0.5
CORTEX_HU, MARROW_HU, SOFT_HU = 1200.0, -60.0, 40.0
POINTS, LATTICE = 24, (1, 7, 11)
OFF_MM = (0.31, -0.17, 0.23)  # so that no surface lies on a voxel's


@dataclass(frozen=True)
class Lesion:
    """A lesion in the frame of its tube.

    Parameters
    ----------
    name : str
        In words.
    inside : callable
        Of x, y, z [mm], whether a place lies in it; z runs along the tube.
    around, along_mm, thickness, diameter : float
        The truth.
    through : bool
        Whether it breaches: then ``around`` and ``along_mm`` hold for none left too.
    """

    name: str
    inside: Callable[[Array, Array, Array], Array]
    around: float
    along_mm: float
    thickness: float
    diameter: float
    through: bool = False


def _turned(x: Array, y: Array, at_deg: float) -> tuple[Array, Array]:
    a = np.radians(at_deg)
    return np.cos(a) * x + np.sin(a) * y, np.cos(a) * y - np.sin(a) * x


def sector(name: str, at_deg: float, wide_deg: float, long_mm: float, low: float, high: float) -> Lesion:
    """Return a piece of tube: an angle, a length and radii from ``low`` to ``high`` [mm]; it may reach into the marrow."""

    def inside(x: Array, y: Array, z: Array) -> Array:
        u, v = _turned(x, y, at_deg)
        radius = np.hypot(u, v)
        turned = np.abs(np.arctan2(v, u)) <= np.radians(wide_deg / 2)
        return np.asarray(turned & (np.abs(z) <= long_mm / 2) & (radius >= low) & (radius <= high))

    angle = np.radians(np.linspace(-wide_deg / 2, wide_deg / 2, 2001))
    edge = np.concatenate([r * np.exp(1j * angle) for r in (low, high)])
    widths = [float(np.ptp((edge * np.exp(-1j * turn)).real)) for turn in np.linspace(0, np.pi, 721)]
    depth = (min(high, OUTER) - max(low, INNER)) / (OUTER - INNER)
    taken = depth > 0.5 - 1e-9
    share = wide_deg / 360 if taken else 0.0
    return Lesion(name, inside, share, long_mm, depth, max(widths) / (2 * OUTER), depth > 1 - 1e-9)


def drilled(name: str, at_deg: float, radius_mm: float) -> Lesion:
    """Return a round hole drilled through one wall, square to the axis."""

    def inside(x: Array, y: Array, z: Array) -> Array:
        u, v = _turned(x, y, at_deg)
        return np.asarray((u > 0) & (v**2 + z**2 <= radius_mm**2) & (np.hypot(u, v) <= OUTER) & (np.hypot(u, v) >= INNER - 2))

    middle = (INNER + OUTER) / 2
    share = 2 * np.arcsin(radius_mm / middle) / (2 * np.pi)
    low = np.sqrt((INNER - 2) ** 2 - radius_mm**2)  # the widest view is along the hole or across it
    wide = max(2 * radius_mm, OUTER - low)
    arcs = [(r, np.linspace(-1, 1, 801) * np.arcsin(radius_mm / r)) for r in (OUTER, INNER - 2)]
    points = np.concatenate([r * np.exp(1j * angle) for r, angle in arcs])
    wide = max(wide, *(float(np.ptp((points * np.exp(-1j * t)).real)) for t in np.linspace(0, np.pi, 721)))
    return Lesion(name, inside, float(share), 2 * radius_mm, 1.0, wide / (2 * OUTER), True)


def rod(name: str, at_deg: float, radius_mm: float, off_mm: float, long_mm: float) -> Lesion:
    """Return a round rod along the tube, beside its axis, that has worn the cortex from inside."""

    def inside(x: Array, y: Array, z: Array) -> Array:
        u, v = _turned(x, y, at_deg)
        return np.asarray(((u - off_mm) ** 2 + v**2 <= radius_mm**2) & (np.abs(z) <= long_mm / 2))

    depth = (off_mm + radius_mm - INNER) / (OUTER - INNER)
    half = (INNER + OUTER) / 2  # where the rod's edge meets the middle of the wall
    cosine = (half**2 + off_mm**2 - radius_mm**2) / (2 * half * off_mm)
    share = float(np.arccos(np.clip(cosine, -1, 1)) / np.pi)
    return Lesion(name, inside, share, long_mm, depth, radius_mm / OUTER)


LESIONS = (
    sector("window of 90 degrees, 20 mm, through the wall", 40, 90, 20.0, INNER - 2, OUTER),
    sector("window of 200 degrees, 35 mm, through the wall", 290, 200, 35.0, INNER - 2, OUTER),
    sector("half of the wall from inside, 120 degrees, 24 mm", 130, 120, 24.0, INNER - 2, (INNER + OUTER) / 2 + 0.25),
    sector("half of the wall from outside, 75 degrees, 30 mm", 250, 75, 30.0, (INNER + OUTER) / 2 - 0.25, OUTER),
    drilled("round hole of 12 mm", 15, 6.0),
    rod("rod of 18 mm beside the axis, 26 mm long", 205, 9.0, 4.0, 26.0),
)
AXES = {"along the grid": (0.0, 0.0), "17 and 30 degrees oblique": (17.0, 30.0)}


@dataclass(frozen=True, eq=False)
class Tube:
    """A tube with a lesion, as an image and its outlines."""

    image: Volume
    bone: Volume
    lesion: Volume


def tube(lesion: Lesion, voxel_mm: float, turn_deg: tuple[float, float], hollow: bool = False) -> Tube:
    """Draw a tube with a lesion.

    Parameters
    ----------
    lesion : Lesion
        What is missing.
    voxel_mm : float
        Edge of the voxels.
    turn_deg : (float, float)
        The tube's axis, turned from the grid's about x and y.
    hollow : bool
        Whether the outline of the bone leaves the canal out.
    """
    rotation = Rotation.from_euler("xy", turn_deg, degrees=True).as_matrix()
    corners = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]) * (OUTER + 5, OUTER + 5, HALF_MM)
    reach = np.abs(corners @ rotation.T).max(0)
    grid = Grid.box(-reach, reach, voxel_mm)
    x, y, z = _local(grid, np.moveaxis(np.indices(grid.shape), 0, -1), rotation)
    radius = np.hypot(x, y)
    held = lesion.inside(x, y, z)
    hu = np.full(grid.shape, SOFT_HU)
    near = radius <= OUTER + 2 * voxel_mm
    places, value = np.argwhere(near), np.zeros(int(near.sum()))
    for i in range(POINTS):  # a lattice whose points fall in different planes along every axis
        part = np.modf((i + 0.5) * np.array(LATTICE) / POINTS)[0] - 0.5
        px, py, pz = _local(grid, places + part, rotation)
        away = np.hypot(px, py)
        bare = (away > OUTER) | lesion.inside(px, py, pz)
        value += np.where(bare, SOFT_HU, np.where(away >= INNER, CORTEX_HU, MARROW_HU)) / POINTS
    hu[near] = value
    bone = (radius <= OUTER) & ((radius >= INNER) | held) if hollow else radius <= OUTER
    image = ndimage.gaussian_filter(hu, BLUR_MM / voxel_mm, mode="nearest")
    return Tube(Volume(image, grid), Volume(bone, grid), Volume(held, grid))


def _local(grid: Grid, index: Array, rotation: Array) -> tuple[Array, Array, Array]:
    places = (grid.to_mm(index) - np.array(OFF_MM)) @ rotation
    return places[..., 0], places[..., 1], places[..., 2]


def measured(lesion: Lesion, voxel_mm: float, turn_deg: tuple[float, float]) -> tuple[CortexMap, Involvement]:
    """Return the map of a phantom and what is read from it."""
    made = tube(lesion, voxel_mm, turn_deg)
    found = cortex_map(made.image, made.bone, made.lesion, "left")
    return found, involvement(found)


def rows_of(lesion: Lesion, read: Involvement, voxel_mm: float, where: str) -> list[Row]:
    """Return the rows of one phantom."""
    name = f"{lesion.name}; {where}, {voxel_mm:g} mm"
    told = [
        ("circumference with less than half left", read.around, lesion.around, ROUND, "1"),
        ("length with less than two thirds left", read.along_mm, lesion.along_mm, voxel_mm, "mm"),
        ("greatest loss of thickness", read.thickness, lesion.thickness, THICK, "1"),
        ("width of the lesion over that of the bone", read.diameter, lesion.diameter, WIDE, "1"),
    ]
    if lesion.through:
        long = lesion.along_mm
        told.append(("length with none left", read.along_through_mm, long, voxel_mm, "mm"))
    return [
        Row(f"{name}: {what}", one.best, unit, one.where, truth, "geometry", within, one.low, one.high)
        for what, one, truth, within, unit in told
    ]  # fmt: skip


def run(observe: Callable[[float], None]) -> Report:
    """Return the rows of ``cortex-map``.

    Parameters
    ----------
    observe : callable
        Called with the fraction done.
    """
    began = time.perf_counter()
    jobs = [(one, 1.0, where) for one in LESIONS for where in AXES] + [
        (one, 0.6, where) for one in LESIONS[::2] for where in AXES
    ]
    rows: list[Row] = []
    for i, (lesion, voxel, where) in enumerate(jobs):
        rows += rows_of(lesion, measured(lesion, voxel, AXES[where])[1], voxel, where)
        observe((i + 1) / len(jobs))
    assumptions = (
        "Round tubes without noise; edges blurred by 0.5 mm and by partial volume; outlines in whole voxels.",
        "Low to high is the interval that the measure carries: outline one voxel off, edges half a voxel off.",
    )
    return Report("cortex-map", tuple(rows), "done", time.perf_counter() - began, assumptions)
