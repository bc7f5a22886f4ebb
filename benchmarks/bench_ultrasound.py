"""Focused ultrasound planned on the iliac phantom: `python benchmarks/bench_ultrasound.py [part ...]`.

Parts: samples (50 draws of one sonication in two processes), session (20 sonications: responses in two processes, then powers and
the run of the whole session); default: both. One run each: they take minutes. Errors: of the coarse run of the draws, how its
figures differ from the plan's own settings; of the session, the energy that its run does not account for, and the power of one
place against that with finer cells of sound and with finer voxels of heat.
"""

from __future__ import annotations

import pickle
import sys
import time
from unittest import mock

import numba
import numpy as np
from common import load, memory_triad

from osteon.case.phantom import build
from osteon.jobs import Local
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Grid, Volume
from osteon.tissue.acoustics import acoustic_map
from osteon.treatments.focused_ultrasound import sampled, session_response
from osteon.treatments.focused_ultrasound.access import search_window
from osteon.treatments.focused_ultrasound.access_looks import scene_of
from osteon.treatments.focused_ultrasound.bands import Samples, which_matters
from osteon.treatments.focused_ultrasound.beam import ArrayPose
from osteon.treatments.focused_ultrasound.bone_face import face_of
from osteon.treatments.focused_ultrasound.lattice import lattice
from osteon.treatments.focused_ultrasound.sampled import influence_words, sample_sonication
from osteon.treatments.focused_ultrasound.session import plan_session
from osteon.treatments.focused_ultrasound.session_power import power_of
from osteon.treatments.focused_ultrasound.session_response import BODY_C, Response, cell_of, pose_of, respond_all
from osteon.treatments.focused_ultrasound.session_setup import prepare
from osteon.treatments.focused_ultrasound.shots import Aim
from osteon.treatments.focused_ultrasound.transducer import Transducer, transducer

LESION, DEVICE, VOXEL_MM = structure("lesion"), "exablate-body-208", 1.5
CELLS_MM, ON_S, OFF_S = (5.0, 8.0), 30.0, 90.0
SONICATIONS, DRAWS, FINER = 20, 50, 4.0  # points in a wave, of sound; the plan has 3
HALF_MM = 2.0  # of the cube of places that a cell must kill


def patient() -> tuple[Anatomy, list[Aim], Transducer]:
    """Return the iliac phantom on the voxels of a session, places on its cortex from the middle outward, and the array."""
    made = build("ilium", spacing_mm=1.0)
    grid = made.image.grid
    absent = frozenset(structure(n) for n in made.absent)
    anatomy = Anatomy(Volume(np.ones(grid.shape, bool), grid), made.image, made.masks, absent, contrast=False)
    window = search_window(anatomy, LESION, DEVICE, scene=scene_of(anatomy, LESION, [DEVICE]))
    axis = window.best.pose.axis
    aims = lattice(anatomy, LESION, "direct", CELLS_MM, axis, face=face_of(anatomy, LESION, axis))
    spots = np.array([aim.spot_mm for aim in aims])
    order = np.argsort(np.linalg.norm(spots - spots.mean(axis=0), axis=1), kind="stable")
    low, high = grid.corners_mm().min(axis=0), grid.corners_mm().max(axis=0)
    box = Grid.box(low, low + np.floor((high - low) / VOXEL_MM) * VOXEL_MM, VOXEL_MM)
    return anatomy.on(box), [aims[i] for i in order], transducer(DEVICE)


def say(name: str, seconds: float, bar: str, error: str, note: str) -> None:
    machine = f"triad {memory_triad():5.1f} GB/s  threads {numba.get_num_threads()}  load {load():.2f}"
    print(f"{name:<44} {seconds:7.1f} s  {bar:<12} error {error}  {machine}  {note}", flush=True)


def samples() -> None:
    anatomy, aims, device = patient()
    aim = aims[0]
    pose = ArrayPose.aimed(aim.focus_mm, aim.beam, 1e3 * device.radius_m)
    setup = prepare(anatomy, acoustic_map(anatomy, device.frequency_hz), device, [aim])
    cube = np.stack(np.meshgrid(*[np.linspace(-HALF_MM, HALF_MM, 3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    began = time.perf_counter()
    (response,) = respond_all(setup, [aim], ON_S, OFF_S, poses={aim.id: pose})
    fine_s = time.perf_counter() - began
    power = power_of(setup, response).needed_w
    draw = sampled.Draw(
        sampled.cut_out(anatomy, device, aim, pose, sampled.BEYOND_MM, sampled.HALF_BOX_MM), DEVICE, aim, pose, power, ON_S, OFF_S
    )
    sent = len(pickle.dumps(draw)) / 1e6
    began = time.perf_counter()
    found = sample_sonication(
        anatomy, DEVICE, aim, pose, power, ON_S, OFF_S, places_mm=np.array(aim.spot_mm) + cube, count=DRAWS, executor=Local(2)
    )
    seconds = time.perf_counter() - began
    note = (
        f"{len(found.failed)} draws failed; {len(found.values)} constants; {sent:.1f} MB sent a draw; plan's run {fine_s:.1f} s"
    )
    say(f"{DRAWS} draws of one sonication, 2 processes", seconds, "bar 120 s", coarse_error(found, response, power), note)
    for name in ("spot_c", "needed_w", "hottest_c", "hottest:skin", "cell_width_mm", "killed_share"):
        moved = ", ".join(f"{influence_words(one)} {100 * one.share:.0f} %" for one in which_matters(found, name)[:3])
        print(f"  {name:<14} {found.band(name)} {sampled.described(name)[1]}; moved by {moved or 'nothing that stands out'}")


def coarse_error(found: Samples, response: Response, power_w: float) -> str:
    """Return how the nominal draw differs from the plan's own response."""
    skin = max(part["skin"].top for part in (response.near, response.beam) if "skin" in part)
    pairs = {
        "rise at the spot": ((found.nominal["spot_c"] - BODY_C), power_w * float(response.targets.max())),
        "hottest": ((found.nominal["hottest_c"] - BODY_C), power_w * response.box.top),
        "power": (found.nominal["needed_w"], power_w),
        "absorbed": (found.nominal["absorbed_w"], power_w * response.absorbed_w),
        "skin": (found.nominal["hottest:skin"] - BODY_C, power_w * skin),
        "width": (found.nominal["cell_width_mm"], cell_of(response, power_w)[0]),
    }
    return ", ".join(f"{name} {100 * (ours / plans - 1):+.0f} %" for name, (ours, plans) in pairs.items())


def session() -> None:
    anatomy, aims, device = patient()
    aims = aims[:SONICATIONS]
    sound = acoustic_map(anatomy, device.frequency_hz)
    began = time.perf_counter()
    setup = prepare(anatomy, sound, device, aims)
    responses = respond_all(setup, aims, ON_S, OFF_S, executor=Local(2))
    responded = time.perf_counter() - began
    found = plan_session(anatomy, sound, device, aims, on_s=ON_S, off_s=OFF_S, setup=setup)
    seconds = time.perf_counter() - began
    power = power_of(setup, responses[0]).needed_w
    finer = prepare(anatomy, sound, device, aims[:1], points_per_wavelength=FINER)
    (one,) = respond_all(finer, aims[:1], ON_S, OFF_S, poses={aims[0].id: pose_of(setup, aims[0])})
    with mock.patch.object(session_response, "FINE_MM", session_response.FINE_MM / 1.5):
        (two,) = respond_all(prepare(anatomy, sound, device, aims[:1]), aims[:1], ON_S, OFF_S)
    off = [100 * (power / power_of(setup, r).needed_w - 1) for r in (one, two)]
    balance = max(found.ended.energy_balance, *(r.energy_balance for r in responses))
    error = (
        f"energy {balance:.1e}; power {off[0]:+.1f} % of that with {FINER:g} cells a wave, {off[1]:+.1f} % of that with voxels "
        f"of {session_response.FINE_MM / 1.5:.2g} mm"
    )
    given = [d.needed_w for d in found.dosed if d.given]
    note = (
        f"responses {responded:.1f} s, powers and run {seconds - responded:.1f} s; {len(given)} given, "
        f"{min(given, default=0):.0f} to {max(given, default=0):.0f} W, {found.measures['minutes']:.0f} min; {found.ended.how}"
    )
    say(f"session of {SONICATIONS}, 2 processes", seconds, "bar 240 s", error, note)


PARTS = {"samples": samples, "session": session}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
