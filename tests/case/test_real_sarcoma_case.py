"""Two soft-tissue sarcomas as cases: CT with RTSTRUCT, MR and PET in one frame of reference; outside scope, yet measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from osteon.assessment.assess import assess
from osteon.case.load import load_case
from osteon.case.model import Case
from osteon.facts import Interval, Known
from osteon.io import images
from osteon.selection.explain import outside
from osteon.selection.select import select
from osteon.space.anatomy import structure
from osteon.treatments.catalog import entries

HEAD = "schema: osteon-case/1\npatient: {name}\ndate: 2025-03-03\nstudies:\n  - {{id: ct1, modality: CT, file: CT/image}}\n"
FACTS = "facts: {disease_class: primary_soft_tissue_tumour, primary: sarcoma}\n"
LESION = "lesions:\n  - id: L1\n    bone: unknown\n    outline: {file: CT/mask/RS.dcm, roi: GTV_Mass_CT}\n"
MORE = "  - {id: mr1, modality: MR, file: MR_T1/image}\n  - {id: pet1, modality: PT, file: PET/image}\n"
SECOND = "  - id: L2\n    bone: unknown\n    outline: {file: MR_T1/mask/RS.dcm, roi: GTV_Mass_MR_T1, study: mr1}\n"
MUSCLE = "structures:\n  iliopsoas_left: {file: MR_T1/mask/RS.dcm, roi: GTV_Mass_MR_T1, study: mr1}\n"
ML = {"STS_018": 116.5, "STS_036": 343.4}


def sarcoma(real: Callable[[str], Path], folder: Path, name: str, *, more: bool = False, second: bool = False) -> Case:
    for image in ("CT", "MR_T1", "PET"):
        (folder / image).symlink_to(real(f"sarcoma/dicom/{name}/{image}"))
    text = (
        HEAD.format(name=name) + (MORE if more else "") + FACTS + (MUSCLE if second else "") + LESION + (SECOND if second else "")
    )
    (folder / "case.yaml").write_text(text, encoding="utf-8")
    return load_case(folder)


@pytest.mark.real
@pytest.mark.parametrize("name", ["STS_018", "STS_036"])
def test_loaded_measured_and_outside_scope(real, tmp_path: Path, name):
    case = sarcoma(real, tmp_path, name)
    mask = case.lesions[0].mask
    independent = images.read(real(f"sarcoma/nifti/{name}/CT_mask.nii.gz")).volume.array > 0.5
    overlap = 2 * (mask.array & independent).sum() / (mask.array.sum() + independent.sum())
    assert overlap >= 0.999
    notes = " ".join(case.studies[0].notes)
    assert "image references of RS.dcm are slices of this image; the series agrees" in notes
    assessment = assess(case)
    facts = assessment.lesions[0].facts
    assert facts["volume_ml"].value == pytest.approx(ML[name], abs=0.1)
    index = np.argwhere(independent & ~ndimage.binary_erosion(independent))
    spread = np.ptp(mask.grid.to_mm(index), axis=0)
    assert facts["size_max_mm"].value >= spread.max() - 1.0
    assert isinstance(facts["mean_hu"].state, (Known, Interval))
    verdicts = select(assessment)
    assert {v.treatment for v in verdicts.verdicts} == set(entries())
    assert {v.status for v in verdicts.verdicts} == {"outside_scope"}
    for verdict in verdicts.verdicts:
        reason = next(r for r in verdict.reasons if r.rule_id == "SCOPE-4")
        assert reason.truth == "true"
        assert reason.text.startswith("Outside scope: primary tumour.")
    assert outside(verdicts.verdicts).startswith("Outside scope: primary tumour.")


@pytest.mark.real
def test_page_and_terminal_say_so_on_top_and_keep_the_measurements(real, tmp_path: Path, capsys):
    from osteon.pathway import journey
    from osteon.report.html import render
    from osteon.report.terminal import print_summary

    sarcoma(real, tmp_path, "STS_018")
    result = journey(tmp_path)
    page = render(result)
    top = page[page.index("<body>") : page.index('aria-label="What threatens"')]
    assert "Outside scope: primary tumour." in top
    assert "116" in page[page.index('aria-label="What threatens"') :]
    assert not result.plans
    print_summary(result)
    told = " ".join(capsys.readouterr().out.split())
    assert "L1: Outside scope: primary tumour." in told[: told.index("L1 outside the knowledge base:")]


@pytest.mark.real
def test_gtv_leaves_the_body_and_its_hu_do_not_break(real, tmp_path: Path):
    """STS_036: 1,022 voxels of the GTV lie below -200 HU: air is in it, and no check asserts that it lies inside."""
    case = sarcoma(real, tmp_path, "STS_036")
    hu = case.studies[0].volume.array[case.lesions[0].mask.array]
    assert int((hu < -200).sum()) == 1022
    assert int((hu < -500).sum()) == 609
    depth = assess(case).lesions[0].facts["depth_from_skin_mm"].state
    assert not isinstance(depth, Known) or depth.value == 0.0


@pytest.mark.real
def test_contours_on_the_wrong_series_of_the_same_frame_are_said(real, tmp_path: Path):
    """CT, MR and PET share one frame of reference: the CT's outline is taken on the MR by that frame only, and it is said."""
    for image in ("CT", "MR_T1"):
        (tmp_path / image).symlink_to(real(f"sarcoma/dicom/STS_018/{image}"))
    text = HEAD.format(name="x").replace("id: ct1, modality: CT, file: CT/image", "id: mr1, modality: MR, file: MR_T1/image")
    (tmp_path / "case.yaml").write_text(text + LESION, encoding="utf-8")
    notes = " ".join(load_case(tmp_path).studies[0].notes)
    assert "the outlines name another series (CT, MR and PET may share one frame)" in notes


@pytest.mark.real
@pytest.mark.slow
def test_three_grids_in_one_frame_and_the_mr_outline_carried_over(real, tmp_path: Path):
    """The GTV drawn on the MR lands on the CT: its middle lies within the error that is told of the GTV drawn on the CT."""
    case = sarcoma(real, tmp_path, "STS_018", more=True, second=True)
    assert [s.volume.grid.shape for s in case.studies] == [(55, 160, 172), (42, 94, 113), (55, 30, 32)]
    assert [a.study_id for a in case.alignments] == ["mr1", "pet1"]
    assert case.alignments[0].accepted
    first, second = case.lesions
    assert second.mask is not None
    assert second.approximate
    assert second.outline_error_mm > 0
    apart = np.linalg.norm(first.mask.centre_mm() - second.mask.centre_mm())
    assert apart <= second.outline_error_mm
    muscle = structure("iliopsoas_left")
    np.testing.assert_array_equal(case.masks[muscle].array, second.mask.array)
    assert muscle in case.approximate
    assert case.outline_error_mm[muscle] == second.outline_error_mm
    assert case.masks[muscle].array[~case.drawn[muscle].array].sum() <= 0.02 * case.masks[muscle].array.sum()
    assert not case.drawn[muscle].array.all()
    assert "lesion L2 was outlined on mr1 and carried over, error about" in " ".join(case.studies[0].notes)


@pytest.mark.real
def test_where_the_crop_cuts_the_body_the_skin_is_not_taken_for_near_or_far(real, tmp_path: Path):
    """The image ends near the midline: a place at that edge has no skin on the right, and nobody may say how far it is."""
    (tmp_path / "CT").symlink_to(real("sarcoma/dicom/STS_018/CT"))
    image = images.read(tmp_path / "CT" / "image").volume
    low, high = image.grid.corners_mm().min(0), image.grid.corners_mm().max(0)
    at = [round(float(low[0]) + 12, 1), round(float(low[1] + high[1]) / 2 - 10, 1), round(float(low[2] + high[2]) / 2, 1)]
    place = f"lesions:\n  - id: L1\n    bone: sacrum\n    outline: {{sphere_mm: {{center: {at}, diameter: 16 mm}}}}\n"
    (tmp_path / "case.yaml").write_text(HEAD.format(name="STS_018") + place, encoding="utf-8")
    (skin,) = [r for r in assess(load_case(tmp_path)).lesions[0].required if r.structure == "skin"]
    assert skin.status == "outside_field"
    assert "the skin on the right is outside the field" in skin.text
    assert not skin.known
