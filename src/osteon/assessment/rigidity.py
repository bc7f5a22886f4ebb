r"""Rigidity of a bone slice by slice along an axis: against pulling, bending and twisting, and its ratio to healthy bone.

In a slice normal to the axis, with u and v across it and the centroid weighted by modulus,

.. math:: EA = \sum E\,dA, \quad EI_u = \sum E (v - v_c)^2 dA, \quad GJ = \sum \frac{E}{2(1+\nu)} r^2 dA

GJ by the polar moment is exact for round closed sections only. A slit wall twists far more easily than it says: an upper bound.
Cortex that is thinner than a voxel is as wrong here as it is in the CT. On an oblique axis each voxel is shared among the slices
that cut it, by the volume of its box in each: nothing is interpolated and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import factorial

import numpy as np

from osteon.errors import ImageError, InputError, MissingError
from osteon.evidence.value import Value, values_in
from osteon.space.volume import Array, Volume
from osteon.tissue.bone_density import constants

MEASURES = ("ea_n", "ei_least_n_m2", "ei_most_n_m2", "gj_n_m2")
ROUND_ONLY = "GJ by the polar moment: exact for round closed sections only, an upper bound where the wall is open."
MM = 1e-3


@dataclass(frozen=True, eq=False)
class Rigidity:
    """Rigidity along a bone, one entry a slice; slices without bone are left out.

    Parameters
    ----------
    along_mm : ndarray
        Place of each slice along the axis from its ``start_mm`` [mm].
    ea_n : ndarray
        Axial rigidity [N].
    ei_least_n_m2, ei_most_n_m2 : ndarray
        Bending rigidity about the two principal axes [N m2].
    gj_n_m2 : ndarray
        Torsional rigidity by the polar moment [N m2].
    centroid_mm : ndarray (n, 3)
        Centroid weighted by modulus, LPS mm.
    start_mm, axis : ndarray (3,)
        A point of the axis and its direction, LPS.
    oblique : bool
        Whether voxels were shared among slices, because the axis is none of the grid.
    notes : tuple of str
        What weakens it.
    """

    along_mm: Array
    ea_n: Array
    ei_least_n_m2: Array
    ei_most_n_m2: Array
    gj_n_m2: Array
    centroid_mm: Array
    start_mm: Array
    axis: Array
    oblique: bool
    notes: tuple[str, ...]

    @property
    def level(self) -> Array:
        """Place of each slice between the first (0) and the last (1)."""
        low, high = float(self.along_mm[0]), float(self.along_mm[-1])
        return (self.along_mm - low) / max(high - low, 1e-9)

    def least(self, measure: str) -> tuple[float, float]:
        """Return the least value along the bone and where it lies [mm along the axis]; the ends taper and are part of it."""
        values: Array = getattr(self, measure)
        at = int(np.argmin(values))
        return float(values[at]), float(self.along_mm[at])


@dataclass(frozen=True, eq=False)
class RigidityRatio:
    """A bone against healthy bone, level by level.

    Parameters
    ----------
    along_mm : ndarray
        Slices that were compared, in the place of the affected bone.
    ratios : mapping of str to ndarray
        Affected over healthy, by measure.
    least : mapping of str to tuple
        Least ratio of each measure and where it lies [mm].
    flagged : tuple of str
        Measures whose ratio falls by more than the published share; EI_most is shown and not judged.
    fall_percent : float
        That share.
    notes : tuple of str
        What the comparison rests on.
    """

    along_mm: Array
    ratios: Mapping[str, Array]
    least: Mapping[str, tuple[float, float]]
    flagged: tuple[str, ...]
    fall_percent: float
    notes: tuple[str, ...]


@cache
def limits() -> Mapping[str, Value]:
    """Return the numbers of ``rigidity.yaml``."""
    return values_in("osteon.assessment", "rigidity.yaml")


def bone_axis(mask: Volume) -> tuple[Array, Array]:
    """Return the centre [LPS mm] and the long axis of a bone's voxels, pointing to the head (superior).

    Raises
    ------
    MissingError
        If the mask is empty.
    InputError
        If no axis stands out: the body is about as long as it is wide.
    """
    points = mask.grid.to_mm(np.argwhere(mask.array))
    if len(points) < 10:
        raise MissingError(
            f"The outline of the bone holds {len(points)} voxels.", "It has no axis.", "Outline the bone, or give the axis."
        )
    centre = points.mean(axis=0)
    spread, directions = np.linalg.eigh(np.cov((points - centre).T))
    if spread[2] < limits()["axis_stands_out"].number * spread[1]:
        raise InputError(
            f"The bone's principal spreads are {np.sqrt(spread).round(1).tolist()} mm: none stands out as its axis.",
            "Slices across a wrong axis give a rigidity of nothing.",
            "Give the axis: for a vertebra the line through the middles of its end plates.",
        )
    axis = directions[:, 2]
    return centre, axis if axis[2] >= 0 else -axis


def rigidity(
    modulus: Volume, axis: Array, start_mm: Array | None = None, step_mm: float | None = None, poisson: float | None = None
) -> Rigidity:
    """Return the rigidity of each slice normal to an axis, of any direction.

    Parameters
    ----------
    modulus : Volume
        Young's modulus [Pa]; 0 where there is no bone.
    axis : array (3,)
        Direction in LPS; its length does not matter.
    start_mm : array (3,), optional
        Where ``along_mm`` is 0; the centre of the bone's voxels where it is not given.
    step_mm : float, optional
        Distance of slices, the least voxel edge where it is not given. On an axis of the grid it is always the voxel's edge.
    poisson : float, optional
        Poisson's ratio; that of ``bone-laws.yaml`` where it is not given.

    Raises
    ------
    ImageError
        If a modulus is negative or not finite, or the grid's axes are not at right angles.
    InputError
        If the axis has no direction.
    MissingError
        If there is no bone.
    """
    direction = _unit(axis)
    _check(modulus)
    index = np.nonzero(modulus.array > 0)
    e = modulus.array[index].astype(np.float64) * modulus.grid.voxel_mm3
    points = modulus.grid.to_mm(np.stack(index, axis=-1))
    start = points.mean(axis=0) if start_mm is None else np.asarray(start_mm, float)
    helper = np.eye(3)[int(np.argmin(np.abs(direction)))]
    u = np.cross(helper, direction)
    u /= np.linalg.norm(u)
    axes = np.column_stack([u, np.cross(direction, u), direction])
    widths = np.abs(modulus.grid.matrix[:3, :3].T @ direction)
    oblique = bool(np.sort(widths)[1] > 1e-9 * widths.max())
    step = float(min(modulus.spacing_mm)) if step_mm is None else float(step_mm)
    step = step if oblique else float(widths.max())
    nu = constants()["poisson"].number if poisson is None else poisson
    return _sum_up(e, (points - start) @ axes, widths[widths > 1e-3 * widths.max()], step, (start, axes), nu, oblique)


def healed(modulus: Volume, lesion: Volume, healthy_pa: float) -> Volume:
    """Return the same bone with the lesion's voxels set to a given modulus [Pa], never below what they have.

    Raises
    ------
    ImageError
        If bone and lesion lie on different grids.
    InputError
        If the modulus is not positive.
    """
    if not modulus.grid.same_as(lesion.grid):
        raise ImageError(
            f"The lesion's grid {lesion.grid.shape} is not that of the bone {modulus.grid.shape}.",
            "The wrong voxels would be healed.",
            "Resample the outline onto the bone's grid.",
        )
    if not healthy_pa > 0:
        raise InputError(f"A healthy modulus of {healthy_pa} Pa was given.", "Bone has a positive one.", "Give it in Pa.")
    return modulus.with_array(np.where(lesion.array, np.maximum(modulus.array, healthy_pa), modulus.array))


def against(
    affected: Rigidity, healthy: Rigidity, same_bone: bool = False, reference_looked_at: bool | None = None
) -> RigidityRatio:
    """Return the ratio of a bone to healthy bone, level by level and without the tapering ends.

    Parameters
    ----------
    affected, healthy : Rigidity
        Both along axes that point the same way (to the head).
    same_bone : bool
        True: the same bone with its lesion healed, compared at the same millimetre; False: another bone, at the same level
        between its ends.
    reference_looked_at : bool or None
        Whether somebody looked for lesions in the other bone; None: not known.

    Raises
    ------
    InputError
        If fewer than three slices can be compared.
    """
    place, other = (affected.along_mm, healthy.along_mm) if same_bone else (affected.level, healthy.level)
    ends = limits()["ends_left_out"].number
    keep = (affected.level >= ends - 1e-9) & (affected.level <= 1.0 - ends + 1e-9) & (place >= other[0]) & (place <= other[-1])
    if keep.sum() < 3:
        raise InputError(
            f"Only {int(keep.sum())} slices of the two bones lie at the same level.",
            "A ratio at one slice says nothing about a bone.",
            "Give both bones over the same length, in slices of 1 mm or less.",
        )
    ratios = {m: getattr(affected, m)[keep] / np.interp(place[keep], other, getattr(healthy, m)) for m in MEASURES}
    where = affected.along_mm[keep]
    least = {m: (float(r.min()), float(where[int(np.argmin(r))])) for m, r in ratios.items()}
    fall = limits()["fall_flagged"].number
    flagged = tuple(m for m in MEASURES if m != "ei_most_n_m2" and 100.0 * (1.0 - least[m][0]) > fall)
    notes = [ROUND_ONLY, f"The first and last {100 * ends:.0f} % of the length are left out."]
    if same_bone:
        notes.append("Against the same bone with its lesion replaced by a given modulus.")
    else:
        notes.append("Against another bone at the same level between its ends: both must be in the image from end to end.")
        if reference_looked_at is not True:
            notes.append("Cannot tell whether the other bone is healthy: look for lesions in it first.")
    return RigidityRatio(where, ratios, least, flagged, fall, tuple(notes))


def _unit(axis: Array) -> Array:
    direction = np.asarray(axis, dtype=float)
    length = float(np.linalg.norm(direction)) if direction.shape == (3,) else 0.0
    if not (np.isfinite(direction).all() and length > 1e-9):
        raise InputError(
            f"The axis {np.asarray(axis).tolist()} has no direction.",
            "Slices lie normal to it.",
            "Give three numbers, LPS, not all 0.",
        )
    return direction / length


def _check(modulus: Volume) -> None:
    array = modulus.array
    if not np.isfinite(array).all() or (array < 0).any():
        raise ImageError(
            f"{int((~np.isfinite(array)).sum())} moduli are not finite, {int((array < 0).sum())} negative.",
            "A sum over them would be a wrong rigidity.",
            "Set voxels that are not bone to 0; do not leave out what the law says nothing about.",
        )
    if not (array > 0).any():
        raise MissingError(
            "No voxel has a modulus.", "There is no bone to slice.", "Check the bone's outline and its calibration."
        )
    matrix = modulus.grid.matrix[:3, :3]
    axes = matrix / np.linalg.norm(matrix, axis=0)
    if np.abs(axes.T @ axes - np.eye(3)).max() > 1e-4:
        raise ImageError(
            "The axes of the image are not at right angles.",
            "A voxel's area across the bone is then not the product of its edges.",
            "Resample a scan with a tilted gantry onto a straight grid.",
        )


def _share_below(t: Array, widths: Array) -> Array:
    """Return the share of a voxel's volume that lies below a plane ``t`` mm above its centre.

    Along the axis a box is the sum of three uniform spreads, one for each edge; its share is a polynomial in pieces.
    """
    out = np.zeros_like(t)
    for chosen in product((0, 1), repeat=len(widths)):
        low = float(np.dot(chosen, widths)) - float(widths.sum()) / 2.0
        out += (-1) ** sum(chosen) * np.maximum(t - low, 0.0) ** len(widths)
    return np.asarray(np.clip(out / (factorial(len(widths)) * float(np.prod(widths))), 0.0, 1.0))


def _sum_up(e: Array, at: Array, widths: Array, step: float, frame: tuple[Array, Array], nu: float, oblique: bool) -> Rigidity:
    """Share each voxel [N mm, modulus times volume] among the slices that cut it, by volume, and sum over each slice."""
    u, v, s = at.T
    reach = float(widths.sum())
    low = float(s.min()) - reach / 2.0
    count = int(np.ceil((float(s.max()) + reach / 2.0 - low) / step - 1e-9))
    first = np.maximum(np.floor((s - reach / 2.0 - low) / step + 1e-9).astype(np.int64), 0)
    sums = np.zeros((6, count))
    for offset in range(int(np.ceil(reach / step - 1e-9)) + 1):
        slice_of = first + offset
        lower = low + slice_of * step - s
        weight = e * (_share_below(lower + step, widths) - _share_below(lower, widths))
        inside = slice_of < count
        for row, factor in zip(sums, (1.0, u, v, u * u, v * v, u * v), strict=True):
            row += np.bincount(slice_of[inside], (weight * factor)[inside], minlength=count)
    some = sums[0] > 1e-6 * sums[0].max()
    total, su, sv, suu, svv, suv = sums[:, some]
    along = low + (np.flatnonzero(some) + 0.5) * step
    uc, vc = su / total, sv / total
    uu, vv, uv = np.maximum(suu - total * uc**2, 0.0), np.maximum(svv - total * vc**2, 0.0), suv - total * uc * vc
    half, swing = (uu + vv) / 2.0, np.hypot((uu - vv) / 2.0, uv)
    area, second = MM**2 / step, MM**4 / step
    start, axes = frame
    notes = [ROUND_ONLY]
    if oblique:
        notes.append("The axis is none of the grid: voxels are shared among slices by volume, nothing is interpolated.")
    return Rigidity(
        along_mm=along,
        ea_n=total * area,
        ei_least_n_m2=np.maximum(half - swing, 0.0) * second,
        ei_most_n_m2=(half + swing) * second,
        gj_n_m2=(uu + vv) * second / (2.0 * (1.0 + nu)),
        centroid_mm=start + np.stack([uc, vc, along], axis=-1) @ axes.T,
        start_mm=start,
        axis=axes[:, 2],
        oblique=oblique,
        notes=tuple(notes),
    )
