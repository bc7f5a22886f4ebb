"""The coaxial slot antenna: its geometry, the tissue around its axis, and the heating per watt that it makes there.

Powers are three different numbers: what the generator shows, what arrives at the antenna after the cables
(``cable_loss_fraction``), and what the tissue absorbs (``Pattern.absorbed_fraction`` of what arrives).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
from scipy import ndimage

from osteon.data_files import read_data
from osteon.errors import InputError
from osteon.physics.electromagnetic import Discretisation, Field, Section, Side, discretise, graded_nodes, solve_wave
from osteon.treatments.microwave.coax import CHOKE, DIELECTRIC, METAL, SHEATH, SLOT, TISSUE, Coax, marks, number, parts
from osteon.treatments.microwave.coax import coax_of as coax_of

Array = np.ndarray[Any, np.dtype[Any]]
Device = Mapping[str, Any]

# Cell sizes of the default mesh (about 5 000 cells); a refinement divides all of them. They are numerical and held by the
# convergence test in tests/treatments/test_antenna.py.
FINEST_MM, FINE_MM, ENDS_MM, GROWTH = 0.03, 0.1, 0.3, 0.11


@dataclass(frozen=True, eq=False)
class Medium:
    """Tissue around the shaft, averaged over the angle.

    Parameters
    ----------
    r_mm : (n,) array
        Radii of cell centres, increasing.
    z_mm : (m,) array
        Cell centres along the shaft, increasing: 0 at the tip, positive towards the hub.
    permittivity : (m, n) array
        Relative permittivity; beyond the outermost centres the nearest value holds.
    conductivity : (m, n) array
        Conductivity [S/m].
    """

    r_mm: Array
    z_mm: Array
    permittivity: Array
    conductivity: Array

    def __post_init__(self) -> None:
        shape = (np.size(self.z_mm), np.size(self.r_mm))
        if np.shape(self.permittivity) != shape or np.shape(self.conductivity) != shape:
            raise InputError(
                f"The medium has {shape} cells, its properties {np.shape(self.permittivity)} and {np.shape(self.conductivity)}.",
                "Each cell needs one permittivity and one conductivity.",
                "Give both as arrays (heights, radii).",
            )

    @classmethod
    def uniform(cls, permittivity: float, conductivity: float) -> Medium:
        """Return one tissue everywhere."""
        one = np.ones((1, 1))
        return cls(np.array([1.0]), np.array([0.0]), permittivity * one, conductivity * one)

    def at(self, r_mm: Array, z_mm: Array) -> tuple[Array, Array]:
        """Return permittivity and conductivity (k, l) at radii (l,) and heights (k,), linear between cell centres."""
        row = np.interp(z_mm, self.z_mm, np.arange(np.size(self.z_mm)))
        column = np.interp(r_mm, self.r_mm, np.arange(np.size(self.r_mm)))
        where = np.stack(np.meshgrid(row, column, indexing="ij"))

        def sampled(values: Array) -> Array:
            return np.asarray(ndimage.map_coordinates(np.asarray(values, float), where, order=1, mode="nearest"))

        return sampled(self.permittivity), sampled(self.conductivity)


@dataclass(frozen=True, eq=False)
class Pattern:
    """Heating per watt incident at the antenna, after all cable loss.

    Parameters
    ----------
    r_mm, z_mm : (n,) and (m,) arrays
        Cell centres of a graded grid; z is 0 at the tip, positive towards the hub.
    heating : (m, n) array
        Mean heating of each cell [W/m³ per W].
    absorbed_fraction, reflected_fraction, radiated_fraction : float
        Shares of the incident watt: absorbed by the tissue, sent back into the cable, leaving through the outer boundary.
    balance : float
        Their sum; 1 where every watt is accounted for.
    shaft_loss_fraction : float
        Watt per incident watt that the coaxial line inside the shaft gives to the tissue along it, from ``shaft_from_mm`` to
        ``shaft_to_mm`` behind the tip; 0 for a cooled shaft, where the coolant is assumed to carry all of it away.
    r_edges_mm, z_edges_mm : (n + 1,) and (m + 1,) arrays
        Edges of the cells.
    conductivity : (m, n) array
        Conductivity that was assumed in each cell [S/m]; 0 inside the antenna.
    reflection : complex
        Amplitude reflected into the cable (S11).
    residual : float
        Relative residual of the linear system.
    """

    r_mm: Array
    z_mm: Array
    heating: Array
    absorbed_fraction: float
    reflected_fraction: float
    radiated_fraction: float
    balance: float
    shaft_loss_fraction: float
    r_edges_mm: Array
    z_edges_mm: Array
    conductivity: Array
    reflection: complex = complex("nan")
    shaft_from_mm: float = 0.0
    shaft_to_mm: float = 0.0
    residual: float = 0.0

    @property
    def reflection_db(self) -> float:
        """S11 [dB]."""
        return float(20 * np.log10(max(abs(self.reflection), 1e-12)))


@cache
def devices() -> Mapping[str, Device]:
    """Return the devices of ``devices.yaml``, by id."""
    loaded: dict[str, Device] = read_data("osteon.treatments.microwave", "devices.yaml")
    return loaded


@lru_cache(maxsize=4)
def _space(coax: Coax, refine: float) -> tuple[Discretisation, Array]:
    """Return the finite elements of a geometry and what each cell is made of."""
    radii, lengths = marks(coax)
    gaps = np.diff(radii)
    nearest = np.minimum(np.append(gaps[0], gaps), np.append(gaps, gaps[-1]))
    fine = np.clip(0.5 * nearest, FINEST_MM, FINE_MM)
    fine[[0, -1]] = FINE_MM, coax.coarsest
    along = np.full(lengths.size, FINE_MM)
    if coax.sheath_radius > coax.outer_radius:  # a monopole has metal at its tip and stays fine there
        along[1] = ENDS_MM  # the tip of the sheath
        along[7:] = 2 * ENDS_MM  # the closed end of a choke
    along[[0, -1]] = coax.coarsest
    r = graded_nodes(radii, fine / refine, GROWTH / refine)
    z = graded_nodes(lengths, along / refine, GROWTH / refine)
    part = parts(coax, 0.5 * (r[1:] + r[:-1]), 0.5 * (z[1:] + z[:-1]))
    port: tuple[Side, float, float] = ("top", coax.inner_radius * 1e-3, coax.dielectric_radius * 1e-3)
    return discretise(Section(r * 1e-3, z * 1e-3, part == METAL, ("bottom", "top", "outer"), port)), part


def wave(device: Device, medium: Medium, refine: float = 1) -> tuple[Discretisation, Field, Array, Array]:
    """Solve for the wave round a device.

    Parameters
    ----------
    device : mapping
        One entry of ``devices.yaml``.
    medium : Medium
        Tissue around the axis.
    refine : float
        Divides the cell sizes; 1 is about 5 000 cells.

    Returns
    -------
    Discretisation, Field, array, array
        The finite elements, the wave, and the permittivity and conductivity (m, n) of each cell.
    """
    coax = coax_of(device)
    space, part = _space(coax, float(refine))
    r, z = space.section.r_m * 1e3, space.section.z_m * 1e3
    tissue_permittivity, tissue_conductivity = medium.at(0.5 * (r[1:] + r[:-1]), 0.5 * (z[1:] + z[:-1]))
    inside = {
        METAL: 1.0,
        DIELECTRIC: number(device, "geometry.dielectric_permittivity"),
        SLOT: number(device, "geometry.slot_permittivity") if coax.monopole is None else 1.0,
        SHEATH: number(device, "geometry.sheath_permittivity") if coax.monopole is None else 1.0,
        CHOKE: number(device, "choke.permittivity") if coax.choke is not None else 1.0,
    }
    permittivity = np.where(part == TISSUE, tissue_permittivity, np.array([inside.get(i, 1.0) for i in range(6)])[part])
    conductivity = np.where(part == TISSUE, tissue_conductivity, 0.0)
    field = solve_wave(space, permittivity, conductivity, number(device, "frequency"))
    return space, field, permittivity, conductivity


def solve(device: Device, medium: Medium, refine: float = 1) -> Pattern:
    """Return the heating of a device in a medium, per watt incident at the antenna.

    Parameters
    ----------
    device : mapping
        One entry of ``devices.yaml``.
    medium : Medium
        Tissue around the axis.
    refine : float
        Divides the cell sizes; 1 is about 5 000 cells.

    Returns
    -------
    Pattern
        Heating and where the watt went.

    Raises
    ------
    SettingError
        If the device lacks a number or its parts do not fit.
    NumericalError
        If the linear system is not solved.

    Examples
    --------
    Ten watts into the benchmark antenna in liver: this much is absorbed.

    >>> pattern = solve(devices()["saito-2450"], Medium.uniform(43.03, 1.69))
    >>> f"{10 * pattern.absorbed_fraction:.2f} W"
    '9.35 W'
    """
    space, field, _, conductivity = wave(device, medium, refine)
    r, z = space.section.r_m, space.section.z_m
    volume = np.pi * (r[1:] ** 2 - r[:-1] ** 2)[None, :] * np.diff(z)[:, None]
    return Pattern(
        r_mm=0.5e3 * (r[1:] + r[:-1]),
        z_mm=0.5e3 * (z[1:] + z[:-1]),
        heating=field.power / volume,
        absorbed_fraction=field.absorbed,
        reflected_fraction=field.reflected,
        radiated_fraction=field.radiated,
        balance=field.balance,
        shaft_loss_fraction=0.0 if _cooled(device) else shaft_coax_loss(device),
        r_edges_mm=r * 1e3,
        z_edges_mm=z * 1e3,
        conductivity=conductivity,
        reflection=field.reflection,
        shaft_from_mm=coax_of(device).slot_from,
        shaft_to_mm=number(device, "usable_length_mm"),
        residual=field.residual,
    )


def _cooled(device: Device) -> bool:
    entry = device["cooled"]
    return bool(entry["value"] if isinstance(entry, Mapping) else entry)


def _decibel(device: Device, part: str) -> float:
    if part not in device:
        return 0.0
    return number(device, f"{part}.attenuation") * number(device, f"{part}.length")


def cable_loss_fraction(device: Device) -> float:
    """Return the share of the generator's power that is lost before the slot: incident = generator x (1 - this).

    It covers the cable from the generator and the coaxial line inside the shaft.
    """
    return float(1 - 10 ** (-(_decibel(device, "cable") + _decibel(device, "shaft_coax")) / 10))


def shaft_coax_loss(device: Device) -> float:
    """Return the power that the coaxial line inside the shaft turns into heat, per watt that arrives at the slot."""
    return float(10 ** (_decibel(device, "shaft_coax") / 10) - 1)
