"""Which studies may be laid over the planning CT: nothing by headers alone, dates kept, three-part refusals."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from osteon.cache import Cache
from osteon.case import align as align_module
from osteon.case import phantom
from osteon.case.align import align, align_study
from osteon.case.model import Case, Lesion, Study
from osteon.case.places import Places
from osteon.errors import ImageError, MissingError
from osteon.io import images
from osteon.io.register import Refusal, Registration
from osteon.space.anatomy import structure
from osteon.space.volume import Volume

DAY = date(2026, 3, 1)


def study(name, modality, volume, day=None, imaged=None):
    full = volume.with_array(np.ones(volume.array.shape, bool)) if imaged is None else imaged
    return Study(name, modality, day, volume, full)


@pytest.fixture
def planning():
    return study("ct1", "CT", phantom.build("femur", spacing_mm=4.0).image, DAY)


def answer(**changes):
    """A registration result, to try the decision alone."""
    given = {
        "transform": np.eye(4),
        "metric": 0.3,
        "error_mm": 2.0,
        "inverse_consistency_mm": 0.5,
        "restarts_spread_mm": 0.5,
        "overlap_fraction": 0.9,
        "ended": "converged",
        "halves_spread_mm": 0.5,
        "target_mm": np.array([[-98.5, 4.0, -450.0]]),
    }
    return Registration(**(given | changes))


def decided(monkeypatch, planning, found, other=None, **more):
    monkeypatch.setattr(align_module, "register", lambda *a, **k: found)
    return align_study(planning, other or replace(planning, id="mr1", modality="MR"), **more)


def test_planning_ct_needs_none(planning):
    out = align_study(planning, planning)
    assert (out.accepted, out.by, out.error_mm, out.days) == (True, "itself", 0.0, 0)


def test_converged_is_used_and_its_error_shown(monkeypatch, planning):
    out = decided(monkeypatch, planning, answer(error_mm=2.4))
    assert (out.accepted, out.by, out.error_mm, out.headers_contradicted) == (True, "images", 2.4, False)
    assert "2.4 mm" in out.text


def test_agreeing_affines_are_not_believed_where_the_image_fits_elsewhere(monkeypatch, planning):
    out = decided(monkeypatch, planning, answer(header_gap_mm=246.0))
    assert out.headers_contradicted
    assert "WARNING" in out.text
    assert "246 mm" in out.text


POOR = Refusal("The estimated error is 7 mm.", "A needle would miss.", "Take a new image.")


def test_headers_stand_where_the_images_confirm_them(monkeypatch, planning):
    out = decided(monkeypatch, planning, answer(ended="refused", refusals=(POOR,), error_mm=7.0, header_gap_mm=4.0))
    assert (out.accepted, out.by) == (True, "headers")
    assert np.array_equal(out.transform, np.eye(4))
    assert out.error_mm >= 4.0


@pytest.mark.parametrize(
    "changes",
    [
        {"header_gap_mm": 12.0},
        {"header_gap_mm": 1.0, "inverse_consistency_mm": 9.0},
        {"header_gap_mm": 1.0, "restarts_spread_mm": 9.0},
        {"header_gap_mm": 1.0, "overlap_fraction": 0.1},
        {"header_gap_mm": 1.0, "metric": 0.001},
    ],
)
def test_headers_do_not_stand_on_a_blind_registration(monkeypatch, planning, changes):
    out = decided(monkeypatch, planning, answer(ended="refused", refusals=(POOR,), error_mm=7.0, **changes))
    assert (out.accepted, out.by, out.transform) == (False, "nothing", None)
    assert "A needle would miss. Take a new image." in out.text
    with pytest.raises(ImageError, match="not aligned"):
        out.carry(planning.imaged, planning.volume.grid)


def test_lesion_outside_the_field_is_not_aligned(monkeypatch, planning):
    target = np.array([[900.0, 0.0, 0.0]])
    out = decided(monkeypatch, planning, answer(target_mm=target), target_mm=target)
    assert not out.accepted
    assert "0 % of it lies in the field" in out.text


@pytest.mark.parametrize(
    ("day", "days", "words"),
    [
        (date(2025, 3, 1), -365, "365 days before"),
        (date(2026, 3, 2), 1, "1 day after"),
        (DAY, 0, "same day"),
        (None, None, "day unknown"),
    ],
)
def test_dated_studies_stay_apart(monkeypatch, planning, day, days, words):
    out = decided(monkeypatch, planning, answer(), replace(planning, id="old", date=day))
    assert (out.date, out.days) == (day, days)
    assert words in out.text


def test_align_takes_every_study_and_judges_at_the_lesion(monkeypatch, planning):
    made = phantom.build("femur", spacing_mm=4.0)
    lesion = Lesion("L1", made.lesion_bone, {}, made.masks[structure("lesion")])
    asked = []

    def fake(*given, target_mm, **more):
        asked.append(target_mm)
        return answer(target_mm=target_mm)

    monkeypatch.setattr(align_module, "register", fake)
    studies = (replace(planning, id="mr0", modality="MR"), planning, replace(planning, id="ct0", date=date(2025, 1, 1)))
    out = align(Case(Path(), "P", {}, (lesion,), studies))
    assert [(a.study_id, a.by) for a in out] == [("mr0", "images"), ("ct1", "itself"), ("ct0", "images")]
    assert len(asked) == 2
    assert np.linalg.norm(asked[0].mean(axis=0) - made.lesion_centre_mm) <= 4.0


def test_no_ct_says_what_to_add(planning):
    with pytest.raises(MissingError, match="Add a CT"):
        align(Case(Path(), "P", {}, (), (replace(planning, modality="MR"),)))


def test_unusable_image_is_refused_not_raised(planning):
    flat = study("mr1", "MR", planning.volume.with_array(np.zeros(planning.volume.array.shape, np.float32)))
    out = align_study(planning, flat)
    assert not out.accepted
    assert "single value" in out.text


def load(name, modality, path):
    file = images.read(path)
    return Study(name, modality, file.date, file.volume, file.imaged)


@pytest.mark.real
def test_pelvis_crop_with_the_affine_of_the_whole_is_not_accepted_in_silence(real):
    """Trap: example_ct_sm keeps the affine of the uncropped CT; its world z is wrong by 82 x 3 = 246 mm."""
    folder = real("pelvis_ct")
    out = align_study(load("ct", "CT", folder / "example_ct.nii.gz"), load("sm", "CT", folder / "example_ct_sm.nii.gz"))
    assert out.by != "headers"
    if out.accepted:
        assert out.headers_contradicted
        assert np.allclose(out.transform[:3, 3], [0, 0, 246], atol=3.0)
        assert np.allclose(out.transform[:3, :3], np.eye(3), atol=0.02)


@pytest.mark.real
@pytest.mark.parametrize("patient", ["STS_018", "STS_036"])
def test_sarcoma_ct_and_mr_are_in_register_to_two_voxels(real, patient):
    """Trap: one frame of reference, three grids. Truth is not known; headers and images must agree at the tumour."""
    folder = real("sarcoma") / "nifti" / patient
    planning, mr = load("ct", "CT", folder / "CT_image.nii.gz"), load("mr", "MR", folder / "MR_T1_image.nii.gz")
    tumour = images.read(folder / "CT_mask.nii.gz").volume
    tumour = Volume(tumour.array > 0.5, tumour.grid)
    out = align_study(planning, mr, target_mm=tumour.grid.to_mm(np.argwhere(tumour.array)[::400]))
    assert out.accepted, out.text
    assert out.registration.header_gap_mm <= 2 * max(planning.volume.spacing_mm)
    assert out.error_mm <= 2 * max(planning.volume.spacing_mm)


def test_headers_of_another_day_do_not_stand(monkeypatch, planning):
    """A patient never lies down twice in the same place, so headers that happen to be near tell nothing."""
    coarse = answer(ended="refused", refusals=(POOR,), error_mm=7.0, header_gap_mm=4.0)
    out = decided(monkeypatch, planning, coarse, replace(planning, id="mr1", modality="MR", date=date(2026, 2, 20)))
    assert (out.accepted, out.by) == (False, "nothing")


def test_headers_of_another_day_may_lie_elsewhere_without_warning(monkeypatch, planning):
    other = replace(planning, id="mr1", modality="MR", date=date(2026, 2, 20))
    out = decided(monkeypatch, planning, answer(header_gap_mm=90.0), other)
    assert out.accepted
    assert not out.headers_contradicted
    assert "WARNING" not in out.text
    assert "of another day, place it 90 mm" in out.text


def test_two_ct_that_agree_too_little_may_be_two_patients(monkeypatch, planning):
    out = decided(monkeypatch, planning, answer(metric=0.24), replace(planning, id="ct0"))
    assert (out.accepted, out.transform) == (False, None)
    assert "Check that both are of this patient" in out.text
    assert decided(monkeypatch, planning, answer(metric=0.24)).accepted  # an MR tells less


def test_error_where_headers_stand_is_the_gap_at_that_place(monkeypatch, planning):
    turn = np.eye(4)
    turn[0, 3] = 3.0
    out = decided(
        monkeypatch, planning, answer(transform=turn, ended="refused", refusals=(POOR,), error_mm=7.0, header_gap_mm=3.0)
    )
    assert out.by == "headers"
    assert out.error_at(np.zeros((1, 3))) == pytest.approx(max(3.0, out.error_mm))


def test_error_of_a_refused_alignment_is_none_to_be_had(monkeypatch, planning):
    out = decided(monkeypatch, planning, answer(ended="refused", refusals=(POOR,), header_gap_mm=50.0))
    with pytest.raises(ImageError, match="not aligned"):
        out.error_at(np.zeros((1, 3)))


def test_nothing_is_aligned_without_a_planning_ct_and_nothing_carried(planning):
    mr = replace(planning, id="mr1", modality="MR")
    pet = replace(planning, id="pet1", modality="PT")
    assert align_module.aligned((mr, pet), mr, []) == ()
    places = Places(Path(), (mr, pet), mr)
    assert places.carry(mr.imaged, mr) == (mr.imaged, 0.0)
    with pytest.raises(ImageError, match="aligned to nothing"):
        places.carry(pet.imaged, pet)


def test_each_study_is_kept_by_itself(monkeypatch, planning, tmp_path):
    asked = []

    def fake(_, moving, **more):
        asked.append(moving)
        return answer()

    monkeypatch.setattr(align_module, "register", fake)
    mr, ct0 = replace(planning, id="mr1", modality="MR"), replace(planning, id="ct0", date=date(2025, 1, 1))
    cache, stamps = Cache(tmp_path), {"ct1": "a", "mr1": "b", "ct0": "c"}
    align_module.aligned((planning, mr), planning, [], cache, stamps)
    align_module.aligned((planning, mr, ct0), planning, [], cache, stamps)
    assert len(asked) == 2
    later = align_module.aligned((planning, replace(mr, date=date(2026, 3, 5))), planning, [], cache, stamps)
    assert later[0].days == 4  # the day is a part of the key
    align_module.aligned((planning, mr), planning, [], cache, {**stamps, "mr1": "other file"})
    assert len(asked) == 4


@pytest.mark.real
def test_real_sarcoma_pet_of_one_frame_of_reference_stays_within_a_voxel_of_its_headers(real):
    folder = real("sarcoma") / "nifti" / "STS_018"
    planning, pet = load("ct", "CT", folder / "CT_image.nii.gz"), load("pet", "PT", folder / "PET_image.nii.gz")
    tumour = images.read(folder / "CT_mask.nii.gz").volume
    out = align_study(planning, pet, target_mm=tumour.grid.to_mm(np.argwhere(tumour.array > 0.5)[::400]))
    assert out.accepted, out.text
    assert out.registration.header_gap_mm <= max(pet.volume.spacing_mm)


@pytest.mark.real
def test_real_sarcoma_mr_outline_carried_to_the_ct_meets_the_ct_outline_within_the_error(real):
    """The set's own outlines on MR and CT are an answer that the registration has not seen."""
    folder = real("sarcoma") / "nifti" / "STS_018"
    planning, mr = load("ct", "CT", folder / "CT_image.nii.gz"), load("mr", "MR", folder / "MR_T1_image.nii.gz")
    tumour, drawn = (images.read(folder / f"{name}_mask.nii.gz").volume for name in ("CT", "MR_T1"))
    tumour, drawn = (Volume(m.array > 0.5, m.grid) for m in (tumour, drawn))
    out = align_study(planning, mr, target_mm=align_module.points_of(tumour))
    carried = out.carry(drawn, planning.volume.grid)
    assert np.linalg.norm(carried.centre_mm() - tumour.centre_mm()) <= out.error_mm


@pytest.mark.real
def test_real_ct_of_another_patient_is_refused(real):
    folder = real("sarcoma") / "nifti"
    planning = load("ct", "CT", folder / "STS_018" / "CT_image.nii.gz")
    other = load("ct0", "CT", real("pelvis_ct") / "example_ct.nii.gz")
    out = align_study(planning, other)
    assert (out.accepted, out.transform) == (False, None)
