"""The page of a focused-ultrasound plan: what it says and draws, what a study may not look like, files, terminal, JSON."""

from __future__ import annotations

import csv
import html
import json
import re
import sys
from dataclasses import replace
from importlib import resources
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import fake_journey as fake
import fake_ultrasound as sound

from osteon.errors import InputError
from osteon.report import graphs, plan_content, ultrasound_bands, ultrasound_section, ultrasound_sheet, ultrasound_surface, words
from osteon.report.html import render, write_report
from osteon.report.journey_json import as_json
from osteon.report.prescription_files import write_plan_files
from osteon.report.references import references_of
from osteon.report.sound_figures import BeamPlane, sections
from osteon.report.terminal import print_plans, print_summary
from osteon.report.ultrasound_figures import beam_figure, beam_planes, power_figure, state_of
from osteon.space.anatomy import Field
from osteon.tissue.tolerance import limits
from osteon.treatments.base import Ended
from osteon.treatments.focused_ultrasound.export import from_json

STUDY = "FUS-03: the label leaves vertebrae out"
NOWHERE = np.zeros((0, 3))


@pytest.fixture(scope="module")
def plan():
    return sound.plan()


@pytest.fixture(scope="module")
def whole():
    return fake.anatomy()


@pytest.fixture(scope="module")
def folder(plan, tmp_path_factory):
    """Return everything that is written for a plan beside a needle plan with a limit breached, and one without a window."""
    made = tmp_path_factory.mktemp("sound")
    write_report(sound.journey(plan, sound.plan(verdict="no window")), made)
    return made


@pytest.fixture(scope="module")
def page(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def said(page):
    return visible(page)


def visible(page):
    """Return the visible words of a page, any white space one blank."""
    page = re.sub(r"<style>.*?</style>|<svg.*?</svg>", " ", page, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).replace("\u202f", " ").split())


def texts(picture):
    """Return the lines of text of a picture with their place: (words, x, y)."""
    tree = ElementTree.fromstring(picture.svg)
    return [(e.text, float(e.get("x")), float(e.get("y"))) for e in tree.iter() if e.tag.endswith("text")]


def test_the_page_tells_window_approaches_sonications_limits_and_what_matters(said):
    for wanted in (
        "98 % of the array sees the cortex, 42 mm deep, from the right",
        "Directly on the target planned",
        "the cortex does not allow it cortex on 93 % (91 to 97) of the rays to the lesion, 2.4 mm thick",
        "direct: the cortex allows it and it needs the least energy",
        "right sciatic nerve (45 °C): 52 W (binds) near field (240 CEM43 min): 61 W power of the array: 96 W",
        "8 × 5 mm at 46.8 W",
        "near the target 62 W, directly on the target 38 W",
        "bone metastases with more residual bone mass only require a lower level of ultrasound energy",
        "What matters most. Acoustic power that the spot needs: acoustics, muscle, attenuation (81 % of its variation)",
        "sound 0.62 mm; power and cell of one sonication 0.5 mm; the whole session and the near field 1.5 mm",
        "with care . The beam meets bone beyond 20 degrees in places.",
        "Near field within the limit no limit 4 (2 to 9) CEM43 min (limit 240 CEM43 min)",
    ):
        assert wanted in said, wanted


def test_the_list_is_that_of_the_session_test_first_and_what_is_left_out_says_why(said, plan):
    rows = ultrasound_section.sonications(plan.detail)
    assert [r.number for r in rows] == ["1", "2", "3", "4"]
    assert [r.test for r in rows] == [True, False, False, False]
    assert [r.power.split()[0] for r in rows] == ["11", "38", "41", "44"]
    assert rows[3].notes == ("as much as is allowed: its spot, not all round it", "wait lengthened")
    assert ultrasound_section.left_out(plan.detail) == [
        ("D-4", "61 W".replace(" ", words.NARROW), "52" + words.NARROW + "W", sound.WHY_NOT)
    ]
    listed = said[said.index("In the order in which they are given") :]
    assert "1 D-1 test 11 W 30 s 90 s 330 J look where it grows warm 2 D-1 38 W" in listed
    assert f"D-4 61 W 52 W {sound.WHY_NOT}" in listed


def test_states_tell_given_part_and_not_given_apart(plan):
    assert [state_of(plan.detail, name) for name in (*sound.IDS, "nobody")] == [
        "given",
        "given",
        "part",
        "not given",
        "not given",
    ]


def test_every_picture_is_there_and_says_what_it_shows(page):
    tags = re.findall(r'<svg [^>]*aria-label="([^"]*)"', page)
    for part in (
        "Acoustic window: window",
        "Acoustic window: no window",
        "Places of 4 sonications",
        "Acoustic power of each",
        "Pressure and heat of sonication 2",
    ):
        assert sum(part in tag for tag in tags) == 1, part


def test_places_are_drawn_where_they_lie_as_the_array_sees_them(plan, whole):
    """From the right the front is on the right: D-2 lies 7 mm farther back and 3 mm higher than D-1, D-4 lower."""
    picture = ultrasound_surface.cells_figure(plan.detail, whole)
    place = {t: (x, y) for t, x, y in reversed(texts(picture)) if t in ("2", "3", "4", "D-4")}  # those of the first view
    assert place["3"][0] < place["2"][0] < place["4"][0]
    assert place["3"][1] < place["2"][1] < place["D-4"][1]
    scale = (place["2"][0] - place["3"][0]) / 7.0  # units of the picture to a millimetre
    assert (place["2"][1] - place["3"][1]) / scale == pytest.approx(3.0, abs=0.6)
    assert {"S", "I", "A", "P", "20 mm", "sound goes in"} <= {t for t, _, _ in texts(picture)}


def test_a_place_behind_the_bone_counts_as_hidden(plan, whole):
    """The ball of bone has its middle at x = -78 and a radius of 32 mm."""
    from osteon.space.volume import Grid

    centre = np.array(sound.MIDDLE)
    parts, shown = ultrasound_surface._parts(plan.detail, whole, Grid.box(centre - 50, centre + 50, 1.0))
    view = ultrasound_surface._view(np.array([-1.0, 0, 0]), centre, 50.0)
    _, depth = ultrasound_surface._raster(view, parts)
    places = np.array([sound.MIDDLE, (-78.0, 10.0, -200.0), (-60.0, 14.0, -190.0)])
    assert ultrasound_surface._seen(view, depth, places).tolist() == [True, False, False]
    assert "lesion" in shown


def test_the_planes_of_the_beam_hold_the_plans_own_temperature_and_outlines(plan, whole):
    for plane, cut in zip(beam_planes(plan.detail, plan, whole), plan.detail.cuts, strict=True):
        i, j = np.abs(plane.depth_mm - 160).argmin(), np.abs(plane.across_mm).argmin()
        there = plan.after.state[Field.TEMPERATURE_C].sample(cut.places_mm()[i, j])
        assert plane.temperature_c[i, j] == pytest.approx(float(there))
        assert plane.temperature_c[i, j] > 70
        assert {"lesion", "target of the plan", "CEM43 240 min"} <= {o.name for o in plane.outlines}
        dead = next(o for o in plane.outlines if o.only).inside
        dose = plan.after.state[Field.CEM43_MIN].sample(cut.places_mm(), fill=0.0)
        assert np.array_equal(dead >= 0.5, dose >= 240)
    assert {p.letters[0] for p in beam_planes(plan.detail, plan, whole)} == {"F", "P"}  # x axis of the array towards the head


def test_fields_stand_side_by_side_with_temperature_or_without(plan, whole):
    planes = beam_planes(plan.detail, plan, whole)
    assert len(sections(planes, "", beside=True).axes) == 2 * 3 + 3  # panels and colour bars
    bare = [replace(p, temperature_c=None) for p in planes]
    assert len(sections(bare, "").axes) == 2 * 2 + 2
    with pytest.raises(InputError, match="other shapes"):
        BeamPlane("", np.arange(4), np.arange(3), np.zeros((4, 3)), temperature_c=np.zeros((3, 4)))
    assert beam_figure(replace(plan.detail, cuts=()), plan, whole) is None


def test_powers_stand_at_their_height_and_what_is_not_given_above_what_is_allowed(plan):
    picture = power_figure(plan.detail)
    tree = ElementTree.fromstring(picture.svg)
    discs = {
        round(float(e.get("cx")), 1): float(e.get("cy"))
        for e in tree.iter()
        if e.tag.endswith("circle") and float(e.get("r")) == 6.0
    }
    heights = [226 - discs[x] for x in sorted(discs)][:3]  # the axis begins at 226
    assert np.allclose(np.array(heights) / heights[0], np.array([38, 41, 44]) / 38, rtol=5e-3)
    bars = sorted((float(e.get("x")), float(e.get("height"))) for e in tree.iter() if e.get("fill") == "#dfe6ec")[:3]
    assert np.allclose(np.array(heights) / [high for _, high in bars], [38 / 52, 41 / 60, 1.0], rtol=5e-3)
    at = {t: y for t, _, y in texts(picture)}
    assert at["61"] < at["44"] < at["38"] < at["11"]
    assert "D-4: 61" in picture.alt
    assert power_figure(replace(plan.detail, session=None)) is None


def test_files_hold_the_list_and_the_sheet_links_them(folder, page, said):
    shots = from_json((folder / "sonications_L1.json").read_text())
    assert shots == sound.SHOTS
    rows = list(csv.reader((folder / "sonications_L1.csv").open()))
    assert len(rows) == 1 + len(sound.SHOTS)
    points = json.loads((folder / "sonications_L1.openlifu.json").read_text())
    assert [p["position"] for p in points] == [list(a.focus_mm) for a in sound.AIMS[:3]]
    for ending in ultrasound_sheet.FILES:
        assert f'<a href="sonications_L1.{ending}">' in page
    sheet = said[said.index("Procedure sheet") :]
    assert (
        sheet.index("Test sonication first")
        < sheet.index("1 D-1 (−110.0, 10.0, −200.0) TEST 11 W")
        < sheet.index("4 D-3 (−109.0")
    )
    assert "3 sonications and 1 test, 4020 J acoustic" in sheet
    assert "Position: not given; the right side of the patient lies towards the array" in sheet
    assert "Middle of the array (LPS, mm) (−270.0, 10.0, −200.0) for place D-1" in sheet
    assert "Cement afterwards" in sheet
    assert "Right sciatic nerve : 45 °C (expected 41 °C)" in sheet
    assert "Expected to stay at body temperature: near field" in sheet
    assert "Research use only, not a medical device" in sheet
    assert "STUDY" not in sheet


def test_a_second_plan_of_a_lesion_writes_its_own_files_and_needles_none(plan, tmp_path):
    names = [p.name for p in write_plan_files(plan, "plan_L1_focused-ultrasound_2", tmp_path)]
    assert "sonications_L1_2.json" in names
    assert ultrasound_sheet.write_files(fake.plan(), "plan_L1_microwave", tmp_path) == []
    assert ultrasound_sheet.sheet_of(fake.plan()) is None


def test_a_limit_that_only_informs_is_no_reason_to_stop(plan):
    told = [k for k in limits() if k.unit == "min" and not k.breaches]
    bone = replace(plan.findings[0], limit_id=told[0].id, structure="hip_right", level="warning", limit=16.0)
    (row,) = ultrasound_sheet.watched([bone])
    assert row[1].startswith(f"16{words.NARROW}CEM43 min, for information (expected 4")


def test_a_list_that_does_not_hold_together_is_refused_not_shown(plan):
    listed = json.loads(json.dumps(plan.prescription["sonications"]))
    listed["sonications"][1]["energy_j"] = 5.0
    with pytest.raises(InputError, match="energy_j"):
        ultrasound_sheet.sheet_of(replace(plan, prescription={**plan.prescription, "sonications": listed}))


def test_the_sheet_gives_the_place_of_the_focus_not_of_the_spot():
    aim = replace(sound.AIMS[0], focus_mm=(-100.0, 10.0, -200.0), approach="near-target")
    row = ultrasound_sheet._row(1, replace(sound.SHOTS[1], aim=aim))
    assert (row.place, row.what) == ("(−100.0, 10.0, −200.0)", "near the target")


def test_a_study_says_so_in_heading_table_and_sheet_and_never_looks_like_an_offer():
    made = sound.plan(STUDY, cuts=(), sampled=None, face_mm=NOWHERE)
    text = render(sound.journey(made))
    told = visible(text)
    assert plan_content.heading(made).endswith("(study, not offered)")
    assert plan_content.standing(made).startswith("study, not offered; ")
    assert "The plan in full: study, not offered" in told
    assert f"Study, not offered. {STUDY}" in told
    assert f"STUDY, NOT OFFERED. Nothing on this sheet may be given to a patient. Why: {STUDY}" in told
    assert "Study sheet, not an order" in told
    assert "Procedure sheet" not in told
    assert "planned </span>" not in text
    full = text[text.index("The plan in full") : text.index("Every limit")]
    assert 'class="chip good"' not in full
    assert "sonications_L1_study.json (not written)" in told
    assert "Acoustic window: window (study, not offered)" in text
    assert "acoustic power (W); study, not offered" in text
    assert "no band and no uncertainty can be named that matters most: ask for samples" in told
    assert {c.tone for _, cells in plan_content.comparison([made]) for c in cells} <= {"", "open", "quiet"}


def test_a_study_is_shown_after_what_is_offered():
    text = visible(render(sound.journey(sound.plan(STUDY, cuts=(), face_mm=NOWHERE), fake.plan())))
    assert text.index("The plan in full Microwave ablation") < text.index("Study sheet, not an order")
    assert "The plan in full: study" not in text


def test_without_a_window_the_map_is_drawn_and_nothing_is_prescribed(said, page):
    none = said[said.rindex("No plan: no window") :]
    assert "no window: at most 30 % of the array sees the target, 70 % are needed" in none
    assert "stopped by gas (61 % of all rays)" in none
    assert "To be known: not outlined and so not avoided: lung." in none
    assert "None was tried: there is no window." in none
    assert page.count("Sonication sheet") == 1  # that of the other plan


def test_approaches_that_all_fail_are_compared_and_none_is_marked(plan, whole):
    bad = Ended("refused", "no approach is possible")
    made = replace(
        plan.detail,
        chosen=None,
        why="no approach is possible",
        session=None,
        cuts=(),
        left_out={},
        ended=bad,
        face_mm=NOWHERE,
    )
    section = ultrasound_section.section_of(replace(plan, detail=made, steps=(), prescription={}), whole)
    assert section["compared"]
    assert section["chosen"] is None
    assert section["list"] == section["left_out"] == []
    assert section["cells"] is section["power"] is section["beam"] is None
    text = visible(
        render(sound.journey(replace(plan, detail=made, steps=(), prescription={}, ended=bad, before=None, after=None)))
    )
    assert "None chosen. no approach is possible" in text


def test_a_plan_without_needles_and_without_detail_breaks_nothing(plan):
    text = visible(render(sound.journey(replace(plan, detail=None, prescription={}, after=None))))
    assert "No needle in this plan" in text


def test_a_margin_is_said_to_mean_little_where_a_surface_is_meant(plan):
    cells = dict(plan_content.comparison([plan]))
    assert cells["Smallest margin"][0].note == plan_content.SURFACE_WORDS
    assert cells["Probes"][0].text == "none"
    bare = replace(plan, measures={k: v for k, v in plan.measures.items() if k != "min_margin_mm"})
    assert dict(plan_content.comparison([bare]))["Smallest margin"][0].text == "does not apply"
    through = replace(plan.detail, chosen=2)
    assert not ultrasound_section.treats_surface(replace(plan, detail=through))
    cell = dict(plan_content.comparison([replace(plan, detail=through)]))["Smallest margin"][0]
    assert cell.tone == "stop"


def test_the_json_holds_study_and_list_but_no_pictures_and_holds_to_the_schema(plan):
    tree = as_json(sound.journey(replace(plan, study=STUDY)))
    schema = json.loads(resources.files("osteon.report").joinpath("journey.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(tree)
    (told,) = tree["plans"]
    assert told["study"] == STUDY
    assert "detail" not in told
    assert len(told["prescription"]["sonications"]["sonications"]) == 4


def test_the_terminal_tells_it_in_lines(plan, capsys):
    print_plans(sound.journey(replace(plan, study=STUDY), sound.plan(verdict="no window")))
    print_summary(sound.journey(replace(plan, study=STUDY)))
    out = " ".join(capsys.readouterr().out.replace("\u202f", " ").split())
    for wanted in (
        f"study, not offered: {STUDY}",
        "window: exablate-body-208; 98 % of the array sees the cortex",
        "approach direct: the cortex allows it",
        "3 of 4 sonications, 4020 J acoustic, 8.6 min",
        "1 of them: as much as is allowed: its spot, not all round it",
        "no window: exablate-body-208; at most 30 % of the array sees the target",
        "plan (study, not offered)",
    ):
        assert wanted in out, wanted
    assert ultrasound_section.lines(fake.plan()) == []
    assert ultrasound_section.lines(sound.plan(verdict="cannot tell"))[0].startswith("cannot tell: exablate-body-208; ")


def test_what_the_planner_of_sound_does_not_believe_stands_first_on_page_sheet_and_terminal():
    notes = ("Believe the planner of sound: no, in 2 of 4 sonications; D-1 among them:", "echoes go on: allow more sweeps")
    made = sound.plan(trust="no", notes=notes, sentences=notes[1:], cuts=(), face_mm=NOWHERE)
    text = visible(render(sound.journey(made)))
    head = "The planner of sound does not believe its own fields in 2 of 4 sonications."
    assert text.index(head) < text.index("echoes go on") < text.index("Acoustic window: can sound get in?")
    sheet = text[text.index("Procedure sheet") :]
    assert sheet.index("does not believe its own fields here: these powers are not to be relied on") < sheet.index("Time-out")
    assert any("does not believe" in line for line in ultrasound_section.lines(made))
    assert text.count("echoes go on") == 2  # in that box, and once among the assumptions


def test_a_course_of_many_samples_keeps_its_peaks():
    times = np.linspace(0, 9000, 10000)
    values = 37 + np.sin(times / 30) ** 2
    values[[1234, 7777]] = 47.5, 30.0
    kept = graphs._thinned(values)
    assert {1234, 7777, 0, 9999} <= set(kept.tolist())
    assert len(kept) <= 240
    assert graphs._thinned(values[:200]).tolist() == list(range(200))


def test_bands_and_what_moves_them(plan):
    rows = {m.title: m for m in ultrasound_bands.matters_of(plan, plan.detail)}
    power = rows["Acoustic power that the spot needs"]
    assert power.band.startswith("38 (30 to 49)")  # the plan's own band, on its finer grids
    assert power.movers[0].startswith("acoustics, muscle, attenuation: 81")
    assert "more of it, more" in power.movers[0]
    cool = replace(plan.detail.sampled, nominal={"hottest:colon": 37.0}, outcomes={"hottest:colon": np.full(20, 37.1)})
    assert ultrasound_bands.stays_cool(replace(plan.detail, sampled=cool)) == words.structure_name("colon")
    assert ultrasound_bands.matters_of(plan, replace(plan.detail, sampled=cool)) == []
    assert rows["Hottest soft tissue before the places"].movers == ("too few draws gave it to tell",)
    assert ultrasound_bands.most_of(replace(plan.detail, influences={})) == "Too few draws to tell what matters most."
    quiet = replace(plan.detail, influences={"needed_w": ()})
    assert ultrasound_bands.most_of(quiet) == "In these draws no constant stands out from chance."
    assert ultrasound_bands.most_of(replace(plan.detail, sampled=None)) == ""


def test_what_the_section_quotes_is_among_the_references(plan):
    listed = references_of(sound.journey(plan))
    assert listed.number_of(ultrasound_section.MORE_BONE) is not None
    assert ultrasound_section.sources_of(fake.plan()) == []


@pytest.mark.parametrize(
    ("key", "unit"),
    [
        ("sonications", ""), ("acoustic_energy_j", "J"), ("absorbed_energy_j", "J"), ("lowest_power_w", "W"),
        ("highest_power_w", "W"),
        ("longest_wait_s", "s"), ("test_power_w", "W"), ("test_rise_k", "K"), ("reached_in_run", ""), ("near_field_c", "°C"),
        ("voxel_mm", "mm"), ("cells_coverage", "%"), ("needed_w", "W"), ("cell_width_mm", "mm"), ("cell_length_mm", "mm"),
    ],
)  # fmt: skip
def test_measures_have_words_and_units(key, unit):
    told = words.named(key)
    assert told.unit == unit
    assert "_" not in told.label
    assert told.label in {row[0] for row in words.MEASURES.values()}


def test_the_near_field_is_named_though_it_is_no_structure():
    assert words.structure_name("near_field") == "near field"
