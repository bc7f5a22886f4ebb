"""Pictures of a focused-ultrasound plan: the beam with pressure, heat and temperature, and the power of every sonication."""

from __future__ import annotations

import math
import struct
from typing import Literal

import numpy as np

from osteon.errors import ImageError
from osteon.physics import damage
from osteon.planning.plan import TARGET, Plan
from osteon.report import svg, words
from osteon.report.figures import STYLES, Entry, Picture, Style, swatch
from osteon.report.graphs import Axis
from osteon.report.sound_figures import BeamPlane, Outline, ct_grey, plane_of, png_of, sections
from osteon.space.anatomy import Anatomy, Field, Structure
from osteon.space.volume import Array, Volume
from osteon.treatments.focused_ultrasound.scheme import Cut, Scheme
from osteon.treatments.focused_ultrasound.session_power import Dosed

State = Literal["given", "part", "not given"]
COLOURS: dict[State, str] = {"given": "#0072B2", "part": "#56B4E9", "not given": "#D55E00"}
STATE_WORDS: dict[State, str] = {
    "given": "given, kills all of its places",
    "part": "given, kills its spot and not all of its places",
    "not given": "not given",
}
SHORT_WORDS: dict[State, str] = {"given": "given", "part": "part of its places", "not given": "needed, not given"}
DEAD = Style("#ffffff", "4 2", 1.6)
SOLID = Style("#ffffff", "", 1.0)
OUTLINED = ("nerve", "cord", "bowel", "vessel", "lung", "joint", "organ", "implant", "lesion")
DASHES = {"lesion": "-", "target": ":", "nerve": "--", "cord": "--"}
ROOMY = 24.0  # between two sonications of the picture of powers: room for figures and names
SCALE = 0.72  # of a pixel of that picture on the page


def state_of(scheme: Scheme, aim_id: str) -> State:
    """Return whether a sonication is given, given for part of its places, or not given."""
    found = next((d for d in dosed_of(scheme) if d.aim.id == aim_id), None)
    if aim_id in scheme.left_out or found is None or not found.given:
        return "not given"
    return "given" if found.whole else "part"


def dosed_of(scheme: Scheme) -> tuple[Dosed, ...]:
    """Return every aim with its power, by its order."""
    return tuple(sorted(scheme.session.dosed, key=lambda d: d.aim.order)) if scheme.session is not None else ()


def numbers_of(scheme: Scheme) -> dict[str, int]:
    """Return the number of each treatment in the list of sonications, by id of its aim; the test sonication counts too."""
    shots = scheme.session.shots if scheme.session is not None else ()
    return {s.aim.id: n for n, s in enumerate(shots, start=1) if not s.test}


def beam_planes(scheme: Scheme, plan: Plan, whole: Anatomy) -> tuple[BeamPlane, ...]:
    """Return the planes through the beam of one sonication, with the anatomy beneath and what the plan makes of it.

    Parameters
    ----------
    scheme : Scheme
        Its cuts.
    plan : Plan
        Temperature, dose and target.
    whole : Anatomy
        The full image with its outlines.
    """
    return tuple(_plane(each, plan, whole) for each in scheme.cuts)


def _plane(cut: Cut, plan: Plan, whole: Anatomy) -> BeamPlane:
    places = cut.places_mm()
    grey, said = ct_grey(whole.image, places) if whole.image is not None else (None, "")
    return plane_of(cut, grey, said, _field(plan, Field.TEMPERATURE_C, places), _outlines(plan, whole, places))


def _field(plan: Plan, field: Field, places: Array) -> Array | None:
    if plan.after is None or field not in plan.after.state:
        return None
    return np.asarray(plan.after.state[field].sample(places, fill=np.nan))


def _outlines(plan: Plan, whole: Anatomy, places: Array) -> tuple[Outline, ...]:
    """Return what the plane crosses: structures of the image, the target of the plan, and the edge of what is dead."""
    found = []
    for which in sorted((s for s in whole.masks if s.kind in OUTLINED and s != TARGET), key=lambda s: s.id):
        found.append(Outline(which.name, _share(whole.masks[which], places), _style(which).colour, DASHES.get(which.kind, "-.")))
    target = plan.before.masks.get(TARGET) if plan.before is not None else None
    if target is not None:
        found.append(Outline("target of the plan", _share(target, places), STYLES["target"].colour, ":"))
    dose = _field(plan, Field.CEM43_MIN, places)
    if dose is not None:
        lethal = damage.constants("cem43")["necrosis"].number
        dead = np.clip(np.nan_to_num(dose) / (2 * lethal), 0.0, 1.0)  # the edge lies where it is one half
        found.append(Outline("CEM43 240 min", dead, DEAD.colour, "--", "temperature"))
    return tuple(o for o in found if o.inside.max() > 0.5)


def _share(mask: Volume, places: Array) -> Array:
    """Return how much of a mask each place holds, 0 to 1, between the middles of its voxels."""
    flat = places.reshape(-1, 3)
    beside = 2 * max(mask.spacing_mm)
    try:
        near = mask.crop(flat.min(0) - beside, flat.max(0) + beside)
    except ImageError:
        return np.zeros(places.shape[:-1])
    return np.asarray(near.with_array(near.array.astype(np.float32)).sample(places, fill=0.0))


def _style(which: Structure) -> Style:
    return STYLES.get(which.kind, STYLES["organ"])


def beam_figure(scheme: Scheme, plan: Plan, whole: Anatomy) -> Picture | None:
    """Draw pressure and heat of one sonication, and the highest temperature of the session, in two planes through the beam.

    Parameters
    ----------
    scheme : Scheme
        With cuts; None is returned without.
    plan : Plan
        Whose temperature is shown.
    whole : Anatomy
        The full image with its outlines.
    """
    planes = beam_planes(scheme, plan, whole)
    if not planes:
        return None
    number = numbers_of(scheme).get(scheme.shown)
    which = f"sonication {number} ({scheme.shown})" if number else f"the place {scheme.shown}"
    has_heat = all(p.temperature_c is not None for p in planes)
    title = f"{'Study, not offered. ' if plan.study else ''}Pressure and heat of {which}" + (
        "; highest temperature of the whole session" if has_heat else ""
    )
    data = png_of(sections(planes, title, beside=True))
    wide, high = struct.unpack(">II", data[16:24])
    wide, high = SCALE * wide, SCALE * high
    seen = sorted({o.name for p in planes for o in p.outlines})
    alt = (
        f"{title}, in two planes through the beam: {'; '.join(p.name for p in planes)}; transducer above; grey: CT; "
        f"outlined: solid bone{''.join(', ' + name for name in seen)}; cross: focus"
    )
    body = [svg.embedded(data, 0, 0, wide, high)]
    return Picture(svg.document(wide, high, body, alt), alt, title)


def beam_legend(scheme: Scheme, plan: Plan, whole: Anatomy) -> list[Entry]:
    """Return the legend of exactly what ``beam_figure`` drew."""
    entries = [
        Entry(swatch(SOLID), "bone that is solid to sound"),
        Entry(swatch(Style("#E69F00", "5 3", 1.6)), "half of the highest pressure"),
    ]
    named = {o.name: o for plane in beam_planes(scheme, plan, whole) for o in plane.outlines}
    dashes = {"-": "", "--": "5 3", ":": "1.5 2.5", "-.": "6 2 1.5 2"}
    for name, outline in named.items():
        said = "CEM43 240 min: edge of what is dead" if outline.only else name
        entries.append(Entry(swatch(Style(outline.colour, dashes[outline.dash], 1.8)), said))
    return entries


def power_figure(scheme: Scheme, stamp: str = "") -> Picture | None:
    """Draw the power of every sonication with the most that its limits allow; those that are not given with what they need.

    Parameters
    ----------
    scheme : Scheme
        With a session; None is returned without.
    stamp : str
        Written into it: what a reader of the picture alone must know.
    """
    session, listed = scheme.session, dosed_of(scheme)
    if session is None or not listed:
        return None
    numbers = numbers_of(scheme)
    order = sorted(listed, key=lambda d: (numbers.get(d.aim.id, math.inf), d.aim.order))
    test = next((s for s in session.shots if s.test), None)
    needs = [d.needed_w for d in order if math.isfinite(d.needed_w)]
    allowed = [d.allowed_w for d in order if math.isfinite(d.allowed_w)]
    top = 1.12 * max([*needs, *allowed, 1.0])
    wide = float(np.clip(96 + 30 * (len(order) + 1), 560, 980))
    y = Axis(0.0, top, 226, 34)
    step = (wide - 74) / (len(order) + 1)
    body = [svg.text(12, 16, f"acoustic power (W){'; ' + stamp if stamp else ''}", size=12.5, weight=650)]
    for tick in y.ticks(5):
        body.append(svg.line((46, y(tick)), (wide - 14, y(tick)), stroke="#e4e8ec"))
        body.append(svg.text(40, y(tick) + 3.8, words.number(tick), size=11, fill=svg.SOFT, anchor="end"))
    if test is not None:
        body += _column(60 + step / 2 - 14, y, None, test.power_w, "given", "1", "test", step)
    for i, one in enumerate(order, start=1):
        state = state_of(scheme, one.aim.id)
        shown = str(numbers.get(one.aim.id, "–"))
        body += _column(60 + (i + 0.5) * step - 14, y, one.allowed_w, one.needed_w, state, shown, one.aim.id, step)
    body.append(svg.line((46, 226), (wide - 14, 226), stroke=svg.SOFT))
    body.append(
        svg.text(
            46,
            276,
            f"number in the list{', and id of the place' if step >= ROOMY else ''}; – : not given",
            size=11,
            fill=svg.SOFT,
        )
    )
    body += _power_legend(298, {state_of(scheme, d.aim.id) for d in order}, any(math.isinf(d.needed_w) for d in order))
    told = "; ".join(
        f"{d.aim.id}: {words.number(d.needed_w, 'W')} of at most {words.number(d.allowed_w, 'W')}, {state_of(scheme, d.aim.id)}"
        for d in order
    )
    alt = f"Acoustic power of each sonication and the most that its limits allow. {told}"
    return Picture(svg.document(wide, 326, body, alt), alt, "Power of each sonication")


def _column(
    x: float, y: Axis, allowed: float | None, power: float, state: State, number: str, name: str, step: float
) -> list[str]:
    """Return one sonication: a pale bar up to what is allowed, and a mark at its power; few words where there is little room."""
    half, tight = min(7.0, 0.36 * step), step < ROOMY
    body = []
    if allowed is not None:
        at = y(min(allowed, y.high))
        body.append(svg.rectangle(x - half, at, 2 * half, y.start - at, fill="#dfe6ec"))
        body.append(svg.line((x - half - 2, at), (x + half + 2, at), stroke="#5b6875", width=2))
    if math.isfinite(power):
        at, colour = y(min(power, y.high)), COLOURS[state]
        if name == "test":
            tip = svg.polyline([(x, at - 6), (x + 6, at + 5), (x - 6, at + 5)], closed=True)
            body.append(svg.path(tip, fill="#fff", stroke=colour, width=2))
        else:
            body += mark(x, at, state, min(6.0, 0.4 * step))
        if not tight:
            body.append(
                svg.text(
                    x,
                    at - 10,
                    words.number(round(power, 1 if step >= 2 * ROOMY else None)),
                    size=10,
                    anchor="middle",
                    weight=600,
                    halo="#fff",
                )
            )
    else:
        body.append(svg.text(x, y.stop + 6, "∞", size=15, anchor="middle", fill=COLOURS[state], weight=700))
    body.append(svg.text(x, y.start + 15, number, size=9 if tight else 11, anchor="middle", weight=650))
    if not tight:
        body.append(svg.text(x, y.start + 29, name, size=9, anchor="middle", fill=svg.SOFT))
    return body


def mark(x: float, y: float, state: State, radius: float) -> list[str]:
    """Return the mark of a place: full disc, ring with a core, or a cross; they differ without colour too."""
    colour = COLOURS[state]
    if state == "not given":
        arm = 0.8 * radius
        strokes = []
        for stroke, width in (("#fff", 5.0), (colour, 2.8)):
            strokes.append(svg.line((x - arm, y - arm), (x + arm, y + arm), stroke=stroke, width=width, cap="round"))
            strokes.append(svg.line((x - arm, y + arm), (x + arm, y - arm), stroke=stroke, width=width, cap="round"))
        return strokes
    body = [svg.circle(x, y, radius, fill=colour, stroke="#fff", width=1.2)]
    return body if state == "given" else [*body, svg.circle(x, y, 0.5 * radius, fill="#fff")]


def _power_legend(top: float, states: set[State], endless: bool) -> list[str]:
    body: list[str] = []
    x = 46.0
    for state, said in SHORT_WORDS.items():
        if state not in states:
            continue
        body += mark(x + 6, top, state, 5.5)
        body.append(svg.text(x + 17, top + 4, said, size=11))
        x += 34 + svg.width_of(said, 11)
    body.append(
        svg.path(
            svg.polyline([(x + 6, top - 6), (x + 12, top + 5), (x, top + 5)], True), fill="#fff", stroke=COLOURS["given"], width=2
        )
    )
    body.append(svg.text(x + 18, top + 4, "test", size=11))
    x += 52
    body.append(svg.rectangle(x, top - 5, 14, 12, fill="#dfe6ec"))
    body.append(svg.line((x - 2, top - 5), (x + 16, top - 5), stroke="#5b6875", width=2))
    body.append(svg.text(x + 22, top + 4, "allowed", size=11))
    if endless:
        body.append(svg.text(x + 78, top + 5, "∞", size=15, fill=COLOURS["not given"], weight=700))
        body.append(svg.text(x + 96, top + 4, "no power reaches it", size=11))
    return body
