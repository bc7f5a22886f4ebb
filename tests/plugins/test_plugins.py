"""Two treatments from outside: they appear in select, plan and report without a change in osteon."""

import importlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from osteon.assessment.results import Assessment, LesionAssessment, RequiredStructure
from osteon.case.model import Case, Lesion, Study
from osteon.planning import build
from osteon.planning.build import plan
from osteon.planning.plan import Plan, PlanRequest
from osteon.selection.verdicts import Reason, Verdict, Verdicts
from osteon.space.anatomy import structure
from osteon.treatments import catalog
from osteon.treatments.base import Ended
from osteon.treatments.catalog import treatment as find
from planning.scene import block

HERE = Path(__file__).parent
POINTS = "[osteon.treatments]\nheated_sphere = heated_sphere:HeatedSphere\ndrug_ledger = drug_ledger:DrugLedger\n"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Put an installed package with entry points on the path: modules and a dist-info, as pip would leave them."""
    for name in ("heated_sphere.py", "drug_ledger.py"):
        shutil.copy(HERE / name, tmp_path / name)
    info = tmp_path / "osteon_stubs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: osteon-stubs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    catalog.shipped.cache_clear()
    yield
    catalog.shipped.cache_clear()


def assessment(nerve="outlined"):
    anatomy = block(nerve_at=(50.0, 0.0) if nerve == "outlined" else None)
    hip = structure("hip_right")
    study = Study("ct", "CT", None, anatomy.image, anatomy.imaged, "HFP")
    case = Case(Path(), "stub", {}, (Lesion("L1", hip, {}, None, "palliation"),), (study,), anatomy.masks)
    text = "outlined" if nerve == "outlined" else "cannot tell: outline the right sciatic nerve"
    required = (RequiredStructure("sciatic_nerve_right", nerve, text),)
    return Assessment(case, (LesionAssessment("L1", "pelvis", anatomy, {}, (), required),))


def verdicts(status="candidate", reasons=()):
    names = ("heated_sphere", "drug_ledger")
    return Verdicts(tuple(Verdict("L1", n, "strict", status, tuple(reasons)) for n in names), (), "strict")


def test_both_stubs_are_short_and_found_by_their_entry_point(installed):
    for name in ("heated_sphere.py", "drug_ledger.py"):
        assert len((HERE / name).read_text().splitlines()) <= 60
    assert {"heated_sphere", "drug_ledger"} <= set(catalog.entries())
    assert catalog.treatment("heated_sphere").simulates()
    assert catalog.treatment("drug_ledger").ledger({}).rows


def test_both_stubs_appear_in_select(installed):
    select = pytest.importorskip("osteon.selection.select")
    found = {v.treatment: v for v in select.select(assessment(), "strict").verdicts}
    for name, rule in (("heated_sphere", "SPHERE-01"), ("drug_ledger", "LEDGER-01")):
        assert rule in {r.rule_id for r in found[name].reasons}


def test_the_sphere_is_planned_and_the_ledger_is_not(installed):
    plans = plan(assessment(), verdicts(), PlanRequest(("all",), spacing_mm=2.0))
    assert [p.treatment for p in plans] == ["heated_sphere"]
    best = plans[0]
    assert best.standing == "ok" or {f.level for f in best.findings} <= {"ok", "warning"}
    assert best.measures["coverage"].best >= 0.97
    # target = ball of 14 mm; offered radii 12, 14, 16: the smallest that covers it
    assert best.steps[0].setting.control("radius_mm") in (14.0, 16.0)
    assert best.prescription["patient_position"] == "prone"
    assert best.paths.candidates >= 10_000
    assert best.after.log
    assert np.isfinite(best.margin_mm.array).any()


def test_two_runs_are_equal(installed):
    one, two = (plan(assessment(), verdicts(), PlanRequest(("heated_sphere",), spacing_mm=2.0))[0] for _ in range(2))
    assert one.findings == two.findings
    assert one.measures == two.measures
    assert one.prescription == two.prescription
    assert one.paths == two.paths


def test_an_unknown_nerve_keeps_the_plan_at_cannot_tell(installed):
    best = plan(assessment("not_outlined"), verdicts(), PlanRequest(("heated_sphere",), spacing_mm=2.0))[0]
    assert best.steps
    assert best.standing == "cannot tell"
    assert best.unknown_structures() == ["sciatic_nerve_right"]


@pytest.mark.parametrize("status", ["excluded", "not_indicated", "outside_scope"])
def test_what_is_not_open_is_planned_only_anyway_and_says_so(installed, status):
    kind, truth = ("requirement", "false") if status == "not_indicated" else ("exclusion", "true")
    reasons = (Reason("R1", kind, truth, "the lesion may not be heated"),)
    request = PlanRequest(("heated_sphere",), spacing_mm=2.0)
    assert plan(assessment(), verdicts(status, reasons), request) == []
    found = plan(assessment(), verdicts(status, reasons), PlanRequest(("heated_sphere",), spacing_mm=2.0, anyway=True))
    assert found[0].condition.startswith(f"ANYWAY: {status.replace('_', ' ')}")


def test_needs_is_planned_under_its_condition(installed):
    reasons = (Reason("R1", "exclusion", "unknown", "coagulation", unknown=("platelets_e9_l", "inr")),)
    found = plan(assessment(), verdicts("needs", reasons), PlanRequest(("heated_sphere",), spacing_mm=2.0))
    assert found[0].condition == "if platelets and INR are confirmed"


def test_the_ensemble_gives_bands_and_the_same_for_the_same_seed(installed):
    request = PlanRequest(("heated_sphere",), spacing_mm=2.0, samples=3)
    one, two = (plan(assessment(), verdicts(), request)[0] for _ in range(2))
    assert one.measures["coverage"].n == 3
    assert one.measures == two.measures
    assert any("3 runs" in text for text in one.assumptions)


def test_no_treatment_is_named_in_planning_or_selection():
    from osteon import planning, selection
    from osteon.facts import vocabulary

    for package in (planning, selection):
        for file in Path(package.__path__[0]).glob("*.py"):
            words = file.read_text().lower()
            for entry in catalog.ENTRIES:
                fact = entry.name in vocabulary()  # a fact may bear the name of a row
                assert fact or entry.name not in words, f"{file.name} names {entry.name}"


def test_both_stubs_appear_in_the_report(installed, tmp_path):
    report = pytest.importorskip("osteon.report.html")
    pathway = importlib.import_module("osteon.pathway")
    select = pytest.importorskip("osteon.selection.select")
    assessed = assessment()
    chosen = select.select(assessed, "strict")
    request = PlanRequest(("heated_sphere", "drug_ledger"), spacing_mm=2.0)
    plans = tuple(plan(assessed, chosen, request))
    assert [p.treatment for p in plans] == ["heated_sphere"]
    journey = pathway.Journey(assessed.case, assessed, chosen, plans, request, {"inputs": {}, "options": {}, "versions": {}})
    text = report.write_report(journey, tmp_path / "out").read_text(encoding="utf-8")
    assert "heated" in text.lower()
    assert "ledger" in text.lower()


def test_a_plan_that_takes_minutes_is_kept_by_itself(installed, monkeypatch):
    made = []

    def one(assessment, site, treatment, *rest):
        made.append(treatment.name)
        return Plan(treatment.name, "L1", "palliation", (), (), {}, Ended("refused"))

    kept = {}

    def keep(name, make):
        kept.setdefault(name, make())
        return kept[name]

    monkeypatch.setattr(build, "_plan_one", one)
    monkeypatch.setattr(build, "with_orders", lambda found, *rest: found)
    monkeypatch.setattr(type(find("heated_sphere")), "plans_itself", True)
    request = PlanRequest(("heated_sphere",), spacing_mm=2.0)
    assert [p.treatment for p in plan(assessment(), verdicts(), request, keep=keep)] == ["heated_sphere"]
    assert list(kept) == ["L1 heated_sphere"]
    assert made == ["heated_sphere"]
