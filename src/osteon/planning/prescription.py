"""What an operator dials in: position, entry, angles, depths, needles, controls. JSON-able."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from osteon.planning.geometry import number
from osteon.planning.maps import body_of
from osteon.planning.plan import PathSearch
from osteon.space.anatomy import Anatomy, Structure
from osteon.space.volume import Array
from osteon.tissue.properties import most_added_hu
from osteon.treatments.base import NeedleAccess, NeedlePose, Setting

BONE_NEEDLE = "[004 «10-cm, 11-gauge or 13-gauge bone needle»]"
STEP_MM = 0.5
LEVEL = 0.0087
"""Sine of half a degree: a direction with less of one axis is not said to go along it."""


def prescribe(
    anatomy: Anatomy,
    lesion: Structure,
    bone: Structure | None,
    settings: Sequence[Setting],
    access: NeedleAccess | None,
    paths: PathSearch | None,
    scanned: str = "unknown",
    fixed: bool = False,
) -> dict[str, object]:
    """Return the prescription of a plan.

    Parameters
    ----------
    anatomy : Anatomy
        On the image's own grid.
    lesion, bone : Structure
        The lesion and the bone that holds it.
    settings : sequence of Setting
        In order of application.
    access : NeedleAccess or None
        None where the device is not a needle.
    paths : PathSearch or None
        Where the poses came from.
    scanned : str
        DICOM's Patient Position of the image.
    fixed : bool
        Whether the chart fixes how the patient lies.
    """
    position = position_of(paths, settings)
    warnings = position_warnings(position, scanned, fixed)
    needles: list[dict[str, object]] = []
    for setting in settings:
        for pose in setting.poses:
            needle = needle_lines(anatomy, lesion, bone, pose, access, position)
            warnings.extend(str(w) for w in needle.pop("warnings"))  # type: ignore[attr-defined]
            needles.append(needle)
    return {
        "patient_position": position,
        "patient_position_text": f"{position.replace('_', ' ')}{'' if fixed else ' (to be chosen: the chart does not fix it)'}",
        "scanned_as": scanned,
        "needles": needles,
        "applications": [{"device": s.device, "controls": dict(s.controls), "needles": len(s.poses)} for s in settings],
        "warnings": list(dict.fromkeys(warnings)),
    }


def position_of(paths: PathSearch | None, settings: Sequence[Setting]) -> str:
    """Return how the patient must lie for the poses of a plan."""
    poses = [p for s in settings for p in s.poses]
    if paths is None or not poses or not paths.pareto:
        return "any"
    entry = np.array(poses[0].entry_mm)
    return min(paths.pareto, key=lambda p: float(np.linalg.norm(entry - np.array(p.pose.entry_mm)))).position or "any"


def position_warnings(position: str, scanned: str, fixed: bool = False) -> list[str]:
    """Say what follows from lying otherwise than in the image, also where the chart wants it so."""
    from osteon.planning.trajectory import SCANNED

    was = SCANNED.get(scanned[2:], "") if len(scanned) in (3, 4) else ""
    if position == "any" or (fixed and not was):
        return []
    if not was:
        return [f"position to be chosen: {position.replace('_', ' ')}; how the patient lay in the image is not known"]
    if was != position:
        by = "by the chart" if fixed else "to be chosen"
        return [
            f"position {by}: {position.replace('_', ' ')}; the image was made {was.replace('_', ' ')}: soft tissue "
            "and skin move when the patient is turned, so image again in position before the needle goes in"
        ]
    return []


def needle_lines(
    anatomy: Anatomy,
    lesion: Structure,
    bone: Structure | None,
    pose: NeedlePose,
    access: NeedleAccess | None,
    position: str = "any",
) -> dict[str, object]:
    """Return entry, angles, depths and instruments of one needle; the position tells which way is vertical."""
    entry, tip = np.array(pose.entry_mm), np.array(pose.tip_mm)
    way = np.array(pose.direction)
    depths, hu = depths_along(anatomy, lesion, bone, pose)
    broken, text = _cortex(depths, hu, most_added_hu() if anatomy.contrast else 0.0)
    index = anatomy.grid.to_index(entry)
    lines: dict[str, object] = {
        "entry_lps_mm": _rounded(entry), "tip_lps_mm": _rounded(tip),
        "entry_slice_z_mm": round(float(entry[2]), 1), "entry_slice_index": int(np.rint(index[0])),
        **_from_midline(pose.entry_mm[0], midline_mm(anatomy, pose.entry_mm[2])), "landmark": landmark(anatomy, entry),
        "in_plane_angle_deg": round(float(np.rad2deg(np.arctan2(abs(way[0]), abs(way[1])))), 1),
        "in_plane_text": _in_plane(way, position),
        "craniocaudal_angle_deg": round(float(np.rad2deg(np.arcsin(np.clip(way[2], -1, 1)))), 1),
        "craniocaudal_text": _tilt(way), "depth_skin_to_cortex_mm": depths["cortex"], "depth_skin_to_target_mm": depths["lesion"],
        "depth_skin_to_tip_mm": round(pose.length_mm, 1), "mm_in_bone": depths["in_bone"], "cortex": broken, "cortex_text": text,
    }  # fmt: skip
    warnings: list[str] = []
    if access is not None:
        lines.update(_instruments(access, broken, depths, pose, warnings))
    lines["warnings"] = warnings
    return lines


def _rounded(mm: Array) -> list[float]:
    return [round(float(v), 1) for v in mm]


def _in_plane(way: Array, position: str = "any") -> str:
    across, along = abs(float(way[0])), abs(float(way[1]))
    if np.hypot(across, along) < LEVEL:
        return "along the body's long axis: no direction in the axial plane"
    angle = float(np.rad2deg(np.arctan2(across, along)))
    parts = ["the back" if way[1] > 0 else "the front"] if along >= LEVEL else []
    parts += ["the patient's left" if way[0] > 0 else "the patient's right"] if across >= LEVEL else []
    towards = f"towards {' and '.join(parts)}"
    if position.endswith("decubitus"):  # the front-back line lies level when the patient lies on the side
        return f"in the axial plane {angle:.0f}° from the front-back line, {90 - angle:.0f}° from the vertical: {towards}"
    return f"in the axial plane {angle:.0f}° from the vertical: {towards}"


def _tilt(way: Array) -> str:
    angle = np.rad2deg(np.arcsin(np.clip(way[2], -1, 1)))
    if abs(angle) < 0.5:
        return "no tilt: in the axial plane"
    return f"tip tilted {abs(angle):.0f}° towards the {'head' if angle > 0 else 'feet'}"


def depths_along(
    anatomy: Anatomy, lesion: Structure, bone: Structure | None, pose: NeedlePose
) -> tuple[dict[str, float | None], Array]:
    """Return where along the needle the bone and the lesion begin [mm from skin], mm of sound bone, and HU of its first 6 mm."""
    steps = np.arange(0.0, pose.length_mm + STEP_MM, STEP_MM)
    points = np.array(pose.entry_mm) + steps[:, None] * np.array(pose.direction)
    inside = anatomy.mask(lesion).sample(points, fill=0.0) > 0.5
    solid = np.zeros(len(steps), bool)
    bones = [bone] if bone is not None and bone in anatomy.masks else anatomy.of_kind("bone")
    for each in bones:
        solid |= anatomy.mask(each).sample(points, fill=0.0) > 0.5
    sound = solid & ~inside
    before = sound & (np.cumsum(inside) == 0)
    hu = np.zeros(0)
    if anatomy.image is not None and before.any():
        first = steps[np.argmax(before)]
        hu = anatomy.image.sample(points[before & (steps <= first + 6.0)], fill=-1024.0)
    found: dict[str, float | None] = {
        "cortex": round(float(steps[np.argmax(before)]), 1) if before.any() else None,
        "lesion": round(float(steps[np.argmax(inside)]), 1) if inside.any() else None,
        "in_bone": round(float(sound.sum() * STEP_MM), 1),
    }
    return found, hu


def _cortex(depths: dict[str, float | None], hu: Array, added_hu: float = 0.0) -> tuple[str, str]:
    """Return whether cortex must be drilled (intact, broken or unknown) and what follows.

    ``added_hu`` is the most that contrast agent may have added: what it could have made as dense leaves the answer open.
    """
    if depths["cortex"] is None or (depths["lesion"] is not None and depths["lesion"] - depths["cortex"] < 1.0):
        return "broken", "the needle meets the lesion through broken cortex: the instrument directly"
    if len(hu) == 0:
        return "unknown", "cannot tell whether the cortex is intact: no CT; have the bone needle ready"
    peak = float(hu.max())
    if number("intact_cortex_hu") <= peak < number("intact_cortex_hu") + added_hu:
        return "unknown", (
            f"cannot tell whether the cortex is intact: up to {peak:.0f} HU on the path, of which contrast agent may be "
            f"{added_hu:.0f}; have the bone needle ready {BONE_NEEDLE}"
        )
    if peak >= number("intact_cortex_hu"):
        return "intact", f"intact cortex on the path (up to {peak:.0f} HU): bone needle first {BONE_NEEDLE}"
    return (
        "broken",
        f"bone on the path, but thin or broken cortex (at most {peak:.0f} HU): the instrument directly, bone needle ready",
    )


def _instruments(
    access: NeedleAccess, cortex: str, depths: dict[str, float | None], pose: NeedlePose, warnings: list[str]
) -> dict[str, object]:
    drill = cortex != "broken"
    if pose.length_mm > access.max_depth_mm:
        warnings.append(f"the way of {pose.length_mm:.0f} mm is longer than the needle's {access.max_depth_mm:.0f} mm")
    if drill and access.introducer_bore_mm <= access.shaft_diameter_mm:
        bore, shaft = access.introducer_bore_mm, access.shaft_diameter_mm
        warnings.append(
            f"the bore of {bore:g} mm of {access.introducer} does not pass the shaft of {shaft:g} mm: take a wider one"
        )
    wanted = depths["cortex"] if depths["cortex"] is not None else 0.0
    if drill and access.introducer_length_mm < wanted + 5.0:
        warnings.append(
            f"introducer too short: {access.introducer} is {access.introducer_length_mm:.0f} mm long, the cortex lies "
            f"{wanted:.0f} mm below the skin; take a longer one, or another entry"
        )
    return {
        "antenna_gauge": access.gauge, "antenna_length_mm": access.max_depth_mm, "shaft_diameter_mm": access.shaft_diameter_mm,
        "introducer": access.introducer if drill else "none: the instrument directly",
        "introducer_bore_mm": access.introducer_bore_mm if drill else None,
        "introducer_length_mm": access.introducer_length_mm if drill else None,
        "introducer_depth_mm": wanted if drill else None, "tip_beyond_zone_centre_mm": access.active_offset_mm,
    }  # fmt: skip


def midline_mm(anatomy: Anatomy, z_mm: float) -> float | None:
    """Return where the midline lies [LPS x]: middle of the spine near this height, else of all of it, else of the body.

    None where spine or body is cut by the side of the image, since the middle of a part is not the middle; and where neither a
    spine nor both bones of a pair are outlined: the middle of one thigh is not the patient's midline.
    """
    seen = anatomy.imaged.grid.to_mm(np.argwhere(anatomy.imaged.array[::4, ::4, ::4]) * 4.0)[:, 0]
    edge = 5.0 * max(anatomy.grid.spacing_mm)
    spine = sorted(s for s in anatomy.masks if s.id == "sacrum" or s.id.startswith("vertebra_"))
    places = [anatomy.grid.to_mm(np.argwhere(anatomy.masks[s].array)[::7]) for s in spine if anatomy.masks[s].array.any()]
    if places:
        every = np.concatenate(places)
        near = every[np.abs(every[:, 2] - z_mm) < 30.0]
        x = (near if len(near) > 50 else every)[:, 0]
    elif _shows_both_sides(anatomy):
        body = body_of(anatomy)
        x = body.grid.to_mm(np.argwhere(body.array[::4, ::4, ::4]) * 4.0)[:, 0]
    else:
        return None
    if len(x) == 0 or len(seen) == 0 or x.min() < seen.min() + edge or x.max() > seen.max() - edge:
        return None
    return float(0.5 * (x.min() + x.max()))


def _shows_both_sides(anatomy: Anatomy) -> bool:
    bones = {s.id for s in anatomy.of_kind("bone")}
    return any(name.removesuffix("_left") + "_right" in bones for name in bones if name.endswith("_left"))


def _from_midline(entry_x: float, midline: float | None) -> dict[str, object]:
    if midline is None:
        text = "cannot tell: the image does not show the whole of spine or body; measure from the landmark"
        return {"entry_from_midline_mm": None, "entry_side_of_midline": "", "midline_x_mm": None, "midline_text": text}
    away, side = abs(entry_x - midline), "left" if entry_x > midline else "right"
    return {
        "entry_from_midline_mm": round(away, 1), "entry_side_of_midline": side, "midline_x_mm": round(midline, 1),
        "midline_text": f"{away:.0f} mm to the patient's {side} of the midline",
    }  # fmt: skip


def landmark(anatomy: Anatomy, entry_mm: Array) -> dict[str, object]:
    """Return the entry from the top of the nearest bone: how far towards the head, the front and to the side [mm]."""
    best: tuple[float, Structure, Array] | None = None
    for each in anatomy.of_kind("bone"):
        places = anatomy.grid.to_mm(np.argwhere(anatomy.masks[each].array)[::5])
        top = places[places[:, 2] >= places[:, 2].max() - 2.0].mean(axis=0)
        gap = float(np.abs(places - entry_mm).sum(axis=1).min())
        if best is None or gap < best[0]:
            best = (gap, each, top)
    if best is None:
        return {"structure": None, "text": "cannot tell: no bone is outlined; outline one to measure from"}
    _, each, top = best
    x, y, z = (float(v) for v in entry_mm - top)
    words = (
        f"{abs(z):.0f} mm {'above' if z > 0 else 'below'} the highest point of the {each.name}, "
        f"{abs(x):.0f} mm to its {'left' if x > 0 else 'right'}, {abs(y):.0f} mm {'behind' if y > 0 else 'in front of'} it"
    )
    return {"structure": each.id, "cranial_mm": round(z, 1), "left_mm": round(x, 1), "posterior_mm": round(y, 1), "text": words}
