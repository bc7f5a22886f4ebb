"""The bone seen from outside with a field on its surface: stress, and where it fails. The load axis stands upright."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from osteon.assessment.strength_results import UNITS, Maps, Strength
from osteon.report import svg, words
from osteon.report.figures import Picture
from osteon.report.planes import letter
from osteon.report.surface import Surface, surface_of
from osteon.report.surface_kernels import rasterise
from osteon.space.volume import Array, Volume

PIXELS = 820  # drawn at this size, averaged two by two
LYING = 0.5  # cosine of the load axis to superior
SHOWN = 300.0  # units of a panel in the picture
CAPS, METAL, BEYOND, LESION = (176, 182, 188), (84, 92, 102), (196, 70, 10), "#E69F00"
SIDES = {"L": "the left", "R": "the right", "A": "the front", "P": "behind", "S": "above", "I": "below"}


@dataclass(frozen=True, eq=False)
class View:
    """A parallel view: right, up and toward (to the viewer), unit vectors in LPS; half the side of the picture [mm]."""

    right: Array
    up: Array
    toward: Array
    centre_mm: Array
    half_mm: float

    @property
    def words(self) -> str:
        """From where the bone is seen."""
        return "seen from " + " and ".join(SIDES[c] for c in letter(self.toward))

    def place(self, mm: Array) -> Array:
        """Return picture coordinates (..., 2) in units of the panel, from its top left corner."""
        offset = np.asarray(mm, float) - self.centre_mm
        flat = np.stack([offset @ self.right, -(offset @ self.up)], -1)
        return np.asarray((flat + self.half_mm) * SHOWN / (2 * self.half_mm))


@dataclass(frozen=True, eq=False)
class Scale:
    """How a field becomes colour: a name of matplotlib's maps, from 0 to ``top``; above ``beyond`` the one colour of failure."""

    title: str
    unit: str
    colours: str
    top: float
    beyond: float | None = None

    def paint(self, values: Array) -> Array:
        """Return colours (..., 3), 0 to 255."""
        from matplotlib import colormaps

        share = np.clip(np.nan_to_num(values) / self.top, 0.0, 1.0)
        painted = np.asarray(colormaps[self.colours](share))[..., :3] * 255
        if self.beyond is not None:
            painted = np.where((values >= self.beyond)[..., None], np.array(BEYOND, float), painted)
        return np.asarray(painted, np.float32)


@dataclass(frozen=True, eq=False)
class Scene:
    """The surfaces of one model, made once and drawn from several sides."""

    bone: Surface
    others: tuple[Surface, ...]
    ill: Array
    stress: Array
    used: Array


def surface_picture(strength: Strength) -> Picture | None:
    """Draw stress and what the bone can bear on its surface, from two sides; None where there is nothing to draw.

    Parameters
    ----------
    strength : Strength
        With maps and a pose.
    """
    maps, pose = strength.maps, strength.pose
    if maps is None or pose is None or not maps.bone.any():
        return None
    scene = _scene(maps)
    if scene is None:
        return None
    views = views_of(maps, pose.axes)
    stress = Scale("stress (largest minus least principal)", "MPa", "viridis", _round_top(float(np.percentile(scene.stress, 98))))
    used = Scale("share of what the bone there can bear", "", "cividis", 1.0, 1.0)
    rows: tuple[tuple[Scale, Array], ...] = ((stress, scene.stress), (used, scene.used))
    if _only_relative(strength):
        rows = ((Scale("stress over its largest", "", "viridis", 1.0), scene.stress / stress.top),)
    body, height = [], 0.0
    for scale, values in rows:
        body.append(svg.text(0, height + 15, _heading(scale, strength, maps), size=13, weight=650))
        for column, view in enumerate(views):
            body += _panel(view, scene, scale.paint(values), strength, column * (SHOWN + 14), height + 24)
        body += _bar(scale, 2 * (SHOWN + 14) + 10, height + 60)
        height += SHOWN + 44
    body += _legend(strength, scene, height)
    height += 18.0 * (2 + len(_marks(strength)) // 3)
    what = "stress as a share of its largest" if _only_relative(strength) else f"stress at {_size(strength)}, and what fails"
    alt = f"Surface of the {strength.case.bone.name}, {' and '.join(v.words for v in views)}: {what}"
    return Picture(
        svg.document(2 * (SHOWN + 14) + 150, height + 8, body, alt), alt, "Stress and failure on the surface of the bone"
    )


def views_of(maps: Maps, axes: Array) -> tuple[View, View]:
    """Return two views at right angles, head up along the load axis: from the front, and from the side of the lesion."""
    axis = np.asarray(axes[:, 2], float)
    up = -axis if axis[2] < -LYING else axis  # the head is up, but for a specimen that lies on its side
    places = maps.grid.to_mm(np.argwhere(maps.bone | maps.caps))
    tall = float(np.ptp(places @ up))
    centre = 0.5 * (places.min(0) + places.max(0)) + 0.06 * tall * axis  # room for the arrow
    half = 0.6 * tall + 6.0
    for toward in (np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, 1.0])):
        front = toward - (toward @ up) * up
        if np.linalg.norm(front) > 0.5:
            break
    front /= np.linalg.norm(front)
    side = np.cross(up, front)
    if maps.lesion.any():
        away = maps.grid.to_mm(np.argwhere(maps.lesion)).mean(0) - maps.grid.to_mm(np.argwhere(maps.bone)).mean(0)
        side = side if away @ side >= 0 else -side
    views = []
    for toward in (front, side):
        right = np.cross(up, toward)
        half = max(half, 0.54 * float(np.ptp(places @ right)) + 6.0)
        views.append((right, toward))
    first, second = (View(right, up, toward, centre, half) for right, toward in views)
    return first, second


def _scene(maps: Maps) -> Scene | None:
    edge = float(maps.grid.spacing_mm[0])
    soft = Volume(ndimage.gaussian_filter(maps.bone.astype(np.float32), 0.7), maps.grid)
    bone = surface_of(soft, 0.5, (226, 219, 204))
    if bone is None:
        return None
    others = [_solid(maps.caps, maps, CAPS), _solid(maps.metal, maps, METAL)]
    inwards = _inwards(soft, bone)
    at = bone.vertices_mm + 0.9 * edge * inwards
    held = maps.bone & ~maps.metal
    weight = ndimage.gaussian_filter(held.astype(np.float32), 0.8)

    def sampled(field: Array) -> Array:
        smooth = ndimage.gaussian_filter(np.where(held, field, 0.0).astype(np.float32), 0.8) / np.maximum(weight, 1e-3)
        return np.nan_to_num(Volume(smooth.astype(np.float32), maps.grid).sample(at, fill=0.0))

    used = sampled(maps.utilisation)
    if maps.failed.any():
        used = np.where(sampled(maps.failed) >= 0.5, 1.0, np.minimum(used, 0.995))
    ill = Volume(ndimage.gaussian_filter(maps.lesion.astype(np.float32), 0.8), maps.grid).sample(at, fill=0.0)
    return Scene(bone, tuple(o for o in others if o is not None), np.nan_to_num(ill), sampled(maps.stress_mpa), used)


def _solid(mask: Array, maps: Maps, colour: tuple[int, int, int]) -> Surface | None:
    if not mask.any():
        return None
    return surface_of(Volume(ndimage.gaussian_filter(mask.astype(np.float32), 0.5), maps.grid), 0.5, colour)


def _inwards(soft: Volume, bone: Surface) -> Array:
    """Return unit vectors from the surface into the bone."""
    ahead = soft.sample(bone.vertices_mm + bone.normals, fill=0.0) - soft.sample(bone.vertices_mm - bone.normals, fill=0.0)
    return np.asarray(bone.normals * np.where(ahead >= 0, 1.0, -1.0)[:, None])


def _round_top(value: float) -> float:
    """Return the next round number, 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(m * power for m in (1, 2, 3, 5, 10) if m * power >= value - 1e-12))


def _project(view: View, surface: Surface) -> tuple[Array, Array]:
    offset = surface.vertices_mm - view.centre_mm
    scale = PIXELS / (2 * view.half_mm)
    half = PIXELS / 2
    flat = np.stack([half + offset @ view.right * scale, half - offset @ view.up * scale, offset @ view.toward], 1)
    turned = np.stack([surface.normals @ view.right, surface.normals @ view.up, surface.normals @ view.toward], 1)
    return flat.astype(np.float32), turned.astype(np.float32)


def drawn(view: View, surface: Surface, colours: Array) -> tuple[Array, Array, Array]:
    """Return depth, shade and colour of one surface per pixel."""
    flat, turned = _project(view, surface)
    depth, again = (np.full((PIXELS, PIXELS), -np.inf, np.float32) for _ in range(2))
    shade, painted = (np.zeros((PIXELS, PIXELS, 3), np.float32) for _ in range(2))
    rasterise(flat, turned, surface.faces, depth, shade)
    rasterise(flat, colours.astype(np.float32), surface.faces, again, painted)
    return depth, shade, painted


def lit(shade: Array) -> Array:
    """Return brightness from a lamp at the upper left and one at the viewer."""
    normal = shade / np.maximum(np.linalg.norm(shade, axis=-1), 1e-6)[..., None]
    normal = normal * np.where(normal[..., 2:3] < 0, -1, 1)
    key = np.clip(normal @ np.array([-0.45, 0.6, 0.66]), 0, 1)
    return np.asarray(0.58 + 0.22 * normal[..., 2] + 0.24 * key)


def _panel(view: View, scene: Scene, colours: Array, strength: Strength, left: float, top: float) -> list[str]:
    """Return one view: the shaded surface, the outline of the lesion, load, landmarks, letters and scale."""
    picture, flags = _shaded(view, scene, colours)
    body = [svg.image(picture, 0, 0, SHOWN, SHOWN), *_lesion_line(view, flags, strength)]
    body += [*_load_arrow(view, strength), *_dots(view, strength), *_furniture(view)]
    return [f'<g transform="translate({svg.coordinate(left)} {svg.coordinate(top)})">', *body, "</g>"]


def _shaded(view: View, scene: Scene, colours: Array) -> tuple[Array, Array]:
    """Return the picture as bytes, and where the surface of the lesion is seen, averaged two by two."""
    depth, shade, painted = drawn(view, scene.bone, colours)
    _, _, flags = drawn(view, scene.bone, np.repeat(scene.ill[:, None], 3, 1))
    seen = flags[..., 0] * np.isfinite(depth)
    colour = np.full((PIXELS, PIXELS, 3), 255.0, np.float32)
    inside = np.isfinite(depth)
    colour[inside] = (painted * lit(shade)[..., None])[inside]
    for each in scene.others:
        plain = np.repeat(np.array([each.colour], np.float32), len(each.vertices_mm), 0)
        other, its_shade, its_colour = drawn(view, each, plain)
        nearer = other > depth
        colour[nearer] = (its_colour * lit(its_shade)[..., None])[nearer]
        seen = np.where(nearer, 0.0, seen)
        depth = np.maximum(depth, other)
    filled = np.where(np.isfinite(depth), depth, -500.0)
    jump = ndimage.maximum_filter(filled, 3) - ndimage.minimum_filter(filled, 3)
    colour *= np.where(jump > 5.0, 0.55, 1.0)[..., None]
    half = PIXELS // 2
    small = colour.reshape(half, 2, half, 2, 3).mean((1, 3))
    return np.clip(small, 0, 255).round().astype(np.uint8), seen.reshape(half, 2, half, 2).mean((1, 3))


def _lesion_line(view: View, flags: Array, strength: Strength) -> list[str]:
    """Outline the lesion where it reaches the surface; else its shadow, dashed."""
    from osteon.report.figures import outline_path

    maps = strength.maps
    assert maps is not None
    if not maps.lesion.any():
        return []
    dash = ""
    if (flags >= 0.4).sum() < 60:
        dash, cells = "3 3", 150
        at = view.place(maps.grid.to_mm(np.argwhere(maps.lesion))) * cells / SHOWN
        edges = [np.arange(cells + 1)] * 2
        count = np.histogram2d(at[:, 1], at[:, 0], edges)[0]
        flags = ndimage.gaussian_filter(np.minimum(count, 1.0), 1.5)
    d, points = outline_path(flags, 0.4)
    if not points:
        return []
    scale = SHOWN / flags.shape[0]
    return [
        f'<g transform="scale({scale:.4f})">',
        svg.path(d, stroke="#fff", width=5.5 / scale),
        svg.path(d, stroke="#000", width=3.4 / scale),
        svg.path(d, stroke=LESION, width=2.2 / scale, dash=dash),
        "</g>",
    ]


def _only_relative(strength: Strength) -> bool:
    """Tell whether no load may be shown, because no threshold is validated for it."""
    return strength.status == "relative_only"


def _size(strength: Strength) -> str:
    """Return the load of the picture in words; empty where it may not be shown."""
    maps = strength.maps
    if maps is None or _only_relative(strength):
        return ""
    return words.number(maps.at_load, UNITS[strength.quantity][0])


def _entry(strength: Strength) -> tuple[Array, Array]:
    """Return where the load enters and the axis that it presses against, LPS mm."""
    maps, pose = strength.maps, strength.pose
    assert maps is not None
    assert pose is not None
    axis = np.asarray(pose.axes[:, 2], float)
    for _, start, end in pose.lines:
        along = np.subtract(end, start)
        if abs(along @ axis) > 0.99 * float(np.linalg.norm(along)) > 0:
            return np.asarray(end, float), axis
    places = maps.grid.to_mm(np.argwhere(maps.bone | maps.caps))
    along = places @ axis
    return np.asarray(places[along > along.max() - 2.5 * maps.grid.spacing_mm[0]].mean(0)), axis


def _load_arrow(view: View, strength: Strength) -> list[str]:
    """Draw the load where it enters: an arrow along its axis with its size; a turning arrow for a moment."""
    entry, axis = _entry(strength)
    x, y = (float(v) for v in view.place(entry))
    away = view.place(entry + axis) - view.place(entry)
    away = away / max(float(np.linalg.norm(away)), 1e-9)
    if strength.quantity == "moment":
        arc = f"M{x - 16:.1f} {y - 8:.1f}a16 6 0 1 1 32 0"
        head = svg.path(f"M{x + 11:.1f} {y - 13:.1f}L{x + 16:.1f} {y - 6:.1f}L{x + 20:.1f} {y - 14:.1f}", width=2.4)
        return [svg.path(arc, width=2.4, casing="#fff"), head, _said(x + 24, y - 12, _size(strength))]
    tail, neck, across = (x, y) + 32 * away, (x, y) + 10 * away, 6 * np.array([-away[1], away[0]])
    tip = [(x, y), tuple(neck + across), tuple(neck - across)]
    return [
        svg.line((x, y), (float(tail[0]), float(tail[1])), stroke="#fff", width=5.5),
        svg.line((float(neck[0]), float(neck[1])), (float(tail[0]), float(tail[1])), width=2.8),
        svg.path(svg.polyline([(float(a), float(b)) for a, b in tip], closed=True), fill=svg.INK, stroke="#fff", width=0.8),
        _said(float(tail[0]) + 10, float(tail[1]) + 10, _size(strength)),
    ]


def _said(x: float, y: float, said: str) -> str:
    return svg.text(x, y, said, size=12.5, weight=700, halo="#fff")


def _marks(strength: Strength) -> list[tuple[str, Array]]:
    pose = strength.pose
    return [] if pose is None else [(name, np.asarray(point)) for name, point in pose.landmarks.items()]


def _dots(view: View, strength: Strength) -> list[str]:
    """Number the landmarks that the pose was found from; those that fall together share their dot."""
    groups: list[tuple[float, float, list[int]]] = []
    for number, (_, point) in enumerate(_marks(strength), start=1):
        x, y = (float(v) for v in view.place(point))
        near = next((g for g in groups if abs(g[0] - x) + abs(g[1] - y) < 9), None)
        if near is not None:
            near[2].append(number)
        elif 4 <= x <= SHOWN - 4 and 4 <= y <= SHOWN - 4:
            groups.append((x, y, [number]))
    body = []
    for x, y, numbers in groups:
        body.append(svg.circle(x, y, 3.2, fill="#fff", stroke=svg.INK, width=1.4))
        body.append(svg.text(x + 5, y - 4, ", ".join(str(n) for n in numbers), size=11, weight=700, halo="#fff"))
    return body


def _furniture(view: View) -> list[str]:
    """Return letters of the patient's directions, scale bar and from where it is seen."""
    middle = SHOWN / 2
    edges = (
        (letter(-view.right), 4, middle, "start"), (letter(view.right), SHOWN - 4, middle, "end"),
        (letter(view.up), 22, 17, "middle"), (letter(-view.up), middle, SHOWN - 5, "middle"),
    )  # fmt: skip
    body = [svg.rectangle(0, 0, SHOWN, SHOWN, stroke="#cfd6dd")]
    body += [svg.text(x, y, said, size=14, anchor=anchor, weight=700, halo="#fff") for said, x, y, anchor in edges]
    bar = 20.0 * SHOWN / (2 * view.half_mm)
    body.append(svg.line((SHOWN - 10 - bar, SHOWN - 10), (SHOWN - 10, SHOWN - 10), width=2.5))
    body.append(svg.text(SHOWN - 10, SHOWN - 15, "20 mm", size=11, weight=600, anchor="end", halo="#fff"))
    body.append(svg.text(6, SHOWN - 8, view.words, size=11.5, weight=600, halo="#fff"))
    return body


def _heading(scale: Scale, strength: Strength, maps: Maps) -> str:
    if _only_relative(strength):
        return "Stress near the surface, as a share of its largest; elastic model"
    if scale.beyond is None:
        return f"Stress near the surface at {_size(strength)}, elastic model"
    if maps.failed.any():
        return f"Where it fails at {_size(strength)}: orange-red has reached what it can bear"
    return f"What is used of what it can bear at {_size(strength)}, elastic model: orange-red is beyond"


def _bar(scale: Scale, x: float, y: float) -> list[str]:
    """Return the legend of a field: a bar from 0 at the bottom to its top."""
    high, steps = 150.0, 50
    colours = scale.paint(np.linspace(0, scale.top * 0.999, steps)).round().astype(int)
    body = [
        svg.rectangle(x, y + high * (1 - (i + 1) / steps), 16, high / steps + 0.4, fill="#{:02x}{:02x}{:02x}".format(*c))
        for i, c in enumerate(colours)
    ]
    for share in (0.0, 0.5, 1.0):
        said = words.number(scale.top * share, scale.unit) if scale.unit else words.number(100 * share, "%")
        more = " and more" if share == 1.0 and scale.beyond is None else ""
        body.append(svg.text(x + 22, y + high * (1 - share) + 4, said + more, size=11.5))
    if scale.beyond is not None:
        body.append(svg.rectangle(x, y - 22, 16, 14, fill="#{:02x}{:02x}{:02x}".format(*BEYOND)))
        body.append(svg.text(x + 22, y - 11, "at its limit", size=11.5))
    return body


def _legend(strength: Strength, scene: Scene, top: float) -> list[str]:
    maps = strength.maps
    assert maps is not None
    x, body = 0.0, []
    entries = [("#{:02x}{:02x}{:02x}".format(*o.colour), "end caps" if o.colour == CAPS else "metal") for o in scene.others]
    for colour, said in entries:
        body.append(svg.rectangle(x, top - 1, 14, 11, fill=colour, stroke=svg.SOFT))
        body.append(svg.text(x + 20, top + 9, said, size=12))
        x += 34 + svg.width_of(said, 12)
    if maps.lesion.any():
        body += [
            svg.line((x, top + 5), (x + 22, top + 5), stroke="#000", width=3.4),
            svg.line((x, top + 5), (x + 22, top + 5), stroke=LESION, width=2.2),
        ]
        body.append(svg.text(x + 28, top + 9, "lesion (dashed: it lies within)", size=12))
    marks = [f"{number} {name}" for number, (name, _) in enumerate(_marks(strength), start=1)]
    for row in range(0, len(marks), 3):
        said = ";  ".join(marks[row : row + 3])
        body.append(svg.text(0, top + 27 + 6 * row, ("Landmarks: " if row == 0 else "") + said, size=12, fill=svg.SOFT))
    return body
