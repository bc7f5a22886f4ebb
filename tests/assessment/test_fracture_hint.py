"""When a fracture is asked for, and a tube broken by a known gap, angle and offset; tolerances set before the first run."""

import numpy as np
import pytest

from osteon.assessment.fracture_hint import fracture_state, weight_bearing
from osteon.assessment.scores.mirels import score as mirels
from osteon.assessment.scores.van_der_linden import score as van_der_linden
from osteon.errors import InputError, NotOutlinedError
from osteon.facts import Fact, Known, NotApplicable, OneOf, Unknown
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Grid, Volume

FEMUR, RIB, HIP = structure("femur_left"), structure("rib_7_left"), structure("hip_right")
OFFSET_MM, GAP_MM, ANGLE_DEG, VOLUME = 1.0, 1.0, 3.0, 0.05
AXIS = np.array([0.0, 0.0, 1.0])
RADIUS, CORTEX, LONG = 14.0, 5.0, 110.0


def facts(**states):
    return {k: Fact(k, v if isinstance(v, (Unknown, OneOf, NotApplicable)) else Known(v)) for k, v in states.items()}


def tube(angle_deg=90.0, gap_mm=0.0, offset_mm=0.0, bent_deg=0.0, outline_holds_gap=True, spacing=1.0, noise=15.0):
    """A femoral shaft along z, broken by a plane at an angle to its axis; its upper part shifted across the axis, to the left."""
    grid = Grid.box(np.array([-32.0, -26.0, -LONG / 2 - 4]), np.array([32.0, 26.0, LONG / 2 + 4]), spacing)
    x, y, z = np.moveaxis(grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)
    tilt = np.radians(90.0 - angle_deg)
    across = z * np.cos(tilt) + y * np.sin(tilt)  # distance from the plane of the break
    turn = np.tan(np.radians(bent_deg))
    upper, lower = across > gap_mm / 2, across < -gap_mm / 2
    left = np.where(across > 0, x - offset_mm - turn * z, x)
    r = np.hypot(left, y)
    bone = (r <= RADIUS) & (np.abs(z) <= LONG / 2)
    hu = np.where(bone, np.where(r >= RADIUS - CORTEX, 1200.0, 60.0), 40.0)
    solid = bone & (upper | lower) if gap_mm > 0 else bone
    hu[~solid] = 40.0
    hu += noise * np.random.default_rng(np.random.SeedSequence(7)).normal(size=hu.shape)
    outline = bone if outline_holds_gap else solid
    image = Volume(hu.astype(np.float32), grid)
    anatomy = Anatomy(Volume(np.ones(grid.shape, bool), grid), image, {FEMUR: Volume(outline, grid)})
    parts = [float((solid & side).sum()) * spacing**3 / 1000 for side in (across > 0, across < 0)]
    return anatomy, parts


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize(
    ("angle", "gap", "offset"), [(90.0, 3.0, 0.0), (90.0, 3.0, 5.0), (60.0, 3.0, 0.0), (60.0, 3.0, 4.0), (35.0, 3.0, 6.0)]
)
def test_two_fragments_of_a_broken_tube(angle, gap, offset, held):
    anatomy, parts = tube(angle, gap, offset, outline_holds_gap=held)
    state = fracture_state(anatomy, FEMUR, facts(fracture="present"), AXIS)
    assert state.status == "present"
    assert len(state.fragments) == 2
    assert state.displacement_mm == pytest.approx(offset, abs=OFFSET_MM)
    assert state.angle_deg == pytest.approx(angle, abs=ANGLE_DEG)
    assert state.gap_mm == pytest.approx(gap, abs=GAP_MM)
    assert state.angulation_deg == pytest.approx(0.0, abs=ANGLE_DEG)
    for fragment, millilitres in zip(state.fragments, parts, strict=True):
        assert fragment.volume_ml == pytest.approx(millilitres, rel=VOLUME)
    assert state.fragments[0].middle_mm[2] > 0 > state.fragments[1].middle_mm[2]
    assert "towards the head" in state.fragments[0].name
    assert "stabilise" in state.sentence
    assert "no load at which it would break is told" in state.sentence


def test_a_bent_break_tells_its_angle():
    anatomy, _ = tube(90.0, 4.0, 0.0, bent_deg=10.0)
    state = fracture_state(anatomy, FEMUR, facts(fracture="present"), AXIS)
    assert state.angulation_deg == pytest.approx(10.0, abs=ANGLE_DEG)


def test_without_a_load_axis_no_angle_is_told_and_the_rest_is():
    anatomy, _ = tube(90.0, 3.0, 5.0)
    state = fracture_state(anatomy, FEMUR, facts(fracture="present"))
    assert state.angle_deg is None
    assert state.displacement_mm == pytest.approx(5.0, abs=OFFSET_MM)


def test_a_gap_that_nobody_named_is_asked_for_and_a_chart_that_says_none_is_not_overruled():
    anatomy, _ = tube(90.0, 3.0, 0.0)
    asked = fracture_state(anatomy, FEMUR, {}, AXIS)
    assert asked.status == "asked"
    assert asked.sentence.startswith("Is there a fracture? The CT shows possible fracture")
    assert len(asked.fragments) == 2
    denied = fracture_state(anatomy, FEMUR, facts(fracture="none"), AXIS)
    assert denied.status == "none"
    assert "The chart says that there is no fracture. The CT shows" in denied.sentence


def test_present_without_a_gap_tells_no_fragments():
    anatomy, _ = tube()
    state = fracture_state(anatomy, FEMUR, facts(fracture="present"), AXIS)
    assert state.status == "present"
    assert state.fragments == ()
    assert state.displacement_mm is None
    assert "not told apart" in state.sentence


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({}, "asked"),  # neither type nor weight are told: unknown is never safe
        ({"lesion_type": "lytic"}, "asked"),
        ({"lesion_type": "mixed"}, "asked"),
        ({"lesion_type": OneOf(("lytic", "blastic"))}, "asked"),
        ({"lesion_type": "blastic"}, "none"),
        ({"lesion_type": "lytic", "weight_bearing": False}, "none"),
        ({"lesion_type": "lytic", "fracture": "none"}, "none"),
        ({"lesion_type": "lytic", "fracture": "impending"}, "none"),
        ({"lesion_type": "blastic", "fracture": OneOf(("none", "present"), conflict=True)}, "asked"),
        ({"lesion_type": "lytic", "fracture": Unknown("cannot tell: a gap")}, "asked"),
    ],
)
def test_when_a_fracture_of_an_intact_femur_is_asked_for(told, status):
    anatomy, _ = tube(spacing=2.0)
    assert fracture_state(anatomy, FEMUR, facts(**told), AXIS).status == status


def test_bones_that_bear_weight():
    assert all(weight_bearing(structure(n), {}) for n in ("femur_left", "tibia_right", "hip_left", "sacrum", "vertebra_T8"))
    assert not any(weight_bearing(structure(n), {}) for n in ("rib_7_left", "humerus_left", "scapula_right", "sternum"))
    assert weight_bearing(RIB, facts(weight_bearing=True))
    assert not weight_bearing(HIP, facts(weight_bearing=False))


def test_neither_mirels_nor_van_der_linden_apply_to_a_fracture_that_is_there():
    told = facts(fracture="present", long_bone=True, lesion_type="lytic")
    for score in (mirels, van_der_linden):
        assert isinstance(score(told, FEMUR, "femur.shaft").state, NotApplicable)


def test_errors():
    anatomy, _ = tube(spacing=3.0)
    with pytest.raises(InputError, match="no direction"):
        fracture_state(anatomy, FEMUR, {}, np.zeros(3))
    with pytest.raises(NotOutlinedError):
        fracture_state(anatomy, RIB, {}, AXIS)
    empty = anatomy.mask(FEMUR).with_array(np.zeros(anatomy.grid.shape, bool))
    with pytest.raises(NotOutlinedError):
        fracture_state(Anatomy(anatomy.imaged, None, {FEMUR: empty}), FEMUR, {}, AXIS)


@pytest.mark.parametrize("held", [True, False])
def test_strength_of_a_broken_bone_tells_displacement_and_angle_to_the_load_and_no_number(held, monkeypatch):
    """The pose comes first: the refusal says how the break stands to the load that was asked for, and it is looked for once."""
    from osteon.assessment import strength as door
    from osteon.assessment.loads.base import LoadCase

    anatomy, _ = tube(60.0, 3.0, 4.0, outline_holds_gap=held)
    calls = []

    def counted(*args):
        calls.append(args)
        return fracture_state(*args)

    monkeypatch.setattr(door, "fracture_state", counted)
    case = LoadCase("shaft-torsion", FEMUR, axis=(0.0, 0.0, 1.0))
    found = door.strength_of(anatomy, case, facts=facts(fracture="present"))
    assert len(calls) == 1
    assert (found.status, found.now, found.failure) == ("refused", None, None)
    assert found.fracture.angle_deg == pytest.approx(60.0, abs=ANGLE_DEG)
    assert found.fracture.displacement_mm == pytest.approx(4.0, abs=OFFSET_MM)
    assert "to the load" in found.why
    assert "Displaced by" in found.why
    assert "stabilise" in found.why


def test_a_broken_bone_without_a_pose_is_told_all_the_same():
    """No head, no stance: the angle to the load is what cannot be told, not the fracture."""
    from osteon.assessment.loads.base import LoadCase
    from osteon.assessment.strength import strength_of

    anatomy, _ = tube(60.0, 3.0, 4.0)
    found = strength_of(anatomy, LoadCase("femur-stance", FEMUR), facts=facts(fracture="present"))
    assert found.status == "refused"
    assert found.pose is None
    assert found.fracture.displacement_mm == pytest.approx(4.0, abs=OFFSET_MM)
    assert "How the gap stands to the load cannot be told" in found.why
    assert "stabilise" in found.why
