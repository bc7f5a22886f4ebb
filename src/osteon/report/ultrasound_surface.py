"""The places of sonications on the surface of the bone, seen as the array sees them and from the side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from osteon.report import svg, words
from osteon.report.figures import Picture
from osteon.report.planes import letter
from osteon.report.strength_surface import PIXELS, SHOWN, View, drawn, lit
from osteon.report.surface import COLOURS, Surface, bones_on, soft_of, surface_of
from osteon.report.ultrasound_figures import STATE_WORDS, State, dosed_of, mark, numbers_of, state_of
from osteon.space.anatomy import Anatomy, Kind
from osteon.space.volume import Array, Grid
from osteon.treatments.focused_ultrasound.scheme import Scheme
from osteon.treatments.focused_ultrasound.shots import Aim

NEAR: tuple[Kind, ...] = ("nerve", "cord", "vessel", "bowel")  # drawn beside bone and lesion where they are outlined
OTHER = (204, 151, 214)
BESIDE_MM, LEAST_HALF_MM, MOST_HALF_MM = 32.0, 45.0, 110.0  # of the turned view, which shows where on the bone
CLOSE_MM, LEAST_CLOSE_MM = 9.0, 18.0  # of the view of the array, which shows the numbers
CELLS = 110  # of the grid of the picture along a side
TINTS: dict[State, tuple[int, int, int]] = {"given": (118, 168, 206), "part": (168, 208, 232), "not given": (236, 166, 120)}
TREATED_MM = 1.6  # how near the surface lies to a treated place that it is tinted, and a cell of the grid
TURNED_DEG = 68.0
HIDDEN_MM = 5.0  # a place so far behind what is drawn before it is drawn faint
GAP, TOP = 16.0, 24.0
LEAST_RADIUS, MOST_RADIUS, CROSS = 4.5, 8.0, 0.75  # of the mark of a place; of a cross, in parts of it


@dataclass(frozen=True, eq=False)
class _Part:
    """A surface with one colour for each vertex."""

    surface: Surface
    colours: Array


def cells_figure(scheme: Scheme, whole: Anatomy, stamp: str = "") -> Picture | None:
    """Draw where each sonication goes on the surface of the bone, numbered as in the list; None where there is none.

    Parameters
    ----------
    scheme : Scheme
        With a session, or with approaches that were tried.
    whole : Anatomy
        Outlines; where no bone is outlined its surface is drawn at 220 HU.
    stamp : str
        Written below: what a reader of the picture alone must know.
    """
    aims = [d.aim for d in dosed_of(scheme)]
    if not aims or not len(scheme.face_mm):
        return None
    spots = np.array([a.spot_mm for a in aims])
    places = np.concatenate([np.asarray(scheme.face_mm, float), spots])
    centre = 0.5 * (places.min(0) + places.max(0))
    reach = float(np.linalg.norm(places - centre, axis=1).max())
    half = float(np.clip(reach + BESIDE_MM, LEAST_HALF_MM, MOST_HALF_MM))
    close = min(max(reach + CLOSE_MM, LEAST_CLOSE_MM), half)
    parts, shown = _parts(scheme, whole, Grid.box(centre - half, centre + half, 2 * half / CELLS))
    if not parts:
        return None
    body: list[str] = []
    views = _views(np.asarray(aims[0].beam), centre, (close, half), parts, spots)
    for i, (title, view) in enumerate(views):
        body += _panel(title, view, parts, scheme, aims, i * (SHOWN + GAP))
    body += _legend(SHOWN + TOP + 18, {state_of(scheme, a.id) for a in aims}, stamp)
    alt = (
        f"Places of {len(aims)} sonications on the surface, {' and '.join(t + ' (' + v.words + ')' for t, v in views)}; drawn: "
        f"bone{''.join(', ' + n for n in shown)}; scale bar 20 mm; "
        + "; ".join(f"{a.id}: {state_of(scheme, a.id)}" for a in aims)
    )
    return Picture(svg.document(2 * SHOWN + GAP, SHOWN + TOP + 52, body, alt), alt, f"Drawn: {words.joined(['bone', *shown])}")


def _parts(scheme: Scheme, whole: Anatomy, grid: Grid) -> tuple[list[_Part], list[str]]:
    """Return bone tinted where it is treated, the lesion, and what must be spared near it; and the names beside bone."""
    parts, shown = [], []
    bones = bones_on(whole, grid)
    made = None if bones is None else surface_of(bones, 0.5, COLOURS["bone"])
    if made is not None:
        parts.append(_Part(made, _tinted(made, scheme, float(grid.spacing_mm[0]))))
    for which in sorted(whole.of_kind("lesion", *NEAR), key=lambda s: s.id):
        if which.id in ("target", "uncovered"):
            continue
        fine = soft_of(whole.masks[which], grid, 0.5)
        surface = (
            None if fine is None else surface_of(fine, 0.5 if which.kind == "lesion" else 0.4, COLOURS.get(which.kind, OTHER))
        )
        if surface is None:
            continue
        plain = np.repeat(np.array([surface.colour], np.float32), len(surface.vertices_mm), 0)
        parts.append(_Part(surface, _tinted(surface, scheme, float(grid.spacing_mm[0])) if which.kind == "lesion" else plain))
        shown.append(which.name)
    return parts, shown


def _tinted(surface: Surface, scheme: Scheme, step_mm: float) -> Array:
    """Return the colour of each vertex: its own, or where it is treated that of the nearest sonication."""
    colours = np.repeat(np.array([surface.colour], np.float32), len(surface.vertices_mm), 0)
    gap, _ = cKDTree(scheme.face_mm).query(surface.vertices_mm)
    aims = [d.aim for d in dosed_of(scheme)]
    _, nearest = cKDTree([a.spot_mm for a in aims]).query(surface.vertices_mm)
    tints = np.array([TINTS[state_of(scheme, a.id)] for a in aims], np.float32)
    treated = gap <= TREATED_MM + step_mm
    colours[treated] = tints[nearest[treated]]
    return colours


def _views(beam: Array, centre: Array, halves: tuple[float, float], parts: list[_Part], spots: Array) -> list[tuple[str, View]]:
    """Return the view of the array and one turned by 68 degrees, of four the one in which least bone hides the places."""
    close, half = halves
    first = _view(-beam, centre, close)
    angle = np.radians(TURNED_DEG)
    turned = [np.cos(angle) * first.toward + np.sin(angle) * s * a for a in (first.right, first.up) for s in (1.0, -1.0)]
    drawn_at = cKDTree(np.concatenate([p.surface.vertices_mm for p in parts]))
    hidden = []
    for toward in turned:
        ahead = spots[:, None, :] + np.arange(2 * HIDDEN_MM, 2 * half, 2.0)[None, :, None] * toward
        hidden.append(int((drawn_at.query(ahead.reshape(-1, 3))[0].reshape(len(spots), -1) < 2.0).any(axis=1).sum()))
    return [
        ("as the array sees it", first),
        (f"turned by {TURNED_DEG:.0f}°", _view(turned[int(np.argmin(hidden))], centre, half)),
    ]


def _view(toward: Array, centre: Array, half: float) -> View:
    toward = toward / np.linalg.norm(toward)
    up = np.array([0.0, 0.0, 1.0]) - toward[2] * toward
    if np.linalg.norm(up) < 0.2:
        up = np.array([0.0, -1.0, 0.0]) + toward[1] * toward
    up /= np.linalg.norm(up)
    return View(np.cross(up, toward), up, toward, centre, half)


def _raster(view: View, parts: list[_Part]) -> tuple[Array, Array]:
    """Return the shaded picture as bytes, averaged two by two, and the depth of each drawn pixel [mm towards the viewer]."""
    colour, depth = np.full((PIXELS, PIXELS, 3), 255.0, np.float32), np.full((PIXELS, PIXELS), -np.inf, np.float32)
    for part in parts:
        near, shade, painted = drawn(view, part.surface, part.colours)
        nearer = near > depth
        colour[nearer] = (painted * lit(shade)[..., None])[nearer]
        depth = np.maximum(depth, near)
    filled = np.where(np.isfinite(depth), depth, -500.0)
    jump = ndimage.maximum_filter(filled, 3) - ndimage.minimum_filter(filled, 3)
    colour = colour * np.where(jump > 4.0, 0.6, 1.0)[..., None]
    side = len(depth) // 2
    small = colour.reshape(side, 2, side, 2, 3).mean((1, 3))
    return np.clip(small, 0, 255).round().astype(np.uint8), depth


def _seen(view: View, depth: Array, places: Array) -> Array:
    """Return which places are not hidden behind what is drawn."""
    at = np.clip((view.place(places) / SHOWN * len(depth)).astype(int), 0, len(depth) - 1)
    own = (places - view.centre_mm) @ view.toward
    return np.asarray(depth[at[:, 1], at[:, 0]] - own <= HIDDEN_MM)


def _panel(title: str, view: View, parts: list[_Part], scheme: Scheme, aims: list[Aim], left: float) -> list[str]:
    """Return one view: surfaces, beam, places with their numbers, letters and scale."""
    picture, depth = _raster(view, parts)
    spots = np.array([a.spot_mm for a in aims])
    seen, at = _seen(view, depth, spots), view.place(spots)
    body = [svg.image(picture, 0, 0, SHOWN, SHOWN), svg.rectangle(0, 0, SHOWN, SHOWN, stroke=svg.RULE)]
    body += _beam(view, aims, at)
    radius, numbered, named = _room(at)
    states = [state_of(scheme, a.id) for a in aims]
    for i in sorted(range(len(aims)), key=lambda i: (bool(seen[i]), states[i] != "not given")):
        number = numbers_of(scheme).get(aims[i].id)
        label = "" if number is None else str(number)
        label = aims[i].id if number is None and named else label if numbered else ""
        size = radius if number is not None else CROSS * radius
        body += _spot(float(at[i, 0]), float(at[i, 1]), states[i], label, size, bool(seen[i]))
    body += _furniture(view)
    heading = svg.text(left, 15, f"{title[:1].upper()}{title[1:]}, {view.words}", size=11.5, weight=600)
    return [heading, f'<g transform="translate({svg.coordinate(left)} {svg.coordinate(TOP)})">', *body, "</g>"]


def _room(at: Array) -> tuple[float, bool, bool]:
    """Return how large the mark of a place may be among its neighbours, whether a number fits into it, and a name beside it."""
    if len(at) < 2:
        return MOST_RADIUS, True, True
    gap = float(np.median(cKDTree(at).query(at, k=2)[0][:, 1]))
    return float(np.clip(0.5 * gap, LEAST_RADIUS, MOST_RADIUS)), gap >= 2 * LEAST_RADIUS, gap >= 3 * MOST_RADIUS


def _spot(x: float, y: float, state: State, label: str, radius: float, seen: bool) -> list[str]:
    """Return the mark of one place with its number, or with its name where it is not given."""
    disc = mark(x, y, state, radius)
    if label and state == "part":  # a core wide enough for its number
        disc = [disc[0], svg.circle(x, y, 0.76 * radius, fill="#fff")]
    size = round(1.2 * radius, 1)
    said = ""
    if label and state == "not given":
        said = svg.text(x, y - radius - 1.5, label, size=min(size, 8.5), anchor="middle", weight=600, halo="#fff")
    elif label:
        fill = "#fff" if state == "given" else svg.INK
        said = svg.text(x, y + 0.36 * size, label, size=size, fill=fill, anchor="middle", weight=700)
    return ["<g>" if seen else '<g opacity="0.45">', *disc, said, "</g>"]


def _beam(view: View, aims: list[Aim], at: Array) -> list[str]:
    """Return the way sound goes: an arrow onto the middle place, or a ring with a cross where it goes into the picture."""
    beam = np.asarray(aims[0].beam)
    flat = np.array([beam @ view.right, -(beam @ view.up)])
    if np.linalg.norm(flat) < 0.35:
        x, y = SHOWN - 18.0, SHOWN - 18.0
        ring = [svg.circle(x, y, 9, fill="#fff", stroke=svg.INK, width=1.8)]
        ring += [svg.line((x - 6, y + s * 6), (x + 6, y - s * 6), width=1.8) for s in (1, -1)]
        return [*ring, svg.text(x - 14, y + 4, "sound goes in", size=10.5, anchor="end", weight=600, halo="#fff")]
    middle = at[np.linalg.norm(at - at.mean(axis=0), axis=1).argmin()]
    flat = flat / np.linalg.norm(flat)
    out = float(((middle - at) @ flat).max()) + 12.0  # the arrow ends before the outermost place
    tip, tail = middle - out * flat, middle - (out + 46.0) * flat
    across = np.array([-flat[1], flat[0]])
    head = [tip, tip - 11 * flat + 5 * across, tip - 11 * flat - 5 * across]
    neck = tip - 9 * flat
    body = [
        svg.line((float(tail[0]), float(tail[1])), (float(neck[0]), float(neck[1])), stroke=stroke, width=width)
        for stroke, width in (("#fff", 5.5), (svg.INK, 2.8))
    ]
    body.append(svg.path(svg.polyline([(float(a), float(b)) for a, b in head], True), fill=svg.INK, stroke="#fff", width=0.8))
    word = np.clip(tail, 18, SHOWN - 18)
    body.append(svg.text(float(word[0]), float(word[1]) - 8, "sound", size=11, anchor="middle", weight=700, halo="#fff"))
    return body


def _furniture(view: View) -> list[str]:
    """Return letters of the patient at the four edges, and the scale."""
    middle, bar = SHOWN / 2, 20.0 * SHOWN / (2 * view.half_mm)
    edges = (
        (letter(-view.right), 7.0, middle + 5, "start"),
        (letter(view.right), SHOWN - 7, middle + 5, "end"),
        (letter(view.up), middle, 17.0, "middle"),
        (letter(-view.up), middle, SHOWN - 7, "middle"),
    )
    body = [svg.text(x, y, said, size=15, weight=700, anchor=anchor, halo="#fff") for said, x, y, anchor in edges]
    base = SHOWN - 11
    body.append(svg.line((10, base), (10 + bar, base), stroke="#fff", width=6))
    body.append(svg.line((10, base), (10 + bar, base), width=2.5))
    return [*body, svg.text(10, base - 7, "20 mm", size=11, weight=600, halo="#fff")]


def _legend(top: float, states: set[State], stamp: str) -> list[str]:
    body: list[str] = []
    x = 4.0
    for state in (s for s in STATE_WORDS if s in states):
        body += mark(x + 7, top, state, 6.5)
        body.append(svg.text(x + 19, top + 4, STATE_WORDS[state], size=11))
        x += 34 + svg.width_of(STATE_WORDS[state], 10.5)
    if stamp:
        body.append(svg.text(2 * SHOWN + GAP, top + 22, words.sentence(stamp), size=12, weight=700, anchor="end"))
    told = "tinted: the surface that is meant; faint: behind the bone"
    body.append(svg.text(4, top + 22, told, size=11, fill=svg.SOFT))
    return body
