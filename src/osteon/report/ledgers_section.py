"""The ledgers of a case, for the page and the terminal: dose accounts of what its timeline holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from osteon.case.model import Case
from osteon.errors import CaseFileError
from osteon.ledgers.accounts import accounts
from osteon.ledgers.rows import Account

AT_RISK = ("cord", "nerve", "bowel", "lung", "organ", "skin")
"""Kinds of structures whose dose from imported files is booked."""
TRUTH: Mapping[str, tuple[str, str]] = {
    "true": ("holds", "good"),
    "false": ("does not hold", "care"),
    "unknown": ("cannot tell", "open"),
}
"""How a rule about totals came out: words and tone."""


@dataclass(frozen=True)
class Ledgers:
    """What the page shows: the accounts, or why there are none although the timeline asks for them."""

    accounts: tuple[Account, ...]
    error: CaseFileError | None = None


def accounts_of(case: Case, recovery: str | None = None) -> tuple[Account, ...]:
    """Return the ledgers that a case's timeline asks for.

    Parameters
    ----------
    case : Case
        With timeline, facts, lesions and the doses of imported files.
    recovery : str, optional
        Name of a cited policy of recovery.

    Raises
    ------
    CaseFileError
        If an entry of the timeline contradicts itself.
    InputError
        If the policy is not known.
    """
    doses = {
        s.id: facts["dose_max_gy"].state for s, facts in case.organ_doses.items() if s.kind in AT_RISK and "dose_max_gy" in facts
    }
    places = {lesion.id: lesion.bone.id if lesion.bone is not None else "bone not given" for lesion in case.lesions}
    return accounts(case.timeline, case.facts, doses, case.date, recovery, places)


def ledgers_of(case: Case) -> Ledgers:
    """Return the ledgers for the page; an entry that contradicts itself is shown there, and nothing is counted."""
    try:
        return Ledgers(accounts_of(case))
    except CaseFileError as error:
        return Ledgers((), error)
