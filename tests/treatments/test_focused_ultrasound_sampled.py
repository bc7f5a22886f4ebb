"""Draws of one sonication, in a slab of cortex: the cut patient, the coarse run against the plan's own, and what a draw moves.

Tolerances were set before the first run: cut maps exactly, linear heat 1 %, power at a given dose 1 %, a beam moved by two whole
voxels along a level slab 2 %, the coarse run against the same settings on the whole patient 3 %, against the plan's own 20 %.
"""

import itertools
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from osteon.case.phantom import build
from osteon.errors import InputError, OsteonError, SettingError
from osteon.evidence.value import Fixed, Normal, Uniform, Value
from osteon.jobs import Local, Serial
from osteon.space.anatomy import Anatomy, Field, structure
from osteon.space.volume import Grid, Volume
from osteon.tissue.acoustics import acoustic_map
from osteon.tissue.acoustics_media import COLUMNS, acoustic_media
from osteon.tissue.bone import FIELDS, properties_map
from osteon.tissue.properties import Constants
from osteon.treatments.focused_ultrasound import beam_kernels, sampled, session_response
from osteon.treatments.focused_ultrasound.access import search_window
from osteon.treatments.focused_ultrasound.access_looks import scene_of
from osteon.treatments.focused_ultrasound.bands import Influence, Samples, which_matters
from osteon.treatments.focused_ultrasound.beam import ArrayPose, vote
from osteon.treatments.focused_ultrasound.bone_face import face_of
from osteon.treatments.focused_ultrasound.lattice import lattice
from osteon.treatments.focused_ultrasound.sampled import (
    OUTCOMES,
    Draw,
    described,
    influence_words,
    sample_sonication,
    scaled,
)  # fmt: skip
from osteon.treatments.focused_ultrasound.sampled_patch import cut_out
from osteon.treatments.focused_ultrasound.session_response import cell_of, respond_all
from osteon.treatments.focused_ultrasound.session_setup import prepare
from osteon.treatments.focused_ultrasound.transducer import transducer
from session_scene import BEAM, aim_at, anatomy_of, slab
from sonication_scene import small_array

POWER, ON, OFF = 12.0, 20.0, 20.0
PLACES = np.array(aim_at().spot_mm) + np.array([[0.0, 0, 0], [1.5, 0, 0], [-1.5, 0, 0], [0, 6.0, 0]])


def pose_of(aim):
    return ArrayPose.aimed(aim.focus_mm, BEAM, 60.0)


def draw_of(anatomy=None, power_w=POWER, places=PLACES, aim=None):
    aim = aim or aim_at()
    patch = cut_out(anatomy or anatomy_of(), small_array(), aim, pose_of(aim), sampled.BEYOND_MM, sampled.HALF_BOX_MM)
    return Draw(patch, small_array(), aim, pose_of(aim), power_w, ON, OFF, np.asarray(places, float).reshape(-1, 3))


def with_numbers(**numbers):
    """Return the constants of a run that takes these numbers, ``__`` for a dot, and else the middle."""
    named = {name.replace("__", "."): number for name, number in numbers.items()}
    return Constants(lambda name, value: named.get(name, value.number))


@pytest.fixture(scope="module")
def nominal():
    return draw_of()(Constants())


# --- the cut patient


def test_maps_of_the_cut_patient_are_the_cut_maps():
    anatomy = anatomy_of(nerve_behind_mm=2.0)
    patch = cut_out(anatomy, small_array(), aim_at(), pose_of(aim_at()), 2.0, 10.0)
    first = np.rint(anatomy.grid.to_index(patch.grid.to_mm(np.zeros(3)))).astype(int)
    window = tuple(slice(a, a + n) for a, n in zip(first, patch.grid.shape, strict=True))
    assert patch.grid.shape != anatomy.grid.shape
    for whole, part, names in (
        (acoustic_map(anatomy, 5e5), acoustic_map(patch.anatomy, 5e5), (*COLUMNS, "label")),
        (properties_map(anatomy, 480e3), properties_map(patch.anatomy, 480e3), (*FIELDS, "labels")),
    ):
        for name in names:
            assert np.array_equal(getattr(whole, name)[window], getattr(part, name)), name
    assert set(patch.watch) == {"sciatic_nerve_right", "skin", "near_field"}
    setup = prepare(anatomy, acoustic_map(anatomy, 5e5), small_array(), [aim_at()])
    mask = np.zeros(anatomy.grid.shape, bool)
    mask.ravel()[setup.watch["skin"]] = True
    assert np.array_equal(patch.mask(patch.watch["skin"]).array, mask[window])


def test_what_an_earlier_treatment_left_and_metal_spoilt_goes_along():
    anatomy = anatomy_of()
    spot = np.zeros(anatomy.grid.shape, bool)
    spot[20, 18:22, 18:22] = True
    marked = replace(anatomy, state={Field.DEAD: Volume(spot, anatomy.grid)}, unreliable=Volume(spot, anatomy.grid))
    found = draw_of(marked).patch.anatomy
    assert int(found.state[Field.DEAD].array.sum()) == int(found.unreliable.array.sum()) == 16
    assert draw_of().patch.anatomy.unreliable is None


def test_a_draw_is_cheap_to_send():
    draw = draw_of()
    assert len(pickle.dumps(draw.patch)) < 2.5 * draw.patch.hounsfield.size


# --- against the plan's own run


def planned(anatomy, fine_mm, monkeypatch, **options):
    monkeypatch.setattr(session_response, "FINE_MM", fine_mm)
    sound = acoustic_map(anatomy, 5e5)
    setup = prepare(anatomy, sound, small_array(), [aim_at()], **options)
    (found,) = respond_all(setup, [aim_at()], ON, OFF, poses={"A": pose_of(aim_at())})
    return setup, found


def compared(nominal, response):
    """Return relative differences of the rise at the spot, the power that it needs, and the hottest."""
    return [
        (nominal["spot_c"] - 37.0) / (POWER * float(response.targets.max())) - 1,
        nominal["needed_w"] / response.reached_w(240.0, 500.0) - 1,
        (nominal["hottest_c"] - 37.0) / (POWER * response.box.top) - 1,
    ]


def test_the_coarse_run_is_the_plans_run_at_the_same_settings(nominal, monkeypatch):
    anatomy = anatomy_of()
    media = acoustic_media(acoustic_map(anatomy, 5e5), sampled.BONE_STEPS)
    step_mm = 1e3 * min(1500.0, sampled._slowest(media)) / 5e5 / sampled.POINTS
    options = {"bone_steps": sampled.BONE_STEPS, "spacing_mm": step_mm, "most_sweeps": sampled.SWEEPS}
    options["beyond_mm"] = sampled.BEYOND_MM
    setup, response = planned(anatomy, sampled.FINE_MM, monkeypatch, **options)
    assert max(abs(d) for d in compared(nominal, response)) <= 0.03
    assert nominal["absorbed_w"] == pytest.approx(POWER * response.absorbed_w, rel=0.03)
    assert nominal["cell_width_mm"] == pytest.approx(cell_of(response, POWER)[0], abs=sampled.FINE_MM + 1e-6)
    skin = 37.0 + POWER * max(part["skin"].top for part in (response.near, response.beam) if "skin" in part)
    assert nominal["hottest:skin"] - 37.0 == pytest.approx(skin - 37.0, rel=0.05)
    assert "skin" in setup.watch


def test_the_coarse_run_is_near_the_plans_finer_run(nominal, monkeypatch):
    _, response = planned(anatomy_of(), 0.5, monkeypatch)
    assert max(abs(d) for d in compared(nominal, response)) <= 0.2


# --- exact: power, moved beams, laws


def test_heat_is_linear_and_the_power_that_is_needed_just_kills_the_spot(nominal):
    need = nominal["needed_w"]
    assert 1.0 < need < 200.0
    more, less = (draw_of(power_w=f * need, places=PLACES[:1])(Constants()) for f in (1.01, 0.99))
    assert (more["killed_share"], less["killed_share"]) == (1.0, 0.0)
    assert more["needed_w"] == pytest.approx(need, rel=0.01)
    assert more["whole_w"] == more["needed_w"]
    for name in ("spot_c", "hottest_c", "hottest:skin"):
        assert (more[name] - 37.0) / (less[name] - 37.0) == pytest.approx(1.01 / 0.99, rel=0.01)
    assert nominal["whole_w"] > need


def test_a_miss_along_a_level_slab_moves_the_heat_and_not_its_size(nominal):
    aside = draw_of()(with_numbers(focus_error_x_mm=3.0))
    assert aside["hottest_c"] - 37.0 == pytest.approx(nominal["hottest_c"] - 37.0, rel=0.02)
    assert aside["absorbed_w"] == pytest.approx(nominal["absorbed_w"], rel=0.02)
    there = draw_of(aim=aim_at(x=31.5))(Constants())
    assert there["spot_c"] - 37.0 == pytest.approx(nominal["spot_c"] - 37.0, rel=0.02)
    assert aside["spot_c"] < nominal["spot_c"] - 1.0
    assert aside["needed_w"] > nominal["needed_w"]


def test_array_and_focus_miss_together_by_what_is_drawn():
    """Exactly what an array placed there does; the spot and the places stay in the patient."""
    by = {"x": 1.3, "y": -0.7, "z": 2.1}
    draw = draw_of()
    missed = draw(with_numbers(**{f"focus_error_{axis}_mm": value for axis, value in by.items()}))
    there = [tuple(np.asarray(place) + list(by.values())) for place in (draw.aim.focus_mm, draw.pose.vertex_mm)]
    moved = replace(draw, aim=replace(draw.aim, focus_mm=there[0]), pose=replace(draw.pose, vertex_mm=there[1]))
    assert missed == moved(Constants())


def test_bone_and_muscle_that_absorb_more_are_heated_more_and_blood_cools(nominal):
    strong = draw_of()(with_numbers(cortical_bone__absorption_l=55.0, cortical_bone__absorption_s=110.0))
    assert strong["spot_c"] > nominal["spot_c"]
    lossy = draw_of()(with_numbers(muscle__attenuation_l=13.9))
    assert lossy["hottest:near_field"] > nominal["hottest:near_field"] + 0.5
    assert lossy["absorbed_w"] > nominal["absorbed_w"]
    cool = draw_of()(with_numbers(muscle__perfusion=500.0))
    assert cool["hottest:near_field"] < nominal["hottest:near_field"]


# --- draws


def test_draws_ask_for_sound_heat_ct_and_aim_and_hold_what_means_nothing():
    seen = []
    found = sample_sonication(
        anatomy_of(nerve_behind_mm=1.0), small_array(), aim_at(), pose_of(aim_at()), POWER, ON, OFF, places_mm=PLACES, count=9,
        executor=Serial(), observe=seen.append,
    )  # fmt: skip
    assert seen == pytest.approx([0.1 * n for n in range(1, 11)])
    for name in (
        "cortical_bone.absorption_s", "muscle.attenuation_l", "cancellous_bone.speed_l", "muscle.density",
        "muscle.perfusion", "cortical_bone.thermal_conductivity", "muscle.heat_capacity", "hounsfield.cortical",
        "focus_error_x_mm", "liquid_water.speed_l",
    ):  # fmt: skip
        assert name in found.values, name
    assert not [name for name in found.values if any(part in name for part in sampled.HELD)]
    assert set(found.nominal) == {*OUTCOMES, "hottest:sciatic_nerve_right"}
    assert found.failed == ()
    for name in found.nominal:
        band = found.band(name)
        assert band.low <= band.best <= band.high
        assert band.n == 9
    assert found.band("spot_c").high > found.band("spot_c").low + 1.0
    assert 0.0 <= found.band("killed_share").low <= found.band("killed_share").high <= 1.0
    assert {one.name for one in which_matters(found, "spot_c")} <= set(found.values)


def test_two_processes_give_what_one_gives():
    task = (anatomy_of(), small_array(), aim_at(), pose_of(aim_at()), POWER, ON, OFF)
    both = [sample_sonication(*task, places_mm=[], count=2, seed=3, executor=engine) for engine in (Local(2), Serial())]
    assert set(both[0].nominal) == {*OUTCOMES} - {"killed_share", "whole_w"}
    for name, outcome in both[1].outcomes.items():
        assert np.array_equal(both[0].outcomes[name], outcome), name
    assert both[0].failed == ()


# --- reading them


def made_up(**outcomes):
    """Return samples of evenly spread outcomes: (nominal, from, to)."""
    even = {name.replace("__", ":"): np.linspace(low, high, 101) for name, (_, low, high) in outcomes.items()}
    middle = {name.replace("__", ":"): best for name, (best, _, _) in outcomes.items()}
    return Samples({}, np.zeros((101, 0)), middle, even)


def test_exact_bands_of_planned_figures():
    found = made_up(
        spot_c=(57.0, 47.0, 67.0), needed_w=(20.0, 10.0, 40.0), killed_share=(0.5, 0.0, 1.0), cell_width_mm=(0.0, 0, 4)
    )
    hot = scaled(found, "spot_c", 67.0)  # the plan's rise is 1.5 of the nominal one
    assert (hot.best, hot.low, hot.high, hot.n) == (67.0, pytest.approx(37 + 1.5 * 11), pytest.approx(37 + 1.5 * 29), 101)
    power = scaled(found, "needed_w", 30.0)
    assert (power.low, power.high) == (pytest.approx(1.5 * 11.5), pytest.approx(1.5 * 38.5))
    share = scaled(found, "killed_share", 0.97)
    assert (share.best, share.low, share.high) == (0.97, pytest.approx(0.05), pytest.approx(0.97))
    wide = scaled(found, "cell_width_mm", 3.0)
    assert (wide.best, wide.low, wide.high) == (3.0, 0.0, pytest.approx(3.8))
    nothing = scaled(found, "spot_c", 37.0)
    assert (nothing.low, nothing.high) == (37.0, 37.0)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cortical_bone.absorption_l", "absorption of sound in cortical bone"),
        ("cortical_bone.attenuation_s", "attenuation of shear waves in cortical bone"),
        ("muscle.attenuation_l_exponent", "growth with frequency of the attenuation of sound in muscle"),
        ("red_marrow_upper_pelvis.perfusion", "blood flow in red marrow of the upper pelvis"),
        ("focus_error_z_mm", "miss of the focus from feet to head"),
        ("hounsfield.cortical", "CT number of pure cortical bone"),
        ("air.film", "cooling of the skin by air"),
    ],
)
def test_constants_are_read_in_words(name, words):
    assert influence_words(Influence(name, 0.4, -1, Value(1.0, "1", Uniform(0, 2), "osteon-proposal"))) == words


def test_every_drawn_constant_has_words_of_its_own():
    constants = Constants()
    draw_of(anatomy_of(nerve_behind_mm=1.0))(constants)
    told = {}
    for name, value in constants.used.items():
        if isinstance(value.spread, Fixed) or any(part in name for part in sampled.HELD):
            continue
        words = influence_words(Influence(name, 0.1, 1, Value(1.0, "1", Normal(1.0), "osteon-proposal")))
        assert not any(mark in words for mark in "_.{}"), words
        assert told.setdefault(words, name) == name
    assert len(told) > 30


def test_outcomes_have_titles_and_units():
    assert described("needed_w") == ("acoustic power that the spot needs", "W")
    assert described("hottest:sciatic_nerve_right") == ("hottest right sciatic nerve", "°C")
    assert all(unit in ("°C", "W", "mm", "1") for _, unit in OUTCOMES.values())
    with pytest.raises(InputError, match="no outcome 'depth'"):
        described("depth")


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"power_w": 0.0}, "power"), ({"power_w": math.nan}, "power"), ({"on_s": -1.0}, "time on"), ({"off_s": 1e6}, "wait"),
        ({"places_mm": [[28.5, 28.5, math.nan]]}, "places"), ({"places_mm": [[28.5, 28.5, 55.0]]}, "beside its spot"),
        ({"device": "sonotron"}, "sonotron"), ({"count": 0}, "0 draws"),
        ({"pose": ArrayPose((28.5, 28.5, 8.0), BEAM)}, "elements of the array"),
    ],
)  # fmt: skip
def test_absurd_values_are_refused(wrong, match):
    options = {
        "device": small_array(),
        "pose": pose_of(aim_at()),
        "power_w": POWER,
        "on_s": ON,
        "off_s": OFF,
        "places_mm": PLACES,
    }
    options |= {"count": 1, **wrong}
    order = [options.pop(name) for name in ("device", "pose", "power_w", "on_s", "off_s")]
    with pytest.raises((InputError, SettingError, OsteonError), match=match):
        sample_sonication(anatomy_of(), order[0], aim_at(), *order[1:], executor=Serial(), **options)


def test_a_planned_figure_that_is_no_number_has_no_band():
    with pytest.raises(InputError, match="inf"):
        scaled(made_up(needed_w=(20.0, 10.0, 40.0)), "needed_w", math.inf)
    with pytest.raises(InputError, match="whole_w"):
        scaled(made_up(needed_w=(20.0, 10.0, 40.0)), "whole_w", 10.0)
    assert slab()[0].grid.shape == anatomy_of().grid.shape


# --- loops over cells, against what arrays say: exactly


def voted(index, grid, kinds, cells):
    """Return the vote of the eight voxels round each cell by whole arrays."""
    step, last = np.linalg.inv(grid.matrix) @ cells.matrix, np.array(grid.shape) - 1
    k, y, x = np.meshgrid(*(np.arange(n) for n in cells.shape), indexing="ij")
    at = [step[a, 0] * x + step[a, 1] * y + (step[a, 2] * k + step[a, 3]) for a in (2, 1, 0)]
    known = np.all([(p >= -0.5) & (p < n + 0.5) for p, n in zip(at, last, strict=True)], axis=0)
    place = np.stack([np.clip(p, 0, n).ravel() for p, n in zip(at, last, strict=True)])
    base = np.minimum(place.astype(int), np.maximum(last - 1, 0)[:, None])
    part = (place - base).astype(np.float32)
    corners = list(itertools.product((0, 1), repeat=3))
    labels = np.stack([index[tuple(np.minimum(base[a] + c[a], last[a]) for a in range(3))] for c in corners])
    weights = np.stack([np.prod([part[a] if c[a] else 1 - part[a] for a in range(3)], axis=0) for c in corners])
    score = np.zeros(weights.shape, np.float32)
    for voter in range(8):
        score += weights[voter] * (1e3 * (kinds[labels] == kinds[labels[voter]]) + (labels == labels[voter]))
    won = np.take_along_axis(labels, score.argmax(axis=0)[None], axis=0)[0]
    return won.reshape(cells.shape), known


@pytest.mark.parametrize("seed", range(6))
def test_loops_vote_and_look_up_exactly_as_arrays_do(seed):
    rng = np.random.default_rng(seed)
    shape = (2, 7, 9) if seed == 0 else tuple(int(n) for n in rng.integers(5, 30, 3))
    index, kinds = rng.integers(0, 7, shape).astype(np.uint8), np.array([0, 0, 1, 1, 2, 0, 1])
    turn = np.eye(4)
    turn[:3, :3] = Rotation.random(random_state=seed).as_matrix() * rng.uniform(0.4, 1.5)
    turn[:3, 3] = rng.uniform(-5, 20, 3)
    grid = Grid.box(np.zeros(3), 1.5 * (np.array(shape)[::-1] - 1), 1.5)
    cells = Grid.of((20, 25, 15), turn)
    for ours, theirs in zip(vote(index, grid, kinds, cells), voted(index, grid, kinds, cells), strict=True):
        assert np.array_equal(ours, theirs)
    numbers, out = rng.random(shape).astype(np.float32), np.empty((18, 21, 24), np.float32)
    start = np.array(shape) / 2 - turn[:3, :3] @ (np.array(out.shape) / 2) + rng.uniform(-1, 1, 3)
    beam_kernels.nearest(numbers, turn[:3, :3].copy(), start, out)
    expected = ndimage.affine_transform(numbers, turn[:3, :3], start, output_shape=out.shape, order=0, mode="constant")
    assert np.array_equal(out, expected)
    assert out.any()


# --- on a phantom: tolerance set before the first run of this test. It holds where the spot lies on the tumour; where it lies
# --- on cortex (the same phantom built at 1.5 mm) the coarse run asks for 26 % more power than the plan, more than this allows


@pytest.mark.slow
def test_the_iliac_phantom_is_drawn_as_the_plan_runs_it_within_a_fifth():
    made = build("ilium", spacing_mm=1.0)
    grid, lesion = made.image.grid, structure("lesion")
    absent = frozenset(structure(name) for name in made.absent)
    anatomy = Anatomy(Volume(np.ones(grid.shape, bool), grid), made.image, made.masks, absent, contrast=False)
    device = "exablate-body-208"
    axis = search_window(anatomy, lesion, device, scene=scene_of(anatomy, lesion, [device])).best.pose.axis
    aims = lattice(anatomy, lesion, "direct", (5.0, 8.0), axis, face=face_of(anatomy, lesion, axis))
    middle = np.mean([one.spot_mm for one in aims], axis=0)
    aim = min(aims, key=lambda one: float(np.linalg.norm(middle - one.spot_mm)))
    low, high = grid.corners_mm().min(axis=0), grid.corners_mm().max(axis=0)
    anatomy = anatomy.on(Grid.box(low, low + np.floor((high - low) / 1.5) * 1.5, 1.5))
    pose = ArrayPose.aimed(aim.focus_mm, aim.beam, 160.0)
    array = transducer(device)
    setup = prepare(anatomy, acoustic_map(anatomy, array.frequency_hz), array, [aim])
    (response,) = respond_all(setup, [aim], 30.0, 90.0, poses={aim.id: pose})
    power = response.reached_w(240.0, 500.0)
    places = np.array(aim.spot_mm) + np.array([[0.0, 0, 0], [1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]])
    found = sample_sonication(anatomy, device, aim, pose, power, 30.0, 90.0, places_mm=places, count=4, executor=Serial())
    assert found.nominal["needed_w"] == pytest.approx(power, rel=0.2)
    assert found.nominal["spot_c"] - 37.0 == pytest.approx(power * float(response.targets.max()), rel=0.2)
    assert found.nominal["absorbed_w"] == pytest.approx(power * response.absorbed_w, rel=0.2)
    assert found.failed == ()
    band = found.band("needed_w")  # every draw misses the spot, so that few need less than the run that does not
    assert band.low == pytest.approx(power, rel=0.2)
    assert power < band.high
    assert 37.0 < found.band("hottest:skin").high < 60.0
