"""Radionuclides: half-life, range, what was administered in all, and what labels state of activity and schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from math import log
from typing import Any

from osteon.errors import InputError
from osteon.facts import State, Unknown
from osteon.ledgers.rows import Account, Check, Ledger, LedgerRow
from osteon.ledgers.states import add, at_least, at_most, between, bounds, plain, said, shown, times
from osteon.ledgers.tables import sources_of, table

STATED = "what labels and papers state; not an activity for this patient"


@dataclass(frozen=True)
class Activity:
    """One administration.

    Parameters
    ----------
    nuclide : str
        For example ``Ra-223``.
    activity_mbq : State
        On the day itself [MBq].
    day : datetime.date or None
        When.
    weight_kg : State
        Of the patient on that day [kg].
    entry : str
        Where it stands in the case file.
    notes : tuple of str
        What its reader did that one should know.
    """

    nuclide: str
    activity_mbq: State
    day: date | None = None
    weight_kg: State = field(default_factory=Unknown)
    entry: str = ""
    notes: tuple[str, ...] = ()


def nuclide(symbol: str) -> Mapping[str, Any]:
    """Return the entry of a nuclide.

    Raises
    ------
    InputError
        If it is not in the table.
    """
    known: Mapping[str, Mapping[str, Any]] = table("radionuclides")["nuclides"]
    if symbol not in known:
        raise InputError(
            f"There is no nuclide {symbol!r}.",
            "A symbol that is no nuclide in use is a slip of the pen, as in the paper's table 4 (register X18).",
            f"Write one of: {', '.join(known)}.",
        )
    return known[symbol]


def half_life_days(symbol: str) -> float:
    """Return the physical half-life [day]."""
    return float(nuclide(symbol)["half_life"]["number"])


def remaining(activity_mbq: float, half_life: float, days: float) -> float:
    r"""Return the activity that is left by physical decay alone.

    .. math:: A(t) = A_0 \, 2^{-t/T_{1/2}}

    Parameters
    ----------
    activity_mbq : float
        At the start [MBq].
    half_life, days : float
        Half-life and time since [day]; a negative time looks back.

    Returns
    -------
    float
        [MBq]; excretion is not counted, so the body holds less.

    Raises
    ------
    InputError
        If the half-life is not above zero.

    Examples
    --------
    >>> remaining(148.0, 50.5, 50.5)
    74.0
    """
    if half_life <= 0:
        raise InputError(f"The half-life is {half_life:g} days.", "Nothing decays so.", "Use a number above zero.")
    return float(activity_mbq * 2.0 ** (-days / half_life))


def mass_range_mg_cm2(energy_mev: float) -> float:
    r"""Return the range of beta particles by Katz and Penfold.

    .. math:: R = 412 \, E^{\,1.265 - 0.0954 \ln E}

    Parameters
    ----------
    energy_mev : float
        Greatest energy E [MeV], 0.01 to 2.5.

    Returns
    -------
    float
        [mg/cm²]

    Raises
    ------
    InputError
        If the energy is outside the range of the formula.
    """
    if not 0.01 <= energy_mev <= 2.5:
        raise InputError(f"The energy is {energy_mev:g} MeV.", "The formula holds from 0.01 to 2.5 MeV.", "Use another source.")
    k = {name: float(entry["number"]) for name, entry in table("radionuclides")["katz_penfold"].items()}
    return float(k["a"] * energy_mev ** (k["b"] - k["c"] * log(energy_mev)))


def computed_range_mm(symbol: str, tissue: str = "water") -> float | None:
    """Return the greatest range [mm] in water (soft tissue) or ``cortical_bone``; None where the table has no beta energy."""
    entry = nuclide(symbol)
    if "energy" not in entry:
        return None
    density = float(table("radionuclides")[tissue]["number"])
    return mass_range_mg_cm2(float(entry["energy"]["number"])) / density / 100.0


def range_words(symbol: str) -> str:
    """Return printed and computed ranges side by side; the computed one is the greatest, along a straight way."""
    entry = nuclide(symbol)
    parts = []
    if "range_mm" in entry:
        below = f"{entry['range_is']} " if "range_is" in entry else "up to "
        parts.append(f"{below}{float(entry['range_mm']['number']):g} mm ({entry['range_mm']['source']})")
    soft, bone = computed_range_mm(symbol), computed_range_mm(symbol, "cortical_bone")
    if soft is not None and bone is not None:
        parts.append(f"computed at most {soft:.1f} mm in soft tissue, {bone:.1f} mm in cortical bone")
    printed = entry.get("printed", {}).get("range_mm")
    if printed and entry.get("register"):
        parts.append(f"the paper's table prints {printed} mm (register {entry['register']})")
    return "; ".join(parts) or "no range in the table"


def stated(symbol: str) -> str:
    """Return what labels and papers state of activity and schedule, in words."""
    schedule = nuclide(symbol).get("schedule", {})
    parts = []
    for key, unit in (("fixed", "MBq"), ("per_kg", "MBq/kg"), ("trial", "MBq in a trial")):
        if key in schedule:
            each = schedule[key]
            amount = f"{plain(each['low'])} to {plain(each['high'])}" if "low" in each else plain(float(each["number"]))
            parts.append(f"{amount} {unit}")
    text = " or ".join(parts)
    if "every" in schedule:
        text += f", at least {float(schedule['every']['number']):g} days apart"
    if "times" in schedule:
        text += f", up to {float(schedule['times']['number']):g} times"
    return f"{text} ({STATED})" if text else "none stated"


def ledger(given: Sequence[Activity], today: date | None = None) -> Account:
    """Return the account of what was administered, nuclide by nuclide.

    Parameters
    ----------
    given : sequence of Activity
        In any order.
    today : datetime.date, optional
        Of the chart: what is left by then.

    Returns
    -------
    Account
        Per nuclide: administrations, sum, what is left by physical decay, half-life, emission, range; rules on intervals, counts.
    """
    rows: list[LedgerRow] = []
    checks: list[Check] = []
    needs: list[str] = []
    results: dict[str, object] = {}
    sources: list[str] = []
    for symbol in sorted({a.nuclide for a in given}):
        listed = sorted((a for a in given if a.nuclide == symbol), key=lambda a: (a.day is None, a.day or date.max))
        entry = nuclide(symbol)
        total = add([a.activity_mbq for a in listed], f"needs the activity of every {symbol} administration")
        left = _left(listed, today)
        rows += _rows(symbol, entry, listed, total, left, today)
        checks += _checks(symbol, entry, listed)
        needs += [f"needs the activity in MBq of {symbol}, {_when(a)}" for a in listed if bounds(a.activity_mbq) is None]
        needs += [f"needs the day of a {symbol} administration" for a in listed if a.day is None]
        sources += [*sources_of({k: v for k, v in entry.items() if k != "printed"}), *entry.get("preliminary", ())]
        results[symbol] = {
            "times": len(listed),
            "activity_mbq": total,
            "left_mbq": left,
            "half_life_days": half_life_days(symbol),
        }
    notes = [
        "what is left is by physical decay alone; excretion is not counted",
        *dict.fromkeys(n for a in given for n in a.notes),
    ]
    if any("energy" in nuclide(s) for s in results):
        sources += sources_of(table("radionuclides")["katz_penfold"])
        notes.append("computed ranges: Katz and Penfold at the greatest beta energy, scaled by density")
    return Account(
        "radionuclides", "Radionuclides", Ledger(tuple(rows)), tuple(checks), tuple(needs), tuple(notes),
        tuple(dict.fromkeys(sources)), results,
    )  # fmt: skip


def _when(activity: Activity) -> str:
    return activity.day.isoformat() if activity.day else "date unknown"


def _left(listed: Sequence[Activity], today: date | None) -> State:
    if today is None:
        return Unknown("needs the day of the chart")
    parts = []
    for each in listed:
        if each.day is None:
            return Unknown("needs the day of every administration")
        parts.append(times(each.activity_mbq, remaining(1.0, half_life_days(each.nuclide), (today - each.day).days)))
    return add(parts, "needs the activity of every administration")


def _rows(
    symbol: str, entry: Mapping[str, Any], listed: Sequence[Activity], total: State, left: State, today: date | None
) -> list[LedgerRow]:
    rows = []
    for each in listed:
        kg, mbq = bounds(each.weight_kg), bounds(each.activity_mbq)
        per = between(mbq[0] / kg[1], mbq[1] / kg[0]) if kg is not None and mbq is not None else Unknown("needs the weight")
        note = f"{said(per, 'MBq/kg', 3)}" if kg is not None else "per kg: needs the weight"
        rows.append(LedgerRow(f"{symbol}, {_when(each)}", shown(each.activity_mbq, "MBq"), stated(symbol), note))
    count = f"{len(listed)} {'time' if len(listed) == 1 else 'times'}"
    rows.append(LedgerRow(f"{symbol}: in all", f"{shown(total, 'MBq')}, {count}", stated(symbol), entry["name"]))
    when = f" on {today.isoformat()}" if today else ""
    rows.append(LedgerRow(f"{symbol}: left{when}", said(left, "MBq", 2), "-", f"half-life {half_life_days(symbol):g} days"))
    note = f"emits {entry['emission']}" + ("; the paper calls its data preliminary" if "preliminary" in entry else "")
    rows.append(LedgerRow(f"{symbol}: range", range_words(symbol), "-", note))
    return rows


def _checks(symbol: str, entry: Mapping[str, Any], listed: Sequence[Activity]) -> list[Check]:
    schedule, checks = entry.get("schedule", {}), []
    if "every" in schedule:
        apart = float(schedule["every"]["number"])
        for a, b in pairwise(listed):
            days: State = Unknown("needs the dates")
            if a.day is not None and b.day is not None:
                days = between(float((b.day - a.day).days), float((b.day - a.day).days))
            why = f"{said(days, 'days', 0)} between {_when(a)} and {_when(b)}"
            text = f"{symbol}: at least {apart:g} days between two administrations, as the label states"
            checks.append(Check("radionuclide_interval", text, at_least(days, apart), why, sources_of(schedule["every"])))
    if "times" in schedule:
        most, count = float(schedule["times"]["number"]), float(len(listed))
        text = f"{symbol}: at most {most:g} administrations, as the label states"
        checks.append(
            Check(
                "radionuclide_count",
                text,
                at_most(between(count, count), most),
                f"{count:g} so far",
                sources_of(schedule["times"]),
            )
        )
    return checks
