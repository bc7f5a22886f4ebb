"""The outlines of a case that lie on its reference study: from files of many structures, and from entries of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from osteon.case.model import OutlineQuestion, Study
from osteon.case.outlines import outline_of
from osteon.case.places import Places
from osteon.case.schema import CaseModel, LabelsModel, OutlineModel
from osteon.case.yaml_lines import Lines
from osteon.errors import CaseFileError, ImageError, MissingError
from osteon.facts import Fact
from osteon.io import labels
from osteon.io.regions import NamedMask
from osteon.space.anatomy import Structure, structure, structures
from osteon.space.volume import Array, Volume

IGNORE = "ignore"


@dataclass(frozen=True, eq=False)
class DrawnLesion:
    """The outline of a lesion on the grid of the reference study.

    Parameters
    ----------
    mask : Volume of bool
        Not empty.
    approximate : bool
        Grown, drawn by rule, or carried over.
    error_mm : float
        Of carrying it over from another study [mm]; 0 where it was drawn on the reference.
    notes : tuple of str
        What reading did that one should know.
    study : str
        Study that it was carried over from; empty where it was drawn on the reference.
    """

    mask: Volume
    approximate: bool = False
    error_mm: float = 0.0
    notes: tuple[str, ...] = ()
    study: str = ""


@dataclass
class Outlines:
    """What has been outlined so far.

    Parameters
    ----------
    masks : dict of Structure to Volume of bool
        On the grid of the reference study.
    approximate : set of Structure
        Grown, drawn by rule, a model's output, or carried over from another study.
    drawn : dict of Structure to Volume of bool
        Where someone looked for it, where that is only a part of the image.
    error_mm : dict of Structure to float
        Error of outlines carried over from another study [mm].
    doses : dict of Structure to dict of str to Fact
        What an earlier irradiation gave to it.
    questions : list of OutlineQuestion
        Names that a person must decide.
    notes : list of str
        What reading did that one should know.
    lesions : dict of str to DrawnLesion
        Outlines of lesions, by lesion id.
    no_outline : dict of str to str
        Lesion id to why its outline cannot be used, and what to do.
    lesion_doses : dict of str to dict of str to Fact
        What an earlier irradiation gave to each lesion.
    study : dict of Structure to str
        Study that an outline was carried over from.
    """

    masks: dict[Structure, Volume] = field(default_factory=dict)
    approximate: set[Structure] = field(default_factory=set)
    drawn: dict[Structure, Volume] = field(default_factory=dict)
    error_mm: dict[Structure, float] = field(default_factory=dict)
    doses: dict[Structure, Mapping[str, Fact]] = field(default_factory=dict)
    questions: list[OutlineQuestion] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lesions: dict[str, DrawnLesion] = field(default_factory=dict)
    no_outline: dict[str, str] = field(default_factory=dict)
    lesion_doses: dict[str, Mapping[str, Fact]] = field(default_factory=dict)
    study: dict[Structure, str] = field(default_factory=dict)

    def take(self, key: Structure, mask: Volume, drawn: Volume | None, approximate: bool) -> None:
        """Keep an outline in place of what was there of that structure."""
        self.masks[key] = mask
        self.approximate.discard(key)
        self.drawn.pop(key, None)
        if approximate:
            self.approximate.add(key)
        if drawn is not None:
            self.drawn[key] = drawn


def read_outlines(model: CaseModel, places: Places, lines: Lines, lesions: Mapping[str, DrawnLesion] | None = None) -> Outlines:
    """Read what was outlined on the reference study, and what a labels file holds of a lesion.

    Parameters
    ----------
    model : CaseModel
        The case file.
    places : Places
        The studies.
    lines : Lines
        Where each entry stands.
    lesions : mapping of str to DrawnLesion
        Outlines that the lesions name themselves.

    Raises
    ------
    CaseFileError
        If a name is not in the vocabulary, or a line lies on the wrong side.
    OsteonError
        If a file cannot be read.
    """
    found = Outlines(lesions=dict(lesions or {}))
    found.notes += [note for each in found.lesions.values() for note in each.notes]
    for i, entry in enumerate(model.labels):
        study = places.drawn_on(entry.study, lines.at("labels", i))
        if study is not places.reference:
            continue
        file = labels_on(entry, study, places, lines, i, found)
        _take_lesion(file, entry, model, found)
        for key, mask in file.masks.items():
            found.take(key, mask, file.drawn.get(key), entry.approximate)
    for name, outline in model.structures.items():
        where = lines.at("structures", name)
        key = named(name, where)
        study = places.drawn_on(outline.study, where)
        if study is not places.reference:
            continue
        part = placed(outline, study, places, where)
        found.take(key, part.mask, part.drawn, outline.approximate or outline.polyline_mm is not None)
        found.notes += part.notes
        if outline.polyline_mm is not None:
            _check_side(key, found.masks, where)
    return found


def placed(outline: OutlineModel, study: Study, places: Places, where: str, what: str = "") -> NamedMask:
    """Return one outline on the grid of the study that it was drawn on; ``what`` it is stands in the message of an error.

    Raises
    ------
    CaseFileError
        If it lies outside the image.
    ImageError
        If its file cannot be used; with the line of the case file.
    """
    try:
        return outline_of(outline, places.folder, study.volume.grid, where, lambda: places.uids(study))
    except ImageError as error:
        raise ImageError(f"{where}: {what}{error.what}", error.why, error.do) from error


def labels_on(entry: LabelsModel, study: Study, places: Places, lines: Lines, index: int, found: Outlines) -> labels.LabelFile:
    """Read a labels entry on the grid of the study that it was drawn on; its notes and questions go to ``found``.

    Raises
    ------
    CaseFileError
        If a name or an answer is not in the vocabulary, or an answer is for no name of the file.
    OsteonError
        If the file cannot be read.
    """
    names = None if entry.names == "totalsegmentator" else dict(entry.names)
    for name in (names or {}).values():
        named(name, lines.at("labels", index, "names"))
    where = lines.at("labels", index, "answers")
    for answer in entry.answers.values():
        if answer != IGNORE:
            named(answer, where)
    try:
        file = labels.read(
            places.folder / entry.file, study.volume.grid, names=names, answers=entry.answers, uids=lambda: places.uids(study)
        )
    except (ImageError, MissingError) as error:
        raise type(error)(f"{lines.at('labels', index, 'file')}: {error.what}", error.why, error.do) from error
    strange = [name for name in entry.answers if name not in file.names]
    if strange:
        there = f"it has {', '.join(map(repr, file.names))}" if file.names else "its parts have numbers: give `names`"
        raise CaseFileError(
            f"{where}: {entry.file} has no outline named {strange[0]!r}; {there}.",
            "An answer to no question would silently not count.",
            "Write the name as the file does.",
        )
    found.notes += file.notes
    if file.unmapped:
        found.notes.append(f"{entry.file}: no structure of the vocabulary for {', '.join(file.unmapped)}; left out")
    for asked in file.questions:
        choices = tuple(c.id for c in asked.choices)
        do = f"Under this entry of `labels` write `answers: {{{asked.name!r}: {choices[0] if choices else IGNORE}}}`"
        rest = [*choices[1:6], IGNORE] if choices else []
        more = f", or one of {', '.join(rest)} instead" if rest else ""
        text = f"{asked.text} {do}{more}. Until then it is unknown."
        found.questions.append(OutlineQuestion(entry.file, asked.name, text, choices))
    return file


def _take_lesion(file: labels.LabelFile, entry: LabelsModel, model: CaseModel, found: Outlines) -> None:
    """Give a region that stands for the lesion to the only one without an outline; ask where that is not clear."""
    mask = file.masks.pop(structure("lesion"), None)
    names = [name for name, key in file.meaning.items() if key.id == "lesion"]
    own = {m.outline.roi for m in model.lesions if m.outline is not None and m.outline.file == entry.file}
    if mask is None or (set(names) <= own if names else bool(own)):  # the lesion names that part of the file itself
        return
    told = " and ".join(map(repr, names)) or "the label of the lesion"
    waiting = [m.id for m in model.lesions if m.outline is None and m.id not in found.lesions]
    if len(waiting) == 1:
        note = f"{entry.file}: {told} was taken for the outline of lesion {waiting[0]}, the only one without an outline"
        found.lesions[waiting[0]] = DrawnLesion(mask, entry.approximate, notes=(note,))
        found.notes.append(note)
        return
    which = f"the lesions {', '.join(waiting)} have none" if waiting else "every lesion has an outline"
    part = f"roi: {names[0]}" if names else "label: NUMBER"
    text = (
        f"Which lesion is {told} of {entry.file}? It stands for a lesion, and {which}. Under the lesion that it belongs to write "
        f"`outline: {{file: {entry.file}, {part}}}`. Until then it is left out."
    )
    found.questions.append(OutlineQuestion(entry.file, names[0] if names else "lesion", text, ("lesion",)))


def named(name: str, where: str) -> Structure:
    """Return the structure that a case file names; refuse a name outside the vocabulary."""
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


def _check_side(key: Structure, masks: Mapping[Structure, Volume], where: str) -> None:
    """Refuse a line on the wrong side of the body: most often RAS coordinates given as LPS."""
    if key.side is None:
        return
    pairs = [(structures()[f"{b}_{key.side}"], structures()[f"{b}_{other(key.side)}"]) for b in ("hip", "femur")]
    for own, opposite in pairs:
        if own in masks and opposite in masks:
            x, here, there = (centre_mm(masks[k])[0] for k in (key, own, opposite))
            if abs(x - there) < abs(x - here):
                raise CaseFileError(
                    f"{where}: the {key.name} lies at x = {x:.0f} mm, nearer the {opposite.name} ({there:.0f} mm).",
                    "A nerve on the wrong side protects nothing.",
                    "Check the side; viewers that show RAS need `coordinates: RAS`.",
                )


def other(side: str) -> str:
    """Return the other side."""
    return "left" if side == "right" else "right"


def centre_mm(mask: Volume) -> Array:
    """Return the centre of mass of an outline, LPS mm."""
    return mask.centre_mm()


def absent_of(model: CaseModel, masks: Mapping[Structure, Volume], lines: Lines) -> frozenset[Structure]:
    """Return what the case file declares absent; refuse what is outlined."""
    found = []
    for i, name in enumerate(model.absent):
        key = named(name, lines.at("absent", i))
        if key in masks and masks[key].box() is not None:
            raise CaseFileError(
                f"{lines.at('absent', i)}: {key.name} is declared absent, but it is outlined.",
                "One of the two is wrong, and limits follow either.",
                "Remove it from `absent`, or remove its outline.",
            )
        found.append(key)
    return frozenset(found)
