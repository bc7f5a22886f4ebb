"""`osteon why`: why not, what is missing, what would change it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent / "selection"))
from selection_cases import FIT

from osteon.cli import app
from osteon.errors import InputError
from osteon.facts import vocabulary


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """Return the folder of a fit patient with few platelets, chart only."""
    told = {**FIT, "platelets_e9_l": 30, "anaesthesia": ["general", "local"]}
    scope = {name: kind.scope for name, kind in vocabulary().items()}
    lesion = {n: v for n, v in told.items() if scope[n] == "lesion" and n not in ("bone", "goal", "side")}
    chart = {
        "schema": "osteon-case/1",
        "patient": "P-1",
        "date": "2026-03-02",
        "facts": {n: v for n, v in told.items() if scope[n] == "patient"},
        "lesions": [{"id": "L1", "bone": "hip_right", "goal": "palliation", "facts": lesion}],
    }
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(chart, sort_keys=False), encoding="utf-8")
    return tmp_path


def ran(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_why_not_is_answered_with_figure_reason_and_what_would_change_it(case: Path) -> None:
    lines = ran("why", str(case), "L1", "mwa", "-q").splitlines()
    assert lines[0] == "Microwave for lesion L1: excluded (policy strict)."
    assert lines[1].startswith("  Excluded: ")
    assert "platelets 30 ×10⁹/l" in lines[1]
    assert "if platelets ≥ 50 ×10⁹/l (now 30 ×10⁹/l)." in lines[2]


def test_a_short_name_answers_for_each_row_that_it_means(case: Path) -> None:
    told = json.loads(ran("why", str(case), "rfa", "--json", "-q"))
    assert [a["treatment"] for a in told["answers"]] == ["radiofrequency_monopolar", "radiofrequency_bipolar"]
    assert all(a["status"] == "excluded" and a["line"] and a["would_change"] for a in told["answers"])


@pytest.mark.parametrize("words", [["pizza"], ["L9", "mwa"], ["L1", "best", "care"]])
def test_what_is_not_understood_is_refused(case: Path, words: list[str]) -> None:
    with pytest.raises(InputError):
        CliRunner().invoke(app, ["why", str(case), *words, "-q"], catch_exceptions=False)


def test_a_view_shows_the_rows_of_one_specialty(case: Path) -> None:
    told = json.loads(ran("select", str(case), "--view", "nuclear-medicine", "--json", "-q"))
    rows = {v["treatment"] for v in told["verdicts"]["verdicts"]}
    assert "radium_223" in rows
    assert "microwave" not in rows
    whole = ran("select", str(case), "-q")
    assert "microwave" in whole
    assert "would be decided by" not in whole
    assert "exclusion, true" in ran("select", str(case), "--reasons", "-q")
