"""From Hounsfield numbers to density: synthetic tissues of known composition, a hand calculation, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.errors import InputError, MissingError
from osteon.evidence.source import papers
from osteon.tissue.bone_density import Density
from osteon.tissue.calibration import from_air_fat_muscle, from_composition, from_internal, from_phantom, not_calibrated
from osteon.tissue.calibration_peaks import peaks
from osteon.tissue.internal_energy import TISSUES, fit_internal, mass_attenuation

ICRU_44 = {"adipose": 0.95, "air": 0.001205, "blood": 1.06, "bone": 1.92, "muscle": 1.05}  # g/cm3
RODS = Density.of("k2hpo4", [-50.0, 0.0, 75.0, 150.0, 375.0], "mg/cm3")


def hu_at(kev, parts):
    """HU of a mixture {material: g/cm3} for one energy."""
    water = float(mass_attenuation("water", kev))
    return 1000.0 * (sum(rho * float(mass_attenuation(m, kev)) for m, rho in parts.items()) / water - 1.0)


def tissues_at(kev):
    return {t: hu_at(kev, {t: ICRU_44[t]}) for t in TISSUES}


@pytest.mark.parametrize("kev", [55.0, 65.0, 75.0])
def test_phantom_reads_k2hpo4_in_water_to_1_percent(kev):
    """Rods of K2HPO4 in water at one energy, then other concentrations of the same."""
    mixed = [hu_at(kev, {"k2hpo4": k, "water": 1.0}) for k in (0.0, 0.1, 0.2, 0.4)]
    rods = Density.of("k2hpo4", [0.0, 0.1, 0.2, 0.4], "g/cm3")
    found = from_phantom(mixed, rods)
    assert max(map(abs, found.residuals)) < 1e-9
    for k in (0.05, 0.15, 0.35, 0.9):
        assert float(found.density(hu_at(kev, {"k2hpo4": k, "water": 1.0})).values_g_cm3) == pytest.approx(k, rel=0.01)


def test_phantom_shows_the_residual_of_a_wrong_rod():
    hu = 1.25 * RODS.mg_cm3 + 5.0
    assert max(map(abs, from_phantom(list(hu), RODS).residuals)) < 1e-12
    hu[2] += 25.0
    found = from_phantom(list(hu), RODS)
    assert max(range(5), key=lambda i: abs(found.residuals[i])) == 2
    assert found.kind == "k2hpo4"
    assert from_phantom(list(hu), Density.of("ha", RODS.values_g_cm3, "g/cm3")).kind == "ha"


@given(slope=st.floats(0.6, 1.4), offset=st.floats(-40, 40), rho=st.floats(-0.2, 1.5))
@settings(max_examples=50, deadline=None)
def test_a_line_is_found_again_whatever_the_scanner(slope, offset, rho):
    hu = RODS.mg_cm3 / slope + offset
    found = from_phantom(list(hu), RODS)
    assert float(found.density(rho * 1e3 / slope + offset).values_g_cm3) == pytest.approx(rho, abs=1e-9)


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (0.93, 6.0), (1.01, -4.0)])
def test_air_fat_muscle_on_synthetic_tissues_of_known_density_to_1_percent(gain, offset):
    """A noisy region whose tissues have the reference densities on a hidden line; bone of known HA density is read back."""
    rng = np.random.default_rng(3)

    def hidden(ha_mg, n, noise):
        return rng.normal((ha_mg + 14.0) / 0.826 * gain + offset, noise, n)

    # counts and noise are those of a thigh in a large field; nothing between is empty: partial volume fills it
    region = np.concatenate([hidden(-840, 60000, 8), hidden(-80, 20000, 9), hidden(30, 30000, 9), rng.uniform(-900, 300, 6000)])
    found = from_air_fat_muscle(peaks(np.round(region)))
    assert found.kind == "ha"
    for ha in (150.0, 400.0, 1000.0):
        hu = (ha + 14.0) / 0.826 * gain + offset
        assert float(found.density(hu).mg_cm3) == pytest.approx(ha, rel=0.01)


@pytest.mark.parametrize(("kev", "low", "high"), [(60.0, 0.25, 0.45), (70.0, -0.05, 0.15), (80.0, -0.25, -0.05)])
def test_air_fat_muscle_cannot_see_the_energy_of_the_scan(kev, low, high):
    """A limit, shown: hydroxyapatite in water reads from a third too high to a sixth too low. Brackets set after a first look."""
    per_g = float(mass_attenuation("ha", kev))
    water = float(mass_attenuation("water", kev))
    found = from_air_fat_muscle({"air": -999.0, "fat": tissues_at(kev)["adipose"], "muscle": tissues_at(kev)["muscle"]})
    hu = 1000.0 * ((0.2 * per_g + (1 - 0.2 / 3.16) * water) / water - 1.0)
    assert low < float(found.density(hu).values_g_cm3) / 0.2 - 1.0 < high


@pytest.mark.parametrize("kev", [58.3, 65.0, 71.7, 80.0])
@pytest.mark.parametrize("k", [0.05, 0.1, 0.2, 0.4, 0.8])
def test_composition_reads_k2hpo4_in_water_on_synthetic_tissues_to_1_percent(kev, k):
    found = from_composition(tissues_at(kev))
    hu = hu_at(kev, {"k2hpo4": k, "water": 1.0 - 0.2174 * k})
    assert found.energy_kev == pytest.approx(kev, abs=0.1)
    assert float(found.density(hu).values_g_cm3) == pytest.approx(k, rel=0.01)
    assert max(map(abs, found.residuals)) < 1e-4


def test_composition_rests_on_its_cortical_bone():
    hu = tissues_at(65.0)
    right, thin = from_composition(hu), from_composition({**hu, "bone": 0.9 * hu["bone"]})
    assert thin.slope > 1.05 * right.slope
    with pytest.raises(InputError, match="cortical bone"):
        from_composition({k: v for k, v in hu.items() if k != "bone"})
    agent = from_composition({**hu, "blood": 200.0, "muscle": 90.0}, contrast=True)
    assert agent.energy_kev == pytest.approx(65.0, abs=0.1)
    assert agent.band[0] < right.band[0]


def test_mindways_rods_of_salt_in_water():
    """Rods that displace water as their certificate says: K2HPO4-equivalent density comes back."""
    salt, sigma = np.array([-51.8, -53.4, 58.9, 157.0, 375.8]), 1.55
    water = np.array([1012.2, 1057.0, 1103.6, 1119.5, 923.2])
    hu = water + sigma * salt - 999.6
    found = from_phantom(list(hu), Density.of("k2hpo4", salt, "mg/cm3"), water_mg_cm3=list(water))
    assert max(map(abs, found.residuals)) < 1e-9
    assert float(found.density((sigma - 0.2174) * 200.0).mg_cm3) == pytest.approx(200.0, rel=1e-6)
    with pytest.raises(InputError, match="water densities"):
        from_phantom(list(hu), Density.of("k2hpo4", salt, "mg/cm3"), water_mg_cm3=[1000.0])


def test_padding_is_not_air_and_a_missing_tissue_is_named():
    rng = np.random.default_rng(5)
    body = np.concatenate([rng.normal(-90, 8, 4000), rng.normal(50, 8, 4000)])
    with pytest.raises(MissingError, match="no peak of air"):
        peaks(np.concatenate([body, np.full(5000, -1024.0)]))
    with pytest.raises(MissingError, match="no peak of air"):  # a scanner whose air lies at -1064 HU is no scanner
        peaks(np.concatenate([body, rng.normal(-1064, 8, 5000)]))
    with pytest.raises(MissingError, match="no peak of fat"):
        peaks(np.concatenate([rng.normal(-1000, 5, 4000), rng.normal(50, 8, 4000)]))
    with pytest.raises(MissingError, match="muscle"):
        from_air_fat_muscle({"air": -1000.0, "fat": -90.0})
    with pytest.raises(InputError, match="do not rise"):
        from_air_fat_muscle({"air": -1000.0, "fat": 60.0, "muscle": -90.0})


def test_internal_way_equals_the_hand_calculation_at_60_kev():
    hu = {"adipose": -100.0, "air": -1000.0, "blood": 50.0, "bone": 1500.0, "muscle": 60.0}
    mu = {"adipose": 0.1974, "air": 0.1875, "blood": 0.2057, "bone": 0.3148, "muscle": 0.2048}
    water, k, tg = 0.2059, 0.3890, 0.1945
    x, y = np.array([hu[t] for t in TISSUES]), np.array([mu[t] for t in TISSUES])
    rho = water * (1 + x / 1000) / y
    a = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    c = ((x - x.mean()) * (rho - rho.mean())).sum() / ((x - x.mean()) ** 2).sum()
    b, e = y.mean() - a * x.mean(), rho.mean() - c * x.mean()
    fit = fit_internal(hu, 60.0)
    assert (fit.a, fit.b, fit.c, fit.d) == pytest.approx((a, b, c, e), rel=1e-9)
    assert (fit.k2hpo4, fit.triglyceride, fit.water) == pytest.approx((k, tg, water), rel=1e-12)


def test_internal_polynomial_is_the_two_component_rule():
    hu = tissues_at(65.0)
    found, fit = from_internal(hu), fit_internal(hu)
    for x in (-50.0, 120.0, 400.0, 1300.0):
        rule = (fit.c * x + fit.d) * (fit.a * x + fit.b - fit.triglyceride) / (fit.k2hpo4 - fit.triglyceride)
        assert float(found.density(x).values_g_cm3) == pytest.approx(rule, rel=1e-9)
    assert found.kind == "k2hpo4"
    assert found.energy_kev == fit.energy_kev


FOUND_NOT = (
    "as published the search compares mass attenuation with HU: exact for tissues of one density (below), but tissues of ICRU 44 "
    "give 88 to 97 keV, and K2HPO4 in fat reads 15 to 79 % low; `composition` holds 1 % on the same tissues"
)


@pytest.mark.xfail(reason=FOUND_NOT, strict=True)
@pytest.mark.parametrize("kev", [60.0, 70.0, 80.0])
def test_internal_way_finds_the_energy_of_synthetic_tissues(kev):
    assert fit_internal(tissues_at(kev)).energy_kev == pytest.approx(kev, abs=1.0)


@pytest.mark.xfail(reason=FOUND_NOT, strict=True)
@pytest.mark.parametrize("kev", [60.0, 70.0, 80.0])
@pytest.mark.parametrize("k", [0.1, 0.2, 0.4, 0.8])
def test_internal_way_reads_k2hpo4_in_triglyceride_to_1_percent(kev, k):
    hu = hu_at(kev, {"k2hpo4": k, "triglyceride": 0.92 * (1 - k / 2.44)})
    assert float(from_internal(tissues_at(kev)).density(hu).values_g_cm3) == pytest.approx(k, rel=0.01)


@pytest.mark.parametrize("kev", [50.0, 60.0, 70.0, 80.0, 90.0])
@pytest.mark.parametrize("k", [0.05, 0.1, 0.2, 0.4, 0.8])
def test_internal_way_is_exact_for_tissues_of_one_density(kev, k):
    """The model of the method itself: HU are then a line of mass attenuation, and only at the energy of the scan."""
    one = {t: hu_at(kev, {t: 1.0}) for t in TISSUES}
    found = from_internal(one)
    assert found.energy_kev == pytest.approx(kev, abs=0.5)
    hu = hu_at(kev, {"k2hpo4": k, "triglyceride": 1.0 - k})
    assert float(found.density(hu).values_g_cm3) == pytest.approx(k, rel=0.01)


@pytest.mark.parametrize("kev", [50.0, 60.0, 70.0, 80.0, 90.0])
@pytest.mark.parametrize("k", [0.1, 0.2, 0.4, 0.8])
def test_composition_in_fat_reads_k2hpo4_in_triglyceride_to_1_percent(kev, k):
    """What the published search misses on the same tissues and the same mixtures."""
    hu = hu_at(kev, {"k2hpo4": k, "triglyceride": 0.92 * (1 - k / 2.44)})
    found = from_composition(tissues_at(kev), marrow="fat")
    assert found.energy_kev == pytest.approx(kev, abs=0.1)
    assert float(found.density(hu).values_g_cm3) == pytest.approx(k, rel=0.01)


@pytest.mark.parametrize(("kev", "low"), [(50.0, 0.072), (65.0, 0.082), (90.0, 0.093)])
def test_fat_marrow_read_as_water_is_low_by_its_fat(kev, low):
    """By hand: (1 - 0.92 mu_TG / mu_w) / (mu_K / mu_w - 0.2174)."""
    fat = float(from_composition(tissues_at(kev)).density(hu_at(kev, {"triglyceride": 0.92})).values_g_cm3)
    ratio = {m: float(mass_attenuation(m, kev) / mass_attenuation("water", kev)) for m in ("triglyceride", "k2hpo4")}
    assert fat == pytest.approx(-(1 - 0.92 * ratio["triglyceride"]) / (ratio["k2hpo4"] - 0.2174), rel=1e-3)
    assert -fat == pytest.approx(low, abs=0.005)


def test_composition_at_60_kev_by_hand():
    """mu_K / mu_w = 0.3890 / 0.2059; 200 HU are 0.2 / (1.88927 - 0.2174) = 0.11963 g/cm3."""
    assert float(from_composition(tissues_at(60.0)).density(200.0).values_g_cm3) == pytest.approx(0.11963, rel=1e-4)


def test_the_residual_of_composition_is_fitted_less_held():
    hu = tissues_at(65.0)
    found = from_composition({**hu, "adipose": hu["adipose"] + 10.0})
    fat = next(s for s in found.samples if s.name == "adipose")
    assert fat.residual_g_cm3 == pytest.approx(10.0 * found.slope, rel=0.02)
    assert fat.density_g_cm3 + fat.residual_g_cm3 == pytest.approx(float(found.density(fat.hu).values_g_cm3), rel=1e-12)


@pytest.mark.parametrize("noise", [5.0, 20.0, 40.0])
def test_peaks_stay_in_place_in_noise(noise):
    rng = np.random.default_rng(11)
    parts = [rng.normal(m, noise, 30000) for m in (-995.0, -95.0, 55.0)]
    found = peaks(np.round(np.concatenate(parts)))
    for name, middle in (("air", -995.0), ("fat", -95.0), ("muscle", 55.0)):
        assert found[name] == pytest.approx(middle, abs=4.0), name


def test_internal_way_says_where_it_fails():
    notes = " ".join(from_internal(tissues_at(65.0)).notes)
    assert "not be the energy of the scan" in notes


def test_a_cortex_smeared_by_thick_voxels_is_named_or_refused():
    """Values of a CT of 3 mm voxels: its densest percent of the femur has 629 HU."""
    hu = {"adipose": -103.0, "air": -998.0, "blood": 44.0, "bone": 629.0, "muscle": 28.0}
    assert any("no solid cortex" in n for n in from_internal(hu).notes)
    assert not any("no solid cortex" in n for n in from_internal(tissues_at(65.0)).notes)
    with pytest.raises(InputError, match="cortex is too thin"):
        from_composition(hu)


def test_internal_way_is_refused_with_contrast_and_on_swapped_samples():
    hu = tissues_at(65.0)
    with pytest.raises(InputError, match="contrast agent"):
        from_internal({**hu, "blood": 180.0}, contrast=True)
    with pytest.raises(MissingError, match="blood"):
        from_internal({k: v for k, v in hu.items() if k != "blood"})
    with pytest.raises(InputError, match="one number"):
        from_internal(dict.fromkeys(TISSUES, 40.0))


@pytest.mark.parametrize(
    "make", [lambda c: from_air_fat_muscle({"air": -1000.0, "fat": -95.0, "muscle": 55.0}, c), not_calibrated]
)
def test_contrast_and_not_knowing_widen_the_band_and_say_so(make):
    plain, agent, unknown = make(False), make(True), make(None)
    assert agent.band[0] < plain.band[0]
    assert agent.band[1] > plain.band[1]
    assert unknown.band == agent.band
    assert any("widened" in n for n in agent.notes)
    assert any("Cannot tell" in n for n in unknown.notes)


def test_no_calibration_is_stated():
    found = not_calibrated()
    assert found.method == "none"
    assert found.kind == "ash"
    assert found.notes[0].startswith("Not calibrated")
    assert float(found.density(1000.0).values_g_cm3) == pytest.approx(0.691)
    assert found.outside([1.0, 2.0]) == (2, 1.0)
    assert found.band[0] < from_phantom(list(RODS.mg_cm3), RODS).band[0]


def test_what_lies_beyond_the_samples_is_counted():
    found = from_phantom(list(RODS.mg_cm3), RODS)
    assert found.outside([-60.0, 0.0, 300.0, 1200.0]) == (2, 0.5)


@pytest.mark.parametrize("hu", [[0.0, 100.0], [5.0] * 5, [0.0, 50.0, 40.0, 200.0, 400.0]])
def test_rods_that_cannot_be_right_are_refused(hu):
    with pytest.raises(InputError):
        from_phantom(hu, RODS)


def test_attenuation_is_that_of_the_table_and_never_continued():
    assert float(mass_attenuation("water", 60.0)) == pytest.approx(0.2059, rel=1e-12)
    for material, kev in (("water", 250.0), ("water", 10.0), ("gold", 60.0)):
        with pytest.raises(InputError):
            mass_attenuation(material, kev)


def test_sources_of_every_way_are_papers():
    found = [from_phantom(list(RODS.mg_cm3), RODS), from_internal(tissues_at(65.0)), not_calibrated()]
    assert {s for f in found for s in f.sources} <= set(papers())
