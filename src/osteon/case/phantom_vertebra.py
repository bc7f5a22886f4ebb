"""The third lumbar vertebra beside the canal: body, posterior elements, cauda, roots, great vessels, bowel; entry from behind."""

from __future__ import annotations

from typing import cast

import numpy as np

from osteon.case.phantom_canvas import Canvas, Distance, Point, blend, both, capsule, ellipsoid, grown, outside
from osteon.space.volume import Array

BONE = "vertebra_L3"
PITCH_MM, HALF_HEIGHT_MM = 41.0, 15.0
HALF_WIDTH_MM, HALF_DEPTH_MM = 23.0, 17.0
CENTRE_Z = -120.0
FIELD: tuple[Point, Point] = ((-90.0, -95.0, CENTRE_Z - 60), (90.0, 105.0, CENTRE_Z + 60))
APPROACH: Point = (-0.6, 0.8, 0.0)


def draw(canvas: Canvas) -> Distance:
    """Draw everything but the lesion; return the signed distance to L3."""
    _soft_tissue(canvas)
    _front(canvas)
    shape: Distance | None = None
    for name, z in (("vertebra_L2", CENTRE_Z + PITCH_MM), ("vertebra_L4", CENTRE_Z - PITCH_MM), (BONE, CENTRE_Z)):
        shape = _vertebra(z)
        box = ((-52.0, -24.0, z - 30), (52.0, 78.0, z + 30))
        canvas.bone(name, shape, box, cortex_mm=1.0, cortex_hu=1150, inside_hu=165, texture_hu=60)
    for z in (CENTRE_Z - PITCH_MM / 2, CENTRE_Z + PITCH_MM / 2):
        disc = ellipsoid((0, 0, z), (HALF_WIDTH_MM, HALF_DEPTH_MM, np.inf))
        slab = _slab(z, PITCH_MM / 2 - HALF_HEIGHT_MM)
        canvas.paint("disc", both(disc, slab), 85, ((-26, -20, z - 8), (26, 20, z + 8)))
    _canal(canvas)
    assert shape is not None
    return shape


def _slab(z0: float, half: float) -> Distance:
    return lambda _x, _y, z: cast(Array, np.abs(z - np.float32(z0)) - np.float32(half))


def _vertebra(z: float) -> Distance:
    """Signed distance to one lumbar vertebra whose body is centred at height ``z``."""

    def body(x: Array, y: Array, height: Array) -> Array:
        waist = 1.0 - 0.07 * np.clip(1 - ((height - z) / HALF_HEIGHT_MM) ** 2, 0, 1)
        round_ = ellipsoid((0, 0, 0), (HALF_WIDTH_MM, HALF_DEPTH_MM, np.inf))(x / waist, y / waist, height)
        return np.maximum(round_, np.abs(height - np.float32(z)) - np.float32(HALF_HEIGHT_MM))

    parts: list[Distance] = [body]
    for side in (-1.0, 1.0):
        parts += [
            capsule((side * 14, 12, z + 6), (side * 16, 31, z + 5), 5.2),  # pedicle
            capsule((side * 16, 33, z + 4), (side * 43, 37, z + 4), 3.6),  # transverse process
            capsule((side * 18, 33, z + 4), (side * 19, 34, z + 19), 4.6),  # superior articular process
            capsule((side * 14, 40, z - 2), (side * 15, 43, z - 18), 4.4),  # inferior articular process
            capsule((side * 16, 35, z + 2), (side * 1, 46, z - 3), 4.2),  # lamina
        ]
    parts.append(capsule((0, 46, z - 4), (0, 68, z - 9), 4.2))  # spinous process
    return both(blend(3.0, *parts), outside(ellipsoid((0, 27, 0), (11.5, 9.0, np.inf))))


def _canal(canvas: Canvas) -> None:
    low, high = FIELD[0][2] - 5, FIELD[1][2] + 5
    canvas.paint(
        "fat", ellipsoid((0, 27, 0), (11.5, 9.0, np.inf)), -80, ((-15, 15, low), (15, 40, high)), over=("fat", "muscle", "disc")
    )
    canvas.paint("spinal_cord", ellipsoid((0, 26.5, 0), (8.5, 7.3, np.inf)), 28, ((-12, 16, low), (12, 38, high)))
    soft = ("fat", "muscle", "iliopsoas_left", "iliopsoas_right", "disc", "autochthon_left", "autochthon_right")
    for z in (CENTRE_Z + PITCH_MM, CENTRE_Z, CENTRE_Z - PITCH_MM):
        for side, name in ((-1.0, "lumbar_nerve_roots_right"), (1.0, "lumbar_nerve_roots_left")):
            path: list[Point] = [(side * 7, 25, z), (side * 16, 24.5, z - 9), (side * 26, 17, z - 22), (side * 34, 8, z - 45)]
            canvas.rod(name, path, 1.9, 32, over=soft)
            ganglion = ellipsoid((side * 16, 24.5, z - 9), (3.2, 3.0, 5.0))
            box = ((side * 16 - 6, 18, z - 16), (side * 16 + 6, 31, z - 2))
            canvas.paint(name, ganglion, 35, box, over=(*soft, name))


def _soft_tissue(canvas: Canvas) -> None:
    def back(x: Array, y: Array, z: Array) -> Array:
        return cast(Array, y - (98 - x * x / np.float32(650)) + 0 * z)

    skin = max(2.0, 1.5 * canvas.spacing)
    canvas.paint("skin", back, 40)
    canvas.paint("fat", grown(back, -skin), -100)
    low, high = FIELD[0][2] - 1, FIELD[1][2] + 1
    for side, name in ((-1.0, "right"), (1.0, "left")):
        erector = ellipsoid((side * 33, 57, 0), (31, 24, np.inf))
        canvas.paint(f"autochthon_{name}", erector, 52, ((-70, 25, low), (70, 85, high)))
        psoas = ellipsoid((side * 43, 6, 0), (20, 23, np.inf))
        canvas.paint(f"iliopsoas_{name}", psoas, 56, ((-70, -25, low), (70, 32, high)))
        quadratus = ellipsoid((side * 70, 34, 0), (15, 9, np.inf))
        canvas.paint("muscle", quadratus, 54, ((-90, 20, low), (90, 48, high)))
    canvas.paint("muscle", ellipsoid((0, 42, 0), (20, 26, np.inf)), 50, ((-24, 12, low), (24, 72, high)), over=("fat",))


def _front(canvas: Canvas) -> None:
    low, high = FIELD[0][2] - 5, FIELD[1][2] + 5
    canvas.rod("aorta", [(12, -31, low), (11, -31, high)], 8.5, 44)
    canvas.rod("inferior_vena_cava", [(-15, -29, low), (-16, -29, high)], 10.0, 42)
    canvas.rod("ureter_right", [(-40, -24, low), (-41, -22, high)], 2.0, 20)
    canvas.rod("ureter_left", [(40, -24, low), (41, -22, high)], 2.0, 20)
    canvas.rod("duodenum", [(-48, -54, CENTRE_Z + 12), (0, -55, CENTRE_Z + 4), (48, -56, CENTRE_Z + 14)], 10.0, 35)
    for index, x in enumerate((-52.0, -20.0, 14.0, 48.0)):
        shift = 12.0 * (-1) ** index
        z = CENTRE_Z
        canvas.rod("small_bowel", [(x, -84, z - 60), (x + shift, -80, z), (x, -86, z + 60)], 12.0, 30)
        canvas.rod("small_bowel", [(x, -86, z - 58), (x + shift, -82, z), (x, -88, z + 58)], 5.0, -850)
    for x in (-76.0, 76.0):
        canvas.rod("colon", [(x, -28, low), (x, -24, high)], 15.0, 20)
        canvas.rod("colon", [(x, -33, low), (x, -29, high)], 8.0, -870)


def lesion_centre(lesion_mm: float, breach: bool) -> Point:
    """Return where a round lesion lies: right half of the body, through its right wall by 2 mm where it breaches."""
    reach = (HALF_WIDTH_MM * 0.93 + 2.0 if breach else HALF_WIDTH_MM * 0.93 - 1.0) - lesion_mm / 2
    return (-max(reach, 0.0), 1.0, CENTRE_Z)
