"""Where an array stands on the patient, and the voxels along its beam: patient to beam and back in one frame of coordinates.

The frame of the device has its vertex at the origin, z along the beam, metres; that of the patient is LPS in millimetres. The
beam's grid lies along the axes of the device: cells of one size between the planes of the planner, column by column.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import fft

from osteon.errors import InputError
from osteon.physics.acoustic_entry import Plane
from osteon.space.volume import Array, Grid, Volume
from osteon.treatments.focused_ultrasound import beam_kernels as kernels

Triple = tuple[float, float, float]
SUBSAMPLES = 1.25  # points in a cell of the beam, along an axis, when its heat goes back to the patient's voxels
PLANES = 8  # planes of cells worked on at once


@dataclass(frozen=True)
class ArrayPose:
    """Where an array stands.

    Parameters
    ----------
    vertex_mm : tuple of float
        Its vertex (the middle of its face), LPS.
    axis : tuple of float
        Unit vector from the vertex along the beam, LPS.
    roll_deg : float
        Turn about the axis; at 0 the device's x axis points as near to the patient's head as it can (towards the patient's left
        where the beam itself runs from head to foot).

    Raises
    ------
    InputError
        If a number is not finite or the axis has no length.
    """

    vertex_mm: Triple
    axis: Triple
    roll_deg: float = 0.0

    def __post_init__(self) -> None:
        length = float(np.linalg.norm(self.axis))
        if not (np.isfinite([*self.vertex_mm, *self.axis, self.roll_deg]).all() and length > 0):
            raise InputError(
                f"An array stands at {self.vertex_mm} and looks along {self.axis}, rolled by {self.roll_deg:g} degrees.",
                "A beam needs a place and a direction in the patient.",
                "Give finite numbers, and a direction that is not zero, in LPS.",
            )
        object.__setattr__(self, "axis", tuple(float(a) / length for a in self.axis))

    @classmethod
    def aimed(cls, focus_mm: Triple, axis: Triple, distance_mm: float, roll_deg: float = 0.0) -> ArrayPose:
        """Return the pose whose axis runs through a point at a distance from the vertex.

        Parameters
        ----------
        focus_mm : tuple of float
            The point, LPS; at the radius of curvature it is the unsteered focus.
        axis : tuple of float
            Along the beam, any length.
        distance_mm : float
            From vertex to point.
        roll_deg : float
            As for the pose.
        """
        turned = cls(focus_mm, axis, roll_deg)
        vertex = np.asarray(focus_mm) - distance_mm * np.asarray(turned.axis)
        return cls((float(vertex[0]), float(vertex[1]), float(vertex[2])), turned.axis, roll_deg)

    @classmethod
    def of_matrix(cls, place: Array) -> ArrayPose:
        """Return the pose of a matrix (4, 4) from the device's frame [m] to LPS mm, as ``visibility.pose`` gives it.

        Raises
        ------
        InputError
            If it is no rotation and shift in these units.
        """
        matrix = np.asarray(place, float)
        axes = matrix[:3, :3] / 1e3 if matrix.shape == (4, 4) else np.zeros((3, 3))
        if not (np.isfinite(matrix).all() and np.allclose(axes.T @ axes, np.eye(3), atol=1e-6) and np.linalg.det(axes) > 0):
            raise InputError(
                f"The matrix {matrix.tolist()} is no place of a device.",
                "It must turn and shift metres into LPS millimetres, without mirroring: or left and right change sides.",
                "Build it with osteon.treatments.focused_ultrasound.visibility.pose.",
            )
        x, y, z = (float(v) for v in matrix[:3, 3])
        level = cls((x, y, z), (float(axes[0, 2]), float(axes[1, 2]), float(axes[2, 2]))).axes
        roll = math.degrees(math.atan2(float(axes[:, 0] @ level[:, 1]), float(axes[:, 0] @ level[:, 0])))
        return cls((x, y, z), (float(axes[0, 2]), float(axes[1, 2]), float(axes[2, 2])), roll)

    @property
    def axes(self) -> Array:
        """Columns: the device's x, y and z axis in LPS, right-handed."""
        z = np.asarray(self.axis)
        up = np.array([0.0, 0.0, 1.0]) if abs(z[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
        x = up - (up @ z) * z
        x /= np.linalg.norm(x)
        y = np.cross(z, x)
        c, s = math.cos(math.radians(self.roll_deg)), math.sin(math.radians(self.roll_deg))
        return np.stack([c * x + s * y, c * y - s * x, z], axis=1)

    def to_mm(self, points_m: Array) -> Array:
        """Return points (..., 3) of the device's frame [m] in LPS mm."""
        return np.asarray(1e3 * np.asarray(points_m, float) @ self.axes.T + np.asarray(self.vertex_mm))

    def to_device(self, points_mm: Array) -> Array:
        """Return LPS points (..., 3) [mm] in the device's frame [m]."""
        return np.asarray((np.asarray(points_mm, float) - np.asarray(self.vertex_mm)) @ self.axes * 1e-3)


@dataclass(frozen=True)
class BeamGrid:
    """Cells along a beam.

    Parameters
    ----------
    pose : ArrayPose
        Of the device.
    shape : tuple of int
        Cells along z (the beam), y, x.
    spacing_m : float
        Edge of a cell.
    corner_m : tuple of float
        (x, y, z) in the device's frame: the column [0, 0] and the entry plane, which is the upper face of the first cells.
    """

    pose: ArrayPose
    shape: tuple[int, int, int]
    spacing_m: float
    corner_m: Triple

    @property
    def cells(self) -> Grid:
        """The middles of the cells in LPS mm."""
        return self._grid(self.shape, 0.5)

    @property
    def planes(self) -> Grid:
        """The planes between cells, entry plane first, in LPS mm."""
        return self._grid((self.shape[0] + 1, *self.shape[1:]), 0.0)

    def _grid(self, shape: tuple[int, int, int], shift: float) -> Grid:
        affine = np.eye(4)
        affine[:3, :3] = self.pose.axes * (1e3 * self.spacing_m)
        first = np.asarray(self.corner_m) + np.array([0.0, 0.0, shift * self.spacing_m])
        affine[:3, 3] = self.pose.to_mm(first)
        return Grid.of(shape, affine)

    @property
    def entry(self) -> Plane:
        """The columns of the entry plane in the device's frame."""
        step = self.spacing_m
        return Plane(np.array(self.corner_m), np.array([0.0, step, 0.0]), np.array([step, 0.0, 0.0]), self.shape[1:])

    def index_of(self, point_mm: Array) -> tuple[int, int, int]:
        """Return plane, row and column nearest to an LPS point."""
        z, y, x = np.rint(self.planes.to_index(np.asarray(point_mm, float))).astype(int)
        return int(z), int(y), int(x)


def beam_grid(
    pose: ArrayPose,
    elements_m: Array,
    focus_m: Array,
    spacing_m: float,
    entry_m: float,
    end_m: float,
    rim: float,
    margin_m: float,
) -> BeamGrid:
    """Return the cells that hold the beam from an entry plane to a depth.

    Parameters
    ----------
    pose : ArrayPose
        Of the device.
    elements_m : ndarray, shape (n, 3)
        Points of the device that radiate, in its frame.
    focus_m : ndarray, shape (3,)
        In the frame of the device.
    spacing_m, entry_m, end_m : float
        Edge of a cell; depths of the entry plane and of the end, along the device's z.
    rim : float
        Share of the grid at each edge that the planner fades.
    margin_m : float
        Beside the cone from the elements through the focus.
    """
    away = (focus_m[2] - elements_m[:, 2])[:, None]
    ends = [focus_m[:2] + (elements_m[:, :2] - focus_m[:2]) * (focus_m[2] - z) / away for z in (entry_m, max(end_m, focus_m[2]))]
    low, high = (f(np.concatenate(ends), axis=0) for f in (np.min, np.max))
    middle = np.round((low + high) / 2 / spacing_m) * spacing_m  # the axis of the device runs through columns
    reach = np.maximum(high - middle, middle - low) + margin_m
    nx, ny = (int(fft.next_fast_len(math.ceil(2 * r / (1 - 2 * rim) / spacing_m) + 1)) for r in reach)
    corner = (float(middle[0]) - (nx // 2) * spacing_m, float(middle[1]) - (ny // 2) * spacing_m, entry_m)
    return BeamGrid(pose, (max(1, math.ceil((end_m - entry_m) / spacing_m)), ny, nx), spacing_m, corner)


def vote(index: Array, grid: Grid, kinds: Array, beam: Grid) -> tuple[Array, Array]:
    """Return which medium fills each cell of a beam, and whether the image reaches there.

    The eight voxels round a cell's middle vote with the weights of linear interpolation: first for a kind of medium (a fluid, a
    solid, gas), then for a medium of that kind. Beyond the image its last voxels go on.

    Parameters
    ----------
    index : ndarray of uint8, shape (z, y, x)
        Medium of each voxel of the patient.
    grid : Grid
        Of the patient.
    kinds : ndarray of int, shape (media,)
        Kind of each medium.
    beam : Grid
        Cells of the beam.

    Returns
    -------
    tuple of ndarray
        uint8 and bool, both of the shape of ``beam``.
    """
    found, known = np.empty(beam.shape, np.uint8), np.empty(beam.shape, bool)
    step = (np.linalg.inv(grid.matrix) @ beam.matrix)[2::-1]  # rows z, y, x of the patient's index
    kernels.vote(index, np.ascontiguousarray(step), np.asarray(kinds, np.int64), found, known)
    return found, known


def on_patient(power_w_m3: Array, beam: BeamGrid, grid: Grid) -> tuple[Volume, float, float]:
    """Return the heat of a beam's cells on the patient's voxels, its power conserved.

    Parameters
    ----------
    power_w_m3 : ndarray, shape (z, y, x)
        Of the cells; uniform within each.
    beam : BeamGrid
        The cells.
    grid : Grid
        Of the patient.

    Returns
    -------
    tuple of Volume, float, float
        Heat [W/m3] on ``grid``, mean over each voxel; power [W] of the cells outside the image, which is left out; and the
        factor, near 1, that makes up for the finite number of points in a voxel.
    """
    cells = beam.cells
    volume = beam.spacing_m**3
    inside = _inside(cells, grid)
    within = float(power_w_m3[inside].sum(dtype=np.float64)) * volume
    lost = float(power_w_m3[~inside].sum(dtype=np.float64)) * volume
    out = np.zeros(grid.shape, np.float32)
    reach = grid.to_index(cells.corners_mm())
    extra = 1 + 1e3 * beam.spacing_m / min(grid.spacing_mm)
    low = np.clip(np.floor(reach.min(0) - extra).astype(int), 0, grid.shape)
    high = np.clip(np.ceil(reach.max(0) + extra).astype(int) + 1, 0, grid.shape)
    if (high <= low).any() or within == 0:
        return Volume(out, grid), lost, 1.0
    parts = [max(1, math.ceil(SUBSAMPLES * s / (1e3 * beam.spacing_m))) for s in grid.spacing_mm]
    padded = np.pad(power_w_m3.astype(np.float32), 1)
    flip = np.eye(3)[::-1]
    step = flip @ (np.linalg.inv(cells.matrix) @ grid.matrix)[:3, :3] @ flip  # indices z, y, x: patient to beam
    fine = step / np.array(parts)
    for begin in range(int(low[0]), int(high[0]), PLANES):
        shape = np.array([min(PLANES, int(high[0]) - begin), high[1] - low[1], high[2] - low[2]])
        first = np.array([begin, low[1], low[2]]) - 0.5 + 0.5 / np.array(parts)
        start = cells.to_index(grid.to_mm(first)) + 1.0
        points = np.empty(tuple(int(n) for n in shape * parts), np.float32)
        kernels.nearest(padded, np.ascontiguousarray(fine), np.ascontiguousarray(start), points)
        split = points.reshape(shape[0], parts[0], shape[1], parts[1], shape[2], parts[2])
        out[begin : begin + shape[0], low[1] : high[1], low[2] : high[2]] = split.mean(axis=(1, 3, 5))
    total = float(out.sum(dtype=np.float64)) * grid.voxel_mm3 * 1e-9
    factor = within / total if total > 0 else 1.0
    return Volume(out * np.float32(factor), grid), lost, factor


def _inside(cells: Grid, grid: Grid) -> Array:
    """Return which cells have their middle in a voxel of the patient's grid."""
    step = np.linalg.inv(grid.matrix) @ cells.matrix
    z, y, x = (np.arange(n) for n in cells.shape)
    inside = np.ones(cells.shape, bool)
    for a, n in ((2, grid.shape[0]), (1, grid.shape[1]), (0, grid.shape[2])):
        place = step[a, 0] * x + step[a, 1] * y[:, None] + step[a, 2] * z[:, None, None] + step[a, 3]
        inside &= (place >= -0.5) & (place < n - 0.5)
    return inside
