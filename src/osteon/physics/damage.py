r"""Thermal damage: CEM43, Arrhenius, three-state cell death.

.. math:: \mathrm{CEM43} = \int R^{\,43 - T}\,dt\ [\mathrm{min}], \qquad \Omega = \int A\,e^{-E/RT}\,dt

Between two samples the temperature is a straight line: CEM43 is then exact (a logarithmic mean, split at 39 and 43 °C); for
Arrhenius the rate is taken as exponential in time. Sapareto & Dewey, Int J Radiat Oncol 1984;10:787; Henriques &
Moritz, Am J Pathol 1947;23:695; O'Neill et al., Ann Biomed Eng 2011;39:570.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, cast

import numpy as np
import yaml
from scipy import constants as nature
from scipy.constants import R as GAS_CONSTANT
from scipy.constants import zero_Celsius as ZERO_CELSIUS

from osteon.errors import InputError
from osteon.evidence.value import Fixed, LogNormal, Normal, Value, spread_from
from osteon.tissue import tolerance

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Arrhenius:
    """One pair: A [1/s], E [J/mol] and the Ω [1] from which tissue counts as changed, each with its source."""

    name: str
    title: str
    frequency_factor: Value
    activation_energy: Value
    threshold: Value

    @property
    def log_a(self) -> float:
        """Natural logarithm of A in 1/s."""
        return math.log(self.frequency_factor.number)

    @property
    def e_over_r(self) -> float:
        """E over the gas constant [K]."""
        return float(self.activation_energy.number / GAS_CONSTANT)

    def rate(self, temperature_c: Array | float) -> Array:
        """Return the damage rate [1/s] at a temperature [°C]."""
        return cast(Array, np.exp(self.log_a - self.e_over_r / (np.asarray(temperature_c, float) + ZERO_CELSIUS)))


@cache
def _data() -> dict[str, dict[str, Any]]:
    text = resources.files("osteon").joinpath("tissue/data/damage.yaml").read_text(encoding="utf-8")
    return cast(dict[str, dict[str, Any]], yaml.safe_load(text))


def _value(entry: Mapping[str, Any]) -> Value:
    return Value(
        float(entry["number"]),
        entry["unit"],
        spread_from(entry.get("spread")),
        entry["source"],
        bool(entry.get("verified", False)),
    )


@cache
def constants(section: str) -> Mapping[str, Value]:
    """Return the cited constants of one section of ``tissue/data/damage.yaml``: ``cem43`` or ``three_state``."""
    return {name: _value(entry) for name, entry in _data()[section].items()}


@cache
def caps() -> Mapping[str, float]:
    """Return what the accumulators hold at most: ``cem43_min`` [min] and ``omega`` [1]."""
    return {name: float(number) for name, number in _data()["caps"].items()}


@cache
def arrhenius_pairs() -> Mapping[str, Arrhenius]:
    """Return the shipped Arrhenius pairs by name."""
    return {name: _pair(name, entry) for name, entry in _data()["arrhenius"].items()}


def _pair(name: str, entry: Mapping[str, Any]) -> Arrhenius:
    if "eyring" in entry:
        factor, energy = from_eyring(*(_value(entry["eyring"][key]) for key in ("entropy", "enthalpy", "near")))
    else:
        factor, energy = _value(entry["frequency_factor"]), _value(entry["activation_energy"])
    one = Value(1.0, "1", Fixed(), energy.source, energy.verified)
    return Arrhenius(name, entry["title"], factor, energy, _value(entry["threshold"]) if "threshold" in entry else one)


def from_eyring(entropy: Value, enthalpy: Value, near: Value) -> tuple[Value, Value]:
    r"""Return A [1/s] and E [J/mol] of an Eyring law, tangent to it at one temperature.

    .. math:: k = \frac{k_B T}{h} e^{\Delta S/R} e^{-\Delta H/RT}, \qquad
        A = e\,\frac{k_B T_0}{h} e^{\Delta S/R}, \quad E = \Delta H + R T_0

    Parameters
    ----------
    entropy, enthalpy : Value
        ΔS [J/mol/K] and ΔH [J/mol]; a normal spread of ΔS becomes a log-normal one of A.
    near : Value
        T₀ [K]. The rate and its slope are exact there.

    Returns
    -------
    tuple of Value
        Frequency factor and activation energy.
    """
    attempts = nature.k * near.number / nature.h
    factor = math.exp(1.0 + math.log(attempts) + entropy.number / GAS_CONSTANT)
    spread = LogNormal(math.exp(entropy.spread.sd / GAS_CONSTANT)) if isinstance(entropy.spread, Normal) else Fixed()
    read = entropy.verified and enthalpy.verified
    return (
        Value(factor, "1/s", spread, entropy.source, read),
        Value(enthalpy.number + GAS_CONSTANT * near.number, "J/mol", enthalpy.spread, enthalpy.source, read),
    )


@dataclass(frozen=True)
class Criterion:
    """What draws the edge of a zone.

    Parameters
    ----------
    name, title : str
        Key in measures; as it is read.
    looks_at : {"cem43_min", "omega", "viability", "peak_c", "lowest_c"}
        The field that is judged.
    level : Value
        Where the edge lies.
    side : {"hot", "alive", "cold"}
        ``hot``: inside is at or above the level; the others: at or below it.
    pair : str
        Arrhenius pair, where ``looks_at`` is ``omega``.
    one_minute_c : float or None
        What the pair calls dead after one minute [°C]: A and E alone tell nothing.
    """

    name: str
    title: str
    looks_at: str
    level: Value
    side: str
    pair: str = ""
    one_minute_c: float | None = None


@cache
def criteria() -> Mapping[str, Criterion]:
    """Return every criterion for the edge of a zone: those of ``damage.yaml``, and one per Arrhenius pair at its threshold."""
    levels = {**constants("cem43"), **constants("three_state")}
    found = {
        name: Criterion(
            name, c["title"], c["looks_at"], levels[c["level_of"]] if "level_of" in c else _value(c["level"]), c["side"]
        )
        for name, c in _data()["criteria"].items()
    }
    for name, pair in arrhenius_pairs().items():
        warm = one_minute_temperature(pair)
        level = pair.threshold
        title = f"Arrhenius Ω = {level.number:.2g}, {pair.title.split(' (')[0]} (one minute at {warm:.1f} °C)"
        found[f"arrhenius_{name}"] = Criterion(f"arrhenius_{name}", title, "omega", level, "hot", name, warm)
    return found


def cem43_thresholds() -> Mapping[str, Value]:
    """Return every cited CEM43 [min] by tissue: necrosis and none in soft tissue, then those of ``tissue/tolerance.yaml``."""
    limits = {limit.applies_to: limit.as_value() for limit in tolerance.limits() if limit.quantity == "cem43_min"}
    law = constants("cem43")
    return {"soft tissue, necrosis": law["necrosis"], "soft tissue, no necrosis": law["no_necrosis"], **limits}


def arrhenius(name: str) -> Arrhenius:
    """Return one Arrhenius pair.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    pairs = arrhenius_pairs()
    if name not in pairs:
        raise InputError(
            f"There is no Arrhenius pair {name!r}.",
            "Published pairs differ by 45 K in the temperature that kills in one minute; none can stand for another.",
            f"Use one of: {', '.join(pairs)}.",
        )
    return pairs[name]


def one_minute_temperature(pair: Arrhenius, seconds: float = 60.0) -> float:
    r"""Return the temperature [°C] that reaches the pair's threshold in ``seconds``: :math:`E / (R\ln(A\,t/\Omega))`.

    Examples
    --------
    >>> round(one_minute_temperature(arrhenius("liver")), 1)
    50.1
    """
    return pair.e_over_r / (pair.log_a + math.log(seconds / pair.threshold.number)) - float(ZERO_CELSIUS)


def _samples(times_s: Array, temperature_c: Array) -> tuple[Array, Array]:
    times, temperature = np.asarray(times_s, float), np.asarray(temperature_c, float)
    if times.ndim != 1 or times.size < 2 or temperature.shape[:1] != times.shape:
        raise InputError(
            f"Times of shape {times.shape} do not fit temperatures of shape {temperature.shape}.",
            "A dose is an integral over samples in time.",
            "Give n >= 2 times and temperatures whose first axis has length n.",
        )
    if not (np.isfinite(times).all() and np.isfinite(temperature).all() and (np.diff(times) > 0).all()):
        raise InputError(
            "The times or temperatures are not finite, or time does not increase.",
            "A lost sample must not count as no heat.",
            "Leave lost samples out (the line between their neighbours is used) or report the dose as unknown.",
        )
    return times, temperature


CERTAIN_ABOVE_K = 200.0
"""So far above 43 °C a nanosecond reaches the cap; hotter samples count as this hot, because their power of two overflows."""


def _log_mean(a: Array, b: Array) -> Array:
    """Mean of a quantity that goes from a to b exponentially."""
    near = np.abs(a - b) <= 1e-4 * (a + b)
    ratio = np.where(near | (a <= 0) | (b <= 0), 2.0, np.divide(b, a, out=np.ones_like(b), where=a > 0))
    exact = (b - a) / np.log(np.where(ratio == 1.0, 2.0, ratio))
    return np.where(near | (a <= 0) | (b <= 0), 0.5 * (a + b), exact)


def cem43(times_s: Array, temperature_c: Array) -> Array:
    """Return CEM43 [min] of samples joined by straight lines.

    Parameters
    ----------
    times_s : ndarray, shape (n,)
        Increasing [s].
    temperature_c : ndarray, shape (n, ...)
        Temperature [°C].

    Returns
    -------
    ndarray, shape (...)
        Dose [min], capped at ``caps()["cem43_min"]``. Exact for piecewise linear temperatures.

    Raises
    ------
    InputError
        If shapes differ, time does not increase or a sample is not finite.

    Examples
    --------
    >>> float(cem43(np.array([0.0, 112.5]), np.array([50.0, 50.0])))
    240.0
    """
    times, temperature = _samples(times_s, temperature_c)
    law = constants("cem43")
    split, floor = law["reference_temperature"].number, law["lowest_temperature"].number
    temperature = np.minimum(temperature, split + CERTAIN_ABOVE_K)
    t0, t1 = temperature[:-1], temperature[1:]
    low, high = np.minimum(t0, t1), np.maximum(t0, t1)
    flat = high - low < 1e-9
    dose = np.zeros_like(low)
    for base, bottom, top in ((law["r_below"].number, floor, split), (law["r_above"].number, split, np.inf)):
        a, b = np.clip(low, bottom, top), np.clip(high, bottom, top)
        share = np.where(flat, (low >= bottom) & (low < top), (b - a) / np.where(flat, 1.0, high - low))
        dose += share * _log_mean(base ** (split - a), base ** (split - b))
    minutes = np.diff(times).reshape(-1, *[1] * (temperature.ndim - 1)) / 60.0
    return cast(Array, np.minimum((dose * minutes).sum(axis=0), caps()["cem43_min"]))


def omega(times_s: Array, temperature_c: Array, pair: Arrhenius) -> Array:
    """Return the Arrhenius integral Ω [1] of samples; arguments and errors as ``cem43``."""
    times, temperature = _samples(times_s, temperature_c)
    rate = pair.rate(temperature)
    seconds = np.diff(times).reshape(-1, *[1] * (temperature.ndim - 1))
    return cast(Array, (_log_mean(rate[:-1], rate[1:]) * seconds).sum(axis=0))


def dead_fraction(omega: Array | float) -> Array:
    """Return the dead fraction 1 - exp(-Ω)."""
    return cast(Array, -np.expm1(-np.asarray(omega, float)))


def three_state_death(times_s: Array, temperature_c: Array, longest_step_s: float = 0.5) -> tuple[Array, Array, Array]:
    r"""Return the fractions alive, vulnerable and dead at the end (O'Neill 2011).

    .. math:: \dot A = -k_f e^{T/T_k}(1-A)A + k_b(1-A-D), \qquad \dot D = k_f e^{T/T_k}(1-A)(1-A-D)

    Parameters
    ----------
    times_s, temperature_c : ndarray
        As ``cem43``; T in °C, straight lines between samples.
    longest_step_s : float
        Longest step of the fourth-order Runge-Kutta rule [s]; shortened where the rate asks for it.

    Returns
    -------
    tuple of ndarray
        Alive A, vulnerable V = 1 - A - D, dead D, each of shape (...).

    Raises
    ------
    InputError
        As ``cem43``.
    """
    times, temperature = _samples(times_s, temperature_c)
    c = {name: value.number for name, value in constants("three_state").items()}

    def slope(alive: Array, dead: Array, t: Array) -> tuple[Array, Array]:
        forward = c["forward_rate"] * np.exp(t / c["temperature_scale"]) * (1 - alive)
        vulnerable = 1 - alive - dead
        return -forward * alive + c["backward_rate"] * vulnerable, forward * vulnerable

    alive = np.full(temperature.shape[1:], c["alive_start"])
    dead = np.zeros_like(alive)
    for i, span in enumerate(np.diff(times)):
        fastest = c["forward_rate"] * math.exp(float(temperature[i : i + 2].max()) / c["temperature_scale"])
        count = math.ceil(span / min(longest_step_s, 0.2 / fastest))
        h = span / count
        for j in range(count):
            start, middle, end = (
                temperature[i] + (temperature[i + 1] - temperature[i]) * (j + part) / count for part in (0.0, 0.5, 1.0)
            )
            a1, d1 = slope(alive, dead, start)
            a2, d2 = slope(alive + 0.5 * h * a1, dead + 0.5 * h * d1, middle)
            a3, d3 = slope(alive + 0.5 * h * a2, dead + 0.5 * h * d2, middle)
            a4, d4 = slope(alive + h * a3, dead + h * d3, end)
            alive = alive + h / 6 * (a1 + 2 * a2 + 2 * a3 + a4)
            dead = dead + h / 6 * (d1 + 2 * d2 + 2 * d3 + d4)
    return alive, 1 - alive - dead, dead
