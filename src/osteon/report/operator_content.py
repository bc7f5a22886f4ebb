"""What an operator reads: the prescription as rows, and the one-page procedure sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from osteon.facts import Fact, Known
from osteon.planning.plan import Finding, Plan
from osteon.report import run_content, ultrasound_sheet, words
from osteon.report.content import Row, treatment_title
from osteon.report.plan_content import KINDS, is_cold, judged
from osteon.selection.explain import label
from osteon.selection.verdicts import Verdict
from osteon.tissue.tolerance import limits

KNOWN = (
    "midline_text", "entry_lps_mm", "tip_lps_mm", "entry_slice_z_mm", "entry_slice_index", "entry_from_midline_mm",
    "entry_side_of_midline", "midline_x_mm", "landmark", "in_plane_angle_deg", "in_plane_text", "craniocaudal_angle_deg",
    "craniocaudal_text", "depth_skin_to_cortex_mm", "depth_skin_to_target_mm", "depth_skin_to_tip_mm", "mm_in_bone",
    "cortex", "cortex_text", "antenna_gauge", "antenna_length_mm", "shaft_diameter_mm", "introducer",
    "introducer_bore_mm", "introducer_length_mm", "introducer_depth_mm",
)  # fmt: skip


def rows_of(mapping: Mapping[str, Any], skip: Sequence[str] = ()) -> list[Row]:
    """Return any nested mapping of a prescription as rows, in its own order; nested names are joined."""
    rows: list[Row] = []
    for key, value in mapping.items():
        if key in skip or value is None or value in ("", [], {}):
            continue
        if isinstance(value, Mapping):
            rows += [Row(f"{words.sentence(key)}: {r.label[:1].lower()}{r.label[1:]}", r.value, r.note) for r in rows_of(value)]
            continue
        told = words.named(key)
        rows.append(Row(told.label, _plain(value, told)))
    return rows


def _plain(value: object, told: words.Named) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return words.number(value * told.factor, told.unit)
    if isinstance(value, (list, tuple)):
        listed = ", ".join(_plain(v, words.Named("", "")) for v in value)
        return words.with_unit(listed, told.unit) if all(isinstance(v, (int, float)) for v in value) else listed
    return str(value).replace("_", " ") if isinstance(value, str) and " " not in value else str(value)


def _amount(needle: Mapping[str, Any], key: str, unit: str = "mm") -> str:
    value = needle.get(key)
    return "not known" if value is None else words.number(float(value), unit)


def needle_rows(needle: Mapping[str, Any], instrument: str = "antenna") -> list[Row]:
    """Return what is dialled in for one needle, in the order in which an operator needs it.

    Keys that this page does not know are listed behind, so that nothing a planner writes is lost.
    """
    if "entry_lps_mm" not in needle:
        return rows_of(needle)
    landmark = needle.get("landmark")
    mark = str(landmark.get("text", "")) if isinstance(landmark, Mapping) else ""
    side = str(needle.get("entry_side_of_midline") or "")
    told = needle.get("entry_from_midline_mm") is not None and side != ""
    midline = f"{_amount(needle, 'entry_from_midline_mm')} to the patient's {side.upper()}" if told else "cannot tell"
    why = f"midline at x = {_amount(needle, 'midline_x_mm')} (LPS)" if told else ""
    why = "; ".join(t for t in (why, str(needle.get("midline_text") or "")) if t)
    rows = [
        Row(
            "Entry: slice",
            f"z = {_amount(needle, 'entry_slice_z_mm')}",
            f"slice index {needle.get('entry_slice_index')} of the planning image, counted from 0",
        ),
        Row("Entry: from the midline", midline, why),
        Row("Entry: landmark", mark or "not known"),
        Row("Angle in the axial plane", _amount(needle, "in_plane_angle_deg", "°"), str(needle.get("in_plane_text", ""))),
        Row("Cranio-caudal angle", _amount(needle, "craniocaudal_angle_deg", "°"), str(needle.get("craniocaudal_text", ""))),
        Row(
            "Depth: skin to cortex",
            _amount(needle, "depth_skin_to_cortex_mm"),
            "" if needle.get("depth_skin_to_cortex_mm") is not None else "no sound cortex on the way",
        ),
        Row("Depth: skin to lesion", _amount(needle, "depth_skin_to_target_mm")),
        Row("Depth: skin to tip", _amount(needle, "depth_skin_to_tip_mm"), f"{_amount(needle, 'mm_in_bone')} of it in bone"),
        Row("Cortex", str(needle.get("cortex", "not known")), str(needle.get("cortex_text", ""))),
    ]
    if "antenna_gauge" in needle:
        rows.append(
            Row(
                words.sentence(instrument),
                f"{needle['antenna_gauge']}, usable length {_amount(needle, 'antenna_length_mm')}",
                f"shaft {_amount(needle, 'shaft_diameter_mm')}",
            )
        )
    if "introducer" in needle:
        has = needle.get("introducer_bore_mm") is not None
        bore, length, depth = (_amount(needle, f"introducer_{part}_mm") for part in ("bore", "length", "depth"))
        note = f"bore {bore}, length {length}, to a depth of {depth}" if has else ""
        rows.append(Row("Introducer", str(needle["introducer"]), note))
    rows.append(Row("Entry and tip (LPS, mm)", f"{_place(needle['entry_lps_mm'])} to {_place(needle.get('tip_lps_mm'))}"))
    return rows + rows_of(needle, KNOWN)


def _place(values: object) -> str:
    return "(" + ", ".join(words.number(float(v)) for v in values) + ")" if isinstance(values, (list, tuple)) else "not known"


def prescription_of(plan: Plan) -> dict[str, Any]:
    """Return the prescription as the page shows it: position, needles, applications, warnings, and whatever else there is."""
    given = plan.prescription
    needles = [n for n in _listed(given.get("needles")) if isinstance(n, Mapping)]
    skip: tuple[str, ...] = ("needles", "applications", "warnings", "patient_position", "patient_position_text", "scanned_as")
    skip += ultrasound_sheet.KNOWN if given.get("sonications") else ()
    applications = [
        {
            "device": step.setting.device.replace("_", " "),
            "title": run_content.device_title(step),
            "said": run_content.setting_words(step),
            "treatment": treatment_title(step.treatment),
            "controls": _controls(step.setting.controls),
            "needles": len(step.setting.poses),
            "wait": words.duration(step.wait_s) if step.wait_s else "none",
        }
        for step in plan.steps
    ]
    return {
        "position": str(given.get("patient_position_text") or given.get("patient_position") or "not given"),
        "scanned": str(given.get("scanned_as") or "unknown"),
        "needles": [needle_rows(n, run_content.instrument_of(plan)) for n in needles],
        "names": _names(plan, len(needles)),
        "applications": applications,
        "warnings": [str(w) for w in _listed(given.get("warnings"))],
        "rest": rows_of(given, skip),
    }


def _names(plan: Plan, count: int) -> list[str]:
    """Return what each entry is: positions of one needle, used one after the other, or needles that lie side by side."""
    one_after_the_other = len(plan.steps) == count and all(len(s.setting.poses) == 1 for s in plan.steps)
    return [f"Position {i + 1} of the needle" if one_after_the_other else f"Needle {i + 1}" for i in range(count)]


def _controls(controls: Sequence[tuple[str, float]]) -> list[Row]:
    """Return what is dialled in; where there are several freezes, the time is that of each."""
    several = dict(controls).get("freezes", 1.0) > 1
    rows = []
    for key, value in controls:
        told = words.named(key)
        rows.append(Row("Each freeze" if several and key == "time_s" else told.label, _control(told, value)))
    return rows


def _control(told: words.Named, value: float) -> str:
    if told.unit == "s" and value >= 60:
        return f"{words.duration(value)} ({words.number(value, 's')})"
    return words.number(value * told.factor, told.unit)


def _listed(value: object) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _stop(finding: Finding) -> str:
    """Return at which temperature to stop, and where the alarm stands before it."""
    warn = next((k.warn for k in limits() if k.id == finding.limit_id), finding.limit)
    alarm = f" (alarm at {words.number(warn, '°C')})" if warn != finding.limit else ""
    return f"{'Below ' if is_cold(finding) else ''}{words.number(finding.limit, '°C')}{alarm}"


def procedure_sheet(plan: Plan, facts: Mapping[str, Fact], verdict: Verdict | None, place: str, side: str) -> dict[str, Any]:
    """Return what the one-page sheet says, from the plan's own figures and the chart."""
    histology, beyond = facts.get("histology_known"), plan.structures_beyond()
    anaesthesia = facts.get("anaesthesia")
    agrees = facts.get("laterality_agrees")
    rank = {row.structure: i for i, row in enumerate(judged(plan.findings))}
    hot = sorted((f for f in plan.findings if f.unit in KINDS[0]), key=lambda f: rank[f.structure])
    placed = [f for f in hot if f.place_mm is not None]
    sensors = [f for f in placed if f.level != "ok"] or placed[:1]
    stops: dict[str, list[str]] = {}
    for finding in hot:
        doubt = " (not judged by the plan)" if finding.value is None else ""
        stops.setdefault(_stop(finding), []).append(words.structure_name(finding.structure) + doubt)
    wanted = [
        m
        for r in (verdict.reasons if verdict else ())
        if r.kind == "caution" and r.truth in ("true", "unknown")
        for m in r.mitigations
    ]
    return {
        "place": place,
        "side": side,
        "side_confirmed": agrees is not None and agrees.state == Known(True),
        "open": [label(name) for name in (verdict.missing[0] if verdict and verdict.missing else ())],
        "coagulation": [
            Row(label(n), words.state(facts[n].state, facts[n].unit) if n in facts else "not known: not given")
            for n in ("platelets_e9_l", "inr", "anticoagulant")
        ],
        "anaesthesia": "not known: ask which anaesthesia is possible" if anaesthesia is None else words.state(anaesthesia.state),
        "biopsy_first": histology is None or histology.state != Known(True),
        "sensors": sensors,
        "cold": any(is_cold(f) for f in hot),
        "stamps": run_content.device_stamps(plan),
        "mitigations": list(dict.fromkeys(wanted)),
        "stops": [(limit, words.joined(names)) for limit, names in sorted(stops.items())],
        "cannot_tell": [words.structure_name(s) for s in plan.unknown_structures() if s not in beyond],
        "beyond": words.few([words.structure_name(s) for s in sorted(beyond)]),
        "minutes": words.band(plan.measures["minutes"], "min") if "minutes" in plan.measures else "not computed",
    }
