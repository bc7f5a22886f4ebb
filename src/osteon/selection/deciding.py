"""A decision against the rules: what it departs from, and whether its status comes out again by the rules of its time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from osteon.assessment.results import Assessment
from osteon.case.decisions import Decision, Departure
from osteon.errors import InputError, OsteonError
from osteon.selection.judging import judge, status_of
from osteon.selection.rules import states_of
from osteon.selection.select import facts_for
from osteon.selection.snapshot import books, facts_changed, installed, load, site_of
from osteon.selection.verdicts import Verdict
from osteon.treatments.catalog import entries, treatment
from osteon.treatments.rows import SPECIALTIES

PRESENT = (*SPECIALTIES, "radiology", "pathology", "anaesthesia", "neurosurgery", "palliative_care", "nursing")
"""Who may be at the table: the specialties whose treatments are listed, and those that are asked for their view."""
DEPARTS = {
    ("exclusion", "true"): "exclusion",
    ("requirement", "false"): "requirement",
    ("exclusion", "unknown"): "needs",
    ("requirement", "unknown"): "needs",
    ("caution", "true"): "caution",
    ("caution", "unknown"): "unchecked",
}


def departures(verdict: Verdict) -> tuple[Departure, ...]:
    """Return the rules that choosing a treatment departs from: exclusions that hold, requirements that do not, what is missing,
    cautions that hold or cannot be told.
    """
    found = []
    for reason in verdict.reasons:
        kind = DEPARTS.get((reason.kind, reason.truth))
        if kind:
            facts = reason.unknown if reason.truth == "unknown" else reason.facts
            found.append(Departure(verdict.treatment, reason.rule_id, kind, reason.text, facts))
    return tuple(sorted(found, key=lambda d: list(DEPARTS.values()).index(d.kind)))


def check_present(given: tuple[str, ...]) -> None:
    """Refuse a specialty that is none.

    Raises
    ------
    InputError
        With what may be given.
    """
    from difflib import get_close_matches

    for name in given:
        if name not in PRESENT:
            near = get_close_matches(name, PRESENT, n=2, cutoff=0.5)
            raise InputError(
                f"There is no specialty {name!r}.",
                "Who was at the table decides how far a decision reaches; a misprint would hide who was missing.",
                f"{f'Did you mean {chr(32).join(near)}? ' if near else ''}Use: {', '.join(PRESENT)}.",
            )


@dataclass(frozen=True)
class Again:
    """One decision judged again.

    Parameters
    ----------
    decision : Decision
        As recorded.
    status : mapping of str to str or None
        Status of each chosen row by the recorded rule base; None where it cannot be told.
    why : str
        Why it cannot be told, or what else changed since: the case, the vocabulary of facts.
    rules_changed, case_changed : bool
        Whether the installed rule base, and the case's files, are others than then.
    """

    decision: Decision
    status: Mapping[str, str] | None
    why: str
    rules_changed: bool
    case_changed: bool

    @property
    def same(self) -> bool:
        """Whether exactly the recorded status comes out."""
        return self.status is not None and dict(self.status) == dict(self.decision.status or {})


def judge_again(folder: Path, decision: Decision, assessment: Assessment, case_digest: str) -> Again:
    """Judge the chosen rows of a decision again by the rule base that it was made by, on the case as it is now.

    Parameters
    ----------
    folder : Path
        Case folder, which holds the rule base.
    decision : Decision
        As recorded.
    assessment : Assessment
        Of the case as it is now.
    case_digest : str
        Of the case's files as they are now.
    """
    changed = decision.rules != installed().digest, decision.case != case_digest
    lesion = next((x for x in assessment.lesions if x.lesion_id == decision.lesion), None)
    if lesion is None:
        return Again(decision, None, f"cannot tell: the case holds no lesion {decision.lesion} any more", *changed)
    site = site_of(decision.site)
    status: dict[str, str] = {}
    try:
        snapshot = load(folder / decision.snapshot)
        if snapshot.digest != decision.rules:
            why = f"cannot tell: {decision.snapshot} holds another rule base than the decision names"
            return Again(decision, None, why, *changed)
        by_row = books(snapshot, site)
        for name in decision.options:
            if name not in by_row or name not in entries():
                return Again(decision, None, f"cannot tell: there is no row {name} to judge any more", *changed)
            states = states_of(facts_for(assessment, lesion, treatment(name), site))
            status[name] = status_of(judge(rule, states, decision.policy) for rule in by_row[name].rules)
    except OsteonError as error:
        return Again(decision, None, f"cannot tell: {error.what} {error.do}", *changed)
    facts = facts_changed(snapshot)
    why = f"facts that are asked in another form now: {', '.join(facts)}" if facts else ""
    return Again(decision, status, why, *changed)
