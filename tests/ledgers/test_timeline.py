"""The timeline of a case: what is read, and three-part errors for what contradicts itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.errors import CaseFileError, OsteonError
from osteon.facts import Fact, Interval, Known, OneOf, Unknown
from osteon.ledgers.accounts import accounts
from osteon.ledgers.drugs import AGENT, NUCLIDE, OPIOID, activities_of, agents_of, opioids_of
from osteon.ledgers.timeline import RADIOTHERAPY, courses_of, entries


@dataclass(frozen=True)
class Happened:
    treatment: str
    details: dict = field(default_factory=dict)
    site: str = "L1"
    date: date | None = date(2025, 1, 1)


def course(**details):
    (found,) = courses_of([Happened("radiotherapy", details)], {"L1": "hip_right"})
    return found


def test_a_course_as_the_template_of_a_new_case_writes_it():
    found = course(dose_gy=8, fractions=1)
    assert (found.dose_gy, found.fractions, found.start, found.end) == (Known(8.0), Known(1.0), date(2025, 1, 1), None)
    assert found.name == "L1 (hip right), 2025-01-01"
    assert isinstance(found.overlaps_earlier, Unknown)


def test_everything_that_may_stand_in_a_course():
    found = course(
        dose_gy={"min": 20, "max": 30},
        fractions={"one_of": [5, 10]},
        ended="2025-01-14",
        overlaps_earlier=False,
        responded=True,
        organ_max_gy={"spinal_cord": "12.5 Gy", "bowel": "unknown", "kidney": 0},
        technique="IMRT",
        response="good",
    )
    assert (found.dose_gy, found.fractions) == (Interval(20.0, 30.0), OneOf((5.0, 10.0)))
    assert found.organ_max_gy["spinal_cord"] == Known(12.5)
    assert found.organ_max_gy["kidney"] == Known(0.0)
    assert isinstance(found.organ_max_gy["bowel"], Unknown)
    assert found.end == date(2025, 1, 14)
    assert found.overlaps_earlier == Known(False)
    assert any("'response' is not read" in n for n in found.notes)
    assert course(fractions=10, dose_per_fraction_gy=3).dose_gy == Known(30.0)
    assert isinstance(course().dose_gy, Unknown)
    assert isinstance(course(dose_gy="unknown").dose_gy, Unknown)


@pytest.mark.parametrize("word", ["radiotherapy", "Radiotherapy", "re-irradiation", "SBRT", "external beam radiotherapy", "EBRT"])
def test_words_for_radiotherapy(word):
    assert len(courses_of([Happened(word, {"dose_gy": 8, "fractions": 1})])) == 1


def test_other_events_are_left_alone():
    assert entries([Happened("surgery", {"by": "x"}), Happened("microwave ablation")]) == []
    assert accounts([Happened("surgery")]) == ()


CONTRADICTING = [
    ({"dose_gy": 8, "fractions": 0}, "fractions is 0"),
    ({"dose_gy": 8, "fractions": -1}, "fractions is -1"),
    ({"dose_gy": 8, "fractions": 1.5}, "fractions is 1.5"),
    ({"dose_gy": 8, "fractions": 800}, "no course has more than 100"),
    ({"dose_gy": 3000, "fractions": 10}, "in cGy, that is 30"),
    ({"dose_gy": 800, "fractions": 1}, "in cGy, that is 8"),
    ({"dose_gy": 60, "fractions": 1}, "no course has so many Gy"),
    ({"dose_gy": "3000 cGy", "fractions": 10}, "cGy"),
    ({"dose_cgy": 3000, "fractions": 10}, "dose_cgy"),
    ({"dose": 30, "fractions": 10}, "'dose'"),
    ({"dose_gy": -8, "fractions": 1}, "dose_gy is -8"),
    ({"dose_gy": 0, "fractions": 1}, "dose_gy is 0"),
    ({"dose_gy": True, "fractions": 1}, "True"),
    ({"dose_gy": float("nan"), "fractions": 1}, "finite"),
    ({"dose_gy": "eight", "fractions": 1}, "eight"),
    ({"dose_gy": 30, "fractions": 10, "dose_per_fraction_gy": 2}, "are 20 Gy, but dose_gy is 30"),
    ({"dose_gy": {"min": 30, "max": 20}, "fractions": 1}, "runs from 30 to 20"),
    ({"dose_gy": {"low": 30}, "fractions": 1}, "dose_gy is"),
    ({"dose_gy": 8, "fractions": 1, "ended": "2024-12-01"}, "lies before the first"),
    ({"dose_gy": 8, "fractions": 1, "ended": "soon"}, "not a day"),
    ({"dose_gy": 8, "fractions": 1, "organ_max_gy": 12}, "organ_max_gy is 12"),
    ({"dose_gy": 8, "fractions": 1, "organ_max_gy": {"spinal_cord": 1250}}, "12.5"),
    ({"dose_gy": 8, "fractions": 1, "organ_max_gy": {"spinal_cord": -1}}, "-1"),
    ({"dose_gy": 8, "fractions": 1, "overlaps_earlier": "maybe"}, "overlaps_earlier is 'maybe'"),
]


@pytest.mark.parametrize(("details", "says"), CONTRADICTING)
def test_contradicting_courses_are_refused_in_three_parts(details, says):
    with pytest.raises(CaseFileError) as caught:
        course(**details)
    error = caught.value
    assert says in f"{error.what} {error.do}"
    assert "timeline entry 1 (radiotherapy, L1)" in error.what
    assert error.why
    assert error.do


def test_what_lies_after_the_chart_is_refused():
    event = Happened("radiotherapy", {"dose_gy": 8, "fractions": 1}, date=date(2025, 4, 1))
    with pytest.raises(CaseFileError, match="after the chart"):
        accounts([event], today=date(2025, 3, 1))
    assert accounts([event], today=date(2025, 4, 1))


def test_radionuclides_and_bone_agents():
    (ra,) = activities_of([Happened("radium-223", {"activity_mbq": 4.0, "weight_kg": 73})])
    assert (ra.nuclide, ra.activity_mbq, ra.weight_kg) == ("Ra-223", Known(4.0), Known(73.0))
    (sr,) = activities_of([Happened("radionuclide", {"nuclide": "Sr-89"})])
    assert isinstance(sr.activity_mbq, Unknown)
    (zol,) = agents_of([Happened("zoledronic acid", {"dose_mg": 4})])
    assert (zol.agent, zol.dose_mg) == ("zoledronate", Known(4.0))
    (oral,) = agents_of([Happened("ibandronate", {"agent": "ibandronate_oral", "dose_mg": 50})])
    assert oral.agent == "ibandronate_oral"


@pytest.mark.parametrize(
    ("treatment", "details", "says"),
    [
        ("radionuclide", {"nuclide": "186Rn"}, "186Rn"),
        ("radionuclide", {}, "nuclide"),
        ("radium-223", {"activity_mbq": 0}, "activity_mbq is 0"),
        ("radium-223", {"activity_mbq": "4 kBq"}, "kBq"),
        ("radium-223", {"activity_kbq": 4000}, "activity_kbq"),
        ("radium-223", {"nuclide": "Sr-89"}, "treatment says Ra-223"),
        ("bone_agent", {"agent": "etidronate"}, "etidronate"),
        ("zoledronate", {"dose_mg": -4}, "-4"),
        ("zoledronate", {"dose_g": 4}, "dose_g"),
        ("opioid", {"drug": "aspirin", "route": "oral"}, "aspirin"),
        ("opioid", {"drug": "morphine"}, "route"),
        ("opioid", {"drug": "fentanyl", "route": "transdermal", "daily_dose_mg": 4.2}, "rate_ug_h"),
        ("opioid", {"drug": "morphine", "route": "oral", "rate_ug_h": 25}, "rate_ug_h"),
        ("opioid", {"drug": "morphine", "route": "oral", "role": "sometimes"}, "role"),
        (
            "opioid",
            {"drug": "morphine", "route": "oral", "single_dose_mg": 10, "uses_per_day": 3, "daily_dose_mg": 60},
            "are 30 mg",
        ),
        ("opioid", {"drug": "morphine", "route": "oral", "until": "2024-12-01"}, "before it began"),
        ("morphine", {"drug": "oxycodone", "route": "oral"}, "treatment says morphine"),
        ("opioid", {"drug": "morphine", "route": "oral", "dose": 60}, "'dose'"),
    ],
)
def test_contradicting_drugs_are_refused_in_three_parts(treatment, details, says):
    with pytest.raises(CaseFileError) as caught:
        accounts([Happened(treatment, details, site="systemic")])
    error = caught.value
    assert says in f"{error.what} {error.do}"
    assert "timeline entry 1" in error.what


def test_opioids_with_what_follows_from_route_and_release():
    listed = opioids_of(
        [
            Happened("opioid", {"drug": "fentanyl", "route": "transdermal", "rate_ug_h": {"min": 12, "max": 25}}),
            Happened(
                "opioid",
                {
                    "drug": "morphine",
                    "route": "oral",
                    "role": "breakthrough",
                    "release": "immediate",
                    "single_dose_mg": 10,
                    "uses_per_day": 3,
                },
            ),
            Happened("morphine", {"route": "oral", "daily_dose_mg": 60}),
        ]
    )
    assert [o.long_acting for o in listed[:2]] == [Known(True), Known(False)]
    assert isinstance(listed[2].long_acting, Unknown)
    assert listed[0].amount == Interval(12.0, 25.0)
    assert listed[1].amount == Known(30.0)
    assert listed[1].since == date(2025, 1, 1)


def test_accounts_come_in_a_fixed_order_and_read_facts():
    events = [
        Happened("morphine", {"route": "oral", "daily_dose_mg": 60, "release": "extended"}),
        Happened("denosumab", {"dose_mg": 120}),
        Happened("radium-223", {"activity_mbq": 4}),
        Happened("radiotherapy", {"dose_gy": 8, "fractions": 1}),
    ]
    facts = {
        "breakthrough_episodes_day": Fact("breakthrough_episodes_day", Known(3.0)),
        "background_pain_controlled": Fact("background_pain_controlled", Known(True)),
        "creatinine_clearance_ml_min": Fact("creatinine_clearance_ml_min", Known(25.0)),
    }
    found = accounts(events, facts, today=date(2025, 3, 1))
    assert [a.name for a in found] == ["radiotherapy", "radionuclides", "bone_agents", "opioids"]
    assert "hypocalcaemia" in " ".join(r.limit for r in found[2].ledger.rows)
    truths = {c.id: c.truth for c in found[3].checks}
    assert truths["episodes"] == truths["controlled"] == truths["background_60.cdc_2022"] == truths["label_tolerance"] == "true"
    assert found == accounts(events[::-1], facts, today=date(2025, 3, 1))


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates() | st.just("unknown"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["min", "max", "one_of", "unknown", "spinal_cord", "x"]), inner)
    ),
    max_leaves=5,
)
KEYS = sorted(RADIOTHERAPY | NUCLIDE | AGENT | OPIOID | {"dose", "note"})
WORDS = ["radiotherapy", "SBRT", "radionuclide", "radium-223", "bone_agent", "zoledronate", "opioid", "morphine", "surgery", ""]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(WORDS), st.dictionaries(st.sampled_from(KEYS), ANY, max_size=4), st.none() | st.dates(), st.text(max_size=9)
)
def test_whatever_stands_there_is_counted_or_refused_in_three_parts(treatment, details, day, site):
    refused: OsteonError | None = None
    try:
        accounts([Happened(treatment, details, site, day)] * 2, today=date(2025, 3, 1))
    except OsteonError as error:
        refused = error
    assert refused is None or (refused.what and refused.why and refused.do)
