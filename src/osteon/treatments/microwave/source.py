"""The heat that the antenna makes in the voxels, solved again as the tissue dries."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from osteon.space.volume import Array, Volume
from osteon.tissue.bone import TissueMap
from osteon.tissue.properties import Constants
from osteon.treatments.base import NeedlePose
from osteon.treatments.microwave import antenna, pattern
from osteon.treatments.microwave.shaft import cool

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
    values = antenna.device_values({key: device[key] for key in SAMPLED if key in device})

    def walk(entry: Any, path: str) -> Any:
        if path in values and path.split(".")[0] in SAMPLED:
            return {**entry, "value": constants.of(f"{name}.{path}", values[path])}
        if isinstance(entry, Mapping) and path not in values:
            return {key: walk(inner, f"{path}.{key}" if path else key) for key, inner in entry.items()}
        return entry

    taken: dict[str, Any] = walk(device, "")
    return taken


def sigmoid(constants: Constants, law: str, temperature_c: Array) -> Array:
    r"""Return :math:`s_1 (1 - 1/(1 + e^{s_2 - s_3 T})) + s_4` over its value at 37 °C.

    Parameters
    ----------
    constants : Constants
        The numbers of this run.
    law : str
        A row of ``temperature-laws.yaml``, for example ``sigmoid_permittivity_ji_brace``.
    temperature_c : array
        Temperature [°C]. The laws were measured up to boiling; what is hotter keeps the value of 100 °C.
    """
    hottest = np.float32(constants("vaporisation", "boiling_end"))
    s1, s2, s3, s4 = (np.float32(constants(law, key)) for key in ("s1", "s2", "s3", "s4"))

    def value(t: Array) -> Array:
        return np.asarray(s1 * (1 - 1 / (1 + np.exp(s2 - s3 * t))) + s4)

    return value(np.minimum(np.asarray(temperature_c, np.float32), hottest)) / value(np.float32(37.0))  # type: ignore[arg-type]


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
    """

    tissue: TissueMap
    device: Mapping[str, Any]
    pose: NeedlePose
    generator_w: float
    constants: Constants
    shares: list[Share] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.incident_w = self.generator_w * (1.0 - antenna.cable_loss_fraction(self.device))
        self.tissue, self.shaft = cool(self.tissue, self.device, self.pose, self.constants)
        self._wet = ~self.tissue.is_label("air", "titanium", "cement")

    def at_power(self, generator_w: float) -> Source:
        """Return the same antenna in the same place at another power, with what was solved so far."""
        other = copy(self)
        other.generator_w, other.shares = generator_w, list(self.shares)
        other.incident_w = self.incident_w * generator_w / self.generator_w
        return other

    def dielectric(self, temperature_c: Array | None) -> tuple[Array, Array]:
        """Return relative permittivity and conductivity [S/m] at a temperature; None: 37 °C everywhere."""
        permittivity, conductivity = self.tissue.permittivity, self.tissue.conductivity_s_m
        if temperature_c is None:
            return permittivity, conductivity
        hot = self._wet & (temperature_c > 37.5)
        permittivity, conductivity = permittivity.copy(), conductivity.copy()
        for array, law in ((permittivity, "sigmoid_permittivity_ji_brace"), (conductivity, "sigmoid_conductivity_ji_brace")):
            array[hot] *= sigmoid(self.constants, law, temperature_c[hot])
        return np.maximum(permittivity, np.float32(1.0)), conductivity

    def heating(self, time_s: float, temperature_c: Array | None = None) -> Array:
        """Return the heat source [W/m³], float32, at the present temperature, and note where the power went."""
        grid = self.tissue.grid
        arrays = self.dielectric(temperature_c)
        permittivity, conductivity = (Volume(a, grid) for a in arrays)
        domain = self.device["domain"]
        medium = pattern.medium_from(
            permittivity, conductivity, self.pose, float(domain["radius"]), (-float(domain["ahead"]), float(domain["behind"]))
        )
        solved = antenna.solve(self.device, medium)
        per_watt = pattern.place(solved, self.pose, grid, conductivity)
        if solved.shaft_loss_fraction > 0:
            per_watt = per_watt + pattern.place_along_shaft(
                solved.shaft_loss_fraction, solved.shaft_from_mm, solved.shaft_to_mm, self.pose, grid
            )
        if self.shaft is not None:  # what coarse voxels put into the shaft itself belongs around it
            inside = float(per_watt[self.shaft].sum(dtype=np.float64))
            total = float(per_watt.sum(dtype=np.float64))
            per_watt[self.shaft] = 0.0
            per_watt = per_watt * np.float32(total / (total - inside) if total > inside else 1.0)
        placed = float(per_watt.sum(dtype=np.float64)) * grid.voxel_mm3 * 1e-9
        self.shares.append(Share(time_s, solved.reflected_fraction, solved.absorbed_fraction, solved.radiated_fraction, placed))
        return np.asarray(per_watt * np.float32(self.incident_w), np.float32)

    def coolant_j(self, temperature_c: Array) -> float:
        """Return the heat that the cooled shaft has taken, from the temperature of its voxels [J]."""
        if self.shaft is None:
            return 0.0
        excess = temperature_c[self.shaft].astype(np.float64) - 37.0
        return float((excess * self.tissue.heat_capacity[self.shaft]).sum()) * self.tissue.grid.voxel_mm3 * 1e-9

    def mean(self, name: str, until_s: float) -> float:
        """Return a share averaged over the time of heating, each solution holding until the next one."""
        starts = np.array([share.time_s for share in self.shares])
        ends = np.append(starts[1:], np.inf)
        lengths = np.maximum(np.minimum(ends, max(until_s, 1e-9)) - starts, 0.0)
        return float(np.average([getattr(share, name) for share in self.shares], weights=lengths))
