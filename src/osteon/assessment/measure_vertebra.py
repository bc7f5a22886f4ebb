"""What the lesion has done to a vertebra: lost height, share of the body, posterior wall, pedicles and joints.

Each figure comes with one voxel either way. Fractures of pedicle or facet are not looked for; only their replacement is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from osteon.assessment.measure_base import Scene, family
from osteon.assessment.measure_vertebra_frame import RINGS, SPOKES, STEP_MM, Body, body_of_vertebra, neighbours, number
from osteon.facts import Fact, Interval, Known, NotApplicable, OneOf, Origin, State, Unknown
from osteon.space.anatomy import structure, structures
from osteon.space.volume import Array, box_of

OTHER = structure("other_lesion")
LAST_LUMBAR = "vertebra_L5"
"""Lower behind than in front by nature: no measure for its neighbours' height."""
OF_REFERENCE = 0.7
"""Places where the neighbours' own height is below this part of their median are rim, not body."""
OUTER = 3
"""Outer rings in which the height of the back is read."""
RING_FIT = 4
"""Outer rings through which a height is carried on to the edge of the body, which itself is too rounded to be read."""
BACK = slice(SPOKES // 4 - SPOKES // 12, SPOKES // 4 + SPOKES // 12 + 1)
"""Spokes that point to the back."""


@dataclass(frozen=True, eq=False)
class Spine:
    """The vertebra that holds the lesion, and its neighbours.

    Parameters
    ----------
    own : Body or str
        Or why it cannot be told.
    below, above : Body, str or None
        Neighbours; None where there is none whose body may be compared.
    """

    own: Body | str
    below: Body | str | None
    above: Body | str | None

    @property
    def beside(self) -> tuple[Body, ...]:
        """The neighbours that were found."""
        return tuple(each for each in (self.below, self.above) if isinstance(each, Body))


@dataclass(frozen=True)
class Collapse:
    """Lost height of a body, as a fraction.

    Parameters
    ----------
    best, low, high : float
        At the place where most is lost; with the height there one voxel greater, and smaller (at the edge, where it leads to).
    height_mm, reference_mm : float
        Height there, and what it was compared with.
    place_mm : ndarray (3,)
        LPS.
    against : str
        What it was compared with, in words.
    """

    best: float
    low: float
    high: float
    height_mm: float
    reference_mm: float
    place_mm: Array
    against: str


@dataclass(frozen=True, eq=False)
class Lesion:
    """What lesions hold, on the grid of their vertebra, and with the surface one voxel inwards and outwards."""

    mask: Array
    edge_mm: float

    @cached_property
    def smaller(self) -> Array:
        """One voxel less all round."""
        return shifted(self.mask, -self.edge_mm, (STEP_MM,) * 3)

    @cached_property
    def larger(self) -> Array:
        """One voxel more all round."""
        return shifted(self.mask, self.edge_mm, (STEP_MM,) * 3)


def shifted(mask: Array, by_mm: float, spacing_mm: tuple[float, float, float]) -> Array:
    """Return a mask with its surface moved outwards, or inwards where negative [mm]; only round its box is looked at."""
    box = box_of(mask)
    if box is None:
        return mask
    wide = [int(np.ceil(abs(by_mm) / step)) + 1 for step in spacing_mm]
    z, y, x = (slice(max(s.start - w, 0), s.stop + w) for s, w in zip(box, wide, strict=True))
    part, out = mask[z, y, x], np.zeros_like(mask)
    if by_mm < 0:
        out[z, y, x] = ndimage.distance_transform_edt(part, sampling=spacing_mm) > -by_mm
    else:
        out[z, y, x] = ndimage.distance_transform_edt(~part, sampling=spacing_mm) <= by_mm
    return out


def spine(scene: Scene) -> Spine:
    """Return the vertebra of a lesion and its neighbours, found once per scene."""
    known: Spine | None = scene.__dict__.get("_spine")
    if known is None:
        assert scene.bone is not None
        found = [None if key is None else body_of_vertebra(scene.anatomy, key) for key in neighbours(scene.bone)]
        known = scene.__dict__["_spine"] = Spine(body_of_vertebra(scene.anatomy, scene.bone), *found)
    return known


def lesion_on(scene: Scene, body: Body) -> Lesion:
    """Return all that lesions hold of a vertebra, on its grid, made once per scene: SINS judges a level, not a lesion."""
    known: Lesion | None = scene.__dict__.get("_lesion_on_body")
    if known is None:
        edge = float(scene.grid.voxel_mm3 ** (1 / 3))
        mask = body.part(scene.lesion)
        if scene.anatomy.has(OTHER):
            mask = mask | body.part(scene.anatomy.mask(OTHER))
        known = scene.__dict__["_lesion_on_body"] = Lesion(mask, edge)
    return known


def collapse(own: Body, beside: tuple[Body, ...]) -> Collapse:
    """Return the greatest share of height that a body has lost, place by place against its neighbours.

    Healthy end plates are hollow: the middle of a body is lower than its rim. So a height is compared with the mean of the
    neighbours' at the same place, not with their mean height. Without neighbours, the height of the body's own back is taken.

    Parameters
    ----------
    own : Body
        The body.
    beside : tuple of Body
        Neighbours that are in the image; those whose height misleads are left out here.
    """
    references = tuple(each for each in beside if each.bone.id != LAST_LUMBAR)
    blur = max([number("height_blur_mm"), *(0.5 * each.longest_mm for each in (own, *references))])
    mine = own.heights(blur)
    if references:
        others = [each.heights(blur) for each in references]
        mean = np.mean(others, axis=0)
        names = " and ".join(each.bone.name.removesuffix(" vertebra") for each in references)
        against = f"mean of {names} at the same place" if len(references) > 1 else f"{names} alone, at the same place"
        spans = [float(np.median(other / mean)) for other in others]
        if max(spans) - min(spans) > number("neighbours_apart"):
            against += f", whose heights differ by {100 * (max(spans) - min(spans)):.0f} %"
        else:
            spans = [1.0]
    else:
        mean = np.full(mine.shape, float(mine[-OUTER:, BACK].mean()))
        against, spans = "the height of its own back", [1.0]
    body = mean >= OF_REFERENCE * float(np.median(mean))
    if own.bone.id == LAST_LUMBAR:  # behind it is lower by nature
        body[:, 1 : SPOKES // 2] = False
        against += ", front half only"
    ratio = np.where(body, mine / mean, np.inf)
    ring, spoke = (int(v) for v in np.unravel_index(int(np.argmin(ratio)), ratio.shape))
    height, reference = float(mine[ring, spoke]), float(mean[ring, spoke])
    lost = [1.0 - (height + sign * own.voxel_mm) / (reference * span) for sign in (-1, 0, 1) for span in spans]
    middle = float(np.clip(1.0 - height / reference, 0.0, 1.0))
    edge = _at_rim(own, ratio[:, spoke]) if ring == RINGS - 1 else float(ratio[ring, spoke])
    most = max(lost) + max(float(ratio[ring, spoke]) - edge, 0.0)
    low, high = (float(np.clip(v, 0.0, 1.0)) for v in (min(lost), most))
    return Collapse(middle, low, high, height, reference, own.place_mm(ring, spoke), against)


def _at_rim(own: Body, spoke: Array) -> float:
    """Return the ratio of heights where a spoke meets the body's edge, along the straight line through its outer rings."""
    last = spoke[-RING_FIT:]
    if not np.isfinite(last).all():
        return float(spoke[-1])
    slope = float(np.polyfit(np.arange(RING_FIT), last, 1)[0])
    return float(spoke[-1]) + slope * (1.0 / own.within - 1.0) * (RINGS - 0.5)


def vertebral_collapse_fraction(scene: Scene) -> Fact:
    """Measure the fraction of its height that the vertebral body has lost where it has lost most.

    An interval of one voxel of height either way; it begins at 0 where the loss may be the natural shape. Without
    neighbours only a lower bound can be told: the back may be low too.
    """

    def read(own: Body) -> tuple[State, tuple[Origin, ...]]:
        found = collapse(own, spine(scene).beside)
        said = f"{found.height_mm:.1f} mm high where {found.reference_mm:.1f} mm are expected ({found.against})"
        told = found.low >= number("collapse_told_from")
        said += "" if told else f"; less than {100 * number('collapse_told_from'):.0f} % may be its natural shape"
        place = scene.at(found.place_mm, f"{said}; one voxel is {own.voxel_mm:.1f} mm")
        if found.against.startswith("the height of its own back"):
            todo = f"outline the vertebrae beside the {own.bone.name}"
            if not told:
                return Unknown(f"cannot tell: {todo}; against its own back {100 * found.best:.0f} % of the height is lost"), (
                    place,
                )
            return Interval(round(found.low, 3), 1.0), (
                scene.at(found.place_mm, f"at least: {said}; whether the back has lost height too cannot be told: {todo}"),
            )
        return _span(found.low if told else 0.0, found.high), (place,)

    return read_of_body(scene, "vertebral_collapse_fraction", read)


def vertebral_body_involved_fraction(scene: Scene) -> Fact:
    """Measure the share of the vertebral body's volume that lesions hold; their surface one voxel in and out."""

    def read(own: Body) -> tuple[State, tuple[Origin, ...]]:
        low, middle, high = body_share(own, lesion_on(scene, own))
        millilitres = float(own.body.sum()) * STEP_MM**3 / 1000
        said = f"{100 * middle:.0f} % of a body of {millilitres:.0f} ml; interval: the lesion's surface one voxel in and out"
        return _span(low, high), (scene.at(own.centre_mm, said),)

    return read_of_body(scene, "vertebral_body_involved_fraction", read)


def body_share(own: Body, lesion: Lesion) -> tuple[float, float, float]:
    """Return the share of the body in the lesion: with its surface one voxel inwards, as outlined, one voxel outwards."""
    whole = max(float(own.body.sum()), 1.0)
    low, middle, high = (float((own.body & part).sum()) / whole for part in (lesion.smaller, lesion.mask, lesion.larger))
    return low, middle, high


def posterior_wall_height_mm(scene: Scene) -> Fact:
    """Measure the height of the back of the vertebral body, one voxel either way [mm]."""

    def read(own: Body) -> tuple[State, tuple[Origin, ...]]:
        heights = own.heights(number("height_blur_mm"))[-OUTER:, BACK]
        height = float(heights.mean())
        low, high = round(max(height - own.voxel_mm, 0.0), 1), round(height + own.voxel_mm, 1)
        return Interval(low, high), (scene.at(own.place_mm(RINGS - 1, SPOKES // 4), f"{height:.1f} mm, mean over the back"),)

    return read_of_body(scene, "posterior_wall_height_mm", read)


def posterolateral_involvement(scene: Scene) -> Fact:
    """Say on how many sides pedicle, facet or costovertebral joint are replaced by the lesion.

    Regions are found by geometry round the canal. How much counts is osteon's own choice (``posterolateral_share``,
    ``posterolateral_least_ml``): SINS gives no figure. A side that one voxel decides is left open.
    """
    return _sides(scene, "posterolateral_involvement", ("pedicle", "facet", "costovertebral joint"))


def pedicle_involved(scene: Scene) -> Fact:
    """Say on how many sides the lesion holds the pedicle, by the same shares as ``posterolateral_involvement``."""
    return _sides(scene, "pedicle_involved", ("pedicle",))


def regions(scene: Scene, own: Body) -> tuple[dict[tuple[str, str], Array], tuple[str, ...]]:
    """Return the regions beside and behind the canal, by side and name, and what is missing to find all of them.

    Returns
    -------
    dict of (side, name) to ndarray of bool (z, y, x)
        On the grid of the vertebra.
    tuple of str
        Structures that would have to be outlined.
    """
    known: tuple[dict[tuple[str, str], Array], tuple[str, ...]] | None = scene.__dict__.get("_posterior")
    if known is not None:
        return known
    _, rows, columns = np.nonzero(own.canal)
    wider = 0.0 if own.ring else number("canal_content_margin_mm") / STEP_MM
    middle, half = float(columns.mean()), float(np.percentile(columns, 98) - np.percentile(columns, 2)) / 2 + wider
    centre, rear = float(rows.mean()), float(np.percentile(rows, 98)) + wider
    _, y, x = np.ogrid[tuple(slice(n) for n in own.whole.shape)]
    behind = own.whole & ~own.body
    beside = (np.abs(x - middle) >= number("beside_canal_part") * half) & (
        np.abs(x - middle) <= half + number("beside_canal_mm") / STEP_MM
    )
    parts = {"pedicle": y <= centre, "facet": (y > centre) & (y <= rear + number("facet_behind_mm") / STEP_MM)}
    found = {
        (side, name): behind & beside & band & (x > middle if side == "left" else x < middle)
        for side in ("right", "left")
        for name, band in parts.items()
    }
    missing = _rib_joints(scene, own, found, x > middle)
    scene.__dict__["_posterior"] = found, missing
    return found, missing


def _rib_joints(scene: Scene, own: Body, found: dict[tuple[str, str], Array], left: Array) -> tuple[str, ...]:
    """Add the places where ribs meet a thoracic vertebra; return the ribs that are not outlined."""
    if family(own.bone) != "vertebra_T":
        return ()
    level, ribs = int(own.bone.id.removeprefix("vertebra_T")), structures()
    missing = []
    for side in ("right", "left"):
        key = ribs[f"rib_{level}_{side}"]
        if not scene.anatomy.has(key):
            missing.append(key.name)
            continue
        near = ndimage.distance_transform_edt(~own.part(scene.anatomy.mask(key))) * STEP_MM <= number("costovertebral_mm")
        found[side, "costovertebral joint"] = own.whole & near & (left if side == "left" else ~left)
    return tuple(missing)


def _sides(scene: Scene, name: str, wanted: tuple[str, ...]) -> Fact:
    def read(own: Body) -> tuple[State, tuple[Origin, ...]]:
        found, missing = regions(scene, own)
        lesion = lesion_on(scene, own)
        sure, maybe, origins = set(), set(), []
        for (side, part), region in found.items():
            if part not in wanted or not region.any():
                continue
            least, middle, most = (held(region, mask) for mask in (lesion.smaller, lesion.mask, lesion.larger))
            if least[0]:
                sure.add(side)
            if most[0]:
                maybe.add(side)
                place = own.grid.to_mm(np.argwhere(region & lesion.larger).mean(axis=0))
                doubt = "" if least[0] else " (open: one voxel decides)"
                said = f"{side} {part}: {100 * middle[1]:.0f} %, {middle[2]:.2f} ml of it{doubt}; limits are osteon's own choice"
                origins.append(scene.at(place, said))
        if missing and "costovertebral joint" in wanted:
            maybe = {"right", "left"}
            origins.append(scene.at(own.centre_mm, f"not outlined, so its joint cannot be told: {' and '.join(missing)}"))
        words = ("none", "unilateral", "bilateral")[len(sure) : len(maybe) + 1]
        clear = "pedicles and joints hold none or little of it; fractures there are not looked for"
        return (Known(words[0]) if len(words) == 1 else OneOf(words)), tuple(origins) or (scene.at(own.centre_mm, clear),)

    return read_of_body(scene, name, read)


def held(region: Array, lesion: Array) -> tuple[bool, float, float]:
    """Tell whether a lesion holds enough of a region to involve it, which share of it, and how much [ml]."""
    inside = float((region & lesion).sum())
    share, millilitres = inside / max(float(region.sum()), 1.0), inside * STEP_MM**3 / 1000
    return share > number("posterolateral_share") or millilitres > number("posterolateral_least_ml"), share, millilitres


def read_of_body(scene: Scene, name: str, read: Callable[[Body], tuple[State, tuple[Origin, ...]]]) -> Fact:
    """Return a fact read from the body, or why there is none."""
    if scene.bone is None:
        return scene.fact(name, Unknown("cannot tell: name the bone"))
    if not scene.bone.id.startswith("vertebra"):
        return scene.fact(name, NotApplicable(f"the {scene.bone.name} has no vertebral body"))
    own = spine(scene).own
    if isinstance(own, str):
        return scene.fact(name, Unknown(own))
    state, origins = read(own)
    found = scene.fact(name, state, *origins)
    return found if found.origins else Fact(name, state, found.unit, origins)


def _span(low: float, high: float, digits: int = 3) -> State:
    a, b = round(low, digits), round(high, digits)
    return Known(a) if a == b else Interval(a, b)
