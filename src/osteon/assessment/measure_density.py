"""What the lesion is made of, as far as HU tell; and metal near it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from osteon.assessment.measure_base import NO_CT, Scene, cut, threshold, thresholds, window_of
from osteon.assessment.measure_distance import edge_distance_mm
from osteon.facts import Fact, Interval, Known, OneOf, State, Unknown
from osteon.space.paths import distance_to
from osteon.space.volume import Array

CONTRAST = (
    "cannot tell: the CT has contrast agent, which adds HU that are no bone; needs a CT without, or the radiologist's reading"
)


def mean_hu(scene: Scene) -> Fact:
    """Measure the mean HU as an interval: from the whole outline to its core (one voxel eroded), widened by noise."""
    if scene.contrast:
        return scene.fact("mean_hu", Unknown(CONTRAST))
    whole, core = scene.hu, _core(scene)
    if whole is None or core is None:
        return scene.fact("mean_hu", Unknown(NO_CT))
    means = [float(values.mean()) for values in (whole, core)]
    noise = 1.96 * float(core.std()) / float(np.sqrt(max(len(core) / 8.0, 1.0)))  # neighbours of one kernel are not independent
    low, high = (float(np.clip(v, -1024, 3071)) for v in (min(means) - noise, max(means) + noise))
    return scene.fact("mean_hu", Interval(round(low, 1), round(high, 1)))


def lytic_fraction(scene: Scene) -> Fact:
    """Measure which part of the core is darker than ``lytic_below_hu``, as an interval over the spread of that threshold."""
    return _fraction(scene, "lytic_fraction", "lytic_below_hu", below=True)


def blastic_fraction(scene: Scene) -> Fact:
    """Measure which part of the core is denser than ``blastic_above_hu``, as an interval over the spread of that threshold."""
    return _fraction(scene, "blastic_fraction", "blastic_above_hu", below=False)


def lesion_type(scene: Scene) -> Fact:
    """Say whether the lesion is lytic, mixed or blastic; a set of types where the parts are not clear."""
    core = _core(scene)
    if core is None:
        return scene.fact("lesion_type", Unknown(NO_CT))
    if scene.contrast:
        return scene.fact("lesion_type", Unknown(CONTRAST))
    lytic = float((core < threshold("lytic_below_hu")).mean())
    blastic = float((core > threshold("blastic_above_hu")).mean())
    clear, trace = threshold("clear_fraction"), threshold("trace_fraction")
    state: State
    if blastic <= trace:
        state = Known("lytic") if lytic >= clear else OneOf(("lytic", "mixed"))
    elif lytic <= trace:
        state = Known("blastic") if blastic >= clear else OneOf(("mixed", "blastic"))
    else:
        state = Known("mixed")
    said = f"{100 * lytic:.0f} % lytic, {100 * blastic:.0f} % blastic"
    return scene.fact("lesion_type", state, scene.at(scene.centre_mm, said))


def implant_near(scene: Scene) -> Fact:
    """Say whether metal lies within ``metal_near_mm``: an outlined implant, or a cluster of voxels denser than bone can be."""
    near = threshold("metal_near_mm")
    for key in scene.anatomy.of_kind("implant"):
        found = scene.gap(key)
        if found is not None and found[0] <= near:
            return scene.fact("implant_near", Known(True), scene.at(np.array(found[2]), f"{key.name}, {found[0]:.0f} mm away"))
    if scene.near_image is None:
        return scene.fact("implant_near", Unknown("cannot tell: needs a CT, or say whether there is an implant"))
    places = metal(scene)
    if len(places):
        apart = np.linalg.norm(places - scene.centre_mm, axis=1)
        return scene.fact("implant_near", Known(True), scene.at(places[int(np.argmin(apart))], "voxels denser than bone"))
    if edge_distance_mm(scene) < near:
        why = f"cannot tell: the image ends less than {near:.0f} mm from the lesion; say whether there is an implant"
        return scene.fact("implant_near", Unknown(why))
    return scene.fact("implant_near", Known(False))


def metal(scene: Scene) -> Array:
    """Return the places (n, 3) in LPS mm of metal-dense clusters within ``metal_near_mm`` of the lesion."""
    image = scene.anatomy.image
    if image is None:
        return np.zeros((0, 3))
    window = window_of(scene.lesion.array, scene.grid.spacing_mm, threshold("metal_near_mm"))
    part = cut(image, window)
    pieces, count = ndimage.label(part.array > threshold("metal_above_hu"), np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1) * part.grid.voxel_mm3
    sizes[0] = 0.0
    large = np.isin(pieces, np.flatnonzero(sizes >= threshold("metal_least_mm3")))
    close = distance_to(cut(scene.lesion, window)).array <= threshold("metal_near_mm")
    return np.asarray(part.grid.to_mm(np.argwhere(large & close)))


def _core(scene: Scene) -> Array | None:
    """Return the HU of the lesion without its outermost voxels; of all where too little would be left."""
    if scene.near_image is None or scene.hu is None:
        return None
    inner = ndimage.binary_erosion(scene.near_lesion.array, ndimage.generate_binary_structure(3, 1))
    if inner.sum() < max(8, 0.1 * scene.near_lesion.array.sum()):
        return scene.hu
    values: Array = scene.near_image.array[inner & cut(scene.anatomy.imaged, scene.window).array]
    return values if len(values) else scene.hu


def _fraction(scene: Scene, name: str, limit: str, below: bool) -> Fact:
    core = _core(scene)
    if core is None:
        return scene.fact(name, Unknown(NO_CT))
    if scene.contrast:
        return scene.fact(name, Unknown(CONTRAST))
    spread = thresholds()[limit].spread
    ends = (getattr(spread, "low", threshold(limit)), getattr(spread, "high", threshold(limit)))
    parts = sorted(round(float((core < end if below else core > end).mean()), 3) for end in ends)
    return scene.fact(name, Known(parts[0]) if parts[0] == parts[1] else Interval(parts[0], parts[1]))
