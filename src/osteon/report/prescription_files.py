"""Files for other programs: needle paths as 3D Slicer markups, temperature and dose as NIfTI, sonications as a list."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from osteon.cache import write_atomically
from osteon.planning.plan import Plan
from osteon.report import ultrasound_sheet
from osteon.space.anatomy import Field
from osteon.space.volume import Volume
from osteon.treatments.base import NeedlePose

MARKUPS_SCHEMA = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json#"
)
FIELDS = (
    (Field.TEMPERATURE_C, "temperature"),
    (Field.CEM43_MIN, "cem43"),
    (Field.FROZEN_MIN_C, "lowest_temperature"),
)


def needle_markups(pose: NeedlePose, name: str) -> dict[str, Any]:
    """Return one needle as a line of 3D Slicer's markups, entry first, in LPS millimetres.

    Parameters
    ----------
    pose : NeedlePose
        Entry at the skin and tip.
    name : str
        Shown beside the line.
    """
    points = [
        {
            "id": str(i),
            "label": label,
            "description": "",
            "associatedNodeID": "",
            "position": [float(v) for v in place],
            "selected": True,
            "locked": True,
            "visibility": True,
            "positionStatus": "defined",
        }
        for i, (label, place) in enumerate((("entry", pose.entry_mm), ("tip", pose.tip_mm)), start=1)
    ]
    line = {
        "type": "Line",
        "name": name,
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": True,
        "fixedNumberOfControlPoints": True,
        "labelFormat": "%N",
        "lastUsedControlPointNumber": 2,
        "controlPoints": points,
        "measurements": [{"name": "length", "enabled": True, "value": pose.length_mm, "units": "mm"}],
    }
    return {"@schema": MARKUPS_SCHEMA, "markups": [line]}


def stems(plans: Sequence[Plan]) -> list[str]:
    """Return one file stem per plan, ``plan_<lesion>_<treatment>``, numbered from the second of the same name."""
    seen: dict[str, int] = {}
    names: list[str] = []
    for plan in plans:
        base = "plan_" + "_".join(
            re.sub(r"[^A-Za-z0-9-]+", "-", part).strip("-") or "x" for part in (plan.lesion_id, plan.treatment)
        )
        seen[base] = seen.get(base, 0) + 1
        names.append(base if seen[base] == 1 else f"{base}_{seen[base]}")
    return names


def poses_of(plan: Plan) -> list[NeedlePose]:
    """Return every needle of a plan, in order of use, each once."""
    return list(dict.fromkeys(pose for step in plan.steps for pose in step.setting.poses))


def field_of(plan: Plan, field: Field) -> Volume | None:
    """Return a field after the whole plan, else after its last step that wrote it, else None."""
    if plan.after is not None and field in plan.after.state:
        return plan.after.state[field]
    written = [step.effect.state[field] for step in plan.steps if field in step.effect.state]
    return written[-1] if written else None


def write_plan_files(plan: Plan, stem: str, folder: Path) -> list[Path]:
    """Write the needles, fields and sonications of a plan beside the report.

    Parameters
    ----------
    plan : Plan
        What has no needle or no field writes no file.
    stem : str
        From ``stems``.
    folder : Path
        Where to.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    OsteonError
        If a file cannot be written.
    """
    from osteon.io.images import write_nifti

    written: list[Path] = []
    poses = poses_of(plan)
    for i, pose in enumerate(poses, start=1):
        path = folder / (f"{stem}_needle.mrk.json" if len(poses) == 1 else f"{stem}_needle{i}.mrk.json")
        body = json.dumps(needle_markups(pose, f"{plan.treatment} needle {i}"), indent=2, ensure_ascii=False)
        write_atomically(path, (body + "\n").encode())
        written.append(path)
    for field, name in FIELDS:
        volume = field_of(plan, field)
        if volume is not None:
            path = folder / f"{stem}_{name}.nii.gz"
            write_nifti(volume, path)
            written.append(path)
    return written + ultrasound_sheet.write_files(plan, stem, folder)
