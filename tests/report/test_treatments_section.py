"""Every treatment on the page: why not, what to find out, what it rests on."""

from __future__ import annotations

import html
import re
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "selection"))
from selection_cases import assessment, fit

from osteon.case.decisions import Decision, Departure
from osteon.case.model import Case
from osteon.pathway import Journey
from osteon.planning.plan import PlanRequest
from osteon.report import board_section
from osteon.report.html import render
from osteon.report.journey_json import as_json
from osteon.report.references import references_of
from osteon.report.treatments_section import figure_of, section_of, site_rows
from osteon.selection.policies import Site
from osteon.selection.select import select
from osteon.treatments.rows import Item


@cache
def made(*lesions: tuple[tuple[str, object], ...], policy: str = "strict", site: Site = Site()) -> Journey:  # noqa: B008
    """Return a journey of charts alone; each lesion: changes of the fit patient."""
    case = assessment(*(fit(**dict(changes)) for changes in lesions or ((),)))
    verdicts = select(case, policy, site)
    whole = replace(case.case, patient="P-7", folder=Path("/nowhere"))
    return Journey(whole, replace(case, case=whole), verdicts, (), PlanRequest(policy=policy))


CLOSE = (("distance_critical_mm", 6), ("thermometry_planned", True), ("platelets_e9_l", 30))


def said(journey: Journey) -> str:
    page = re.sub(r"<style>.*?</style>|<svg.*?</svg>", " ", render(journey), flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_every_row_stands_once_and_every_shut_row_in_the_index_of_why_not() -> None:
    journey = made(CLOSE)
    page, section = render(journey), section_of(journey, "L1")
    rows = [r for _, _, listed in section.groups for r in listed]
    names = {v.treatment for v in journey.verdicts.verdicts}
    assert sorted(r.verdict.treatment for r in rows) == sorted(names)
    for row in rows:
        assert page.count(f'id="{row.anchor}"') == 1
    indexed = {r.anchor for _, _, reasons in section.shut for _, listed in reasons for r in listed}
    assert indexed == {r.anchor for r in rows if not r.open}
    assert indexed == set(re.findall(r'href="#(row-[^"]+)"', page))
    assert all(line and not line.startswith("See the reasons") for _, _, reasons in section.shut for line, _ in reasons)


def test_the_line_of_an_excluded_row_tells_the_figure_that_decides() -> None:
    rows = {r.verdict.treatment: r for _, _, listed in section_of(made(CLOSE), "L1").groups for r in listed}
    assert rows["microwave"].status == "excluded"
    assert "30" in rows["microwave"].line or "6 mm" in rows["microwave"].line
    assert "Why not …?" in said(made(CLOSE))
    assert "What to find out next" in said(made(CLOSE))


def test_nothing_runs_and_nothing_is_loaded() -> None:
    page = render(made())
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    assert 'type="radio"' in page
    assert "details::details-content" in page


def test_what_is_cited_in_the_section_is_listed_and_nothing_else() -> None:
    journey = made(CLOSE)
    page = render(journey)
    listed = {r.number for r in references_of(journey).listed}
    used = {int(n) for n in re.findall(r'href="#ref-(\d+)"', page)}
    assert used == listed
    assert references_of(journey).unknown == ()


def test_the_page_is_the_same_twice() -> None:
    assert render(made(CLOSE)) == render(made(CLOSE))


def test_a_row_that_waits_says_until_when() -> None:
    journey = made()
    held = tuple(replace(v, on_hold=v.treatment == "microwave") for v in journey.verdicts.verdicts)
    assert "On hold until the red flag above is dealt with" in said(
        replace(journey, verdicts=replace(journey.verdicts, verdicts=held))
    )
    assert "On hold until" not in said(journey)


def test_choices_of_the_site_are_listed_and_those_that_differ_are_marked() -> None:
    rows = {r.label: r for r in site_rows(made(site=Site.with_choices({"mirels_fix_from": 8})))}
    mirels = rows["Mirels score from which prophylactic fixation is considered"]
    assert (mirels.value, mirels.note) == ("8", "chosen by the site")
    assert all(r.note == "osteon's default" for r in rows.values() if r is not mirels)


@pytest.mark.parametrize(
    ("item", "figure"),
    [
        (Item("a", "a", "t", count=46, of=61, of_what="patients"), "46 of 61 patients: 75.4 % (95 % CI 62.7 to 85.5)"),
        (Item("a", "a", "t", count=0, of=50), "0 of 50: 0 % (95 % CI 0 to 7.11)"),
        (Item("a", "a", "t", percent=14.0, of=61, of_what="patients"), "14 %, n = 61 patients"),
        (Item("a", "a", "t", percent=8.0), "8 %, n not stated"),
        (Item("a", "a", "t", low=-60.0, high=-40.0, unit="degC"), "−60 to −40\u202f°C"),
        (Item("a", "a", "t", number=0.86, low=0.78, high=0.95, of=2810), "0.86 (0.78 to 0.95), n = 2810"),
        (Item("a", "a", "t", high=-160.0, unit="degC"), "≤ −160\u202f°C"),
        (Item("a", "a", "t", count=0), ""),
        (Item("a", "a", "t"), ""),
    ],
)
def test_figures_carry_their_number_and_their_exact_interval(item: Item, figure: str) -> None:
    assert figure_of(item) == figure


def test_several_lesions_have_a_section_of_what_they_share() -> None:
    both = made((), (("side", "left"),))
    assert "What the lesions share" in said(both)
    assert "What the lesions share" not in said(made())


def test_the_json_carries_what_the_page_shows() -> None:
    tree = as_json(made(CLOSE))
    verdict = next(v for v in tree["verdicts"]["verdicts"] if (v["treatment"], v["policy"]) == ("microwave", "strict"))
    assert verdict["line"]
    assert {"variants", "on_hold", "opening"} <= set(verdict)
    assert {"rule_id", "kind", "truth"} == set.intersection(*(set(r) for r in verdict["reasons"]))
    assert tree["treatments"]["microwave"]["title"] == "Microwave ablation"
    assert set(tree["beside"]["L1"]) == {"covered", "orders", "head_to_head"}
    assert tree["verdicts"]["site"][0] == {"id": "mirels_fix_from", "choice": 9, "default": True}


def test_a_decision_stands_at_the_head_with_what_it_departs_from_and_what_changed_since(tmp_path: Path, monkeypatch) -> None:
    from datetime import date

    departs = (
        Departure("microwave", "ABL-05", "exclusion", "too close"),
        Departure("microwave", "MWA-05", "caution", "no sphere"),
    )
    decision = Decision(
        1,
        "L1",
        date(2026, 3, 1),
        "pain <b>now</b>",
        ("microwave",),
        ("orthopaedics",),
        "to walk",
        departs,
        {"microwave": "candidate"},
    )
    (tmp_path / "decisions.yaml").write_text("", encoding="utf-8")
    monkeypatch.setattr(board_section, "read", lambda folder: (decision,))
    journey = made(CLOSE)
    case: Case = replace(journey.case, folder=tmp_path)
    page = said(replace(journey, case=case))
    assert page.index("The board's decision") < page.index("Question.")
    assert "L1: Microwave ablation , 2026-03-01. Pain <b>now</b>. At the table: orthopaedics." in page
    assert "Departs from Microwave ablation, ABL-05 (exclusion): too close" in page
    assert "It accepts 1 caution" in page
    assert "Microwave ablation: then candidate, now excluded" in page
    assert "The board's decision" not in said(journey)
