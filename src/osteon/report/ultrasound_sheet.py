"""The operator's sheet of focused ultrasound: where the array stands, the list of sonications, what to watch, and its files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osteon.cache import write_atomically
from osteon.planning.plan import Finding, Plan
from osteon.report import words
from osteon.report.content import Row
from osteon.report.plan_content import BODY_C, judged
from osteon.report.ultrasound_section import APPROACH_TITLES, device_title, one_way, scheme_of
from osteon.tissue.tolerance import only_informs
from osteon.treatments.focused_ultrasound import export
from osteon.treatments.focused_ultrasound.shots import Shot

KNOWN = (
    "device", "approach", "approach_reason", "approach_rule", "approach_source", "left_out", "array", "array_from",
    "sonications", "test_power_w", "test_rise_k", "afterwards", "patient_side", "patient_position", "patient_position_text",
    "scanned_as", "warnings",
)  # fmt: skip
WATCHED = 0.1  # of the way from body temperature, or no dose, to a limit
FILES = ("json", "csv", "openlifu.json")


@dataclass(frozen=True)
class ShotRow:
    """One sonication as the operator reads it."""

    number: str
    name: str
    what: str
    place: str
    power: str
    on: str
    off: str
    energy: str
    test: bool


def shots_of(plan: Plan) -> tuple[Shot, ...]:
    """Return the sonications that a prescription lists; none where it lists none.

    Raises
    ------
    InputError, SettingError
        If the list does not hold together.
    """
    listed = plan.prescription.get("sonications")
    return export.from_json(json.dumps(listed)) if isinstance(listed, Mapping) else ()


def sheet_of(plan: Plan, files: Sequence[str] = ()) -> dict[str, Any] | None:
    """Return what the sheet of a focused-ultrasound plan says; None for another treatment, or where nothing is prescribed.

    Parameters
    ----------
    plan : Plan
        With a list of sonications in its prescription.
    files : sequence of str
        Names of the files of this plan beside the page.
    """
    shots, scheme = shots_of(plan), scheme_of(plan)
    if not shots or scheme is None:
        return None
    given = plan.prescription
    totals = export.as_document(shots)["totals"]
    rise = given.get("test_rise_k")
    return {
        "study": plan.study,
        "trusted": scheme.trust != "no",
        "one_way": one_way(scheme),
        "array": array_rows(given),
        "side": str(given.get("patient_side") or ""),  # which side of the patient lies towards the array, in words
        "test": f"about {words.number(float(rise), 'K')}" if isinstance(rise, (int, float)) else "not computed",
        "rows": [_row(n, shot) for n, shot in enumerate(shots, start=1)],
        "total": (
            f"{totals['treatments']} sonications and {totals['tests']} test, {words.number(totals['energy_j'], 'J')} acoustic, "
            f"{words.number(totals['minutes'], 'min')}"
        ),
        "watch": watched(plan.findings),
        "cool": cool(plan.findings),
        "afterwards": [str(w) for w in _listed(given.get("afterwards"))],
        "files": list(files),
    }


def _list_of(given: Mapping[str, object]) -> Mapping[str, Any]:
    listed = given.get("sonications")
    return listed if isinstance(listed, Mapping) else {}


def array_rows(given: Mapping[str, object]) -> list[Row]:
    """Return where the array stands, and with what approach, from a prescription."""
    array = given.get("array")
    place = array if isinstance(array, Mapping) else {}
    rows = [
        Row("Device", device_title(str(given.get("device", ""))), str(_list_of(given).get("device", ""))),
        Row("Array against the patient's", str(given.get("array_from") or "not known"), "seen from the lesion"),
    ]
    if place:
        vertex, axis = (_numbers(place.get(k)) for k in ("vertex_mm", "axis"))
        roll = place.get("roll_deg")
        turned = words.number(float(roll), "°") if isinstance(roll, (int, float)) else "not known"
        rows.append(
            Row(
                "Middle of the array (LPS, mm)",
                vertex,
                f"for place {place['of']}; it moves from place to place" if place.get("of") else "it moves from place to place",
            )
        )
        rows.append(Row("Sound goes along (LPS)", axis, f"unit vector; turned about it by {turned}"))
    name = str(given.get("approach") or "")
    rows.append(Row("Approach", APPROACH_TITLES.get(name, name) or "not known", str(given.get("approach_reason") or "")))
    return rows


def _row(number: int, shot: Shot) -> ShotRow:
    aim = shot.aim
    return ShotRow(
        str(number), aim.id, "TEST" if shot.test else APPROACH_TITLES[aim.approach].lower(), _numbers(aim.focus_mm),
        words.number(shot.power_w, "W"), words.number(shot.on_s, "s"), words.number(shot.off_s, "s"),
        words.number(shot.energy_j, "J"), shot.test,
    )  # fmt: skip


def _numbers(values: object) -> str:
    """Return a place or a direction to a tenth of a millimetre, or to three digits where it is a direction."""
    listed = [float(v) for v in values] if isinstance(values, (list, tuple)) else []
    digits = 3 if listed and max(abs(v) for v in listed) <= 1.0 else 1
    return "(" + ", ".join(f"{v:.{digits}f}".replace("-", "−") for v in listed) + ")" if listed else "not known"


def _listed(value: object) -> list[Any]:
    return [value] if isinstance(value, str) else list(value) if isinstance(value, (list, tuple)) else []


def watched(findings: Sequence[Finding]) -> list[tuple[str, str]]:
    """Return every structure that grows warm or cannot be told, with its limits of heat and what is expected there."""
    found = _of_heat(findings)
    rows = []
    for row in judged(findings):  # what is breached or cannot be told first, then what comes nearest to its limit
        if row.structure not in found or not any(_warm(f) for f in found[row.structure]):
            continue
        said = [
            f"{words.number(f.limit, f.unit)}{', for information' if only_informs(f.limit_id) else ''} "
            + ("(cannot tell what is reached)" if f.value is None else f"(expected {words.band(f.value, f.unit)})")
            for f in found[row.structure]
        ]
        rows.append((words.sentence(words.structure_name(row.structure)), "; ".join(said)))
    return rows


def cool(findings: Sequence[Finding]) -> str:
    """Return the structures that stay at body temperature, in words."""
    found = _of_heat(findings)
    return words.joined([words.structure_name(k) for k in sorted(found) if not any(_warm(f) for f in found[k])])


def _of_heat(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.unit in ("°C", "degC") or "CEM43" in finding.unit:
            found.setdefault(finding.structure, []).append(finding)
    return found


def _warm(finding: Finding) -> bool:
    """Tell whether a structure must be watched: it cannot be told, warns, or comes a tenth of the way to its limit."""
    if finding.value is None or finding.level != "ok":
        return True
    base = BODY_C if finding.unit in ("°C", "degC") else 0.0
    return finding.value.high - base >= WATCHED * (finding.limit - base)


def file_stem(plan: Plan, stem: str) -> str:
    """Return the stem of the sonication files, ``sonications_<lesion>``, numbered as the plan's own; a study's says so."""
    lesion = re.sub(r"[^A-Za-z0-9-]+", "-", plan.lesion_id).strip("-") or "x"
    again = re.search(r"_(\d+)$", stem)
    return f"sonications_{lesion}" + (f"_{again[1]}" if again else "") + ("_study" if plan.study else "")


def names_of(plan: Plan, stem: str) -> list[str]:
    """Return the names of the files that ``write_files`` writes."""
    return (
        [f"{file_stem(plan, stem)}.{ending}" for ending in FILES]
        if isinstance(plan.prescription.get("sonications"), Mapping)
        else []
    )


def write_files(plan: Plan, stem: str, folder: Path) -> list[Path]:
    """Write the list of sonications as JSON and CSV, and its places as openlifu reads points; nothing where none is prescribed.

    Parameters
    ----------
    plan : Plan
        With a list of sonications in its prescription.
    stem : str
        Of the plan, from ``prescription_files.stems``.
    folder : Path
        Where to.

    Raises
    ------
    OsteonError
        If the list does not hold together, or a file cannot be written.
    """
    shots = shots_of(plan)
    listed = plan.prescription.get("sonications")
    if not shots or not isinstance(listed, Mapping):
        return []
    bodies = (
        export.to_json(shots, str(listed.get("device", "")), listed.get("frequency_hz")),
        export.to_csv(shots),
        json.dumps(export.to_openlifu_points(shots), indent=1, ensure_ascii=False) + "\n",
    )
    written = []
    for name, body in zip(names_of(plan, stem), bodies, strict=True):
        write_atomically(folder / name, body.encode())
        written.append(folder / name)
    return written
