"""A fact: what is known of one question, where from, and since when.

A state is known, an interval, a set of possible values, unknown, or not applicable; a missing fact is never zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from typing import Any, Literal

from osteon.data_files import read_data

Scalar = bool | float | int | str
OriginKind = Literal["chart", "image", "inferred", "assumed", "synthetic"]


@dataclass(frozen=True)
class Known:
    """One value, known."""

    value: Scalar


@dataclass(frozen=True)
class Interval:
    """A number between ``low`` and ``high``, both included."""

    low: float
    high: float


@dataclass(frozen=True)
class OneOf:
    """One of several values; ``conflict`` where origins contradict each other."""

    values: tuple[Scalar, ...]
    conflict: bool = False


@dataclass(frozen=True)
class Unknown:
    """Not known; ``why`` says why and, where possible, the next thing to do."""

    why: str = "not given"


@dataclass(frozen=True)
class NotApplicable:
    """The question has no meaning here."""

    why: str


State = Known | Interval | OneOf | Unknown | NotApplicable


@dataclass(frozen=True)
class Origin:
    """Where a fact was read: a chart line, a place in the image (LPS mm), an inference, an assumption, synthetic."""

    kind: OriginKind
    where: str
    date: date | None = None
    place_mm: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Fact:
    """A named fact of the vocabulary in ``facts.yaml``."""

    name: str
    state: State
    unit: str | None = None
    origins: tuple[Origin, ...] = ()
    date: date | None = None

    @property
    def value(self) -> Scalar | None:
        """The value where it is known, else None."""
        return self.state.value if isinstance(self.state, Known) else None


@dataclass(frozen=True)
class FactType:
    """One line of the vocabulary.

    Parameters
    ----------
    name : str
        The fact's name, used by charts, measures and rules alike.
    type : {"number", "bool", "choice", "set", "text"}
        What it holds.
    unit : str or None
        Its unit where it is a number.
    domain : tuple
        The choices, or (low, high) of a number.
    ask : str
        The question that would make it known.
    scope : {"patient", "lesion"}
        Whose fact it is.
    measured : bool
        Whether ``assessment/measure.py`` can read it from the image.
    valid_days : int or None
        How long a dated value stays good.
    unsettles : tuple of str
        Of a yes-or-no fact: the facts that would no longer stand as the image gives them if the answer were yes.
    molar_mass : float or None
        Of a laboratory value in mg/dl [g/mol], so that a chart may give it in mmol/l or µmol/l.
    """

    name: str
    type: Literal["number", "bool", "choice", "set", "text"]
    unit: str | None
    domain: tuple[Scalar, ...]
    ask: str
    scope: Literal["patient", "lesion"]
    measured: bool = False
    valid_days: int | None = None
    unsettles: tuple[str, ...] = ()
    molar_mass: float | None = None


@cache
def vocabulary() -> Mapping[str, FactType]:
    """Return the one vocabulary of facts.

    Returns
    -------
    Mapping of str to FactType
        By name, in the order of ``facts.yaml``.
    """
    entries: dict[str, dict[str, Any]] = read_data("osteon", "facts.yaml")
    return {
        name: FactType(
            name=name,
            type=entry["type"],
            unit=entry.get("unit"),
            domain=tuple(entry.get("domain", ())),
            ask=entry["ask"],
            scope=entry["scope"],
            measured=bool(entry.get("measured", False)),
            valid_days=entry.get("valid_days"),
            unsettles=tuple(entry.get("unsettles", ())),
            molar_mass=entry.get("molar_mass"),
        )
        for name, entry in entries.items()
    }


def merge(facts: Iterable[Fact]) -> Fact:
    """Join facts of one name that come from several origins.

    Unknown yields to anything; equal states are one; contradicting states become ``OneOf(conflict=True)``.

    Parameters
    ----------
    facts : iterable of Fact
        At least one, all of one name.

    Returns
    -------
    Fact
        The joined fact, with every origin.

    Raises
    ------
    ValueError
        If the names differ or nothing was given.
    """
    listed = list(facts)
    if not listed or len({f.name for f in listed}) != 1:
        raise ValueError(f"merge needs facts of one name, got {[f.name for f in listed]}")
    told = [f for f in listed if not isinstance(f.state, Unknown)]
    origins = tuple(o for f in listed for o in f.origins)
    if not told:  # a reason why it cannot be told says more than "not given"
        best = next((f for f in listed if f.state != Unknown()), listed[0])
        return replace(best, origins=origins)
    states = list(dict.fromkeys(f.state for f in told))
    if len(states) == 1:
        return replace(told[0], origins=origins)
    values = [v for s in states for v in possible(s)]
    return replace(told[0], state=OneOf(tuple(dict.fromkeys(values)), conflict=True), origins=origins)


def possible(state: State) -> tuple[Scalar, ...]:
    """Return the values a state names: one, the ends of an interval, the members of a set, or none."""
    match state:
        case Known(value):
            return (value,)
        case Interval(low, high):
            return (low, high)
        case OneOf(values):
            return values
    return ()
