"""Section 5 of the page, every treatment: one line each with the decisive reason, and behind it all that is known of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from osteon.numerics.proportions import exact_interval
from osteon.report import words
from osteon.report.content import Row, treatment_title, treatment_words
from osteon.selection.combine import Combination, combinations
from osteon.selection.dominance import NO_EVIDENCE, Compared, Covered, compared, covered
from osteon.selection.explain import STATUS_ORDER, STATUS_WORDS, VARIANT_WORDS, label, one_line
from osteon.selection.policies import policies
from osteon.selection.rules import conflicts
from osteon.selection.verdicts import OPEN, Reason, Verdict
from osteon.selection.views import SPECIALTY_WORDS, sheet_of, specialties_of
from osteon.selection.whatif import answers, states_at, would_change
from osteon.treatments.rows import NONE_STATED, PROFILE, SPECIALTIES, Item, Sheet

if TYPE_CHECKING:
    from osteon.pathway import Journey
    from osteon.selection.answer import Answer

ON_HOLD = "on hold until the red flag above is dealt with"
VARIANT_TONE = {"true": "good", "false": "quiet", "unknown": "open"}


@dataclass(frozen=True)
class Group:
    """Some reasons under one heading."""

    heading: str
    tone: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Stated:
    """One parameter, complication, outcome or part of the profile, in words, with its exact interval where there is a count."""

    name: str
    text: str
    figure: str
    time: str
    source: tuple[str, ...]
    conflicts: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class Table:
    """What sources state of one side of a treatment; empty: none stated; ``unstated``: parts of the profile without a word."""

    title: str
    rows: tuple[Stated, ...]
    unstated: tuple[str, ...] = ()


@dataclass(frozen=True)
class TreatmentRow:
    """One treatment for one lesion under the policy asked for.

    Parameters
    ----------
    anchor, title, line : str
        Where it stands on the page; what it is; the decisive reason in one line.
    others : tuple of Row
        Its status under the other policies.
    groups, variants : tuple of Group
        The reasons that bear on it; schedules, approaches and drugs that suit, do not, or cannot be told.
    changes : tuple of str
        What would change the status.
    tables : tuple of Table
        Profile, parameters, complications, outcomes; None where the catalogue does not know the row.
    faded : Covered or None
        By which open rows it is covered, and why.
    """

    anchor: str
    title: str
    status: str
    tone: str
    line: str
    specialties: tuple[str, ...]
    others: tuple[Row, ...]
    groups: tuple[Group, ...]
    variants: tuple[Group, ...]
    changes: tuple[str, ...]
    quiet: int
    missing: tuple[str, ...]
    more_missing: int
    tables: tuple[Table, ...] | None
    faded: Covered | None
    held: str
    verdict: Verdict

    @property
    def open(self) -> bool:
        """Whether it may be done."""
        return self.verdict.status in OPEN


@dataclass(frozen=True)
class Section:
    """Everything that the page says about the treatments of one lesion.

    Parameters
    ----------
    groups : tuple of (status in words, tone, rows)
        Every row, in the order of the statuses.
    shut : tuple of (status in words, tone, (reason, rows))
        The rows that are not open, those with one reason together.
    disagreements : tuple of (id, title, decision)
        Of the decision register.
    specialties : tuple of (key, words, number of rows)
        Views that hold some rows but not all.
    """

    groups: tuple[tuple[str, str, tuple[TreatmentRow, ...]], ...]
    shut: tuple[tuple[str, str, tuple[tuple[str, tuple[TreatmentRow, ...]], ...]], ...]
    orders: tuple[Combination, ...]
    compared: tuple[Compared, ...]
    without_evidence: bool
    disagreements: tuple[tuple[str, str, str], ...]
    specialties: tuple[tuple[str, str, int], ...]

    def __bool__(self) -> bool:
        """Tell whether any treatment was judged."""
        return bool(self.groups)


MOST_MISSING = 4
"""Ways to decide a row that are written out; the others are counted."""


def section_of(journey: Journey, lesion_id: str, *, changes: bool = True) -> Section:
    """Return every treatment of a lesion, grouped by status under the policy asked for; ``changes``: and what would change it."""
    verdicts = journey.verdicts
    listed = [v for v in verdicts.verdicts if v.lesion_id == lesion_id]
    asked = answers(journey.assessment, verdicts, lesion_id) if changes else {}
    states = states_at(journey.assessment, verdicts, lesion_id)
    faded = {c.treatment: c for c in covered(verdicts, lesion_id, states)}
    rows = [_row(journey, v, listed, asked, faded) for v in listed if v.policy == verdicts.policy]
    groups = tuple(
        (STATUS_WORDS[s], words.STATUS_TONE[s], tuple(r for r in rows if r.verdict.status == s))
        for s in STATUS_ORDER
        if any(r.verdict.status == s for r in rows)
    )
    orders = combinations(verdicts, lesion_id, states)
    evidence = compared(verdicts, lesion_id)
    return Section(
        groups=groups,
        shut=tuple((said, tone, _by_line(each)) for said, tone, each in groups if not each[0].open),
        orders=orders,
        compared=evidence,
        without_evidence=sum(r.open for r in rows) > 1 and not evidence,
        disagreements=_disagreements(rows, orders, evidence),
        specialties=tuple(
            (s, SPECIALTY_WORDS[s], n) for s in SPECIALTIES if (n := sum(s in r.specialties for r in rows)) and n < len(rows)
        ),
    )


def _by_line(rows: Iterable[TreatmentRow]) -> tuple[tuple[str, tuple[TreatmentRow, ...]], ...]:
    """Return rows that share their decisive reason together; how many more reasons there are stands in the row itself."""
    found: dict[str, list[TreatmentRow]] = {}
    for row in rows:
        found.setdefault(words.sentence(one_line(row.verdict, count=False)), []).append(row)
    return tuple((line, tuple(each)) for line, each in found.items())


def _row(
    journey: Journey,
    verdict: Verdict,
    listed: Iterable[Verdict],
    asked: Mapping[str, Answer],
    faded: Mapping[str, Covered],
) -> TreatmentRow:
    name, groups = verdict.treatment, groups_of(verdict)
    others = tuple(
        Row(v.policy, STATUS_WORDS[v.status], "", words.STATUS_TONE[v.status])
        for v in listed
        if v.treatment == name and v.policy != verdict.policy and v.status != verdict.status
    )
    told = sheet_of(name)
    changes = would_change(asked[name], journey.verdicts) if name in asked else ()
    missing = [words.joined([label(f) for f in facts]) for facts in verdict.missing]
    return TreatmentRow(
        anchor=f"row-{verdict.lesion_id}-{name}",
        title=treatment_title(name),
        status=STATUS_WORDS[verdict.status],
        tone=words.STATUS_TONE[verdict.status],
        line=words.sentence(one_line(verdict)),
        specialties=specialties_of(name),
        others=others,
        groups=groups,
        variants=variants_of(verdict),
        changes=tuple(words.sentence(c.said) + "." for c in changes),
        quiet=len(verdict.reasons) - sum(len(g.reasons) for g in groups),
        missing=tuple(missing[:MOST_MISSING]),
        more_missing=max(0, len(missing) - MOST_MISSING),
        tables=tables_of(told) if told is not None else None,
        faded=faded.get(name),
        held=ON_HOLD if verdict.on_hold else "",
        verdict=verdict,
    )


def groups_of(verdict: Verdict) -> tuple[Group, ...]:
    """Return the reasons that bear on a verdict, the decisive first."""

    def pick(*wanted: tuple[str, str]) -> tuple[Reason, ...]:
        return tuple(r for r in verdict.reasons if (r.kind, r.truth) in wanted)

    found = (
        Group("Excluded because", "stop", pick(("exclusion", "true"))),
        Group("Not met", "stop", pick(("requirement", "false"))),
        Group("Cannot tell", "open", pick(("exclusion", "unknown"), ("requirement", "unknown"))),
        Group("Caution", "care", pick(("caution", "true"))),
        Group("To check", "open", pick(("caution", "unknown"))),
        Group("Speaks for it", "good", pick(("support", "true"))),
    )
    if verdict.status == "outside_scope":  # what else would be asked of a metastasis is not asked here
        return found[:1]
    return tuple(g for g in found if g.reasons)


def variants_of(verdict: Verdict) -> tuple[Group, ...]:
    """Return the schedules, approaches and drugs of a row: those that suit, cannot be told, and do not suit."""
    order = ("true", "unknown", "false")
    found = (Group(VARIANT_WORDS[t], VARIANT_TONE[t], tuple(r for r in verdict.variants if r.truth == t)) for t in order)
    return tuple(g for g in found if g.reasons)


def tables_of(sheet: Sheet) -> tuple[Table, ...]:
    """Return what is stated of a treatment beside its rules: profile, complications, outcomes, parameters."""
    profile = sheet.profile or {}
    shown = tuple(stated(profile[k]) for k in PROFILE if k in profile and profile[k].text != NONE_STATED)
    return (
        Table(
            "Profile",
            shown,
            tuple(words.sentence(k).lower() for k in PROFILE if k not in profile or profile[k].text == NONE_STATED),
        ),
        Table("Outcomes", tuple(stated(i) for i in sheet.outcomes)),
        Table("Complications", tuple(stated(i) for i in sheet.complications)),
        Table("Parameters", tuple(stated(i) for i in sheet.parameters)),
    )


def stated(item: Item) -> Stated:
    """Return one entry in words, with count, percentage and exact interval where the source counts."""
    notes = [] if item.verified else ["not read in its source"]
    notes += [] if item.pooled else ["kept out of pooled evidence"]
    name = words.sentence(item.name.replace("_", " "))
    return Stated(name, item.text, figure_of(item), item.time, item.source, item.conflicts, "; ".join(notes))


def figure_of(item: Item) -> str:
    """Return a count with its exact 95 % interval, else the number or range as printed; "" where there is none."""
    if item.count is not None and item.of and 0 <= item.count <= item.of:
        low, high = exact_interval(item.count, item.of)
        share = words.number(100.0 * item.count / item.of)
        unit = f" {item.of_what}" if item.of_what else ""
        return f"{item.count} of {item.of}{unit}: {share} % (95 % CI {words.number(100 * low)} to {words.number(100 * high)})"
    observed = f", n = {item.of}{f' {item.of_what}' if item.of_what else ''}" if item.of else ""
    if item.percent is not None:
        return f"{words.number(item.percent)} %{observed or ', n not stated'}"
    unit = {"degC": "°C", "1": ""}.get(item.unit, item.unit)
    if item.low is not None and item.high is not None:
        if item.number is not None:
            spread = f"{words.number(item.number)} ({words.number(item.low)} to {words.number(item.high)})"
            return words.with_unit(spread, unit) + observed
        return words.with_unit(f"{words.number(item.low)} to {words.number(item.high)}", unit) + observed
    for sign, value in (("", item.number), ("≥ ", item.low), ("≤ ", item.high)):
        if value is not None:
            return f"{sign}{words.number(value, unit)}{observed}"
    return observed.removeprefix(", ")


def _disagreements(
    rows: Iterable[TreatmentRow], orders: Iterable[Combination], evidence: Iterable[Compared]
) -> tuple[tuple[str, str, str], ...]:
    """Return the entries of the decision register that anything shown bears on: id, title, decision."""
    named = {i for row in rows for i in _conflicts(row)}
    named |= {i for each in orders for i in each.conflicts} | {i for each in evidence for i in each.conflicts}
    register = conflicts()
    found = sorted((i for i in named if i in register), key=lambda i: (len(i), i))
    return tuple((i, register[i].title, register[i].decision) for i in found)


def _conflicts(row: TreatmentRow) -> Iterator[str]:
    for group in (*row.groups, *row.variants):
        for reason in group.reasons:
            yield from reason.conflicts
    for table in row.tables or ():
        for entry in table.rows:
            yield from entry.conflicts
    yield from row.faded.conflicts if row.faded is not None else ()


def conflict_words(identifier: str) -> str:
    """Return the title and decision of one entry of the decision register, to be shown beside its badge."""
    found = conflicts().get(identifier)
    return f"Sources disagree. {found.title}. Decided: {found.decision}" if found is not None else "Sources disagree."


def site_rows(journey: Journey) -> list[Row]:
    """Return what the site has decided where the sources leave it open; the choice and whether it is the default."""
    rows = []
    for name, choice, default in journey.verdicts.site:
        entry = policies().get(name)
        said = str(choice).lower() if isinstance(choice, bool) else str(choice)
        title = str(entry["title"]) if entry is not None else words.sentence(name)
        rows.append(Row(title, said, "osteon's default" if default else "chosen by the site", "quiet" if default else "care"))
    return rows


def order_sides(order: Combination) -> str:
    """Return which rows an order is about, in words."""
    named = {"first": "first", "then": "then", "beside": "beside it"}
    return "; ".join(
        f"{said} {words.joined([treatment_words(n) for n in order.rows[side]], 'or')}"
        for side, said in named.items()
        if side in order.rows
    )


def evidence_words(each: Compared | None = None) -> str:
    """Return which rows some evidence compares, or that there is none."""
    if each is None:
        return NO_EVIDENCE

    one, other = (words.joined([treatment_words(n) for n in names], "or") for names in (each.one, each.other))
    return f"{one} against {other}"


def sources_of(journey: Journey) -> Iterator[str]:
    """Yield the sources of everything that the section shows beside the reasons of the verdicts."""
    seen: set[str] = set()
    for lesion in journey.assessment.lesions:
        section = section_of(journey, lesion.lesion_id, changes=False)
        for _, _, rows in section.groups:
            for row in rows:
                yield from (q for g in row.variants for r in g.reasons for q in r.quotes)
                yield from row.faded.quotes if row.faded is not None else ()
                if row.tables is not None and row.verdict.treatment not in seen:
                    seen.add(row.verdict.treatment)
                    yield from (s for table in row.tables for entry in table.rows for s in entry.source)
        yield from (q for order in section.orders for q in order.quotes)
        yield from (q for each in section.compared for q in each.quotes)
