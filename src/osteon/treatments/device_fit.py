"""From zones that a site measured to a device entry of its own: net power, spread, and the error on zones that were held out.

One number is fitted: the factor on the power that reaches the tissue. Geometry, wavelength and all else stay those of the device
that the rows name. A fit answers for its medium, its criterion and its range of settings, and says so.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from osteon.errors import InputError, MissingError
from osteon.physics import damage
from osteon.space.volume import Array
from osteon.treatments.device_fit_bench import BENCHES, Bench

COLUMNS = ("device", "power_w", "time_s", "long_mm", "short_mm", "medium", "temperature_c")
FEWEST = 4  # rows: one factor, and a held-out error that is more than a residual
CONTRADICT = 2.5  # rows whose own best factors differ by more than this cannot come from one device
FACTORS = (0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8)  # of the net power, simulated; between them straight lines in logarithms
SHRINKS = 0.8  # a zone of more power and more time with both axes below this share of another's contradicts it
LEAST_GSD = 1.03  # spread that a fit never goes below: callipers read to a millimetre
SCHEMA = "osteon-device-fit/1"


@dataclass(frozen=True)
class Measured:
    """One measured zone: what was set, its axes along and across the needle, the medium and its temperature."""

    line: int
    device: str
    power_w: float
    time_s: float
    long_mm: float
    short_mm: float
    medium: str
    temperature_c: float


@dataclass(frozen=True)
class HeldOut:
    """One row predicted by a fit to all others: factor of that fit, error (predicted less measured) of each axis [mm]."""

    line: int
    factor: float
    long_error_mm: float
    short_error_mm: float


@dataclass(frozen=True)
class Fit:
    """The outcome.

    Parameters
    ----------
    treatment, device, criterion : str
        What was fitted, and by which criterion the simulated zone was measured.
    factor : float
        On the net power that the shipped entry would give.
    spread_gsd : float
        Geometric standard deviation of the rows' own best factors.
    net_power_fraction : float
        Mean share of the displayed power that reaches the tissue, with the factor.
    own_factors : tuple of float
        Best factor of every row.
    held_out : tuple of HeldOut
        Leave one out.
    long_rms_mm, short_rms_mm, worst_mm : float
        Of the held-out errors.
    rows : tuple of Measured
        What it was fitted to.
    """

    treatment: str
    device: str
    criterion: str
    factor: float
    spread_gsd: float
    net_power_fraction: float
    own_factors: tuple[float, ...]
    held_out: tuple[HeldOut, ...]
    long_rms_mm: float
    short_rms_mm: float
    worst_mm: float
    rows: tuple[Measured, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the fit as ``osteon-device-fit/1``."""
        held = [{"line": h.line, "factor": h.factor, "long_error_mm": h.long_error_mm, "short_error_mm": h.short_error_mm}
                for h in self.held_out]  # fmt: skip
        return {
            "schema": SCHEMA, "treatment": self.treatment, "device": self.device, "criterion": self.criterion,
            "power_factor": self.factor, "spread_gsd": self.spread_gsd, "net_power_fraction": self.net_power_fraction,
            "own_factors": list(self.own_factors), "held_out": held, "held_out_long_rms_mm": self.long_rms_mm,
            "held_out_short_rms_mm": self.short_rms_mm, "held_out_worst_mm": self.worst_mm, "rows": len(self.rows),
        }  # fmt: skip


def read_rows(path: Path) -> list[Measured]:
    """Read a CSV with the columns of ``COLUMNS``.

    Raises
    ------
    MissingError
        If there is no such file.
    InputError
        If a column is missing, or a row holds what is not a positive number (temperature: a number from 0 to 45 °C).
    """
    if not path.is_file():
        raise MissingError(f"There is no file {path}.", "A fit needs measured zones.", f"Give a CSV with {', '.join(COLUMNS)}.")
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        lacking = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if lacking:
            raise InputError(
                f"{path.name} has the columns {', '.join(reader.fieldnames or ()) or 'none'}; {', '.join(lacking)} is missing.",
                "Power, time, axes, medium and temperature decide a zone; none can be guessed.",
                f"Give a CSV with {', '.join(COLUMNS)}.",
            )
        return [_row(path, reader.line_num, row) for row in reader]


def _row(path: Path, line: int, row: Mapping[str, Any]) -> Measured:
    numbers = {}
    for name in ("power_w", "time_s", "long_mm", "short_mm", "temperature_c"):
        try:
            value = float(row[name])
        except (TypeError, ValueError):
            value = math.nan
        if not (0.0 <= value <= 45.0 if name == "temperature_c" else 0.0 < value < 1e5):
            raise InputError(
                f"{path.name}, line {line}: {name} is {row[name]!r}.",
                "A zone without it cannot be compared with a simulation.",
                f"Give {'0 to 45 °C' if name == 'temperature_c' else 'a positive number'}, or leave the row out.",
            )
        numbers[name] = value
    words = {name: (row[name] or "").strip() for name in ("device", "medium")}
    if not all(words.values()):
        raise InputError(
            f"{path.name}, line {line}: device is {row['device']!r}, medium {row['medium']!r}.",
            "Both decide what is simulated.",
            "Fill in both.",
        )
    return Measured(line, words["device"], numbers["power_w"], numbers["time_s"], numbers["long_mm"], numbers["short_mm"],
                    words["medium"].lower(), numbers["temperature_c"])  # fmt: skip


def fit(
    rows: Sequence[Measured],
    treatment: str = "microwave",
    criterion: str = "arrhenius_liver",
    observe: Callable[[float], None] | None = None,
    bench: Bench | None = None,
) -> Fit:
    r"""Return the factor on the net power that brings the simulated zones nearest to the measured ones.

    .. math:: \min_\phi \sum_i \left[\ln^2\frac{a_i(\phi)}{\hat a_i} + \ln^2\frac{b_i(\phi)}{\hat b_i}\right]

    Parameters
    ----------
    rows : sequence of Measured
        At least ``FEWEST``, of one device.
    treatment : str
        Whose quick simulation predicts: a key of ``device_fit_bench.BENCHES``.
    criterion : str
        A key of ``damage.criteria()``, by which the edge of the simulated zone is drawn.
    observe : callable, optional
        Called with the fraction done.
    bench : Bench, optional
        Another way to predict zones than that of ``treatment``.

    Raises
    ------
    InputError
        If rows are too few, of several devices, contradict each other, or no net power explains them.
    """
    used = bench if bench is not None else _bench(treatment)
    _check(rows, criterion)
    _grow(rows)
    sizes, shares = _predicted(rows, used, criterion, observe)
    measured = np.log([[r.long_mm, r.short_mm] for r in rows])
    fine = np.geomspace(FACTORS[0], FACTORS[-1], 2001)
    logs = np.stack([[np.interp(np.log(fine), np.log(FACTORS), sizes[i, :, k]) for k in range(2)] for i in range(len(rows))])
    misses = ((logs - measured[:, :, None]) ** 2).sum(axis=1)  # row, factor
    own = fine[misses.argmin(axis=1)]
    _agree(rows, own)
    best = int(misses.sum(axis=0).argmin())
    if best in (0, fine.size - 1):
        raise InputError(
            f"The rows ask for {fine[best]:.2g} times the net power of {rows[0].device} or beyond.",
            "So far from the shipped entry the cause is another: the device, the medium, the units or the criterion.",
            "Check device, medium, units and which zone was measured; or name another --criterion.",
        )
    held = []
    for i, row in enumerate(rows):
        j = int((misses.sum(axis=0) - misses[i]).argmin())
        long_mm, short_mm = np.exp(logs[i, :, j])
        held.append(HeldOut(row.line, float(fine[j]), float(long_mm - row.long_mm), float(short_mm - row.short_mm)))
    errors = np.array([[h.long_error_mm, h.short_error_mm] for h in held])
    rms = np.sqrt((errors**2).mean(axis=0))
    share = float(np.mean([np.interp(math.log(fine[best]), np.log(FACTORS), s) for s in shares]))
    if share > 1.0:
        raise InputError(
            f"The rows ask for {share:.2f} W in the tissue for every watt displayed.",
            "A device does not give more than it takes.",
            "Check whether power_w is what the generator showed, and which zone was measured.",
        )
    return Fit(
        treatment=treatment, device=rows[0].device, criterion=criterion, factor=float(fine[best]),
        spread_gsd=max(LEAST_GSD, float(np.exp(np.std(np.log(own), ddof=1)))), net_power_fraction=share,
        own_factors=tuple(float(v) for v in own), held_out=tuple(held), long_rms_mm=float(rms[0]), short_rms_mm=float(rms[1]),
        worst_mm=float(np.abs(errors).max()), rows=tuple(rows),
    )  # fmt: skip


def _bench(treatment: str) -> Bench:
    if treatment not in BENCHES:
        raise InputError(
            f"Zones of {treatment!r} cannot be fitted yet.",
            "A fit needs a quick simulation of that treatment in a uniform medium.",
            f"Use one of: {', '.join(BENCHES)}.",
        )
    return BENCHES[treatment]


def _check(rows: Sequence[Measured], criterion: str) -> None:
    if len(rows) < FEWEST:
        raise InputError(
            f"There are {len(rows)} rows.",
            "One factor fits any single zone; its spread and its error on zones it has not seen need more.",
            f"Give at least {FEWEST} zones, of different power or time.",
        )
    devices = sorted({row.device for row in rows})
    if len(devices) > 1:
        raise InputError(
            f"The rows name {len(devices)} devices: {', '.join(devices)}.",
            "Each has its own net power.",
            "Give one file per device.",
        )
    settings = {(row.power_w, row.time_s) for row in rows}
    if len(settings) < 2:
        raise InputError(
            f"All {len(rows)} rows have {rows[0].power_w:g} W and {rows[0].time_s:g} s.",
            "Repetitions of one setting tell nothing about another one.",
            "Add zones of another power or time.",
        )
    if criterion not in damage.criteria():
        raise InputError(
            f"There is no criterion {criterion!r}.",
            "The edge of the simulated zone is drawn by it.",
            f"Use one of: {', '.join(damage.criteria())}.",
        )


def _grow(rows: Sequence[Measured]) -> None:
    for a in rows:
        for b in rows:
            more = b.power_w >= a.power_w and b.time_s >= a.time_s and (a.medium, a.temperature_c) == (b.medium, b.temperature_c)
            if more and b.long_mm < SHRINKS * a.long_mm and b.short_mm < SHRINKS * a.short_mm:
                raise InputError(
                    f"Line {b.line} ({b.power_w:g} W, {b.time_s:g} s) is {b.long_mm:g} x {b.short_mm:g} mm, line {a.line} with "
                    f"no more power and time ({a.power_w:g} W, {a.time_s:g} s) {a.long_mm:g} x {a.short_mm:g} mm.",
                    "No net power makes a zone shrink with power and time; a fit to both would fit neither.",
                    "Check the units and axes of these rows, or leave out a failed treatment and say so.",
                )


def _agree(rows: Sequence[Measured], own: Array) -> None:
    low, high = int(own.argmin()), int(own.argmax())
    if own[high] / own[low] > CONTRADICT:
        a, b = rows[low], rows[high]
        raise InputError(
            f"Line {a.line} ({a.power_w:g} W, {a.time_s:g} s: {a.long_mm:g} x {a.short_mm:g} mm) asks for "
            f"{own[low]:.2f} of the net power, line {b.line} ({b.power_w:g} W, {b.time_s:g} s: {b.long_mm:g} x "
            f"{b.short_mm:g} mm) for {own[high]:.2f}.",
            "Zones of one device cannot differ so much; a fit to both would fit neither.",
            "Check the units, axes, media and temperatures of these rows, or fit them apart.",
        )


def _predicted(
    rows: Sequence[Measured], bench: Bench, criterion: str, observe: Callable[[float], None] | None
) -> tuple[Array, list[Array]]:
    """Return log axes (row, factor, axis) and the net share of the displayed power (factor) of every group of equal power."""
    sizes = np.zeros((len(rows), len(FACTORS), 2))
    groups: dict[tuple[str, float, str, float], list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault((row.device, row.power_w, row.medium, row.temperature_c), []).append(i)
    shares, done = [], 0
    for (device, power, medium, temperature), members in groups.items():
        times = [rows[i].time_s for i in members]
        share = np.zeros(len(FACTORS))
        for j, factor in enumerate(FACTORS):
            found, share[j] = bench.zones(device, power * factor, power, medium, temperature, times, criterion)
            for i, axes in zip(members, found):
                sizes[i, j] = np.log(np.maximum(axes, 0.1))  # 0.1 mm: no zone at all
            done += 1
            if observe is not None:
                observe(done / (len(groups) * len(FACTORS)))
        shares.append(share)
    return sizes, shares


def entry_of(found: Fit, base: Mapping[str, Any], date: str, digest: str, bench: Bench | None = None) -> dict[str, Any]:
    """Return the device entry of a fit: that of the shipped device with the fitted net power, and ``fitted`` that tells how.

    Parameters
    ----------
    found : Fit
        The outcome.
    base : mapping
        The shipped entry.
    date : str
        Of the fit, ISO.
    digest : str
        SHA-256 of the file of zones.
    bench : Bench, optional
        As in ``fit``.

    Raises
    ------
    InputError
        If the device cannot be given so much power.
    """
    used = bench if bench is not None else _bench(found.treatment)
    entry = used.with_power(base, found.factor, found.spread_gsd)
    media = sorted({f"{row.medium} at {row.temperature_c:g} °C" for row in found.rows})
    return {
        **entry,
        "title": f"{base['title']} (fitted {date})",
        "fitted": {
            "date": date, "treatment": found.treatment, "base": found.device, "rows": len(found.rows), "file_sha256": digest,
            "media": media, "criterion": found.criterion,
            "power_w": [min(r.power_w for r in found.rows), max(r.power_w for r in found.rows)],
            "time_s": [min(r.time_s for r in found.rows), max(r.time_s for r in found.rows)],
            "power_factor": round(found.factor, 4),
            "net_power_fraction": {
                "value": round(found.net_power_fraction, 4), "unit": "1", "spread": {"lognormal": round(found.spread_gsd, 4)},
                "source": "site-measurement", "verified": False,
            },
            "held_out_rms_mm": {"long": round(found.long_rms_mm, 2), "short": round(found.short_rms_mm, 2)},
            "held_out_worst_mm": round(found.worst_mm, 2),
            "note": "Answers for these media, settings and this criterion only; nothing here was measured in bone of a patient.",
        },
    }  # fmt: skip


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return sha256(path.read_bytes()).hexdigest()


def name_of(found: Fit, date: str) -> str:
    """Return the id of the fitted device."""
    return f"{found.device}-fitted-{date}"
