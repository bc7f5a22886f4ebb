"""Every kind of bad input gets its message: the right error and exit code, three parts, and what was given named."""

from __future__ import annotations

from pathlib import Path

import pytest
from bad_input_table import TABLE, USED, Bad, Taken, _cell, run, words_of

from osteon.errors import OsteonError

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "bad-inputs.md"


def row_of(name: str) -> str:
    rows = [row for row in PAGE.read_text(encoding="utf-8").splitlines() if row.startswith(f"| {name} |")]
    assert len(rows) == 1, f"docs/bad-inputs.md has {len(rows)} rows for {name!r}: run scripts/bad_inputs.py"
    return rows[0]


def test_the_table_has_at_least_forty_kinds() -> None:
    names = [bad.name for bad in TABLE] + [taken.name for taken in USED]
    assert len(names) == len(set(names)) >= 40
    rows = [
        row for row in PAGE.read_text(encoding="utf-8").splitlines() if row.startswith("| ") and not row.startswith("| input")
    ]
    assert len(rows) == len(names), "docs/bad-inputs.md is out of date: run scripts/bad_inputs.py"


@pytest.mark.parametrize("taken", USED, ids=lambda t: t.name)
def test_what_is_taken_with_a_word(taken: Taken, tmp_path: Path) -> None:
    said = [text for text in words_of(taken, tmp_path) if all(word in text for word in taken.tells)]
    assert said
    assert row_of(taken.name) == f"| {taken.name} | {_cell('; '.join(said))} |", "out of date: run scripts/bad_inputs.py"


@pytest.mark.parametrize("bad", TABLE, ids=lambda b: b.name)
def test_message(bad: Bad, tmp_path: Path) -> None:
    said = run(bad, tmp_path)
    told = f"{said.what} | {said.why} | {said.do}"
    if bad.raises is None:
        assert not isinstance(said.error, OsteonError)
    else:
        assert isinstance(said.error, bad.raises), told
    assert said.code == bad.exit_code, told
    assert said.what, told
    assert said.why, told
    assert said.do, told
    assert "fault in osteon" not in told
    assert bad.tells[0] in said.what, told
    for word in bad.tells:
        assert word in told
    expected = f"| {bad.name} | {said.code} | {_cell(said.what)} | {_cell(said.why)} | {_cell(said.do)} |"
    assert row_of(bad.name) == expected, "docs/bad-inputs.md is out of date: run scripts/bad_inputs.py"
