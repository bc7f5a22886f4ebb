"""Outlining one lesion of a case from one point: grown, cleaned, written beside the case and into case.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from osteon.case.grow import Grown, grow
from osteon.case.load import load_case
from osteon.case.metal import find_metal
from osteon.case.model import Case, Lesion
from osteon.case.schema import read_case_file
from osteon.case.yaml_edit import set_in_case
from osteon.errors import CaseFileError, ImageError, InputError
from osteon.io import images
from osteon.space.volume import Volume

Seed = tuple[float, float, float]
METAL_NEAR_MM = 100.0
"""How far round a lesion metal is looked for."""


@dataclass(frozen=True, eq=False)
class SegmentResult:
    """What was outlined and where it was written.

    Parameters
    ----------
    mask : Volume of bool
        On the planning CT's grid.
    volume_ml : float
        Its volume [ml].
    leak : bool
        Whether growth would have left the bone; it was cut there.
    notes : tuple of str
        What must be read before it is used.
    files : tuple of Path
        What was written; empty for a trial.
    image, imaged : Volume
        The planning CT, for the preview.
    seed_mm : tuple of float
        LPS mm.
    grown : Grown
        Everything that growing found.
    """

    mask: Volume
    volume_ml: float
    leak: bool
    notes: tuple[str, ...]
    files: tuple[Path, ...]
    image: Volume
    imaged: Volume
    seed_mm: Seed
    grown: Grown


def segment(
    case_folder: Path,
    lesion_id: str,
    seed_mm: Seed,
    *,
    coordinates: str = "LPS",
    replace: bool = False,
    write: bool = True,
    diameter_mm: float | None = None,
) -> SegmentResult:
    """Outline a lytic or mixed lesion of a case from one point inside it.

    Parameters
    ----------
    case_folder : Path
        Holds ``case.yaml``; or that file itself.
    lesion_id : str
        Which lesion, for example "L1".
    seed_mm : tuple of float
        A point inside the lesion and inside the bone.
    coordinates : {"LPS", "RAS"}
        Of the seed.
    replace : bool
        Whether an outline that is there may be replaced.
    write : bool
        False: a trial that writes nothing.
    diameter_mm : float, optional
        About how large the lesion looks; pulls the outline, does not force it.

    Returns
    -------
    SegmentResult
        The outline, marked approximate, with what must be known of it.

    Raises
    ------
    InputError
        If there is no such lesion, or nothing can grow from this seed; see ``grow``.
    CaseFileError
        If the lesion has an outline already, or case.yaml cannot be used.
    ImageError
        If there is no CT.
    OsteonError
        If a file cannot be written.
    """
    if coordinates not in ("LPS", "RAS"):
        raise InputError(f"Coordinates {coordinates!r} are not known.", "Left and right could be exchanged.", "Say LPS or RAS.")
    if coordinates == "RAS":
        seed_mm = (-seed_mm[0], -seed_mm[1], seed_mm[2])
    file = Path(case_folder) if Path(case_folder).is_file() else Path(case_folder) / "case.yaml"
    index = _index_of(file, lesion_id, replace)
    case = load_case(file)
    study = case.planning_image
    if study is None:
        raise ImageError(
            f"{file} names no CT.",
            "Growing goes by HU, which no other image holds.",
            "Add the CT under `studies`, or draw by hand.",
        )
    lesion = case.lesions[index]
    bone = case.masks.get(lesion.bone) if lesion.bone is not None else None
    grown = grow(study.volume, seed_mm, bone=bone, imaged=study.imaged, diameter_mm=diameter_mm)
    notes = (*grown.notes, *_metal_near(case, grown.mask), *_beside(lesion, bone, grown.mask))
    files: tuple[Path, ...] = ()
    if write:
        files = _write(file, lesion, index, grown, seed_mm)
    return SegmentResult(grown.mask, grown.volume_ml, grown.leak, notes, files, study.volume, study.imaged, seed_mm, grown)


def _index_of(file: Path, lesion_id: str, replace: bool) -> int:
    model, lines = read_case_file(file)
    index = next((i for i, entry in enumerate(model.lesions) if entry.id == lesion_id), None)
    if index is None:
        raise InputError(
            f"{file.name} has no lesion {lesion_id!r}.",
            "An outline belongs to a lesion of the chart.",
            f"Name one of: {', '.join(entry.id for entry in model.lesions)}; or add it under `lesions`.",
        )
    if model.lesions[index].outline is not None and not replace:
        raise CaseFileError(
            f"{lines.at('lesions', index, 'outline')}: lesion {lesion_id} has an outline already.",
            "It would be lost.",
            "Ask for replacing it, or remove the entry.",
        )
    return index


def _write(file: Path, lesion: Lesion, index: int, grown: Grown, seed_mm: Seed) -> tuple[Path, ...]:
    """Write the mask, then name it in case.yaml: stopped in between, the case is as it was."""
    name = f"lesion_{lesion.id}_grown.nii.gz"
    out = images.write_nifti(grown.mask, file.parent / name)
    model, _ = read_case_file(file)
    said = f"grown from one point {', '.join(f'{round(float(c), 1):g}' for c in seed_mm)} mm LPS"
    if grown.leak:
        said += "; cut where the cortex is broken"
    set_in_case(file, ("lesions", index, "outline"), {"file": name, "approximate": True, "note": said}, after="bone")
    if name in model.digests:
        set_in_case(file, ("digests", name), images.digest_of(out))
    return out, file


def _metal_near(case: Case, mask: Volume) -> tuple[str, ...]:
    study = case.planning_image
    if study is None:
        return ()
    places = mask.grid.to_mm(np.argwhere(mask.array))
    low, high = places.min(0) - METAL_NEAR_MM, places.max(0) + METAL_NEAR_MM
    metal = find_metal(study.volume.crop(low, high), study.imaged.crop(low, high))
    if metal.unreliable is None:
        return ()
    part = float((metal.unreliable.array & mask.crop(low, high).array).sum()) / max(len(places), 1)
    return (f"metal near: HU are not reliable in {100 * part:.0f} % of the outline",) if part > 0 else ()


def _beside(lesion: Lesion, bone: Volume | None, mask: Volume) -> tuple[str, ...]:
    if lesion.bone is None or bone is None:
        return ()
    part = float((bone.array & mask.array).sum()) / max(float(mask.array.sum()), 1.0)
    if part >= 0.5:
        return ()
    return (f"only {100 * part:.0f} % of it lies in the outlined {lesion.bone.name}: seed, bone or its outline may be wrong",)
