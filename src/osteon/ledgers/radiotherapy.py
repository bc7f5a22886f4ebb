"""Fractionated dose: BED and EQD2 by a named alpha/beta, courses, intervals, and what an organ received in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from math import ceil
from typing import Any

from osteon.errors import InputError
from osteon.evidence.value import Value, values_in
from osteon.facts import State, Unknown
from osteon.ledgers.rows import Check
from osteon.ledgers.states import at_least, between, bounds, shown
from osteon.ledgers.tables import sources_of, table

NEEDS_ORGAN_DOSE = "needs organ dose: enter the maximum or import the RTDOSE"
"""What is said of an organ whose dose nobody entered: a scheduled dose is not the dose to an organ."""


@dataclass(frozen=True)
class Course:
    """One course of radiotherapy as it was delivered.

    Parameters
    ----------
    site : str
        As the case names it.
    dose_gy, fractions : State
        Dose in all [Gy] and number of fractions.
    start, end : datetime.date or None
        Day of the first and of the last fraction.
    organ_max_gy : mapping of str to State
        Greatest physical dose of this course in each organ [Gy], as someone entered it.
    overlaps_earlier, responded : State
        Whether its field overlaps that of an earlier course; whether the pain answered to it.
    technique : str
        For example SBRT.
    entry : str
        Where it stands in the case file, for messages.
    notes : tuple of str
        What the reader of the entry did that one should know.
    place : str
        The bone, where the site is the id of a lesion; else the site itself.
    """

    site: str
    dose_gy: State
    fractions: State
    start: date | None = None
    end: date | None = None
    organ_max_gy: Mapping[str, State] = field(default_factory=dict)
    overlaps_earlier: State = field(default_factory=Unknown)
    responded: State = field(default_factory=Unknown)
    technique: str = ""
    entry: str = ""
    notes: tuple[str, ...] = ()
    place: str = ""

    @property
    def name(self) -> str:
        """Site and first day, to tell courses apart."""
        where = f"{self.site} ({self.place.replace('_', ' ')})" if self.place and self.place != self.site else self.site
        return f"{where}, {self.start.isoformat() if self.start else 'date unknown'}"


@dataclass(frozen=True)
class Cumulative:
    """What one organ received over some courses.

    Parameters
    ----------
    organ : str
        Its id or name.
    alpha_beta : str
        Name of the ratio, and its number [Gy].
    per_course : tuple of (str, State, State, State)
        Name of the course, greatest physical dose [Gy], its BED and EQD2 [Gy].
    eqd2_gy, bed_gy : State
        In all: at least that of the greatest course, at most the sum, which is reached where the hottest points coincide.
    """

    organ: str
    alpha_beta: str
    alpha_beta_gy: float
    per_course: tuple[tuple[str, State, State, State], ...]
    eqd2_gy: State
    bed_gy: State


@cache
def alpha_betas() -> Mapping[str, Value]:
    """Return the alpha/beta ratios [Gy] by name, with spread and source."""
    return values_in("osteon.ledgers", "alpha_beta.yaml")


def bed(dose_gy: float, fractions: float, alpha_beta_gy: float) -> float:
    r"""Return the biologically effective dose.

    .. math:: \mathrm{BED} = D \left(1 + \frac{D/n}{\alpha/\beta}\right)

    Parameters
    ----------
    dose_gy : float
        Dose in all, D [Gy]; not negative.
    fractions : float
        Number of equal fractions, n; at least one.
    alpha_beta_gy : float
        Ratio [Gy], above zero.

    Returns
    -------
    float
        [Gy], no term for repopulation or incomplete repair.

    Raises
    ------
    InputError
        If a figure is outside these ranges.

    Examples
    --------
    >>> bed(30, 10, 10)
    39.0
    """
    if not (dose_gy >= 0 and fractions >= 1 and alpha_beta_gy > 0):
        raise InputError(
            f"BED of {dose_gy:g} Gy in {fractions:g} fractions with alpha/beta {alpha_beta_gy:g} Gy.",
            "Dose cannot be negative, a course has at least one fraction, and the ratio is above zero.",
            "Correct the figure that is outside.",
        )
    return dose_gy * (1.0 + dose_gy / fractions / alpha_beta_gy)


def eqd2(dose_gy: float, fractions: float, alpha_beta_gy: float) -> float:
    r"""Return the dose in fractions of 2 Gy that has the same BED.

    .. math:: \mathrm{EQD2} = \frac{\mathrm{BED}}{1 + 2/(\alpha/\beta)}

    Parameters and errors are those of ``bed``.

    Examples
    --------
    >>> eqd2(8, 1, 2)
    20.0
    """
    return bed(dose_gy, fractions, alpha_beta_gy) / (1.0 + 2.0 / alpha_beta_gy)


def bed_state(dose_gy: State, fractions: State, alpha_beta_gy: float) -> State:
    """Return the BED of figures that may be open: it grows with the dose and falls with the number of fractions."""
    doses, numbers = bounds(dose_gy), bounds(fractions)
    if doses is None:
        return Unknown("needs the dose in Gy")
    if numbers is None:
        return Unknown("needs the number of fractions")
    return between(bed(doses[0], numbers[1], alpha_beta_gy), bed(doses[1], numbers[0], alpha_beta_gy))


def eqd2_state(dose_gy: State, fractions: State, alpha_beta_gy: float) -> State:
    """Return the EQD2 of figures that may be open."""
    effective = bounds(state := bed_state(dose_gy, fractions, alpha_beta_gy))
    factor = 1.0 + 2.0 / alpha_beta_gy
    return state if effective is None else between(effective[0] / factor, effective[1] / factor)


def per_fraction(dose_gy: State, fractions: State) -> State:
    """Return the dose per fraction [Gy]."""
    doses, numbers = bounds(dose_gy), bounds(fractions)
    if doses is None or numbers is None:
        return Unknown("needs dose and number of fractions")
    return between(doses[0] / numbers[1], doses[1] / numbers[0])


def caveat(dose_gy: State, fractions: State) -> str:
    """Return the caveat of the linear-quadratic model where a fraction may exceed the limit, else an empty text."""
    rule = table("radiotherapy")["rules"]["lq_caveat"]
    ends = bounds(per_fraction(dose_gy, fractions))
    return str(rule["text"]) if ends is not None and ends[1] > float(rule["above"]["number"]) else ""


def organ_of(name: str) -> tuple[str, str]:
    """Return an organ's id and the name of its alpha/beta ratio; what the table does not know is late-reacting tissue."""
    plain = " ".join(name.casefold().replace("_", " ").split())
    for organ, entry in table("radiotherapy")["organs"].items():
        if plain == organ.replace("_", " ") or plain in entry["names"]:
            return organ, entry["alpha_beta"]
    return plain.replace(" ", "_"), "late_tissue"


def last_day(course: Course) -> tuple[date, date] | None:
    """Return the earliest and latest day on which a course can have ended; None where it has no date.

    Without the day of the last fraction: not before the first, and not later than at three fractions a week.
    """
    if course.end is not None:
        return course.end, course.end
    if course.start is None:
        return None
    numbers = bounds(course.fractions)
    if numbers is None:
        return None
    if numbers[1] <= 1:
        return course.start, course.start
    slowest = float(table("radiotherapy")["rules"]["fractions_per_week_least"]["number"])
    days = min(7 * ceil(numbers[1] / slowest), (date.max - course.start).days)
    return course.start, course.start + timedelta(days=days)


def interval_days(earlier: Course, later: date | None) -> State:
    """Return the days from the last fraction of a course to a day (the first fraction of the next, or the chart's)."""
    ended = last_day(earlier)
    if ended is None:
        return Unknown(f"needs the day of the last fraction of {earlier.name}")
    if later is None:
        return Unknown("needs the day of the first fraction of the later course")
    return between(float(max((later - ended[1]).days, 0)), float((later - ended[0]).days))


def re_irradiation(interval: State, earlier: str, later: str) -> Check:
    """Judge the interval before a re-irradiation against the consensus of at least four weeks."""
    rule = table("radiotherapy")["rules"]["re_irradiation"]
    limit = float(rule["days"]["number"])
    truth = at_least(interval, limit)
    why = (
        f"{shown(interval, 'days')} between {earlier} and {later}, against {limit:g} days"
        if bounds(interval) is not None
        else f"cannot tell for {earlier} and {later}: {getattr(interval, 'why', '')}"
    )
    return Check("re_irradiation_interval", str(rule["text"]), truth, why, sources_of(rule))


def cumulative(courses: Sequence[Course], organ: str) -> Cumulative:
    """Return what an organ received in all, without any credit for recovery.

    Parameters
    ----------
    courses : sequence of Course
        All of them; one without the organ's dose leaves the sum open.
    organ : str
        Its id.

    Returns
    -------
    Cumulative
        EQD2 and BED as an interval from the greatest course (the hottest points lie apart) to the sum (they coincide).
    """
    key, ratio = organ_of(organ)
    number = alpha_betas()[ratio].number
    rows: list[tuple[str, State, State, State]] = []
    for course in courses:
        told = {organ_of(name)[0]: state for name, state in course.organ_max_gy.items()}
        dose = told.get(key, Unknown(f"{NEEDS_ORGAN_DOSE} ({course.name})"))
        if bounds(dose) is None:
            dose = Unknown(f"{NEEDS_ORGAN_DOSE} ({course.name})")
            rows.append((course.name, dose, dose, dose))
            continue
        effective = bed_state(dose, course.fractions, number)
        rows.append((course.name, dose, effective, eqd2_state(dose, course.fractions, number)))
    return Cumulative(key, ratio, number, tuple(rows), _in_all([r[3] for r in rows]), _in_all([r[2] for r in rows]))


def _in_all(states: Sequence[State]) -> State:
    """Return the greatest of some maxima at least, and at most their sum."""
    ends = [bounds(s) for s in states]
    if not states:
        return Unknown(NEEDS_ORGAN_DOSE)
    if None in ends:
        return next(s for s, e in zip(states, ends, strict=True) if e is None)
    known = [e for e in ends if e is not None]
    return between(max(low for low, _ in known), sum(high for _, high in known))


def schedules() -> Sequence[Mapping[str, Any]]:
    """Return the schedules of seed 3 as its data file holds them."""
    listed: Sequence[Mapping[str, Any]] = table("radiotherapy")["schedules"]
    return listed


def settings_of(schedule: Mapping[str, Any]) -> dict[str, str]:
    """Return where table 3 lists a schedule: recommended, physician's choice or not listed (never "contraindicated")."""
    tree = table("radiotherapy")
    return {column: tree["legend"][mark] for column, mark in zip(tree["columns"], schedule["settings"], strict=True)}
