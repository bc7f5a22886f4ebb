"""Landmarks of a vertebra from its outline: body, canal, end plates, and the axis across them.

The outline is sampled on cubes, some forty across whatever its size, so that neither the direction nor the size of the image's
voxels matters. The body is the thickest part (opened by a ball), and lies in front of the canal where there is one. Its end
plates are planes fitted to the ends of its columns; the axis is their mean normal, found again until it stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import cast

import numpy as np
from scipy import ndimage

from osteon.assessment.loads.base import number
from osteon.assessment.loads.end_plates import Plates, column_plates, largest
from osteon.errors import InputError
from osteon.space.volume import Array, Grid, Volume, Window

UP = np.array([0.0, 0.0, 1.0])
BACK = np.array([0.0, 1.0, 0.0])
WHY = "A load along a wrong axis gives the strength of another bone."
FACETS = 10_000  # places of the surface at which its direction is read, at most about twice as many
BY_HAND = "Check the outline, or give the direction from the lower to the upper end plate by hand (--axis X,Y,Z, LPS)."
OTHER_PART = (
    "Check the outline, outline the canal's content (spinal_cord) as well; a flattened vertebra is a fracture, ask for that."
)


@dataclass(frozen=True, eq=False)
class Vertebra:
    """What was found of a vertebra.

    Parameters
    ----------
    axes : array (3, 3)
        Columns x (left), y (back) and z (up, across the end plates), unit vectors in LPS.
    upper_mm, lower_mm : array (3,)
        Middles of the end plates.
    wall_mm, front_mm : array (3,)
        Middle of the back and of the front of the body.
    canal_mm : array (3,) or None
        Middle of the canal at the height of the body.
    normals : (array (3,), array (3,))
        Of the upper and the lower end plate, LPS.
    height_mm, width_mm, depth_mm, error_mm : float
        Of the body; and how far the end plates lie from planes.
    isolated : bool
        Whether there is nothing but the body.
    doubts : tuple of str
        What weakens it.
    """

    axes: Array
    upper_mm: Array
    lower_mm: Array
    wall_mm: Array
    front_mm: Array
    canal_mm: Array | None
    normals: tuple[Array, Array]
    height_mm: float
    width_mm: float
    depth_mm: float
    error_mm: float
    isolated: bool
    doubts: tuple[str, ...]


def find_vertebra(bone: Volume, canal: Volume | None = None, axis: Array | None = None) -> Vertebra:
    """Find the body of a vertebra and its end plates.

    Parameters
    ----------
    bone : Volume of bool
        Outline of one vertebra, or of its body alone.
    canal : Volume of bool, optional
        What lies in the canal.
    axis : array (3,), optional
        By hand: from the lower to the upper end plate, LPS.

    Returns
    -------
    Vertebra
        In LPS mm.

    Raises
    ------
    InputError
        If there is no body in the outline.
    """
    shares = _shares(bone)
    core = _core(shares)
    up = axis / np.linalg.norm(axis) if axis is not None else _flattest(shares, core)
    body = shares.with_array((_near(core.array) & (shares.array > 0.5)).astype(np.float32))
    centre = np.asarray(core.centre_mm())
    place = _canal(shares, body, up, centre, canal)
    if place is not None:
        _refuse_the_arch(shares, centre, place, up)
    found = _in_frame(shares, body, centre, up, place)
    if axis is not None:
        return found
    for turn in range(int(number("vertebra_rounds"))):
        one, other = found.normals
        before, up = up, (one + other) / np.linalg.norm(one + other)
        place = _canal(shares, body, up, centre, canal) if turn == 0 else found.canal_mm
        found = _in_frame(shares, body, centre, up, place)
        if np.degrees(np.arccos(np.clip(up @ before, -1.0, 1.0))) < number("vertebra_axis_settled_deg"):
            break
    return found


def frame(up: Array, back: Array) -> Array:
    """Return axes with z along ``up`` and y nearest to ``back``; columns in LPS, right-handed."""
    z = np.asarray(up, float) / np.linalg.norm(up)
    y = back - (back @ z) * z
    if np.linalg.norm(y) < 0.2:
        y = UP - (UP @ z) * z if abs(z @ UP) < 0.9 else np.array([0.0, 1.0, 0.0]) - z[1] * z
    y /= np.linalg.norm(y)
    return np.column_stack([np.cross(y, z), y, z])


def _shares(bone: Volume) -> Volume:
    """Return the share that the outline fills of cubes along LPS, some forty across the bone, holes filled."""
    box = bone.box()
    if box is None:
        raise InputError(
            "The outline of the vertebra is empty.", "There is no bone to load.", "Outline it, or name another label."
        )
    inside = bone.part(box)
    count = max(int(inside.sum()), 1)
    edge = (count * bone.grid.voxel_mm3) ** (1 / 3) / number("vertebra_cubes_across")
    stride = [max(1, int(edge / s / 2)) for s in bone.spacing_mm]
    part, grid = _thinned(inside, bone.grid, box, stride)
    blur = [max(number("vertebra_blur_share") * edge / s, 0.5) for s in grid.spacing_mm]  # a step between voxels keeps its place
    part = ndimage.gaussian_filter(part, blur, mode="constant")
    corners = grid.corners_mm()
    cubes = Grid.box(corners.min(0) - 2 * edge, corners.max(0) + 2 * edge, edge)
    shares = np.array(Volume(part, grid).resample(cubes).array, np.float32)
    holes = ndimage.binary_fill_holes(shares > 0.5) & (shares <= 0.5)
    shares[holes] = 1.0
    return Volume(shares, cubes)


def _thinned(inside: Array, grid: Grid, box: Window, stride: list[int]) -> tuple[Array, Grid]:
    """Return a window of a mask as shares of blocks, three empty blocks wider, and its grid."""
    pad = [(3 * s, 3 * s + (-n) % s) for n, s in zip(inside.shape, stride, strict=True)]
    padded = np.pad(inside.astype(bool, copy=False), pad)
    z, y, x = (n // s for n, s in zip(padded.shape, stride, strict=True))
    blocks = padded.reshape(z, stride[0], y, stride[1], x, stride[2]).mean((1, 3, 5), dtype=np.float32)
    first = np.array([s.start - 3 * k + (k - 1) / 2 for s, k in zip(box, stride, strict=True)])
    affine = grid.matrix
    affine[:3, 3] = grid.to_mm(first)
    affine[:3, :3] *= np.array(stride[::-1], float)
    return np.asarray(blocks, np.float32), Grid.of(blocks.shape, affine)


def _core(shares: Volume) -> Volume:
    """Return the thickest part of a bone, opened by a ball: of a vertebra its body."""
    depth = ndimage.distance_transform_edt(shares.array > 0.5)
    most = float(depth.max())
    if most < 3:
        raise InputError(
            f"No part of the outline is thicker than {2 * most:.0f} of its {number('vertebra_cubes_across'):.0f} parts.",
            "There is no vertebral body in it.",
            "Check that the outline is that of a vertebra, filled, not its surface alone.",
        )
    radius = number("vertebra_core_share") * most
    pieces, _ = ndimage.label(depth > radius)
    kept = pieces == pieces[np.unravel_index(int(np.argmax(depth)), depth.shape)]
    return shares.with_array((ndimage.distance_transform_edt(~kept) <= radius) & (shares.array > 0.5))


def _near(core: Array) -> Array:
    """Return the core and what lies near it: the edges that the ball has rounded off."""
    reach = number("vertebra_edge_share") * (float(core.sum()) * 3 / 4 / np.pi) ** (1 / 3)
    return cast(Array, ndimage.distance_transform_edt(~core) <= reach)


@cache
def _sphere() -> Array:
    """Return directions spread evenly over the upper half of a sphere, (n, 3)."""
    n = 600
    i = np.arange(n) + 0.5
    turn, z = np.pi * (1 + 5**0.5) * i, i / n
    r = np.sqrt(1 - z**2)
    return np.column_stack([r * np.cos(turn), r * np.sin(turn), z])


def _flattest(shares: Volume, core: Volume) -> Array:
    """Return the direction across the two largest flat faces of the core that lie opposite each other; nearest to superior."""
    near = _near(core.array)
    smooth = ndimage.gaussian_filter(np.where(near, shares.array, 0.0), 1.2)
    slope = np.stack(np.gradient(smooth)[::-1], -1)
    size = np.linalg.norm(slope, axis=-1)
    steep = np.flatnonzero(size > 0.3 * size.max())
    at = np.unravel_index(steep[:: max(1, len(steep) // FACETS)], size.shape)
    normal, weight = -slope[at] / size[at][:, None], size[at]
    toward = normal @ _sphere().T
    within = np.cos(np.radians(number("vertebra_face_deg")))
    faces = np.minimum(weight @ (toward > within), weight @ (toward < -within))
    faces = faces * (1.0 + number("vertebra_upright") * np.abs(_sphere()[:, 2]))
    up = _sphere()[int(np.argmax(faces))]
    for _ in range(10):
        along = normal @ up
        use = np.abs(along) > within
        up = (normal[use] * (np.sign(along) * weight)[use][:, None]).sum(0)
        up /= np.linalg.norm(up)
    return cast(Array, up if up @ UP >= 0 else -up)


def _in_frame(shares: Volume, body: Volume, centre: Array, up: Array, place: Array | None) -> Vertebra:
    """Return the vertebra as seen along a given axis, with its canal at a given place."""
    edge = shares.spacing_mm[0]
    doubts: list[str] = []
    isolated = bool((shares.array > 0.5).sum() * (1 - number("vertebra_isolated_share")) <= (body.array > 0.5).sum())
    isolated &= place is None
    if place is not None:
        axes = frame(up, place - centre)
    elif isolated:
        axes = frame(up, _short_side(body, frame(up, BACK)))
    else:
        axes = frame(up, _behind(shares, body, centre))
        doubts.append("The ring round the canal is not closed in the outline: the body was told from the arch by its thickness.")
    shape, low = _box(body, axes)
    kept = local = _turned(shares, axes, shape, low)
    x, y, z = (low[i] + edge * np.arange(n) for i, n in enumerate(local.shape[::-1]))
    if place is not None:
        wall = _wall(local, place @ axes, (x, y, z), centre @ axes, edge)
        kept = np.where(y[None, :, None] <= wall, local, 0.0)
    elif not isolated:
        kept = local * ndimage.binary_dilation(_turned(body, axes, shape, low) > 0.5)
    kept = np.where(ndimage.binary_dilation(largest(kept > 0.5)), kept, 0.0)  # a column ends between two cubes: both are read
    plates = column_plates(kept, x, y, z)
    if plates is None:
        raise InputError("No vertebral body with two end plates was found in the outline.", WHY, BY_HAND)
    return _told(plates, axes, (x, y), place, isolated, tuple(doubts))


def _told(
    plates: Plates, axes: Array, at: tuple[Array, Array], place: Array | None, isolated: bool, doubts: tuple[str, ...]
) -> Vertebra:
    """Return what was found, in LPS."""
    x, y = at
    edge = float(x[1] - x[0])
    top, bottom = plates.middles()
    rows, columns = np.flatnonzero(plates.footprint.any(1)), np.flatnonzero(plates.footprint.any(0))
    half = (top[2] + bottom[2]) / 2
    back, front = y[rows[-1]] + edge / 2, y[rows[0]] - edge / 2
    one, other = plates.normals()
    return Vertebra(
        axes=axes, upper_mm=axes @ top, lower_mm=axes @ bottom,
        wall_mm=axes @ np.array([plates.middle[0], back, half]), front_mm=axes @ np.array([plates.middle[0], front, half]),
        canal_mm=place, normals=(axes @ one, axes @ other), height_mm=float(top[2] - bottom[2]),
        width_mm=float(x[columns[-1]] - x[columns[0]] + edge), depth_mm=float(back - front),
        error_mm=plates.error_mm, isolated=isolated, doubts=doubts,
    )  # fmt: skip


def _box(body: Volume, axes: Array) -> tuple[tuple[int, int, int], Array]:
    """Return shape and first coordinates of the cubes along given axes that hold a body and the ring of its canal."""
    points, edge = body.grid.to_mm(np.argwhere(body.array > 0.5)) @ axes, body.spacing_mm[0]
    size = (len(points) ** (1 / 3)) * edge
    room = size * np.array([number("vertebra_ring_share")] * 2 + [number("vertebra_above_share")])
    low, high = points.min(0) - room, points.max(0) + room
    x, y, z = (int(n) for n in np.ceil((high - low) / edge) + 1)
    return (z, y, x), low


def _turned(shares: Volume, axes: Array, shape: tuple[int, int, int], low: Array) -> Array:
    """Return shares on cubes along given axes."""
    edge = shares.spacing_mm[0]
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes * edge, axes @ low
    return shares.resample(Grid.of(shape, affine)).array


def _canal(shares: Volume, body: Volume, up: Array, centre: Array, content: Volume | None) -> Array | None:
    """Return the middle of the canal at the height of the body, LPS mm; None where there is none."""
    axes = frame(up, BACK)
    edge = shares.spacing_mm[0]
    shape, low = _box(body, axes)
    inside = _turned(body, axes, shape, low) > 0.5
    heights = np.flatnonzero(inside.any((1, 2)))
    reach = edge * len(heights)
    if content is not None and (box := content.box()) is not None:
        points = content.grid.to_mm(np.argwhere(content.part(box)) + np.array([s.start for s in box]))
        away = points - centre
        here = points[(np.abs(away @ up) <= reach / 2) & (np.linalg.norm(away, axis=1) <= 3 * reach)]
        if len(here) >= 3:
            middle = np.median(here, axis=0)
            return np.asarray(middle - ((middle - centre) @ up) * up)
    solid = _turned(shares, axes, shape, low) > 0.5
    holes = np.zeros(shape, bool)
    for z in range(heights[0], heights[-1] + 1):
        holes[z] = ndimage.binary_fill_holes(solid[z]) & ~solid[z]
    at = _hole(holes, np.asarray(inside.any(0)))
    return None if at is None else np.asarray(axes @ np.array([low[0] + edge * at[1], low[1] + edge * at[0], centre @ up]))


def _refuse_the_arch(shares: Volume, centre: Array, canal: Array, up: Array) -> None:
    """Refuse a body that is no body: more of the bone lies on the other side of the canal, within a quarter turn."""
    away = shares.grid.to_mm(np.argwhere(shares.array > 0.5)) - canal
    away -= (away @ up)[:, None] * up
    front = centre - canal - ((centre - canal) @ up) * up
    aligned = away @ front / np.maximum(np.linalg.norm(away, axis=1) * np.linalg.norm(front), 1e-9)
    if (aligned > np.sqrt(0.5)).sum() < (aligned < -np.sqrt(0.5)).sum():
        raise InputError(
            "The thickest part of the outline lies on that side of the canal where less of the bone is, behind its arch.",
            "It is no vertebral body; a body as flat as its arch is thick is not told apart from it.",
            OTHER_PART,
        )


def _hole(holes: Array, footprint: Array) -> Array | None:
    """Return row and column of the middle of the largest hole outside the body's footprint; None where there is none."""
    pieces, count = ndimage.label(holes.any(0))
    best, size = None, 0
    for piece in range(1, count + 1):
        columns = pieces == piece
        inner = int((holes & columns).sum())
        outside = float((columns & footprint).sum()) < 0.5 * columns.sum()
        if outside and columns.sum() >= number("vertebra_canal_share") * footprint.sum() and inner > size:
            best, size = columns, inner
    return None if best is None else np.asarray(np.argwhere(best).mean(0))


def _behind(shares: Volume, body: Volume, centre: Array) -> Array:
    """Return the direction from the body to the rest of the bone, its arch."""
    rest = (shares.array > 0.5) & ~(body.array > 0.5)
    return np.asarray(shares.grid.to_mm(np.argwhere(rest)).mean(0) - centre)


def _short_side(body: Volume, axes: Array) -> Array:
    """Return the shorter axis of the footprint of an isolated body, nearest to posterior."""
    points = body.grid.to_mm(np.argwhere(body.array > 0.5)) @ axes[:, :2]
    _, directions = np.linalg.eigh(np.cov(points.T))
    short = axes[:, :2] @ directions[:, 0]
    return cast(Array, short if short @ BACK >= 0 else -short)


def _wall(local: Array, canal: Array, at: tuple[Array, Array, Array], centre: Array, edge: float) -> float:
    """Return where the back of the body lies along y: what a look from the canal forwards meets first, at the rim of its plates.

    The wall is hollow between its plates; the caps reach back to their rim.
    """
    x, y, _ = at
    column, row = int(np.argmin(np.abs(x - canal[0]))), int(np.argmin(np.abs(y - canal[1])))
    arm = abs(canal[1] - centre[1])
    wide = max(1, round(0.15 * arm / edge))
    look = local[:, : row + 1, max(column - wide, 0) : column + wide + 1][:, ::-1] > 0.5
    far = np.argmax(look, axis=1)
    met = look.any(1) & (far * edge < 0.75 * arm)
    if not met.any():
        return float((canal[1] + centre[1]) / 2)
    nearest = float(np.percentile(far[met], number("vertebra_wall_percentile")))
    return float(y[row] - edge * nearest + edge / 2)
