"""Cryoablation as the stages see it: rules, devices, the search space, and the two predictions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import final

import numpy as np

from osteon.errors import SettingError
from osteon.space.anatomy import Anatomy, Structure
from osteon.treatments.base import Draw, Effect, Goal, NeedlePose, Observe, Setting
from osteon.treatments.needle_treatment import NeedleTreatment
from osteon.treatments.needles import move_tip

FREEZES_S = (300.0, 420.0, 600.0)  # of each freeze; two of them
THAWS_S = (480.0,)  # between two freezes: 10-8-10 min at the longest freeze
OFFSETS_MM = (0.0, -6.0, 6.0)  # of the middle of the active length from the target's, towards the hub
FREEZES = 2.0
MOST_PROBES = 20


@final
class Cryoablation(NeedleTreatment):
    """Cryoablation with argon probes; planning offers one probe in one position, the physics takes several."""

    name = "cryoablation"
    title = "Cryoablation"
    instrument = "cryoprobe"
    most_positions = 1

    def settings(
        self, anatomy: Anatomy, target: Structure, goal: Goal, device: str, poses: Sequence[NeedlePose] = ()
    ) -> Iterable[Setting]:
        """Return settings pose by pose, best pose first: where the active length lies, the thaw, then the freeze rising."""
        entry, needle = self.device(device), self.needle(device)
        use = entry["time_s"]
        centre = anatomy.grid.to_mm(np.argwhere(anatomy.mask(target).array).mean(axis=0))
        for pose in poses:
            for offset in OFFSETS_MM:
                moved = move_tip(pose, centre, needle.active_offset_mm - offset)
                if moved.length_mm > needle.max_depth_mm:
                    continue
                for thaw in THAWS_S:
                    for time in (t for t in FREEZES_S if float(use["low"]) <= t <= float(use["high"])):
                        yield Setting(device, (moved,), (("time_s", time), ("thaw_s", thaw), ("freezes", FREEZES)))

    def quick(self, anatomy: Anatomy, setting: Setting) -> Effect | None:
        """Return a coarse prediction (see ``quick``)."""
        from osteon.treatments.cryoablation.quick import quick

        return quick(self, anatomy, setting)

    def simulate(self, anatomy: Anatomy, setting: Setting, draw: Draw, observe: Observe | None = None) -> Effect:
        """Simulate one setting on the anatomy's grid (see ``simulation``).

        Raises
        ------
        SettingError
            If a control or the place of a probe cannot be used.
        MissingError
            If there is no CT.
        """
        from osteon.treatments.cryoablation.simulation import simulate

        return simulate(self, anatomy, setting, draw, observe)

    def check(self, setting: Setting) -> tuple[float, float, int]:
        """Return the time of each freeze [s], of each passive thaw between them [s], and the number of freezes.

        Raises
        ------
        SettingError
            If the device cannot do that.
        """
        entry, controls = self.device(setting.device), dict(setting.controls)
        missing = {"time_s", "thaw_s", "freezes"} - controls.keys()
        if missing or not 1 <= len(setting.poses) <= MOST_PROBES:
            raise SettingError(
                f"The setting has {len(setting.poses)} probes and the controls {sorted(controls)}.",
                f"Cryoablation needs 1 to {MOST_PROBES} probes, time_s (each freeze), thaw_s (between them) and freezes.",
                "Give the poses and the three controls.",
            )
        for name in ("time_s", "thaw_s", "freezes"):
            low, high = float(entry[name]["low"]), float(entry[name]["high"])
            if not low <= controls[name] <= high or (name == "freezes" and controls[name] != int(controls[name])):
                raise SettingError(
                    f"{name} {controls[name]:g} was asked of {entry['title']}.",
                    f"It is used with {low:g} to {high:g}; outside that nothing is known of it.",
                    f"Choose {name} from {low:g} to {high:g}.",
                )
        self._apart(setting)
        return controls["time_s"], controls["thaw_s"], int(controls["freezes"])

    def _apart(self, setting: Setting) -> None:
        """Refuse probes that would fill the same place."""
        width = self.needle(setting.device).shaft_diameter_mm
        tips = np.array([pose.tip_mm for pose in setting.poses])
        for i in range(1, len(tips)):
            nearest = float(np.linalg.norm(tips[:i] - tips[i], axis=1).min())
            if nearest < width:
                raise SettingError(
                    f"The tips of two probes lie {nearest:.1f} mm apart.",
                    f"Probes of {width:g} mm would fill the same place.",
                    f"Keep the tips at least {width:g} mm apart; 10 to 20 mm is usual.",
                )
