"""A vertebra between cement plates, pressed to failure: `python benchmarks/bench_collapse.py [voxel_mm ...]`.

Cortical shell of one voxel, inside a random texture of 0.05 to 0.25 g/cc with modulus and yield by Kopperdahl 2002 (strength
reference, 3.3), 10 mm of cement without yield at both ends, frictionless plates; with and without a lytic hole. To 1.9 % of the
height, plateau over 0.2 mm. Times are wall time from modulus to curve, best of 3, how they split, and with the curve itself as
start. Error: the last load against the same fixed point a hundred times tighter. Peers: none is installed that solves this (FAIM
is closed).
"""

from __future__ import annotations

import sys
import time
from collections import Counter

import numba
import numpy as np
from common import best_of, load, memory_triad
from scipy import ndimage

from osteon.physics import collapse_steps
from osteon.physics.collapse import Caps, collapse, linear
from osteon.physics.elasticity import Model, Support

HALF_MM, HEIGHT_MM, CEMENT_MM, HOLE_MM, STRAIN, OVER_M = (21.0, 27.0), 32.0, 10.0, 11.0, 0.019, 0.2e-3


def vertebra(voxel_mm: float, hole: bool) -> tuple[Model, Caps, Support]:
    """Return model, caps and plates that close by 1 m per factor 1."""
    shape = tuple(round(n / voxel_mm) for n in (HEIGHT_MM + 2 * CEMENT_MM, 2 * HALF_MM[0] + 2, 2 * HALF_MM[1] + 2))
    z, y, x = ((np.indices(shape)[i] - 0.5 * (shape[i] - 1)) * voxel_mm for i in range(3))
    inside = np.hypot(y / HALF_MM[0], x / HALF_MM[1]) <= 1.0
    body = inside & (np.abs(z) < 0.5 * HEIGHT_MM)
    noise = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal(shape), 1.0 / voxel_mm)
    noise = (noise - noise.min()) / np.ptp(noise)
    density = np.where(ndimage.binary_erosion(body), 0.05 + 0.2 * noise, 0.6)
    modulus = np.where(inside, 2.5e9, 0.0)
    modulus[body] = 2980e6 * density[body] ** 1.05
    cap = np.where(body, 37.4e6 * density**1.39, np.inf)
    if hole:
        void = body & (z**2 + (y + 8.0) ** 2 + (x + 7.0) ** 2 < HOLE_MM**2)
        modulus[void], cap[void] = 7e6, 0.1e6
    mask, moved = np.zeros((*(n + 1 for n in shape), 3), bool), np.zeros((*(n + 1 for n in shape), 3))
    mask[[0, -1], ..., 0], moved[-1, ..., 0] = True, -1.0
    y0, x0 = np.argwhere(inside[0])[0]
    mask[0, y0, x0] = mask[0, y0, x0 + 1, 1] = True
    return Model(modulus, 0.3, voxel_mm * 1e-3), Caps(cap, np.full(shape, np.inf)), Support(mask, moved)


def split(model: Model, caps: Caps, support: Support, most: float) -> Counter[str]:
    """Return where one run spends its time [s]."""
    spent: Counter[str] = Counter()

    def timed(name: str, method):
        def run(*args, **more):
            began = time.perf_counter()
            found = method(*args, **more)
            spent[name] += time.perf_counter() - began
            return found

        return run

    kept = {n: getattr(collapse_steps.Settling, n) for n in ("_take", "_march", "utilisation")}
    words = {"_take": "set-up", "_march": "gradients", "utilisation": "caps"}
    try:
        for name, method in kept.items():
            setattr(collapse_steps.Settling, name, timed(words[name], method))
        began = time.perf_counter()
        collapse(model, caps, support, most_factor=most, plateau_over=OVER_M)
        spent["rest and linear"] = time.perf_counter() - began - sum(spent.values())
    finally:
        for name, method in kept.items():
            setattr(collapse_steps.Settling, name, method)
    return spent


def main(sizes: list[float]) -> None:
    """Print each size on one line, intact and with a hole."""
    for voxel_mm in sizes:
        for hole in (False, True):
            model, caps, support = vertebra(voxel_mm, hole)
            most = STRAIN * HEIGHT_MM * 1e-3
            elastic = best_of(lambda: linear(model, caps, support), 3)  # noqa: B023
            seconds = best_of(lambda: collapse(model, caps, support, most_factor=most, plateau_over=OVER_M), 3)  # noqa: B023
            found = collapse(model, caps, support, most_factor=most, plateau_over=OVER_M)
            again = best_of(lambda: collapse(model, caps, support, most_factor=most, plateau_over=OVER_M, start=found), 1)  # noqa: B023
            parts = "  ".join(f"{name} {value:.2f}" for name, value in split(model, caps, support, most).items())
            shipped, collapse_steps.CHANGE = collapse_steps.CHANGE, collapse_steps.CHANGE / 100.0
            truth = collapse(model, caps, support, most_factor=most, plateau_over=OVER_M, tolerance=1e-6)
            collapse_steps.CHANGE = shipped
            error = abs(found.load[-1] / np.interp(found.factor[-1], truth.factor, truth.load) - 1.0)
            name, count = "lytic hole" if hole else "intact", int((model.modulus_pa > 0).sum())
            work = f"{found.steps} factors {found.solves} solutions {found.cg_iterations} iterations"
            machine = f"triad {memory_triad():5.1f} GB/s  threads {numba.get_num_threads()}  load {load():.2f}"
            print(
                f"osteon failure, {name:<10} {count:>7} elements  linear {elastic:.2f} s  failure {seconds:.2f} s best of 3  "
                f"started {again:.2f} s  ({parts})  {work}  {found.load[-1]:.1f} N {found.ended}  error {error:.1e}  {machine}",
                flush=True,
            )


if __name__ == "__main__":
    main([float(a) for a in sys.argv[1:]] or [1.0])
