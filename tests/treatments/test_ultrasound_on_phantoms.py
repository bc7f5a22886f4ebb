"""Focused ultrasound on phantoms: which approach each cortex gets along the window's own beam, and the named ends.

Scenes are the phantoms of 2 mm with Hounsfield numbers edited over the lesion. Tolerances were set beforehand.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from lesion_scene import EXABLATE, LESION
from osteon.case.phantom import Phantom, build
from osteon.errors import InputError
from osteon.facts import Known
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Volume
from osteon.tissue.acoustics import acoustic_map
from osteon.treatments.focused_ultrasound.access import CENTRE, look_along, search_window, site_facts
from osteon.treatments.focused_ultrasound.access_looks import reach_of, scene_of
from osteon.treatments.focused_ultrasound.access_scene import number
from osteon.treatments.focused_ultrasound.approach import approaches_of, ranked
from osteon.treatments.focused_ultrasound.lattice import coverage, lattice
from osteon.treatments.focused_ultrasound.sonication import sonicate
from osteon.treatments.focused_ultrasound.transducer import transducer

SONALLEVE = "sonalleve-v2-256"
FEW = (500, 100, 4)
TUMOUR_HU, GAS_HU, CORTEX_HU = 40.0, -900.0, 1400.0
OFFERED_BY = {"intact": ("near-target", "direct"), "partial": ("near-target", "direct"), "destroyed": ("trans-soft-tissue",)}


@cache
def phantom(name: str, lesion_mm: float = 25.0) -> Phantom:
    return build(name, spacing_mm=2.0, lesion_mm=lesion_mm, breach=False)


def places_of(made: Phantom) -> np.ndarray:
    """Places of the voxels relative to the middle of the lesion, LPS."""
    grid = made.image.grid
    return grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1)) - np.array(made.lesion_centre_mm)


def anatomy_of(made: Phantom, hu: np.ndarray | None = None) -> Anatomy:
    grid = made.image.grid
    image = made.image if hu is None else Volume(hu.astype(np.float32), grid)
    absent = frozenset(structure(name) for name in made.absent)
    return Anatomy(Volume(np.ones(grid.shape, bool), grid), image, dict(made.masks), absent=absent, contrast=False)


def with_cortex(made: Phantom, state: str) -> Anatomy:
    """The cortex within 12 mm of the lesion, on all sides: as it is, gone on the upper half, or gone."""
    away = ndimage.distance_transform_edt(~made.masks[LESION].array, sampling=made.image.grid.spacing_mm)
    over = (away <= 12.0) & (made.image.array > 100)
    gone = {"intact": np.zeros_like(over), "partial": over & (places_of(made)[..., 2] > 0), "destroyed": over}[state]
    return anatomy_of(made, np.where(gone, TUMOUR_HU, made.image.array))


def behind_a_bubble(made: Phantom) -> Anatomy:
    """A layer of gas 4 mm thick in the soft tissue all round the bone that holds the lesion, 2 mm away from it."""
    bone = made.masks[made.lesion_bone].array | made.masks[LESION].array
    away = ndimage.distance_transform_edt(~bone, sampling=made.image.grid.spacing_mm)
    body = made.masks[structure("body")].array
    return anatomy_of(made, np.where((away > 2) & (away <= 6) & body, GAS_HU, made.image.array))


@pytest.mark.parametrize("state", list(OFFERED_BY))
def test_li_2022_each_cortex_gets_its_approaches_along_the_beam_of_the_window(state):
    """Intact and half a cortex: near-target and direct; none: through soft tissue. Half is 0.5 within 0.25.

    The beam is that of the best pose for the middle of the lesion: the one for its cortex looks for what is left of it.
    """
    anatomy = with_cortex(phantom("ilium"), state)
    window = search_window(anatomy, LESION, EXABLATE)
    assert window.verdict == "window"
    beam = window.by_focus[CENTRE].pose.axis
    found = approaches_of(anatomy, LESION, beam, EXABLATE)
    assert found[0].cortex.states == (state,)
    assert tuple(a.name for a in ranked(found) if a.answer == "offered") == OFFERED_BY[state]
    assert all(a.answer == "not offered" for a in found if a.name not in OFFERED_BY[state])
    if state == "partial":
        assert found[0].cortex.share == pytest.approx(0.5, abs=0.25)
    for name in OFFERED_BY[state]:
        aims = lattice(anatomy, LESION, name, (8.0, 16.0), beam)
        assert coverage(aims) > 0.5
        gaps = np.array([(np.array(a.focus_mm) - np.array(a.spot_mm)) @ np.array(beam) for a in aims])
        assert np.allclose(gaps, 10.0 if name == "near-target" else 0.0, atol=1e-6)


@pytest.mark.parametrize("name", ["ilium", "femur"])
def test_gas_in_the_path_of_every_pose_is_no_window_and_gas_is_named(name):
    anatomy = behind_a_bubble(phantom(name))
    found = search_window(anatomy, LESION, EXABLATE, poses=FEW)
    assert found.verdict == "no window"
    assert found.skin.visible.max(initial=0.0) < number("least_visible_share")
    assert any("gas" in reason for reason in found.reasons)
    (fact,) = site_facts(anatomy, LESION)
    assert fact.state == Known(False)


def test_an_array_pushed_into_the_patient_is_refused():
    """The window's own pose, moved 100 mm along its beam: its vertex was 160 mm from the focus, the skin is 70 mm from it."""
    anatomy = anatomy_of(phantom("ilium"))
    best = search_window(anatomy, LESION, EXABLATE, poses=FEW).best
    pushed = replace(best.pose, vertex_mm=tuple(np.array(best.pose.vertex_mm) + 100.0 * np.array(best.pose.axis)))
    array = transducer(EXABLATE)
    with pytest.raises(InputError, match=r"elements of the array lie in (the patient|bone)"):
        sonicate(acoustic_map(anatomy, array.frequency_hz), array, pushed, best.focus_mm, 20.0, bone_steps=2)


def test_a_place_deeper_than_the_array_reaches_is_a_named_end():
    """From the side of entry: 100 mm behind the lesion is beyond 153 mm for one array, and within 200 mm for the other.

    The other has an end of its own there: its rim would lie in the patient.
    """
    made = phantom("ilium")
    scene = scene_of(anatomy_of(made), LESION, [EXABLATE, SONALLEVE])
    way = -np.array(made.approach)
    deep = tuple(np.array(made.lesion_centre_mm) + 100.0 * way)
    short, long = (look_along(scene, device, deep, way) for device in (SONALLEVE, EXABLATE))
    assert reach_of(SONALLEVE)[2] < long.depth_mm + number("coupling_mm") < reach_of(EXABLATE)[2]
    assert short.end == "the target is deeper than the array reaches"
    assert long.end == "the array would stand inside the patient"
    assert look_along(scene, SONALLEVE, made.lesion_centre_mm, way).end == ""


def test_a_lesion_on_the_far_side_of_its_bone_is_named_and_the_window_keeps_to_its_own_side():
    """A small lesion of a femur that is dense and 6 mm thicker behind it: more than 10 mm of solid bone from the other side."""
    made = phantom("femur", 10.0)
    at, way = places_of(made), np.array(made.approach)
    bone = made.masks[made.lesion_bone].array
    dense = ndimage.binary_dilation(bone, iterations=3) & (at @ way < -5) & ~made.masks[LESION].array
    anatomy = anatomy_of(made, np.where(dense, CORTEX_HU, made.image.array))
    anatomy = anatomy.with_mask(made.lesion_bone, Volume(bone | dense, made.image.grid))
    scene = scene_of(anatomy, LESION, [EXABLATE])
    near, far = (look_along(scene, EXABLATE, made.lesion_centre_mm, axis) for axis in (-way, way))
    assert near.visible > 0.95
    assert far.visible < number("least_visible_share")
    assert max(far.lost, key=lambda key: far.lost[key]) == "the far side of its own bone"
    found = search_window(anatomy, LESION, EXABLATE, scene=scene)
    assert found.verdict == "window"
    assert np.array(found.best.pose.axis) @ -way > 0.0


def test_select_is_told_that_a_rib_moves():
    """The wing of the phantom outlined as a rib: the fact stays, and its origin tells of the breath."""
    made = phantom("ilium")
    masks = {structure("rib_7_right") if key == made.lesion_bone else key: mask for key, mask in made.masks.items()}
    (fact,) = site_facts(replace(anatomy_of(made), masks=masks), LESION)
    assert fact.state == Known(True)
    assert "moving target: the right 7. rib" in fact.origins[0].where
    (still,) = site_facts(anatomy_of(made), LESION)
    assert "moving target" not in still.origins[0].where
