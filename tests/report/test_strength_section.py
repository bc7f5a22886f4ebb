"""The section of strength: the status comes first, bands and units are said, nothing unknown is shown as a number."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape

import fake_journey as fake
import numpy as np
import pytest
import strength_example as example
from jsonschema import Draft202012Validator

from osteon.assessment.strength_accuracy import accuracies
from osteon.cache import Cache
from osteon.evidence.source import papers
from osteon.evidence.value import Band
from osteon.pathway import packed
from osteon.report.html import render
from osteon.report.journey_json import as_json
from osteon.report.references import keys_of
from osteon.report.strength_figures import bars, body_weight, load_curve, rigidity_picture
from osteon.report.strength_json import as_numbers
from osteon.report.strength_section import lines, page, section_of, sections_of, sources_of
from osteon.report.strength_surface import surface_picture, views_of
from osteon.space.anatomy import structure


@pytest.fixture(scope="module")
def shown():
    return page(example.strength())


def text_of(html):
    bare = re.sub(r"<[^>]+>", " ", re.sub(r"<(style|svg).*?</\1>", " ", html, flags=re.DOTALL))
    return re.sub(r"\s+", " ", unescape(bare))


def test_the_question_comes_before_any_number(shown):
    said = text_of(shown)
    assert said.index("Is there a fracture?") < said.index("3150")
    assert said.index("not validated clinically") < said.index("3150")


def test_numbers_have_bands_units_and_at_most_three_digits(shown):
    said = text_of(shown)
    assert "3150 (1980 to 3780) N" in said
    assert "4.59 (2.88 to 5.51)" in said
    assert "73.4 (70 to 78) %" in said
    assert "2130 N" in said
    assert "over-rates weak bone" in said
    assert not re.search(r"[1-9]\d*\.\d{3,}(?!\d*e)", re.sub(r"doi:\S+", "", said))


def test_every_measure_stands_with_its_own_accuracy_and_ours_has_none(shown):
    said = text_of(shown)
    assert "never merged" in said
    assert "No accuracy is published for this program's own strength" in said
    femur = accuracies(structure("femur_left"))
    assert {(a.sensitivity_percent, a.specificity_percent) for a in femur} == {(100, 90), (89, 79), (100, 67)}
    assert all(a.source in papers() for a in femur)
    assert accuracies(structure("hip_left")) == ()


def test_a_choice_that_was_not_read_is_marked(shown):
    assert re.search(r"Poisson.{0,200}not read in its source", text_of(shown))
    assert not re.search(r"Modulus of cement.{0,40}not read", text_of(shown))


def test_a_refusal_shows_why_and_no_number():
    section = section_of(example.refused())
    assert (section.numbers, section.bars, section.surface, section.linear) == ((), None, None, "")
    assert "Scan with 3 mm or less." in text_of(page(example.refused()))
    assert "! " not in "".join(lines(example.refused()))


def test_relative_change_only_shows_no_load():
    one = example.strength(
        "relative_only", why="no threshold is validated", failure=None, failure_healed=None, body_weights=None,
        ratio_of="stiffness",
    )  # fmt: skip
    section = section_of(one)
    assert [n.label for n in section.numbers] == ["Now over the same bone healed", "Stiffness"]
    assert (section.bars, section.linear) == (None, "")


def test_what_is_not_known_reads_cannot_tell():
    one = example.strength(body_weights=None, ratio_healed=None, failure=None)
    said = {n.label: n.value for n in section_of(one).numbers}
    assert said["Failure load"].startswith("cannot tell")
    assert said["Now over the same bone healed"].startswith("cannot tell")


def test_a_run_in_which_nothing_yielded_bears_at_least_its_last_load():
    now = replace(example.strength().now, failure_load=None, failure_at=None, at_least=5120.0, ended="limit")
    one = example.strength(now=now, failure=None, failure_healed=None, body_weights=None)
    said = {n.label: (n.value, n.note) for n in section_of(one).numbers}
    assert said["Failure load"] == ("at least 5120\u202fN", "no failure load: nothing yielded up to there")
    assert "now: at least 5120" in load_curve(one).alt
    assert any(line.startswith("Failure load: at least 5120") for line in lines(one))
    tree = as_numbers(one)
    assert (tree["failure_load_n"], tree["failure_load_at_least_n"]) == (None, 5120.0)


def test_where_the_load_enters_is_shown():
    one = example.strength(enters="through a cap of bone cement on the upper end plate, 12.3 cm²")
    assert ("Where the load enters", one.enters) in [(r.label, r.value) for r in section_of(one).model]
    assert f"Where the load enters: {one.enters}" in lines(one)
    assert as_numbers(one)["load_enters"] == one.enters


def test_bars_carry_demands_and_body_weights():
    one = example.strength(failure_opposite=Band(4000, 3200, 4900, 1))
    assert body_weight(one) == pytest.approx(3150 / 4.59)
    alt = bars(one).alt
    assert "now 3150 (1980 to 3780)" in alt
    assert "opposite side" in alt
    assert f"walking {round(2.38 * 3150 / 4.59, -1):.0f}" in alt
    assert "walking" not in bars(replace(one, body_weights=None)).alt


def test_the_curve_ends_at_the_failure_load():
    assert "now: 3150" in load_curve(example.strength()).alt
    assert load_curve(example.refused()) is None


def test_the_weakest_level_is_named_and_flagged():
    alt = rigidity_picture(example.strength()).alt
    assert "EI least, bending 0.52" in alt
    assert "flagged: EI least" in alt


def test_the_surface_is_drawn_from_two_sides_with_the_load_upright():
    one = example.strength()
    views = views_of(one.maps, one.pose.axes)
    assert [v.words for v in views] == ["seen from the front", "seen from the left"]
    top, bottom = (views[0].place(np.asarray(p)) for p in one.pose.landmarks.values())
    assert top[1] < bottom[1]
    assert top[0] == pytest.approx(bottom[0], abs=1e-6)
    drawn = surface_picture(one).svg
    assert drawn.count("<image") == 4
    assert "20 mm" in drawn
    assert "end caps" in drawn


def test_patients_left_is_on_the_right_of_a_view_from_the_front():
    one = example.strength()
    front = views_of(one.maps, one.pose.axes)[0]
    assert front.place(np.array([20.0, 0.0, 127.0]))[0] > front.place(np.array([-20.0, 0.0, 127.0]))[0]


def test_equal_strengths_give_equal_pictures():
    assert surface_picture(example.strength()).svg == surface_picture(example.strength()).svg


def test_json_holds_every_number_and_no_field():
    tree = json.loads(json.dumps(as_numbers(example.strength()), allow_nan=False))
    assert tree["failure_load_n"] == {"best": 3150.0, "low": 1980.0, "high": 3780.0}
    assert tree["calibration"]["residuals"] == [0.001, -0.009, 0.008]
    assert tree["failure_moment_n_m"] is None
    moment = as_numbers(example.strength(quantity="moment", body_weights=None))
    assert (moment["failure_load_n"], moment["failure_moment_n_m"]["best"]) == (None, 3150.0)
    assert moment["stiffness_n_m_per_degree"] == 15200.0


def test_the_journey_shows_it_cites_it_and_its_json_holds_to_the_schema():
    from importlib import resources

    bare = fake.journey()
    lesion = bare.assessment.lesions[0].lesion_id
    journey = replace(bare, strengths={lesion: (example.strength(), example.refused())})
    schema = json.loads(resources.files("osteon.report").joinpath("journey.schema.json").read_text())
    tree = json.loads(json.dumps(as_json(journey)))
    Draft202012Validator(schema).validate(tree)
    assert [s["status"] for s in tree["strength"][lesion]] == ["if_no_fracture", "refused"]
    assert set(sources_of(journey.strengths[lesion])) <= set(keys_of(journey))
    html = text_of(render(journey))
    assert html.index("Is there a fracture?") < html.index("3150 (1980 to 3780)")
    assert "not in the library" not in html
    assert "leave --no-strength out" in text_of(render(bare))


def test_a_cached_strength_is_small_and_the_same(tmp_path):
    made, store = packed(example.strength()), Cache(tmp_path)
    assert made.maps.utilisation.dtype == np.float16
    first = store.get_or("strength", "k", lambda: (made,))
    again = Cache(tmp_path).get_or("strength", "k", lambda: pytest.fail("computed again"))
    assert as_numbers(again[0]) == as_numbers(first[0])
    assert (again[0].maps.failed == made.maps.failed).all()
    assert surface_picture(again[0]).svg == surface_picture(made).svg


def test_loads_with_numbers_come_first_and_one_reason_is_said_once():
    stair = replace(example.refused(), title="stairs")
    told = sections_of([example.refused(), stair, example.strength()])
    assert [s.title for s in told] == ["Compression of the vertebra", "Compression of the vertebra; stairs"]
    assert told[0].numbers
    assert not told[1].numbers


def test_the_head_is_up_where_the_load_comes_from_below():
    one = example.strength()
    front = views_of(one.maps, one.pose.axes @ np.diag([1.0, -1.0, -1.0]))[0]
    assert front.place(np.array([0.0, 0.0, 140.0]))[1] < front.place(np.array([0.0, 0.0, 110.0]))[1]
    assert front.place(np.array([20.0, 0.0, 127.0]))[0] > front.place(np.array([-20.0, 0.0, 127.0]))[0]


def test_a_load_without_a_threshold_is_drawn_without_newtons():
    drawn = surface_picture(example.strength("relative_only")).svg
    assert drawn.count("<image") == 2
    assert "3150" not in drawn
    assert "MPa" not in drawn
