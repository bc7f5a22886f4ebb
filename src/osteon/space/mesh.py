"""Surfaces of masks as triangles in LPS mm; STL and PLY files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
from scipy import ndimage, sparse

from osteon.errors import NotOutlinedError, SettingError
from osteon.space.volume import Array, Volume


@dataclass(frozen=True, eq=False)
class Surface:
    """A closed triangle surface: vertices (n, 3) in LPS mm, faces (m, 3) counter-clockwise from outside, unit normals (n, 3)."""

    vertices_mm: Array
    faces: Array
    normals: Array

    @property
    def area_mm2(self) -> float:
        """Area [mm²]."""
        return float(np.linalg.norm(_crosses(self.vertices_mm, self.faces), axis=1).sum() / 2)

    @property
    def volume_mm3(self) -> float:
        """Enclosed volume [mm³], by the divergence theorem."""
        return _volume(self.vertices_mm, self.faces)


def surface(mask: Volume, smooth: bool = True) -> Surface:
    """Return the closed surface of a mask by marching cubes.

    Parameters
    ----------
    mask : Volume of bool
        Not empty; closed with a cap where it touches the border of the grid.
    smooth : bool
        Take out the voxel steps by Taubin's filter, which keeps the volume to about a percent.

    Returns
    -------
    Surface
        In LPS mm.

    Raises
    ------
    NotOutlinedError
        If the mask is empty.
    """
    vertices, faces = isosurface(mask, close=True)
    if len(vertices) == 0:
        raise NotOutlinedError("The outline is empty.", "It has no surface.", "Outline the structure first.")
    if smooth:
        vertices = _taubin(vertices, faces)
    if _volume(vertices, faces) < 0:
        faces = np.ascontiguousarray(faces[:, ::-1])
    return Surface(vertices, faces, _vertex_normals(vertices, faces))


def isosurface(mask: Volume, close: bool) -> tuple[Array, Array]:
    """Return vertices (n, 3) in LPS mm and faces (m, 3) of a mask at one half; ``close`` caps it at the border of the grid."""
    from skimage.measure import marching_cubes

    inside = mask.array.astype(bool)
    places = ndimage.find_objects(inside.astype(np.uint8))
    empty = np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    if not places:
        return empty
    window = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in places[0])
    part = inside[window].astype(np.float32)
    low = np.array([s.start for s in window], float)
    if close:
        part, low = np.pad(part, 1), low - 1.0
    if min(part.shape) < 2 or part.min() == part.max():
        return empty
    vertices, faces, _, _ = marching_cubes(part, 0.5)
    return mask.grid.to_mm(vertices + low), faces.astype(np.int64)


def normals_from_gradient(mask: Volume, points_mm: Array, sigma_voxels: float = 1.5) -> Array:
    """Return outward unit normals (n, 3) at LPS points near the surface of a mask, from the gradient of the blurred mask."""
    inside = mask.array.astype(bool)
    window = tuple(slice(max(s.start - 6, 0), s.stop + 6) for s in ndimage.find_objects(inside.astype(np.uint8))[0])
    spacing = np.array(mask.spacing_mm)
    sigma = sigma_voxels * spacing.min() / spacing  # the same blur in millimetres along every axis
    blurred = ndimage.gaussian_filter(inside[window].astype(np.float32), np.maximum(sigma, 0.6), mode="nearest")
    index = mask.grid.to_index(points_mm) - np.array([s.start for s in window], float)
    slopes = [
        ndimage.map_coordinates(np.gradient(blurred, axis=axis) if blurred.shape[axis] > 1 else blurred * 0, index.T, order=1)
        for axis in range(3)
    ]
    per_index = np.stack(slopes, -1)[:, ::-1]  # x, y, z
    outward = -per_index @ np.linalg.inv(mask.grid.matrix[:3, :3])
    return cast(Array, outward / np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-12))


def write_stl(shape: Surface, path: Path | str, coordinates: Literal["LPS", "RAS"] = "LPS") -> None:
    """Write a binary STL file in mm; the header says ``SPACE=LPS`` or ``SPACE=RAS``.

    Parameters
    ----------
    shape : Surface
        What to write.
    path : path
        Where.
    coordinates : {"LPS", "RAS"}
        Frame of the numbers in the file.

    Raises
    ------
    SettingError
        If the frame is neither.
    """
    corners = _framed(shape.vertices_mm, coordinates)[shape.faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    record = np.zeros(len(corners), dtype=[("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    record["normal"] = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12)
    record["corners"] = corners
    header = f"osteon surface in mm; SPACE={coordinates}".encode().ljust(80)
    Path(path).write_bytes(header + np.uint32(len(corners)).tobytes() + record.tobytes())


def write_ply(shape: Surface, path: Path | str, coordinates: Literal["LPS", "RAS"] = "LPS") -> None:
    """Write a binary PLY file with vertex normals in mm; a comment says ``SPACE=LPS`` or ``SPACE=RAS``.

    Parameters
    ----------
    shape : Surface
        What to write.
    path : path
        Where.
    coordinates : {"LPS", "RAS"}
        Frame of the numbers in the file.

    Raises
    ------
    SettingError
        If the frame is neither.
    """
    points = np.hstack([_framed(shape.vertices_mm, coordinates), _framed(shape.normals, coordinates)]).astype("<f4")
    triangles = np.zeros(len(shape.faces), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    triangles["count"], triangles["corners"] = 3, shape.faces
    names = "".join(f"property float {name}\n" for name in ("x", "y", "z", "nx", "ny", "nz"))
    header = (
        f"ply\nformat binary_little_endian 1.0\ncomment osteon surface in mm; SPACE={coordinates}\n"
        f"element vertex {len(points)}\n{names}element face {len(triangles)}\n"
        "property list uchar int vertex_indices\nend_header\n"
    )
    Path(path).write_bytes(header.encode() + points.tobytes() + triangles.tobytes())


def _framed(vectors: Array, coordinates: str) -> Array:
    if coordinates not in ("LPS", "RAS"):
        raise SettingError(
            f"The frame {coordinates!r} is not known.", "Left and right would be guessed by the reader.", "Use LPS or RAS."
        )
    return vectors if coordinates == "LPS" else vectors * np.array([-1.0, -1.0, 1.0])


def _crosses(vertices: Array, faces: Array) -> Array:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def _volume(vertices: Array, faces: Array) -> float:
    centred = vertices - vertices.mean(0)
    return float(np.einsum("ij,ij->", centred[faces[:, 0]], _crosses(centred, faces)) / 6)


def _vertex_normals(vertices: Array, faces: Array) -> Array:
    across = _crosses(vertices, faces)
    total = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(total, faces[:, corner], across)
    return cast(Array, total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12))


def _taubin(vertices: Array, faces: Array, rounds: int = 15, shrink: float = 0.5, swell: float = -0.53) -> Array:
    """Smooth by alternating a shrinking and a swelling Laplacian step (Taubin 1995)."""
    count = len(vertices)
    rows = np.concatenate([faces[:, [0, 1, 2]].ravel(), faces[:, [1, 2, 0]].ravel()])
    columns = np.concatenate([faces[:, [1, 2, 0]].ravel(), faces[:, [0, 1, 2]].ravel()])
    near = sparse.coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, count)).tocsr()
    near.data[:] = 1.0
    mean = sparse.diags(1.0 / np.maximum(np.asarray(near.sum(1)).ravel(), 1.0)) @ near
    points = vertices.copy()
    for _ in range(rounds):
        for factor in (shrink, swell):
            points += factor * (mean @ points - points)
    return points


def surface_of(mask: Volume, smooth: bool = True) -> tuple[Array, Array]:
    """Return points (n, 3) on the surface of a mask, LPS mm, and the area that each stands for [mm²].

    The surface is open where the mask touches the border of the grid: there it is cut, not bounded.
    """
    vertices, faces = isosurface(mask, close=False)
    if len(vertices) == 0:
        return vertices, np.zeros(0)
    if smooth:
        vertices = _taubin(vertices, faces)
    thirds = np.linalg.norm(_crosses(vertices, faces), axis=1) / 6
    return vertices, np.bincount(faces.ravel(), np.repeat(thirds, 3), minlength=len(vertices))
