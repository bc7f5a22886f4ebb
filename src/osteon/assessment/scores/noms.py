"""NOMS, the framework of decisions for spinal metastases: which arms are left by what is known."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from osteon.assessment.results import ScoreItem, ScoreResult
from osteon.assessment.scores import sins
from osteon.assessment.scores.base import choices, flags, not_applicable, not_told, one_of, state_of, table, worded
from osteon.facts import Fact, State, Unknown, possible
from osteon.space.anatomy import Structure

NEEDS = ("the ESCC grade", "the primary", "what SINS asks", "whether surgery would be tolerated")


def score(facts: Mapping[str, Fact], bone: Structure | None, region: str) -> ScoreResult:
    """Return what the NOMS framework would do.

    Parameters
    ----------
    facts : mapping of str to Fact
        Reads escc_grade, primary, small_cell_lung, surgery_tolerated and what SINS reads.
    bone : Structure or None
        The bone that holds the lesion.
    region : str
        Zone, handed on to SINS.

    Returns
    -------
    ScoreResult
        One arm or the set of those left; both where grade 1c or the lists of radiosensitivity leave it open; unknown where
        nothing narrows it down; not applicable outside the spine.
    """
    source = table("noms")
    keys = tuple(source["source"])
    if bone is None:
        return not_told(source, "cannot tell: name the bone")
    if not sins.spinal(bone):
        return not_applicable(source, f"the {bone.name} does not belong to the spine", keys)
    items = (
        _neurological(facts),
        _oncological(source, facts),
        _mechanical(source, sins.score(facts, bone, region)),
        _systemic(facts),
    )
    high, resistant, unstable, unfit = ([bool(v) for v in range(i.low, i.high + 1)] for i in items)
    found = []
    for case in product(high, resistant, [not u for u in unfit]):
        arm = next(row["arm"] for row in source["arms"] if all(w in (None, v) for w, v in zip(row["when"], case, strict=True)))
        found += [(source["stabilise"] if loose else "") + arm for loose in unstable]
    arms = list(dict.fromkeys(found))
    missing = [words for i, words in zip(items, NEEDS, strict=True) if isinstance(i.state, Unknown)]
    every = len(arms) == 2 * len({row["arm"] for row in source["arms"]})
    why = f"cannot tell: needs {', '.join(missing)}" if every and missing else ""
    return ScoreResult(source["id"], source["name"], one_of(arms, why), items, source["action"], source["accuracy"], keys)


def _neurological(facts: Mapping[str, Fact]) -> ScoreItem:
    grades = table("escc")
    state = state_of(facts, "escc_grade")
    left = choices(state, tuple(grades["grades"]))
    values = {1 for g in left if g in (*grades["high"], *grades["contested"])}
    values |= {0 for g in left if g in (*grades["low"], *grades["contested"])}
    said = worded(values, "high grade", "low grade", "grade 1c is contested" if len(left) == 1 else "not told")
    return ScoreItem("neurological: high-grade compression", state, min(values), max(values), said, ("escc_grade",))


def _oncological(source: Mapping[str, Any], facts: Mapping[str, Fact]) -> ScoreItem:
    """Return whether the tumour resists conventional irradiation, by every list; where they disagree it stays open."""
    state, small = state_of(facts, "primary"), state_of(facts, "small_cell_lung")
    said, values = [], set()
    for organ in [str(v) for v in possible(state)]:
        for row in source["sensitivity"].values():
            classes = classes_of(source, row, organ, small)
            values |= {int(c == "resistant") for c in classes}
            said.append(f"{' or '.join(classes)} by {row['title']}")
    values = values or {0, 1}
    return ScoreItem(
        "oncological: radioresistant",
        state,
        min(values),
        max(values),
        "; ".join(dict.fromkeys(said)) or "primary not told",
        ("primary", "small_cell_lung"),
    )


def classes_of(source: Mapping[str, Any], row: Mapping[str, Any], organ: str, small: State) -> list[str]:
    """Return the classes of radiosensitivity that a list leaves open for an organ."""
    special = source["small_cell"]
    listed = [kind for kind in ("sensitive", "resistant") if organ in row[kind]]
    usual = listed or list(row.get("otherwise", ("sensitive", "resistant")))
    if organ != special["of"]:
        return usual
    answers = flags(small)
    return list(dict.fromkeys([special["says"]] * (True in answers) + usual * (False in answers)))


def _mechanical(source: Mapping[str, Any], result: ScoreResult) -> ScoreItem:
    low, high = (sum(i.low for i in result.items), sum(i.high for i in result.items))
    values = {1} if high > source["stable_to"] else set()
    values |= {0} if low < source["unstable_from"] else set()
    shown = f"{low}" if low == high else f"{low} to {high}"
    said = worded(values, "unstable", "stable", "potentially unstable or open: ask a spine surgeon")
    return ScoreItem("mechanical: unstable", result.state, min(values), max(values), f"SINS {shown}: {said}")


def _systemic(facts: Mapping[str, Fact]) -> ScoreItem:
    state = state_of(facts, "surgery_tolerated")
    answers = flags(state)
    said = worded(answers, "surgery would be tolerated", "surgery would not be tolerated", "not told")
    values = [int(not a) for a in answers]
    return ScoreItem("systemic: surgery not tolerated", state, min(values), max(values), said, ("surgery_tolerated",))
