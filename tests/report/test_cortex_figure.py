"""The picture of the unrolled cortex: where things lie in it, what is hatched, and what it says in words."""

import base64
import io
import re
from functools import cache

import numpy as np
import pytest
from PIL import Image

from osteon.assessment.cortex_map import cortex_map
from osteon.report.cortex_figure import BREACH, DARK_GREY, GREY, LEFT, TOP, WIDE, cortex_figure
from osteon.validation.cortex_map import INNER, OUTER, sector, tube


@cache
def window(side="left", at_deg=180.0, spoil=False):
    """A window of 60 degrees and 16 mm, towards -x: medial in a left bone."""
    made = tube(sector("window", at_deg, 60, 16.0, INNER - 2, OUTER), 1.5, (0.0, 0.0))
    spoilt = np.zeros(made.image.grid.shape, bool)
    if spoil:
        spoilt[-14:] = True  # the map ends 33 mm above the middle, the image at 46
    return cortex_map(made.image, made.bone, made.lesion, side, unreliable=spoilt)


def pixels(picture):
    """The map of a picture as an array (rows, columns, 3), and its height in the picture."""
    found = re.search(r'<image x="52" y="34" width="396" height="([\d.]+)"[^>]*base64,([^"]+)"', picture.svg)
    return np.array(Image.open(io.BytesIO(base64.b64decode(found[2])))), float(found[1])


def test_a_breach_is_hatched_where_it_is_and_nowhere_else():
    found = window()
    colours, tall = pixels(cortex_figure(found))
    white = (colours == BREACH).all(-1)
    rows, columns = np.nonzero(white)
    assert columns.mean() / colours.shape[1] * 360 == pytest.approx(90, abs=3)  # medial
    assert np.ptp(columns) / colours.shape[1] * 360 == pytest.approx(60, abs=8)
    assert np.ptp(rows) / colours.shape[0] * (np.ptp(found.along_mm) + found.slice_mm) == pytest.approx(16, abs=2.5)
    contour = found.arc_mm.sum(1).mean()
    assert tall / WIDE == pytest.approx((np.ptp(found.along_mm) + found.slice_mm) / contour, rel=0.02)  # one scale both ways


def test_a_right_bone_shows_the_same_window_on_its_lateral_side():
    colours, _ = pixels(cortex_figure(window("right")))
    columns = np.nonzero((colours == BREACH).all(-1))[1]
    assert columns.mean() / colours.shape[1] * 360 == pytest.approx(270, abs=3)


def test_the_head_is_up_and_what_is_not_known_is_grey_and_hatched():
    colours, _ = pixels(cortex_figure(window(spoil=True)))
    grey = (colours == GREY).all(-1) | (colours == DARK_GREY).all(-1)
    assert (colours == DARK_GREY).all(-1).any()
    assert grey[:10].any()
    assert not grey[-10:].any()


def test_whole_cortex_is_light_and_lost_cortex_dark():
    colours, _ = pixels(cortex_figure(window()))
    brightness = colours.astype(float).mean(-1)
    middle = colours.shape[0] // 2
    lost = brightness[middle, round(colours.shape[1] * 0.25)]
    assert brightness[middle, round(colours.shape[1] * 0.75)] > 120
    assert min(lost, brightness[middle + 3, round(colours.shape[1] * 0.25)]) < 60


def test_words_axes_and_outline():
    picture = cortex_figure(window())
    for name in (
        "anterior",
        "medial",
        "posterior",
        "lateral",
        "none left",
        "cannot tell",
        "lesion in the cortex",
        "healthy slices",
    ):
        assert name in picture.svg, name
    assert picture.svg.index(">medial<") < picture.svg.index(">posterior<") < picture.svg.index(">lateral<")
    assert "mm along the shaft, head up" in picture.svg
    assert "#E69F00" in picture.svg
    assert re.search(r"less than half of the thickness over 1[5-8] % of one slice", picture.alt)
    for x, _, words in re.findall(r'<text x="([\d.]+)" y="([\d.]+)"[^>]*text-anchor="start"[^>]*>([^<]+)<', picture.svg):
        assert float(x) + 0.52 * 11 * len(words) < 470, words
    assert LEFT + WIDE < 464
    assert TOP > 16


def test_a_lesion_over_the_seam_is_drawn_on_both_edges():
    picture = cortex_figure(window(at_deg=270.0))  # in front: -y
    colours, _ = pixels(picture)
    columns = np.nonzero((colours == BREACH).all(-1))[1]
    assert columns.min() < 8
    assert columns.max() > colours.shape[1] - 8


def test_equal_maps_give_equal_text():
    assert cortex_figure(window()).svg == cortex_figure(window()).svg
