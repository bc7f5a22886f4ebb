"""What stands on the page about a plan of focused ultrasound: window, approaches compared, sonications, what matters, grids."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from osteon.errors import OsteonError
from osteon.evidence.value import Band
from osteon.planning.plan import Plan
from osteon.report import words
from osteon.report.figures import Entry, Picture
from osteon.report.ultrasound_bands import draws_of, matters_of, most_of, stays_cool
from osteon.report.ultrasound_figures import beam_figure, beam_legend, dosed_of, numbers_of, power_figure, state_of
from osteon.report.ultrasound_surface import cells_figure
from osteon.report.window_figures import sound_window_figure
from osteon.space.anatomy import Anatomy, structure
from osteon.treatments.focused_ultrasound.scheme import Scheme, Way
from osteon.treatments.focused_ultrasound.session_power import BOILING, DEVICE, Bound, Dosed
from osteon.treatments.focused_ultrasound.transducer import devices

MORE_BONE = "[001 «bone metastases with more residual bone mass only require a lower level of ultrasound energy»]"
APPROACH_TITLES: Mapping[str, str] = {
    "near-target": "Near the target",
    "direct": "Directly on the target",
    "trans-soft-tissue": "Through soft tissue",
}
ANSWER_TONES: Mapping[str, str] = {"offered": "good", "not offered": "quiet", "cannot tell": "open"}
ANSWER_WORDS: Mapping[str, str] = {"offered": "the cortex allows it", "not offered": "the cortex does not allow it"}
VERDICT_TONES: Mapping[str, str] = {"window": "good", "no window": "stop", "cannot tell": "open"}
GRID_WORDS: Mapping[str, str] = {
    "sound": "sound",
    "response": "power and cell of one sonication",
    "session": "the whole session and the near field",
}
NOTHING = ("none",)
SPOT_ONLY = "as much as is allowed: its spot, not all round it"
MOST_BOUNDS = 4  # named; the others allow more


@dataclass(frozen=True)
class Cell:
    """One cell of a table: lines of text, the first of them as a chip of some tone where there is one, and sources."""

    lines: tuple[str, ...]
    tone: str = ""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class SonicationRow:
    """One sonication of the list, in words."""

    number: str
    name: str
    what: str
    power: str
    on: str
    off: str
    energy: str
    allowed: str
    binds: str
    test: bool
    notes: tuple[str, ...]


def scheme_of(plan: Plan) -> Scheme | None:
    """Return what a plan of focused ultrasound is made of; None for any other plan."""
    return plan.detail if isinstance(plan.detail, Scheme) else None


def treats_surface(plan: Plan) -> bool:
    """Tell whether a plan means a surface of bone, so that a margin round the lesion says little of it."""
    scheme = scheme_of(plan)
    return scheme is not None and scheme.way is not None and scheme.way.approach.name != "trans-soft-tissue"


def uncovered_of(plan: Plan) -> list[str]:
    """Return what a plan leaves uncovered, without the places that stand in the table of those that are not given."""
    scheme = scheme_of(plan)
    return [text for text in plan.uncovered if scheme is None or text.partition(" is left out")[0] not in scheme.left_out]


def sources_of(plan: Plan) -> list[str]:
    """Return the sources that the section of a plan shows; none for a plan of another treatment."""
    scheme = scheme_of(plan)
    if scheme is None:
        return []
    moved = [one.value.source for listed in scheme.influences.values() for one in listed]
    return [*([MORE_BONE] if scheme.ways else []), *(s for w in scheme.ways for s in w.approach.source), *moved]


def section_of(plan: Plan, whole: Anatomy) -> dict[str, Any] | None:
    """Return everything that the page says and shows about a plan of focused ultrasound; None for another treatment.

    Parameters
    ----------
    plan : Plan
        With a ``Scheme`` as its detail.
    whole : Anatomy
        The full image with its outlines, for the pictures.
    """
    scheme = scheme_of(plan)
    if scheme is None:
        return None
    skin, why_no_skin = _skin(scheme, whole, plan.study)
    stamp = "study, not offered" if plan.study else ""
    matters = matters_of(plan, scheme)
    return {
        "device": device_title(scheme.device),
        "study": plan.study,
        "window": scheme.window,
        "verdict": f"{scheme.window.verdict} (study, not offered)" if plan.study else scheme.window.title,
        "tone": "quiet" if plan.study and scheme.window.verdict == "window" else VERDICT_TONES[scheme.window.verdict],
        "skin": skin,
        "why_no_skin": why_no_skin,
        "ways": [APPROACH_TITLES[w.approach.name] for w in scheme.ways],
        "chosen": scheme.chosen,
        "why": scheme.why,
        "compared": compared(scheme),
        "bone": bone_and_energy(scheme),
        "more_bone": MORE_BONE,
        "key": key_figures(plan, scheme),
        "list": sonications(scheme),
        "one_way": one_way(scheme),
        "left_out": left_out(scheme),
        "beam": beam_figure(scheme, plan, whole),
        "beam_legend": _beam_legend(scheme, plan, whole),
        "cells": cells_figure(scheme, whole, stamp),
        "power": power_figure(scheme, stamp),
        "matters": matters,
        "most": most_of(scheme),
        "stays_cool": stays_cool(scheme),
        "draws": draws_of(scheme),
        "grids": [(GRID_WORDS.get(k, k), words.number(v, "mm")) for k, v in scheme.grids_mm.items()],
        "trust": scheme.trust,
        "doubted": doubted(scheme),
        "sentences": scheme.sentences,
        "notes": scheme.notes,
    }


def device_title(name: str) -> str:
    """Return an array as a clinician reads it."""
    return str(devices().get(name, {}).get("title", name.replace("_", " ")))


def _skin(scheme: Scheme, whole: Anatomy, study: str) -> tuple[Picture | None, str]:
    window = scheme.window.as_study([study]) if study and not scheme.window.not_offered else scheme.window
    try:
        return sound_window_figure(window, whole, structure("lesion")), ""
    except OsteonError as error:
        return None, f"{error.what} {error.do}"


def _beam_legend(scheme: Scheme, plan: Plan, whole: Anatomy) -> list[Entry]:
    return beam_legend(scheme, plan, whole) if scheme.cuts else []


def compared(scheme: Scheme) -> list[tuple[str, list[Cell]]]:
    """Return the rows of the table of approaches, a cell for each of ``scheme.ways``."""
    asked = (
        ("By the cortex", _by_cortex),
        ("Power that the middle place needs (acoustic)", _needed),
        ("What each limit allows there", _allowed),
        ("One sonication kills, width × length", _cell),
        ("Sonications", _count),
        ("Energy of all, an estimate", _energy),
        ("Nearest critical structures", _near),
        ("How it ended", _ended),
        ("Notes", lambda way: Cell(way.approach.notes or NOTHING)),
    )
    rows = [(label, [answer(way) for way in scheme.ways]) for label, answer in asked if scheme.ways]
    return [row for row in rows if any(cell.lines != NOTHING for cell in row[1])]


def _by_cortex(way: Way) -> Cell:
    found = way.approach
    said = ANSWER_WORDS.get(found.answer, found.answer)
    return Cell((said, found.reason.removeprefix("cannot tell: ")), ANSWER_TONES[found.answer], found.source)


def _needed(way: Way) -> Cell:
    if way.dosed is None:
        return Cell(("not tried",))
    return Cell((_power(way.dosed.needed_w),))


def _power(watts: float) -> str:
    return words.number(watts, "W") if math.isfinite(watts) else "no power reaches it"


def _allowed(way: Way) -> Cell:
    if way.dosed is None:
        return Cell(("not tried",))
    listed = way.dosed.bounds
    lines = [f"{bound_words(b)}: {words.number(b.power_w, 'W')}{' (binds)' if i == 0 else ''}" for i, b in enumerate(listed)]
    more = len(lines) - MOST_BOUNDS
    return Cell((*lines[:MOST_BOUNDS], *((f"{more} more allow more",) if more > 0 else ())))


def bound_words(bound: Bound) -> str:
    """Return what bounds the power, with its limit."""
    if bound.id == DEVICE:
        return "power of the array"
    limit = words.number(bound.limit, bound.unit)
    if bound.id == BOILING:
        return f"boiling ({limit})"
    return f"{words.structure_name(bound.structure)} ({limit})"


def _cell(way: Way) -> Cell:
    width, length = way.cell_mm
    if not width:
        return Cell(("not known: nothing can be given there",))
    at = f"at {words.number(way.design_w, 'W')}" if way.design_w else ""
    return Cell((words.with_unit(f"{words.number(width)} × {words.number(length)}", "mm"), at) if at else (words.number(width),))


def _count(way: Way) -> Cell:
    if not way.sonications:
        return Cell(("none",))
    return Cell((str(way.sonications), f"their cells cover {words.number(100 * way.coverage, '%')} of what is meant"))


def _energy(way: Way) -> Cell:
    return Cell((words.number(way.energy_j, "J") if way.energy_j else "not known",))


def _near(way: Way) -> Cell:
    return Cell(
        tuple(f"{n.name} {words.number(n.distance_mm, 'mm')}" for n in way.approach.near) or ("none outlined within 10 mm",)
    )


def _ended(way: Way) -> Cell:
    tone = {"converged": "good", "limit": "stop"}.get(way.ended.how, "quiet")
    said = {"converged": "possible at the middle", "limit": "a limit forbids it"}.get(way.ended.how, "not possible")
    return Cell((said, way.ended.why), tone)


def bone_and_energy(scheme: Scheme) -> str:
    """Return how the power that one place needs stands beside the bone that is left; empty where no approach was tried."""
    if not scheme.ways:
        return ""
    cortex = scheme.ways[0].approach.cortex
    share = f"{words.number(100 * cortex.share)} ({words.number(100 * cortex.low)} to {words.number(100 * cortex.high)})"
    tried = [w for w in scheme.ways if w.dosed is not None]
    told = [f"{APPROACH_TITLES[w.approach.name].lower()} {_power(w.dosed.needed_w)}" for w in tried if w.dosed is not None]
    said = f"Bone takes up sound: cortex is left on {words.with_unit(share, '%')} of the rays to the lesion. "
    return said + (f"Here the middle place needs: {', '.join(told)}." if told else "No power was found here.")


def key_figures(plan: Plan, scheme: Scheme) -> list[tuple[str, str]]:
    """Return the few figures of a session that a reader wants first; none without a session."""
    session = scheme.session
    if session is None:
        return []
    treated = [s for s in session.shots if not s.test]
    low, high = (session.measures.get(f"{k}_power_w", math.nan) for k in ("lowest", "highest"))
    power = (
        words.number(high, "W")
        if round(low, 1) == round(high, 1)
        else words.with_unit(f"{words.number(low)} to {words.number(high)}", "W")
    )
    found = [
        ("Sonications", f"{len(treated)} of {len(dosed_of(scheme))}, and {len(session.shots) - len(treated)} test"),
        ("Acoustic power", power if treated else "none given"),
        ("Acoustic energy in all", words.number(session.energy_j, "J")),
        ("Time in all", words.number(session.measures.get("minutes", math.nan), "min")),
    ]
    for name in ("cells_coverage", "coverage"):
        value = plan.measures.get(name) or _band(session.measures.get(name))
        if value is not None:
            told = words.named(name)
            found.append((told.label, words.band(value, told.unit, told.factor)))
    return found


def _band(value: float | None) -> Band | None:
    return None if value is None else Band.of(value)


def sonications(scheme: Scheme) -> list[SonicationRow]:
    """Return the list of sonications in the order in which they are given, the test sonication first."""
    session = scheme.session
    if session is None:
        return []
    dosed = {d.aim.id: d for d in session.dosed}
    usual = min((s.off_s for s in session.shots), default=0.0)
    rows = []
    for number, shot in enumerate(session.shots, start=1):
        one = dosed.get(shot.aim.id)
        partly = one is not None and not one.whole and not shot.test
        notes = [SPOT_ONLY] if partly else [note.rstrip(".") for note in shot.notes]
        if shot.off_s > usual + 0.5:
            notes.append("wait lengthened")
        rows.append(
            SonicationRow(
                str(number), shot.aim.id, "test" if shot.test else APPROACH_TITLES[shot.aim.approach].lower(),
                words.number(shot.power_w, "W"), words.number(shot.on_s, "s"), words.number(shot.off_s, "s"),
                words.number(shot.energy_j, "J"), "" if shot.test or one is None else words.number(one.allowed_w, "W"),
                "" if shot.test or one is None or not one.bounds else bound_words(one.binding), shot.test, tuple(notes),
            )
        )  # fmt: skip
    return rows


def doubted(scheme: Scheme) -> str:
    """Return in how many sonications the planner of sound believes itself least, as the session says it; else nothing."""
    said = next((n for n in scheme.notes if n.startswith("Believe the planner of sound")), "")
    return said.partition(", ")[2].partition(";")[0]


def one_way(scheme: Scheme) -> str:
    """Return the approach of all sonications, where it is one; else nothing."""
    named = {s.aim.approach for s in scheme.session.shots} if scheme.session is not None else set()
    return APPROACH_TITLES[named.pop()].lower() if len(named) == 1 else ""


def left_out(scheme: Scheme) -> list[tuple[str, str, str, str]]:
    """Return the places that are not given: id, power needed, power allowed, and why."""
    dosed = {d.aim.id: d for d in dosed_of(scheme)}
    missing = {d.aim.id: d.ended.why for d in dosed.values() if not d.given}
    return [(name, *_powers(dosed.get(name)), why) for name, why in sorted((missing | dict(scheme.left_out)).items())]


def _powers(dosed: Dosed | None) -> tuple[str, str]:
    return ("not computed", "not computed") if dosed is None else (_power(dosed.needed_w), words.number(dosed.allowed_w, "W"))


def lines(plan: Plan) -> list[str]:
    """Return a plan of focused ultrasound in a few lines for a terminal; none for another treatment."""
    scheme = scheme_of(plan)
    if scheme is None:
        return []
    found = [
        f"{scheme.window.verdict}: {scheme.device}; {scheme.window.reasons[0] if scheme.window.reasons else 'no reason given'}"
    ]
    if plan.study:
        found.insert(0, f"study, not offered: {plan.study}")
    if scheme.way is not None:
        name = scheme.way.approach.name
        found.append(f"approach {name}: {scheme.why.removeprefix(f'{name}: ')}")
    elif scheme.ways:
        found.append(f"no approach: {scheme.why}")
    session = scheme.session
    if session is not None:
        treated = len(numbers_of(scheme))
        found.append(
            f"{treated} of {len(session.dosed)} sonications, {words.number(session.energy_j, 'J')} acoustic, "
            f"{words.number(session.measures.get('minutes', math.nan), 'min')}"
        )
        part = sum(state_of(scheme, d.aim.id) == "part" for d in session.dosed)
        if part:
            found.append(f"{part} of them: {SPOT_ONLY}")
        if scheme.trust == "no":
            found.append(f"the planner of sound does not believe its own fields {doubted(scheme) or 'here'}: run the full wave")
    return found
