"""What stands on the page about plans: comparison, prescription, procedure sheet, courses, what the numbers rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from osteon.evidence.value import Band, Value
from osteon.facts import Unknown
from osteon.planning.compare import QUESTIONS, compare
from osteon.planning.compare import Row as ComparedPlan
from osteon.planning.measures import worst
from osteon.planning.plan import Finding, Plan
from osteon.report import run_content, words
from osteon.report.content import Row, treatment_title
from osteon.report.figures import Picture
from osteon.report.graphs import time_course
from osteon.report.ultrasound_section import scheme_of, treats_surface
from osteon.treatments.base import Trace

EXTRA = ("lesion_coverage", "zone_cm3", "uncovered_cm3")
BODY_C = 37.0
SURFACE_WORDS = "a surface of bone is meant, not the lesion with a margin: this says little here"
LEVELS = {"breach": 0, "unknown": 1, "warning": 2, "ok": 3}


@dataclass(frozen=True)
class Cell:
    """One cell of the comparison: text, tone and what a breach says in words."""

    text: str
    tone: str = ""
    note: str = ""


@dataclass(frozen=True)
class ValueRow:
    """One constant that a plan used."""

    name: str
    number: str
    spread: str
    source: str
    verified: bool


def heading(plan: Plan) -> str:
    """Return a plan's name: treatment and goal, and that it is no offer where it is a study."""
    said = f"{treatment_title(plan.treatment)}, {words.GOALS.get(plan.goal, plan.goal)}"
    return f"{said} (study, not offered)" if plan.study else said


def standing(plan: Plan) -> str:
    """Return how a plan stands against all limits; a breach does not hide what cannot be told."""
    if not plan.steps:
        return "no plan"
    if plan.study:
        return f"study, not offered; {_stands(plan)}"
    return _stands(plan)


def _stands(plan: Plan) -> str:
    unknown = [words.structure_name(s) for s in plan.unknown_structures()]
    said = words.STANDING_WORDS[plan.standing]
    if plan.standing == "cannot tell" or not unknown:
        return f"cannot tell: {words.few(unknown)} could not be judged" if unknown else said
    return f"{said}; cannot tell: {words.few(unknown)}"


def comparison(plans: Sequence[Plan]) -> list[tuple[str, list[Cell]]]:
    """Return the rows of the table that sets plans side by side, as ``planning.compare`` asks; the last is the standing."""
    compared = compare(plans)
    rows = [(words.named(q).label, [_asked_cell(q, row.answers[q], p) for row, p in zip(compared, plans)]) for q in QUESTIONS]
    rows.insert(1, ("Counted as dead", [Cell(run_content.counted_as_dead(p)) for p in plans]))
    rows.insert(3, ("Worst structure", [_quiet(worst_cell(row), p) for row, p in zip(compared, plans)]))
    rows.append(("Device", [_device_cell(p) for p in plans]))
    for name in EXTRA:
        if any(name in plan.measures for plan in plans):
            cells = [_asked_cell(name, plan.measures.get(name, Unknown("not computed")), plan) for plan in plans]
            rows.append((words.named(name).label, cells))
    if len(plans) > 1:
        rows.append(("Bettered in every respect by another", [Cell("no" if r.pareto else "yes or no plan") for r in compared]))
    rows.append(("All limits together", [Cell(standing(p), "quiet" if p.study else words.TONE[p.standing]) for p in plans]))
    return rows


def _device_cell(plan: Plan) -> Cell:
    """Return the devices of a plan, and that they are not verified."""
    named = list(dict.fromkeys(run_content.device_title(step) for step in plan.steps))
    return Cell(words.joined(named) or "no plan", "", "not verified" if run_content.device_stamps(plan) else "")


def _quiet(cell: Cell, plan: Plan) -> Cell:
    """Return a cell that praises nothing where the plan is a study."""
    return Cell(cell.text, "", cell.note) if plan.study and cell.tone == "good" else cell


def _asked_cell(name: str, value: Band | Unknown, plan: Plan) -> Cell:
    """Return the answer of one plan; honest where sound through the skin needs no probe, and a margin says little."""
    sound = scheme_of(plan)
    if sound is not None and plan.steps and name == "probes":
        return Cell("none", "", "sound through the skin")
    if sound is not None and plan.steps and name == "min_margin_mm":
        if isinstance(value, Unknown):
            return Cell("does not apply", "", SURFACE_WORDS if treats_surface(plan) else "the tumour is meant, without a margin")
        if treats_surface(plan):
            return Cell(words.band(value, "mm") if np.isfinite(value.best) else "no zone", "", SURFACE_WORDS)
    cell = _answer_cell(name, value, bool(plan.steps))
    return Cell(cell.text, cell.tone, SURFACE_WORDS) if name == "lesion_coverage" and treats_surface(plan) else cell


def _answer_cell(name: str, value: Band | Unknown, planned: bool) -> Cell:
    told = words.named(name)
    if isinstance(value, Unknown):
        return Cell(f"not known: {value.why}" if planned else "no plan", "open")
    if not np.isfinite(value.best):
        return Cell("no zone", "stop")
    note = "not sampled: no band" if value.n == 0 and name in ("coverage", "min_margin_mm") else ""
    if name == "min_margin_mm" and value.best < 0:
        return Cell(words.band(value, told.unit, told.factor), "stop", "part of the lesion lies outside the zone")
    return Cell(words.band(value, told.unit, told.factor), "", note)


def worst_cell(row: ComparedPlan) -> Cell:
    """Return the structure that stands worst, with figure, limit and band, and what cannot be told."""
    note = f"cannot tell: {words.few([words.structure_name(s) for s in row.cannot_tell])}" if row.cannot_tell else ""
    found = row.worst_structure
    if found is None:
        return Cell("no structure could be judged", "open", note)
    limit = words.number(found.limit, found.unit)
    said = f"{words.structure_name(found.structure)}: {words.band(found.value, found.unit)}, limit {limit}"
    return Cell(f"BREACH at the {said}" if found.level == "breach" else said, words.TONE[found.level], note)


@dataclass(frozen=True)
class Judged:
    """One structure with all its limits: one cell per kind of limit, and in words what is not simply within it."""

    structure: str
    level: str
    cells: tuple[str, str, str]
    said: tuple[Finding, ...]
    sources: tuple[str, ...]


KINDS = (("°C", "degC"), ("CEM43 min", "min CEM43", "min"), ("mm",))


def judged(findings: Sequence[Finding]) -> list[Judged]:
    """Return findings by structure, breaches first, then what cannot be told, then what comes nearest to its limit."""
    by_structure: dict[str, list[Finding]] = {}
    for finding in findings:
        by_structure.setdefault(finding.structure, []).append(finding)
    rows = []
    for name, listed in by_structure.items():
        cells = tuple("; ".join(_against(f) for f in listed if f.unit in units) or "no limit" for units in KINDS)
        others = "; ".join(_against(f) for f in listed if not any(f.unit in units for units in KINDS))
        temperature, dose, distance = cells
        level = min((f.level for f in listed), key=lambda x: LEVELS[x])
        said = tuple({f.text: f for f in reversed(listed) if f.level != "ok"}.values())[::-1]  # one line per sentence
        sources = tuple(dict.fromkeys(f.source for f in listed if f.source))
        rows.append(Judged(name, level, (temperature, dose, f"{distance}; {others}" if others else distance), said, sources))
    order = {name: i for i, name in enumerate(_by_nearness(by_structure))}
    return sorted(rows, key=lambda r: (LEVELS[r.level], order[r.structure]))


def _by_nearness(by_structure: Mapping[str, Sequence[Finding]]) -> list[str]:
    """Return structures, the one whose own worst finding stands nearest to its limit first, as planning ranks them."""
    left, ranked = dict(by_structure), []
    while left:
        found = worst([f for listed in left.values() for f in listed])
        name = found.structure if found is not None else min(left, key=words.structure_name)
        ranked.append(name)
        del left[name]
    return ranked


def _against(finding: Finding) -> str:
    if finding.value is None:
        return f"cannot tell (limit {words.number(finding.limit, finding.unit)})"
    side = "at least" if finding.unit == "mm" or is_cold(finding) else "limit"
    return f"{words.band(finding.value, finding.unit)} ({side} {words.number(finding.limit, finding.unit)})"


def is_cold(finding: Finding) -> bool:
    """Tell whether a finding is about cold: what lies below its limit is bad."""
    return finding.unit in KINDS[0] and finding.limit < BODY_C


def finding_place(finding: Finding) -> str:
    """Return where and when a finding was made."""
    parts = []
    if finding.place_mm is not None:
        parts.append("at x {}, y {}, z {} mm (LPS)".format(*(words.number(round(v, 1)) for v in finding.place_mm)))
    if finding.time_s is not None:
        parts.append(f"after {words.duration(finding.time_s)}")
    return ", ".join(parts)


def courses(plan: Plan) -> tuple[list[Picture], list[str], list[str]]:
    """Return charts of temperature over time, nearest to its limit first, and in words what is not drawn.

    Drawn are the three that come nearest to their limit and every structure that warms or cools by half a degree or is not
    simply within its limits; the others are told in one line each.

    Returns
    -------
    list of Picture, list of str, list of str
        Charts; structures that stay near body temperature, with figure and limit; structures judged in °C without a course.
    """
    joined: dict[tuple[str, bool], list[Trace]] = {}
    for step in plan.steps:
        for key, trace in step.effect.traces.items():
            which, _, name = key.partition(":")
            if which in ("hottest", "coldest"):
                joined.setdefault((name, which == "coldest"), []).append(trace)
    limits: dict[tuple[str, bool], float] = {}
    hot = [f for f in plan.findings if f.unit in KINDS[0]]
    for finding in hot:
        judged_by, narrow = (finding.structure, is_cold(finding)), max if is_cold(finding) else min
        limits[judged_by] = narrow(finding.limit, limits.get(judged_by, finding.limit))
    spans = run_content.spans_of(plan.steps[0]) if len(plan.steps) == 1 else []
    stop = spans[0][1] if len(spans) == 1 else None
    moved = {key: _moved(traces, key[1]) for key, traces in joined.items()}
    order = sorted(joined, key=lambda k: (k not in limits, round(abs(limits.get(k, BODY_C) - BODY_C) - moved[k], 2), k))
    odd = {(f.structure, is_cold(f)) for f in hot if f.level != "ok"}
    drawn = [k for i, k in enumerate(order) if i < 3 or k in odd or moved[k] > 0.5]
    pictures = [
        time_course(
            _one_after_other(joined[k], plan), words.structure_name(k[0]), limits.get(k), stop_s=stop, cold=k[1], spans_s=spans
        )
        for k in drawn
    ]
    still = [
        f"{words.structure_name(k[0])} {words.number(BODY_C + (-moved[k] if k[1] else moved[k]), '°C')}"
        + (f" (limit {words.number(limits[k], '°C')})" if k in limits else "")
        for k in order
        if k not in drawn
    ]
    return pictures, still, [words.structure_name(k[0]) for k in sorted(limits) if k not in joined]


def _moved(traces: Sequence[Trace], cold: bool) -> float:
    """Return how far a structure went from body temperature at most, towards heat or towards cold [K]."""
    ends = [np.nanmin(t.values) if cold else np.nanmax(t.values) for t in traces if np.isfinite(t.values).any()]
    if not ends:
        return -np.inf
    return float(BODY_C - min(ends) if cold else max(ends) - BODY_C)


def _one_after_other(traces: Sequence[Trace], plan: Plan) -> Trace:
    if len(traces) == 1:
        return traces[0]
    start, times = 0.0, []
    for trace, step in zip(traces, plan.steps, strict=False):
        times.append(np.asarray(trace.times_s, float) + start)
        end = float(trace.times_s[-1]) if len(trace.times_s) else 0.0
        powered = dict(step.setting.controls).get("time_s")
        # the wait counts from power off, and the trace may already hold its cooling
        start += end + step.wait_s if powered is None else max(end, powered + step.wait_s)
    return Trace(np.concatenate(times), np.concatenate([t.values for t in traces]), traces[0].unit)


def values_of(plan: Plan) -> list[ValueRow]:
    """Return every constant that a plan used, by name, each once."""
    used: dict[str, Value] = {}
    for step in plan.steps:
        used.update(step.effect.used)
    return [
        ValueRow(k, words.number(v.number, _unit(v.unit)), words.spread(v.spread, _unit(v.unit)), v.source, v.verified)
        for k, v in sorted(used.items())
    ]


def _unit(unit: str) -> str:
    return (
        ""
        if unit == "1"
        else unit.replace("**", "^").replace("^2", "²").replace("^3", "³").replace("degC", "°C").replace("*", "·")
    )


def ended_rows(plan: Plan) -> list[dict[str, str]]:
    """Return how each computation ended, or how the plan did where there is no step."""
    listed = [(step.effect.title, step.effect.ended) for step in plan.steps] or [("plan", plan.ended)]
    return [
        {
            "title": title,
            "how": words.ENDED_WORDS[e.how],
            "why": e.why,
            "residual": "none" if e.residual is None else words.number(e.residual),
            "balance": "not given" if e.energy_balance is None else words.number(e.energy_balance * 100, "%"),
            "steps": str(e.steps),
        }
        for title, e in listed
    ]


def figures_of(plan: Plan) -> list[Row]:
    """Return the figures of each step's run in words."""
    rows: list[Row] = []
    for step in plan.steps:
        for key, value in step.effect.measures.items():
            if run_content.in_criteria(key):
                continue
            told = words.named(key)
            rows.append(Row(told.label, words.number(value * told.factor, told.unit)))
    return rows


def grid_words(plan: Plan) -> str:
    """Return the grid of the final simulation in words."""
    if plan.before is None:
        return "no grid: nothing was simulated"
    spacing = " × ".join(words.number(v) for v in plan.before.grid.spacing_mm)
    return (
        f"{words.with_unit(spacing, 'mm')}, {' × '.join(str(n) for n in plan.before.grid.shape)} voxels (slices × rows × columns)"
    )
