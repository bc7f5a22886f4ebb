"""How far the lesion is from what must not be harmed, surface to surface. What is not outlined is unknown, not far away."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from osteon.assessment.measure_base import Scene, threshold
from osteon.assessment.required import critical_kinds, undrawn_text, unseen_from
from osteon.facts import Fact, Interval, Known, NotApplicable, Origin, State, Unknown, vocabulary
from osteon.space.anatomy import Structure, structure
from osteon.space.paths import edge_distance, gap_mm

LESION = structure("lesion")


def distance_nerve_mm(scene: Scene) -> Fact:
    """Measure the distance to the nearest nerve [mm]."""
    return _distance(scene, "distance_nerve_mm", ("nerve",))


def distance_cord_mm(scene: Scene) -> Fact:
    """Measure the distance to the spinal cord or cauda [mm]."""
    return _distance(scene, "distance_cord_mm", ("cord",))


def distance_vessel_mm(scene: Scene) -> Fact:
    """Measure the distance to the nearest large vessel [mm]."""
    return _distance(scene, "distance_vessel_mm", ("vessel",))


def distance_bowel_mm(scene: Scene) -> Fact:
    """Measure the distance to the nearest bowel [mm]."""
    return _distance(scene, "distance_bowel_mm", ("bowel",))


def distance_joint_mm(scene: Scene) -> Fact:
    """Measure the distance to the nearest joint [mm]."""
    return _distance(scene, "distance_joint_mm", ("joint",))


def distance_skin_mm(scene: Scene) -> Fact:
    """Measure the distance to the skin [mm]."""
    return _distance(scene, "distance_skin_mm", ("skin",))


def distance_critical_mm(scene: Scene) -> Fact:
    """Measure the distance to the nearest structure that must be judged, the skin apart [mm]."""
    return _distance(scene, "distance_critical_mm", critical_kinds())


def depth_from_skin_mm(scene: Scene) -> Fact:
    """Measure the shortest way from the air outside the body to the lesion [mm]: ``distance_skin_mm`` and the skin itself."""
    name = "depth_from_skin_mm"
    inner = _distance(scene, name, ("skin",))
    if isinstance(inner.state, (Unknown, NotApplicable)) or not scene.anatomy.has("body"):
        return inner
    air = scene.anatomy.imaged.array & ~scene.anatomy.mask("body").array
    if structure("body") in scene.anatomy.drawn:
        air &= scene.anatomy.drawn[structure("body")].array
    found = gap_mm(scene.lesion, scene.lesion.with_array(air))
    if found is None:
        return inner
    error = scene.anatomy.gap_error_mm(LESION, structure("body"))
    low = inner.state.low if isinstance(inner.state, Interval) else found[0] - error
    depth = _within(name, found[0] + error)
    state: State = Known(depth) if low >= found[0] and error == 0 else Interval(_within(name, max(low, 0.0)), depth)
    return scene.fact(name, state, scene.at(np.array(found[2]), "air outside the body"))


def edge_distance_mm(scene: Scene) -> float:
    """Return how far the lesion is from the nearest place that was not imaged: a face of the image, or padding [mm]."""
    return edge_distance(scene.lesion, scene.anatomy.imaged)


def _distance(scene: Scene, name: str, kinds: Sequence[str]) -> Fact:
    """Join what is known of all structures of some kinds; unknown ones keep the answer open."""
    asked = [r for r in scene.required if structure(r.structure).kind in kinds]
    others = [s for s in scene.anatomy.of_kind(*kinds) if s.id not in {r.structure for r in asked}]  # type: ignore[arg-type]
    found = [(r.distance_mm, structure(r.structure)) for r in asked if r.distance_mm is not None]
    if others:
        found += [(d, s) for s in others if (d := _gap(scene, s)) is not None]
    found.sort(key=lambda pair: (pair[0], pair[1].id))
    blind = [r.text for r in asked if not r.known]
    blind += [f"cannot tell: {text}" for s in others if (text := undrawn_text(scene.anatomy, s, _gap(scene, s) or 0.0))]
    nearest = found[0] if found else None
    origins = _origins(scene, nearest)
    if not asked and nearest is None:
        return scene.fact(name, _nothing_asked(scene, kinds))
    low, high = _reach(scene, found)
    if blind:
        return scene.fact(name, _open(blind, None if nearest is None else high), *origins)
    if nearest is None:
        absent = ", ".join(structure(r.structure).name for r in asked)
        return scene.fact(name, NotApplicable(f"declared absent: {absent}"))
    low = min(low, _unseen_mm(scene, nearest))
    if low < high:
        return scene.fact(name, Interval(_within(name, low), _within(name, high)), *origins)
    return scene.fact(name, Known(_within(name, nearest[0])), *origins)


def _reach(scene: Scene, found: Sequence[tuple[float, Structure]]) -> tuple[float, float]:
    """Return how near and how far the nearest of some structures may be, for the errors of outlines that were carried over."""
    wrong = [(gap, scene.anatomy.gap_error_mm(LESION, key)) for gap, key in found]
    return min((max(g - e, 0.0) for g, e in wrong), default=math.inf), min((g + e for g, e in wrong), default=math.inf)


def _unseen_mm(scene: Scene, nearest: tuple[float, Structure]) -> float:
    """Return how near the skin may come where it was not imaged [mm]; infinite where it is seen all round, and for all else."""
    if nearest[1].kind != "skin":
        return math.inf
    unseen = unseen_from(scene.anatomy, nearest[1], nearest[0], edge_distance_mm(scene))
    return math.inf if unseen is None else unseen[0]


def _open(blind: Sequence[str], known_mm: float | None) -> State:
    """Return the state while some structures cannot be judged: an interval where a known one is near, else unknown."""
    if known_mm is not None and known_mm <= threshold("stand_off_mm"):
        return Interval(0.0, round(known_mm, 1))
    return Unknown("; ".join(dict.fromkeys(blind)))


def _nothing_asked(scene: Scene, kinds: Sequence[str]) -> State:
    if not scene.region:
        return Unknown("cannot tell: name the bone, so that what must be judged there is known")
    return NotApplicable(f"no {' or '.join(kinds)} belongs to what must be judged at {scene.region}")


def _within(name: str, value: float) -> float:
    return round(min(value, float(vocabulary()[name].domain[1])), 1)


def _gap(scene: Scene, key: Structure) -> float | None:
    found = scene.gap(key)
    return None if found is None else round(found[0], 1)


def _origins(scene: Scene, nearest: tuple[float, Structure] | None) -> tuple[Origin, ...]:
    found = None if nearest is None else scene.gap(nearest[1])
    if nearest is None or found is None:
        return ()
    half = max(scene.grid.spacing_mm) / 2
    carried = scene.anatomy.carried_in_words(nearest[1])
    about = f", {carried}" if carried else ", outlined approximately" if nearest[1] in scene.anatomy.approximate else ""
    said = f"{nearest[1].name}{about}, {found[0]:.1f} mm away (about {half:.1f} mm either way)"
    lesion = scene.anatomy.carried_in_words(LESION)
    own = f"nearest point of the lesion, {lesion}" if lesion else "nearest point of the lesion"
    return (scene.at(np.array(found[2]), said), scene.at(np.array(found[1]), own))
