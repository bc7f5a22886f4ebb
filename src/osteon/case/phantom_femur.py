"""The right femoral shaft: cortical tube with yellow marrow in a thigh, entry from the lateral side."""

from __future__ import annotations

from typing import cast

import numpy as np

from osteon.case.phantom_canvas import Canvas, Distance, Point, both, capsule, ellipsoid, grown, outside
from osteon.space.volume import Array

AXIS: Point = (-95.0, 5.0, -450.0)
"""Centre of the shaft in the middle of the field, LPS mm."""
OUTER_MM, CORTEX_MM = 14.0, 6.0
FIELD: tuple[Point, Point] = ((-175.0, -80.0, -530.0), (1.0, 100.0, -370.0))
APPROACH: Point = (-1.0, 0.0, 0.0)
BONE = "femur_right"


def _shaft(x: Array, y: Array, z: Array) -> Array:
    """Signed distance to the shaft, bowed forwards by 3 mm over 160 mm."""
    bow = 3.0 * ((z - AXIS[2]) / 80.0) ** 2 - 1.0
    return ellipsoid((AXIS[0], AXIS[1], 0.0), (OUTER_MM, OUTER_MM * 1.04, np.inf))(x, y - bow.astype(np.float32), z)


def draw(canvas: Canvas) -> Distance:
    """Draw everything but the lesion; return the signed distance to the bone."""
    cx, cy, cz = AXIS
    low, high = FIELD[0][2] - 5, FIELD[1][2] + 5
    body = ellipsoid((cx + 8, cy + 4, 0), (83, 81, np.inf))
    skin = max(2.0, 1.5 * canvas.spacing)
    canvas.paint("skin", body, 40)
    canvas.paint("fat", grown(body, -skin), -100)
    thigh = grown(body, -(skin + 9.0))
    fascia = _septa(cx, cy)
    canvas.paint("muscle", both(thigh, outside(fascia)), 55)
    # neurovascular bundles lie in fat
    for centre, radii in (((cx + 12, cy + 42), (11.0, 8.0)), ((cx + 36, cy - 12), (14.0, 11.0))):
        box = ((centre[0] - 18, centre[1] - 18, low), (centre[0] + 18, centre[1] + 18, high))
        canvas.paint("fat", ellipsoid((*centre, 0), (*radii, np.inf)), -95, box)
    nerve: list[Point] = [(cx + 10, cy + 41, low), (cx + 12, cy + 42, cz), (cx + 14, cy + 42, high)]
    canvas.rod("sciatic_nerve_right", nerve, 4.5, 30)
    canvas.rod("femoral_nerve_right", [(cx + 30, cy - 18, low), (cx + 30, cy - 19, high)], 1.6, 30)
    canvas.rod("femoral_vessels_right", [(cx + 33, cy - 13, low), (cx + 34, cy - 15, high)], 4.0, 45)
    canvas.rod("femoral_vessels_right", [(cx + 42, cy - 9, low), (cx + 43, cy - 10, high)], 4.8, 42)
    box = ((cx - 22, cy - 24, FIELD[0][2]), (cx + 22, cy + 24, FIELD[1][2]))
    canvas.bone(BONE, _shaft, box, cortex_mm=CORTEX_MM, cortex_hu=1550, inside_hu=-60, texture_hu=12)
    # linea aspera: a ridge on the back of the cortex
    ridge = capsule((cx + 1, cy + 15.0, low), (cx + 1, cy + 15.0, high), 2.5)
    canvas.paint(BONE, both(ridge, outside(grown(_shaft, -1.0))), 1450, box)
    return _shaft


def _septa(cx: float, cy: float) -> Distance:
    """Fat planes between quadriceps, adductors and hamstrings, running out from the femur."""

    def distance(x: Array, y: Array, _z: Array) -> Array:
        px, py = x - cx, y - cy
        angle = np.arctan2(py, px)
        radius = np.sqrt(px * px + py * py)
        gaps = [np.abs(np.angle(np.exp(1j * (angle - a)))) * radius for a in (-0.4, 0.9, 2.4)]
        nearest = np.minimum.reduce(gaps).astype(np.float32) - np.float32(0.9)
        return cast(Array, np.maximum(nearest, 18.0 - radius))

    return distance


def lesion_centre(lesion_mm: float, breach: bool) -> Point:
    """Return where a round lesion lies: in the canal, through the lateral cortex by 2 mm where it breaches."""
    if not breach:
        return (AXIS[0], AXIS[1] - 1.0, AXIS[2])
    reach = OUTER_MM + 2.0 - lesion_mm / 2
    return (AXIS[0] - reach, AXIS[1] - 1.0, AXIS[2])
