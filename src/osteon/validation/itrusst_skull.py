"""The ITRUSST benchmarks 7 and 8: a bowl and a disc in front of a skull, homogeneous cortical bone, brain behind it.

The masks (shared data) are given at points 0.5 mm apart, on or off; where between two points a face lies, nobody knows, and
half way is the guess without a bias. So each point is taken as the middle of a cell of the planner. Its planes then lie between
the points, the first at an odd quarter of a millimetre, and the field is brought to the points by a cubic spline along the beam
(0.3 % at six points per wavelength). Beyond the edge of the mask its outermost columns go on: water there would be a false wall.

Axes: z is the beam (the files' xi), x the files' yi, y their zi; the vertex of the source is at the origin of all three, which
the files' transforms have already seen to. Figures are those of the published metric code: the peak within the brain mask, widths
through it, the largest connected piece above half of it; for the disc all of it on the plane at 60 mm.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.interpolate import CubicSpline

from osteon.errors import MissingError
from osteon.io.matlab_files import read_matlab
from osteon.physics.acoustic_layers import Array
from osteon.physics.acoustic_planner import Marched, march
from osteon.validation.base import Report, Row
from osteon.validation.itrusst import BRAIN, CORTICAL, FREQUENCY_HZ, STEP_M, WATER, entry_of, source_of, width

MEDIA = (WATER, CORTICAL, BRAIN)
FILES = {"BM7": "skull_mask_bm7_dx_0.5mm.mat", "BM8": "skull_mask_bm8_dx_0.5mm.mat"}
COLUMNS = {"BM7": (256, 256), "BM8": (400, 360)}  # y, x: the mask and a rim in which the field fades
FIRST_CELL = {"SC1": 20, "SC2": 10}  # the planner enters half a step above this point
PLANE_60MM = 120
EVERY = np.ones((3, 3, 3), bool)  # corners connect, as in the metric code


@dataclass(frozen=True, eq=False)
class Head:
    """A skull in front of the source.

    Parameters
    ----------
    labels : ndarray of uint8, shape (z, y, x)
        0 water, 1 cortical bone, 2 brain, at points ``STEP_M`` apart; z = 0 at the vertex, the axis through the middle column.
    """

    labels: Array

    @property
    def brain(self) -> Array:
        """Where the figures are taken."""
        return np.asarray(self.labels == 2)

    def axes_m(self) -> tuple[Array, Array, Array]:
        """Return where the points lie [m], along z, y, x."""
        nz, ny, nx = self.labels.shape
        return np.arange(nz) * STEP_M, (np.arange(ny) - ny // 2) * STEP_M, (np.arange(nx) - nx // 2) * STEP_M


def folder() -> Path:
    """Return where the masks are expected."""
    given = os.environ.get("OSTEON_SHARED")
    return (Path(given) if given else Path.cwd().parent / "shared") / "data" / "itrusst"


def head(case: str) -> Head:
    """Return the skull of a benchmark.

    Raises
    ------
    MissingError
        If its mask, or h5py to read it, is not here.
    """
    path = folder() / FILES[case]
    if not path.exists():
        raise MissingError(
            f"The skull of {case} is not at {path}.",
            "This benchmark is about a real skull, whose mask is not part of osteon.",
            "Set OSTEON_SHARED to the folder that holds data/itrusst.",
        )
    found = read_matlab(path, ("skull_mask", "brain_mask"))
    skull, brain = (found[name].swapaxes(1, 2) for name in ("skull_mask", "brain_mask"))
    return Head(skull.astype(np.uint8) + 2 * (brain & ~skull).astype(np.uint8))


def widened(labels: Array, columns: tuple[int, int]) -> tuple[Array, tuple[int, int]]:
    """Return labels with their outermost columns carried on, the axis at half of ``columns``, and where they begin (y, x)."""
    start = tuple(n // 2 - m // 2 for n, m in zip(columns, labels.shape[1:], strict=True))
    ends = [(s, n - m - s) for s, n, m in zip(start, columns, labels.shape[1:], strict=True)]
    return np.pad(labels, [(0, 0), *ends], mode="edge"), (start[0], start[1])


def planned(
    labels: Array, source: str, columns: tuple[int, int], first: int, fade: Callable[[Array], Array] = np.ones_like
) -> tuple[Array, Marched]:
    """Return the planner's field at the points from ``first`` on.

    Parameters
    ----------
    labels : ndarray of uint8, shape (z, y, x)
        At all points of the benchmark.
    source : str
        SC1 or SC2.
    columns : tuple of int
        How wide the planner works, y, x.
    first : int
        The point whose cell is the planner's first.
    fade : callable
        Weight of the entry plane by the distance from the axis [m], along y and along x.

    Returns
    -------
    ndarray of complex64, shape (z - first, y, x), and Marched
    """
    wide, (y, x) = widened(labels[first:], columns)
    most = max(columns)
    entry = entry_of(source_of(source), WATER, (first - 0.5) * STEP_M, STEP_M, most)
    cut = [slice(most // 2 - n // 2, most // 2 - n // 2 + n) for n in columns]
    weights = [fade((np.arange(n) - n // 2) * STEP_M) for n in columns]
    found = march(entry[cut[0], cut[1]] * np.outer(*weights), wide, MEDIA, FREQUENCY_HZ, STEP_M)
    return to_points(found.pressure_pa[:, y : y + labels.shape[1], x : x + labels.shape[2]]), found


def to_points(planes: Array) -> Array:
    """Return a field half way between its planes, shape one less along z, by a cubic spline."""
    k = np.arange(len(planes), dtype=float)
    return resampled(planes, 0, k, k[:-1] + 0.5)


def resampled(field: Array, axis: int, source: Array, target: Array) -> Array:
    """Return a complex field at other places along an axis, by a cubic spline."""
    weights = CubicSpline(source, np.eye(len(source)))(target).astype(np.float32)
    first = np.moveaxis(field, axis, 0)
    found = np.empty((len(target), *first.shape[1:]), np.complex64)
    found.real, found.imag = np.tensordot(weights, first.real, 1), np.tensordot(weights, first.imag, 1)
    return np.moveaxis(found, 0, axis)


def figures(place: Head, p: Array, source: str) -> dict[str, float]:
    """Return the figures of the metric code.

    Parameters
    ----------
    place : Head
        The points and the brain.
    p : ndarray, shape (z, y, x)
        Amplitude [Pa] at every point; 0 before the planner begins.
    source : str
        SC1, or SC2: then on the plane at 60 mm.
    """
    masked = np.where(place.brain, p, 0.0)
    z_m, y_m, x_m = place.axes_m()
    searched = masked if source == "SC1" else np.where(np.arange(len(p))[:, None, None] == PLANE_60MM, masked, 0.0)
    z, y, x = (int(i) for i in np.unravel_index(searched.argmax(), p.shape))
    across = 1e3 * width(x_m, p[z, y], x), 1e3 * width(y_m, p[z, :, x], y)
    where = {"x_mm": 1e3 * float(x_m[x]), "y_mm": 1e3 * float(y_m[y])}
    volume = 1e9 * STEP_M**3 * _largest(masked > 0.5 * masked.max())
    if source == "SC2":
        on_axis = float(p[PLANE_60MM, len(y_m) // 2, len(x_m) // 2])
        sizes = {"lateral_6db_mm": across[0], "lateral_y_6db_mm": across[1], "volume_6db_mm3": volume}
        return {"amplitude_at_60mm_pa": float(p[z, y, x]), **sizes, **where, "on_axis_at_60mm_pa": on_axis}
    found = {"peak_pa": float(p[z, y, x]), "z_mm": 1e3 * float(z_m[z]), "axial_6db_mm": 1e3 * width(z_m, p[:, y, x], z)}
    return {**found, "lateral_6db_mm": across[0], "lateral_y_6db_mm": across[1], "volume_6db_mm3": volume, **where}


def _largest(mask: Array) -> int:
    """Return how many points the largest connected piece has."""
    pieces, _ = ndimage.label(mask, EVERY)
    return int(np.bincount(pieces.ravel())[1:].max(initial=0))


WORDS = {
    "peak_pa": ("Pa", "largest amplitude within the brain mask"), "z_mm": ("mm", "where, along the beam"),
    "axial_6db_mm": ("mm", "above half the peak, along the beam"), "lateral_6db_mm": ("mm", "the same along x, the files' yi"),
    "lateral_y_6db_mm": ("mm", "the same along y, the files' zi"),
    "volume_6db_mm3": ("mm3", "largest connected piece above half the peak within the brain mask"),
    "x_mm": ("mm", "where, across"), "y_mm": ("mm", "where, across"),
    "amplitude_at_60mm_pa": ("Pa", "largest on that plane within the brain mask"),
    "on_axis_at_60mm_pa": ("Pa", "on that plane, on the axis"),
}  # fmt: skip


def run(observe: Callable[[float], None], case: str, source: str) -> Report:
    """Return the rows of ``itrusst`` for BM7 and BM8.

    Parameters
    ----------
    observe : callable
        Called with the fraction done.
    case, source : str
        BM7 or BM8; SC1 or SC2.

    Raises
    ------
    MissingError
        If the mask, or h5py to read it, is not here.
    """
    began = time.perf_counter()
    place = head(case)
    observe(0.1)
    first, started = FIRST_CELL[source], time.perf_counter()
    field, found = planned(place.labels, source, COLUMNS[case], first)
    took = time.perf_counter() - started
    observe(0.9)
    p = np.zeros(place.labels.shape, np.float32)
    np.abs(field, out=p[first:])
    rows = [Row(name, value, *WORDS[name]) for name, value in figures(place, p, source).items()]
    rows += [
        Row("stairs", found.stairs, "1", "share of the power at interfaces that meets no level face"),
        Row("sweeps", float(found.sweeps), "1", "through the planes, until one adds less than 0.1 % of the peak"),
        Row("planner_s", took, "s", "entry plane, sweeps, and the field at the points, this run"),
        Row(
            "memory_gib", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, "GiB", "most that this process held so far"
        ),
    ]
    columns = " x ".join(str(n) for n in COLUMNS[case])
    told = (
        "Bone as a fluid, as the benchmark has it; brain behind the skull by the file's brain mask, all else water.",
        "The published fields of this benchmark are not here: the case bm7 has the full wave beside the planner.",
        f"The march {found.ended}; {columns} columns of 0.5 mm; outermost columns of the mask carried on.",
    )
    return Report("itrusst", tuple(rows), found.ended, time.perf_counter() - began, told)
