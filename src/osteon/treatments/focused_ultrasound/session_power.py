"""The power of one sonication from its linear response: what its target needs, what each limit and the device allow."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from osteon.errors import InputError
from osteon.physics import damage
from osteon.space.anatomy import structure
from osteon.tissue.properties import Constants
from osteon.tissue.tolerance import Limit, limits_for
from osteon.treatments.base import Ended
from osteon.treatments.focused_ultrasound import approach_rows
from osteon.treatments.focused_ultrasound.session_response import BODY_C, MOST_KEPT, Response, Traces, bisect
from osteon.treatments.focused_ultrasound.session_rows import number
from osteon.treatments.focused_ultrasound.session_setup import NEAR_FIELD, Setup
from osteon.treatments.focused_ultrasound.shots import Aim

Goal = Literal["cem43", "temperature"]
GOALS: tuple[Goal, ...] = ("cem43", "temperature")
DEVICE, BOILING = "device-power", "boiling"


@dataclass(frozen=True)
class Bound:
    """The most power that one thing allows.

    Parameters
    ----------
    id : str
        Limit of ``tolerance.yaml``, ``device-power`` or ``boiling``.
    structure : str
        Where; empty for the device.
    power_w : float
        Most acoustic power, with the margin of ``share_of_limit``.
    value_at_need : float
        What would be reached there at the power that the target needs: °C, CEM43 min, or W.
    limit : float
        In the same unit.
    unit : str
        Of both.
    place_mm : tuple of float or None
        The worst voxel, LPS.
    """

    id: str
    structure: str
    power_w: float
    value_at_need: float
    limit: float
    unit: str
    place_mm: tuple[float, float, float] | None = None

    def text(self, need_w: float) -> str:
        """Return in one sentence how much it lacks or leaves."""
        where = f" at the {name_of(self.structure)}" if self.structure else ""
        if self.id == DEVICE:
            return f"the array gives {self.limit:g} W, {need_w:.3g} W are needed"
        more = "passes" if self.value_at_need >= self.limit else "comes too near to"
        return (
            f"{need_w:.3g} W would give {_figure(self.value_at_need)} {self.unit}{where}, which {more} {self.limit:g} "
            f"{self.unit} ({self.id}); {self.power_w:.3g} W at most"
        )


@dataclass(frozen=True)
class Dosed:
    """The power of one sonication, or why it is not given.

    Parameters
    ----------
    aim : Aim
        Which.
    needed_w : float
        Least acoustic power with which the target reaches its goal; infinite where none does.
    allowed_w : float
        Most that every bound allows.
    bounds : tuple of Bound
        Lowest power first.
    ended : Ended
        ``converged``: given at ``needed_w``; ``limit``: something forbids it, ``why`` names it and by how much.
    whole : bool
        Whether all target points are reached; else only the first, at the most that is allowed.
    """

    aim: Aim
    needed_w: float
    allowed_w: float
    bounds: tuple[Bound, ...]
    ended: Ended
    whole: bool = True

    @property
    def given(self) -> bool:
        """Whether this sonication can be given."""
        return self.ended.how == "converged"

    @property
    def binding(self) -> Bound:
        """The bound that allows least."""
        return self.bounds[0]


def check_goal(goal: str) -> None:
    """Refuse a goal that is none of ``GOALS``.

    Raises
    ------
    InputError
        If it is not.
    """
    if goal not in GOALS:
        raise InputError(
            f"The goal {goal!r} was asked for.",
            "What counts as reached decides the power.",
            f"Use one of: {', '.join(GOALS)}.",
        )


def power_of(setup: Setup, response: Response, goal: Goal = "cem43", partial: bool = False) -> Dosed:
    """Return the power with which the target points reach their goal, and whether limits and device allow it.

    Parameters
    ----------
    setup : Setup
        Patient and array.
    response : Response
        Of one watt.
    goal : {"cem43", "temperature"}
        CEM43 of necrosis (240 min) or 55 °C, at every target point.
    partial : bool
        Where not all points can be reached, give the most that is allowed if that reaches the first of them, the spot.

    Raises
    ------
    InputError
        If there is no such goal.
    """
    check_goal(goal)
    most = approach_rows.number("most_power_w")
    needed = _needed(response, goal, most)
    bounds = sorted(_bounds(setup, response, min(needed, most)), key=lambda b: (b.power_w, b.id, b.structure))
    allowed = bounds[0].power_w
    if needed <= allowed:
        return Dosed(response.aim, needed, allowed, tuple(bounds), Ended("converged", f"{needed:.3g} W reach the goal."))
    spot = _needed(replace(response, targets=response.targets[:, :1]), goal, most) if partial else math.inf
    if spot <= allowed:
        at_most = tuple(sorted(_bounds(setup, response, allowed), key=lambda b: (b.power_w, b.id, b.structure)))
        why = f"{allowed:.3g} W, the most allowed ({at_most[0].id}), reach the spot and not all round it."
        return Dosed(response.aim, allowed, allowed, at_most, Ended("converged", why), whole=False)
    if not needed <= most:
        why = f"no power up to {most:g} W reaches the goal at every target point: too little sound is turned into heat there"
        return Dosed(response.aim, math.inf, allowed, tuple(bounds), Ended("limit", why))
    why = "; ".join(b.text(needed) for b in bounds if b.power_w < needed)
    return Dosed(response.aim, needed, allowed, tuple(bounds), Ended("limit", why))


def _needed(response: Response, goal: Goal, most: float) -> float:
    """Return the least power at which every target point reaches its goal [W]."""
    if goal == "cem43":
        return response.reached_w(damage.constants("cem43")["necrosis"].number, most)
    return _over(number("lethal_c") - BODY_C, float(response.targets.max(axis=0).min()))


def name_of(watched: str) -> str:
    """Return how a watched structure, or the near field, is read."""
    return "near field" if watched == NEAR_FIELD else structure(watched).name


def judged(name: str) -> list[Limit]:
    """Return the limits of heat whose passing is a breach at a structure; soft tissue of the near field may not die."""
    if name == NEAR_FIELD:
        dead, alive = (damage.constants("cem43")[key] for key in ("necrosis", "no_necrosis"))
        text = "Soft tissue before the place is not meant to die."
        found = Limit(
            "near-field-necrosis",
            "muscle",
            "cem43_min",
            alive.number,
            dead.number,
            "above",
            "min",
            dead.source,
            dead.verified,
            text,
        )
        return [found]
    return [k for k in limits_for(structure(name)) if k.breaches and k.quantity in ("peak_temperature_c", "cem43_min")]


def both(response: Response, name: str) -> list[Traces]:
    """Return the traces of a structure, in the fine box and along the beam, where it gains anything."""
    found = [part[name] for part in (response.near, response.beam) if name in part]
    return [t for t in found if len(t.voxels)]


def _bounds(setup: Setup, response: Response, at_w: float) -> list[Bound]:
    share = number("share_of_limit")
    found = [Bound(DEVICE, "", setup.device.max_power_w, at_w, setup.device.max_power_w, "W")]
    boiling = Constants()("vaporisation", "boiling_start")
    top = response.box
    place = top.place_mm(int(top.rise_k_w.max(axis=0).argmax())) if len(top.voxels) else None
    found.append(Bound(BOILING, "", share * _over(boiling - BODY_C, top.top), BODY_C + at_w * top.top, boiling, "°C", place))
    for name in (*setup.watch, NEAR_FIELD):
        for limit in judged(name):
            each = [_bound(response, t.hottest(MOST_KEPT), name, limit, at_w, share) for t in both(response, name)]
            found += sorted(each, key=lambda b: b.power_w)[:1]
    return found


def _bound(response: Response, traces: Traces, name: str, limit: Limit, at_w: float, share: float) -> Bound:
    if limit.quantity == "peak_temperature_c":
        values, unit = BODY_C + at_w * traces.rise_k_w.max(axis=0), "°C"
        power = _over(limit.limit - BODY_C, traces.top)
    else:
        values, unit = response.dose_min(traces.rise_k_w, at_w), "CEM43 min"
        most = 10 * approach_rows.number("most_power_w")
        power = bisect(lambda w: float(response.dose_min(traces.rise_k_w, w).max()) >= limit.limit, most)
    worst = int(values.argmax())
    return Bound(limit.id, name, share * power, float(values[worst]), limit.limit, unit, traces.place_mm(worst))


def trial_power(response: Response, dosed: Dosed) -> tuple[float, float]:
    """Return the power of a test sonication [W] and the rise that it makes at the hottest place [K].

    The rise is that of ``session.yaml`` after ``test_on_s``, less where a bound or half the power of treatment allows less.
    """
    hottest = response.box.rise_k_w.max(axis=1)
    per_watt = float(np.interp(number("test_on_s"), response.times_s, hottest))
    power = min(_over(number("test_rise_k"), per_watt), dosed.allowed_w, 0.5 * dosed.needed_w)
    return power, power * per_watt


def _over(rise: float, per_watt: float) -> float:
    return rise / per_watt if per_watt > 0 else math.inf


def _figure(value: float) -> str:
    return f"{float(f'{value:.3g}'):g}" if abs(value) < 1e5 else "over 100 000"
