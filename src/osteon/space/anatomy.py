"""What of the patient is known in space: image, outlined structures, what was imaged, and the state of the tissue.

A structure that is not outlined, or a place that was not imaged, is unknown; it is never free space.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from typing import Any, Literal, Protocol

import numpy as np

from osteon.data_files import read_data
from osteon.errors import InputError, NotOutlinedError
from osteon.space.volume import Array, Grid, Volume

Kind = Literal[
    "body",
    "skin",
    "bone",
    "lesion",
    "nerve",
    "cord",
    "vessel",
    "bowel",
    "joint",
    "organ",
    "lung",
    "muscle",
    "fat",
    "implant",
    "disc",
    "table",
]


class Field(StrEnum):
    """A state of the tissue that treatments write."""

    TEMPERATURE_C = "temperature_c"
    CEM43_MIN = "cem43_min"
    DEAD = "dead"
    FROZEN_MIN_C = "frozen_min_c"
    CEMENT_FRACTION = "cement_fraction"
    IMPLANT_ID = "implant_id"
    FLUID = "fluid"
    PRESENT_C = "present_c"  # temperature when the last effect ended; TEMPERATURE_C is the highest that it reached


WARM = frozenset({Field.TEMPERATURE_C, Field.PRESENT_C, Field.FROZEN_MIN_C})  # 37 °C where nobody wrote them


@dataclass(frozen=True, order=True)
class Structure:
    """One entry of the closed vocabulary in ``structures.yaml``; get it with ``structure(id)``.

    Parameters
    ----------
    id : str
        For example ``hip_right``, ``sciatic_nerve_right``, ``vertebra_L3``, ``lesion``.
    name : str
        As a clinician reads it, for example "right sciatic nerve".
    kind : str
        What limits and rules go by.
    side : {"left", "right", None}
        The patient's side.
    code : str or None
        SNOMED CT code found in pydicom's dictionary with ``meaning``; None where it has none.
    meaning : str
        The code's meaning, or why there is no code.
    """

    id: str
    name: str
    kind: Kind
    side: Literal["left", "right"] | None = None
    code: str | None = None
    meaning: str = ""

    def __str__(self) -> str:
        return self.id


@cache
def structures() -> Mapping[str, Structure]:
    """Return the closed vocabulary of structures, by id."""
    entries: dict[str, dict[str, Any]] = read_data("osteon.space", "structures.yaml")
    found: dict[str, Structure] = {}
    for key, entry in entries.items():
        sides: tuple[Literal["left", "right"] | None, ...] = ("left", "right") if entry.get("sided") else (None,)
        for side in sides:
            full = f"{key}_{side}" if side else key
            name = f"{side} {entry['name']}" if side else entry["name"]
            found[full] = Structure(full, name, entry["kind"], side, entry.get("code"), entry["meaning"])
    return found


def structure(name: str) -> Structure:
    """Return the structure of that id.

    Raises
    ------
    InputError
        If the vocabulary has none of that name.
    """
    try:
        return structures()[name]
    except KeyError:
        raise InputError(
            f"There is no structure {name!r} in osteon's vocabulary.",
            "Limits and rules are kept per structure, so an unknown name would be judged by none.",
            "Use one of the names that `osteon list structures` prints.",
        ) from None


class HasState(Protocol):
    """What ``Anatomy.with_`` needs of an effect."""

    @property
    def state(self) -> Mapping[Field, Volume]:
        """The fields that the effect wrote."""
        ...

    @property
    def title(self) -> str:
        """One line for the log."""
        ...


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Image, outlines and tissue state on one grid; never mutated.

    Parameters
    ----------
    imaged : Volume of bool
        True where there is image information; its grid is the grid of everything here.
    image : Volume or None
        HU on CT, float32; None where there is no CT.
    masks : mapping of Structure to Volume of bool
        What was outlined. A structure without mask is unknown, unless it is in ``absent``.
    absent : frozenset of Structure
        Structures that someone said are not here (an empty outline is not enough).
    approximate : frozenset of Structure
        Outlines that are approximate (grown by threshold, a phantom's guess).
    state : mapping of Field to Volume
        Tissue state after effects.
    log : tuple of str
        What was done to this anatomy, in order.
    contrast : bool or None
        Whether the CT has contrast agent, so that its HU are not those of the tissue alone; None: not stated.
    unreliable : Volume of bool or None
        Where metal spoils the HU: nothing is read from them there.
    drawn : mapping of Structure to Volume of bool
        Where someone looked for a structure, where that is a part of the image only; beyond it, it is unknown.
    error_mm : mapping of Structure to float
        How far an outline that was carried over from another study may lie from the truth on this image [mm].
    drawn_on : mapping of Structure to str
        That study.
    shown : Volume or None
        Where there is no CT, the MR or PET in its own grey scale: for pictures only, never to be computed with.
    thermocouples : tuple of (str, (x, y, z))
        Where a thermocouple will lie during a treatment, by name (LPS mm); on the grid or off it.
    """

    imaged: Volume
    image: Volume | None = None
    masks: Mapping[Structure, Volume] = field(default_factory=dict)
    absent: frozenset[Structure] = frozenset()
    approximate: frozenset[Structure] = frozenset()
    state: Mapping[Field, Volume] = field(default_factory=dict)
    log: tuple[str, ...] = ()
    contrast: bool | None = None
    unreliable: Volume | None = None
    drawn: Mapping[Structure, Volume] = field(default_factory=dict)
    error_mm: Mapping[Structure, float] = field(default_factory=dict)
    drawn_on: Mapping[Structure, str] = field(default_factory=dict)
    shown: Volume | None = None
    thermocouples: tuple[tuple[str, tuple[float, float, float]], ...] = ()

    @property
    def grid(self) -> Grid:
        """The grid of image, masks and state."""
        return self.imaged.grid

    def gap_error_mm(self, one: Structure, other: Structure) -> float:
        """Return how much the distance between two outlines may be wrong because they were carried over [mm].

        Outlines of one study were carried by one motion, which leaves the distance between them as it was drawn.
        """
        if self.drawn_on.get(one) is not None and self.drawn_on.get(one) == self.drawn_on.get(other):
            return 0.0
        return self.error_mm.get(one, 0.0) + self.error_mm.get(other, 0.0)

    def carried_in_words(self, which: Structure) -> str:
        """Return "carried over from mr1, error 2.1 mm"; empty where it was drawn on this image."""
        if which not in self.error_mm:
            return ""
        return f"carried over from {self.drawn_on.get(which, 'another study')}, error {self.error_mm[which]:.1f} mm"

    def mask(self, which: Structure | str) -> Volume:
        """Return the outline of a structure.

        Raises
        ------
        NotOutlinedError
            If it is not outlined; that is unknown, not free space.
        """
        key = structure(which) if isinstance(which, str) else which
        found = self.masks.get(key)
        if found is None:
            raise NotOutlinedError(
                f"The {key.name} is not outlined.",
                "What is not outlined is unknown, and unknown is never safe.",
                f"Outline the {key.name} in case.yaml, or state that it is absent.",
            )
        return found

    def has(self, which: Structure | str) -> bool:
        """Tell whether a structure has a non-empty outline."""
        key = structure(which) if isinstance(which, str) else which
        return key in self.masks and self.masks[key].box() is not None

    def of_kind(self, *kinds: Kind) -> list[Structure]:
        """Return the outlined (non-empty) structures of these kinds, sorted by id."""
        return sorted(s for s in self.masks if s.kind in kinds and self.masks[s].box() is not None)

    def union(self, which: Iterable[Structure]) -> Array:
        """Return the union of several outlines as an array of bool."""
        out = np.zeros(self.grid.shape, bool)
        for key in which:
            box = self.mask(key).box()
            if box is not None:
                out[box] |= self.mask(key).part(box)
        return out

    def with_(self, effect: HasState) -> Anatomy:
        """Return the anatomy after an effect: its fields resampled to this grid and laid over the present state."""
        state = dict(self.state)
        for key, volume in effect.state.items():
            fill = 37.0 if key in WARM else 0.0
            new = volume.resample(self.grid, fill=fill)
            old = state.get(key)
            if old is not None and key is Field.DEAD:
                new = new.with_array(new.array | old.array)
            elif old is not None and key is Field.CEM43_MIN:
                new = new.with_array(new.array + old.array)
            state[key] = new
        return replace(self, state=state, log=(*self.log, effect.title))

    def with_mask(self, which: Structure, mask: Volume) -> Anatomy:
        """Return the anatomy with one outline added or replaced; the mask must lie on this grid."""
        if not mask.grid.same_as(self.grid):
            mask = mask.resample(self.grid)
        return replace(self, masks={**self.masks, which: Volume(mask.array.astype(bool), self.grid)})

    def on(self, grid: Grid) -> Anatomy:
        """Return everything on another grid; voxels outside the image are not imaged, HU -1024 there."""
        if grid == self.grid:
            return self
        return replace(
            self,
            imaged=self.imaged.resample(grid),
            image=None if self.image is None else self.image.resample(grid, fill=-1024.0),
            unreliable=None if self.unreliable is None else self.unreliable.resample(grid),
            shown=None if self.shown is None else self.shown.resample(grid),
            masks={k: smooth_resample(v, grid) for k, v in self.masks.items()},
            drawn=_each_once(self.drawn, grid),
            state={k: v.resample(grid, fill=37.0 if k in WARM else 0.0) for k, v in self.state.items()},
        )


def _each_once(volumes: Mapping[Structure, Volume], grid: Grid) -> dict[Structure, Volume]:
    """Return masks on another grid; structures that share one share it there too."""
    moved = {id(v): v.resample(grid) for v in {id(v): v for v in volumes.values()}.values()}
    return {k: moved[id(v)] for k, v in volumes.items()}


def smooth_resample(mask: Volume, grid: Grid) -> Volume:
    """Resample a mask by trilinear interpolation of its 0/1 values, cut at one half: no stair steps on fine grids."""
    numbers = mask.with_array(mask.array.astype(np.float32)).resample(grid)
    return Volume(numbers.array >= 0.5, grid)
