"""What a treatment could do at one lesion: ways in, settings of one position, and positions one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from osteon.assessment.results import LesionAssessment
from osteon.planning.maps import PathMaps, build_maps
from osteon.planning.overlap import WORTH, Applied, search_overlap
from osteon.planning.plan import TARGET, PathSearch, PlanRequest
from osteon.planning.prescription import position_of
from osteon.planning.search import (
    ENOUGH,
    MOST_SETTINGS,
    Choice,
    Scene,
    assess_effect,
    differ_in_time,
    different,
    predict,
    search_settings,
)
from osteon.planning.target import Target, boxed, planning_box
from osteon.planning.trajectory import aim_points, drillable, refusal, search_paths
from osteon.space.anatomy import Anatomy, Structure
from osteon.space.volume import Array
from osteon.treatments.base import Goal, NeedleAccess, NeedlePose, Treatment

SEARCH_MM = 2.0
WAYS_PER_STATION = 2
STATION_CANDIDATES = 6000
Watcher = Callable[[str, float], None]


@dataclass(frozen=True, eq=False)
class Site:
    """One lesion as planning needs it."""

    assessed: LesionAssessment
    lesion: Structure
    bone: Structure | None
    positions: tuple[str, ...]
    fixed: bool
    scanned: str


@dataclass(frozen=True, eq=False)
class Offer:
    """What one device could do: ways in with the maps that they were judged by, and the settings ranked."""

    device: str
    access: NeedleAccess | None
    paths: PathSearch | None
    choices: tuple[Choice, ...]
    maps: PathMaps | None = None

    @property
    def good(self) -> bool:
        return bool(self.choices) and self.choices[0].breaches == 0 and self.choices[0].coverage > 0.0


def make_offers(site: Site, treatment: Treatment, target: Target, coarse: Scene, observe: Watcher) -> list[Offer]:
    """Try the devices in their order until one reaches the target without breaking a limit of temperature or dose.

    Where that one does not cover the target, the one of the rest with the largest zone is tried too, if it covers more.
    """
    offers: list[Offer] = []
    waiting = [d for d, entry in treatment.devices.items() if not entry.get("validation_only")]
    while waiting:
        offers.append(_offer(site, treatment, waiting.pop(0), target, coarse, observe))
        if not offers[-1].good:
            continue
        first = offers[-1].choices[0]
        if first.coverage >= ENOUGH or any(offer.good for offer in offers[:-1]):
            break
        larger = larger_device(treatment, target.goal, coarse, first, waiting)
        waiting = [] if larger is None else [larger]
    return offers


def _offer(site: Site, treatment: Treatment, device: str, target: Target, coarse: Scene, observe: Watcher) -> Offer:
    """Search the ways in and the settings of one device."""
    full = site.assessed.anatomy
    aims = aim_points(target.mask.grid, target.mask.array) if target.goal == "interface_palliation" else None
    access = treatment.needle(device)
    paths: PathSearch | None = None
    maps: PathMaps | None = None
    allowed: Callable[[NeedlePose], bool] | None = None
    if access is not None:
        observe(f"searching ways in for {device}", 0.05)
        middle = aims[0] if aims is not None else aim_points(full.grid, full.mask(site.lesion).array)[0]
        maps = build_maps(full, middle, access.max_depth_mm, drillable(full, access, site.bone), site.lesion)
        paths = search_paths(full, site.lesion, access, site.bone, site.positions, aims, maps=maps)
        if paths.recommended is None:
            return Offer(device, access, paths, ())
        allowed = partial(_allowed, full, maps, access, site.positions)
    poses = different(paths.pareto) if paths is not None else []
    report = partial(_share, observe, f"searching settings of {device}")
    choices = search_settings(treatment, device, target.goal, coarse, poses, allowed, report)
    return Offer(device, access, paths, tuple(choices), maps)


def larger_device(treatment: Treatment, goal: Goal, coarse: Scene, first: Choice, others: Sequence[str]) -> str | None:
    """Return which of other devices would cover clearly more than the best that was found; None where none would.

    One quick prediction each tells: on the way in that was found, what is offered first, for its longest time.
    """
    covered: dict[str, float] = {}
    for device in others:
        offered = list(islice(treatment.settings(coarse.box, TARGET, goal, device, first.setting.poses), MOST_SETTINGS))
        if not offered:
            continue
        alike = [s for s in offered if differ_in_time(s, offered[0])]
        longest = max(alike, key=lambda s: dict(s.controls).get("time_s", 0.0))
        effect = predict(treatment, coarse, longest, simulate=False)
        if effect is not None:
            covered[device] = assess_effect(coarse, longest, effect).coverage
    best = max(covered, key=lambda d: covered[d], default=None)
    return best if best is not None and covered[best] >= first.coverage + WORTH else None


def _allowed(full: Anatomy, maps: PathMaps, access: NeedleAccess, positions: tuple[str, ...], pose: NeedlePose) -> bool:
    return not refusal(full, maps, pose, access, positions)


def _share(observe: Watcher, text: str, fraction: float) -> None:
    observe(text, 0.08 + 0.3 * fraction)


def offer_rank(offer: Offer) -> tuple[float, ...]:
    """Return by what devices are ranked: that of their best setting; those without any last."""
    return (0.0, *offer.choices[0].rank) if offer.choices else (1.0,)


def why_none(treatment: Treatment, offer: Offer | None) -> str:
    """Say why nothing can be offered."""
    if offer is None:
        return f"{treatment.name} has no device"
    if offer.paths is not None and offer.paths.recommended is None:
        return offer.paths.why
    return f"no setting of {offer.device} is possible here"


@dataclass(frozen=True, eq=False)
class Attempt:
    """A target with what was found for it.

    Parameters
    ----------
    target : Target
        What is to be treated.
    fine, coarse : Scene
        On the grid of the request, and on that for searching.
    offer : Offer or None
        What one position can do with the best device.
    applied : Applied or None
        Several positions, where they do better; quick effects.
    """

    target: Target
    fine: Scene
    coarse: Scene
    offer: Offer | None
    applied: Applied | None = None

    @property
    def covers(self) -> bool:
        """Whether nearly all of the target can be covered without breaking a limit, as far as quick tells."""
        best = self.applied.last if self.applied is not None else None
        if best is None and self.offer is not None and self.offer.choices:
            best = self.offer.choices[0]
        return best is not None and best.breaches == 0 and best.coverage >= ENOUGH


def attempt(site: Site, treatment: Treatment, target: Target, box: Anatomy, request: PlanRequest, observe: Watcher) -> Attempt:
    """Search ways in and settings for one target; several positions where one zone does not cover it.

    Parameters
    ----------
    site : Site
        The lesion.
    treatment : Treatment
        With what.
    target : Target
        Defined on the grid of ``box``.
    box : Anatomy
        On the grid of the request.
    request : PlanRequest
        What is asked.
    observe : callable
        Called with what is being done and the fraction of the plan done.
    """
    full, required = site.assessed.anatomy, site.assessed.required
    fine = coarse = Scene.of(box, full, required, target.mask)
    if request.spacing_mm < SEARCH_MM:
        rough = boxed(full, planning_box(full, site.lesion, SEARCH_MM))
        coarse = Scene.of(rough, full, required, target.mask)
    offers = make_offers(site, treatment, target, coarse, observe)
    offer = min(offers, key=offer_rank) if offers else None
    found = Attempt(target, fine, coarse, offer)
    if offer is None or not offer.choices or found.covers or offer.maps is None or offer.access is None:
        return found
    position = position_of(offer.paths, [offer.choices[0].setting])
    positions = (position,) if position in site.positions else site.positions
    full_search = partial(_ways_to, site, offer.access, offer.maps, positions)
    allowed = partial(_allowed, full, offer.maps, offer.access, positions)
    report = partial(_share, observe, "searching positions that overlap")
    applied = search_overlap(treatment, offer.device, target.goal, coarse, offer.choices, full_search, allowed, report)
    return Attempt(target, fine, coarse, offer, applied)


def _ways_to(site: Site, access: NeedleAccess, maps: PathMaps, positions: tuple[str, ...], point_mm: Array) -> list[NeedlePose]:
    full = site.assessed.anatomy
    found = search_paths(
        full, site.lesion, access, site.bone, positions, point_mm[None, :], candidates=STATION_CANDIDATES, maps=maps
    )
    return different(found.pareto, WAYS_PER_STATION)
