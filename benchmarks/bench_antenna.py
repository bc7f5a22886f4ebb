"""Antenna: time and error on one line for each mesh, then for each device and for the placing in voxels."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from osteon.space.volume import Grid
from osteon.treatments.base import NeedlePose
from osteon.treatments.microwave.antenna import Medium, devices, solve
from osteon.treatments.microwave.pattern import place

try:
    from common import best_of, load, triad_gb_s
except ImportError:  # run from elsewhere

    def best_of(fn: Any, n: int = 5) -> float:
        times = []
        for _ in range(n):
            began = time.perf_counter()
            fn()
            times.append(time.perf_counter() - began)
        return min(times)

    def load() -> float:
        import os

        return os.getloadavg()[0]

    def triad_gb_s() -> float:
        a, b = np.ones(20_000_000, np.float32), np.ones(20_000_000, np.float32)
        c = np.empty_like(a)
        return 3 * a.nbytes / best_of(lambda: np.add(a, b, out=c)) / 1e9


LIVER_915 = Medium.uniform(46.8, 0.861)  # Gabriel 1996
REFERENCE_W = 9.35  # thermal.md T6: absorbed of 10 W


def main() -> None:
    print(f"antenna FEM, unknown u = r H_phi | triad {triad_gb_s():.0f} GB/s, load {load():.1f}")
    liver = Medium.uniform(43.03, 1.69)
    entry = devices()["saito-2450"]
    for refine, repeat in ((1, 5), (2, 5), (5, 1)):
        began = time.perf_counter()
        pattern = solve(entry, liver, refine)
        first = time.perf_counter() - began
        again = best_of(lambda n=refine: solve(entry, liver, n), repeat)
        print(
            f"  {pattern.heating.size / 1000:6.1f} k cells  first {first:7.3f} s  again {again:7.3f} s"
            f"  absorbed {10 * pattern.absorbed_fraction:.4f} W  error {10 * pattern.absorbed_fraction - REFERENCE_W:+.4f} W"
            f"  S11 {pattern.reflection_db:.2f} dB  balance {pattern.balance:.5f}"
        )
    for name, device in devices().items():
        medium = LIVER_915 if device["frequency"]["value"] < 1e9 else liver
        pattern = solve(device, medium)
        again = best_of(lambda d=device, m=medium: solve(d, m))
        print(
            f"  {name:16s} {pattern.heating.size / 1000:5.1f} k cells  {again:6.3f} s  absorbed {pattern.absorbed_fraction:.3f}"
            f"  reflected {pattern.reflected_fraction:.3f}  balance error {pattern.balance - 1:+.5f}"
        )
    pattern = solve(devices()["eco-100a1-14g"], liver)
    grid = Grid.box(np.full(3, -60.0), np.full(3, 59.0), 1.0)
    direction = np.array([0.36, -0.48, 0.8])
    pose = NeedlePose(tuple(-140 * direction), tuple(10 * direction))  # type: ignore[arg-type]
    heat = place(pattern, pose, grid)
    again = best_of(lambda: place(pattern, pose, grid))
    error = heat.sum(dtype=float) * 1e-9 / pattern.absorbed_fraction - 1
    print(f"  place in {grid.shape} at 1 mm  {again:6.3f} s  power in the grid {error:+.1e} of what is absorbed (rest outside)")


if __name__ == "__main__":
    main()
