"""Rays from an array: shadows of known solid angle, halves of an element, faces of known slope; unknown is never clear."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.errors import ImageError, InputError
from osteon.physics import acoustic_sources as sources
from osteon.physics.acoustic_visibility import visible_elements

BATH, TISSUE, GAS, BOWEL, UNSEEN, BONE = range(6)
GROUPS = {
    "blocks": {GAS: "gas"}, "unknown": {BOWEL: "bowel"}, "not_imaged": [UNSEEN], "coupling": [BATH], "bone": [BONE],
}  # fmt: skip
# bars set before the first comparison: share of the shadow at 24 voxels to the radius, angle of a face, share of an edge
SHADOW, ANGLE_DEG, EDGE = 0.05, 3.0, 0.02
FOCUS = np.array([0.0, 0.0, 0.064])


def grid(low, high, h):
    """Voxels of a box [m]: their centres (z, y, x, 3) and the place of the grid."""
    axes = [np.arange(a + h / 2, b, h) for a, b in zip(low, high, strict=True)]
    x, y, z = axes
    place = np.diag([h, h, h, 1.0])
    place[:3, 3] = [axis[0] for axis in axes]
    return np.stack([a.transpose(2, 1, 0) for a in np.meshgrid(x, y, z, indexing="ij")], axis=-1), place


def turned(degrees=(20.0, 35.0, -50.0)):
    out = np.eye(4)
    for axis, angle in enumerate(np.radians(degrees)):
        one, (i, j) = np.eye(4), [(1, 2), (2, 0), (0, 1)][axis]
        one[i, i] = one[j, j] = np.cos(angle)
        one[i, j], one[j, i] = -np.sin(angle), np.sin(angle)
        out = one @ out
    out[:3, 3] = [3e-3, -2e-3, 1e-3]
    return out


BOWL = sources.bowl(0.064, 0.064, 0.6e-3)
MANY = len(BOWL.areas_m2)


def sphere(h, tilt_deg=0.0, radius=6e-3, away=30e-3):
    tilt = np.radians(tilt_deg)
    centre = FOCUS - away * np.array([np.sin(tilt), 0.0, np.cos(tilt)])
    at, place = grid([-0.018, -0.012, 0.025], [0.012, 0.012, 0.068], h)
    labels = np.full(at.shape[:3], TISSUE, np.uint8)
    labels[np.linalg.norm(at - centre, axis=-1) < radius] = GAS
    return labels, place


def shadow(radius, away=30e-3):
    """The share of a bowl of 60 degrees full angle behind a sphere, exactly."""
    return (1 - np.sqrt(1 - (radius / away) ** 2)) / (1 - np.cos(np.arcsin(0.5)))


def seen(labels, place, source=BOWL, rays=MANY, **groups):
    return visible_elements(source, FOCUS, labels, place, **{**GROUPS, "coupling": [], **groups}, rays=rays)


@pytest.mark.parametrize("tilt", [0.0, 14.0])
def test_a_ball_of_gas_shadows_its_solid_angle_exactly(tilt):
    labels, place = sphere(0.25e-3, tilt)
    labels[labels == TISSUE] = BATH
    found = seen(labels, place, coupling=[BATH])
    assert found.whole[1] == pytest.approx(shadow(6e-3), rel=SHADOW)
    assert found.whole[2] == 0
    assert sum(found.whole) == pytest.approx(1)
    assert found.verdicts[0].startswith("blocked by gas at ")


@pytest.mark.parametrize("h", [1e-3, 0.5e-3, 0.3e-3])
def test_a_shadow_lies_between_those_of_balls_half_a_diagonal_smaller_and_larger(h):
    labels, place = sphere(h)
    labels = np.where(labels == TISSUE, BATH, labels).astype(np.uint8)  # nothing but bath and gas: it may end where it will
    found = seen(labels, place, coupling=[BATH])
    edge = np.sqrt(3) / 2 * h
    assert shadow(6e-3 - edge) < found.whole[1] < shadow(6e-3 + edge)


def test_the_nearer_the_finer_the_voxels_and_never_too_small():
    errors = []
    for h in (1e-3, 0.5e-3, 0.25e-3):
        labels, place = sphere(h)
        labels[labels == TISSUE] = BATH
        errors.append(seen(labels, place, coupling=[BATH]).whole[1] / shadow(6e-3) - 1)
    assert errors[0] > errors[1] > errors[2] > 0  # a ray that grazes a voxel of gas is blocked


def test_a_turned_patient_has_the_same_answer():
    labels, place = sphere(0.5e-3, 14.0)
    labels[:20] = BATH
    labels[60:] = BONE
    one = seen(labels, place, coupling=[BATH])
    turn = turned()
    source = sources.Source((BOWL.points_m @ turn[:3, :3].T) + turn[:3, 3], BOWL.areas_m2, BOWL.element)
    two = visible_elements(
        source, turn[:3, :3] @ FOCUS + turn[:3, 3], labels, turn @ place, **{**GROUPS, "coupling": [BATH]}, rays=MANY
    )
    assert (one.state == two.state).mean() > 0.999  # rays that graze an edge may fall to either side
    np.testing.assert_allclose(two.whole, one.whole, atol=1e-3)
    np.testing.assert_allclose(np.nanmean(two.incidence_deg), np.nanmean(one.incidence_deg), atol=0.05)


def test_a_turned_grid_has_the_same_shadow():
    h, turn = 0.25e-3, turned((15.0, 25.0, 40.0))
    at, place = grid([-0.02, -0.02, -0.01], [0.02, 0.02, 0.033], h)
    centre = np.array([0.0, 0.0, 0.034])
    place = turn @ place
    place[:3, 3] += centre - turn[:3, 3]
    world = at @ turn[:3, :3].T + centre
    labels = np.where(np.linalg.norm(world - centre, axis=-1) < 6e-3, GAS, BATH).astype(np.uint8)
    found = seen(labels, place, coupling=[BATH])
    assert found.whole[1] == pytest.approx(shadow(6e-3), rel=SHADOW)


@pytest.mark.parametrize("edge", [-1.65e-3, 0.0, 2e-3])
def test_an_element_half_hidden(edge):
    radius, height = 3.3e-3, 64e-3
    element = sources.array(np.zeros((1, 3)), np.array([[0, 0, 1.0]]), radius, 0.1e-3)
    at, place = grid([-0.006, -0.006, -0.001], [0.006, 0.006, 0.066], 0.1e-3)
    labels = np.full(at.shape[:3], BATH, np.uint8)
    plane = at[..., 2]
    hidden = (plane > 1e-3) & (plane < 1.3e-3) & (at[..., 0] > edge)
    labels[hidden] = GAS
    found = seen(labels, place, element, rays=10_000, coupling=[BATH])
    cut = edge / (1 - 1.3e-3 / height)  # where a ray grazes the far edge of the plate, seen from the face
    cut = edge / (1 - 1e-3 / height) if edge > 0 else cut
    exact = (np.arccos(cut / radius) - cut / radius * np.sqrt(1 - (cut / radius) ** 2)) / np.pi
    assert found.shares[0, 1] == pytest.approx(exact, abs=EDGE)
    few = seen(labels, place, element, rays=64, coupling=[BATH])
    assert few.shares[0, 1] == pytest.approx(exact, abs=0.06)
    assert not found.on()[0]
    assert found.on(most_hidden=0.95)[0]


@pytest.mark.parametrize("slope", [0.0, 20.0, 45.0])
def test_angle_to_a_face_of_bone(slope):
    angle = np.radians(slope)
    normal = np.array([np.sin(angle), 0.0, np.cos(angle)])
    at, place = grid([-0.03, -0.03, 0.02], [0.03, 0.03, 0.07], 0.5e-3)
    labels = np.where((at - [0, 0, 0.05]) @ normal > 0, BONE, BATH).astype(np.uint8)
    found = seen(labels, place, rays=500, coupling=[BATH])
    way = FOCUS - BOWL.points_m
    way /= np.linalg.norm(way, axis=1)[:, None]
    exact = np.degrees(np.arccos(way @ normal))
    mean = (BOWL.areas_m2 * exact).sum() / BOWL.areas_m2.sum()
    assert found.element_incidence_deg[0] == pytest.approx(mean, abs=ANGLE_DEG)
    beyond = BOWL.areas_m2[exact > 34.2].sum() / BOWL.areas_m2.sum()
    assert found.incidence_share(34.2) == pytest.approx(beyond, abs=0.1)
    assert np.isnan(seen(np.where(labels == BONE, TISSUE, labels), place, coupling=[BATH]).incidence_share(34.2))


def test_angles_to_a_ball_of_bone():
    h, radius, source = 0.4e-3, 20e-3, sources.bowl(0.064, 0.04, 1e-3)
    at, place = grid([-0.025, -0.025, 0.03], [0.025, 0.025, 0.07], h)
    centre = np.array([8e-3, 0.0, 0.064])
    labels = np.where(np.linalg.norm(at - centre, axis=-1) < radius, BONE, BATH).astype(np.uint8)
    found = visible_elements(source, FOCUS, labels, place, **GROUPS, rays=len(source.areas_m2))
    way = FOCUS - source.points_m
    way /= np.linalg.norm(way, axis=1)[:, None]
    b = way @ (FOCUS - centre)
    back = b + np.sqrt(b**2 - ((FOCUS - centre) ** 2).sum() + radius**2)  # from the focus back to the surface
    exact = np.degrees(np.arccos(np.sum(way * (centre - (FOCUS - back[:, None] * way)), axis=1) / radius))
    assert np.abs(found.incidence_deg - exact).max() < 2 * ANGLE_DEG
    assert np.abs(found.incidence_deg - exact).mean() < ANGLE_DEG


SIX = sources.array(
    np.stack([np.linspace(-0.015, 0.015, 6), np.zeros(6), np.zeros(6)], axis=1), np.tile([0, 0, 1.0], (6, 1)), 1e-3, 0.5e-3
)


def column(*pieces):
    """Slabs (label, cells of 1 mm) from z = 10 mm down to beyond the focus, 40 mm wide."""
    labels = np.concatenate([np.full((cells, 40, 40), label, np.uint8) for label, cells in pieces])
    place = np.diag([1e-3, 1e-3, 1e-3, 1.0])
    place[:3, 3] = [-0.0195, -0.0195, 0.0105]
    return labels, place


@pytest.mark.parametrize(
    ("pieces", "words", "on"),
    [
        (((BATH, 5), (TISSUE, 55)), "clear", (True, True)),
        (((TISSUE, 60),), "cannot tell: leaves the image; image the whole way", (False, True)),
        (((UNSEEN, 5), (BATH, 5), (TISSUE, 50)), "clear", (True, True)),
        (((BATH, 5), (UNSEEN, 5), (TISSUE, 50)), "cannot tell: leaves the image; image the whole way", (False, True)),
        (((BATH, 5), (TISSUE, 5), (UNSEEN, 5), (TISSUE, 45)), "cannot tell: not imaged at 5 mm; look there", (False, True)),
        (((BATH, 5), (TISSUE, 8), (BOWEL, 5), (TISSUE, 42)), "cannot tell: bowel at 8 mm; look there", (False, True)),
        (((BATH, 5), (BOWEL, 5), (TISSUE, 8), (GAS, 1), (TISSUE, 41)), "blocked by gas at 13 mm", (False, False)),
        (((TISSUE, 20), (GAS, 1), (TISSUE, 39)), "blocked by gas at 20 mm", (False, False)),
        (((BATH, 5), (TISSUE, 5), (BATH, 5), (TISSUE, 45)), "blocked by a gap of air at 5 mm", (False, False)),
        (((BATH, 5), (TISSUE, 1), (BATH, 1), (TISSUE, 53)), "clear", (True, True)),
        (((UNSEEN, 60),), "cannot tell: leaves the image; image the whole way", (False, True)),
        (((BATH, 60),), "clear", (True, True)),
    ],
)
def test_what_lies_on_the_way_in_words(pieces, words, on):
    labels, place = column(*pieces)
    found = visible_elements(SIX, FOCUS, labels, place, **GROUPS)
    assert set(found.verdicts) == {words}
    assert (found.on("strict").all(), found.on("assumed").all()) == on
    assert (found.on("strict").any(), found.on("assumed").any()) == on


def test_what_is_seen_drives_an_array_and_none_at_all_is_an_error():
    labels, place = column((BATH, 5), (TISSUE, 55))
    labels[30, :, :20] = GAS
    found = visible_elements(SIX, FOCUS, labels, place, **GROUPS)
    np.testing.assert_array_equal(found.on(), [False, False, False, True, True, True])
    drive = sources.focus_drive(SIX, FOCUS, 1e6, 1500.0, found.on())
    np.testing.assert_array_equal(np.abs(drive) > 0, found.on())
    labels[30] = GAS
    none = visible_elements(SIX, FOCUS, labels, place, **GROUPS).on("assumed")
    with pytest.raises(InputError, match="No element"):
        sources.focus_drive(SIX, FOCUS, 1e6, 1500.0, none)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_law_more_gas_never_clears_a_ray_and_less_image_never_turns_one_on(seed):
    rng = np.random.default_rng(seed)
    labels, place = column((BATH, 5), (TISSUE, 55))
    labels[rng.random(labels.shape) < 0.01] = BOWEL
    labels[:6][rng.random(labels[:6].shape) < 0.3] = TISSUE
    before = visible_elements(SIX, FOCUS, labels, place, **GROUPS)
    more = labels.copy()
    more[rng.random(labels.shape) < 0.01] = GAS
    after = visible_elements(SIX, FOCUS, more, place, **GROUPS)
    assert (after.state[before.state == 1] == 1).all()
    assert not (after.on() & ~before.on()).any()
    less = labels.copy()
    less[8:][rng.random(labels[8:].shape) < 0.05] = UNSEEN
    blind = visible_elements(SIX, FOCUS, less, place, **GROUPS)
    assert not (blind.on() & ~before.on()).any()
    np.testing.assert_allclose(before.shares.sum(axis=1), 1)


@pytest.mark.parametrize(("skin", "words"), [(11, "clear"), (0, "blocked by the body, in which it stands at 0 mm")])
def test_an_element_may_touch_the_skin_but_not_stand_in_the_body(skin, words):
    place = column((BATH, 1))[1]
    place[2, 3] = -0.011  # the faces at z = 0 lie in the middle of cell 11
    labels = np.full((80, 40, 40), TISSUE, np.uint8)
    labels[:skin] = BATH
    found = visible_elements(SIX, FOCUS, labels, place, **GROUPS)
    assert set(found.verdicts) == {words}
    assert found.on().all() == (words == "clear")


def test_rays_stand_for_the_whole_area_of_every_element():
    labels, place = column((BATH, 60))
    for rays in (1, 5, 16, 10_000):
        found = visible_elements(SIX, FOCUS, labels, place, **GROUPS, rays=rays)
        area = np.bincount(found.element, found.area_m2)
        np.testing.assert_allclose(area, SIX.element_areas_m2, rtol=1e-12)
        assert len(found.state) == 6 * min(rays, len(SIX.areas_m2) // 6)


GOOD, PLACE = column((BATH, 60))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"labels": GOOD.astype(float)}, ImageError, "float64"),
        ({"labels": GOOD.astype(int) - 1}, ImageError, "beyond 0 to 255"),
        ({"focus_m": np.array([0, 0, 1.0])}, ImageError, "outside the voxels"),
        ({"focus_m": np.array([0, 0, np.nan])}, ImageError, "outside the voxels"),
        ({"grid_to_device": np.zeros((4, 4))}, InputError, "invertible"),
        ({"rays": 0}, InputError, "rays"),
        ({"bone": [GAS]}, InputError, "two groups"),
        (
            {"source": sources.array(FOCUS[None] - 0.01, np.eye(3)[:1], 1e-3, 1e-3), "labels": GOOD + BONE},
            InputError,
            "in bone|inside bone",
        ),
    ],
)
def test_what_cannot_be_followed_is_refused(change, error, words):
    given_ = {"source": SIX, "focus_m": FOCUS, "labels": GOOD, "grid_to_device": PLACE, **GROUPS, **change}
    with pytest.raises(error, match=words):
        visible_elements(**given_)
    with pytest.raises(InputError, match="policy"):
        visible_elements(SIX, FOCUS, GOOD, PLACE, **GROUPS).on("hope")
