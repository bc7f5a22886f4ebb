"""Uncooled electrodes held at a temperature (Cosman 2014, more than 400 lesions ex vivo): how the width answers each control.

Set beforehand: muscle of the tables without blood flow, tips of 10 mm, edge of the lesion where 50 °C was reached (the paper
infers temperature from photographs; which one is not in its abstract). Each ratio must lie in the published range, widened on
either side by 20 % of its midpoint. The tissue begins at 22 °C as in ``rfa-exvivo``; at the first run it began at 37 °C, which
the abstract does not say either; and the cannulae were blunt, where the abstract calls them sharp. Lesions by 60 °C, and where
tissue has turned white, stand beside.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from osteon.physics import contraction, damage
from osteon.space.volume import Array
from osteon.tissue.properties import Constants
from osteon.validation.base import Report, Row
from osteon.validation.rfa_case import block, log_dose, treat, zone_mm
from osteon.validation.rfa_exvivo import START_C, WHITE

SOURCE = "Cosman 2014, Pain Medicine (abstract)"
SPACING_MM, HALF_MM, EDGE_C, TIP_MM = 0.5, 18.0, 50.0, 10.0
OTHER_C = 60.0  # printed beside it
MINUTES = (1.0, 2.0, 3.0)
WIDENED = 0.20
GAUGES, TEMPERATURES_C = (22, 16), (60.0, 80.0, 90.0)

Sizes = dict[tuple[int, float, float], tuple[float, float]]  # (gauge, set temperature, minutes): width, length [mm]


class _At:
    """Notes what has turned white, the highest temperature, and the size of the lesion at every asked minute."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.peak = np.full(shape, START_C, np.float32)
        self.white = np.zeros(shape, np.float32)  # over the threshold
        self.last_s, self.last_rate = 0.0, self.white
        self.pair = damage.arrhenius(WHITE)
        self.sizes: dict[float, tuple[float, float]] = {}
        self.others: dict[tuple[str, float], tuple[float, float]] = {}

    def __call__(self, time_s: float, temperature_c: Array) -> None:
        np.maximum(self.peak, temperature_c, out=self.peak)
        kelvin = temperature_c + np.float32(273.15)
        rate = np.exp(np.float32(self.pair.log_a) - np.float32(self.pair.e_over_r) / kelvin) / self.pair.threshold.number
        self.white += np.float32(0.5 * (time_s - self.last_s)) * (rate + self.last_rate)
        self.last_s, self.last_rate = time_s, rate
        for minutes in MINUTES:
            if abs(time_s - 60.0 * minutes) < 1e-6:
                length, width, _ = zone_mm(self.peak, EDGE_C, SPACING_MM)
                self.sizes[minutes] = width, length
                length, width, _ = zone_mm(self.peak, OTHER_C, SPACING_MM)
                self.others[f"{OTHER_C:g} C", minutes] = width, length
                length, width, _ = zone_mm(log_dose(self.white), 0.0, SPACING_MM, contraction.kept(self.peak))
                self.others["white, contracted", minutes] = width, length


def lesions(gauge: int, temperature_c: float, longest_min: float) -> _At:
    """Return width and length of the lesion [mm] at every minute up to the longest, by every edge.

    Parameters
    ----------
    gauge : int
        16 or 22.
    temperature_c : float
        At the tip.
    longest_min : float
        Treatment time.
    """
    constants = Constants()
    tissue = block("muscle", constants, SPACING_MM, HALF_MM, perfused=False)
    seen = _At(tissue.grid.shape)
    done = treat(
        f"uncooled-{gauge}g-10mm",
        {"temperature_c": temperature_c},
        60.0 * longest_min,
        tissue,
        constants,
        start_c=START_C,
        cooling_s=0.0,
        seen=seen,
    )
    seen(60.0 * longest_min, done.result.temperature_c)
    return seen


def run(observe: Callable[[float], None]) -> Report:
    """Run the case.

    Parameters
    ----------
    observe : callable
        Called with the fraction done.
    """
    began, runs = time.perf_counter(), [(g, t) for g in GAUGES for t in TEMPERATURES_C]
    sizes, others = Sizes(), dict[tuple[int, str], tuple[float, float]]()
    for step, (gauge, temperature) in enumerate(runs):
        seen = lesions(gauge, temperature, 3.0 if temperature == 80.0 else 2.0)
        for minutes, size in seen.sizes.items():
            sizes[gauge, temperature, minutes] = size
        if temperature == 80.0:
            others.update({(gauge, edge): size for (edge, minutes), size in seen.others.items() if minutes == 2.0})
        observe((step + 1) / len(runs))
    rows = [row for gauge in GAUGES for row in _rows_of(gauge, sizes)]
    wider = sizes[16, 80.0, 2.0][0] / sizes[22, 80.0, 2.0][0]
    rows.insert(0, _row("width_gain[22G to 16G]", wider, "80 °C, 2 min", (58.0, 65.0)))
    for (gauge, edge), (width, length) in others.items():
        name, where = f"[{gauge}G, edge {edge}]", "80 °C, 2 min; another edge"
        rows += [Row(f"width_mm{name}", width, "mm", where), Row(f"length_beyond_tip_mm{name}", length - TIP_MM, "mm", where)]
    return Report("cosman", tuple(rows), "done", time.perf_counter() - began, ASSUMPTIONS)


ASSUMPTIONS = (
    "Muscle of the tables without blood flow, from 22 °C; the abstract names neither the tissue nor its temperature.",
    "The lesion ends where 50 °C was reached; the abstract says only that temperature was inferred from photographs.",
    "Tips of 10 mm; the published ranges run over tips of 5 to 15 mm.",
    "A bevel of 20 degrees: the abstract says sharp cannulae, and no angle.",
    "The thermocouple is as warm as the metal of the last millimetre, in every gauge.",
)


def _row(name: str, ratio: float, where: str, published: tuple[float, float]) -> Row:
    """Return a gain of width in percent; tolerance: half the published range and 20 % of its midpoint."""
    low, high = published
    middle = 0.5 * (low + high)
    return Row(
        name, 100.0 * (ratio - 1.0), "%", f"lesion width, {where}; published {low:g} to {high:g} %", middle, SOURCE,
        0.5 * (high - low) + WIDENED * middle,
    )  # fmt: skip


def _rows_of(gauge: int, sizes: Sizes) -> list[Row]:
    width, length = sizes[gauge, 80.0, 2.0]
    at = {minutes: sizes[gauge, 80.0, minutes][0] for minutes in MINUTES}
    name = f"{gauge}G"
    return [
        Row(f"width_mm[{name}]", width, "mm", "80 °C, 2 min"),
        _row(f"width_gain[60 to 90 C, {name}]", sizes[gauge, 90.0, 2.0][0] / sizes[gauge, 60.0, 2.0][0], "2 min", (108.0, 152.0)),
        _row(f"width_gain[1 to 2 min, {name}]", at[2.0] / at[1.0], "80 °C", (11.0, 20.0)),
        _row(f"width_gain[1 to 3 min, {name}]", at[3.0] / at[1.0], "80 °C", (23.0, 32.0)),
        Row(
            f"length_beyond_tip_mm[{name}]", length - TIP_MM, "mm", "lesion - tip, 80 °C, 2 min; published 1 to 5 mm",
            3.0, SOURCE, 2.0 + WIDENED * 3.0,
        ),
    ]  # fmt: skip
