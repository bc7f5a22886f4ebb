"""What became of every statement of the papers: used by a rule, used elsewhere, or left out for a written reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from osteon.data_files import parse_data
from osteon.errors import InputError
from osteon.selection.page import pages_of
from osteon.selection.snapshot import Snapshot, installed

SECTIONS = ("rules", "parameters", "complications", "outcomes")


@dataclass(frozen=True)
class Use:
    """What became of one statement.

    Parameters
    ----------
    id : str
        Of the extraction, for example ``CRY-03``.
    rules : tuple of str
        ``path: entry`` of every rule, parameter, complication, outcome and profile that uses it.
    files : tuple of str
        Other files that do, with what of them.
    reason : str
        Why it is left out, "" where it is not.
    """

    id: str
    rules: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    reason: str = ""

    @property
    def settled(self) -> bool:
        """Whether it is used or left out for a reason."""
        return bool(self.rules or self.files or self.reason)


@dataclass(frozen=True)
class Coverage:
    """Every statement, and what does not fit.

    Parameters
    ----------
    uses : tuple of Use
        In the order of the extraction.
    faults : tuple of str
        Ids that are none, files that are not there, statements left out and used at once.
    """

    uses: tuple[Use, ...]
    faults: tuple[str, ...] = ()

    @property
    def open(self) -> tuple[str, ...]:
        """Ids of which nothing became yet."""
        return tuple(use.id for use in self.uses if not use.settled)

    @property
    def fraction(self) -> float:
        """Share of the statements that are settled, from 0 to 1."""
        return 1.0 - len(self.open) / len(self.uses)


@cache
def _stored() -> Mapping[str, Any]:
    text = resources.files("osteon.evidence").joinpath("coverage.yaml").read_text(encoding="utf-8")
    stored: Mapping[str, Any] = parse_data(text)
    return stored


@cache
def every_id() -> tuple[str, ...]:
    """Return the ids of all statements, in the order of the extraction."""
    stored = _stored()
    numbered = (f"{group}-{number:02}" for group, last in stored["groups"].items() for number in range(1, last + 1))
    return (*numbered, *stored["single"])


def coverage(snapshot: Snapshot | None = None) -> Coverage:
    """Return what became of every statement.

    Parameters
    ----------
    snapshot : Snapshot, optional
        The rule base; default: what is installed.
    """
    used: dict[str, list[str]] = {}
    for name, where in extracts(snapshot or installed()):
        used.setdefault(name, []).append(where)
    stored = _stored()
    files, reasons = stored["used_in"] or {}, stored["left_out"] or {}
    uses = tuple(
        Use(name, tuple(used.get(name, ())), _listed(files.get(name, ())), " ".join(str(reasons.get(name, "")).split()))
        for name in every_id()
    )
    return Coverage(uses, tuple(_faults(uses, {**used, **files, **reasons})))


def _listed(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def extracts(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Yield id and ``path: entry`` for every use in the guidelines and rows of a rule base."""
    for page in pages_of(snapshot):
        tree = page.tree if isinstance(page.tree, dict) else {"rules": page.rules}
        for section in SECTIONS:
            listed = tree.get(section)
            for entry in listed if isinstance(listed, list) else ():
                if isinstance(entry, dict):
                    own = entry.get("id", "") if section == "rules" else f"{section}/{entry.get('id', '')}"
                    yield from ((str(x), f"{page.path}: {own}") for x in entry.get("extract") or ())
        profile = tree.get("profile")
        for key, entry in profile.items() if isinstance(profile, dict) else ():
            if isinstance(entry, dict):
                yield from ((str(x), f"{page.path}: profile/{key}") for x in entry.get("extract") or ())


def _faults(uses: tuple[Use, ...], named: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(set(named) - set(every_id())):
        where = named[name]
        yield f"{name} is no statement of the extraction ({where[0] if isinstance(where, list) else 'evidence/coverage.yaml'})"
    for use in uses:
        if use.reason and (use.rules or use.files):
            yield f"{use.id} is left out and yet used ({(*use.rules, *use.files)[0]})"
        for file in use.files:
            path, _, part = file.partition(": ")
            held = resources.files("osteon").joinpath(path)
            if not held.is_file():
                yield f"{use.id}: there is no {path}"
            elif part and part not in held.read_text(encoding="utf-8"):
                yield f"{use.id}: {path} holds no {part!r}"


def use_of(name: str) -> Use:
    """Return what became of one statement.

    Raises
    ------
    InputError
        If there is none of that id.
    """
    for use in coverage().uses:
        if use.id == name.upper():
            return use
    raise InputError(
        f"There is no statement {name!r} in the extraction.",
        "Only its ids say what became of a sentence of the papers.",
        f"Use one of: {', '.join(every_id()[:3])} ... {every_id()[-1]}.",
    )
