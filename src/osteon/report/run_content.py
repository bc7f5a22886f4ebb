"""What a plan's run tells of itself: what counts as dead, zones by criterion, devices not verified, traces of the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from osteon.errors import OsteonError
from osteon.physics import damage
from osteon.planning.fields import LETHAL_COLD
from osteon.planning.geometry import number as planning_number
from osteon.planning.plan import Plan, Step
from osteon.report import words
from osteon.report.figures import Picture
from osteon.report.graphs import Line, run_course
from osteon.space.anatomy import Field
from osteon.treatments.base import Trace
from osteon.treatments.needles import device_values

MOST_NAMED = 4
ICE = (("ice_cm3", "ice (0 °C)"), ("below_-20c_cm3", "−20 °C"), ("zone_cm3", "−40 °C, dead"))
HELD = {
    "impedance": "the generator gives up to this power and pauses when the impedance rises (roll-off)",
    "temperature": "the generator holds this temperature at the tip",
    "power": "the generator holds this power",
    "pulsed": "the generator gives this power in pulses",
}


def entry_of(step: Step) -> Mapping[str, Any] | None:
    """Return the device of a step as its treatment lists it; None where there is none of that name."""
    from osteon.treatments.catalog import treatment

    try:
        return treatment(step.treatment).devices.get(step.setting.device)
    except (OsteonError, ImportError, AttributeError):
        return None


def device_title(step: Step) -> str:
    """Return a device as a clinician reads it."""
    entry = entry_of(step)
    return str((entry or {}).get("title", step.setting.device.replace("_", " ")))


def instrument_of(plan: Plan) -> str:
    """Return what the needle of a plan is called: antenna, electrode, cryoprobe, fibre."""
    from osteon.treatments.catalog import treatment

    try:
        return str(getattr(treatment(plan.treatment), "instrument", "needle"))
    except (OsteonError, ImportError, AttributeError):
        return "needle"


def device_stamps(plan: Plan) -> list[str]:
    """Return one sentence per device of a plan of which not every number was read in its source; empty where all were."""
    stamps = []
    for step in {s.setting.device: s for s in plan.steps}.values():
        entry = entry_of(step)
        if entry is None:
            stamps.append(f"Device not verified: {device_title(step)} is in no list of devices; nothing is known of its numbers.")
            continue
        values = device_values(entry)
        doubtful = [name for name, value in values.items() if not value.verified]
        if doubtful:
            named = [words.named(n.rpartition(".")[2]).label.lower() for n in doubtful]
            listed = list(dict.fromkeys(named))
            more = f" and {len(listed) - MOST_NAMED} more" if len(listed) > MOST_NAMED else ""
            stamps.append(
                f"Device not verified: {device_title(step)}. {len(doubtful)} of its {len(values)} numbers were not read in a "
                f"source ({', '.join(listed[:MOST_NAMED])}{more})."
            )
    return stamps


def counted_as_dead(plan: Plan) -> str:
    """Return by what the zone, the margin and the coverage of a plan are counted."""
    froze = [Field.FROZEN_MIN_C in s.effect.state for s in plan.steps]
    cold = [s.effect.used[LETHAL_COLD].number for s in plan.steps if LETHAL_COLD in s.effect.used]
    said = []
    if froze and not all(froze):
        said.append(f"CEM43 of {words.number(planning_number('lethal_cem43_min'), 'min')}")
    if any(froze):
        said.append(f"{words.number(min(cold), '°C')} reached" if cold else "what the run calls dead")
    return words.joined(said, "or") or "no plan"


@dataclass(frozen=True)
class CriterionRow:
    """One zone by one criterion, in words."""

    title: str
    volume: str
    long: str
    short: str
    counted: bool


@dataclass(frozen=True)
class Criteria:
    """The zones of one run by every criterion that it was measured by, and whether they disagree."""

    run: str
    rows: tuple[CriterionRow, ...]
    says: tuple[str, ...]


COUNTED = ("cem43_240", "cold_40c")


def criteria_of(plan: Plan) -> list[Criteria]:
    """Return the table of criteria of each run that measured its zone by more than one."""
    found = []
    for i, step in enumerate(plan.steps, start=1):
        measures = step.effect.measures
        where = f"position {i}, " if len(plan.steps) > 1 else ""
        rows = []
        for name, criterion in damage.criteria().items():
            if f"zone_{name}_cm3" not in measures:
                continue
            size = [measures.get(f"zone_{name}_{axis}_mm") for axis in ("long", "short")]
            shown = [words.number(v, "mm") if v is not None else "not measured" for v in size]
            volume = words.number(measures[f"zone_{name}_cm3"], "cm³")
            rows.append(CriterionRow(criterion.title, volume, shown[0], shown[1], name in COUNTED))
        if len(rows) > 1:
            says = tuple(a for a in step.effect.assumptions if _about_criteria(a))
            found.append(Criteria(f"{where}{step.effect.title}", tuple(rows), says))
    return found


def _about_criteria(text: str) -> bool:
    return "criteria disagree" in text or "criteria give the same" in text or text.startswith("The zone by ")


def in_criteria(key: str) -> bool:
    """Tell whether a measure stands in the table of criteria, so that it need not be listed again."""
    names = {f"zone_{name}" for name in damage.criteria()}
    return key.startswith("criteria_") or any(key.startswith(f"{name}_") for name in names)


def assumed_of(plan: Plan) -> list[str]:
    """Return what the runs of a plan assumed, each sentence once; what the criteria say stands with their table."""
    listed = [a for step in plan.steps for a in step.effect.assumptions if not _about_criteria(a)]
    return list(dict.fromkeys(listed))


def setting_words(step: Step) -> str:
    """Return in a sentence what the controls of a step mean on this device; empty where nothing need be said."""
    controls, entry = dict(step.setting.controls), entry_of(step) or {}
    if "freezes" in controls:
        freezes = round(controls["freezes"])
        minutes = [words.number(controls["time_s"] / 60)]
        for _ in range(freezes - 1):
            minutes += [words.number(controls.get("thaw_s", 0.0) / 60), words.number(controls["time_s"] / 60)]
        parts = (
            "freeze, passive thaw, freeze" if freezes == 2 else "freezes with passive thaws between" if freezes > 2 else "freeze"
        )
        return f"{'-'.join(minutes)} min ({parts}), then the probe is warmed until it comes free"
    if "sonications" in controls:
        return "each sonication at its own acoustic power; see the list"
    if "wavelength_nm" in entry:
        return f"light of {words.number(float(entry['wavelength_nm']['value']), 'nm')}, power as the laser shows it"
    mode = entry.get("mode")
    return HELD.get(str(mode["text"]) if isinstance(mode, Mapping) else str(mode), "")


def spans_of(step: Step) -> list[tuple[float, float]]:
    """Return from when to when the device works [s]: power on, or each freeze."""
    controls = dict(step.setting.controls)
    if "sonications" in controls:  # many, each of its own power: they stand in their list
        return []
    time, each = controls.get("time_s", 0.0), controls.get("time_s", 0.0) + controls.get("thaw_s", 0.0)
    return [(i * each, i * each + time) for i in range(round(controls.get("freezes", 1.0)))] if time else []


def run_courses(plan: Plan) -> tuple[list[Picture], list[str]]:
    """Return charts of what the device did over time, step by step, and what is not drawn, with its range."""
    pictures: list[Picture] = []
    said: list[str] = []
    for i, step in enumerate(plan.steps, start=1):
        traces = {k: t for k, t in step.effect.traces.items() if np.isfinite(t.values).any() and len(t.values) > 1}
        where = f"position {i}: " if len(plan.steps) > 1 else ""
        spans = spans_of(step)
        for title, lines in _grouped(traces):
            unit = words.UNIT_WORDS.get(lines[0].trace.unit, lines[0].trace.unit)
            flat = all(float(np.ptp(line.trace.values[np.isfinite(line.trace.values)])) == 0.0 for line in lines)
            if flat or title in ("Current", "Voltage"):
                said += [
                    f"{where}{(title if len(lines) == 1 else line.name).lower()} {_range(line.trace, unit)}" for line in lines
                ]
            else:
                pictures.append(
                    run_course(lines, f"{where}{title}".capitalize() if not where else f"{where}{title.lower()}", unit, spans)
                )
    return pictures, said


def _range(trace: Trace, unit: str) -> str:
    values = trace.values[np.isfinite(trace.values)]
    low, high = words.number(float(values.min())), words.number(float(values.max()), unit)
    return high if float(values.min()) == float(values.max()) else f"{low} to {high}"


def _grouped(traces: Mapping[str, Trace]) -> list[tuple[str, Sequence[Line]]]:
    """Return the charts of a run: title and lines; several probes or thermocouples share one."""
    groups: list[tuple[str, Sequence[Line]]] = []
    for kind, title in words.TRACES.items():
        members = [(k, t) for k, t in traces.items() if k.partition(":")[0] == kind]
        if members:
            groups.append((title, [Line(t, k.partition(":")[2].replace("_", " ")) for k, t in members]))
    if "ice_cm3" in traces:
        groups.append(("Volume by temperature", [Line(traces[k], name) for k, name in ICE if k in traces]))
    elif "zone_cm3" in traces:
        groups.append(("Dead tissue", [Line(traces["zone_cm3"], "")]))
    return groups
