"""Radiofrequency ablation as the stages see it: rules, devices, the search space, and the two predictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

import numpy as np

from osteon.data_files import read_data
from osteon.errors import SettingError
from osteon.space.anatomy import Anatomy, Structure
from osteon.treatments.base import Draw, Effect, Goal, NeedlePose, Observe, Setting
from osteon.treatments.needle_treatment import NeedleTreatment
from osteon.treatments.needles import move_tip, number

POWERS_W = (100.0, 60.0, 40.0, 20.0)  # the search space, where the generator holds power
TEMPERATURES_C = (80.0, 90.0, 70.0, 60.0, 95.0)  # and where it holds the temperature of the tip
TIMES_S = tuple(float(t) for t in range(60, 901, 60))
OFFSETS_MM = (0.0, -4.0, 4.0)  # of the zone's centre from the target's, towards the hub
SHORTEST_S = 10.0


class _Radiofrequency(NeedleTreatment):
    """What monopolar and bipolar ablation share."""

    instrument = "electrode"
    most_positions = 4
    can_pull_back = True

    def settings(
        self, anatomy: Anatomy, target: Structure, goal: Goal, device: str, poses: Sequence[NeedlePose] = ()
    ) -> Iterable[Setting]:
        """Return settings pose by pose, best pose first: where the zone's centre lies, what is held, then time rising."""
        entry, needle = self.device(device), self.needle(device)
        use = entry["time_s"]
        times = [t for t in TIMES_S if float(use["low"]) <= t <= float(use["high"])]
        index = np.argwhere(anatomy.mask(target).array)
        centre = anatomy.grid.to_mm(index.mean(axis=0))
        for pose in poses:
            for offset in OFFSETS_MM:
                moved = move_tip(pose, centre, needle.active_offset_mm - offset)
                if moved.length_mm > needle.max_depth_mm:
                    continue
                for control in held(entry):
                    for time in times:
                        yield Setting(device, (moved,), (control, ("time_s", time)))

    def quick(self, anatomy: Anatomy, setting: Setting) -> Effect | None:
        """Return a coarse prediction; settings that differ only in time cost little more (see ``quick``)."""
        from osteon.treatments.radiofrequency.quick import quick

        return quick(self, anatomy, setting)

    def simulate(self, anatomy: Anatomy, setting: Setting, draw: Draw, observe: Observe | None = None) -> Effect:
        """Simulate one setting on the anatomy's grid (see ``simulation``).

        Raises
        ------
        SettingError
            If a control or the place of the needle cannot be used.
        MissingError
            If there is no CT.
        """
        from osteon.treatments.radiofrequency.simulation import simulate

        return simulate(self, anatomy, setting, draw, observe)

    def check(self, setting: Setting) -> tuple[dict[str, float], float]:
        """Return the controls and the time [s] of a setting that this device can do.

        Raises
        ------
        SettingError
            If it cannot.
        """
        entry = self.device(setting.device)
        controls = dict(setting.controls)
        missing = set(entry["controls"]) - controls.keys()
        if len(setting.poses) != 1 or missing:
            raise SettingError(
                f"The setting has {len(setting.poses)} needles and the controls {sorted(controls)}.",
                f"{entry['title']} needs one pose and {', '.join(entry['controls'])}.",
                "Give one pose and every control; several positions are several steps of a plan.",
            )
        time, longest = controls["time_s"], float(entry["time_s"]["high"])
        name, low, high = _range(entry)
        if not (low <= controls[name] <= high) or not (SHORTEST_S <= time <= longest):
            raise SettingError(
                f"{name} {controls[name]:g} for {time:g} s was asked of {entry['title']}.",
                f"It holds {low:g} to {high:g}, and its sources use up to {longest:g} s.",
                f"Choose {low:g} to {high:g}, and {SHORTEST_S:g} to {longest:g} s.",
            )
        return controls, time


@final
class RadiofrequencyMonopolar(_Radiofrequency):
    """Radiofrequency ablation with one electrode against ground pads."""

    name = "radiofrequency_monopolar"
    title = "Monopolar radiofrequency ablation"


@final
class RadiofrequencyBipolar(_Radiofrequency):
    """Radiofrequency ablation between two contacts of one probe."""

    name = "radiofrequency_bipolar"
    title = "Bipolar radiofrequency ablation"


def held(entry: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return what the generator can be told to hold, the most promising first."""
    name, low, high = _range(entry)
    offered = TEMPERATURES_C if name == "temperature_c" else POWERS_W
    return [(name, value) for value in offered if low <= value <= high]


def _range(entry: Mapping[str, Any]) -> tuple[str, float, float]:
    if "temperature_c" in entry["controls"]:
        return "temperature_c", float(entry["temperature_c"]["low"]), float(entry["temperature_c"]["high"])
    return "power_w", number(entry["min_power_w"]), number(entry["max_power_w"])


def all_devices() -> Mapping[str, Mapping[str, Any]]:
    """Return every entry of ``devices.yaml``, by id."""
    entries: Mapping[str, Mapping[str, Any]] = read_data("osteon.treatments.radiofrequency", "devices.yaml")
    return entries
