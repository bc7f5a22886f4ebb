"""Focused ultrasound planned on one patient: window, approaches compared, sonications with their powers, the whole session.

Grids: sound in cells of a third of the shortest wavelength; the response of one sonication on voxels of 0.5 mm round its place,
from which powers are found; the whole session, and the near field, on voxels of ``SESSION_MM`` or the request's, if larger.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from osteon.errors import InputError
from osteon.jobs import Executor, Serial
from osteon.space.anatomy import Anatomy, Structure
from osteon.space.volume import Array, Grid, Volume
from osteon.tissue.acoustics import acoustic_map
from osteon.treatments.base import Ended
from osteon.treatments.focused_ultrasound import cuts, places
from osteon.treatments.focused_ultrasound.access import CENTRE, Window, search_window
from osteon.treatments.focused_ultrasound.access_looks import scene_of
from osteon.treatments.focused_ultrasound.access_scene import Scene
from osteon.treatments.focused_ultrasound.approach import Approach, approaches_of
from osteon.treatments.focused_ultrasound.bands import FEWEST, Influence, Samples, which_matters, with_miss
from osteon.treatments.focused_ultrasound.bone_face import Face, face_of
from osteon.treatments.focused_ultrasound.lattice import bare_share, lattice
from osteon.treatments.focused_ultrasound.scheme import Cut, Scheme, Way
from osteon.treatments.focused_ultrasound.second import Tried, other_of, second_try
from osteon.treatments.focused_ultrasound.session import BELIEF, Session, plan_session
from osteon.treatments.focused_ultrasound.session_response import BODY_C, FINE_MM, respond_all
from osteon.treatments.focused_ultrasound.session_run import Expected
from osteon.treatments.focused_ultrasound.session_setup import Setup, prepare
from osteon.treatments.focused_ultrasound.shots import Aim
from osteon.treatments.focused_ultrasound.transducer import clinical_devices, devices, transducer
from osteon.treatments.focused_ultrasound.ways import Patient, Stand, places_of, try_ways

SESSION_MM = 1.5
LEAST_BARE = 0.01  # of the surface: a smaller gap is not told
SEEN_K = 0.5  # muscle that never grows so much warmer than the body is not kept for the monitor: thermometry in bone sees 1.2 K
ROUND_LESION_MM, BEHIND_MM, SKIN_MM = 30.0, 40.0, 30.0  # of the session's box: round the lesion, behind the focus, past the entry
Watcher = Callable[[str, float], None]


def plan_scheme(
    anatomy: Anatomy, lesion: Structure, bone: Structure | None = None, *, device: str = "", approach: str = "",
    spacing_mm: float = SESSION_MM, samples: int = 0, seed: int = 0, executor: Executor | None = None,
    observe: Watcher | None = None, options: Mapping[str, Any] | None = None,
) -> Scheme:  # fmt: skip
    """Plan focused ultrasound on a patient.

    Parameters
    ----------
    anatomy : Anatomy
        On the full grid of the image, with CT and skin.
    lesion : Structure
        Outlined.
    bone : Structure, optional
        The bone that holds it; by default the outlined bone that touches it most.
    device : str
        Of ``devices.yaml``; empty: the first clinical one that finds a window.
    approach : str
        Plan this approach in full; empty: the first in the order of preference.
    spacing_mm : float
        Edge of a voxel of the session; finer than ``SESSION_MM`` is not computed.
    samples : int
        Draws of one sonication; 0: no bands.
    seed : int
        Of the draws.
    executor : Executor, optional
        Runs the responses and draws.
    observe : callable, optional
        Called with what is being done and the fraction done.
    options : mapping, optional
        Of ``sonicate``: cells per wavelength, sweeps, steps of bone.

    Returns
    -------
    Scheme
        Also where there is no window, or nothing can be given: then ``ended`` says why.

    Raises
    ------
    NotOutlinedError, MissingError
        If the target is not outlined, or there is no CT.
    InputError
        If there is no such array or approach.
    """
    tell = observe or _silent
    run = executor or Serial()
    tell("searching an acoustic window", 0.01)
    scene, window = _window(anatomy, lesion, bone, device)
    if window.verdict != "window" or window.best is None:
        why = f"{window.verdict}: {'; '.join(window.reasons)}" if window.verdict == "no window" else "; ".join(window.reasons)
        return _empty(window, why)
    window, face, allowed = _aimed(anatomy, lesion, bone, window)
    assert window.best is not None
    axis = window.best.pose.axis
    box = anatomy.on(session_grid(anatomy, window, places.treated_places(face, "direct")[0], lesion, max(spacing_mm, SESSION_MM)))
    array = transducer(window.device)
    tell("tissue for sound", 0.04)
    sound = acoustic_map(box, array.frequency_hz)
    patient = Patient(box, sound, array, scene, face, lesion, bone, axis, dict(options or {}))
    tell("trying the approaches", 0.06)
    ways = try_ways(patient, allowed, run, lambda n: tell("trying the approaches", 0.06 + 0.03 * n))
    chosen, why = choose(ways, approach)
    if chosen is None:
        return _empty(window, why, ways, box)
    return _in_full(_Ask(patient, window, ways, chosen, why, samples, seed), run, tell)


def _aimed(
    anatomy: Anatomy, lesion: Structure, bone: Structure | None, window: Window
) -> tuple[Window, Face, tuple[Approach, ...]]:
    """Return the window with the pose that is planned, the target as its beam sees it, and what the cortex there allows.

    The best pose to the cortex comes in where cortex is left; where the cortex over the middle of the lesion is gone, the best
    pose to that goes first.
    """
    assert window.best is not None  # the caller asked
    found = []
    for look in [x for x in (window.by_focus.get(CENTRE),) if x is not None and x is not window.best] + [window.best]:
        face = face_of(anatomy, lesion, look.pose.axis, bone)
        allowed = approaches_of(anatomy, lesion, look.pose.axis, window.device, bone, face=face)
        found.append((replace(window, best=look), face, allowed))
        if any(a.name == "trans-soft-tissue" and a.answer == "offered" for a in allowed):
            return found[-1]
    return found[-1]


@dataclass(frozen=True, eq=False)
class _Ask:
    """What is planned in full, and how."""

    patient: Patient
    window: Window
    ways: Sequence[Way]
    chosen: int
    why: str
    samples: int
    seed: int

    @property
    def way(self) -> Way:
        return self.ways[self.chosen]


def choose(ways: Sequence[Way], wanted: str = "") -> tuple[int | None, str]:
    """Return which of the ways, in the order of preference, is planned in full, and why; None where none can be.

    Raises
    ------
    InputError
        If the approach that is asked for is none of them.
    """
    names = [w.approach.name for w in ways]
    if wanted:
        if wanted not in names:
            raise InputError(
                f"The approach {wanted!r} was asked for.",
                "Where the focus lies follows from it.",
                f"Use one of: {', '.join(names)}.",
            )
        i = names.index(wanted)
        return (i if ways[i].ended.how == "converged" else None), f"asked for; {ways[i].ended.why}"
    open_ = [i for i, w in enumerate(ways) if w.approach.answer == "offered" and w.ended.how == "converged"]
    if open_:
        way = ways[open_[0]]
        others = [w for i, w in enumerate(ways) if i in open_[1:]]
        said = f"{way.approach.name}: {way.approach.reason}"
        if others:
            said += "; " + "; ".join(
                f"{w.approach.name} would do too, with {w.sonications} instead of {way.sonications} sonications and "
                f"{w.energy_j / max(way.energy_j, 1e-9):.2g} times the energy"
                for w in others
            )
        return open_[0], said
    parts = [f"{w.approach.name}: {w.approach.reason if w.approach.answer != 'offered' else w.ended.why}" for w in ways]
    unknown = [w for w in ways if w.approach.answer == "cannot tell"]
    first = f"{unknown[0].approach.reason}; " if unknown else "no approach is possible; "
    return None, first + "; ".join(parts)


def _window(anatomy: Anatomy, lesion: Structure, bone: Structure | None, device: str) -> tuple[Scene, Window]:
    """Return the first window that an array finds; without one, what cannot be told counts before what is not there."""
    names = [device] if device else list(clinical_devices())
    found: list[tuple[Scene, Window]] = []
    for name in names:
        scene = scene_of(anatomy, lesion, [name], bone)
        found.append((scene, search_window(anatomy, lesion, name, bone, scene=scene)))
        if found[-1][1].verdict == "window":
            return found[-1]
    return min(found, key=lambda f: f[1].missed)


def session_grid(anatomy: Anatomy, window: Window, treated_mm: Array, lesion: Structure, spacing_mm: float) -> Grid:
    """Return the grid of a session: the cone of the beam from past the skin to behind the focus, and round the lesion.

    Parameters
    ----------
    anatomy : Anatomy
        On the full grid.
    window : Window
        With a best pose.
    treated_mm : ndarray (n, 3)
        Places of the foci, LPS; may be empty.
    lesion : Structure
        Outlined.
    spacing_mm : float
        Edge of a voxel.
    """
    assert window.best is not None  # the caller asked
    look, entry = window.best, devices()[window.device]
    axis = np.asarray(look.pose.axis)
    half, curved = 0.5 * float(entry["aperture_mm"]["value"]), float(entry["curvature_mm"]["value"])
    sag = curved - math.sqrt(curved**2 - half**2)  # the rim lies so far before the vertex
    far = float(np.linalg.norm(np.subtract(look.focus_mm, look.pose.vertex_mm)))  # a steered focus may lie nearer
    slope = half / max(far - sag, 0.3 * half)
    mass = anatomy.grid.to_mm(np.argwhere(anatomy.mask(lesion).array))
    spread = np.concatenate([mass, treated_mm, [look.focus_mm]])
    up = look.depth_mm + SKIN_MM
    rim = np.stack([spread.min(0), spread.max(0)])
    reach = min(up * slope, half) * np.sqrt(np.clip(1 - axis**2, 0, 1))  # half the cone's width along each axis of the patient
    points = np.concatenate([
        rim - up * axis - reach, rim - up * axis + reach, rim + BEHIND_MM * axis - 0.5 * ROUND_LESION_MM,
        rim + BEHIND_MM * axis + 0.5 * ROUND_LESION_MM, rim - ROUND_LESION_MM, rim + ROUND_LESION_MM,
    ])  # fmt: skip
    corners = anatomy.grid.corners_mm()
    low = np.maximum(points.min(0), corners.min(0))
    high = np.minimum(points.max(0), corners.max(0))
    return Grid.box(low, low + np.floor((high - low) / spacing_mm + 1e-6) * spacing_mm, spacing_mm)


def _in_full(ask: _Ask, run: Executor, tell: Watcher) -> Scheme:
    """Return the plan of one approach: lattice, poses, responses, powers, the run of the session, pictures, bands."""
    patient, way = ask.patient, ask.way
    at, weights = places_of(patient, way)
    aims = lattice(patient.box, patient.lesion, way.approach.name, way.cell_mm, patient.axis, patient.bone, face=patient.face)
    mine = places.shares(aims, at, 0.5 * way.cell_mm[0])
    setup = prepare(patient.box, patient.sound, patient.device, list(aims), **patient.options)
    tried = _responses(ask, setup, aims, mine, run, tell)
    responses, standing, left_out = tried.responses, tried.standing, dict(tried.failed)
    if not responses:
        return _empty(ask.window, "; ".join(dict.fromkeys(left_out.values())), ask.ways, patient.box)
    stands, (on_s, off_s) = [r.aim for r in responses], patient.times_s
    target = target_volume(patient, at)
    session = plan_session(
        patient.box, patient.sound, patient.device, stands, on_s=on_s, off_s=off_s, setup=setup, responses=responses,
        partial=True, target=target, observe=lambda f: tell("the whole session", 0.76 + 0.14 * f),
    )  # fmt: skip
    left_out |= {d.aim.id: d.ended.why for d in session.dosed if not d.given}
    tell("pictures of the beam", 0.91)
    shown, drawn = _pictures(patient, session, standing)
    sampled: Samples | None = None
    influences: dict[str, tuple[Influence, ...]] = {}
    if ask.samples > 0 and shown is not None:
        from osteon.treatments.focused_ultrasound.sampled import sample_sonication

        draws = f"{ask.samples} draws of one sonication"
        tell(draws, 0.93)
        power = next(s.power_w for s in session.shots if s.aim.id == shown.id and not s.test)
        sampled = sample_sonication(
            patient.box, patient.device.name, shown, standing[shown.id].pose, power, on_s, off_s, places_mm=mine[shown.id],
            count=ask.samples, seed=ask.seed, executor=run, observe=lambda f: tell(draws, 0.93 + 0.07 * f),
        )  # fmt: skip
        moved = with_miss(sampled, patient.axis)
        influences = {name: which_matters(moved, name) for name in moved.nominal if _enough(moved, name)}
    powers = {s.aim.id: s.power_w for s in session.shots if not s.test}
    alone = {"cells_coverage": places.covered(responses, powers, at, weights)}
    session = replace(session, measures={**session.measures, **alone}, expected=tuple(_warm(e) for e in session.expected))
    least = min(responses, key=lambda r: BELIEF.index(r.trust))
    return Scheme(
        patient.device.name, ask.window, tuple(ask.ways), ask.chosen, ask.why, patient.box, target, at, session,
        {name: stand.pose for name, stand in standing.items()}, left_out,
        drawn, shown.id if shown is not None else "", sampled, influences, _grids(patient, drawn), least.trust, least.sentences,
        (*_bare(ask), *session.notes), session.ended,
    )  # fmt: skip


def _responses(ask: _Ask, setup: Setup, aims: Sequence[Aim], mine: Mapping[str, Array], run: Executor, tell: Watcher) -> Tried:
    """Return the response to every aim that the array can stand for, what cannot be given tried again by the other approach."""
    patient = ask.patient
    standing = {aim.id: patient.stand(aim) for aim in aims}
    failed = {name: stand.why for name, stand in standing.items() if stand.why}
    stands, (on_s, off_s) = [a for a in aims if a.id not in failed], patient.times_s
    text = f"simulating {len(stands)} sonications"
    tell(text, 0.15)
    made = respond_all(
        setup, stands, on_s, off_s, poses={k: s.pose for k, s in standing.items()}, on={k: s.on for k, s in standing.items()},
        executor=run, failed=failed, done=lambda n: tell(text, 0.15 + 0.45 * n / len(stands)),
    )  # fmt: skip
    first = Tried([places.targeted(r, mine[r.aim.id]) for r in made], standing, failed)
    other = other_of(ask.ways, ask.chosen)
    again = "trying places again by the other approach"
    return second_try(patient, other, setup, aims, first, mine, run, lambda n: tell(again, 0.6 + 0.15 * min(n / 20, 1.0)))


def target_volume(patient: Patient, at_mm: Array) -> Volume:
    """Return what is meant to be treated on the grid of the session: voxels of bone and lesion nearest to the treated places."""
    grid = patient.box.grid
    whole = patient.box.mask(patient.lesion).array.copy()
    bones = [patient.bone] if patient.bone is not None and patient.box.has(patient.bone) else patient.box.of_kind("bone")
    for bone in bones:
        whole |= patient.box.masks[bone].array
    index = np.argwhere(whole)
    gap, nearest = cKDTree(grid.to_mm(index)).query(at_mm, distance_upper_bound=2.0 * max(grid.spacing_mm))
    out = np.zeros(grid.shape, bool)
    out[tuple(index[nearest[np.isfinite(gap)]].T)] = True
    return Volume(out, grid)


def _pictures(patient: Patient, session: Session, standing: Mapping[str, Stand]) -> tuple[Aim | None, tuple[Cut, ...]]:
    """Return the aim nearest to the middle of all that are given, and its sound in two planes."""
    treated = [s for s in session.shots if not s.test]
    if not treated:
        return None, ()
    middle = np.mean([s.aim.spot_mm for s in treated], axis=0)
    shot = min(treated, key=lambda s: float(np.linalg.norm(np.asarray(s.aim.spot_mm) - middle)))
    return shot.aim, cuts.cuts_of(patient, shot, standing[shot.aim.id])


def _warm(seen: Expected) -> Expected:
    """Return what the monitor should see, without voxels that stay near the body's temperature."""
    kept = seen.temperature_c.max(axis=0, initial=BODY_C) - BODY_C >= SEEN_K
    return replace(seen, voxels=seen.voxels[kept], temperature_c=np.ascontiguousarray(seen.temperature_c[:, kept]))


def _bare(ask: _Ask) -> tuple[str, ...]:
    share = bare_share(ask.patient.face)
    if ask.way.approach.name == "trans-soft-tissue" or share < LEAST_BARE:
        return ()
    return (
        f"The cortex is gone under {100 * share:.0f} % of the surface over the lesion: nothing takes the sound up there, and no "
        "sonication is aimed at it.",
    )


def _enough(sampled: Samples, name: str) -> bool:
    return int(np.isfinite(sampled.outcomes[name]).sum()) >= FEWEST


def _grids(patient: Patient, drawn: Sequence[Cut]) -> dict[str, float]:
    found = {"response": FINE_MM, "session": max(patient.box.grid.spacing_mm)}
    return {"sound": drawn[0].cell_mm, **found} if drawn else found


def _empty(window: Window, why: str, ways: Sequence[Way] = (), box: Anatomy | None = None) -> Scheme:
    return Scheme(
        window.device, window, tuple(ways), None, why, box, None, np.zeros((0, 3)), None, {}, {}, (), "", None, {}, {}, "no", (),
        window.notes, Ended("refused", why),
    )  # fmt: skip


def _silent(text: str, fraction: float) -> None:
    """Tell nobody."""
