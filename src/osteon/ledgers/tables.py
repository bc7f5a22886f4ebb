"""The data files of the ledgers, read once; a figure without a source stops the program."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from osteon.data_files import read_data
from osteon.errors import MissingError
from osteon.evidence.source import cite


@cache
def table(name: str) -> Mapping[str, Any]:
    """Return a data file of this room.

    Parameters
    ----------
    name : str
        Without its ending, for example ``"opioids"``.

    Raises
    ------
    MissingError
        If it names a source that the library does not hold, or an entry with ``number`` has no source.
    """
    loaded: Mapping[str, Any] = read_data("osteon.ledgers", f"{name}.yaml")
    bare = list(_bare(loaded, name))
    if bare:
        raise MissingError(
            f"ledgers/{name}.yaml: {bare[0]} has a number without source, unit or verified.",
            "A figure that nobody can look up must not stand in a dose account.",
            "Write {number, unit, source, verified}.",
        )
    cite(loaded)
    return loaded


def _bare(tree: Any, place: str) -> Any:
    if isinstance(tree, Mapping):
        if "number" in tree and not {"unit", "source", "verified"} <= set(tree):
            yield place
        for key, value in tree.items():
            yield from _bare(value, f"{place}.{key}")
    elif isinstance(tree, list):
        for i, value in enumerate(tree):
            yield from _bare(value, f"{place}[{i}]")


def sources_of(tree: Any) -> tuple[str, ...]:
    """Return the ids of papers and the quotation keys in a part of a data file, each once, in order."""
    found: list[str] = []
    _collect(tree, found)
    return tuple(dict.fromkeys(found))


def _collect(tree: Any, found: list[str]) -> None:
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            if key in ("source", "sources", "quotes", "also"):
                found.extend([value] if isinstance(value, str) else [v for v in value if isinstance(v, str)])
            else:
                _collect(value, found)
    elif isinstance(tree, list):
        for value in tree:
            _collect(value, found)
