"""Several applications in one session: of one lesion at several positions, and of several lesions one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from osteon.evidence.value import Band
from osteon.planning.fields import total
from osteon.planning.overlap import Applied
from osteon.planning.plan import Plan, Step
from osteon.planning.search import in_words
from osteon.space.anatomy import Anatomy, Field
from osteon.treatments.base import Effect, Ended, NeedlePose, Setting, Treatment

ALONG_DEG = 1.0  # ways that differ by less are one way
WORST_FIRST = ("refused", "not_converged", "limit", "time", "steady", "converged")


def steps_of(treatment: Treatment, applied: Applied) -> tuple[Step, ...]:
    """Return the steps of a plan; between two positions one waits as long as the cooling that was simulated (``cooling_s``)."""
    last = len(applied.choices) - 1
    return tuple(
        Step(treatment.name, c.setting, c.effect, c.effect.measures.get("cooling_s", 0.0) if i < last else 0.0)
        for i, c in enumerate(applied.choices)
    )


def after_all(box: Anatomy, effects: Sequence[Effect]) -> Anatomy:
    """Return the anatomy after all applications; its temperatures are the highest and the lowest that any of them reached."""
    for effect in effects:
        box = box.with_(effect)
    extremes = {
        name: box.state[name].with_array(total(effects, box.grid, name))
        for name in (Field.TEMPERATURE_C, Field.FROZEN_MIN_C)
        if name in box.state
    }
    return replace(box, state={**box.state, **extremes}) if extremes else box


def worst_end(effects: Sequence[Effect]) -> Ended:
    """Return how the run that ended worst did, with the largest defect of the energy account among all."""
    worst = min((e.ended for e in effects), key=lambda e: WORST_FIRST.index(e.how))
    balances = [e.ended.energy_balance for e in effects if e.ended.energy_balance is not None]
    return replace(worst, energy_balance=max(balances, default=None), steps=sum(e.ended.steps for e in effects))


def session_figures(figures: Mapping[str, float], steps: Sequence[Step]) -> dict[str, float]:
    """Return the figures of a plan as one session: needles in the patient at one time, positions, and minutes with the waits."""
    found = dict(figures)
    if len(steps) > 1:
        found["probes"] = float(max(max(1, len(s.setting.poses)) for s in steps))
        found["positions"] = float(len(steps))
        if "minutes" in found:
            found["minutes"] += sum(s.wait_s for s in steps) / 60.0
    return found


def positions_in_words(steps: Sequence[Step]) -> dict[str, object]:
    """Return what the prescription says of several positions; nothing where there is one."""
    if len(steps) < 2:
        return {}
    return {"positions": len(steps), "order_of_positions": moves([s.setting for s in steps])}


def positions_assumed(steps: Sequence[Step]) -> tuple[str, ...]:
    """Return what was assumed of several positions."""
    if len(steps) < 2:
        return ()
    waits = ", ".join(f"{s.wait_s:.0f} s" for s in steps[:-1])
    return (
        f"{len(steps)} positions one after the other: doses add up, dead tissue has no blood flow, and each position starts from "
        f"the temperature that the one before it left after {waits} without power; a longer pause would cool more",
        "several positions, because one zone does not cover the target "
        "[004 «mean diameter of MW ablation area is close to 3.5 cm»]",
    )


def same_way(one: NeedlePose, other: NeedlePose) -> bool:
    """Tell whether two poses have one entry and one direction: the needle is drawn back or pushed on, not placed again."""
    turn = np.clip(np.array(one.direction) @ np.array(other.direction), -1, 1)
    return one.entry_mm == other.entry_mm and bool(np.rad2deg(np.arccos(turn)) < ALONG_DEG)


def moves(settings: Sequence[Setting]) -> list[str]:
    """Return in words how the needle gets from each position to the next."""
    said = [f"position 1: {in_words(settings[0])}"]
    for i in range(1, len(settings)):
        before, now = settings[i - 1].poses[0], settings[i].poses[0]
        back = before.length_mm - now.length_mm
        if same_way(before, now):
            how = f"same entry and direction, {'pull back' if back > 0 else 'push on'} by {abs(back):.0f} mm"
        else:
            how = "place the needle again, by its own entry"
        said.append(f"position {i + 1}: {how}; {in_words(settings[i])}")
    return said


def with_sessions(plans: Sequence[Plan]) -> list[Plan]:
    """Tell each plan which other lesions the same treatment would do in the same session, in which order and how long.

    Lesions that need the same position of the patient come together, otherwise in the order of the plans. Nothing is simulated
    across lesions: heat that reaches from one to the other is not in any of the plans.
    """
    out = list(plans)
    for name in dict.fromkeys(p.treatment for p in plans):
        members = [i for i, p in enumerate(plans) if p.treatment == name and p.steps]
        if len(members) < 2:
            continue
        summary = session_of([plans[i] for i in members])
        text = str(summary["text"])
        for i in members:
            told = {**plans[i].prescription, "session": summary}
            out[i] = replace(plans[i], prescription=told, assumptions=(*plans[i].assumptions, text))
    return out


def session_of(plans: Sequence[Plan]) -> dict[str, object]:
    """Return the session of several plans of one treatment: order, minutes in all, and whether the patient must be turned."""
    lying = [str(p.prescription.get("patient_position", "any")) for p in plans]
    groups = [g for g in dict.fromkeys(lying) if g != "any"] or ["any"]
    place = {g: i for i, g in enumerate(groups)} | ({"any": 0} if "any" not in groups else {})
    order = sorted(range(len(plans)), key=lambda i: (place[lying[i]], i))
    minutes = sum(plans[i].measures.get("minutes", Band.of(0.0)).best for i in order)
    lesions = [plans[i].lesion_id for i in order]
    turn = ""
    if len(groups) > 1:
        each = "; ".join(
            f"{g.replace('_', ' ')} for {', '.join(plans[i].lesion_id for i in order if lying[i] == g)}" for g in groups
        )
        turn = f"the patient must be turned {len(groups) - 1} time{'s' if len(groups) > 2 else ''} ({each}): image again then"
    untold = [p.lesion_id for p in plans if "minutes" not in p.measures]
    text = (
        f"one session of {len(plans)} lesions in the order {', '.join(lesions)}: {minutes:.0f} min of power and waits in all"
        + (f" without {', '.join(untold)}, whose time is not known" if untold else "")
        + ", placing of needles, imaging and turning not counted; "
        + (turn or "all in one position of the patient")
        + "; each lesion was simulated by itself"
    )
    return {"lesions": lesions, "minutes": round(minutes, 1), "turn_patient": turn, "text": text}
