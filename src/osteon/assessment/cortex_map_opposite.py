"""The opposite bone as the reference: unrolled like this one, laid over it by turn and shift, and refused where it does not fit.

A right and a left bone unroll alike, because their angles run from the front to the middle of the body: unrolling mirrors.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from osteon.assessment.cortex_map_expected import Expected, first_run, half_height, healthy_slices
from osteon.assessment.cortex_map_rays import Rays, limit, rays
from osteon.assessment.measure_base import Scene, cut, opposite, window_of
from osteon.assessment.rigidity import bone_axis
from osteon.errors import InputError, MissingError
from osteon.space.volume import Array, Volume


def opposite_rays(scene: Scene, here: Rays) -> Rays | str:
    """Return the rays of the opposite bone at the level of these, or why there are none.

    Parameters
    ----------
    scene : Scene
        Of the lesion.
    here : Rays
        Of its bone.
    """
    bone, image = scene.bone, scene.anatomy.image
    other = None if bone is None else opposite(bone)
    if other is None or image is None:
        return "the bone has no opposite"
    if not scene.anatomy.has(other):
        return f"the {other.name} is not outlined"
    whole = scene.anatomy.mask(other)
    rows = scene.window[0]
    level = np.zeros(whole.grid.shape, bool)
    level[rows] = whole.array[rows]
    window = window_of(whole.with_array(level), 5.0)
    mask = cut(whole.with_array(level), window)
    if not mask.array.any():
        return f"the {other.name} is not in the image at this level"
    if scene.anatomy.has("other_lesion") and (cut(scene.anatomy.mask("other_lesion"), window).array & mask.array).any():
        return f"a lesion is outlined in the {other.name}"
    if (scene.lesion.part(window) & mask.array).any():
        return f"this lesion reaches into the {other.name}"
    heights = here.frame.centres_mm[[0, -1], 2]
    unreliable = scene.anatomy.unreliable
    try:
        centre, axis = bone_axis(mask)
        places = centre + (heights - centre[2])[:, None] / axis[2] * axis if abs(axis[2]) > 0.5 else None
        if places is None:
            return f"the {other.name} does not lie along the body"
        margin = limit("opposite_shift_mm") * axis
        about = np.concatenate([places, places + margin, places - margin])
        empty = Volume(np.zeros(mask.grid.shape, bool), mask.grid)
        seen = scene.anatomy.imaged.part(window)
        spoilt = None if unreliable is None else unreliable.part(window)
        return rays(cut(image, window), mask, empty, other.side, seen, spoilt, about)
    except (InputError, MissingError) as error:
        return f"the {other.name} cannot be unrolled: {error.what}"


def laid_over(here: Rays, away: Rays, touched: Array) -> tuple[Array, Array, float] | str:
    """Return where the cells of this bone lie on the opposite one, as rows and columns (n, m), and the misfit [mm].

    Parameters
    ----------
    here, away : Rays
        Of this bone and of the opposite one.
    touched : ndarray (n,) of bool
        Slices that hold the lesion: left out.
    """
    heights, others = here.frame.centres_mm[:, 2], away.frame.centres_mm[:, 2]
    cells = (~touched)[:, None] & ~here.unknown & here.tube
    turns = int(limit("opposite_turn_deg") // limit("theta_step_deg"))
    best: tuple[float, float, int] | None = None
    for shift in np.arange(-limit("opposite_shift_mm"), limit("opposite_shift_mm") + 1e-9, 1.0):
        rows = np.rint(np.interp(heights + shift, others, np.arange(len(others)))).astype(int)
        inside = (heights + shift >= others[0] - 1) & (heights + shift <= others[-1] + 1)
        if inside.mean() < 0.9:
            continue
        for turn in range(-turns, turns + 1):
            outer = np.roll(away.outer_mm, -turn, 1)[rows]
            good = cells & inside[:, None] & ~np.roll(away.unknown, -turn, 1)[rows]
            if good.mean() < 0.1:
                continue
            misfit = float(np.median(np.abs(outer - here.outer_mm)[good]))
            cost = misfit + 1e-3 * (abs(shift) / limit("opposite_shift_mm") + abs(turn) / max(turns, 1))
            if best is None or cost < best[0]:
                best = (cost, float(shift), turn)
    if best is None:
        return "the opposite bone is not in the image over this length"
    cost, shift, turn = best
    rows = np.rint(np.interp(heights + shift, others, np.arange(len(others)))).astype(int)
    columns = (np.arange(here.outer_mm.shape[1]) + turn) % here.outer_mm.shape[1]
    grid = np.broadcast_to(rows[:, None], here.outer_mm.shape), np.broadcast_to(columns[None], here.outer_mm.shape)
    return grid[0], grid[1], cost


def opposite_bone(here: Rays, away: Rays, touched: Array, added_hu: float = 0.0) -> Expected | str:
    """Return the cortex as the opposite bone has it, or why that is no reference.

    Parameters
    ----------
    here, away : Rays
        Of this bone and of the opposite one.
    touched : ndarray (n,) of bool
        Slices that hold the lesion.
    added_hu : float
        What contrast agent may have added to healthy soft tissue.
    """
    place = laid_over(here, away, touched)
    if isinstance(place, str):
        return place
    rows, columns, misfit = place
    most = limit("opposite_fits_mm")
    if misfit > most:
        return f"the opposite bone does not fit: outer radii differ by {misfit:.1f} mm in the middle, more than {most:g} mm"
    try:
        own = healthy_slices(away, added_hu, even=False)
    except (InputError, MissingError) as error:
        return f"the opposite bone shows no cortex to compare with: {error.what}"
    thickness, _ = first_run(away, half_height(own.peak_hu, added_hu))
    thickness = np.where(away.unknown | ~away.tube | (thickness < away.step_mm), np.nan, thickness)[rows, columns]
    missing = ~np.isfinite(thickness)
    if missing.mean() > 0.1:
        return f"the opposite bone shows no cortex on {100 * missing.mean():.0f} % of what is compared"
    thickness[missing] = np.nanmedian(thickness)
    try:
        shift = healthy_slices(here, added_hu, even=False).shift_mm
    except (InputError, MissingError):  # no healthy slice of its own: its outline is taken at its face
        shift = 0.0
    notes = (
        f"Outer radii of the two bones differ by {misfit:.1f} mm in the middle.",
        "Cannot tell whether the opposite bone is healthy: look for lesions in it first.",
    )
    return replace(own, thickness_mm=thickness, shift_mm=shift, reference="opposite bone", notes=notes)
