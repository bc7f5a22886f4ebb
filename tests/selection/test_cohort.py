"""Many charts at once: a line per lesion, what could not be read beside it, and what blocked those without an option."""

from __future__ import annotations

import csv
import json
from collections import Counter

import pytest
import random_charts as charts
from typer.testing import CliRunner

from osteon.assessment.assess import assess
from osteon.case.load import load_case
from osteon.case.yaml_lines import read_yaml
from osteon.cli import app
from osteon.cli_cohort import Row, Summary, chosen, most_blocking, streamed
from osteon.errors import InputError
from osteon.selection.select import select
from osteon.treatments.catalog import entries

COUNT = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("cohort")
    for number in range(COUNT):
        place = made / "ward" / f"{number:02}"
        place.mkdir(parents=True)
        (place / "case.yaml").write_text(charts.text(number), encoding="utf-8")
    (made / "spoiled").mkdir()
    (made / "spoiled" / "case.yaml").write_text("schema: osteon-case/1\npatient: [x\n", encoding="utf-8")
    return made


def run(*words):
    return CliRunner().invoke(app, ["cohort", *map(str, words), "--workers", "1"])


def test_every_status_is_the_one_that_select_gives(folder):
    result = run(folder, "--json")
    tree = json.loads(result.stdout)
    assert result.exit_code == 1  # one chart cannot be read
    found = {(r["chart"], r["lesion"]): r["status"] for r in tree["rows"] if "status" in r}
    for number in range(COUNT):
        place = folder / "ward" / f"{number:02}"
        answers = select(assess(load_case(place)))
        for verdict in answers.verdicts:
            if verdict.policy == "strict":
                assert found[f"ward/{number:02}", verdict.lesion_id][verdict.treatment] == verdict.status
    assert {r["chart"] for r in tree["rows"]} == {"spoiled", *(f"ward/{n:02}" for n in range(COUNT))}
    assert tree["summary"]["charts"] == COUNT + 1
    assert tree["summary"]["lesions"] == len(found)


def test_a_chart_that_cannot_be_read_is_listed_with_its_error_and_the_others_go_on(folder):
    (bad,) = [r for r in json.loads(run(folder, "--json").stdout)["rows"] if "error" in r]
    assert bad["chart"] == "spoiled"
    assert "case.yaml:3" in bad["error"]
    text = run(folder).stdout
    assert "spoiled: cannot be read: case.yaml:3" in text
    assert f"lesions of {COUNT} charts; 1 charts cannot be read." in text


def test_the_table_has_a_column_per_treatment(folder, tmp_path):
    run(folder, "-o", tmp_path / "table.csv", "--treatments", "ablation")
    rows = list(csv.DictReader((tmp_path / "table.csv").open(encoding="utf-8")))
    names = [n for n, entry in entries().items() if entry.family == "ablation"]
    assert list(rows[0])[6:] == names
    assert all(row["error"] or all(row[n] for n in names) for row in rows)


def test_the_summary_adds_up(folder):
    tree = json.loads(run(folder, "--json").stdout)
    rows = [r for r in tree["rows"] if "status" in r]
    for name, counts in tree["summary"]["treatments"].items():
        assert {s: n for s, n in counts.items() if n} == Counter(r["status"][name] for r in rows)
    without = [r for r in rows if not any(s.startswith("candidate") for s in r["status"].values())]
    assert tree["summary"]["no_option_open"]["lesions"] == len(without)
    assert sum(tree["summary"]["no_option_open"]["blocked_by"].values()) == len(without)


def test_who_had_no_option_and_what_blocked_it_by_hand():
    summary = Summary()
    summary.add(Row("a", "L1", {"x": "needs", "y": "excluded"}, "inr"))
    summary.add(Row("a", "L2", {"x": "candidate", "y": "needs"}, "inr"))
    summary.add(Row("b", "L1", {"x": "excluded", "y": "not_indicated"}))
    summary.add(Row("c", error="cannot"))
    tree = summary.tree()
    assert (tree["charts"], tree["lesions"], tree["unreadable"]) == (3, 3, 1)
    assert tree["no_option_open"] == {"lesions": 2, "blocked_by": {"inr": 1, "nothing: every treatment is decided": 1}}
    assert tree["treatments"]["y"]["needs"] == 1


def test_the_most_blocking_fact_is_the_one_most_treatments_wait_for():
    assert most_blocking(Counter({"inr": 3, "platelets_e9_l": 3, "ecog": 1})) == "platelets_e9_l"  # the first of the vocabulary
    assert most_blocking(Counter()) == ""


def test_results_come_in_order_from_several_processes_and_only_a_few_ahead():
    assert list(streamed(list(range(200)), str, 2)) == [str(n) for n in range(200)]


def test_unknown_treatments_policies_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="no treatment 'prayer'"):
        chosen("prayer")
    assert "case.yaml" in str(run(tmp_path).exception)
    assert "lenient" in str(run(tmp_path, "--policy", "lenient").exception)


def test_the_fast_reader_gives_what_the_slow_one_gives(tmp_path, monkeypatch):
    import yaml

    from osteon.errors import OsteonError

    texts = [charts.text(n) for n in range(3)] + [
        "[" * 5000,
        "a: &x [1, *x]\n",
        "a: 1\na: 2\n",
        "a: 012\nb: 2025-13-45\n",
        "a:\tb\n",
    ]
    texts += [
        "- - - 1\n  - 2\n",
        "{a: 1, b: [c, 'd: e']}\n",
        "a: |\n  x\n  y\nb: >-\n  z\n",
        "a: \x00\n",
        "? [1, 2]\n: 3\n",
        "é: 1e5\n",
    ]

    def read():
        try:
            tree, lines = read_yaml(tmp_path / "case.yaml")
        except OsteonError as error:
            return str(error)
        return repr(tree), lines.lines

    for text in texts:
        (tmp_path / "case.yaml").write_text(text, encoding="utf-8")
        fast = read()
        with monkeypatch.context() as without:
            without.delattr(yaml, "CSafeLoader")
            assert read() == fast, text[:40]
