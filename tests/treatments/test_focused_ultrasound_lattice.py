"""Where sonications go and in which order: a flat bone, phantoms, a turned patient. Tolerances were set beforehand."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesion_scene import BEAM, FACE_MM, LESION, patient, plate, turned
from osteon.errors import InputError
from osteon.treatments.focused_ultrasound.approach_rows import number
from osteon.treatments.focused_ultrasound.bone_face import face_of
from osteon.treatments.focused_ultrasound.lattice import coverage, lattice, least_step_mm, treated_of
from osteon.treatments.focused_ultrasound.order import BACK, apart, cost

CELL = (8.0, 16.0)
PITCH_MM = 0.9 * math.sqrt(3) / 2 * CELL[0]


def spots(aims):
    return np.array([a.spot_mm for a in aims])


def covered(points, aims, cell):
    """Share of LPS points within a cell, written anew."""
    way = np.array(aims[0].beam)
    inside = np.zeros(len(points), bool)
    for spot in spots(aims):
        gap = points - spot
        along = gap @ way
        across = np.linalg.norm(gap - along[:, None] * way, axis=1)
        inside |= (2 * across / cell[0]) ** 2 + (2 * along / cell[1]) ** 2 <= 1
    return float(inside.mean())


def disc(radius, count=4000):
    k = np.arange(count) + 0.5
    r, turn = radius * np.sqrt(k / count), np.pi * (1 + 5**0.5) * k
    return np.column_stack([r * np.cos(turn), np.full(count, FACE_MM), r * np.sin(turn)])


@pytest.fixture(scope="module")
def flat():
    return plate()


def test_on_a_flat_bone_cells_lie_on_the_surface_in_hexagons(flat):
    """Spots within 1 mm of the surface; half of them have a neighbour within 10 % of the pitch; the disc of 13 mm is covered."""
    aims = lattice(flat, LESION, "direct", CELL, BEAM)
    assert np.abs(spots(aims)[:, 1] - FACE_MM).max() < 1.0
    gap = np.linalg.norm(spots(aims)[:, None] - spots(aims)[None], axis=2) + np.eye(len(aims)) * 99
    assert np.median(gap.min(axis=1)) == pytest.approx(PITCH_MM, rel=0.1)
    assert coverage(aims) >= number("wanted_share")
    assert covered(disc(13.0), aims, CELL) >= number("wanted_share") - 0.02
    assert [a.focus_mm for a in aims] == [a.spot_mm for a in aims]


def test_a_flat_disc_takes_few_cells(flat):
    """At most 1.6 times the disc by a hexagon of the pitch (edges cost), no fewer than 0.95 of the disc by a cell."""
    area = math.pi * 13.0**2
    count = len(lattice(flat, LESION, "direct", CELL, BEAM))
    assert 0.95 * area / (math.pi * CELL[0] ** 2 / 4) <= count <= 1.6 * area / (math.sqrt(3) / 2 * PITCH_MM**2)


def test_li_2022_near_target_foci_lie_10_mm_behind_the_same_spots(flat):
    near, direct = (lattice(flat, LESION, name, CELL, BEAM) for name in ("near-target", "direct"))
    assert [a.spot_mm for a in near] == [a.spot_mm for a in direct]
    assert np.allclose(np.array([a.focus_mm for a in near]) - spots(near), 10.0 * np.array(BEAM))


def test_through_soft_tissue_spots_lie_in_the_tumour_and_cells_fill_it(flat):
    """The cylinder of 10 mm radius, y from -8 to 6, with half a voxel; covered share within 0.03 of what is said."""
    aims = lattice(flat, LESION, "trans-soft-tissue", CELL, BEAM)
    found = spots(aims)
    assert np.hypot(found[:, 0], found[:, 2]).max() <= 11.0
    assert found[:, 1].min() >= -9.0
    assert found[:, 1].max() <= 7.0
    points = np.concatenate(
        [np.column_stack([disc(9.5, 500)[:, 0], np.full(500, y), disc(9.5, 500)[:, 2]]) for y in range(-7, 6)]
    )
    assert covered(points, aims, CELL) == pytest.approx(coverage(aims), abs=0.03)
    assert coverage(aims) >= number("wanted_share")


def test_solid_parts_of_the_lesion_are_not_aimed_at_through_soft_tissue():
    """Half of the lesion is sclerotic: all spots lie in the other half, within a voxel."""

    def half(p, values):
        values[(np.hypot(p[0], p[2]) < 10) & (np.abs(p[1] + 1) < 7) & (p[0] > 0)] = 900.0

    assert spots(lattice(plate(hu=half), LESION, "trans-soft-tissue", CELL, BEAM))[:, 0].max() < 1.0


def test_one_cell_that_holds_all_is_one_sonication(flat):
    """A cell of 40 by 40 mm holds the disc of 13 mm."""
    (only,) = lattice(flat, LESION, "direct", (40.0, 40.0), BEAM)
    assert only.covers == pytest.approx(1.0)
    assert only.order == 0
    assert least_step_mm((only,)) == math.inf


@pytest.mark.parametrize("approach", ["near-target", "trans-soft-tissue"])
@pytest.mark.parametrize("name", ["femur", "ilium"])
def test_phantoms_are_covered(name, approach):
    """By the lattice's own share, and by an independent count of the same places within 0.02."""
    anatomy, beam = patient(name, "partial")
    face = face_of(anatomy, LESION, beam)
    aims = lattice(anatomy, LESION, approach, CELL, beam, face=face)
    assert coverage(aims) >= number("wanted_share")
    treated = treated_of(face, approach)
    assert covered(face.to_mm(treated.places), aims, CELL) == pytest.approx(coverage(aims), abs=0.02)
    assert sorted(a.order for a in aims) == list(range(len(aims)))
    assert len({a.id for a in aims}) == len(aims)
    assert all(a.approach == approach for a in aims)


def test_finer_voxels_hardly_change_how_many_are_needed():
    """3, 2 and 1 mm: within 20 % of each other."""
    counts = [len(lattice(plate(spacing=s), LESION, "direct", CELL, BEAM)) for s in (3.0, 2.0, 1.0)]
    assert max(counts) <= 1.2 * min(counts)


@pytest.mark.parametrize("approach", ["near-target", "trans-soft-tissue"])
def test_a_turned_patient_gets_the_same_lattice(flat, approach):
    """Turned back, each place lies within 0.1 mm of one of the other, and the order is as good: cost within 1 %."""
    turn = turned()
    still = lattice(flat, LESION, approach, CELL, BEAM)
    moved = lattice(plate(affine=turn), LESION, approach, CELL, tuple(turn[:3, :3] @ np.array(BEAM)))
    assert len(still) == len(moved)
    assert coverage(moved) == pytest.approx(coverage(still), abs=0.005)
    back = (spots(moved) - turn[:3, 3]) @ turn[:3, :3]
    gap = np.linalg.norm(back[:, None] - spots(still)[None], axis=2)
    assert gap.min(axis=1).max() < 0.1
    assert gap.min(axis=0).max() < 0.1


def test_it_is_the_same_each_time(flat):
    assert lattice(flat, LESION, "direct", CELL, BEAM) == lattice(plate(), LESION, "direct", CELL, BEAM)


def test_successive_sonications_are_far_apart(flat):
    """At least 1.5 pitches on the disc; row by row it would be one."""
    aims = lattice(flat, LESION, "direct", (6.0, 12.0), BEAM)
    assert len(aims) > 15
    assert least_step_mm(aims) >= 1.5 * 0.9 * math.sqrt(3) / 2 * 6.0


def hexagons(rows, columns, pitch=6.0):
    return np.array([(pitch * (c + 0.5 * (r % 2)), pitch * math.sqrt(3) / 2 * r) for r in range(rows) for c in range(columns)])


def price(places, order, width=7.0):
    gap = np.linalg.norm(places[:, None] - places[None], axis=2)
    overlap = np.exp(-((gap / (number("near_field_cells") * width)) ** 2)) + np.exp(-((gap / width) ** 2))
    return cost(np.asarray(order), overlap, number("memory") ** np.arange(BACK))


@pytest.mark.parametrize("places", [hexagons(2, 4), hexagons(1, 7), np.array([[0.0, 0.0]] * 4 + [[9.0, 0.0]] * 4)])
def test_the_order_of_few_places_is_within_5_percent_of_the_best(places):
    best = min(price(places, order) for order in itertools.permutations(range(len(places))))
    assert price(places, apart(places, 7.0)) <= 1.05 * best


def test_the_order_of_many_is_better_than_row_by_row_and_than_a_thousand_at_random():
    places = hexagons(5, 5)
    found = price(places, apart(places, 7.0))
    rng = np.random.default_rng(0)
    assert found < price(places, np.arange(25))
    assert found <= min(price(places, rng.permutation(25)) for _ in range(1000))


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=1, max_size=9))
def test_an_order_holds_each_place_once(places):
    assert sorted(apart(np.array(places), 8.0)) == list(range(len(places)))


@pytest.mark.parametrize(
    "cell", [(0.0, 10.0), (8.0, float("nan")), (8.0, float("inf")), (-8.0, 10.0), (8.0, 500.0), (8.0,), (8.0, 8.0, 8.0)]
)
def test_cells_that_make_no_sense_are_refused(flat, cell):
    with pytest.raises(InputError, match="lethal cell"):
        lattice(flat, LESION, "direct", cell, BEAM)


@pytest.mark.parametrize("approach", ["direct", "trans-soft-tissue"])
def test_too_many_cells_are_refused_before_they_are_counted(flat, approach):
    with pytest.raises(InputError, match="no session"):
        lattice(flat, LESION, approach, (1.0, 1.0), BEAM)


def test_other_approaches_and_empty_targets_are_refused(flat):
    with pytest.raises(InputError, match="no approach"):
        lattice(flat, LESION, "sideways", CELL, BEAM)
    with pytest.raises(InputError, match="nothing to treat"):
        lattice(plate(sclerotic=True), LESION, "trans-soft-tissue", CELL, BEAM)
