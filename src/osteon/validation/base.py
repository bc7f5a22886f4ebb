"""The form of a reference case: rows of ours beside a number that nobody here wrote."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One quantity.

    Parameters
    ----------
    quantity, unit, definition : str
        What, in what, and how it is defined.
    value, low, high : float
        Ours, with its spread (equal to ``value`` where not sampled).
    reference : float or None
        The published or exact number; None where none is known.
    reference_source : str
        Where it stands.
    tolerance : float or None
        Largest absolute error allowed, in ``unit``, set before the error was seen.
    """

    quantity: str
    value: float
    unit: str
    definition: str
    reference: float | None = None
    reference_source: str = ""
    tolerance: float | None = None
    low: float = math.nan
    high: float = math.nan

    @property
    def error(self) -> float | None:
        """Ours minus reference."""
        return None if self.reference is None else float(self.value - self.reference)

    @property
    def passed(self) -> bool | None:
        """Whether the error is within tolerance; None where nothing can be said."""
        if self.reference is None or self.tolerance is None:
            return None
        return bool(abs(self.value - self.reference) <= self.tolerance)

    def as_json(self) -> dict[str, Any]:
        """Return the row of ``osteon-validate/1``."""
        low = self.value if math.isnan(self.low) else self.low
        high = self.value if math.isnan(self.high) else self.high
        return {
            "quantity": self.quantity, "value": float(self.value), "low": float(low), "high": float(high), "unit": self.unit,
            "definition": self.definition, "reference": self.reference, "reference_source": self.reference_source,
            "tolerance": self.tolerance, "error": self.error, "pass": self.passed,
        }  # fmt: skip


@dataclass(frozen=True)
class Report:
    """The outcome of one reference case."""

    name: str
    rows: tuple[Row, ...]
    ended: str = "done"
    seconds: float = 0.0
    assumptions: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether no row failed."""
        return all(row.passed is not False for row in self.rows)

    def as_json(self, version: str) -> dict[str, Any]:
        """Return the whole as ``osteon-validate/1``."""
        return {
            "schema": "osteon-validate/1", "name": self.name, "version": version, "ended": self.ended, "seconds": self.seconds,
            "rows": [row.as_json() for row in self.rows], "assumptions": list(self.assumptions),
        }  # fmt: skip


@dataclass(frozen=True)
class Option:
    """What a case may be asked with: ``--name`` on the command line; its kind is that of the default."""

    name: str
    default: float | str
    text: str


@dataclass(frozen=True)
class ReferenceCase:
    """A case by name; ``run`` takes a progress callback (fraction done), its options by name, and returns its rows."""

    name: str
    title: str
    where: str  # "module:function", imported only when asked for
    slow: bool = False
    options: tuple[Option, ...] = ()


Run = Callable[..., Report]


def print_report(outcome: Report) -> None:
    """Print one reference case: ours, the reference, the error, the tolerance."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    table = Table(
        "quantity",
        "ours",
        "low to high",
        "reference",
        "error",
        "tolerance",
        "unit",
        "",
        title=outcome.name,
        box=None,
        pad_edge=False,
    )
    words = {True: "pass", False: "FAIL", None: ""}
    for row in outcome.rows:
        figures = [("-" if x is None else f"{x:.5g}") for x in (row.value, row.reference, row.error, row.tolerance)]
        band = "-" if math.isnan(row.low) or row.low == row.high else f"{row.low:.4g} to {row.high:.4g}"
        table.add_row(escape(row.quantity), figures[0], band, *figures[1:], row.unit, words[row.passed])
    console.print(table)
    for line in outcome.assumptions:
        console.print(f"  assumed: {line}", markup=False, highlight=False)
