"""Ways in and their Pareto set: time, best of 5, beside the error of a known scene. Run: python benchmarks/bench_planning.py."""

import os
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from osteon.planning.maps import build_maps
from osteon.planning.trajectory import pareto, search_paths
from osteon.space.anatomy import structure
from planning.scene import ACCESS, SKIN_MM, block

LESION, HIP = structure("lesion"), structure("hip_right")


def best_of(run, times=5):
    """Return the least wall time [s] and the last result."""
    least, result = np.inf, None
    for _ in range(times):
        start = time.perf_counter()
        result = run()
        least = min(least, time.perf_counter() - start)
    return least, result


def triad_gb_s():
    """Return the memory triad of this minute [GB/s]."""
    a, b, c = (np.ones(20_000_000) for _ in range(3))

    def run():
        np.multiply(c, 3.0, out=a)
        np.add(a, b, out=a)

    return 5 * 8 * len(a) / best_of(run)[0] / 1e9


def brute_force(points):
    """Return the non-dominated rows, quadratically."""
    costs = points * np.array([1, -1, 1, 1, 1, 1])
    return [i for i, row in enumerate(costs) if not ((costs <= row).all(axis=1) & (costs < row).any(axis=1)).any()]


def main():
    print(f"triad {triad_gb_s():.1f} GB/s, load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    anatomy = block(spacing=1.0, lesion_at=(30.0, 0.0, 0.0), nerve_at=(30.0, 30.0))
    voxels = int(np.prod(anatomy.grid.shape))
    aims = np.array([[30.0, 0.0, 0.0]] * 1)
    seconds, _ = best_of(lambda: build_maps(anatomy, aims[0], ACCESS.max_depth_mm, {HIP}, LESION))
    print(f"maps of {voxels / 1e6:.1f} M voxels: {seconds:.3f} s")
    for count in (10_000, 100_000):
        points = aims + np.random.default_rng(1).uniform(-6, 6, (10 if count > 20_000 else 1, 3))
        points[0] = aims[0]
        seconds, found = best_of(
            lambda n=count, p=points: search_paths(anatomy, LESION, ACCESS, HIP, positions=("supine",), aims=p, candidates=n)
        )
        shortest = min(p.objectives["length_mm"] for p in found.pareto)
        known = min(SKIN_MM - np.abs(points).max(axis=1))  # straight through the nearest face
        error = shortest - known
        print(
            f"{found.candidates} candidates with maps: {seconds:.3f} s, {found.feasible} feasible, {len(found.pareto)} Pareto; "
            f"shortest way {shortest:.1f} mm, {error:+.1f} mm of the known one"
        )
    points = np.random.default_rng(0).uniform(0, 1, (57_102, 6)).round(1)
    seconds, kept = best_of(lambda: pareto(points))
    few = points[:1500]
    same = {tuple(few[i]) for i in pareto(few)} == {tuple(few[i]) for i in brute_force(few)}
    print(f"Pareto of 57102 x 6: {seconds:.3f} s, {len(kept)} kept; equals brute force on 1500: {same}")


if __name__ == "__main__":
    main()
