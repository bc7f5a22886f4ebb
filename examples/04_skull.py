"""A bowl through a skull: the mask of ITRUSST's benchmark 7 where it is at hand, else the concentric shells of benchmark 6."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from osteon.errors import MissingError
from osteon.report.sound_figures import BeamPlane, Curve, curves, sections, write_png
from osteon.validation import itrusst, itrusst_skull

STEP_MM, ACROSS, BEHIND_MM = 1e3 * itrusst.STEP_M, 192, 37.0
NOTE = "media as fluids, as the benchmark has them; dashed: -6 dB; cross: centre of curvature; white: bone"


def shells(folder: Path, colours: int | None) -> dict[str, float | str]:
    """March through three concentric shells of bone, and compare peak and place behind them with the exact shells."""
    found, z_m = itrusst.planned("BM6", "SC1", across=ACROSS)
    case, middle = itrusst.CASES["BM6"], ACROSS // 2
    labels = itrusst.labels_of(case, itrusst.ENTRY_M["SC1"], itrusst.STEP_M, ACROSS)[:, middle]
    z, x = 1e3 * z_m, (np.arange(ACROSS) - middle) * STEP_MM
    amplitude = np.abs(found.pressure_pa[:, middle])
    ours, deep = amplitude[:, middle], z >= BEHIND_MM
    truth = np.abs(itrusst.exact("BM6", "SC1", np.zeros(1), z_m[deep]))[:, 0]
    error = float(ours[deep].max() / truth.max() - 1)
    place = float(z[deep][ours[deep].argmax()] - z[deep][truth.argmax()])
    print("which: three concentric shells of bone in skin and brain (ITRUSST benchmark 6); no skull mask in use")
    print(f"peak {ours[deep].max() / 1e3:.1f} kPa, {100 * error:+.1f} % of the exact one, {place:+.1f} mm away from it")
    bone = np.isin(labels, (2, 3, 4))
    _draw(folder / "skull.png", "Bowl, 500 kHz, through shells of bone (BM6)", z, x, amplitude, labels, bone, colours)
    shown = [Curve("exact shells", z[deep], truth / 1e6, True), Curve("osteon, planner", z[20:], ours[20:] / 1e6)]
    chart = curves([("on the axis", "depth (mm)", "pressure amplitude (MPa)", shown)], "Behind shells of bone (BM6)")
    print("picture:", write_png(chart, folder / "skull_axis.png", colours))
    return {"which": "shells", "peak_error": error, "place_mm": place, "sweeps": found.sweeps}


def skull(folder: Path, colours: int | None) -> dict[str, float | str]:
    """March through the mask of a real skull.

    Raises
    ------
    MissingError
        If the mask is not here.
    """
    place = itrusst_skull.head("BM7")
    first = itrusst_skull.FIRST_CELL["SC1"]
    field, found = itrusst_skull.planned(place.labels, "SC1", (ACROSS, ACROSS), first)
    z_m, y_m, x_m = place.axes_m()
    amplitude = np.concatenate([np.zeros((first, *field.shape[1:]), np.float32), np.abs(field)])
    numbers = itrusst_skull.figures(place, amplitude, "SC1")
    print("which: the skull mask of ITRUSST benchmark 7, homogeneous cortical bone")
    print(f"peak {numbers['peak_pa'] / 1e3:.0f} kPa at z {numbers['z_mm']:.1f} mm (no exact field: see osteon validate bm7)")
    middle = len(y_m) // 2
    labels = place.labels[first:, middle]
    z, x = 1e3 * z_m[first:], 1e3 * x_m
    title = "Bowl, 500 kHz, through a skull (BM7)"
    _draw(folder / "skull.png", title, z, x, amplitude[first:, middle], labels, labels == 1, colours)
    return {"which": "skull", **numbers, "sweeps": found.sweeps}


def _draw(path, title, z, x, amplitude, labels, bone, colours):
    """Write the picture of the plane through the axis."""
    seen = np.abs(x) < 33
    grey = np.where(bone, 0.75, 0.22 + 0.06 * (labels > 0))
    plane = BeamPlane(
        "through the axis", z[: len(bone)], x[seen], amplitude[: len(bone), seen], None, grey[:, seen], bone[:, seen],
        focus_mm=(64.0, 0.0),
    )  # fmt: skip
    print("picture:", write_png(sections([plane], title, NOTE), path, colours))


def main(folder: Path, which: str = "", colours: int | None = None) -> dict[str, float | str]:
    """Run ``skull`` or ``shells``; without a choice the skull where its mask is here. Return its figures."""
    if which != "shells":
        try:
            return skull(folder, colours)
        except MissingError as error:
            if which:
                raise
            print(error.what)
    return shells(folder, colours)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]), *sys.argv[2:3])
    else:
        with TemporaryDirectory() as temporary:
            main(Path(temporary))
