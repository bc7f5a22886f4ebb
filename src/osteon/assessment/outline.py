"""Outlines that assessment derives where nobody drew them: body, skin, joints, and bone as it was before the lesion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
from scipy import ndimage

from osteon.assessment.measure_base import threshold, window_of
from osteon.case.bones import replaced
from osteon.case.grow import threshold as ray_reach
from osteon.space.anatomy import Structure, structure
from osteon.space.paths import distance_to
from osteon.space.volume import Array, CompactMask, Volume, Window, box_of, union_of


def body_of(image: Volume, imaged: Volume) -> Volume:
    """Return the body of a CT: the largest piece of what is no air, without table and sheets, its gas filled in.

    Parameters
    ----------
    image : Volume
        HU, in canonical axes (the first array axis runs along the body).
    imaged : Volume of bool
        Where there is image information.

    Returns
    -------
    Volume of bool
        Empty where nothing is denser than air.

    Raises
    ------
    ImageError
        If the axes of the grid are not at right angles.
    """
    import cc3d

    dense = (image.array > threshold("body_above_hu")) & imaged.array
    half = threshold("table_thin_mm") / 2.0
    window = _widened(box_of(dense), dense.shape, (1, 1, 1))
    if window is None:
        return CompactMask(dense, image.grid)
    thick = image.part(window).shape
    near = Volume(dense[window], image.grid.of(thick, image.grid.matrix))
    core = distance_to(near.with_array(~near.array)).array > half
    if not core.any():
        return CompactMask(dense, image.grid)
    pieces = cc3d.connected_components(core, connectivity=6)
    sizes = cc3d.statistics(pieces)["voxel_counts"].astype(np.int64)
    sizes[0] = 0
    largest = pieces == int(np.argmax(sizes))
    del core, pieces
    grown = near.array & (distance_to(near.with_array(largest)).array <= half + min(image.spacing_mm) / 2)
    z, y, x = window
    return CompactMask(_fill_slices(grown), image.grid, (z.start, y.start, x.start))


def _widened(box: Window | None, shape: tuple[int, ...], voxels: tuple[int, int, int]) -> Window | None:
    """Return an index window widened by some voxels, within the image."""
    if box is None:
        return None
    z, y, x = (slice(max(s.start - w, 0), min(s.stop + w, n)) for s, w, n in zip(box, voxels, shape, strict=True))
    return z, y, x


def _fill_slices(inside: Array) -> Array:
    """Fill what each axial slice encloses: gas, lung; what is open to the side of the image stays air."""
    filled = np.empty_like(inside)
    for z in range(inside.shape[0]):
        air, count = ndimage.label(~inside[z])
        rim = np.unique(np.concatenate([air[0], air[-1], air[:, 0], air[:, -1]]))
        open_air = np.zeros(count + 1, bool)
        open_air[rim[rim > 0]] = True
        filled[z] = ~open_air[air]
        filled[z][inside[z]] = True
    return filled


def bone_before(bone: Volume, lesion: Volume, *, found: bool = False) -> Volume:
    """Return a bone's outline with the part that the lesion has replaced.

    Holes, and dents that a ball of ``bone_closing_mm`` cannot enter, are given back to the bone where the lesion lies in them.
    Lesion beyond stays outside: it is soft-tissue component.

    Parameters
    ----------
    bone, lesion : Volume of bool
        On one grid.
    found : bool
        The bone was found by threshold, which leaves out all that is lytic: what bone encloses on more than half of all sides
        is given back as well.

    Returns
    -------
    Volume of bool
        At least the bone as outlined.

    Raises
    ------
    ImageError
        If the axes of the grid are not at right angles.
    """
    radius = threshold("bone_closing_mm")
    if found:
        z, y, x = wide = window_of(lesion, ray_reach("ray_reach_mm"))
        inner = replaced(bone.part(wide), lesion.part(wide), bone.spacing_mm)
        bone = union_of([bone, CompactMask(inner, bone.grid, (z.start, y.start, x.start))])
    window = window_of(lesion, 3 * radius)
    near, lytic = bone.part(window), lesion.part(window)
    if not near.any() or not (lytic & ~near).any():
        return bone
    local = Volume(near, bone.grid.of(near.shape, bone.grid.matrix))
    dilated = distance_to(local).array <= radius
    closed = distance_to(local.with_array(~dilated)).array > radius
    closed |= cast(Array, ndimage.binary_fill_holes(near))
    z, y, x = window
    return union_of([bone, CompactMask(closed & lytic, bone.grid, (z.start, y.start, x.start))])


def joint_between(first: Volume, second: Volume) -> Volume | None:
    """Return the gap between two bones as an approximate joint; None where they come nowhere near each other.

    Parameters
    ----------
    first, second : Volume of bool
        Two bones on one grid.

    Returns
    -------
    Volume of bool or None
        Voxels of neither bone within ``joint_within_mm`` (at least 1.5 voxels) of both, and, where the outlines touch, the voxels
        of both on either side of the contact.

    Raises
    ------
    ImageError
        If the axes of the grid are not at right angles.
    """
    reach = max(threshold("joint_within_mm"), 1.5 * max(first.spacing_mm))
    boxes = [window_of(each, reach + 1) for each in (first, second)]
    z, y, x = (slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(*boxes, strict=True))
    if any(s.stop <= s.start for s in (z, y, x)):
        return None
    near = [each.part((z, y, x)) for each in (first, second)]
    if not (near[0].any() and near[1].any()):
        return None
    far = [distance_to(Volume(each, first.grid.of(each.shape, first.grid.matrix))).array for each in near]
    step = 1.01 * max(first.spacing_mm)
    gap = (far[0] <= reach) & (far[1] <= reach) & ~near[0] & ~near[1]
    touching = (near[0] & (far[1] <= step)) | (near[1] & (far[0] <= step))  # model labels of a joint often leave no gap at all
    found = gap | touching
    return CompactMask(found, first.grid, (z.start, y.start, x.start)) if found.any() else None


def joints_of(masks: Mapping[Structure, Volume], absent: frozenset[Structure]) -> dict[Structure, Volume]:
    """Return the joints that nobody outlined but whose two bones are, by ``required.yaml``.

    Parameters
    ----------
    masks : mapping of Structure to Volume
        What is outlined.
    absent : frozenset of Structure
        What was declared absent.

    Returns
    -------
    dict of Structure to Volume
        Approximate; only where the two bones come near each other.
    """
    from osteon.assessment.required import rules

    found: dict[Structure, Volume] = {}
    for joint, bones in rules()["joints"].items():
        for side in ("left", "right"):
            key = structure(f"{joint}_{side}")
            pair = [_bone(name, side) for name in bones]
            if key in masks or key in absent or any(p not in masks for p in pair):
                continue
            gap = joint_between(masks[pair[0]], masks[pair[1]])
            if gap is not None:
                found[key] = gap
    return found


def _bone(name: str, side: str) -> Structure:
    from osteon.space.anatomy import structures

    return structures().get(f"{name}_{side}") or structure(name)
