"""Where the painful interface of bone and soft tissue lies: what microwaves of that goal are aimed at."""

from __future__ import annotations

from scipy import ndimage

from osteon.space.anatomy import Anatomy, Structure
from osteon.space.volume import Array


def interface_shell(anatomy: Anatomy, lesion: Structure, reach_mm: float) -> Array | None:
    """Return the interface of bone and soft tissue at a lesion, array of bool, or None where the lesion does not reach it.

    It is lesion and bone within ``reach_mm`` of where the lesion meets soft tissue: the breach of the cortex and its rim.

    Parameters
    ----------
    anatomy : Anatomy
        With outlines of lesion and bone.
    lesion : Structure
        The lesion.
    reach_mm : float
        Half thickness of the shell.
    """
    if not anatomy.has(lesion) or not anatomy.of_kind("bone"):
        return None
    mask = anatomy.masks[lesion].array
    bone = anatomy.union(anatomy.of_kind("bone"))
    spacing = anatomy.grid.spacing_mm
    solid = bone | mask
    soft_tissue_beside = mask & ndimage.binary_dilation(~solid)
    if not soft_tissue_beside.any():
        return None
    near: Array = ndimage.distance_transform_edt(~soft_tissue_beside, sampling=spacing) <= reach_mm
    return near & solid
