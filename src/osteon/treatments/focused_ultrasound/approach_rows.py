"""Reading the numbers of ``approach.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from osteon.data_files import read_data
from osteon.evidence.value import Value, values_of

PACKAGE = "osteon.treatments.focused_ultrasound"


@cache
def values() -> Mapping[str, Value]:
    """Return every constant of ``approach.yaml`` by name."""
    return values_of(read_data(PACKAGE, "approach.yaml")["numbers"])


@cache
def rows() -> Mapping[str, Mapping[str, Any]]:
    """Return the approaches of ``approach.yaml`` by name."""
    return cast(dict[str, dict[str, Any]], read_data(PACKAGE, "approach.yaml")["approaches"])


def number(name: str) -> float:
    """Return the middle of one constant of ``approach.yaml``.

    Raises
    ------
    KeyError
        If it has none of that name.
    """
    return values()[name].number
