from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osteon.planning.maps import build_maps
from osteon.planning.trajectory import DOWN, OBJECTIVES, aim_points, pareto, positions_from, search_paths
from osteon.space.anatomy import structure
from osteon.space.volume import Volume
from planning.scene import ACCESS, SKIN_MM, block

LESION, HIP, NERVE = structure("lesion"), structure("hip_right"), structure("sciatic_nerve_right")


def brute_force(objectives):
    costs = objectives * np.array([1, -1, 1, 1, 1, 1])
    kept = []
    for i, row in enumerate(costs):
        if not any((other <= row).all() and (other < row).any() for other in costs):
            kept.append(i)
    return kept


def test_pareto_equals_brute_force_on_1500_points():
    points = np.random.default_rng(3).uniform(0, 1, (1500, 6))
    assert pareto(points).tolist() == brute_force(points)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 3)] * 6), min_size=1, max_size=40))
def test_pareto_law_the_front_holds_one_of_every_undominated_point_also_with_ties(rows):
    points = np.array(rows, float)
    found = {tuple(points[i]) for i in pareto(points)}
    assert found == {tuple(points[i]) for i in brute_force(points)}
    assert len(pareto(points)) == len(found)


def test_more_than_ten_thousand_candidates_each_counted_once():
    found = search_paths(block(nerve_at=(30.0, 0.0)), LESION, ACCESS, HIP)
    assert found.candidates >= 10_000
    assert found.feasible + sum(found.rejected.values()) == found.candidates
    assert found.recommended == 0


def test_exact_shortest_way_through_the_nearest_face():
    anatomy = block(lesion_at=(30.0, 0.0, 0.0))  # 50 mm under the left face, 80 under all others
    found = search_paths(anatomy, LESION, ACCESS, HIP, positions=("supine",))
    shortest = min(p.objectives["length_mm"] for p in found.pareto if p.objectives["off_axis_mm"] == 0)
    assert shortest == pytest.approx(SKIN_MM - 30.0, abs=3.0)  # a voxel of 2 mm and its rounding
    best = found.pareto[0]
    assert best.objectives["skin_incidence_deg"] < 30
    assert best.objectives["bone_mm"] == pytest.approx(25.0 - 12.0, abs=5.0)


def test_exact_active_offset_lengthens_the_way():
    near = search_paths(block(), LESION, ACCESS, HIP, positions=("supine",), aims=np.zeros((1, 3)))
    far = search_paths(block(), LESION, replace(ACCESS, active_offset_mm=10.0), HIP, positions=("supine",), aims=np.zeros((1, 3)))
    shortest = [min(p.objectives["length_mm"] for p in s.pareto) for s in (near, far)]
    assert shortest[1] - shortest[0] == pytest.approx(10.0, abs=1.0)


def test_law_every_path_keeps_the_stand_off_from_the_nerve_by_an_independent_distance():
    anatomy = block(nerve_at=(30.0, 0.0))
    found = search_paths(anatomy, LESION, ACCESS, HIP)
    assert found.rejected["too close to a critical structure or through it"] > 0
    for path in found.pareto:
        t = np.linspace(0, 1, 400)[:, None]
        at = np.array(path.pose.entry_mm) * (1 - t) + np.array(path.pose.tip_mm) * t
        gap = np.hypot(at[:, 0] - 30.0, at[:, 1]).min() - 4.0 - 1.0  # nerve of 4 mm, needle of 1 mm radius
        assert gap >= 5.0 - 1.5  # stand-off of geometry.yaml; the rod is drawn in voxels of 2 mm
        assert path.nearest == NERVE.id


@pytest.mark.parametrize(("position", "axis", "sign"), [("supine", 1, 1), ("prone", 1, -1), ("left_decubitus", 0, 1)])
def test_table_nothing_enters_from_its_side(position, axis, sign):
    found = search_paths(block(), LESION, ACCESS, HIP, positions=(position,))
    assert found.rejected["from the side of the table"] > 0
    for path in found.pareto:
        assert sign * path.pose.entry_mm[axis] < SKIN_MM - 15.0
        assert path.position == position


def test_skin_that_is_not_imaged_is_refused():
    whole = block(air=0.0)  # the image ends at the skin: none of it is seen
    found = search_paths(whole, LESION, ACCESS, HIP)
    assert found.feasible == 0
    assert found.recommended is None
    assert "skin not imaged" in found.why
    seen = block()
    imaged = seen.imaged.array.copy()
    imaged[..., : imaged.shape[2] // 3] = False
    part = search_paths(replace(seen, imaged=seen.imaged.with_array(imaged)), LESION, ACCESS, HIP)
    edge = seen.grid.to_mm(np.array([0.0, 0.0, imaged.shape[2] // 3]))[0]
    assert part.feasible > 0
    assert all(p.pose.entry_mm[0] >= edge for p in part.pareto)


def test_too_short_a_needle_finds_nothing_and_says_so():
    found = search_paths(block(), LESION, replace(ACCESS, max_depth_mm=40.0), HIP)
    assert found.recommended is None
    assert "no way in" in found.why


def test_bone_only_where_drilling_is_allowed():
    assert search_paths(block(), LESION, ACCESS, HIP).feasible > 0
    none = search_paths(block(), LESION, replace(ACCESS, drills_bone=()), HIP)
    assert none.feasible == 0
    assert none.rejected["through a bone that may not be drilled"] > 0
    other = search_paths(block(), LESION, ACCESS, structure("femur_right"))
    assert other.feasible == 0


def test_dense_tissue_that_nobody_outlined_is_bone_that_may_not_be_drilled():
    anatomy = block()
    masks = {k: v for k, v in anatomy.masks.items() if k != HIP}
    assert search_paths(replace(anatomy, masks=masks), LESION, ACCESS, HIP).feasible == 0


def test_incidence_law_no_path_is_more_slanting_than_allowed():
    found = search_paths(block(), LESION, replace(ACCESS, max_incidence_deg=25.0), HIP)
    assert found.rejected["too slanting at the skin"] > 0
    for path in found.pareto:
        assert path.objectives["skin_incidence_deg"] <= 25.0 + 1e-3
        assert path.objectives["cortex_incidence_deg"] <= 25.0 + 1e-3


def test_gantry_bore_refuses_a_handle_outside():
    found = search_paths(block(), LESION, replace(ACCESS, max_depth_mm=330.0), HIP)
    assert found.rejected["handle outside the gantry bore"] > 0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_law_a_mirrored_axis_of_the_array_gives_the_same_way(axis):
    anatomy = block(lesion_at=(30.0, 0.0, 0.0), nerve_at=(30.0, 30.0))

    def flipped(volume):
        affine = volume.grid.matrix
        column = 2 - axis
        affine[:3, 3] += affine[:3, column] * (volume.array.shape[axis] - 1)
        affine[:3, column] *= -1
        return Volume.of(np.ascontiguousarray(np.flip(volume.array, axis)), affine)

    other = replace(
        anatomy,
        imaged=flipped(anatomy.imaged),
        image=flipped(anatomy.image),
        masks={k: flipped(v) for k, v in anatomy.masks.items()},
    )
    one, two = (search_paths(a, LESION, ACCESS, HIP, positions=("prone",)) for a in (anatomy, other))
    assert one.feasible / one.candidates == pytest.approx(two.feasible / two.candidates, abs=0.02)
    for name in ("length_mm", "clearance_mm", "bone_mm"):
        assert one.pareto[0].objectives[name] == pytest.approx(two.pareto[0].objectives[name], abs=4.0)


def test_positions_come_from_the_chart_else_from_the_scan():
    assert positions_from("prone", "HFS") == (("prone",), True)
    assert positions_from(None, "HFS")[0][0] == "supine"
    assert positions_from(None, "FFP")[0][0] == "prone"
    assert positions_from(None, "HFDL")[0][0] == "left_decubitus"
    assert set(positions_from(None, "unknown")[0]) == set(DOWN)


def test_aims_lie_inside_the_lesion_the_middle_first():
    anatomy = block()
    aims = aim_points(anatomy.grid, anatomy.mask(LESION).array)
    assert np.abs(aims[0]).max() <= 2.0
    assert (anatomy.mask(LESION).sample(aims, fill=0.0) > 0.5).all()


def test_every_path_states_every_objective():
    path = search_paths(block(), LESION, ACCESS, HIP).pareto[0]
    assert tuple(path.objectives) == OBJECTIVES


def test_the_error_of_a_carried_outline_is_added_to_what_a_needle_keeps_away():
    full = block(nerve_at=(30.0, 0.0))
    nerve = structure("sciatic_nerve_right")
    plain, wide = (
        build_maps(a, np.zeros(3), 60.0, (), structure("lesion")) for a in (full, replace(full, error_mm={nerve: 3.5}))
    )
    assert np.allclose(plain.margin - wide.margin, 3.5, atol=1e-4)
    assert np.allclose(plain.clear - wide.clear, 3.5, atol=1e-4)
