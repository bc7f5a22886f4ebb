r"""Speed, attenuation and absorption of sound in each tissue as cited data, every coefficient with its own frequency law.

.. math:: \alpha(f) = \alpha_0 \left(f / f_0\right)^{y}, \qquad 1\ \mathrm{dB/cm} = 100\,\frac{\ln 10}{20}\ \mathrm{Np/m}

Attenuation is what the wave loses, absorption what heats; the rest is scattered. A draw holds absorption at attenuation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from osteon.data_files import read_data
from osteon.errors import InputError
from osteon.evidence.value import Value, spread_from
from osteon.tissue.properties import Constants, tables

NP_M_PER_DB_CM = 100.0 * math.log(10.0) / 20.0
NUMBERS = ("density", "speed_l", "speed_s", "attenuation_l", "attenuation_s", "absorption_l", "absorption_s")


@dataclass(frozen=True)
class PowerLaw:
    """An amplitude coefficient [Np/m] at ``reference_hz`` and the exponent of its frequency law."""

    coefficient: Value
    exponent: Value
    reference_hz: float

    def at(self, frequency_hz: float, constants: Constants, name: str) -> float:
        """Return the coefficient [Np/m] of this run at a frequency, noting the use of both numbers under ``name``."""
        power = constants.of(f"{name}_exponent", self.exponent)
        return float(constants.of(name, self.coefficient) * (frequency_hz / self.reference_hz) ** power)


@dataclass(frozen=True)
class AcousticRow:
    """What the tables say of one tissue.

    Parameters
    ----------
    name : str
        For example ``cortical_bone``.
    density : Value
        [kg/m3]; the number that heat takes too, where heat has one.
    speed_l, speed_s : Value
        Longitudinal and shear speed [m/s]; ``speed_s`` None: a fluid to sound.
    attenuation_l, attenuation_s : PowerLaw
        Amplitude coefficients.
    absorption_l, absorption_s : PowerLaw or Value
        The absorbed part as a coefficient of its own (bone), or as a share of the attenuation.
    """

    name: str
    density: Value
    speed_l: Value
    speed_s: Value | None
    attenuation_l: PowerLaw
    attenuation_s: PowerLaw | None
    absorption_l: PowerLaw | Value
    absorption_s: PowerLaw | Value | None

    def at(self, frequency_hz: float, constants: Constants) -> AcousticNumbers:
        """Return the numbers of this run at a frequency.

        Parameters
        ----------
        frequency_hz : float
            Within ``frequency_limits``.
        constants : Constants
            The numbers of this run.

        Returns
        -------
        AcousticNumbers
            Absorption never above attenuation, shear never faster than a solid allows; what was held is said there.

        Raises
        ------
        InputError
            If the frequency is none that the laws hold for.
        """
        check_frequency(frequency_hz)
        density = constants.of(f"{self.name}.density", self.density)
        speed_l = constants.of(f"{self.name}.speed_l", self.speed_l)
        lost_l, heats_l, held = _loss(self, "l", self.attenuation_l, self.absorption_l, frequency_hz, constants)
        if self.speed_s is None or self.attenuation_s is None or self.absorption_s is None:
            return AcousticNumbers(density, speed_l, 0.0, lost_l, 0.0, heats_l, 0.0, held)
        lost_s, heats_s, held_s = _loss(self, "s", self.attenuation_s, self.absorption_s, frequency_hz, constants)
        fastest = most_shear_share() * speed_l
        speed_s = constants.of(f"{self.name}.speed_s", self.speed_s)
        return AcousticNumbers(density, speed_l, min(speed_s, fastest), lost_l, lost_s, heats_l, heats_s, held or held_s)


@dataclass(frozen=True)
class AcousticNumbers:
    """One tissue at one frequency: [kg/m3], [m/s] and [Np/m]; ``held``: absorption was cut at attenuation."""

    density: float
    speed_l: float
    speed_s: float
    attenuation_l: float
    attenuation_s: float
    absorption_l: float
    absorption_s: float
    held: bool

    @property
    def values(self) -> tuple[float, ...]:
        """The seven numbers in the order of ``NUMBERS``."""
        return tuple(getattr(self, name) for name in NUMBERS)


@dataclass(frozen=True)
class PublishedRow:
    """A row as it was printed; ``outside`` says why it may lie outside the spread of the table, empty where it may not."""

    tissue: str
    quantity: str
    low: float
    high: float
    unit: str
    at_hz: float | None
    exponent: float | None
    source: str
    verified: bool
    outside: str

    @property
    def si(self) -> tuple[float, float]:
        """Low and high in SI; a coefficient in Np/m at 1 MHz by the law of its row."""
        if not self.quantity.startswith(("attenuation", "absorption")) or self.at_hz is None or self.exponent is None:
            return self.low, self.high
        factor = (NP_M_PER_DB_CM if self.unit == "dB/cm" else 1.0) * (1e6 / self.at_hz) ** self.exponent
        return self.low * factor, self.high * factor


def np_m(db_cm: float) -> float:
    """Return Np/m for dB/cm.

    Examples
    --------
    >>> round(np_m(1.0), 4)
    11.5129
    """
    return db_cm * NP_M_PER_DB_CM


@cache
def acoustic_rows() -> Mapping[str, AcousticRow]:
    """Return the rows of ``data/acoustics.yaml``, by tissue."""
    table: dict[str, Any] = read_data("osteon.tissue", "data", "acoustics.yaml")["tissues"]
    return MappingProxyType({name: _row(name, entry) for name, entry in table.items()})


@cache
def published_rows() -> tuple[PublishedRow, ...]:
    """Return every published row of ``data/acoustics-published.yaml``, those that no default takes too."""
    table: dict[str, Any] = read_data("osteon.tissue", "data", "acoustics-published.yaml")
    return tuple(PublishedRow(**dict(zip(table["columns"], row, strict=True))) for row in table["rows"])


def acoustic_row(name: str) -> AcousticRow:
    """Return what the tables say of one tissue.

    Raises
    ------
    InputError
        If no table has it.
    """
    try:
        return acoustic_rows()[name]
    except KeyError:
        raise InputError(
            f"There is no acoustic row for the tissue {name!r}.",
            "Sound through a tissue without cited speed and loss cannot be computed.",
            f"Use one of: {', '.join(sorted(acoustic_rows()))}.",
        ) from None


def frequency_limits() -> tuple[float, float]:
    """Return the lowest and highest frequency [Hz] that the laws are used for."""
    found = _limits()
    return found["lowest_frequency"].number, found["highest_frequency"].number


def most_shear_share() -> float:
    """Return the largest ratio of shear to longitudinal speed that is let stand."""
    return _limits()["most_shear_share"].number


def check_frequency(frequency_hz: float) -> None:
    """Refuse a frequency that the laws do not hold for.

    Raises
    ------
    InputError
        If it is not finite or outside ``frequency_limits``.
    """
    low, high = frequency_limits()
    if not (math.isfinite(frequency_hz) and low <= frequency_hz <= high):
        raise InputError(
            f"A frequency of {frequency_hz:g} Hz is outside {low / 1e6:g} to {high / 1e6:g} MHz.",
            "The laws of attenuation were measured there; beyond, their exponents mean nothing.",
            "Give the frequency of the device in Hz, for example 1.0e6.",
        )


def _loss(
    row: AcousticRow, wave: str, attenuation: PowerLaw, absorption: PowerLaw | Value, frequency_hz: float, constants: Constants
) -> tuple[float, float, bool]:
    lost = attenuation.at(frequency_hz, constants, f"{row.name}.attenuation_{wave}")
    if isinstance(absorption, Value):
        share = constants.of(f"{row.name}.absorption_{wave}_share", absorption)
        return lost, lost * min(max(share, 0.0), 1.0), False
    heats = absorption.at(frequency_hz, constants, f"{row.name}.absorption_{wave}")
    return lost, min(heats, lost), heats > lost


@cache
def _limits() -> Mapping[str, Value]:
    table: dict[str, Any] = read_data("osteon.tissue", "data", "acoustics.yaml")["limits"]
    return {name: _value(entry) for name, entry in table.items()}


def _row(name: str, entry: Mapping[str, Any]) -> AcousticRow:
    density = _value(entry["density"]) if "density" in entry else tables()[name]["density"]
    solid = "speed_s" in entry
    return AcousticRow(
        name=name,
        density=density,
        speed_l=_value(entry["speed_l"]),
        speed_s=_value(entry["speed_s"]) if solid else None,
        attenuation_l=_law(entry["attenuation_l"]),
        attenuation_s=_law(entry["attenuation_s"]) if solid else None,
        absorption_l=_absorption(entry, "absorption_l"),
        absorption_s=_absorption(entry, "absorption_s") if solid else None,
    )


def _absorption(entry: Mapping[str, Any], key: str) -> PowerLaw | Value:
    return _law(entry[key]) if key in entry else _value(entry[f"{key}_share"])


def _law(entry: Mapping[str, Any]) -> PowerLaw:
    inherited = {"unit": "1", "source": entry["source"], "verified": entry["verified"]}
    return PowerLaw(_value(entry), _value({**inherited, **entry["exponent"]}), float(entry["reference_hz"]))


def _value(entry: Mapping[str, Any]) -> Value:
    return Value(float(entry["number"]), entry["unit"], spread_from(entry["spread"]), entry["source"], bool(entry["verified"]))
