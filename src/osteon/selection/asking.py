"""What to ask next: the open facts that could change a status, the most powerful first."""

from __future__ import annotations

from collections.abc import Sequence

from osteon.facts import vocabulary
from osteon.selection.answer import Answer
from osteon.selection.verdicts import Flag, Question


def questions(answers: Sequence[Answer], flags: Sequence[Flag] = ()) -> tuple[Question, ...]:
    """Return the open facts that could change a status, the most powerful first (one-step lookahead over each domain).

    Parameters
    ----------
    answers : sequence of Answer
        All under one policy.
    flags : sequence of Flag
        Red flags; what would tell an unknown one is asked before everything else.

    Returns
    -------
    tuple of Question
        A question about the patient counts over all lesions and has an empty ``lesion_id``. Equal counts: the fact that stands
        in more minimal sets first, then the order of ``facts.yaml``. A fact that changes nothing by itself but stands in a
        minimal set comes last, with ``changes = 0``. What only a person can tell, and the image gives cause to ask, comes
        before what merely counts.
    """
    words = vocabulary()
    groups: dict[tuple[str, str], list[Answer]] = {}
    weight: dict[tuple[str, str], int] = {}
    raised: dict[tuple[str, str], str] = {}
    urgent = _urgent(flags)
    unsettling = tuple(name for name, kind in words.items() if kind.unsettles)
    for answer in answers:
        counted: dict[str, int] = {}
        for facts, _ in answer.sets:
            for fact in facts:
                counted[fact] = counted.get(fact, 0) + 1
        for name in dict.fromkeys((*answer.book.comparisons, *unsettling, *answer.bench.raised)):
            key = (name, "" if words[name].scope == "patient" else answer.lesion_id)
            why = answer.bench.raised.get(name, "")
            if why:
                raised[key] = why
            changes = answer.could_change(name)
            if counted.get(name, 0) or why or changes:
                weight[key] = weight.get(key, 0) + counted.get(name, 0)
                groups.setdefault(key, []).extend([answer] if changes else [])
    for key in urgent:
        groups.setdefault(key, [])
    order = {name: i for i, name in enumerate(words)}
    place = {key: i for i, key in enumerate(urgent)}

    def rank(key: tuple[str, str]) -> tuple[object, ...]:
        return (place.get(key, len(place)), key not in raised, -len(groups[key]), -weight.get(key, 0), order[key[0]])

    return tuple(
        Question(
            fact=name,
            lesion_id=lesion,
            ask=f"{words[name].ask} {raised.get((name, lesion), '')}".strip(),
            changes=len(groups[name, lesion]),
            treatments=tuple(sorted({a.treatment for a in groups[name, lesion]})),
        )
        for name, lesion in sorted(groups, key=rank)
    )


def _urgent(flags: Sequence[Flag]) -> list[tuple[str, str]]:
    """Return the facts that would tell the red flags that cannot be told, in the order of the flags."""
    words = vocabulary()
    open_ones = [(name, "" if words[name].scope == "patient" else f.lesion_id) for f in flags if f.urgent for name in f.unknown]
    return list(dict.fromkeys(open_ones))
