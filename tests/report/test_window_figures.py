"""The picture of the acoustic window: what it says, where colours lie, and that what cannot be told is never shown as free."""

from xml.etree import ElementTree

import numpy as np
import pytest

from osteon.errors import NotOutlinedError
from osteon.report import window_figures
from osteon.report.surface import Camera
from osteon.report.window_figures import sound_window_figure
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Grid, Volume
from osteon.treatments.focused_ultrasound.access import search_window

LESION, BODY = structure("lesion"), structure("body")
DEVICE, FEW = "exablate-body-208", (600, 100, 4)


def ball(high=90.0, gas_below=False, drawn=True):
    """A ball of tissue of 70 mm; its image may end at ``high`` (head), and gas may fill what lies towards the feet."""
    grid = Grid.box(np.array([-90.0, -90, -90]), np.array([90.0, 90, high]), 3.0)
    p = np.moveaxis(grid.to_mm(np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1)), -1, 0)
    inside = np.linalg.norm(p, axis=0) <= 70
    hu = np.where(inside, 50.0, -1000.0).astype(np.float32)
    if gas_below:
        hu[inside & (p[2] < -15)] = -900.0
    masks = {LESION: np.linalg.norm(p, axis=0) <= 8}
    if drawn:
        masks[BODY] = inside
    return Anatomy(Volume(np.ones(grid.shape, bool), grid), Volume(hu, grid), {k: Volume(v, grid) for k, v in masks.items()})


def test_the_picture_says_verdict_device_and_reasons_and_is_the_same_each_time():
    anatomy = ball()
    found = search_window(anatomy, LESION, DEVICE, poses=FEW).as_study(["FUS-BODY: the label leaves it out"])
    one, two = (sound_window_figure(found, anatomy, LESION) for _ in range(2))
    assert one.svg == two.svg
    words = " ".join(ElementTree.fromstring(one.svg).itertext())
    for said in ("window (study, not offered)", DEVICE, "50 mm", "cannot tell", found.reasons[0], "FUS-BODY"):
        assert said in words


@pytest.mark.parametrize("toward", [(0.0, -1.0, 0.0), (0.7, 0.2, 0.4), (-0.3, 0.8, -0.5)])
def test_each_place_of_the_skin_is_drawn_where_it_lies_with_its_share(toward):
    """Entries that face the viewer: the colour at their place is their share within 0.25 (it is smoothed over 4 of them)."""
    anatomy = ball(gas_below=True)
    found = search_window(anatomy, LESION, DEVICE, poses=FEW)
    view = window_figures._view("", Camera((0.0, 0.0, 0.0), toward, 90.0), found, anatomy, BODY)
    facing = found.skin.normals @ view.camera.axes[2] > 0.5
    x, y = (view.place(found.skin.points_mm[facing]) / window_figures.SIDE * len(view.kind)).astype(int).T
    assert (view.kind[y, x] == window_figures.SKIN).all()
    apart = np.abs(view.share[y, x] - found.skin.visible[facing])
    assert np.nanmean(apart) < 0.05
    assert np.nanmax(apart) < 0.25
    assert np.ptp(found.skin.visible[facing]) > 0.5  # gas below: there is something to be told apart


def test_the_cut_of_the_image_and_doubtful_skin_are_grey_and_hatched_never_coloured():
    anatomy = ball(high=30.0)
    found = search_window(anatomy, LESION, DEVICE, poses=FEW)
    view = window_figures._view("", Camera((0.0, 0.0, 0.0), (0.0, -0.6, 0.8), 90.0), found, anatomy, BODY)
    cut = view.kind == window_figures.CUT
    assert cut.sum() > 500
    assert np.isnan(view.share[cut]).all()
    colours = np.unique(window_figures._raster(view)[cut | view.unknown], axis=0)
    assert {tuple(int(v) for v in c) for c in colours} == {(g,) * 3 for g in (window_figures.GREY, window_figures.DARK_GREY)}


def test_without_a_body_there_is_no_picture_of_its_skin():
    anatomy = ball(drawn=False)
    found = search_window(ball(), LESION, DEVICE, poses=FEW)
    with pytest.raises(NotOutlinedError, match="body"):
        sound_window_figure(found, anatomy, LESION)
