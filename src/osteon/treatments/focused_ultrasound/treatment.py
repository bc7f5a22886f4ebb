"""Focused ultrasound as ``select`` and ``plan`` see it: its rules, whether there is an acoustic window, and its own plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, final

from osteon.facts import Fact
from osteon.jobs import Executor
from osteon.space.anatomy import Anatomy, Structure
from osteon.treatments.base import Asked, Proposal, Treatment
from osteon.treatments.rows import read


@final
class FocusedUltrasound(Treatment):
    """Focused ultrasound guided by MR; rules in ``rules.yaml``, arrays in ``devices.yaml``; plans by itself."""

    name = "focused_ultrasound"
    title = "Focused ultrasound guided by MR"
    family = "ablation"
    package = "osteon.treatments.focused_ultrasound"
    plans_itself = True
    studies = True

    @cached_property
    def devices(self) -> Mapping[str, Mapping[str, Any]]:  # type: ignore[override]
        """Clinical arrays of ``devices.yaml``, in the order in which they are tried."""
        from osteon.treatments.focused_ultrasound.transducer import clinical_devices

        return clinical_devices()

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
        """Tell that sound and heat are simulated."""
        return True

    def propose(
        self, anatomy: Anatomy, lesion: Structure, bone: Structure | None, asked: Asked, executor: Executor,
        observe: Callable[[str, float], None],
    ) -> Proposal:  # fmt: skip
        """Search a window, compare the approaches, find powers, simulate the session; see ``planned.plan_scheme``."""
        from osteon.treatments.focused_ultrasound.proposal import propose

        return propose(anatomy, lesion, bone, asked, executor, observe)
