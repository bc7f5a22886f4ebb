"""What every benchmark prints beside its figure: how busy the machine was, and how fast its memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numba
import numpy as np


def best_of(work: Callable[[], object], times: int = 5) -> float:
    """Return the shortest wall time [s] of ``work`` over ``times`` runs after one that does not count."""
    work()
    best = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best


@numba.njit(fastmath=True, parallel=True)
def _triad(a, b, c, s):
    for i in numba.prange(a.size):
        a[i] = b[i] + s * c[i]


def memory_triad(count: int = 1 << 24) -> float:
    """Return the float32 triad a = b + s c [GB/s], 12 bytes per element, with numba's present number of threads."""
    a, b, c = np.zeros(count, np.float32), np.ones(count, np.float32), np.ones(count, np.float32)
    return 12 * count / best_of(lambda: _triad(a, b, c, np.float32(3))) / 1e9


def load() -> float:
    """Return the load average of the last minute."""
    return os.getloadavg()[0]


def line(name: str, size: str, nanoseconds: float, bytes_per_voxel: float, error: float, note: str = "") -> None:
    """Print one engine on one line, with the triad and load of the same minute."""
    speed = f"{nanoseconds:8.3f} ns/voxel/step  {bytes_per_voxel:3.0f} B/voxel  {bytes_per_voxel / nanoseconds:5.1f} GB/s"
    machine = f"triad {memory_triad():5.1f} GB/s  threads {numba.get_num_threads()}  load {load():.2f}"
    print(f"{name:<34} {size:>6} {speed}  {machine}  error {error:.1e}  {note}".rstrip(), flush=True)
