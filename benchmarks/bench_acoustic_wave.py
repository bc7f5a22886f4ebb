"""Steps of the full wave: fluid, lossless and viscoelastic solid: `python benchmarks/bench_acoustic_wave.py [n]`.

A cube of n cells to which the absorbing layers belong; times are best of 5 blocks of 4 steps, layers included. Bytes: fields,
coefficients and Fourier sums a cell. Error: largest difference from the exact flat plate of 6.5 mm at 0, 20, 40 degrees and 12
points per wavelength, absorbed and passed, as a share of the incident power (none for the lossless one).
"""

from __future__ import annotations

import importlib.util
import math
import sys

import numba
import numpy as np
from common import best_of, line

from osteon.physics.acoustic_wave_kernels import DEPTH
from osteon.physics.acoustic_wave_march import Frame, March
from osteon.physics.acoustic_wave_media import Media
from osteon.validation.slab import ANGLES_DEG, CORTICAL, JUDGED, rows_of

STEPS, HZ, SPACING = 4, 1e6, 1.25e-4


def march(n: int, shear: float, lossy: bool) -> March:
    """A march at rest; the lower half is solid."""
    shape = (n - 2 * DEPTH,) * 3
    solid = np.zeros(shape)
    solid[shape[0] // 2 :] = shear > 0
    media = Media(
        1000.0 + 850.0 * solid, 1500.0 + 1300.0 * solid, (5.0 + 95.0 * solid) * lossy, SPACING,
        shear * solid if shear else None, 250.0 * solid * lossy if shear else None,
    )  # fmt: skip
    return March(media, Frame(media, HZ, (None, None)))


def error(shear: bool) -> float:
    bone = CORTICAL if shear else CORTICAL.as_fluid
    rows = [row for angle in ANGLES_DEG for row in rows_of(JUDGED, angle, bone) if row.tolerance == 3.0]
    return max(abs(row.error or 0.0) for row in rows) / 100


def main(n: int) -> None:
    kinds = (
        ("fluid", 0.0, True, error(False)),
        ("solid, lossless", 1550.0, False, math.nan),
        ("solid, viscoelastic", 1550.0, True, error(True)),
    )
    place, rate = np.array([0]), np.array([1.0])
    for name, shear, lossy, found in kinds:
        run = march(n, shear, lossy)
        cells = math.prod(run.frame.cells)
        where = run.frame.place_of(place[:, None] + np.array([[8, 8, 8]]))
        for threads in sorted({1, numba.config.NUMBA_NUM_THREADS}):
            numba.set_num_threads(threads)
            seconds = best_of(lambda run=run, where=where: [run.advance(where, rate) for _ in range(STEPS)]) / STEPS
            speed = f"{cells / seconds / 1e6:.0f} Mcell/s"
            line(f"osteon full wave, {name}", f"{n}^3", seconds / cells * 1e9, run.frame.bytes / cells, found, speed)
    for peer, module in (("k-wave-python", "kwave"), ("j-wave", "jwave")):
        if importlib.util.find_spec(module) is None:
            print(f"{peer}: not installed, no line")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 184)
