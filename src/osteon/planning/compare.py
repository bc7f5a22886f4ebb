"""Plans side by side: the same questions to each, and which of them no other betters in every respect. No total score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from osteon.evidence.value import Band
from osteon.facts import Unknown
from osteon.planning.measures import worst
from osteon.planning.plan import Finding, Plan, Standing

QUESTIONS = ("coverage", "min_margin_mm", "minutes", "probes", "strength_ratio")
SMALLER_IS_BETTER = frozenset({"minutes", "probes"})
SERIOUS: dict[Standing, int] = {"ok": 0, "warning": 1, "cannot tell": 2, "breach": 3}


@dataclass(frozen=True)
class Row:
    """One plan in the comparison.

    Parameters
    ----------
    treatment, lesion_id, condition : str
        Which plan, and under which condition it is shown.
    standing : str
        breach, cannot tell, warning or ok.
    answers : dict of str to Band or Unknown
        To each of ``QUESTIONS``; unknown says why.
    worst_structure : Finding or None
        The structure nearest to or furthest beyond its limit; None where nothing could be told.
    cannot_tell : tuple of str
        Structures that could not be judged.
    study : str
        Why it is a study and not offered, or "".
    pareto : bool
        Whether no other plan of the same lesion is at least as good in every known answer and in how it stands, needs no
        condition that this one does not need, and is better in one answer.
    """

    treatment: str
    lesion_id: str
    condition: str
    standing: Standing
    answers: dict[str, Band | Unknown]
    worst_structure: Finding | None
    cannot_tell: tuple[str, ...]
    pareto: bool = True
    study: str = ""


def compare(plans: Sequence[Plan]) -> list[Row]:
    """Ask every plan the same questions.

    Parameters
    ----------
    plans : sequence of Plan
        Of any lesions; only plans of one lesion are compared with one another.

    Returns
    -------
    list of Row
        In the order of the plans.
    """
    answers = [_answers(p) for p in plans]
    rows = []
    for i, each in enumerate(plans):
        rivals = [answers[j] for j, p in enumerate(plans) if j != i and p.steps and _may_better(p, each)]
        best = bool(each.steps) and not any(_betters(r, answers[i]) for r in rivals)
        rows.append(
            Row(
                each.treatment, each.lesion_id, each.condition, each.standing, answers[i], worst(each.findings),
                tuple(each.unknown_structures()), best, each.study,
            )
        )  # fmt: skip
    return rows


def shown_first(plans: Sequence[Plan]) -> list[Plan]:
    """Return the plans that do something, the one to be shown in full first: no study, no condition, no breach, nothing open.

    A warning counts like none: heat warns in the bone beside nearly every lesion.
    """

    def key(plan: Plan) -> tuple[float, ...]:
        said = [plan.measures[name].best if name in plan.measures else 0.0 for name in ("coverage", "minutes")]
        stands = max(SERIOUS[plan.standing], SERIOUS["warning"])
        return (float(bool(plan.study)), float(bool(plan.condition)), stands, -round(said[0], 2), said[1])

    return sorted((p for p in plans if p.steps), key=key)


def _may_better(rival: Plan, plan: Plan) -> bool:
    """Tell whether a rival is of the same lesion, is offered, stands no worse and needs no condition of its own."""
    if rival.study:
        return False
    alike = not rival.condition or rival.condition == plan.condition
    return rival.lesion_id == plan.lesion_id and SERIOUS[rival.standing] <= SERIOUS[plan.standing] and alike


def _answers(plan: Plan) -> dict[str, Band | Unknown]:
    why = {"strength_ratio": "strength after treatment was not computed"}
    return {q: plan.measures.get(q, Unknown(why.get(q, f"the plan gives no {q.replace('_', ' ')}"))) for q in QUESTIONS}


def _betters(one: dict[str, Band | Unknown], other: dict[str, Band | Unknown]) -> bool:
    better = False
    for name in QUESTIONS:
        a, b = one[name], other[name]
        if isinstance(a, Unknown) and isinstance(b, Unknown):
            continue
        if isinstance(a, Unknown) or isinstance(b, Unknown):
            return False
        gain = (b.best - a.best) if name in SMALLER_IS_BETTER else (a.best - b.best)
        if gain < 0:
            return False
        better |= gain > 0
    return better
