"""The site of a target: what must be there, what nobody outlined, which bone holds it, from which density on bone is a solid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from osteon.errors import MissingError, NotOutlinedError
from osteon.evidence.value import Normal, Uniform, Value
from osteon.space.anatomy import Anatomy, Kind, Structure
from osteon.space.volume import Volume
from osteon.tissue.bone import added_hu
from osteon.tissue.properties import Constants, DrawFunction

Threshold = Literal["low", "middle", "high"]
LOOKED_FOR: tuple[Kind, ...] = ("nerve", "bowel", "lung")


def ct_of(anatomy: Anatomy, target: Structure, why: str) -> Volume:
    """Return the CT of an anatomy in which a target is outlined.

    Parameters
    ----------
    anatomy : Anatomy
        Of the patient.
    target : Structure
        Where sound is to go.
    why : str
        What is read from the CT, a sentence.

    Raises
    ------
    NotOutlinedError
        If the target is not outlined.
    MissingError
        If there is no CT.
    """
    if not anatomy.has(target):
        raise NotOutlinedError(
            f"The {target.name} is not outlined.", "Sound needs somewhere to go.", f"Outline the {target.name} in case.yaml."
        )
    if anatomy.image is None:
        raise MissingError("This anatomy has no CT image.", why, "Give a CT of the region.")
    return anatomy.image


def not_outlined(anatomy: Anatomy) -> str:
    """Return which of nerve, bowel and lung nobody outlined or called absent, "nerve, bowel"; empty where none is missing."""
    told = {s.kind for s in (*anatomy.masks, *anatomy.absent)}
    return ", ".join(kind for kind in LOOKED_FOR if kind not in told)


def touching_most(shared: Mapping[Structure, int]) -> Structure | None:
    """Return the bone that touches a target most: it shares most cells with the target's neighbourhood; None where none does."""
    best = max(sorted(shared), key=lambda key: shared[key], default=None)
    return best if best is not None and shared[best] > 0 else None


def solid_hu(anatomy: Anatomy, end: Threshold = "middle") -> float:
    """Return above which HU bone is a solid to sound: from the fraction of cancellous bone on, at an end of the spreads.

    ``tissue.acoustics`` draws the same line.
    """
    constants = Constants(_drawn_at(end))
    added = added_hu(anatomy, constants)
    return added + constants("hounsfield", "cancellous_fraction") * (constants("hounsfield", "cortical") - added)


def _drawn_at(end: Threshold) -> DrawFunction | None:
    """Return a draw that takes each number at an end of its spread (5th and 95th percentile of a normal one)."""
    if end == "middle":
        return None
    sign = -1 if end == "low" else 1

    def draw(_: str, value: Value) -> float:
        if isinstance(value.spread, Uniform):
            return value.spread.low if sign < 0 else value.spread.high
        if isinstance(value.spread, Normal):
            return value.number + sign * 1.645 * value.spread.sd
        return value.number

    return draw
