"""A bowl in water: the planner's field through the focus, and its axis beside O'Neil's exact curve."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy.interpolate import CubicSpline

from osteon.physics import acoustic_axis, acoustic_sources
from osteon.physics.acoustic_layers import Medium
from osteon.physics.acoustic_planner import march
from osteon.report.sound_figures import BeamPlane, Curve, curves, sections, write_png

WATER, FREQUENCY_HZ, FACE_PA = Medium(1000.0, 1500.0), 5e5, 60e3
RADIUS_M, APERTURE_M = 0.064, 0.064  # the bowl of the ITRUSST benchmarks
STEP_M, ACROSS, ENTRY_M, END_M = 0.5e-3, 160, 0.02, 0.11


def main(folder: Path, colours: int | None = None) -> float:
    """March the bowl's field, draw it, and return the largest error on the axis as a share of the peak."""
    bowl = acoustic_sources.bowl(RADIUS_M, APERTURE_M, 1500.0 / FREQUENCY_HZ / 8)
    r = np.arange(0, 0.075, 0.2e-3)
    at = np.stack([r, 0 * r, 0 * r + ENTRY_M], axis=-1)
    line = acoustic_sources.field(bowl, FACE_PA / 1.5e6, at, FREQUENCY_HZ, density_kg_m3=1000.0, speed_m_s=1500.0)
    x = (np.arange(ACROSS) - ACROSS // 2) * STEP_M
    entry = CubicSpline(r, line)(np.hypot(x[:, None], x))  # the bowl is round: its entry plane too
    cells = round((END_M - ENTRY_M) / STEP_M)
    found = march(entry, np.zeros((cells, ACROSS, ACROSS), np.uint8), (WATER,), FREQUENCY_HZ, STEP_M)
    z = ENTRY_M + np.arange(cells + 1) * STEP_M
    amplitude = np.abs(found.pressure_pa[:, ACROSS // 2])
    ours = amplitude[:, ACROSS // 2]
    exact = acoustic_axis.bowl_axis_pa(z, RADIUS_M, APERTURE_M, FACE_PA, FREQUENCY_HZ, 1500.0)
    error = float(np.abs(ours - exact).max() / exact.max())
    print(f"peak {ours.max() / 1e3:.1f} kPa at {1e3 * z[ours.argmax()]:.1f} mm; exact {exact.max() / 1e3:.1f} kPa")
    print(f"largest error on the axis: {100 * error:.2f} % of the peak")
    seen = np.abs(x) < 0.025
    plane = BeamPlane("through the axis", 1e3 * z, 1e3 * x[seen], amplitude[:, seen], focus_mm=(1e3 * RADIUS_M, 0.0))
    title = "Bowl of 64 mm, radius 64 mm, 500 kHz, in water"
    note = "dashed: -6 dB (half the largest pressure); cross: centre of curvature"
    print("picture:", write_png(sections([plane], title, note), folder / "water.png", colours))
    shown = [Curve("O'Neil 1949, exact", 1e3 * z, exact / 1e6, True), Curve("osteon, marched", 1e3 * z, ours / 1e6)]
    chart = curves([("on the axis", "depth (mm)", "pressure amplitude (MPa)", shown)], title)
    print("picture:", write_png(chart, folder / "water_axis.png", colours))
    return error


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with TemporaryDirectory() as temporary:
            main(Path(temporary))
