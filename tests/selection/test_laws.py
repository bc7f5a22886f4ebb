"""Laws of selection that hold for every row of the catalogue, on random charts (clinical 3.5, b to e)."""

from __future__ import annotations

import random
from itertools import product

import numpy as np
import pytest
import random_charts as charts
from every_way import FALSE, OPEN, SILENT, TRUE, Ways, apart, minimal_sets
from selection_cases import FIT, assessment

from osteon.assessment.assess import assess
from osteon.case.load import load_case
from osteon.case.yaml_lines import write_yaml
from osteon.facts import Interval, Known, NotApplicable, OneOf, Unknown, vocabulary
from osteon.selection.answer import Answer
from osteon.selection.judging import POLICIES
from osteon.selection.select import select
from osteon.treatments.catalog import entries, treatment
from osteon.treatments.rows import sheet

OPEN_STATUSES = ("candidate", "candidate_with_cautions", "candidate_unchecked")
CLOSED = ("not_indicated", "excluded", "outside_scope")
"""Each may give way to a later one, never to an earlier: all three speak against the treatment."""
ROWS = sorted(charts.books())
DECISIONS = {"refused"} | {f for b in charts.books().values() for r in b.rules for f in r.planning}
"""What the patient or the team decides: not said counts as no, so that saying it is a change, not learning."""
SIZES = {"cortical_thickness_fraction", "lesion_diameter_fraction"}
"""Mirels' size is complete by either of them, the worse of both where both are known: the second may raise a settled score."""
MOST_WAYS = 300_000


def some(quick, slow):
    """Return seeds for every run, and more for the slow one."""
    return pytest.mark.parametrize("seeds", [range(quick), pytest.param(range(10_000, 10_000 + slow), marks=pytest.mark.slow)])


def status(states, row, policy="strict"):
    return Answer.to("L1", row, policy, charts.books()[row], states, missing=False).status


def only_learned(before, after):
    """Tell whether a status can follow another by learning alone."""
    if before == "needs":
        return True
    if before in CLOSED:
        return after in CLOSED[CLOSED.index(before) :]
    return after in OPEN_STATUSES if before == "candidate_unchecked" else after == before


def held(states):
    """Return every status by row and policy, judged together as select does."""
    from osteon.selection.answer import Bench

    bench = Bench.of(states)
    return {
        (row, policy): Answer.to("L1", row, policy, charts.books()[row], bench, missing=False).status
        for row in ROWS
        for policy in POLICIES
    }


def told(rng, name):
    return Known(rng.choice(charts.values(name)))


def test_the_random_charts_reach_every_status_and_most_rules():
    seen, truths = set(), set()
    for seed in range(80):
        states = charts.states(seed)
        seen |= set(held(states).values())
        for row in ROWS:
            answer = Answer.to("L1", row, "mitigated", charts.books()[row], states, missing=False)
            truths |= {(j.rule.id, j.truth) for j in answer.judged if j.kind in ("exclusion", "requirement", "caution")}
    assert seen == {*OPEN_STATUSES, *CLOSED, "needs"}
    rules = {r.id for b in charts.books().values() for r in b.rules if r.kind in ("exclusion", "requirement", "caution")}
    for truth in ("true", "false", "unknown"):
        assert len({i for i, t in truths if t == truth}) > 0.8 * len(rules), truth


# --- learning


@some(60, 1500)
def test_making_an_unknown_fact_known_only_settles_and_never_reopens(seeds):
    learned = 0
    for seed in seeds:
        rng, states = random.Random(seed), charts.states(seed)
        open_ones = [n for n, s in states.items() if isinstance(s, Unknown) and n not in DECISIONS]
        before = held(states)
        for count in (1, 5, len(open_ones)):
            now = {**states, **{n: told(rng, n) for n in rng.sample(open_ones, min(count, len(open_ones)))}}
            after = held(now)
            learned += sum(before[key] != after[key] for key in before)
            for key, status_now in after.items():
                assert only_learned(before[key], status_now), (seed, key, before[key], status_now)
    assert learned > len(seeds)


@some(25, 400)
def test_the_same_through_a_chart_and_all_that_follows_from_it(seeds, tmp_path):
    for seed in seeds:
        rng, whole = random.Random(seed), charts.tree(seed)
        less = {**whole, "lesions": [{**x, "facts": dict(x["facts"])} for x in whole["lesions"]], "facts": dict(whole["facts"])}
        for facts in (less["facts"], *(x["facts"] for x in less["lesions"])):
            for name in rng.sample(sorted(facts), len(facts) // 8):
                if name not in DECISIONS | SIZES:
                    del facts[name]
        found = []
        for tree in (less, whole):
            (tmp_path / "case.yaml").write_text(write_yaml(tree), encoding="utf-8")
            answers = select(assess(load_case(tmp_path)), missing=False)
            found.append({(v.lesion_id, v.treatment, v.policy): v.status for v in answers.verdicts})
        for key, before in found[0].items():
            assert only_learned(before, found[1][key]), (seed, key, before, found[1][key])


@some(60, 1500)
def test_a_known_value_widened_to_an_interval_that_holds_it_is_never_settled_otherwise(seeds):
    for seed in seeds:
        rng, states = random.Random(seed), charts.states(seed)
        wide = dict(states)
        for name in rng.sample(sorted(states), 40):
            state = states[name]
            if isinstance(state, Known) and name not in DECISIONS:
                other = rng.choice(charts.values(name))
                if vocabulary()[name].type == "number":
                    low, high = sorted((float(state.value), float(other)))
                    wide[name] = Interval(low, high)
                else:
                    wide[name] = OneOf((state.value, other))
        before, after = held(wide), held(states)
        for key, vague in before.items():
            assert only_learned(vague, after[key]), (seed, key, vague, after[key])


def chart(tmp_path, patient=(), **lesion):
    """Return the status of microwave ablation under both policies, with the fit patient's chart changed."""
    scopes = {"patient": {}, "lesion": {}}
    for name, value in FIT.items():
        if name not in ("bone", "side", "goal"):
            entry = [w.strip() for w in value.split(",")] if vocabulary()[name].type == "set" else value
            scopes[vocabulary()[name].scope][name] = entry
    scopes["patient"].update(patient)
    scopes["lesion"].update(lesion)
    tree = {"schema": "osteon-case/1", "patient": "P", "date": "2025-03-31", "facts": scopes["patient"]}
    tree["lesions"] = [{"id": "L1", "bone": "hip_right", "goal": "palliation", "facts": scopes["lesion"]}]
    (tmp_path / "case.yaml").write_text(write_yaml(tree), encoding="utf-8")
    answers = select(assess(load_case(tmp_path)), missing=False)
    return tuple(answers.of("L1", "microwave", policy).status for policy in POLICIES)


def test_a_newer_value_may_lift_an_exclusion(tmp_path):
    low = {"value": 30, "date": "2025-03-20"}
    assert chart(tmp_path, {"platelets_e9_l": [low]}) == ("excluded", "excluded")
    newer = chart(tmp_path, {"platelets_e9_l": [low, {"value": 180, "date": "2025-03-29"}]})
    assert newer == ("candidate_with_cautions",) * 2
    assert chart(tmp_path, {"platelets_e9_l": [{"value": 180, "date": "2025-03-10"}, low]}) == ("excluded", "excluded")


def test_a_retraction_may_lift_an_exclusion_and_then_it_is_asked_for(tmp_path):
    wrong = {"value": 30, "date": "2025-03-20"}
    retracted = chart(tmp_path, {"platelets_e9_l": [wrong, {"value": "unknown", "date": "2025-03-21"}]})
    assert retracted == ("needs", "needs")
    assert chart(tmp_path, {"platelets_e9_l": {"value": 180, "date": "2025-01-01"}}) == ("needs", "needs")  # too old


def test_a_planned_mitigation_may_lift_an_exclusion_under_that_policy_alone(tmp_path):
    assert chart(tmp_path, distance_critical_mm=6) == ("excluded", "excluded")
    assert chart(tmp_path, distance_critical_mm=6, thermometry_planned=True) == ("excluded", "candidate_with_cautions")


# --- what must not matter


@some(8, 100)
def test_the_order_of_facts_changes_nothing(seeds):
    for seed in seeds:
        items = list(charts.states(seed).items())
        expected = select(assessment(dict(items)))
        random.Random(seed).shuffle(items)
        assert select(assessment(dict(items))) == expected, seed


@some(60, 1500)
def test_facts_that_no_rule_of_a_row_reads_change_neither_status_nor_missing_sets(seeds):
    for seed in seeds:
        rng, states, other = random.Random(seed), charts.states(seed), charts.states(seed + 1_000_000)
        for row in rng.sample(ROWS, 6):
            rules = charts.books()[row]
            assert {f for r in rules.rules for f in (*r.facts, *r.planning)} == set(rules.comparisons)
            mixed = {n: states[n] if n in rules.comparisons else other[n] for n in states}
            few = {n: states[n] for n in rules.comparisons}
            for policy in POLICIES:
                found = [Answer.to("L1", row, policy, rules, s) for s in (states, mixed, few)]
                assert len({(a.status, a.sets) for a in found}) == 1, (seed, row, policy)


# --- what a status means


@some(60, 1500)
def test_no_treatment_is_both_excluded_and_a_candidate(seeds):
    for seed in seeds:
        states = charts.states(seed)
        for row, policy in product(ROWS, POLICIES):
            answer = Answer.to("L1", row, policy, charts.books()[row], states, missing=False)
            seen = {(j.kind, j.truth) for j in answer.judged}
            closes = bool(seen & {("exclusion", "true"), ("requirement", "false")})
            open_one = bool(seen & {("exclusion", "unknown"), ("requirement", "unknown")})
            assert (answer.status in CLOSED) == closes, (seed, row)
            assert (answer.status == "needs") == (open_one and not closes), (seed, row)
            assert (answer.status in OPEN_STATUSES) == (not closes and not open_one), (seed, row)
            if answer.status in OPEN_STATUSES:
                assert (answer.status == "candidate") == (not seen & {("caution", "true"), ("caution", "unknown")})


@some(20, 300)
def test_a_treatment_is_on_hold_only_where_a_flag_is_up(seeds):
    held_once = False
    for seed in seeds:
        answers = select(assessment(*(charts.states(seed + 500 * i) for i in range(2))), missing=False)
        up = {f.lesion_id for f in answers.flags if f.truth == "true" and f.holds}
        names = [(v.lesion_id, v.treatment, v.policy) for v in answers.verdicts]
        assert len(names) == len(set(names)) == 2 * len(entries()) * len(POLICIES)
        for each in answers.verdicts:
            waits = each.lesion_id in up and each.status not in CLOSED and sheet(treatment(each.treatment)).elective
            assert each.on_hold == waits, (seed, each.treatment)
            held_once |= each.on_hold
    assert held_once


# --- missing sets


def settling(states, answer, names):
    """Return every status that some values of some facts lead to."""
    rules = answer.book
    options = [apart(n, states.get(n, Unknown()), rules.comparisons[n]) for n in names]
    found = set()
    for picks in product(*options):
        known = {n: Known(charts.plain(v)) for n, v in zip(names, picks)}
        found.add(status({**states, **known}, answer.treatment, answer.policy))
        if found >= {*OPEN_STATUSES, "excluded"}:
            break
    return found


def waiting(seeds, rows_each):
    """Yield random charts and rows that need something, at most so many rows a chart."""
    for seed in seeds:
        rng, states = random.Random(seed), charts.states(seed)
        left = rows_each
        for row, policy in rng.sample(list(product(ROWS, POLICIES)), 2 * len(ROWS)):
            answer = Answer.to("L1", row, policy, charts.books()[row], states)
            assert bool(answer.sets) <= (answer.status == "needs")
            if answer.sets:
                yield seed, rng, states, answer
                left -= 1
            if not left:
                break


@some(40, 800)
def test_every_set_settles_opening_ones_open_and_no_member_can_be_dropped(seeds):
    tried = 0
    for seed, rng, states, answer in waiting(seeds, 3):
        sizes = {n: len(apart(n, states[n], answer.book.comparisons[n])) for s, _ in answer.sets for n in s}
        short = [s for s in answer.sets if len(s[0]) <= 6 and np.prod([sizes[n] for n in s[0]]) <= 400]
        for names, opens in rng.sample(short, min(6, len(short))):
            tried += 1
            ends = settling(states, answer, names)
            assert ends - {"needs"}, (seed, answer.treatment, names)
            assert opens <= bool(ends & set(OPEN_STATUSES)), (seed, answer.treatment, names)
            for dropped in names:
                fewer = settling(states, answer, [n for n in names if n != dropped])
                if opens:
                    assert not fewer & set(OPEN_STATUSES), (seed, answer.treatment, names, dropped)
                else:
                    assert not fewer & set(CLOSED), (seed, answer.treatment, names, dropped)
    assert tried > len(seeds)


@some(40, 800)
def test_long_opening_sets_open_for_the_values_that_suit(seeds):
    """Too long to try every value: what suits the row does."""
    tried = 0
    for seed, _, states, answer in waiting(seeds, 3):
        longest = [s for s, opens in answer.sets if opens and len(s) > 6][:3]
        for names in longest:
            ways = Ways(states, {n: apart(n, states[n], answer.book.comparisons[n]) for n in names})
            if np.prod([len(v) + 1.0 for v in ways.options.values()]) > MOST_WAYS:
                continue
            tried += 1
            assert ends(ways, answer)[1].any(), (seed, answer.treatment, names)
    assert tried


def ends(ways, answer):
    """Return where a row is closed, and where it is open, under every combination of values."""
    closed = opened = None
    for rule in answer.book.rules:
        if rule.kind not in ("exclusion", "requirement"):
            continue
        truth = ways.of(rule.when)
        if rule.kind == "requirement":
            bad, good = truth == FALSE, (truth == TRUE) | (truth == SILENT)
        else:
            bad, good = truth == TRUE, (truth == FALSE) | (truth == SILENT)
            planned = [ways.of(m.when) == TRUE for m in rule.mitigations if answer.policy == "mitigated"]
            for each in planned:
                bad, good = bad & ~each, good | (bad & each)
        closed = bad if closed is None else closed | bad
        opened = good if opened is None else opened & good
    shape = [len(v) + 1 for v in ways.options.values()]
    return np.broadcast_to(closed, shape), np.broadcast_to(opened, shape)


def restricted(seed, row):
    """Return a chart in which at most 12 facts that decide a row are open, all else as suits it or as it came."""
    rng, states = random.Random(f"{seed} {row}"), charts.states(seed, row)
    rules, suits = charts.books()[row], charts.fitting(row)
    for name in rules.comparisons:
        if rng.random() < 0.9 and not isinstance(states[name], (Unknown, Interval, OneOf)):
            states[name] = Known(suits[name])
    deciding = {f for r in rules.rules if r.kind in ("exclusion", "requirement") for f in r.facts}
    open_ones = [n for n in deciding if not isinstance(states[n], (Known, NotApplicable))]
    rng.shuffle(open_ones := sorted(open_ones))
    ways, kept = 1, {}
    for name in open_ones:
        found = apart(name, states[name], rules.comparisons[name])
        if name not in DECISIONS and len(kept) < 12 and ways * (len(found) + 1) <= MOST_WAYS:
            kept[name], ways = found, ways * (len(found) + 1)
        else:
            states[name] = Known(suits[name])
    return states, kept


@some(3, 60)
def test_no_minimal_set_is_missing_for_any_row_with_up_to_12_open_facts(seeds):
    compared, largest = 0, 0
    for seed, row in product(seeds, ROWS):
        states, options = restricted(seed, row)
        for policy in POLICIES:
            answer = Answer.to("L1", row, policy, charts.books()[row], states)
            if answer.status != "needs" or answer.cut:
                continue
            closing, opening = minimal_sets(*ends(Ways(states, options), answer), list(options))
            assert {frozenset(s) for s, opens in answer.sets if opens} == opening, (seed, row, policy)
            assert {frozenset(s) for s, _ in answer.sets} == closing | opening, (seed, row, policy)
            compared, largest = compared + 1, max(largest, len(options))
    assert compared > len(seeds) * len(ROWS) / 4
    assert largest >= 9


def test_a_truth_table_by_hand_for_the_slow_way():
    """The array logic against the tables of Kleene."""
    from osteon.selection.kleene import Atom, Both, Either, Not

    a, b = Atom("pacemaker", "==", True), Atom("pregnant", "==", True)
    ways = Ways({}, {"pacemaker": [True, False], "pregnant": [True, False]})
    assert ways.of(Both((a, b))).tolist() == [[OPEN, OPEN, FALSE], [OPEN, TRUE, FALSE], [FALSE, FALSE, FALSE]]
    assert ways.of(Either((a, b))).tolist() == [[OPEN, TRUE, OPEN], [TRUE, TRUE, TRUE], [OPEN, TRUE, FALSE]]
    assert ways.of(Not(a)).ravel().tolist() == [OPEN, FALSE, TRUE]
    silent = Ways({"pacemaker": NotApplicable("-")}, {"pregnant": [True, False]})
    assert silent.of(Both((a, b))).tolist() == [OPEN, TRUE, FALSE]
    assert silent.of(Both((a, Not(a)))).tolist() == [SILENT]
