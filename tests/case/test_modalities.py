"""What a case has decides what it can tell: contrast agent, MR only, PET only, film only, chart only."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "io"))

from dicom_made import base, write_slices

from osteon.assessment.assess import assess
from osteon.case.load import load_case
from osteon.errors import CaseFileError, ImageError
from osteon.facts import Known, Unknown
from osteon.space.volume import Volume

FROM_HU = ("mean_hu", "lytic_fraction", "blastic_fraction", "lesion_type")
HEAD = "schema: osteon-case/1\npatient: p\ndate: 2025-03-03\n"
OUTLINE = "    outline: {sphere_mm: {center: [60, 20, -480], diameter: 24 mm}}\n"


def image(mr: bool = False) -> Volume:
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = (-20.0, -60.0, -560.0)
    grid = Volume.of(np.zeros((54, 54, 54), np.float32), affine).grid
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1)
    mm = grid.to_mm(index)
    hu = np.where(np.hypot(mm[..., 0] - 60, mm[..., 1] - 20) < 70, 40.0, -1000.0)
    hu[np.hypot(mm[..., 0] - 60, mm[..., 1] - 20) < 25] = 700.0
    hu[np.linalg.norm(mm - [60, 20, -480], axis=-1) < 12] = 30.0
    return Volume((np.abs(hu) if mr else hu).astype(np.float32), grid)


def case(folder: Path, studies: str, outline: str = OUTLINE, extra: str = "") -> Path:
    text = HEAD + (f"studies:\n{studies}" if studies else "studies: []\n") + extra
    text += f"lesions:\n  - id: L1\n    bone: femur_left\n{outline}"
    (folder / "case.yaml").write_text(text, encoding="utf-8")
    return folder


CT = "  - {id: ct1, modality: CT, file: ct}\n"


def test_ct_with_contrast_agent_gives_no_answer_from_hu(tmp_path: Path):
    write_slices(image(), tmp_path / "ct", ContrastBolusAgent="Ultravist", KVP="100", ConvolutionKernel="Br40")
    loaded = load_case(case(tmp_path, CT))
    told = {n: loaded.facts[n].value for n in ("contrast_enhanced", "ct_kvp", "ct_kernel", "ct_slice_spacing_mm")}
    assert told == {"contrast_enhanced": True, "ct_kvp": 100.0, "ct_kernel": "Br40", "ct_slice_spacing_mm": 3.0}
    lesion = assess(loaded).lesions[0]
    for name in FROM_HU:
        assert isinstance(lesion.facts[name].state, Unknown), name
        assert lesion.facts[name].state.why.startswith("cannot tell: the CT has contrast agent")
    assert any("contrast agent" in warning for warning in lesion.warnings)
    assert lesion.facts["volume_ml"].state != Unknown()


def test_ct_without_or_with_no_word_of_contrast_agent_is_measured(tmp_path: Path):
    write_slices(image(), tmp_path / "ct")
    loaded = load_case(case(tmp_path, CT))
    assert any("no contrast agent stated" in note for note in loaded.studies[0].notes)
    assert isinstance(loaded.facts["contrast_enhanced"].state, Unknown)
    unsaid = assess(loaded).lesions[0].facts
    stated = assess(load_case(case(tmp_path, CT.replace("}", ", contrast: false}")))).lesions[0].facts
    for name in FROM_HU:
        assert unsaid[name].state == stated[name].state
    assert unsaid["lesion_type"].value == "lytic"


def test_the_chart_against_the_header_is_a_conflict(tmp_path: Path):
    write_slices(image(), tmp_path / "ct", ContrastBolusAgent="Ultravist")
    with pytest.raises(CaseFileError, match=r"contrast is false here, but the header says otherwise \(Ultravist\)"):
        load_case(case(tmp_path, CT.replace("}", ", contrast: false}")))
    loaded = load_case(case(tmp_path, CT, extra="facts: {contrast_enhanced: false}\n"))
    assert loaded.facts["contrast_enhanced"].state.conflict
    assert isinstance(assess(loaded).lesions[0].facts["mean_hu"].state, Unknown)


@pytest.mark.parametrize("modality", ["MR", "PT"])
def test_mr_or_pet_only_says_what_a_ct_would_tell(tmp_path: Path, modality):
    write_slices(image(mr=True), tmp_path / "mr", "MR")
    if modality == "PT":
        from dicom_made import change

        change(tmp_path / "mr", lambda i, d: setattr(d, "Modality", "PT"))
    loaded = load_case(case(tmp_path, f"  - {{id: a, modality: {modality}, file: mr}}\n", outline=""))
    assert loaded.planning_image is None
    lesion = assess(loaded).lesions[0]
    assert lesion.facts["side"].state == Known("left")
    for name in (*FROM_HU, "volume_ml", "distance_nerve_mm", "depth_from_skin_mm", "implant_near"):
        state = lesion.facts[name].state
        assert isinstance(state, Unknown), name
        assert state.why.startswith("cannot tell: "), (name, state.why)
    assert "CT" in lesion.facts["mean_hu"].state.why
    assert "CT" in lesion.facts["lesion_type"].state.why


def test_mr_named_ct_is_refused(tmp_path: Path):
    write_slices(image(mr=True), tmp_path / "mr", "MR")
    with pytest.raises(CaseFileError, match="is MR by its header, not CT"):
        load_case(case(tmp_path, "  - {id: a, modality: CT, file: mr}\n", outline=""))


def test_an_outline_without_ct_lies_on_the_mr(tmp_path: Path):
    write_slices(image(mr=True), tmp_path / "mr", "MR")
    loaded = load_case(case(tmp_path, "  - {id: a, modality: MR, file: mr}\n"))
    mask = loaded.lesions[0].mask
    assert mask is not None
    assert mask.grid == loaded.studies[0].volume.grid
    assert isinstance(assess(loaded).lesions[0].facts["volume_ml"].value, float)


def test_an_outline_without_any_image_is_refused_with_what_to_do(tmp_path: Path):
    with pytest.raises(CaseFileError, match="no image to lay them on") as caught:
        load_case(case(tmp_path, ""))
    assert "CT" in caught.value.do


def test_film_only_is_refused_and_its_chart_alone_is_assessed(tmp_path: Path):
    (tmp_path / "film").mkdir()
    data = base("8.1", "1.2.840.10008.5.1.4.1.1.1.1", "DX")
    data.Rows = data.Columns = 4
    data.save_as(tmp_path / "film" / "a", enforce_file_format=True)
    with pytest.raises(ImageError, match=r"film .*no slices") as caught:
        load_case(case(tmp_path, "  - {id: a, modality: other, file: film}\n", outline=""))
    assert "Leave it out of `studies`" in caught.value.do
    loaded = load_case(case(tmp_path, "", outline="    facts: {lesion_type: lytic, fracture: none}\n"))
    lesion = assess(loaded).lesions[0]
    assert lesion.facts["lesion_type"].state == Known("lytic")
    assert lesion.facts["side"].state == Known("left")
    assert "CT" in lesion.facts["mean_hu"].state.why
