"""What selection answers: per treatment a status, every reason with its sentence, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal[
    "excluded", "not_indicated", "needs", "candidate_unchecked", "candidate_with_cautions", "candidate", "outside_scope"
]
OPEN: tuple[Status, ...] = ("candidate", "candidate_with_cautions", "candidate_unchecked")
"""Statuses under which a treatment may be done."""
POSSIBLE: tuple[Status, ...] = (*OPEN, "needs")
"""And under which it may turn out so."""
Truth = Literal["true", "false", "unknown", "not_applicable"]
RuleKind = Literal["exclusion", "requirement", "caution", "support", "variant", "red_flag"]


@dataclass(frozen=True)
class Reason:
    """One rule and how it came out.

    Parameters
    ----------
    rule_id, kind, truth, text : str
        The rule, whether it excludes, is required, cautions or supports, what it evaluated to, and in words.
    quotes : tuple of str
        Quotation keys ``[00n «...»]`` or ids of papers.
    facts : tuple of str
        Names of the facts it read.
    unknown : tuple of str
        Those of them that were unknown and mattered.
    mitigations : tuple of str
        What would have to be planned.
    conflicts : tuple of str
        Ids of the decision register that bear on it.
    """

    rule_id: str
    kind: RuleKind
    truth: Truth
    text: str
    quotes: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    mitigations: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    source_class: str = "seed"


@dataclass(frozen=True)
class Verdict:
    """The status of one treatment for one lesion under one policy.

    Parameters
    ----------
    missing : tuple of tuple of str
        Minimal sets of facts; each set, once known, can take the status out of "needs".
    opening : tuple of tuple of str
        Those of them that can leave the treatment open; the others can only exclude it.
    variants : tuple of Reason
        Schedules, approaches, drugs of the row: true where it suits, false where not, unknown.
    on_hold : bool
        Whether a red flag is up and this treatment waits for it; the status stays what it is.
    """

    lesion_id: str
    treatment: str
    policy: str
    status: Status
    reasons: tuple[Reason, ...]
    missing: tuple[tuple[str, ...], ...] = ()
    opening: tuple[tuple[str, ...], ...] = ()
    variants: tuple[Reason, ...] = ()
    on_hold: bool = False


@dataclass(frozen=True)
class Flag:
    """One red flag of one lesion, up (``truth`` true) or not to be told (unknown).

    Parameters
    ----------
    rule_id, lesion_id : str
        The rule of ``guidelines/red_flags.yaml``, and whose lesion.
    truth : {"true", "unknown"}
        Flags that are known to be down are left out.
    text, call : str
        What is the matter, with what is known; whom to call and what to do.
    facts, unknown : tuple of str
        What it was read from, and which of it is not known.
    quotes : tuple of str
        Quotation keys and ids of papers.
    urgent : bool
        Of one that cannot be told: whether it is asked before everything else.
    holds : bool
        Whether treatments that can wait do wait while it is up.
    """

    rule_id: str
    lesion_id: str
    truth: Truth
    text: str
    call: str
    facts: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    quotes: tuple[str, ...] = ()
    source_class: str = "seed"
    urgent: bool = False
    holds: bool = True


@dataclass(frozen=True)
class Question:
    """A fact worth asking for, with how many answers it could change."""

    fact: str
    lesion_id: str
    ask: str
    changes: int
    treatments: tuple[str, ...]


@dataclass(frozen=True)
class Verdicts:
    """Every treatment for every lesion under every policy asked for, and the questions in the order of their effect.

    Parameters
    ----------
    flags : tuple of Flag
        Red flags that are up or cannot be told.
    site : tuple of (id, choice, whether it is the default)
        The site's policies.
    """

    verdicts: tuple[Verdict, ...]
    questions: tuple[Question, ...]
    policy: str
    flags: tuple[Flag, ...] = ()
    site: tuple[tuple[str, bool | int | float | str, bool], ...] = ()

    def of(self, lesion_id: str, treatment: str, policy: str | None = None) -> Verdict:
        """Return one verdict.

        Raises
        ------
        KeyError
            If there is none.
        """
        for verdict in self.verdicts:
            if (verdict.lesion_id, verdict.treatment, verdict.policy) == (lesion_id, treatment, policy or self.policy):
                return verdict
        raise KeyError((lesion_id, treatment, policy or self.policy))
