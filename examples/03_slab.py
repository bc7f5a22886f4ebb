"""A beam onto a plate of cortical bone at 0, 20, 40 degrees: what heats it, as compression or as shear, beside exact layers."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from osteon.physics.acoustic_layers import Array, Layer, Medium, Stack, solve, waves
from osteon.physics.acoustic_planner import march
from osteon.report.sound_figures import BeamPlane, Curve, curves, sections, write_png

# Cortical bone of the ITRUSST benchmarks at 500 kHz with BabelBrain's shear: 4 and 12 dB/cm; all of the loss counts as heat here.
WATER, BONE, FREQUENCY_HZ = Medium(1000.0, 1500.0), Medium(1850.0, 2800.0, 46.04, 1550.0, 138.1), 5e5
# A sheet: one cell along y, which repeats. 12 cells to a wavelength in water.
STEP_M, ACROSS, BEFORE, PLATE, AFTER = 0.25e-3, 320, 40, 26, 40  # cells
WAIST_M, ANGLES_DEG = 9e-3, (0.0, 20.0, 40.0)


def beam(angle_deg: float) -> Array:
    """Return the entry plane (1, x) of a Gaussian beam of 100 kPa that meets the plate's middle."""
    x = (np.arange(ACROSS) - ACROSS // 2) * STEP_M
    shift = -(BEFORE + PLATE / 2) * STEP_M * math.tan(math.radians(angle_deg))
    k = 2 * math.pi * FREQUENCY_HZ / WATER.speed_m_s
    tilt = np.exp(1j * k * math.sin(math.radians(angle_deg)) * x)
    return (1e5 * np.exp(-(((x - shift) / WAIST_M) ** 2)) * tilt)[None]


def exact_heat(entry: Array) -> tuple[Array, Array, float]:
    """Return the exact heat of each cell of the plate, summed across [W/m], that of each wave by itself, and the incident power.

    Summed across, the plane waves of a beam do not interfere: each adds the heat of its own angle (Parseval). Compression and
    shear of one angle do interfere in depth; by itself each heats by its squared amplitude.
    """
    xi, which = np.unique(np.abs(2 * math.pi * np.fft.fftfreq(ACROSS, STEP_M)), return_inverse=True)
    weight = np.bincount(which, np.abs(np.fft.fft(entry[0])) ** 2) / ACROSS * STEP_M**2
    response = solve(Stack(WATER, (Layer(BONE, PLATE * STEP_M),), WATER, FREQUENCY_HZ), xi)
    fine = (np.arange(PLATE * 8) + 0.5) / 8 * STEP_M
    _, k_z = waves(BONE, FREQUENCY_HZ, xi)
    down, up = (np.exp(1j * k_z[:, :, None] * d) for d in (fine, PLATE * STEP_M - fine))
    l_down, s_down, l_up, s_up = (a[:, None] for a in response.amplitudes[1])
    loss = (BONE.attenuation_np_m / BONE.speed_m_s, BONE.shear_attenuation_np_m / BONE.shear_speed_m_s)
    longitudinal, shear = l_down * down[0] + l_up * up[0], s_down * down[1] + s_up * up[1]
    apart = (loss[0] * np.abs(longitudinal) ** 2 + loss[1] * np.abs(shear) ** 2) / BONE.density_kg_m3
    together = response.heat_w_m3(0, fine)
    k_0 = 2 * math.pi * FREQUENCY_HZ / WATER.speed_m_s
    onward = np.sqrt(np.maximum(k_0**2 - xi**2, 0.0)) / (4 * math.pi * FREQUENCY_HZ * WATER.density_kg_m3)
    by_cell = [(weight @ q).reshape(PLATE, 8).mean(axis=1) for q in (together, apart)]
    return by_cell[0], by_cell[1], float(weight @ onward)


def main(folder: Path, colours: int | None = None) -> dict[float, tuple[float, float]]:
    """March three beams and draw them.

    Return by angle how far the absorbed power is from the exact one, and from that of each wave by itself, in points of the
    incident power. What the two exact answers differ by is the cross term of compression and shear, which moves heat in depth.
    """
    labels = np.zeros((BEFORE + PLATE + AFTER, 1, ACROSS), np.uint8)
    labels[BEFORE : BEFORE + PLATE] = 1
    plate, x = slice(BEFORE, BEFORE + PLATE), (np.arange(ACROSS) - ACROSS // 2) * STEP_M
    depth = (np.arange(PLATE) + 0.5) * STEP_M * 1e3
    planes, panels, errors = [], [], {}
    for angle in ANGLES_DEG:
        entry = beam(angle)
        exact, apart, incident = exact_heat(entry)
        found = march(entry, labels, (WATER, BONE), FREQUENCY_HZ, STEP_M)
        ours, shear = (q[plate].sum(axis=(1, 2), dtype=float) * STEP_M**2 for q in (found.heat_w_m3, found.shear_w_m3))
        stays, should, alone, sheared = (100 * float(q.sum()) * STEP_M / incident for q in (ours, exact, apart, shear))
        errors[angle] = (stays - should, stays - alone)
        print(f"{angle:g} degrees: {stays:.1f} % of the power heats the plate ({sheared:.1f} % as shear)", end="; ")
        print(f"exact {should:.1f} %, each wave by itself {alone:.1f} %")
        seen = np.abs(x) < 0.026
        z = 1e3 * np.arange(len(labels)) * STEP_M
        planes.append(
            BeamPlane(
                f"{angle:g}°",
                z,
                1e3 * x[seen],
                np.abs(found.pressure_pa[:-1, 0, seen]),
                found.heat_w_m3[:, 0, seen],
                np.where(labels[:, 0, seen] == 1, 0.7, 0.25),
                labels[:, 0, seen] == 1,
            )
        )
        per_mm = 1e-3 * 100 / incident  # % of the incident power in a millimetre
        shown = [Curve("exact layers", depth, exact * per_mm, True), Curve("osteon, planner", depth, ours * per_mm)]
        shown.append(Curve("exact, each wave by itself", depth, apart * per_mm, dash="--"))
        shown.append(Curve("of the planner's by shear", depth, shear * per_mm, dash=":"))
        panels.append((f"{angle:g}°", "depth in the plate (mm)", "heat (% of incident power per mm)", shown))
    title = "Beam of 500 kHz onto 6.5 mm of cortical bone"
    print(
        "picture:", write_png(sections(planes, title, "dashed: -6 dB; white: faces of the plate"), folder / "slab.png", colours)
    )
    print("picture:", write_png(curves(panels, title), folder / "slab_heat.png", colours))
    return errors


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with TemporaryDirectory() as temporary:
            main(Path(temporary))
