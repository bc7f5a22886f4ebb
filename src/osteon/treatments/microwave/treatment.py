"""Microwave ablation as the stages see it: rules, devices, the search space, and the two predictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, final

import numpy as np

from osteon.data_files import read_data
from osteon.errors import SettingError
from osteon.facts import Fact
from osteon.space.anatomy import Anatomy, Structure
from osteon.space.volume import Volume
from osteon.treatments.base import Draw, Effect, Goal, NeedleAccess, NeedlePose, Observe, Setting, Treatment

POWERS_W = (60.0, 50.0, 70.0, 40.0)  # the search space: the power that seed 4 used most comes first
TIMES_S = tuple(float(t) for t in range(60, 841, 60))
OFFSETS_MM = (0.0, -5.0, 5.0)  # of the zone's centre from the target's, towards the hub
INTERFACE_MM = 5.0  # half thickness of the painful interface of bone and soft tissue
SHORTEST_S = 30.0


@final
class Microwave(Treatment):
    """Microwave ablation with one straight antenna."""

    name = "microwave"
    title = "Microwave ablation"
    family = "ablation"
    most_positions = 4
    can_pull_back = True

    @cached_property
    def rules(self) -> Sequence[Mapping[str, Any]]:  # type: ignore[override]
        """Rules of ``rules.yaml``, parsed."""
        loaded = _load("rules.yaml")
        return list(loaded.get("rules", ())) if isinstance(loaded, dict) else list(loaded)

    @cached_property
    def devices(self) -> Mapping[str, Mapping[str, Any]]:  # type: ignore[override]
        """Clinical devices of ``devices.yaml``, by id; benchmark geometries are left out."""
        return {key: entry for key, entry in _load("devices.yaml").items() if not entry.get("validation_only")}

    def simulates(self) -> bool:
        """Tell that this treatment is simulated."""
        return True

    def site_facts(self, anatomy: Anatomy, target: Structure) -> list[Fact]:
        """Return whether a percutaneous path exists (see ``needle_path``)."""
        from osteon.treatments.needle_path import site_facts

        longest = max(self.needle(device).max_depth_mm for device in self.devices)
        return site_facts(anatomy, target, longest)

    def device(self, name: str) -> Mapping[str, Any]:
        """Return one entry of ``devices.yaml``.

        Raises
        ------
        SettingError
            If there is none of that name.
        """
        try:
            return self.devices[name]
        except KeyError:
            raise SettingError(
                f"There is no microwave device {name!r}.",
                "Its field cannot be computed without its geometry.",
                f"Use one of: {', '.join(self.devices)}.",
            ) from None

    def needle(self, device: str) -> NeedleAccess:
        """Return what the antenna needs of its way in."""
        entry = self.device(device)
        introducer = entry["introducer"]
        return NeedleAccess(
            max_depth_mm=number(entry["usable_length_mm"]),
            gauge=f"{number(entry['gauge']):g}G",
            shaft_diameter_mm=number(entry["shaft_diameter_mm"]),
            introducer=str(introducer["text"]),
            introducer_bore_mm=number(introducer["bore_mm"]),
            introducer_length_mm=number(introducer["length_mm"]),
            drills_bone=("target",),
            active_offset_mm=number(entry["zone_centre_mm"]),
        )

    def target(self, anatomy: Anatomy, goal: Goal, lesion: Structure) -> Volume | None:
        """Return the painful interface of bone and soft tissue for that goal; planning's own target otherwise."""
        if goal != "interface_palliation":
            return None
        from osteon.treatments.microwave.access import interface_shell

        shell = interface_shell(anatomy, lesion, INTERFACE_MM)
        return None if shell is None else Volume(shell, anatomy.grid)

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


def number(entry: Any) -> float:
    """Return the number of an entry of ``devices.yaml``: a mapping with ``value``, or bare."""
    return float(entry["value"] if isinstance(entry, Mapping) else entry)


def move_tip(pose: NeedlePose, centre_mm: Any, beyond_mm: float) -> NeedlePose:
    """Return the needle on the same line with its tip ``beyond_mm`` past the point of the line nearest to ``centre_mm``."""
    direction, entry = np.array(pose.direction), np.array(pose.entry_mm)
    along = float((np.asarray(centre_mm) - entry) @ direction) + beyond_mm
    x, y, z = entry + max(along, 1.0) * direction
    return NeedlePose(pose.entry_mm, (float(x), float(y), float(z)))


def _load(name: str) -> Any:
    return read_data("osteon.treatments.microwave", name)
