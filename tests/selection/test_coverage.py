"""Every statement that was extracted from the papers is used, or left out for a reason; the list is the extraction's own."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from conftest import shared_path
from osteon.errors import InputError
from osteon.selection import coverage as module
from osteon.selection.coverage import coverage, every_id, extracts, use_of
from osteon.selection.snapshot import installed


def test_every_statement_is_settled_and_nothing_is_wrong():
    found = coverage()
    assert found.open == ()
    assert found.faults == ()
    assert found.fraction == 1.0
    assert len(found.uses) == 251


def test_the_ids_are_those_of_the_extraction():
    text = shared_path("reference/clinical.md").read_text(encoding="utf-8")
    part = text[text.index("## 1.1 ") : text.index("## 1.21 ")]
    numbered = re.findall(r"^\| ([A-Z]{2,3}-\d\d) \|", part, re.M)
    scores = part[part.index("## 1.18 ") : part.index("## 1.19 ")]
    named = [row.split("|")[1].replace("*", "").strip() for row in scores.splitlines() if row.startswith("| ")][1:]
    slugs = [f"SCO-{re.sub('[^A-Z0-9]+', '-', name.upper())}" for name in named]
    tables = [f"TAB-{n}" for n in re.findall(r"^\*\*Table (\d)", part, re.M)]
    data = ["QIU"] if "## 1.20 Qiu" in part else []
    assert list(every_id()) == [*numbered, *slugs, *tables, *data]
    assert len(set(every_id())) == len(every_id())


def test_what_no_rule_uses_any_more_is_open():
    base = installed()
    whole = {name for name, _ in extracts(base)}
    only = next(name for name in sorted(whole) if name.startswith("LAS"))
    files = {path: text for path, text in base.files.items() if only not in text}
    assert only in coverage(replace(base, files=files)).open


def test_an_id_that_is_none_and_a_file_that_is_not_there_are_named(monkeypatch):
    stored = dict(module._stored())
    stored["used_in"] = {**stored["used_in"], "SCO-ASA": "facts.yaml: no such words", "TAB-3": "ledgers/none.yaml"}
    stored["left_out"] = {**stored["left_out"], "ABL-05": "a reason", "ZZZ-01": "a reason"}
    monkeypatch.setattr(module, "_stored", lambda: stored)
    faults = "\n".join(coverage().faults)
    for words in ("holds no 'no such words'", "there is no ledgers/none.yaml", "ABL-05 is left out and yet used", "ZZZ-01 is no"):
        assert words in faults


def test_one_statement_by_its_id():
    assert use_of("abl-05").rules
    with pytest.raises(InputError, match="no statement"):
        use_of("ABL-99")
