"""A new case: case.yaml with every question that matters, all unknown."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

from osteon.cache import write_atomically
from osteon.case.schema import SCHEMA
from osteon.case.yaml_lines import Block, write_yaml
from osteon.errors import CaseFileError
from osteon.facts import FactType, vocabulary
from osteon.io import images

HELP = """# Write what is known; leave `unknown` what is not: unknown is never taken for safe.
# A quantity: 12, "12 mm", {value: 12, unit: mm, date: 2025-03-01}, {min: 10, max: 14}, {one_of: [lytic, mixed]},
# or a dated list [{value: 7, date: 2025-02-01}, {value: 5, date: 2025-03-01}].
# Coordinates are LPS mm: x to the left, y to the back, z to the head.
# Files are relative to this file. `osteon schema case` prints the whole form.
"""
STRUCTURES_HELP = """# A nerve that no label map holds can be given as a line (LPS, or add `coordinates: RAS`):
#   sciatic_nerve_right: {polyline_mm: [[-62, 60, -20], [-70, 66, -60]], radius: 4 mm}
# A structure that you looked for and that is not there belongs in `absent: [...]`; one that nobody looked for does not.
"""
TIMELINE_HELP = """# Earlier treatments, one line each:
#   - {date: 2024-11-05, treatment: radiotherapy, site: L1, details: {dose_gy: 8, fractions: 1}}
"""
FIXED = ("bone", "region", "side", "goal")


def new_case(
    folder: Path, image: Path | None = None, labels: Path | None = None, *, patient: str = "patient-1", today: date | None = None
) -> Path:
    """Start a case folder.

    Parameters
    ----------
    folder : Path
        Made where needed; an existing case.yaml is not overwritten.
    image : Path or None
        CT: NIfTI file or DICOM folder; it stays where it is.
    labels : Path or None
        Label map or folder of masks with TotalSegmentator's names.
    patient : str
        Pseudonym.
    today : datetime.date or None
        Date of the chart; the image's date, else today's.

    Returns
    -------
    Path
        The ``case.yaml``.

    Raises
    ------
    CaseFileError
        If the folder already holds a case.
    ImageError, MissingError
        If the image cannot be used.
    """
    folder = Path(folder)
    file = folder / "case.yaml"
    if file.exists():
        raise CaseFileError(
            f"{file} is already there.", "What is in it would be lost.", "Choose another folder, or edit that file."
        )
    tree: dict[str, Any] = {"patient": patient, "date": (today or date.today()).isoformat()}
    if image is not None:
        found = images.read(image)
        study: dict[str, Any] = {"id": "image1", "modality": _modality(found.modality), "file": _relative(Path(image), folder)}
        study["date"] = found.date.isoformat() if found.date else "unknown"
        study["patient_position"] = found.patient_position
        tree["studies"] = [study]
    if labels is not None:
        if not Path(labels).exists():
            raise images.missing(Path(labels))
        tree["labels"] = [{"file": _relative(Path(labels), folder)}]
    tree["lesions"] = [{"id": "L1", "bone": "unknown", "goal": "unknown"}]
    write_atomically(file, skeleton(tree).encode())
    return file


def _modality(header: str) -> str:
    return "CT" if header in ("CT", "unknown") else header if header in ("MR", "PT", "NM") else "other"


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def skeleton(tree: dict[str, Any]) -> str:
    """Return the text of a case.yaml: what is given, and every other fact as `unknown` with its question beside it.

    Parameters
    ----------
    tree : dict
        patient, date, stamps, studies, labels, lesions: whatever is known; no facts.
    """
    day = tree.get("date") or date.today().isoformat()
    head: dict[str, Any] = {"patient": tree["patient"], "date": day}
    text = f"schema: {SCHEMA}\n{HELP}" + write_yaml(head)
    if tree.get("stamps"):
        text += write_yaml({"stamps": tree["stamps"]})
    text += write_yaml({"studies": tree["studies"]}) if tree.get("studies") else "studies: []\n"
    text += write_yaml({"labels": tree["labels"]}) if tree.get("labels") else "labels: []\n"
    text += STRUCTURES_HELP + "structures: {}\nabsent: []\n"
    text += "facts:\n" + _questions("patient", "  ")
    text += "lesions:\n"
    for lesion in tree["lesions"]:
        body = write_yaml({"lesions": [Block(lesion)]}).split("\n", 1)[1]
        text += body
        if "outline" not in lesion:
            text += "    # outline: {file: lesion.nii.gz}  or  {sphere_mm: {center: [-95, 10, 40], diameter: 25 mm}}\n"
        text += "    facts:\n" + _questions("lesion", "      ")
    return text + TIMELINE_HELP + "timeline: []\n"


def _questions(scope: str, indent: str) -> str:
    rows = []
    for name, kind in vocabulary().items():
        if kind.scope == scope and name not in FIXED and not kind.measured:
            rows.append(f"{indent}{name}: unknown  # {_question(kind)}")
    return "\n".join(rows) + "\n"


def _question(kind: FactType) -> str:
    hints = []
    if kind.type == "bool":
        hints.append("true/false")
    if kind.type == "choice":
        hints.append(", ".join(map(str, kind.domain)))
    if kind.valid_days:
        hints.append(f"{{value: , date: }}, good for {kind.valid_days} days")
    return kind.ask + (f" [{'; '.join(hints)}]" if hints else "")
