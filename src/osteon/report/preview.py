"""The picture of a fresh outline: three cuts through the lesion, to be looked at before the outline is used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from osteon.cache import write_atomically
from osteon.errors import ImageError
from osteon.report import svg
from osteon.report.figures import section
from osteon.report.planes import Plane, centre_of, extent_mm, standard_planes
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Volume

PIXELS, GAP, HEAD = 320, 8.0, 26.0
LEAST_HALF_MM, SEED_NEAR_MM = 35.0, 5.0


def preview(
    image: Volume,
    mask: Volume,
    *,
    imaged: Volume | None = None,
    seed_mm: tuple[float, float, float] | None = None,
    notes: Sequence[str] = (),
    title: str = "lesion",
) -> str:
    """Draw axial, coronal and sagittal cuts through an outline.

    Parameters
    ----------
    image : Volume
        CT in HU.
    mask : Volume of bool
        The outline, on the same grid.
    imaged : Volume of bool, optional
        Where there is image information; elsewhere is hatched.
    seed_mm : tuple of float, optional
        A cross is drawn where it lies within 5 mm of a cut.
    notes : sequence of str
        Written below.
    title : str
        Above the pictures.

    Returns
    -------
    str
        One SVG; equal input gives equal text.

    Raises
    ------
    ImageError
        If the outline is empty or lies on another grid.
    """
    if not mask.grid.same_as(image.grid):
        raise ImageError("The outline lies on another grid than the image.", "It would be drawn elsewhere.", "Resample it first.")
    seen = imaged if imaged is not None else image.with_array(np.ones(image.grid.shape, bool))
    half = max(LEAST_HALF_MM, 2.0 * extent_mm(mask))
    anatomy = Anatomy(seen, image, {structure("lesion"): mask}, approximate=frozenset({structure("lesion")}))
    planes = standard_planes(centre_of(mask), half, PIXELS)
    lines = [line for note in notes for line in wrapped(note)]
    width = 3 * PIXELS + 2 * GAP
    height = HEAD + PIXELS + 10 + 15 * len(lines)
    body = [svg.rectangle(0, 0, width, height, fill="#fff"), svg.text(0, 17, title, size=14, weight=600)]
    for position, plane in enumerate(planes):
        inner = section(anatomy, plane).svg + _seed(plane, seed_mm)
        body.append(f'<g transform="translate({svg.coordinate(position * (PIXELS + GAP))} {svg.coordinate(HEAD)})">')
        body.append(inner.replace("<svg ", f'<svg width="{PIXELS}" height="{PIXELS}" ', 1) + "</g>")
    for number, words in enumerate(lines):
        body.append(svg.text(0, HEAD + PIXELS + 16 + 15 * number, words, size=11.5, fill=svg.SOFT))
    return svg.document(width, height, body, f"{title}: axial, coronal and sagittal cut with the outline; {' '.join(notes)}")


def write_preview(
    path: Path,
    image: Volume,
    mask: Volume,
    *,
    imaged: Volume | None = None,
    seed_mm: tuple[float, float, float] | None = None,
    notes: Sequence[str] = (),
    title: str = "lesion",
) -> Path:
    """Write the picture of ``preview`` to a file; it is seen whole or not at all.

    Raises
    ------
    ImageError
        As ``preview``.
    OsteonError
        If it cannot be written.
    """
    text = preview(image, mask, imaged=imaged, seed_mm=seed_mm, notes=notes, title=title)
    write_atomically(Path(path), text.encode())
    return Path(path)


def _seed(plane: Plane, seed_mm: tuple[float, float, float] | None) -> str:
    if seed_mm is None or abs(float(plane.depth_mm(np.asarray(seed_mm)))) > SEED_NEAR_MM:
        return ""
    x, y = (float(v) for v in plane.project(np.asarray(seed_mm)))
    cross = [((x - 6, y), (x + 6, y)), ((x, y - 6), (x, y + 6))]
    return "".join(svg.line(a, b, stroke="#000", width=3.4) + svg.line(a, b, stroke="#fff", width=1.6) for a, b in cross)


def wrapped(words: str, most: int = 150) -> list[str]:
    """Return words in lines of at most so many letters."""
    lines, line = [], ""
    for word in words.split():
        if line and len(line) + 1 + len(word) > most:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line] if line else lines
