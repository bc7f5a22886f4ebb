"""What must be judged near a lesion, by bone and zone; and what of it is known in this patient."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from osteon.assessment.measure_base import Gap, family, threshold
from osteon.assessment.results import RequiredStructure
from osteon.data_files import read_data
from osteon.space.anatomy import Anatomy, Structure, structure, structures
from osteon.space.drawn import open_ends
from osteon.space.paths import edge_distance, gap_mm, unseen_edge
from osteon.space.volume import Volume

LESION = structure("lesion")
Gaps = MutableMapping[Structure, Gap | None]


@dataclass(frozen=True)
class Demand:
    """One thing to judge: any of these structures, under a condition of nearness or none."""

    any_of: tuple[str, ...]
    near: str = ""
    mm: float = 0.0


@cache
def rules() -> Mapping[str, Any]:
    """Return ``required.yaml``."""
    loaded: Mapping[str, Any] = read_data("osteon.assessment", "required.yaml")
    return loaded


def critical_kinds() -> tuple[str, ...]:
    """Return the kinds of structure that ``distance_critical_mm`` goes by."""
    return tuple(rules()["critical_kinds"]["kinds"])


def region_of(bone: Structure | None, text: str | None) -> str:
    """Return the zone ``bone.zone`` that a chart's words mean; ``bone.whole`` where they are none of ours, "" without a bone."""
    if bone is None or family(bone) not in rules()["bones"]:
        return ""
    zones = rules()["bones"][family(bone)]["zones"]
    said = (text or "").lower()
    for zone, entry in zones.items():
        if said and any(word in said for word in [*entry.get("words", ()), zone]):
            return f"{family(bone)}.{zone}"
    return f"{family(bone)}.whole"


def demands(bone: Structure | None, region: str, sides: Sequence[str]) -> tuple[Demand, ...]:
    """Return what must be judged in a zone, with the side of the lesion filled in.

    Parameters
    ----------
    bone : Structure or None
        The bone that holds the lesion.
    region : str
        From ``region_of``.
    sides : sequence of str
        "left", "right" or both.
    """
    if bone is None or not region:
        return ()
    name, _, zone = region.partition(".")
    listed: list[Demand] = []
    for entry in rules()["bones"][name]["zones"][zone]["judge"]:
        given = {"structure": entry} if isinstance(entry, str) else entry
        names = tuple(given.get("any_of", ())) or (given["structure"],)
        for side in sides if any(f"{n}_left" in structures() for n in names) else ("",):
            ids = tuple(n if n in structures() else f"{n}_{side}" for n in names)
            near = str(given.get("near", ""))
            listed.append(Demand(ids, near if near in structures() or not near else f"{near}_{side}", float(given.get("mm", 0))))
    return tuple(dict.fromkeys(listed))


def required(
    anatomy: Anatomy, bone: Structure | None, region: str, sides: Sequence[str] = ("left", "right"), gaps: Gaps | None = None
) -> tuple[RequiredStructure, ...]:
    """Say for everything that must be judged near the lesion whether it can be.

    Parameters
    ----------
    anatomy : Anatomy
        With the outline ``lesion``.
    bone : Structure or None
        The bone that holds it.
    region : str
        Zone, from ``region_of``; "" gives nothing to judge, and then no distance counts as known.
    sides : sequence of str
        On which side the lesion lies; both where that is open.
    gaps : mapping, optional
        Distances already computed; filled here.

    Returns
    -------
    tuple of RequiredStructure
        A structure that is not outlined, cut by the edge of the image where it could come nearer, or outside the field has a text
        that begins with "cannot tell:" and says what to do.

    Raises
    ------
    NotOutlinedError
        If the anatomy has no lesion.
    """
    known: Gaps = {} if gaps is None else gaps
    lesion = anatomy.mask("lesion")
    edge = edge_distance(lesion, anatomy.imaged)
    found = []
    for demand in demands(bone, region, sides):
        if demand.near and _is_far(anatomy, demand, known):
            continue
        found.append(_judge(anatomy, demand, edge, known))
    return tuple(found)


def gap_to(anatomy: Anatomy, key: Structure, gaps: Gaps) -> Gap | None:
    """Return the distance from the lesion to a structure, computed once; None where it is not outlined."""
    if key not in gaps:
        gaps[key] = gap_mm(anatomy.mask("lesion"), anatomy.mask(key)) if anatomy.has(key) else None
    return gaps[key]


def _is_far(anatomy: Anatomy, demand: Demand, gaps: Gaps) -> bool:
    gap = gap_to(anatomy, structure(demand.near), gaps)
    return gap is not None and gap[0] - anatomy.gap_error_mm(LESION, structure(demand.near)) > demand.mm


def _judge(anatomy: Anatomy, demand: Demand, edge: float, gaps: Gaps) -> RequiredStructure:
    keys = [structure(name) for name in demand.any_of]
    drawn = [key for key in keys if anatomy.has(key)]
    if not drawn:
        if all(key in anatomy.absent for key in keys):
            return _answer(keys[0], "absent", "declared absent")
        if keys[0].kind == "skin" and anatomy.has("body"):
            return _answer(keys[0], "outside_field", "cannot tell: the skin is outside the image; needs an image that shows it")
        names = " or the ".join(key.name for key in keys if key not in anatomy.absent)
        return _answer(keys[0], "not_outlined", f"cannot tell: outline the {names}")
    key = min(drawn, key=lambda k: ((gap_to(anatomy, k, gaps) or (np.inf,))[0], k.id))
    gap = gap_to(anatomy, key, gaps)
    assert gap is not None
    distance = round(gap[0], 1)
    unseen = unseen_from(anatomy, key, gap[0], edge)
    if unseen is not None and unseen[0] <= threshold("cut_reach_mm"):
        status = "outside_field" if key.kind == "skin" else "cut"
        return _answer(key, status, "cannot tell: " + _unseen_text(key, unseen, gap[0]), distance)
    undrawn = undrawn_text(anatomy, key, gap[0])
    if undrawn:
        return _answer(key, "cut", f"cannot tell: {undrawn}", distance)
    carried = anatomy.carried_in_words(key)
    about = f", {carried}" if carried else ", approximately" if key in anatomy.approximate else ""
    note = rules()["notes"].get(key.id)
    text = f"outlined{about}, {distance:.1f} mm from the lesion" + (f"; {note}" if note else "")
    return _answer(key, "outlined", text, distance)


def unseen_from(anatomy: Anatomy, key: Structure, gap_seen_mm: float, edge_mm: float) -> Gap | None:
    """Return from where a structure may go on unseen, nearer to the lesion than what is seen of it.

    Parameters
    ----------
    anatomy : Anatomy
        With the outline ``lesion``.
    key : Structure
        An outlined structure; of the skin, the edge of the body at the sides of the image counts (above and below the image the
        body goes on).
    gap_seen_mm, edge_mm : float
        Distance from the lesion to what is seen of it, and to the edge of the image.

    Returns
    -------
    tuple or None
        (millimetres, place in the lesion, place at the edge); None where it cannot come nearer.
    """
    lesion = anatomy.mask("lesion")
    if key.kind == "skin":
        if not anatomy.has("body"):
            return None
        ends = unseen_edge(anatomy.mask("body"), anatomy.imaged).array
        ends[[0, -1]] &= _rim(anatomy)
        found = gap_mm(lesion, lesion.with_array(ends))
        return None if found is None or found[0] >= gap_seen_mm else found
    if edge_mm >= gap_seen_mm:
        return None
    return gap_mm(lesion, unseen_edge(anatomy.mask(key), anatomy.imaged))


def undrawn_text(anatomy: Anatomy, key: Structure, gap_seen_mm: float) -> str:
    """Say how far a structure must be drawn on, where it may go on undrawn and come nearer to the lesion than what is drawn.

    Parameters
    ----------
    anatomy : Anatomy
        With the outline ``lesion``.
    key : Structure
        An outlined structure.
    gap_seen_mm : float
        Distance from the lesion to what is drawn of it.

    Returns
    -------
    str
        Empty where it was drawn as far as matters, or is closed by itself.
    """
    part = anatomy.drawn.get(key)
    if part is None or open_ends(key, anatomy.mask(key), part, anatomy.imaged).box() is None:
        return ""
    lesion = anatomy.mask("lesion")
    beyond = gap_mm(lesion, part.with_array(anatomy.imaged.array & ~part.array))
    if beyond is None or beyond[0] >= gap_seen_mm:
        return ""
    told = [text for axis in range(3) if (text := _draw_on(lesion, part, axis, gap_seen_mm))]
    return f"the {key.name} is drawn only {' and '.join(told)}; it may come nearer than the {gap_seen_mm:.0f} mm seen"


def _draw_on(lesion: Volume, part: Volume, axis: int, gap_seen_mm: float) -> str:
    """Say between which planes across an axis something was drawn, and to which it must be drawn on; "" where on all."""
    grid, box, around = lesion.grid, part.box(), lesion.box()
    if box is None or around is None or (box[axis].start == 0 and box[axis].stop == grid.shape[axis]):
        return ""
    reach = int(np.ceil(gap_seen_mm / grid.spacing_mm[axis]))
    low, high = box[axis].start, box[axis].stop - 1
    wanted = (max(0, around[axis].start - reach), min(grid.shape[axis], around[axis].stop + reach) - 1)
    ends = [
        f"{_plane_mm(lesion, axis, w):.0f}" for w, more in zip(wanted, (wanted[0] < low, wanted[1] > high), strict=True) if more
    ]
    letter = "zyx"[axis]
    on = f"; draw it on to {letter} = {' and '.join(ends)} mm" if ends else ""
    return f"from {letter} = {_plane_mm(lesion, axis, low):.0f} to {_plane_mm(lesion, axis, high):.0f} mm{on}"


def _plane_mm(lesion: Volume, axis: int, index: int) -> float:
    """Return where a plane of the grid lies along its patient axis, beside the lesion [mm]."""
    box = lesion.box()
    assert box is not None
    at = np.array([(s.start + s.stop - 1) / 2 for s in box])
    at[axis] = index
    return float(lesion.grid.to_mm(at)[2 - axis])


def _unseen_text(key: Structure, unseen: Gap, gap_mm_seen: float) -> str:
    if key.kind != "skin":
        return (
            f"the {key.name} is cut by the edge of the image {unseen[0]:.0f} mm from the lesion and may come nearer than "
            f"the {gap_mm_seen:.0f} mm seen; needs an image with a larger field"
        )
    x, y, _ = np.subtract(unseen[2], unseen[1])
    side = ("left" if x > 0 else "right") if abs(x) >= abs(y) else ("back" if y > 0 else "front")
    return (
        f"the skin on the {side} is outside the field: the image ends {unseen[0]:.0f} mm from the lesion, the nearest skin seen "
        f"is {gap_mm_seen:.0f} mm away; needs an image that shows it, or the distance"
    )


def _rim(anatomy: Anatomy) -> np.ndarray[Any, Any]:
    """Return the outermost voxels (y, x) of a slice: what lies on the lateral faces of the grid."""
    rim = np.zeros(anatomy.grid.shape[1:], bool)
    rim[[0, -1]] = rim[:, [0, -1]] = True
    return rim


def _answer(key: Structure, status: Any, text: str, distance: float | None = None) -> RequiredStructure:
    plain = key.id.removesuffix("_left").removesuffix("_right")
    quotes = rules()["quotes"]
    return RequiredStructure(key.id, status, text, distance, (*quotes.get(plain, quotes["default"]), rules()["source"]))
