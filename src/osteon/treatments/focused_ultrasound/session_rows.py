"""Reading the numbers of ``session.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from osteon.evidence.value import Value, values_in

PACKAGE = "osteon.treatments.focused_ultrasound"


@cache
def values() -> Mapping[str, Value]:
    """Return every constant of ``session.yaml`` by name."""
    return values_in(PACKAGE, "session.yaml")


def number(name: str) -> float:
    """Return the middle of one constant of ``session.yaml``.

    Raises
    ------
    KeyError
        If it has none of that name.
    """
    return values()[name].number
