"""``osteon ask``: what matters first, and each answer written down, dated, beside what stood there before."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from osteon import cli_ask
from osteon.case.answers import understood, write_answer
from osteon.case.load import load_case
from osteon.cli import app
from osteon.errors import CaseFileError, InputError
from osteon.facts import Interval, Known, NotApplicable, OneOf, vocabulary

CASE = Path(__file__).parents[1] / "examples" / "ahmed_2019_case_2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(CASE, tmp_path / "case")
    return tmp_path / "case"


def fact(folder: Path, name: str):
    return load_case(folder).facts[name]


def test_questions_come_as_json_in_the_order_of_their_effect(folder: Path):
    done = CliRunner().invoke(app, ["ask", str(folder), "--json", "--most", "5"])
    assert done.exit_code == 0, done.output
    tree = json.loads(done.output)
    counts = [q["changes"] for q in tree["questions"]]
    assert len(counts) == 5
    assert counts == sorted(counts, reverse=True)
    assert tree["asked_in_all"] > 5


def test_an_answer_is_written_with_its_day_and_the_older_word_stays(folder: Path):
    write_answer(folder, "platelets_e9_l", "", "80")
    written = fact(folder, "platelets_e9_l")
    assert written.state == Known(80.0)
    assert written.date == date(2019, 8, 1)
    text = (folder / "case.yaml").read_text(encoding="utf-8")
    assert "thrombocytopenia" in text
    assert text.startswith("# A published case as a chart")


def test_a_later_day_moves_the_chart_and_keeps_the_series(folder: Path):
    write_answer(folder, "platelets_e9_l", "", "80")
    write_answer(folder, "platelets_e9_l", "", "120", date(2019, 8, 20))
    assert fact(folder, "platelets_e9_l").state == Known(120.0)
    loaded = yaml.safe_load((folder / "case.yaml").read_text(encoding="utf-8"))
    assert [v["value"] for v in loaded["facts"]["platelets_e9_l"]] == [80, 120]
    assert loaded["date"] == date(2019, 8, 20)


def test_older_values_age_when_the_chart_moves(folder: Path):
    write_answer(folder, "inr", "", "1.0")
    write_answer(folder, "ecog", "", "2", date(2019, 11, 1))
    assert "needs a new one" in fact(folder, "inr").state.why


@pytest.mark.parametrize(
    ("name", "text", "state"),
    [
        ("ecog", "1-2", Interval(1.0, 2.0)),
        ("lesion_type", "lytic or mixed", OneOf(("lytic", "mixed"))),
        ("pacemaker", "no", Known(False)),
        ("anaesthesia", "local, general", Known("general, local")),
        ("pregnant", "n/a: a man", NotApplicable("a man")),
        ("calcium_mg_dl", "2.4 mmol/l", Known(pytest.approx(9.619, abs=0.001))),
    ],
)
def test_answers_are_understood_as_people_write_them(name, text, state):
    assert understood(vocabulary()[name], text, date(2025, 3, 10))[1].state == state


@pytest.mark.parametrize(
    ("name", "lesion", "text", "error"),
    [
        ("platelets_e9_l", "", "-4", CaseFileError),
        ("pacemaker", "", "maybe", InputError),
        ("pacemaker", "", " ", InputError),
        ("nosuch", "", "1", InputError),
        ("pain_vas", "L9", "4", InputError),
    ],
)
def test_a_wrong_answer_changes_nothing(folder: Path, name, lesion, text, error):
    before = (folder / "case.yaml").read_bytes()
    with pytest.raises(error):
        write_answer(folder, name, lesion, text)
    assert (folder / "case.yaml").read_bytes() == before


def test_a_day_before_the_chart_is_refused(folder: Path):
    with pytest.raises(InputError, match="before the chart"):
        write_answer(folder, "inr", "", "1.0", date(2018, 1, 1))


def test_the_dialogue_asks_writes_and_says_what_changed(folder: Path, monkeypatch):
    monkeypatch.setattr(cli_ask, "_interactive", lambda: True)
    done = CliRunner().invoke(app, ["ask", str(folder)], input="?\nno\n\nperhaps\nq\n")
    assert done.exit_code == 0, done.output
    assert "It could change:" in done.output
    assert "Written down." in done.output or "candidate" in done.output or "needs" in done.output
    assert fact(folder, "systemic_infection").state == Known(False)


def test_answers_can_be_given_without_being_asked(folder: Path):
    done = CliRunner().invoke(app, ["ask", str(folder), "--answer", "inr=1.0", "--answer", "percutaneous_path=yes"])
    assert done.exit_code == 0, done.output
    assert fact(folder, "inr").state == Known(1.0)
    assert load_case(folder).lesions[0].facts["percutaneous_path"].state == Known(True)
    assert "platelets" not in done.output.splitlines()[0]
