"""A chart that contradicts itself says so at the head of the page, with both values and where each stands."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from osteon.pathway import journey
from osteon.report.content import contradictions, question_and_answer
from osteon.report.html import write_report

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    def walk(number: int):
        folder = tmp_path_factory.mktemp("case") / "case"
        shutil.copytree(EXAMPLES / f"ahmed_2019_case_{number}", folder)
        return journey(folder, with_plans=False), folder

    return walk


def test_two_ages_stand_at_the_head(walked):
    done, folder = walked(2)
    (row,) = contradictions(done)
    assert row.label == "Age"
    assert "71" in row.value
    assert "69" in row.value
    assert "legend of figure 2" in row.note
    page = write_report(done, folder / "report").read_text(encoding="utf-8")
    assert page.index("The chart contradicts itself") < page.index("Every treatment")


def test_two_sides_head_the_answer(walked):
    done, _ = walked(4)
    assert {row.label for row in contradictions(done)} == {"Side", "Acetabular medial wall destroyed"}
    _, answer = question_and_answer(done, done.assessment.lesions[0])
    assert answer.startswith("The sides contradict each other")


def test_a_chart_without_contradiction_has_no_such_section(walked):
    done, folder = walked(1)
    assert contradictions(done) == []
    assert "The chart contradicts itself" not in write_report(done, folder / "report").read_text(encoding="utf-8")
