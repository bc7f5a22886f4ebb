"""Growing a lytic or mixed lesion from one point inside a bone, with a guard against leaking through a broken cortex."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from osteon.case.grow_core import Recipe, grow_region
from osteon.case.grow_star import SurfaceRecipe
from osteon.errors import ImageError, InputError
from osteon.evidence.value import Value, values_in
from osteon.space.anatomy import smooth_resample
from osteon.space.volume import Array, Volume

FINEST_MM, SAME_STEP = 1.0, 1.2


@cache
def thresholds() -> Mapping[str, Value]:
    """Return the thresholds of ``segment.yaml``, each with unit, spread and source."""
    return values_in("osteon.case", "segment.yaml")


def threshold(name: str) -> float:
    """Return one threshold's number, in the unit that ``segment.yaml`` gives it."""
    return thresholds()[name].number


@dataclass(frozen=True, eq=False)
class Grown:
    """A lesion grown from one point.

    Parameters
    ----------
    mask : Volume of bool
        On the grid of the image, canonical axes.
    volume_ml : float
        Its volume [ml].
    leak : bool
        Whether growth would have left the bone; it was cut on the plane that closes the gap in the cortex.
    cut_mm2 : float
        Area of that cut [mm²].
    band_hu : tuple of float
        What was grown in: low, the seed's, high [HU].
    bridged : bool
        The bone is gone on most sides of the seed; the outline there follows straight lines between what remains.
    notes : tuple of str
        What a reader must know.
    edge_unsure : bool
        The bone around is much like the lesion: slightly other HU, or another way of growing, give another outline.
    """

    mask: Volume
    volume_ml: float
    leak: bool
    cut_mm2: float
    band_hu: tuple[float, float, float]
    bridged: bool
    notes: tuple[str, ...]
    edge_unsure: bool = False


def grow(
    image: Volume,
    seed_mm: tuple[float, float, float],
    *,
    bone: Volume | None = None,
    imaged: Volume | None = None,
    diameter_mm: float | None = None,
) -> Grown:
    """Grow a lesion from one point.

    HU are learnt from the neighbourhood of the seed and from the bone around; a smooth surface is found between the two, and a
    band of HU adds what lies close to it. Growth stays where bone is met in at least half of all directions, and so ends on the
    plane that closes a hole in the cortex. Give the outline of the bone where there is one: it decides more than anything else.

    Parameters
    ----------
    image : Volume
        CT in HU, float32.
    seed_mm : tuple of float
        A point inside the lesion and inside the bone, LPS mm.
    bone : Volume of bool, optional
        Outline of the bone that holds it, on any grid.
    imaged : Volume of bool, optional
        Where there is image information.
    diameter_mm : float, optional
        About how large it looks; pulls the outline, does not force it. Helps where bone around is as dark as the lesion.

    Returns
    -------
    Grown
        Always approximate: to be looked at before it is used.

    Raises
    ------
    ImageError
        If the image is no 3-D volume with spacing, or holds no HU.
    InputError
        If the seed lies outside the image, in air, in dense bone or metal, not inside bone, or where nothing grows.

    Examples
    --------
    >>> from osteon.case.phantom import build
    >>> made = build("ilium", spacing_mm=2.0)
    >>> grow(made.image, made.lesion_centre_mm).leak
    True
    """
    if not isinstance(image, Volume):
        raise ImageError(
            f"A {type(image).__name__} of shape {np.shape(image)} was given to be grown in, without spacing or HU.",
            "Distances in mm and thresholds in HU mean nothing on a picture.",
            "Give a CT volume, or use grow_pixels with units='pixels'.",
        )
    image = image.canonical()
    place = np.asarray(seed_mm, float)
    if not bool(image.grid.contains(place)):
        low, high = image.grid.corners_mm().min(0).round(1).tolist(), image.grid.corners_mm().max(0).round(1).tolist()
        raise InputError(
            f"The seed {_said(seed_mm)} lies outside the image ({low} to {high} mm, LPS).",
            "There is nothing to grow in.",
            "Check the coordinates; viewers that show RAS need x and y with the other sign.",
        )
    size = None if diameter_mm is None else _radius(diameter_mm)
    near, work = _working(image, place)
    _check_seed(work, place, seed_mm)
    local_bone = None if bone is None else smooth_resample(bone.canonical(), work.grid).array
    growth = grow_region(work.array, tuple(work.grid.to_index(place)), work.spacing_mm, recipe(), local_bone, size)
    if not growth.inside.any():
        raise InputError(
            f"Nothing grows from the seed {_said(seed_mm)}: bone is met in {100 * growth.enclosed_at_seed:.0f} % of the "
            f"directions within {threshold('ray_reach_mm'):g} mm, the HU there are {growth.middle:.0f}.",
            "Only a point inside the lesion and inside the bone tells what the lesion looks like and where it must end.",
            "Choose a point deeper in the lesion, or outline the lesion by hand.",
        )
    mask, unseen = _only_imaged(_back(Volume(growth.inside, work.grid), near, image), imaged)
    leak = growth.cut_area >= threshold("leak_least_mm2") and growth.escape_depth > threshold("leak_beyond_mm")
    leak = leak or growth.bridged
    unsure = growth.change > threshold("change_most") or growth.agreement < threshold("agreement_least")
    said = _notes(seed_mm, growth.cut_area, leak, growth.bridged, bone is not None, unseen, mask, growth.middle)
    notes = (*said, *_unsure(growth.change, growth.agreement, diameter_mm is not None)) if unsure else said
    ml = float(mask.array.sum()) * mask.grid.voxel_mm3 / 1e3
    return Grown(mask, ml, leak, growth.cut_area, (growth.low, growth.middle, growth.high), growth.bridged, notes, unsure)


def recipe() -> Recipe:
    """Return what growing in a CT goes by, in mm and HU, from ``segment.yaml``."""
    return Recipe(
        seed_ball=threshold("seed_ball_mm"),
        smooth=threshold("smooth_mm"),
        clamp_above=threshold("clamp_above_hu"),
        clamp_below=threshold("clamp_below_hu"),
        band_least=threshold("band_least_hu"),
        band_most=threshold("band_most_hu"),
        band_deviations=threshold("band_deviations"),
        ray_reach=threshold("ray_reach_mm"),
        enclosed_least=threshold("enclosed_least"),
        most_reach=threshold("lesion_most_mm") / 2,
        tendril=threshold("tendril_mm"),
        neck_part=threshold("neck_part"),
        cut_most=threshold("cut_most"),
        surface=surface_recipe(),
        margin=threshold("surface_margin"),
    )


def surface_recipe() -> SurfaceRecipe:
    """Return what the smooth surface goes by, in mm and HU, from ``segment.yaml``."""
    return SurfaceRecipe(
        blur=threshold("surface_blur"),
        spread_least=threshold("surface_spread_least_hu"),
        spread_most=threshold("surface_spread_most_hu"),
        drift=threshold("surface_drift_hu"),
        bend=threshold("surface_bend"),
        vote_most=threshold("surface_vote_most"),
        vote_shift=threshold("surface_vote_shift"),
        vote_outside=threshold("surface_vote_outside"),
        around=threshold("surface_around_mm"),
        order=int(threshold("surface_order")),
        turns=int(threshold("surface_turns")),
        size_weight=threshold("surface_size_weight"),
        doubt=threshold("surface_doubt"),
    )


def _said(seed_mm: tuple[float, float, float]) -> str:
    return f"{', '.join(f'{round(float(c), 1):g}' for c in seed_mm)} mm (LPS)"


def _radius(diameter_mm: float) -> float:
    most = threshold("lesion_most_mm")
    if not threshold("diameter_least_mm") <= diameter_mm <= most:
        raise InputError(
            f"A diameter of {diameter_mm:g} mm was given.",
            f"Growth looks for lesions of {threshold('diameter_least_mm'):g} to {most:g} mm.",
            "Measure it once more; leave it out, or outline the lesion by hand.",
        )
    return diameter_mm / 2


def _working(image: Volume, place: Array) -> tuple[Volume, Volume]:
    """Return the surroundings of the seed, and the same on voxels about as long in every direction and no finer than 1 mm."""
    reach = threshold("lesion_most_mm") / 2 + threshold("ray_reach_mm")
    near = image.crop(place - reach, place + reach)
    step = near.spacing_mm
    if min(step) >= FINEST_MM and max(step) <= SAME_STEP * min(step):
        return near, near
    return near, near.isotropic(max(FINEST_MM, min(step)), fill=-1024.0)


def _back(inside: Volume, near: Volume, image: Volume) -> Volume:
    """Return a mask of the surroundings on the whole image's grid, without ever computing outside them."""
    part = smooth_resample(inside, near.grid)
    if not part.array.any():
        part = inside.resample(near.grid)
    start = np.rint(image.grid.to_index(near.grid.to_mm(np.zeros(3)))).astype(int)
    whole = np.zeros(image.grid.shape, bool)
    window = tuple(slice(int(a), int(a) + n) for a, n in zip(start, near.array.shape, strict=True))
    whole[window] = part.array
    return image.with_array(whole)


def _check_seed(work: Volume, place: Array, seed_mm: tuple[float, float, float]) -> None:
    index = work.grid.to_index(place)
    radius = max(threshold("seed_ball_mm"), 1.01 * max(work.spacing_mm))
    axes = np.meshgrid(*(np.arange(n) for n in work.array.shape), indexing="ij", sparse=True)
    squares = sum(((a - c) * s) ** 2 for a, c, s in zip(axes, index, work.spacing_mm, strict=True))
    value = float(np.median(work.array[np.asarray(squares) <= radius**2]))
    if not threshold("seed_least_hu") <= value <= threshold("seed_most_hu"):
        where = "air or lung" if value < threshold("seed_least_hu") else "dense bone, sclerosis or metal"
        raise InputError(
            f"Round the seed {_said(seed_mm)} the image has {value:.0f} HU: {where}.",
            f"A lytic or mixed lesion has {threshold('seed_least_hu'):.0f} to {threshold('seed_most_hu'):.0f} HU; from there "
            "another tissue would be grown.",
            "Choose a point inside the lytic part; outline a sclerotic lesion by hand.",
        )


def _only_imaged(mask: Volume, imaged: Volume | None) -> tuple[Volume, bool]:
    if imaged is None or imaged.array.all():
        return mask, False
    seen = imaged.canonical().resample(mask.grid).array
    return mask.with_array(mask.array & seen), bool((mask.array & ~seen).any())


def _unsure(change: float, agreement: float, sized: bool) -> tuple[str, ...]:
    hint = "" if sized else "give about how large it is (diameter), or "
    return (
        f"the edge is not sharp: slightly other HU give {change:.1f} times the volume, and two ways of growing agree by "
        f"{100 * agreement:.0f} %, as where the bone around is thin or nearly as dark as the lesion; {hint}correct it by hand",
    )


def _notes(
    seed_mm: tuple[float, float, float],
    cut: float,
    leak: bool,
    bridged: bool,
    outlined: bool,
    unseen: bool,
    mask: Volume,
    hu: float,
) -> tuple[str, ...]:
    said = [f"grown from {_said(seed_mm)}, {hu:.0f} HU there; approximate: look at it before it is used"]
    if bridged:
        said.append(
            "the bone is gone on most sides of the seed: the outline follows straight lines between what remains; draw it by hand"
        )
    if leak:
        said.append(
            f"possible leak: over {cut:.0f} mm² the lesion meets tissue of its own density outside the bone; it was cut on the "
            "plane that closes the cortex, and a soft-tissue component beyond it is not outlined"
        )
    if not outlined:
        said.append("no outline of the bone was used: where it ends was judged from the image alone")
    faces = [mask.array.take(end, axis=axis).any() for axis in range(3) for end in (0, -1)]
    if any(faces) or unseen:
        said.append("it reaches the edge of the image: what lies beyond was not imaged")
    return tuple(said)
