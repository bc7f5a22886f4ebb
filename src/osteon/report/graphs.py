"""Charts of a plan: margins, courses over time, ways in against each other. Readable in print and grey."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from osteon.planning.plan import PathSearch
from osteon.report import svg, words
from osteon.report.figures import Picture
from osteon.report.svg import Point
from osteon.space.volume import Volume
from osteon.treatments.base import Trace

Array = np.ndarray[Any, np.dtype[Any]]
BLUE, ORANGE, RED, GREY = "#0072B2", "#E69F00", "#B3400E", "#8a939d"


@dataclass(frozen=True)
class Axis:
    """A linear axis from data to picture coordinates."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """Return the picture coordinate of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Return round numbers along the axis."""
        raw = (self.high - self.low) / about
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw - 1e-12)
        first = math.ceil(self.low / step - 1e-9)
        return [round(i * step, 10) for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def frame(x: Axis, y: Axis, x_title: str, y_title: str, about: int = 5) -> list[str]:
    """Return the lines, numbers and titles of two axes."""
    body: list[str] = []
    for tick in y.ticks(about):
        body.append(svg.line((x.start, y(tick)), (x.stop, y(tick)), stroke="#e4e8ec"))
        body.append(svg.text(x.start - 6, y(tick) + 3.8, words.number(tick), size=11, fill=svg.SOFT, anchor="end"))
    for tick in x.ticks(about):
        body.append(svg.line((x(tick), y.start), (x(tick), y.start + 4), stroke=svg.SOFT))
        body.append(svg.text(x(tick), y.start + 16, words.number(tick), size=11, fill=svg.SOFT, anchor="middle"))
    body.append(svg.line((x.start, y.start), (x.stop, y.start), stroke=svg.SOFT))
    body.append(svg.text((x.start + x.stop) / 2, y.start + 32, x_title, size=11.5, anchor="middle"))
    body.append(svg.text(x.start - 34, y.stop - 9, y_title, size=11.5))
    return body


def margin_histogram(margin: Volume) -> Picture | None:
    """Draw how much of the lesion's surface has which margin; None where no margin was measured.

    Parameters
    ----------
    margin : Volume
        Signed distance from the lesion surface to the edge of the zone [mm], NaN off the surface.
    """
    values = margin.array[np.isfinite(margin.array)]
    if not values.size:
        return None
    step = 1.0 if np.ptp(values) < 25 else 2.0
    low = step * math.floor(min(float(values.min()), 0) / step)
    high = step * max(math.ceil(float(values.max()) / step), low / step + 1)
    edges = np.arange(low, high + step / 2, step)
    share = np.histogram(values, edges)[0] / values.size * 100
    x, y = Axis(low, float(edges[-1]), 52, 450), Axis(0, max(float(share.max()) * 1.1, 1), 200, 30)
    body = frame(x, y, "margin from lesion surface to edge of zone (mm); below 0: not treated", "% of the lesion surface")
    for left, part in zip(edges[:-1], share, strict=True):
        bad = left < -1e-9
        body.append(
            svg.rectangle(x(left) + 1, y(part), x(left + step) - x(left) - 2, y.start - y(part), fill=ORANGE if bad else BLUE)
        )
        if bad and part > 0:
            body.append(svg.rectangle(x(left) + 1, y(part), x(left + step) - x(left) - 2, y.start - y(part), stroke=svg.INK))
    body.append(svg.line((x(0), y.start), (x(0), y.stop), stroke=svg.INK, width=1.4, dash="4 3"))
    smallest = words.number(float(values.min()), "mm")
    body.append(svg.text(450, 20, f"smallest {smallest}", size=11.5, anchor="end", weight=600))
    alt = f"Histogram of the margin over the lesion surface; smallest {smallest}"
    return Picture(svg.document(464, 242, body, alt), alt, "Margin histogram")


def margin_map(margin: Volume, columns: int = 48, rows: int = 24) -> Picture | None:
    """Draw the smallest margin in every direction from the lesion's middle, as a map: round the patient by head to foot.

    Parameters
    ----------
    margin : Volume
        Signed margin on the lesion's surface [mm], NaN elsewhere.
    columns, rows : int
        Cells of the map.
    """
    index = np.argwhere(np.isfinite(margin.array))
    if not len(index):
        return None
    values = margin.array[tuple(index.T)]
    places = margin.grid.to_mm(index)
    away = places - 0.5 * (places.min(0) + places.max(0))
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
    turned = np.degrees(np.arctan2(away[:, 0], away[:, 1])) % 360  # 0 behind, 90 left, 180 in front, 270 right
    column = np.clip((turned / 360 * columns).astype(int), 0, columns - 1)
    row = np.clip(((1 - away[:, 2]) / 2 * rows).astype(int), 0, rows - 1)
    cells = _nearest_values(away, values, rows, columns)  # a cell that no voxel meets takes the nearest one
    np.minimum.at(cells, (row, column), values)
    reach = max(2.0, float(np.abs(values).max()))
    x0, y0, wide, high = 40.0, 26.0, 396.0, 150.0
    body = [svg.rectangle(x0, y0, wide, high, fill="#eef1f4")]
    for i, j in np.argwhere(np.isfinite(cells)):
        value = float(cells[i, j])
        cell = (x0 + j * wide / columns, y0 + i * high / rows, wide / columns + 0.3, high / rows + 0.3)
        body.append(svg.rectangle(*cell, fill=_signed(value / reach)))
        if value < 0:
            body.append(svg.line((cell[0], cell[1] + cell[3]), (cell[0] + cell[2], cell[1]), stroke=svg.INK, width=0.8))
    for k, name in enumerate(("behind", "left", "front", "right", "behind")):
        body.append(
            svg.text(x0 + k * wide / 4, y0 + high + 15, name, size=11, anchor=("start", "middle", "middle", "middle", "end")[k])
        )
    body += [svg.text(x0 - 6, y0 + 10, "head", size=11, anchor="end"), svg.text(x0 - 6, y0 + high, "foot", size=11, anchor="end")]
    body += _signed_bar(reach, x0, y0 + high + 28, wide)
    worst = places[int(np.argmin(values))]
    alt = f"Map of the margin by direction from the middle of the lesion; smallest {words.number(float(values.min()), 'mm')}"
    note = f"smallest at x {words.number(worst[0])}, y {words.number(worst[1])}, z {words.number(worst[2])} mm (LPS)"
    body.append(svg.text(x0, 16, note, size=11.5))
    return Picture(svg.document(464, 242, body, alt), alt, "Margin map")


def _nearest_values(away: Array, values: Array, rows: int, columns: int) -> Array:
    """Return for each cell of the map the value of the surface point nearest to its direction."""
    from scipy.spatial import cKDTree

    high = 1 - 2 * (np.arange(rows) + 0.5) / rows
    turned = np.radians(360 * (np.arange(columns) + 0.5) / columns)  # 0 behind, 90 left, as in the picture
    flat = np.sqrt(1 - high**2)[:, None]
    x, y = np.sin(turned)[None, :] * flat, np.cos(turned)[None, :] * flat
    cells = np.stack([x, y, np.broadcast_to(high[:, None], x.shape)], -1)
    return np.asarray(values[cKDTree(away).query(cells.reshape(-1, 3))[1]].reshape(rows, columns), float)


def _signed(part: float) -> str:
    """Return a colour between orange (-1), near white (0) and blue (+1)."""
    part = float(np.clip(part, -1, 1))
    end = np.array([0, 90, 160]) if part >= 0 else np.array([214, 118, 0])
    mixed = np.round(np.array([247, 247, 245]) * (1 - abs(part)) + end * abs(part)).astype(int)
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def _signed_bar(reach: float, x0: float, y0: float, wide: float) -> list[str]:
    body = [svg.rectangle(x0 + wide * i / 40, y0, wide / 40 + 0.3, 9, fill=_signed(-1 + (i + 0.5) / 20)) for i in range(40)]
    for part, anchor in ((-1.0, "start"), (0.0, "middle"), (1.0, "end")):
        body.append(
            svg.text(x0 + wide * (part + 1) / 2, y0 + 22, words.number(part * reach, "mm"), size=11, anchor=anchor, fill=svg.SOFT)
        )
    body.append(svg.text(x0 + wide * 0.29, y0 + 22, "not treated (struck)", size=10, anchor="middle", fill=svg.SOFT))
    body.append(svg.text(x0 + wide * 0.73, y0 + 22, "treated beyond", size=10, anchor="middle", fill=svg.SOFT))
    return body


def time_course(
    trace: Trace,
    name: str,
    limit: float | None,
    warn: float | None = None,
    stop_s: float | None = None,
    cold: bool = False,
    spans_s: Sequence[tuple[float, float]] = (),
) -> Picture:
    """Draw the hottest or the coldest point of one structure over time with its limit.

    Parameters
    ----------
    trace : Trace
        Times [s] and temperatures [°C].
    name : str
        The structure in words.
    limit, warn : float or None
        Lines to draw [°C].
    stop_s : float or None
        When power ends.
    cold : bool
        Whether the trace is of the coldest point, and what lies below the limit is bad.
    spans_s : sequence of (float, float)
        From when to when a freeze lasts.
    """
    minutes, values = np.asarray(trace.times_s, float) / 60, np.asarray(trace.values, float)
    keep = np.isfinite(values)
    minutes, values = minutes[keep], values[keep]
    x = Axis(0, max(float(minutes.max()) if minutes.size else 1.0, 0.5), 46, 320)
    y = _degrees(values, [v for v in (limit, warn) if v is not None], cold)
    body = _freezes(x, y, spans_s) if cold else []
    body += frame(x, y, "time (min)", "", 4)
    body[-1] = svg.text(12, 16, f"{name} (°C)", size=_title_size(f"{name} (°C)"), weight=650)
    body += _time_lines(x, y, limit, stop_s)
    if values.size:
        thin = _thinned(values)
        points: list[Point] = [(x(float(minutes[i])), y(float(np.clip(values[i], y.low, y.high)))) for i in thin]
        body.append(svg.path(svg.polyline(points), stroke=BLUE, width=2.2))
        body += _extreme(x, y, minutes, values, limit, cold)
    said = "no limit in °C" if limit is None else f"limit {words.number(limit, '°C')}"
    worst = (min if cold else max)(values) if values.size else None
    which, most = ("Coldest", "at least") if cold else ("Hottest", "at most")
    alt = f"{which} point of the {name} over time: {most} {words.number(worst, '°C')}, {said}"
    return Picture(svg.document(334, 190, body, alt), alt, name)


def _thinned(values: Array, most: int = 240) -> Array:
    """Return the indices of the samples that are drawn: some at even steps, and between them the highest and the lowest."""
    if len(values) <= most:
        return np.arange(len(values))
    ends = np.linspace(0, len(values) - 1, most // 3).astype(int)
    parts = [(a, values[a : b + 1]) for a, b in pairwise(ends)]
    extremes = [a + int(f(part)) for a, part in parts for f in (np.argmax, np.argmin)]
    return np.unique(np.concatenate([ends, extremes]))


def _title_size(title: str) -> float:
    """Return the size of letters with which a title fits over its chart."""
    return round(min(12.5, TITLE_WIDE / (LETTER_WIDE * max(len(title), 1))), 1)


def _degrees(values: Array, lines: Sequence[float], cold: bool) -> Axis:
    """Return the axis of temperature: from 36 °C up for heat, down from 40 °C for cold."""
    if cold:
        return Axis(min([*lines, 20.0, float(values.min()) if values.size else 37.0]) - 5, 40, 150, 34)
    return Axis(36, max(max([*lines, float(values.max()) if values.size else 37.0]) * 1.03, 40), 150, 34)


def _freezes(x: Axis, y: Axis, spans_s: Sequence[tuple[float, float]]) -> list[str]:
    """Return the times of freezing as shaded strips, each named."""
    body: list[str] = []
    for start, stop in spans_s:
        left, right = x(start / 60), x(min(stop / 60, x.high))
        body.append(svg.rectangle(left, y.stop, right - left, y.start - y.stop, fill="#e3f0f8"))
        body.append(svg.text((left + right) / 2, y.stop - 3, "freeze", size=10, fill=svg.SOFT, anchor="middle"))
    return body


def _extreme(x: Axis, y: Axis, minutes: Array, values: Array, limit: float | None, cold: bool) -> list[str]:
    """Return the worst point of a course, marked with its figure."""
    at = int(np.argmin(values) if cold else np.argmax(values))
    spot = (x(float(minutes[at])), y(float(np.clip(values[at], y.low, y.high))))
    crowded = spot[1] < y.stop + 40 or (limit is not None and abs(y(limit) - spot[1]) < 16)
    low = (-8 if spot[1] > y.start - 22 else 14) if cold else 14 if crowded else -8
    early = spot[0] < 110
    shown = words.number(float(values[at]), "°C")
    return [
        svg.circle(*spot, 3, fill=BLUE, stroke="#fff"),
        svg.text(
            spot[0] + (6 if early else -4), spot[1] + low, shown, size=11, fill=BLUE, anchor="start" if early else "end",
            weight=600, halo="#fff",
        ),
    ]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Line:
    """One line of a chart over time, and its name where there are several."""

    trace: Trace
    name: str


TITLE_WIDE, LETTER_WIDE = 318.0, 0.6  # of a chart over time; of a bold letter, in parts of its size
LINES = ((BLUE, ""), (ORANGE, "7 3"), (RED, "2 2.5"), (GREY, "9 2 2 2"))


def run_course(lines: Sequence[Line], title: str, unit: str, spans_s: Sequence[tuple[float, float]] = ()) -> Picture:
    """Draw what a device did over time.

    Parameters
    ----------
    lines : sequence of Line
        Of one unit; each has its own dash, its name at its highest point.
    title, unit : str
        What is drawn.
    spans_s : sequence of (float, float)
        From when to when each freeze lasts; one that starts at 0 is power on and gets a line at its end.
    """
    values = [np.asarray(line.trace.values, float) for line in lines]
    low = min(float(np.nanmin(v)) for v in values)
    high = max(float(np.nanmax(v)) for v in values)
    room = 0.08 * max(high - low, 0.02 * max(abs(high), abs(low), 1e-6))
    last = max(float(np.max(line.trace.times_s)) for line in lines) / 60
    x = Axis(0, max(last, 0.5), 46, 320)
    y = Axis(0.0 if low >= 0 and low < 0.7 * high else low - room, high + room, 150, 34)
    body = _freezes(x, y, spans_s) if len(spans_s) > 1 else []
    body += frame(x, y, "time (min)", "", 4)
    body[-1] = svg.text(12, 16, f"{title} ({unit})", size=12.5, weight=650)
    body += _time_lines(x, y, None, spans_s[0][1] if len(spans_s) == 1 else None)
    for i, (line, v) in enumerate(zip(lines, values, strict=True)):
        colour, dash = LINES[i % len(LINES)]
        minutes = np.asarray(line.trace.times_s, float) / 60
        thin = np.unique(np.linspace(0, len(v) - 1, min(len(v), 240)).astype(int))
        points: list[Point] = [(x(float(minutes[j])), y(float(v[j]))) for j in thin if np.isfinite(v[j])]
        body.append(svg.path(svg.polyline(points), stroke=colour, width=2.0, dash=dash))
        if len(lines) > 1:
            body.append(svg.line((46, 200 + 15 * i), (76, 200 + 15 * i), stroke=colour, width=2.2, dash=dash))
            body.append(svg.text(84, 204 + 15 * i, f"{line.name}: {_extremes(v, unit)}", size=11))
    if len(lines) == 1:
        body.append(svg.text(320, 16, _extremes(values[0], unit), size=11, fill=BLUE, anchor="end", weight=600))
    told = "; ".join(f"{line.name + ' ' if line.name else ''}{_extremes(v, unit)}" for line, v in zip(lines, values, strict=True))
    alt = f"{title} over time: {told}"
    return Picture(svg.document(334, 190 + (6 + 15 * len(lines) if len(lines) > 1 else 0), body, alt), alt, title)


def _extremes(values: Array, unit: str) -> str:
    """Return between what a course lies."""
    return f"{words.number(float(np.nanmin(values)))} to {words.number(float(np.nanmax(values)), unit)}"


def _time_lines(x: Axis, y: Axis, limit: float | None, stop_s: float | None) -> list[str]:
    """Return the line of the limit and the moment when power ends."""
    body: list[str] = []
    if limit is not None:
        body.append(svg.line((x.start, y(limit)), (x.stop, y(limit)), stroke=RED, width=1.8, dash="7 3"))
        body.append(
            svg.text(
                x.stop,
                y(limit) - 5,
                f"limit {words.number(limit, '°C')}",
                size=11,
                fill=RED,
                anchor="end",
                weight=600,
                halo="#fff",
            )
        )
    if stop_s is not None and 0 < stop_s / 60 < x.high:
        body.append(svg.line((x(stop_s / 60), y.start), (x(stop_s / 60), y.stop), stroke=GREY, dash="2 3"))
        body.append(
            svg.text(x(stop_s / 60) - 4, (y.start + y.stop) / 2, "power off", size=10, fill=svg.SOFT, anchor="end", halo="#fff")
        )
    return body


def pareto(search: PathSearch) -> Picture | None:
    """Draw the ways in that no other way beats: length against clearance, or against bone where clearance tells them not apart.

    The size of the disc tells what the axes do not; the recommended way is named.
    """
    listed = [p for p in search.pareto if {"length_mm", "clearance_mm"} <= set(p.objectives)]
    if not listed:
        return None
    length = np.array([float(p.objectives["length_mm"]) for p in listed])
    clear = np.array([min(float(p.objectives["clearance_mm"]), 200.0) for p in listed])
    bone = np.array([float(p.objectives.get("bone_mm", 0.0)) for p in listed])
    by_bone = len(listed) > 1 and float(np.ptp(clear)) < 0.5 and float(np.ptp(bone)) > 0.5
    up, sized = (bone, clear) if by_bone else (clear, bone)
    title = "bone crossed (mm): less is better" if by_bone else "clearance to the nearest critical structure (mm): more is better"
    other = "clearance" if by_bone else "bone crossed"
    room = 0.08 * max(float(np.ptp(length)), 5.0)
    x = Axis(float(length.min()) - room, float(length.max()) + room, 52, 450)
    y = Axis(min(0.0, float(up.min())), float(up.max()) * 1.12 + 1, 210, 30)
    body = frame(x, y, "length from skin to tip (mm): shorter is better", title)
    most = max(float(sized.max()), 1.0)
    best = search.pareto[search.recommended] if search.recommended is not None else None
    for i in np.argsort(sized)[::-1]:
        chosen = listed[i] is best
        radius = 5.0 if by_bone else 3.5 + 6.5 * math.sqrt(sized[i] / most)
        fill, stroke = (ORANGE, svg.INK) if chosen else ("#9cc9e6", BLUE)
        body.append(svg.circle(x(length[i]), y(up[i]), radius, fill=fill, stroke=stroke, width=2 if chosen else 1))
    named = next((i for i, p in enumerate(listed) if p is best), None)
    if named is not None:
        place = (x(length[named]), y(up[named]))
        side, anchor = (-14, "end") if place[0] > 330 else (14, "start")
        body.append(svg.circle(*place, 6.5, fill=ORANGE, stroke=svg.INK, width=2))
        body.append(svg.text(place[0] + side, place[1] - 10, "recommended", size=12, weight=650, anchor=anchor, halo="#fff"))
    low = float(sized.min())
    note = (
        f"{other} of all: {words.number(low, 'mm')}"
        if by_bone
        else f"size of the disc: {other}, up to {words.number(most, 'mm')}"
    )
    body.append(svg.text(450, 262, note, size=11, fill=svg.SOFT, anchor="end"))
    against = "bone crossed" if by_bone else "clearance"
    alt = f"Ways in that no other way beats: {len(listed)} of {search.feasible} feasible; length against {against}"
    return Picture(svg.document(464, 270, body, alt), alt, "Ways in")
