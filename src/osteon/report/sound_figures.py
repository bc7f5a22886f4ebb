"""Pictures of a sonication: pressure, heat, temperature in planes through the beam over grey anatomy; curves by their reference.

The transducer is above, sound runs downwards. Colours are viridis (pressure, linear), cividis (heat, logarithmic) and inferno
(temperature from 40 °C), perceptually uniform and safe for the colour-blind; where a field is weak the anatomy shows through.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from osteon.errors import InputError
from osteon.report.figures import WINDOW_LEVEL, WINDOW_WIDTH
from osteon.report.planes import letter
from osteon.space.volume import Array, Volume
from osteon.treatments.focused_ultrasound.cuts import indices_of, planes_through
from osteon.treatments.focused_ultrasound.scheme import Cut
from osteon.treatments.focused_ultrasound.sonication import Sonication

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Shown = Literal["pressure", "heat", "temperature"]
UNITS: dict[Shown, tuple[str, str, float]] = {
    "pressure": ("pressure amplitude", "MPa", 1e-6),
    "heat": ("heat", "W/cm³", 1e-6),
    "temperature": ("highest temperature", "°C", 1.0),
}
MAPS: dict[Shown, str] = {"pressure": "viridis", "heat": "cividis", "temperature": "inferno"}
WARM_C = 40.0  # of temperature, where its colour begins
DECADES = 3.0  # of heat that are shown
FAINT, FULL = 0.05, 0.35  # shares of the peak between which a field turns from clear to solid
BAR_MM = (5, 10, 20, 50)
HEAD_FOOT = str.maketrans("SI", "HF")
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#5b6875"
DPI = 130


@dataclass(frozen=True, eq=False)
class Outline:
    """What is outlined in a plane: its words, how much of each sample is inside (z, x), colour, dash, and of what field alone."""

    name: str
    inside: Array
    colour: str
    dash: str = "-"
    only: Shown | None = None


@dataclass(frozen=True, eq=False)
class BeamPlane:
    """A plane through the axis of a beam.

    Parameters
    ----------
    name : str
        What it is, for the title.
    depth_mm, across_mm : ndarray, shapes (z,), (x,)
        Places of the samples: along the beam from the transducer's vertex, and across.
    amplitude_pa : ndarray, shape (z, x)
        Pressure.
    heat_w_m3 : ndarray, shape (z, x), optional
        Power turned into heat.
    grey : ndarray, shape (z, x), optional
        0 (black) to 1: the anatomy.
    solid : ndarray of bool, shape (z, x), optional
        Bone, to be outlined.
    focus_mm : tuple of float, optional
        Depth and place across of the focus that was asked for.
    letters : tuple of str, optional
        Patient directions at the left, right, top and bottom edge.
    grey_words : str
        How the grey is to be read.
    temperature_c : ndarray, shape (z, x), optional
        Highest temperature; not a number where it is not known.
    outlines : tuple of Outline
        Structures that the plane crosses.
    """

    name: str
    depth_mm: Array
    across_mm: Array
    amplitude_pa: Array
    heat_w_m3: Array | None = None
    grey: Array | None = None
    solid: Array | None = None
    focus_mm: tuple[float, float] | None = None
    letters: tuple[str, str, str, str] | None = None
    grey_words: str = ""
    temperature_c: Array | None = None
    outlines: tuple[Outline, ...] = ()

    def __post_init__(self) -> None:
        shape = (len(self.depth_mm), len(self.across_mm))
        others = (
            self.amplitude_pa,
            self.heat_w_m3,
            self.grey,
            self.solid,
            self.temperature_c,
            *(o.inside for o in self.outlines),
        )
        if any(a is not None and a.shape != shape for a in others) or not np.isfinite(self.amplitude_pa).all():
            raise InputError(
                f"A plane of {shape} samples has fields of other shapes, or a pressure that is no number.",
                "Anatomy and field would be drawn in different places.",
                "Give every field as (depth, across) on the same samples.",
            )


def planes_of(sonication: Sonication, image: Volume | None = None) -> tuple[BeamPlane, BeamPlane]:
    """Return the two planes of a sonication that hold the beam's direction and the focus.

    Parameters
    ----------
    sonication : Sonication
        What was computed.
    image : Volume, optional
        CT in HU; without it the media's impedance is shown in grey.
    """
    made = []
    for cut, at in zip(planes_through(sonication), indices_of(sonication), strict=True):
        if image is None:
            made.append(plane_of(cut, _impedance_grey(sonication, sonication.labels.array[at]), "grey: impedance"))
        else:
            made.append(plane_of(cut, *ct_grey(image, cut.places_mm())))
    return made[0], made[1]


def plane_of(
    cut: Cut, grey: Array | None, grey_words: str, temperature_c: Array | None = None, outlines: tuple[Outline, ...] = ()
) -> BeamPlane:
    """Return a cut with what lies beneath and over it; arguments as ``BeamPlane``."""
    right, down = cut.pose.axes[:, cut.axis], cut.pose.axes[:, 2]
    west, east, north, south = (letter(d).translate(HEAD_FOOT) for d in (-right, right, -down, down))
    return BeamPlane(
        f"along the beam, {west} to {east}", cut.depth_mm, cut.across_mm, cut.amplitude_pa, cut.heat_w_m3, grey, cut.solid,
        cut.focus_mm, (west, east, north, south), grey_words, temperature_c, outlines,
    )  # fmt: skip


def ct_grey(image: Volume, places_mm: Array) -> tuple[Array, str]:
    """Return a CT at some places as grey, 0 (black, also outside) to 1, and the words for it."""
    values = np.nan_to_num(image.sample(places_mm, fill=-1000.0), nan=-1000.0)
    grey = np.clip((values - WINDOW_LEVEL) / WINDOW_WIDTH + 0.5, 0, 1)
    return np.asarray(grey), f"CT, L {WINDOW_LEVEL:.0f} W {WINDOW_WIDTH:.0f} HU"


def _impedance_grey(sonication: Sonication, labels: Array) -> Array:
    impedance = np.array([m.density_kg_m3 * m.speed_m_s for m in sonication.media])
    return np.asarray(np.clip((impedance[labels] / 1e6 - 1.2) / 5.0, 0, 1))


def sections(planes: Sequence[BeamPlane], title: str, note: str = "", *, beside: bool = False) -> Figure:
    """Draw pressure, and heat and highest temperature where they are known, in planes through a beam.

    Parameters
    ----------
    planes : sequence of BeamPlane
        One column each.
    title : str
        Over all.
    note : str
        Below all: what a reader must know.
    beside : bool
        True: one row for each plane, and the fields side by side.
    """
    shown = [name for name in UNITS if all(_field(p, name) is not None for p in planes)]
    broad = max(float(np.ptp(p.across_mm)) for p in planes)
    deep = max(float(np.ptp(p.depth_mm)) for p in planes)
    columns, rows = (len(shown), len(planes)) if beside else (len(planes), len(shown))
    wide = 3.7 * columns + 0.5 if beside else 4.6 * columns + 0.9
    figure = _figure(wide, min(9.0, (3.3 if beside else 4.2) * deep / broad) * rows + (1.9 if beside else 1.3))
    grid = figure.subplots(rows, columns, squeeze=False)
    for i, name in enumerate(shown):
        panels = [grid[j][i] if beside else grid[i][j] for j in range(len(planes))]
        values = [_values(p, name) for p in planes]
        top = max(float(np.nanmax(v)) if np.isfinite(v).any() else 0.0 for v in values)
        painted: Any = None
        for axes, plane, field in zip(panels, planes, values, strict=True):
            painted = _panel(axes, plane, name, field, top)
            if i == 0 and not beside:
                axes.set_title(plane.name, fontsize=10.5)
        words, unit, _ = UNITS[name]
        if beside:
            panels[0].set_title(words, fontsize=10.5)
            for axes, plane in zip(panels, planes, strict=True):
                axes.set_ylabel(f"{plane.name}\ndepth (mm)" if i == 0 else "", fontsize=9)
            bar = figure.colorbar(painted, ax=panels, shrink=0.82, pad=0.01, aspect=28, orientation="horizontal")
        else:
            bar = figure.colorbar(painted, ax=panels, shrink=0.82, pad=0.015, aspect=28)
        bar.set_label(f"{words} ({unit}{', logarithmic' if name == 'heat' else ''})", fontsize=10)
        bar.ax.tick_params(labelsize=9)
    figure.suptitle(title, fontsize=12, fontweight="bold", x=0.01, ha="left")
    if note:
        figure.supxlabel(note, fontsize=9, color=GREY, x=0.01, ha="left", wrap=True)
    return figure


def _field(plane: BeamPlane, shown: Shown) -> Array | None:
    return {"pressure": plane.amplitude_pa, "heat": plane.heat_w_m3, "temperature": plane.temperature_c}[shown]


def _values(plane: BeamPlane, shown: Shown) -> Array:
    field = _field(plane, shown)
    assert field is not None
    return np.asarray(field * UNITS[shown][2], float)


def _panel(axes: Axes, plane: BeamPlane, shown: Shown, values: Array, top: float) -> Any:
    """Draw one panel and return what its colour bar belongs to."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize

    extent = _extent(plane)
    if plane.grey is not None:
        axes.imshow(0.08 + 0.8 * plane.grey, extent=extent, cmap="gray", vmin=0, vmax=1, aspect="equal", interpolation="nearest")
    top = top if top > 0 else 1.0
    if shown == "temperature":
        top = max(top, WARM_C + 1.0)
        norm = Normalize(WARM_C, top)
        level = np.nan_to_num((values - WARM_C) / 2.0)
        values = np.nan_to_num(values, nan=0.0)
    else:
        norm = Normalize(0, top) if shown == "pressure" else LogNorm(top / 10**DECADES, top)
        share = np.clip(values / top, 1e-12, 1.0)
        level = (share - FAINT) / (FULL - FAINT) if shown == "pressure" else 1 + np.log10(share) / DECADES + 0.15
    mapped = ScalarMappable(norm, MAPS[shown])
    colours = colormaps[MAPS[shown]](norm(np.maximum(values, top * 1e-12)))
    colours[..., 3] = np.clip(level, 0.0, 0.9) if plane.grey is not None else 1.0
    axes.imshow(colours, extent=extent, aspect="equal", interpolation="nearest")
    if plane.solid is not None:
        _line(axes, plane, plane.solid, "#ffffff", 1.0)
    for outline in plane.outlines:
        if outline.only in (None, shown):
            _line(axes, plane, outline.inside, outline.colour, 1.5, outline.dash)
    if shown == "pressure":
        half = float(values.max()) / 2
        axes.contour(plane.across_mm, plane.depth_mm, values, [half], colors="#E69F00", linewidths=1.3, linestyles="--")
    _furniture(axes, plane, extent)
    return mapped


def _line(axes: Axes, plane: BeamPlane, inside: Array, colour: str, wide: float, dash: str = "-") -> None:
    """Draw the edge of something, black beneath so that it is seen on light and dark ground."""
    places, values = (plane.across_mm, plane.depth_mm), inside.astype(float)
    if not values.min() < 0.5 < values.max():
        return
    axes.contour(*places, values, [0.5], colors="#000000", linewidths=wide + 1.2)
    axes.contour(*places, values, [0.5], colors=colour, linewidths=wide, linestyles=dash)


def _extent(plane: BeamPlane) -> tuple[float, float, float, float]:
    across, depth = (float(np.median(np.diff(a))) / 2 for a in (plane.across_mm, plane.depth_mm))
    ends = (plane.across_mm[0] - across, plane.across_mm[-1] + across, plane.depth_mm[-1] + depth, plane.depth_mm[0] - depth)
    return float(ends[0]), float(ends[1]), float(ends[2]), float(ends[3])


def _furniture(axes: Axes, plane: BeamPlane, extent: tuple[float, float, float, float]) -> None:
    """Draw scale bar, letters, focus and the transducer's side."""
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2.6, foreground="#000000")]
    left, right, bottom, top = extent
    wide, high = right - left, bottom - top
    word: dict[str, Any] = {"color": "#ffffff", "path_effects": halo, "fontsize": 10, "fontweight": "bold"}
    length = max((b for b in BAR_MM if b < 0.4 * wide), default=BAR_MM[0])
    at = bottom - 0.035 * high
    axes.plot([left + 0.04 * wide, left + 0.04 * wide + length], [at, at], color="#ffffff", lw=3, path_effects=halo)
    axes.text(left + 0.04 * wide, at - 0.02 * high, f"{length} mm", ha="left", va="bottom", **{**word, "fontsize": 9})
    if plane.letters is not None:
        west, east, _, south = plane.letters
        for x, y, said, ha, va in (
            (left + 0.02 * wide, (top + bottom) / 2, west, "left", "center"),
            (right - 0.02 * wide, (top + bottom) / 2, east, "right", "center"),
            ((left + right) / 2, bottom - 0.02 * high, south, "center", "bottom"),
        ):
            axes.text(x, y, said, ha=ha, va=va, **word)
    north = f"transducer ({plane.letters[2]})" if plane.letters is not None else "transducer"
    axes.annotate(
        "", ((left + right) / 2, top + max(0.075 * high, 0.05 * wide)), ((left + right) / 2, top + 0.005 * high),
        arrowprops={"arrowstyle": "-|>", "color": "#ffffff", "lw": 2.0, "path_effects": halo},
    )  # fmt: skip
    axes.text((left + right) / 2 + 0.03 * wide, top + 0.02 * high, north, ha="left", va="top", **{**word, "fontsize": 9})
    if plane.focus_mm is not None:
        depth, across = plane.focus_mm
        axes.plot([across], [depth], marker="+", ms=13, mew=1.8, color="#ffffff", path_effects=halo, ls="none")
    if plane.grey_words:
        small = {**word, "fontsize": 8, "fontweight": "normal"}
        axes.text(left + 0.02 * wide, top + 0.02 * high, plane.grey_words, ha="left", va="top", **small)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_xlabel("across (mm)", fontsize=9)
    axes.set_ylabel("depth along the beam (mm)", fontsize=9)
    axes.tick_params(labelsize=8.5)


@dataclass(frozen=True, eq=False)
class Curve:
    """A curve: its words, places, values; a ``reference`` is drawn wide and grey beneath the others, ``dash`` as matplotlib."""

    name: str
    x: Array
    y: Array
    reference: bool = False
    dash: str = "-"


def curves(
    panels: Sequence[tuple[str, str, str, Sequence[Curve]]],
    title: str,
    *,
    note: str = "",
    shade: Sequence[tuple[float, float, str]] = (),
) -> Figure:
    """Draw curves of ours beside their references.

    Parameters
    ----------
    panels : sequence of (title, x label, y label, curves)
        Side by side.
    title, note : str
        Over and below all.
    shade : sequence of (from, to, name)
        Bands along x in every panel, for example a plate of bone.
    """
    figure = _figure(5.2 * len(panels) + 0.4, 4.4)
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (name, x_words, y_words, shown) in zip(grid, panels, strict=True):
        for begin, end, words in shade:
            axes.axvspan(begin, end, color="#d9cfb8", lw=0, label=words)
        colours = iter((BLUE, ORANGE, "#009E73", "#CC79A7", "#56B4E9"))
        for curve in sorted(shown, key=lambda c: not c.reference):
            if curve.reference:
                axes.plot(curve.x, curve.y, color="#9aa3ac", lw=4.5, label=curve.name, solid_capstyle="butt")
            else:
                axes.plot(curve.x, curve.y, color=next(colours), lw=1.6, ls=curve.dash, label=curve.name)
        axes.set_title(name, fontsize=10.5)
        axes.set_xlabel(x_words, fontsize=9.5)
        axes.set_ylabel(y_words, fontsize=9.5)
        axes.tick_params(labelsize=8.5)
        axes.grid(color="#e4e8ec", lw=0.8)
        axes.set_axisbelow(True)
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=8.5, framealpha=0.9, loc="best")
    figure.suptitle(title, fontsize=12, fontweight="bold", x=0.01, ha="left")
    if note:
        figure.supxlabel(note, fontsize=9, color=GREY, x=0.01, ha="left")
    return figure


def _figure(wide: float, high: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(wide, high), dpi=DPI, layout="constrained", facecolor="#ffffff")
    FigureCanvasAgg(figure)
    return figure


def png_of(figure: Figure, colours: int | None = None) -> bytes:
    """Return a picture as PNG; ``colours`` reduces it to a palette, for a small file.

    It holds neither date nor version, so that equal input gives equal bytes.
    """
    from PIL import Image

    drawn, out = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    picture = Image.open(drawn).convert("RGB")
    few = picture.quantize(colours, Image.Quantize.MEDIANCUT, kmeans=4) if colours else picture
    few.save(out, format="PNG", optimize=True)
    return out.getvalue()


def write_png(figure: Figure, path: Path, colours: int | None = None) -> Path:
    """Write a picture as ``png_of`` gives it and return where."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png_of(figure, colours))
    return path
