"""BED and EQD2: the figures of the reference table first, then the laws, then what is not told."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteon.errors import InputError
from osteon.evidence.source import cite
from osteon.facts import Interval, Known, OneOf, Unknown
from osteon.ledgers import radiotherapy as rt
from osteon.ledgers.radiotherapy_ledger import NO_CREDIT, ledger, schedule_table
from osteon.ledgers.states import all_of, any_of, bounds

# (dose, fractions, BED10, EQD2 10, BED3, EQD2 2) as printed in the reference table of dose bookkeeping
PRINTED = [
    (8, 1, "14.4", "12.0", "29.3", "20.0"),
    (20, 5, "28.0", "23.3", "46.7", "30.0"),
    (30, 10, "39.0", "32.5", "60.0", "37.5"),
    (45, 15, "58.5", "48.8", "90.0", "56.2"),
    (16, 1, "41.6", "34.7", "101", "72"),
    (24, 1, "81.6", "68.0", "216", "156"),
    (24, 2, "52.8", "44.0", "120", "84"),
    (24, 3, "43.2", "36", "88", "60"),
    (30, 3, "60", "50", "130", "90"),
    (30, 4, "52.5", "43.8", "105", "71.2"),
    (30, 5, "48", "40", "90", "60"),
    (40, 5, "72", "60", "147", "100"),
]


@pytest.mark.parametrize(("dose", "n", "bed10", "eqd2_10", "bed3", "eqd2_2"), PRINTED)
def test_every_figure_of_the_reference_table(dose, n, bed10, eqd2_10, bed3, eqd2_2):
    ours = rt.bed(dose, n, 10), rt.eqd2(dose, n, 10), rt.bed(dose, n, 3), rt.eqd2(dose, n, 2)
    for value, text in zip(ours, (bed10, eqd2_10, bed3, eqd2_2), strict=True):
        assert f"{value:.{len(text.partition('.')[2])}f}" == text


def test_two_cord_figures_of_a_published_abstract():
    # nieder-2006: 50 Gy in fractions of 2 Gy is a BED of 100 Gy with alpha/beta 2 and 75 Gy with alpha/beta 4
    assert (rt.bed(50, 25, 2), rt.bed(50, 25, 4)) == (100.0, 75.0)


def test_table_3_lists_as_the_reference_transcribes_it():
    # columns: uncomplicated, complicated, end of life, symptomatic, oligometastatic, re-irradiation, post-surgery
    expected = {
        "8/1": "x-xx-x-",
        "30/10": "xx-o--x",
        "45/15": "xx-o---",
        "20/5": "xx-o-oo",
        "16-24/1": "x--ox--",
        "24/2": "x--ox--",
        "24-30/3": "x--ox--",
        "30-40/5": "x--oxo-",
        "30/4": "-------",
    }
    assert {s["id"]: s["settings"] for s in rt.schedules()} == expected
    assert set(rt.settings_of(rt.schedules()[0]).values()) == {"recommended", "not listed"}
    assert "contraindicat" not in " ".join(v for s in rt.schedules() for v in rt.settings_of(s).values())
    assert cite(list(rt.schedules()))


@given(st.floats(0.1, 90), st.integers(1, 40), st.floats(0.5, 20))
def test_eqd2_of_two_gray_fractions_is_the_dose_and_more_fractions_never_do_more(dose, n, ratio):
    assert rt.eqd2(2.0 * n, n, ratio) == pytest.approx(2.0 * n)
    assert rt.bed(dose, n + 1, ratio) < rt.bed(dose, n, ratio)
    assert rt.bed(dose * 1.01, n, ratio) > rt.bed(dose, n, ratio)
    assert rt.bed(dose, n, ratio) > dose


@given(st.floats(1, 60), st.floats(0, 10), st.integers(1, 20), st.integers(0, 10), st.floats(0, 1), st.integers(0, 10))
def test_an_interval_holds_every_case_within_it(low, width, n, more, share, step):
    state = rt.eqd2_state(Interval(low, low + width), Interval(n, n + more), 2.0)
    ends = bounds(state)
    inside = rt.eqd2(low + share * width, n + min(step, more), 2.0)
    assert ends is not None
    assert ends[0] - 1e-9 <= inside <= ends[1] + 1e-9


def test_a_set_of_doses_gives_an_interval_and_an_unknown_one_a_need():
    assert rt.bed_state(OneOf((20.0, 30.0)), Known(10.0), 10) == Interval(24.0, 39.0)
    assert rt.bed_state(Unknown(), Known(1.0), 10) == Unknown("needs the dose in Gy")
    assert rt.eqd2_state(Known(8.0), Unknown(), 10) == Unknown("needs the number of fractions")


@pytest.mark.parametrize("figures", [(-1, 1, 10), (8, 0, 10), (8, 1, 0), (8, float("nan"), 2)])
def test_impossible_figures_are_refused(figures):
    with pytest.raises(InputError):
        rt.bed(*figures)


@pytest.mark.parametrize(("dose", "n", "told"), [(8, 1, False), (8.01, 1, True), (24, 3, False), (24, 2, True), (40, 5, False)])
def test_the_caveat_begins_above_eight_gray_per_fraction(dose, n, told):
    assert bool(rt.caveat(Known(float(dose)), Known(float(n)))) is told
    assert rt.caveat(Interval(7.0, 9.0), Known(1.0))  # may be above
    assert not rt.caveat(Unknown(), Known(1.0))


@pytest.mark.parametrize(("day", "truth"), [(28, "false"), (29, "true"), (14, "false")])
def test_twenty_eight_days_from_the_last_fraction(day, truth):
    course = rt.Course("L1", Known(8.0), Known(1.0), date(2025, 3, 1))
    check = rt.re_irradiation(rt.interval_days(course, date(2025, 3, day)), "a", "b")
    assert check.truth == ("false" if day < 29 else "true") == truth
    assert rt.re_irradiation(Unknown("needs the dates"), "a", "b").truth == "unknown"


def test_exactly_28_days_is_enough_and_an_open_end_stays_open():
    single = rt.Course("L1", Known(8.0), Known(1.0), date(2025, 3, 1))
    assert rt.interval_days(single, date(2025, 3, 29)) == Known(28.0)
    assert rt.re_irradiation(Known(28.0), "a", "b").truth == "true"
    ten = rt.Course("L1", Known(30.0), Known(10.0), date(2025, 3, 1))  # day of the last fraction not entered
    assert rt.interval_days(ten, date(2025, 4, 11)) == Interval(13.0, 41.0)
    assert rt.re_irradiation(rt.interval_days(ten, date(2025, 4, 11)), "a", "b").truth == "unknown"
    assert isinstance(rt.interval_days(rt.Course("L1", Known(8.0), Known(1.0)), date(2025, 4, 1)), Unknown)
    assert isinstance(rt.interval_days(rt.Course("L1", Known(8.0), Unknown(), date(2025, 1, 1)), date(2025, 4, 1)), Unknown)


def two(first=30.0, second=10.0, **second_more):
    return (
        rt.Course("vertebra L3", Known(30.0), Known(10.0), date(2024, 3, 1), date(2024, 3, 14), {"spinal_cord": Known(first)}),
        rt.Course("vertebra L3", Known(24.0), Known(1.0), date(2025, 1, 10), None, {"cord": Known(second)}, **second_more),
    )


def test_the_sum_of_two_courses_lies_between_the_greater_and_both_and_nothing_is_credited():
    account = ledger(two(), today=date(2025, 3, 1))
    total = account.results["organs"][0]
    assert (total.organ, total.alpha_beta_gy) == ("spinal_cord", 2.0)
    assert total.eqd2_gy == Interval(37.5, 67.5)  # 30/10: 37.5; 10/1: 30
    assert NO_CREDIT in account.notes
    assert {c.id: c.truth for c in account.checks}["cord_tolerance"] == "unknown"
    assert {c.id: c.truth for c in account.checks}["cord_cumulative_bed"] == "true"


def test_recovery_is_credited_to_the_tolerance_only_by_a_named_policy_and_never_taken_off_the_dose():
    plain, credited = ledger(two(40.0, 10.0)), ledger(two(40.0, 10.0), recovery="doi-2021")
    assert plain.results["organs"][0].eqd2_gy == credited.results["organs"][0].eqd2_gy
    limits = [next(r.limit for r in a.ledger.rows if "in all" in r.what) for a in (plain, credited)]
    assert limits[0].startswith("50 Gy EQD2")
    assert limits[1].startswith("62.5 Gy EQD2 (50 Gy and 25 %")
    late = two()
    later = (late[0], rt.Course("vertebra L3", Known(8.0), Known(1.0), date(2025, 6, 1), None, {"cord": Known(5.0)}))
    assert next(r.limit for r in ledger(later, recovery="doi-2021").ledger.rows if "in all" in r.what).startswith("75 Gy")
    undated = (rt.Course("vertebra L3", Known(30.0), Known(10.0), None, None, {"cord": Known(1.0)}), late[1])
    assert "nothing credited" in next(r.limit for r in ledger(undated, recovery="doi-2021").ledger.rows if "in all" in r.what)
    with pytest.raises(InputError):
        ledger(two(), recovery="my own")


def test_the_shortest_interval_decides_what_a_policy_credits():
    first, second = two()
    soon = rt.Course("vertebra L3", Known(8.0), Known(1.0), date(2025, 3, 1), None, {"cord": Known(2.0)})
    account = ledger((first, second, soon), recovery="doi-2021")  # 302 days, then 50
    assert next(r.limit for r in account.ledger.rows if "in all" in r.what).startswith("50 Gy")


@pytest.mark.parametrize(
    ("truths", "both", "either"),
    [
        (("true", "true"), "true", "true"),
        (("true", "false"), "false", "true"),
        (("true", "unknown"), "unknown", "true"),
        (("false", "unknown"), "false", "unknown"),
        (("false", "false"), "false", "false"),
        (("unknown", "unknown"), "unknown", "unknown"),
    ],
)
def test_and_and_or_are_those_of_kleene(truths, both, either):
    for order in (truths, truths[::-1]):
        assert (all_of(order), any_of(order)) == (both, either)


def test_a_missing_organ_dose_is_never_zero():
    first, _second = two()
    blind = rt.Course("vertebra L3", Known(24.0), Known(1.0), date(2025, 1, 10))
    account = ledger((first, blind))
    assert isinstance(account.results["organs"][0].eqd2_gy, Unknown)
    assert any(n.startswith(rt.NEEDS_ORGAN_DOSE) for n in account.needs)
    assert all(c.truth != "true" for c in account.checks if c.id.startswith("cord"))
    # entered as zero it counts as zero
    zero = rt.Course("femur", Known(8.0), Known(1.0), date(2025, 1, 10), None, {"spinal cord": Known(0.0)})
    assert ledger((first, zero)).results["organs"][0].eqd2_gy == Known(37.5)
    # without any organ: one need, no figure
    hip = ledger((rt.Course("hip", Known(8.0), Known(1.0), date(2025, 1, 1)),))
    assert hip.needs == (rt.NEEDS_ORGAN_DOSE,)
    assert hip.results["organs"] == []
    assert ledger((rt.Course("L1", Known(8.0), Known(1.0), place="vertebra_T5"),)).results["organs"][0].organ == "spinal_cord"
    assert ledger((rt.Course("L1", Known(8.0), Known(1.0), place="hip_right"),)).results["organs"] == []


def test_doses_of_files_belong_to_a_single_course_and_contradictions_are_kept():
    one = rt.Course("hip", Known(20.0), Known(5.0), date(2025, 1, 1))
    account = ledger((one,), {"sciatic_nerve_right": Known(18.0)})
    assert account.results["organs"][0].per_course[0][3] == Known(pytest.approx(rt.eqd2(18, 5, 3)))
    contradicting = rt.Course("hip", Known(20.0), Known(5.0), date(2025, 1, 1), None, {"sciatic_nerve_right": Known(10.0)})
    both = ledger((contradicting,), {"sciatic_nerve_right": Known(18.0)})
    assert bounds(both.results["organs"][0].per_course[0][1]) == (10.0, 18.0)
    assert any("both are kept" in n for n in both.notes)
    several = ledger(two(), {"spinal_cord": Known(38.0)})
    assert any("cannot be told" in r.note for r in several.ledger.rows)


def test_overlap_is_asked_where_sites_differ():
    first, _ = two()
    other = rt.Course("vertebra L4", Known(8.0), Known(1.0), date(2024, 4, 1), None, {"cord": Known(8.0)})
    assert any("needs overlap" in n for n in ledger((first, other)).needs)
    told = rt.Course("vertebra L4", Known(8.0), Known(1.0), date(2024, 4, 1), None, {"cord": Known(8.0)}, Known(False))
    apart = ledger((first, told))
    assert not any("overlap" in n for n in apart.needs)
    assert not any(c.id == "re_irradiation_interval" for c in apart.checks)


def test_order_of_courses_does_not_matter():
    a, b = two()
    assert ledger((a, b), today=date(2025, 3, 1)) == ledger((b, a), today=date(2025, 3, 1))


def test_every_ratio_is_named_with_spread_and_source():
    assert set(rt.alpha_betas()) == {"tumour", "late_tissue", "spinal_cord", "lumbar_cord"}
    assert [rt.alpha_betas()[k].number for k in ("tumour", "late_tissue", "spinal_cord")] == [10, 3, 2]
    for row in ledger(two()).ledger.rows:
        if "EQD2" in row.amount:
            assert "alpha/beta" in row.note
    assert len(schedule_table().ledger.rows) == 9
