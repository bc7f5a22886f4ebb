"""One patient and one array, made ready for many sonications: tissue for sound and for heat, what is watched, what is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import ndimage

from osteon.errors import InputError
from osteon.space.anatomy import Anatomy, Kind, Structure, structure
from osteon.space.volume import Array, Grid
from osteon.tissue.acoustics import AcousticMap
from osteon.tissue.acoustics_media import AcousticMedia, acoustic_media
from osteon.tissue.bone import BANDS, TissueMap, properties_map
from osteon.tissue.properties import DrawFunction
from osteon.tissue.tolerance import limits_for
from osteon.treatments.focused_ultrasound.session_rows import number
from osteon.treatments.focused_ultrasound.shots import Aim
from osteon.treatments.focused_ultrasound.transducer import Transducer
from osteon.treatments.heat import CRITICAL, as_left, cubic_spacing_mm

NEAR_FIELD = "near_field"  # stands beside the ids of structures
SOFT = ("muscle", "fat", "skin")
ASK: tuple[Kind, ...] = ("nerve", "bowel")  # kinds that lie somewhere in every patient; not outlined they are unknown
OPTIONS = ("phases", "points_per_wavelength", "spacing_mm", "beyond_mm", "most_sweeps", "on", "constants")


@dataclass(frozen=True, eq=False)
class Setup:
    """Patient and array.

    Parameters
    ----------
    anatomy : Anatomy or None
        On cubic voxels; None in a copy that travels to another process.
    sound : AcousticMap
        On the same grid, at the frequency of the array.
    device : Transducer
        The array.
    media : AcousticMedia
        Of ``sound``.
    tissue : TissueMap
        For heat, on the same grid.
    watch : mapping of str to ndarray of int
        Flat indices of each structure that has limits, by id; skin from the edge of the body where it is not outlined.
    front : ndarray of int
        Flat indices of near-field soft tissue: before every place that is treated.
    options : mapping
        Passed on to ``sonicate``.
    notes : tuple of str
        What is not known.
    start_c : ndarray or None
        Temperature that an earlier application left [°C]; None: 37 °C.
    draw : callable or None
        The values of this run for heat.
    kept : dict
        Responses that were computed, by what they depend on.
    """

    anatomy: Anatomy | None
    sound: AcousticMap
    device: Transducer
    media: AcousticMedia
    tissue: TissueMap
    watch: Mapping[str, Array]
    front: Array
    options: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    start_c: Array | None = None
    draw: DrawFunction | None = None
    kept: dict[Any, Any] = field(default_factory=dict)

    def bare(self) -> Setup:
        """Return a copy that holds no more than a child process needs."""
        return replace(self, anatomy=None, start_c=None, draw=None, kept={})

    def watched_on(self, small: Grid) -> dict[str, Array]:
        """Return flat indices on a finer grid along the same axes of what is watched there; without what does not reach it."""
        at = nearest(self.tissue.grid, small)
        inside = self.tissue.grid.contains(small.to_mm(np.argwhere(np.ones(small.shape, bool)))).ravel()
        found = {}
        for name, voxels in self.watch.items():
            mask = np.zeros(self.tissue.grid.shape, bool)
            mask.ravel()[voxels] = True
            where = np.flatnonzero(mask[at].ravel() & inside)
            if len(where):
                found[name] = where
        return found


def prepare(
    anatomy: Anatomy, sound: AcousticMap, device: Transducer, aims: list[Aim], *, bone_steps: int = 4,
    draw: DrawFunction | None = None, **options: Any,
) -> Setup:  # fmt: skip
    """Return patient and array ready for sonications.

    Parameters
    ----------
    anatomy : Anatomy
        With CT, on cubic voxels.
    sound : AcousticMap
        Of this anatomy, at the frequency of the array.
    device : Transducer
        The array.
    aims : list of Aim
        Places that may be treated: what lies well before all of them is the near field.
    bone_steps : int
        Steps of bone for sound.
    draw : callable, optional
        The values of this run for heat; those of sound are in the map.
    **options
        Of ``sonicate``; see ``OPTIONS``.

    Raises
    ------
    InputError
        If map and anatomy lie on different grids, voxels are not cubic, there is no aim, or an option is not known.
    """
    if not sound.grid.same_as(anatomy.grid):
        raise InputError(
            f"The map of sound has {sound.grid.shape} voxels, the anatomy {anatomy.grid.shape}, or they lie elsewhere.",
            "Sound and heat must agree on what lies where.",
            "Build the map with osteon.tissue.acoustics.acoustic_map from this anatomy.",
        )
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown or not aims:
        raise InputError(
            f"{len(aims)} aims and the options {unknown} were given.",
            "A session needs a place to treat; an option that nobody reads would change nothing.",
            f"Give at least one aim, and options among {', '.join(OPTIONS)}.",
        )
    cubic_spacing_mm(anatomy.grid)
    tissue, start_c = as_left(properties_map(anatomy, next(iter(BANDS)), draw), anatomy)  # dielectric columns are not used
    watch, notes = _watched(anatomy, tissue)
    front = _front(tissue, aims)
    return Setup(anatomy, sound, device, acoustic_media(sound, bone_steps), tissue, watch, front, options, notes, start_c, draw)


def nearest(grid: Grid, places: Grid) -> tuple[Array, ...]:
    """Return the voxel of ``grid`` nearest to each voxel of ``places``, as open indices; both have the same axes."""
    step = np.array(places.spacing_mm) / np.array(grid.spacing_mm)
    first = grid.to_index(places.to_mm(np.zeros(3)))
    return np.ix_(
        *(
            np.clip(np.rint(f + s * np.arange(n)), 0, m - 1).astype(np.intp)
            for f, s, n, m in zip(first, step, places.shape, grid.shape, strict=True)
        )
    )


def _watched(anatomy: Anatomy, tissue: TissueMap) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Return flat indices of every outlined structure with limits, and of skin; and what nobody outlined."""
    found: dict[str, Array] = {}
    for key in anatomy.of_kind(*CRITICAL):
        if limits_for(key):
            found[key.id] = np.flatnonzero(_widened(anatomy, key))
    skin = structure("skin")
    if skin.id not in found:
        found[skin.id] = np.flatnonzero(_shell(tissue))
    notes = tuple(
        f"cannot tell what the heat does to any {kind}: none is outlined in this image; outline it, or state that it is absent"
        for kind in ASK
        if not anatomy.of_kind(kind) and not any(structure(s).kind == kind for s in _ids(anatomy.absent))
    )
    if not len(found[skin.id]):
        notes = (*notes, "cannot tell what the heat does to the skin: this image shows none; image a larger field")
    return {name: at for name, at in found.items() if len(at)}, notes


def _ids(names: Any) -> list[str]:
    return [getattr(name, "id", name) for name in names]


def _widened(anatomy: Anatomy, key: Structure) -> Array:
    """Return an outline with everything within the distance by which it may be wrong."""
    mask, by = anatomy.masks[key].array, anatomy.error_mm.get(key, 0.0)
    if by <= 0:
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=anatomy.grid.spacing_mm) <= by)


def _shell(tissue: TissueMap) -> Array:
    air = tissue.is_label("air")
    turns = max(1, round(number("skin_shell_mm") / tissue.grid.spacing_mm[0]))
    outer, count = ndimage.label(air)
    if count > 1:  # gas in the bowel has no skin
        sizes = np.bincount(outer.ravel())
        sizes[0] = 0
        air = outer == int(sizes.argmax())
    return np.asarray(ndimage.binary_dilation(air, iterations=turns) & ~air)


def _front(tissue: TissueMap, aims: list[Aim]) -> Array:
    """Return soft tissue that lies farther before every place than the near field begins."""
    soft = np.flatnonzero(tissue.is_label(*SOFT))
    places = tissue.grid.to_mm(np.stack(np.unravel_index(soft, tissue.grid.shape), axis=-1).astype(float))
    before = np.ones(len(soft), bool)
    for aim in aims:
        before &= (np.asarray(aim.spot_mm) - places) @ np.asarray(aim.beam) > number("near_field_mm")
    return soft[before]
