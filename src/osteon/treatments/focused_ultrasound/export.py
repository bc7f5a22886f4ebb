"""The sonication list as a file: JSON that is read back exactly, CSV for a spreadsheet, points for openlifu.

The JSON is described in ``sonications.schema.json``; its first key names the version. Places are LPS millimetres (x to the
patient's left, y to the back, z to the head), the beam points the way sound goes, power is acoustic and leaves the array.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from osteon.errors import InputError
from osteon.treatments.focused_ultrasound.shots import Aim, ApproachName, Shot, Triple

SCHEMA = "osteon-sonications/1"
NOTICE = "research use only, not a medical device"
FRAME = "LPS mm"
DOCUMENT = ("schema", "notice", "frame", "device", "frequency_hz", "sonications", "totals")
FIELDS = (
    "number", "id", "approach", "test", "focus_mm", "spot_mm", "beam", "order", "covers", "power_w", "on_s", "off_s", "energy_j",
    "phases_rad", "notes",
)  # fmt: skip
TOTALS = ("treatments", "tests", "energy_j", "minutes", "covers")
SAME_WITHIN = 1e-6  # relative: numbers of a file that follow from others
FOCUS_COLOUR = (1.0, 0.0, 0.0)


def as_document(shots: Sequence[Shot], device: str = "", frequency_hz: float | None = None) -> dict[str, Any]:
    """Return a session as plain data, in the order in which it is given.

    Parameters
    ----------
    shots : sequence of Shot
        At least one.
    device : str
        Of ``devices.yaml``; empty where it is open.
    frequency_hz : float, optional
        Of the drive.

    Returns
    -------
    dict
        As ``sonications.schema.json`` has it.

    Raises
    ------
    InputError
        If there is no sonication, two aims of one name differ, or the frequency is none.
    """
    if not shots:
        raise InputError("A list without a sonication was to be written.", "It would treat nothing.", "Plan at least one.")
    if frequency_hz is not None and not (math.isfinite(frequency_hz) and frequency_hz > 0):
        raise InputError(
            f"The list was given a frequency of {frequency_hz:g} Hz.",
            "No array runs at it.",
            "Give the frequency of the drive [Hz].",
        )
    aims: dict[str, Aim] = {}
    for shot in shots:
        if aims.setdefault(shot.aim.id, shot.aim) != shot.aim:
            raise InputError(
                f"Two different places are called {shot.aim.id}.",
                "Who gives the sonications could not tell them apart.",
                "Give each place its own name.",
            )
    return {
        "schema": SCHEMA, "notice": NOTICE, "frame": FRAME, "device": device, "frequency_hz": frequency_hz,
        "sonications": [_row(n, shot) for n, shot in enumerate(shots, start=1)], "totals": _totals(shots),
    }  # fmt: skip


def to_json(shots: Sequence[Shot], device: str = "", frequency_hz: float | None = None) -> str:
    """Return a session as JSON, which ``from_json`` reads back exactly; arguments and errors as ``as_document``."""
    return json.dumps(as_document(shots, device, frequency_hz), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str) -> tuple[Shot, ...]:
    """Read a session back, and refuse what does not hold together.

    Parameters
    ----------
    text : str
        As ``to_json`` wrote it.

    Returns
    -------
    tuple of Shot
        In the order in which they are given.

    Raises
    ------
    InputError
        If it is no such file: another version, keys missing or unknown, a number that is none or out of range, or an energy or a
        total that does not follow from the rest (``SettingError`` for power and times).
    """
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise _bad(f"it is no JSON (line {error.lineno}: {error.msg})") from error
    _keys(document, DOCUMENT, "the file")
    if document["schema"] != SCHEMA or document["frame"] != FRAME:
        raise _bad(f"it says schema {document['schema']!r} and frame {document['frame']!r}, not {SCHEMA!r} and {FRAME!r}")
    rows = document["sonications"]
    if not isinstance(rows, list):
        raise _bad("its sonications are no list")
    shots = tuple(_shot(row, n) for n, row in enumerate(rows, start=1))
    wanted = as_document(shots, _text(document["device"], "device"), _maybe(document["frequency_hz"], "frequency_hz"))
    _keys(document["totals"], TOTALS, "totals")
    for name in TOTALS:
        _same(_number(document["totals"][name], f"totals.{name}"), wanted["totals"][name], f"totals.{name}")
    return shots


def to_csv(shots: Sequence[Shot]) -> str:
    """Return a session as CSV: one line for each sonication, units in the heading; errors as ``as_document``."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    vectors = ("focus_mm", "spot_mm", "beam")
    heading: list[str] = []
    for name in FIELDS:
        stem, _, unit = name.partition("_")
        heading += [f"{stem}_{axis}{'_' + unit if unit else ''}" for axis in "xyz"] if name in vectors else [name]
    lines.writerow([name for name in heading if name != "phases_rad"])
    for row in as_document(shots)["sonications"]:
        cells: list[object] = []
        for name in (field for field in FIELDS if field != "phases_rad"):
            value = row[name]
            cells += list(value) if name in vectors else ["; ".join(value)] if name == "notes" else [value]
        lines.writerow([str(c).lower() if isinstance(c, bool) else c for c in cells])
    return out.getvalue()


def to_openlifu_points(shots: Sequence[Shot]) -> list[dict[str, Any]]:
    """Return each place once as openlifu writes a point: focus in LPS mm, its axes named; power and times have no place there.

    The radius is that of the mark on the screen, not of a lethal cell. Errors as ``as_document``.
    """
    as_document(shots)
    aims = {shot.aim.id: shot.aim for shot in shots}
    return [
        {"id": key, "name": f"{aim.approach} {key}", "color": list(FOCUS_COLOUR), "radius": 1.0, "position": list(aim.focus_mm),
         "dims": ["L", "P", "S"], "units": "mm"}
        for key, aim in aims.items()
    ]  # fmt: skip


def _row(number: int, shot: Shot) -> dict[str, Any]:
    aim = shot.aim
    return {
        "number": number, "id": aim.id, "approach": aim.approach, "test": shot.test, "focus_mm": _plain(aim.focus_mm),
        "spot_mm": _plain(aim.spot_mm), "beam": _plain(aim.beam), "order": int(aim.order), "covers": float(aim.covers),
        "power_w": float(shot.power_w), "on_s": float(shot.on_s), "off_s": float(shot.off_s), "energy_j": float(shot.energy_j),
        "phases_rad": _plain(shot.phases_rad), "notes": list(shot.notes),
    }  # fmt: skip


def _plain(values: Sequence[float]) -> list[float]:
    return [float(v) for v in values]


def _totals(shots: Sequence[Shot]) -> dict[str, Any]:
    treated = {shot.aim.id: shot.aim.covers for shot in shots if not shot.test}
    return {
        "treatments": sum(not shot.test for shot in shots),
        "tests": sum(shot.test for shot in shots),
        "energy_j": math.fsum(shot.energy_j for shot in shots),
        "minutes": math.fsum(shot.on_s + shot.off_s for shot in shots) / 60,
        "covers": min(math.fsum(treated.values()), 1.0),
    }


def _shot(row: object, number: int) -> Shot:
    where = f"sonication {number}"
    found = _keys(row, FIELDS, where)
    if _number(found["number"], f"{where}.number") != number:
        raise _bad(f"{where} is numbered {found['number']}")
    if not isinstance(found["test"], bool) or not isinstance(found["notes"], list):
        raise _bad(f"test of {where} is no true or false, or its notes are no list")
    approach: ApproachName = _text(found["approach"], f"{where}.approach")  # type: ignore[assignment]  # Aim refuses any other
    order = _number(found["order"], f"{where}.order")
    if order != int(order):
        raise _bad(f"the order of {where} is {order:g}")
    name, covers = _text(found["id"], f"{where}.id"), _number(found["covers"], f"{where}.covers")
    focus, beam, spot = (_triple(found[key], f"{where}.{key}") for key in ("focus_mm", "beam", "spot_mm"))
    aim = Aim(name, focus, beam, approach, int(order), covers, spot)
    shot = Shot(
        aim, _number(found["power_w"], f"{where}.power_w"), _number(found["on_s"], f"{where}.on_s"),
        _number(found["off_s"], f"{where}.off_s"), found["test"], tuple(_text(n, f"{where}.notes") for n in found["notes"]),
        tuple(_numbers(found["phases_rad"], f"{where}.phases_rad")),
    )  # fmt: skip
    _same(_number(found["energy_j"], f"{where}.energy_j"), shot.energy_j, f"{where}.energy_j")
    return shot


def _keys(row: object, wanted: Sequence[str], where: str) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise _bad(f"{where} is no object")
    missing, unknown = [k for k in wanted if k not in row], sorted(set(row) - set(wanted))
    if missing or unknown:
        raise _bad(f"{where} lacks {', '.join(missing) or 'nothing'} and has the unknown {', '.join(unknown) or 'nothing'}")
    return row


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise _bad(f"{where} is {value!r}, no finite number")
    return float(value)


def _maybe(value: object, where: str) -> float | None:
    return None if value is None else _number(value, where)


def _numbers(value: object, where: str) -> list[float]:
    if not isinstance(value, list):
        raise _bad(f"{where} is {value!r}, no list")
    return [_number(v, where) for v in value]


def _triple(value: object, where: str) -> Triple:
    found = _numbers(value, where)
    if len(found) != 3:
        raise _bad(f"{where} has {len(found)} numbers, not 3")
    return found[0], found[1], found[2]


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise _bad(f"{where} is {value!r}, no text")
    return value


def _same(given: float, wanted: float, where: str) -> None:
    if not np.isclose(given, wanted, rtol=SAME_WITHIN, atol=SAME_WITHIN):
        raise _bad(f"{where} says {given:g}, but {wanted:g} follows from the rest")


def _refuse_constant(name: str) -> float:
    raise _bad(f"it holds {name}, no finite number")


def _bad(what: str) -> InputError:
    return InputError(
        f"The sonication list cannot be used: {what}.",
        "A list that is read wrongly heats the wrong place, or the right one too much.",
        "Write it again with osteon.treatments.focused_ultrasound.export.to_json.",
    )
