import numpy as np
import pytest

from osteon.evidence.value import Band
from osteon.planning.measures import bands, margin_map, name_uncovered, side_in_words, worst, zone_size
from osteon.planning.plan import Finding
from osteon.space.anatomy import Anatomy, structure
from osteon.space.volume import Grid, Volume

GRID = Grid.box(np.full(3, -40.0), np.full(3, 40.0), 1.0)
AT = GRID.to_mm(np.stack(np.indices(GRID.shape), axis=-1))


def ball(radius, centre=(0.0, 0.0, 0.0)):
    return Volume(np.linalg.norm(AT - np.array(centre), axis=-1) <= radius, GRID)


@pytest.mark.parametrize(("shift", "zone"), [(0.0, 20.0), (5.0, 20.0), (0.0, 12.0), (12.0, 20.0)])
def test_exact_margin_of_two_spheres_is_zone_radius_minus_shift_minus_lesion_radius(shift, zone):
    margin = margin_map(ball(15.0, (shift, 0.0, 0.0)), ball(zone)).array
    here = margin[np.isfinite(margin)]
    assert here.min() == pytest.approx(zone - shift - 15.0, abs=1.0)  # one voxel
    assert here.max() == pytest.approx(zone + shift - 15.0, abs=1.0)


def test_margin_is_told_on_surface_voxels_only_and_without_zone_it_is_endless_negative():
    lesion = ball(10.0)
    margin = margin_map(lesion, ball(15.0)).array
    assert np.isfinite(margin).sum() < lesion.array.sum() / 2
    none = margin_map(lesion, Volume(np.zeros(GRID.shape, bool), GRID)).array
    assert np.nanmax(none) == -np.inf


def test_exact_zone_size_of_an_ellipsoid_along_a_tilted_needle():
    way = np.array([1.0, 2.0, 0.5]) / np.linalg.norm([1.0, 2.0, 0.5])
    along = AT @ way
    across = np.linalg.norm(AT - along[..., None] * way, axis=-1)
    zone = Volume((along / 25.0) ** 2 + (across / 14.0) ** 2 <= 1.0, GRID)
    assert zone_size(zone, way) == pytest.approx((50.0, 28.0), abs=1.5)


def test_what_stays_uncovered_is_named_with_side_and_neighbour():
    nerve = Volume(np.hypot(AT[..., 0] - 25.0, AT[..., 1]) <= 2.0, GRID)
    box = Anatomy(Volume(np.ones(GRID.shape, bool), GRID), None, {structure("sciatic_nerve_left"): nerve})
    texts = name_uncovered(ball(14.0, (-4.0, 0.0, 0.0)), ball(16.0), ball(12.0), box)
    assert "stays uncovered left" in texts[0]
    assert "left sciatic nerve" in texts[0]
    assert name_uncovered(ball(20.0), ball(16.0), ball(12.0), box) == ()


def test_sides_in_words_of_lps():
    assert side_in_words(np.array([-10.0, 0.0, 0.0])) == "right"
    assert side_in_words(np.array([1.0, 10.0, 9.0])) == "posterior and superior"
    assert side_in_words(np.array([0.0, 0.0, -3.0])) == "inferior"


def test_bands_are_percentiles_and_nominal_without_samples():
    assert bands({"a": 2.0})["a"] == Band(2.0, 2.0, 2.0, 0)
    found = bands({"a": 2.0}, [{"a": float(v)} for v in range(101)])["a"]
    assert (found.low, found.high, found.n) == (5.0, 95.0, 101)


def test_worst_is_a_breach_before_a_near_miss():
    near = Finding("x", "a", Band.of(44.9), "°C", 45.0, "warning", "")
    broken = Finding("y", "b", Band.of(8.0), "mm", 10.0, "breach", "")
    unknown = Finding("z", "c", None, "°C", 45.0, "unknown", "")
    assert worst([near, broken, unknown]) is broken
    assert worst([near, unknown]) is near
    assert worst([unknown]) is None


def test_what_only_informs_is_worse_than_nothing_that_can_be_breached():
    heated = Finding("bone-dose", "hip_bone_right", Band.of(1e5), "CEM43 min", 16.0, "warning", "")
    cool = Finding("nerve-peak-temperature", "sciatic_nerve_right", Band.of(38.0), "°C", 45.0, "ok", "")
    assert worst([heated, cool]) is cool
    assert worst([heated]) is heated
