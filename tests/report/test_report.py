"""The page and the files beside it: sections, words, escapes, honesty about what is not known."""

from __future__ import annotations

import html
import json
import re
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import fake_journey as fake

from osteon.cache import canonical_json
from osteon.evidence import quotes
from osteon.evidence.source import quote_keys
from osteon.evidence.value import Band
from osteon.report import words
from osteon.report.html import render, write_report
from osteon.report.journey_json import as_json, write_json
from osteon.report.prescription_files import needle_markups, stems
from osteon.report.references import keys_of, references_of
from osteon.report.sketch import place_of
from osteon.space.anatomy import structures

SECTIONS = (
    "Act now",
    "Where it lies",
    "What threatens",
    "Structures that must be judged",
    "Every treatment",
    "Plans side by side",
    "The plan in full",
    "What is dialled in",
    "Procedure sheet",
    "What the numbers rest on",
    "Not validated",
    "References",
    "Provenance",
)


@cache
def shown(**options: object) -> str:
    """Return the page of a made-up journey, drawn once."""
    return render(fake.journey(**options))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def page() -> str:
    return shown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with everything that is written for one journey."""
    made = tmp_path_factory.mktemp("report")
    write_report(fake.journey(), made)
    return made


def body_text(page: str) -> str:
    """Return the visible words, any white space one blank: no style, no pictures, no tags."""
    page = re.sub(r"<style>.*?</style>|<svg.*?</svg>", " ", page, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_every_section_is_there_in_the_order_of_the_specification(page: str) -> None:
    said = body_text(page)
    places = [said.index(name) for name in SECTIONS]
    assert places == sorted(places)
    assert "Research use only, not a medical device" in said
    assert "PHANTOM" in said


def test_the_page_needs_nothing_else(page: str) -> None:
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    assert "@import" not in page
    assert "url(" not in page
    assert '<html lang="en">' in page


def test_every_picture_says_what_it_shows(page: str) -> None:
    for tag in re.findall(r"<svg [^>]*>", page):
        assert ('role="img"' in tag and re.search(r'aria-label="[^"]{10,}"', tag)) or 'aria-hidden="true"' in tag


def test_a_red_flag_that_is_up_opens_the_page_and_one_that_is_not_known_is_asked() -> None:
    from dataclasses import replace

    journey = fake.journey(plans=False)
    said = body_text(shown(plans=False))
    assert said.index("Act now Lesion L1: New weakness.") < said.index("Not known: ask now") < said.index("Question.")
    assert "Are there signs of sepsis? If so: Call the neurologist now." in said
    quiet = body_text(render(replace(journey, verdicts=replace(journey.verdicts, flags=(fake.flag("unknown"),)))))
    assert "Act now" not in quiet
    assert "Not known: ask now No red flag is up." in quiet
    assert "ask now" not in body_text(render(replace(journey, verdicts=replace(journey.verdicts, flags=()))))


def test_user_text_is_escaped_everywhere() -> None:
    page = render(fake.journey(patient='<script>alert("x")</script>'))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "no window &lt;b&gt;here&lt;/b&gt;" in page


def test_a_structure_that_is_not_outlined_reads_cannot_tell_and_never_ok() -> None:
    said = body_text(shown(nerve=False))
    assert "cannot tell: outline the right sciatic nerve" in said
    assert "cannot tell: outline the right femoral nerve" in said
    limits = said[said.index("Every limit") : said.index("Path, heat and dose")]
    row = limits[limits.index("Right sciatic nerve") :]
    assert row.startswith("Right sciatic nerve cannot tell cannot tell (limit 45 °C)")
    assert "within the limit" not in row


def test_a_journey_without_a_path_still_gives_a_page_that_says_why(tmp_path: Path) -> None:
    journey = fake.journey(plans=False)
    page = write_report(journey, tmp_path)
    said = body_text(page.read_text(encoding="utf-8"))
    assert "no admissible path: all 12000 candidates cross the right sciatic nerve" in said
    assert "No way in is left" in said
    assert "There is no plan to show" in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["journey.json", "report.html"]


def test_a_breach_says_so_in_words_and_does_not_hide_what_cannot_be_told() -> None:
    said = body_text(shown(nerve=False))
    assert "BREACH at the right common iliac artery: 7.4 mm, limit 10 mm" in said
    assert "at least one limit is breached; cannot tell: right sciatic nerve" in said


def test_both_policies_are_shown(page: str) -> None:
    said = body_text(page)
    assert "strict: closer than 10 mm" in said
    assert "mitigated: closer than 10 mm" in said


def test_biopsy_comes_first_where_histology_is_missing(page: str) -> None:
    assert "Biopsy first" in body_text(page)
    assert 'class="side">RIGHT<' in page


def test_bands_read_best_low_to_high(page: str) -> None:
    assert "43.2 (41.9 to 45.6) °C" in body_text(page)


def test_every_quotation_of_the_page_stands_in_the_evidence_index() -> None:
    keys = [quote_keys(key)[0] for key in keys_of(fake.journey()) if quote_keys(key)]
    assert keys
    assert set(keys) <= set(quotes.index().quotes)


def test_references_are_exactly_those_used(page: str) -> None:
    references = references_of(fake.journey())
    listed = {int(n) for n in re.findall(r'id="ref-(\d+)"', page)}
    used = {int(n) for n in re.findall(r'href="#ref-(\d+)"', page)}
    assert references.unknown == ()
    assert listed == {r.number for r in references.listed}
    assert used == listed


def test_an_unknown_source_is_named_and_the_page_still_made() -> None:
    from dataclasses import replace

    journey = fake.journey()
    plan = journey.plans[0]
    odd = replace(plan.findings[0], source="nobody_1900")
    page = render(replace(journey, plans=(replace(plan, findings=(odd, *plan.findings[1:])),)))
    assert "nobody_1900: not in the library" in page


def test_journey_json_is_canonical_and_equal_byte_for_byte_but_for_the_run(tmp_path: Path) -> None:
    from dataclasses import replace

    one, other = fake.journey(), fake.journey()
    other = replace(other, provenance={**other.provenance, "run": {"date": "2031-01-01", "seconds": {"plan": 99.0}}})
    write_json(one, tmp_path / "a.json")
    write_json(other, tmp_path / "b.json")
    texts = [(tmp_path / f"{n}.json").read_text(encoding="utf-8") for n in "ab"]
    trees = [json.loads(text) for text in texts]
    assert texts[0] == canonical_json(trees[0]) + "\n"
    assert trees[0]["schema"] == "osteon-journey/1"
    assert {"case", "assessment", "verdicts", "plans", "references", "provenance"} <= set(trees[0])
    for tree in trees:
        tree["provenance"].pop("run")
    assert canonical_json(trees[0]) == canonical_json(trees[1])
    assert "/nowhere" not in texts[0]


def test_journey_json_keeps_numbers_and_states() -> None:
    tree = as_json(fake.journey())
    plan = tree["plans"][0]
    assert plan["measures"]["coverage"] == {"best": 0.962, "low": 0.91, "high": 0.99, "n": 24}
    assert plan["standing"] == "breach"
    assert tree["assessment"]["lesions"][0]["facts"]["axial_cortical_mm"]["state"] == {
        "state": "interval",
        "low": 10.0,
        "high": 18.0,
    }
    assert tree["assessment"]["lesions"][0]["facts"]["inr"]["state"]["state"] == "unknown"


def test_markups_hold_the_pose_in_lps(folder: Path) -> None:
    told = json.loads((folder / "plan_L1_microwave_needle.mrk.json").read_text(encoding="utf-8"))
    line = told["markups"][0]
    assert (line["type"], line["coordinateSystem"], line["coordinateUnits"]) == ("Line", "LPS", "mm")
    assert [p["position"] for p in line["controlPoints"]] == [list(fake.POSE.entry_mm), list(fake.POSE.tip_mm)]
    assert needle_markups(fake.POSE, "n")["markups"] != []


def test_fields_are_written_in_the_place_of_the_plan(folder: Path) -> None:
    from osteon.io.nifti import read_volume

    after = fake.plan().after
    assert after is not None
    for name, field in (("temperature", fake.Field.TEMPERATURE_C), ("cem43", fake.Field.CEM43_MIN)):
        volume = read_volume(folder / f"plan_L1_microwave_{name}.nii.gz")
        assert volume.canonical().grid.same_as(after.grid)
        np.testing.assert_allclose(volume.canonical().array, after.state[field].array, rtol=1e-6)


def test_plans_of_one_name_get_files_of_their_own() -> None:
    plan = fake.plan()
    assert stems((plan, plan)) == ["plan_L1_microwave", "plan_L1_microwave_2"]


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (42.0, "°C", "42\u202f°C"),
        (0.0, "mm", "0\u202fmm"),
        (0.01234, "", "0.0123"),
        (1234.5, "W", "1230\u202fW"),
        (-3.456, "mm", "−3.46\u202fmm"),
        (999.7, "", "1000"),
        (float("nan"), "mm", "not known"),
        (float("inf"), "mm", "no upper bound"),
        (2.5e-5, "", "2.5·10⁻⁵"),
        (48.2, "°", "48.2°"),
    ],
)
def test_numbers_have_three_digits_and_a_unit(value: float, unit: str, said: str) -> None:
    assert words.number(value, unit) == said


def test_a_band_that_was_not_sampled_is_one_number() -> None:
    assert words.band(Band.of(42.0), "°C") == "42\u202f°C"
    assert words.band(Band(42, 36, 49, 20), "%") == "42 (36 to 49)\u202f%"
    assert words.band(None, "°C") == "cannot tell"


def test_the_sketch_knows_every_sided_bone_and_puts_right_on_the_left() -> None:
    bones = [s for s in structures().values() if s.kind == "bone" and s.id != "other_bone"]
    missing = [s.id for s in bones if place_of(s.id) is None]
    assert missing == []
    for bone in bones:
        place = place_of(bone.id)
        assert place is not None
        if bone.side is not None:
            assert (place[0] < 60) == (bone.side == "right")


def test_limits_of_one_structure_share_a_row_and_the_worst_comes_first() -> None:
    from osteon.planning.plan import Finding
    from osteon.report.plan_content import judged

    def finding(name: str, unit: str, value: float | None, limit: float, level: str) -> Finding:
        band = None if value is None else Band.of(value)
        return Finding("x", name, band, unit, limit, level, "in words")  # type: ignore[arg-type]

    rows = judged(
        [
            finding("colon", "°C", 37.0, 45.0, "ok"),
            finding("sciatic_nerve_right", "°C", 44.0, 45.0, "ok"),
            finding("sciatic_nerve_right", "mm", 12.0, 10.0, "ok"),
            finding("femoral_nerve_right", "°C", None, 45.0, "unknown"),
            finding("iliac_artery_right", "mm", 7.0, 10.0, "breach"),
        ]
    )
    assert [r.structure for r in rows] == ["iliac_artery_right", "femoral_nerve_right", "sciatic_nerve_right", "colon"]
    assert rows[2].cells == ("44\u202f°C (limit 45\u202f°C)", "no limit", "12\u202fmm (at least 10\u202fmm)")
    assert rows[1].cells[0] == "cannot tell (limit 45\u202f°C)"


def test_a_midline_that_cannot_be_told_is_said() -> None:
    from osteon.report.operator_content import needle_rows

    given = fake.plan().prescription["needles"][0]  # type: ignore[index]
    rows = needle_rows(
        {**given, "entry_from_midline_mm": None, "entry_side_of_midline": None, "midline_text": "cannot tell: cut"}
    )
    assert next(r for r in rows if r.label == "Entry: from the midline").value == "cannot tell"
    assert any(r.value == "140\u202fmm to the patient's RIGHT" for r in needle_rows(given))


def test_a_dose_beyond_measure_is_not_given_digits() -> None:
    assert words.number(1.34e12, "CEM43 min") == "over 100 000\u202fCEM43 min"
