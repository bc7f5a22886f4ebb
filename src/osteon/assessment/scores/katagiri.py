"""Katagiri's prognostic score of a patient with bone metastases, with open items as intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osteon.assessment.results import ScoreItem, ScoreResult
from osteon.assessment.scores.base import (
    bands,
    choices,
    flags,
    item,
    not_applicable,
    numbers,
    span,
    state_of,
    table,
    total,
    truth,
    worded,
)
from osteon.facts import Fact, Known, OneOf, State
from osteon.space.anatomy import Structure


def score(facts: Mapping[str, Fact], bone: Structure | None, region: str) -> ScoreResult:  # noqa: ARG001 (one shape for all)
    """Return Katagiri's score of 2014.

    Parameters
    ----------
    facts : mapping of str to Fact
        Reads disease_class, primary, hormone_dependent, targeted_drug, visceral_metastases, brain_metastases, ecog,
        prior_chemotherapy, bone_lesions_total and six laboratory values.
    bone : Structure or None
        Not used: the score is the patient's.
    region : str
        Not used.

    Returns
    -------
    ScoreResult
        0 to 10 points; an interval where items are open; not applicable to primary tumours.
    """
    source = table("katagiri")
    keys = tuple(source["source"])
    disease = state_of(facts, "disease_class")
    if isinstance(disease, Known) and str(disease.value).startswith("primary_"):
        return not_applicable(source, "it is made for metastases, not for primary tumours", keys)
    one = int(source["points_each"])
    ecog, chemo, count = (state_of(facts, n) for n in ("ecog", "prior_chemotherapy", "bone_lesions_total"))
    items = (
        _primary(source, facts),
        _visceral(source["visceral"], facts),
        _laboratory(source["laboratory"], facts),
        item(
            "performance",
            ecog,
            [one * t for t in truth(ecog, lambda v: v >= source["ecog_from"])],
            _number("ECOG", ecog, "3 or 4 counts"),
            "ecog",
        ),
        item(
            "earlier chemotherapy",
            chemo,
            [one * t for t in flags(chemo)],
            worded(flags(chemo), "given", "none", "not told"),
            "prior_chemotherapy",
        ),
        item(
            "several bone metastases",
            count,
            [one * t for t in truth(count, lambda v: v >= source["multiple_from"])],
            _number("number", count, "two or more count"),
            "bone_lesions_total",
        ),
    )
    said = bands(source["bands"], items)
    return ScoreResult(source["id"], source["name"], total(items), items, said, source["accuracy"], keys)


def _number(name: str, state: State, rule: str) -> str:
    told = numbers(state)
    return f"{name} not told" if told is None else f"{name} {span(*told)} ({rule})"


def _primary(source: Mapping[str, Any], facts: Mapping[str, Fact]) -> ScoreItem:
    """Return the item of the primary; of an organ that stands in two groups, how treatable it is decides."""
    state = state_of(facts, "primary")
    groups = {organ: int(row["points"]) for row in source["primary"].values() for organ in row["of"]}
    listed = (*groups, *source["treatability"])
    points: set[int] = set()
    asked: list[str] = []
    for organ in choices(state, listed):
        row = source["treatability"].get(organ)
        if row is None:
            points.add(groups[organ])
            continue
        answers = flags(state_of(facts, row["fact"]))
        points |= {int(row["if_yes"] if answer else row["if_no"]) for answer in answers}
        asked += [row["fact"]] if len(answers) > 1 else []
    known = isinstance(state, (Known, OneOf))
    said = " or ".join(choices(state, listed)).replace("_", " ") if known else "not told"
    if known and asked:
        said += " (" + "; ".join(f"{name.replace('_', ' ')} not told" for name in dict.fromkeys(asked)) + ")"
    return item("primary", state, points, said, "primary", "hormone_dependent", "targeted_drug")


def _visceral(rows: Mapping[str, Any], facts: Mapping[str, Fact]) -> ScoreItem:
    state, brain = state_of(facts, "visceral_metastases"), flags(state_of(facts, "brain_metastases"))
    left = choices(state, ("none", "nodular", "disseminated"))
    points = {max(int(rows[kind]), int(rows["brain"]) if there else 0) for kind in left for there in brain}
    said = " or ".join(left) if len(left) < 3 else "visceral metastases not told"
    said += worded(brain, ", brain metastases", "", ", brain not told")
    return item("visceral or brain metastases", state, points, said, "visceral_metastases", "brain_metastases")


def _laboratory(rows: Mapping[str, Any], facts: Mapping[str, Fact]) -> ScoreItem:
    """Return the item of the blood values: any critical one wins over any abnormal one."""
    found = {name: [(t["fact"], _meets(t, facts)) for t in row["any"]] for name, row in rows.items()}
    may = {name: any(True in met for _, met in tests) for name, tests in found.items()}
    must = {name: any(met == (True,) for _, met in tests) for name, tests in found.items()}
    critical, abnormal = int(rows["critical"]["points"]), int(rows["abnormal"]["points"])
    points = {critical} if may["critical"] else set()
    if not must["critical"]:
        points |= {abnormal} if may["abnormal"] else set()
        points |= set() if must["abnormal"] else {0}
    names = [name for tests in found.values() for name, _ in tests]
    said = ", ".join(f"{_short(name)} {kind}" for kind, tests in found.items() for name, met in tests if met == (True,))
    missing = [_short(name) for name in names if numbers(state_of(facts, name)) is None]
    said = said or ("no value out of its limit" if not missing else "")
    said = "; ".join(part for part in (said, f"not told: {', '.join(missing)}" if missing else "") if part)
    deciding = next((n for tests in found.values() for n, met in tests if met == (True,)), names[0])
    return item("laboratory", state_of(facts, deciding), points, said, *names)


def _short(name: str) -> str:
    plain = {"ldh_u_l": "LDH", "crp_mg_dl": "CRP"}
    return plain.get(name, name.partition("_")[0])


def _meets(test: Mapping[str, Any], facts: Mapping[str, Fact]) -> tuple[bool, ...]:
    state = state_of(facts, test["fact"])
    if "below" in test:
        return truth(state, lambda v: v < test["below"])
    return truth(state, lambda v: v >= test["from"])
