"""ECOG and KPS: one is never turned into the other unless a published map is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osteon.assessment.scores.base import numbers, table
from osteon.assessment.scores.outcomes_base import Outcome, chosen
from osteon.facts import Interval, Known, OneOf, State, Unknown

NO_MAP = "cannot tell: the maps between ECOG and KPS disagree; name one, or ask for the scale itself"


def ecog_of_kps(kps: State, by: str | None = None) -> Outcome:
    """Return the ECOG status that a KPS means by a named map.

    Parameters
    ----------
    kps : State
        0 to 100.
    by : {"obds", "prasad-2018", "ma-2010"}, optional
        The map; without one nothing is converted.

    Returns
    -------
    Outcome
        0 to 5, or those that are left, with the map's name; unknown without a map.

    Raises
    ------
    InputError
        If there is no such map.

    Examples
    --------
    >>> ecog_of_kps(Known(50)).state.why[:11]
    'cannot tell'
    >>> ecog_of_kps(Known(60), "obds").state, ecog_of_kps(Known(60), "prasad-2018").state
    (Known(value=2), Known(value=3))
    """
    if by is None:
        return _unmapped()
    row, dead = _map(by)
    told = numbers(kps)
    if told is None:
        return _not_told(by, row)
    step = float(table("performance")["step"])
    # the scale has steps of ten: a value between two steps may mean either
    left = [int(e) for e, (low, high) in row["kps"].items() if told[0] < high + step and told[1] > low - step]
    exact = [int(e) for e, (low, high) in row["kps"].items() if told[0] <= high and told[1] >= low]
    steps = told[0] % step == 0 and told[1] % step == 0
    left = exact if steps else left
    if told[0] <= dead["kps"]:
        left = [*left, dead["ecog"]] if told[1] > dead["kps"] else [dead["ecog"]]
    return Outcome(by, _state(sorted(left)), f"ECOG {' or '.join(map(str, sorted(left)))} by {row['title']}", (row["source"],))


def kps_of_ecog(ecog: State, by: str | None = None) -> Outcome:
    """Return the KPS that an ECOG status means by a named map, as an interval.

    Parameters
    ----------
    ecog : State
        0 to 5.
    by : {"obds", "prasad-2018", "ma-2010"}, optional
        The map; without one nothing is converted.

    Returns
    -------
    Outcome
        0 to 100; unknown without a map.

    Raises
    ------
    InputError
        If there is no such map.
    """
    if by is None:
        return _unmapped()
    row, dead = _map(by)
    told = numbers(ecog)
    if told is None:
        return _not_told(by, row)
    spans = [tuple(pair) for e, pair in row["kps"].items() if told[0] <= int(e) <= told[1]]
    spans += [(dead["kps"], dead["kps"])] if told[1] >= dead["ecog"] else []
    low, high = float(min(p[0] for p in spans)), float(max(p[1] for p in spans))
    state: State = Known(low) if low == high else Interval(low, high)
    return Outcome(by, state, f"KPS {low:g} to {high:g} by {row['title']}", (row["source"],))


def _unmapped() -> Outcome:
    return Outcome("no map", Unknown(NO_MAP), NO_MAP, tuple(table("performance")["source"]))


def _not_told(by: str, row: Mapping[str, Any]) -> Outcome:
    return Outcome(by, Unknown("cannot tell: ask for the ECOG or Karnofsky status"), row["title"], (row["source"],))


def _map(by: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    source = table("performance")
    return source["maps"][chosen(by, tuple(source["maps"]), "map between ECOG and KPS")], source["dead"]


def _state(left: list[int]) -> State:
    return Known(left[0]) if len(left) == 1 else OneOf(tuple(left))
