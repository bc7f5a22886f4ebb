"""A cryoprobe: where its active length lies in the grid, and how it drives the tissue while freezing and thawing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from osteon.errors import SettingError
from osteon.evidence.value import Value, spread_from
from osteon.physics.freezing import OFF, Drive, FreezeStage
from osteon.physics.lines import Line
from osteon.space.volume import Grid
from osteon.tissue.properties import Constants
from osteon.treatments.base import NeedlePose

LAW = ("gas_temperature", "film", "most_power", "thaw_temperature", "thaw_power")
FINAL_THAW_S = 180.0  # the heated probe comes out after so long; what structures still lose in that time is judged


@dataclass(frozen=True)
class Cryoprobe:
    """One device with the numbers of one run.

    Parameters
    ----------
    radius_mm, active_end_mm, active_length_mm : float
        Radius; from the tip back to where the active length begins; its length [mm].
    freezing, thawing : Drive
        Film to the cold gas with the most power per length; the heater while thawing actively.
    """

    radius_mm: float
    active_end_mm: float
    active_length_mm: float
    freezing: Drive
    thawing: Drive

    def line(self, pose: NeedlePose, grid: Grid) -> Line:
        """Return the active length in the grid.

        Raises
        ------
        SettingError
            If all of it lies outside.
        """
        along = np.array(pose.direction)
        near = np.array(pose.tip_mm) - self.active_end_mm * along
        far = near - self.active_length_mm * along
        ends = grid.to_index(np.stack([near, far]))
        steps = np.linspace(0.0, 1.0, 41)[:, None]
        points = ends[0] + steps * (ends[1] - ends[0])
        if not ((points > -0.5) & (points < np.array(grid.shape) - 0.5)).all(axis=1).any():
            raise SettingError(
                f"The active length of the probe, tip at {_mm(pose.tip_mm)} mm, lies outside the planning box.",
                "A probe outside what is computed freezes nothing.",
                "Move the tip into the lesion, or take a larger box.",
            )
        step_m = float(np.mean(grid.spacing_mm)) * 1e-3
        a, b = ((float(z), float(y), float(x)) for z, y, x in ends * step_m)
        return Line(a, b, self.radius_mm * 1e-3)


def _mm(point: tuple[float, float, float]) -> str:
    return "(" + ", ".join(f"{v:.0f}" for v in point) + ")"


def cryoprobe(entry: Mapping[str, Any], constants: Constants, name: str) -> Cryoprobe:
    """Return a device of ``devices.yaml`` with the numbers of one run; what was used is noted in ``constants``."""

    def drawn(key: str) -> float:
        raw = entry[key]
        value = Value(
            float(raw["value"]), str(raw["unit"]), spread_from(raw.get("spread")), str(raw["source"]), bool(raw["verified"])
        )
        return constants.of(f"{name}.{key}", value)

    gas, film, most, warm, heater = (drawn(key) for key in LAW)
    return Cryoprobe(
        0.5 * drawn("shaft_diameter_mm"), drawn("active_end_mm"), drawn("active_length_mm"), Drive(gas, film, most),
        Drive(warm, film, heater),
    )  # fmt: skip


def cycles(
    probe: Cryoprobe, freeze_s: float, thaw_s: float, freezes: int, final_thaw_s: float = FINAL_THAW_S
) -> list[FreezeStage]:
    """Return freeze, passive thaw, freeze, ..., and an active thaw at the end, all probes alike."""
    stages: list[FreezeStage] = []
    for i in range(freezes):
        stages.append(FreezeStage(f"freeze {i + 1}", freeze_s, (probe.freezing,)))
        if i < freezes - 1 and thaw_s > 0:
            stages.append(FreezeStage(f"passive thaw {i + 1}", thaw_s, (OFF,)))
    if final_thaw_s > 0:
        stages.append(FreezeStage("active thaw", final_thaw_s, (probe.thawing,)))
    return stages
