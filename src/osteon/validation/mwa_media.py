"""Where ten watt of the benchmark's antenna go in six tissues: mismatch, and what leaves where tissue hardly absorbs."""

from __future__ import annotations

import time
from collections.abc import Callable

from osteon.tissue.properties import tissue
from osteon.treatments.microwave.antenna import Medium, devices, solve
from osteon.validation.base import Report, Row

DEVICE, FORWARD_W, BAND = "saito-2450", 10.0, "2450MHz"
MEDIA = {
    "liver": "liver",
    "cancellous": "cancellous_bone",
    "cortical": "cortical_bone",
    "red_marrow": "red_marrow",
    "yellow_marrow": "yellow_marrow",
    "muscle": "muscle",
}
LIVER_W, LIVER_W_WITHIN = 9.35, 0.1  # thermal.md T6; set before the first run
BALANCE_WITHIN, CONVERGED_WITHIN = 0.01, 0.005  # set before the first run


def run(observe: Callable[[float], None]) -> Report:
    """Return absorbed power and S11 at 10 W forward in each medium at 37 °C.

    Only liver has a reference; of all media the power balance and the difference to a mesh of four times as many cells are held.

    Parameters
    ----------
    observe : callable
        Called with the fraction done.

    Returns
    -------
    Report
        ``absorbed_w[medium]``, ``s11_db[medium]``, ``reflected_w[medium]``, ``radiated_w[medium]``.
    """
    began, device = time.perf_counter(), devices()[DEVICE]
    rows: list[Row] = []
    for step, (name, row) in enumerate(MEDIA.items()):
        values = tissue(row)
        permittivity, conductivity = (values[f"{key}_{BAND}"].number for key in ("permittivity", "conductivity"))
        medium = Medium.uniform(permittivity, conductivity)
        coarse, fine = solve(device, medium), solve(device, medium, 2)
        what = f"of 10 W forward; permittivity {permittivity:g}, {conductivity:g} S/m (Gabriel, 37 °C)"
        reference = (LIVER_W, "thermal.md T6", LIVER_W_WITHIN) if name == "liver" else (None, "", None)
        rows += [
            Row(f"absorbed_w[{name}]", FORWARD_W * fine.absorbed_fraction, "W", what, *reference),
            Row(f"s11_db[{name}]", fine.reflection_db, "dB", "20 log10 |Gamma| at the port"),
            Row(f"reflected_w[{name}]", FORWARD_W * fine.reflected_fraction, "W", "back into the cable"),
            Row(f"radiated_w[{name}]", FORWARD_W * fine.radiated_fraction, "W", "through the wall at 30 mm: no tissue took it"),
            Row(f"balance[{name}]", fine.balance, "1", "absorbed + reflected + radiated", 1.0, "law", BALANCE_WITHIN),
            Row(
                f"converged[{name}]", coarse.absorbed_fraction / fine.absorbed_fraction, "1",
                "absorbed on a quarter of the cells over absorbed", 1.0, "the finer mesh", CONVERGED_WITHIN,
            ),
        ]  # fmt: skip
        observe((step + 1) / len(MEDIA))
    return Report("mwa-media", tuple(rows), seconds=time.perf_counter() - began, assumptions=ASSUMPTIONS)


ASSUMPTIONS = (
    "One uniform tissue round the antenna of T6 (coaxial slot, 2.45 GHz), 30 mm wide and 80 mm long.",
    "Red marrow is Gabriel's infiltrated, yellow the not infiltrated marrow.",
    "What passes the wall at 30 mm is lost to that volume; in a body it warms what lies beyond, thinly.",
)
