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
from osteon.errors import InputError, SettingError
from osteon.evidence.value import Value, spread_from
from osteon.physics.electromagnetic import LIGHT_SPEED, Discretisation, Field, Section, Side, discretise, graded_nodes, solve_wave

Array = np.ndarray[Any, np.dtype[Any]]
Device = Mapping[str, Any]

METAL, DIELECTRIC, SLOT, SHEATH, CHOKE, TISSUE = range(6)

# Cell sizes of the default mesh (about 5 000 cells); a refinement divides all of them. They are numerical and held by the
# convergence test in tests/treatments/test_antenna.py. The coarsest cell is a share of the wavelength in vacuum.
FINEST_MM, FINE_MM, ENDS_MM, COARSEST, GROWTH = 0.03, 0.1, 0.3, 1 / 80, 0.11


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


@dataclass(frozen=True)
class Coax:
    """The geometry of a device as plain numbers [mm]; hashable, so that its mesh is made once."""

    inner_radius: float
    dielectric_radius: float
    outer_radius: float
    sheath_radius: float
    coax_end: float
    short: float
    slot_from: float
    slot_to: float
    domain_radius: float
    domain_ahead: float
    domain_behind: float
    coarsest: float
    choke: tuple[float, float, float, float] | None = None  # from, to, radius of its dielectric, radius of its sleeve


@cache
def devices() -> Mapping[str, Device]:
    """Return the devices of ``devices.yaml``, by id."""
    loaded: dict[str, Device] = read_data("osteon.treatments.microwave", "devices.yaml")
    return loaded


def device_values(device: Device, prefix: str = "") -> dict[str, Value]:
    """Return every number of a device as a ``Value``, by its dotted name: what a plan used and what ``cite`` follows.

    Parameters
    ----------
    device : mapping
        One entry of ``devices.yaml``.
    prefix : str
        Put before each name.

    Returns
    -------
    dict of str to Value
        For example ``geometry.slot_from``.
    """
    found: dict[str, Value] = {}
    for key, entry in device.items():
        if isinstance(entry, Mapping) and "spread" in entry:
            spread = spread_from(entry.get("spread"))
            found[prefix + key] = Value(
                float(entry["value"]), str(entry["unit"]), spread, str(entry["source"]), bool(entry.get("verified", True))
            )
        elif isinstance(entry, Mapping):
            found.update(device_values(entry, f"{prefix}{key}."))
    return found


def _number(device: Device, path: str) -> float:
    """Return a number of a device by its dotted name; entries may be mappings with ``value``, Values or bare numbers."""
    entry: Any = device
    for part in path.split("."):
        if not isinstance(entry, Mapping) or part not in entry:
            raise SettingError(
                f"The device has no {path!r}.",
                "Its field cannot be computed without it.",
                "Give it in devices.yaml with unit, spread and source.",
            )
        entry = entry[part]
    if isinstance(entry, Value):
        return entry.number
    return float(entry["value"] if isinstance(entry, Mapping) else entry)


def coax_of(device: Device) -> Coax:
    """Return the geometry of a device.

    Parameters
    ----------
    device : mapping
        One entry of ``devices.yaml``.

    Returns
    -------
    Coax
        Radii and lengths [mm].

    Raises
    ------
    SettingError
        If a number is missing or the parts do not fit into each other.
    """
    choke = None
    if "choke" in device:
        start, length = _number(device, "choke.from_tip"), _number(device, "choke.length")
        choke = (start, start + length, _number(device, "choke.dielectric_radius"), _number(device, "choke.sleeve_radius"))
    slot, coax_end = _number(device, "geometry.slot_from"), _number(device, "geometry.coax_end")
    coax = Coax(
        inner_radius=_number(device, "geometry.inner_conductor_radius"),
        dielectric_radius=_number(device, "geometry.dielectric_radius"),
        outer_radius=_number(device, "geometry.outer_conductor_radius"),
        sheath_radius=_number(device, "geometry.sheath_radius"),
        coax_end=coax_end,
        short=_number(device, "geometry.short_length"),
        slot_from=slot,
        slot_to=slot + _number(device, "geometry.slot_length"),
        domain_radius=_number(device, "domain.radius"),
        domain_ahead=_number(device, "domain.ahead"),
        domain_behind=_number(device, "domain.behind"),
        coarsest=LIGHT_SPEED / _number(device, "frequency") * COARSEST * 1e3,
        choke=choke,
    )
    radii, lengths = _marks(coax)
    if (np.diff(radii) <= 0).any() or (np.diff(lengths) <= 0).any():
        raise SettingError(
            f"The parts of the antenna do not fit: radii {radii.tolist()} mm, heights {lengths.tolist()} mm.",
            "Each part must lie outside, or behind, the one before it.",
            "Correct the geometry in devices.yaml.",
        )
    return coax


def _marks(coax: Coax) -> tuple[Array, Array]:
    """Return the radii and the heights at which the geometry changes, in the order in which they must increase [mm]."""
    radii = [0.0, coax.inner_radius, coax.dielectric_radius, coax.outer_radius]
    lengths = [-coax.domain_ahead, 0.0, coax.coax_end, coax.coax_end + coax.short, coax.slot_from, coax.slot_to]
    if coax.choke is not None:
        start, end, dielectric, sleeve = coax.choke
        radii += [dielectric, sleeve]
        lengths += [start, end, end + coax.short]
    return np.array([*radii, coax.sheath_radius, coax.domain_radius]), np.array([*lengths, coax.domain_behind])


def _parts(coax: Coax, r: Array, z: Array) -> Array:
    """Return what each cell (m, n) with centres at r, z [mm] is made of."""
    r, z = r[None, :], z[:, None]
    part = np.where((r < coax.sheath_radius) & (z > 0), SHEATH, TISSUE)
    line = z > coax.coax_end
    part[line & (r < coax.outer_radius)] = METAL
    part[line & (z > coax.slot_from) & (z < coax.slot_to) & (r > coax.dielectric_radius) & (r < coax.outer_radius)] = SLOT
    part[(z > coax.coax_end + coax.short) & (r > coax.inner_radius) & (r < coax.dielectric_radius)] = DIELECTRIC
    if coax.choke is not None:
        start, end, dielectric, sleeve = coax.choke
        covered = (z > start) & (r > coax.outer_radius)
        part[covered & (z < end + coax.short) & (r < sleeve)] = METAL
        part[covered & (z < end) & (r < dielectric)] = CHOKE
    return part


@lru_cache(maxsize=4)
def _space(coax: Coax, refine: int) -> tuple[Discretisation, Array]:
    """Return the finite elements of a geometry and what each cell is made of."""
    radii, lengths = _marks(coax)
    gaps = np.diff(radii)
    nearest = np.minimum(np.append(gaps[0], gaps), np.append(gaps, gaps[-1]))
    fine = np.clip(0.5 * nearest, FINEST_MM, FINE_MM)
    fine[[0, -1]] = FINE_MM, coax.coarsest
    along = np.full(lengths.size, FINE_MM)
    along[1] = ENDS_MM  # the tip of the sheath
    along[7:] = 2 * ENDS_MM  # the closed end of a choke
    along[[0, -1]] = coax.coarsest
    r = graded_nodes(radii, fine / refine, GROWTH / refine)
    z = graded_nodes(lengths, along / refine, GROWTH / refine)
    part = _parts(coax, 0.5 * (r[1:] + r[:-1]), 0.5 * (z[1:] + z[:-1]))
    port: tuple[Side, float, float] = ("top", coax.inner_radius * 1e-3, coax.dielectric_radius * 1e-3)
    return discretise(Section(r * 1e-3, z * 1e-3, part == METAL, ("bottom", "top", "outer"), port)), part


def wave(device: Device, medium: Medium, refine: int = 1) -> tuple[Discretisation, Field, Array, Array]:
    """Solve for the wave round a device.

    Parameters
    ----------
    device : mapping
        One entry of ``devices.yaml``.
    medium : Medium
        Tissue around the axis.
    refine : int
        Divides the cell sizes; 1 is about 5 000 cells.

    Returns
    -------
    Discretisation, Field, array, array
        The finite elements, the wave, and the permittivity and conductivity (m, n) of each cell.
    """
    coax = coax_of(device)
    space, part = _space(coax, int(refine))
    r, z = space.section.r_m * 1e3, space.section.z_m * 1e3
    tissue_permittivity, tissue_conductivity = medium.at(0.5 * (r[1:] + r[:-1]), 0.5 * (z[1:] + z[:-1]))
    inside = {
        METAL: 1.0,
        DIELECTRIC: _number(device, "geometry.dielectric_permittivity"),
        SLOT: _number(device, "geometry.slot_permittivity"),
        SHEATH: _number(device, "geometry.sheath_permittivity"),
        CHOKE: _number(device, "choke.permittivity") if coax.choke is not None else 1.0,
    }
    permittivity = np.where(part == TISSUE, tissue_permittivity, np.array([inside.get(i, 1.0) for i in range(6)])[part])
    conductivity = np.where(part == TISSUE, tissue_conductivity, 0.0)
    field = solve_wave(space, permittivity, conductivity, _number(device, "frequency"))
    return space, field, permittivity, conductivity


def solve(device: Device, medium: Medium, refine: int = 1) -> Pattern:
    """Return the heating of a device in a medium, per watt incident at the antenna.

    Parameters
    ----------
    device : mapping
        One entry of ``devices.yaml``.
    medium : Medium
        Tissue around the axis.
    refine : int
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
        shaft_from_mm=_number(device, "geometry.slot_from"),
        shaft_to_mm=_number(device, "usable_length_mm"),
        residual=field.residual,
    )


def _cooled(device: Device) -> bool:
    entry = device["cooled"]
    return bool(entry["value"] if isinstance(entry, Mapping) else entry)


def _decibel(device: Device, part: str) -> float:
    if part not in device:
        return 0.0
    return _number(device, f"{part}.attenuation") * _number(device, f"{part}.length")


def cable_loss_fraction(device: Device) -> float:
    """Return the share of the generator's power that is lost before the slot: incident = generator x (1 - this).

    It covers the cable from the generator and the coaxial line inside the shaft.
    """
    return float(1 - 10 ** (-(_decibel(device, "cable") + _decibel(device, "shaft_coax")) / 10))


def shaft_coax_loss(device: Device) -> float:
    """Return the power that the coaxial line inside the shaft turns into heat, per watt that arrives at the slot."""
    return float(10 ** (_decibel(device, "shaft_coax") / 10) - 1)
