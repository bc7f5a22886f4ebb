"""Morphine-equivalent totals by named tables, and the rules of breakthrough pain as rules about totals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from osteon.facts import Known, State, Unknown
from osteon.ledgers.rows import Truth
from osteon.ledgers.states import add, all_of, any_of, at_least, at_most, between, bounds, plain, times
from osteon.ledgers.tables import table

Role = Literal["background", "breakthrough"]
NO_BACKGROUND = "needs the background opioid: none is on the timeline, and the chart does not say that there is none"
TRANSMUCOSAL = ("transmucosal", "buccal", "sublingual", "nasal", "intranasal")


@dataclass(frozen=True)
class Opioid:
    """One opioid as it is taken.

    Parameters
    ----------
    drug, route : str
        For example ``oxycodone`` and ``oral``; ``fentanyl`` and ``transdermal``.
    amount : State
        A day [mg]; transdermal: per hour [µg]. Of a breakthrough opioid: the mean use of a day.
    role : {"background", "breakthrough"}
        Round the clock, or on demand.
    since, until : datetime.date or None
        At this amount since; stopped on.
    long_acting : State
        Whether it is (extended release, transdermal, methadone).
    single : State
        Of a breakthrough opioid: one use [mg].
    release : str
        immediate, extended or empty.
    entry : str
        Where it stands in the case file.
    notes : tuple of str
        What its reader did that one should know.
    """

    drug: str
    route: str
    amount: State
    role: Role = "background"
    since: date | None = None
    until: date | None = None
    long_acting: State = field(default_factory=Unknown)
    single: State = field(default_factory=Unknown)
    release: str = ""
    entry: str = ""
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Drug and route: what the tables are keyed by."""
        return f"{self.drug} {self.route}"

    @property
    def unit(self) -> str:
        """Of ``amount``."""
        return "µg/h" if self.route == "transdermal" else "mg/day"


@dataclass(frozen=True)
class Total:
    """A daily total by one table.

    Parameters
    ----------
    table : str
        Its id; a number without it has no meaning.
    total : State
        [mg oral morphine equivalent a day]; unknown where a drug has no factor or an amount is not known.
    at_least : float
        What is certain [mg/day].
    open : tuple of str
        What could not be counted, and why.
    """

    table: str
    total: State
    at_least: float
    open: tuple[str, ...] = ()


def tables() -> Mapping[str, Mapping[str, Any]]:
    """Return the tables of factors by id."""
    found: Mapping[str, Mapping[str, Any]] = table("opioids")["tables"]
    return found


def factors_at(entry: Any, amount: State) -> tuple[float, float] | None:
    """Return the least and greatest factor that an amount allows; None where the factor depends on an unknown amount.

    A factor in bands (methadone) holds for the whole amount; between two printed bands both neighbours are possible, below the
    first its factor is used.
    """
    if not isinstance(entry, Mapping):
        return float(entry), float(entry)
    bands, ends = entry["bands"], bounds(amount)
    if ends is None:
        return None
    low, high = ends
    found = [float(b["factor"]) for i, b in enumerate(bands) if _touches(bands, i, low, high)]
    return min(found), max(found)


def _touches(bands: Sequence[Mapping[str, Any]], i: int, low: float, high: float) -> bool:
    begin = 0.0 if i == 0 else float(bands[i - 1]["high"])
    stop = float("inf") if i + 1 == len(bands) else float(bands[i + 1]["low"])
    own_low = 0.0 if i == 0 else float(bands[i]["low"])
    own_high = float("inf") if bands[i]["high"] is None else float(bands[i]["high"])
    inside = high >= own_low and low <= own_high
    gap = high > begin and low < stop and not any(_printed(b, j == 0, v) for j, b in enumerate(bands) for v in (low, high))
    return inside or gap


def _printed(band: Mapping[str, Any], first: bool, value: float) -> bool:
    return (0.0 if first else float(band["low"])) <= value <= (float("inf") if band["high"] is None else float(band["high"]))


def equivalent(opioid: Opioid, table_id: str) -> State:
    """Return what one opioid amounts to by one table.

    Parameters
    ----------
    opioid : Opioid
        With its amount a day, or µg/h where transdermal.
    table_id : str
        For example ``cdc_2022``.

    Returns
    -------
    State
        [mg oral morphine equivalent a day]; an interval where the amount or the factor is open, unknown where the table has no
        factor for the drug by this route.
    """
    entry = tables()[table_id]["factors"].get(opioid.name)
    if entry is None:
        return Unknown(f"{tables()[table_id]['title']} has no factor for {opioid.name}")
    ends = bounds(opioid.amount)
    if ends is None:
        return Unknown(f"needs the amount of {opioid.name}")
    if not isinstance(entry, Mapping):
        return times(opioid.amount, float(entry))
    lows, highs = factors_at(entry, Known(ends[0])), factors_at(entry, Known(ends[1]))
    if lows is None or highs is None:
        return Unknown(f"needs the amount of {opioid.name}")
    return between(ends[0] * lows[0], ends[1] * highs[1])


def total(opioids: Sequence[Opioid], table_id: str) -> Total:
    """Return the daily total of some opioids by one table.

    Parameters
    ----------
    opioids : sequence of Opioid
        Those that count.
    table_id : str
        For example ``cdc_2022``.

    Returns
    -------
    Total
        Unknown, with what is certain, where one of them cannot be counted; zero where there is none.
    """
    each = [equivalent(o, table_id) for o in opioids]
    ends = [bounds(s) for s in each]
    open_ = tuple(dict.fromkeys(s.why for s in each if isinstance(s, Unknown)))
    return Total(table_id, add(each, "needs every amount"), sum(e[0] for e in ends if e is not None), open_)


def current(opioids: Sequence[Opioid], today: date | None) -> list[Opioid]:
    """Return the opioids that are taken on a day: not stopped before it."""
    return [o for o in opioids if o.until is None or (today is not None and o.until > today)]


def reaches(found: Total, limit: float) -> Truth:
    """Tell whether a total reaches a limit; what is certain may decide although the rest is open."""
    return "true" if found.at_least >= limit - 1e-9 else at_least(found.total, limit)


def lasted(opioids: Sequence[Opioid], days: float, today: date | None) -> Truth:
    """Tell whether every one of some opioids has been taken at this amount for some days."""
    if today is None:
        return "unknown"
    told: list[Truth] = []
    for each in opioids:
        told.append("unknown" if each.since is None else "true" if (today - each.since).days >= days else "false")
    return all_of(told)


def background_rule(opioids: Sequence[Opioid], table_id: str, today: date | None, none: bool = False) -> Truth:
    """Judge the paper's rule on the long-acting background: at least 60 mg a day by one table, for at least a week.

    Only what was taken for the week counts; where that cannot be told the answer is unknown. ``none``: the chart says that
    there is no background opioid; where none is entered and the chart does not say so, the answer is unknown.
    """
    rule = table("opioids")["rules"]["background_60"]
    limit, days = float(rule["mg"]["number"]), float(rule["days"]["number"])
    if not any(o.role == "background" for o in opioids):
        return "false" if none else "unknown"
    background = [o for o in opioids if o.role == "background" and o.long_acting != Known(False)]
    possible = [o for o in background if lasted([o], days, today) != "false"]
    certain = [o for o in possible if lasted([o], days, today) == "true" and o.long_acting == Known(True)]
    if reaches(total(certain, table_id), limit) == "true":
        return "true"
    return "false" if reaches(total(possible, table_id), limit) == "false" else "unknown"


def label_rule(opioids: Sequence[Opioid], today: date | None, none: bool = False) -> tuple[Truth, str]:
    """Judge the label's list of tolerant amounts drug by drug: 30 mg oxycodone counts, although it is 45 mg by the tables."""
    rules = table("opioids")["rules"]
    amounts, days = rules["label_tolerance"]["amounts"], float(rules["background_60"]["days"]["number"])
    truths: list[Truth] = []
    shares: list[tuple[float, float] | None] = []
    told = []
    for each in (o for o in opioids if o.role == "background"):
        week = lasted([each], days, today)
        if each.name not in amounts:
            truths.append("false" if week == "false" else "unknown")
            told.append(f"{each.name} is not on the label's list")
            continue
        limit, ends = float(amounts[each.name]), bounds(each.amount)
        truths.append(all_of([week, at_least(each.amount, limit)]))
        told.append(f"{each.name} against {plain(limit)} {each.unit}")
        if week != "false":
            shares.append(None if ends is None else (ends[0] / limit, ends[1] / limit))
    if not told:
        return ("false", "no opioid is taken round the clock") if none else ("unknown", NO_BACKGROUND)
    truth = any_of(truths)
    together = sum(1.0 if s is None else s[1] for s in shares)
    if truth == "false" and len(shares) > 1 and together >= 1.0:
        return "unknown", "; ".join(
            told
        ) + "; several together may reach it: the label names single drugs, so this is to be judged"
    return truth, "; ".join(told)


def one_sixth_rule(opioids: Sequence[Opioid], breakthrough: Opioid, table_id: str) -> Truth | None:
    """Judge an entered breakthrough dose against a sixth of the background total; None where the rule does not apply.

    It applies to oral immediate-release opioids only.
    """
    if breakthrough.route != "oral" or breakthrough.release == "extended":
        return None
    share = float(table("opioids")["rules"]["one_sixth"]["share"]["number"])
    whole = total([o for o in opioids if o.role == "background"], table_id)
    single = equivalent(Opioid(breakthrough.drug, breakthrough.route, breakthrough.single), table_id)
    use, ends = bounds(single), bounds(whole.total)
    if not any(o.role == "background" for o in opioids):
        return "unknown"
    if use is not None and use[1] <= whole.at_least * share + 1e-6:
        return "true"
    if use is None or ends is None or breakthrough.release != "immediate":
        return "unknown"
    if ends[0] == ends[1] and use[0] == use[1]:
        return "true" if use[1] <= ends[0] * share + 1e-6 else "false"
    return "false" if use[0] > ends[1] * share + 1e-6 else "unknown"


def episodes_rule(episodes: State) -> Truth:
    """Judge the number of episodes of breakthrough pain a day."""
    return at_most(episodes, float(table("opioids")["rules"]["episodes"]["most"]["number"]))
