"""Proportions as papers give them, so many of so many, with their exact interval."""

from __future__ import annotations

from scipy.special import betaincinv

from osteon.errors import InputError

LEVEL = 0.95
"""Of the interval that papers and pages print."""


def exact_interval(count: int, of: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the exact interval of a proportion (Clopper and Pearson).

    Parameters
    ----------
    count, of : int
        How many of how many.
    level : float
        Of the interval, between 0 and 1.

    Returns
    -------
    tuple of float
        Lower and upper bound, both between 0 and 1.

    Raises
    ------
    InputError
        If the count is not between 0 and ``of``, or the level not between 0 and 1.

    Examples
    --------
    >>> low, high = exact_interval(0, 10)
    >>> round(low, 3), round(high, 3)
    (0.0, 0.308)
    """
    if not 0 <= count <= of or of < 1 or not 0.0 < level < 1.0:
        raise InputError(
            f"{count} of {of} at the level {level} is no proportion.",
            "An interval about it would mean nothing.",
            "Give a count from 0 to the number observed, and a level between 0 and 1.",
        )
    tail = (1.0 - level) / 2.0
    low = 0.0 if count == 0 else float(betaincinv(count, of - count + 1, tail))
    high = 1.0 if count == of else float(betaincinv(count + 1, of - count, 1.0 - tail))
    return low, high
