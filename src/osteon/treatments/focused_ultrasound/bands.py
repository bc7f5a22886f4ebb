r"""What a result is worth when no constant is what its middle says: stratified draws of all of them, bands, and which matters.

Each constant that a nominal run asks for is drawn from its own spread, ``count`` times, by a Latin hypercube: of n draws of one
constant one lies in each n-th of its spread. The columns are shuffled against each other so that no two go together by chance
more than they must. All is fixed by a seed; the machine and the number of processes change nothing.

Which constant matters is told by stepwise regression on ranks (Iman & Conover, Technometrics 1979;21:499): the constant that goes
best with what the others before it leave unexplained comes next, as long as chance alone would not have done as well in 1 of 20
such searches. Its share is what it adds to the explained variance of the ranks, its first-order influence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import stats

from osteon.errors import InputError, OsteonError
from osteon.evidence.value import Band, Fixed, LogNormal, Normal, Spread, Uniform, Value, values_in
from osteon.jobs import Executor, Local
from osteon.space.volume import Array
from osteon.tissue.properties import Constants

Run = Callable[[Constants], Mapping[str, float]]
HOTTEST = "hottest:"  # and the id of a structure: an outcome, the hottest of it
ERRORS = ("focus_error_x_mm", "focus_error_y_mm", "focus_error_z_mm")
WORKERS = 2
SHUFFLES = 200  # hypercubes of which the one with the smallest largest correlation between two columns is taken
CHANCE = 0.05  # of a search that names a constant although none matters
FEWEST = 8  # draws below which nothing is said of influence
PERCENTILES = (5.0, 95.0)


@dataclass(frozen=True, eq=False)
class Samples:
    """Draws and what came of them.

    Parameters
    ----------
    values : mapping of str to Value
        The constants that were drawn, by name.
    drawn : ndarray, shape (draws, constants)
        Their numbers, in the order of ``values``.
    nominal : mapping of str to float
        Outcomes with every constant at its middle.
    outcomes : mapping of str to ndarray, shape (draws,)
        NaN where a draw could not be run, or where an outcome was none.
    failed : tuple of (int, str)
        Draws that could not be run, and why.
    """

    values: Mapping[str, Value]
    drawn: Array
    nominal: Mapping[str, float]
    outcomes: Mapping[str, Array]
    failed: tuple[tuple[int, str], ...] = ()

    def band(self, outcome: str) -> Band:
        """Return an outcome with its 5th to 95th percentile over the draws that gave one; the nominal one always inside.

        Raises
        ------
        InputError
            If there is no such outcome.
        """
        found = _finite(self, outcome)
        best = float(self.nominal[outcome])
        if not found.size:
            return Band.of(best)
        low, high = (float(v) for v in np.percentile(found, PERCENTILES))
        return Band(best, min(low, best), max(high, best), int(found.size))


@dataclass(frozen=True)
class Influence:
    """How a constant moves an outcome.

    Parameters
    ----------
    name : str
        Of the constant.
    share : float
        Of the variance of the outcome's ranks, 0 to 1.
    direction : int
        1: more of it, more of the outcome; -1: less.
    value : Value
        The constant, with spread and source.
    """

    name: str
    share: float
    direction: int
    value: Value = field(compare=False)


def focus_error_mm(constants: Constants) -> tuple[float, float, float]:
    """Return by how much the focus of this run misses its aim along x, y, z [mm]; 0 at the middle."""
    rows = values_in("osteon.treatments.focused_ultrasound", "bands.yaml")
    x, y, z = (constants.of(name, rows[name]) for name in ERRORS)
    return x, y, z


def with_miss(samples: Samples, axis: Sequence[float]) -> Samples:
    """Return draws that know how far the focus missed, across the beam and along it, beside x, y and z.

    What a miss does is the same to either side, so that ranks of x, y and z do not show it.

    Parameters
    ----------
    samples : Samples
        With the draws of ``focus_error_mm``; others are returned as they are.
    axis : sequence of float
        Unit vector along the beam, LPS.
    """
    names, way = list(samples.values), np.asarray(axis, float)
    if not set(ERRORS) <= set(names):
        return samples
    missed = samples.drawn[:, [names.index(name) for name in ERRORS]]
    along = missed @ way
    across = np.linalg.norm(missed - along[:, None] * way, axis=1)
    row = samples.values[ERRORS[0]]
    told = {**samples.values, "focus_miss_across_mm": row, "focus_miss_along_mm": row}
    return replace(samples, values=told, drawn=np.column_stack([samples.drawn, across, along]))


def sample(
    run: Run,
    count: int = 50,
    *,
    seed: int = 0,
    executor: Executor | None = None,
    held: Sequence[str] = (),
    observe: Callable[[float], None] | None = None,
) -> Samples:
    """Run something with every constant at its middle, then with ``count`` draws of all of them.

    Parameters
    ----------
    run : callable
        From the constants of a run to outcomes by name. It must ask them for every number that has a spread (``constants`` or
        ``constants.of``, which is a draw function too) and be importable by name, for other processes.
    count : int
        Draws.
    seed : int
        Of the hypercube.
    executor : Executor, optional
        Where they run; two processes with one thread each if left out.
    held : sequence of str
        Constants whose name contains one of these stay at their middle: asked for, but without meaning for the outcomes.
    observe : callable, optional
        Called with the fraction done.

    Returns
    -------
    Samples
        A draw that ends in an ``OsteonError`` is kept with its reason and counts in no band.

    Raises
    ------
    InputError
        If ``count`` is below 1, or the run asks for no constant with a spread.
    """
    if count < 1:
        raise InputError(f"{count} draws were asked for.", "A band needs draws.", "Give at least 1; 50 is usual.")
    constants = Constants()
    nominal = {name: float(number) for name, number in run(constants).items()}
    tell = observe or _silent
    tell(1 / (count + 1))
    values = {
        name: value
        for name, value in sorted(constants.used.items())
        if not isinstance(value.spread, Fixed) and not any(part in name for part in held)
    }
    if not values:
        raise InputError(
            "The run asked for no constant that has a spread.",
            "Nothing would change from draw to draw.",
            "Ask the constants that it is given for its numbers.",
        )
    at = hypercube(count, len(values), seed)
    drawn = np.stack([quantile(value, at[:, i]) for i, value in enumerate(values.values())], axis=1)
    items = [(run, tuple(zip(values, row.tolist()))) for row in drawn]
    found = (executor or Local(WORKERS)).map(
        _one, items, [f"draw {i}" for i in range(count)], lambda n: tell((n + 1) / (count + 1))
    )  # fmt: skip
    outcomes = {name: np.array([made.get(name, math.nan) for made, _ in found]) for name in nominal}
    failed = tuple((i, why) for i, (_, why) in enumerate(found) if why)
    return Samples(values, drawn, nominal, outcomes, failed)


def _one(item: tuple[Run, tuple[tuple[str, float], ...]]) -> tuple[dict[str, float], str]:
    """Run one draw; return its outcomes, and why there are none."""
    run, fixed = item
    numbers = dict(fixed)
    try:
        made = run(Constants(lambda name, value: numbers.get(name, value.number)))
    except OsteonError as error:
        return {}, str(error)
    return {name: float(number) for name, number in made.items()}, ""


def hypercube(count: int, width: int, seed: int = 0) -> Array:
    """Return a Latin hypercube (count, width) of numbers between 0 and 1, its columns as little alike as 200 shuffles gave.

    Parameters
    ----------
    count, width : int
        Draws and constants.
    seed : int
        Of the shuffles.

    Examples
    --------
    >>> sorted(int(4 * p) for p in hypercube(4, 1)[:, 0])
    [0, 1, 2, 3]
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    best, least = np.empty((count, width)), math.inf
    for _ in range(SHUFFLES if min(count, width) > 1 else 1):
        order = rng.permuted(np.tile(np.arange(count), (width, 1)), axis=1).T
        alike = 0.0
        if min(count, width) > 1:
            alike = float(np.abs(np.corrcoef(order, rowvar=False) - np.eye(width)).max())
        if alike < least:
            best, least = (order + rng.random((count, width))) / count, alike
    return best


def quantile(value: Value, at: Array) -> Array:
    """Return the numbers of a constant below which given shares of its spread lie.

    Parameters
    ----------
    value : Value
        With any spread.
    at : ndarray
        Shares, above 0 and below 1.
    """
    spread: Spread = value.spread
    if isinstance(spread, Uniform):
        return np.asarray(spread.low + at * (spread.high - spread.low))
    if isinstance(spread, Normal):
        return np.asarray(np.clip(value.number + spread.sd * stats.norm.ppf(at), spread.low, spread.high))
    if isinstance(spread, LogNormal):
        return np.asarray(value.number * np.exp(math.log(spread.gsd) * stats.norm.ppf(at)))
    return np.full(np.shape(at), value.number)


def which_matters(samples: Samples, outcome: str) -> tuple[Influence, ...]:
    """Return the constants that move an outcome, the strongest first; those that chance would explain as well are left out.

    Parameters
    ----------
    samples : Samples
        At least 8 draws that gave the outcome.
    outcome : str
        Which.

    Returns
    -------
    tuple of Influence
        Empty where nothing can be told apart from chance, or the outcome never changes. Shares of what is left out, and of
        constants that only act together, are missing from the sum.

    Raises
    ------
    InputError
        If there is no such outcome, or too few draws gave it.
    """
    number = _finite(samples, outcome).size
    if number < FEWEST:
        raise InputError(
            f"Only {number} draws gave {outcome}.", "Ranks of so few say nothing of influence.", f"Draw at least {FEWEST}."
        )
    good = np.isfinite(samples.outcomes[outcome])
    left = _ranks(samples.outcomes[outcome][good][:, None])[:, 0]
    names, columns = list(samples.values), _ranks(samples.drawn[good])
    total = float(left @ left)
    found: list[Influence] = []
    while total > 0 and number - len(found) - 2 > 0:
        sizes = np.sqrt((columns**2).sum(axis=0))
        usable = sizes > 1e-6 * math.sqrt(number)
        size = float(np.linalg.norm(left))
        if not usable.any() or size <= 1e-9 * math.sqrt(total):
            break
        alike = np.divide(columns.T @ left, sizes * size, out=np.zeros(len(names)), where=usable)
        best = int(np.abs(alike).argmax())
        if abs(alike[best]) <= _by_chance(number - len(found) - 2, int(usable.sum())):
            break
        unit = columns[:, best] / sizes[best]
        gain = float(unit @ left) ** 2 / total
        found.append(Influence(names[best], gain, 1 if alike[best] > 0 else -1, samples.values[names[best]]))
        left = left - unit * (unit @ left)
        columns = columns - np.outer(unit, unit @ columns)
        columns[:, best] = 0.0
    return tuple(sorted(found, key=lambda one: -one.share))


def _by_chance(freedom: int, tried: int) -> float:
    """Return the correlation that the best of ``tried`` columns of noise exceeds in 1 of 20 searches."""
    t = float(stats.t.ppf(1 - CHANCE / (2 * tried), freedom))
    return t / math.sqrt(freedom + t**2)


def _ranks(columns: Array) -> Array:
    """Return the ranks of each column about their mean."""
    ranks = stats.rankdata(columns, axis=0)
    return np.asarray(ranks - ranks.mean(axis=0))


def _finite(samples: Samples, outcome: str) -> Array:
    if outcome not in samples.outcomes:
        raise InputError(
            f"The draws have no outcome {outcome!r}.",
            "Only what the run returned was kept.",
            f"Use one of: {', '.join(samples.outcomes)}.",
        )
    found = samples.outcomes[outcome]
    return np.asarray(found[np.isfinite(found)])


def _silent(fraction: float) -> None:
    """Tell nobody."""
