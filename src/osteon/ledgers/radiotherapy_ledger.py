"""The ledger of radiotherapy: rows per course and organ, the rules of intervals, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Any

from osteon.errors import InputError
from osteon.facts import Interval, Known, State, Unknown
from osteon.ledgers import radiotherapy as rt
from osteon.ledgers.rows import Account, Check, Ledger, LedgerRow, Truth
from osteon.ledgers.states import all_of, at_least, at_most, bounds, said, shown, truth_of
from osteon.ledgers.tables import sources_of, table

SCHEDULED = "dose as scheduled to the target, not the dose to an organ"
NO_CREDIT = "no recovery between courses is credited: no policy is named"
SPINE = ("vertebra", "spine", "sacrum", "cervical", "thoracic", "lumbar")


def ledger(
    courses: Sequence[rt.Course],
    organ_doses: Mapping[str, State] | None = None,
    today: date | None = None,
    recovery: str | None = None,
) -> Account:
    """Return the dose account of some courses.

    Parameters
    ----------
    courses : sequence of Course
        In any order; they are sorted by their first day, those without one last.
    organ_doses : mapping of str to State, optional
        Greatest physical dose per organ from imported dose files [Gy]; it belongs to the course where there is only one.
    today : datetime.date, optional
        Of the chart, for the interval since the last course.
    recovery : str, optional
        Name of a cited policy of recovery; without one nothing is credited.

    Returns
    -------
    Account
        Rows, rules, needs and notes.

    Raises
    ------
    InputError
        If the policy is not known.
    """
    policies = table("radiotherapy")["policies"]
    if recovery is not None and recovery not in policies:
        raise InputError(
            f"There is no recovery policy {recovery!r}.",
            "Recovery between two irradiations is credited only on a cited policy.",
            f"Name one of: {', '.join(policies)}, or none.",
        )
    ordered = sorted(courses, key=lambda c: (c.start is None, c.start or date.max))
    ordered, notes, loose = _with_files(ordered, organ_doses or {})
    rows = [row for course in ordered for row in _course_rows(course)]
    organs = _organs(ordered)
    checks, needs = _intervals(ordered, today)
    sums = [rt.cumulative(ordered, organ) for organ in organs]
    for total in sums:
        new_rows, new_checks = _organ_rows(total, ordered, recovery)
        rows += new_rows
        checks += new_checks
        needs += [s.why for _, s, _, _ in total.per_course if isinstance(s, Unknown)]
    rows += loose
    if not organs and not loose:
        rows.append(LedgerRow("dose to organs", rt.NEEDS_ORGAN_DOSE, "-", SCHEDULED))
        needs.append(rt.NEEDS_ORGAN_DOSE)
    needs += [f"needs the number of fractions of {c.name}" for c in ordered if bounds(c.fractions) is None]
    needs += [f"needs the dose in Gy of {c.name}" for c in ordered if bounds(c.dose_gy) is None]
    said_of = NO_CREDIT if recovery is None else f"recovery policy {recovery}: {policies[recovery]['text']}"
    tree = table("radiotherapy")
    return Account(
        "radiotherapy",
        "Radiotherapy",
        Ledger(tuple(rows)),
        tuple(checks),
        tuple(dict.fromkeys(needs)),
        tuple(dict.fromkeys([SCHEDULED, said_of, *notes, *(n for c in ordered for n in c.notes)])),
        _sources(sums, ordered, recovery, tree),
        {"courses": [_plain(c) for c in ordered], "organs": sums, "recovery": recovery},
    )


def _sources(
    sums: Sequence[rt.Cumulative], courses: Sequence[rt.Course], recovery: str | None, tree: Mapping[str, Any]
) -> tuple[str, ...]:
    ratios = {"tumour", "late_tissue", *(s.alpha_beta for s in sums)}
    found = [s.strip() for r in sorted(ratios) for s in rt.alpha_betas()[r].source.split(";")]
    found += [s for total in sums for s in sources_of(tree["organs"].get(total.organ, {}))]
    if any(rt.caveat(c.dose_gy, c.fractions) for c in courses):
        found += sources_of(tree["rules"]["lq_caveat"])
    found += sources_of(tree["rules"]["re_irradiation"]) if len(courses) > 0 else ()
    found += sources_of(tree["policies"][recovery]) if recovery else ()
    return tuple(dict.fromkeys(found))


def _with_files(
    courses: Sequence[rt.Course], organ_doses: Mapping[str, State]
) -> tuple[list[rt.Course], list[str], list[LedgerRow]]:
    """Give the doses of imported files to the course where there is only one; else show them as physical sums."""
    files = {rt.organ_of(name)[0]: state for name, state in organ_doses.items() if bounds(state) is not None}
    if not files:
        return list(courses), [], []
    said_files = "organ doses from imported dose files: whether they were delivered, or only planned, the files do not say"
    if len(courses) != 1:
        rows = [
            LedgerRow(f"{_words(organ)}: greatest dose, files added up", said(state, "Gy physical"), "-",
                      "BED and EQD2 cannot be told: enter organ_max_gy per course")
            for organ, state in sorted(files.items())
        ]  # fmt: skip
        return list(courses), [said_files], rows
    course, notes = courses[0], [said_files]
    doses: dict[str, State] = {}
    entered = {rt.organ_of(name)[0]: state for name, state in course.organ_max_gy.items()}
    for organ in sorted({*files, *entered}):
        ours, theirs = bounds(entered.get(organ, Unknown())), bounds(files.get(organ, Unknown()))
        if ours is not None and theirs is not None and (ours[1] < theirs[0] - 0.1 or theirs[1] < ours[0] - 0.1):
            notes.append(
                f"{_words(organ)}: the case says {said(entered[organ], 'Gy')}, "
                f"the dose file {said(files[organ], 'Gy')}; both are kept"
            )
            doses[organ] = Interval(min(ours[0], theirs[0]), max(ours[1], theirs[1]))
        else:
            doses[organ] = entered[organ] if ours is not None else files.get(organ, entered.get(organ, Unknown()))
    return [replace(course, organ_max_gy=doses)], notes, []


def _organs(courses: Sequence[rt.Course]) -> list[str]:
    found = [rt.organ_of(name)[0] for course in courses for name in course.organ_max_gy]
    if any(_spinal(course.place or course.site) for course in courses):
        found.append("spinal_cord")
    return sorted(dict.fromkeys(found))


def _spinal(site: str) -> bool:
    plain = site.casefold().replace("_", " ")
    level = any(
        w[0] in "ctl" and w[1:].isdigit() and 1 <= int(w[1:]) <= 12 for w in plain.replace("-", " ").split() if len(w) > 1
    )
    return level or any(word in plain for word in SPINE)


def _words(organ: str) -> str:
    return organ.replace("_", " ")


def _course_rows(course: rt.Course) -> list[LedgerRow]:
    tumour, late = rt.alpha_betas()["tumour"].number, rt.alpha_betas()["late_tissue"].number
    schedule = f"{shown(course.dose_gy, 'Gy')} in {shown(course.fractions)} fractions"
    if course.fractions == Known(1.0):
        schedule = f"{shown(course.dose_gy, 'Gy')} in one fraction"
    note = "; ".join(n for n in (course.technique, rt.caveat(course.dose_gy, course.fractions)) if n)
    rows = [LedgerRow(course.name, schedule, "-", note)]
    for name, ratio in (("tumour", tumour), ("late tissue", late)):
        rows.append(
            LedgerRow(
                f"{course.name}: BED and EQD2, {name}",
                f"BED {said(rt.bed_state(course.dose_gy, course.fractions, ratio), 'Gy')}, "
                f"EQD2 {said(rt.eqd2_state(course.dose_gy, course.fractions, ratio), 'Gy')}",
                "-",
                f"alpha/beta {ratio:g} Gy ({name})",
            )
        )
    return rows


def _organ_rows(total: rt.Cumulative, courses: Sequence[rt.Course], recovery: str | None) -> tuple[list[LedgerRow], list[Check]]:
    name, ratio = _words(total.organ), f"alpha/beta {total.alpha_beta_gy:g} Gy ({_words(total.alpha_beta)})"
    rows = []
    for course, (of, dose, _, equivalent) in zip(courses, total.per_course, strict=True):
        open_ = isinstance(dose, Unknown)
        amount = rt.NEEDS_ORGAN_DOSE if open_ else f"greatest dose {said(dose, 'Gy')}, EQD2 {said(equivalent, 'Gy')}"
        rows.append(
            LedgerRow(
                f"{name}: {of}",
                amount,
                "-",
                ratio if open_ else "; ".join(n for n in (ratio, rt.caveat(dose, course.fractions)) if n),
            )
        )
    entry = table("radiotherapy")["organs"].get(total.organ, {})
    limit = "no cited limit in this ledger"
    checks: list[Check] = []
    if "first_course_eqd2" in entry:
        first = float(entry["first_course_eqd2"]["number"])
        allowed, limit = _allowed(total.organ, first, courses, recovery)
        truth = at_most(total.eqd2_gy, allowed)
        why = f"EQD2 in all {said(total.eqd2_gy, 'Gy')}, against {allowed:g} Gy"
        checks.append(
            Check("cord_tolerance", f"the {name} stays within {limit}", truth, why, sources_of(entry["first_course_eqd2"]))
        )
        if len(courses) > 1:
            checks.append(_nieder(entry["nieder"], total, courses))
    how = "from the greatest single course (hottest points apart) to the sum (hottest points in one place)"
    overlap = _overlap(courses)
    note = f"{ratio}; {how}; {overlap}" if len(courses) > 1 else ratio
    rows.append(LedgerRow(f"{name}: in all", f"EQD2 {said(total.eqd2_gy, 'Gy')}", limit, note))
    return rows, checks


def _overlap(courses: Sequence[rt.Course]) -> str:
    told = [c.overlaps_earlier for c in courses[1:]]
    if all(s == Known(False) for s in told):
        return "fields stated not to overlap"
    if all(s == Known(True) for s in told):
        return "fields stated to overlap"
    return "needs overlap: did the fields of these courses overlap?"


def _allowed(organ: str, first: float, courses: Sequence[rt.Course], recovery: str | None) -> tuple[float, str]:
    """Return the tolerance [Gy EQD2] with what a named policy credits, judged by the shortest interval that is possible."""
    text = f"{first:g} Gy EQD2 (first course, doi-2021)"
    if recovery is None or len(courses) < 2:
        return first, text
    policy = table("radiotherapy")["policies"][recovery]
    gaps = [bounds(rt.interval_days(a, b.start)) for a, b in pairwise(courses)]
    if policy["organ"] != organ or None in gaps:
        return first, f"{text}; nothing credited: needs the interval"
    shortest = min(g[0] for g in gaps if g is not None)
    share = max((float(s["share"]["number"]) for s in policy["steps"] if shortest >= float(s["days"]["number"])), default=0.0)
    allowed = first * (1.0 + share)
    return allowed, f"{allowed:g} Gy EQD2 ({first:g} Gy and {100 * share:g} % by policy {recovery})"


def _nieder(entry: Mapping[str, Any], total: rt.Cumulative, courses: Sequence[rt.Course]) -> Check:
    all_, each, days = (float(entry[k]["number"]) for k in ("bed_in_all", "bed_per_course", "days"))
    gaps = [rt.interval_days(a, b.start) for a, b in pairwise(courses)]
    truths: list[Truth] = [at_least(g, days) for g in gaps]
    truths += [at_most(b, each) for _, _, b, _ in total.per_course]
    truths.append(at_most(total.bed_gy, all_))
    text = (
        f"BED in all at most {all_:g} Gy, at most {each:g} Gy per course, at least {days:g} days between courses "
        "(low risk of myelopathy in nieder-2006)"
    )
    why = f"BED in all {said(total.bed_gy, 'Gy')}; intervals {', '.join(said(g, 'days', 0) for g in gaps)}"
    return Check("cord_cumulative_bed", text, all_of(truths), why, sources_of(entry))


def _intervals(courses: Sequence[rt.Course], today: date | None) -> tuple[list[Check], list[str]]:
    checks, needs = [], []
    for i, (a, b) in enumerate(pairwise(courses)):
        check = rt.re_irradiation(rt.interval_days(a, b.start), a.name, b.name)
        check = replace(check, why=f"{check.why}; {_answer(a)}")
        overlap = b.overlaps_earlier
        same = a.site.casefold() == b.site.casefold()
        if not same and not isinstance(overlap, Known):
            needs.append(f"needs overlap: did the field of {b.name} overlap that of an earlier course?")
            check = replace(check, why=f"{check.why}; whether it was a re-irradiation needs overlap of the fields")
        if same or overlap != Known(False):
            checks.append(check)
        if check.truth == "unknown":
            needs.append(f"needs interval: the days of the first and last fraction of courses {i + 1} and {i + 2}")
    if courses and today is not None:
        last = courses[-1]
        since = rt.re_irradiation(rt.interval_days(last, today), last.name, "the day of the chart")
        checks.append(replace(since, id="interval_since_last", why=f"{since.why}; {_answer(last)}"))
    return checks, needs


def _answer(course: rt.Course) -> str:
    """Say whether the pain answered to a course."""
    words = {
        "true": "the pain responded",
        "false": "the pain did not respond",
        "unknown": "whether the pain responded is not entered",
    }
    return words[truth_of(course.responded)]


def _plain(course: rt.Course) -> dict[str, object]:
    ratios = {name: rt.alpha_betas()[name].number for name in ("tumour", "late_tissue")}
    return {
        "site": course.site, "start": course.start, "end": course.end, "dose_gy": course.dose_gy, "fractions": course.fractions,
        "dose_per_fraction_gy": rt.per_fraction(course.dose_gy, course.fractions), "organ_max_gy": dict(course.organ_max_gy),
        "bed_gy": {n: rt.bed_state(course.dose_gy, course.fractions, r) for n, r in ratios.items()},
        "eqd2_gy": {n: rt.eqd2_state(course.dose_gy, course.fractions, r) for n, r in ratios.items()},
        "caveat": rt.caveat(course.dose_gy, course.fractions),
    }  # fmt: skip


def schedule_table() -> Account:
    """Return the schedules of seed 3 with BED and EQD2: bookkeeping of scheduled doses, not a choice for a patient."""
    rows, sources = [], []
    for each in rt.schedules():
        low, high = each["dose_gy"]
        dose: State = Known(float(low)) if low == high else Interval(float(low), float(high))
        number = Known(float(each["fractions"]))
        figures = [
            f"BED10 {said(rt.bed_state(dose, number, 10.0), digits=1)}", f"EQD2(10) {said(rt.eqd2_state(dose, number, 10.0))}",
            f"BED3 {said(rt.bed_state(dose, number, 3.0))}", f"EQD2(2) {said(rt.eqd2_state(dose, number, 2.0))}",
        ]  # fmt: skip
        listed = [k.replace("_", " ") + ("" if v == "recommended" else " (physician's choice)")
                  for k, v in rt.settings_of(each).items() if v != "not listed"]  # fmt: skip
        note = "; ".join(n for n in (each["technique"], each.get("note", ""), rt.caveat(dose, number)) if n)
        rows.append(LedgerRow(f"{each['id']}", ", ".join(figures) + " Gy", ", ".join(listed) or "not listed in table 3", note))
        sources += list(each["quotes"])
    note = "a setting that is not listed has no stated meaning in the paper; it is not a contraindication (register X29)"
    return Account("schedules", "Schedules of table 3", Ledger(tuple(rows)), notes=(SCHEDULED, note), sources=tuple(sources))
