"""Rows of drugs: the second case of the seed paper, the labels' limits, and the same numbers as the ledgers."""

from __future__ import annotations

from typing import Any

import pytest

from osteon.ledgers.tables import table
from osteon.selection.answer import Answer
from osteon.selection.judging import book
from osteon.selection.rules import state_from
from osteon.treatments.catalog import treatment
from osteon.treatments.rows import sheet

IN_SCOPE = {"age_years": 70, "pregnant": False, "disease_class": "haematological", "refused": []}
BONE_AGENT_READY = {"primary": "myeloma", "dental_infection": False, "calcium_mg_dl": 9.2}


def judged(row: str, **facts: Any) -> tuple[str, dict[str, str]]:
    """Return the status of a row and how each of its rules came out."""
    states = {name: state_from(value) for name, value in {**IN_SCOPE, **facts}.items()}
    answer = Answer.to("L1", row, "strict", book(treatment(row)), states)
    return answer.status, {j.rule.id: j.truth for j in answer.judged}


def test_second_case_misses_two_requirements_of_rapid_onset_opioids() -> None:
    """30 mg long-acting morphine and 6 to 8 rescues a day (clinical model 3.5, case 2): not met for two reasons."""
    status, rules = judged(
        "rapid_onset_opioids",
        background_opioid_mg_day=30,
        background_opioid_long_acting=True,
        breakthrough_episodes_day={"min": 6, "max": 8},
    )
    assert status == "not_indicated"
    assert {r for r, truth in rules.items() if truth == "false" and r.startswith("DRG-09-")} >= {"DRG-09-60", "DRG-09-EPISODES"}
    assert rules["DRG-09-LONG"] == "true"


def test_second_case_loses_the_anti_inflammatory_drug_but_not_the_ladder() -> None:
    """A risk of the kidney takes away one drug of the row, not the row."""
    status, rules = judged(
        "analgesic_ladder", pain_vas=10, pain_neuropathic=False, nsaid_risk=True, paracetamol_g_day=2, hepatic_impairment=False
    )
    assert status == "candidate_with_cautions"
    assert rules["DRG-02-RISK"] == "true"
    assert (rules["DRG-02-NSAID"], rules["DRG-03-PARACETAMOL"], rules["DRG-04-STRONG"]) == ("false", "true", "true")


@pytest.mark.parametrize(("clearance", "bisphosphonates", "denosumab"), [(29.9, "excluded", True), (30, "", False)])
def test_kidneys_exclude_bisphosphonates_and_only_caution_denosumab(
    clearance: float, bisphosphonates: str, denosumab: bool
) -> None:
    """Below 30 ml/min the labels differ."""
    facts = {**BONE_AGENT_READY, "creatinine_clearance_ml_min": clearance}
    assert (judged("bisphosphonates", **facts)[0] == "excluded") is bool(bisphosphonates)
    status, rules = judged("denosumab", **facts)
    assert status.startswith("candidate")
    assert (rules["BTA-06-RENAL"] == "true") is denosumab


@pytest.mark.parametrize("row", ["bisphosphonates", "denosumab"])
def test_low_calcium_excludes_until_it_is_corrected(row: str) -> None:
    """8.4 mg/dl excludes, 8.5 does not, 8.0 to 9.0 cannot tell."""
    facts = {**BONE_AGENT_READY, "creatinine_clearance_ml_min": 80}
    assert judged(row, **{**facts, "calcium_mg_dl": 8.4})[0] == "excluded"
    assert judged(row, **{**facts, "calcium_mg_dl": 8.5})[0].startswith("candidate")
    assert judged(row, **{**facts, "calcium_mg_dl": {"min": 8, "max": 9}})[0] == "needs"


def test_rows_print_the_numbers_of_the_ledgers() -> None:
    """Bands, regimens, the background and the share of it are the same in rows and ledgers."""
    agents, opioids = table("bone_agents")["agents"], table("opioids")
    printed = {
        i.id: i for row in ("bisphosphonates", "denosumab", "rapid_onset_opioids") for i in sheet(treatment(row)).parameters
    }
    bands = [b["mg"][0] for b in agents["zoledronate"]["bands"] if b["mg"]]
    assert [printed[f"BTA-CRCL-{low}"].number for low in (60, 50, 40, 30)] == bands
    for row, agent in (("ZOLEDRONATE", "zoledronate"), ("PAMIDRONATE", "pamidronate"), ("CLODRONATE", "clodronate")):
        assert printed[f"BTA-03-{row}"].number == agents[agent]["regimen"]["mg"]
    assert printed["BTA-03-DENOSUMAB"].number == agents["denosumab"]["regimen"]["mg"]
    assert printed["DRG-09-MME"].low == opioids["rules"]["background_60"]["mg"]["number"]
    assert printed["DRG-09-MOST"].high == opioids["rules"]["episodes"]["most"]["number"]
    assert printed["DRG-10"].number == opioids["rules"]["one_sixth"]["share"]["number"]


def test_morphine_equivalents_are_those_of_the_ledger() -> None:
    """Every factor that the sheet prints of CDC 2022 stands in the ledger's table."""
    text = next(i.text for i in sheet(treatment("opioids")).parameters if i.id == "MME-CDC-2022")
    for drug, factor in table("opioids")["tables"]["cdc_2022"]["factors"].items():
        name, _, route = drug.partition(" ")
        wanted = f"transdermal {name} {factor} per µg/h" if route == "transdermal" else f"{name} {factor}"
        assert wanted in text, drug
    assert "not for rotation" in text
