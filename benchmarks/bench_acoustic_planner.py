"""The planner of ultrasound and its entry plane: `python benchmarks/bench_acoustic_planner.py [part ...]`.

Parts: entry, soft, bone, frequency, processes, peers (default: all). Times are best of 5 unless said, in one room (as whoever
marches many sonications does), beside them the time in fresh memory. Errors: of the entry plane, largest difference from full
sums over peak, at some targets; of the planner, the same from exact flat layers behind the last face, within 20 mm of the axis,
of one cut entry plane on a grid twice as wide, so that nothing comes round its edges. Peers run one slab in a process each, with
this Python or the one named by OSTEON_PEERS_PYTHON.
"""

from __future__ import annotations

import math
import multiprocessing as mp
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import acoustic_peers
import numba
import numpy as np
from common import best_of, load, memory_triad

from osteon.physics import acoustic_entry, acoustic_sources
from osteon.physics.acoustic_entry import Plane, entry_plane
from osteon.physics.acoustic_layers import Layer, Medium, Stack, solve, vertical
from osteon.physics.acoustic_planner import Room, march
from osteon.physics.acoustic_wave import Entry, Media
from osteon.physics.acoustic_wave import solve as full_wave
from osteon.treatments.focused_ultrasound.transducer import transducer

N, PLANES, SPACING, HZ = 320, 400, 5e-4, 1e6
WATER, SKIN, FAT, MUSCLE, CORTICAL, MARROW = range(6)
NUMBERS = (  # density, speed, attenuation at 1 MHz, shear speed, its attenuation: the acoustics reference, section 4
    (1000, 1500, 0.025, 0, 0), (1116, 1600, 9, 0, 0), (920, 1450, 6, 0, 0), (1075, 1575, 7, 0, 0), (1850, 2800, 162, 1550, 329),
    (980, 1410, 4, 0, 0),
)  # fmt: skip
SOFT = ((WATER, 40), (SKIN, 4), (FAT, 36), (MUSCLE, 320))
BONE = ((WATER, 40), (SKIN, 4), (FAT, 36), (MUSCLE, 40), (CORTICAL, 12), (MUSCLE, 268))
FOCUS_M, ACROSS_M = 0.13, 0.02
BEGIN_M = 0.05  # of the box: where the cone of the array is 95 mm wide, well within 160 mm less its rim
LEFT = 2.0  # rim of the slab that is not compared, in waists


def media(hz: float) -> tuple[Medium, ...]:
    share = hz / 1e6
    return tuple(Medium(r, c, a * share, s, b * share) for r, c, a, s, b in NUMBERS)


def say(name: str, seconds: float, bar: str, error: str, note: str = "") -> None:
    machine = f"triad {memory_triad():5.1f} GB/s  threads {numba.get_num_threads()}  load {load():.2f}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{name:<46} {seconds:8.3f} s  {bar:<14} error {error}  peak {peak:.1f} GB  {machine}  {note}".rstrip(), flush=True)


def array(hz: float, n: int, spacing: float, z: float | None = None) -> tuple[acoustic_sources.Source, np.ndarray, Plane]:
    """The research array of 256 elements and a plane at ``z``, or half a wavelength before its rim."""
    device = transducer("research-256-1mhz")
    source = device.source
    velocity = device.drive(np.array([0, 0, FOCUS_M]), 50.0, 1000.0, 1500.0) if hz == HZ else None
    if velocity is None:
        velocity = 0.1 * acoustic_sources.focus_drive(source, np.array([0, 0, FOCUS_M]), hz, 1500.0)
    z = float(source.points_m[:, 2].max()) + 750.0 / hz if z is None else z
    return source, velocity, Plane.level(z, (n, n), spacing)


def pressure(hz: float = HZ, n: int = N, spacing: float = SPACING) -> np.ndarray:
    source, velocity, plane = array(hz, n, spacing, BEGIN_M)
    return entry_plane(source, velocity, plane, hz, density_kg_m3=1000.0, speed_m_s=1500.0).pressure_pa


def entry() -> None:
    source, velocity, plane = array(HZ, N, SPACING)
    fluid = {"density_kg_m3": 1000.0, "speed_m_s": 1500.0}
    found = entry_plane(source, velocity, plane, HZ, **fluid)
    at = np.random.default_rng(0).integers(0, N * N, 200)
    places, ours = plane.targets_m.reshape(-1, 3)[at], found.pressure_pa.ravel()[at]
    centres = source.centres_m
    radius = math.sqrt(source.element_areas_m2[0] / math.pi)
    fine = acoustic_sources.array(centres, [0, 0, FOCUS_M] - centres, radius, 1500.0 / HZ / 24)
    peak = np.abs(found.pressure_pa).max()
    off = [np.abs(acoustic_sources.field(s, velocity, places, HZ, **fluid) - ours).max() / peak for s in (fine, source)]
    error = f"{off[0]:.1e} (cells of 1/24 wavelength; said {found.error:.1e}; cells of the device, 1/4: {off[1]:.1e})"
    say(
        "entry plane, 256 elements, 320^2", best_of(lambda: entry_plane(source, velocity, plane, HZ, **fluid)), "bar 0.4 s", error
    )
    acoustic_entry._table.cache_clear()
    began = time.perf_counter()
    entry_plane(source, velocity, plane, HZ, **fluid)
    print(f"  with the table to be made: {time.perf_counter() - began:.3f} s, once for a device and frequency", flush=True)


def layers_of(pieces: tuple[tuple[int, int], ...], n: int) -> np.ndarray:
    return np.concatenate([np.full((count, n, n), medium, np.uint8) for medium, count in pieces])


def radial(n: int, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Transverse wavenumbers of a grid without repetition, and where each belongs."""
    i = np.fft.fftfreq(n, 1 / n).astype(int)
    squares, back = np.unique(i[:, None] ** 2 + i**2, return_inverse=True)
    return 2 * math.pi * np.sqrt(squares) / (n * spacing), back.reshape(n, n)


def exact(plane: np.ndarray, pieces: tuple[tuple[int, int], ...], hz: float, spacing: float, cells: list[int]) -> np.ndarray:
    """Exact pressure on planes behind the last face, on the grid of ``plane``."""
    n = len(plane)
    wide = np.zeros((2 * n, 2 * n), complex)
    wide[n // 2 : n // 2 + n, n // 2 : n // 2 + n] = plane
    xi, back = radial(2 * n, spacing)
    kinds = media(hz)
    stack = Stack(
        kinds[pieces[0][0]], tuple(Layer(kinds[m], c * spacing) for m, c in pieces[1:-1]), kinds[pieces[-1][0]], hz
    )  # fmt: skip
    parts = [solve(stack, part).transmitted for part in np.array_split(xi, max(1, len(xi) // 8000))]
    first, last = (vertical(m.wavenumber(hz), xi) for m in (stack.first, stack.last))
    factor = np.exp(1j * first * pieces[0][1] * spacing) * np.concatenate(parts)
    spectrum = np.fft.fft2(wide)
    front = sum(c for _, c in pieces[:-1])
    planes = [np.fft.ifft2(spectrum * (factor * np.exp(1j * last * (k - front) * spacing))[back]) for k in cells]
    return np.stack(planes)[:, n // 2 : n // 2 + n, n // 2 : n // 2 + n]


def off_exact(found: np.ndarray, plane: np.ndarray, pieces: tuple[tuple[int, int], ...], hz: float, spacing: float) -> str:
    """Largest difference behind the last face, within ACROSS_M of the axis."""
    n, last = len(plane), sum(c for _, c in pieces)
    front = last - pieces[-1][1]
    cells = np.linspace(front + 4, last - 4, 7).astype(int).tolist()
    true = exact(plane, pieces, hz, spacing, cells)
    near = np.abs(np.arange(n) - n // 2) * spacing <= ACROSS_M
    part = np.ix_(range(len(cells)), near, near)
    worst = np.abs(found[cells] - true)[part].max() / np.abs(true).max()
    return f"{worst:.1e} (peak {np.abs(found[cells])[part].max() / np.abs(true)[part].max() - 1:+.1e})"


def absorbed(found: object, plane: np.ndarray, pieces: tuple[tuple[int, int], ...], hz: float, spacing: float) -> str:
    """Power absorbed in the bone, ours over exact, where the planner tells its heat."""
    warm = getattr(found, "heat_w_m3", None)
    if warm is None:
        return "heat not told by this planner"
    xi, back = radial(len(plane), spacing)
    kinds = media(hz)
    stack = Stack(kinds[pieces[0][0]], tuple(Layer(kinds[m], c * spacing) for m, c in pieces[1:-1]), kinds[pieces[-1][0]], hz)
    share = solve(stack, xi).absorbed_share[3]
    first = vertical(stack.first.wavenumber(hz), xi)
    power = np.abs(np.fft.fft2(plane)) ** 2 / plane.size * spacing**2 / (2 * 2 * math.pi * hz * stack.first.density_kg_m3)
    there = np.exp(-2 * first.imag * pieces[0][1] * spacing) * first.real
    going = (xi < 2 * math.pi * hz / stack.first.speed_m_s * 0.999)[back]
    true = float((power * (there * share)[back])[going].sum())
    top = sum(c for _, c in pieces[:4])
    ours = float(np.asarray(warm[top : top + pieces[4][1]], float).sum()) * spacing**3
    return f"power absorbed in bone {ours:.3g} W, exact {true:.3g} W ({ours / true - 1:+.1e})"


def soft() -> None:
    plane, labels = pressure(), layers_of(SOFT, N)
    found = march(plane, labels, media(HZ), HZ, SPACING)
    error = off_exact(found.pressure_pa, plane, SOFT, HZ, SPACING)
    held = sum(v.nbytes for v in vars(found).values() if isinstance(v, np.ndarray)) / 1e9
    sweeps = found.sweeps
    del found
    fresh = best_of(lambda: march(plane, labels, media(HZ), HZ, SPACING))
    room = Room()
    seconds = best_of(lambda: march(plane, labels, media(HZ), HZ, SPACING, room=room))
    note = f"{sweeps} sweeps, holds {held:.2f} GB; in fresh memory {fresh:.3f} s"
    say("soft tissue, 320^2 x 400, 4 level layers", seconds, "bar 0.5 s", error, note)


def shaft() -> np.ndarray:
    """Muscle with a shaft of bone along x, 75 mm across, cortex of 5 mm, marrow inside: bone in 150 planes."""
    labels = layers_of(SOFT, N)
    z, y = np.ogrid[:PLANES, :N]
    r = np.hypot(z - (120 + 74.5), y - N / 2) * SPACING * 1e3
    labels[np.broadcast_to((r < 37.5)[:, :, None], labels.shape)] = CORTICAL
    labels[np.broadcast_to((r < 32.5)[:, :, None], labels.shape)] = MARROW
    return labels


def bone() -> None:
    plane, labels = pressure(), layers_of(BONE, N)
    for name, shape, bar in (("flat slab of 6 mm", labels, ""), ("curved shaft", shaft(), "bar 3 s")):
        planes = int((shape == CORTICAL).any(axis=(1, 2)).sum())
        found = march(plane, shape, media(HZ), HZ, SPACING, most_sweeps=3)
        error = off_exact(found.pressure_pa, plane, BONE, HZ, SPACING) if shape is labels else "none known"
        note = absorbed(found, plane, BONE, HZ, SPACING) if shape is labels else f"stairs {found.stairs:.2f}"
        if shape is labels:
            more = march(plane, shape, media(HZ), HZ, SPACING)
            note += f"; {more.sweeps} sweeps: {off_exact(more.pressure_pa, plane, BONE, HZ, SPACING)}"
            del more
        del found
        fresh = best_of(lambda shape=shape: march(plane, shape, media(HZ), HZ, SPACING, most_sweeps=3))
        room = Room()
        seconds = best_of(lambda shape=shape, room=room: march(plane, shape, media(HZ), HZ, SPACING, most_sweeps=3, room=room))
        note += f"; in fresh memory {fresh:.3f} s"
        say(f"bone in {planes} of 400 planes, 3 sweeps, {name}", seconds, bar, error, note)


def frequency() -> None:
    for hz, n in ((5e5, 160), (1e6, 320), (1.5e6, 480)):
        spacing, scale = SPACING * N / n, n / N
        plane = pressure(hz, n, spacing)
        pieces = tuple((m, round(c * scale)) for m, c in SOFT)
        labels = layers_of(pieces, n)
        found = march(plane, labels, media(hz), hz, spacing)
        error = off_exact(found.pressure_pa, plane, pieces, hz, spacing)
        del found
        seconds = best_of(lambda p=plane, s=labels, f=hz, h=spacing: march(p, s, media(f), f, h), 3)
        say(f"{hz / 1e6:g} MHz, soft tissue, {n}^2 x {len(labels)}", seconds, "", error, f"{spacing * 1e3:.3g} mm")


def _sonication(plane: np.ndarray, ready: object, done: object, times: int) -> None:
    numba.set_num_threads(1)
    labels = layers_of(SOFT, len(plane))
    march(plane, labels, media(HZ), HZ, SPACING)
    ready.wait()
    began = time.perf_counter()
    for _ in range(times):
        march(plane, labels, media(HZ), HZ, SPACING)
    done.put((began, time.perf_counter()))


def processes() -> None:
    plane, context, spent = pressure(), mp.get_context("spawn"), []
    for count, times in ((1, 2), (2, 1)):
        best = math.inf
        for _ in range(3):
            ready, done = context.Barrier(count), context.Queue()
            workers = [context.Process(target=_sonication, args=(plane, ready, done, times)) for _ in range(count)]
            for worker in workers:
                worker.start()
            spans = [done.get() for _ in workers]
            for worker in workers:
                worker.join()
            best = min(best, max(end for _, end in spans) - min(begin for begin, _ in spans))
        spent.append(best)
    say("two sonications, one after the other", spent[0], "best of 3", "as above")
    say("two sonications, two processes", spent[1], "best of 3", "as above", f"{spent[0] / spent[1]:.2f} times as fast")


def slab_exact(slab: acoustic_peers.Slab, z: np.ndarray, n: int = 192) -> tuple[np.ndarray, np.ndarray]:
    """Exact pressure in the plane y = middle at ``z`` [cells] in water, and the sheet's own wave on all of the grid."""
    h, hz = slab.spacing_m, slab.frequency_hz
    water, plate = (Medium(density, speed) for speed, density in (slab.water, slab.slab))
    xi, back = radial(n, h)
    thick, front = (slab.after - slab.first) * h, (slab.first - slab.sheet - 0.5) * h
    k_z = vertical(water.wavenumber(hz) + 1e-9j, xi)
    found = solve(Stack(water, (Layer(plate, thick),), water, hz), xi)
    sheet = (np.fft.fft2(slab.gaussian(n)) * (water.wavenumber(hz) / k_z)[back]).astype(complex)
    planes = []
    for depth in (np.asarray(z) - slab.sheet - 0.5) * h:
        if depth <= front:
            factor = np.exp(1j * k_z * depth) + found.reflected * np.exp(1j * k_z * (2 * front - depth))
        else:
            factor = found.transmitted * np.exp(1j * k_z * (depth - thick))
        planes.append(np.fft.ifft2(sheet * factor[back])[n // 2])
    return np.stack(planes), sheet


def slab_off(slab: acoustic_peers.Slab, field: np.ndarray, z: np.ndarray) -> str:
    """Error of a midplane (z, x) at ``z`` [cells] in the water in front and behind, after one common phase."""
    kept = np.flatnonzero(((z > slab.sheet + 3) & (z < slab.first - 1)) | ((z > slab.after + 1) & (z < slab.cells[0] - 3)))
    half = round(LEFT * slab.waist_m / slab.spacing_m) - 2
    true, _ = slab_exact(slab, z[kept])
    true = true[:, 96 - half : 96 + half + 1]
    middle = field.shape[1] // 2
    ours = field[kept, middle - half : middle + half + 1]
    turn = np.vdot(ours, true)
    gap = ours * turn / abs(turn) - true
    return f"{np.abs(gap).max() / np.abs(true).max():.1e} (L2 {np.linalg.norm(gap) / np.linalg.norm(true):.1e})"


def our_slab(slab: acoustic_peers.Slab) -> None:
    h, hz, n = slab.spacing_m, slab.frequency_hz, 192
    water, plate = (Medium(density, speed) for speed, density in (slab.water, slab.slab))
    _, sheet = slab_exact(slab, np.array([3.0]))
    xi, back = radial(n, h)
    k_z = vertical(water.wavenumber(hz) + 1e-9j, xi)
    cut = slice(n // 2 - 48, n // 2 + 48)
    plane = np.fft.ifft2(sheet * np.exp(0.5j * k_z * h)[back])[cut, cut]  # half a cell on, at the face of cells
    labels = np.zeros((slab.cells[0] - slab.sheet - 1, 96, 96), np.uint8)
    labels[slab.first - slab.sheet - 1 : slab.after - slab.sheet - 1] = 1
    found = march(plane, labels, (water, plate), hz, h)
    error = slab_off(slab, found.pressure_pa[:, 48], np.arange(slab.sheet + 1.0, slab.cells[0] + 1.0))
    say("slab: osteon planner", best_of(lambda: march(plane, labels, (water, plate), hz, h)), "", error, f"{found.sweeps} sweeps")
    for finer in (1, 2):
        step, cells = h / finer, [finer * (c - slab.sheet) if i == 0 else finer * c for i, c in enumerate(slab.cells)]
        speed, density = np.full(cells, slab.water[0]), np.full(cells, slab.water[1])
        inside = slice(finer * (slab.first - slab.sheet), finer * (slab.after - slab.sheet))
        speed[inside], density[inside] = slab.slab
        xi, back = radial(finer * n, step)
        k_z = vertical(water.wavenumber(hz) + 1e-9j, xi)
        x = (np.arange(finer * n) - finer * n // 2) * step
        wide = np.fft.fft2(np.exp(-(x[:, None] ** 2 + x**2) / slab.waist_m**2)) * (water.wavenumber(hz) / k_z)[back]
        shift = (0.5 / finer - 0.5) * h  # from the sheet to the first centre
        lit = (xi < water.wavenumber(hz).real)[back]
        plane = np.fft.ifft2(wide * np.where(lit, np.exp(1j * k_z * shift)[back], 0))
        y = finer * n // 2 - cells[1] // 2
        box = Media(density, speed, np.zeros(cells), step)
        source = Entry(plane[y : y + cells[1], y : y + cells[2]], hz)
        began = time.perf_counter()
        wave = full_wave(box, source)
        seconds = time.perf_counter() - began
        z = slab.sheet + (np.arange(cells[0]) + 0.5) / finer
        middle = wave.pressure_pa[:, cells[1] // 2, ::finer]
        error = slab_off(slab, middle, z)
        note = f"{wave.how}, {wave.periods} periods of {wave.steps_per_period} steps, {wave.cells / 1e6:.2f} M cells"
        say(f"slab: osteon full wave, {wave.points_per_wavelength:g} ppw", seconds, "one run", error, note)


def peers() -> None:
    slab = acoustic_peers.Slab()
    our_slab(slab)
    python = Path(os.environ.get("OSTEON_PEERS_PYTHON", sys.executable)).absolute()
    z = np.arange(slab.cells[0]) + 0.5
    for name in acoustic_peers.PEERS:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out.npz"
            words = [python, acoustic_peers.__file__, name, out]
            try:
                ran = subprocess.run(words, capture_output=True, text=True, cwd=folder, check=False)
            except OSError as error:
                print(f"slab: {name} is not here: {error}", flush=True)
                continue
            if ran.returncode or not out.exists():
                why = (ran.stderr.strip().splitlines() or [f"ended with {ran.returncode}"])[-1]
                print(f"slab: {name} is not here: {why}", flush=True)
                continue
            with np.load(out) as found:
                field = found["field"][slab.layers : -slab.layers]
                error = slab_off(slab, field, z)
                note = f"one run, {slab.steps * slab.periods} steps, own peak {float(found['peak_gb']):.2f} GB"
                say(f"slab: {found['version']}", float(found["seconds"]), "", error, note)


PARTS = {"entry": entry, "soft": soft, "bone": bone, "frequency": frequency, "processes": processes, "peers": peers}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
