"""The scores of a lesion by name. A new score is one file and one line here; outcomes are graded by ``outcomes_*.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from osteon.assessment.results import ScoreResult
from osteon.assessment.scores import (
    ct_involvement,
    escc,
    harrington_acetabulum,
    harrington_femur,
    katagiri,
    mirels,
    noms,
    sins,
    van_der_linden,
)
from osteon.assessment.scores.base import Score, table
from osteon.facts import Fact, NotApplicable
from osteon.space.anatomy import Structure

UNVERIFIED = "Its table was read in a public transcription, not in the paper itself."

SCORES: Mapping[str, Score] = {
    "mirels": mirels.score,
    "van_der_linden": van_der_linden.score,
    "ct_involvement": ct_involvement.score,
    "harrington_femur": harrington_femur.score,
    "harrington_acetabulum": harrington_acetabulum.score,
    "sins": sins.score,
    "escc": escc.score,
    "noms": noms.score,
    "katagiri": katagiri.score,
}


def score_all(facts: Mapping[str, Fact], bone: Structure | None, region: str) -> tuple[ScoreResult, ...]:
    """Return every score of one lesion, in the order of the catalogue."""
    return tuple(_marked(score(facts, bone, region)) for score in SCORES.values())


def _marked(result: ScoreResult) -> ScoreResult:
    """Return a score that says where its table was not read in the paper itself."""
    if table(result.id).get("verified", True) or not result.accuracy or isinstance(result.state, NotApplicable):
        return result
    return replace(result, accuracy=f"{result.accuracy}. {UNVERIFIED}")
