"""From admissible paths to settings: quick predictions, judged and ranked; the best simulated in full, and judged again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import numpy as np

from osteon.assessment.results import RequiredStructure
from osteon.errors import SettingError
from osteon.planning.fields import killed_by_cold, total
from osteon.planning.geometry import number
from osteon.planning.limits import QUANTITIES, UNITS, Watch, judge, strain, watch
from osteon.planning.plan import TARGET, Finding, Path
from osteon.space.anatomy import Anatomy, Field
from osteon.space.volume import Array, Volume
from osteon.treatments.base import Draw, Effect, Goal, NeedlePose, Setting, Treatment

MOST_POSES = 2
MOST_SETTINGS = 600
MOST_SIMULATIONS = 3
MOST_COARSE = 12  # simulations on the coarse grid, where there is no quick prediction
ENOUGH = 0.97  # coverage with which no other way in is tried
APART_DEG = 20.0
APART_MM = 4.0
BROKEN = "limits of temperature or dose broken"


@dataclass(frozen=True, eq=False)
class Scene:
    """One lesion on one grid, ready to be judged: anatomy with the target, and what is watched."""

    box: Anatomy
    target: Volume
    watched: tuple[Watch, ...]

    @classmethod
    def of(cls, box: Anatomy, full: Anatomy, required: Sequence[RequiredStructure], target: Volume) -> Scene:
        """Prepare a grid; the target is resampled where it lies on another."""
        here = box.with_mask(TARGET, target)
        return cls(here, here.mask(TARGET), tuple(watch(box, full, required, here.mask(TARGET))))


@dataclass(frozen=True, eq=False)
class Choice:
    """A setting with what it does and how it stands.

    Parameters
    ----------
    setting : Setting
        Poses and controls.
    effect : Effect
        Quick or full.
    findings : tuple of Finding
        How it stands against every limit.
    coverage : float
        Fraction of the target with lethal dose.
    beyond_cm3 : float
        Lethal dose outside the target.
    excess : float
        How far the worst breach lies beyond its limit, in doublings of what the limit allows (``limits.strain``).
    order : int
        Place among the settings as offered.
    """

    setting: Setting
    effect: Effect
    findings: tuple[Finding, ...]
    coverage: float
    beyond_cm3: float
    excess: float
    order: int

    @property
    def breaches(self) -> int:
        """Number of limits of temperature and dose that are broken; stand-off does not depend on the setting."""
        return sum(f.level == "breach" and f.unit != UNITS["stand_off_mm"] for f in self.findings)

    @property
    def rank(self) -> tuple[float, ...]:
        """First no breach; then coverage (whole percents); then least dead outside the target; then the offered order."""
        return (
            min(self.breaches, 1), round(self.excess, 2) if self.breaches else 0.0, -round(self.coverage, 2),
            round(self.beyond_cm3 * 2) / 2, dict(self.setting.controls).get("time_s", 0.0), self.order,
        )  # fmt: skip


def assess_effect(
    scene: Scene, setting: Setting, effect: Effect, order: int = 0, former: Sequence[Effect] = (), part: Array | None = None
) -> Choice:
    """Judge one effect on the scene, together with those of ``former`` applications; ``part``: of the target to be covered."""
    effects = [*former, effect]
    fields = {name: total(effects, scene.box.grid, name) for name in QUANTITIES.values()}
    zone = (fields[Field.CEM43_MIN] >= number("lethal_cem43_min")) | killed_by_cold(effects, scene.box.grid)
    target = scene.target.array
    wanted = target if part is None else part
    findings = tuple(judge(effects, scene.box, (), scene.target, watched=scene.watched, fields=fields))
    broken = [f for f in findings if f.level == "breach" and f.value is not None and f.unit != UNITS["stand_off_mm"]]
    excess = max((np.log2(max(strain(f), 1e-9)) for f in broken), default=0.0)
    covered = float((zone & wanted).sum() / max(int(wanted.sum()), 1))
    beyond = float((zone & ~target).sum() * scene.box.grid.voxel_mm3 / 1000.0)
    return Choice(setting, effect, findings, covered, beyond, float(max(excess, 0.0)), order)


def different(paths: Sequence[Path], count: int = MOST_POSES) -> list[NeedlePose]:
    """Return the first few poses that differ from one another by an angle or a distance that matters."""
    kept: list[NeedlePose] = []
    for path in paths:
        way = np.array(path.pose.direction)
        same = any(
            np.rad2deg(np.arccos(np.clip(way @ np.array(k.direction), -1, 1))) < APART_DEG
            and np.linalg.norm(np.subtract(path.pose.tip_mm, k.tip_mm)) < APART_MM
            for k in kept
        )
        if not same:
            kept.append(path.pose)
        if len(kept) == count:
            break
    return kept


def search_settings(
    treatment: Treatment,
    device: str,
    goal: Goal,
    coarse: Scene,
    poses: Sequence[NeedlePose],
    allowed: Callable[[NeedlePose], bool] | None = None,
    observe: Callable[[float], None] | None = None,
) -> list[Choice]:
    """Predict what the treatment's settings would do, judge each, and return them, the best first.

    The recommended way in is tried alone; the next ones only where it does not cover the target without a breach, and several
    needles at once last.

    Parameters
    ----------
    treatment : Treatment
        Offers ``settings`` and ``quick``; without a quick prediction ``simulate`` runs on the coarse grid for the first few.
    device : str
        Of the treatment.
    goal : str
        What the target was made for.
    coarse : Scene
        On the grid for searching.
    poses : sequence of NeedlePose
        Admissible ways in, the recommended first.
    allowed : callable, optional
        Tells whether a pose, with its tip where the treatment put it, still breaks no hard limit.
    observe : callable, optional
        Called with the fraction done.
    """
    seen: dict[NeedlePose, bool] = {}

    def admissible(setting: Setting) -> bool:
        for pose in setting.poses:
            if pose not in seen:
                seen[pose] = allowed is None or allowed(pose)
        return all(seen[pose] for pose in setting.poses)

    groups = [[pose] for pose in poses] + ([list(poses)] if len(poses) > 1 else []) or [[]]
    choices: list[Choice] = []
    for g, group in enumerate(groups):
        every = treatment.settings(coarse.box, TARGET, goal, device, group)
        offered = list(islice((s for s in every if admissible(s) and (g < len(poses) or len(s.poses) != 1)), MOST_SETTINGS))
        report = partial(_part, observe, g, len(groups))
        choices.extend(_try_all(treatment, coarse, offered, choices, report))
        choices.sort(key=lambda c: c.rank)
        if choices and choices[0].breaches == 0 and choices[0].coverage >= ENOUGH:
            break
    if choices:
        choices.extend(refine(treatment, coarse, choices[0]))
        choices.sort(key=lambda c: c.rank)
    return choices


def _part(observe: Callable[[float], None] | None, done: int, of: int, fraction: float) -> None:
    if observe is not None:
        observe((done + fraction) / of)


def _try_all(
    treatment: Treatment, scene: Scene, offered: Sequence[Setting], before: Sequence[Choice], report: Callable[[float], None]
) -> list[Choice]:
    """Predict and judge settings; of those that differ only in time, none longer than one that burns or already covers all.

    More time covers more: where the longest breaks no limit and still covers less than what was found before, none shorter is
    looked at.
    """
    families: dict[object, list[tuple[int, Setting]]] = {}
    for i, setting in enumerate(offered, start=len(before)):
        controls = tuple((k, v) for k, v in setting.controls if k != "time_s")
        families.setdefault((setting.device, setting.poses, controls), []).append((i, setting))
    found: list[Choice] = []
    done = 0
    for family in families.values():
        good = [round(c.coverage, 2) for c in (*before, *found) if c.breaches == 0]
        longest = _longest(treatment, scene, family) if good and len(family) > 1 else None
        if longest is not None and longest.breaches == 0 and round(longest.coverage, 2) < max(good):
            found.append(longest)
        else:
            found.extend(_try_times(treatment, scene, family, len(found)))
        done += len(family)
        report(done / len(offered))
    return found


def _longest(treatment: Treatment, scene: Scene, family: Sequence[tuple[int, Setting]]) -> Choice | None:
    order, setting = max(family, key=lambda each: dict(each[1].controls).get("time_s", 0.0))
    effect = predict(treatment, scene, setting, simulate=False)
    return None if effect is None else assess_effect(scene, setting, effect, order)


def _try_times(treatment: Treatment, scene: Scene, family: Sequence[tuple[int, Setting]], had: int) -> list[Choice]:
    """Predict and judge settings that differ only in time, in the order offered; ``had``: number of predictions before."""
    found: list[Choice] = []
    enough = np.inf
    for order, setting in family:
        time = dict(setting.controls).get("time_s", 0.0)
        if time > enough:
            continue
        effect = predict(treatment, scene, setting, simulate=had + len(found) < MOST_COARSE)
        if effect is not None:
            found.append(assess_effect(scene, setting, effect, order))
            if time > 0 and (found[-1].breaches or found[-1].coverage >= 0.999):
                enough = min(time, enough)
    return found


def predict(
    treatment: Treatment, scene: Scene, setting: Setting, simulate: bool = True, box: Anatomy | None = None
) -> Effect | None:
    """Return the quick prediction, else a coarse simulation where allowed; None where the device cannot do the setting.

    ``box``: the scene's anatomy as earlier applications left it.
    """
    start = scene.box if box is None else box
    try:
        effect = treatment.quick(start, setting)
        return treatment.simulate(start, setting, Draw.nominal()) if effect is None and simulate else effect
    except SettingError:
        return None


def refine(treatment: Treatment, scene: Scene, best: Choice) -> list[Choice]:
    """Try times between those offered."""
    found = []
    for factor in (0.7, 0.8, 0.9, 1.1, 1.2):
        setting = with_time(best.setting, factor)
        effect = None if setting is None else predict(treatment, scene, setting, simulate=False)
        if setting is not None and effect is not None:
            found.append(assess_effect(scene, setting, effect, best.order))
    return found


def with_time(setting: Setting, factor: float) -> Setting | None:
    """Return the setting with another time, in whole steps of 10 s; None where it has none or nothing would change."""
    now = dict(setting.controls).get("time_s")
    if now is None:
        return None
    # a time shortened because of a limit must not be rounded up to the limit again
    steps = now * factor / 10.0
    new = 10.0 * (np.floor(steps + 1e-9) if factor < 1 else np.ceil(steps - 1e-9))
    if new <= 0 or new == now:
        return None
    return replace(setting, controls=tuple((k, float(new) if k == "time_s" else v) for k, v in setting.controls))


def simulate_best(
    treatment: Treatment,
    fine: Scene,
    choices: Sequence[Choice],
    observe: Callable[[float], None] | None = None,
) -> tuple[Choice | None, tuple[str, ...]]:
    """Simulate the best setting at full resolution; on a breach that quick did not see, shorten it or go to the next best.

    Returns
    -------
    Choice or None
        The best of those simulated in full.
    tuple of str
        What was tried, in words.
    """
    tried: list[Choice] = []
    said: list[str] = []
    queue = [c.setting for c in choices]
    changed = False
    while queue and len(tried) < MOST_SIMULATIONS:
        setting = queue.pop(0)
        report = partial(_share, observe, len(tried))
        try:
            effect = treatment.simulate(fine.box, setting, Draw.nominal(), report)
        except SettingError as refused:
            said.append(f"{in_words(setting)}: refused, {refused.what}")
            if any(t.breaches == 0 for t in tried):
                break
            continue
        done = assess_effect(fine, setting, effect, len(tried))
        tried.append(done)
        said.append(f"{in_words(setting)}: covers {100 * done.coverage:.0f} % of the target, {done.breaches} {BROKEN}")
        if done.breaches == 0:
            other = None if any(t.breaches for t in tried) else _longer(done)
            if other is None:
                break
            queue.insert(0, other)
            continue
        if any(t.breaches == 0 for t in tried):  # it was made longer than it may be
            break
        other = None if changed else shorter(done)
        changed = other is not None
        if other is not None:
            queue.insert(0, other)
        else:  # neither as it was nor shorter: what differs only in its time would fare no better
            queue = [s for s in queue if not differ_in_time(s, setting)]
    return (min(tried, key=lambda c: c.rank) if tried else None), tuple(said)


def _share(observe: Callable[[float], None] | None, done: int, fraction: float) -> None:
    if observe is not None:
        observe((done + fraction) / MOST_SIMULATIONS)


def differ_in_time(one: Setting, other: Setting) -> bool:
    """Tell whether two settings differ in nothing but their time."""
    same = {k: v for k, v in one.controls if k != "time_s"} == {k: v for k, v in other.controls if k != "time_s"}
    return same and one.device == other.device and one.poses == other.poses


def _longer(done: Choice) -> Setting | None:
    """Return a longer setting where the full run breaks nothing and leaves some of the target."""
    return None if done.coverage >= ENOUGH else with_time(done.setting, 1.25)


def shorter(done: Choice) -> Setting | None:
    """Return the setting with the time at which the first limit was reached, where the simulation tells it."""
    controls = dict(done.setting.controls)
    now = controls.get("time_s")
    moments = [f.time_s for f in done.findings if f.level == "breach" and f.time_s is not None and f.time_s > 0]
    if now is None:
        return None
    if controls.get("freezes", 1.0) > 1:  # a moment in a later freeze counts from where that one began
        moments = [m % (now + controls.get("thaw_s", 0.0)) for m in moments]
    factor = min(moments) * 0.95 / now if moments else 0.7
    return with_time(done.setting, float(np.clip(factor, 0.2, 0.95)))


def in_words(setting: Setting) -> str:
    """Return a setting as one line: device, needles, controls."""
    names = {
        "power_w": "{:.0f} W", "time_s": "{:.0f} s", "temperature_c": "{:.0f} °C held", "thaw_s": "thaw {:.0f} s",
        "freezes": "{:.0f} freezes",
    }  # fmt: skip
    parts = [names[k].format(v) if k in names else f"{k.replace('_', ' ')} {v:g}" for k, v in setting.controls]
    needles = f"{len(setting.poses)} needle{'s' if len(setting.poses) > 1 else ''}" if setting.poses else ""
    return ", ".join(p for p in (setting.device, needles, *parts) if p)
