"""The scores on the page: what is open, where each item was read, and what does not apply in one line."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from osteon.assessment.results import ScoreItem
from osteon.facts import Fact, Known, Origin, Unknown
from osteon.pathway import journey
from osteon.report.content import read_from
from osteon.report.html import write_report
from osteon.report.terminal import FEW, print_assessment

CHART = """schema: osteon-case/1
patient: P
date: 2026-01-01
studies: []
facts: {primary: kidney, calcium_mg_dl: 2.7 mmol/l}
lesions:
  - id: L1
    bone: vertebra_L3
    goal: palliation
    facts: {pain_vas: 6, pain_mechanical: false, lesion_type: lytic, vertebral_collapse_fraction: 50 %, escc_grade: 2}
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("scores")
    (folder / "case.yaml").write_text(CHART)
    done = journey(folder, with_plans=False)
    return done, write_report(done, folder / "out").read_text()


def words_of(page: str, start: str, end: str) -> str:
    part = page[page.index(start) : page.index(end, page.index(start))]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", part)).split())


def test_sins_stands_on_the_page_with_its_open_items(page):
    said = words_of(page[1], "SINS (Spinal", "ESCC grade")
    assert "SINS (Spinal Instability Neoplastic Score): 7 to 15" in said  # 2 + 1 + 2 + 0 to 4 + 2 to 3 + 0 to 3
    assert "To find out: alignment, posterolateral involvement, vertebral body." in said
    assert "50 % of the height lost: 2 to 3" in said
    assert "case.yaml:10" in said
    assert "Published accuracy: sensitivity" in said


def test_the_other_scores_of_the_spine_follow_and_the_rest_is_one_line(page):
    said = words_of(page[1], "ESCC grade", 'aria-label="Every treatment"')
    assert "ESCC grade (Bilsky): 2" in said
    assert "decompression, then stereotactic irradiation" in said
    assert "Katagiri score (survival): 4 to 9" in said  # kidney 2, calcium 10.8 mg/dl 2, visceral 0 to 2, three of 0 to 1
    assert "calcium critical" in said
    apart = said[said.index("Not applicable here:") :]
    assert apart.count("Mirels") == 1
    assert "Harrington" in apart


def test_a_long_list_of_unknown_facts_is_folded(page):
    assert re.search(r"<summary>\d+ facts are not known", page[1])


def test_the_terminal_names_a_few_of_them(page, capsys):
    print_assessment(page[0])
    told = capsys.readouterr().out
    assert " more" in told
    assert "Not applicable here: Mirels score" in told
    assert FEW < 20


def test_an_item_measured_on_the_image_says_where():
    seen = Fact("lesion_type", Known("lytic"), origins=(Origin("image", "axial slice 61"),))
    why = Fact("lesion_type", Unknown("cannot tell: needs a CT"))
    item = ScoreItem("bone lesion", Known("lytic"), 2, 2, "lytic: 2", ("lesion_type",))
    assert read_from(item, {"lesion_type": seen}) == "image: axial slice 61"
    assert read_from(item, {"lesion_type": why}) == "cannot tell: needs a CT"
    assert read_from(item, {}) == "not given"
