"""Outlines that were drawn on another study than the planning CT, carried over where the two are aligned."""

from __future__ import annotations

import numpy as np

from osteon.case.model import Study
from osteon.case.outline_files import Outlines, labels_on, named, placed
from osteon.case.places import Places
from osteon.case.schema import CaseModel
from osteon.case.yaml_lines import Lines
from osteon.errors import ImageError
from osteon.space.anatomy import Structure, structure
from osteon.space.volume import Volume


def carry_outlines(model: CaseModel, places: Places, lines: Lines, found: Outlines) -> None:
    """Add to ``found`` what was outlined on other studies; what is drawn on the reference stands before it.

    A structure drawn on a study that is not aligned stays unknown, with a note that says why.

    Raises
    ------
    CaseFileError
        If a name is not in the vocabulary.
    OsteonError
        If a file cannot be read.
    """
    for i, entry in enumerate(model.labels):
        study = places.drawn_on(entry.study, lines.at("labels", i))
        if study is places.reference:
            continue
        file = labels_on(entry, study, places, lines, i, found)
        if file.masks.pop(structure("lesion"), None) is not None:
            found.notes.append(
                f"{entry.file}: a lesion outlined on {study.id} is taken only where it stands under that lesion: "
                f"`outline: {{file: {entry.file}, study: {study.id}, roi: NAME}}`; left out"
            )
        for key, mask in file.masks.items():
            _add(key, mask, file.drawn.get(key), study, places, found)
    for name, outline in model.structures.items():
        where = lines.at("structures", name)
        study = places.drawn_on(outline.study, where)
        if study is not places.reference:
            part = placed(outline, study, places, where)
            found.notes += part.notes
            _add(named(name, where), part.mask, part.drawn, study, places, found)


def carried_over(mask: Volume, study: Study, places: Places) -> tuple[Volume, float] | str:
    """Return an outline of a study on the reference's grid with the error of carrying it [mm], or why it cannot be carried."""
    if study.id not in places.alignments:
        return f"{study.id} is aligned to nothing, because there is no planning CT"
    try:
        moved, error = places.carry(mask, study)
    except ImageError:
        return places.alignments[study.id].text.rstrip(".")
    kept = moved.compact()
    return (kept, error) if kept.box() is not None else f"it lies outside the planning CT, as {study.id} is aligned to it"


def _add(key: Structure, mask: Volume, drawn: Volume | None, study: Study, places: Places, found: Outlines) -> None:
    if key in found.masks and key not in found.error_mm:
        found.notes.append(f"the {key.name} is outlined on the planning CT too; its outline on {study.id} was left out")
        return
    carried = carried_over(mask, study, places)
    if isinstance(carried, str):
        found.notes.append(f"the {key.name}, outlined on {study.id}, stays unknown: {carried}")
        return
    moved, error = carried
    part = drawn or Volume(np.broadcast_to(np.True_, study.volume.grid.shape), study.volume.grid)
    covered = carried_over(part, study, places)
    found.take(key, moved, None if isinstance(covered, str) else covered[0], approximate=True)
    found.error_mm[key] = error
    found.study[key] = study.id
    found.notes.append(f"the {key.name} was outlined on {study.id} and carried over, error about {error:.1f} mm")
