"""Sound in tissue: published numbers, exact laws and conversions, ranges that are counted, heat never above loss."""

import math
from dataclasses import replace

import numpy as np
import pint
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.errors import ImageError, InputError, MissingError, NumericalError
from osteon.evidence.source import cite, papers
from osteon.evidence.value import Fixed, LogNormal, Normal, Uniform, Value
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Volume
from osteon.tissue.acoustics import AcousticMap, acoustic_map, bone_mixture
from osteon.tissue.acoustics_ct import QUANTITIES, ct_mapping, ct_mappings, ct_model, ct_models
from osteon.tissue.acoustics_media import COLUMNS, acoustic_media
from osteon.tissue.acoustics_rows import (
    NP_M_PER_DB_CM,
    PowerLaw,
    acoustic_row,
    acoustic_rows,
    frequency_limits,
    np_m,
    published_rows,
)
from osteon.tissue.bone import CODE, properties_map
from osteon.tissue.properties import Constants, tissue
from osteon.treatments.base import Draw

FIELDS = (*COLUMNS,)
# bars set before the first comparison
PRINTED_MCDANNOLD_SPEED = 0.5  # m/s, printed whole
PRINTED_MCDANNOLD_LOSS = 0.5  # Np/m, printed whole
CONTINUOUS = 1e-9  # relative, the joints of hounsfield2density as its authors give 13 digits
SAME_FLOAT32 = 2e-6


def block(hu, **masks):
    """An anatomy with 2 voxels of air all round in y and x."""
    image = np.pad(np.asarray(hu, np.float32), ((0, 0), (2, 2), (2, 2)), constant_values=-1000)
    volume = Volume.of(image, np.eye(4))
    named = {structure(k): Volume.of(np.pad(np.asarray(m, bool), ((0, 0), (2, 2), (2, 2))), np.eye(4)) for k, m in masks.items()}
    return Anatomy(imaged=volume.with_array(np.ones(image.shape, bool)), image=volume, masks=named)


def everywhere(value, shape=(3, 6, 6)):
    return np.full(shape, value)


def one(sound, name):
    return float(getattr(sound, name)[1, 4, 4])


def pelvis():
    """Bone, lesion, muscle, fat and gas over the whole range of HU."""
    hu = np.random.default_rng(11).uniform(-120, 2600, (4, 10, 10))
    hip, lesion = np.zeros(hu.shape, bool), np.zeros(hu.shape, bool)
    hip[:, :6], lesion[:, 4:8] = True, True
    hu[:, 8:, :5], hu[:, 8:, 5:] = 50.0, -90.0
    hu[0, 9, 9] = -900.0
    return block(hu, hip_right=hip, lesion=lesion)


# -- published numbers --


@pytest.mark.parametrize(
    ("density", "speed", "loss"), [(1000, 1553, 816), (1500, 2158, 260), (1850, 2649, 170), (2200, 3128, 174)]
)
def test_mcdannold_2020_speed_and_attenuation_at_660_khz(density, speed, loss):
    x = np.array([float(density)])
    assert float(ct_mapping("speed", "mcdannold_2020").of(x).values[0]) == pytest.approx(speed, abs=PRINTED_MCDANNOLD_SPEED)
    free = replace(ct_mapping("attenuation", "mcdannold_2020"), low=0.0)  # outside its range only to check the coefficients
    assert float(free.of(x).values[0]) == pytest.approx(loss, abs=PRINTED_MCDANNOLD_LOSS)


def test_schneider_1996_as_fitted_by_k_wave_at_water_and_at_its_joints():
    law = ct_mapping("density", "schneider_1996")
    assert float(law.of(np.array([1000.0])).values[0]) == pytest.approx(1011.9, abs=0.05)
    for joint in (930.0, 1098.0, 1260.0):
        low, high = law.of(np.array([joint, np.nextafter(joint, 2e3)])).values
        assert high == pytest.approx(low, rel=CONTINUOUS)


@pytest.mark.parametrize(("hu", "density"), [(-1000.0, 1.293), (27.0, 1041.0)])
def test_the_line_of_air_and_tissue_goes_through_its_two_points(hu, density):
    assert float(ct_mapping("density", "air_tissue").of(np.array([hu])).values[0]) == pytest.approx(density, rel=2e-5)


@pytest.mark.parametrize(
    ("porosity", "density", "speed", "loss"), [(0, 2200, 3100, 2.303), (0.25, 1900, 2700, 47.203), (1, 1000, 1500, 92.103)]
)
def test_aubry_2003_by_hand(porosity, density, speed, loss):
    found = [float(ct_mapping(q, "aubry_2003").of(np.array([porosity])).values[0]) for q in ("density", "speed", "attenuation")]
    assert found == pytest.approx([density, speed, loss], rel=1e-12)


@pytest.mark.parametrize(
    ("quantity", "name", "x", "expected"),
    [
        ("density", "marsac_2017", 0.5, 1850.0),
        ("speed", "marsac_2017", 1850.0, 2250.0),  # 1500 + 1500 x 850 / 1700
        ("speed", "itrusst", 1000.0, 1497.0),
        ("speed", "itrusst", 1850.0, 2627.5),
        ("speed", "webb_ge_120_standard", 1000.0, 2220.0),
        ("speed", "webb_siemens_120_bone", 1000.0, 2080.0),
        ("attenuation", "webb_ge_120_bone", 1000.0, 2600.0 * math.exp(-1.6)),
        ("attenuation", "webb_siemens_120_standard", 1500.0, 2800.0 * math.exp(-2.1)),
        ("attenuation", "yaakub_2023", 0.0, 400 * math.log(10) / 20),
        ("attenuation", "yaakub_2023", 1.0, 870 * math.log(10) / 20),
        ("attenuation", "kplan", 700.0, 1330 * math.log(10) / 20),
        ("shear_speed", "pichardo_2017", 1896.5, 1480.838),
    ],
)
def test_mappings_by_hand(quantity, name, x, expected):
    assert float(ct_mapping(quantity, name).of(np.array([x])).values[0]) == pytest.approx(expected, rel=1e-12)


def test_the_spread_of_cortical_attenuation_is_carried_whole():
    assert acoustic_row("cortical_bone").attenuation_l.coefficient.spread == Uniform(31.0, 191.0)
    assert acoustic_row("cortical_bone").absorption_l.coefficient.spread == Uniform(26.0, 55.0)


def test_itis_4_2_cord_is_not_the_tenfold_one_of_old_copies():
    law = acoustic_row("cord").attenuation_l
    assert (law.coefficient.number, law.exponent.number) == (6.8032, 1.3)


def ends(value: Value) -> tuple[float, float]:
    spread = value.spread
    if isinstance(spread, LogNormal):
        return value.number / spread.gsd**2, value.number * spread.gsd**2
    if isinstance(spread, Normal):
        return value.number - 3 * spread.sd, value.number + 3 * spread.sd
    return (value.number, value.number) if isinstance(spread, Fixed) else (spread.low, spread.high)


def test_every_published_row_lies_inside_the_spread_of_its_default_or_says_why_not():
    astray = []
    for row in published_rows():
        if row.tissue not in acoustic_rows():
            assert row.outside
            continue
        found = getattr(acoustic_row(row.tissue), row.quantity)
        low, high = ends(found.coefficient if isinstance(found, PowerLaw) else found)
        outside = row.si[0] < low * 0.995 or row.si[1] > high * 1.005  # half a percent for the last printed digit
        if outside != bool(row.outside):
            astray.append((row.tissue, row.quantity, row.si, (low, high), row.source))
    assert astray == []
    assert len(published_rows()) > 100


# -- every entry --


def values_of_rows():
    for row in acoustic_rows().values():
        for part in (
            row.density,
            row.speed_l,
            row.speed_s,
            row.attenuation_l,
            row.attenuation_s,
            row.absorption_l,
            row.absorption_s,
        ):
            if isinstance(part, PowerLaw):
                yield row.name, part.coefficient
                yield row.name, part.exponent
            elif part is not None:
                yield row.name, part


def test_every_entry_has_a_unit_that_pint_knows_a_spread_and_a_paper():
    units, count = pint.UnitRegistry(), 0
    for name, value in values_of_rows():
        units.Unit(value.unit)
        assert value.source in papers(), (name, value)
        low, high = ends(value)
        assert low <= value.number <= high, (name, value)
        count += 1
    for row in published_rows():
        assert row.source in papers(), row
        assert row.low <= row.high
    for mapping in (m for q in QUANTITIES for m in ct_mappings()[q].values()):
        assert mapping.source in papers()
        assert mapping.spread.source in papers()
        assert mapping.low < mapping.high
        assert "skull" in mapping.note
        assert not isinstance(mapping.spread.spread, Fixed)
    assert count == 120  # a row that gets lost shows here


def test_what_was_not_read_has_a_spread():
    unread = [(n, v) for n, v in values_of_rows() if not v.verified and n not in ("titanium", "cement") and v.unit != "1"]
    assert any(n == "lytic_tumour" for n, _ in unread)
    assert not [n for n, v in unread if isinstance(v.spread, Fixed)]


def test_every_law_stores_its_frequency():
    for row in acoustic_rows().values():
        for law in (row.attenuation_l, row.attenuation_s, row.absorption_l, row.absorption_s):
            if isinstance(law, PowerLaw):
                assert law.reference_hz == 1e6
    for mapping in ct_mappings()["attenuation"].values():
        assert mapping.reference_hz in (0.5e6, 0.66e6, 1e6)
        assert mapping.exponent >= 1


# -- exact --


def test_decibels_per_centimetre_are_turned_into_nepers_per_metre_exactly():
    assert np_m(1.0) == NP_M_PER_DB_CM
    assert np_m(1.0) == pytest.approx(11.512925464970229, rel=1e-15)
    assert math.exp(-np_m(3.0) * 0.01) == pytest.approx(10 ** (-3 / 20), rel=1e-14)  # amplitude over 1 cm
    at_one = [
        r for r in published_rows() if (r.tissue, r.source, r.quantity) == ("skin", "itrusst-benchmarks-2022", "attenuation_l")
    ]
    assert at_one[0].si[0] == pytest.approx(0.4 * 11.512925464970229, rel=1e-14)  # 0.2 dB/cm at 500 kHz, linear


@pytest.mark.parametrize("name", sorted(acoustic_rows()))
@pytest.mark.parametrize("frequency", [0.27e6, 0.5e6, 1e6, 1.2e6, 7e6])
def test_the_frequency_law_is_exact(name, frequency):
    row = acoustic_row(name)
    for wave, law in (("l", row.attenuation_l), ("s", row.attenuation_s)):
        if law is not None:
            expected = law.coefficient.number * (frequency / 1e6) ** law.exponent.number
            assert getattr(row.at(frequency, Constants()), f"attenuation_{wave}") == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("name", sorted(ct_mappings()["attenuation"]))
def test_the_frequency_law_of_a_mapping_is_exact_in_the_map(name):
    model = next(m for m, named in ct_models().items() if named.get("attenuation") == name)
    anatomy = block(everywhere(1200.0), hip_right=everywhere(True))
    one_mhz, half = (one(acoustic_map(anatomy, f, model=model), "attenuation_l_np_m") for f in (1e6, 0.5e6))
    assert one_mhz / half == pytest.approx(2 ** ct_mapping("attenuation", name).exponent, rel=SAME_FLOAT32)


# -- ranges --


@pytest.mark.parametrize(("quantity", "name"), [(q, n) for q in QUANTITIES for n in ct_mappings()[q]])
def test_outside_its_range_a_mapping_is_held_and_counted(quantity, name):
    law = ct_mapping(quantity, name)
    width = law.high - law.low
    x = np.array([law.low - width, law.low - 1e-3, law.low, 0.5 * (law.low + law.high), law.high, law.high + width])
    found = law.of(x)
    assert (found.below, found.above) == (2, 1)
    assert found.values[0] == found.values[1] == found.values[2]
    assert found.values[5] == found.values[4]
    assert (found.values > 0).all()


@pytest.mark.parametrize("name", [m for m in ct_models() if m != "mixture"])
def test_law_denser_is_heavier_and_faster_and_loses_less(name):
    model = ct_model(name)
    hu = np.linspace(350, 2000, 400)
    anatomy = block(np.tile(hu, (3, 6, 1)), hip_right=np.ones((3, 6, 400), bool))
    sound = acoustic_map(anatomy, 1e6, model=name)
    for field, quantity in (("density", "density"), ("speed_l", "speed"), ("speed_s", "shear_speed")):
        assert (np.diff(getattr(sound, field)[1, 4, 2:-2]) >= -1e-2).all(), field
        assert quantity in model or field == "speed_s"
    if name != "mcdannold_2020":  # its polynomial turns round by its rounded coefficients, +-70 Np/m
        assert (np.diff(sound.attenuation_l_np_m[1, 4, 2:-2]) <= 1e-3).all()


def test_a_number_that_is_none_is_refused_by_a_mapping():
    with pytest.raises(NumericalError):
        ct_mapping("speed", "itrusst").of(np.array([1000.0, np.nan]))


# -- heat never above loss --


@given(st.sampled_from(sorted(acoustic_rows())), st.integers(0, 10**6), st.floats(0.1e6, 10e6))
def test_law_absorption_is_never_above_attenuation(name, seed, frequency):
    found = acoustic_row(name).at(frequency, Constants(Draw(seed=seed)))
    assert 0 <= found.absorption_l <= found.attenuation_l
    assert 0 <= found.absorption_s <= found.attenuation_s
    assert found.speed_s < math.sqrt(0.75) * found.speed_l
    assert min(found.density, found.speed_l) > 0


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(sorted(ct_models())), st.integers(0, 10**6), st.floats(0.2e6, 3e6))
def test_law_every_map_is_finite_and_stable(model, seed, frequency):
    sound = acoustic_map(pelvis(), frequency, Draw(seed=seed), model)
    for name in FIELDS:
        field = getattr(sound, name)
        assert field.dtype == np.float32
        assert field.shape == sound.grid.shape
        assert np.isfinite(field).all()
        assert (field >= 0).all()
    assert (sound.absorption_share <= 1).all()
    assert (sound.absorption_share_s <= 1).all()
    assert (sound.speed_s <= 0.7072 * sound.speed_l).all()
    assert (sound.attenuation_s_np_m[sound.solid] > 0).all()
    assert not sound.attenuation_s_np_m[~sound.solid].any()


# -- the map --


def test_heat_and_sound_agree_on_what_every_voxel_is_and_on_its_density():
    anatomy = pelvis()
    sound, heat = acoustic_map(anatomy, 1e6), properties_map(anatomy, 2.45e9)
    np.testing.assert_array_equal(sound.label, heat.labels)
    soft = sound.is_label("muscle")
    capacity = tissue("muscle")["heat_capacity"].number
    np.testing.assert_allclose(sound.density[soft] * capacity, heat.heat_capacity[soft], rtol=1e-6)


@pytest.mark.parametrize(("hu", "row"), [(-20.0, "red_marrow"), (340.0, "cancellous_bone"), (2000.0, "cortical_bone")])
def test_the_anchors_of_the_mixing_law_are_the_rows(hu, row):
    sound = acoustic_map(block(everywhere(hu), hip_right=everywhere(True)), 1.2e6)
    expected = acoustic_row(row).at(1.2e6, Constants())
    found = [one(sound, n) for n in ("density", "speed_l", "speed_s", "attenuation_l_np_m", "attenuation_s_np_m")]
    assert found == pytest.approx(list(expected.values[:5]), rel=1e-5)
    assert one(sound, "absorption_share") == pytest.approx(expected.absorption_l / expected.attenuation_l, rel=1e-5)


def test_a_femur_holds_yellow_marrow_and_a_lytic_lesion_tumour():
    femur = acoustic_map(block(everywhere(-60.0), femur_right=everywhere(True)), 1e6)
    assert one(femur, "speed_l") == pytest.approx(acoustic_row("yellow_marrow").speed_l.number)
    lesion = acoustic_map(block(everywhere(40.0), hip_right=everywhere(True), lesion=everywhere(True)), 1e6)
    assert one(lesion, "speed_l") == pytest.approx(acoustic_row("lytic_tumour").speed_l.number)
    assert not lesion.solid.any()
    assert lesion.counted["fluid_bone"] == 108


def test_what_is_not_imaged_is_named_counted_and_never_free():
    anatomy = block(everywhere(40.0))
    imaged = np.ones(anatomy.grid.shape, bool)
    imaged[0] = False
    holes = anatomy.image.array.copy()
    holes[0] = np.nan
    sound = acoustic_map(replace(anatomy, image=anatomy.image.with_array(holes), imaged=anatomy.imaged.with_array(imaged)), 1e6)
    assert sound.counted["not_imaged"] == 100
    assert sound.unknown[0].all()
    assert not sound.unknown[1:].any()
    assert any("Cannot tell if sound passes: image them." in line for line in sound.notes)


def test_gas_stops_sound_and_structures_without_a_row_are_named():
    hu = everywhere(40.0)
    hu[:, 2:4, 2:4] = -900.0
    sound = acoustic_map(block(hu, urinary_bladder=everywhere(True)), 1e6)
    assert sound.blocks[1, 4, 4]
    assert not sound.blocks[1, 2, 2]
    assert any(line.startswith("No acoustic row for") and "ladder" in line for line in sound.notes)
    assert any(line.startswith("Gas and lung stop sound") for line in sound.notes)


def test_a_model_says_its_mappings_its_skull_and_what_lay_outside():
    hu = everywhere(1500.0)
    hu[0, 0, :] = 2500.0
    sound = acoustic_map(block(hu, hip_right=everywhere(True)), 1e6, model="marsac_aubry")
    assert (sound.counted["density_above"], sound.counted["attenuation_below"]) == (6, 6)
    text = " ".join(sound.notes)
    assert "Fitted on skull" in text
    assert "6 above are held" in text
    assert one(sound, "density") == pytest.approx(1000 + 1700 * 0.75)
    assert one(sound, "speed_l") == pytest.approx(1500 + 1500 * 0.75)
    assert {"marsac-2017", "aubry-2003"} <= {p.id for p in cite(sound)}


def test_a_mapping_that_loses_less_than_bone_absorbs_is_held_and_counted():
    sound = acoustic_map(block(everywhere(2000.0), hip_right=everywhere(True)), 1e6, model="aubry_2003")
    assert one(sound, "attenuation_l_np_m") == pytest.approx(2.303)
    assert one(sound, "absorption_share") == 1.0
    assert sound.counted["held_absorption"] == 108
    assert any("too low" in line for line in sound.notes)


def test_no_mapping_is_used_outside_solid_bone():
    anatomy = block(everywhere(40.0), hip_right=np.zeros((3, 6, 6), bool))
    plain, mapped = acoustic_map(anatomy, 1e6), acoustic_map(anatomy, 1e6, model="mcdannold_2020")
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(plain, name), getattr(mapped, name))
    marrow = block(everywhere(100.0), hip_right=everywhere(True))
    plain, mapped = acoustic_map(marrow, 1e6), acoustic_map(marrow, 1e6, model="mcdannold_2020")
    np.testing.assert_array_equal(plain.attenuation_l_np_m, mapped.attenuation_l_np_m)


def test_contrast_agent_that_is_known_is_taken_off():
    plain = block(everywhere(1000.0), hip_right=everywhere(True))
    agent = replace(
        plain, image=plain.image.with_array(np.where(plain.image.array > 0, 1050.0, -1000.0).astype(np.float32)), contrast=True
    )
    known = Draw(fixed=(("hounsfield.contrast_adds", 100.0),))
    for model in ("mixture", "webb_ge_120_bone"):
        without, taken = acoustic_map(plain, 1e6, model=model), acoustic_map(agent, 1e6, known, model)
        for name in FIELDS:
            np.testing.assert_allclose(getattr(taken, name), getattr(without, name), rtol=1e-5, err_msg=f"{model} {name}")


def test_a_draw_moves_the_numbers_is_repeated_exactly_and_every_one_is_named():
    middle, one_draw, again = (
        acoustic_map(pelvis(), 1e6),
        acoustic_map(pelvis(), 1e6, Draw(seed=7)),
        acoustic_map(pelvis(), 1e6, Draw(seed=7)),
    )
    assert set(middle.used) == set(one_draw.used)
    np.testing.assert_array_equal(one_draw.speed_l, again.speed_l)
    assert not np.allclose(one_draw.speed_l, middle.speed_l)
    assert {"cortical_bone.attenuation_l", "cortical_bone.attenuation_l_exponent", "cortical_bone.absorption_l"} <= set(
        middle.used
    )
    assert not any(n.startswith(("titanium.", "liver.", "cement.")) for n in middle.used)


def test_ensemble_of_cortex_spans_the_sources():
    found = [one_seed(s) for s in range(200)]
    assert 31 <= min(found) < 45
    assert 175 < max(found) <= 191


def one_seed(seed):
    return acoustic_row("cortical_bone").at(1e6, Constants(Draw(seed=seed))).attenuation_l


@pytest.mark.parametrize(
    ("error", "ask"),
    [
        (InputError, lambda: acoustic_map(pelvis(), 1e3)),
        (InputError, lambda: acoustic_map(pelvis(), math.nan)),
        (InputError, lambda: acoustic_map(pelvis(), -1e6)),
        (InputError, lambda: acoustic_map(pelvis(), 1e6, model="no_such")),
        (InputError, lambda: ct_mapping("speed", "no_such")),
        (InputError, lambda: acoustic_row("unobtainium")),
        (InputError, lambda: acoustic_media(acoustic_map(pelvis(), 1e6), 0)),
        (MissingError, lambda: acoustic_map(Anatomy(imaged=pelvis().imaged), 1e6)),
        (ImageError, lambda: acoustic_map(spoilt(), 1e6)),
    ],
)
def test_what_cannot_be_computed_is_refused_in_three_parts(error, ask):
    with pytest.raises(error) as caught:
        ask()
    assert caught.value.what
    assert caught.value.why
    assert caught.value.do


def spoilt():
    anatomy = block(everywhere(40.0))
    hu = anatomy.image.array.copy()
    hu[1, 4, 4] = np.nan
    return replace(anatomy, image=anatomy.image.with_array(hu))


def test_limits_of_frequency_hold_the_devices():
    low, high = frequency_limits()
    assert low <= 0.22e6
    assert high >= 7e6


def test_mixture_anchors_rise_from_marrow_to_cortex():
    fractions, values = bone_mixture("red_marrow", 1e6, Constants())
    assert list(fractions) == [0.0, 0.17, 1.0]
    assert (np.diff(values[:, :3], axis=0) > 0).all()


# -- few media --


@pytest.mark.parametrize("steps", [1, 8])
def test_media_keep_mass_travel_time_and_what_is_absorbed(steps):
    sound = acoustic_map(pelvis(), 1e6)
    media = acoustic_media(sound, steps)
    assert sum(media.voxels) == sound.label.size
    assert len(media.names) == len(media.table) == int(media.index.max()) + 1

    def total(name):
        return float(media.table[:, COLUMNS.index(name)] @ np.array(media.voxels))

    assert total("density") == pytest.approx(float(sound.density.sum(dtype=float)), rel=1e-9)
    slow = float((np.array(media.voxels) / media.table[:, 1]).sum())
    assert slow == pytest.approx(float((1 / sound.speed_l.astype(float)).sum()), rel=1e-9)
    absorbed = float((media.table[:, 3] * media.table[:, 5]) @ np.array(media.voxels))
    exact = float((sound.attenuation_l_np_m.astype(float) * sound.absorption_share).sum())
    assert absorbed == pytest.approx(exact, rel=1e-6)
    solid = media.table[:, COLUMNS.index("speed_s")] > 0
    np.testing.assert_array_equal(solid[media.index], sound.solid)  # no medium mixes fluid and solid


@pytest.mark.parametrize("model", sorted(ct_models()))
def test_every_medium_is_one_that_a_plane_wave_can_meet(model):
    from osteon.physics.acoustic_layers import Medium

    media = acoustic_media(acoustic_map(pelvis(), 1e6, Draw(seed=2), model), 8)
    for density, speed, shear, lost, lost_shear, *_ in media.table:
        medium = Medium(
            density_kg_m3=density,
            speed_m_s=speed,
            attenuation_np_m=lost,
            shear_speed_m_s=shear,
            shear_attenuation_np_m=lost_shear,
        )
        assert medium.solid == (shear > 0)


def test_one_label_is_one_medium_unless_it_is_bone():
    media = acoustic_media(acoustic_map(pelvis(), 1e6), 4)
    assert {"air", "fat", "muscle"} <= set(media.names)
    for label in ("bone", "lesion"):  # each for itself: tumour and bone of one impedance absorb differently
        for kind in ("fluid", "solid"):
            assert len([n for n in media.names if n.startswith(f"{kind} {label}")]) <= 4
    assert CODE["air"] == 0
    assert isinstance(acoustic_map(pelvis(), 1e6), AcousticMap)


# -- a real pelvis --


@pytest.mark.real
@pytest.mark.parametrize("model", ["mixture", "itrusst"])
def test_real_pelvis_is_bone_where_heat_says_so_and_all_that_was_assumed_is_said(model):
    from conftest import shared_path
    from osteon.io import images, labels

    folder = shared_path("data/pelvis_ct")
    image = images.read(folder / "example_ct.nii.gz")
    masks = labels.read(folder / "example_seg_fast_force_split.nii.gz", image.volume.grid).masks
    anatomy = Anatomy(imaged=image.imaged, image=image.volume, masks=masks, contrast=False)
    sound, heat = acoustic_map(anatomy, 1e6, model=model), properties_map(anatomy, 2.45e9)
    np.testing.assert_array_equal(sound.label, heat.labels)
    bone = sound.is_label("bone", "lesion")
    assert int(bone.sum()) == sound.counted["fluid_bone"] + int((sound.solid & bone).sum())
    assert all(np.isfinite(getattr(sound, name)).all() for name in FIELDS)
    assert sound.counted["metal"] == heat.metal_voxels
    for counted in ("metal", "fluid_bone", "unlabelled_bone"):
        assert any(line.startswith(str(sound.counted[counted])) for line in sound.notes), counted
    assert any("urinary bladder" in line for line in sound.notes)
    hip = bone & masks[structure("hip_right")].array
    rho, speed = sound.density[hip & sound.solid], sound.speed_l[hip & sound.solid]
    assert np.corrcoef(rho, speed)[0, 1] > 0.99  # both follow the bone volume fraction
