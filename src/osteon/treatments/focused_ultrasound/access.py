"""The acoustic window: where an array can stand on the skin, and how much of it sees the target past gas, bone and metal.

Rays run from the focus outward to parts of the array of equal area, so that the share of free rays is the share of the array that
helps: blocked elements are switched off (ray shadow). What is not imaged is unknown, never free. A search over thousands of poses
costs a second; the sound itself is computed elsewhere.

Bowel, nerve and lung: outlined bowel and lung in front of the focus stop a ray, whether the image shows gas in the bowel or not,
for what it holds changes from day to day; behind the focus they are told with their distance. Nerves stop nothing and are told on
both sides. Of what nobody outlined only its gas is seen, and stops rays; ``Window.notes`` says what is missing. ``visibility``
answers alike, element by element. A scar stops rays where it is outlined; CT does not show it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.spatial import cKDTree

from osteon.errors import SettingError
from osteon.facts import Fact, Known, Origin, State, Unknown
from osteon.space.anatomy import Anatomy, Structure
from osteon.space.volume import Array
from osteon.treatments.focused_ultrasound import access_kernels as kernels
from osteon.treatments.focused_ultrasound.access_looks import (
    ENDS,
    PARTS,
    Crossed,
    Look,
    Looks,
    critical_angle_deg,
    look,
    one_look,
    scene_of,
)
from osteon.treatments.focused_ultrasound.access_scene import CRITICAL, NAMES, SCAR_ID, Scene, cortex_points, number, tables
from osteon.treatments.focused_ultrasound.target_site import not_outlined
from osteon.treatments.focused_ultrasound.transducer import clinical_devices, devices

Verdict = Literal["window", "no window", "cannot tell"]
FACT = "acoustic_window"
POSES = (2000, 300, 12)  # directions to the middle, directions to each point of the cortex, points of the cortex
SELECT_POSES = (800, 200, 8)  # for `select`, which asks all arrays
CENTRE, CORTEX = "middle of the lesion", "cortex"
NEIGHBOUR_MM = 10.0  # entries so near to each other stand for one place of the skin
VISIBLE_STEP, OWN_STEP_MM, CRITICAL_STEP = 0.05, 2.0, 0.2  # smaller differences between poses are not told apart
LETTERS = (("left", "right"), ("back", "front"), ("head", "feet"))


@dataclass(frozen=True, eq=False)
class SkinMap:
    """How much of the array sees the target from where on the skin.

    Parameters
    ----------
    points_mm, normals : ndarray (n, 3)
        Where axes to the middle of the lesion leave the skin, LPS, and the skin's outward direction.
    visible : ndarray (n,)
        Largest share of the array that sees a focus from there; 0 where it cannot stand there.
    unknown : ndarray of bool (n,)
        Where it cannot be told, because part of the array would look through what is not imaged.
    """

    points_mm: Array
    normals: Array
    visible: Array
    unknown: Array


@dataclass(frozen=True, eq=False)
class Window:
    """Whether focused ultrasound can reach a target, and from where best.

    Parameters
    ----------
    verdict : {"window", "no window", "cannot tell"}
        A named answer; "cannot tell" comes with the next thing to do as its first reason.
    device : str
        Of ``devices.yaml``.
    best : Look or None
        The best pose; without a window the one that sees most, None where the array can stand nowhere.
    by_focus : mapping of str to Look
        The best pose for the middle of the lesion and for its cortex, where there is one.
    reasons : tuple of str
        In words, what decides first.
    skin : SkinMap
        Share of the array by place on the skin.
    tried : int
        Poses.
    ends : mapping of str to int
        Poses in which the array cannot stand, by why.
    notes : tuple of str
        What the reader must know: what is not outlined and so not avoided, a target that moves with breathing.
    not_offered : tuple of str
        What rules of the label exclude this site; where there are any, the window is shown as a study and not offered.
    """

    verdict: Verdict
    device: str
    best: Look | None
    by_focus: Mapping[str, Look]
    reasons: tuple[str, ...]
    skin: SkinMap
    tried: int
    ends: Mapping[str, int]
    notes: tuple[str, ...]
    not_offered: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The verdict, marked as a study where the label leaves the site out."""
        return f"{self.verdict} (study, not offered)" if self.not_offered else self.verdict

    @property
    def missed(self) -> tuple[bool, float]:
        """Order of windows that no array finds: what cannot be told before what is not there, then the one that sees most."""
        return self.verdict == "no window", -(self.best.visible if self.best else 0.0)

    def as_study(self, excluded: Sequence[str]) -> Window:
        """Return the window with what rules exclude the site, as ``select`` gave it; none leaves it as it is."""
        return replace(self, not_offered=tuple(excluded))


def search_window(
    anatomy: Anatomy,
    target: Structure,
    device: str,
    bone: Structure | None = None,
    *,
    scene: Scene | None = None,
    parts: int = PARTS,
    poses: tuple[int, int, int] = POSES,
) -> Window:
    """Try an array all round a target, aimed at the middle of the lesion and at its cortex, and say whether there is a window.

    There is one where the array can stand outside the skin with its coupling layer and the target within its focal depth, its
    axis meets the skin no more slanting than ``skin_incidence_deg``, and ``least_visible_share`` of its area sees the focus.
    Among those the fewest critical structures in the beam win, then the largest share (in steps of 5 %), the least share
    beyond the critical angle of the bone (of 20 %), the least own bone on the way (of 2 mm), and the shortest way.

    Parameters
    ----------
    anatomy : Anatomy
        On the full grid of the image, with CT; the skin must be there, not only the surroundings of the target.
    target : Structure
        Outlined.
    device : str
        Of ``devices.yaml``.
    bone : Structure, optional
        That holds the target; else ``target_site.touching_most``.
    scene : Scene, optional
        From ``scene_of``, where it was built before.
    parts : int
        Rays of each pose.
    poses : tuple of int
        Directions to the middle of the lesion, directions to each point of the cortex, points of the cortex.

    Returns
    -------
    Window
        "no window" and "cannot tell" are answers, not errors.

    Raises
    ------
    NotOutlinedError, MissingError
        As ``target_site.ct_of``.
    InputError
        If there is no such array.
    """
    around = scene or scene_of(anatomy, target, [device], bone)
    places = around.grid.to_mm(np.argwhere(around.lesion))
    middle = places[np.argmin(((places - places.mean(0)) ** 2).sum(1))]
    cortex = cortex_points(around, poses[2])
    foci = np.concatenate([middle[None], cortex])
    outward = [sphere(poses[0]), *([sphere(poses[1])] * len(cortex))]
    of_focus = np.repeat(np.arange(len(foci)), [len(o) for o in outward])
    names = (CENTRE, *([CORTEX] * len(cortex)))
    looks = look(around, device, foci, names, of_focus, np.concatenate(outward), parts)
    return _judge(anatomy, around, device, looks, poses[0])


def look_along(
    scene: Scene, device: str, focus_mm: Sequence[float], axis: Sequence[float], focus: str = "a point", parts: int = PARTS
) -> Look:
    """Return what an array sees that is aimed at a point, at its preferred distance where it fits.

    Parameters
    ----------
    scene : Scene
        From ``scene_of``.
    device : str
        Of ``devices.yaml``.
    focus_mm, axis : sequence of float
        LPS; the axis points the way sound goes.
    focus : str
        What the point is called.
    parts : int
        Rays.

    Raises
    ------
    SettingError
        If a number is not finite or the axis has no length.
    """
    point, way = np.asarray(focus_mm, float), np.asarray(axis, float)
    length = float(np.linalg.norm(way))
    if not (np.isfinite(point).all() and math.isfinite(length) and length > 0):
        raise SettingError(
            f"An array was to be aimed at {tuple(focus_mm)} along {tuple(axis)}.",
            "A beam needs a point and a direction.",
            "Give finite numbers in LPS, and an axis that is not zero.",
        )
    return one_look(scene, look(scene, device, point[None], (focus,), np.zeros(1, int), -way[None] / length, parts), 0)


def elements_on(scene: Scene, device: str, focus_mm: Sequence[float], axis: Sequence[float]) -> Array:
    """Return which elements of an array may radiate towards a point, bool: those whose way is not blocked.

    Blocked by gas, bowel, lung, other bone, metal, cement, scar, or too slanting a skin; what is not imaged blocks none.
    Arguments and errors as ``look_along``, whose pose is meant.
    """
    count = int(devices()[device]["elements"]["value"])  # on the same spiral as the parts
    way = np.asarray(axis, float) / np.linalg.norm(axis)
    looks = look(scene, device, np.asarray(focus_mm, float)[None], ("a point",), np.zeros(1, int), -way[None], count)
    return np.asarray(np.isin(looks.status[0], (kernels.FREE, kernels.UNKNOWN)))


def site_facts(anatomy: Anatomy, target: Structure) -> list[Fact]:
    """Return whether some clinical array finds a window: the fact ``acoustic_window``.

    Parameters
    ----------
    anatomy : Anatomy
        With a CT.
    target : Structure
        Outlined in ``anatomy``.

    Returns
    -------
    list of Fact
        Known true, known false, or unknown with the next thing to do.
    """
    if not anatomy.has(target):
        return [Fact(FACT, Unknown(f"cannot tell: outline the {target.name}"), origins=(Origin("image", "no outline"),))]
    if anatomy.image is None:
        return [Fact(FACT, Unknown("cannot tell: give a CT of the region"), origins=(Origin("image", "no CT"),))]
    found = _any_device(anatomy, target)
    where = "; ".join((f"{found.device}: {found.reasons[0]}", *found.notes))
    entry = found.best.entry_mm if found.best and found.verdict == "window" else None
    state: State = Known(found.verdict == "window") if found.verdict != "cannot tell" else Unknown(found.reasons[0])
    return [Fact(FACT, state, origins=(Origin("image", where, place_mm=entry),))]


@lru_cache(maxsize=4)
def _any_device(anatomy: Anatomy, target: Structure) -> Window:
    """Return the first window that a clinical array finds; without one, what cannot be told counts before what is not there."""
    names = list(clinical_devices())
    scene = scene_of(anatomy, target, names)
    found: list[Window] = []
    for name in names:
        found.append(search_window(anatomy, target, name, scene=scene, poses=SELECT_POSES))
        if found[-1].verdict == "window":
            return found[-1]
    return min(found, key=lambda w: w.missed)


def sphere(count: int) -> Array:
    """Return unit vectors (count, 3) spread evenly over the sphere (Fibonacci lattice)."""
    k = np.arange(count) + 0.5
    height, turn = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)


def _judge(anatomy: Anatomy, scene: Scene, device: str, looks: Looks, centre_poses: int) -> Window:
    """Return the verdict over many poses, the best of them, and why."""
    visible, unknown = looks.visible, looks.unknown
    least = number("least_visible_share") - 1e-9
    straight = looks.skin_deg <= number("skin_incidence_deg")  # false where there is no skin
    stands = looks.ends == kernels.STANDS
    opens = stands & straight & (visible >= least)
    may = ((stands & straight) | (looks.ends == kernels.AXIS_UNKNOWN)) & (visible + unknown >= least) & (unknown > 0)
    order = _ranked(scene, looks)
    if opens.any():
        verdict: Verdict = "window"
        kept = order[opens[order]]
    else:
        verdict = "cannot tell" if may.any() or scene.undrawn_bone else "no window"
        kept = np.flatnonzero(stands)[np.argsort(-visible[stands], kind="stable")]
    best = one_look(scene, looks, int(kept[0])) if len(kept) else None
    kinds = np.array([name == CENTRE for name in looks.names])[looks.of_focus]
    by_focus = {}
    if verdict == "window":
        for name, which in ((CENTRE, kinds), (CORTEX, ~kinds)):
            if which[kept].any():
                by_focus[name] = one_look(scene, looks, int(kept[which[kept]][0]))
    if verdict == "window" and best is not None:
        reasons = _praise(best)
    elif may.any():
        towards = looks.outward[may][np.argmax((visible + unknown)[may])]
        reasons = (f"cannot tell: image the skin towards the {in_words(towards)}", *_blame(looks, best))
    elif verdict == "cannot tell":
        reasons = ("cannot tell: outline the bone that holds the lesion", *_blame(looks, best))
    else:
        reasons = _blame(looks, best)
    ends = {ENDS[k]: int((looks.ends == k).sum()) for k in ENDS if k != kernels.STANDS and (looks.ends == k).any()}
    skin = _skin(looks, centre_poses, np.where(stands, visible, 0.0), may)
    return Window(verdict, device, best, by_focus, reasons, skin, len(visible), ends, _notes(anatomy, scene))


def _ranked(scene: Scene, looks: Looks) -> Array:
    """Return poses in order of preference."""
    critical = np.isin(scene.kinds, CRITICAL)
    risk = (looks.hits[0] > 0)[:, critical].sum(1)
    risk += ((looks.hits[1] > 0) & (looks.far <= number("stand_off_mm")))[:, critical].sum(1)
    met = np.isfinite(looks.bone_deg) & (looks.status == kernels.FREE)
    beyond = (met & (np.nan_to_num(looks.bone_deg) > critical_angle_deg())).sum(1) / np.maximum(met.sum(1), 1)
    depth = np.nan_to_num(looks.figures[:, 1], nan=np.inf)
    own = np.round(looks.own_mm / OWN_STEP_MM)
    return np.lexsort((depth, own, np.round(beyond / CRITICAL_STEP), -np.round(looks.visible / VISIBLE_STEP), risk))


def _praise(best: Look) -> tuple[str, ...]:
    said = [
        f"{100 * best.visible:.0f} % of the array sees the {best.focus}, {best.depth_mm:.0f} mm deep, from the "
        f"{in_words(-np.asarray(best.pose.axis))}"
    ]
    if best.own_bone_mm >= 1:
        said.append(f"{best.own_bone_mm:.0f} mm of solid bone of its own on the way")
    if best.bone_share > 0:
        said.append(
            f"bone is met at {best.bone_incidence_deg:.0f} degrees on average, {100 * best.beyond_critical:.0f} % of it beyond "
            "the critical angle, where only shear enters"
        )
    said += [_beam(c, "in front of") for c in best.near] + [_beam(c, "behind") for c in best.far]
    return tuple(said)


def _beam(one: Crossed, where: str) -> str:
    return f"{one.name} in the beam, {one.nearest_mm:.0f} mm {where} the focus ({100 * one.share:.0f} % of the array)"


def _blame(looks: Looks, best: Look | None) -> tuple[str, ...]:
    """Say why there is no window: where the array cannot stand, what stops the rays."""
    said = []
    needed = number("least_visible_share")
    if best is None:
        codes, counts = np.unique(looks.ends, return_counts=True)
        said.append(f"the array can stand nowhere: {ENDS[int(codes[np.argmax(counts)])]}")
    elif best.visible < needed:
        said.append(f"at most {100 * best.visible:.0f} % of the array sees the target, {100 * needed:.0f} % are needed")
    else:
        said.append(
            "where the array sees the target, its axis is more slanting to the skin than "
            f"{number('skin_incidence_deg'):.0f} degrees"
        )
    status = looks.status[looks.status != kernels.FREE]
    codes, counts = np.unique(status, return_counts=True)
    most = sorted(zip(counts, codes, strict=True), reverse=True)[:3]
    if most:
        said.append(
            "stopped by " + ", ".join(f"{NAMES[int(c)]} ({100 * n / looks.status.size:.0f} % of all rays)" for n, c in most)
        )
    return tuple(said)


def _notes(anatomy: Anatomy, scene: Scene) -> tuple[str, ...]:
    said = []
    if missing := not_outlined(anatomy):
        said.append(f"not outlined and so not avoided: {missing}")
    if not any(s.id == SCAR_ID for s in (*anatomy.masks, *anatomy.absent)):
        said.append("scars are not seen on CT: look at the skin")
    if scene.bone is not None and scene.bone.id.startswith(tuple(tables()["moving"]["bones"])):
        said.append(f"moving target: the {scene.bone.name} moves with breathing, so hold the breath or gate the sonication")
    return tuple(said)


def _skin(looks: Looks, centre_poses: int, share: Array, may: Array) -> SkinMap:
    """Return the best share by place on the skin: at the entries of axes to the middle, over all poses that enter beside them."""
    known = np.isfinite(looks.entry_mm).all(axis=1)
    if not known.any():
        return SkinMap(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), np.zeros(0, bool))
    rows = np.flatnonzero(known)
    shown = rows[rows < centre_poses]
    beside = cKDTree(looks.entry_mm[rows]).query_ball_point(looks.entry_mm[shown], NEIGHBOUR_MM)
    best = np.array([share[rows[each]].max() for each in beside])
    least = number("least_visible_share")
    unknown = (best < least) & np.array([bool(may[rows[each]].any()) for each in beside], bool)
    return SkinMap(looks.entry_mm[shown], looks.entry_normals[shown], best, unknown)


def in_words(direction: Array) -> str:
    """Return a direction of the body in words, its largest parts: "left and back"."""
    parts = np.asarray(direction, float)
    order = [int(i) for i in np.argsort(-np.abs(parts)) if abs(parts[i]) > 0.38]
    return " and ".join(LETTERS[i][0 if parts[i] > 0 else 1] for i in order)
