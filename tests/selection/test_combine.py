"""Order and intervals, covered options, head-to-head evidence, views, and what lesions share."""

from __future__ import annotations

import pytest
from selection_cases import assessment, facts, fit

from osteon.errors import InputError
from osteon.evidence import quotes
from osteon.evidence.source import papers, quote_keys, source_ids
from osteon.facts import vocabulary
from osteon.selection import combine, dominance, views
from osteon.selection.kleene import names
from osteon.selection.rules import conflicts, states_of
from osteon.selection.select import select
from osteon.selection.verdicts import Verdict, Verdicts
from osteon.treatments.catalog import ENTRIES
from osteon.treatments.names import aliases, rows_named
from osteon.treatments.rows import SPECIALTIES


def verdicts(**status: str) -> Verdicts:
    return Verdicts(tuple(Verdict("L1", n, "strict", s, ()) for n, s in status.items()), (), "strict")  # type: ignore[arg-type]


def bearing(told: dict[str, object], **status: str) -> dict[str, combine.Combination]:
    return {c.id: c for c in combine.combinations(verdicts(**status), "L1", states_of(facts(told)))}


def test_cement_waits_until_the_frozen_bone_is_warm():
    found = bearing({}, cryoablation="candidate", osteoplasty="candidate_with_cautions", microwave="candidate")["COMB-REWARM"]
    assert found.rows == {"first": ("cryoablation",), "then": ("osteoplasty",)}
    assert found.firm
    assert "15 min" in found.interval
    assert "COMB-REWARM" not in bearing({}, microwave="candidate", osteoplasty="candidate")
    assert "COMB-REWARM" not in bearing({}, cryoablation="excluded", osteoplasty="candidate")


def test_a_side_that_still_needs_facts_is_said_to_be_not_open_yet():
    assert not bearing({}, cryoablation="needs", osteoplasty="candidate")["COMB-REWARM"].firm


@pytest.mark.parametrize(("days", "there"), [(27, True), (28, False)])
def test_four_weeks_pass_before_irradiation_is_repeated(days, there):
    told = {"prior_radiotherapy": True, "radiotherapy_days_ago": days}
    assert ("COMB-REIRRADIATION" in bearing(told, reirradiation="candidate")) is there


def test_what_cannot_be_told_is_listed_with_what_to_ask():
    found = bearing({"prior_radiotherapy": True}, reirradiation="candidate")["COMB-REIRRADIATION"]
    assert (found.truth, found.unknown) == ("unknown", ("radiotherapy_days_ago",))
    assert bearing({}, bisphosphonates="candidate")["COMB-DENTAL"].truth == "unknown"
    assert bearing({"dental_examined": False}, denosumab="candidate")["COMB-DENTAL"].truth == "true"
    assert "COMB-DENTAL" not in bearing({"dental_examined": True}, denosumab="candidate")


def test_radium_is_not_joined_with_abiraterone_whatever_the_older_paper_says():
    found = bearing({"abiraterone_prednisone": True}, radium_223="needs")["COMB-RADIUM-ABIRATERONE"]
    assert (found.source_class, found.conflicts) == ("regulator", ("X20",))


def covered(told: dict[str, object], **status: str) -> dict[str, dominance.Covered]:
    found = dominance.covered(verdicts(**status), "L1", states_of(facts(told)))
    return {c.treatment: c for c in found}


def test_kyphoplasty_is_covered_where_nothing_is_broken():
    status = {"kyphoplasty": "candidate", "vertebroplasty": "candidate_with_cautions"}
    assert covered({"fracture": "none"}, **status)["kyphoplasty"].by == ("vertebroplasty",)
    assert covered({"fracture": "present"}, **status) == {}
    assert covered({}, **status) == {}, "what cannot be told fades nothing"


def test_only_an_open_option_covers_and_is_covered():
    told = {"fracture": "none"}
    assert covered(told, kyphoplasty="candidate", vertebroplasty="excluded") == {}
    assert covered(told, kyphoplasty="needs", vertebroplasty="candidate") == {}


def test_cement_alone_is_covered_by_a_construct_where_the_load_is_not_compression():
    status = {"osteoplasty": "candidate", "screws": "candidate", "rebar": "excluded"}
    assert covered({"dominant_load": "torsion"}, **status)["osteoplasty"].by == ("screws",)
    assert covered({"dominant_load": "compression"}, **status) == {}


def test_head_to_head_evidence_needs_both_open():
    assert len(dominance.compared(verdicts(sbrt="candidate", radiotherapy_30_10="candidate"), "L1")) == 1
    assert dominance.compared(verdicts(sbrt="candidate", radiotherapy_30_10="needs"), "L1") == ()


def test_every_entry_has_sources_and_register_entries_that_exist():
    listed = [*combine.orders(), *dominance.entries_of()]
    cited = [(e.id, e.source, e.conflicts) for e in listed]
    cited += [(c.text, c.quotes, c.conflicts) for c in dominance.comparisons()]
    for name, source, register in cited:
        assert set(register) <= set(conflicts()), name
        for each in source:
            for key in quote_keys(each):
                assert key in quotes.index().quotes, (name, key)
            assert set(source_ids(each)) <= set(papers()), (name, each)
    assert len({e.id for e in listed}) == len(listed)
    assert all(set(names(e.when)) <= set(vocabulary()) for e in listed)


def test_an_entry_about_a_row_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="moonlight"):
        combine.rows_of(["moonlight"], "here")
    with pytest.raises(InputError, match="missing"):
        combine.check_entry({"id": "A", "class": "seed"}, ("id", "class"), ("text",), "file")


def test_short_names_mean_rows_of_the_catalogue():
    assert {n for rows in aliases().values() for n in rows} <= {e.name for e in ENTRIES}
    assert rows_named("rfa") == ("radiofrequency_monopolar", "radiofrequency_bipolar")
    assert rows_named("MWA") == rows_named("microwave") == rows_named("Microwave") == ("microwave",)
    assert rows_named("Best supportive care") == ("best_supportive_care",)
    assert rows_named("mrgfus") == rows_named("hifu") == ("focused_ultrasound",)
    with pytest.raises(InputError, match="pizza"):
        rows_named("pizza")


@pytest.fixture(scope="module")
def two() -> tuple[object, Verdicts]:
    first = fit(prior_radiotherapy=True)
    second = {**fit(side="left"), "pain_concordant": None, "prior_radiotherapy": False}
    case = assessment(first, {n: v for n, v in second.items() if v is not None}, patient={"platelets_e9_l": 214, "ecog": 1})
    return case, select(case)


def test_a_view_holds_the_rows_of_one_specialty_and_hides_no_flag(two):
    _, found = two
    for specialty in SPECIALTIES:
        seen = views.view(found, specialty)
        assert seen.verdicts
        assert all(specialty in views.specialties_of(v.treatment) for v in seen.verdicts)
        assert seen.flags == found.flags
        assert {t for q in seen.questions for t in q.treatments} <= {v.treatment for v in seen.verdicts}
    everything = {v.treatment for s in SPECIALTIES for v in views.view(found, s).verdicts}
    assert everything == {v.treatment for v in found.verdicts}
    with pytest.raises(InputError, match="dentistry"):
        views.view(found, "dentistry")


def test_what_lesions_share_is_told_with_the_lesions_that_it_binds(two):
    case, found = two
    shared = views.shared(case, found)
    assert shared is not None
    bound = {b.fact.name: b for b in shared.bound}
    assert bound["platelets_e9_l"].lesions == ("L1", "L2")
    assert (shared.painful, shared.unclear, shared.irradiated) == (("L1",), ("L2",), ("L1",))
    assert views.shared(assessment(fit()), found) is None


def test_facts_that_bind_lesions_are_the_patients():
    assert all(vocabulary()[n].scope == "patient" for n in views.SHARED)
