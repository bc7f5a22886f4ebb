"""Reading the numbers of ``session.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from osteon.data_files import read_data
from osteon.evidence.value import Value, spread_from

PACKAGE = "osteon.treatments.focused_ultrasound"


@cache
def values() -> Mapping[str, Value]:
    """Return every constant of ``session.yaml`` by name."""
    entries = cast(dict[str, dict[str, Any]], read_data(PACKAGE, "session.yaml"))
    return {
        name: Value(float(e["number"]), str(e["unit"]), spread_from(e["spread"]), str(e["source"]), bool(e["verified"]))
        for name, e in entries.items()
    }


def number(name: str) -> float:
    """Return the middle of one constant of ``session.yaml``.

    Raises
    ------
    KeyError
        If it has none of that name.
    """
    return values()[name].number
