"""What treatments with a needle share: numbers of devices, where the tip comes to lie, the painful interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.errors import SettingError
from osteon.evidence.value import Value, spread_from
from osteon.space.anatomy import Anatomy, Structure
from osteon.space.volume import Array, Volume
from osteon.treatments.base import Goal, NeedlePose, Setting

if TYPE_CHECKING:
    from osteon.tissue.bone import TissueMap

SHORTEST_MM = 1.0  # of a needle that has a direction
INTERFACE_MM = 5.0  # half thickness of the painful interface of bone and soft tissue


def number(entry: Any) -> float:
    """Return the number of an entry of ``devices.yaml``: a mapping with ``value``, or bare."""
    return float(entry["value"] if isinstance(entry, Mapping) else entry)


def device_values(device: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """Return every number of a device as a ``Value``, by its dotted name: what a plan used and what ``cite`` follows.

    Parameters
    ----------
    device : mapping
        One entry of ``devices.yaml``.
    prefix : str
        Put before each name.

    Returns
    -------
    dict of str to Value
        For example ``geometry.slot_from``.
    """
    found: dict[str, Value] = {}
    for key, entry in device.items():
        if isinstance(entry, Mapping) and "spread" in entry:
            spread = spread_from(entry.get("spread"))
            found[prefix + key] = Value(
                float(entry["value"]), str(entry["unit"]), spread, str(entry["source"]), bool(entry.get("verified", True))
            )
        elif isinstance(entry, Mapping):
            found.update(device_values(entry, f"{prefix}{key}."))
    return found


def check_place(setting: Setting, active_mm: float, tissue: TissueMap) -> None:
    """Refuse needles that cannot lie as they are said to lie, or whose active part is not in the body.

    Parameters
    ----------
    setting : Setting
        With its poses.
    active_mm : float
        Length from the tip along which the needle works.
    tissue : TissueMap
        Of the computed box.

    Raises
    ------
    SettingError
        If a pose is not finite, a needle is shorter than its active part, or most of that lies outside the box or in air.
    """
    active, air = max(active_mm, SHORTEST_MM), tissue.is_label("air")
    for pose in setting.poses:
        entry, tip = np.array(pose.entry_mm, float), np.array(pose.tip_mm, float)
        where = f"with its tip at ({', '.join(f'{v:.1f}' for v in tip)}) mm"
        if not np.isfinite([*entry, *tip]).all() or pose.length_mm < active:
            raise SettingError(
                f"The needle {where} reaches {pose.length_mm:.1f} mm deep; its active part is {active:.0f} mm long.",
                "A needle lies from the skin to its tip, and works along its active part.",
                "Give an entry and a tip in mm that lie further apart than the active part is long.",
            )
        points = tip - np.linspace(0.0, active, 21)[:, None] * np.array(pose.direction)
        inside = tissue.grid.contains(points)
        at = np.clip(np.rint(tissue.grid.to_index(points)), 0, np.array(air.shape) - 1).astype(int)
        if not inside.mean() > 0.5 or air[tuple(at.T)].mean() > 0.5:
            raise SettingError(
                f"The active part of the needle {where} lies {'in air' if inside.mean() > 0.5 else 'outside the computed box'}.",
                "What it would do there is no treatment, and would read as one that harms nothing.",
                "Place the active part of the needle in the body, inside the box round the lesion.",
            )


def move_tip(pose: NeedlePose, centre_mm: Any, beyond_mm: float) -> NeedlePose:
    """Return the needle on the same line with its tip ``beyond_mm`` past the point of the line nearest to ``centre_mm``."""
    direction, entry = np.array(pose.direction), np.array(pose.entry_mm)
    along = float((np.asarray(centre_mm) - entry) @ direction) + beyond_mm
    x, y, z = entry + max(along, 1.0) * direction
    return NeedlePose(pose.entry_mm, (float(x), float(y), float(z)))


def interface_target(anatomy: Anatomy, goal: Goal, lesion: Structure) -> Volume | None:
    """Return the painful interface of bone and soft tissue where that is the goal; None: planning's own target."""
    if goal != "interface_palliation":
        return None
    shell = interface_shell(anatomy, lesion, INTERFACE_MM)
    return None if shell is None else Volume(shell, anatomy.grid)


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
    from scipy import ndimage

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
