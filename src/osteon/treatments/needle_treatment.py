"""What every simulated treatment with a needle has: its rules, its devices, and what a device needs of its way in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from osteon.data_files import read_data
from osteon.errors import SettingError
from osteon.facts import Fact
from osteon.space.anatomy import Anatomy, Structure
from osteon.space.volume import Volume
from osteon.treatments.base import Goal, NeedleAccess, NeedlePose, Setting, Treatment
from osteon.treatments.catalog import offered
from osteon.treatments.needles import interface_target, number
from osteon.treatments.rows import read


class NeedleTreatment(Treatment):
    """A treatment through one needle; rules in ``treatments/<name>/rules.yaml``, devices in ``devices.yaml`` beside the code.

    Subclasses set ``instrument`` ("antenna", "electrode", ...), as errors name it.
    """

    family = "ablation"
    instrument: str = "needle"

    @property
    def package(self) -> str:
        """The package that holds ``rules.yaml``."""
        return f"osteon.treatments.{self.name}"

    @cached_property
    def rules(self) -> Sequence[Mapping[str, Any]]:  # type: ignore[override]
        """Rules of ``rules.yaml``, parsed."""
        return list(read(self.package)["rules"])

    @cached_property
    def devices(self) -> Mapping[str, Mapping[str, Any]]:  # type: ignore[override]
        """Clinical devices of ``devices.yaml``, by id; benchmark geometries are left out."""
        whole = read_data(type(self).__module__.rpartition(".")[0], "devices.yaml")
        return {key: entry for key, entry in whole.items() if offered(entry, self.name)}

    def simulates(self) -> bool:
        """Tell that this treatment is simulated."""
        return True

    def site_facts(self, anatomy: Anatomy, target: Structure) -> list[Fact]:
        """Return whether a percutaneous path exists (see ``needle_path``)."""
        from osteon.treatments.needle_path import site_facts

        return site_facts(anatomy, target, max(self.needle(device).max_depth_mm for device in self.devices))

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
                f"{self.title} has no {self.instrument} {name!r}.",
                "What it does to tissue cannot be computed without its geometry.",
                f"Use one of: {', '.join(self.devices)}.",
            ) from None

    def needle(self, device: str) -> NeedleAccess:
        """Return what the device needs of its way in."""
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

    def instruments(self, setting: Setting) -> tuple[tuple[NeedlePose, float], ...]:
        """Return the needles of a setting with their radius [mm].

        Raises
        ------
        SettingError
            If there is no device of that name.
        """
        radius = 0.5 * self.needle(setting.device).shaft_diameter_mm
        return tuple((pose, radius) for pose in setting.poses)

    def target(self, anatomy: Anatomy, goal: Goal, lesion: Structure) -> Volume | None:
        """Return the painful interface of bone and soft tissue for that goal; planning's own target otherwise."""
        return interface_target(anatomy, goal, lesion)
