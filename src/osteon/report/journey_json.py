"""The whole Journey as JSON (``osteon-journey/1``): every number of the report, no picture, no path of this machine."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass
from datetime import date
from enum import Enum
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.cache import canonical_json, write_atomically
from osteon.case.align import Alignment
from osteon.case.model import Case
from osteon.facts import Interval, Known, NotApplicable, OneOf, Unknown

if TYPE_CHECKING:
    from osteon.pathway import Journey
    from osteon.planning.plan import Plan
from osteon.report.references import references_of
from osteon.report.strength_json import as_numbers
from osteon.selection.combine import combinations
from osteon.selection.dominance import compared, covered
from osteon.selection.explain import one_line
from osteon.selection.next_steps import at_hand, next_steps
from osteon.selection.verdicts import Reason, Verdicts
from osteon.selection.views import sheet_of
from osteon.selection.whatif import states_at
from osteon.space.anatomy import Anatomy, Structure
from osteon.space.volume import Volume

SCHEMA = "osteon-journey/1"


def as_json(journey: Journey) -> dict[str, Any]:
    """Return a journey as plain JSON values.

    Volumes are told by shape, place and digest, not by their voxels; numbers that are not finite become null, "inf" or "-inf".

    Parameters
    ----------
    journey : Journey
        What the path gave.

    Returns
    -------
    dict
        ``schema``, ``case``, ``assessment``, ``strength`` (by lesion), ``request``, ``verdicts``, ``treatments`` (what is stated
        of each row), ``beside`` (by lesion: rows that others cover, orders and intervals), ``at_hand``, ``next_steps``,
        ``plans``, ``references``,
        ``provenance``; equal between two runs but for ``provenance.run``.
    """
    references = references_of(journey)
    return {
        "schema": SCHEMA,
        "case": _case(journey.case),
        "assessment": {"lesions": [_plain(each) for each in journey.assessment.lesions]},
        "strength": {lesion: [as_numbers(each) for each in found] for lesion, found in journey.strengths.items()},
        "request": _plain(journey.request),
        "verdicts": _verdicts(journey.verdicts),
        "treatments": {name: _profile(name) for name in dict.fromkeys(v.treatment for v in journey.verdicts.verdicts)},
        "beside": {each.lesion_id: _beside(journey, each.lesion_id) for each in journey.assessment.lesions},
        "at_hand": _plain(at_hand(journey.case)),
        "next_steps": {
            each.lesion_id: _plain(next_steps(journey.assessment, journey.verdicts, each.lesion_id))
            for each in journey.assessment.lesions
        },
        "plans": [_plan(plan) for plan in journey.plans],
        "references": {
            "papers": [{**asdict(r.paper), "text": r.text} for r in references.listed if r.paper is not None],
            "not_in_library": list(references.unknown),
        },
        "provenance": {"inputs": {}, "options": {}, "versions": {}, "run": {}, **_plain(journey.provenance)},
    }


def write_json(journey: Journey, path: Path) -> Path:
    """Write ``as_json`` in canonical form: sorted keys, no blanks, one final newline.

    Raises
    ------
    OsteonError
        If the file cannot be written.
    """
    write_atomically(path, (canonical_json(as_json(journey)) + "\n").encode())
    return path


def _case(case: Case) -> dict[str, Any]:
    """Return a case without its folder: where it lies is no part of what it says."""
    told = {f.name: _plain(getattr(case, f.name)) for f in fields(case) if f.name != "folder"}
    return {**told, "digests": dict(sorted(case.digests.items()))}


def _verdicts(verdicts: Verdicts) -> dict[str, Any]:
    """Return the verdicts; of a reason that does not bear on the case, only which rule it was and how it came out."""
    told = {f.name: _plain(getattr(verdicts, f.name)) for f in fields(verdicts) if f.name not in ("verdicts", "site")}
    return {
        **told,
        "site": [{"id": i, "choice": choice, "default": default} for i, choice, default in verdicts.site],
        "verdicts": [
            {
                **{f.name: _plain(getattr(v, f.name)) for f in fields(v) if f.name not in ("reasons", "variants")},
                "line": one_line(v),
                "reasons": [_reason(r) for r in v.reasons],
                "variants": [_reason(r) for r in v.variants],
            }
            for v in verdicts.verdicts
        ],
    }


def _reason(reason: Reason) -> dict[str, Any]:
    silent = ("true", "not_applicable") if reason.kind == "requirement" else ("false", "not_applicable")
    if reason.truth in silent and reason.kind != "variant":
        return {"rule_id": reason.rule_id, "kind": reason.kind, "truth": reason.truth}
    return {f.name: _plain(getattr(reason, f.name)) for f in fields(reason)}


def _profile(name: str) -> dict[str, Any] | None:
    """Return what is stated of a row beside its rules; null for one that the catalogue does not know."""
    told = sheet_of(name)
    if told is None:
        return None
    counted = {"parameters": told.parameters, "complications": told.complications, "outcomes": told.outcomes}
    return {
        "title": told.title,
        "family": told.family,
        "specialties": list(told.specialties),
        "setting": told.setting,
        "elective": told.elective,
        "profile": {key: item.text for key, item in sorted((told.profile or {}).items())},
        **{key: [{"id": i.id, "name": i.name, "text": i.text} for i in items] for key, items in counted.items()},
    }


def _plan(plan: Plan) -> dict[str, Any]:
    """Return a plan and how it stands, without what only its pictures need."""
    return {**{f.name: _plain(getattr(plan, f.name)) for f in fields(plan) if f.name != "detail"}, "standing": plan.standing}


def _beside(journey: Journey, lesion_id: str) -> dict[str, Any]:
    """Return what bears on the rows of a lesion from their neighbours."""
    states = states_at(journey.assessment, journey.verdicts, lesion_id)
    return {
        "covered": _plain(covered(journey.verdicts, lesion_id, states)),
        "orders": _plain(combinations(journey.verdicts, lesion_id, states)),
        "head_to_head": _plain(compared(journey.verdicts, lesion_id)),
    }


def _plain(value: Any) -> Any:
    """Return anything of a journey as JSON values."""
    match value:
        case Enum():
            return value.value
        case None | bool() | str() | int():
            return value
        case float() | np.floating():
            return _float(float(value))
        case np.bool_() | np.integer():
            return value.item()
        case np.ndarray():
            return [_plain(v) for v in value.tolist()]
        case date():
            return value.isoformat()
        case PurePath():
            return value.name
        case Known() | Interval() | OneOf() | Unknown() | NotApplicable():
            return {"state": _snake(type(value).__name__), **{f.name: _plain(getattr(value, f.name)) for f in fields(value)}}
        case Structure():
            return value.id
        case Volume():
            return _volume(value)
        case Alignment():
            return _alignment(value)
        case Anatomy():
            return _anatomy(value)
        case Mapping():
            return {_key(k): _plain(v) for k, v in value.items()}
        case set() | frozenset():
            return sorted((_plain(v) for v in value), key=canonical_json)
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Iterable):
        return [_plain(v) for v in value]
    return str(value)


def _alignment(alignment: Alignment) -> dict[str, Any]:
    """Return what was decided of one study and what its error is made of, without the points it was told at."""
    told = {f.name: _plain(getattr(alignment, f.name)) for f in fields(alignment) if f.name != "registration"}
    found = alignment.registration
    kept = (
        "ended",
        "metric",
        "overlap_fraction",
        "header_gap_mm",
        "inverse_consistency_mm",
        "restarts_spread_mm",
        "halves_spread_mm",
    )
    return {**told, "registration": None if found is None else {name: _plain(getattr(found, name)) for name in kept}}


def _float(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value


def _key(key: Any) -> str:
    if isinstance(key, Enum):
        return str(key.value)
    return key.id if isinstance(key, Structure) else str(key)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))


def _volume(volume: Volume) -> dict[str, Any]:
    """Return a volume by where it lies and what it holds; a mask by its size, so that large outlines cost little."""
    told: dict[str, Any] = {
        "shape_zyx": list(volume.grid.shape),
        "affine_lps_mm": [list(row) for row in volume.grid.affine],
    }
    if volume.array.dtype == bool:
        return {**told, "voxels": int(np.count_nonzero(volume.array))}
    return {**told, "dtype": volume.array.dtype.str, "sha256": volume.digest()}


def _anatomy(anatomy: Anatomy) -> dict[str, Any]:
    """Return an anatomy: its grid once, its outlines by size, its state by digest."""
    masks = {k.id: int(np.count_nonzero(v.array)) for k, v in anatomy.masks.items()}
    return {
        "grid": {"shape_zyx": list(anatomy.grid.shape), "affine_lps_mm": [list(row) for row in anatomy.grid.affine]},
        "image": anatomy.image is not None,
        "imaged_voxels": int(np.count_nonzero(anatomy.imaged.array)),
        "mask_voxels": masks,
        "absent": sorted(s.id for s in anatomy.absent),
        "approximate": sorted(s.id for s in anatomy.approximate),
        "state": {field.value: _volume(volume) for field, volume in anatomy.state.items()},
        "log": list(anatomy.log),
    }
