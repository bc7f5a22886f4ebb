"""The commands that make or complete a case: a new one, a phantom, an implanted lesion, an outline from one point or a line."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from osteon.errors import InputError

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the ensemble.")]


class Phantom(StrEnum):
    """Embedded phantoms."""

    FEMUR = "femur"
    VERTEBRA = "vertebra"
    ILIUM = "ilium"


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (new, phantom, implant, segment):
        app.command()(command)


def print_json(tree: Any) -> None:
    """Print a tree as JSON."""
    print(json.dumps(tree, ensure_ascii=False, indent=2))


def new(
    folder: Annotated[Path, typer.Argument(help="Folder to make.")],
    image: Annotated[Path | None, typer.Option(help="CT: a DICOM folder or a NIfTI file.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Label map or folder of masks with TotalSegmentator's names.")] = None,
    as_json: AsJson = False,
) -> None:
    """Start a case: a case.yaml with every question that matters, all unknown."""
    from osteon.case.new import new_case

    path = new_case(folder, image, labels)
    print_json({"case": str(path)}) if as_json else print(f"Made {path}. Fill in what is known; leave unknown what is not.")


def phantom(
    name: Annotated[Phantom, typer.Argument(help="Which phantom.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to make.")],
    dicom: Annotated[bool, typer.Option("--dicom", help="Write a DICOM CT series instead of NIfTI.")] = False,
    lesion_mm: Annotated[float, typer.Option(min=5, max=60, help="Diameter of the lytic lesion [mm].")] = 25.0,
    breach: Annotated[bool, typer.Option(help="Whether the lesion breaches the cortex.")] = True,
    spacing: Annotated[float, typer.Option(min=0.5, max=3.0, help="Voxel size [mm].")] = 1.0,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Write a synthetic patient: CT, labels and chart."""
    from osteon.case.phantom import write

    path = write(name.value, out, dicom=dicom, lesion_mm=lesion_mm, breach=breach, spacing_mm=spacing, seed=seed)
    print_json({"case": str(path)}) if as_json else print(f"Made {path}. Next: osteon report {out}")


def implant(
    image: Annotated[Path, typer.Argument(metavar="CT", help="CT: a DICOM folder or a NIfTI file.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Case folder to make.")],
    labels: Annotated[Path, typer.Option(help="Label map or folder of masks.")],
    bone: Annotated[str, typer.Option(help="Structure that gets the lesion, for example hip_right.")],
    center: Annotated[str, typer.Option(help="Centre x,y,z in LPS mm.")],
    diameter: Annotated[float, typer.Option(min=5, max=80, help="Diameter [mm].")] = 25.0,
    breach: Annotated[bool, typer.Option(help="Remove the cortex where the lesion meets it.")] = True,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Implant a declared synthetic lytic lesion into a real CT; every page that follows is stamped so."""
    from osteon.case.implant import implant as put

    path = put(image, labels, numbers(center), diameter, bone, out, breach=breach, seed=seed)
    print_json({"case": str(path)}) if as_json else print(f"Made {path}. Next: fill in the chart, then osteon report {out}")


def numbers(text: str) -> tuple[float, float, float]:
    """Return a point given as x,y,z.

    Raises
    ------
    InputError
        If it is none.
    """
    parts = text.replace(" ", "").split(",")
    try:
        x, y, z = (float(p) for p in parts)
        if not all(abs(v) < 1e5 for v in (x, y, z)):
            raise ValueError(text)
    except ValueError:
        raise InputError(
            f"The point {text!r} is not x,y,z.",
            "A place in the patient needs three numbers.",
            "Give it as --center=-60.5,12,-340 in LPS mm.",
        ) from None
    return x, y, z


def segment(
    case: Annotated[Path, typer.Argument(metavar="CASE", help="Folder with case.yaml, or the file itself.")],
    lesion: Annotated[str, typer.Option(help="Id of the lesion, for example L1.")] = "L1",
    seed: Annotated[str | None, typer.Option(help="A point x,y,z inside the lytic part, LPS mm.")] = None,
    nerve: Annotated[str | None, typer.Option(help="Structure to give as a line, for example sciatic_nerve_right.")] = None,
    line: Annotated[str | None, typer.Option(help="Its points, or a file of them: x y z per line or after each ;")] = None,
    radius: Annotated[float | None, typer.Option(min=0.5, max=20, help="Radius of the nerve [mm]; never guessed.")] = None,
    diameter: Annotated[
        float | None, typer.Option(help="About how large the lesion is, in mm; pulls the outline where its edge is not clear.")
    ] = None,
    coordinates: Annotated[str, typer.Option(help="LPS, or RAS as 3D Slicer shows.")] = "LPS",
    replace: Annotated[bool, typer.Option("--replace", help="Replace an outline that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Outline without another program: grow a lytic lesion from one point, or give a nerve as a line. Both are approximate."""
    from osteon.cli import _folder

    folder = _folder(case)
    if (seed is None) == (nerve is None):
        raise InputError(
            "Neither or both of --seed and --nerve were given.",
            "One call outlines one thing.",
            "Give --seed X,Y,Z for a lesion, or --nerve NAME --line POINTS --radius MM.",
        )
    if nerve is not None:
        from osteon.case.nerve_line import read_polyline, write_nerve

        if line is None or radius is None:
            raise InputError(
                f"--nerve {nerve} needs --line and --radius.",
                "A nerve without place or thickness cannot be judged.",
                "Give both.",
            )
        write_nerve(folder, nerve, read_polyline(line), radius_mm=radius, coordinates=coordinates, replace=replace)
        print_json({"written": nerve}) if as_json else print(f"Wrote {nerve} into {folder / 'case.yaml'}, as approximate.")
        return
    from osteon.case.segment import segment as grow
    from osteon.report.preview import write_preview

    found = grow(folder, lesion, numbers(str(seed)), coordinates=coordinates, replace=replace, diameter_mm=diameter)
    preview = folder / f"lesion_{lesion}_preview.svg"
    write_preview(preview, found.image, found.mask, imaged=found.imaged, seed_mm=found.seed_mm, notes=found.notes)
    if as_json:
        print_json({"volume_ml": found.volume_ml, "leak": found.leak, "notes": list(found.notes), "preview": str(preview)})
        return
    print(f"Grew {found.volume_ml:.3g} ml. Look at {preview} before you use it.")
    for note in found.notes:
        print(f"  {note}")
