"""From events on the timeline to courses, activities and drugs; what contradicts itself is refused in three parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from osteon.errors import CaseFileError
from osteon.facts import Known, OneOf, State, Unknown
from osteon.ledgers.radiotherapy import Course
from osteon.ledgers.states import between, bounds
from osteon.ledgers.tables import table

WHY = "A wrong figure in a dose account is carried into every later treatment."
SHAPES = {"min", "max", "one_of", "unknown", "value"}
RADIOTHERAPY = {
    "dose_gy",
    "fractions",
    "dose_per_fraction_gy",
    "ended",
    "organ_max_gy",
    "overlaps_earlier",
    "responded",
    "technique",
}


class EventLike(Protocol):
    """What is read of an event: ``case.model.Event`` is one."""

    @property
    def date(self) -> date | None: ...
    @property
    def treatment(self) -> str: ...
    @property
    def site(self) -> str: ...
    @property
    def details(self) -> Mapping[str, object]: ...


@dataclass(frozen=True)
class Entry:
    """An event that belongs to a ledger.

    Parameters
    ----------
    event : EventLike
        As the case holds it.
    where : str
        Its place on the timeline, for messages.
    kind : str
        radiotherapy, radionuclide, bone_agent or opioid.
    agent : str
        The nuclide, agent or drug that the treatment's name already says; else empty.
    """

    event: EventLike
    where: str
    kind: str
    agent: str

    def get(self, key: str) -> object:
        """Return one detail, None where there is none."""
        return self.event.details.get(key)


def entries(events: Iterable[EventLike]) -> list[Entry]:
    """Return the events that belong to a ledger, in the order of the timeline."""
    names = {word: (kind, agent) for kind, words in table("timeline").items() for word, agent in words.items()}
    found = []
    for i, event in enumerate(events, start=1):
        word = " ".join(event.treatment.casefold().replace("_", " ").replace("-", " ").split())
        if word in names:
            kind, agent = names[word]
            found.append(Entry(event, f"case.yaml, timeline entry {i} ({event.treatment}, {event.site})", kind, str(agent)))
    return found


def refuse_future(events: Iterable[EventLike], today: date | None) -> None:
    """Refuse an event that belongs to a ledger and lies after the chart.

    Raises
    ------
    CaseFileError
        With the entry.
    """
    for entry in entries(events):
        if today is not None and entry.event.date is not None and entry.event.date > today:
            raise refuse(
                entry,
                f"it is dated {entry.event.date}, after the chart ({today}).",
                "Correct the entry, or the `date` of the case; what is only planned is left out.",
                "The timeline holds what took place; a planned dose would be counted as delivered.",
            )


def refuse(entry: Entry, what: str, do: str, why: str = WHY) -> CaseFileError:
    """Return the error of an entry that cannot be counted."""
    return CaseFileError(f"{entry.where}: {what}", why, do)


def number(entry: Entry, key: str, unit: str, given: object = None, *, positive: bool = True) -> State:
    """Return a detail as a state: a number, ``{min, max}``, ``{one_of}``, or unknown.

    Raises
    ------
    CaseFileError
        If it is no number, has another unit, or is negative (or zero where that has no meaning).
    """
    raw = entry.get(key) if given is None else given
    if raw is None or raw == "unknown":
        return Unknown(f"needs {key.replace('_', ' ')}")
    if isinstance(raw, Mapping):
        if "unknown" in raw:
            return Unknown(str(raw["unknown"]))
        if {"min", "max"} == set(raw):
            low, high = _one(entry, key, unit, raw["min"], positive), _one(entry, key, unit, raw["max"], positive)
            if low > high:
                raise refuse(entry, f"{key} runs from {low:g} to {high:g}.", "Swap min and max, or correct one.")
            return between(low, high)
        if set(raw) == {"one_of"} and isinstance(raw["one_of"], list) and raw["one_of"]:
            return OneOf(tuple(dict.fromkeys(_one(entry, key, unit, v, positive) for v in raw["one_of"])))
        raise refuse(entry, f"{key} is {dict(raw)!r:.80}.", "Write a number, {min, max}, {one_of: [...]}, or unknown.")
    return Known(_one(entry, key, unit, raw, positive))


def _one(entry: Entry, key: str, unit: str, raw: object, positive: bool) -> float:
    value = raw
    if isinstance(raw, str):
        words = raw.split()
        if len(words) == 2 and words[1] == unit:
            raw = words[0]
        try:
            value = float(str(raw))
        except ValueError:
            other = words[-1] if len(words) > 1 else "no number"
            raise refuse(entry, f"{key} is {raw!r} ({other}).", f"Write the number in {unit}, without another unit.") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1e12 < value < 1e12:
        raise refuse(entry, f"{key} is {value!r}, not a finite number.", f"Write a number in {unit}, or unknown.")
    if value < 0 or (positive and value == 0):
        raise refuse(
            entry, f"{key} is {value:g}.", f"Correct it: {key} is above zero; what never took place is left out of the timeline."
        )
    return float(value)


def day(entry: Entry, key: str) -> date | None:
    """Return a detail as a day; None where it is not known.

    Raises
    ------
    CaseFileError
        If it is no day.
    """
    raw = entry.get(key)
    if raw is None or raw == "unknown":
        return None
    if isinstance(raw, str):
        try:
            raw = date.fromisoformat(raw)
        except ValueError:
            raw = None
    if isinstance(raw, datetime):
        raw = raw.date()
    if not isinstance(raw, date):
        raise refuse(entry, f"{key} is {entry.get(key)!r}, not a day.", "Write it as 2025-03-01, or unknown.")
    return raw


def yes_no(entry: Entry, key: str) -> State:
    """Return a detail as true, false or unknown.

    Raises
    ------
    CaseFileError
        If it is something else.
    """
    raw = entry.get(key)
    if raw is None or raw == "unknown":
        return Unknown()
    if not isinstance(raw, bool):
        raise refuse(entry, f"{key} is {raw!r}.", "Write true, false or unknown.")
    return Known(raw)


def unread(entry: Entry, known: Iterable[str], stems: Sequence[str]) -> tuple[str, ...]:
    """Return what is said of details that the ledger does not read; refuse those that look like a figure it would need.

    Raises
    ------
    CaseFileError
        If a key begins like a dose and is none of the known ones.
    """
    other = sorted(str(k) for k in entry.event.details if k not in set(known))
    for key in other:
        if any(key.casefold().startswith(stem) for stem in stems):
            raise refuse(
                entry, f"there is no detail {key!r}.", f"Use {', '.join(sorted(known))}; doses of radiotherapy are in Gy."
            )
    return tuple(f"{entry.where}: {key!r} is not read by the ledger" for key in other if key not in ("note", "source", "by"))


def courses_of(events: Iterable[EventLike], places: Mapping[str, str] | None = None) -> tuple[Course, ...]:
    """Return the courses of radiotherapy on a timeline; ``places``: lesion ids to their bones, for sites that are a lesion.

    Raises
    ------
    CaseFileError
        If an entry contradicts itself: no fraction, a negative dose, cGy in place of Gy, a last fraction before the first, or a
        dose that is not the number of fractions times the dose per fraction.
    """
    return tuple(_course(entry, places or {}) for entry in entries(events) if entry.kind == "radiotherapy")


def _course(entry: Entry, places: Mapping[str, str]) -> Course:
    notes = unread(entry, RADIOTHERAPY, ("dose", "fraction", "organ"))
    dose, fractions = number(entry, "dose_gy", "Gy"), _fractions(entry)
    dose = _agreed(entry, dose, fractions, number(entry, "dose_per_fraction_gy", "Gy"))
    _plausible(entry, dose, fractions)
    start, end = entry.event.date, day(entry, "ended")
    if start is not None and end is not None and end < start:
        raise refuse(entry, f"the last fraction ({end}) lies before the first ({start}).", "Correct `date` or `ended`.")
    given = entry.get("organ_max_gy")
    if given is not None and not isinstance(given, Mapping):
        raise refuse(entry, f"organ_max_gy is {given!r}.", "Write {spinal_cord: 12.5}, the greatest dose in Gy for each organ.")
    organs = {
        str(k): number(entry, f"organ_max_gy of {k}", "Gy", v, positive=False) for k, v in (given or {}).items() if v is not None
    }
    for name, state in organs.items():
        ends, largest = bounds(state), float(table("radiotherapy")["rules"]["largest_course"]["number"])
        if ends is not None and ends[0] > largest:
            raise refuse(entry, f"organ_max_gy of {name} is {ends[0]:g} Gy.", f"Write it in Gy, not cGy: {ends[0] / 100:g}.")
    return Course(
        entry.event.site, dose, fractions, start, end, organs, yes_no(entry, "overlaps_earlier"), yes_no(entry, "responded"),
        str(entry.get("technique") or entry.agent), entry.where, notes, places.get(entry.event.site, entry.event.site),
    )  # fmt: skip


def _fractions(entry: Entry) -> State:
    state = number(entry, "fractions", "fractions", positive=False)
    ends = bounds(state)
    most = float(table("radiotherapy")["rules"]["most_fractions"]["number"])
    if ends is not None and ends[1] > most:
        raise refuse(entry, f"fractions is {ends[1]:g}; no course has more than {most:g}.", "Correct it, or write unknown.")
    if ends is not None and (ends[0] < 1 or any(not float(v).is_integer() for v in ends)):
        raise refuse(
            entry,
            f"fractions is {ends[0]:g}.",
            "Write a whole number from 1 on, or unknown.",
            "A course without a fraction is no course.",
        )
    return state


def _agreed(entry: Entry, dose: State, fractions: State, each: State) -> State:
    """Return the dose; from fractions and dose per fraction where it is missing; refuse where the three contradict each other."""
    per, numbers, whole = bounds(each), bounds(fractions), bounds(dose)
    if per is None or numbers is None:
        return dose
    low, high = per[0] * numbers[0], per[1] * numbers[1]
    if whole is None:
        return between(low, high)
    if whole[1] < 0.99 * low or whole[0] > 1.01 * high:
        raise refuse(
            entry,
            f"{numbers[0]:g} fractions of {per[0]:g} Gy are {low:g} Gy, but dose_gy is {whole[0]:g}.",
            "Correct the one that is wrong.",
        )
    return dose


def _plausible(entry: Entry, dose: State, fractions: State) -> None:
    rules = table("radiotherapy")["rules"]
    whole, numbers = bounds(dose), bounds(fractions)
    if whole is None:
        return
    largest, most = float(rules["largest_course"]["number"]), float(rules["largest_fraction"]["number"])
    single = whole[0] / (numbers[1] if numbers is not None else max(whole[0] / most, 1.0))
    if whole[0] > largest or single > most:
        raise refuse(
            entry,
            f"dose_gy is {whole[0]:g}{f' in {numbers[1]:g} fractions' if numbers else ''}; no course has so many Gy.",
            f"Write it in Gy: if {whole[0]:g} is in cGy, that is {whole[0] / 100:g}.",
        )
