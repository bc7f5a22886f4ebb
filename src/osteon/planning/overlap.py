"""Targets longer than one zone: positions one after the other, by pulling the needle back or placing it again.

Where the zones go is a set cover: ellipsoids of the size of one zone on the ways in, chosen greedily and then exchanged. What is
dialled in at each is searched with the quick prediction in the state that the positions before it leave, and judged on the sum.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from osteon.errors import SettingError
from osteon.planning.cover import Zone, candidates, cover, distances, in_order, parts_of, stations, zone_from
from osteon.planning.plan import TARGET
from osteon.planning.search import BROKEN, ENOUGH, Choice, Scene, assess_effect, in_words, predict, shorter, with_time
from osteon.space.anatomy import Anatomy
from osteon.space.volume import Array
from osteon.treatments.base import Draw, Effect, Goal, NeedlePose, Setting, Treatment

MOST_POINTS = 4000  # of the target, for choosing positions
WANTED = 0.98  # of its own part of the target, with which a position is not heated longer
WORTH = 0.02  # more coverage than one position gives, to be worth another
MOST_POWERS = 2
SIZES = (1.0, 0.5, 0.25)  # of the time of the best single zone: several small zones may spare what one large one burns
BEYOND_STEP_CM3 = 5.0  # of heat beyond the target that is worth another position
MOST_AGAIN = 2  # positions simulated a second time with a corrected time


@dataclass(frozen=True, eq=False)
class Applied:
    """Positions in order of use.

    Parameters
    ----------
    choices : tuple of Choice
        One per position; findings, coverage and heat outside the target are those of the sum up to it.
    said : tuple of str
        What was tried, in words.
    """

    choices: tuple[Choice, ...]
    said: tuple[str, ...] = ()

    @property
    def last(self) -> Choice:
        """The last position, which was judged on the sum of all."""
        return self.choices[-1]

    @property
    def rank(self) -> tuple[float, ...]:
        """First no breach; then coverage up to enough (whole percents); then heat beyond the target and positions; then time."""
        time = sum(dict(c.setting.controls).get("time_s", 0.0) for c in self.choices)
        cost = np.ceil(self.last.beyond_cm3 / BEYOND_STEP_CM3) + len(self.choices)
        return (*self.last.rank[:2], -min(np.floor(100 * self.last.coverage) / 100, ENOUGH), float(cost), time)


def search_overlap(
    treatment: Treatment,
    device: str,
    goal: Goal,
    coarse: Scene,
    choices: Sequence[Choice],
    ways_to: Callable[[Array], Sequence[NeedlePose]],
    allowed: Callable[[NeedlePose], bool] | None = None,
    observe: Callable[[float], None] | None = None,
) -> Applied | None:
    """Search positions whose zones together cover a target that one zone does not cover.

    Parameters
    ----------
    treatment : Treatment
        Its ``most_positions`` and ``can_pull_back`` say what may be done; it needs a quick prediction.
    device : str
        Of the treatment.
    goal : str
        What the target was made for.
    coarse : Scene
        On the grid for searching.
    choices : sequence of Choice
        What one position can do, the best first.
    ways_to : callable
        Returns admissible ways in to a point [LPS mm], the best first, with the middle of the zone on it as their tip.
    allowed : callable, optional
        Tells whether a pose breaks no hard limit.
    observe : callable, optional
        Called with the fraction done.

    Returns
    -------
    Applied or None
        The positions with quick effects; None where several positions do no better than one.
    """
    usable = [c for c in choices if c.breaches == 0 and len(c.setting.poses) == 1]
    if treatment.most_positions < 2 or not usable or treatment.quick(coarse.box, usable[0].setting) is None:
        return None
    every = coarse.box.grid.to_mm(np.argwhere(coarse.target.array))
    target = every[:: max(1, len(every) // MOST_POINTS)]
    best: Applied | None = None
    sizes = _sizes(usable, coarse)
    for i, (single, zone) in enumerate(sizes):
        ways = _ways(single.setting.poses[0], target, zone, ways_to)
        offered = [w for w in candidates(ways, target, zone, treatment.can_pull_back) if allowed is None or allowed(w[1])]
        if len(offered) < 2:
            continue
        away, numbers = distances(offered, target, zone), [w for w, _ in offered]
        for count in range(2, treatment.most_positions + 1):
            chosen, part = cover(away, numbers, min(count, len(offered)))
            if part < min(ENOUGH, 0.9) and count < treatment.most_positions:
                continue
            poses = in_order([offered[c] for c in dict.fromkeys(chosen)])
            found = _dial_in(treatment, device, goal, coarse, poses, single, zone)
            if found is not None and (best is None or found.rank < best.rank):
                best = found
            if observe is not None:
                observe((i + (count - 1) / (treatment.most_positions - 1)) / len(sizes))
            if found is not None and found.last.breaches == 0 and found.last.coverage >= ENOUGH:
                break
    better = best is not None and best.last.breaches == 0 and best.last.coverage >= usable[0].coverage + WORTH
    return best if better else None


def _sizes(usable: Sequence[Choice], scene: Scene) -> list[tuple[Choice, Zone]]:
    """Return the best single zone, and zones of the same power and pose that were heated for a part of its time."""

    def rest(choice: Choice) -> tuple[object, ...]:
        return choice.setting.poses, tuple((k, v) for k, v in choice.setting.controls if k != "time_s")

    def time(choice: Choice) -> float:
        return dict(choice.setting.controls).get("time_s", 0.0)

    alike = [c for c in usable if rest(c) == rest(usable[0])]
    picked = [min(alike, key=lambda c, part=part: abs(time(c) - part * time(usable[0]))) for part in SIZES]  # type: ignore[misc]
    zones = [(c, zone_from(c, scene)) for c in dict.fromkeys(picked)]
    return [(c, zone) for c, zone in zones if zone is not None]


def _ways(first: NeedlePose, target: Array, zone: Zone, ways_to: Callable[[Array], Sequence[NeedlePose]]) -> list[NeedlePose]:
    """Return the way of the best single zone and those to points along the target, with the tip beyond the zone's middle."""
    ways = [first]
    for station in stations(target, zone):
        for aimed in ways_to(station):
            x, y, z = np.array(aimed.tip_mm) + zone.behind_tip_mm * np.array(aimed.direction)
            ways.append(NeedlePose(aimed.entry_mm, (float(x), float(y), float(z))))
    return ways


def _dial_in(
    treatment: Treatment, device: str, goal: Goal, scene: Scene, poses: Sequence[NeedlePose], single: Choice, zone: Zone
) -> Applied | None:
    """Search power and time at each position in turn, in the state that those before it leave."""
    places = scene.box.grid.to_mm(np.argwhere(scene.target.array))
    parts = parts_of(scene.target.array, places, poses, zone)
    box, effects, done = scene.box, list[Effect](), list[Choice]()
    for pose, part in zip(poses, parts, strict=True):
        found: list[Choice] = []
        for times in _controls(treatment, device, goal, scene.box, single)[:MOST_POWERS]:
            found.extend(_shortest_enough(treatment, scene, box, pose, times, effects, part))
            if any(c.breaches == 0 and c.coverage >= WANTED for c in found):
                break
        good = [c for c in found if c.breaches == 0]
        if not good:
            continue
        best = min(good, key=lambda c: c.rank)
        effects.append(best.effect)
        done.append(assess_effect(scene, best.setting, best.effect, len(done), former=effects[:-1]))
        box = box.with_(best.effect)
    return Applied(tuple(done)) if done else None


def _controls(treatment: Treatment, device: str, goal: Goal, box: Anatomy, single: Choice) -> list[list[Setting]]:
    """Return the settings offered for one pose, grouped by all that is not time, the group of the best single zone first."""
    groups: dict[tuple[tuple[str, float], ...], dict[float, Setting]] = {}
    for setting in treatment.settings(box, TARGET, goal, device, single.setting.poses):
        controls = dict(setting.controls)
        time = controls.pop("time_s", 0.0)
        groups.setdefault(tuple(controls.items()), {}).setdefault(time, setting)
    first = tuple((k, v) for k, v in single.setting.controls if k != "time_s")
    ranked = sorted(groups, key=lambda k: k != first)
    return [[groups[k][t] for t in sorted(groups[k])] for k in ranked]


def _shortest_enough(
    treatment: Treatment,
    scene: Scene,
    box: Anatomy,
    pose: NeedlePose,
    times: Sequence[Setting],
    former: Sequence[Effect],
    part: Array,
) -> list[Choice]:
    """Return the shortest time that covers the position's own part or breaks a limit, found by halving, and the one before it."""
    tried: dict[int, Choice | None] = {}

    def look(i: int) -> Choice | None:
        if i not in tried:
            setting = replace(times[i], poses=(pose,))
            effect = predict(treatment, scene, setting, simulate=False, box=box)
            tried[i] = None if effect is None else assess_effect(scene, setting, effect, i, former, part)
        return tried[i]

    def stop(i: int) -> bool:
        found = look(i)
        return found is None or found.breaches > 0 or found.coverage >= WANTED

    first = bisect_left(range(len(times)), True, key=stop)
    least = [look(i) for i in (first, first - 1) if 0 <= i < len(times)]
    return [c for c in least if c is not None]


def simulate_overlap(
    treatment: Treatment, fine: Scene, quick: Applied, observe: Callable[[float], None] | None = None
) -> Applied | None:
    """Simulate positions one after the other at full resolution, each in the state that those before it leave.

    A position that breaks a limit which quick did not see is shortened, and left out where that does not help; one that covers
    too little of its part is made longer; ``MOST_AGAIN`` times in all.

    Returns
    -------
    Applied or None
        None where no position is left.
    """
    settings = [c.setting for c in quick.choices]
    box, effects, done, said = fine.box, list[Effect](), list[Choice](), list[str]()
    again = 0
    for i, setting in enumerate(settings):
        report = partial(_share, observe, i, len(settings))
        best = _apply(treatment, fine, box, setting, effects, report, said)
        other = None if best is None else _corrected(best, quick.choices[i])
        if best is not None and other is not None and again < MOST_AGAIN:
            again += 1
            second = _apply(treatment, fine, box, other, effects, report, said)
            best = min((c for c in (best, second) if c is not None), key=lambda c: c.rank)
        if best is None or best.breaches:
            said.append(f"position {i + 1} was left out: it breaks a limit of temperature or dose also when shortened")
            continue
        effects.append(best.effect)
        done.append(best)
        box = box.with_(best.effect)
    return Applied(tuple(done), tuple(said)) if done else None


def _apply(
    treatment: Treatment,
    fine: Scene,
    box: Anatomy,
    setting: Setting,
    former: Sequence[Effect],
    report: Callable[[float], None],
    said: list[str],
) -> Choice | None:
    number = len(former) + 1
    try:
        effect = treatment.simulate(box, setting, Draw.nominal(), report)
    except SettingError as refused:
        said.append(f"position {number}, {in_words(setting)}: refused, {refused.what}")
        return None
    done = assess_effect(fine, setting, effect, number - 1, former)
    covered = f"covers {100 * done.coverage:.0f} % of the target with those before it"
    said.append(f"position {number}, {in_words(setting)}: {covered}, {done.breaches} {BROKEN}")
    return done


def _corrected(done: Choice, quick: Choice) -> Setting | None:
    """Return a shorter setting on a breach, a longer one where clearly less is covered than quick said; else None."""
    if done.breaches:
        return shorter(done)
    return with_time(done.setting, 1.25) if done.coverage < quick.coverage - (1.0 - ENOUGH) else None


def _share(observe: Callable[[float], None] | None, done: int, of: int, fraction: float) -> None:
    if observe is not None:
        observe((done + fraction) / of)
