"""What tissue tolerates, as data: the one place from which selection, planning and monitoring read their limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, cast, get_args

from osteon.data_files import read_data
from osteon.errors import InputError
from osteon.evidence.value import Fixed, Value
from osteon.space.anatomy import Kind, Structure, structures

Quantity = Literal["peak_temperature_c", "cem43_min", "stand_off_mm", "lowest_temperature_c"]
Side = Literal["above", "below"]
Applies = Literal["everywhere", "outside_target"]


@dataclass(frozen=True)
class Limit:
    """One limit of what tissue tolerates.

    Parameters
    ----------
    id : str
        For example ``nerve-peak-temperature``.
    applies_to : str
        The kind of structure, or the id of one structure.
    quantity : {"peak_temperature_c", "cem43_min", "stand_off_mm", "lowest_temperature_c"}
        What is judged.
    warn, limit : float
        Where a warning and where a breach begins, in ``unit``. Equal where the sources give one number.
    side : {"above", "below"}
        Which side of the limit is bad.
    unit : str
        Unit of both numbers.
    source : str
        A quotation key ``[00n «...»]`` or the id of a paper.
    verified : bool
        False where the number is a proposal of this project or was not read in its source for this tissue.
    text : str
        What it means, in words.
    also : tuple of str
        Further quotation keys and papers behind it.
    applies : {"everywhere", "outside_target"}
        ``outside_target``: for information; the part of the structure inside what is meant to be treated is not judged.
    breaches : bool
        False: a value beyond ``limit`` is a warning only.
    """

    id: str
    applies_to: str
    quantity: Quantity
    warn: float
    limit: float
    side: Side
    unit: str
    source: str
    verified: bool
    text: str
    also: tuple[str, ...] = ()
    applies: Applies = "everywhere"
    breaches: bool = True

    def level(self, value: float) -> Literal["ok", "warning", "breach"]:
        """Return how a value stands against this limit.

        Parameters
        ----------
        value : float
            In ``unit``; the limit itself is already a breach ("above") or still ok ("below").

        Raises
        ------
        ValueError
            If the value is not a number: what is not known must be said, not judged.
        """
        if value != value:
            raise ValueError(f"limit {self.id} cannot judge {value}; say 'cannot tell' instead")
        above = self.side == "above"
        if value >= self.limit if above else value < self.limit:
            return "breach" if self.breaches else "warning"
        return "warning" if (value >= self.warn if above else value < self.warn) else "ok"

    def as_value(self) -> Value:
        """Return the limit as a ``Value``, so that ``cite`` finds its source."""
        return Value(self.limit, self.unit, Fixed(), self.source, self.verified)


@cache
def limits() -> tuple[Limit, ...]:
    """Return every limit of ``tolerance.yaml``, in its order.

    Raises
    ------
    InputError
        If an entry is incomplete or names a structure that does not exist.
    """
    entries: dict[str, dict[str, Any]] = read_data("osteon.tissue", "tolerance.yaml")
    return tuple(_limit(name, entry) for name, entry in entries.items())


def only_informs(limit_id: str) -> bool:
    """Tell whether a limit is there for information: passing it is no breach."""
    return any(limit.id == limit_id and not limit.breaches for limit in limits())


def _limit(name: str, entry: Mapping[str, Any]) -> Limit:
    applies_to, quantity, side = str(entry["applies_to"]), entry["quantity"], entry["side"]
    known = applies_to in structures() or applies_to in get_args(Kind)
    if not known or quantity not in get_args(Quantity) or side not in get_args(Side):
        raise InputError(
            f"The limit {name!r} in tolerance.yaml names {applies_to!r}, {quantity!r}, {side!r}.",
            "A limit for a structure or quantity that does not exist would never be judged.",
            "Use a kind or id of structures.yaml, one of the four quantities, and 'above' or 'below'.",
        )
    return Limit(
        id=name,
        applies_to=applies_to,
        quantity=cast(Quantity, quantity),
        warn=float(entry["warn"]),
        limit=float(entry["limit"]),
        side=cast(Side, side),
        unit=str(entry["unit"]),
        source=str(entry["source"]),
        verified=bool(entry["verified"]),
        text=" ".join(str(entry["text"]).split()),
        also=tuple(str(s) for s in entry.get("also", ())),
        applies=cast(Applies, entry.get("applies", "everywhere")),
        breaches=bool(entry.get("breaches", True)),
    )


def limits_for(structure: Structure) -> tuple[Limit, ...]:
    """Return the limits of one structure: those for its id replace those for its kind of the same quantity.

    Parameters
    ----------
    structure : Structure
        Of the vocabulary.

    Returns
    -------
    tuple of Limit
        In the order of the file; empty where no limit is kept (muscle, fat: nothing is claimed, which is not "safe").
    """
    own = [limit for limit in limits() if limit.applies_to == structure.id]
    told = {limit.quantity for limit in own if structure.id != structure.kind}
    return tuple(
        limit
        for limit in limits()
        if limit.applies_to == structure.id or (limit.applies_to == structure.kind and limit.quantity not in told)
    )
