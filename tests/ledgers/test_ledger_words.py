"""No ledger ever tells what to give: every text is scanned; command line and page show the same."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import yaml

from osteon.case.model import Case, Event
from osteon.evidence.quotes import faults
from osteon.evidence.source import QUOTATION, cite, quote_keys
from osteon.facts import Fact, Known
from osteon.ledgers import opioids_ledger, radiotherapy_ledger
from osteon.ledgers.accounts import accounts
from osteon.ledgers.tables import table
from osteon.report.html import render
from osteon.report.ledgers_section import ledgers_of
from report.fake_journey import journey

DOSE_WORDS = re.compile(
    r"\b(giv\w*|gave|prescrib\w*|administer\w*|inject\w*|start(s|ed|ing)?|should|must|take|recommend(ed)? dose)\b", re.I
)
ALLOWED = re.compile(r"administrations?\b")  # the noun of what took place
EVENTS = (
    Event(date(2024, 3, 1), "radiotherapy", "L1", {"dose_gy": 30, "fractions": 10, "organ_max_gy": {"spinal_cord": 28}}),
    Event(date(2025, 1, 10), "SBRT", "vertebra L3", {"dose_gy": 24, "fractions": 1}),
    Event(None, "radiotherapy", "skull", {"dose_gy": "unknown"}),
    *(Event(date(2025, 1, 1), "radionuclide", "systemic", {"nuclide": n}) for n in table("radionuclides")["nuclides"]),
    Event(date(2025, 1, 1), "radium-223", "systemic", {"activity_mbq": 4, "weight_kg": 70}),
    *(Event(date(2025, 1, 1), "bone_agent", "systemic", {"agent": a, "dose_mg": 4}) for a in table("bone_agents")["agents"]),
    Event(date(2025, 1, 1), "oxycodone", "systemic", {"route": "oral", "daily_dose_mg": 40}),
    Event(None, "methadone", "systemic", {"route": "oral"}),
    Event(
        date(2025, 1, 1),
        "fentanyl",
        "systemic",
        {"route": "buccal", "role": "breakthrough", "single_dose_mg": 0.2, "uses_per_day": 2},
    ),
    Event(
        date(2025, 1, 1),
        "morphine",
        "systemic",
        {"route": "oral", "role": "breakthrough", "single_dose_mg": 10, "uses_per_day": 2},
    ),
)


def texts(account):
    yield account.title
    for row in account.ledger.rows:
        yield from (row.what, row.amount, row.limit, row.note)
    for check in account.checks:
        yield from (check.text, check.why)
    yield from account.needs
    yield from account.notes


def every_account():
    yield from accounts(EVENTS, {}, {"sciatic_nerve_right": Known(9.0)}, date(2025, 3, 1), "doi-2021")
    yield from accounts(EVENTS, {"creatinine_clearance_ml_min": Fact("creatinine_clearance_ml_min", Known(45.0))})
    yield from accounts(EVENTS[:1], {}, {"sciatic_nerve_right": Known(9.0)}, date(2025, 3, 1))
    yield opioids_ledger.ledger([], today=date(2025, 3, 1))
    yield radiotherapy_ledger.schedule_table()


def strings(tree):
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            if key not in ("source", "sources", "quotes", "also", "preliminary"):
                yield from strings(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from strings(value)


def test_no_text_of_a_ledger_or_its_tables_tells_what_to_give():
    said = [t for a in every_account() for t in texts(a)]
    said += [s for name in ("radiotherapy", "radionuclides", "bone_agents", "opioids") for s in strings(dict(table(name)))]
    assert len(said) > 500
    found = {t for t in said if DOSE_WORDS.search(ALLOWED.sub("", QUOTATION.sub("", t)))}
    assert not found


def test_the_scan_can_fail():
    assert DOSE_WORDS.search("give 10 mg")
    assert DOSE_WORDS.search("to be administered")
    assert DOSE_WORDS.search("prescribe 4 mg")


def test_a_sixth_is_never_printed():
    account = next(a for a in every_account() if a.name == "opioids")
    background = account.results["totals_mg_day"]["cdc_2022"]["background"]
    sixth = f"{60.0 / 6:.1f}"
    assert background.at_least == 60.0
    assert not any(f"{sixth} mg" in t.replace(" 10 mg", "") for t in texts(account))


def test_every_account_is_cited_and_every_quotation_is_indexed():
    for account in every_account():
        assert account.sources
        assert cite(account)
        for check in account.checks:
            assert check.sources
            assert check.why
    keys = {k for name in ("radiotherapy", "radionuclides", "bone_agents", "opioids") for k in quote_keys(str(dict(table(name))))}
    assert keys
    assert not faults(sorted(keys))


def chart(tmp_path: Path, timeline) -> Path:
    tree = {
        "schema": "osteon-case/1",
        "patient": "P1",
        "date": date(2025, 3, 1),
        "timeline": timeline,
        "lesions": [{"id": "L1", "bone": "vertebra_L3"}],
    }
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    return tmp_path


def run(*arguments):
    code = "from osteon.cli import main; import sys; sys.argv = ['osteon', *sys.argv[1:]]; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "ledger", *map(str, arguments)], capture_output=True, text=True, timeout=120
    )


def test_the_command_prints_totals_json_and_three_part_errors(tmp_path):
    folder = chart(
        tmp_path,
        [{"date": date(2024, 3, 1), "treatment": "radiotherapy", "site": "L1", "details": {"dose_gy": 8, "fractions": 1}}],
    )
    done = run(folder)
    assert done.returncode == 0, done.stderr
    assert "BED 14.4 Gy, EQD2 12.0 Gy" in done.stdout
    assert "needs organ dose" in done.stdout
    assert "365 days" in done.stdout
    tree = json.loads(run(folder, "--json", "--schedules").stdout)
    assert [a["name"] for a in tree["ledgers"]] == ["radiotherapy", "schedules"]
    assert tree["ledgers"][0]["results"]["courses"][0]["eqd2_gy"]["tumour"] == {"state": "known", "value": pytest.approx(12.0)}
    assert {"lo-bianco-2022", "lq-convention"} <= {p["id"] for p in tree["references"]}
    chart(tmp_path, [{"treatment": "radiotherapy", "site": "L1", "details": {"dose_gy": 800, "fractions": 1}}])
    bad = run(tmp_path)
    assert bad.returncode == 2
    assert "what to do" in bad.stderr
    assert "cGy" in bad.stderr


def test_the_section_stands_on_the_page_only_where_the_timeline_asks_for_it():
    plain = journey()
    assert 'aria-label="Ledgers"' not in render(plain)
    page = render(replace(plain, case=replace(plain.case, timeline=EVENTS, date=date(2025, 3, 1))))
    assert page.count('aria-label="Ledgers"') == 1
    assert "not for rotation" in page
    assert "not in the library" not in page
    broken = replace(plain.case, timeline=(Event(None, "radiotherapy", "L1", {"dose_gy": 8, "fractions": 0}),))
    assert "Nothing was counted" in render(replace(plain, case=broken))


def test_a_case_without_such_events_has_no_ledger():
    case = Case(Path(), "P1", {}, (), timeline=(Event(None, "surgery", "hip", {"by": "x"}),))
    assert ledgers_of(case).accounts == ()
    assert ledgers_of(case).error is None
