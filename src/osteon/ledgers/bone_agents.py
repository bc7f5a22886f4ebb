"""Bone-targeted agents: what was administered in all, and which printed bands of renal function the patient can lie in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from osteon.errors import InputError
from osteon.facts import State, Unknown
from osteon.ledgers.rows import Account, Ledger, LedgerRow
from osteon.ledgers.states import add, between, bounds, plain, shown
from osteon.ledgers.tables import sources_of, table

NEEDS_CLEARANCE = "needs creatinine clearance (ml/min, Cockcroft–Gault)"
STATED = "as printed; not a dose for this patient"


@dataclass(frozen=True)
class Dose:
    """One administration of an agent, or one daily dose kept from a day on.

    Parameters
    ----------
    agent : str
        For example ``zoledronate``.
    dose_mg : State
        [mg]
    day : datetime.date or None
        When.
    entry : str
        Where it stands in the case file.
    notes : tuple of str
        What its reader did that one should know.
    """

    agent: str
    dose_mg: State
    day: date | None = None
    entry: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Band:
    """One printed band of creatinine clearance: limits [ml/min], what is printed for it [mg] or None, and its words."""

    low: float
    high: float
    ends: str
    mg: tuple[float, float] | None
    text: str

    def holds(self, value: float) -> bool:
        """Tell whether a clearance lies in the band."""
        above = value > self.low or (value == self.low and self.ends[0] == "[")
        return above and (value < self.high or (value == self.high and self.ends[1] == "]"))

    @property
    def words(self) -> str:
        """The band and what is printed for it."""
        high = "" if self.high == float("inf") else f" to {self.high:g}"
        span = f"{self.low:g}{high}" if high else f"{'above' if self.ends[0] == '(' else 'from'} {self.low:g}"
        if self.mg is None:
            return f"{span} ml/min: {self.text}"
        amount = plain(self.mg[0]) if self.mg[0] == self.mg[1] else f"{plain(self.mg[0])} to {plain(self.mg[1])}"
        return f"{span} ml/min: {amount} mg" + (f" ({self.text})" if self.text else "")


def agent(name: str) -> Mapping[str, Any]:
    """Return the entry of an agent.

    Raises
    ------
    InputError
        If it is not in the table.
    """
    known: Mapping[str, Mapping[str, Any]] = table("bone_agents")["agents"]
    if name not in known:
        raise InputError(
            f"There is no bone-targeted agent {name!r}.",
            "Regimens and renal bands differ from agent to agent.",
            f"Write one of: {', '.join(known)}.",
        )
    return known[name]


def bands(name: str) -> tuple[Band, ...]:
    """Return the printed bands of an agent, the highest clearance first."""
    return tuple(
        Band(
            float(b["low"]),
            float("inf") if b["high"] is None else float(b["high"]),
            b["ends"],
            None if b["mg"] is None else (float(b["mg"][0]), float(b["mg"][1])),
            b.get("text", ""),
        )
        for b in agent(name)["bands"]
    )


def bands_at(name: str, clearance: State) -> tuple[Band, ...]:
    """Return every printed band that a clearance may lie in.

    Parameters
    ----------
    name : str
        The agent.
    clearance : State
        [ml/min]; unknown: every band is possible.

    Returns
    -------
    tuple of Band
        One where the clearance is known and printed; both neighbours where it falls between two printed bands, and where two
        bands print the same limit.
    """
    listed, ends = bands(name), bounds(clearance)
    if ends is None:
        return listed
    low, high = ends
    found = [b for b in listed if b.holds(low) or b.holds(high) or (low < b.low < high) or (low < b.high < high)]
    for value in ends:
        if not any(b.holds(value) for b in listed):
            above = [b for b in listed if b.low >= value]
            below = [b for b in listed if b.high <= value]
            found += above[-1:] + below[:1]
    return tuple(b for b in listed if b in found)


def cockcroft_gault(age_years: float, weight_kg: float, creatinine_umol_l: float, sex: str) -> float:
    r"""Return the creatinine clearance by Cockcroft and Gault.

    .. math:: C = \frac{k \, (140 - \text{age}) \, w}{S_{cr}}, \quad k = 1.23 \text{ (male)}, 1.04 \text{ (female)}

    Parameters
    ----------
    age_years, weight_kg, creatinine_umol_l : float
        Age, body weight w [kg], serum creatinine [µmol/l].
    sex : {"male", "female"}
        Other values are refused: the equation knows two.

    Returns
    -------
    float
        [ml/min]

    Raises
    ------
    InputError
        If a figure is outside the equation's range.

    Examples
    --------
    >>> round(cockcroft_gault(60, 75, 88.4, "male"), 1)
    83.5
    """
    k = table("bone_agents")["cockcroft_gault"]
    top = float(k["age"]["number"])
    if sex not in ("male", "female") or not (0 < age_years < top and weight_kg > 0 and creatinine_umol_l > 0):
        raise InputError(
            f"Clearance of age {age_years:g}, {weight_kg:g} kg, creatinine {creatinine_umol_l:g} µmol/l, sex {sex}.",
            "The equation of Cockcroft and Gault holds for men and women with figures above zero.",
            "Correct the figure, or enter a measured clearance.",
        )
    return float(k[sex]["number"]) * (top - age_years) * weight_kg / creatinine_umol_l


def ledger(doses: Sequence[Dose], clearance: State, today: date | None = None) -> Account:
    """Return the account of what was administered, agent by agent, with the printed bands that are possible.

    Parameters
    ----------
    doses : sequence of Dose
        In any order.
    clearance : State
        Creatinine clearance [ml/min].
    today : datetime.date, optional
        Of the chart.

    Returns
    -------
    Account
        Per agent: count, sum, last day, regimen as printed, bands.
    """
    rows: list[LedgerRow] = []
    needs: list[str] = [] if bounds(clearance) is not None or not doses else [NEEDS_CLEARANCE]
    results: dict[str, object] = {"clearance_ml_min": clearance}
    tree, sources = table("bone_agents"), list(sources_of(table("bone_agents")["cautions"]))
    for name in sorted({d.agent for d in doses}):
        listed = sorted((d for d in doses if d.agent == name), key=lambda d: (d.day is None, d.day or date.max))
        entry, possible = agent(name), bands_at(name, clearance)
        daily = entry["route"] == "oral"
        total: State = add([d.dose_mg for d in listed], f"needs every dose of {_words(name)} in mg")
        since = _since(listed, today)
        count = f"{len(listed)} {'entry' if len(listed) == 1 else 'entries'}"
        amount = f"{shown(listed[-1].dose_mg, 'mg')} a day" if daily else f"{shown(total, 'mg')} in all, {count}"
        limit = f"regimen: {entry['regimen']['text']} ({STATED})"
        rows.append(LedgerRow(_words(name), amount, limit, f"{entry['route']}; {since}"))
        lead = f"clearance {shown(clearance, 'ml/min')}" if bounds(clearance) is not None else NEEDS_CLEARANCE
        unread = "" if entry["verified"] else "; not read in its source"
        rows.append(
            LedgerRow(
                f"{_words(name)}: renal bands", lead, " | ".join(b.words for b in possible), _span(possible, STATED) + unread
            )
        )
        needs += [
            f"needs the dose in mg of {_words(name)}, {d.day or 'date unknown'}" for d in listed if bounds(d.dose_mg) is None
        ]
        sources += [*sources_of(entry["regimen"]), *(s.strip() for s in entry["bands_source"].split(";"))]
        results[name] = {"entries": len(listed), "sum_mg": total, "bands": possible}
    notes = [str(tree["cautions"]["text"]), *dict.fromkeys(n for d in doses for n in d.notes)]
    return Account(
        "bone_agents",
        "Bone-targeted agents",
        Ledger(tuple(rows)),
        (),
        tuple(needs),
        tuple(notes),
        tuple(dict.fromkeys(sources)),
        results,
    )


def _words(name: str) -> str:
    return name.replace("_iv", " (intravenous)").replace("_oral", " (oral)").replace("_", " ")


def _span(possible: Sequence[Band], tail: str) -> str:
    return f"{len(possible)} bands are possible; {tail}" if len(possible) > 1 else tail


def _since(listed: Sequence[Dose], today: date | None) -> str:
    last = listed[-1].day
    if last is None:
        return "last one: date unknown"
    ago = f", {(today - last).days} days before the chart" if today is not None else ""
    return f"last one {last.isoformat()}{ago}"


def clearance_of(age: State, weight: State, creatinine: State, sex: str | None) -> State:
    """Return the clearance from open figures: it falls with age and creatinine and grows with weight.

    Parameters
    ----------
    age, weight, creatinine : State
        [year], [kg], [µmol/l].
    sex : str or None
        male, female; else unknown.
    """
    ages, weights, levels = bounds(age), bounds(weight), bounds(creatinine)
    if ages is None or weights is None or levels is None or sex not in ("male", "female"):
        return Unknown(NEEDS_CLEARANCE)
    return between(cockcroft_gault(ages[1], weights[0], levels[1], sex), cockcroft_gault(ages[0], weights[1], levels[0], sex))
