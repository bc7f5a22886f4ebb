"""The command that tells the strength of one bone of any image, without a case."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from osteon.errors import InputError, MissingError

if TYPE_CHECKING:
    from osteon.assessment.strength_results import Strength


class Unit(StrEnum):
    """What the numbers of the image are."""

    HU = "hu"
    K2HPO4 = "k2hpo4"
    HA = "ha"
    ASH = "ash"
    APP = "app"


class Way(StrEnum):
    """How Hounsfield numbers become density."""

    AUTO = "auto"
    AIR_FAT_MUSCLE = "air-fat-muscle"
    INTERNAL = "internal"
    COMPOSITION = "composition"
    NONE = "none"


class Answer(StrEnum):
    """Yes, no, or nobody said."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Stated(StrEnum):
    """Whether there is a fracture."""

    NONE = "none"
    PRESENT = "present"
    UNKNOWN = "unknown"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(strength)


def strength(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="NIfTI, NRRD, MetaImage, or a DICOM folder.")],
    labels: Annotated[Path, typer.Option(help="Label map, plain mask, folder of masks, RTSTRUCT or SEG.")],
    bone: Annotated[str, typer.Option(help="vertebra_L1, femur_left, hip_right, ... (osteon list structures)")],
    bone_label: Annotated[int | None, typer.Option(help="Value of the bone where the map has no names.")] = None,
    lesion: Annotated[str | None, typer.Option(help="A mask file, or a value of the label map; none is fine.")] = None,
    density_unit: Annotated[Unit, typer.Option(help="What the numbers are; densities in mg/cm3 or g/cm3.")] = Unit.HU,
    load_case: Annotated[str | None, typer.Option(help="Default: the usual one of the bone.")] = None,
    calibration: Annotated[Way, typer.Option(help="With hu: from the patient's own tissues.")] = Way.AUTO,
    calibration_line: Annotated[
        str | None, typer.Option(metavar="SLOPE,INTERCEPT,KIND", help="With hu: of a phantom, mg/cm3 per HU: 0.8,5,k2hpo4.")
    ] = None,
    voxel_mm: Annotated[
        float | None, typer.Option(help="Edge of the model's cubes [mm]; default 1, or the finest voxel.")
    ] = None,
    axis: Annotated[str | None, typer.Option(metavar="X,Y,Z", help="Load axis by hand, LPS, held end to moved end.")] = None,
    head: Annotated[str | None, typer.Option(metavar="X,Y,Z", help="Centre of the femoral head by hand [LPS mm].")] = None,
    weight_kg: Annotated[float | None, typer.Option(min=1, max=400, help="Gives body weights.")] = None,
    contrast: Annotated[Answer, typer.Option(help="With hu: whether contrast agent was given.")] = Answer.UNKNOWN,
    fracture: Annotated[Stated, typer.Option(help="As somebody saw who looked for one.")] = Stated.UNKNOWN,
    specimen: Annotated[bool, typer.Option("--specimen", help="Isolated and whole: at the image's edge it was sawn.")] = False,
    samples: Annotated[int, typer.Option(min=0, max=1000, help="Draws of the band; 0: by calibration and law alone.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    opposite: Annotated[bool, typer.Option("--opposite", help="Run the other side too, where it is outlined.")] = False,
    series: Annotated[str | None, typer.Option(help="Of a DICOM folder that holds several.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Write OUT.svg or OUT.html.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Tell the strength of one bone of any image: stiffness, failure load with its band, ratio to the bone without its lesion."""
    from osteon.assessment.strength_input import Asked
    from osteon.cli import _print_json, _progress

    if picture is not None and picture.suffix.lower() not in (".svg", ".html"):
        raise InputError(
            f"--picture {picture} is no .svg and no .html.",
            "The kind of picture is told by its ending.",
            "Write OUT.svg or OUT.html.",
        )
    if calibration_line is not None and calibration is not Way.AUTO:
        raise InputError(
            f"--calibration-line and --calibration {calibration.value} were both given.",
            "They would give two densities.",
            "Give one of them.",
        )
    asked = Asked(
        image, labels, bone, density_unit.value, bone_label, lesion, load_case, _line(calibration_line),
        {"yes": True, "no": False}.get(contrast.value), weight_kg, _point("--axis", axis), _point("--head", head),
        series, specimen,
    )  # fmt: skip
    with _progress(quiet or as_json) as observe:
        found = _run(asked, calibration, voxel_mm, fracture, samples, seed, opposite, observe)
    if picture is not None:
        _draw(found, picture)
    if as_json:
        from osteon.report.strength_json import as_numbers

        _print_json(as_numbers(found))
    else:
        _say(found, picture)
    raise typer.Exit(_code(found))


def _run(
    asked: Any, way: Way, voxel_mm: float | None, fracture: Stated, samples: int, seed: int, opposite: bool,
    observe: Callable[[str, float], None],
) -> Strength:  # fmt: skip
    """Read, and compute."""
    from dataclasses import replace

    from osteon.assessment.strength import Options, strength_of
    from osteon.assessment.strength_input import anatomy_of
    from osteon.facts import Fact, Known
    from osteon.jobs import Local, Serial

    observe("read", 0.0)
    anatomy, line, case, notes = anatomy_of(asked)
    observe("read", 1.0)
    if way is not Way.AUTO and line is not None:
        raise InputError(
            f"--calibration {way.value} was given for an image in {asked.density_unit}.",
            "Its numbers are densities already.",
            "Leave --calibration out, or give --density-unit hu.",
        )
    facts = {} if fracture is Stated.UNKNOWN else {"fracture": Fact("fracture", Known(fracture.value))}
    options = Options(
        edge_mm=voxel_mm, samples=samples, seed=seed, with_opposite=opposite,
        calibration_method=None if way is Way.AUTO else way.value,
    )  # fmt: skip
    executor = Local() if samples else Serial()
    found = strength_of(anatomy, case, facts=facts, calibration=line, options=options, executor=executor, observe=observe)
    return replace(found, notes=tuple(dict.fromkeys((*found.notes, *notes))))


def _code(found: Strength) -> int:
    """Return the exit code: 1 where it was refused or the solver did not end well."""
    return 0 if found.status != "refused" and found.ended in ("converged", "plateau", "limit") else 1


def _draw(found: Strength, path: Path) -> None:
    from osteon.cache import write_atomically
    from osteon.report.strength_section import page, picture

    drawn = picture(found) if path.suffix.lower() == ".svg" else page(found)
    if drawn is None:
        raise MissingError(
            f"There is nothing to draw in {path}.", f"There are no numbers: {found.why}", "See the message, and run it again."
        )
    write_atomically(path, drawn.encode())


def _say(found: Strength, picture: Path | None) -> None:
    from osteon.report.strength_section import lines

    print(f"{found.case.bone.name}: {found.title}. Research use only, not a medical device.")
    for line in lines(found):
        print(f"  {line}")
    if picture is not None:
        print(f"Picture: {picture}")


def _numbers(option: str, text: str, count: int) -> tuple[float, ...]:
    import math

    try:
        found = tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError:
        found = ()
    if len(found) != count or not all(math.isfinite(v) for v in found):
        raise InputError(
            f"{option} {text} is not {count} numbers.",
            "A pose or a line that is not understood is not guessed.",
            f"Give it as {option} 0,0,1.",
        )
    return found


def _point(option: str, text: str | None) -> tuple[float, float, float] | None:
    if text is None:
        return None
    x, y, z = _numbers(option, text, 3)
    return x, y, z


def _line(text: str | None) -> tuple[float, float, str] | None:
    if text is None:
        return None
    head, _, kind = text.rpartition(",")
    slope, intercept = _numbers("--calibration-line", head, 2)
    return slope, intercept, kind.strip()
