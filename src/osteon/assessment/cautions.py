"""What a reader must know before trusting the figures of a lesion, and when a gap in its bone asks for a fracture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from osteon.assessment.carried import carried_cautions
from osteon.assessment.found import OTHER_BONE, Found
from osteon.assessment.measure_base import Scene, threshold
from osteon.assessment.measure_size import touches_edge
from osteon.case.fracture import PossibleFracture
from osteon.case.image_facts import NOT_STATED
from osteon.facts import Fact, Known, Unknown
from osteon.space.anatomy import Structure


def cautions(scene: Scene, facts: Mapping[str, Fact], found: Found) -> tuple[str, ...]:
    """Return what a reader must know before trusting the figures of one lesion, one sentence each.

    Parameters
    ----------
    scene : Scene
        The lesion in its anatomy.
    facts : mapping of str to Fact
        What is known of it, chart and image joined.
    found : Found
        What the image shows by itself.
    """
    said = []
    anatomy, is_ct = scene.anatomy, scene.modality == "CT"
    if touches_edge(scene):
        said.append("the lesion touches the edge of the image: its size and volume are lower bounds")
    cut = [each for each in found.cut if _is_near(scene, each.bone)]
    if cut:
        names = ", ".join(f"{each.bone.name} ({', '.join(each.edges)})" for each in cut)
        said.append(f"cut by the edge of the image: {names}; volume, symmetry and load cases of a cut bone do not hold")
    said += _of_metal(scene) if is_ct else []
    said += _of_gaps(scene, facts, found)
    if is_ct and scene.contrast:
        said.append(
            "CT with contrast agent: density and type of the lesion are not read from HU; what is said of the cortex is widened, "
            "and beside a filled artery it may still be wrong"
        )
    if is_ct and scene.contrast is None:
        said.append(NOT_STATED)
    said += carried_cautions(anatomy)
    if anatomy.approximate:
        said.append("outlined approximately: " + ", ".join(s.name for s in sorted(anatomy.approximate)))
    said += found.notes
    said += [f"chart and image contradict each other: {f.name}" for f in facts.values() if getattr(f.state, "conflict", False)]
    if not is_ct:
        said.append("no CT: HU, cortex and metal cannot be told")
    return tuple(said)


def gap_seen(scene: Scene, facts: Mapping[str, Fact], found: Found) -> dict[str, Fact]:
    """Return the fact ``fracture`` as a question where the chart does not answer it and a gap was seen in the lesion's bone.

    osteon never decides it: a gap may be a growth plate, a vessel or a streak, and many fractures show no gap.

    Parameters
    ----------
    scene : Scene
        The lesion in its anatomy.
    facts : mapping of str to Fact
        What is known of it.
    found : Found
        What the image shows by itself.

    Returns
    -------
    dict of str to Fact
        Empty where the chart answers, or no gap was seen.
    """
    gaps = found.gaps.get(scene.bone, ()) if scene.bone is not None else ()
    if not gaps or scene.bone is None or not isinstance(facts["fracture"].state, Unknown):
        return {}
    origins = tuple(scene.at(np.array(gap.place_mm), f"gap of about {_wide(gap)} mm") for gap in gaps)
    why = f"cannot tell: {_what(scene, scene.bone, gaps[0])} may be a fracture; look at it and state `fracture`"
    return {"fracture": Fact("fracture", Unknown(why), origins=origins)}


def _is_near(scene: Scene, bone: Structure) -> bool:
    gap = scene.gap(bone)
    return gap is not None and gap[0] <= threshold("cut_bone_near_mm")


def _of_metal(scene: Scene) -> list[str]:
    near = [gap[0] for key in scene.anatomy.of_kind("implant") if (gap := scene.gap(key)) is not None]
    if not near or min(near) > threshold("metal_near_mm"):
        return []
    part = scene.spoilt
    if part > threshold("spoilt_most_fraction"):
        rest = f"streaks spoil the HU in {100 * part:.0f} % of its outline, so nothing is read from them"
    elif part > 0:
        rest = f"streaks spoil the HU in {100 * part:.0f} % of its outline; what is read from HU leaves that out"
    else:
        rest = "its streaks do not reach the outline, as far as they can be told from noise"
    return [f"metal {min(near):.0f} mm from the lesion: {rest}"]


def _of_gaps(scene: Scene, facts: Mapping[str, Fact], found: Found) -> list[str]:
    said = []
    for bone, gaps in found.gaps.items():
        if bone == OTHER_BONE or not _is_near(scene, bone):
            continue
        for gap in gaps:
            place = scene.at(np.array(gap.place_mm)).where
            rest = f"{_what(scene, bone, gap)}, {place}; look at it there, in all three directions"
            if bone == scene.bone and facts["fracture"].state == Known("none"):
                said.append(f"the chart says that there is no fracture, but the CT shows {rest}")
            else:
                said.append(f"possible fracture: {rest}")
    return said


def _what(scene: Scene, bone: Structure, gap: PossibleFracture) -> str:
    rough = bone in scene.anatomy.approximate
    others = "a joint, a growth plate or a vessel" if rough else "a growth plate or a vessel"
    spoilt = scene.anatomy.unreliable
    streak = spoilt is not None and float(spoilt.sample(np.array([gap.place_mm]), fill=0.0)[0]) > 0
    like = f"{others}, or a streak of the metal near it," if streak else others
    return f"a gap of about {_wide(gap)} mm between two parts of the {bone.name} ({like} can look like that)"


def _wide(gap: PossibleFracture) -> str:
    return f"{max(gap.gap_mm, 1.0):.0f}"
