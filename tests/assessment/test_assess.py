"""The assessment stage on solids whose answers are known."""

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
from assessment_cases import chart, grid_along, places, thigh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from osteon.assessment.assess import assess
from osteon.assessment.measure import LEFT_TO_TREATMENTS, MEASURES
from osteon.facts import Interval, Known, NotApplicable, OneOf, Unknown, possible, vocabulary
from osteon.space.anatomy import structure
from osteon.space.volume import Volume

ALL_48 = [(order, flips) for order in permutations(range(3)) for flips in product([False, True], repeat=3)]


def first(case):
    return assess(case).lesions[0]


def within(state, low, high):
    values = [float(v) for v in possible(state)]
    return bool(values) and min(values) >= low and max(values) <= high


def holds(state, value):
    values = [float(v) for v in possible(state)]
    return bool(values) and min(values) <= value <= max(values)


@pytest.fixture(scope="module")
def straight():
    return first(thigh())


def test_every_measured_fact_of_the_vocabulary_has_one_function_of_its_name():
    measured = {name for name, kind in vocabulary().items() if kind.measured}
    assert set(MEASURES) | LEFT_TO_TREATMENTS == measured


def test_every_fact_of_the_vocabulary_is_answered_and_every_measured_one_says_where(straight):
    assert set(straight.facts) == set(vocabulary())
    for name in MEASURES:
        fact = straight.facts[name]
        if isinstance(fact.state, (Known, Interval, OneOf)):
            assert fact.origins, name
            assert fact.unit == vocabulary()[name].unit
        if any(o.kind == "image" for o in fact.origins):
            assert all("axial slice" in o.where and o.place_mm is not None for o in fact.origins if o.kind == "image"), name
        if isinstance(fact.state, Unknown):
            assert fact.state.why.startswith("cannot tell"), name


def test_sphere_size_and_volume(straight):
    for name in ("size_max_mm", "size_ap_mm", "size_lr_mm", "size_si_mm"):
        assert within(straight.facts[name].state, 20 - 2, 20 + 2), name
    assert within(straight.facts["volume_ml"].state, 4.19 * 0.95, 4.19 * 1.05)


def test_distances_of_solids(straight):
    # ball of radius 10 at x = 8: air 60 - 18 = 42; skin is one voxel of 1.5 mm; nerve sqrt(8² + 30²) - 10 - 2; vessels
    # hypot(13, 32) - 10 - 4
    assert within(straight.facts["distance_skin_mm"].state, 40.5 - 2, 40.5 + 2)
    assert within(straight.facts["depth_from_skin_mm"].state, 42 - 2, 42 + 2)
    assert within(straight.facts["distance_nerve_mm"].state, 19.05 - 2, 19.05 + 2)
    assert within(straight.facts["distance_vessel_mm"].state, 20.54 - 2, 20.54 + 2)
    assert within(straight.facts["distance_critical_mm"].state, 19.05 - 2, 19.05 + 2)


def test_cortex_of_a_cylinder_bitten_by_a_ball(straight):
    facts = straight.facts
    assert facts["cortex_contact"].state == Known("breached")
    assert facts["cortical_thickness_fraction"].state == Known(1.0)
    # half angle where the ball cuts a cylinder of radius R: cos a = (R² + 64 - 100) / 16 R; outside 44.4°, at the marrow 71.8°
    assert within(facts["circumferential_cortical_fraction"].state, 44.4 / 180 - 0.05, 71.8 / 180 + 0.05)
    # half of the wall gone, at a radius of 11.5: cos a = (11.5² + 64 - 100) / (16 * 11.5), a = 58.5°
    assert holds(facts["circumferential_cortical_fraction"].state, 58.5 / 180)
    # a third of the wall gone, where the ball of radius 10 meets x = 9 + 5 / 3: 2 sqrt(100 - 2.67²) = 19.3. The interval moves
    # the edges half a voxel of 2 mm in and one out; a voxel more either way is what a length may be wrong by
    assert holds(facts["axial_cortical_mm"].state, 19.3)
    assert within(facts["axial_cortical_mm"].state, 19.3 - 2 - 2, 19.3 + 4 + 2)
    # across the axis the ball is 20 mm wide, and from the front no wider than from x = -2 to the surface at 14
    assert holds(facts["lesion_diameter_fraction"].state, 20 / 28)
    assert within(facts["cortex_loss_mm2"].state, 0.5 * 14 * 2 * np.radians(44.4) * 16 * 0.5, 14 * 2 * np.radians(71.8) * 19.9)


def test_density_and_type(straight):
    facts = straight.facts
    assert within(facts["mean_hu"].state, 35, 45)
    assert facts["lesion_type"].state == Known("lytic")
    assert facts["lytic_fraction"].state == Known(1.0)
    assert facts["blastic_fraction"].state == Known(0.0)


def test_what_has_no_meaning_in_a_femoral_shaft(straight):
    assert isinstance(straight.facts["posterior_wall_involved"].state, NotApplicable)
    for name in ("distance_cord_mm", "distance_bowel_mm", "distance_joint_mm"):
        assert isinstance(straight.facts[name].state, NotApplicable), name


@pytest.fixture(scope="module")
def reference_numbers(straight):
    return {n: np.mean([float(v) for v in possible(f.state)]) for n, f in straight.facts.items() if _number(f.state)}


def _number(state):
    return isinstance(state, Interval) or (isinstance(state, Known) and isinstance(state.value, float))


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(ALL_48))
def test_law_permuted_and_mirrored_axes_give_the_same_answers(straight, axes):
    found = first(thigh(grid_along(*axes)))
    assert {n: f.state for n, f in found.facts.items()} == {n: f.state for n, f in straight.facts.items()}
    assert [(r.structure, r.status) for r in found.required] == [(r.structure, r.status) for r in straight.required]


@settings(max_examples=5, deadline=None)
@given(st.sampled_from(ALL_48), st.floats(-12, 12), st.floats(-12, 12))
def test_law_slightly_turned_axes_give_the_same_answers_within_a_voxel(straight, reference_numbers, axes, about_x, about_z):
    turn = Rotation.from_euler("xz", [about_x, about_z], degrees=True).as_matrix()
    found = first(thigh(grid_along(*axes, rotation=turn)))
    assert found.facts["cortex_contact"].state == Known("breached")
    for name in ("size_max_mm", "size_ap_mm", "size_lr_mm", "size_si_mm"):
        assert within(found.facts[name].state, reference_numbers[name] - 4, reference_numbers[name] + 4), name
    ends = zip(possible(found.facts["axial_cortical_mm"].state), possible(straight.facts["axial_cortical_mm"].state), strict=True)
    assert all(abs(one - other) <= 2 for one, other in ends)  # an interval: both ends within a voxel
    for name in ("distance_nerve_mm", "distance_vessel_mm", "distance_skin_mm"):
        assert within(found.facts[name].state, reference_numbers[name] - 2, reference_numbers[name] + 2), name
    assert within(found.facts["volume_ml"].state, 4.19 * 0.95, 4.19 * 1.05)


def test_a_nerve_that_is_not_outlined_cannot_be_told():
    found = first(thigh(nerve=False))
    nerve = next(r for r in found.required if r.structure == "sciatic_nerve_left")
    assert (nerve.status, nerve.text) == ("not_outlined", "cannot tell: outline the left sciatic nerve")
    assert found.facts["distance_nerve_mm"].state == Unknown("cannot tell: outline the left sciatic nerve")
    assert isinstance(found.facts["distance_critical_mm"].state, Unknown)  # the vessels at 21 mm prove nothing


def test_a_near_structure_stays_informative_while_another_is_unknown():
    case = thigh(nerve=False, sphere=((0.0, -18.0, 0.0), 9.0))  # 1 to 2 mm from the vessels
    state = first(case).facts["distance_critical_mm"].state
    assert isinstance(state, Interval)
    assert state.low == 0
    assert state.high < 5


def test_a_structure_declared_absent_is_judged():
    case = thigh(nerve=False)
    found = first(replace(case, absent=frozenset({structure("sciatic_nerve_left")})))
    nerve = next(r for r in found.required if r.structure == "sciatic_nerve_left")
    assert nerve.known
    assert isinstance(found.facts["distance_nerve_mm"].state, NotApplicable)
    assert isinstance(found.facts["distance_critical_mm"].state, Known)


def test_a_nerve_cut_by_the_edge_where_it_could_come_nearer_cannot_be_told():
    grid = grid_along()
    _, y, z = places(grid)
    case = thigh(grid, nerve=False, sphere=((0.0, 0.0, 40.0), 12.0))  # 8 mm below the upper edge
    nerve = Volume((np.hypot(places(grid)[0], y - 40) <= 3) & (z > 30), grid)
    found = first(replace(case, masks={**case.masks, structure("sciatic_nerve_left"): nerve}))
    judged = next(r for r in found.required if r.structure == "sciatic_nerve_left")
    assert judged.status == "cut"
    assert judged.text.startswith("cannot tell: the left sciatic nerve is cut by the edge of the image")


def test_skin_outside_the_field_is_not_far_away():
    case = thigh()
    study = case.studies[0]
    image = study.volume
    keep = (slice(None), slice(None), slice(0, int(image.grid.shape[2] * 0.72)))  # cuts the left side 29 mm from the axis

    def part(volume):
        return Volume.of(np.ascontiguousarray(volume.array[keep]), volume.grid.matrix)

    cut = replace(
        case,
        studies=(replace(study, volume=part(image), imaged=part(study.imaged)),),
        masks={k: part(v) for k, v in case.masks.items()},
        lesions=(replace(case.lesions[0], mask=part(case.lesions[0].mask)),),
    )
    found = first(cut)
    skin = next(r for r in found.required if r.structure == "skin")
    assert skin.status == "outside_field"
    assert "the skin on the left is outside the field" in skin.text
    assert isinstance(found.facts["depth_from_skin_mm"].state, Unknown)


def test_magnetic_resonance_has_no_hu_and_its_distances_stay():
    found = first(thigh(modality="MR"))
    for name in ("mean_hu", "lytic_fraction", "blastic_fraction", "lesion_type", "cortex_contact", "cortical_thickness_fraction"):
        assert isinstance(found.facts[name].state, Unknown), name
        assert "CT" in found.facts[name].state.why
    assert isinstance(found.facts["implant_near"].state, Unknown)
    assert within(found.facts["distance_nerve_mm"].state, 17, 21.1)
    assert any("no CT" in w for w in found.warnings)


def test_metal_near_the_lesion_is_found_and_said():
    case = thigh()
    x, y, z = places(case.studies[0].volume.grid)
    case.studies[0].volume.array[(np.hypot(x, y) <= 5) & (z < -20)] = 3000
    found = first(case)
    assert found.facts["implant_near"].state == Known(True)
    assert any("metal" in w for w in found.warnings)
    assert first(thigh()).facts["implant_near"].state == Known(False)


def test_soft_tissue_component_and_bone_that_the_lesion_replaced():
    outside = first(thigh(sphere=((18.0, 0.0, 0.0), 10.0)))
    assert outside.facts["soft_tissue_component"].state == Known(True)
    inside = first(thigh(sphere=((3.0, 0.0, 0.0), 8.0)))
    assert inside.facts["soft_tissue_component"].state == Known(False)
    case = thigh(sphere=((0.0, 0.0, 0.0), 6.0))
    femur = structure("femur_left")
    hollow = case.masks[femur].with_array(case.masks[femur].array & ~case.lesions[0].mask.array)
    found = first(replace(case, masks={**case.masks, femur: hollow}))
    assert (found.anatomy.masks[femur].array >= case.lesions[0].mask.array).all()
    assert found.facts["soft_tissue_component"].state == Known(False)
    assert found.facts["cortex_contact"].state == Known("none")


def test_intact_bone_loses_no_cortex():
    found = first(thigh(sphere=((0.0, 0.0, 0.0), 6.0), noise=20.0))
    assert found.facts["cortex_contact"].state == Known("none")
    assert found.facts["cortex_loss_mm2"].state == Known(0.0)
    assert found.facts["circumferential_cortical_fraction"].state == Known(0.0)


def test_half_of_the_thickness_gone_gives_an_interval_round_one_half():
    found = first(thigh(grid_along(spacing=(1.0, 1.0, 1.0)), sphere=((0.0, 0.0, 0.0), 11.5)))
    state = found.facts["cortical_thickness_fraction"].state
    assert isinstance(state, Interval)
    assert state.low <= 0.5 <= state.high
    assert state.high - state.low <= 0.35


def test_chart_and_image_that_agree_are_no_conflict_and_a_contradiction_is():
    agree = first(thigh(size_max_mm=21.0, lesion_type="lytic"))
    assert within(agree.facts["size_max_mm"].state, 18, 22)
    assert agree.facts["lesion_type"].state == Known("lytic")
    contradict = first(thigh(size_max_mm=60.0, side="right"))
    assert contradict.facts["size_max_mm"].state.conflict
    assert contradict.facts["side"].state == OneOf(("right", "left"), conflict=True)
    assert any("contradict" in w and "side" in w for w in contradict.warnings)


def test_lesion_at_the_edge_of_the_image_is_at_least_as_large():
    found = first(thigh(sphere=((0.0, 0.0, 58.0), 10.0)))
    state = found.facts["volume_ml"].state
    assert isinstance(state, Interval)
    assert state.high == vocabulary()["volume_ml"].domain[1]
    assert any("touches the edge" in w for w in found.warnings)


def test_other_lesions_are_joined_and_kept_apart():
    case = thigh()
    x, y, z = places(case.studies[0].volume.grid)
    other = replace(case.lesions[0], id="L2", mask=case.lesions[0].mask.with_array(np.hypot(np.hypot(x, y), z - 35) <= 5))
    both = assess(replace(case, lesions=(case.lesions[0], other)))
    anatomy = both.lesion("L1").anatomy
    np.testing.assert_array_equal(anatomy.mask("other_lesion").array, other.mask.array)
    np.testing.assert_array_equal(both.lesion("L2").anatomy.mask("lesion").array, other.mask.array)


def test_without_an_outline_the_chart_alone_speaks():
    case = thigh(size_max_mm=30.0)
    lesion = replace(case.lesions[0], mask=None)
    found = first(replace(case, lesions=(lesion,), studies=(), masks={}))
    assert found.facts["size_max_mm"].state == Known(30.0)
    assert found.facts["side"].state == Known("left")
    assert found.facts["volume_ml"].state == Unknown("cannot tell: needs a CT of the region, with the lesion outlined on it")
    assert all(not r.known for r in found.required)


def test_bone_is_inferred_from_the_outlines_where_nobody_named_it():
    case = thigh()
    found = first(replace(case, lesions=(replace(case.lesions[0], bone=None),)))
    assert found.facts["bone"].value == "femur_left"
    assert found.facts["bone"].origins[0].kind == "inferred"


def test_the_case_is_not_changed():
    case = thigh()
    before = {k: v.digest() for k, v in case.masks.items()}
    assess(case)
    assert {k: v.digest() for k, v in case.masks.items()} == before


def test_patient_facts_are_joined():
    case = thigh(pain_vas=7.0)
    found = first(replace(case, facts=chart(ecog=1.0)))
    assert found.facts["ecog"].value == 1.0
    assert found.facts["pain_vas"].value == 7.0
    assert found.facts["goal"].value == "palliation"
    assert isinstance(found.facts["percutaneous_path"].state, Unknown)
