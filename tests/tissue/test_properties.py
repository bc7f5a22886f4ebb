"""Tissue tables: numbers as published, units that parse, and use that is remembered."""

import pint
import pytest

from osteon.errors import InputError
from osteon.evidence.value import Fixed, Uniform
from osteon.tissue.properties import Constants, tables, tissue

ITIS = {
    "cortical_bone": (1908, 1313, 0.32, 10, 1.2),
    "cancellous_bone": (1178, 2274, 0.31, 30, 2.2),
    "red_marrow": (1029, 2666, 0.28, 135, 8.8),
    "yellow_marrow": (980, 2065, 0.19, 30, 1.9),
    "muscle": (1090, 3421, 0.49, 37, 2.6),
    "fat": (911, 2348, 0.21, 33, 1.9),
    "nerve": (1075, 3613, 0.49, 160, 10.9),
    "cord": (1075, 3630, 0.51, 160, 10.9),
    "csf": (1007, 4096, 0.57, 0, 0),
    "cartilage": (1100, 3568, 0.49, 35, 2.4),
    "skin": (1109, 3391, 0.37, 106, 7.4),
    "dura": (1174, 3364, 0.44, 380, 28.2),
    "tendon": (1142, 3432, 0.47, 29, 2.1),
    "liver": (1079, 3540, 0.52, 860, 58.7),
}


@pytest.mark.parametrize("name", ITIS)
def test_itis_4_row_with_its_perfusion_in_kw_per_m3k(name):
    from osteon.tissue.bone import perfusion_w_m3k

    density, capacity, conductivity, perfusion, kilowatt = ITIS[name]
    row = tissue(name)
    assert row["density"].number == density
    assert row["heat_capacity"].number == capacity
    assert row["thermal_conductivity"].number == conductivity
    assert row["perfusion"].number == perfusion
    assert perfusion_w_m3k(Constants(), name, density) / 1e3 == pytest.approx(kilowatt, abs=0.06)


def test_gabriel_1996_liver_at_2450_mhz():
    row = tissue("liver")
    assert row["permittivity_2450MHz"].number == pytest.approx(43.03, abs=0.05)
    assert row["conductivity_2450MHz"].number == pytest.approx(1.69, abs=0.01)


@pytest.mark.parametrize(("which", "at_37", "at_100"), [("permittivity", 47.9, 10.9), ("conductivity", 2.10, 0.58)])
def test_ji_brace_2011_sigmoid_at_37_and_100(which, at_37, at_100):
    import math

    s1, s2, s3, s4 = (tissue(f"sigmoid_{which}_ji_brace")[k].number for k in ("s1", "s2", "s3", "s4"))

    def sigmoid(t):
        return s1 * (1 - 1 / (1 + math.exp(s2 - s3 * t))) + s4

    assert sigmoid(37) == pytest.approx(at_37, abs=0.06)
    assert sigmoid(100) == pytest.approx(at_100, abs=0.06)


def test_every_constant_has_a_unit_that_pint_understands_and_a_source():
    units = pint.UnitRegistry()
    count = 0
    for row in tables().values():
        for value in row.values():
            units.Unit(value.unit)
            assert value.source
            count += 1
    assert count > 150


def test_cortex_conductivity_is_sampled_from_03_to_08():
    assert tissue("cortical_bone")["thermal_conductivity"].spread == Uniform(0.3, 0.8)


def test_what_was_not_read_in_a_source_has_a_wide_spread():
    tumour = tissue("lytic_tumour")
    assert not any(v.verified or isinstance(v.spread, Fixed) for v in tumour.values())
    assert all(v.spread.low < v.number < v.spread.high for v in tumour.values())
    assert not any(v.verified for v in tissue("water").values())


def test_constants_remember_what_was_used_and_take_the_draw():
    from osteon.treatments.base import Draw

    constants = Constants(Draw(seed=1))
    number = constants("lytic_tumour", "perfusion")
    assert 30 <= number <= 300
    assert constants("lytic_tumour", "perfusion") == number
    assert set(constants.used) == {"lytic_tumour.perfusion"}
    assert Constants()("lytic_tumour", "perfusion") == tissue("lytic_tumour")["perfusion"].number


@pytest.mark.parametrize("ask", [lambda: tissue("unobtainium"), lambda: Constants()("muscle", "colour")])
def test_a_constant_that_is_not_there_is_refused_in_three_parts(ask):
    with pytest.raises(InputError) as caught:
        ask()
    assert caught.value.what
    assert caught.value.why
    assert caught.value.do
