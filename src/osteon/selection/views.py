"""The same answers seen by one specialty, and what several lesions of one patient share."""

from __future__ import annotations

from dataclasses import dataclass, replace

from osteon.assessment.results import Assessment
from osteon.errors import InputError
from osteon.facts import Fact, Unknown, vocabulary
from osteon.selection.verdicts import Verdicts
from osteon.treatments.catalog import entries, treatment
from osteon.treatments.rows import SPECIALTIES, Sheet, sheet

SPECIALTY_WORDS = {
    "interventional_radiology": "interventional radiology",
    "radiation_oncology": "radiation oncology",
    "nuclear_medicine": "nuclear medicine",
    "orthopaedics": "orthopaedics",
    "pain": "pain medicine",
    "oncology": "oncology",
}
SHARED = (
    "painful_regions", "bone_lesions_total", "oligometastatic_count", "osteoblastic_metastases", "vertebral_levels_involved",
    "contiguous_levels", "platelets_e9_l", "white_cells_e9_l", "hb_g_dl", "inr", "anticoagulant", "anaesthesia", "ecog",
    "expected_survival_weeks", "systemic_therapy", "other_systemic_now", "bone_agent_now", "background_opioid",
    "background_opioid_mg_day", "breakthrough_episodes_day", "refused",
)  # fmt: skip
"""Facts of the patient that bind treatments of different lesions to each other: counts, blood, anaesthesia, drugs, wishes."""


@dataclass(frozen=True)
class Bound:
    """A fact of the patient and the lesions whose answers read it.

    Parameters
    ----------
    fact : Fact
        What is known of it.
    lesions : tuple of str
        Ids of the lesions with a row that reads it.
    rows : int
        How many rows read it, over all lesions.
    """

    fact: Fact
    lesions: tuple[str, ...]
    rows: int


@dataclass(frozen=True)
class Shared:
    """What several lesions of one patient share.

    Parameters
    ----------
    bound : tuple of Bound
        Facts of the patient that bind lesions to each other.
    painful : tuple of str
        Lesions that are known to be the cause of pain on examination.
    unclear : tuple of str
        Lesions of which that is not known.
    sessions : tuple of (treatment, lesions)
        Procedures through the skin that are open at several lesions: one session may do.
    irradiated : tuple of str
        Lesions irradiated before: their doses, and those of the next field, add up in what lies between.
    """

    bound: tuple[Bound, ...]
    painful: tuple[str, ...]
    unclear: tuple[str, ...]
    sessions: tuple[tuple[str, tuple[str, ...]], ...]
    irradiated: tuple[str, ...]


def sheet_of(name: str) -> Sheet | None:
    """Return what is stated of a row beside its rules; None where the catalogue has none of that name."""
    return sheet(treatment(name)) if name in entries() else None


def specialties_of(name: str) -> tuple[str, ...]:
    """Return the specialties whose view holds a row; every specialty for a row that the catalogue does not know."""
    told = sheet_of(name)
    return told.specialties if told is not None else SPECIALTIES


def view(verdicts: Verdicts, specialty: str) -> Verdicts:
    """Return the answers that one specialty sees; questions that bear on none of its rows are left out.

    Parameters
    ----------
    verdicts : Verdicts
        Of every row.
    specialty : str
        One of ``SPECIALTIES``; blanks and hyphens count as underscores.

    Raises
    ------
    InputError
        If there is no such specialty.
    """
    wanted = specialty.strip().lower().replace("-", "_").replace(" ", "_")
    if wanted not in SPECIALTIES:
        raise InputError(
            f"There is no view {specialty!r}.",
            "A view that is misread would hide rows.",
            f"Use one of: {', '.join(SPECIALTIES)}.",
        )
    kept = tuple(v for v in verdicts.verdicts if wanted in specialties_of(v.treatment))
    rows = {v.treatment for v in kept}
    asked = tuple(
        replace(q, treatments=tuple(t for t in q.treatments if t in rows))
        for q in verdicts.questions
        if rows.intersection(q.treatments) or not q.treatments
    )
    return replace(verdicts, verdicts=kept, questions=asked)


def shared(assessment: Assessment, verdicts: Verdicts) -> Shared | None:
    """Return what the lesions of a patient share; None where there are fewer than two.

    Parameters
    ----------
    assessment : Assessment
        The case and its lesions.
    verdicts : Verdicts
        Under the policy that counts.
    """
    if len(assessment.lesions) < 2:
        return None
    main = [v for v in verdicts.verdicts if v.policy == verdicts.policy]
    bound = []
    for name in SHARED:
        readers = [v for v in main if any(name in r.facts for r in (*v.reasons, *v.variants))]
        if readers and vocabulary()[name].scope == "patient":
            fact = assessment.case.facts.get(name, Fact(name, Unknown(), vocabulary()[name].unit))
            bound.append(Bound(fact, tuple(dict.fromkeys(v.lesion_id for v in readers)), len(readers)))
    told = {x.lesion_id: {**assessment.case.facts, **x.facts} for x in assessment.lesions}

    def lesions(name: str, value: bool | None) -> tuple[str, ...]:
        return tuple(i for i, facts in told.items() if (facts[name].value if name in facts else None) is value)

    open_at: dict[str, list[str]] = {}
    for verdict in main:
        told_of = sheet_of(verdict.treatment)
        if verdict.status.startswith("candidate") and told_of is not None and told_of.setting == "percutaneous":
            open_at.setdefault(verdict.treatment, []).append(verdict.lesion_id)
    return Shared(
        bound=tuple(bound),
        painful=lesions("pain_concordant", True),
        unclear=lesions("pain_concordant", None),
        sessions=tuple((name, tuple(ids)) for name, ids in open_at.items() if len(ids) > 1),
        irradiated=lesions("prior_radiotherapy", True),
    )
