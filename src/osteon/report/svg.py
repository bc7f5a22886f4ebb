"""A few lines of SVG: escaped text, cased lines, embedded images, labels that do not collide. Equal input gives equal text."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Point = tuple[float, float]
FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,'Liberation Sans',sans-serif"
INK, SOFT, RULE = "#1c2733", "#5b6875", "#d5dbe1"


def coordinate(value: float) -> str:
    """Return a coordinate with one decimal, without a needless ".0"."""
    shown = f"{float(value):.1f}"
    return "0" if shown in ("-0.0", "0.0") else shown.removesuffix(".0")


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: float = 12,
    fill: str = INK,
    anchor: str = "start",
    weight: int = 400,
    halo: str = "",
    rotate: float = 0,
) -> str:
    """Return one line of text; ``halo`` is a colour drawn behind the letters."""
    behind = f' stroke="{halo}" stroke-width="3" stroke-linejoin="round" paint-order="stroke"' if halo else ""
    turn = f' transform="rotate({coordinate(rotate)} {coordinate(x)} {coordinate(y)})"' if rotate else ""
    return (
        f'<text x="{coordinate(x)}" y="{coordinate(y)}" font-size="{size:g}" fill="{fill}" text-anchor="{anchor}" '
        f'font-weight="{weight}"{behind}{turn}>{escape(words)}</text>'
    )


def line(a: Point, b: Point, *, stroke: str = INK, width: float = 1, dash: str = "", cap: str = "butt") -> str:
    """Return a straight line."""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{coordinate(a[0])}" y1="{coordinate(a[1])}" x2="{coordinate(b[0])}" y2="{coordinate(b[1])}" '
        f'stroke="{stroke}" stroke-width="{width:g}" stroke-linecap="{cap}"{dashes}/>'
    )


def rectangle(
    x: float, y: float, width: float, height: float, *, fill: str = "none", stroke: str = "none", opacity: float = 1
) -> str:
    """Return a rectangle."""
    return (
        f'<rect x="{coordinate(x)}" y="{coordinate(y)}" width="{coordinate(width)}" height="{coordinate(height)}" fill="{fill}" '
        f'stroke="{stroke}" fill-opacity="{opacity:g}"/>'
    )


def circle(x: float, y: float, radius: float, *, fill: str, stroke: str = "none", width: float = 1) -> str:
    """Return a disc."""
    return (
        f'<circle cx="{coordinate(x)}" cy="{coordinate(y)}" r="{radius:g}" '
        f'fill="{fill}" stroke="{stroke}" stroke-width="{width:g}"/>'
    )


def polyline(points: Iterable[Point], closed: bool = False) -> str:
    """Return the ``d`` of a path through some points."""
    return "M" + "L".join(f"{coordinate(x)} {coordinate(y)}" for x, y in points) + ("Z" if closed else "")


def path(
    d: str, *, stroke: str = INK, width: float = 1, dash: str = "", fill: str = "none", casing: str = "", opacity: float = 1
) -> str:
    """Return a path; ``casing`` is a colour drawn wider beneath, so that the line is seen on light and dark ground."""
    under = (
        f'<path d="{d}" fill="none" stroke="{casing}" stroke-width="{width + 1.8:g}" stroke-opacity="0.75"/>' if casing else ""
    )
    dashes = f' stroke-dasharray="{dash}" stroke-linecap="butt"' if dash else ""
    clear = f' fill-opacity="{opacity:g}"' if opacity != 1 else ""
    return (
        f'{under}<path d="{d}" fill="{fill}"{clear} stroke="{stroke}" stroke-width="{width:g}" stroke-linejoin="round"{dashes}/>'
    )


def png(array: Array) -> bytes:
    """Return an array of bytes (rows, columns[, 3 or 4]) as PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array, dtype=np.uint8)).save(buffer, format="PNG", optimize=False, compress_level=7)
    return buffer.getvalue()


def image(array: Array, x: float, y: float, width: float, height: float) -> str:
    """Return an array of bytes as an embedded picture."""
    return embedded(png(array), x, y, width, height)


def embedded(picture: bytes, x: float, y: float, width: float, height: float) -> str:
    """Return a PNG as an embedded picture."""
    data = base64.b64encode(picture).decode()
    return (
        f'<image x="{coordinate(x)}" y="{coordinate(y)}" width="{coordinate(width)}" height="{coordinate(height)}" '
        f'preserveAspectRatio="none" href="data:image/png;base64,{data}"/>'
    )


def document(width: float, height: float, body: Iterable[str], alt: str) -> str:
    """Return a whole SVG with its description for those who cannot see it."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {coordinate(width)} {coordinate(height)}" role="img" '
        f'aria-label="{escape(alt, quote=True)}" font-family="{FONT}"><title>{escape(alt)}</title>{"".join(body)}</svg>'
    )


def width_of(words: str, size: float) -> float:
    """Return about how wide a line of text is."""
    return 0.56 * size * len(words)


@dataclass
class Labels:
    """Places labels near their points so that they stay inside the frame and clear of each other.

    Parameters
    ----------
    width, height : float
        Of the frame.
    taken : list of (x0, y0, x1, y1)
        Boxes already in use.
    drawn : list of (x0, y0, x1, y1)
        Boxes of outlines, better left free.
    """

    width: float
    height: float
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)
    drawn: list[tuple[float, float, float, float]] = field(default_factory=list)

    def draw(self, outline: Sequence[Point]) -> None:
        """Note an outline, so that labels keep off it where they can."""
        points = np.asarray(outline, float)
        low, high = points.min(0), points.max(0)
        self.drawn.append((float(low[0]), float(low[1]), float(high[0]), float(high[1])))

    def place(self, outline: Sequence[Point], words: str, *, size: float, fill: str, halo: str = "#000") -> str:
        """Return a label and its leader for an outline, at the freest of many places round it."""
        points = np.asarray(outline, float)
        middle = points.mean(axis=0)
        wide, high = width_of(words, size), size * 1.25
        reach = float(np.linalg.norm(points - middle, axis=1).max())
        best: tuple[float, float, float] | None = None
        for away in (10.0, 24.0, 42.0, 66.0, 95.0):
            for angle in np.arange(0, 360, 30):
                centre = middle + (reach + away) * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
                x = float(centre[0]) + (
                    0 if -0.5 < np.cos(np.radians(angle)) < 0.5 else wide / 2 * np.sign(np.cos(np.radians(angle)))
                )
                box = (x - wide / 2, float(centre[1]) - high / 2, x + wide / 2, float(centre[1]) + high / 2)
                cost = self._overlap(box) * 10 + self._covers(box) * 2 + away * 4
                if best is None or cost < best[0]:
                    best = (cost, x, float(centre[1]))
        assert best is not None  # the loops above always run
        _, x, y = best
        self.taken.append((x - wide / 2 - 2, y - high / 2 - 1, x + wide / 2 + 2, y + high / 2 + 1))
        near = np.array([float(np.clip(middle[0], x - wide / 2, x + wide / 2)), y + (high / 2 if middle[1] > y else -high / 2)])
        end = points[np.argmin(np.linalg.norm(points - near, axis=1))]
        leader = line((near[0], near[1]), (end[0], end[1]), stroke=fill, width=0.8)
        return leader + text(x, y + size * 0.36, words, size=size, fill=fill, anchor="middle", weight=600, halo=halo)

    def _covers(self, box: tuple[float, float, float, float]) -> float:
        x0, y0, x1, y1 = box
        return sum(max(0.0, min(x1, c) - max(x0, a)) * max(0.0, min(y1, d) - max(y0, b)) for a, b, c, d in self.drawn)

    def _overlap(self, box: tuple[float, float, float, float]) -> float:
        x0, y0, x1, y1 = box
        outside = max(0, 3 - x0) + max(0, 3 - y0) + max(0, x1 - self.width + 3) + max(0, y1 - self.height + 3)
        area = 0.0
        for a0, b0, a1, b1 in self.taken:
            area += max(0.0, min(x1, a1) - max(x0, a0)) * max(0.0, min(y1, b1) - max(y0, b0))
        return outside * 500 + area
