"""The board's decision, at the head of the page: what was decided, by whom at the table, why, and which rules it departs from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from osteon.case.decisions import FILE, Decision, read, standing, washed
from osteon.errors import OsteonError
from osteon.io.identity import identity_of
from osteon.report import words
from osteon.report.content import treatment_title
from osteon.selection.explain import STATUS_WORDS
from osteon.selection.views import SPECIALTY_WORDS

if TYPE_CHECKING:
    from osteon.pathway import Journey


SOFT = ("caution", "unchecked")
"""Kinds of rules that a decision takes into account rather than departs from."""


@dataclass(frozen=True)
class Decided:
    """One decision that stands, in words.

    Parameters
    ----------
    departs, accepts : tuple of str
        The rules departed from, and the cautions taken into account, as they stood then.
    changed : tuple of str
        Chosen rows whose status is another today.
    """

    lesion: str
    date: str
    chosen: str
    reason: str
    present: str
    wish: str
    departs: tuple[str, ...]
    accepts: tuple[str, ...]
    changed: tuple[str, ...]
    rules: str


@dataclass(frozen=True)
class Board:
    """What the page shows: the decisions that stand, the lesions without one, or why the file cannot be read."""

    decided: tuple[Decided, ...]
    undecided: tuple[str, ...] = ()
    error: OsteonError | None = None


def board_of(journey: Journey) -> Board | None:
    """Return the board's decisions of a case; None where its folder holds none."""
    folder = journey.case.folder
    if not (folder / FILE).is_file():
        return None
    try:
        stands = standing(washed(read(folder), identity_of([folder])))
    except OsteonError as error:
        return Board((), error=error)
    lesions = [lesion.lesion_id for lesion in journey.assessment.lesions]
    return Board(
        tuple(_decided(journey, stands[i]) for i in lesions if i in stands),
        tuple(i for i in lesions if i not in stands),
    )


def _decided(journey: Journey, decision: Decision) -> Decided:
    now = {
        v.treatment: v.status
        for v in journey.verdicts.verdicts
        if v.lesion_id == decision.lesion and v.policy == journey.verdicts.policy
    }
    then = decision.status or {}
    changed = tuple(
        f"{treatment_title(n)}: then {STATUS_WORDS.get(then[n], then[n])}, now {STATUS_WORDS[now[n]]}"  # type: ignore[call-overload]
        for n in decision.options
        if n in now and n in then and now[n] != then[n]
    )
    return Decided(
        lesion=decision.lesion,
        date=decision.date.isoformat(),
        chosen=words.joined([treatment_title(n) for n in decision.options]) or "none of the treatments listed",
        reason=_full(decision.reason),
        present=words.joined([SPECIALTY_WORDS.get(p, p.replace("_", " ")) for p in decision.present]),
        wish=decision.wish,
        departs=_rules(decision, soft=False),
        accepts=_rules(decision, soft=True),
        changed=changed,
        rules=decision.rules,
    )


def _rules(decision: Decision, soft: bool) -> tuple[str, ...]:
    chosen = (d for d in decision.departs if (d.kind in SOFT) == soft)
    return tuple(f"{treatment_title(d.treatment)}, {d.rule} ({d.kind}): {d.text}" for d in chosen)


def _full(text: str) -> str:
    """Return a text with a capital and a full stop."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}" + ("" if not text or text[-1] in ".!?" else ".")
