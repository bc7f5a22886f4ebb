"""The door of planning: for every lesion and every treatment that selection leaves open, a plan that has judged itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from osteon.assessment.carried import carried_cautions
from osteon.assessment.results import Assessment, LesionAssessment
from osteon.errors import InputError, NumericalError
from osteon.facts import Fact, vocabulary
from osteon.jobs import Executor, Serial
from osteon.planning.contrast import assumed_of, with_contrast
from osteon.planning.geometry import note, values
from osteon.planning.limits import UNITS
from osteon.planning.measures import bands, measure, name_uncovered, zone_assumed, zone_of
from osteon.planning.offer import Attempt, Offer, Site, Watcher, attempt, why_none
from osteon.planning.overlap import Applied, simulate_overlap
from osteon.planning.own import plan_by_itself, with_orders
from osteon.planning.plan import TARGET, UNCOVERED, Finding, Plan, PlanRequest
from osteon.planning.prescription import prescribe
from osteon.planning.robust import ensemble, with_bands
from osteon.planning.search import Scene, in_words, simulate_best
from osteon.planning.session import (
    after_all,
    positions_assumed,
    positions_in_words,
    session_figures,
    steps_of,
    with_sessions,
    worst_end,
)
from osteon.planning.target import Target, boxed, define_target, planning_box
from osteon.planning.trajectory import positions_from
from osteon.selection.explain import label
from osteon.selection.verdicts import Verdict, Verdicts
from osteon.space.anatomy import Anatomy, structure
from osteon.treatments.base import Ended, Goal, Treatment
from osteon.treatments.catalog import entries
from osteon.treatments.catalog import treatment as find
from osteon.treatments.site_devices import stamp, with_only

OF_THE_SITE = ("acoustic_window", "distance_")  # facts beside the measured ones that say where the lesion lies, by how they begin
GOALS: tuple[Goal, ...] = ("cure", "palliation", "interface_palliation")


Keep = Callable[[str, Callable[[], Plan]], Plan]


def plan(
    assessment: Assessment,
    verdicts: Verdicts,
    request: PlanRequest,
    executor: Executor | None = None,
    observe: Watcher | None = None,
    keep: Keep | None = None,
) -> list[Plan]:
    """Plan every lesion with every treatment that selection leaves open.

    Candidates are planned, and "needs" under the condition that what is missing is confirmed; what is excluded or not
    indicated only with ``request.anyway``, which stands in the plan's condition. Of treatments with ``studies``, what the label
    or the lack of a way in alone excludes is planned as a study, which is not offered. Treatments without simulator have no plan.

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
    keep : callable, optional
        Called with a name and how to make the plan, for plans that take minutes: those of treatments that plan by themselves. It
        returns the plan, made or kept from a run that was stopped.

    Returns
    -------
    list of Plan
        In the order of lesions and catalogue; a plan without steps says in ``ended`` why there is none.

    Raises
    ------
    InputError
        If a treatment or a device is asked for that the catalogue does not have.
    """
    names = list(entries()) if "all" in request.treatments else list(request.treatments)
    _check_device(names, request.device)
    wanted: list[tuple[LesionAssessment, Treatment, str, str]] = []
    for lesion in assessment.lesions:
        for name in names:
            treatment = find(name)
            if request.device:
                if request.device not in getattr(treatment, "devices", {}):
                    continue
                treatment = with_only(treatment, request.device)
            if not treatment.simulates():
                continue
            condition = condition_of(verdicts, lesion.lesion_id, name, request)
            study = study_of(verdicts, lesion.lesion_id, name, request) if condition is None and treatment.studies else ""
            if condition is not None or study:
                wanted.append((lesion, treatment, condition or "", study))
    plans = []
    for i, (lesion, treatment, condition, study) in enumerate(wanted):

        def step(text: str, fraction: float, i: int = i) -> None:
            if observe is not None:
                observe(text, (i + fraction) / len(wanted))

        site = _site(assessment, lesion)
        make = partial(_plan_one, assessment, site, treatment, condition, request, executor or Serial(), step)
        found = keep(f"{lesion.lesion_id} {treatment.name}", make) if keep and treatment.plans_itself else make()
        found = with_orders(found, assessment, verdicts) if treatment.plans_itself else found
        plans.append(replace(found, study=study))
    if observe is not None:
        observe("plans done", 1.0)
    return with_sessions(plans)


def _check_device(names: Sequence[str], device: str) -> None:
    if device and not any(device in getattr(find(name), "devices", {}) for name in names):
        known = [each for name in names for each in getattr(find(name), "devices", {})]
        raise InputError(
            f"None of the treatments asked for has a device {device!r}.",
            "A plan is made for the needle that will be used.",
            f"Use one of: {', '.join(known) or 'none, they have no devices'}; or see `osteon list devices`.",
        )


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


def study_of(verdicts: Verdicts, lesion_id: str, treatment: str, request: PlanRequest) -> str:
    """Return why a treatment is shown as a study that is not offered; empty where it is not.

    It is where rules of its label, of stand-off or of the way in leave the site out, and nothing else does: the patient could
    have it, here it may not be given.
    """
    verdict = _verdict(verdicts, lesion_id, treatment, request.policy)
    if verdict is None or verdict.status not in ("excluded", "not_indicated"):
        return ""
    against = [r for r in verdict.reasons if (r.kind, r.truth) in (("exclusion", "true"), ("requirement", "false"))]
    if any(r.source_class != "label" and not all(_of_the_site(name) for name in r.facts) for r in against):
        return ""
    return "; ".join(r.text for r in against)


def _of_the_site(name: str) -> bool:
    known = vocabulary().get(name)
    return name.startswith(OF_THE_SITE) or (known is not None and known.measured)


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
    words = [label(n) for n in listed] or ["what is missing"]
    if len(words) == 1:
        return f"{words[0]} is"
    return f"{', '.join(words[:-1])} and {words[-1]} are"


def _site(assessment: Assessment, lesion: LesionAssessment) -> Site:
    held = next((x for x in assessment.case.lesions if x.id == lesion.lesion_id), None)
    facts: Mapping[str, Fact] = {**assessment.case.facts, **lesion.facts}
    told = facts["patient_position"].value if "patient_position" in facts else None
    study = assessment.case.planning_image
    scanned = study.patient_position if study is not None else "unknown"
    positions, fixed = positions_from(told if isinstance(told, str) else None, scanned)
    assessed = lesion
    if not lesion.anatomy.has("lesion") and held is not None and held.mask is not None:
        assessed = replace(lesion, anatomy=lesion.anatomy.with_mask(structure("lesion"), held.mask))
    return Site(assessed, structure("lesion"), held.bone if held is not None else None, positions, fixed, scanned)


def goal_of(assessment: Assessment, lesion: LesionAssessment, request: PlanRequest) -> tuple[Goal, str]:
    """Return the goal to plan for and, where nobody gave one, what was assumed."""
    held = next((x for x in assessment.case.lesions if x.id == lesion.lesion_id), None)
    fact = lesion.facts.get("goal")
    for told in (request.goal, held.goal if held is not None else None, fact.value if fact is not None else None):
        for goal in GOALS:
            if told == goal:
                return goal, ""
    return "palliation", "goal of treatment not given, or not one of ablation: palliation was assumed"


def _plan_one(
    assessment: Assessment,
    site: Site,
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
    if full.image is None:
        return replace(
            base, ended=Ended("refused", "cannot tell: heat and cold are simulated from the HU of a CT; needs a CT of the region")
        )
    if not full.has(site.lesion):
        return replace(base, ended=Ended("refused", "cannot tell: outline the lesion; there is nothing to aim at"))
    if treatment.plans_itself:
        return plan_by_itself(
            replace(base, assumptions=_assumed(site, assumed)), site, treatment, goal, request, executor, observe
        )
    observe("preparing the box round the lesion", 0.01)
    box = replace(boxed(full, planning_box(full, site.lesion, request.spacing_mm)), thermocouples=request.thermocouples)
    found = _attempt(site, treatment, goal, box, request, observe)
    fine, offer = found.fine, found.offer
    base = replace(
        base,
        goal=found.target.goal,
        before=fine.box,
        uncovered=found.target.left_out,
        assumptions=_assumptions(site, found.target, assumed),
    )
    findings, paths = tuple(_unjudged(fine)), offer.paths if offer is not None else None
    if offer is None or not offer.choices:
        return replace(base, ended=Ended("refused", why_none(treatment, offer)), paths=paths, findings=findings)
    try:
        applied, tried = _simulate(treatment, found, offer, observe)
    except NumericalError as error:
        return replace(base, ended=Ended("not_converged", error.what), paths=paths, findings=findings)
    if applied is None:
        return replace(base, ended=Ended("refused", "; ".join(tried)), paths=paths, findings=findings)
    observe("judging", 0.92)
    return _finish(base, site, treatment, offer, applied, tried, found, request, executor)


def _attempt(site: Site, treatment: Treatment, goal: Goal, box: Anatomy, request: PlanRequest, observe: Watcher) -> Attempt:
    """Try a mass larger than one zone as a whole, in several positions; its interface only where they do not cover it."""
    target = define_target(box, site.lesion, site.bone, goal, treatment)
    said = ""
    if treatment.most_positions > 1 and target.goal != goal:
        whole = define_target(box, site.lesion, site.bone, goal, treatment, whole=True)
        if whole.goal == goal:
            found = attempt(site, treatment, whole, box, request, observe)
            if found.covers:
                return found
            said = "; several positions do not cover the whole mass within the limits"
    return attempt(site, treatment, replace(target, text=target.text + said), box, request, observe)


def _simulate(treatment: Treatment, found: Attempt, offer: Offer, observe: Watcher) -> tuple[Applied | None, tuple[str, ...]]:
    """Simulate in full: the positions, else the best single one; None where none can be done, and what was tried."""

    def report(fraction: float) -> None:
        observe("simulating", 0.4 + 0.5 * fraction)

    said: tuple[str, ...] = ()
    if found.applied is not None:
        observe(f"simulating {len(found.applied.choices)} positions", 0.4)
        applied = simulate_overlap(treatment, found.fine, found.applied, report)
        if applied is not None:
            return applied, applied.said
        said = ("several positions: none is left that keeps the limits",)
    observe(f"simulating {in_words(offer.choices[0].setting)}", 0.4)
    best, tried = simulate_best(treatment, found.fine, offer.choices, report)
    return (None if best is None else Applied((best,))), (*said, *tried)


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
    site: Site,
    treatment: Treatment,
    offer: Offer,
    applied: Applied,
    tried: Sequence[str],
    found: Attempt,
    request: PlanRequest,
    executor: Executor,
) -> Plan:
    fine, coarse = found.fine, found.coarse
    steps = steps_of(treatment, applied)
    effects, settings = [s.effect for s in steps], [s.setting for s in steps]
    figures, margin = measure(effects, fine.box, site.lesion, fine.target, settings)
    zone = zone_of(effects, fine.box.grid)
    findings = list(applied.last.findings)
    runs: list[tuple[dict[str, float], dict[tuple[str, str], float]]] = []
    if request.samples > 0:
        runs = ensemble(treatment.name, settings, coarse, site.lesion, request.samples, request.seed, executor)
        findings = with_bands(findings, [r[1] for r in runs])
    findings = with_contrast(findings, fine.box)
    missed = fine.target.with_array(fine.target.array & ~zone.array)
    uncovered = (*base.uncovered, *name_uncovered(zone, fine.target, fine.box.mask(site.lesion), fine.box))
    prescription = prescribe(
        site.assessed.anatomy, site.lesion, site.bone, settings, offer.access, offer.paths, site.scanned, site.fixed
    )
    fitted = tuple(dict.fromkeys(text for setting in settings for text in stamp(treatment, setting)))
    if fitted:
        prescription = {**prescription, "device_fitted": "; ".join(fitted)}
    extra = (f"bands from {request.samples} runs on a grid of {coarse.box.grid.spacing_mm[0]:g} mm",) if runs else ()
    return replace(
        base,
        steps=steps,
        findings=tuple(findings),
        measures=bands(session_figures(figures, steps), [session_figures(r[0], steps) for r in runs]),
        ended=worst_end(effects),
        paths=offer.paths,
        after=after_all(fine.box, effects).with_mask(UNCOVERED, missed),
        margin_mm=margin,
        prescription={**prescription, **positions_in_words(steps)},
        uncovered=uncovered,
        assumptions=(*fitted, *base.assumptions, *zone_assumed(effects), *extra, *positions_assumed(steps)),
        provenance=_provenance(fine, tried, offer),
    )


def _assumptions(site: Site, target: Target, assumed: str) -> tuple[str, ...]:
    needle = ("stand-off of the needle itself: " + note("needle_stand_off_nerve_mm"), note("bore_radius_mm"))
    return (f"target: {target.text}", *_assumed(site, assumed), *needle)


def _assumed(site: Site, assumed: str) -> tuple[str, ...]:
    """Return what is assumed of the patient, whatever the treatment."""
    grown = sorted(s.name for s in site.assessed.anatomy.approximate)
    outlines = f"approximate outlines: {', '.join(grown)}" if grown else ""
    said = (assumed, assumed_of(site.assessed.anatomy), outlines, *carried_cautions(site.assessed.anatomy))
    return tuple(text for text in said if text)


def _provenance(fine: Scene, tried: Sequence[str], offer: Offer) -> dict[str, object]:
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
