"""Strength of a vertebra and of a proximal femur at 1 mm: `python benchmarks/bench_strength.py [times]`.

The phantom is a small third lumbar vertebra: 71,000 cubes of 1 mm, caps included. The same recipe drawn in voxels of 0.9 mm, with
cubes of 0.9 mm, has some 99,000: the row for models of 80,000 to 120,000.

One line a piece of work: time (best of ``times``, 5; of the femur and the draws one), the model's size, true residual and defect
of equilibrium of the worst solve. The error of the failure load is read from runs at three edges, on lines of their own
(`python benchmarks/bench_strength.py 5 converge`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numba
import numpy as np
from common import load, memory_triad

from osteon.assessment.loads.base import Builder, LoadCase
from osteon.assessment.loads.catalog import builder
from osteon.assessment.strength_band import draws, spread_of
from osteon.assessment.strength_material import middle_draw
from osteon.assessment.strength_run import Made, run_bone
from osteon.assessment.strength_voxels import healed, voxels_of
from osteon.case.phantom import build
from osteon.jobs import Local
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Volume
from osteon.tissue.calibration import from_air_fat_muscle
from osteon.validation.femur_model import proximal_femur

HU = {"air": -1000.0, "fat": -100.0, "muscle": 52.0}
PEER = "reference page: vertebra < 15 s, femur < 2 min; no open peer plans lesion and failure on a CPU"


def vertebra(spacing_mm: float = 1.0) -> tuple[Anatomy, LoadCase]:
    made = build("vertebra", spacing_mm=spacing_mm)
    seen = Volume(np.ones(made.image.grid.shape, bool), made.image.grid)
    anatomy = Anatomy(imaged=seen, image=made.image, masks=dict(made.masks), contrast=False)
    return anatomy, LoadCase("vertebra-compression", structure("vertebra_L3"))


def line(name: str, seconds: float, made: Made, note: str = "") -> None:
    run = made.run
    load_ = "" if run.failure_load is None else f"failure {run.failure_load:7.0f} N ({run.ended}, {run.solves} solves)  "
    machine = f"triad {memory_triad():5.1f} GB/s  threads {numba.get_num_threads()}  load {load():.2f}"
    print(
        f"{name:<44} {seconds:7.2f} s  {run.elements:8,d} elements  stiffness {run.stiffness:8.0f} N/mm  {load_}"
        f"residual {run.cg_residual:.0e}  imbalance {run.reaction_imbalance:.0e}  {machine}  {note}".rstrip(),
        flush=True,
    )


def timed(work: Callable[[], Made], times: int) -> tuple[float, Made]:
    """Return the best time [s] of so many runs, and the last result."""
    best = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        made = work()
        best = min(best, time.perf_counter() - began)
    return best, made


def bone(name: str, anatomy: Anatomy, case: LoadCase, edge_mm: float, times: int, count: int, by_failure: bool) -> None:
    """Time the linear run, the failure run, and a band of ``count`` draws by two processes of one thread."""
    how: Builder = builder(case.name)
    calibration, draw = from_air_fat_muscle(HU, contrast=False), middle_draw(case.bone)
    pose = how.pose(anatomy, case)
    began = time.perf_counter()
    voxels = voxels_of(anatomy, case, pose, calibration, edge_mm, how.margin_mm)
    print(f"{name}: {time.perf_counter() - began:.2f} s to cubes of {edge_mm:g} mm", flush=True)
    run_bone(voxels, how, pose, draw, to_failure=False)  # compiles
    line(f"{name}, linear", *timed(lambda: run_bone(voxels, how, pose, draw, to_failure=False), times))
    best, middle = timed(lambda: run_bone(voxels, how, pose, draw), 1 if not by_failure else times)
    line(f"{name}, failure", best, middle, PEER)
    if not count:
        return
    well_voxels = healed(voxels) if voxels.lesion.any() else None
    well = None if well_voxels is None else run_bone(well_voxels, how, pose, draw)
    sampled = draws(case.bone, calibration, count, 0)
    began = time.perf_counter()
    spread = spread_of(
        voxels, well_voxels, how, pose, middle, well, sampled, to_failure=by_failure, executor=Local(2)
    )  # fmt: skip
    low, high = np.percentile(spread.now, [5, 95])
    how_said = "each to failure" if by_failure else "linear, scaled by the middle run"
    line(f"{name}, {count} draws ({how_said})", time.perf_counter() - began, middle, f"band {low:.0f} to {high:.0f} N")


def converge() -> None:
    """Print the failure load of the vertebra at three edges."""
    anatomy, case = vertebra()
    how = builder(case.name)
    calibration, pose = from_air_fat_muscle(HU, contrast=False), how.pose(anatomy, case)
    for edge in (2.0, 1.5, 1.0):
        voxels = voxels_of(anatomy, case, pose, calibration, edge, how.margin_mm)
        best, made = timed(lambda v=voxels: run_bone(v, how, pose, middle_draw(case.bone)), 1)
        line(f"vertebra, cubes of {edge:g} mm", best, made)


def main(times: int = 5, what: str = "") -> None:
    if what == "converge":
        return converge()
    bone("vertebra phantom", *vertebra(), 1.0, times, 30, True)
    bone("vertebra phantom, drawn at 0.9 mm", *vertebra(0.9), 0.9, times, 30, True)
    made = proximal_femur(spacing_mm=1.0, lesion_mm=25.0)
    bone("proximal femur, made up", made, LoadCase("femur-stance", structure("femur_right")), 1.0, 1, 30, False)
    return None


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, sys.argv[2] if len(sys.argv) > 2 else "")
