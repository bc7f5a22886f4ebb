"""Pictures of one study beside the planning CT at the same place: a reader can judge how well the two lie on each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from osteon.case.align import Alignment
from osteon.case.model import Case, Study
from osteon.report import svg
from osteon.report.figures import WINDOW, WINDOW_LEVEL, WINDOW_WIDTH, Picture, contours, furniture, section, style_of
from osteon.report.planes import Plane, centre_of, extent_mm, standard_planes
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Volume

Array = np.ndarray[Any, np.dtype[Any]]
PIXELS = 300
LEAST_HALF_MM, MOST_HALF_MM, ROUND_MM = 60.0, 110.0, 50.0
BONE_HU, AIR_HU, OUTSIDE_HU = 200.0, -300.0, -1000.0
BONE, SKIN = "#FFE14D", "#56B4E9"
SHORTEST_POINTS = 24
LESION = structure("lesion")


@dataclass(frozen=True)
class Compared:
    """The pictures of one study, and what they show."""

    study_id: str
    pictures: tuple[Picture, ...]
    caption: str


def compare(case: Case, study: Study, alignment: Alignment) -> Compared | None:
    """Draw the planning CT and another study at the same place, axial and coronal, with edges of the CT over the other.

    Parameters
    ----------
    case : Case
        With the planning CT; cuts go through its first outlined lesion, else through the middle of what both images show.
    study : Study
        The other image.
    alignment : Alignment
        Of that study; nothing is drawn where it was not accepted.

    Returns
    -------
    Compared or None
        Four pictures: CT and other image, axial, then coronal.
    """
    planning = case.planning_image
    if planning is None or not alignment.accepted or alignment.transform is None:
        return None
    lesion = next((x.mask for x in case.lesions if x.mask is not None and x.mask.box() is not None), None)
    centre, half = _where(planning, study, alignment, lesion)
    masks = {LESION: lesion} if lesion is not None else {}
    anatomy = Anatomy(planning.imaged, planning.volume, masks)
    pictures: list[Picture] = []
    for plane in standard_planes(centre, half, PIXELS)[:2]:
        pictures.append(section(anatomy, plane, title=f"{plane.name}, {planning.id} ({planning.modality})"))
        pictures.append(_other(study, alignment, anatomy, plane))
    place = "through the lesion" if lesion is not None else "through the middle of what both images show"
    error = f"{alignment.error_mm:.1f} mm" if alignment.error_mm is not None else "not known"
    caption = (
        f"Left the planning CT {planning.id}, right {study.id} at the same place, {place}. The lines on the right are edges of "
        f"the CT: bone full, skin dashed. They should run along the same edges of {study.id}; estimated error {error}, drawn as "
        "the short bar. Radiological display."
    )
    return Compared(study.id, tuple(pictures), caption)


def _where(planning: Study, study: Study, alignment: Alignment, lesion: Volume | None) -> tuple[Array, float]:
    if lesion is not None:
        return centre_of(lesion), float(np.clip(extent_mm(lesion) + ROUND_MM, LEAST_HALF_MM, MOST_HALF_MM))
    corners = Volume.of(study.imaged.array, alignment.transform @ study.imaged.grid.matrix).grid.corners_mm()
    own = planning.volume.grid.corners_mm()
    low, high = np.maximum(corners.min(0), own.min(0)), np.minimum(corners.max(0), own.max(0))
    return (low + high) / 2, MOST_HALF_MM


def _other(study: Study, alignment: Alignment, anatomy: Anatomy, plane: Plane) -> Picture:
    """Return the other study on a plane of the planning CT, with the CT's edges and the lesion over it."""
    size = float(plane.pixels)
    grey, window, known = _grey(study, alignment, plane)
    body = [svg.image(grey, 0, 0, size, size)]
    body += _edges(anatomy, plane, known)
    if anatomy.has(LESION):
        values = ndimage.gaussian_filter(anatomy.mask(LESION).sample(plane.points_mm(), fill=0.0), 1.0)
        style = style_of(LESION)
        body += [
            svg.path(_line(c), stroke=style.colour, width=style.width, dash=style.dash, casing="#000")
            for c in contours(values, 0.5)
        ]
    name = f"{plane.name}, {study.id} ({study.modality})"
    body += furniture(plane, name, window)
    body += _error_bar(alignment, plane)
    error = f"{alignment.error_mm:.1f} mm" if alignment.error_mm is not None else "not known"
    alt = f"{name} at the same place as the planning CT; estimated error {error}; edges of the CT over it; scale bar 20 mm"
    return Picture(svg.document(size, size, body, alt), alt, name)


def _grey(study: Study, alignment: Alignment, plane: Plane) -> tuple[Array, str, Array]:
    """Return the other image on a plane as bytes, hatched where it was not imaged, how it is shown, and where it was imaged."""
    back = np.linalg.inv(alignment.transform if alignment.transform is not None else np.eye(4))
    points = plane.points_mm() @ back[:3, :3].T + back[:3, 3]
    values = study.volume.sample(points)
    known = (study.imaged.sample(points, fill=0.0) > 0.5) & np.isfinite(values)
    rows, columns = np.indices(values.shape)
    hatch = np.where((rows + columns) % 12 < 2, 105, 78).astype(np.uint8)
    if not known.any():
        return hatch, "not imaged here", known
    if study.modality == "CT":
        low, high, said = WINDOW_LEVEL - WINDOW_WIDTH / 2, WINDOW_LEVEL + WINDOW_WIDTH / 2, WINDOW
    else:
        low, high = (float(v) for v in np.percentile(values[known], [1, 99.5]))
        said = "own grey scale"
    share = np.clip((np.nan_to_num(values, nan=low) - low) / max(high - low, 1e-6), 0, 1)
    if study.modality in ("PT", "NM"):
        share, said = 1 - share, "high is dark"
    return np.where(known, np.round(share * 255), hatch).astype(np.uint8), said, known


def _edges(anatomy: Anatomy, plane: Plane, known: Array) -> list[str]:
    """Return edges of the CT where the other image shows anything: bone and skin, smoothed so that noise draws none."""
    if anatomy.image is None:
        return []
    points = plane.points_mm()
    hu = np.nan_to_num(anatomy.image.sample(points), nan=OUTSIDE_HU)
    imaged = anatomy.imaged.sample(points, fill=0.0) > 0.5
    both = ndimage.binary_erosion(imaged & known, iterations=3)  # edges of the images themselves are none
    smooth = ndimage.gaussian_filter(np.where(imaged, hu, OUTSIDE_HU), 1.5)
    found = []
    for level, colour, dash in ((AIR_HU, SKIN, "4 3"), (BONE_HU, BONE, "")):
        for line in contours(smooth, level, thinned=0.0):
            found += [svg.path(_line(run), stroke=colour, width=0.9, dash=dash) for run in _runs(line, both)]
    return found


def _runs(line: Array, where: Array) -> list[Array]:
    """Return the parts of a line that lie within a mask, those of some length only."""
    from skimage.measure import approximate_polygon

    index = np.clip(np.floor(line[:, ::-1]).astype(int), 0, np.array(where.shape) - 1)
    inside = where[tuple(index.T)]
    cuts = np.flatnonzero(np.diff(inside.astype(int))) + 1
    parts = zip(np.split(line, cuts), np.split(inside, cuts), strict=True)
    return [approximate_polygon(part, 0.3) for part, seen in parts if seen.all() and len(part) >= SHORTEST_POINTS]


def _line(points: Array) -> str:
    return svg.polyline([(float(x), float(y)) for x, y in points], bool(np.allclose(points[0], points[-1])))


def _error_bar(alignment: Alignment, plane: Plane) -> list[str]:
    """Return a bar as long as the estimated error, above the scale bar."""
    if alignment.error_mm is None:
        return []
    base, long = float(plane.pixels) - 38.0, max(alignment.error_mm / plane.step_mm, 1.0)
    said = f"error {alignment.error_mm:.1f} mm"
    return [
        svg.line((10, base), (10 + long, base), stroke="#000", width=5),
        svg.line((10, base), (10 + long, base), stroke="#F28FC4", width=2.5),
        svg.text(10, base - 6, said, size=11, fill="#F28FC4", weight=600, halo="#000"),
    ]
