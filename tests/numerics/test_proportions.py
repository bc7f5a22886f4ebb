"""Exact intervals against the figures that were recomputed from the papers."""

from __future__ import annotations

import pytest

from osteon.errors import InputError
from osteon.numerics.proportions import exact_interval

PRINTED = [
    (7, 799, 0.35, 1.80),
    (47, 799, 4.35, 7.75),
    (46, 61, 62.7, 85.5),
    (189, 309, 55.5, 66.6),
    (2, 117, 0.21, 6.04),
    (3, 55, 1.14, 15.12),
    (69, 147, 38.7, 55.3),
    (41, 43, 84.2, 99.4),
    (0, 50, 0.0, 7.11),
    (1, 20, 0.13, 24.9),
    (14, 14, 76.8, 100.0),
]
"""Count, of, and the exact 95 % interval in per cent, as tabulated from Clopper and Pearson."""


@pytest.mark.parametrize(("count", "of", "low", "high"), PRINTED)
def test_intervals_as_tabulated(count: int, of: int, low: float, high: float) -> None:
    found = exact_interval(count, of)
    assert 100 * found[0] == pytest.approx(low, abs=0.06)
    assert 100 * found[1] == pytest.approx(high, abs=0.06)


def test_the_bounds_have_the_tail_that_they_are_named_for() -> None:
    from scipy.stats import binom

    low, high = exact_interval(46, 61, 0.9)
    assert binom.sf(45, 61, low) == pytest.approx(0.05)
    assert binom.cdf(46, 61, high) == pytest.approx(0.05)


@pytest.mark.parametrize(("count", "of", "level"), [(-1, 5, 0.95), (6, 5, 0.95), (0, 0, 0.95), (1, 5, 1.0)])
def test_what_is_no_proportion_is_refused(count: int, of: int, level: float) -> None:
    with pytest.raises(InputError):
        exact_interval(count, of, level)
