"""The ledger of opioids: what is taken, totals by every table, and the rules of breakthrough pain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from osteon.facts import State, Unknown
from osteon.ledgers import opioids as op
from osteon.ledgers.rows import Account, Check, Ledger, LedgerRow, Truth
from osteon.ledgers.states import bounds, said, shown, truth_of
from osteon.ledgers.tables import sources_of, table


def ledger(
    opioids: Sequence[op.Opioid],
    episodes: State | None = None,
    controlled: State | None = None,
    today: date | None = None,
    none: bool = False,
    charted: State | None = None,
) -> Account:
    """Return the account of the opioids that are taken.

    Parameters
    ----------
    opioids : sequence of Opioid
        Of the timeline; those stopped before ``today`` do not count.
    episodes : State, optional
        Breakthrough episodes a day.
    controlled : State, optional
        Whether the background pain is controlled.
    today : datetime.date, optional
        Of the chart.
    none : bool
        Whether the chart says that no opioid is taken round the clock.
    charted : State, optional
        Background as the chart states it [mg oral morphine equivalent a day]; held against the totals, never mixed into them.

    Returns
    -------
    Account
        One total per table with its name and "not for rotation"; rules in three values.
    """
    tree = table("opioids")
    taken = op.current(opioids, today)
    background = [o for o in taken if o.role == "background"]
    rows = [_row(o) for o in taken]
    totals: dict[str, dict[str, op.Total]] = {}
    for table_id, entry in _tables(taken):
        whole, base = op.total(taken, table_id), op.total(background, table_id)
        totals[table_id] = {"background": base, "all": whole}
        note = str(tree["warning"]) + ("" if entry["verified"] else "; factors not read in their source")
        amount = _amount(base) if background or none else f"cannot tell: {op.NO_BACKGROUND}"
        rows.append(LedgerRow(f"background by {entry['title']}", amount, "-", note))
        if len(background) != len(taken):
            rows.append(LedgerRow(f"with breakthrough use by {entry['title']}", _amount(whole), "-", note))
    checks = _checks(taken, episodes or Unknown(), controlled or Unknown(), today, none)
    needs = [f"needs the amount of {o.name} ({o.unit})" for o in taken if bounds(o.amount) is None]
    needs += [] if background or none else [op.NO_BACKGROUND]
    needs += [f"needs since when {o.name} is taken at this amount" for o in background if o.since is None]
    needs += [f"needs whether {o.name} is long-acting" for o in background if truth_of(o.long_acting) == "unknown"]
    needs += ["needs the number of breakthrough episodes a day"] if op.episodes_rule(episodes or Unknown()) == "unknown" else []
    needs += ["needs whether the background pain is controlled"] if truth_of(controlled or Unknown()) == "unknown" else []
    stopped = _disagrees(charted or Unknown(), [t["background"] for t in totals.values()])
    stopped += [f"{o.name}: stopped {o.until}, not counted" for o in opioids if o not in taken]
    sources = [str(e["source"]) for _, e in _tables(taken)] + [s for c in checks for s in c.sources]
    return Account(
        "opioids",
        "Opioids, as oral morphine equivalents a day",
        Ledger(tuple(rows)),
        tuple(checks),
        tuple(dict.fromkeys(needs)),
        (
            str(tree["warning"]),
            "the tables disagree; each total is named by its table",
            *stopped,
            *dict.fromkeys(n for o in opioids for n in o.notes),
        ),
        tuple(dict.fromkeys(sources)),
        {"totals_mg_day": totals, "not_for_rotation": True},
    )


def _disagrees(charted: State, found: Sequence[op.Total]) -> list[str]:
    """Say where the chart's own figure of the background lies outside the totals of every table."""
    told = bounds(charted)
    ends = [e for e in (bounds(t.total) for t in found) if e is not None]
    if told is None or not ends or (told[1] >= min(e[0] for e in ends) - 0.5 and told[0] <= max(e[1] for e in ends) + 0.5):
        return []
    spans = f"{min(e[0] for e in ends):.1f} to {max(e[1] for e in ends):.1f}"
    said_ = f"the chart states a background of {shown(charted, 'mg/day')}, the timeline amounts to {spans} by these tables"
    return [f"{said_}: the two disagree"]


def _row(opioid: op.Opioid) -> LedgerRow:
    since = f"since {opioid.since.isoformat()}" if opioid.since else "since when: not known"
    kind = "; ".join(x for x in (opioid.role, opioid.release and f"{opioid.release} release", since) if x)
    amount = shown(opioid.amount, opioid.unit)
    if opioid.role == "breakthrough" and bounds(opioid.single) is not None:
        amount = f"{amount} on average, single use {shown(opioid.single, 'mg')}"
    return LedgerRow(opioid.name, amount, "-", kind)


def _amount(found: op.Total) -> str:
    if not found.open:
        return said(found.total, "mg/day")
    certain = f"at least {found.at_least:.1f} mg/day; " if found.at_least else ""
    return f"{certain}cannot tell the whole: {'; '.join(found.open)}"


def _tables(taken: Sequence[op.Opioid]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return every table, but one that was not read in its source only where it has a factor for something that is taken."""
    return [(k, t) for k, t in op.tables().items() if t["verified"] or any(o.name in t["factors"] for o in taken)]


def _checks(taken: Sequence[op.Opioid], episodes: State, controlled: State, today: date | None, none: bool) -> list[Check]:
    rules = table("opioids")["rules"]
    background = [o for o in taken if o.role == "background"]
    checks = []
    rule = rules["background_60"]
    for table_id, entry in _tables(taken):
        truth = op.background_rule(taken, table_id, today, none)
        why = f"{entry['title']}: {_amount(op.total(background, table_id))}; {_weeks(background, today)}"
        checks.append(
            Check(
                f"background_60.{table_id}",
                f"{rule['text']} ({entry['title']})",
                truth,
                why,
                (*sources_of(rule), entry["source"]),
            )
        )
    truth, why = op.label_rule(taken, today, none)
    checks.append(Check("label_tolerance", rules["label_tolerance"]["text"], truth, why, sources_of(rules["label_tolerance"])))
    why = f"{shown(episodes, 'a day')}; {rules['intensity']['text']}"
    both = (*sources_of(rules["episodes"]), *sources_of(rules["intensity"]))
    checks.append(Check("episodes", rules["episodes"]["text"], op.episodes_rule(episodes), why, both))
    checks.append(
        Check(
            "controlled",
            rules["controlled"]["text"],
            truth_of(controlled),
            _yes(truth_of(controlled)),
            sources_of(rules["controlled"]),
        )
    )
    for each in (o for o in taken if o.role == "breakthrough"):
        checks += _breakthrough(taken, each)
    return checks


def _breakthrough(taken: Sequence[op.Opioid], each: op.Opioid) -> list[Check]:
    rules = table("opioids")["rules"]
    if each.drug == "fentanyl" and each.route in op.TRANSMUCOSAL:
        return [Check("transmucosal", rules["transmucosal"]["text"], "true", each.name, sources_of(rules["transmucosal"]))]
    rule, checks = rules["one_sixth"], []
    for table_id, entry in _tables(taken):
        truth = op.one_sixth_rule(taken, each, table_id)
        if truth is None:
            return []
        why = f"{each.name}, single use {shown(each.single, 'mg')}; background by {entry['title']}: "
        why += _amount(op.total([o for o in taken if o.role == "background"], table_id))
        why += "" if each.release == "immediate" else "; needs release: immediate or extended"
        checks.append(
            Check(f"one_sixth.{table_id}", f"{rule['text']} ({entry['title']})", truth, why, (*sources_of(rule), entry["source"]))
        )
    return checks


def _weeks(background: Sequence[op.Opioid], today: date | None) -> str:
    days = [(today - o.since).days if today is not None and o.since is not None else None for o in background]
    return (
        "for " + ", ".join("an unknown time" if d is None else f"{d} days" for d in days)
        if days
        else "no background opioid is on the timeline"
    )


def _yes(truth: Truth) -> str:
    return {"true": "entered as controlled", "false": "entered as not controlled", "unknown": "not entered"}[truth]
