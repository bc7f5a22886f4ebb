"""The reference case of plastic limit loads: every row holds, and a curve without a plateau gives no number."""

from __future__ import annotations

import math
from dataclasses import replace

from osteon.validation import plateau
from osteon.validation.catalog import case


def test_the_tolerances_are_those_written_first():
    assert (plateau.EXACT, plateau.SETTLED) == (1e-6, 0.003)
    assert plateau.MOMENT == {8: 0.06, 16: 0.02}
    assert plateau.TORQUE == {16: 0.10, 32: 0.05}


def test_every_row_is_within_its_tolerance():
    fractions = []
    report = case("plateau")(fractions.append)
    assert len(report.rows) == 11
    assert [row.quantity for row in report.rows if row.passed is not True] == []
    assert fractions[-1] == 1.0


def test_a_curve_without_a_plateau_fails_its_row():
    bar = plateau.bars()[0]
    row = plateau.row("prism", "N", replace(plateau.pressed(bar), ended="limit"), bar.exact_n, "cap times area", 1e-6)
    assert math.isnan(row.value)
    assert row.passed is False
