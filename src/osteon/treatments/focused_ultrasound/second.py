"""A second try with the other surface approach, for places that the first cannot treat: one session may hold both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from osteon.jobs import Executor
from osteon.space.volume import Array
from osteon.treatments.focused_ultrasound import places
from osteon.treatments.focused_ultrasound.access_looks import triple
from osteon.treatments.focused_ultrasound.approach import Approach
from osteon.treatments.focused_ultrasound.scheme import Way
from osteon.treatments.focused_ultrasound.session_power import power_of
from osteon.treatments.focused_ultrasound.session_response import Response, respond_all
from osteon.treatments.focused_ultrasound.session_setup import Setup
from osteon.treatments.focused_ultrasound.shots import Aim
from osteon.treatments.focused_ultrasound.ways import Patient, Stand

SURFACE = ("near-target", "direct")


@dataclass(frozen=True, eq=False)
class Tried:
    """Responses and where the array stands for each, by id of the aim, after the second try; and why some have none."""

    responses: list[Response]
    standing: Mapping[str, Stand]
    failed: Mapping[str, str]


def other_of(ways: Sequence[Way], chosen: int) -> Approach | None:
    """Return the other surface approach where the cortex allows it too; None where the first is none, or it does not."""
    if ways[chosen].approach.name not in SURFACE:
        return None
    others = (w.approach for i, w in enumerate(ways) if i != chosen and w.approach.name in SURFACE)
    return next((a for a in others if a.answer == "offered"), None)


def aimed_as(aim: Aim, approach: Approach) -> Aim:
    """Return the same place treated by another surface approach: its focus lies elsewhere along the beam."""
    behind = approach.behind_mm if approach.name == "near-target" else 0.0
    focus = np.asarray(aim.spot_mm) + behind * np.asarray(aim.beam)
    return replace(aim, focus_mm=triple(focus), approach=approach.name)


def second_try(
    patient: Patient, other: Approach | None, setup: Setup, aims: Sequence[Aim], first: Tried, mine: Mapping[str, Array],
    executor: Executor, done: Callable[[int], None] | None = None,
) -> Tried:  # fmt: skip
    """Try the places that cannot be given by the other approach; keep what can, and of the rest the first try.

    Parameters
    ----------
    patient : Patient
        Of the plan.
    other : Approach or None
        From ``other_of``.
    setup : Setup
        Of the session.
    aims : sequence of Aim
        All of them, as first aimed.
    first : Tried
        Responses with their places as targets.
    mine : mapping of str to ndarray
        What each must kill, from ``places.shares``.
    executor : Executor
        Where responses are computed.
    done : callable, optional
        Called with how many are done.
    """
    if other is None:
        return first
    powers = {r.aim.id: power_of(setup, r, partial=True) for r in first.responses}
    again = [aimed_as(a, other) for a in aims if a.id in first.failed or (a.id in powers and not powers[a.id].given)]
    standing = {a.id: patient.stand(a) for a in again}
    again = [a for a in again if not standing[a.id].why]
    if not again:
        return first
    on_s, off_s = patient.times_s
    refused: dict[str, str] = {}
    made = respond_all(
        setup, again, on_s, off_s, poses={k: s.pose for k, s in standing.items()}, on={k: s.on for k, s in standing.items()},
        executor=executor, done=done, failed=refused,
    )  # fmt: skip
    better = {}
    for response in made:
        aimed = places.targeted(response, mine[response.aim.id])
        if power_of(setup, aimed, partial=True).given:
            better[response.aim.id] = aimed
    kept = [better.get(r.aim.id, r) for r in first.responses]
    kept += [r for name, r in better.items() if name in first.failed]
    return Tried(
        kept, {k: standing[k] if k in better else s for k, s in first.standing.items()},
        {k: why for k, why in first.failed.items() if k not in better},
    )  # fmt: skip
