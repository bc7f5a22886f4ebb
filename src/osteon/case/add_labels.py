"""Outlines made for a case: written beside it as a label map and named in case.yaml, always as approximate."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from osteon.case import total_segmentator
from osteon.case.bones import BoneCandidate, FoundBones, find_bones
from osteon.case.load import load_case
from osteon.case.model import Case, Study
from osteon.case.schema import read_case_file
from osteon.case.yaml_edit import insert_first_in_case, set_in_case
from osteon.errors import CaseFileError, ImageError, InputError
from osteon.io import images, labels
from osteon.space.anatomy import Structure, smooth_resample
from osteon.space.volume import Volume, union_of

MODEL_FILE, BONES_FILE = "totalsegmentator.nii.gz", "bones_found.nii.gz"
Observe = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class OutlinedBones:
    """Pieces of bone as found in a case.

    Parameters
    ----------
    found : FoundBones
        With the pieces that can be named.
    image : Volume
        The planning CT.
    names : mapping of str to Structure
        Piece id to the structure that the user named.
    file : Path
        The label map: bone_3 has the number 3.
    named_in_case : bool
        Whether case.yaml names it now; it does not where no piece has a name.
    """

    found: FoundBones
    image: Volume
    names: Mapping[str, Structure]
    file: Path
    named_in_case: bool


def outline_by_model(case_folder: Path, *, fast: bool = False, replace: bool = False, observe: Observe | None = None) -> Path:
    """Outline the planning CT of a case with TotalSegmentator, where it is installed.

    Parameters
    ----------
    case_folder : Path
        Holds ``case.yaml``.
    fast : bool
        3 mm instead of 1.5 mm.
    replace : bool
        Whether a label map of an earlier run may be replaced.
    observe : callable, optional
        Is told the fraction done.

    Returns
    -------
    Path
        The label map; ``labels`` of case.yaml names it first, so that other files count where both outline a structure.

    Raises
    ------
    MissingError
        If TotalSegmentator or its weights are not installed.
    CaseFileError
        If the case has such a label map already.
    ImageError
        If there is no CT.
    OsteonError
        If it fails, or a file cannot be written.
    """
    total_segmentator.command()
    file = Path(case_folder) / "case.yaml"
    _check_free(file, MODEL_FILE, replace)
    study = _ct_of(file, load_case(file))
    with tempfile.TemporaryDirectory(prefix=".osteon.", dir=file.parent) as working:
        image = images.write_nifti(study.volume, Path(working) / "ct.nii.gz", dtype=np.int16)
        made = total_segmentator.outline(image, Path(working), fast=fast, observe=observe)
        labels.read(made, study.volume.grid)  # refuses what does not lie where the image lies
        made.replace(file.parent / MODEL_FILE)
    said = f"TotalSegmentator{', fast model' if fast else ''}: a model's output"
    _name(file, {"file": MODEL_FILE, "names": "totalsegmentator", "approximate": True, "note": said})
    return file.parent / MODEL_FILE


def outline_bones(case_folder: Path, names: Mapping[str, str] | None = None, *, replace: bool = False) -> OutlinedBones:
    """Find the bones of a case by threshold, without another program; the user says which piece is which.

    Pieces without a name become ``other_bone``: needles keep clear of them. Body and skin are found whenever a case is assessed.

    Parameters
    ----------
    case_folder : Path
        Holds ``case.yaml``.
    names : mapping of str to str, optional
        Piece id to structure, for example ``{"bone_3": "hip_left"}``. Without any, only the label map is written, and case.yaml
        stays as it is.
    replace : bool
        Whether a label map of an earlier run may be replaced in case.yaml.

    Returns
    -------
    OutlinedBones
        With the pieces, for a picture.

    Raises
    ------
    InputError
        If a name is no bone, or a piece is not there or lies on the other side.
    CaseFileError
        If case.yaml names such a label map already.
    ImageError
        If there is no CT, or no body in it.
    OsteonError
        If a file cannot be written.
    """
    file = Path(case_folder) / "case.yaml"
    keys = {piece: _bone_named(piece, name) for piece, name in (names or {}).items()}
    if keys:
        _check_free(file, BONES_FILE, replace, only_entry=True)
    case = load_case(file)
    study = _ct_of(file, case)
    drawn = [lesion.mask for lesion in case.lesions if lesion.mask is not None]
    found = find_bones(study.volume, study.imaged, union_of(drawn) if drawn else None)
    for piece, key in keys.items():
        _check_piece(piece, key, found)
    numbers = np.zeros(study.volume.grid.shape, np.uint8)
    for bone in found.bones:
        numbers[smooth_resample(bone.mask, study.volume.grid).array] = number_of(bone)
    out = images.write_nifti(study.volume.with_array(numbers), file.parent / BONES_FILE)
    if keys:
        called = {number_of(b): keys[b.id].id if b.id in keys else "other_bone" for b in found.bones}
        _name(file, {"file": BONES_FILE, "names": called, "approximate": True, "note": "found by threshold, named by the user"})
    return OutlinedBones(found, study.volume, keys, out, bool(keys))


def number_of(bone: BoneCandidate) -> int:
    """Return the number of a piece in the label map: 3 for bone_3."""
    return int(bone.id.removeprefix("bone_"))


def _ct_of(file: Path, case: Case) -> Study:
    if case.planning_image is None:
        raise ImageError(
            f"{file} names no CT.", "Bones are found by HU, which no other image holds.", "Add the CT under `studies`."
        )
    return case.planning_image


def _check_free(file: Path, name: str, replace: bool, only_entry: bool = False) -> None:
    """Refuse to replace unasked what case.yaml names or what lies beside it."""
    model, lines = read_case_file(file)
    if replace:
        return
    for i, entry in enumerate(model.labels):
        if entry.file == name:
            raise CaseFileError(
                f"{lines.at('labels', i, 'file')}: the case has the label map {name} already.",
                "Its outlines would be lost, and what was corrected in them.",
                "Ask for replacing it with --replace, or remove the entry.",
            )
    if not only_entry and (file.parent / name).exists():
        raise CaseFileError(
            f"There is a file {name} beside {file.name} already.",
            "It would be lost.",
            "Ask for replacing it with --replace, or move it away.",
        )


def _name(file: Path, entry: dict[str, Any]) -> None:
    """Name a label map in case.yaml: in its old place, or in front, so that other files count where both outline a structure."""
    model, _ = read_case_file(file)
    place = next((i for i, each in enumerate(model.labels) if each.file == entry["file"]), None)
    if place is None:
        insert_first_in_case(file, "labels", entry)
    else:
        set_in_case(file, ("labels", place), entry)
    if entry["file"] in model.digests:
        set_in_case(file, ("digests", entry["file"]), images.digest_of(file.parent / entry["file"]))


def _bone_named(piece: str, name: str) -> Structure:
    key = labels.same_or_error(name)
    if key.kind != "bone":
        raise InputError(f"{piece}={name}: {key.name} is no bone.", "A dense piece is a bone or none.", "Name a bone.")
    return key


def _check_piece(piece: str, key: Structure, found: FoundBones) -> None:
    bone = next((b for b in found.bones if b.id == piece), None)
    if bone is None:
        raise InputError(
            f"{piece}={key.id}: there is no piece {piece!r}.",
            "A name without a piece outlines nothing.",
            f"Use one of: {', '.join(b.id for b in found.bones) or 'none was found'}.",
        )
    if key.side is not None and bone.side in ("left", "right") and bone.side != key.side:
        raise InputError(
            f"{piece}={key.id}: {piece} lies on the {bone.side}.",
            "A bone on the wrong side leads to a treatment on the wrong side.",
            "Look at the preview and at the patient's left and right, and correct the name.",
        )
