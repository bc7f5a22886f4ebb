"""Random patients from the vocabulary, biased to the thresholds that rules read and to patients that a row would suit.

Everything follows from the seed. ``states`` gives what is known of one lesion, without a case; ``tree`` and ``text`` give a whole
case.yaml of one to three lesions.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import cache
from typing import Any

from osteon.case.yaml_lines import write_yaml
from osteon.facts import FactType, Interval, Known, NotApplicable, OneOf, Scalar, State, Unknown, vocabulary
from osteon.selection.judging import RuleBook, book, comparisons_of, expressions_of, judge
from osteon.selection.kleene import Atom, Truths, cells
from osteon.selection.rules import guideline
from osteon.treatments.catalog import entries, treatment

TODAY = date(2025, 3, 31)
UNKNOWN_SHARES = (0.02, 0.1, 0.3, 0.6, 0.9)
VAGUE_SHARE = 0.08
"""Of facts that are told: as an interval or one of several."""
MEANINGLESS_SHARE = 0.02
FITTING_SHARE = 0.93
"""Of the facts that a chosen row reads: how many take a value that suits it."""
BONES = (
    "hip_right", "hip_left", "femur_left", "femur_right", "humerus_right", "vertebra_L3", "vertebra_T8", "vertebra_C5", "sacrum",
    "rib_left_7", "sternum", "scapula_left", "skull", "unknown",
)  # fmt: skip
SCOPE_UNKNOWN = 0.2
"""What every row asks for is seldom unknown, else nothing else would be reached."""
HEAD = ("bone", "side", "region", "goal")
"""Facts that the head of a lesion tells."""
FOLLOWING = (
    "laterality_agrees", "spinal", "bone_class", "vertebral_level", "vertebral_part", "segment", "long_bone", "mirels_score",
    "sins_score", "katagiri_score", "harrington_group", "radiosensitivity", "oligometastatic_count", "background_opioid_mg_day",
    "background_opioid_long_acting",
)  # fmt: skip
"""Facts that follow from others; a chart that states them as well could contradict itself."""
WORDS = ("none", "another one")


@cache
def books() -> Mapping[str, RuleBook]:
    """Return the rules of every row that is in the catalogue."""
    return {name: book(treatment(name)) for name in entries()}


@cache
def comparisons() -> Mapping[str, tuple[Atom, ...]]:
    """Return every comparison that any row or red flag makes of each fact."""
    rules = [*(r for b in books().values() for r in b.rules), *guideline("red_flags")]
    return comparisons_of(e for rule in rules for e in expressions_of(rule))


@cache
def scope() -> frozenset[str]:
    """Return the facts that the rules of every row read."""
    return frozenset(f for rule in guideline("scope") for f in rule.facts)


def plain(value: object) -> Scalar:
    """Return a value of a cell as a chart holds it: a set as text."""
    return ", ".join(sorted(value)) or "none" if isinstance(value, frozenset) else value  # type: ignore[return-value]


@cache
def values(name: str) -> tuple[Scalar, ...]:
    """Return one value per way in which the comparisons of a fact come out, ends of its domain and thresholds among them."""
    kind = vocabulary()[name]
    if kind.type == "text":
        said = {
            str(x) for a in comparisons().get(name, ()) for x in (a.literal if isinstance(a.literal, tuple) else (a.literal,))
        }
        return (*sorted(said - {"True"}), *WORDS)
    if kind.type == "number":
        found = [v for v in cells(kind, Unknown(), comparisons().get(name, ())) if isinstance(v, (int, float))]
        low, high = (float(x) for x in kind.domain)
        marks = [
            float(a.literal)
            for a in comparisons().get(name, ())
            if isinstance(a.literal, (int, float)) and low <= a.literal <= high
        ]
        return tuple(sorted({low, high, *found, *marks}))
    if kind.type == "set":
        return ("none", *map(str, kind.domain), ", ".join(map(str, kind.domain)))
    return kind.domain if kind.type == "choice" else (True, False)


@cache
def fitting(name: str) -> Mapping[str, Scalar]:
    """Return values of the facts that a row reads under which as few of its rules as possible speak against it."""
    rules, rng = books()[name], random.Random(name)
    told: dict[str, Scalar] = {f: rng.choice(values(f)) for f in rules.comparisons}

    def against(fact: str, value: Scalar) -> float:
        truths = Truths({n: Known(v) for n, v in {**told, fact: value}.items()}, vocabulary())
        found = [judge(rules.rules[i], truths, "strict") for i in rules.readers[fact]]
        weight = {("exclusion", "true"): 10.0, ("requirement", "false"): 10.0, ("caution", "true"): 1.0}
        return sum(weight.get((j.kind, j.truth), 0.0) for j in found)

    for _ in range(3):
        for fact in rng.sample(sorted(told), len(told)):
            told[fact] = min(values(fact), key=lambda v: (against(fact, v), rng.random()))
    return told


def state(rng: random.Random, kind: FactType, unknown: float, suits: Scalar | None = None) -> State:
    """Return one random state of a fact; ``suits``: a value to prefer."""
    draw = rng.random()
    unknown *= SCOPE_UNKNOWN if kind.name in scope() else 1.0
    if draw < unknown:
        return Unknown()
    if draw < unknown + MEANINGLESS_SHARE * (1 - unknown):
        return NotApplicable("has no meaning here")
    listed = values(kind.name)
    value = suits if suits is not None and rng.random() < FITTING_SHARE else rng.choice(listed)
    if rng.random() >= VAGUE_SHARE:
        return Known(value)
    if kind.type == "number":
        low, high = sorted((float(value), float(rng.choice(listed))))
        return Interval(low, high) if low < high else Known(value)
    several = tuple(dict.fromkeys((value, *rng.sample(listed, min(2, len(listed))))))
    return OneOf(several) if len(several) > 1 else Known(value)


def states(seed: int, row: str | None = None) -> dict[str, State]:
    """Return what is known of one random lesion, for a row or for one that the seed chooses."""
    rng = random.Random(f"states {seed}")
    suits = fitting(row or rng.choice(sorted(books())))
    unknown = rng.choice(UNKNOWN_SHARES)
    return {name: state(rng, kind, unknown, suits.get(name)) for name, kind in vocabulary().items()}


def entry_of(kind: FactType, told: State) -> Any:
    """Return a state as case.yaml writes it."""
    match told:
        case Known(value) if kind.type == "set":
            return [w for w in str(value).split(", ") if w != "none"]
        case Known(value):
            return value
        case Interval(low, high):
            return {"min": low, "max": high}
        case OneOf(several):
            return {"one_of": list(several)}
        case NotApplicable(why):
            return {"not_applicable": why}
    return "unknown"


def _entries(rng: random.Random, scope: str, unknown: float, suits: Mapping[str, Scalar]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, kind in vocabulary().items():
        if kind.scope != scope or name in HEAD or name in FOLLOWING:
            continue
        told = state(rng, kind, unknown, suits.get(name))
        if isinstance(told, Unknown):
            continue
        if isinstance(told, OneOf) and kind.type == "set":
            told = Known(told.values[0])
        entry = entry_of(kind, told)
        if kind.valid_days and not isinstance(entry, (dict, list)):
            entry = {"value": entry, "date": (TODAY - timedelta(days=rng.randrange(2 * kind.valid_days))).isoformat()}
        found[name] = entry
    if found.get("sex", "female") == "male" or not isinstance(found.get("age_years", 30), (int, float)):
        found.pop("pregnant", None)  # it follows from sex and age
    elif float(found.get("age_years", 30)) >= 60:
        found.pop("pregnant", None)
    return found


def _lesion(rng: random.Random, number: int, unknown: float, suits: Mapping[str, Scalar]) -> dict[str, Any]:
    spinal, said = suits.get("spinal"), str(suits.get("bone_class", ""))
    near: Sequence[str] = [b for b in BONES if said and b.startswith(said)]
    if not near and isinstance(spinal, bool):
        near = [b for b in BONES if b.startswith(("vertebra", "sacrum")) is spinal]
    made: dict[str, Any] = {"id": f"L{number}", "bone": rng.choice(near or BONES)}
    if not made["bone"].endswith(("left", "right", "_7")):
        made["side"] = rng.choice(("left", "right", "midline"))
    goal = state(rng, vocabulary()["goal"], unknown, suits.get("goal"))
    if isinstance(goal, Known):
        made["goal"] = goal.value
    return {**made, "facts": _entries(rng, "lesion", unknown, suits)}


def tree(seed: int, row: str | None = None) -> dict[str, Any]:
    """Return one random case.yaml of one to three lesions, as a tree."""
    rng = random.Random(f"chart {seed}")
    suits = fitting(row or rng.choice(sorted(books())))
    unknown = rng.choice(UNKNOWN_SHARES)
    return {
        "schema": "osteon-case/1",
        "patient": f"random-{seed:06}",
        "date": TODAY.isoformat(),
        "facts": _entries(rng, "patient", unknown, suits),
        "lesions": [_lesion(rng, n, unknown, suits) for n in range(1, rng.choice((1, 1, 1, 2, 3)) + 1)],
    }


def text(seed: int, row: str | None = None) -> str:
    """Return one random case.yaml."""
    return write_yaml(tree(seed, row))
