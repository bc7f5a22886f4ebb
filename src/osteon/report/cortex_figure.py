"""The cortex of a shaft unrolled: how much of its thickness is left, in millimetres and in directions of the body."""

from __future__ import annotations

from typing import Any

import numpy as np

from osteon.assessment.cortex_map import CortexMap
from osteon.assessment.cortex_map_measures import Involvement, Measured, involvement
from osteon.report import svg, words
from osteon.report.figures import STYLES, Picture
from osteon.report.graphs import Axis
from osteon.report.svg import Point

Array = np.ndarray[Any, np.dtype[Any]]
LEFT, TOP, WIDE = 52.0, 34.0, 396.0
LOW, HIGH = 130.0, 460.0
PIXELS = 2
HATCH, GREY, DARK_GREY, BREACH = 12, 176, 128, 255


def cortex_figure(found: CortexMap) -> Picture:
    """Draw the unrolled cortex.

    Across lie the directions of the body, from the front and back to it; upwards the shaft, towards the head, on the same scale.
    What is left of the expected thickness is colour (cividis); where nothing is left, it is hatched, and what cannot be told is
    grey and hatched.

    Parameters
    ----------
    found : CortexMap
        The map.

    Returns
    -------
    Picture
        SVG with its description and caption.
    """
    read = involvement(found)
    contour = float(found.arc_mm.sum(1).mean())
    length = float(np.ptp(found.along_mm)) + found.slice_mm
    tall = float(np.clip(WIDE * length / contour, LOW, HIGH))
    x = Axis(0.0, 360.0, LEFT, LEFT + WIDE)
    half = found.slice_mm / 2
    y = Axis(float(found.along_mm[0]) - half, float(found.along_mm[-1]) + half, TOP + tall, TOP)
    body = [svg.image(_raster(found, tall), LEFT, TOP, WIDE, tall)]
    body += _outline(found, x, y)
    body += _frame(found, x, y, contour)
    body += _marks(found, read, x, y)
    body += _legend(y.start + 62, found)
    body += _told(y.start + 122, read, found)
    alt = (
        f"Unrolled cortex, {length:.0f} mm of shaft and {contour:.0f} mm round it: less than half of the thickness over "
        f"{100 * read.around.best:.0f} % of one slice, less than two thirds along {read.along_mm.best:.0f} mm, greatest loss "
        f"{100 * read.thickness.best:.0f} %, breached over {read.breach_mm2:.0f} mm²"
    )
    return Picture(svg.document(464, y.start + 194, body, alt), alt, "Cortex unrolled")


def _raster(found: CortexMap, tall: float) -> Array:
    """Return the map as bytes (rows from the head down, columns, 3), hatched where nothing is left or nothing is known."""
    from matplotlib import colormaps

    rows, columns = round(tall * PIXELS), round(WIDE * PIXELS)
    n, m = found.intact.shape
    i = np.clip(((1 - (np.arange(rows) + 0.5) / rows) * n).astype(int), 0, n - 1)
    j = np.rint((np.arange(columns) + 0.5) / columns * m).astype(int) % m
    cells = np.ix_(i, j)
    colour = np.round(colormaps["cividis"](found.intact[cells])[..., :3] * 255).astype(np.uint8)
    across, down = np.meshgrid(np.arange(columns), np.arange(rows))
    colour[found.breach[cells] & ((down - across) % HATCH < 2)] = BREACH
    unknown = found.unknown[cells]
    colour[unknown] = GREY
    colour[unknown & ((down + across) % HATCH < 2)] = DARK_GREY
    return colour


def _outline(found: CortexMap, x: Axis, y: Axis) -> list[str]:
    """Return the edge of the lesion in the cortex; open where it runs over the seam."""
    from skimage.measure import find_contours

    n, m = found.lesion.shape
    wide = np.pad(np.concatenate([found.lesion, found.lesion[:, :1]], axis=1).astype(float), ((1, 1), (0, 0)))
    body = []
    for line in find_contours(wide, 0.5):
        places: list[Point] = [
            (x(float(np.clip(c, 0, m)) * 360 / m), y(float(np.interp(r - 1, [-0.5, n - 0.5], [y.low, y.high])))) for r, c in line
        ]
        body.append(svg.path(svg.polyline(places), stroke=STYLES["lesion"].colour, width=STYLES["lesion"].width, casing="#000"))
    return body


def _frame(found: CortexMap, x: Axis, y: Axis, contour: float) -> list[str]:
    body = [svg.text(LEFT, 16, "Thickness of the cortex that is left", size=12.5, weight=650)]
    body.append(svg.text(LEFT + WIDE, 16, f"once round: {contour:.0f} mm", size=11, fill=svg.SOFT, anchor="end"))
    for tick in y.ticks(6):
        body.append(svg.line((LEFT - 4, y(tick)), (LEFT, y(tick)), stroke=svg.SOFT))
        body.append(svg.text(LEFT - 7, y(tick) + 3.8, words.number(tick), size=11, fill=svg.SOFT, anchor="end"))
    body.append(svg.text(14, (y.start + y.stop) / 2, "mm along the shaft, head up", size=11, anchor="middle", rotate=-90))
    names = (*found.directions, found.directions[0])
    for k, name in enumerate(names):
        place = x(90.0 * k)
        body.append(svg.line((place, y.start), (place, y.start + 4), stroke=svg.SOFT))
        if 0 < k < 4:
            body.append(svg.line((place, y.start), (place, y.stop), stroke="#ffffff", width=0.7, dash="1 4"))
        anchor = "start" if k == 0 else "end" if k == 4 else "middle"
        body.append(svg.text(place, y.start + 17, name[0].upper(), size=12, weight=650, anchor=anchor))
        body.append(svg.text(place, y.start + 30, name, size=10.5, fill=svg.SOFT, anchor=anchor))
    body.append(svg.rectangle(LEFT, y.stop, WIDE, y.start - y.stop, stroke=svg.SOFT))
    return body


def _marks(found: CortexMap, read: Involvement, x: Axis, y: Axis) -> list[str]:
    """Return the slice where most of the circumference is gone, and the longest run along the shaft."""
    body: list[str] = []
    row = np.flatnonzero(read.around.cells.any(1))
    if len(row):
        place = y(float(found.along_mm[row[0]]))
        for stroke, width in (("#000", 2.6), ("#fff", 1.2)):
            body.append(svg.line((x.start, place), (x.stop, place), stroke=stroke, width=width, dash="6 4"))
    cells = np.argwhere(read.along_mm.cells)
    if len(cells):
        at = x(float(np.degrees(found.theta_rad[cells[0, 1]])))
        ends = [y(float(found.along_mm[i]) + side * found.slice_mm / 2) for i, side in ((cells[0, 0], -1), (cells[-1, 0], 1))]
        for stroke, width in (("#000", 3.4), ("#fff", 1.6)):
            body.append(svg.line((at, ends[0]), (at, ends[1]), stroke=stroke, width=width))
            body += [svg.line((at - 5, end), (at + 5, end), stroke=stroke, width=width) for end in ends]
    return body


def _legend(top: float, found: CortexMap) -> list[str]:
    from matplotlib import colormaps

    wide = 132.0
    ramp = np.round(colormaps["cividis"](np.linspace(0, 1, 66))[None, :, :3] * 255).astype(np.uint8)
    body = [svg.image(ramp, LEFT, top - 9, wide, 9)]
    for part, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        body.append(svg.text(LEFT + wide * part, top + 13, f"{100 * part:.0f} %", size=10.5, anchor=anchor, fill=svg.SOFT))
    body.append(svg.text(LEFT, top - 14, "of the expected thickness", size=10.5, fill=svg.SOFT))
    down, across = np.indices((24, 44))
    dark = np.broadcast_to(ramp[0, 0], (24, 44, 3)).copy()
    dark[(down - across) % HATCH < 2] = BREACH
    grey = np.full((24, 44, 3), GREY, np.uint8)
    grey[(down + across) % HATCH < 2] = DARK_GREY
    at = LEFT + wide + 22
    for k, (swatch, said) in enumerate(((dark, "none left"), (grey, "cannot tell"))):
        body += [svg.image(swatch, at + 104 * k, top - 11, 22, 12), svg.text(at + 28 + 104 * k, top - 1, said, size=11)]
    colour = STYLES["lesion"].colour
    body.append(svg.path(svg.polyline([(at, top + 16), (at + 22, top + 16)]), stroke=colour, width=2.4, casing="#000"))
    body.append(svg.text(at + 28, top + 20, "lesion in the cortex", size=11))
    body.append(
        svg.text(LEFT, top + 36, f"Expected thickness: {found.reference}. Directions as the limb lies.", size=10.5, fill=svg.SOFT)
    )
    return body


def _told(top: float, read: Involvement, found: CortexMap) -> list[str]:
    """Return the figures that were read, each with its interval."""
    least = "at least " if found.open_ended else ""
    along = read.along_mm
    said = (
        f"Round (dashed): {_percent(read.around)} with less than half left",
        f"Along (bar): {least}{along.best:.0f} mm ({along.low:.0f} to {along.high:.0f}) with less than two thirds left",
        f"Deepest: {_percent(read.thickness)} of the thickness",
        f"Breached: {read.breach_mm2:.0f} mm², along {read.along_through_mm.best:.0f} mm, round {_percent(read.around_through)}",
        f"Width of the lesion: {_percent(read.diameter)} of the bone",
    )
    return [svg.text(LEFT, top + 15 * k, line, size=11) for k, line in enumerate(said)]


def _percent(one: Measured) -> str:
    return f"{100 * one.best:.0f} % ({100 * one.low:.0f} to {100 * one.high:.0f})"
