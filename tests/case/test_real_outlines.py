"""Real outline files in a case: the lung's RTSTRUCT, drawn on a part of the slices, and SEG files of several makers."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from osteon.assessment.assess import assess
from osteon.assessment.measure_base import Scene
from osteon.assessment.measure_distance import distance_cord_mm
from osteon.case.load import load_case
from osteon.case.model import Case
from osteon.facts import Known, Unknown
from osteon.io import images, labels, metaimage
from osteon.space.anatomy import Anatomy, structure
from osteon.space.drawn import open_ends

BASE = "ct_images_seg_nsclc/LUNG1-001"
HEAD = "schema: osteon-case/1\npatient: p\ndate: 2025-03-03\nstudies:\n  - {id: ct1, modality: CT, file: "
LUNG = f"{HEAD}{BASE}/image}}\nlabels:\n  - file: {BASE}/mask_rtstruct/1-1.dcm\n"
LESION = "lesions:\n  - id: L1\n    bone: vertebra\n    level: T6\n    side: midline\n"
CORD = structure("spinal_cord")


@pytest.fixture(scope="module")
def lung(tmp_path_factory) -> Callable[[Path, str], Case]:
    from conftest import shared_path

    archive = shared_path("data/lung_rtstruct") / "LUNG1-001_ct_rtstruct.tar.xz"
    folder = tmp_path_factory.mktemp("lung")
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")

    def load(text: str) -> Case:
        (folder / "case.yaml").write_text(text, encoding="utf-8")
        return load_case(folder)

    return load


@pytest.fixture(scope="module")
def patient(lung) -> Case:
    return lung(LUNG + LESION)


@pytest.mark.real
def test_real_lung_names_are_mapped_and_the_gtv_goes_to_the_only_lesion(patient):
    assert {k.id for k in patient.masks} == {"spinal_cord", "lung_left", "lung_right"}
    assert patient.questions == ()
    assert "'GTV-1' was taken for the outline of lesion L1, the only one without an outline" in " ".join(patient.studies[0].notes)
    z = patient.studies[0].volume.grid.to_mm(np.array([[0.0, 0, 0], [133.0, 0, 0]]))[:, 2]
    assert z[0] < z[1]  # the files run from high z to low z; places count


@pytest.mark.real
def test_real_lung_cord_volume_and_distance_from_the_gtv(patient):
    cord, gtv = patient.masks[CORD], patient.lesions[0].mask
    assert cord.array.sum() * cord.grid.voxel_mm3 / 1000 == pytest.approx(44.68, abs=0.01)
    places = [m.grid.to_mm(np.argwhere(m.array)) for m in (cord, gtv)]
    assert cKDTree(places[0]).query(places[1])[0].min() == pytest.approx(57.8, abs=0.05)  # centre to centre
    study = patient.studies[0]
    anatomy = Anatomy(study.imaged, study.volume, {**patient.masks, structure("lesion"): gtv}, drawn=patient.drawn)
    state = distance_cord_mm(Scene(anatomy, structure("vertebra_T6"), "", "CT")).state
    assert isinstance(state, Known)
    assert state.value == pytest.approx(57.8 - np.hypot(3.0, 0.977), abs=np.hypot(3.0, 0.977))  # surface to surface, ± a voxel


@pytest.mark.real
def test_real_lung_84_of_134_slices_of_the_cord_are_drawn_and_its_ends_are_open(patient):
    imaged = patient.studies[0].imaged
    drawn = {k.id: int(patient.drawn[k].array.any(axis=(1, 2)).sum()) for k in patient.masks}
    assert drawn == {"spinal_cord": 84, "lung_left": 88, "lung_right": 86}
    ends = open_ends(CORD, patient.masks[CORD], patient.drawn[CORD], imaged)
    assert np.flatnonzero(ends.array.any(axis=(1, 2))).tolist() == [27, 110]
    for lung in (structure("lung_left"), structure("lung_right")):  # closed by themselves
        assert open_ends(lung, patient.masks[lung], patient.drawn[lung], imaged).box() is None


@pytest.mark.real
def test_real_lung_where_nobody_drew_the_cord_its_distance_is_unknown(lung):
    """A ball at z = -640 mm, 40 mm below the last contour of the cord (z = -600.5 mm)."""
    case = lung(
        LUNG
        + "    answers: {GTV-1: ignore}\n"
        + LESION
        + "    outline: {sphere_mm: {center: [20, -150, -640], diameter: 20 mm}}\n"
    )
    assert case.questions == ()
    study = case.studies[0]
    masks = {**case.masks, structure("lesion"): case.lesions[0].mask}
    state = distance_cord_mm(
        Scene(Anatomy(study.imaged, study.volume, masks, drawn=case.drawn), structure("vertebra_T12"), "", "CT")
    ).state
    assert isinstance(state, Unknown)
    assert state.why.startswith("cannot tell: the spinal cord")
    assert "is drawn only from z = -600 to -352 mm; draw it on to z = -6" in state.why


@pytest.mark.real
@pytest.mark.slow
def test_real_lung_through_assess(patient):
    lesion = assess(patient).lesions[0]
    assert isinstance(lesion.facts["distance_cord_mm"].state, Known)
    judged = {r.structure: r for r in lesion.required}
    assert judged["spinal_cord"].status == "outlined"
    assert judged["aorta"].status == "not_outlined"


@pytest.mark.real
def test_real_lung_xor_leaves_holes_where_contours_lie_in_one_another(patient):
    notes = [n for n in patient.studies[0].notes if "holes by the XOR rule" in n]
    assert len(notes) == 2


# --- SEG


def seg_case(real, tmp_path: Path, file: str, image: str = "ct-3slice", extra: str = "") -> Case:
    base = real("dicom_seg/data/segmentations")
    (tmp_path / "image").symlink_to(base / image)
    (tmp_path / "outline").symlink_to(base / file)
    text = f"{HEAD}image}}\nlabels:\n  - file: outline\n{extra}lesions:\n  - id: L1\n    bone: unknown\n"
    (tmp_path / "case.yaml").write_text(text, encoding="utf-8")
    return load_case(tmp_path)


@pytest.mark.real
def test_real_liver_seg_by_its_old_code_lies_on_the_ct_slices(real, tmp_path: Path):
    """Frames ascend in z while the CT files descend; label.seg and liver.dcm are told by content (no ending here)."""
    case = seg_case(real, tmp_path, "liver.dcm")
    mask = case.masks[structure("liver")]
    assert mask.array.sum(axis=(1, 2)).tolist() == [36233, 35645, 35220]
    assert case.studies[0].volume.spacing_mm[0] == pytest.approx(1.0)  # by position; SliceThickness says 1.25
    hu = case.studies[0].volume.array[mask.array]
    assert 0 < np.median(hu) < 200
    assert case.drawn == {}  # frames on every slice


@pytest.mark.real
@pytest.mark.parametrize("name", ["noppv", "ppv5"])
def test_real_sparse_labelmap_is_drawn_on_the_slices_from_first_to_last_frame(real, name):
    """The toy CT holds 0 and 1 and is refused as a CT; its outline is read onto its grid all the same."""
    base = real("dicom_seg/data/segmentations")
    grid = images.read(base / "24x38x3" / "image").volume.grid
    found = labels.read(base / f"sparse-labelmap-{name}.dcm", grid)
    mask = found.masks[structure("liver")]
    assert mask.array.sum(axis=(1, 2)).tolist() == [315, 0, 315]  # as in sparse_labelmap_*_seg.nrrd
    assert found.drawn == {}


@pytest.mark.real
def test_real_overlapping_segments_that_stand_for_nothing_known_are_noted(real, tmp_path: Path):
    case = seg_case(real, tmp_path, "partial_overlaps.dcm")
    assert case.masks == {}
    notes = " ".join(case.studies[0].notes)
    assert "GREEN" in notes
    assert "left out" in notes


@pytest.mark.real
def test_real_overlapping_segments_keep_their_voxels_as_structures(real, tmp_path: Path):
    answers = "    answers: {GREEN: liver, ORANGE: aorta, PURPLE: ignore, LIGHT_BLUE: ignore, DARK_BLUE: ignore}\n"
    case = seg_case(real, tmp_path, "partial_overlaps.dcm", extra=answers)
    both = case.masks[structure("liver")].array & case.masks[structure("aorta")].array
    assert int(both.sum()) == 3017


@pytest.mark.real
def test_real_seg_without_its_images_is_refused_on_another_patient(real, tmp_path: Path):
    """sr-example: its PET images are not here; its frames lie nowhere on the liver's CT."""
    from osteon.errors import ImageError

    with pytest.raises(ImageError) as caught:
        seg_case(real, tmp_path, "../sr-example/seg.dcm")
    assert caught.value.do


@pytest.mark.real
@pytest.mark.parametrize(("name", "values"), [("liver_spine_gapped_seg", [1, 5]), ("heart_seg", [3])])
def test_real_label_values_need_not_run_from_one(real, name, values):
    path = real(f"dicom_seg/data/segmentations/{name}.nrrd")
    volume = metaimage.read_volume(path, integer=True).canonical()
    found = labels.read(path, volume.grid, names=dict.fromkeys(values, "liver"))
    assert found.unmapped == ()
    assert int(found.masks[structure("liver")].array.sum()) == int((volume.array > 0).sum())
    assert np.unique(volume.array).tolist() == [0, *values]


@pytest.mark.real
def test_real_adc_map_has_no_unit_and_no_modality(real):
    """The int16 map and the float map differ by the factor 1e-6 of a mapping that an NRRD does not hold."""
    whole, scaled = (images.read(real(f"dicom_seg/data/paramaps/{n}.nrrd")) for n in ("pm-example", "pm-example-float"))
    assert {whole.modality, scaled.modality} == {"unknown"}
    np.testing.assert_allclose(scaled.volume.array, whole.volume.array * 1e-6, atol=1e-9)


@pytest.mark.real
def test_real_sarcoma_pet_slope_per_slice_and_mr_without_slope(real):
    import pydicom

    folder = real("sarcoma/dicom/STS_018/PET/image")
    headers = [pydicom.dcmread(f) for f in folder.iterdir()]
    assert len({float(h.RescaleSlope) for h in headers}) == len(headers) == 55
    pet = images.read(folder).volume
    independent = images.read(real("sarcoma/nifti/STS_018/PET_image.nii.gz")).volume
    np.testing.assert_allclose(pet.array, independent.array, atol=1e-4)
    mr = images.read(real("sarcoma/dicom/STS_018/MR_T1/image"))
    assert any("no rescale slope; 1 and 0 were used" in note for note in mr.notes)
    np.testing.assert_allclose(
        mr.volume.array, images.read(real("sarcoma/nifti/STS_018/MR_T1_image.nii.gz")).volume.array, atol=1e-4
    )
