"""A declared synthetic lytic lesion in a real CT: the only way to a lytic 3-D case where no real one may be shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from osteon.cache import write_atomically
from osteon.case.new import skeleton
from osteon.case.outline_files import other
from osteon.case.outlines import ball
from osteon.case.schema import read_case_file
from osteon.errors import CaseFileError, ImageError, InputError
from osteon.io import images, labels
from osteon.space.anatomy import Structure, structure
from osteon.space.volume import Array, Volume

LESION_HU, LESION_TEXTURE_HU = 40.0, 8.0
"""Soft-tissue density of a lytic metastasis without contrast, and its own unevenness; the scanner's noise is added to it."""
CORTEX_KEPT_MM = 2.0


def implant(
    image: Path,
    labels_path: Path,
    center_mm: tuple[float, float, float],
    diameter_mm: float,
    bone: str,
    out_folder: Path,
    *,
    breach: bool = True,
    seed: int = 0,
) -> Path:
    """Write a new case folder: a real CT with a synthetic lytic lesion, its outline, and a stamp for every page.

    Inside the lesion HU become soft tissue with the noise of the image around it; where it meets the cortex the cortex is gone.

    Parameters
    ----------
    image : Path
        CT: NIfTI file, DICOM folder, or a case folder (its first CT).
    labels_path : Path
        Label map or folder of masks, on that CT.
    center_mm : tuple of float
        Centre of the ball, LPS mm.
    diameter_mm : float
        Diameter [mm], 5 to 80.
    bone : str
        Structure that gets the lesion.
    out_folder : Path
        Made where needed; an existing case.yaml is not overwritten.
    breach : bool
        Whether cortex is lost and soft tissue beyond is reached; otherwise 2 mm of bone stay all round.
    seed : int
        Of the noise.

    Returns
    -------
    Path
        The ``case.yaml``.

    Raises
    ------
    InputError
        If the centre is outside the bone, or the size cannot be.
    ImageError
        If image or labels cannot be used.
    CaseFileError
        If the folder already holds a case.
    """
    file = Path(out_folder) / "case.yaml"
    if file.exists():
        raise CaseFileError(f"{file} is already there.", "It would be lost.", "Choose another folder, or remove it.")
    if not 5 <= diameter_mm <= 80:
        raise InputError(
            f"A lesion of {diameter_mm:g} mm was asked for.", "Only 5 to 80 mm are plausible in one bone.", "Choose such a size."
        )
    image = _ct_of(Path(image))
    source = images.read(image)
    images.check_ct(source.volume, Path(image))
    found = labels.read(labels_path, source.volume.grid)
    key = _bone_at(found.masks, bone, center_mm, Path(labels_path))
    bone_mask = found.masks[key]
    mask = _shape(source.volume, bone_mask, found.masks, key, center_mm, diameter_mm, breach)
    changed = _paint(source.volume, mask, seed)
    out = Path(out_folder)
    images.write_nifti(source.volume.with_array(changed), out / "ct.nii.gz", dtype=np.int16)
    images.write_nifti(mask, out / "lesion.nii.gz")
    entry = _write_labels(found.masks, source.volume, out)
    text = f"{diameter_mm:g} mm, centre {', '.join(f'{c:g}' for c in center_mm)} mm LPS, breach {breach}, seed {seed}"
    tree = _tree(source, key, text, entry, found.unmapped)
    write_atomically(file, skeleton(tree).encode())
    return file


def _ct_of(path: Path) -> Path:
    """Return the image itself, or the first CT of a case folder."""
    if not (path / "case.yaml").is_file():
        return path
    model, _ = read_case_file(path / "case.yaml")
    for study in model.studies:
        if study.modality == "CT" and study.file is not None:
            return path / study.file
    raise InputError(
        f"{path / 'case.yaml'} names no CT.", "HU stand only in a CT.", "Name the CT itself, or add it under `studies`."
    )


def _bone_at(masks: dict[Structure, Volume], bone: str, center_mm: tuple[float, float, float], path: Path) -> Structure:
    key = labels.same_or_error(bone)
    if key.kind != "bone":
        raise InputError(
            f"{bone} is {key.name}, no bone.", "A bone metastasis lies in a bone.", "Name the bone, for example hip_right."
        )
    if key not in masks:
        listed = ", ".join(sorted(k.id for k in masks if k.kind == "bone")) or "none"
        raise InputError(
            f"{path} does not outline the {key.name}.",
            "Whether the centre lies in the bone could not be told.",
            f"Choose one of the bones that are outlined: {listed}.",
        )
    inside = masks[key].sample(np.array([center_mm], float), fill=0.0)[0]
    if float(inside) < 0.5:
        place = masks[key].grid.to_mm(np.argwhere(masks[key].array))
        nearest = place[np.linalg.norm(place - np.array(center_mm), axis=1).argmin()].round(1).tolist()
        hint = ""
        if key.side and structure(bone.replace(key.side, other(key.side))) in masks:
            hint = " LPS: x grows to the patient's left."
        raise InputError(
            f"The centre {list(center_mm)} mm lies outside the {key.name}.{hint}",
            "A lesion beside the bone is no bone metastasis.",
            f"Move it into the bone; the nearest place in it is {nearest} mm.",
        )
    return key


def _shape(
    image: Volume,
    bone: Volume,
    masks: dict[Structure, Volume],
    key: Structure,
    center_mm: tuple[float, float, float],
    diameter_mm: float,
    breach: bool,
) -> Volume:
    """Return the lesion: a ball that spares other bones and every organ, and the cortex where it is not breached."""
    mask = ball(image.grid, np.array(center_mm, float), diameter_mm / 2).array
    keep = np.zeros(image.grid.shape, bool)
    for other_key, other_mask in masks.items():
        if other_key != key and other_key.kind not in ("muscle", "fat", "body", "skin", "lesion"):
            keep |= other_mask.array
    if breach:
        keep |= image.array < -300
    else:
        depth = ndimage.distance_transform_edt(_box(bone.array, mask), sampling=image.spacing_mm)
        inside = np.zeros_like(mask)
        inside[_window(mask)] = depth > CORTEX_KEPT_MM
        mask &= inside
    mask &= ~keep
    if mask.sum() < 8:
        raise ImageError(
            f"A lesion of {diameter_mm:g} mm there has {int(mask.sum())} voxels of {image.grid.voxel_mm3:.1f} mm³.",
            "It could be neither measured nor planned.",
            "Choose a larger one, a thicker part of the bone, or allow a breach.",
        )
    return Volume(mask, image.grid)


def _window(mask: Array, margin: int = 3) -> tuple[slice, ...]:
    index = np.argwhere(mask)
    low, high = np.maximum(index.min(0) - margin, 0), index.max(0) + margin + 1
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def _box(bone: Array, mask: Array) -> Array:
    return bone[_window(mask)]


def _paint(image: Volume, mask: Volume, seed: int) -> Array:
    """Replace the HU inside by soft tissue with the image's own noise, with an edge of one voxel of partial volume."""
    window = _window(mask.array, margin=6)
    part = image.array[window].astype(np.float32)
    inside = mask.array[window]
    noise_hu = local_noise(part)
    random = np.random.default_rng(np.random.SeedSequence(seed))
    grain = ndimage.gaussian_filter(random.standard_normal(part.shape).astype(np.float32), 0.6, mode="wrap")
    uneven = ndimage.gaussian_filter(random.standard_normal(part.shape).astype(np.float32), 1.5, mode="wrap")
    tissue = LESION_HU + grain * (noise_hu / grain.std()) + uneven * (LESION_TEXTURE_HU / uneven.std())
    cover = np.where(inside, 1.0, ndimage.gaussian_filter(inside.astype(np.float32), 0.5)).astype(np.float32)
    out = image.array.copy()
    out[window] = np.rint(part + cover * (tissue - part))
    return out


def local_noise(part: Array) -> float:
    """Return the noise of an image part [HU]: robust deviation of the second differences along x in soft tissue.

    For white noise the second difference has the deviation √6 σ; the median absolute value ignores edges.
    """
    second = part[..., 2:] - 2 * part[..., 1:-1] + part[..., :-2]
    soft = (part[..., 1:-1] > -150) & (part[..., 1:-1] < 150)
    if soft.sum() < 50:
        return 15.0
    return float(np.clip(np.median(np.abs(second[soft])) / 0.6745 / np.sqrt(6.0), 3.0, 60.0))


def _write_labels(masks: dict[Structure, Volume], image: Volume, out: Path) -> dict[str, Any]:
    label = np.zeros(image.grid.shape, np.uint8)
    names = {}
    for number, (key, mask) in enumerate(masks.items(), start=1):
        label[mask.array] = number
        names[number] = key.id
    images.write_nifti(image.with_array(label), out / "labels.nii.gz")
    return {"file": "labels.nii.gz", "names": names}


def _tree(
    source: images.ImageFile, key: Structure, text: str, entry: dict[str, Any], unmapped: tuple[str, ...]
) -> dict[str, Any]:
    study = {"id": "ct1", "modality": "CT", "file": "ct.nii.gz", "date": source.date.isoformat() if source.date else "unknown"}
    study["patient_position"] = source.patient_position
    if unmapped:
        entry["note"] = f"left out: {len(unmapped)} outlines that no structure stands for"  # their names may be a person's
    lesion: dict[str, Any] = {
        "id": "L1",
        "bone": key.id,
        "goal": "palliation",
        "synthetic": f"implanted in the {key.name}: {text}",
    }
    if key.side:
        lesion["side"] = key.side
    lesion["outline"] = {"file": "lesion.nii.gz"}
    return {
        "patient": "implanted",
        "stamps": [f"SYNTHETIC LESION {lesion['synthetic']}; the CT is real, the lesion is not"],
        "date": source.date.isoformat() if source.date else None,
        "studies": [study],
        "labels": [entry],
        "lesions": [lesion],
    }
