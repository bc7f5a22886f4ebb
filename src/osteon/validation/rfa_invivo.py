"""The electrode of ``rfa-exvivo`` in perfused liver at 37 °C: printed for others to check, no reference is given here.

From the case ex vivo nothing changes but blood flow and the temperature at which everything starts.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from osteon.tissue.properties import Constants
from osteon.validation.base import Report, Row
from osteon.validation.rfa_case import block, treat
from osteon.validation.rfa_exvivo import (
    DEVICE,
    EDGE,
    HALF_MM,
    POWER_W,
    SECONDS,
    SPACING_MM,
    WHITE,
    circuit_rows,
    other_zones,
    white_zone,
)


def run(observe: Callable[[float], None]) -> Report:
    """Run the case.

    Parameters
    ----------
    observe : callable
        Called with the fraction done.
    """
    began = time.perf_counter()
    constants = Constants()
    tissue = block("liver", constants, SPACING_MM, HALF_MM, perfused=True)
    done = treat(DEVICE, {"power_w": POWER_W}, SECONDS, tissue, constants, observe=observe, coagulates=WHITE)
    length, width, volume = white_zone(done)
    rows = (
        Row("long_mm", length, "mm", f"along the electrode; {EDGE}"),
        Row("short_mm", width, "mm", f"circle of equal area in the widest section; {EDGE}"),
        Row("volume_cm3", volume, "cm³", EDGE),
        *other_zones(done),
        *circuit_rows(done),
    )
    notes = (
        "Perfusion of liver as in the tables (860 ml/min/kg); it stops where tissue has turned white, where the zone ends.",
        "Published properties of liver, human and porcine alike; start and blood at 37 °C.",
        "No large vessel nearby.",
    )
    return Report("rfa-invivo", rows, done.result.ended.how, time.perf_counter() - began, notes)
