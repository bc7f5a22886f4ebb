"""What the assessment answers, per lesion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from osteon.case.model import Case
from osteon.facts import Fact, State
from osteon.space.anatomy import Anatomy


@dataclass(frozen=True)
class ScoreItem:
    """One item of a score: what it was, the points it can give, and the facts it was read from."""

    name: str
    state: State
    low: int
    high: int
    text: str
    facts: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScoreResult:
    """A score with its open items.

    Parameters
    ----------
    id, name : str
        For example "mirels".
    state : Known, Interval, OneOf, Unknown or NotApplicable
        The total; of a classification, its class or the classes that are left.
    items : tuple of ScoreItem
        Each with its points as an interval.
    action : str
        What the sources do at this score, in words.
    accuracy : str
        Published accuracy, in words.
    quotes : tuple of str
        Quotation keys and paper ids.
    """

    id: str
    name: str
    state: State
    items: tuple[ScoreItem, ...]
    action: str
    accuracy: str
    quotes: tuple[str, ...]


@dataclass(frozen=True)
class RequiredStructure:
    """A structure that must be judged in this region.

    Parameters
    ----------
    structure : str
        Structure id.
    status : {"outlined", "absent", "not_outlined", "cut", "outside_field"}
        What is known of it.
    text : str
        "cannot tell: outline the right sciatic nerve", or where it was read.
    """

    structure: str
    status: Literal["outlined", "absent", "not_outlined", "cut", "outside_field"]
    text: str
    distance_mm: float | None = None
    quotes: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether limits at this structure can be judged."""
        return self.status in ("outlined", "absent")


@dataclass(frozen=True, eq=False)
class LesionAssessment:
    """One lesion: its anatomy, its facts (chart and image joined), its scores, and what must be judged."""

    lesion_id: str
    region: str
    anatomy: Anatomy
    facts: Mapping[str, Fact]
    scores: tuple[ScoreResult, ...]
    required: tuple[RequiredStructure, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Assessment:
    """The case and what was made of each lesion."""

    case: Case
    lesions: tuple[LesionAssessment, ...]

    def lesion(self, lesion_id: str) -> LesionAssessment:
        """Return one lesion's assessment.

        Raises
        ------
        KeyError
            If there is none of that id.
        """
        for each in self.lesions:
            if each.lesion_id == lesion_id:
                return each
        raise KeyError(lesion_id)
