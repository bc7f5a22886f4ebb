"""Plans of treatments that plan by themselves: their proposal, judged and measured as every other plan is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from osteon.assessment.results import Assessment, RequiredStructure
from osteon.evidence.value import Band
from osteon.jobs import Executor
from osteon.planning.contrast import with_contrast
from osteon.planning.limits import UNITS, judge
from osteon.planning.maps import body_of
from osteon.planning.measures import bands, measure, name_uncovered, zone_assumed, zone_of
from osteon.planning.offer import Site, Watcher
from osteon.planning.plan import UNCOVERED, Finding, Plan, PlanRequest, Step
from osteon.planning.search import Scene
from osteon.planning.session import after_all, worst_end
from osteon.selection.combine import combinations
from osteon.selection.verdicts import Verdicts
from osteon.selection.whatif import states_at
from osteon.space.anatomy import Anatomy, structure
from osteon.tissue.tolerance import limits
from osteon.treatments.base import Asked, Goal, Proposal, Treatment
from osteon.treatments.site_devices import stamp

OF_A_LESION = ("min_margin_mm", "median_margin_mm")  # its target is not the lesion with a margin


def plan_by_itself(
    base: Plan, site: Site, treatment: Treatment, goal: Goal, request: PlanRequest, executor: Executor, observe: Watcher
) -> Plan:
    """Ask a treatment for its own plan, and judge it.

    Parameters
    ----------
    base : Plan
        With treatment, lesion, condition and assumptions.
    site : Site
        The lesion.
    treatment : Treatment
        With ``plans_itself``.
    goal : str
        As for any plan.
    request : PlanRequest
        What is asked.
    executor : Executor
        Where its runs go.
    observe : callable
        Called with what is being done and the fraction of this plan done.
    """
    full = site.assessed.anatomy
    body = structure("body")
    if not full.has(body):
        full = replace(full.with_mask(body, body_of(full)), approximate=full.approximate | {body})
    asked = Asked(goal, request.device, request.spacing_mm, request.samples, request.seed, request.approach)
    found = treatment.propose(full, site.lesion, site.bone, asked, executor, lambda text, done: observe(text, 0.95 * done))
    condition = "; ".join(text for text in (base.condition, found.condition) if text)
    base = replace(base, condition=condition, detail=found.detail, assumptions=(*base.assumptions, *found.assumptions))
    if not found.steps or found.box is None or found.target is None:
        return replace(base, ended=found.ended, findings=tuple(unknown_findings(site.assessed.required)))
    observe("judging", 0.96)
    return _judged(base, site, treatment, found, full)


def unknown_findings(required: Sequence[RequiredStructure]) -> list[Finding]:
    """Return what cannot be told in any case: structures that must be judged and are not outlined."""
    out = []
    for each in required:
        if each.status in ("outlined", "cut", "absent"):
            continue
        text = each.text if "cannot tell" in each.text else f"cannot tell: outline the {structure(each.structure).name}"
        kinds = [k for k in limits() if k.applies_to in (each.structure, structure(each.structure).kind)]
        out += [Finding(k.id, each.structure, None, UNITS[k.quantity], k.limit, "unknown", text, source=k.source) for k in kinds]
    return out


def _judged(base: Plan, site: Site, treatment: Treatment, found: Proposal, full: Anatomy) -> Plan:
    assert found.box is not None  # the caller asked
    assert found.target is not None
    steps = tuple(Step(treatment.name, setting, effect, wait) for setting, effect, wait in found.steps)
    effects, settings = [s.effect for s in steps], [s.setting for s in steps]
    scene = Scene.of(found.box, full, site.assessed.required, found.target)
    findings = judge(effects, scene.box, (), scene.target, watched=scene.watched)
    findings = [worsened(f, found.worst) for f in findings] + [_extra(row) for row in found.extra]
    figures, _ = measure(effects, scene.box, site.lesion, scene.target, settings)
    told = {name: band for name, band in bands(figures).items() if name not in OF_A_LESION} | dict(found.measures)
    zone = zone_of(effects, scene.box.grid)
    missed = scene.target.with_array(scene.target.array & ~zone.array)
    gone = name_uncovered(zone, scene.target, scene.box.mask(site.lesion), scene.box)
    fitted = tuple(dict.fromkeys(text for setting in settings for text in stamp(treatment, setting)))
    ended = found.ended if found.ended.how != "converged" else worst_end(effects)
    drawn = (f"bands from {found.sampled} draws of one application",) if found.sampled else ()
    return replace(
        base,
        steps=steps,
        before=scene.box,
        after=after_all(scene.box, effects).with_mask(UNCOVERED, missed),
        findings=tuple(with_contrast(findings, scene.box)),
        measures=told,
        ended=ended,
        prescription={**found.prescription, **({"device_fitted": "; ".join(fitted)} if fitted else {})},
        uncovered=(*found.left_out, *gone),
        assumptions=(f"target: {found.target_text}", *fitted, *base.assumptions, *zone_assumed(effects), *drawn),
        provenance={"grid_mm": scene.box.grid.spacing_mm[0], "voxels": int(np.prod(scene.box.grid.shape))},
    )


def worsened(finding: Finding, worst: Mapping[tuple[str, str], float]) -> Finding:
    """Return a finding with the worse of its value and the one that the treatment knows more finely, judged again."""
    key = (finding.structure, finding.limit_id)
    if key not in worst or finding.value is None:
        return finding
    limit = next((k for k in limits() if k.id == finding.limit_id), None)
    value = worst[key]
    if limit is None or limit.applies != "everywhere":
        return finding
    if (value <= finding.value.best) if limit.side == "above" else (value >= finding.value.best):
        return finding
    order = ("ok", "warning", "unknown", "breach")
    level = max(limit.level(value), finding.level, key=order.index)
    if level == "unknown":
        return replace(finding, value=Band.of(value))
    name = structure(finding.structure).name
    text = f"{name}: {value:.3g} {finding.unit} on the finer grid of one application, limit {finding.limit:g}"
    return replace(finding, value=Band.of(value), level=level, text=text)


def _extra(row: tuple[str, str, float | None, float, str, str]) -> Finding:
    place, name, value, limit, unit, text = row
    if value is None:
        return Finding(name, place, None, unit, limit, "unknown", text)
    return Finding(name, place, Band.of(value), unit, limit, "breach" if value >= limit else "ok", text)


def with_orders(plan: Plan, assessment: Assessment, verdicts: Verdicts) -> Plan:
    """Return a plan that says what comes after it: orders and intervals of ``combinations.yaml`` in which it comes first."""
    if not plan.steps:
        return plan
    states = states_at(assessment, verdicts, plan.lesion_id)
    after = [
        f"{'' if each.firm and each.truth == 'true' else 'cannot tell yet: '}{each.text} {' '.join(each.quotes)}".strip()
        for each in combinations(verdicts, plan.lesion_id, states)
        if plan.treatment in each.rows.get("first", ())
    ]
    return replace(plan, prescription={**plan.prescription, "afterwards": after})
