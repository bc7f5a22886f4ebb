"""Laser ablation as the stages see it: rules, devices, the search space, and the two predictions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import final

import numpy as np

from osteon.errors import SettingError
from osteon.space.anatomy import Anatomy, Structure
from osteon.treatments.base import Draw, Effect, Goal, NeedlePose, Observe, Setting
from osteon.treatments.needle_treatment import NeedleTreatment
from osteon.treatments.needles import move_tip, number

STEP_S, SHORTEST_S = 60.0, 30.0


@final
class Laser(NeedleTreatment):
    """Laser ablation with one interstitial fibre."""

    name = "laser"
    title = "Laser ablation"
    instrument = "fibre"
    most_positions = 4
    can_pull_back = True

    def settings(
        self, anatomy: Anatomy, target: Structure, goal: Goal, device: str, poses: Sequence[NeedlePose] = ()
    ) -> Iterable[Setting]:
        """Return settings pose by pose, best pose first: the zone's centre on the target's, power, then time rising."""
        entry, needle = self.device(device), self.needle(device)
        centre = anatomy.grid.to_mm(np.argwhere(anatomy.mask(target).array).mean(axis=0))
        longest = float(entry["time_s"]["high"])
        for pose in poses:
            moved = move_tip(pose, centre, needle.active_offset_mm)
            if moved.length_mm > needle.max_depth_mm:
                continue
            for power in entry["powers_w"]:
                for time in np.arange(STEP_S, longest + 1.0, STEP_S):
                    yield Setting(device, (moved,), (("power_w", float(power)), ("time_s", float(time))))

    def quick(self, anatomy: Anatomy, setting: Setting) -> Effect | None:
        """Return a coarse prediction; settings that differ only in time cost nothing more (see ``quick``)."""
        from osteon.treatments.laser.quick import quick

        return quick(self, anatomy, setting)

    def simulate(self, anatomy: Anatomy, setting: Setting, draw: Draw, observe: Observe | None = None) -> Effect:
        """Simulate one setting on the anatomy's grid (see ``simulation``).

        Raises
        ------
        SettingError
            If power or time lie outside what was tried with the device.
        MissingError
            If there is no CT.
        """
        from osteon.treatments.laser.simulation import simulate

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
                f"The setting has {len(setting.poses)} fibres and the controls {sorted(controls)}.",
                "Laser ablation needs one pose, power_w and time_s.",
                "Give one pose and both controls; several positions are several steps of a plan.",
            )
        power, time = controls["power_w"], controls["time_s"]
        low, high, longest = number(entry["min_power_w"]), number(entry["max_power_w"]), float(entry["time_s"]["high"])
        if not (low < power <= high) or not (SHORTEST_S <= time <= longest):
            raise SettingError(
                f"{power:g} W for {time:g} s was asked of {entry['title']}.",
                f"It was used with up to {high:g} W and {longest:g} s.",
                f"Choose more than {low:g} and up to {high:g} W, {SHORTEST_S:g} to {longest:g} s.",
            )
        return power, time
