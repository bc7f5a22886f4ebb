"""What moves the numbers of a focused-ultrasound plan: bands of one sonication, and which constants matter."""

from __future__ import annotations

from dataclasses import dataclass

from osteon.errors import OsteonError
from osteon.planning.plan import Plan
from osteon.report import words
from osteon.treatments.focused_ultrasound.bands import HOTTEST, Influence
from osteon.treatments.focused_ultrasound.scheme import Scheme
from osteon.treatments.focused_ultrasound.session_response import BODY_C

LEAST_RISE_K = 0.5


@dataclass(frozen=True)
class Matter:
    """One outcome of the draws: its title, its band, and what moves it, the strongest first."""

    title: str
    band: str
    movers: tuple[str, ...]
    sources: tuple[str, ...]


def outcome_words(name: str) -> tuple[str, str, float]:
    """Return title, unit and factor of an outcome of the draws."""
    from osteon.treatments.focused_ultrasound.sampled import described

    try:
        title, unit = described(name)
    except OsteonError:
        told = words.named(name)
        return told.label, told.unit, told.factor
    return words.sentence(title), *(("%", 100.0) if unit == "1" else (unit, 1.0))


def matters_of(plan: Plan, scheme: Scheme) -> list[Matter]:
    """Return the outcomes of the draws with their bands and what moves them; those that something moves most first."""
    if scheme.sampled is None:
        return []
    found = []
    for name in (n for n in scheme.sampled.nominal if n not in unmoved(scheme)):
        title, unit, factor = outcome_words(name)
        listed = scheme.influences.get(name, ())
        planned = plan.measures.get(name)
        band = planned if planned is not None and planned.n else scheme.sampled.band(name)
        none = "nothing that stands out from chance" if name in scheme.influences else "too few draws gave it to tell"
        movers = tuple(_mover(one) for one in listed[:3]) or (none,)
        sources = tuple(dict.fromkeys(one.value.source for one in listed[:3]))
        found.append(
            (-max((one.share for one in listed), default=0.0), Matter(title, words.band(band, unit, factor), movers, sources))
        )
    return [row for _, row in sorted(found, key=lambda each: each[0])]


def unmoved(scheme: Scheme) -> list[str]:
    """Return the outcomes that are temperatures of structures which stay at body temperature in every draw but 1 in 20."""
    sampled = scheme.sampled
    named = [] if sampled is None else [n for n in sampled.nominal if n.startswith(HOTTEST)]
    return [n for n in named if sampled is not None and sampled.band(n).high < BODY_C + LEAST_RISE_K]


def stays_cool(scheme: Scheme) -> str:
    """Return the structures of ``unmoved`` in words."""
    return words.joined([words.structure_name(n.removeprefix(HOTTEST)) for n in unmoved(scheme)])


def _mover(one: Influence) -> str:
    more = "more of it, more" if one.direction > 0 else "more of it, less"
    spread = words.spread(one.value.spread, one.value.unit if one.value.unit != "1" else "")
    return f"{constant_words(one.name)}: {words.number(100 * one.share, '%')} of the variation ({more}; {spread})"


def constant_words(name: str) -> str:
    """Return the name of a constant as the table of constants shows it; how the focus misses stands in no table."""
    from osteon.treatments.focused_ultrasound.sampled import NAMES

    if name.startswith("focus_") and name in NAMES:
        return NAMES[name]
    return name.replace("_", " ").replace(".", ", ")


def most_of(scheme: Scheme) -> str:
    """Return in a sentence which uncertainty matters most; empty without draws."""
    if scheme.sampled is None:
        return ""
    wanted = [n for n in ("needed_w", "whole_w", "killed_share") if scheme.influences.get(n)] or [
        n for n, listed in scheme.influences.items() if listed
    ]
    if not scheme.influences:
        return "Too few draws to tell what matters most."
    if not wanted:
        return "In these draws no constant stands out from chance."
    told = []
    for name in wanted[:2]:
        one = scheme.influences[name][0]
        title = outcome_words(name)[0]
        told.append(
            f"{title[:1].lower()}{title[1:]}: {constant_words(one.name)} ({words.number(100 * one.share, '%')} of its variation)"
        )
    return f"What matters most. {words.sentence('; '.join(told))}."


def draws_of(scheme: Scheme) -> str:
    """Return how the bands were drawn, or that they were not."""
    if scheme.sampled is None:
        return "Nothing was drawn, so no band and no uncertainty can be named that matters most: ask for samples."
    count = len(scheme.sampled.drawn)
    failed = len(scheme.sampled.failed)
    said = f"{count} draws of sonication {scheme.shown}: every constant, and where the focus lands; 5th to 95th percentile"
    return said + (f"; {failed} of them could not be run." if failed else ".")
