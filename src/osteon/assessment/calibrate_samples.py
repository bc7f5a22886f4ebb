"""Where air, fat, muscle, blood and solid cortex lie in an image, and what Hounsfield numbers they have there.

Nothing is read inside a lesion or where metal spoils the image. What is not found is named with what to do about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from osteon.assessment.outline import body_of
from osteon.case.metal import find_metal
from osteon.errors import MissingError
from osteon.evidence.value import Value, values_in
from osteon.space.anatomy import Anatomy, Structure, structure
from osteon.space.paths import distance_to
from osteon.space.volume import Array, Grid, Volume, Window
from osteon.tissue.calibration_peaks import peak
from osteon.tissue.calibration_peaks import settings as windows

Point = tuple[float, float, float]
TISSUES = ("air", "fat", "muscle", "blood", "bone")
VESSELS = ("aorta", "inferior_vena_cava", "superior_vena_cava", "iliac_artery_left", "iliac_artery_right", "iliac_vein_left",
           "iliac_vein_right", "femoral_vessels_left", "femoral_vessels_right")  # fmt: skip
"""Looked at in this order: the wide ones first."""


@dataclass(frozen=True)
class Sampled:
    """What was read of the tissues of a patient.

    Parameters
    ----------
    hu : mapping of str to float
        By tissue: histogram peak of air, fat and muscle, median of blood, mean of solid cortex (``bone``).
    where : mapping of str to (int, point)
        Voxels that were read, and their middle, LPS mm.
    missing : mapping of str to str
        By tissue that was not found: "cannot tell: ...".
    contrast : bool or None
        As stated; True also where blood is denser than plain blood can be.
    solid : bool
        Whether the cortex that was read is solid bone, and not mixed with what lies round it.
    notes : tuple of str
        What a reader must know.
    """

    hu: Mapping[str, float]
    where: Mapping[str, tuple[int, Point]]
    missing: Mapping[str, str]
    contrast: bool | None
    solid: bool
    notes: tuple[str, ...]


def limits() -> Mapping[str, Value]:
    """Return the numbers of ``calibrate.yaml``."""
    return values_in("osteon.assessment", "calibrate.yaml")


def sample(anatomy: Anatomy, bone: Structure | None = None) -> Sampled:
    """Read the tissues that a calibration rests on.

    Parameters
    ----------
    anatomy : Anatomy
        With a CT in canonical axes.
    bone : Structure, optional
        The bone in question: its cortex is used only where no other bone has any.

    Returns
    -------
    Sampled
        Tissues that were not found are in ``missing``.

    Raises
    ------
    MissingError
        If there is no CT.
    ImageError
        If the axes of the grid are not at right angles.
    """
    if anatomy.image is None:
        raise MissingError(
            "There is no CT among the images.",
            "Only Hounsfield numbers become density; the grey of MR and PET does not.",
            "Add a CT of this bone to the case.",
        )
    spoilt, notes = _spoilt(anatomy)
    scene = _Coarse(anatomy, spoilt)
    found: dict[str, tuple[float, int, Point]] = {}
    missing: dict[str, str] = {}
    for tissue in ("air", "fat", "muscle"):
        _keep(tissue, scene.peak_of(tissue), found, missing, ASK[tissue])
    _keep("blood", _blood(anatomy, spoilt, notes), found, missing, ASK["blood"])
    cortex, solid = _cortex(anatomy, scene, bone, notes)
    _keep("bone", cortex, found, missing, ASK["bone"])
    contrast = _contrast(anatomy.contrast, found, notes)
    hu = {t: v[0] for t, v in found.items()}
    return Sampled(hu, {t: (v[1], v[2]) for t, v in found.items()}, missing, contrast, solid, tuple(notes))


ASK = {
    "air": "cannot tell: the image shows no air outside the body: reconstruct it with a larger field, or scan with a phantom",
    "fat": "cannot tell: no subcutaneous fat was found: reconstruct with a larger field of view, or outline fat",
    "muscle": "cannot tell: no muscle was found: outline muscle away from metal",
    "blood": "cannot tell: no large vessel is outlined: outline the aorta or the inferior vena cava",
    "bone": "cannot tell: no healthy cortex was found away from lesion and metal: outline another bone of this image",
}


def _keep(
    tissue: str,
    found: tuple[float, int, Point] | None,
    into: dict[str, tuple[float, int, Point]],
    missing: dict[str, str],
    ask: str,
) -> None:
    if found is None:
        missing[tissue] = ask
    else:
        into[tissue] = found


def _spoilt(anatomy: Anatomy) -> tuple[Volume | None, list[str]]:
    """Return where HU are spoilt by metal; metal is looked for where nobody did."""
    if anatomy.unreliable is not None:
        return anatomy.unreliable, []
    assert anatomy.image is not None
    metal = find_metal(anatomy.image, anatomy.imaged)
    return metal.unreliable, [f"looked for here, since nobody had: {note}" for note in metal.notes]


def _contrast(stated: bool | None, found: Mapping[str, tuple[float, int, Point]], notes: list[str]) -> bool | None:
    """Return whether contrast agent was given, and note where blood says otherwise."""
    if "blood" not in found or stated:
        return stated
    blood, most = found["blood"][0], limits()["blood_plain_most"].number
    if blood > most:
        was = "stated to hold no contrast agent" if stated is False else "not stated to hold contrast agent"
        notes.append(f"The CT is {was}, but its blood has {blood:.0f} HU, more than {most:.0f}: taken for contrast-enhanced.")
        return True
    if stated is None:
        notes.append(
            f"Nobody stated whether contrast agent was given. Blood of {blood:.0f} HU speaks against it: "
            "state `contrast: false` if that is so."
        )
    return stated


class _Coarse:
    """Every n-th voxel of the image: what is large and soft is read there, by its own tissue all around."""

    def __init__(self, anatomy: Anatomy, spoilt: Volume | None) -> None:
        assert anatomy.image is not None
        step = limits()["coarse_step"].number
        self.step = tuple(max(int(step / s), 1) for s in anatomy.image.spacing_mm)
        self.whole = anatomy.grid
        z, y, x = self.step
        matrix = self.whole.matrix
        matrix[:3, :3] *= np.array([x, y, z])
        self.hu = np.ascontiguousarray(anatomy.image.array[::z, ::y, ::x])
        self.grid = Grid.of(self.hu.shape, matrix)
        self.imaged = self.of(anatomy.imaged)
        lesions = anatomy.of_kind("lesion")
        self.lesion = self.union(anatomy, lesions)
        self.metal = self.union(anatomy, anatomy.of_kind("implant"))
        if spoilt is not None:
            self.metal |= self.of(spoilt)
        body = structure("body")
        inside = self.of(anatomy.mask(body)) if anatomy.has(body) else None
        self.body = body_of(self.volume(self.hu), self.volume(self.imaged)).array if inside is None else inside
        self.free = self.imaged & ~self.lesion & ~self.metal
        self.anatomy = anatomy
        self.from_lesion, self.from_metal = (
            distance_to(self.volume(m)).array if m.any() else None for m in (self.lesion, self.metal)
        )

    def of(self, mask: Volume) -> Array:
        """Return a mask on the coarse grid."""
        z, y, x = self.step
        box, out = mask.box(), np.zeros(self.hu.shape, bool)
        if box is None:
            return out
        first = [-(-s.start // n) for s, n in zip(box, self.step, strict=True)]  # the first voxel kept in the window
        part = mask.part(box)[tuple(slice(f * n - s.start, None, n) for f, n, s in zip(first, (z, y, x), box, strict=True))]
        out[tuple(slice(f, f + k) for f, k in zip(first, part.shape, strict=True))] = part
        return out

    def union(self, anatomy: Anatomy, which: Sequence[Structure]) -> Array:
        """Return the union of outlines on the coarse grid."""
        out = np.zeros(self.hu.shape, bool)
        for key in which:
            out |= self.of(anatomy.mask(key))
        return out

    def volume(self, array: Array) -> Volume:
        """Return an array with the coarse grid."""
        return Volume(array, self.grid)

    def peak_of(self, tissue: str) -> tuple[float, int, Point] | None:
        """Return HU at the peak, voxels and middle of air, fat or muscle; None where there is none."""
        low, high = windows()[f"{tissue}_low"].number, windows()[f"{tissue}_high"].number
        own = (self.hu >= low) & (self.hu <= high) & self.free
        wide = limits()["neighbours_wider"].number  # noise must not choose among voxels, what lies beside them may
        pure = _eroded(self.hu <= high) if tissue == "air" else _eroded((self.hu >= low - wide) & (self.hu <= high + wide))
        for places in getattr(self, f"_{tissue}")():
            chosen = places & own & pure
            try:
                return peak(tissue, self.hu[chosen]), int(chosen.sum()), _middle(self.grid, chosen)
            except MissingError:
                continue
        return None

    def _air(self) -> list[Array]:
        away = distance_to(self.volume(self.body)).array
        return [(away >= limits()["air_from_body"].number) & np.isfinite(away)]

    def _fat(self) -> list[Array]:
        """Return fat as outlined; else that below the skin, where the body meets imaged air and not the image's edge."""
        outlined = self.union(self.anatomy, self.anatomy.of_kind("fat"))
        depth = distance_to(self.volume(self.imaged & ~self.body)).array
        low, high = limits()["fat_below_skin"].number, limits()["fat_deepest"].number
        return [outlined, self.body & (depth >= low) & (depth <= high)]

    def _muscle(self) -> list[Array]:
        """Return muscle as outlined; else all of the body that nothing else was outlined in."""
        outlined = self.union(self.anatomy, self.anatomy.of_kind("muscle"))
        others = self.anatomy.of_kind(
            "bone", "nerve", "cord", "vessel", "bowel", "joint", "organ", "lung", "disc", "fat", "implant", "table", "skin"
        )
        return [outlined, self.body & ~self.union(self.anatomy, others)]

    def clear(self, window: Window) -> Array:
        """Tell for the full-grid voxels of a window which are far enough from lesion and metal to be healthy cortex."""
        size = tuple(s.stop - s.start for s in window)
        index = [
            np.minimum(np.arange(s.start, s.stop) // n, k - 1) for s, n, k in zip(window, self.step, self.hu.shape, strict=True)
        ]
        out = np.ones(size, bool)
        for away, name in ((self.from_lesion, "cortex_from_lesion"), (self.from_metal, "cortex_from_metal")):
            if away is not None:
                out &= away[np.ix_(*index)] > limits()[name].number + max(self.grid.spacing_mm)
        return out


def _eroded(mask: Array) -> Array:
    """Return the voxels whose neighbours in a slice, and above and below, are of the mask too; one slice has no neighbours."""
    shape = ndimage.generate_binary_structure(3, 1)
    return np.asarray(ndimage.binary_erosion(mask, shape, border_value=1))


def _middle(grid: Grid, mask: Array, first: tuple[int, ...] = (0, 0, 0)) -> Point:
    x, y, z = grid.to_mm(np.argwhere(mask).mean(axis=0) + np.array(first))
    return float(x), float(y), float(z)


def _blood(anatomy: Anatomy, spoilt: Volume | None, notes: list[str]) -> tuple[float, int, Point] | None:
    """Return the median of the first large vessel that has an inside."""
    assert anatomy.image is not None
    for name in VESSELS:
        if not anatomy.has(name):
            continue
        mask = anatomy.mask(name)
        box = mask.box()
        assert box is not None  # has() said so
        inner = mask.part(box)
        padded = Volume(
            np.pad(~inner, 1, constant_values=True), anatomy.grid.of(tuple(n + 2 for n in inner.shape), anatomy.grid.matrix)
        )
        deep = distance_to(padded).array[1:-1, 1:-1, 1:-1] >= limits()["blood_inside"].number
        chosen = deep & inner & _usable(anatomy, spoilt, box)
        if chosen.sum() >= limits()["blood_voxels"].number:
            first = tuple(s.start for s in box)
            notes.append(f"Blood was read in the {structure(name).name}.")
            return float(np.median(anatomy.image.part(box)[chosen])), int(chosen.sum()), _middle(anatomy.grid, chosen, first)
    return None


def _usable(anatomy: Anatomy, spoilt: Volume | None, box: Window) -> Array:
    out = anatomy.imaged.part(box).copy()
    if spoilt is not None:
        out &= ~spoilt.part(box)
    for key in anatomy.of_kind("lesion", "implant"):
        out &= ~anatomy.mask(key).part(box)
    return np.asarray(out)


@dataclass(frozen=True, eq=False)
class _Cortex:
    bone: Structure
    window: Window
    chosen: Array
    densest: float
    solid: bool


def _cortex(
    anatomy: Anatomy, scene: _Coarse, bone: Structure | None, notes: list[str]
) -> tuple[tuple[float, int, Point] | None, bool]:
    """Return the densest healthy cortex, and whether it is solid.

    It is that of bones without lesion and not of the one in question; else what of those is far from lesion and metal.
    """
    assert anatomy.image is not None
    every = anatomy.of_kind("bone")
    ill = {key for key in every if key == bone or (scene.of(anatomy.mask(key)) & scene.lesion).any()}
    for group, own in (([k for k in every if k not in ill], False), (sorted(ill), True)):
        found = [c for key in group if (c := _densest(anatomy, scene, key)) is not None]
        if not found:
            continue
        best = max(found, key=lambda c: c.densest)
        hu = anatomy.image.part(best.window)[best.chosen]
        also = ": no other bone has any, and it may be ill itself" if own else ""
        notes.append(f"Cortex was read in the {best.bone.name}{also}.")
        solid = best.solid and float(hu.mean()) >= windows()["least_cortex_hu"].number
        if not solid:
            notes.append(
                f"What was read as cortex, {hu.mean():.0f} HU in {len(hu)} voxels, is no solid cortex: mixed with what lies by."
            )
        first = tuple(s.start for s in best.window)
        return (float(hu.mean()), len(hu), _middle(anatomy.grid, best.chosen, first)), solid
    return None, False


def _densest(anatomy: Anatomy, scene: _Coarse, bone: Structure) -> _Cortex | None:
    """Return what of a bone is nearly as dense as its densest place, away from lesion and metal."""
    assert anatomy.image is not None
    mask = anatomy.mask(bone)
    box = mask.box()
    if box is None:
        return None
    held = mask.part(box) & anatomy.imaged.part(box) & scene.clear(box)
    spacing = anatomy.grid.spacing_mm
    least = max(int(np.ceil(limits()["least_area"].number / (spacing[1] * spacing[2]))), 5)
    if held.sum() < least:
        return None
    counts = [int(limits()["cortex_width"].number / s) for s in spacing]
    wide = [max(n - (n + 1) % 2, 1) for n in counts]
    smooth = ndimage.uniform_filter(
        np.where(mask.part(box), anatomy.image.part(box), 0.0).astype(np.float32), wide, mode="constant"
    )
    densest = float(smooth[held].max())
    chosen = held & (smooth >= limits()["cortex_share"].number * densest)
    if chosen.sum() < least:
        chosen = held & (smooth >= np.partition(smooth[held], -least)[-least])
    wide_too = ndimage.binary_erosion(
        chosen, ndimage.generate_binary_structure(3, 1) & np.array([False, True, False])[:, None, None]
    )
    return _Cortex(bone, box, chosen, densest, int(wide_too.sum()) >= least)
