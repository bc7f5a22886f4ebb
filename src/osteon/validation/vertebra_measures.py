"""Measures of a vertebra against phantoms that were squeezed, wedged, turned, shifted and filled by a known amount, at 1 mm.

Tolerances were set before the first run: collapse 5 points, involved share 3 points, angle 3 degrees, shift and posterior wall
1 mm; sides exactly.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

from osteon.assessment.measure_vertebra import body_share, collapse, lesion_on, posterolateral_involvement, spine
from osteon.assessment.measure_vertebra_frame import Body
from osteon.assessment.measure_vertebra_line import bend, retropulsion, shift, wedge
from osteon.facts import Known
from osteon.space.volume import Array
from osteon.validation import vertebra_phantom as phantom
from osteon.validation.base import Report, Row
from osteon.validation.vertebra_phantom import BODY_ML, HALF_DEPTH_MM, HALF_HEIGHT_MM, HALF_WIDTH_MM, L2, L3, Made

COLLAPSE, SHARE, ANGLE_DEG, SHIFT_MM = 0.05, 0.03, 3.0, 1.0
TURN_DEG = np.array([18.0, -7.0, 10.0])
DRAWN = "drawn into the phantom"
BALL_MM = 10.0
UPPER_MM = phantom.MIDDLE_MM + np.array([0.0, 0.0, phantom.PITCH_MM])


def bodies(shape: Made) -> tuple[Body, Body, Body]:
    """Return the bodies of L2, L3 and L4 of a phantom in which all of them are found."""
    found = spine(shape.scene())
    assert isinstance(found.above, Body) and isinstance(found.own, Body) and isinstance(found.below, Body)  # noqa: PT018
    return found.above, found.own, found.below


def turned(shape: Made) -> Made:
    """Return a phantom turned as a whole, obliquely to the grid."""
    return phantom.moved(shape, phantom.KEPT, TURN_DEG, np.zeros(3), phantom.MIDDLE_MM)


def collapse_rows() -> list[Row]:
    """Return the rows of lost height."""
    whole = phantom.made()
    shapes = {
        "healthy": (whole, 0.0),
        "all of it squeezed by 30 %": (phantom.squeezed(whole, phantom.uniform(0.7)), 0.3),
        "front edge squeezed by 40 %": (phantom.squeezed(whole, phantom.anterior_wedge(0.6)), 0.4),
        "front edge squeezed by 60 %": (phantom.squeezed(whole, phantom.anterior_wedge(0.4)), 0.6),
        "right edge squeezed by 35 %": (phantom.squeezed(whole, phantom.right_wedge(0.65)), 0.35),
        "dent of 40 % in the middle": (phantom.squeezed(whole, phantom.dented(0.6)), 0.4),
    }
    oblique = phantom.squeezed(whole, phantom.anterior_wedge(0.6))
    shapes["front edge squeezed by 40 %, turned obliquely to the grid"] = turned(oblique), 0.4
    rows = []
    for name, (shape, truth) in shapes.items():
        above, own, below = bodies(shape)
        found = collapse(own, (below, above))
        rows.append(
            Row(f"collapse: {name}", found.best, "1", "least height over the neighbours' at that place", truth, DRAWN, COLLAPSE,
                found.low, found.high)
        )  # fmt: skip
    return rows


def share_rows() -> list[Row]:
    """Return the rows of the involved share of the body, and of the sides that are involved behind it."""
    whole = phantom.made()
    x, y, z = whole.places
    inside = phantom.with_lesion(whole, (phantom.at(0, -2, 0), BALL_MM))
    half = whole.with_mask(phantom.LESION, np.asarray((y < 0) & (np.abs(z - phantom.MIDDLE_MM[2]) < 25) & (np.abs(x) < 40)))
    truth = 4 / 3 * math.pi * BALL_MM**3 / 1000 / BODY_ML
    front = 0.5 - HALF_WIDTH_MM / (math.pi * HALF_WIDTH_MM * HALF_DEPTH_MM)  # its last voxels end at y = -0.5 mm
    rows = []
    for name, shape, expected in (
        ("ball of 20 mm", inside, truth),
        ("front half", half, front),
        ("ball, turned", turned(inside), truth),
    ):
        scene = shape.scene()
        _, own, _ = bodies(shape)
        low, middle, high = body_share(own, lesion_on(scene, own))
        source = (
            "volume of the ball over that of the elliptic body" if "ball" in name else "half of an ellipse, less half a voxel"
        )
        rows.append(
            Row(f"share of the body: {name}", middle, "1", "lesion's surface +- one voxel", expected, source, SHARE, low, high)
        )
    right = phantom.at(-15, 24, 6)
    cases: dict[str, tuple[tuple[tuple[tuple[float, float, float], float], ...], int]] = {
        "middle of the body": (((phantom.at(0, -2, 0), 9.0),), 0),
        "posterior wall": (((phantom.at(0, 13, 0), 6.0),), 0),
        "right pedicle": (((right, 6.0),), 1),
        "both pedicles": (((right, 6.0), (phantom.at(15, 24, 6), 6.0)), 2),
        "left facet": (((phantom.at(18, 34, 12), 6.0),), 1),
    }
    for name, (balls, sides) in cases.items():
        state = posterolateral_involvement(phantom.with_lesion(whole, *balls).scene()).state
        words = ("none", "unilateral", "bilateral")
        found = float(words.index(str(state.value))) if isinstance(state, Known) else math.nan
        rows.append(Row(f"posterolateral sides: {name}", found, "1", "shares are osteon's own choice", float(sides), DRAWN, 0.0))
    return rows


def line_rows() -> list[Row]:
    """Return the rows of shifts, angles and the posterior wall."""
    whole = phantom.made()
    zero = np.zeros(3)
    by = np.array([4.0, -5.0, 0.0])
    rows = []
    for name, shape in (("", whole), (", turned", turned(whole))):
        above, own, _ = bodies(shape)
        rows += _shift_rows(f"healthy{name}", above, own, zero)
    shape = phantom.moved(whole, (L2,), zero, by, UPPER_MM)
    for name, each in (("", shape), (", turned", turned(shape))):
        above, own, _ = bodies(each)
        rows += _shift_rows(f"L2 shifted{name}", above, own, by)
    leaning = phantom.moved(whole, (L2,), np.array([8.0, 0.0, 0.0]), zero, UPPER_MM)
    aside = phantom.moved(whole, (L2,), np.array([0.0, 6.0, 0.0]), zero, UPPER_MM)
    for name, each, sagittal, coronal in (("L2 leaning forwards", leaning, 8.0, 0.0), ("L2 leaning aside", aside, 0.0, 6.0)):
        above, own, _ = bodies(each)
        angle = bend(own, above.plates[0], own.plates[1])
        rows.append(_angle_row(f"kyphosis of L2 on L3: {name}", angle.kyphosis_deg, sagittal))
        rows.append(_angle_row(f"scoliosis of L2 on L3: {name}", abs(angle.scoliosis_deg), coronal))
    _, own, _ = bodies(phantom.squeezed(whole, phantom.anterior_wedge(0.6)))
    drop = 0.4 * HALF_HEIGHT_MM
    rows.append(_angle_row("wedge of L3, front squeezed by 40 %", wedge(own).kyphosis_deg, _twice(drop, 2 * HALF_DEPTH_MM)))
    _, own, _ = bodies(phantom.squeezed(whole, phantom.right_wedge(0.65)))
    rows.append(
        _angle_row(
            "wedge of L3, right squeezed by 35 %", wedge(own).scoliosis_deg, _twice(0.35 * HALF_HEIGHT_MM, 2 * HALF_WIDTH_MM)
        )
    )
    return rows + _wall_rows(whole)


def _shift_rows(name: str, above: Body, own: Body, by: Array) -> list[Row]:
    found = shift(above, own)
    return [
        Row(f"{name}: to the back", found.back_mm, "mm", "rear corners, along the mean end plate", float(by[1]), DRAWN, SHIFT_MM),
        Row(f"{name}: to the left", found.left_mm, "mm", "middles, along the mean end plate", float(by[0]), DRAWN, SHIFT_MM),
    ]


def _wall_rows(whole: Made) -> list[Row]:
    rows = []
    for name, radius, truth in (("bulging by 4 mm", 11.0, 4.0), ("bulging by 6 mm", 13.0, 6.0)):
        wall = HALF_DEPTH_MM * (1 - phantom.WAIST)
        bulge = phantom.ball(whole, phantom.at(0, HALF_DEPTH_MM + truth - radius, 0), radius)
        _, y, _ = whole.places
        shape = whole.with_mask(L3, whole.masks[L3].array | (bulge & (y > wall - 2)))
        above, own, below = bodies(shape)
        most, _ = retropulsion(own, below, above)
        rows.append(
            Row(f"posterior wall {name}", most, "mm", "behind the line of the neighbours' corners", truth, DRAWN, SHIFT_MM)
        )
    return rows


def _angle_row(name: str, found: float, truth: float) -> Row:
    return Row(name, found, "deg", "between end plates", truth, DRAWN, ANGLE_DEG)


def _twice(drop_mm: float, over_mm: float) -> float:
    return 2 * math.degrees(math.atan(drop_mm / over_mm))


def run(observe: Callable[[float], None]) -> Report:
    """Return the rows of ``vertebra-measures``.

    Parameters
    ----------
    observe : callable
        Called with the fraction done.
    """
    began = time.perf_counter()
    rows = []
    for done, part in enumerate((collapse_rows, share_rows, line_rows), start=1):
        rows += part()
        observe(done / 3)
    assumed = (
        "The phantom's end plates are flat; a real body's are hollow, which the comparison by place takes out.",
        "The share of the ball counts the roots of the pedicles in front of the posterior wall as body; the truth does not.",
    )
    return Report("vertebra-measures", tuple(rows), "done", time.perf_counter() - began, assumed)
