"""Quantities become numbers once, at the door."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteon.case.units import to_unit
from osteon.errors import UnitError


@pytest.mark.parametrize(
    ("given_", "unit", "value"),
    [
        (12, "mm", 12.0),
        ("12 mm", "mm", 12.0),
        ("1.2 cm", "mm", 12.0),
        ("0.5 in", "mm", 12.7),
        ("214 1e9/l", "1e9/l", 214.0),
        ("214 10^9/l", "1e9/l", 214.0),
        ("214 G/l", "1e9/l", 214.0),
        ("214000/µl", "1e9/l", 214.0),
        ("2.14e11 1/l", "1e9/l", 214.0),
        ("3 cm³", "ml", 3.0),
        ("8 cc", "ml", 8.0),
        ("2 cm**2", "mm²", 200.0),
        ("14 day", "week", 2.0),
        ("45 HU", "HU", 45.0),
        ("35 %", "1", 0.35),
        ("7", "1", 7.0),
    ],
)
def test_conversion(given_, unit, value):
    assert to_unit(given_, unit, "x") == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(
    ("given_", "unit"),
    [
        ("12 kg", "mm"),
        ("many", "mm"),
        (True, "mm"),
        (None, "1"),
        ("3 mm", "1"),
        ("nan mm", "mm"),
        (float("inf"), "mm"),
        ("5 blurbs", "mm"),
    ],
)
def test_refusal_has_three_parts(given_, unit):
    with pytest.raises(UnitError) as caught:
        to_unit(given_, unit, "case.yaml:3: size")
    assert "case.yaml:3" in caught.value.what
    assert caught.value.why
    assert caught.value.do


@given(st.floats(1e-3, 1e4))
def test_cm_is_ten_mm(number):
    assert to_unit(f"{number!r} cm", "mm", "x") == pytest.approx(10 * number, rel=1e-9)
