"""The outline of a bone before its strength: holes filled, the lesion given back, pieces, cuts and edges told or refused."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from osteon.assessment.outline import bone_before
from osteon.assessment.strength_units import limit
from osteon.errors import InputError
from osteon.space.anatomy import Structure
from osteon.space.volume import Array, CompactMask, Volume, Window


def filled(mask: Volume, bone: Structure, notes: list[str]) -> Volume:
    """Return the outline with the holes filled that it closes on all sides: marrow and lesion are part of the bone."""
    box = mask.box()
    assert box is not None  # an empty outline was refused
    inside = mask.part(box)
    solid = np.asarray(ndimage.binary_fill_holes(inside))
    added = int(solid.sum()) - int(inside.sum())
    if not added:
        return mask
    notes.append(
        f"Holes in the outline of the {bone.name} are filled ({added * mask.grid.voxel_mm3 / 1e3:.2f} ml): "
        "what they hold is read from the image."
    )
    return CompactMask(solid, mask.grid, _start(box))


def _start(box: Window) -> tuple[int, int, int]:
    return box[0].start, box[1].start, box[2].start


def with_lesion(bone: Volume, lesion: Volume, which: Structure, notes: list[str]) -> Volume:
    """Return the bone with what the lesion took from its outline.

    Raises
    ------
    InputError
        If the lesion is not in the bone.
    """
    box = lesion.box()
    assert box is not None  # an empty outline was refused
    apart = not (bone.part(box) & lesion.part(box)).any()  # a label map gives each voxel to one of the two
    whole = bone_before(bone, lesion, found=apart)
    within, every = int((whole.part(box) & lesion.part(box)).sum()), int(lesion.part(box).sum())
    if within == 0:
        raise InputError(
            f"The lesion does not lie in the {which.name}: none of its {every} voxels does.",
            "A lesion elsewhere changes nothing here; healing it would be read as no loss of strength.",
            "Name the bone that holds it, or the right lesion.",
        )
    voxel_ml = bone.grid.voxel_mm3 / 1e3
    added = int(whole.array.sum()) - int(bone.array.sum())
    if added:
        notes.append(f"{added * voxel_ml:.2f} ml of lesion that the outline left out are given back to the {which.name}.")
    if every - within > limit("outside_most") * every:
        notes.append(f"{(every - within) * voxel_ml:.2f} of {every * voxel_ml:.2f} ml of the lesion lie beyond the {which.name}.")
    return whole


def check_one_piece(mask: Volume, bone: Structure, notes: list[str]) -> None:
    """Refuse an outline in several large pieces, of which a load would meet one; note small ones."""
    box = mask.box()
    assert box is not None
    inside = mask.part(box)
    labelled, count = ndimage.label(inside, np.ones((3, 3, 3), int))
    if count < 2:
        return
    sizes = np.sort(np.bincount(labelled.ravel())[1:])[::-1] * mask.grid.voxel_mm3 / 1e3
    large = sizes[sizes >= limit("part_least") * sizes.sum()]
    if len(large) > 1:
        raise InputError(
            f"The outline of the {bone.name} is in {len(large)} pieces ({', '.join(f'{v:.1f} ml' for v in large)}).",
            "A load would meet one of them; the number would be that of a part of the bone.",
            "Look for a fracture. If there is none, close the gap in the outline.",
        )
    notes.append(f"The outline of the {bone.name} has {count - 1} loose pieces of {sizes[1:].sum():.2f} ml together beside it.")


def check_not_cut(bone: Volume, lesion: Volume, image: Volume, which: Structure) -> None:
    """Refuse a lytic lesion that parts the bone: what lies between its parts is tumour, and no law of bone holds there."""
    box = bone.box()
    assert box is not None
    inside, ill = bone.part(box), lesion.part(box)
    labelled, _ = ndimage.label(inside & ~ill)
    sizes = np.bincount(labelled.ravel())[1:]
    large = sizes[sizes >= limit("part_least") * inside.sum()]
    values: Array = image.part(box)
    lytic = float(np.median(values[inside & ill])) < float(np.median(values[inside & ~ill])) if (inside & ill).any() else False
    if len(large) < 2 or not lytic:
        return
    parts = ", ".join(f"{n * bone.grid.voxel_mm3 / 1e3:.1f} ml" for n in sorted(large.tolist(), reverse=True))
    raise InputError(
        f"The lesion cuts the {which.name} into {len(large)} parts ({parts}): no bone of the outline joins them.",
        "What lies between is tumour; no law of bone tells what it bears, and the question is whether it is broken.",
        "Look for a fracture. If bone is left within the lesion, outline the lesion without it.",
    )


def imaged_of(image: Volume, finite: Array, mask: Volume, bone: Structure, notes: list[str]) -> Volume:
    """Return where there is image information. A bone that was cut out of its image is whole; one beside a gap may be cut."""
    if finite.all():
        return image.with_array(finite)
    box = mask.box()
    assert box is not None
    z, y, x = (slice(max(s.start - 1, 0), s.stop + 1) for s in box)
    inside = mask.part((z, y, x))
    rim = ndimage.binary_dilation(inside) & ~inside
    if not rim.any() or finite[z, y, x][rim].mean() > limit("gap_most"):
        return image.with_array(finite)
    notes.append(f"The image holds numbers within the {bone.name} alone: taken as cut out along its outline, and whole.")
    return image.with_array(np.ones(finite.shape, bool))


def note_edge(mask: Volume, bone: Structure, notes: list[str]) -> None:
    """Note where the outline reaches the edge of the image; the load decides whether it can be told."""
    box = mask.box()
    assert box is not None
    inside, shape = mask.part(box), mask.grid.shape
    ends = [
        (axis, end) for axis, s in enumerate(box) for end, there in ((0, s.start == 0), (-1, s.stop == shape[axis])) if there
    ]  # fmt: skip
    sizes = mask.grid.spacing_mm
    area = sum(float(np.take(inside, end, axis).sum()) * float(np.prod(sizes)) / sizes[axis] for axis, end in ends)
    if area:
        notes.append(
            f"The outline of the {bone.name} reaches the edge of the image over {area / 100:.1f} cm²: it may go on beyond."
        )
