"""The cases whose expected statuses were written from the papers alone, and what the rules make of them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from osteon.assessment.assess import assess
from osteon.assessment.results import Assessment
from osteon.case.load import load_case
from osteon.selection.policies import Site
from osteon.selection.select import select
from osteon.selection.verdicts import Verdicts

HERE = Path(__file__).parent / "cases"
REGISTER = Path(__file__).parent / "disagreements.yaml"
OPEN = ("candidate", "candidate_with_cautions", "candidate_unchecked")
IDS = tuple(sorted(p.stem for p in HERE.glob("P*.yaml")))


@dataclass(frozen=True)
class Difference:
    """One row on which author and rules differ."""

    case: str
    lesion: str
    treatment: str
    expected: str
    got: str


@cache
def read(name: str) -> Mapping[str, Any]:
    """Return one case file."""
    loaded: Mapping[str, Any] = yaml.safe_load((HERE / f"{name}.yaml").read_text(encoding="utf-8"))
    return loaded


def judged(name: str) -> Verdicts:
    """Return what the rules say of one case, read through the door that every chart comes in by."""
    entry = read(name)
    site = Site.with_choices(entry.get("site") or {})
    return select(loaded(entry["case"]), entry.get("policy", "strict"), site, missing=False)


def expected(name: str) -> Iterator[tuple[str, str, str]]:
    """Yield lesion, treatment and expected status."""
    for lesion, groups in (read(name).get("expected") or {}).items():
        for status, treatments in groups.items():
            for treatment in treatments or ():
                yield lesion, treatment, status


def same(wanted: str, got: str) -> bool:
    """Tell whether a status is the expected one; ``open`` stands for each of the three candidates."""
    return got in OPEN if wanted == "open" else got == wanted


def differences(name: str) -> list[Difference]:
    """Return the rows of one case on which author and rules differ."""
    found = judged(name)
    return [
        Difference(name, lesion, treatment, wanted, got)
        for lesion, treatment, wanted in expected(name)
        for got in [found.of(lesion, treatment).status]
        if not same(wanted, got)
    ]


@cache
def firing() -> tuple[Mapping[str, Any], ...]:
    """Return the charts that make rules fire which no case reaches."""
    loaded: list[Mapping[str, Any]] = yaml.safe_load((HERE.parent / "firing.yaml").read_text(encoding="utf-8"))
    return tuple(loaded)


def changed(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the chart of one entry of ``firing.yaml``: its base case with the facts that it sets."""
    chart = copy.deepcopy(dict(read(entry["base"])["case"]))
    chart["facts"] = {**chart["facts"], **entry.get("patient", {})}
    first = chart["lesions"][0]
    first["facts"] = {**first["facts"], **entry.get("lesion", {})}
    first["goal"] = entry.get("goal", first.get("goal", "unknown"))
    if "bone" in entry:
        first |= {"bone": entry["bone"], "region": ""}
        for derived in ("segment", "long_bone", "side"):
            first["facts"].pop(derived, None)
    return chart


def loaded(chart: Mapping[str, Any]) -> Assessment:
    """Return the assessment of a chart, read through the door that every chart comes in by."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "case.yaml").write_text(yaml.safe_dump(dict(chart), allow_unicode=True, sort_keys=False))
        return assess(load_case(Path(folder)))


def fired(verdicts: Verdicts) -> set[str]:
    """Return the ids of the exclusions and cautions that are true in some row."""
    return {
        reason.rule_id
        for verdict in verdicts.verdicts
        for reason in verdict.reasons
        if reason.kind in ("exclusion", "caution") and reason.truth == "true"
    }
