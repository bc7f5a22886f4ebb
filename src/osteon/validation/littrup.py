"""Agar at 39 °C, 2.4 mm probes, 15 min: fitted on one probe, predicted for two (Littrup 2009)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from osteon.treatments.cryoablation.treatment import Cryoablation
from osteon.validation.base import Report, Row
from osteon.validation.phantoms import ASSUMED, agar_run

DEVICE = "generic-2.4mm"
ONE_MM, TWO_MM = 12.0, 33.0  # diameters at -30 °C
ICE_ONE_MM, ICE_TWO_MM = ONE_MM / math.sqrt(0.13), TWO_MM / math.sqrt(0.46)  # from the shares of area
FITTED_MM, PREDICTED = 0.5, 0.10  # tolerances: the fit closes, and 10 % for two probes (issue)
SOURCE = "Littrup 2009, abstract"


def run(observe: Callable[[float], None] = lambda _: None) -> Report:
    """Run the reference case ``littrup``."""
    began = time.perf_counter()
    devices = Cryoablation().devices
    one = agar_run(DEVICE, devices, 1)
    observe(0.4)
    two = agar_run(DEVICE, devices, 2)
    observe(1.0)
    longest, equal = "longest extent at -30 °C", "diameter of equal area at -30 °C: the other reading, no verdict"
    rows = (
        Row("d_minus30_mm[probes=1]", one.longest_mm(-30.0), "mm", f"{longest}; the fit", ONE_MM, SOURCE, FITTED_MM),
        Row("d_minus30_mm[probes=2]", two.longest_mm(-30.0), "mm", f"{longest}, through both probes; untouched", TWO_MM, SOURCE,
            PREDICTED * TWO_MM),
        Row("equal_area_minus30_mm[probes=1]", one.diameter_mm(-30.0), "mm", equal, ONE_MM, SOURCE, None),
        Row("equal_area_minus30_mm[probes=2]", two.diameter_mm(-30.0), "mm", equal, TWO_MM, SOURCE, None),
        Row("longest_ice_mm[probes=2]", two.longest_mm(0.0), "mm", "longest extent at 0 °C", ICE_TWO_MM,
            "derived from the share of area", None),
        Row("ice_mm[probes=1]", one.diameter_mm(0.0), "mm", "diameter of equal area at 0 °C", ICE_ONE_MM,
            "derived from the share of area", None),
        Row("ice_mm[probes=2]", two.diameter_mm(0.0), "mm", "diameter of equal area at 0 °C", ICE_TWO_MM,
            "derived from the share of area", None),
        Row("wall_c[probes=1]", float(one.result.wall_c[-1].min()), "degC", "coldest wall at the end"),
        Row("power_w[probes=1]", float(-one.result.power_w[-1].sum()), "W", "taken by the probe at the end"),
        Row("energy_balance", max(one.result.ended.energy_balance, two.result.ended.energy_balance), "1",
            "defect over the heat moved, the worse run", 0.0, "conservation", 1e-3),
    )  # fmt: skip
    return Report("littrup", rows, seconds=time.perf_counter() - began, assumptions=ASSUMED)
