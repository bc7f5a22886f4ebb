"""Focused ultrasound as ``select`` sees it: its rules, and whether there is an acoustic window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, final

from osteon.facts import Fact
from osteon.space.anatomy import Anatomy, Structure
from osteon.treatments.base import Treatment
from osteon.treatments.rows import read


@final
class FocusedUltrasound(Treatment):
    """Focused ultrasound guided by MR; rules in ``rules.yaml``, arrays in ``devices.yaml``. Not planned yet."""

    name = "focused_ultrasound"
    title = "Focused ultrasound guided by MR"
    family = "ablation"
    package = "osteon.treatments.focused_ultrasound"
    devices: Mapping[str, Mapping[str, Any]] = {}

    @cached_property
    def rules(self) -> Sequence[Mapping[str, Any]]:  # type: ignore[override]
        """Rules of ``rules.yaml``, parsed."""
        return list(read(self.package)["rules"])

    def site_facts(self, anatomy: Anatomy, target: Structure) -> list[Fact]:
        """Return whether some array finds an acoustic window (see ``access``); nothing where target or CT are missing."""
        if not anatomy.has(target) or anatomy.image is None:
            return []
        from osteon.treatments.focused_ultrasound.access import site_facts

        return site_facts(anatomy, target)

    def simulates(self) -> bool:
        """Tell that this treatment is not planned yet."""
        return False
