"""What selection answers: per treatment a status, every reason with its sentence, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal[
    "excluded", "not_indicated", "needs", "candidate_unchecked", "candidate_with_cautions", "candidate", "outside_scope"
]
Truth = Literal["true", "false", "unknown", "not_applicable"]
RuleKind = Literal["exclusion", "requirement", "caution", "support"]


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
    """

    lesion_id: str
    treatment: str
    policy: str
    status: Status
    reasons: tuple[Reason, ...]
    missing: tuple[tuple[str, ...], ...] = ()
    opening: tuple[tuple[str, ...], ...] = ()


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
    """Every treatment for every lesion under every policy asked for, and the questions in the order of their effect."""

    verdicts: tuple[Verdict, ...]
    questions: tuple[Question, ...]
    policy: str

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
