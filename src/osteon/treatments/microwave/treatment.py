"""Microwave ablation as the stages see it: rules, devices, the search space, and the two predictions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import final

import numpy as np

from osteon.errors import SettingError
from osteon.space.anatomy import Anatomy, Structure
from osteon.treatments.base import Draw, Effect, Goal, NeedlePose, Observe, Setting
from osteon.treatments.needle_treatment import NeedleTreatment
from osteon.treatments.needles import move_tip, number

POWERS_W = (60.0, 50.0, 70.0, 40.0)  # the search space: the power that seed 4 used most comes first
TIMES_S = tuple(float(t) for t in range(60, 841, 60))
OFFSETS_MM = (0.0, -5.0, 5.0)  # of the zone's centre from the target's, towards the hub
SHORTEST_S = 30.0


@final
class Microwave(NeedleTreatment):
    """Microwave ablation with one straight antenna."""

    name = "microwave"
    title = "Microwave ablation"
    instrument = "antenna"
    most_positions = 4
    can_pull_back = True

    def settings(
        self, anatomy: Anatomy, target: Structure, goal: Goal, device: str, poses: Sequence[NeedlePose] = ()
    ) -> Iterable[Setting]:
        """Return settings pose by pose, best pose first: where the zone's centre lies, power, then time rising."""
        entry, needle = self.device(device), self.needle(device)
        low, high = number(entry["min_power_w"]), number(entry["max_power_w"])
        longest = float(entry["time_s"]["high"])
        index = np.argwhere(anatomy.mask(target).array)
        centre = anatomy.grid.to_mm(index.mean(axis=0))
        for pose in poses:
            for offset in OFFSETS_MM:
                moved = move_tip(pose, centre, needle.active_offset_mm - offset)
                if moved.length_mm > needle.max_depth_mm:
                    continue
                for power in (p for p in POWERS_W if low <= p <= high):
                    for time in (t for t in TIMES_S if t <= longest):
                        yield Setting(device, (moved,), (("power_w", power), ("time_s", time)))

    def quick(self, anatomy: Anatomy, setting: Setting) -> Effect | None:
        """Return a coarse prediction; settings that differ only in time cost nothing more (see ``quick``)."""
        from osteon.treatments.microwave.quick import quick

        return quick(self, anatomy, setting)

    def simulate(self, anatomy: Anatomy, setting: Setting, draw: Draw, observe: Observe | None = None) -> Effect:
        """Simulate one setting on the anatomy's grid (see ``simulation``).

        Raises
        ------
        SettingError
            If power or time lie outside what the device can do.
        MissingError
            If there is no CT.
        """
        from osteon.treatments.microwave.simulation import simulate

        return simulate(self, anatomy, setting, draw, observe)

    def check(self, setting: Setting) -> tuple[float, float]:
        """Return power [W] and time [s] of a setting that this device can do.

        Raises
        ------
        SettingError
            If it cannot.
        """
        entry = self.device(setting.device)
        controls = dict(setting.controls)
        if len(setting.poses) != 1 or {"power_w", "time_s"} - controls.keys():
            raise SettingError(
                f"The setting has {len(setting.poses)} needles and the controls {sorted(controls)}.",
                "Microwave ablation needs one pose, power_w and time_s.",
                "Give one pose and both controls; several positions are several steps of a plan.",
            )
        power, time = controls["power_w"], controls["time_s"]
        low, high, longest = number(entry["min_power_w"]), number(entry["max_power_w"]), float(entry["time_s"]["high"])
        if not (low < power <= high) or not (SHORTEST_S <= time <= longest):
            raise SettingError(
                f"{power:g} W for {time:g} s was asked of {entry['title']}.",
                f"It gives up to {high:g} W, and its sources use up to {longest:g} s.",
                f"Choose more than {low:g} and up to {high:g} W, {SHORTEST_S:g} to {longest:g} s.",
            )
        return power, time
