"""Charts of a strength: bars with bands, load over displacement, rigidity slice by slice beside the bone."""

from __future__ import annotations

import numpy as np

from osteon.assessment.rigidity import Rigidity, RigidityRatio
from osteon.assessment.strength_results import UNITS, Run, Strength
from osteon.evidence.value import Band
from osteon.report import svg, words
from osteon.report.figures import Picture, outline_path
from osteon.report.graphs import BLUE, GREY, ORANGE, RED, Axis, frame
from osteon.report.svg import Point
from osteon.space.volume import Array

NAMES = ("now", "virtually healed", "opposite side")
COLOURS = (BLUE, "#57a3cf", GREY)
DASHES = ("", "7 3", "2 2.5")
MEASURES = {
    "ea_n": ("EA, along", BLUE, ""),
    "ei_least_n_m2": ("EI least, bending", ORANGE, "7 3"),
    "gj_n_m2": ("GJ, twisting", RED, "2 2.5"),
}
WIDE = 520.0
BROADEST = 360.0  # of the shadow of a bone


def body_weight(strength: Strength) -> float | None:
    """Return one body weight in newtons, as the strength itself was put into body weights; None where it was not."""
    if strength.body_weights is None or strength.failure is None or not strength.body_weights.best:
        return None
    return strength.failure.best / strength.body_weights.best


def bars(strength: Strength) -> Picture | None:
    """Draw the failure loads with their bands, and what daily loads ask; None where there is no failure load."""
    loads = (strength.failure, strength.failure_healed, strength.failure_opposite)
    rows = [(name, colour, band) for name, colour, band in zip(NAMES, COLOURS, loads, strict=True) if band is not None]
    if not rows:
        return None
    unit, each = UNITS[strength.quantity][0], body_weight(strength)
    asked = [(said, value * each) for said, value, _ in strength.demand] if each else []
    most = max([band.high for _, _, band in rows] + [v for _, v in asked])
    left, top = 130.0, 30.0 + 16.0 * len(asked)
    x = Axis(0, most * 1.06, left, WIDE - 20)
    end = top + 44.0 * len(rows)
    body: list[str] = []
    for tick in x.ticks(6):
        body.append(svg.line((x(tick), top), (x(tick), end), stroke="#e4e8ec"))
        body.append(svg.text(x(tick), end + 16, words.number(tick), size=11, fill=svg.SOFT, anchor="middle"))
    body.append(svg.text((left + WIDE) / 2, end + 33, f"{_load(strength)} ({unit})", size=11.5, anchor="middle"))
    body += _demands(x, asked, each, end)
    for row, (name, colour, band) in enumerate(rows):
        body += _bar(x, top + 44 * row, name, colour, band, unit, each)
    if each:
        body += _weights(x, end, each)
    height = end + (62 if each else 42)
    said = "; ".join(f"{name} {words.band(band, unit)}" for name, _, band in rows)
    alt = f"Failure loads with their bands: {said}" + "".join(f"; {d} {words.number(v, unit)}" for d, v in asked)
    return Picture(svg.document(WIDE, height, body, alt), alt, "Failure load with its band")


def _load(strength: Strength) -> str:
    return "failure load" if strength.quantity == "force" else "failure moment"


def _bar(x: Axis, top: float, name: str, colour: str, band: Band, unit: str, each: float | None) -> list[str]:
    middle = top + 15
    said = words.band(band, unit) if band.high > band.low else words.number(band.best, unit)
    if each:
        said += f"; {words.number(band.best / each)} body weights"
    return [
        svg.text(x.start - 10, middle + 4, name, size=12.5, anchor="end", weight=600),
        svg.rectangle(x.start, top + 5, x(band.best) - x.start, 20, fill=colour),
        svg.line((x(band.low), middle), (x(band.high), middle), stroke="#fff", width=4.2),
        svg.line((x(band.low), middle), (x(band.high), middle), width=1.8),
        *(svg.line((x(v), middle - 6), (x(v), middle + 6), width=1.8) for v in (band.low, band.high)),
        svg.text(x.start + 2, top + 37, said, size=11.5, halo="#fff"),
    ]


def _demands(x: Axis, asked: list[tuple[str, float]], each: float | None, end: float) -> list[str]:
    body = []
    for number, (said, value) in enumerate(asked):
        y = 16.0 + 16 * number
        body.append(svg.line((x(value), y + 4), (x(value), end), stroke=RED, width=1.6, dash="5 3"))
        shown = f"{said}: {words.number(value / each)} body weights" if each else said
        right = x(value) > (x.start + x.stop) / 2
        anchor, away = ("end", -4) if right else ("start", 4)
        body.append(svg.text(x(value) + away, y + 3, shown, size=11, fill=RED, anchor=anchor, halo="#fff"))
    return body


def _weights(x: Axis, end: float, each: float) -> list[str]:
    """Return a second axis in body weights."""
    axis = Axis(0, x.high / each, x.start, x.stop)
    y = end + 40
    body = [svg.line((axis.start, y), (axis.stop, y), stroke=svg.SOFT)]
    for tick in axis.ticks(6):
        body.append(svg.line((axis(tick), y), (axis(tick), y + 4), stroke=svg.SOFT))
        body.append(svg.text(axis(tick), y + 16, words.number(tick), size=11, fill=svg.SOFT, anchor="middle"))
    return [*body, svg.text(axis.start - 10, y + 14, "body weights", size=11, fill=svg.SOFT, anchor="end")]


def load_curve(strength: Strength) -> Picture | None:
    """Draw load over displacement with the elastic line and the failure point; None where no run went to failure."""
    every = (strength.now, strength.healed, strength.opposite)
    listed = zip(NAMES, COLOURS, DASHES, every, strict=True)
    runs = [(name, colour, dash, run) for name, colour, dash, run in listed if run is not None and run.curve]
    if not runs:
        return None
    unit, _, length = UNITS[strength.quantity]
    most = max(load for _, _, _, run in runs for _, load in run.curve)
    far = max(at for _, _, _, run in runs for at, _ in run.curve)
    x, y = Axis(0, far * 1.05, 50, WIDE - 12), Axis(0, most * 1.12, 230, 30)
    body = frame(x, y, f"{'displacement' if strength.quantity == 'force' else 'rotation'} ({length})", f"load ({unit})")
    for row, (name, colour, dash, run) in enumerate(runs):
        body += _tangent(x, y, run, colour)
        points: list[Point] = [(x(at), y(load)) for at, load in run.curve]
        body.append(svg.path(svg.polyline(points), stroke=colour, width=2.6 if row == 0 else 2.0, dash=dash))
        body += _ended(x, y, run, colour, unit, row)
        high = 284 + 19 * row
        body.append(svg.line((50, high), (84, high), stroke=colour, width=2.4, dash=dash))
        failed = _told(run, unit)
        body.append(svg.text(92, high + 4, f"{name}: {failed}", size=12, weight=600 if row == 0 else 400))
    low = 284 + 19 * len(runs)
    body.append(svg.line((50, low), (84, low), stroke=svg.SOFT, width=1, dash="1.5 2.5"))
    body.append(svg.text(92, low + 4, "elastic, as far as nothing yields", size=12))
    told = "; ".join(f"{name}: {_told(run, unit)}" for name, _, _, run in runs)
    alt = f"Load over displacement up to failure: {told}"
    return Picture(svg.document(WIDE, low + 12.0, body, alt), alt, "Load over displacement")


def _told(run: Run, unit: str) -> str:
    if run.failure_load is not None:
        return words.number(run.failure_load, unit)
    if run.at_least is not None:
        return f"at least {words.number(run.at_least, unit)}: nothing yielded"
    return "no failure within the run"


def _tangent(x: Axis, y: Axis, run: Run, colour: str) -> list[str]:
    reach = min(x.high, y.high / run.stiffness) if run.stiffness > 0 else 0.0
    return [svg.line((x(0), y(0)), (x(reach), y(run.stiffness * reach)), stroke=colour, width=1, dash="1.5 2.5")] if reach else []


def _ended(x: Axis, y: Axis, run: Run, colour: str, unit: str, row: int) -> list[str]:
    if run.failure_load is None or run.failure_at is None:
        return []
    at: Point = (x(run.failure_at), y(run.failure_load))
    body = [svg.circle(*at, 4.5, fill="#fff", stroke=colour, width=2.4)]
    if row == 0:
        said = f"failure {words.number(run.failure_load, unit)}"
        body.append(svg.text(at[0] - 8, at[1] + 20, said, size=11.5, anchor="end", weight=600, halo="#fff"))
    return body


def rigidity_picture(strength: Strength) -> Picture | None:
    """Draw rigidity slice by slice against the reference, beside the shadow of the bone; None without both."""
    rigid, ratio, maps = strength.rigidity, strength.rigidity_ratio, strength.maps
    if rigid is None or ratio is None or maps is None or not len(ratio.along_mm):
        return None
    along, across, ill = _shadow(strength, rigid)
    low, high = float(along.min()), float(along.max())
    pixels = float(np.clip((high - low) * 4.0, 200, 440))
    broad = float(np.ptp(across)) / max(high - low, 1e-6)
    pixels = max(170.0, min(pixels, BROADEST / max(broad, 1e-6)))
    y, wide, left = Axis(low, high, 44 + pixels, 44), broad * pixels, 16.0
    body = [*_silhouette(along, across, ill, y, left, pixels / max(high - low, 1e-6))]
    start = left + wide + 60
    x = Axis(
        0, max(1.3, 1.05 * max(float(np.nanmax(ratio.ratios[k])) for k in MEASURES if k in ratio.ratios)), start, start + 330
    )
    body += _ratios(ratio, x, y)
    worst = _worst(ratio)
    if worst is not None:
        body += _level(ratio, worst, x, y, left)
    width, height = max(x.stop + 170, 760.0), max(y.start + 46, 232.0)
    body += _key(ratio, x.stop + 16)
    told = "; ".join(f"{MEASURES[k][0]} {words.number(v)} at its least" for k, (v, _) in ratio.least.items() if k in MEASURES)
    flagged = (
        f"; flagged: {', '.join(MEASURES[k][0] for k in ratio.flagged if k in MEASURES)}" if ratio.flagged else "; none flagged"
    )
    alt = f"Rigidity over reference, slice by slice: {told}{flagged}"
    return Picture(svg.document(width, height, body, alt), alt, "Rigidity slice by slice")


def _shadow(strength: Strength, rigid: Rigidity) -> tuple[Array, Array, Array]:
    """Return for each cube of the bone its place along the axis, across it (the wider way), and whether it is lesion."""
    maps = strength.maps
    assert maps is not None
    index = np.argwhere(maps.bone)
    places = maps.grid.to_mm(index)
    axis = np.asarray(rigid.axis, float)
    flat = places - np.outer(places @ axis, axis)
    front = np.array([0.0, -1.0, 0.0]) - (-axis[1]) * axis
    right = (
        np.cross(axis, front) if np.linalg.norm(front) > 0.5 else np.linalg.svd(flat - flat.mean(0), full_matrices=False)[2][0]
    )
    right = right / np.linalg.norm(right)
    return (places - rigid.start_mm) @ axis, places @ right, maps.lesion[tuple(index.T)]


def _silhouette(along: Array, across: Array, ill: Array, y: Axis, left: float, scale: float) -> list[str]:
    body = []
    edge = float(across.min())
    cells = max((y.high - y.low) / 160, 0.5)
    for pick, fill, stroke in ((np.ones(len(along), bool), "#e2dbcc", svg.SOFT), (ill, ORANGE, "#7a4d00")):
        if not pick.any():
            continue
        rows = ((along[pick] - y.low) / cells).astype(int) + 2
        columns = ((across[pick] - edge) / cells).astype(int) + 2
        size = int(max(np.ptp(along), np.ptp(across)) / cells) + 8
        there = np.zeros((size, size), np.float32)
        there[rows, columns] = 1.0
        from scipy import ndimage

        d, points = outline_path(
            ndimage.gaussian_filter(ndimage.binary_closing(there, iterations=2).astype(np.float32), 0.8), 0.5
        )
        if points:
            # Rows run upwards along the axis.
            step = cells * scale
            turn = f"matrix({step:.4f} 0 0 {-step:.4f} {left - 2 * step:.2f} {y(y.low) + 2 * step:.2f})"
            body.append(f'<g transform="{turn}">{svg.path(d, fill=fill, stroke=stroke, width=1 / step, opacity=0.85)}</g>')
    return body


def _ratios(ratio: RigidityRatio, x: Axis, y: Axis) -> list[str]:
    limit = 1 - ratio.fall_percent / 100
    body = [svg.rectangle(x.start, y.stop, x(limit) - x.start, y.start - y.stop, fill="#f7ded3")]
    for tick in x.ticks(5):
        body.append(svg.line((x(tick), y.start), (x(tick), y.stop), stroke="#e4e8ec"))
        body.append(svg.text(x(tick), y.start + 16, words.number(tick), size=11, fill=svg.SOFT, anchor="middle"))
    for tick in y.ticks(6):
        body.append(svg.line((x.start - 4, y(tick)), (x.start, y(tick)), stroke=svg.SOFT))
        body.append(svg.text(x.start - 8, y(tick) + 4, words.number(tick), size=11, fill=svg.SOFT, anchor="end"))
    body.append(svg.line((x(limit), y.start), (x(limit), y.stop), stroke=RED, width=1.6, dash="7 3"))
    body.append(svg.line((x(1), y.start), (x(1), y.stop), stroke=svg.SOFT, width=1))
    body.append(svg.text((x.start + x.stop) / 2, y.start + 34, "rigidity now over reference", size=11.5, anchor="middle"))
    body.append(svg.text(x.start - 34, y.stop - 12, "along the axis (mm)", size=11.5))
    for key, (_, colour, dash) in MEASURES.items():
        if key not in ratio.ratios:
            continue
        values = np.asarray(ratio.ratios[key], float)
        points: list[Point] = [
            (x(float(np.clip(v, 0, x.high))), y(float(at)))
            for v, at in zip(values, ratio.along_mm, strict=True)
            if np.isfinite(v)
        ]
        body.append(svg.path(svg.polyline(points), stroke=colour, width=2.0, dash=dash))
    return body


def _worst(ratio: RigidityRatio) -> str | None:
    shown = {key: ratio.least[key] for key in MEASURES if key in ratio.least}
    return min(shown, key=lambda key: shown[key][0]) if shown else None


def _level(ratio: RigidityRatio, worst: str, x: Axis, y: Axis, left: float) -> list[str]:
    """Mark the weakest level across the bone and the chart."""
    value, at = ratio.least[worst]
    high, colour = y(at), RED if worst in ratio.flagged else svg.SOFT
    said = ("flagged" if worst in ratio.flagged else "weakest level") + f": {words.number(100 * value, '%')}"
    return [
        svg.line((left - 12, high), (x(min(value, x.high)), high), stroke=colour, width=1.6, dash="4 2"),
        svg.circle(x(min(value, x.high)), high, 4.5, fill="#fff", stroke=colour, width=2.2),
        svg.text(x.start + 6, y.start - 8, f"{said} at {words.number(at, 'mm')}", size=12, weight=700, fill=colour, halo="#fff"),
    ]


def _key(ratio: RigidityRatio, left: float) -> list[str]:
    body = []
    for row, (key, (name, colour, dash)) in enumerate(MEASURES.items()):
        high = 60.0 + 40 * row
        body.append(svg.line((left, high), (left + 28, high), stroke=colour, width=2.2, dash=dash))
        body.append(svg.text(left + 34, high + 4, name, size=12, weight=600))
        if key in ratio.least:
            body.append(
                svg.text(left + 34, high + 19, f"least {words.number(100 * ratio.least[key][0], '%')}", size=11.5, fill=svg.SOFT)
            )
    body.append(svg.rectangle(left, 182, 28, 12, fill="#f7ded3"))
    body.append(svg.text(left + 34, 192, f"fall over {words.number(ratio.fall_percent, '%')}", size=12))
    body.append(svg.rectangle(left, 204, 28, 12, fill=ORANGE))
    body.append(svg.text(left + 34, 214, "lesion", size=12))
    return body
