"""The whole way on a coarse phantom: the golden story, the same bytes twice, the cache, and the commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

import osteon.report as osteon_report
from osteon import PlanRequest, journey, write_report
from osteon.cache import Cache, canonical_json
from osteon.case.phantom import write
from osteon.facts import Interval, Known, possible
from osteon.report.journey_json import as_json

GOLDEN = yaml.safe_load((Path(__file__).parent / "golden" / "femur.yaml").read_text(encoding="utf-8"))
REQUEST = PlanRequest(treatments=("microwave",), spacing_mm=GOLDEN["recipe"]["plan_spacing_mm"])


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("journey") / "case"
    write(GOLDEN["recipe"]["phantom"], folder, spacing_mm=GOLDEN["recipe"]["spacing_mm"])
    return folder


@pytest.fixture(scope="module")
def told(case):
    return journey(case, REQUEST)


def near(value, expected):
    return abs(value - expected[0]) <= expected[1]


def without_run(result):
    tree = as_json(result)
    tree["provenance"] = {k: v for k, v in tree["provenance"].items() if k != "run"}
    return canonical_json(tree)


def test_golden_facts_and_scores(told):
    (lesion,) = told.assessment.lesions
    assert any(GOLDEN["stamps"] in stamp for stamp in told.case.stamps)
    for name, expected in GOLDEN["facts"].items():
        values = possible(lesion.facts[name].state)
        assert values, name
        assert any(near(float(v), expected) for v in values), (name, values)
    for name, expected in GOLDEN["choices"].items():
        assert lesion.facts[name].state == Known(expected), name
    assert {r.structure: r.status for r in lesion.required} | GOLDEN["required"] == {
        r.structure: r.status for r in lesion.required
    }
    (mirels,) = [s for s in lesion.scores if s.id == "mirels"]
    low, high = GOLDEN["mirels"]
    total = mirels.state
    assert isinstance(total, Known | Interval)
    assert low <= min(possible(total)) <= max(possible(total)) <= high


def test_golden_statuses(told):
    for policy, status in GOLDEN["statuses"].items():
        assert told.verdicts.of("L1", "microwave", policy).status == status


def test_golden_plan(told):
    expected = GOLDEN["plan"]
    (plan,) = told.plans
    assert plan.standing == expected["standing"]
    assert sum(f.level == "breach" for f in plan.findings) == expected["breaches"]
    assert plan.unknown_structures() == expected["unknown"]
    assert plan.prescription["patient_position"] == expected["position"]
    for name, figure in expected["measures"].items():
        assert near(plan.measures[name].best, figure), (name, plan.measures[name])
    (nerve,) = [f for f in plan.findings if (f.structure, f.limit_id) == ("sciatic_nerve_right", "nerve-peak-temperature")]
    assert nerve.value is not None
    assert near(nerve.value.best, expected["nerve_c"])
    balance = plan.steps[0].effect.ended.energy_balance
    assert balance is not None
    assert abs(balance) <= expected["energy_balance_below"]


def test_two_computations_give_the_same_bytes_and_a_rerun_reads_the_cache(case, told, tmp_path, monkeypatch):
    again = journey(case, REQUEST, cache=Cache(tmp_path / "other"))
    assert without_run(again) == without_run(told)

    def never(*_):
        raise AssertionError("must come from the cache")

    monkeypatch.setattr("osteon.pathway.plan", never)
    monkeypatch.setattr("osteon.pathway.assess", never)
    assert without_run(journey(case, REQUEST)) == without_run(told)


def test_the_page_and_its_files(told, tmp_path):
    page = write_report(told, tmp_path)
    text = page.read_text(encoding="utf-8")
    for needed in ("Research use only", "PHANTOM femur", "Procedure sheet", "sciatic nerve"):
        assert needed in text
    names = {p.name for p in tmp_path.iterdir()}
    assert {"journey.json", "plan_L1_microwave_temperature.nii.gz", "plan_L1_microwave_needle.mrk.json"} <= names
    assert json.loads((tmp_path / "journey.json").read_text(encoding="utf-8"))["schema"] == "osteon-journey/1"


def test_journey_json_fits_the_schema_that_is_printed(told):
    schema = json.loads(Path(osteon_report.__file__).with_name("journey.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(canonical_json(as_json(told))), schema)


def osteon(*arguments):
    run = subprocess.run(
        [sys.executable, "-c", "from osteon.cli import main; main()", *arguments],
        capture_output=True, text=True, timeout=120, env={**os.environ, "COLUMNS": "200"}, check=False,
    )  # fmt: skip
    return run.returncode, run.stdout, run.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("--version",), 0, "osteon 0.1.0"),
        (("schema", "case"), 0, "osteon-case/1"),
        (("schema", "journey"), 0, "osteon-journey/1"),
        (("schema", "validate"), 0, "osteon-validate/1"),
        (("cite", "qiu-2019", "--bibtex"), 0, "10.1016/j.jvir.2019.08.008"),
        (("list", "limits", "--json"), 0, "nerve-peak-temperature"),
    ],
)
def test_commands_that_answer_at_once(arguments, code, word):
    found, out, _ = osteon(*arguments)
    assert found == code
    assert word in out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("list", "unicorns"), 2),
        (("select", "/nowhere/at/all"), 2),
        (("nonsense",), 2),
        (("implant", "x.nii.gz", "-o", "y", "--labels", "z", "--bone", "hip_right", "--center", "1,2"), 2),
        (("plan", ".", "--spacing", "99"), 2),
        (("validate", "moon-phase"), 2),
        (("cite", "nobody-1900"), 2),
    ],
)
def test_errors_have_three_parts_and_a_documented_code(arguments, code, tmp_path):
    found, _, err = osteon(*arguments)
    assert found == code
    assert err.startswith("osteon: ")
    assert "why it matters: " in err
    assert "what to do: " in err
    assert "Traceback" not in err


def test_select_as_json(case):
    found, out, _ = osteon("select", str(case), "--json")
    assert found == 0
    tree = json.loads(out)
    assert tree["schema"] == "osteon-journey/1"
    assert {v["policy"] for v in tree["verdicts"]["verdicts"]} == {"strict", "mitigated"}
