"""The acoustic window drawn on the skin: from where how much of an array sees the target, and what cannot be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from osteon.errors import NotOutlinedError
from osteon.report import svg
from osteon.report.figures import STYLES, Picture
from osteon.report.planes import letter
from osteon.report.surface import Camera
from osteon.space.anatomy import Anatomy, Structure
from osteon.treatments.focused_ultrasound.access import Window
from osteon.treatments.focused_ultrasound.access_looks import array_parts
from osteon.treatments.focused_ultrasound.access_scene import number

Array = np.ndarray[Any, np.dtype[Any]]
SIDE, GAP, TOP, LEFT = 300.0, 26.0, 58.0, 22.0
PIXEL_MM = 1.6
LEAST_HALF_MM, MOST_HALF_MM, BESIDE_MM = 60.0, 170.0, 12.0
BETWEEN_MM = 22.0  # farther than this from every entry that was tried, nothing is known of the skin
NEIGHBOURS = 4
HATCH, GREY, DARK_GREY, PALE = 6, 176, 118, 226
BLANK, SKIN, CUT = 0, 1, 2


@dataclass(frozen=True, eq=False)
class _View:
    """One view of the skin: camera, kind of each pixel, its place (LPS mm), share and whether that cannot be told."""

    title: str
    camera: Camera
    kind: Array
    share: Array
    unknown: Array
    shade: Array

    def place(self, mm: Array) -> Array:
        """Return LPS points (..., 3) as x, y of the picture, from the view's own corner."""
        right, up, _ = self.camera.axes
        offset = np.asarray(mm, float) - np.asarray(self.camera.centre_mm)
        flat = np.stack([offset @ right, -(offset @ up)], -1)
        return np.asarray((flat / self.camera.half_mm + 1) * SIDE / 2)


def sound_window_figure(window: Window, anatomy: Anatomy, target: Structure) -> Picture:
    """Draw the skin as the array sees it, and turned by 90 degrees, coloured by the share of the array that sees the target.

    Colour is the share (cividis); a black line runs where just enough sees. Skin of which it cannot be told, and the cut where
    the image ends, are grey and hatched; skin where no axis to the lesion comes out is plain light grey.

    Parameters
    ----------
    window : Window
        From ``access.search_window``.
    anatomy : Anatomy
        The same that was searched.
    target : Structure
        The same target.

    Returns
    -------
    Picture
        SVG with its description and caption.

    Raises
    ------
    NotOutlinedError
        If the target or the body is not outlined.
    """
    bodies = anatomy.of_kind("body")
    if not bodies:
        raise NotOutlinedError(
            "The body is not outlined.", "The picture shows its skin.", "Outline the body, or take the anatomy of the assessment."
        )
    box = anatomy.mask(target).box()
    if box is None:
        raise NotOutlinedError(
            f"The {target.name} is not outlined.", "The picture shows where it is.", f"Outline the {target.name} in case.yaml."
        )
    views = _views(window, anatomy, bodies[0], target)
    body: list[str] = []
    for number_, view in enumerate(views):
        x = LEFT + number_ * (SIDE + GAP)
        body += _drawn(view, x, window, anatomy, target)
    said = f"Acoustic window: {window.title}"
    body.insert(0, svg.text(LEFT, 20, said, size=14, weight=650))
    body.insert(1, svg.text(LEFT, 38, f"{window.device}, {window.tried} poses", size=11, fill=svg.SOFT))
    bottom = TOP + SIDE
    body += _legend(bottom + 44)
    told = [*window.reasons, *window.notes, *(f"study, not offered: {one}" for one in window.not_offered)]
    lines = [part for one in told for part in _wrapped(one)]
    body += [svg.text(LEFT, bottom + 92 + 15 * k, line, size=11) for k, line in enumerate(lines)]
    seen = f"best share {100 * window.best.visible:.0f} %" if window.best else "the array can stand nowhere"
    alt = f"{said}; {window.device}; {seen}; skin seen from {' and '.join(v.title for v in views)}; {'; '.join(window.reasons)}"
    return Picture(
        svg.document(2 * LEFT + 2 * SIDE + GAP, bottom + 100 + 15 * len(lines), body, alt), alt, "Skin from where sound reaches"
    )


def _wrapped(words: str, most: int = 108) -> list[str]:
    lines, now = [], ""
    for word in words.split():
        if len(now) + len(word) + 1 > most:
            lines.append(now)
            now = "   " + word
        else:
            now = f"{now} {word}".strip() if now.strip() else (now + word)
    return [*lines, now]


def _views(window: Window, anatomy: Anatomy, body: Structure, target: Structure) -> list[_View]:
    """Return the view from the array (from the freest skin where there is none) and that turned by 90 degrees."""
    middle = anatomy.mask(target).centre_mm()
    if window.best is not None:
        toward = -np.asarray(window.best.pose.axis)
    elif len(window.skin.points_mm):
        toward = np.asarray(window.skin.points_mm[np.argmax(window.skin.visible)] - middle)
    else:
        toward = np.array([0.0, -1.0, 0.0])
    toward = toward / np.linalg.norm(toward)
    turned = np.cross([0.0, 0.0, 1.0], toward)
    if np.linalg.norm(turned) < 0.2:
        turned = np.array([1.0, 0.0, 0.0])
    turned /= np.linalg.norm(turned)
    if len(window.skin.points_mm):  # of the two sides, the one with more skin that sees
        way = (window.skin.points_mm - middle) @ turned
        if window.skin.visible[way < 0].sum() > window.skin.visible[way > 0].sum():
            turned = -turned
    reach = np.percentile(np.linalg.norm(window.skin.points_mm - middle, axis=1), 98) if len(window.skin.points_mm) else 0.0
    half = float(np.clip(reach + BESIDE_MM, LEAST_HALF_MM, MOST_HALF_MM))
    centre = (float(middle[0]), float(middle[1]), float(middle[2]))
    first = "seen from the array" if window.best is not None else "seen from the freest skin"
    return [
        _view(name, Camera(centre, (float(way[0]), float(way[1]), float(way[2])), half), window, anatomy, body)
        for name, way in ((first, toward), ("turned by 90°", turned))
    ]


def _view(title: str, camera: Camera, window: Window, anatomy: Anatomy, body: Structure) -> _View:
    """Find the skin that faces the viewer, by walking along parallel lines of sight."""
    right, up, toward = camera.axes
    count = int(2 * camera.half_mm / PIXEL_MM)
    along = (np.arange(count) + 0.5) * PIXEL_MM - camera.half_mm
    flat = np.asarray(camera.centre_mm) + along[None, :, None] * right - along[:, None, None] * up
    kind, depth = _first_skin(flat, toward, anatomy, body)
    shade = _shade(depth)
    share, unknown = np.full((count, count), np.nan), np.zeros((count, count), bool)
    skin = kind == SKIN
    if len(window.skin.points_mm) and skin.any():
        near = min(NEIGHBOURS, len(window.skin.points_mm))
        places = (flat + depth[..., None] * toward)[skin]
        gaps, rows = cKDTree(window.skin.points_mm).query(places, k=near)
        gaps, rows = gaps.reshape(len(places), near), rows.reshape(len(places), near)
        weight = 1 / np.maximum(gaps, 0.5) ** 2
        value = (weight * window.skin.visible[rows]).sum(1) / weight.sum(1)
        share[skin] = np.where(gaps[:, 0] <= BETWEEN_MM, value, np.nan)
        unknown[skin] = window.skin.unknown[rows[:, 0]] & (gaps[:, 0] <= BETWEEN_MM)
    return _View(title, camera, kind, share, unknown, shade)


def _first_skin(flat: Array, toward: Array, anatomy: Anatomy, body: Structure) -> tuple[Array, Array]:
    """Return what each line of sight meets first (skin, a cut of the image, nothing), and how far towards the viewer [mm]."""
    grid = anatomy.grid
    inside, seen = anatomy.masks[body].array, anatomy.imaged.array
    shape = np.array(inside.shape)
    index, way = grid.to_index(flat) + 0.5, grid.to_index(toward) - grid.to_index(np.zeros(3))
    depth = np.full(flat.shape[:2], np.nan)
    kind, before = np.zeros(flat.shape[:2], np.uint8), np.zeros(flat.shape[:2], bool)
    ends = (grid.corners_mm() - flat[len(flat) // 2, len(flat) // 2]) @ toward
    for far in np.arange(float(ends.max()) + 2 * PIXEL_MM, float(ends.min()), -PIXEL_MM):
        at = np.floor(index + far * way).astype(np.int64)
        within = np.asarray(((at >= 0) & (at < shape)).all(axis=-1))
        z, y, x = np.moveaxis(np.where(within[..., None], at, 0), -1, 0)
        here = np.asarray(within & seen[z, y, x])
        solid = np.asarray(here & inside[z, y, x] & (kind == BLANK))
        kind[solid] = np.where(before[solid], SKIN, CUT)
        depth[solid] = far
        before = here
    return kind, depth


def _shade(depth: Array) -> Array:
    """Return brightness from the slope of the skin, 0.8 to 1: enough to see its form, too little to change what a colour says."""
    filled = np.where(np.isfinite(depth), depth, np.nanmin(depth) if np.isfinite(depth).any() else 0.0)
    rows, columns = np.gradient(ndimage.gaussian_filter(filled, 1.5), PIXEL_MM)
    return np.asarray(0.8 + 0.2 / np.sqrt(1 + rows**2 + columns**2))


def _raster(view: _View) -> Array:
    """Return a view as bytes (rows, columns, 3)."""
    from matplotlib import colormaps

    down, across = np.indices(view.kind.shape)
    out = np.full((*view.kind.shape, 3), 255, np.uint8)
    skin = view.kind == SKIN
    out[skin] = PALE
    told = skin & np.isfinite(view.share)
    out[told] = np.round(colormaps["cividis"](view.share[told])[..., :3] * 255).astype(np.uint8)
    out[skin] = np.round(out[skin] * view.shade[skin][:, None]).astype(np.uint8)
    doubt = view.unknown | (view.kind == CUT)
    out[doubt] = GREY
    out[doubt & ((down + across) % HATCH < 2)] = DARK_GREY
    return out


def _drawn(view: _View, x: float, window: Window, anatomy: Anatomy, target: Structure) -> list[str]:
    right, up, _ = view.camera.axes
    body = [svg.image(_raster(view), x, TOP, SIDE, SIDE), svg.rectangle(x, TOP, SIDE, SIDE, stroke=svg.RULE)]
    body += _enough(view, x)
    body += _target(view, x, anatomy, target)
    if window.best is not None:
        body += _array(view, x, window)
    for words, px, py, anchor in (
        (letter(-right), x + 6, TOP + SIDE / 2 + 4, "start"),
        (letter(right), x + SIDE - 6, TOP + SIDE / 2 + 4, "end"),
        (letter(up), x + SIDE / 2, TOP + 15, "middle"),
        (letter(-up), x + SIDE / 2, TOP + SIDE - 6, "middle"),
    ):
        body.append(svg.text(px, py, words, size=13, weight=650, anchor=anchor, halo="#fff"))
    body.append(svg.text(x, TOP - 6, view.title, size=11.5, weight=600))
    wide = 50.0 / view.camera.half_mm * SIDE / 2
    y = TOP + SIDE + 12
    body += [
        svg.line((x, y), (x + wide, y), width=2),
        svg.line((x, y - 4), (x, y + 4)),
        svg.line((x + wide, y - 4), (x + wide, y + 4)),
    ]
    body.append(svg.text(x + wide + 6, y + 4, "50 mm", size=11))
    return body


def _enough(view: _View, x: float) -> list[str]:
    """Return the line where just enough of the array sees the target."""
    from skimage.measure import find_contours

    values = np.where((view.kind == SKIN) & ~view.unknown, np.nan_to_num(view.share), 0.0)
    near = ndimage.distance_transform_edt(view.kind == BLANK, return_distances=False, return_indices=True)
    values = values[tuple(near)]  # the edge of the body is no border of the window
    scale = SIDE / len(values)
    body = []
    for line in find_contours(values, number("least_visible_share")):
        on: Array = view.kind[tuple(np.rint(line).astype(int).T)] != BLANK
        for part in np.split(np.arange(len(line)), np.flatnonzero(np.diff(on.astype(int))) + 1):
            if on[part[0]] and len(part) > 8:
                points = [(x + (c + 0.5) * scale, TOP + (r + 0.5) * scale) for r, c in line[part]]
                body.append(svg.path(svg.polyline(points), stroke="#000", width=1.4, casing="#fff"))
    return body


def _target(view: _View, x: float, anatomy: Anatomy, target: Structure) -> list[str]:
    """Return the shadow of the target, dashed: it lies beneath the skin."""
    from skimage.measure import find_contours

    mask = anatomy.mask(target)
    places = view.place(mask.grid.to_mm(np.argwhere(mask.array)))
    count = len(view.kind)
    index = np.clip((places / SIDE * count).astype(int), 0, count - 1)
    shadow = np.zeros((count, count), bool)
    shadow[index[:, 1], index[:, 0]] = True
    shadow = ndimage.binary_closing(np.pad(shadow, 4), iterations=3)
    body = []
    for line in find_contours(shadow.astype(float), 0.5):
        points = [(x + (c - 3.5) / count * SIDE, TOP + (r - 3.5) / count * SIDE) for r, c in line]
        body.append(svg.path(svg.polyline(points), stroke=STYLES["lesion"].colour, width=2.2, dash="4 3", casing="#000"))
    return body


def _array(view: _View, x: float, window: Window) -> list[str]:
    """Return the rim of the best array's cone at the skin, and where its axis enters."""
    best = window.best
    if best is None or best.entry_mm is None:
        return []
    face = array_parts(window.device, 400)
    rim = face[np.argsort(np.hypot(face[:, 0], face[:, 1]))[-40:]]
    rim = rim[np.argsort(np.arctan2(rim[:, 1], rim[:, 0]))]
    ends = best.pose.to_mm(1e-3 * rim)
    focus = np.asarray(best.focus_mm)
    at = view.place(focus + (ends - focus) * best.depth_mm / best.distance_mm)
    ring = [(x + float(a), TOP + float(b)) for a, b in at if 0 <= a <= SIDE and 0 <= b <= SIDE]
    body = (
        [svg.path(svg.polyline(ring, closed=len(ring) == len(at)), stroke="#fff", width=1.6, dash="1.5 3", casing="#000")]
        if len(ring) > 2
        else []
    )
    ex, ey = (float(v) for v in view.place(np.asarray(best.entry_mm)))
    for stroke, width in (("#000", 3.6), ("#fff", 1.8)):
        body.append(svg.line((x + ex - 6, TOP + ey), (x + ex + 6, TOP + ey), stroke=stroke, width=width))
        body.append(svg.line((x + ex, TOP + ey - 6), (x + ex, TOP + ey + 6), stroke=stroke, width=width))
    return body


def _legend(top: float) -> list[str]:
    from matplotlib import colormaps

    wide = 150.0
    ramp = np.round(colormaps["cividis"](np.linspace(0, 1, 75))[None, :, :3] * 255).astype(np.uint8)
    body = [svg.text(LEFT, top - 14, "share of the array that sees the target", size=10.5, fill=svg.SOFT)]
    body.append(svg.image(ramp, LEFT, top - 9, wide, 9))
    for part in (0.0, 0.5, 1.0):
        body.append(
            svg.text(
                LEFT + wide * part,
                top + 13,
                f"{100 * part:.0f} %",
                size=10.5,
                anchor="middle" if part else "start",
                fill=svg.SOFT,
            )
        )
    needed = LEFT + wide * number("least_visible_share")
    body.append(svg.line((needed, top - 11), (needed, top + 2), stroke="#000", width=1.6))
    down, across = np.indices((24, 44))
    grey = np.full((24, 44, 3), GREY, np.uint8)
    grey[(down + across) % HATCH < 2] = DARK_GREY
    pale = np.full((24, 44, 3), PALE, np.uint8)
    x = LEFT + wide + 24
    for swatch, said, step in ((grey, "cannot tell", 96.0), (pale, "no way to the lesion", 142.0)):
        body += [svg.image(swatch, x, top - 11, 22, 12), svg.text(x + 28, top - 1, said, size=11)]
        x += step
    x = LEFT + wide + 24
    colour = STYLES["lesion"].colour
    body.append(svg.line((x, top + 14), (x + 22, top + 14), stroke="#000", width=1.4))
    body.append(svg.text(x + 28, top + 18, f"enough: {100 * number('least_visible_share'):.0f} %", size=11))
    x += 116
    body.append(svg.path(svg.polyline([(x, top + 14), (x + 22, top + 14)]), stroke=colour, width=2.2, dash="4 3", casing="#000"))
    body.append(svg.text(x + 28, top + 18, "target beneath", size=11))
    x += 122
    body.append(
        svg.path(svg.polyline([(x, top + 14), (x + 22, top + 14)]), stroke="#fff", width=1.6, dash="1.5 3", casing="#000")
    )
    body.append(svg.text(x + 28, top + 18, "best pose: its cone and axis", size=11))
    return body
