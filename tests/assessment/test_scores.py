"""Scores against their printed tables, with intervals, and where they have no meaning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteon.assessment.scores.base import table
from osteon.assessment.scores.ct_involvement import score as ct_involvement
from osteon.assessment.scores.mirels import score as mirels
from osteon.assessment.scores.van_der_linden import score as van_der_linden
from osteon.facts import Fact, Interval, Known, NotApplicable, OneOf, Origin, Unknown, possible
from osteon.space.anatomy import structure

FEMUR, HUMERUS = structure("femur_right"), structure("humerus_left")


def facts(**states):
    given = {"long_bone": True, **states}
    return {n: Fact(n, s if not isinstance(s, (bool, int, float, str)) else Known(s)) for n, s in given.items()}


def full(size, kind, functional, vas=6.0):
    return facts(cortical_thickness_fraction=size, lesion_type=kind, pain_functional=functional, pain_vas=vas, fracture="none")


@pytest.mark.parametrize(
    ("bone", "region", "size", "kind", "functional", "vas", "expected"),
    [
        (HUMERUS, "humerus.shaft", 0.1, "blastic", False, 2.0, 4),  # Mirels' least
        (FEMUR, "femur.peritrochanteric", 0.9, "lytic", True, 8.0, 12),  # and greatest
        (FEMUR, "femur.shaft", 0.5, "lytic", False, 5.0, 9),  # lower limb 2, 1/3 to 2/3 2, lytic 3, moderate 2
        (FEMUR, "femur.shaft", 0.2, "lytic", False, 5.0, 8),  # register X06: 2 + 3 + 2 + 1
        (HUMERUS, "humerus.proximal", 0.7, "mixed", True, 9.0, 9),
    ],
)
def test_mirels_points_of_the_table(bone, region, size, kind, functional, vas, expected):
    assert mirels(full(size, kind, functional, vas), bone, region).state == Known(expected)


@pytest.mark.parametrize(("size", "points"), [(0.0, 1), (0.33, 1), (1 / 3, 2), (0.5, 2), (2 / 3, 2), (0.67, 3), (1.0, 3)])
def test_mirels_size_is_half_open_register_x03(size, points):
    item = next(i for i in mirels(full(size, "lytic", True), FEMUR, "femur.shaft").items if i.name == "size")
    assert (item.low, item.high) == (points, points)


def test_mirels_no_pain_counts_as_mild_and_says_so():
    item = next(i for i in mirels(full(0.5, "lytic", False, 0.0), FEMUR, "femur.shaft").items if i.name == "pain")
    assert (item.low, item.high) == (1, 1)
    assert "no pain" in item.text


def test_mirels_intervals_propagate():
    open_size = mirels(full(Interval(0.2, 0.8), OneOf(("lytic", "mixed")), True), FEMUR, "femur.shaft")
    assert open_size.state == Interval(2 + 3 + 2 + 1, 2 + 3 + 3 + 3)
    unknown = mirels(facts(), FEMUR, "femur.shaft")
    assert unknown.state == Interval(5, 11)  # the site is known
    proximal = mirels(full(0.9, "lytic", True), FEMUR, "femur.proximal")
    assert proximal.state == Interval(11, 12)


def test_mirels_has_no_meaning_outside_long_bones_and_after_a_fracture_register_x04():
    for bone in ("hip_right", "scapula_left", "sternum", "vertebra_L3", "rib_5_left", "sacrum"):
        result = mirels(facts(long_bone=False), structure(bone), "")
        assert isinstance(result.state, NotApplicable)
        assert "no long bone" in result.state.why
    broken = mirels({**full(0.9, "lytic", True), "fracture": Fact("fracture", Known("present"))}, FEMUR, "femur.shaft")
    assert isinstance(broken.state, NotApplicable)
    assert "already fractured" in broken.state.why


def test_mirels_without_a_bone_cannot_be_told():
    assert isinstance(mirels({}, None, "").state, Unknown)


def test_mirels_says_the_risk_of_register_x01_and_the_action_of_x02():
    nine = mirels(full(0.5, "lytic", False, 5.0), FEMUR, "femur.shaft")
    assert "33 %" in nine.action
    assert "33 to 100 %" in nine.action
    assert "prophylactic fixation" in nine.action
    seven = mirels(full(0.2, "mixed", False, 5.0), FEMUR, "femur.shaft")
    assert seven.state == Known(7)
    assert "irradiation" in seven.action
    assert "5 %" in seven.action
    assert "specificity 13 %" in seven.accuracy
    risks = {t: r["percent"] for r in table("mirels")["risk"] for t in range(r["totals"][0], r["totals"][1] + 1)}
    assert sorted(risks) == list(range(4, 13))
    assert all(risks[t][1] <= risks[t + 1][1] for t in range(4, 12))


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from([True, False]), st.floats(0, 10))
def test_law_an_interval_of_sizes_holds_every_score_of_a_size_in_it(low, high, functional, vas):
    low, high = min(low, high), max(low, high)
    whole = mirels(full(Interval(low, high), "lytic", functional, vas), FEMUR, "femur.shaft").state
    for size in (low, (low + high) / 2, high):
        single = mirels(full(size, "lytic", functional, vas), FEMUR, "femur.shaft").state
        ends = possible(whole)
        assert min(ends) <= single.value <= max(ends)


@pytest.mark.parametrize(
    ("axial", "around", "expected"),
    [(30.0, 0.5, Known(0)), (31.0, 0.5, Known(1)), (45.0, 0.6, Known(2)), (Interval(28, 33), 0.2, Interval(0, 1))],
)
def test_van_der_linden_thresholds(axial, around, expected):
    result = van_der_linden(facts(axial_cortical_mm=axial, circumferential_cortical_fraction=around), FEMUR, "femur.shaft")
    assert result.state == expected


def test_van_der_linden_open_and_not_applicable():
    assert isinstance(van_der_linden(facts(), FEMUR, "").state, Unknown)
    half = van_der_linden(facts(axial_cortical_mm=40.0), FEMUR, "")
    assert half.state == Interval(1, 2)
    assert "high risk" in half.action
    assert isinstance(van_der_linden(facts(), HUMERUS, "").state, NotApplicable)
    assert isinstance(van_der_linden(facts(fracture="present"), FEMUR, "").state, NotApplicable)


# --- both denominators of Mirels' size


@pytest.mark.parametrize(
    ("thickness", "diameter", "points"),
    [
        (0.2, 0.5, (2, 2)),  # the wider reading is the worse one
        (0.9, 0.4, (3, 3)),
        (0.2, 0.2, (1, 1)),
        (Interval(0.4, 0.7), 0.1, (2, 3)),
        (Interval(0.4, 0.7), 0.8, (3, 3)),
        (Interval(0.1, 0.4), Interval(0.2, 0.7), (1, 3)),
    ],
)
def test_mirels_size_is_read_by_both_denominators_and_the_worse_counts(thickness, diameter, points):
    told = {**full(thickness, "lytic", True), **facts(lesion_diameter_fraction=diameter)}
    item = next(i for i in mirels(told, FEMUR, "femur.shaft").items if i.name == "size")
    assert (item.low, item.high) == points
    assert "by cortical thickness" in item.text
    assert "by diameter of the bone" in item.text
    assert "the worse counts" in item.text
    assert set(item.facts) == {"cortical_thickness_fraction", "lesion_diameter_fraction"}


def test_mirels_size_that_one_denominator_lacks_is_said():
    alone = next(i for i in mirels(full(0.5, "lytic", True), FEMUR, "femur.shaft").items if i.name == "size")
    assert "by diameter of the bone: not measured" in alone.text
    neither = next(i for i in mirels(facts(), FEMUR, "femur.shaft").items if i.name == "size")
    assert (neither.low, neither.high) == (1, 3)
    assert neither.text.count("not measured") == 2


@pytest.mark.xfail(
    strict=True, reason="one size counts as a complete score, so that the other, learned later, reopens what it closed"
)
def test_law_a_second_denominator_is_expected_by_the_score_of_the_first():
    one = mirels(full(0.1, "lytic", True), FEMUR, "femur.shaft").state
    both = mirels({**full(0.1, "lytic", True), **facts(lesion_diameter_fraction=0.9)}, FEMUR, "femur.shaft").state
    assert one == both or isinstance(one, Interval)


@given(st.floats(0, 1), st.floats(0, 1))
def test_law_a_second_denominator_never_lowers_mirels(thickness, diameter):
    one = mirels(full(thickness, "lytic", True), FEMUR, "femur.shaft").state
    both = mirels({**full(thickness, "lytic", True), **facts(lesion_diameter_fraction=diameter)}, FEMUR, "femur.shaft").state
    assert both.value >= one.value


def test_published_accuracy_is_listed_study_by_study_and_each_row_has_its_source():
    for name in ("mirels", "van_der_linden"):
        for row in table(name)["published"]:
            assert row["source"]
            assert isinstance(row["verified"], bool)
            assert any(key in row for key in ("sensitivity", "specificity"))
    result = mirels(full(0.5, "lytic", False), FEMUR, "femur.shaft")
    for said in (
        "sensitivity 71 %, specificity 50 %",
        "sensitivity 14.5 %, specificity 82.9 %",
        "sensitivity 84 %, specificity 80 %",
    ):
        assert said in result.accuracy
    assert {"nazarian-2015", "evans-2008", "hoban-2022", "tat-2023"} <= set(result.quotes)
    film = van_der_linden(facts(axial_cortical_mm=31.0, circumferential_cortical_fraction=0.2), FEMUR, "")
    assert "sensitivity 86 %, specificity 50 %, positive predictive value 20 %, negative predictive value 96 %" in film.accuracy


# --- films and CT


def from_image(name, state):
    return {name: Fact(name, state, origins=(Origin("image", "axial slice 3", place_mm=(0.0, 0.0, 0.0)),))}


def from_chart(name, state):
    return {name: Fact(name, state, origins=(Origin("chart", "lesion L1"),))}


NOT_VALIDATED = "film threshold on a CT length: not validated"


def test_film_thresholds_on_ct_lengths_are_never_applied_silently():
    ct = {
        **facts(),
        **from_image("axial_cortical_mm", Known(40.0)),
        **from_image("circumferential_cortical_fraction", Known(0.35)),
    }
    result = van_der_linden(ct, FEMUR, "femur.shaft")
    assert all(NOT_VALIDATED in item.text for item in result.items)
    assert result.action.startswith(NOT_VALIDATED)
    chart = {
        **facts(),
        **from_chart("axial_cortical_mm", Known(40.0)),
        **from_chart("circumferential_cortical_fraction", Known(0.35)),
    }
    told = van_der_linden(chart, FEMUR, "femur.shaft")
    assert not any(NOT_VALIDATED in item.text for item in told.items)
    assert all("from the chart" in item.text for item in told.items)
    assert told.state == result.state == Known(1)
    mixed = van_der_linden({**chart, **from_image("axial_cortical_mm", Known(40.0))}, FEMUR, "femur.shaft")
    assert [NOT_VALIDATED in item.text for item in mixed.items] == [True, False]


@pytest.mark.parametrize(
    ("around", "expected"),
    [(0.29, Known("not met")), (0.3, Known("met")), (Interval(0.2, 0.4), OneOf(("met", "not met"))), (0.5, Known("met"))],
)
def test_the_ct_study_stands_beside_with_its_own_thresholds(around, expected):
    told = facts(
        circumferential_cortical_fraction=around, axial_cortical_mm=44.0, cortical_thickness_fraction=1.0, fracture="none"
    )
    result = ct_involvement(told, FEMUR, "femur.shaft")
    assert result.state == expected
    met = {item.facts[0]: (item.low, item.high) for item in result.items}
    assert met["axial_cortical_mm"] == (0, 0)  # 45 mm and more
    assert met["cortical_thickness_fraction"] == (1, 1)
    assert "never validated" in result.accuracy
    assert "tatar-2014" in result.quotes
    image = {**told, **from_image("circumferential_cortical_fraction", Known(0.5))}
    assert "read on CT" in ct_involvement(image, FEMUR, "femur.shaft").items[0].text


def test_the_ct_study_has_no_meaning_elsewhere_and_is_open_where_nothing_is_measured():
    assert isinstance(ct_involvement(facts(long_bone=False), structure("sternum"), "").state, NotApplicable)
    assert isinstance(ct_involvement(facts(fracture="present"), HUMERUS, "").state, NotApplicable)
    unknown = ct_involvement(facts(), HUMERUS, "humerus.shaft")
    assert isinstance(unknown.state, Unknown)
    assert unknown.state.why.startswith("cannot tell: measure")
    assert isinstance(ct_involvement({}, None, "").state, Unknown)
