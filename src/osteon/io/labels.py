"""Outlines from files: label maps with TotalSegmentator's or given names, and folders with one file per structure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from osteon.errors import ImageError, MissingError
from osteon.io.nifti import read_volume
from osteon.space.anatomy import Structure, structure, structures
from osteon.space.volume import Array, Grid, Volume


@dataclass(frozen=True, eq=False)
class LabelFile:
    """Outlines as read.

    Parameters
    ----------
    masks : dict of Structure to Volume of bool
        On the grid that was asked for; several labels of one structure are joined.
    unmapped : tuple of str
        Labels or files that no structure of osteon's vocabulary stands for.
    notes : tuple of str
        What the reader did that one should know.
    """

    masks: dict[Structure, Volume]
    unmapped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@cache
def totalsegmentator() -> Mapping[int, tuple[str, str]]:
    """Return TotalSegmentator's classes: number to its own name and to the structure id."""
    import yaml

    text = resources.files("osteon.io").joinpath("totalsegmentator.yaml").read_text(encoding="utf-8")
    entries = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return {int(k): (str(v["name"]), str(v["structure"])) for k, v in entries.items()}


def structure_named(name: str) -> Structure | None:
    """Return the structure that a name stands for: an id of the vocabulary or a name of TotalSegmentator; None if neither."""
    found = dict(totalsegmentator().values()).get(name, name)
    return structures().get(found)


def read(path: Path, grid: Grid, *, names: Mapping[int, str] | None = None) -> LabelFile:
    """Read outlines onto the grid of the planning image.

    Parameters
    ----------
    path : Path
        A NIfTI label map, or a folder with one NIfTI mask per structure.
    grid : Grid
        Of the image, canonical axes.
    names : mapping of int to str
        What each number means; TotalSegmentator's classes if None. Not used for folders.

    Returns
    -------
    LabelFile
        Masks that have at least one voxel on the grid.

    Raises
    ------
    MissingError
        If nothing is there.
    ImageError
        If a file cannot be used, or does not lie where the image lies.
    """
    path = Path(path)
    if path.is_dir():
        return _from_folder(path, grid)
    volume, notes = _placed(read_volume(path, integer=True), grid, path)
    table = {k: v[1] for k, v in totalsegmentator().items()} if names is None else dict(names)
    masks: dict[Structure, Volume] = {}
    unmapped = []
    for number in np.unique(volume.array):
        if number == 0:
            continue
        name = table.get(int(number))
        key = None if name is None else structure_named(name)
        if key is None:
            unmapped.append(f"{number}" if name is None else f"{number} ({name})")
            continue
        _add(masks, key, volume.array == number, grid)
    if not masks and not unmapped:
        raise _empty(path)
    return LabelFile(masks, tuple(unmapped), notes)


def read_mask(path: Path, grid: Grid, *, label: int | None = None) -> Volume:
    """Read one outline onto a grid: every voxel that is not zero, or those of one label.

    Raises
    ------
    MissingError
        If there is no such file.
    ImageError
        If it cannot be used, lies elsewhere than the image, or is empty.
    """
    volume, _ = _placed(_mask_of(path, label), grid, path)
    if not volume.array.any():
        raise _empty(path, label)
    return volume


def _mask_of(path: Path, label: int | None) -> Volume:
    if label is not None:
        volume = read_volume(path, integer=True)
        return volume.with_array(volume.array == label)
    volume = read_volume(path)
    top = float(np.fmax.reduce(volume.array, axis=None))
    return volume.with_array(volume.array > top / 2 if top > 0 else np.zeros(volume.array.shape, bool))


def _empty(path: Path, label: int | None = None) -> ImageError:
    return ImageError(
        f"The outline {path}{'' if label is None else f', label {label},'} is empty on the image's grid.",
        "An empty outline would read as 'nothing is here'.",
        "Draw it, name the right file or label, or list the structure under `absent` if it is truly not there.",
    )


def _from_folder(path: Path, grid: Grid) -> LabelFile:
    files = sorted(p for p in path.iterdir() if p.name.endswith((".nii", ".nii.gz")))
    if not files:
        raise MissingError(
            f"There is no NIfTI file in {path}.", "The case expects one per structure there.", "Name the folder that holds them."
        )
    masks: dict[Structure, Volume] = {}
    unmapped: list[str] = []
    notes: list[str] = []
    for file in files:
        key = structure_named(file.name.removesuffix(".gz").removesuffix(".nii"))
        if key is None:
            unmapped.append(file.name)
            continue
        volume, said = _placed(_mask_of(file, None), grid, file)
        notes += said
        if volume.array.any():
            _add(masks, key, volume.array, grid)
        else:
            notes.append(f"{file.name} is empty on the image's grid; {key.name} stays unknown")
    return LabelFile(masks, tuple(unmapped), tuple(notes))


def _add(masks: dict[Structure, Volume], key: Structure, array: Array, grid: Grid) -> None:
    masks[key] = Volume(array | masks[key].array if key in masks else array, grid)


def _placed(volume: Volume, grid: Grid, path: Path) -> tuple[Volume, tuple[str, ...]]:
    """Bring labels onto the image's grid: as they are, or by nearest neighbour where the fields meet."""
    volume = volume.canonical()
    if volume.grid.same_as(grid, tolerance_mm=0.05 * min(grid.spacing_mm)):
        return Volume(volume.array, grid), ()
    low, high = volume.grid.corners_mm().min(0), volume.grid.corners_mm().max(0)
    image_low, image_high = grid.corners_mm().min(0), grid.corners_mm().max(0)
    if (np.minimum(high, image_high) - np.maximum(low, image_low)).min() < 0:
        raise ImageError(
            f"{path} lies at {_span(low, high)} mm (LPS), the image at {_span(image_low, image_high)} mm: they do not meet.",
            "Outlines of another image or another patient would be judged as this one's.",
            "Name the outlines that were drawn on this image, or register them first.",
        )
    notes = [f"{path.name} has another grid than the image; its labels were taken to the nearest voxel"]
    if (low - image_low > np.array(grid.spacing_mm[::-1])).any() or (image_high - high > np.array(grid.spacing_mm[::-1])).any():
        notes.append(f"{path.name} covers only {_span(low, high)} mm of the image; beyond that nothing is drawn: unknown")
    return volume.resample(grid), tuple(notes)


def _span(low: Array, high: Array) -> str:
    return " x ".join(f"{a:.0f}..{b:.0f}" for a, b in zip(low, high, strict=True))


def same_or_error(name: str) -> Structure:
    """Return the structure of a name in a case file, TotalSegmentator's names included.

    Raises
    ------
    InputError
        If the vocabulary has none of that name.
    """
    return structure_named(name) or structure(name)
