"""Bone-targeted agents: the printed bands with their boundaries, sums, and a clearance that is not known."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteon.errors import InputError
from osteon.facts import Fact, Interval, Known, Unknown
from osteon.ledgers import bone_agents as ba
from osteon.ledgers.accounts import clearance
from osteon.ledgers.tables import table


def printed(agent, value):
    return [b.mg for b in ba.bands_at(agent, Known(float(value)))]


@pytest.mark.parametrize(
    ("value", "mg"),
    [
        (90, [4.0]),
        (60.1, [4.0]),
        (60, [3.5]),
        (55, [3.5]),
        (50, [3.5]),
        (49.5, [3.5, 3.3]),
        (49, [3.3]),
        (40, [3.3]),
        (39.5, [3.3, 3.0]),
        (39, [3.0]),
        (30, [3.0]),
        (29.9, [None]),
        (10, [None]),
    ],
)
def test_zoledronate_by_the_bands_of_its_label(value, mg):
    assert [None if m is None else m[0] for m in printed("zoledronate", value)] == mg


@pytest.mark.parametrize(
    ("agent", "value", "mg"),
    [
        ("pamidronate", 95, [(90, 90)]),
        ("pamidronate", 90, [(60, 90)]),
        ("pamidronate", 30, [(60, 90)]),
        ("pamidronate", 29, [None]),
        ("ibandronate_iv", 51, [(6, 6)]),
        ("ibandronate_iv", 50, [(6, 6), (4, 4)]),
        ("ibandronate_iv", 30, [(4, 4)]),
        ("ibandronate_iv", 29, [(2, 2)]),
        ("clodronate", 80, [(1600, 1600)]),
        ("clodronate", 50, [(1600, 1600)]),
        ("clodronate", 49.9, [(1200, 1200)]),
        ("clodronate", 30, [(1200, 1200)]),
        ("clodronate", 29.9, [(800, 800)]),
        ("clodronate", 9, [None]),
        ("denosumab", 90, [(120, 120)]),
        ("denosumab", 15, [(120, 120)]),
    ],
)
def test_the_other_agents_by_their_printed_bands(agent, value, mg):
    assert printed(agent, value) == mg


def test_denosumab_below_30_says_hypocalcaemia():
    assert "hypocalcaemia" in ba.bands_at("denosumab", Known(20.0))[0].text
    assert "hypocalcaemia" not in ba.bands_at("denosumab", Known(30.0))[0].text


def test_an_open_clearance_gives_a_set_and_a_missing_one_all_with_a_need():
    assert [b.mg[0] for b in ba.bands_at("zoledronate", Interval(45.0, 52.0))] == [3.5, 3.3]
    assert len(ba.bands_at("zoledronate", Unknown())) == 5
    account = ba.ledger([ba.Dose("zoledronate", Known(4.0), date(2025, 1, 1))], Unknown(), date(2025, 2, 1))
    assert account.needs == (ba.NEEDS_CLEARANCE,)
    assert "5 bands are possible" in account.ledger.rows[1].note


@given(st.sampled_from(sorted(table("bone_agents")["agents"])), st.floats(0, 150), st.floats(0, 40))
def test_a_wider_interval_never_loses_a_band_and_none_is_empty(agent, low, width):
    inner, outer = ba.bands_at(agent, Known(low)), ba.bands_at(agent, Interval(low, low + width))
    assert inner
    assert set(inner) <= set(outer)


def test_sums_and_the_last_day():
    doses = [ba.Dose("zoledronate", Known(4.0), date(2025, 1, 1)), ba.Dose("zoledronate", Interval(3.5, 4.0), date(2025, 2, 1))]
    account = ba.ledger(doses, Known(70.0), date(2025, 3, 1))
    assert account.results["zoledronate"]["sum_mg"] == Interval(7.5, 8.0)
    assert "28 days before the chart" in account.ledger.rows[0].note
    unknown = ba.ledger([*doses, ba.Dose("zoledronate", Unknown())], Known(70.0))
    assert isinstance(unknown.results["zoledronate"]["sum_mg"], Unknown)


def test_cockcroft_and_gault():
    # textbook form in mg/dl: (140 - 60) * 72 / (72 * 1.0) = 80 ml/min for a man; 85 % of it for a woman
    assert ba.cockcroft_gault(60, 72, 88.4, "male") == pytest.approx(80.0, rel=0.005)
    assert ba.cockcroft_gault(60, 72, 88.4, "female") == pytest.approx(0.85 * 80.0, rel=0.01)
    for bad in ((0, 72, 88, "male"), (60, 0, 88, "male"), (60, 72, 0, "male"), (60, 72, 88, "other"), (140, 72, 88, "male")):
        with pytest.raises(InputError):
            ba.cockcroft_gault(*bad)


def test_clearance_is_computed_only_from_four_known_figures():
    facts = {
        "age_years": Fact("age_years", Known(60.0)),
        "weight_kg": Fact("weight_kg", Known(72.0)),
        "sex": Fact("sex", Known("male")),
        "creatinine_mg_dl": Fact("creatinine_mg_dl", Known(1.0)),
    }
    state = clearance(facts)
    assert isinstance(state, Known)
    assert state.value == pytest.approx(80.0, rel=0.005)
    for name in facts:
        assert isinstance(clearance({k: v for k, v in facts.items() if k != name}), Unknown)
    entered = {**facts, "creatinine_clearance_ml_min": Fact("creatinine_clearance_ml_min", Known(33.0))}
    assert clearance(entered) == Known(33.0)


def test_an_unknown_agent_is_refused():
    with pytest.raises(InputError, match="etidronate"):
        ba.agent("etidronate")
