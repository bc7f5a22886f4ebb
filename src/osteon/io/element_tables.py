"""Tables of transducer elements: text or MATLAB 5, in several units and from several origins, into one frame.

The frame of a device: vertex at the origin, z along the beam, metres. A file whose name is known (``element_tables.yaml``)
brings its layout; any other needs its unit and origin said, for neither can be read off the numbers. Every table is checked:
its elements must lie on one sphere, or in one plane.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from osteon.data_files import read_data
from osteon.errors import InputError, MissingError

Array = np.ndarray[Any, np.dtype[Any]]
METRES = {"m": 1.0, "mm": 1e-3, "cm": 1e-2, "inch": 25.4e-3}
ORIGINS = ("vertex", "focus", "plane", "polar")
SPHERE = 1e-3  # largest distance from the sphere, as a share of its radius
RADII_M = (0.02, 1.0)  # a radius outside is most likely a wrong unit


@dataclass(frozen=True, eq=False)
class ElementTable:
    """Where the elements of an array are.

    Parameters
    ----------
    name : str
        Of the file.
    centres_m, normals : ndarray, shape (n, 3)
        In the frame of the device; normals of length 1, towards the centre of curvature (along z in a flat array).
    radius_m : float
        Radius of curvature; infinity in a flat array.
    residual_m : float
        Largest distance of an element from the sphere or plane.
    frequency_hz, element_diameter_m : float or None
        Where the layout knows them.
    source : str
        Id of a paper; empty where the table is the user's own.
    """

    name: str
    centres_m: Array
    normals: Array
    radius_m: float
    residual_m: float
    frequency_hz: float | None
    element_diameter_m: float | None
    source: str


def read_elements(
    path: Path | str, *, unit: str | None = None, origin: str | None = None, radius_mm: float | None = None
) -> ElementTable:
    """Read a table of elements.

    Parameters
    ----------
    path : Path or str
        ``.csv`` or text with commas, tabs or blanks, with or without a header, or MATLAB 5 ``.mat`` with one array.
    unit : {"m", "cm", "mm", "inch"}, optional
        Of the coordinates; needed where the file's name is not known.
    origin : {"vertex", "focus", "plane", "polar"}, optional
        The same.
    radius_mm : float, optional
        Radius of the sphere of a polar table.

    Returns
    -------
    ElementTable
        In the frame of the device.

    Raises
    ------
    MissingError
        If there is no such file.
    InputError
        If it holds no coordinates, its unit or origin is not known, or its elements lie on no sphere.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"There is no file {path}.", "The elements of the array stand in it.", "Check the path.")
    known: dict[str, Any] = read_data("osteon.io", "element_tables.yaml").get(path.stem, {})
    unit, origin = unit or known.get("unit"), origin or known.get("origin")
    radius_mm = radius_mm if radius_mm is not None else known.get("radius_mm")
    if unit not in METRES or origin not in ORIGINS or (origin == "polar" and not radius_mm):
        raise InputError(
            f"The layout of {path.name} is not known: unit {unit!r}, origin {origin!r}, radius {radius_mm!r} mm.",
            "A table in inches read as millimetres puts the focus 25 times too near.",
            f"Give unit ({', '.join(METRES)}), origin ({', '.join(ORIGINS)}) and, for a polar table, the radius of the sphere.",
        )
    raw = _matlab(path) if path.suffix.lower() == ".mat" else _text(path, 2 if origin == "polar" else 3)
    if len(raw) < 2 or not np.isfinite(raw).all():
        raise InputError(
            f"{path.name} holds {len(raw)} rows, or a coordinate that is not finite.",
            "Each element needs its place.",
            "Check the file; header lines are skipped by themselves.",
        )
    scale = METRES[unit]
    centres, normals, radius, residual = _placed(raw, origin, scale, (radius_mm or 0.0) * 1e-3, path.name)
    diameter = known.get("element_diameter_mm")
    return ElementTable(
        path.stem,
        centres,
        normals,
        radius,
        residual,
        known.get("frequency_hz"),
        diameter and diameter * 1e-3,
        known.get("source", ""),
    )


def _text(path: Path, columns: int) -> Array:
    """Return the coordinates of a text table: named X, Y, Z in the header, or the first columns."""
    rows, header = [], None
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        words = [word for word in re.split(r"[,;\t]", line) if word.strip()] if re.search(r"[,;\t]", line) else line.split()
        if not words:
            continue
        try:
            rows.append([float(word) for word in words])
        except ValueError:
            header = [word.strip().lower() for word in words]
    if not rows or min(len(row) for row in rows) < columns:
        raise InputError(
            f"{path.name} holds {len(rows)} rows of numbers, not all with {columns} columns.",
            f"Each element needs {columns} coordinates.",
            "Give one element a line, with commas, tabs or blanks between numbers.",
        )
    first = header.index("x") if header and "x" in header and columns == 3 else 0
    return np.array([row[first : first + columns] for row in rows])


def _matlab(path: Path) -> Array:
    """Return the one array of three columns of a MATLAB 5 file."""
    from scipy.io import loadmat

    try:
        found = {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
    except (ValueError, NotImplementedError, TypeError) as error:
        raise InputError(
            f"{path.name} is no MATLAB 5 file: {error}.", "Its elements cannot be read.", "Save it with -v7 or as text."
        ) from error
    arrays = [np.asarray(value, float) for value in found.values() if getattr(value, "ndim", 0) == 2 and value.shape[1] == 3]
    if len(arrays) != 1:
        raise InputError(
            f"{path.name} holds {len(arrays)} arrays of three columns ({', '.join(found) or 'none'}).",
            "It is not clear which one places the elements.",
            "Keep only that array in the file.",
        )
    return arrays[0]


def _placed(raw: Array, origin: str, scale: float, radius_m: float, name: str) -> tuple[Array, Array, float, float]:
    """Return centres and normals in the frame of the device, the radius and the largest distance from the surface."""
    if origin == "plane":
        centres = raw * scale
        residual = float(np.abs(centres[:, 2] - centres[:, 2].mean()).max())
        if residual > SPHERE * float(np.ptp(centres[:, :2])):
            raise InputError(
                f"The elements of {name} lie up to {residual:g} m from one plane.",
                "It is no flat array.",
                "Say origin focus or vertex.",
            )
        centres[:, 2] = 0.0
        return centres, np.tile([0.0, 0.0, 1.0], (len(raw), 1)), float("inf"), residual
    if origin == "polar":
        angle, across = np.radians(raw[:, 0]), raw[:, 1] * scale
        if (across >= radius_m).any():
            raise InputError(
                f"An element of {name} lies {across.max():g} m from the axis of a sphere of {radius_m:g} m.",
                "It is not on the sphere.",
                "Check radius and unit.",
            )
        raw = (
            np.stack([across * np.cos(angle), across * np.sin(angle), radius_m - np.sqrt(radius_m**2 - across**2)], axis=1)
            / scale
        )
    places = raw * scale
    centre, radius, residual = sphere(places)
    if not (RADII_M[0] <= radius <= RADII_M[1]) or residual > SPHERE * radius:
        raise InputError(
            f"The elements of {name} fit a sphere of {radius * 1e3:.4g} mm with up to {residual * 1e3:.3g} mm between.",
            "They must lie on one sphere of 20 to 1000 mm, or phases of focusing would be wrong.",
            "Check the unit; for a flat array say origin plane.",
        )
    told = np.array([0.0, 0.0, 0.0]) if origin == "focus" else np.array([0.0, 0.0, np.sign(centre[2]) * radius])
    if np.linalg.norm(centre - told) > 5 * SPHERE * radius:
        raise InputError(
            f"The centre of curvature of {name} is at {np.round(centre * 1e3, 2).tolist()} mm: no origin {origin!r}.",
            "Vertex and focus would be confused.",
            "Say origin focus if coordinates count from the centre of curvature, vertex if from the middle of the bowl.",
        )
    relative = places - centre
    if relative[:, 2].mean() > 0:  # the beam runs towards -z: half a turn about x, which keeps left and right apart
        relative = relative * np.array([1.0, -1.0, -1.0])
    return relative + np.array([0.0, 0.0, radius]), -relative / np.linalg.norm(relative, axis=1)[:, None], radius, residual


def sphere(points_m: Array) -> tuple[Array, float, float]:
    """Return centre, radius and largest residual [m] of the sphere through points, by least squares.

    Parameters
    ----------
    points_m : ndarray, shape (n, 3)
        At least four, not in one plane.
    """
    middle = points_m.mean(axis=0)
    local = points_m - middle
    matrix = np.column_stack([2 * local, np.ones(len(local))])
    answer, *_ = np.linalg.lstsq(matrix, (local**2).sum(axis=1), rcond=None)
    radius = float(np.sqrt(max(answer[3] + (answer[:3] ** 2).sum(), 0.0)))
    residual = float(np.abs(np.linalg.norm(local - answer[:3], axis=1) - radius).max())
    return answer[:3] + middle, radius, residual
