"""Dose files of a case: what lesion and organs received, what is not known, and that a plan is no proof of treatment."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "io"))

import test_rtdose
from dicom_made import write_slices

from osteon.assessment.assess import assess
from osteon.case.load import load_case
from osteon.errors import CaseFileError, ImageError
from osteon.facts import Known, Unknown, vocabulary
from osteon.io.rtdose import NAMES
from osteon.report.content import dose_rows
from osteon.space.anatomy import structure
from osteon.space.volume import Volume

HEAD = "schema: osteon-case/1\npatient: p\ndate: 2025-03-03\nstudies:\n  - {id: ct1, modality: CT, file: ct}\n"
REST = (
    "structures:\n  sciatic_nerve_left: {sphere_mm: {center: [0, 0, -280], diameter: 12 mm}}\n"
    "lesions:\n  - id: L1\n    bone: femur\n    side: left\n    outline: {sphere_mm: {center: [0, 0, -300], diameter: 12 mm}}\n"
)


def ct(folder: Path) -> Volume:
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = (-30.0, -30.0, -330.0)
    image = Volume.of(np.full((21, 21, 21), 40.0, np.float32), affine)
    image.array[:, :2] = -1000.0
    write_slices(image, folder / "ct")
    return image


def dose(folder: Path, name: str = "dose.dcm", gy: float = 10.0, **changes) -> Path:
    """Write a dose that is ``gy`` at z = -300 mm and grows by 0.5 Gy per mm towards the head; over the whole CT."""
    test_rtdose.write(folder / name)
    import pydicom

    data = pydicom.dcmread(folder / name)
    z = -335.0 + 5.0 * np.arange(15)
    stored = np.broadcast_to(np.rint((gy + 0.5 * (z + 300)) * 1e4)[:, None, None], (15, 9, 9)).astype(np.uint32)
    data.Rows, data.Columns, data.NumberOfFrames = 9, 9, 15
    data.ImagePositionPatient, data.PixelSpacing = [-40, -40, -335], [10, 10]
    data.GridFrameOffsetVector = [5.0 * k for k in range(15)]
    data.PixelData = stored.tobytes()
    for key, value in changes.items():
        setattr(data, key, value)
    data.save_as(folder / name)
    return folder / name


def case(folder: Path, entry: str = "doses: [{file: dose.dcm, date: 2020-05-01}]\n", rest: str = REST):
    ct(folder)
    (folder / "case.yaml").write_text(HEAD + entry + rest, encoding="utf-8")
    return load_case(folder)


def test_lesion_and_organs_by_hand(tmp_path: Path):
    dose(tmp_path, gy=20.0)
    found = case(tmp_path)
    facts = found.lesions[0].facts
    z = found.lesions[0].mask.grid.to_mm(np.argwhere(found.lesions[0].mask.array))[:, 2]
    assert facts["dose_max_gy"].value == pytest.approx(20 + 0.5 * (z.max() + 300), abs=1e-3)
    assert facts["dose_mean_gy"].value == pytest.approx(20 + 0.5 * (z.mean() + 300), abs=1e-3)
    assert facts["dose_min_gy"].value == pytest.approx(20 + 0.5 * (z.min() + 300), abs=1e-3)
    nerve = found.organ_doses[structure("sciatic_nerve_left")]
    assert nerve["dose_mean_gy"].value == pytest.approx(20 + 0.5 * 20, abs=0.5)
    assert set(NAMES) <= set(vocabulary())
    assert {vocabulary()[n].unit for n in NAMES} == {"Gy"}


def test_a_plan_is_no_proof_of_treatment(tmp_path: Path):
    dose(tmp_path, gy=30.0)
    found = case(tmp_path)
    assert "delivered, or only planned, the file does not say" in " ".join(found.studies[0].notes)
    state = found.lesions[0].facts["prior_radiotherapy"].state
    assert isinstance(state, Unknown)
    assert "was that plan delivered?" in state.why
    assert assess(found).lesions[0].facts["prior_radiotherapy"].state == state
    (tmp_path / "ct").rename(tmp_path / "old")
    told = case(tmp_path, rest=REST + "    facts: {prior_radiotherapy: false}\n")
    assert told.lesions[0].facts["prior_radiotherapy"].state == Known(False)


def test_several_files_are_added_voxel_by_voxel(tmp_path: Path):
    dose(tmp_path, gy=20.0)
    dose(tmp_path, "two.dcm", gy=30.0)
    found = case(tmp_path, "doses: [{file: dose.dcm}, {file: two.dcm}]\n")
    z = found.lesions[0].mask.grid.to_mm(np.argwhere(found.lesions[0].mask.array))[:, 2]
    assert found.lesions[0].facts["dose_max_gy"].value == pytest.approx(50 + (z.max() + 300), abs=1e-3)
    assert "2 dose files are added up as they stand" in " ".join(found.studies[0].notes)


def test_beyond_the_dose_grid_nothing_is_known(tmp_path: Path):
    dose(tmp_path, GridFrameOffsetVector=[k / 2 for k in range(15)])
    facts = case(tmp_path).lesions[0].facts
    assert all(isinstance(facts[n].state, Unknown) for n in NAMES)
    assert "outside the dose grid" in facts["dose_max_gy"].state.why


def test_another_frame_and_another_file_are_refused_with_the_line(tmp_path: Path):
    dose(tmp_path)
    image = ct(tmp_path)
    write_slices(image, tmp_path / "ct", FrameOfReferenceUID="1.2.3.77")
    (tmp_path / "case.yaml").write_text(HEAD + "doses: [{file: dose.dcm}]\n" + REST, encoding="utf-8")
    with pytest.raises(ImageError, match=r"case.yaml:6: .*frame of reference 1\.9, the image 1\.2\.3\.77"):
        load_case(tmp_path)
    (tmp_path / "case.yaml").write_text(HEAD + "doses: [{file: ct/001}]\n" + REST, encoding="utf-8")
    with pytest.raises(ImageError, match=r"case.yaml:6: .*modality CT, not RTDOSE"):
        load_case(tmp_path)
    (tmp_path / "case.yaml").write_text(HEAD + "doses: [{file: dose.dcm, study: mr9}]\n" + REST, encoding="utf-8")
    with pytest.raises(CaseFileError, match="no study 'mr9'"):
        load_case(tmp_path)


def test_a_dose_on_a_study_that_is_not_aligned_is_unknown(tmp_path: Path):
    dose(tmp_path)
    image = ct(tmp_path)
    noise = image.with_array(np.random.default_rng(2).uniform(0, 900, image.array.shape).astype(np.float32))
    write_slices(noise, tmp_path / "mr", "MR")
    more = "  - {id: mr1, modality: MR, file: mr}\ndoses: [{file: dose.dcm, study: mr1}]\n"
    (tmp_path / "case.yaml").write_text(HEAD + more + REST, encoding="utf-8")
    state = load_case(tmp_path).lesions[0].facts["dose_max_gy"].state
    assert isinstance(state, Unknown)
    assert "lies on mr1, which is not aligned to the planning CT" in state.why


def test_the_page_has_a_row_for_the_lesion_and_each_organ(tmp_path: Path):
    dose(tmp_path, gy=20.0)
    found = case(tmp_path)
    rows = dose_rows(found, found.lesions[0].facts)
    assert [name for name, _, _ in rows] == ["this lesion", structure("sciatic_nerve_left").name]
    assert len(rows[0][1]) == 6
    assert all("Gy" in cell for cell in rows[1][1][:3])
    assert dose_rows(replace(found, organ_doses={}), {}) == []


def test_page_and_journey_hold_the_doses_and_what_must_be_decided(tmp_path: Path):
    from osteon.io.rtstruct_write import write_rtstruct
    from osteon.pathway import journey
    from osteon.report.html import render
    from osteon.report.journey_json import as_json

    dose(tmp_path, gy=20.0)
    image = ct(tmp_path)
    lung = image.with_array(image.array > 0)
    write_rtstruct(tmp_path / "outlines", {"lung": lung})
    text = HEAD + "labels: [{file: outlines}]\ndoses: [{file: dose.dcm}]\n" + REST
    (tmp_path / "case.yaml").write_text(text, encoding="utf-8")
    result = journey(tmp_path)
    page = render(result)
    assert "Dose of earlier irradiation" in page
    assert "Which side is &#39;lung&#39;?" in page
    assert "whether this dose was delivered, or only planned" in page
    told = as_json(result)["case"]
    assert told["organ_doses"]["sciatic_nerve_left"]["dose_max_gy"]["state"]["state"] == "known"
    assert told["questions"][0]["choices"] == ["lung_left", "lung_right"]
