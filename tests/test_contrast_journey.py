"""Contrast agent from case.yaml to the page: what is asked, what is said, what the plan assumes."""

from __future__ import annotations

import json

import pytest

from osteon import PlanRequest, journey, write_report
from osteon.case.image_facts import NOT_STATED
from osteon.case.phantom import write
from osteon.facts import Known, Unknown
from osteon.report.html import render
from osteon.report.journey_json import as_json

REQUEST = PlanRequest(treatments=("microwave",), spacing_mm=3.0)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Return a function from what case.yaml says of contrast agent to the journey of a femur phantom."""
    folder = tmp_path_factory.mktemp("contrast") / "case"
    text = write("femur", folder, spacing_mm=3.0).read_text(encoding="utf-8")
    assert "contrast: false" in text

    def one(said: str, chart: str = "", plans: bool = False):
        changed = text.replace("contrast: false", f"contrast: {said}").replace("    facts:\n", f"    facts:\n{chart}")
        (folder / "case.yaml").write_text(changed, encoding="utf-8")
        return journey(folder, REQUEST, with_plans=plans)

    return one


def asked(journey_, fact="contrast_enhanced"):
    return [q for q in journey_.verdicts.questions if q.fact == fact]


def test_not_stated_is_said_and_asked_where_the_answer_rests_on_hu(told):
    found = told("unknown")
    (question,) = asked(found)
    assert question.changes >= 1
    page = render(found)
    assert NOT_STATED in page
    assert question.ask in page  # a question about the patient stands with the lesion's
    tree = json.dumps(as_json(found))
    assert NOT_STATED in tree
    assert isinstance(found.case.facts["contrast_enhanced"].state, Unknown)


def test_what_is_stated_is_not_asked_and_not_warned_of(told):
    found = told("false")
    assert not asked(found)
    assert NOT_STATED not in render(found)
    assert found.assessment.lesions[0].facts["lesion_type"].state == Known("lytic")


def test_with_agent_the_type_is_asked_instead(told):
    found = told("true")
    assert not asked(found)
    assert asked(found, "lesion_type")
    assert "CT with contrast agent" in render(found)


def test_the_same_answers_without_agent_whether_stated_or_not(told):
    said, unsaid = (told(s).assessment.lesions[0].facts for s in ("false", "unknown"))
    assert {n: f.state for n, f in said.items() if n != "contrast_enhanced"} == {
        n: f.state for n, f in unsaid.items() if n != "contrast_enhanced"
    }


@pytest.mark.slow
def test_a_plan_on_a_ct_with_agent_says_so_on_the_page(told, tmp_path):
    found = told("true", plans=True)
    (plan,) = found.plans
    assert any(line.startswith("CT with contrast agent: 60 HU are taken off") for line in plan.assumptions)
    assert any(line.startswith("CT with contrast agent: 60 HU are taken off") for line in plan.steps[0].effect.assumptions)
    assert "hounsfield.contrast_adds" in plan.steps[0].effect.used
    heat = [f for f in plan.findings if f.value is not None and f.unit != "mm"]
    assert heat
    assert all("CT with contrast agent" in f.text for f in heat)
    page = write_report(found, tmp_path).read_text(encoding="utf-8")
    assert "an ensemble draws up to 200 HU" in page
    assert "hounsfield, contrast adds" in page
