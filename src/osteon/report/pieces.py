"""The picture of pieces of bone found by threshold, to be named: the patient seen from the front and from both sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from osteon.cache import write_atomically
from osteon.case.bones import FoundBones
from osteon.report import svg
from osteon.report.preview import wrapped
from osteon.space.anatomy import Structure
from osteon.space.volume import Volume

Array = np.ndarray[Any, np.dtype[Any]]
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167), (0, 114, 178))
HEIGHT, GAP, HEAD, LINE = 420.0, 12.0, 44.0, 17.0
DARK_HU, BRIGHT_HU = 0.0, 1000.0
LEAST_PICTURE_MM = 30.0
SEEN_PART = 0.3
"""A piece is numbered where at least this part of its own outline is not hidden behind others."""


@dataclass(frozen=True)
class View:
    """From where the patient is looked at.

    Parameters
    ----------
    title, left, right : str
        Above the picture, and at its edges.
    axis : int
        Array axis along which is looked, of (z, y, x).
    from_end : bool
        Whether the viewer stands at the high end of that axis.
    flipped : bool
        Whether the columns run against the array.
    """

    title: str
    left: str
    right: str
    axis: int
    from_end: bool
    flipped: bool


VIEWS = (
    View("from the right", "P", "A", 2, False, True),
    View("from the front", "R", "L", 1, False, False),
    View("from the left", "A", "P", 2, True, False),
)


def pieces(image: Volume, found: FoundBones, names: Mapping[str, Structure] | None = None) -> str:
    """Draw the pieces of bone in colours with their ids.

    Parameters
    ----------
    image : Volume
        CT in HU.
    found : FoundBones
        What was found in it.
    names : mapping of str to Structure, optional
        Pieces that have a name already.

    Returns
    -------
    str
        One SVG; equal input gives equal text.
    """
    grid = found.body.grid
    hu = np.where(found.body.array, image.canonical().resample(grid, fill=-1024.0).array, -1024.0)
    numbers = np.zeros(grid.shape, np.uint8)
    for number, bone in enumerate(found.bones, start=1):
        numbers[bone.mask.array] = number
    places, x = [], 0.0
    body: list[str] = []
    for view in VIEWS:
        across = 3 - view.axis  # y from the side, x from the front
        high, wide = (
            n * s for n, s in zip((grid.shape[0], grid.shape[across]), (grid.spacing_mm[0], grid.spacing_mm[across]), strict=True)
        )
        scale = HEIGHT / max(high, LEAST_PICTURE_MM)
        places.append((view, x, wide * scale, high * scale))
        x += wide * scale + GAP
    width = max(x - GAP, 620.0)
    for view, left, wide, high in places:
        body += _panel(view, hu, numbers, len(found.bones), left, wide, high)
    lines = _legend(found, names or {})
    notes = [line for note in found.notes for line in wrapped(note, int(width / 6.2))]
    top = HEAD + HEIGHT + 24.0
    for row, (number, words) in enumerate(lines):
        body.append(svg.rectangle(2, top + LINE * row - 10, 12, 12, fill=_hex(number), stroke="#000"))
        body.append(svg.text(20, top + LINE * row, words, size=12.5))
    top += LINE * len(lines) + 8
    body += [svg.text(0, top + 15 * row, words, size=11.5, fill=svg.SOFT) for row, words in enumerate(notes)]
    height = top + 15 * len(notes)
    title = "pieces of bone found by threshold; approximate, to be looked at and named"
    ground = [svg.rectangle(0, 0, width, height, fill="#fff"), svg.text(0, 16, title, size=14, weight=600)]
    return svg.document(width, height, [*ground, *body], f"{title}: {'; '.join(words for _, words in lines)}")


def write_pieces(path: Path, image: Volume, found: FoundBones, names: Mapping[str, Structure] | None = None) -> Path:
    """Write the picture of ``pieces`` to a file; it is seen whole or not at all.

    Raises
    ------
    OsteonError
        If it cannot be written.
    """
    write_atomically(Path(path), pieces(image, found, names).encode())
    return Path(path)


def _panel(view: View, hu: Array, numbers: Array, count: int, left: float, wide: float, high: float) -> list[str]:
    depth = np.flip(numbers, view.axis) if view.from_end else numbers
    first = np.argmax(depth > 0, axis=view.axis)
    seen = np.take_along_axis(depth, np.expand_dims(first, view.axis), view.axis).squeeze(view.axis)
    ray = hu.max(axis=view.axis)
    if view.flipped:
        seen, ray = seen[:, ::-1], ray[:, ::-1]
    seen, ray = seen[::-1], ray[::-1]  # head up
    light = np.clip((ray - DARK_HU) / (BRIGHT_HU - DARK_HU), 0, 1)[..., None]
    colours = np.array([(255, 255, 255), *(COLOURS[i % len(COLOURS)] for i in range(count))], float)
    tint = np.where((seen > 0)[..., None], 0.35 + 0.65 * light, 0.45 * light)
    picture = np.round(colours[seen] * tint).astype(np.uint8)
    body = [svg.text(left, HEAD - 4, view.title, size=12, fill=svg.SOFT), svg.image(picture, left, HEAD, wide, high)]
    step = (wide / seen.shape[1], high / seen.shape[0])
    for number in range(1, count + 1):
        index = np.argwhere(seen == number)
        if len(index) <= SEEN_PART * (numbers == number).any(axis=view.axis).sum():
            continue
        row, column = index[np.argmin(((index - np.median(index, axis=0)) ** 2).sum(1))]
        at = (left + (column + 0.5) * step[0], HEAD + (row + 0.5) * step[1])
        body.append(svg.text(at[0], at[1] + 6, str(number), size=17, fill="#fff", anchor="middle", weight=700, halo="#000"))
    for words, x, anchor in ((view.left, left + 6, "start"), (view.right, left + wide - 6, "end")):
        body.append(svg.text(x, HEAD + high / 2, words, size=14, fill="#fff", anchor=anchor, weight=700, halo="#000"))
    return body


def _legend(found: FoundBones, names: Mapping[str, Structure]) -> list[tuple[int, str]]:
    lines = []
    for number, bone in enumerate(found.bones, start=1):
        name = f" = {names[bone.id].name}" if bone.id in names else ""
        side = "side unknown" if bone.side == "unknown" else bone.side
        more = [f"cut {', '.join(bone.cut)}"] if bone.cut else []
        more += ["holds metal"] if bone.holds_metal else []
        lines.append((number, f"{bone.id}{name}: {', '.join([side, f'{bone.volume_ml:.0f} ml', *more])}"))
    return lines


def _hex(number: int) -> str:
    return "#" + "".join(f"{c:02x}" for c in COLOURS[(number - 1) % len(COLOURS)])
