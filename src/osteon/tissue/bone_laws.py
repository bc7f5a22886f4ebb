r"""Modulus and strength of bone from its density, by named and cited laws, each watched over the range it was measured in.

Every curve is made of pieces

.. math:: y(\rho) = c + a\,\rho^{b}

in MPa over g/cm3 of one kind of density (``data/bone-laws.yaml``). Outside the range of a law its formula is still computed,
because cortex and lesion lie outside of nearly all of them, but never in silence: the result counts those voxels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np

from osteon.data_files import read_data
from osteon.errors import InputError
from osteon.evidence.value import Spread, Value, spread_from
from osteon.space.volume import Array
from osteon.tissue.bone_density import KINDS, Density, constants

PA_PER_MPA = 1e6


@dataclass(frozen=True)
class Piece:
    """One piece of a curve: ``offset + factor * rho ** exponent`` up to a density; ``said`` is False where the law is silent."""

    up_to: float
    offset: float
    factor: float
    exponent: float
    said: bool


@dataclass(frozen=True)
class Range:
    """The densities [g/cm3] that a law was measured on."""

    low: float
    high: float
    verified: bool


@dataclass(frozen=True)
class Law:
    """A published law of one kind of density.

    Parameters
    ----------
    name : str
        Its name in ``bone-laws.yaml``.
    density : str
        The kind of density it takes.
    sites : tuple of str
        The bones it was measured on or is used for.
    modulus, compression, tension : tuple of Piece
        Curves in MPa; empty where the law gives none.
    strength_is : str
        What the compression curve means: yield or strength.
    range : Range or None
        None: the range was not found, so nobody can tell where the law holds.
    element_mm : float or None
        The element size to which the law is tied.
    spread : Spread
        Of single specimens round the law, as a factor.
    source : str
        Id of the paper.
    also : tuple of str
        Further papers.
    verified : bool
        False where the numbers were not read.
    """

    name: str
    density: str
    sites: tuple[str, ...]
    modulus: tuple[Piece, ...]
    compression: tuple[Piece, ...]
    tension: tuple[Piece, ...]
    strength_is: str
    range: Range | None
    element_mm: float | None
    spread: Spread
    source: str
    also: tuple[str, ...]
    verified: bool

    def too_coarse(self, spacing_mm: tuple[float, float, float]) -> str:
        """Return why a scan of this voxel size gives no failure load by this law; empty where it may."""
        most = constants()["most_spacing"].number if self.element_mm is None else self.element_mm
        coarsest = max(spacing_mm)
        if coarsest <= most * (1 + 1e-6):
            return ""
        return (
            f"cannot tell: voxels of {coarsest:.3g} mm are coarser than the {most:.3g} mm of the law {self.name}; "
            "needs a CT with thinner slices"
        )


@dataclass(frozen=True, eq=False)
class Mapped:
    """What a law made of densities.

    Parameters
    ----------
    pa : ndarray of float
        Modulus or strength [Pa]; not a number where the law says nothing.
    law : str
        Its name.
    total : int
        How many densities were given.
    range_known : bool
        False: no range was found for the law, and ``below`` and ``above`` count nothing.
    below, above : int
        Densities outside the range of the law, for which its formula was computed all the same.
    silent : int
        Densities for which the law says nothing.
    floored, capped : int
        Values lifted to the least modulus and cut at that of solid cortical bone.
    """

    pa: Array
    law: str
    total: int
    range_known: bool
    below: int
    above: int
    silent: int
    floored: int
    capped: int

    @property
    def share_outside(self) -> float:
        """Share of densities outside the range, 0 to 1; not a number where the range is unknown."""
        return (self.below + self.above) / self.total if self.range_known and self.total else float("nan")

    @property
    def note(self) -> str:
        """One sentence on where the law was used."""
        if not self.range_known:
            text = f"{self.law}: its range of densities was not found, so it cannot be told how much lies outside of it"
        else:
            text = (
                f"{self.law}: {self.below + self.above} of {self.total} densities ({100 * self.share_outside:.1f} %) lie outside "
                f"its range ({self.below} below, {self.above} above); its formula was computed there all the same"
            )
        extra = [(self.silent, "without a value"), (self.floored, "at the floor"), (self.capped, "at solid cortical bone")]
        return "; ".join([text, *(f"{n} {words}" for n, words in extra if n)]) + "."


@cache
def laws() -> Mapping[str, Law]:
    """Return every law, by name."""
    entries: dict[str, dict[str, Any]] = _data()["laws"]
    return MappingProxyType({name: _law(name, entry) for name, entry in entries.items()})


def law(name: str) -> Law:
    """Return one law.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    if name not in laws():
        raise InputError(
            f"There is no law {name!r} of bone.",
            "A modulus without a source cannot be judged.",
            f"Use one of: {', '.join(laws())}.",
        )
    return laws()[name]


def laws_for(site: str) -> list[Law]:
    """Return the laws for a bone, for example ``femur``; those that also give strength come first."""
    return sorted((x for x in laws().values() if site in x.sites), key=lambda x: not x.compression)


def modulus_pa(density: Density, by: Law | str) -> Mapped:
    """Return Young's modulus [Pa] of densities, between 0.1 MPa and that of solid cortical bone.

    Parameters
    ----------
    density : Density
        Of the kind that the law takes.
    by : Law or str
        The law or its name.

    Returns
    -------
    Mapped
        With the count of densities outside the law's range.

    Raises
    ------
    UnitError
        If the density is of another kind.

    Examples
    --------
    >>> float(modulus_pa(Density.of("k2hpo4", [200.0], "mg/cm3"), "kopperdahl_2002_vertebra").pa[0] / 1e6).__round__(1)
    549.9
    """
    found = law(by) if isinstance(by, str) else by
    return _mapped(density, found, found.modulus, floor=constants()["floor_modulus"], cap=constants()["ceiling_modulus"])


def yield_pa(density: Density, by: Law | str, side: str = "compression") -> Mapped:
    """Return yield stress or strength [Pa] of densities (``Law.strength_is`` says which), never below 0.

    Parameters
    ----------
    density : Density
        Of the kind that the law takes.
    by : Law or str
        The law or its name.
    side : {"compression", "tension"}
        Which.

    Raises
    ------
    InputError
        If the law gives no such curve: none is borrowed from another.
    UnitError
        If the density is of another kind.
    """
    found = law(by) if isinstance(by, str) else by
    curves = {"compression": found.compression, "tension": found.tension}
    if not curves.get(side):
        others = [
            x.name
            for x in laws().values()
            if x.density == found.density and (x.compression if side == "compression" else x.tension)
        ]
        raise InputError(
            f"The law {found.name} gives no {side} strength.",
            "A strength borrowed in silence from another law would hide that two experiments were joined.",
            f"Choose one that does for {KINDS[found.density]}: {', '.join(others) or 'none is known'}.",
        )
    return _mapped(density, found, curves[side], floor=None, cap=None)


def _mapped(density: Density, found: Law, pieces: tuple[Piece, ...], floor: Value | None, cap: Value | None) -> Mapped:
    rho = density.needs(found.density, f"The law {found.name}")
    mpa = _curve(pieces, rho)
    silent = int(np.isnan(mpa).sum())
    low, high = (0.0 if floor is None else floor.number), (np.inf if cap is None else cap.number)
    floored, capped = int((mpa < low).sum()), int((mpa > high).sum())
    known = found.range is not None
    below = int((rho < found.range.low).sum()) if found.range else 0
    above = int((rho > found.range.high).sum()) if found.range else 0
    return Mapped(np.clip(mpa, low, high) * PA_PER_MPA, found.name, rho.size, known, below, above, silent, floored, capped)


def _curve(pieces: tuple[Piece, ...], rho: Array) -> Array:
    """Return the curve in MPa; a density at a border belongs to the piece below it."""
    out = np.full(rho.shape, np.nan)
    low = -np.inf
    for piece in pieces:
        here = (rho > low) & (rho <= piece.up_to)
        if piece.said:
            out[here] = piece.offset + piece.factor * np.maximum(rho[here], 0.0) ** piece.exponent
        low = piece.up_to
    return out


def _law(name: str, entry: dict[str, Any]) -> Law:
    span = entry["range_g_cm3"]
    return Law(
        name=name,
        density=entry["density"],
        sites=tuple(entry["sites"]),
        modulus=_pieces(entry["modulus"]),
        compression=_pieces(entry.get("compression", [])),
        tension=_pieces(entry.get("tension", [])),
        strength_is=entry.get("strength_is", ""),
        range=None if span is None else Range(float(span["low"]), float(span["high"]), bool(span["verified"])),
        element_mm=entry.get("element_mm"),
        spread=spread_from(entry["spread"]),
        source=entry["source"],
        also=tuple(entry.get("also", ())),
        verified=bool(entry["verified"]),
    )


def _pieces(entries: list[dict[str, float]]) -> tuple[Piece, ...]:
    return tuple(
        Piece(
            float(e.get("up_to", np.inf)),
            float(e.get("offset", 0.0)),
            float(e.get("factor", 0.0)),
            float(e.get("exponent", 1.0)),
            "offset" in e or "factor" in e,
        )
        for e in entries
    )


def _data() -> Any:
    return read_data("osteon.tissue", "data", "bone-laws.yaml")
