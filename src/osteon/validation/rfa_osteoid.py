"""Osteoid osteoma: 17G uncooled electrode, 300 s at 90 °C, without and with a reactive zone. Printed for others to check.

Concentric: nidus of 10 mm, reactive zone of 7.5 mm where there is one, cortex of 1.5 mm, muscle. The reactive zone is a label of
its own: the heat conduction of cancellous bone with a conductivity of 0.02 to 0.087 S/m (set-up of PMID 26862788, abstract).
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from osteon.space.volume import Array
from osteon.tissue.bone import FIELDS, TissueMap, row_fields
from osteon.tissue.properties import Constants
from osteon.treatments.heat import OTHER_PAIRS, PAIR
from osteon.treatments.radiofrequency.simulation import account
from osteon.validation.base import Report, Row
from osteon.validation.rfa_case import BAND, Treated, block, log_dose, treat, zone_mm

DEVICE, TEMPERATURE_C, SECONDS = "uncooled-17g-10mm", 90.0, 300.0
NIDUS_MM, REACTIVE_MM, CORTEX_MM = 10.0, 7.5, 1.5
BONE = OTHER_PAIRS[0]
REACTIVE_S_M = (0.02, 0.087)
SPACING_MM, HALF_MM = 0.5, 24.0


def medium(constants: Constants, reactive_s_m: float | None) -> tuple[TissueMap, Array]:
    """Return the tissue, and where it lies outside the cortex.

    Parameters
    ----------
    constants : Constants
        The numbers of this run.
    reactive_s_m : float or None
        Conductivity of the reactive zone [S/m]; None: there is none.
    """
    tissue = block("muscle", constants, SPACING_MM, HALF_MM, perfused=True)
    grid = tissue.grid
    axes = [SPACING_MM * np.arange(n) - HALF_MM for n in grid.shape]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    radius = np.sqrt(x**2 + y**2 + z**2)
    inner = 0.5 * NIDUS_MM + (0.0 if reactive_s_m is None else REACTIVE_MM)
    shells = [("cortical_bone", inner + CORTEX_MM), ("cancellous_bone", inner), ("lytic_tumour", 0.5 * NIDUS_MM)]
    for row, outer in shells if reactive_s_m is not None else (shells[0], shells[2]):
        where = radius <= outer
        for name, value in zip(FIELDS, row_fields(row, BAND, constants, grid)):
            getattr(tissue, name)[where] = value
        if row == "cancellous_bone" and reactive_s_m is not None:
            tissue.conductivity_s_m[where] = reactive_s_m
    return tissue, np.asarray(radius > inner + CORTEX_MM)


def run(observe: Callable[[float], None]) -> Report:
    """Run the case.

    Parameters
    ----------
    observe : callable
        Called with the fraction done.
    """
    began, rows = time.perf_counter(), []
    zones = (None, *REACTIVE_S_M)
    for step, reactive in enumerate(zones):
        constants = Constants()
        tissue, outside = medium(constants, reactive)
        done = treat(DEVICE, {"temperature_c": TEMPERATURE_C}, SECONDS, tissue, constants)
        name = "none" if reactive is None else f"{reactive:g} S/m"
        rows += _rows(f"reactive={name}", done, outside)
        observe((step + 1) / len(zones))
    return Report("rfa-osteoid", tuple(rows), "done", time.perf_counter() - began, ASSUMPTIONS)


ASSUMPTIONS = (
    "Concentric: nidus of 10 mm (tumour of the tables), reactive zone of 7.5 mm or none, cortex of 1.5 mm, perfused muscle.",
    "The tip of 10 mm lies in the middle of the nidus; its thermocouple holds 90 °C; 100 V, 1 A and 50 W at most.",
    "Only the abstract of the set-up was read: which tissue lies where is a choice of this project.",
)


def _rows(name: str, done: Treated, outside: Array) -> list[Row]:
    result, noted = done.result, done.circuit.traces
    length, width, volume = zone_mm(log_dose(result.omega[BONE]), 0.0, done.spacing_mm)
    edge = "Arrhenius integral of bone beside cement 1 (53 °C for a minute), cooling included"
    others = (("Arrhenius liver 1", log_dose(result.omega[PAIR]), 0.0), ("60 C", result.peak_c, 60.0))
    beside = [
        Row(f"lesion_mm[{name}, {other}]", zone_mm(field, level, done.spacing_mm)[1], "mm", "width by another edge")
        for other, field, level in others
    ]
    return [
        Row(f"max_t_outside_c[{name}]", float(result.peak_c[outside].max()), "°C", "hottest voxel outside the cortex"),
        Row(f"lesion_mm[{name}]", width, "mm", f"width; {edge}; length {length:.1f} mm"),
        *beside,
        Row(f"lesion_cm3[{name}]", volume, "cm³", edge),
        Row(f"impedance_ohm[{name}]", noted.resistance_ohm[0], "ohm", "at the start"),
        Row(f"tip_c[{name}]", noted.tip_c[-1], "°C", "at power off"),
        Row(f"mean_power_w[{name}]", float(np.mean(noted.power_w)), "W", "over the time of treatment"),
        Row(f"energy_balance[{name}]", account(done.circuit, result).defect, "1", "defect of the account", 0.0, "law", 1e-3),
    ]
