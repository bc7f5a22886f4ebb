"""What ``osteon list`` answers, read from names and YAML alone: nothing heavy is imported."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from osteon.data_files import read_data
from osteon.errors import InputError

if TYPE_CHECKING:
    from osteon.treatments.catalog import Entry

Table = tuple[tuple[str, ...], list[tuple[object, ...]]]


def _simulated(entry: Entry) -> bool:
    """Tell whether a built-in treatment has devices; a row without simulator has none."""
    return bool(entry.where) and not entry.outside


def _offered(entry: Entry) -> dict[str, Any]:
    """Return the clinical devices of a built-in treatment, by id."""
    from osteon.treatments.catalog import offered

    whole = read_data(entry.where.partition(":")[0].rpartition(".")[0], "devices.yaml")
    return {**_fitted(entry.name), **{name: device for name, device in whole.items() if offered(device, entry.name)}}


def _fitted(treatment: str) -> dict[str, Any]:
    """Return the devices that the site fitted for a treatment."""
    from osteon.treatments.catalog import SITE_DEVICES

    if not os.environ.get(SITE_DEVICES):
        return {}
    from osteon.treatments.site_devices import folders, site_devices

    return site_devices(folders()).get(treatment, {})


def _treatments() -> Table:
    from osteon.treatments.catalog import entries

    rows: list[tuple[object, ...]] = []
    for entry in entries().values():
        count = len(_offered(entry)) if _simulated(entry) else "-"
        rows.append((entry.name, entry.family, count))
    return ("treatment", "family", "devices"), rows


def _verified(entry: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many numbers of a device were read in their source, of how many; as ``treatments.needles.device_values``."""
    read = whole = 0
    for value in entry.values():
        if isinstance(value, Mapping):
            more = (int(value.get("verified", True)), 1) if "spread" in value else _verified(value)
            read, whole = read + more[0], whole + more[1]
    return read, whole


def _devices() -> Table:
    from osteon.treatments.catalog import entries

    rows: list[tuple[object, ...]] = []
    for entry in entries().values():
        if not _simulated(entry):
            continue
        for name, device in _offered(entry).items():
            read, whole = _verified(device)
            rows.append((name, entry.name, f"{read} of {whole}", device.get("title", "")))
    return ("device", "treatment", "verified numbers", "what"), rows


def _structures() -> Table:
    rows: list[tuple[object, ...]] = []
    for key, entry in read_data("osteon.space", "structures.yaml").items():
        for side in ("left", "right") if entry.get("sided") else (None,):
            rows.append((f"{key}_{side}" if side else key, entry["kind"], entry.get("code") or "-", entry["meaning"]))
    return ("structure", "kind", "SNOMED CT", "meaning"), rows


def _facts() -> Table:
    entries = read_data("osteon", "facts.yaml")
    return ("fact", "scope", "unit", "question"), [(n, e["scope"], e.get("unit") or "-", e["ask"]) for n, e in entries.items()]


def _limits() -> Table:
    rows: list[tuple[object, ...]] = [
        (name, e["applies_to"], e["quantity"], e["warn"], e["limit"], e["unit"])
        for name, e in read_data("osteon.tissue", "tolerance.yaml").items()
    ]
    return ("id", "applies to", "quantity", "warn", "limit", "unit"), rows


def _papers() -> Table:
    from osteon.evidence.source import papers, text

    return ("paper", "reference"), [(key, text(paper)) for key, paper in papers().items()]


def _validations() -> Table:
    from osteon.validation.catalog import CASES

    return ("case", "what"), [(entry.name, entry.title) for entry in CASES]


TABLES: dict[str, Callable[[], Table]] = {
    "treatments": _treatments,
    "devices": _devices,
    "structures": _structures,
    "facts": _facts,
    "limits": _limits,
    "papers": _papers,
    "validations": _validations,
}


def rows_of(what: str) -> Table:
    """Return the header and the rows of one list.

    Raises
    ------
    InputError
        If there is no such list.
    """
    if what not in TABLES:
        raise InputError(
            f"There is no list of {what!r}.", "osteon lists only what it knows by name.", f"Use one of: {', '.join(TABLES)}."
        )
    return TABLES[what]()
