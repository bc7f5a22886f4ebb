"""What a site may decide: choices, files, and that a rule follows them."""

from __future__ import annotations

import pytest
from selection_cases import assessment, fit

from osteon.errors import InputError
from osteon.evidence.source import papers
from osteon.selection.policies import VARIABLE, Site, choices_of, policies, site_of
from osteon.selection.rules import conflicts
from osteon.selection.select import select


def test_every_policy_has_choices_words_and_sources_that_exist():
    for name, entry in policies().items():
        assert len(entry["choices"]) >= 2, name
        assert "{}" in entry["words"]
        assert all(s.startswith("[00") or s in papers() for s in entry["source"]), name
        assert all(c in conflicts() for c in entry.get("conflicts", ()))


def test_only_listed_choices_are_taken_and_the_default_is_not_kept():
    assert Site.with_choices({"mirels_fix_from": 9}) == Site()
    assert Site.with_choices({"mirels_fix_from": 8}).of("mirels_fix_from") == 8
    for wrong in ({"mirels_fix_from": 7}, {"nosuch": 1}, {"focused_ultrasound_first": 1}):
        with pytest.raises(InputError):
            Site.with_choices(wrong)


def test_the_case_goes_before_the_site_and_the_call_before_both(tmp_path, monkeypatch):
    shared = tmp_path / "shared.yaml"
    shared.write_text("mirels_fix_from: 8\nradiosensitivity_list: laufer-2013\n")
    monkeypatch.setenv(VARIABLE, str(shared))
    assert site_of(tmp_path).of("mirels_fix_from") == 8
    (tmp_path / "site.yaml").write_text("mirels_fix_from: 10\n")
    assert site_of(tmp_path).of("mirels_fix_from") == 10
    assert site_of(tmp_path).of("radiosensitivity_list") == "laufer-2013"
    assert site_of(tmp_path, choices_of(["mirels_fix_from=9"])).of("mirels_fix_from") == 9
    (tmp_path / "site.yaml").write_text("- 8\n")
    with pytest.raises(InputError, match="mapping"):
        site_of(tmp_path)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere.yaml"))
    with pytest.raises(InputError, match="cannot be read"):
        site_of(tmp_path)


def test_a_rule_follows_the_choice_and_the_answer_lists_it():
    told = fit(bone="femur_right", mirels_score=8, long_bone=True, weight_bearing=True, region="diaphysis")
    by_default = select(assessment(told), missing=False)
    at_eight = select(assessment(told), site=Site.with_choices({"mirels_fix_from": 8}), missing=False)
    row = "focused_ultrasound"
    fired = [{r.rule_id for r in a.of("L1", row).reasons if r.truth == "true"} for a in (by_default, at_eight)]
    assert "FUS-STABILISE" not in fired[0]
    assert "FUS-STABILISE" in fired[1]
    assert ("mirels_fix_from", 8, False) in at_eight.site
    assert ("mirels_fix_from", 9, True) in by_default.site
