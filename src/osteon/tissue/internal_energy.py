"""The effective energy of a scan from five tissues of the patient (Michalski 2020, as implemented in Ogo).

The published search regresses tabulated *mass* attenuation on HU, and HU are *linear* attenuation. It is exact where all five
tissues have one density: HU are then a line of mass attenuation at the energy of the scan. Air (0.0012 g/cm3) and cortical bone
(1.92) do not, and the search then answers the energy at which air, soft tissue and bone happen to lie on one line: 80 to 99 keV
for tissues of ICRU 44 at 50 to 90 keV. Mineral reads low. The method stays here as published; ``LIMIT`` goes with every result.
Ogo reads its table between energies by straight lines, here of logarithms: it answers 0 to 1.5 keV more on those tissues.
``energy_by_density`` is this project's own other way: it holds the tissues' densities, and so compares linear attenuation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy import optimize

from osteon.data_files import read_data
from osteon.errors import InputError
from osteon.space.volume import Array

TISSUES = ("adipose", "air", "blood", "bone", "muscle")
LIMIT = (
    "The energy that is found may not be the energy of the scan: the published search compares mass attenuation with HU, which "
    "holds for tissues of one density. On synthetic tissues of 60 to 90 keV it answers 88 to 99; 0.2 g/cm3 K2HPO4 then reads "
    "16 to 25 % low in water and 51 to 67 % low in fat, and water reads 0.03 g/cm3. "
    "Compare only with densities made in the same way."
)


@dataclass(frozen=True)
class InternalFit:
    """What the search found.

    Parameters
    ----------
    energy_kev, r2 : float
        The energy of the best line and its coefficient of determination.
    a, b : float
        Mass attenuation [cm2/g] = a HU + b.
    c, d : float
        Density [g/cm3] = c HU + d.
    k2hpo4, triglyceride, water : float
        Mass attenuation at this energy [cm2/g].
    densities : tuple of float
        Of the five tissues from their attenuation [g/cm3], in the order of ``TISSUES``.
    notes : tuple of str
        What weakens it.
    """

    energy_kev: float
    r2: float
    a: float
    b: float
    c: float
    d: float
    k2hpo4: float
    triglyceride: float
    water: float
    densities: tuple[float, ...]
    notes: tuple[str, ...] = ()


@cache
def _table() -> Mapping[str, Any]:
    return MappingProxyType(read_data("osteon.tissue", "data", "attenuation.yaml"))


def mass_attenuation(material: str, energy_kev: float | Array) -> Array:
    """Return the mass attenuation coefficient [cm2/g] of a tabulated material, on straight lines of the logarithms.

    Raises
    ------
    InputError
        If the material is not tabulated or an energy lies outside the table.
    """
    table = _table()
    energies, rows = np.array(table["energy_kev"], float), table["cm2_g"]
    asked = np.asarray(energy_kev, float)
    if material not in rows or (asked < energies[0]).any() or (asked > energies[-1]).any():
        raise InputError(
            f"Mass attenuation of {material!r} at {float(asked.min()):g} to {float(asked.max()):g} keV is not tabulated.",
            "It is never continued beyond its table.",
            f"Use one of {', '.join(rows)} at {energies[0]:g} to {energies[-1]:g} keV.",
        )
    return np.asarray(np.exp(np.interp(np.log(asked), np.log(energies), np.log(np.array(rows[material], float)))))


def fit_internal(hu: Mapping[str, float], energy_kev: float | None = None) -> InternalFit:
    """Return the two lines at the energy where mass attenuation is most nearly a line of HU.

    Parameters
    ----------
    hu : mapping
        Mean Hounsfield numbers of the five ``TISSUES``.
    energy_kev : float, optional
        Hold the energy instead of searching for it.

    Raises
    ------
    InputError
        If HU do not differ, or the best energy lies at an end of the table.
    """
    x = np.array([hu[t] for t in TISSUES], dtype=float)
    if not np.isfinite(x).all() or np.ptp(x) <= 0:
        raise InputError(
            f"The five tissues have {x.tolist()} HU: one number or none.",
            "No line goes through them.",
            "Sample each of them again in its own place.",
        )
    table = _table()
    low, high = float(table["energy_kev"][0]), float(table["energy_kev"][-1])
    step = float(table["step_kev"])
    energies = np.arange(low, high + step / 2, step) if energy_kev is None else np.array([energy_kev], float)
    mu = np.stack([mass_attenuation(t, energies) for t in TISSUES])
    r2 = np.array([np.corrcoef(x, column)[0, 1] ** 2 for column in mu.T])
    best = int(np.argmax(r2))
    if energy_kev is None and best in (0, len(energies) - 1):
        raise InputError(
            f"The five tissues ({', '.join(f'{v:.0f}' for v in x)} HU) fit best at the end of the table, {energies[best]:g} keV.",
            "No CT works there: at least one tissue was sampled in the wrong place.",
            "Sample them again, or calibrate in another way.",
        )
    water = float(mass_attenuation("water", energies[best]))
    densities = water * (1.0 + x / 1000.0) / mu[:, best]
    a, b = np.polyfit(x, mu[:, best], 1)
    c, d = np.polyfit(x, densities, 1)
    return InternalFit(
        energy_kev=float(energies[best]),
        r2=float(r2[best]),
        a=float(a),
        b=float(b),
        c=float(c),
        d=float(d),
        k2hpo4=float(mass_attenuation("k2hpo4", energies[best])),
        triglyceride=float(mass_attenuation("triglyceride", energies[best])),
        water=water,
        densities=tuple(float(v) for v in densities),
        notes=(LIMIT,),
    )


def energy_by_density(hu: Mapping[str, float], densities_g_cm3: Mapping[str, float]) -> tuple[float, dict[str, float]]:
    r"""Return the energy [keV] at which tissues of known density have the HU that were measured, and what is left [HU].

    .. math:: HU_i = 1000 \left( \frac{\rho_i (\mu/\rho)_i(E)}{\rho_w (\mu/\rho)_w(E)} - 1 \right)

    Parameters
    ----------
    hu : mapping
        Mean Hounsfield numbers by tissue; cortical ``bone`` must be one: soft tissue hardly changes with energy.
    densities_g_cm3 : mapping
        Density of each tissue.

    Raises
    ------
    InputError
        If bone is missing, or the best energy lies at an end of what a CT can have.
    """
    low, high = (float(v) for v in _table()["scanner_kev"])
    names = [t for t in densities_g_cm3 if t in hu]
    if "bone" not in names:
        raise InputError(
            f"Only {', '.join(names) or 'no tissue'} was sampled.",
            "Soft tissue looks nearly the same at every energy; without cortical bone the energy cannot be found.",
            "Sample cortical bone far from the lesion too.",
        )

    def left(energy: float) -> dict[str, float]:
        water = float(mass_attenuation("water", energy))
        return {t: hu[t] - 1000.0 * (densities_g_cm3[t] * float(mass_attenuation(t, energy)) / water - 1.0) for t in names}

    found = float(
        optimize.minimize_scalar(
            lambda e: sum(v * v for v in left(float(e)).values()), bounds=(low, high), method="bounded", options={"xatol": 1e-4}
        ).x
    )
    if found - low < 0.5 or high - found < 0.5:
        measured = ", ".join(f"{t} {hu[t]:.0f}" for t in names)
        raise InputError(
            f"The HU of {measured} fit no energy between {low:g} and {high:g} keV.",
            "No CT works beyond: at least one tissue was sampled in the wrong place, or the cortex is too thin to sample.",
            "Sample them again, or calibrate in another way.",
        )
    return found, left(found)
