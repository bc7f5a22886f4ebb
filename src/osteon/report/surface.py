"""The 3-D picture: surfaces by marching cubes, drawn with an own depth buffer; bone is glass, what matters shows through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from osteon.errors import ImageError
from osteon.report import svg
from osteon.report.figures import Picture
from osteon.report.planes import Plane, letter
from osteon.report.surface_kernels import rasterise
from osteon.space.anatomy import Anatomy, Structure
from osteon.space.volume import Grid, Volume
from osteon.treatments.base import NeedlePose

Array = np.ndarray[Any, np.dtype[Any]]
BONE_HU = 220.0  # only how the picture is drawn where no bone is outlined
COLOURS: dict[str, tuple[int, int, int]] = {
    "lesion": (230, 159, 0),
    "nerve": (240, 228, 66),
    "cord": (240, 228, 66),
    "vessel": (213, 94, 0),
    "joint": (86, 180, 233),
    "implant": (90, 96, 104),
    "bone": (226, 219, 204),
    "needle": (30, 38, 48),
    "zone": (0, 114, 178),
}


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles in LPS mm with outward normals; ``glass`` surfaces let what is behind shine through."""

    vertices_mm: Array
    faces: Array
    normals: Array
    colour: tuple[int, int, int]
    glass: float = 0.0


@dataclass(frozen=True)
class Camera:
    """A parallel view: ``toward`` points from the scene to the viewer."""

    centre_mm: tuple[float, float, float]
    toward: tuple[float, float, float]
    half_mm: float

    @property
    def axes(self) -> tuple[Array, Array, Array]:
        """Right, up and toward, unit vectors; the patient's head is up."""
        toward = np.asarray(self.toward) / np.linalg.norm(self.toward)
        up = np.array([0.0, 0.0, 1.0]) - toward[2] * toward
        if np.linalg.norm(up) < 1e-3:
            up = np.array([0.0, -1.0, 0.0])
        up /= np.linalg.norm(up)
        return np.cross(up, toward), up, toward


def surface_of(field: Volume, level: float, colour: tuple[int, int, int], glass: float = 0.0) -> Surface | None:
    """Return the surface of a field at a level by marching cubes, or None where there is none.

    Parameters
    ----------
    field : Volume
        Numbers on an isotropic grid.
    level : float
        Inside is above.
    colour, glass
        How it is drawn.
    """
    from skimage.measure import marching_cubes

    values = np.pad(field.array.astype(np.float32), 1, constant_values=min(float(field.array.min()), level - 1))
    if not (values > level).any():
        return None
    vertices, faces, _, _ = marching_cubes(values, level)
    places = field.grid.to_mm(vertices - 1)
    return Surface(places, faces.astype(np.int32), vertex_normals(places, faces), colour, glass)


def vertex_normals(places: Array, faces: Array) -> Array:
    """Return unit normals per vertex, the area-weighted mean of the faces round it (either sign; shading takes the size)."""
    corners = places[faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.stack([np.bincount(faces.ravel(), np.repeat(flat[:, k], 3), minlength=len(places)) for k in range(3)], 1)
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12), np.float32)


def tube(a: Array, b: Array, radius_mm: float, colour: tuple[int, int, int], sides: int = 20) -> Surface:
    """Return a closed cylinder from ``a`` to ``b``."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    direction = (b - a) / max(float(np.linalg.norm(b - a)), 1e-9)
    first = np.cross(direction, [0, 0, 1.0] if abs(direction[2]) < 0.9 else [0, 1.0, 0])
    first /= np.linalg.norm(first)
    angles = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    ring = radius_mm * (np.cos(angles)[:, None] * first + np.sin(angles)[:, None] * np.cross(direction, first))
    vertices = np.concatenate([a + ring, b + ring])
    i = np.arange(sides)
    j = (i + 1) % sides
    faces = np.concatenate([np.stack([i, j, i + sides], 1), np.stack([j, j + sides, i + sides], 1)]).astype(np.int32)
    normals = np.concatenate([ring, ring]) / radius_mm
    return Surface(vertices, faces, normals.astype(np.float32), colour)


def choose_view(bone: Volume | None, lesion_mm: Array, needle: NeedlePose | None) -> tuple[float, float, float]:
    """Return the direction to the viewer, of 32 round the patient, with least bone before the lesion and the needle seen long."""
    middle = lesion_mm.mean(0)
    points = lesion_mm[:: max(1, len(lesion_mm) // 60)]
    best: tuple[float, tuple[float, float, float]] | None = None
    for raised in (15.0, 35.0):
        for angle in np.arange(0, 360, 22.5):
            flat = np.cos(np.radians(raised))
            toward = np.array([flat * np.sin(np.radians(angle)), -flat * np.cos(np.radians(angle)), np.sin(np.radians(raised))])
            hidden = 0.0
            if bone is not None:
                ray = points[:, None, :] + np.arange(3.0, 70.0, 2.5)[None, :, None] * toward
                hidden = float(bone.sample(ray, order=0, fill=0.0).mean())
            long = 0.0 if needle is None else 1 - abs(float(np.asarray(needle.direction) @ toward)) ** 2
            side = 0.02 * float(np.sign(middle[0]) * toward[0])
            score = long * 0.25 + side - hidden * 1.5 - 0.02 * (raised > 20)
            if best is None or score > best[0] + 1e-9:
                best = (score, (float(toward[0]), float(toward[1]), float(toward[2])))
    assert best is not None  # the loops above always run
    return best[1]


def render(surfaces: list[Surface], camera: Camera, size: int = 800) -> Array:
    """Return the picture as bytes (size / 2, size / 2, 3): drawn at ``size``, averaged two by two.

    Parameters
    ----------
    surfaces : list of Surface
        Solid ones hide each other; glass ones are laid over by depth.
    camera : Camera
        The view.
    size : int
        Pixels along a side before averaging; even.
    """
    right, up, toward = camera.axes
    ground = np.linspace(252, 236, size, dtype=np.float32)[:, None, None] * np.ones((1, size, 3), np.float32)
    solid_depth = np.full((size, size), -np.inf, np.float32)
    colour = ground.copy()
    layers: list[tuple[Array, Array]] = []
    for each in surfaces:
        depth = np.full((size, size), -np.inf, np.float32)
        shade = np.zeros((size, size, 3), np.float32)
        offset = each.vertices_mm - np.asarray(camera.centre_mm)
        scale = size / (2 * camera.half_mm)
        flat = np.stack([size / 2 + offset @ right * scale, size / 2 - offset @ up * scale, offset @ toward], 1).astype(
            np.float32
        )
        turned = np.stack([each.normals @ right, each.normals @ up, each.normals @ toward], 1).astype(np.float32)
        rasterise(flat, turned, each.faces, depth, shade)
        lit, facing = _light(shade)
        painted = np.asarray(each.colour, np.float32) * lit[..., None]
        if each.glass:
            cover = np.clip(each.glass + (1 - each.glass) * 0.75 * (1 - facing) ** 2.2, 0, 1)
            layers.append((depth, np.concatenate([painted, cover[..., None]], -1)))
        else:
            nearer = depth > solid_depth
            colour[nearer] = painted[nearer]
            solid_depth = np.maximum(solid_depth, depth)
    has_solid = np.isfinite(solid_depth)
    colour *= _edges(solid_depth)[..., None]
    for depth, painted in layers:
        seen = depth > solid_depth
        cover = np.where(has_solid, painted[..., 3] * 0.72, np.maximum(painted[..., 3], 0.93)) * seen
        colour = (colour * (1 - cover[..., None]) + painted[..., :3] * cover[..., None]).astype(np.float32)
        colour *= np.where(seen, _edges(depth), 1.0)[..., None]
    half = size // 2
    return np.asarray(np.clip(colour.reshape(half, 2, half, 2, 3).mean((1, 3)), 0, 255).round(), np.uint8)


def _light(shade: Array) -> tuple[Array, Array]:
    """Return brightness from a lamp at the upper left and one at the camera, and how far the surface faces the viewer."""
    size = np.maximum(np.linalg.norm(shade, axis=-1), 1e-6)
    normal = shade / size[..., None]
    normal = normal * np.where(normal[..., 2:3] < 0, -1, 1)
    lamp = np.array([-0.45, 0.6, 0.66])
    key = np.clip(normal @ lamp, 0, 1)
    return 0.34 + 0.26 * normal[..., 2] + 0.46 * key, normal[..., 2]


def _edges(depth: Array) -> Array:
    """Return a darkening along jumps of depth, so that shapes part in print and in grey."""
    filled = np.where(np.isfinite(depth), depth, -500.0)
    jump = ndimage.maximum_filter(filled, 3) - ndimage.minimum_filter(filled, 3)
    return np.where(jump > 6.0, 0.62, 1.0).astype(np.float32)


def view_3d(
    anatomy: Anatomy, lesion: Structure, needles: tuple[NeedlePose, ...] = (), *, size: int = 800, half_mm: float = 85.0
) -> Picture:
    """Draw the lesion in its bone, with nerves, vessels and needles.

    Parameters
    ----------
    anatomy : Anatomy
        Outlines; where no bone is outlined its surface is drawn at 220 HU.
    lesion : Structure
        What the picture is centred on; must be outlined.
    needles : tuple of NeedlePose
        Drawn from skin to tip.
    size : int
        Pixels along a side before averaging two by two.
    half_mm : float
        Half the side of the picture.
    """
    mask = anatomy.mask(lesion)
    index = np.argwhere(mask.array)
    lesion_mm = mask.grid.to_mm(index[:: max(1, len(index) // 3000)])
    centre = lesion_mm.mean(0)
    coarse = Grid.box(centre - half_mm, centre + half_mm, 1.3)
    bones = bones_on(anatomy, coarse)
    toward = choose_view(
        None if bones is None else bones.with_array(bones.array > 0.5), lesion_mm, needles[0] if needles else None
    )
    camera = Camera((float(centre[0]), float(centre[1]), float(centre[2])), toward, half_mm)
    surfaces: list[Surface | None] = []
    shown = [lesion]
    for which in anatomy.of_kind("lesion", "nerve", "cord", "vessel", "joint", "implant"):
        if which.id == "target":
            continue
        fine = soft_of(anatomy.masks[which], coarse, 0.5)
        made = None if fine is None else surface_of(fine, 0.4 if which.kind in ("nerve", "vessel") else 0.5, COLOURS[which.kind])
        if made is not None:
            surfaces.append(made)
            shown.append(which)
    surfaces += [tube(np.asarray(n.entry_mm), np.asarray(n.tip_mm), 1.3, COLOURS["needle"]) for n in needles]
    if bones is not None:
        surfaces.append(surface_of(bones, 0.5, COLOURS["bone"], glass=0.30))
    picture = render([s for s in surfaces if s is not None], camera, size)
    return _framed(picture, camera, tuple(dict.fromkeys(shown)), bool(needles))


def soft_of(mask: Volume, grid: Grid, sigma: float) -> Volume | None:
    """Return the part of a grid that holds a mask, as numbers 0 to 1 blurred by a voxel's size; None where it holds none."""
    corners = grid.corners_mm()
    low, high = corners.min(0), corners.max(0)
    try:
        near = mask.crop(low, high)
    except ImageError:
        return None
    index = np.argwhere(near.array)
    if not len(index):
        return None
    ends = near.grid.to_mm(np.array(np.meshgrid(*zip(index.min(0), index.max(0), strict=True))).reshape(3, -1).T)
    step = grid.spacing_mm[0]
    margin = 3 * max(mask.spacing_mm) + 3 * step
    first = np.maximum(np.floor((ends.min(0) - margin - low) / step), 0).astype(int)  # voxels from the corner of the grid
    last = np.minimum(np.ceil((ends.max(0) + margin - low) / step).astype(int), np.array(grid.shape[::-1]) - 1)
    part = Grid.box(low + first * step, low + last * step, step)
    numbers = near.with_array(near.array.astype(np.float32)).resample(part)
    blur = sigma + 0.35 * max(mask.spacing_mm) / step
    return numbers.with_array(ndimage.gaussian_filter(numbers.array, blur, mode="nearest"))


def bones_on(anatomy: Anatomy, grid: Grid) -> Volume | None:
    """Return all bone on a grid as numbers 0 to 1: outlined, else by HU."""
    total = np.zeros(grid.shape, np.float32)
    listed = anatomy.of_kind("bone")
    for which in listed:
        part = soft_of(anatomy.masks[which], grid, 0.4)
        if part is not None:
            z, y, x = np.rint(grid.to_index(part.grid.to_mm(np.zeros(3)))).astype(int)
            window = total[z : z + part.array.shape[0], y : y + part.array.shape[1], x : x + part.array.shape[2]]
            np.maximum(window, part.array, out=window)
    if not listed and anatomy.image is not None:
        hu = anatomy.image.resample(grid, fill=-1024.0).array
        total = ndimage.gaussian_filter(np.clip((hu - BONE_HU + 100) / 200, 0, 1).astype(np.float32), 0.6)
    return Volume(total, grid) if bool((total > 0.5).any()) else None


def _framed(picture: Array, camera: Camera, shown: tuple[Structure, ...], needle: bool) -> Picture:
    """Add the letters of the patient's axes, the scale and the words of the view."""
    size = 360.0
    right, up, toward = camera.axes
    body = [svg.image(picture, 0, 0, size, size)]
    root = (44.0, size - 46.0)
    body.append(f'<circle cx="{root[0]:g}" cy="{root[1]:g}" r="40" fill="#fff" fill-opacity="0.8"/>')
    for name, axis in (("L", (1, 0, 0)), ("A", (0, -1, 0)), ("S", (0, 0, 1))):
        x, y = float(np.dot(axis, right)) * 26, -float(np.dot(axis, up)) * 26
        tip = (root[0] + x, root[1] + y)
        body.append(svg.line(root, tip, stroke=svg.INK, width=2, cap="round"))
        body.append(svg.text(root[0] + x * 1.4, root[1] + y * 1.4 + 4, name, size=12, anchor="middle", weight=700, halo="#fff"))
    edge = Plane("", camera.centre_mm, _triple(right), _triple(-up), camera.half_mm)
    left, to_right, _, _ = edge.letters
    body.append(svg.text(8, size / 2 + 6, left, size=16, weight=700, halo="#fff"))
    body.append(svg.text(size - 8, size / 2 + 6, to_right, size=16, weight=700, anchor="end", halo="#fff"))
    bar = 20.0 * size / (2 * camera.half_mm)
    body.append(svg.line((size - 12 - bar, size - 12), (size - 12, size - 12), width=2.5))
    body.append(svg.text(size - 12 - bar, size - 18, "20 mm", size=11, weight=600, halo="#fff"))
    seen = "view from " + " ".join(
        {"L": "left", "R": "right", "A": "front", "P": "behind", "S": "above", "I": "below"}[c] for c in letter(toward)
    )
    body.append(svg.text(8, 16, f"3-D, {seen}", size=12, weight=600, halo="#fff"))
    names = ", ".join(s.name for s in shown) + (", needle" if needle else "")
    alt = f"3-D picture, {seen}: {names} in translucent bone; scale bar 20 mm at the depth of the lesion"
    return Picture(svg.document(size, size, body, alt), alt, f"3-D, {seen}", shown)


def _triple(values: Array) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
