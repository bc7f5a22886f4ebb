"""From planes to stacks: which belong together, which one is meant, in which order they lie, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from osteon.errors import ImageError
from osteon.io.dicom_scan import Plane
from osteon.space.volume import Array

SAME_PLACE_MM = 1e-3
WHOLE_ONLY = ("trigger time", "acquisition time")
"""Marks that also differ within one stack: they split a series only where every part is complete."""
MOST_VOXELS = 600_000_000
"""A stack beyond this does not fit into the memory that osteon allows itself (4 GB)."""


@dataclass(frozen=True, eq=False)
class Group:
    """Planes that make one stack; ``label`` says which part of its series it is."""

    planes: tuple[Plane, ...]
    label: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """What one may ask for: UID, number, description, each also with the label; or the label alone."""
        first = self.planes[0]
        plain = [v for key in ("SeriesInstanceUID", "SeriesNumber", "SeriesDescription") if (v := first.text(key))]
        joined = [f"{v} / {self.label}" for v in plain] if self.label else []
        return (*plain, *joined, *([self.label] if self.label else []))

    def said(self) -> str:
        """Return one line for a list of stacks."""
        first = self.planes[0]
        plain = [first.text(key) for key in ("SeriesInstanceUID", "SeriesNumber", "SeriesDescription")]
        title = " / ".join(filter(None, [*plain, self.label])) or "no UID"
        return f"{title} ({len(self.planes)} slices)"


def groups_of(planes: Sequence[Plane]) -> list[Group]:
    """Return the stacks among planes: one patient, study, series, modality and geometry each; UIDs may be empty or repeated."""
    kinds: dict[tuple[object, ...], list[Plane]] = {}
    for plane in planes:
        keys = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "Modality")
        kinds.setdefault((*(plane.text(k) for k in keys), plane.rows, plane.columns), []).append(plane)
    found = []
    for members in kinds.values():
        alike: list[list[Plane]] = []
        for plane in members:
            home = next((a for a in alike if _parallel(a[0], plane)), None)
            if home is None:
                alike.append([plane])
            else:
                home.append(plane)
        for part in alike:
            found += _split(part)
    return found


def _parallel(one: Plane, other: Plane) -> bool:
    turned = np.abs(np.subtract(one.orientation, other.orientation)).max()  # type: ignore[arg-type]
    scaled = np.abs(np.subtract(one.spacing, other.spacing)).max()  # type: ignore[arg-type]
    return bool(turned <= 2e-3 and scaled <= 1e-3)


def _split(planes: list[Plane]) -> list[Group]:
    """Return one group, or several where slices share a place and a mark in the header tells them apart."""
    keys = _place_keys(planes)
    places = set(keys)
    if len(places) == len(planes):
        return [Group(tuple(planes))]
    marks = dict.fromkeys(label for plane in planes for label in plane.marks)
    for mark in marks:
        parts: dict[str, list[int]] = {}
        for index, plane in enumerate(planes):
            parts.setdefault(plane.marks.get(mark, ""), []).append(index)
        least = len(places) if mark in WHOLE_ONLY else 2
        sound = all(len({keys[i] for i in part}) == len(part) >= least for part in parts.values())
        if len(parts) > 1 and sound:
            return [Group(tuple(planes[i] for i in part), f"{mark} {value}") for value, part in parts.items()]
    return [Group(tuple(planes))]


def _place_keys(planes: list[Plane]) -> list[int]:
    """Return a number per plane that is equal where planes lie in the same place."""
    places = np.array([p.position for p in planes], float)
    along = places @ normal_of(planes[0])
    order = np.argsort(along, kind="stable")
    step = np.diff(along[order], prepend=along[order[0]]) > SAME_PLACE_MM
    keys = np.empty(len(planes), int)
    keys[order] = np.cumsum(step)
    return [int(k) for k in keys]


def normal_of(plane: Plane) -> Array:
    """Return the unit normal of a plane: row direction x column direction."""
    row, column = np.array(plane.orientation, float).reshape(2, 3)
    normal = np.cross(row, column)
    return np.asarray(normal / np.linalg.norm(normal))


def choose(groups: list[Group], path: Path, series: str | None) -> Group:
    """Return the one stack that is meant.

    Raises
    ------
    ImageError
        If none or several fit; every stack is listed.
    """
    fitting = groups if series is None else [g for g in groups if str(series) in g.names]
    if series is None and path.is_file():
        fitting = [g for g in groups if any(p.path == path for p in g.planes)] or groups
    if len(fitting) == 1:
        return fitting[0]
    listed = "; ".join(g.said() for g in (fitting or groups)[:20])
    patients = len({g.planes[0].text("PatientID") for g in fitting})
    asked = "" if series is None else f" that fit {series!r}"
    several = f" of {patients} patients" if patients > 1 else ""
    there = "" if fitting else " It holds"
    raise ImageError(
        f"{path} holds {len(fitting)} stacks of slices{asked}{several}{'.' if there else ''}{there}: {listed}.",
        "Mixing series gives an image that no scanner made.",
        "Add `series:` with the UID, number or description of the one that is meant, or put it in a folder of its own.",
    )


@dataclass(frozen=True, eq=False)
class Ordered:
    """Planes from the first to the last along their normal; ``doubles`` are pairs (kept, other) in the same place."""

    planes: tuple[Plane, ...]
    doubles: tuple[tuple[Plane, Plane], ...]
    affine: Array


def order(planes: Sequence[Plane], path: Path) -> Ordered:
    """Sort along the normal; refuse gaps and stacks that are not along a line. The affine leans where the gantry was tilted.

    Raises
    ------
    ImageError
        If slices are missing, not along a line, too few or too many.
    """
    normal = normal_of(planes[0])
    along = np.array([p.position for p in planes], float) @ normal
    kept: list[Plane] = []
    doubles = []
    last = -np.inf
    for index in np.argsort(along, kind="stable"):
        if along[index] - last <= SAME_PLACE_MM:
            doubles.append((kept[-1], planes[index]))
            continue
        kept.append(planes[index])
        last = along[index]
    if len(kept) < 2:
        raise ImageError(
            f"{path} holds one slice.", "A lesion and a needle path need a volume.", "Name the folder of the whole series."
        )
    voxels = len(kept) * kept[0].rows * kept[0].columns
    if voxels > MOST_VOXELS:
        raise ImageError(
            f"{path} holds {len(kept)} x {kept[0].rows} x {kept[0].columns} voxels, more than {MOST_VOXELS:.0e}.",
            "It would not fit into memory.",
            "Crop it to the region of the lesion, or check the size in its header.",
        )
    places = np.array([p.position for p in kept], float)
    _check_gaps(kept, places @ normal, path)
    step = (places[-1] - places[0]) / (len(kept) - 1)
    astray = np.linalg.norm(places - places[0] - np.outer(np.arange(len(kept)), step), axis=1)
    if astray.max() > max(0.1, 0.03 * float(np.linalg.norm(step))):
        worst = kept[int(astray.argmax())].name
        raise ImageError(
            f"The slices in {path} do not lie along a line: {worst} is {astray.max():.2f} mm aside.",
            "Two parts of the body would be joined that are not neighbours.",
            "Check whether files of two examinations were mixed, and export the series again.",
        )
    row, column = np.array(kept[0].orientation, float).reshape(2, 3)
    between_rows, between_columns = kept[0].spacing or (0.0, 0.0)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = row * between_columns, column * between_rows, step
    affine[:3, 3] = places[0]
    return Ordered(tuple(kept), tuple(doubles), affine)


def _check_gaps(planes: list[Plane], along: Array, path: Path) -> None:
    steps = np.diff(along)
    usual = float(np.median(steps))
    bad = np.flatnonzero(np.abs(steps - usual) > max(0.02 * usual, 0.01))
    if not bad.size:
        return
    at = int(bad[0])
    lost = round(float(steps[at] / usual)) - 1
    whole = lost >= 1 and abs(steps[at] - (lost + 1) * usual) <= max(0.02 * usual, 0.01) * (lost + 1)
    guess = f"{lost} slice{'s' if lost > 1 else ''} missing; " if whole else ""
    raise ImageError(
        f"In {path} the slices {planes[at].name} and {planes[at + 1].name} are {steps[at]:.2f} mm apart where {usual:.2f} mm is "
        f"usual ({guess}{bad.size} such places).",
        "Missing slices or a changing spacing move everything beyond them.",
        "Export the series again completely.",
    )
