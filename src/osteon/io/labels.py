"""Outlines from files: label maps, folders with one file per structure, RT Structure Sets and DICOM SEG; names become structures.

What a file is, its content tells, not its ending. What a name means is never guessed: see ``structure_names``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import ndimage

from osteon.errors import ImageError, MissingError
from osteon.io import metaimage, nifti
from osteon.io.class_names import structure_named as structure_named
from osteon.io.class_names import totalsegmentator as totalsegmentator
from osteon.io.regions import LATTICES, NamedMask, Uids, named_masks, object_kind, one_mask
from osteon.io.structure_names import Question, resolve_all
from osteon.space.anatomy import Structure, structure
from osteon.space.volume import Array, CompactMask, Grid, Volume, Window, union_of

MOST_BOXES = 1 << 16
"""Numbers of a label map up to here are found in one pass."""


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
    questions : tuple of Question
        Names that a person must decide; what they stand for is not among the masks.
    drawn : dict of Structure to Volume of bool
        Where a structure was drawn at all, where that is a part of the grid only; beyond it, it is unknown.
    names : tuple of str
        Every name that the file has; empty for label maps, which have numbers.
    meaning : dict of str to Structure
        What is decided of them.
    """

    masks: dict[Structure, Volume]
    unmapped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    drawn: dict[Structure, Volume] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    meaning: dict[str, Structure] = field(default_factory=dict)


def read(
    path: Path,
    grid: Grid,
    *,
    names: Mapping[int, str] | None = None,
    answers: Mapping[str, str] | None = None,
    uids: Uids | None = None,
) -> LabelFile:
    """Read outlines onto the grid of the image that they were drawn on.

    Parameters
    ----------
    path : Path
        A label map, a folder with one NIfTI, NRRD or MetaImage mask per structure, an RTSTRUCT or a DICOM SEG.
    grid : Grid
        Of the image, canonical axes.
    names : mapping of int to str
        What each number of a label map means; TotalSegmentator's classes if None.
    answers : mapping of str to str
        What a name means where osteon asks: structure id or ``ignore``. Not used for label maps.
    uids : callable or None
        Returns the UIDs of the image, asked for DICOM objects only.

    Returns
    -------
    LabelFile
        Masks that have at least one voxel on the grid.

    Raises
    ------
    MissingError
        If nothing is there.
    InputError
        If an answer is no structure of the vocabulary.
    ImageError
        If a file cannot be used, or does not lie where the image lies.
    """
    path = Path(path)
    kind = _kind(path)
    if kind == "folder":
        return _from_folder(path, grid, answers)
    if kind != "map":
        found, notes = named_masks(path, kind, grid, uids)
        return _joined(found, answers, grid, list(notes))
    volume, notes, covered = _placed(_volume(path, integer=True), grid, path)
    table = {k: v[1] for k, v in totalsegmentator().items()} if names is None else dict(names)
    parts: dict[Structure, list[Volume]] = {}
    unmapped = []
    for number, (z, y, x) in _boxes(volume.array):
        name = table.get(number)
        key = None if name is None else structure_named(name)
        if key is None:
            unmapped.append(f"{number}" if name is None else f"{number} ({name})")
            continue
        mask = CompactMask(volume.array[z, y, x] == number, grid, (z.start, y.start, x.start))
        parts.setdefault(key, []).append(mask)
    masks: dict[Structure, Volume] = {key: union_of(each) for key, each in parts.items()}
    if not masks and not unmapped:
        raise _empty(path)
    return LabelFile(masks, tuple(unmapped), notes, drawn={} if covered is None else dict.fromkeys(masks, covered))


def _kind(path: Path) -> str:
    """Tell a folder, an RTSTRUCT, a SEG and a label map apart by what they hold."""
    if path.is_dir():
        return "folder"
    if not path.is_file():
        raise MissingError(
            f"There is no file {path}.", "The case names it.", "Put it there, or correct the path (relative to case.yaml)."
        )
    kind = object_kind(path)
    if kind is None and not path.name.lower().endswith(LATTICES):
        raise ImageError(
            f"{path} is no label map (NIfTI, NRRD, MetaImage), no RTSTRUCT and no DICOM SEG.",
            "Outlines are read from these.",
            "Name the file that holds the outlines; an image goes under `studies`, a dose under `doses`.",
        )
    return kind or "map"


def _volume(path: Path, *, integer: bool = False) -> Volume:
    if path.name.lower().endswith(metaimage.ENDINGS):
        return metaimage.read_volume(path, integer=integer)
    return nifti.read_volume(path, integer=integer)


def _boxes(array: Array) -> Iterator[tuple[int, Window]]:
    """Return the numbers of a label map but 0, each with a window that holds all its voxels."""
    if array.min() >= 0 and array.max() <= MOST_BOXES:
        for number, box in enumerate(ndimage.find_objects(array), start=1):
            if box is not None:
                yield number, box
        return
    whole = (slice(0, array.shape[0]), slice(0, array.shape[1]), slice(0, array.shape[2]))
    for number in np.unique(array).tolist():
        if number != 0:
            yield number, whole


def read_mask(path: Path, grid: Grid, *, label: int | None = None, roi: str | None = None, uids: Uids | None = None) -> Volume:
    """Read one outline onto a grid; see ``read_one``.

    Raises
    ------
    MissingError
        If there is no such file.
    ImageError
        If it cannot be used, lies elsewhere than the image, or is empty.
    """
    return read_one(path, grid, label=label, roi=roi, uids=uids).mask


def read_one(path: Path, grid: Grid, *, label: int | None = None, roi: str | None = None, uids: Uids | None = None) -> NamedMask:
    """Read one outline onto a grid: of a mask every voxel that is not zero, of other files the part that is named.

    Parameters
    ----------
    path : Path
        A mask, a label map, an RTSTRUCT or a DICOM SEG.
    grid : Grid
        Of the image that it was drawn on.
    label : int or None
        Value in a label map, or segment number.
    roi : str or None
        Region name in an RTSTRUCT, or segment label; needed where the file holds several.
    uids : callable or None
        Returns the UIDs of the image, asked for DICOM objects only.

    Raises
    ------
    MissingError
        If there is no such file.
    ImageError
        If it cannot be used, has no such part, lies elsewhere than the image, or is empty.
    """
    path = Path(path)
    kind = _kind(path)
    if kind in ("RTSTRUCT", "SEG"):
        return one_mask(path, kind, grid, uids, roi=roi, number=label)
    if kind == "folder":
        raise ImageError(
            f"{path} is a folder, where one outline is meant.",
            "Which of its files is meant would be guessed.",
            "Name the file; a whole folder of outlines goes under `labels`.",
        )
    if roi is not None:
        raise ImageError(
            f"{path} is a label map: it has no region {roi!r}.",
            "Its parts have numbers, not names.",
            "Give `label:` with the number, or name the RTSTRUCT or DICOM SEG that holds the region.",
        )
    volume, notes, covered = _placed(_mask_of(path, label), grid, path)
    mask = volume.compact()
    if mask.box() is None:
        raise _empty(path, label)
    return NamedMask(path.name, mask, covered, notes)


def _mask_of(path: Path, label: int | None) -> Volume:
    if label is not None:
        volume = _volume(path, integer=True)
        return volume.with_array(volume.array == label)
    volume = _volume(path)
    top = float(np.fmax.reduce(volume.array, axis=None))
    return volume.with_array(volume.array > top / 2 if top > 0 else np.zeros(volume.array.shape, bool))


def _empty(path: Path, label: int | None = None) -> ImageError:
    return ImageError(
        f"The outline {path}{'' if label is None else f', label {label},'} is empty on the image's grid.",
        "An empty outline would read as 'nothing is here'.",
        "Draw it, name the right file or label, or list the structure under `absent` if it is truly not there.",
    )


def _from_folder(path: Path, grid: Grid, answers: Mapping[str, str] | None) -> LabelFile:
    files = sorted(p for p in path.iterdir() if p.is_file() and p.name.lower().endswith(LATTICES))
    if not files:
        objects = [p.name for p in sorted(path.iterdir()) if p.is_file() and object_kind(p)]
        raise MissingError(
            f"There is no NIfTI, NRRD or MetaImage file in {path}.",
            "The case expects one per structure there.",
            f"Name the file itself: {objects[0]}." if objects else "Name the folder that holds them.",
        )
    found: list[NamedMask] = []
    notes: list[str] = []
    unmapped: list[str] = []
    names = {_stem(p): p for p in files}
    asked = resolve_all(names, answers)
    for name, file in names.items():
        if name in asked.unmapped:
            unmapped.append(file.name)
            continue
        if name not in asked.structures:
            continue
        volume, said, covered = _placed(_mask_of(file, None), grid, file)
        notes += said
        mask = volume.compact()
        if mask.box() is not None:
            found.append(NamedMask(name, mask, covered))
        else:
            notes.append(f"{file.name} is empty on the image's grid; {asked.structures[name].name} stays unknown")
    masks, drawn = _by_structure(found, asked.structures, grid)
    return LabelFile(masks, tuple(unmapped), tuple(notes), asked.questions, drawn, tuple(names), asked.structures)


def _stem(path: Path) -> str:
    ending = next(e for e in sorted(LATTICES, key=len, reverse=True) if path.name.lower().endswith(e))
    return path.name[: -len(ending)]


def _joined(found: Sequence[NamedMask], answers: Mapping[str, str] | None, grid: Grid, notes: list[str]) -> LabelFile:
    """Return the regions of a DICOM object by structure."""
    asked = resolve_all(
        [each.name for each in found],
        answers,
        {each.name: each.code for each in found if each.code is not None},
        {each.name: each.side for each in found},
    )
    masks, drawn = _by_structure(found, asked.structures, grid)
    unmapped = tuple(f"{name} ({why})" for name, why in asked.unmapped.items())
    return LabelFile(masks, unmapped, tuple(notes), asked.questions, drawn, tuple(each.name for each in found), asked.structures)


def _by_structure(
    found: Sequence[NamedMask], meaning: Mapping[str, Structure], grid: Grid
) -> tuple[dict[Structure, Volume], dict[Structure, Volume]]:
    """Return masks by structure, several of one joined, and where each was drawn."""
    parts: dict[Structure, list[NamedMask]] = {}
    for each in found:
        if each.name in meaning:
            parts.setdefault(meaning[each.name], []).append(each)
    masks = {key: union_of([p.mask for p in each]) if len(each) > 1 else each[0].mask for key, each in parts.items()}
    drawn = {}
    for key, several in parts.items():
        known = [p.drawn for p in several if p.drawn is not None]
        if len(known) == len(several):
            drawn[key] = known[0] if len(known) == 1 else Volume(np.logical_or.reduce([v.array for v in known]), grid)
    return masks, drawn


def _placed(volume: Volume, grid: Grid, path: Path) -> tuple[Volume, tuple[str, ...], Volume | None]:
    """Bring labels onto the image's grid, as they are or by nearest neighbour; tell which part they cover, if not all."""
    volume = volume.canonical()
    if volume.grid.same_as(grid, tolerance_mm=0.05 * min(grid.spacing_mm)):
        return Volume(volume.array, grid), (), None
    low, high = volume.grid.corners_mm().min(0), volume.grid.corners_mm().max(0)
    image_low, image_high = grid.corners_mm().min(0), grid.corners_mm().max(0)
    if (np.minimum(high, image_high) - np.maximum(low, image_low)).min() < 0:
        raise ImageError(
            f"{path} lies at {_span(low, high)} mm (LPS), the image at {_span(image_low, image_high)} mm: they do not meet.",
            "Outlines of another image or another patient would be judged as this one's.",
            "Name the outlines that were drawn on this image, or register them first.",
        )
    covered = None
    notes = [f"{path.name} has another grid than the image; its labels were taken to the nearest voxel"]
    if (low - image_low > np.array(grid.spacing_mm[::-1])).any() or (image_high - high > np.array(grid.spacing_mm[::-1])).any():
        notes.append(f"{path.name} covers only {_span(low, high)} mm of the image; beyond that nothing is drawn: unknown")
        covered = volume.with_array(np.broadcast_to(np.True_, volume.grid.shape)).resample(grid).compact()
    return volume.resample(grid), tuple(notes), covered


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
