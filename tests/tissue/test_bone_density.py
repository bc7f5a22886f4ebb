"""Densities that refuse to be mixed, the lines between them, and laws that watch their range: published numbers first."""

import numpy as np
import pytest

from osteon.errors import InputError, UnitError
from osteon.evidence.source import cite, papers
from osteon.tissue.bone_density import KINDS, Density, constants, conversions, conversions_between, convert
from osteon.tissue.bone_laws import law, laws, laws_for, modulus_pa, yield_pa


def d(kind, *values):
    return Density.of(kind, np.array(values, float), "g/cm3")


def test_knowles_2016_two_lines_at_300_mg_k2hpo4_give_357_and_418_mg_ash():
    k = Density.of("k2hpo4", 300.0, "mg/cm3")
    keyak, trabelsi = convert(k, "k2hpo4_to_ash_keyak"), convert(k, "k2hpo4_to_ash_trabelsi")
    assert float(keyak.mg_cm3) == pytest.approx(357, abs=0.5)
    assert float(trabelsi.mg_cm3) == pytest.approx(418, abs=0.5)
    ratio = modulus_pa(trabelsi, "ogo_default_femur").pa / modulus_pa(keyak, "ogo_default_femur").pa
    assert float(ratio) == pytest.approx(1.4, abs=0.05)
    low, high = conversions()["k2hpo4_to_ash_keyak"].band(k)
    assert low < trabelsi
    assert float(high.values_g_cm3) == pytest.approx(float(trabelsi.values_g_cm3), rel=0.01)


@pytest.mark.parametrize(
    ("name", "rho", "mpa"),
    [  # by hand: a * rho ** b
        ("kopperdahl_2002_vertebra", 0.2, 2980 * 0.2**1.05),
        ("crawford_2003_vertebra", 0.2, -34.7 + 3230 * 0.2),
        ("morgan_2003_vertebra", 0.2, 4730 * 0.2**1.56),
        ("morgan_2003_femoral_neck", 0.5, 6850 * 0.5**1.49),
        ("morgan_2003_trochanter", 0.2, 15010 * 0.2**2.18),
        ("morgan_2003_proximal_tibia", 0.2, 15490 * 0.2**1.93),
        ("ogo_default_femur", 1.0, 10500.0),
        ("keyak_2005_femur", 1.0, 14900.0),
        ("keller_1994_vertebra", 1.0, 1890.0),
        ("keller_1994_pooled", 1.0, 10500.0),
        ("keyak_1998_femur", 0.27, 1902.0),
    ],
)
def test_published_modulus(name, rho, mpa):
    assert modulus_pa(d(law(name).density, rho), name).pa[0] / 1e6 == pytest.approx(mpa, rel=2e-4)


@pytest.mark.parametrize(
    ("name", "rho", "mpa"),
    [
        ("kopperdahl_2002_vertebra", 0.2, 37.4 * 0.2**1.39),
        ("ogo_default_femur", 0.7, 120.0),
        ("keyak_2005_femur", 0.5, 102 * 0.5**1.8),
        ("keyak_1998_femur", 0.3, 137 * 0.3**1.88),
        ("keller_1994_vertebra", 0.3, 284 * 0.3**2.27),
        ("keller_1994_pooled", 0.3, 117 * 0.3**1.93),
    ],
)
def test_published_strength(name, rho, mpa):
    assert yield_pa(d(law(name).density, rho), name).pa[0] / 1e6 == pytest.approx(mpa, rel=1e-9)
    assert law(name).strength_is


def test_keyak_1998_pieces_meet_at_their_borders():
    for border in (0.27, 0.6):
        below, above = modulus_pa(d("ash", border, border + 1e-9), "keyak_1998_femur").pa
        assert above == pytest.approx(below, rel=2e-3)
    below, above = yield_pa(d("ash", 0.317, 0.317 + 1e-9), "keyak_1998_femur").pa
    assert above == pytest.approx(below, rel=2e-3)


def test_keyak_1998_sets_no_strength_at_200_mg_and_says_for_how_many():
    found = yield_pa(d("ash", 0.1, 0.2, 0.3), "keyak_1998_femur")
    assert np.isnan(found.pa).tolist() == [True, True, False]
    assert found.silent == 2
    assert "2 without a value" in found.note


@pytest.mark.parametrize("other", [k for k in KINDS if k != "ash"])
def test_two_kinds_never_meet(other):
    one, two = d("ash", 0.3, 0.4), d(other, 0.3, 0.4)
    for mixed in (
        lambda: one + two,
        lambda: one - two,
        lambda: one < two,
        lambda: one > two,
        lambda: one * two,
        lambda: one + 0.1,
    ):
        with pytest.raises(UnitError):
            mixed()
    with pytest.raises(UnitError) as seen:
        modulus_pa(two, "ogo_default_femur")
    assert seen.value.what
    assert seen.value.why
    assert seen.value.do
    with pytest.raises(TypeError):
        np.add(one, two)
    assert (one + d("ash", 0.1, 0.1)).values_g_cm3 == pytest.approx([0.4, 0.5])


def test_a_line_refuses_another_kind_and_says_which_would_do():
    with pytest.raises(UnitError, match="k2hpo4_to_ash_keyak"):
        d("k2hpo4", 0.3).needs("ash", "A law")
    with pytest.raises(UnitError, match="takes K2HPO4"):
        convert(d("ha", 0.3), "k2hpo4_to_ash_keyak")
    with pytest.raises(InputError, match="no line"):
        convert(d("ha", 0.3), "ha_to_everything")
    assert conversions_between("ha", "k2hpo4") == []


def test_a_chain_of_lines_remembers_its_steps():
    made = convert(d("k2hpo4", 0.2), "k2hpo4_to_ash_keyak", "ash_to_apparent_schileo")
    assert made.kind == "apparent"
    assert made.made_by == ("k2hpo4_to_ash_keyak", "ash_to_apparent_schileo")
    assert made.values_g_cm3[0] == pytest.approx((1.06 * 0.2 + 0.0389) / 0.599)


@pytest.mark.parametrize("unit", ["", "HU", "g/cc", "kg/m3"])
def test_a_unit_is_never_guessed(unit):
    with pytest.raises(UnitError, match="no unit"):
        Density.of("ash", [0.3], unit)


def test_milligrams_taken_for_grams_and_missing_values_are_refused():
    with pytest.raises(UnitError, match="solid hydroxyapatite"):
        Density.of("k2hpo4", np.linspace(20, 1200, 50), "g/cm3")
    with pytest.raises(UnitError, match="not finite"):
        Density.of("k2hpo4", [0.1, np.nan], "g/cm3")
    with pytest.raises(UnitError, match="no kind"):
        Density.of("bone", [0.1], "g/cm3")
    metal = np.append(np.linspace(0.02, 1.2, 50), 20.0)  # one voxel of metal does not make the unit wrong
    assert Density.of("k2hpo4", metal, "g/cm3").size == 51


def test_values_cannot_be_changed_from_outside():
    with pytest.raises(ValueError, match="read-only"):
        d("ash", 0.3).values_g_cm3[0] = 1.0


def test_outside_of_the_range_is_counted_and_said():
    found = modulus_pa(d("apparent", 0.05, 0.2, 0.3, 1.8), "morgan_2003_vertebra")
    assert (found.below, found.above, found.total) == (1, 1, 4)
    assert found.share_outside == 0.5
    assert "2 of 4 densities (50.0 %) lie outside" in found.note


def test_an_unknown_range_is_not_a_range_kept():
    found = modulus_pa(d("k2hpo4", 0.1, 5.0), "kopperdahl_2002_vertebra")
    assert not found.range_known
    assert np.isnan(found.share_outside)
    assert "cannot be told" in found.note


def test_floor_and_ceiling_are_counted():
    found = modulus_pa(d("ash", -0.1, 0.0, 0.5, 2.9), "ogo_default_femur")
    assert found.pa[0] == found.pa[1] == constants()["floor_modulus"].number * 1e6
    assert found.pa[3] == constants()["ceiling_modulus"].number * 1e6
    assert (found.floored, found.capped) == (2, 1)


def test_no_strength_is_borrowed():
    with pytest.raises(InputError, match="no compression strength"):
        yield_pa(d("apparent", 0.2), "morgan_2003_vertebra")
    with pytest.raises(InputError, match="no tension strength"):
        yield_pa(d("k2hpo4", 0.2), "kopperdahl_2002_vertebra", "tension")
    assert yield_pa(d("ash", 0.2), "ogo_default_femur", "tension").pa[0] == 100e6


def test_a_coarse_scan_gives_no_failure_load():
    assert law("keyak_2005_femur").too_coarse((3.0, 1.0, 1.0)) == ""
    assert law("keyak_2005_femur").too_coarse((3.3, 1.0, 1.0)).startswith("cannot tell")
    assert law("kopperdahl_2002_vertebra").too_coarse((5.0, 0.7, 0.7)).startswith("cannot tell")


def test_every_law_rises_and_every_number_has_its_paper():
    rho = np.linspace(0.05, 1.2, 200)
    for each in laws().values():
        assert each.source in papers()
        assert (np.diff(modulus_pa(d(each.density, *rho), each).pa) >= 0).all(), each.name
        if each.compression:
            values = yield_pa(d(each.density, *rho), each).pa
            assert (np.diff(values[np.isfinite(values)]) >= -1e-6).all(), each.name
    assert {p.id for p in cite(list(laws().values()), list(conversions().values()), dict(constants()))} >= {
        "keyak-1994",
        "morgan-2003",
        "ogo",
    }


def test_recalled_numbers_are_marked():
    assert not conversions()["ha_to_ash_schileo"].verified
    assert not law("morgan_2003_pooled").verified
    assert all(not x.range.verified for x in laws().values() if x.range is not None)


def test_laws_with_strength_come_first():
    found = laws_for("vertebra")
    assert found[0].compression
    assert {"kopperdahl_2002_vertebra", "keller_1994_vertebra"} <= {x.name for x in found}
