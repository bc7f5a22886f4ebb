"""A case without what tells who the patient is: everything osteon computes, shows and writes starts from this one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from osteon.case.model import Case
from osteon.case.schema import CaseModel, read_case_file
from osteon.errors import OsteonError
from osteon.facts import Fact, Known, OneOf, vocabulary
from osteon.io.identity import Identity, identity_of, says_nothing
from osteon.io.structure_names import resolve
from osteon.space.anatomy import Structure

T = TypeVar("T")
NO_NAME = "patient"
"""Stands where ``patient`` of case.yaml was no pseudonym."""
CLOSED = ("modality", "patient_position", "goal", "by", "choices", "unit")
"""Fields whose words are osteon's own."""
WASHED = (
    "facts",
    "lesions",
    "studies",
    "timeline",
    "stamps",
    "declared",
    "alignments",
    "organ_doses",
    "questions",
    "notes",
    "outline_study",
)


@dataclass(frozen=True)
class Hidden:
    """What was taken out of a case.

    Parameters
    ----------
    places : tuple of str
        Fields of the case that held a name, a number or a UID; the value itself is not repeated.
    words : mapping of str to str
        What stands in place of an outline's name, to that name. For the terminal only: it may hold a person's name.
    """

    places: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Washer:
    """Takes the words of an identity and of file names out of texts, and remembers where there were any."""

    identity: Identity
    pattern: re.Pattern[str]
    instead: Mapping[str, str]
    folders: tuple[str, ...]
    places: dict[str, None] = field(default_factory=dict)

    def text(self, text: str, place: str) -> str:
        for folder in self.folders:
            text = text.replace(folder, "")
        text = self.pattern.sub(lambda m: self.instead[m.group()], text)
        washed = self.identity.wash(text)
        if washed != text:
            self.places[place] = None
        return washed

    def of(self, value: T, place: str) -> T:
        """Return the same value with its texts washed; what is no text stays the same object."""
        return self._of(value, place)  # type: ignore[no-any-return]

    def _of(self, value: Any, place: str) -> Any:
        match value:
            case str():
                return self.text(value, place)
            case tuple() | list():
                return type(value)(self._of(v, place) for v in value)
            case Mapping():
                return {k: self._of(v, place) for k, v in value.items()}
            case Fact():
                return self._fact(value, place)
        if is_dataclass(value) and type(value).__module__.startswith("osteon.case."):
            texts = {f.name: getattr(value, f.name) for f in fields(value) if f.name not in CLOSED}
            changed = {k: new for k, old in texts.items() if (new := self._of(old, place)) is not old and new != old}
            return replace(value, **changed) if changed else value  # type: ignore[type-var]
        return value

    def _fact(self, fact: Fact, place: str) -> Fact:
        kind = vocabulary().get(fact.name)
        state = fact.state
        if kind is not None and kind.type == "text":
            if isinstance(state, Known):
                state = Known(self._of(state.value, f"{place}.{fact.name}"))
            elif isinstance(state, OneOf):
                state = OneOf(self._of(state.values, f"{place}.{fact.name}"), state.conflict)
        origins = tuple(replace(o, where=self.text(o.where, f"{place}.{fact.name}")) for o in fact.origins)
        return fact if (state, origins) == (fact.state, fact.origins) else replace(fact, state=state, origins=origins)


def without_identity(case: Case) -> tuple[Case, Hidden]:
    """Return a case that names nobody, for everything that follows.

    Taken out are the names, numbers, birth date and UIDs of the image headers, every ``FAMILY^GIVEN`` and every UID in free
    texts. File names that might hold a name are replaced by what the file is for, names of outlines by their structure or by a
    number. Choices, measurements and dates of examination stay.

    Parameters
    ----------
    case : Case
        As loaded.

    Returns
    -------
    Case, Hidden
        The case, and what was taken out of it.
    """
    roles = file_roles(case)
    identity = identity_of(case.folder / name for name in case.digests)
    known = {name: found for name in identity.outlines if isinstance(found := resolve(name), Structure)}
    unknown = [name for name in identity.outlines if name not in known]
    outlines = {f"unmapped outline {i}": name for i, name in enumerate(unknown, start=1)}
    instead = _instead(case, roles) | {name: shown for shown, name in outlines.items()} | {k: v.id for k, v in known.items()}
    washer = _Washer(identity, _pattern(instead), instead, tuple(f"{f}/" for f in (case.folder.resolve(), case.folder) if f.name))
    changed: dict[str, Any] = {name: washer.of(getattr(case, name), name) for name in WASHED}
    named = identity.wash(case.patient) != case.patient
    digests = {identity.wash(roles[name]): digest for name, digest in case.digests.items()}
    clean = replace(case, **changed, patient=NO_NAME if named else case.patient, digests=digests)
    return clean, Hidden((*(["patient"] if named else []), *washer.places), outlines)


def _instead(case: Case, roles: Mapping[str, str]) -> dict[str, str]:
    """Return for every name of a file or folder that might name somebody what stands in its place."""
    found: dict[str, str] = {}
    for name, role in roles.items():
        inside = sorted(p.name for p in (case.folder / name).rglob("*")) if (case.folder / name).is_dir() else []
        found |= {other: f"{role}, file {i}" for i, other in enumerate(inside, start=1) if not says_nothing(other)}
        found |= {word: role for word in (name, Path(name).name) if role != name and not says_nothing(word)}
    return found


def _pattern(words: Iterable[str]) -> re.Pattern[str]:
    listed = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True) if word)
    return re.compile(rf"(?<![^\W_])(?:{listed})(?![^\W_])" if listed else "(?!)")


def file_roles(case: Case) -> dict[str, str]:
    """Return for every file of a case what it is called outside: its name where that names nobody, else what it is for.

    Parameters
    ----------
    case : Case
        With ``digests``, the case file first.

    Returns
    -------
    dict of str to str
        By the name that case.yaml gives; no two alike.
    """
    told = dict(_roles_in(case))
    found: dict[str, str] = {}
    for number, name in enumerate(case.digests):
        role = name if says_nothing(name) else told.get(name, f"file {number}")
        found[name] = role if role not in found.values() else f"{role} ({number})"
    return found


def _roles_in(case: Case) -> Iterator[tuple[str, str]]:
    """Yield file and role, the first role of a file last, so that it counts."""
    first = next(iter(case.digests), "case.yaml")
    try:
        model, _ = read_case_file(case.folder / first)
    except OsteonError:  # a case that was not read from a file
        return
    yield from reversed([(first, "case file"), *_roles_of(model)])


def _roles_of(model: CaseModel) -> Iterator[tuple[str, str]]:
    yield from ((s.file, f"study {s.id}") for s in model.studies if s.file)
    yield from ((m.file, f"dose {i}") for i, m in enumerate(model.doses, start=1))
    yield from ((m.file, f"labels {i}") for i, m in enumerate(model.labels, start=1))
    yield from ((m.file, f"outline of {k}") for k, m in model.structures.items() if m.file)
    yield from ((x.outline.file, f"outline of {x.id}") for x in model.lesions if x.outline is not None and x.outline.file)
