"""What a session of sonications is made of: where a beam is aimed, and how strong and long it is on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from osteon.errors import InputError, SettingError
from osteon.treatments.focused_ultrasound.approach_rows import number

Triple = tuple[float, float, float]
ApproachName = Literal["near-target", "direct", "trans-soft-tissue"]
APPROACHES: tuple[ApproachName, ...] = ("near-target", "direct", "trans-soft-tissue")
UNIT_WITHIN = 1e-6  # a direction may be so far from length 1 and is then made exact


@dataclass(frozen=True)
class Aim:
    """One place where sound is focused.

    Parameters
    ----------
    id : str
        Of this place, alike in each run: numbered from the array onward, for example ``"S-07"``.
    focus_mm : tuple of float
        Where the focus goes, LPS.
    beam : tuple of float
        Unit vector along the axis of the beam, the way sound goes, LPS.
    approach : str
        "near-target", "direct" or "trans-soft-tissue".
    order : int
        When it comes in the session, 0 first.
    covers : float
        Share of the target, by area of its surface or by volume, that this cell covers and none before it in the order does.
    spot_mm : tuple of float
        The place of the target that it treats, LPS: on the surface of bone or in the tumour; near-target the focus lies behind.

    Raises
    ------
    InputError
        If a number is not finite, the beam has no length 1, the approach is not known, or order or share are out of range.
    """

    id: str
    focus_mm: Triple
    beam: Triple
    approach: ApproachName
    order: int
    covers: float
    spot_mm: Triple

    def __post_init__(self) -> None:
        places = np.array([self.focus_mm, self.spot_mm, self.beam], float)
        if not (self.id.strip() and np.isfinite(places).all() and np.abs(places).max() <= number("farthest_mm")):
            raise InputError(
                f"The place {self.id!r} lies at {self.focus_mm}, treats {self.spot_mm}, with the beam along {self.beam}.",
                f"A sonication needs a place, at most {number('farthest_mm'):g} mm from the origin, and a direction.",
                "Give a name and finite numbers in LPS mm.",
            )
        length = float(np.linalg.norm(self.beam))
        if abs(length - 1) > UNIT_WITHIN:
            raise InputError(
                f"The beam of {self.id} has length {length:g}.", "A direction is a unit vector.", "Divide it by its length."
            )
        if self.approach not in APPROACHES:
            raise InputError(
                f"{self.id} has the approach {self.approach!r}.",
                "Where the focus lies relative to the cortex follows from it.",
                f"Use one of: {', '.join(APPROACHES)}.",
            )
        if isinstance(self.order, bool) or int(self.order) != self.order or self.order < 0 or not 0 <= self.covers <= 1:
            raise InputError(
                f"{self.id} has order {self.order} and covers {self.covers:g} of the target.",
                "An order counts from 0, and a share lies between 0 and 1.",
                "Take aims from osteon.treatments.focused_ultrasound.lattice.",
            )


@dataclass(frozen=True)
class Shot:
    """One sonication: an aim, its power, how long it is on, and the wait after it.

    Parameters
    ----------
    aim : Aim
        Where.
    power_w : float
        Acoustic power that leaves the array, not electric power.
    on_s, off_s : float
        How long sound is on, and how long nothing is done afterwards.
    test : bool
        Whether it only shows where the heat appears: at low power, and no treatment.
    notes : tuple of str
        What the reader must know about it.
    phases_rad : tuple of float
        Of each element, in the order of the device; empty where the device sets them itself.

    Raises
    ------
    SettingError
        If a number is not finite, negative, zero where it may not be, or larger than any session gives (``approach.yaml``).
    """

    aim: Aim
    power_w: float
    on_s: float
    off_s: float
    test: bool = False
    notes: tuple[str, ...] = ()
    phases_rad: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name, unit, value, least, most in (
            ("power", "W", self.power_w, 0.0, number("most_power_w")),
            ("time on", "s", self.on_s, 0.0, number("longest_on_s")),
            ("wait", "s", self.off_s, -1e-9, number("longest_off_s")),
        ):
            if not (math.isfinite(value) and least < value <= most):
                raise SettingError(
                    f"{self.aim.id} was given a {name} of {value:g} {unit}.",
                    f"No sonication has that; up to {most:g} {unit} is taken.",
                    "Give acoustic power [W], time on [s] above 0, and a wait [s] that is not negative.",
                )
        if not np.isfinite(self.phases_rad).all():
            raise SettingError(
                f"{self.aim.id} has a phase that is no finite number.",
                "Each element needs its own.",
                "Give one phase [rad] for each element, or none.",
            )

    @property
    def energy_j(self) -> float:
        """Acoustic energy of the sonication [J]: power by time on."""
        return self.power_w * self.on_s
