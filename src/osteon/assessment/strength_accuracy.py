"""How well each measure of strength told who would break, as its own study prints it; beside each other, never merged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from osteon.assessment.measure_base import family
from osteon.data_files import read_data
from osteon.space.anatomy import Structure

OWN = (
    "No accuracy is published for this program's own strength: it was compared with other models, and with no patient's fracture."
)


@dataclass(frozen=True)
class Accuracy:
    """One measure in one study.

    Parameters
    ----------
    measure : str
        What was measured.
    sensitivity_percent, specificity_percent : float
        As printed.
    of : str
        Of whom, and how long.
    other : str
        What the same study prints of another measure.
    source : str
        Id of the paper.
    verified : bool
        False where it was not read there.
    """

    measure: str
    sensitivity_percent: float
    specificity_percent: float
    of: str
    other: str
    source: str
    verified: bool


def accuracies(bone: Structure) -> tuple[Accuracy, ...]:
    """Return the measures whose accuracy is published for a bone; empty where there is none."""
    kind = family(bone)
    return tuple(_row(e) for e in _table().values() if any(kind == f or kind.startswith(f"{f}_") for f in e["bones"]))


def _row(entry: Mapping[str, Any]) -> Accuracy:
    return Accuracy(
        entry["measure"], float(entry["sensitivity"]), float(entry["specificity"]), entry["of"], entry["other"], entry["source"],
        bool(entry["verified"]),
    )  # fmt: skip


@cache
def _table() -> Mapping[str, Mapping[str, Any]]:
    read: Mapping[str, Mapping[str, Any]] = read_data("osteon.assessment", "strength_accuracy.yaml")
    return read
