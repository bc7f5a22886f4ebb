"""A nerve as a line: read from text or a file, written into case.yaml."""

from __future__ import annotations

import re
from pathlib import Path

from osteon.cache import write_atomically
from osteon.case.load import load_case
from osteon.case.schema import read_case_file
from osteon.case.yaml_edit import set_in_case
from osteon.errors import CaseFileError, InputError, OsteonError
from osteon.io import labels

Point = tuple[float, float, float]


def parse_polyline(text: str, where: str = "the line") -> list[Point]:
    """Read points: one per line or separated by semicolons, three numbers each, blanks or commas between; # begins a comment.

    Parameters
    ----------
    text : str
        For example ``"-62 60 -20; -70 66 -60"``.
    where : str
        For messages.

    Returns
    -------
    list of tuple
        In the order given.

    Raises
    ------
    InputError
        If a point has not three finite numbers, two neighbours are the same, or there are fewer than two points.

    Examples
    --------
    >>> parse_polyline("1,2,3; 4,5,6")
    [(1.0, 2.0, 3.0), (4.0, 5.0, 6.0)]
    """
    points: list[Point] = []
    rows = [row for line in text.lstrip("\ufeff").splitlines() for row in line.split("#", 1)[0].split(";")]
    for number, row in enumerate((r for r in rows if r.strip()), start=1):
        parts = [p for p in re.split(r"[\s,]+", row.strip().strip("[]()")) if p]
        try:
            values = [float(p) for p in parts]
        except ValueError:
            values = []
        if len(values) != 3 or not all(abs(v) < 1e5 for v in values):
            raise InputError(
                f"Point {number} of {where} is {row.strip()[:60]!r}.",
                "A point has three numbers: x, y, z in mm.",
                "Write one point per line, for example -62 60 -20, with a point as the decimal mark.",
            )
        points.append((values[0], values[1], values[2]))
        if len(points) > 1 and points[-1] == points[-2]:
            raise InputError(
                f"Points {number - 1} and {number} of {where} are the same.", "A line needs a direction.", "Remove one of them."
            )
    if len(points) < 2:
        raise InputError(
            f"{where[0].upper()}{where[1:]} has {len(points)} points.",
            "A line needs two at least.",
            "Give the nerve from end to end.",
        )
    return points


def read_polyline(given: str) -> list[Point]:
    """Read points from a file of that name, or from the text itself where there is no such file.

    Raises
    ------
    InputError
        As ``parse_polyline``; or if the file cannot be read.
    """
    path = Path(given)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        if not re.match(r"\s*[\[(]?\s*[-+.\d]", given):
            raise InputError(
                f"There is no file {given[:80]!r}, and it does not read as points.",
                "A nerve that is not given protects nothing.",
                "Name a text file with one point per line, or give them as 'x,y,z; x,y,z'.",
            )
        return parse_polyline(given)
    try:
        return parse_polyline(path.read_text(encoding="utf-8"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.", "It must be UTF-8 text.", "Save it as plain text.") from error


def write_nerve(
    case_folder: Path, name: str, points: list[Point], *, radius_mm: float, coordinates: str = "LPS", replace: bool = False
) -> Path:
    """Write a nerve as a line with a radius into case.yaml; a line on the wrong side or outside the image is refused.

    Parameters
    ----------
    case_folder : Path
        Holds ``case.yaml``; or that file itself.
    name : str
        A nerve of the vocabulary, for example ``sciatic_nerve_right``.
    points : list of tuple
        mm.
    radius_mm : float
        Of the nerve with its sheath [mm], 0.5 to 20; it is not guessed.
    coordinates : {"LPS", "RAS"}
        Of the points.
    replace : bool
        Whether an outline that is there may be replaced.

    Returns
    -------
    Path
        The case file.

    Raises
    ------
    InputError
        If this is no nerve or cord, or the radius cannot be.
    CaseFileError
        If it is outlined or declared absent already, or lies outside the image or on the wrong side; the file stays as it was.
    """
    key = labels.same_or_error(name)
    if key.kind not in ("nerve", "cord"):
        raise InputError(
            f"{name} is {key.name}, no nerve.",
            "Limits follow the kind of structure.",
            "Name a nerve, for example sciatic_nerve_right.",
        )
    if not 0.5 <= radius_mm <= 20 or coordinates not in ("LPS", "RAS"):
        raise InputError(
            f"A nerve with a radius of {radius_mm:g} mm in {coordinates} coordinates was given.",
            "Nerves have 0.5 to 20 mm, and left and right follow from LPS or RAS.",
            "Correct it.",
        )
    file = Path(case_folder) if Path(case_folder).is_file() else Path(case_folder) / "case.yaml"
    model, lines = read_case_file(file)
    if key.id in model.structures and not replace:
        raise CaseFileError(
            f"{lines.at('structures', key.id)}: the {key.name} is outlined already.", "It would be lost.", "Ask for replacing it."
        )
    before = file.read_bytes()
    entry: dict[str, object] = {"polyline_mm": [list(p) for p in points], "radius": f"{radius_mm:g} mm", "approximate": True}
    if coordinates == "RAS":
        entry["coordinates"] = "RAS"
    set_in_case(file, ("structures", key.id), entry)
    try:
        load_case(file)
    except OsteonError:
        write_atomically(file, before)
        raise
    return file
