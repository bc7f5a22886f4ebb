"""How much it matters when the antenna is solved again: after a change of 5 % of its averaged surroundings, beside 2 %."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from osteon.physics import damage
from osteon.space.volume import Array
from osteon.tissue.properties import Constants
from osteon.treatments.base import NeedlePose
from osteon.treatments.microwave import simulation
from osteon.treatments.microwave.source import Source, drawn
from osteon.treatments.microwave.treatment import Microwave
from osteon.validation.base import Report, Row
from osteon.validation.mwa_eco import SPACING_MM, medium

CASES = (("eco-100a1-14g", "2450", "tumour in bone"), ("generic-915-17g", "915", "tumour in bone"))
POWER_W, SECONDS = 60.0, 600.0
CHANGES = (simulation.CHANGE_THAT_MATTERS, 0.02)
# Set before the first run: 5 % may not move zone or power by more than its own size.
ZONE_WITHIN, POWER_WITHIN = 0.05, 0.05
PER_CENT = tuple(f"{100 * change:g}%" for change in CHANGES)


def follow(device_name: str, tissue_name: str, change: float) -> dict[str, float]:
    """Return zones, power taken, reflection and number of solutions of one run.

    Parameters
    ----------
    device_name, tissue_name : str
        One of the devices, and one of the media of ``mwa_eco``.
    change : float
        Of the averaged surroundings, beyond which the antenna is solved again.
    """
    constants, microwave = Constants(), Microwave()
    device = drawn(microwave.device(device_name), constants, device_name)
    tissue = medium(tissue_name, constants, float(device["frequency"]["value"]))
    back = float(microwave.needle(device_name).active_offset_mm)
    source = Source(tissue, device, NeedlePose((0.0, 0.0, 110.0), (0.0, 0.0, -back)), POWER_W, constants)
    stages = simulation.stages_of(simulation.FollowingSource(source, change), SECONDS)
    result = simulation.march(source, stages)
    necrosis = damage.constants("cem43")["necrosis"].number

    def cm3(zone: Array) -> float:
        return float(np.count_nonzero(zone)) * SPACING_MM**3 * 1e-3

    return {
        "zone_cm3": cm3(result.cem43_min >= necrosis),
        "zone_60c_cm3": cm3(result.peak_c >= 60.0),
        "power_w": source.mean("placed", SECONDS) * source.incident_w,
        "reflected": source.mean("reflected", SECONDS),
        "highest_c": float(result.peak_c.max()),
        "solutions": float(len(source.shares)),
    }


UNITS = {"zone_cm3": "cm^3", "zone_60c_cm3": "cm^3", "power_w": "W", "reflected": "1", "highest_c": "degC", "solutions": "1"}


def run(observe: Callable[[float], None]) -> Report:
    """Run each case with both thresholds and return figures and relative differences.

    Parameters
    ----------
    observe : callable
        Called with the fraction done.

    Returns
    -------
    Report
        ``zone_cm3[2450,5%]`` and so on, and ``zone_cm3_change[2450]``: the figure at 5 % over that at 2 %, minus 1.
    """
    began, rows = time.perf_counter(), []
    for step, (device, band, tissue) in enumerate(CASES):
        runs = []
        for change in CHANGES:
            runs.append(follow(device, tissue, change))
            observe((2 * step + len(runs)) / (2 * len(CASES)))
        for name, unit in UNITS.items():
            rows += [
                Row(f"{name}[{band},{key}]", one[name], unit, f"solved again after {key}") for key, one in zip(PER_CENT, runs)
            ]
        for name, within in (("zone_cm3", ZONE_WITHIN), ("zone_60c_cm3", ZONE_WITHIN), ("power_w", POWER_WITHIN)):
            moved = runs[0][name] / runs[1][name] - 1.0
            what = f"{PER_CENT[0]} over {PER_CENT[1]}, minus 1"
            rows.append(Row(f"{name}_change[{band}]", moved, "1", what, 0.0, f"the run with {PER_CENT[1]}", within))
    return Report("mwa-follow", tuple(rows), seconds=time.perf_counter() - began, assumptions=ASSUMPTIONS)


ASSUMPTIONS = (
    f"{POWER_W:g} W at the generator for {SECONDS / 60:g} min, a tumour of 30 mm in bone with red marrow, "
    f"voxels of {SPACING_MM:g} mm; zones at power off.",
    "The surroundings are rings averaged over the angle within 15 mm of the stretch from tip to slot, looked at every "
    f"{simulation.LOOK_S:g} s; their change is that of the complex permittivity, weighted by the power that each ring takes.",
)
