"""The door of this room: every ledger that a case's timeline asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

from osteon.facts import Fact, State, Unknown
from osteon.ledgers import bone_agents, opioids_ledger, radionuclides, radiotherapy_ledger
from osteon.ledgers.bone_agents import clearance_of
from osteon.ledgers.drugs import activities_of, agents_of, opioids_of
from osteon.ledgers.rows import Account
from osteon.ledgers.states import bounds, times
from osteon.ledgers.tables import table
from osteon.ledgers.timeline import EventLike, courses_of, refuse_future

CLEARANCE, CREATININE, AGE, SEX, WEIGHT = "creatinine_clearance_ml_min", "creatinine_mg_dl", "age_years", "sex", "weight_kg"
EPISODES, CONTROLLED = "breakthrough_episodes_day", "background_pain_controlled"
BACKGROUND, CHARTED = "background_opioid", "background_opioid_mg_day"


def accounts(
    events: Iterable[EventLike],
    facts: Mapping[str, Fact] | None = None,
    organ_doses: Mapping[str, State] | None = None,
    today: date | None = None,
    recovery: str | None = None,
    places: Mapping[str, str] | None = None,
) -> tuple[Account, ...]:
    """Return the ledgers that a timeline asks for, in a fixed order; none where it holds no such event.

    Parameters
    ----------
    events : iterable of EventLike
        For example ``case.timeline``.
    facts : mapping of str to Fact, optional
        Of the patient: clearance (or creatinine, age, weight and sex), episodes of breakthrough pain, control of the background.
    organ_doses : mapping of str to State, optional
        Greatest dose per organ from imported dose files [Gy].
    today : datetime.date, optional
        Of the chart.
    recovery : str, optional
        Name of a cited policy of recovery for re-irradiation.
    places : mapping of str to str, optional
        Ids of lesions to their bones, for sites that name a lesion.

    Returns
    -------
    tuple of Account
        Radiotherapy, radionuclides, bone-targeted agents, opioids.

    Raises
    ------
    CaseFileError
        If an entry of the timeline contradicts itself.
    InputError
        If the policy is not known.
    """
    listed, told = list(events), facts or {}
    refuse_future(listed, today)
    courses, activities = courses_of(listed, places), activities_of(listed)
    agents, opioids = agents_of(listed), opioids_of(listed)
    found = []
    if courses:
        found.append(radiotherapy_ledger.ledger(courses, organ_doses, today, recovery))
    if activities:
        found.append(radionuclides.ledger(activities, today))
    if agents:
        found.append(bone_agents.ledger(agents, clearance(told), today))
    if opioids:
        found.append(
            opioids_ledger.ledger(
                opioids, _state(told, EPISODES), _state(told, CONTROLLED), today, _none(told), _state(told, CHARTED)
            )
        )
    return tuple(found)


def _state(facts: Mapping[str, Fact], name: str) -> State:
    return facts[name].state if name in facts else Unknown()


def _none(facts: Mapping[str, Fact]) -> bool:
    """Tell whether the chart says that no opioid is taken round the clock; a timeline without one does not say so."""
    return BACKGROUND in facts and str(facts[BACKGROUND].value).strip().casefold() == "none"


def clearance(facts: Mapping[str, Fact]) -> State:
    """Return the creatinine clearance [ml/min]: as entered, else by Cockcroft and Gault where all four figures are known."""
    entered = _state(facts, CLEARANCE)
    if bounds(entered) is not None:
        return entered
    sex = facts[SEX].value if SEX in facts else None
    per_mg_dl = 1e4 / float(table("bone_agents")["creatinine_molar_mass"]["number"])  # µmol/l in 1 mg/dl
    creatinine = times(_state(facts, CREATININE), per_mg_dl)
    return clearance_of(_state(facts, AGE), _state(facts, WEIGHT), creatinine, str(sex) if sex is not None else None)
