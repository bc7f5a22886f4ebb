"""The catalogue of treatments: names first, code only when asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, cast

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


ROW = ""  # a row without simulator: everything it is stands in its rules.yaml
ENTRIES = (
    Entry("focused_ultrasound", "ablation", "osteon.treatments.focused_ultrasound.treatment:FocusedUltrasound"),
    Entry("radiofrequency_monopolar", "ablation", "osteon.treatments.radiofrequency.treatment:RadiofrequencyMonopolar"),
    Entry("radiofrequency_bipolar", "ablation", "osteon.treatments.radiofrequency.treatment:RadiofrequencyBipolar"),
    Entry("microwave", "ablation", "osteon.treatments.microwave.treatment:Microwave"),
    Entry("cryoablation", "ablation", "osteon.treatments.cryoablation.treatment:Cryoablation"),
    Entry("laser", "ablation", "osteon.treatments.laser.treatment:Laser"),
    Entry("vertebroplasty", "mechanics", ROW),
    Entry("kyphoplasty", "mechanics", ROW),
    Entry("osteoplasty", "mechanics", ROW),
    Entry("ablation_osteoplasty", "mechanics", ROW),
    Entry("screws", "mechanics", ROW),
    Entry("hollow_perforated_screws", "mechanics", ROW),
    Entry("rebar", "mechanics", ROW),
    Entry("cement_catheter", "mechanics", ROW),
    Entry("intramedullary_nail", "mechanics", ROW),
    Entry("arthroplasty", "mechanics", ROW),
    Entry("open_surgery", "mechanics", ROW),
    Entry("spine_surgery", "mechanics", ROW),
    Entry("surgery_radiotherapy", "mechanics", ROW),
    Entry("radiotherapy_8_1", "radiation", ROW),
    Entry("radiotherapy_20_5", "radiation", ROW),
    Entry("radiotherapy_30_10", "radiation", ROW),
    Entry("radiotherapy_45_15", "radiation", ROW),
    Entry("sbrt", "radiation", ROW),
    Entry("reirradiation", "radiation", ROW),
    Entry("ablation_radiotherapy", "radiation", ROW),
    Entry("cement_radiotherapy", "radiation", ROW),
    Entry("beta_radionuclides", "radionuclide", ROW),
    Entry("iodine_131", "radionuclide", ROW),
    Entry("radium_223", "radionuclide", ROW),
    Entry("psma_ligands", "radionuclide", ROW),
    Entry("bisphosphonates", "drugs", ROW),
    Entry("denosumab", "drugs", ROW),
    Entry("analgesic_ladder", "drugs", ROW),
    Entry("opioids", "drugs", ROW),
    Entry("rapid_onset_opioids", "drugs", ROW),
    Entry("neuropathic_adjuvants", "drugs", ROW),
    Entry("corticosteroids", "drugs", ROW),
    Entry("systemic_therapy", "care", ROW),
    Entry("best_supportive_care", "care", ROW),
)
GROUP = "osteon.treatments"
SITE_DEVICES = "OSTEON_DEVICES"
"""Environment variable with the folders of fitted devices; see ``site_devices``."""


def offered(entry: Mapping[str, Any], treatment: str) -> bool:
    """Tell whether an entry of ``devices.yaml`` is a clinical device of a treatment; several may share one file."""
    return not entry.get("validation_only") and entry.get("treatment", treatment) == treatment


def entries() -> Mapping[str, Entry]:
    """Return the catalogue: what is built in, then what other packages offer under the entry point ``osteon.treatments``."""
    found = {entry.name: entry for entry in ENTRIES}
    for entry in _offered(tuple(sys.path)):
        found.setdefault(entry.name, entry)
    return found


@cache
def _offered(_path: tuple[str, ...]) -> tuple[Entry, ...]:
    """Return what other packages on a path offer; looking them up takes longer than judging a lesion."""
    points = sorted(entry_points(group=GROUP), key=lambda p: p.name)
    return tuple(Entry(point.name, "outside", point.value, outside=True) for point in points)


def treatment(name: str) -> Treatment:
    """Return the treatment of that name, with the devices that the site fitted for it before the shipped ones.

    Raises
    ------
    InputError
        If the catalogue has none of that name.
    MissingError
        If ``OSTEON_DEVICES`` names what is no folder.
    """
    if not os.environ.get(SITE_DEVICES):
        return shipped(name)
    from osteon.treatments.site_devices import digest

    return _with_site(name, digest())


@cache
def _with_site(name: str, _digest: str) -> Treatment:
    from osteon.treatments.site_devices import from_site

    return from_site(shipped(name))


@cache
def shipped(name: str) -> Treatment:
    """Return the treatment of that name as it is shipped; errors as ``treatment``."""
    entry = entries().get(name)
    if entry is None:
        raise InputError(
            f"There is no treatment {name!r}.",
            "Only treatments in the catalogue have rules, devices and a simulator.",
            f"Use one of: {', '.join(entries())}.",
        )
    if not entry.where:
        from osteon.treatments.rows import Listed

        return Listed(name)
    module, _, attribute = entry.where.partition(":")
    return cast("type[Treatment]", getattr(import_module(module), attribute))()
