"""Strength of the phantoms and of real bones, as docs/cases.md quotes it; lesions in real bones are implanted and stamped.

usage: scripts/strength_cases.py [OUT] [NAMES]      default: out/strength and all of
       femur,vertebra,ilium,made-up-femur,A1,B1,pelvis-right-femur,pelvis-left-femur,sarcoma-036

OUT is untracked; reads ../shared/data or OSTEON_SHARED. Nothing of the images is kept in the repository.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
from real_cases import CASES, make

from osteon.assessment.assess import assess
from osteon.assessment.loads.base import LoadCase
from osteon.assessment.loads.catalog import cases_for
from osteon.assessment.results import LesionAssessment
from osteon.assessment.strength import Options, strength_of
from osteon.assessment.strength_results import UNITS, Strength
from osteon.case.bones import find_bones
from osteon.case.load import load_case
from osteon.case.metal import find_metal
from osteon.case.phantom import write
from osteon.errors import OsteonError
from osteon.facts import Fact, Known
from osteon.io import images, labels
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Volume
from osteon.validation.femur_model import proximal_femur

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("OSTEON_SHARED", ROOT.parent / "shared"))
WHOLE = {"fracture": Fact("fracture", Known("none")), "lesion_type": Fact("lesion_type", Known("lytic"))}
HIP_036 = (80.0, 32.0, -653.0)  # middle of the left femoral head, read from the picture
PHANTOMS = ("femur", "vertebra", "ilium")


def tell(name: str, found: Strength, seconds: float) -> None:
    """Print one strength as the table quotes it."""
    unit, per, _ = UNITS[found.quantity]
    print(f"{name} | {found.case.name} | {found.case.bone.id} | {found.status}: {found.why or '-'} | {seconds:.0f} s")
    for what, run in (("now", found.now), ("healed", found.healed), ("opposite", found.opposite)):
        if run is not None:
            load = "" if run.failure_load is None else f", failure {run.failure_load:.4g} {unit} at {run.failure_at:.2g}"
            print(
                f"    {what}: stiffness {run.stiffness:.4g} {per}{load}; linear {run.linear_load or float('nan'):.4g} {unit}; "
                f"{run.elements} cubes, residual {run.cg_residual:.0e}, imbalance {run.reaction_imbalance:.0e}, {run.ended}"
            )
    for what, band in (
        ("failure", found.failure), ("body weights", found.body_weights), ("over healed", found.ratio_healed),
        ("over the other side", found.ratio_opposite),
    ):  # fmt: skip
        if band is not None:
            print(f"    {what}: {band}")
    if found.calibration is not None:
        others = ", ".join(c.method for c in found.calibration_others)
        print(
            f"    calibration {found.calibration.method} (also {others or 'none'}); law {found.law}; cubes {found.voxel_mm:g} mm"
        )
    if found.rigidity_ratio is not None:
        least = {k: round(v[0], 2) for k, v in found.rigidity_ratio.least.items()}
        print(f"    rigidity over healed, least {least}; flagged {found.rigidity_ratio.flagged}")
    for note in (*found.notes, found.opposite_why):
        if note:
            print(f"    - {note}")


def every_load(name: str, lesion: LesionAssessment, samples: int = 0) -> None:
    """Ask every usual load of a lesion's bone."""
    bone = structure(str(lesion.facts["bone"].value))
    for each in cases_for(bone):
        began = perf_counter()
        facts = {**lesion.facts, **WHOLE}
        case = LoadCase(each.name, bone, weight_kg=70.0)
        tell(name, strength_of(lesion.anatomy, case, facts=facts, options=Options(samples=samples)), perf_counter() - began)


def one_load(name: str, anatomy: Anatomy, load: str, bone: str, head_mm: tuple[float, float, float] | None = None) -> None:
    """Ask one load of one bone."""
    began, case = perf_counter(), LoadCase(load, structure(bone), head_mm=head_mm, weight_kg=70.0)
    try:
        tell(name, strength_of(anatomy, case, facts=WHOLE), perf_counter() - began)
    except OsteonError as error:
        print(f"{name} | {load} | {bone} | {type(error).__name__}: {error}")


def phantom(folder: Path, name: str) -> None:
    """A phantom as a case, 1 mm."""
    every_load(name, assess(load_case(write(name, folder / name).parent)).lesions[0])


def pelvis() -> Anatomy:
    """The pelvis CT with its outlines and what metal spoils."""
    folder = SHARED / "data" / "pelvis_ct"
    image = images.read(folder / "example_ct.nii.gz").volume
    found = labels.read(folder / "example_seg_fast_force_split.nii.gz", image.grid)
    metal = find_metal(image)
    masks = dict(found.masks)
    if metal.implant is not None:
        masks[structure("implant")] = metal.implant
        print(f"    metal found: {'; '.join(metal.notes)}")
    seen = Volume(np.ones(image.grid.shape, bool), image.grid)
    return Anatomy(imaged=seen, image=image, masks=masks, contrast=False, unreliable=metal.unreliable)


def real(folder: Path, name: str) -> None:
    """A real bone with an implanted lesion."""
    case = folder / name
    if not (case / "case.yaml").exists():
        make(folder, name)
    every_load(name, assess(load_case(case)).lesions[0])


def sarcoma() -> None:
    """The left hip of sarcoma 036, in pieces found by threshold, the middle of the head by hand: no outline of it is given."""
    image = images.read(SHARED / "data" / "sarcoma" / "nifti" / "STS_036" / "CT_image.nii.gz").volume.canonical()
    seen = Volume(np.ones(image.grid.shape, bool), image.grid)
    found = find_bones(image, seen)
    for note in found.notes:
        print(f"    {note}")
    for piece, bone, load in (
        (0, "hip_left", "pelvis-stance"),
        (1, "femur_left", "femur-stance"),
        (1, "femur_left", "shaft-torsion"),
    ):
        key = structure(bone)
        masks = {key: found.bones[piece].mask.resample(image.grid)}
        one_load("sarcoma-036", Anatomy(seen, image, masks, approximate=frozenset({key})), load, bone, HIP_036)


def main(folder: Path, names: list[str]) -> None:
    """Answer every case named."""
    ways: dict[str, Callable[[], None]] = {each: (lambda n=each: phantom(folder, n)) for each in PHANTOMS}  # type: ignore[misc]
    ways["made-up-femur"] = lambda: one_load("made-up-femur", proximal_femur(1.0, 25.0), "femur-stance", "femur_right")
    ways |= {each: (lambda n=each: real(folder, n)) for each in CASES if each in ("A1", "B1")}  # type: ignore[misc]
    ways["pelvis-right-femur"] = lambda: one_load("pelvis-right-femur", pelvis(), "femur-stance", "femur_right")
    ways["pelvis-left-femur"] = lambda: one_load("pelvis-left-femur", pelvis(), "shaft-torsion", "femur_left")
    ways["sarcoma-036"] = sarcoma
    for name in names or list(ways):
        print(f"== {name}", flush=True)
        ways[name]()


if __name__ == "__main__":
    main(
        Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "out" / "strength",
        sys.argv[2].split(",") if len(sys.argv) > 2 else [],
    )
