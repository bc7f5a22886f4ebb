"""From events on the timeline to radionuclides, bone-targeted agents and opioids."""

from __future__ import annotations

from collections.abc import Iterable

from osteon.errors import InputError
from osteon.facts import Known, State, Unknown
from osteon.ledgers import bone_agents, radionuclides
from osteon.ledgers.opioids import Opioid, Role, tables
from osteon.ledgers.states import between, bounds
from osteon.ledgers.timeline import Entry, EventLike, day, entries, number, refuse, unread

NUCLIDE = {"nuclide", "activity_mbq", "weight_kg"}
AGENT = {"agent", "dose_mg"}
OPIOID = {
    "drug",
    "route",
    "daily_dose_mg",
    "rate_ug_h",
    "role",
    "until",
    "long_acting",
    "release",
    "single_dose_mg",
    "uses_per_day",
}
ROUTES = ("oral", "transdermal", "sublingual", "buccal", "nasal", "transmucosal", "rectal", "parenteral")
LONG = ("transdermal",)


def activities_of(events: Iterable[EventLike]) -> tuple[radionuclides.Activity, ...]:
    """Return the administrations of radionuclides on a timeline.

    Raises
    ------
    CaseFileError
        If an entry names no nuclide of the table, or has an activity that is not above zero MBq.
    """
    found = []
    for entry in (e for e in entries(events) if e.kind == "radionuclide"):
        notes = unread(entry, NUCLIDE, ("activity", "dose", "nuclide"))
        symbol = _named(entry, "nuclide", radionuclides.nuclide)
        activity = number(entry, "activity_mbq", "MBq")
        found.append(
            radionuclides.Activity(symbol, activity, entry.event.date, number(entry, "weight_kg", "kg"), entry.where, notes)
        )
    return tuple(found)


def agents_of(events: Iterable[EventLike]) -> tuple[bone_agents.Dose, ...]:
    """Return the doses of bone-targeted agents on a timeline.

    Raises
    ------
    CaseFileError
        If an entry names no agent of the table, or has a dose that is not above zero mg.
    """
    found = []
    for entry in (e for e in entries(events) if e.kind == "bone_agent"):
        notes = unread(entry, AGENT, ("dose",))
        name = _named(entry, "agent", bone_agents.agent)
        found.append(bone_agents.Dose(name, number(entry, "dose_mg", "mg"), entry.event.date, entry.where, notes))
    return tuple(found)


def _named(entry: Entry, key: str, look_up: object) -> str:
    """Return the name that an entry gives, or its treatment implies; refuse what the table does not hold."""
    given = entry.get(key)
    name = str(given) if given is not None else entry.agent
    try:
        look_up(name)  # type: ignore[operator]
    except InputError as error:
        raise refuse(entry, f"{key} is {given!r}. {error.what}", error.do, error.why) from None
    if given is not None and entry.agent and name.split("_")[0] != entry.agent.split("_")[0]:
        raise refuse(entry, f"the treatment says {entry.agent}, {key} says {name}.", "Correct the one that is wrong.")
    return name


def opioids_of(events: Iterable[EventLike]) -> tuple[Opioid, ...]:
    """Return the opioids on a timeline; the event's date is the day since when they are taken at this amount.

    Raises
    ------
    CaseFileError
        If an entry names no drug of any table, an unknown route or role, amounts that contradict each other, or one that is
        not above zero.
    """
    return tuple(_opioid(entry) for entry in entries(events) if entry.kind == "opioid")


def _opioid(entry: Entry) -> Opioid:
    notes = unread(entry, OPIOID, ("dose", "daily", "single", "rate"))
    drugs = sorted({name.split()[0] for t in tables().values() for name in t["factors"]})
    drug = str(entry.get("drug") or entry.agent).casefold()
    if drug not in drugs:
        raise refuse(
            entry, f"drug is {entry.get('drug')!r}.", f"Write one of: {', '.join(drugs)}.", "Each opioid has its own factor."
        )
    if entry.agent and entry.agent != drug:
        raise refuse(entry, f"the treatment says {entry.agent}, drug says {drug}.", "Correct the one that is wrong.")
    route, role = str(entry.get("route") or "unknown"), entry.get("role") or "background"
    if route not in ROUTES:
        raise refuse(
            entry, f"route is {entry.get('route')!r}.", f"Write one of: {', '.join(ROUTES)}.", "The factor depends on the route."
        )
    if role not in ("background", "breakthrough"):
        raise refuse(entry, f"role is {role!r}.", "Write background (round the clock) or breakthrough (on demand).")
    release = str(entry.get("release") or "")
    if release not in ("", "immediate", "extended"):
        raise refuse(entry, f"release is {release!r}.", "Write immediate or extended.")
    amount, single = _amount(entry, route), number(entry, "single_dose_mg", "mg")
    since, until = entry.event.date, day(entry, "until")
    if since is not None and until is not None and until < since:
        raise refuse(entry, f"it ended ({until}) before it began ({since}).", "Correct `date` or `until`.")
    which: Role = "breakthrough" if role == "breakthrough" else "background"
    return Opioid(
        drug, route, amount, which, since, until, _long(entry, drug, route, release), single, release, entry.where, notes
    )


def _amount(entry: Entry, route: str) -> State:
    if route == "transdermal":
        if entry.get("daily_dose_mg") is not None:
            raise refuse(
                entry,
                "a transdermal opioid has daily_dose_mg.",
                "Write rate_ug_h, what the patch releases in µg an hour.",
                "The factors of patches are per µg an hour; the mg of a patch are its filling.",
            )
        return number(entry, "rate_ug_h", "µg/h")
    if entry.get("rate_ug_h") is not None:
        raise refuse(entry, f"rate_ug_h is written for the route {route}.", "Write daily_dose_mg, or route: transdermal.")
    daily = number(entry, "daily_dose_mg", "mg")
    one, uses = bounds(number(entry, "single_dose_mg", "mg")), bounds(number(entry, "uses_per_day", "a day", positive=False))
    if one is None or uses is None:
        return daily
    product, told = between(one[0] * uses[0], one[1] * uses[1]), bounds(daily)
    ends = bounds(product) or (0.0, 0.0)
    if told is not None and (told[1] < 0.99 * ends[0] or told[0] > 1.01 * ends[1]):
        raise refuse(
            entry,
            f"{uses[0]:g} uses of {one[0]:g} mg are {ends[0]:g} mg, but daily_dose_mg is {told[0]:g}.",
            "Correct the one that is wrong.",
        )
    return daily if told is not None else product


def _long(entry: Entry, drug: str, route: str, release: str) -> State:
    given = entry.get("long_acting")
    if isinstance(given, bool):
        return Known(given)
    if given not in (None, "unknown"):
        raise refuse(entry, f"long_acting is {given!r}.", "Write true, false or unknown.")
    if route in LONG or release == "extended" or drug == "methadone":
        return Known(True)
    return Known(False) if release == "immediate" else Unknown("needs whether it is long-acting")
