"""One patient's way through osteon, on one page. Start reading here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from osteon.assessment.results import Assessment
from osteon.case.model import Case
from osteon.planning.plan import Plan, PlanRequest
from osteon.selection.verdicts import Verdicts


@dataclass(frozen=True, eq=False)
class Journey:
    """All of it: what was given, what was made of it, and how it was made.

    Parameters
    ----------
    case, assessment, verdicts, plans
        The result of each stage.
    request : PlanRequest
        What was asked.
    provenance : mapping
        ``inputs`` (file to sha256), ``options``, ``versions`` and ``run`` (seconds per stage, date, machine: the only part
        that may differ between two runs).
    """

    case: Case
    assessment: Assessment
    verdicts: Verdicts
    plans: tuple[Plan, ...]
    request: PlanRequest
    provenance: Mapping[str, object] = field(default_factory=dict)
