"""Any image, its outlines and what its numbers mean, made into what ``strength_of`` takes; whatever cannot be right is refused.

Nothing is guessed that would change a strength: a unit that the numbers leave open, an outline of another image, a lesion that is
not in the bone are errors. What was decided is said in the notes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from osteon.assessment.loads.base import LESION, LoadCase, Point
from osteon.assessment.loads.catalog import builder, cases_for
from osteon.assessment.strength_outline import filled, imaged_of, note_edge, with_lesion
from osteon.assessment.strength_units import check_hu, density_calibration, kind_of, limit, line_calibration
from osteon.case.metal import find_metal
from osteon.errors import ImageError, InputError, MissingError
from osteon.io import images, labels, metaimage
from osteon.io.dicom_objects import ImageUids, image_uids
from osteon.io.nifti import read_volume
from osteon.io.regions import LATTICES
from osteon.space.anatomy import Anatomy, Structure, structure
from osteon.space.volume import CompactMask, Volume
from osteon.tissue.calibration import Calibration

IMPLANT = structure("implant")
ROOM = 2  # voxels round a specimen


@dataclass(frozen=True)
class Asked:
    """What was asked of one image.

    Parameters
    ----------
    image : Path
        NIfTI, NRRD, MetaImage, or a DICOM folder.
    labels : Path
        A label map, a plain mask, a folder of masks, an RTSTRUCT or a DICOM SEG.
    bone : str
        Name of a structure, for example ``vertebra_L1``.
    density_unit : {"hu", "k2hpo4", "ha", "ash", "app"}
        What the numbers of the image are.
    bone_label : int, optional
        Value of the bone where the label map has no names.
    lesion : str, optional
        A mask file, or a value of the label map.
    load_case : str, optional
        Default: the usual one of the bone.
    line : (float, float, str), optional
        By hand: slope [mg/cm3 per HU], intercept [mg/cm3], kind of density.
    contrast : bool, optional
        Whether contrast agent was given; None: as the header says, else not known.
    weight_kg : float, optional
        Of the patient.
    axis, head_mm : tuple of float, optional
        The pose by hand, LPS.
    series : str, optional
        Of a DICOM folder that holds several.
    specimen : bool
        True: an isolated specimen that the image shows whole; where its outline reaches the edge of the image it was sawn.
    """

    image: Path
    labels: Path
    bone: str
    density_unit: str = "hu"
    bone_label: int | None = None
    lesion: str | None = None
    load_case: str | None = None
    line: tuple[float, float, str] | None = None
    contrast: bool | None = None
    weight_kg: float | None = None
    axis: Point | None = None
    head_mm: Point | None = None
    series: str | None = None
    specimen: bool = False


def anatomy_of(asked: Asked) -> tuple[Anatomy, Calibration | None, LoadCase, tuple[str, ...]]:
    """Return the anatomy of one bone, its calibration where one was given, the load, and what was decided.

    Parameters
    ----------
    asked : Asked
        Files and words.

    Returns
    -------
    tuple
        Anatomy, Calibration or None (then it is found on the image), LoadCase, notes.

    Raises
    ------
    InputError
        For an unknown bone or load, a lesion that is not in the bone, and whatever the readers refuse. A bone in pieces, or one
        that its lesion cuts in two, is no input error: ``strength_of`` refuses it, whoever asks.
    UnitError
        If the numbers of the image cannot be what they are said to be, or leave open what they are.
    ImageError
        If outlines are not those of this image, or values within the bone are no numbers.
    MissingError
        If a file or the bone is not there.
    """
    is_hu = not kind_of(asked.density_unit)
    bone = _bone(asked.bone)
    case = LoadCase(_load(asked.load_case, bone), bone, axis=asked.axis, head_mm=asked.head_mm, weight_kg=asked.weight_kg)
    if asked.line is not None and not is_hu:
        raise InputError(
            f"A calibration line was given for an image in {asked.density_unit}.",
            "Its numbers are densities already: a line would change them twice.",
            "Leave --calibration-line out, or give --density-unit hu.",
        )
    notes: list[str] = []
    image, contrast = _image(asked, notes)
    masks = _masks(asked, image, bone, notes)
    masks[bone] = filled(masks[bone], bone, notes)
    if asked.lesion is not None:
        masks[LESION] = _lesion(asked, image)
        masks[bone] = with_lesion(masks[bone], masks[LESION], bone, notes)
    calibration, unreliable = None, None
    if is_hu:
        notes += check_hu(image, masks[bone], bone)
        calibration = None if asked.line is None else line_calibration(asked.line, contrast)
        unreliable = _metal(image, masks, bone, notes)
    else:
        calibration, said = density_calibration(asked.density_unit, image, masks[bone], bone)
        notes += said
    if asked.specimen or _cropped_round(masks[bone], bone, notes):
        image, masks, unreliable = _with_room(image, masks, unreliable)
    note_edge(masks[bone], bone, notes)
    finite = np.isfinite(image.array)
    least = np.float32(image.array[finite].min()) if is_hu else np.float32(0)
    anatomy = Anatomy(
        imaged_of(image, finite, masks[bone], bone, notes), image.with_array(np.where(finite, image.array, least)), masks,
        contrast=contrast if is_hu else False, unreliable=unreliable,
    )  # fmt: skip
    return anatomy, calibration, case, tuple(dict.fromkeys(notes))


def _cropped_round(mask: Volume, bone: Structure, notes: list[str]) -> bool:
    """Tell whether the image ends where the outline does on all six sides: it was cropped to the bone, which is whole."""
    box = mask.box()
    if box is None or any(s.start > 0 or s.stop < n for s, n in zip(box, mask.grid.shape, strict=True)):
        return False
    notes.append(f"The image ends on all six sides where the {bone.name} does: taken as cropped to it, and the bone as whole.")
    return True


def _bone(name: str) -> Structure:
    bone = labels.same_or_error(name)
    if bone.kind != "bone":
        raise InputError(
            f"{name} is no bone: it is a {bone.kind}.",
            "Law and load are chosen by the bone.",
            "Name a bone of `osteon list structures`, for example vertebra_L1 or femur_left.",
        )
    return bone


def _load(name: str | None, bone: Structure) -> str:
    """Return the load that was asked for, or the usual one of the bone."""
    usual = [each.name for each in cases_for(bone)]
    if name is None and not usual:
        raise InputError(
            f"No load case is made for the {bone.name}.", "Strength is the answer to one load.", "Choose another bone."
        )
    chosen = usual[0] if name is None else builder(name).name
    if chosen not in usual:
        raise InputError(
            f"{chosen} is no load of the {bone.name}.",
            "Its landmarks and supports are those of another bone.",
            f"Use one of: {', '.join(usual) or 'none is made for it'}.",
        )
    return chosen


def _image(asked: Asked, notes: list[str]) -> tuple[Volume, bool | None]:
    """Return the image in canonical axes, not a number where there is none, and whether it has contrast agent."""
    path = asked.image
    if path.is_file() and path.name.lower().endswith(LATTICES):
        reader = metaimage.read_volume if path.name.lower().endswith(metaimage.ENDINGS) else read_volume
        volume, contrast = reader(path).canonical(), None
    else:
        read = images.read(path, series=asked.series)
        volume = read.volume.with_array(np.where(read.imaged.array, read.volume.array, np.float32(np.nan)))
        contrast = read.contrast
        notes += read.notes
    if not np.isfinite(volume.array).any():
        raise ImageError(f"{path} holds no number at all.", "There is nothing to compute with.", "Export the image again.")
    if volume.array.ndim != 3 or min(volume.array.shape) < 3:
        raise ImageError(f"{path} has shape {volume.array.shape}.", "A bone has three dimensions.", "Name a 3-D image.")
    if asked.contrast is not None:
        if contrast is not None and contrast != asked.contrast:
            notes.append(f"Contrast agent: the header says {_yes(contrast)}, you said {_yes(asked.contrast)}; yours is used.")
        contrast = asked.contrast
    return volume, contrast


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _uids(asked: Asked) -> ImageUids | None:
    path = asked.image
    if path.is_file() and path.name.lower().endswith(LATTICES):
        return None
    return image_uids(path if path.is_dir() else path.parent, asked.series)


def _masks(asked: Asked, image: Volume, bone: Structure, notes: list[str]) -> dict[Structure, Volume]:
    """Return the outlines of a file, the bone among them."""
    path, grid = asked.labels, image.grid
    is_map = path.is_file() and path.name.lower().endswith(LATTICES)
    if asked.bone_label is not None:
        found = labels.read_one(path, grid, label=asked.bone_label, uids=lambda: _uids(asked))
        notes += found.notes
        return {bone: _not_empty(found.mask, bone, path)}
    values = _values(path) if is_map else ()
    if len(values) == 1 and (values[0] == 1 or _names(values[0]) is None):
        one = labels.read_one(path, grid)
        notes += [*one.notes, f"The label file holds one value: taken as the outline of the {bone.name}."]
        return {bone: _not_empty(one.mask, bone, path)}
    read = labels.read(path, grid, uids=lambda: _uids(asked))
    notes += read.notes
    if bone not in read.masks:
        held = [s.id for s in read.masks] + list(read.unmapped)
        raise MissingError(
            f"The {bone.name} is not outlined in {path}; it holds {', '.join(sorted(held)[:12]) or 'nothing'}.",
            "What is not outlined is unknown.",
            "Name the value of the bone with --bone-label, or another file.",
        )
    return {key: mask for key, mask in read.masks.items() if key != LESION}


def _values(path: Path) -> tuple[int, ...]:
    """Return the values of a label map but 0; none where they are not whole."""
    reader = metaimage.read_volume if path.name.lower().endswith(metaimage.ENDINGS) else read_volume
    array = reader(path).array
    found = np.unique(array[np.isfinite(array)])
    return tuple(int(v) for v in found if v != 0) if (found == np.round(found)).all() else (1,)


def _names(value: int) -> Structure | None:
    known = labels.totalsegmentator().get(value)
    return None if known is None else labels.structure_named(known[1])


def _not_empty(mask: Volume, bone: Structure, path: Path) -> Volume:
    if mask.box() is None:
        raise ImageError(
            f"The outline of the {bone.name} in {path} is empty.", "There is no bone to load.", "Name another file or label."
        )
    return mask.compact()


def _lesion(asked: Asked, image: Volume) -> Volume:
    """Return the lesion: a value of the label map, or a file of its own."""
    assert asked.lesion is not None
    if asked.lesion.lstrip("-").isdigit():
        return labels.read_one(asked.labels, image.grid, label=int(asked.lesion), uids=lambda: _uids(asked)).mask
    path = Path(asked.lesion)
    return labels.read_one(path, image.grid, uids=lambda: _uids(asked)).mask


def _metal(image: Volume, masks: dict[Structure, Volume], bone: Structure, notes: list[str]) -> Volume | None:
    """Look for metal near the bone; it becomes an implant. Return where it spoils the image."""
    box = masks[bone].box()
    assert box is not None
    reach = [int(np.ceil(limit("near_mm") / s)) for s in image.spacing_mm]
    z, y, x = (
        slice(max(s.start - r, 0), min(s.stop + r, n)) for s, r, n in zip(box, reach, image.grid.shape, strict=True)
    )  # fmt: skip
    affine = image.grid.matrix
    affine[:3, 3] = image.grid.to_mm(np.array([z.start, y.start, x.start], float))
    near = image.part((z, y, x))
    seen = np.isfinite(near)
    part = Volume.of(np.where(seen, near, np.float32(0)), affine)
    found = find_metal(part, part.with_array(seen))
    if found.implant is None or found.unreliable is None:
        return None
    start = (z.start, y.start, x.start)
    masks[IMPLANT] = CompactMask(found.implant.array, image.grid, start)
    notes += found.notes
    return CompactMask(found.unreliable.array, image.grid, start)


def _with_room(
    image: Volume, masks: dict[Structure, Volume], unreliable: Volume | None
) -> tuple[Volume, dict[Structure, Volume], Volume | None]:
    """Return everything with empty voxels round it: a specimen ends where its image ends."""
    affine = image.grid.matrix
    affine[:3, 3] = image.grid.to_mm(np.full(3, -float(ROOM)))
    finite = image.array[np.isfinite(image.array)]
    wider = Volume.of(np.pad(image.array, ROOM, constant_values=np.float32(finite.min())), affine)

    def moved(mask: Volume) -> Volume:
        box = mask.box()
        if box is None:
            return CompactMask(np.zeros((0, 0, 0), bool), wider.grid, (0, 0, 0))
        z, y, x = (s.start + ROOM for s in box)
        return CompactMask(mask.part(box), wider.grid, (z, y, x))

    return wider, {key: moved(mask) for key, mask in masks.items()}, None if unreliable is None else moved(unreliable)
