r"""Densities of bone as types that refuse to be mixed, and the named, cited lines between them.

A CT phantom says how much K2HPO4 or hydroxyapatite dims the beam as much as the voxel does; a laboratory weighs the ash, or
the wet bone. These are four quantities with one unit. Every law of modulus and strength belongs to one of them. A line between
two is

.. math:: \rho_{b} = s\,\rho_{a} + t

and lives in ``data/bone-laws.yaml`` with its source and spread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from osteon.data_files import read_data
from osteon.errors import InputError, UnitError
from osteon.evidence.value import Value, spread_from
from osteon.space.volume import Array

KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "k2hpo4": "K2HPO4-equivalent density",
        "ha": "hydroxyapatite-equivalent density",
        "ash": "ash density",
        "apparent": "apparent (wet) density",
    }
)
UNITS: Final[Mapping[str, float]] = MappingProxyType({"g/cm3": 1.0, "mg/cm3": 1e-3})


@dataclass(frozen=True, eq=False)
class Density:
    """Densities of one kind, in g/cm3; two kinds never meet in one sum, difference or comparison.

    Parameters
    ----------
    kind : {"k2hpo4", "ha", "ash", "apparent"}
        What is weighed.
    values_g_cm3 : ndarray of float
        Any shape. Fat and air may lie below 0.
    made_by : tuple of str
        The calibration and the conversions behind the values, in order.

    Raises
    ------
    UnitError
        If the kind is unknown, a value is not finite, or the middle of all positive values is denser than any mineral.
    """

    kind: str
    values_g_cm3: Array
    made_by: tuple[str, ...] = ()
    __array_ufunc__ = None  # numpy then hands every operation to the methods below

    def __post_init__(self) -> None:
        _known(self.kind)
        values = np.asarray(self.values_g_cm3, dtype=float)
        values = values.view()
        values.flags.writeable = False
        object.__setattr__(self, "values_g_cm3", values)
        if not np.isfinite(values).all():
            raise UnitError(
                f"{int((~np.isfinite(values)).sum())} of {values.size} values of {KINDS[self.kind]} are not finite.",
                "Missing is not zero: a bone with unknown voxels has no known strength.",
                "Leave out what was not measured, or name the image that holds it.",
            )
        middle = float(np.median(values[values > 0])) if (values > 0).any() else 0.0
        densest = constants()["densest"].number
        if middle > densest:
            raise UnitError(
                f"Half of the {KINDS[self.kind]} lies above {middle:.4g} g/cm3; solid hydroxyapatite has {densest}.",
                "Strength rises by the second power of density: a wrong unit makes it wrong a millionfold.",
                "Say mg/cm3 where the values are mg/cm3, and calibrate Hounsfield numbers first.",
            )

    @classmethod
    def of(cls, kind: str, values: ArrayLike, unit: str) -> Density:
        """Return densities given in a named unit.

        Parameters
        ----------
        kind : {"k2hpo4", "ha", "ash", "apparent"}
            What is weighed.
        values : array_like
            In ``unit``.
        unit : {"mg/cm3", "g/cm3"}
            Never guessed.

        Raises
        ------
        UnitError
            If the unit is not one of the two, or the values cannot be densities in it.
        """
        if unit not in UNITS:
            raise UnitError(
                f"{unit!r} is no unit of bone density here.",
                "mg/cm3 and g/cm3 differ by a factor of 1000, and Hounsfield numbers are no density.",
                f"Use one of: {', '.join(UNITS)}; take Hounsfield numbers through tissue.calibration.",
            )
        return cls(kind, np.asarray(values, dtype=float) * UNITS[unit])

    @property
    def mg_cm3(self) -> Array:
        """The values in mg/cm3."""
        return self.values_g_cm3 * 1e3

    @property
    def size(self) -> int:
        """How many values there are."""
        return int(self.values_g_cm3.size)

    def needs(self, kind: str, purpose: str) -> Array:
        """Return the values in g/cm3 if they are of the kind that is needed.

        Raises
        ------
        UnitError
            If they are of another kind.
        """
        _known(kind)
        if kind != self.kind:
            lines = ", ".join(conversions_between(self.kind, kind)) or "no single line is known; go through ash"
            raise UnitError(
                f"{purpose} takes {KINDS[kind]}, not {KINDS[self.kind]}.",
                "The same bone has another number in each of them; strength would be wrong by up to a factor of 2 and more.",
                f"Convert with one of: {lines}.",
            )
        return self.values_g_cm3

    def with_values(self, values_g_cm3: Array, step: str = "") -> Density:
        """Return other values of the same kind; ``step`` is added to ``made_by``."""
        return replace(self, values_g_cm3=values_g_cm3, made_by=(*self.made_by, step) if step else self.made_by)

    def __getitem__(self, where: Any) -> Density:
        return self.with_values(np.asarray(self.values_g_cm3[where]))

    def __add__(self, other: Density) -> Density:
        return self.with_values(self.values_g_cm3 + _same(self, other, "add"))

    def __sub__(self, other: Density) -> Density:
        return self.with_values(self.values_g_cm3 - _same(self, other, "subtract"))

    def __mul__(self, factor: float | Array | Density) -> Density:
        if isinstance(factor, Density):
            raise UnitError(
                "Two densities were multiplied.",
                "Their product is no density.",
                "Multiply by a number, or use a law of bone_density.",
            )
        return self.with_values(self.values_g_cm3 * np.asarray(factor, dtype=float))

    __rmul__ = __mul__

    def __lt__(self, other: Density) -> Array:
        return np.asarray(self.values_g_cm3 < _same(self, other, "compare"))

    def __gt__(self, other: Density) -> Array:
        return np.asarray(self.values_g_cm3 > _same(self, other, "compare"))


@dataclass(frozen=True)
class Conversion:
    """A published line from one density to another.

    Parameters
    ----------
    name : str
        Its name in ``bone-laws.yaml``.
    takes, gives : str
        Kinds of density.
    slope, intercept_g_cm3 : float
        The line.
    relative_spread : float
        Half-width over the value, from the disagreement of sources.
    source : str
        Id of the paper.
    verified : bool
        False where the line was not read in its source.
    note : str
        What to know before it is used.
    """

    name: str
    takes: str
    gives: str
    slope: float
    intercept_g_cm3: float
    relative_spread: float
    source: str
    verified: bool
    note: str

    def __call__(self, density: Density) -> Density:
        """Return the converted densities; negative ones too: the line says nothing else, and laws put a floor under them."""
        values = density.needs(self.takes, f"The line {self.name}")
        return Density(self.gives, self.slope * values + self.intercept_g_cm3, (*density.made_by, self.name))

    def band(self, density: Density) -> tuple[Density, Density]:
        """Return the converted densities at the low and the high end of the line's spread."""
        middle = self(density)
        return middle * (1.0 - self.relative_spread), middle * (1.0 + self.relative_spread)


@cache
def constants() -> Mapping[str, Value]:
    """Return the constants beside the laws: Poisson's ratio, floor, ceiling, the densest mineral, a void's modulus."""
    entries: dict[str, dict[str, Any]] = read_data("osteon.tissue", "data", "bone-laws.yaml")["constants"]
    return MappingProxyType(
        {
            key: Value(float(e["number"]), e["unit"], spread_from(e["spread"]), e["source"], bool(e["verified"]))
            for key, e in entries.items()
        }
    )


@cache
def conversions() -> Mapping[str, Conversion]:
    """Return every known line between densities, by name."""
    entries: dict[str, dict[str, Any]] = read_data("osteon.tissue", "data", "bone-laws.yaml")["conversions"]
    return MappingProxyType({name: Conversion(name=name, **entry) for name, entry in entries.items()})


def conversions_between(takes: str, gives: str) -> list[str]:
    """Return the names of the lines from one kind to another."""
    return [c.name for c in conversions().values() if (c.takes, c.gives) == (takes, gives)]


def convert(density: Density, *names: str) -> Density:
    """Return densities taken along named lines, one after the other.

    Parameters
    ----------
    density : Density
        Of the kind that the first line takes.
    *names : str
        Names in ``bone-laws.yaml``; none is ever chosen for the caller, because sources disagree.

    Raises
    ------
    InputError
        If a line is not known.
    UnitError
        If a line takes another kind.

    Examples
    --------
    >>> round(float(convert(Density.of("k2hpo4", 300.0, "mg/cm3"), "k2hpo4_to_ash_keyak").values_g_cm3), 4)
    0.3569
    """
    for name in names:
        if name not in conversions():
            raise InputError(
                f"There is no line {name!r} between densities.",
                "A conversion without a source cannot be judged.",
                f"Use one of: {', '.join(conversions())}.",
            )
        density = conversions()[name](density)
    return density


def _known(kind: str) -> None:
    if kind not in KINDS:
        raise UnitError(
            f"{kind!r} is no kind of bone density.",
            "Laws of modulus and strength belong to one kind each.",
            f"Use one of: {', '.join(KINDS)}.",
        )


def _same(one: Density, other: object, verb: str) -> Array:
    if not isinstance(other, Density) or other.kind != one.kind:
        kind = KINDS[other.kind] if isinstance(other, Density) else f"a bare {type(other).__name__}"
        raise UnitError(
            f"Cannot {verb} {KINDS[one.kind]} and {kind}.",
            "The same bone has another number in each kind of density.",
            "Convert one of them along a named line first (bone_density.convert).",
        )
    return other.values_g_cm3
