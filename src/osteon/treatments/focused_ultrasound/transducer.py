"""Arrays of ``devices.yaml`` and imported element tables as sources of sound, and their drive for a given power."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from osteon.data_files import read_data
from osteon.errors import InputError, SettingError
from osteon.io.element_tables import ElementTable
from osteon.physics import acoustic_sources
from osteon.physics.acoustic_sources import Array, Source
from osteon.treatments.catalog import offered

CELLS_PER_WAVELENGTH = 4.0  # of an element's face; a target a few diameters away is then within 0.1 %


@dataclass(frozen=True, eq=False)
class Transducer:
    """An array in its own frame: vertex at the origin, z along the beam.

    Parameters
    ----------
    name : str
        Id of the device, or of the table.
    source : Source
        Its elements.
    frequency_hz : float
        Of the drive.
    radius_m : float
        Radius of curvature; the unsteered focus is at (0, 0, radius). Infinity in a flat array.
    max_power_w : float
        Acoustic; infinity where nothing is known, which the table of a user does not tell.
    verified : bool
        Whether every number of its geometry was read in its source.
    """

    name: str
    source: Source
    frequency_hz: float
    radius_m: float
    max_power_w: float
    verified: bool

    def drive(self, focus_m: Array, power_w: float, density_kg_m3: float, speed_m_s: float, on: Array | None = None) -> Array:
        r"""Return the normal velocity of each element [m/s] that focuses at a point by time of flight.

        All elements that are on move alike: :math:`v = \sqrt{2P / (\rho c A)}`, each taken as radiating like a plane face.

        Parameters
        ----------
        focus_m : ndarray, shape (3,)
            In the frame of the device.
        power_w : float
            Acoustic power of all elements that are on.
        density_kg_m3, speed_m_s : float
            Of the fluid in front.
        on : ndarray of bool, optional
            Elements that may radiate.

        Returns
        -------
        ndarray of complex, shape (elements,)

        Raises
        ------
        SettingError
            If the power is not between 0 and what the device gives.
        InputError
            If no element is on.
        """
        if not (math.isfinite(power_w) and 0 < power_w <= self.max_power_w):
            raise SettingError(
                f"{self.name} was asked for {power_w:g} W.",
                f"It gives up to {self.max_power_w:g} W of sound.",
                "Give an acoustic power above 0 and within that limit.",
            )
        phase = acoustic_sources.focus_drive(self.source, focus_m, self.frequency_hz, speed_m_s, on)
        area = float(self.source.element_areas_m2[np.abs(phase) > 0].sum())
        return np.asarray(phase * math.sqrt(2 * power_w / (density_kg_m3 * speed_m_s * area)))


@cache
def devices() -> Mapping[str, Mapping[str, Any]]:
    """Return the arrays of ``devices.yaml``, by id."""
    found: dict[str, dict[str, Any]] = read_data("osteon.treatments.focused_ultrasound", "devices.yaml")
    return found


def clinical_devices() -> dict[str, Mapping[str, Any]]:
    """Return the arrays that patients are treated with, in the order in which they are tried."""
    return {name: entry for name, entry in devices().items() if offered(entry, "focused_ultrasound")}


def device(name: str) -> Mapping[str, Any]:
    """Return one array of ``devices.yaml``.

    Raises
    ------
    InputError
        If there is no such array.
    """
    if name not in devices():
        raise InputError(
            f"There is no array {name!r}.",
            "Only listed arrays have their numbers and sources.",
            f"Use one of: {', '.join(devices())}.",
        )
    return devices()[name]


def transducer(name: str, speed_m_s: float = 1500.0, frequency_hz: float | None = None) -> Transducer:
    """Return a device of ``devices.yaml`` with the middle of its numbers.

    Parameters
    ----------
    name : str
        Its id.
    speed_m_s : float
        Of the fluid in front; it decides how finely faces are cut.
    frequency_hz : float, optional
        Another drive than the usual one; it must lie in the range of the device where that is known.

    Raises
    ------
    InputError
        If there is no such device.
    SettingError
        If the device cannot run at that frequency.
    """
    entry = device(name)
    usual = float(entry["frequency"]["value"])
    span = entry.get("frequency_range", {"low": usual, "high": usual})
    frequency = usual if frequency_hz is None else frequency_hz
    if not span["low"] <= frequency <= span["high"]:
        raise SettingError(
            f"{name} was asked for {frequency:g} Hz.",
            f"It runs at {span['low']:g} to {span['high']:g} Hz as far as is known.",
            "Give a frequency in that range, or leave it out.",
        )
    radius, aperture, opening, face = (
        float(entry[key]["value"]) * 1e-3 for key in ("curvature_mm", "aperture_mm", "opening_mm", "element_radius_mm")
    )
    centres = acoustic_sources.spiral_centres(int(entry["elements"]["value"]), radius, aperture, opening)
    source = acoustic_sources.array(
        centres, np.array([0, 0, radius]) - centres, face, speed_m_s / frequency / CELLS_PER_WAVELENGTH
    )
    geometry = ("elements", "frequency", "curvature_mm", "aperture_mm", "opening_mm", "element_radius_mm")
    verified = entry["layout"] != "spiral" and all(entry[key]["verified"] for key in geometry)
    return Transducer(name, source, frequency, radius, float(entry["max_power_w"]["value"]), verified)


def of_table(
    table: ElementTable,
    speed_m_s: float = 1500.0,
    frequency_hz: float | None = None,
    element_diameter_mm: float | None = None,
    max_power_w: float = math.inf,
) -> Transducer:
    """Return an imported table as a transducer.

    Parameters
    ----------
    table : ElementTable
        From ``osteon.io.element_tables.read_elements``.
    speed_m_s : float
        Of the fluid in front.
    frequency_hz, element_diameter_mm : float, optional
        Needed where the table does not bring them.
    max_power_w : float
        Where known.

    Raises
    ------
    InputError
        If frequency or element size is known neither to the table nor given.
    """
    frequency = frequency_hz or table.frequency_hz
    diameter = element_diameter_mm * 1e-3 if element_diameter_mm else table.element_diameter_m
    if not frequency or not diameter:
        raise InputError(
            f"The table {table.name} does not tell how large its elements are, or at which frequency they run.",
            "Both shape the beam.",
            "Give frequency_hz and element_diameter_mm.",
        )
    source = acoustic_sources.array(table.centres_m, table.normals, diameter / 2, speed_m_s / frequency / CELLS_PER_WAVELENGTH)
    return Transducer(table.name, source, frequency, table.radius_m, max_power_w, False)
