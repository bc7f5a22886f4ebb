"""The shapes in which zones by every criterion are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from osteon.evidence.value import Value


@dataclass(frozen=True)
class Zone:
    """One zone by one criterion.

    Parameters
    ----------
    name, title : str
        Key in measures; as it is read.
    family : {"heat", "cold"}
        Only zones of one family are compared.
    level, unit
        Where the edge lies.
    volume_cm3 : float
        Of the voxels inside.
    long_mm, short_mm : float
        Extent along the needle (without one: along the zone's own long axis), and mean width across it, interpolated
        between voxels.
    one_minute_c : float or None
        Of an Arrhenius pair.
    at_edge : bool
        Whether it touches the edge of the grid: it may be larger.
    """

    name: str
    title: str
    family: str
    level: float
    unit: str
    volume_cm3: float
    long_mm: float
    short_mm: float
    one_minute_c: float | None = None
    at_edge: bool = False


@dataclass(frozen=True)
class Spread:
    """How far the zones of one family lie apart.

    Parameters
    ----------
    family : str
        heat or cold.
    long_mm, short_mm : float
        Largest less smallest of the axes.
    mean_mm, most_mm : float
        Between the surfaces of the largest and the smallest zone: on average over the surface of the smallest, and at most.
    smallest, largest : str
        Names of the criteria.
    """

    family: str
    long_mm: float
    short_mm: float
    mean_mm: float
    most_mm: float
    smallest: str
    largest: str


@dataclass(frozen=True)
class Table:
    """Zones by criterion, how far they disagree, and that in words."""

    zones: tuple[Zone, ...]
    spreads: tuple[Spread, ...]
    says: tuple[str, ...]
    used: Mapping[str, Value]

    def measures(self) -> dict[str, float]:
        """Return the figures as ``Effect.measures`` keeps them: ``zone_<criterion>_cm3``, ``_long_mm``, ``_short_mm``."""
        found: dict[str, float] = {}
        for zone in self.zones:
            found[f"zone_{zone.name}_cm3"] = zone.volume_cm3
            found[f"zone_{zone.name}_long_mm"] = zone.long_mm
            found[f"zone_{zone.name}_short_mm"] = zone.short_mm
        for spread in self.spreads:
            found[f"criteria_{spread.family}_disagree_long_mm"] = spread.long_mm
            found[f"criteria_{spread.family}_disagree_short_mm"] = spread.short_mm
            found[f"criteria_{spread.family}_disagree_at_most_mm"] = spread.most_mm
        return found
