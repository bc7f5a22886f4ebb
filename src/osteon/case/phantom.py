"""Phantoms: a femoral shaft, a vertebra near the cord and an iliac wing at the acetabulum, with a lytic lesion, as code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np

from osteon.cache import write_atomically
from osteon.case import phantom_femur, phantom_ilium, phantom_vertebra
from osteon.case.phantom_canvas import Canvas, Distance, Point, ellipsoid, grown
from osteon.case.phantom_chart import IMAGE_DATE, POSITIONS, chart_of
from osteon.case.yaml_lines import write_yaml
from osteon.errors import InputError
from osteon.io.images import write_nifti, write_series
from osteon.space.anatomy import Structure, structure, structures
from osteon.space.volume import Array, Volume

RECIPES: dict[str, ModuleType] = {"femur": phantom_femur, "vertebra": phantom_vertebra, "ilium": phantom_ilium}
JUDGED = ("nerve", "cord", "vessel", "bowel", "joint", "organ", "lung", "implant", "table")
SPARED = ("nerve", "cord", "vessel", "bowel", "joint", "organ", "disc", "skin")
LESION_HU = 40.0


@dataclass(frozen=True, eq=False)
class Phantom:
    """A made-up patient region with a lytic lesion.

    Parameters
    ----------
    name : str
        femur, vertebra or ilium.
    image : Volume
        HU, float32, axes x = left, y = posterior, z = superior.
    masks : dict of Structure to Volume of bool
        Everything in the field, ``lesion``, ``body`` and ``skin`` among it. The bone includes the part that the lesion replaced.
    lesion_bone : Structure
        The bone that holds the lesion.
    chart : dict
        What ``case.yaml`` says of this patient, without files.
    absent : tuple of str
        Structures of the vocabulary that are not in this field.
    notes : tuple of str
        What a reader must know.
    lesion_centre_mm : tuple of float
        Centre of the lesion, LPS mm.
    approach : tuple of float
        Unit vector from the lesion to the side of entry, where the cortex is breached.
    """

    name: str
    image: Volume
    masks: dict[Structure, Volume]
    lesion_bone: Structure
    chart: dict[str, Any]
    absent: tuple[str, ...]
    notes: tuple[str, ...]
    lesion_centre_mm: Point
    approach: Point


def build(name: str, *, lesion_mm: float = 25.0, breach: bool = True, spacing_mm: float = 1.0, seed: int = 0) -> Phantom:
    """Build a phantom.

    Parameters
    ----------
    name : {"femur", "vertebra", "ilium"}
        Which one.
    lesion_mm : float
        Diameter of the lesion [mm], 5 to 60.
    breach : bool
        Whether the lesion has broken through the cortex towards the side of entry; otherwise a shell of bone stays.
    spacing_mm : float
        Isotropic voxel size [mm], 0.5 to 4.
    seed : int
        Of texture and noise.

    Returns
    -------
    Phantom
        The same for the same arguments.

    Raises
    ------
    InputError
        For an unknown name, or a size that the recipe cannot draw.

    Examples
    --------
    >>> build("femur", spacing_mm=3.0).lesion_bone.id
    'femur_right'
    """
    if name not in RECIPES:
        raise InputError(
            f"There is no phantom {name!r}.", "Only built-in recipes can be drawn.", f"Use one of: {', '.join(RECIPES)}."
        )
    if not (5 <= lesion_mm <= 60 and 0.5 <= spacing_mm <= 4):
        raise InputError(
            f"A phantom with a lesion of {lesion_mm:g} mm at {spacing_mm:g} mm voxels was asked for.",
            "The recipes hold for lesions of 5 to 60 mm and voxels of 0.5 to 4 mm.",
            "Choose values in these ranges.",
        )
    recipe = RECIPES[name]
    low, high = recipe.FIELD
    canvas = Canvas(low, high, spacing_mm, name, seed)
    bone_shape = cast(Callable[[Canvas], Distance], recipe.draw)(canvas)
    whole_bone = canvas.label == canvas.number(recipe.BONE)
    centre = cast(Callable[[float, bool], Point], recipe.lesion_centre)(lesion_mm, breach)
    lesion = _draw_lesion(canvas, centre, lesion_mm, None if breach else bone_shape)
    masks = _masks(canvas, lesion, recipe.BONE, whole_bone)
    bone = structure(recipe.BONE)
    absent = _absent(masks, both_sides=bone.side is None)
    return Phantom(
        name=name,
        image=canvas.finish(),
        masks=masks,
        lesion_bone=bone,
        chart=chart_of(name, recipe.BONE, lesion_mm, breach, spacing_mm, seed),
        absent=absent,
        notes=(
            f"PHANTOM {name}: made by code, no patient.",
            "Complete by construction: a structure declared absent has no part in the field of this image.",
        ),
        lesion_centre_mm=centre,
        approach=recipe.APPROACH,
    )


def write(
    name: str,
    folder: Path,
    *,
    dicom: bool = False,
    per_structure: bool = False,
    lesion_mm: float = 25.0,
    breach: bool = True,
    spacing_mm: float = 1.0,
    seed: int = 0,
) -> Path:
    """Write a phantom as a case folder: image, outlines and case.yaml.

    Parameters
    ----------
    name : {"femur", "vertebra", "ilium"}
        Which one.
    folder : Path
        Made where needed.
    dicom : bool
        Write the CT as a DICOM series instead of NIfTI.
    per_structure : bool
        Write one mask file per structure instead of one label map.
    lesion_mm, breach, spacing_mm, seed
        As for ``build``.

    Returns
    -------
    Path
        The ``case.yaml``.

    Raises
    ------
    InputError
        As ``build``.
    OsteonError
        If a file cannot be written.
    """
    made = build(name, lesion_mm=lesion_mm, breach=breach, spacing_mm=spacing_mm, seed=seed)
    folder = Path(folder)
    position = POSITIONS[name][1]
    study: dict[str, Any] = {"id": "ct1", "modality": "CT", "file": "ct.nii.gz", "date": IMAGE_DATE, "patient_position": position}
    study["contrast"] = False
    if dicom:
        study["file"] = "ct"
        day = date.fromisoformat(IMAGE_DATE)
        write_series(
            made.image,
            folder / "ct",
            patient=made.chart["patient"],
            day=day,
            patient_position=position,
            description=f"PHANTOM {name}",
        )
    else:
        write_nifti(made.image, folder / "ct.nii.gz", dtype=np.int16)
    tree: dict[str, Any] = {k: made.chart[k] for k in ("schema", "patient", "date", "stamps")}
    tree["studies"] = [study]
    tree |= _write_outlines(made, folder, per_structure)
    tree["absent"] = list(made.absent)
    tree["facts"] = made.chart["facts"]
    first = made.chart["lesions"][0]
    before = {k: v for k, v in first.items() if k != "facts"}
    tree["lesions"] = [{**before, "outline": {"file": "lesion.nii.gz"}, "facts": first["facts"]}]
    tree["timeline"] = made.chart["timeline"]
    header = "".join(f"# {note}\n" for note in made.notes)
    text = write_yaml(tree)
    first_line, rest = text.split("\n", 1)
    write_atomically(folder / "case.yaml", f"{first_line}\n{header}{rest}".encode())
    return folder / "case.yaml"


def _write_outlines(made: Phantom, folder: Path, per_structure: bool) -> dict[str, Any]:
    """Write lesion and body on their own and the rest together or one by one; return the entries for case.yaml."""
    lesion = structure("lesion")
    write_nifti(made.masks[lesion], folder / "lesion.nii.gz")
    rest = {k: v for k, v in made.masks.items() if k != lesion}
    if per_structure:
        for key, mask in rest.items():
            write_nifti(mask, folder / "structures" / f"{key.id}.nii.gz")
        return {"labels": [{"file": "structures"}]}
    body = structure("body")
    write_nifti(rest.pop(body), folder / "body.nii.gz")
    label = np.zeros(made.image.grid.shape, np.uint8)
    for number, mask in enumerate(rest.values(), start=1):
        label[mask.array] = number
    write_nifti(made.image.with_array(label), folder / "labels.nii.gz")
    names = {number: key.id for number, key in enumerate(rest, start=1)}
    return {"labels": [{"file": "labels.nii.gz", "names": names}], "structures": {"body": {"file": "body.nii.gz"}}}


def _draw_lesion(canvas: Canvas, centre: Point, lesion_mm: float, bone: Distance | None) -> Array:
    """Paint a ball of soft tissue, inside a shell of bone where ``bone`` is given; return its mask."""
    radius = lesion_mm / 2
    reach = radius + 2 * canvas.spacing
    window, at = canvas.window(
        cast(Point, tuple(c - reach for c in centre)),
        cast(Point, tuple(c + reach for c in centre)),
    )
    distance = ellipsoid(centre, (radius, radius, radius))(*at)
    if bone is not None:
        distance = np.maximum(distance, grown(bone, -1.5)(*at))
    vocabulary = structures()
    spared = [i for i, n in enumerate(canvas.labels) if n in vocabulary and vocabulary[n].kind in SPARED] + [0]
    distance = np.where(np.isin(canvas.label[window], spared), np.float32(canvas.spacing), distance)
    cover = np.clip(np.float32(0.5) - distance / np.float32(canvas.spacing), 0, 1)
    part = canvas.hu[window]
    part += cover * (LESION_HU + canvas.mottle(window, 8.0, 2.0) - part)
    mask = np.zeros(canvas.grid.shape, bool)
    mask[window] = distance < 0
    return mask


def _masks(canvas: Canvas, lesion: Array, bone: str, whole_bone: Array) -> dict[Structure, Volume]:
    found: dict[Structure, Volume] = {structure("body"): Volume(canvas.label > 0, canvas.grid)}
    for number, name in enumerate(canvas.labels):
        if number == 0:
            continue
        mask = whole_bone if name == bone else (canvas.label == number) & ~lesion
        if mask.any():
            found[structure(name)] = Volume(mask, canvas.grid)
    found[structure("lesion")] = Volume(lesion, canvas.grid)
    return found


def _absent(masks: dict[Structure, Volume], both_sides: bool) -> tuple[str, ...]:
    """Name what limits ask for and this field does not hold; of a one-sided region only that side."""
    sides = (None, "right", "left") if both_sides else (None, "right")
    return tuple(s.id for s in structures().values() if s.kind in JUDGED and s.side in sides and s not in masks)
