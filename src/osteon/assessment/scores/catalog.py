"""The scores by name. A new score is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping

from osteon.assessment.results import ScoreResult
from osteon.assessment.scores import mirels, van_der_linden
from osteon.assessment.scores.base import Score
from osteon.facts import Fact
from osteon.space.anatomy import Structure

SCORES: Mapping[str, Score] = {"mirels": mirels.score, "van_der_linden": van_der_linden.score}


def score_all(facts: Mapping[str, Fact], bone: Structure | None, region: str) -> tuple[ScoreResult, ...]:
    """Return every score of one lesion, in the order of the catalogue."""
    return tuple(score(facts, bone, region) for score in SCORES.values())
