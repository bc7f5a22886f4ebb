r"""The cortex of a long bone, unrolled: how much of its thickness is left at each place along the shaft and round it.

In slices across the axis a ray leaves the middle of the filled contour at each angle. With the expected thickness d of the same
angle in healthy slices nearby (or of the opposite bone) and the outer radius r_o, what is left is

.. math:: t(\theta, z) = \frac{1}{d} \int_{r_o - d}^{r_o} [\rho(r) > \rho_{1/2}]\,[\text{outside the lesion}]\,dr

The profile is interpolated and cut at half the height between soft tissue and the peak of the healthy cortex, as in
``assessment/cortex.py``: edges lie between voxels. A wall thinner than two voxels is blurred below that height or looks too wide;
its thickness is the area under its peak over that of healthy cortex, which blur does not change. An outline is drawn in whole
voxels: where the lesion is not dense, the image says within a voxel of the outline where it ends; where it is dense, the outline.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from osteon.assessment.cortex_map_expected import Expected, Reference, half_height, healthy_slices, portion
from osteon.assessment.cortex_map_rays import Rays, Side, limit, rays
from osteon.assessment.measure_base import threshold
from osteon.errors import InputError
from osteon.space.volume import Array, Grid, Volume


@dataclass(frozen=True, eq=False)
class CortexMap:
    """The unrolled cortex: n slices along the shaft, from the feet up, m angles round it.

    Parameters
    ----------
    along_mm : ndarray (n,)
        Place of each slice on the axis.
    theta_rad : ndarray (m,)
        Angle from ``directions[0]`` towards ``directions[1]``.
    outer_mm, inner_mm : ndarray (n, m)
        Outer radius, and where the cortex is expected to end inside.
    intact : ndarray (n, m)
        Part of the expected thickness that is left, 0 to 1, whatever took the rest.
    unknown : ndarray (n, m) of bool
        Not imaged, cut by the border of the image, spoilt by metal, or no tube there.
    lesion : ndarray (n, m) of bool
        The lesion lies within the expected cortex (and one voxel).
    blank : ndarray (n, m) of bool
        Nothing of the cortex shows, not even the blurred trace of a shell thinner than a voxel.
    by_outline : ndarray (n, m) of bool
        The lesion is as dense as cortex here: its outline says where it ends, not the image.
    lesion_from_mm, lesion_to_mm : ndarray (n, m)
        Radii between which the lesion lies within the bone; not a number where it does not.
    points_mm : ndarray (n, m, 3)
        The outer surface, LPS mm.
    centres_mm : ndarray (n, 3)
        Middle of each slice, LPS mm.
    directions : tuple of str
        What lies at 0, 90, 180 and 270 degrees.
    voxel_along_mm, voxel_across_mm : float
        Extent of a voxel along the axis and across it.
    reference : {"healthy slices", "opposite bone"}
        Where the expected thickness comes from.
    unseen : float
        Part of the healthy cells in which the image shows no cortex: how far "gone" can be trusted here.
    notes : tuple of str
        What weakens it.
    """

    along_mm: Array
    theta_rad: Array
    outer_mm: Array
    inner_mm: Array
    intact: Array
    unknown: Array
    lesion: Array
    blank: Array
    by_outline: Array
    lesion_from_mm: Array
    lesion_to_mm: Array
    points_mm: Array
    centres_mm: Array
    directions: tuple[str, str, str, str]
    voxel_along_mm: float
    voxel_across_mm: float
    reference: Reference
    unseen: float
    notes: tuple[str, ...]

    @property
    def slice_mm(self) -> float:
        """Distance of two slices."""
        return float(self.along_mm[1] - self.along_mm[0])

    @property
    def voxel_mm(self) -> float:
        """Largest extent of a voxel."""
        return max(self.voxel_along_mm, self.voxel_across_mm)

    @cached_property
    def arc_mm(self) -> Array:
        """Length of the outer contour that each cell stands for (n, m)."""
        after, before = np.roll(self.outer_mm, -1, 1), np.roll(self.outer_mm, 1, 1)
        turn = float(self.theta_rad[1] - self.theta_rad[0])
        return np.asarray(np.hypot(self.outer_mm * turn, (after - before) / 2))

    @property
    def resolved(self) -> bool:
        """Whether the image shows the healthy cortex well enough to say that some is gone."""
        return self.unseen <= threshold("unseen_cortex_fraction")

    @property
    def open_ended(self) -> bool:
        """Whether the lesion reaches the end of what the image shows of this bone: lengths are then lower bounds."""
        return bool(self.lesion[0].any() or self.lesion[-1].any())

    @property
    def breach(self) -> Array:
        """Where the lesion has taken the whole thickness (n, m)."""
        return np.asarray(self.lesion & (self.intact <= 0) & ~self.unknown)

    def below(self, fraction: float) -> Array:
        """Return where the lesion has left less than this part of the thickness (n, m)."""
        return np.asarray(self.lesion & (self.intact < fraction) & ~self.unknown)

    def voxels(self, where: Array, grid: Grid) -> Array:
        """Return the voxels (k, 3) in array order z, y, x through which the expected cortex of some cells runs."""
        cells = np.argwhere(where)
        if not len(cells):
            return np.zeros((0, 3), int)
        i, j = cells.T
        part = np.linspace(0, 1, 24)
        radius = self.inner_mm[i, j, None] * (1 - part) + self.outer_mm[i, j, None] * part
        out = (self.points_mm[i, j] - self.centres_mm[i]) / self.outer_mm[i, j, None]
        places = self.centres_mm[i, None] + radius[..., None] * out[:, None]
        index = np.unique(np.rint(grid.to_index(places.reshape(-1, 3))).astype(int), axis=0)
        return np.asarray(index[((index >= 0) & (index < np.array(grid.shape))).all(1)])


def cortex_map(
    image: Volume,
    bone: Volume,
    lesion: Volume,
    side: Side | None = None,
    imaged: Array | None = None,
    unreliable: Array | None = None,
) -> CortexMap:
    """Unroll the cortex of a long bone round a lesion, against its own healthy slices.

    Parameters
    ----------
    image : Volume
        HU.
    bone : Volume of bool
        With what the lesion replaced; hollow or filled.
    lesion : Volume of bool
        All three on one grid.
    side : {"left", "right", None}
        Of the body, to name the directions.
    imaged, unreliable : ndarray of bool (z, y, x), optional
        Where there is an image, and where metal spoils it.

    Raises
    ------
    MissingError
        If bone or lesion are empty, or no healthy slices lie near.
    InputError
        If the bone has no axis, is no tube at the lesion, or its cortex is not denser than soft tissue.
    ImageError
        If the axes of the grid are not at right angles.

    Examples
    --------
    >>> import numpy as np
    >>> from osteon.space.volume import Grid, Volume
    >>> grid = Grid.box(np.array([-20.0, -20, -40]), np.array([20.0, 20, 40]), 1.0)
    >>> x, y, z = np.moveaxis(grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)
    >>> hole = (np.hypot(x, y) <= 14) & (x > 5) & (abs(y) < 5) & (abs(z) < 6)
    >>> hu = np.where((np.hypot(x, y) <= 14) & (np.hypot(x, y) >= 9) & ~hole, 1200.0, 40.0)
    >>> found = cortex_map(Volume(hu, grid), Volume(np.hypot(x, y) <= 14, grid), Volume(hole, grid), "left")
    >>> found.directions
    ('anterior', 'medial', 'posterior', 'lateral')
    """
    cast = rays(image, bone, lesion, side, imaged, unreliable)
    return unroll(cast, healthy_slices(cast))


def unroll(cast: Rays, expected: Expected, added_hu: float = 0.0) -> CortexMap:
    """Return the map of one set of rays against the cortex that is expected.

    Parameters
    ----------
    cast : Rays
        Of the bone with the lesion.
    expected : Expected
        The cortex as it should be.
    added_hu : float
        What contrast agent may have added to what lies round the lesion.

    Raises
    ------
    InputError
        If the bone is no tube at the lesion.
    """
    voxel, radius, half = cast.voxel_across_mm, cast.radius_mm, limit("image_shift_voxels") * cast.voxel_across_mm
    outer = cast.outer_mm + expected.shift_mm
    inner = np.maximum(outer - expected.thickness_mm, 0.0)
    reached = (cast.depth_mm <= half) & (radius >= inner[..., None] - voxel) & (radius <= outer[..., None] + voxel)
    lesion = np.asarray(reached.any(-1))
    _refuse_no_tube(cast, lesion)
    wall, opaque, zone = _walls(cast, expected, (inner, outer), lesion, added_hu)
    shell = threshold("cortex_least_hu") + added_hu
    within = (cast.depth_mm <= 0) & (radius <= outer[..., None])
    frame = cast.frame
    return CortexMap(
        along_mm=frame.along_mm,
        theta_rad=frame.theta_rad,
        outer_mm=outer,
        inner_mm=inner,
        intact=np.clip(wall / expected.thickness_mm, 0, 1),
        unknown=cast.unknown | ~cast.tube,
        lesion=lesion,
        blank=np.where(zone, cast.profile, -np.inf).max(-1) < shell,
        by_outline=opaque,
        lesion_from_mm=np.where(within.any(-1), radius[np.argmax(within, -1)], np.nan),
        lesion_to_mm=np.where(within.any(-1), radius[within.shape[-1] - 1 - np.argmax(within[..., ::-1], -1)], np.nan),
        points_mm=frame.centres_mm[:, None] + outer[..., None] * frame.outward[None],
        centres_mm=frame.centres_mm,
        directions=frame.directions,
        voxel_along_mm=cast.voxel_along_mm,
        voxel_across_mm=voxel,
        reference=expected.reference,
        unseen=expected.unseen,
        notes=_notes(cast, expected, lesion),
    )


def _walls(
    cast: Rays, expected: Expected, edges: tuple[Array, Array], lesion: Array, added_hu: float
) -> tuple[Array, Array, Array]:
    """Return the thickness that is left on each ray [mm], where the outline says so, and the samples that were looked at."""
    cut_hu, voxel, radius = half_height(expected.peak_hu, added_hu), cast.voxel_across_mm, cast.radius_mm
    half, far = limit("image_shift_voxels") * voxel, limit("outline_shift_voxels") * voxel
    inner, outer = edges
    zone = (radius >= (inner - half)[..., None]) & (radius <= (outer + half)[..., None])
    core = zone & (cast.depth_mm < -half)
    dense, held = (core & (cast.profile > cut_hu)).sum(-1), core.sum(-1)
    opaque = dense > 0.5 * held
    foot = (2 * round(cast.voxel_along_mm / cast.slice_mm) + 1, 3)  # rays that graze the lesion have no inside to go by
    opaque |= (held == 0) & ndimage.maximum_filter(opaque, foot, mode=["nearest", "wrap"])
    outside = cast.depth_mm + np.where(opaque, 0.0, far)[..., None]
    sound = np.minimum(portion(cast.profile - cut_hu), portion(outside))
    low = np.maximum(radius[:-1], (inner - half)[..., None])
    high = np.minimum(radius[1:], (outer + half)[..., None])
    wall = (sound * np.clip(high - low, 0, None)).sum(-1)
    thin = lesion & ~opaque & (wall < 2 * voxel)
    wall[thin] = _thin_wall(cast, zone & (outside > 0), thin, wall[thin], expected.peak_hu, added_hu)
    return np.asarray(wall), np.asarray(opaque), np.asarray(zone)


def _thin_wall(cast: Rays, where: Array, thin: Array, run: Array, peak_hu: float, added_hu: float) -> Array:
    """Return the thickness [mm] of the densest wall of some rays by the area under its peak, as far as it is blurred.

    On each side what counts is what stands out above soft tissue and the lowest HU there; without a narrow trace
    the run at half height stays: what is wide and faint is the blurred end of a thick wall.
    """
    profile = cast.profile[thin]
    inside = np.where(where[thin], profile, -np.inf)
    at = np.argmax(inside, -1)
    top = np.take_along_axis(inside, at[:, None], -1)[:, 0]
    away = cast.radius_mm[None, :] - cast.radius_mm[at][:, None]
    reach = max(2 * cast.voxel_across_mm, limit("thin_reach_mm"))
    wall, higher = np.zeros(len(profile)), np.zeros(len(profile))
    for side in (-1, 1):
        here = (side * away >= 0) & (side * away <= reach)
        base = np.maximum(np.where(here, profile, np.inf).min(-1), threshold("cortex_soft_hu") + added_hu)
        step = np.where(away == 0, 0.5, 1.0) * cast.step_mm
        over = (np.where(here, np.clip(profile - base[:, None], 0, None), 0.0) * step).sum(-1)
        wall += over / np.maximum(peak_hu - base, 1.0)
        higher = np.maximum(higher, base)
    half = (np.abs(away) <= reach) & (profile > ((top + higher) / 2)[:, None])
    narrow = half.sum(-1) * cast.step_mm <= limit("thin_widest") * reach
    stands_out = top - higher >= threshold("cortex_least_hu") - threshold("cortex_soft_hu")
    return np.asarray(np.where(stands_out & narrow, wall, run))


def _refuse_no_tube(cast: Rays, lesion: Array) -> None:
    rows = lesion.any(1)
    part = float(cast.tube[rows].mean()) if rows.any() else 1.0
    if part < limit("tube_least_fraction"):
        raise InputError(
            f"{100 * (1 - part):.0f} % of the rays at the lesion leave the bone more than once.",
            "A section that is no tube cannot be unrolled from its middle.",
            "Read the involvement of the cortex from the slices; the map holds for shafts.",
        )


def _notes(cast: Rays, expected: Expected, lesion: Array) -> tuple[str, ...]:
    notes = [f"Expected thickness from the {expected.reference}.", *expected.notes]
    lost = float((cast.unknown & lesion).sum() / max(lesion.sum(), 1))
    if lost > 0:
        notes.append(f"{100 * lost:.0f} % of the cortex at the lesion cannot be told: not imaged, or spoilt by metal.")
    if lesion[0].any() or lesion[-1].any():
        notes.append("The lesion reaches the end of what the image shows of this bone: lengths are lower bounds.")
    notes.append("Directions are those of the limb as it lies in the scanner.")
    return tuple(notes)
