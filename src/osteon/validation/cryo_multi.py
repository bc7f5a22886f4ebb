"""Three and four 2.4 mm probes, and one of 1.7 mm, in the agar of `littrup`: printed for others to check, no reference here."""

from __future__ import annotations

import time
from collections.abc import Callable

from osteon.treatments.cryoablation.treatment import Cryoablation
from osteon.validation.base import Report, Row
from osteon.validation.phantoms import ASSUMED, agar_run

CASES = (("probes=3", "generic-2.4mm", 3), ("probes=4", "generic-2.4mm", 4), ("probe=1.7mm", "generic-1.7mm", 1))


def run(observe: Callable[[float], None] = lambda _: None) -> Report:
    """Run the reference case ``cryo-multi``."""
    began = time.perf_counter()
    devices = Cryoablation().devices
    rows: list[Row] = []
    worst = 0.0
    for i, (key, device, count) in enumerate(CASES):
        found = agar_run(device, devices, count)
        worst = max(worst, found.result.ended.energy_balance)
        rows += [
            Row(f"d_minus30_mm[{key}]", found.longest_mm(-30.0), "mm", "longest extent at -30 °C, 15 min, as in littrup"),
            Row(f"equal_area_minus30_mm[{key}]", found.diameter_mm(-30.0), "mm", "diameter of equal area at -30 °C"),
            Row(f"ice_mm[{key}]", found.diameter_mm(0.0), "mm", "diameter of equal area at 0 °C"),
        ]
        observe((i + 1) / len(CASES))
    rows.append(Row("energy_balance", worst, "1", "defect over the heat moved, the worst run", 0.0, "conservation", 1e-3))
    return Report("cryo-multi", tuple(rows), seconds=time.perf_counter() - began, assumptions=ASSUMED)
