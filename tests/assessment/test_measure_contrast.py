"""What contrast agent may have added to HU leaves open what is read from them, and never gives another answer."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from assessment_cases import chart, grid_along, thigh
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.assessment.assess import assess
from osteon.assessment.cortex import HIDDEN
from osteon.assessment.measure import MEASURES
from osteon.assessment.measure_base import Scene, threshold
from osteon.case.image_facts import NOT_STATED, with_image_facts
from osteon.case.model import Study
from osteon.case.phantom import build
from osteon.facts import Fact, Interval, Known, OneOf, Unknown, possible, vocabulary
from osteon.space.anatomy import Anatomy
from osteon.space.volume import Volume

CORTEX = (
    "cortex_contact",
    "cortex_loss_mm2",
    "axial_cortical_mm",
    "circumferential_cortical_fraction",
    "cortical_thickness_fraction",
)
FROM_HU = ("mean_hu", "lytic_fraction", "blastic_fraction", "lesion_type")
CORTEX_HU = 1600.0  # of the densest cortex that a phantom has


@cache
def phantom(name, breach):
    return build(name, breach=breach, spacing_mm=2.0)


@cache
def measured(name, breach, lesion_hu, rest_hu, contrast):
    """The facts of a phantom in which contrast agent has added so much to the lesion and to all else that is no mineral."""
    made = phantom(name, breach)
    lesion = next(mask for key, mask in made.masks.items() if key.id == "lesion").array
    hu = made.image.array
    added = np.where(lesion, lesion_hu, rest_hu) * np.clip(1 - np.maximum(hu, 0) / CORTEX_HU, 0, 1)
    image = made.image.with_array((hu + np.where(hu > -300, added, 0)).astype(np.float32))
    imaged = Volume(np.ones(hu.shape, bool), made.image.grid)
    anatomy = Anatomy(imaged, image, made.masks, contrast=contrast)
    scene = Scene(anatomy, made.lesion_bone, "", "CT", contrast=contrast)
    return {fact: MEASURES[fact](scene) for fact in (*CORTEX, *FROM_HU, "size_max_mm", "soft_tissue_component", "implant_near")}


def holds(wide, narrow):
    """Whether a state leaves open everything that another leaves open; what is refused does."""
    if isinstance(wide, Unknown) or wide == narrow:
        return True
    if isinstance(wide, Interval):
        return all(wide.low <= value <= wide.high for value in possible(narrow))
    return set(possible(narrow)) <= set(possible(wide))


@pytest.mark.parametrize("breach", [True, False])
@pytest.mark.parametrize("name", ["femur", "vertebra", "ilium"])
@settings(max_examples=6, deadline=None)
@given(lesion_hu=st.integers(30, 200), rest_hu=st.integers(30, 200))
def test_law_what_is_true_without_agent_is_left_open_with_it(name, breach, lesion_hu, rest_hu):
    true = measured(name, breach, 0, 0, False)
    told = measured(name, breach, lesion_hu, rest_hu, True)
    for fact in (*CORTEX, *FROM_HU):
        assert holds(told[fact].state, true[fact].state), (fact, told[fact].state, true[fact].state)


def test_the_widened_answer_still_says_something():
    told = measured("femur", True, 60, 60, True)
    assert told["cortex_contact"].state == Known("breached")  # an agent only adds, so what is empty with it is empty without
    assert told["axial_cortical_mm"].state.high < 30
    hidden = measured("femur", True, 200, 30, True)  # as dense as a thin shell
    assert hidden["cortex_contact"].state == OneOf(("contact", "breached"))


@pytest.mark.parametrize("name", ["femur", "vertebra", "ilium"])
def test_without_agent_or_a_word_of_it_nothing_is_widened(name):
    said, unsaid = measured(name, True, 0, 0, False), measured(name, True, 0, 0, None)
    assert {n: f.state for n, f in said.items()} == {n: f.state for n, f in unsaid.items()}
    assert not any("widened" in origin.where for fact in said.values() for origin in fact.origins)
    assert said["cortex_contact"].state == Known("breached")


def test_each_widened_fact_is_labelled_and_keeps_its_place():
    for breach in (True, False):
        told = measured("femur", breach, 60, 60, True)
        for fact in CORTEX:
            assert told[fact].origins, fact
            for origin in told[fact].origins:
                assert origin.where.endswith("CT with contrast agent: widened over 0 to 200 HU of enhancement")
                assert "axial slice" in origin.where
                assert origin.place_mm is not None
        for fact in FROM_HU:
            assert told[fact].state.why.startswith("cannot tell: the CT has contrast agent")


def test_what_needs_no_hu_stays():
    for fact in ("size_max_mm", "soft_tissue_component"):
        assert measured("ilium", True, 200, 200, True)[fact].state == measured("ilium", True, 0, 0, False)[fact].state


def contrasted(case, given=True):
    return replace(case, facts=chart(contrast_enhanced=given))


def with_hu(case, change):
    study = case.studies[0]
    hu = change(study.volume.array.copy())
    return replace(case, studies=(replace(study, volume=study.volume.with_array(hu)),))


def test_a_cortex_no_denser_than_agent_may_be_is_refused():
    thin = with_hu(thigh(), lambda hu: np.where(hu > 1000, 330, hu).astype(np.float32))
    assert assess(contrasted(thin, False)).lesions[0].facts["cortex_contact"].state == Known("breached")
    found = assess(contrasted(thin)).lesions[0].facts
    for name in CORTEX:
        assert found[name].state == Unknown(HIDDEN), name


def test_dense_voxels_may_be_excreted_agent():
    def metal(hu):
        hu[10:18, 30:36, 40:46] = 3000
        return hu

    case = with_hu(thigh(sphere=((8.0, 0.0, -40.0), 10.0)), metal)
    assert assess(contrasted(case, False)).lesions[0].facts["implant_near"].state == Known(True)
    fact = assess(contrasted(case)).lesions[0].facts["implant_near"]
    assert fact.state == OneOf((True, False))
    assert "excreted agent; CT with contrast agent: widened" in fact.origins[0].where


def test_the_page_is_told_with_without_and_not_stated():
    warnings = {given: assess(contrasted(thigh(), given)).lesions[0].warnings for given in (True, False)}
    assert any("CT with contrast agent" in w for w in warnings[True])
    assert not any("contrast" in w for w in warnings[False])
    found = assess(thigh()).lesions[0]
    assert NOT_STATED in found.warnings
    assert found.anatomy.contrast is None
    assert NOT_STATED not in assess(thigh(modality="MR")).lesions[0].warnings


# --- the header


def test_agent_and_phase_are_facts_of_the_planning_ct():
    words = vocabulary()
    blank = {n: Fact(n, Unknown(), words[n].unit) for n in words if words[n].scope == "patient"}
    study = thigh().studies[0]
    told = Study(
        study.id, "CT", None, study.volume, study.imaged, contrast=True, contrast_agent="Ultravist", contrast_phase="arterial"
    )
    facts = with_image_facts(blank, told)
    assert (facts["contrast_agent"].value, facts["contrast_phase"].value) == ("Ultravist", "arterial")
    assert facts["contrast_phase"].origins[0].where == "study ct1"
    silent = with_image_facts(blank, study)
    assert silent["contrast_agent"].state == silent["contrast_phase"].state == Unknown()


# --- slices too far apart


def slabs(volume, count):
    """Every ``count`` slices averaged into one."""
    array = volume.array.astype(np.float32)
    whole = array.shape[0] // count * count
    matrix = volume.grid.matrix
    matrix[:3, 3] += matrix[:3, 2] * (count - 1) / 2
    matrix[:3, 2] *= count
    mean = array[:whole].reshape(-1, count, *array.shape[1:]).mean(1)
    return Volume.of(mean >= 0.5 if volume.array.dtype == bool else mean, matrix)


@cache
def thick(name, count):
    made = build(name, spacing_mm=1.0)
    image, masks = slabs(made.image, count), {key: slabs(mask, count) for key, mask in made.masks.items()}
    anatomy = Anatomy(image.with_array(np.ones(image.grid.shape, bool)), image, masks, contrast=False)
    scene = Scene(anatomy, made.lesion_bone, "", "CT", contrast=False)
    return {fact: MEASURES[fact](scene).state for fact in CORTEX}


@pytest.mark.parametrize("name", ["femur", "ilium"])
@pytest.mark.parametrize("millimetres", [3, 4, 6])
def test_a_breach_is_never_denied_for_want_of_thin_slices(name, millimetres):
    assert thick(name, 1)["cortex_contact"] == Known("breached")
    assert "breached" in possible(thick(name, millimetres)["cortex_contact"])
    coarse = millimetres > threshold("cortex_slices_mm")
    for fact in CORTEX[1:]:
        refused = isinstance(thick(name, millimetres)[fact], Unknown)
        assert refused == (coarse and "long bone" not in getattr(thick(name, 1)[fact], "why", "")), fact
    if coarse:
        said = f"cannot tell: voxels of {millimetres} mm do not measure a cortex; needs a CT with slices of at most 3.5 mm"
        assert thick(name, millimetres)["cortex_loss_mm2"] == Unknown(said)


def test_a_hole_that_blur_alone_could_open_leaves_the_breach_open():
    found = assess(thigh(grid_along(spacing=(3.0, 3.0, 3.4)), sphere=((6.0, 0.0, 0.0), 9.5))).lesions[0]
    assert "breached" in possible(found.facts["cortex_contact"].state)
