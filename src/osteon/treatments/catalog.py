"""The catalogue of treatments: names first, code only when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, cast

from osteon.errors import InputError

if TYPE_CHECKING:
    from osteon.treatments.base import Treatment


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue: name, family and ``module:class``."""

    name: str
    family: str
    where: str
    outside: bool = False


ENTRIES = (Entry("microwave", "ablation", "osteon.treatments.microwave.treatment:Microwave"),)
GROUP = "osteon.treatments"


def entries() -> Mapping[str, Entry]:
    """Return the catalogue: what is built in, then what other packages offer under the entry point ``osteon.treatments``."""
    found = {entry.name: entry for entry in ENTRIES}
    for point in sorted(entry_points(group=GROUP), key=lambda p: p.name):
        found.setdefault(point.name, Entry(point.name, "outside", point.value, outside=True))
    return found


@cache
def treatment(name: str) -> Treatment:
    """Return the treatment of that name.

    Raises
    ------
    InputError
        If the catalogue has none of that name.
    """
    entry = entries().get(name)
    if entry is None:
        raise InputError(
            f"There is no treatment {name!r}.",
            "Only treatments in the catalogue have rules, devices and a simulator.",
            f"Use one of: {', '.join(entries())}.",
        )
    module, _, attribute = entry.where.partition(":")
    return cast("type[Treatment]", getattr(import_module(module), attribute))()
