import json
from dataclasses import replace

import numpy as np
import pytest

from osteon.planning.plan import Path, PathSearch
from osteon.planning.prescription import needle_lines, prescribe
from osteon.space.anatomy import structure
from osteon.space.volume import Volume
from osteon.treatments.base import NeedlePose, Setting
from planning.scene import ACCESS, block

LESION, HIP = structure("lesion"), structure("hip_right")
STRAIGHT = NeedlePose((0.0, -80.0, 0.0), (0.0, 0.0, 0.0))  # from the front, straight back


def test_exact_depths_and_angles_of_a_straight_needle():
    lines = needle_lines(block(spacing=1.0), LESION, HIP, STRAIGHT, ACCESS)
    assert lines["in_plane_angle_deg"] == 0.0
    assert lines["craniocaudal_angle_deg"] == 0.0
    assert lines["depth_skin_to_cortex_mm"] == pytest.approx(55.0, abs=1.0)
    assert lines["depth_skin_to_target_mm"] == pytest.approx(68.0, abs=1.0)
    assert lines["depth_skin_to_tip_mm"] == 80.0
    assert lines["mm_in_bone"] == pytest.approx(13.0, abs=1.5)


def test_exact_angles_of_a_tilted_needle():
    pose = NeedlePose((40.0, -40.0 * np.sqrt(3), 30.0), (0.0, 0.0, 0.0))
    lines = needle_lines(block(), LESION, HIP, pose, ACCESS)
    assert lines["in_plane_angle_deg"] == pytest.approx(30.0, abs=0.1)
    assert lines["craniocaudal_angle_deg"] == pytest.approx(-np.rad2deg(np.arctan2(30.0, 80.0)), abs=0.1)
    assert "towards the back and the patient's right" in lines["in_plane_text"]
    assert "towards the feet" in lines["craniocaudal_text"]


def test_intact_cortex_needs_the_bone_needle_of_seed_4_and_a_bore_that_passes():
    lines = needle_lines(block(), LESION, HIP, STRAIGHT, ACCESS)
    assert lines["cortex"] == "intact"
    assert "[004 «10-cm, 11-gauge or 13-gauge bone needle»]" in lines["cortex_text"]
    assert lines["introducer"] == ACCESS.introducer
    assert lines["warnings"] == []
    narrow = needle_lines(block(), LESION, HIP, STRAIGHT, replace(ACCESS, introducer_bore_mm=1.5))
    assert any("does not pass" in w for w in narrow["warnings"])
    short = needle_lines(block(), LESION, HIP, STRAIGHT, replace(ACCESS, introducer_length_mm=50.0))
    assert any("introducer too short" in w for w in short["warnings"])


def test_broken_cortex_takes_the_antenna_directly():
    lines = needle_lines(block(radius=26.0), LESION, HIP, STRAIGHT, ACCESS)
    assert lines["cortex"] == "broken"
    assert lines["introducer"] == "none: the instrument directly"


def test_entry_from_midline_and_from_the_nearest_bone():
    one_sided = block(spacing=1.0)
    other = one_sided.grid.to_mm(np.stack(np.indices(one_sided.grid.shape), axis=-1))[..., 1] > 60.0
    anatomy = one_sided.with_mask(structure("hip_left"), Volume(other & one_sided.mask("body").array, one_sided.grid))
    lines = needle_lines(anatomy, LESION, HIP, NeedlePose((30.0, -80.0, 0.0), (0.0, 0.0, 0.0)), ACCESS)
    assert lines["entry_from_midline_mm"] == pytest.approx(30.0, abs=2.5)
    assert lines["entry_side_of_midline"] == "left"
    assert lines["landmark"]["structure"] == "hip_right"
    assert lines["landmark"]["cranial_mm"] == pytest.approx(-24.0, abs=2.0)
    index = anatomy.grid.to_index(np.array([30.0, -80.0, 0.0]))[0]
    assert lines["entry_slice_index"] == round(index)


def test_the_middle_of_one_side_is_no_midline():
    lines = needle_lines(block(), LESION, HIP, STRAIGHT, ACCESS)
    assert lines["entry_from_midline_mm"] is None
    assert "cannot tell" in lines["midline_text"]


def test_a_midline_that_the_image_cuts_is_not_told():
    lines = needle_lines(block(air=0.0), LESION, HIP, STRAIGHT, ACCESS)
    assert lines["entry_from_midline_mm"] is None
    assert "cannot tell" in lines["midline_text"]


def test_the_whole_is_json_and_says_when_the_patient_must_be_turned():
    setting = Setting("ball", (STRAIGHT,), (("power_w", 60.0), ("time_s", 300.0)))
    paths = PathSearch(1, 1, (Path(STRAIGHT, {}, None, "", "prone"),), 0, "", {})
    found = prescribe(block(), LESION, HIP, [setting], ACCESS, paths, "HFS")
    assert json.loads(json.dumps(found)) == found
    assert found["patient_position"] == "prone"
    assert any("image again" in w for w in found["warnings"])
    assert found["applications"][0]["controls"] == {"power_w": 60.0, "time_s": 300.0}
    fixed = prescribe(block(), LESION, HIP, [setting], ACCESS, paths, "HFP", fixed=True)
    assert fixed["warnings"] == []


def in_plane(way: tuple[float, float, float], position: str = "any") -> str:
    pose = NeedlePose(tuple(-80.0 * v for v in way), (0.0, 0.0, 0.0))
    return str(needle_lines(block(), LESION, HIP, pose, ACCESS, position)["in_plane_text"])


def test_a_needle_along_one_axis_is_not_said_to_go_along_the_other():
    assert in_plane((1.0, 0.0, 0.0)) == "in the axial plane 90° from the vertical: towards the patient's left"
    assert in_plane((0.0, 1.0, 0.0)) == "in the axial plane 0° from the vertical: towards the back"
    assert in_plane((0.0, 0.0, 1.0)) == "along the body's long axis: no direction in the axial plane"


def test_on_the_side_the_front_back_line_is_not_vertical():
    told = in_plane((np.sin(np.pi / 9), np.cos(np.pi / 9), 0.0), "left_decubitus")
    assert "20° from the front-back line, 70° from the vertical" in told


def test_an_image_made_lying_otherwise_than_the_chart_wants_is_to_be_made_again():
    setting = Setting("ball", (STRAIGHT,), (("power_w", 60.0),))
    paths = PathSearch(1, 1, (Path(STRAIGHT, {}, None, "", "supine"),), 0, "", {})
    warned = prescribe(block(), LESION, HIP, [setting], ACCESS, paths, "FFP", fixed=True)["warnings"]
    assert len(warned) == 1
    assert "position by the chart: supine; the image was made prone" in warned[0]
    assert prescribe(block(), LESION, HIP, [setting], ACCESS, paths, "FFS", fixed=True)["warnings"] == []
