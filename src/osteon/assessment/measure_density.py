"""What the lesion is made of, as far as HU tell; and metal near it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from osteon.assessment.measure_base import NO_CT, SPOILT, WIDENED, Scene, cut, threshold, thresholds, window_of
from osteon.assessment.measure_distance import edge_distance_mm
from osteon.case.grow import threshold as metal_threshold
from osteon.facts import Fact, Interval, Known, OneOf, Origin, State, Unknown
from osteon.space.paths import distance_to
from osteon.space.volume import Array

CONTRAST = (
    "cannot tell: the CT has contrast agent, which adds HU that are no bone; needs a CT without, or the radiologist's reading"
)


def mean_hu(scene: Scene) -> Fact:
    """Measure the mean HU as an interval: from the whole outline to its core (one voxel eroded), widened by noise."""
    closed, whole, core = _closed(scene), scene.hu, _core(scene)
    if closed is not None or whole is None or core is None:
        return scene.fact("mean_hu", Unknown(closed or NO_CT))
    means = [float(values.mean()) for values in (whole, core)]
    noise = 1.96 * float(core.std()) / float(np.sqrt(max(len(core) / 8.0, 1.0)))  # neighbours of one kernel are not independent
    low, high = (float(np.clip(v, -1024, 3071)) for v in (min(means) - noise, max(means) + noise))
    return scene.fact("mean_hu", Interval(round(low, 1), round(high, 1)), _over(scene))


def lytic_fraction(scene: Scene) -> Fact:
    """Measure which part of the core is darker than ``lytic_below_hu``, as an interval over the spread of that threshold."""
    return _fraction(scene, "lytic_fraction", "lytic_below_hu", below=True)


def blastic_fraction(scene: Scene) -> Fact:
    """Measure which part of the core is denser than ``blastic_above_hu``, as an interval over the spread of that threshold."""
    return _fraction(scene, "blastic_fraction", "blastic_above_hu", below=False)


def lesion_type(scene: Scene) -> Fact:
    """Say whether the lesion is lytic, mixed or blastic; a set of types where the parts are not clear."""
    closed, core = _closed(scene), _core(scene)
    if closed is not None or core is None:
        return scene.fact("lesion_type", Unknown(closed or NO_CT))
    if scene.bone is None:
        return scene.fact(
            "lesion_type", Unknown("cannot tell: name the bone that holds the lesion; a mass outside bone has no type")
        )
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
    said = f"{100 * lytic:.0f} % lytic, {100 * blastic:.0f} % blastic{_left_out(scene)}"
    return scene.fact("lesion_type", state, scene.at(scene.centre_mm, said))


def implant_near(scene: Scene) -> Fact:
    """Say whether metal lies within ``metal_near_mm``: an implant as outlined, or as found in the CT."""
    name, near = "implant_near", threshold("metal_near_mm")
    for key in scene.anatomy.of_kind("implant"):
        found = scene.gap(key)
        if found is None or found[0] > near:
            continue
        said, place = f"{key.name}, {found[0]:.0f} mm away", np.array(found[2])
        if scene.contrast and key in scene.anatomy.approximate:
            said = f"voxels denser than bone, {found[0]:.0f} mm away: metal, or excreted agent; {WIDENED}"
            return scene.fact(name, OneOf((True, False)), scene.at(place, said))
        return scene.fact(name, Known(True), scene.at(place, said))
    if scene.near_image is None:
        return scene.fact(name, Unknown("cannot tell: needs a CT, or say whether there is an implant"))
    doubtful = _nearly_metal(scene)
    if doubtful is not None:
        why = "cannot tell: something is denser than bone, but less than metal: thin metal, a stone or enamel; look at it and say"
        return scene.fact(name, Unknown(why), scene.at(doubtful, "denser than bone"))
    if edge_distance_mm(scene) < near:
        why = f"cannot tell: the image ends less than {near:.0f} mm from the lesion; say whether there is an implant"
        return scene.fact(name, Unknown(why))
    return scene.fact(name, Known(False))


def _nearly_metal(scene: Scene) -> Array | None:
    """Return the place in LPS mm of what is denser than bone near the lesion, and was not dense enough to be found as metal."""
    assert scene.anatomy.image is not None  # near_image stands only where there is one
    window = window_of(scene.lesion, threshold("metal_near_mm"))
    part = cut(scene.anatomy.image, window)
    dense = (part.array > metal_threshold("metal_grown_above_hu")) & scene.anatomy.imaged.part(window)
    for key in scene.anatomy.of_kind("implant"):
        dense &= ~scene.anatomy.mask(key).part(window)
    if not dense.any():
        return None
    dense &= distance_to(cut(scene.lesion, window)).array <= threshold("metal_near_mm")
    pieces, count = ndimage.label(dense, np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1) * part.grid.voxel_mm3
    sizes[0] = 0.0
    if sizes.max() < metal_threshold("metal_least_mm3"):
        return None
    return np.asarray(part.grid.to_mm(np.argwhere(pieces == int(sizes.argmax())).mean(0)))


def _closed(scene: Scene) -> str | None:
    """Return why nothing is read from the HU of the lesion; None where they can be read."""
    if scene.contrast:
        return CONTRAST
    if scene.spoilt > threshold("spoilt_most_fraction"):
        return SPOILT.format(100 * scene.spoilt)
    return NO_CT if scene.hu is None else None


def _over(scene: Scene) -> Origin:
    return scene.at(scene.centre_mm, f"whole lesion{_left_out(scene)}")


def _left_out(scene: Scene) -> str:
    return f" (without the {100 * scene.spoilt:.0f} % of it that lie in streaks of metal)" if scene.spoilt > 0 else ""


def _core(scene: Scene) -> Array | None:
    """Return the HU of the lesion without its outermost voxels; of all where too little would be left."""
    if scene.near_image is None or scene.hu is None:
        return None
    inner = ndimage.binary_erosion(scene.near_lesion.array, ndimage.generate_binary_structure(3, 1))
    if inner.sum() < max(8, 0.1 * scene.near_lesion.array.sum()):
        return scene.hu
    values: Array = scene.near_image.array[inner & scene.readable]
    return values if len(values) else scene.hu


def _fraction(scene: Scene, name: str, limit: str, below: bool) -> Fact:
    closed, core = _closed(scene), _core(scene)
    if closed is not None or core is None:
        return scene.fact(name, Unknown(closed or NO_CT))
    spread = thresholds()[limit].spread
    ends = (getattr(spread, "low", threshold(limit)), getattr(spread, "high", threshold(limit)))
    parts = sorted(round(float((core < end if below else core > end).mean()), 3) for end in ends)
    return scene.fact(name, Known(parts[0]) if parts[0] == parts[1] else Interval(parts[0], parts[1]), _over(scene))
