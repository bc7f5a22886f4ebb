"""Cryoablation 10-8-10 min at 1 mm, four and three probes; supersteps beside explicit: `python benchmarks/bench_cryo.py [times]`.

Time and error on one line. Schemes: the first three minutes of the same case on a smaller grid, error the largest difference from
explicit steps of at most 0.05 s. Whole cases: best of ``times`` (2), error as found for the scheme they use; balance: the energy
account. Processor seconds stand beside the wall time, for machines that are busy.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numba
import numpy as np
from common import load, memory_triad

from osteon.physics.freezing import STAGES, FreezeResult, FreezeStage, FreezingMaterials, freeze
from osteon.physics.freezing_tables import freezing_range, ice, tissue_table
from osteon.physics.lines import Line
from osteon.tissue.properties import Constants
from osteon.treatments.cryoablation.cryoprobe import Cryoprobe, cryoprobe, cycles
from osteon.treatments.cryoablation.treatment import Cryoablation
from osteon.validation.phantoms import places

SIDE, SMALL, SPACING_MM, APART_MM = 100, 64, 1.0, 15.0
DEVICE = "generic-1.7mm"
SHORT_S, FINE_S = 180.0, 0.05
PEER = "a published hepatic case with 3 probes: 23.2 s (10.1186/s12876-025-03817-y)"


def run(probe: Cryoprobe, stages: list[FreezeStage], side: int = SIDE, count: int = 4, **more: Any) -> FreezeResult:
    table = tissue_table(0.5, 3.7e6, 800.0, freezing_range(), ice())
    shape = (side, side, side)
    materials = FreezingMaterials([table], np.zeros(shape, np.uint8), np.full(shape, 3000.0, np.float32))
    middle, half = (side - 1) / 2 * 1e-3, 0.5e-3 * probe.active_length_mm
    lines = [
        Line((middle - half, middle + y * 1e-3, middle + x * 1e-3), (middle + half, middle + y * 1e-3, middle + x * 1e-3),
             probe.radius_mm * 1e-3)
        for y, x in places(count, APART_MM)
    ]  # fmt: skip
    return freeze(SPACING_MM, materials, stages, lines, **more)


def timed(times: int, *args: Any, **more: Any) -> tuple[float, float, FreezeResult]:
    """Return the best wall and processor time [s] of so many runs, and the result."""
    wall = processor = float("inf")
    for _ in range(times):
        began, used = time.perf_counter(), time.process_time()
        result = run(*args, **more)
        wall, processor = min(wall, time.perf_counter() - began), min(processor, time.process_time() - used)
    return wall, processor, result


def line(name: str, wall: float, processor: float, result: FreezeResult, error: float, note: str = "") -> None:
    counts = f"{result.ended.steps:5d} steps {result.ended.evaluations:6d} evaluations"
    machine = f"triad {memory_triad():5.1f} GB/s  threads {numba.get_num_threads()}  load {load():.2f}"
    print(
        f"{name:<46} {wall:7.2f} s (processor {processor:7.2f} s) {counts}  error {error:.2f} K  "
        f"balance {result.ended.energy_balance:.0e}  {machine}  {note}".rstrip(),
        flush=True,
    )


def main(times: int = 2) -> None:
    probe = cryoprobe(Cryoablation().devices[DEVICE], Constants(), DEVICE)
    for stages in (1, STAGES):
        run(probe, [FreezeStage("freeze", 1.0, (probe.freezing,))], 40, super_stages=stages)  # compiles
    short = [FreezeStage("freeze", SHORT_S, (probe.freezing,))]
    truth = run(probe, short, SMALL, super_stages=1, trace_every_s=FINE_S).temperature_c
    errors = {}
    for name, stages, more in (
        ("explicit, longest stable steps", 1, {"change_k": 1e9}), ("explicit, steps of at most 0.7 K", 1, {}),
        ("RKL2 s=9, steps of at most 0.7 K", 9, {}), ("RKL2 s=15, steps of at most 0.7 K", 15, {}),
        ("RKL2 s=9, steps of at most 4 K", 9, {"change_k": 4.0}),
    ):  # fmt: skip
        wall, processor, result = timed(times, probe, short, SMALL, super_stages=stages, **more)
        errors[name] = float(np.abs(result.temperature_c - truth).max())
        line(f"{name}, {SHORT_S:.0f} s, {SMALL}^3", wall, processor, result, errors[name])
    error = errors[f"RKL2 s={STAGES}, steps of at most 0.7 K"]
    for count, note in ((4, ""), (3, PEER)):
        cycle = cycles(probe, 600.0, 480.0, 2, final_thaw_s=0.0)
        wall, processor, result = timed(times, probe, cycle, SIDE, count)
        line(f"10-8-10 min, {count} probes, {SIDE}^3 at 1 mm, s={STAGES}", wall, processor, result, error, note)


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:]))
