"""Which elements of an array see the focus: straight rays through labelled voxels, several from the face of each element.

A ray is clear, blocked by a label that stops sound, or cannot be told: it crosses what was not imaged, or comes out of the body
beyond the edge of the image. Blocked outweighs unknown, and unknown is never clear. Before the body there is coupling fluid; air
outside the body that a ray meets again after its first contact is a gap, and blocks. No ray is bent.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np

from osteon.errors import ImageError, InputError
from osteon.physics.acoustic_sources import Source

Array = np.ndarray[Any, np.dtype[Any]]
Policy = Literal["strict", "assumed"]
RAYS, FEWEST, IN_ALL = 16, 4, 6000  # from each element: at most, at least, and of the whole array where nobody asks for more
NORMAL_M, NORMAL_VOXELS = 3e-3, 4.0  # radius of the ball that tells which way a face of bone looks: the larger of both


@dataclass(frozen=True, eq=False)
class Visible:
    """What lies between the faces of an array and its focus.

    Parameters
    ----------
    element : ndarray of int, shape (rays,)
        Element that each ray leaves.
    area_m2 : ndarray, shape (rays,)
        Area of the face that it stands for; of one element they add up to its area.
    state : ndarray of uint8, shape (rays,)
        0 clear, 1 blocked, 2 cannot tell.
    label : ndarray of int, shape (rays,)
        What decided it: a label, -1 where the image ends, -2 nothing, -3 the body in which the element itself would stand.
    depth_m : ndarray, shape (rays,)
        Where on the ray, from its first contact with the body; NaN where clear, or where no image shows that contact.
    incidence_deg : ndarray, shape (rays,)
        Angle to the normal of the first face of bone before anything blocks; NaN where none is met.
    names : mapping of int to str
        Of the labels.
    """

    element: Array
    area_m2: Array
    state: Array
    label: Array
    depth_m: Array
    incidence_deg: Array
    names: Mapping[int, str]

    @cached_property
    def shares(self) -> Array:
        """Share of the area of each element that is clear, blocked and unknown, shape (elements, 3)."""
        count = int(self.element.max()) + 1
        area = np.stack([np.bincount(self.element, self.area_m2 * (self.state == s), count) for s in range(3)], axis=1)
        return np.asarray(area / area.sum(axis=1)[:, None])

    @property
    def whole(self) -> tuple[float, float, float]:
        """Share of the whole area that is clear, blocked and unknown."""
        clear, blocked, unknown = (float(self.area_m2[self.state == s].sum() / self.area_m2.sum()) for s in range(3))
        return clear, blocked, unknown

    def on(self, policy: Policy = "strict", most_hidden: float = 0.0) -> Array:
        """Return which elements may radiate, as ``acoustic_sources.focus_drive`` takes it.

        Parameters
        ----------
        policy : {"strict", "assumed"}
            Whether what cannot be told counts as blocked, or as clear: an assumption that belongs into the plan.
        most_hidden : float
            Largest share of its area that an element may have hidden.

        Returns
        -------
        ndarray of bool, shape (elements,)

        Raises
        ------
        InputError
            If there is no such policy, or the share is not from 0 to below 1.
        """
        if policy not in ("strict", "assumed") or not 0 <= most_hidden < 1:
            raise InputError(
                f"Elements were to be chosen by the policy {policy!r} with {most_hidden!r} hidden.",
                "What nobody imaged either counts as blocked or is assumed to be clear.",
                "Give 'strict' or 'assumed', and a share from 0 to below 1.",
            )
        hidden = self.shares[:, 1] + (self.shares[:, 2] if policy == "strict" else 0.0)
        return np.asarray(hidden <= most_hidden + 1e-12)

    @property
    def verdicts(self) -> tuple[str, ...]:
        """Of each element in words: "clear", "blocked by lung at 31 mm (40 % of it)", "cannot tell: leaves the image ..."."""
        return tuple(self._verdict(number) for number in range(len(self.shares)))

    def _verdict(self, number: int) -> str:
        share = self.shares[number]
        if share[1] == share[2] == 0:
            return "clear"
        kind = 1 if share[1] > 0 else 2
        here = np.flatnonzero((self.element == number) & (self.state == kind))
        codes, which = np.unique(self.label[here], return_inverse=True)
        code = int(codes[np.bincount(which, self.area_m2[here]).argmax()])
        depth = self.depth_m[here][self.label[here] == code]
        depth = depth[np.isfinite(depth)]
        at = f" at {1e3 * float(depth.min()):.0f} mm" if len(depth) else ""
        part = "" if share[kind] > 1 - 1e-9 else f" ({100 * share[kind]:.0f} % of it)"
        if kind == 1:
            return f"blocked by {self.names[code]}{at}{part}"
        if code == -1:
            return f"cannot tell: leaves the image; image the whole way{part}"
        return f"cannot tell: {self.names[code]}{at}; look there{part}"

    def incidence_share(self, beyond_deg: float) -> float:
        """Return the share of the area that meets bone which arrives beyond an angle; NaN where nothing meets bone.

        Parameters
        ----------
        beyond_deg : float
            For the critical angle, arcsin of tissue speed over longitudinal speed of bone.
        """
        met = np.isfinite(self.incidence_deg)
        area = float(self.area_m2[met].sum())
        return float(self.area_m2[met & (self.incidence_deg > beyond_deg)].sum()) / area if area > 0 else math.nan

    @property
    def element_incidence_deg(self) -> Array:
        """Mean angle of each element to the first face of bone, by area; NaN where it meets none, shape (elements,)."""
        met, count = np.isfinite(self.incidence_deg), len(self.shares)
        area = np.bincount(self.element[met], self.area_m2[met], count)
        summed = np.bincount(self.element[met], (self.area_m2 * self.incidence_deg)[met], count)
        return np.asarray(np.divide(summed, area, out=np.full(count, np.nan), where=area > 0))


def visible_elements(
    source: Source,
    focus_m: Array,
    labels: Array,
    grid_to_device: Array,
    *,
    blocks: Mapping[int, str],
    unknown: Mapping[int, str],
    not_imaged: Collection[int] = (),
    coupling: Collection[int] = (),
    bone: Collection[int] = (),
    rays: int | None = None,
    normal_m: float | None = None,
) -> Visible:
    """Return what lies between each element and the focus.

    Parameters
    ----------
    source : Source
        The device, in its own frame [m].
    focus_m : ndarray, shape (3,)
        In that frame; inside the voxels.
    labels : ndarray of int, shape (z, y, x)
        What each voxel is, 0 to 255.
    grid_to_device : ndarray, shape (4, 4)
        From (column x, row y, slice z, 1) to the frame of the device [m].
    blocks, unknown : mapping of int to str
        Labels that stop sound, and labels of which nobody can tell, with their names.
    not_imaged : collection of int
        Labels where there is no image; in front of the body they count like what lies outside the voxels.
    coupling : collection of int
        Labels of the fluid between device and body. A ray may come from outside the voxels only through these; behind the first
        other voxel they stop sound where they are thicker than two voxels (thinner ones are stairs of the skin).
    bone : collection of int
        Labels of bone.
    rays : int, optional
        From each element, evenly over its area; at most as many as the source has points there. Left out: 4 to 16, 6000 in all.
    normal_m : float, optional
        Radius of the ball from which the direction of a face of bone is read [m]. Left out: 3 mm or 4 voxels; on flat faces the
        angle of a ray is then right to 1 degree, in plates of two voxels to 3 (root mean square).

    Returns
    -------
    Visible

    Raises
    ------
    InputError
        If a label is in two groups, the focus or the place of the voxels is not finite, or an element lies in bone.
    ImageError
        If the labels are not whole numbers from 0 to 255, or the focus lies outside them.
    """
    from osteon.physics import acoustic_visibility_kernels as kernels

    place = np.asarray(grid_to_device, float)
    rays = min(RAYS, max(FEWEST, IN_ALL // source.elements)) if rays is None else rays
    kinds = _kinds(labels, coupling, blocks, unknown, not_imaged, bone)
    focus = np.asarray(focus_m, float)
    if place.shape != (4, 4) or not np.isfinite(place).all() or abs(np.linalg.det(place[:3, :3])) < 1e-30 or rays < 1:
        raise InputError(
            f"The voxels lie at {place.tolist()}, with {rays} rays from an element.",
            "Rays need an invertible 4 x 4 matrix from voxels to the device, and at least one must start.",
            "Give inverse(device to patient) @ (voxel to patient), in metres, and rays of at least 1.",
        )
    element, points, area = _faces(source, rays)
    to_m = np.ascontiguousarray(place[:3, 2::-1])  # columns z, y, x
    inverse = np.linalg.inv(to_m)
    start = (points - place[:3, 3]) @ inverse.T + 0.5
    end = inverse @ (focus - place[:3, 3]) + 0.5 if focus.shape == (3,) else np.full(3, np.nan)
    if not ((end >= 0) & (end < labels.shape)).all():
        raise ImageError(
            f"The focus {np.asarray(focus_m).tolist()} m lies outside the voxels of shape {labels.shape}.",
            "What lies on the way to it is not known.",
            "Place the device so that its focus lies in the image, or give an image that holds the target.",
        )
    ball = max(NORMAL_M, NORMAL_VOXELS * abs(np.linalg.det(to_m)) ** (1 / 3)) if normal_m is None else float(normal_m)
    gap = 2 * float(np.linalg.norm(to_m, axis=0).max())
    state, label, stop, skin, cosine = kernels.trace(
        np.ascontiguousarray(labels, np.uint8), kinds, np.ascontiguousarray(start), end, to_m, ball,
        np.ceil(ball * np.linalg.norm(inverse, axis=1)).astype(np.int64), gap,
    )  # fmt: skip
    if (cosine > 1.5).any():
        raise InputError(
            f"Element {int(element[cosine > 1.5][0])} of the array lies inside bone.",
            "Sound enters the body through the skin.",
            "Move the device out of the body; check its pose.",
        )
    depth = np.where(label == kernels.OUTSIDE, np.nan, stop - skin)
    names = {
        kernels.STANDS_IN: "the body, in which it stands",
        **blocks,
        **unknown,
        **dict.fromkeys(coupling, "a gap of air"),
        **dict.fromkeys(not_imaged, "not imaged"),
    }
    return Visible(element, area, state, label, depth, np.degrees(np.arccos(cosine)), names)


def _kinds(labels: Array, *groups: Collection[int]) -> Array:
    """Return the kind of each label 0 to 255 for the kernel; the groups in its order."""
    whole = labels.ndim == 3 and labels.size > 0 and labels.dtype.kind in "ui"
    if not whole or not (labels.dtype == np.uint8 or (labels.min() >= 0 and labels.max() < 256)):
        raise ImageError(
            f"The labels have shape {labels.shape} and kind {labels.dtype}, or run beyond 0 to 255.",
            "Each voxel on the way of sound needs one label.",
            "Give whole numbers from 0 to 255 as (z, y, x).",
        )
    kinds = np.zeros(256, np.uint8)
    for kind, group in enumerate(groups, start=1):
        for label in group:
            if not 0 <= label < 256 or kinds[label]:
                raise InputError(
                    f"The label {label} is in two groups, or not between 0 and 255.",
                    "It must stop sound, or be unknown, or couple, or be bone.",
                    "Name every label once.",
                )
            kinds[label] = kind
    return kinds


@lru_cache(maxsize=8)
def _faces(source: Source, rays: int) -> tuple[Array, Array, Array]:
    """Return element, place (n, 3) and area of the compact pieces from which rays start: faces halved along their length."""
    order = np.argsort(source.element, kind="stable")
    group = source.element[order].astype(np.int64)
    parts = np.minimum(np.bincount(group), rays)[group]
    while parts.max() > 1:
        points = source.points_m[order]
        begin, count = _runs(group)
        longest = np.argmax(np.maximum.reduceat(points, begin) - np.minimum.reduceat(points, begin), axis=1)
        along = points[np.arange(len(order)), np.repeat(longest, count)]
        order = order[np.lexsort((along, group))]
        first = parts // 2
        later = (parts > 1) & (np.arange(len(order)) - np.repeat(begin, count) >= first * np.repeat(count, count) // parts)
        group = 2 * group + later
        parts = np.where(later, parts - first, np.maximum(first, 1))
    begin, _ = _runs(group)
    weight = source.areas_m2[order]
    area = np.add.reduceat(weight, begin)
    points = np.add.reduceat(weight[:, None] * source.points_m[order], begin) / area[:, None]
    as_given = np.argsort(np.minimum.reduceat(order, begin))
    return source.element[order][begin][as_given], points[as_given], area[as_given]


def _runs(group: Array) -> tuple[Array, Array]:
    """Return where runs of equal numbers begin, and how long they are."""
    begin = np.flatnonzero(np.r_[True, np.diff(group) != 0])
    return begin, np.diff(np.r_[begin, len(group)])
