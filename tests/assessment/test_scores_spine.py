"""SINS, ESCC and NOMS against their tables, with open items, and where they have no meaning."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteon.assessment.scores.base import table
from osteon.assessment.scores.escc import score as escc
from osteon.assessment.scores.noms import score as noms
from osteon.assessment.scores.sins import score as sins
from osteon.facts import Fact, Interval, Known, NotApplicable, OneOf, Unknown, possible
from osteon.space.anatomy import structure

L3 = structure("vertebra_L3")
STATES = (Known, Interval, OneOf, Unknown, NotApplicable)


def facts(**states):
    return {n: Fact(n, s if isinstance(s, STATES) else Known(s)) for n, s in states.items()}


FULL = {
    "lesion_type": "lytic",
    "pain_vas": 5.0,
    "pain_mechanical": False,
    "spinal_alignment": "normal",
    "vertebral_collapse_fraction": 0.0,
    "vertebral_body_involved_fraction": 0.3,
    "posterolateral_involvement": "none",
}


def item(result, name):
    found = next(i for i in result.items if i.name == name)
    return found.low, found.high


def test_sins_of_a_lytic_l3_counts_location_2_and_non_mechanical_pain_1():
    """Issue 4: public transcriptions give L2 to L4 no point, or non-mechanical pain two."""
    result = sins(facts(**FULL), L3, "")
    assert item(result, "location") == (2, 2)
    assert item(result, "pain") == (1, 1)
    assert result.state == Known(5)
    assert "stable" in result.action


def test_sins_exactly_half_collapse_is_an_interval():
    result = sins(facts(**{**FULL, "vertebral_collapse_fraction": 0.5}), L3, "")
    assert item(result, "vertebral body") == (2, 3)
    assert result.state == Interval(7, 8)


@pytest.mark.parametrize(
    ("level", "points"),
    [(f"C{i}", 3 if i in (1, 2, 7) else 2) for i in range(1, 8)]
    + [(f"T{i}", 3 if i in (1, 2, 11, 12) else 1) for i in range(1, 13)]
    + [(f"L{i}", 3 if i in (1, 5) else 2) for i in range(1, 6)]
    + [("S1", 3)],
)
def test_sins_location_of_every_level_fisher_2010(level, points):
    assert item(sins({}, structure(f"vertebra_{level}"), ""), "location") == (points, points)


@pytest.mark.parametrize(
    ("region", "expected"), [("S1", (3, 3)), ("S2 to S4", (0, 0)), ("S1 and S2", (3, 3)), ("ala", (0, 3)), (None, (0, 3))]
)
def test_sins_of_the_sacrum_by_the_level_that_the_chart_names(region, expected):
    given_facts = {} if region is None else facts(region=region)
    assert item(sins(given_facts, structure("sacrum"), ""), "location") == expected


@pytest.mark.parametrize(
    ("lost", "involved", "expected"),
    [
        (0.51, 0.1, (3, 3)),
        (0.49, 0.9, (2, 2)),
        (0.0, 0.6, (1, 1)),
        (0.0, 0.5, (0, 0)),
        (0.0, Unknown(), (0, 1)),
        (Interval(0.0, 0.2), 0.9, (1, 2)),
        (Interval(0.4, 0.6), 0.9, (2, 3)),
        (Unknown(), 0.2, (0, 3)),
    ],
)
def test_sins_vertebral_body(lost, involved, expected):
    states = {**FULL, "vertebral_collapse_fraction": lost, "vertebral_body_involved_fraction": involved}
    assert item(sins(facts(**states), L3, ""), "vertebral body") == expected


@pytest.mark.parametrize(
    ("vas", "mechanical", "expected"),
    [
        (0.0, False, (0, 0)),
        (0.0, Unknown(), (0, 0)),
        (4.0, True, (3, 3)),
        (4.0, Unknown(), (1, 3)),
        (Unknown(), True, (3, 3)),
        (Unknown(), False, (0, 1)),
        (0.0, True, (0, 3)),  # the two contradict each other: both count
        (Unknown(), Unknown(), (0, 3)),
    ],
)
def test_sins_pain(vas, mechanical, expected):
    assert item(sins(facts(**{**FULL, "pain_vas": vas, "pain_mechanical": mechanical}), L3, ""), "pain") == expected


def test_sins_runs_from_0_to_18_and_its_bands_leave_no_gap():
    worst = facts(
        lesion_type="lytic",
        pain_vas=9.0,
        pain_mechanical=True,
        spinal_alignment="subluxation",
        vertebral_collapse_fraction=0.8,
        posterolateral_involvement="bilateral",
    )
    assert sins(worst, structure("vertebra_T12"), "").state == Known(18)
    totals = [t for band in table("sins")["bands"] for t in range(band["totals"][0], band["totals"][1] + 1)]
    assert totals == list(range(19))
    assert "unstable" in sins(worst, structure("vertebra_T12"), "").action


def test_sins_says_that_its_bands_are_open_and_links_each_item_to_its_facts():
    result = sins({}, L3, "")
    assert result.state == Interval(2, 17)
    assert result.action.startswith("Open")
    assert all(i.facts for i in result.items)


def test_scores_of_the_spine_have_no_meaning_elsewhere():
    for one in (sins, escc, noms):
        assert isinstance(one({}, structure("femur_left"), "").state, NotApplicable)
        assert isinstance(one({}, None, "").state, Unknown)


OPENINGS = {
    "lesion_type": ("lytic", "mixed", "blastic"),
    "spinal_alignment": ("normal", "new_deformity", "subluxation"),
    "posterolateral_involvement": ("none", "unilateral", "bilateral"),
    "pain_mechanical": (True, False),
    "vertebral_collapse_fraction": (0.0, 0.2, 0.5, 0.7),
}


@given(st.sets(st.sampled_from(sorted(OPENINGS))))
def test_law_what_is_open_holds_every_completion(hidden):
    base = {n: s for n, s in FULL.items() if n not in hidden}
    ends = possible(sins(facts(**base), L3, "").state)
    names = sorted(hidden)
    for values in product(*(OPENINGS[n] for n in names)):
        full = possible(sins(facts(**base, **dict(zip(names, values, strict=True))), L3, "").state)
        assert min(ends) <= min(full)
        assert max(full) <= max(ends)


def test_escc_is_read_on_mr_or_not_known():
    assert escc(facts(escc_grade="2"), L3, "").state == Known("2")
    assert "ask a spine surgeon at once" in escc(facts(escc_grade="2"), L3, "").action
    both = escc(facts(escc_grade=OneOf(("1c", "2"))), L3, "")
    assert both.state == OneOf(("1c", "2"))
    unread = escc({}, L3, "").state
    assert isinstance(unread, Unknown)
    assert "MR" in unread.why


STABLE = {**FULL, "surgery_tolerated": True}
UNSTABLE = {**STABLE, "spinal_alignment": "subluxation", "pain_mechanical": True, "vertebral_collapse_fraction": 0.8}


@pytest.mark.parametrize(
    ("grade", "primary", "expected"),
    [
        ("0", "lymphoma", "conventional irradiation"),
        ("3", "myeloma", "conventional irradiation"),
        ("1b", "kidney", "stereotactic irradiation"),
        ("2", "kidney", "decompression, then stereotactic irradiation"),
    ],
)
def test_noms_arms_of_laufer_2013(grade, primary, expected):
    states = {**STABLE, "escc_grade": grade, "primary": primary}
    assert noms(facts(**states), L3, "").state == Known(expected)
    loose = {**UNSTABLE, "escc_grade": grade, "primary": primary}
    assert noms(facts(**loose), L3, "").state == Known("stabilisation, then " + expected)


def test_noms_shows_both_ways_where_1c_or_the_lists_disagree():
    contested = noms(facts(**{**STABLE, "escc_grade": "1c", "primary": "kidney"}), L3, "")
    assert contested.state == OneOf(("stereotactic irradiation", "decompression, then stereotactic irradiation"))
    listed = noms(facts(**{**STABLE, "escc_grade": "0", "primary": "breast"}), L3, "")
    assert listed.state == OneOf(("conventional irradiation", "stereotactic irradiation"))


def test_noms_small_cell_lung_is_sensitive_and_lung_alone_leaves_it_open():
    states = {**STABLE, "escc_grade": "0", "primary": "lung"}
    assert isinstance(noms(facts(**states), L3, "").state, OneOf)
    small = noms(facts(**states, small_cell_lung=True), L3, "")
    assert small.state == Known("conventional irradiation")


def test_noms_without_anything_known_says_what_it_needs():
    state = noms({}, L3, "").state
    assert isinstance(state, Unknown)
    assert "ESCC" in state.why
