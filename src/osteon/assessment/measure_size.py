"""Where the lesion lies and how large it is."""

from __future__ import annotations

import numpy as np

from osteon.assessment.measure_base import Scene, threshold
from osteon.facts import Fact, Interval, Known, OneOf, Origin, State, Unknown, vocabulary
from osteon.space.mesh import isosurface
from osteon.space.paths import unseen_edge
from osteon.space.volume import Array


def side(scene: Scene) -> Fact:
    """Say on which side the lesion lies: the bone's side, or in a midline bone where its volume lies."""
    bone = scene.bone
    if bone is None:
        return scene.fact("side", Unknown("cannot tell: name the bone, or outline it"))
    if bone.side is not None:
        return Fact("side", Known(bone.side), None, (Origin("inferred", f"the lesion lies in the {bone.name}"),))
    if not scene.anatomy.has(bone):
        return scene.fact("side", Unknown(f"cannot tell: outline the {bone.name}"))
    mask = scene.anatomy.mask(bone)
    middle = mask.centre_mm()
    x = scene.near_lesion.grid.to_mm(np.argwhere(scene.near_lesion.array))[:, 0] - middle[0]
    left = float((x > 0).mean())
    enough = threshold("midline_fraction")
    larger = "left" if left >= 0.5 else "right"
    state: State = Known(larger) if max(left, 1 - left) >= enough else OneOf(("midline", larger))
    if abs(left - 0.5) < 0.1:
        state = Known("midline")
    return scene.fact(
        "side", state, scene.at(scene.centre_mm, f"{100 * max(left, 1 - left):.0f} % of the lesion on the {larger}")
    )


def long_bone(scene: Scene) -> Fact:
    """Say whether the bone is a long bone."""
    if scene.bone is None:
        return scene.fact("long_bone", Unknown("cannot tell: name the bone"))
    return Fact("long_bone", Known(bool(scene.is_long_bone)), None, (Origin("inferred", f"the bone is the {scene.bone.name}"),))


def size_lr_mm(scene: Scene) -> Fact:
    """Measure the extent left to right [mm]."""
    return _extent(scene, "size_lr_mm", 0)


def size_ap_mm(scene: Scene) -> Fact:
    """Measure the extent front to back [mm]."""
    return _extent(scene, "size_ap_mm", 1)


def size_si_mm(scene: Scene) -> Fact:
    """Measure the extent head to foot [mm]."""
    return _extent(scene, "size_si_mm", 2)


def size_max_mm(scene: Scene) -> Fact:
    """Measure the largest distance between two points of the lesion's surface, in any direction [mm]."""
    from scipy.spatial import ConvexHull, QhullError
    from scipy.spatial.distance import pdist, squareform

    points = _surface(scene)
    try:
        points = points[ConvexHull(points).vertices]
    except QhullError:  # flat
        points = points[:: max(len(points) // 500, 1)]
    between = squareform(pdist(points))
    a, b = np.unravel_index(int(np.argmax(between)), between.shape)
    return scene.fact(
        "size_max_mm",
        _at_least(scene, "size_max_mm", round(float(between[a, b]), 1)),
        scene.at(points[a], "one end"),
        scene.at(points[b], "other end"),
    )


def volume_ml(scene: Scene) -> Fact:
    """Measure the volume: number of voxels times the volume of one [ml]."""
    millilitres = float(scene.near_lesion.array.sum()) * scene.grid.voxel_mm3 / 1000.0
    return scene.fact("volume_ml", _at_least(scene, "volume_ml", float(f"{millilitres:.4g}")))


def _surface(scene: Scene) -> Array:
    return isosurface(scene.near_lesion, close=True)[0]


def _extent(scene: Scene, name: str, axis: int) -> Fact:
    points = _surface(scene)
    low, high = points[np.argmin(points[:, axis])], points[np.argmax(points[:, axis])]
    extent = round(float(high[axis] - low[axis]), 1)
    return scene.fact(name, _at_least(scene, name, extent), scene.at(low, "one end"), scene.at(high, "other end"))


def touches_edge(scene: Scene) -> bool:
    """Tell whether the lesion may go on where nothing was imaged."""
    return unseen_edge(scene.lesion, scene.anatomy.imaged).box() is not None


def _at_least(scene: Scene, name: str, value: float) -> State:
    if not touches_edge(scene):
        return Known(value)
    return Interval(value, float(vocabulary()[name].domain[1]))
