"""Radionuclides: a printed table of decay and printed ranges first, then sums and what is not told."""

from __future__ import annotations

import re
from datetime import date

import pytest

from osteon.errors import InputError
from osteon.evidence.source import cite
from osteon.facts import Interval, Known, Unknown
from osteon.ledgers import radionuclides as rn
from osteon.ledgers.tables import table

# Metastron's label, table 1: decay factors of strontium-89 by day from calibration
DECAY = {
    -24: 1.39,
    -22: 1.35,
    -20: 1.32,
    -18: 1.28,
    -16: 1.25,
    -14: 1.21,
    -12: 1.18,
    -10: 1.15,
    -8: 1.12,
    -6: 1.09,
    -4: 1.06,
    -2: 1.03,
    6: 0.92,
    8: 0.90,
    10: 0.87,
    12: 0.85,
    14: 0.83,
    16: 0.80,
    18: 0.78,
    20: 0.76,
    22: 0.74,
    24: 0.72,
    26: 0.70,
    28: 0.68,
}
ELEMENTS = {"Ra", "Ac", "Re", "P", "Sr", "Sm", "Sn", "Lu", "I"}


def test_the_label_of_strontium_89_prints_the_same_decay():
    ours = {day: rn.remaining(1.0, rn.half_life_days("Sr-89"), day) for day in DECAY}
    assert max(abs(ours[day] - DECAY[day]) for day in DECAY) < 0.0051  # printed to two decimals


@pytest.mark.parametrize(
    ("symbol", "reference", "tolerance"),
    [("Re-186", 4.5, 0.1), ("Re-188", 10.0, 0.5), ("P-32", 7.9, 0.05), ("Sm-153", 3.3, 0.3)],
)
def test_computed_ranges_against_the_register_of_conflicts(symbol, reference, tolerance):
    assert rn.computed_range_mm(symbol) == pytest.approx(reference, abs=tolerance)


def test_strontium_89_by_the_energy_of_the_register_and_by_that_of_its_label():
    # the register's 6.8 mm needs 1.50 MeV; the label prints 1.463 MeV, which the table keeps because it was read there
    assert rn.mass_range_mg_cm2(1.50) / 100.0 == pytest.approx(6.8, abs=0.05)
    assert rn.computed_range_mm("Sr-89") == pytest.approx(6.6, abs=0.05)


def test_rhenium_188_reaches_further_than_186_although_the_paper_prints_the_opposite():
    assert rn.computed_range_mm("Re-188") > rn.computed_range_mm("Re-186")
    printed = {s: float(rn.nuclide(s)["printed"]["range_mm"]) for s in ("Re-186", "Re-188")}
    assert printed["Re-188"] < printed["Re-186"]
    assert "X19" in rn.nuclide("Re-188")["register"]
    assert rn.computed_range_mm("Sr-89", "cortical_bone") < rn.computed_range_mm("Sr-89")
    assert rn.computed_range_mm("Ra-223") is None


def test_every_symbol_is_an_element_and_every_figure_has_a_source():
    for symbol, entry in table("radionuclides")["nuclides"].items():
        assert re.fullmatch(rf"{entry['element']}-\d+m?", symbol)
        assert entry["element"] in ELEMENTS
        assert cite(entry)
    assert {"Sr-89", "Sm-153", "Re-186", "I-131", "Lu-177", "Ra-223"} <= set(table("radionuclides")["nuclides"])
    assert table("radionuclides")["nuclides"]["Lu-177"]["half_life"]["number"] == 6.647
    assert table("radionuclides")["nuclides"]["Sn-117m"]["emission"] == "conversion electrons"
    with pytest.raises(InputError, match="25Ac"):
        rn.nuclide("25Ac")


def test_six_of_radium_and_the_seventh():
    given = [rn.Activity("Ra-223", Known(4.0), date(2025, 1, 1 + 0), Known(72.7))]
    given += [rn.Activity("Ra-223", Known(4.0), date(2025, m, 1)) for m in (2, 3, 4, 5, 6)]
    account = rn.ledger(given, date(2025, 6, 1))
    assert account.results["Ra-223"]["activity_mbq"] == Known(24.0)
    assert {c.id: c.truth for c in account.checks if c.id == "radionuclide_count"} == {"radionuclide_count": "true"}
    assert all(c.truth == "true" for c in account.checks)  # 28 days in February is exactly enough
    assert account.ledger.rows[0].note == "0.055 MBq/kg"
    seven = rn.ledger([*given, rn.Activity("Ra-223", Known(4.0), date(2025, 6, 20))], date(2025, 7, 1))
    assert {(c.id, c.truth) for c in seven.checks if c.truth == "false"} == {
        ("radionuclide_count", "false"),
        ("radionuclide_interval", "false"),
    }


def test_what_is_left_is_the_sum_of_each_by_its_own_day():
    half = rn.half_life_days("I-131")
    given = [
        rn.Activity("I-131", Known(3700.0), date(2025, 1, 1)),
        rn.Activity("I-131", Interval(3700.0, 7400.0), date(2025, 1, 9)),
    ]
    left = rn.ledger(given, date(2025, 1, 17)).results["I-131"]["left_mbq"]
    expected = 3700 * 2 ** (-16 / half)
    assert left == Interval(pytest.approx(expected + 3700 * 2 ** (-8 / half)), pytest.approx(expected + 7400 * 2 ** (-8 / half)))


def test_unknown_activity_or_day_is_a_need_not_a_zero():
    account = rn.ledger(
        [rn.Activity("Sm-153", Unknown()), rn.Activity("Sm-153", Known(2590.0), date(2025, 1, 1))], date(2025, 2, 1)
    )
    assert isinstance(account.results["Sm-153"]["activity_mbq"], Unknown)
    assert isinstance(account.results["Sm-153"]["left_mbq"], Unknown)
    assert len(account.needs) == 2


@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_a_half_life_is_above_zero(bad):
    with pytest.raises(InputError):
        rn.remaining(1.0, bad, 1.0)
    with pytest.raises(InputError):
        rn.mass_range_mg_cm2(bad)
