"""One door to a patient's data: a folder with case.yaml becomes a Case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from osteon.case.chart import facts_of
from osteon.case.image_facts import NOT_STATED, with_image_facts
from osteon.case.model import Case, Event, Lesion, Study
from osteon.case.outlines import outline_of
from osteon.case.schema import CaseModel, LesionModel, StudyModel, read_case_file
from osteon.case.yaml_lines import Lines
from osteon.errors import CaseFileError, ImageError
from osteon.facts import Fact, Known, Origin, Unknown, merge
from osteon.io import images, labels
from osteon.space.anatomy import Structure, structures
from osteon.space.volume import Array, Volume

BESIDE_MM = 3.0
"""Closer to the bone's middle than this, a lesion is on neither side."""


@dataclass
class _Outlines:
    """What has been outlined so far."""

    masks: dict[Structure, Volume] = field(default_factory=dict)
    approximate: set[Structure] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def load_case(folder: Path) -> Case:
    """Load one patient.

    Parameters
    ----------
    folder : Path
        Holds ``case.yaml``; or that file itself.

    Returns
    -------
    Case
        Images in canonical LPS axes, outlines on the first CT's grid, every fact with its origin.

    Raises
    ------
    CaseFileError
        If case.yaml is malformed or contradicts itself; with file and line.
    ImageError
        If an image or outline cannot be used.
    MissingError
        If a file is not there.
    UnitError
        If a quantity has the wrong unit.

    Examples
    --------
    >>> import tempfile
    >>> from osteon.case.phantom import write
    >>> folder = Path(tempfile.mkdtemp())
    >>> load_case(write("femur", folder, spacing_mm=4.0).parent).lesions[0].bone.id
    'femur_right'
    """
    folder = Path(folder)
    file = folder if folder.is_file() else folder / "case.yaml"
    folder = file.parent
    model, lines = read_case_file(file)
    digests = _digests(model, file, lines)
    studies = tuple(_study(s, folder, lines.at("studies", i)) for i, s in enumerate(model.studies))
    planning = next((s for s in studies if s.modality == "CT"), None)
    outlined = _outlines(model, folder, planning, lines)
    if outlined.notes and planning is not None:
        studies = tuple(replace(s, notes=(*s.notes, *outlined.notes)) if s is planning else s for s in studies)
    return Case(
        folder=folder,
        patient=model.patient,
        facts=with_image_facts(facts_of(_given(model.facts), "patient", model.date, lines, ("facts",)), planning),
        lesions=tuple(_lesion(m, i, model.date, folder, planning, outlined.masks, lines) for i, m in enumerate(model.lesions)),
        studies=studies,
        masks=outlined.masks,
        absent=_absent(model, outlined.masks, lines),
        approximate=frozenset(outlined.approximate),
        timeline=tuple(Event(_day(e.date), e.treatment, e.site, e.details) for e in model.timeline),
        stamps=_stamps(model),
        digests=digests,
    )


def _given(model: Any) -> Mapping[str, Any]:
    return {name: getattr(model, name) for name in model.model_fields_set}


def _day(given: date | str) -> date | None:
    return given if isinstance(given, date) else None


def _stamps(model: CaseModel) -> tuple[str, ...]:
    said = [*model.stamps]
    for lesion in model.lesions:
        if lesion.synthetic and not any("PHANTOM" in s or lesion.synthetic in s for s in said):
            said.append(f"SYNTHETIC LESION {lesion.id}: {lesion.synthetic}")
    return tuple(said)


def _digests(model: CaseModel, file: Path, lines: Lines) -> dict[str, str]:
    """Return the digest of case.yaml and of every file it names; refuse one that changed since it was noted."""
    places: list[tuple[str, str]] = [(s.file, lines.at("studies", i, "file")) for i, s in enumerate(model.studies)]
    places += [(m.file, lines.at("labels", i, "file")) for i, m in enumerate(model.labels)]
    places += [(m.file, lines.at("structures", k, "file")) for k, m in model.structures.items() if m.file]
    places += [
        (m.outline.file, lines.at("lesions", i, "outline", "file"))
        for i, m in enumerate(model.lesions)
        if m.outline is not None and m.outline.file
    ]
    found = {file.name: images.digest_of(file)}
    for name, where in places:
        if Path(name).is_absolute():
            raise CaseFileError(
                f"{where}: {name} is an absolute path.",
                "On another machine the case would not be found.",
                "Give it relative to case.yaml.",
            )
        if len(name.encode()) > 4000 or any(len(part.encode()) > 255 for part in Path(name).parts):
            raise CaseFileError(
                f"{where}: the file name {name[:40]}... has {len(name)} characters.",
                "No file system holds such a name, so this file cannot be there.",
                "Correct the name.",
            )
        if not (file.parent / name).exists():
            raise images.missing(file.parent / name, where)
        if name not in found:
            found[name] = images.digest_of(file.parent / name)
        noted = model.digests.get(name)
        if noted is not None and noted != found[name]:
            raise CaseFileError(
                f"{lines.at('digests', name)}: {name} has changed: sha256 {found[name][:12]}… is not the noted {noted[:12]}….",
                "Chart and outlines were made for the file as it was.",
                "Bring the file back, or remove this line if the change is meant.",
            )
    return found


def _study(model: StudyModel, folder: Path, where: str) -> Study:
    image = images.read(folder / model.file, series=model.series)
    notes = list(image.notes)
    if image.modality not in ("unknown", model.modality) and model.modality != "other":
        raise CaseFileError(
            f"{where}: {model.file} is {image.modality} by its header, not {model.modality}.",
            "HU stand only in a CT.",
            "Correct `modality`, or name the right folder.",
        )
    if model.modality == "CT":
        images.check_ct(image.volume, folder / model.file)
    day = _day(model.date)
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
    known = (image.kernel, image.kvp, image.slice_spacing_mm) if model.modality == "CT" else ("", None, None)
    day = day or image.date
    return Study(model.id, model.modality, day, image.volume, image.imaged, position, tuple(notes), contrast, *known)


def _named(name: str, where: str) -> Structure:
    found = labels.structure_named(name)
    if found is not None:
        return found
    import difflib

    close = difflib.get_close_matches(name, list(structures()), n=1, cutoff=0.6)
    raise CaseFileError(
        f"{where}: there is no structure {name!r} in osteon's vocabulary{f'; is {close[0]!r} meant?' if close else '.'}",
        "Limits and rules are kept per structure, so an unknown name would be judged by none.",
        "Use one of the names that `osteon list structures` prints.",
    )


def _outlines(model: CaseModel, folder: Path, planning: Study | None, lines: Lines) -> _Outlines:
    found = _Outlines()
    if planning is None:
        if model.labels or model.structures:
            raise CaseFileError(
                f"{lines.at('labels' if model.labels else 'structures')}: there are outlines but no CT study.",
                "Outlines need the image they were drawn on.",
                "Add the CT under `studies`.",
            )
        return found
    for i, entry in enumerate(model.labels):
        names = None if entry.names == "totalsegmentator" else dict(entry.names)
        for name in (names or {}).values():
            _named(name, lines.at("labels", i, "names"))
        file = labels.read(folder / entry.file, planning.volume.grid, names=names)
        found.masks.update(file.masks)
        if entry.approximate:
            found.approximate.update(file.masks)
        found.notes += file.notes
        if file.unmapped:
            found.notes.append(f"{entry.file}: no structure of the vocabulary for {', '.join(file.unmapped)}; left out")
    for name, outline in model.structures.items():
        where = lines.at("structures", name)
        key = _named(name, where)
        found.masks[key] = outline_of(outline, folder, planning.volume.grid, where)
        if outline.approximate or outline.polyline_mm is not None:
            found.approximate.add(key)
        if outline.polyline_mm is not None:
            _check_side(key, found.masks, where)
    return found


def _check_side(key: Structure, masks: Mapping[Structure, Volume], where: str) -> None:
    """Refuse a line on the wrong side of the body: most often RAS coordinates given as LPS."""
    if key.side is None:
        return
    pairs = [(structures()[f"{b}_{key.side}"], structures()[f"{b}_{other(key.side)}"]) for b in ("hip", "femur")]
    for own, opposite in pairs:
        if own in masks and opposite in masks:
            x, here, there = (_centre(masks[k])[0] for k in (key, own, opposite))
            if abs(x - there) < abs(x - here):
                raise CaseFileError(
                    f"{where}: the {key.name} lies at x = {x:.0f} mm, nearer the {opposite.name} ({there:.0f} mm).",
                    "A nerve on the wrong side protects nothing.",
                    "Check the side; viewers that show RAS need `coordinates: RAS`.",
                )


def other(side: str) -> str:
    """Return the other side."""
    return "left" if side == "right" else "right"


def _centre(mask: Volume) -> Array:
    index = np.argwhere(mask.array)
    return mask.grid.to_mm(index.mean(axis=0))


def _absent(model: CaseModel, masks: Mapping[Structure, Volume], lines: Lines) -> frozenset[Structure]:
    found = []
    for i, name in enumerate(model.absent):
        key = _named(name, lines.at("absent", i))
        if key in masks and masks[key].array.any():
            raise CaseFileError(
                f"{lines.at('absent', i)}: {key.name} is declared absent, but it is outlined.",
                "One of the two is wrong, and limits follow either.",
                "Remove it from `absent`, or remove its outline.",
            )
        found.append(key)
    return frozenset(found)


def _bone(model: LesionModel, where: str) -> Structure | None:
    """Return the bone: its id, or its plain name joined with side or level."""
    if model.bone == "unknown":
        return None
    name = model.bone
    if model.level and name in ("vertebra", "rib"):
        name = f"{name}_{model.level}"
    if labels.structure_named(name) is None and labels.structure_named(f"{name}_{model.side}") is not None:
        name = f"{name}_{model.side}"
    bone = _named(name, where)
    if bone.kind != "bone":
        raise CaseFileError(
            f"{where}: {bone.name} is no bone.",
            "Region, load and what must be judged follow the bone.",
            "Name the bone that holds the lesion.",
        )
    if bone.side and model.side in ("left", "right", "midline") and bone.side != model.side:
        raise CaseFileError(
            f"{where}: the bone is {bone.id}, but the side is {model.side}.",
            "A treatment on the wrong side harms the healthy one.",
            "Look at the image and correct one of the two.",
        )
    if model.level and not bone.id.endswith(f"_{model.level}") and f"_{model.level}_" not in bone.id:
        raise CaseFileError(
            f"{where}: the bone is {bone.id}, but the level is {model.level}.",
            "A needle at the wrong level treats the wrong vertebra.",
            "Look at the image and correct one of the two.",
        )
    return bone


def _lesion(
    model: LesionModel,
    index: int,
    today: date,
    folder: Path,
    planning: Study | None,
    masks: Mapping[Structure, Volume],
    lines: Lines,
) -> Lesion:
    where = lines.at("lesions", index)
    bone = _bone(model, lines.at("lesions", index, "bone"))
    facts = facts_of(_given(model.facts), "lesion", today, lines, ("lesions", index, "facts"))
    for name, value in (
        ("bone", bone.id if bone else None),
        ("region", model.region),
        ("goal", model.goal),
        ("side", model.side),
    ):
        if value not in (None, "unknown"):
            stated = Fact(name, Known(str(value)), origins=(Origin("chart", lines.at("lesions", index, name)),))
            facts[name] = merge([facts[name], stated])
    if bone is not None and bone.side and facts["side"].value is None and isinstance(facts["side"].state, Unknown):
        facts["side"] = Fact("side", Known(bone.side), origins=(Origin("inferred", f"the bone is {bone.id}"),))
    mask = None
    if model.outline is not None:
        if planning is None:
            raise CaseFileError(
                f"{where}: lesion {model.id} has an outline, but there is no CT.",
                "An outline needs the image it was drawn on.",
                "Add the CT under `studies`.",
            )
        place = lines.at("lesions", index, "outline")
        try:
            mask = outline_of(model.outline, folder, planning.volume.grid, place)
        except ImageError as error:
            raise ImageError(f"{place}: lesion {model.id}: {error.what}", error.why, error.do) from error
        _compare_place(facts, mask, bone, masks, place)
    goal = facts["goal"].value
    rough = model.outline is not None and model.outline.approximate
    return Lesion(model.id, bone, facts, mask, str(goal) if goal else None, model.region, model.synthetic, rough)


def _compare_place(
    facts: dict[str, Fact], mask: Volume, bone: Structure | None, masks: Mapping[Structure, Volume], where: str
) -> None:
    """Hold the chart's bone and side against the place of the outline; a contradiction stays visible in the fact."""
    x, y, z = (float(v) for v in _centre(mask))
    touched = {k: int((v.array & mask.array).sum()) for k, v in masks.items() if k.kind == "bone"}
    inside = [k for k, n in touched.items() if n]
    if bone is not None and bone in masks and inside and bone not in inside:
        best = max(inside, key=lambda k: touched[k])
        seen = Fact("bone", Known(best.id), origins=(Origin("image", f"{where}: the outline lies in it", place_mm=(x, y, z)),))
        facts["bone"] = merge([facts["bone"], seen])
    side = _side_seen(x, bone, inside, masks)
    if side is None or facts["side"].value in (None, "midline") or facts["side"].value == side:
        return
    seen = Fact("side", Known(side), origins=(Origin("image", f"{where}: centre at x = {x:.0f} mm", place_mm=(x, y, z)),))
    facts["side"] = merge([facts["side"], seen])


def _side_seen(x: float, bone: Structure | None, inside: list[Structure], masks: Mapping[Structure, Volume]) -> str | None:
    """Return the side on which the outline lies, where bones tell it."""
    sides = {k.side for k in inside if k.side}
    if len(sides) == 1:
        return sides.pop()
    if bone is not None and bone.side is None and bone in masks:
        middle = float(_centre(masks[bone])[0])
        return None if abs(x - middle) < BESIDE_MM else "left" if x > middle else "right"
    return None
