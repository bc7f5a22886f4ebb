"""The heat that the antenna makes in the voxels of one patient, and where each watt goes."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from osteon.physics.electromagnetic import complex_permittivity
from osteon.space.volume import Array
from osteon.tissue.bone import TissueMap
from osteon.tissue.properties import Constants
from osteon.treatments.base import NeedlePose
from osteon.treatments.microwave import antenna, pattern
from osteon.treatments.microwave.coax import coax_of
from osteon.treatments.microwave.dielectric import BODY_C, Law, ratios
from osteon.treatments.microwave.shaft import cooled, sink_of
from osteon.treatments.microwave.surroundings import Surroundings
from osteon.treatments.needles import device_values

FIELD_MESH = 0.7  # of the default fineness: half as many cells, power within 0.3 % of four times as many (a test holds it)
NEAR_MM = 15.0  # round the stretch from tip to slot: within it the averaged surroundings decide whether to solve again
SAMPLED = ("frequency", "cable", "shaft_coax", "geometry", "choke")  # parts of a device whose spread a draw samples


@dataclass(frozen=True)
class Share:
    """Where the incident watt went at one time.

    Parameters
    ----------
    time_s : float
        When the field was solved.
    reflected, absorbed, radiated, placed : float
        Fractions of the incident power; ``placed`` is what the voxels of the grid take.
    """

    time_s: float
    reflected: float
    absorbed: float
    radiated: float
    placed: float


def drawn(device: Mapping[str, Any], constants: Constants, name: str) -> dict[str, Any]:
    """Return a device with the numbers of this run; every number used is noted in ``constants`` under ``name``."""
    values = device_values({key: device[key] for key in SAMPLED if key in device})

    def walk(entry: Any, path: str) -> Any:
        if path in values and path.split(".")[0] in SAMPLED:
            return {**entry, "value": constants.of(f"{name}.{path}", values[path])}
        if isinstance(entry, Mapping) and path not in values:
            return {key: walk(inner, f"{path}.{key}" if path else key) for key, inner in entry.items()}
        return entry

    taken: dict[str, Any] = walk(device, "")
    return taken


@dataclass(frozen=True, eq=False)
class Nearby:
    """The rings that decide whether to solve again, the voxels they lie in (flat), and the averaging over these."""

    rings: Array
    voxels: Array
    means: Any


def _power_of_rings(solved: antenna.Pattern, rings: Surroundings) -> Array:
    """Return the share of the power that a solution puts into each ring (heights, radii)."""
    power = solved.heating * np.diff(solved.r_edges_mm**2)[None, :] * np.diff(solved.z_edges_mm)[:, None]
    step = rings.r_mm[1] - rings.r_mm[0]
    edges = [np.append(centres - 0.5 * step, centres[-1] + 0.5 * step) for centres in (rings.z_mm, rings.r_mm)]
    places = np.repeat(solved.z_mm, solved.r_mm.size), np.tile(solved.r_mm, solved.z_mm.size)
    return np.asarray(np.histogram2d(*places, bins=edges, weights=power.ravel())[0])


@dataclass(eq=False)
class Source:
    """One antenna in one patient.

    Parameters
    ----------
    tissue : TissueMap
        Properties at 37 °C.
    device : mapping
        Entry of ``devices.yaml`` with the numbers of this run.
    pose : NeedlePose
        Where it lies.
    generator_w : float
        What the generator shows.
    constants : Constants
        The numbers of this run.
    law : {"ji_brace", "lopresto", "linear", "static"}
        How the dielectric follows temperature and the loss of water.
    """

    tissue: TissueMap
    device: Mapping[str, Any]
    pose: NeedlePose
    generator_w: float
    constants: Constants
    law: Law = "ji_brace"
    shares: list[Share] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.incident_w = self.generator_w * (1.0 - antenna.cable_loss_fraction(self.device))
        self.sink = sink_of(self.device, self.pose, self.tissue.grid, self.constants)
        self._placing: pattern.Placing | None = None
        self.weights = np.empty(0)  # power in the rings of ``nearby`` at the last solution
        self._wet = ~self.tissue.is_label("air", "titanium", "cement")

    def at_power(self, generator_w: float) -> Source:
        """Return the same antenna in the same place at another power, with what was solved so far."""
        other = copy(self)
        other.generator_w, other.shares = generator_w, list(self.shares)
        other.incident_w = self.incident_w * generator_w / self.generator_w
        return other

    @cached_property
    def surroundings(self) -> Surroundings:
        """Rings round the axis in which the field is solved."""
        domain = self.device["domain"]
        reach = float(domain["radius"]), (-float(domain["ahead"]), float(domain["behind"]))
        coax = coax_of(self.device)
        surface = coax.sheath_radius if coax.monopole is None else coax.inner_radius
        return Surroundings(self.tissue.grid, self.pose, *reach, r_min_mm=surface)

    @cached_property
    def _near(self) -> Nearby:
        rings = self.surroundings
        behind = coax_of(self.device).slot_to
        away = np.maximum(0.0, np.maximum(-rings.z_mm, rings.z_mm - behind))
        mask = np.hypot(rings.r_mm[None, :], away[:, None]) <= NEAR_MM
        return Nearby(mask, *rings.part(mask))

    def dielectric(self, temperature_c: Array | None, voxels: Array | None = None) -> tuple[Array, Array]:
        """Return relative permittivity and conductivity [S/m] at a temperature; None: 37 °C everywhere.

        Parameters
        ----------
        temperature_c : array, shape (z, y, x), or None
            Present temperature [°C], where water has gone the highest so far (``dielectric.driest``).
        voxels : array of int, optional
            Only these flat indices; ``temperature_c`` then has one entry for each.
        """
        permittivity, conductivity, wet = (
            array if voxels is None else array.ravel()[voxels]
            for array in (self.tissue.permittivity, self.tissue.conductivity_s_m, self._wet)
        )
        if temperature_c is None:
            return permittivity, conductivity
        changed = wet & (np.abs(temperature_c - np.float32(BODY_C)) > 0.5)
        permittivity, conductivity = permittivity.copy(), conductivity.copy()
        by = ratios(self.constants, self.law, temperature_c[changed])
        permittivity[changed] *= by[0]
        conductivity[changed] *= by[1]
        return np.maximum(permittivity, np.float32(1.0)), conductivity

    @property
    def near_voxels(self) -> Array:
        """The voxels (flat indices) that ``nearby`` looks at."""
        return self._near.voxels

    def nearby(self, temperature_c: Array) -> Array:
        """Return the complex permittivity of the rings within 15 mm of the stretch from tip to slot.

        Parameters
        ----------
        temperature_c : array
            As for ``dielectric``, one entry for each of ``near_voxels``.
        """
        near = self._near
        permittivity, conductivity = (near.means @ a for a in self.dielectric(temperature_c, near.voxels))
        return complex_permittivity(permittivity, conductivity, float(self.device["frequency"]["value"]))

    def heating(self, time_s: float, temperature_c: Array | None = None) -> Array:
        """Return the heat source [W/m³], float32, and note where the power went; arguments as ``dielectric``."""
        grid = self.tissue.grid
        permittivity, conductivity = self.dielectric(temperature_c)
        solved = antenna.solve(self.device, self.surroundings.medium(permittivity, conductivity), FIELD_MESH)
        if self._placing is None:
            self._placing = pattern.Placing(solved.r_edges_mm, solved.z_edges_mm, self.pose, grid)
        per_watt = self._placing(solved, conductivity)
        self.weights = _power_of_rings(solved, self.surroundings)[self._near.rings]
        if solved.shaft_loss_fraction > 0:
            per_watt = per_watt + pattern.place_along_shaft(
                solved.shaft_loss_fraction, solved.shaft_from_mm, solved.shaft_to_mm, self.pose, grid
            )
        placed = float(per_watt.sum(dtype=np.float64)) * grid.voxel_mm3 * 1e-9
        self.shares.append(Share(time_s, solved.reflected_fraction, solved.absorbed_fraction, solved.radiated_fraction, placed))
        return np.asarray(per_watt * np.float32(self.incident_w), np.float32)

    def account_j(self, seconds: float) -> dict[str, float]:
        """Return where the generator's energy went before it became heat in the grid [J], by name of the measure.

        ``coolant_line`` is what the line in a cooled shaft gives to the coolant; ``beyond_grid`` is absorbed outside the voxels;
        ``field_defect`` is what the field solution lacks to its own balance. With what the grid takes they are the whole.
        """
        generator, incident = self.generator_w * seconds, self.incident_w * seconds
        line = incident * antenna.shaft_coax_loss(self.device)
        reflected, absorbed, radiated, placed = (
            incident * self.mean(name, seconds) for name in ("reflected", "absorbed", "radiated", "placed")
        )
        to_tissue = 0.0 if cooled(self.device) else line
        return {
            "energy_generator_j": generator,
            "energy_cable_j": generator - incident - line,
            "energy_coolant_line_j": line - to_tissue,
            "energy_reflected_j": reflected,
            "energy_radiated_j": radiated,
            "energy_beyond_grid_j": absorbed + to_tissue - placed,
            "energy_field_defect_j": incident - reflected - absorbed - radiated,
        }

    def mean(self, name: str, until_s: float) -> float:
        """Return a share averaged over the time of heating, each solution holding until the next one."""
        starts = np.array([share.time_s for share in self.shares])
        ends = np.append(starts[1:], np.inf)
        lengths = np.maximum(np.minimum(ends, max(until_s, 1e-9)) - starts, 0.0)
        return float(np.average([getattr(share, name) for share in self.shares], weights=lengths))
