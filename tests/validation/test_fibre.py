"""The reference case of the fibre: every row with a tolerance holds it, and the bench is told without a verdict."""

import pytest

from osteon.validation import fibre
from osteon.validation.catalog import case


def test_point_and_line_are_within_their_tolerances_and_light_balances():
    rows = [*fibre.point_rows(*fibre.OPTICS[0]), *fibre.line_rows()]
    assert len(rows) >= 10
    assert all(row.passed for row in rows)
    assert (fibre.SHELL, fibre.BALANCE) == (0.02, 1e-6)


def test_the_case_is_in_the_catalogue():
    assert case("fibre") is fibre.run


@pytest.mark.slow
def test_heisterkamp_1997_is_told_without_a_verdict():
    rows = fibre.bench_rows(lambda _: None)
    told = [row for row in rows if row.reference_source.startswith("Heisterkamp")]
    assert len(told) == 8
    assert all(row.passed is None for row in told)
    assert all(row.passed for row in rows if row.tolerance is not None)
