"""The dated images of a case: read, held against what the case file says of them, and the one that carries the outlines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path

from osteon.case.image_facts import NOT_STATED
from osteon.case.model import Declared, Study, planning_ct
from osteon.case.schema import CaseModel, StudyModel
from osteon.case.yaml_lines import Lines
from osteon.errors import CaseFileError
from osteon.io import images

CARRIES_OUTLINES = ("MR", "PT")
"""Without a CT, outlines lie on the first study of these kinds, in this order."""


def read_studies(
    model: CaseModel, folder: Path, lines: Lines, observe: Callable[[float], None] | None = None
) -> tuple[tuple[Study, ...], tuple[Declared, ...]]:
    """Read the images of a case, and return what is declared without being at hand.

    Parameters
    ----------
    model : CaseModel
        The case file.
    folder : Path
        Files are relative to it.
    lines : Lines
        Where each entry stands.
    observe : callable or None
        Is told the fraction done.

    Raises
    ------
    CaseFileError
        If header and case file contradict each other.
    ImageError
        If an image cannot be used.
    """
    studies, declared = [], []
    for i, each in enumerate(model.studies):
        if each.file is None:
            declared.append(Declared(each.id, each.modality, day_of(each.date), each.note))
            continue
        studies.append(_study(each, each.file, folder, lines.at("studies", i), _shared(observe, i, len(model.studies))))
    return tuple(studies), tuple(declared)


def reference_of(studies: Sequence[Study]) -> Study | None:
    """Return the study whose grid carries the outlines: the planning CT, else the first MR, else the first PET."""
    planning = planning_ct(studies)
    if planning is not None:
        return planning
    for modality in CARRIES_OUTLINES:
        for study in studies:
            if study.modality == modality:
                return study
    return None


def sources_of(model: CaseModel, digests: Mapping[str, str]) -> dict[str, str]:
    """Return for each study what its voxels come from: the digest of its file, and the series asked for."""
    return {s.id: f"{digests[s.file]} {s.series or ''}" for s in model.studies if s.file is not None and s.file in digests}


def day_of(given: date | str) -> date | None:
    """Return a date of the case file; None for "unknown"."""
    return given if isinstance(given, date) else None


def _shared(observe: Callable[[float], None] | None, index: int, count: int) -> Callable[[float], None] | None:
    if observe is None:
        return None
    return lambda done: observe((index + done) / count)


def _study(model: StudyModel, file: str, folder: Path, where: str, observe: Callable[[float], None] | None) -> Study:
    image = images.read(folder / file, series=model.series, observe=observe)
    notes = list(image.notes)
    if image.modality not in ("unknown", model.modality) and model.modality != "other":
        raise CaseFileError(
            f"{where}: {file} is {image.modality} by its header, not {model.modality}.",
            "HU stand only in a CT.",
            "Correct `modality`, or name the right folder.",
        )
    if model.modality == "CT":
        images.check_ct(image.volume, folder / file)
    day = day_of(model.date)
    if day is not None and image.date is not None and day != image.date:
        notes.append(f"{where}: dated {day.isoformat()} here, {image.date.isoformat()} in the header; the case file counts")
    position = model.patient_position if model.patient_position != "unknown" else image.patient_position
    if "unknown" not in (model.patient_position, image.patient_position) and model.patient_position != image.patient_position:
        raise CaseFileError(
            f"{where}: patient_position is {model.patient_position} here and {image.patient_position} in the header.",
            "The side of the table decides where a needle can enter.",
            "Correct the entry, or remove it to use the header's.",
        )
    contrast = model.contrast if isinstance(model.contrast, bool) else image.contrast
    if isinstance(model.contrast, bool) and image.contrast not in (None, contrast):
        raise CaseFileError(
            f"{where}: contrast is {str(model.contrast).lower()} here, but the header says otherwise "
            f"({image.contrast_agent or image.phase}).",
            "With contrast agent HU tell neither lytic from blastic nor bone from vessel.",
            "Look at the image, and correct the entry or remove it to use the header's.",
        )
    if contrast is None and model.modality == "CT":
        notes.append(NOT_STATED)
    is_ct = model.modality == "CT"
    return Study(
        model.id,
        model.modality,
        day or image.date,
        image.volume,
        image.imaged,
        position,
        tuple(notes),
        contrast,
        kernel=image.kernel if is_ct else "",
        kvp=image.kvp if is_ct else None,
        slice_spacing_mm=image.slice_spacing_mm if is_ct else None,
        contrast_agent=image.contrast_agent if contrast else "",
        contrast_phase=image.phase if contrast else "",
        planning=model.planning,
    )
