"""Brings an image into register with the planning CT: rigid, with an error estimated at the lesion, and refused when poor."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
from scipy.spatial.transform import Rotation

from osteon.errors import ImageError
from osteon.io.register_match import Level, Score, descend, level_of, levelled, lightened, number, score, shifts, straight
from osteon.io.register_result import Refusal, Registration, Rivals, Spread, apply, root_mean_square
from osteon.space.volume import Array, Volume

Observe = Callable[[float], None]
CANDIDATES = 3
LEAST_VOXELS = 20


def register(
    fixed: Volume,
    moving: Volume,
    *,
    fixed_mask: Volume | None = None,
    initial: Array | None = None,
    observe: Observe | None = None,
    moving_mask: Volume | None = None,
    target_mm: Array | None = None,
    seed: int = 0,
) -> Registration:
    """Find the rigid motion that brings ``moving`` into register with ``fixed``.

    Mattes mutual information on three levels of voxel size, from several starts: the headers, and the shifts at which the
    images or their edges look most alike anywhere. One thread and seeded sampling: equal inputs give equal results.

    Parameters
    ----------
    fixed : Volume
        The planning CT, any axes.
    moving : Volume
        MR, older CT, ...; any axes and values.
    fixed_mask, moving_mask : Volume of bool or None
        What may be compared, on the image's own grid: imaged, and where given only the region that moves as one.
    initial : ndarray or None
        4 x 4 from moving to fixed, LPS mm; the headers (identity) if None. With it, no search over all shifts is made.
    observe : callable or None
        Is told the fraction done, 0 to 1.
    target_mm : ndarray or None
        Points (n, 3) where the error counts: the lesion. If None, the middle of what is common and points round it.
    seed : int
        Of the sampling.

    Returns
    -------
    Registration
        With its estimated error; ``ended`` is "refused" where it must not be used, and ``refusals`` says why.

    Raises
    ------
    ImageError
        If an image or mask is empty, flat, or on another grid than its image.

    Notes
    -----
    The error is ``cover_factor`` times the root of the sum of squares of four terms at the target: half the disagreement of
    restarts, half the inverse inconsistency, half the disagreement of independent halves (two halves differ by twice the
    standard error of the whole), and a floor, part of the coarser voxel. It cannot see an error that all of them share.
    """
    tell = observe or (lambda _: None)
    fixed_in, moving_in = _mask_of(fixed, fixed_mask, "fixed"), _mask_of(moving, moving_mask, "moving")
    fixed, fixed_in, moving, moving_in = straight(fixed), straight(fixed_in), straight(moving), straight(moving_in)
    sizes = _sizes(fixed, moving)
    floor = number("floor_fraction") * float(np.linalg.norm(np.maximum(fixed.spacing_mm, moving.spacing_mm)))
    fixed, fixed_in = _prepared(fixed, fixed_in, sizes[-1])
    moving, moving_in = _prepared(moving, moving_in, sizes[-1])
    levels = [(level_of(fixed, fixed_in, s), level_of(moving, moving_in, s)) for s in sizes]
    tell(0.1)
    header = np.eye(4) if initial is None else np.linalg.inv(np.asarray(initial, float))
    best, ends, count = _search(levels, header, searched=initial is None, seed=seed, tell=tell)
    last = [*(descend(*levels[-1], start, seed=seed).matrix for start in (best, header)), header]  # a descent may end worse
    last.sort(key=lambda m: -_worth(levels[-1], m))
    found, ends = last[0], [*last[1:], *ends]
    target = _target(*levels[0], found) if target_mm is None else np.atleast_2d(np.asarray(target_mm, float))
    count += 2
    tell(0.6)
    back = _backward(levels, found, seed)
    halves = _halves(levels[-1], found, seed, tell)
    count += 2 + 6
    ends = [descend(*levels[-1], end, seed=seed + 11 + i).matrix for i, end in enumerate(ends[:2])]
    count += len(ends)
    here = score(*levels[-1], found)
    others = Rivals(_rivals(levels[-1], ends, here), back, halves, floor)
    seen = others.spread(found, target)
    tell(1.0)
    refusals = _refusals(found @ np.linalg.inv(header), here, seen)
    return Registration(
        transform=np.linalg.inv(found),
        metric=here.information,
        error_mm=seen.error_mm,
        inverse_consistency_mm=seen.inverse_mm,
        restarts_spread_mm=seen.restarts_mm,
        overlap_fraction=here.overlap,
        ended="refused" if refusals else "converged",
        refusals=refusals,
        halves_spread_mm=seen.halves_mm,
        target_mm=target,
        header_gap_mm=root_mean_square(apply(np.linalg.inv(found), target) - apply(np.linalg.inv(header), target)),
        header_metric=score(*levels[-1], header).information,
        descents=count,
        others=others,
    )


def _mask_of(image: Volume, mask: Volume | None, role: str) -> Volume:
    if mask is not None and not mask.grid.same_as(image.grid):
        raise ImageError(
            f"The mask of the {role} image has {mask.grid.shape} voxels on another grid than its image ({image.grid.shape}).",
            "It would hide the wrong parts.",
            "Resample the mask to the image first.",
        )
    inside = np.isfinite(image.array) if mask is None else mask.array.astype(bool) & np.isfinite(image.array)
    if inside.sum() < 1000 or float(np.ptp(image.array[inside])) == 0.0:
        raise ImageError(
            f"The {role} image has {int(inside.sum())} usable voxels" + (" of one single value." if inside.any() else "."),
            "Nothing in it can be compared.",
            "Check the file, and its mask.",
        )
    return Volume(inside, image.grid)


def _prepared(image: Volume, inside: Volume, size_mm: float) -> tuple[Volume, Volume]:
    """Return an image no finer than its last level needs, with its values remapped, and its mask."""
    image, inside = lightened(image, inside, size_mm)
    return image.with_array(levelled(image.array, inside.array)), inside


def _sizes(fixed: Volume, moving: Volume) -> list[float]:
    """Return the voxel sizes of the levels [mm], coarse to fine."""
    fine = max(number("fine_mm"), min(*fixed.spacing_mm, *moving.spacing_mm))
    extent = min(float(np.min(np.multiply(v.grid.shape, v.spacing_mm))) for v in (fixed, moving))
    coarse = [min(number("coarse_mm"), max(number("middle_mm"), extent / LEAST_VOXELS)), number("middle_mm")]
    coarse = sorted(set(coarse), reverse=True)
    return [s for s in coarse if s > 1.2 * fine] + [fine]


def _common(fixed: Level, moving: Level, matrix: Array) -> Array:
    """Return the points (n, 3) of the fixed image that map into the moving one; all of its points where none does."""
    places = fixed.volume.grid.to_mm(np.argwhere(fixed.inside.array))
    seen = moving.inside.sample(apply(matrix, places), fill=0.0) > 0.5
    return cast(Array, places[seen] if seen.any() else places)


def _target(fixed: Level, moving: Level, matrix: Array) -> Array:
    """Return the middle of what is common and eight points half way to its corners."""
    low, high = np.percentile(_common(fixed, moving, matrix), [25, 75], axis=0)
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), -1).reshape(-1, 3)
    return cast(Array, np.vstack([(low + high) / 2, corners]))


def _search(
    levels: list[tuple[Level, Level]], header: Array, *, searched: bool, seed: int, tell: Observe
) -> tuple[Array, list[Array], int]:
    """Return the best end of all starts on the coarser levels, the other ends, and how many descents were made."""
    starts = [header]
    if searched:
        for shift in shifts(*levels[0], CANDIDATES):
            start = np.eye(4)
            start[:3, 3] = shift
            starts.append(start)
    firsts = [descend(*levels[0], s, seed=seed + i).matrix for i, s in enumerate(starts)]
    count = len(firsts)
    tell(0.3)
    best = max(firsts, key=lambda m: _worth(levels[0], m))
    centre = _common(*levels[0], best).mean(axis=0)
    around = [_nudged(best, centre, i) for i in range(4)]
    again = [descend(*levels[0], s, seed=seed + 20 + i).matrix for i, s in enumerate(around)]
    count += len(again)
    ranked = sorted([*firsts, *again], key=lambda m: -_worth(levels[0], m))
    if len(levels) == 3:
        ranked = [descend(*levels[1], m, seed=seed + 40 + i).matrix for i, m in enumerate(ranked[:3])]
        count += len(ranked)
        ranked.sort(key=lambda m: -_worth(levels[1], m))
    tell(0.5)
    return ranked[0], ranked[1:], count


def _worth(level: tuple[Level, Level], matrix: Array) -> float:
    found = score(*level, matrix)
    return found.worth if found.overlap >= number("least_overlap") else 0.1 * found.worth


def _nudged(matrix: Array, centre: Array, which: int) -> Array:
    """Return a transform moved and turned about a point, in one of four directions that sum to nothing."""
    way = np.array([(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)][which]) / np.sqrt(3)
    turn = Rotation.from_rotvec(np.roll(way, 1) * np.deg2rad(number("start_turn_deg"))).as_matrix()
    move = np.eye(4)
    move[:3, :3] = turn
    move[:3, 3] = centre - turn @ centre + way * number("start_shift_mm")
    return cast(Array, matrix @ move)


def _backward(levels: list[tuple[Level, Level]], found: Array, seed: int) -> Array:
    """Return the transform found with the roles changed (moving to fixed), from a start moved off the answer."""
    first, last = levels[-2] if len(levels) > 1 else levels[-1], levels[-1]
    centre = apply(found, _common(*first, found).mean(axis=0))
    start = _nudged(np.linalg.inv(found), centre, 1)
    middle = descend(first[1], first[0], start, seed=seed + 60).matrix
    return descend(last[1], last[0], middle, seed=seed + 61).matrix


def _halves(level: tuple[Level, Level], found: Array, seed: int, tell: Observe) -> tuple[tuple[Array, Array], ...]:
    """Return where the halves of the common part, aligned alone, end: left and right, front and back, lower and upper."""
    fixed, moving = level
    grid = fixed.volume.grid
    seen = Volume.of(moving.inside.array, np.linalg.inv(found) @ moving.inside.grid.matrix).resample(grid)
    common = fixed.inside.array & seen.array
    if not common.any():
        return ()
    index = np.argwhere(common)
    pairs = []
    for axis in (2, 1, 0):
        middle = float(np.median(index[:, axis]))  # a level's axes are the patient's
        low = (np.arange(grid.shape[axis]) <= middle).reshape([-1 if a == axis else 1 for a in range(3)])
        one, other = (
            descend(fixed, moving, found, seed=seed + 80 + 2 * (2 - axis) + i, part=common & side).matrix
            for i, side in enumerate((low, ~low))
        )
        pairs.append((one, other))
        tell(0.65 + 0.1 * (2 - axis))
    return tuple(pairs)


def _rivals(level: tuple[Level, Level], ends: list[Array], here: Score) -> tuple[Array, ...]:
    """Return the ends that are about as good as the answer."""
    return tuple(end for end in ends if score(*level, end).worth >= number("rival_gain") * here.worth)


def _refusals(moved: Array, here: Score, seen: Spread) -> tuple[Refusal, ...]:
    """Return every reason not to use the result."""
    inverse, restarts, error, halves = seen.inverse_mm, seen.restarts_mm, seen.error_mm, seen.halves_mm
    turn = float(np.rad2deg(Rotation.from_matrix(moved[:3, :3]).magnitude()))
    least, tells, bound = number("least_overlap"), number("least_information"), number("largest_turn_deg")
    back, rivals, most = number("largest_inverse_mm"), number("largest_restarts_mm"), number("largest_error_mm")
    checks = (
        (
            here.overlap < least,
            f"Only {100 * here.overlap:.0f} % of the smaller image lies in the other (least {100 * least:.0f} %).",
            "A sliver can be made to fit almost anywhere.",
            "Give an image that shows more of the same region, or a start (`initial`).",
        ),
        (
            here.information < tells,
            f"The images tell almost nothing of each other (entropy correlation {here.information:.3f}, least {tells:g}).",
            "They may show different regions or different patients.",
            "Check that both are of this patient and this region.",
        ),
        (
            turn > bound,
            f"The answer turns the image by {turn:.0f}°, the bound of the search ({bound:.0f}°).",
            "Headers of one patient never differ by that much, so it is a false match.",
            "Check patient position and orientation of both images.",
        ),
        (
            inverse > back,
            f"Forth and back ends {inverse:.1f} mm away at the target (most {back:g} mm).",
            "Two answers to one question: at least one is wrong.",
            "Mask what does not move with the bone, or align by hand.",
        ),
        (
            restarts > rivals,
            f"Other starts end {restarts:.1f} mm away at the target and fit about as well (most {rivals:g} mm).",
            "The images do not decide between these places.",
            "Give an image with more anatomy in it, or a start (`initial`).",
        ),
        (
            not error <= most,
            f"The estimated error at the target is {error:.1f} mm (most {most:g} mm; halves alone differ by {halves:.1f} mm).",
            "A needle or a margin planned on it would miss by as much.",
            "Mask the bone that holds the lesion and align again, or take a new image in the treatment position.",
        ),
    )
    return tuple(Refusal(what, why, do) for wrong, what, why, do in checks if wrong)
