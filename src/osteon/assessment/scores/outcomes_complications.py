"""Complications: what happened is recorded, and every class is derived from it, by the system and version that is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from osteon.assessment.scores.base import choices, flags, numbers, one_of, table
from osteon.assessment.scores.outcomes_base import Outcome, chosen, classes
from osteon.errors import InputError
from osteon.facts import Known, State, Unknown

OPEN = Unknown()

THERAPY = ("none", "nominal", "minor", "major")
STAY = ("none", "overnight", "under_48_h", "exactly_48_h", "over_48_h")
CARE = ("usual", "raised", "intensive")
SEQUELAE = ("none", "mild", "severe")
ADL = ("none", "instrumental", "self_care")


@dataclass(frozen=True)
class Complication:
    """What happened, as facts; what is not said stays unknown and leaves more classes open.

    Parameters
    ----------
    therapy : State
        none, nominal, minor or major: what was done for it after the procedure.
    extra_hours : State
        Stay in hospital beyond what was planned [h].
    care : State
        usual, raised or intensive: the level of care.
    sequelae : State
        none, mild (works and lives alone) or severe (needs help in daily life); lasting ones.
    death, life_threatening : State
        Whether it killed, or threatened life.
    solved, succeeded : State
        Whether it was solved within the procedure, and whether the procedure reached its end in spite of it.
    adl : State
        none, instrumental or self_care: which activities of daily life it limited.
    """

    therapy: State = OPEN
    extra_hours: State = OPEN
    care: State = OPEN
    sequelae: State = OPEN
    death: State = OPEN
    life_threatening: State = OPEN
    solved: State = OPEN
    succeeded: State = OPEN
    adl: State = OPEN


def complication_class(event: Complication, system: str) -> Outcome:
    """Return the class of a complication by one system and version.

    Parameters
    ----------
    event : Complication
        What happened.
    system : {"sir-2003", "sir-2017", "cirse-2017", "cirse-2026", "ctcae-5"}
        The system; its id stands in the result.

    Returns
    -------
    Outcome
        One class, or the set of those left where a fact is missing or the definition does not decide.

    Raises
    ------
    InputError
        If there is no such system, or a fact is none of its answers.

    Examples
    --------
    >>> leak = Complication(*(Known(v) for v in ("none", 0, "usual", "none", False, False, False, True, "none")))
    >>> complication_class(leak, "sir-2003").state
    Known(value='A')
    """
    systems = table("outcomes_complications")["systems"]
    row = systems[chosen(system, tuple(systems), "system of complications")]
    answers = _answers(event)
    asked = {name for r in row["rows"] for c in r["any"] for name in c}
    used = {name: values for name, values in answers.items() if name in asked}
    left = classes(row["rows"], used)
    missing = [n for n, values in used.items() if any(classes(row["rows"], {**used, n: [v]}) != left for v in values)]
    group = _group(row.get("groups", {}), left)
    text = f"{' or '.join(left)}{group} by {row['title']}"
    if len(left) > 1:
        text += f"; not told: {', '.join(missing)}" if missing else f"; the definition leaves it open ({row['note']})"
    return Outcome(system, one_of(left), text, tuple(row["source"]))


def pain_grade(interference: State, version: str = "ctc-2") -> Outcome:
    """Return the grade of pain by the scale of an older version, as seed 4 used it.

    Parameters
    ----------
    interference : State
        no_interference, function (but not daily activity), daily_activity or disabling.
    version : {"ctc-2"}
        Which version; CTCAE v5 is graded by ``complication_class``.

    Returns
    -------
    Outcome
        1 to 4, or those that are left.

    Raises
    ------
    InputError
        If there is no such version.
    """
    versions = table("outcomes_complications")["pain_grades"]
    row = versions[chosen(version, tuple(versions), "version of pain grades")]
    _checked("interference", interference, tuple(row["grades"]))
    left = [row["grades"][kind] for kind in choices(interference, tuple(row["grades"]))]
    why = "cannot tell: say what the pain interferes with" if len(left) == len(row["grades"]) else ""
    return Outcome(version, one_of(left, why), why or f"grade {' or '.join(left)} by {row['title']}", tuple(row["source"]))


def _answers(event: Complication) -> Mapping[str, Sequence[object]]:
    """Return what each question may still be answered; a death answers for itself only."""
    told = {f.name: getattr(event, f.name) for f in fields(event)}
    for name, among in (("therapy", THERAPY), ("care", CARE), ("sequelae", SEQUELAE), ("adl", ADL)):
        _checked(name, told[name], among)
    return {
        "therapy": choices(told["therapy"], THERAPY),
        "stay": _stays(told["extra_hours"]),
        "care": choices(told["care"], CARE),
        "sequelae": choices(told["sequelae"], SEQUELAE),
        "adl": choices(told["adl"], ADL),
        **{name: flags(told[name]) for name in ("death", "life_threatening", "solved", "succeeded")},
    }


def _checked(name: str, state: State, among: Sequence[str]) -> None:
    if isinstance(state, Known) and state.value not in among:
        raise InputError(
            f"The {name} of a complication is {state.value!r}.",
            "A class is derived from it, so it must be one of the answers.",
            f"Use one of: {', '.join(among)}; or leave it unknown.",
        )


def _stays(hours: State) -> tuple[str, ...]:
    """Return the kinds of stay that a number of hours allows."""
    told = numbers(hours)
    if told is None:
        return STAY
    if told[0] < 0:
        raise InputError(
            f"The extra stay is {told[0]:g} h.", "A stay cannot be shorter than none.", "Give hours beyond what was planned."
        )
    cut: Mapping[str, Any] = table("outcomes_complications")["hours"]

    def place(value: float) -> int:
        if value <= 0:
            return 0
        if value <= cut["overnight"]:
            return 1
        return 2 if value < cut["boundary"] else 3 if value == cut["boundary"] else 4

    return STAY[place(told[0]) : place(told[1]) + 1]


def _group(groups: Mapping[str, Sequence[str]], left: Sequence[str]) -> str:
    found = [name for name, members in groups.items() if any(c in members for c in left)]
    return f" ({' or '.join(found)})" if found else ""
