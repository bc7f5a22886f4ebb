r"""From a CT to density, speed and attenuation of bone by published mappings, chosen by name.

Every mapping of ``data/acoustics-ct.yaml`` is

.. math:: y(x) = g\left(\sum_i a_i\, x^{p_i}\right)

in pieces over x, with g the identity, 1/y or e^y. They were fitted on skull. Outside its range a mapping is held at the nearer
end and the voxel is counted, never in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np

from osteon.data_files import read_data
from osteon.errors import InputError, NumericalError
from osteon.evidence.value import Value, spread_from
from osteon.space.volume import Array
from osteon.tissue.properties import Constants

Quantity = Literal["density", "speed", "shear_speed", "attenuation"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
MIXTURE = "mixture"


@dataclass(frozen=True)
class Piece:
    """One piece: the sum of factor * x ** power over ``terms``, up to ``up_to``."""

    up_to: float
    terms: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class CtMapping:
    """A published mapping.

    Parameters
    ----------
    name : str
        Its name in ``acoustics-ct.yaml``.
    gives : {"density", "speed", "shear_speed", "attenuation"}
        In kg/m3, m/s, m/s or Np/m.
    takes : {"hu", "hu_plus_1000", "hu_share", "porosity", "density"}
        What x is; a share and a porosity are of HU over the fixed HUmax.
    pieces : tuple of Piece
        In rising order of x.
    then : {"", "reciprocal", "exponential"}
        Applied to the sum.
    low, high : float
        The range of x.
    range_verified : bool
        False where the range is this project's reading.
    reference_hz, exponent : float or None
        The frequency law of an attenuation.
    spread : Value
        A factor on the result, without unit.
    fitted_on : str
        What was measured.
    source : str
        Id of the paper.
    verified : bool
        False where the numbers were not read.
    note : str
        What must be said wherever it is used.
    """

    name: str
    gives: Quantity
    takes: str
    pieces: tuple[Piece, ...]
    then: str
    low: float
    high: float
    range_verified: bool
    reference_hz: float | None
    exponent: float | None
    spread: Value
    fitted_on: str
    source: str
    verified: bool
    note: str

    def of(self, x: Array) -> Mapped:
        """Return the mapped values, at ``reference_hz`` for an attenuation.

        Parameters
        ----------
        x : array
            In the unit that ``takes`` names.

        Returns
        -------
        Mapped
            float64, of the shape of ``x``.

        Raises
        ------
        NumericalError
            If ``x`` holds a value that is not finite.
        """
        given = np.asarray(x, np.float64)
        if not np.isfinite(given).all():
            raise NumericalError(
                f"{int((~np.isfinite(given)).sum())} values for the mapping {self.name} are not finite.",
                "A speed of sound of nothing would spread through the whole field.",
                "Mark these voxels as not imaged before they are mapped.",
            )
        held = np.clip(given, self.low, self.high)
        out = np.empty_like(held)
        left = np.ones(held.shape, bool)
        for piece in self.pieces:
            here = left & (held <= piece.up_to)
            out[here] = sum(factor * held[here] ** power for factor, power in piece.terms)
            left &= ~here
        if self.then == "reciprocal":
            out = 1.0 / out
        elif self.then == "exponential":
            out = np.exp(out)
        return Mapped(out, int((given < self.low).sum()), int((given > self.high).sum()))


@dataclass(frozen=True, eq=False)
class Mapped:
    """Values of a mapping, and how many inputs lay below and above its range."""

    values: Array
    below: int
    above: int


@cache
def ct_mappings() -> Mapping[Quantity, Mapping[str, CtMapping]]:
    """Return every mapping by quantity and name."""
    table: dict[str, Any] = read_data("osteon.tissue", "data", "acoustics-ct.yaml")
    return MappingProxyType(
        {
            quantity: MappingProxyType({name: _mapping(name, quantity, entry, table) for name, entry in table[quantity].items()})
            for quantity in QUANTITIES
        }
    )


@cache
def ct_models() -> Mapping[str, Mapping[str, str]]:
    """Return the named models: quantity to mapping. ``mixture``, the default, names none."""
    table: dict[str, Any] = read_data("osteon.tissue", "data", "acoustics-ct.yaml")
    return MappingProxyType({MIXTURE: MappingProxyType({}), **{k: MappingProxyType(v) for k, v in table["models"].items()}})


def ct_mapping(quantity: Quantity, name: str) -> CtMapping:
    """Return one mapping.

    Raises
    ------
    InputError
        If there is no such quantity or mapping.
    """
    found = ct_mappings().get(quantity, {}).get(name)
    if found is None:
        raise InputError(
            f"There is no mapping {name!r} of CT to {quantity}.",
            "Speed and loss of sound in bone differ by tens of percent between mappings.",
            f"Use one of: {', '.join(sorted(ct_mappings().get(quantity, {}))) or ', '.join(QUANTITIES)}.",
        )
    return found


def ct_model(name: str) -> Mapping[Quantity, CtMapping]:
    """Return the mappings of a model, by quantity.

    Raises
    ------
    InputError
        If there is no such model.
    """
    if name not in ct_models():
        raise InputError(
            f"There is no acoustic model of bone called {name!r}.",
            "Speed and loss of sound in bone differ by tens of percent between models.",
            f"Use one of: {', '.join(ct_models())}.",
        )
    named = ct_models()[name]
    return {quantity: ct_mapping(quantity, named[quantity]) for quantity in QUANTITIES if quantity in named}


def map_bone(
    model: Mapping[Quantity, CtMapping], hu: Array, hu_max: float, frequency_hz: float, constants: Constants
) -> dict[Quantity, Mapped]:
    """Return what a model says of bone voxels.

    Parameters
    ----------
    model : mapping of str to CtMapping
        From ``ct_model``.
    hu : array, shape (n,)
        Hounsfield numbers of bone, without contrast agent.
    hu_max : float
        HUmax of porosity and share, held fixed.
    frequency_hz : float
        Of the sound.
    constants : Constants
        The numbers of this run: each mapping's spread is drawn once, as a factor on its result.

    Returns
    -------
    dict of str to Mapped
        Density [kg/m3], speeds [m/s] and attenuation [Np/m] at ``frequency_hz``, each where the model names it.

    Raises
    ------
    InputError
        If a mapping takes a density and the model names none.
    """
    found: dict[Quantity, Mapped] = {}
    bare_density: Array | None = None  # a draw of the density does not move speed and attenuation a second time
    for quantity, mapping in model.items():
        mapped = mapping.of(_input(mapping, hu, hu_max, bare_density))
        if quantity == "density":
            bare_density = mapped.values
        factor = constants.of(f"ct_{quantity}.{mapping.name}", mapping.spread)
        if mapping.reference_hz is not None and mapping.exponent is not None:
            factor *= (frequency_hz / mapping.reference_hz) ** mapping.exponent
        found[quantity] = Mapped(mapped.values * factor, mapped.below, mapped.above)
    return found


def _input(mapping: CtMapping, hu: Array, hu_max: float, density: Array | None) -> Array:
    given = np.asarray(hu, np.float64)
    if mapping.takes == "density":
        if density is None:
            raise InputError(
                f"The mapping {mapping.name} of {mapping.gives} takes a density and the model gives none.",
                "Without density there is nothing to map.",
                "Name a mapping of density in the model, for example schneider_1996.",
            )
        return density
    share = given / hu_max
    return {"hu": given, "hu_plus_1000": given + 1000.0, "hu_share": share, "porosity": 1.0 - share}[mapping.takes]


def _mapping(name: str, quantity: Quantity, entry: Mapping[str, Any], table: Mapping[str, Any]) -> CtMapping:
    factor, span = table["spreads"][quantity], entry["range"]
    return CtMapping(
        name=name,
        gives=quantity,
        takes=str(entry["takes"]),
        pieces=tuple(
            Piece(float(p.get("up_to", np.inf)), tuple((float(a), float(b)) for a, b in p["terms"])) for p in entry["pieces"]
        ),
        then=str(entry.get("then", "")),
        low=float(span["low"]),
        high=float(span["high"]),
        range_verified=bool(span["verified"]),
        reference_hz=float(entry["reference_hz"]) if "reference_hz" in entry else None,
        exponent=float(entry["exponent"]) if "exponent" in entry else None,
        spread=Value(
            float(factor["number"]), factor["unit"], spread_from(factor["spread"]), factor["source"], bool(factor["verified"])
        ),
        fitted_on=str(entry["fitted_on"]),
        source=str(entry["source"]),
        verified=bool(entry["verified"]),
        note=str(table["note"]),
    )
