"""The section "Images": every study with its date and place, what was decided of its alignment, and pictures to judge that by."""

from __future__ import annotations

from dataclasses import dataclass

from osteon.assessment.measure_base import threshold
from osteon.case.align import Alignment
from osteon.case.model import Case, Study
from osteon.report import words
from osteon.report.overlays import Compared, compare


@dataclass(frozen=True)
class ImageRow:
    """One study as the page lists it."""

    id: str
    modality: str
    date: str
    apart: str
    taken: str
    position: str
    role: str
    tone: str
    said: str


def image_rows(case: Case) -> list[ImageRow]:
    """Return every study of a case, the planning image first, those that are not at hand last."""
    planning = case.planning_image
    aligned = {a.study_id: a for a in case.alignments}
    first = sorted(case.studies, key=lambda s: planning is None or s.id != planning.id)
    rows = [_row(study, planning, aligned.get(study.id), case) for study in first]
    for held in case.declared:
        apart = _apart((held.date - planning.date).days if held.date and planning and planning.date else None)
        note = held.note or "named in the case file without a file"
        rows.append(ImageRow(held.id, held.modality, words.iso(held.date), apart, "", "", "not at hand", "open", note))
    return rows


def pictures_of(case: Case) -> list[Compared]:
    """Return the pictures of every study that was aligned to the planning CT; a refused one gets none."""
    studies = {s.id: s for s in case.studies}
    found = [compare(case, studies[a.study_id], a) for a in case.alignments if a.study_id in studies]
    return [each for each in found if each is not None]


def _row(study: Study, planning: Study | None, alignment: Alignment | None, case: Case) -> ImageRow:
    role, tone, said = _decision(study, planning, alignment, case)
    days = (study.date - planning.date).days if planning is not None and study.date and planning.date else None
    apart = "" if planning is None or study.id == planning.id else _apart(days)
    return ImageRow(
        study.id, study.modality, words.iso(study.date), apart, _taken(study), _position(study.patient_position), role, tone, said
    )


def _decision(study: Study, planning: Study | None, alignment: Alignment | None, case: Case) -> tuple[str, str, str]:
    if planning is not None and study.id == planning.id:
        chosen = "chosen by the case file" if planning.planning else "the first CT of the case file"
        said = f"{chosen}; every measured fact comes from it"
        age = (case.date - study.date).days if case.date and study.date else None
        if age is None:
            return "planning CT", "open", f"{said}; how old it is cannot be told"
        old = age > threshold("planning_ct_valid_days") or age < 0
        return "planning CT", "care" if old else "good", f"{said}; {_age(age)}"
    if planning is None:
        return "not aligned", "open", "there is no planning CT to lay it on"
    if alignment is None:
        return "not aligned", "open", "its alignment was not tried"
    if not alignment.accepted:
        return "not aligned", "stop", alignment.text
    drawn = _drawn_on(study, case)
    error = words.number(round(alignment.error_mm or 0.0, 1), "mm")
    by = {"images": "aligned by its image", "headers": "stays where its headers place it"}.get(alignment.by, "aligned")
    return f"{by}, error {error}", "care" if alignment.headers_contradicted else "good", alignment.text + drawn


def _drawn_on(study: Study, case: Case) -> str:
    """Return what was drawn on a study and carried over, with its error there."""
    found = [f"lesion {x.id} (error {x.outline_error_mm:.1f} mm)" for x in case.lesions if x.outline_study == study.id]
    carried = sorted(key for key, held in case.outline_study.items() if held == study.id)
    found += [f"{key.name} (error {case.outline_error_mm[key]:.1f} mm)" for key in carried]
    return f" Drawn on it and carried over: {words.joined(found)}." if found else ""


def _age(days: int) -> str:
    if days < 0:
        return "dated after the chart"
    return "of the day of the chart" if days == 0 else f"{days} {'day' if days == 1 else 'days'} old when the chart was written"


def _apart(days: int | None) -> str:
    if days is None:
        return "days apart not known"
    if days == 0:
        return "same day as the planning CT"
    return f"{abs(days)} {'day' if abs(days) == 1 else 'days'} {'after' if days > 0 else 'before'} the planning CT"


def _taken(study: Study) -> str:
    """Return grid and settings in words."""
    z, y, x = study.volume.spacing_mm
    parts = [words.with_unit(f"{x:.2f} × {y:.2f} × {z:.2f}", "mm")]
    if study.slice_spacing_mm is not None and abs(study.slice_spacing_mm - z) > 0.05:
        parts.append(f"slices {words.number(study.slice_spacing_mm, 'mm')} apart")
    if study.modality == "CT":
        told = {True: "with contrast agent", False: "without contrast agent", None: "contrast agent not stated"}[study.contrast]
        named = [t for t in (study.contrast_agent, study.contrast_phase) if t]
        parts.append(f"{told} ({', '.join(named)})" if named else told)
        parts += [f"kernel {study.kernel}"] if study.kernel else []
        parts += [words.number(study.kvp, "kV")] if study.kvp is not None else []
    elif study.contrast is not None:
        parts.append("with contrast agent" if study.contrast else "without contrast agent")
    return ", ".join(parts)


def _position(position: str) -> str:
    lying = {"S": "supine", "P": "prone", "DL": "left side down", "DR": "right side down"}
    if position[:2] not in ("HF", "FF"):
        return "position not known"
    return f"{lying.get(position[2:], 'position not known')}, {'head' if position[0] == 'H' else 'feet'} first"
