"""The three approaches tried at the middle of what they would treat: power, limits, cell, number of sonications, energy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from osteon.errors import OsteonError
from osteon.jobs import Executor
from osteon.space.anatomy import Anatomy, Structure
from osteon.space.volume import Array
from osteon.tissue.acoustics import AcousticMap
from osteon.treatments.base import Ended
from osteon.treatments.focused_ultrasound import places, session_rows
from osteon.treatments.focused_ultrasound.access import elements_on, look_along
from osteon.treatments.focused_ultrasound.access_looks import triple
from osteon.treatments.focused_ultrasound.access_scene import Scene
from osteon.treatments.focused_ultrasound.access_scene import number as access_number
from osteon.treatments.focused_ultrasound.approach import Approach, ranked
from osteon.treatments.focused_ultrasound.approach_rows import number
from osteon.treatments.focused_ultrasound.beam import ArrayPose
from osteon.treatments.focused_ultrasound.bone_face import Face
from osteon.treatments.focused_ultrasound.lattice import coverage, lattice
from osteon.treatments.focused_ultrasound.scheme import Way
from osteon.treatments.focused_ultrasound.session_power import Dosed, power_of
from osteon.treatments.focused_ultrasound.session_response import Response, cell_of, respond_all
from osteon.treatments.focused_ultrasound.session_setup import prepare
from osteon.treatments.focused_ultrasound.shots import Aim
from osteon.treatments.focused_ultrasound.transducer import Transducer

ANSWERS = ("offered", "cannot tell", "not offered")


@dataclass(frozen=True, eq=False)
class Stand:
    """Where an array stands, which of its elements are on (bool), and why it cannot stand so, or nothing."""

    pose: ArrayPose
    on: Array
    why: str


@dataclass(frozen=True, eq=False)
class Patient:
    """One patient and one array, ready to be planned.

    Parameters
    ----------
    box : Anatomy
        The grid of the session.
    sound : AcousticMap
        Of it.
    device : Transducer
        The array.
    scene : Scene
        For the way from skin to target.
    face : Face
        The target as the beam sees it.
    lesion, bone : Structure, Structure or None
        What is treated.
    axis : tuple of float
        The way sound goes, LPS.
    options : mapping
        Of ``sonicate``.
    """

    box: Anatomy
    sound: AcousticMap
    device: Transducer
    scene: Scene
    face: Face
    lesion: Structure
    bone: Structure | None
    axis: tuple[float, float, float]
    options: Mapping[str, Any]

    @property
    def times_s(self) -> tuple[float, float]:
        """Seconds with sound, and between two sonications."""
        return session_rows.number("on_s"), session_rows.number("off_s")

    def stand(self, aim: Aim) -> Stand:
        """Return where the array stands for an aim, which elements are on, and why it cannot; "" where it can."""
        seen = look_along(self.scene, self.device.name, aim.focus_mm, self.axis, aim.id)
        least, why = access_number("least_visible_share"), seen.end
        if not why and seen.visible + seen.unknown < least:
            most = max(seen.lost, key=lambda k: seen.lost[k], default="what lies in the way")
            why = f"only {100 * seen.visible:.0f} % of the array sees it, past {most}; {100 * least:.0f} % are needed"
        elif not why and seen.visible < least:
            why = f"cannot tell: {100 * seen.unknown:.0f} % of the array looks through what is not imaged; image a larger field"
        return Stand(seen.pose, elements_on(self.scene, self.device.name, aim.focus_mm, self.axis), why)


def middle_aim(patient: Patient, approach: Approach, name: str) -> Aim | None:
    """Return the aim at the treated place nearest to the middle of all; None where there is nothing to treat that way."""
    at, weights = places.treated_places(patient.face, approach.name)
    if len(at) == 0:
        return None
    spot = at[int(np.argmin(((at - np.average(at, axis=0, weights=weights)) ** 2).sum(axis=1)))]
    behind = approach.behind_mm if approach.name == "near-target" else 0.0
    return Aim(name, triple(spot + behind * np.asarray(patient.axis)), patient.axis, approach.name, 0, 1.0, triple(spot))


def try_ways(
    patient: Patient, approaches: Sequence[Approach], executor: Executor, done: Callable[[int], None] | None = None
) -> list[Way]:
    """Try every approach at its middle, also one that the cortex does not allow: it stands beside the others to be compared.

    Parameters
    ----------
    patient : Patient
        Ready.
    approaches : sequence of Approach
        From ``approaches_of``.
    executor : Executor
        Where the responses are computed.
    done : callable, optional
        Called with how many responses are done.

    Returns
    -------
    list of Way
        In the order of preference: allowed by the cortex, possible at the middle, away from critical structures, fewest
        sonications (the patient lies still under sedation for two minutes each), least energy. The papers prefer none.
    """
    listed = ranked(approaches)
    aims = {a.name: middle_aim(patient, a, a.name) for a in listed}
    given = [aim for aim in aims.values() if aim is not None]
    standing = {aim.id: patient.stand(aim) for aim in given}
    refused = {name: stand.why for name, stand in standing.items() if stand.why}
    stands = [aim for aim in given if aim.id not in refused]
    found: dict[str, Response] = {}
    if stands:
        setup = prepare(patient.box, patient.sound, patient.device, stands, **patient.options)
        on_s, off_s = patient.times_s
        poses, on = ({name: getattr(stand, key) for name, stand in standing.items()} for key in ("pose", "on"))
        made = respond_all(setup, stands, on_s, off_s, poses=poses, on=on, executor=executor, done=done, failed=refused)
        found = {r.aim.id: r for r in made}
        dosed = {name: power_of(setup, r) for name, r in found.items()}
    ways = []
    for approach in listed:
        tried = aims[approach.name]
        if tried is None:
            ways.append(_none(approach, None, Ended("refused", "there is nothing to treat that way")))
        elif tried.id in refused:
            ways.append(_none(approach, tried, Ended("refused", refused[tried.id])))
        else:
            ways.append(_way(patient, approach, found[tried.id], dosed[tried.id]))
    far = number("stand_off_mm")

    def key(way: Way) -> tuple[float, ...]:
        near = way.approach.near[0].distance_mm if way.approach.near else far
        can = way.ended.how == "converged"
        worth = (way.sonications, way.energy_j) if can else (math.inf, math.inf)
        return (ANSWERS.index(way.approach.answer), float(not can), -round(near), *worth)

    return sorted(ways, key=key)


def _none(approach: Approach, aim: Aim | None, ended: Ended) -> Way:
    return Way(approach, aim, None, 0.0, (0.0, 0.0), 0, 0.0, 0.0, approach.cortex.share, ended)


def _way(patient: Patient, approach: Approach, response: Response, dosed: Dosed) -> Way:
    """Return one approach with the cell that its middle allows, and how many of them cover what it treats."""
    if not dosed.given:
        return replace(_none(approach, response.aim, dosed.ended), dosed=dosed)
    design = max(dosed.needed_w, session_rows.number("design_share") * dosed.allowed_w)
    width, length = cell_of(response, design)
    width = max(width, number("smallest_cell_mm"))
    try:
        aims = lattice(
            patient.box, patient.lesion, approach.name, (width, max(length, width)), patient.axis, patient.bone, face=patient.face
        )
    except OsteonError as error:
        return replace(_none(approach, response.aim, Ended("refused", error.what)), dosed=dosed, design_w=design)
    energy = len(aims) * design * patient.times_s[0]
    return Way(
        approach, response.aim, dosed, design, (width, max(length, width)), len(aims), coverage(aims), energy,
        approach.cortex.share, Ended("converged", dosed.ended.why),
    )  # fmt: skip


def places_of(patient: Patient, way: Way) -> tuple[Array, Array]:
    """Return the places that a way treats, LPS (n, 3), and their shares."""
    return places.treated_places(patient.face, way.approach.name)
