"""What a site has decided where the sources leave it open: ``policies.yaml``, with the choices of this site."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from osteon.data_files import read_data
from osteon.errors import InputError

Choice = bool | int | float | str


@dataclass(frozen=True)
class Site:
    """The choices of one site that differ from the default.

    Parameters
    ----------
    chosen : tuple of (str, value)
        Id of the policy and the choice, sorted by id.
    """

    chosen: tuple[tuple[str, Choice], ...] = ()

    @classmethod
    def with_choices(cls, chosen: Mapping[str, Choice]) -> Site:
        """Return a site with some choices.

        Raises
        ------
        InputError
            If there is no such policy, or the choice is none of its.
        """
        kept = {}
        for name, value in chosen.items():
            entry = policy(name, "site policies")
            if not any(value == c and isinstance(value, bool) == isinstance(c, bool) for c in entry["choices"]):
                raise InputError(
                    f"The site policy {name} cannot be {value!r}.",
                    "A choice that no source stands for would judge patients by it.",
                    f"Choose one of: {', '.join(str(c).lower() for c in entry['choices'])}.",
                )
            if value != entry["choices"][0]:
                kept[name] = value
        return cls(tuple(sorted(kept.items())))

    def of(self, name: str, where: str = "site policies") -> Choice:
        """Return the choice for one policy.

        Raises
        ------
        InputError
            If there is no such policy.
        """
        entry = policy(name, where)
        value: Choice = dict(self.chosen).get(name, entry["choices"][0])
        return value

    def listed(self) -> tuple[tuple[str, Choice, bool], ...]:
        """Return every policy: its id, the choice, and whether it is the default."""
        return tuple((name, self.of(name), self.of(name) == entry["choices"][0]) for name, entry in policies().items())


DEFAULT = Site()


@cache
def policies() -> Mapping[str, Mapping[str, Any]]:
    """Return ``policies.yaml``: by id, title, choices (the default first), words, source."""
    loaded: Mapping[str, Mapping[str, Any]] = read_data("osteon.selection", "policies.yaml")
    return loaded


def policy(name: str, where: str) -> Mapping[str, Any]:
    """Return one entry of ``policies.yaml``.

    Raises
    ------
    InputError
        If there is none of that id.
    """
    if name not in policies():
        raise InputError(
            f"{where}: there is no site policy {name!r}.",
            "A rule that reads it could not be judged.",
            f"Use one of: {', '.join(policies())}.",
        )
    return policies()[name]


FILE, VARIABLE = "site.yaml", "OSTEON_SITE"


def site_of(folder: Path, chosen: Mapping[str, Choice] | None = None) -> Site:
    """Return the choices that hold for a case: of the site's file, then of ``site.yaml`` beside the case, then those given.

    Parameters
    ----------
    folder : Path
        Of the case; may hold ``site.yaml``, a mapping of policy to choice.
    chosen : mapping, optional
        Choices of this call; they go before the files.

    Raises
    ------
    InputError
        If a file cannot be read, or names a policy or choice that there is not. The environment variable ``OSTEON_SITE`` names a
        file that holds for every case.
    """
    found: dict[str, Choice] = {}
    shared = os.environ.get(VARIABLE, "")
    for file, must in ((Path(shared) if shared else None, True), (folder / FILE, False)):
        if file is not None and (must or file.is_file()):
            found |= _read(file)
    return Site.with_choices({**found, **(chosen or {})})


def choices_of(texts: Iterable[str]) -> dict[str, Choice]:
    """Return choices as a command line gives them, ``policy=choice`` each.

    Raises
    ------
    InputError
        If one has no "=".
    """
    import yaml

    found: dict[str, Choice] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--site {text!r} has no '='.", "It is not clear what is chosen.", "Write --site mirels_fix_from=8.")
        found[name.strip()] = yaml.safe_load(value)
    return found


def _read(file: Path) -> dict[str, Choice]:
    import yaml

    try:
        loaded = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            f"The site's policies in {file.name} cannot be read ({type(error).__name__}).",
            "Patients would be judged by choices that the site did not make.",
            f"Write a mapping of policy to choice; the policies: {', '.join(policies())}.",
        ) from error
    if not isinstance(loaded, dict):
        raise InputError(
            f"{file.name} holds no mapping.",
            "Patients would be judged by choices that the site did not make.",
            "Write, for example, `mirels_fix_from: 8`.",
        )
    return {str(name): value for name, value in loaded.items()}
