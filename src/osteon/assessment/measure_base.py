"""What every measure looks at: the lesion in its surroundings, thresholds with their sources, and where something was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np

from osteon.assessment.results import RequiredStructure
from osteon.evidence.value import Value, values_in
from osteon.facts import Fact, NotApplicable, Origin, State, Unknown, vocabulary
from osteon.space.anatomy import Anatomy, Structure, structures
from osteon.space.paths import Point, gap_mm
from osteon.space.volume import Array, Grid, Volume, Window

Gap = tuple[float, Point, Point]
AROUND_MM = 60.0
LONG_BONES = ("femur", "humerus", "tibia", "fibula", "radius", "ulna")
NO_CT = "cannot tell: needs a CT (HU are defined on CT only)"
WIDENED = "CT with contrast agent: widened"
SPOILT = (
    "cannot tell: streaks of metal spoil HU here, in {:.0f} % of what is looked at; "
    "needs a CT with metal artefact reduction, an MR, or the radiologist's reading"
)


@cache
def thresholds() -> Mapping[str, Value]:
    """Return the thresholds of ``thresholds.yaml``, each with unit, spread and source."""
    return values_in("osteon.assessment", "thresholds.yaml")


def threshold(name: str) -> float:
    """Return one threshold's number, in the unit that ``thresholds.yaml`` gives it."""
    return thresholds()[name].number


def window_of(mask: Volume, margin_mm: float) -> Window:
    """Return the index window round the true voxels of a mask, widened by a margin; empty where there are none."""
    box = mask.box()
    if box is None:
        return (slice(0, 0), slice(0, 0), slice(0, 0))
    wide = [int(np.ceil(margin_mm / step)) for step in mask.spacing_mm]
    z, y, x = (slice(max(s.start - w, 0), min(s.stop + w, n)) for s, w, n in zip(box, wide, mask.grid.shape, strict=True))
    return z, y, x


def cut(volume: Volume, window: Window) -> Volume:
    """Return the part of a volume in an index window, with its own affine."""
    affine = volume.grid.matrix
    affine[:3, 3] = volume.grid.to_mm(np.array([s.start for s in window], float))
    return Volume.of(volume.part(window), affine)


@dataclass(frozen=True, eq=False)
class Scene:
    """One lesion as the measures see it.

    Parameters
    ----------
    anatomy : Anatomy
        The planning image's grid; holds the mask ``lesion``. The mask of the bone holds what the lesion replaced.
    bone : Structure or None
        The bone that holds the lesion.
    region : str
        Zone within it, for example ``hip.ilium``; empty where unknown.
    modality : str
        "CT", "MR", or empty where there is no image.
    required : tuple of RequiredStructure
        What must be judged here.
    gaps : dict of Structure to (mm, place in the lesion, place in the structure)
        Distances from the lesion, filled as they are asked for.
    contrast : bool or None
        Whether the CT has contrast agent; None: not stated.
    """

    anatomy: Anatomy
    bone: Structure | None
    region: str
    modality: str
    required: tuple[RequiredStructure, ...] = ()
    gaps: dict[Structure, Gap | None] = field(default_factory=dict)
    contrast: bool | None = None

    @property
    def grid(self) -> Grid:
        """Grid of the whole image."""
        return self.anatomy.grid

    @cached_property
    def lesion(self) -> Volume:
        """The lesion's outline on the whole grid."""
        return self.anatomy.mask("lesion")

    @cached_property
    def window(self) -> Window:
        """The index window of the surroundings."""
        return window_of(self.lesion, AROUND_MM)

    @cached_property
    def near_lesion(self) -> Volume:
        """The lesion in its surroundings."""
        return cut(self.lesion, self.window)

    @cached_property
    def near_image(self) -> Volume | None:
        """HU in the surroundings; None without a CT."""
        image = self.anatomy.image
        return None if image is None or self.modality != "CT" else cut(image, self.window)

    @cached_property
    def near_bone(self) -> Volume | None:
        """The bone in the surroundings; None where it is not outlined."""
        if self.bone is None or not self.anatomy.has(self.bone):
            return None
        return cut(self.anatomy.mask(self.bone), self.window)

    @cached_property
    def near_unreliable(self) -> Array | None:
        """Where metal spoils the HU in the surroundings; None where there is no metal."""
        spoilt = self.anatomy.unreliable
        return None if spoilt is None else spoilt.part(self.window)

    @cached_property
    def readable(self) -> Array:
        """Where HU of the surroundings may be read: imaged, and not spoilt by metal."""
        imaged = self.anatomy.imaged.part(self.window).astype(bool, copy=False)
        return imaged if self.near_unreliable is None else imaged & ~self.near_unreliable

    @cached_property
    def spoilt(self) -> float:
        """Part of the lesion in which metal spoils the HU."""
        if self.near_unreliable is None:
            return 0.0
        inside = self.near_lesion.array
        return float(self.near_unreliable[inside].sum()) / max(float(inside.sum()), 1.0)

    @cached_property
    def hu(self) -> Array | None:
        """The HU of the lesion's voxels that can be read; None without a CT."""
        if self.near_image is None:
            return None
        values = self.near_image.array[self.near_lesion.array & self.readable]
        return values if len(values) else None

    def gap(self, key: Structure) -> Gap | None:
        """Return the distance from the lesion to a structure and where it is, computed once; None where it is not outlined."""
        if key not in self.gaps:
            self.gaps[key] = gap_mm(self.lesion, self.anatomy.mask(key)) if self.anatomy.has(key) else None
        return self.gaps[key]

    @property
    def centre_mm(self) -> Array:
        """Centre of mass of the lesion, LPS mm."""
        return np.asarray(self.near_lesion.grid.to_mm(np.argwhere(self.near_lesion.array).mean(0)))

    @property
    def is_long_bone(self) -> bool | None:
        """Whether the bone is a long one; None where the bone is not known."""
        return None if self.bone is None else family(self.bone) in LONG_BONES

    def at(self, mm: Array, what: str = "") -> Origin:
        """Return the origin of something read at a place of the image."""
        z, _, _ = np.round(self.grid.to_index(np.asarray(mm, float))).astype(int)
        x, y, height = (float(v) for v in mm)
        place = f"axial slice {z + 1} of {self.grid.shape[0]} from the feet, x {x:.0f}, y {y:.0f}, z {height:.0f} mm (LPS)"
        return Origin("image", f"{what}: {place}" if what else place, place_mm=(x, y, height))

    def fact(self, name: str, state: State, *origins: Origin) -> Fact:
        """Return a measured fact; without an origin it is said to be read over the whole lesion."""
        silent = isinstance(state, (Unknown, NotApplicable))
        given = origins or (() if silent else (self.at(self.centre_mm, "whole lesion"),))
        return Fact(name, state, vocabulary()[name].unit, given)


def family(bone: Structure) -> str:
    """Return the kind of a bone without side and level, the key of ``required.yaml``: hip, femur, vertebra_L, rib ..."""
    name = bone.id.removesuffix("_left").removesuffix("_right")
    head, _, tail = name.rpartition("_")
    if head == "vertebra":
        return f"vertebra_{tail[0]}"
    return "rib" if head == "rib" else name


def opposite(bone: Structure) -> Structure | None:
    """Return the same bone of the other side; None where it has none."""
    if bone.side is None:
        return None
    return structures()[f"{bone.id.removesuffix(bone.side)}{'right' if bone.side == 'left' else 'left'}"]
