"""The real pelvis of shared/data/pelvis_ct: the traps that assessment must not step into. Lesions are balls drawn here."""

from pathlib import Path

import numpy as np
import pytest

from osteon.assessment.assess import assess
from osteon.case.model import Case, Lesion, Study
from osteon.facts import Interval, Known, NotApplicable, Unknown, possible
from osteon.io import images, labels
from osteon.space.anatomy import structure
from osteon.space.volume import Volume

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def pelvis(request):
    from conftest import shared_path

    folder = shared_path("data/pelvis_ct")
    image = images.read(folder / "example_ct.nii.gz")
    outlines = labels.read(folder / "example_seg_fast_force_split.nii.gz", image.volume.grid)
    return image, outlines.masks


def judged(pelvis, bone, centre, region=None, radius=12.5, outlined=True, lytic=False):
    image, masks = pelvis
    grid = image.volume.grid
    places = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    ball = Volume(np.linalg.norm(places - np.asarray(centre), axis=-1) <= radius, grid)
    lesion = Lesion("L1", structure(bone), {}, ball, "palliation", region, "SYNTHETIC ball")
    volume = image.volume
    if lytic:
        volume = volume.with_array(np.where(ball.array, 40, volume.array).astype(np.float32))
    study = Study("ct", "CT", None, volume, image.imaged, contrast=False)
    case = Case(Path(), "pelvis_ct", {}, (lesion,), (study,), masks if outlined else {})
    return assess(case).lesions[0]


def voxels_mm(pelvis, name):
    mask = pelvis[1][structure(name)]
    return mask.grid.to_mm(np.argwhere(mask.array))


def above_acetabulum(pelvis, side):
    top = voxels_mm(pelvis, f"femur_{side}")[:, 2].max()
    bone = voxels_mm(pelvis, f"hip_{side}")
    return bone[np.abs(bone[:, 2] - top - 25) < 2].mean(0)


@pytest.fixture(scope="module")
def right_ilium(pelvis):
    return judged(pelvis, "hip_right", above_acetabulum(pelvis, "right"), "ilium above the acetabulum")


def test_real_pelvis_right_ilium_waits_for_the_sciatic_nerve_and_nothing_else(right_ilium):
    unknown = [r.text for r in right_ilium.required if not r.known]
    assert unknown == ["cannot tell: outline the right sciatic nerve"]
    assert right_ilium.facts["distance_nerve_mm"].state == Unknown("cannot tell: outline the right sciatic nerve")
    critical = right_ilium.facts["distance_critical_mm"].state  # the joint, derived where the labels touch, is nearer than 10 mm
    assert isinstance(critical, Interval)
    assert critical.low == 0.0
    assert critical.high < 10.0
    assert right_ilium.anatomy.log[-1] == "SYNTHETIC ball"


def test_real_pelvis_hip_joint_is_derived_and_called_approximate(right_ilium):
    joint = next(r for r in right_ilium.required if r.structure == "hip_joint_right")
    assert joint.known
    assert structure("hip_joint_right") in right_ilium.anatomy.approximate
    assert "approximately" in joint.text


def test_real_pelvis_scores_do_not_apply_to_a_hip_bone(right_ilium):
    of_the_patient = {"katagiri"}
    assert all(isinstance(s.state, NotApplicable) for s in right_ilium.scores if s.id not in of_the_patient)


def test_real_pelvis_cut_femora_and_hips_warn(right_ilium):
    warning = next(w for w in right_ilium.warnings if w.startswith("cut by the edge of the image"))
    assert "right femur" in warning
    assert "right hip bone" in warning
    assert "sacrum" not in warning  # complete in the field


def test_real_pelvis_left_skin_of_the_hip_is_outside_the_field_and_no_skin(pelvis, right_ilium):
    skin = right_ilium.anatomy.mask("skin").array
    body = right_ilium.anatomy.mask("body").array
    assert body[:30, :, -1].any(axis=1).all()  # the lowest 90 mm are cut on the left
    assert np.flatnonzero(body[:, :, 0].any(axis=1)).tolist() == [0, 1, 2, 3, 4]  # on the right only slices 0 to 4
    for z in range(30):
        rows = np.flatnonzero(body[z, :, -1])
        assert not skin[z, rows[2:-2], -1].any()
    flank = np.array([160.0, -140.0, 124.0])
    found = judged(pelvis, "hip_left", flank, "wing", radius=8)
    judged_skin = next(r for r in found.required if r.structure == "skin")
    assert judged_skin.status == "outside_field"
    assert "the skin on the left is outside the field" in judged_skin.text
    assert isinstance(found.facts["depth_from_skin_mm"].state, Unknown)


def test_real_pelvis_the_table_is_no_body(right_ilium, pelvis):
    body = right_ilium.anatomy.mask("body").array
    image = pelvis[0].volume.array
    behind = np.argwhere(image > -300)[:, 1].max()
    assert np.argwhere(body)[:, 1].max() < behind  # something dense lies behind the patient and is left out


def test_real_pelvis_metal_in_the_left_femur_is_found_and_the_right_has_none(pelvis):
    found = {}
    for side in ("left", "right"):
        femur = voxels_mm(pelvis, f"femur_{side}")
        low = femur[:, 2].min()
        found[side] = judged(pelvis, f"femur_{side}", femur[femur[:, 2] < low + 40].mean(0), radius=9)
    assert found["left"].facts["implant_near"].state == Known(True)
    assert any("metal" in w for w in found["left"].warnings)
    assert found["right"].facts["implant_near"].state != Known(True)


def test_real_pelvis_spinal_cord_label_is_canal_content_and_no_root(pelvis):
    body = voxels_mm(pelvis, "vertebra_L3").mean(0) + np.array([0, -12, 0])
    found = judged(pelvis, "vertebra_L3", body, "body")
    cord = next(r for r in found.required if r.structure == "spinal_cord")
    assert cord.known
    assert "end at L5" in cord.text
    assert found.facts["distance_cord_mm"].value < 15
    roots = [r for r in found.required if "nerve_roots" in r.structure]
    assert roots
    assert all(not r.known for r in roots)
    assert found.facts["long_bone"].state == Known(False)
    sacrum = judged(pelvis, "sacrum", voxels_mm(pelvis, "sacrum").mean(0))
    assert any(r.structure.startswith("sacral_nerve_roots") and not r.known for r in sacrum.required)


def test_real_pelvis_thin_endplates_at_3_mm_are_not_called_a_breach(pelvis):
    body = voxels_mm(pelvis, "vertebra_L3").mean(0) + np.array([0, -12, 0])
    assert judged(pelvis, "vertebra_L3", body, "body").facts["cortex_contact"].state != Known("breached")


HU_FACTS = ("mean_hu", "lytic_fraction", "blastic_fraction", "lesion_type", "cortex_contact", "cortex_loss_mm2")


def test_real_pelvis_metal_closes_what_is_read_from_hu_in_the_left_femur_and_not_in_the_right(pelvis):
    found = {}
    for side in ("left", "right"):
        femur = voxels_mm(pelvis, f"femur_{side}")
        found[side] = judged(pelvis, f"femur_{side}", femur[femur[:, 2] < femur[:, 2].min() + 40].mean(0), radius=9)
    left, right = found["left"], found["right"]
    implant = left.anatomy.mask("implant").array
    dense = pelvis[0].volume.array > 2000
    assert dense.sum() == 529  # the data page
    assert np.array_equal(implant, dense)  # one connected piece, all of it
    assert not (implant & ~pelvis[1][structure("femur_left")].array).any()
    for name in HU_FACTS:
        assert "streaks of metal spoil HU here" in left.facts[name].state.why, name
        assert "metal" not in str(right.facts[name].state), name
    assert any(w.startswith("metal 0 mm from the lesion") for w in left.warnings)
    assert not any(" mm from the lesion: " in w for w in right.warnings)


def test_real_pelvis_without_label_map_three_lesions_are_measured_alike(pelvis):
    """Tolerances set before: sizes equal, distances within a voxel (3 mm), answers about cortex do not exclude each other."""
    femur = voxels_mm(pelvis, "femur_right")
    for bone, centre, radius in (
        ("hip_right", above_acetabulum(pelvis, "right"), 12.5),
        ("vertebra_L3", voxels_mm(pelvis, "vertebra_L3").mean(0) + np.array([0, -12, 0]), 11),
        ("femur_right", femur[femur[:, 2] < femur[:, 2].min() + 40].mean(0), 9),
    ):
        known, bare = (judged(pelvis, bone, centre, None, radius, outlined, lytic=True) for outlined in (True, False))
        assert structure(bone) in bare.anatomy.approximate
        assert structure("other_bone") in bare.anatomy.approximate
        a, b = known.facts, bare.facts
        for name in (
            "volume_ml",
            "size_max_mm",
            "lesion_type",
            "lytic_fraction",
            "soft_tissue_component",
            "side",
            "implant_near",
        ):
            assert a[name].state == b[name].state, (bone, name)
        for name in ("depth_from_skin_mm", "distance_skin_mm"):
            assert b[name].value == pytest.approx(a[name].value, abs=3), (bone, name)
        assert set(possible(a["cortex_contact"].state)) & set(possible(b["cortex_contact"].state)), bone
        loss = [_ends(f["cortex_loss_mm2"].state) for f in (a, b)]
        assert loss[0][0] <= loss[1][1], (bone, loss)
        assert loss[1][0] <= loss[0][1], (bone, loss)


def test_real_pelvis_healthy_bones_show_no_gap(pelvis, right_ilium):
    assert not any("possible fracture" in w for w in right_ilium.warnings)


def _ends(state):
    return (state.low, state.high) if isinstance(state, Interval) else (state.value, state.value)
