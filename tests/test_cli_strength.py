"""``osteon strength``: known prisms, the keys of its JSON, and every bad input with its exit code."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from typer.testing import CliRunner

from osteon.assessment.strength_input import Asked, anatomy_of
from osteon.assessment.strength_units import kind_of, line_calibration
from osteon.cli import app
from osteon.errors import ImageError, InputError, MissingError, OsteonError, UnitError
from osteon.io.images import write_nifti
from osteon.space.volume import Volume
from strength_specimen import DEEP, EQUAL, HIGH, STEP, WIDE, affine, block, write

KEYS = {
    "schema", "bone", "load_case", "status", "why", "ended", "stiffness_n_per_mm", "linear_load_n", "failure_load_n", "nodes",
    "elements", "cg_residual", "reaction_imbalance", "voxel_mm", "calibration", "ratio_healed", "body_weights", "law",
    "linear_by",
    "failure_displacement_mm", "failure_moment_n_m", "stiffness_n_m_per_degree", "warnings",
}  # fmt: skip
BONE = ("--bone", "vertebra_L1", "--fracture", "none", "--axis", "0,0,1", "--quiet")
DENSITY = ("--density-unit", "k2hpo4")
WEAK = 200.0  # mg/cm3


def run(image, labels, *words):
    return CliRunner().invoke(app, ["strength", str(image), "--labels", str(labels), *map(str, words)])


def told(image, labels, *words):
    done = run(image, labels, *words, "--json")
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.stdout)


def refused(image, labels, *words):
    done = run(image, labels, *words)
    assert isinstance(done.exception, OsteonError), done.output
    assert done.exception.what
    assert done.exception.why
    assert done.exception.do
    return done.exception


def without_a_number(image, labels, *words):
    """Return why the door refused it: exit 1, and no number."""
    done = run(image, labels, *words, "--json")
    tree = json.loads(done.stdout)
    assert (done.exit_code, tree["status"], tree["failure_load_n"], tree["stiffness_n_per_mm"]) == (1, "refused", None, None)
    return tree["why"]


@pytest.fixture(scope="module")
def column(tmp_path_factory):
    values, mask = block(1000 * EQUAL)
    return write(tmp_path_factory.mktemp("column"), values, mask)


@pytest.fixture(scope="module")
def column_told(column):
    return told(*column, *BONE, *DENSITY, "--voxel-mm", STEP, "--weight-kg", 70)


@pytest.fixture(scope="module")
def weak_told(tmp_path_factory):
    return told(*write(tmp_path_factory.mktemp("weak"), *block(WEAK)), *BONE, *DENSITY, "--voxel-mm", STEP, "--weight-kg", 70)


def test_a_column_as_stiff_as_its_caps_is_one_prism(column_told):
    """E A / L with caps of 10 mm; the test ends at 1.9 % of the column's height, before it yields; 3 %."""
    _, mask = block()
    stiffness = 2500 * mask.any(0).sum() * STEP**2 / (HIGH + 2 * 10.0)
    assert column_told["stiffness_n_per_mm"] == pytest.approx(stiffness, rel=0.03)
    assert column_told["failure_load_at_least_n"] == pytest.approx(stiffness * 0.019 * HIGH, rel=0.03)
    assert column_told["failure_load_n"] is None  # nothing yielded: what it bears at the end is no failure load
    assert column_told["body_weights"] is None
    assert column_told["ended"] == "limit"
    assert any("more could be borne" in w for w in column_told["warnings"])


def test_at_least_is_said_where_it_is_read(column):
    """The words of the terminal: no load that nobody reached is called one."""
    done = run(*column, *BONE, *DENSITY, "--voxel-mm", STEP)
    assert done.exit_code == 0
    assert "Failure load: at least" in done.stdout
    assert "nothing yielded" in done.stdout


def test_a_weak_column_bears_its_yield_times_its_area(weak_told):
    """Kopperdahl 2002; 3 % below, and not a third more by the caps that hold its ends."""
    _, mask = block(WEAK)
    plateau = 37.4 * (WEAK / 1000) ** 1.39 * mask.any(0).sum() * STEP**2
    assert 0.97 * plateau < weak_told["failure_load_n"]["best"] < 1.33 * plateau
    assert weak_told["failure_load_at_least_n"] is None


def test_the_keys_are_those_that_are_promised(weak_told):
    assert set(weak_told) >= KEYS
    assert weak_told["schema"] == "osteon-strength/1"
    assert weak_told["status"] == "prediction"
    assert set(weak_told["failure_load_n"]) == {"best", "low", "high"}
    found = weak_told["calibration"]
    assert (found["method"], found["kind"], found["slope"], found["intercept"], found["residuals"]) == (
        "given",
        "k2hpo4",
        1e-3,
        0,
        [],
    )
    assert weak_told["failure_load_n"]["low"] < weak_told["failure_load_n"]["best"] < weak_told["failure_load_n"]["high"]
    assert weak_told["ratio_healed"] is None
    assert weak_told["body_weights"]["best"] == pytest.approx(weak_told["failure_load_n"]["best"] / (70 * 9.80665))
    assert weak_told["cg_residual"] < 1e-3
    assert weak_told["elements"] < weak_told["nodes"]
    assert "cap" in weak_told["load_enters"]
    assert any("mg/cm3" in w for w in weak_told["warnings"])


def test_grams_are_told_from_milligrams(column_told, tmp_path):
    values, mask = block(EQUAL)
    grams = told(*write(tmp_path, values, mask), *BONE, *DENSITY, "--voxel-mm", STEP)
    assert grams["failure_load_at_least_n"] == pytest.approx(column_told["failure_load_at_least_n"], rel=1e-4)
    assert any("g/cm3" in w for w in grams["warnings"])


def test_hounsfield_numbers_with_a_line_are_the_same_bone(column_told, tmp_path):
    """A specimen in water, its image stored along other axes."""
    values, mask = block(1000 * EQUAL)
    hu = np.where(mask, (values - 5.0) / 0.8, 0.0)
    hu[:, :2] = -1000.0  # air over the water
    turned = affine()[:, [1, 2, 0, 3]]
    image, outline = write(tmp_path, np.transpose(hu, (2, 0, 1)), np.transpose(mask, (2, 0, 1)), turned[:, [0, 1, 2, 3]])
    found = told(image, outline, *BONE, "--density-unit", "hu", "--calibration-line", "0.8,5,k2hpo4", "--voxel-mm", STEP)
    assert found["failure_load_at_least_n"] == pytest.approx(column_told["failure_load_at_least_n"], rel=0.01)


def test_a_specimen_on_its_side_needs_no_other_image(column_told, tmp_path):
    values, mask = block(1000 * EQUAL)
    image, outline = write(tmp_path, np.transpose(values, (1, 2, 0)), np.transpose(mask, (1, 2, 0)))
    found = told(image, outline, *BONE[:4], "--axis", "1,0,0", *DENSITY, "--voxel-mm", STEP)
    assert found["stiffness_n_per_mm"] == pytest.approx(column_told["stiffness_n_per_mm"], rel=0.03)


@pytest.mark.slow
def test_a_lesion_weakens_and_is_told_against_the_healed_bone(tmp_path):
    values, mask = block(600.0)
    lesion = np.zeros(mask.shape, bool)
    lesion[8:14, 7:13, 4:10] = True
    lesion &= mask
    values[lesion] = 30.0
    image, outline = write(tmp_path, values, mask)
    write_nifti(Volume.of(lesion.astype(np.uint8), affine()), tmp_path / "lesion.nii.gz")
    page = tmp_path / "out.html"
    found = told(
        image, outline, *BONE, *DENSITY, "--voxel-mm", STEP, "--lesion", tmp_path / "lesion.nii.gz", "--picture", page
    )  # fmt: skip
    assert 0.3 < found["ratio_healed"]["best"] < 0.97
    assert "How strong is this bone" in page.read_text()
    assert "<svg" in page.read_text()


# --- what must be refused


def test_labels_elsewhere_are_no_labels_of_this_image(column, tmp_path):
    values, mask = block()
    far = affine()
    far[:3, 3] += 500.0
    _, outline = write(tmp_path, values, mask, far)
    assert isinstance(refused(column[0], outline, *BONE, *DENSITY), ImageError)


def test_an_empty_mask(column, tmp_path):
    values, mask = block()
    _, outline = write(tmp_path, values, np.zeros_like(mask))
    assert isinstance(refused(column[0], outline, *BONE, *DENSITY, "--bone-label", 1), ImageError)
    assert isinstance(refused(column[0], outline, *BONE, *DENSITY), OsteonError)


def test_a_lesion_beside_the_bone(column, tmp_path):
    lesion = np.zeros(block()[1].shape, np.uint8)
    lesion[1:3, 1:3, 1:3] = 1
    write_nifti(Volume.of(lesion, affine()), tmp_path / "lesion.nii.gz")
    error = refused(*column, *BONE, *DENSITY, "--lesion", tmp_path / "lesion.nii.gz")
    assert "does not lie in" in error.what


def test_a_lesion_that_cuts_the_bone_in_two(tmp_path):
    values, mask = block(600.0)
    lesion = mask.copy()
    lesion[:9], lesion[12:] = False, False
    values[lesion] = 20.0
    image, outline = write(tmp_path, values, mask)
    write_nifti(Volume.of(lesion.astype(np.uint8), affine()), tmp_path / "lesion.nii.gz")
    assert "2 parts" in without_a_number(image, outline, *BONE, *DENSITY, "--lesion", tmp_path / "lesion.nii.gz")


def test_no_number_within_the_bone(tmp_path):
    values, mask = block(600.0)
    values[10, 10, 10] = np.nan
    error = refused(*write(tmp_path, values, mask), *BONE, *DENSITY)
    assert isinstance(error, ImageError)
    assert "1 of" in error.what


def test_no_number_outside_the_bone_does_no_harm(column_told, tmp_path):
    values, mask = block(1000 * EQUAL)
    values[~mask] = np.nan
    found = told(*write(tmp_path, values, mask), *BONE, *DENSITY, "--voxel-mm", STEP)
    assert found["stiffness_n_per_mm"] == pytest.approx(column_told["stiffness_n_per_mm"], rel=0.02)


@pytest.mark.parametrize(
    ("inside", "outside", "unit"),
    [
        (1750.0, 0.0, "k2hpo4"),  # HU of solid cortex
        (300.0, -1000.0, "k2hpo4"),  # air round it
        (10.0, 0.0, "ha"),  # neither g nor mg
        (0.8, 0.0, "hu"),  # g/cm3
        (1200.0, 0.0, "hu"),  # raw pixels
        (120.0, 0.0, "hu"),  # grey levels
        (-5.0, 0.0, "ash"),
    ],
)
def test_a_wrong_unit(tmp_path, inside, outside, unit):
    values, mask = block()
    values = np.where(mask, inside, outside)
    assert isinstance(refused(*write(tmp_path, values, mask), *BONE, "--density-unit", unit), UnitError)


def test_air_within_the_outline(tmp_path):
    values, mask = block()
    values = np.where(mask, 600.0, 0.0)
    values[12:15][mask[12:15]] = -1000.0
    assert isinstance(refused(*write(tmp_path, values, mask), *BONE, *DENSITY), UnitError)


def test_metal_in_a_density_image(tmp_path):
    values, mask = block(600.0)
    values[10:13, 9:12, 9:12] = 6000.0
    assert isinstance(refused(*write(tmp_path, values, mask), *BONE, *DENSITY), InputError)


def test_words_that_are_not_known(column):
    assert isinstance(refused(*column, "--bone", "vertebra_Q9", *DENSITY), InputError)
    assert isinstance(refused(*column, "--bone", "sciatic_nerve_left", *DENSITY), InputError)
    assert isinstance(refused(*column, *BONE, *DENSITY, "--load-case", "jumping"), InputError)
    assert "no load of" in refused(*column, *BONE, *DENSITY, "--load-case", "femur-stance").what
    assert isinstance(refused(*column, *BONE[:2], "--axis", "0,0", *DENSITY), InputError)
    assert isinstance(refused(*column, *BONE, "--calibration-line", "0.0008,0,k2hpo4"), UnitError)
    assert isinstance(refused(*column, *BONE, *DENSITY, "--calibration-line", "0.8,0,k2hpo4"), InputError)
    assert isinstance(refused(*column, *BONE, *DENSITY, "--picture", "out.png"), InputError)
    assert isinstance(refused(column[0], column[1].parent / "none.nii.gz", *BONE, *DENSITY), MissingError)


def test_a_bone_that_the_map_does_not_hold(column, tmp_path):
    values, mask = block()
    several = mask.astype(np.uint8)
    several[:10][mask[:10]] = 2
    _, outline = write(tmp_path, values, several)
    error = refused(column[0], outline, *BONE, *DENSITY)
    assert isinstance(error, MissingError)
    assert "--bone-label" in error.do


def test_a_bone_at_the_edge_of_the_image_was_cut_or_sawn(tmp_path):
    values, mask = block(600.0)
    values, mask = values[4:-4], mask[4:-4]
    image, outline = write(tmp_path, values, mask)
    done = run(image, outline, *BONE, *DENSITY, "--json")
    assert done.exit_code == 1
    assert "edge of the image" in json.loads(done.stdout)["why"]
    assert told(image, outline, *BONE, *DENSITY, "--specimen", "--voxel-mm", STEP)["failure_load_n"]["best"] > 0


def test_an_image_cropped_to_the_bone_on_all_sides_shows_it_whole(column_told, tmp_path):
    values, mask = block(1000 * EQUAL)
    z, y, x = (slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(mask))
    found = told(*write(tmp_path, values[z, y, x], mask[z, y, x]), *BONE, *DENSITY, "--voxel-mm", STEP)
    assert found["stiffness_n_per_mm"] == pytest.approx(column_told["stiffness_n_per_mm"], rel=1e-3)
    assert any("cropped to it" in w for w in found["warnings"])


def test_holes_of_the_outline_are_filled_and_said(column_told, tmp_path):
    values, mask = block(1000 * EQUAL)
    hollow = mask.copy()
    hollow[8:14, 8:12, 8:14] = False
    found = told(*write(tmp_path, values, hollow), *BONE, *DENSITY, "--voxel-mm", STEP)
    assert found["stiffness_n_per_mm"] == pytest.approx(column_told["stiffness_n_per_mm"], rel=1e-3)
    assert any("filled" in w for w in found["warnings"])


def test_a_fracture_gives_no_load_and_says_so(column):
    done = run(*column, "--bone", "vertebra_L1", "--fracture", "present", *DENSITY, "--json")
    tree = json.loads(done.stdout)
    assert done.exit_code == 1
    assert tree["status"] == "refused"
    assert tree["failure_load_n"] is None
    assert "broken" in tree["why"]
    assert tree["fracture"]["status"] == "present"


def test_pieces_and_cuts_are_judged_by_the_door_alone():
    """One place, one behaviour, whoever asks."""
    import osteon.assessment.strength_input as reading

    assert not {"check_one_piece", "check_not_cut"} & set(vars(reading))


def test_the_size_of_the_column_is_what_the_test_says():
    _, mask = block()
    assert mask.sum() * STEP**3 == pytest.approx(math.pi / 4 * WIDE * DEEP * HIGH, rel=0.05)


def test_a_map_that_gives_the_lesion_its_own_value(tmp_path):
    """The lesion's voxels are not the bone's in such a map; they are given back."""
    values, mask = block(600.0)
    lesion = np.zeros(mask.shape, bool)
    lesion[8:14, 7:11, 8:14] = True
    image, outline = write(tmp_path, values, np.where(lesion, 2, mask.astype(np.uint8)))
    anatomy, _, case, notes = anatomy_of(Asked(image, outline, "vertebra_L1", "k2hpo4", bone_label=1, lesion="2"))
    assert anatomy.mask(case.bone).array.sum() == (mask | lesion).sum()
    assert anatomy.mask(case.lesion).array.sum() == lesion.sum()
    assert any("given back" in n for n in notes) or any("filled" in n for n in notes)


def test_a_bone_in_two_pieces_gives_no_number(tmp_path):
    values, mask = block(600.0)
    mask = mask.copy()
    mask[9:12] = False
    values[~mask] = 0.0
    assert "2 pieces" in without_a_number(*write(tmp_path, values, mask), *BONE, *DENSITY)


def test_a_scan_too_coarse_gives_no_load(tmp_path):
    values, mask = block(600.0, step=6.5, room=5)
    done = run(*write(tmp_path, values, mask, affine(6.5)), *BONE, *DENSITY, "--json")
    if isinstance(done.exception, OsteonError):
        assert done.exception.do
    else:
        assert json.loads(done.stdout)["failure_load_n"] is None
        assert json.loads(done.stdout)["why"]


def test_metal_in_a_ct_is_an_implant_and_no_bone(tmp_path):
    values, mask = block(300.0)
    hu = np.where(mask, values, 0.0)
    hu[:, :2] = -1000.0
    hu[10:14, 9:12, 9:12] = 8000.0
    image, outline = write(tmp_path, hu, mask)
    anatomy, _, _, notes = anatomy_of(Asked(image, outline, "vertebra_L1", "hu", line=(0.8, 0.0, "k2hpo4")))
    assert anatomy.mask("implant").array[11, 10, 10]
    assert anatomy.unreliable is not None
    assert notes


def test_decisions_about_units_and_lines_are_made_in_one_place():
    assert line_calibration((0.8, 5.0, "ha"), contrast=False).density([1000.0]).values_g_cm3 == pytest.approx([0.805])
    wide, narrow = line_calibration((0.8, 5.0, "ha"), contrast=None), line_calibration((0.8, 5.0, "ha"), contrast=False)
    assert wide.band[1] > narrow.band[1]
    with pytest.raises(UnitError):
        kind_of("g")
