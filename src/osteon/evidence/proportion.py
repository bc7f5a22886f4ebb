"""How sure a count of some is: the exact interval of a proportion."""

from __future__ import annotations

from osteon.errors import InputError

LEVEL = 0.95


def interval(count: int, of: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the exact (Clopper-Pearson) confidence interval of a proportion.

    Parameters
    ----------
    count, of : int
        How many of how many.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    float, float
        Lower and upper bound, from 0 to 1.

    Raises
    ------
    InputError
        If it is no count of some.

    Examples
    --------
    >>> [round(100 * x, 2) for x in interval(7, 799)]
    [0.35, 1.8]
    """
    from scipy.special import betaincinv

    if not (0 <= count <= of and of > 0 and 0 < level < 1):
        raise InputError(
            f"{count} of {of} at a confidence of {level} is no proportion.",
            "An interval round it would mean nothing.",
            "Give a count from 0 to the whole, and a confidence between 0 and 1.",
        )
    tail = (1 - level) / 2
    low = 0.0 if count == 0 else float(betaincinv(count, of - count + 1, tail))
    high = 1.0 if count == of else float(betaincinv(count + 1, of - count, 1 - tail))
    return low, high
