"""Pictures of the anatomy: CT in grey, outlines named and told apart by line as well as colour, needle, isotherms, dose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from osteon.planning.plan import TARGET, UNCOVERED
from osteon.report import svg
from osteon.report.planes import Plane, cut, within
from osteon.report.svg import Point
from osteon.space.anatomy import Anatomy, Structure
from osteon.space.volume import Volume
from osteon.treatments.base import NeedlePose

Array = np.ndarray[Any, np.dtype[Any]]
WINDOW_LEVEL, WINDOW_WIDTH = 300.0, 1500.0
OWN_SCALE = (1.0, 99.5)  # percentiles of an image without HU that are black and white
WINDOW = f"bone L {WINDOW_LEVEL:.0f} W {WINDOW_WIDTH:.0f} HU"
ISOTHERMS_C = (43.0, 45.0, 50.0, 60.0, 100.0)
COLD_C = (0.0, -20.0, -40.0)
COLDEST_SHOWN_C = -80.0
DOSE_CEM43_MIN = 240.0


@dataclass(frozen=True)
class Style:
    """How the outline of one kind of structure is drawn: Okabe-Ito colour, dash pattern, width."""

    colour: str
    dash: str = ""
    width: float = 1.6


STYLES: dict[str, Style] = {
    "lesion": Style("#E69F00", "", 2.4),
    "target": Style("#E69F00", "2 3", 1.5),
    "uncovered": Style("#F28FC4", "3 2", 1.8),
    "nerve": Style("#F0E442", "5 2", 2.0),
    "cord": Style("#F0E442", "9 2", 2.2),
    "vessel": Style("#FF7A4D", "1.5 2", 2.0),
    "bowel": Style("#2FD3A0", "7 2 1.5 2", 1.8),
    "joint": Style("#56B4E9", "10 3", 1.6),
    "lung": Style("#CC9BD6", "3 3", 1.6),
    "organ": Style("#CC9BD6", "8 3 2 3", 1.6),
    "implant": Style("#FFFFFF", "2 2", 1.6),
    "disc": Style("#9AD0F5", "2 4", 1.2),
    "bone": Style("#FFFFFF", "", 0.8),
}
SHOWN_KINDS = ("joint", "organ", "lung", "bowel", "vessel", "nerve", "cord", "implant", "lesion")
COLD_DASHES = {0.0: "8 3", -20.0: "2 2.5", -40.0: ""}
COLD_WORDS = {0.0: "edge of the ice that is seen", -20.0: "between here and −40 °C cells may live", -40.0: "counted as dead"}
ISOTHERM_DASHES = {43.0: "1.5 2.5", 45.0: "4 2", 50.0: "8 3", 60.0: "10 2 2 2", 100.0: ""}


def style_of(which: Structure) -> Style:
    """Return how a structure is drawn."""
    return STYLES.get(which.id) or STYLES.get(which.kind) or STYLES["organ"]


@dataclass(frozen=True)
class Overlay:
    """What is laid over the anatomy: highest temperature [°C], dose [min], needles, lowest temperature [°C]."""

    temperature_c: Volume | None = None
    cem43_min: Volume | None = None
    needles: tuple[NeedlePose, ...] = ()
    lowest_c: Volume | None = None


@dataclass(frozen=True)
class Picture:
    """A finished picture with what a reader must know beside it."""

    svg: str
    alt: str
    caption: str
    shown: tuple[Structure, ...] = ()


def grey_of(anatomy: Anatomy, plane: Plane) -> Array:
    """Return the CT on a plane as bytes; what was not imaged is hatched, so that it never looks like air.

    Parameters
    ----------
    anatomy : Anatomy
        Image in HU, and where there is image information.
    plane : Plane
        The cut.
    """
    rows, columns = np.indices((plane.pixels, plane.pixels))
    hatch = np.where((rows + columns) % 12 < 2, 105, 78).astype(np.uint8)
    source = anatomy.image or anatomy.shown
    if source is None:
        return hatch
    values = cut(source, plane)
    imaged = cut(anatomy.imaged, plane, order=0, fill=0.0) >= 0.5
    known = imaged & np.isfinite(values)
    low, width = WINDOW_LEVEL - WINDOW_WIDTH / 2, WINDOW_WIDTH
    if anatomy.image is None and known.any():
        low, high = (float(v) for v in np.percentile(values[known], OWN_SCALE))
        width = max(high - low, 1e-6)
    grey = np.clip((np.nan_to_num(values, nan=low) - low) / width, 0, 1) * 255
    return np.where(known, np.round(grey), hatch).astype(np.uint8)


def _window(anatomy: Anatomy) -> str:
    if anatomy.image is not None:
        return WINDOW
    return "no CT: own grey scale" if anatomy.shown is not None else "no CT"


def contours(values: Array, level: float, thinned: float = 0.2) -> list[Array]:
    """Return the contour lines of samples as picture coordinates (n, 2), x then y, thinned to a part of a sample."""
    from skimage.measure import approximate_polygon, find_contours

    padded = np.pad(values, 1, constant_values=min(float(values.min()), level - 1))
    found = (approximate_polygon(c, thinned) for c in find_contours(padded, level) if len(c) > 3)
    return [np.clip(c[:, ::-1] - 0.5, 0, values.shape[0]) for c in found]


def outline_path(values: Array, level: float = 0.5) -> tuple[str, list[Point]]:
    """Return the ``d`` of all contours at a level, and the points of the longest."""
    found = contours(values, level)
    if not found:
        return "", []
    closed = [bool(np.allclose(c[0], c[-1])) for c in found]
    d = "".join(svg.polyline([(float(x), float(y)) for x, y in c], shut) for c, shut in zip(found, closed, strict=True))
    longest = max(found, key=len)
    return d, [(float(x), float(y)) for x, y in longest]


def section(anatomy: Anatomy, plane: Plane, overlay: Overlay | None = None, *, title: str = "", bones: bool = False) -> Picture:
    """Draw one cut.

    Parameters
    ----------
    anatomy : Anatomy
        Image and outlines; a structure outside the picture is not drawn.
    plane : Plane
        The cut.
    overlay : Overlay, optional
        Needle, isotherms and dose.
    title : str
        Shown in the picture; the plane's name if empty.
    bones : bool
        Whether bones are outlined too (always where there is no image, and where their outline is approximate).

    Returns
    -------
    Picture
        A square SVG of ``plane.pixels`` units a side.
    """
    size = float(plane.pixels)
    labels = svg.Labels(size, size, _furniture_boxes(size))
    body = [svg.image(grey_of(anatomy, plane), 0, 0, size, size)]
    if overlay is not None and overlay.temperature_c is not None:
        body.append(_shade(overlay.temperature_c, plane, size, ISOTHERMS_C[0], ISOTHERMS_C[-1]))
    if overlay is not None and overlay.lowest_c is not None:
        body.append(_shade(overlay.lowest_c, plane, size, COLD_C[0], COLDEST_SHOWN_C))
    kinds = ("bone", *SHOWN_KINDS)
    every = anatomy.image is None or bones  # bones are seen in a CT; an approximate outline must be looked at all the same
    listed = sorted(
        (s for s in anatomy.masks if s.kind in kinds and (s.kind != "bone" or every or s in anatomy.approximate)),
        key=lambda s: (kinds.index(s.kind), s.id),
    )
    names: list[tuple[list[Point], str, str]] = []
    shown: list[Structure] = []
    for which in listed:
        values = within(anatomy, which, plane)
        if values is None:
            continue
        d, points = outline_path(values)
        if not points:
            continue
        style = style_of(which)
        fill, opacity = (style.colour, 0.4) if which.id == UNCOVERED.id else ("none", 1.0)
        body.append(
            svg.path(d, stroke=style.colour, width=style.width, dash=style.dash, casing="#000", fill=fill, opacity=opacity)
        )
        labels.draw(points)
        shown.append(which)
        if which.id != TARGET.id and (which.kind != "bone" or which in anatomy.approximate):
            rough = " (approx.)" if which in anatomy.approximate else ""
            names.append((points, which.name + rough, style.colour))
    if overlay is not None:
        lines, numbers = _fields(overlay, plane, labels)
        body += [*lines, *(_needle(pose, plane) for pose in overlay.needles), *numbers]
    body += [labels.place(points, words, size=11.5, fill=colour) for points, words, colour in reversed(names)]
    name = title or plane.name
    body += furniture(plane, name, _window(anatomy))
    listed_names = ", ".join(s.name for s in shown) or "no outlined structure"
    alt = f"{name} cut; {_edges(plane)}; drawn: {listed_names}; scale bar 20 mm"
    return Picture(svg.document(size, size, body, alt), alt, name, tuple(shown))


def _edges(plane: Plane) -> str:
    left, right, top, bottom = plane.letters
    return f"left edge {left}, right edge {right}, top {top}, bottom {bottom}"


def _furniture_boxes(size: float) -> list[tuple[float, float, float, float]]:
    """Return where letters, scale and title stand, so that no label lies on them."""
    middle = size / 2
    return [
        (0, middle - 14, 26, middle + 14),
        (size - 26, middle - 14, size, middle + 14),
        (middle - 16, 0, middle + 16, 24),
        (middle - 16, size - 24, middle + 16, size),
        (0, 0, middle - 20, 22),
        (0, size - 30, middle - 20, size),
        (middle + 20, size - 22, size, size),
    ]


def furniture(plane: Plane, name: str, window: str) -> list[str]:
    """Return title, orientation letters, scale bar and how the grey values are shown."""
    size = float(plane.pixels)
    left, right, top, bottom = plane.letters
    middle = size / 2

    def word(x: float, y: float, words: str, anchor: str, high: float = 16, weight: int = 700) -> str:
        return svg.text(x, y, words, size=high, fill="#fff", anchor=anchor, weight=weight, halo="#000")

    bar = 20.0 / plane.step_mm
    base = size - 10
    return [
        word(7, middle + 6, left, "start"),
        word(size - 7, middle + 6, right, "end"),
        word(middle, 18, top, "middle"),
        word(middle, size - 8, bottom, "middle"),
        word(8, 16, name, "start", 12, 600),
        svg.line((10, base), (10 + bar, base), stroke="#000", width=5),
        svg.line((10, base), (10 + bar, base), stroke="#fff", width=2.5),
        svg.line((10, base - 4), (10, base + 4), stroke="#fff", width=1.5),
        svg.line((10 + bar, base - 4), (10 + bar, base + 4), stroke="#fff", width=1.5),
        word(10, base - 8, "20 mm", "start", 11, 600),
        word(size - 7, size - 8, window, "end", 9.5, 400),
    ]


def _shade(temperature: Volume, plane: Plane, size: float, first_c: float, last_c: float) -> str:
    """Return a temperature from ``first_c`` (dark) on, towards ``last_c`` (light), as a translucent cividis layer."""
    from matplotlib import colormaps

    part = (cut(temperature, plane, fill=37.0) - first_c) / (last_c - first_c)
    colours = (colormaps["cividis"](np.clip(part, 0, 1)) * 255).astype(np.uint8)
    colours[..., 3] = np.where(part >= 0, 105, 0)
    return svg.image(colours, 0, 0, size, size)


def _fields(overlay: Overlay, plane: Plane, labels: svg.Labels) -> tuple[list[str], list[str]]:
    """Return isotherms, each with its own dash, and the edge of what is dead; and the numbers that go over all lines."""
    lines: list[str] = []
    numbers: list[str] = []
    if overlay.temperature_c is not None:
        values = cut(overlay.temperature_c, plane, fill=37.0)
        for i, level in enumerate(ISOTHERMS_C):
            d, points = outline_path(values, level)
            if points:
                lines.append(svg.path(d, stroke="#fff", width=1.0, dash=ISOTHERM_DASHES[level], casing="#000"))
                numbers.append(_number_on(points, f"{level:g}", i, labels))
    if overlay.lowest_c is not None:
        values = cut(overlay.lowest_c, plane, fill=37.0)
        for i, level in enumerate(COLD_C):
            d, points = outline_path(-values, -level)
            if points:
                wide = 2.2 if level == COLD_C[-1] else 1.2
                lines += [
                    svg.path(d, stroke="#000", width=2 * wide),
                    svg.path(d, stroke="#fff", width=wide, dash=COLD_DASHES[level]),
                ]
                numbers.append(_number_on(points, f"{level:g}".replace("-", "−"), 2 * i, labels))
    if overlay.cem43_min is not None:
        d, points = outline_path(np.minimum(cut(overlay.cem43_min, plane, fill=0.0), 1e4), DOSE_CEM43_MIN)
        if points:
            lines.append(svg.path(d, stroke="#000", width=4.4))
            lines.append(svg.path(d, stroke="#fff", width=2.2))
    return lines, numbers


def _number_on(points: list[Point], words: str, turn: int, labels: svg.Labels) -> str:
    """Write a number on a line, at another place round it for each line so that numbers do not pile up."""
    middle = np.mean(points, axis=0)
    wanted = np.radians(-150 + 38 * turn)
    offset = np.asarray(points) - middle
    nearest = int(np.argmax(offset @ np.array([np.cos(wanted), np.sin(wanted)])))
    x, y = points[nearest]
    labels.taken.append((x - 14, y - 9, x + 14, y + 9))
    return svg.text(x, y + 3.5, words, size=10, fill="#fff", anchor="middle", weight=600, halo="#000")


def _needle(pose: NeedlePose, plane: Plane) -> str:
    """Return a needle: the part near the plane full, the rest thin; a dot where it pierces a plane that it crosses."""
    ends = np.array([pose.entry_mm, pose.tip_mm])
    depth = plane.depth_mm(ends)
    flat = plane.project(ends)
    along = abs(float(np.asarray(pose.direction) @ plane.normal))
    if along > 0.9:
        share = float(np.clip(depth[0] / (depth[0] - depth[1] or 1e-9), 0, 1))
        x, y = flat[0] + share * (flat[1] - flat[0])
        return svg.circle(float(x), float(y), 4.5, fill="#fff", stroke="#000", width=1.5) + svg.circle(
            float(x), float(y), 1.5, fill="#000"
        )
    a, b = (float(flat[0, 0]), float(flat[0, 1])), (float(flat[1, 0]), float(flat[1, 1]))
    in_plane = float(np.abs(depth).max()) < 2.5
    wide, dash = (2.4, "") if in_plane else (1.4, "6 3")
    body = svg.line(a, b, stroke="#000", width=wide + 2) + svg.line(a, b, stroke="#fff", width=wide, dash=dash)
    body += svg.circle(*b, 2.8, fill="#fff", stroke="#000")
    return body + svg.rectangle(a[0] - 3, a[1] - 3, 6, 6, fill="#fff", stroke="#000")


@dataclass(frozen=True)
class Entry:
    """One line of a legend: a swatch and its meaning."""

    swatch: str
    words: str


def legend(shown: Sequence[Structure], overlay: Overlay | None = None) -> list[Entry]:
    """Return the legend of exactly what was drawn."""
    entries = [Entry(swatch(style_of(s)), "target of the plan" if s.id == TARGET.id else s.name) for s in dict.fromkeys(shown)]
    if overlay is None:
        return entries
    if overlay.needles:
        mark = svg.rectangle(0, 0, 34, 12, fill="#3a444f") + svg.line((4, 6), (30, 6), stroke="#fff", width=2.4)
        entries.append(Entry(_small(mark), "needle, in the plane (dashed: projected onto it); square: skin entry, disc: tip"))
    if overlay.temperature_c is not None:
        for level in ISOTHERMS_C:
            mark = svg.rectangle(0, 0, 34, 12, fill="#3a444f")
            mark += svg.line((2, 6), (32, 6), stroke="#fff", width=1.4, dash=ISOTHERM_DASHES[level])
            entries.append(Entry(_small(mark), f"{level:g} °C, highest reached"))
    if overlay.lowest_c is not None:
        for level in COLD_C:
            wide = 2.4 if level == COLD_C[-1] else 1.4
            mark = svg.rectangle(0, 0, 34, 12, fill="#3a444f")
            mark += svg.line((2, 6), (32, 6), stroke="#fff", width=wide, dash=COLD_DASHES[level])
            entries.append(Entry(_small(mark), f"{f'{level:g}'.replace('-', '−')} °C, lowest reached: {COLD_WORDS[level]}"))
    if overlay.cem43_min is not None:
        mark = svg.rectangle(0, 0, 34, 12, fill="#8a939d") + svg.line((0, 6), (34, 6), stroke="#000", width=5)
        entries.append(
            Entry(_small(mark + svg.line((0, 6), (34, 6), stroke="#fff", width=2.4)), "CEM43 240 min: edge of the treated zone")
        )
    return entries


def swatch(style: Style) -> str:
    """Return a line of a legend as it is drawn."""
    ground = svg.rectangle(0, 0, 34, 12, fill="#3a444f")
    return _small(ground + svg.line((2, 6), (32, 6), stroke=style.colour, width=max(style.width, 1.4), dash=style.dash))


def _small(body: str) -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 34 12" width="34" height="12" aria-hidden="true">{body}</svg>'
