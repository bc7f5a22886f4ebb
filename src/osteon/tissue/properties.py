"""Tissue constants as cited data: every number a ``Value`` with unit, spread and source.

A run asks ``Constants(draw)`` for numbers by tissue and property; what was asked for is what ``cite`` follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from osteon.data_files import read_data
from osteon.errors import InputError
from osteon.evidence.value import Fixed, Normal, Spread, Value, spread_from

DrawFunction = Callable[[str, Value], float]
TABLES = (
    "itis-4",
    "gabriel-1996",
    "lytic-tumour",
    "temperature-laws",
    "marrow-flow",
    "voxel-rules",
    "optical",
    "optical-laws",
)


@cache
def tables() -> Mapping[str, Mapping[str, Value]]:
    """Return every tissue and law of ``tissue/data``, by name: property to ``Value``.

    Raises
    ------
    InputError
        If two tables give the same property of the same tissue, or a table cannot be read.
    """
    found: dict[str, dict[str, Value]] = {}
    for name in TABLES:
        for tissue_name, properties in _read(name).items():
            into = found.setdefault(tissue_name, {})
            doubled = into.keys() & properties.keys()
            if doubled:
                raise InputError(
                    f"{name}.yaml gives {sorted(doubled)} of {tissue_name} a second time.",
                    "Two numbers for one property would make results depend on the order of files.",
                    "Give the second one another name.",
                )
            into.update(properties)
    return MappingProxyType({key: MappingProxyType(value) for key, value in found.items()})


def tissue(name: str) -> Mapping[str, Value]:
    """Return the constants of one tissue or law.

    Parameters
    ----------
    name : str
        For example ``cortical_bone``, ``muscle``, ``lytic_tumour``.

    Raises
    ------
    InputError
        If no table has it.
    """
    try:
        return tables()[name]
    except KeyError:
        raise InputError(
            f"There is no tissue {name!r} in osteon's tables.",
            "A tissue without cited constants cannot be simulated.",
            f"Use one of: {', '.join(sorted(tables()))}.",
        ) from None


def most_added_hu() -> float:
    """Return the most that contrast agent is taken to add to soft tissue, marrow and tumour [HU]: the end of its spread."""
    value = tissue("hounsfield")["contrast_adds"]
    return float(getattr(value.spread, "high", value.number))


class Constants:
    """The numbers of one run, and which of them were used.

    Parameters
    ----------
    draw : callable
        From a name and a ``Value`` to the number of this run (``treatments.base.Draw``); None: the middle of every spread.

    Attributes
    ----------
    used : dict of str to Value
        Every constant that was asked for, by ``tissue.property``.
    """

    def __init__(self, draw: DrawFunction | None = None) -> None:
        self._draw = draw
        self.used: dict[str, Value] = {}

    def __call__(self, tissue_name: str, property_name: str) -> float:
        """Return one number in the unit of its table.

        Raises
        ------
        InputError
            If the tissue has no such property.
        """
        value = tissue(tissue_name).get(property_name)
        if value is None:
            raise InputError(
                f"The tables give no {property_name} of {tissue_name}.",
                "A constant that is not known is never replaced by a guess.",
                f"Use one of: {', '.join(sorted(tissue(tissue_name)))}.",
            )
        return self.of(f"{tissue_name}.{property_name}", value)

    def of(self, name: str, value: Value) -> float:
        """Return the number of a ``Value`` from elsewhere (a device), noting its use under ``name``."""
        self.used[name] = value
        return value.number if self._draw is None else self._draw(name, value)


def _read(name: str) -> dict[str, dict[str, Value]]:
    table: dict[str, Any] = read_data("osteon.tissue", "data", f"{name}.yaml")
    columns = table.get("columns")
    found: dict[str, dict[str, Value]] = {}
    for tissue_name, given in table["tissues"].items():
        row = dict(zip(columns, given, strict=True)) if columns else dict(given)
        defaults = {**table["defaults"], **row.pop("defaults", {})}
        found[tissue_name] = {key: _value(key, entry, defaults, table) for key, entry in row.items()}
    return found


def _value(name: str, entry: Any, defaults: Mapping[str, Any], table: Mapping[str, Any]) -> Value:
    full: dict[str, Any] = entry if isinstance(entry, dict) else {"value": entry}
    number = float(full["value"])
    spread = full["spread"] if "spread" in full else table["spreads"].get(name)
    return Value(
        number=number,
        unit=str(full.get("unit", table["units"].get(name, ""))) or _no_unit(name),
        spread=_spread(spread, number),
        source=str(full.get("source", defaults["source"])),
        verified=bool(full.get("verified", defaults["verified"])),
    )


def _spread(entry: Any, number: float) -> Spread:
    if isinstance(entry, dict) and "relative_normal" in entry:
        sd = float(entry["relative_normal"]) * abs(number)
        return Normal(sd, number - 3 * sd, number + 3 * sd) if sd else Fixed()
    return spread_from(entry)


def _no_unit(name: str) -> str:
    raise InputError(
        f"The tissue constant {name!r} has no unit.",
        "A number without unit is read wrongly sooner or later.",
        "Give it a unit in its entry or in `units` of its table.",
    )
