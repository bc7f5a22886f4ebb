"""The microwave treatment: access, the search space, the source that follows the tissue, and the two predictions."""

import json

import numpy as np
import pytest

from osteon.errors import MissingError, SettingError
from osteon.facts import Known, Unknown, vocabulary
from osteon.space.anatomy import Anatomy, Field, structure
from osteon.space.volume import Grid, Volume
from osteon.tissue.bone import properties_map
from osteon.tissue.properties import Constants
from osteon.treatments.base import Draw, NeedlePose, Setting
from osteon.treatments.microwave.dielectric import driest, ratios, sigmoid
from osteon.treatments.microwave.simulation import FollowingSource
from osteon.treatments.microwave.source import Source, drawn
from osteon.treatments.microwave.treatment import Microwave
from osteon.treatments.needles import interface_shell, move_tip

DEVICE = "eco-100a1-14g"
LESION, BONE, NERVE = structure("lesion"), structure("hip_right"), structure("sciatic_nerve_right")


def patient(spacing=2.5, half=45.0, nerve_mm=14.0, bone=True, air=True):
    """A ball of tumour, radius 12 mm, at the origin in bone (x < 0) and muscle; a nerve beside it; air beyond y = -half + 10."""
    grid = Grid.box(np.full(3, -half), np.full(3, half), spacing)
    z, y, x = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")
    mm = grid.to_mm(np.stack([z, y, x], -1))
    radius = np.linalg.norm(mm, axis=-1)
    hu = np.full(grid.shape, 50.0, np.float32)
    in_bone = (mm[..., 0] < 0) & (np.abs(mm[..., 1]) < 20)
    if bone:
        hu[in_bone] = 300.0
    lesion = radius <= 12.0
    hu[lesion] = 40.0
    if air:
        hu[mm[..., 1] < -half + 10] = -1000.0
    nerve = np.hypot(mm[..., 0] - nerve_mm, mm[..., 1]) <= 3.0
    masks = {LESION: lesion, NERVE: nerve}
    if bone:
        masks[BONE] = in_bone
    return Anatomy(
        imaged=Volume(np.ones(grid.shape, bool), grid),
        image=Volume(hu, grid),
        masks={k: Volume(v, grid) for k, v in masks.items()},
    )


POSE = NeedlePose((0.0, -60.0, 0.0), (0.0, 6.5, 0.0))


def setting(power=60.0, seconds=300.0, pose=POSE, device=DEVICE):
    return Setting(device, (pose,), (("power_w", power), ("time_s", seconds)))


def test_the_interface_is_where_tumour_meets_soft_tissue():
    anatomy = patient()
    shell = Microwave().target(anatomy, "interface_palliation", LESION)
    index = np.argwhere(shell.array)
    mm = anatomy.grid.to_mm(index)
    assert mm[:, 0].max() >= 10  # on the side of muscle
    assert np.linalg.norm(mm[mm[:, 0] > 1], axis=1).max() <= 12.5
    assert mm[:, 0].min() > -12  # not at the far side, deep in bone
    assert Microwave().target(anatomy, "cure", LESION) is None


def test_without_an_interface_there_is_no_such_target():
    anatomy = patient()
    deep = np.zeros(anatomy.grid.shape, bool)
    z, y, x = np.rint(anatomy.grid.to_index(np.array([-25.0, 0.0, 0.0]))).astype(int)
    deep[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2] = True
    inside = anatomy.with_mask(LESION, Volume(deep, anatomy.grid))
    assert interface_shell(inside, LESION, 5.0) is None


def test_a_path_to_imaged_air_is_found_and_a_wall_of_bowel_blocks_it():
    (free,) = Microwave().site_facts(patient(), LESION)
    assert free.name in vocabulary()
    assert free.state == Known(True)
    assert free.origins[0].kind == "image"
    assert "not outlined and so not avoided" in free.origins[0].where
    anatomy = patient(air=False)
    wall = np.zeros(anatomy.grid.shape, bool)
    z, y, x = np.meshgrid(*(np.arange(n) for n in anatomy.grid.shape), indexing="ij")
    radius = np.linalg.norm(anatomy.grid.to_mm(np.stack([z, y, x], -1)), axis=-1)
    wall[(radius > 25) & (radius < 32)] = True
    blocked = anatomy.with_mask(structure("colon"), Volume(wall, anatomy.grid))
    assert Microwave().site_facts(blocked, LESION)[0].state == Known(False)


def test_a_path_that_leaves_the_image_cannot_be_told():
    (fact,) = Microwave().site_facts(patient(air=False), LESION)
    assert isinstance(fact.state, Unknown)
    assert "CT that reaches the skin" in fact.state.why


def test_a_target_without_outline_cannot_be_told():
    (fact,) = Microwave().site_facts(Anatomy(imaged=patient().imaged), LESION)
    assert isinstance(fact.state, Unknown)


def test_settings_place_the_zone_on_the_target_and_stay_within_the_device():
    anatomy, microwave = patient(), Microwave()
    found = list(microwave.settings(anatomy, LESION, "cure", DEVICE, (POSE,)))
    needle = microwave.needle(DEVICE)
    first = found[0]
    centre = np.array(first.poses[0].tip_mm) - needle.active_offset_mm * np.array(first.poses[0].direction)
    assert np.abs(centre).max() < 1.5  # the target's centre is the origin, within a voxel
    assert {s.control("power_w") for s in found} == {40, 50, 60, 70}
    assert min(s.control("time_s") for s in found) == 60
    assert max(s.control("time_s") for s in found) == 840
    assert json.loads(json.dumps([s.controls for s in found]))
    assert {s.control("power_w") for s in microwave.settings(anatomy, LESION, "cure", "generic-915-17g", (POSE,))} == {40, 50, 60}


def test_every_clinical_device_can_be_inserted_and_benchmarks_are_left_out():
    microwave = Microwave()
    assert {"eco-100a1-14g", "eco-100a1-16g", "generic-915-17g"} <= set(microwave.devices)
    assert "saito-2450" not in microwave.devices
    for name in microwave.devices:
        needle = microwave.needle(name)
        assert needle.introducer_bore_mm > needle.shaft_diameter_mm


def test_moving_the_tip_keeps_the_line():
    moved = move_tip(POSE, np.zeros(3), 10.0)
    assert moved.tip_mm == pytest.approx((0, 10, 0))
    assert moved.direction == pytest.approx(POSE.direction)


@pytest.mark.parametrize(
    "wrong",
    [
        setting(power=150.0),
        setting(seconds=5000.0),
        setting(device="toaster"),
        Setting(DEVICE, (), (("power_w", 60.0), ("time_s", 60.0))),
    ],
)
def test_a_setting_outside_the_device_is_refused_in_three_parts(wrong):
    with pytest.raises(SettingError) as caught:
        Microwave().check(wrong)
    assert caught.value.what
    assert caught.value.why
    assert caught.value.do


def test_without_a_ct_nothing_is_simulated():
    with pytest.raises(MissingError):
        Microwave().simulate(Anatomy(imaged=patient().imaged), setting(), Draw.nominal())


def source(anatomy, draw=None):
    constants = Constants(draw)
    device = drawn(Microwave().device(DEVICE), constants, DEVICE)
    return Source(properties_map(anatomy, 2.45e9, draw), device, POSE, 60.0, constants)


def test_ji_brace_2011_ratio_at_100_degrees():
    constants = Constants()
    assert sigmoid(constants, "sigmoid_permittivity_ji_brace", np.array([100.0]))[0] == pytest.approx(10.9 / 47.9, abs=0.005)
    assert sigmoid(constants, "sigmoid_conductivity_ji_brace", np.array([100.0]))[0] == pytest.approx(0.58 / 2.10, abs=0.005)


def test_lopresto_and_dry_tissue():
    constants = Constants()
    permittivity, conductivity = ratios(constants, "lopresto", np.array([37.0, 100.0, 400.0], np.float32))
    assert permittivity[0] == pytest.approx(1.0)
    assert conductivity[0] == pytest.approx(1.0)
    assert (np.diff(permittivity) < 0).all()
    assert (np.diff(conductivity) < 0).all()
    assert conductivity[2] < 1e-3  # dry
    assert ratios(constants, "static", np.array([90.0]))[0][0] == 1.0


def test_what_has_boiled_stays_dry_and_what_was_only_hot_does_not():
    assert list(driest(Constants(), np.array([95.0, 85.0, 120.0]), np.array([60.0, 60.0, 130.0]))) == [95.0, 60.0, 130.0]


def test_the_antenna_is_solved_again_by_change_and_never_by_the_clock():
    one = source(patient())
    follow = FollowingSource(one)
    cold = np.full(one.tissue.grid.shape, 37.0, np.float32)
    first = follow(0.0, cold)
    assert follow(3600.0, cold) is first
    far = cold.copy()
    far[:, :4, :] = 95.0  # 36 mm and more from the antenna
    assert follow(3603.0, far) is first
    near = cold.copy()
    near[properties_map(patient(), 2.45e9).is_label("lesion")] = 85.0
    assert follow(3606.0, near) is not first
    assert [share.time_s for share in one.shares] == [0.0, 3606.0]
    assert FollowingSource(source(patient()), np.inf)(0.0, cold) is not None


def test_the_mesh_of_treatments_agrees_with_a_finer_one():
    from osteon.treatments.microwave.antenna import Medium, devices, solve
    from osteon.treatments.microwave.source import FIELD_MESH

    for medium in (Medium.uniform(43.0, 1.69), Medium.uniform(5.3, 0.095)):
        ours, fine = (solve(devices()[DEVICE], medium, fineness) for fineness in (FIELD_MESH, 2))
        assert ours.absorbed_fraction == pytest.approx(fine.absorbed_fraction, abs=0.003)
        assert ours.reflected_fraction == pytest.approx(fine.reflected_fraction, abs=0.003)


def test_every_joule_of_the_generator_is_named(effect):
    m = effect.measures
    names = ("cable", "coolant_line", "reflected", "radiated", "beyond_grid", "field_defect", "in")
    assert sum(m[f"energy_{name}_j"] for name in names) == pytest.approx(m["energy_generator_j"], rel=5e-3)
    assert abs(m["energy_field_defect_j"]) < 0.01 * m["energy_generator_j"]
    assert m["energy_generator_j"] == pytest.approx(60.0 * 240.0)


def test_the_watt_that_comes_in_is_accounted_for():
    one = source(patient())
    heating = one.heating(0.0)
    share = one.shares[0]
    assert share.reflected + share.absorbed + share.radiated == pytest.approx(1.0, abs=0.01)
    watt = float(heating.sum(dtype=np.float64)) * patient().grid.voxel_mm3 * 1e-9
    assert watt == pytest.approx(share.placed * one.incident_w, rel=1e-5)
    assert 0 < watt < one.incident_w < 60.0
    assert (heating[properties_map(patient(), 2.45e9).is_label("air")] == 0).all()


def test_hot_tissue_takes_up_less_near_the_antenna():
    one = source(patient())
    cold = one.heating(0.0)
    grid = one.tissue.grid
    temperature = np.full(grid.shape, 37.0, np.float32)
    near = properties_map(patient(), 2.45e9).is_label("lesion")
    temperature[near] = 98.0
    dry = one.heating(60.0, temperature)
    assert dry[near].sum() < cold[near].sum()
    assert dry[~near].sum() > cold[~near].sum()
    assert [share.time_s for share in one.shares] == [0.0, 60.0]


def test_a_draw_changes_cable_loss_and_names_it():
    middle, other = source(patient()), source(patient(), Draw(seed=5))
    assert middle.incident_w != other.incident_w
    assert f"{DEVICE}.cable.attenuation" in middle.constants.used


def test_a_cooled_shaft_is_a_line_behind_the_slot_and_a_bare_one_is_none():
    one = source(patient())
    assert one.sink is not None
    grid = one.tissue.grid
    start, end = (grid.to_mm(np.array(point) * 1e3 / 2.5) for point in (one.sink.line.start_m, one.sink.line.end_m))
    assert start == pytest.approx((0.0, 6.5 - 9.0, 0.0), abs=1e-6)  # slot from 6 to 7 mm behind the tip, 2 mm more; to +y
    assert end == pytest.approx((0.0, -60.0, 0.0), abs=1e-6)
    wall = 2 * np.pi * 0.25 / np.log(1.055 / 0.701)  # W/m/K
    assert one.sink.film_w_m2k * 2 * np.pi * 1.055e-3 == pytest.approx(wall, rel=1e-6)
    bare = {**one.device, "cooled": {"value": False}}
    assert Source(one.tissue, bare, POSE, 60.0, one.constants).sink is None
    outside = NeedlePose((0.0, -60.0, 500.0), (0.0, 6.5, 500.0))
    assert Source(one.tissue, one.device, outside, 60.0, one.constants).sink is None


def test_the_coolant_of_a_shaft_takes_heat(effect):
    assert 0.0 < effect.measures["energy_coolant_j"] < 0.5 * effect.measures["energy_in_j"]


@pytest.fixture(scope="module")
def effect():
    return Microwave().simulate(patient(), setting(60.0, 240.0), Draw.nominal())


def test_energy_is_conserved(effect):
    m = effect.measures
    spent = sum(m[f"energy_{name}_j"] for name in ("stored", "coolant", "out", "perfusion", "steam"))
    assert effect.ended.energy_balance <= 1e-3
    assert spent == pytest.approx(m["energy_in_j"], rel=1e-3)
    assert m["energy_in_j"] == pytest.approx(m["net_power_w"] * 240.0, rel=0.01)
    assert m["net_power_w"] < m["incident_w"] < m["generator_w"] == 60.0


def test_an_effect_answers_what_planning_asks(effect):
    grid = patient().grid
    assert set(effect.state) == {Field.TEMPERATURE_C, Field.PRESENT_C, Field.CEM43_MIN, Field.DEAD}
    assert all(v.grid == grid for v in effect.state.values())
    assert effect.state[Field.DEAD].array.dtype == bool
    assert (effect.state[Field.DEAD].array == (effect.state[Field.CEM43_MIN].array >= 240)).all()
    nerve = effect.traces["hottest:sciatic_nerve_right"]
    assert nerve.values.max() == pytest.approx(
        effect.state[Field.TEMPERATURE_C].array[patient().masks[NERVE].array].max(), abs=0.05
    )
    assert patient().masks[NERVE].sample(np.array(nerve.place_mm)) == 1.0
    assert nerve.times_s[-1] == pytest.approx(360.0)
    assert {"zone_cm3", "net_power_w"} <= set(effect.traces)
    assert effect.ended.how == "time"
    assert {"lytic_tumour.perfusion", "conductivity_slope.slope", "arrhenius.liver.activation_energy"} <= set(effect.used)


def test_the_same_run_twice_is_the_same(effect):
    again = Microwave().simulate(patient(), setting(60.0, 240.0), Draw.nominal())
    for key, volume in effect.state.items():
        assert (again.state[key].array == volume.array).all(), key


def test_more_power_or_time_never_heats_less(effect):
    microwave, anatomy = Microwave(), patient()
    weaker = microwave.simulate(anatomy, setting(40.0, 240.0), Draw.nominal())
    shorter = microwave.simulate(anatomy, setting(60.0, 120.0), Draw.nominal())
    for less in (weaker, shorter):
        assert less.measures["zone_cm3"] < effect.measures["zone_cm3"]
        key = "hottest:sciatic_nerve_right"
        assert less.traces[key].values.max() <= effect.traces[key].values.max() + 1e-3


def test_quick_agrees_with_the_simulation_and_time_is_free():
    microwave, anatomy = Microwave(), patient()
    fine = microwave.simulate(anatomy, setting(60.0, 300.0), Draw.nominal())
    coarse = microwave.quick(anatomy, setting(60.0, 300.0))
    assert coarse.measures["zone_cm3"] == pytest.approx(fine.measures["zone_cm3"], rel=0.25)
    key = "hottest:sciatic_nerve_right"
    assert coarse.traces[key].values.max() == pytest.approx(fine.traces[key].values.max(), abs=3.0)
    zones = [microwave.quick(anatomy, setting(60.0, seconds)).measures["zone_cm3"] for seconds in (60, 120, 300, 600, 840)]
    assert zones == sorted(zones)
    from osteon.treatments.microwave import quick

    assert len(quick._RUNS[anatomy]) == 1  # one run answered every time


def test_voxels_that_are_not_cubes_are_refused():
    matrix = np.diag([2.0, 2.0, 3.0, 1.0])
    matrix[:3, 3] = -40.0
    grid = Grid.of((30, 40, 40), matrix)
    image = Volume(np.full(grid.shape, 40.0, np.float32), grid)
    from osteon.errors import InputError

    with pytest.raises(InputError, match="cubic"):
        Microwave().simulate(Anatomy(imaged=Volume(np.ones(grid.shape, bool), grid), image=image), setting(), Draw.nominal())
