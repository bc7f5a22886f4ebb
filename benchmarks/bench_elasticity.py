"""A porous cylinder with a hole, squeezed between clamped ends, to 1e-6: `python benchmarks/bench_elasticity.py [n ...]`.

Strength reference, section 4: cortical shell of 17 GPa, random porous inside of 50 to 3000 MPa with voids, a lytic hole. n voxels
across and along; about 0.6 n^3 elements. The moduli are 41 steps, so that every code gets the same ones. Times are from modulus
to result, best of 5 (3 above 1 M elements), on all threads and on one; set-up is the same call without an iteration. Each size
runs in a process of its own: its peak is resident memory with Python, numpy and numba in it (about 0.2 GB). Error: reaction
against our own to 1e-9.

Peers, one run each, same elements, moduli and supports, as many ranks as threads: parosol-py (GPL, extra `bench` only; wall time
with its files, and its own clock) and CalculiX (`ccx` on the path or in $CCX; 20,000 elements directly, then up to 0.25 M by its
iterative solver). C3D8 of CalculiX is our element, 2 x 2 x 2 points: solved directly, the reaction is equal to all digits that it
prints. What differs is the end of its iterative solver (9000 elements: 1e-4 with the Cholesky, 4e-6 with the scaling
preconditioner). The 1 % of the strength reference came of moduli that were rounded for it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numba
import numpy as np
from common import best_of, load, memory_triad
from elasticity_peers import beside_calculix, beside_parosol, peak_gb
from scipy import ndimage

from osteon.physics.elasticity import Model, Support, solve
from osteon.physics.elasticity_bodies import find_bodies

SIDE_M, STRAIN, POISSON = 40e-3, -0.01, 0.3
CORTEX, HOLE = 0.06, 0.2  # of the width
VOID = -0.7  # of a standard normal texture: about a quarter is empty
STEPS = np.geomspace(50e6, 3e9, 40)
BIG, CALCULIX_MOST, SMALL = 1_000_000, 250_000, 32
DIRECT, ITERATIVE = "SPOOLES", "ITERATIVE SCALING"


class Problem:
    """The cylinder on n x n x n voxels."""

    def __init__(self, n: int) -> None:
        self.n, self.h = n, SIDE_M / n
        noise = ndimage.gaussian_filter(np.random.default_rng(6).standard_normal((n, n, n), np.float32), 1.0)
        noise /= noise.std()
        z, y, x = np.meshgrid(*((np.arange(n) + 0.5) / n - 0.5,) * 3, indexing="ij", sparse=True)
        radius = np.hypot(y, x)
        step = np.clip((noise - VOID) / 2.5 * len(STEPS), 0, len(STEPS) - 1).astype(int)
        inside = np.where(noise > VOID, STEPS[step], 0.0)
        e = np.where(radius < 0.5 - CORTEX, inside, 17e9)
        e[np.broadcast_to(radius >= 0.5, e.shape)] = 0.0
        e[z**2 + y**2 + (x - 0.22) ** 2 < HOLE**2] = 0.0
        self.mask = np.zeros((n + 1, n + 1, n + 1, 3), bool)
        self.mask[[0, -1]] = True
        self.given = np.zeros(self.mask.shape)
        self.given[-1, ..., 0] = STRAIN * SIDE_M
        kept = find_bodies(e > 0.0, self.mask, self.given, np.zeros_like(self.mask)).kept
        self.modulus = np.where(kept, e, 0.0).astype(np.float32).astype(float)
        self.elements = int(kept.sum())

    def ours(self, tolerance: float = 1e-6, most: int = 500):
        return solve(Model(self.modulus, POISSON, self.h), Support(self.mask, self.given), tolerance=tolerance, most=most)


def measure(n: int, threads: int) -> None:
    """Print what one size costs as JSON; alone in its process, so that the peak is its own."""
    numba.set_num_threads(threads)
    p = Problem(n)
    times = 5 if p.elements <= BIG else 3
    seconds = best_of(p.ours, times)
    ready = best_of(lambda: p.ours(most=0), times)  # checks, pieces, levels, the first residual, the reactions
    found = p.ours()
    peak = peak_gb(os.getpid())
    truth = p.ours(1e-9)
    unknowns = int(3 * (np.abs(found.displacement).sum(-1) > 0).sum())
    figures = {
        "elements": p.elements, "unknowns": unknowns, "threads": threads, "seconds": seconds, "ready": ready, "times": times,
        "peak_gb": peak, "how": found.how, "iterations": found.iterations, "residual": found.residual,
        "reaction_n": found.reaction_n[0], "truth_n": truth.reaction_n[0],
    }  # fmt: skip
    print(json.dumps(figures))


def ours(n: int, threads: int) -> dict:
    command = [sys.executable, __file__, "--one", str(n), str(threads)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    numba.set_num_threads(threads)
    error = abs(found["reaction_n"] / found["truth_n"] - 1.0)
    machine = f"triad {memory_triad():5.1f} GB/s  threads {threads}  load {load():.2f}"
    print(
        f"osteon elasticity, 1e-6   {found['elements']:>8} elements {found['unknowns']:>8} unknowns {found['seconds']:7.2f} s "
        f"best of {found['times']} {found['iterations']:3d} iterations  peak {found['peak_gb']:.2f} GB  "
        f"reaction {found['reaction_n']:.4f} N  error {error:.1e}  residual {found['residual']:.1e}  {found['how']}  {machine}",
        flush=True,
    )
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    return found


def peers(n: int, found: dict, solver: str) -> bool:
    """Run the other codes on one size; alone in their process, so that their peak is not ours."""
    p, same = Problem(n), True
    with tempfile.TemporaryDirectory() as folder:
        if solver != DIRECT:
            same = beside_parosol(p, found, Path(folder))
        if p.elements <= CALCULIX_MOST:
            beside_calculix(p, found, Path(folder), os.environ.get("CCX", "ccx"), solver)
    return same


def slopes(sizes: list[int], runs: list[dict]) -> None:
    """Print the slope of one number of threads and its parts: slopes of iterations and of seconds an iteration add up to it."""
    elements, iterations, seconds, ready = (
        np.array([r[key] for r in runs], float) for key in ("elements", "iterations", "seconds", "ready")
    )

    def slope(values):
        return float(np.polyfit(np.log(elements), np.log(values), 1)[0])

    each = (seconds - ready) / iterations
    print(
        f"slope of log time over log elements, {runs[0]['elements']} to {runs[-1]['elements']}, {runs[0]['threads']} thread(s): "
        f"{slope(seconds):.3f} (wanted 0.95 to 1.1) = iterations {slope(iterations):+.3f} and time an iteration "
        f"{slope(seconds / iterations):.3f}; without set-up {slope(each * iterations):.3f}, set-up {slope(ready):.3f}; "
        f"if time went with the nodes of the box {slope([(n + 1.0) ** 3 for n in sizes]):.3f}"
    )
    for n, count, r, one in zip(sizes, elements, runs, each, strict=True):
        print(
            f"  n {n:4d}  {r['iterations']:3d} iterations of {1e9 * one / count:6.1f} ns an element, set-up "
            f"{1e9 * r['ready'] / count:6.1f} ns an element ({100 * r['ready'] / r['seconds']:.0f} % of the time)"
        )


def main(sizes: list[int]) -> bool:
    many, alone, most, same = [], [], numba.config.NUMBA_NUM_THREADS, True
    for n in [SMALL, *sizes]:
        found = ours(n, most)
        one = ours(n, 1) if most > 1 else found
        if n != SMALL:
            many.append(found)
            alone.append(one)
        command = [sys.executable, __file__, "--peers", str(n), json.dumps(found), DIRECT if n == SMALL else ITERATIVE]
        same = subprocess.run(command, check=False).returncode == 0 and same
    if len(sizes) > 1:
        for runs in [alone, many] if most > 1 else [alone]:
            slopes(sizes, runs)
    return same


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measure(int(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] == ["--peers"]:
        sys.exit(0 if peers(int(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4]) else 1)
    elif not main([int(a) for a in sys.argv[1:]] or [56, 70, 92, 126, 150]):
        sys.exit("bench_elasticity: parosol-py found another reaction")
