"""The section "Images": every study with its day and the decision on its place; a picture only where it was aligned."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import fake_journey as fake
import numpy as np
import pytest

from osteon.case.align import Alignment
from osteon.case.model import Declared, Study
from osteon.report.html import render
from osteon.report.images_section import image_rows, pictures_of
from osteon.report.journey_json import as_json
from osteon.space.anatomy import structure
from osteon.space.volume import Volume

MOVED = (6.0, -4.0, 8.0)
SAID = "mr1 is not aligned: the images do not decide. A needle would miss. Give an image with more <b>anatomy</b> in it."


def case(accepted: bool = True, **changes):
    """The made-up case with an MR whose header is off by a known shift."""
    made = fake.journey().case
    ct = made.planning_image
    affine = ct.volume.grid.matrix
    affine[:3, 3] += MOVED
    mr = Study("mr1", "MR", date(2026, 1, 31), Volume.of(1000 - ct.volume.array, affine), Volume.of(ct.imaged.array, affine))
    back = np.eye(4)
    back[:3, 3] = -np.array(MOVED)
    if accepted:
        found = Alignment("mr1", True, None, "mr1 is aligned by its image", "images", back, 2.1, mr.date, -20)
    else:
        found = Alignment("mr1", False, None, SAID, date=mr.date, days=-20)
    film = Declared("film1", "XR", date(2025, 12, 1), "two views")
    given = {"studies": (ct, mr), "alignments": (found,), "declared": (film,), "date": date(2026, 2, 27)}
    return replace(made, **(given | changes))


def page(told):
    return render(replace(fake.journey(), case=told))


def test_every_study_is_listed_with_its_day_and_role():
    rows = {row.id: row for row in image_rows(case())}
    assert list(rows) == ["ct1", "mr1", "film1"]
    assert rows["ct1"].role == "planning CT"
    assert "7 days old" in rows["ct1"].said
    assert rows["ct1"].position == "supine, head first"
    assert rows["mr1"].apart == "20 days before the planning CT"
    assert "2.1" in rows["mr1"].role
    assert (rows["film1"].role, rows["film1"].apart) == ("not at hand", "81 days before the planning CT")


def test_a_refused_study_has_its_three_parts_and_no_picture():
    told = case(accepted=False)
    assert pictures_of(told) == []
    row = next(r for r in image_rows(told) if r.id == "mr1")
    assert (row.role, row.tone, row.said) == ("not aligned", "stop", SAID)
    text = page(told)
    assert "mr1 on the planning CT" not in text
    assert "more &lt;b&gt;anatomy&lt;/b&gt;" in text


def test_pictures_show_both_at_the_same_place_with_sides_scale_and_error():
    (compared,) = pictures_of(case())
    assert len(compared.pictures) == 4
    for picture in compared.pictures:
        for letter in (">R<", ">L<", ">20 mm<"):
            assert letter in picture.svg
    for picture in compared.pictures[1::2]:
        assert "error 2.1 mm" in picture.svg
        assert "mr1" in picture.alt
    assert "2.1 mm" in compared.caption
    assert page(case()).count("mr1 on the planning CT") == 1
    assert sum(len(p.svg) for p in compared.pictures) < 400_000


def test_the_other_image_is_drawn_where_the_alignment_puts_it():
    """The MR is the CT turned inside out and moved; laid back, its greys mirror those of the CT."""
    from osteon.report.overlays import _grey
    from osteon.report.planes import centre_of, cut, standard_planes

    told = case()
    mr, found = told.studies[1], told.alignments[0]
    plane = standard_planes(centre_of(told.lesions[0].mask), 40.0, 120)[0]
    grey, _, known = _grey(mr, found, plane)
    hu = cut(told.studies[0].volume, plane)
    wrong, _, _ = _grey(mr, replace(found, transform=np.eye(4)), plane)
    assert known.all()
    assert np.corrcoef(grey.ravel(), hu.ravel())[0, 1] < -0.99
    assert np.corrcoef(wrong.ravel(), hu.ravel())[0, 1] > -0.9


def test_what_was_drawn_on_a_study_is_told_there():
    nerve = structure("sciatic_nerve_right")
    told = case(outline_study={nerve: "mr1"}, outline_error_mm={nerve: 2.6})
    row = next(r for r in image_rows(told) if r.id == "mr1")
    assert "Drawn on it and carried over: right sciatic nerve (error 2.6 mm)." in row.said


@pytest.mark.parametrize(("day", "tone"), [(date(2026, 2, 27), "good"), (date(2026, 9, 1), "care"), (None, "open")])
def test_an_old_planning_ct_is_marked(day, tone):
    assert image_rows(case(date=day))[0].tone == tone


def test_journey_json_holds_the_decision_without_the_points():
    told = as_json(replace(fake.journey(), case=case()))["case"]
    (found,) = told["alignments"]
    assert (found["accepted"], found["by"], found["error_mm"], found["days"]) == (True, "images", 2.1, -20)
    assert found["transform"][0][3] == -MOVED[0]
    assert found["date"] == "2026-01-31"
    assert found["registration"] is None


def test_without_a_planning_ct_nothing_is_compared():
    told = case(studies=case().studies[1:], alignments=())
    assert pictures_of(told) == []
    assert image_rows(told)[0].role == "not aligned"
