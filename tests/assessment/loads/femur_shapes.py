"""A femur as exact solids, left or right, whole or cut, turned in space; and straight tubes. Millimetres, LPS."""

import numpy as np

from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Grid, Volume

HEAD, RADIUS = np.array([0.0, 0.0, 0.0]), 23.0
NECK_SHAFT, ANTEVERSION = 128.0, 12.0
SHAFT_MM, CORTEX_MM = 14.0, 6.0  # outer radius of the shaft, thickness of its wall
KNEE_MM = 400.0  # from the head's level to the middle of the condyles


def capsule(p, a, b, ra, rb=None):
    """Signed distance to a capsule whose radius goes from ra at a to rb at b."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    rb = ra if rb is None else rb
    t = np.clip(((p - a) @ (b - a)) / ((b - a) @ (b - a)), 0.0, 1.0)
    return np.linalg.norm(p - a - t[..., None] * (b - a), axis=-1) - (ra + t * (rb - ra))


class Right:
    """A right femur: x to the left of the body, so medial; y behind; z up. Its head's centre is the origin."""

    def __init__(self, length_mm=190.0, head_mm=RADIUS, neck_shaft=NECK_SHAFT, trochanter=True):
        self.length, self.head, self.whole = length_mm, head_mm, length_mm > KNEE_MM
        scale = head_mm / RADIUS
        across, ante = np.radians(180.0 - neck_shaft), np.radians(ANTEVERSION)
        out = np.array([-np.cos(ante) * np.sin(across), np.sin(ante) * np.sin(across), -np.cos(across)])
        self.neck = out  # from the head outwards and down
        foot = 50.0 * scale * out
        self.line = foot[:2]  # the shaft is vertical
        self.foot, self.scale, self.trochanter = foot, scale, trochanter
        self.axis = np.array([0.0, 0.0, 1.0])
        self.medial = np.array([np.cos(ante), -np.sin(ante), 0.0])

    def distance(self, p):
        """Signed distance [mm] to the bone at points (..., 3)."""
        s, (x, y), foot = self.scale, self.line, self.foot
        parts = [
            np.linalg.norm(p, axis=-1) - self.head,
            capsule(p, (0, 0, 0), foot, 15.5 * s, 17.0 * s),
            capsule(
                p, foot + s * np.array([-4, 0, 12]), foot - s * np.array([0, 0, 20]), 19.0 * s, 16.0 * s
            ),  # greater trochanter
            capsule(p, (x, y, foot[2]), (x, y, -1000.0), SHAFT_MM),
        ]
        if self.trochanter:
            parts.append(
                capsule(p, (x + 10 * s, y + 12 * s, foot[2] - 18 * s), (x + 8 * s, y + 8 * s, foot[2] - 26 * s), 8.0 * s)
            )
        out = np.minimum.reduce(parts)
        if self.whole:
            for side in (-1.0, 1.0):
                out = np.minimum(out, capsule(p, (x + side * 22, y - 8, -KNEE_MM), (x + side * 22, y + 18, -KNEE_MM), 20.0))
            out = np.minimum(out, capsule(p, (x, y, -KNEE_MM + 70), (x, y, -KNEE_MM), SHAFT_MM, 24.0))
            out = np.maximum(out, -p[..., 2] - (KNEE_MM + 20.0))
        else:
            out = np.maximum(out, -p[..., 2] - self.length)
        return out


def femur(
    side="right", turn=None, spacing=(1.5, 1.5, 1.5), flips=(False, False, False), by=(0.0, 0.0, 0.0), shape=None, cut=False
):
    """Return an anatomy with one femur, the turn that was used, and its shape.

    ``turn`` turns the bone; ``spacing`` and ``flips`` are the image's x, y, z; ``cut``: the image ends where the bone is cut.
    """
    shape, turn, by = shape or Right(), np.eye(3) if turn is None else turn, np.asarray(by, float)
    mirror = np.array([-1.0, 1.0, 1.0]) if side == "left" else np.ones(3)
    low, high = np.array([-95.0, -45.0, -min(shape.length, KNEE_MM + 20.0) - 6.0]), np.array([40.0, 50.0, 32.0])
    corners = np.array(np.meshgrid(*zip(low, high, strict=True), indexing="ij")).reshape(3, -1).T * mirror @ turn.T + by
    start, stop = corners.min(0), corners.max(0)
    if cut and turn[2, 2] == 1.0:
        start[2] = by[2] - shape.length + 0.5 * spacing[2]
    steps = np.asarray(spacing)
    count = np.ceil((stop - start) / steps).astype(int) + 1
    affine = np.eye(4)
    affine[:3, :3] = np.diag(steps * np.where(flips, -1.0, 1.0))
    affine[:3, 3] = np.where(flips, start + steps * (count - 1), start)
    grid = Grid.of((int(count[2]), int(count[1]), int(count[0])), affine)
    inside = np.zeros(grid.shape, bool)
    rows = np.moveaxis(np.indices(grid.shape[1:]), 0, -1)
    for k in range(grid.shape[0]):
        index = np.concatenate([np.full((*rows.shape[:2], 1), k), rows], -1)
        inside[k] = shape.distance(((grid.to_mm(index) - by) @ turn) * mirror) <= 0.0
    bone = structure(f"femur_{side}")
    mask = Volume(inside, grid)
    return Anatomy(imaged=mask.with_array(np.ones(grid.shape, bool)), masks={bone: mask}), bone


def turned(shape, vector, turn=None, side="right"):
    """Return a direction of the shape where ``femur`` put it."""
    mirror = np.array([-1.0, 1.0, 1.0]) if side == "left" else np.ones(3)
    return (np.eye(3) if turn is None else turn) @ (np.asarray(vector, float) * mirror)


def tube(
    outer=14.0,
    inner=8.0,
    length=160.0,
    axis=(0.0, 0.0, 1.0),
    spacing=1.0,
    name="femur_right",
    off=(0.37, -0.21, 0.13),
    lesion=None,
):
    """Return an anatomy with a straight tube round an axis; the image ends where the tube ends where the axis is the grid's."""
    d = np.asarray(axis, float) / np.linalg.norm(axis)
    half = np.abs(d) * length / 2.0 + outer + 4.0
    if d[2] == 1.0:
        half[2] = length / 2.0 - spacing / 2.0
    count = np.round(2.0 * half / spacing).astype(int) + 1
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = -half
    grid = Grid.of((int(count[2]), int(count[1]), int(count[0])), affine)
    p = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1)) - np.asarray(off)
    s = p @ d
    r = np.linalg.norm(p - s[..., None] * d, axis=-1)
    inside = (r <= outer) & (r >= inner) & (np.abs(s) <= length / 2.0)
    masks = {structure(name): Volume(inside, grid)}
    if lesion is not None:
        centre, radius = lesion
        masks[structure("lesion")] = Volume(inside & (np.linalg.norm(p + off - np.asarray(centre), axis=-1) <= radius), grid)
    return Anatomy(imaged=Volume(np.ones(grid.shape, bool), grid), masks=masks)
