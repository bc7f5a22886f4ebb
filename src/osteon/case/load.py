"""One door to a patient's data: a folder with case.yaml becomes a Case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from osteon.cache import Cache
from osteon.case.align import aligned
from osteon.case.carried import carry_outlines
from osteon.case.chart import facts_of
from osteon.case.doses import add_doses
from osteon.case.image_facts import with_image_facts
from osteon.case.lesions import carry_lesions, given, lesion_of, lesion_outlines
from osteon.case.model import Case, Event, planning_ct
from osteon.case.outline_files import absent_of, read_outlines
from osteon.case.places import Places
from osteon.case.schema import CaseModel, read_case_file
from osteon.case.studies import day_of, read_studies, reference_of, sources_of
from osteon.case.yaml_lines import Lines
from osteon.errors import CaseFileError
from osteon.io import images


def load_case(
    folder: Path,
    *,
    cache: Cache | None = None,
    observe: Callable[[float], None] | None = None,
    aligning: Callable[[str, float], None] | None = None,
) -> Case:
    """Load one patient.

    Parameters
    ----------
    folder : Path
        Holds ``case.yaml``; or that file itself.
    cache : Cache, optional
        Keeps what aligning other studies to the planning CT found.
    observe : callable, optional
        Is told the fraction done of reading.
    aligning : callable, optional
        Is told "aligning mr1" and the fraction of it done.

    Returns
    -------
    Case
        Images in canonical LPS axes, outlines on the grid of the planning CT (without a CT, of the first MR or PET), every fact
        with its origin.

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
    studies, declared = read_studies(model, folder, lines, observe)
    reference = reference_of(studies)
    files = {s.id: (folder / s.file, s.series) for s in model.studies if s.file is not None}
    places = Places(folder, studies, reference, files)
    drawn = lesion_outlines(model, places, lines)
    outlined = read_outlines(model, places, lines, drawn)
    lesions = [each.mask for each in outlined.lesions.values()]
    alignments = aligned(studies, reference, lesions, cache, sources_of(model, digests), aligning)
    places = replace(places, alignments={a.study_id: a for a in alignments})
    carry_outlines(model, places, lines, outlined)
    carry_lesions(model, places, lines, outlined)
    add_doses(model, places, lines, outlined)
    planning = planning_ct(studies)
    if outlined.notes and reference is not None:
        studies = tuple(replace(s, notes=(*s.notes, *outlined.notes)) if s is reference else s for s in studies)
    return Case(
        folder=folder,
        patient=model.patient,
        facts=with_image_facts(facts_of(given(model.facts), "patient", model.date, lines, ("facts",)), planning),
        lesions=tuple(lesion_of(m, i, model.date, outlined, lines) for i, m in enumerate(model.lesions)),
        studies=studies,
        masks=outlined.masks,
        absent=absent_of(model, outlined.masks, lines),
        approximate=frozenset(outlined.approximate),
        timeline=tuple(Event(day_of(e.date), e.treatment, e.site, e.details) for e in model.timeline),
        stamps=_stamps(model),
        digests=digests,
        declared=declared,
        alignments=alignments,
        drawn=outlined.drawn,
        outline_error_mm=outlined.error_mm,
        organ_doses=outlined.doses,
        questions=tuple(outlined.questions),
        notes=(model.notes,) if isinstance(model.notes, str) else tuple(model.notes),
        date=model.date,
        outline_study=outlined.study,
    )


def _stamps(model: CaseModel) -> tuple[str, ...]:
    said = [*model.stamps]
    for lesion in model.lesions:
        if lesion.synthetic and not any("PHANTOM" in s or lesion.synthetic in s for s in said):
            said.append(f"SYNTHETIC LESION {lesion.id}: {lesion.synthetic}")
    return tuple(said)


def _digests(model: CaseModel, file: Path, lines: Lines) -> dict[str, str]:
    """Return the digest of case.yaml and of every file it names; refuse one that changed since it was noted."""
    places: list[tuple[str, str]] = [(s.file, lines.at("studies", i, "file")) for i, s in enumerate(model.studies) if s.file]
    places += [(m.file, lines.at("doses", i, "file")) for i, m in enumerate(model.doses)]
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
