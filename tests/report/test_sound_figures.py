"""Pictures of a sonication: fields where they belong, letters of the patient, equal bytes for equal input."""

import numpy as np
import pytest
from PIL import Image

from osteon.errors import InputError
from osteon.report.sound_figures import BeamPlane, Curve, curves, planes_of, sections, write_png
from osteon.treatments.focused_ultrasound.beam import ArrayPose
from osteon.treatments.focused_ultrasound.sonication import sonicate
from sonication_scene import MIDDLE, RADIUS_M, ball, scene, small_array


@pytest.fixture(scope="module")
def found():
    label = ball()
    z, _, _ = np.indices(label.shape) * 1.5
    label[(z > 36) & (z < 41) & (label == "muscle")] = "bone"
    pose = ArrayPose.aimed(MIDDLE, (0, 0, 1.0), 1e3 * RADIUS_M)
    return sonicate(scene(label), small_array(), pose, (35.0, 33.0, 33.0), 20.0)


def test_planes_hold_the_focus_and_the_patients_letters(found):
    one, other = planes_of(found)
    for plane in (one, other):
        depth, across = plane.focus_mm
        at = np.abs(plane.depth_mm - depth).argmin(), np.abs(plane.across_mm - across).argmin()
        assert plane.amplitude_pa[at] > 0.7 * plane.amplitude_pa.max()
        assert plane.letters[2:] == ("F", "H")  # the beam runs from foot to head
        assert plane.solid.any()
        first = plane.depth_mm[np.flatnonzero(plane.solid.any(axis=1))[0]]
        assert first == pytest.approx(36 - 33 + 1e3 * RADIUS_M, abs=1.6)
    assert {one.letters[:2], other.letters[:2]} <= {("L", "R"), ("R", "L"), ("A", "P"), ("P", "A")}
    assert {one.letters[0], other.letters[0]} & {"L", "R"}


def test_a_picture_is_the_same_each_time_and_may_be_reduced_to_a_palette(found, tmp_path):
    planes = planes_of(found)
    first, second = (write_png(sections(planes, "title", "note"), tmp_path / f"{i}.png") for i in range(2))
    assert first.read_bytes() == second.read_bytes()
    small = write_png(sections(planes[:1], "title"), tmp_path / "small.png", 48)
    with Image.open(small) as picture:
        assert picture.mode == "P"
        assert min(picture.size) > 300
    with Image.open(first) as picture:
        assert len(set(picture.convert("RGB").reduce(4).get_flattened_data())) > 100


def test_the_hottest_colour_lies_at_the_peak(found, tmp_path):
    """The one bright spot of the pressure panel is where the peak is: neither mirrored nor turned."""
    plane = planes_of(found)[0]
    values = np.zeros_like(plane.amplitude_pa)
    values[len(values) // 4, 3 * values.shape[1] // 4] = 1e6
    spot = BeamPlane("spot", plane.depth_mm, plane.across_mm, values)
    picture = np.asarray(Image.open(write_png(sections([spot], ""), tmp_path / "spot.png")).convert("RGB")).astype(int)
    rows, columns = np.nonzero((np.abs(picture - (253, 231, 37)).sum(axis=-1)) < 12)
    left = columns < 0.75 * picture.shape[1]  # the colour bar ends in the same colour
    assert 0.2 < np.median(rows[left]) / picture.shape[0] < 0.42
    assert np.median(columns[left]) / picture.shape[1] > 0.5


def test_curves_are_drawn_beside_their_reference(tmp_path):
    x = np.linspace(0, 1, 9)
    chart = curves([("a", "x", "y", [Curve("exact", x, x, True), Curve("ours", x, x**2)])], "title", shade=[(0.2, 0.4, "bone")])
    assert write_png(chart, tmp_path / "deep" / "chart.png").stat().st_size > 5000


def test_fields_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="other shapes"):
        BeamPlane("", np.arange(4), np.arange(3), np.zeros((4, 3)), heat_w_m3=np.zeros((3, 4)))
    with pytest.raises(InputError, match="no number"):
        BeamPlane("", np.arange(4), np.arange(3), np.full((4, 3), np.nan))
