"""The exact interval of a proportion, held against published and recomputed ones."""

from __future__ import annotations

import pytest

from osteon.errors import InputError
from osteon.evidence.proportion import interval


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        (7, 799, 0.35, 1.80),
        (47, 799, 4.35, 7.75),
        (46, 61, 62.7, 85.5),
        (189, 309, 55.5, 66.6),
        (2, 117, 0.21, 6.04),
        (3, 55, 1.14, 15.12),
        (69, 147, 38.7, 55.3),
        (41, 43, 84.2, 99.4),
        (1, 50, 0.05, 10.6),
        (4, 50, 2.2, 19.2),
        (0, 50, 0, 7.11),
        (14, 14, 76.8, 100),
        (27, 78, 24.2, 46.2),
    ],
)
def test_the_intervals_of_the_papers_counts(count, of, low, high):
    digits = [len(str(x).partition(".")[2]) for x in (low, high)]
    assert [round(100 * x, d) for x, d in zip(interval(count, of), digits, strict=True)] == [low, high]


def test_it_is_the_interval_of_scipys_exact_test():
    from scipy.stats import binomtest

    for count in range(21):
        exact = binomtest(count, 20).proportion_ci(0.9, method="exact")
        assert interval(count, 20, 0.9) == pytest.approx((exact.low, exact.high), abs=1e-9)


@pytest.mark.parametrize(("count", "of", "level"), [(3, 2, 0.95), (-1, 2, 0.95), (0, 0, 0.95), (1, 2, 1.0)])
def test_what_is_no_proportion_is_refused(count, of, level):
    with pytest.raises(InputError, match="no proportion"):
        interval(count, of, level)
