"""A number with its unit, its spread and its source; and a band of results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from osteon.data_files import read_data


@dataclass(frozen=True)
class Fixed:
    """A constant without spread (a definition, a published threshold)."""

    def draw(self, middle: float, rng: np.random.Generator) -> float:
        """Return the middle."""
        return middle


@dataclass(frozen=True)
class Normal:
    """A normal spread, cut at ``low`` and ``high`` where they are given."""

    sd: float
    low: float = -math.inf
    high: float = math.inf

    def draw(self, middle: float, rng: np.random.Generator) -> float:
        """Draw one value."""
        return float(np.clip(rng.normal(middle, self.sd), self.low, self.high))


@dataclass(frozen=True)
class Uniform:
    """Any value between ``low`` and ``high``."""

    low: float
    high: float

    def draw(self, middle: float, rng: np.random.Generator) -> float:
        """Draw one value."""
        return float(rng.uniform(self.low, self.high))


@dataclass(frozen=True)
class LogNormal:
    """A log-normal spread round the middle with the geometric standard deviation ``gsd``."""

    gsd: float

    def draw(self, middle: float, rng: np.random.Generator) -> float:
        """Draw one value."""
        return float(middle * math.exp(rng.normal(0.0, math.log(self.gsd))))


Spread = Fixed | Normal | Uniform | LogNormal


@dataclass(frozen=True)
class Value:
    """A physical constant as it is kept in data.

    Parameters
    ----------
    number : float
        The middle, in ``unit``.
    unit : str
        A unit that pint understands; ``"1"`` for a pure number.
    spread : Fixed, Normal, Uniform or LogNormal
        What is known of its scatter.
    source : str
        The id of a paper in ``evidence/papers``.
    verified : bool
        False where the number was not read in its source.
    """

    number: float
    unit: str
    spread: Spread
    source: str
    verified: bool = True


@dataclass(frozen=True)
class Band:
    """A result with its 5th to 95th percentile over ``n`` samples; ``n = 0``: not sampled."""

    best: float
    low: float
    high: float
    n: int = 0

    @classmethod
    def of(cls, best: float) -> Band:
        """Return the band of a number that was not sampled."""
        return cls(float(best), float(best), float(best), 0)

    def __str__(self) -> str:
        return f"{self.best:.3g}" if self.n == 0 else f"{self.best:.3g} ({self.low:.3g} to {self.high:.3g})"


def spread_from(entry: dict[str, Any] | str | None) -> Spread:
    """Read a spread as data files write it.

    Parameters
    ----------
    entry : dict or None
        ``{normal: sd}``, ``{normal: [sd, low, high]}``, ``{uniform: [low, high]}``, ``{lognormal: gsd}`` or None for fixed.

    Returns
    -------
    Fixed, Normal, Uniform or LogNormal
        The spread.

    Raises
    ------
    ValueError
        If the entry names no known spread.
    """
    if entry is None or entry == "fixed":
        return Fixed()
    if isinstance(entry, str):
        raise ValueError(f"unknown spread {entry!r}; use fixed, normal, uniform or lognormal")
    (kind, arguments), *more = entry.items()
    if more:
        raise ValueError(f"a spread has one kind, got {sorted(entry)}")
    listed = arguments if isinstance(arguments, list) else [arguments]
    kinds: dict[str, type[Normal | Uniform | LogNormal]] = {"normal": Normal, "uniform": Uniform, "lognormal": LogNormal}
    if kind not in kinds:
        raise ValueError(f"unknown spread {kind!r}; use normal, uniform or lognormal")
    return kinds[kind](*[float(a) for a in listed])


def values_in(package: str, name: str) -> dict[str, Value]:
    """Read a data file whose entries are ``{number, unit, spread, source, verified}``, by entry.

    Parameters
    ----------
    package, name : str
        Where the YAML file lies, for example ``"osteon.case", "segment.yaml"``.
    """
    return values_of(read_data(package, name))


def values_of(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Value]:
    """Return entries ``{number, unit, spread, source, verified}`` of a data file as values."""
    return {
        key: Value(float(e["number"]), e["unit"], spread_from(e["spread"]), e["source"], bool(e["verified"]))
        for key, e in entries.items()
    }
