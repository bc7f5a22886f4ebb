"""The papers behind a page: found once, numbered once, so that every mention points to its line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from osteon.errors import MissingError
from osteon.evidence.source import Paper, cite, quote_keys, source_ids, text
from osteon.planning.plan import Plan
from osteon.report import ultrasound_section
from osteon.report.ledgers_section import ledgers_of
from osteon.report.strength_section import sources_of as strength_sources
from osteon.report.treatments_section import groups_of, sources_of

if TYPE_CHECKING:
    from osteon.pathway import Journey


@dataclass(frozen=True)
class Reference:
    """One line of the list of references."""

    number: int
    paper: Paper | None
    text: str


@dataclass(frozen=True)
class References:
    """The list, and the sources that osteon's library does not know (named, never dropped)."""

    listed: tuple[Reference, ...]
    unknown: tuple[str, ...]

    def number_of(self, key: str) -> int | None:
        """Return the number of the paper behind one key, or None."""
        found, _ = _papers([key])
        ids = {paper.id for paper in found}
        return next((r.number for r in self.listed if r.paper is not None and r.paper.id in ids), None)


@dataclass(frozen=True)
class Mention:
    """One source as it is shown beside a sentence: the quoted words (or none) and the number of the paper."""

    words: str
    number: int | None
    key: str


def keys_of(journey: Journey) -> list[str]:
    """Return every quotation key and paper id that the page rests on, each once, sorted."""
    keys: set[str] = set()
    for verdict in journey.verdicts.verdicts:
        for reason in (r for group in groups_of(verdict) for r in group.reasons):
            keys.update(split_keys([*reason.quotes]) + _quoted(reason.text, *reason.mitigations))
    for flag in journey.verdicts.flags:
        keys.update(split_keys(flag.quotes) + _quoted(flag.text))
    keys.update(split_keys(sources_of(journey)))
    for lesion in journey.assessment.lesions:
        keys.update(_quoted(*lesion.warnings))
        for score in lesion.scores:
            keys.update(split_keys(score.quotes) + _quoted(score.action, score.accuracy, *(i.text for i in score.items)))
        for required in lesion.required:
            keys.update(split_keys(required.quotes) + _quoted(required.text))
    for plan in journey.plans:
        keys.update(_of_plan(plan))
    for strengths in journey.strengths.values():
        keys.update(split_keys(strength_sources(strengths)))
    for account in ledgers_of(journey.case).accounts:
        keys.update(split_keys([*account.sources, *(s for check in account.checks for s in check.sources)]))
    return sorted(keys)


def _of_plan(plan: Plan) -> list[str]:
    """Return the keys behind one plan: limits, constants, and whatever its sentences quote."""
    keys = _quoted(*plan.assumptions, *plan.uncovered, plan.condition, plan.ended.why, *_texts(plan.prescription))
    if plan.paths is not None:
        keys += _quoted(plan.paths.why)
    for finding in plan.findings:
        keys += split_keys([finding.source]) + _quoted(finding.text)
    for step in plan.steps:
        keys += _quoted(*step.effect.assumptions)
        keys += [key for value in step.effect.used.values() for key in split_keys([value.source])]
    keys += _quoted(plan.study) + split_keys(ultrasound_section.sources_of(plan))
    sources = plan.provenance.get("sources", ())
    return keys + (split_keys(str(s) for s in sources) if isinstance(sources, (list, tuple)) else [])


def _quoted(*texts: str) -> list[str]:
    """Return the quotation keys inside some sentences, white space made one blank."""
    return [f"[{seed} «{words}»]" for text in texts for seed, words in quote_keys(text)]


def _texts(value: object) -> list[str]:
    """Return every text in a nested prescription."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for each in value.values() for text in _texts(each)]
    return [text for each in value for text in _texts(each)] if isinstance(value, (list, tuple)) else []


def split_keys(sources: Iterable[str]) -> list[str]:
    """Return the single keys in some source fields: a quotation key ``[00n «...»]`` whole, or an id."""
    found: list[str] = []
    for source in sources:
        found += [f"[{seed} «{words}»]" for seed, words in quote_keys(source)]
        found += source_ids(source)
    return list(dict.fromkeys(found))


def references_of(journey: Journey) -> References:
    """Return the numbered list of exactly the papers that this journey used."""
    return references_to(keys_of(journey))


def references_to(sources: Iterable[str]) -> References:
    """Return the numbered list of the papers behind some source fields."""
    found, unknown = _papers(split_keys(sources))
    ordered = sorted(found, key=lambda paper: paper.id)
    listed = tuple(Reference(i, paper, text(paper)) for i, paper in enumerate(ordered, start=1))
    return References(listed, tuple(unknown))


def _papers(keys: Iterable[str]) -> tuple[list[Paper], list[str]]:
    """Look keys up one by one, so that one unknown source is named and the others are still shown."""
    found: dict[str, Paper] = {}
    unknown: list[str] = []
    for key in keys:
        try:
            found.update({paper.id: paper for paper in cite({"source": key})})
        except MissingError:
            unknown.append(key)
    return list(found.values()), unknown


def mentions(sources: Iterable[str], references: References) -> list[Mention]:
    """Return how some sources are shown beside a sentence."""
    shown: list[Mention] = []
    for key in split_keys(sources):
        quoted = re.fullmatch(r"\[\d{3} «(.+)»\]", key, flags=re.DOTALL)
        shown.append(Mention(quoted[1] if quoted else "", references.number_of(key), key))
    return shown
