"""Internally cooled electrode with a 2 cm tip, 12 min in bovine liver ex vivo (Cha 2009): the zone against 30.1 x 26.2 mm.

Written down before the first run: liver of the tables (0.146 S/m at 37 °C, k 0.52 W/m/K, 1079 kg/m³, 3540 J/kg/K, no blood
flow), block at 22 °C (the paper's abstract gives no temperature), 100 W and 1500 mA at most, a pause of 15 s where the
impedance has doubled. The edge is where liver has turned white: half of the optical change measured on pig liver ex vivo
(Jacques 1991). A zone is measured after it has contracted, so the axes are those of contracted liver (Rossmann 2014).

Neither edge nor contraction stood there at the first run. Its edge was the pair that COMSOL gives for liver (50 °C for a
minute, of unknown origin), not contracted: 37 x 35 mm. Both come from measurements that know nothing of electrodes; every other
edge, and the zone that has not contracted, are printed beside.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from osteon.physics import contraction, damage
from osteon.tissue.properties import Constants
from osteon.treatments.heat import PAIR
from osteon.treatments.radiofrequency.simulation import account
from osteon.validation.base import Report, Row
from osteon.validation.rfa_case import Treated, block, log_dose, treat, zone_mm

DEVICE, SECONDS, POWER_W = "cooled-17g-20mm", 720.0, 100.0
START_C, SPACING_MM, HALF_MM = 22.0, 1.0, 40.0
WHITE = "liver_whitening"
EDGE = "where liver has turned white (half of the optical change), cooling included, contracted"
SOURCE = "Cha 2009, Cardiovasc Intervent Radiol 32:1235 (abstract)"
LONG_MM, SHORT_MM, VOLUME_CM3, SHARE = 30.1, 26.2, 11.08, 0.15


def run(observe: Callable[[float], None]) -> Report:
    """Run the case.

    Parameters
    ----------
    observe : callable
        Called with the fraction done.
    """
    began = time.perf_counter()
    constants = Constants()
    tissue = block("liver", constants, SPACING_MM, HALF_MM, perfused=False)
    done = treat(DEVICE, {"power_w": POWER_W}, SECONDS, tissue, constants, start_c=START_C, observe=observe, coagulates=WHITE)
    length, width, volume = white_zone(done)
    rows = (
        Row("long_mm", length, "mm", f"along the electrode; {EDGE}", LONG_MM, SOURCE, SHARE * LONG_MM),
        Row("short_mm", width, "mm", f"circle of equal area in the widest section; {EDGE}", SHORT_MM, SOURCE, SHARE * SHORT_MM),
        Row("volume_cm3", volume, "cm³", EDGE, VOLUME_CM3, SOURCE),
        *other_zones(done),
        *circuit_rows(done),
    )
    return Report("rfa-exvivo", rows, done.result.ended.how, time.perf_counter() - began, ASSUMPTIONS)


ASSUMPTIONS = (
    "Liver of the tables without blood flow, from 22 °C (the abstract gives no temperature); nothing is fitted to the reference.",
    "100 W and 1500 mA at most, 15 s pause where the impedance is twice its lowest so far: the maker's own steps are not known.",
    "Coolant at 10 °C behind a film of 3127 W/m²/K over the whole shaft; its spread is 5 to 25 °C and 1500 to 6000 W/m²/K.",
    "What the eye sees as the zone is not one isotherm; other definitions are printed beside it.",
)


def white_zone(done: Treated, contracted: bool = True) -> tuple[float, float, float]:
    """Return length and width [mm] and volume [cm³] of what has turned white, as measured after contraction or before it."""
    edge = damage.arrhenius(WHITE).threshold.number
    kept = contraction.kept(done.result.peak_c) if contracted else None
    return zone_mm(log_dose(done.result.omega[WHITE] / edge), 0.0, done.spacing_mm, kept)


def other_zones(done: Treated) -> list[Row]:
    """Return the zone by other definitions, without reference."""
    result, rows = done.result, list[Row]()
    before = zip(("long_mm", "short_mm", "volume_cm3"), white_zone(done, contracted=False), ("mm", "mm", "cm³"))
    rows += [Row(f"{name}[not contracted]", value, unit, "white, before contraction") for name, value, unit in before]
    others = (
        ("50 °C reached", result.peak_c, 50.0), ("60 °C reached", result.peak_c, 60.0),
        ("CEM43 240 min", log_dose(result.cem43_min), 2.380211), ("Arrhenius liver 1", log_dose(result.omega[PAIR]), 0.0),
    )  # fmt: skip
    for text, field, level in others:
        length, width, volume = zone_mm(field, level, done.spacing_mm)
        rows += [
            Row(f"long_mm[{text}]", length, "mm", "along the electrode"),
            Row(f"short_mm[{text}]", width, "mm", "circle of equal area"),
            Row(f"volume_cm3[{text}]", volume, "cm³", "volume"),
        ]
    return rows


def circuit_rows(done: Treated) -> list[Row]:
    """Return the figures of the circuit and the balances with their tolerance."""
    noted, energy = done.circuit.traces, account(done.circuit, done.result)
    seconds = done.circuit.elapsed_s
    return [
        Row("first_impedance_ohm", noted.resistance_ohm[0], "ohm", "at the start"),
        Row("least_impedance_ohm", min(noted.resistance_ohm), "ohm", "lowest"),
        Row("mean_power_w", energy.generator_j / seconds, "W", "over the time of treatment, pauses included"),
        Row("energy_kj", 1e-3 * energy.generator_j, "kJ", "from the generator"),
        Row("coolant_kj", 1e-3 * energy.coolant_j, "kJ", "taken by the coolant"),
        Row("roll_offs", float(done.circuit.generator.pauses), "1", "pauses of 15 s"),
        Row("highest_c", float(done.result.peak_c.max()), "°C", "hottest voxel"),
        Row("field_solutions", float(len(done.circuit.solved_s)), "1", "potential solves"),
        Row("energy_balance", energy.defect, "1", "generator - coolant - tissue - blood - boundary", 0.0, "law", 1e-3),
        Row("power_balance", done.circuit.worst_balance, "1", "worst of all potential solves", 0.0, "law", 1e-3),
    ]
