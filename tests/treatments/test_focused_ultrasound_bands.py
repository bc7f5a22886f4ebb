"""Draws of constants, bands, and which constant matters: against sums whose shares are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.errors import InputError
from osteon.evidence.value import Fixed, LogNormal, Normal, Uniform, Value, values_in
from osteon.jobs import Local, Serial
from osteon.tissue.properties import Constants
from osteon.treatments.focused_ultrasound.bands import (
    ERRORS,
    Samples,
    focus_error_mm,
    hypercube,
    quantile,
    sample,
    which_matters,
    with_miss,
)  # fmt: skip

# set before the first run
SHARE, EDGE = 0.1, 1e-9


def value(spread, number=0.5):
    return Value(number, "1", spread, "osteon-proposal", False)


ROWS = {name: value(Uniform(0.0, 1.0)) for name in ("heavy", "light", "idle", "muscle.permittivity")} | {"fixed": value(Fixed())}


def weighed(constants):
    """Return 3 heavy - light; the others are asked for and change nothing."""
    got = {name: constants.of(name, row) for name, row in ROWS.items()}
    return {"sum": 3 * got["heavy"] - got["light"], "heavy": got["heavy"], "always": 7.0}


def breaks(constants):
    """Refuse the upper half of one constant."""
    got = constants.of("a", ROWS["heavy"])
    if got > 0.5:
        raise InputError("too much.", "it breaks.", "take less.")
    return {"a": got}


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 5))
def test_of_n_draws_of_a_constant_one_lies_in_each_nth_of_its_spread(count, width, seed):
    at = hypercube(count, width, seed)
    assert at.shape == (count, width)
    assert np.array_equal(np.sort(np.floor(at * count), axis=0), np.tile(np.arange(count)[:, None], (1, width)))
    assert np.array_equal(at, hypercube(count, width, seed))


def test_columns_are_less_alike_than_one_shuffle_leaves_them():
    def worst(at):
        return np.abs(np.corrcoef(at, rowvar=False) - np.eye(at.shape[1])).max()

    plain = [np.random.default_rng(i).permuted(np.tile(np.arange(50), (20, 1)), axis=1).T for i in range(20)]
    assert worst(hypercube(50, 20)) < np.percentile([worst(one) for one in plain], 25)
    assert not np.array_equal(hypercube(50, 20, 0), hypercube(50, 20, 1))


def test_quantiles_are_those_of_the_spreads():
    at = np.array([0.5, 0.8413447460685429])  # one standard deviation
    np.testing.assert_allclose(quantile(value(Normal(2.0), 10.0), at), [10.0, 12.0], rtol=EDGE)
    np.testing.assert_allclose(quantile(value(Normal(2.0, 9.0, 11.0), 10.0), at), [10.0, 11.0], rtol=EDGE)
    np.testing.assert_allclose(quantile(value(LogNormal(1.5), 10.0), at), [10.0, 15.0], rtol=EDGE)
    np.testing.assert_allclose(quantile(value(Uniform(2.0, 4.0), 2.1), at), [3.0, 2 + 2 * at[1]], rtol=EDGE)
    np.testing.assert_allclose(quantile(value(Fixed(), 10.0), at), [10.0, 10.0])


def test_the_band_of_a_uniform_constant_is_its_5th_to_95th_percentile():
    found = sample(weighed, 200, executor=Serial())
    band = found.band("heavy")
    assert (band.best, band.n) == (0.5, 200)
    assert abs(band.low - 0.05) <= 1 / 200
    assert abs(band.high - 0.95) <= 1 / 200


def test_the_shares_of_a_sum_are_those_of_its_variances():
    found = sample(weighed, 200, executor=Serial())
    told = which_matters(found, "sum")
    assert [one.name for one in told][:2] == ["heavy", "light"]
    assert [one.direction for one in told][:2] == [1, -1]
    assert told[0].share == pytest.approx(0.9, abs=SHARE)
    assert told[1].share == pytest.approx(0.1, abs=SHARE)
    assert sum(one.share for one in told) <= 1 + EDGE
    assert told[0].value is ROWS["heavy"]


def test_a_bent_but_rising_law_changes_nothing():
    found = sample(weighed, 60, executor=Serial())
    bent = Samples(found.values, found.drawn, {"e": 1.0}, {"e": np.exp(8 * found.outcomes["sum"])})
    assert which_matters(bent, "e") == which_matters(found, "sum") != ()


def test_noise_is_named_no_more_often_than_chance_is_let_to():
    rng, named = np.random.default_rng(5), 0
    values = {f"c{i}": value(Uniform(0, 1)) for i in range(30)}
    for seed in range(100):
        outcome = {"y": rng.random(50)}
        named += bool(which_matters(Samples(values, hypercube(50, 30, seed), {"y": 0.5}, outcome), "y"))
    assert named <= 12  # of 100 searches at 1 in 20: more than this 1 in 1000 times


def test_what_is_fixed_or_held_is_not_drawn():
    found = sample(weighed, 10, executor=Serial(), held=("permittivity",))
    assert list(found.values) == ["heavy", "idle", "light"]
    assert which_matters(found, "always") == ()
    band = found.band("always")
    assert (band.low, band.high) == (7.0, 7.0)


def test_a_draw_that_cannot_be_run_is_told_and_counts_in_no_band():
    found = sample(breaks, 20, executor=Serial())
    assert len(found.failed) == 10
    assert all("take less" in why for _, why in found.failed)
    assert [i for i, _ in found.failed] == np.flatnonzero(np.isnan(found.outcomes["a"])).tolist()
    assert found.band("a").n == 10
    assert found.band("a").high <= 0.5


def test_two_processes_give_what_one_gives():
    for_two, for_one = (sample(focus, 6, executor=engine) for engine in (Local(2), Serial()))
    assert np.array_equal(for_two.drawn, for_one.drawn)
    for name, outcome in for_one.outcomes.items():
        assert np.array_equal(for_two.outcomes[name], outcome)


def focus(constants):
    """Return by how much a focus misses; by a library's function, so that other processes find it."""
    return dict(zip("xyz", focus_error_mm(constants)))


def test_a_focus_misses_by_nothing_at_the_middle_and_by_2_mm_in_the_spread():
    assert focus_error_mm(Constants()) == (0.0, 0.0, 0.0)
    found = sample(focus, 100, executor=Serial())
    for axis in "xyz":
        assert found.outcomes[axis].std() == pytest.approx(2.0, abs=0.1)
        assert np.abs(found.outcomes[axis]).max() <= 6.0


def test_progress_is_told():
    seen = []
    sample(weighed, 9, executor=Serial(), observe=seen.append)
    assert seen == pytest.approx([0.1 * n for n in range(1, 11)])


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: sample(weighed, 0), "0 draws"),
        (lambda: sample(lambda constants: {"a": 1.0}, 5), "no constant"),
        (lambda: sample(weighed, 9, executor=Serial()).band("depth"), "depth"),
        (lambda: which_matters(sample(weighed, 9, executor=Serial()), "depth"), "depth"),
        (lambda: which_matters(sample(weighed, 7, executor=Serial()), "sum"), "Only 7"),
    ],
)
def test_what_cannot_be_answered_is_refused(call, word):
    with pytest.raises(InputError, match=word):
        call()


def test_a_miss_to_either_side_is_found_where_x_y_and_z_alone_show_nothing():
    """Outcome 10 - (miss across the beam)²: ranks of x, y, z are symmetric about 0, those of the distance are not."""
    rows = values_in("osteon.treatments.focused_ultrasound", "bands.yaml")
    names = list(ERRORS)
    drawn = np.stack([quantile(rows[n], hypercube(60, 4, 3)[:, i]) for i, n in enumerate(names)], axis=1)
    axis = np.array([0.0, 0.0, 1.0])
    outcome = 10.0 - drawn[:, 0] ** 2 - drawn[:, 1] ** 2
    plain = Samples({n: rows[n] for n in names}, drawn, {"y": 10.0}, {"y": outcome})
    told = with_miss(plain, axis)
    first = which_matters(told, "y")[0]
    assert first.name == "focus_miss_across_mm"
    assert first.direction == -1
    assert first.share > 0.9
    assert not [i for i in which_matters(plain, "y") if i.share > 0.5]
    np.testing.assert_allclose(told.drawn[:, -1], drawn[:, 2])
    other = Samples({"a": rows[names[0]]}, drawn[:, :1], {"y": 1.0}, {"y": outcome})
    assert with_miss(other, axis) is other
