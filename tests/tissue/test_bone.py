"""From Hounsfield numbers to properties: the anchors exactly, monotone between them, and what is unknown said."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.errors import InputError, MissingError
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Volume
from osteon.tissue.bone import CODE, FIELDS, band_of, body_mask, properties_map
from osteon.tissue.properties import tissue
from osteon.treatments.base import Draw


def block(hu, spacing=1.0, **masks):
    """An anatomy with 2 voxels of air all round in y and x."""
    image = np.pad(np.asarray(hu, np.float32), ((0, 0), (2, 2), (2, 2)), constant_values=-1000)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    volume = Volume.of(image, affine)
    named = {structure(k): Volume.of(np.pad(np.asarray(m, bool), ((0, 0), (2, 2), (2, 2))), affine) for k, m in masks.items()}
    return Anatomy(imaged=volume.with_array(np.ones(image.shape, bool)), image=volume, masks=named)


def everywhere(value, shape=(3, 6, 6)):
    return np.full(shape, value)


def inner(tissue_map, name):
    return getattr(tissue_map, name)[:, 2:-2, 2:-2]


def test_itis_anchors_of_the_mixing_law_in_a_vertebra():
    found = {}
    for hu in (-20.0, 340.0, 2000.0):
        m = properties_map(block(everywhere(hu), vertebra_L3=everywhere(True)), 2.45e9)
        found[hu] = [float(inner(m, n)[1, 3, 3]) for n in ("conductivity", "heat_capacity", "permittivity", "conductivity_s_m")]
    for hu, row in ((-20.0, "red_marrow"), (340.0, "cancellous_bone"), (2000.0, "cortical_bone")):
        t = tissue(row)
        expected = [
            t["thermal_conductivity"].number,
            t["density"].number * t["heat_capacity"].number,
            t["permittivity_2450MHz"].number,
            t["conductivity_2450MHz"].number,
        ]
        assert found[hu] == pytest.approx(expected, rel=1e-4), row


def test_marrow_flow_pet_1994_in_a_lumbar_vertebra():
    m = properties_map(block(everywhere(-20.0), vertebra_L3=everywhere(True)), 2.45e9)
    expected = 176 * 1029e-6 / 60 * 1050 * 3617
    assert inner(m, "perfusion") == pytest.approx(expected, rel=1e-4)


def test_yellow_marrow_in_a_femur():
    m = properties_map(block(everywhere(-60.0), femur_right=everywhere(True)), 9.15e8)
    assert inner(m, "permittivity") == pytest.approx(5.5, rel=1e-5)


@given(st.floats(0, 2000), st.floats(0, 2000))
def test_denser_bone_conducts_heat_no_worse_and_bleeds_no_more(one, two):
    low, high = sorted((one, two))
    hu = everywhere(low)
    hu[:, 3:, :] = high
    m = properties_map(block(hu, vertebra_L3=everywhere(True)), 2.45e9)
    for name, sign in (("conductivity", 1), ("perfusion", -1), ("vaporisation_heat", -1)):
        values = inner(m, name)
        assert sign * (float(values[1, 5, 3]) - float(values[1, 0, 3])) >= -1e-6 * abs(float(values[1, 0, 3]))


def test_a_lytic_lesion_is_tumour_and_a_blastic_one_bone():
    hu = everywhere(40.0)
    hu[:, 3:, :] = 2000.0
    m = properties_map(block(hu, lesion=everywhere(True), hip_right=everywhere(True)), 2.45e9)
    assert float(inner(m, "permittivity")[1, 0, 3]) == tissue("lytic_tumour")["permittivity_2450MHz"].number
    assert float(inner(m, "permittivity")[1, 5, 3]) == pytest.approx(tissue("cortical_bone")["permittivity_2450MHz"].number)


def test_soft_tissue_by_hounsfield_and_air_outside():
    hu = everywhere(40.0)
    hu[:, :3, :] = -100.0
    m = properties_map(block(hu), 2.45e9)
    assert (inner(m, "labels")[:, :3] == CODE["fat"]).all()
    assert (inner(m, "labels")[:, 3:] == CODE["muscle"]).all()
    assert (m.labels[:, :2] == CODE["air"]).all()
    assert (m.conductivity[:, :2] == np.float32(10 * 1e-3 / 2)).all()


def test_clamped_bone_and_metal_are_counted_and_said():
    hu = everywhere(1500.0)
    hu[0, 0, :] = 2500.0
    hu[1, 1, :3] = 3071.0
    m = properties_map(block(hu, hip_right=everywhere(True)), 2.45e9)
    assert (m.clamped_voxels, m.metal_voxels) == (6, 3)
    assert any("6 bone voxels above 2000 HU" in line for line in m.assumptions)
    assert any("3 voxels of metal" in line for line in m.assumptions)


def test_what_is_not_imaged_is_counted_and_said():
    anatomy = block(everywhere(40.0))
    imaged = np.ones(anatomy.grid.shape, bool)
    imaged[0] = False
    m = properties_map(replace(anatomy, imaged=anatomy.imaged.with_array(imaged)), 2.45e9)
    assert m.not_imaged_voxels == 100
    assert any("unknown" in line for line in m.assumptions)


def test_a_large_vessel_is_held_and_a_thin_one_is_not():
    wide, thin = everywhere(False, (3, 12, 12)), everywhere(False, (3, 12, 12))
    wide[:, 3:9, 3:9] = True
    thin[:, 6, :] = True
    hu = everywhere(40.0, (3, 12, 12))
    held = properties_map(block(hu, aorta=wide), 2.45e9)
    assert held.perfusion[1, 7, 7] > 1e5
    not_held = properties_map(block(hu, aorta=thin), 2.45e9)
    assert not_held.perfusion.max() == held.perfusion[0, 0, 0]  # only air is held
    assert any("narrower than 3 mm" in line for line in not_held.assumptions)


def test_a_draw_changes_numbers_and_every_one_is_named():
    anatomy = block(everywhere(40.0), lesion=everywhere(True))
    middle, drawn = properties_map(anatomy, 2.45e9), properties_map(anatomy, 2.45e9, Draw(seed=3))
    assert set(middle.used) == set(drawn.used)
    assert not np.allclose(middle.permittivity, drawn.permittivity)
    assert {"lytic_tumour.perfusion", "lytic_tumour.density", "vaporisation.latent_heat"} <= set(middle.used)
    assert not any(name.startswith(("muscle.", "titanium.", "liver.")) for name in middle.used)  # what is not there is not cited


def test_the_body_is_the_largest_piece_with_its_gas_inside():
    hu = everywhere(40.0, (3, 8, 8))
    hu[:, 3:5, 3:5] = -900.0
    anatomy = block(hu)
    body = body_mask(anatomy, anatomy.image.array, -300.0)
    assert body[:, 2:-2, 2:-2].all()
    assert not body[:, 0].any()


def test_no_ct_and_no_table_are_refused_in_three_parts():
    anatomy = block(everywhere(40.0))
    with pytest.raises(MissingError) as caught:
        properties_map(Anatomy(imaged=anatomy.imaged), 2.45e9)
    assert caught.value.what
    assert caught.value.why
    assert caught.value.do
    with pytest.raises(InputError, match="433 MHz"):
        band_of(433e6)


def enhanced(anatomy, added):
    """The same tissue with contrast agent in what is no mineral; mineral is told by HU/2000, in a lesion from 60 HU on."""
    hu = anatomy.image.array
    start = np.where(anatomy.masks[structure("lesion")].array, 60.0, 0.0)
    mineral = np.clip((hu - start) / (2000 - start), 0, 1)
    agent = np.where(hu > -500, added * (1 - mineral), 0.0)
    return replace(anatomy, image=anatomy.image.with_array((hu + agent).astype(np.float32)), contrast=True)


def bone_and_lesion():
    hu = np.random.default_rng(5).uniform(0, 2000, (4, 8, 8))
    lesion = np.zeros(hu.shape, bool)
    lesion[:, :3] = True
    hu[lesion] = np.random.default_rng(6).uniform(60, 2000, int(lesion.sum()))
    return replace(block(hu, vertebra_L3=np.ones(hu.shape, bool), lesion=lesion), contrast=False)


@pytest.mark.parametrize("added", [0.0, 30.0, 117.0, 200.0])
def test_agent_that_is_known_is_taken_off_exactly(added):
    anatomy = bone_and_lesion()
    plain = properties_map(anatomy, 2.45e9)
    found = properties_map(enhanced(anatomy, added), 2.45e9, Draw(fixed=(("hounsfield.contrast_adds", added),)))
    np.testing.assert_array_equal(found.labels, plain.labels)
    for name in FIELDS:
        np.testing.assert_allclose(getattr(found, name), getattr(plain, name), rtol=1e-4, err_msg=name)


@settings(deadline=None)
@given(st.floats(0, 200))
def test_law_the_ends_of_the_ensemble_over_agent_hold_the_tissue_without(added):
    anatomy = bone_and_lesion()
    plain = properties_map(anatomy, 2.45e9)
    ends = [properties_map(enhanced(anatomy, added), 2.45e9, Draw(fixed=(("hounsfield.contrast_adds", e),))) for e in (0, 200)]
    for name in ("conductivity", "perfusion", "vaporisation_heat"):  # those that rise or fall with bone all the way
        true, low, high = getattr(plain, name), *np.sort([getattr(end, name) for end in ends], axis=0)
        slack = 1e-4 * np.abs(true)
        assert (true >= low - slack).all(), name
        assert (true <= high + slack).all(), name


def test_agent_is_said_drawn_and_cited_and_only_where_it_is():
    anatomy = bone_and_lesion()
    for contrast in (False, None):
        found = properties_map(replace(anatomy, contrast=contrast), 2.45e9)
        assert "hounsfield.contrast_adds" not in found.used
        assert not any(line.startswith("CT with contrast agent") for line in found.assumptions)
    agent = replace(anatomy, contrast=True)
    found, drawn = properties_map(agent, 2.45e9), properties_map(agent, 2.45e9, Draw(seed=4))
    assert any(line.startswith("CT with contrast agent: 60 HU are taken off") for line in found.assumptions)
    value = found.used["hounsfield.contrast_adds"]
    assert (value.verified, value.spread.low, value.spread.high) == (False, 0.0, 200.0)
    only = Draw(fixed=tuple((n, v.number) for n, v in found.used.items() if n != "hounsfield.contrast_adds"), seed=4)
    assert not np.allclose(properties_map(agent, 2.45e9, only).perfusion, found.perfusion)
    assert set(drawn.used) == set(found.used)


def test_a_filled_vessel_that_nobody_outlined_is_bone_only_above_what_agent_adds():
    anatomy = block(everywhere(300.0))
    assert (inner(properties_map(anatomy, 2.45e9), "labels") == CODE["bone"]).all()
    assert (inner(properties_map(replace(anatomy, contrast=True), 2.45e9), "labels") == CODE["muscle"]).all()
