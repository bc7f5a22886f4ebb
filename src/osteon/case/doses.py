"""What an earlier irradiation gave to lesions and outlined structures, from dose files (RTDOSE)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from osteon.case.outline_files import Outlines
from osteon.case.places import Places
from osteon.case.schema import CaseModel
from osteon.case.studies import day_of
from osteon.case.yaml_lines import Lines
from osteon.errors import ImageError, MissingError
from osteon.facts import Fact, Unknown
from osteon.io.rtdose import NAMES, Dose, organ_dose, read_dose
from osteon.space.volume import Volume


def add_doses(model: CaseModel, places: Places, lines: Lines, found: Outlines) -> None:
    """Add to ``found`` the doses of every outlined structure and lesion; several files are added up as they stand.

    A file may be a plan that was never delivered: that is said, and whether the lesion was irradiated stays a question. Where one
    of the files lies on a study that is not aligned, no dose is told: the sum would be too small.

    Raises
    ------
    CaseFileError
        If there is no image that the dose was planned on.
    OsteonError
        If a file cannot be read, or belongs to another frame of reference than its study.
    """
    if not model.doses:
        return
    doses: list[Dose] = []
    why = ""
    for i, entry in enumerate(model.doses):
        where = lines.at("doses", i)
        study = places.drawn_on(entry.study, where)
        try:
            uids = places.uids(study)
        except MissingError:
            uids = None
        try:
            dose = read_dose(places.folder / entry.file, uids)
        except ImageError as error:
            raise ImageError(f"{where}: {error.what}", error.why, error.do) from error
        found.notes += [f"{entry.file}: {note}" for note in dose.notes]
        day = day_of(entry.date)
        when = f" of {day.isoformat()}" if day else ", day unknown"
        found.notes.append(f"{entry.file}{when}: whether this dose was delivered, or only planned, the file does not say")
        moved = _moved(dose, study.id, places)
        if isinstance(moved, str):
            why = f"cannot tell: {entry.file} lies on {study.id}, which is not aligned to the planning CT ({moved})"
            found.notes.append(why)
        else:
            doses.append(moved)
    if len(doses) > 1:
        found.notes.append(
            f"{len(doses)} dose files are added up as they stand, without regard to fractions and the time between"
        )
    for key, mask in sorted(found.masks.items()):
        if mask.box() is not None:
            found.doses[key] = _facts(doses, mask, f"the {key.name}", why)
    for name, lesion in found.lesions.items():
        found.lesion_doses[name] = _facts(doses, lesion.mask, f"lesion {name}", why)


def _moved(dose: Dose, study_id: str, places: Places) -> Dose | str:
    """Return a dose where it lies on the reference, or why it cannot be laid there."""
    if places.reference is None or study_id == places.reference.id:
        return dose
    alignment = places.alignments.get(study_id)
    if alignment is None:
        return "there is no planning CT"
    if not alignment.accepted or alignment.transform is None:
        return alignment.text.rstrip(".")
    return replace(dose, volume=Volume.of(dose.volume.array, alignment.transform @ dose.volume.grid.matrix))


def _facts(doses: Sequence[Dose], mask: Volume, name: str, why: str) -> dict[str, Fact]:
    if why:
        return {fact: Fact(fact, Unknown(why), "Gy") for fact in NAMES}
    return organ_dose(doses, mask, name)
