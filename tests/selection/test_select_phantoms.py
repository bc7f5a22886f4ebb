"""Selection on assessed phantoms: the whole way from a case folder to a status, with the statuses written down first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from osteon.assessment.assess import assess
from osteon.case.load import load_case
from osteon.case.phantom import write
from osteon.selection.select import select
from osteon.treatments.catalog import entries

EXPECTED = {
    "femur": ("candidate_with_cautions", "candidate_with_cautions"),
    "vertebra": ("excluded", "candidate_with_cautions"),
    "ilium": ("candidate_with_cautions", "candidate_with_cautions"),
}
"""Strict, mitigated: the vertebra's lesion lies within 10 mm of the cord and its chart plans a thermocouple."""


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    made = {}
    for name in EXPECTED:
        write(name, folder / name, spacing_mm=2.0)
        made[name] = load_case(folder / name)
    return made


@pytest.mark.parametrize("name", list(EXPECTED))
def test_statuses_of_the_phantoms_under_both_policies(cases, name):
    assert "microwave" in entries()
    answers = select(assess(cases[name]))
    lesion = cases[name].lesions[0].id
    assert tuple(answers.of(lesion, "microwave", p).status for p in ("strict", "mitigated")) == EXPECTED[name]


def test_the_ilium_without_its_sciatic_nerve_outlined_needs_just_that(cases):
    case = cases["ilium"]
    blind = replace(case, masks={k: v for k, v in case.masks.items() if not k.id.startswith("sciatic_nerve")})
    answers = select(assess(blind))
    for policy in ("strict", "mitigated"):
        found = answers.of(case.lesions[0].id, "microwave", policy)
        assert found.status == "needs"
        assert found.missing[0] == ("distance_critical_mm",)
        (reason,) = [r for r in found.reasons if r.rule_id == "ABL-05"]
        assert "sciatic nerve" in reason.text
    assert next(q for q in answers.questions if "microwave" in q.treatments).fact == "distance_critical_mm"
