"""The constants that planning takes for granted, with their sources: ``geometry.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from osteon.data_files import read_data
from osteon.evidence.value import Value, spread_from


@cache
def values() -> Mapping[str, Value]:
    """Return every constant of ``geometry.yaml`` by name.

    Returns
    -------
    Mapping of str to Value
        Number, unit, spread, source and whether it was read there.
    """
    entries: dict[str, dict[str, Any]] = read_data("osteon.planning", "geometry.yaml")
    return {
        name: Value(float(e["number"]), str(e["unit"]), spread_from(e["spread"]), str(e["source"]), bool(e["verified"]))
        for name, e in entries.items()
    }


def number(name: str) -> float:
    """Return the middle of one constant.

    Raises
    ------
    KeyError
        If ``geometry.yaml`` has none of that name.
    """
    return values()[name].number


def note(name: str) -> str:
    """Return one constant as a line of the assumptions: name, number, unit, and where it stands."""
    value = values()[name]
    where = value.source if value.verified else f"{value.source}, not verified"
    return f"{name.rsplit('_', 1)[0].replace('_', ' ')} {value.number:g} {value.unit} ({where})"
