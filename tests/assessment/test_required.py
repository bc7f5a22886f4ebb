"""The list of what must be judged: complete, spelled as the vocabulary, and cited."""

import numpy as np
import pytest

from osteon.assessment.measure_base import family, thresholds
from osteon.assessment.outline import joint_between
from osteon.assessment.required import demands, region_of, required, rules
from osteon.space.anatomy import Anatomy, structure, structures
from osteon.space.volume import Grid, Volume


def test_every_bone_of_the_vocabulary_has_a_list():
    bones = {family(s) for s in structures().values() if s.kind == "bone"}
    assert bones - {"other_bone"} == set(rules()["bones"])  # a piece without a name has no list; its region stays unknown


def test_every_name_in_the_lists_is_in_the_vocabulary_and_every_zone_judges_the_skin():
    for name, entry in rules()["bones"].items():
        bone = next(s for s in structures().values() if s.kind == "bone" and family(s) == name)
        assert "whole" in entry["zones"], name
        for zone in entry["zones"]:
            listed = demands(bone, f"{name}.{zone}", ["left"])
            ids = [i for d in listed for i in d.any_of]
            assert all(i in structures() for i in ids)
            assert "skin" in ids, (name, zone)
            assert any(structures()[i].kind in ("nerve", "cord", "organ") for i in ids), (name, zone)


def test_every_threshold_has_a_unit_a_source_and_an_honest_mark():
    for name, value in thresholds().items():
        assert value.unit, name
        assert value.source, name
        assert not (value.verified and value.source == "project-proposal"), name


@pytest.mark.parametrize(
    ("bone", "text", "region"),
    [
        ("hip_right", "supra-acetabular ilium", "hip.ilium"),
        ("hip_right", "acetabular roof", "hip.acetabulum"),
        ("hip_left", "superior pubic ramus", "hip.pubis"),
        ("hip_left", None, "hip.whole"),
        ("femur_left", "subtrochanteric", "femur.peritrochanteric"),
        ("femur_left", "mid shaft", "femur.shaft"),
        ("vertebra_L3", "body", "vertebra_L.whole"),
        ("vertebra_T12", None, "vertebra_T.whole"),
        ("rib_12_left", None, "rib.whole"),
    ],
)
def test_words_of_a_chart_name_a_zone(bone, text, region):
    assert region_of(structure(bone), text) == region


def cube(grid, low, high):
    array = np.zeros(grid.shape, bool)
    array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return Volume(array, grid)


@pytest.fixture
def pelvis():
    grid = Grid.of((60, 60, 60), np.diag([2.0, 2.0, 2.0, 1.0]))
    body = cube(grid, (0, 5, 5), (60, 55, 55))
    masks = {
        structure("lesion"): cube(grid, (28, 28, 28), (34, 34, 34)),
        structure("hip_right"): cube(grid, (20, 26, 26), (36, 36, 36)),
        structure("body"): body,
        structure("colon"): cube(grid, (28, 28, 44), (34, 34, 50)),
        structure("iliac_artery_right"): cube(grid, (20, 44, 28), (40, 46, 30)),
    }
    return Anatomy(Volume(np.ones(grid.shape, bool), grid), masks=masks)


def status(anatomy, region="hip.ilium"):
    return {r.structure: r for r in required(anatomy, structure("hip_right"), region, ["right"])}


def test_statuses_and_words(pelvis):
    found = status(pelvis)
    assert found["colon"].status == "outlined"
    assert found["colon"].distance_mm == pytest.approx(20.0)  # ten voxels lie between them
    assert found["small_bowel"].text == "cannot tell: outline the small bowel"
    assert found["sciatic_nerve_right"].text == "cannot tell: outline the right sciatic nerve"
    assert "[002 «nerve as it courses deep to the piriformis»]" in found["sciatic_nerve_right"].quotes
    assert found["skin"].status == "outside_field"  # the body is there, no skin was seen
    assert not found["skin"].known


def test_a_plexus_is_asked_only_near_the_sacrum(pelvis):
    assert "lumbosacral_plexus_right" in status(pelvis)  # sacrum unknown: it may be near
    far = pelvis.with_mask(structure("sacrum"), cube(pelvis.grid, (0, 50, 50), (4, 54, 54)))
    assert "lumbosacral_plexus_right" not in status(far)
    near = pelvis.with_mask(structure("sacrum"), cube(pelvis.grid, (28, 38, 28), (34, 42, 34)))
    assert "lumbosacral_plexus_right" in status(near)


def test_any_of_is_answered_by_one(pelvis):
    ischium = status(pelvis, "hip.ischium")
    assert ischium["colon"].known
    assert "rectum" not in ischium


def test_both_sides_are_asked_where_the_lesion_lies_in_the_midline(pelvis):
    names = [r.structure for r in required(pelvis, structure("sacrum"), "sacrum.whole")]
    assert {"sacral_nerve_roots_left", "sacral_nerve_roots_right"} <= set(names)


def test_an_unknown_bone_has_nothing_to_judge_and_nothing_known(pelvis):
    assert required(pelvis, None, "") == ()


def test_a_joint_is_the_gap_between_two_bones():
    grid = Grid.of((40, 40, 40), np.eye(4))
    first, second = cube(grid, (10, 10, 5), (30, 30, 18)), cube(grid, (10, 10, 21), (30, 30, 34))
    joint = joint_between(first, second)
    np.testing.assert_array_equal(joint.array[20, 20], np.isin(np.arange(40), [18, 19, 20]))
    assert not (joint.array & (first.array | second.array)).any()
    assert joint_between(first, cube(grid, (10, 10, 36), (30, 30, 39))) is None
