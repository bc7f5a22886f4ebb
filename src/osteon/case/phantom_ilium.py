"""The right iliac wing above the acetabulum: bone, joint, gluteal muscles, sciatic nerve, vessels, bowel; lateral entry."""

from __future__ import annotations

from typing import cast

import numpy as np

from osteon.case.phantom_canvas import (
    Canvas,
    Distance,
    Point,
    blend,
    both,
    capsule,
    ellipsoid,
    grown,
    outside,
    rounded,
    tube,
    union,
)
from osteon.space.volume import Array

BONE = "hip_right"
HEAD: Point = (-90.0, 0.0, -250.0)
"""Centre of the femoral head, LPS mm."""
HEAD_MM, CUP_MM = 23.0, 26.0
NORMAL = np.array([-0.82, 0.572], np.float32)
"""Outward (gluteal) direction of the wing in the axial plane."""
TANGENT = np.array([0.572, 0.82], np.float32)
FIELD: tuple[Point, Point] = ((-183.0, -92.0, HEAD[2] - 48), (-3.0, 110.0, HEAD[2] + 108))
APPROACH: Point = (-0.82, 0.572, 0.0)
LESION_ABOVE_JOINT_MM = 12.0


def _wing_frame(x: Array, y: Array, z: Array) -> tuple[Array, Array, Array]:
    """Return height above the head, signed offset from the wing's middle plane, and position along it, all in mm."""
    height = z - np.float32(HEAD[2])
    flare = 0.16 * np.clip(height, 0, None)
    px, py = x - np.float32(HEAD[0]) - 2, y - np.float32(HEAD[1]) - 2
    across = px * NORMAL[0] + py * NORMAL[1] - flare
    along = px * TANGENT[0] + py * TANGENT[1]
    across = across + 0.0022 * (along - 5) ** 2 * np.clip(height / 60, 0, 1)
    return height, across, along


def _half_thickness(height: Array) -> Array:
    """Half the thickness of the wing [mm]: stout above the roof, thin in the fossa, thick again at the crest."""
    return np.interp(height, [20, 36, 54, 66, 82, 98], [16.5, 15.0, 13.5, 9.0, 5.0, 7.5]).astype(np.float32)


def _wing(x: Array, y: Array, z: Array) -> Array:
    height, across, along = _wing_frame(x, y, z)
    flat = height.reshape(-1)
    half = _half_thickness(flat).reshape(height.shape)
    front = np.interp(flat, [20, 45, 98], [-22, -40, -52]).reshape(height.shape).astype(np.float32)
    back = np.interp(flat, [20, 45, 98], [30, 62, 70]).reshape(height.shape).astype(np.float32)
    crest = 97 - 0.006 * along**2
    edges = rounded(9.0, np.abs(across) - half, front - along, along - back, height - crest)
    return cast(Array, np.maximum(edges, 20 - height))


def _acetabulum() -> Distance:
    """A thick cup that opens outwards, forwards and down."""
    opening = np.array([-0.72, -0.30, -0.62], np.float32)

    def mouth(x: Array, y: Array, z: Array) -> Array:
        reach = (x - HEAD[0]) * opening[0] + (y - HEAD[1]) * opening[1] + (z - HEAD[2]) * opening[2]
        return cast(Array, reach - np.float32(6))

    return both(ellipsoid(HEAD, (34, 34, 35)), mouth)


def _hip() -> Distance:
    hx, hy, hz = HEAD
    column = tube([(hx + 6, hy + 27, hz - 6), (hx + 8, hy + 30, hz - 32), (hx + 12, hy + 28, hz - 62)], 13.0)
    pubis = tube([(hx + 18, hy - 22, hz - 6), (hx + 50, hy - 48, hz - 16), (hx + 88, hy - 60, hz - 34)], 8.0)
    return both(blend(5.0, _wing, _acetabulum(), column, pubis), outside(ellipsoid(HEAD, (CUP_MM, CUP_MM, CUP_MM))))


def draw(canvas: Canvas) -> Distance:
    """Draw everything but the lesion; return the signed distance to the hip bone."""
    hx, hy, hz = HEAD
    _soft_tissue(canvas)
    _inside_pelvis(canvas)
    _nerves_and_vessels(canvas)
    sacrum = ellipsoid((2, 72, hz + 62), (50, 24, 50))
    canvas.bone(
        "sacrum",
        sacrum,
        ((-52.0, 44.0, hz + 8), (0.0, 100.0, hz + 112)),
        cortex_mm=1.2,
        cortex_hu=1000,
        inside_hu=130,
        texture_hu=55,
    )
    canvas.rod("sacral_nerve_roots_right", [(-10, 66, hz + 88), (-26, 48, hz + 72), (-36, 40, hz + 58)], 2.2, 30)
    joint = ellipsoid((-51, 72, hz + 62), (5, 17, 28))
    canvas.paint("sacroiliac_joint_right", joint, 60, ((-60, 50, hz + 30), (-40, 95, hz + 95)))
    box = ((hx - 44.0, -80.0, hz - 50), (0.0, 80.0, hz + 100))
    hip = _hip()
    canvas.bone(BONE, hip, box, cortex_mm=1.8, cortex_hu=1300, inside_hu=190, texture_hu=70)
    near: tuple[Point, Point] = ((hx - 30, hy - 30, hz - 30), (hx + 30, hy + 30, hz + 30))
    joint_space = both(ellipsoid(HEAD, (CUP_MM, CUP_MM, CUP_MM)), grown(_acetabulum(), 1.0))
    canvas.paint("hip_joint_right", joint_space, 70, near)
    femur = blend(
        6.0,
        ellipsoid(HEAD, (HEAD_MM, HEAD_MM, HEAD_MM)),
        capsule(HEAD, (hx - 38, hy + 6, hz - 32), 13.0),
        ellipsoid((hx - 48, hy + 9, hz - 32), (17, 19, 24)),
        capsule((hx - 44, hy + 7, hz - 40), (hx - 42, hy + 8, hz - 80), 16.0),
    )
    femur = union(both(femur, outside(grown(hip, 1.5))), ellipsoid(HEAD, (HEAD_MM, HEAD_MM, HEAD_MM)))
    leg: tuple[Point, Point] = ((hx - 70, hy - 30, hz - 50), (hx + 26, hy + 34, hz + 26))
    canvas.bone("femur_right", femur, leg, cortex_mm=1.6, cortex_hu=1250, inside_hu=250, texture_hu=60)
    return hip


def _soft_tissue(canvas: Canvas) -> None:
    body = ellipsoid((0, 12, 0), (178, 113, np.inf))
    skin = max(2.0, 1.5 * canvas.spacing)
    canvas.paint("skin", body, 40)
    canvas.paint("fat", grown(body, -skin), -102)
    deep = grown(body, -(skin + 18))
    hx, _, hz = HEAD

    def layer(low: float, high: float, start: float, stop: float, floor: float) -> Distance:
        def distance(x: Array, y: Array, z: Array) -> Array:
            height, across, along = _wing_frame(x, y, z)
            return rounded(14.0, low - across, across - high, start - along, along - stop, floor - height, height - 94)

        return both(distance, deep)

    box: tuple[Point, Point] = ((-180.0, -85.0, hz - 48), (-10.0, 108.0, hz + 100))
    for name, shape, hu in (
        ("muscle", both(ellipsoid((hx - 2, 2, hz - 20), (68, 62, 58)), deep), 54.0),
        ("gluteus_minimus_right", layer(2, 21, -36, 45, 5), 52.0),
        ("gluteus_medius_right", layer(22.5, 50, -42, 58, -10), 56.0),
        ("iliopsoas_right", layer(-27, -2, -48, 40, 25), 56.0),
        ("gluteus_maximus_right", both(ellipsoid((-82, 78, hz), (62, 26, 120)), deep), 50.0),
    ):
        canvas.paint(name, shape, hu, box)
    canvas.rod("iliopsoas_right", [(hx + 20, -32, hz + 60), (hx + 8, -42, hz), (hx, -38, hz - 52)], 13.0, 56)


def _inside_pelvis(canvas: Canvas) -> None:
    hz = HEAD[2]
    canvas.paint("colon", ellipsoid((-62, -48, hz + 84), (21, 20, 34)), 25, ((-86, -70, hz + 45), (-38, -20, hz + 110)))
    canvas.paint("colon", ellipsoid((-62, -54, hz + 86), (14, 9, 26)), -870, ((-80, -70, hz + 50), (-44, -40, hz + 110)))
    loops: list[Point] = [(-8, -30, hz + 105), (-26, -60, hz + 78), (-10, -40, hz + 58), (-24, -64, hz + 40)]
    canvas.rod("small_bowel", loops, 11.0, 32)
    canvas.rod("small_bowel", loops[1:3], 4.0, -800)
    canvas.paint("urinary_bladder", ellipsoid((4, -30, hz - 2), (40, 30, 28)), 8, ((-40, -64, hz - 34), (0, 4, hz + 30)))
    canvas.rod("rectum", [(0, 62, hz + 10), (-2, 50, hz - 52)], 15.0, 30)
    canvas.rod("ureter_right", [(-30, 2, hz + 112), (-40, 24, hz + 40), (-26, 8, hz + 4)], 2.0, 15)


def _nerves_and_vessels(canvas: Canvas) -> None:
    hx, _, hz = HEAD
    sciatic: list[Point] = [(-36, 40, hz + 58), (-46, 60, hz + 34), (hx + 16, 57, hz + 4), (hx + 8, 55, hz - 54)]
    canvas.rod("lumbosacral_plexus_right", [(-20, 34, hz + 112), (-36, 40, hz + 58)], 4.0, 30)
    canvas.rod("fat", sciatic, 7.5, -95, over=("muscle", "gluteus_maximus_right", "gluteus_medius_right", "fat"))
    canvas.rod("sciatic_nerve_right", sciatic, 5.0, 30)
    canvas.rod("obturator_nerve_right", [(-34, 14, hz + 100), (-44, 4, hz + 30), (-40, -30, hz - 8)], 1.6, 30)
    canvas.rod("femoral_nerve_right", [(-54, -14, hz + 108), (-74, -50, hz + 20), (-80, -58, hz - 52)], 2.4, 30)
    canvas.rod("iliac_artery_right", [(-34, -2, hz + 112), (-48, -30, hz + 52), (-64, -58, hz + 6)], 4.5, 45)
    canvas.rod("iliac_vein_right", [(-28, 8, hz + 112), (-40, -20, hz + 52), (-54, -58, hz + 6)], 5.5, 42)
    canvas.rod("femoral_vessels_right", [(-64, -60, hz + 4), (-70, -64, hz - 52)], 4.5, 45)
    canvas.rod("femoral_vessels_right", [(-54, -60, hz + 4), (-60, -64, hz - 52)], 5.5, 42)


def lesion_centre(lesion_mm: float, breach: bool) -> Point:
    """Return where a round lesion lies: above the roof, through the gluteal cortex by 2 mm where it breaches."""
    height = CUP_MM + LESION_ABOVE_JOINT_MM + lesion_mm / 2
    half = float(_half_thickness(np.array([height]))[0])
    across = 0.16 * height + (max(half + 2.0 - lesion_mm / 2, 0.0) if breach else 0.0)
    x, y = HEAD[0] + 2 + across * float(NORMAL[0]), HEAD[1] + 2 + across * float(NORMAL[1])
    return (x, y, HEAD[2] + height)
