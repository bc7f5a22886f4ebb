"""``osteon rules``: what it prints, its JSON, its exit codes."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from osteon.cli import app
from osteon.errors import InputError
from osteon.selection import book_check
from osteon.selection.snapshot import Snapshot, installed, write
from osteon.treatments.catalog import entries

MICROWAVE = "treatments/microwave/rules.yaml"


def run(*words):
    return CliRunner().invoke(app, ["rules", *map(str, words)])


def raised(*words):
    done = run(*words)
    assert isinstance(done.exception, InputError)
    return done.exception


@pytest.fixture
def other(tmp_path):
    files = dict(installed().files)
    files[MICROWAVE] = files[MICROWAVE].replace("when: size_max_mm > 35", "when: size_max_mm > 36", 1)
    write(Snapshot(files), tmp_path / "other.json.gz")
    return tmp_path / "other.json.gz"


def test_check_fails_on_a_finding_and_passes_on_notes(monkeypatch, other):
    done = run("check", other, "--json")  # the example at 35.1 no longer holds
    found = [f for f in json.loads(done.stdout) if f["file"] == MICROWAVE and not f["note"]]
    assert done.exit_code == 1
    assert {(f["rule"], f["kind"]) for f in found} >= {("MWA-08", "example")}
    assert f"{MICROWAVE}:{found[0]['line']}" in run("check", other).stdout
    monkeypatch.setattr(book_check, "check", lambda *_, **__: (book_check.Finding("f", 1, "R", "idle", "t", note=True),))
    assert run("check").exit_code == 0


def test_show_names_every_row_a_row_and_a_rule(tmp_path):
    listed = json.loads(run("show", "--json").stdout)
    assert [row["treatment"] for row in listed] == list(entries())
    text = run("show", "mwa").stdout
    for words in ("Excluded if:", "Required:", "Complications:", "8 of 26 patients: 30.8 % (95 % interval 14.3 to 51.8 %)"):
        assert words in text
    tree = json.loads(run("show", "microwave", "MWA-08", "--json").stdout)
    assert (tree["when"], tree["extract"]) == ("size_max_mm > 35", ["MWA-08"])
    assert "sources disagree: X07" in run("show", "microwave", "mwa-08").stdout


def test_what_no_source_states_is_said():
    text = run("show", "laser").stdout
    assert "Complications: none stated" in text
    assert json.loads(run("show", "laser", "--json").stdout)["outcomes"] == "none stated"


def test_show_of_a_name_that_means_several_rows_shows_them_all():
    assert len(json.loads(run("show", "radiofrequency", "--json").stdout)) == 2


def test_show_of_an_entry_of_the_register_says_what_would_change():
    text = run("show", "x26").stdout
    assert "decided otherwise: " in text
    assert "site policy: strict/mitigated" in text
    assert json.loads(run("show", "X26", "--json").stdout)["id"] == "X26"


def test_what_cannot_be_shown_is_refused():
    assert "MWA-08" in raised("show", "microwave", "MWA-088").do
    assert raised("show", "prayer").why
    assert raised("diff", "no-such-file.json").do


def test_diff_says_which_fields_changed(other):
    text = run("diff", other).stdout
    assert f"changed  {MICROWAVE}: MWA-08" in text
    assert "when: size_max_mm > 36 -> size_max_mm > 35" in text
    tree = json.loads(run("diff", "installed", other, "--json").stdout)
    assert tree["changes"][0]["fields"] == {"when": {"before": "size_max_mm > 35", "after": "size_max_mm > 36"}}


def test_snapshot_writes_what_diff_finds_equal(tmp_path):
    tree = json.loads(run("snapshot", tmp_path / "s.json.gz", "--json").stdout)
    assert tree["digest"] == installed().digest
    assert json.loads(run("diff", tmp_path / "s.json.gz", "--json").stdout)["changes"] == []


def test_coverage_says_what_became_of_each_statement():
    done = run("coverage", "--json")
    tree = json.loads(done.stdout)
    assert (done.exit_code, tree["open"], tree["faults"]) == (0, [], [])
    assert "left out: How often bone is involved" in run("coverage").stdout
