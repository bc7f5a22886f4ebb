"""The calibration of a patient's CT: tissues found where they were drawn, methods chosen and refused, metal left out."""

from dataclasses import replace

import numpy as np
import pytest

from osteon.assessment.calibrate import ORDER, Rods, calibrate
from osteon.assessment.calibrate_samples import sample
from osteon.case.phantom import build
from osteon.errors import InputError, MissingError
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Volume
from osteon.tissue.bone_density import Density
from osteon.validation.calibration import hu_at, in_water, thigh, tissues_at

KEV = 65.0
SOFT_HU, CORTEX = 2.0, 0.01  # set before the first run


@pytest.fixture(scope="module")
def drawn():
    return thigh(KEV)


@pytest.fixture(scope="module")
def read(drawn):
    return sample(drawn)


def painted(anatomy, where, hu):
    values = anatomy.image.array.copy()
    values[where] = hu
    return replace(anatomy, image=anatomy.image.with_array(values))


def ball(anatomy, centre, radius):
    places = anatomy.grid.to_mm(np.moveaxis(np.indices(anatomy.grid.shape), 0, -1))
    return np.linalg.norm(places - np.asarray(centre), axis=-1) < radius


def of_phantom(name, **stated):
    made = build(name, spacing_mm=2.0)
    every = Volume(np.ones(made.image.grid.shape, bool), made.image.grid)
    return Anatomy(every, made.image, made.masks, **{"contrast": False, **stated}), made


@pytest.mark.parametrize(("tissue", "name"), [("air", "air"), ("fat", "adipose"), ("muscle", "muscle"), ("blood", "blood")])
def test_soft_tissue_is_found_where_it_was_drawn(read, tissue, name):
    assert read.hu[tissue] == pytest.approx(tissues_at(KEV)[name], abs=SOFT_HU)


def test_cortex_is_found_where_it_was_drawn(read):
    assert read.hu["bone"] == pytest.approx(tissues_at(KEV)["bone"], rel=CORTEX)
    assert read.solid
    assert not read.missing


@pytest.mark.parametrize("noise", [5.0, 40.0])
def test_noise_does_not_choose_the_samples(noise):
    found, held = sample(thigh(KEV, noise_hu=noise, seed=1)).hu, tissues_at(KEV)
    for tissue, name in (("air", "air"), ("fat", "adipose"), ("muscle", "muscle"), ("blood", "blood")):
        assert found[tissue] == pytest.approx(held[name], abs=2 * SOFT_HU), tissue
    assert found["bone"] == pytest.approx(held["bone"], rel=CORTEX)


@pytest.mark.parametrize("kev", [60.0, 75.0])
@pytest.mark.parametrize("k", [0.1, 0.2, 0.8])
def test_a_whole_image_of_known_composition_is_read_to_1_percent(kev, k):
    found = calibrate(thigh(kev, seed=2), method="composition").chosen
    assert float(found.density(hu_at(kev, in_water(k))).values_g_cm3) == pytest.approx(k, rel=0.01)


def test_tissues_on_the_line_of_a_scanner_give_that_line_back_to_1_percent(drawn):
    """Each tissue has the HU that a hidden line gives its reference density; bone of known HA density is read back."""

    def hidden(ha_mg):
        return (ha_mg + 14.0) / 0.826

    held = tissues_at(KEV)
    line = replace(drawn, masks=drawn.masks)
    values = line.image.array.copy()
    for name, ha in (("air", -840.0), ("adipose", -80.0), ("muscle", 30.0)):
        near = np.abs(line.image.array - held[name]) < (45 if name != "muscle" else 14)
        values[near] += hidden(ha) - held[name]
    outlined = line.masks[structure("muscle")].array
    values[outlined] = line.image.array[outlined] + hidden(30.0) - held["muscle"]
    found = calibrate(replace(line, image=line.image.with_array(values))).chosen
    assert found.method == "air-fat-muscle"
    for ha in (150.0, 400.0, 1000.0):
        assert float(found.density(hidden(ha)).mg_cm3) == pytest.approx(ha, rel=0.01)


@pytest.mark.parametrize("name", ["vertebra", "femur", "ilium"])
def test_phantoms_calibrate(name):
    anatomy, made = of_phantom(name)
    found = calibrate(anatomy, bone=made.lesion_bone)
    assert found.chosen.method == "air-fat-muscle"
    assert found.chosen.kind == "ha"
    read = {s.name: s.hu for s in found.chosen.samples}
    assert read["air"] == pytest.approx(-1000, abs=2 * SOFT_HU)
    assert read["fat"] == pytest.approx(-100, abs=2 * SOFT_HU)  # as drawn, with texture
    assert 50 - SOFT_HU <= read["muscle"] <= 58 + SOFT_HU  # drawn with 50 to 56, and texture
    assert set(found.where) == {"air", "fat", "muscle", "blood", "bone"}
    assert all(voxels > 0 and np.isfinite(at).all() for voxels, at in found.where.values())
    assert {c.method for c in found.others} | {found.chosen.method} | set(found.refused) == set(ORDER)
    assert all(why.startswith("cannot tell: ") for why in found.refused.values())


def test_a_cortex_that_is_not_solid_is_not_chosen_and_says_so():
    anatomy, _ = of_phantom("vertebra")
    found = calibrate(replace(anatomy, masks={k: v for k, v in anatomy.masks.items() if k.kind not in ("fat", "skin")}))
    assert "no solid cortex" in found.refused["composition"]
    internal = next(c for c in found.others if c.method == "internal")
    assert any("no solid cortex" in n for n in internal.notes)
    blind = calibrate(replace(anatomy, imaged=anatomy.masks[structure("body")]))  # no air: nothing solid is left to choose
    assert blind.chosen.method == "none"


def test_rods_come_first_and_the_rest_stands_beside(drawn):
    held = Density.of("k2hpo4", [0.0, 0.1, 0.2, 0.4], "g/cm3")
    rods = Rods(tuple(hu_at(KEV, in_water(k)) for k in (0.0, 0.1, 0.2, 0.4)), held)
    found = calibrate(drawn, rods=rods)
    assert found.chosen.method == "phantom"
    assert [c.method for c in found.others] == ["air-fat-muscle", "composition", "internal"]
    assert not found.refused
    assert float(found.chosen.density(hu_at(KEV, in_water(0.3))).values_g_cm3) == pytest.approx(0.3, rel=0.01)


def test_every_method_can_be_asked_for(drawn):
    for method in ("air-fat-muscle", "composition", "internal", "none"):
        assert calibrate(drawn, method=method).chosen.method == method
    assert calibrate(drawn).chosen.method == "air-fat-muscle"


@pytest.mark.parametrize("stated", [True, None])
def test_with_contrast_agent_or_not_knowing_internal_is_refused_and_the_rest_widened(drawn, stated):
    found, plain = calibrate(replace(drawn, contrast=stated)), calibrate(drawn)
    assert found.refused["internal"].startswith("cannot tell: ")
    assert found.chosen.band[0] < plain.chosen.band[0]
    assert found.chosen.band[1] > plain.chosen.band[1]
    label = "widened" if stated else "Cannot tell"
    assert any(label in note for note in found.chosen.notes)
    assert any("speaks against it" in note for note in found.notes) is (stated is None)
    with pytest.raises(MissingError, match="contrast agent"):
        calibrate(replace(drawn, contrast=stated), method="internal")


@pytest.mark.parametrize("stated", [False, None])
def test_bright_blood_is_contrast_agent_whatever_was_stated(drawn, stated):
    bright = painted(drawn, drawn.masks[structure("femoral_vessels_right")].array, 180.0)
    found = calibrate(replace(bright, contrast=stated))
    assert any("taken for contrast-enhanced" in note for note in found.notes)
    assert "contrast agent" in found.refused["internal"]
    assert any("widened" in note for note in found.chosen.notes)


def test_an_image_without_air_has_no_air_and_the_next_best_is_chosen(drawn):
    """A field of view within the body: gas of the bowel is not taken for air."""
    inside = Volume(ball(drawn, (0.0, 0.0, 12.0), 60.0), drawn.grid)
    found = calibrate(replace(drawn, imaged=inside))
    assert "no air outside the body" in found.refused["air-fat-muscle"]
    assert "air" not in found.where
    assert found.chosen.method == "composition"


def test_missing_tissues_are_named(drawn):
    without = {k: v for k, v in drawn.masks.items() if k.kind not in ("bone", "vessel")}
    found = calibrate(replace(drawn, masks=without))
    assert "healthy cortex" in found.refused["composition"]
    assert "large vessel" in found.refused["internal"]
    assert found.chosen.method == "air-fat-muscle"
    with pytest.raises(MissingError, match="large vessel"):
        calibrate(replace(drawn, masks=without), method="internal")


def test_where_nothing_is_possible_none_is_chosen_and_stated(drawn):
    without = {k: v for k, v in drawn.masks.items() if k.kind not in ("bone", "vessel")}
    inside = Volume(ball(drawn, (0.0, 0.0, 12.0), 40.0), drawn.grid)
    found = calibrate(replace(drawn, masks=without, imaged=inside))
    assert found.chosen.method == "none"
    assert found.others == ()
    assert any(note.startswith("No method was possible") for note in found.notes)


def test_muscle_is_found_without_an_outline(drawn, read):
    without = {k: v for k, v in drawn.masks.items() if k.kind != "muscle"}
    assert sample(replace(drawn, masks=without)).hu["muscle"] == pytest.approx(read.hu["muscle"], abs=SOFT_HU)


def test_the_body_is_found_without_an_outline_and_the_table_is_no_body(drawn, read):
    without = {k: v for k, v in drawn.masks.items() if k.kind != "body"}
    found = sample(replace(drawn, masks=without))
    assert found.hu["fat"] == pytest.approx(read.hu["fat"], abs=SOFT_HU)
    assert found.hu["air"] == pytest.approx(read.hu["air"], abs=SOFT_HU)


@pytest.mark.parametrize("known", [True, False])
def test_metal_is_not_cortex(drawn, read, known):
    """A screw in one bone: whether its spoilt region was found before or not."""
    screw = ball(drawn, (30.0, 10.0, 12.0), 5.0)
    metal = painted(drawn, screw, 3000.0)
    if known:
        metal = replace(metal, unreliable=Volume(ball(drawn, (30.0, 10.0, 12.0), 12.0), drawn.grid))
    found = sample(metal)
    assert found.hu["bone"] == pytest.approx(read.hu["bone"], rel=CORTEX)
    assert any("metal" in note for note in found.notes) is not known


def test_nothing_is_read_in_a_lesion_and_cortex_is_not_its_neighbour(drawn, read):
    """A blastic lesion denser than cortex in one bone; the cortex of the other is read."""
    where = ball(drawn, (0.0, 0.0, 12.0), 12.0)
    ill = painted(drawn, where, 2300.0).with_mask(structure("lesion"), Volume(where, drawn.grid))
    found = sample(ill)
    assert found.hu["bone"] == pytest.approx(read.hu["bone"], rel=CORTEX)
    assert any("other bone" in note for note in found.notes)
    assert np.hypot(*(np.array(found.where["bone"][1][:2]) - (30, 10))) < 10


def test_the_bone_in_question_is_sampled_only_where_no_other_is(drawn):
    femur = structure("femur_right")
    assert any("Cortex was read in the other bone" in n for n in sample(drawn, femur).notes)
    alone = {k: v for k, v in drawn.masks.items() if k.id != "other_bone"}
    assert any("may be ill itself" in n for n in sample(replace(drawn, masks=alone), femur).notes)


def test_what_cannot_be_calibrated_is_refused(drawn):
    with pytest.raises(MissingError, match="no CT"):
        calibrate(replace(drawn, image=None))
    with pytest.raises(InputError, match="no calibration method"):
        calibrate(drawn, method="guess")
    with pytest.raises(InputError, match="cannot be found on an image") as caught:
        calibrate(drawn, method="given")
    assert "--calibration-line" in caught.value.do
    with pytest.raises(MissingError, match="rods"):
        calibrate(drawn, method="phantom")


@pytest.mark.real
def test_real_pelvis_is_calibrated_and_its_coarse_cortex_is_not_trusted(real):
    from osteon.validation.calibration_pelvis import pelvis, trabecular_region

    real("pelvis_ct")
    anatomy = pelvis()
    found = calibrate(anatomy)
    assert found.chosen.method == "air-fat-muscle"
    assert max(map(abs, found.chosen.residuals)) < 0.01
    assert any("no solid cortex" in note for note in found.notes)
    region = trabecular_region(anatomy.mask("vertebra_L3"))
    assert not (region & ~anatomy.mask("vertebra_L3").array).any()
    with pytest.raises(MissingError):
        trabecular_region(anatomy.mask("vertebra_T11"))  # cut off by the image
