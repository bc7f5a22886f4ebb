"""Radiofrequency: 12 min at about 100³ and 1 mm, time and error on one line, for several limits between two solutions."""

from __future__ import annotations

import time

from common import load, memory_triad

from osteon.tissue.properties import Constants
from osteon.treatments.heat import PAIR
from osteon.treatments.radiofrequency.simulation import account
from osteon.validation.rfa_case import block, log_dose, treat, zone_mm
from osteon.validation.rfa_exvivo import DEVICE, SECONDS, SPACING_MM, START_C

HALF_MM = 50.0


def main() -> None:
    """Run the case ex vivo with the potential solved at most every 1 s (the reference), 3 s (as shipped) and 6 s."""
    finest: tuple[float, float] | None = None
    treat(DEVICE, {"power_w": 40.0}, 5.0, block("liver", Constants(), 2.0, 20.0, False), Constants(), cooling_s=0.0)  # compile
    for least in (1.0, 3.0, 6.0):
        constants = Constants()
        tissue = block("liver", constants, SPACING_MM, HALF_MM, perfused=False)
        began = time.perf_counter()
        done = treat(DEVICE, {"power_w": 100.0}, SECONDS, tissue, constants, start_c=START_C, least_s=least)
        seconds = time.perf_counter() - began
        length, width, _ = zone_mm(log_dose(done.result.omega[PAIR]), 0.0, SPACING_MM)
        finest = finest or (length, width)
        error = max(abs(length - finest[0]), abs(width - finest[1]))
        print(
            f"12 min radiofrequency {tissue.grid.shape} 1 mm, solved every {least:g} s at most  {seconds:6.1f} s  "
            f"{len(done.circuit.solved_s)} solves  zone {length:.2f} x {width:.2f} mm  error {error:.2f} mm  energy balance "
            f"{account(done.circuit, done.result).defect:.1e}  power balance {done.circuit.worst_balance:.1e}  "
            f"triad {memory_triad():.1f} GB/s  load {load():.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
