"""``osteon decide``: recorded beside the case, listed, judged again by the rules of its time; no status changes."""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta

import pytest
from typer.testing import CliRunner

from osteon.case.decisions import FILE, read
from osteon.case.phantom import write
from osteon.cli import app
from osteon.errors import InputError
from osteon.selection import snapshot
from osteon.selection.snapshot import Snapshot, installed, load

MICROWAVE = "treatments/microwave/rules.yaml"


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decide") / "case"
    write("ilium", folder, spacing_mm=2.5)
    return folder


@pytest.fixture
def case(phantom, tmp_path):
    shutil.copytree(phantom, tmp_path / "case")
    return tmp_path / "case"


def run(case, *words):
    return CliRunner().invoke(app, ["decide", str(case), *words])


def charted(case, old, new):
    text = (case / "case.yaml").read_text()
    assert old in text
    (case / "case.yaml").write_text(text.replace(old, new, 1))


def decided(case, *words, option="microwave"):
    done = run(case, "L1", "--option", option, "--reason", "pain at rest", *words)
    assert done.exception is None, done.exception
    return read(case)[-1]


def test_it_records_status_departures_rules_and_case_and_changes_no_status(case):
    before = json.loads(CliRunner().invoke(app, ["select", str(case), "--json"]).stdout)["verdicts"]
    entry = decided(case, "--present", "interventional_radiology,oncology", "--wish", "to walk")
    told = next(v for v in before["verdicts"] if (v["treatment"], v["policy"]) == ("microwave", "strict"))
    assert entry.status == {"microwave": told["status"]}
    wanted = {r["rule_id"] for r in told["reasons"] if r["kind"] == "caution" and r["truth"] in ("true", "unknown")}
    assert {d.rule for d in entry.departs if d.kind in ("caution", "unchecked")} == wanted
    assert entry.rules == installed().digest == load(case / entry.snapshot).digest
    assert entry.present == ("interventional_radiology", "oncology")
    after = json.loads(CliRunner().invoke(app, ["select", str(case), "--json"]).stdout)["verdicts"]
    assert after == before


def test_an_excluded_option_and_what_is_missing_stand_as_departures(case):
    charted(case, "organ_failure_severe: false", "organ_failure_severe: true")
    charted(case, "  ecog: {value: 1", "  # ecog: {value: 1")
    entry = decided(case)
    assert entry.status == {"microwave": "excluded"}
    found = {(d.rule, d.kind): d.facts for d in entry.departs}
    assert ("ABL-10", "exclusion") in found
    assert found["ABL-09", "needs"] == ("ecog",)


def test_none_and_several_options_can_be_chosen_and_the_rule_base_is_kept_once(case):
    assert decided(case, option="none").options == ()
    assert decided(case, option="mwa,radiotherapy_8_1").options == ("microwave", "radiotherapy_8_1")
    assert len(list((case / "decisions").iterdir())) == 1


def test_list_marks_what_no_longer_stands_and_undo_keeps_the_record(case):
    decided(case)
    decided(case, option="none")
    assert run(case, "--list").stdout.count("[no longer stands]") == 1
    assert run(case, "L1", "--undo", "--reason", "a slip").exit_code == 0
    tree = json.loads(run(case, "--list", "--json").stdout)
    assert (tree["standing"], len(tree["decisions"])) == ([1], 3)
    assert "decision 2 is withdrawn. a slip" in run(case, "--list").stdout


def test_check_brings_the_recorded_status_out_again_by_the_rules_of_its_time(case, monkeypatch):
    decided(case)
    done = run(case, "--check")
    assert (done.exit_code, "1 of 1 decisions come out again" in done.stdout) == (0, True)
    files = dict(installed().files)  # the rules change: everybody is excluded now
    files[MICROWAVE] = files[MICROWAVE].replace("when: ecog < 3", "when: ecog < 0", 1)
    changed = Snapshot(files)
    monkeypatch.setattr("osteon.selection.deciding.installed", lambda: changed)
    told = json.loads(run(case, "--check", "--json").stdout)["checked"][0]
    assert (told["same"], told["rules_changed"], told["case_changed"]) == (True, True, False)


def test_check_says_so_where_the_case_changed_or_the_rule_base_is_gone(case):
    entry = decided(case)
    charted(case, "ecog: {value: 1", "ecog: {value: 4")
    done = run(case, "--check")
    assert done.exit_code == 1
    assert "not_indicated, recorded was" in done.stdout
    assert "the case's files are others than then" in done.stdout
    (case / entry.snapshot).unlink()
    done = run(case, "--check")
    assert (done.exit_code, "cannot tell" in done.stdout) == (1, True)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["L9", "--option", "microwave", "--reason", "r"], "no lesion 'L9'"),
        (["L1", "--option", "prayer", "--reason", "r"], "no treatment 'prayer'"),
        (["L1", "--option", "rfa", "--reason", "r"], "means several"),
        (["L1", "--option", "none,microwave", "--reason", "r"], "none and something"),
        (["L1", "--reason", "r"], "No option"),
        (["L1", "--option", "microwave"], "no reason"),
        (["L1", "--option", "microwave", "--reason", "r", "--present", "oncolgy"], "no specialty 'oncolgy'"),
        (["L1", "--option", "microwave", "--reason", "r", "--date", "tomorrow"], "'tomorrow' is none"),
        (["L1", "--option", "microwave", "--reason", "r", "--date", str(date.today() + timedelta(1))], "later than today"),
        (["L1", "--option", "microwave", "--reason", "r", "--policy", "lax"], "no policy 'lax'"),
        (["L1", "--undo", "--reason", "r"], "No decision stands"),
        (["--option", "microwave", "--reason", "r"], "No lesion"),
    ],
)
def test_what_cannot_be_recorded_is_refused_in_three_parts_and_nothing_is_written(case, words, what):
    done = run(case, *words)
    assert isinstance(done.exception, InputError)
    assert what in done.exception.what
    assert done.exception.why
    assert done.exception.do
    assert not (case / FILE).exists()
    assert not (case / "decisions").exists()


def test_a_file_that_cannot_be_read_stops_the_command(case):
    (case / FILE).write_text("- {lesion: L1}\n")
    done = run(case, "L1", "--option", "none", "--reason", "r")
    assert isinstance(done.exception, InputError)
    assert f"{FILE}:1" in done.exception.what
    assert (case / FILE).read_text() == "- {lesion: L1}\n"


def test_the_digest_in_a_decision_is_the_one_of_the_installed_rules(case):
    assert decided(case).rules == snapshot.installed().digest
