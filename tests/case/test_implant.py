"""A synthetic lesion in another CT is declared, soft, as noisy as the image, and only where the bone is."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from osteon.case.implant import implant, local_noise
from osteon.case.load import load_case
from osteon.case.new import new_case
from osteon.case.phantom import write
from osteon.errors import CaseFileError, InputError, MissingError
from osteon.facts import Unknown
from osteon.io import images
from osteon.space.anatomy import structure


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """Stands for a real CT: the iliac phantom with masks per structure."""
    return write("ilium", tmp_path_factory.mktemp("source"), per_structure=True, lesion_mm=5.0, spacing_mm=2.0).parent


CENTRE = (-92.0, 2.0, -190.0)


def test_implanted_lesion_is_declared_on_every_page(source: Path, tmp_path: Path):
    file = implant(source, source / "structures", CENTRE, 22.0, "hip_right", tmp_path / "case")  # a case folder stands for its CT
    case = load_case(file.parent)
    assert case.stamps[0].startswith("SYNTHETIC LESION implanted in the right hip bone: 22 mm")
    assert case.lesions[0].synthetic
    assert case.lesions[0].bone == structure("hip_right")
    assert case.lesions[0].facts["side"].value == "right"
    assert isinstance(case.facts["inr"].state, Unknown)


def test_only_the_lesion_changes(source: Path, tmp_path: Path):
    file = implant(source / "ct.nii.gz", source / "structures", CENTRE, 22.0, "hip_right", tmp_path / "case")
    case, before = load_case(file.parent), images.read(source / "ct.nii.gz").volume
    mask = case.lesions[0].mask
    after = case.studies[0].volume.array
    far = np.abs(before.grid.to_mm(np.indices(before.grid.shape).transpose(1, 2, 3, 0)) - np.array(CENTRE)).max(-1) > 18
    np.testing.assert_array_equal(after[far], before.array[far])
    assert float(after[mask.array].mean()) == pytest.approx(40, abs=6)
    assert mask.array.sum() * mask.grid.voxel_mm3 == pytest.approx(4 / 3 * np.pi * 11**3, rel=0.08)
    assert 10 < float(after[mask.array].std()) < 30


def test_without_breach_the_cortex_stays(source: Path, tmp_path: Path):
    file = implant(source / "ct.nii.gz", source / "structures", CENTRE, 22.0, "hip_right", tmp_path / "case", breach=False)
    case = load_case(file.parent)
    bone = case.masks[structure("hip_right")].array
    assert not (case.lesions[0].mask.array & ~bone).any()


def test_the_same_seed_gives_the_same_image(source: Path, tmp_path: Path):
    args = (source / "ct.nii.gz", source / "structures", CENTRE, 22.0, "hip_right")
    one, two, other = (implant(*args, tmp_path / n, seed=s).parent / "ct.nii.gz" for n, s in (("a", 0), ("b", 0), ("c", 1)))
    assert one.read_bytes() == two.read_bytes() != other.read_bytes()


@pytest.mark.parametrize(
    ("centre", "bone", "diameter", "tells"),
    [
        ((-170.0, 0.0, -200.0), "hip_right", 20, "lies outside the right hip bone"),
        ((999.0, 0.0, 0.0), "hip_right", 20, "lies outside the right hip bone"),
        (CENTRE, "hip_left", 20, "does not outline the left hip bone"),
        (CENTRE, "sciatic_nerve_right", 20, "no bone"),
        (CENTRE, "hip_right", 200, "200 mm"),
    ],
)
def test_refusals(source: Path, tmp_path: Path, centre, bone, diameter, tells):
    with pytest.raises(InputError, match=tells) as caught:
        implant(source / "ct.nii.gz", source / "structures", centre, diameter, bone, tmp_path / "case")
    assert caught.value.do
    assert not (tmp_path / "case").exists()


@pytest.mark.parametrize("sigma", [10.0, 25.0])
def test_noise_estimate_of_white_noise(sigma):
    """Exact: the second difference of white noise has variance 6 sigma squared."""
    noise = np.random.default_rng(0).normal(20, sigma, (20, 60, 60)).astype(np.float32)
    assert local_noise(noise) == pytest.approx(sigma, rel=0.03)


def test_new_case_asks_every_question_and_loads(source: Path, tmp_path: Path):
    file = new_case(tmp_path / "new", source / "ct.nii.gz", source / "structures", today=date(2025, 3, 10))
    text = file.read_text(encoding="utf-8")
    assert "inr: unknown  # What is the INR?" in text
    assert text.startswith("schema: osteon-case/1\n")
    case = load_case(file.parent)
    assert case.lesions[0].bone is None
    assert structure("hip_right") in case.masks
    assert all(isinstance(f.state, Unknown) for f in case.facts.values())
    with pytest.raises(CaseFileError, match="already there"):
        new_case(tmp_path / "new")


def test_new_case_without_image_loads(tmp_path: Path):
    assert load_case(new_case(tmp_path / "n", today=date(2025, 1, 1)).parent).planning_image is None
    with pytest.raises(MissingError):
        new_case(tmp_path / "m", tmp_path / "gone.nii.gz")


@pytest.mark.real
@pytest.mark.parametrize(("bone", "centre"), [("hip_right", (-86.0, -128.3, 181.3)), ("vertebra_L3", (-12.0, -146.0, 316.0))])
def test_real_pelvis_ct_lytic_lesion(real, tmp_path: Path, bone, centre):
    folder = real("pelvis_ct")
    file = implant(
        folder / "example_ct.nii.gz", folder / "example_seg_fast_force_split.nii.gz", centre, 25.0, bone, tmp_path / "case"
    )
    case = load_case(file.parent)
    lesion = case.lesions[0]
    volume = lesion.mask.array.sum() * lesion.mask.grid.voxel_mm3 / 1000
    assert volume == pytest.approx(8.18, rel=0.1)
    assert float(case.studies[0].volume.array[lesion.mask.array].mean()) == pytest.approx(40, abs=12)
    assert 0.5 < (lesion.mask.array & case.masks[lesion.bone].array).sum() / lesion.mask.array.sum() < 1.0
    assert len(case.masks) == 60
    assert "SYNTHETIC" in case.stamps[0]
