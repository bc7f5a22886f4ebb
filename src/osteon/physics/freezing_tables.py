r"""What water does when tissue freezes: temperature and conductivity as tables over enthalpy.

.. math:: H(T) = \int_{37}^{T} C\,dT' - L\,m_w\,f(T), \qquad
    C = C_0 + f\,m_w\,(c_{ice}(T) - c_w), \qquad k = k_0 + f\,\frac{m_w}{\rho_w}\,(k_{ice}(T) - k_w)

f is the share of the water that is ice, straight from 0 where freezing begins to 1 where it ends. Between nodes T and k are
straight lines over H, so the latent heat is taken up exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from osteon.data_files import read_data
from osteon.errors import InputError
from osteon.evidence.value import Fixed, Value, spread_from
from osteon.tissue.properties import Constants

Array = np.ndarray[Any, np.dtype[Any]]
REST_C = 37.0  # where the enthalpy is zero
WITHIN = 8  # pieces of the freezing range
COLD_NODES_C = (-196.0, -170.0, -150.0, -130.0, -110.0, -90.0, -75.0, -60.0, -45.0, -30.0, -20.0)
KELVIN = 273.15


@dataclass(frozen=True, eq=False)
class FreezingTable:
    """Temperature and conductivity of one material over its enthalpy; straight lines between nodes, and beyond the last ones.

    Parameters
    ----------
    temperature_c : ndarray, shape (n,)
        Nodes, rising; two equal ones where all the latent heat is taken up at one temperature [°C].
    enthalpy_j_m3 : ndarray, shape (n,)
        Enthalpy there, strictly rising [J/m³].
    conductivity : ndarray, shape (n,)
        k there [W/m/K].
    freezing_starts_c : float
        At and below this blood does not flow [°C].
    """

    temperature_c: Array
    enthalpy_j_m3: Array
    conductivity: Array
    freezing_starts_c: float

    def __post_init__(self) -> None:
        t, h, k = self.temperature_c, self.enthalpy_j_m3, self.conductivity
        usable = t.ndim == 1 and len(t) >= 2 and t.shape == h.shape == k.shape and bool(np.isfinite([t, h, k]).all())
        if not usable or (np.diff(h) <= 0).any() or (np.diff(t) < 0).any() or t[-1] <= t[-2] or t[1] <= t[0] or (k <= 0).any():
            raise InputError(
                f"A freezing table has {np.round(t, 2).tolist()} °C and enthalpies {np.round(h / 1e6, 2).tolist()} MJ/m³.",
                "Only a table that rises gives every enthalpy one temperature.",
                "Give at least two nodes with rising enthalpy, temperatures that do not fall, and conductivities above 0.",
            )

    def enthalpy_at(self, temperature_c: Array) -> Array:
        """Return the enthalpy [J/m³] at temperatures [°C]; liquid where freezing happens at that one temperature."""
        t, h = self.temperature_c, self.enthalpy_j_m3
        low, high = (h[1] - h[0]) / (t[1] - t[0]), (h[-1] - h[-2]) / (t[-1] - t[-2])
        inside = np.interp(temperature_c, t, h)
        below, above = np.minimum(temperature_c - t[0], 0.0), np.maximum(temperature_c - t[-1], 0.0)
        return np.asarray(inside + low * below + high * above)


@dataclass(frozen=True)
class Ice:
    """Constants of water and ice, by number; ``ice`` reads them from the cited table."""

    latent_heat: float
    water_heat: float
    water_conductivity: float
    water_density: float
    k_273: float
    k_exponent: float
    heat_temperatures_c: tuple[float, ...]
    heats: tuple[float, ...]

    def conductivity(self, temperature_c: Array) -> Array:
        """Return k of ice [W/m/K] at temperatures below 0 °C."""
        return np.asarray(self.k_273 * ((KELVIN - 0.15) / (np.minimum(temperature_c, 0.0) + KELVIN)) ** self.k_exponent)

    def heat_capacity(self, temperature_c: Array) -> Array:
        """Return c of ice [J/kg/K]."""
        return np.asarray(np.interp(temperature_c, self.heat_temperatures_c, self.heats))


@cache
def constants() -> dict[str, Value]:
    """Return the constants of ``freezing.yaml`` by name."""
    found = {}
    for name, entry in read_data("osteon.physics", "freezing.yaml").items():
        spread = Fixed() if entry.get("spread", "fixed") == "fixed" else spread_from(entry["spread"])
        found[name] = Value(float(entry["value"]), str(entry["unit"]), spread, str(entry["source"]), bool(entry["verified"]))
    return found


def ice(values: Constants | None = None) -> Ice:
    """Return the constants of water and ice for one run."""
    use = values or Constants()
    number = {name: use.of(f"freezing.{name}", value) for name, value in constants().items() if not name.startswith("freezing_")}
    at = (150.0, 200.0, 250.0, 273.0)
    return Ice(
        number["latent_heat"], number["water_heat_capacity"], number["water_conductivity"], number["water_density"],
        number["ice_conductivity_273"], number["ice_conductivity_exponent"], tuple(t - KELVIN for t in at),
        tuple(number[f"ice_heat_capacity_{t:.0f}"] for t in at),
    )  # fmt: skip


def freezing_range(values: Constants | None = None) -> tuple[float, float]:
    """Return where the water of tissue begins and ends to freeze [°C]."""
    use = values or Constants()
    begins, ends = (use.of(f"freezing.{name}", constants()[name]) for name in ("freezing_starts_c", "freezing_ends_c"))
    return begins, ends


def tissue_table(
    conductivity: float, heat_capacity: float, water_kg_m3: float, range_c: tuple[float, float], water: Ice
) -> FreezingTable:
    """Return the table of a tissue.

    Parameters
    ----------
    conductivity, heat_capacity : float
        k [W/m/K] and ρc [J/m³/K] above freezing.
    water_kg_m3 : float
        Water that freezes [kg/m³]; 0: a solid that does not freeze.
    range_c : (float, float)
        Where freezing begins and ends [°C].
    water : Ice
        Constants of water and ice.

    Raises
    ------
    InputError
        If the properties make no table (more heat in the water than in the tissue, or a range that does not fall).
    """
    begins, ends = range_c
    if not (ends < begins < REST_C and conductivity > 0 and heat_capacity > 0 and water_kg_m3 >= 0):
        raise InputError(
            f"k {conductivity} W/m/K, ρc {heat_capacity} J/m³/K, {water_kg_m3} kg/m³ of water, freezing {begins} to {ends} °C.",
            "No enthalpy can be given to such a tissue.",
            "Give positive properties, and a freezing range that falls and lies below 37 °C.",
        )
    mushy = np.linspace(ends, begins, WITHIN + 1)
    cold = np.array([t for t in COLD_NODES_C if t < ends - 1.0])
    t = np.concatenate([cold, mushy, [REST_C, 100.0]])
    share = np.clip((begins - t) / (begins - ends), 0.0, 1.0)
    frozen = share * water_kg_m3
    c = heat_capacity + frozen * (water.heat_capacity(t) - water.water_heat)
    c = np.maximum(c, 0.2 * heat_capacity)  # water that holds more heat than its tissue is a contradiction of two sources
    sensible = np.concatenate([[0.0], np.cumsum(0.5 * (c[1:] + c[:-1]) * np.diff(t))])
    enthalpy = sensible - frozen * water.latent_heat
    k = conductivity + frozen / water.water_density * (water.conductivity(t) - water.water_conductivity)
    return FreezingTable(t, enthalpy - np.interp(REST_C, t, enthalpy), np.maximum(k, 0.05), begins)


def sharp_table(
    k_solid: float, c_solid: float, k_liquid: float, c_liquid: float, latent_j_m3: float, freezing_c: float
) -> FreezingTable:
    """Return the table of a pure substance: constant properties, all the latent heat [J/m³] at one temperature."""
    t = np.array([freezing_c - 200.0, freezing_c, freezing_c, freezing_c + 200.0])
    melted = c_liquid * (freezing_c - REST_C)
    h = np.array([melted - latent_j_m3 - 200.0 * c_solid, melted - latent_j_m3, melted, melted + 200.0 * c_liquid])
    return FreezingTable(t, h, np.array([k_solid, k_solid, k_liquid, k_liquid]), freezing_c)
