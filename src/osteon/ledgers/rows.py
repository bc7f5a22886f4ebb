"""The shapes of a ledger: rows to print, rules judged in three values, and an account that holds both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Truth = Literal["true", "false", "unknown"]


@dataclass(frozen=True)
class LedgerRow:
    """One row of a dose ledger: what, how much, against which limit."""

    what: str
    amount: str
    limit: str
    note: str = ""


@dataclass(frozen=True)
class Ledger:
    """The dose account of a treatment without simulator."""

    rows: tuple[LedgerRow, ...]


@dataclass(frozen=True)
class Check:
    """A rule about totals.

    Parameters
    ----------
    id : str
        For example ``re_irradiation_interval``.
    text : str
        The rule, as a sentence that can hold or not.
    truth : {"true", "false", "unknown"}
        Whether it holds; unknown where what is missing could decide it either way.
    why : str
        The figures it was judged by, or what is needed.
    sources : tuple of str
        Ids of papers and quotation keys.
    """

    id: str
    text: str
    truth: Truth
    why: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Account:
    """One ledger with everything that belongs to it.

    Parameters
    ----------
    name, title : str
        ``radiotherapy``, ``radionuclides``, ``bone_agents`` or ``opioids``; and its heading.
    ledger : Ledger
        Rows to print.
    checks : tuple of Check
        Rules about totals.
    needs : tuple of str
        What is missing and how to come by it.
    notes : tuple of str
        What holds of the whole ledger.
    sources : tuple of str
        Ids of papers and quotation keys behind it.
    results : mapping
        The same figures as numbers and states, for programs.
    """

    name: str
    title: str
    ledger: Ledger
    checks: tuple[Check, ...] = ()
    needs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    results: Mapping[str, object] = field(default_factory=dict)
