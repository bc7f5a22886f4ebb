"""The door of planning: for every lesion and every treatment that selection leaves open, a plan that has judged itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from osteon.assessment.results import Assessment, LesionAssessment
from osteon.errors import NumericalError
from osteon.facts import Fact
from osteon.jobs import Executor, Serial
from osteon.planning.geometry import note, number, values
from osteon.planning.limits import UNITS
from osteon.planning.maps import PathMaps, build_maps
from osteon.planning.measures import bands, measure, name_uncovered, zone_of
from osteon.planning.plan import TARGET, UNCOVERED, Finding, PathSearch, Plan, PlanRequest, Step
from osteon.planning.prescription import prescribe
from osteon.planning.robust import ensemble, with_bands
from osteon.planning.search import Choice, Scene, different, in_words, search_settings, simulate_best
from osteon.planning.target import Target, boxed, define_target, planning_box
from osteon.planning.trajectory import aim_points, drillable, positions_from, refusal, search_paths
from osteon.selection.verdicts import Verdict, Verdicts
from osteon.space.anatomy import Anatomy, Structure, structure
from osteon.treatments.base import Ended, Goal, NeedleAccess, NeedlePose, Treatment
from osteon.treatments.catalog import entries
from osteon.treatments.catalog import treatment as find

SEARCH_MM = 2.0
GOALS: tuple[Goal, ...] = ("cure", "palliation", "interface_palliation")
Watcher = Callable[[str, float], None]


@dataclass(frozen=True, eq=False)
class _Site:
    """One lesion as planning needs it."""

    assessed: LesionAssessment
    lesion: Structure
    bone: Structure | None
    positions: tuple[str, ...]
    fixed: bool
    scanned: str


@dataclass(frozen=True, eq=False)
class _Offer:
    """What one device could do: way in, and the settings ranked."""

    device: str
    access: NeedleAccess | None
    paths: PathSearch | None
    choices: tuple[Choice, ...]

    @property
    def good(self) -> bool:
        return bool(self.choices) and self.choices[0].breaches == 0 and self.choices[0].coverage > 0.0


def plan(
    assessment: Assessment,
    verdicts: Verdicts,
    request: PlanRequest,
    executor: Executor | None = None,
    observe: Watcher | None = None,
) -> list[Plan]:
    """Plan every lesion with every treatment that selection leaves open.

    Candidates are planned, and "needs" under the condition that what is missing is confirmed; what is excluded or not
    indicated only with ``request.anyway``, which stands in the plan's condition. Treatments without simulator have no plan.

    Parameters
    ----------
    assessment : Assessment
        The case and what was made of each lesion.
    verdicts : Verdicts
        From ``select``.
    request : PlanRequest
        What is asked.
    executor : Executor, optional
        Where the runs of an ensemble go; by default this process.
    observe : callable, optional
        Called with what is being done and the fraction of all plans done.

    Returns
    -------
    list of Plan
        In the order of lesions and catalogue; a plan without steps says in ``ended`` why there is none.

    Raises
    ------
    InputError
        If a treatment is asked for that the catalogue does not have.
    """
    names = list(entries()) if "all" in request.treatments else list(request.treatments)
    wanted: list[tuple[LesionAssessment, Treatment, str]] = []
    for lesion in assessment.lesions:
        for name in names:
            treatment = find(name)
            condition = condition_of(verdicts, lesion.lesion_id, name, request) if treatment.simulates() else None
            if condition is not None:
                wanted.append((lesion, treatment, condition))
    plans = []
    for i, (lesion, treatment, condition) in enumerate(wanted):

        def step(text: str, fraction: float, i: int = i) -> None:
            if observe is not None:
                observe(text, (i + fraction) / len(wanted))

        site = _site(assessment, lesion)
        plans.append(_plan_one(assessment, site, treatment, condition, request, executor or Serial(), step))
    if observe is not None:
        observe("plans done", 1.0)
    return plans


def condition_of(verdicts: Verdicts, lesion_id: str, treatment: str, request: PlanRequest) -> str | None:
    """Return under which condition a treatment is planned, empty for none; None where it is not planned."""
    verdict = _verdict(verdicts, lesion_id, treatment, request.policy)
    if verdict is None:
        return None
    if verdict.status.startswith("candidate"):
        return ""
    if verdict.status == "needs":
        return f"if {unknown_in_words(verdict)} confirmed"
    if not request.anyway:
        return None
    kinds = {"excluded": ("exclusion", "true"), "not_indicated": ("requirement", "false")}
    wanted = kinds.get(verdict.status)
    reasons = [r.text for r in verdict.reasons if wanted is not None and (r.kind, r.truth) == wanted]
    because = f" because {'; '.join(reasons)}" if reasons else ""
    return f"ANYWAY: {verdict.status.replace('_', ' ')}{because}"


def _verdict(verdicts: Verdicts, lesion_id: str, treatment: str, policy: str) -> Verdict | None:
    for name in (policy, verdicts.policy):
        try:
            return verdicts.of(lesion_id, treatment, name)
        except KeyError:
            continue
    return None


def unknown_in_words(verdict: Verdict) -> str:
    """Return the facts that a verdict "needs" waits for, with their verb: "platelets and INR are"."""
    facts = [
        name for r in verdict.reasons if r.kind in ("exclusion", "requirement") and r.truth == "unknown" for name in r.unknown
    ]
    listed = list(dict.fromkeys(facts)) or list(dict.fromkeys(n for group in verdict.missing[:1] for n in group))
    words = [_fact_in_words(n) for n in listed] or ["what is missing"]
    if len(words) == 1:
        return f"{words[0]} is"
    return f"{', '.join(words[:-1])} and {words[-1]} are"


def _fact_in_words(name: str) -> str:
    short = re.sub(r"_(e9_l|mm2?|ml|hu|weeks|years)$", "", name)
    return {"inr": "INR", "ecog": "ECOG", "pain_vas": "pain (VAS)"}.get(short, short.replace("_", " "))


def _site(assessment: Assessment, lesion: LesionAssessment) -> _Site:
    held = next((x for x in assessment.case.lesions if x.id == lesion.lesion_id), None)
    facts: Mapping[str, Fact] = {**assessment.case.facts, **lesion.facts}
    told = facts["patient_position"].value if "patient_position" in facts else None
    study = assessment.case.planning_image
    scanned = study.patient_position if study is not None else "unknown"
    positions, fixed = positions_from(told if isinstance(told, str) else None, scanned)
    assessed = lesion
    if not lesion.anatomy.has("lesion") and held is not None and held.mask is not None:
        assessed = replace(lesion, anatomy=lesion.anatomy.with_mask(structure("lesion"), held.mask))
    return _Site(assessed, structure("lesion"), held.bone if held is not None else None, positions, fixed, scanned)


def goal_of(assessment: Assessment, lesion: LesionAssessment, request: PlanRequest) -> tuple[Goal, str]:
    """Return the goal to plan for and, where nobody gave one, what was assumed."""
    held = next((x for x in assessment.case.lesions if x.id == lesion.lesion_id), None)
    fact = lesion.facts.get("goal")
    for told in (request.goal, held.goal if held is not None else None, fact.value if fact is not None else None):
        for goal in GOALS:
            if told == goal:
                return goal, ""
    return "palliation", "goal of treatment not given, or not one of heat: palliation was assumed"


def _plan_one(
    assessment: Assessment,
    site: _Site,
    treatment: Treatment,
    condition: str,
    request: PlanRequest,
    executor: Executor,
    observe: Watcher,
) -> Plan:
    goal, assumed = goal_of(assessment, site.assessed, request)
    base = Plan(
        treatment.name, site.assessed.lesion_id, goal, (), (), {}, Ended("refused"), seed=request.seed, condition=condition
    )
    full = site.assessed.anatomy
    if not full.has(site.lesion):
        return replace(base, ended=Ended("refused", "cannot tell: outline the lesion; there is nothing to aim at"))
    observe("preparing the box round the lesion", 0.01)
    box = boxed(full, planning_box(full, site.lesion, request.spacing_mm))
    target = define_target(box, site.lesion, site.bone, goal, treatment)
    required = site.assessed.required
    fine = Scene.of(box, full, required, target.mask)
    if request.spacing_mm < SEARCH_MM:
        rough = boxed(full, planning_box(full, site.lesion, SEARCH_MM))
        coarse = Scene.of(rough, full, required, target.mask)
    else:
        coarse = fine
    offers = _offers(site, treatment, target, coarse, observe)
    offer = min(offers, key=_offer_rank) if offers else None
    base = replace(
        base, goal=target.goal, before=fine.box, uncovered=target.left_out, assumptions=_assumptions(site, target, assumed)
    )
    if offer is None or not offer.choices:
        why = _why_none(treatment, offer)
        findings = tuple(_unjudged(fine))
        paths = offer.paths if offer is not None else None
        return replace(base, ended=Ended("refused", why), paths=paths, findings=findings)
    observe(f"simulating {in_words(offer.choices[0].setting)}", 0.4)
    try:
        best, tried = simulate_best(treatment, fine, offer.choices, lambda f: observe("simulating", 0.4 + 0.5 * f))
    except NumericalError as error:
        return replace(base, ended=Ended("not_converged", error.what), paths=offer.paths, findings=tuple(_unjudged(fine)))
    if best is None:
        return replace(base, ended=Ended("refused", "; ".join(tried)), paths=offer.paths, findings=tuple(_unjudged(fine)))
    observe("judging", 0.92)
    return _finish(base, site, treatment, offer, best, tried, fine, coarse, request, executor)


def _offers(site: _Site, treatment: Treatment, target: Target, coarse: Scene, observe: Watcher) -> list[_Offer]:
    """Try the devices in their order until one heats the target without breaking a limit of heat."""
    offers: list[_Offer] = []
    full = site.assessed.anatomy
    devices = [d for d, entry in treatment.devices.items() if not entry.get("validation_only")]
    aims = aim_points(target.mask.grid, target.mask.array) if target.goal == "interface_palliation" else None
    for device in devices:
        access = treatment.needle(device)
        paths: PathSearch | None = None
        allowed: Callable[[NeedlePose], bool] | None = None
        if access is not None:
            observe(f"searching ways in for {device}", 0.05)
            middle = aims[0] if aims is not None else aim_points(full.grid, full.mask(site.lesion).array)[0]
            maps = build_maps(full, middle, access.max_depth_mm, drillable(full, access, site.bone), site.lesion)
            paths = search_paths(full, site.lesion, access, site.bone, site.positions, aims, maps=maps)
            if paths.recommended is None:
                offers.append(_Offer(device, access, paths, ()))
                continue
            allowed = partial(_allowed, full, maps, access, site.positions)
        poses = different(paths.pareto) if paths is not None else []
        report = partial(_share, observe, f"searching settings of {device}")
        choices = search_settings(treatment, device, target.goal, coarse, poses, allowed, report)
        offers.append(_Offer(device, access, paths, tuple(choices)))
        if offers[-1].good:
            break
    return offers


def _allowed(full: Anatomy, maps: PathMaps, access: NeedleAccess, positions: tuple[str, ...], pose: NeedlePose) -> bool:
    return not refusal(full, maps, pose, access, positions)


def _share(observe: Watcher, text: str, fraction: float) -> None:
    observe(text, 0.08 + 0.3 * fraction)


def _offer_rank(offer: _Offer) -> tuple[float, ...]:
    return (0.0, *offer.choices[0].rank) if offer.choices else (1.0,)


def _why_none(treatment: Treatment, offer: _Offer | None) -> str:
    if offer is None:
        return f"{treatment.name} has no device"
    if offer.paths is not None and offer.paths.recommended is None:
        return offer.paths.why
    return f"no setting of {offer.device} is possible here"


def _unjudged(scene: Scene) -> list[Finding]:
    """Return what cannot be told in any case, for a plan without steps."""
    return [
        Finding(k.id, w.structure.id, None, UNITS[k.quantity], k.limit, "unknown", w.text, source=k.source)
        for w in scene.watched
        if not w.known
        for k in w.limits
    ]


def _finish(
    base: Plan,
    site: _Site,
    treatment: Treatment,
    offer: _Offer,
    best: Choice,
    tried: Sequence[str],
    fine: Scene,
    coarse: Scene,
    request: PlanRequest,
    executor: Executor,
) -> Plan:
    effects = [best.effect]
    figures, margin = measure(effects, fine.box, site.lesion, fine.target, [best.setting])
    zone = zone_of(effects, fine.box.grid)
    findings = list(best.findings)
    runs: list[tuple[dict[str, float], dict[tuple[str, str], float]]] = []
    if request.samples > 0:
        runs = ensemble(treatment.name, [best.setting], coarse, site.lesion, request.samples, request.seed, executor)
        findings = with_bands(findings, [r[1] for r in runs])
    missed = fine.target.with_array(fine.target.array & ~zone.array)
    after = fine.box.with_(best.effect).with_mask(UNCOVERED, missed)
    uncovered = (*base.uncovered, *name_uncovered(zone, fine.target, fine.box.mask(site.lesion), fine.box))
    prescription = prescribe(
        site.assessed.anatomy, site.lesion, site.bone, [best.setting], offer.access, offer.paths, site.scanned, site.fixed
    )
    extra = (f"bands from {request.samples} runs on a grid of {coarse.box.grid.spacing_mm[0]:g} mm",) if runs else ()
    return replace(
        base,
        steps=(Step(treatment.name, best.setting, best.effect),),
        findings=tuple(findings),
        measures=bands(figures, [r[0] for r in runs]),
        ended=best.effect.ended,
        paths=offer.paths,
        after=after,
        margin_mm=margin,
        prescription=prescription,
        uncovered=uncovered,
        assumptions=(*base.assumptions, *extra),
        provenance=_provenance(fine, tried, offer),
    )


def _assumptions(site: _Site, target: Target, assumed: str) -> tuple[str, ...]:
    grown = sorted(s.name for s in site.assessed.anatomy.approximate)
    return tuple(
        text
        for text in (
            f"target: {target.text}",
            assumed,
            f"approximate outlines: {', '.join(grown)}" if grown else "",
            "stand-off of the needle itself: " + note("needle_stand_off_nerve_mm"),
            note("bore_radius_mm"),
            f"the zone is where CEM43 reaches {number('lethal_cem43_min'):g} min",
        )
        if text
    )


def _provenance(fine: Scene, tried: Sequence[str], offer: _Offer) -> dict[str, object]:
    ways = offer.paths.candidates if offer.paths is not None else 0
    return {
        "tried": list(tried),
        "settings_searched": len(offer.choices),
        "ways_searched": ways,
        "grid_mm": fine.box.grid.spacing_mm[0],
        "voxels": int(np.prod(fine.box.grid.shape)),
        "sources": sorted({v.source for v in values().values()}),
        "target": TARGET.id,
    }
